//! Boilerplate without information: it makes files longer, and hides the comments that explain something.

use super::{Breach, Rule};
use crate::source::Source;

pub const RULES: &[Rule] = &[
    Rule {
        name: "errors are described where there is something to say",
        why: "that a database may not answer is true of every function that asks it; said eight hundred times it hides the errors \
              that are somebody's own",
        broken: of_course,
        bad: &[(
            "crates/bursar/src/store/rewards.rs",
            "/// A reward.\n///\n/// # Errors\n/// When the database does not answer.\npub async fn one() {}",
        )],
        good: &[(
            "crates/bursar/src/store/rewards.rs",
            "/// A reward.\n///\n/// # Errors\n/// When there is none, or the database does not answer.\npub async fn one() {}",
        )],
    },
    Rule {
        name: "only libraries mark results that must be used",
        why: "inside the program the compiler warns of unused results already; on a plain function the mark is noise",
        broken: marked,
        bad: &[("crates/bursar/src/ops/pay.rs", "#[must_use]\npub fn total() -> i64 { 0 }")],
        good: &[
            ("crates/payout/src/money.rs", "#[must_use]\npub fn total() -> i64 { 0 }"),
            ("crates/bursar/src/work_limit.rs", "#[must_use]\npub struct Turn;"),
        ],
    },
    Rule {
        name: "a comment says more than a name",
        why: "`/// When it came.` above `received_at` is a line to read and nothing to learn; a unit, an id's owner, a form are",
        broken: short,
        bad: &[
            (
                "crates/bursar/src/store/events.rs",
                "struct Event {\n    /// When it came.\n    received_at: i64,\n}",
            ),
            ("crates/bursar/src/mail/language.rs", "enum Language {\n    /// French.\n    Fr,\n}"),
        ],
        good: &[
            ("crates/bursar/src/store/events.rs", "    /// Microseconds UTC.\n    received_at: i64,"),
            ("crates/bursar/src/store/events.rs", "    /// Our own id.\n    id: String,"),
            (
                "crates/bursar/src/store/events.rs",
                "    /// `RW-000231` without its prefix.\n    number: i64,",
            ),
            (
                "crates/bursar/src/store/events.rs",
                "    /// When it came, by the clock of this machine.\n    at: i64,",
            ),
            (
                "crates/bursar/src/cli/why.rs",
                "#[derive(Args)]\nstruct Options {\n    /// Print JSON\n    json: bool,\n}",
            ),
        ],
    },
];

/// Files of the program's own code: library crates are documented for their users.
fn is_ours(file: &Source) -> bool {
    let library = ["crates/payout/", "crates/vendors/"].iter().any(|library| file.path.starts_with(library));
    file.path.starts_with("crates/") && file.path.contains("/src/") && file.path.ends_with(".rs") && !library
}

fn of_course(file: &Source) -> Vec<Breach> {
    let lines: Vec<&str> = file.text.lines().map(str::trim).collect();
    let alone = |at: &usize| {
        lines[*at] == "/// # Errors"
            && lines.get(at + 1) == Some(&"/// When the database does not answer.")
            && !lines.get(at + 2).is_some_and(|next| next.starts_with("///"))
    };
    let code = file.path.starts_with("crates/") && file.path.contains("/src/");
    (0..lines.len()).filter(|at| code && alone(at)).map(|at| (at + 1, lines[at + 1].to_owned())).collect()
}

fn marked(file: &Source) -> Vec<Breach> {
    let lines: Vec<&str> = file.text.lines().map(str::trim).collect();
    let of_function = |at: &usize| {
        let next = lines[*at..].iter().find(|line| !line.starts_with("#["));
        lines[*at] == "#[must_use]" && next.is_some_and(|line| format!(" {line}").contains(" fn "))
    };
    (0..lines.len())
        .filter(|at| is_ours(file) && of_function(at))
        .map(|at| (at + 1, lines[at].to_owned()))
        .collect()
}

/// In files with one of these, comments are shown to users: as help of a command or a field of the API.
const SPOKEN: [&str; 8] =
    ["ToSchema", "IntoParams", "Args", "Parser", "Subcommand", "ValueEnum", "shapes!", "macro_rules!"];
/// Words that make a short comment informative: a format, a unit, whose ID it is.
const TELLING: [&str; 9] = ["`", "[", "id", "UTC", "minor", "units", "own", "seconds", "bytes"];

fn short(file: &Source) -> Vec<Breach> {
    if !is_ours(file) || SPOKEN.iter().any(|word| file.text.contains(word)) {
        return Vec::new();
    }
    let lines: Vec<&str> = file.text.lines().map(str::trim).collect();
    let is_doc =
        |at: Option<usize>| at.and_then(|at| lines.get(at)).is_some_and(|line| line.starts_with("///"));
    let says_little = |at: &usize| {
        let Some(words) = lines[*at].strip_prefix("///") else { return false };
        let alone = !is_doc(at.checked_sub(1)) && !is_doc(Some(at + 1));
        let tells = TELLING.iter().any(|word| words.contains(word))
            || words.contains(|one: char| one.is_ascii_digit());
        alone && !tells && words.split_whitespace().count() < 5
    };
    (0..lines.len()).filter(says_little).map(|at| (at + 1, lines[at].to_owned())).collect()
}
