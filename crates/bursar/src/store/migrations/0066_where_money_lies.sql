-- Money that lay in a payee's balance and that two people have settled as paid otherwise: it is paid, by the vendor's transfer.
-- Of a payment that was marked as paid outside without that, this is NULL.
ALTER TABLE payout_transaction ADD COLUMN otherwise_at BIGINT;
UPDATE payout_transaction SET otherwise_at = outside_at WHERE outside_at IS NOT NULL AND EXISTS (
    SELECT 1 FROM journal j JOIN posting p ON p.journal_id = j.id
    WHERE j.subject = payout_transaction.id AND j.movement = 'outside' AND p.account LIKE 'returned:%');

-- What the dashboard adds up tells apart what came back to us, what lies in payees' balances and what was given up.
DROP INDEX journal_moved;
CREATE INDEX journal_moved ON journal (at, id, subject)
    WHERE movement IN ('post', 'park', 'unpark', 'reverse', 'recall', 'write_off');
