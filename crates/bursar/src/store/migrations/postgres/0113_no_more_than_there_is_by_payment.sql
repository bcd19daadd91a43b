-- The rule of 0041 again, asked from the payment's journals to their postings and in no other way. An account such as
-- in_flight:stripe is shared by all payments, and while the planner knows little of a table that is growing fast, it read all
-- of it for each row.
CREATE OR REPLACE FUNCTION no_more_than_there_is() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    left_over numeric;
BEGIN
    SELECT SUM(p.amount_minor) INTO left_over FROM journal j CROSS JOIN LATERAL (
        -- OFFSET 0 keeps it from being turned round into a join.
        SELECT amount_minor FROM posting
        WHERE journal_id = j.id AND account = NEW.account AND currency = NEW.currency OFFSET 0) p
        WHERE j.subject = (SELECT subject FROM journal WHERE id = NEW.journal_id);
    IF NEW.amount_minor > 0 AND left_over > 0 THEN
        RAISE EXCEPTION 'more would leave what is in flight than was promised' USING ERRCODE = 'check_violation';
    ELSIF NEW.amount_minor < 0 AND left_over < 0 THEN
        RAISE EXCEPTION 'more would leave what was returned than lies there' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;
