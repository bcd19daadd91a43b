//! Rules for files: length, name, first line, and line width.

use super::{Breach, Rule};
use crate::source::Source;

pub const RULES: &[Rule] = &[
    Rule {
        name: "no file over 800 lines",
        why: "a file that cannot be read at one sitting holds more than one thing: part it by what it is about",
        broken: too_long,
        bad: &[("crates/bursar/src/ops/pay.rs", OVERLONG)],
        good: &[("crates/bursar/tests/it/snapshots/law.snap.txt", OVERLONG)],
    },
    Rule {
        name: "no drawers",
        why: "a file named for nothing in particular fills with everything: name it for what is in it",
        broken: drawer,
        bad: &[
            ("crates/bursar/src/web/helpers.rs", ""),
            ("crates/bursar/src/utils/mod.rs", ""),
            ("crates/payout/src/lib.rs", "pub mod types { }"),
        ],
        good: &[("crates/bursar/src/web/form.rs", "mod page; // not utils\nlet s = \"mod utils\";")],
    },
    Rule {
        name: "every source file says what it is",
        why: "a module doc (//!) is the first thing read: what the thing is, then what is deliberately not here",
        broken: without_doc,
        bad: &[("crates/bursar/src/ops/pay.rs", "use payout::Refusal;\n")],
        good: &[
            ("crates/bursar/src/ops/pay.rs", "//! Pay.\n"),
            ("crates/bursar/tests/it/pay.rs", "fn f() {}"),
        ],
    },
    Rule {
        name: "no line over 128 characters, or 160 in tests",
        why: "rustfmt breaks code at 110 but leaves comments and macros alone; strings, addresses and tables may run on",
        broken: too_wide,
        bad: &[("crates/payout/src/lib.rs", WIDE)],
        good: &[("crates/payout/src/lib.rs", WIDE_STRING), ("crates/payout/src/lib.rs", WIDE_ROW)],
    },
];

const MOST_LINES: usize = 800;
const MOST_CHARACTERS: usize = 128;
const MOST_CHARACTERS_IN_TESTS: usize = 160;

const DRAWERS: [&str; 10] =
    ["util", "utils", "helper", "helpers", "common", "type", "types", "misc", "prelude", "shared"];

fn too_long(file: &Source) -> Vec<Breach> {
    let written_by_hand =
        [".rs", ".sql", ".html", ".css", ".js"].iter().any(|ending| file.path.ends_with(ending));
    let lines = file.text.lines().count();
    let told = (MOST_LINES, format!("{lines} lines"));
    if written_by_hand && lines > MOST_LINES { vec![told] } else { Vec::new() }
}

fn drawer(file: &Source) -> Vec<Breach> {
    let named = |name: &&str| DRAWERS.contains(&name.split('.').next().unwrap_or(name));
    let mut found: Vec<Breach> =
        file.path.split('/').filter(named).map(|name| (1, format!("the path holds \"{name}\""))).collect();
    if file.path.ends_with(".rs") {
        for (number, line) in file.code().lines().enumerate() {
            let mut words = line.split(|character: char| !character.is_alphanumeric() && character != '_');
            let module = words.find(|word| *word == "mod").and_then(|_| words.next());
            found.extend(module.filter(named).map(|name| (number + 1, format!("mod {name}"))));
        }
    }
    found
}

fn without_doc(file: &Source) -> Vec<Breach> {
    let is_source =
        file.path.starts_with("crates/") && file.path.contains("/src/") && file.path.ends_with(".rs");
    let documented = file.text.starts_with("//!");
    if is_source && !documented { vec![(1, "begins without //!".to_owned())] } else { Vec::new() }
}

fn too_wide(file: &Source) -> Vec<Breach> {
    if !file.path.ends_with(".rs") {
        return Vec::new();
    }
    let most = if file.path.contains("/tests/") { MOST_CHARACTERS_IN_TESTS } else { MOST_CHARACTERS };
    let text = file.without_strings();
    let wide =
        text.lines().enumerate().filter(|(_, line)| !line.contains("://") && !line.starts_with("//! |"));
    let wide = wide.map(|(number, line)| (number + 1, line.chars().count()));
    wide.filter(|(_, width)| *width > most)
        .map(|(line, width)| (line, format!("{width} characters")))
        .collect()
}

const WIDE: &str = "// A comment that goes on and on and on and on and on and on and on and on and on and on and on and on and on and on \
                    and on and on, to no end.";

const WIDE_STRING: &str = "let told = \"A string that goes on and on and on and on and on and on and on and on and on and on and on and on and on \
                           and on and on, to no end.\";";

const WIDE_ROW: &str = "//! | a row | of a table | that goes on and on and on and on and on and on and on and on and \
                        on and on and on and on |";

const OVERLONG: &str = {
    const LINES: [u8; 801] = [b'\n'; 801];
    match std::str::from_utf8(&LINES) {
        Ok(text) => text,
        Err(_) => "",
    }
};
