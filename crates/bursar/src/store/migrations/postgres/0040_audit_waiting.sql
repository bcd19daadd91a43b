-- Rows of the trail that are committed and not chained yet. The head of the chain is one row: were it taken before a commit,
-- every node would wait for whichever is frozen in the middle of one. So each transaction writes its rows here, in the order
-- of place, with a hash over all of them, and one loop chains what is committed. A row leaves only once it stands in audit.
CREATE TABLE audit_waiting (
    place BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at BIGINT NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    detail TEXT NOT NULL,
    line_number BIGINT NOT NULL,
    line_count BIGINT NOT NULL,
    change_hash TEXT NOT NULL
);
CREATE FUNCTION audit_waits() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF EXISTS (SELECT 1 FROM audit a WHERE a.subject = OLD.subject AND a.at = OLD.at AND a.actor = OLD.actor
                   AND a.action = OLD.action AND a.detail = OLD.detail) THEN
            RETURN OLD;
        END IF;
    END IF;
    RAISE EXCEPTION 'a row of the trail that is not chained yet stays as it is';
END $$;
CREATE TRIGGER audit_waiting_stays BEFORE UPDATE OR DELETE ON audit_waiting FOR EACH ROW EXECUTE FUNCTION audit_waits();
