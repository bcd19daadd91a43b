//! What every code of the API means: what happened, what it means for the money and what to do; and the page that tells it,
//! where the `type` of every problem leads. What has its words in `payout` already (blockers, commands, amounts, reasons) is
//! told in those. What is deliberately not here: which code is answered when, and codes that only pages meet, which show none.

use askama::Template;
use axum::response::Response;

use payout::eligibility::Code;
use payout::law::NotNow;
use payout::money::MoneyError;
use payout::reason::{Explanation, explain};
use payout::reconciliation::Standing;

use super::layout::{assets_version, html};
use super::problem::Fault;
use crate::ops::import::wrong_quotes;

/// Declares what codes mean: the code, what happened, what it means for the money where it could mean something, what to do.
macro_rules! rows {
    ($($code:ident $happened:literal, $money:literal, $act:literal;)+) => {
        &[$(Row { code: stringify!($code), happened: $happened, money: $money, act: $act },)+]
    };
}

mod doing;
mod reasons;
mod requests;

/// Where the page is: beside the reference, and open to whoever can read that.
pub const PATH: &str = "/api/docs/errors";

/// Where a code is explained.
pub fn address(base_url: &str, code: &str) -> String {
    format!("{base_url}{PATH}#{code}")
}

/// What a code means.
struct Row {
    code: &'static str,
    happened: &'static str,
    money: &'static str,
    act: &'static str,
}

impl Row {
    fn told(&self) -> Vec<String> {
        [self.happened, self.money].into_iter().filter(|words| !words.is_empty()).map(str::to_owned).collect()
    }

    fn entry(&self) -> Entry {
        Entry { codes: vec![self.code], told: self.told(), act: self.act.to_owned() }
    }
}

/// Codes about one thing.
struct Area {
    id: &'static str,
    title: &'static str,
    lead: &'static str,
    rows: &'static [Row],
}

/// Codes that mean the same, in words.
#[derive(Debug)]
pub struct Entry {
    /// The codes; more than one only where vendors have several words for one thing.
    pub codes: Vec<&'static str>,
    /// What happened and what it means, in paragraphs.
    pub told: Vec<String>,
    /// What to do; empty where that is said already.
    pub act: String,
}

/// Codes about one thing, in words.
#[derive(Debug)]
pub struct Group {
    /// Its anchor, which no code has.
    pub id: &'static str,
    /// What it is about.
    pub title: &'static str,
    /// What holds of all of them.
    pub lead: &'static str,
    /// One by one.
    pub entries: Vec<Entry>,
}

/// All that there is to say, group by group.
pub fn groups() -> Vec<Group> {
    let areas = requests::AREAS.iter().chain(doing::AREAS);
    let mut all: Vec<Group> = areas.map(group).collect();
    all.extend([blockers(), payment_reasons(), reconciliation()]);
    all
}

/// Every code that has words.
pub fn all() -> Vec<&'static str> {
    groups().into_iter().flat_map(|group| group.entries).flat_map(|entry| entry.codes).collect()
}

/// The codes of an area, with those that have their words elsewhere.
fn group(area: &Area) -> Group {
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

/// What the answer says in these very words.
fn of_payout(code: &'static str, sentence: &str) -> Entry {
    Entry { codes: vec![code], told: vec![sentence.to_owned()], act: String::new() }
}

/// What is wrong with an amount and with nothing else.
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

/// Why a command on a payment is refused. Each sentence says what it means and what to do; what a row adds stands behind them.
fn commands(rows: &[Row]) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    // It means the same of everything that somebody may have changed meanwhile.
    for why in NotNow::ALL.iter().filter(|why| **why != NotNow::NotLookedAt) {
        match entries.iter_mut().find(|entry| entry.codes == [why.code()]) {
            Some(entry) => entry.told.push(why.sentence().to_owned()),
            None => entries.push(of_payout(why.code(), why.sentence())),
        }
    }
    for entry in &mut entries {
        // One code, several reasons: what is true of one of them may be false of another.
        if entry.told.len() > 1 {
            entry.told.insert(0, "One of these; the detail says which.".to_owned());
        }
        if let Some(row) = rows.iter().find(|row| entry.codes == [row.code]) {
            entry.told.extend(row.told());
            row.act.clone_into(&mut entry.act);
        }
    }
    entries
}

/// Why something cannot be paid; and what the code means where it is that of a whole answer.
fn blockers() -> Group {
    let entry = |code: &Code| {
        let mut told = vec![code.message().to_owned()];
        if let Some(row) = doing::OF_BLOCKERS.iter().find(|row| row.code == code.as_str()) {
            let words = [row.happened, row.money, row.act];
            let words: Vec<&str> = words.into_iter().filter(|words| !words.is_empty()).collect();
            told.push(format!("As the code of a whole answer: {}", words.join(" ")));
        }
        let act = format!("{}. {}", code.who().label(), code.remedy());
        Entry { codes: vec![code.as_str()], told, act }
    };
    Group {
        id: "about-blockers",
        title: "Why something cannot be paid",
        lead: "Codes in blockers[], some of which can also be the code of a whole answer. Nothing has failed: what waits continues when its gate opens.",
        entries: Code::ALL.iter().map(entry).collect(),
    }
}

/// Why a payment has its status. Vendors have several words for one thing, which are told together.
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

/// How the vendor's lines and our books stand to each other.
fn reconciliation() -> Group {
    // The name of no vendor stands at the front of a sentence.
    let begun = |words: String| {
        let mut letters = words.chars();
        let first = letters.next().map(char::to_uppercase).into_iter().flatten();
        first.chain(letters).collect::<String>()
    };
    let entry = |standing: &Standing| {
        // One side waits by the clock, the other for the end of its payment.
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
    groups: Vec<Group>,
}

/// The page.
///
/// # Errors
/// When it cannot be rendered, which would be a fault of ours.
pub fn page() -> Result<Response, Fault> {
    html(&CodesPage { version: assets_version(), groups: groups() })
}

#[cfg(test)]
mod tests {
    use super::*;

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
