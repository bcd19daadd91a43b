//! The whole law, printed, with its invariants: no fact moves money twice, and the state alone determines where the
//! money is, in whatever order the facts arrive.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it found by panicking")]

use std::collections::BTreeMap;
use std::fmt::Write as _;

use payout::deadline;
use payout::ids::PartnerId;
use payout::law::{self, Parked, Release};
use payout::ledger::{Journal, LedgerAccount, Payee};
use payout::money::{Currency, Money, Vendor};
use payout::remedy::{self, Action};
use payout::transaction::{AttemptState, Fact, Leg, Reason, State, Terms};
use proptest::prelude::*;

fn usd(minor: i64) -> Money {
    Money::new(minor, Currency::parse("USD").unwrap())
}

fn terms(vendor: Vendor) -> Terms {
    let payee = Payee::Partner(PartnerId::fresh(0, 1));
    Terms { payee, vendor, amount: usd(10_000), net: usd(9_800) }
}

fn swept(arrived: bool) -> Fact {
    Fact::Swept { payout: "po_1".to_owned(), arrived }
}

fn facts(vendor: Vendor) -> Vec<Fact> {
    let reason = || Reason::new("code", "words");
    let answers =
        |leg| [Fact::Sent(leg), Fact::Unknown(leg), Fact::Review(leg), Fact::Refused(leg, reason())];
    match vendor {
        Vendor::Stripe => {
            let legs = [Leg::Transfer, Leg::Payout, Leg::Reversal];
            let mut facts: Vec<Fact> = legs.into_iter().flat_map(answers).collect();
            facts.extend([
                Fact::TransferMade,
                Fact::PayoutMade,
                Fact::PayoutPaid,
                Fact::PayoutFailed(reason()),
            ]);
            facts.extend([Fact::Withheld(Leg::Transfer), Fact::Unfunded(reason())]);
            facts.extend([Fact::PayoutCanceled(reason()), Fact::ReversalMade]);
            facts.extend([Fact::TransferReversed, Fact::TransferReversedPartly(reason())]);
            facts.push(Fact::PartBack(usd(500)));
            facts
                .extend([Fact::OutOfSight(Leg::Transfer, reason()), Fact::OutOfSight(Leg::Payout, reason())]);
            facts.extend([Fact::FoundAfterAll(Leg::Transfer), Fact::FoundAfterAll(Leg::Payout)]);
            facts.extend([swept(false), swept(true)]);
            facts
        }
        Vendor::PayPal => {
            let mut facts = answers(Leg::Item).to_vec();
            facts.push(Fact::Withheld(Leg::Item));
            facts.extend([Fact::ItemPending, Fact::ItemPaid, Fact::ItemFailed(reason())]);
            facts.extend([Fact::ItemUnclaimed(reason()), Fact::ItemOnHold(reason())]);
            facts.extend([Fact::ItemReturned(reason()), Fact::ItemBlocked(reason())]);
            facts.extend([Fact::ItemRefunded, Fact::ItemReversed, Fact::FeeKnown(usd(200))]);
            facts.extend([Fact::OutOfSight(Leg::Item, reason()), Fact::FoundAfterAll(Leg::Item)]);
            facts
        }
    }
}

/// A possible state of an attempt of `leg` while its transaction is in `state`.
fn attempt_at(state: State, leg: Leg) -> AttemptState {
    let mut payment = Payment::at_rest(state);
    payment.attempts.remove(&leg).unwrap_or(AttemptState::Queued)
}

fn books(journals: &[Journal]) -> String {
    let mut lines = Vec::new();
    for journal in journals {
        let mut line = journal.movement().as_str().to_owned();
        for posting in journal.postings() {
            let account = posting.account.to_string();
            let account = if account.starts_with("payable:") { "payable" } else { &account };
            write!(line, " {account} {}", posting.money.decimal()).unwrap();
        }
        lines.push(line);
    }
    lines.join("; ")
}

#[test]
fn the_whole_law() {
    let mut table = String::new();
    for vendor in Vendor::ALL {
        writeln!(table, "== {} (100.00 owed, 98.00 sent, the payee bears the fee)", vendor.label()).unwrap();
        for state in states(vendor) {
            let detail = state.detail().map_or(String::new(), |detail| format!(" / {}", detail.as_str()));
            writeln!(table, "\n{} — {}{detail}", state.as_str(), state.status().label()).unwrap();
            writeln!(table, "  {}", limit(state)).unwrap();
            for fact in facts(vendor) {
                let step = law::on(state, attempt_at(state, fact.leg()), &terms(vendor), &fact);
                let arrived = if fact == swept(true) { ", arrived" } else { "" };
                let name = format!("{} ({}{arrived})", fact.as_str(), fact.leg().as_str());
                if step.is_empty(state) {
                    writeln!(table, "  {name:<36} ·").unwrap();
                    continue;
                }
                let attempt = step.attempt.map_or("", AttemptState::as_str);
                let also = step.also.map_or(String::new(), |(leg, attempt)| {
                    format!(" & {} {}", leg.as_str(), attempt.as_str())
                });
                let begin = step.begin.map_or(String::new(), |leg| format!(" + {} attempt", leg.as_str()));
                let tell = step.notice.map_or(String::new(), |notice| format!(" ! {}", notice.as_str()));
                let mut line =
                    format!("  {name:<36} → {:<16} {attempt}{also}{begin}{tell}", step.state.as_str());
                if step.contradiction {
                    line.push_str(" CONTRADICTION");
                }
                if !step.journals.is_empty() {
                    write!(line, " | {}", books(&step.journals)).unwrap();
                }
                writeln!(table, "{}", line.trim_end()).unwrap();
            }
        }
        writeln!(table).unwrap();
    }
    insta::assert_snapshot!("law", table);
}

/// What a person can prove about an attempt that had ended here.
fn proofs(vendor: Vendor) -> Vec<Fact> {
    let reason = || Reason::new("code", "words");
    match vendor {
        Vendor::Stripe => {
            vec![Fact::TransferMade, Fact::PayoutMade, Fact::PayoutPaid, swept(false), swept(true)]
        }
        Vendor::PayPal => {
            vec![Fact::ItemPaid, Fact::ItemPending, Fact::ItemOnHold(reason()), Fact::ItemUnclaimed(reason())]
        }
    }
}

#[test]
fn every_correction() {
    let mut table = String::new();
    for vendor in Vendor::ALL {
        writeln!(table, "== {}: an attempt that had ended is proven to be …", vendor.label()).unwrap();
        for state in states(vendor) {
            writeln!(table, "\n{}", state.as_str()).unwrap();
            for fact in proofs(vendor) {
                let step = law::correct(state, &terms(vendor), &fact);
                let what = match (law::beyond_correction(state, &fact), law::stands_beside(state, &fact)) {
                    (true, _) => "is waited for".to_owned(),
                    (false, _) if step.is_empty(state) => "·".to_owned(),
                    (false, beside) => {
                        let two = if beside { " by two people" } else { "" };
                        let attempt = step.attempt.map_or("", AttemptState::as_str);
                        format!("→ {} {attempt}{two} | {}", step.state.as_str(), books(&step.journals))
                    }
                };
                writeln!(table, "  {:<16} {}", fact.as_str(), what.trim_end()).unwrap();
            }
        }
        writeln!(table).unwrap();
    }
    insta::assert_snapshot!("corrections", table);
}

/// Whatever is proven about an ended attempt, the correction leads to a state with an exit, or what it waits for ends
/// by itself.
#[test]
fn every_contradiction_has_an_end() {
    for vendor in Vendor::ALL {
        for state in states(vendor) {
            for fact in proofs(vendor) {
                let what = format!("{state:?}, then {fact:?} is proven");
                if law::beyond_correction(state, &fact) {
                    let undecided = !matches!(fact, Fact::TransferMade | Fact::PayoutPaid | Fact::ItemPaid);
                    let open = !state.settled() && deadline::limit(state).longest_us.is_some();
                    assert!(undecided || open, "{what}");
                    continue;
                }
                let mut payment = Payment::at_rest(state);
                payment.terms = Terms { vendor, ..payment.terms };
                if !matches!(fact, Fact::Swept { .. }) {
                    payment.attempts.insert(fact.leg(), AttemptState::Failed);
                }
                let step = law::correct(payment.state, &payment.terms, &fact);
                payment.take(fact.leg(), step);
                assert!(can_end(payment.state), "{what}: {:?}", payment.state);
            }
        }
    }
}

/// What is still awaited is posted when it is decided and not before; otherwise it would be posted twice.
#[test]
fn what_is_beyond_correction_corrects_nothing() {
    for (vendor, state) in
        Vendor::ALL.into_iter().flat_map(|one| states(one).into_iter().map(move |state| (one, state)))
    {
        for fact in proofs(vendor).into_iter().filter(|fact| law::beyond_correction(state, fact)) {
            assert!(law::correct(state, &terms(vendor), &fact).is_empty(state), "{state:?}, {fact:?}");
        }
    }
}

/// A partial reversal is posted as a difference, and removed once everything has come back.
#[test]
fn a_part_is_booked_by_its_difference() {
    let terms = terms(Vendor::Stripe);
    let against = law::part_account(State::PayoutFailed, &terms, false);
    let mut booked = 0;
    for told in [2_000, 2_000, 5_000, 0, 0] {
        if let Some(journal) = law::part_back(&terms, against, booked, told) {
            let part = |posting: &&payout::ledger::Posting| posting.account == against;
            booked -= journal.postings().iter().find(part).unwrap().money.minor;
        }
        assert_eq!(booked, told);
    }
}

/// A full reversal is posted like a partial one while a bank payout may be in progress; in all other states it has its
/// own step. What was posted this way before two people settled it is not posted again when it is reported anew.
#[test]
fn the_whole_is_booked_by_itself_while_a_payout_may_be_under_way() {
    let terms = terms(Vendor::Stripe);
    for state in State::ALL.iter().copied() {
        let whole = law::booked_by_itself(state, &terms, terms.net.minor);
        let step = law::on(state, AttemptState::Succeeded, &terms, &Fact::TransferReversed);
        let with_the_vendor = matches!(
            state,
            State::PayoutSending | State::PayoutUnknown | State::PayoutReview | State::InTransit
        );
        assert_eq!(whole, with_the_vendor, "{state:?}");
        assert!(!whole || step.is_empty(state), "{state:?}: booked twice");
        assert!(law::booked_by_itself(state, &terms, terms.net.minor - 1), "{state:?}: a part");
    }
    for otherwise in [false, true] {
        let step = law::back_after_settling(&terms, otherwise, terms.net.minor);
        assert_eq!((step.attempt, step.journals.len()), (Some(AttemptState::Returned), 0));
        assert_eq!(step.contradiction, otherwise, "what was paid otherwise has now cost us twice");
    }
}

/// Stripe returns what two people had settled: the ledger shows what each way of settling has cost.
#[test]
fn what_was_settled_and_comes_back_is_ours_again() {
    for (otherwise, state, payable) in [(false, State::Recalled, -10_000), (true, State::WrittenOff, 0)] {
        let mut payment = Payment::at_rest(State::PayoutFailed);
        payment.settle_parked(if otherwise { Parked::PaidOtherwise } else { Parked::GivenUp });
        payment.hear(&Fact::TransferReversed);
        payment.hear(&Fact::TransferReversed);
        assert_eq!(payment.state, state);
        let stripe = Vendor::Stripe;
        assert_eq!(payment.balance(LedgerAccount::VendorBalance(stripe)), 0);
        assert_eq!(payment.balance(LedgerAccount::WrittenOff(stripe)), 0);
        assert_eq!(payment.balance(LedgerAccount::Payable(payment.terms.payee)), payable);
        let outside = if otherwise { -9_800 } else { 0 };
        assert_eq!(payment.balance(LedgerAccount::PaidOutside), outside);
    }
}

/// A part that came back before two people settled the rest is not part of what they settled; if the rest comes back
/// too, all of it is ours.
#[test]
fn what_came_back_before_two_people_settled_is_not_settled_by_them() {
    for otherwise in [false, true] {
        let mut payment = Payment::at_rest(State::PayoutFailed);
        let terms = payment.terms;
        let stands_by_itself = law::part_account(State::PayoutFailed, &terms, false);
        payment.write(&[law::part_back(&terms, stands_by_itself, 0, 2_000).unwrap()]);
        payment.settle_parked(if otherwise { Parked::PaidOtherwise } else { Parked::GivenUp });
        let settled_on = law::part_account(State::WrittenOff, &terms, otherwise);
        payment.write(&[law::part_settled(&terms, settled_on, 2_000)]);
        assert_eq!(payment.balance(stands_by_itself), 0);
        assert_eq!(payment.balance(LedgerAccount::VendorBalance(Vendor::Stripe)), 2_000 - 9_800);
        payment.take(Leg::Transfer, law::back_after_settling(&terms, otherwise, 2_000));
        assert_eq!(payment.balance(LedgerAccount::VendorBalance(Vendor::Stripe)), 0);
        assert_eq!(payment.balance(LedgerAccount::WrittenOff(Vendor::Stripe)), 0);
    }
}

/// A payout of Stripe's schedule contradicts a payment whose money was recorded as parked or lost.
#[test]
fn what_is_swept_beside_the_books_is_contradicted() {
    let contradicted = |otherwise| {
        let states = State::ALL.iter().filter(|state| law::swept_beside(**state, otherwise).contradiction);
        states.map(|state| state.as_str()).collect::<Vec<_>>()
    };
    assert_eq!(contradicted(false), ["payout_failed", "payout_canceled", "recalling", "written_off"]);
    assert_eq!(
        contradicted(true),
        ["payout_failed", "payout_canceled", "recalling"],
        "the payee has it, as two people said"
    );
}

/// How long a state may last, who is notified after that, and what they can do.
fn limit(state: State) -> String {
    let limit = deadline::limit(state);
    match limit.longest_us {
        Some(us) => {
            format!("at most {} days; then {}: {}", us / 86_400_000_000, limit.told.as_str(), limit.then)
        }
        None => format!("no limit: {}", limit.then),
    }
}

fn states(vendor: Vendor) -> Vec<State> {
    let foreign: &[State] = match vendor {
        Vendor::Stripe => &[
            State::Processing,
            State::OnHold,
            State::Unclaimed,
            State::Returned,
            State::Blocked,
            State::Refunded,
            State::Reversed,
        ],
        Vendor::PayPal => &[
            State::Transferred,
            State::PayoutSending,
            State::PayoutUnknown,
            State::PayoutReview,
            State::InTransit,
            State::PayoutFailed,
            State::PayoutCanceled,
            State::Recalling,
            State::Recalled,
            State::WrittenOff,
        ],
    };
    State::ALL.iter().copied().filter(|state| !foreign.contains(state)).collect()
}

#[test]
fn no_fact_moves_money_twice() {
    for vendor in Vendor::ALL {
        for state in states(vendor) {
            for fact in facts(vendor) {
                let before = attempt_at(state, fact.leg());
                let first = law::on(state, before, &terms(vendor), &fact);
                let after = first.attempt.unwrap_or(before);
                let second = law::on(first.state, after, &terms(vendor), &fact);
                assert_eq!(second.state, first.state, "{state:?} {fact:?}");
                assert_eq!(second.attempt.unwrap_or(after), after, "{state:?} {fact:?}");
                assert!(second.journals.is_empty() && second.begin.is_none(), "{state:?} {fact:?}");
            }
        }
    }
}

/// The states called *in flight* are those with an in-flight balance; movements that say "owed again" credit the
/// payable.
#[test]
fn the_words_for_money_are_what_the_books_say() {
    for state in State::ALL.iter().copied() {
        let payment = Payment::at_rest(state);
        let promised = payment.balance(LedgerAccount::InFlight(payment.terms.vendor));
        assert_eq!(state.in_flight(), promised != 0, "{state:?}");
    }
    for vendor in Vendor::ALL {
        let terms = terms(vendor);
        let payable = LedgerAccount::Payable(terms.payee);
        for (state, fact) in states(vendor)
            .into_iter()
            .flat_map(|state| facts(vendor).into_iter().map(move |fact| (state, fact)))
        {
            for journal in law::on(state, attempt_at(state, fact.leg()), &terms, &fact).journals {
                let credited =
                    journal.postings().iter().any(|line| line.account == payable && line.money.minor < 0);
                assert_eq!(journal.movement().owes_again(), credited, "{state:?}, {fact:?}: {journal:?}");
            }
        }
    }
}

/// A payment as the program stores it: its state, the state of the newest attempt of each leg, and its ledger balances.
struct Payment {
    terms: Terms,
    state: State,
    attempts: BTreeMap<Leg, AttemptState>,
    balances: BTreeMap<String, i64>,
    transfers_begun: u32,
    /// The payee was paid by other means.
    otherwise: bool,
}

impl Payment {
    fn new(vendor: Vendor) -> Self {
        let mut payment = Self {
            terms: terms(vendor),
            state: State::Queued,
            attempts: BTreeMap::from([(Leg::first(vendor), AttemptState::Queued)]),
            balances: BTreeMap::new(),
            transfers_begun: 1,
            otherwise: false,
        };
        payment
            .write(&[Journal::approve(payment.terms.payee, payment.terms.amount), payment.terms.reserve()]);
        payment
    }

    /// A payment brought to `state` by the shortest path, for tables that start in the middle.
    fn at_rest(state: State) -> Self {
        let reason = || Reason::new("code", "");
        let stripe = |rest: &[Fact]| {
            [&[Fact::Sent(Leg::Transfer), Fact::TransferMade, Fact::Sent(Leg::Payout)], rest].concat()
        };
        let item = |rest: &[Fact]| [&[Fact::Sent(Leg::Item), Fact::ItemPending], rest].concat();
        let (vendor, road) = match state {
            State::Queued => (Vendor::Stripe, vec![]),
            State::Sending => (Vendor::Stripe, vec![Fact::Sent(Leg::Transfer)]),
            State::Unknown => (Vendor::Stripe, vec![Fact::Sent(Leg::Transfer), Fact::Unknown(Leg::Transfer)]),
            State::Review => (Vendor::Stripe, vec![Fact::Sent(Leg::Transfer), Fact::Review(Leg::Transfer)]),
            State::Transferred => (Vendor::Stripe, vec![Fact::Sent(Leg::Transfer), Fact::TransferMade]),
            State::PayoutSending => (Vendor::Stripe, stripe(&[])),
            State::PayoutUnknown => (Vendor::Stripe, stripe(&[Fact::Unknown(Leg::Payout)])),
            State::PayoutReview => (Vendor::Stripe, stripe(&[Fact::Review(Leg::Payout)])),
            State::InTransit => (Vendor::Stripe, stripe(&[Fact::PayoutMade])),
            State::Success => (Vendor::Stripe, stripe(&[Fact::PayoutPaid])),
            State::Failed => (Vendor::Stripe, vec![Fact::Refused(Leg::Transfer, reason())]),
            State::PayoutFailed | State::Recalling | State::Recalled | State::WrittenOff => {
                (Vendor::Stripe, stripe(&[Fact::PayoutFailed(reason())]))
            }
            State::PayoutCanceled => (Vendor::Stripe, stripe(&[Fact::PayoutCanceled(reason())])),
            State::Processing => (Vendor::PayPal, item(&[])),
            State::OnHold => (Vendor::PayPal, item(&[Fact::ItemOnHold(reason())])),
            State::Unclaimed => (Vendor::PayPal, item(&[Fact::ItemUnclaimed(reason())])),
            State::Returned => (Vendor::PayPal, item(&[Fact::ItemReturned(reason())])),
            State::Blocked => (Vendor::PayPal, item(&[Fact::ItemBlocked(reason())])),
            State::Refunded => (Vendor::PayPal, item(&[Fact::ItemPaid, Fact::ItemRefunded])),
            State::Reversed => (Vendor::PayPal, item(&[Fact::ItemPaid, Fact::ItemReversed])),
        };
        let mut payment = Self::new(vendor);
        for fact in road {
            payment.hear(&fact);
        }
        if matches!(state, State::Recalling | State::Recalled) {
            payment.recall();
        }
        if state == State::Recalled {
            payment.hear(&Fact::ReversalMade);
            payment.hear(&Fact::TransferReversed);
        }
        if state == State::WrittenOff {
            payment.settle_parked(Parked::GivenUp);
        }
        assert_eq!(payment.state, state, "the road to {state:?}");
        // The other vendor's first leg gets the same state, so that one path serves both tables.
        let first = payment.attempts[&Leg::first(vendor)];
        for leg in [Leg::Transfer, Leg::Item] {
            payment.attempts.entry(leg).or_insert(first);
        }
        payment
    }

    fn hear(&mut self, fact: &Fact) {
        let Some(attempt) = self.attempts.get(&fact.leg()).copied() else {
            return;
        };
        let settled = self.state == State::WrittenOff && attempt == AttemptState::Succeeded;
        let step = if settled && *fact == Fact::TransferReversed {
            law::back_after_settling(&self.terms, self.otherwise, 0)
        } else {
            law::on(self.state, attempt, &self.terms, fact)
        };
        self.take(fact.leg(), step);
    }

    fn take(&mut self, leg: Leg, step: payout::transaction::Step) {
        if let Some(state) = step.attempt {
            self.attempts.insert(leg, state);
        }
        if let Some((other, state)) = step.also
            && self.attempts.get(&other).is_some_and(|attempt| attempt.may_end(state))
        {
            self.attempts.insert(other, state);
        }
        if let Some(begun) = step.begin {
            let holding = self.attempts.get(&begun).is_some_and(|attempt| !attempt.ended());
            assert!(!holding, "a second live attempt of {begun:?}");
            self.attempts.insert(begun, AttemptState::Queued);
            self.transfers_begun += u32::from(begun == Leg::Transfer);
        }
        self.state = step.state;
        self.write(&step.journals);
    }

    fn resubmit(&mut self) {
        if let Ok(step) = law::resubmit(self.state, &self.terms) {
            self.take(Leg::Reversal, step);
        }
    }

    fn settle_parked(&mut self, how: Parked) {
        if let Ok(step) = law::settle_parked(self.state, &self.terms, how) {
            self.otherwise |= how == Parked::PaidOtherwise;
            self.take(Leg::Reversal, step);
        }
    }

    fn recall(&mut self) {
        let reversal_over = self.attempts.get(&Leg::Reversal).is_none_or(|attempt| attempt.ended());
        if let (true, Ok(Release::AfterReversal(step))) = (reversal_over, law::return_to_pool(self.state)) {
            self.take(Leg::Reversal, step);
        }
    }

    fn write(&mut self, journals: &[Journal]) {
        for journal in journals {
            let sum: i64 = journal.postings().iter().map(|posting| posting.money.minor).sum();
            assert_eq!(sum, 0, "{journal:?}");
            for posting in journal.postings() {
                *self.balances.entry(posting.account.to_string()).or_default() += posting.money.minor;
            }
        }
    }

    fn balance(&self, account: LedgerAccount) -> i64 {
        self.balances.get(&account.to_string()).copied().unwrap_or(0)
    }

    /// The state alone determines where the money must be.
    fn assert_books_follow_the_state(&self) {
        let Terms { payee, vendor, amount, net } = self.terms;
        let (owed, promised, waiting) = match self.state {
            State::Queued
            | State::Sending
            | State::Unknown
            | State::Review
            | State::Processing
            | State::OnHold
            | State::Unclaimed => (0, -amount.minor, 0),
            State::Transferred
            | State::PayoutSending
            | State::PayoutUnknown
            | State::PayoutReview
            | State::InTransit
            | State::Success => (0, 0, 0),
            State::PayoutFailed | State::PayoutCanceled | State::Recalling => (-amount.minor, 0, net.minor),
            State::Failed
            | State::Recalled
            | State::Returned
            | State::Blocked
            | State::Refunded
            | State::Reversed => (-amount.minor, 0, 0),
            State::WrittenOff if self.otherwise => (0, 0, 0),
            State::WrittenOff => (-amount.minor, 0, 0),
        };
        assert_eq!(self.balance(LedgerAccount::Payable(payee)), owed, "{:?}", self.state);
        assert_eq!(self.balance(LedgerAccount::InFlight(vendor)), promised, "{:?}", self.state);
        assert_eq!(self.balance(LedgerAccount::Returned(vendor)), waiting, "{:?}", self.state);
    }
}

proptest! {
    #[test]
    fn the_books_follow_the_state_in_any_order_of_facts(
        stripe in any::<bool>(),
        events in prop::collection::vec(0usize..44, 0..60),
    ) {
        let vendor = if stripe { Vendor::Stripe } else { Vendor::PayPal };
        let facts = facts(vendor);
        let mut payment = Payment::new(vendor);
        for event in events {
            match event {
                38 => payment.resubmit(),
                39 => payment.recall(),
                40 => payment.settle_parked(Parked::Reversed),
                41 => payment.settle_parked(Parked::GivenUp),
                42 => payment.settle_parked(Parked::PaidOtherwise),
                _ => payment.hear(&facts[event % facts.len()]),
            }
            payment.assert_books_follow_the_state();
        }
    }

    #[test]
    fn the_end_does_not_depend_on_the_order_of_what_a_vendor_says(order in Just(vec![0usize, 1, 2, 3]).prop_shuffle()) {
        let roads = [
            (Vendor::Stripe, vec![Fact::PayoutMade, Fact::PayoutPaid, Fact::PayoutFailed(Reason::default()), Fact::PayoutMade]),
            (Vendor::PayPal, vec![Fact::ItemPending, Fact::ItemUnclaimed(Reason::default()), Fact::ItemReturned(Reason::default()), Fact::ItemPending]),
            (Vendor::PayPal, vec![Fact::ItemPending, Fact::ItemOnHold(Reason::default()), Fact::ItemFailed(Reason::default()), Fact::ItemPending]),
        ];
        for (vendor, road) in roads {
            let mut ends = Vec::new();
            for order in [&order[..], &[0, 1, 2, 3]] {
                let mut payment = Payment::new(vendor);
                payment.hear(&Fact::Sent(Leg::first(vendor)));
                payment.hear(&Fact::TransferMade);
                for at in order {
                    payment.hear(&road[*at]);
                }
                ends.push(payment.state);
            }
            prop_assert_eq!(ends[0], ends[1]);
        }
    }
}

/// Whatever the outcome of a cancellation, it moves no money and changes no state; only the attempt changes, and only
/// forwards.
#[test]
fn calling_back_moves_nothing_by_itself() {
    let reason = || Reason::new("code", "words");
    let facts = [
        Fact::Sent(Leg::Cancel),
        Fact::Unknown(Leg::Cancel),
        Fact::Review(Leg::Cancel),
        Fact::Refused(Leg::Cancel, reason()),
        Fact::CancelMade,
    ];
    let ends = [
        AttemptState::Sending,
        AttemptState::Unknown,
        AttemptState::Review,
        AttemptState::Failed,
        AttemptState::Returned,
    ];
    for state in State::ALL.iter().copied() {
        assert_eq!(law::cancel_unclaimed(state).is_ok(), state == State::Unclaimed);
        for (fact, end) in facts.iter().zip(ends) {
            let mut standing = AttemptState::Queued;
            for _ in 0..2 {
                let step = law::on(state, standing, &terms(Vendor::PayPal), fact);
                assert_eq!((step.state, step.journals.len(), step.contradiction), (state, 0, false));
                standing = step.attempt.unwrap_or(standing);
                assert_eq!(standing, end, "{state:?} {fact:?}");
            }
            let ended = law::on(state, AttemptState::Returned, &terms(Vendor::PayPal), fact);
            assert!(ended.is_empty(state), "{state:?} {fact:?} after its end");
        }
    }
}

/// The fee ends at the last reported value, however often and in whatever order it is reported.
#[test]
fn a_fee_is_booked_by_its_difference() {
    let terms = terms(Vendor::PayPal);
    let mut booked = 0;
    for told in [200, 200, 250, 30, 0, 0] {
        if let Some(journal) = law::fee(&terms, booked, usd(told)) {
            let of_fees = |posting: &&payout::ledger::Posting| {
                posting.account == LedgerAccount::FeeVariance(Vendor::PayPal)
            };
            booked += journal.postings().iter().find(of_fees).unwrap().money.minor;
        }
        assert_eq!(booked, told);
    }
    // If we bear it, it is our cost.
    let ours = Terms { net: terms.amount, ..terms };
    let accounts =
        law::fee(&ours, 0, usd(200)).unwrap().postings().iter().map(|line| line.account).collect::<Vec<_>>();
    let (cost, paid_from) =
        (LedgerAccount::VendorFees(Vendor::PayPal), LedgerAccount::VendorBalance(Vendor::PayPal));
    assert_eq!(accounts, [cost, paid_from]);
}

/// Every possible outcome at a vendor, from any state on.
fn ends(vendor: Vendor) -> Vec<Vec<Fact>> {
    let reason = || Reason::new("code", "words");
    match vendor {
        Vendor::Stripe => {
            let refused = |leg| Fact::Refused(leg, reason());
            vec![
                vec![],
                vec![Fact::TransferMade, Fact::PayoutMade, Fact::PayoutPaid],
                vec![Fact::TransferMade, Fact::PayoutFailed(reason())],
                vec![Fact::TransferMade, Fact::PayoutCanceled(reason())],
                vec![Fact::TransferMade, refused(Leg::Payout)],
                vec![Fact::TransferMade, Fact::PayoutPaid, Fact::PayoutFailed(reason())],
                vec![Fact::TransferMade, Fact::TransferReversed],
                vec![Fact::TransferMade, Fact::PayoutFailed(reason()), swept(true)],
                vec![swept(false), Fact::PayoutFailed(reason())],
                vec![Fact::TransferMade, Fact::TransferReversedPartly(reason())],
                vec![Fact::TransferMade, Fact::PayoutPaid, Fact::TransferReversed],
                vec![Fact::OutOfSight(Leg::Transfer, reason())],
                vec![Fact::TransferMade, Fact::OutOfSight(Leg::Payout, reason())],
                vec![refused(Leg::Transfer)],
                vec![Fact::ReversalMade],
                vec![Fact::ReversalMade, Fact::TransferReversed],
                vec![swept(true), Fact::ReversalMade, Fact::TransferReversed],
                vec![refused(Leg::Reversal)],
                vec![refused(Leg::Reversal), Fact::TransferReversed],
                vec![Fact::Review(Leg::Transfer), Fact::Review(Leg::Payout), Fact::Review(Leg::Reversal)],
            ]
        }
        Vendor::PayPal => vec![
            vec![],
            vec![Fact::ItemPaid],
            vec![Fact::ItemFailed(reason())],
            vec![Fact::ItemUnclaimed(reason()), Fact::ItemReturned(reason())],
            vec![Fact::ItemOnHold(reason()), Fact::ItemBlocked(reason())],
            vec![Fact::ItemPaid, Fact::ItemRefunded],
            vec![Fact::ItemPaid, Fact::ItemReversed],
            vec![Fact::Refused(Leg::Item, reason())],
            vec![Fact::OutOfSight(Leg::Item, reason())],
            vec![Fact::Review(Leg::Item)],
        ],
    }
}

/// Whatever the vendor does and whatever command is given, a payment reaches an end, or a state with a limit, somebody
/// to notify, and an option on its page that the law executes.
#[test]
fn every_payment_reaches_an_end_or_a_person_who_can_end_it() {
    let commands: [fn(&mut Payment); 6] = [
        |_| {},
        Payment::resubmit,
        Payment::recall,
        |payment| payment.settle_parked(Parked::Reversed),
        |payment| payment.settle_parked(Parked::GivenUp),
        |payment| payment.settle_parked(Parked::PaidOtherwise),
    ];
    for vendor in Vendor::ALL {
        for start in states(vendor) {
            for end in ends(vendor) {
                for command in commands {
                    let mut payment = Payment::at_rest(start);
                    payment.terms = Terms { vendor, ..payment.terms };
                    end.iter().for_each(|fact| payment.hear(fact));
                    command(&mut payment);
                    let what = format!("{start:?}, then {end:?}: {:?}", payment.state);
                    assert!(can_end(payment.state), "{what}");
                }
            }
        }
    }
}

/// Ended for good, or it has a limit, somebody to notify, and an option that leads out of it.
fn can_end(state: State) -> bool {
    if matches!(state, State::Success | State::Recalled) {
        return deadline::limit(state).longest_us.is_none();
    }
    let leads_on = |deed| match deed {
        Action::Wait | Action::Refresh => !state.settled(),
        Action::Outside => false,
        Action::Resubmit => law::resubmit(state, &terms(Vendor::Stripe)).is_ok(),
        Action::ReturnToPool => law::return_to_pool(state).is_ok(),
        Action::MarkPaidOutside => law::mark_paid_outside(state, &terms(Vendor::Stripe)).is_ok(),
        Action::SettleByHand => matches!(state, State::Review | State::PayoutReview),
        Action::CancelUnclaimed => law::cancel_unclaimed(state).is_ok(),
        Action::SettleParked => law::settle_parked(state, &terms(Vendor::Stripe), Parked::GivenUp).is_ok(),
    };
    let limit = deadline::limit(state);
    limit.longest_us.is_some() && remedy::choices(state, None).iter().any(|choice| leads_on(choice.action))
}

/// The reason for a refusal matches the state: a payment that has arrived is not said to be in doubt.
#[test]
fn why_nothing_can_be_done_is_said_by_state() {
    let why = |state| law::resubmit(state, &terms(Vendor::PayPal)).unwrap_err();
    assert_eq!(why(State::Success), law::NotNow::Arrived);
    assert_eq!(law::return_to_pool(State::Success).unwrap_err(), law::NotNow::Arrived);
    assert!(law::NotNow::Arrived.sentence().starts_with("The vendor says that it was paid"));
    assert_eq!(why(State::Queued), law::NotNow::NotSentYet);
    assert_eq!(why(State::PayoutReview), law::NotNow::InReview);
    assert_eq!(why(State::Recalling), law::NotNow::BeingRecalled);
    assert_eq!(why(State::Transferred), law::NotNow::NotPaidOut);
    assert_eq!(why(State::Unclaimed), law::NotNow::Unclaimed);
    assert_eq!(why(State::InTransit), law::NotNow::NotTerminal);
}

/// Settling by hand ends a review, either way.
#[test]
fn settling_by_hand_ends_a_review() {
    for (state, leg, made, not_made) in [
        (State::Review, Leg::Transfer, Fact::TransferMade, State::Failed),
        (State::Review, Leg::Item, Fact::ItemPaid, State::Failed),
        (State::PayoutReview, Leg::Payout, Fact::PayoutPaid, State::PayoutFailed),
    ] {
        let vendor = if leg == Leg::Item { Vendor::PayPal } else { Vendor::Stripe };
        let refused = Fact::Refused(leg, Reason::new("not_made", "looked"));
        assert_eq!(law::on(state, AttemptState::Review, &terms(vendor), &refused).state, not_made);
        assert_ne!(law::on(state, AttemptState::Review, &terms(vendor), &made).state, state);
    }
}

/// A correction moves the ledger to where the new state says the money is.
#[test]
fn a_correction_moves_the_books_with_the_state() {
    for vendor in Vendor::ALL {
        for state in states(vendor) {
            for fact in facts(vendor) {
                let mut payment = Payment::at_rest(state);
                let step = law::correct(payment.state, &payment.terms, &fact);
                let second = step.state == state && !step.journals.is_empty();
                payment.take(fact.leg(), step);
                // For a second payment of the same, money has left us again, and the payee owes it.
                if !second {
                    payment.assert_books_follow_the_state();
                }
            }
        }
    }
}
