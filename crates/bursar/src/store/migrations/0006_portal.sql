-- The partners' portal. proved_at is when whoever holds the session last gave his password or came by a one-time link;
-- device is what his browser calls itself.
ALTER TABLE session ADD COLUMN device TEXT;
ALTER TABLE session ADD COLUMN proved_at BIGINT;
CREATE INDEX session_by_person ON session (person_id, created_at);
CREATE INDEX login_link_by_person ON login_link (person_id);
CREATE INDEX person_by_partner ON person (partner_id) WHERE partner_id IS NOT NULL;

-- A connected account at Stripe that we intend to have made, or had made: written before Stripe is asked, with all that
-- it is told, so that the same question can be asked again under the same key.
CREATE TABLE connected_account (
    payee TEXT NOT NULL,
    number BIGINT NOT NULL,
    key TEXT NOT NULL UNIQUE,
    country TEXT NOT NULL,
    email TEXT NOT NULL,
    business_type TEXT NOT NULL,
    service_agreement TEXT NOT NULL,
    intended_at BIGINT NOT NULL,
    intended_by TEXT NOT NULL,
    account TEXT,
    made_at BIGINT,
    refused_at BIGINT,
    refused_why TEXT,
    PRIMARY KEY (payee, number)
);

-- The word with which a browser comes back from the hosted onboarding: for one session and one payee, once.
CREATE TABLE onboarding_state (
    state_hash TEXT PRIMARY KEY,
    session_hash TEXT NOT NULL,
    payee TEXT NOT NULL,
    account TEXT NOT NULL,
    expires_at BIGINT NOT NULL,
    used_at BIGINT
);

-- A PayPal address that a partner has entered and not confirmed yet; the newest of a payee counts.
CREATE TABLE address_confirmation (
    token_hash TEXT PRIMARY KEY,
    payee TEXT NOT NULL,
    address TEXT NOT NULL,
    person_id TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    used_at BIGINT
);
CREATE INDEX address_confirmation_by_payee ON address_confirmation (payee, created_at);

-- A payee's wish to be paid. It is answered by the next payment to him.
CREATE TABLE payout_request (
    payee TEXT PRIMARY KEY,
    payout_requested_at BIGINT NOT NULL,
    requested_by TEXT NOT NULL
);
