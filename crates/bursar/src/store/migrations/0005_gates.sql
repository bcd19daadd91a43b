-- What the gates of a payout keep: who asked for a release and since when one is void, claims that are paid although
-- they are under the earning threshold, and claims that were passed over, with why.

ALTER TABLE batch ADD COLUMN release_asked_by TEXT;
ALTER TABLE batch ADD COLUMN release_voided_at BIGINT;

-- An override is for exactly this total: a claim that has changed since is under its threshold again.
CREATE TABLE threshold_override (
    batch_id TEXT NOT NULL REFERENCES batch (id),
    payee TEXT NOT NULL,
    currency TEXT NOT NULL,
    total_minor BIGINT NOT NULL,
    reason TEXT NOT NULL,
    actor TEXT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (batch_id, payee, currency)
);

-- codes are the blockers' codes, a space between them, in the order in which they were shown.
CREATE TABLE skipped_claim (
    batch_id TEXT NOT NULL REFERENCES batch (id),
    payee TEXT NOT NULL,
    currency TEXT NOT NULL,
    codes TEXT NOT NULL,
    amount_minor BIGINT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (batch_id, payee, currency, codes)
);
CREATE INDEX skipped_claim_by_payee ON skipped_claim (payee, at);
