//! A payment that was paid twice before anybody could know: the first was called not made, its reward was paid again, and only
//! then does the vendor tell of the first one. What holds for every scenario cannot hold here, because the money has left twice;
//! so the books and the payee's next claim are looked at one by one.

use bursar::ops::record::{self, Heard};
use bursar::store::transactions;
use bursar::transact;
use payout::transaction::{Fact, Reason};

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

/// The payment itself was sent again, and its first attempt turns out to have paid too. The vendor tells of it twice, and
/// somebody settles it twice: it is counted once.
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
resubmit  ana
live      1 minute
expect    ana    success
webhook   ana    succeeded of 1
tick      intake
later     30 seconds
tick      settle
why       ana    payment_contradicted
settle    ana    made
books     payable(ana) 20.00   in_flight 0.00
webhook   ana    succeeded of 1
tick      intake
later     30 seconds
tick      settle
try       settle ana made
why       ana
live      1 minute
books     payable(ana) 20.00   in_flight 0.00   vendor_balance -40.80   vendor_fees 0.80
";

/// Settled as made while nobody had claimed it; then PayPal fails it: what had failed here before fails once more.
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
    stage.close(played).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_corrected_can_fail_again() {
    let mut stage = Stage::open("fails_again", 1).await;
    let mut played = play(&mut stage, FAILS_AGAIN).await;
    if played.is_ok() {
        fail_at_vendor(&stage).await;
        played = play(&mut stage, "expect ana failed\nbooks payable(ana) -20.00   in_flight 0.00").await;
    }
    stage.close(played).await;
}

/// Records that PayPal has failed the only payment, as its poll would.
async fn fail_at_vendor(stage: &Stage) {
    let app = &stage.world.app;
    let mut db = app.store.read().await.unwrap();
    let all = transactions::list(&mut db, &transactions::Filter::default(), 10).await.unwrap();
    drop(db);
    let ids: Vec<_> = all.into_iter().map(|one| one.id).collect();
    let done: bursar::ops::Result<()> = transact!(app, |tx| {
        for attempt in transactions::attempts(tx, &ids).await? {
            let heard = Heard {
                transaction: attempt.transaction,
                attempt: attempt.id,
                fact: Fact::ItemFailed(Reason::new("RECEIVER_ACCOUNT_LOCKED", "locked")),
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

async fn play(stage: &mut Stage, story: &str) -> Result<(), String> {
    for line in story.lines().filter(|line| !line.trim().is_empty()) {
        stage.one(line).await.map_err(|told| format!("{line}: {told}"))?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_paid_twice_is_taken_off_the_next_claim() {
    let mut stage = Stage::open("paid_twice", 1).await;
    let played = play(&mut stage, STORY).await;
    stage.close(played).await;
}
