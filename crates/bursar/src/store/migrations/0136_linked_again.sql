-- allowed_at: an administrator has allowed this one account to be linked to its login again. lacks_at: since when a claim that must hold
-- of everybody does not hold of it.
ALTER TABLE login_identity ADD COLUMN allowed_at BIGINT;
ALTER TABLE login_identity ADD COLUMN lacks_at BIGINT;

-- Whoever is sent to the provider, or asked for a passkey, and is nobody yet keeps what they come back with in their own browser, sealed:
-- anybody may ask for it, and writes nothing. Here stands only what has come back, by its hash, so that it is of use once.
DROP TABLE provider_visit;
CREATE TABLE came_back (
    hash TEXT PRIMARY KEY,
    expires_at BIGINT NOT NULL
);
CREATE INDEX came_back_over ON came_back (expires_at);

-- Whether a passkey stays on one device or is copied to others of its owner, as its device said when it was made: one or many.
ALTER TABLE passkey ADD COLUMN devices TEXT;
