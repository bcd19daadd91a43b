-- Each vendor is sent to and asked by itself, so what is due is taken vendor by vendor, and queued attempts leg by leg: a
-- leg belongs to one vendor.
DROP INDEX attempt_queued;
CREATE INDEX attempt_queued ON attempt (leg, next_at, id) WHERE state = 'queued';
DROP INDEX submission_due;
CREATE INDEX submission_due ON submission (vendor, next_at, id) WHERE state IN ('intended', 'unknown', 'looking');
DROP INDEX payout_transaction_ask;
CREATE INDEX payout_transaction_ask ON payout_transaction (vendor, ask_at) WHERE ask_at IS NOT NULL;
