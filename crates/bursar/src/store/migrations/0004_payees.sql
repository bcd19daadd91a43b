-- Where a change of destination came from: the address and browser of a page, an API key, the command line.
ALTER TABLE profile_change ADD COLUMN came_from TEXT;

-- A PayPal address that two payees share stops both until somebody else has said that this is right. What is kept is
-- that word; that they share it is read off their profiles. The payees stand in the order of their ids.
CREATE TABLE shared_destination (
    first_payee TEXT NOT NULL,
    second_payee TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    cleared_at BIGINT NOT NULL,
    cleared_by TEXT NOT NULL,
    note TEXT NOT NULL,
    PRIMARY KEY (first_payee, second_payee, fingerprint)
);

CREATE VIEW shared_unseen (payee, other) AS
    SELECT f.payee, o.payee FROM payout_profile f
    JOIN payout_profile o ON o.address = f.address AND o.vendor = f.vendor AND o.payee <> f.payee
    WHERE NOT EXISTS (
        SELECT 1 FROM shared_destination s WHERE s.fingerprint = f.fingerprint
        AND s.first_payee = CASE WHEN f.payee < o.payee THEN f.payee ELSE o.payee END
        AND s.second_payee = CASE WHEN f.payee < o.payee THEN o.payee ELSE f.payee END
    );

-- A connected account belongs to one payee, whoever asks at the same moment.
CREATE UNIQUE INDEX payout_profile_stripe ON payout_profile (address) WHERE vendor = 'stripe';

-- The list of payees is read by name.
CREATE INDEX partner_by_name ON partner (name, id);
CREATE INDEX account_by_name ON account (name, id);
CREATE INDEX payout_transaction_outside ON payout_transaction (payee, outside_on) WHERE outside_on IS NOT NULL;
