-- Since when an event, or a person, asks for a payment to be asked about: those go before what is only due again.
ALTER TABLE payout_transaction ADD COLUMN hinted_at BIGINT;
CREATE INDEX payout_transaction_hinted ON payout_transaction (vendor, hinted_at) WHERE hinted_at IS NOT NULL;
