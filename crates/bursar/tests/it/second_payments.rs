//! What became of a second payment: it came back, so what was to be taken off for it is not taken off; and money that Stripe's
//! own schedule paid out of a payment that was closed. The books and the payee's next claim are looked at one by one, and
//! `verify` at the end, because what holds for every scenario cannot hold where the money has left twice.

use bursar::app::Actor;
use bursar::ops::people::{AtTheMachine, NewPerson, add, disable};
use bursar::ops::record::{self, Heard};
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

/// The payments, oldest first.
async fn payments(stage: &Stage) -> Vec<Transaction> {
    let mut db = stage.world.app.store.read().await.unwrap();
    let mut all = transactions::list(&mut db, &Filter::default(), 10).await.unwrap();
    all.sort_by_key(|one| one.number);
    all
}

/// Records what the vendor says of the first payment, as its poll would.
async fn tell_first(stage: &Stage, fact: &Fact) {
    let app = &stage.world.app;
    let first = payments(stage).await[0].id;
    let done: bursar::ops::Result<()> = transact!(app, |tx| {
        for attempt in transactions::attempts(tx, &[first]).await? {
            let heard = Heard {
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

/// Voids a reward, or a clawback, by its external id or number.
async fn void(stage: &Stage, id: &str) {
    let verdict = Verdict::Void { reason: "let it be".to_owned(), shown: false };
    verbs::decide(&stage.world.app, &stage.world.actor, id, None, &verdict, None).await.unwrap();
}

/// A story in which the second payment comes back after these lines, and what holds then.
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

/// Somebody had let the payee keep what they were paid twice. It came back all the same, so nothing was given away.
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

/// The reward of a failed payment was given back and voided; then the payment turns out to have paid it. What was paid is clawed back
/// by itself, once: the books hold it as owed by the payee already.
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

/// A payment gave its reward back, and then its transfer is found in the payee's balance, from where Stripe's own schedule pays it
/// out. A machine does not say what its reward is then: it is held, and the payout that Stripe shows settles it.
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

/// The same after its reward was paid anew: the payee has it twice. When the schedule's payout fails, they have it once.
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

/// Records what Stripe says of the newest bank payout of the first payment.
async fn tell_swept(stage: &Stage, fact: &Fact) {
    let app = &stage.world.app;
    let first = payments(stage).await[0].id;
    let done: bursar::ops::Result<()> = transact!(app, |tx| {
        let attempts = transactions::attempts(tx, &[first]).await?.into_iter();
        let newest = attempts.filter(|one| one.leg == Leg::Payout).max_by_key(|one| one.number).unwrap();
        let heard = Heard {
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

/// The money of a payment is missing from the payee's balance, and a payout of Stripe's own schedule covers its amount. Stripe shows
/// that it took other money, so nobody settles the payment by it. Until Stripe has told everything that it took, it takes two
/// people to say that the payment was not made.
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

/// Whoever has been shut out is not one of two people any more: what they had said is said anew by the next, and takes another.
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
    disable(&app, "gone@example.com", AtTheMachine("root")).await.unwrap();
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
