//! The documentation of every API error code: what happened, what it means for the money, and what to do; and the page
//! that the `type` of every problem links to. Codes already documented in `payout` (blockers, commands, amounts, reasons)
//! use those texts. Not here: when each code is returned, and codes that only appear on pages, which do not show them.

use askama::Template;
use axum::http::Uri;
use axum::response::Response;

use payout::eligibility::Code;
use payout::law::NotNow;
use payout::money::MoneyError;
use payout::reason::{Explanation, explain};
use payout::reconciliation::Standing;

use super::layout::{assets_version, html};
use super::problem::Problem;
use crate::ops::import::wrong_quotes;

/// Declares the documentation of codes: the code, what happened, what it means for the money if anything, what to do.
macro_rules! rows {
    ($($code:ident $happened:literal, $money:literal, $act:literal;)+) => {
        &[$(Row { code: stringify!($code), happened: $happened, money: $money, act: $act },)+]
    };
}

mod doing;
mod reasons;
mod requests;

/// The path of the page: beside the API reference, with the same access.
pub const PATH: &str = "/api/docs/errors";

/// The URL that explains a code.
pub fn address(base_url: &str, code: &str) -> String {
    format!("{base_url}{PATH}#{code}")
}

/// The documentation of a code.
struct Row {
    code: &'static str,
    happened: &'static str,
    money: &'static str,
    act: &'static str,
}

impl Row {
    fn paragraphs(&self) -> Vec<String> {
        [self.happened, self.money].into_iter().filter(|words| !words.is_empty()).map(str::to_owned).collect()
    }

    fn entry(&self) -> Entry {
        Entry { codes: vec![self.code], told: self.paragraphs(), act: self.act.to_owned() }
    }
}

/// Codes on one topic.
struct CodeGroup {
    id: &'static str,
    title: &'static str,
    lead: &'static str,
    rows: &'static [Row],
}

/// Codes with the same meaning, in words.
#[derive(Debug)]
pub struct Entry {
    /// The codes; more than one only if vendors have several codes for the same thing.
    pub codes: Vec<&'static str>,
    /// What happened and what it means, in paragraphs.
    pub told: Vec<String>,
    /// What to do; empty if the paragraphs already say it.
    pub act: String,
}

/// Codes on one topic, in words.
#[derive(Debug)]
pub struct Group {
    /// The anchor; no code has the same name.
    pub id: &'static str,
    /// The title.
    pub title: &'static str,
    /// An introduction that applies to all of them.
    pub lead: &'static str,
    /// The entries.
    pub entries: Vec<Entry>,
}

/// All documentation, by group.
pub fn groups() -> Vec<Group> {
    let areas = requests::AREAS.iter().chain(doing::AREAS);
    let mut all: Vec<Group> = areas.map(group).collect();
    all.extend([blockers(), payment_reasons(), reconciliation()]);
    all
}

/// Every documented code.
pub fn all() -> Vec<&'static str> {
    groups().into_iter().flat_map(|group| group.entries).flat_map(|entry| entry.codes).collect()
}

/// The codes of an area, including those documented elsewhere.
fn group(area: &CodeGroup) -> Group {
    let elsewhere: Vec<Entry> = match area.id {
        requests::AMOUNTS => AMOUNTS.iter().map(|error| of_payout(error.code(), error.sentence())).collect(),
        requests::FILES => {
            wrong_quotes().into_iter().map(|(code, sentence)| of_payout(code, sentence)).collect()
        }
        doing::PAYMENTS => commands(area.rows),
        _ => Vec::new(),
    };
    let said: Vec<&str> = elsewhere.iter().flat_map(|entry| entry.codes.iter().copied()).collect();
    let rows = area.rows.iter().filter(|row| !said.contains(&row.code));
    let entries = rows.map(Row::entry).chain(elsewhere).collect();
    Group { id: area.id, title: area.title, lead: area.lead, entries }
}

/// An entry whose text is the response's own sentence.
fn of_payout(code: &'static str, sentence: &str) -> Entry {
    Entry { codes: vec![code], told: vec![sentence.to_owned()], act: String::new() }
}

/// The errors about amounts only.
const AMOUNTS: [MoneyError; 8] = [
    MoneyError::Signed,
    MoneyError::NotANumber,
    MoneyError::ThousandsMark,
    MoneyError::Blank,
    MoneyError::WithCurrency,
    MoneyError::Exponent,
    MoneyError::TooManyDigits,
    MoneyError::Zero,
];

/// The refusals of commands on a payment. Their sentences say what they mean and what to do; a row's text is appended.
fn commands(rows: &[Row]) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    // This one is generic, and not about payments only.
    for why in NotNow::ALL.iter().filter(|why| **why != NotNow::NotLookedAt) {
        match entries.iter_mut().find(|entry| entry.codes == [why.code()]) {
            Some(entry) => entry.told.push(why.sentence().to_owned()),
            None => entries.push(of_payout(why.code(), why.sentence())),
        }
    }
    for entry in &mut entries {
        // One code with several reasons: what is true of one may be false of another.
        if entry.told.len() > 1 {
            entry.told.insert(0, "One of these; the detail says which.".to_owned());
        }
        if let Some(row) = rows.iter().find(|row| entry.codes == [row.code]) {
            entry.told.extend(row.paragraphs());
            row.act.clone_into(&mut entry.act);
        }
    }
    entries
}

/// The blockers, and what their codes mean as the code of a whole response.
fn blockers() -> Group {
    let entry = |code: &Code| {
        let mut messages = vec![code.message().to_owned()];
        if let Some(row) = doing::OF_BLOCKERS.iter().find(|row| row.code == code.as_str()) {
            let words = [row.happened, row.money, row.act];
            let words: Vec<&str> = words.into_iter().filter(|words| !words.is_empty()).collect();
            messages.push(format!("As the code of a whole answer: {}", words.join(" ")));
        }
        let act = format!("{}. {}", code.who().label(), code.remedy());
        Entry { codes: vec![code.as_str()], told: messages, act }
    };
    Group {
        id: "about-blockers",
        title: "Why something cannot be paid",
        lead: "Codes in blockers[], some of which can also be the code of a whole answer. Nothing has failed: what waits continues when its gate opens.",
        entries: Code::ALL.iter().map(entry).collect(),
    }
}

/// The reasons of payments. Vendors' codes for the same thing are combined into one entry.
fn payment_reasons() -> Group {
    let mut alike: Vec<(Explanation, Vec<&'static str>)> = Vec::new();
    for code in reasons::CODES {
        let meant = explain(code);
        match alike.iter_mut().find(|(known, _)| *known == meant) {
            Some((_, codes)) => codes.push(code),
            None => alike.push((meant, vec![code])),
        }
    }
    let entry = |(meant, codes): (Explanation, Vec<&'static str>)| Entry {
        codes,
        told: meant.message.into_iter().map(str::to_owned).collect(),
        act: format!("{}. {}", meant.who.label(), meant.remedy),
    };
    Group {
        id: "about-reasons",
        title: "Why a payment has its status",
        lead: "Codes in reason.code of a payment: the vendor's own, or ours. One that is not listed here keeps the vendor's words; the blockers above are reasons too. What can be done depends on where the money is; see the payment's choices[].",
        entries: alike.into_iter().map(entry).collect(),
    }
}

/// The states of the comparison between the vendor's movements and our books.
fn reconciliation() -> Group {
    // Start the sentence with a capital letter.
    let begun = |words: String| {
        let mut letters = words.chars();
        let first = letters.next().map(char::to_uppercase).into_iter().flatten();
        first.chain(letters).collect::<String>()
    };
    let entry = |standing: &Standing| {
        // One side waits for a time, the other for the end of its payment.
        let waits = (*standing == Standing::Waits).then(|| standing.message(A_VENDOR, Some(0)));
        let told = [Some(standing.message(A_VENDOR, None)), waits].into_iter().flatten().map(begun);
        Entry { codes: vec![standing.as_str()], told: told.collect(), act: begun(standing.remedy(A_VENDOR)) }
    };
    Group {
        id: "about-reconciliation",
        title: "Reconciliation",
        lead: "Codes in unmatched[] of a day, and its status. Each answer explains its own case in the same way.",
        entries: Standing::ALL.iter().map(entry).collect(),
    }
}

const A_VENDOR: &str = "the vendor";

#[derive(Template)]
#[template(path = "kit/codes.html")]
struct CodesPage {
    version: &'static str,
    /// What the codes are filtered by, and how many there are.
    q: String,
    shown: usize,
    groups: Vec<Group>,
}

/// The longest text to filter by, in characters.
const MOST_LETTERS: usize = 100;

/// The page with all codes, or with those that contain a text, in their name or in what is said about them.
///
/// # Errors
/// If rendering fails, which would be our bug.
pub async fn page(uri: Uri) -> Result<Response, Problem> {
    let mut pairs = url::form_urlencoded::parse(uri.query().unwrap_or("").as_bytes());
    let q = pairs.find(|(name, _)| name == "q").map(|(_, text)| text.into_owned()).unwrap_or_default();
    let q: String = q.trim().chars().take(MOST_LETTERS).collect();
    let groups = containing(groups(), &q);
    let shown = groups.iter().flat_map(|group| &group.entries).map(|entry| entry.codes.len()).sum();
    html(&CodesPage { version: assets_version(), q, shown, groups })
}

/// The entries that contain a text, whatever its capitals; groups without any are left out.
fn containing(mut groups: Vec<Group>, q: &str) -> Vec<Group> {
    let q = q.to_lowercase();
    let has = |text: &str| text.to_lowercase().contains(&q);
    for group in &mut groups {
        group.entries.retain(|entry| {
            entry.codes.iter().any(|code| has(code))
                || entry.told.iter().any(|told| has(told))
                || has(&entry.act)
        });
    }
    groups.retain(|group| !group.entries.is_empty());
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_are_filtered_by_what_they_are_called_and_by_what_they_say() {
        let shown = |q: &str| -> Vec<&str> {
            let entries = containing(groups(), q).into_iter().flat_map(|group| group.entries);
            entries.flat_map(|entry| entry.codes).collect()
        };
        assert_eq!(shown(""), all());
        assert!(shown("PERMISSION_den").contains(&"permission_denied"));
        assert!(shown("cooling-off").contains(&"profile_changed_recently"), "by its sentence");
        assert!(!shown("cooling-off").contains(&"permission_denied"));
        assert!(shown("no such words").is_empty());
    }

    #[test]
    fn each_code_is_told_once_and_no_group_has_the_name_of_one() {
        let mut known = std::collections::BTreeSet::new();
        for group in groups() {
            assert!(known.insert(group.id), "{} stands twice", group.id);
            for entry in group.entries {
                assert!(
                    !entry.told.is_empty() && entry.told.iter().all(|words| !words.is_empty()),
                    "{entry:?}"
                );
                for code in entry.codes {
                    assert!(known.insert(code), "{code} stands twice");
                }
            }
        }
        for row in doing::OF_BLOCKERS {
            assert!(Code::parse(row.code).is_some(), "{} is no blocker", row.code);
        }
    }
}
