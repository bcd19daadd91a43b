//! From a queued attempt to an answer: commit a submission, send it, record the answer.
//!
//! 1. *Intend*: re-check every gate, then commit key, exact bytes and the attempt's move to sending.
//! 2. *Send*: no database transaction is open. `work::send` is the only code that calls a money endpoint.
//! 3. *Record*: the answer's verdict updates submission and attempts in one database transaction.
//!
//! The process may crash after any of these; the next pass resumes what is committed, with the same key.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use payout::eligibility::{BeforeSend, Code};
use payout::ids::{AttemptId, BatchId, TransactionId};
use payout::money::{Money, Vendor};
use payout::transaction::{AttemptState, Fact, Leg, Reason, State};
use vendors::stripe::{ConnectedAccount, payout as bank, transfer};
use vendors::{BadRequest, MoneyRequest};

use super::aside::{self, AsideKind, Bisection};
use super::calls::Calls;
use super::gates::{built_on_another, gate, paused, transfers_of};
use super::submission::{QueueDecision, Ready, new_submission};
use super::{CrashPoint, PassResult, Work, chunks, connect, funds, send};
use crate::ops::gates::Gates;
use crate::ops::record::{self, Observation};
use crate::ops::{OpsError, Result, brake, safe_mode};
use crate::store::put_back;
use crate::store::submissions::{self, New};
use crate::store::transactions::{self, Attempt, Transaction};
use crate::store::{self};
use crate::transact;

/// How many PayPal items one pass turns into submissions.
const PAYPAL_AT_ONCE: i64 = 10_000;
/// After this many consecutive constraint violations, assume a row is the cause.
const CLASHES: usize = 3;

/// One pass for one vendor: commits submissions for queued attempts, sends what is due, and records the answers.
///
/// # Errors
/// If the database fails; the next pass resumes what is committed.
pub async fn once(work: &Work, vendor: Vendor, now: i64) -> PassResult {
    if braked(work).await? {
        return Ok(0);
    }
    let safe = rests(work).await?;
    connect::identify(work, vendor, now).await?;
    let legs: &[(Leg, i64)] = match vendor {
        Vendor::Stripe => &[(Leg::Transfer, send::at_once(work)), (Leg::Reversal, send::at_once(work))],
        // At PayPal the only look-up is a repeated send, so in safe mode `search` covers it instead.
        Vendor::PayPal if safe => &[],
        Vendor::PayPal => &[(Leg::Cancel, send::at_once(work)), (Leg::Item, PAYPAL_AT_ONCE)],
    };
    let intended = intend(work, legs, now).await?;
    if safe {
        return looks_follow(work, intended);
    }
    if intended > 0 && work.crashes_now(CrashPoint::BetweenCommitAndSend) {
        return Ok(0);
    }
    Ok(intended + send::due(work, vendor, work.app.clock.now()).await?)
}

/// One pass for bank payouts: reads the connected balances and commits the payouts that are funded. They have their own
/// loop because each needs a read, and sends that need none must not wait for it.
pub async fn funds(work: &Work, now: i64) -> PassResult {
    if braked(work).await? {
        return Ok(0);
    }
    let safe = rests(work).await?;
    let room = work.reach.capacity(Vendor::Stripe, Calls::Reads, now, send::at_once(work));
    let intended = intend(work, &[(Leg::Payout, room)], now).await?;
    if safe {
        return looks_follow(work, intended);
    }
    if intended > 0 {
        if work.crashes_now(CrashPoint::BetweenCommitAndSend) {
            return Ok(0);
        }
        work.app.nudge.dispatch.notify();
    }
    Ok(intended)
}

/// Whether sending is stopped by safe mode. After a restore, queued attempts are only looked up.
async fn rests(work: &Work) -> Result<bool> {
    let mut db = work.app.store.read().await?;
    Ok(safe_mode::stops_sending(&mut db).await?)
}

/// Whether the brake is set: while the books do not balance, no submission is even committed.
async fn braked(work: &Work) -> Result<bool> {
    Ok(brake::on(&mut work.app.store.read().await?).await?)
}

fn looks_follow(work: &Work, intended: usize) -> PassResult {
    if intended > 0 {
        work.app.nudge.look_for.notify();
    }
    Ok(intended)
}

/// Commits submissions for queued attempts of these legs, up to a limit for each. Returns how many attempts it moved.
async fn intend(work: &Work, legs: &[(Leg, i64)], now: i64) -> PassResult {
    let mut moved = 0;
    for (leg, limit) in legs {
        if *limit == 0 {
            continue;
        }
        moved += match intend_leg(work, *leg, *limit, now).await {
            // Another worker took the same attempts first; the next pass reads what is left.
            Err(OpsError::Conflict(_)) if work.clashes(*leg) < CLASHES => 0,
            Err(error) if aside::about_a_row(&error) => bisect(work, *leg, *limit, now).await?,
            outcome => {
                let moved = outcome?;
                work.agreed(*leg);
                moved
            }
        };
    }
    Ok(moved)
}

async fn intend_leg(work: &Work, leg: Leg, limit: i64, now: i64) -> PassResult {
    let mut db = work.app.store.read().await?;
    let queued = transactions::queued(&mut db, leg, now, limit).await?;
    drop(db);
    intend_these(work, queued, now).await
}

async fn intend_these(work: &Work, queued: Vec<Attempt>, now: i64) -> PassResult {
    if queued.is_empty() {
        return Ok(0);
    }
    let sorted = sort(work, queued, now).await?;
    commit(work, sorted).await
}

/// Bisects the queued attempts, so that a broken record only holds up itself.
async fn bisect(work: &Work, leg: Leg, limit: i64, now: i64) -> PassResult {
    let ids = transactions::queued_ids(&mut work.app.store.read().await?, leg, now, limit).await?;
    let (mut moved, mut halves) = (0, Bisection::of(ids));
    while let Some(part) = halves.next() {
        let some = transactions::attempts_named(&mut work.app.store.read().await?, &part).await;
        let outcome = match some {
            Ok(some) => intend_these(work, some, now).await,
            Err(error) => Err(error.into()),
        };
        match outcome {
            Ok(done) => moved += done,
            Err(error) if aside::about_a_row(&error) => {
                if let Some(guilty) = halves.failed(part) {
                    aside::put(work, AsideKind::Queued, &guilty, &error).await?;
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(moved)
}

/// Re-checks every gate. Reading a connected balance calls the vendor, so it happens before any database transaction.
async fn sort(work: &Work, queued: Vec<Attempt>, now: i64) -> Result<QueueDecision> {
    let ids: Vec<TransactionId> = queued.iter().map(|attempt| attempt.transaction).collect();
    let mut db = work.app.store.read().await?;
    // Read first: if the database is restored in between, what is read after this belongs to a later epoch.
    let epoch = put_back::progress(&mut db).await?.epoch;
    let found: HashMap<TransactionId, Transaction> =
        transactions::several(&mut db, &ids).await?.into_iter().map(|one| (one.id, one)).collect();
    let gates = Gates::read(&mut db, found.values().map(|one| one.terms.payee)).await?;
    let batches: Vec<BatchId> = found.values().map(|one| one.batch).collect();
    let gates = gates.within(&mut db, &batches).await?;
    let connections = store::vendors::all(&mut db).await?;
    let paused = paused(&connections, now);
    let made = transfers_of(&mut db, &built_on_another(&queued)).await?;
    let to_look_for = put_back::to_look_for(&mut db, &ids).await?;
    let safe = safe_mode::stops_sending(&mut db).await?;
    drop(db);
    let (mut sorted, mut payouts) =
        (QueueDecision { epoch, decided_at: now, ..QueueDecision::default() }, Vec::new());
    let later = now + work.app.config.longest_wait_us();
    for attempt in queued {
        let Some(transaction) = found.get(&attempt.transaction).cloned() else { continue };
        if attempt.leg == Leg::Cancel && transaction.state != State::Unclaimed {
            sorted.settled.push((attempt.clone(), too_late_to_cancel(&attempt)));
            continue;
        }
        let gate = match is_of_its_account(&transaction, &connections) {
            true => gate(&attempt, (&transaction, made.get(&transaction.id)), &gates, &paused, now),
            false => BeforeSend::Wait(Code::OtherVendorAccount),
        };
        let looks = to_look_for.contains(&transaction.id);
        let back = made.get(&transaction.id).cloned();
        // A payout made by a lost database has left the balance, so look for it whatever the balance holds.
        let first = looks && (gate != BeforeSend::Open || attempt.leg == Leg::Payout);
        match gate {
            // It may have been sent, so no gate may fail it, and safe mode must not make it wait.
            BeforeSend::Open | BeforeSend::Stop(_) | BeforeSend::Wait(_)
                if (safe || first) && !cannot_look(gate) =>
            {
                let ready = Ready { attempt, transaction, back, looks, refusals: None };
                sorted.looked_for.extend(Some(ready).filter(|ready| ready.looks));
            }
            BeforeSend::Open => {
                let ready = Ready { attempt, transaction, back, looks, refusals: None };
                if ready.attempt.leg == Leg::Payout { payouts.push(ready) } else { sorted.ready.push(ready) }
            }
            BeforeSend::Wait(_) if safe => {}
            BeforeSend::Wait(code) => {
                let waits = sorted.waiting.entry(later).or_default();
                waits.push((attempt.id, transaction.id, Some(code.as_str())));
            }
            BeforeSend::Stop(code) => sorted.stopped.push((attempt, code)),
        }
    }
    funds::check_available_balance(work, payouts, &mut sorted, now).await?;
    Ok(sorted)
}

/// Whether a closed gate rules out a look-up: the vendor is unreachable, or another account is connected.
fn cannot_look(gate: BeforeSend) -> bool {
    matches!(gate, BeforeSend::Wait(Code::VendorCredentialsRejected | Code::OtherVendorAccount))
}

/// Whether the connected vendor account is the one the payment was promised from. If nothing is connected, the gates
/// report that.
fn is_of_its_account(of: &Transaction, connections: &[store::vendors::Connection]) -> bool {
    let connection = connections.iter().find(|connection| connection.vendor == of.terms.vendor);
    payout::planted::on("any_account")
        || connection
            .is_none_or(|connection| connection.account.is_some() && connection.account == of.vendor_account)
}

/// The item was claimed or returned while the cancellation was queued.
fn too_late_to_cancel(attempt: &Attempt) -> Observation {
    let reason = Reason::new("no_longer_unclaimed", "");
    let message = "nothing was sent: the money is no longer unclaimed";
    observation(attempt, Fact::Refused(Leg::Cancel, reason), Some(message.to_owned()))
}

/// Commits submissions, stops and waits. Returns how many attempts it moved.
async fn commit(work: &Work, sorted: QueueDecision) -> PassResult {
    let app = &work.app;
    if !sorted.came_back.is_empty() {
        app.nudge.settle.notify();
    }
    transact!(app, |tx| {
        let now = app.clock.now();
        let (mut observations, mut new) = (Vec::new(), Vec::new());
        let (queued, held) = still_queued(tx, &sorted).await?;
        for (attempt, code) in sorted.stopped.iter().filter(|(attempt, _)| queued.contains(&attempt.id)) {
            observations.push(stop(attempt, *code));
        }
        let settled = sorted.settled.iter().filter(|(attempt, _)| queued.contains(&attempt.id));
        observations.extend(settled.map(|(_, fact)| fact.clone()));
        let ready = sorted.ready.iter().filter(|ready| queued.contains(&ready.attempt.id));
        let ready = without_stale_allocations(tx, &sorted.shares, ready.collect()).await?.into_iter();
        let (items, legs): (Vec<&Ready>, Vec<&Ready>) =
            ready.partition(|ready| ready.attempt.leg == Leg::Item);
        let looked_for = sorted.looked_for.iter().filter(|ready| queued.contains(&ready.attempt.id));
        for ready in legs.into_iter().chain(looked_for) {
            let request = match ready.attempt.leg {
                Leg::Cancel => cancel_request(ready),
                Leg::Transfer | Leg::Payout | Leg::Reversal | Leg::Item => stripe_request(ready),
            };
            match request {
                Ok(request) => intention(
                    app,
                    &request,
                    ready.transaction.batch,
                    &[ready],
                    now,
                    &mut observations,
                    &mut new,
                ),
                Err(bad) => observations.push(cannot_build(&ready.attempt, &bad)),
            }
        }
        let (items, unbuildable) = chunks::buildable(items);
        observations.extend(unbuildable.iter().map(|(ready, bad)| cannot_build(&ready.attempt, bad)));
        for chunk in chunks::of(tx, items).await? {
            match chunk.request() {
                Ok(request) => {
                    intention(app, &request, chunk.batch, &chunk.items, now, &mut observations, &mut new)
                }
                Err(bad) => {
                    observations.extend(chunk.items.iter().map(|ready| cannot_build(&ready.attempt, &bad)))
                }
            }
        }
        // A decision is as old as the data behind it; for a payout, that is the balance.
        submissions::insert(tx, new, sorted.epoch, sorted.decided_at.min(now)).await?;
        record::record_of(tx, app, "dispatch", held, &observations).await?;
        for (next_at, waiting) in &sorted.waiting {
            transactions::let_wait(tx, waiting, *next_at).await?;
        }
        transactions::note_shown(tx, &sorted.shown, &sorted.unseen, now).await?;
        transactions::ask_now(tx, &sorted.came_back, now).await?;
        Ok(queued.len())
    })
}

/// Leaves out payouts of connected accounts whose balance another worker has allocated since it was read: the same
/// money could be promised twice. They stay queued and the balance is read again. Locks each account.
async fn without_stale_allocations<'a>(
    tx: &mut store::Tx,
    shares: &BTreeMap<String, i64>,
    ready: Vec<&'a Ready>,
) -> Result<Vec<&'a Ready>> {
    let pays_out = |ready: &&Ready| ready.attempt.leg == Leg::Payout;
    let account = |ready: &Ready| funds::shares_of(ready.transaction.destination.address());
    let accounts: BTreeSet<String> = ready.iter().copied().filter(pays_out).map(account).collect();
    let accounts: Vec<String> = accounts.into_iter().collect();
    let next = store::next_of_each(tx, &accounts).await?;
    let as_read = |account: &str| {
        let seen = shares.get(account).copied().unwrap_or(0);
        next.get(account) == Some(&(seen + 1))
    };
    Ok(ready.into_iter().filter(|one| !pays_out(one) || as_read(&account(one))).collect())
}

/// The attempts nobody has moved since they were read; locks their transactions. Another worker may have read the same
/// attempts: what it sent must not be stopped, nor sent again in a batch with another key.
async fn still_queued(
    tx: &mut store::Tx,
    sorted: &QueueDecision,
) -> Result<(HashSet<AttemptId>, record::LockedPayments)> {
    let ready = sorted.ready.iter().chain(&sorted.looked_for).map(|ready| &ready.attempt);
    let stopped = sorted.stopped.iter().map(|(attempt, _)| attempt);
    let settled = sorted.settled.iter().map(|(attempt, _)| attempt);
    let moving: Vec<&Attempt> = ready.chain(stopped).chain(settled).collect();
    let held = record::hold(tx, moving.iter().map(|attempt| attempt.transaction)).await?;
    let queued: HashSet<AttemptId> = held
        .attempts()
        .filter(|attempt| attempt.state == AttemptState::Queued)
        .map(|attempt| attempt.id)
        .collect();
    let still = moving.into_iter().map(|attempt| attempt.id).filter(|id| queued.contains(id)).collect();
    Ok((still, held))
}

fn stop(attempt: &Attempt, code: Code) -> Observation {
    let reason = Reason::new(code.as_str(), "");
    observation(
        attempt,
        Fact::Refused(attempt.leg, reason),
        Some(format!("nothing was sent: {}", code.message())),
    )
}

/// A gate should have caught a request that cannot be built; nothing was sent.
fn cannot_build(attempt: &Attempt, bad: &BadRequest) -> Observation {
    tracing::error!(attempt = %attempt.id, %bad, "the request could not be built; nothing was sent");
    let reason = Reason::new(Code::AmountNotPayable.as_str(), bad.0.as_str());
    observation(attempt, Fact::Refused(attempt.leg, reason), Some(format!("nothing was sent: {bad}")))
}

fn observation(attempt: &Attempt, fact: Fact, detail: Option<String>) -> Observation {
    Observation {
        transaction: attempt.transaction,
        attempt: attempt.id,
        fact,
        vendor_id: None,
        submission: None,
        source: "request",
        detail,
        event_id: None,
    }
}

/// One submission and the attempts it carries.
fn intention(
    app: &crate::app::App,
    request: &MoneyRequest,
    batch: BatchId,
    carried: &[&Ready],
    now: i64,
    told: &mut Vec<Observation>,
    new: &mut Vec<New>,
) {
    let account = carried.first().and_then(|ready| ready.transaction.vendor_account.clone());
    let looks = carried.iter().any(|ready| ready.looks);
    let submission = New { looks, ..new_submission(app, request, batch, account, now) };
    for ready in carried {
        let sent = observation(&ready.attempt, Fact::Sent(ready.attempt.leg), Some(request.key().to_owned()));
        told.push(Observation { submission: Some(submission.id.clone()), ..sent });
    }
    new.push(submission);
}

fn cancel_request(ready: &Ready) -> std::result::Result<MoneyRequest, BadRequest> {
    let (of, number) = (ready.transaction.id, ready.attempt.number);
    let item = ready.back.as_ref().ok_or_else(|| BadRequest("there is no item to cancel".to_owned()))?;
    let key = format!("{}:{of}:{number}", Leg::Cancel.key_prefix());
    vendors::paypal::batch::cancel_request(&key, &item.object)
}

fn stripe_request(ready: &Ready) -> std::result::Result<MoneyRequest, BadRequest> {
    let transaction = ready.transaction.id.to_string();
    let attempt = ready.attempt.id.to_string();
    let number = if payout::planted::on("no_number_in_the_key") { 1 } else { ready.attempt.number };
    let key = format!("{}:{transaction}:{number}", ready.attempt.leg.key_prefix());
    // Only the part that has not been reversed yet can be reversed.
    let part = ready.back.as_ref().map_or(0, |back| back.part_minor);
    let net = ready.transaction.terms.net;
    let net = Money::new(net.minor - part, net.currency);
    let amount = net.at(Vendor::Stripe).map_err(|_| BadRequest(format!("Stripe cannot pay {net}")))?;
    let account = ConnectedAccount::parse(ready.transaction.destination.address())
        .ok_or_else(|| BadRequest("the destination is no Stripe account".to_owned()))?;
    let description = ready.transaction.label();
    match ready.attempt.leg {
        Leg::Transfer => transfer::request(&transfer::TransferOrder {
            key: &key,
            transaction: &transaction,
            attempt: &attempt,
            destination: &account,
            amount,
            description: &description,
        }),
        Leg::Payout => bank::request(&bank::PayoutOrder {
            key: &key,
            transaction: &transaction,
            attempt: &attempt,
            account: &account,
            amount,
            statement_descriptor: &description,
        }),
        Leg::Reversal => {
            let transfer =
                ready.back.as_ref().ok_or_else(|| BadRequest("there is no transfer to reverse".into()))?;
            let transfer = transfer.object.as_str();
            transfer::reversal_request(&transfer::ReversalOrder {
                key: &key,
                transaction: &transaction,
                attempt: &attempt,
                transfer,
                amount,
            })
        }
        Leg::Item | Leg::Cancel => Err(BadRequest("this is not sent to Stripe".to_owned())),
    }
}
