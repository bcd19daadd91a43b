-- Who somebody is at the provider that they sign in with: linked once, and found by issuer and subject ever after, whatever becomes of
-- their address there. What was unlinked stays, so that it is not linked again by its next sign-in; refused_at is when the provider gave
-- them no role any more.
CREATE TABLE login_identity (
    issuer TEXT NOT NULL,
    subject TEXT NOT NULL,
    person_id TEXT NOT NULL REFERENCES person (id),
    linked_at BIGINT NOT NULL,
    refused_at BIGINT,
    unlinked_at BIGINT,
    PRIMARY KEY (issuer, subject)
);
CREATE UNIQUE INDEX login_identity_one ON login_identity (person_id, issuer) WHERE unlinked_at IS NULL;
CREATE INDEX login_identity_of ON login_identity (person_id);

-- Somebody who was sent there and is not back yet. What they come back with is of use once, in the browser that was sent, for some
-- minutes. sealed holds what must not be read: the nonce and the secret of the exchange.
CREATE TABLE provider_visit (
    state_hash TEXT PRIMARY KEY,
    browser_hash TEXT NOT NULL,
    sealed TEXT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX provider_visit_over ON provider_visit (expires_at);

-- What the provider signed about somebody who must show their second factor here before any of it counts; sealed.
ALTER TABLE half_login ADD COLUMN provided TEXT;

-- When somebody came by the provider with this session.
ALTER TABLE session ADD COLUMN provider_at BIGINT;
