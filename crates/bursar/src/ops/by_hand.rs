//! What people settle by hand: the end of an attempt that Bursar cannot determine, a contradiction, and money that is stuck
//! in a payee's balance. Each needs proof: the vendor's object is read first (`work::ask`), and what no object can prove
//! takes two people.

use payout::Refusal;
use payout::access::Permission;
use payout::ids::{AttemptId, TransactionId};
use payout::law::{self, NotNow, Parked};
use payout::money::Money;
use payout::transaction::{AttemptState, Fact, Leg, Reason, State};

use super::contradiction_text::called_not_made;
use super::idempotency::{self, Idempotency};
use super::people::not_counted;
use super::record::{self, Observation};
use super::second_payments::{self, Reversibility};
use super::transactions::{held, not_now, note_said, paid_day};
use super::{OpsError, Result, settings};
use crate::app::{Actor, App};
use crate::store::audit;
use crate::store::contradictions::{self, FirstConfirmation, RewardLocation};
use crate::store::people;
use crate::store::submissions::SubmissionState;
use crate::store::transactions::{self, Attempt, PaidOutside, Transaction};
use crate::store::{self, Db, Tx, events, put_back};
use crate::transact;

/// What a person found at the vendor about an attempt that Bursar could not settle alone.
#[derive(Clone, Debug)]
pub enum Finding {
    /// It was carried out. The vendor's object was read (`work::ask::found`) and belongs to this attempt.
    Made {
        attempt: AttemptId,
        fact: Fact,
        /// The part of a transfer that has already come back; the rest is still out.
        part_back: Option<Money>,
        /// The vendor's id of the object.
        vendor_id: String,
        /// The vendor's id of the whole submission; for PayPal, the batch.
        carrier_id: String,
        /// Whether the object itself proves it. An object that merely may be this attempt takes two people.
        proven: bool,
        /// The request that created it, if a restored database has lost it.
        lost: Option<Box<store::submissions::New>>,
    },
    /// It was not carried out and never will be. The vendor was asked first (`work::ask::not_made`), and does not have it.
    NotMade {
        /// How conclusive the look-up was.
        looked: SearchCompleteness,
        /// The attempts that the vendor was asked about; later attempts were not looked up.
        of: Vec<AttemptId>,
        /// When the vendor's contradiction began, as of the look-up; anything it said after that was not considered.
        contradicted_at: Option<i64>,
        /// The found payments, after a restore, that were looked up and are over, or cannot be identified. Anything found
        /// later was not considered.
        found: Vec<String>,
    },
}

/// How conclusive a look-up is that did not find a payment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SearchCompleteness {
    /// The vendor was asked, and its records show that it has nothing.
    Through,
    /// The vendor's records cannot be searched for this payment: the payee revoked our access to their account, or PayPal
    /// never returned the batch id.
    NotThrough,
}

/// The reasons for which a payment needs review although the vendor once had it.
const OUT_OF_SIGHT: [&str; 5] = [
    "not_shown_by_vendor",
    "vendor_not_understood",
    "money_missing",
    "funds_refused",
    "transfer_reversed_partly",
];

/// Settles by hand what needs review, or what the vendor contradicted, even if the payment is closed. Can also settle as
/// made what people had marked as not made. What takes two people is only recorded at first, and takes effect when another
/// person confirms it.
///
/// # Errors
/// [`OpsError::Refused`] without a note of how it was determined; [`OpsError::Conflict`] if nothing is waiting.
pub async fn settle_by_hand(
    app: &App,
    actor: &Actor,
    id: TransactionId,
    finding: &Finding,
    how: &str,
    once: Option<&Idempotency<Transaction>>,
) -> Result<Transaction> {
    require_note(how)?;
    let after = transact!(app, |tx| {
        let transaction = held_together(tx, id).await?;
        let attempts = transactions::attempts(tx, &[id]).await?;
        let waiting = attempt_for(&attempts, finding);
        let found = found_of(tx, id, finding).await?;
        let in_doubt = found || transaction.contradicted_at.is_some() || denied(&attempts, finding);
        if waiting.is_none() && !in_doubt {
            let why = transaction.closed_as().unwrap_or(NotNow::NothingInDoubt);
            return Err(not_now(why));
        }
        match waiting {
            Some(attempt) => may_end(tx, &transaction, attempt, finding).await?,
            None => may_be_corrected(&transaction, finding)?,
        }
        let first = contradictions::opinion(tx, id).await?;
        let two = takes_two(tx, &transaction, waiting, finding).await?;
        if let Some((deed, why)) = &two
            && !seconded(tx, app, actor, id, (deed, *why, how)).await?
        {
            let waits = transactions::find(tx, &id.to_string()).await?;
            idempotency::finish(tx, once, &waits).await?;
            return Ok(waits);
        }
        let carried = carry_lost(tx, app, finding).await?;
        let attempts = if carried { transactions::attempts(tx, &[id]).await? } else { attempts };
        let waiting = attempt_for(&attempts, finding);
        let mut message = attribution(actor, first.filter(|_| two.is_some()), finding);
        match (waiting, finding) {
            (Some(attempt), _) => {
                let with = end(tx, app, actor, &transaction, attempt, finding, (how, &message)).await?;
                if !with.is_empty() {
                    message = format!("{message}; settled together with it: {}", with.join(", "));
                }
            }
            (None, Finding::Made { .. }) => correct(tx, app, actor, &transaction, finding, how).await?,
            (None, Finding::NotMade { .. }) => {}
        }
        look_at_the_batch(tx, app, &attempts, finding).await?;
        let settled = match finding {
            Finding::Made { vendor_id, .. } => vec![vendor_id.clone()],
            Finding::NotMade { found, .. } => found.clone(),
        };
        for object in settled {
            put_back::settle_found(tx, &object, &actor.name, how, app.clock.now()).await?;
        }
        // A contradiction of an earlier attempt stays open: the vendor was not asked about it.
        if waiting.is_none() {
            contradictions::settle(tx, id, settled_of(finding)).await?;
        }
        contradictions::forget_opinion(tx, id).await?;
        let said = ("settled_by_hand", message);
        note_said(tx, app, actor, id, said, serde_json::json!({ "note": how })).await?;
        let after = transactions::find(tx, &id.to_string()).await?;
        idempotency::finish(tx, once, &after).await?;
        Ok(after)
    })?;
    app.nudge.dispatch.notify();
    app.nudge.settle.notify();
    app.nudge.notify_watchers();
    Ok(after)
}

/// Whether a finding is about a payment found after a restore.
async fn found_of(tx: &mut Tx, id: TransactionId, finding: &Finding) -> Result<bool> {
    match finding {
        Finding::Made { vendor_id, .. } => Ok(put_back::was_found(tx, id, vendor_id).await?),
        Finding::NotMade { found, .. } => {
            let open = put_back::open_of(tx, id).await?;
            if open.iter().any(|one| !found.contains(one)) {
                return Err(not_now(NotNow::NotLookedAt));
            }
            Ok(!open.is_empty())
        }
    }
}

/// Who settled it, and on what evidence: the vendor's object, a look-up at the vendor, or only their word.
fn attribution(actor: &Actor, first: Option<FirstConfirmation>, finding: &Finding) -> String {
    let who = match first.filter(|first| first.asked_name != actor.name) {
        Some(first) => format!("{} and {}", first.asked_name, actor.name),
        None => actor.name.clone(),
    };
    let rests_on = match finding {
        Finding::Made { vendor_id, .. } => format!("the vendor has it as {vendor_id}"),
        Finding::NotMade { looked: SearchCompleteness::Through, .. } => {
            "a search of the vendor's records did not find it".to_owned()
        }
        Finding::NotMade { looked: SearchCompleteness::NotThrough, .. } => {
            "the vendor's records could not be searched for it, so this rests on their word".to_owned()
        }
    };
    format!("{who}: {rests_on}")
}

/// Whether an attempt ended as not made without proof from the vendor: people marked it so, or two look-ups did not find
/// it.
pub fn may_have_been_made(attempt: &Attempt) -> bool {
    let absent = attempt.reason_code.as_deref() == Some("not_found_at_vendor");
    called_not_made(attempt) || (attempt.state == AttemptState::Failed && absent)
}

/// Records a request that the lost database had sent, so that later facts attach to it. Returns whether there is one.
async fn carry_lost(tx: &mut Tx, app: &App, finding: &Finding) -> Result<bool> {
    let Finding::Made { attempt, lost: Some(lost), carrier_id, .. } = finding else { return Ok(false) };
    let lost = ((**lost).clone(), carrier_id.as_str());
    match put_back::carry(tx, *attempt, lost, app.clock.now()).await? {
        true => Ok(true),
        false => Err(not_now(NotNow::StillAsking)),
    }
}

/// Whether the finding proves that an attempt was made which had ended here as not made.
fn denied(attempts: &[Attempt], finding: &Finding) -> bool {
    let Finding::Made { attempt, .. } = finding else { return false };
    attempts.iter().any(|one| one.id == *attempt && may_have_been_made(one))
}

/// The attempt whose contradiction a finding settles. *Not made* settles all of them, because every one was looked up.
fn settled_of(finding: &Finding) -> Option<AttemptId> {
    match finding {
        Finding::Made { attempt, .. } => Some(*attempt),
        Finding::NotMade { .. } => None,
    }
}

/// The attempt that needs review and that a finding is about. A cancel moves no money, so it comes last.
fn attempt_for<'a>(attempts: &'a [Attempt], finding: &Finding) -> Option<&'a Attempt> {
    let mut waiting = attempts.iter().filter(|one| one.state == AttemptState::Review);
    match finding {
        Finding::Made { attempt, .. } => waiting.find(|one| one.id == *attempt),
        Finding::NotMade { .. } => waiting.min_by_key(|one| one.leg == Leg::Cancel),
    }
}

fn require_note(how: &str) -> Result<()> {
    if how.trim().is_empty() || how.chars().count() > 1_000 {
        let sentence = "Write how you found this out at the vendor, in at most 1,000 characters; it is kept as evidence.";
        return Err(Refusal::new("note_required", sentence).at("note").into());
    }
    Ok(())
}

/// Why a finding takes two people.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TwoPersonReason {
    /// The operator has turned on the two-person rule.
    Rule,
    /// The vendor's records cannot be searched for it.
    NotLookedThrough,
    /// No vendor object proves it.
    NothingProvesIt,
}

impl TwoPersonReason {
    pub const ALL: [Self; 3] = [Self::Rule, Self::NotLookedThrough, Self::NothingProvesIt];

    /// The spelling in the database and the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rule => "two_person_rule",
            Self::NotLookedThrough => "vendor_not_looked_through",
            Self::NothingProvesIt => "nothing_proves_it",
        }
    }
}

/// Which part of a finding takes two people, if any, and why.
async fn takes_two(
    tx: &mut Tx,
    of: &Transaction,
    waiting: Option<&Attempt>,
    finding: &Finding,
) -> Result<Option<(String, TwoPersonReason)>> {
    Ok(match finding {
        Finding::NotMade { looked: SearchCompleteness::NotThrough, .. } => {
            Some(("not_made".to_owned(), TwoPersonReason::NotLookedThrough))
        }
        Finding::NotMade { looked: SearchCompleteness::Through, .. } => {
            let rule = settings::load(tx).await?.two_person_release;
            rule.then(|| ("not_made".to_owned(), TwoPersonReason::Rule))
        }
        Finding::Made { vendor_id, proven: false, .. } => {
            Some((format!("made {vendor_id}"), TwoPersonReason::NothingProvesIt))
        }
        Finding::Made { attempt, fact, vendor_id, .. } => {
            let beside = waiting.is_none()
                && law::stands_beside(of.state, fact)
                && !store::ledger::holds_beside(tx, *attempt).await?;
            beside.then(|| (format!("made {vendor_id}"), TwoPersonReason::NothingProvesIt))
        }
    })
}

/// A request that was resumed and may still be carried out cannot be marked as not made, neither by one person nor by two.
async fn may_end(tx: &mut Tx, of: &Transaction, attempt: &Attempt, finding: &Finding) -> Result<()> {
    let carrier = match finding {
        // Somebody has settled that attempt since, and the one that waits now is a later one.
        Finding::NotMade { of: looked_at, .. } if !looked_at.contains(&attempt.id) => {
            return Err(not_now(NotNow::NotLookedAt));
        }
        Finding::NotMade { .. } => attempt.submission.as_slice(),
        Finding::Made { .. } => &[],
    };
    let carried = store::submissions::several(tx, carrier).await?;
    if carried.iter().all(|one| may_be_ended(one.state) || never_shown(one.state, finding))
        || out_of_sight(of)
    {
        return Ok(());
    }
    Err(not_now(NotNow::StillAsking))
}

/// Whether people may settle a request: it is neither in progress nor known to be with the vendor.
fn may_be_ended(state: SubmissionState) -> bool {
    match state {
        SubmissionState::Review | SubmissionState::Refused => true,
        SubmissionState::Intended
        | SubmissionState::Unknown
        | SubmissionState::Looking
        | SubmissionState::Accepted => false,
    }
}

/// The vendor has the request, but its records cannot be searched for this payment in it: two people may mark it as not
/// made.
fn never_shown(state: SubmissionState, finding: &Finding) -> bool {
    state == SubmissionState::Accepted
        && matches!(finding, Finding::NotMade { looked: SearchCompleteness::NotThrough, .. })
}

/// Whether the vendor once had the payment and no longer shows it. It was accepted, so its submission has already ended.
fn out_of_sight(of: &Transaction) -> bool {
    of.reason.as_ref().is_some_and(|why| OUT_OF_SIGHT.contains(&why.code.as_str()))
}

/// A contradiction can be settled as made only once the vendor's status is final.
fn may_be_corrected(of: &Transaction, finding: &Finding) -> Result<()> {
    match finding {
        Finding::NotMade { contradicted_at, .. } if *contradicted_at != of.contradicted_at => {
            Err(not_now(NotNow::NotLookedAt))
        }
        Finding::Made { fact, .. } if law::beyond_correction(of.state, fact) => {
            Err(not_now(NotNow::NotCorrected))
        }
        Finding::Made { .. } | Finding::NotMade { .. } => Ok(()),
    }
}

/// Whether another person has said the same before. If not, records this opinion to wait for another. An API key counts as
/// the person it acts for, so nobody can be their own second person.
async fn seconded(
    tx: &mut Tx,
    app: &App,
    actor: &Actor,
    id: TransactionId,
    (deed, why, how): (&str, TwoPersonReason, &str),
) -> Result<bool> {
    let now = app.clock.now();
    let asked_by = actor.id.to_string();
    let asked_person = people::behind(tx, &asked_by, now).await?;
    if let Some(first) = contradictions::opinion(tx, id).await?.filter(|first| first.action == deed) {
        let theirs = [&first.asked_by, &first.asked_person, &people::behind(tx, &first.asked_by, now).await?];
        let same = theirs.into_iter().any(|theirs| *theirs == asked_by || *theirs == asked_person);
        if !same && let Some(why) = not_counted(people::counts(tx, &asked_by, now).await?) {
            // The first person's opinion stays recorded, and waits for another.
            return Err(OpsError::Conflict(Refusal::new(
                "second_person_needed",
                format!("Nothing was changed. {why}"),
            )));
        }
        if !same && people::may_still(tx, &first.asked_by, Permission::Pay, now).await? {
            contradictions::forget_opinion(tx, id).await?;
            return Ok(true);
        }
    }
    let opinion = FirstConfirmation {
        action: deed.to_owned(),
        why: why.as_str().to_owned(),
        note: how.to_owned(),
        asked_by,
        asked_person,
        asked_name: actor.name.clone(),
        asked_at: now,
    };
    contradictions::ask_second(tx, id, &opinion).await?;
    let detail = serde_json::json!({ "deed": deed, "why": why.as_str(), "note": how });
    let message = format!("{}: {}. “{how}”", actor.name, describe_action(deed));
    note_said(tx, app, actor, id, ("second_person_asked", message), detail).await?;
    Ok(false)
}

/// One person's opinion about a payment, in words.
pub fn describe_action(deed: &str) -> String {
    let (kind, rest) = deed.split_once(' ').unwrap_or((deed, ""));
    match (kind, Parked::parse(kind)) {
        (_, Some(Parked::Reversed)) => {
            "the money was reversed at Stripe and is back in our balance".to_owned()
        }
        (_, Some(Parked::GivenUp)) => "the money is lost, and we still owe it to the payee".to_owned(),
        (_, Some(Parked::PaidOtherwise)) => {
            let (on, reference) = rest.split_once(' ').unwrap_or((rest, ""));
            format!("the payee was paid by other means on {on}, reference “{reference}”")
        }
        ("made", None) => format!("it was made, and the vendor has it as {rest}"),
        (_, None) => "it was not made and will not be".to_owned(),
    }
}

/// Ends an attempt that needed review. If it is marked as not made and PayPal's batch was never found, the whole batch
/// ends: every payment in it that waits ends too, because its one request can no longer be sent. Returns the numbers of the
/// payments that ended with it.
async fn end(
    tx: &mut Tx,
    app: &App,
    actor: &Actor,
    of: &Transaction,
    attempt: &Attempt,
    finding: &Finding,
    (how, by): (&str, &str),
) -> Result<Vec<String>> {
    let others = match finding {
        Finding::NotMade { looked: SearchCompleteness::NotThrough, .. } => ends_with(tx, attempt).await?,
        Finding::NotMade { looked: SearchCompleteness::Through, .. } | Finding::Made { .. } => Vec::new(),
    };
    let mut observations = vec![observation(tx, app, of, attempt, finding, how).await?];
    observations.extend(others.iter().map(|one| of_person(one, not_made(one), None, how)));
    record::record(tx, app, &actor.id.to_string(), &observations).await?;
    record_part(tx, app, actor, attempt, finding).await?;
    for other in &others {
        contradictions::forget_opinion(tx, other.transaction).await?;
        let detail = serde_json::json!({ "note": how, "with": of.label() });
        let said = ("settled_by_hand", format!("{by}; settled together with {}", of.label()));
        note_said(tx, app, actor, other.transaction, said, detail).await?;
    }
    let ids: Vec<TransactionId> = others.iter().map(|one| one.transaction).collect();
    let mut labels: Vec<String> = Vec::new();
    for other in transactions::several(tx, &ids).await? {
        labels.push(other.label());
    }
    labels.sort();
    Ok(labels)
}

/// Records the part of a transfer that has already come back, so that a bank payout does not use the full amount.
async fn record_part(
    tx: &mut Tx,
    app: &App,
    actor: &Actor,
    attempt: &Attempt,
    finding: &Finding,
) -> Result<()> {
    let Finding::Made { part_back: Some(back), .. } = finding else { return Ok(()) };
    let message = format!("{back} of the transfer came back to our balance");
    let partly = Fact::TransferReversedPartly(Reason::new("transfer_reversed_partly", message.as_str()));
    let observations = [Fact::PartBack(*back), partly].map(|fact| of_person(attempt, fact, None, &message));
    record::record(tx, app, &actor.id.to_string(), &observations).await?;
    // The person who settles this knows about the part, so the next poll does not report it as new.
    Ok(contradictions::note_reason(tx, attempt.id, "transfer_reversed_partly").await?)
}

/// The other attempts of the same request that need review and of which the vendor is not known to have anything. Marking
/// this one as not made marks those, too.
pub async fn ends_with(db: &mut Db, attempt: &Attempt) -> store::Result<Vec<Attempt>> {
    let carrier = attempt.submission.as_slice();
    let open = store::submissions::several(db, carrier).await?.iter().any(|one| may_be_ended(one.state));
    if attempt.state != AttemptState::Review || !open {
        return Ok(Vec::new());
    }
    let carried = transactions::attempts_of_submissions(db, carrier).await?;
    Ok(carried.into_iter().filter(|one| one.id != attempt.id && one.state == AttemptState::Review).collect())
}

/// Locks the payment until this database transaction ends, with every payment that its waiting requests carry, because
/// those end with it.
async fn held_together(tx: &mut Tx, id: TransactionId) -> Result<Transaction> {
    let attempts = transactions::attempts(tx, &[id]).await?.into_iter();
    let waiting = attempts.filter(|one| one.state == AttemptState::Review);
    let carriers: Vec<String> = waiting.filter_map(|one| one.submission).collect();
    let carried = transactions::attempts_of_submissions(tx, &carriers).await?;
    let together: Vec<TransactionId> = carried.iter().map(|one| one.transaction).chain([id]).collect();
    transactions::lock(tx, &together).await?;
    held(tx, id).await
}

fn not_made(attempt: &Attempt) -> Fact {
    // How it was determined is our own note and belongs in the timeline; the reason is also shown to partners.
    Fact::Refused(attempt.leg, Reason::new("not_made", ""))
}

/// The finding as a fact; ends its submission.
async fn observation(
    tx: &mut Tx,
    app: &App,
    of: &Transaction,
    attempt: &Attempt,
    finding: &Finding,
    how: &str,
) -> Result<Observation> {
    let (fact, vendor_id, carrier_id) = match finding {
        Finding::Made { fact, vendor_id, carrier_id, .. } => {
            (fact.clone(), Some(vendor_id.clone()), Some(carrier_id.as_str()))
        }
        Finding::NotMade { .. } => (not_made(attempt), None, None),
    };
    // A submission that was resumed may still be carried out; a new attempt would then pay twice.
    if let Some(carrier) = &attempt.submission
        && store::submissions::end_by_hand(tx, carrier, carrier_id, app.clock.now()).await? == 0
        && !(out_of_sight(of) && carrier_id.is_none())
    {
        let carried = store::submissions::several(tx, std::slice::from_ref(carrier)).await?;
        if !carried.iter().all(|one| never_shown(one.state, finding)) {
            return Err(not_now(NotNow::StillAsking));
        }
    }
    Ok(of_person(attempt, fact, vendor_id, how))
}

fn of_person(attempt: &Attempt, fact: Fact, vendor_id: Option<String>, how: &str) -> Observation {
    Observation {
        transaction: attempt.transaction,
        attempt: attempt.id,
        fact,
        vendor_id,
        submission: None,
        source: "person",
        detail: Some(how.to_owned()),
        event_id: None,
    }
}

/// Corrects the books: an attempt that had ended here was made after all. The payment takes back the rewards that it had
/// returned to the pool; if any of them was paid again in the meantime, the full amount is deducted from the payee's next
/// claim.
async fn correct(
    tx: &mut Tx,
    app: &App,
    actor: &Actor,
    of: &Transaction,
    finding: &Finding,
    how: &str,
) -> Result<()> {
    let Finding::Made { attempt, fact, part_back, vendor_id, carrier_id, .. } = finding else {
        return Ok(());
    };
    let attempts = transactions::attempts(tx, &[of.id]).await?;
    let Some(attempt) = attempts.iter().find(|one| one.id == *attempt) else {
        return Err(not_now(NotNow::NothingInDoubt));
    };
    let swept = matches!(fact, Fact::Swept { .. });
    let searched = put_back::was_found(tx, of.id, vendor_id).await?;
    let twin = made_twice(attempt, vendor_id, searched) && !swept;
    let lies = matches!(
        of.state,
        State::PayoutFailed | State::PayoutCanceled | State::Recalling | State::WrittenOff
    );
    // When the vendor was asked, it was waiting or parked; somebody has settled it since, so its money is already counted.
    if !(attempt.state.ended() || twin || (swept && lies)) {
        return Err(not_now(NotNow::NotLookedAt));
    }
    // Already counted; or two people said it was paid by other means, out of the same money.
    let paid_otherwise = of.otherwise_at.is_some() && !law::stands_beside(of.state, fact);
    if paid_otherwise || store::ledger::holds_beside(tx, attempt.id).await? {
        return Ok(contradictions::withdraw_failure(tx, attempt.id).await?);
    }
    let lie = given_back(tx, of).await?;
    // The transfer was reversed, so the bank payout overdrew the payee's balance. Money parked there covers that, and can
    // be neither paid out nor recalled.
    let fills = law::correct(of.state, &of.terms, fact).state == State::Reversed;
    stopped(lie.iter().filter(|one| !(fills && one.beside)))?;
    // A payout on the payee's own schedule is not an object of the transfer it was funded by.
    let proven = of_person(attempt, fact.clone(), Some(vendor_id.clone()).filter(|_| !swept), how);
    record::correction(tx, app, &actor.id.to_string(), &proven, *part_back).await?;
    record_part(tx, app, actor, attempt, finding).await?;
    if let Some(carrier) = attempt.submission.as_ref().filter(|_| !swept) {
        match twin {
            true => store::named::counted(tx, carrier, carrier_id, app.clock.now()).await?,
            false => {
                store::named::adopt_proven(tx, carrier, (attempt.id, carrier_id), app.clock.now()).await?;
            }
        }
    }
    let after = transactions::find(tx, &of.id.to_string()).await?;
    let paid = matches!(
        after.state,
        State::Success | State::Processing | State::OnHold | State::Unclaimed | State::InTransit
    );
    // The bank paid what had been recalled: hold the rewards until somebody says what the payee keeps.
    let short = of.state == State::Recalled && after.state == State::Reversed;
    let beside = after.state == of.state && matches!(fact, Fact::ItemPaid | Fact::TransferMade);
    let free = of.closed() && lie.iter().all(|one| !one.elsewhere && !one.changed);
    if free && (paid || short) {
        let paid_at = (after.state == State::Success).then(|| app.clock.now());
        take_back(tx, of, &lie, paid_at).await?;
    } else if (of.closed() && paid) || short || beside {
        if short {
            // The payee has the money; what was paid in its place is deducted from their next claim.
            let journal = law::mark_paid_outside(after.state, &of.terms).map_err(not_now)?;
            // The payment may already have its own paid-outside entry.
            let booked = (of.id.to_string(), Some(store::ledger::in_place_of(attempt.id)), journal);
            store::ledger::write_once(tx, app.clock.now(), &app.clock, &[booked]).await?;
        }
        if beside {
            // It is counted now, so repeated reports from the vendor are not news.
            contradictions::withdraw_failure(tx, attempt.id).await?;
        }
        let stays = if short || beside { Reversibility::ForGood } else { Reversibility::WithThePayment };
        second_payments::claw_back(tx, app, actor, of, stays, &lie, *part_back).await?;
    }
    Ok(())
}

/// Whether the object is a second one of an attempt, beside the one in the books: the vendor contradicts the books, or a
/// search found it.
fn made_twice(attempt: &Attempt, vendor_id: &str, searched: bool) -> bool {
    let searched = searched && attempt.state != AttemptState::Review;
    let marked = (searched || attempt.contradicted_at.is_some()) && !attempt.state.ended();
    marked && attempt.vendor_id.as_deref().is_some_and(|known| known != vendor_id)
}

/// Where the rewards are that a closed payment returned to the pool. If one of them is in a draft, the payment cannot be
/// settled.
async fn given_back(tx: &mut Tx, of: &Transaction) -> Result<Vec<RewardLocation>> {
    let lie = if of.closed() { contradictions::whereabouts(tx, of.id).await? } else { Vec::new() };
    if let Some((number, draft)) = lie.iter().find_map(|one| Some((one.number, one.draft.as_ref()?))) {
        let message = format!(
            "RW-{number:06} is in {draft}, but this payment has paid it. Take it out of {draft} first. Nothing was settled."
        );
        return Err(OpsError::Conflict(Refusal::new("reward_in_batch", message)));
    }
    Ok(lie)
}

/// Refuses while another payment of the same rewards may still be sent. The contradiction stops that payment; it must
/// return its rewards first, or they would be paid twice.
fn stopped<'a>(mut lie: impl Iterator<Item = &'a RewardLocation>) -> Result<()> {
    let Some((reward, other)) = lie.find_map(|one| Some((one.number, one.may_be_sent?))) else {
        return Ok(());
    };
    let message = format!(
        "RW-{reward:06} is now in PT-{other:06}, which has not paid it but still may. Bursar has recorded that this payment paid it, which stops PT-{other:06} if it has not been sent. Once PT-{other:06} has failed, return it to the pool; then settle this one."
    );
    Err(OpsError::Conflict(Refusal::new("contradicted", message)))
}

/// Moves all rewards that a closed payment had returned back into it. Somebody may be adding one of them to a payout right
/// now.
async fn take_back(
    tx: &mut Tx,
    of: &Transaction,
    lie: &[RewardLocation],
    paid_at: Option<i64>,
) -> Result<()> {
    if contradictions::take_back(tx, of.id, paid_at).await? == lie.len() as u64 {
        return Ok(());
    }
    let message =
        "Somebody changed a reward of this payment at the same time. Nothing was settled; try again.";
    Err(OpsError::Conflict(Refusal::new("changed_meanwhile", message)))
}

/// If one item names PayPal's batch, that batch has the status of all its items. Polls those that have not ended now; for
/// those marked as not made in the meantime, looks up the batch as if an event had named it.
async fn look_at_the_batch(tx: &mut Tx, app: &App, attempts: &[Attempt], finding: &Finding) -> Result<()> {
    let Finding::Made { attempt, carrier_id, vendor_id, .. } = finding else { return Ok(()) };
    let Some(attempt) = attempts.iter().find(|one| one.id == *attempt) else { return Ok(()) };
    let (now, carrier) = (app.clock.now(), attempt.submission.as_slice());
    let carried = transactions::attempts_of_submissions(tx, carrier).await?;
    let others: Vec<TransactionId> = carried.iter().map(|one| one.transaction).collect();
    transactions::ask_now(tx, &others, now).await?;
    let searched = put_back::was_found(tx, attempt.transaction, vendor_id).await?;
    let twin = made_twice(attempt, vendor_id, searched);
    if attempt.leg == Leg::Item && !twin {
        let named: Vec<_> = carrier.iter().map(|carrier| (carrier.clone(), carrier_id.clone())).collect();
        store::named::name(tx, &named, now).await?;
        events::unpark(tx, std::slice::from_ref(carrier_id)).await?;
    }
    Ok(())
}

/// What two people say about money parked in a payee's balance.
#[derive(Clone, Debug)]
pub struct ParkedFinding {
    pub how: Parked,
    /// If it was paid by other means: the reference of that payment.
    pub reference: String,
    /// If it was paid by other means: the date, `YYYY-MM-DD`.
    pub paid_on: String,
    /// How the person determined this.
    pub note: String,
}

/// Settles money parked in a payee's balance that Stripe can neither pay out nor return. Always takes two people: the first
/// opinion is recorded, and a second person's matching opinion carries it out.
///
/// # Errors
/// [`OpsError::Refused`] without a note, or without a reference and a date if it was paid by other means;
/// [`OpsError::Conflict`] if the payment has no parked money.
pub async fn settle_parked(
    app: &App,
    actor: &Actor,
    id: TransactionId,
    found: &ParkedFinding,
    once: Option<&Idempotency<Transaction>>,
) -> Result<Transaction> {
    require_note(&found.note)?;
    let otherwise = found.how == Parked::PaidOtherwise;
    if otherwise && (found.reference.trim().is_empty() || found.reference.chars().count() > 200) {
        let sentence = "Give the reference of the payment that replaced it, at most 200 characters; it is kept as evidence.";
        return Err(Refusal::new("reference_required", sentence).at("reference").into());
    }
    let paid_at = match otherwise {
        true => Some(paid_day(app, &found.paid_on)?),
        false => None,
    };
    let deed = match found.how {
        Parked::Reversed | Parked::GivenUp => found.how.as_str().to_owned(),
        Parked::PaidOtherwise => format!("{} {} {}", found.how.as_str(), found.paid_on, found.reference),
    };
    let after = transact!(app, |tx| {
        let transaction = held(tx, id).await?;
        let step = law::settle_parked(transaction.state, &transaction.terms, found.how).map_err(not_now)?;
        // Settle the contradiction first: the vendor may have paid what two people are about to write off.
        if transaction.contradicted_at.is_some() {
            return Err(not_now(NotNow::Contradicted));
        }
        let lie = if otherwise { of_what_is_paid(tx, &transaction).await? } else { Vec::new() };
        let said = (deed.as_str(), TwoPersonReason::NothingProvesIt, found.note.as_str());
        if !seconded(tx, app, actor, id, said).await? {
            let waits = transactions::find(tx, &id.to_string()).await?;
            idempotency::finish(tx, once, &waits).await?;
            return Ok(waits);
        }
        record::command(tx, app, actor, id, step, "parked_money_settled").await?;
        if let Some(paid_at) = paid_at {
            if transaction.closed() {
                take_back(tx, &transaction, &lie, None).await?;
            }
            let (on, reference) = (found.paid_on.as_str(), found.reference.as_str());
            let paid = PaidOutside { on, at: paid_at, reference, otherwise };
            transactions::close_outside(tx, id, &paid, app.clock.now()).await?;
        }
        // The step has its own line in the timeline; the note goes into the audit trail.
        let detail = serde_json::json!({ "how": deed, "note": found.note }).to_string();
        let (by, subject) = (actor.id.to_string(), id.to_string());
        tx.audit(audit::Entry {
            at: app.clock.now(),
            actor: by,
            action: "parked_money_settled",
            subject,
            detail,
        });
        let after = transactions::find(tx, &id.to_string()).await?;
        idempotency::finish(tx, once, &after).await?;
        Ok(after)
    })?;
    app.nudge.notify_watchers();
    Ok(after)
}

/// The rewards that count as paid when a payment is settled as paid by other means. A payment that returned its rewards
/// takes them back, which it can only do while nobody else has paid them.
async fn of_what_is_paid(tx: &mut Tx, of: &Transaction) -> Result<Vec<RewardLocation>> {
    let lie = given_back(tx, of).await?;
    if let Some(number) = lie.iter().find(|one| one.changed && !one.elsewhere).map(|one| one.number) {
        let message = format!(
            "RW-{number:06} was voided or its value changed after this payment released it, so this payment can no longer pay it. Settle the money as written off; if the payee has it, enter what they owe yourself. Nothing was changed."
        );
        return Err(OpsError::Conflict(Refusal::new("reward_changed", message)));
    }
    if let Some(number) = lie.iter().find(|one| one.elsewhere).map(|one| one.number) {
        let message = format!(
            "RW-{number:06} was paid again, or is in another payment, after this one released it. If the payee has this money as well, settle it as written off and claw the reward back once it is paid. Nothing was changed."
        );
        return Err(OpsError::Conflict(Refusal::new("paid_again", message)));
    }
    Ok(lie)
}
