-- What a vendor answered to a money request, as it came, for whoever must be able to show it. Requests lie in submission
-- and events in vendor_event.
CREATE TABLE vendor_answer (
    id TEXT PRIMARY KEY,
    submission_id TEXT NOT NULL REFERENCES submission (id),
    at BIGINT NOT NULL,
    status BIGINT NOT NULL,
    request_id TEXT,
    body TEXT NOT NULL
);
CREATE INDEX vendor_answer_by_submission ON vendor_answer (submission_id, at);

CREATE INDEX vendor_event_by_transaction ON vendor_event (transaction_id, received_at)
    WHERE transaction_id IS NOT NULL;
