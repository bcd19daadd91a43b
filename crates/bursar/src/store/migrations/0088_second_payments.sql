-- Which payment a clawback is for that was entered because that payment had paid a second time: when it comes back, the
-- clawback is withdrawn. Of those from before, what their reason names; not of payments whose other attempt paid as well.
CREATE TABLE second_payment (
    clawback_id TEXT NOT NULL PRIMARY KEY,
    transaction_id TEXT NOT NULL,
    settled_at BIGINT
);
CREATE INDEX second_payment_of ON second_payment (transaction_id);
INSERT INTO second_payment (clawback_id, transaction_id)
    SELECT r.id, t.id FROM reward r JOIN payout_transaction t
    ON r.reason = 'Paid twice: PT-' || CASE WHEN t.number > 99999 THEN CAST(t.number AS TEXT)
        ELSE SUBSTR('00000' || CAST(t.number AS TEXT), LENGTH(CAST(t.number AS TEXT))) END || ' had paid it after all.'
    WHERE r.entry = 'clawback' AND r.status = 'approved' AND (t.released_at IS NOT NULL OR t.outside_at IS NOT NULL)
    AND t.state IN ('success', 'processing', 'on_hold', 'unclaimed', 'in_transit')
    AND NOT EXISTS (SELECT 1 FROM journal j WHERE j.subject = r.id AND j.movement = 'clawback')
    AND NOT EXISTS (SELECT 1 FROM journal j WHERE j.subject = t.id AND j.id LIKE '%_beside_post');
