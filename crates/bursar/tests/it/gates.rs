//! The gates as an operator meets them: limits that hold however many press Pay at once, and words that are the same on
//! every face.

use bursar::app::Actor;
use bursar::ops::batches::{self, Choose};
use bursar::ops::pay::{self, Balances, Seen};
use bursar::ops::settings::Document;
use bursar::ops::{OpsError, limits};
use bursar::store::batches::PoolFilter;
use payout::eligibility::Code;
use payout::ids::{BatchId, RewardId};
use payout::money::{Currency, Money};
use serde_json::json;

use crate::scenarios::Stage;
use crate::world::World;

const CROWD: usize = 50;

/// Fifty payouts of 10 USD, a payee each.
async fn fifty(stage: &mut Stage) -> Vec<(BatchId, Seen)> {
    stage.play("fifty", &format!("crowd {CROWD} paypal 10.00")).await.unwrap();
    let (app, actor) = (&stage.world.app, &stage.world.actor);
    let mut db = app.store.read().await.unwrap();
    let (open, _) = batches::pool_blockers(&mut db, &PoolFilter::default(), app.clock.now()).await.unwrap();
    drop(db);
    let mut formed = Vec::new();
    for reward in open {
        let one: Vec<RewardId> = vec![reward.id];
        let view = batches::form(app, actor, &Choose::Named(one), true, None).await.unwrap();
        formed.push((view.batch.id, Seen { digest: view.digest, totals: view.totals }));
    }
    formed
}

/// Presses Pay for all of them at once; how many were paid.
async fn race(world: &World, batches: Vec<(BatchId, Seen)>, who: &[&Actor]) -> usize {
    let mut pressing = tokio::task::JoinSet::new();
    for (place, (id, seen)) in batches.into_iter().enumerate() {
        let (app, actor) = (world.app.clone(), who[place % who.len()].clone());
        pressing.spawn(async move { pay::pay(&app, &actor, id, &seen, &Balances::default(), None).await });
    }
    let mut paid = 0;
    while let Some(done) = pressing.join_next().await {
        match done.unwrap() {
            Ok(_) => paid += 1,
            Err(OpsError::Blocked(blockers)) => {
                assert!(blockers.iter().all(|one| one.code == Code::OverLimit), "{blockers:?}");
            }
            Err(error) => panic!("{error:?}"),
        }
    }
    paid
}

/// What was paid today, after which another cent would be too much.
async fn spent_today(world: &World) -> i64 {
    let (usd, now) = (Currency::parse("USD").unwrap(), world.now());
    let mut db = world.app.store.read().await.unwrap();
    let counter = format!("paid:{}:{usd}", bursar::clock::date(now));
    let counted = bursar::store::counted(&mut db, &counter).await.unwrap();
    let rules = bursar::ops::settings::load(&mut db).await.unwrap();
    let cent = [Money::new(1, usd)];
    let closed = limits::closed(&mut db, &rules, BatchId::fresh(0, 1), &cent, None, now).await.unwrap();
    assert_eq!(closed.len(), 1, "another cent is over the limit");
    counted
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn fifty_pays_at_once_stay_within_the_day() {
    let mut stage = Stage::open("gates_day", 1).await;
    let batches = fifty(&mut stage).await;
    let limit = json!({"per_day": [{"value": "230.00", "currency": "USD"}]});
    stage.world.set(move |it| Document { limits: limit.clone(), ..it }).await;
    let world = &stage.world;
    assert_eq!(race(world, batches, &[&world.actor, &world.other]).await, 23);
    assert_eq!(spent_today(world).await, 23_000);
    stage.close(Ok(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_one_person_may_pay_leaves_the_other_his_own() {
    let mut stage = Stage::open("gates_person", 2).await;
    let batches = fifty(&mut stage).await;
    let limit = json!({"per_person_per_day": [{"value": "70.00", "currency": "USD"}]});
    stage.world.set(move |it| Document { limits: limit.clone(), ..it }).await;
    let world = &stage.world;
    assert_eq!(race(world, batches, &[&world.actor, &world.other]).await, 14);
    stage.close(Ok(())).await;
}
