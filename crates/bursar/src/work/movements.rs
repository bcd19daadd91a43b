//! Reads the vendors' own balance reports page by page, storing each page before the next is requested, so that an
//! interrupted read can resume. The result is then reconciled with the ledger. Nothing here moves money, so it
//! continues in safe mode.
//!
//! Not here: what a line means (`payout::reconciliation`), and writing (`ops::reconciliation`).

use std::time::Duration;

use payout::ids;
use payout::money::{Money, Vendor};
use vendors::paypal::PayPal;
use vendors::stripe::Stripe;
use vendors::{Movement, MovementPage, ReadError};

use super::{PassResult, Work};
use crate::app::App;
use crate::clock;
use crate::ops::Result;
use crate::ops::reconciliation as verbs;
use crate::store::reconciliation::{self as kept, Account, NewMovement, Pull};

const SECOND_US: i64 = 1_000_000;
const DAY_US: i64 = 86_400 * SECOND_US;
/// How far a read overlaps the previous one: clocks differ, and a line can arrive a little late.
const OVERLAP_US: i64 = 3_600 * SECOND_US;
/// The overlap of the deeper read once a day: PayPal's reports lag by hours, more on a bad day.
const DEEP_US: i64 = 3 * DAY_US;
/// The time span of one query; PayPal allows at most 31 days.
const SLICE_US: i64 = 7 * DAY_US;
/// How many pages one pass reads.
const PAGES: usize = 20;
/// The maximum page size of Stripe's lists.
const PER_PAGE: usize = 100;
/// Retry delay after a failed read.
const AGAIN_US: i64 = 300 * SECOND_US;
/// How many PayPal batches one pass reads, and how old they may be.
const BATCHES: i64 = 50;
const BATCH_AGE_US: i64 = 45 * DAY_US;
/// The maximum number of passes when somebody waits for the result.
const PASSES: usize = 500;
/// How soon to check again whether another process has finished reading.
const RECHECK: Duration = Duration::from_millis(200);
/// How long a page request waits for a read.
const LOOK: Duration = Duration::from_secs(10);

/// The client of a connected vendor.
enum VendorClient {
    Stripe(Stripe),
    PayPal(PayPal),
}

/// One pass for one vendor: leases the read when it is due, reads some pages, and reconciles with the ledger once
/// everything is read.
pub async fn once(work: &Work, vendor: Vendor, now: i64) -> PassResult {
    let Some((asked, of)) = connected(work, vendor).await? else { return Ok(0) };
    let Some(mut pull) = verbs::begin(&work.app, &of, now).await? else { return Ok(0) };
    let read = read(work, &asked, &mut pull, now).await?;
    if let Err(error) = read {
        if matches!(error, ReadError::Refused { .. } | ReadError::Missing) {
            // The cursor may have expired: start the slice again.
            (pull.slice, pull.after_page) = (None, None);
        }
        tracing::warn!(vendor = vendor.as_str(), %error, "what the vendor says of our balance could not be read");
        pull.failed = Some((now, error.to_string()));
        pull.due_at = now + AGAIN_US;
        verbs::end(&work.app, &pull).await?;
        return Ok(0);
    }
    let up_to_now = pull.slice.is_none() && pull.due_at > now;
    if up_to_now {
        learn_references(work, &asked, &pull).await?;
        verbs::compare(&work.app, &pull).await?;
        read_balances(work, &asked, &pull).await?;
        verbs::compare(&work.app, &pull).await?;
        let (tasks, _) = kept::tasks(&mut work.app.store.read().await?).await?;
        let tasks = i32::try_from(tasks).unwrap_or(i32::MAX);
        metrics::gauge!("bursar_reconciliation_tasks").set(f64::from(tasks));
        pull.pulled_at = Some(now);
    }
    verbs::end(&work.app, &pull).await?;
    Ok(1)
}

/// Reads everything from both vendors now, from `since` if given, for a caller that waits for it.
pub async fn all(work: &Work, since: Option<i64>) -> Result<()> {
    for vendor in Vendor::ALL {
        // An account that was never read must be created before its read can be restarted from `since`.
        once(work, vendor, work.app.clock.now()).await?;
    }
    let app = &work.app;
    verbs::hurry(app, since).await?;
    for vendor in Vendor::ALL {
        for _ in 0..PASSES {
            let read = once(work, vendor, app.clock.now()).await?;
            if read > 0 {
                continue;
            }
            let Some((_, of)) = connected(work, vendor).await? else { break };
            let pulls = kept::pulls(&mut app.store.read().await?).await?;
            if !pulls.iter().any(|pull| pull.of == of && pull.due_at <= app.clock.now()) {
                break;
            }
            // Another process is reading it right now.
            tokio::time::sleep(RECHECK).await;
        }
    }
    Ok(())
}

/// Reads what is due for a waiting page request, for a few seconds; the loop does the rest.
pub async fn look(work: &Work) -> Result<()> {
    let looking = async {
        for vendor in Vendor::ALL {
            while once(work, vendor, work.app.clock.now()).await? > 0 {}
        }
        Ok(())
    };
    tokio::time::timeout(LOOK, looking).await.unwrap_or(Ok(()))
}

async fn connected(work: &Work, vendor: Vendor) -> Result<Option<(VendorClient, Account)>> {
    let found = match vendor {
        Vendor::Stripe => {
            work.clients.stripe().await?.map(|one| (VendorClient::Stripe(one.client), one.account))
        }
        Vendor::PayPal => {
            work.clients.paypal().await?.map(|one| (VendorClient::PayPal(one.client), one.account))
        }
    };
    let Some((asked, Some(name))) = found else { return Ok(None) };
    Ok(Some((asked, Account { vendor, name })))
}

/// Reads some pages of the current slice, or of the next one, and records the progress.
async fn read(
    work: &Work,
    asked: &VendorClient,
    pull: &mut Pull,
    now: i64,
) -> Result<std::result::Result<(), ReadError>> {
    let (from, until) = pull.slice.unwrap_or_else(|| next_slice(pull, now));
    pull.slice = Some((from, until));
    for _ in 0..PAGES {
        let page = match page(work, asked, pull, (from, until), now).await {
            Ok(page) => page,
            Err(error) => return Ok(Err(error)),
        };
        if page.unread > 0 {
            tracing::warn!(
                vendor = pull.of.vendor.as_str(),
                lines = page.unread,
                "lines of the vendor's account of our balance cannot be read, or are in no currency known here"
            );
        }
        pull.unread = pull.unread.saturating_add(i64::try_from(page.unread).unwrap_or(i64::MAX));
        pull.after_page = page.next;
        if pull.after_page.is_none() {
            end_slice(pull, page.whole_until, now, work.app.config.poll_us());
        }
        let lines: Vec<NewMovement> = page.movements.into_iter().map(|line| new(&work.app, line)).collect();
        verbs::keep(&work.app, pull, &lines).await?;
        if pull.slice.is_none() {
            break;
        }
    }
    Ok(Ok(()))
}

/// The next slice: a little before the end of the last read, and once a day from further back.
fn next_slice(pull: &Pull, now: i64) -> (i64, i64) {
    let deep = pull.deep_at <= now && pull.read_until > pull.begun_at;
    let overlap = if deep { DEEP_US } else { OVERLAP_US };
    let from = (pull.read_until - overlap).max(pull.begun_at - OVERLAP_US);
    (from, now.min(pull.read_until.max(from) + SLICE_US).max(from))
}

/// A slice is complete. What PayPal says its report does not include yet is read next time.
fn end_slice(pull: &mut Pull, whole_until: Option<i64>, now: i64, poll_us: i64) {
    let Some((_, until)) = pull.slice.take() else { return };
    let whole = whole_until.map_or(until, |whole| whole.min(until));
    pull.read_until = pull.read_until.max(whole);
    pull.failed = None;
    if until < now {
        pull.due_at = now;
        return;
    }
    pull.due_at = now + 12 * poll_us;
    if pull.deep_at <= now {
        pull.deep_at = now + DAY_US;
    }
}

async fn page(
    work: &Work,
    asked: &VendorClient,
    pull: &Pull,
    (from, until): (i64, i64),
    now: i64,
) -> std::result::Result<MovementPage, ReadError> {
    let after = pull.after_page.as_deref();
    match asked {
        VendorClient::Stripe(stripe) => {
            // The last slice is open-ended: what is created meanwhile belongs to it.
            let before = (until < now).then_some(until / SECOND_US + 1);
            let question = stripe.movements(from / SECOND_US, before, after, PER_PAGE);
            work.ask(Vendor::Stripe, question).await
        }
        VendorClient::PayPal(paypal) => work.ask(Vendor::PayPal, paypal.movements(from, until, after)).await,
    }
}

fn new(app: &App, line: Movement) -> NewMovement {
    let id = ids::encode(ids::fresh(app.clock.now(), app.clock.in_turn()));
    NewMovement {
        id: format!("mov_{id}"),
        day: clock::date(line.created_at),
        object: line.object.unwrap_or_else(|| line.id.clone()),
        vendor_id: line.id,
        kind: line.kind,
        amount: line.amount,
        fee: line.fee,
        net: line.net,
        created_at: line.created_at,
        available_at: line.available_at,
        source: line.source,
        names: line.names,
        body_hash: line.body_hash,
    }
}

/// PayPal's reports name a payment only by PayPal's own transaction id. The batch says which item that is, so our
/// batches are read while there are unassigned movements. For payments found after a restore, `watch_found` records it.
async fn learn_references(work: &Work, asked: &VendorClient, pull: &Pull) -> Result<()> {
    let VendorClient::PayPal(paypal) = asked else { return Ok(()) };
    let app = &work.app;
    verbs::find_owners(app, &pull.of).await?;
    let mut db = app.store.read().await?;
    if !kept::any_of_nobody(&mut db, &pull.of).await? {
        return Ok(());
    }
    let from = pull.begun_at.max(app.clock.now() - BATCH_AGE_US) - DAY_US;
    let batches = kept::batches_to_look_into(&mut db, &pull.of.name, from, BATCHES).await?;
    drop(db);
    for batch in batches {
        match work.ask(Vendor::PayPal, paypal.batch(&batch)).await {
            Ok(batch) => {
                let paid_as =
                    |item: vendors::paypal::batch::Item| Some((item.payout_item_id, item.transaction_id?));
                let found: Vec<(String, String)> = batch.items.into_iter().filter_map(paid_as).collect();
                verbs::note_references(app, &found).await?;
            }
            Err(error) => tracing::warn!(%error, batch, "a batch could not be looked into"),
        }
    }
    Ok(())
}

/// Reads the current balances at the vendor. If one cannot be compared with the movements, because something is moving
/// right now or the vendor does not report it, none is recorded this time.
async fn read_balances(work: &Work, asked: &VendorClient, pull: &Pull) -> Result<()> {
    let app = &work.app;
    let read_at = app.clock.now();
    // Movements are dated by the vendor's clock, so the balance must be too.
    let ahead = work.clients.skew().of(pull.of.vendor.as_str()).unwrap_or(0);
    let told = match asked {
        VendorClient::Stripe(stripe) => {
            work.ask(Vendor::Stripe, stripe_balance(stripe, read_at - ahead)).await
        }
        VendorClient::PayPal(paypal) => {
            work.ask(Vendor::PayPal, paypal_balances(paypal, pull.read_until)).await
        }
    };
    let (told, newest) = match told {
        Ok(told) => told,
        Err(error) => {
            tracing::warn!(vendor = pull.of.vendor.as_str(), %error, "the balance at the vendor could not be read");
            return Ok(());
        }
    };
    let seen = kept::known(&mut app.store.read().await?, &pull.of, &Vec::from_iter(newest.clone())).await?;
    if newest.is_none_or(|newest| seen.contains(&newest)) {
        verbs::note_balances(app, pull, &told, read_at).await?;
    }
    Ok(())
}

/// The reported balances with their times, and the newest movement that must be stored for them to be comparable.
type Balances = (Vec<(Money, i64)>, Option<String>);

/// Stripe's current balance. If the newest movement, requested after it, is already stored, nothing moved in between.
async fn stripe_balance(stripe: &Stripe, now: i64) -> std::result::Result<Balances, ReadError> {
    let balance = stripe.balance(None).await?;
    let newest = stripe.movements(0, None, None, 1).await?.movements.into_iter().next();
    let currencies = balance.available.iter().map(|funds| funds.currency);
    let told = currencies.filter_map(|currency| {
        let units = balance.held_units(currency)?;
        Some((payout::money::from_units(Vendor::Stripe, units, currency).ok()?, now))
    });
    Ok((told.collect(), newest.map(|line| line.id)))
}

/// PayPal's balance at a past time: the end of its complete report.
async fn paypal_balances(paypal: &PayPal, as_of: i64) -> std::result::Result<Balances, ReadError> {
    let balances = paypal.balances(as_of).await?;
    Ok((balances.into_iter().map(|one| (one.money, one.as_of.unwrap_or(as_of))).collect(), None))
}
