//! The catalog: accounts, partners, programs and reward activities, each with a caller's external id.

use std::fmt;

use payout::eligibility::PayeeStanding;
use payout::external;
use payout::ids::{AccountId, ActivityId, PartnerId, ProgramId};
use payout::money::{Currency, Money};
use payout::reward::RewardType;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::search::{self, SearchKeys};
use super::{Db, MOST_VALUES, Result, Rows, StoreError, Tx, Value, Where, word};

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Account {
    /// Our id.
    pub id: AccountId,
    /// The caller's id.
    pub external_id: String,
    pub name: String,
    pub country: Option<String>,
    /// The email address of the staff member who manages it.
    pub owner_email: Option<String>,
    /// Whether we deal with it.
    pub standing: PayeeStanding,
    pub note: Option<String>,
    /// Microseconds UTC.
    pub created_at: i64,
    /// Microseconds UTC.
    pub updated_at: i64,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Partner {
    /// Our id.
    pub id: PartnerId,
    /// The caller's id.
    pub external_id: String,
    /// The company: our id and the caller's.
    pub account: (AccountId, String),
    pub name: String,
    pub email: String,
    pub country: Option<String>,
    /// The language of notices, such as `en`.
    pub language: Option<String>,
    /// Whether we deal with them.
    pub standing: PayeeStanding,
    pub note: Option<String>,
    /// Microseconds UTC.
    pub created_at: i64,
    /// Microseconds UTC.
    pub updated_at: i64,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Program {
    /// Our id.
    pub id: ProgramId,
    /// The caller's id.
    pub external_id: String,
    pub name: String,
    pub reward_type: RewardType,
    pub manager_email: Option<String>,
    /// The hold period of a reward, in days.
    pub hold_days: i64,
    /// Microseconds UTC.
    pub created_at: i64,
    /// Microseconds UTC.
    pub updated_at: i64,
}

/// The default value of an activity's rewards.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RewardValue {
    Cash(Money),
    Points(i64),
}

impl fmt::Display for RewardValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cash(money) => money.fmt(f),
            Self::Points(points) => write!(f, "{points} points"),
        }
    }
}

impl RewardValue {
    /// Minor units or points.
    pub fn minor(self) -> i64 {
        match self {
            Self::Cash(money) => money.minor,
            Self::Points(points) => points,
        }
    }

    /// The currency; `None` for points.
    pub fn currency(self) -> Option<Currency> {
        match self {
            Self::Cash(money) => Some(money.currency),
            Self::Points(_) => None,
        }
    }

    /// From stored values.
    ///
    /// # Errors
    /// The currency code is unknown.
    pub fn read(minor: i64, currency: Option<&str>) -> Result<Self> {
        match currency {
            Some(code) => Ok(Self::Cash(Money::new(minor, word(Currency::parse(code).ok(), code)?))),
            None => Ok(Self::Points(minor)),
        }
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Activity {
    /// Our id.
    pub id: ActivityId,
    /// The caller's id.
    pub external_id: String,
    /// The program: our id and the caller's.
    pub program: (ProgramId, String),
    /// Cash or points, as the program.
    pub reward_type: RewardType,
    pub hold_days: i64,
    pub name: String,
    /// The value of a reward that does not specify one.
    pub worth: Option<RewardValue>,
    /// Since when it earns nothing any more.
    pub inactive_at: Option<i64>,
    /// Microseconds UTC.
    pub created_at: i64,
    /// Microseconds UTC.
    pub updated_at: i64,
}

const ACCOUNT: &str = "SELECT a.* FROM account a {where}";
const PARTNER: &str = "SELECT p.*, a.external_id AS account_external_id FROM partner p JOIN account a ON a.id = p.account_id {where}";
const PROGRAM: &str = "SELECT p.* FROM program p {where}";
const ACTIVITY: &str = "SELECT c.*, p.external_id AS program_external_id, p.reward_type, p.hold_days \
                        FROM activity c JOIN program p ON p.id = c.program_id {where}";

/// How a catalog item is referenced.
#[derive(Clone, Copy, Debug)]
pub enum RecordRef<'a> {
    /// By the caller's id.
    External(&'a str),
    /// By our id or the caller's; anything in our id format is taken as ours.
    Either(&'a str),
}

impl RecordRef<'_> {
    fn condition(self, table: &str) -> Where {
        let mut conditions = Where::default();
        match self {
            Self::Either(id) if external::is_ours(id) => {
                conditions.and(&format!("{table}.id = ?"), [id.into()]);
            }
            Self::External(id) | Self::Either(id) => {
                conditions.and(&format!("{table}.external_id = ?"), [external::folded(id).into()]);
            }
        }
        conditions
    }

    /// Filters by our id or the caller's.
    fn narrow(to: &mut Where, table: &str, id: &str) {
        match external::is_ours(id) {
            true => to.and(&format!("{table}.id = ?"), [id.into()]),
            false => to.and(&format!("{table}.external_id = ?"), [external::folded(id).into()]),
        }
    }
}

pub async fn account(db: &mut Db, named: RecordRef<'_>) -> Result<Option<Account>> {
    db.optional(named.condition("a").query(ACCOUNT)).await?.map(|row| read_account(&row)).transpose()
}

pub async fn partner(db: &mut Db, named: RecordRef<'_>) -> Result<Option<Partner>> {
    db.optional(named.condition("p").query(PARTNER)).await?.map(|row| read_partner(&row)).transpose()
}

/// Our id of a partner with this external id.
pub async fn partner_id(db: &mut Db, external_id: &str) -> Result<Option<PartnerId>> {
    Ok(partner(db, RecordRef::External(external_id)).await?.map(|partner| partner.id))
}

pub async fn program(db: &mut Db, named: RecordRef<'_>) -> Result<Option<Program>> {
    db.optional(named.condition("p").query(PROGRAM)).await?.map(|row| read_program(&row)).transpose()
}

/// Every program; there are few.
pub async fn all_programs(db: &mut Db) -> Result<Vec<Program>> {
    db.all(Where::default().query(PROGRAM)).await?.iter().map(read_program).collect()
}

pub async fn activity(db: &mut Db, named: RecordRef<'_>) -> Result<Option<Activity>> {
    db.optional(named.condition("c").query(ACTIVITY)).await?.map(|row| read_activity(&row)).transpose()
}

/// Every activity; there are few.
pub async fn all_activities(db: &mut Db) -> Result<Vec<Activity>> {
    db.all(Where::default().query(ACTIVITY)).await?.iter().map(read_activity).collect()
}

/// The filter of a catalog page, ordered by id.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Contained in the name, the external id or the email address.
    pub q: Option<String>,
    /// The exact name, ignoring case.
    pub name: Option<String>,
    pub account: Option<String>,
    pub program: Option<String>,
    /// Only this partner's data: what a partner may see.
    pub own: Option<PartnerId>,
    /// The page cursor: after this id.
    pub after: Option<String>,
    pub limit: i64,
}

impl Filter {
    fn query(&self, table: &str, searched: &[&str], mut conditions: Where, sql: &str) -> super::Query {
        if let Some(q) = &self.q {
            let like = format!("%{}%", q.to_lowercase().replace(['%', '_', '\\'], ""));
            let any: Vec<String> =
                searched.iter().map(|column| format!("lower({table}.{column}) LIKE ?")).collect();
            let values = searched.iter().map(|_| Value::from(like.as_str()));
            conditions.and(&format!("({})", any.join(" OR ")), values.collect::<Vec<_>>());
        }
        if let Some(name) = &self.name {
            conditions.and(&format!("lower({table}.name) = lower(?)"), [name.as_str().into()]);
        }
        if let Some(after) = &self.after {
            conditions.and(&format!("{table}.id > ?"), [after.as_str().into()]);
        }
        conditions.query(&format!("{sql} ORDER BY {table}.id LIMIT {}", self.limit))
    }
}

pub async fn accounts(db: &mut Db, filter: &Filter) -> Result<Vec<Account>> {
    let mut conditions = Where::default();
    if let Some(own) = filter.own {
        let sql = "a.id = (SELECT account_id FROM partner WHERE id = ?)";
        conditions.and(sql, [own.to_string().into()]);
    }
    let query = filter.query("a", &["name", "external_id"], conditions, ACCOUNT);
    db.all(query).await?.iter().map(read_account).collect()
}

pub async fn partners(db: &mut Db, filter: &Filter) -> Result<Vec<Partner>> {
    let mut conditions = Where::default();
    if let Some(account) = &filter.account {
        RecordRef::narrow(&mut conditions, "a", account);
    }
    if let Some(own) = filter.own {
        conditions.and("p.id = ?", [own.to_string().into()]);
    }
    let query = filter.query("p", &["name", "external_id", "email"], conditions, PARTNER);
    db.all(query).await?.iter().map(read_partner).collect()
}

pub async fn programs(db: &mut Db, filter: &Filter) -> Result<Vec<Program>> {
    let query = filter.query("p", &["name", "external_id"], Where::default(), PROGRAM);
    db.all(query).await?.iter().map(read_program).collect()
}

pub async fn activities(db: &mut Db, filter: &Filter) -> Result<Vec<Activity>> {
    let mut conditions = Where::default();
    if let Some(program) = &filter.program {
        RecordRef::narrow(&mut conditions, "p", program);
    }
    let query = filter.query("c", &["name", "external_id"], conditions, ACTIVITY);
    db.all(query).await?.iter().map(read_activity).collect()
}

/// Partners by external id, with their accounts, for an import.
pub async fn partners_named(db: &mut Db, external_ids: &[String]) -> Result<Vec<Partner>> {
    let mut found = Vec::new();
    for some in external_ids.chunks(MOST_VALUES) {
        let mut conditions = Where::default();
        conditions.among("p.external_id", some.iter().map(|id| id.as_str().into()));
        for row in db.all(conditions.query(PARTNER)).await? {
            found.push(read_partner(&row)?);
        }
    }
    Ok(found)
}

/// Accounts by the caller's ids.
pub async fn accounts_named(db: &mut Db, external_ids: &[String]) -> Result<Vec<Account>> {
    let mut found = Vec::new();
    for some in external_ids.chunks(MOST_VALUES) {
        let mut conditions = Where::default();
        conditions.among("a.external_id", some.iter().map(|id| id.as_str().into()));
        for row in db.all(conditions.query(ACCOUNT)).await? {
            found.push(read_account(&row)?);
        }
    }
    Ok(found)
}

/// Locks accounts by external id, so that what is read of them next stays valid until the change.
pub async fn lock_accounts(tx: &mut Tx, external_ids: &[String]) -> Result<()> {
    let sql = "UPDATE account SET updated_at = updated_at WHERE external_id IN ({ids})";
    tx.among(sql, &[], external_ids.iter().cloned()).await?;
    Ok(())
}

pub async fn lock_partners(tx: &mut Tx, external_ids: &[String]) -> Result<()> {
    let sql = "UPDATE partner SET updated_at = updated_at WHERE external_id IN ({ids})";
    tx.among(sql, &[], external_ids.iter().cloned()).await?;
    Ok(())
}

pub async fn lock_programs(tx: &mut Tx, external_ids: &[String]) -> Result<()> {
    let sql = "UPDATE program SET updated_at = updated_at WHERE external_id IN ({ids})";
    tx.among(sql, &[], external_ids.iter().cloned()).await?;
    Ok(())
}

/// The longest hold period of any program, in days; 0 if there are none.
pub async fn longest_hold(db: &mut Db) -> Result<i64> {
    let sql = "SELECT COALESCE(MAX(hold_days), 0) FROM program";
    Ok(db.one(sqlx::query(sql)).await?.try_get(0)?)
}

pub async fn lock_activities(tx: &mut Tx, external_ids: &[String]) -> Result<()> {
    let sql = "UPDATE activity SET updated_at = updated_at WHERE external_id IN ({ids})";
    tx.among(sql, &[], external_ids.iter().cloned()).await?;
    Ok(())
}

/// Fewer saved rows mean that another id took the external id in the meantime.
fn all_saved(saved: u64, wanted: usize) -> Result<()> {
    if saved == wanted as u64 { Ok(()) } else { Err(StoreError::Overtaken) }
}

/// Inserts accounts, or updates those whose external id exists, except standing and note, which only
/// [`super::payees::set_standing`] changes. Lock existing rows first.
///
/// # Errors
/// [`StoreError::Overtaken`] if someone else inserted one of them concurrently.
pub async fn save_accounts(tx: &mut Tx, accounts: &[Account]) -> Result<()> {
    let sql = "INSERT INTO account (id, external_id, name, country, owner_email, standing, note, created_at, updated_at) \
               VALUES {rows} ON CONFLICT (external_id) DO UPDATE SET name = excluded.name, country = excluded.country, \
               owner_email = excluded.owner_email, updated_at = excluded.updated_at WHERE account.id = excluded.id";
    let mut rows = Rows::default();
    for account in accounts {
        rows.push([
            account.id.to_string().into(),
            account.external_id.as_str().into(),
            account.name.as_str().into(),
            account.country.clone().into(),
            account.owner_email.clone().into(),
            account.standing.as_str().into(),
            account.note.clone().into(),
            account.created_at.into(),
            account.updated_at.into(),
        ]);
    }
    all_saved(tx.bulk(sql, &[], rows).await?, accounts.len())?;
    let words = accounts.iter().map(|account| SearchKeys {
        subject: account.id.to_string(),
        name: account.name.clone(),
        external_id: account.external_id.clone(),
        email: None,
    });
    search::write(tx, &words.collect::<Vec<_>>()).await
}

/// Inserts partners, or updates those whose external id exists, except standing and note, which only
/// [`super::payees::set_standing`] changes. Lock existing rows first.
///
/// # Errors
/// [`StoreError::Overtaken`] if someone else inserted one of them concurrently.
pub async fn save_partners(tx: &mut Tx, partners: &[Partner]) -> Result<()> {
    let sql = "INSERT INTO partner (id, external_id, account_id, name, email, country, language, standing, note, \
               created_at, updated_at) VALUES {rows} ON CONFLICT (external_id) DO UPDATE SET \
               account_id = excluded.account_id, name = excluded.name, email = excluded.email, \
               country = excluded.country, language = excluded.language, updated_at = excluded.updated_at \
               WHERE partner.id = excluded.id";
    let mut rows = Rows::default();
    for partner in partners {
        rows.push([
            partner.id.to_string().into(),
            partner.external_id.as_str().into(),
            partner.account.0.to_string().into(),
            partner.name.as_str().into(),
            partner.email.as_str().into(),
            partner.country.clone().into(),
            partner.language.clone().into(),
            partner.standing.as_str().into(),
            partner.note.clone().into(),
            partner.created_at.into(),
            partner.updated_at.into(),
        ]);
    }
    all_saved(tx.bulk(sql, &[], rows).await?, partners.len())?;
    let words = partners.iter().map(|partner| SearchKeys {
        subject: partner.id.to_string(),
        name: partner.name.clone(),
        external_id: partner.external_id.clone(),
        email: Some(partner.email.clone()),
    });
    search::write(tx, &words.collect::<Vec<_>>()).await
}

/// Inserts a program, or updates the one whose external id exists. Lock an existing row first.
///
/// # Errors
/// [`StoreError::Overtaken`] if someone else inserted it concurrently.
pub async fn save_program(tx: &mut Tx, program: &Program) -> Result<()> {
    let sql = "INSERT INTO program (id, external_id, name, reward_type, manager_email, hold_days, created_at, updated_at) \
               VALUES {rows} ON CONFLICT (external_id) DO UPDATE SET name = excluded.name, \
               reward_type = excluded.reward_type, manager_email = excluded.manager_email, \
               hold_days = excluded.hold_days, updated_at = excluded.updated_at WHERE program.id = excluded.id";
    let mut rows = Rows::default();
    rows.push([
        program.id.to_string().into(),
        program.external_id.as_str().into(),
        program.name.as_str().into(),
        program.reward_type.as_str().into(),
        program.manager_email.clone().into(),
        program.hold_days.into(),
        program.created_at.into(),
        program.updated_at.into(),
    ]);
    all_saved(tx.bulk(sql, &[], rows).await?, 1)
}

/// Inserts an activity, or updates the one whose external id exists. Lock an existing row first.
///
/// # Errors
/// [`StoreError::Overtaken`] if someone else inserted it concurrently.
pub async fn save_activity(tx: &mut Tx, activity: &Activity) -> Result<()> {
    let sql = "INSERT INTO activity (id, external_id, program_id, name, value_minor, currency, inactive_at, created_at, \
               updated_at) VALUES {rows} ON CONFLICT (external_id) DO UPDATE SET program_id = excluded.program_id, \
               name = excluded.name, value_minor = excluded.value_minor, currency = excluded.currency, \
               inactive_at = excluded.inactive_at, updated_at = excluded.updated_at \
               WHERE activity.id = excluded.id";
    let mut rows = Rows::default();
    rows.push([
        activity.id.to_string().into(),
        activity.external_id.as_str().into(),
        activity.program.0.to_string().into(),
        activity.name.as_str().into(),
        activity.worth.map(RewardValue::minor).into(),
        activity.worth.and_then(RewardValue::currency).map(|currency| currency.code().to_owned()).into(),
        activity.inactive_at.into(),
        activity.created_at.into(),
        activity.updated_at.into(),
    ]);
    all_saved(tx.bulk(sql, &[], rows).await?, 1)
}

/// Whether a program has rewards, so that its type can no longer change.
pub async fn has_rewards(db: &mut Db, program: ProgramId) -> Result<bool> {
    let sql = "SELECT id FROM reward WHERE program_id = $1 LIMIT 1";
    Ok(db.optional(sqlx::query(sql).bind(program.to_string())).await?.is_some())
}

fn id<T>(row: &AnyRow, column: &str, parse: fn(&str) -> Option<T>) -> Result<T> {
    let text: String = row.try_get(column)?;
    word(parse(&text), &text)
}

fn read_account(row: &AnyRow) -> Result<Account> {
    Ok(Account {
        id: id(row, "id", AccountId::parse)?,
        external_id: row.try_get("external_id")?,
        name: row.try_get("name")?,
        country: row.try_get("country")?,
        owner_email: row.try_get("owner_email")?,
        standing: id(row, "standing", PayeeStanding::parse)?,
        note: row.try_get("note")?,
        created_at: row.try_get("created_at")?,
        updated_at: row.try_get("updated_at")?,
    })
}

fn read_partner(row: &AnyRow) -> Result<Partner> {
    Ok(Partner {
        id: id(row, "id", PartnerId::parse)?,
        external_id: row.try_get("external_id")?,
        account: (id(row, "account_id", AccountId::parse)?, row.try_get("account_external_id")?),
        name: row.try_get("name")?,
        email: row.try_get("email")?,
        country: row.try_get("country")?,
        language: row.try_get("language")?,
        standing: id(row, "standing", PayeeStanding::parse)?,
        note: row.try_get("note")?,
        created_at: row.try_get("created_at")?,
        updated_at: row.try_get("updated_at")?,
    })
}

fn read_program(row: &AnyRow) -> Result<Program> {
    Ok(Program {
        id: id(row, "id", ProgramId::parse)?,
        external_id: row.try_get("external_id")?,
        name: row.try_get("name")?,
        reward_type: id(row, "reward_type", RewardType::parse)?,
        manager_email: row.try_get("manager_email")?,
        hold_days: row.try_get("hold_days")?,
        created_at: row.try_get("created_at")?,
        updated_at: row.try_get("updated_at")?,
    })
}

fn read_activity(row: &AnyRow) -> Result<Activity> {
    let value: Option<i64> = row.try_get("value_minor")?;
    let currency: Option<String> = row.try_get("currency")?;
    Ok(Activity {
        id: id(row, "id", ActivityId::parse)?,
        external_id: row.try_get("external_id")?,
        program: (id(row, "program_id", ProgramId::parse)?, row.try_get("program_external_id")?),
        reward_type: id(row, "reward_type", RewardType::parse)?,
        hold_days: row.try_get("hold_days")?,
        name: row.try_get("name")?,
        worth: value.map(|minor| RewardValue::read(minor, currency.as_deref())).transpose()?,
        inactive_at: row.try_get("inactive_at")?,
        created_at: row.try_get("created_at")?,
        updated_at: row.try_get("updated_at")?,
    })
}
