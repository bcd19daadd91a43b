//! An Excel workbook (.xlsx) as the text with rows that every other import file is, so that headers, preview and checks are
//! shared. Reads the first visible sheet with rows. Nothing here trusts the file: every part is counted while it is
//! inflated, and there is a limit for everything that is kept.
//!
//! The text has one line for each row of the sheet, with control characters between and inside the fields that no sheet
//! has, so that a field can contain any text and a line number is the row number that people see.
//! Not here: what the fields mean (`table`).

mod cells;
mod numbers;
mod parts;

use std::fmt;

use payout::Refusal;
use serde::{Deserialize, Serialize};

use self::cells::Grid;
use self::parts::{Book, Item, Limits};

/// Separates the fields of a line.
pub(super) const BETWEEN_FIELDS: char = '\u{1f}';
/// Stands for a line break inside a field.
pub(super) const LINE_BREAK: char = '\u{1e}';
/// Begins a field that cannot be used; a letter for the reason follows, then what the cell shows.
const FAULTY: char = '\u{1a}';

/// How a file begins that may be a workbook: any zip archive.
pub(super) const ZIP: &[u8] = b"PK\x03\x04";

/// No spreadsheet program has longer sheet names.
const LONGEST_NAME: usize = 31;

/// The sheet that was read.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Sheet {
    pub name: String,
    /// Other visible sheets that have rows, which were not read.
    pub others: Vec<String>,
}

/// What was read, for people.
impl fmt::Display for Sheet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Read from the sheet “{}”", self.name)?;
        if self.others.is_empty() {
            return Ok(());
        }
        let others: Vec<String> = self.others.iter().take(5).map(|name| format!("“{name}”")).collect();
        write!(f, "; other sheets with rows were not read: {}", others.join(", "))?;
        match self.others.len().saturating_sub(others.len()) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

/// Why a cell cannot be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CellFault {
    /// The cell shows an error, such as `#N/A`.
    Error,
    /// A number of more digits than a spreadsheet keeps.
    DigitsLost,
    /// A formula without its result.
    NoResult,
    /// A number whose format shows other digits or letters than it has, such as `"INV-"0000` or thousands as `#,##0,`.
    ShownOtherwise,
}

impl CellFault {
    pub const ALL: [Self; 4] = [Self::Error, Self::DigitsLost, Self::NoResult, Self::ShownOtherwise];

    fn letter(self) -> char {
        match self {
            Self::Error => 'e',
            Self::DigitsLost => 'd',
            Self::NoResult => 'n',
            Self::ShownOtherwise => 's',
        }
    }

    pub fn code(self) -> &'static str {
        match self {
            Self::Error => "error_in_cell",
            Self::DigitsLost => "digits_lost",
            Self::NoResult => "formula_without_result",
            Self::ShownOtherwise => "shown_otherwise",
        }
    }

    pub fn sentence(self) -> &'static str {
        match self {
            Self::Error => "This cell shows an error. Fix the formula, or enter the value.",
            Self::DigitsLost => {
                "This number has more than 15 digits, and the spreadsheet keeps only 15. Format the column as text and enter the whole number again."
            }
            Self::NoResult => {
                "This cell has a formula without a result. Open the file in a spreadsheet program, save it and upload it again."
            }
            Self::ShownOtherwise => {
                "The format of this cell shows more, or less, than the number it holds: text around it, or thousands instead of ones. Format the column as text and enter what you see."
            }
        }
    }

    /// A field with this fault.
    fn field(self, shown: &str) -> String {
        format!("{FAULTY}{}{shown}", self.letter())
    }

    /// The fault of a field, and what the cell shows.
    pub(super) fn of(field: &str) -> Option<(Self, &str)> {
        let rest = field.strip_prefix(FAULTY)?;
        Self::ALL.into_iter().find_map(|fault| Some((fault, rest.strip_prefix(fault.letter())?)))
    }
}

/// What a field of a workbook's text shows, faulty or not.
pub(super) fn shown(field: &str) -> &str {
    CellFault::of(field).map_or(field, |(_, shown)| shown)
}

/// Reads a workbook: its text, and the sheet it comes from.
///
/// # Errors
/// If it is not a workbook, is damaged or too large, or no visible sheet has rows.
pub(super) fn read(file: &[u8]) -> Result<(String, Sheet), Refusal> {
    read_within(file, Limits::USUAL)
}

fn read_within(file: &[u8], limits: Limits) -> Result<(String, Sheet), Refusal> {
    let mut book = Book::open(file, limits)?;
    let place = book.workbook()?;
    let listed = Listed::read(&mut book, &place)?;
    let related = book.related(&place)?;
    let styles = match related.iter().find(|one| one.is("styles")) {
        Some(styles) => cells::styles(&mut book, &styles.target)?,
        None => Vec::new(),
    };
    let strings = match related.iter().find(|one| one.is("sharedStrings")) {
        Some(strings) => cells::Strings::read(&mut book, &strings.target)?,
        None => cells::Strings::default(),
    };
    let known = cells::Known { strings: &strings, styles: &styles, from_1904: listed.from_1904 };
    let mut chosen: Option<(String, Grid)> = None;
    let mut others = Vec::new();
    for (name, id) in listed.sheets {
        let Some(part) = related.iter().find(|one| one.is("worksheet") && one.id == id) else { continue };
        // The rest are only searched for a first row.
        let settled = chosen.as_ref().is_some_and(|(_, grid)| grid.rows > 1);
        let grid = Grid::read(&mut book, &part.target, &known, if settled { 1 } else { u64::MAX })?;
        match chosen.take() {
            earlier if grid.rows == 0 => chosen = earlier,
            None => chosen = Some((name, grid)),
            // A title alone is not the table.
            Some((title, first)) if !settled && grid.rows > 1 && first.rows < 2 => {
                others.push(title);
                chosen = Some((name, grid));
            }
            Some(first) => {
                others.push(name);
                chosen = Some(first);
            }
        }
    }
    match chosen {
        Some((name, grid)) => Ok((grid.text()?, Sheet { name, others })),
        None => Err(refused("no_rows", "This workbook has no visible sheet with rows.")),
    }
}

/// What the workbook says about itself.
#[derive(Default)]
struct Listed {
    from_1904: bool,
    /// Name and relationship of each visible sheet.
    sheets: Vec<(String, String)>,
}

impl Listed {
    fn read(book: &mut Book, place: &str) -> Result<Self, Refusal> {
        let most = book.limits().sheets;
        let mut listed = Self::default();
        let mut sheets = 0_usize;
        let mut part = book.part(place)?.ok_or_else(parts::damaged)?;
        loop {
            match part.next()? {
                Item::Start(tag) if tag.is("workbookPr") => {
                    listed.from_1904 = tag.get("date1904").is_some_and(|word| word == "1" || word == "true");
                }
                Item::Start(tag) if tag.is("sheet") => {
                    sheets += 1;
                    if sheets > most {
                        return Err(parts::too_large(&format!("has more than {most} sheets")));
                    }
                    if tag.get("state").is_none_or(|state| state == "visible") {
                        let name = cells::clean(&tag.get("name").unwrap_or_default());
                        let name = name.chars().take(LONGEST_NAME).collect();
                        listed.sheets.push((name, tag.get("id").unwrap_or_default()));
                    }
                }
                Item::Start(_) | Item::End(_) | Item::Text(_) | Item::Other => {}
                Item::Eof => return Ok(listed),
            }
        }
    }
}

/// The refusal of a workbook that cannot be read.
pub(super) fn unreadable() -> Refusal {
    parts::damaged()
}

fn refused(code: &'static str, message: &str) -> Refusal {
    Refusal::new(code, message.to_owned()).at("file")
}

#[cfg(test)]
mod tests;
