//! File contents: export columns and values, CSV and spreadsheet formatting, accounting formats, and the PDF statement.
//! Not here: reading the database (`ops::exports` collects the rows), and permissions (the route table).

pub mod columns;
pub mod csv;
pub mod journal;
pub mod paper;
pub mod pdf;
pub mod statement;
pub mod words;
pub mod xlsx;

use payout::money::{Currency, Sum};
use serde_json::{Value, json};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Rewards,
    Transactions,
    /// Each payee's earnings and payments in a tax year.
    Earnings,
    Journal,
    /// The activity log: who did what.
    Audit,
}

impl Kind {
    /// All kinds, in the order pages offer them.
    pub const ALL: [Self; 5] =
        [Self::Rewards, Self::Transactions, Self::Earnings, Self::Journal, Self::Audit];

    /// The spelling in the database, the API and URLs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rewards => "rewards",
            Self::Transactions => "transactions",
            Self::Earnings => "earnings",
            Self::Journal => "journal",
            Self::Audit => "audit",
        }
    }

    /// Parses [`Kind::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }

    pub fn label(self) -> &'static str {
        match self {
            Self::Rewards => "Rewards",
            Self::Transactions => "Payments",
            Self::Earnings => "Earnings",
            Self::Journal => "Accounting journal",
            Self::Audit => "Activity log",
        }
    }
}

/// The file format of an export.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// Text, RFC 4180.
    Csv,
    Xlsx,
}

impl Format {
    pub const ALL: [Self; 2] = [Self::Csv, Self::Xlsx];

    /// The spelling in the database, the API, URLs and file names.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Xlsx => "xlsx",
        }
    }

    /// Parses [`Format::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.as_str() == text)
    }

    /// The media type without parameters.
    pub fn bare_type(self) -> &'static str {
        match self {
            Self::Csv => "text/csv",
            Self::Xlsx => self.media_type(),
        }
    }

    pub fn media_type(self) -> &'static str {
        match self {
            Self::Csv => "text/csv; charset=utf-8",
            Self::Xlsx => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        }
    }
}

/// A cell's value, typed rather than formatted: CSV and spreadsheets each format it in their own way.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Cell {
    Empty,
    /// Text, which must never be evaluated as a formula.
    Text(String),
    /// An amount; its currency is in a column of its own.
    Amount(Sum),
    Count(i64),
    /// Microseconds UTC.
    Moment(i64),
    /// A date, `YYYY-MM-DD`.
    Day(String),
}

impl Cell {
    /// A text cell, or an empty one.
    pub fn text(words: impl Into<String>) -> Self {
        let words = words.into();
        if words.is_empty() { Self::Empty } else { Self::Text(words) }
    }

    /// Text that may be absent.
    pub fn maybe(words: Option<&String>) -> Self {
        words.map_or(Self::Empty, |words| Self::text(words.as_str()))
    }

    /// A time that may be unset.
    pub fn at(moment: Option<i64>) -> Self {
        moment.map_or(Self::Empty, Self::Moment)
    }

    /// The stored form of a cell in rows collected for a spreadsheet.
    pub fn json(&self) -> Value {
        match self {
            Self::Empty => Value::Null,
            Self::Text(words) => json!(["t", words]),
            Self::Amount(sum) => json!(["a", sum.minor.to_string(), sum.currency.code()]),
            Self::Count(number) => json!(["n", number]),
            Self::Moment(at) => json!(["m", at]),
            Self::Day(day) => json!(["d", day]),
        }
    }

    /// Parses [`Cell::json`].
    pub fn read(value: &Value) -> Option<Self> {
        if value.is_null() {
            return Some(Self::Empty);
        }
        let words = || value.get(1)?.as_str().map(str::to_owned);
        let number = || value.get(1)?.as_i64();
        match value.get(0)?.as_str()? {
            "t" => words().map(Self::Text),
            "d" => words().map(Self::Day),
            "n" => number().map(Self::Count),
            "m" => number().map(Self::Moment),
            "a" => {
                let currency = Currency::parse(value.get(2)?.as_str()?).ok()?;
                // A string, because a sum may exceed a JSON number.
                let minor = value.get(1)?;
                let wide = || minor.as_str()?.parse().ok();
                Some(Self::Amount(Sum::new(minor.as_i64().map(i128::from).or_else(wide)?, currency)))
            }
            _ => None,
        }
    }
}

/// The header of a column.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Heading {
    /// For programs: in CSV, and to choose the column.
    pub name: &'static str,
    /// For people: in spreadsheets, and in the column chooser.
    pub words: &'static str,
    /// Whether it is included by default.
    pub usual: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_waits_in_the_database_and_comes_back_as_it_was() {
        let yen = Sum::new(-7_500, Currency::parse("JPY").unwrap());
        let cells = [
            Cell::Empty,
            Cell::Text("=1+1 \"é\"".to_owned()),
            Cell::Amount(yen),
            Cell::Count(-3),
            Cell::Moment(1_772_445_600_000_000),
            Cell::Day("2026-03-02".to_owned()),
        ];
        for cell in cells {
            assert_eq!(Cell::read(&cell.json()), Some(cell));
        }
        assert_eq!(Cell::read(&json!(["x", 1])), None);
    }
}
