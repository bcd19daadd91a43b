-- A header that stood twice in one file was remembered as left out for every later one, and the names that every file needs
-- were guessed no more. Nobody leaves out what an import cannot do without, so these are guessed anew.
DELETE FROM import_header WHERE field IS NULL AND header IN ('externalid', 'id', 'activity', 'owner', 'partner', 'value',
    'amount', 'currency', 'name', 'account', 'email', 'program');
