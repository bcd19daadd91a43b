-- When a payment is next looked through at its vendor, where that did not come to an end.
ALTER TABLE payout_transaction ADD COLUMN look_next_at BIGINT;
CREATE INDEX payout_transaction_to_look_through ON payout_transaction (created_at)
    WHERE vendor = 'stripe' AND released_at IS NULL AND outside_at IS NULL
    AND state IN ('payout_failed', 'payout_canceled', 'payout_review', 'review', 'written_off', 'failed');
