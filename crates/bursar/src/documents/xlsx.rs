//! A spreadsheet with one sheet, written row by row; written rows are kept on disk, not in memory.
//!
//! Spreadsheets store only floating-point numbers. Nothing is calculated with them here: the exact decimal becomes the
//! nearest double, which displays the same decimal up to fifteen digits. Longer amounts are written as text, so that no
//! digit is lost unnoticed.

use std::collections::HashMap;

use rust_xlsxwriter::{DocProperties, ExcelDateTime, Format, Workbook, Worksheet, XlsxError};

use super::Cell;
use crate::clock::{date, rfc3339};

/// The decimal digits that survive a round trip through a double.
const MOST_DIGITS: usize = 15;
/// The most characters in a cell.
const MOST_CHARACTERS: usize = 32_767;
/// Our row limit for a spreadsheet; Excel's own is about a million.
pub const MOST_ROWS: i64 = 200_000;

/// A full disk, or a violated spreadsheet rule, which would be a bug.
pub type Error = XlsxError;

/// Writes a spreadsheet with one sheet, row by row.
pub struct SheetWriter {
    book: Workbook,
    row: u32,
    /// The number formats for amounts, by decimal digits of the currency.
    amounts: HashMap<u32, Format>,
    count: Format,
    moment: Format,
    day: Format,
}

impl SheetWriter {
    /// A sheet with these columns. `at` is its creation time: the same rows produce the same bytes.
    ///
    /// # Errors
    /// Writing to disk fails.
    pub fn new(title: &str, columns: &[&str], at: i64) -> Result<Self, Error> {
        let mut book = Workbook::new();
        let made = ExcelDateTime::from_timestamp(at.div_euclid(1_000_000))?;
        book.set_properties(
            &DocProperties::new().set_title(title).set_author("Bursar").set_creation_datetime(&made),
        );
        let sheet = book.add_worksheet_with_constant_memory()?;
        sheet.set_name(title)?;
        sheet.set_freeze_panes(1, 0)?;
        for (place, words) in (0u16..).zip(columns) {
            let width = u16::try_from(words.chars().count()).unwrap_or(u16::MAX).clamp(12, 28) + 4;
            sheet.set_column_width(place, f64::from(width))?;
        }
        let bold = Format::new().set_bold();
        for (place, words) in (0u16..).zip(columns) {
            sheet.write_string_with_format(0, place, *words, &bold)?;
        }
        Ok(Self {
            book,
            row: 1,
            amounts: HashMap::new(),
            count: Format::new().set_num_format("0"),
            moment: Format::new().set_num_format("yyyy-mm-dd hh:mm:ss"),
            day: Format::new().set_num_format("yyyy-mm-dd"),
        })
    }

    /// Appends a row to the sheet.
    ///
    /// # Errors
    /// Writing to disk fails.
    pub fn add(&mut self, cells: &[Cell]) -> Result<(), Error> {
        let row = self.row;
        for (place, cell) in (0u16..).zip(cells) {
            if let Cell::Amount(money) = cell {
                let digits = money.currency.digits();
                self.amounts.entry(digits).or_insert_with(|| Format::new().set_num_format(shown(digits)));
            }
            let sheet = self.book.worksheet_from_index(0)?;
            match cell {
                Cell::Empty => {}
                Cell::Text(words) => text(sheet, row, place, words)?,
                Cell::Amount(money) => {
                    let format = self.amounts.get(&money.currency.digits()).unwrap_or(&self.count);
                    number(sheet, row, place, &money.decimal(), format)?;
                }
                Cell::Count(count) => number(sheet, row, place, &count.to_string(), &self.count)?,
                Cell::Moment(at) => match ExcelDateTime::from_timestamp(at.div_euclid(1_000_000)) {
                    Ok(moment) => {
                        sheet.write_datetime_with_format(row, place, &moment, &self.moment)?;
                    }
                    Err(_) => text(sheet, row, place, &rfc3339(*at))?,
                },
                Cell::Day(day) => match ExcelDateTime::parse_from_str(day) {
                    Ok(date) => {
                        sheet.write_datetime_with_format(row, place, &date, &self.day)?;
                    }
                    Err(_) => text(sheet, row, place, day)?,
                },
            }
        }
        self.row += 1;
        Ok(())
    }

    /// The finished file.
    ///
    /// # Errors
    /// Writing to disk fails.
    pub fn finish(mut self) -> Result<Vec<u8>, Error> {
        self.book.save_to_buffer()
    }
}

/// The file name: contents and creation date.
pub fn name(what: &str, number: &str, at: i64, ending: &str) -> String {
    format!("bursar-{what}-{}-{}.{ending}", date(at), number.to_lowercase())
}

fn shown(digits: u32) -> &'static str {
    match digits {
        0 => "#,##0",
        2 => "#,##0.00",
        _ => "#,##0.000",
    }
}

/// Writes a text cell; its type keeps it from being evaluated as a formula.
fn text(sheet: &mut Worksheet, row: u32, place: u16, words: &str) -> Result<(), Error> {
    let fitting: String = words.chars().take(MOST_CHARACTERS).collect();
    sheet.write_string(row, place, fitting)?;
    Ok(())
}

fn number(sheet: &mut Worksheet, row: u32, place: u16, decimal: &str, format: &Format) -> Result<(), Error> {
    let digits = decimal.bytes().filter(u8::is_ascii_digit).count();
    match decimal.parse::<f64>() {
        Ok(nearest) if digits <= MOST_DIGITS => {
            sheet.write_number_with_format(row, place, nearest, format)?;
            Ok(())
        }
        Ok(_) | Err(_) => text(sheet, row, place, decimal),
    }
}
