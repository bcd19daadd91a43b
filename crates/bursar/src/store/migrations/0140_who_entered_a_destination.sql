-- Who stood behind an entry of a destination when it was made, if it was not the payee. With the two-person rule they cannot
-- release the first payment to it. Of earlier entries only the actor is known.
ALTER TABLE profile_change ADD COLUMN entered_by TEXT;

UPDATE profile_change SET entered_by = actor
WHERE NOT EXISTS (SELECT 1 FROM person p WHERE p.id = profile_change.actor AND p.kind = 'person'
    AND p.role IN ('partner', 'partner_admin'));
