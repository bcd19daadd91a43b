//! The reward list with a million rewards: the first page, a deep one, every view, every single filter, every sort and
//! a search by number, each as the page people open, compared with serving a static file.

use std::sync::Arc;

use bursar::ops::people::{self, Browser, NewPerson, SignInProgress};
use bursar::web::kit::form::encode_cursor;
use payout::access::Role;

use crate::load::{self, Load};
use crate::meter::Measured;
use crate::report::{self, Row};
use crate::world::{World, failed};
use crate::{Failure, Sizes, Threads, seed};

const CONNECTIONS: usize = 16;
const PASSWORD: &str = "a long enough password";

/// Fills the world and measures every list.
pub async fn measure(world: &World, threads: &Threads, sizes: Sizes) -> Result<(), Failure> {
    seed::fill(&world.url, sizes.listed).await?;
    let cookie = sign_in(world).await?;
    let floor = drive(world, threads, &cookie, "/assets/app.css", sizes).await?;
    report::row(&Row { name: "a static file", measured: &floor, floor: None, step: "request" });
    let mut slowest = 0;
    for (name, path) in cases(sizes.listed) {
        let measured = drive(world, threads, &cookie, &path, sizes).await?;
        report::row(&Row { name: &name, measured: &measured, floor: Some(&floor), step: "request" });
        slowest = slowest.max(measured.percentile_us(99));
    }
    report::aside(&format!("the slowest list: p99 {} µs at {CONNECTIONS} connections", slowest));
    Ok(())
}

async fn sign_in(world: &World) -> Result<String, Failure> {
    let new = NewPerson {
        email: "lists@bench.example".to_owned(),
        name: "Lists".to_owned(),
        role: Role::Admin,
        partner: None,
        password: Some(PASSWORD.to_owned()),
    };
    people::add(&world.app, &new).await.map_err(failed)?;
    let entered = people::sign_in(&world.app, &new.email, PASSWORD, &Browser::default()).await;
    let Some(SignInProgress::In(token)) = entered.map_err(failed)? else {
        return Err("nobody was let in".into());
    };
    Ok(format!("{}={token}", bursar::web::kit::session::COOKIE))
}

async fn drive(
    world: &World,
    threads: &Threads,
    cookie: &str,
    path: &str,
    sizes: Sizes,
) -> Result<Measured, Failure> {
    let request = load::request("GET", path, &[("cookie", cookie)], b"");
    let load = |many: usize| Arc::new(vec![request.clone(); many]);
    // Warm up, so that the measurement does not include reading an index from disk for the first time.
    let warm = Load::open(threads.client.handle(), world.web_at, 2).await?;
    warm.drive(&load(4)).await.map_err(|failure| format!("{path}: {failure}"))?;
    let open = Load::open(threads.client.handle(), world.web_at, CONNECTIONS).await?;
    let meter = world.meter();
    let took = open.drive(&load(sizes.requests)).await?;
    Ok(meter.stop(sizes.requests, took))
}

fn cases(rewards: usize) -> Vec<(String, String)> {
    let middle = rewards / 2;
    let after = encode_cursor(&[&seed::created_at(middle, rewards).to_string(), &seed::id("rwd", middle)]);
    let views = ["pending", "all", "eligible", "not_eligible", "in_payout", "paid", "rejected", "expiring"];
    let filters = [
        "owner=partner-77",
        "owner=Partner+77",
        "account=company-7",
        "program=program-3",
        "activity=activity-5",
        "type=cash",
        "type=points",
        "payment_type=individual",
        "payment_type=organization",
        "currency=USD",
        "currency=JPY",
        "currency=USD&value_min=100.00&value_max=1500.00",
        "currency=USD&value_min=77.77&value_max=77.78",
        "status=void",
        "status=approved",
        "status=expired",
        "status=rejected&status=paid",
        "created_from=2024-06-01&created_to=2024-06-03",
        "expires_from=2025-06-01&expires_to=2025-06-03",
        "decided_from=2024-06-01&decided_to=2024-06-03",
        "batch=PB-2025-20",
    ];
    let sorts = ["number", "-number", "value", "-value", "created_at"];
    let mut cases = vec![
        ("the first page".to_owned(), "/rewards".to_owned()),
        (format!("a page {middle} rewards deep"), format!("/rewards?view=all&after={after}")),
        ("search by number".to_owned(), format!("/rewards?view=all&q=RW-{middle:06}")),
        ("search by external id".to_owned(), format!("/rewards?view=all&q=deal-{middle}")),
        ("one reward".to_owned(), format!("/rewards/RW-{middle:06}")),
    ];
    cases.extend(views.map(|view| (format!("view {view}"), format!("/rewards?view={view}"))));
    cases.extend(filters.map(|filter| (format!("all, {filter}"), format!("/rewards?view=all&{filter}"))));
    cases.extend(sorts.map(|sort| (format!("all, by {sort}"), format!("/rewards?view=all&sort={sort}"))));
    cases.extend(sorts.map(|sort| (format!("pending, by {sort}"), format!("/rewards?sort={sort}"))));
    let pending = ["owner=partner-77", "program=program-3", "currency=JPY", "type=points"];
    cases.extend(pending.map(|filter| (format!("pending, {filter}"), format!("/rewards?{filter}"))));
    cases
}
