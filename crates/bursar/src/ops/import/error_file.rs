//! The file of the rows that were refused: as they were, with the reason before them, to be mended and uploaded again.
//! No cell of it is a formula where it is opened.

use std::collections::HashMap;

use payout::Refusal;

use super::layout::{Layout, REASON};
use super::records::Records;
use super::table::{APOSTROPHE, looks_like_formula};
use crate::store::imports::Refused;

/// Writes it. It begins with a byte-order mark, without which a spreadsheet takes it for another encoding and would save
/// it so.
///
/// # Errors
/// When the file that was uploaded cannot be read any more.
pub(super) fn write(text: &str, layout: &Layout, refused: &[Refused]) -> Result<String, Refusal> {
    let reasons: HashMap<u64, &Refused> =
        refused.iter().map(|row| (u64::try_from(row.line).unwrap_or_default(), row)).collect();
    // A file of ours has the reasons of the last time in its first column.
    let skip = usize::from(layout.is_ours());
    // Ours or not, its cells are what its sender wrote: anybody can call their first column as we call ours.
    let clean = |field: &str| safe(field);
    let mut records = Records::of(text, layout.delimiter())?;
    let mut builder = csv::WriterBuilder::new();
    let mut file = builder.flexible(true).delimiter(layout.delimiter()).from_writer(Vec::new());
    let broken = |error: &dyn std::fmt::Display| {
        Refusal::new("not_csv", format!("The file of refused rows cannot be written: {error}."))
    };
    let header = records.header.clone();
    let mut row: Vec<String> = vec![REASON.to_owned()];
    row.extend(header.iter().skip(skip).map(|field| clean(field)));
    file.write_record(&row).map_err(|error| broken(&error))?;
    while let Some(record) = records.next() {
        let Some(refused) = reasons.get(&record.line) else { continue };
        let reason = match refused.field.as_str() {
            "" => refused.detail.clone(),
            field => format!("{field}: {}", refused.detail),
        };
        row.clear();
        row.push(safe(&reason));
        match &record.fields {
            Ok(fields) => row.extend(fields.iter().skip(skip).map(|field| clean(field))),
            // What its fields are nobody can tell. In one cell it is refused again, until somebody has written it anew.
            Err(_) => row.push(safe(record.raw)),
        }
        file.write_record(&row).map_err(|error| broken(&error))?;
    }
    let bytes = file.into_inner().map_err(|error| broken(&error.error()))?;
    Ok(format!("\u{feff}{}", String::from_utf8_lossy(&bytes)))
}

/// A field that no spreadsheet takes for a formula. Plain numbers stay numbers.
fn safe(field: &str) -> String {
    match looks_like_formula(field) && !is_number(field) {
        true => format!("{APOSTROPHE}{field}"),
        false => field.to_owned(),
    }
}

fn is_number(field: &str) -> bool {
    let digits = field.strip_prefix(['-', '+']).unwrap_or(field);
    digits.starts_with(|letter: char| letter.is_ascii_digit())
        && digits.chars().all(|letter| letter.is_ascii_digit() || matches!(letter, '.' | ','))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(line: i64, field: &str) -> Refused {
        let (code, detail) = ("invalid".to_owned(), "No.".to_owned());
        Refused { line, field: field.to_owned(), code, detail, value: String::new() }
    }

    #[test]
    fn refused_rows_come_with_their_reason_and_without_formulas() {
        let text = "id;value;note\n1;5.00;good\n2;-5.00;\"=1+1\"\n3;\"a\nb\"\n4;@x;\"+49 30\"\n";
        let (layout, _) = Layout::of(text).unwrap();
        let file = write(text, &layout, &[refused(3, "value"), refused(4, ""), refused(6, "id")]).unwrap();
        let expected =
            "\u{feff}reason;id;value;note\nvalue: No.;2;-5.00;'=1+1\nNo.;3;\"a\nb\"\nid: No.;4;'@x;'+49 30\n";
        assert_eq!(file, expected);
        // Its own refused rows keep what it says, with the new reason.
        let again = file.trim_start_matches('\u{feff}');
        let (layout, rows) = Layout::of(again).unwrap();
        assert!(layout.is_ours() && rows == 3);
        let file = write(again, &layout, &[refused(2, "note")]).unwrap();
        assert_eq!(file, "\u{feff}reason;id;value;note\nnote: No.;2;-5.00;'=1+1\n");
        // Another's file that looks like ours is no way to bring a formula in.
        let theirs = "reason;id;=note\nold;1;\"=HYPERLINK(\"\"http://evil.example\"\")\"\n";
        let (layout, _) = Layout::of(theirs).unwrap();
        let file = write(theirs, &layout, &[refused(2, "id")]).unwrap();
        assert_eq!(
            file,
            "\u{feff}reason;id;'=note\nid: No.;1;\"'=HYPERLINK(\"\"http://evil.example\"\")\"\n"
        );
    }
}
