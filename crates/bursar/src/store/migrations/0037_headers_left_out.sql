-- A header that stood twice in one file was remembered as left out for every later one. Nothing tells these from those that
-- somebody meant to leave out, so all of them are guessed anew.
DELETE FROM import_header WHERE field IS NULL;
