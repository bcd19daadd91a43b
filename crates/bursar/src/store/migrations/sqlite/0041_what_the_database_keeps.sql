-- What stands in the books and in the trail stays there, and a journal that does not sum to zero cannot be committed. The
-- same for PostgreSQL stands beside this folder.
CREATE TRIGGER posting_not_changed BEFORE UPDATE ON posting BEGIN SELECT RAISE(ABORT, 'posting is only ever added to'); END;
CREATE TRIGGER posting_not_removed BEFORE DELETE ON posting BEGIN SELECT RAISE(ABORT, 'posting is only ever added to'); END;
CREATE TRIGGER journal_not_changed BEFORE UPDATE ON journal BEGIN SELECT RAISE(ABORT, 'journal is only ever added to'); END;
CREATE TRIGGER journal_not_removed BEFORE DELETE ON journal BEGIN SELECT RAISE(ABORT, 'journal is only ever added to'); END;
CREATE TRIGGER audit_not_changed BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'audit is only ever added to'); END;
CREATE TRIGGER audit_not_removed BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'audit is only ever added to'); END;

-- SQLite checks triggers at once and foreign keys, where they say so, at the commit. So what a journal is off by is kept
-- here, under a foreign key to what is never there: a commit that would leave a row behind fails.
CREATE TABLE never_there (id TEXT PRIMARY KEY);
CREATE TRIGGER never_there_stays_so BEFORE INSERT ON never_there BEGIN SELECT RAISE(ABORT, 'this table stays empty'); END;
CREATE TABLE journal_off_by (
    journal_id TEXT NOT NULL,
    currency TEXT NOT NULL,
    amount_minor BIGINT NOT NULL,
    unbalanced TEXT NOT NULL DEFAULT 'unbalanced' REFERENCES never_there (id) DEFERRABLE INITIALLY DEFERRED,
    PRIMARY KEY (journal_id, currency)
);
CREATE TRIGGER posting_balances AFTER INSERT ON posting BEGIN
    INSERT INTO journal_off_by (journal_id, currency, amount_minor)
        VALUES (NEW.journal_id, NEW.currency, NEW.amount_minor)
        ON CONFLICT (journal_id, currency) DO UPDATE SET amount_minor = amount_minor + excluded.amount_minor;
    DELETE FROM journal_off_by
        WHERE journal_id = NEW.journal_id AND currency = NEW.currency AND amount_minor = 0;
END;

-- Of one payment no more can leave what is in flight than was promised, and no more can leave what lies at its payee than
-- was put there: a second Post, Void, Unpark or Recall finds nothing.
CREATE TRIGGER posting_in_flight AFTER INSERT ON posting
    WHEN NEW.account LIKE 'in_flight:%' AND NEW.amount_minor > 0
BEGIN
    SELECT RAISE(ABORT, 'more would leave what is in flight than was promised') WHERE (
        SELECT SUM(p.amount_minor) FROM journal j JOIN posting p ON p.journal_id = j.id
        WHERE j.subject = (SELECT subject FROM journal WHERE id = NEW.journal_id)
        AND p.account = NEW.account AND p.currency = NEW.currency) > 0;
END;
CREATE TRIGGER posting_returned AFTER INSERT ON posting
    WHEN NEW.account LIKE 'returned:%' AND NEW.amount_minor < 0
BEGIN
    SELECT RAISE(ABORT, 'more would leave what was returned than lies there') WHERE (
        SELECT SUM(p.amount_minor) FROM journal j JOIN posting p ON p.journal_id = j.id
        WHERE j.subject = (SELECT subject FROM journal WHERE id = NEW.journal_id)
        AND p.account = NEW.account AND p.currency = NEW.currency) < 0;
END;
