-- One text for SQLite and PostgreSQL. Columns are TEXT or BIGINT: money in minor units, times in microseconds UTC,
-- ids, enums and JSON as text. A fact that can be dated is a nullable …_at, never a flag. What the database can keep
-- by itself (one live attempt, one batch per reward, one submission per key) is an index here, not a hope in code.

CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);

CREATE TABLE counter (name TEXT PRIMARY KEY, value BIGINT NOT NULL);

CREATE TABLE account (
    id TEXT PRIMARY KEY,
    external_id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    country TEXT,
    owner_email TEXT,
    standing TEXT NOT NULL,
    note TEXT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);

CREATE TABLE partner (
    id TEXT PRIMARY KEY,
    external_id TEXT NOT NULL UNIQUE,
    account_id TEXT NOT NULL REFERENCES account (id),
    name TEXT NOT NULL,
    email TEXT NOT NULL,
    country TEXT,
    language TEXT,
    standing TEXT NOT NULL,
    note TEXT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX partner_by_account ON partner (account_id);

CREATE TABLE program (
    id TEXT PRIMARY KEY,
    external_id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    reward_type TEXT NOT NULL,
    manager_email TEXT,
    hold_days BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);

CREATE TABLE activity (
    id TEXT PRIMARY KEY,
    external_id TEXT NOT NULL UNIQUE,
    program_id TEXT NOT NULL REFERENCES program (id),
    name TEXT NOT NULL,
    value_minor BIGINT,
    currency TEXT,
    inactive_at BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);

CREATE TABLE batch (
    id TEXT PRIMARY KEY,
    number TEXT NOT NULL UNIQUE,
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    changed_by TEXT NOT NULL,
    changed_at BIGINT NOT NULL,
    version BIGINT NOT NULL,
    release_asked_at BIGINT,
    released_at BIGINT,
    released_by TEXT,
    released_digest TEXT,
    deleted_at BIGINT,
    pay_pressed_at BIGINT,
    pay_pressed_by TEXT,
    digest TEXT
);
CREATE INDEX batch_open ON batch (created_at) WHERE deleted_at IS NULL AND pay_pressed_at IS NULL;

-- currency is NULL for points, and value_minor then counts points. payee is who is paid: ptn_… or acc_…
CREATE TABLE reward (
    id TEXT PRIMARY KEY,
    number BIGINT NOT NULL UNIQUE,
    external_id TEXT NOT NULL UNIQUE,
    content_hash TEXT NOT NULL,
    program_id TEXT NOT NULL REFERENCES program (id),
    activity_id TEXT NOT NULL REFERENCES activity (id),
    owner_id TEXT NOT NULL REFERENCES partner (id),
    account_id TEXT NOT NULL REFERENCES account (id),
    reward_type TEXT NOT NULL,
    payment_type TEXT,
    payee TEXT,
    entry TEXT NOT NULL,
    value_minor BIGINT NOT NULL,
    currency TEXT,
    status TEXT NOT NULL,
    reason TEXT,
    reason_shown_at BIGINT,
    form_reference TEXT,
    form_data TEXT,
    note TEXT,
    earned_on TEXT,
    expires_at BIGINT,
    held_until BIGINT,
    created_at BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    decided_at BIGINT,
    decided_by TEXT,
    first_approved_at BIGINT,
    batch_id TEXT REFERENCES batch (id),
    transaction_id TEXT,
    paid_at BIGINT,
    version BIGINT NOT NULL
);
CREATE INDEX reward_newest ON reward (created_at, id);
CREATE INDEX reward_by_value ON reward (value_minor, id);
CREATE INDEX reward_pending ON reward (created_at, id) WHERE status IN ('submitted', 'in_review');
CREATE INDEX reward_pool ON reward (payee, currency)
    WHERE status = 'approved' AND batch_id IS NULL AND transaction_id IS NULL AND paid_at IS NULL;
CREATE INDEX reward_in_payout ON reward (created_at, id) WHERE batch_id IS NOT NULL AND paid_at IS NULL;
CREATE INDEX reward_paid ON reward (created_at, id) WHERE paid_at IS NOT NULL;
CREATE INDEX reward_expiring ON reward (expires_at) WHERE status = 'approved' AND expires_at IS NOT NULL;
CREATE INDEX reward_clawback ON reward (form_reference) WHERE entry = 'clawback';
CREATE INDEX reward_by_status ON reward (status, created_at, id);
CREATE INDEX reward_by_owner ON reward (owner_id, created_at, id);
CREATE INDEX reward_by_account ON reward (account_id, created_at, id);
CREATE INDEX reward_by_batch ON reward (batch_id, payee, currency) WHERE batch_id IS NOT NULL;
CREATE INDEX reward_by_transaction ON reward (transaction_id) WHERE transaction_id IS NOT NULL;

CREATE TABLE payout_transaction (
    id TEXT PRIMARY KEY,
    number BIGINT NOT NULL UNIQUE,
    batch_id TEXT NOT NULL REFERENCES batch (id),
    payee TEXT NOT NULL,
    vendor TEXT NOT NULL,
    destination TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    masked TEXT NOT NULL,
    currency TEXT NOT NULL,
    amount_minor BIGINT NOT NULL,
    fee_minor BIGINT NOT NULL,
    net_minor BIGINT NOT NULL,
    state TEXT NOT NULL,
    reason_code TEXT,
    reason_message TEXT,
    waiting_code TEXT,
    created_at BIGINT NOT NULL,
    state_at BIGINT NOT NULL,
    settled_at BIGINT,
    left_at BIGINT,
    released_at BIGINT,
    outside_at BIGINT,
    outside_on TEXT,
    outside_reference TEXT,
    ask_at BIGINT,
    ask_lease_until BIGINT NOT NULL,
    asked_at BIGINT,
    asked_what TEXT,
    contradicted_at BIGINT,
    version BIGINT NOT NULL,
    UNIQUE (batch_id, payee, currency)
);
CREATE INDEX payout_transaction_ask ON payout_transaction (ask_at) WHERE ask_at IS NOT NULL;
CREATE INDEX payout_transaction_newest ON payout_transaction (created_at, id);
CREATE INDEX payout_transaction_by_state ON payout_transaction (state, created_at, id);
CREATE INDEX payout_transaction_by_payee ON payout_transaction (payee, created_at, id);

CREATE TABLE transaction_reward (
    transaction_id TEXT NOT NULL REFERENCES payout_transaction (id),
    reward_id TEXT NOT NULL REFERENCES reward (id),
    amount_minor BIGINT NOT NULL,
    PRIMARY KEY (transaction_id, reward_id)
);
CREATE INDEX transaction_reward_by_reward ON transaction_reward (reward_id);

-- looks counts the looks that found nothing, refusals the refusals after a doubtful try, same_errors the stored 500s.
CREATE TABLE submission (
    id TEXT PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    vendor TEXT NOT NULL,
    kind TEXT NOT NULL,
    path TEXT NOT NULL,
    account TEXT,
    body TEXT NOT NULL,
    batch_id TEXT NOT NULL REFERENCES batch (id),
    state TEXT NOT NULL,
    next_at BIGINT NOT NULL,
    lease_until BIGINT NOT NULL,
    fence BIGINT NOT NULL,
    tries BIGINT NOT NULL,
    doubts BIGINT NOT NULL,
    same_errors BIGINT NOT NULL,
    refusals BIGINT NOT NULL,
    looks BIGINT NOT NULL,
    looked_at BIGINT,
    last_why TEXT,
    last_detail TEXT,
    vendor_id TEXT,
    created_at BIGINT NOT NULL,
    first_sent_at BIGINT,
    last_sent_at BIGINT,
    ended_at BIGINT
);
CREATE INDEX submission_due ON submission (next_at) WHERE state IN ('intended', 'unknown', 'looking');
CREATE INDEX submission_by_vendor_id ON submission (vendor_id) WHERE vendor_id IS NOT NULL;

CREATE TABLE attempt (
    id TEXT PRIMARY KEY,
    transaction_id TEXT NOT NULL REFERENCES payout_transaction (id),
    leg TEXT NOT NULL,
    number BIGINT NOT NULL,
    state TEXT NOT NULL,
    next_at BIGINT NOT NULL,
    submission_id TEXT REFERENCES submission (id),
    vendor_id TEXT,
    reason_code TEXT,
    created_at BIGINT NOT NULL,
    first_sent_at BIGINT,
    ended_at BIGINT,
    UNIQUE (transaction_id, leg, number)
);
CREATE UNIQUE INDEX attempt_live ON attempt (transaction_id, leg) WHERE state NOT IN ('failed', 'returned');
CREATE INDEX attempt_queued ON attempt (next_at) WHERE state = 'queued';
CREATE INDEX attempt_by_submission ON attempt (submission_id) WHERE submission_id IS NOT NULL;
CREATE INDEX attempt_by_vendor_id ON attempt (vendor_id) WHERE vendor_id IS NOT NULL;

CREATE TABLE vendor_event (
    id TEXT PRIMARY KEY,
    vendor TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    event_id TEXT NOT NULL,
    event_type TEXT NOT NULL,
    account TEXT,
    object_id TEXT,
    body TEXT NOT NULL,
    headers TEXT NOT NULL,
    received_at BIGINT NOT NULL,
    transaction_id TEXT,
    linked_at BIGINT,
    parked_at BIGINT,
    applied_at BIGINT,
    effect TEXT,
    UNIQUE (vendor, event_id, event_type)
);
CREATE INDEX vendor_event_new ON vendor_event (received_at)
    WHERE linked_at IS NULL AND parked_at IS NULL AND applied_at IS NULL;
CREATE INDEX vendor_event_parked ON vendor_event (object_id) WHERE parked_at IS NOT NULL;
CREATE INDEX vendor_event_linked ON vendor_event (transaction_id) WHERE linked_at IS NOT NULL AND applied_at IS NULL;
CREATE INDEX vendor_event_newest ON vendor_event (vendor, received_at);

CREATE TABLE timeline (
    transaction_id TEXT NOT NULL,
    at BIGINT NOT NULL,
    id TEXT NOT NULL,
    source TEXT NOT NULL,
    effect TEXT NOT NULL,
    detail TEXT,
    event_id TEXT,
    PRIMARY KEY (transaction_id, at, id)
);

CREATE TABLE journal (
    id TEXT PRIMARY KEY,
    movement TEXT NOT NULL,
    subject TEXT NOT NULL,
    at BIGINT NOT NULL
);
CREATE INDEX journal_by_subject ON journal (subject);

CREATE TABLE posting (
    journal_id TEXT NOT NULL REFERENCES journal (id),
    line BIGINT NOT NULL,
    account TEXT NOT NULL,
    currency TEXT NOT NULL,
    amount_minor BIGINT NOT NULL,
    PRIMARY KEY (journal_id, line)
);

CREATE TABLE audit (
    seq BIGINT PRIMARY KEY,
    at BIGINT NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    detail TEXT NOT NULL,
    previous_hash TEXT NOT NULL,
    hash TEXT NOT NULL
);
CREATE INDEX audit_by_subject ON audit (subject, seq);

CREATE TABLE outbox (
    id TEXT PRIMARY KEY,
    notice TEXT NOT NULL,
    subject TEXT NOT NULL,
    detail TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    sent_at BIGINT
);

CREATE TABLE person (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    email TEXT UNIQUE,
    role TEXT NOT NULL,
    scopes TEXT NOT NULL,
    partner_id TEXT REFERENCES partner (id),
    password_hash TEXT,
    key_hash TEXT UNIQUE,
    created_at BIGINT NOT NULL,
    disabled_at BIGINT,
    last_seen_at BIGINT
);

CREATE TABLE session (
    token_hash TEXT PRIMARY KEY,
    person_id TEXT NOT NULL REFERENCES person (id),
    csrf TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);

CREATE TABLE login_link (
    token_hash TEXT PRIMARY KEY,
    person_id TEXT NOT NULL REFERENCES person (id),
    expires_at BIGINT NOT NULL,
    used_at BIGINT
);

CREATE TABLE idempotency (
    person_id TEXT NOT NULL,
    key TEXT NOT NULL,
    request_hash TEXT NOT NULL,
    lease_until BIGINT NOT NULL,
    status BIGINT,
    content_type TEXT,
    body TEXT,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (person_id, key)
);

CREATE TABLE setting (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL,
    version BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);

-- sealed holds the credentials and webhook secrets, encrypted with the master key.
CREATE TABLE vendor_connection (
    vendor TEXT PRIMARY KEY,
    mode TEXT NOT NULL,
    sealed TEXT NOT NULL,
    last_four TEXT NOT NULL,
    connected_at BIGINT NOT NULL,
    rejected_at BIGINT,
    rejected_why TEXT,
    retry_at BIGINT,
    bad_signatures BIGINT NOT NULL,
    last_event_at BIGINT
);

CREATE TABLE payout_profile (
    payee TEXT PRIMARY KEY,
    vendor TEXT NOT NULL,
    address TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    masked TEXT NOT NULL,
    payable_at BIGINT,
    not_payable_why TEXT,
    currencies TEXT,
    set_at BIGINT NOT NULL,
    changed_at BIGINT,
    check_at BIGINT,
    checked_at BIGINT
);
CREATE INDEX payout_profile_by_address ON payout_profile (address);

CREATE TABLE profile_change (
    id TEXT PRIMARY KEY,
    payee TEXT NOT NULL,
    at BIGINT NOT NULL,
    actor TEXT NOT NULL,
    old_masked TEXT,
    new_masked TEXT NOT NULL
);
CREATE INDEX profile_change_by_payee ON profile_change (payee, at);

CREATE TABLE tax_report (
    payee TEXT PRIMARY KEY,
    form TEXT NOT NULL,
    name TEXT NOT NULL,
    signed_on TEXT NOT NULL,
    sealed_tin TEXT,
    masked_tin TEXT,
    expires_at BIGINT,
    filed_at BIGINT NOT NULL,
    filed_by TEXT NOT NULL
);
