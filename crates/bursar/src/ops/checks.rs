//! What is wrong with an installation, one description for everybody who tells it: `bursar doctor` tells all of it, `/readyz`
//! what concerns a running process. Each finding says what is so and what to do. What is deliberately not here: asking the
//! vendors (`work::checkup`), and files, disks and configuration (`cli::doctor`).

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
/// A set-aside record is tried again every hour; one that was not tried for longer has gone on.
const ASIDE_US: i64 = 2 * HOUR_US;
/// So many are counted and no more.
const MOST: i64 = 10_000;

fn count(number: i64, one: &str, more: &str) -> String {
    let word = if number == 1 { one } else { more };
    format!("{number} {word}")
}

/// The first of many numbers.
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

/// How much a finding weighs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Weight {
    /// Money stands still or is in danger.
    Urgent,
    Act,
    /// Worth knowing; nothing must be done.
    Know,
}

impl Weight {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Urgent => "urgent",
            Self::Act => "act",
            Self::Know => "know",
        }
    }
}

/// Something that is so, and what to do about it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    pub weight: Weight,
    /// In a word, for programs.
    pub code: &'static str,
    /// What is so, and what it means for the money.
    pub what: String,
    pub remedy: String,
}

impl Finding {
    pub fn new(
        weight: Weight,
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

/// The database does not answer.
pub fn database_away() -> Finding {
    Finding::new(
        Weight::Urgent,
        "database_away",
        "The database does not answer, so nothing is accepted. What was accepted before is safe.",
        "Look whether it runs and can be reached at BURSAR_DATABASE_URL.",
    )
}

/// The key that the database is sealed with is known to this process, and lies in the key file no more.
pub fn key_away() -> Finding {
    Finding::new(Weight::Urgent, "key_away", master_key::NOT_IN_FILE, master_key::PUT_IT_BACK)
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
        "These loops have not finished a pass in time: {}. No money is lost; what they do stands still.",
        late.join(", ")
    );
    let remedy = "Look into the log, and restart this process if they stay late.";
    Some(Finding::new(Weight::Urgent, "loops_late", what, remedy))
}

/// What is known of the installation beside the database.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    pub now: i64,
    /// A mail server is set.
    pub mails: bool,
    /// The database is a file that `bursar backup` copies.
    pub file: bool,
    /// From what age on a backup is old.
    pub backup_us: i64,
}

/// Everything that the database itself tells.
pub async fn of_database(db: &mut Db, known: &Known) -> store::Result<Vec<Finding>> {
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
            "Everything has been looked up: an administrator ends it with `bursar safe-mode off`.".to_owned()
        }
        true => "It only stops payments; an administrator ends it with `bursar safe-mode off`. If the database was put back, run `bursar safe-mode on --put-back-from TIME` before.".to_owned(),
        false => format!("{} See `bursar safe-mode`.", report.keeps_on.join(" ")),
    };
    let what = format!("Safe mode is on, so nothing is sent. {}", state.says);
    Ok(Some(Finding::new(Weight::Urgent, "safe_mode", what, remedy)))
}

/// What must always hold of the money and does not: whether that has stopped payments or not.
async fn books(db: &mut Db) -> store::Result<Vec<Finding>> {
    let mut found = Vec::new();
    if let Some(state) = brake::state(db).await? {
        let rules = brake::rules_of(&state.broken);
        found.push(Finding::new(
            Weight::Urgent,
            "payments_stopped",
            format!("Nothing has been sent since {}, because what must hold of the money does not: {rules}. Nothing has failed.", clock::told(state.at)),
            "`bursar brake`, or What must hold under Activity log, lists what is broken. Find out why; an administrator lets payments go on there.",
        ));
    }
    let known = brake::known(db).await?;
    if !known.is_empty() {
        // The chain of the log is walked from its first row by `audit verify` alone, so what was said of it stays.
        let money = known.iter().any(|one| one.says != CHAIN);
        found.push(Finding::new(
            if money { Weight::Act } else { Weight::Know },
            "rules_broken",
            format!("This is broken and stops nothing, because it is not about money or somebody has looked at it: {}.", brake::rules_of(&known)),
            "`bursar brake` lists what breaks it. Have it put right; the look at everything, once a day, notices that.",
        ));
    }
    Ok(found)
}

async fn payments(db: &mut Db, now: i64) -> store::Result<Vec<Finding>> {
    let mut found = Vec::new();
    let contradicted = contradictions::numbers(db).await?;
    if !contradicted.is_empty() {
        found.push(Finding::new(
            Weight::Urgent,
            "payments_contradicted",
            format!(
                "{} contradicted by the vendor, which says something else than the books hold: {}. Money may have moved that they do not count. The rewards are held.",
                are(contradicted.len(), "payment", "payments"),
                named(&contradicted),
            ),
            "Open each, under Payments, Needs attention, and settle it by hand.",
        ));
    }
    let open = put_back::open(db).await?;
    if let Some(held) = safe_mode::held(db, &open).await? {
        found.push(Finding::new(
            Weight::Urgent,
            "payments_unknown",
            format!("{held} That is because the database was put back. Numbers of rewards, payouts and payments that were given out after the backup are given out again for others, so go by the vendors' ids."),
            format!("`bursar safe-mode` and the page Safe mode list them. {}", safe_mode::steps()),
        ));
    }
    let aside = aside::since(db, now - ASIDE_US, MOST).await?.len();
    if aside > 0 {
        found.push(Finding::new(
            Weight::Urgent,
            "payments_set_aside",
            format!(
                "{} set aside, because the record cannot be worked on; nothing more is sent of that.",
                are(aside, "payment", "payments")
            ),
            "The log says what is wrong with each record; have it put right. It is tried again every hour.",
        ));
    }
    let unreadable = transactions::unreadable_anywhere(db, MOST).await?;
    if !unreadable.is_empty() {
        found.push(Finding::new(
            Weight::Urgent,
            "payments_unreadable",
            format!(
                "The record of {} cannot be read: {}. Bursar leaves it as it is; whether money moved, only the vendor can say.",
                count(i64::try_from(unreadable.len()).unwrap_or(MOST), "payment", "payments"),
                named(&unreadable)
            ),
            "The page of each shows what is stored; have it put right in the database.",
        ));
    }
    let states = Some(vec![State::Review, State::PayoutReview]);
    let mut review = transactions::labels(db, &Filter { states, ..Default::default() }, MOST).await?;
    review.retain(|one| !unreadable.contains(one));
    if !review.is_empty() {
        let wait = if review.len() == 1 {
            "1 payment waits".to_owned()
        } else {
            format!("{} payments wait", review.len())
        };
        found.push(Finding::new(
            Weight::Act,
            "payments_need_review",
            format!(
                "{wait} for a person, because Bursar cannot find out by itself how each ended: {}.",
                named(&review)
            ),
            "Look for each at the vendor by its key, then Settle by hand on its page.",
        ));
    }
    Ok(found)
}

/// What the vendors say of our balance and the books do not, and nobody has explained.
async fn differences(db: &mut Db) -> store::Result<Option<Finding>> {
    let (open, oldest) = reconciliation::tasks(db).await?;
    let Some(oldest) = oldest.filter(|_| open > 0) else { return Ok(None) };
    let what = format!(
        "{} between what the vendors say of your balance and the books {} for a person; the oldest is of {oldest}. Money may have moved that the books do not count.",
        count(open, "difference", "differences"),
        if open == 1 { "waits" } else { "wait" }
    );
    let remedy = "The page Reconciliation lists them: find out what each is, and write it down there.";
    Ok(Some(Finding::new(Weight::Act, "differences_open", what, remedy)))
}

async fn connections(db: &mut Db, now: i64) -> store::Result<Vec<Finding>> {
    let all = vendors::all(db).await?;
    let mut found = Vec::new();
    if all.is_empty() {
        found.push(Finding::new(
            Weight::Act,
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
                Weight::Urgent,
                rejected(one.vendor),
                format!(
                    "{label} refuses the credentials ({why}), so its payments are paused. Nothing has failed."
                ),
                "Save working credentials under Payout Settings; payments go on by themselves.",
            ));
        }
        if one.bad_signatures > 0 && one.last_event_at.is_none_or(|at| now - at > DAY_US) {
            found.push(Finding::new(
                Weight::Act,
                "webhooks_refused",
                format!("{} webhooks of {label} came with a signature that does not fit, and for a day none that fits. Payments still settle, because the vendor is asked.", one.bad_signatures),
                "A proxy may rewrite bodies, the clock may be wrong, or the secret was changed: save the credentials again.",
            ));
        } else if one.last_event_at.is_none_or(|at| now - at > 7 * DAY_US) && now - one.connected_at > DAY_US
        {
            let told = match one.last_event_at {
                Some(at) => format!("No webhook of {label} has come since {}", clock::told(at)),
                None => format!("{label} has never sent a webhook here"),
            };
            found.push(Finding::new(
                Weight::Know,
                "webhooks_unseen",
                format!("{told}. Payments still settle, because the vendor is asked."),
                "Where payments were made since: look whether the vendor can reach BURSAR_BASE_URL, and whether its webhook is registered (Payout Settings).",
            ));
        }
    }
    let (waiting, linked, _) = events::backlog(db).await?;
    if waiting + linked > MOST {
        found.push(Finding::new(
            Weight::Act,
            "events_waiting",
            format!("{} events wait to be worked on.", waiting + linked),
            "Look whether the loops run: /readyz names those that do not.",
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

async fn mail(db: &mut Db, known: &Known) -> store::Result<Vec<Finding>> {
    let (waiting, failed) = mails::backlog(db).await?;
    let mut found = Vec::new();
    if !known.mails {
        found.push(Finding::new(
            Weight::Know,
            "no_mail_server",
            format!("No mail server is set, so nobody is mailed; {waiting} mails can be read in the Outbox."),
            "Set BURSAR_SMTP_URL.",
        ));
    } else if waiting > 100 {
        found.push(Finding::new(
            Weight::Act,
            "mails_waiting",
            format!("{waiting} mails wait to be sent."),
            "Open the newest in the Outbox: its tries say what the mail server answers.",
        ));
    }
    if failed > 0 {
        found.push(Finding::new(
            Weight::Know,
            "mails_failed",
            format!("{failed} mails were given up."),
            "The Outbox lists them with what the mail server said.",
        ));
    }
    let refused = mails::suppressions(db, MOST).await?.len();
    if refused > 0 {
        found.push(Finding::new(
            Weight::Know,
            "addresses_refused",
            format!("{refused} addresses take no mails."),
            "Correct them on the partners, then lift them in the Outbox.",
        ));
    }
    Ok(found)
}

async fn backup(db: &mut Db, known: &Known) -> store::Result<Option<Finding>> {
    let remedy = "Run `bursar backup FILE`, from a timer each night, and copy the file to another machine.";
    let last = backups::last(db).await?;
    let what = match last {
        None => {
            "No backup of this database is on record: none was taken with `bursar backup`, or none since it was put back from one. If the disk is lost, so is everything since.".to_owned()
        }
        Some(last) if known.now - last.at > known.backup_us => {
            format!("The last backup is of {} ({}).", clock::told(last.at), last.file)
        }
        Some(_) => return Ok(None),
    };
    Ok(Some(Finding::new(Weight::Act, "backup_old", what, remedy)))
}

/// Whether any process serves the database, by two looks at their beats a while apart.
pub fn nobody_serves(before: &[(String, i64)], after: &[(String, i64)]) -> Option<Finding> {
    let alive = after.iter().any(|(id, beats)| before.iter().any(|(other, was)| other == id && beats > was));
    let anew = after.iter().any(|(id, _)| before.iter().all(|(other, _)| other != id));
    if alive || anew {
        return None;
    }
    Some(Finding::new(
        Weight::Act,
        "nobody_serves",
        "No Bursar serves this database now, so nothing is sent and nobody can sign in.",
        "Start `bursar serve`. If it runs, look into its log: its loops stand still.",
    ))
}

/// How many processes serve the database, and how far each has counted.
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
        let mut all = [Weight::Know, Weight::Urgent, Weight::Act];
        all.sort();
        assert_eq!(all, [Weight::Urgent, Weight::Act, Weight::Know]);
    }
}
