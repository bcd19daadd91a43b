-- The person behind a login or an API key, for what takes two people. A key is whoever made it; a login whose link somebody
-- else was shown is theirs until then. Made at the command line, a key is the operator's.
ALTER TABLE person ADD COLUMN stands_for TEXT;
ALTER TABLE person ADD COLUMN stands_until BIGINT;
UPDATE person SET stands_for = COALESCE(made_by, (SELECT MIN(a.actor) FROM audit a
    WHERE a.subject = person.id AND a.action = 'api_key_created'), 'operator') WHERE kind = 'api_key';

-- With a key its owner had a hand in what it formed.
INSERT INTO batch_hand (batch_id, person, since)
SELECT h.batch_id, p.stands_for, MIN(h.since) FROM batch_hand h JOIN person p ON p.id = h.person
WHERE p.stands_for IS NOT NULL AND NOT EXISTS (SELECT 1 FROM batch_hand o
    WHERE o.batch_id = h.batch_id AND o.person = p.stands_for)
GROUP BY h.batch_id, p.stands_for;

-- Why something takes a second person, and who the first one is behind the login or key that said it.
ALTER TABLE second_opinion ADD COLUMN why TEXT NOT NULL DEFAULT 'nothing_proves_it';
ALTER TABLE second_opinion ADD COLUMN asked_person TEXT NOT NULL DEFAULT '';
UPDATE second_opinion SET why = 'two_person_rule' WHERE deed = 'not_made';
UPDATE second_opinion SET asked_person = COALESCE((SELECT p.stands_for FROM person p
    WHERE p.id = second_opinion.asked_by), asked_by);
