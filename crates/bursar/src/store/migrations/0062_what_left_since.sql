-- What has left since a vendor's balance was read is looked for with each Pay.
CREATE INDEX payout_transaction_left ON payout_transaction (left_at) WHERE left_at IS NOT NULL;
