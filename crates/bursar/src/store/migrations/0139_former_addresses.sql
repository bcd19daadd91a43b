-- The addresses that partners had until lately, with when that was: whoever reads mail there hears when the destination of a
-- partner's money changes. Kept for 90 days.
CREATE TABLE former_email (
    partner_id TEXT NOT NULL,
    email TEXT NOT NULL,
    until_at BIGINT NOT NULL,
    PRIMARY KEY (partner_id, email)
);

CREATE INDEX former_email_until ON former_email (until_at);
