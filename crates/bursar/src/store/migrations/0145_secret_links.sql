-- The one-time links of notices whose mails are not sent yet, sealed with the master key: whoever reads the database or a backup can
-- follow none of them. A row goes when its mail is sent, or when its link has expired. Notices from before have theirs in outbox.detail
-- or mail.body until they are sent.
CREATE TABLE secret_link (
    outbox_id TEXT PRIMARY KEY,
    sealed TEXT NOT NULL,
    until_at BIGINT NOT NULL
);
CREATE INDEX secret_link_over ON secret_link (until_at);
