-- What a draft looked like when somebody was shown it, by its digest: so that whoever pays or releases something that was
-- changed meanwhile is told what is different. The newest of each draft are kept, and none after Pay or Delete.
CREATE TABLE batch_shown (
    batch_id TEXT NOT NULL REFERENCES batch (id),
    digest TEXT NOT NULL,
    shown_at BIGINT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (batch_id, digest)
);
