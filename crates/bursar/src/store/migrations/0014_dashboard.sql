-- What the dashboard adds up. The movements of money to and from payees by their date, without the million approvals
-- that stand between them; and what each payee has earned, which is read off the index alone.
CREATE INDEX journal_moved ON journal (at, id, subject) WHERE movement IN ('post', 'park', 'unpark', 'reverse');
CREATE INDEX reward_earned ON reward (payee, decided_at, currency, entry, value_minor)
    WHERE status = 'approved' AND currency IS NOT NULL;
