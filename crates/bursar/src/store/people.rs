//! People, API keys and their one-time login links. Secrets are stored as hashes only. Not here: active sessions
//! (`sessions`).

use sqlx::Row as _;
use sqlx::any::AnyRow;

use payout::access::{Permission, Role, allows};
use payout::ids::{PartnerId, PersonId};
use payout::scope::{Scope, Scopes};

use super::preferences::{self, Preferences};
use super::sessions::UsedSince;
use super::{Db, Result, Tx, factors, sessions, word};

/// An actor: a person or an API key.
#[derive(Clone, Debug)]
pub struct Person {
    /// The id.
    pub id: PersonId,
    /// `person` or `api_key`.
    pub kind: String,
    /// The name shown in history.
    pub name: String,
    /// The email address a person signs in with.
    pub email: Option<String>,
    pub role: Role,
    /// A key's scopes (`payout::scope`), separated by commas.
    pub scopes: String,
    /// The partner, for the partner roles.
    pub partner: Option<PartnerId>,
    /// The slow hash of the password.
    pub password_hash: Option<String>,
    pub disabled_at: Option<i64>,
    /// When it was last active, accurate to about five minutes.
    pub last_seen_at: Option<i64>,
}

const COLUMNS: &str = "p.id, p.kind, p.name, p.email, p.role, p.scopes, p.partner_id, p.password_hash, p.disabled_at, \
                       p.last_seen_at";

/// An API key with everything that decides whether it is accepted.
#[derive(Clone, Debug)]
pub struct Key {
    /// The key as an actor.
    pub person: Person,
    /// When it expires, if it does.
    pub ends_at: Option<i64>,
    /// The allowed client addresses, separated by commas; empty for any.
    pub networks: String,
    /// The client address of its last use, if known.
    pub seen_from: Option<String>,
    /// Its creator, if stored here: their role, and when they were disabled.
    pub maker: Option<(Role, Option<i64>)>,
    /// The stored settings for API keys.
    pub rules: Option<String>,
}

/// The API key with this hash, including disabled ones.
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

/// The person who signs in with this address (lower case), including disabled ones.
pub async fn by_email(db: &mut Db, email: &str) -> Result<Option<Person>> {
    one(db, "p.email = ?", email).await
}

/// The person or key with this id.
pub async fn by_id(db: &mut Db, id: PersonId) -> Result<Option<Person>> {
    one(db, "p.id = ?", &id.to_string()).await
}

/// The person or key with this id, locked until the transaction ends, so that nobody changes it in the meantime.
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

/// How many links to follow to the person behind a login.
const MOST_BEHIND: usize = 8;

/// The person behind a login or API key: for a key, its creator; for a login whose link was shown to someone else, that
/// person until `stands_until`. An actor that is not stored here (the command line) stands for itself.
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

/// Records that a login stands for whoever was shown its link, until then: they could have opened it themselves.
pub async fn stand_for(tx: &mut Tx, id: PersonId, whom: &str, until: i64) -> Result<u64> {
    // A shorter time does not end a longer one of the same person.
    let sql = "UPDATE person SET stands_for = $2, \
               stands_until = CASE WHEN stands_for = $2 AND stands_until > $3 THEN stands_until ELSE $3 END \
               WHERE id = $1 AND id <> $2";
    tx.run(sqlx::query(sql).bind(id.to_string()).bind(whom.to_owned()).bind(until)).await
}

/// Whether an actor counts toward the two-person rule.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Counts {
    Yes,
    /// An API key without the required scope, [`Scope::Release`].
    KeyMayNot,
    /// The login, or the key creator's login, has had permission to pay for less than a day; it counts from this time.
    From(i64),
}

/// Whether an actor counts toward the two-person rule. One that is not stored here (the command line) always does.
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

/// Sets when a login starts to count toward the two-person rule.
pub async fn count_from(tx: &mut Tx, id: PersonId, from: i64) -> Result<u64> {
    let sql = "UPDATE person SET counts_from = $2 WHERE id = $1";
    tx.run(sqlx::query(sql).bind(id.to_string()).bind(from)).await
}

/// Whether the person who released a payout still has the permission: not disabled, not expired, and with a role that
/// allows it. An actor that is not stored here passes, which occurs only in hand-assembled databases.
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
    // A key is only as valid as its creator.
    let maker_may =
        role(3)?.is_none_or(|maker| allows(maker, Permission::Administer)) && makers_end.is_none();
    Ok(may && maker_may && disabled_at.is_none() && ends_at.is_none_or(|at| now < at))
}

/// Whether any enabled administrator login exists.
pub async fn has_administrator(db: &mut Db) -> Result<bool> {
    let sql =
        "SELECT id FROM person WHERE role = 'admin' AND kind = 'person' AND disabled_at IS NULL LIMIT 1";
    Ok(db.optional(sqlx::query(sql)).await?.is_some())
}

/// An API key as stored: its hash, its last characters for people to recognize it, and its limits.
pub struct KeyMark {
    pub hash: String,
    pub hint: String,
    /// When it expires, if it does.
    pub ends_at: Option<i64>,
    /// The allowed client addresses, separated by commas; `None` for any.
    pub networks: Option<String>,
    /// What it may pay per day, such as `500.00 EUR`, separated by commas; `None` for no limits of its own.
    pub day_limits: Option<String>,
}

/// Inserts a person (`key` is `None`) or an API key, created by `by`. `false` if the email address is taken.
pub async fn insert(tx: &mut Tx, person: &Person, key: Option<&KeyMark>, by: &str, now: i64) -> Result<bool> {
    let sql = "INSERT INTO person (id, kind, name, email, role, scopes, partner_id, password_hash, key_hash, key_hint, \
               made_by, created_at, stands_for, ends_at, networks, day_limits) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16) ON CONFLICT DO NOTHING";
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
        .bind(key.and_then(|key| key.networks.clone()))
        .bind(key.and_then(|key| key.day_limits.clone()));
    Ok(tx.run(query).await? == 1)
}

/// Disables a person or key and ends its sessions; 0 if it was disabled already.
pub async fn disable(tx: &mut Tx, id: PersonId, now: i64) -> Result<u64> {
    let sql = "UPDATE person SET disabled_at = $1 WHERE id = $2 AND disabled_at IS NULL";
    let done = tx.run(sqlx::query(sql).bind(now).bind(id.to_string())).await?;
    sessions::end_all(tx, id).await?;
    factors::end_pending_logins(tx, id).await?;
    Ok(done)
}

/// Enables a person again; 0 if they were not disabled.
pub async fn enable(tx: &mut Tx, id: PersonId) -> Result<u64> {
    let sql = "UPDATE person SET disabled_at = NULL WHERE id = $1 AND disabled_at IS NOT NULL";
    tx.run(sqlx::query(sql).bind(id.to_string())).await
}

/// The enabled administrators, with their rows locked until the transaction ends: if two remove each other's role at
/// once, the second sees what the first did.
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

/// The number of enabled administrators besides this one.
pub async fn other_administrators(db: &mut Db, id: PersonId) -> Result<usize> {
    let sql = "SELECT id FROM person \
               WHERE role = 'admin' AND kind = 'person' AND disabled_at IS NULL AND id <> $1 LIMIT 100";
    Ok(db.all(sqlx::query(sql).bind(id.to_string())).await?.len())
}

/// Whether another administrator can actually sign in: with a password, with a passkey, or through this provider, used
/// after `seen`.
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

/// Updates when someone was last active, unless it was recorded at or after `before`.
pub async fn seen(tx: &mut Tx, id: PersonId, now: i64, before: i64) -> Result<u64> {
    let sql =
        "UPDATE person SET last_seen_at = $1 WHERE id = $2 AND (last_seen_at IS NULL OR last_seen_at < $3)";
    tx.run(sqlx::query(sql).bind(now).bind(id.to_string()).bind(before)).await
}

/// Updates when and from where an API key was last used, unless that was recorded at or after `before`.
pub async fn key_used(tx: &mut Tx, id: PersonId, from: Option<&str>, now: i64, before: i64) -> Result<u64> {
    let sql = "UPDATE person SET last_seen_at = $1, seen_from = $4 \
               WHERE id = $2 AND (last_seen_at IS NULL OR last_seen_at < $3)";
    let query = sqlx::query(sql).bind(now).bind(id.to_string()).bind(before);
    tx.run(query.bind(from.map(str::to_owned))).await
}

/// Sets an API key's allowed client addresses, separated by commas; empty for any.
pub async fn set_networks(tx: &mut Tx, id: PersonId, networks: &str) -> Result<u64> {
    let sql = "UPDATE person SET networks = NULLIF($2, '') WHERE id = $1 AND kind = 'api_key'";
    tx.run(sqlx::query(sql).bind(id.to_string()).bind(networks.to_owned())).await
}

/// The names of unrevoked API keys that this person created.
pub async fn keys_made_by(db: &mut Db, maker: PersonId) -> Result<Vec<String>> {
    let sql = "SELECT name FROM person WHERE kind = 'api_key' AND disabled_at IS NULL AND stands_for = $1 ORDER BY id";
    let rows = db.all(sqlx::query(sql).bind(maker.to_string())).await?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// An API key's scopes, and whether its creator is a person stored here rather than the command line; `None` for a
/// person.
pub async fn how_key_was_made(db: &mut Db, id: PersonId) -> Result<Option<(String, bool)>> {
    let sql = "SELECT p.scopes, m.id FROM person p LEFT JOIN person m ON m.id = p.stands_for AND m.kind = 'person' \
               WHERE p.id = $1 AND p.kind = 'api_key'";
    let Some(row) = db.optional(sqlx::query(sql).bind(id.to_string())).await? else { return Ok(None) };
    let maker: Option<String> = row.try_get(1)?;
    Ok(Some((row.try_get(0)?, maker.is_some())))
}

/// What an API key may pay per day, as stored; empty for a person and for a key without limits of its own.
pub async fn day_limits(db: &mut Db, id: PersonId) -> Result<String> {
    let sql = "SELECT COALESCE(day_limits, '') FROM person WHERE id = $1 AND kind = 'api_key'";
    let row = db.optional(sqlx::query(sql).bind(id.to_string())).await?;
    Ok(row.map(|row| row.try_get(0)).transpose()?.unwrap_or_default())
}

/// Unrevoked API keys: name, role, scopes, and allowed addresses (empty for any).
pub async fn keys_and_networks(db: &mut Db) -> Result<Vec<(String, Role, String, String)>> {
    let sql = "SELECT name, role, scopes, COALESCE(networks, '') FROM person \
               WHERE kind = 'api_key' AND disabled_at IS NULL ORDER BY id";
    let read = |row: &AnyRow| {
        let role: String = row.try_get(1)?;
        Ok((row.try_get(0)?, word(Role::parse(&role), &role)?, row.try_get(2)?, row.try_get(3)?))
    };
    db.all(sqlx::query(sql)).await?.iter().map(read).collect()
}

/// The logins, not keys, that belong to this partner, oldest first.
pub async fn of_partner(db: &mut Db, partner: PartnerId) -> Result<Vec<Person>> {
    let mut conditions = super::Where::default();
    conditions.and("p.partner_id = ?", [partner.to_string().into()]);
    conditions.and("p.kind = 'person'", []);
    let sql = format!("SELECT {COLUMNS} FROM person p {{where}} ORDER BY p.id");
    db.all(conditions.query(&sql)).await?.iter().map(read).collect()
}

/// Gives a person a different role.
pub async fn set_role(tx: &mut Tx, id: PersonId, role: Role) -> Result<u64> {
    let sql = "UPDATE person SET role = $1 WHERE id = $2";
    tx.run(sqlx::query(sql).bind(role.as_str()).bind(id.to_string())).await
}

/// Changes or removes a person's password and ends their sessions.
pub async fn set_password(tx: &mut Tx, id: PersonId, hash: Option<&str>) -> Result<u64> {
    let sql = "UPDATE person SET password_hash = $1 WHERE id = $2";
    let done = tx.run(sqlx::query(sql).bind(hash.map(str::to_owned)).bind(id.to_string())).await?;
    sessions::end_all(tx, id).await?;
    factors::end_pending_logins(tx, id).await?;
    Ok(done)
}

/// Changes a person's name and sign-in address.
pub async fn introduce(tx: &mut Tx, id: PersonId, name: &str, email: &str) -> Result<u64> {
    let sql = "UPDATE person SET name = $1, email = $2 WHERE id = $3";
    tx.run(sqlx::query(sql).bind(name.to_owned()).bind(email.to_owned()).bind(id.to_string())).await
}

/// Changes a person's password without ending their sessions.
pub async fn keep_password(tx: &mut Tx, id: PersonId, hash: &str) -> Result<u64> {
    let sql = "UPDATE person SET password_hash = $1 WHERE id = $2";
    tx.run(sqlx::query(sql).bind(hash.to_owned()).bind(id.to_string())).await
}

/// A signed-in person, with everything a page needs.
#[derive(Clone, Debug)]
pub struct SignedIn {
    pub person: Person,
    pub id: String,
    /// The CSRF token of the session's forms.
    pub csrf: String,
    /// The last step-up: when they gave their password or used a one-time link.
    pub proved_at: Option<i64>,
    /// When it was last used, accurate to about a minute.
    pub seen_at: i64,
    /// Since when they have an authenticator app.
    pub factor_at: Option<i64>,
    /// Since when they have a passkey.
    pub passkey_at: Option<i64>,
    /// When they signed in through the identity provider, if they did.
    pub provider_at: Option<i64>,
    /// How pages look to them.
    pub preferences: Preferences,
}

/// The person of this session token; `None` if the session has ended or they are disabled.
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
    /// To set a first password. It is sent by mail, so opening it changes nothing.
    Join,
    /// To reset a forgotten password. It is also sent by mail, and only its owner has seen it.
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

/// The owner of a link that is still valid for this purpose; `None` if it is unknown, used, expired or for another
/// purpose.
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

/// Deletes a person's unused links.
pub async fn drop_links(tx: &mut Tx, id: PersonId) -> Result<u64> {
    let sql = "DELETE FROM login_link WHERE person_id = $1 AND used_at IS NULL";
    tx.run(sqlx::query(sql).bind(id.to_string())).await
}

/// Deletes a person's unused password-reset links. Keeps a pending invitation, because anyone can request a reset.
pub async fn drop_password_links(tx: &mut Tx, id: PersonId) -> Result<u64> {
    let sql = "DELETE FROM login_link WHERE person_id = $1 AND purpose = 'password' AND used_at IS NULL";
    tx.run(sqlx::query(sql).bind(id.to_string())).await
}

/// Consumes a link and returns its owner; `None` if it is unknown, used, expired or for another purpose.
pub async fn use_link(tx: &mut Tx, token_hash: &str, purpose: LinkFor, now: i64) -> Result<Option<PersonId>> {
    let sql = match purpose {
        LinkFor::Login => {
            "UPDATE login_link SET used_at = $1 \
             WHERE token_hash = $2 AND purpose = 'login' AND used_at IS NULL AND expires_at > $1 RETURNING person_id"
        }
        // A link that signs in directly may also set a password.
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
