//! Second payments that come back, so that nothing is deducted for them; and money of closed payments paid out by Stripe's
//! automatic schedule. Each test checks the books and the payee's next claim itself, and `verify` at the end, because the
//! general invariants cannot hold when money has left twice.

use bursar::app::Actor;
use bursar::ops::people::{MachineUser, NewPerson, add, disable};
use bursar::ops::record::{self, Observation};
use bursar::ops::rewards::{self as verbs, Verdict};
use bursar::store::people;
use bursar::store::transactions::{self, Filter, Transaction};
use bursar::transact;
use bursar::work::ask;
use payout::access::Role;
use payout::transaction::{Fact, Leg};

use crate::paid_twice::{
    AGAIN_PAID, BESIDE, BY_CHEQUE_TOO, close, it_was_made, play, settle_first, stripe_refuses_it,
};
use crate::scenarios::Stage;

/// All payments, oldest first.
async fn payments(stage: &Stage) -> Vec<Transaction> {
    let mut db = stage.world.app.store.read().await.unwrap();
    let mut all = transactions::list(&mut db, &Filter::default(), 10).await.unwrap();
    all.sort_by_key(|one| one.number);
    all
}

/// Records the vendor's report about the first payment, as its poll would.
async fn tell_first(stage: &Stage, fact: &Fact) {
    let app = &stage.world.app;
    let first = payments(stage).await[0].id;
    let done: bursar::ops::Result<()> = transact!(app, |tx| {
        for attempt in transactions::attempts(tx, &[first]).await? {
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

/// Voids a reward, or a clawback, by its external ID or number.
async fn void(stage: &Stage, id: &str) {
    let verdict = Verdict::Void { reason: "let it be".to_owned(), shown: false };
    verbs::decide(&stage.world.app, &stage.world.actor, id, None, &verdict, None).await.unwrap();
}

/// A scenario in which the second payment comes back after these lines, with the expected end.
async fn comes_back(name: &str, before: &str, after: &str) {
    let mut stage = Stage::open(name, 1).await;
    let mut played = play(&mut stage, BY_CHEQUE_TOO).await.and(play(&mut stage, before).await);
    if played.is_ok() {
        tell_first(&stage, &Fact::ItemReversed).await;
        tell_first(&stage, &Fact::ItemReversed).await;
        played = play(&mut stage, "expect R1 paid").await.and(play(&mut stage, after).await);
    }
    close(stage, played).await;
}

const FIRST_CLAWBACK: &str = "bursar:clawback:RW-000001-1";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_came_back_is_not_taken_off_any_more() {
    let after = "
books     payable(ana) 0.00   paid_outside -20.00
reward    R2     ana  50.00  approved
batch     B2     all
pay       B2
live      1 minute
sent      ana@B2 50.00
books     payable(ana) 0.00
";
    comes_back("second_back", "", after).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_came_back_is_taken_out_of_the_draft_that_would_take_it_off() {
    let before = "
reward    R2     ana  50.00  approved
batch     B2     all
";
    let after = "
pay       B2
live      1 minute
sent      ana@B2 50.00
books     payable(ana) 0.00
";
    comes_back("second_in_draft", before, after).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_taken_off_for_what_came_back_is_owed_again() {
    let before = "
reward    R2     ana  50.00  approved
batch     B2     all
pay       B2
live      1 minute
sent      ana@B2 30.00
books     payable(ana) 0.00
";
    let after = "
books     payable(ana) -20.00
batch     B3     all
pay       B3
live      1 minute
sent      ana@B3 20.00
books     payable(ana) 0.00
";
    comes_back("second_taken", before, after).await;
}

/// The payee was allowed to keep a duplicate payment. It came back anyway, so nothing was given away.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_forgiven_and_came_back_was_not_given_away() {
    let mut stage = Stage::open("second_forgiven", 1).await;
    let mut played = play(&mut stage, BY_CHEQUE_TOO).await;
    if played.is_ok() {
        void(&stage, FIRST_CLAWBACK).await;
        played = play(&mut stage, "books payable(ana) 0.00").await;
        tell_first(&stage, &Fact::ItemReversed).await;
        played = played.and(play(&mut stage, "books payable(ana) 0.00").await);
    }
    close(stage, played).await;
}

/// The reward of a failed payment was freed and voided; then the payment turns out to have paid it. The payment is clawed
/// back once, automatically: the books already show it as owed by the payee.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_voided_and_turns_out_to_be_paid_is_clawed_back_once() {
    let mut stage = Stage::open("second_voided", 1).await;
    let (freed, paid) = BY_CHEQUE_TOO.split_once("outside ").unwrap();
    let (_, paid) = paid.split_once("webhook ").unwrap();
    let (paid, _) = paid.split_once("expect    R1 ").unwrap();
    let mut played = play(&mut stage, &format!("{freed}\nreturn ana")).await;
    if played.is_ok() {
        void(&stage, "RW-000001").await;
        let after = format!(
            "webhook {paid}
expect    R1     void
books     payable(ana) 20.00
reward    R2     ana  50.00  approved
batch     B2     all
pay       B2
live      1 minute
sent      ana@B2 30.00
books     payable(ana) 0.00"
        );
        played = play(&mut stage, &after).await;
    }
    close(stage, played).await;
}

/// A payment freed its reward, then its transfer is found in the payee's balance, from which Stripe's automatic schedule
/// pays it out. Bursar does not decide what the reward becomes: it is held, and the payout that Stripe shows settles it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_schedule_pays_of_a_closed_payment_is_settled_by_that_payout() {
    let mut stage = Stage::open("swept_closed", 1).await;
    let mut played = play(&mut stage, BESIDE).await;
    if played.is_ok() {
        stripe_refuses_it(&stage).await;
        played = play(&mut stage, "return bo\nexpect R1 approved").await;
    }
    if played.is_ok() {
        it_was_made(&stage).await;
        settle_first(&stage, &stage.world.actor.clone()).await.unwrap();
        let after = "
expect    bo     payout_failed
books     payable(bo) -50.00   vendor_balance -50.00   returned 50.00
daily     bo
live      2 days
why       bo     payment_contradicted
refuse    contradicted  return bo
settle    bo     made by-schedule
expect    bo     success
expect    R1     paid
why       bo
books     payable(bo) 0.00   vendor_balance -50.00   returned 0.00
";
        played = play(&mut stage, after).await;
    }
    close(stage, played).await;
}

/// The same after its reward was paid again: the payee has it twice. When the automatic payout fails, they have it once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_schedule_pays_twice_and_fails_is_not_taken_off() {
    let mut stage = Stage::open("swept_twice", 1).await;
    let mut played = play(&mut stage, BESIDE).await;
    if played.is_ok() {
        stripe_refuses_it(&stage).await;
        played = play(&mut stage, AGAIN_PAID).await;
    }
    if played.is_ok() {
        it_was_made(&stage).await;
        settle_first(&stage, &stage.world.actor.clone()).await.unwrap();
        let swept = "
daily     bo
live      2 days
why       bo@B1  payment_contradicted
settle    bo@B1  made by-schedule
expect    bo@B1  success
books     payable(bo) 50.00   vendor_balance -100.00   returned 0.00
";
        played = play(&mut stage, swept).await;
        let reason = payout::transaction::Reason::new("account_closed", "");
        tell_swept(&stage, &Fact::PayoutFailed(reason)).await;
        let after = "
expect    bo@B1  payout_failed
books     payable(bo) 0.00   vendor_balance -100.00   returned 50.00
reward    R2     bo   80.00  approved
batch     B3     all
pay       B3
live      10 minutes
sent      bo@B3  80.00
";
        played = played.and(play(&mut stage, after).await);
    }
    close(stage, played).await;
}

/// Records Stripe's report about the newest bank payout of the first payment.
async fn tell_swept(stage: &Stage, fact: &Fact) {
    let app = &stage.world.app;
    let first = payments(stage).await[0].id;
    let done: bursar::ops::Result<()> = transact!(app, |tx| {
        let attempts = transactions::attempts(tx, &[first]).await?.into_iter();
        let newest = attempts.filter(|one| one.leg == Leg::Payout).max_by_key(|one| one.number).unwrap();
        let heard = Observation {
            transaction: newest.transaction,
            attempt: newest.id,
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

/// A payment's money is missing from the payee's balance, and an automatic payout covers its amount. Stripe shows that the
/// payout took other money, so it cannot settle the payment. Until Stripe has listed everything it took, *not made* takes
/// two people.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payout_of_the_schedule_that_took_other_money_settles_nothing() {
    let mut stage = Stage::open("swept_covers", 1).await;
    let story = "
partner   bo     stripe acct_sim_slow_bo
reward    R1     bo   75.00  approved
batch     B1     R1
pay       B1
tick      dispatch
later     25 hours
drain     bo
live      4 days
expect    bo     pending_processing needs_review reason money_missing
reward    R2     bo   80.00  approved
batch     B2     R2
pay       B2
tick      dispatch
daily     bo
later     3 days
live      1 minute
refuse    vendor_unreachable  settle bo@B1 made by-schedule
refuse    vendor_unreachable  settle bo@B1 not-made
expect    bo@B1  pending_processing needs_review
live      5 days
expect    bo@B2  success
refuse    not_this_payment  settle bo@B1 made by-schedule
settle    bo@B1  not-made
expect    bo@B1  payout_failed reason not_made
parked    bo@B1  written_off
parked    bo@B1  written_off by other
return    bo@B1
expect    R1     approved
";
    let played = play(&mut stage, story).await;
    close(stage, played).await;
}

/// A disabled user is no longer one of two people: the next person repeats the first statement, and another must confirm
/// it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_shut_out_is_no_first_person_any_more() {
    let mut stage = Stage::open("shut_out_first", 1).await;
    let parked = "
partner   bo     stripe acct_sim_closed_bo
reward    R1     bo   75.00  approved
batch     B1     R1
pay       B1
live      10 seconds
expect    bo     payout_failed
";
    let mut played = play(&mut stage, parked).await;
    let app = stage.world.app.clone();
    let kim = NewPerson {
        email: "gone@example.com".to_owned(),
        name: "Gone".to_owned(),
        role: Role::Payer,
        partner: None,
        password: Some("a long password 1".to_owned()),
    };
    add(&app, &kim).await.unwrap();
    let gone =
        people::by_email(&mut app.store.read().await.unwrap(), "gone@example.com").await.unwrap().unwrap();
    let gone = Actor { id: gone.id, name: gone.name, role: gone.role, ..stage.world.actor.clone() };
    let id = payments(&stage).await[0].id;
    let found = bursar::ops::by_hand::ParkedFinding {
        how: payout::law::Parked::GivenUp,
        reference: String::new(),
        paid_on: String::new(),
        note: "asked Stripe".to_owned(),
    };
    ask::parked(&stage.world.works[0], id, found.how).await.unwrap();
    let waits = bursar::ops::by_hand::settle_parked(&app, &gone, id, &found, None).await.unwrap();
    assert_eq!(waits.state.as_str(), "payout_failed");
    disable(&app, "gone@example.com", MachineUser("root")).await.unwrap();
    let after = "
parked    bo     written_off by other
books     returned 75.00   written_off 0.00
parked    bo     written_off by other
books     returned 75.00   written_off 0.00
parked    bo     written_off
books     returned 0.00   written_off 75.00
";
    played = played.and(play(&mut stage, after).await);
    close(stage, played).await;
}
