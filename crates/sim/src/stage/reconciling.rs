//! Reconciliation in a scenario: reading balance transactions, planted false reports, and the status of a day.

use bursar::clock;
use bursar::ops::reconciliation::{self, DayView};
use bursar::store::reconciliation::Case;
use bursar::store::reconciliation::days::Filter;
use bursar::work::movements;
use payout::money::Vendor;
use simulator::Lie;

use super::Outcome;
use super::cast::{Cast, odd};
use super::vendor::units;
use crate::world::{World, check};

pub async fn line(world: &World, cast: &Cast, first: &str, rest: &[&str]) -> Outcome {
    match (first, rest) {
        ("pull", []) => movements::all(&world.works[0], None).await.map_err(odd),
        ("lie", [who, lie @ ..]) => {
            let transaction = cast.transaction(world, who).await?;
            let vendor = match transaction.terms.vendor {
                Vendor::Stripe => simulator::Vendor::Stripe,
                Vendor::PayPal => simulator::Vendor::PayPal,
            };
            let minor = |value: &str| {
                check::money(value, transaction.terms.net.currency.code()).map(|money| units(vendor, money))
            };
            let lie = match lie {
                ["left-out"] => Some(Lie::LeftOut),
                ["amount", value] => Some(Lie::Amount(minor(value)?)),
                ["fee", value] => Some(Lie::Fee(minor(value)?)),
                ["truth"] => None,
                _ => return Err("which lie?".to_owned()),
            };
            world.simulator.lie_about(&transaction.id.to_string(), lie);
            Ok(())
        }
        ("dashboard-transfer", [who, value]) => {
            let payee = cast.payee(who)?;
            let mut db = world.app.store.read().await.unwrap();
            let profile = bursar::store::payees::profile_of(&mut db, payee).await.unwrap();
            let profile = profile.ok_or(format!("{who} has no profile"))?;
            let minor = units(simulator::Vendor::Stripe, check::money(value, "USD")?);
            match world.simulator.send_in_dashboard(profile.destination.address(), "USD", minor) {
                true => Ok(()),
                false => Err("the balance does not cover it".to_owned()),
            }
        }
        ("day", [vendor, standing]) => day(world, vendor, &clock::date(world.now()), standing).await,
        ("day", [vendor, date, standing]) => day(world, vendor, date, standing).await,
        ("case", [who, expected @ ..]) => {
            let found = open(world, cast, who).await?;
            let found: Vec<&str> = found.iter().map(|case| case.standing.as_str()).collect();
            if found == expected { Ok(()) } else { Err(format!("open are: {}", found.join(" "))) }
        }
        ("explain", [who, why @ ..]) => {
            let tasks = open(world, cast, who).await?;
            let case = tasks.iter().find(|case| case.is_task()).ok_or("there is nothing to explain")?;
            let done = reconciliation::explain(&world.app, &world.actor, &case.id, &why.join(" ")).await;
            done.map(|_| ()).map_err(odd)
        }
        _ => Err("this line cannot be read".to_owned()),
    }
}

async fn views(world: &World) -> Vec<DayView> {
    let mut db = world.app.store.read().await.unwrap();
    reconciliation::list(&mut db, &Filter::default(), None, 10_000).await.unwrap()
}

async fn day(world: &World, vendor: &str, date: &str, standing: &str) -> Outcome {
    let of_it = |view: &&DayView| {
        view.key.of.vendor.as_str() == vendor && view.key.day == date && view.key.currency == "USD"
    };
    let views = views(world).await;
    let view = views.iter().find(of_it).ok_or("there is no such day")?;
    if view.standing().as_str() == standing {
        return Ok(());
    }
    Err(format!("it {}: {:?}, {:?}, {:?}", view.standing().as_str(), view.closed, view.read, view.cases))
}

/// Open, unexplained cases about a payee's newest payment, or about no payment of ours, except daily balances.
async fn open(world: &World, cast: &Cast, who: &str) -> Result<Vec<Case>, String> {
    let about = match who {
        "nobody" => None,
        who => Some(cast.transaction(world, who).await?.id.to_string()),
    };
    let cases = views(world).await.into_iter().flat_map(|view| view.cases);
    let of_it = |case: &Case| {
        let balance = case.aspect == payout::reconciliation::Aspect::Balance;
        case.transaction == about && !balance && case.explained.is_none()
    };
    let mut found: Vec<Case> = cases.filter(of_it).collect();
    found.sort_by_key(|case| case.aspect);
    Ok(found)
}
