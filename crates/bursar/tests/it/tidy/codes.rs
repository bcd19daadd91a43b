//! Every error code that a program can receive is documented in `web/kit/codes`, and the documentation's statements about
//! codes are accurate. Not here: whether the texts are right, which needs a reader who knows the code path.

use std::collections::BTreeSet;

use bursar::web::kit::codes;
use payout::eligibility::{Code, Scope};
use payout::reconciliation::Standing;

use super::{Breach, Rule};
use crate::said;
use crate::source::{self, Source};

pub const RULES: &[Rule] = &[Rule {
    name: "a code of an answer has its words",
    why: "whoever meets a code at night looks it up on the page of the codes, where the type of every error leads",
    broken: without_words,
    bad: &[
        ("crates/bursar/src/ops/pay.rs", "Err(Refusal::new(\"no_such_code\", told).into())"),
        (
            "crates/bursar/src/ops/pay.rs",
            "Refusal::new(\n    \"no_such_code\",\n    format!(\"{name}, and \\\"more\\\"\"),\n)",
        ),
        ("crates/bursar/src/web/guard.rs", "Problem::new(StatusCode::CONFLICT, \"no_such_code\", told)"),
        ("crates/bursar/src/ops/settings.rs", "return refuse(\"fees\", \"no_such_code\", told);"),
        ("crates/bursar/src/web/payments/api.rs", "FieldError { pointer, code: \"no_such_code\", detail }"),
        ("crates/payout/src/tax.rs", "let code = if odd { \"no_such_code\" } else { \"invalid\" };"),
        ("crates/bursar/src/ops/import/table.rs", "let (code, value) = (\"no_such_code\", String::new());"),
        (
            "crates/bursar/src/ops/vendors.rs",
            "const ODD: &str = \"no_such_code\";\nfn f() { Refusal::new(ODD, told) }",
        ),
        (
            "crates/payout/src/law/command.rs",
            "    pub fn code(self) -> &'static str {\n        match self {\n            Self::Odd => \"no_such_code\",\n        }\n    }\n",
        ),
    ],
    good: &[
        ("crates/bursar/src/ops/pay.rs", "Refusal::new(\"invalid\", told).at(\"no_such_code\")"),
        ("crates/bursar/src/ops/pay.rs", "// Refusal::new(\"no_such_code\", told)\n"),
        ("crates/bursar/src/ops/people.rs", "passkeys::refused(tx, \"no_such_code\")"),
        ("crates/bursar/src/cli/key.rs", "Refusal::new(\"no_such_code\", told)"),
        (
            "crates/payout/src/lib.rs",
            "#[cfg(test)]\nmod tests {\n    fn f() { Refusal::new(\"no_such_code\", told); }\n}\n",
        ),
    ],
}];

/// The functions that refuse: the code is the last argument but one, before the message.
const CALLS: [&str; 11] = [
    "Refusal::new",
    "Problem::new",
    "Self::new",
    "bad_request",
    "refuse",
    "refused",
    "wrong",
    "bad",
    "field",
    "here",
    "problem",
];

/// Fields for which a function of one of these names takes no code.
const FIELDS: [&str; 14] = [
    "after",
    "bom",
    "client_id",
    "columns",
    "currency",
    "format",
    "group",
    "layout",
    "limit",
    "limits",
    "secret_key",
    "to",
    "value",
    "year",
];

/// Codes that API clients never receive: they occur only on pages, on the command line or inside Bursar, and pages show only
/// the message. If an API call starts returning one, remove it here and document it.
#[rustfmt::skip]
const ON_PAGES: [&str; 70] = [
    "account_taken", "address_suppressed", "addresses_missing", "addresses_required", "already_undone", "ambiguous_name",
    "app_is_needed", "belongs_elsewhere", "changed_since", "database_went_back", "disabled", "done_already",
    "external_id_taken", "file_forgotten", "form_expired", "form_from_elsewhere", "import_state", "in_the_past",
    "invalid_address", "invalid_name", "last_admin", "master_key_changed", "mail_is_carried", "mail_not_given_up", "mail_too_old",
    "malformed_form", "missing_header", "name_taken", "no_address", "no_link", "no_other_way_in", "no_passkey",
    "no_passkeys_here", "no_scope", "no_second_factor", "nobody_held", "not_linked", "not_the_same",
    "not_yours", "nothing_payable", "nothing_unlinked", "one_file", "own_login", "own_role", "password_common",
    "password_names_you", "password_too_long", "password_too_short", "record_readable", "revoked", "safe_mode_open", "same_destination",
    "second_factor_required", "session_over", "session_renewed", "settle_the_payment", "state_refused",
    "stripe_link_elsewhere", "stripe_opens_elsewhere", "too_late", "too_many", "too_many_passkeys", "unknown_country", "unknown_zone",
    "unpaid_rewards", "vendor_not_offered", "which_account", "wrong_partner", "wrong_role", "wrong_scope",
];

/// Modules that send no HTTP responses, the texts themselves, and language names.
const ELSEWHERE: [&str; 6] =
    ["src/cli/", "src/store/", "src/mail/", "src/documents/", "src/web/kit/codes", "src/web/portal/words"];

fn without_words(file: &Source) -> Vec<Breach> {
    let known = codes::all();
    let met = met(file).into_iter();
    met.filter(|(_, code)| !known.contains(&code.as_str()))
        .filter(|(_, code)| !ON_PAGES.contains(&code.as_str()) && !FIELDS.contains(&code.as_str()))
        .map(|(line, code)| (line, format!("{code} has no words")))
        .collect()
}

/// The program without tests and comments; lines are unchanged.
fn program(file: &Source) -> Option<String> {
    let ours = ["crates/bursar/src/", "crates/payout/src/"].iter().any(|root| file.path.starts_with(root));
    if !ours || !file.path.ends_with(".rs") || ELSEWHERE.iter().any(|room| file.path.contains(room)) {
        return None;
    }
    let text = file.text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    let lines = text.lines().map(|line| if line.trim_start().starts_with("//") { "" } else { line });
    Some(lines.collect::<Vec<_>>().join("\n"))
}

/// The codes in a file, each with its line.
fn met(file: &Source) -> Vec<(usize, String)> {
    let Some(text) = program(file) else { return Vec::new() };
    let mut found: Vec<(usize, &str)> = Vec::new();
    for call in CALLS {
        for at in places(&text, &format!("{call}(")) {
            if text[..at].ends_with("fn ") {
                continue;
            }
            let parts = arguments(&text[at + call.len() + 1..]);
            if let [.., code, _] = parts.as_slice() {
                found.extend(literal(code).map(|code| (at, code)));
            }
            let named =
                parts.first().filter(|_| call == "Refusal::new").and_then(|name| constant(&text, name));
            found.extend(named.map(|code| (at, code)));
        }
    }
    for at in places(&text, "code: \"") {
        found.extend(words(&text[at..]).next().filter(|code| is_code(code)).map(|code| (at, code)));
    }
    for (begin, end) in
        [("let code ", ";"), ("let (code", ";"), ("fn code(self) -> &'static str", "\n    }\n")]
    {
        for at in places(&text, begin) {
            let whole = text[at..].split(end).next().unwrap_or_default();
            found.extend(words(whole).filter(|code| is_code(code)).map(|code| (at, code)));
        }
    }
    let line = |at: usize| text[..at].matches('\n').count() + 1;
    found.into_iter().map(|(at, code)| (line(at), code.to_owned())).collect()
}

/// The positions where this occurs as a whole word.
fn places(text: &str, what: &str) -> Vec<usize> {
    let alone = |at: &usize| !text[..*at].ends_with(|letter: char| letter.is_alphanumeric() || letter == '_');
    text.match_indices(what).map(|(at, _)| at).filter(alone).collect()
}

/// The arguments of a call, from just after its opening parenthesis.
fn arguments(text: &str) -> Vec<&str> {
    let (mut parts, mut from, mut depth) = (Vec::new(), 0, 0_usize);
    let (mut quoted, mut escaped) = (false, false);
    for (at, letter) in text.char_indices() {
        if quoted {
            (quoted, escaped) = (escaped || letter != '"', letter == '\\' && !escaped);
            continue;
        }
        match letter {
            '"' => quoted = true,
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' if depth > 0 => depth -= 1,
            ')' | ']' | '}' => {
                parts.push(text[from..at].trim());
                break;
            }
            ',' if depth == 0 => {
                parts.push(text[from..at].trim());
                from = at + 1;
            }
            _ => {}
        }
    }
    parts.retain(|part| !part.is_empty());
    parts
}

/// The value of a string constant in the file.
fn constant<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let at = text.find(&format!("const {name}: &str = \""))?;
    words(&text[at..]).next()
}

fn literal(part: &str) -> Option<&str> {
    part.strip_prefix('"')?.strip_suffix('"').filter(|word| is_code(word))
}

/// The texts between quotation marks.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split('"').skip(1).step_by(2)
}

fn is_code(word: &str) -> bool {
    let plain = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_';
    word.starts_with(|letter: char| letter.is_ascii_lowercase()) && word.chars().all(plain)
}

#[test]
fn no_code_has_words_that_nobody_is_answered() {
    let files = source::files(&[".rs"]);
    let program: String = files.iter().filter_map(program).collect();
    for code in codes::all() {
        assert!(program.contains(&format!("\"{code}\"")), "{code} has words and is answered nowhere");
        assert!(!ON_PAGES.contains(&code), "{code} has words and is said to be on pages alone");
    }
    let met: BTreeSet<String> = files.iter().flat_map(met).map(|(_, code)| code).collect();
    assert!(met.len() > 200, "the codes were not found: {met:?}");
    for code in ON_PAGES.into_iter().chain(FIELDS) {
        assert!(met.contains(code), "{code} is gone: take it off");
    }
}

#[test]
fn every_reason_that_has_words_is_among_the_codes() {
    let group = codes::groups().into_iter().find(|group| group.id == "about-reasons").unwrap();
    let told: BTreeSet<&str> = group.entries.iter().flat_map(|entry| entry.codes.iter().copied()).collect();
    let reasons = said::codes();
    let reasons: BTreeSet<&str> = reasons.iter().map(String::as_str).collect();
    assert_eq!(told, reasons);
}

#[test]
fn what_the_documentation_says_of_codes_is_so() {
    let text = source::file("docs/api.md").unwrap().text;
    let known = codes::all();
    let spans: Vec<&str> = text.split('`').collect();
    let mut seen = 0;
    for pair in spans.windows(2) {
        let before = pair[0].split_whitespace().next_back().unwrap_or_default();
        let status =
            before.trim_start_matches('(').parse::<u16>().is_ok_and(|status| (400..600).contains(&status));
        if status && is_code(pair[1]) {
            assert!(
                known.contains(&pair[1]),
                "docs/api.md tells of {before} {}, which has no words",
                pair[1]
            );
            seen += 1;
        }
    }
    assert!(seen > 30, "{seen}");
    for line in text.lines().filter(|line| line.starts_with("| ")) {
        let Some(scope) = line.split('|').nth(1).and_then(|cell| Scope::parse(cell.trim())) else { continue };
        for code in line.split('`').skip(1).step_by(2) {
            assert_eq!(Code::parse(code).map(Code::scope), Some(scope), "{code}");
        }
    }
    let section = text.split("## Reconciliation").nth(1).unwrap().split("\n## ").next().unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `")?.split('|').next());
    let told: BTreeSet<&str> =
        rows.flat_map(|cell| cell.split('`').step_by(2)).filter(|word| is_code(word)).collect();
    let wrong = Standing::ALL.iter().filter(|standing| **standing != Standing::Ties);
    assert_eq!(told, wrong.map(|standing| standing.as_str()).collect::<BTreeSet<&str>>());
}
