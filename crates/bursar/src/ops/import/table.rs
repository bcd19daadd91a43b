//! A file as rows with named columns, and its import report. Headers map to columns by name here, or as a person has
//! chosen (`layout`).

use std::collections::BTreeSet;
use std::ops::Range;

use payout::Refusal;
use payout::external;
use payout::money::Sum;
use serde::{Deserialize, Serialize};

use super::layout::{Layout, Places};
use super::records::{Lines, Records};
use super::source::Source;
use super::workbook::{CellFault, Sheet};

/// Why one row was rejected.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RowError {
    /// The line of the file on which the row begins; the header is line 1.
    pub line: u64,
    /// The column; empty if the row as a whole is wrong.
    pub column: &'static str,
    pub code: &'static str,
    /// What is wrong and what to write instead.
    pub detail: String,
    /// The value in the file, truncated if long; empty if the field is empty, if the row as a whole is wrong, and for
    /// destinations.
    pub value: String,
}

/// The most characters of a value shown with its error.
const MOST_OF_A_VALUE: usize = 80;

/// A value from the file for display. Destinations are masked everywhere, so they are left out here.
pub(super) fn quoted(column: &str, text: &str) -> String {
    if column == "destination" {
        return String::new();
    }
    let mut shortened: String = text.chars().take(MOST_OF_A_VALUE).collect();
    if shortened.len() < text.len() {
        shortened.push('…');
    }
    shortened
}

/// The result of importing a file.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Report {
    /// Rows saved, or that would be.
    pub accepted: u64,
    /// Rows that already existed with the same content.
    pub duplicates: u64,
    /// Rejected rows, each with its reason.
    pub rejected: Vec<RowError>,
    /// Counts of the file's lines. The three fields above add up to its rows.
    pub lines: Lines,
    /// The sheet that was read, of a workbook.
    pub sheet: Option<Sheet>,
    /// The total of the accepted rewards, one per currency.
    pub totals: Vec<Sum>,
    /// Existing payees whose destination the file sets or changes; each such row counts as accepted.
    pub destinations: Vec<DestinationChange>,
}

/// A new or changed destination of an existing payee.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DestinationChange {
    /// The line of the file.
    pub line: u64,
    /// The payee's external id.
    pub external_id: String,
    /// The previous destination, masked; `None` if there was none.
    pub old: Option<String>,
    /// The new destination, masked for display.
    pub new: String,
}

/// The destinations that a file changes: counts, and the first rows.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Destinations {
    /// How many payees' destinations change.
    pub changed: u64,
    /// Existing payees who had no destination.
    pub first: u64,
    /// The first rows: changed destinations first, then by line.
    pub rows: Vec<DestinationChange>,
}

/// At most this many are listed; the rest are only counted.
const NAMED: usize = 100;

impl Destinations {
    pub fn of(all: &[DestinationChange]) -> Self {
        let count = |with: bool| all.iter().filter(|one| one.old.is_some() == with).count() as u64;
        // List changed destinations before new ones.
        let mut rows: Vec<DestinationChange> = all.to_vec();
        rows.sort_by_key(|one| (one.old.is_none(), one.line));
        rows.truncate(NAMED);
        Self { changed: count(true), first: count(false), rows }
    }

    /// Removes one that could not be set.
    pub fn refused(&mut self, one: &DestinationChange) {
        let count = if one.old.is_some() { &mut self.changed } else { &mut self.first };
        *count = count.saturating_sub(1);
        self.rows.retain(|row| row.line != one.line);
    }

    /// Describes the changes to existing payees' destinations; `None` if there are none.
    pub fn destination_changes(&self, future: bool) -> Option<String> {
        let would = if future { "would be" } else { "is" };
        let would_many = if future { "would be" } else { "are" };
        let changed = match self.changed {
            0 => None,
            1 => Some(format!("1 destination {would} changed: that payee is then paid elsewhere.")),
            many => Some(format!(
                "{many} destinations {would_many} changed: those payees are then paid elsewhere."
            )),
        };
        let first = match self.first {
            0 => None,
            1 => Some(format!("1 payee without a destination {would} given one.")),
            many => Some(format!("{many} payees without a destination {would_many} given one.")),
        };
        let messages: Vec<String> = changed.into_iter().chain(first).collect();
        (!messages.is_empty()).then(|| messages.join(" "))
    }
}

/// One row, with its fields in the order of the known columns.
pub(super) struct Row {
    pub(super) line: u64,
    columns: &'static [&'static str],
    fields: Vec<String>,
}

impl Row {
    /// A field; empty if the file does not have the column.
    pub(super) fn get(&self, column: &str) -> &str {
        let at = self.columns.iter().position(|known| *known == column);
        at.and_then(|at| self.fields.get(at)).map_or("", String::as_str)
    }

    /// A field that may be empty.
    pub(super) fn optional(&self, column: &str) -> Option<String> {
        Some(self.get(column)).filter(|text| !text.is_empty()).map(str::to_owned)
    }

    /// The row's full content, for comparison with other rows of the file.
    pub(super) fn content(&self) -> String {
        self.fields.join("\u{1f}")
    }

    /// A field that must not be empty.
    pub(super) fn required(&self, column: &'static str) -> Result<&str, RowError> {
        match self.get(column) {
            // A field of blanks and invisible characters counts as empty.
            text if external::folded(text).is_empty() => {
                Err(problem(self, column, "missing", "This field is empty; the row needs it."))
            }
            text if payout::direction::has_controls(text) => {
                Err(problem(self, column, "invalid", crate::ops::partners::NO_DIRECTION))
            }
            text => match crate::ops::partners::unfit(text) {
                Some(message) => Err(problem(self, column, "invalid", message)),
                None => Ok(text),
            },
        }
    }
}

/// An error in a field of a row.
pub(super) fn problem(row: &Row, column: &'static str, code: &'static str, detail: &str) -> RowError {
    let value = quoted(column, row.get(column));
    RowError { line: row.line, column, code, detail: detail.to_owned(), value }
}

/// At most this many errors of a row are reported.
const MOST_FAULTS: usize = 5;

/// The errors of a row. They are reported as one: the first is the row's error, and the others are appended to its detail,
/// so that all can be fixed at once.
#[derive(Default)]
pub(super) struct Faults(Vec<RowError>);

impl Faults {
    /// The value that was read; `None` if it is an error.
    pub(super) fn take<T>(&mut self, read: Result<T, RowError>) -> Option<T> {
        match read {
            Ok(good) => Some(good),
            Err(fault) => {
                // Only the first error of each field is reported.
                if !self.0.iter().any(|known| known.column == fault.column) {
                    self.0.push(fault);
                }
                None
            }
        }
    }

    /// Combines the errors.
    ///
    /// # Errors
    /// If there is one.
    pub(super) fn end(self) -> Result<(), RowError> {
        let more = self.0.len().saturating_sub(MOST_FAULTS);
        let mut faults = self.0.into_iter();
        let Some(mut first) = faults.next() else { return Ok(()) };
        for other in faults.take(MOST_FAULTS - 1) {
            let value =
                if other.value.is_empty() { String::new() } else { format!(" “{}”", other.value) };
            first.detail.push_str(&format!(" Also {}{value}: {}", other.column, other.detail));
        }
        if more > 0 {
            first.detail.push_str(&format!(" And {more} more."));
        }
        Err(first)
    }

    /// The values that were read, if there were no errors.
    ///
    /// # Errors
    /// If there was one.
    pub(super) fn all<T>(self, row: &Row, read: Option<T>) -> Result<T, RowError> {
        self.end()?;
        read.ok_or_else(|| problem(row, "", "invalid", "This row cannot be read."))
    }
}

/// A refusal as an error of the row, at the column it names.
pub(super) fn refused(row: &Row, refusal: &Refusal) -> RowError {
    problem(row, refusal.field.unwrap_or(""), refusal.code, &refusal.sentence)
}

/// A file that was read as a whole.
pub(super) struct Table {
    pub(super) rows: Vec<Row>,
    unreadable: Vec<RowError>,
    lines: Lines,
    sheet: Option<Sheet>,
}

impl Table {
    /// Reads a file with these columns, some of them required.
    ///
    /// # Errors
    /// If it is neither UTF-8 nor a workbook, has no header, or its header has an unknown, duplicate or missing column.
    pub(super) async fn read(
        file: &[u8],
        columns: &'static [&'static str],
        required: &[&str],
    ) -> Result<Self, Refusal> {
        Self::of_source(&Source::of(file).await?, columns, required)
    }

    fn of_source(
        source: &Source,
        columns: &'static [&'static str],
        required: &[&str],
    ) -> Result<Self, Refusal> {
        let text = &source.text;
        let delimiter = u8::try_from(source.delimiter).unwrap_or(b',');
        let mut records = Records::of(text, delimiter)?;
        let header: Vec<&str> = records.header.iter().map(|name| name.trim()).collect();
        unnamed(&header, Records::of(text, delimiter)?)?;
        let places = places(&header, columns, required)?;
        let table = Self::of(&mut records, columns, &places, as_it_is, 0..usize::MAX);
        Ok(Self { sheet: source.sheet.clone(), ..table })
    }

    /// Reads some rows of a text with a chosen column mapping.
    ///
    /// # Errors
    /// If it cannot be read as CSV.
    pub(super) fn mapped(
        text: &str,
        layout: &Layout,
        places: &Places,
        some: Range<usize>,
    ) -> Result<Self, Refusal> {
        let mut records = Records::of(text, layout.delimiter())?;
        let clean = if layout.is_ours() { bare } else { as_it_is };
        Ok(Self::of(&mut records, places.columns, &places.at, clean, some))
    }

    fn of(
        records: &mut Records,
        columns: &'static [&'static str],
        places: &[Option<usize>],
        clean: fn(&str) -> &str,
        some: Range<usize>,
    ) -> Self {
        let (width, of_sheet) = (records.header.len(), records.of_sheet);
        let (mut rows, mut unreadable, mut place) = (Vec::new(), Vec::new(), 0);
        while place < some.end {
            let Some(record) = records.next() else { break };
            place += 1;
            if place <= some.start {
                continue;
            }
            let line = record.line;
            match record.fields {
                Ok(fields) if fields.len() == width => {
                    let field = |(column, place): (&&'static str, &Option<usize>)| {
                        let text = clean(place.and_then(|at| fields.get(at)).map_or("", String::as_str));
                        if let Some((fault, shown)) = CellFault::of(text).filter(|_| of_sheet) {
                            let (code, detail) = (fault.code(), fault.sentence().to_owned());
                            return Err(RowError {
                                line,
                                column,
                                code,
                                detail,
                                value: quoted(column, shown),
                            });
                        }
                        read_field(column, text).map_err(|refusal| {
                            let Refusal { code, sentence: detail, .. } = refusal;
                            let value = quoted(column, text);
                            RowError { line, column, code, detail, value }
                        })
                    };
                    let mut faults = Faults::default();
                    let read = columns.iter().zip(places).map(field);
                    let fields = read.map(|read| faults.take(read).unwrap_or_default()).collect();
                    match faults.end() {
                        Ok(()) => rows.push(Row { line, columns, fields }),
                        Err(fault) => unreadable.push(fault),
                    }
                }
                Ok(fields) => {
                    let detail = format!("The row has {} fields, but the header has {width}.", fields.len());
                    let (code, value) = ("wrong_field_count", String::new());
                    unreadable.push(RowError { line, column: "", code, detail, value });
                }
                Err((at, fault)) => {
                    let column = places.iter().position(|place| *place == Some(at));
                    let column = column.and_then(|known| columns.get(known)).copied().unwrap_or("");
                    let detail = fault.sentence().to_owned();
                    let (code, value) = (fault.code(), String::new());
                    unreadable.push(RowError { line, column, code, detail, value });
                }
            }
        }
        Self { rows, unreadable, lines: records.lines, sheet: None }
    }

    /// An initial report, with the rows that could not be read.
    pub(super) fn report(&self) -> Report {
        let (rejected, sheet) = (self.unreadable.clone(), self.sheet.clone());
        Report { rejected, lines: self.lines, sheet, ..Report::default() }
    }

    /// The distinct values of a column.
    pub(super) fn distinct(&self, column: &str) -> Vec<String> {
        let values: BTreeSet<&str> = self.rows.iter().map(|row| row.get(column)).collect();
        values.into_iter().filter(|value| !value.is_empty()).map(str::to_owned).collect()
    }
}

/// Normalizes a field: ids in their normal form; anything else except free text without surrounding blanks, which
/// spreadsheets leave after a comma.
fn read_field(column: &str, text: &str) -> Result<String, Refusal> {
    match column {
        "external_id" => external::in_file(text).and_then(|normal| external::entered(&normal)),
        "activity" | "owner" | "account" | "program" => external::in_file(text),
        "note" | "form_reference" => Ok(text.to_owned()),
        _ => Ok(text.trim().to_owned()),
    }
}

/// Put before a field that a spreadsheet would take for a formula.
pub(super) const APOSTROPHE: char = '\'';

/// Whether a spreadsheet would take a field for a formula, unless it is a plain number.
pub(super) fn looks_like_formula(field: &str) -> bool {
    field.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'])
}

fn as_it_is(field: &str) -> &str {
    field
}

/// A field of a file that we wrote, without the apostrophe that we may have added.
fn bare(field: &str) -> &str {
    field.strip_prefix(APOSTROPHE).filter(|rest| looks_like_formula(rest)).unwrap_or(field)
}

/// Refuses a file with values in a column without a name. An empty column is fine: spreadsheets save cleared columns.
fn unnamed(header: &[&str], mut records: Records) -> Result<(), Refusal> {
    if header.iter().all(|name| !name.is_empty()) || header.iter().all(|name| name.is_empty()) {
        return Ok(());
    }
    while let Some(record) = records.next() {
        let fields = record.fields.unwrap_or_default();
        let holds = |place: usize| fields.get(place).is_some_and(|field| !field.trim().is_empty());
        if let Some(place) = (0..header.len()).find(|place| header[*place].is_empty() && holds(*place)) {
            let message = format!(
                "Column {} of the file has no name in the header but has a value on line {}. Name it or empty it. Nothing was imported.",
                place + 1,
                record.line
            );
            return Err(Refusal::new("unknown_column", message).at("header"));
        }
    }
    Ok(())
}

/// The position of each known column in the file.
fn places(
    header: &[&str],
    columns: &[&'static str],
    required: &[&str],
) -> Result<Vec<Option<usize>>, Refusal> {
    let known = columns.join(", ");
    for (at, name) in header.iter().enumerate().filter(|(_, name)| !name.is_empty()) {
        if !columns.contains(name) {
            let message = format!(
                "The file has an unknown column {name:?}; the known columns are: {known}. Nothing was imported."
            );
            return Err(Refusal::new("unknown_column", message).at("header"));
        }
        if header.iter().take(at).any(|earlier| earlier == name) {
            let message = format!("The column {name:?} is in the header twice. Nothing was imported.");
            return Err(Refusal::new("duplicate_column", message).at("header"));
        }
    }
    if let Some(missing) = required.iter().find(|name| !header.iter().any(|found| *found == **name)) {
        let message = format!("The column {missing:?} is missing from the header. Nothing was imported.");
        return Err(Refusal::new("missing_column", message).at("header"));
    }
    Ok(columns.iter().map(|name| header.iter().position(|found| *found == *name)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: &[&str] = &["a", "b", "c"];

    fn read(file: &[u8]) -> Result<Table, &'static str> {
        let source = Source::of_text(file).map_err(|refusal| refusal.code)?;
        Table::of_source(&source, COLUMNS, &["a", "b"]).map_err(|refusal| refusal.code)
    }

    #[test]
    fn a_row_tells_its_first_faults_and_how_many_more_there_are() {
        let mut faults = Faults::default();
        for column in ["a", "b", "c", "d", "e", "f", "g"] {
            let fault =
                RowError { line: 2, column, code: "x", detail: format!("{column}."), value: String::new() };
            faults.take::<()>(Err(fault));
        }
        let told = faults.end().unwrap_err();
        assert_eq!(told.detail, "a. Also b: b. Also c: c. Also d: d. Also e: e. And 2 more.");
    }

    #[test]
    fn a_file_is_refused_as_a_whole_or_read_row_by_row() {
        for (file, code) in [
            (&b"a,b\n1,\xe9\n"[..], "not_utf8"),
            (b"a,b,d\n1,2,3\n", "unknown_column"),
            (b"a,b,a\n1,2,3\n", "duplicate_column"),
            (b"a,c\n1,2\n", "missing_column"),
            (b"", "missing_column"),
        ] {
            assert_eq!(read(file).err(), Some(code));
        }
        let table = read(b"\xef\xbb\xbfb,a\r\n\"x\r\ny\",1\r\n2\r\nz,3\r\n").unwrap();
        let rows: Vec<_> = table.rows.iter().map(|row| (row.line, row.get("a"), row.get("b"))).collect();
        assert_eq!(rows, [(2, "1", "x\r\ny"), (5, "3", "z")]);
        let old = read(b"a,b\r1,2\r3\r5,6\r").unwrap();
        let lines: Vec<u64> = old.rows.iter().map(|row| row.line).chain([old.unreadable[0].line]).collect();
        assert_eq!(lines, [2, 4, 3]);
        assert_eq!(table.rows[0].get("c"), "");
        assert_eq!(table.report().rejected[0].line, 4);
    }

    #[test]
    fn the_furniture_of_a_spreadsheet_is_no_data() {
        let rows = |file: &[u8]| -> Vec<(u64, String, String)> {
            let table = read(file).unwrap();
            assert_eq!(table.unreadable, [], "{}", String::from_utf8_lossy(file));
            table
                .rows
                .iter()
                .map(|row| (row.line, row.get("a").to_owned(), row.get("b").to_owned()))
                .collect()
        };
        let one = |line| vec![(line, "1".to_owned(), "2".to_owned())];
        for (file, line) in [
            (&b"a,b\n1,2\n,\n , \n\n,\n"[..], 2),
            (b"a,b,,\n,,,\n1,2,,\n", 3),
            (b"sep=;\r\na;b\r\n1;2\r\n", 3),
            (b"a;b\n1;2\n", 2),
            (b"a\tb\n1\t2\n", 2),
            (b"SEP=|\na|b\n1|2\n", 3),
            (b"a, b\n1, 2\n", 2),
        ] {
            assert_eq!(rows(file), one(line), "{}", String::from_utf8_lossy(file));
        }
        assert_eq!(read(b"a,b,\n1,2,\n3,4,x\n").err(), Some("unknown_column"), "it holds something");
        assert_eq!(read(b"sep=;\n").err(), Some("missing_column"));
        let counted = read(b"sep=,\na,b\n1,2\n,\n\n3,4\n").unwrap().lines;
        assert_eq!((counted.total, counted.header, counted.blank, counted.rows()), (6, 2, 2, 2));
    }
}
