-- The passkeys of a login: what a browser calls each, its public key, and how often its device said it was used, which never goes
-- back. Id and key are public, so neither is sealed.
CREATE TABLE passkey (
    id TEXT PRIMARY KEY,
    person_id TEXT NOT NULL REFERENCES person (id),
    credential_id TEXT NOT NULL UNIQUE,
    public_key TEXT NOT NULL,
    name TEXT NOT NULL,
    use_count BIGINT NOT NULL,
    made_at BIGINT NOT NULL,
    used_at BIGINT
);
CREATE INDEX passkey_by_person ON passkey (person_id);

-- What a device is asked to sign: once, within minutes, for one purpose and by whoever it is bound to: a session, somebody who has
-- come half way, or a browser. The challenge is a hash of all that and of chance, so a signature tells what was asked for.
CREATE TABLE passkey_challenge (
    challenge TEXT PRIMARY KEY,
    purpose TEXT NOT NULL,
    bound_to TEXT NOT NULL,
    deed TEXT NOT NULL,
    nonce TEXT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX passkey_challenge_by_bound ON passkey_challenge (bound_to, purpose);
CREATE INDEX passkey_challenge_by_end ON passkey_challenge (expires_at);

-- Recovery codes are tried by people who have no app as well, so wrong codes are counted with the person. factor.wrong_count is
-- not read any more.
ALTER TABLE person ADD COLUMN wrong_codes BIGINT;
