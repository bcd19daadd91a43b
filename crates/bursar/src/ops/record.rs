//! The one way in which a fact becomes a change: load, ask the law, write the whole step in one database transaction.
//!
//! Answers of our own calls, webhooks, polls and hand refreshes all end here, and so do the steps that people's commands
//! lead to. What is deliberately not here: deciding (that is `payout::law`) and talking to vendors.

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
use crate::store::events::Linked;
use crate::store::transactions::{self, Attempt, AttemptChange, Change, Line, Transaction};
use crate::store::{self, Rows, Tx, audit, contradictions};
use contradiction::takes_an_id;

/// Why what was to be fetched back is not: the vendor's own schedule has paid it out.
pub const PAID_OUT: &str = "paid_by_schedule";

/// Something heard about one attempt.
#[derive(Clone, Debug)]
pub struct Heard {
    pub transaction: TransactionId,
    pub attempt: AttemptId,
    pub fact: Fact,
    /// The vendor's id of the attempt, once known.
    pub vendor_id: Option<String>,
    /// The submission that carries it.
    pub submission: Option<String>,
    /// Where it was heard: `request`, `answer`, `webhook`, `poll` or `person`.
    pub source: &'static str,
    /// The particulars, for the timeline.
    pub detail: Option<String>,
    /// The vendor's event, where a webhook told it.
    pub event_id: Option<String>,
}

/// What recording led to, beyond what is in the database.
#[derive(Debug, Default)]
pub struct Recorded {
    /// How many facts changed something.
    pub changed: usize,
    /// A new attempt is to be sent.
    pub to_dispatch: bool,
    /// The payments as they are now.
    pub standing: BTreeMap<TransactionId, Transaction>,
}

/// Payments that are locked for this database transaction, with their attempts, as they are now.
pub struct Held {
    cases: BTreeMap<TransactionId, Case>,
}

impl Held {
    /// The attempts of all of them.
    pub fn attempts(&self) -> impl Iterator<Item = &Attempt> {
        self.cases.values().flat_map(|case| &case.attempts)
    }

    /// One of the payments, as it is now.
    pub fn payment(&self, id: TransactionId) -> Option<&Transaction> {
        self.cases.get(&id).map(|case| &case.transaction)
    }

    /// Whether an event of which the vendor has shown nothing is asked about further: what it tells of a payment that is
    /// settled here may be that its money came back, and no person is told as of one that is not settled.
    pub fn keeps(&self, event: &Linked, now: i64) -> bool {
        let settled = self.cases.get(&event.transaction).is_some_and(|of| of.transaction.state.settled());
        settled && now.saturating_sub(event.linked_at) < deadline::SETTLED_WATCHED_US
    }
}

/// A locked transaction, its attempts, and what has been decided to change of them.
struct Case {
    transaction: Transaction,
    attempts: Vec<Attempt>,
    touched: bool,
    ended: bool,
    /// What one person may have said about how it stood does not hold of how it stands now.
    overtaken: bool,
    attempts_touched: Vec<AttemptId>,
    /// Attempts that begin. They stand among the others, so that what is heard next of the same payment finds them.
    begun: Vec<AttemptId>,
    /// Transfers of which more has come back than was known.
    grown: Vec<AttemptId>,
    /// It is contradicted, and its money was heard to have gone to the payee's bank all the same.
    swept_beside: bool,
    paid_at: Option<Option<i64>>,
}

/// What one database transaction will write.
#[derive(Default)]
struct Sheet {
    journals: Vec<(String, Option<String>, Journal)>,
    lines: Vec<Line>,
    notices: Vec<(Notice, TransactionId)>,
    audit: Vec<audit::Entry>,
    vendor_ids: Vec<String>,
    recalled: Vec<TransactionId>,
    came_back: Vec<TransactionId>,
}

/// Records facts. Each is put to the law in the order given, on rows locked for this transaction.
///
/// # Errors
/// When the database does not answer; then nothing was recorded.
pub async fn record(tx: &mut Tx, app: &App, actor: &str, heard: &[Heard]) -> store::Result<Recorded> {
    let held = hold(tx, heard.iter().map(|one| one.transaction)).await?;
    record_of(tx, app, actor, held, heard).await
}

/// The same of payments that are held already; what was heard of any other is left out.
///
/// # Errors
/// When the database does not answer; then nothing was recorded.
pub async fn record_of(
    tx: &mut Tx,
    app: &App,
    actor: &str,
    held: Held,
    heard: &[Heard],
) -> store::Result<Recorded> {
    let (now, mut cases) = (app.clock.now(), held.cases);
    let mut carried = carried(tx, heard).await?;
    let (mut sheet, mut recorded) = (Sheet::default(), Recorded::default());
    for one in heard {
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
        if case.hear(one, app, now, actor, &mut sheet) {
            recorded.changed += 1;
        }
    }
    recorded.to_dispatch = cases.values().any(|case| !case.begun.is_empty());
    after_corrections(tx, &mut sheet).await?;
    write(tx, app, (now, actor), &cases, sheet).await?;
    recorded.standing = cases.into_values().map(|case| (case.transaction.id, case.transaction)).collect();
    Ok(recorded)
}

/// An attempt leads to each movement once. One whose books were corrected begins anew: what failed here once, and was
/// proven to be under way, can fail again.
async fn after_corrections(tx: &mut Tx, sheet: &mut Sheet) -> store::Result<()> {
    let subjects: BTreeSet<&str> = sheet.journals.iter().map(|(subject, ..)| subject.as_str()).collect();
    let corrected = contradictions::corrections(tx, &subjects.into_iter().collect::<Vec<_>>()).await?;
    for (subject, cause, _) in &mut sheet.journals {
        if let (Some(times), Some(cause)) = (corrected.get(subject.as_str()), cause) {
            cause.push_str(&format!("_after{times}"));
        }
    }
    Ok(())
}

/// Which attempts carry the objects that are named here. One object of a vendor is one attempt: what is told about the
/// same object for another payment is not believed, and must not spoil the set it came in.
async fn carried(tx: &mut Tx, heard: &[Heard]) -> store::Result<HashMap<String, AttemptId>> {
    let named = heard.iter().filter(|one| has_one_object(one.fact.leg()));
    let named: Vec<String> = named.filter_map(|one| one.vendor_id.clone()).collect();
    Ok(contradictions::carriers(tx, &named).await?.into_iter().collect())
}

/// A payout of Stripe's own schedule pays several at once; every other object is one attempt.
fn has_one_object(leg: Leg) -> bool {
    match leg {
        Leg::Transfer | Leg::Reversal | Leg::Item => true,
        Leg::Payout | Leg::Cancel => false,
    }
}

/// Records the step of a command that the law has allowed on a transaction locked in `tx`: its line in the timeline names
/// who gave it.
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
    let mut sheet = Sheet::default();
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

/// Records what a person has proven about an attempt that had ended here, by the vendor's own object. Of a transfer beside a
/// later one only what has not come back is counted; of any other one, what came back is a fact of its own.
pub async fn correction(
    tx: &mut Tx,
    app: &App,
    actor: &str,
    proven: &Heard,
    part_back: Option<Money>,
) -> store::Result<()> {
    let now = app.clock.now();
    let mut cases = hold(tx, [proven.transaction]).await?.cases;
    let mut sheet = Sheet::default();
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
            // It has paid beside another attempt, and that is counted once, however often the vendor tells of it.
            let cause = store::ledger::beside(proven.attempt);
            sheet.journals.iter_mut().for_each(|booked| booked.1 = Some(cause.clone()));
        }
        sheet.audit.push(case.audit_entry(actor, now, "corrected"));
    }
    write(tx, app, (now, actor), &cases, sheet).await
}

/// Locks payments and reads them with their attempts: nobody else changes them until this database transaction ends.
pub async fn hold(tx: &mut Tx, ids: impl IntoIterator<Item = TransactionId>) -> store::Result<Held> {
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
            Case {
                transaction,
                attempts,
                touched: false,
                ended: false,
                overtaken: false,
                attempts_touched: Vec::new(),
                begun: Vec::new(),
                grown: Vec::new(),
                swept_beside: false,
                paid_at: None,
            },
        )
    };
    Ok(Held { cases: locked.into_iter().map(case).collect() })
}

impl Case {
    /// Puts one fact to the law; answers whether it changed anything.
    fn hear(&mut self, heard: &Heard, app: &App, now: i64, actor: &str, sheet: &mut Sheet) -> bool {
        let Some(place) = self.attempts.iter().position(|attempt| attempt.id == heard.attempt) else {
            return false;
        };
        if let Fact::FeeKnown(told) = heard.fact {
            return self.book_fee(place, told, heard, (now, actor), sheet);
        }
        if let Fact::PartBack(told) = heard.fact {
            return self.book_part(place, told, heard, (now, actor), sheet);
        }
        self.note_ids(place, heard, now, sheet);
        let before = self.transaction.state;
        let standing = self.attempts[place].state;
        let beside = self.is_beside(&heard.fact);
        let step = self.step(place, &heard.fact);
        self.swept_beside |= beside && step.contradiction;
        // For whoever counts which rows of the law were reached.
        tracing::trace!(target: "law", state = before.as_str(), attempt = standing.as_str(),
            fact = heard.fact.as_str(), leg = heard.fact.leg().as_str());
        let moved = step.state != before || step.attempt.is_some_and(|next| next != standing);
        let contradicts =
            (step.contradiction || self.denies_an_end(place, &heard.fact, now)) && self.is_news(place, heard);
        if !moved && !contradicts {
            return false;
        }
        if moved {
            sheet.lines.push(line(heard, heard.fact.as_str(), now));
        }
        if contradicts {
            self.contradicted(place, heard, step.also, now, sheet);
        }
        if let Some(next) = step.attempt {
            self.move_attempt(place, next, heard, now);
        } else if moved && matches!(heard.fact, Fact::TransferReversedPartly(_)) {
            // A person looks at it now; told again once they have settled it, it contradicts nothing.
            self.attempts[place].reason_code = heard.fact.reason().map(|reason| reason.code.clone());
            self.attempts_touched.push(heard.attempt);
        }
        let about = (!matches!(heard.fact, Fact::Swept { .. })).then_some(heard.attempt);
        self.take(&step, heard.fact.reason(), about, app, now, sheet);
        self.made_by_vendor(&step, &heard.fact, sheet);
        sheet.audit.push(self.audit_entry(actor, now, heard.fact.as_str()));
        true
    }

    /// The payout that the vendor made by its own schedule is the attempt that has just begun, and it can fail like any other.
    fn made_by_vendor(&mut self, step: &Step, fact: &Fact, sheet: &mut Sheet) {
        let begun = step.begin.and_then(|_| self.begun.last());
        let begun = self.attempts.iter_mut().find(|one| Some(&one.id) == begun);
        if let (Fact::Swept { payout, arrived }, Some(begun)) = (fact, begun) {
            begun.state = if *arrived { AttemptState::Succeeded } else { AttemptState::Accepted };
            begun.ended_at = arrived.then_some(self.transaction.state_at);
            begun.vendor_id = Some(payout.clone());
            sheet.vendor_ids.push(payout.clone());
        }
    }

    /// What a fact leads to. What comes back after two people have settled it is booked by what they settled.
    fn step(&self, place: usize, fact: &Fact) -> Step {
        let (of, attempt) = (&self.transaction, &self.attempts[place]);
        // The payee has it, and what came back was other money: nothing is free before somebody has said so.
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

    /// Whether what the vendor's own schedule has paid out moves nothing by itself: somebody must say what became of the
    /// payment.
    fn is_beside(&self, fact: &Fact) -> bool {
        let of = &self.transaction;
        matches!(fact, Fact::Swept { .. }) && (of.closed() || of.contradicted_at.is_some())
    }

    /// Books what the vendor takes for itself for an attempt, by the difference from what is booked for it.
    fn book_fee(
        &mut self,
        place: usize,
        told: Money,
        heard: &Heard,
        (now, actor): (i64, &str),
        sheet: &mut Sheet,
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
        sheet.journals.push((heard.transaction.to_string(), None, journal));
        let detail = format!("the vendor took {told} for itself");
        sheet.lines.push(Line { detail: Some(detail), ..line(heard, heard.fact.as_str(), now) });
        sheet.audit.push(self.audit_entry(actor, now, heard.fact.as_str()));
        true
    }

    /// Books what of a transfer has come back, by the difference from what is booked of it. It only grows, so an older
    /// answer changes nothing.
    fn book_part(
        &mut self,
        place: usize,
        told: Money,
        heard: &Heard,
        (now, actor): (i64, &str),
        sheet: &mut Sheet,
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
        self.grown.push(attempt.id);
        self.attempts_touched.push(attempt.id);
        sheet.journals.push((heard.transaction.to_string(), None, journal));
        let detail = format!("{told} of the transfer came back to our balance");
        sheet.lines.push(Line { detail: Some(detail), ..line(heard, heard.fact.as_str(), now) });
        sheet.audit.push(self.audit_entry(actor, now, heard.fact.as_str()));
        true
    }

    /// What was booked of a transfer in part ends with the whole: taken out again where all of it came back, and on the
    /// account of what two people settled where they settled it.
    fn end_part(&mut self, step: &Step, before: State, sheet: &mut Sheet) {
        let id = self.transaction.id.to_string();
        let terms = self.transaction.terms;
        for attempt in self.attempts.iter_mut().filter(|one| one.reversed_minor != 0) {
            let part = attempt.reversed_minor;
            let ends = step.journals.iter().find_map(|journal| match journal.movement() {
                // What comes back after it was settled is booked without the part.
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

    /// The vendor's id is worth keeping even where the law has nothing to change.
    fn note_ids(&mut self, place: usize, heard: &Heard, now: i64, sheet: &mut Sheet) {
        let beside = !takes_an_id(&self.attempts[place], heard);
        let attempt = &mut self.attempts[place];
        let mut touched = false;
        if let Some(vendor_id) = heard.vendor_id.as_ref().filter(|_| !beside)
            && attempt.vendor_id.as_ref() != Some(vendor_id)
        {
            if attempt.vendor_id.is_some() {
                // What the vendor took for the one before is booked, and what it takes for this one comes to that.
                attempt.fee_minor = 0;
            }
            attempt.vendor_id = Some(vendor_id.clone());
            sheet.vendor_ids.push(vendor_id.clone());
            touched = true;
        }
        if let Some(submission) = &heard.submission
            && attempt.submission.as_ref() != Some(submission)
        {
            attempt.submission = Some(submission.clone());
            touched = true;
        }
        if matches!(heard.fact, Fact::Sent(_)) && attempt.first_sent_at.is_none() {
            attempt.first_sent_at = Some(now);
            touched = true;
        }
        if touched {
            self.attempts_touched.push(self.attempts[place].id);
        }
    }

    fn move_attempt(&mut self, place: usize, next: AttemptState, heard: &Heard, now: i64) {
        let attempt = &mut self.attempts[place];
        attempt.state = next;
        if next == AttemptState::Queued {
            // Nothing of it was sent, and nothing carries it any more.
            (attempt.submission, attempt.first_sent_at) = (None, None);
        }
        let told = heard.fact.reason().map(|reason| reason.code.clone());
        let told = told.filter(|code| attempt.reason_code.is_none() || !is_bare_status(code));
        attempt.reason_code = told.or(attempt.reason_code.take());
        attempt.ended_at = (next.ended() || next == AttemptState::Succeeded).then_some(now);
        self.attempts_touched.push(attempt.id);
    }

    /// Takes the consequence on: state, dates, books, notices, a new attempt. `about` is the attempt that a fact is about; a
    /// command's books come of the attempt that it begins.
    fn take(
        &mut self,
        step: &Step,
        reason: Option<&Reason>,
        about: Option<AttemptId>,
        app: &App,
        now: i64,
        sheet: &mut Sheet,
    ) {
        let id = self.transaction.id;
        let before = self.transaction.state;
        self.end_part(step, before, sheet);
        if step.state != before {
            self.touched = true;
            self.overtaken |= waits_for_people(before) || self.transaction.contradicted_at.is_some();
            self.ended = step.state.settled() && (self.ended || !before.settled());
            self.transaction.state = step.state;
            self.transaction.state_at = now;
            self.transaction.reason = self.worth_more(reason);
            self.transaction.settled_at = step.state.settled().then_some(now);
            self.transaction.ask_at =
                asking::next((before, step.state), self.transaction.ask_at, now, app.config.poll_us());
            let (was, is) = (before.status() == Status::Success, step.state.status() == Status::Success);
            // What was paid outside stays paid, whatever the vendor does beside that.
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
            // A reversal that ended without a reason would be taken for one that people have settled.
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
            let begun = AttemptId::fresh(now, app.clock.chance());
            self.begun.push(begun);
            self.attempts.push(Attempt::new(begun, id, (leg, newest.unwrap_or(0) + 1)));
            cause = cause.or(Some(begun));
        }
        let cause = cause.map(|attempt| attempt.to_string());
        let booked = step.journals.iter().cloned();
        sheet.journals.extend(booked.map(|journal| (id.to_string(), cause.clone(), journal)));
    }

    /// The reason to go on with. One that only repeats how the payment stands explains nothing, so what was known before
    /// is kept: what nobody claimed comes back for the reason for which nobody claimed it.
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

/// Whether a payment stands so that people may say what became of it. One that is contradicted may stand in any way.
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
    cases: &BTreeMap<TransactionId, Case>,
    mut sheet: Sheet,
) -> store::Result<()> {
    let (mut changes, mut attempt_changes, mut begun, mut dated) = (vec![], vec![], Rows::default(), vec![]);
    let (mut ended, mut overtaken, mut made_already) = (BTreeSet::new(), Vec::new(), Vec::new());
    for case in cases.values() {
        dated.extend(case.paid_at.map(|paid_at| (case.transaction.id, paid_at)));
        let (new, known): (Vec<&Attempt>, Vec<&Attempt>) =
            case.attempts.iter().partition(|one| case.begun.contains(&one.id));
        for one in new {
            begun.push(transactions::new_attempt(one.id, one.transaction, one.leg, one.number, now));
            // The vendor has made it, or it has ended, before anything of it was sent.
            made_already.extend((one.state != AttemptState::Queued).then(|| attempt_change(one)));
        }
        let touched = known.into_iter().filter(|attempt| case.attempts_touched.contains(&attempt.id));
        attempt_changes.extend(touched.map(attempt_change));
        if case.ended {
            ended.insert(case.transaction.batch);
        }
        if case.overtaken {
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
    if payout::planted::on("books_after_the_change") && app.clock.chance().is_multiple_of(8) {
        sheet.journals.clear();
    }
    if payout::planted::on("trail_after_the_change") && app.clock.chance().is_multiple_of(8) {
        sheet.audit.clear();
    }
    store::ledger::write_once(tx, now, &app.clock, &sheet.journals).await?;
    transactions::write_timeline(tx, &sheet.lines, payout::ids::fresh(now, app.clock.chance())).await?;
    store::events::unpark(tx, &sheet.vendor_ids).await?;
    for id in sheet.recalled {
        transactions::release(tx, id, now).await?;
    }
    second_payments::came_back(tx, app, actor, &sheet.came_back).await?;
    if payout::planted::on("end_untold") && app.clock.chance().is_multiple_of(8) {
        sheet.notices.clear();
    }
    let notices = sheet.notices.into_iter().map(|(notice, id)| (notice, id.to_string(), "{}".to_owned()));
    store::outbox::write(tx, &app.clock, now, notices).await?;
    tell_ends(tx, app, now, ended.into_iter().collect()).await?;
    sheet.audit.into_iter().for_each(|entry| tx.audit(entry));
    Ok(())
}

/// Tells of the batches that have no payment under way any more. Where two processes end the last two at the same moment
/// neither sees it; then the watch does.
async fn tell_ends(tx: &mut Tx, app: &App, now: i64, batches: Vec<BatchId>) -> store::Result<()> {
    if batches.is_empty() {
        return Ok(());
    }
    let ended = store::watch::ended_among(tx, &batches).await?;
    for batch in &ended {
        store::outbox::may_tell(tx, Notice::BatchFinal.as_str(), batch, now, now).await?;
    }
    let notices = ended.into_iter().map(|batch| (Notice::BatchFinal, batch, "{}".to_owned()));
    store::outbox::write(tx, &app.clock, now, notices).await
}

fn line(heard: &Heard, effect: &str, now: i64) -> Line {
    Line {
        transaction: heard.transaction,
        at: now,
        source: heard.source,
        effect: effect.to_owned(),
        detail: heard.detail.clone(),
        event_id: heard.event_id.clone(),
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
