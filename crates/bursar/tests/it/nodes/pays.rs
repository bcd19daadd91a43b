//! Pay concurrent with other changes: another Pay on the same balance, and the removal of a connection. On PostgreSQL both
//! write at once; on SQLite one waits for the other.

use std::sync::Arc;

use bursar::ops::pay::{self, Balances, ConfirmedTotals};
use bursar::ops::{OpsError, batches, vendors};
use bursar::store::step::StepGate;
use payout::eligibility::Code;
use payout::ids::BatchId;
use payout::money::Vendor;
use sqlx::{AnyConnection, Connection as _};

use super::text;
use crate::need;
use crate::scenarios::Stage;
use bursar::work::ask;

async fn stage(name: &str, lines: &[&str]) -> Stage {
    let mut stage = Stage::open(name, 11).await;
    for line in lines {
        stage.one(line).await.unwrap();
    }
    stage
}

const TWO: [&str; 7] = [
    "balance stripe 100.00 USD",
    "partner ana stripe acct_ana",
    "partner bo stripe acct_bo",
    "reward R1 ana 80.00 approved",
    "reward R2 bo 80.00 approved",
    "batch B1 R1",
    "batch B2 R2",
];

async fn shown(stage: &Stage, batch: BatchId) -> ConfirmedTotals {
    let mut db = stage.world.app.store.read().await.unwrap();
    let view = batches::view(&mut db, &batch.to_string(), stage.world.now()).await.unwrap();
    ConfirmedTotals { digest: view.digest, totals: view.totals }
}

async fn pays(
    stage: &Stage,
    batch: BatchId,
    seen: ConfirmedTotals,
    balances: Balances,
) -> Result<(), OpsError> {
    pay::pay(&stage.world.app, &stage.world.actor, batch, &seen, &balances, None).await.map(drop)
}

fn is_low(done: &Result<(), OpsError>) -> bool {
    matches!(done, Err(OpsError::Blocked(why)) if why.iter().any(|one| one.code == Code::VendorBalanceLow))
}

/// Both query the vendor before either pays: one of them is told that the remaining balance is insufficient.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_pays_at_the_same_instant_have_a_balance_once() {
    for round in 0..4 {
        let stage = stage(&format!("pays_at_once_{round}"), &TWO).await;
        let (one, other) = (stage.batch("B1"), stage.batch("B2"));
        let balances = ask::balances(&stage.world.works[0]).await;
        let (seen, seen_too) = (shown(&stage, one).await, shown(&stage, other).await);
        let (first, second) =
            tokio::join!(pays(&stage, one, seen, balances.clone()), pays(&stage, other, seen_too, balances));
        assert!(first.is_ok() != second.is_ok(), "{first:?} {second:?}");
        assert!(is_low(&first) || is_low(&second), "{first:?} {second:?}");
        stage.close(Ok(())).await;
    }
}

/// Money that another Pay has sent since the vendor was queried is not available a second time, although it is no longer
/// reserved.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_left_since_the_vendor_was_asked_is_not_there() {
    let mut stage = stage("pays_after_it_left", &TWO).await;
    let batch = stage.batch("B2");
    let balances = ask::balances(&stage.world.works[0]).await;
    let seen = shown(&stage, batch).await;
    for line in ["pay B1", "live 1 minute", "expect ana success"] {
        stage.one(line).await.unwrap();
    }
    let done = pays(&stage, batch, seen, balances).await;
    assert!(is_low(&done), "{done:?}");
    stage.close(Ok(())).await;
}

/// However the two interleave, either the payout is paid and its vendor stays connected, or the vendor is gone and nothing
/// was paid.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_payment_is_left_without_the_connection_it_was_promised_through() {
    if need::postgres().is_none() {
        return;
    }
    for removes_first in [false, true] {
        for statements in 0..100 {
            let lines = ["partner ana paypal ana@example.com", "reward R1 ana 10.00 approved", "batch B1 R1"];
            let stage = stage(&format!("pay_beside_removal_{removes_first}_{statements}"), &lines).await;
            let batch = stage.batch("B1");
            let (app, actor) = (stage.world.app.clone(), stage.world.actor.clone());
            let seen = shown(&stage, batch).await;
            let walk = Arc::new(StepGate::default());
            walk.allow(statements);
            let (of, by) = (app.clone(), actor.clone());
            let leashed = async move {
                match removes_first {
                    true => vendors::remove(&of, &by, Vendor::PayPal).await,
                    false => pay::pay(&of, &by, batch, &seen, &Balances::default(), None).await.map(drop),
                }
            };
            let mut first = tokio::spawn(Arc::clone(&walk).lead(leashed));
            let ended = tokio::select! {
                biased;
                done = &mut first => Some(done.unwrap()),
                () = walk.stopped() => None,
            };
            if let Some(done) = ended {
                done.unwrap();
                stage.close(Ok(())).await;
                break;
            }
            let seen = shown(&stage, batch).await;
            let other = async move {
                match removes_first {
                    true => pay::pay(&app, &actor, batch, &seen, &Balances::default(), None).await.map(drop),
                    false => vendors::remove(&app, &actor, Vendor::PayPal).await,
                }
            };
            let mut second = tokio::spawn(other);
            let early = tokio::time::timeout(std::time::Duration::from_millis(40), &mut second).await.ok();
            walk.allow(100_000);
            let first = first.await.unwrap();
            let second = match early {
                Some(done) => done.unwrap(),
                None => second.await.unwrap(),
            };
            let of = &stage.world.app.config.database_url;
            let mut database = AnyConnection::connect(of).await.unwrap();
            let sql = "SELECT COUNT(*) || ' ' || (SELECT COUNT(*) FROM vendor_connection WHERE vendor = 'paypal') || ' ' || \
                       COUNT(vendor_account) FROM payout_transaction";
            let is = text(&mut database, sql).await;
            database.close().await.unwrap();
            let what = format!("after {statements}: {first:?}, {second:?}");
            assert!(is == "1 1 1" || is == "0 0 0", "{is} {what}");
            assert!(first.is_ok() != second.is_ok(), "{is} {what}");
            if is == "1 1 1" {
                let mut stage = stage;
                stage.one("live 1 minute").await.unwrap();
                stage.close(Ok(())).await;
            } else {
                stage.close(Ok(())).await;
            }
        }
    }
}
