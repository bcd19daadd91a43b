//! Dates as people write them. Not here: the calendar (`clock`).

use payout::Refusal;

use crate::clock::start_of_date;

const DAY_US: i64 = 86_400_000_000;

/// When a reward that expires on this date stops being payable: the end of that day, UTC.
///
/// # Errors
/// If it is not a date.
pub fn end_of_date(date: &str) -> std::result::Result<i64, Refusal> {
    let message = "Write the date as year, month and day, like 2027-03-31.";
    start_of_date(date)
        .map(|start| start + DAY_US)
        .ok_or_else(|| Refusal::new("invalid_date", message).at("expires_on"))
}
