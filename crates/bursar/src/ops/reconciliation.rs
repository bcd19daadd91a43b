//! Reconciliation: stores the vendors' records of our balance, compares them with our postings, and opens a case for each
//! difference, which a person reviews. A case closes by itself once both sides agree.
//!
//! Not here: reading from the vendors (`work::movements`), and the kinds of differences (`payout::reconciliation`).

pub mod known;

use std::collections::BTreeMap;

use payout::Refusal;
use payout::ids;
use payout::money::{Currency, Money, Sum, Vendor};
use payout::reconciliation::{Aspect, Closed, Day, GRACE_US, Line, Part, PaymentPhase, Standing, Verdict};
use payout::reconciliation::{aspect_of, chain, judge, kind};
use payout::transaction::State;

use super::{OpsError, Result};
use crate::app::{Actor, App};
use crate::clock;
use crate::store::reconciliation::days::{self, Filter, Key, Read};
use crate::store::reconciliation::{self as kept, Account, Case, Explained, Held, NewMovement, Posted, Pull};
use crate::store::{self, StoreError, Tx, audit, put_back, transactions};
use crate::transact;

const DAY_US: i64 = 86_400_000_000;
/// How long a reading is leased; each page extends it.
const LEASE_US: i64 = 60_000_000;
/// The furthest an account's first reading looks back.
const FIRST_LOOK_US: i64 = 31 * DAY_US;
/// How many payments are compared in one transaction.
const AT_ONCE: usize = 500;
/// How long postings and daily balances are compared again, because the vendor may report late.
const LATE_US: i64 = 4 * DAY_US;

/// Begins to read an account if it is due and nobody else is reading it. A new account is read from when it was connected,
/// at most one month back.
pub async fn begin(app: &App, of: &Account, now: i64) -> Result<Option<Pull>> {
    let mut db = app.store.read().await?;
    let known = kept::pulls(&mut db).await?.into_iter().find(|pull| pull.of == *of);
    if known.as_ref().is_some_and(|pull| pull.due_at > now) {
        return Ok(None);
    }
    let connected = store::vendors::all(&mut db).await?.into_iter().find(|one| one.vendor == of.vendor);
    drop(db);
    let begun_at = connected.map_or(now, |one| one.connected_at).max(now - FIRST_LOOK_US);
    transact!(app, |tx| {
        if known.is_none() {
            kept::enter(tx, of, begun_at).await?;
        }
        Ok(kept::lease(tx, of, now, now + LEASE_US).await?)
    })
}

/// Stores a page of movements, and the reading's progress.
///
/// # Errors
/// [`OpsError::Conflict`] if another process is reading the account now.
pub async fn keep(app: &App, pull: &Pull, lines: &[NewMovement]) -> Result<()> {
    let now = app.clock.now();
    transact!(app, |tx| {
        kept::hold(tx, pull, now + LEASE_US).await?;
        kept::keep(tx, &pull.of, lines, now).await?;
        Ok(kept::note(tx, pull).await?)
    })
}

/// Matches movements to their payments.
pub async fn find_owners(app: &App, of: &Account) -> Result<()> {
    transact!(app, |tx| { Ok(kept::find_owners(tx, of).await?) })
}

/// Records the ids of the payments by which PayPal has paid items; its reports use only these.
pub async fn note_references(app: &App, paid_as: &[(String, String)]) -> Result<()> {
    transact!(app, |tx| {
        kept::note_references(tx, paid_as).await?;
        Ok(put_back::note_references(tx, paid_as).await?)
    })
}

/// Records the balances as reported by the vendor, each with its own time and the time of the reading.
///
/// # Errors
/// [`OpsError::Conflict`] if another process is reading the account now.
pub async fn note_balances(app: &App, pull: &Pull, told: &[(Money, i64)], read_at: i64) -> Result<()> {
    transact!(app, |tx| {
        kept::hold(tx, pull, app.clock.now() + LEASE_US).await?;
        for (money, at) in told {
            kept::note_balance(tx, &pull.of, &clock::date(*at), *money, (*at, read_at)).await?;
        }
        Ok(())
    })
}

/// Ends a reading: stores its progress and releases the lease.
///
/// # Errors
/// [`OpsError::Conflict`] if another process is reading the account now.
pub async fn end(app: &App, pull: &Pull) -> Result<()> {
    transact!(app, |tx| {
        kept::hold(tx, pull, 0).await?;
        kept::note(tx, pull).await?;
        Ok(kept::let_go(tx, pull).await?)
    })
}

/// Compares an account's movements with our postings, and each day's movements with the reported balance.
///
/// # Errors
/// [`OpsError::Conflict`] if another process is reading the account now.
pub async fn compare(app: &App, pull: &Pull) -> Result<()> {
    let now = app.clock.now();
    let booked_from = (pull.pulled_at.unwrap_or(pull.begun_at).min(now) - LATE_US).max(pull.begun_at);
    let subjects = transact!(app, |tx| {
        kept::hold(tx, pull, now + LEASE_US).await?;
        kept::find_owners(tx, &pull.of).await?;
        Ok(kept::subjects(tx, &pull.of, booked_from).await?)
    })?;
    let subjects: Vec<String> = subjects.into_iter().collect();
    for some in subjects.chunks(AT_ONCE) {
        transact!(app, |tx| { compare_some(tx, app, pull, some).await })?;
    }
    transact!(app, |tx| { compare_days(tx, app, pull).await })
}

/// What is compared: one subject, in one currency and aspect.
type Place = (String, Currency, Aspect);

/// The two sides of a comparison.
#[derive(Default)]
struct Sides {
    lines: Vec<(usize, Line)>,
    postings: Vec<(usize, Line)>,
}

async fn compare_some(tx: &mut Tx, app: &App, pull: &Pull, subjects: &[String]) -> Result<()> {
    let now = app.clock.now();
    kept::hold(tx, pull, now + LEASE_US).await?;
    let held = kept::held(tx, &pull.of, subjects).await?;
    let posted = kept::posted(tx, pull.of.vendor, subjects).await?;
    let states: BTreeMap<String, State> = kept::states(tx, subjects).await?.into_iter().collect();
    let mut known: BTreeMap<Place, Case> = BTreeMap::new();
    for case in kept::lock_cases(tx, &pull.of, subjects).await? {
        known.insert((case.subject.clone(), case.moved.currency, case.aspect), case);
    }
    let sides = sides(pull.of.vendor, &held, &posted, known.keys());
    let mut pairs: Vec<Option<(String, i64)>> = vec![None; held.len()];
    let (mut untied, mut cases) = (vec![false; held.len()], Vec::new());
    for ((subject, currency, aspect), both) in &sides {
        let state = states.get(subject).copied();
        let verdict = judge_sides(*aspect, both, owner(pull.of.vendor, state), (pull.begun_at, now));
        for (line, posting) in &verdict.pairs {
            let ((line, _), (posting, _)) = (both.lines[*line], both.postings[*posting]);
            // A fee reported with its payment has no line of its own.
            if kind(pull.of.vendor, &held[line].kind).part.aspect() == Some(*aspect) {
                pairs[line] = Some((posted[posting].journal.clone(), posted[posting].line));
            }
        }
        if verdict.standing != Standing::Ties {
            both.lines.iter().for_each(|(line, _)| untied[*line] = true);
        }
        let place = (subject.clone(), *currency, *aspect);
        let before = known.remove(&place);
        let transaction = state.map(|_| subject.clone());
        cases.extend(after(app, pull, place, transaction, &verdict, before));
    }
    write(tx, &held, pairs, &untied, now).await?;
    Ok(kept::put_cases(tx, &cases).await?)
}

/// How long the movements may wait for their counterpart, by the state of their payment.
fn owner(vendor: Vendor, state: Option<State>) -> PaymentPhase {
    match (state, vendor) {
        (Some(state), _) if state.in_flight() => PaymentPhase::Open,
        (Some(_), _) => PaymentPhase::Ended,
        // PayPal's reports contain only its own ids; which item one belongs to may be learned later.
        (None, Vendor::PayPal) => PaymentPhase::Nobody { late: true },
        (None, Vendor::Stripe) => PaymentPhase::Nobody { late: false },
    }
}

/// The two sides of every comparison. A known case is included even if both sides are empty now.
fn sides<'a>(
    vendor: Vendor,
    held: &[Held],
    posted: &[Posted],
    known: impl Iterator<Item = &'a Place>,
) -> BTreeMap<Place, Sides> {
    let mut sides: BTreeMap<Place, Sides> = known.map(|place| (place.clone(), Sides::default())).collect();
    let mut line = |held: &Held, place: usize, aspect, minor| {
        let key = (held.subject.clone(), held.amount.currency, aspect);
        sides.entry(key).or_default().lines.push((place, Line { minor, at: held.created_at }));
    };
    for (place, one) in held.iter().enumerate() {
        match kind(vendor, &one.kind).part {
            Part::Left | Part::CameBack => {
                line(one, place, Aspect::Money, one.amount.minor);
                if one.fee_minor != 0 {
                    line(one, place, Aspect::Fee, -one.fee_minor);
                }
            }
            Part::Fee => line(one, place, Aspect::Fee, one.amount.minor - one.fee_minor),
            Part::NotOurs => {}
        }
    }
    for (place, one) in posted.iter().enumerate() {
        let key = (one.subject.clone(), one.money.currency, aspect_of(one.movement));
        let line = Line { minor: one.money.minor, at: one.at };
        sides.entry(key).or_default().postings.push((place, line));
    }
    sides
}

fn judge_sides(aspect: Aspect, both: &Sides, of: PaymentPhase, times: (i64, i64)) -> Verdict {
    let of_side = |side: &[(usize, Line)]| side.iter().map(|(_, line)| *line).collect::<Vec<_>>();
    judge(aspect, &of_side(&both.lines), &of_side(&both.postings), of, times)
}

/// The case after a comparison; `None` if there was none and both sides agree. An explanation applies to one difference
/// only, and lapses if that changes.
fn after(
    app: &App,
    pull: &Pull,
    (subject, currency, aspect): Place,
    transaction: Option<String>,
    verdict: &Verdict,
    before: Option<Case>,
) -> Option<Case> {
    let (now, ties) = (app.clock.now(), verdict.standing == Standing::Ties);
    if ties && before.as_ref().is_none_or(|case| case.closed_at.is_some()) {
        return None;
    }
    let money = |minor: i128| Money::new(i64::try_from(minor).unwrap_or(i64::MAX), currency);
    let (moved, posted) = (money(verdict.moved_minor), money(verdict.posted_minor));
    let open = before.as_ref().filter(|case| case.closed_at.is_none());
    let same = open.filter(|case| case.difference() == verdict.moved_minor - verdict.posted_minor);
    let day = verdict.since.map(clock::date).or_else(|| before.as_ref().map(|case| case.day.clone()));
    Some(Case {
        explained: same.and_then(|case| case.explained.clone()),
        // A changed difference after an explanation counts as newly opened.
        opened_at: open
            .filter(|case| same.is_some() || case.explained.is_none())
            .map_or(now, |case| case.opened_at),
        id: before.as_ref().map_or_else(|| fresh(app), |case| case.id.clone()),
        of: pull.of.clone(),
        day: day.unwrap_or_else(|| clock::date(now)),
        standing: verdict.standing,
        waits_until: verdict.waits_until,
        closed_at: ties.then_some(now),
        subject,
        aspect,
        transaction,
        moved,
        posted,
        known: None,
    })
}

fn fresh(app: &App) -> String {
    format!("rec_{}", ids::encode(ids::fresh(app.clock.now(), app.clock.in_turn())))
}

/// Records the matched pairs, and which lines agree with everything they belong to.
async fn write(
    tx: &mut Tx,
    held: &[Held],
    pairs: Vec<Option<(String, i64)>>,
    untied: &[bool],
    now: i64,
) -> Result<()> {
    let other = held.iter().zip(pairs).filter(|(line, pair)| line.posting != *pair);
    let other: Vec<(String, Option<(String, i64)>)> =
        other.map(|(line, pair)| (line.id.clone(), pair)).collect();
    kept::pair(tx, &other).await?;
    let which = |tie: bool| {
        let changed = |(line, untied): &(&Held, &bool)| **untied != tie && line.tied_at.is_some() != tie;
        held.iter().zip(untied).filter(changed).map(|(line, _)| line.id.clone()).collect::<Vec<_>>()
    };
    kept::tie(tx, which(true), Some(now)).await?;
    Ok(kept::tie(tx, which(false), None).await?)
}

/// Compares the balances reported in the last days with the totals of the movements.
async fn compare_days(tx: &mut Tx, app: &App, pull: &Pull) -> Result<()> {
    let now = app.clock.now();
    kept::hold(tx, pull, now + LEASE_US).await?;
    let (from, to) = (clock::date((now - LATE_US).max(pull.begun_at)), clock::date(now + DAY_US));
    let filter = Filter { vendor: Some(pull.of.vendor), from: Some(from.clone()), ..Filter::default() };
    let mut keys = days::page(tx, &filter, None, i64::from(i32::MAX)).await?;
    keys.retain(|key| key.of == pull.of);
    let currencies: std::collections::BTreeSet<String> = keys.into_iter().map(|key| key.currency).collect();
    for code in currencies {
        let currency = Currency::parse(&code).map_err(|_| StoreError::Corrupt(code))?;
        let read = days::series(tx, &pull.of, currency, (&from, &to)).await?;
        let subjects: Vec<String> = read.iter().map(|day| day.day.clone()).collect();
        let mut known = kept::lock_cases(tx, &pull.of, &subjects).await?;
        known.retain(|case| case.moved.currency == currency && case.aspect == Aspect::Balance);
        let mut cases = Vec::new();
        for (day, closed) in read.iter().zip(closed(&read)).filter(|(day, _)| day.day >= from) {
            let before = known.iter().find(|case| case.subject == day.day).cloned();
            let place = (day.day.clone(), currency, Aspect::Balance);
            let verdict = of_day(day, &closed, now);
            let case = after(app, pull, place, None, &verdict, before);
            cases.extend(case.map(|case| Case { day: day.day.clone(), ..case }));
        }
        kept::put_cases(tx, &cases).await?;
    }
    Ok(())
}

/// The opening balance, movements and closing balance of each of these days.
fn closed(read: &[Read]) -> Vec<Closed> {
    let day = |day: &Read| Day {
        moved_minor: day.moved.minor,
        opened_minor: day.opened.map(|opened| opened.minor),
        told_minor: day.told.map(|(told, _)| told.minor),
    };
    chain(None, &read.iter().map(day).collect::<Vec<_>>())
}

/// The comparison of a day's balance with its movements.
fn of_day(day: &Read, closed: &Closed, now: i64) -> Verdict {
    let told = closed.closing_minor.unwrap_or(0);
    let until = day.told.map_or(now, |(_, at)| at) + GRACE_US;
    let (standing, waits_until) = match closed.difference_minor {
        0 => (Standing::Ties, None),
        _ if now < until => (Standing::Waits, Some(until)),
        _ => (Standing::Balance, None),
    };
    Verdict {
        pairs: Vec::new(),
        standing,
        moved_minor: told,
        posted_minor: told - closed.difference_minor,
        since: None,
        waits_until,
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DayStanding {
    /// The vendor and the books agree.
    Ties,
    /// They differ, and somebody has explained every difference.
    Explained,
    /// A counterpart may still arrive.
    Waits,
    DoesNotTie,
}

impl DayStanding {
    /// The spelling in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ties => "ties",
            Self::Explained => "explained",
            Self::Waits => "waits",
            Self::DoesNotTie => "does_not_tie",
        }
    }
}

/// A day of one account and currency, with its differences.
#[derive(Clone, Debug)]
pub struct DayView {
    pub key: Key,
    pub currency: Currency,
    /// The stored balances and movements.
    pub read: Read,
    pub closed: Closed,
    /// The open or explained cases.
    pub cases: Vec<Case>,
}

impl DayView {
    pub fn standing(&self) -> DayStanding {
        let waits = |case: &Case| case.explained.is_none() && case.standing == Standing::Waits;
        match (self.cases.iter().any(Case::wants_somebody), self.cases.iter().any(waits)) {
            (true, _) => DayStanding::DoesNotTie,
            (false, true) => DayStanding::Waits,
            (false, false) if self.cases.iter().any(Case::stays_off) => DayStanding::Explained,
            (false, false) => DayStanding::Ties,
        }
    }

    /// How much more the vendor moved than the books have, explained or not. Leaves out what still waits, and a vendor
    /// balance that differs from its own movements: that is [`Closed::difference_minor`].
    pub fn not_in_books(&self) -> Sum {
        let off = self.cases.iter().filter(|case| case.stays_off() && case.aspect != Aspect::Balance);
        Sum::new(off.map(Case::difference).sum(), self.currency)
    }
}

/// A page of days, newest first.
pub async fn list(
    db: &mut store::Db,
    filter: &Filter,
    after: Option<&Key>,
    limit: i64,
) -> Result<Vec<DayView>> {
    let keys = days::page(db, filter, after, limit).await?;
    let (Some(first), Some(last)) =
        (keys.iter().map(|key| &key.day).min(), keys.iter().map(|key| &key.day).max())
    else {
        return Ok(Vec::new());
    };
    let (first, last) = (first.clone(), last.clone());
    let mut cases = kept::open_on(db, (&first, &last)).await?;
    known::add(db, &mut cases).await?;
    let mut series: BTreeMap<(Account, String), Vec<(Read, Closed)>> = BTreeMap::new();
    let mut views = Vec::with_capacity(keys.len());
    for key in keys {
        let currency =
            Currency::parse(&key.currency).map_err(|_| StoreError::Corrupt(key.currency.clone()))?;
        let of = (key.of.clone(), key.currency.clone());
        if !series.contains_key(&of) {
            let read = days::series(db, &key.of, currency, (&first, &last)).await?;
            let closed = closed(&read);
            series.insert(of.clone(), read.into_iter().zip(closed).collect());
        }
        let found = series.get(&of).and_then(|days| days.iter().find(|(day, _)| day.day == key.day));
        let Some((read, closed)) = found.cloned() else { continue };
        let of_day =
            |case: &mut Case| case.day == key.day && case.of == key.of && case.moved.currency == currency;
        let own: Vec<Case> = cases.extract_if(.., of_day).collect();
        views.push(DayView { key, currency, read, closed, cases: own });
    }
    Ok(views)
}

/// Makes every reading due at once, from `since` if given.
pub async fn hurry(app: &App, since: Option<i64>) -> Result<()> {
    let now = app.clock.now();
    transact!(app, |tx| { Ok(kept::hurry(tx, now, since).await?) })
}

/// Reads everything again, further back than usual, and polls the payment of the case.
///
/// # Errors
/// [`OpsError::Missing`] if there is no such case.
pub async fn look_again(app: &App, actor: &Actor, case: Option<&str>) -> Result<()> {
    transact!(app, |tx| {
        let now = app.clock.now();
        kept::hurry(tx, now, None).await?;
        if let Some(id) = case {
            let case = kept::case(tx, id).await?;
            let about = case.transaction.as_deref().and_then(ids::TransactionId::parse);
            transactions::ask_now(tx, &Vec::from_iter(about), now).await?;
            let (actor, subject) = (actor.id.to_string(), case.id);
            let detail = "{}".to_owned();
            tx.audit(audit::Entry { at: now, actor, action: "reconciliation_looked_again", subject, detail });
        }
        Ok(())
    })?;
    app.nudge.settle.notify();
    app.nudge.movements.notify();
    Ok(())
}

/// Logs who exports days or movements.
pub async fn audit_export(
    app: &App,
    actor: &Actor,
    what: &'static str,
    filters: &str,
    rows: usize,
) -> Result<()> {
    let at = app.clock.now();
    let detail = serde_json::json!({ "of": what, "filters": filters, "rows": rows }).to_string();
    transact!(app, |tx| {
        let (actor, detail) = (actor.id.to_string(), detail.clone());
        let subject = "reconciliation".to_owned();
        tx.audit(audit::Entry { at, actor, action: "reconciliation_taken", subject, detail });
        Ok(())
    })
}

/// Records somebody's explanation of a difference. The case is no longer a task as long as the difference stays the same. A
/// known payment that the database lost can be explained before its grace period is over.
///
/// # Errors
/// [`OpsError::Refused`] without a reason; [`OpsError::Conflict`] if there is nothing to explain.
pub async fn explain(app: &App, actor: &Actor, id: &str, why: &str) -> Result<Case> {
    if why.trim().is_empty() || why.chars().count() > 1_000 {
        let sentence =
            "Write who explained it and why it is off, at most 1,000 characters; it is kept as evidence.";
        return Err(Refusal::new("reason_required", sentence).at("reason").into());
    }
    let said = |app: &App| Explained {
        at: app.clock.now(),
        by: actor.id.to_string(),
        name: actor.name.clone(),
        why: why.trim().to_owned(),
    };
    let case = transact!(app, |tx| {
        let mut case = kept::lock_case(tx, id).await?;
        known::add(tx, std::slice::from_mut(&mut case)).await?;
        if !case.wants_somebody() {
            let sentence = "There is nothing left to explain here: both sides agree, or may still be late, or \
                            somebody has explained it.";
            return Err(OpsError::Conflict(Refusal::new("nothing_to_explain", sentence)));
        }
        // The fee of the same payment is explained with it.
        let mut all = vec![case];
        if let Some(fee) = known::fee_of(tx, &all[0]).await? {
            all.push(kept::lock_case(tx, &fee).await?);
        }
        for case in &mut all {
            case.explained = Some(said(app));
            note_explained(tx, case, why);
        }
        kept::put_cases(tx, &all).await?;
        Ok(all.swap_remove(0))
    })?;
    app.nudge.notify_watchers();
    Ok(case)
}

fn note_explained(tx: &mut Tx, case: &Case, why: &str) {
    let Some(said) = &case.explained else { return };
    let detail = serde_json::json!({
        "reason": why, "standing": case.standing.as_str(), "about": case.subject,
        "at_vendor": case.moved.decimal(), "in_books": case.posted.decimal(),
    });
    tx.audit(audit::Entry {
        at: said.at,
        actor: said.by.clone(),
        action: "reconciliation_explained",
        subject: case.id.clone(),
        detail: detail.to_string(),
    });
}
