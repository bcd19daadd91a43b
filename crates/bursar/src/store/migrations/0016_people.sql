-- People and keys as an administrator lists them. key_hint is the end of an API key, by which whoever holds it tells it
-- from others; made_by is who made the person or the key.
ALTER TABLE person ADD COLUMN key_hint TEXT;
ALTER TABLE person ADD COLUMN made_by TEXT;
CREATE INDEX person_ours ON person (id) WHERE kind = 'person' AND partner_id IS NULL;
CREATE INDEX person_keys ON person (id) WHERE kind = 'api_key';

-- The activity log is read by time: of everybody, of one person, of one kind of change.
CREATE INDEX audit_by_time ON audit (at, seq);
CREATE INDEX audit_by_actor ON audit (actor, at, seq);
CREATE INDEX audit_by_action ON audit (action, at, seq);

-- What a partner or account is found by. Each beginning is what its name, the caller's id or the address reads like from
-- one of its words on: in small letters, without accents, and written as hexadecimal digits, because in whatever order a
-- database puts letters, it puts these in the same.
CREATE TABLE search_word (
    beginning TEXT NOT NULL,
    subject TEXT NOT NULL,
    PRIMARY KEY (beginning, subject)
);
CREATE INDEX search_word_by_subject ON search_word (subject);

-- The list of payees is also read by age and by country.
CREATE INDEX partner_by_age ON partner (created_at, id);
CREATE INDEX account_by_age ON account (created_at, id);
CREATE INDEX partner_by_country ON partner (country, name, id);
CREATE INDEX account_by_country ON account (country, name, id);
CREATE INDEX activity_by_program ON activity (program_id, name, id);
