-- Notices become mails: one for each reader, written when the notice is expanded and kept as it was sent.

ALTER TABLE outbox RENAME COLUMN sent_at TO expanded_at;
ALTER TABLE outbox ADD COLUMN due_at BIGINT NOT NULL DEFAULT 0;
CREATE INDEX outbox_waiting ON outbox (due_at, id) WHERE expanded_at IS NULL;
CREATE INDEX outbox_by_notice ON outbox (notice, id);

-- outbox_id is empty for a test. title and body are what the template gave; body is in the mails' own markup, of which both parts are made.
CREATE TABLE mail (
    id TEXT PRIMARY KEY,
    outbox_id TEXT REFERENCES outbox (id),
    notice TEXT NOT NULL,
    about TEXT NOT NULL,
    recipient TEXT NOT NULL,
    recipient_name TEXT NOT NULL,
    language TEXT NOT NULL,
    title TEXT NOT NULL,
    body TEXT NOT NULL,
    template_version BIGINT NOT NULL,
    state TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    next_at BIGINT NOT NULL,
    lease_until BIGINT NOT NULL,
    fence BIGINT NOT NULL,
    tries BIGINT NOT NULL,
    answer TEXT,
    sent_at BIGINT,
    UNIQUE (outbox_id, recipient)
);
CREATE INDEX mail_due ON mail (next_at) WHERE state = 'waiting';
CREATE INDEX mail_by_about ON mail (about, id);
CREATE INDEX mail_by_recipient ON mail (recipient, notice, created_at);
CREATE INDEX mail_by_notice ON mail (notice, id);
CREATE INDEX mail_by_state ON mail (state, id);

CREATE TABLE mail_try (
    mail_id TEXT NOT NULL REFERENCES mail (id),
    number BIGINT NOT NULL,
    at BIGINT NOT NULL,
    answer TEXT NOT NULL,
    PRIMARY KEY (mail_id, number)
);

-- Addresses that a mail server has refused for good.
CREATE TABLE mail_suppression (
    address TEXT PRIMARY KEY,
    why TEXT NOT NULL,
    mail_id TEXT NOT NULL,
    at BIGINT NOT NULL
);

-- Every version of a template that was ever saved; without words it is the built-in one again.
CREATE TABLE notice_template (
    notice TEXT NOT NULL,
    language TEXT NOT NULL,
    version BIGINT NOT NULL,
    subject TEXT,
    body TEXT,
    saved_at BIGINT NOT NULL,
    saved_by TEXT NOT NULL,
    PRIMARY KEY (notice, language, version)
);

-- When something was last told that is not told again for a while.
CREATE TABLE notice_told (
    notice TEXT NOT NULL,
    about TEXT NOT NULL,
    told_at BIGINT NOT NULL,
    PRIMARY KEY (notice, about)
);

-- Whether a batch has ended is asked each time one of its payments does.
CREATE INDEX payout_transaction_under_way ON payout_transaction (batch_id) WHERE settled_at IS NULL;
