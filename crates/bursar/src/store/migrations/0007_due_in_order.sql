-- What is due is taken in this order and only a part of it at a time. With the id in the index, that part is read and
-- nothing else: Pay makes ten thousand attempts due in the same moment.
DROP INDEX attempt_queued;
CREATE INDEX attempt_queued ON attempt (next_at, id) WHERE state = 'queued';
DROP INDEX submission_due;
CREATE INDEX submission_due ON submission (next_at, id) WHERE state IN ('intended', 'unknown', 'looking');
