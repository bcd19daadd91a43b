-- How many rows the activity log had when a key was given up: it has signed no more than those. Of a key from before that is the row
-- that says so.
ALTER TABLE retired_key ADD COLUMN log_rows BIGINT;

UPDATE retired_key SET log_rows = COALESCE(
    (SELECT MAX(seq) FROM audit
     WHERE action = 'master_key_changed' AND detail LIKE '%"from":"' || retired_key.id || '"%'),
    (SELECT MAX(seq) FROM audit
     WHERE action = 'master_keys_retired' AND detail LIKE '%"' || retired_key.id || '"%')
);
