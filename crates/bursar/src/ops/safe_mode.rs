//! Safe mode: the database may be older than the payments made since (a restored backup, a standby that took over), so
//! nothing is sent, paid or deleted until it has been compared with the vendors. A person can also turn it on.
//!
//! While it is on, every command that changes a payment, or decides about or releases a reward, is refused. A payment that
//! this database considers failed may have been sent again and paid since; releasing its rewards would pay them twice. What
//! only adds (rewards, batches, payees) or only stops (a hold) stays allowed, and so do queries to a vendor.
//!
//! Not here: comparing with the vendors (`work::search`), detecting an old database (`epoch`), and settling what was
//! found (`found`).

mod found;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

use payout::Refusal;
use payout::eligibility::{Blocker, Code};
use payout::ids::TransactionId;
use payout::money::Vendor;
use serde::{Deserialize, Serialize};

use super::{OpsError, Result};
use crate::app::{Actor, App};
use crate::clock;
use crate::store::outgoing::Flow;
use crate::store::put_back::{self, Found, Open};
use crate::store::{self, Db, Tx, audit, meta, outgoing, reconciliation, transactions, vendors};
use crate::transact;

pub use found::{
    FoundPayment, STEPS, SettlementNote, held, list, open_one, record_statuses, settle_found, steps,
};

/// The key in `meta` for its state.
const NAME: &str = "safe_mode";
/// How long before the backup's time the search for payments begins: clocks differ, and a payment may be promised long
/// before it is sent.
const EARLIER_US: i64 = 172_800_000_000;
/// Payments that ended longer than this before the missing time are not polled again: at that age PayPal payments can no
/// longer be claimed, and banks no longer return money.
const OVER_US: i64 = 40 * 86_400_000_000;
/// How long after safe mode began a search must begin to count, so that it sees requests that were in transit.
pub const APART_US: i64 = 120_000_000;
/// The key in `meta` for what is remembered afterwards.
const PAST: &str = "put_back";
/// The wait after a failed search.
const AGAIN_US: i64 = 30_000_000;

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SafeModeCause {
    /// `bursar restore` restored a backup.
    Restored,
    /// The database is behind the mark beside the key, or behind this process's memory.
    Behind,
    /// A person turned it on.
    Person,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct State {
    pub why: SafeModeCause,
    pub at: i64,
    /// The time from which payments may be missing; `None` if a person only stopped everything.
    pub since: Option<i64>,
    /// What happened, as a sentence.
    pub says: String,
    /// Per account, when its last successful search began.
    #[serde(default)]
    pub searched: BTreeMap<String, i64>,
    /// Per account, when its last failed search began, and why it failed.
    #[serde(default)]
    pub failed: BTreeMap<String, (i64, String)>,
    /// Accounts whose credentials were refused in the meantime, and when: the lost database may have paid from them.
    #[serde(default)]
    pub refused: BTreeMap<String, i64>,
}

impl State {
    /// The time from which payments are searched at the vendors.
    pub fn searched_from(&self) -> Option<i64> {
        self.since.map(|since| since.saturating_sub(EARLIER_US).max(0))
    }

    /// Whether an account has been searched since safe mode began.
    pub fn is_searched(&self, place: &str) -> bool {
        let last = self.searched.get(place);
        self.since.is_none() || last.is_some_and(|began| *began >= self.at.saturating_add(APART_US))
    }

    /// Whether people may say that they have compared an account's payments by hand: only after a search has failed,
    /// because until then nobody knows what it would find.
    pub fn may_be_compared(&self, place: &str) -> bool {
        self.failed.contains_key(place)
    }

    /// Whether an account is due for a search: at once, and again once requests in transit have arrived.
    pub fn is_due(&self, place: &str, now: i64) -> bool {
        let rests = self.failed.get(place).is_some_and(|(at, _)| now - at < AGAIN_US);
        let first = !self.searched.contains_key(place);
        !rests && !self.is_searched(place) && (first || now >= self.at.saturating_add(APART_US))
    }
}

/// The key of a vendor's account in the search state.
pub fn place(vendor: Vendor, account: Option<&str>) -> String {
    format!("{} {}", vendor.as_str(), account.unwrap_or("whose account is not known yet"))
}

/// Remembered after safe mode: an account never searched since may still have payments that are missing here.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
struct SearchHistory {
    /// The time from which payments may be missing.
    since: i64,
    /// The accounts that were searched, or compared by hand.
    searched: BTreeSet<String>,
}

async fn past(db: &mut Db) -> store::Result<Option<SearchHistory>> {
    let text = meta::get(db, PAST).await?;
    let read = |text: String| serde_json::from_str(&text);
    text.map(read).transpose().map_err(|error| store::StoreError::Corrupt(error.to_string()))
}

async fn remember(tx: &mut Tx, past: &SearchHistory) -> Result<()> {
    let text = serde_json::to_string(past).map_err(|error| store::StoreError::Corrupt(error.to_string()))?;
    Ok(meta::set(tx, PAST, &text).await?)
}

/// The state; `None` while it is off.
pub async fn state(db: &mut Db) -> store::Result<Option<State>> {
    Ok(read(db).await?.map(|(_, state)| state))
}

/// The state with its stored text; writers compare-and-swap against that text, or against none.
async fn read(db: &mut Db) -> store::Result<Option<(String, State)>> {
    let Some(text) = meta::get(db, NAME).await? else { return Ok(None) };
    // Earlier versions stored a bare word; treat it as a restore of unknown time.
    let state = serde_json::from_str(&text).unwrap_or_else(|_| State {
        why: SafeModeCause::Restored,
        at: 0,
        since: Some(0),
        says: "It was switched on in the database itself.".to_owned(),
        searched: BTreeMap::new(),
        failed: BTreeMap::new(),
        refused: BTreeMap::new(),
    });
    Ok(Some((text, state)))
}

pub async fn on(db: &mut Db) -> store::Result<bool> {
    Ok(meta::get(db, NAME).await?.is_some())
}

/// Whether it stops queued payments from being sent.
pub async fn stops_sending(db: &mut Db) -> store::Result<bool> {
    Ok(on(db).await? && !payout::planted::on("sends_in_safe_mode"))
}

/// Refuses a verb that changes a payment, or decides about or releases a reward, while safe mode is on. Call it inside the
/// verb's own database transaction.
///
/// # Errors
/// [`OpsError::Blocked`] while it is on.
pub async fn refuse(db: &mut Db, about: impl Display) -> Result<()> {
    match on(db).await? {
        true if payout::planted::on("verbs_in_safe_mode") => Ok(()),
        true => {
            Err(OpsError::Blocked(vec![Blocker::new(Code::SafeMode, about).noting(explanation(db).await?)]))
        }
        false => Ok(()),
    }
}

/// Why it is on, in a sentence or two: the database may be old, or a person stopped everything. `None` while it is off.
pub async fn explanation(db: &mut Db) -> store::Result<Option<String>> {
    let Some(state) = state(db).await? else { return Ok(None) };
    Ok(Some(match state.since {
        Some(_) => {
            "The database may be missing recent payments, so Bursar first compares it with the vendors."
                .to_owned()
        }
        None => format!("{} Bursar does not compare it with the vendors meanwhile.", ended(&state.says)),
    }))
}

/// The text with a full stop at its end.
fn ended(says: &str) -> String {
    let says = says.trim();
    if says.ends_with(['.', '!', '?']) { says.to_owned() } else { format!("{says}.") }
}

/// Adds the reason to a safe mode blocker, if there is one.
pub async fn with_cause(db: &mut Db, blockers: Vec<Blocker>) -> store::Result<Vec<Blocker>> {
    if !blockers.iter().any(|blocker| blocker.code == Code::SafeMode) {
        return Ok(blockers);
    }
    let message = explanation(db).await?;
    let note = |blocker: Blocker| match blocker.code == Code::SafeMode {
        true => blocker.noting(message.clone()),
        false => blocker,
    };
    Ok(blockers.into_iter().map(note).collect())
}

#[derive(Clone, Debug)]
pub struct SafeModeEntry {
    pub why: SafeModeCause,
    /// The time from which payments may be missing.
    pub since: Option<i64>,
    /// What happened, as a sentence.
    pub says: String,
    /// The epoch that the database is behind; the next one is above it.
    pub epoch: i64,
}

/// Turns it on. If payments may be missing, everything unfinished is marked as doubtful and looked up before anything is
/// sent. If it is already on, the earlier of the two times applies, and everything is compared again.
pub async fn enter(tx: &mut Tx, actor: &str, entering: &SafeModeEntry, now: i64) -> Result<()> {
    enter_knowing(tx, actor, entering, BTreeSet::new(), now).await
}

/// The same, with accounts that have already been searched.
async fn enter_knowing(
    tx: &mut Tx,
    actor: &str,
    entering: &SafeModeEntry,
    searched: BTreeSet<String>,
    now: i64,
) -> Result<()> {
    let read = read(tx).await?;
    let text = read.as_ref().map(|(text, _)| text.clone());
    let is_on = read.is_some();
    let before = read.map(|(_, state)| state);
    let before = before.filter(|_| entering.why != SafeModeCause::Person || entering.since.is_some());
    if before.is_none() && is_on {
        return Ok(());
    }
    let earlier = before.as_ref().and_then(|before| before.since);
    let before_refused = before.as_ref().map(|before| before.refused.clone()).unwrap_or_default();
    let since = match (earlier, entering.since) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    };
    let says = match before.filter(|before| before.says != entering.says) {
        Some(before) if before.at > 0 => format!("{} {}", before.says, entering.says),
        Some(_) | None => entering.says.clone(),
    };
    // Accounts already searched for the missing payments are not searched again.
    let done = searched.iter().map(|place| (place.clone(), i64::MAX)).collect();
    let (failed, refused) = (BTreeMap::new(), before_refused);
    let state = State { why: entering.why, at: now, since, says, searched: done, failed, refused };
    write(tx, text.as_deref(), &state).await?;
    let (mut doubted, mut epoch) = (0, None);
    if let Some(since) = since {
        put_back::hold(tx).await?;
        let since = past(tx).await?.map_or(since, |past| past.since.min(since));
        remember(tx, &SearchHistory { since, searched }).await?;
        doubted = put_back::doubt_all(tx, now).await?;
        put_back::ask_again(tx, since.saturating_sub(OVER_US), now).await?;
        put_back::look_from(tx, now).await?;
        // Read the vendors' movements of the missing time now, not at the next hourly run.
        reconciliation::hurry(tx, now, None).await?;
        epoch = Some(put_back::begin_epoch(tx, entering.epoch).await?);
    }
    let detail = serde_json::json!({ "why": entering.why, "since": since, "says": entering.says,
        "doubted": doubted, "epoch": epoch });
    note(tx, actor, "safe_mode_entered", &detail, now);
    Ok(())
}

/// Replaces the state if the stored text is still `read`; otherwise the transaction is retried.
async fn write(tx: &mut Tx, read: Option<&str>, state: &State) -> Result<()> {
    let text = serde_json::to_string(state).map_err(|error| store::StoreError::Corrupt(error.to_string()))?;
    let written = meta::replace(tx, NAME, read, &text).await?;
    if written { Ok(()) } else { Err(store::StoreError::Overtaken.into()) }
}

/// The vendor's connected account, if it has not been searched yet for missing payments. It must not be replaced before
/// that, because the lost database may have paid from it.
pub async fn unsearched_account(db: &mut Db, vendor: Vendor) -> store::Result<Option<String>> {
    let Some(state) = state(db).await? else { return Ok(None) };
    let connected = vendors::all(db).await?.into_iter().find(|one| one.vendor == vendor);
    let account = connected.and_then(|one| one.account);
    Ok(account.filter(|account| !state.is_searched(&place(vendor, Some(account)))))
}

/// Records that credentials of another account were refused because the connected one had not been searched. Whoever saved
/// them knows that the lost database paid from that account, so payments stop until they are saved again.
pub async fn refused(app: &App, vendor: Vendor, account: &str) -> Result<()> {
    transact!(app, |tx| {
        let Some((text, mut state)) = read(tx).await? else { return Ok(()) };
        state.refused.insert(place(vendor, Some(account)), app.clock.now());
        write(tx, Some(&text), &state).await
    })
}

/// Handles a newly connected account. If the database was restored and this account has not been searched since, safe mode
/// begins again until it is: the lost database may have paid from it.
pub async fn connected(tx: &mut Tx, vendor: Vendor, account: &str, now: i64) -> Result<()> {
    let Some(past) = past(tx).await? else { return Ok(()) };
    let place = place(vendor, Some(account));
    let searched = past.searched.contains(&place);
    if searched || state(tx).await?.is_some_and(|state| state.since.is_some_and(|since| since <= past.since))
    {
        return Ok(());
    }
    let says = format!(
        "The {} account {account} is connected for the first time since this database was restored to its state of {}; payments made from it since then may be missing here.",
        vendor.label(),
        clock::human(past.since)
    );
    let entering = SafeModeEntry { why: SafeModeCause::Behind, since: Some(past.since), says, epoch: 0 };
    enter_knowing(tx, "connect", &entering, past.searched, now).await
}

fn note(tx: &mut Tx, actor: &str, action: &'static str, detail: &serde_json::Value, now: i64) {
    let (actor, subject, detail) = (actor.to_owned(), NAME.to_owned(), detail.to_string());
    tx.audit(audit::Entry { at: now, actor, action, subject, detail });
}

/// A person turns it on. `since` says that the database was restored and knows nothing after that time.
pub async fn switch_on(app: &App, actor: &Actor, since: Option<i64>, note: &str) -> Result<()> {
    let name = &actor.name;
    let says = match since {
        Some(since) => {
            format!("{name} said that this database was restored to its state of {}.", clock::human(since))
        }
        // The command line is nobody's login.
        None if name == "operator" => "Somebody switched it on from the command line.".to_owned(),
        None => format!("{name} switched it on."),
    };
    let says = if note.trim().is_empty() { says } else { format!("{says} {}", ended(note)) };
    let entering = SafeModeEntry { why: SafeModeCause::Person, since, says, epoch: 0 };
    let id = actor.id.to_string();
    transact!(app, |tx| { enter(tx, &id, &entering, app.clock.now()).await })?;
    app.nudge.look_for.notify();
    app.nudge.notify_watchers();
    Ok(())
}

/// Records the end of a search, and why it failed if it did. Its results were recorded before.
pub async fn searched(tx: &mut Tx, place: &str, began: i64, failed: Option<String>) -> Result<()> {
    let Some((text, mut state)) = read(tx).await? else { return Ok(()) };
    // The search may have begun before safe mode was entered again.
    if began < state.at {
        return Ok(());
    }
    let name = place.to_owned();
    match failed {
        Some(why) => drop(state.failed.insert(name, (began, why))),
        None => {
            state.failed.remove(&name);
            state.searched.insert(name, began);
        }
    }
    write(tx, Some(&text), &state).await
}

/// The safe mode report for people: its state, what keeps it on, and what stays open afterwards.
#[derive(Clone, Debug)]
pub struct Report {
    /// The state; `None` while it is off.
    pub state: Option<State>,
    /// What must end before it can be turned off, one sentence each.
    pub keeps_on: Vec<String>,
    /// The vendors whose payments people may compare by hand, because Bursar cannot.
    pub by_hand: Vec<Vendor>,
    /// What stays open for people, one sentence each.
    pub open: Vec<String>,
    /// What is waiting to be sent: number of payments and amounts, one line per kind.
    pub goes_out: Vec<String>,
}

/// The report. `compared` are the vendors that a person has compared by hand; they count only if their search has failed.
pub async fn report(db: &mut Db, compared: &[Vendor]) -> store::Result<Report> {
    let state = state(db).await?;
    let open = put_back::open(db).await?;
    let (mut keeps_on, mut by_hand) = (Vec::new(), Vec::new());
    if let Some(state) = state.as_ref().filter(|state| state.since.is_some()) {
        for one in vendors::all(db).await? {
            let place = place(one.vendor, one.account.as_deref());
            let unlooked = unlooked(&open, &[]).len() > unlooked(&open, &[one.vendor]).len();
            if state.may_be_compared(&place) || (state.is_searched(&place) && unlooked) {
                by_hand.push(one.vendor);
            }
            let by_people = compared.contains(&one.vendor) && state.may_be_compared(&place);
            if !state.is_searched(&place) && !by_people {
                keeps_on.push(unsearched(state, one.vendor, &place));
            }
        }
        keeps_on.extend(unlooked(&open, compared));
        let connected: BTreeSet<String> = vendors::all(db)
            .await?
            .into_iter()
            .map(|one| place(one.vendor, one.account.as_deref()))
            .collect();
        for (place, at) in state.refused.iter().filter(|(place, _)| !connected.contains(*place)) {
            let Some(vendor) = place.split(' ').next().and_then(Vendor::parse) else { continue };
            by_hand.extend((!by_hand.contains(&vendor)).then_some(vendor));
            if !compared.contains(&vendor) {
                keeps_on.push(other_account(place, vendor, *at));
            }
        }
    }
    let open = review(&open).into_iter().chain(held(db, &open).await?).collect();
    let goes_out = goes_out(&outgoing::waiting(db).await?);
    Ok(Report { state, keeps_on, by_hand, open, goes_out })
}

/// What is sent once nothing stops it any more.
fn goes_out(waiting: &[outgoing::WaitingTotal]) -> Vec<String> {
    let line = |way: Flow, one: &str, many: &str| {
        let these: Vec<&outgoing::WaitingTotal> = waiting.iter().filter(|of| of.way == way).collect();
        let count: i64 = these.iter().map(|of| of.count).sum();
        let sums: Vec<String> = these.iter().map(|of| of.net.to_string()).collect();
        match count {
            ..=0 => None,
            1 => Some(format!("1 {one}: {}", sums.join(" + "))),
            2.. => Some(format!("{count} {many}: {}", sums.join(" + "))),
        }
    };
    let out = line(
        Flow::Out,
        "payment that is queued or got no answer",
        "payments that are queued or got no answer",
    );
    let bank = line(Flow::Bank, "payout to a payee's bank", "payouts to payees' banks");
    let back = line(Flow::Back, "payment that is being reversed", "payments that are being reversed");
    out.into_iter().chain(bank).chain(back).collect()
}

fn other_account(place: &str, vendor: Vendor, at: i64) -> String {
    format!(
        "Credentials of the account {place} were refused on {}, because the account in this database had to be searched first. Once that is done, save them again: the lost database may have paid from that account. If that account is not used, compare {}'s payments by hand and confirm it.",
        clock::human(at),
        vendor.label()
    )
}

fn unsearched(state: &State, vendor: Vendor, place: &str) -> String {
    let label = vendor.label();
    match state.failed.get(place) {
        Some((_, why)) => format!(
            "{label} could not be searched for payments that are missing here ({why}). Bursar retries every 30 seconds."
        ),
        None => format!(
            "{label} must be searched for payments that are missing here. A running Bursar does that by itself; it takes at least two minutes, so that payments in flight are seen."
        ),
    }
}

fn unlooked(open: &Open, compared: &[Vendor]) -> Vec<String> {
    let by_hand = |vendor| compared.contains(&vendor);
    let rows = [
        (
            open.looking,
            by_hand(Vendor::Stripe),
            "1 request to Stripe is being looked up.",
            "{} requests to Stripe are being looked up.",
        ),
        (
            open.queued,
            by_hand(Vendor::Stripe),
            "1 queued Stripe payment still has to be looked up.",
            "{} queued Stripe payments still have to be looked up.",
        ),
        (
            open.unlooked,
            by_hand(Vendor::Stripe),
            "1 Stripe payment that failed or needs a person still has to be searched for: it may have been sent again since.",
            "{} Stripe payments that failed or need a person still have to be searched for: they may have been sent again since.",
        ),
        (
            open.named,
            by_hand(Vendor::PayPal),
            "1 request is being compared with PayPal's record of it.",
            "{} requests are being compared with PayPal's records of them.",
        ),
        (
            open.strangers,
            false,
            "1 payment at a vendor went to a destination that no payee here has, so nobody is on hold. Find out who was paid. If they were entered after the backup, enter them again with that destination, which puts them on hold. If they are here under another destination, put them on hold and settle the payment; after safe mode has ended, void its rewards before you lift the hold.",
            "{} payments at the vendors went to destinations that no payee here has, so nobody is on hold. Find out who was paid. If they were entered after the backup, enter them again with that destination, which puts them on hold. If they are here under another destination, put them on hold and settle the payment; after safe mode has ended, void its rewards before you lift the hold.",
        ),
    ];
    let left = rows.into_iter().filter(|(_, by_hand, ..)| !by_hand);
    left.filter_map(|(count, _, one, many)| counted(count, one, many)).collect()
}

/// A sentence with a count; `None` for zero.
fn counted(count: i64, one: &str, many: &str) -> Option<String> {
    match count {
        ..=0 => None,
        1 => Some(one.to_owned()),
        2.. => Some(many.replacen("{}", &count.to_string(), 1)),
    }
}

fn review(open: &Open) -> Option<String> {
    counted(
        open.review,
        "1 payment needs a person to find out at the vendor how it ended.",
        "{} payments need a person to find out at the vendor how they ended.",
    )
}

/// What an administrator vouches for when they end safe mode, because Bursar cannot see it.
#[derive(Clone, Copy, Default, Debug)]
pub struct Vouched<'a> {
    /// They compared these vendors' payments with Bursar's by hand.
    pub compared: &'a [Vendor],
    /// They entered the lost holds, closings and destinations again, or there were none.
    pub reentered: bool,
}

/// What [`Vouched::reentered`] stands for, given when the lost time began.
pub fn to_reenter(since: i64) -> String {
    format!(
        "Holds, closed payees and changed destinations since {} may be missing here. Enter them again: queued payments go to \
         the destinations in this database.",
        clock::human(since)
    )
}

/// Ends safe mode once every unfinished payment has been looked up.
///
/// # Errors
/// [`OpsError::Conflict`] `safe_mode_open` with what keeps it on.
pub async fn leave(app: &App, actor: &Actor, vouched: Vouched<'_>) -> Result<()> {
    let compared = vouched.compared;
    transact!(app, |tx| {
        // Read this before the report, for the compare-and-swap below.
        let Some((text, _)) = read(tx).await? else { return Ok(()) };
        let report = report(tx, compared).await?;
        let Some(state) = report.state else { return Ok(()) };
        if !report.keeps_on.is_empty() {
            let sentence = format!(
                "Safe mode stays on, and nothing is sent: {} Wait, then try again. If a vendor is permanently unreachable, compare its payments by hand and confirm it.",
                report.keeps_on.join(" ")
            );
            return Err(OpsError::Conflict(Refusal::new("safe_mode_open", sentence)));
        }
        if let Some(since) = state.since.filter(|_| !vouched.reentered) {
            let sentence = format!(
                "Safe mode stays on, and nothing is sent: {} Then confirm it: tick the box on the page, or add `--reentered`.",
                to_reenter(since)
            );
            return Err(OpsError::Conflict(Refusal::new("safe_mode_open", sentence)));
        }
        // If somebody has entered it again since the report was read, retry.
        if !meta::unset_as(tx, NAME, &text).await? {
            return Err(store::StoreError::Overtaken.into());
        }
        if let Some(mut past) = past(tx).await?.filter(|_| state.since.is_some()) {
            let places = vendors::all(tx).await?.into_iter();
            past.searched.extend(places.map(|one| place(one.vendor, one.account.as_deref())));
            remember(tx, &past).await?;
        }
        if compared.contains(&Vendor::Stripe) {
            put_back::take_as_looked(tx).await?;
        }
        let compared: Vec<&str> = compared.iter().map(|vendor| vendor.as_str()).collect();
        let detail = serde_json::json!({ "state": state, "compared_by_hand": compared, "reentered": vouched.reentered });
        note(tx, &actor.id.to_string(), "safe_mode_left", &detail, app.clock.now());
        Ok(())
    })?;
    app.nudge.dispatch.notify();
    app.nudge.notify_watchers();
    Ok(())
}

/// Records payments that a vendor has and this database does not. A payment here that one of them names is polled at once:
/// its money may have come back since.
pub async fn note_found(tx: &mut Tx, found: &[Found], now: i64) -> Result<u64> {
    let new = put_back::note_found(tx, found, now).await?;
    if new > 0 {
        let ids: Vec<&str> = found.iter().map(|one| one.object_id.as_str()).collect();
        note(tx, "reconcile", "unknown_payments_found", &serde_json::json!({ "new": new, "ids": ids }), now);
        let since = past(tx).await?.map_or(now, |past| past.since);
        put_back::ask_payees(tx, since.saturating_sub(OVER_US), now).await?;
        let names: Vec<_> = found.iter().filter_map(|one| TransactionId::parse(&one.our_id)).collect();
        transactions::ask_now(tx, &names, now).await?;
    }
    Ok(new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_counts_when_what_was_on_its_way_has_arrived() {
        let mut state = State {
            why: SafeModeCause::Restored,
            at: 1_000_000,
            since: Some(500),
            says: String::new(),
            searched: BTreeMap::new(),
            failed: BTreeMap::new(),
            refused: BTreeMap::new(),
        };
        let (stripe, paypal) = ("stripe acct_1/test", "paypal P/live");
        assert!(state.is_due(stripe, 1_000_000), "at once");
        assert!(!state.may_be_compared(stripe), "nobody knows yet what the search finds");
        state.searched.insert(stripe.to_owned(), 1_000_000);
        assert!(!state.is_searched(stripe) && !state.is_due(stripe, 1_000_001));
        assert!(state.is_due(stripe, 1_000_000 + APART_US));
        state.failed.insert(stripe.to_owned(), (1_000_000 + APART_US, "away".to_owned()));
        assert!(state.may_be_compared(stripe), "it cannot be searched");
        assert!(
            !state.is_due(stripe, 1_000_001 + APART_US),
            "a vendor that is away is not asked all the time"
        );
        state.searched.insert(stripe.to_owned(), 1_000_000 + APART_US);
        assert!(state.is_searched(stripe) && !state.is_searched(paypal));
        assert!(State { since: None, ..state }.is_searched(paypal), "nothing is missing");
    }
}
