//! Duplicate payments that could not be prevented: the first payment was settled as not made, its reward was paid again, and
//! only then does the vendor report the first one. The general scenario invariants cannot hold here, because money has left
//! twice, so each test checks the books and the payee's next claim itself.

mod by_hand;
mod made_twice;
mod told;

use std::sync::Arc;
use std::time::Duration;

use bursar::app::{Actor, App};
use bursar::ops::record::{self, Observation};
use bursar::ops::{OpsError, by_hand as verbs, verify};
use bursar::store::step::StepGate;
use bursar::store::{batches, transactions};
use bursar::transact;
use bursar::work::ask;
use payout::ids::{BatchId, RewardId};
use payout::transaction::{Fact, Leg, Reason};

use crate::need;
use crate::scenarios::Stage;

const STORY: &str = "
partner   ana    paypal ana@example.com
reward    R1     ana  20.00  approved
batch     B1     R1
vendor    paypal webhook lost times 500
pay       B1
vendor    paypal answer lost
tick      dispatch
vendor    paypal 503 on any times 100000
later     29 days
tick      dispatch
heal
settle    ana    not-made
settle    ana    not-made by other
return    ana
batch     B2     R1
pay       B2
live      1 minute
expect    ana    success
books     payable(ana) 0.00   vendor_balance -20.40
webhook   ana@B1 succeeded
tick      intake
later     30 seconds
tick      settle
refuse    transaction_closed  resubmit ana@B1
settle    ana@B1 made
expect    ana@B1 success
live      1 minute
books     payable(ana) 20.00   in_flight 0.00   vendor_balance -40.80   vendor_fees 0.80
reward    R2     ana  50.00  approved
batch     B3     all
pay       B3
live      1 minute
sent      ana@B3 30.00
books     payable(ana) 0.00
";

/// The payment itself was resubmitted, and its first attempt turns out to have paid too. The vendor reports it twice and
/// two users settle it: it counts once.
const SENT_AGAIN: &str = "
partner   ana    paypal ana@example.com
reward    R1     ana  20.00  approved
batch     B1     R1
vendor    paypal webhook lost times 500
pay       B1
vendor    paypal answer lost
tick      dispatch
vendor    paypal 503 on any times 100000
later     29 days
tick      dispatch
heal
settle    ana    not-made
settle    ana    not-made by other
resubmit  ana
live      1 minute
expect    ana    success
webhook   ana    succeeded of 1
tick      intake
later     30 seconds
tick      settle
why       ana    payment_contradicted
settle    ana    made first
books     payable(ana) 20.00   in_flight 0.00
webhook   ana    succeeded of 1
tick      intake
later     30 seconds
tick      settle
try       settle ana made first
why       ana
live      1 minute
books     payable(ana) 20.00   in_flight 0.00   vendor_balance -40.80   vendor_fees 0.80
";

/// Settled as made while unclaimed; then PayPal fails it, so the failed payment fails once more.
const FAILS_AGAIN: &str = "
partner   ana    paypal sim-unclaimed-ana@example.com
reward    R1     ana  20.00  approved
batch     B1     R1
vendor    paypal webhook lost times 500
pay       B1
vendor    paypal answer lost
tick      dispatch
vendor    paypal 503 on any times 100000
later     29 days
tick      dispatch
heal
settle    ana    not-made
settle    ana    not-made by other
webhook   ana    unclaimed
tick      intake
later     30 seconds
tick      settle
settle    ana    made
expect    ana    pending_processing unclaimed
books     payable(ana) 0.00   in_flight -20.00
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_another_attempt_paid_is_counted_once() {
    let mut stage = Stage::open("paid_twice_within", 1).await;
    let played = play(&mut stage, SENT_AGAIN).await;
    close(stage, played).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_corrected_can_fail_again() {
    let mut stage = Stage::open("fails_again", 1).await;
    let mut played = play(&mut stage, FAILS_AGAIN).await;
    if played.is_ok() {
        tell_all(&stage, &Fact::ItemFailed(Reason::new("RECEIVER_ACCOUNT_LOCKED", "locked"))).await;
        played = play(&mut stage, "expect ana failed\nbooks payable(ana) -20.00   in_flight 0.00").await;
    }
    close(stage, played).await;
}

/// Records PayPal's report about the only payment, as its poll would.
pub(crate) async fn tell_all(stage: &Stage, fact: &Fact) {
    let app = &stage.world.app;
    let mut db = app.store.read().await.unwrap();
    let all = transactions::list(&mut db, &transactions::Filter::default(), 10).await.unwrap();
    drop(db);
    let ids: Vec<_> = all.into_iter().map(|one| one.id).collect();
    let done: bursar::ops::Result<()> = transact!(app, |tx| {
        for attempt in transactions::attempts(tx, &ids).await? {
            let heard = Observation {
                transaction: attempt.transaction,
                attempt: attempt.id,
                fact: fact.clone(),
                vendor_id: None,
                submission: None,
                source: "poll",
                detail: None,
                event_id: None,
            };
            record::record(tx, app, "settle", &[heard]).await?;
        }
        Ok(())
    });
    done.unwrap();
}

/// The transfer's response is lost, and it is settled as not made: as if Stripe had twice not shown it.
pub(crate) const BESIDE: &str = "
partner   bo     stripe acct_bo
reward    R1     bo   50.00  approved
batch     B1     R1
vendor    stripe webhook lost times 500
pay       B1
vendor    stripe answer lost
tick      dispatch
";

/// It is resubmitted, and then an event names our first idempotency key.
const AND_AGAIN: &str = "
resubmit  bo
live      10 minutes
expect    bo     success
books     payable(bo) 0.00   vendor_balance -50.00
";

/// Records that Stripe has definitely rejected the only payment's transfer.
pub(crate) async fn stripe_refuses_it(stage: &Stage) {
    let app = &stage.world.app;
    let mut db = app.store.read().await.unwrap();
    let all = transactions::list(&mut db, &transactions::Filter::default(), 10).await.unwrap();
    drop(db);
    let ids: Vec<_> = all.into_iter().map(|one| one.id).collect();
    let done: bursar::ops::Result<()> = transact!(app, |tx| {
        for attempt in transactions::attempts(tx, &ids).await? {
            let heard = Observation {
                transaction: attempt.transaction,
                attempt: attempt.id,
                fact: Fact::Refused(Leg::Transfer, Reason::new("account_closed", "")),
                vendor_id: None,
                submission: None,
                source: "poll",
                detail: None,
                event_id: None,
            };
            record::record(tx, app, "reconcile", &[heard]).await?;
        }
        Ok(())
    });
    done.unwrap();
    let sql = "UPDATE submission SET state = 'refused', ended_at = created_at, doubts = 0".to_owned();
    crate::world::run(&stage.world.database_url, sql).await;
}

/// Reports that Stripe has made the transfer of the first attempt.
pub(crate) async fn it_was_made(stage: &Stage) {
    let app = &stage.world.app;
    let mut db = app.store.read().await.unwrap();
    let all = transactions::list(&mut db, &transactions::Filter::default(), 10).await.unwrap();
    let ids: Vec<_> = all.into_iter().map(|one| one.id).collect();
    let attempts = transactions::attempts(&mut db, &ids).await.unwrap();
    drop(db);
    let first = attempts.iter().find(|one| one.leg == Leg::Transfer && one.number == 1).unwrap();
    let heard = Observation {
        transaction: first.transaction,
        attempt: first.id,
        fact: Fact::FoundAfterAll(Leg::Transfer),
        vendor_id: Some(first_transfer(stage)),
        submission: None,
        source: "poll",
        detail: None,
        event_id: None,
    };
    let done: bursar::ops::Result<()> = transact!(app, |tx| {
        record::record(tx, app, "events", std::slice::from_ref(&heard)).await?;
        Ok(())
    });
    done.unwrap();
}

fn first_transfer(stage: &Stage) -> String {
    stage.world.simulator.books().transfers.first().unwrap().id.clone()
}

/// Settles the only payment as made by its first transfer, as this person.
pub(crate) async fn settle_first(stage: &Stage, who: &Actor) -> Result<(), OpsError> {
    let app = &stage.world.app;
    let mut db = app.store.read().await.unwrap();
    let all = transactions::list(&mut db, &transactions::Filter::default(), 10).await.unwrap();
    drop(db);
    let id = all.iter().min_by_key(|one| one.number).unwrap().id;
    let finding = ask::found(&stage.world.works[0], id, &first_transfer(stage)).await?;
    verbs::settle_by_hand(app, who, id, &finding, "its money is gone from their balance", None)
        .await
        .map(drop)
}

/// A transfer beside a later one, whose money has left the payee's balance: two people confirm it, it is posted as left,
/// and it is deducted from the payee's next claim.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transfer_beside_a_later_one_is_clawed_back_by_two_people() {
    let mut stage = Stage::open("transfer_beside", 1).await;
    let mut played = play(&mut stage, BESIDE).await;
    if played.is_ok() {
        stripe_refuses_it(&stage).await;
        played = play(&mut stage, AND_AGAIN).await;
    }
    if played.is_ok() {
        it_was_made(&stage).await;
        let message = "why bo payment_contradicted";
        played = play(&mut stage, message).await;
        let (one, other) = (stage.world.actor.clone(), stage.world.other.clone());
        settle_first(&stage, &one).await.unwrap();
        settle_first(&stage, &one).await.unwrap();
        played = played.and(play(&mut stage, message).await);
        settle_first(&stage, &other).await.unwrap();
    }
    let after = "
why       bo
books     payable(bo) 50.00   vendor_balance -100.00
reward    R2     bo  80.00  approved
batch     B2     all
pay       B2
live      1 minute
sent      bo@B2  30.00
books     payable(bo) 0.00   vendor_balance -130.00
";
    played = match played {
        Ok(()) => play(&mut stage, after).await,
        wrong => wrong,
    };
    close(stage, played).await;
}

/// A bank payout that succeeded after its transfer was recalled, while its reward is being paid again. It is deducted from
/// the next claim. The new payment, whose money covers the bank payout, is stopped and remains owed.
const FETCHED_BACK: &str = "
partner   bo     stripe acct_sim_slow_bo
reward    R1     bo   75.00  approved
batch     B1     R1
pay       B1
live      30 hours
disconnect bo
live      50 hours
expect    bo     pending_processing needs_review reason not_shown_by_vendor
settle    bo     not-made
settle    bo     not-made by other
reverse   bo
live      50 hours
expect    R1     approved
give-access bo
live      1 minute
batch     B2     R1
pay       B2
live      30 hours
webhook   bo@B1  paid
live      1 minute
expect    bo@B2  payout_failed reason payment_contradicted
settle    bo@B1  made
expect    bo@B1  payout_failed reversed
books     payable(bo) 0.00   vendor_balance -75.00
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_bank_paid_after_it_was_paid_anew_is_clawed_back() {
    let mut stage = Stage::open("fetched_back", 1).await;
    let played = play(&mut stage, FETCHED_BACK).await;
    close(stage, played).await;
}

/// The reward is free again, and then PayPal turns out to have paid it.
const FREED: &str = "
partner   ana    paypal ana@example.com
reward    R1     ana  20.00  approved
batch     B1     R1
vendor    paypal webhook lost times 500
pay       B1
vendor    paypal answer lost
tick      dispatch
vendor    paypal 503 on any times 100000
later     29 days
tick      dispatch
heal
settle    ana    not-made
settle    ana    not-made by other
return    ana
reward    R2     ana  50.00  approved
batch     B2     R2
webhook   ana@B1 succeeded
tick      intake
later     30 seconds
tick      settle
";

/// A payout was drafted before the vendor's contradiction, and the reward is added to it while the payment is settled as
/// made: either the payment takes its reward back, or it is not settled. On PostgreSQL, at each statement of settling.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_put_into_a_draft_while_its_payment_is_settled_is_not_paid_twice() {
    if need::postgres().is_none() {
        return;
    }
    let mut stage = Stage::open("settled_beside_a_draft", 1).await;
    play(&mut stage, FREED).await.unwrap();
    let (app, actor) = (stage.world.app.clone(), stage.world.actor.clone());
    let mut db = app.store.read().await.unwrap();
    let id = transactions::list(&mut db, &transactions::Filter::default(), 1).await.unwrap()[0].id;
    drop(db);
    let item = stage.world.simulator.books().items[0].id.clone();
    let finding = ask::found(&stage.world.works[0], id, &item).await.unwrap();
    let (reward, draft) = (stage.reward("R1"), stage.batch("B2"));
    for statements in 0..200 {
        let walk = Arc::new(StepGate::default());
        walk.allow(statements);
        let (of, by, found) = (app.clone(), actor.clone(), finding.clone());
        let settle = async move {
            verbs::settle_by_hand(&of, &by, id, &found, "PayPal shows it", None).await.map(drop)
        };
        let mut settle = tokio::spawn(Arc::clone(&walk).lead(settle));
        tokio::select! {
            biased;
            done = &mut settle => {
                done.unwrap().unwrap();
                break;
            }
            () = walk.stopped() => {}
        }
        let into = app.clone();
        let put = async move { put_in(&into, draft, reward).await };
        let mut put = tokio::spawn(put);
        let early = tokio::time::timeout(Duration::from_millis(40), &mut put).await.ok();
        walk.allow(100_000);
        let settled = settle.await.unwrap();
        let put = match early {
            Some(put) => put.unwrap(),
            None => put.await.unwrap(),
        };
        assert_eq!(settled.is_ok(), put == 0, "after {statements} statements: {settled:?}, {put} put in");
        if settled.is_ok() {
            break;
        }
        let taken: bursar::ops::Result<()> = transact!(app, |tx| {
            batches::take_out(tx, draft, &[reward]).await?;
            Ok(())
        });
        taken.unwrap();
    }
    let played = play(&mut stage, "expect ana@B1 success\nexpect R1 paid\npay B2\nlive 1 minute").await;
    close(stage, played).await;
}

/// Adds a reward to a draft, as creating one does after checking every gate.
async fn put_in(app: &App, draft: BatchId, reward: RewardId) -> u64 {
    let put: bursar::ops::Result<u64> =
        transact!(app, |tx| { Ok(batches::put_in(tx, draft, &[reward]).await?) });
    put.unwrap()
}

/// Closes the stage: `verify` accepts the books, however often a payee was paid.
pub(crate) async fn close(stage: Stage, played: Result<(), String>) {
    let mut db = stage.world.app.store.read().await.unwrap();
    let broken = verify::all(&mut db).await.unwrap().into_iter().filter(|rule| !rule.holds());
    let broken: Vec<String> =
        broken.map(|rule| format!("{}: {}: {:?}", rule.id, rule.says, rule.violations)).collect();
    drop(db);
    let verified = if broken.is_empty() { Ok(()) } else { Err(broken.join("\n")) };
    stage.close(played.and(verified)).await;
}

/// A payment freed its reward, then its transfer turns out to be in the payee's balance. Two people confirm that the payee
/// has it: the reward is paid, and is not paid again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_closed_payment_paid_otherwise_is_not_paid_again() {
    let mut stage = Stage::open("paid_otherwise_closed", 1).await;
    let mut played = play(&mut stage, BESIDE).await;
    if played.is_ok() {
        stripe_refuses_it(&stage).await;
        played = play(&mut stage, "return bo\nexpect R1 approved").await;
    }
    if played.is_ok() {
        it_was_made(&stage).await;
        let one = stage.world.actor.clone();
        settle_first(&stage, &one).await.unwrap();
        played = play(&mut stage, PAID_OTHERWISE).await;
    }
    stage.close(played).await;
}

const PAID_OTHERWISE: &str = "
expect    bo     payout_failed
books     payable(bo) -50.00   vendor_balance -50.00   returned 50.00
drain     bo
batch     B2     R1
refuse    reward_in_batch  parked bo paid_otherwise THEIR-PAYOUT 2026-03-02
take      B2     R1
parked    bo     paid_otherwise THEIR-PAYOUT 2026-03-02
expect    R1     approved
parked    bo     paid_otherwise THEIR-PAYOUT 2026-03-02 by other
expect    R1     paid
books     payable(bo) 0.00   vendor_balance -50.00   returned 0.00
";

pub(crate) const AGAIN_PAID: &str = "
return    bo
batch     B2     R1
pay       B2
live      10 minutes
expect    bo@B2  success
";

/// The same, but the reward was paid again meanwhile: it cannot be marked as paid by this payment too. The money held there
/// is written off, and the reward can be clawed back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_paid_again_is_not_paid_otherwise_as_well() {
    let mut stage = Stage::open("paid_otherwise_again", 1).await;
    let mut played = play(&mut stage, BESIDE).await;
    if played.is_ok() {
        stripe_refuses_it(&stage).await;
        played = play(&mut stage, AGAIN_PAID).await;
    }
    if played.is_ok() {
        it_was_made(&stage).await;
        let one = stage.world.actor.clone();
        settle_first(&stage, &one).await.unwrap();
        let message = "refuse paid_again parked bo@B1 paid_otherwise THEIR-PAYOUT 2026-03-02";
        played = play(&mut stage, message).await;
        played = played.and(play(&mut stage, "parked bo@B1 written_off").await);
        played = played.and(play(&mut stage, "parked bo@B1 written_off by other").await);
        played = played.and(play(&mut stage, "books payable(bo) 0.00 returned 0.00 written_off 50.00").await);
    }
    stage.close(played).await;
}

/// Marked as paid outside, then PayPal turns out to have paid it too: the payee owes one of the two, and `verify` still
/// passes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_paid_outside_and_by_the_vendor_is_clawed_back() {
    let mut stage = Stage::open("paid_outside_too", 1).await;
    let story = STORY.split("return ").next().unwrap();
    let mut played = play(&mut stage, story).await;
    if played.is_ok() {
        played = play(&mut stage, OUTSIDE_TOO).await;
    }
    if played.is_ok() {
        played = verified(&stage).await;
    }
    stage.close(played).await;
}

/// The bank's failure was final here, and twenty minutes later Stripe shows the same payout as paid: a person must
/// investigate first. A report within minutes is an older response.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_had_failed_and_is_shown_as_paid_is_contradicted() {
    let mut stage = Stage::open("paid_after_failed", 1).await;
    let story = "partner bo stripe acct_sim_closed_bo\nreward R1 bo 50.00 approved\nbatch B1 R1\npay B1\nlive 10 seconds";
    let mut played = play(&mut stage, story).await;
    hear(&stage, Leg::Payout, &Fact::PayoutPaid).await;
    played = played.and(play(&mut stage, "later 20 minutes").await);
    hear(&stage, Leg::Payout, &Fact::PayoutPaid).await;
    let refused = play(&mut stage, "refuse contradicted resubmit bo\nrefuse contradicted return bo").await;
    stage.close(played.and(refused)).await;
}

/// Records a fact about a leg's newest attempt of the only payment, as its poll would.
async fn hear(stage: &Stage, leg: Leg, fact: &Fact) {
    let app = &stage.world.app;
    let mut db = app.store.read().await.unwrap();
    let all = transactions::list(&mut db, &transactions::Filter::default(), 10).await.unwrap();
    drop(db);
    let ids: Vec<_> = all.into_iter().map(|one| one.id).collect();
    let done: bursar::ops::Result<()> = transact!(app, |tx| {
        let attempts = transactions::attempts(tx, &ids).await?.into_iter();
        let attempt = attempts.filter(|one| one.leg == leg).max_by_key(|one| one.number).unwrap();
        let heard = Observation {
            transaction: attempt.transaction,
            attempt: attempt.id,
            fact: fact.clone(),
            vendor_id: None,
            submission: None,
            source: "poll",
            detail: None,
            event_id: None,
        };
        record::record(tx, app, "settle", &[heard]).await?;
        Ok(())
    });
    done.unwrap();
}

/// Runs `verify` and returns the violations it finds.
async fn verified(stage: &Stage) -> Result<(), String> {
    let mut db = stage.world.app.store.read().await.unwrap();
    let found = bursar::ops::verify::all(&mut db).await.unwrap();
    let broken: Vec<String> =
        found.into_iter().filter(|one| !one.holds()).map(|one| format!("{one:?}")).collect();
    if broken.is_empty() { Ok(()) } else { Err(broken.join("\n")) }
}

const OUTSIDE_TOO: &str = "
outside   ana    REF-1 2026-03-02
expect    R1     paid
webhook   ana    succeeded
tick      intake
later     30 seconds
tick      settle
settle    ana    made
live      1 minute
books     payable(ana) 20.00   in_flight 0.00   vendor_balance -20.40   paid_outside -20.00
";

pub(crate) async fn play(stage: &mut Stage, story: &str) -> Result<(), String> {
    for line in story.lines().filter(|line| !line.trim().is_empty()) {
        stage.one(line).await.map_err(|told| format!("{line}: {told}"))?;
    }
    Ok(())
}

/// A failed payment is paid by check, and then PayPal turns out to have paid it: the payee has it twice, and it is deducted
/// from their next claim. If the money returns to PayPal, the check has still paid the reward.
pub(crate) const BY_CHEQUE_TOO: &str = "
partner   ana    paypal ana@example.com
reward    R1     ana  20.00  approved
batch     B1     R1
vendor    paypal webhook lost times 500
pay       B1
vendor    paypal answer lost
tick      dispatch
vendor    paypal 503 on any times 100000
later     29 days
tick      dispatch
heal
settle    ana    not-made
settle    ana    not-made by other
outside   ana    CHEQUE-7 2026-03-02
expect    R1     paid
books     payable(ana) 0.00   paid_outside -20.00
webhook   ana    succeeded
tick      intake
later     30 seconds
tick      settle
settle    ana    made
expect    ana    success
expect    R1     paid
books     payable(ana) 20.00   vendor_balance -20.40
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_paid_outside_and_by_the_vendor_is_clawed_back_and_stays_paid() {
    let mut stage = Stage::open("cheque_too", 1).await;
    let mut played = play(&mut stage, BY_CHEQUE_TOO).await;
    if played.is_ok() {
        tell_all(&stage, &Fact::ItemReversed).await;
        played = play(&mut stage, "expect R1 paid\nbooks payable(ana) 0.00   paid_outside -20.00").await;
    }
    close(stage, played).await;
}

/// Staff mark the payout as rejected by the payee's bank, and then it arrives after all.
const ARRIVED: &str = "
partner   bo     stripe acct_sim_slow_bo
reward    R1     bo   75.00  approved
batch     B1     R1
pay       B1
live      30 hours
disconnect bo
live      50 hours
settle    bo     not-made
settle    bo     not-made by other
";

const TOLD: &str = "
give-access bo
webhook   bo     paid
live      1 minute
why       bo     payment_contradicted
settle    bo     made
live      2 days
why       bo
expect    R1     paid
";

/// Two people had stated that the payee was paid with that very money: then it is one payment, and counted once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_two_people_called_paid_otherwise_and_has_arrived_is_one_payment() {
    let mut stage = Stage::open("otherwise_arrived", 1).await;
    let between = "
parked    bo     paid_otherwise THEIR-BANK 2026-03-02
parked    bo     paid_otherwise THEIR-BANK 2026-03-02 by other
expect    R1     paid
";
    let after = "books payable(bo) 0.00   vendor_balance -75.00   written_off 0.00   paid_outside 0.00";
    let mut played = Ok(());
    for story in [ARRIVED, between, TOLD, after] {
        played = played.and(play(&mut stage, story).await);
    }
    close(stage, played).await;
}

/// Written off and then paid by check, it was paid with other money: the payee has both.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_given_up_and_paid_outside_and_has_arrived_is_clawed_back() {
    let mut stage = Stage::open("given_up_arrived", 1).await;
    let between = "
parked    bo     written_off
parked    bo     written_off by other
outside   bo     CHEQUE-9 2026-03-02
expect    R1     paid
books     payable(bo) 0.00   written_off 75.00   paid_outside -75.00
";
    let after = "books payable(bo) 75.00   vendor_balance -75.00   written_off 0.00   paid_outside -75.00";
    let mut played = Ok(());
    for story in [ARRIVED, between, TOLD, after] {
        played = played.and(play(&mut stage, story).await);
    }
    close(stage, played).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_paid_twice_is_taken_off_the_next_claim() {
    let mut stage = Stage::open("paid_twice", 1).await;
    let played = play(&mut stage, STORY).await;
    close(stage, played).await;
}
