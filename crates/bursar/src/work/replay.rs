//! Re-derives a payment's status from the stored bytes: requests, the vendor's answers, and its events. The same code
//! reads them as when they arrived, and the same law decides. If the result differs from the stored state, either
//! something without stored bytes changed it (the answer to a read, a person's statement), which is listed, or the
//! record is wrong. Changes nothing and asks no vendor. Not here: the timeline, which shows what was decided
//! (`ops::evidence`).

use std::collections::BTreeSet;

use payout::law;
use payout::transaction::{AttemptState, Fact, Leg, Reason, State, Step};
use vendors::http::{Answer, HeaderMap, Received};
use vendors::paypal::batch as paypal_batch;
use vendors::stripe::{Expect, payout as bank, transfer};
use vendors::{MoneyKind, MoneyRequest, Outcome};

use super::answer::transfer_facts;
use super::submission;
use super::verdict::{self, Judgment, Verdict};
use crate::ops::Result;
use crate::store::Db;
use crate::store::evidence::{self, Answer as Kept, Event};
use crate::store::submissions::{self, Submission};
use crate::store::transactions::{self, Attempt, ReadLine, Transaction};

/// The maximum wait has no effect on what an answer means.
const LONGEST_US: i64 = 60_000_000;

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReplayStep {
    pub at: i64,
    /// `request`, `answer`, `webhook` or `person`.
    pub source: &'static str,
    /// What was read, in words.
    pub what: String,
    /// The resulting fact, in the law's spelling; `None` if there is none.
    pub fact: Option<&'static str>,
    /// The payment's state after it.
    pub state: State,
}

#[derive(Clone, Debug)]
pub struct Replay {
    pub stored: Transaction,
    pub steps: Vec<ReplayStep>,
    /// The state derived from the bytes.
    pub derived: State,
    /// Changes without stored bytes, in words.
    pub unkept: Vec<String>,
}

impl Replay {
    /// Whether the derived state is the stored one.
    pub fn agrees(&self) -> bool {
        self.derived == self.stored.state
    }

    /// Whether they differ without an explanation.
    pub fn is_wrong(&self) -> bool {
        !self.agrees() && self.unkept.is_empty()
    }
}

/// The order of items with the same microsecond.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum ReplayOrder {
    /// A person's command, which leads to requests.
    Command,
    /// Requests and their answers: a transfer's before those of the bank payout it leads to.
    Wire(u8, u8),
    /// The record that a request got no answer.
    NoAnswer,
    Event,
}

/// The position of a request's leg within the payment.
fn leg(of: &Submission) -> u8 {
    match MoneyKind::parse(&of.kind) {
        Some(MoneyKind::Transfer | MoneyKind::Batch) | None => 0,
        Some(MoneyKind::Payout | MoneyKind::Cancel) => 1,
        Some(MoneyKind::Reversal) => 2,
    }
}

/// A stored item, in chronological order.
enum Item<'a> {
    Request(&'a Submission),
    Answer(&'a Kept),
    Event(&'a Event),
    Line(&'a ReadLine),
}

/// Re-derives the status of a payment.
///
/// # Errors
/// If there is no such payment or the database fails.
pub async fn of(db: &mut Db, number: &str) -> Result<Replay> {
    let stored = transactions::find(db, number).await?;
    let id = stored.id;
    let attempts = transactions::attempts(db, &[id]).await?;
    let carriers: BTreeSet<String> = attempts.iter().filter_map(|one| one.submission.clone()).collect();
    let carriers: Vec<String> = carriers.into_iter().collect();
    let requests = submissions::several(db, &carriers).await?;
    let answers = evidence::answers(db, &carriers).await?;
    let events = evidence::events(db, id).await?;
    let lines = transactions::timeline(db, id).await?;
    let mut items: Vec<(i64, ReplayOrder, Item<'_>)> = Vec::new();
    items.extend(
        requests.iter().map(|one| (one.created_at, ReplayOrder::Wire(leg(one), 0), Item::Request(one))),
    );
    items.extend(answers.iter().map(|one| {
        let of = requests.iter().find(|request| request.id == one.submission);
        (one.at, ReplayOrder::Wire(of.map_or(0, leg), 1), Item::Answer(one))
    }));
    items.extend(events.iter().map(|one| (one.received_at, ReplayOrder::Event, Item::Event(one))));
    items.extend(lines.iter().map(|one| {
        let place = if one.source == "answer" { ReplayOrder::NoAnswer } else { ReplayOrder::Command };
        (one.at, place, Item::Line(one))
    }));
    items.sort_by_key(|(at, place, _)| (*at, *place));
    let mut case = Case::of(&stored, &attempts, &requests, &answers);
    let bare = events.iter().filter(|one| !one.body.is_empty() && said_by(one.body.as_bytes()).is_none());
    case.bare = bare.map(|one| one.event_id.clone()).collect();
    for (at, _, item) in &items {
        case.take(*at, item);
    }
    // An event may have arrived before the answer that named its object, so take events again; repeats change nothing.
    for (at, _, item) in items.iter().filter(|(.., item)| matches!(item, Item::Event(_))) {
        case.take(*at, item);
    }
    let (derived, steps, unkept) = (case.state, case.steps, case.unkept);
    Ok(Replay { stored, steps, derived, unkept })
}

/// An attempt as derived so far.
struct Derived<'a> {
    stored: &'a Attempt,
    state: AttemptState,
}

struct Case<'a> {
    of: &'a Transaction,
    known: &'a [Attempt],
    attempts: Vec<Derived<'a>>,
    /// The requests, with the counters derived so far.
    requests: Vec<Submission>,
    answers: &'a [Kept],
    state: State,
    steps: Vec<ReplayStep>,
    unkept: Vec<String>,
    /// Events that name an object without its state: the vendor was asked because of them.
    bare: BTreeSet<String>,
}

impl<'a> Case<'a> {
    fn of(of: &'a Transaction, known: &'a [Attempt], requests: &[Submission], answers: &'a [Kept]) -> Self {
        let fresh = |one: &Submission| Submission {
            tries: 0,
            doubts: 0,
            same_errors: 0,
            refusals: 0,
            looks: 0,
            looked_at: None,
            last: None,
            ..one.clone()
        };
        let requests = requests.iter().map(fresh).collect();
        let (attempts, steps, unkept, bare) = (Vec::new(), Vec::new(), Vec::new(), BTreeSet::new());
        let state = State::Queued;
        let mut case = Self { of, known, attempts, requests, answers, state, steps, unkept, bare };
        case.begin(Leg::first(of.terms.vendor));
        case
    }

    /// Adds the next attempt of a leg, as stored.
    fn begin(&mut self, leg: Leg) {
        let made = self.attempts.iter().filter(|one| one.stored.leg == leg).count();
        let number = i64::try_from(made).unwrap_or(0) + 1;
        let stored = self.known.iter().find(|one| one.leg == leg && one.number == number);
        self.attempts.extend(stored.map(|stored| Derived { stored, state: AttemptState::Queued }));
    }

    fn take(&mut self, at: i64, item: &Item<'_>) {
        match item {
            Item::Request(of) => {
                let sent = |one: &Attempt| Fact::Sent(one.leg);
                self.observe_all(&of.id, (at, "request", format!("{} was committed", of.key)), sent);
            }
            Item::Answer(answer) => self.answer(at, answer),
            Item::Event(event) => self.event(at, event),
            Item::Line(line) => self.line(at, line),
        }
    }

    /// Applies the same fact to every attempt a request carries.
    fn observe_all(
        &mut self,
        request: &str,
        (at, source, what): (i64, &'static str, String),
        fact: impl Fn(&Attempt) -> Fact,
    ) {
        let carried = |one: &Derived<'_>| one.stored.submission.as_deref() == Some(request);
        let places: Vec<usize> = (0..self.attempts.len()).filter(|at| carried(&self.attempts[*at])).collect();
        for place in places {
            let fact = fact(self.attempts[place].stored);
            self.observe(place, (at, source, what.clone()), &fact);
        }
    }

    fn observe(&mut self, place: usize, (at, source, what): (i64, &'static str, String), fact: &Fact) {
        let attempt = self.attempts[place].state;
        let step = law::on(self.state, attempt, &self.of.terms, fact);
        self.follow(Some(place), &step);
        self.steps.push(ReplayStep { at, source, what, fact: Some(fact.as_str()), state: self.state });
    }

    fn follow(&mut self, place: Option<usize>, step: &Step) {
        self.state = step.state;
        if let (Some(place), Some(next)) = (place, step.attempt) {
            self.attempts[place].state = next;
        }
        if let Some((leg, next)) = step.also {
            let may = |one: &&mut Derived<'_>| one.stored.leg == leg && one.state.may_end(next);
            let live = self.attempts.iter_mut().rev().find(may);
            if let Some(live) = live {
                live.state = next;
            }
        }
        if let Some(leg) = step.begin {
            self.begin(leg);
        }
    }

    /// Applies an answer, read as it was when it arrived.
    fn answer(&mut self, at: i64, answer: &Kept) {
        let Some(place) = self.requests.iter().position(|one| one.id == answer.submission) else { return };
        let of = self.requests[place].clone();
        let what = format!("{} was answered {}", of.key, answer.status);
        if answer.body.is_empty() && answer.status < 500 {
            return self.unkept.push(format!("answer: {what}, whose text was deleted"));
        }
        let Some((judged, fact)) = judged(&of, answer, at) else {
            self.steps.push(ReplayStep { at, source: "answer", what, fact: None, state: self.state });
            return;
        };
        let request = &mut self.requests[place];
        let doubtful = matches!(
            judged.verdict,
            Verdict::Again { doubtful: true, .. } | Verdict::Look(_) | Verdict::Review
        );
        request.tries += 1;
        request.doubts += i64::from(doubtful);
        (request.same_errors, request.refusals) = (judged.same_errors, judged.refusals);
        (request.looks, request.looked_at) = (judged.looks, judged.looked_at);
        request.last = Some((judged.why.clone(), judged.detail.clone()));
        let ours = self.of.id.to_string();
        let bad = match &judged.verdict {
            Verdict::RefusedFor(places, _) => {
                let items = submission::item_ids(&of);
                places.iter().any(|at| items.get(*at) == Some(&ours))
            }
            Verdict::Accepted(_)
            | Verdict::Refused(_)
            | Verdict::Stopped(_)
            | Verdict::Again { .. }
            | Verdict::Look(_)
            | Verdict::Review => true,
        };
        if !bad {
            return;
        }
        self.observe_all(&of.id, (at, "answer", what), |attempt| {
            meaning(&judged.verdict, fact.as_ref(), attempt.leg)
        });
    }

    /// Applies an event about an object. On arrival only a fetched object is believed; here the event's bytes are all
    /// there is.
    fn event(&mut self, at: i64, event: &Event) {
        let (object, facts) = said_by(event.body.as_bytes()).unwrap_or_default();
        let what = format!("{} said {}", event.event_id, event.event_type);
        if event.body.is_empty() {
            return self.unkept.push(format!("webhook: {what}, whose text was deleted"));
        }
        if facts.is_empty() {
            let state = self.state;
            return self.steps.push(ReplayStep { at, source: "webhook", what, fact: None, state });
        }
        for fact in facts {
            let about = |one: &Derived<'_>| {
                one.stored.leg == fact.leg() && one.stored.vendor_id.as_deref() == Some(object.as_str())
            };
            if let Some(place) = self.attempts.iter().position(about) {
                self.observe(place, (at, "webhook", what.clone()), &fact);
            }
        }
    }

    /// Applies people's actions, decisions made before sending, and changes without stored bytes.
    fn line(&mut self, at: i64, line: &ReadLine) {
        let step = match (line.source.as_str(), line.effect.as_str()) {
            ("person", "resubmitted") => law::resubmit(self.state, &self.of.terms).ok(),
            ("person", "cancel_asked") => law::cancel_unclaimed(self.state).ok(),
            ("person", "recall_asked") => match law::return_to_pool(self.state) {
                Ok(law::Release::AfterReversal(step)) => Some(step),
                Ok(law::Release::Now) | Err(_) => None,
            },
            _ => None,
        };
        if let Some(step) = step {
            self.follow(None, &step);
            let what = format!("a person: {}", line.effect);
            return self.steps.push(ReplayStep { at, source: "person", what, fact: None, state: self.state });
        }
        let answered = self.answers.iter().any(|answer| answer.at == at);
        match (line.source.as_str(), line.effect.as_str()) {
            ("request", "sent") | ("person", "pay_pressed") | ("notice", _) => {}
            // Our own decision: nothing was sent, so nobody answered.
            ("request" | "answer", "refused" | "withheld") if !answered => self.stopped(at, line),
            // All that is known is that no answer came.
            ("answer", "outcome_unknown") if !answered => self.no_answer(at),
            // The object a look-up found is not stored.
            ("answer", effect) if line.detail.as_ref().is_some_and(|detail| detail.starts_with("found")) => {
                self.unkept.push(format!("answer: {effect}, found at the vendor"));
            }
            ("webhook" | "answer", _) if answered => {}
            ("webhook" | "answer", _) if line.event_id.as_ref().is_some_and(|id| !self.bare.contains(id)) => {
            }
            ("request", _) => {}
            (source, effect) => self.unkept.push(format!(
                "{source}: {effect}{}",
                line.detail.as_ref().map(|detail| format!(" ({detail})")).unwrap_or_default()
            )),
        }
    }

    /// The newest open attempt was stopped before it was sent.
    fn stopped(&mut self, at: i64, line: &ReadLine) {
        let Some(place) = self.attempts.iter().rposition(|one| !one.state.ended()) else { return };
        let attempt = self.attempts[place].stored;
        let unsent = attempt.first_sent_at.is_none();
        let detail = line.detail.clone().unwrap_or_default();
        if !unsent {
            return self.unkept.push(format!("{}: {} ({detail})", line.source, line.effect));
        }
        let reason = Reason::new(attempt.reason_code.clone().unwrap_or_default(), "");
        let fact = match line.effect.as_str() {
            "withheld" => Fact::Withheld(attempt.leg),
            _ => Fact::Refused(attempt.leg, reason),
        };
        self.observe(place, (at, "request", detail), &fact);
    }

    fn no_answer(&mut self, at: i64) {
        let Some(place) = self.attempts.iter().rposition(|one| !one.state.ended()) else { return };
        let (leg, carrier) =
            (self.attempts[place].stored.leg, self.attempts[place].stored.submission.clone());
        for request in self.requests.iter_mut().filter(|one| Some(&one.id) == carrier.as_ref()) {
            request.doubts += 1;
        }
        self.observe(place, (at, "answer", "no readable answer arrived".to_owned()), &Fact::Unknown(leg));
    }
}

/// The fact a verdict means for one attempt.
fn meaning(verdict: &Verdict, fact: Option<&Fact>, leg: Leg) -> Fact {
    match verdict {
        Verdict::Accepted(_) => fact.cloned().unwrap_or_else(|| verdict::accepted_fact(leg)),
        Verdict::Refused(reason) => verdict::refused_fact(leg, reason),
        Verdict::RefusedFor(_, reason) => Fact::Refused(leg, reason.clone()),
        Verdict::Again { doubtful: false, .. } | Verdict::Stopped(_) => Fact::Sent(leg),
        Verdict::Again { doubtful: true, .. } | Verdict::Look(_) => Fact::Unknown(leg),
        Verdict::Review => Fact::Review(leg),
    }
}

/// The verdict on an answer; `None` for a cancellation, whose outcome only the item reports.
fn judged(of: &Submission, answer: &Kept, now: i64) -> Option<(Judgment, Option<Fact>)> {
    let kind = MoneyKind::parse(&of.kind)?;
    let body = of.body.clone().into_bytes();
    let request =
        MoneyRequest::from_stored(kind, of.path.clone(), of.account.clone(), of.key.clone(), body).ok()?;
    let status = u16::try_from(answer.status).ok()?;
    let received = Received { status, headers: HeaderMap::new(), body: answer.body.clone().into_bytes() };
    let got = Answer::Got(received);
    let stripe = |outcome: Outcome<(String, Option<Fact>)>| match outcome {
        Outcome::Accepted((id, fact)) => (Judgment::accepted(of, &id, "accepted"), fact),
        Outcome::Rejected(rejection) => (verdict::stripe_refusal(of, &rejection, now), None),
        Outcome::Unknown(doubt) => (verdict::stripe_doubt(of, &doubt, now, LONGEST_US), None),
    };
    Some(match kind {
        MoneyKind::Transfer => {
            let expect = Expect::of(&request).ok()?;
            stripe(transfer::read(&got, &expect).map(|made| (made.id, None)))
        }
        MoneyKind::Payout => {
            let expect = Expect::of(&request).ok()?;
            stripe(bank::read(&got, &expect).map(|made| (made.id.clone(), bank::fact(&made))))
        }
        MoneyKind::Reversal => {
            let expect = Expect::of(&request).ok()?;
            stripe(transfer::read_reversal(&got, &expect).map(|made| (made.id, None)))
        }
        MoneyKind::Batch => match paypal_batch::read(&got, &request) {
            Outcome::Accepted(_) => (Judgment::accepted(of, "", "accepted"), None),
            Outcome::Rejected(rejection) => (verdict::paypal_refusal(of, &rejection, now), None),
            Outcome::Unknown(doubt) => (verdict::paypal_doubt(of, &doubt, now, LONGEST_US), None),
        },
        MoneyKind::Cancel => return None,
    })
}

/// The vendor id of the object an event is about, and the facts in its body.
fn said_by(body: &[u8]) -> Option<(String, Vec<Fact>)> {
    if let Some(payout) = vendors::stripe::event::payout(body) {
        // A payout that reverses another ends the original.
        if let Some(original) = payout.original_payout.clone() {
            let back = bank::has_fetched(&payout).then(|| Fact::PayoutFailed(bank::fetched_back()));
            return Some((original, back.into_iter().collect()));
        }
        let fact = bank::fact(&payout);
        return Some((payout.id, fact.into_iter().collect()));
    }
    if let Some(transfer) = vendors::stripe::event::transfer(body) {
        let (_, facts) = transfer_facts(&transfer);
        let made = if facts.is_empty() { vec![Fact::TransferMade] } else { facts };
        return Some((transfer.id, made));
    }
    let item = vendors::paypal::event::item(body)?;
    let fact = paypal_batch::item_fact(&item);
    Some((item.payout_item_id, fact.into_iter().collect()))
}
