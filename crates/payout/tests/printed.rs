//! The texts and tables of the rules, printed: what pages, mails and answers show for a code, and what each vendor can
//! pay, so that a change is reviewed here first. Not here: the law, which `law.rs` prints, and texts about a payment by
//! its state and reason, which `crates/bursar/tests/it/said.rs` prints together with the pages' own texts.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it found by panicking")]

use std::fmt::Write as _;

use payout::access::Role;
use payout::batch::{BatchStatus, expected_arrival};
use payout::eligibility::{Code, Who};
use payout::law::NotNow;
use payout::money::{Currency, Money, MoneyError, Vendor, paypal_home_country};
use payout::notice::{Audience, Notice};
use payout::reconciliation::{Aspect, KINDS, Standing};
use payout::reward::{PaymentType, RewardType, Shown};
use payout::tax::Form;
use payout::transaction::{Detail, Leg, State, Status};
use payout::unusual::Kind;

/// A heading with a line for each value below it.
fn list<T: Copy>(text: &mut String, heading: &str, all: &[T], line: impl Fn(T) -> String) {
    writeln!(text, "== {heading}").unwrap();
    for one in all {
        writeln!(text, "{}", line(*one)).unwrap();
    }
    text.push('\n');
}

#[test]
fn names() {
    let mut text = String::new();
    let all = &mut text;
    list(all, "Roles", Role::ALL, |role| {
        format!("{:<18} {:<22} {}", role.as_str(), role.label(), role.told())
    });
    list(all, "Vendors", &Vendor::ALL, |vendor| {
        format!("{:<18} {:<22} {}", vendor.as_str(), vendor.label(), expected_arrival(vendor))
    });
    list(all, "Rewards", Shown::ALL, |shown| format!("{:<18} {}", shown.as_str(), shown.label()));
    list(all, "What is given", RewardType::ALL, |kind| format!("{:<18} {}", kind.as_str(), kind.label()));
    list(all, "Who is paid", PaymentType::ALL, |kind| format!("{:<18} {}", kind.as_str(), kind.label()));
    list(all, "Batches", BatchStatus::ALL, |status| format!("{:<18} {}", status.as_str(), status.label()));
    list(all, "Payments", Status::ALL, |status| {
        let states = State::of(status).map(|state| {
            let detail = state.detail().map(|detail: Detail| format!(" ({})", detail.as_str()));
            format!("{}{}", state.as_str(), detail.unwrap_or_default())
        });
        let states: Vec<String> = states.collect();
        format!("{:<18} {:<22} {}", status.as_str(), status.label(), states.join(", "))
    });
    list(all, "Requests, and how their keys begin", &Leg::ALL, |leg| {
        format!("{:<18} {}:", leg.as_str(), leg.key_prefix())
    });
    list(all, "Who must act", Who::ALL, |who| format!("{:<18} {}", who.as_str(), who.label()));
    list(all, "Tax forms", Form::ALL, |form| format!("{:<18} {}", form.as_str(), form.label()));
    list(all, "Notices, and who hears of them", Notice::ALL, |notice| {
        let to: Vec<_> = notice.audience().iter().map(|audience| audience.label()).collect();
        let how = match (notice.is_collected(), notice.carries_secret()) {
            (true, _) => " [collected]",
            (false, true) => " [a link for one]",
            (false, false) => "",
        };
        format!("{:<28} {}: {}{how}", notice.as_str(), notice.label(), to.join(", "))
    });
    list(all, "Who reads the partners' text of a notice", Audience::ALL, |audience| {
        format!("{:<18} {}", audience.as_str(), if audience.is_partner() { "the partners'" } else { "ours" })
    });
    list(all, "What is unusual", Kind::ALL, |kind| {
        format!("{:<18} {}. {}", kind.as_str(), kind.label(), kind.rule())
    });
    insta::assert_snapshot!("names", text);
}

#[test]
fn refusals() {
    let mut text = String::new();
    let all = &mut text;
    list(all, "An amount that cannot be read", &MONEY, |error| {
        format!("{}: {}", error.code(), error.sentence())
    });
    list(all, "A command that is refused", NotNow::ALL, |why| format!("{}: {}", why.code(), why.sentence()));
    list(all, "A gate that is closed", Code::ALL, |code| {
        let (scope, who) = (code.scope().as_str(), code.who().label());
        format!("{} ({scope}): {} {who}. {}", code.as_str(), code.message(), code.remedy())
    });
    insta::assert_snapshot!("refusals", text);
}

#[test]
fn reconciliation() {
    let mut text = String::new();
    let all = &mut text;
    list(all, "Lines of the vendors", KINDS, |kind| {
        let with = kind.part.aspect().map_or("nothing", Aspect::as_str);
        let part = kind.part.as_str();
        format!(
            "{:<7} {:<24} {part:<10} held against {with:<8} {}",
            kind.vendor.label(),
            kind.word,
            kind.label
        )
    });
    list(all, "How both sides stand", Standing::ALL, |standing| {
        let alarms = if standing.alarms() { "a person must look" } else { "nobody is alarmed" };
        let (message, remedy) = (standing.message("PayPal", Some(1)), standing.remedy("PayPal"));
        format!("{} ({}, {alarms})\n    {message}\n    {remedy}", standing.as_str(), standing.label())
    });
    writeln!(text, "Without an end by the clock:\n    {}", Standing::Waits.message("PayPal", None)).unwrap();
    insta::assert_snapshot!("reconciliation", text);
}

/// For each currency: its digits, the default maximum value of a reward, and the smallest amount each vendor can pay,
/// as sent to the vendor.
#[test]
fn currencies() {
    let mut text = String::new();
    for currency in Currency::all() {
        let least = |vendor: Vendor| {
            let amounts = [1, 10, 100, 1_000].into_iter().map(|minor| Money::new(minor, currency));
            let mut paid = amounts.filter_map(|money| Some((money, money.at(vendor).ok()?)));
            paid.next().map_or("-".to_owned(), |(money, told)| match vendor {
                Vendor::Stripe => format!("{} as {}", money.decimal(), told.units),
                Vendor::PayPal => format!("{} as {}", money.decimal(), told.decimal()),
            })
        };
        let most = Money::new(currency.usual_most_minor(), currency).decimal();
        let (stripe, paypal) = (least(Vendor::Stripe), least(Vendor::PayPal));
        let only = paypal_home_country(currency).map_or(String::new(), |home| format!(", in {home} only"));
        let ended = if currency.ended().is_some() { " (has ended)" } else { "" };
        let line = format!("{currency} most {most:<16} stripe {stripe:<14} paypal {paypal}{only}{ended}");
        writeln!(text, "{}", line.trim_end()).unwrap();
    }
    insta::assert_snapshot!("currencies", text);
}

const MONEY: [MoneyError; 12] = [
    MoneyError::UnknownCurrency,
    MoneyError::Ended("(what to write instead)"),
    MoneyError::Empty,
    MoneyError::Signed,
    MoneyError::NotANumber,
    MoneyError::ThousandsMark,
    MoneyError::Blank,
    MoneyError::WithCurrency,
    MoneyError::Exponent,
    MoneyError::TooManyDigits,
    MoneyError::TooLarge,
    MoneyError::Zero,
];
