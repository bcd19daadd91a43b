-- A decision about many rewards, kept so that its result can be read again and, for a while, be taken back: what each
-- reward was before it, and why it was passed over where it was. Nobody can take back what has changed since, which the
-- version tells.
CREATE TABLE decision (
    id TEXT PRIMARY KEY,
    verdict TEXT NOT NULL,
    reason TEXT,
    decided_at BIGINT NOT NULL,
    decided_by TEXT NOT NULL,
    list TEXT NOT NULL,
    done_count BIGINT NOT NULL,
    skipped_count BIGINT NOT NULL,
    undone_at BIGINT,
    undone_by TEXT
);
CREATE TABLE decision_reward (
    decision_id TEXT NOT NULL REFERENCES decision (id),
    reward_id TEXT NOT NULL,
    skipped TEXT,
    version BIGINT,
    before_status TEXT,
    before_reason TEXT,
    before_shown_at BIGINT,
    before_decided_at BIGINT,
    before_decided_by TEXT,
    before_held_until BIGINT,
    undone_at BIGINT,
    PRIMARY KEY (decision_id, reward_id)
);
CREATE INDEX decision_skipped ON decision_reward (decision_id, reward_id) WHERE skipped IS NOT NULL;

-- What somebody looks at often, under a name of his; shared_at is since when everybody who may read finds it too.
CREATE TABLE saved_view (
    id TEXT PRIMARY KEY,
    person_id TEXT NOT NULL REFERENCES person (id),
    name TEXT NOT NULL,
    query TEXT NOT NULL,
    shared_at BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    UNIQUE (person_id, name)
);
CREATE INDEX saved_view_shared ON saved_view (name) WHERE shared_at IS NOT NULL;
