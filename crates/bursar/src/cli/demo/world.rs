//! The demo's data: companies, partners, rewards in several currencies, a history that was actually paid, and an open
//! batch. All of it goes through the same imports and verbs as real data.

use std::fmt::Write as _;
use std::time::Duration;

use super::super::{Outcome, operator, words};
use crate::app::App;
use crate::ops::batches::view::BatchView;
use crate::ops::batches::{self, Choose};
use crate::ops::import::{self, ToConnect};
use crate::ops::pay::{self, Balances, Seen};
use crate::ops::rewards::{self, Verdict, Which};
use crate::store::batches::PoolFilter;
use crate::store::rewards::{Filter, View};
use crate::store::transactions;
use crate::work::{Work, connect};

const PARTNERS: usize = 40;
const COMPANIES: usize = 8;
/// The number of past rewards, all paid, and of current ones, some of them decided.
const HISTORY: usize = 90;
const PRESENT: usize = 130;
/// The time limit for paying the history.
const PATIENCE: Duration = Duration::from_secs(60);

/// A partner's currency, and an amount that a vendor can pay in it.
fn value(partner: usize, n: usize) -> (String, &'static str) {
    let cents = (n * 37 + partner * 11) % 100;
    let whole = 40 + (n * 53 + partner * 17) % 900;
    match partner % 8 {
        0 | 1 | 4 => (format!("{whole}.{cents:02}"), "USD"),
        2 | 3 | 5 => (format!("{whole}.{cents:02}"), "EUR"),
        6 => (format!("{}", whole * 100), "JPY"),
        _ => (format!("{whole}.{cents:02}"), "GBP"),
    }
}

fn accounts() -> String {
    let mut file = "external_id,name,country,owner_email,vendor,destination\n".to_owned();
    for company in 1..=COMPANIES {
        let destination = format!("acct_demo_company_{company:02}");
        // Writing to a String cannot fail.
        let _ = writeln!(
            file,
            "demo-company-{company:02},Demo Company {company:02},US,owner@demo.example,stripe,{destination}"
        );
    }
    file
}

fn partners() -> String {
    let mut file = "external_id,account,name,email,country,language,vendor,destination\n".to_owned();
    for partner in 1..=PARTNERS {
        let company = partner % COMPANIES + 1;
        let (vendor, destination) = match partner % 10 {
            // One in ten has no payout method yet.
            9 => ("", String::new()),
            even if even % 2 == 0 => ("stripe", format!("acct_demo_{partner:02}")),
            _ => ("paypal", format!("partner{partner:02}@demo.example")),
        };
        let _ = writeln!(
            file,
            "demo-partner-{partner:02},demo-company-{company:02},Demo Partner {partner:02},\
             partner{partner:02}@demo.example,US,en,{vendor},{destination}"
        );
    }
    file
}

const ACTIVITIES: &str = "external_id,program,program_type,name,default_value,default_currency\n\
    demo-deal,Demo Channel,cash,Closed deal,,\n\
    demo-course,Demo Channel,cash,Course passed,150.00,USD\n\
    demo-points,Demo Academy,points,Quiz passed,350,\n";

fn rewards_file(name: &str, count: usize) -> String {
    let mut file = "external_id,activity,owner,value,currency,payment_type,note\n".to_owned();
    for n in 0..count {
        let partner = n * 7 % PARTNERS + 1;
        let (amount, currency) = value(partner, n);
        let kind = if n % 9 == 4 { "organization" } else { "individual" };
        let _ = match n % 15 {
            14 => writeln!(file, "{name}-{n:03},demo-points,demo-partner-{partner:02},,,,"),
            _ => writeln!(
                file,
                "{name}-{n:03},demo-deal,demo-partner-{partner:02},{amount},{currency},{kind},"
            ),
        };
    }
    file
}

pub(super) async fn build(app: &App, work: &Work) -> Outcome {
    let actor = operator();
    let (_, to_connect) =
        import::accounts(app, &actor, accounts().as_bytes(), false, None).await.map_err(words)?;
    set_profiles(work, to_connect).await?;
    let (_, to_connect) =
        import::partners(app, &actor, partners().as_bytes(), false, None).await.map_err(words)?;
    set_profiles(work, to_connect).await?;
    import::activities(app, &actor, ACTIVITIES.as_bytes(), false, None).await.map_err(words)?;
    import_rewards(app, &rewards_file("past", HISTORY)).await?;
    approve_pending(app).await?;
    pay_all_eligible(app, work).await?;
    until_settled(app).await?;
    import_rewards(app, &rewards_file("now", PRESENT)).await?;
    decide_some(app).await?;
    form(app).await.map(|_| ())
}

pub(super) async fn set_profiles(work: &Work, to_connect: Vec<ToConnect>) -> Outcome {
    for one in to_connect {
        connect::set_profile(work, &operator(), one.payee, one.destination).await.map_err(words)?;
    }
    Ok(())
}

pub(super) async fn import_rewards(app: &App, file: &str) -> Result<u64, super::Failure> {
    let report = import::rewards(app, &operator(), file.as_bytes(), false, None).await.map_err(words)?;
    Ok(report.accepted)
}

async fn pending(app: &App) -> Result<(Filter, i64), super::Failure> {
    let filter = Filter { view: View::Pending, ..Filter::default() };
    let mut db = app.store.read().await?;
    let count = crate::store::rewards::count(&mut db, &filter, app.clock.now()).await?;
    Ok((filter, count))
}

/// Approves everything that is pending; returns how many.
pub(super) async fn approve_pending(app: &App) -> Result<usize, super::Failure> {
    let (filter, count) = pending(app).await?;
    let which = Which::All(Box::new(filter), count);
    let done =
        rewards::decide_many(app, &operator(), &which, &Verdict::Approve, None).await.map_err(words)?;
    Ok(done.done.len())
}

/// Puts something into every list: approved, rejected, pending.
async fn decide_some(app: &App) -> Outcome {
    let (filter, _) = pending(app).await?;
    let mut db = app.store.read().await?;
    let briefs = crate::store::rewards::briefs_of(&mut db, &filter, app.clock.now()).await?;
    drop(db);
    let ids: Vec<_> = briefs.readable.iter().map(|brief| brief.id).collect();
    let pick = |wanted: fn(usize) -> bool| {
        ids.iter().enumerate().filter(move |(at, _)| wanted(*at)).map(|(_, id)| *id).collect()
    };
    let rejected =
        Verdict::Reject { reason: "The deal was not closed in this quarter.".to_owned(), shown: true };
    for (which, verdict) in [
        (pick(|at| at % 2 == 0), Verdict::Approve),
        (pick(|at| at % 16 == 1), rejected),
        (pick(|at| at % 16 == 3), Verdict::Review),
    ] {
        rewards::decide_many(app, &operator(), &Which::Ids(which), &verdict, None).await.map_err(words)?;
    }
    Ok(())
}

/// Adds everything payable to the open draft, or to a new one.
pub(super) async fn form(app: &App) -> Result<BatchView, super::Failure> {
    let choose = Choose::AllEligible(PoolFilter::default());
    batches::form(app, &operator(), &choose, false, None).await.map_err(words)
}

/// Forms a batch of everything payable and pays it.
pub(super) async fn pay_all_eligible(app: &App, work: &Work) -> Result<pay::Paid, super::Failure> {
    let view = form(app).await?;
    let seen = Seen { digest: view.digest.clone(), totals: view.totals.clone() };
    let balances: Balances = crate::work::ask::balances(work).await;
    pay::pay(app, &operator(), view.batch.id, &seen, &balances, None).await.map_err(words)
}

async fn until_settled(app: &App) -> Outcome {
    let waiting = async {
        loop {
            let mut db = app.store.read().await?;
            let all =
                transactions::list(&mut db, &transactions::Filter::default(), i64::from(i32::MAX)).await?;
            drop(db);
            if all.iter().all(|one| one.state.settled()) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| {
        Err(super::Failure("the demonstration's history was not paid in a minute".to_owned()))
    })
}
