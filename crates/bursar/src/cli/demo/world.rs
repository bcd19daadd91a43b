//! The demo's data: companies, partners, rewards in several currencies, thirteen months of payments with typical failures,
//! and an open batch. All of it is created through the same imports and verbs as real data, while the clock is advanced
//! through those months.

use std::fmt::Write as _;
use std::ops::Range;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use payout::transaction::State;

use super::super::{Outcome, operator, words};
use crate::app::App;
use crate::clock;
use crate::ops::batches::view::BatchView;
use crate::ops::batches::{self, Selection};
use crate::ops::import::{self, ToConnect};
use crate::ops::pay::{self, Balances, ConfirmedTotals};
use crate::ops::payees;
use crate::ops::rewards::{self, RewardSelection, Verdict};
use crate::ops::tax::{self, TaxEntry};
use crate::store::batches::PoolFilter;
use crate::store::rewards::{Filter, View};
use crate::store::transactions;
use crate::work::{Work, connect};

const PARTNERS: usize = 40;
const COMPANIES: usize = 8;
/// The number of past months with payments; each has a few more than the previous one.
const MONTHS: usize = 13;
/// The number of recent rewards, only some of them decided.
const PRESENT: usize = 130;
/// The time limit for paying one month of the history.
const PATIENCE: Duration = Duration::from_secs(60);

const DAY_US: i64 = 86_400_000_000;
/// The time between one month's payments and the next month's.
const MONTH_US: i64 = 30 * DAY_US + DAY_US / 2;
/// The age of the latest past payments; one that has not ended counts as stuck by then.
const SINCE_US: i64 = 12 * DAY_US;
/// How long ago the first payments were made.
const FIRST_US: i64 = 12 * MONTH_US + SINCE_US;
/// How long ago the vendors were connected: a day before the first payments, so that no day has both.
pub(super) const AGO_US: i64 = FIRST_US + DAY_US;

/// The failures: month, and the partner's ID, name, vendor and destination.
const MISHAPS: [(usize, &str, &str, &str, &str); 4] = [
    (5, "demo-away-1", "Noor Haddad", "stripe", "acct_sim_paid_then_failed_noor"),
    (9, "demo-away-2", "Piet Visser", "stripe", "acct_sim_denied_piet"),
    (11, "demo-away-3", "Rosa Duarte", "stripe", "acct_sim_closed_rosa"),
    (12, "demo-away-4", "Tomas Brandt", "paypal", "sim-unclaimed-tomas@demo.example"),
];

const FIRST: [&str; 20] = [
    "Amara", "Ben", "Chiara", "Daan", "Elif", "Farid", "Greta", "Hana", "Ivo", "Jonas", "Kaya", "Lucia",
    "Mateo", "Nadia", "Omar", "Petra", "Quinn", "Rafael", "Sofia", "Tariq",
];
const LAST: [&str; 17] = [
    "Adler", "Bianchi", "Costa", "Dubois", "Eriksen", "Fischer", "Garcia", "Horvat", "Ito", "Jansen",
    "Keller", "Lindgren", "Moreau", "Novak", "Okafor", "Park", "Rossi",
];
const FIRMS: [&str; COMPANIES] = [
    "Northwind Resale",
    "Cobalt Systems",
    "Fernhill Partners",
    "Larkspur Digital",
    "Quarry Lane",
    "Saltmarsh Trading",
    "Tidewater Group",
    "Umber Works",
];

/// The name of the partner with this number; all names differ.
fn called(partner: usize) -> String {
    format!("{} {}", FIRST[partner % FIRST.len()], LAST[partner * 3 % LAST.len()])
}

/// The currency of a partner's rewards, and an amount of it that a vendor can pay.
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
            "demo-company-{company:02},{},US,owner@demo.example,stripe,{destination}",
            FIRMS[company - 1]
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
            "demo-partner-{partner:02},demo-company-{company:02},{},\
             partner{partner:02}@demo.example,US,en,{vendor},{destination}",
            called(partner)
        );
    }
    for (_, id, name, vendor, destination) in MISHAPS {
        let _ = writeln!(file, "{id},demo-company-01,{name},{id}@demo.example,DE,en,{vendor},{destination}");
    }
    file
}

const ACTIVITIES: &str = "external_id,program,program_type,name,default_value,default_currency\n\
    demo-deal,Demo Channel,cash,Closed deal,,\n\
    demo-course,Demo Channel,cash,Course passed,150.00,USD\n\
    demo-points,Demo Academy,points,Quiz passed,350,\n";

fn rewards_file(name: &str, which: Range<usize>) -> String {
    let mut file = "external_id,activity,owner,value,currency,payment_type,note\n".to_owned();
    for n in which {
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

pub(super) async fn build(app: &App, work: &Work, behind: &AtomicI64) -> Outcome {
    let actor = operator();
    let (_, to_connect) =
        import::accounts(app, &actor, accounts().as_bytes(), false, None).await.map_err(words)?;
    set_profiles(work, to_connect).await?;
    let (_, to_connect) =
        import::partners(app, &actor, partners().as_bytes(), false, None).await.map_err(words)?;
    set_profiles(work, to_connect).await?;
    import::activities(app, &actor, ACTIVITIES.as_bytes(), false, None).await.map_err(words)?;
    // Past payments are completed at their own time: the clock is advanced where the vendors would take time.
    let mut begun = 0;
    for month in 0..MONTHS {
        behind.store(FIRST_US - MONTH_US * i64::try_from(month).unwrap_or(0), Ordering::SeqCst);
        let next = begun + 5 + month;
        let mut file = rewards_file("past", begun..next);
        for (_, id, ..) in MISHAPS.iter().filter(|(of, ..)| *of == month) {
            let _ = writeln!(file, "past-{id},demo-deal,{id},{}.00,USD,individual,", 260 + 40 * month);
        }
        import_rewards(app, &file).await?;
        approve_pending(app).await?;
        pay_all_eligible(app, work).await?;
        until_settled(app, behind).await?;
        begun = next;
    }
    behind.store(0, Ordering::SeqCst);
    tax_forms(app).await?;
    import_rewards(app, &rewards_file("now", 0..PRESENT)).await?;
    decide_some(app).await?;
    form(app).await.map(|_| ())
}

/// Files some tax forms, one of which expires at the end of this year.
async fn tax_forms(app: &App) -> Outcome {
    let year: i32 = clock::date(app.clock.now()).get(..4).and_then(|year| year.parse().ok()).unwrap_or(2026);
    for (id, form, name, tin, signed) in [
        ("demo-away-3", "w8ben", "Rosa Duarte", None, year - 3),
        ("demo-partner-01", "w9", "Ben Dubois", Some("123-45-6789"), year - 1),
        ("demo-partner-02", "w9", "Chiara Garcia", Some("219-09-9998"), year - 2),
    ] {
        let payee = payees::named(&mut app.store.read().await?, id).await.map_err(words)?;
        let payee = payee.ok_or_else(|| super::Failure(format!("there is no {id}")))?;
        let entry = TaxEntry {
            form: form.to_owned(),
            signed_on: format!("{signed}-03-02"),
            tin: tin.map(str::to_owned),
            name: name.to_owned(),
            certified: None,
        };
        tax::file(app, &operator(), payee, &entry).await.map_err(words)?;
    }
    Ok(())
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
    let which = RewardSelection::All(Box::new(filter), count);
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
        rewards::decide_many(app, &operator(), &RewardSelection::Ids(which), &verdict, None)
            .await
            .map_err(words)?;
    }
    Ok(())
}

/// Adds everything payable to the open draft, or to a new one.
pub(super) async fn form(app: &App) -> Result<BatchView, super::Failure> {
    let choose = Selection::AllEligible(PoolFilter::default());
    batches::form(app, &operator(), &choose, false, None).await.map_err(words)
}

/// Forms a batch of everything payable and pays it.
pub(super) async fn pay_all_eligible(app: &App, work: &Work) -> Result<pay::Paid, super::Failure> {
    let view = form(app).await?;
    let seen = ConfirmedTotals { digest: view.digest.clone(), totals: view.totals.clone() };
    let balances: Balances = crate::work::ask::balances(work).await;
    pay::pay(app, &operator(), view.batch.id, &seen, &balances, None).await.map_err(words)
}

/// Waits until every payment has ended, or waits for its receiver, while slowly advancing the clock.
async fn until_settled(app: &App, behind: &AtomicI64) -> Outcome {
    let waiting = async {
        loop {
            let mut db = app.store.read().await?;
            let all =
                transactions::list(&mut db, &transactions::Filter::default(), i64::from(i32::MAX)).await?;
            drop(db);
            if all.iter().all(|one| one.state.settled() || one.state == State::Unclaimed) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
            behind.fetch_sub(500_000, Ordering::SeqCst);
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| {
        Err(super::Failure("the demonstration's history was not paid in a minute".to_owned()))
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn nobody_is_called_like_somebody_else() {
        let names: BTreeSet<String> = (1..=PARTNERS).map(called).collect();
        assert_eq!(names.len(), PARTNERS);
    }

    #[test]
    fn every_mishap_is_in_a_month_of_the_history() {
        assert!(MISHAPS.iter().all(|(month, ..)| *month < MONTHS));
        assert_eq!(FIRST_US / MONTH_US, 12, "thirteen months were paid, and the fourteenth is this one");
    }
}
