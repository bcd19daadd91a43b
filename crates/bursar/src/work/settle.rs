//! Asks the vendor about the state of payments and records the answers. Webhooks, polls and manual refreshes all end
//! here: whatever the trigger, the *fetched* object decides.

mod items;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use futures::StreamExt as _;
use payout::deadline;
use payout::ids::TransactionId;
use payout::money::Vendor;
use payout::transaction::{Fact, Leg, Reason, State};
use tokio::sync::mpsc;
use vendors::ReadError;
use vendors::stripe::{ConnectedAccount, Stripe, payout as bank};

pub(super) use self::items::about_ours;
use super::answer::{Answer, FoundPayouts, LookupOutcome, transfer_facts};
use super::aside::{self, AsideKind, Bisection};
use super::calls::Calls;
use super::next_look::{asks_for_transfer, more_rarely, next_at, unseen_next};
use super::scheduled_payouts::{OutgoingFunds, TransferInBalance};
use super::skew::Skew;
use super::{PassResult, Work, bank_payouts, credit, named, recheck, scheduled_payouts};
use crate::clock::Clock;
use crate::ops::record::{self, Observation};
use crate::ops::{Result, vendors as connections};
use crate::store::submissions;
use crate::store::transactions::{self, Attempt, LookupUpdate, Transaction, Unshown};
use crate::store::{Tx, events, put_back};
use crate::transact;

/// How many transactions one pass asks about. A PayPal batch carries as many items and is read as a whole.
const AT_ONCE: i64 = 1_000;
/// How many reads at Stripe run concurrently.
const READS_AT_ONCE: usize = 16;
/// Concurrent reads of PayPal batches.
const BATCHES_AT_ONCE: usize = 4;
/// The most answers recorded in one database transaction. Answers that arrive during a commit are recorded together in
/// the next one: the busier the database, the larger the sets, and a commit costs the same for one as for many.
const MOST_RECORDED: usize = 500;
/// How long a read may take before another worker retries it.
const LEASE_US: i64 = 60_000_000;
/// Retry delay if a read stays due only because the clock of whoever requested it was ahead of ours.
const AHEAD_US: i64 = 1_000_000;
/// The note on a payment the connected account does not have.
const ELSEWHERE: &str =
    "the vendor was not asked: the payment was made from a different account than the one connected now";

/// The vendor's answer about one object of a payment.
struct ObjectAnswer {
    transaction: TransactionId,
    observations: Vec<Observation>,
    what: String,
    answer: Answer,
    /// The transfer was reported, but not what has left the payee's balance.
    hidden: bool,
    /// As `hidden`, but Stripe will report it within hours.
    not_yet: bool,
    /// The transfer was reversed, but that is not trusted yet.
    unbelieved: bool,
    /// The transfer was reversed, but what left the payee's balance was not read: in the payment's state it would have
    /// freed nothing.
    unlooked: bool,
}

impl ObjectAnswer {
    /// How conclusive the answer is. What Stripe reports within hours is waited for.
    fn looked(&self) -> LookupOutcome {
        if self.not_yet { LookupOutcome::NotYet } else { self.answer.looked(self.hidden) }
    }
}

/// An object to ask the vendor about.
#[derive(Clone)]
struct Question {
    transaction: Transaction,
    attempt: Attempt,
    object: String,
    /// For a transfer whose money may have gone to the payee's bank without us.
    parked: Option<Arc<Parked>>,
}

/// What is known of a payment whose transfer may have gone to the payee's bank without us.
struct Parked {
    payouts: Vec<Attempt>,
    /// Bank payouts to the same account known to belong to other payments.
    other_payouts: HashSet<String>,
    /// The result of looking for bank payouts of ours, if one was needed.
    found_payouts: Option<FoundPayouts>,
    /// Its money should be in the payee's balance.
    in_balance: bool,
}

/// What was read about payments, besides their attempts, before the vendor is asked.
#[derive(Default)]
struct SettleContext {
    found_payouts: HashMap<TransactionId, FoundPayouts>,
    other_payouts: HashMap<TransactionId, HashSet<String>>,
}

/// Sends answers as they arrive, all for one payment together. The receiver is gone only if recording failed, which
/// ends the pass.
type AnswerSender = mpsc::UnboundedSender<Vec<ObjectAnswer>>;

/// The items to ask about, by PayPal's batch id.
type ByBatch = BTreeMap<String, Vec<(Transaction, Attempt)>>;

/// One pass for one vendor: looks at the objects events have named and asks about the payments that are due.
pub async fn once(work: &Work, vendor: Vendor, now: i64) -> PassResult {
    let app = &work.app;
    let most = work.reach.capacity(vendor, Calls::Reads, now, AT_ONCE);
    if most == 0 {
        return Ok(0);
    }
    let looked = named::once(work, vendor, now).await?;
    let until = now + LEASE_US;
    let due = transact!(app, |tx| { Ok(transactions::lease_to_ask(tx, vendor, now, until, most).await?) })?;
    let asked = match about(work, &due, now, "poll").await {
        Err(error) if aside::about_a_row(&error) => bisect(work, &due, now).await,
        outcome => outcome,
    };
    Ok(looked + asked?)
}

/// Bisects the payments, so that a broken record only holds up itself.
async fn bisect(work: &Work, due: &[TransactionId], now: i64) -> PassResult {
    let (mut changed, mut halves) = (0, Bisection::of(due.iter().map(ToString::to_string).collect()));
    while let Some(part) = halves.next() {
        let ids: Vec<TransactionId> = part.iter().filter_map(|id| TransactionId::parse(id)).collect();
        match about(work, &ids, now, "poll").await {
            Ok(done) => changed += done,
            Err(error) if aside::about_a_row(&error) => {
                if let Some(guilty) = halves.failed(part) {
                    aside::put(work, AsideKind::Asked, &guilty, &error).await?;
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(changed)
}

/// Asks about these payments now and records the answers in sets as they arrive. Returns how many facts changed
/// something.
pub async fn about(work: &Work, ids: &[TransactionId], now: i64, source: &'static str) -> PassResult {
    Ok(asked(work, ids, now, source).await?.0)
}

/// The same for one payment whose money is about to be freed or sent. Returns whether everything was answered.
pub(super) async fn look(work: &Work, id: TransactionId) -> Result<LookupOutcome> {
    Ok(asked(work, &[id], work.app.clock.now(), "person").await?.1)
}

/// The same before an automatic send.
pub(super) async fn look_before(work: &Work, id: TransactionId) -> Result<LookupOutcome> {
    Ok(asked(work, &[id], work.app.clock.now(), "poll").await?.1)
}

async fn asked(
    work: &Work,
    ids: &[TransactionId],
    now: i64,
    source: &'static str,
) -> Result<(usize, LookupOutcome)> {
    if ids.is_empty() {
        return Ok((0, LookupOutcome::Through));
    }
    let mut db = work.app.store.read().await?;
    let found = transactions::several(&mut db, ids).await?;
    let attempts = transactions::attempts(&mut db, ids).await?;
    let items = attempts.iter().filter(|attempt| attempt.leg == Leg::Item);
    let carriers: BTreeSet<String> = items.filter_map(|attempt| attempt.submission.clone()).collect();
    let batches: HashMap<String, String> =
        submissions::vendor_ids(&mut db, carriers).await?.into_iter().collect();
    let named_by_events = events::objects(&mut db, ids).await?;
    let unlooked = put_back::to_look_for(&mut db, ids).await?;
    drop(db);
    let (found, mut waits) = recheck::first(work, found, &unlooked).await?;
    let first = bank_payouts::first(work, found, &attempts).await?;
    waits.extend(first.waits);
    let looked_for: Vec<TransactionId> = first.found_payouts.keys().copied().collect();
    let beside = transactions::payouts_of_others(&mut work.app.store.read().await?, &looked_for).await?;
    let mut read = SettleContext { found_payouts: first.found_payouts, other_payouts: beside };
    let (mut of_each, mut named_of): (HashMap<_, Vec<&Attempt>>, HashMap<_, Vec<&str>>) = Default::default();
    attempts.iter().for_each(|one| of_each.entry(one.transaction).or_default().push(one));
    named_by_events.iter().for_each(|(of, object)| named_of.entry(*of).or_default().push(object));
    let (mut stripe, mut paypal, mut silent) = (Vec::new(), ByBatch::new(), Vec::new());
    for transaction in first.may {
        let of = of_each.remove(&transaction.id).unwrap_or_default();
        let named = named_of.remove(&transaction.id).unwrap_or_default();
        match transaction.terms.vendor {
            Vendor::Stripe => {
                let questions = at_stripe(&transaction, (&of, &mut read), &named, source, now);
                if questions.is_empty() {
                    silent.push(nothing_to_ask(transaction.id));
                } else {
                    stripe.push(questions);
                }
            }
            Vendor::PayPal => {
                let asked = at_paypal(&of, &batches, &named);
                if asked.is_empty() {
                    silent.push(nothing_to_ask(transaction.id));
                }
                for (batch, attempt) in asked {
                    paypal.entry(batch).or_default().push((transaction.clone(), attempt));
                }
            }
        }
    }
    silent.extend(waits.into_iter().map(not_looked_through));
    let (sender, answers) = mpsc::unbounded_channel();
    silent.into_iter().for_each(|answer| drop(sender.send(vec![answer])));
    if work.sequential {
        ask_stripe(work, stripe, source, &sender).await?;
        items::ask(work, paypal, source, &sender).await?;
        drop(sender);
        return record_answers(work, answers, now).await;
    }
    let asking = async move {
        let (stripe, paypal) =
            (ask_stripe(work, stripe, source, &sender), items::ask(work, paypal, source, &sender));
        futures::try_join!(stripe, paypal).map(drop)
    };
    futures::try_join!(asking, record_answers(work, answers, now)).map(|((), recorded)| recorded)
}

/// Records answers until the last one: a read that hangs must not delay the others.
async fn record_answers(
    work: &Work,
    mut answers: mpsc::UnboundedReceiver<Vec<ObjectAnswer>>,
    asked_at: i64,
) -> Result<(usize, LookupOutcome)> {
    let (mut changed, mut looked, mut some) = (0, LookupOutcome::Through, Vec::new());
    while answers.recv_many(&mut some, MOST_RECORDED).await > 0 {
        let said: Vec<ObjectAnswer> = std::mem::take(&mut some).into_iter().flatten().collect();
        looked = said.iter().map(ObjectAnswer::looked).fold(looked, LookupOutcome::max);
        changed += record_said(work, said, asked_at).await?;
    }
    Ok((changed, looked))
}

fn not_looked_through(transaction: TransactionId) -> ObjectAnswer {
    ObjectAnswer {
        transaction,
        observations: Vec::new(),
        what: "the vendor was not asked: Bursar first searches for payments of it that are missing here"
            .to_owned(),
        answer: Answer::Silent,
        hidden: false,
        not_yet: false,
        unbelieved: false,
        unlooked: false,
    }
}

fn nothing_to_ask(transaction: TransactionId) -> ObjectAnswer {
    ObjectAnswer {
        transaction,
        observations: Vec::new(),
        what: "the vendor has nothing to be asked about yet".to_owned(),
        answer: Answer::NotAsked,
        hidden: false,
        not_yet: false,
        unbelieved: false,
        unlooked: false,
    }
}

/// The objects to read at Stripe: the newest bank payout, older ones that hold money or that an event names, and the
/// transfer.
fn at_stripe(
    of: &Transaction,
    (attempts, read): (&[&Attempt], &mut SettleContext),
    named: &[&str],
    source: &str,
    now: i64,
) -> Vec<Question> {
    let known = |leg: Leg| {
        let of_leg = attempts.iter().filter(move |one| one.leg == leg);
        of_leg.filter_map(|one| Some((*one, one.vendor_id.clone()?)))
    };
    let newest = known(Leg::Payout).max_by_key(|(one, _)| one.number).map(|(one, _)| one.id);
    let payouts = known(Leg::Payout).filter(|(one, object)| {
        Some(one.id) == newest || !one.state.ended() || named.contains(&object.as_str())
    });
    let transfers = known(Leg::Transfer).filter(|(one, object)| {
        let event = named.contains(&object.as_str()) || named.iter().any(|name| name.starts_with("trr_"));
        if payout::planted::on("reversals_unseen") {
            return false;
        }
        event || (!one.state.ended() && (source == "person" || asks_for_transfer(of, now)))
    });
    let (lies, frees) =
        (scheduled_payouts::is_in_payee_balance(of, attempts), recheck::frees_when_reversed(of));
    let parked = (lies || frees).then(|| {
        let payouts =
            attempts.iter().filter(|one| one.leg == Leg::Payout).map(|one| (*one).clone()).collect();
        let beside = read.other_payouts.remove(&of.id).unwrap_or_default();
        Arc::new(Parked {
            payouts,
            other_payouts: beside,
            found_payouts: read.found_payouts.remove(&of.id),
            in_balance: lies,
        })
    });
    let question = |(attempt, object): (&Attempt, String)| Question {
        transaction: of.clone(),
        attempt: attempt.clone(),
        object,
        parked: parked.clone().filter(|_| attempt.leg == Leg::Transfer),
    };
    payouts.chain(transfers).map(question).collect()
}

/// The items to read at PayPal, by their batch: the newest item, and older ones that hold money (as after a correction)
/// or whose batch an event names.
fn at_paypal(
    attempts: &[&Attempt],
    batches: &HashMap<String, String>,
    named: &[&str],
) -> Vec<(String, Attempt)> {
    let items = attempts.iter().filter(|one| one.leg == Leg::Item);
    let known =
        items.filter_map(|one| Some((batches.get(one.submission.as_ref()?)?.clone(), (*one).clone())));
    let known: Vec<(String, Attempt)> = known.collect();
    let newest = attempts.iter().filter(|one| one.leg == Leg::Item).map(|one| one.number).max();
    let asked = known.into_iter().filter(|(batch, one)| {
        Some(one.number) == newest || !one.state.ended() || named.contains(&batch.as_str())
    });
    asked.collect()
}

fn observation(attempt: &Attempt, fact: Fact, source: &'static str, status: &str) -> Observation {
    Observation {
        transaction: attempt.transaction,
        attempt: attempt.id,
        fact,
        vendor_id: None,
        submission: None,
        source,
        detail: Some(format!("the vendor says {status}")),
        event_id: None,
    }
}

async fn ask_stripe(
    work: &Work,
    ask: Vec<Vec<Question>>,
    source: &'static str,
    out: &AnswerSender,
) -> Result<()> {
    if ask.is_empty() {
        return Ok(());
    }
    let Some(stripe) = work.clients.stripe().await? else {
        let silent = ask.iter().map(|of| of.iter().map(|one| unreachable(one, "Stripe is not connected")));
        silent.for_each(|said| drop(out.send(said.collect())));
        return Ok(());
    };
    let (ask, elsewhere): (Vec<_>, Vec<_>) = ask.into_iter().partition(|of: &Vec<Question>| {
        of.iter().all(|one| stripe.may_have(one.transaction.vendor_account.as_deref()))
    });
    let skew = work.clients.skew();
    let asks = futures::stream::iter(ask).map(|of_one| {
        let client = stripe.client.clone();
        async move {
            let mut answers = Vec::new();
            for question in &of_one {
                answers.push(
                    match work
                        .ask(Vendor::Stripe, at(&client, question, source, (&work.app.clock, skew)))
                        .await
                    {
                        Ok(object_answer) => object_answer,
                        Err(error) => failed_to_ask(work, Vendor::Stripe, question, &error).await?,
                    },
                );
            }
            Ok::<_, crate::ops::OpsError>(answers)
        }
    });
    let mut asks = asks.buffer_unordered(work.concurrency(READS_AT_ONCE));
    let elsewhere = elsewhere.iter().map(|of| of.iter().map(|one| unreachable(one, ELSEWHERE)));
    elsewhere.for_each(|said| drop(out.send(said.collect())));
    while let Some(answers) = asks.next().await {
        drop(out.send(answers?));
    }
    Ok(())
}

/// Reads one transfer or payout from Stripe.
async fn at(
    client: &Stripe,
    question: &Question,
    source: &'static str,
    (clock, skew): (&Clock, &Skew),
) -> std::result::Result<ObjectAnswer, ReadError> {
    let now = clock.now();
    let Question { transaction: of, attempt, object, parked } = question;
    if attempt.leg == Leg::Transfer {
        let transfer = client.transfer(object).await?;
        let same = transfer.money() == Some(of.terms.net) && transfer.destination == of.destination.address();
        let (status, facts) = transfer_facts(&transfer);
        let heard = facts.into_iter().map(|fact| observation(attempt, fact, source, &status));
        let mut observations: Vec<Observation> = heard.collect();
        // Before it was reversed, it may have been paid out by Stripe's automatic schedule or by us, so the payee has
        // it. The same goes for the rest of a partly reversed transfer.
        let came_back = scheduled_payouts::came_back(&observations);
        let looks = parked.as_ref().filter(|one| same && (came_back || one.in_balance));
        let Some(parked) = looks else {
            let said = believed(question, &status, same, Some(observations), now);
            return Ok(ObjectAnswer { unlooked: came_back && parked.is_none(), ..said });
        };
        let Parked { payouts, other_payouts: beside, found_payouts: ours, .. } = &**parked;
        let (ours, made_s) = (ours.as_ref(), transfer.created);
        let lying = TransferInBalance {
            of,
            transfer: attempt,
            payouts,
            other_payouts: beside,
            found_payouts: ours,
            came_back,
            made_s,
        };
        let left = match transfer.destination_payment {
            Some(payment) => {
                let own = scheduled_payouts::named_as(
                    client,
                    (object, transfer.amount_reversed_units > 0),
                    payment,
                )
                .await?;
                lying.left(client, own, (source, clock)).await?
            }
            None => OutgoingFunds::unknown(),
        };
        let message = format!("{status}{}", left.what);
        // With a clock that is ahead, the two days would end too soon.
        let by_theirs = now.saturating_sub(skew.ahead(Vendor::Stripe.as_str(), now));
        if left.hidden && came_back && !hidden_for_long(of, by_theirs) {
            let message = format!("Stripe says {message}, so nothing was recorded yet");
            let said = unreachable(question, &message);
            let not_yet = left.not_yet;
            return Ok(ObjectAnswer {
                answer: Answer::Unusable,
                hidden: true,
                not_yet,
                unbelieved: true,
                ..said
            });
        }
        // If only the rest was paid out, the payee has less than the payment; two people must decide.
        let of_rest = left.swept.is_some() && !came_back && !observations.is_empty();
        let waits = matches!(of.state, State::Transferred | State::PayoutReview);
        if of_rest && !waits {
            observations.push(observation(attempt, Fact::FoundAfterAll(Leg::Transfer), source, &message));
        }
        observations.splice(0..0, left.swept.filter(|_| !of_rest));
        let said = believed(question, &message, same, Some(observations), now);
        return Ok(ObjectAnswer { hidden: left.hidden || (of_rest && waits), not_yet: left.not_yet, ..said });
    }
    let account = ConnectedAccount::parse(of.destination.address()).ok_or(ReadError::Missing)?;
    let payout = client.payout(&account, object).await?;
    // A payout of Stripe's automatic schedule pays several payments at once; it was matched by what it took.
    let same = payout.automatic || payout.money() == Some(of.terms.net);
    let observations =
        bank::fact(&payout).map(|fact| vec![observation(attempt, fact, source, &payout.status)]);
    Ok(believed(question, &payout.status, same, observations, now))
}

/// An answer counts only if it is about the requested payment (same amount, currency and destination) and has a known
/// status. Any other changes nothing and is shown to whoever looks at the payment.
fn believed(
    of: &Question,
    status: &str,
    same: bool,
    heard: Option<Vec<Observation>>,
    now: i64,
) -> ObjectAnswer {
    let vendor = of.transaction.terms.vendor.label();
    let why = match heard {
        Some(heard) if same => {
            let what = format!("{vendor} says {status}");
            return ObjectAnswer { observations: heard, answer: Answer::Told, ..unreachable(of, &what) };
        }
        Some(_) => "but for a different amount, currency or destination than ours",
        None => "a status that Bursar does not know",
    };
    unusable(of, &format!("{vendor} says {status}, {why}. Nothing was recorded; ask {vendor} about it"), now)
}

fn unreachable(of: &Question, why: &str) -> ObjectAnswer {
    let (heard, what) = (Vec::new(), why.to_owned());
    ObjectAnswer {
        transaction: of.transaction.id,
        observations: heard,
        what,
        answer: Answer::Silent,
        hidden: false,
        not_yet: false,
        unbelieved: false,
        unlooked: false,
    }
}

/// The vendor has no such object, or does not show it to us. That is an answer: it is polled with increasing delays,
/// and if it stays invisible a person takes over, with the vendor's message.
fn unseen(of: &Question, words: &str, now: i64) -> ObjectAnswer {
    let heard = out_of_sight(of, "not_shown_by_vendor", words, now).into_iter().collect();
    ObjectAnswer { observations: heard, answer: Answer::Unseen, ..unreachable(of, words) }
}

/// The vendor answered, but nothing can be concluded. Polled and escalated like an object it does not show. Until then,
/// no event about it counts as applied.
fn unusable(of: &Question, words: &str, now: i64) -> ObjectAnswer {
    metrics::counter!("bursar_alarms_total").increment(1);
    tracing::error!(transaction = %of.transaction.id, vendor = of.transaction.terms.vendor.as_str(), words,
        "what the vendor says about a payment cannot be used; nothing was recorded, and it is asked again");
    let heard = out_of_sight(of, "vendor_not_understood", words, now).into_iter().collect();
    let answer = if for_long(of, now) { Answer::Unseen } else { Answer::Unusable };
    ObjectAnswer { observations: heard, answer, ..unreachable(of, words) }
}

/// An object the vendor has not reported for too long goes to a person.
fn out_of_sight(of: &Question, code: &'static str, words: &str, now: i64) -> Option<Observation> {
    let leg = of.attempt.leg;
    let gone = for_long(of, now) && !of.transaction.state.settled() && matches!(leg, Leg::Payout | Leg::Item);
    gone.then(|| observation(&of.attempt, Fact::OutOfSight(leg, Reason::new(code, words)), "poll", words))
}

fn for_long(of: &Question, now: i64) -> bool {
    of.transaction.unseen_since.is_some_and(|since| since + deadline::UNSEEN_US <= now)
}

/// A reversed transfer frees its rewards, so we wait until Stripe shows what has left the payee's balance, for at most
/// two days after the reversal was first seen. Only this code accepts a reversal; reports from elsewhere (an event, our
/// own reversal, a balance that is short) only cause the transfer to be read.
fn hidden_for_long(of: &Transaction, now: i64) -> bool {
    of.reversal_seen_at.is_some_and(|since| since + deadline::UNSEEN_US <= now)
}

/// A failed read changes nothing and is retried soon.
async fn failed_to_ask(
    work: &Work,
    vendor: Vendor,
    of: &Question,
    error: &ReadError,
) -> Result<ObjectAnswer> {
    match error {
        ReadError::Missing | ReadError::Refused { .. } if !payout::planted::on("gone_is_silence") => {
            return Ok(unseen(of, &error.to_string(), work.app.clock.now()));
        }
        ReadError::Unreadable(_) => return Ok(unusable(of, &error.to_string(), work.app.clock.now())),
        ReadError::Credentials(why) => connections::pause(&work.app, vendor, why).await?,
        ReadError::RateLimited { .. }
        | ReadError::Unreachable(_)
        | ReadError::Missing
        | ReadError::Refused { .. } => {}
    }
    Ok(unreachable(of, &error.to_string()))
}

/// Records the answers. They settle the events that were linked before the vendor was asked.
async fn record_said(work: &Work, said: Vec<ObjectAnswer>, asked_at: i64) -> PassResult {
    let app = &work.app;
    let ids: BTreeSet<TransactionId> = said.iter().map(|one| one.transaction).collect();
    let ids: Vec<TransactionId> = ids.into_iter().collect();
    let ids = ids.as_slice();
    let recorded = transact!(app, |tx| {
        let now = app.clock.now();
        // Locked from here on, so that a manual refresh requested meanwhile is not overwritten with a later time.
        let held = record::hold(tx, ids.iter().copied()).await?;
        let linked = events::linked(tx, ids, i64::MAX).await?;
        // If somebody has settled a payment meanwhile, so that the answer would now free its rewards, ask again.
        let anew: BTreeSet<TransactionId> = said
            .iter()
            .filter(|one| {
                one.unlooked && held.payment(one.transaction).is_some_and(recheck::frees_when_reversed)
            })
            .map(|one| one.transaction)
            .collect();
        let of_now = said.iter().filter(|one| !anew.contains(&one.transaction));
        let mut heard: Vec<Observation> = of_now.flat_map(|one| one.observations.iter().cloned()).collect();
        let mut answers: HashMap<TransactionId, Answer> = HashMap::new();
        for one in &said {
            let worst = answers.entry(one.transaction).or_insert(one.answer);
            *worst = one.answer.max(*worst);
        }
        let (mut settled, mut later) = (Vec::new(), BTreeMap::new());
        for event in &linked {
            let answer = answers.get(&event.transaction).copied().unwrap_or(Answer::Silent);
            let answered = answer < Answer::Unseen || (answer == Answer::Unseen && !held.keeps(event, now));
            if event.linked_at <= asked_at && answered && !anew.contains(&event.transaction) {
                settled.push((event, answer));
            } else {
                // It was linked by a clock that was ahead: no read is later than that until the time has passed.
                let wait = if event.linked_at > now { AHEAD_US } else { 0 };
                let next = later.entry(event.transaction).or_insert(now + wait);
                *next = (*next).min(now + wait);
            }
        }
        later.extend(anew.iter().map(|id| (*id, now)));
        later.extend(hinted_since(&held, ids, asked_at, now));
        if !settled.is_empty() {
            let events: Vec<&events::LinkedEvent> = settled.iter().map(|(event, _)| *event).collect();
            credit::name_events(&mut heard, &events, held.attempts());
        }
        let recorded = record::record_of(tx, app, "settle", held, &heard).await?;
        note(tx, work, &recorded.standing, &said, &later, now).await?;
        let effects: Vec<(String, String)> = settled
            .iter()
            .map(|(event, answer)| {
                let state = recorded.standing.get(&event.transaction).map_or("gone", |of| of.state.as_str());
                let did = match answer {
                    Answer::NotAsked => "the vendor was not asked, as there was nothing to ask about",
                    Answer::Told | Answer::Unseen | Answer::Unusable | Answer::Silent => {
                        "the vendor was asked"
                    }
                };
                (event.id.clone(), format!("{did}; the payment is {state}"))
            })
            .collect();
        events::mark_applied(tx, &effects, now).await?;
        Ok(recorded)
    })?;
    if recorded.to_dispatch {
        app.nudge.dispatch.notify();
    }
    if recorded.changed > 0 {
        app.nudge.notify_watchers();
    }
    Ok(recorded.changed)
}

/// Payments whose event arrived while the read was in flight and may report something newer, and when to read them
/// again.
fn hinted_since<'a>(
    held: &'a record::LockedPayments,
    ids: &'a [TransactionId],
    asked_at: i64,
    now: i64,
) -> impl Iterator<Item = (TransactionId, i64)> + 'a {
    let hinted = ids.iter().filter_map(|id| held.payment(*id));
    let since = hinted.filter_map(move |of| Some((of.id, of.hinted_at.filter(|at| *at > asked_at)?)));
    since.map(move |(id, at)| (id, now + if at > now { AHEAD_US } else { 0 }))
}

/// Schedules the next poll of each payment by its current state.
async fn note(
    tx: &mut Tx,
    work: &Work,
    standing: &BTreeMap<TransactionId, Transaction>,
    answers: &[ObjectAnswer],
    later: &BTreeMap<TransactionId, i64>,
    now: i64,
) -> Result<()> {
    let mut what: HashMap<TransactionId, Vec<&ObjectAnswer>> = HashMap::new();
    answers.iter().for_each(|one| what.entry(one.transaction).or_default().push(one));
    let mut asked = Vec::new();
    for transaction in standing.values() {
        let Some(answers) = what.get(&transaction.id) else { continue };
        let answer = answers.iter().map(|one| one.answer).max().unwrap_or(Answer::NotAsked);
        let unbelieved = answers.iter().any(|one| one.unbelieved);
        let hidden = answers.iter().any(|one| one.hidden);
        let not_yet = answers.iter().any(|one| one.not_yet);
        let since = match answer {
            Answer::NotAsked | Answer::Told if !hidden => None,
            Answer::NotAsked | Answer::Told | Answer::Unseen | Answer::Unusable => {
                Some(transaction.unseen_since.unwrap_or(now))
            }
            Answer::Silent => transaction.unseen_since,
        };
        let seen_before = transaction.reversal_seen_at;
        let reversal_seen_at = match answer {
            Answer::NotAsked | Answer::Told => None,
            Answer::Unseen | Answer::Unusable if unbelieved => Some(seen_before.unwrap_or(now)),
            Answer::Unseen | Answer::Unusable | Answer::Silent => seen_before,
        };
        let (poll, longest) = (work.app.config.poll_us(), work.app.config.longest_wait_us());
        let again = later.get(&transaction.id).copied();
        let hinted = hint_is_kept(transaction, since, now);
        let next_at = match (again, answer) {
            (_, Answer::Silent) => Some(now + longest),
            (_, Answer::Unseen | Answer::Unusable) if again.is_some() || unbelieved || hinted => {
                Some(now + more_rarely(reversal_seen_at.or(since).unwrap_or(now), now, longest))
            }
            (Some(at), _) => Some(at),
            (None, Answer::Told) if not_yet || (hidden && hinted) => {
                Some(now + more_rarely(since.unwrap_or(now), now, longest))
            }
            (None, Answer::Unseen | Answer::Unusable) => {
                unseen_next(transaction, since.unwrap_or(now), now, longest)
            }
            (None, Answer::NotAsked | Answer::Told) => next_at(transaction, now, poll),
        };
        let words: Vec<&str> = answers.iter().map(|one| one.what.as_str()).collect();
        let unanswered = (hidden || matches!(answer, Answer::Unseen | Answer::Unusable)) && hinted;
        let still_hinted = again.is_some() || answer == Answer::Silent || unanswered;
        let (what, unshown) = (words.join("; "), Unshown { since, reversal_seen_at });
        asked.push(LookupUpdate { id: transaction.id, what, next_at, still_hinted, unshown });
    }
    Ok(transactions::note_asked(tx, &asked, now).await?)
}

/// Whether to keep polling because of an event until the vendor shows something: for a settled payment, no person looks
/// for it. One event can concern several payments, so it is not linked to each of them.
fn hint_is_kept(of: &Transaction, unseen_since: Option<i64>, now: i64) -> bool {
    let fresh = unseen_since.is_none_or(|since| now.saturating_sub(since) < deadline::SETTLED_WATCHED_US);
    of.hinted_at.is_some() && of.state.settled() && fresh
}
