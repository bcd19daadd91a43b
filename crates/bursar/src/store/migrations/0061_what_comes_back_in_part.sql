-- What the books hold as come back of a transfer while it is not all of it. What is known to have come back in part is asked
-- about once more, and booked then.
ALTER TABLE attempt ADD COLUMN reversed_minor BIGINT NOT NULL DEFAULT 0;
UPDATE payout_transaction SET ask_at = state_at WHERE vendor = 'stripe' AND ask_at IS NULL
    AND state IN ('payout_review', 'payout_failed', 'payout_canceled', 'success')
    AND EXISTS (SELECT 1 FROM attempt a WHERE a.transaction_id = payout_transaction.id
        AND a.reason_code = 'transfer_reversed_partly');

-- A transfer that was fetched back has ended with its money back.
UPDATE attempt SET state = 'returned' WHERE leg = 'transfer' AND state = 'succeeded' AND transaction_id IN
    (SELECT id FROM payout_transaction WHERE state = 'recalled');

-- One that two people have settled stands at Stripe, and may be reversed there yet: it is asked about for a month.
UPDATE attempt SET state = 'succeeded' WHERE leg = 'transfer' AND state = 'returned' AND vendor_id IS NOT NULL
    AND transaction_id IN (SELECT id FROM payout_transaction WHERE state = 'written_off')
    AND NOT EXISTS (SELECT 1 FROM attempt later WHERE later.transaction_id = attempt.transaction_id
        AND later.leg = 'transfer' AND later.number > attempt.number);
UPDATE payout_transaction SET ask_at = state_at WHERE state = 'written_off' AND ask_at IS NULL;
