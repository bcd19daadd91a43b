-- The second factor of a login: a secret that an authenticator app holds too, sealed with the master key. used_step is the last time
-- step of which a code was taken, so that none is taken twice; wrong_count is how many wrong ones came since the last right one.
CREATE TABLE factor (
    person_id TEXT PRIMARY KEY REFERENCES person (id),
    sealed TEXT NOT NULL,
    confirmed_at BIGINT NOT NULL,
    used_step BIGINT NOT NULL,
    wrong_count BIGINT NOT NULL
);

-- One that is being set up, beside the one that counts until then.
CREATE TABLE factor_begun (
    person_id TEXT PRIMARY KEY REFERENCES person (id),
    sealed TEXT NOT NULL,
    begun_at BIGINT NOT NULL
);

-- What stands in for the app, each once.
CREATE TABLE recovery_code (
    code_hash TEXT PRIMARY KEY,
    person_id TEXT NOT NULL REFERENCES person (id),
    made_at BIGINT NOT NULL,
    used_at BIGINT
);
CREATE INDEX recovery_code_by_person ON recovery_code (person_id);

-- Somebody who has given their password or opened a link, and not their code yet. It is no session: it opens nothing but the
-- form for the code.
CREATE TABLE half_login (
    token_hash TEXT PRIMARY KEY,
    person_id TEXT NOT NULL REFERENCES person (id),
    expires_at BIGINT NOT NULL
);
CREATE INDEX half_login_by_person ON half_login (person_id);
