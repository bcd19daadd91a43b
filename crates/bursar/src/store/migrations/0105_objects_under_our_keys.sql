-- The objects that a vendor is said to have under our keys. Each is looked at by itself, more and more rarely while it cannot be
-- seen or compared, until the end of the time in which a person was told of it. Until now one
-- submission remembered one object, in named_id and named_at, which an earlier version that goes on beside this one still writes.
CREATE TABLE named_object (
    submission_id TEXT NOT NULL REFERENCES submission (id),
    object_id TEXT NOT NULL,
    vendor TEXT NOT NULL,
    named_at BIGINT NOT NULL,
    look_at BIGINT,
    looks BIGINT NOT NULL,
    counted_at BIGINT,
    PRIMARY KEY (submission_id, object_id)
);
CREATE INDEX named_object_due ON named_object (vendor, look_at) WHERE look_at IS NOT NULL;
INSERT INTO named_object (submission_id, object_id, vendor, named_at, look_at, looks)
    SELECT id, named_id, vendor, COALESCE(named_at, created_at), named_at, 0 FROM submission WHERE named_id IS NOT NULL;
