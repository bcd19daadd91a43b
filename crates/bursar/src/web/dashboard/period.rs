//! The days of a named date range: calendar months, and quarters and years according to the fiscal year. All days are UTC,
//! and both ends are included.

use jiff::ToSpan as _;
use jiff::civil::Date;

/// The named ranges, with their labels.
pub const PRESETS: [(&str, &str); 5] = [
    ("this_month", "This month"),
    ("last_month", "Last month"),
    ("this_quarter", "This quarter"),
    ("this_fiscal_year", "This fiscal year"),
    ("last_fiscal_year", "Last fiscal year"),
];

/// The first and last day of a named range. `today` is `YYYY-MM-DD`; `start` is the first day of the fiscal year, `MM-DD`.
pub fn days(preset: &str, today: &str, start: &str) -> Option<(String, String)> {
    let today: Date = today.parse().ok()?;
    let (first, last) = match preset {
        "this_month" => (today.first_of_month(), today.last_of_month()),
        "last_month" => {
            let last = today.first_of_month().yesterday().ok()?;
            (last.first_of_month(), last)
        }
        "this_quarter" => quarter(today, start)?,
        "this_fiscal_year" => fiscal_year(today, start)?,
        "last_fiscal_year" => fiscal_year(fiscal_year(today, start)?.0.yesterday().ok()?, start)?,
        _ => return None,
    };
    Some((first.to_string(), last.to_string()))
}

/// The fiscal year that contains a day.
fn fiscal_year(day: Date, start: &str) -> Option<(Date, Date)> {
    let this = begins(day.year(), start)?;
    let year = if day < this { day.year().checked_sub(1)? } else { day.year() };
    Some((begins(year, start)?, begins(year.checked_add(1)?, start)?.yesterday().ok()?))
}

/// The quarter of the fiscal year that contains a day. Quarters are counted from the start of the year: if it starts on the
/// 31st, each quarter starts on the last day of a month.
fn quarter(day: Date, start: &str) -> Option<(Date, Date)> {
    let (first, last) = fiscal_year(day, start)?;
    let begin = |number: i32| first.checked_add((3 * number).months()).ok();
    let begins = (0..4).filter_map(begin).filter(|begin| *begin <= day);
    let this = begins.max()?;
    let next = (1..4).filter_map(begin).find(|begin| *begin > day);
    Some((this, next.map_or(Some(last), |next| next.yesterday().ok())?))
}

/// The first day of a year's fiscal year; the last of February if there is no 29th.
fn begins(year: i16, start: &str) -> Option<Date> {
    let (month, day) = start.split_once('-')?;
    let (month, day) = (month.parse().ok()?, day.parse().ok()?);
    let first = Date::new(year, month, 1).ok()?;
    Date::new(year, month, day).ok().or(Some(first.last_of_month()))
}

/// The preceding period of the same length, in months if the period consists of whole months, otherwise in days. If the
/// period is not over at `today`, the preceding one is cut to the same number of days and the flag is `true`. `None` if the
/// period has not begun. All dates are `YYYY-MM-DD`.
pub fn before(first: &str, last: &str, today: &str) -> Option<(String, String, bool)> {
    let (first, last): (Date, Date) = (first.parse().ok()?, last.parse().ok()?);
    let today = today.parse::<Date>().ok().filter(|today| *today >= first)?;
    let after = last.tomorrow().ok()?;
    let whole = (1..=120_i32).find(|many| first.checked_add(many.months()).ok() == Some(after));
    let back = match whole {
        Some(many) => many.months(),
        None => first.until(after).ok()?,
    };
    let (begins, ends) = (first.checked_sub(back).ok()?, first.yesterday().ok()?);
    let begun = today <= last;
    let ends = if begun { ends.min(today.checked_sub(back).ok()?) } else { ends };
    Some((begins.to_string(), ends.to_string(), begun))
}

/// The month of a day and the months before it, `many` more, oldest first, as `YYYY-MM`.
pub fn months_before(day: &str, many: i32) -> Vec<String> {
    let Ok(day) = day.parse::<Date>() else { return Vec::new() };
    let month = |back: i32| day.first_of_month().checked_sub(back.months()).ok();
    (0..=many).rev().filter_map(month).map(|month| month.strftime("%Y-%m").to_string()).collect()
}

/// Whether a day is the last of its month.
pub fn ends_a_month(day: &str) -> bool {
    day.parse::<Date>().is_ok_and(|day| day == day.last_of_month())
}

/// The short name of a month given as `YYYY-MM`.
pub fn name_of(month: &str) -> String {
    let day: Option<Date> = format!("{month}-01").parse().ok();
    day.map_or_else(|| month.to_owned(), |day| day.strftime("%b").to_string())
}

/// The same with its year.
pub fn name_in_full(month: &str) -> String {
    let year = month.split_once('-').map_or("", |(year, _)| year);
    format!("{} {year}", name_of(month))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_range_follows_the_beginning_of_the_fiscal_year() {
        for (preset, today, start, first, last) in [
            ("this_month", "2026-02-14", "04-06", "2026-02-01", "2026-02-28"),
            ("last_month", "2026-01-01", "04-06", "2025-12-01", "2025-12-31"),
            ("this_quarter", "2026-05-10", "01-01", "2026-04-01", "2026-06-30"),
            ("this_quarter", "2026-12-31", "01-01", "2026-10-01", "2026-12-31"),
            ("this_quarter", "2026-04-05", "04-06", "2026-01-06", "2026-04-05"),
            ("this_quarter", "2026-04-06", "04-06", "2026-04-06", "2026-07-05"),
            ("this_quarter", "2026-11-29", "08-31", "2026-08-31", "2026-11-29"),
            ("this_quarter", "2026-11-30", "08-31", "2026-11-30", "2027-02-27"),
            ("this_fiscal_year", "2026-04-05", "04-06", "2025-04-06", "2026-04-05"),
            ("this_fiscal_year", "2026-04-06", "04-06", "2026-04-06", "2027-04-05"),
            ("last_fiscal_year", "2026-04-06", "04-06", "2025-04-06", "2026-04-05"),
            ("last_fiscal_year", "2026-04-05", "04-06", "2024-04-06", "2025-04-05"),
            ("this_fiscal_year", "2026-07-01", "01-01", "2026-01-01", "2026-12-31"),
            ("this_fiscal_year", "2027-03-01", "02-29", "2027-02-28", "2028-02-28"),
        ] {
            let expected = Some((first.to_owned(), last.to_owned()));
            assert_eq!(days(preset, today, start), expected, "{preset} on {today} from {start}");
        }
        assert_eq!(days("next_year", "2026-04-06", "04-06"), None);
        assert_eq!(days("this_quarter", "2026-04-06", "soon"), None);
    }

    #[test]
    fn the_period_before_is_as_long_in_months_or_in_days() {
        for (first, last, begins, ends) in [
            ("2026-03-01", "2026-03-31", "2026-02-01", "2026-02-28"),
            ("2026-04-01", "2026-06-30", "2026-01-01", "2026-03-31"),
            ("2025-04-06", "2026-04-05", "2024-04-06", "2025-04-05"),
            ("2026-03-10", "2026-03-16", "2026-03-03", "2026-03-09"),
            ("2026-03-10", "2026-03-10", "2026-03-09", "2026-03-09"),
        ] {
            let expected = Some((begins.to_owned(), ends.to_owned(), false));
            assert_eq!(before(first, last, "2026-07-01"), expected, "{first} to {last}");
        }
        // A period that is not over is compared with the same days.
        for (first, last, today, begins, ends) in [
            ("2026-11-01", "2026-11-30", "2026-11-03", "2026-10-01", "2026-10-03"),
            ("2026-03-01", "2026-03-31", "2026-03-30", "2026-02-01", "2026-02-28"),
            ("2026-01-01", "2026-12-31", "2026-11-30", "2025-01-01", "2025-11-30"),
            ("2026-04-03", "2026-04-30", "2026-04-06", "2026-03-06", "2026-03-09"),
        ] {
            let expected = Some((begins.to_owned(), ends.to_owned(), true));
            assert_eq!(before(first, last, today), expected, "{first} to {last} on {today}");
        }
        assert_eq!(before("2026-11-01", "2026-11-30", "2026-10-31"), None, "it has not begun");
        assert_eq!(months_before("2026-01-31", 2), ["2025-11", "2025-12", "2026-01"]);
        assert!(ends_a_month("2028-02-29") && !ends_a_month("2026-04-05"));
        assert_eq!((name_of("2026-04").as_str(), name_in_full("2026-04").as_str()), ("Apr", "Apr 2026"));
    }
}
