//! `reconcile`: reads the vendors' balance transactions now, reconciles them with the books, and prints the days.

use clap::Args;
use payout::money::Sum;

use super::{Failure, Outcome, open, output, words};
use crate::clock;
use crate::config::Config;
use crate::ops::reconciliation::{self as verbs, DayStanding, DayView};
use crate::store::reconciliation::{self as kept, Case, Pull, days::Filter};
use crate::web::reconciliation::DayJson;
use crate::work::{Work, movements};

const HOUR_US: i64 = 3_600_000_000;
/// The most days to print.
const MOST: i64 = 10_000;

#[derive(Args)]
pub(super) struct Options {
    /// How far back to read and print: hours or days, such as 48h or 7d
    #[arg(long, default_value = "48h", value_parser = span)]
    since: i64,
    #[command(flatten)]
    config: Config,
    /// Print one JSON object, with the days as in the API
    #[arg(long)]
    json: bool,
}

/// Parses hours or days into microseconds.
fn span(text: &str) -> Result<i64, String> {
    let describe = || "write hours or days, like 48h or 7d".to_owned();
    let (count, unit) = match (text.strip_suffix('h'), text.strip_suffix('d')) {
        (Some(count), _) => (count, HOUR_US),
        (None, Some(count)) => (count, 24 * HOUR_US),
        (None, None) => return Err(describe()),
    };
    let count =
        count.parse::<i64>().ok().filter(|count| (1..=100_000).contains(count)).ok_or_else(describe)?;
    Ok(count * unit)
}

pub(super) async fn run(options: Options) -> Outcome {
    let app = open(options.config).await?;
    super::with_the_same_vendors(&app).await?;
    let work = Work::new(app.clone(), None)?;
    let since = app.clock.now() - options.since;
    movements::all(&work, Some(since)).await.map_err(words)?;
    let filter = Filter { from: Some(clock::date(since)), ..Filter::default() };
    let mut db = app.store.read().await?;
    let days = verbs::list(&mut db, &filter, None, MOST).await.map_err(words)?;
    let pulls = kept::pulls(&mut db).await?;
    let (open, oldest) = kept::tasks(&mut db).await?;
    drop(db);
    app.store.close().await;
    let printed = days.iter().flat_map(|day| &day.cases).filter(|case| case.is_task()).count();
    let earlier = Backlog { count: open - i64::try_from(printed).unwrap_or(open), oldest };
    match options.json {
        true => output::json(&serde_json::json!({
            "data": days.iter().map(DayJson::from).collect::<Vec<_>>(),
            "failed": pulls.iter().filter_map(failed).collect::<Vec<_>>(),
            "open_of_other_days": earlier.count,
        })),
        false => print(&days),
    }
    judge(&days, &pulls, &earlier)
}

/// Open cases on days that are not printed.
struct Backlog {
    count: i64,
    /// The oldest day with an open case.
    oldest: Option<String>,
}

impl Backlog {
    /// A sentence about them; `None` if there are none.
    fn sentence(&self) -> Option<String> {
        let oldest = self.oldest.as_deref().unwrap_or_default();
        match self.count {
            ..=0 => None,
            1 => Some(format!("1 difference of a day not shown here is open, from {oldest}")),
            many => {
                Some(format!("{many} differences of days not shown here are open, the oldest from {oldest}"))
            }
        }
    }
}

/// Prints all reconciled days, up to [`MOST`].
#[cfg(feature = "demo")]
pub(super) async fn print_all(app: &crate::app::App) -> Outcome {
    let mut db = app.store.read().await?;
    print(&verbs::list(&mut db, &Filter::default(), None, MOST).await.map_err(words)?);
    Ok(())
}

fn print(days: &[DayView]) {
    let decimal = |minor: Option<i128>, day: &DayView| {
        minor.map_or("–".to_owned(), |minor| Sum::new(minor, day.currency).decimal())
    };
    let row = |day: &DayView| {
        vec![
            day.key.day.clone(),
            day.key.of.vendor.label().to_owned(),
            day.key.currency.clone(),
            decimal(day.closed.opening_minor, day),
            day.read.moved.decimal(),
            decimal(day.closed.closing_minor, day),
            decimal(Some(day.closed.difference_minor), day),
            day.not_in_books().decimal(),
            day.standing().as_str().replace('_', " "),
        ]
    };
    let head = [
        "Day",
        "Vendor",
        "Currency",
        "Opening",
        "Movements",
        "Closing",
        "Balance off",
        "Difference",
        "Status",
    ];
    output::table(&head, &days.iter().map(row).collect::<Vec<_>>());
    for case in days.iter().flat_map(|day| &day.cases).filter(|case| case.wants_somebody()) {
        print_case(case);
    }
}

fn print_case(case: &Case) {
    let vendor = case.of.vendor.label();
    output::print_line("");
    output::print_line(&format!(
        "{}  {}: {}  [{}]",
        case.day,
        case.label(),
        case.message(),
        case.standing.as_str()
    ));
    output::print_line(&format!("    {}: {vendor} {}, the books {}", case.subject, case.moved, case.posted));
    output::print_line(&format!("    {}", case.remedy()));
}

/// Why an account could not be read, in words.
fn failed(pull: &Pull) -> Option<String> {
    let (at, why) = pull.failed.as_ref()?;
    let vendor = pull.of.vendor.label();
    Some(format!("{vendor} ({}) could not be read on {}: {why}", pull.of.name, clock::human(*at)))
}

/// An error if a day does not tie, printed or not, or if a vendor that could not be read leaves it unknown.
fn judge(days: &[DayView], pulls: &[Pull], earlier: &Backlog) -> Outcome {
    let off = days.iter().filter(|day| day.standing() == DayStanding::DoesNotTie).count();
    let off = (off > 0).then(|| format!("{off} of {} days do not tie", days.len()));
    let mut messages: Vec<String> = off.into_iter().chain(earlier.sentence()).collect();
    if !messages.is_empty() {
        let sentence = "The Reconciliation page says what each difference is and takes an explanation";
        messages.push(sentence.to_owned());
    }
    let unread: Vec<String> = pulls.iter().filter_map(failed).collect();
    if !unread.is_empty() {
        messages.extend(unread);
        messages.push("Nothing was changed, so what it moved is not known here".to_owned());
    }
    if messages.is_empty() { Ok(()) } else { Err(Failure(format!("{}.", messages.join(". ")))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_hours_or_days() {
        assert_eq!((span("48h"), span("7d")), (Ok(48 * HOUR_US), Ok(168 * HOUR_US)));
        for wrong in ["", "h", "48", "-1h", "0d", "1w", "1.5h"] {
            assert!(span(wrong).is_err(), "{wrong}");
        }
    }
}
