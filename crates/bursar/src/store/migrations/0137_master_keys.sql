-- The keys that sealed here before the one that seals now, each sealed with that one: what they have signed can still be checked.
CREATE TABLE retired_key (
    id TEXT PRIMARY KEY,
    sealed TEXT NOT NULL,
    retired_at BIGINT NOT NULL
);

-- The ids of the keys that a process has, with a space between: a key seals nothing before everybody who serves has it.
ALTER TABLE node ADD COLUMN key_ids TEXT;
