//! The brake: if an invariant about money is violated, nothing is sent until an administrator has looked and said what
//! happened. Payments already with the vendors are still followed.
//!
//! Once a minute, a pass reads the new rows of the activity log and checks the invariants for the payments they name;
//! once a day, a pass checks every invariant for everything. A violation that people have reviewed does not stop payments
//! again, unless it was fixed in the meantime and recurs. Not here: the invariants (`store::invariants`), and the other
//! checks (`verify`).

use std::collections::{BTreeMap, BTreeSet};

use payout::Refusal;
use payout::notice::Notice;
use serde::{Deserialize, Serialize};

use super::verify::{self, CHAIN, Invariant};
use super::{OpsError, Result, log_signature, safe_mode};
use crate::app::{Actor, App};
use crate::store::{self, Db, Tx, audit, invariants, meta, outbox};
use crate::transact;

/// The keys in `meta` for the brake's state.
const BRAKE: &str = "brake";
const KNOWN: &str = "brake_known";
const WALKED: &str = "brake_walked";
/// The interval between two passes, across all nodes.
const LOOKS_US: i64 = 60_000_000;
/// The interval between two full passes.
const WHOLE_US: i64 = 86_400_000_000;
/// The retry interval of a full pass that did not finish, for example because the database timed out.
const AGAIN_US: i64 = 3_600_000_000;
/// The most log rows that one pass reads.
const ROWS: i64 = 20_000;
/// The most violations that a mail lists.
const SHOWN: usize = 20;

/// One violation of an invariant.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Broken {
    /// The rule's number in the payment protocol.
    pub id: String,
    pub says: String,
    /// What violates it, usually an id.
    pub what: String,
}

impl Broken {
    fn sentence(&self) -> String {
        format!("Rule {} (“{}”) is broken by {}", self.id, self.says, self.what)
    }
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Brake {
    pub at: i64,
    pub broken: Vec<Broken>,
}

/// How far the log has been read, and when the last full pass ran.
#[derive(Clone, Copy, Default, Serialize, Deserialize)]
struct VerifyProgress {
    row: i64,
    whole_at: i64,
}

async fn read<T: for<'a> Deserialize<'a>>(db: &mut Db, name: &str) -> store::Result<Option<T>> {
    let Some(text) = meta::get(db, name).await? else { return Ok(None) };
    let corrupt = |error: serde_json::Error| store::StoreError::Corrupt(format!("{name}: {error}"));
    serde_json::from_str(&text).map(Some).map_err(corrupt)
}

async fn write<T: Serialize>(tx: &mut Tx, name: &str, value: &T) -> store::Result<()> {
    let text = serde_json::to_string(value).map_err(|error| store::StoreError::Corrupt(error.to_string()))?;
    meta::set(tx, name, &text).await
}

/// The violated rules, each with its number of violations.
pub fn rules_of(broken: &[Broken]) -> String {
    let mut rules: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for one in broken {
        *rules.entry((&one.id, &one.says)).or_default() += 1;
    }
    let describe = |((id, says), times): ((&str, &str), usize)| match times {
        1 => format!("{id}, {says}"),
        many => format!("{id}, {says} ({many} times)"),
    };
    rules.into_iter().map(describe).collect::<Vec<_>>().join("; ")
}

/// The brake, if it is on.
pub async fn state(db: &mut Db) -> store::Result<Option<Brake>> {
    read(db, BRAKE).await
}

/// Introduces the known violations in messages.
pub const KNOWN_SAYS: &str =
    "These are broken but stop nothing: they are not about money, or somebody has looked at them";

/// A sentence that says whether violations stop payments, and whether safe mode stops them anyway.
pub async fn says(db: &mut Db) -> store::Result<&'static str> {
    Ok(match (on(db).await?, safe_mode::on(db).await?) {
        (true, _) => "Payments are stopped, because rules are broken.",
        (false, true) => "No broken rule stops payments, but safe mode does: nothing is sent while it is on.",
        (false, false) => "No broken rule stops payments.",
    })
}

/// Violations that do not stop payments: they are not about money, or people have reviewed them.
pub async fn known(db: &mut Db) -> store::Result<Vec<Broken>> {
    Ok(read(db, KNOWN).await?.unwrap_or_default())
}

pub async fn on(db: &mut Db) -> store::Result<bool> {
    Ok(meta::get(db, BRAKE).await?.is_some())
}

/// Runs a pass, unless one ran within the last minute. Returns the number of new violations.
pub async fn look(app: &App, now: i64) -> Result<usize> {
    let mut db = app.store.read().await?;
    if outbox::last_sent(&mut db, BRAKE, "").await?.is_some_and(|last| last + LOOKS_US > now) {
        return Ok(0);
    }
    drop(db);
    let turn = transact!(app, |tx| {
        if !outbox::may_send(tx, BRAKE, "", now, now - LOOKS_US).await? {
            return Ok(None);
        }
        let walked: VerifyProgress = read(tx, WALKED).await?.unwrap_or_default();
        let whole = now.saturating_sub(walked.whole_at) >= WHOLE_US || now < walked.whole_at;
        if whole {
            write(tx, WALKED, &VerifyProgress { whole_at: now - WHOLE_US + AGAIN_US, ..walked }).await?;
        }
        Ok(Some((walked, whole)))
    });
    let Some((walked, whole)) = turn? else { return Ok(0) };
    let mut db = app.store.read().await?;
    let (mut found, row) = since(&mut db, walked.row).await?;
    if whole {
        found.retain(|one| one.says == CHAIN);
        found.extend(verify::rules(&mut db).await?);
    }
    drop(db);
    record_metrics(&found, whole);
    let new = transact!(app, |tx| {
        let walked = VerifyProgress { row, whole_at: if whole { now } else { walked.whole_at } };
        write(tx, WALKED, &walked).await?;
        note(tx, app, &found, whole, now).await
    })?;
    if whole {
        log_signature::sign_for_the_day(app, now).await?;
    }
    Ok(new)
}

/// Reads the log rows after `row`, and checks the invariants for the payments they name.
async fn since(db: &mut Db, row: i64) -> store::Result<(Vec<Invariant>, i64)> {
    let stretch = verify::segment(db, row + 1, ROWS).await?;
    let subjects = audit::subjects(db, row, stretch.last).await?;
    let (payments, others): (Vec<String>, Vec<String>) =
        subjects.into_iter().partition(|subject| subject.starts_with("ptx_"));
    let batches: Vec<String> = others.into_iter().filter(|subject| subject.starts_with("bat_")).collect();
    let mut payments: BTreeSet<String> = payments.into_iter().collect();
    payments.extend(invariants::payments_of(db, &batches).await?);
    let payments: Vec<String> = payments.into_iter().collect();
    let mut found = verify::of_payments(db, &payments).await?;
    let checked = stretch.last + 1 - stretch.first;
    found.push(Invariant { id: "I22", says: CHAIN, stops: false, checked, violations: stretch.violations });
    Ok((found, stretch.last.max(row)))
}

fn record_metrics(found: &[Invariant], whole: bool) {
    if whole {
        for one in found {
            let broken = u32::try_from(one.violations.len()).unwrap_or(u32::MAX);
            metrics::gauge!("bursar_invariant_broken", "invariant" => one.id, "says" => one.says).set(broken);
        }
    }
    let checked: i64 = found.iter().map(|one| one.checked).sum();
    metrics::counter!("bursar_invariants_checked_total").increment(checked.unsigned_abs());
}

/// Records new violations, applies the brake if they are about money, and sends notices. A full pass forgets known
/// violations that have been fixed.
async fn note(tx: &mut Tx, app: &App, found: &[Invariant], whole: bool, now: i64) -> Result<usize> {
    let broken = |one: &Invariant, what: &String| Broken {
        id: one.id.to_owned(),
        says: one.says.to_owned(),
        what: what.clone(),
    };
    let every =
        |one: &Invariant| one.violations.iter().map(|what| broken(one, what)).collect::<Vec<Broken>>();
    let stopping: BTreeSet<Broken> = found.iter().filter(|one| one.stops).flat_map(every).collect();
    let telling: BTreeSet<Broken> = found.iter().filter(|one| !one.stops).flat_map(every).collect();
    let mut known: BTreeSet<Broken> = read(tx, KNOWN).await?.unwrap_or_default();
    if whole {
        // The daily pass does not verify the chain from its first row, so a known violation of the chain stays.
        known.retain(|one| one.says == CHAIN || stopping.contains(one) || telling.contains(one));
    }
    let before = state(tx).await?;
    let standing: BTreeSet<Broken> = before.iter().flat_map(|brake| brake.broken.iter().cloned()).collect();
    let is_new = |one: &&Broken| !known.contains(one) && !standing.contains(one);
    let stops: Vec<Broken> = stopping.iter().filter(is_new).cloned().collect();
    let tells: Vec<Broken> = telling.iter().filter(is_new).cloned().collect();
    known.extend(tells.iter().cloned());
    write(tx, KNOWN, &known).await?;
    if !stops.is_empty() {
        let at = before.map_or(now, |brake| brake.at);
        let all = standing.into_iter().chain(stops.iter().cloned()).collect();
        write(tx, BRAKE, &Brake { at, broken: all }).await?;
    }
    for (new, stopped) in [(&stops, true), (&tells, false)] {
        if !new.is_empty() {
            notify_administrators(tx, app, new, stopped, now).await?;
        }
    }
    Ok(stops.len() + tells.len())
}

async fn notify_administrators(
    tx: &mut Tx,
    app: &App,
    new: &[Broken],
    stopped: bool,
    now: i64,
) -> Result<()> {
    let sentences: Vec<String> = new.iter().map(Broken::sentence).collect();
    for sentence in &sentences {
        tracing::error!(stopped, "an invariant is broken: {sentence}");
    }
    metrics::counter!("bursar_alarms_total").increment(1);
    let shown: Vec<&String> = sentences.iter().take(SHOWN).collect();
    let detail = serde_json::json!({
        "broken": shown, "more": sentences.len().saturating_sub(SHOWN), "stopped": stopped,
    });
    tx.audit(audit::Entry {
        at: now,
        actor: "guard".to_owned(),
        action: "books_do_not_balance",
        subject: BRAKE.to_owned(),
        detail: detail.to_string(),
    });
    let notice = (Notice::BooksDoNotBalance, BRAKE.to_owned(), detail.to_string());
    Ok(outbox::write(tx, &app.clock, now, [notice]).await?)
}

/// An administrator has reviewed the violations and says what happened: payments resume, and the same violations no longer
/// stop them.
///
/// # Errors
/// [`OpsError::Refused`] without an explanation.
pub async fn release(app: &App, actor: &Actor, words: &str) -> Result<()> {
    let words = words.trim();
    if words.is_empty() {
        let sentence = "Write what it was and why payments may go on. Nothing was changed.";
        return Err(OpsError::Refused(Refusal::new("note_required", sentence).at("note")));
    }
    transact!(app, |tx| {
        let Some(brake) = state(tx).await? else { return Ok(()) };
        let mut known: BTreeSet<Broken> = read(tx, KNOWN).await?.unwrap_or_default();
        known.extend(brake.broken.iter().cloned());
        write(tx, KNOWN, &known).await?;
        meta::unset(tx, BRAKE).await?;
        let broken: Vec<String> = brake.broken.iter().take(SHOWN).map(Broken::sentence).collect();
        let detail = serde_json::json!({
            "note": words, "stopped_since": crate::clock::rfc3339(brake.at), "broken": broken,
            "more": brake.broken.len().saturating_sub(SHOWN),
        });
        tx.audit(audit::Entry {
            at: app.clock.now(),
            actor: actor.id.to_string(),
            action: "books_looked_at",
            subject: BRAKE.to_owned(),
            detail: detail.to_string(),
        });
        Ok(())
    })?;
    app.nudge.dispatch.notify();
    app.nudge.notify_watchers();
    Ok(())
}
