-- A session has a name that stays while its token is replaced after each proof, and it is known when and from which address it was
-- last used: one that nobody uses ends. Sessions from before are called by their token's hash and count from when they began.
ALTER TABLE session ADD COLUMN public_id TEXT;
ALTER TABLE session ADD COLUMN seen_at BIGINT;
ALTER TABLE session ADD COLUMN address TEXT;
