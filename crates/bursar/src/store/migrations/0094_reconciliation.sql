-- Reconciliation: what the vendors themselves say of our balance there, held against our postings.

-- A line of a vendor's own account of our balance. A line is at most one posting and a posting at most one line.
-- tied_at: it and whatever belongs to it come to the same as our postings of it, or it is none of ours.
CREATE TABLE vendor_movement (
    id TEXT PRIMARY KEY,
    vendor TEXT NOT NULL,
    vendor_account TEXT NOT NULL,
    vendor_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    currency TEXT NOT NULL,
    amount_minor BIGINT NOT NULL,
    fee_minor BIGINT NOT NULL,
    net_minor BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    available_at BIGINT,
    day TEXT NOT NULL,
    source TEXT,
    object TEXT,
    names TEXT,
    body_hash TEXT NOT NULL,
    first_seen_at BIGINT NOT NULL,
    transaction_id TEXT REFERENCES payout_transaction (id),
    journal_id TEXT,
    line BIGINT,
    tied_at BIGINT,
    UNIQUE (vendor, vendor_account, vendor_id),
    FOREIGN KEY (journal_id, line) REFERENCES posting (journal_id, line)
);
CREATE UNIQUE INDEX vendor_movement_posting ON vendor_movement (journal_id, line) WHERE journal_id IS NOT NULL;
CREATE INDEX vendor_movement_day ON vendor_movement (day, vendor, vendor_account, currency);
CREATE INDEX vendor_movement_newest ON vendor_movement (created_at, id);
CREATE INDEX vendor_movement_transaction ON vendor_movement (transaction_id) WHERE transaction_id IS NOT NULL;
CREATE INDEX vendor_movement_object ON vendor_movement (object) WHERE object IS NOT NULL;
CREATE INDEX vendor_movement_untied ON vendor_movement (vendor, vendor_account) WHERE tied_at IS NULL;

-- How far a vendor's account of our balance has been read. What is older than begun_at is held against nobody. A slice is
-- what is being read: from slice_from on, up to slice_until, going on behind after_page.
CREATE TABLE vendor_pull (
    vendor TEXT NOT NULL,
    vendor_account TEXT NOT NULL,
    begun_at BIGINT NOT NULL,
    read_until BIGINT NOT NULL,
    slice_from BIGINT,
    slice_until BIGINT,
    after_page TEXT,
    deep_at BIGINT NOT NULL,
    due_at BIGINT NOT NULL,
    lease_until BIGINT NOT NULL,
    lease_node TEXT,
    fence BIGINT NOT NULL,
    pulled_at BIGINT,
    unread BIGINT NOT NULL,
    failed_at BIGINT,
    failed_why TEXT,
    PRIMARY KEY (vendor, vendor_account)
);

-- A day on which something moved, and the first and the last balance that the vendor told in it: what was there at balance_at,
-- as it was read at read_at.
CREATE TABLE vendor_day (
    day TEXT NOT NULL,
    vendor TEXT NOT NULL,
    vendor_account TEXT NOT NULL,
    currency TEXT NOT NULL,
    balance_minor BIGINT,
    balance_at BIGINT,
    read_at BIGINT,
    first_balance_minor BIGINT,
    first_balance_at BIGINT,
    first_read_at BIGINT,
    PRIMARY KEY (day, vendor, vendor_account, currency)
);
CREATE INDEX vendor_day_series ON vendor_day (vendor, vendor_account, currency, day);

-- What does not tie, or may not have had the time to: of one payment (or of a line of nobody's, or of a day's balance) in one
-- currency and one aspect. It closes by itself when both sides come to the same; what somebody explains stays explained as
-- long as it is off by just as much.
CREATE TABLE reconciliation_case (
    id TEXT PRIMARY KEY,
    vendor TEXT NOT NULL,
    vendor_account TEXT NOT NULL,
    currency TEXT NOT NULL,
    subject TEXT NOT NULL,
    aspect TEXT NOT NULL,
    transaction_id TEXT,
    day TEXT NOT NULL,
    standing TEXT NOT NULL,
    moved_minor BIGINT NOT NULL,
    posted_minor BIGINT NOT NULL,
    waits_until BIGINT,
    opened_at BIGINT NOT NULL,
    closed_at BIGINT,
    explained_at BIGINT,
    explained_by TEXT,
    explained_name TEXT,
    explanation TEXT,
    UNIQUE (subject, aspect, currency, vendor, vendor_account)
);
CREATE INDEX reconciliation_case_open ON reconciliation_case (vendor, vendor_account) WHERE closed_at IS NULL;
CREATE INDEX reconciliation_case_day ON reconciliation_case (day, vendor, vendor_account, currency);

-- PayPal's own id of the payment that an item became: its reports know items by it alone.
ALTER TABLE attempt ADD COLUMN vendor_reference TEXT;
CREATE INDEX attempt_by_reference ON attempt (vendor_reference) WHERE vendor_reference IS NOT NULL;
