-- What was taken out of the house as a file: by whom, what, when. A file that was made here is kept in parts for some days,
-- because whoever downloads it may be answered by another node than the one that made it. Parts of kind rows are what a
-- spreadsheet is made of once they are all there; parts of kind file are the file, in base 64.
CREATE TABLE export_run (
    id TEXT PRIMARY KEY,
    number BIGINT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    format TEXT NOT NULL,
    asked TEXT NOT NULL,
    told TEXT NOT NULL,
    state TEXT NOT NULL,
    rows_expected BIGINT NOT NULL,
    rows_done BIGINT NOT NULL,
    bytes BIGINT NOT NULL,
    parts BIGINT NOT NULL,
    place TEXT,
    made_by TEXT NOT NULL,
    made_by_name TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    finished_at BIGINT,
    failed_at BIGINT,
    failed_why TEXT,
    kept_until BIGINT,
    forgotten_at BIGINT,
    lease_until BIGINT NOT NULL,
    fence BIGINT NOT NULL
);
CREATE INDEX export_run_due ON export_run (lease_until, number) WHERE state IN ('gathering', 'packing');
CREATE INDEX export_run_kept ON export_run (kept_until) WHERE kept_until IS NOT NULL AND forgotten_at IS NULL;

CREATE TABLE export_part (
    run_id TEXT NOT NULL REFERENCES export_run (id),
    kind TEXT NOT NULL,
    place BIGINT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (run_id, kind, place)
);

-- The books by date.
CREATE INDEX journal_by_time ON journal (at, id);
