-- Rows of the trail that are committed and not chained yet. On SQLite, where one transaction writes at a time, each is
-- chained in its own transaction, so this stays empty; statements are the same on both databases.
CREATE TABLE audit_waiting (
    place BIGINT PRIMARY KEY,
    at BIGINT NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    detail TEXT NOT NULL,
    line_number BIGINT NOT NULL,
    line_count BIGINT NOT NULL,
    change_hash TEXT NOT NULL
);
