-- In which epoch of the database each request was intended. One that was decided before the database was put back, and is found
-- unsent after it, may have been sent in between: it is looked for, whoever committed it when.
ALTER TABLE submission ADD COLUMN epoch BIGINT NOT NULL DEFAULT 0;
UPDATE submission SET epoch = (SELECT value FROM counter WHERE name = 'epoch')
    WHERE state IN ('intended', 'unknown', 'looking') AND EXISTS (SELECT 1 FROM counter WHERE name = 'epoch');
-- An object under our key that nobody can see is told of once; people who have settled that are not asked again.
ALTER TABLE named_object ADD COLUMN told_at BIGINT;
