//! The whole law, printed, and what must hold of it: no fact moves money twice, and where the money is follows from the
//! state alone, in whatever order the facts arrive.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it found by panicking")]

use std::collections::BTreeMap;
use std::fmt::Write as _;

use payout::ids::PartnerId;
use payout::law::{self, Release};
use payout::ledger::{Journal, LedgerAccount, Payee};
use payout::money::{Currency, Money, Vendor};
use payout::transaction::{AttemptState, Fact, Leg, Reason, State, Terms};
use proptest::prelude::*;

fn usd(minor: i64) -> Money {
    Money::new(minor, Currency::parse("USD").unwrap())
}

fn terms(vendor: Vendor) -> Terms {
    let payee = Payee::Partner(PartnerId::fresh(0, 1));
    Terms { payee, vendor, amount: usd(10_000), net: usd(9_800) }
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
            facts
        }
        Vendor::PayPal => {
            let fee = Some(usd(200));
            let mut facts = answers(Leg::Item).to_vec();
            facts.push(Fact::Withheld(Leg::Item));
            facts.extend([Fact::ItemPending, Fact::ItemPaid { fee }, Fact::ItemFailed(reason())]);
            facts.extend([Fact::ItemUnclaimed(reason()), Fact::ItemOnHold(reason())]);
            facts.extend([Fact::ItemReturned(reason()), Fact::ItemBlocked(reason())]);
            facts.extend([Fact::ItemRefunded { fee }, Fact::ItemReversed { fee }]);
            facts
        }
    }
}

/// What an attempt of `leg` can look like while its transaction stands at `state`.
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
            for fact in facts(vendor) {
                let step = law::on(state, attempt_at(state, fact.leg()), &terms(vendor), &fact);
                let name = format!("{} ({})", fact.as_str(), fact.leg().as_str());
                if step.is_empty(state) {
                    writeln!(table, "  {name:<28} ·").unwrap();
                    continue;
                }
                let attempt = step.attempt.map_or("", AttemptState::as_str);
                let begin = step.begin.map_or(String::new(), |leg| format!(" + {} attempt", leg.as_str()));
                let tell = step.notice.map_or(String::new(), |notice| format!(" ! {}", notice.as_str()));
                let mut line = format!("  {name:<28} → {:<16} {attempt}{begin}{tell}", step.state.as_str());
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

#[test]
fn every_spelling_reads_back() {
    for state in State::ALL {
        assert_eq!(State::parse(state.as_str()), Some(*state));
        assert!(State::of(state.status()).any(|other| other == *state));
    }
    for attempt in AttemptState::ALL {
        assert_eq!(AttemptState::parse(attempt.as_str()), Some(*attempt));
    }
    assert_eq!(State::parse("paid"), None);
}

/// A payment as the program keeps it: its state, the standing of the newest attempt of each leg, and its books.
struct Payment {
    terms: Terms,
    state: State,
    attempts: BTreeMap<Leg, AttemptState>,
    balances: BTreeMap<String, i64>,
    transfers_begun: u32,
}

impl Payment {
    fn new(vendor: Vendor) -> Self {
        let mut payment = Self {
            terms: terms(vendor),
            state: State::Queued,
            attempts: BTreeMap::from([(Leg::first(vendor), AttemptState::Queued)]),
            balances: BTreeMap::new(),
            transfers_begun: 1,
        };
        payment
            .write(&[Journal::approve(payment.terms.payee, payment.terms.amount), payment.terms.reserve()]);
        payment
    }

    /// A payment walked to `state` along the shortest road, for tables that begin in the middle.
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
            State::PayoutFailed | State::Recalling | State::Recalled => {
                (Vendor::Stripe, stripe(&[Fact::PayoutFailed(reason())]))
            }
            State::PayoutCanceled => (Vendor::Stripe, stripe(&[Fact::PayoutCanceled(reason())])),
            State::Processing => (Vendor::PayPal, item(&[])),
            State::OnHold => (Vendor::PayPal, item(&[Fact::ItemOnHold(reason())])),
            State::Unclaimed => (Vendor::PayPal, item(&[Fact::ItemUnclaimed(reason())])),
            State::Returned => (Vendor::PayPal, item(&[Fact::ItemReturned(reason())])),
            State::Blocked => (Vendor::PayPal, item(&[Fact::ItemBlocked(reason())])),
            State::Refunded => {
                (Vendor::PayPal, item(&[Fact::ItemPaid { fee: None }, Fact::ItemRefunded { fee: None }]))
            }
            State::Reversed => {
                (Vendor::PayPal, item(&[Fact::ItemPaid { fee: None }, Fact::ItemReversed { fee: None }]))
            }
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
        }
        assert_eq!(payment.state, state, "the road to {state:?}");
        // The first leg of the other vendor stands where this one's does, so that one road serves both tables.
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
        let step = law::on(self.state, attempt, &self.terms, fact);
        self.take(fact.leg(), step);
    }

    fn take(&mut self, leg: Leg, step: payout::transaction::Step) {
        if let Some(state) = step.attempt {
            self.attempts.insert(leg, state);
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

    /// Where the money must be, by the state alone.
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
        events in prop::collection::vec(0usize..40, 0..60),
    ) {
        let vendor = if stripe { Vendor::Stripe } else { Vendor::PayPal };
        let facts = facts(vendor);
        let mut payment = Payment::new(vendor);
        for event in events {
            match event {
                38 => payment.resubmit(),
                39 => payment.recall(),
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

/// Whatever becomes of calling an unclaimed item back, nothing moves by it and no state changes; only the attempt does,
/// and only forwards.
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
