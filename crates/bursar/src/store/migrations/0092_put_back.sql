-- A database that was put back is older than what the vendors have. What they have and it does not know of is written down
-- here, and holds whoever was paid until somebody has settled it.
CREATE TABLE found_payment (
    vendor TEXT NOT NULL,
    object_id TEXT NOT NULL,
    our_id TEXT NOT NULL,
    destination TEXT NOT NULL,
    amount_minor BIGINT NOT NULL,
    currency TEXT NOT NULL,
    made_at BIGINT,
    found_at BIGINT NOT NULL,
    settled_at BIGINT,
    settled_by TEXT,
    note TEXT,
    PRIMARY KEY (vendor, object_id)
);
CREATE INDEX found_payment_open ON found_payment (vendor, destination) WHERE settled_at IS NULL;

-- When the vendor was looked through for this payment and showed nothing of it, after the database was put back.
ALTER TABLE payout_transaction ADD COLUMN looked_at BIGINT;
