//! What people settle by hand: how an attempt ended that Bursar cannot find out about, what a contradiction was, and what
//! becomes of money that lies in a payee's balance and that nobody can fetch. Whoever says so proves it: the vendor's own
//! object is read before (`work::ask`), and what no object can prove takes two people.

use payout::Refusal;
use payout::access::Permission;
use payout::ids::{AttemptId, TransactionId};
use payout::law::{self, NotNow, Parked};
use payout::money::Money;
use payout::transaction::{AttemptState, Fact, Leg, Reason, State};

use super::against::called_not_made;
use super::idempotency::{self, Once};
use super::people::not_counted;
use super::record::{self, Heard};
use super::second_payments::{self, Stays};
use super::transactions::{held, not_now, note_said, paid_day};
use super::{OpsError, Result, settings};
use crate::app::{Actor, App};
use crate::store::audit;
use crate::store::contradictions::{self, Opinion, Whereabouts};
use crate::store::people;
use crate::store::submissions::SubmissionState;
use crate::store::transactions::{self, Attempt, PaidOutside, Transaction};
use crate::store::{self, Db, Tx, events, put_back};
use crate::transact;

/// What a person found at the vendor about an attempt that Bursar could not settle alone.
#[derive(Clone, Debug)]
pub enum Finding {
    /// It was carried out. The vendor's own object was read (`work::ask::found`) and is about this attempt.
    Made {
        attempt: AttemptId,
        fact: Fact,
        /// What of a transfer has come back already; the rest of it is out.
        part_back: Option<Money>,
        /// Its id.
        vendor_id: String,
        /// The id under which the vendor has the whole submission; PayPal's is its batch.
        carrier_id: String,
        /// The object itself proves it. One that only may be it takes two people.
        proven: bool,
        /// The request that it came of, where a database that was put back has forgotten it.
        lost: Option<Box<store::submissions::New>>,
    },
    /// It was not carried out and never will be. The vendor was asked before (`work::ask::not_made`), and does not have it.
    NotMade {
        /// What the look was worth.
        looked: Looked,
        /// Of which attempts the vendor was asked; what has been tried since was not looked at.
        of: Vec<AttemptId>,
        /// Since when the vendor contradicted the books when it was asked; what it says since was not looked at.
        contradicted_at: Option<i64>,
        /// What was found of it after the database was put back and was looked at: it is over, or nothing shows what it is.
        /// What is found since was not looked at.
        found: Vec<String>,
    },
}

/// What a look at the vendor is worth that has not found a payment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Looked {
    /// The vendor was asked and shows that it has nothing.
    Through,
    /// It cannot be looked through for this payment: the payee took back our access to their account, or PayPal has never
    /// told under which id it has the batch.
    NotThrough,
}

/// The reasons for which something waits for a person although the vendor once had it.
const OUT_OF_SIGHT: [&str; 5] = [
    "not_shown_by_vendor",
    "vendor_not_understood",
    "money_missing",
    "funds_refused",
    "transfer_reversed_partly",
];

/// Settles by hand what waits for a person (`needs_review`), or what the vendor contradicted; a closed payment too; and, as
/// made, what people had called not made. What takes two people is only written down at first: it holds when another person
/// says the same.
///
/// # Errors
/// [`OpsError::Refused`] without a note that says how it was found out; [`OpsError::Conflict`] when nothing waits.
pub async fn settle_by_hand(
    app: &App,
    actor: &Actor,
    id: TransactionId,
    finding: &Finding,
    how: &str,
    once: Option<&Once<Transaction>>,
) -> Result<Transaction> {
    require_note(how)?;
    let after = transact!(app, |tx| {
        let transaction = held_together(tx, id).await?;
        let attempts = transactions::attempts(tx, &[id]).await?;
        let waiting = meant(&attempts, finding);
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
        let waiting = meant(&attempts, finding);
        let mut told = by_whose_word(actor, first.filter(|_| two.is_some()), finding);
        match (waiting, finding) {
            (Some(attempt), _) => {
                let with = end(tx, app, actor, &transaction, attempt, finding, (how, &told)).await?;
                if !with.is_empty() {
                    told = format!("{told}; settled together with it: {}", with.join(", "));
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
        // What the vendor says of an earlier attempt is another matter: it was not asked about.
        if waiting.is_none() {
            contradictions::settle(tx, id, settled_of(finding)).await?;
        }
        contradictions::forget_opinion(tx, id).await?;
        let said = ("settled_by_hand", told);
        note_said(tx, app, actor, id, said, serde_json::json!({ "note": how })).await?;
        let after = transactions::find(tx, &id.to_string()).await?;
        idempotency::finish(tx, once, &after).await?;
        Ok(after)
    })?;
    app.nudge.dispatch.ring();
    app.nudge.settle.ring();
    app.nudge.tell_watchers();
    Ok(after)
}

/// Whether a finding is about something that was found after the database was put back.
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

/// Who has said it, and what their word rests on: the vendor's own object, a look through the vendor, or nothing but that.
fn by_whose_word(actor: &Actor, first: Option<Opinion>, finding: &Finding) -> String {
    let who = match first.filter(|first| first.asked_name != actor.name) {
        Some(first) => format!("{} and {}", first.asked_name, actor.name),
        None => actor.name.clone(),
    };
    let rests_on = match finding {
        Finding::Made { vendor_id, .. } => format!("the vendor has it as {vendor_id}"),
        Finding::NotMade { looked: Looked::Through, .. } => {
            "a search of the vendor's records did not find it".to_owned()
        }
        Finding::NotMade { looked: Looked::NotThrough, .. } => {
            "the vendor's records could not be searched for it, so this rests on their word".to_owned()
        }
    };
    format!("{who}: {rests_on}")
}

/// Whether nothing that the vendor has said proves that an attempt was not made: people have called it so, or two looks have
/// not found it.
pub fn may_have_been_made(attempt: &Attempt) -> bool {
    let absent = attempt.reason_code.as_deref() == Some("not_found_at_vendor");
    called_not_made(attempt) || (attempt.state == AttemptState::Failed && absent)
}

/// What a lost database has sent becomes a request here: what is heard of it later is heard of that. Answers whether there is
/// one.
async fn carry_lost(tx: &mut Tx, app: &App, finding: &Finding) -> Result<bool> {
    let Finding::Made { attempt, lost: Some(lost), carrier_id, .. } = finding else { return Ok(false) };
    let lost = ((**lost).clone(), carrier_id.as_str());
    match put_back::carry(tx, *attempt, lost, app.clock.now()).await? {
        true => Ok(true),
        false => Err(not_now(NotNow::StillAsking)),
    }
}

/// Whether what was found made is what had ended here as not made. The vendor's object shows that it was.
fn denied(attempts: &[Attempt], finding: &Finding) -> bool {
    let Finding::Made { attempt, .. } = finding else { return false };
    attempts.iter().any(|one| one.id == *attempt && may_have_been_made(one))
}

/// Of which attempt a finding settles what the vendor contradicted. *Not made* is said after every one was looked for.
fn settled_of(finding: &Finding) -> Option<AttemptId> {
    match finding {
        Finding::Made { attempt, .. } => Some(*attempt),
        Finding::NotMade { .. } => None,
    }
}

/// The attempt that waits for a person and that a finding is about. Calling back moves no money, so it comes last.
fn meant<'a>(attempts: &'a [Attempt], finding: &Finding) -> Option<&'a Attempt> {
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

/// Why something takes two people.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TakesTwo {
    /// The operator wants it so.
    Rule,
    /// The vendor cannot be looked through for it.
    NotLookedThrough,
    /// No object of the vendor's proves it.
    NothingProvesIt,
}

impl TakesTwo {
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

/// What of a finding takes two people, if it does, and why.
async fn takes_two(
    tx: &mut Tx,
    of: &Transaction,
    waiting: Option<&Attempt>,
    finding: &Finding,
) -> Result<Option<(String, TakesTwo)>> {
    Ok(match finding {
        Finding::NotMade { looked: Looked::NotThrough, .. } => {
            Some(("not_made".to_owned(), TakesTwo::NotLookedThrough))
        }
        Finding::NotMade { looked: Looked::Through, .. } => {
            let rule = settings::load(tx).await?.two_person_release;
            rule.then(|| ("not_made".to_owned(), TakesTwo::Rule))
        }
        Finding::Made { vendor_id, proven: false, .. } => {
            Some((format!("made {vendor_id}"), TakesTwo::NothingProvesIt))
        }
        Finding::Made { attempt, fact, vendor_id, .. } => {
            let beside = waiting.is_none()
                && law::stands_beside(of.state, fact)
                && !store::ledger::holds_beside(tx, *attempt).await?;
            beside.then(|| (format!("made {vendor_id}"), TakesTwo::NothingProvesIt))
        }
    })
}

/// What was taken up again, and may be carried out yet, is not called not made: neither by one person nor by two.
async fn may_end(tx: &mut Tx, of: &Transaction, attempt: &Attempt, finding: &Finding) -> Result<()> {
    let carrier = match finding {
        // Somebody has settled that one since, and what waits now was tried later.
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

/// Whether a person may say how a request ended: it is neither on its way nor known to be with the vendor.
fn may_be_ended(state: SubmissionState) -> bool {
    match state {
        SubmissionState::Review | SubmissionState::Refused => true,
        SubmissionState::Intended
        | SubmissionState::Unknown
        | SubmissionState::Looking
        | SubmissionState::Accepted => false,
    }
}

/// The vendor has the request and cannot be looked through for this payment of it: two people may say that it was not made.
fn never_shown(state: SubmissionState, finding: &Finding) -> bool {
    state == SubmissionState::Accepted
        && matches!(finding, Finding::NotMade { looked: Looked::NotThrough, .. })
}

/// What the vendor once had and does not show any more was accepted; its submission has its end already.
fn out_of_sight(of: &Transaction) -> bool {
    of.reason.as_ref().is_some_and(|why| OUT_OF_SIGHT.contains(&why.code.as_str()))
}

/// A contradiction is settled as made only where the vendor has decided what it comes to.
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

/// Whether another person has said the same before. If not, what this one says is written down and waits for another. A key
/// is whoever it stands for, so nobody is their own second person.
async fn seconded(
    tx: &mut Tx,
    app: &App,
    actor: &Actor,
    id: TransactionId,
    (deed, why, how): (&str, TakesTwo, &str),
) -> Result<bool> {
    let now = app.clock.now();
    let asked_by = actor.id.to_string();
    let asked_person = people::behind(tx, &asked_by, now).await?;
    if let Some(first) = contradictions::opinion(tx, id).await?.filter(|first| first.deed == deed) {
        let theirs = [&first.asked_by, &first.asked_person, &people::behind(tx, &first.asked_by, now).await?];
        let same = theirs.into_iter().any(|theirs| *theirs == asked_by || *theirs == asked_person);
        if !same && let Some(why) = not_counted(people::counts(tx, &asked_by, now).await?) {
            // What the first one said stays as it is, and waits for another.
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
    let opinion = Opinion {
        deed: deed.to_owned(),
        why: why.as_str().to_owned(),
        note: how.to_owned(),
        asked_by,
        asked_person,
        asked_name: actor.name.clone(),
        asked_at: now,
    };
    contradictions::ask_second(tx, id, &opinion).await?;
    let detail = serde_json::json!({ "deed": deed, "why": why.as_str(), "note": how });
    let told = format!("{}: {}. “{how}”", actor.name, deed_in_words(deed));
    note_said(tx, app, actor, id, ("second_person_asked", told), detail).await?;
    Ok(false)
}

/// What one person has said of a payment, in words.
pub fn deed_in_words(deed: &str) -> String {
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

/// Ends an attempt that waited for a person. What is called not made although PayPal was never found to have its batch is
/// said of the batch: all of it that waits ends with it, because its one request can be sent no more. Answers the numbers of
/// what ended with it.
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
        Finding::NotMade { looked: Looked::NotThrough, .. } => ends_with(tx, attempt).await?,
        Finding::NotMade { looked: Looked::Through, .. } | Finding::Made { .. } => Vec::new(),
    };
    let mut told = vec![heard(tx, app, of, attempt, finding, how).await?];
    told.extend(others.iter().map(|one| of_person(one, not_made(one), None, how)));
    record::record(tx, app, &actor.id.to_string(), &told).await?;
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

/// What of a transfer has come back already: nothing is paid out of the rest, as if it were the whole.
async fn record_part(
    tx: &mut Tx,
    app: &App,
    actor: &Actor,
    attempt: &Attempt,
    finding: &Finding,
) -> Result<()> {
    let Finding::Made { part_back: Some(back), .. } = finding else { return Ok(()) };
    let told = format!("{back} of the transfer came back to our balance");
    let partly = Fact::TransferReversedPartly(Reason::new("transfer_reversed_partly", told.as_str()));
    let heard = [Fact::PartBack(*back), partly].map(|fact| of_person(attempt, fact, None, &told));
    record::record(tx, app, &actor.id.to_string(), &heard).await?;
    // Whoever settles this knows of the part, so its poll tells nothing new.
    Ok(contradictions::note_reason(tx, attempt.id, "transfer_reversed_partly").await?)
}

/// The other attempts that wait for a person because of the same request as this one, of which the vendor is not known to
/// have anything: whoever calls this one not made calls them so too.
pub async fn ends_with(db: &mut Db, attempt: &Attempt) -> store::Result<Vec<Attempt>> {
    let carrier = attempt.submission.as_slice();
    let open = store::submissions::several(db, carrier).await?.iter().any(|one| may_be_ended(one.state));
    if attempt.state != AttemptState::Review || !open {
        return Ok(Vec::new());
    }
    let carried = transactions::attempts_of_submissions(db, carrier).await?;
    Ok(carried.into_iter().filter(|one| one.id != attempt.id && one.state == AttemptState::Review).collect())
}

/// The payment, held until this database transaction ends, with all that its waiting requests carry: those end with it.
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
    // How it was found out is our own note. It stands in the timeline; the reason is told to partners, too.
    Fact::Refused(attempt.leg, Reason::new("not_made", ""))
}

/// The finding as a fact, its submission ended.
async fn heard(
    tx: &mut Tx,
    app: &App,
    of: &Transaction,
    attempt: &Attempt,
    finding: &Finding,
    how: &str,
) -> Result<Heard> {
    let (fact, vendor_id, carrier_id) = match finding {
        Finding::Made { fact, vendor_id, carrier_id, .. } => {
            (fact.clone(), Some(vendor_id.clone()), Some(carrier_id.as_str()))
        }
        Finding::NotMade { .. } => (not_made(attempt), None, None),
    };
    // A submission that was taken up again may be carried out yet: then a new attempt would pay a second time.
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

fn of_person(attempt: &Attempt, fact: Fact, vendor_id: Option<String>, how: &str) -> Heard {
    Heard {
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

/// Corrects the books: an attempt that had ended here was made after all. The rewards that a closed payment gave back are
/// taken into it again; where any of them was paid again meanwhile, all of it is taken off the payee's next claim.
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
    // It waited, or lay there, when it was looked at, and somebody has settled it since: its money is counted.
    if !(attempt.state.ended() || twin || (swept && lies)) {
        return Err(not_now(NotNow::NotLookedAt));
    }
    // Counted already; or paid otherwise by the word of two people, and out of the same money.
    let paid_otherwise = of.otherwise_at.is_some() && !law::stands_beside(of.state, fact);
    if paid_otherwise || store::ledger::holds_beside(tx, attempt.id).await? {
        return Ok(contradictions::withdraw_failure(tx, attempt.id).await?);
    }
    let lie = given_back(tx, of).await?;
    // Its transfer is undone, so what the bank has paid was taken from their balance: what lies parked there fills it up, and
    // can neither be paid out nor fetched back.
    let fills = law::correct(of.state, &of.terms, fact).state == State::Reversed;
    stopped(lie.iter().filter(|one| !(fills && one.beside)))?;
    // What the vendor paid by its own schedule is no object of the transfer whose money it was.
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
    // The bank has paid what was fetched back: its rewards are held until somebody says what the payee keeps.
    let short = of.state == State::Recalled && after.state == State::Reversed;
    let beside = after.state == of.state && matches!(fact, Fact::ItemPaid | Fact::TransferMade);
    let free = of.closed() && lie.iter().all(|one| !one.elsewhere && !one.changed);
    if free && (paid || short) {
        let paid_at = (after.state == State::Success).then(|| app.clock.now());
        take_back(tx, of, &lie, paid_at).await?;
    } else if (of.closed() && paid) || short || beside {
        if short {
            // They have it, and what was paid in its place comes off their next claim.
            let journal = law::mark_paid_outside(after.state, &of.terms).map_err(not_now)?;
            // The payment itself may have been paid outside before, by its own entry.
            let booked = (of.id.to_string(), Some(store::ledger::in_place_of(attempt.id)), journal);
            store::ledger::write_once(tx, app.clock.now(), &app.clock, &[booked]).await?;
        }
        if beside {
            // It is counted, so what its vendor tells of it again is no news.
            contradictions::withdraw_failure(tx, attempt.id).await?;
        }
        let stays = if short || beside { Stays::ForGood } else { Stays::WithThePayment };
        second_payments::claw_back(tx, app, actor, of, stays, &lie, *part_back).await?;
    }
    Ok(())
}

/// Whether what was found is a second object of an attempt, beside the one that the books hold: the vendor contradicts those,
/// or a search has found it.
fn made_twice(attempt: &Attempt, vendor_id: &str, searched: bool) -> bool {
    let searched = searched && attempt.state != AttemptState::Review;
    let marked = (searched || attempt.contradicted_at.is_some()) && !attempt.state.ended();
    marked && attempt.vendor_id.as_deref().is_some_and(|known| known != vendor_id)
}

/// Where the rewards are that a closed payment gave back. While one of them is in a draft, nothing is said of the payment.
async fn given_back(tx: &mut Tx, of: &Transaction) -> Result<Vec<Whereabouts>> {
    let lie = if of.closed() { contradictions::whereabouts(tx, of.id).await? } else { Vec::new() };
    if let Some((number, draft)) = lie.iter().find_map(|one| Some((one.number, one.draft.as_ref()?))) {
        let told = format!(
            "RW-{number:06} is in {draft}, but this payment has paid it. Take it out of {draft} first. Nothing was settled."
        );
        return Err(OpsError::Conflict(Refusal::new("reward_in_batch", told)));
    }
    Ok(lie)
}

/// Another payment of the same rewards that may be sent yet, or once more, is stopped by the contradiction, and gives them back
/// first: taken for paid, it would pay them once more.
fn stopped<'a>(mut lie: impl Iterator<Item = &'a Whereabouts>) -> Result<()> {
    let Some((reward, other)) = lie.find_map(|one| Some((one.number, one.may_be_sent?))) else {
        return Ok(());
    };
    let told = format!(
        "RW-{reward:06} is now in PT-{other:06}, which has not paid it but still may. Bursar has recorded that this payment paid it, which stops PT-{other:06} if it has not been sent. Once PT-{other:06} has failed, return it to the pool; then settle this one."
    );
    Err(OpsError::Conflict(Refusal::new("contradicted", told)))
}

/// Takes all of the rewards that a closed payment gave back into it again. Somebody may put one into a payout at this moment.
async fn take_back(tx: &mut Tx, of: &Transaction, lie: &[Whereabouts], paid_at: Option<i64>) -> Result<()> {
    if contradictions::take_back(tx, of.id, paid_at).await? == lie.len() as u64 {
        return Ok(());
    }
    let told = "Somebody changed a reward of this payment at the same time. Nothing was settled; try again.";
    Err(OpsError::Conflict(Refusal::new("changed_meanwhile", told)))
}

/// Where one item names PayPal's batch, that batch tells of all the others. Those that have not ended are asked about now;
/// for those that people had called not made meanwhile the batch is looked at as one that an event has named.
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

/// What two people say about money that lies in a payee's balance.
#[derive(Clone, Debug)]
pub struct ParkedFinding {
    pub how: Parked,
    /// Where it was paid by other means: the reference of that payment.
    pub reference: String,
    /// And its date, `YYYY-MM-DD`.
    pub paid_on: String,
    /// How it was found out.
    pub note: String,
}

/// Settles money that lies in a payee's balance and that Stripe can neither pay out nor give back. Always by two people:
/// the first is written down, and the same said by another carries it out.
///
/// # Errors
/// [`OpsError::Refused`] without a note, or without a reference and a date where it was paid by other means;
/// [`OpsError::Conflict`] when no money of it lies there.
pub async fn settle_parked(
    app: &App,
    actor: &Actor,
    id: TransactionId,
    found: &ParkedFinding,
    once: Option<&Once<Transaction>>,
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
        // What the vendor says is settled first: it may have paid what two people are about to give up.
        if transaction.contradicted_at.is_some() {
            return Err(not_now(NotNow::Contradicted));
        }
        let lie = if otherwise { of_what_is_paid(tx, &transaction).await? } else { Vec::new() };
        let said = (deed.as_str(), TakesTwo::NothingProvesIt, found.note.as_str());
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
        // The step has its line in the timeline; what was said stands in the audit trail.
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
    app.nudge.tell_watchers();
    Ok(after)
}

/// The rewards that a payment pays by other means. One that gave them back takes them in again, which it can only while
/// nobody else has paid them.
async fn of_what_is_paid(tx: &mut Tx, of: &Transaction) -> Result<Vec<Whereabouts>> {
    let lie = given_back(tx, of).await?;
    if let Some(number) = lie.iter().find(|one| one.changed && !one.elsewhere).map(|one| one.number) {
        let told = format!(
            "RW-{number:06} was voided or its value changed after this payment released it, so this payment can no longer pay it. Settle the money as written off; if the payee has it, enter what they owe yourself. Nothing was changed."
        );
        return Err(OpsError::Conflict(Refusal::new("reward_changed", told)));
    }
    if let Some(number) = lie.iter().find(|one| one.elsewhere).map(|one| one.number) {
        let told = format!(
            "RW-{number:06} was paid again, or is in another payment, after this one released it. If the payee has this money as well, settle it as written off and claw the reward back once it is paid. Nothing was changed."
        );
        return Err(OpsError::Conflict(Refusal::new("paid_again", told)));
    }
    Ok(lie)
}
