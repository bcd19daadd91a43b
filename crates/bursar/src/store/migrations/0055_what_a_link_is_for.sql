-- What a one-time link is for: `login` signs in at once, `join` leads to a form on which a password is chosen first.
-- Links made before this cannot be told apart; they open both doors until they lapse, within a week.
ALTER TABLE login_link ADD COLUMN purpose TEXT NOT NULL DEFAULT 'login';
