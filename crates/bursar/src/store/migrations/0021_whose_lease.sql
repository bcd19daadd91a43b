-- The processes that serve this database. A process counts its beats up; one whose beats stand still is dead, whatever any
-- clock says. A lease names the process that holds it, so that it ends with its process and not half a minute later.
CREATE TABLE node (
    id TEXT PRIMARY KEY,
    beats BIGINT NOT NULL,
    started_at BIGINT NOT NULL
);
ALTER TABLE submission ADD COLUMN lease_node TEXT;
ALTER TABLE payout_transaction ADD COLUMN ask_lease_node TEXT;
ALTER TABLE mail ADD COLUMN lease_node TEXT;
ALTER TABLE import_run ADD COLUMN lease_node TEXT;
ALTER TABLE export_run ADD COLUMN lease_node TEXT;
-- The lease of a running request is made longer while it runs, so what tells one holder from the next is a fence.
ALTER TABLE idempotency ADD COLUMN lease_node TEXT;
ALTER TABLE idempotency ADD COLUMN fence BIGINT NOT NULL DEFAULT 0;
