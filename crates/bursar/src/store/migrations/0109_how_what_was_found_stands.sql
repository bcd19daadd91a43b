-- How a payment that was found after the database was put back stands at its vendor, as it was last told, in the vendor's word,
-- and when it was last asked about. What somebody has settled by their word is asked about until then as well: its money may
-- still come back.
ALTER TABLE found_payment ADD COLUMN standing TEXT;
ALTER TABLE found_payment ADD COLUMN vendor_says TEXT;
ALTER TABLE found_payment ADD COLUMN asked_at BIGINT;
ALTER TABLE found_payment ADD COLUMN watched_until BIGINT;
