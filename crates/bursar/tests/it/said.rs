//! Every sentence about the state of a payment: each state, each reason, and the actions for both. A snapshot, so that
//! changes are reviewed before users see them.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use bursar::mail::{Language, partner_text};
use bursar::web::kit::format::{detail, meaning};
use payout::eligibility::{Code, Who};
use payout::reason::{Cause, explain, explain_at};
use payout::remedy::{Choice, choices, contradicted, set_aside};
use payout::transaction::{State, Status};

use crate::source;

/// The codes that `payout::reason` describes, parsed from its source so that none can be forgotten here.
pub fn codes() -> Vec<String> {
    let file = source::file("crates/payout/src/reason.rs").unwrap();
    let mut found: Vec<String> = file.literals().into_iter().map(|literal| literal.value).collect();
    found.retain(|text| {
        text.len() > 3 && text.bytes().all(|byte| byte == b'_' || byte.is_ascii_alphanumeric())
    });
    found.retain(|code| explain(code).message.is_some() && Code::parse(code).is_none());
    found.sort();
    found.dedup();
    assert!(found.len() > 70, "{}", found.len());
    found
}

/// The states of a payment that ended badly and needs a person.
fn ended() -> impl Iterator<Item = State> {
    let bad = |state: &State| matches!(state.status(), Status::Failed | Status::PayoutFailed);
    let closed = [State::Recalling, State::Recalled];
    State::ALL.iter().copied().filter(bad).filter(move |state| !closed.contains(state))
}

fn parked(state: State) -> bool {
    matches!(state, State::PayoutFailed | State::PayoutCanceled)
}

fn list(told: &mut String, choices: &[Choice]) {
    for choice in choices {
        writeln!(told, "    - {} [{}] ({})", choice.words, choice.action.as_str(), choice.who.label())
            .unwrap();
    }
}

#[test]
fn every_sentence_about_a_payment() {
    let mut table = String::from("How a payment stands, and what can be done where no reason is known\n\n");
    for state in State::ALL.iter().copied() {
        let detail = detail(state).map(|detail| format!(", {detail}")).unwrap_or_default();
        writeln!(table, "{}: {}{detail}\n    {}", state.as_str(), state.status().label(), meaning(state))
            .unwrap();
        list(&mut table, choices(state, None));
    }
    table += "\ncontradicted, whatever the state\n";
    list(&mut table, contradicted(payout::money::Vendor::Stripe));
    table += "\nset aside, whatever the state\n";
    list(&mut table, set_aside());
    table += "\n\nWhat can be done where the reason is known and decides\n\n";
    for state in ended() {
        let mut alike: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for cause in Cause::ALL.iter().copied() {
            let mut text = String::new();
            list(&mut text, choices(state, Some(cause)));
            alike.entry(text).or_default().push(cause.as_str());
        }
        for (text, causes) in alike.into_iter().filter(|(_, causes)| causes.len() < Cause::ALL.len()) {
            writeln!(table, "{} for {}\n{text}", state.as_str(), causes.join(", ")).unwrap();
        }
    }
    table += "\n\nWhy: what our own people read, and what the partner reads\n\n";
    for code in codes() {
        writeln!(table, "{code} ({})", Cause::of(&code).as_str()).unwrap();
        let mut alike: Vec<(String, Vec<&str>)> = Vec::new();
        let at_paypal = code.bytes().all(|byte| byte == b'_' || byte.is_ascii_uppercase());
        let open =
            if at_paypal { [State::Unclaimed, State::OnHold] } else { [State::Review, State::PayoutReview] };
        for state in ended().filter(|state| !(at_paypal && parked(*state))).chain(open) {
            let why = explain_at(&code, state);
            let text = format!("{} {}. {}", why.message.unwrap_or("-"), why.who.label(), why.remedy);
            match alike.iter_mut().find(|(known, _)| *known == text) {
                Some((_, states)) => states.push(state.as_str()),
                None => alike.push((text, vec![state.as_str()])),
            }
        }
        let only = alike.len() == 1;
        for (text, states) in alike {
            let states = if only { String::new() } else { format!("{}: ", states.join(", ")) };
            writeln!(table, "    {states}{text}").unwrap();
        }
        let partner = partner_text::reason(Language::En, &code);
        writeln!(table, "    (partner) {} {}", partner.message, partner.remedy).unwrap();
    }
    insta::assert_snapshot!(table);
}

/// No sentence contradicts where the money is, and every payment that ended badly has someone who must act.
#[test]
fn no_sentence_promises_money_that_is_elsewhere() {
    let states: Vec<State> = ended().collect();
    for state in states {
        for code in codes() {
            let why = explain_at(&code, state);
            let options = choices(state, Some(why.cause));
            let mut said = vec![why.message.unwrap_or_default(), why.remedy, meaning(state)];
            said.extend(options.iter().map(|choice| choice.words));
            let said = said.join(" ").to_lowercase();
            // Each code is checked only where its vendor can return it: texts saying that nothing moved appear only where
            // nothing moved.
            if parked(state) && code.chars().any(char::is_lowercase) {
                for false_here in ["came back to us", "nothing was paid", "add money at the vendor"] {
                    assert!(!said.contains(false_here), "{state:?} {code}: {false_here}: {said}");
                }
            }
            if state == State::Failed {
                for false_here in
                    ["still in the payee's stripe balance", "never a second transfer", "came back to us"]
                {
                    let own = matches!(why.cause, Cause::SentBack);
                    assert!(own || !said.contains(false_here), "{state:?} {code}: {false_here}: {said}");
                }
            }
            let tasks = options.iter().filter(|choice| !matches!(choice.who, Who::Nobody | Who::Vendor));
            assert!(tasks.count() > 0, "{state:?} {code} is nobody's task");
            assert!(
                !why.remedy.is_empty() && why.message.is_some_and(|message| message.ends_with('.')),
                "{code}"
            );
        }
    }
    // Problems with an amount or a limit are not for the bank or the partner to fix.
    for code in ["amount_too_small", "amount_too_large", "payouts_limit_exceeded"] {
        for state in [State::Failed, State::PayoutFailed] {
            let options = choices(state, Some(Cause::of(code)));
            assert!(options.iter().all(|choice| choice.who != Who::Partner), "{code}");
            assert_ne!(explain_at(code, state).who, Who::Partner, "{code}");
        }
        let partner = partner_text::reason(Language::En, code).remedy;
        assert!(partner.starts_with("You do not need to do anything"), "{code}: {partner}");
    }
}
