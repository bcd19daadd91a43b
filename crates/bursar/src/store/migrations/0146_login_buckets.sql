-- How far the limit of each login on tries has been used up, where several nodes share it: by a hash of what is counted, and when all
-- of it can be used again. Rows from before that are deleted. A database of one process has none.
CREATE TABLE login_bucket (
    key_hash TEXT PRIMARY KEY,
    full_again BIGINT NOT NULL
);
CREATE INDEX login_bucket_over ON login_bucket (full_again);
