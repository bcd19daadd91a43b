-- Which account of a vendor the credentials belong to, and in which mode: `acct_…/live` or `acct_…/test` at Stripe, the
-- application's client id with `/live` or `/sandbox` at PayPal. A payment belongs to the account it was promised from, and a
-- request is sent to that account alone. NULL in a connection: not read yet; it is read before anything is sent, and what
-- is not ended then belongs to it. NULL in a payment or request that has ended: from before this was recorded.
ALTER TABLE vendor_connection ADD COLUMN vendor_account TEXT;
ALTER TABLE payout_transaction ADD COLUMN vendor_account TEXT;
ALTER TABLE payout_transaction ADD COLUMN mode TEXT;
ALTER TABLE submission ADD COLUMN vendor_account TEXT;
