//! Imports rewards, accounts, partners and activities from CSV (UTF-8) or an Excel workbook: with a header, columns by name
//! in any order. A file that cannot be read is refused as a whole; otherwise its valid rows are saved, and each rejected row
//! is reported by line, column and code. Importing the same file twice adds nothing.
//!
//! Not here: asking a vendor about the destinations a file names (`work::connect`), which follows once the rows are
//! saved; this module returns what to ask.

mod catalogue;
mod error_file;
mod example;
mod layout;
mod records;
pub mod runs;
mod sample;
mod source;
mod table;
mod workbook;

pub use catalogue::{ToConnect, accounts, activities, partners};
pub use example::example;
pub use records::Lines;
pub use table::{DestinationChange, Destinations, Report, RowError};
pub use workbook::{CellFault, Sheet};

use std::collections::{BTreeMap, HashMap};

use payout::ids::RewardId;
use payout::money::{Currency, Money, MoneyError, Sum};
use payout::reward::{PaymentType, RewardType};
use serde_json::json;

use self::table::{Faults, Row, Table, problem, refused};
use super::idempotency::{Idempotency, finish};
use super::rewards::{
    Draft, earned_at, expiry_of, external_id_conflict, unknown_activity, unknown_owner, within_most,
};
use super::{OpsError, Result, settings};
use crate::app::{Actor, App};
use crate::store::programs::{self, Activity, Partner, RewardValue};
use crate::store::rewards::{self, Entered};
use crate::store::{self, Db, Tx, audit};
use crate::transact;

/// The quoting errors of a file: each code and its sentence.
pub fn wrong_quotes() -> [(&'static str, &'static str); 3] {
    [records::QuoteError::Unclosed, records::QuoteError::Misplaced, records::QuoteError::AroundRows]
        .map(|fault| (fault.code(), fault.sentence()))
}

/// Whether a file begins like a workbook or another archive.
pub fn is_archive(file: &[u8]) -> bool {
    file.starts_with(workbook::ZIP)
}

type Columns = &'static [&'static str];

const COLUMNS: Columns = &[
    "external_id",
    "activity",
    "owner",
    "value",
    "currency",
    "payment_type",
    "form_reference",
    "earned_on",
    "expires_on",
    "note",
];
const REQUIRED: Columns = &["external_id", "activity", "owner", "value", "currency"];

/// Imports rewards, or with `dry_run` only reports what an import would do.
///
/// # Errors
/// If the file cannot be read as a whole: neither UTF-8 nor a workbook, or an unknown, duplicate or missing column.
pub async fn rewards(
    app: &App,
    actor: &Actor,
    file: &[u8],
    dry_run: bool,
    once: Option<&Idempotency<Report>>,
) -> Result<Report> {
    let table = Table::read(file, COLUMNS, REQUIRED).await?;
    if dry_run {
        let mut db = app.store.read().await?;
        return Ok(sorted(&mut db, app, actor, &table).await?.1);
    }
    let report = transact!(app, |tx| {
        let report = insert_rows(tx, app, actor, &table).await?;
        finish(tx, once, &report).await?;
        Ok(report)
    })?;
    app.nudge.notify_watchers();
    Ok(report)
}

/// Saves the valid rows of a table.
async fn insert_rows(tx: &mut Tx, app: &App, actor: &Actor, table: &Table) -> Result<Report> {
    let (mut entered, report) = sorted(tx, app, actor, table).await?;
    let count = i64::try_from(entered.len()).unwrap_or(i64::MAX);
    let first = store::next_numbers(tx, "reward", count).await?;
    // Lists order rewards of the same time by id, so assign the ids in file order.
    let mut ids: Vec<RewardId> = entered.iter().map(|reward| reward.id).collect();
    ids.sort_unstable();
    for ((number, id), reward) in (first..).zip(ids).zip(&mut entered) {
        (reward.number, reward.id) = (number, id);
    }
    if rewards::insert(tx, &entered).await? != entered.len() as u64 {
        // Somebody entered one of these external ids a moment ago: start over.
        return Err(meanwhile());
    }
    for reward in &entered {
        tx.audit(audit::Entry {
            at: reward.created_at,
            actor: actor.id.to_string(),
            action: "reward_entered",
            subject: reward.id.to_string(),
            detail: json!({"external_id": reward.external_id, "by": "import"}).to_string(),
        });
    }
    Ok(report)
}

fn meanwhile() -> OpsError {
    OpsError::Conflict(payout::Refusal::new(
        "changed_meanwhile",
        "Somebody entered some of these rewards at the same time, so nothing was imported. Import the file again.",
    ))
}

/// The rewards to save from the file's rows, and the report.
async fn sorted(db: &mut Db, app: &App, actor: &Actor, table: &Table) -> Result<(Vec<Entered>, Report)> {
    let known = References::read(db, table).await?;
    let rules = settings::load(db).await?;
    let mut totals: BTreeMap<Currency, i128> = BTreeMap::new();
    let by = actor.id.to_string();
    let mut report = table.report();
    let mut entered = Vec::with_capacity(table.rows.len());
    let mut seen: HashMap<&str, String> = HashMap::with_capacity(table.rows.len());
    for row in &table.rows {
        let draft_and_reward = known.draft(row).and_then(|(draft, activity, owner)| {
            let reward = draft.settle(activity, owner, app, &by).map_err(|refusal| refused(row, &refusal))?;
            Ok((draft, reward))
        });
        let (draft, reward) = match draft_and_reward {
            Ok(good) => good,
            Err(error) => {
                report.rejected.push(error);
                continue;
            }
        };
        let id = row.get("external_id");
        let hash = draft.content_hash();
        match known.rewards.get(id).or_else(|| seen.get(id)) {
            Some(other) if *other == hash => report.duplicates += 1,
            Some(_) => {
                let refusal = external_id_conflict().at("external_id");
                report.rejected.push(refused(row, &refusal));
            }
            None => {
                if let Err(refusal) = within_most(&rules, reward.worth) {
                    report.rejected.push(refused(row, &refusal));
                    continue;
                }
                if let RewardValue::Cash(money) = reward.worth {
                    *totals.entry(money.currency).or_default() += i128::from(money.minor);
                }
                seen.insert(id, hash);
                entered.push(reward);
                report.accepted += 1;
            }
        }
    }
    report.totals = totals.into_iter().map(|(currency, minor)| Sum::new(minor, currency)).collect();
    report.rejected.sort_by_key(|error| error.line);
    Ok((entered, report))
}

/// The records that the rows refer to.
struct References {
    activities: HashMap<String, Activity>,
    partners: HashMap<String, Partner>,
    rewards: HashMap<String, String>,
}

impl References {
    async fn read(db: &mut Db, table: &Table) -> Result<Self> {
        let activities = programs::all_activities(db).await?;
        let owners = table.distinct("owner");
        let partners = programs::partners_named(db, &owners).await?;
        let ids: Vec<&str> = table.rows.iter().map(|row| row.get("external_id")).collect();
        Ok(Self {
            activities: activities.into_iter().map(|it| (it.external_id.clone(), it)).collect(),
            partners: partners.into_iter().map(|it| (it.external_id.clone(), it)).collect(),
            rewards: rewards::known(db, &ids).await?,
        })
    }

    fn draft(&self, row: &Row) -> std::result::Result<(Draft, &Activity, &Partner), RowError> {
        let mut faults = Faults::default();
        let external_id = faults.take(row.required("external_id"));
        let activity = faults.take(
            row.required("activity")
                .and_then(|name| self.activities.get(name).ok_or_else(|| refused(row, &unknown_activity()))),
        );
        let owner = faults.take(
            row.required("owner")
                .and_then(|name| self.partners.get(name).ok_or_else(|| refused(row, &unknown_owner()))),
        );
        // The reward type of an unknown activity is unknown; assume money, which most earn.
        let kind = activity.map_or(RewardType::Cash, |activity| activity.reward_type);
        let default = activity.and_then(|activity| activity.worth).and_then(RewardValue::currency);
        let worth = faults.take(worth(row, kind, default));
        let payment_type = faults.take(payment_type(row, kind));
        let earned = row.optional("earned_on").map(|date| earned_at(&date)).transpose();
        faults.take(earned.map_err(|refusal| refused(row, &refusal)));
        let expires = row.optional("expires_on").map(|date| expiry_of(&date)).transpose();
        let expires = faults.take(expires.map_err(|refusal| refused(row, &refusal)));
        let read = external_id.zip(activity).zip(owner).zip(worth.zip(payment_type)).zip(expires);
        let ((((external_id, activity), owner), (worth, payment_type)), expires) = faults.all(row, read)?;
        let draft = Draft {
            external_id: external_id.to_owned(),
            activity: activity.external_id.clone(),
            owner: owner.external_id.clone(),
            worth,
            payment_type,
            form_reference: row.optional("form_reference"),
            form_data: None,
            note: row.optional("note"),
            earned_on: row.optional("earned_on"),
            expires_at: expires.flatten(),
        };
        Ok((draft, activity, owner))
    }
}

fn payment_type(row: &Row, kind: RewardType) -> std::result::Result<Option<PaymentType>, RowError> {
    match (row.get("payment_type"), kind) {
        ("", _) | (_, RewardType::Points) => Ok(None),
        (word, RewardType::Cash) => match PaymentType::parse(word) {
            Some(kind) => Ok(Some(kind)),
            None => {
                let message = "The payment type must be individual or organization; empty means individual.";
                Err(problem(row, "payment_type", "unknown_value", message))
            }
        },
    }
}

/// The value of a row, if it has one. `default` is the currency of the activity's own value.
fn worth(
    row: &Row,
    kind: RewardType,
    default: Option<Currency>,
) -> std::result::Result<Option<RewardValue>, RowError> {
    let wrong =
        |column: &'static str, error: MoneyError| problem(row, column, error.code(), error.sentence());
    let (value, code) = (row.get("value"), row.get("currency"));
    if kind == RewardType::Points {
        if !code.is_empty() {
            let message = "Points have no currency; leave it empty.";
            return Err(problem(row, "currency", "not_cash", message));
        }
        return match value {
            "" => Ok(None),
            text => points(text)
                .map(|points| Some(RewardValue::Points(points)))
                .map_err(|error| wrong("value", error)),
        };
    }
    let currency = match (code, default) {
        ("", None) if value.is_empty() => return Ok(None),
        ("", None) => {
            let message = "Write the currency; this activity has none of its own.";
            return Err(problem(row, "currency", "missing", message));
        }
        ("", Some(default)) => default,
        (code, _) => Currency::parse(code).map_err(|error| wrong("currency", error))?,
    };
    match value {
        "" if code.is_empty() || default == Some(currency) => Ok(None),
        text => {
            let money = Money::parse(text, currency).map_err(|error| wrong("value", error))?;
            Ok(Some(RewardValue::Cash(money)))
        }
    }
}

/// Parses points: a whole number, like money in a currency without decimals.
///
/// # Errors
/// As [`Money::parse`].
pub fn points(text: &str) -> std::result::Result<i64, MoneyError> {
    Currency::parse("JPY").and_then(|whole| Money::parse(text, whole)).map(|money| money.minor)
}
