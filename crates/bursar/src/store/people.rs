//! People and API keys, and their one-time login links. Only hashes of secrets are here. What is deliberately not here: where
//! people are signed in (`sessions`).

use sqlx::Row as _;
use sqlx::any::AnyRow;

use payout::access::{Permission, Role, allows};
use payout::ids::{PartnerId, PersonId};
use payout::scope::{Scope, Scopes};

use super::preferences::{self, Preferences};
use super::sessions::UsedSince;
use super::{Db, Result, Tx, factors, sessions, word};

/// A person or an API key: whoever acts.
#[derive(Clone, Debug)]
pub struct Person {
    /// The id.
    pub id: PersonId,
    /// `person` or `api_key`.
    pub kind: String,
    /// The name shown in history.
    pub name: String,
    /// Where a person signs in with.
    pub email: Option<String>,
    pub role: Role,
    /// The scopes of a key (`payout::scope`), with commas between.
    pub scopes: String,
    /// The partner it is, for the partner roles.
    pub partner: Option<PartnerId>,
    /// The slow hash of the password.
    pub password_hash: Option<String>,
    /// When it was shut out.
    pub disabled_at: Option<i64>,
    /// When it was last here, to about five minutes.
    pub last_seen_at: Option<i64>,
}

const COLUMNS: &str = "p.id, p.kind, p.name, p.email, p.role, p.scopes, p.partner_id, p.password_hash, p.disabled_at, \
                       p.last_seen_at";

/// An API key, with all that decides whether it is taken.
#[derive(Clone, Debug)]
pub struct Key {
    /// The key as whoever acts.
    pub person: Person,
    /// When it ends by itself.
    pub ends_at: Option<i64>,
    /// The addresses that it is taken from, with commas between; empty for any.
    pub networks: String,
    /// The address it was last used from, where that was known.
    pub seen_from: Option<String>,
    /// Whoever made it, where they are kept here: their role, and since when they are shut out.
    pub maker: Option<(Role, Option<i64>)>,
    /// What is decided here about keys, as it is kept.
    pub rules: Option<String>,
}

/// The API key of this hash, disabled ones included.
pub async fn by_key_hash(db: &mut Db, hash: &str) -> Result<Option<Key>> {
    let mut conditions = super::Where::default();
    conditions.and("p.key_hash = ?", [hash.into()]);
    let sql = format!(
        "SELECT {COLUMNS}, p.ends_at, p.networks, p.seen_from, m.role AS maker_role, \
         m.disabled_at AS maker_disabled_at, s.value AS key_rules FROM person p \
         LEFT JOIN person m ON m.id = p.stands_for AND m.kind = 'person' \
         LEFT JOIN setting s ON s.name = 'api_keys' {{where}}"
    );
    let key = |row: AnyRow| {
        let maker: Option<String> = row.try_get("maker_role")?;
        let networks: Option<String> = row.try_get("networks")?;
        let disabled_at = row.try_get("maker_disabled_at")?;
        Ok(Key {
            person: read(&row)?,
            ends_at: row.try_get("ends_at")?,
            networks: networks.unwrap_or_default(),
            seen_from: row.try_get("seen_from")?,
            maker: maker
                .map(|role| Ok::<_, super::StoreError>((word(Role::parse(&role), &role)?, disabled_at)))
                .transpose()?,
            rules: row.try_get("key_rules")?,
        })
    };
    db.optional(conditions.query(&sql)).await?.map(key).transpose()
}

/// The person who signs in with this address (lower case), disabled ones included.
pub async fn by_email(db: &mut Db, email: &str) -> Result<Option<Person>> {
    one(db, "p.email = ?", email).await
}

/// The person or key of this id.
pub async fn by_id(db: &mut Db, id: PersonId) -> Result<Option<Person>> {
    one(db, "p.id = ?", &id.to_string()).await
}

/// The person or key of this id, held until the end of the transaction: what is decided by how it stands is decided once.
pub async fn hold(tx: &mut Tx, id: PersonId) -> Result<Option<Person>> {
    tx.run(sqlx::query("UPDATE person SET kind = kind WHERE id = $1").bind(id.to_string())).await?;
    by_id(tx, id).await
}

async fn one(db: &mut Db, condition: &str, value: &str) -> Result<Option<Person>> {
    let mut conditions = super::Where::default();
    conditions.and(condition, [value.into()]);
    let sql = format!("SELECT {COLUMNS} FROM person p {{where}}");
    db.optional(conditions.query(&sql)).await?.map(|row| read(&row)).transpose()
}

/// How far it is followed who is behind a login.
const MOST_BEHIND: usize = 8;

/// The person behind a login or an API key: a key is whoever made it, and a login whose link somebody else was shown is
/// theirs for as long as its row says. Of whom nothing is kept (the command line) it is that name itself.
pub async fn behind(db: &mut Db, id: &str, now: i64) -> Result<String> {
    let sql = "SELECT stands_for FROM person WHERE id = $1 AND stands_for IS NOT NULL \
               AND (stands_until IS NULL OR stands_until > $2)";
    let mut behind = id.to_owned();
    for _ in 0..MOST_BEHIND {
        match db.optional(sqlx::query(sql).bind(behind.clone()).bind(now)).await? {
            Some(row) => behind = row.try_get(0)?,
            None => break,
        }
    }
    Ok(behind)
}

/// Notes that a login stands for whoever was shown its link, until then: they could have opened it themselves.
pub async fn stand_for(tx: &mut Tx, id: PersonId, whom: &str, until: i64) -> Result<u64> {
    let sql = "UPDATE person SET stands_for = $2, stands_until = $3 WHERE id = $1 AND id <> $2";
    tx.run(sqlx::query(sql).bind(id.to_string()).bind(whom.to_owned()).bind(until)).await
}

/// Whether somebody counts where two persons are needed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Counts {
    Yes,
    /// It is an API key without the scope for it, [`Scope::Release`].
    KeyMayNot,
    /// The login, or that of whoever made the key, has been allowed to pay for less than a day: it counts from then on.
    From(i64),
}

/// Whether somebody counts where two persons are needed. Of whom nothing is kept (the command line) it is not asked.
pub async fn counts(db: &mut Db, id: &str, now: i64) -> Result<Counts> {
    let sql = "SELECT p.kind, p.scopes, p.counts_from, m.counts_from FROM person p \
               LEFT JOIN person m ON p.kind = 'api_key' AND m.id = p.stands_for WHERE p.id = $1";
    let Some(row) = db.optional(sqlx::query(sql).bind(id.to_owned())).await? else { return Ok(Counts::Yes) };
    let (kind, scopes): (String, String) = (row.try_get(0)?, row.try_get(1)?);
    if kind == "api_key" && !Scopes::kept(&scopes).has(Scope::Release) {
        return Ok(Counts::KeyMayNot);
    }
    let (own, makers): (Option<i64>, Option<i64>) = (row.try_get(2)?, row.try_get(3)?);
    Ok(own.max(makers).filter(|from| *from > now).map_or(Counts::Yes, Counts::From))
}

/// Notes from when a login counts where two persons are needed.
pub async fn count_from(tx: &mut Tx, id: PersonId, from: i64) -> Result<u64> {
    let sql = "UPDATE person SET counts_from = $2 WHERE id = $1";
    tx.run(sqlx::query(sql).bind(id.to_string()).bind(from)).await
}

/// Whether whoever released a payout may still: they are not shut out, and their role still pays. Whoever is not kept here
/// (nobody, but for databases put together by hand) is not asked about.
pub async fn may_still(db: &mut Db, id: &str, permission: Permission, now: i64) -> Result<bool> {
    let sql = "SELECT p.role, p.disabled_at, p.ends_at, m.role, m.disabled_at FROM person p \
               LEFT JOIN person m ON p.kind = 'api_key' AND m.id = p.stands_for AND m.kind = 'person' WHERE p.id = $1";
    let Some(row) = db.optional(sqlx::query(sql).bind(id.to_owned())).await? else { return Ok(true) };
    let role = |place: usize| {
        let role: Option<String> = row.try_get(place)?;
        role.map(|role| word(Role::parse(&role), &role)).transpose()
    };
    let (disabled_at, ends_at): (Option<i64>, Option<i64>) = (row.try_get(1)?, row.try_get(2)?);
    let makers_end: Option<i64> = row.try_get(4)?;
    let may = role(0)?.is_some_and(|role| allows(role, permission));
    // A key goes with whoever made it.
    let maker_may =
        role(3)?.is_none_or(|maker| allows(maker, Permission::Administer)) && makers_end.is_none();
    Ok(may && maker_may && disabled_at.is_none() && ends_at.is_none_or(|at| now < at))
}

/// Whether somebody could sign in, or call, as an administrator.
pub async fn has_administrator(db: &mut Db) -> Result<bool> {
    let sql =
        "SELECT id FROM person WHERE role = 'admin' AND kind = 'person' AND disabled_at IS NULL LIMIT 1";
    Ok(db.optional(sqlx::query(sql)).await?.is_some())
}

/// What an API key is stored as: its hash, and its end, by which people tell it from others; and how far it goes.
pub struct KeyMark {
    pub hash: String,
    pub hint: String,
    /// When it ends by itself.
    pub ends_at: Option<i64>,
    /// The addresses that it is taken from, with commas between; nothing for any.
    pub networks: Option<String>,
}

/// Enters a person (`key` empty) or an API key (`key` given), made by `by`. False when the address is taken.
pub async fn insert(tx: &mut Tx, person: &Person, key: Option<&KeyMark>, by: &str, now: i64) -> Result<bool> {
    let sql = "INSERT INTO person (id, kind, name, email, role, scopes, partner_id, password_hash, key_hash, key_hint, \
               made_by, created_at, stands_for, ends_at, networks) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) ON CONFLICT DO NOTHING";
    let query = sqlx::query(sql)
        .bind(person.id.to_string())
        .bind(person.kind.clone())
        .bind(person.name.clone())
        .bind(person.email.clone())
        .bind(person.role.as_str())
        .bind(person.scopes.clone())
        .bind(person.partner.map(|partner| partner.to_string()))
        .bind(person.password_hash.clone())
        .bind(key.map(|key| key.hash.clone()))
        .bind(key.map(|key| key.hint.clone()))
        .bind(by.to_owned())
        .bind(now)
        .bind(key.map(|_| by.to_owned()))
        .bind(key.and_then(|key| key.ends_at))
        .bind(key.and_then(|key| key.networks.clone()));
    Ok(tx.run(query).await? == 1)
}

/// Shuts a person or key out and ends its sessions; 0 when it was out already.
pub async fn disable(tx: &mut Tx, id: PersonId, now: i64) -> Result<u64> {
    let sql = "UPDATE person SET disabled_at = $1 WHERE id = $2 AND disabled_at IS NULL";
    let done = tx.run(sqlx::query(sql).bind(now).bind(id.to_string())).await?;
    sessions::end_all(tx, id).await?;
    factors::end_halves(tx, id).await?;
    Ok(done)
}

/// Lets a person in again; 0 when they were not out.
pub async fn enable(tx: &mut Tx, id: PersonId) -> Result<u64> {
    let sql = "UPDATE person SET disabled_at = NULL WHERE id = $1 AND disabled_at IS NOT NULL";
    tx.run(sqlx::query(sql).bind(id.to_string())).await
}

/// The administrators who can sign in, held until the end of the transaction: of two that take each other's role at the
/// same moment, the second sees what the first did.
pub async fn hold_administrators(tx: &mut Tx) -> Result<Vec<PersonId>> {
    let sql = "UPDATE person SET role = 'admin' WHERE role = 'admin' AND kind = 'person' AND disabled_at IS NULL \
               RETURNING id";
    let rows = tx.all(sqlx::query(sql)).await?;
    let read = |row: &AnyRow| {
        let id: String = row.try_get(0)?;
        word(PersonId::parse(&id), &id)
    };
    rows.iter().map(read).collect()
}

/// How many administrators can sign in beside this one.
pub async fn other_administrators(db: &mut Db, id: PersonId) -> Result<usize> {
    let sql = "SELECT id FROM person \
               WHERE role = 'admin' AND kind = 'person' AND disabled_at IS NULL AND id <> $1 LIMIT 100";
    Ok(db.all(sqlx::query(sql).bind(id.to_string())).await?.len())
}

/// Whether an administrator beside this one can come in: with a password, with a passkey, or by the provider of this address,
/// who must have been here after `seen`.
pub async fn has_another_usable_administrator(
    db: &mut Db,
    id: PersonId,
    issuer: &str,
    seen: i64,
) -> Result<bool> {
    let sql = "SELECT p.id FROM person p \
               WHERE p.role = 'admin' AND p.kind = 'person' AND p.disabled_at IS NULL AND p.id <> $1 \
               AND (p.password_hash IS NOT NULL \
                    OR EXISTS (SELECT 1 FROM passkey k WHERE k.person_id = p.id) \
                    OR p.last_seen_at > $2 AND EXISTS (SELECT 1 FROM login_identity i WHERE i.person_id = p.id AND i.issuer = $3 \
                       AND i.unlinked_at IS NULL AND i.refused_at IS NULL AND i.lacks_at IS NULL)) LIMIT 1";
    let query = sqlx::query(sql).bind(id.to_string()).bind(seen).bind(issuer.to_owned());
    Ok(db.optional(query).await?.is_some())
}

/// Notes when somebody was last here, unless that is known to be later than `before`.
pub async fn seen(tx: &mut Tx, id: PersonId, now: i64, before: i64) -> Result<u64> {
    let sql =
        "UPDATE person SET last_seen_at = $1 WHERE id = $2 AND (last_seen_at IS NULL OR last_seen_at < $3)";
    tx.run(sqlx::query(sql).bind(now).bind(id.to_string()).bind(before)).await
}

/// Notes when an API key was last used and from where, unless that is known to be later than `before`.
pub async fn key_used(tx: &mut Tx, id: PersonId, from: Option<&str>, now: i64, before: i64) -> Result<u64> {
    let sql = "UPDATE person SET last_seen_at = $1, seen_from = $4 \
               WHERE id = $2 AND (last_seen_at IS NULL OR last_seen_at < $3)";
    let query = sqlx::query(sql).bind(now).bind(id.to_string()).bind(before);
    tx.run(query.bind(from.map(str::to_owned))).await
}

/// Gives an API key other addresses that it is taken from, with commas between; empty for any.
pub async fn set_networks(tx: &mut Tx, id: PersonId, networks: &str) -> Result<u64> {
    let sql = "UPDATE person SET networks = NULLIF($2, '') WHERE id = $1 AND kind = 'api_key'";
    tx.run(sqlx::query(sql).bind(id.to_string()).bind(networks.to_owned())).await
}

/// The names of the API keys that somebody made and that are not revoked.
pub async fn keys_made_by(db: &mut Db, maker: PersonId) -> Result<Vec<String>> {
    let sql = "SELECT name FROM person WHERE kind = 'api_key' AND disabled_at IS NULL AND stands_for = $1 ORDER BY id";
    let rows = db.all(sqlx::query(sql).bind(maker.to_string())).await?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// The scopes of an API key, and whether somebody made it who is kept here, not the command line; `None` for a person.
pub async fn how_key_was_made(db: &mut Db, id: PersonId) -> Result<Option<(String, bool)>> {
    let sql = "SELECT p.scopes, m.id FROM person p LEFT JOIN person m ON m.id = p.stands_for AND m.kind = 'person' \
               WHERE p.id = $1 AND p.kind = 'api_key'";
    let Some(row) = db.optional(sqlx::query(sql).bind(id.to_string())).await? else { return Ok(None) };
    let maker: Option<String> = row.try_get(1)?;
    Ok(Some((row.try_get(0)?, maker.is_some())))
}

/// The API keys that are not revoked, with what they may do and the addresses they are taken from (empty for any): name, role,
/// scopes, addresses.
pub async fn keys_and_networks(db: &mut Db) -> Result<Vec<(String, Role, String, String)>> {
    let sql = "SELECT name, role, scopes, COALESCE(networks, '') FROM person \
               WHERE kind = 'api_key' AND disabled_at IS NULL ORDER BY id";
    let read = |row: &AnyRow| {
        let role: String = row.try_get(1)?;
        Ok((row.try_get(0)?, word(Role::parse(&role), &role)?, row.try_get(2)?, row.try_get(3)?))
    };
    db.all(sqlx::query(sql)).await?.iter().map(read).collect()
}

/// The people, not the keys, who sign in as this partner, the oldest first.
pub async fn of_partner(db: &mut Db, partner: PartnerId) -> Result<Vec<Person>> {
    let mut conditions = super::Where::default();
    conditions.and("p.partner_id = ?", [partner.to_string().into()]);
    conditions.and("p.kind = 'person'", []);
    let sql = format!("SELECT {COLUMNS} FROM person p {{where}} ORDER BY p.id");
    db.all(conditions.query(&sql)).await?.iter().map(read).collect()
}

/// Gives a person another role.
pub async fn set_role(tx: &mut Tx, id: PersonId, role: Role) -> Result<u64> {
    let sql = "UPDATE person SET role = $1 WHERE id = $2";
    tx.run(sqlx::query(sql).bind(role.as_str()).bind(id.to_string())).await
}

/// Gives a person another password, or none, and ends the sessions begun with the old one.
pub async fn set_password(tx: &mut Tx, id: PersonId, hash: Option<&str>) -> Result<u64> {
    let sql = "UPDATE person SET password_hash = $1 WHERE id = $2";
    let done = tx.run(sqlx::query(sql).bind(hash.map(str::to_owned)).bind(id.to_string())).await?;
    sessions::end_all(tx, id).await?;
    factors::end_halves(tx, id).await?;
    Ok(done)
}

/// Gives a person another name and address to sign in with.
pub async fn introduce(tx: &mut Tx, id: PersonId, name: &str, email: &str) -> Result<u64> {
    let sql = "UPDATE person SET name = $1, email = $2 WHERE id = $3";
    tx.run(sqlx::query(sql).bind(name.to_owned()).bind(email.to_owned()).bind(id.to_string())).await
}

/// Gives a person another password and leaves their sessions as they are.
pub async fn keep_password(tx: &mut Tx, id: PersonId, hash: &str) -> Result<u64> {
    let sql = "UPDATE person SET password_hash = $1 WHERE id = $2";
    tx.run(sqlx::query(sql).bind(hash.to_owned()).bind(id.to_string())).await
}

/// Whoever holds a session, with what every page needs of them.
#[derive(Clone, Debug)]
pub struct SignedIn {
    pub person: Person,
    pub id: String,
    /// The word that every form of the session carries.
    pub csrf: String,
    /// When they last gave their password, or came by a one-time link.
    pub proved_at: Option<i64>,
    /// When it was last used, to about a minute.
    pub seen_at: i64,
    /// Since when they have an authenticator app.
    pub factor_at: Option<i64>,
    /// Since when they have a passkey.
    pub passkey_at: Option<i64>,
    /// When they came by the provider with it.
    pub provider_at: Option<i64>,
    /// How pages look to them.
    pub preferences: Preferences,
}

/// Whoever signed in with this token. Nothing when it is over or they are shut out.
pub async fn in_session(
    db: &mut Db,
    token_hash: &str,
    now: i64,
    since: UsedSince,
) -> Result<Option<SignedIn>> {
    let mut conditions = super::Where::default();
    conditions.and("s.token_hash = ?", [token_hash.into()]);
    conditions.and("s.expires_at > ?", [now.into()]);
    conditions.and("p.disabled_at IS NULL", []);
    since.narrow(&mut conditions);
    let sql = format!(
        "SELECT {COLUMNS}, COALESCE(s.public_id, s.token_hash) AS session_id, s.csrf, s.proved_at, \
         COALESCE(s.seen_at, s.created_at) AS used_at, s.provider_at, x.confirmed_at AS factor_at, \
         (SELECT k.made_at FROM passkey k WHERE k.person_id = p.id LIMIT 1) AS passkey_at, f.theme, f.zone, f.shortcuts_off_at \
         FROM session s JOIN person p ON p.id = s.person_id LEFT JOIN factor x ON x.person_id = p.id \
         LEFT JOIN preference f ON f.person_id = p.id {{where}}"
    );
    let row = db.optional(conditions.query(&sql)).await?;
    let signed_in = |row: AnyRow| {
        Ok(SignedIn {
            person: read(&row)?,
            id: row.try_get("session_id")?,
            csrf: row.try_get("csrf")?,
            proved_at: row.try_get("proved_at")?,
            seen_at: row.try_get("used_at")?,
            factor_at: row.try_get("factor_at")?,
            passkey_at: row.try_get("passkey_at")?,
            provider_at: row.try_get("provider_at")?,
            preferences: preferences::read(&row)?,
        })
    };
    row.map(signed_in).transpose()
}

/// What a one-time link is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LinkFor {
    Login,
    /// Choosing a password first. It travels by mail, so opening it does nothing.
    Join,
    /// Choosing another password in the place of a forgotten one. It travels by mail too, and nobody but its owner has seen it.
    Password,
}

impl LinkFor {
    fn as_str(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::Join => "join",
            Self::Password => "password",
        }
    }
}

pub async fn add_link(
    tx: &mut Tx,
    token_hash: &str,
    (id, purpose): (PersonId, LinkFor),
    expires_at: i64,
) -> Result<()> {
    let sql = "INSERT INTO login_link (token_hash, person_id, purpose, expires_at) VALUES ($1, $2, $3, $4)";
    let query = sqlx::query(sql).bind(token_hash.to_owned()).bind(id.to_string());
    tx.run(query.bind(purpose.as_str()).bind(expires_at)).await?;
    Ok(())
}

/// Whose a link is that could still be used for this; `None` when it is unknown, used, too old or for something else.
pub async fn waiting_link(
    db: &mut Db,
    token_hash: &str,
    purpose: LinkFor,
    now: i64,
) -> Result<Option<Person>> {
    let sql = match purpose {
        LinkFor::Login => {
            "SELECT person_id FROM login_link \
             WHERE token_hash = $1 AND purpose = 'login' AND used_at IS NULL AND expires_at > $2"
        }
        LinkFor::Join => {
            "SELECT person_id FROM login_link \
             WHERE token_hash = $1 AND purpose IN ('login', 'join') AND used_at IS NULL AND expires_at > $2"
        }
        LinkFor::Password => {
            "SELECT person_id FROM login_link \
             WHERE token_hash = $1 AND purpose = 'password' AND used_at IS NULL AND expires_at > $2"
        }
    };
    let row = db.optional(sqlx::query(sql).bind(token_hash.to_owned()).bind(now)).await?;
    let Some(row) = row else { return Ok(None) };
    let id: String = row.try_get(0)?;
    Ok(by_id(db, word(PersonId::parse(&id), &id)?).await?.filter(|person| person.disabled_at.is_none()))
}

/// Takes away every link of somebody that was not used yet.
pub async fn drop_links(tx: &mut Tx, id: PersonId) -> Result<u64> {
    let sql = "DELETE FROM login_link WHERE person_id = $1 AND used_at IS NULL";
    tx.run(sqlx::query(sql).bind(id.to_string())).await
}

/// Takes away every link for a forgotten password of somebody that was not used yet; their invitation, if it waits, stays:
/// anybody may ask for such a link.
pub async fn drop_password_links(tx: &mut Tx, id: PersonId) -> Result<u64> {
    let sql = "DELETE FROM login_link WHERE person_id = $1 AND purpose = 'password' AND used_at IS NULL";
    tx.run(sqlx::query(sql).bind(id.to_string())).await
}

/// Uses a link up and answers whose it was; `None` when it is unknown, used, too old or for something else.
pub async fn use_link(tx: &mut Tx, token_hash: &str, purpose: LinkFor, now: i64) -> Result<Option<PersonId>> {
    let sql = match purpose {
        LinkFor::Login => {
            "UPDATE login_link SET used_at = $1 \
             WHERE token_hash = $2 AND purpose = 'login' AND used_at IS NULL AND expires_at > $1 RETURNING person_id"
        }
        // Whoever could sign in at once may as well choose a password.
        LinkFor::Join => {
            "UPDATE login_link SET used_at = $1 \
             WHERE token_hash = $2 AND purpose IN ('login', 'join') AND used_at IS NULL AND expires_at > $1 \
             RETURNING person_id"
        }
        LinkFor::Password => {
            "UPDATE login_link SET used_at = $1 \
             WHERE token_hash = $2 AND purpose = 'password' AND used_at IS NULL AND expires_at > $1 RETURNING person_id"
        }
    };
    let row = tx.optional(sqlx::query(sql).bind(now).bind(token_hash.to_owned())).await?;
    row.map(|row| {
        let id: String = row.try_get(0)?;
        word(PersonId::parse(&id), &id)
    })
    .transpose()
}

fn read(row: &AnyRow) -> Result<Person> {
    let id: String = row.try_get("id")?;
    let role: String = row.try_get("role")?;
    let partner: Option<String> = row.try_get("partner_id")?;
    Ok(Person {
        id: word(PersonId::parse(&id), &id)?,
        kind: row.try_get("kind")?,
        name: row.try_get("name")?,
        email: row.try_get("email")?,
        role: word(Role::parse(&role), &role)?,
        scopes: row.try_get("scopes")?,
        partner: partner.map(|id| word(PartnerId::parse(&id), &id)).transpose()?,
        password_hash: row.try_get("password_hash")?,
        disabled_at: row.try_get("disabled_at")?,
        last_seen_at: row.try_get("last_seen_at")?,
    })
}
