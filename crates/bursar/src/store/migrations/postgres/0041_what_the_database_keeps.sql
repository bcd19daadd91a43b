-- What stands in the books and in the trail stays there, and a journal that does not sum to zero cannot be committed. The
-- same for SQLite stands beside this folder.
CREATE FUNCTION only_ever_added_to() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is only ever added to', TG_TABLE_NAME;
END $$;
CREATE TRIGGER posting_stays BEFORE UPDATE OR DELETE OR TRUNCATE ON posting EXECUTE FUNCTION only_ever_added_to();
CREATE TRIGGER journal_stays BEFORE UPDATE OR DELETE OR TRUNCATE ON journal EXECUTE FUNCTION only_ever_added_to();
CREATE TRIGGER audit_stays BEFORE UPDATE OR DELETE OR TRUNCATE ON audit EXECUTE FUNCTION only_ever_added_to();

CREATE FUNCTION journal_sums_to_zero() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM posting WHERE journal_id = NEW.journal_id
               GROUP BY currency HAVING SUM(amount_minor) <> 0) THEN
        RAISE EXCEPTION 'journal % does not sum to zero', NEW.journal_id USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER posting_balances AFTER INSERT ON posting DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION journal_sums_to_zero();

-- Of one payment no more can leave what is in flight than was promised, and no more can leave what lies at its payee than
-- was put there: a second Post, Void, Unpark or Recall finds nothing.
CREATE FUNCTION no_more_than_there_is() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    left_over numeric;
BEGIN
    SELECT SUM(p.amount_minor) INTO left_over FROM journal j JOIN posting p ON p.journal_id = j.id
        WHERE j.subject = (SELECT subject FROM journal WHERE id = NEW.journal_id)
        AND p.account = NEW.account AND p.currency = NEW.currency;
    IF NEW.amount_minor > 0 AND left_over > 0 THEN
        RAISE EXCEPTION 'more would leave what is in flight than was promised' USING ERRCODE = 'check_violation';
    ELSIF NEW.amount_minor < 0 AND left_over < 0 THEN
        RAISE EXCEPTION 'more would leave what was returned than lies there' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER posting_in_flight AFTER INSERT ON posting FOR EACH ROW
    WHEN (NEW.account LIKE 'in\_flight:%' AND NEW.amount_minor > 0) EXECUTE FUNCTION no_more_than_there_is();
CREATE TRIGGER posting_returned AFTER INSERT ON posting FOR EACH ROW
    WHEN (NEW.account LIKE 'returned:%' AND NEW.amount_minor < 0) EXECUTE FUNCTION no_more_than_there_is();
