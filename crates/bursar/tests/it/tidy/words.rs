//! Naming rules, and things that must not be left in the text.

use super::{Breach, Rule};
use crate::source::{self, Source};

pub const RULES: &[Rule] = &[
    Rule {
        name: "a transaction is never shortened",
        why: "a transaction is a payment; tx is the database's, so a short form of the one would be read as the other",
        broken: shortened,
        bad: &[
            ("crates/bursar/src/ops/pay.rs", "let txn_id = 1;"),
            ("crates/payout/src/law.rs", "struct PayoutTrx;"),
            ("crates/bursar/src/store/migrations/0002_more.sql", "ALTER TABLE reward ADD COLUMN txn TEXT;"),
            ("crates/bursar/src/work/mod.rs", "let (tx, rx) = channel();"),
        ],
        good: &[("crates/bursar/src/ops/pay.rs", "let transaction = tx.one(transport); // not a txn")],
    },
    Rule {
        name: "nothing is left undone",
        why: "what is not finished is said in an issue, where somebody looks, and not in the code, where nobody does",
        broken: undone,
        bad: &[
            ("crates/payout/src/law.rs", "// TODO: the rest\n"),
            ("crates/payout/src/law.rs", "fn f() { todo!() }"),
            ("crates/payout/src/law.rs", "let x = dbg!(1);"),
            ("crates/bursar/src/web/payouts/pay.html", "<!-- FIXME -->"),
        ],
        good: &[("crates/payout/src/money.rs", "let unknown = \"XXX\"; let todo = 1;")],
    },
    Rule {
        name: "an exception names its reason",
        why: "an allowed lint is a rule broken on purpose; without the purpose nobody can tell when it has gone",
        broken: without_reason,
        bad: &[("crates/payout/src/law.rs", "#[allow(clippy::too_many_lines)]\nfn f() {}")],
        good: &[(
            "crates/payout/src/law.rs",
            "#![allow(clippy::x, reason = \"a table\")]\nfn allow(x: u8) {}",
        )],
    },
    Rule {
        name: "no floating point near money",
        why: "0.1 + 0.2 is not 0.3: money is whole minor units from the reader to the database",
        broken: floating,
        bad: &[
            ("crates/payout/src/money.rs", "fn cents(value: f64) -> i64 { 0 }"),
            ("crates/bursar/src/ops/pay.rs", "let rate: f32 = 1.0;"),
        ],
        good: &[("crates/payout/src/money.rs", "// never f64\nlet digits = \"f64\";")],
    },
    Rule {
        name: "people are they",
        why: "a partner, a payee, a colleague may be anybody; who reads \"he\" of themselves every day reads that they were not meant",
        broken: gendered,
        bad: &[
            ("crates/payout/src/eligibility.rs", "\"Ask the partner for the form that fits his country.\""),
            ("crates/bursar/src/ops/people.rs", "/// When she last gave her password.\n"),
            ("crates/bursar/src/web/payees/invite.html", "<legend>He comes as</legend>"),
            ("docs/operating.md", "Everybody under his own name."),
            ("README.md", "The payer sees it himself."),
            ("crates/sim/src/stage.rs", "//! `mend ana` (her bank details are right now)"),
            ("crates/bursar/tests/it/scenarios/a.txt", "hold ana on  # he is held\n"),
        ],
        good: &[
            ("crates/payout/src/eligibility.rs", "// the other, when they, the history, there, gather\n"),
            ("crates/bursar/src/mail/partner_text/de.rs", "\"her damit\""),
            ("crates/bursar/tests/it/told.rs", "let hers = 1;"),
            ("crates/bursar/src/store/migrations/0006_portal.sql", "-- what his browser calls itself"),
        ],
    },
    Rule {
        name: "templates hold no script and no style",
        why: "the content security policy allows our own files only, so what is written inline does nothing",
        broken: inline,
        bad: &[
            ("crates/bursar/src/web/payouts/pay.html", "<p style=\"color: red\">"),
            ("crates/bursar/src/web/payouts/pay.html", "<button onclick=\"pay()\">"),
            ("crates/bursar/src/web/payouts/pay.html", "<script>pay()</script>"),
        ],
        good: &[(
            "crates/bursar/src/web/payouts/pay.html",
            "<script src=\"/assets/app.js\" defer></script><p data-on=\"x\">",
        )],
    },
];

const GENDERED: [&str; 8] = ["he", "him", "his", "himself", "she", "her", "hers", "herself"];

/// Translations use other words, and a shipped migration is never edited.
const OTHER_TONGUES: [&str; 4] = ["/de.", "/fr.", "/es.", "/ja."];

fn gendered(file: &Source) -> Vec<Breach> {
    let path = file.path.as_str();
    let in_crates = path.starts_with("crates/") && path.contains("/src/");
    let scenario = path.contains("/tests/it/scenarios/") && path.ends_with(".txt");
    let read =
        in_crates || scenario || path.starts_with("docs/") || (path.ends_with(".md") && !path.contains('/'));
    let other = path.contains("/migrations/") || OTHER_TONGUES.iter().any(|tongue| path.contains(tongue));
    if !read || other {
        return Vec::new();
    }
    let words = file.text.lines().enumerate().flat_map(|(number, line)| {
        let words = line.split(|letter: char| !letter.is_alphabetic() && letter != '_');
        words.map(move |word| (number + 1, word.to_lowercase()))
    });
    words.filter(|(_, word)| GENDERED.contains(&word.as_str())).collect()
}

const SHORTENED: [&str; 9] = ["txn", "txns", "trx", "trxs", "xact", "tran", "trans", "txs", "rx"];

fn shortened(file: &Source) -> Vec<Breach> {
    let code = match file.path.rsplit_once('.') {
        Some((_, "rs")) => file.code(),
        Some((_, "sql" | "html" | "js")) => file.text.clone(),
        Some(_) | None => return Vec::new(),
    };
    source::names(&code)
        .filter(|(_, name)| parts(name).iter().any(|part| SHORTENED.contains(&part.as_str())))
        .map(|(line, name)| (line, format!("the name \"{name}\"")))
        .collect()
}

/// The parts of a name: `PayoutTrx` and `payout_trx` are both payout and trx.
fn parts(name: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    for character in name.chars() {
        if character == '_' || character.is_uppercase() {
            parts.push(String::new());
        }
        if let Some(last) = parts.last_mut().filter(|_| character != '_') {
            last.extend(character.to_lowercase());
        }
    }
    parts
}

fn undone(file: &Source) -> Vec<Breach> {
    let text = match file.path.rsplit_once('.') {
        Some((_, "rs")) => file.without_strings(),
        Some((_, "sql" | "html" | "css" | "js" | "toml")) => file.text.clone(),
        Some(_) | None => return Vec::new(),
    };
    let marks = ["TODO", "FIXME", "todo!(", "unimplemented!(", "dbg!("];
    let lines = text.lines().enumerate();
    lines
        .flat_map(|(number, line)| {
            marks.iter().filter(|mark| line.contains(**mark)).map(move |mark| (number, mark))
        })
        .map(|(number, mark)| (number + 1, (*mark).to_owned()))
        .collect()
}

fn without_reason(file: &Source) -> Vec<Breach> {
    if !file.path.ends_with(".rs") {
        return Vec::new();
    }
    let code = file.code();
    let mut found = Vec::new();
    for opening in ["#[allow(", "#![allow(", "#[expect(", "#![expect("] {
        for (at, _) in code.match_indices(opening) {
            let attribute = code[at..].split(']').next().unwrap_or_default();
            if !attribute.contains("reason") {
                found.push((code[..at].matches('\n').count() + 1, attribute.to_owned()));
            }
        }
    }
    found
}

/// A page's gauges and timers may be floats; code that decides, stores or translates money may not.
const MONEY_ROOMS: [&str; 4] =
    ["crates/payout/src/", "crates/vendors/src/", "crates/bursar/src/store/", "crates/bursar/src/ops/"];

fn floating(file: &Source) -> Vec<Breach> {
    if !MONEY_ROOMS.iter().any(|room| file.path.starts_with(room)) || !file.path.ends_with(".rs") {
        return Vec::new();
    }
    let code = file.code();
    let floats = source::names(&code).filter(|(_, name)| matches!(*name, "f32" | "f64"));
    floats.map(|(line, name)| (line, name.to_owned())).collect()
}

fn inline(file: &Source) -> Vec<Breach> {
    if !file.path.starts_with("crates/bursar/src/web/") || !file.path.ends_with(".html") {
        return Vec::new();
    }
    let mut found = Vec::new();
    for (number, line) in file.text.lines().enumerate() {
        let mut words = line.split([' ', '<']);
        let handler = |word: &str| {
            let name = word.split('=').next().unwrap_or_default();
            word.contains('=') && name.len() > 2 && name.starts_with("on")
        };
        let script = line.contains("<script") && !line.contains(" src=");
        let style = line.contains(" style=") || line.contains("<style");
        if script || style || line.contains("javascript:") || words.any(handler) {
            found.push((number + 1, line.trim().to_owned()));
        }
    }
    found
}
