//! What a command says: results to standard output, everything else to standard error.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this is the one place that prints")]

use serde::Serialize;

/// A line of a result.
pub fn say(line: &str) {
    println!("{line}");
}

/// A result for a program: one JSON object on one line.
pub fn json(value: &impl Serialize) {
    println!("{}", serde_json::to_string(value).unwrap_or_default());
}

/// What went wrong, or is worth knowing beside the result.
pub fn complain(line: &str) {
    eprintln!("{line}");
}

/// A table whose columns are as wide as they need to be; numbers stand to the right.
pub fn table(head: &[&str], rows: &[Vec<String>]) {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain([head.get(column).map_or(0, |cell| cell.chars().count())]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let line = |cells: Vec<&str>| {
        let padded = cells.iter().zip(&widths).map(|(cell, width)| {
            let number = cell.chars().next().is_some_and(|c| c.is_ascii_digit());
            let gap = " ".repeat(width.saturating_sub(cell.chars().count()));
            if number { format!("{gap}{cell}") } else { format!("{cell}{gap}") }
        });
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    say(&line(head.to_vec()));
    say(&widths.iter().map(|width| "─".repeat(*width)).collect::<Vec<_>>().join("  "));
    for row in rows {
        say(&line(row.iter().map(String::as_str).collect()));
    }
}
