-- The latest wrong passwords of each login, so that its owner is mailed about many: when, whether at the sign-in or in a session, and
-- from which address, as JSON.
CREATE TABLE login_tries (
    person_id TEXT PRIMARY KEY REFERENCES person (id),
    tries TEXT NOT NULL
);
