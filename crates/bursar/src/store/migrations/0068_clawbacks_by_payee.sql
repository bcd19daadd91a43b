-- The clawbacks of a payee are looked for whenever a claim of theirs is formed or shown, also those that lie in a draft.
CREATE INDEX reward_clawback_of ON reward (payee, currency) WHERE entry = 'clawback';
