//! The main workflow: a file of rewards is imported, approved, batched and paid while the vendors fail as scripted, and
//! every payment is followed until the vendor says how it ended.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use payout::ids::BatchId;
use payout::reason::explain_at;
use payout::transaction::{State, Status};
use simulator::{Books, Call, Fault, FaultKind, Vendor as Played};

use super::super::{Failure, Outcome, operator, output, reconcile, verify as face, words};
use super::{Demo, world};
use crate::ops::import;
use crate::ops::verify;
use crate::store::payees::{self, PayeeIdentity};
use crate::store::transactions::{self, ReadLine, Transaction};
use crate::work::movements;

/// The time limit for all payments to end.
const PATIENCE: Duration = Duration::from_secs(90);

/// The scenes the demo must show, as in the table's last column.
const SCENES: [&str; 7] = [
    "paid",
    "closed account",
    "unclaimed",
    "returned after success",
    "answer lost",
    "webhook lost",
    "webhook doubled",
];

const PARTNERS: &str = "external_id,account,name,email,country,language,vendor,destination\n\
    demo-closed,demo-company-01,Demo closed account,closed@demo.example,US,en,stripe,acct_sim_closed_demo\n\
    demo-late,demo-company-02,Demo sent back,late@demo.example,US,en,stripe,acct_sim_paid_then_failed_demo\n\
    demo-unclaimed,demo-company-03,Demo unclaimed,unclaimed@demo.example,US,en,paypal,sim-unclaimed-demo@demo.example\n";

const REWARDS: &str = "external_id,activity,owner,value,currency,payment_type,note\n\
    auto-1,demo-deal,demo-closed,210.00,USD,individual,\n\
    auto-2,demo-deal,demo-late,320.00,EUR,individual,\n\
    auto-3,demo-deal,demo-unclaimed,95.50,USD,individual,\n\
    auto-4,demo-deal,demo-partner-01,18.75,EUR,individual,\n\
    auto-5,demo-deal,demo-partner-02,64.00,USD,individual,\n\
    auto-6,demo-deal,demo-partner-03,1200.00,USD,organization,\n\
    auto-7,demo-deal,demo-partner-04,77.10,GBP,individual,\n\
    auto-8,demo-deal,demo-partner-05,43.21,EUR,individual,\n";

pub(super) async fn auto(demo: &Demo) -> Outcome {
    let (app, work) = (&demo.app, &demo.work);
    let (_, to_connect) =
        import::partners(app, &operator(), PARTNERS.as_bytes(), false, None).await.map_err(words)?;
    world::set_profiles(work, to_connect).await?;
    let imported = world::import_rewards(app, REWARDS).await?;
    let approved = world::approve_pending(app).await?;
    output::print_line(&format!("imported {imported} rewards, approved {approved} that waited for review"));
    misbehave(demo);
    let paid = world::pay_all_eligible(app, work).await?;
    let batch = &paid.batch.batch;
    let totals: Vec<String> = paid.batch.totals.iter().map(ToString::to_string).collect();
    output::print_line(&format!(
        "paid {}: {} payments, {}",
        batch.number,
        paid.transactions,
        totals.join(", ")
    ));
    let ended = follow(demo, batch.id).await?;
    let seen = tell(demo, &ended).await?;
    check(demo, &ended, &seen).await
}

/// Scripts the vendors' faults from now on.
fn misbehave(demo: &Demo) {
    let plant = |vendor, call, kind, times| demo.vendors.plant(Fault { vendor, call, kind, skip: 0, times });
    plant(Played::Stripe, Call::Transfer, FaultKind::AnswerLost, 1);
    plant(Played::PayPal, Call::Batch, FaultKind::AnswerLost, 1);
    plant(Played::Stripe, Call::Webhook, FaultKind::Doubled, 200);
    plant(Played::PayPal, Call::Webhook, FaultKind::Lost, 6);
}

/// Waits until every payment has ended or is unclaimed, including the scripted bank return.
async fn follow(demo: &Demo, batch: BatchId) -> Result<Vec<Transaction>, Failure> {
    let late = |one: &Transaction| one.destination.address().contains("paid_then_failed");
    let waiting = async {
        loop {
            let mut db = demo.app.store.read().await?;
            let filter = transactions::Filter { batch: Some(batch), ..Default::default() };
            let mut all = transactions::list(&mut db, &filter, i64::from(i32::MAX)).await?;
            drop(db);
            let ended = |one: &Transaction| match late(one) {
                true => one.state == State::PayoutFailed,
                false => one.state.settled() || one.state == State::Unclaimed,
            };
            if all.iter().all(ended) {
                all.sort_by_key(|one| one.number);
                return Ok(all);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting)
        .await
        .unwrap_or_else(|_| Err(Failure("not every payment ended in time".to_owned())))
}

/// Prints how every payment ended; returns the scenes that occurred.
async fn tell(demo: &Demo, ended: &[Transaction]) -> Result<BTreeSet<&'static str>, Failure> {
    let mut db = demo.app.store.read().await?;
    let of: Vec<_> = ended.iter().map(|one| one.terms.payee).collect();
    let names = payees::names(&mut db, &of).await?;
    let doubled = doubled(&demo.vendors.books());
    let (mut rows, mut seen) = (Vec::new(), BTreeSet::new());
    for one in ended {
        let timeline = transactions::timeline(&mut db, one.id).await?;
        let attempts = transactions::attempts(&mut db, &[one.id]).await?;
        let twice =
            attempts.iter().any(|attempt| attempt.vendor_id.as_ref().is_some_and(|id| doubled.contains(id)));
        let scenes = scenes(one, &timeline, twice);
        seen.extend(scenes.iter().copied());
        rows.push(row(one, names.get(&one.terms.payee), &scenes));
    }
    output::table(&["payment", "payee", "amount", "vendor", "status", "what happened"], &rows);
    Ok(seen)
}

/// The objects with an event that was delivered and accepted more than once.
fn doubled(books: &Books) -> BTreeSet<String> {
    let mut taken: HashMap<&str, u32> = HashMap::new();
    for line in books.webhooks.iter().filter(|line| line.answered == 200) {
        *taken.entry(line.event_id.as_str()).or_default() += 1;
    }
    let twice = |id: &str| taken.get(id).is_some_and(|count| *count > 1);
    books.webhooks.iter().filter(|line| twice(&line.event_id)).map(|line| line.object_id.clone()).collect()
}

/// The scenes that a payment's evidence shows.
fn scenes(one: &Transaction, timeline: &[ReadLine], twice: bool) -> Vec<&'static str> {
    let has = |effect: &str| timeline.iter().any(|line| line.effect == effect);
    let paid_by = |source: &str| {
        timeline
            .iter()
            .any(|line| line.source == source && matches!(line.effect.as_str(), "payout_paid" | "item_paid"))
    };
    let mut scenes = Vec::new();
    match one.state.status() {
        Status::Success => scenes.push("paid"),
        Status::PayoutFailed if has("payout_paid") => scenes.push("returned after success"),
        Status::PayoutFailed if one.reason.as_ref().is_some_and(|reason| reason.code == "account_closed") => {
            scenes.push("closed account");
        }
        Status::PendingProcessing if one.state == State::Unclaimed => scenes.push("unclaimed"),
        Status::Pending
        | Status::PendingProcessing
        | Status::PayoutReady
        | Status::Failed
        | Status::PayoutFailed => {}
    }
    if has("outcome_unknown") {
        scenes.push("answer lost");
    }
    if paid_by("poll") {
        scenes.push("webhook lost");
    }
    if twice {
        scenes.push("webhook doubled");
    }
    scenes
}

fn row(one: &Transaction, named: Option<&PayeeIdentity>, scenes: &[&'static str]) -> Vec<String> {
    let explained = one.reason.as_ref().and_then(|reason| explain_at(&reason.code, one.state).message);
    let words = scenes.iter().map(|scene| match *scene {
        "answer lost" => "answer lost, same key sent again, paid once",
        "webhook lost" => "webhook lost, found by asking",
        "webhook doubled" => "webhook doubled, counted once",
        other => other,
    });
    let mut what = words.collect::<Vec<_>>().join("; ");
    if let Some(explained) = explained {
        what.push_str(&format!(": {explained}"));
    }
    vec![
        one.label(),
        named.map_or_else(|| one.terms.payee.to_string(), |named| named.name.clone()),
        one.terms.amount.to_string(),
        one.terms.vendor.label().to_owned(),
        one.state.status().label().to_owned(),
        what,
    ]
}

/// Fails unless every scene occurred, every invariant holds and the vendors' books agree.
async fn check(demo: &Demo, ended: &[Transaction], seen: &BTreeSet<&'static str>) -> Outcome {
    let missing: Vec<&str> = SCENES.into_iter().filter(|scene| !seen.contains(scene)).collect();
    if !missing.is_empty() {
        return Err(Failure(format!("the demonstration did not show: {}", missing.join(", "))));
    }
    let books = demo.vendors.books();
    for one in ended {
        let gone: i64 =
            books.flows(&one.id.to_string()).iter().map(|flow| flow.left_minor - flow.returned_minor).sum();
        let vendor = one.terms.vendor;
        let net = one.terms.net.at(vendor).map_or(0, |amount| amount.units);
        let expected = if one.state.status() == Status::Failed { 0 } else { net };
        if gone != expected {
            let message =
                format!("{}: the vendor's books say that {gone} left, ours say {expected}", one.label());
            return Err(Failure(message));
        }
    }
    output::print_line("the vendors' own books agree with ours, payment by payment");
    movements::all(&demo.work, None).await.map_err(words)?;
    reconcile::print_all(&demo.app).await?;
    let found = verify::all(&mut demo.app.store.read().await?).await?;
    face::print_invariants(&found, false)
}
