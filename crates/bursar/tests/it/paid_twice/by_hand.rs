//! Settling by hand what people had wrongly decided before, or while something changes concurrently: an item of a batch they
//! had settled as not made, an attempt two of them settle at once, a reward voided meanwhile.

use std::sync::Arc;
use std::time::Duration;

use bursar::app::App;
use bursar::ops::{by_hand as verbs, verify};
use bursar::store::rewards::{self, Decision};
use bursar::store::step::StepGate;
use bursar::store::transactions;
use bursar::transact;
use bursar::work::ask;
use payout::ids::RewardId;
use payout::reward::RewardStatus;

use super::{AND_AGAIN, BESIDE, FREED, close, it_was_made, play, settle_first, stripe_refuses_it};
use crate::need;
use crate::scenarios::Stage;

/// PayPal pays a batch of two, and its response and webhooks are lost. Two people settle it as not made, and one of the two
/// payments is resubmitted, which PayPal pays too. Then someone finds the other one at PayPal: its item names the batch, and
/// the batch shows that the first attempt of the resubmitted payment was paid as well. Nothing else reveals this: that
/// attempt has ended here, and is not the newest.
const SIBLINGS: &str = "
partner   ana    paypal ana@example.com
partner   cy     paypal cy@example.com
reward    R1     ana  10.00  approved
reward    R2     cy   20.00  approved
batch     B1     all
vendor    paypal webhook lost times 500
pay       B1
vendor    paypal answer lost
tick      dispatch
vendor    paypal 503 on any times 100000
later     29 days
tick      dispatch
expect    all    pending_processing needs_review
heal
vendor    paypal webhook lost times 500
settle    cy     not-made
settle    cy     not-made by other
expect    all    failed reason not_made
refuse    nothing_in_doubt  settle ana not-made
resubmit  cy
live      2 hours
expect    cy     success
why       cy
settle    ana    made
live      1 minute
expect    all    success
why       ana
why       cy     payment_contradicted
settle    cy     made first
why       cy
live      20 days
expect    all    success
why       cy
books     payable(ana) 0.00   payable(cy) 20.00   in_flight 0.00   vendor_balance -51.00   vendor_fees 1.00
reward    R3     cy   50.00  approved
batch     B2     all
pay       B2
live      1 minute
sent      cy     30.00
books     payable(cy) 0.00
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_tells_of_what_was_called_not_made_and_sent_again() {
    let mut stage = Stage::open("siblings", 1).await;
    let played = play(&mut stage, SIBLINGS).await;
    close(stage, played).await;
}

/// Two people settle a payment as not made, it is resubmitted, and two people settle that attempt as not made as well. Both
/// were made, and PayPal reports both in the end. Settling one leaves the other open: it holds the payment until it is
/// settled too, and stays visible.
const TWO_CONTRADICTIONS: &str = "
partner   ana    paypal ana@example.com
reward    R1     ana  20.00  approved
batch     B1     R1
vendor    paypal webhook late 61 days times 5000
pay       B1
vendor    paypal answer lost
tick      dispatch
vendor    paypal 503 on any times 100000
later     29 days
tick      dispatch
expect    ana    pending_processing needs_review
heal
settle    ana    not-made
settle    ana    not-made by other
expect    ana    failed reason not_made
vendor    paypal webhook late 61 days times 5000
resubmit  ana
vendor    paypal answer lost
tick      dispatch
vendor    paypal 503 on any times 100000
later     29 days
tick      dispatch
expect    ana    pending_processing needs_review
heal
settle    ana    not-made
settle    ana    not-made by other
expect    ana    failed reason not_made
later     70 days
deliver
live      10 minutes
why       ana    payment_contradicted
refuse    vendor_has_it  settle ana not-made
settle    ana    made first
live      1 minute
expect    ana    success
why       ana    payment_contradicted
refuse    vendor_has_it  settle ana not-made
settle    ana    made
why       ana
live      1 day
expect    ana    success
why       ana
books     payable(ana) 20.00   vendor_balance -40.80   vendor_fees 0.80
sent      ana    40.00
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_contradictions_are_settled_one_after_the_other() {
    let mut stage = Stage::open("two_contradictions", 1).await;
    let played = play(&mut stage, TWO_CONTRADICTIONS).await;
    close(stage, played).await;
}

/// A payment is settled as not made and frees its reward, and the reward is voided. Then PayPal shows that it has paid it.
/// The payment does not reclaim a void reward: the payee owes the amount, and it is deducted from their next claim.
const VOIDED: &str = "
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
void      R1
webhook   ana    succeeded
tick      intake
later     30 seconds
tick      settle
why       ana    payment_contradicted
settle    ana    made
live      1 minute
expect    ana    success
expect    R1     void
sent      ana    20.00
books     payable(ana) 20.00   in_flight 0.00   vendor_balance -20.40   vendor_fees 0.40
reward    R2     ana  50.00  approved
batch     B2     all
pay       B2
live      1 minute
expect    ana    success
sent      ana    30.00
books     payable(ana) 0.00   in_flight 0.00
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reward_that_was_voided_is_not_taken_in_again() {
    let mut stage = Stage::open("voided_before", 1).await;
    let played = play(&mut stage, VOIDED).await;
    close(stage, played).await;
}

/// The same, but the reward gets another value and is approved again: the payment did not pay its current value. The reward
/// remains payable in full, and the earlier payment is deducted. During the contradiction, the reward cannot be voided or
/// edited.
const EDITED: &str = "
partner   ana    paypal ana@example.com
partner   cy     paypal cy@example.com
reward    R1     ana  20.00  approved
reward    R2     cy   20.00  approved
batch     B1     R1
batch     B2     R2
vendor    paypal webhook lost times 500
pay       B1
pay       B2
vendor    paypal answer lost times 2
tick      dispatch
vendor    paypal 503 on any times 100000
later     29 days
tick      dispatch
expect    all    pending_processing needs_review
heal
settle    ana    not-made
settle    ana    not-made by other
settle    cy     not-made
settle    cy     not-made by other
return    ana
return    cy
edit      R1     30.00
approve   R1
edit      R2     5.00
approve   R2
webhook   ana    succeeded
webhook   cy     succeeded
tick      intake
later     30 seconds
tick      settle
refuse    payment_contradicted  void R1
refuse    payment_contradicted  edit R2 20.00
settle    ana    made
settle    cy     made
live      1 minute
expect    all    success
expect    R1     approved
expect    R2     approved
books     payable(ana) -10.00   payable(cy) 15.00
batch     B3     R1
pay       B3
live      1 minute
expect    ana    success
sent      ana    10.00
reward    R3     cy   25.00  approved
batch     B4     all
pay       B4
live      1 minute
expect    cy     success
sent      cy     10.00
books     payable(ana) 0.00   payable(cy) 0.00   in_flight 0.00
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reward_that_was_edited_is_not_taken_in_again() {
    let mut stage = Stage::open("edited_before", 1).await;
    let played = play(&mut stage, EDITED).await;
    close(stage, played).await;
}

/// The first attempt was settled as not made and the second is in review; both were paid.
const BOTH_PAID: &str = "
partner   ana    paypal ana@example.com
reward    R1     ana  20.00  approved
batch     B1     R1
vendor    paypal webhook lost times 500
pay       B1
vendor    paypal answer lost
tick      dispatch
hold      ana    on
later     1 minute
tick      dispatch
settle    ana    not-made
settle    ana    not-made by other
hold      ana    off
resubmit  ana
vendor    paypal answer lost
tick      dispatch
hold      ana    on
later     1 minute
tick      dispatch
expect    ana    pending_processing needs_review
hold      ana    off
webhook   ana    succeeded of 1
tick      intake
later     30 seconds
tick      settle
";

/// Two people settle the second attempt as made at the same moment. The later one has viewed a waiting attempt that no
/// longer waits: their statement is not applied to the first attempt, nor counted again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_somebody_has_settled_meanwhile_is_not_settled_once_more() {
    let mut stage = Stage::open("settled_at_once", 1).await;
    play(&mut stage, BOTH_PAID).await.unwrap();
    let (app, one, other) = (stage.world.app.clone(), stage.world.actor.clone(), stage.world.other.clone());
    let mut db = app.store.read().await.unwrap();
    let id = transactions::list(&mut db, &transactions::Filter::default(), 1).await.unwrap()[0].id;
    drop(db);
    let second = stage.world.simulator.books().items[1].id.clone();
    let found = ask::found(&stage.world.works[0], id, &second).await.unwrap();
    let first = verbs::settle_by_hand(&app, &one, id, &found, "PayPal shows it", None).await;
    first.unwrap();
    let late = verbs::settle_by_hand(&app, &other, id, &found, "PayPal shows it", None).await;
    match late {
        Err(bursar::ops::OpsError::Conflict(refusal)) => assert_eq!(refusal.code, "changed_meanwhile"),
        done => panic!("{done:?}"),
    }
    let after = "
expect    ana    success
why       ana    payment_contradicted
books     payable(ana) 0.00   vendor_balance -20.40
settle    ana    made first
live      1 minute
why       ana
books     payable(ana) 20.00   in_flight 0.00   vendor_balance -40.80
";
    let played = play(&mut stage, after).await;
    close(stage, played).await;
}

/// Someone who read a reward as free voids it while its payment is settled as made: the payment never reclaims a void
/// reward. On PostgreSQL, at each statement of settling.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_reward_that_is_voided_while_its_payment_is_settled_is_not_taken_in() {
    if need::postgres().is_none() {
        return;
    }
    let mut stage = Stage::open("settled_beside_a_void", 1).await;
    play(&mut stage, FREED).await.unwrap();
    let (app, actor) = (stage.world.app.clone(), stage.world.actor.clone());
    let mut db = app.store.read().await.unwrap();
    let id = transactions::list(&mut db, &transactions::Filter::default(), 1).await.unwrap()[0].id;
    drop(db);
    let item = stage.world.simulator.books().items[0].id.clone();
    let finding = ask::found(&stage.world.works[0], id, &item).await.unwrap();
    let reward = stage.reward("R1");
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
        let voids = app.clone();
        let mut void = tokio::spawn(async move { decided(&voids, reward, RewardStatus::Void).await });
        let early = tokio::time::timeout(Duration::from_millis(40), &mut void).await.ok();
        walk.allow(100_000);
        let settled = settle.await.unwrap();
        let voided = match early {
            Some(voided) => voided.unwrap(),
            None => void.await.unwrap(),
        };
        let taken_in = of_its_payment(&app).await;
        assert_eq!(taken_in, Vec::<String>::new(), "after {statements} statements: {settled:?}, {voided}");
        if settled.is_ok() {
            break;
        }
        assert_eq!(voided, 1, "after {statements} statements: {settled:?}");
        assert_eq!(decided(&app, reward, RewardStatus::Approved).await, 1);
    }
    stage.close(Ok(())).await;
}

/// Changes a reward's status, as a verb does after all its checks; returns whether the reward was unchanged since it was
/// read.
async fn decided(app: &App, reward: RewardId, status: RewardStatus) -> u64 {
    let mut db = app.store.read().await.unwrap();
    let found = rewards::find(&mut db, &reward.to_string()).await.unwrap().unwrap();
    drop(db);
    let decision =
        Decision { status, reason: None, reason_shown_at: None, at: app.clock.now(), by: "usr_x".to_owned() };
    let done: bursar::ops::Result<u64> = transact!(app, |tx| {
        let rows = [(reward, found.version, None)];
        Ok(rewards::decide(tx, &decision, found.entered.status, rows).await?)
    });
    done.unwrap()
}

/// Rewards in a payment that does not pay for them, as named by `verify`.
async fn of_its_payment(app: &App) -> Vec<String> {
    let mut db = app.store.read().await.unwrap();
    let rules = verify::all(&mut db).await.unwrap().into_iter();
    rules
        .filter(|rule| rule.says.starts_with("a reward in a payment"))
        .flat_map(|rule| rule.violations)
        .collect()
}

/// `verify` finds a payment whose reward is void or has another value.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reward_that_its_payment_does_not_pay_for_is_seen() {
    let mut stage = Stage::open("void_in_a_payment", 1).await;
    let story = "
partner   ana    paypal ana@example.com
reward    R1     ana  20.00  approved
batch     B1     R1
pay       B1
live      1 minute
expect    R1     paid
clawback  C1     R1  5.00
reward    R2     ana  50.00  approved
batch     B2     all
pay       B2
live      1 minute
";
    play(&mut stage, story).await.unwrap();
    let (app, url) = (stage.world.app.clone(), stage.world.database_url.clone());
    assert_eq!(of_its_payment(&app).await, Vec::<String>::new(), "a clawback is in a payment as well");
    let reward = stage.reward("R1").to_string();
    for (wrong, right) in [
        ("status = 'void'", "status = 'approved'"),
        ("value_minor = value_minor + 1", "value_minor = value_minor - 1"),
    ] {
        let set = |what: &str| format!("UPDATE reward SET {what} WHERE id = '{reward}'");
        crate::world::run(&url, set(wrong)).await;
        assert_eq!(of_its_payment(&app).await, std::slice::from_ref(&reward));
        crate::world::run(&url, set(right)).await;
    }
    stage.close(Ok(())).await;
}

/// A transfer that was settled as not made was partly reversed at Stripe. It is settled as made, the books show both parts at
/// once, and the rest is recalled.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transfer_of_which_a_part_came_back_is_settled_as_made() {
    let mut stage = Stage::open("part_of_it_stands", 1).await;
    let mut played = play(&mut stage, BESIDE).await;
    stripe_refuses_it(&stage).await;
    played = played.and(play(&mut stage, "reverse bo 20.00").await);
    it_was_made(&stage).await;
    let one = stage.world.actor.clone();
    settle_first(&stage, &one).await.unwrap();
    let after = "
expect    bo     payout_failed
books     payable(bo) -50.00   vendor_balance -30.00   returned 50.00   partly_reversed -20.00
why       bo
live      1 minute
refuse    recall_first  resubmit bo
return    bo
live      1 minute
expect    bo     payout_failed reversed
expect    R1     approved
books     payable(bo) -50.00   vendor_balance 0.00   returned 0.00   partly_reversed 0.00
";
    played = played.and(play(&mut stage, after).await);
    close(stage, played).await;
}

/// The same beside a later transfer: only the part that was not reversed is a duplicate payment.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_transfer_beside_a_later_one_only_the_rest_is_clawed_back() {
    let mut stage = Stage::open("part_beside", 1).await;
    let mut played = play(&mut stage, BESIDE).await;
    stripe_refuses_it(&stage).await;
    played = played.and(play(&mut stage, "reverse bo 20.00").await);
    played = played.and(play(&mut stage, AND_AGAIN.split("books").next().unwrap()).await);
    it_was_made(&stage).await;
    let (one, other) = (stage.world.actor.clone(), stage.world.other.clone());
    settle_first(&stage, &one).await.unwrap();
    settle_first(&stage, &other).await.unwrap();
    let after = "
why       bo
books     payable(bo) 30.00   vendor_balance -80.00
reward    R2     bo  80.00  approved
batch     B2     all
pay       B2
live      1 minute
sent      bo@B2  50.00
books     payable(bo) 0.00   vendor_balance -130.00
";
    played = played.and(play(&mut stage, after).await);
    close(stage, played).await;
}
