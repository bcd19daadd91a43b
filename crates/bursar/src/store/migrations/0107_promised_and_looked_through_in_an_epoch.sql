-- In which epoch of the database each payment was promised, and in which it was last looked through at its vendor. Each time that a
-- database is put back begins an epoch; what is of an earlier one is looked through. Times said the same, until clocks differed.
ALTER TABLE payout_transaction ADD COLUMN promised_epoch BIGINT NOT NULL DEFAULT 0;
ALTER TABLE payout_transaction ADD COLUMN looked_epoch BIGINT NOT NULL DEFAULT 0;
UPDATE payout_transaction SET promised_epoch = (SELECT value FROM counter WHERE name = 'epoch')
    WHERE EXISTS (SELECT 1 FROM counter WHERE name = 'epoch')
    AND created_at >= (SELECT CAST(value AS BIGINT) FROM meta WHERE name = 'looked_for_before');
UPDATE payout_transaction SET looked_epoch = (SELECT value FROM counter WHERE name = 'epoch')
    WHERE EXISTS (SELECT 1 FROM counter WHERE name = 'epoch')
    AND looked_at >= (SELECT CAST(value AS BIGINT) FROM meta WHERE name = 'looked_for_before');
