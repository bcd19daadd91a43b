-- What a vendor said whenever it was asked about a payment: a row for each answer, with when it was first and last given and
-- how often. So every poll is in sight, and a payment that waits for thirty days does not fill the database.
CREATE TABLE asked (
    transaction_id TEXT NOT NULL REFERENCES payout_transaction (id),
    said TEXT NOT NULL,
    first_at BIGINT NOT NULL,
    last_at BIGINT NOT NULL,
    times_count BIGINT NOT NULL,
    PRIMARY KEY (transaction_id, said)
);
INSERT INTO asked (transaction_id, said, first_at, last_at, times_count)
SELECT id, COALESCE(asked_what, ''), asked_at, asked_at, 1 FROM payout_transaction WHERE asked_at IS NOT NULL;

-- The notices about a payment stand in its timeline.
CREATE INDEX outbox_about ON outbox (subject, id);
