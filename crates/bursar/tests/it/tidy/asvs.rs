//! `docs/security/asvs.md` covers the whole Application Security Verification Standard: no item is missing, each states its
//! status, and the evidence it names exists. Not here: whether a row is right, which needs a reader.

use super::{Breach, Rule};
use crate::source::{self, Source};

pub const RULES: &[Rule] = &[
    Rule {
        name: "each item of the ASVS has one row",
        why: "what is left out looks as if it were met; and whoever changes a row counts again",
        broken: left_out,
        bad: &[
            (PAGE, "| V1.1.1 | 2 | a | met | `Cargo.toml` |\n"),
            (PAGE, "| V1.2.10 | 3 | an item of another level | met | `Cargo.toml` |\n"),
        ],
        good: &[("docs/proof.md", "| V1.1.1 | 2 | a | met | `Cargo.toml` |\n")],
    },
    Rule {
        name: "a row of the ASVS says how it stands",
        why: "met, not applicable or gap, and the last two with why: anything else is read as whatever the reader hopes",
        broken: unsaid,
        bad: &[
            (PAGE, "| V1.1.1 | 2 | a | partly | `Cargo.toml` |\n"),
            (PAGE, "| V1.1.1 | 2 | a | gap | – |\n"),
            (PAGE, "| V1.1.1 | 2 | a | not applicable | – |\n"),
        ],
        good: &[(
            PAGE,
            "| V1.1.1 | 2 | a | met | – |\n| V1.1.2 | 2 | a | met: b | – |\n| V1.2.1 | 1 | a | gap: b | – |\n",
        )],
    },
    Rule {
        name: "what shows an item of the ASVS is there",
        why: "a test that was renamed, or a heading that has gone, shows nothing any more",
        broken: unshown,
        bad: &[
            (PAGE, "| V1.1.1 | 2 | a | met | – |\n"),
            (PAGE, "| V1.1.1 | 2 | a | met | `nowhere.rs` `the_house_is_tidy` |\n"),
            (PAGE, "| V1.1.1 | 2 | a | met | `tidy.rs` `the_house_is_untidy` |\n"),
            (PAGE, "| V1.1.1 | 2 | a | met | `tidy.rs` `the_house_is_tidy`, `nothing_of_the_kind` |\n"),
            (PAGE, "| V1.1.1 | 2 | a | met | `the_house_is_tidy` |\n"),
            (PAGE, "| V1.1.1 | 2 | a | met | `docs/api.md` “No such heading” |\n"),
            (PAGE, "| V1.1.1 | 2 | a | gap: b | `tidy.rs` `the_house_is_untidy` |\n"),
        ],
        good: &[
            (
                PAGE,
                "| V1.1.1 | 2 | a | met | `tidy.rs` `the_house_is_tidy`; `web/kit/extract.rs` `what_is_wrong_is_pointed_at` |\n",
            ),
            (
                PAGE,
                "| V1.1.1 | 2 | a | met | `docs/api.md` “Conventions”, “Errors”; `payout/src/access.rs` `who_may_do_what` |\n",
            ),
            (PAGE, "| V1.1.1 | 2 | a | met | `Cargo.toml` |\n| V1.1.2 | 2 | a | gap: b | – |\n"),
        ],
    },
];

const PAGE: &str = "docs/security/asvs.md";

/// The items of levels 1 and 2 of version 5.0.0, by section.
const ITEMS: &str = "V1.1 1 2; V1.2 1 2 3 4 5 6 7 8 9; V1.3 1 2 3 4 5 6 7 8 9 10 11; V1.4 1 2 3; V1.5 1 2; V2.1 1 2 3; \
    V2.2 1 2 3; V2.3 1 2 3 4; V2.4 1; V3.2 1 2; V3.3 1 2 3 4; V3.4 1 2 3 4 5 6; V3.5 1 2 3 4 5; V3.7 1 2; \
    V4.1 1 2 3; V4.2 1; V4.3 1 2; V4.4 1 2 3 4; V5.1 1; V5.2 1 2 3; V5.3 1 2; V5.4 1 2 3; V6.1 1 2 3; \
    V6.2 1 2 3 4 5 6 7 8 9 10 11 12; V6.3 1 2 3 4; V6.4 1 2 3 4; V6.5 1 2 3 4 5; V6.6 1 2 3; V6.8 1 2 3 4; \
    V7.1 1 2 3; V7.2 1 2 3 4; V7.3 1 2; V7.4 1 2 3 4 5; V7.5 1 2; V7.6 1 2; V8.1 1 2; V8.2 1 2 3; V8.3 1; \
    V8.4 1; V9.1 1 2 3; V9.2 1 2 3 4; V10.1 1 2; V10.2 1 2; V10.3 1 2 3 4; V10.4 1 2 3 4 5 6 7 8 9 10 11; \
    V10.5 1 2 3 4 5; V10.6 1 2; V10.7 1 2 3; V11.1 1 2; V11.2 1 2 3; V11.3 1 2 3; V11.4 1 2 3 4; V11.5 1; \
    V11.6 1; V12.1 1 2 3; V12.2 1 2; V12.3 1 2 3 4; V13.1 1; V13.2 1 2 3 4 5; V13.3 1 2; V13.4 1 2 3 4 5; \
    V14.1 1 2; V14.2 1 2 3 4; V14.3 1 2 3; V15.1 1 2 3; V15.2 1 2 3; V15.3 1 2 3 4 5 6 7; V16.1 1; \
    V16.2 1 2 3 4 5; V16.3 1 2 3 4; V16.4 1 2 3; V16.5 1 2 3; V17.1 1; V17.2 1 2 3 4; V17.3 1 2";

fn items() -> impl Iterator<Item = String> {
    ITEMS.split(';').flat_map(|section| {
        let mut words = section.split_whitespace();
        let section = words.next().unwrap_or_default();
        words.map(move |number| format!("{section}.{number}"))
    })
}

/// A row of the page: its line from 1, and the cells that are checked.
struct Row<'a> {
    line: usize,
    item: &'a str,
    level: &'a str,
    stands: &'a str,
    shown: &'a str,
}

fn rows(file: &Source) -> Vec<Row<'_>> {
    if file.path != PAGE {
        return Vec::new();
    }
    let mut found = Vec::new();
    for (number, line) in file.text.lines().enumerate().filter(|(_, line)| line.starts_with("| V")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let cell = |place: usize| cells.get(place).copied().unwrap_or_default();
        let (line, item, level) = (number + 1, cell(0), cell(1));
        found.push(Row { line, item, level, stands: cell(3), shown: cell(4) });
    }
    found
}

/// The status of a row as one word; the rest of the cell explains it.
fn word<'a>(row: &Row<'a>) -> &'a str {
    row.stands.split_once(": ").map_or(row.stands, |(word, _)| word)
}

fn left_out(file: &Source) -> Vec<Breach> {
    if file.path != PAGE {
        return Vec::new();
    }
    let (rows, items): (Vec<Row<'_>>, Vec<String>) = (rows(file), items().collect());
    let mut found = Vec::new();
    for item in &items {
        let lines: Vec<usize> = rows.iter().filter(|row| row.item == item).map(|row| row.line).collect();
        match lines.as_slice() {
            [] => found.push((1, format!("{item} has no row"))),
            [_] => {}
            [_, again, ..] => found.push((*again, format!("{item} has a row already"))),
        }
    }
    let strange = rows.iter().filter(|row| items.iter().all(|item| row.item != item));
    found.extend(strange.map(|row| (row.line, format!("{} is no item of levels 1 and 2", row.item))));
    let count = |wanted: &str| rows.iter().filter(|row| word(row) == wanted).count();
    let message = format!(
        "Of the {} items {} are met, {} do not apply and {} are gaps; {} of the gaps are of level 1.",
        items.len(),
        count("met"),
        count("not applicable"),
        count("gap"),
        rows.iter().filter(|row| word(row) == "gap" && row.level == "1").count()
    );
    if !file.text.contains(&message) {
        found.push((1, format!("it does not say: {message}")));
    }
    found
}

fn unsaid(file: &Source) -> Vec<Breach> {
    let said = |row: &Row<'_>| match word(row) {
        "met" => true,
        "not applicable" | "gap" => row.stands.contains(": "),
        _ => false,
    };
    let unsaid = rows(file).into_iter().filter(|row| !said(row));
    unsaid.map(|row| (row.line, format!("{}: {}", row.item, row.stands))).collect()
}

/// Looks up the evidence in a row in order: a file, then tests in it, or its headings.
fn unshown(file: &Source) -> Vec<Breach> {
    let mut found = Vec::new();
    for row in rows(file) {
        let mut missing = Vec::new();
        let (mut named, mut shown): (Option<Source>, usize) = (None, 0);
        for (place, part) in row.shown.split('`').enumerate() {
            match (place % 2, part.contains('.')) {
                (0, _) => {
                    for heading in headings(part) {
                        shown += 1;
                        if named.as_ref().is_none_or(|one| !has_heading(one, heading)) {
                            missing.push(format!("no heading “{heading}”"));
                        }
                    }
                }
                (_, true) => {
                    named = look_up(part);
                    // A test file or document is evidence only through what is named in it.
                    shown += usize::from(!part.ends_with(".rs") && !part.ends_with(".md"));
                    if named.is_none() {
                        missing.push(format!("no file {part}"));
                    }
                }
                (_, false) => {
                    shown += 1;
                    if named.as_ref().is_none_or(|one| !has_function(one, part)) {
                        missing.push(format!("no function {part}"));
                    }
                }
            }
        }
        if word(&row) == "met" && shown == 0 {
            missing.push("nothing shows it".to_owned());
        }
        found.extend(missing.into_iter().map(|what| (row.line, format!("{}: {what}", row.item))));
    }
    found
}

/// A file as named on the page: a test, a module of the program, a file of another crate, or a path from the root.
fn look_up(name: &str) -> Option<Source> {
    let folders = ["crates/bursar/tests/it/", "crates/bursar/src/", "crates/", ""];
    folders.iter().find_map(|folder| source::file(&format!("{folder}{name}")))
}

fn headings(text: &str) -> impl Iterator<Item = &str> {
    text.split('“').skip(1).filter_map(|rest| rest.split_once('”')).map(|(heading, _)| heading)
}

fn has_heading(file: &Source, heading: &str) -> bool {
    let lines = file.text.lines().filter(|line| line.starts_with('#'));
    lines.map(|line| line.trim_start_matches('#').trim()).any(|line| line == heading)
}

fn has_function(file: &Source, name: &str) -> bool {
    file.code().contains(&format!("fn {name}("))
}

#[test]
fn the_page_about_the_asvs_is_there() {
    assert!(source::file(PAGE).is_some(), "{PAGE} is gone, and with it what its rules look at");
}
