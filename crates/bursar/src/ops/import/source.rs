//! An uploaded file as text with rows, whichever type it has.

use std::borrow::Cow;

use payout::Refusal;
use tokio::sync::Semaphore;

use super::records::hint;
use super::workbook::{self, BETWEEN_FIELDS, Sheet};

/// How many workbooks are unpacked at once: each may take 200 MB.
static AT_ONCE: Semaphore = Semaphore::const_new(2);

pub(super) struct Source<'a> {
    pub(super) text: Cow<'a, str>,
    pub(super) delimiter: char,
    /// The sheet of a workbook.
    pub(super) sheet: Option<Sheet>,
}

impl<'a> Source<'a> {
    /// Reads a file. Its first bytes say what it is, not its name. A workbook is unpacked on a blocking thread, so that other
    /// requests continue.
    ///
    /// # Errors
    /// If it is neither a workbook nor UTF-8 text, or too large.
    pub(super) async fn of(file: &'a [u8]) -> Result<Self, Refusal> {
        if !file.starts_with(workbook::ZIP) {
            return Self::of_text(file);
        }
        let file = file.to_vec();
        // Held by the thread: it goes on if the client hangs up.
        let turn = AT_ONCE.acquire().await;
        let read = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            workbook::read(&file)
        });
        let (text, sheet) = read.await.unwrap_or_else(|error| {
            tracing::error!(%error, "a workbook could not be read");
            Err(workbook::unreadable())
        })?;
        Ok(Self { text: Cow::Owned(text), delimiter: BETWEEN_FIELDS, sheet: Some(sheet) })
    }

    /// Reads a text file.
    ///
    /// # Errors
    /// If it is not UTF-8 text.
    pub(super) fn of_text(file: &'a [u8]) -> Result<Self, Refusal> {
        let text = text(file)?;
        Ok(Self { text: Cow::Borrowed(text), delimiter: delimiter(text), sheet: None })
    }
}

/// The delimiter of a text: the one a first line `sep=;` names, or else the most frequent one outside quotes in the first
/// line.
pub(super) fn delimiter(text: &str) -> char {
    if let (Some(named), _) = hint(text) {
        return named;
    }
    let mut quoted = false;
    let mut counts = [(',', 0), (';', 0), ('\t', 0)];
    for letter in text.chars() {
        match letter {
            '"' => quoted = !quoted,
            '\n' | '\r' if !quoted => break,
            _ if quoted => {}
            letter => counts.iter_mut().filter(|(it, _)| *it == letter).for_each(|(_, count)| *count += 1),
        }
    }
    // On a tie, the first one wins.
    counts.iter().rev().max_by_key(|(_, count)| *count).map_or(',', |(letter, _)| *letter)
}

/// The text of a file, without its byte-order mark.
///
/// # Errors
/// If it is not UTF-8, or contains characters that no text has.
fn text(file: &[u8]) -> Result<&str, Refusal> {
    if let Some(what) = not_a_table(file) {
        let message = format!(
            "This file is {what}, neither CSV nor an Excel workbook (.xlsx). Nothing was imported. Open it, save it as .xlsx or as \"CSV UTF-8\", and import that."
        );
        return Err(Refusal::new("not_csv", message).at("file"));
    }
    if file.starts_with(b"\xFF\xFE") || file.starts_with(b"\xFE\xFF") {
        return Err(utf16());
    }
    let text = std::str::from_utf8(file).map_err(|error| match in_two_bytes(file) {
        true => utf16(),
        false => not_utf8(file, error.valid_up_to()),
    })?;
    match text.find('\0') {
        Some(_) if in_two_bytes(file) => Err(utf16()),
        Some(at) => Err(not_utf8(file, at)),
        None => Ok(text.strip_prefix('\u{feff}').unwrap_or(text)),
    }
}

/// The name of a file type that is neither CSV nor a workbook, by its first bytes.
fn not_a_table(file: &[u8]) -> Option<&'static str> {
    const KINDS: [(&[u8], &str); 7] = [
        (b"PK\x05\x06", "an empty archive"),
        (
            b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1",
            "an old spreadsheet format (such as .xls) or a workbook protected with a password",
        ),
        (b"%PDF-", "a PDF"),
        (b"{\\rtf", "a word processor document"),
        (b"<!doctype html", "a web page"),
        (b"<html", "a web page"),
        (b"<?xml", "an XML file"),
    ];
    let begins = |mark: &[u8]| file.get(..mark.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(mark));
    KINDS.iter().find(|(mark, _)| begins(mark)).map(|(_, what)| *what)
}

/// Whether every second byte at the start is zero, as in UTF-16 without a byte-order mark.
fn in_two_bytes(file: &[u8]) -> bool {
    let begin = file.get(..64).unwrap_or(file);
    let nothing = |from: usize| begin.iter().skip(from).step_by(2).filter(|byte| **byte == 0).count();
    begin.len() > 3 && (nothing(0) * 2 >= begin.len() / 2 || nothing(1) * 2 >= begin.len() / 2)
}

fn utf16() -> Refusal {
    let message = "The file is in UTF-16, which Excel calls \"Unicode Text\". Nothing was imported. Save it as \"CSV UTF-8\", one of the types under Save As, and import it again.";
    Refusal::new("not_utf8", message).at("file")
}

fn not_utf8(file: &[u8], at: usize) -> Refusal {
    let before = file.get(..at).unwrap_or(&[]);
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let begins = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let (place, byte) = (at - begins + 1, file.get(at).copied().unwrap_or_default());
    let message = format!(
        "The file is not UTF-8: byte {place} of line {line} is 0x{byte:02X}, which is not valid there. Nothing was imported. Save it as \"CSV UTF-8\" and import it again."
    );
    Refusal::new("not_utf8", message).at("file")
}
