//! What is wrong with an installation, described once: `bursar doctor` reports all of it, `/readyz` what concerns a
//! running process. Each finding has a description and a remedy. Not here: asking the vendors (`work::checkup`), and
//! files, disks and configuration (`cli::doctor`).

use payout::money::Vendor;
use payout::transaction::State;

use super::verify::CHAIN;
use super::{backups, brake, master_key, nodes, safe_mode};
use crate::clock;
use crate::pulse::Age;
use crate::store::transactions::{self, Filter};
use crate::store::{self, Db, aside, contradictions, events, mails, put_back, reconciliation, vendors};

const HOUR_US: i64 = 3_600_000_000;
const DAY_US: i64 = 24 * HOUR_US;
/// A set-aside record is retried every hour; one not retried for this long has recovered.
const ASIDE_US: i64 = 2 * HOUR_US;
/// No count goes higher than this.
const MOST: i64 = 10_000;

fn count(number: i64, one: &str, more: &str) -> String {
    let word = if number == 1 { one } else { more };
    format!("{number} {word}")
}

/// The first ten numbers, and how many more there are.
fn named(numbers: &[String]) -> String {
    let first = numbers.iter().take(10).cloned().collect::<Vec<_>>().join(", ");
    match numbers.len().saturating_sub(10) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

fn are(number: usize, one: &str, more: &str) -> String {
    if number == 1 { format!("1 {one} is") } else { format!("{number} {more} are") }
}

/// How urgent a finding is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Severity {
    /// Money is stuck or at risk.
    Urgent,
    Act,
    /// Worth knowing; no action needed.
    Know,
}

impl Severity {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Urgent => "urgent",
            Self::Act => "act",
            Self::Know => "know",
        }
    }
}

/// A problem and its remedy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    pub weight: Severity,
    /// A short code for programs.
    pub code: &'static str,
    /// What is wrong, and what it means for the money.
    pub what: String,
    pub remedy: String,
}

impl Finding {
    pub fn new(
        weight: Severity,
        code: &'static str,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { weight, code, what: what.into(), remedy: remedy.into() }
    }

    pub fn told(&self) -> String {
        format!("{} {}", self.what, self.remedy)
    }
}

/// The database does not respond.
pub fn database_away() -> Finding {
    Finding::new(
        Severity::Urgent,
        "database_away",
        "The database does not answer, so Bursar accepts nothing. What it accepted before is safe.",
        "Check that it runs and can be reached at BURSAR_DATABASE_URL.",
    )
}

/// This process has the key that the database is sealed with, but the key file no longer does.
pub fn key_away() -> Finding {
    Finding::new(Severity::Urgent, "key_away", master_key::NOT_IN_FILE, master_key::PUT_IT_BACK)
}

/// The loops of this process that have not finished a pass in time.
pub fn late(ages: &[Age]) -> Option<Finding> {
    let late: Vec<String> = ages
        .iter()
        .filter(|age| age.late)
        .map(|age| format!("{} since {} s", age.name, age.age_us / 1_000_000))
        .collect();
    if late.is_empty() {
        return None;
    }
    let what = format!(
        "These worker loops have not finished a pass in time: {}. No money is lost; their work is stalled.",
        late.join(", ")
    );
    let remedy = "Check the log, and restart this process if they stay late.";
    Some(Finding::new(Severity::Urgent, "loops_late", what, remedy))
}

/// Facts about the installation apart from the database.
#[derive(Clone, Copy, Debug)]
pub struct Installation {
    pub now: i64,
    /// Whether a mail server is set.
    pub mails: bool,
    /// Whether the database is a file that `bursar backup` copies.
    pub file: bool,
    /// The age at which a backup counts as old.
    pub backup_us: i64,
}

/// Every finding that comes from the database itself.
pub async fn of_database(db: &mut Db, known: &Installation) -> store::Result<Vec<Finding>> {
    let mut found = Vec::new();
    found.extend(safe(db).await?);
    found.extend(books(db).await?);
    found.extend(payments(db, known.now).await?);
    found.extend(differences(db).await?);
    found.extend(connections(db, known.now).await?);
    found.extend(mail(db, known).await?);
    if known.file {
        found.extend(backup(db, known).await?);
    }
    Ok(found)
}

async fn safe(db: &mut Db) -> store::Result<Option<Finding>> {
    let report = safe_mode::report(db, &[]).await?;
    let Some(state) = report.state else { return Ok(None) };
    let remedy = match report.keeps_on.is_empty() {
        true if state.since.is_some() => {
            "Everything has been looked up: an administrator ends it on the page Safe mode or with `bursar safe-mode off`.".to_owned()
        }
        true => "It only stops payments; an administrator ends it with `bursar safe-mode off`. If the database was restored, first run `bursar safe-mode on --put-back-from TIME`.".to_owned(),
        false => format!("{} See `bursar safe-mode`.", report.keeps_on.join(" ")),
    };
    let what = format!("Safe mode is on, so nothing is sent. {}", state.says);
    Ok(Some(Finding::new(Severity::Urgent, "safe_mode", what, remedy)))
}

/// Violated money invariants, whether or not they have stopped payments.
async fn books(db: &mut Db) -> store::Result<Vec<Finding>> {
    let mut found = Vec::new();
    if let Some(state) = brake::state(db).await? {
        let rules = brake::rules_of(&state.broken);
        found.push(Finding::new(
            Severity::Urgent,
            "payments_stopped",
            format!("Nothing has been sent since {}, because money rules are broken: {rules}. Nothing has failed.", clock::human(state.at)),
            "`bursar brake`, or What must hold under Activity log, lists what broke them. Find out why; an administrator lets payments go on there.",
        ));
    }
    let known = brake::known(db).await?;
    if !known.is_empty() {
        // Only `audit verify` walks the chain from its first row, so a finding about the chain stays.
        let money = known.iter().any(|one| one.says != CHAIN);
        found.push(Finding::new(
            if money { Severity::Act } else { Severity::Know },
            "rules_broken",
            format!("These rules are broken but stop nothing, because they are not about money or somebody has looked at them: {}.", brake::rules_of(&known)),
            "`bursar brake` lists what broke them. Have it fixed; the daily check of everything then notices.",
        ));
    }
    Ok(found)
}

async fn payments(db: &mut Db, now: i64) -> store::Result<Vec<Finding>> {
    let mut found = Vec::new();
    let contradicted = contradictions::numbers(db).await?;
    if !contradicted.is_empty() {
        found.push(Finding::new(
            Severity::Urgent,
            "payments_contradicted",
            format!(
                "{} contradicted by the vendor, which disagrees with the books: {}. Money may have moved that the books do not count. The rewards are held.",
                are(contradicted.len(), "payment", "payments"),
                named(&contradicted),
            ),
            "Open each, under Payments, Needs attention, and settle it by hand.",
        ));
    }
    let open = put_back::open(db).await?;
    if let Some(held) = safe_mode::held(db, &open).await? {
        found.push(Finding::new(
            Severity::Urgent,
            "payments_unknown",
            format!("{held} That is because the database was restored. Numbers of rewards, payouts and payments assigned after the backup are assigned again to others, so go by the vendors' ids."),
            format!("`bursar safe-mode` and the page Safe mode list them. {}", safe_mode::steps()),
        ));
    }
    let aside = aside::since(db, now - ASIDE_US, MOST).await?.len();
    if aside > 0 {
        found.push(Finding::new(
            Severity::Urgent,
            "payments_set_aside",
            format!(
                "{} set aside, because Bursar cannot process the record; nothing more is sent for it.",
                are(aside, "payment", "payments")
            ),
            "The log says what is wrong with each record; have it fixed. Bursar retries it every hour.",
        ));
    }
    let unreadable = transactions::unreadable_anywhere(db, MOST).await?;
    if !unreadable.is_empty() {
        found.push(Finding::new(
            Severity::Urgent,
            "payments_unreadable",
            format!(
                "The record of {} cannot be read: {}. Bursar leaves it as it is; only the vendor can say whether money moved.",
                count(i64::try_from(unreadable.len()).unwrap_or(MOST), "payment", "payments"),
                named(&unreadable)
            ),
            "Each payment's page shows what is stored; have it fixed in the database.",
        ));
    }
    let states = Some(vec![State::Review, State::PayoutReview]);
    let mut review = transactions::labels(db, &Filter { states, ..Default::default() }, MOST).await?;
    review.retain(|one| !unreadable.contains(one));
    if !review.is_empty() {
        let wait = if review.len() == 1 {
            "1 payment needs a person".to_owned()
        } else {
            format!("{} payments need a person", review.len())
        };
        found.push(Finding::new(
            Severity::Act,
            "payments_need_review",
            format!("{wait}, because Bursar cannot find out by itself how each ended: {}.", named(&review)),
            "Look for each at the vendor by its key, then Settle by hand on its page.",
        ));
    }
    Ok(found)
}

/// Unexplained differences between the vendors' accounts of our balance and the books.
async fn differences(db: &mut Db) -> store::Result<Option<Finding>> {
    let (open, oldest) = reconciliation::tasks(db).await?;
    let Some(oldest) = oldest.filter(|_| open > 0) else { return Ok(None) };
    let what = format!(
        "{} between your balance at the vendors and the books {} a person; the oldest is from {oldest}. Money may have moved that the books do not count.",
        count(open, "difference", "differences"),
        if open == 1 { "needs" } else { "need" }
    );
    let remedy = "The Reconciliation page lists them: find out what each one is, and write it down there.";
    Ok(Some(Finding::new(Severity::Act, "differences_open", what, remedy)))
}

async fn connections(db: &mut Db, now: i64) -> store::Result<Vec<Finding>> {
    let all = vendors::all(db).await?;
    let mut found = Vec::new();
    if all.is_empty() {
        found.push(Finding::new(
            Severity::Act,
            "no_vendor",
            "No vendor is connected, so nobody can be paid.",
            "Save credentials under Payout Settings.",
        ));
    }
    for one in all {
        let label = one.vendor.label();
        if one.rejected_at.is_some() {
            let why = one.rejected_why.clone().unwrap_or_default();
            found.push(Finding::new(
                Severity::Urgent,
                rejected(one.vendor),
                format!(
                    "{label} refuses the credentials ({why}), so its payments are paused. Nothing has failed."
                ),
                "Save working credentials under Payout Settings; payments then continue by themselves.",
            ));
        }
        if one.bad_signatures > 0 && one.last_event_at.is_none_or(|at| now - at > DAY_US) {
            found.push(Finding::new(
                Severity::Act,
                "webhooks_refused",
                format!("{} webhooks from {label} had an invalid signature, and none has had a valid one for a day. Payments still settle, because Bursar polls the vendor.", one.bad_signatures),
                "A proxy may be rewriting bodies, the clock may be wrong, or the secret was changed: save the credentials again.",
            ));
        } else if one.last_event_at.is_none_or(|at| now - at > 7 * DAY_US) && now - one.connected_at > DAY_US
        {
            let message = match one.last_event_at {
                Some(at) => format!("No webhook from {label} has arrived since {}", clock::human(at)),
                None => format!("{label} has never sent a webhook here"),
            };
            found.push(Finding::new(
                Severity::Know,
                "webhooks_unseen",
                format!("{message}. Payments still settle, because Bursar polls the vendor."),
                "If payments were made since, check that the vendor can reach BURSAR_BASE_URL and that its webhook is registered (Payout Settings).",
            ));
        }
    }
    let (waiting, linked, _) = events::backlog(db).await?;
    if waiting + linked > MOST {
        found.push(Finding::new(
            Severity::Act,
            "events_waiting",
            format!("{} events are waiting to be processed.", waiting + linked),
            "Check that the worker loops run: /readyz names those that do not.",
        ));
    }
    Ok(found)
}

fn rejected(vendor: Vendor) -> &'static str {
    match vendor {
        Vendor::Stripe => "stripe_refuses",
        Vendor::PayPal => "paypal_refuses",
    }
}

async fn mail(db: &mut Db, known: &Installation) -> store::Result<Vec<Finding>> {
    let (waiting, failed) = mails::backlog(db).await?;
    let mut found = Vec::new();
    if !known.mails {
        found.push(Finding::new(
            Severity::Know,
            "no_mail_server",
            format!("No mail server is set, so no mail is sent; {waiting} mails can be read in the Outbox."),
            "Set BURSAR_SMTP_URL.",
        ));
    } else if waiting > 100 {
        found.push(Finding::new(
            Severity::Act,
            "mails_waiting",
            format!("{waiting} mails are waiting to be sent."),
            "Open the newest in the Outbox: its attempts show what the mail server answers.",
        ));
    }
    if failed > 0 {
        found.push(Finding::new(
            Severity::Know,
            "mails_failed",
            format!("{failed} mails were given up."),
            "The Outbox lists them with what the mail server said.",
        ));
    }
    let refused = mails::suppressions(db, MOST).await?.len();
    if refused > 0 {
        found.push(Finding::new(
            Severity::Know,
            "addresses_refused",
            format!("{refused} addresses are suppressed, so no mail is sent to them."),
            "Correct them on the partners, then lift them in the Outbox.",
        ));
    }
    Ok(found)
}

async fn backup(db: &mut Db, known: &Installation) -> store::Result<Option<Finding>> {
    let remedy = "Run `bursar backup FILE`, from a timer each night, and copy the file to another machine.";
    let last = backups::last(db).await?;
    let what = match last {
        None => {
            "No backup of this database is on record: none was taken with `bursar backup`, or none since the last restore. If the disk is lost, so is everything since.".to_owned()
        }
        Some(last) if known.now - last.at > known.backup_us => {
            format!("The last backup is from {} ({}).", clock::human(last.at), last.file)
        }
        Some(_) => return Ok(None),
    };
    Ok(Some(Finding::new(Severity::Act, "backup_old", what, remedy)))
}

/// Whether no process serves the database, by comparing two readings of their heartbeats.
pub fn nobody_serves(before: &[(String, i64)], after: &[(String, i64)]) -> Option<Finding> {
    let alive = after.iter().any(|(id, beats)| before.iter().any(|(other, was)| other == id && beats > was));
    let anew = after.iter().any(|(id, _)| before.iter().all(|(other, _)| other != id));
    if alive || anew {
        return None;
    }
    Some(Finding::new(
        Severity::Act,
        "nobody_serves",
        "No Bursar serves this database now, so nothing is sent and nobody can sign in.",
        "Start `bursar serve`. If it is running, check its log: its worker loops are stalled.",
    ))
}

/// The heartbeat counter of each process that serves the database.
pub async fn beats(db: &mut Db) -> store::Result<Vec<(String, i64)>> {
    nodes::beats(db).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_counts_on_is_alive() {
        let beats = |beats| vec![("nod_1".to_owned(), beats)];
        assert!(nobody_serves(&beats(1), &beats(2)).is_none());
        assert!(nobody_serves(&beats(1), &beats(1)).is_some());
        assert!(nobody_serves(&[], &[]).is_some());
        assert!(nobody_serves(&[], &beats(0)).is_none(), "it has just begun");
    }

    #[test]
    fn what_weighs_most_comes_first() {
        let mut all = [Severity::Know, Severity::Urgent, Severity::Act];
        all.sort();
        assert_eq!(all, [Severity::Urgent, Severity::Act, Severity::Know]);
    }
}
