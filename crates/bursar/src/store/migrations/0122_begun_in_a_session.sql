-- A second factor is set up in one session: whoever else is signed in with the same password is not shown its secret. What was begun
-- before is nobody's, and is begun again.
ALTER TABLE factor_begun ADD COLUMN session_id TEXT NOT NULL DEFAULT '';
