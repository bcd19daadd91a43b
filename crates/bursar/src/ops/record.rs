//! The only path from a fact to a change: load, ask the law, and write the whole step in one database transaction.
//!
//! Responses to our calls, webhooks, polls and manual refreshes all end here, as do the steps of people's commands. Not
//! here: deciding (`payout::law`) and talking to vendors.

pub mod contradiction;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use payout::deadline;
use payout::ids::{AttemptId, BatchId, TransactionId};
use payout::law;
use payout::ledger::{Journal, LedgerAccount, Movement};
use payout::money::Money;
use payout::notice::Notice;
use payout::reason::is_bare_status;
use payout::transaction::{AttemptState, Fact, Leg, Reason, State, Status, Step};

use super::{asking, second_payments};
use crate::app::{Actor, App};
use crate::store::events::LinkedEvent;
use crate::store::transactions::{self, Attempt, AttemptChange, Change, Line, Transaction};
use crate::store::{self, Rows, Tx, audit, contradictions};
use contradiction::takes_an_id;

/// Why a recall failed: the payee's own payout schedule has paid the money out.
pub const PAID_OUT: &str = "paid_by_schedule";

/// A fact about one attempt, with its source.
#[derive(Clone, Debug)]
pub struct Observation {
    pub transaction: TransactionId,
    pub attempt: AttemptId,
    pub fact: Fact,
    /// The vendor's id of the attempt, once known.
    pub vendor_id: Option<String>,
    /// The submission that carries the attempt.
    pub submission: Option<String>,
    /// The source: `request`, `answer`, `webhook`, `poll` or `person`.
    pub source: &'static str,
    pub detail: Option<String>,
    /// The vendor's event id, if a webhook reported it.
    pub event_id: Option<String>,
}

/// The outcome of recording, beyond what is in the database.
#[derive(Debug, Default)]
pub struct Recorded {
    /// How many facts changed something.
    pub changed: usize,
    /// Whether a new attempt is ready to be sent.
    pub to_dispatch: bool,
    /// The payments in their state after recording.
    pub standing: BTreeMap<TransactionId, Transaction>,
}

/// Payments locked for this database transaction, with their current attempts.
pub struct LockedPayments {
    cases: BTreeMap<TransactionId, PaymentCase>,
}

impl LockedPayments {
    /// The attempts of all payments.
    pub fn attempts(&self) -> impl Iterator<Item = &Attempt> {
        self.cases.values().flat_map(|case| &case.attempts)
    }

    /// One of the payments, in its current state.
    pub fn payment(&self, id: TransactionId) -> Option<&Transaction> {
        self.cases.get(&id).map(|case| &case.transaction)
    }

    /// Whether to keep asking about an event for which the vendor has shown nothing. It may mean that the money of a
    /// settled payment came back, and no notice is sent for a settled payment as it is for an unsettled one.
    pub fn keeps(&self, event: &LinkedEvent, now: i64) -> bool {
        let settled = self.cases.get(&event.transaction).is_some_and(|of| of.transaction.state.settled());
        settled && now.saturating_sub(event.linked_at) < deadline::SETTLED_WATCHED_US
    }
}

/// A locked transaction, its attempts, and the pending changes.
struct PaymentCase {
    transaction: Transaction,
    attempts: Vec<Attempt>,
    touched: bool,
    ended: bool,
    /// The state has changed, so one person's pending opinion about it no longer applies.
    state_changed: bool,
    attempts_touched: Vec<AttemptId>,
    /// New attempts. They are in `attempts` as well, so that later facts about the same payment find them.
    new_attempts: Vec<AttemptId>,
    /// Transfers of which more has come back than was known.
    grown_transfers: Vec<AttemptId>,
    /// It is contradicted, and its money has reached the payee's bank by the payee's own schedule.
    swept_beside: bool,
    paid_at: Option<Option<i64>>,
}

/// Everything that one database transaction will write.
#[derive(Default)]
struct WriteSet {
    journals: Vec<(String, Option<String>, Journal)>,
    lines: Vec<Line>,
    notices: Vec<(Notice, TransactionId)>,
    audit: Vec<audit::Entry>,
    vendor_ids: Vec<String>,
    recalled: Vec<TransactionId>,
    came_back: Vec<TransactionId>,
}

/// Records facts. Each is put to the law in the given order, on locked rows.
///
/// # Errors
/// If the database fails; then nothing was recorded.
pub async fn record(
    tx: &mut Tx,
    app: &App,
    actor: &str,
    observations: &[Observation],
) -> store::Result<Recorded> {
    let held = hold(tx, observations.iter().map(|one| one.transaction)).await?;
    record_of(tx, app, actor, held, observations).await
}

/// The same for payments that are already locked; facts about other payments are skipped.
///
/// # Errors
/// If the database fails; then nothing was recorded.
pub async fn record_of(
    tx: &mut Tx,
    app: &App,
    actor: &str,
    held: LockedPayments,
    observations: &[Observation],
) -> store::Result<Recorded> {
    let (now, mut cases) = (app.clock.now(), held.cases);
    let mut carried = carried(tx, observations).await?;
    let (mut sheet, mut recorded) = (WriteSet::default(), Recorded::default());
    for one in observations {
        let Some(case) = cases.get_mut(&one.transaction) else { continue };
        if let Some(object) = one.vendor_id.as_ref().filter(|_| has_one_object(one.fact.leg())) {
            let carrier = *carried.entry(object.clone()).or_insert(one.attempt);
            if carrier != one.attempt {
                case.doubt(one, object, now, &mut sheet);
                continue;
            }
        }
        if let Some(known) = case.known_as(one) {
            case.made_twice(one, &known, now, &mut sheet);
            continue;
        }
        if case.observe(one, app, now, actor, &mut sheet) {
            recorded.changed += 1;
        }
    }
    recorded.to_dispatch = cases.values().any(|case| !case.new_attempts.is_empty());
    after_corrections(tx, &mut sheet).await?;
    write(tx, app, (now, actor), &cases, sheet).await?;
    recorded.standing = cases.into_values().map(|case| (case.transaction.id, case.transaction)).collect();
    Ok(recorded)
}

/// Makes the journals' causes unique again after a correction. Normally an attempt causes each movement once; an attempt
/// whose books were corrected can fail again.
async fn after_corrections(tx: &mut Tx, sheet: &mut WriteSet) -> store::Result<()> {
    let subjects: BTreeSet<&str> = sheet.journals.iter().map(|(subject, ..)| subject.as_str()).collect();
    let corrected = contradictions::corrections(tx, &subjects.into_iter().collect::<Vec<_>>()).await?;
    for (subject, cause, _) in &mut sheet.journals {
        if let (Some(times), Some(cause)) = (corrected.get(subject.as_str()), cause) {
            cause.push_str(&format!("_after{times}"));
        }
    }
    Ok(())
}

/// The attempts that own the vendor objects named in these facts. One vendor object belongs to one attempt: a fact that
/// names it for another payment is not believed, and must not spoil the rest of the batch.
async fn carried(tx: &mut Tx, observations: &[Observation]) -> store::Result<HashMap<String, AttemptId>> {
    let named = observations.iter().filter(|one| has_one_object(one.fact.leg()));
    let named: Vec<String> = named.filter_map(|one| one.vendor_id.clone()).collect();
    Ok(contradictions::carriers(tx, &named).await?.into_iter().collect())
}

/// A payout on the payee's own schedule covers several payments at once; any other object is one attempt.
fn has_one_object(leg: Leg) -> bool {
    match leg {
        Leg::Transfer | Leg::Reversal | Leg::Item => true,
        Leg::Payout | Leg::Cancel => false,
    }
}

/// Records the step of a command that the law has allowed on a transaction locked in `tx`; the timeline names the actor.
pub async fn command(
    tx: &mut Tx,
    app: &App,
    actor: &Actor,
    id: TransactionId,
    step: Step,
    what: &str,
) -> store::Result<()> {
    let now = app.clock.now();
    let mut cases = hold(tx, [id]).await?.cases;
    let mut sheet = WriteSet::default();
    if let Some(case) = cases.get_mut(&id) {
        sheet.lines.push(Line {
            transaction: id,
            at: now,
            source: "person",
            effect: what.to_owned(),
            detail: Some(actor.name.clone()),
            event_id: None,
        });
        case.take(&step, None, None, app, now, &mut sheet);
        sheet.audit.push(case.audit_entry(&actor.id.to_string(), now, what));
    }
    write(tx, app, (now, &actor.id.to_string()), &cases, sheet).await
}

/// Records what a person has proven, with the vendor's object, about an attempt that had ended here. A transfer beside a
/// later one counts only with the part that has not come back; for any other attempt, money that came back is a separate
/// fact.
pub async fn correction(
    tx: &mut Tx,
    app: &App,
    actor: &str,
    proven: &Observation,
    part_back: Option<Money>,
) -> store::Result<()> {
    let now = app.clock.now();
    let mut cases = hold(tx, [proven.transaction]).await?.cases;
    let mut sheet = WriteSet::default();
    if let Some(case) = cases.get_mut(&proven.transaction) {
        let (state, terms) = (case.transaction.state, case.transaction.terms);
        let terms = match part_back.filter(|_| law::stands_beside(state, &proven.fact)) {
            Some(back) => terms.less(back),
            None => terms,
        };
        let step = law::correct(state, &terms, &proven.fact);
        if let Some(place) = case.attempts.iter().position(|attempt| attempt.id == proven.attempt) {
            case.note_ids(place, proven, now, &mut sheet);
            if let Some(next) = step.attempt {
                case.move_attempt(place, next, proven, now);
            }
        }
        sheet.lines.push(line(proven, "corrected", now));
        let second = step.state == case.transaction.state;
        case.take(&step, None, None, app, now, &mut sheet);
        case.made_by_vendor(&step, &proven.fact, &mut sheet);
        if second {
            // A second attempt was paid as well; count that once, however often the vendor reports it.
            let cause = store::ledger::beside(proven.attempt);
            sheet.journals.iter_mut().for_each(|booked| booked.1 = Some(cause.clone()));
        }
        sheet.audit.push(case.audit_entry(actor, now, "corrected"));
    }
    write(tx, app, (now, actor), &cases, sheet).await
}

/// Locks payments and reads them with their attempts; nobody else can change them until this database transaction ends.
pub async fn hold(
    tx: &mut Tx,
    ids: impl IntoIterator<Item = TransactionId>,
) -> store::Result<LockedPayments> {
    let ids: Vec<TransactionId> = ids.into_iter().collect::<BTreeSet<_>>().into_iter().collect();
    let locked = transactions::lock(tx, &ids).await?;
    let mut attempts: HashMap<TransactionId, Vec<Attempt>> = HashMap::new();
    for attempt in transactions::attempts(tx, &ids).await? {
        attempts.entry(attempt.transaction).or_default().push(attempt);
    }
    let case = |(id, transaction)| {
        let attempts = attempts.remove(&id).unwrap_or_default();
        (
            id,
            PaymentCase {
                transaction,
                attempts,
                touched: false,
                ended: false,
                state_changed: false,
                attempts_touched: Vec::new(),
                new_attempts: Vec::new(),
                grown_transfers: Vec::new(),
                swept_beside: false,
                paid_at: None,
            },
        )
    };
    Ok(LockedPayments { cases: locked.into_iter().map(case).collect() })
}

impl PaymentCase {
    /// Puts one fact to the law; returns whether it changed anything.
    fn observe(
        &mut self,
        observation: &Observation,
        app: &App,
        now: i64,
        actor: &str,
        sheet: &mut WriteSet,
    ) -> bool {
        let Some(place) = self.attempts.iter().position(|attempt| attempt.id == observation.attempt) else {
            return false;
        };
        if let Fact::FeeKnown(money) = observation.fact {
            return self.book_fee(place, money, observation, (now, actor), sheet);
        }
        if let Fact::PartBack(money) = observation.fact {
            return self.book_part(place, money, observation, (now, actor), sheet);
        }
        self.note_ids(place, observation, now, sheet);
        let before = self.transaction.state;
        let standing = self.attempts[place].state;
        let beside = self.is_beside(&observation.fact);
        let step = self.step(place, &observation.fact);
        self.swept_beside |= beside && step.contradiction;
        // For coverage of the law's rows in tests.
        tracing::trace!(target: "law", state = before.as_str(), attempt = standing.as_str(),
            fact = observation.fact.as_str(), leg = observation.fact.leg().as_str());
        let moved = step.state != before || step.attempt.is_some_and(|next| next != standing);
        let contradicts = (step.contradiction || self.denies_an_end(place, &observation.fact, now))
            && self.is_new(place, observation);
        if !moved && !contradicts {
            return false;
        }
        if moved {
            sheet.lines.push(line(observation, observation.fact.as_str(), now));
        }
        if contradicts {
            self.contradicted(place, observation, step.also, now, sheet);
        }
        if let Some(next) = step.attempt {
            self.move_attempt(place, next, observation, now);
        } else if moved && matches!(observation.fact, Fact::TransferReversedPartly(_)) {
            // A person will review it now. The reason code makes a repeat after that not count as a contradiction.
            self.attempts[place].reason_code = observation.fact.reason().map(|reason| reason.code.clone());
            self.attempts_touched.push(observation.attempt);
        }
        let about = (!matches!(observation.fact, Fact::Swept { .. })).then_some(observation.attempt);
        self.take(&step, observation.fact.reason(), about, app, now, sheet);
        self.made_by_vendor(&step, &observation.fact, sheet);
        sheet.audit.push(self.audit_entry(actor, now, observation.fact.as_str()));
        true
    }

    /// Applies a payout on the payee's own schedule to the attempt that has just begun; it can fail like any other.
    fn made_by_vendor(&mut self, step: &Step, fact: &Fact, sheet: &mut WriteSet) {
        let begun = step.begin.and_then(|_| self.new_attempts.last());
        let begun = self.attempts.iter_mut().find(|one| Some(&one.id) == begun);
        if let (Fact::Swept { payout, arrived }, Some(begun)) = (fact, begun) {
            begun.state = if *arrived { AttemptState::Succeeded } else { AttemptState::Accepted };
            begun.ended_at = arrived.then_some(self.transaction.state_at);
            begun.vendor_id = Some(payout.clone());
            sheet.vendor_ids.push(payout.clone());
        }
    }

    /// The consequence of a fact. Money that comes back after two people settled a payment is booked according to their
    /// settlement.
    fn step(&self, place: usize, fact: &Fact) -> Step {
        let (of, attempt) = (&self.transaction, &self.attempts[place]);
        // The payee has the money, and other money came back: release nothing until a person has decided.
        if self.swept_beside && *fact == Fact::TransferReversed {
            return law::still_contradicted(of.state);
        }
        let settled = of.state == State::WrittenOff && attempt.state == AttemptState::Succeeded;
        if settled && *fact == Fact::TransferReversed {
            return law::back_after_settling(&of.terms, of.otherwise_at.is_some(), attempt.reversed_minor);
        }
        if self.is_beside(fact) {
            return law::swept_beside(of.state, of.otherwise_at.is_some());
        }
        law::on(of.state, attempt.state, &of.terms, fact)
    }

    /// Whether a payout on the payee's own schedule moves nothing by itself, because a person must decide what happened to
    /// the payment.
    fn is_beside(&self, fact: &Fact) -> bool {
        let of = &self.transaction;
        matches!(fact, Fact::Swept { .. }) && (of.closed() || of.contradicted_at.is_some())
    }

    /// Books an attempt's vendor fee, as the difference from what is already booked.
    fn book_fee(
        &mut self,
        place: usize,
        told: Money,
        observation: &Observation,
        (now, actor): (i64, &str),
        sheet: &mut WriteSet,
    ) -> bool {
        let attempt = &mut self.attempts[place];
        if told.currency != self.transaction.terms.net.currency {
            return false;
        }
        if self.transaction.state == State::Success && payout::planted::on("late_fee_unbooked") {
            return false;
        }
        let Some(journal) = law::fee(&self.transaction.terms, attempt.fee_minor, told) else { return false };
        attempt.fee_minor = told.minor;
        self.attempts_touched.push(attempt.id);
        sheet.journals.push((observation.transaction.to_string(), None, journal));
        let detail = format!("the vendor took {told} for itself");
        sheet.lines.push(Line { detail: Some(detail), ..line(observation, observation.fact.as_str(), now) });
        sheet.audit.push(self.audit_entry(actor, now, observation.fact.as_str()));
        true
    }

    /// Books the part of a transfer that has come back, as the difference from what is already booked. The part only grows,
    /// so an older answer changes nothing.
    fn book_part(
        &mut self,
        place: usize,
        told: Money,
        observation: &Observation,
        (now, actor): (i64, &str),
        sheet: &mut WriteSet,
    ) -> bool {
        let of = &self.transaction;
        let against = law::part_account(of.state, &of.terms, of.otherwise_at.is_some());
        let attempt = &mut self.attempts[place];
        let about_it = told.currency == of.terms.net.currency && attempt.state == AttemptState::Succeeded;
        let by_itself = law::booked_by_itself(of.state, &of.terms, told.minor);
        if !about_it || !by_itself || told.minor <= attempt.reversed_minor {
            return false;
        }
        let booked = law::part_back(&of.terms, against, attempt.reversed_minor, told.minor);
        let Some(journal) = booked else { return false };
        attempt.reversed_minor = told.minor;
        self.grown_transfers.push(attempt.id);
        self.attempts_touched.push(attempt.id);
        sheet.journals.push((observation.transaction.to_string(), None, journal));
        let detail = format!("{told} of the transfer came back to our balance");
        sheet.lines.push(Line { detail: Some(detail), ..line(observation, observation.fact.as_str(), now) });
        sheet.audit.push(self.audit_entry(actor, now, observation.fact.as_str()));
        true
    }

    /// Closes what was booked for a partly reversed transfer: reversed out if all of it came back, or moved to the account
    /// of a settlement by two people.
    fn end_part(&mut self, step: &Step, before: State, sheet: &mut WriteSet) {
        let id = self.transaction.id.to_string();
        let terms = self.transaction.terms;
        for attempt in self.attempts.iter_mut().filter(|one| one.reversed_minor != 0) {
            let part = attempt.reversed_minor;
            let ends = step.journals.iter().find_map(|journal| match journal.movement() {
                // Money that comes back after a settlement is booked without the part.
                Movement::Recall | Movement::Reverse if before != State::WrittenOff => {
                    attempt.reversed_minor = 0;
                    law::part_back(&terms, law::part_account(before, &terms, false), part, 0)
                }
                Movement::WriteOff => {
                    Some(law::part_settled(&terms, LedgerAccount::WrittenOff(terms.vendor), part))
                }
                Movement::Outside => Some(law::part_settled(&terms, LedgerAccount::PaidOutside, part)),
                Movement::Recall
                | Movement::Reverse
                | Movement::Reserve
                | Movement::Void
                | Movement::Post
                | Movement::Park
                | Movement::Unpark
                | Movement::Fee
                | Movement::Approve
                | Movement::Unapprove
                | Movement::Clawback
                | Movement::PartReversed => None,
            });
            self.attempts_touched.push(attempt.id);
            sheet.journals.extend(ends.map(|journal| (id.clone(), None, journal)));
        }
    }

    /// Stores the vendor's id even if the law changes nothing.
    fn note_ids(&mut self, place: usize, observation: &Observation, now: i64, sheet: &mut WriteSet) {
        let beside = !takes_an_id(&self.attempts[place], observation);
        let attempt = &mut self.attempts[place];
        let mut touched = false;
        if let Some(vendor_id) = observation.vendor_id.as_ref().filter(|_| !beside)
            && attempt.vendor_id.as_ref() != Some(vendor_id)
        {
            if attempt.vendor_id.is_some() {
                // The fee of the previous object stays booked; the new object's fee is added to it.
                attempt.fee_minor = 0;
            }
            attempt.vendor_id = Some(vendor_id.clone());
            sheet.vendor_ids.push(vendor_id.clone());
            touched = true;
        }
        if let Some(submission) = &observation.submission
            && attempt.submission.as_ref() != Some(submission)
        {
            attempt.submission = Some(submission.clone());
            touched = true;
        }
        if matches!(observation.fact, Fact::Sent(_)) && attempt.first_sent_at.is_none() {
            attempt.first_sent_at = Some(now);
            touched = true;
        }
        if touched {
            self.attempts_touched.push(self.attempts[place].id);
        }
    }

    fn move_attempt(&mut self, place: usize, next: AttemptState, observation: &Observation, now: i64) {
        let attempt = &mut self.attempts[place];
        attempt.state = next;
        if next == AttemptState::Queued {
            // Nothing was sent, and no submission carries it any more.
            (attempt.submission, attempt.first_sent_at) = (None, None);
        }
        let new_code = observation.fact.reason().map(|reason| reason.code.clone());
        let new_code = new_code.filter(|code| attempt.reason_code.is_none() || !is_bare_status(code));
        attempt.reason_code = new_code.or(attempt.reason_code.take());
        attempt.ended_at = (next.ended() || next == AttemptState::Succeeded).then_some(now);
        self.attempts_touched.push(attempt.id);
    }

    /// Applies a step: state, dates, journals, notices, a new attempt. `about` is the attempt that the fact is about; the
    /// journals of a command refer to the attempt it begins.
    fn take(
        &mut self,
        step: &Step,
        reason: Option<&Reason>,
        about: Option<AttemptId>,
        app: &App,
        now: i64,
        sheet: &mut WriteSet,
    ) {
        let id = self.transaction.id;
        let before = self.transaction.state;
        self.end_part(step, before, sheet);
        if step.state != before {
            self.touched = true;
            self.state_changed |= waits_for_people(before) || self.transaction.contradicted_at.is_some();
            self.ended = step.state.settled() && (self.ended || !before.settled());
            self.transaction.state = step.state;
            self.transaction.state_at = now;
            self.transaction.reason = self.worth_more(reason);
            self.transaction.settled_at = step.state.settled().then_some(now);
            self.transaction.ask_at =
                asking::next((before, step.state), self.transaction.ask_at, now, app.config.poll_us());
            let (was, is) = (before.status() == Status::Success, step.state.status() == Status::Success);
            // What was paid outside stays paid, whatever the vendor does.
            if was != is && self.transaction.outside.is_none() {
                self.paid_at = Some(is.then_some(now));
            }
            let freed = step.state == State::Unknown && payout::planted::on("freed_on_unknown");
            if step.state == State::Recalled || freed {
                sheet.recalled.push(id);
            }
        }
        if let Some((leg, next)) = step.also
            && let Some(other) =
                self.attempts.iter_mut().find(|one| one.leg == leg && one.state.may_end(next))
        {
            other.state = next;
            other.ended_at = (next.ended() || next == AttemptState::Succeeded).then_some(now);
            other.reason_code = reason.map(|reason| reason.code.clone()).or(other.reason_code.take());
            // Without a reason, the reversal would look like one that people have settled.
            if leg == Leg::Reversal && next == AttemptState::Failed {
                other.reason_code.get_or_insert_with(|| PAID_OUT.to_owned());
            }
            self.attempts_touched.push(other.id);
        }
        if step.journals.iter().any(|journal| journal.movement() == Movement::Post) {
            self.transaction.left_at = Some(now);
        }
        if step.journals.iter().any(|journal| journal.movement().owes_again()) {
            sheet.came_back.push(id);
        }
        sheet.notices.extend(step.notice.map(|notice| (notice, id)));
        let mut cause = about;
        if let Some(leg) = step.begin {
            let newest =
                self.attempts.iter().filter(|attempt| attempt.leg == leg).map(|attempt| attempt.number).max();
            let begun = AttemptId::fresh(now, app.clock.in_turn());
            self.new_attempts.push(begun);
            self.attempts.push(Attempt::new(begun, id, (leg, newest.unwrap_or(0) + 1)));
            cause = cause.or(Some(begun));
        }
        let cause = cause.map(|attempt| attempt.to_string());
        let booked = step.journals.iter().cloned();
        sheet.journals.extend(booked.map(|journal| (id.to_string(), cause.clone(), journal)));
    }

    /// The reason to keep. A reason that only repeats the state explains nothing, so the previous one is kept: an unclaimed
    /// payment comes back for the reason it was unclaimed.
    fn worth_more(&mut self, reason: Option<&Reason>) -> Option<Reason> {
        match reason {
            Some(reason) if reason.message.is_empty() && is_bare_status(&reason.code) => {
                Some(self.transaction.reason.take().unwrap_or_else(|| reason.clone()))
            }
            reason => reason.cloned(),
        }
    }

    fn audit_entry(&self, actor: &str, now: i64, fact: &str) -> audit::Entry {
        let detail = serde_json::json!({ "fact": fact, "state": self.transaction.state.as_str() });
        audit::Entry {
            at: now,
            actor: actor.to_owned(),
            action: "transaction_moved",
            subject: self.transaction.id.to_string(),
            detail: detail.to_string(),
        }
    }
}

/// Whether people may settle a payment in this state. A contradicted one may be in any state.
fn waits_for_people(state: State) -> bool {
    match state {
        State::Review
        | State::PayoutReview
        | State::Recalling
        | State::Unclaimed
        | State::PayoutFailed
        | State::PayoutCanceled => true,
        State::Queued
        | State::Sending
        | State::Unknown
        | State::Processing
        | State::OnHold
        | State::Transferred
        | State::PayoutSending
        | State::PayoutUnknown
        | State::InTransit
        | State::Success
        | State::Failed
        | State::Recalled
        | State::Returned
        | State::Blocked
        | State::Refunded
        | State::Reversed
        | State::WrittenOff => false,
    }
}

async fn write(
    tx: &mut Tx,
    app: &App,
    (now, actor): (i64, &str),
    cases: &BTreeMap<TransactionId, PaymentCase>,
    mut sheet: WriteSet,
) -> store::Result<()> {
    let (mut changes, mut attempt_changes, mut begun, mut dated) = (vec![], vec![], Rows::default(), vec![]);
    let (mut ended, mut overtaken, mut made_already) = (BTreeSet::new(), Vec::new(), Vec::new());
    for case in cases.values() {
        dated.extend(case.paid_at.map(|paid_at| (case.transaction.id, paid_at)));
        let (new, known): (Vec<&Attempt>, Vec<&Attempt>) =
            case.attempts.iter().partition(|one| case.new_attempts.contains(&one.id));
        for one in new {
            begun.push(transactions::new_attempt(one.id, one.transaction, one.leg, one.number, now));
            // The vendor has made it already, or it ended before anything was sent.
            made_already.extend((one.state != AttemptState::Queued).then(|| attempt_change(one)));
        }
        let touched = known.into_iter().filter(|attempt| case.attempts_touched.contains(&attempt.id));
        attempt_changes.extend(touched.map(attempt_change));
        if case.ended {
            ended.insert(case.transaction.batch);
        }
        if case.state_changed {
            overtaken.push(case.transaction.id);
        }
        if case.touched {
            changes.push(change(&case.transaction));
        }
    }
    contradictions::forget_opinions(tx, &overtaken).await?;
    transactions::write(tx, &changes).await?;
    transactions::write_attempts(tx, &attempt_changes).await?;
    transactions::insert_attempts(tx, begun).await?;
    transactions::write_attempts(tx, &made_already).await?;
    transactions::date_rewards(tx, &dated).await?;
    if payout::planted::on("books_after_the_change") && app.clock.random().is_multiple_of(8) {
        sheet.journals.clear();
    }
    if payout::planted::on("trail_after_the_change") && app.clock.random().is_multiple_of(8) {
        sheet.audit.clear();
    }
    store::ledger::write_once(tx, now, &app.clock, &sheet.journals).await?;
    transactions::write_timeline(tx, &sheet.lines, payout::ids::fresh(now, app.clock.in_turn())).await?;
    store::events::unpark(tx, &sheet.vendor_ids).await?;
    for id in sheet.recalled {
        transactions::release(tx, id, now).await?;
    }
    second_payments::came_back(tx, app, actor, &sheet.came_back).await?;
    if payout::planted::on("end_untold") && app.clock.random().is_multiple_of(8) {
        sheet.notices.clear();
    }
    let notices = sheet.notices.into_iter().map(|(notice, id)| (notice, id.to_string(), "{}".to_owned()));
    store::outbox::write(tx, &app.clock, now, notices).await?;
    notify_ended(tx, app, now, ended.into_iter().collect()).await?;
    sheet.audit.into_iter().for_each(|entry| tx.audit(entry));
    Ok(())
}

/// Sends a notice for batches that have no payment in progress any more. If two processes end the last two at the same
/// moment, neither sees it; the watch loop does.
async fn notify_ended(tx: &mut Tx, app: &App, now: i64, batches: Vec<BatchId>) -> store::Result<()> {
    if batches.is_empty() {
        return Ok(());
    }
    let ended = store::watch::ended_among(tx, &batches).await?;
    for batch in &ended {
        store::outbox::may_send(tx, Notice::BatchFinal.as_str(), batch, now, now).await?;
    }
    let notices = ended.into_iter().map(|batch| (Notice::BatchFinal, batch, "{}".to_owned()));
    store::outbox::write(tx, &app.clock, now, notices).await
}

fn line(observation: &Observation, effect: &str, now: i64) -> Line {
    Line {
        transaction: observation.transaction,
        at: now,
        source: observation.source,
        effect: effect.to_owned(),
        detail: observation.detail.clone(),
        event_id: observation.event_id.clone(),
    }
}

fn change(transaction: &Transaction) -> Change {
    Change {
        id: transaction.id,
        state: transaction.state,
        state_at: transaction.state_at,
        reason: transaction.reason.clone(),
        settled_at: transaction.settled_at,
        left_at: transaction.left_at,
        ask_at: transaction.ask_at,
        contradicted_at: transaction.contradicted_at,
    }
}

fn attempt_change(attempt: &Attempt) -> AttemptChange {
    AttemptChange {
        id: attempt.id,
        state: attempt.state,
        vendor_id: attempt.vendor_id.clone(),
        submission: attempt.submission.clone(),
        reason_code: attempt.reason_code.clone(),
        first_sent_at: attempt.first_sent_at,
        ended_at: attempt.ended_at,
        fee_minor: attempt.fee_minor,
        reversed_minor: attempt.reversed_minor,
        contradicted_at: attempt.contradicted_at,
    }
}
