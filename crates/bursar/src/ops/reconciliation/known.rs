//! Money that left for no payment of this database, and what is known about it anyway: after a restore it may be a
//! payment listed on the Safe mode page, or one that people have marked as not made. Not here: comparing the vendors'
//! movements with the books.

use std::collections::{HashMap, HashSet};

use payout::ledger::Payee;
use payout::money::Vendor;
use payout::reconciliation::{Aspect, Standing};

use crate::clock;
use crate::store::put_back::{self, Found, FoundRow};
use crate::store::reconciliation::fitting::{self, CalledNotMade, Known};
use crate::store::reconciliation::{self as kept, Case};
use crate::store::{self, Db, found, payees};

const DAY_US: i64 = 86_400_000_000;
/// A report may be dated a day before or after the payment.
const APART_US: i64 = 2 * DAY_US;
/// A found payment is at most this old when it is found: PayPal reports no older ones.
const BEFORE_FOUND_US: i64 = 32 * DAY_US;
/// The most found payments that are compared with movements.
const MOST_FOUND: i64 = 10_000;

/// Adds to each case what is known about it.
pub async fn add(db: &mut Db, cases: &mut [Case]) -> store::Result<()> {
    let asked = |case: &&mut Case| is_asked(case);
    let days: Vec<i64> =
        cases.iter_mut().filter(asked).filter_map(|case| clock::start_of_date(&case.day)).collect();
    let (Some(first), Some(last)) = (days.iter().min().copied(), days.iter().max().copied()) else {
        return Ok(());
    };
    let found = put_back::list_found(db, MOST_FOUND).await?;
    let never_put_back = found.is_empty() && put_back::progress(db).await?.epoch == 0;
    let perhaps = perhaps(db, &found).await?;
    let called = fitting::called_not_made(db, (first - APART_US, last + APART_US)).await?;
    for case in cases.iter_mut().filter(asked) {
        let sure = found.iter().find(|one| is_it(one, case));
        let guess = perhaps.get(&case.subject).map(|place| &found[*place]);
        case.known = match (sure, guess) {
            (Some(one), _) => Some(of_found(db, one, case).await?),
            (None, Some(one)) => Some(of_guess(db, &found, one, case).await?),
            (None, None) if called.is_empty() && never_put_back => of_nobody(case),
            (None, None) => of_called(&called, case),
        };
    }
    Ok(())
}

/// Explains a movement without a payment if the database was never restored, so that none can be lost.
fn of_nobody(case: &Case) -> Option<Known> {
    let vendor = case.of.vendor.label();
    (case.standing == Standing::Extra && case.aspect == Aspect::Money).then(|| Known {
        label: case.standing.label(),
        message: format!(
            "{vendor} moved money of this account for no payment that this database knows, and the books do not count it. \
             Somebody, or another program, moved it with this account."
        ),
        remedy: format!(
            "Ask who moved it in {vendor}'s dashboard, and have it sent back if it was a mistake. Write down who explained it \
             and why."
        ),
        alarms: false,
        with_fee: false,
        pages: Vec::new(),
    })
}

/// Whether it is money that left for no payment of this database, or the fee for that.
fn is_asked(case: &Case) -> bool {
    case.transaction.is_none()
        && matches!(case.aspect, Aspect::Money | Aspect::Fee)
        && case.moved.minor < 0
        && case.posted.minor == 0
}

/// The unexplained fee case that belongs to the same payment as this case.
pub async fn fee_of(db: &mut Db, case: &Case) -> store::Result<Option<String>> {
    if case.aspect != Aspect::Money || !case.known.as_ref().is_some_and(|known| known.with_fee) {
        return Ok(None);
    }
    let of_subject = kept::cases(db, &case.of, std::slice::from_ref(&case.subject)).await?;
    let mut fees = of_subject.into_iter().filter(|one| one.aspect == Aspect::Fee && is_asked(one));
    Ok(fees.find(|one| one.closed_at.is_none() && one.explained.is_none()).map(|one| one.id))
}

/// Whether the case is the movement of a found payment, or its fee: by the vendor's id of the object, or by the id of the
/// payment by which PayPal has paid the item.
fn is_it(one: &FoundRow, case: &Case) -> bool {
    let one = &one.found;
    one.vendor == case.of.vendor
        && one.amount.currency == case.moved.currency
        && (one.object_id == case.subject || one.reference.as_ref() == Some(&case.subject))
}

/// Movements that may be found payments whose PayPal payment id is unknown, matched by amount and day. Each matches at most
/// one movement, the nearest.
async fn perhaps(db: &mut Db, found: &[FoundRow]) -> store::Result<HashMap<String, usize>> {
    if !found.iter().any(is_unsaid) {
        return Ok(HashMap::new());
    }
    let mut left = kept::open_on(db, ("", "9999-12-31")).await?;
    left.retain(|case| {
        case.aspect == Aspect::Money && is_asked(case) && !found.iter().any(|one| is_it(one, case))
    });
    Ok(paired(found, &left))
}

fn is_unsaid(one: &FoundRow) -> bool {
    one.found.vendor == Vendor::PayPal && one.found.reference.is_none()
}

/// Pairs these movements with these found payments, nearest first; each is used at most once.
fn paired(found: &[FoundRow], left: &[Case]) -> HashMap<String, usize> {
    let mut pairs = Vec::new();
    for (place, one) in found.iter().enumerate().filter(|(_, one)| is_unsaid(one)) {
        pairs.extend(left.iter().filter_map(|case| Some((apart(one, case)?, &case.subject, place))));
    }
    pairs.sort_unstable();
    let (mut taken, mut perhaps) = (HashSet::new(), HashMap::new());
    for (_, subject, place) in pairs {
        if !perhaps.contains_key(subject) && taken.insert(place) {
            perhaps.insert(subject.clone(), place);
        }
    }
    perhaps
}

/// How far apart a found payment and a movement of the same amount are, in microseconds; `None` if they cannot be the same.
fn apart(one: &FoundRow, case: &Case) -> Option<i64> {
    let of = &one.found;
    let same = of.vendor == case.of.vendor && of.amount.plus(case.moved).is_some_and(|sum| sum.minor == 0);
    let day = clock::start_of_date(&case.day).filter(|_| same)?;
    let can_be = match of.made_at {
        Some(at) => near(case, (at, at)),
        None => (one.found_at - BEFORE_FOUND_US..=one.found_at).contains(&day),
    };
    can_be.then(|| (day - of.made_at.unwrap_or(one.found_at)).abs())
}

/// Whether a movement's day is close to this time range.
fn near(case: &Case, (first, last): (i64, i64)) -> bool {
    clock::start_of_date(&case.day).is_some_and(|day| last >= day - DAY_US && first < day + APART_US)
}

/// The payees that a found payment may have paid, and links to their pages.
async fn whom(db: &mut Db, one: &Found) -> store::Result<(String, Vec<(String, String)>)> {
    let payees = found::payees_of(db, one.vendor, &one.object_id).await?;
    let names = payees::names(db, &payees).await?;
    let page = |payee: &Payee| {
        let kind = if matches!(payee, Payee::Account(_)) { "accounts" } else { "partners" };
        Some((format!("/{kind}/{payee}"), names.get(payee)?.name.clone()))
    };
    let pages: Vec<(String, String)> = payees.iter().filter_map(page).collect();
    let called: Vec<&str> = pages.iter().map(|(_, name)| name.as_str()).collect();
    let whom = if called.is_empty() { one.destination.clone() } else { called.join(", ") };
    Ok((whom, pages))
}

fn safe_mode_and(others: Vec<(String, String)>) -> Vec<(String, String)> {
    let mut pages = vec![("/safe-mode".to_owned(), "Safe mode".to_owned())];
    pages.extend(others);
    pages
}

const WITH_ITS_PAYMENT: &str = "Write it down with the payment itself: that explanation counts for both.";

async fn of_found(db: &mut Db, listed: &FoundRow, case: &Case) -> store::Result<Known> {
    let (one, open) = (&listed.found, listed.settled.is_none());
    let (whom, pages) = whom(db, one).await?;
    let pages = safe_mode_and(pages);
    let vendor = one.vendor.label();
    let lost = "after this database's data ends, as it was restored from a backup";
    if case.aspect == Aspect::Fee {
        return Ok(Known {
            label: "Fee of a payment made after the backup",
            message: format!(
                "This is the fee that {vendor} took for a payment of {} that Bursar made to {whom} {lost}. The books count neither.",
                one.amount
            ),
            remedy: WITH_ITS_PAYMENT.to_owned(),
            alarms: false,
            with_fee: false,
            pages,
        });
    }
    let message = format!(
        "This is a payment that Bursar made to {whom} {lost}. The Safe mode page lists it, and the books do not count it."
    );
    let (remedy, label) = match (open, one.vendor) {
        (true, Vendor::Stripe) => (
            "Settle it there, as that page says, and write down here what was done. Have it reversed only if no payout took \
             it from the payee's Stripe balance to the bank; otherwise do not have it sent back: the payee was owed the \
             money.",
            "Made after the backup",
        ),
        (true, Vendor::PayPal) => (
            "Settle it there, as that page says, and write down here what was done. Do not have it sent back: the payee was \
             owed the money.",
            "Made after the backup",
        ),
        (false, _) => (
            "Somebody has settled it there: that page says what was done. Write that down here as well.",
            "Made after the backup, settled",
        ),
    };
    Ok(Known { label, message, remedy: remedy.to_owned(), alarms: true, with_fee: true, pages })
}

/// A case that may be a found payment, with all other found payments it may be.
async fn of_guess(db: &mut Db, found: &[FoundRow], one: &FoundRow, case: &Case) -> store::Result<Known> {
    let vendor = one.found.vendor.label();
    if case.aspect == Aspect::Fee {
        return Ok(Known {
            label: "Fee of a payment that may have been made after the backup",
            message: format!(
                "This is the fee that {vendor} took for {}, which is listed beside it. The books count neither.",
                case.subject
            ),
            remedy: WITH_ITS_PAYMENT.to_owned(),
            alarms: false,
            with_fee: false,
            pages: safe_mode_and(Vec::new()),
        });
    }
    let also = found.iter().filter(|other| {
        other.found.object_id == one.found.object_id
            || (other.found.reference.is_none() && apart(other, case).is_some())
    });
    let (mut candidates, mut pages) = (Vec::new(), Vec::new());
    for other in also {
        let (whom, others) = whom(db, &other.found).await?;
        let settled = if other.settled.is_some() { ", settled" } else { "" };
        candidates.push(format!("{} to {whom}{settled}", other.found.object_id));
        pages.extend(others.into_iter().filter(|page| !pages.contains(page)).collect::<Vec<_>>());
    }
    let which = match candidates.as_slice() {
        [one] => format!("a payment by Bursar ({one}), made"),
        several => format!("one of these payments by Bursar ({}), made", several.join("; ")),
    };
    Ok(Known {
        label: "May have been made after the backup",
        message: format!(
            "By its amount and day this may be {which} after this database's data ends, as it was restored from a backup. \
             {vendor} has not confirmed it. The books do not count it."
        ),
        remedy: format!(
            "Look for {} in {vendor}'s dashboard, and find out who received it. If it is that payment, settle it on the Safe \
             mode page, as that page says, and do not have it sent back. If not, ask who moved it, and have it sent back if \
             it was a mistake. Write down which it was.",
            case.subject
        ),
        alarms: true,
        with_fee: true,
        pages: safe_mode_and(pages),
    })
}

fn of_called(called: &[CalledNotMade], case: &Case) -> Option<Known> {
    let fits = |one: &&CalledNotMade| {
        case.aspect == Aspect::Money
            && one.vendor == case.of.vendor
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
        label: "Matches a payment settled as not made",
        message: format!(
            "{vendor} moved exactly the amount of {which}, about when it was sent, and people here settled that as not made. \
             {these} may have been made after all; the books do not count it."
        ),
        remedy: format!(
            "Look for {} at {vendor}. If it is this payment, settle it by hand as made on the payment's page before anything \
             else is paid for its rewards.",
            case.subject
        ),
        alarms: true,
        with_fee: false,
        pages: labels.into_iter().map(|label| (format!("/transactions/{label}"), label)).collect(),
    })
}

#[cfg(test)]
mod tests {
    use payout::money::{Currency, Money};

    use super::*;
    use crate::store::reconciliation::Account;

    fn listed(object: &str, made: Option<&str>) -> FoundRow {
        let found = Found {
            vendor: Vendor::PayPal,
            object_id: object.to_owned(),
            our_id: "txn".to_owned(),
            destination: "gu@example.com".to_owned(),
            amount: Money::new(22_000, Currency::parse("USD").unwrap()),
            made_at: made.and_then(clock::start_of_date),
            reference: None,
        };
        let found_at = clock::start_of_date("2026-11-29").unwrap();
        FoundRow { found, found_at, settled: None, payment: None, stands: None, settled_before: None }
    }

    fn left(subject: &str, day: &str, minor: i64) -> Case {
        let currency = Currency::parse("USD").unwrap();
        Case {
            id: format!("rec_{subject}"),
            of: Account { vendor: Vendor::PayPal, name: "P/test".to_owned() },
            subject: subject.to_owned(),
            aspect: Aspect::Money,
            transaction: None,
            day: day.to_owned(),
            standing: Standing::Extra,
            moved: Money::new(minor, currency),
            posted: Money::new(0, currency),
            waits_until: None,
            opened_at: 0,
            closed_at: None,
            explained: None,
            known: None,
        }
    }

    #[test]
    fn a_found_payment_is_one_movement_at_most() {
        let cases = [
            left("near", "2026-11-28", -22_000),
            left("later", "2026-11-29", -22_000),
            left("after", "2026-12-03", -22_000),
            left("other", "2026-11-28", -12_000),
        ];
        let told = |found: &[FoundRow]| {
            let mut told: Vec<(String, usize)> = paired(found, &cases).into_iter().collect();
            told.sort();
            told
        };
        let pair = |subject: &str, place| (subject.to_owned(), place);
        assert_eq!(told(&[listed("I1", Some("2026-11-28"))]), [pair("near", 0)]);
        // If PayPal does not give a time, it was made before it was found.
        assert_eq!(told(&[listed("I1", None)]), [pair("later", 0)]);
        let two = [listed("I1", Some("2026-11-28")), listed("I2", Some("2026-11-28"))];
        assert_eq!(told(&two), [pair("later", 1), pair("near", 0)]);
        let mut said = listed("I1", Some("2026-11-28"));
        said.found.reference = Some("later".to_owned());
        assert_eq!(told(&[said]), [], "PayPal says which one it is");
    }
}
