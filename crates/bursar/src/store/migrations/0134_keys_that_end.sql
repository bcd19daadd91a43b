-- An API key may end by itself (ends_at), be taken from some addresses only (networks, with commas between), and remembers the
-- address that it was last used from. Of people they stay empty.
ALTER TABLE person ADD COLUMN ends_at BIGINT;
ALTER TABLE person ADD COLUMN networks TEXT;
ALTER TABLE person ADD COLUMN seen_from TEXT;
CREATE INDEX person_key_ends ON person (ends_at) WHERE ends_at IS NOT NULL;
