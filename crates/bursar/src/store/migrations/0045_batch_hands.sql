-- Whoever had a hand in forming a batch: created it, added to it, took out of it, overrode a threshold in it, or asked for
-- its release. None of them can be the second person who releases it. What is known of batches formed before is taken from
-- the batch itself and from the audit trail.
CREATE TABLE batch_hand (
    batch_id TEXT NOT NULL REFERENCES batch (id),
    person TEXT NOT NULL,
    since BIGINT NOT NULL,
    PRIMARY KEY (batch_id, person)
);

INSERT INTO batch_hand (batch_id, person, since)
SELECT batch_id, person, MIN(since) FROM (
    SELECT id AS batch_id, created_by AS person, created_at AS since FROM batch
    UNION ALL SELECT id, changed_by, changed_at FROM batch
    UNION ALL SELECT id, release_asked_by, release_asked_at FROM batch
        WHERE release_asked_by IS NOT NULL AND release_asked_at IS NOT NULL
    UNION ALL SELECT b.id, a.actor, a.at FROM batch b JOIN audit a ON a.subject = b.id
        WHERE a.action IN ('batch_rewards_added', 'batch_rewards_removed', 'batch_blocked_removed',
            'batch_release_asked', 'threshold_overridden')
) hands GROUP BY batch_id, person;
