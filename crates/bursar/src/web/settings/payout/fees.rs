//! The fee tables as rows of a form: the input, and its parsed form. Not here: computing a fee (`payout::fee`).

use payout::Refusal;

use super::FormInput;
use crate::ops::settings::FeeTable;

/// The number of empty rows below the filled ones.
const EMPTY: usize = 1;

/// A fee table as entered.
#[derive(Clone, Default)]
pub struct Row {
    /// `stripe` or `paypal`.
    pub vendor: String,
    pub currency: String,
    /// Like `2.00`.
    pub percent: String,
    pub fixed: String,
    /// The minimum fee per payment.
    pub minimum: String,
    /// The maximum fee per payment.
    pub maximum: String,
    /// The monthly fee per payee.
    pub monthly: String,
}

impl Row {
    fn is_empty(&self) -> bool {
        let typed = [&self.currency, &self.percent, &self.fixed, &self.minimum, &self.maximum, &self.monthly];
        typed.iter().all(|text| text.is_empty())
    }
}

fn typed(of: &FormInput) -> Vec<Row> {
    let text = |column: &[String], place: usize| {
        column.get(place).map_or_else(String::new, |text| text.trim().to_owned())
    };
    let row = |place| Row {
        vendor: text(&of.fee_vendor, place),
        currency: text(&of.fee_currency, place).to_uppercase(),
        percent: text(&of.fee_percent, place),
        fixed: text(&of.fee_fixed, place),
        minimum: text(&of.fee_minimum, place),
        maximum: text(&of.fee_maximum, place),
        monthly: text(&of.fee_monthly, place),
    };
    (0..of.fee_currency.len()).map(row).filter(|row| !row.is_empty()).collect()
}

/// The rows of the form: the filled ones, and some empty ones.
pub fn rows(of: &FormInput) -> Vec<Row> {
    let mut rows = typed(of);
    rows.extend(vec![Row::default(); EMPTY]);
    rows
}

/// Parses the rows; empty rows are skipped.
///
/// # Errors
/// The first row that is incomplete, or whose percentage is invalid; anything else is validated when it is saved.
pub fn read(of: &FormInput) -> Result<Vec<FeeTable>, Refusal> {
    let some = |text: String| (!text.is_empty()).then_some(text);
    let table = |row: Row| {
        if row.currency.is_empty() {
            let message = "A fee has no currency. Write its three letters, like USD, or empty its row.";
            return Err(Refusal::new("invalid", message).at("fees"));
        }
        if [&row.percent, &row.fixed, &row.monthly].iter().all(|text| text.is_empty()) {
            let message = format!(
                "The fee in {} has neither a percentage nor a fixed or monthly part. Write what the vendor takes, 0 where it takes nothing, or empty its row.",
                row.currency
            );
            return Err(Refusal::new("invalid", message).at("fees"));
        }
        Ok(FeeTable {
            basis_points: basis_points(&row.percent)?,
            vendor: row.vendor,
            currency: row.currency,
            fixed: some(row.fixed),
            minimum: some(row.minimum),
            maximum: some(row.maximum),
            monthly: some(row.monthly),
        })
    };
    typed(of).into_iter().map(table).collect()
}

/// Basis points as a percentage: 200 is `2.00`.
pub fn percent(basis_points: u32) -> String {
    format!("{}.{:02}", basis_points / 100, basis_points % 100)
}

fn basis_points(text: &str) -> Result<u32, Refusal> {
    let wrong = || {
        let message = format!("“{text}” is no percentage. Write it with at most two decimals, like 2.00.");
        Refusal::new("invalid", message).at("fees")
    };
    if text.is_empty() {
        return Ok(0);
    }
    let (whole, rest) = text
        .trim_end_matches('%')
        .trim_end()
        .split_once('.')
        .unwrap_or((text.trim_end_matches('%').trim_end(), ""));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || whole.len() > 3 || rest.len() > 2 || !digits(whole) || !digits(rest) {
        return Err(wrong());
    }
    format!("{whole}{rest:0<2}").parse().map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentage_is_read_in_hundredths() {
        let rows = [
            ("2", Some(200)),
            ("2.00", Some(200)),
            ("0.25", Some(25)),
            ("1.5%", Some(150)),
            ("", Some(0)),
            ("100", Some(10_000)),
            ("2.005", None),
            ("-1", None),
            ("1,5", None),
            (".5", None),
            ("1000", None),
        ];
        for (text, expected) in rows {
            assert_eq!(basis_points(text).ok(), expected, "{text}");
        }
        assert_eq!([percent(200), percent(25), percent(0)], ["2.00", "0.25", "0.00"]);
    }

    #[test]
    fn a_row_of_which_nothing_is_filled_is_none() {
        let typed = FormInput {
            fee_vendor: vec!["paypal".into(), "stripe".into()],
            fee_currency: vec!["usd".into(), String::new()],
            fee_percent: vec!["2".into(), String::new()],
            fee_maximum: vec!["20.00".into(), String::new()],
            ..FormInput::default()
        };
        let read = read(&typed).unwrap();
        assert_eq!(read.len(), 1);
        assert_eq!((read[0].currency.as_str(), read[0].basis_points), ("USD", 200));
        assert_eq!(read[0].maximum.as_deref(), Some("20.00"));
        assert_eq!(rows(&typed).len(), 1 + EMPTY);
    }
}
