//! The cells of a sheet as rows of text.

use payout::Refusal;

use super::numbers::{Style, iso, shown};
use super::parts::{Book, Item, Limits, Part, Tag, damaged, too_large};
use super::{BETWEEN_FIELDS, CellFault, LINE_BREAK};

/// The last row a sheet can have.
const LAST_ROW: u64 = 1_048_576;
/// The most formats of cells a workbook can have, and more.
const MOST_STYLES: usize = 100_000;

/// The texts that cells refer to by number.
#[derive(Default)]
pub(super) struct Strings {
    text: String,
    /// Offsets into `text`, one after each of the texts.
    ends: Vec<usize>,
}

impl Strings {
    pub(super) fn read(book: &mut Book, name: &str) -> Result<Self, Refusal> {
        let limits = book.limits();
        let mut strings = Self::default();
        let Some(mut part) = book.part(name)? else { return Ok(strings) };
        let (mut reading, mut phonetic) = (false, false);
        loop {
            match part.next()? {
                Item::Start(tag) if tag.is("t") => reading = !phonetic,
                Item::Start(tag) if tag.is("rPh") => phonetic = true,
                Item::Start(_) | Item::Other => {}
                Item::Text(text) if reading => {
                    strings.text.push_str(&text);
                    if strings.text.len() > limits.text {
                        return Err(too_much_text(limits));
                    }
                }
                Item::Text(_) => {}
                Item::End(name) => match name.as_str() {
                    "t" => reading = false,
                    "rPh" => phonetic = false,
                    "si" => {
                        if strings.ends.len() >= limits.strings {
                            return Err(too_large(&format!(
                                "has more than {} different texts",
                                limits.strings
                            )));
                        }
                        strings.ends.push(strings.text.len());
                    }
                    _ => {}
                },
                Item::Eof => return Ok(strings),
            }
        }
    }

    fn get(&self, at: usize) -> Option<&str> {
        let end = *self.ends.get(at)?;
        let start = match at.checked_sub(1) {
            Some(before) => *self.ends.get(before)?,
            None => 0,
        };
        self.text.get(start..end)
    }
}

/// The style of each format of cells.
pub(super) fn styles(book: &mut Book, name: &str) -> Result<Vec<Style>, Refusal> {
    let (mut codes, mut formats, mut inside) = (Vec::<(u32, Style)>::new(), Vec::<u32>::new(), false);
    let Some(mut part) = book.part(name)? else { return Ok(Vec::new()) };
    loop {
        match part.next()? {
            Item::Start(tag) if tag.is("numFmt") => {
                let code = tag.get("formatCode").unwrap_or_default();
                let id = number(&tag, "numFmtId").unwrap_or_default();
                codes.push((id, Style::of(id, Some(&code))));
            }
            Item::Start(tag) if tag.is("cellXfs") => inside = true,
            Item::Start(tag) if tag.is("xf") && inside => {
                formats.push(number(&tag, "numFmtId").unwrap_or_default());
            }
            Item::End(name) if name == "cellXfs" => inside = false,
            Item::Start(_) | Item::End(_) | Item::Text(_) | Item::Other => {}
            Item::Eof => break,
        }
        if codes.len().max(formats.len()) > MOST_STYLES {
            return Err(too_large(&format!("has more than {MOST_STYLES} formats of cells")));
        }
    }
    let codes: std::collections::HashMap<u32, Style> = codes.into_iter().collect();
    Ok(formats.into_iter().map(|id| codes.get(&id).copied().unwrap_or(Style::of(id, None))).collect())
}

fn number<T: std::str::FromStr>(tag: &Tag, name: &str) -> Option<T> {
    tag.get(name)?.parse().ok()
}

fn too_much_text(limits: Limits) -> Refusal {
    too_large(&format!("has more than {} MB of text", limits.text >> 20))
}

/// What a cell's meaning depends on.
pub(super) struct Known<'a> {
    pub(super) strings: &'a Strings,
    pub(super) styles: &'a [Style],
    pub(super) from_1904: bool,
}

/// The rows of a sheet.
pub(super) struct Grid {
    limits: Limits,
    /// The row of the header, and its fields.
    header: (u64, Vec<String>),
    /// The lines below the header.
    body: String,
    /// How many rows have something in them, the header among them.
    pub(super) rows: u64,
    last: u64,
    width: usize,
}

/// A cell that is being read.
#[derive(Default)]
struct Cell {
    column: usize,
    kind: String,
    style: usize,
    text: String,
    formula: bool,
    result: bool,
}

#[derive(Default)]
struct Place {
    row: u64,
    column: usize,
    cell: Option<Cell>,
    /// Whether text belongs to the cell.
    reading: bool,
    phonetic: bool,
    fields: Vec<(usize, String)>,
    /// The bytes of the row so far.
    bytes: usize,
}

impl Grid {
    /// Reads a sheet until it has `most` rows with something in them.
    pub(super) fn read(book: &mut Book, name: &str, known: &Known, most: u64) -> Result<Self, Refusal> {
        let limits = book.limits();
        let header = (0, Vec::new());
        let mut grid = Self { limits, header, body: String::new(), rows: 0, last: 0, width: 0 };
        let mut part = book.part(name)?.ok_or_else(damaged)?;
        let mut place = Place::default();
        while grid.rows < most && grid.step(&mut part, &mut place, known)? {}
        Ok(grid)
    }

    /// Reads one piece; false after the last row.
    fn step(&mut self, part: &mut Part, place: &mut Place, known: &Known) -> Result<bool, Refusal> {
        match part.next()? {
            Item::Start(tag) => self.start(&tag, place)?,
            Item::Text(text) if place.reading => {
                if let Some(cell) = &mut place.cell {
                    cell.text.push_str(&text);
                    if cell.text.len() > self.limits.cell {
                        return Err(too_large("has a cell with too much text"));
                    }
                }
            }
            Item::Text(_) | Item::Other => {}
            Item::End(name) => match name.as_str() {
                "v" | "t" => place.reading = false,
                "rPh" => place.phonetic = false,
                "c" => {
                    let Some(cell) = place.cell.take() else { return Ok(true) };
                    let column = cell.column;
                    let field = cell.field(known)?;
                    if !field.trim().is_empty() {
                        self.keep(place, column, field)?;
                    }
                }
                "row" => self.end_row(place)?,
                "sheetData" => return Ok(false),
                _ => {}
            },
            Item::Eof => return Ok(false),
        }
        Ok(true)
    }

    fn start(&self, tag: &Tag, place: &mut Place) -> Result<(), Refusal> {
        if tag.is("c") {
            let column = match tag.get("r") {
                Some(name) => column(&name, place.row).filter(|column| *column >= place.column),
                None => Some(place.column),
            };
            // Cells stand in order, each in its own row, or a later one would replace what people see.
            let column = column.ok_or_else(damaged)?;
            place.column = column + 1;
            let kind = tag.get("t").unwrap_or_default();
            let style = number(tag, "s").unwrap_or_default();
            place.cell = Some(Cell { column, kind, style, ..Cell::default() });
        } else if tag.is("row") {
            let row = match tag.get("r") {
                Some(row) => row.parse().map_err(|_| damaged())?,
                None => place.row + 1,
            };
            if row <= place.row || row > LAST_ROW {
                return Err(damaged());
            }
            (place.row, place.column) = (row, 0);
        } else if tag.is("rPh") {
            place.phonetic = true;
        } else if let Some(cell) = &mut place.cell {
            // Of two values, or one in an extension, no spreadsheet program shows what both together say.
            if tag.is("v") && cell.result || tag.is("extLst") || tag.is("AlternateContent") {
                return Err(damaged());
            } else if tag.is("v") {
                (cell.result, place.reading) = (true, true);
            } else if tag.is("t") {
                place.reading = !place.phonetic;
            } else if tag.is("f") {
                cell.formula = true;
            }
        }
        Ok(())
    }

    fn keep(&self, place: &mut Place, column: usize, field: String) -> Result<(), Refusal> {
        if column >= self.limits.columns {
            return Err(too_large(&format!("has more than {} columns", self.limits.columns)));
        }
        // A row has each column once, so that it cannot grow without end.
        if place.fields.len() >= self.limits.columns {
            return Err(damaged());
        }
        place.bytes += field.len();
        if place.bytes > self.limits.text {
            return Err(too_much_text(self.limits));
        }
        place.fields.push((column, field));
        Ok(())
    }

    /// Writes the row, if it has something in it.
    fn end_row(&mut self, place: &mut Place) -> Result<(), Refusal> {
        let fields = std::mem::take(&mut place.fields);
        place.bytes = 0;
        let Some(width) = fields.iter().map(|(column, _)| column + 1).max() else { return Ok(()) };
        if self.rows >= self.limits.rows {
            return Err(too_large(&format!("has more than {} rows", self.limits.rows)));
        }
        let mut row = vec![String::new(); width];
        for (column, field) in fields {
            if let Some(place) = row.get_mut(column) {
                *place = field;
            }
        }
        self.rows += 1;
        self.width = self.width.max(width);
        if self.header.0 == 0 {
            self.header = (place.row, row);
        } else {
            (self.last + 1..place.row).for_each(|_| self.body.push('\n'));
            push_line(&mut self.body, &row);
            if self.body.len() > self.limits.text {
                return Err(too_much_text(self.limits));
            }
        }
        self.last = place.row;
        Ok(())
    }

    /// The sheet as a text with one line per row.
    pub(super) fn text(self) -> Result<String, Refusal> {
        let (row, mut header) = self.header;
        // Each column has a name, even if it is empty.
        header.resize(self.width, String::new());
        let mut text = String::with_capacity(self.body.len() + 1024);
        (1..row).for_each(|_| text.push('\n'));
        push_line(&mut text, &header);
        text.push_str(&self.body);
        if text.len() > self.limits.text {
            return Err(too_much_text(self.limits));
        }
        Ok(text)
    }
}

fn push_line(text: &mut String, fields: &[String]) {
    for (at, field) in fields.iter().enumerate() {
        if at > 0 {
            text.push(BETWEEN_FIELDS);
        }
        text.push_str(field);
    }
    text.push('\n');
}

impl Cell {
    /// The cell as people see it.
    fn field(self, known: &Known) -> Result<String, Refusal> {
        if self.formula && !self.result {
            return Ok(CellFault::NoResult.field("="));
        }
        Ok(match self.kind.as_str() {
            "s" => {
                let text = self.text.trim();
                let at = if text.is_empty() { return Ok(String::new()) } else { text.parse().ok() };
                clean(at.and_then(|at| known.strings.get(at)).ok_or_else(damaged)?)
            }
            "str" | "inlineStr" => clean(&self.text),
            "b" => match self.text.trim() {
                "" => String::new(),
                "0" | "false" => "FALSE".to_owned(),
                _ => "TRUE".to_owned(),
            },
            "e" => CellFault::Error.field(&clean(self.text.trim())),
            "d" => clean(&iso(&self.text)),
            _ if self.text.trim().is_empty() => String::new(),
            _ => {
                let style = known.styles.get(self.style).copied().unwrap_or(Style::Number);
                clean_fault(shown(&self.text, style, known.from_1904))
            }
        })
    }
}

/// A number that could not be read shows what the file has, which may be anything.
fn clean_fault(field: String) -> String {
    match CellFault::of(&field) {
        Some((fault, shown)) => fault.field(&clean(shown)),
        None => field,
    }
}

/// The place of a cell's column, from its name such as `AB12`; `None` if it is not of this row.
fn column(name: &str, row: u64) -> Option<usize> {
    let letters = name.trim_end_matches(|sign: char| sign.is_ascii_digit());
    let of_row = name.get(letters.len()..)?.parse() == Ok(row);
    if !of_row || letters.is_empty() || letters.len() > 3 {
        return None;
    }
    let mut at = 0_usize;
    for letter in letters.bytes() {
        match letter.to_ascii_uppercase() {
            letter @ b'A'..=b'Z' => at = at * 26 + usize::from(letter - b'A') + 1,
            _ => return None,
        }
    }
    at.checked_sub(1)
}

/// Text without the escapes and control characters that a workbook may have.
pub(super) fn clean(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("_x") {
        plain.push_str(rest.get(..at).unwrap_or_default());
        let tail = rest.get(at..).unwrap_or_default();
        let code = tail.get(2..6).filter(|_| tail.get(6..7) == Some("_"));
        let letter = code.and_then(|code| u32::from_str_radix(code, 16).ok()).and_then(char::from_u32);
        let (letter, used) = match letter {
            Some(letter) => (letter, 7),
            None => ('_', 1),
        };
        plain.push(letter);
        rest = tail.get(used..).unwrap_or_default();
    }
    plain.push_str(rest);
    let plain = plain.replace("\r\n", "\n");
    let letter = |letter: char| match letter {
        '\n' | '\r' => LINE_BREAK,
        '\t' => '\t',
        control if control.is_control() => ' ',
        letter => letter,
    };
    plain.chars().map(letter).collect()
}
