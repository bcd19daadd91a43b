//! Command output: results to standard output, everything else to standard error. A reader that closes early (a pager,
//! `head`) is not an error.

use std::io::Write as _;

use serde::Serialize;

/// Prints a line of a result.
pub fn print_line(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Prints a result for programs: one JSON object on one line.
pub fn json(value: &impl Serialize) {
    print_line(&serde_json::to_string(value).unwrap_or_default());
}

/// Prints an error or a remark beside the result.
pub fn complain(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Prints a table with columns as wide as needed; columns of numbers are right-aligned.
pub fn table(head: &[&str], rows: &[Vec<String>]) {
    let cells = |column: usize| rows.iter().filter_map(move |row| row.get(column));
    let columns: Vec<(usize, bool)> = (0..head.len())
        .map(|column| {
            let widths = cells(column).map(|cell| cell.chars().count());
            let width = widths.chain([head.get(column).map_or(0, |cell| cell.chars().count())]).max();
            (width.unwrap_or(0), cells(column).all(|cell| is_amount(cell)))
        })
        .collect();
    let line = |cells: Vec<&str>| {
        let padded = cells.iter().zip(&columns).map(|(cell, (width, right))| {
            let gap = " ".repeat(width.saturating_sub(cell.chars().count()));
            if *right { format!("{gap}{cell}") } else { format!("{cell}{gap}") }
        });
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    print_line(&line(head.to_vec()));
    print_line(&columns.iter().map(|(width, _)| "─".repeat(*width)).collect::<Vec<_>>().join("  "));
    for row in rows {
        print_line(&line(row.iter().map(String::as_str).collect()));
    }
}

/// A number, optionally followed by a currency.
fn is_amount(cell: &str) -> bool {
    let number = cell.split(' ').next().unwrap_or("").trim_start_matches('-');
    !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
}
