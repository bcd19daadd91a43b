//! A strict CSV reader: RFC 4180, with a delimiter per file. A quotation mark that is never closed, or is misplaced,
//! invalidates only its own line. Reading resumes on the next line, so no row is ever taken for part of another row's
//! field. Every line of the text is counted.
//!
//! The `csv` crate accepts such a text without an error and puts the swallowed lines into one field; hence this reader.
//! Not here: what the fields mean (`table`).

use std::fmt;

use payout::Refusal;
use serde::{Deserialize, Serialize};

use super::workbook::{BETWEEN_FIELDS, LINE_BREAK, shown};

/// Counts of the lines of a file, by kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Lines {
    pub total: u64,
    pub header: u64,
    /// Lines with only blanks and delimiters.
    pub blank: u64,
    /// Lines that continue the row above, after a line break inside quotes. Every other line is a row.
    pub continued: u64,
}

impl Lines {
    /// The number of rows: each is accepted, a duplicate or rejected.
    pub fn rows(self) -> u64 {
        self.total.saturating_sub(self.header).saturating_sub(self.blank).saturating_sub(self.continued)
    }
}

/// The counts in words, for people.
impl fmt::Display for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = |count, one: &str, more: &str| format!("{count} {}", if count == 1 { one } else { more });
        let rows = words(self.rows(), "row", "rows");
        write!(f, "{}: {} of header, {rows}", words(self.total, "line", "lines"), self.header)?;
        if self.continued > 0 {
            write!(f, ", {} that go on with the row above", self.continued)?;
        }
        write!(f, ", {} blank", self.blank)
    }
}

/// A quoting error in a row.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum QuoteError {
    /// A quotation mark opens a field and none closes it.
    Unclosed,
    /// A quotation mark inside an unquoted field, or a closing one not followed by the end of the field.
    Misplaced,
    /// A quotation mark opens a field that would swallow the rows below.
    AroundRows,
}

impl QuoteError {
    pub(super) fn code(self) -> &'static str {
        match self {
            Self::Unclosed => "unclosed_quote",
            Self::Misplaced => "misplaced_quote",
            Self::AroundRows => "quote_around_rows",
        }
    }

    pub(super) fn sentence(self) -> &'static str {
        match self {
            Self::Unclosed => {
                "This field has an opening quotation mark but no closing one. Close it, or remove it; a quotation mark in the text is written twice, in a field in quotation marks. The lines below were read as separate rows."
            }
            Self::Misplaced => {
                "This field contains a quotation mark. Put the whole field in quotation marks and write each one in the text twice, like \"15\"\" laptop\", or take it out."
            }
            Self::AroundRows => {
                "This field's quotation mark is not closed on its line, so rows below it would become part of the field. Close it, or remove it. The lines below were read as separate rows."
            }
        }
    }
}

/// One record of a text.
pub(super) struct Record<'a> {
    /// The line on which it begins, counted from 1.
    pub(super) line: u64,
    /// Its fields, or the index of the invalid field (from 0) and what is wrong with it.
    pub(super) fields: Result<Vec<String>, (usize, QuoteError)>,
    /// The text of its lines, without the last line end.
    pub(super) raw: &'a str,
}

/// Iterates over the rows of a text.
pub(super) struct Records<'a> {
    rest: &'a str,
    delimiter: u8,
    /// Whether the text was made of a workbook: a line per row, and nothing in quotation marks.
    pub(super) of_sheet: bool,
    pub(super) header: Vec<String>,
    /// Counts of the lines read so far.
    pub(super) lines: Lines,
}

impl<'a> Records<'a> {
    /// # Errors
    /// When the header cannot be read.
    pub(super) fn of(text: &'a str, delimiter: u8) -> Result<Self, Refusal> {
        let of_sheet = char::from(delimiter) == BETWEEN_FIELDS;
        let (hint, rest) = if of_sheet { (None, text) } else { hint(text) };
        let lines = Lines { total: u64::from(hint.is_some()), ..Lines::default() };
        let mut records = Self { rest, delimiter, of_sheet, header: Vec::new(), lines };
        if let Some(header) = records.read(0) {
            let (line, before) = (header.line, records.lines.blank);
            let fields = header.fields.map_err(|(place, fault)| broken_header(line, place, fault))?;
            records.header = fields.iter().map(|field| records.shown(field).to_owned()).collect();
            let lines = &mut records.lines;
            lines.header = lines.total - before;
            lines.continued = 0;
        }
        Ok(records)
    }

    /// What a cell shows, even if its field cannot be used.
    pub(super) fn shown<'f>(&self, field: &'f str) -> &'f str {
        if self.of_sheet { shown(field) } else { field }
    }

    pub(super) fn next(&mut self) -> Option<Record<'a>> {
        self.read(self.header.len())
    }

    /// The next record. `width` is the number of fields per record, 0 for the header.
    fn read(&mut self, width: usize) -> Option<Record<'a>> {
        loop {
            let record = self.read_one(width)?;
            let blank = |fields: &Vec<String>| fields.iter().all(|field| field.trim().is_empty());
            // Spreadsheets save cleared rows as delimiters with nothing between them.
            if width == 0 || !record.fields.as_ref().is_ok_and(blank) {
                return Some(record);
            }
            let lines = self.lines.total + 1 - record.line;
            self.lines.blank += lines;
            self.lines.continued -= lines - 1;
        }
    }

    fn read_one(&mut self, width: usize) -> Option<Record<'a>> {
        while let Some(rest) = after_line_end(self.rest) {
            self.rest = rest;
            self.lines.total += 1;
            self.lines.blank += 1;
        }
        if self.rest.is_empty() {
            return None;
        }
        let line = self.lines.total + 1;
        let mut scan = Scan { text: self.rest, at: 0, line_ends: 0 };
        let fields =
            if self.of_sheet { Ok(scan.fields_of_sheet(width)) } else { scan.fields(self.delimiter, width) };
        if fields.is_err() {
            // Only its own line is invalid.
            scan = Scan { text: self.rest, at: 0, line_ends: 0 };
            scan.skip_line();
        }
        let (raw, rest) = self.rest.split_at(scan.at);
        self.rest = after_line_end(rest).unwrap_or(rest);
        self.lines.total += scan.line_ends + 1;
        self.lines.continued += scan.line_ends;
        Some(Record { line, fields, raw })
    }
}

/// The delimiter named by a first line `sep=;`, a convention of some spreadsheets, and the text below it.
pub(super) fn hint(text: &str) -> (Option<char>, &str) {
    let named = text.get(..4).filter(|begin| begin.eq_ignore_ascii_case("sep=")).and_then(|_| text.get(4..));
    let mut letters = named.unwrap_or_default().chars();
    let separator = letters.next().filter(|letter| matches!(letter, ',' | ';' | '\t' | '|'));
    match (separator, after_line_end(letters.as_str())) {
        (Some(separator), Some(rest)) => (Some(separator), rest),
        (Some(_) | None, _) => (None, text),
    }
}

fn broken_header(line: u64, place: usize, fault: QuoteError) -> Refusal {
    let message = format!(
        "The header on line {line} cannot be read, at its column {}: {} Nothing was imported.",
        place + 1,
        fault.sentence()
    );
    Refusal::new(fault.code(), message).at("header")
}

/// The text after the line end it starts with; `None` if it does not start with one.
fn after_line_end(text: &str) -> Option<&str> {
    text.strip_prefix("\r\n").or_else(|| text.strip_prefix(['\r', '\n']))
}

/// A cursor over a text. Delimiters and quotation marks are ASCII, so it never stops inside a character.
struct Scan<'a> {
    text: &'a str,
    at: usize,
    /// How many line ends were inside quotes.
    line_ends: u64,
}

impl Scan<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn at_line_end(&self) -> bool {
        matches!(self.peek(), None | Some(b'\r' | b'\n'))
    }

    fn skip_line(&mut self) {
        while !self.at_line_end() {
            self.at += 1;
        }
    }

    /// The fields of a row of a sheet, with the empty ones at its end that its line leaves out.
    fn fields_of_sheet(&mut self, width: usize) -> Vec<String> {
        let from = self.at;
        self.skip_line();
        let fields = self.text[from..self.at].split(BETWEEN_FIELDS);
        let mut fields: Vec<String> = fields.map(|field| field.replace(LINE_BREAK, "\n")).collect();
        fields.resize(fields.len().max(width), String::new());
        fields
    }

    /// The fields of the record at the cursor; leaves the cursor at the end of its last line.
    fn fields(&mut self, delimiter: u8, width: usize) -> Result<Vec<String>, (usize, QuoteError)> {
        let mut fields = Vec::with_capacity(width);
        loop {
            let place = fields.len();
            let field = match self.peek() {
                Some(b'"') => self.quoted(delimiter, place, width),
                _ => self.plain(delimiter),
            };
            fields.push(field.map_err(|fault| (place, fault))?);
            if self.at_line_end() {
                return Ok(fields);
            }
            // At the delimiter: nothing else ends a field.
            self.at += 1;
        }
    }

    fn plain(&mut self, delimiter: u8) -> Result<String, QuoteError> {
        let from = self.at;
        while !self.at_line_end() && self.peek() != Some(delimiter) {
            if self.peek() == Some(b'"') {
                return Err(QuoteError::Misplaced);
            }
            self.at += 1;
        }
        Ok(self.text[from..self.at].to_owned())
    }

    /// A quoted field. If it spans lines that look like rows of the file, it is a quoting error, not a text.
    fn quoted(&mut self, delimiter: u8, place: usize, width: usize) -> Result<String, QuoteError> {
        let (mut field, mut delimiters, mut line_ends, mut rows) = (String::new(), 0, 0, false);
        // A sign of swallowed rows: the last line has as many delimiters before the field's end as the first has before its
        // start.
        let around = |rows, line_ends, delimiters| rows || line_ends > 0 && place > 0 && delimiters == place;
        self.at += 1;
        let mut from = self.at;
        loop {
            match self.peek() {
                None => return Err(QuoteError::Unclosed),
                Some(b'"') => {
                    field.push_str(&self.text[from..self.at]);
                    self.at += 1;
                    match self.peek() {
                        // An escaped quote: the second mark belongs to the text, and reading continues from it.
                        Some(b'"') => from = self.at,
                        next if self.at_line_end() || next == Some(delimiter) => break,
                        _ if around(rows, line_ends, delimiters) => return Err(QuoteError::AroundRows),
                        _ => return Err(QuoteError::Misplaced),
                    }
                }
                Some(b'\r') if self.text[self.at..].starts_with("\r\n") => {}
                Some(b'\r' | b'\n') => {
                    rows |= line_ends > 0 && width > 1 && delimiters + 1 >= width;
                    (line_ends, delimiters) = (line_ends + 1, 0);
                }
                Some(letter) => delimiters += usize::from(letter == delimiter),
            }
            self.at += 1;
        }
        if around(rows, line_ends, delimiters) {
            return Err(QuoteError::AroundRows);
        }
        self.line_ends += line_ends;
        Ok(field)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Describes each record of a text for the assertions: its line and fields, or the error and its field.
    fn told(text: &str) -> (Vec<String>, Lines) {
        let mut records = Records::of(text, b',').unwrap();
        let mut messages = Vec::new();
        while let Some(record) = records.next() {
            messages.push(match record.fields {
                Ok(fields) => format!("{} {}", record.line, fields.join("|")),
                Err((place, fault)) => format!("{} !{} at {place}", record.line, fault.code()),
            });
        }
        (messages, records.lines)
    }

    #[test]
    fn every_line_is_counted_as_something() {
        let lines = Lines { total: 9, header: 1, blank: 2, continued: 3 };
        assert_eq!(
            lines.to_string(),
            "9 lines: 1 of header, 3 rows, 3 that go on with the row above, 2 blank"
        );
        let lines = Lines { continued: 0, ..lines };
        assert_eq!(lines.to_string(), "9 lines: 1 of header, 6 rows, 2 blank");
    }

    #[test]
    fn a_quotation_mark_spoils_its_own_line_and_no_other() {
        for (rows, expected) in [
            ("1,\"open\n2,b\n3,c\n", &["2 !unclosed_quote at 1", "3 2|b", "4 3|c"][..]),
            ("\"1,a\n2,b\n", &["2 !unclosed_quote at 0", "3 2|b"]),
            ("1,\"says \"yes\" to it\"\n2,b\n", &["2 !misplaced_quote at 1", "3 2|b"]),
            ("1,15\" wide\n2,b", &["2 !misplaced_quote at 1", "3 2|b"]),
            ("1,\"a\" \n2,b", &["2 !misplaced_quote at 1", "3 2|b"]),
            // Two stray marks that happen to pair up, the second at the end of a field.
            (
                "1,\"5 inch\n2,b\n3,6 inch\"\n4,d\n",
                &["2 !quote_around_rows at 1", "3 2|b", "4 !misplaced_quote at 1", "5 4|d"],
            ),
            ("1,\"5 inch\n2,6 inch\"\n", &["2 !quote_around_rows at 1", "3 !misplaced_quote at 1"]),
            // The second mark opens another field.
            ("1,\"open\n2,\"fine\"\n", &["2 !quote_around_rows at 1", "3 2|fine"]),
        ] {
            let text = format!("id,note\n{rows}");
            let (messages, lines) = told(&text);
            assert_eq!(messages, expected, "{text:?}");
            assert_eq!(
                (lines.rows(), lines.total),
                (messages.len() as u64, text.lines().count() as u64),
                "{text:?}"
            );
        }
    }

    #[test]
    fn rows_over_several_lines_and_blank_lines_are_counted() {
        let (rows, lines) = told("\r\nid,note\r\n1,\"a\r\nb, c and d, e\"\r\n\r\n2,\"\"\"\"\r\n");
        assert_eq!(rows, ["3 1|a\r\nb, c and d, e", "6 2|\""]);
        assert_eq!(lines, Lines { total: 6, header: 1, blank: 2, continued: 1 });
        let old_ends = told("id,note\r1,a\r2,\"b\rc\"\r");
        assert_eq!(old_ends.1, Lines { total: 4, header: 1, blank: 0, continued: 1 });
        assert_eq!(Records::of("a,\"b\nc", b',').err().unwrap().code, "unclosed_quote");
        assert_eq!(told("").1, Lines::default());
    }

    proptest! {
        #[test]
        fn what_the_csv_crate_writes_is_read_back(
            rows in proptest::collection::vec(proptest::collection::vec("[a\", ;é=]{0,4}", 3), 0..6),
        ) {
            let mut writer = csv::Writer::from_writer(Vec::new());
            writer.write_record(["a", "b", "c"]).unwrap();
            for row in &rows {
                writer.write_record(row).unwrap();
            }
            let text = String::from_utf8(writer.into_inner().unwrap()).unwrap();
            let mut records = Records::of(&text, b',').unwrap();
            // A row of blanks counts as cleared, not as data.
            for row in rows.iter().filter(|row| row.iter().any(|field| !field.trim().is_empty())) {
                prop_assert_eq!(records.next().unwrap().fields.unwrap(), row.clone());
            }
            prop_assert!(records.next().is_none());
        }

        #[test]
        fn every_line_of_any_text_is_counted(text in "[a\",\r\n]{0,40}") {
            let Ok(mut records) = Records::of(&text, b',') else { return Ok(()) };
            let mut rows = 0;
            while records.next().is_some() {
                rows += 1;
            }
            let ends = text.replace("\r\n", "\n").matches(['\r', '\n']).count() as u64;
            let open = !text.is_empty() && !text.ends_with(['\r', '\n']);
            prop_assert_eq!(records.lines.total, ends + u64::from(open));
            prop_assert_eq!(records.lines.rows(), rows);
        }
    }
}
