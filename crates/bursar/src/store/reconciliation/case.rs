//! What does not tie between a vendor and the books: a case for each thing, currency and aspect. What is deliberately not here:
//! how both sides are held against each other (`ops::reconciliation`).

use payout::money::{Currency, Money, Vendor};
use payout::reconciliation::{Aspect, Standing};
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::{Account, Known, note_days};
use crate::store::{Db, MOST_VALUES, Result, Rows, Tx, Value, Where, word};

/// What does not tie, or may not have had the time to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Case {
    /// Its id, `rec_…`.
    pub id: String,
    pub of: Account,
    /// The payment, the object of nobody's, or the day.
    pub subject: String,
    pub aspect: Aspect,
    /// The payment, where it is about one.
    pub transaction: Option<String>,
    /// The day it is shown on.
    pub day: String,
    /// How both sides stand.
    pub standing: Standing,
    /// What the vendor's side comes to.
    pub moved: Money,
    /// What the books' side comes to.
    pub posted: Money,
    /// Until when it may wait.
    pub waits_until: Option<i64>,
    /// Since when it is there.
    pub opened_at: i64,
    /// When both sides came to the same.
    pub closed_at: Option<i64>,
    /// Who explained it, when, and why it is off.
    pub explained: Option<Explained>,
    /// What else is known of it, where it is listed.
    pub known: Option<Known>,
}

/// Why something is off, in somebody's words.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Explained {
    /// When it was said.
    pub at: i64,
    pub by: String,
    pub name: String,
    /// What they said.
    pub why: String,
}

impl Case {
    /// By how much the vendor's side is more.
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

    /// A person must look: it is off, or may be late and is known to be a payment that somebody must settle.
    pub fn wants_somebody(&self) -> bool {
        let known = self.known.as_ref().is_some_and(|known| known.alarms);
        self.is_task() || (known && self.closed_at.is_none() && self.explained.is_none())
    }

    /// Both sides differ, and not only because one may be late: somebody must look, or has explained it.
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

/// The cases of these subjects of an account.
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

/// The same, held until this transaction ends: what is written back must not undo what somebody says of one meanwhile.
pub async fn lock_cases(tx: &mut Tx, of: &Account, subjects: &[String]) -> Result<Vec<Case>> {
    for some in subjects.chunks(MOST_VALUES) {
        let sql = "UPDATE reconciliation_case SET standing = standing {where}";
        tx.run(of_subjects(of, some).query(sql)).await?;
    }
    cases(tx, of, subjects).await
}

/// What is open, or was explained, on these days.
pub async fn open_on(db: &mut Db, (from, to): (&str, &str)) -> Result<Vec<Case>> {
    let mut conditions = Where::default();
    conditions.and("day >= ?", [from.into()]);
    conditions.and("day <= ?", [to.into()]);
    conditions.and("closed_at IS NULL", []);
    let sql = format!("SELECT {CASE} FROM reconciliation_case {{where}} ORDER BY day, opened_at, id");
    db.all(conditions.query(&sql)).await?.iter().map(read_case).collect()
}

/// How many cases wait for a person, and the oldest day of them.
pub async fn tasks(db: &mut Db) -> Result<(i64, Option<String>)> {
    let mut conditions = Where::default();
    conditions.and("closed_at IS NULL", []);
    conditions.and("explained_at IS NULL", []);
    conditions.and("standing <> 'waits'", []);
    let row = db.one(conditions.query("SELECT COUNT(*), MIN(day) FROM reconciliation_case {where}")).await?;
    Ok((row.try_get(0)?, row.try_get(1)?))
}

/// What waits for a person and was not told under this notice yet, newest first, each with what it is told as.
pub async fn untold_tasks(db: &mut Db, notice: &str, most: i64) -> Result<Vec<(Case, String)>> {
    let sql = format!(
        "SELECT {CASE}, {TOLD_AS} FROM reconciliation_case \
         WHERE closed_at IS NULL AND explained_at IS NULL AND standing <> 'waits' \
         AND NOT EXISTS (SELECT 1 FROM notice_told t WHERE t.notice = $1 AND t.about = {TOLD_AS}) \
         ORDER BY opened_at DESC, id LIMIT $2"
    );
    let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(notice.to_owned()).bind(most);
    db.all(query).await?.iter().map(|row| Ok((read_case(row)?, row.try_get(18)?))).collect()
}

/// What a case is told as: again where it is opened again, and where it becomes something else.
const TOLD_AS: &str = "id || ' ' || CAST(opened_at AS TEXT) || ' ' || standing";

/// One case.
///
/// # Errors
/// [`StoreError::Missing`] where there is none.
pub async fn case(db: &mut Db, id: &str) -> Result<Case> {
    let sql = format!("SELECT {CASE} FROM reconciliation_case WHERE id = $1");
    read_case(&db.one(sqlx::query(sqlx::AssertSqlSafe(sql)).bind(id.to_owned())).await?)
}

/// The same, held until this transaction ends.
///
/// # Errors
/// [`StoreError::Missing`] where there is none.
pub async fn lock_case(tx: &mut Tx, id: &str) -> Result<Case> {
    let sql = "UPDATE reconciliation_case SET standing = standing WHERE id = $1";
    tx.run(sqlx::query(sql).bind(id.to_owned())).await?;
    case(tx, id).await
}

/// Writes cases as they stand now, each once by what it is about, and the days they are shown on.
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
