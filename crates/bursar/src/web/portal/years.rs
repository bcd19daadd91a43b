//! The calendar years of a partner's lists and statements. Not here: the contents of the lists and statements.

use super::layout::PartnerContext;
use crate::clock;
use crate::web::kit::problem::Problem;

/// The maximum number of years offered.
const MOST: usize = 8;

/// The start of a year and of the next.
pub fn span(year: &str) -> (i64, i64) {
    let next = year.parse::<i32>().map_or(0, |year| year + 1);
    let of = |year: &str| clock::start_of_date(&format!("{year}-01-01")).unwrap_or(0);
    (of(year), of(&format!("{next:04}")))
}

/// The years since the partner or their company was created, newest first.
pub fn known(context: &PartnerContext, now: i64) -> Vec<String> {
    let year = |at: i64| clock::date(at).get(..4).and_then(|year| year.parse::<i32>().ok());
    let first = context.partner.created_at.min(context.account.created_at);
    let (Some(first), Some(last)) = (year(first), year(now)) else { return Vec::new() };
    // Last year's statement is always offered: payments made outside Bursar may be older than the partner's record.
    (first.min(last - 1)..=last).rev().take(MOST).map(|year| format!("{year:04}")).collect()
}

/// The year named in an address, its start and the start of the next.
///
/// # Errors
/// 404 if it is not a year.
pub fn named(asked: Option<&str>) -> Result<Option<(String, i64, i64)>, Problem> {
    let Some(year) = asked else { return Ok(None) };
    if year.len() != 4 || !year.bytes().all(|digit| digit.is_ascii_digit()) {
        return Err(Problem::missing());
    }
    let (from, to) = span(year);
    Ok(Some((year.to_owned(), from, to)))
}

/// The links to the years of a list: address, label, whether it is the one shown. Empty if there is only one year.
pub fn year_links(
    context: &PartnerContext,
    now: i64,
    list: &str,
    chosen: Option<&str>,
) -> Vec<(String, String, bool)> {
    let known = known(context, now);
    if known.len() < 2 && chosen.is_none() {
        return Vec::new();
    }
    let sign = if list.contains('?') { '&' } else { '?' };
    let all = (list.to_owned(), context.t().all_years.to_owned(), chosen.is_none());
    let year = |year: String| {
        let here = chosen == Some(year.as_str());
        (format!("{list}{sign}year={year}"), year, here)
    };
    std::iter::once(all).chain(known.into_iter().map(year)).collect()
}
