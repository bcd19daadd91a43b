-- A file that somebody imports by the pages, and how far it has come. layout is how the file is written (what parts its
-- fields, its headers), mapping which of our columns each header stands for, sample its first rows as they will be
-- entered: all three as JSON. done_count is how many of its rows are entered or refused, connected_line the last line
-- whose payout destination was set.
CREATE TABLE import_run (
    id TEXT PRIMARY KEY,
    number BIGINT NOT NULL UNIQUE,
    what TEXT NOT NULL,
    file_name TEXT NOT NULL,
    size_count BIGINT NOT NULL,
    layout TEXT NOT NULL,
    mapping TEXT,
    sample TEXT,
    state TEXT NOT NULL,
    total_count BIGINT NOT NULL,
    done_count BIGINT NOT NULL,
    accepted_count BIGINT NOT NULL,
    duplicate_count BIGINT NOT NULL,
    rejected_count BIGINT NOT NULL,
    connected_line BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    came_from TEXT NOT NULL,
    checked_at BIGINT,
    started_at BIGINT,
    started_by TEXT,
    finished_at BIGINT,
    canceled_at BIGINT,
    failed_at BIGINT,
    failed_why TEXT,
    forgotten_at BIGINT,
    lease_until BIGINT NOT NULL,
    fence BIGINT NOT NULL,
    tries BIGINT NOT NULL
);
CREATE INDEX import_run_moving ON import_run (lease_until, number) WHERE state IN ('checking', 'importing');
CREATE INDEX import_run_kept ON import_run (created_at) WHERE forgotten_at IS NULL;

-- The file itself, and its rows that were refused. Both are forgotten after thirty days.
CREATE TABLE import_file (
    import_id TEXT PRIMARY KEY REFERENCES import_run (id),
    body TEXT NOT NULL
);
CREATE TABLE import_refused (
    import_id TEXT NOT NULL REFERENCES import_run (id),
    line_number BIGINT NOT NULL,
    field TEXT NOT NULL,
    code TEXT NOT NULL,
    detail TEXT NOT NULL,
    PRIMARY KEY (import_id, line_number)
);

-- Which of our columns a header stood for the last time; without one it was left out.
CREATE TABLE import_header (
    what TEXT NOT NULL,
    header TEXT NOT NULL,
    field TEXT,
    saved_at BIGINT NOT NULL,
    PRIMARY KEY (what, header)
);
