//! From a vendor's event to a settled payment: the event stored and linked, the vendor asked, its answer recorded.

use std::sync::Arc;

use bursar::store::events;
use bursar::store::transactions::{self, Filter};
use bursar::work::{intake, settle};
use payout::money;
use payout::transaction::State;
use simulator::{Delivery, Vendor};

use crate::load::{self, Load};
use crate::meter::{self, Measured};
use crate::report::{self, Row};
use crate::world::{World, failed};
use crate::{Failure, Sizes, Threads};

/// As many concurrent vendor requests as the program makes.
const CONNECTIONS: usize = 16;
/// The number of connections that deliver events.
const DELIVERING: usize = 64;

/// Measures storing and applying the events of all sent payments.
pub async fn measure(world: &World, threads: &Threads, sizes: Sizes) -> Result<(), Failure> {
    world.let_payments_arrive();
    let deliveries = world.simulator.due_webhooks(world.vendors_now());
    let floor = ask(world, threads, &deliveries).await?;
    report::row(&Row {
        name: "bare questions about the payments",
        measured: &floor,
        floor: None,
        step: "GET",
    });

    let requests = deliveries.iter().map(|delivery| post(world, delivery)).collect();
    let load = Load::open(threads.client.handle(), world.web_at, DELIVERING).await?;
    let meter = world.meter();
    let took = load.drive(&Arc::new(requests)).await?;
    let stored = meter.stop(deliveries.len(), took);
    report::row(&Row { name: "storing their events", measured: &stored, floor: None, step: "request" });
    for delivery in &deliveries {
        world.simulator.delivered(delivery.id, 200, world.vendors_now());
    }
    drain(world, &floor, deliveries.len(), sizes.payees).await
}

async fn drain(world: &World, floor: &Measured, events: usize, payments: usize) -> Result<(), Failure> {
    let meter = world.meter();
    let (mut linking, mut asking) = (Vec::new(), Vec::new());
    loop {
        let began = meter::now_us();
        let linked = intake::once(&world.work, world.app.clock.now()).await.map_err(failed)?;
        linking.push(meter::now_us() - began);
        if linked == 0 {
            break;
        }
    }
    while backlog(world).await? > 0 {
        let began = meter::now_us();
        let (work, now) = (&world.work, world.app.clock.now());
        let (stripe, paypal) =
            (settle::once(work, money::Vendor::Stripe, now), settle::once(work, money::Vendor::PayPal, now));
        tokio::try_join!(stripe, paypal).map_err(failed)?;
        asking.push(meter::now_us() - began);
    }
    let (linked_us, asked_us): (u64, u64) = (linking.iter().sum(), asking.iter().sum());
    let drained = meter.stop(events, linking.into_iter().chain(asking).collect());
    let settled = settled(world).await?;
    if settled != payments {
        return Err(format!("{settled} of {payments} payments are settled").into());
    }
    let name = format!("applying them, {payments} payments settled");
    report::row(&Row { name: &name, measured: &drained, floor: Some(floor), step: "pass" });
    let stages = format!(
        "linking took {}, asking and recording {}",
        report::seconds(linked_us),
        report::seconds(asked_us)
    );
    report::bound(&drained, &stages);
    Ok(())
}

/// The number of events stored but not applied.
async fn backlog(world: &World) -> Result<i64, Failure> {
    let mut db = world.app.store.read().await?;
    let (new, linked, _) = events::backlog(&mut db).await?;
    Ok(new + linked)
}

async fn settled(world: &World) -> Result<usize, Failure> {
    let filter = Filter { states: Some(vec![State::Success]), ..Filter::default() };
    let mut db = world.app.store.read().await?;
    Ok(transactions::list(&mut db, &filter, i64::from(i32::MAX)).await?.len())
}

fn post(world: &World, delivery: &Delivery) -> Vec<u8> {
    let path = delivery.url.strip_prefix(&world.app.base_url).unwrap_or(&delivery.url);
    let headers: Vec<(&str, &str)> =
        delivery.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    load::request("POST", path, &headers, &delivery.body)
}

/// Asks about every Stripe payout once, as the program must; PayPal is asked about a thousand items at a time, which
/// costs almost nothing.
async fn ask(world: &World, threads: &Threads, deliveries: &[Delivery]) -> Result<Measured, Failure> {
    let books = world.simulator.books();
    let requests = books.payouts.iter().map(|payout| {
        let account = payout.account.as_deref().unwrap_or("");
        let headers = [("authorization", "Bearer sk_test_sim"), ("stripe-account", account)];
        load::request("GET", &format!("/v1/payouts/{}", payout.id), &headers, b"")
    });
    let requests = Arc::new(requests.collect::<Vec<_>>());
    let about = deliveries.iter().filter(|delivery| delivery.vendor == Vendor::Stripe).count();
    report::aside(&format!("{} events, {about} of them Stripe's", deliveries.len()));
    let load = Load::open(threads.client.handle(), world.vendors_at, CONNECTIONS).await?;
    let meter = world.meter();
    let took = load.drive(&requests).await?;
    Ok(meter.stop(deliveries.len(), took))
}
