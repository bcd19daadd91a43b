-- What of a payment's fee the vendor takes once a month for its payee, in minor units: 0 where an earlier payment of the month
-- has borne it, or nothing is taken. NULL: from before this was noted; such a payment counts as one that has borne it.
ALTER TABLE payout_transaction ADD COLUMN monthly_fee_minor BIGINT;
