-- What an API key may pay per day (UTC), such as "500.00 EUR,700.00 USD". Without one it has no limits of its own; with one, it
-- pays in these currencies only.
ALTER TABLE person ADD COLUMN day_limits TEXT;
