//! Money that left for no payment of this database, and what Bursar knows of it all the same: after a restore it may be a
//! payment that the page Safe mode lists, and it may be one that people have called not made. What is deliberately not here:
//! holding the vendors' lines against the books.

use payout::ledger::Payee;
use payout::money::Vendor;
use payout::reconciliation::Aspect;

use crate::clock;
use crate::ops::payees;
use crate::store::put_back::{self, Listed};
use crate::store::reconciliation::Case;
use crate::store::reconciliation::fitting::{self, CalledNotMade, Known};
use crate::store::{self, Db};

const DAY_US: i64 = 86_400_000_000;
/// What is told on another day than it was made on: a vendor's report may be of the day before or after.
const APART_US: i64 = 2 * DAY_US;
/// So many of what was found after a restore are held against what left.
const MOST_FOUND: i64 = 10_000;

/// Adds to each case what is known of it.
///
/// # Errors
/// When the database does not answer.
pub async fn add(db: &mut Db, cases: &mut [Case]) -> store::Result<()> {
    let asked = |case: &&mut Case| {
        case.transaction.is_none()
            && case.aspect == Aspect::Money
            && case.moved.minor < 0
            && case.posted.minor == 0
    };
    let days: Vec<i64> =
        cases.iter_mut().filter(asked).filter_map(|case| clock::start_of_date(&case.day)).collect();
    let (Some(first), Some(last)) = (days.iter().min().copied(), days.iter().max().copied()) else {
        return Ok(());
    };
    let found = put_back::list_found(db, MOST_FOUND).await?;
    let called = fitting::called_not_made(db, (first - APART_US, last + APART_US)).await?;
    for case in cases.iter_mut().filter(asked) {
        case.known = match found.iter().find(|one| is_it(one, case)) {
            Some(one) => Some(of_found(db, one, case).await?),
            None => of_called(&called, case),
        };
    }
    Ok(())
}

/// Whether it is the movement of a found payment: by its own id, or where PayPal's report has another id than the item, by
/// amount and day.
fn is_it(one: &Listed, case: &Case) -> bool {
    let one = &one.found;
    let same = one.vendor == case.of.vendor
        && one.amount.currency == case.moved.currency
        && one.amount.minor == -case.moved.minor;
    let near = one.made_at.is_none_or(|at| near(case, at));
    same && (one.object_id == case.subject || (one.vendor == Vendor::PayPal && near))
}

fn near(case: &Case, at: i64) -> bool {
    clock::start_of_date(&case.day).is_some_and(|day| at >= day - DAY_US && at < day + APART_US)
}

async fn of_found(db: &mut Db, listed: &Listed, case: &Case) -> store::Result<Known> {
    let (one, open) = (&listed.found, listed.settled.is_none());
    let payees = payees::called_at(db, one.vendor, &one.destination).await?;
    let names: Vec<&str> = payees.iter().map(|(_, name)| name.as_str()).collect();
    let whom = match names.is_empty() {
        true => one.destination.clone(),
        false => names.join(", "),
    };
    let what = match one.object_id == case.subject {
        true => "This is a payment of Bursar's".to_owned(),
        false => format!("By its amount and day this is a payment of Bursar's ({})", one.object_id),
    };
    let message = format!(
        "{what}, made to {whom} after what is in this database, which was put back from a backup. The page Safe mode lists it, \
         and the books do not count it."
    );
    let (remedy, label) = match open {
        true => (
            "Settle it there, as that page says. Do not have it sent back: the payee was owed it.",
            "Made after the backup",
        ),
        false => (
            "Somebody has settled it there: that page says what was done. Write that down here as well.",
            "Made after the backup, settled",
        ),
    };
    let mut pages = vec![("/safe-mode".to_owned(), "Safe mode".to_owned())];
    pages.extend(payees.into_iter().map(|(payee, name)| {
        let kind = if matches!(payee, Payee::Account(_)) { "accounts" } else { "partners" };
        (format!("/{kind}/{payee}"), name)
    }));
    Ok(Known { label, message, remedy: remedy.to_owned(), alarms: open, pages })
}

fn of_called(called: &[CalledNotMade], case: &Case) -> Option<Known> {
    let fits = |one: &&CalledNotMade| {
        one.vendor == case.of.vendor
            && one.net.currency == case.moved.currency
            && one.net.minor == -case.moved.minor
            && near(case, one.sent_at)
    };
    let labels: Vec<String> = called.iter().filter(fits).map(|one| format!("PT-{:06}", one.number)).collect();
    if labels.is_empty() {
        return None;
    }
    let vendor = case.of.vendor.label();
    let (which, these) =
        (labels.join(", "), if labels.len() == 1 { "That payment" } else { "One of these payments" });
    Some(Known {
        label: "Fits what was called not made",
        message: format!(
            "{vendor} moved just as much as {which} was to pay, about when it was sent, and people here have called that not made. \
             {these} may have been made after all; the books do not count it."
        ),
        remedy: format!(
            "Look for {} at {vendor}. If it is this payment, settle it by hand as made, on the payment's page, before anything \
             else is paid for its rewards.",
            case.subject
        ),
        alarms: true,
        pages: labels.into_iter().map(|label| (format!("/transactions/{label}"), label)).collect(),
    })
}
