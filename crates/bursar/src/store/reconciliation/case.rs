//! Reconciliation differences between a vendor and the ledger: one case per subject, currency and aspect. Not here:
//! comparing the two sides (`ops::reconciliation`).

use payout::money::{Currency, Money, Vendor};
use payout::reconciliation::{Aspect, Standing};
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::{Account, Known, note_days};
use crate::store::{Db, MOST_VALUES, Result, Rows, Tx, Value, Where, word};

/// A difference, or one side that may only be late.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Case {
    /// Its id, `rec_…`.
    pub id: String,
    pub of: Account,
    /// The payment, the unassigned object, or the day.
    pub subject: String,
    pub aspect: Aspect,
    /// The payment, if it concerns one.
    pub transaction: Option<String>,
    /// The day it is shown on.
    pub day: String,
    /// How the two sides compare.
    pub standing: Standing,
    /// The total on the vendor's side.
    pub moved: Money,
    /// The total in the ledger.
    pub posted: Money,
    /// Until when it may be merely late.
    pub waits_until: Option<i64>,
    pub opened_at: i64,
    /// When the two sides matched again.
    pub closed_at: Option<i64>,
    /// Who explained it, when, and the explanation.
    pub explained: Option<Explained>,
    /// What else is known about it, in lists.
    pub known: Option<Known>,
}

/// A person's explanation of a difference.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Explained {
    pub at: i64,
    pub by: String,
    pub name: String,
    /// The explanation in their own words.
    pub why: String,
}

impl Case {
    /// How much more is on the vendor's side.
    pub fn difference(&self) -> i128 {
        i128::from(self.moved.minor) - i128::from(self.posted.minor)
    }

    /// What happened and what it means for the money.
    pub fn message(&self) -> String {
        match &self.known {
            Some(known) => known.message.clone(),
            None => self.standing.message(self.of.vendor.label(), self.waits_until),
        }
    }

    /// What to do about it.
    pub fn remedy(&self) -> String {
        match &self.known {
            Some(known) => known.remedy.clone(),
            None => self.standing.remedy(self.of.vendor.label()),
        }
    }

    pub fn label(&self) -> &'static str {
        match (&self.explained, &self.known) {
            (Some(_), _) => "Explained",
            (None, Some(known)) => known.label,
            (None, None) => self.standing.label(),
        }
    }

    /// Whether a person must act: a real difference, or one that may be late but belongs to a payment someone must
    /// resolve.
    pub fn wants_somebody(&self) -> bool {
        let known = self.known.as_ref().is_some_and(|known| known.alarms);
        self.is_task() || (known && self.closed_at.is_none() && self.explained.is_none())
    }

    /// Whether the sides differ by more than lateness: someone must act, or has explained it.
    pub fn stays_off(&self) -> bool {
        self.wants_somebody() || (self.closed_at.is_none() && self.explained.is_some())
    }

    pub fn is_task(&self) -> bool {
        self.closed_at.is_none() && self.explained.is_none() && self.standing.alarms()
    }
}

const CASE: &str = "id, vendor, vendor_account, currency, subject, aspect, transaction_id, day, standing, moved_minor, \
                    posted_minor, waits_until, opened_at, closed_at, explained_at, explained_by, explained_name, explanation";

fn read_case(row: &AnyRow) -> Result<Case> {
    let text = |place: usize| row.try_get::<String, _>(place);
    let (vendor, code, aspect, standing) = (text(1)?, text(3)?, text(5)?, text(8)?);
    let currency = word(Currency::parse(&code).ok(), &code)?;
    let explained = match row.try_get::<Option<i64>, _>(14)? {
        Some(at) => Some(Explained { at, by: text(15)?, name: text(16)?, why: text(17)? }),
        None => None,
    };
    Ok(Case {
        id: text(0)?,
        of: Account { vendor: word(Vendor::parse(&vendor), &vendor)?, name: text(2)? },
        subject: text(4)?,
        aspect: word(Aspect::parse(&aspect), &aspect)?,
        transaction: row.try_get(6)?,
        day: text(7)?,
        standing: word(Standing::parse(&standing), &standing)?,
        moved: Money::new(row.try_get(9)?, currency),
        posted: Money::new(row.try_get(10)?, currency),
        waits_until: row.try_get(11)?,
        opened_at: row.try_get(12)?,
        closed_at: row.try_get(13)?,
        explained,
        known: None,
    })
}

/// The cases of these subjects in an account.
pub async fn cases(db: &mut Db, of: &Account, subjects: &[String]) -> Result<Vec<Case>> {
    let mut found = Vec::new();
    for some in subjects.chunks(MOST_VALUES) {
        let sql = format!("SELECT {CASE} FROM reconciliation_case {{where}}");
        found.extend(db.all(of_subjects(of, some).query(&sql)).await?);
    }
    found.iter().map(read_case).collect()
}

fn of_subjects(of: &Account, subjects: &[String]) -> Where {
    let mut conditions = Where::default();
    conditions.among("subject", subjects.iter().map(|id| Value::from(id.as_str())));
    conditions.and("vendor = ?", [of.vendor.as_str().into()]);
    conditions.and("vendor_account = ?", [of.name.as_str().into()]);
    conditions
}

/// The same, locked until the transaction ends, so that writing back does not undo a concurrent explanation.
pub async fn lock_cases(tx: &mut Tx, of: &Account, subjects: &[String]) -> Result<Vec<Case>> {
    for some in subjects.chunks(MOST_VALUES) {
        let sql = "UPDATE reconciliation_case SET standing = standing {where}";
        tx.run(of_subjects(of, some).query(sql)).await?;
    }
    cases(tx, of, subjects).await
}

/// Open or explained cases on these days.
pub async fn open_on(db: &mut Db, (from, to): (&str, &str)) -> Result<Vec<Case>> {
    let mut conditions = Where::default();
    conditions.and("day >= ?", [from.into()]);
    conditions.and("day <= ?", [to.into()]);
    conditions.and("closed_at IS NULL", []);
    let sql = format!("SELECT {CASE} FROM reconciliation_case {{where}} ORDER BY day, opened_at, id");
    db.all(conditions.query(&sql)).await?.iter().map(read_case).collect()
}

/// The number of cases that need a person, and the oldest one's day.
pub async fn tasks(db: &mut Db) -> Result<(i64, Option<String>)> {
    let mut conditions = Where::default();
    conditions.and("closed_at IS NULL", []);
    conditions.and("explained_at IS NULL", []);
    conditions.and("standing <> 'waits'", []);
    let row = db.one(conditions.query("SELECT COUNT(*), MIN(day) FROM reconciliation_case {where}")).await?;
    Ok((row.try_get(0)?, row.try_get(1)?))
}

/// Cases that need a person and were not reported under this notice yet, newest first, each with its notice key.
pub async fn untold_tasks(db: &mut Db, notice: &str, most: i64) -> Result<Vec<(Case, String)>> {
    let sql = format!(
        "SELECT {CASE}, {NOTICE_KEY} FROM reconciliation_case \
         WHERE closed_at IS NULL AND explained_at IS NULL AND standing <> 'waits' \
         AND NOT EXISTS (SELECT 1 FROM notice_told t WHERE t.notice = $1 AND t.about = {NOTICE_KEY}) \
         ORDER BY opened_at DESC, id LIMIT $2"
    );
    let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(notice.to_owned()).bind(most);
    db.all(query).await?.iter().map(|row| Ok((read_case(row)?, row.try_get(18)?))).collect()
}

/// The notice key of a case: it changes when the case reopens or changes standing.
const NOTICE_KEY: &str = "id || ' ' || CAST(opened_at AS TEXT) || ' ' || standing";

/// A case by its id.
///
/// # Errors
/// [`StoreError::Missing`] if there is none.
pub async fn case(db: &mut Db, id: &str) -> Result<Case> {
    let sql = format!("SELECT {CASE} FROM reconciliation_case WHERE id = $1");
    read_case(&db.one(sqlx::query(sqlx::AssertSqlSafe(sql)).bind(id.to_owned())).await?)
}

/// The same, locked until the transaction ends.
///
/// # Errors
/// [`StoreError::Missing`] if there is none.
pub async fn lock_case(tx: &mut Tx, id: &str) -> Result<Case> {
    let sql = "UPDATE reconciliation_case SET standing = standing WHERE id = $1";
    tx.run(sqlx::query(sql).bind(id.to_owned())).await?;
    case(tx, id).await
}

/// Writes cases in their current state, one per subject, and the days they are shown on.
pub async fn put_cases(tx: &mut Tx, cases: &[Case]) -> Result<()> {
    let mut rows = Rows::default();
    for case in cases {
        let said = case.explained.as_ref();
        let text = |of: fn(&Explained) -> &String| Value::from(said.map(|said| of(said).clone()));
        rows.push([
            case.id.as_str().into(),
            case.of.vendor.as_str().into(),
            case.of.name.as_str().into(),
            case.moved.currency.code().into(),
            case.subject.as_str().into(),
            case.aspect.as_str().into(),
            case.transaction.clone().into(),
            case.day.as_str().into(),
            case.standing.as_str().into(),
            case.moved.minor.into(),
            case.posted.minor.into(),
            case.waits_until.into(),
            case.opened_at.into(),
            case.closed_at.into(),
            said.map(|said| said.at).into(),
            text(|said| &said.by),
            text(|said| &said.name),
            text(|said| &said.why),
        ]);
    }
    let sql = "INSERT INTO reconciliation_case (id, vendor, vendor_account, currency, subject, aspect, transaction_id, day, \
               standing, moved_minor, posted_minor, waits_until, opened_at, closed_at, explained_at, explained_by, \
               explained_name, explanation) VALUES {rows} \
               ON CONFLICT (subject, aspect, currency, vendor, vendor_account) DO UPDATE SET \
               transaction_id = excluded.transaction_id, day = excluded.day, standing = excluded.standing, \
               moved_minor = excluded.moved_minor, posted_minor = excluded.posted_minor, \
               waits_until = excluded.waits_until, opened_at = excluded.opened_at, closed_at = excluded.closed_at, \
               explained_at = excluded.explained_at, explained_by = excluded.explained_by, \
               explained_name = excluded.explained_name, explanation = excluded.explanation";
    tx.bulk(sql, &[], rows).await?;
    for case in cases {
        note_days(tx, &case.of, std::iter::once((case.day.clone(), case.moved.currency))).await?;
    }
    Ok(())
}
