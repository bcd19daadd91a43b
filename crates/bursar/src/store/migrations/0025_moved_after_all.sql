-- Money that moved after all: what events name by our own keys, contradictions, parked money, and fees that are told late.

-- What the books hold of the vendor's fee for an attempt. A fee belongs to the attempt that was the newest when it was booked.
ALTER TABLE attempt ADD COLUMN fee_minor BIGINT NOT NULL DEFAULT 0;
UPDATE attempt SET fee_minor = COALESCE((
    SELECT CAST(SUM(p.amount_minor) AS BIGINT) FROM journal j JOIN posting p ON p.journal_id = j.id
    WHERE j.subject = attempt.transaction_id AND j.movement = 'fee' AND p.account IN ('vendor_fees:paypal', 'fee_variance:paypal')
    AND j.at >= attempt.created_at
    AND j.at < COALESCE((SELECT MIN(b.created_at) FROM attempt b WHERE b.transaction_id = attempt.transaction_id
        AND b.leg = 'item' AND b.number = attempt.number + 1), 9223372036854775807)), 0)
WHERE leg = 'item';

-- One object of a vendor is one attempt. Where two claim it, the older one keeps it and the younger one's payment goes to a
-- person.
UPDATE payout_transaction SET contradicted_at = state_at WHERE contradicted_at IS NULL AND id IN (
    SELECT a.transaction_id FROM attempt a WHERE a.leg IN ('transfer', 'reversal', 'item') AND EXISTS (
        SELECT 1 FROM attempt b WHERE b.vendor_id = a.vendor_id AND b.leg IN ('transfer', 'reversal', 'item')
        AND b.id < a.id));
UPDATE attempt SET vendor_id = NULL WHERE leg IN ('transfer', 'reversal', 'item') AND EXISTS (
    SELECT 1 FROM attempt b WHERE b.vendor_id = attempt.vendor_id AND b.leg IN ('transfer', 'reversal', 'item')
    AND b.id < attempt.id);
CREATE UNIQUE INDEX attempt_one_object ON attempt (vendor_id)
    WHERE vendor_id IS NOT NULL AND leg IN ('transfer', 'reversal', 'item');

-- Since when the vendor shows nothing of it; money that lies parked is asked about from now on.
ALTER TABLE payout_transaction ADD COLUMN unseen_since BIGINT;
UPDATE payout_transaction SET ask_at = state_at WHERE state IN ('payout_failed', 'payout_canceled')
    AND vendor = 'stripe' AND released_at IS NULL AND outside_at IS NULL AND ask_at IS NULL;
CREATE INDEX payout_transaction_contradicted ON payout_transaction (contradicted_at) WHERE contradicted_at IS NOT NULL;

-- Under which id an event says that the vendor has what was sent under our key, and when to look at it.
ALTER TABLE submission ADD COLUMN named_id TEXT;
ALTER TABLE submission ADD COLUMN named_at BIGINT;
CREATE INDEX submission_named ON submission (named_at) WHERE named_at IS NOT NULL;

-- What events have named is looked for among those that wait for an object, once.
UPDATE vendor_event SET parked_at = NULL WHERE parked_at IS NOT NULL AND linked_at IS NULL AND applied_at IS NULL;

-- What one person has said about a payment and another must confirm.
CREATE TABLE second_opinion (
    transaction_id TEXT PRIMARY KEY REFERENCES payout_transaction (id),
    deed TEXT NOT NULL,
    note TEXT NOT NULL,
    asked_by TEXT NOT NULL,
    asked_name TEXT NOT NULL,
    asked_at BIGINT NOT NULL
);
