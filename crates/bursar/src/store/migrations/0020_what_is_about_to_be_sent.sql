-- A lease says who works on a submission, not that anything was sent. sending_since is committed after the last gate and
-- before the first byte; what has it and no answer may have been sent, and nothing else may. A lease that is held while
-- this runs was made by a program that knew no difference, so it may have sent.
ALTER TABLE submission ADD COLUMN sending_since BIGINT;
UPDATE submission SET sending_since = first_sent_at
    WHERE state IN ('intended', 'unknown') AND lease_until > 0 AND first_sent_at IS NOT NULL;
