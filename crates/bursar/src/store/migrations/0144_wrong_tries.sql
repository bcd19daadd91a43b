-- The latest wrong passwords and codes of each login, so that its owner and the administrators are mailed about many: when, and from
-- which address, as JSON.
CREATE TABLE login_tries (
    person_id TEXT PRIMARY KEY REFERENCES person (id),
    tries TEXT NOT NULL
);
