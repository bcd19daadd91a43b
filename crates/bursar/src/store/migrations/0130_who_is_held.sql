-- The payees whom a found payment that is not settled may have paid: who was noted when it was found, and who is paid at its
-- destination now. One that names a payment which holds its rewards here holds that payment instead. Whatever asks whether
-- a payee is held asks this.
CREATE VIEW held_payee (payee) AS
    SELECT p.payee FROM found_payment x CROSS JOIN found_payee p
    WHERE x.settled_at IS NULL AND p.vendor = x.vendor AND p.object_id = x.object_id
    AND NOT EXISTS (
        SELECT 1 FROM payout_transaction t WHERE t.id = x.our_id AND t.released_at IS NULL AND t.outside_at IS NULL
    )
    UNION
    SELECT f.payee FROM found_payment y CROSS JOIN payout_profile f
    WHERE y.settled_at IS NULL AND f.vendor = y.vendor AND f.address = y.destination
    AND NOT EXISTS (
        SELECT 1 FROM payout_transaction u WHERE u.id = y.our_id AND u.released_at IS NULL AND u.outside_at IS NULL
    );
