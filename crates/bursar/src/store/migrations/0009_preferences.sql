-- How pages look to whoever is signed in: light or dark, times in his zone, single keys switched off.
CREATE TABLE preference (
    person_id TEXT PRIMARY KEY REFERENCES person (id),
    theme TEXT NOT NULL,
    zone TEXT,
    shortcuts_off_at BIGINT
);
