//! Safe mode: the database is older than the payments made since (a restored backup, a standby that took over), so nothing
//! is sent, paid or deleted until Bursar has compared itself with the vendors. A person may switch it on as well.
//!
//! The rule for people: whatever changes a payment, or decides about a reward, or gives one back, is refused. A payment that
//! this database calls failed may have been sent again and paid since; whoever frees its rewards pays them twice. What
//! only adds (rewards, batches, payees) and what only stops (a hold) stays allowed, and so is asking a vendor.
//!
//! What is deliberately not here: comparing with the vendors (`work::search`), and how an old database is noticed (`epoch`).

use std::collections::BTreeMap;
use std::fmt::Display;

use payout::Refusal;
use payout::eligibility::{Blocker, Code};
use payout::money::Vendor;
use serde::{Deserialize, Serialize};

use super::{OpsError, Result};
use crate::app::{Actor, App};
use crate::clock;
use crate::store::put_back::{self, Found, Open};
use crate::store::{self, Db, Tx, audit, meta, vendors};
use crate::transact;

/// The name of its state in `meta`.
const NAME: &str = "safe_mode";
/// Payments are searched from so long before the time of the backup: clocks differ, and a payment may have been promised
/// long before it was sent.
const EARLIER_US: i64 = 172_800_000_000;
/// A search counts that began so long after safe mode did: what was on the wire then is seen by it.
pub const APART_US: i64 = 120_000_000;
/// The wait after a search that failed.
const AGAIN_US: i64 = 30_000_000;

/// Why it is on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// `bursar restore` put a backup in place.
    Restored,
    /// The mark beside the key, or this process's own memory, is ahead of the database.
    Behind,
    /// A person switched it on.
    Person,
}

/// How it stands.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct State {
    /// Why it is on.
    pub why: Why,
    /// Since when.
    pub at: i64,
    /// From when on payments may be missing here; nothing is missing where a person only stopped everything.
    pub since: Option<i64>,
    /// What happened, in a sentence.
    pub says: String,
    /// When the last search at each vendor that went through began.
    #[serde(default)]
    pub searched: BTreeMap<String, i64>,
    /// When the last search at each vendor that failed began, and why it failed.
    #[serde(default)]
    pub failed: BTreeMap<String, (i64, String)>,
}

impl State {
    /// From when on payments are searched at the vendors.
    #[must_use]
    pub fn searched_from(&self) -> Option<i64> {
        self.since.map(|since| since.saturating_sub(EARLIER_US))
    }

    /// Whether a vendor has been searched well enough.
    #[must_use]
    pub fn is_searched(&self, vendor: Vendor) -> bool {
        let last = self.searched.get(vendor.as_str());
        self.since.is_none() || last.is_some_and(|began| *began >= self.at.saturating_add(APART_US))
    }

    /// Whether a vendor is to be searched now: at once, and again when what was on its way has arrived.
    #[must_use]
    pub fn is_due(&self, vendor: Vendor, now: i64) -> bool {
        let rests = self.failed.get(vendor.as_str()).is_some_and(|(at, _)| now - at < AGAIN_US);
        let first = !self.searched.contains_key(vendor.as_str());
        !rests && !self.is_searched(vendor) && (first || now >= self.at.saturating_add(APART_US))
    }
}

/// How it stands; `None` while it is off.
///
/// # Errors
/// When the database does not answer.
pub async fn state(db: &mut Db) -> store::Result<Option<State>> {
    let Some(text) = meta::get(db, NAME).await? else { return Ok(None) };
    // An earlier version's operators wrote a word into the table: as after a restore of an unknown time.
    Ok(Some(serde_json::from_str(&text).unwrap_or_else(|_| State {
        why: Why::Restored,
        at: 0,
        since: Some(0),
        says: "It was switched on in the database itself.".to_owned(),
        searched: BTreeMap::new(),
        failed: BTreeMap::new(),
    })))
}

/// Whether it is on.
///
/// # Errors
/// When the database does not answer.
pub async fn on(db: &mut Db) -> store::Result<bool> {
    Ok(meta::get(db, NAME).await?.is_some())
}

/// Refuses a verb that changes a payment, decides about a reward or frees one, while it is on. Asked inside the verb's own
/// database transaction.
///
/// # Errors
/// [`OpsError::Blocked`] while it is on.
pub async fn refuse(db: &mut Db, about: impl Display) -> Result<()> {
    match on(db).await? {
        true if payout::planted::on("verbs_in_safe_mode") => Ok(()),
        true => Err(OpsError::Blocked(vec![Blocker::new(Code::SafeMode, about)])),
        false => Ok(()),
    }
}

/// What begins it.
#[derive(Clone, Debug)]
pub struct Entering {
    /// Why.
    pub why: Why,
    /// From when on payments may be missing here.
    pub since: Option<i64>,
    /// What happened, in a sentence.
    pub says: String,
    /// The epoch that the database is found to lie before: the next one is above it.
    pub epoch: i64,
}

/// Switches it on. Where payments may be missing, everything that is not over is doubted and will be looked up: none of it is
/// sent before. Where it is on already, the longer time that is missing counts, and everything is compared anew.
///
/// # Errors
/// When the database does not answer.
pub async fn enter(tx: &mut Tx, actor: &str, entering: &Entering, now: i64) -> Result<()> {
    let before = state(tx).await?.filter(|_| entering.why != Why::Person || entering.since.is_some());
    if before.is_none() && on(tx).await? {
        return Ok(());
    }
    let earlier = before.as_ref().and_then(|before| before.since);
    let since = match (earlier, entering.since) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    };
    let says = match before.filter(|before| before.says != entering.says) {
        Some(before) if before.at > 0 => format!("{} {}", before.says, entering.says),
        Some(_) | None => entering.says.clone(),
    };
    let (searched, failed) = (BTreeMap::new(), BTreeMap::new());
    write(tx, &State { why: entering.why, at: now, since, says, searched, failed }).await?;
    let (mut doubted, mut epoch) = (0, None);
    if since.is_some() {
        doubted = put_back::doubt_all(tx, now).await?;
        put_back::look_before(tx, now).await?;
        epoch = Some(put_back::begin_epoch(tx, entering.epoch).await?);
    }
    let detail = serde_json::json!({ "why": entering.why, "since": since, "says": entering.says,
        "doubted": doubted, "epoch": epoch });
    note(tx, actor, "safe_mode_entered", &detail, now);
    Ok(())
}

async fn write(tx: &mut Tx, state: &State) -> Result<()> {
    let text = serde_json::to_string(state).map_err(|error| store::StoreError::Corrupt(error.to_string()))?;
    Ok(meta::set(tx, NAME, &text).await?)
}

fn note(tx: &mut Tx, actor: &str, action: &'static str, detail: &serde_json::Value, now: i64) {
    let (actor, subject, detail) = (actor.to_owned(), NAME.to_owned(), detail.to_string());
    tx.audit(audit::Entry { at: now, actor, action, subject, detail });
}

/// A person switches it on. With a time, the database is one that was put back and knows nothing after it.
///
/// # Errors
/// When the database does not answer.
pub async fn switch_on(app: &App, actor: &Actor, since: Option<i64>, note: &str) -> Result<()> {
    let name = &actor.name;
    let says = match since {
        Some(since) => {
            format!("{name} said that this database was put back as it was on {}.", clock::told(since))
        }
        None => format!("{name} switched it on."),
    };
    let says = if note.trim().is_empty() { says } else { format!("{says} {}", note.trim()) };
    let entering = Entering { why: Why::Person, since, says, epoch: 0 };
    let id = actor.id.to_string();
    transact!(app, |tx| { enter(tx, &id, &entering, app.clock.now()).await })?;
    app.nudge.reconcile.ring();
    app.nudge.tell_watchers();
    Ok(())
}

/// A search at a vendor has ended: it went through, or why it did not. What it found was recorded before.
///
/// # Errors
/// When the database does not answer.
pub async fn searched(tx: &mut Tx, vendor: Vendor, began: i64, failed: Option<String>) -> Result<()> {
    let Some(mut state) = state(tx).await? else { return Ok(()) };
    // It may have begun before safe mode did once more.
    if began < state.at {
        return Ok(());
    }
    let name = vendor.as_str().to_owned();
    match failed {
        Some(why) => drop(state.failed.insert(name, (began, why))),
        None => {
            state.failed.remove(&name);
            state.searched.insert(name, began);
        }
    }
    write(tx, &state).await
}

/// What safe mode is about, for whoever looks: how it stands, what keeps it on, and what stays open after it.
#[derive(Clone, Debug)]
pub struct Report {
    /// How it stands; `None` while it is off.
    pub state: Option<State>,
    /// What must end before it can be left, a sentence each.
    pub keeps_on: Vec<String>,
    /// What stays open for people, a sentence each.
    pub open: Vec<String>,
}

/// How it stands, with what keeps it on. `compared` are the vendors that a person has compared by hand.
///
/// # Errors
/// When the database does not answer.
pub async fn report(db: &mut Db, compared: &[Vendor]) -> store::Result<Report> {
    let state = state(db).await?;
    let open = put_back::open(db).await?;
    let mut keeps_on = Vec::new();
    if let Some(state) = state.as_ref().filter(|state| state.since.is_some()) {
        let connected = vendors::all(db).await?.into_iter().map(|one| one.vendor);
        for vendor in connected.filter(|one| !state.is_searched(*one) && !compared.contains(one)) {
            keeps_on.push(unsearched(state, vendor));
        }
        keeps_on.extend(unlooked(&open, compared));
    }
    Ok(Report { state, keeps_on, open: for_people(&open) })
}

fn unsearched(state: &State, vendor: Vendor) -> String {
    let label = vendor.label();
    match state.failed.get(vendor.as_str()) {
        Some((_, why)) => format!(
            "{label} could not be searched for payments that are missing here ({why}); it is tried again every half minute."
        ),
        None => format!(
            "{label} is being searched for payments that are missing here; that takes at least two minutes, so that what was on its way is seen."
        ),
    }
}

fn unlooked(open: &Open, compared: &[Vendor]) -> Vec<String> {
    let by_hand = |vendor| compared.contains(&vendor);
    let rows = [
        (open.looking, by_hand(Vendor::Stripe), "requests to Stripe are being looked up."),
        (open.queued, by_hand(Vendor::Stripe), "queued payments of Stripe are to be looked up."),
        (
            open.named,
            by_hand(Vendor::PayPal),
            "requests that a vendor has are being compared with what it has.",
        ),
        (
            open.strangers,
            false,
            "payments that the vendors have went to destinations that nobody here has, so nobody is on hold: find out who was paid, put them on hold, and settle each. Void its rewards after safe mode has ended, before you lift the hold.",
        ),
    ];
    let left = rows.into_iter().filter(|(count, by_hand, _)| *count > 0 && !by_hand);
    left.map(|(count, _, what)| format!("{count} {what}")).collect()
}

fn for_people(open: &Open) -> Vec<String> {
    let rows = [
        (open.review, "payments wait for a person, who finds out at the vendor how they ended."),
        (
            open.found,
            "payments that the vendors have are not known here. Whoever was paid is on hold until each is settled.",
        ),
    ];
    let left = rows.into_iter().filter(|(count, _)| *count > 0);
    left.map(|(count, what)| format!("{count} {what}")).collect()
}

/// An administrator switches it off, when everything that was not over is looked up. `compared` are the vendors for which
/// they say that they have compared the payments by hand, because Bursar cannot.
///
/// # Errors
/// [`OpsError::Conflict`] `safe_mode_open` with what keeps it on.
pub async fn leave(app: &App, actor: &Actor, compared: &[Vendor]) -> Result<()> {
    transact!(app, |tx| {
        let report = report(tx, compared).await?;
        let Some(state) = report.state else { return Ok(()) };
        if !report.keeps_on.is_empty() {
            let sentence = format!(
                "Safe mode stays on, and nothing is sent: {} Wait, and try again. Where a vendor cannot be reached for good, compare its payments by hand and say so.",
                report.keeps_on.join(" ")
            );
            return Err(OpsError::Conflict(Refusal::new("safe_mode_open", sentence)));
        }
        meta::unset(tx, NAME).await?;
        let compared: Vec<&str> = compared.iter().map(|vendor| vendor.as_str()).collect();
        let detail = serde_json::json!({ "state": state, "compared_by_hand": compared });
        note(tx, &actor.id.to_string(), "safe_mode_left", &detail, app.clock.now());
        Ok(())
    })?;
    app.nudge.dispatch.ring();
    app.nudge.tell_watchers();
    Ok(())
}

/// Writes down payments that a vendor has and this database does not know of.
///
/// # Errors
/// When the database does not answer.
pub async fn note_found(tx: &mut Tx, found: &[Found], now: i64) -> Result<u64> {
    let new = put_back::note_found(tx, found, now).await?;
    if new > 0 {
        let ids: Vec<&str> = found.iter().map(|one| one.object_id.as_str()).collect();
        note(tx, "reconcile", "unknown_payments_found", &serde_json::json!({ "new": new, "ids": ids }), now);
    }
    Ok(new)
}

/// An administrator says what was done about a payment that a vendor has and this database does not know of: its rewards
/// were voided, entered as paid outside, or it was none of ours. From then on it holds nobody.
///
/// # Errors
/// [`OpsError::Refused`] without a word of why; [`OpsError::Missing`] when there is none that is open.
pub async fn settle_found(app: &App, actor: &Actor, object_id: &str, words: &str) -> Result<()> {
    let words = words.trim();
    if words.is_empty() {
        let sentence = "Say what was done about it, such as which rewards were voided. Nothing was changed.";
        return Err(OpsError::Refused(Refusal::new("note_required", sentence).at("note")));
    }
    transact!(app, |tx| {
        let now = app.clock.now();
        if put_back::settle_found(tx, object_id, &actor.name, words, now).await? == 0 {
            return Err(OpsError::Missing);
        }
        let detail = serde_json::json!({ "object": object_id, "note": words });
        note(tx, &actor.id.to_string(), "unknown_payment_settled", &detail, now);
        Ok(())
    })?;
    app.nudge.tell_watchers();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_counts_when_what_was_on_its_way_has_arrived() {
        let mut state = State {
            why: Why::Restored,
            at: 1_000_000,
            since: Some(500),
            says: String::new(),
            searched: BTreeMap::new(),
            failed: BTreeMap::new(),
        };
        let stripe = Vendor::Stripe;
        assert!(state.is_due(stripe, 1_000_000), "at once");
        state.searched.insert("stripe".to_owned(), 1_000_000);
        assert!(!state.is_searched(stripe) && !state.is_due(stripe, 1_000_001));
        assert!(state.is_due(stripe, 1_000_000 + APART_US));
        state.failed.insert("stripe".to_owned(), (1_000_000 + APART_US, "away".to_owned()));
        assert!(
            !state.is_due(stripe, 1_000_001 + APART_US),
            "a vendor that is away is not asked all the time"
        );
        state.searched.insert("stripe".to_owned(), 1_000_000 + APART_US);
        assert!(state.is_searched(stripe) && !state.is_searched(Vendor::PayPal));
        assert!(State { since: None, ..state }.is_searched(Vendor::PayPal), "nothing is missing");
    }
}
