-- What is being fetched back is looked through as well after the database was put back: a lost database may have paid it out.
DROP INDEX payout_transaction_to_look_through;
CREATE INDEX payout_transaction_to_look_through ON payout_transaction (created_at)
    WHERE vendor = 'stripe' AND released_at IS NULL AND outside_at IS NULL
    AND state IN ('payout_failed', 'payout_canceled', 'payout_review', 'review', 'written_off', 'failed', 'recalling');
