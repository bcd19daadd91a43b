//! The administrator's lists of people and API keys. Not here: people as actors (`people`).

use payout::access::Role;
use payout::ids::{PartnerId, PersonId};
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::{Db, Result, Value, Where, word};

/// Which of them to list.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Kind {
    /// Staff: people who are not partners.
    #[default]
    Ours,
    Partners,
    Keys,
}

/// A person or an API key in the list.
#[derive(Clone, Debug)]
pub struct Listed {
    /// The id.
    pub id: PersonId,
    /// The name shown in history.
    pub name: String,
    /// The email address a person signs in with.
    pub email: Option<String>,
    pub role: Role,
    /// A key's scopes, separated by commas.
    pub scopes: String,
    /// The partner, for partner logins: id and name.
    pub partner: Option<(PartnerId, String)>,
    /// Whether they have a password; without one they have not accepted their invitation.
    pub has_password: bool,
    /// The last characters of a key.
    pub hint: Option<String>,
    /// Its creator: a person's id or the command line.
    pub made_by: Option<String>,
    pub created_at: i64,
    pub disabled_at: Option<i64>,
    /// When it was last active, accurate to about five minutes.
    pub last_seen_at: Option<i64>,
    /// When a key expires, if it does.
    pub ends_at: Option<i64>,
    /// A key's allowed client addresses, separated by commas; empty for any.
    pub networks: String,
    /// What a key may pay per day, separated by commas; empty if it has no limits of its own.
    pub day_limits: String,
    /// The client address of a key's last use.
    pub seen_from: Option<String>,
    /// A key's creator, if stored here: their role, and when they were disabled.
    pub maker: Option<(Role, Option<i64>)>,
}

/// The filter of the list.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub kind: Kind,
    /// Contained in the name or the address.
    pub q: Option<String>,
    pub role: Option<Role>,
    /// Only disabled ones, or only enabled ones.
    pub disabled: Option<bool>,
    pub before: Option<String>,
}

const LISTED: &str = "SELECT p.id, p.name, p.email, p.role, p.scopes, p.partner_id, t.name AS partner_name, \
                      CASE WHEN p.password_hash IS NULL THEN NULL ELSE p.created_at END AS password_at, p.key_hint, \
                      p.made_by, p.created_at, p.disabled_at, p.last_seen_at, p.ends_at, p.networks, p.seen_from, p.day_limits, \
                      m.role AS maker_role, m.disabled_at AS maker_disabled_at \
                      FROM person p LEFT JOIN partner t ON t.id = p.partner_id \
                      LEFT JOIN person m ON p.kind = 'api_key' AND m.id = p.stands_for AND m.kind = 'person' {where}";

/// People or keys, newest first.
pub async fn list(db: &mut Db, filter: &Filter, limit: i64) -> Result<Vec<Listed>> {
    let mut conditions = Where::default();
    let kind = match filter.kind {
        Kind::Ours => "p.kind = 'person' AND p.partner_id IS NULL",
        Kind::Partners => "p.kind = 'person' AND p.partner_id IS NOT NULL",
        Kind::Keys => "p.kind = 'api_key'",
    };
    conditions.and(kind, []);
    if let Some(q) = &filter.q {
        let like = Value::from(format!("%{}%", q.to_lowercase().replace(['%', '_', '\\'], "")));
        conditions.and("(lower(p.name) LIKE ? OR p.email LIKE ?)", [like.clone(), like]);
    }
    if let Some(role) = filter.role {
        conditions.and("p.role = ?", [role.as_str().into()]);
    }
    match filter.disabled {
        Some(true) => conditions.and("p.disabled_at IS NOT NULL", []),
        Some(false) => conditions.and("p.disabled_at IS NULL", []),
        None => {}
    }
    if let Some(before) = &filter.before {
        conditions.and("p.id < ?", [before.as_str().into()]);
    }
    let sql = format!("{LISTED} ORDER BY p.id DESC LIMIT {limit}");
    db.all(conditions.query(&sql)).await?.iter().map(listed).collect()
}

pub async fn one(db: &mut Db, id: PersonId) -> Result<Option<Listed>> {
    let mut conditions = Where::default();
    conditions.and("p.id = ?", [id.to_string().into()]);
    db.optional(conditions.query(LISTED)).await?.map(|row| listed(&row)).transpose()
}

fn listed(row: &AnyRow) -> Result<Listed> {
    let (id, role): (String, String) = (row.try_get("id")?, row.try_get("role")?);
    let partner: Option<String> = row.try_get("partner_id")?;
    let partner = partner.map(|id| word(PartnerId::parse(&id), &id)).transpose()?;
    let partner_name: Option<String> = row.try_get("partner_name")?;
    let networks: Option<String> = row.try_get("networks")?;
    let maker: Option<String> = row.try_get("maker_role")?;
    let maker = maker.map(|role| word(Role::parse(&role), &role)).transpose()?;
    Ok(Listed {
        id: word(PersonId::parse(&id), &id)?,
        name: row.try_get("name")?,
        email: row.try_get("email")?,
        role: word(Role::parse(&role), &role)?,
        scopes: row.try_get("scopes")?,
        partner: partner.zip(partner_name),
        has_password: row.try_get::<Option<i64>, _>("password_at")?.is_some(),
        hint: row.try_get("key_hint")?,
        made_by: row.try_get("made_by")?,
        created_at: row.try_get("created_at")?,
        disabled_at: row.try_get("disabled_at")?,
        last_seen_at: row.try_get("last_seen_at")?,
        ends_at: row.try_get("ends_at")?,
        networks: networks.unwrap_or_default(),
        day_limits: row.try_get::<Option<String>, _>("day_limits")?.unwrap_or_default(),
        seen_from: row.try_get("seen_from")?,
        maker: maker.zip(Some(row.try_get("maker_disabled_at")?)),
    })
}
