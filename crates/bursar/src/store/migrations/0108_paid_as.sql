-- PayPal's own id of the payment by which a found item was paid. Its reports know the payment by this alone.
ALTER TABLE found_payment ADD COLUMN reference TEXT;
