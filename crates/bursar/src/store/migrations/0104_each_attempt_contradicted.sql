-- When the vendor contradicted how an attempt ended, for each attempt by itself: a payment is held while any of them is not
-- settled. Of payments that are contradicted already, what people had called not made and the vendor has an object of is
-- marked; what else was contradicted is settled with the payment, as before.
ALTER TABLE attempt ADD COLUMN contradicted_at BIGINT;
UPDATE attempt SET contradicted_at = (SELECT t.contradicted_at FROM payout_transaction t WHERE t.id = attempt.transaction_id)
    WHERE state = 'failed' AND reason_code = 'not_made' AND vendor_id IS NOT NULL
    AND transaction_id IN (SELECT t.id FROM payout_transaction t WHERE t.contradicted_at IS NOT NULL);
