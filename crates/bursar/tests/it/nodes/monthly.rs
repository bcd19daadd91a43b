//! Two concurrent Pays for one payee, on PostgreSQL: the first is stopped before each of its statements in turn, and the
//! second runs there. A vendor's monthly fee is deducted from only one of them. Not here: the amount of the fee
//! (`payout::fee`).

use std::sync::Arc;
use std::time::Duration;

use bursar::ops::OpsError;
use bursar::ops::pay::{self, Balances, ConfirmedTotals};
use bursar::store::step::StepGate;
use bursar::store::transactions::{self, Filter};
use payout::ids::BatchId;

use crate::need;
use crate::scenarios::Stage;

/// A Pay that has not finished after this long is waiting for the other.
const WAITS: Duration = Duration::from_millis(40);

async fn play(stage: &mut Stage, line: &str) {
    stage.one(line).await.unwrap();
}

/// What Pay of a batch would commit to, as shown now.
async fn seen(stage: &Stage, batch: BatchId) -> ConfirmedTotals {
    let mut db = stage.world.app.store.read().await.unwrap();
    let view = bursar::ops::batches::view(&mut db, &batch.to_string(), stage.world.now()).await.unwrap();
    ConfirmedTotals { digest: view.digest, totals: view.totals }
}

/// Pays both as shown, stopping the first after some statements; `None` if it had already finished.
async fn both(stage: &Stage, batches: [BatchId; 2], statements: usize) -> Option<[Result<(), OpsError>; 2]> {
    let (app, actor) = (stage.world.app.clone(), stage.world.actor.clone());
    let mut pressed = Vec::new();
    for batch in batches {
        let (app, actor, seen) = (app.clone(), actor.clone(), seen(stage, batch).await);
        pressed.push(async move {
            pay::pay(&app, &actor, batch, &seen, &Balances::default(), None).await.map(|_| ())
        });
    }
    let (second, first) = (pressed.remove(1), pressed.remove(0));
    let walk = Arc::new(StepGate::default());
    walk.allow(statements);
    let mut first = tokio::spawn(Arc::clone(&walk).lead(first));
    tokio::select! {
        biased;
        done = &mut first => {
            done.unwrap().unwrap();
            return None;
        }
        () = walk.stopped() => {}
    }
    let mut second = tokio::spawn(second);
    let early = tokio::time::timeout(WAITS, &mut second).await.ok();
    walk.allow(100_000);
    let first = first.await.unwrap();
    let second = match early {
        Some(done) => done.unwrap(),
        None => second.await.unwrap(),
    };
    Some([first, second])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_pays_at_once_bear_a_month_once() {
    if need::postgres().is_none() {
        return;
    }
    let mut stage = Stage::open("monthly", 17).await;
    play(&mut stage, "settings vendors stripe").await;
    play(&mut stage, "settings fee stripe USD 25 fixed 0.25 monthly 2.00").await;
    for bearer in ["company", "partner"] {
        play(&mut stage, &format!("settings fees {bearer}")).await;
        for statements in 0..100 {
            let who = format!("{bearer}{statements}");
            play(&mut stage, &format!("partner {who} stripe acct_{who}")).await;
            for half in ["a", "b"] {
                play(&mut stage, &format!("reward R{half}{who} {who} 100.00 approved")).await;
                play(&mut stage, &format!("batch B{half}{who} R{half}{who}")).await;
            }
            let batches = ["a", "b"].map(|half| stage.batch(&format!("B{half}{who}")));
            let Some(ends) = both(&stage, batches, statements).await else { break };
            let done = ends.iter().filter(|end| end.is_ok()).count();
            for end in ends.iter().filter_map(|end| end.as_ref().err()) {
                assert!(matches!(end, OpsError::Conflict(why) if why.code == "batch_changed"), "{end:?}");
            }
            let mut db = stage.world.app.store.read().await.unwrap();
            let payees = Some(vec![stage.payee(&who).to_string()]);
            let found =
                transactions::list(&mut db, &Filter { payees, ..Filter::default() }, 9).await.unwrap();
            let fees: i64 = found.iter().map(|one| one.fee.minor).sum();
            let once = if done == 2 { 300 } else { 250 };
            assert_eq!((found.len(), fees), (done, once), "{bearer} after {statements} statements: {ends:?}");
            assert_eq!(done, if bearer == "company" { 2 } else { 1 }, "{statements}: {ends:?}");
        }
    }
    stage.one("live 1 minute").await.unwrap();
    stage.close(Ok(())).await;
}
