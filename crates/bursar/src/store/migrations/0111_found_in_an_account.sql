-- The vendor's account that a found payment was found in: another one has nothing of it, which says nothing of the money.
ALTER TABLE found_payment ADD COLUMN vendor_account TEXT;
UPDATE found_payment SET vendor_account =
    (SELECT c.vendor_account FROM vendor_connection c WHERE c.vendor = found_payment.vendor) WHERE settled_at IS NULL;
