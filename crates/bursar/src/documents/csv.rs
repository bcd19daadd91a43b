//! CSV per RFC 4180: commas, quotes only where needed, CR LF after every row. Not here: dialects. A program that needs
//! another separator can use the spreadsheet.

use std::borrow::Cow;

use super::Cell;
use crate::clock::rfc3339;

/// The byte-order mark by which Excel recognizes UTF-8.
pub const MARK: &[u8] = "\u{feff}".as_bytes();

/// Rows as CSV; the header is an ordinary row of text.
pub fn written(rows: &[Vec<Cell>]) -> Vec<u8> {
    let mut writer = ::csv::WriterBuilder::new()
        .terminator(::csv::Terminator::CRLF)
        .flexible(true)
        .from_writer(Vec::new());
    for row in rows {
        // Writing to memory does not fail, and rows may have any width.
        let _ = writer.write_record(row.iter().map(|cell| told(cell).into_owned()));
    }
    writer.into_inner().unwrap_or_default()
}

/// The header row of column names.
pub fn head<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<u8> {
    written(&[names.into_iter().map(|name| Cell::Text(name.to_owned())).collect()])
}

fn told(cell: &Cell) -> Cow<'_, str> {
    match cell {
        Cell::Empty => Cow::Borrowed(""),
        Cell::Text(words) => harmless(words),
        // We format amounts ourselves, so a minus sign cannot start a formula.
        Cell::Amount(money) => Cow::Owned(money.decimal()),
        Cell::Count(number) => Cow::Owned(number.to_string()),
        Cell::Moment(at) => Cow::Owned(rfc3339(*at)),
        Cell::Day(day) => Cow::Borrowed(day),
    }
}

/// Prefixes an apostrophe to text that a spreadsheet would evaluate as a formula.
pub fn harmless(words: &str) -> Cow<'_, str> {
    match words.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠']) {
        true => Cow::Owned(format!("'{words}")),
        false => Cow::Borrowed(words),
    }
}

#[cfg(test)]
mod tests {
    use payout::money::{Currency, Sum};

    use super::*;

    fn line(cells: &[Cell]) -> String {
        String::from_utf8(written(&[cells.to_vec()])).unwrap()
    }

    #[test]
    fn no_words_are_a_formula_and_every_amount_is_a_number() {
        let words = |text: &str| Cell::Text(text.to_owned());
        for formula in ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx", "＝1"] {
            let row = line(&[words(formula)]);
            assert!(row.trim_start_matches('"').starts_with('\''), "{formula:?} became {row:?}");
        }
        let minus = Cell::Amount(Sum::new(-42_000, Currency::USD));
        assert_eq!(line(&[minus, words("a=b"), Cell::Count(-1)]), "-420.00,a=b,-1\r\n");
    }

    #[test]
    fn quotes_commas_and_line_ends_stay_inside_their_cell() {
        let words = ["Acme, \"Inc\"", "two\r\nlines", ""].map(|text| Cell::Text(text.to_owned()));
        assert_eq!(line(&words), "\"Acme, \"\"Inc\"\"\",\"two\r\nlines\",\r\n");
        let moment = Cell::Moment(1_772_445_600_000_000);
        assert_eq!(
            line(&[moment, Cell::Day("2026-03-02".to_owned())]),
            "2026-03-02T10:00:00.000000Z,2026-03-02\r\n"
        );
        assert_eq!(head(["number", "value"]), b"number,value\r\n");
    }
}
