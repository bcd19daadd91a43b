-- Lists of a million rewards. Every filter has an index that gives its rewards in the order of the list, so that a page
-- is the next rows of a walk; what is rare (an expiry, a decision, a value) has one by which all of it is found. Each
-- index costs at every entry and, on PostgreSQL, at every decision, so there is none that no list needs.
CREATE INDEX reward_by_program ON reward (program_id, created_at, id);
CREATE INDEX reward_by_activity ON reward (activity_id, created_at, id);
CREATE INDEX reward_by_currency ON reward (currency, created_at, id);
-- individual, organization, or points, which nobody is paid. The two columns stand behind it once more because PostgreSQL
-- counts by an index of an expression alone only where the columns of the expression are in it too.
CREATE INDEX reward_by_kind ON reward (COALESCE(payment_type, reward_type), created_at, id, payment_type, reward_type);
CREATE INDEX reward_of_batch ON reward (batch_id, created_at, id) WHERE batch_id IS NOT NULL;
CREATE INDEX reward_by_decision ON reward (decided_at, id) WHERE decided_at IS NOT NULL;

-- Of what waits for a decision and of what can be paid, the oldest and the largest are asked for too.
CREATE INDEX reward_pending_by_number ON reward (number) WHERE status IN ('submitted', 'in_review');
CREATE INDEX reward_pending_by_value ON reward (value_minor, id) WHERE status IN ('submitted', 'in_review');
CREATE INDEX reward_free ON reward (created_at, id)
    WHERE status = 'approved' AND batch_id IS NULL AND transaction_id IS NULL AND paid_at IS NULL;

-- Nine of ten rewards end as approved: an index of every status would mostly say so.
DROP INDEX reward_by_status;
CREATE INDEX reward_rejected ON reward (created_at, id) WHERE status = 'rejected';
CREATE INDEX reward_void ON reward (created_at, id) WHERE status = 'void';
DROP INDEX reward_expiring;
CREATE INDEX reward_by_expiry ON reward (expires_at, id) WHERE expires_at IS NOT NULL;

-- A name that is meant exactly is found at once.
CREATE INDEX partner_named ON partner (lower(name));
CREATE INDEX account_named ON account (lower(name));
