//! The file of rejected rows: as they were uploaded, with the reason in front, to be fixed and uploaded again. Its cells
//! are escaped so that a spreadsheet does not run them as formulas.

use std::collections::HashMap;

use payout::Refusal;

use super::layout::{Layout, REASON};
use super::records::Records;
use super::table::{APOSTROPHE, looks_like_formula};
use super::workbook::shown;
use crate::store::imports::Refused;

/// Writes the file. It starts with a byte-order mark; without it, a spreadsheet would assume another encoding and save it
/// that way.
///
/// # Errors
/// If the uploaded file can no longer be read.
pub(super) fn write(text: &str, layout: &Layout, refused: &[Refused]) -> Result<String, Refusal> {
    let reasons: HashMap<u64, &Refused> =
        refused.iter().map(|row| (u64::try_from(row.line).unwrap_or_default(), row)).collect();
    // A file written by us has the previous reasons in its first column.
    let skip = usize::from(layout.is_ours());
    // Escape even if the file looks like ours: anybody can name their first column like ours, and the cells are the
    // sender's.
    let mut records = Records::of(text, layout.delimiter())?;
    let of_sheet = records.of_sheet;
    let clean = |field: &str| safe(if of_sheet { shown(field) } else { field });
    let mut builder = csv::WriterBuilder::new();
    // The rejected rows of a workbook are CSV as well.
    let delimiter = if of_sheet { b',' } else { layout.delimiter() };
    let mut file = builder.flexible(true).delimiter(delimiter).from_writer(Vec::new());
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
            // The fields cannot be told apart. As a single cell the row is rejected again until somebody rewrites it.
            Err(_) => row.push(safe(record.raw)),
        }
        file.write_record(&row).map_err(|error| broken(&error))?;
    }
    let bytes = file.into_inner().map_err(|error| broken(&error.error()))?;
    Ok(format!("\u{feff}{}", String::from_utf8_lossy(&bytes)))
}

/// Escapes a field that a spreadsheet would take for a formula. Plain numbers stay numbers.
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
        // Uploaded again, its rejected rows keep their content and get the new reason.
        let again = file.trim_start_matches('\u{feff}');
        let (layout, rows) = Layout::of(again).unwrap();
        assert!(layout.is_ours() && rows == 3);
        let file = write(again, &layout, &[refused(2, "note")]).unwrap();
        assert_eq!(file, "\u{feff}reason;id;value;note\nnote: No.;2;-5.00;'=1+1\n");
        // A foreign file that looks like ours cannot smuggle in a formula.
        let theirs = "reason;id;=note\nold;1;\"=HYPERLINK(\"\"http://evil.example\"\")\"\n";
        let (layout, _) = Layout::of(theirs).unwrap();
        let file = write(theirs, &layout, &[refused(2, "id")]).unwrap();
        assert_eq!(
            file,
            "\u{feff}reason;id;'=note\nid: No.;1;\"'=HYPERLINK(\"\"http://evil.example\"\")\"\n"
        );
    }
}
