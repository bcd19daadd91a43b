//! Imports accounts, partners and activities. A row with a known external id updates that record.

use std::collections::HashMap;

use payout::eligibility::PayeeStanding;
use payout::ids::{AccountId, ActivityId, PartnerId, ProgramId};
use payout::ledger::Payee;
use payout::money::{Currency, Money, Vendor};
use payout::payee::Destination;
use payout::reward::RewardType;
use serde_json::json;

use super::layout::{
    ACCOUNTS, ACCOUNTS_REQUIRED, ACTIVITIES, ACTIVITIES_REQUIRED, PARTNERS, PARTNERS_REQUIRED,
};
use super::points;
use super::table::{DestinationChange, Faults, Report, Row, RowError, Table, problem, refused};
use crate::app::{Actor, App};
use crate::ops::Result;
use crate::ops::idempotency::{Idempotency, finish};
use crate::ops::partners::{is_country, note_addresses, wrong_country};
use crate::ops::settings::{is_address, lowering};
use crate::store::programs::{self, Account, Activity, Partner, Program, RewardValue};
use crate::store::{Tx, audit, payees};
use crate::transact;

/// A destination that a file names for a payee, not yet set.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ToConnect {
    pub line: u64,
    pub payee: Payee,
    pub destination: Destination,
    /// Described for people, if this changes the destination of an existing payee.
    pub told: Option<DestinationChange>,
}

/// Imports accounts; also returns the destinations to set.
///
/// # Errors
/// If the file cannot be read as a whole.
pub async fn accounts(
    app: &App,
    actor: &Actor,
    file: &[u8],
    dry_run: bool,
    once: Option<&Idempotency<Report>>,
) -> Result<(Report, Vec<ToConnect>)> {
    let table = Table::read(file, ACCOUNTS, ACCOUNTS_REQUIRED).await?;
    transact!(app, |tx| {
        let (report, to_connect) = accounts_of(tx, app, actor, &table, dry_run).await?;
        finish(tx, once, &report).await?;
        Ok((report, if dry_run { Vec::new() } else { to_connect }))
    })
}

/// Saves the valid rows of a table of accounts, unless `dry_run`; returns every destination they name.
pub(super) async fn accounts_of(
    tx: &mut Tx,
    app: &App,
    actor: &Actor,
    table: &Table,
    dry_run: bool,
) -> Result<(Report, Vec<ToConnect>)> {
    let now = app.clock.now();
    let named = table.distinct("external_id");
    if !dry_run {
        programs::lock_accounts(tx, &named).await?;
    }
    let known = programs::accounts_named(tx, &named).await?;
    let known: HashMap<String, Account> =
        known.into_iter().map(|account| (account.external_id.clone(), account)).collect();
    let places = places(tx, known.values().map(|account| Payee::Account(account.id)).collect()).await?;
    let mut sorted = PlannedRows::new(table, places);
    for row in &table.rows {
        sorted.take(row, |row| {
            let before = known.get(row.get("external_id"));
            let mut faults = Faults::default();
            let account = account(row, before, &mut faults, app, now);
            let destination = faults.take(destination(row));
            let (account, to) = faults.all(row, account.zip(destination))?;
            let destination = to.map(|to| (Payee::Account(account.id), to));
            Ok((before == Some(&account), account, destination))
        });
    }
    if !dry_run {
        programs::save_accounts(tx, &sorted.changed).await?;
        for account in &sorted.changed {
            note(tx, now, actor, "account_saved", &account.id.to_string(), &account.external_id);
        }
    }
    Ok((sorted.report, sorted.to_connect))
}

fn account(row: &Row, before: Option<&Account>, faults: &mut Faults, app: &App, now: i64) -> Option<Account> {
    let external_id = faults.take(row.required("external_id"));
    let name = faults.take(row.required("name"));
    let country = faults.take(country(row));
    let owner_email = faults.take(email(row, "owner_email"));
    Some(Account {
        id: before.map_or_else(|| AccountId::fresh(now, app.clock.in_turn()), |before| before.id),
        external_id: external_id?.to_owned(),
        name: name?.to_owned(),
        country: country?.or_else(|| before.and_then(|before| before.country.clone())),
        owner_email: owner_email?.or_else(|| before.and_then(|before| before.owner_email.clone())),
        standing: before.map_or(PayeeStanding::Active, |before| before.standing),
        note: before.and_then(|before| before.note.clone()),
        created_at: before.map_or(now, |before| before.created_at),
        updated_at: before.map_or(now, |before| before.updated_at),
    })
}

/// Imports partners; also returns the destinations to set.
///
/// # Errors
/// If the file cannot be read as a whole.
pub async fn partners(
    app: &App,
    actor: &Actor,
    file: &[u8],
    dry_run: bool,
    once: Option<&Idempotency<Report>>,
) -> Result<(Report, Vec<ToConnect>)> {
    let table = Table::read(file, PARTNERS, PARTNERS_REQUIRED).await?;
    transact!(app, |tx| {
        let (report, to_connect) = partners_of(tx, app, actor, &table, dry_run).await?;
        finish(tx, once, &report).await?;
        Ok((report, if dry_run { Vec::new() } else { to_connect }))
    })
}

/// Saves the valid rows of a table of partners, unless `dry_run`; returns every destination they name.
pub(super) async fn partners_of(
    tx: &mut Tx,
    app: &App,
    actor: &Actor,
    table: &Table,
    dry_run: bool,
) -> Result<(Report, Vec<ToConnect>)> {
    let now = app.clock.now();
    let named = table.distinct("external_id");
    if !dry_run {
        programs::lock_partners(tx, &named).await?;
    }
    let known = programs::partners_named(tx, &named).await?;
    let known: HashMap<String, Partner> =
        known.into_iter().map(|partner| (partner.external_id.clone(), partner)).collect();
    let places = places(tx, known.values().map(|partner| Payee::Partner(partner.id)).collect()).await?;
    let companies = programs::accounts_named(tx, &table.distinct("account")).await?;
    let companies: HashMap<String, AccountId> =
        companies.into_iter().map(|account| (account.external_id, account.id)).collect();
    let mut sorted = PlannedRows::new(table, places);
    for row in &table.rows {
        sorted.take(row, |row| {
            let before = known.get(row.get("external_id"));
            let mut faults = Faults::default();
            let partner = partner(row, (before, &companies), &mut faults, app, now);
            let destination = faults.take(destination(row));
            let (partner, to) = faults.all(row, partner.zip(destination))?;
            let destination = to.map(|to| (Payee::Partner(partner.id), to));
            Ok((before == Some(&partner), partner, destination))
        });
    }
    if !dry_run {
        programs::save_partners(tx, &sorted.changed).await?;
        let saved = sorted.changed.iter().filter_map(|after| Some((known.get(&after.external_id)?, after)));
        note_addresses(tx, app, saved).await?;
        for partner in &sorted.changed {
            note(tx, now, actor, "partner_saved", &partner.id.to_string(), &partner.external_id);
        }
    }
    Ok((sorted.report, sorted.to_connect))
}

fn partner(
    row: &Row,
    known: (Option<&Partner>, &HashMap<String, AccountId>),
    faults: &mut Faults,
    app: &App,
    now: i64,
) -> Option<Partner> {
    let (before, companies) = known;
    let external_id = faults.take(row.required("external_id"));
    let account = faults.take(row.required("account").and_then(|account| {
        let message = "There is no account with this external id; import the accounts first.";
        let company = companies.get(account);
        let company = company.ok_or_else(|| problem(row, "account", "unknown_account", message))?;
        Ok((*company, account.to_owned()))
    }));
    let name = faults.take(row.required("name"));
    let email = faults.take(row.required("email").and_then(|_| email(row, "email")));
    let country = faults.take(country(row));
    Some(Partner {
        id: before.map_or_else(|| PartnerId::fresh(now, app.clock.in_turn()), |before| before.id),
        external_id: external_id?.to_owned(),
        account: account?,
        name: name?.to_owned(),
        email: email?.unwrap_or_default(),
        country: country?.or_else(|| before.and_then(|before| before.country.clone())),
        language: row.optional("language").or_else(|| before.and_then(|before| before.language.clone())),
        standing: before.map_or(PayeeStanding::Active, |before| before.standing),
        note: before.and_then(|before| before.note.clone()),
        created_at: before.map_or(now, |before| before.created_at),
        updated_at: before.map_or(now, |before| before.updated_at),
    })
}

/// Imports activities. A program that is known by neither external id nor name is created, named after its external id.
///
/// # Errors
/// If the file cannot be read as a whole.
pub async fn activities(
    app: &App,
    actor: &Actor,
    file: &[u8],
    dry_run: bool,
    once: Option<&Idempotency<Report>>,
) -> Result<Report> {
    let table = Table::read(file, ACTIVITIES, ACTIVITIES_REQUIRED).await?;
    transact!(app, |tx| {
        let report = activities_of(tx, app, actor, &table, dry_run).await?;
        finish(tx, once, &report).await?;
        Ok(report)
    })
}

/// Saves the valid rows of a table of activities, unless `dry_run`.
pub(super) async fn activities_of(
    tx: &mut Tx,
    app: &App,
    actor: &Actor,
    table: &Table,
    dry_run: bool,
) -> Result<Report> {
    let now = app.clock.now();
    if !dry_run {
        programs::lock_activities(tx, &table.distinct("external_id")).await?;
    }
    let known = programs::all_activities(tx).await?;
    let known: HashMap<String, Activity> =
        known.into_iter().map(|activity| (activity.external_id.clone(), activity)).collect();
    let mut runs = Programs { known: programs::all_programs(tx).await?, made: Vec::new() };
    let longest = runs.known.iter().map(|program| program.hold_days).max().unwrap_or(0);
    let may_shorten = lowering::is_operators_own(tx, actor).await?;
    let mut sorted = PlannedRows::new(table, Places::new());
    for row in &table.rows {
        sorted.take(row, |row| {
            let before = known.get(row.get("external_id"));
            let made = runs.made.len();
            let activity = activity(row, before, &mut runs, app, now)?;
            if !may_shorten && before.is_some_and(|before| activity.hold_days < before.hold_days) {
                // A rejected row creates no program.
                runs.made.truncate(made);
                let message = "This API key may not move an activity to a program with a shorter hold period. An administrator can do it on the pages.";
                return Err(problem(row, "program", "person_needed", message));
            }
            if !may_shorten && runs.made.len() > made && longest > 0 {
                runs.made.truncate(made);
                let message = "This API key may not create a program with a shorter hold period than another. An administrator can do it on the pages.";
                return Err(problem(row, "program", "person_needed", message));
            }
            Ok((before == Some(&activity), activity, None))
        });
    }
    if !dry_run {
        for program in &runs.made {
            programs::save_program(tx, program).await?;
            note(tx, now, actor, "program_saved", &program.id.to_string(), &program.external_id);
        }
        for activity in &sorted.changed {
            programs::save_activity(tx, activity).await?;
            note(tx, now, actor, "activity_saved", &activity.id.to_string(), &activity.external_id);
        }
    }
    Ok(sorted.report)
}

/// The existing programs, and those that the file creates.
struct Programs {
    known: Vec<Program>,
    made: Vec<Program>,
}

impl Programs {
    fn named(&mut self, row: &Row, app: &App, now: i64) -> std::result::Result<Program, RowError> {
        let name = row.required("program")?;
        let kind = match row.get("program_type") {
            "" => None,
            word => Some(RewardType::parse(word).ok_or_else(|| {
                problem(row, "program_type", "unknown_value", "The program type must be cash or points.")
            })?),
        };
        let is_it = |program: &&Program| program.external_id == name || program.name == name;
        if let Some(program) = self.known.iter().chain(&self.made).find(is_it) {
            if kind.is_some_and(|kind| kind != program.reward_type) {
                let message =
                    "The program with this name has the other type. Change the file or the program.";
                return Err(problem(row, "program_type", "type_conflict", message));
            }
            return Ok(program.clone());
        }
        let program = Program {
            id: ProgramId::fresh(now, app.clock.in_turn()),
            external_id: name.to_owned(),
            name: name.to_owned(),
            reward_type: kind.unwrap_or(RewardType::Cash),
            manager_email: None,
            hold_days: 0,
            created_at: now,
            updated_at: now,
        };
        self.made.push(program.clone());
        Ok(program)
    }
}

fn activity(
    row: &Row,
    before: Option<&Activity>,
    runs: &mut Programs,
    app: &App,
    now: i64,
) -> std::result::Result<Activity, RowError> {
    let made = runs.made.len();
    let mut faults = Faults::default();
    let external_id = faults.take(row.required("external_id"));
    let name = faults.take(row.required("name"));
    let program = faults.take(runs.named(row, app, now));
    let kind = program.as_ref().map_or(RewardType::Cash, |program| program.reward_type);
    let worth = faults.take(default_worth(row, kind));
    let read = external_id.zip(name).zip(program.zip(worth));
    let read = faults.all(row, read);
    if read.is_err() {
        // A rejected row creates no program.
        runs.made.truncate(made);
    }
    let ((external_id, name), (program, worth)) = read?;
    Ok(Activity {
        id: before.map_or_else(|| ActivityId::fresh(now, app.clock.in_turn()), |before| before.id),
        external_id: external_id.to_owned(),
        worth,
        program: (program.id, program.external_id),
        reward_type: program.reward_type,
        hold_days: program.hold_days,
        name: name.to_owned(),
        inactive_at: before.and_then(|before| before.inactive_at),
        created_at: before.map_or(now, |before| before.created_at),
        updated_at: before.map_or(now, |before| before.updated_at),
    })
}

fn default_worth(row: &Row, kind: RewardType) -> std::result::Result<Option<RewardValue>, RowError> {
    let (value, code) = (row.get("default_value"), row.get("default_currency"));
    if value.is_empty() {
        return Ok(None);
    }
    let worth = match kind {
        RewardType::Points => points(value).map(RewardValue::Points),
        RewardType::Cash => {
            let wrong = |told: &'static str, code| problem(row, "default_currency", code, told);
            let currency = Currency::parse(code).map_err(|error| wrong(error.sentence(), error.code()))?;
            Money::parse(value, currency).map(RewardValue::Cash)
        }
    };
    worth.map(Some).map_err(|error| problem(row, "default_value", error.code(), error.sentence()))
}

/// Existing payees and their destinations.
type Places = HashMap<Payee, Option<Destination>>;

async fn places(tx: &mut Tx, known: Vec<Payee>) -> Result<Places> {
    let mut profiles = payees::profiles_of(tx, &known).await?;
    Ok(known.into_iter().map(|payee| (payee, profiles.remove(&payee).map(|one| one.destination))).collect())
}

/// The rows of a file, planned: which are new, changed, unchanged or refused.
struct PlannedRows<T> {
    places: Places,
    report: Report,
    changed: Vec<T>,
    to_connect: Vec<ToConnect>,
    seen: HashMap<String, String>,
}

type Taken<T> = (bool, T, Option<(Payee, Destination)>);

impl<T> PlannedRows<T> {
    fn new(table: &Table, places: Places) -> Self {
        let (report, seen) = (table.report(), HashMap::new());
        Self { places, report, changed: Vec::new(), to_connect: Vec::new(), seen }
    }

    /// Describes how a row changes its payee's destination; `None` for a new payee or the same destination.
    fn moved(&self, row: &Row, payee: Payee, to: &Destination) -> Option<DestinationChange> {
        let before = self.places.get(&payee)?;
        if before.as_ref() == Some(to) {
            return None;
        }
        let (old, new) = match before {
            Some(before) => {
                let (old, new) = before.masked_beside(to);
                (Some(old), new)
            }
            None => (None, to.masked()),
        };
        Some(DestinationChange { line: row.line, external_id: row.get("external_id").to_owned(), old, new })
    }

    /// Sorts a row. `read` returns whether the row changes nothing, the record it describes, and the destination it names.
    fn take(&mut self, row: &Row, read: impl FnOnce(&Row) -> std::result::Result<Taken<T>, RowError>) {
        let (unchanged, thing, destination) = match read(row) {
            Ok(taken) => taken,
            Err(error) => return self.report.rejected.push(error),
        };
        let (id, content) = (row.get("external_id").to_owned(), row.content());
        if let Some(earlier) = self.seen.get(&id) {
            if *earlier == content {
                self.report.duplicates += 1;
            } else {
                let message =
                    "This external id is on an earlier line with different content; that line counts.";
                self.report.rejected.push(problem(row, "external_id", "external_id_conflict", message));
            }
            return;
        }
        self.seen.insert(id, content);
        let destination_change = destination.as_ref().and_then(|(payee, to)| self.moved(row, *payee, to));
        // A row that changes its payee's destination is not a duplicate.
        if unchanged && destination_change.is_none() {
            self.report.duplicates += 1;
        } else {
            self.report.accepted += 1;
        }
        if !unchanged {
            self.changed.push(thing);
        }
        self.report.destinations.extend(destination_change.clone());
        if let Some((payee, destination)) = destination {
            self.to_connect.push(ToConnect { line: row.line, payee, destination, told: destination_change });
        }
    }
}

fn country(row: &Row) -> std::result::Result<Option<String>, RowError> {
    match row.optional("country") {
        Some(code) if !is_country(&code) => Err(refused(row, &wrong_country(&code))),
        code => Ok(code),
    }
}

fn email(row: &Row, column: &'static str) -> std::result::Result<Option<String>, RowError> {
    match row.optional(column) {
        Some(address) if !is_address(&address) => Err(problem(
            row,
            column,
            "invalid_email",
            "No mail can be sent to this; write one e-mail address like ana@example.com.",
        )),
        address => Ok(address),
    }
}

/// The destination a row names; it must have both vendor and destination, or neither.
fn destination(row: &Row) -> std::result::Result<Option<Destination>, RowError> {
    let (vendor, address) = (row.get("vendor"), row.get("destination"));
    if vendor.is_empty() && address.is_empty() {
        return Ok(None);
    }
    let Some(vendor) = Vendor::parse(vendor) else {
        return Err(problem(row, "vendor", "unknown_value", "The vendor must be stripe or paypal."));
    };
    match Destination::at(vendor, address) {
        Ok(destination) => Ok(Some(destination)),
        Err(refusal) => Err(problem(row, "destination", refusal.code, &refusal.sentence)),
    }
}

fn note(tx: &mut Tx, at: i64, actor: &Actor, action: &'static str, subject: &str, external_id: &str) {
    let detail = json!({"external_id": external_id, "by": "import"}).to_string();
    let (actor, subject) = (actor.id.to_string(), subject.to_owned());
    tx.audit(audit::Entry { at, actor, action, subject, detail });
}
