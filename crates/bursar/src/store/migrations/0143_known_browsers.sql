-- The browsers in which each login has signed in, by a hash of a random cookie, so that its owner is mailed about a new one. seen_at
-- is the last sign-in; 0 when the browser counts as new again.
CREATE TABLE login_browser (
    person_id TEXT NOT NULL REFERENCES person (id),
    browser_hash TEXT NOT NULL,
    seen_at BIGINT NOT NULL,
    PRIMARY KEY (person_id, browser_hash)
);

-- The browser of a session; it counts as new again when its session is ended from elsewhere.
ALTER TABLE session ADD COLUMN browser_hash TEXT;
