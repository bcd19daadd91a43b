-- Payments that a pass tripped over: their record cannot be worked on. They are tried again every hour, which moves
-- last_at; one that has gone on is not tried, and so is not moved.
CREATE TABLE set_aside (
    transaction_id TEXT PRIMARY KEY,
    why TEXT NOT NULL,
    first_at BIGINT NOT NULL,
    last_at BIGINT NOT NULL
);
CREATE INDEX set_aside_by_age ON set_aside (last_at);
