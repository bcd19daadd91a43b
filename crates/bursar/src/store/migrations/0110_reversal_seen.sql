-- Since when the vendor says that a payment's transfer was reversed while it does not show what took the money before. It is believed
-- when that has lasted for two days. Since when nothing is shown of a payment says less: it may have begun long before the reversal.
ALTER TABLE payout_transaction ADD COLUMN reversal_seen_at BIGINT;
