//! What each payee earned and was paid in a tax year, as rows of an export: the lines of the dashboard, one per payee and
//! currency, by name.

use payout::eligibility::TaxReport;
use payout::money::Sum;

use super::gathered::{AT_ONCE, RowPage, place};
use crate::clock::date;
use crate::documents::columns::{self, EarningsRow, share};
use crate::ops::dashboard::{self, EarningsCursor, Line};
use crate::ops::{OpsError, Result, tax};
use crate::store::Db;
use crate::store::earnings::{self, Way};
use crate::store::scope::Scope;

/// How many payees are read at a time.
const PAYEES_AT_ONCE: i64 = AT_ONCE / 4;
/// Separates name and id; no name contains it.
const BETWEEN: char = '\u{1f}';

/// The number of payees; most have one currency, and so one row.
pub async fn count(db: &mut Db, year: i32, whose: &Scope) -> Result<i64> {
    let span = tax::year(year).ok_or(OpsError::Missing)?;
    let all = earnings::by_name(db, whose, &span, Way::Usual, None, i64::MAX).await?;
    Ok(i64::try_from(all.len()).unwrap_or(i64::MAX))
}

/// The next payees' rows.
///
/// # Errors
/// [`OpsError::Missing`] for a year outside the calendar.
pub async fn gather(
    db: &mut Db,
    year: i32,
    whose: &Scope,
    after: Option<String>,
    chosen: &[String],
    now: i64,
) -> Result<RowPage> {
    let after = after.as_deref().and_then(|place| place.split_once(BETWEEN));
    let from = EarningsCursor::Name(Way::Usual, after.map(|(name, id)| (name.to_owned(), id.to_owned())));
    let some = dashboard::earnings(db, whose, year, &from, PAYEES_AT_ONCE).await?;
    let next = match some.next {
        Some(EarningsCursor::Name(_, Some((name, id)))) => Some(place(0, &format!("{name}{BETWEEN}{id}"))),
        Some(EarningsCursor::Name(_, None) | EarningsCursor::Net(..)) | None => None,
    };
    let rows = some.lines.iter().map(|line| columns::earnings(&row(line, year, now), chosen)).collect();
    Ok(RowPage { rows, next })
}

fn row(line: &Line, year: i32, now: i64) -> EarningsRow {
    let earning = &line.earning;
    let mut by = [Sum::nothing(earning.earned.currency); 3];
    for total in &earning.totals {
        by[share(total.vendor)] = total.net();
    }
    EarningsRow {
        year,
        payee: earning.payee,
        named: line.named.clone(),
        earned: earning.earned,
        paid: earning.paid(),
        back: earning.back(),
        net: earning.net(),
        to_bank: earning.to_bank(),
        by,
        report: report(line.tax, now),
        line: match line.over {
            Some(true) => "over",
            Some(false) => "under",
            None => "",
        },
    }
}

fn report(tax: TaxReport, now: i64) -> String {
    match tax {
        TaxReport::Missing => "none on file".to_owned(),
        TaxReport::Unfit => "wrong form for this payee".to_owned(),
        TaxReport::Until(Some(at)) if at <= now => format!("expired on {}", date(at)),
        TaxReport::Until(Some(at)) => format!("on file until {}", date(at)),
        TaxReport::Until(None) => "on file".to_owned(),
    }
}
