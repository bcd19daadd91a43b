-- External ids that were not in their normal form when it was made the rule: blanks at their ends, signs that nobody sees.
-- Where the normal form was free, the id has it now and other is NULL; where another thing had it already, the id stays as
-- it was, is found by our own id alone, and somebody should look whether both are one and the same.
CREATE TABLE external_id_review (
    subject TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    was TEXT NOT NULL,
    normal TEXT NOT NULL,
    other TEXT
);
