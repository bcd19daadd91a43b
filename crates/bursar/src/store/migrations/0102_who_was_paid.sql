-- Whom a payment may have paid that a vendor has and this database does not know of: noted when it is found, so that nobody is
-- let go who changes where they are paid.
CREATE TABLE found_payee (
    vendor TEXT NOT NULL,
    object_id TEXT NOT NULL,
    payee TEXT NOT NULL,
    PRIMARY KEY (vendor, object_id, payee)
);
INSERT INTO found_payee (vendor, object_id, payee)
SELECT x.vendor, x.object_id, f.payee FROM found_payment x JOIN payout_profile f
    ON f.vendor = x.vendor AND f.address = x.destination WHERE x.settled_at IS NULL
UNION
SELECT x.vendor, x.object_id, t.payee FROM found_payment x JOIN payout_transaction t
    ON t.vendor = x.vendor AND t.destination = x.destination WHERE x.settled_at IS NULL;
