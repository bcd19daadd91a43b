-- From when a login counts where two persons are needed: a day after it was entered, or given a role that pays. Those who were
-- here before count. An API key needs the scope release, which none had.
ALTER TABLE person ADD COLUMN counts_from BIGINT;

-- What the file has where a row was refused, so that whoever mends it sees it beside what is wrong.
ALTER TABLE import_refused ADD COLUMN file_value TEXT NOT NULL DEFAULT '';
