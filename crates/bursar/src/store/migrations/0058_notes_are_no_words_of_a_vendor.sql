-- The note of whoever found out from a vendor that a payment was not made stood as the vendor's own words, where its partner
-- could read it. It is kept in the timeline and the audit trail, where it belongs.
UPDATE payout_transaction SET reason_message = '' WHERE reason_code = 'not_made' AND reason_message IS NOT NULL;
