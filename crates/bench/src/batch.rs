//! Forming a large batch and pressing Pay, compared with reading the same rewards once; also creates the payees and
//! rewards for it.

use std::fmt::Write as _;

use bursar::ops::batches;
use bursar::ops::batches::Selection;
use bursar::ops::batches::view::BatchView;
use bursar::ops::import;
use bursar::ops::pay::{self, Balances, ConfirmedTotals};
use bursar::ops::rewards::{self, RewardSelection, Verdict};
use bursar::store;
use bursar::store::batches::{CandidateSource, PoolFilter};
use bursar::store::payees::Profile;
use bursar::store::rewards::{Filter, View};
use payout::ledger::Payee;
use payout::money::Vendor;
use payout::payee::Destination;

use crate::report::{self, Row};
use crate::send::Through;
use crate::world::{World, failed};
use crate::{Failure, Sizes, meter};

/// The payees by index: even ones are paid through Stripe.
pub struct People(usize);

const COMPANIES: usize = 100;

const ACTIVITIES: &str = "external_id,program,program_type,name,default_value,default_currency\n\
    bench-deal,Bench,cash,Closed deal,,\n";

/// Creates companies, payees and payout profiles. Not measured.
pub async fn people(world: &World, sizes: Sizes) -> Result<People, Failure> {
    let (mut accounts, mut partners) = (
        "external_id,name,country,owner_email\n".to_owned(),
        "external_id,account,name,email,country,language,vendor,destination\n".to_owned(),
    );
    for company in 0..COMPANIES {
        writeln!(accounts, "company-{company:03},Company {company:03},US,owner@bench.example")?;
    }
    for place in 0..sizes.payees {
        let company = place % COMPANIES;
        let mail = format!("partner{place:05}@bench.example");
        let destination = match place % 2 {
            0 => format!("stripe,acct_bench{place:05}"),
            _ => format!("paypal,{mail}"),
        };
        writeln!(
            partners,
            "partner-{place:05},company-{company:03},Partner {place:05},{mail},US,en,{destination}"
        )?;
    }
    let (app, actor) = (&world.app, &world.actor);
    import::activities(app, actor, ACTIVITIES.as_bytes(), false, None).await.map_err(failed)?;
    import::accounts(app, actor, accounts.as_bytes(), false, None).await.map_err(failed)?;
    let (_, destinations) =
        import::partners(app, actor, partners.as_bytes(), false, None).await.map_err(failed)?;
    let profiles = destinations.into_iter().map(|one| (one.payee, one.destination));
    set_profiles(world, profiles).await?;
    Ok(People(sizes.payees))
}

/// Sets all profiles in one database transaction, without a vendor request for each.
async fn set_profiles(
    world: &World,
    profiles: impl Iterator<Item = (Payee, Destination)>,
) -> Result<(), Failure> {
    let now = world.app.clock.now();
    let mut tx = world.app.store.begin().await?;
    for (payee, destination) in profiles {
        let profile = Profile {
            payee,
            destination,
            payable_at: Some(now),
            not_payable_why: None,
            currencies: None,
            set_at: now,
            changed_at: None,
            checked_at: Some(now),
            shared: false,
        };
        store::payees::put_profile(&mut tx, &profile).await?;
    }
    Ok(tx.commit().await?)
}

/// Imports and approves rewards for these payees; prints how long each step took.
async fn rewards_for(
    world: &World,
    name: &str,
    payees: impl Iterator<Item = usize> + Clone,
    count: usize,
) -> Result<(), Failure> {
    let mut file = "external_id,activity,owner,value,currency,payment_type,note\n".to_owned();
    for (number, place) in (0..count).zip(payees.cycle()) {
        let (whole, cents) = (5 + number % 40, number % 100);
        writeln!(
            file,
            "{name}-{number:06},bench-deal,partner-{place:05},{whole}.{cents:02},USD,individual,"
        )?;
    }
    let (app, actor) = (&world.app, &world.actor);
    let began = meter::now_us();
    let report = import::rewards(app, actor, file.as_bytes(), false, None).await.map_err(failed)?;
    let imported = meter::now_us();
    let seen = i64::try_from(report.accepted)?;
    let which = RewardSelection::All(Box::new(Filter { view: View::Pending, ..Filter::default() }), seen);
    let done = rewards::decide_many(app, actor, &which, &Verdict::Approve, None).await.map_err(failed)?;
    if done.done.len() != count {
        return Err(format!("{} of {count} rewards were approved", done.done.len()).into());
    }
    report::aside(&format!(
        "beforehand: {count} rewards imported in {}, approved in {}",
        report::seconds(imported - began),
        report::seconds(meter::now_us() - imported)
    ));
    Ok(())
}

pub async fn measure(world: &World, people: &People, sizes: Sizes) -> Result<(), Failure> {
    rewards_for(world, "large", 0..people.0, sizes.rewards).await?;
    let meter = world.meter();
    let mut db = world.app.store.read().await?;
    let read =
        store::batches::candidates(&mut db, CandidateSource::Pool(&PoolFilter::default())).await?.len();
    drop(db);
    let floor = meter.stop(read, Vec::new());
    report::row(&Row { name: "reading the rewards once", measured: &floor, floor: None, step: "" });

    let meter = world.meter();
    let view = form(world).await?;
    let formed = meter.stop(read, Vec::new());
    let name = format!("forming a batch, {} payees", view.claims.len());
    report::row(&Row { name: &name, measured: &formed, floor: Some(&floor), step: "" });
    report::bound(&formed, &format!("it took {}", report::seconds(formed.wall_us)));

    let meter = world.meter();
    let transactions = pay(world, &view).await?;
    let paid = meter.stop(read, Vec::new());
    let name = format!("Pay of it, {transactions} payments");
    report::row(&Row { name: &name, measured: &paid, floor: Some(&floor), step: "" });
    report::bound(&paid, &format!("it took {}", report::seconds(paid.wall_us)));
    Ok(())
}

async fn form(world: &World) -> Result<BatchView, Failure> {
    let choose = Selection::AllEligible(PoolFilter::default());
    batches::form(&world.app, &world.actor, &choose, false, None).await.map_err(failed)
}

async fn pay(world: &World, view: &BatchView) -> Result<usize, Failure> {
    let seen = ConfirmedTotals { digest: view.digest.clone(), totals: view.totals.clone() };
    let balances = Balances::default();
    let paid = pay::pay(&world.app, &world.actor, view.batch.id, &seen, &balances, None).await;
    Ok(paid.map_err(failed)?.transactions)
}

/// Gives every payee of one vendor a reward and presses Pay; returns the number of payments. Not measured.
pub async fn pay_each(world: &World, people: &People, through: Through) -> Result<usize, Failure> {
    let first = match through.only() {
        Some(Vendor::PayPal) => 1,
        Some(Vendor::Stripe) | None => 0,
    };
    let payees = (first..people.0).step_by(2);
    let count = payees.clone().count();
    rewards_for(world, through.label(), payees, count).await?;
    let view = form(world).await?;
    pay(world, &view).await
}
