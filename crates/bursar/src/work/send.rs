//! The only code that calls a money endpoint: leases committed submissions, re-checks the gates, commits what is about
//! to be sent, sends the exact bytes with no database transaction open, and records the verdict under the lease's
//! fence. Not here: what a closed gate leads to (`last_gates`) and what an answer means (`verdict`).

use std::collections::HashMap;
use std::sync::atomic::Ordering;

use futures::{FutureExt as _, Stream, StreamExt as _};
use payout::eligibility::{BeforeSend, Code};
use payout::ids::TransactionId;
use payout::money::Vendor;
use payout::transaction::{Fact, Leg, Reason};
use tokio::sync::mpsc;
use vendors::http::LastAnswer;
use vendors::paypal::PayPal;
use vendors::stripe::{Stripe, payout as bank};
use vendors::{MoneyKind, MoneyRequest, Outcome, ReadError, UnknownCause};

use super::calls::Calls;
use super::clients::Connected;
use super::leases::{LEASE_US, Leases};
use super::submission::{Answered, item_ids, new_submission, unsent};
use super::verdict::{self, Judgment, Verdict};
use super::{
    CrashPoint, PassResult, Work, aside, begin, chunks, last_gates, late, named, to_paypal, unfunded,
};
use crate::app::App;
use crate::ops::record::{self, Observation};
use crate::ops::vendors as connections;
use crate::ops::{OpsError, Result};
use crate::store::submissions;
use crate::store::submissions::{Submission, SubmissionState};
use crate::store::transactions::{self, Attempt};
use crate::store::{self, Tx, events, evidence, put_back};
use crate::transact;

/// Do not send with less of the lease left than this: the request's own timeout plus a margin.
const NEEDED_US: i64 = 22_000_000;
/// Retry delay for what is not sent because its vendor does not answer.
const AGAIN_US: i64 = 1_000_000;
/// The minimum retry delay for what is not sent because the vendor's clock is unknown.
const SOON_US: i64 = 500_000;
/// Re-check the gates if a payment has queued longer than this, so a hold placed in the meantime still takes effect.
const GATES_US: i64 = 2_000_000;
/// How many submissions one pass leases; with rate limits, no more than can be sent while the lease is fresh.
const AT_ONCE: i64 = 128;
/// The most answers recorded in one database transaction. Answers that arrive during a commit are recorded together in
/// the next one: the busier the database, the larger the sets, and a commit costs the same for one as for many.
const MOST_RECORDED: usize = 128;
const AT_ONCE_PACED: i64 = 60;
/// The most bytes kept of an answer.
const LONGEST_KEPT: usize = 16_384;
/// Concurrent requests; Stripe allows thirty concurrent payout creations per business.
const ON_THE_WIRE: usize = 30;
/// How many searches at Stripe run concurrently.
const LOOKS_AT_ONCE: usize = 8;

/// How many submissions one pass sends. Stripe's legs are committed at the same rate, so that submissions do not go
/// stale before they are sent.
pub(super) fn at_once(work: &Work) -> i64 {
    if work.pace.is_some() { AT_ONCE_PACED } else { AT_ONCE }
}

/// Sends what is due. Returns how many answers it recorded.
pub(super) async fn due(work: &Work, vendor: Vendor, now: i64) -> PassResult {
    let app = &work.app;
    let most = work.reach.capacity(vendor, Calls::Money, now, at_once(work));
    if most == 0 {
        return Ok(0);
    }
    // Get the client before leasing: a request in flight must not hold a database connection.
    let (stripe, paypal) = match vendor {
        Vendor::Stripe => (work.clients.stripe().await?, None),
        Vendor::PayPal => (None, work.clients.paypal().await?),
    };
    let ends = now + LEASE_US;
    let leased = transact!(app, |tx| { Ok(submissions::lease(tx, vendor, false, now, ends, most).await?) })?;
    if leased.is_empty() {
        return Ok(0);
    }
    let (stopped, leased) = last_gates::ask(work, leased, now).await?;
    let done = stopped.len();
    record_answers(work, stopped).await?;
    if stripe.is_none() && paypal.is_none() {
        requeue(work, leased, now + app.config.longest_wait_us()).await?;
        return Ok(done);
    }
    if work.crashes_now(CrashPoint::BetweenLeaseAndBegin) {
        return Ok(done);
    }
    let (silent, leased) = time_unknown(work, (stripe.as_ref(), paypal.as_ref()), leased).await;
    record_answers(work, silent).await?;
    let leased = begin::all(work, leased).await?;
    if work.crashes_now(CrashPoint::BetweenBeginAndSend) {
        return Ok(done);
    }
    let leases = Leases::of(&leased, ends);
    let wire = Wire { work, stripe, paypal, leases: &leases, asked_at: now };
    let sends = futures::stream::iter(leased).map(|submission| wire.one(submission));
    Ok(done
        + record_as_they_come(work, &leases, sends.buffer_unordered(work.concurrency(ON_THE_WIRE))).await?)
}

/// Records answers in sets as they arrive, while other requests are in flight and active leases are extended. Returns
/// how many it recorded.
async fn record_as_they_come(
    work: &Work,
    leases: &Leases,
    mut answers: impl Stream<Item = Answered> + Unpin,
) -> PassResult {
    if work.sequential {
        return record_all(work, answers.collect().await).await;
    }
    let (answered, mut waiting) = mpsc::unbounded_channel();
    let working = async move {
        while let Some(answer) = answers.next().await {
            let _ = answered.send(answer);
        }
    };
    let recording = async {
        let (mut done, mut some) = (0, Vec::new());
        while waiting.recv_many(&mut some, MOST_RECORDED).await > 0 {
            if work.crashes_now(CrashPoint::BetweenSendAndRecord) {
                return Ok(0);
            }
            done += some.len();
            let ids: Vec<String> = some.iter().map(|one| one.submission.id.clone()).collect();
            record_answers(work, std::mem::take(&mut some)).await?;
            leases.recorded(&ids.iter().map(String::as_str).collect::<Vec<_>>());
        }
        Ok(done)
    };
    tokio::select! {
        recorded = recording => recorded,
        never = working.then(|()| std::future::pending()) => never,
        () = leases.renew(work) => Ok(0),
    }
}

/// Returns the submissions of an unavailable vendor to the queue, unsent and due at `again`.
async fn requeue(work: &Work, held: Vec<Submission>, again: i64) -> Result<()> {
    let answered = held.into_iter().map(|submission| unsent(submission, again));
    record_answers(work, answered.collect()).await
}

/// The age of a key depends on our clock, which may be wrong or may have been set since the vendor last answered. So
/// before a key is used, and before it is reused, the vendor gets a harmless read unless its clock was seen within the
/// last minute; without an answer nothing is sent. Cancellations are exempt at any age. Returns what is not sent, and
/// the rest.
async fn time_unknown(
    work: &Work,
    (stripe, paypal): (Option<&Connected<Stripe>>, Option<&Connected<PayPal>>),
    leased: Vec<Submission>,
) -> (Vec<Answered>, Vec<Submission>) {
    let ages = |one: &&Submission| one.kind != MoneyKind::Cancel.as_str();
    let Some(newest) = leased.iter().filter(ages).max_by_key(|one| one.last_sent_at) else {
        return (Vec::new(), leased);
    };
    let (vendor, since, now) = (newest.vendor, newest.last_sent_at.unwrap_or(0), work.app.clock.now());
    let fresh = |now| work.clients.skew().is_fresh(vendor.as_str(), since, now);
    if fresh(now) {
        return (Vec::new(), leased);
    }
    let asked = match (vendor, stripe, paypal) {
        (Vendor::Stripe, Some(stripe), _) => work.ask(vendor, stripe.client.balance(None)).await.map(drop),
        (Vendor::PayPal, _, Some(paypal)) => work.ask(vendor, paypal.client.webhooks()).await.map(drop),
        (Vendor::Stripe | Vendor::PayPal, _, _) => return (Vec::new(), leased),
    };
    if !matches!(asked, Err(ReadError::Unreachable(_))) || fresh(work.app.clock.now()) {
        return (Vec::new(), leased);
    }
    let (silent, others): (Vec<Submission>, _) = leased.into_iter().partition(|one| ages(&one));
    // Wait as long again as it has waited already, within the usual bounds.
    let longest = work.app.config.longest_wait_us().max(SOON_US);
    let wait = |of: &Submission| (now - of.last_sent_at.unwrap_or(of.created_at)).clamp(SOON_US, longest);
    let silent = silent.into_iter().map(|one| {
        let again = now + wait(&one);
        unsent(one, again)
    });
    (silent.collect(), others)
}

/// The clients and leases of one sending pass.
struct Wire<'a> {
    work: &'a Work,
    stripe: Option<Connected<Stripe>>,
    paypal: Option<Connected<PayPal>>,
    leases: &'a Leases,
    /// When the gates were checked.
    asked_at: i64,
}

impl Wire<'_> {
    /// Whether the connected vendor account is the one a request was created for. If nothing is connected, nothing is
    /// sent anyway.
    fn is_its_account(&self, of: &Submission) -> bool {
        let bound = of.vendor_account.as_deref();
        match of.vendor {
            Vendor::Stripe => self.stripe.as_ref().is_none_or(|stripe| stripe.is_of(bound)),
            Vendor::PayPal => self.paypal.as_ref().is_none_or(|paypal| paypal.is_of(bound)),
        }
    }

    /// Sends one submission. If too little of the lease is left, it is released unsent and due again at once.
    async fn one(&self, submission: Submission) -> Answered {
        let kind = MoneyKind::parse(&submission.kind);
        let leased_at = self.work.app.clock.now();
        // A cancellation may be sent at any age: it names one item, which can be canceled only once.
        let behind = self.work.clients.skew().behind(submission.vendor.as_str());
        let old = verdict::too_old_to_send(&submission, leased_at, behind);
        if let Some(judged) = old.filter(|_| kind != Some(MoneyKind::Cancel)) {
            return Answered::unsent(submission, judged, Vec::new());
        }
        if !self.is_its_account(&submission) {
            return elsewhere(submission, leased_at + self.work.app.config.longest_wait_us());
        }
        // This may take long, so check the gates after it.
        if let Some(kept) = late::look(self.work, &submission, leased_at).await {
            return kept;
        }
        if let (Some(pace), Some(kind)) = (&self.work.pace, kind) {
            pace.turn(kind).await;
        }
        let sent_at = self.work.app.clock.now();
        // A schedule pays out at the end of a UTC day, so a look from the previous day is repeated.
        let looked_at = matches!(kind, Some(MoneyKind::Payout | MoneyKind::Reversal));
        if looked_at && late::other_day(leased_at, sent_at) {
            return unsent(submission, sent_at);
        }
        if self.leases.ends.load(Ordering::Acquire) - sent_at < NEEDED_US {
            return unsent(submission, sent_at);
        }
        if sent_at - self.asked_at > GATES_US
            && let Some(stopped) = last_gates::closed_since(self.work, &submission, sent_at).await
        {
            return stopped;
        }
        let Some(request) = kind.and_then(|kind| stored(&submission, kind)) else {
            let judged = Judgment::review(&submission, "the stored request cannot be parsed");
            return Answered::unsent(submission, judged, Vec::new());
        };
        if !self.work.reach.begin(submission.vendor, Calls::Money, sent_at) {
            return unsent(submission, sent_at + AGAIN_US);
        }
        let kept = LastAnswer::default();
        let (judged, fact) = match (submission.vendor, &self.stripe, &self.paypal) {
            (Vendor::Stripe, Some(stripe), _) => {
                to_stripe(self.work, &stripe.client.keeping(&kept), &submission, &request).await
            }
            (Vendor::PayPal, _, Some(paypal)) if kind == Some(MoneyKind::Cancel) => (
                to_paypal::cancel(self.work, &paypal.client.keeping(&kept), &submission, &request).await,
                None,
            ),
            (Vendor::PayPal, _, Some(paypal)) => (
                to_paypal::batch(self.work, &paypal.client.keeping(&kept), &submission, &request).await,
                None,
            ),
            (Vendor::Stripe | Vendor::PayPal, _, _) => {
                let again = sent_at + self.work.app.config.longest_wait_us();
                return unsent(submission, again);
            }
        };
        let raw = kept.take();
        self.learn(&submission, &judged, raw.is_some());
        // The answer carries the vendor's time.
        let (vendor, now) = (submission.vendor.as_str(), self.work.app.clock.now());
        let first_at = sent_at.saturating_sub(self.work.clients.skew().ahead(vendor, now));
        Answered { submission, judgment: judged, fact, sent_at, first_at, raw, waits: Vec::new() }
    }

    /// Tells the breaker whether the vendor answered at all. The result can be in doubt although the vendor answered.
    fn learn(&self, submission: &Submission, judged: &Judgment, answered: bool) {
        let reach = &self.work.reach;
        if answered {
            return reach.answered(submission.vendor, Calls::Money);
        }
        match UnknownCause::parse(&judged.why) {
            Some(UnknownCause::NotSent | UnknownCause::NoAnswer) => {
                reach.record_no_response(submission.vendor, Calls::Money, self.work.app.clock.now());
            }
            Some(
                UnknownCause::ServerError
                | UnknownCause::StoredServerError
                | UnknownCause::InUse
                | UnknownCause::RateLimited
                | UnknownCause::LockTimeout
                | UnknownCause::Credentials
                | UnknownCause::KeyClash
                | UnknownCause::Unreadable
                | UnknownCause::Mismatch
                | UnknownCause::TryLater,
            )
            | None => reach.answered(submission.vendor, Calls::Money),
        }
    }
}

/// The request exactly as committed.
fn stored(of: &Submission, kind: MoneyKind) -> Option<MoneyRequest> {
    let (path, account, body) = (of.path.clone(), of.account.clone(), of.body.clone().into_bytes());
    MoneyRequest::from_stored(kind, path, account, of.key.clone(), body).ok()
}

/// The request belongs to another account than the connected one: it may have been executed there, and here it would be
/// executed a second time. It waits.
fn elsewhere(submission: Submission, again: i64) -> Answered {
    let code = Code::OtherVendorAccount;
    let (why, detail) = (code.as_str().to_owned(), code.message().to_owned());
    let judged = Judgment { why, detail, ..verdict::waits(&submission, again) };
    Answered::unsent(submission, judged, Vec::new())
}

async fn to_stripe(
    work: &Work,
    stripe: &Stripe,
    of: &Submission,
    request: &MoneyRequest,
) -> (Judgment, Option<Fact>) {
    let outcome = match request.kind() {
        MoneyKind::Transfer => stripe.send_transfer(request).await.map(|made| (made.id, None)),
        MoneyKind::Payout => {
            stripe.send_payout(request).await.map(|made| (made.id.clone(), bank::fact(&made)))
        }
        MoneyKind::Reversal => stripe.send_reversal(request).await.map(|made| (made.id, None)),
        MoneyKind::Batch | MoneyKind::Cancel => {
            return (Judgment::review(of, "what is for PayPal is not sent to Stripe"), None);
        }
    };
    let now = work.app.clock.now();
    match outcome {
        Outcome::Accepted((id, fact)) => (Judgment::accepted(of, &id, "accepted"), fact),
        Outcome::Rejected(rejection) => (verdict::stripe_refusal(of, &rejection, now), None),
        Outcome::Unknown(doubt) => {
            (verdict::stripe_doubt(of, &doubt, now, work.app.config.longest_wait_us()), None)
        }
    }
}

/// Records verdicts. A record that fails only holds up itself: the set is bisected, and the failing submission is set
/// aside, still in doubt if it was sent.
pub(super) async fn record_answers(work: &Work, answered: Vec<Answered>) -> Result<()> {
    for answer in &answered {
        apply_to_vendor(work, answer).await?;
    }
    resume_paused(work, &answered).await?;
    let mut parts = vec![answered];
    while let Some(mut part) = parts.pop() {
        match record_set(work, &part).await {
            Err(error) if aside::about_a_row(&error) && part.len() > 1 => {
                let second = part.split_off(part.len() / 2);
                parts.extend([second, part]);
            }
            Err(error) if aside::about_a_row(&error) => {
                for guilty in part {
                    aside::put_sent(work, &guilty.submission, &error).await?;
                }
            }
            outcome => outcome?,
        }
    }
    Ok(())
}

/// Records verdicts: first the submissions under their fences, then the resulting facts for their attempts.
async fn record_set(work: &Work, answered: &[Answered]) -> Result<()> {
    if answered.is_empty() {
        return Ok(());
    }
    let app = &work.app;
    let dispatched = transact!(app, |tx| {
        let now = app.clock.now();
        let outcomes: Vec<submissions::Outcome> =
            answered.iter().map(|answer| outcome(answer, now)).collect();
        let held = submissions::record(tx, &outcomes).await?;
        store::named::name(tx, &unheld(answered, &held), now).await?;
        let elsewhere = answered.iter().filter(|one| one.judgment.why == Code::OtherVendorAccount.as_str());
        let elsewhere: Vec<String> = elsewhere.map(|one| one.submission.id.clone()).collect();
        evidence::keep(tx, &raw_answers(app, answered, &held, now)).await?;
        let attempts = transactions::attempts_of_submissions(tx, &held).await?;
        let mut by_submission: HashMap<&str, Vec<&Attempt>> = HashMap::new();
        for attempt in &attempts {
            by_submission.entry(attempt.submission.as_deref().unwrap_or("")).or_default().push(attempt);
        }
        let (mut observations, mut to_ask, mut at_gates) = (Vec::new(), Vec::new(), Vec::new());
        for answer in answered.iter().filter(|answer| held.contains(&answer.submission.id)) {
            let carried = by_submission.remove(answer.submission.id.as_str()).unwrap_or_default();
            observations.extend(consequences(tx, app, answer, &carried, now).await?);
            // The item reports the outcome of a cancellation; a found transfer reports what has happened to it since.
            let found = answer.judgment.why == "found";
            // If a payout was stopped because its transfer was reversed, the transfer says whether completely.
            let reversed = answer.judgment.stopped_by() == Some(Code::TransferReversed.as_str());
            let asks = carried.iter().filter(|one| match one.leg {
                Leg::Cancel => true,
                Leg::Transfer => found,
                Leg::Payout => reversed,
                // A reversal alone frees nothing: the transfer does, and it shows what took the money earlier.
                Leg::Reversal => answer.judgment.accepted_as().is_some(),
                Leg::Item => false,
            });
            to_ask.extend(asks.map(|one| one.transaction));
            for (of, code) in &answer.waits {
                let waiting = carried.iter().filter(|one| one.transaction == *of);
                at_gates.extend(waiting.map(|one| (one.id, one.transaction, Some(code.as_str()))));
            }
        }
        let clean = answered.iter().filter(|one| one.judgment.clean && held.contains(&one.submission.id));
        let clean: Vec<String> = clean.map(|one| one.submission.id.clone()).collect();
        if !clean.is_empty() {
            let epoch = put_back::progress(tx).await?.epoch;
            put_back::looked_for(tx, &clean_of(&clean, &attempts), epoch).await?;
            put_back::renew(tx, &clean, epoch).await?;
        }
        store::vendors::note_elsewhere(tx, Code::OtherVendorAccount.as_str(), &elsewhere).await?;
        let recorded = record::record(tx, app, "dispatch", &observations).await?;
        transactions::ask_now(tx, &to_ask, now).await?;
        let later = now + app.config.longest_wait_us();
        transactions::let_wait(tx, &at_gates, later).await?;
        unfunded::put_off(tx, &observations, now, app.config.longest_wait_us()).await?;
        Ok(recorded.to_dispatch)
    })?;
    if dispatched {
        app.nudge.dispatch.notify();
    }
    app.nudge.intake.notify();
    app.nudge.settle.notify();
    Ok(())
}

/// Objects accepted for submissions no longer held: while the answer was in flight, an event may have named another
/// object with the same key, so each is looked at like one that an event names.
fn unheld(answered: &[Answered], held: &[String]) -> Vec<(String, String)> {
    let lost =
        answered.iter().filter(|one| !held.contains(&one.submission.id) && named::names(&one.submission));
    lost.filter_map(|one| Some((one.submission.id.clone(), one.judgment.accepted_as()?.to_owned()))).collect()
}

/// Payments the vendor was searched for after a restore, with nothing found. The absence of a reversal says nothing
/// about a bank payout.
fn clean_of(clean: &[String], attempts: &[Attempt]) -> Vec<TransactionId> {
    let pays = |one: &&Attempt| matches!(one.leg, Leg::Transfer | Leg::Payout);
    let carried = attempts.iter().filter(|one| one.submission.as_ref().is_some_and(|id| clean.contains(id)));
    carried.filter(pays).map(|one| one.transaction).collect()
}

/// The raw answers of the submissions that were still held.
fn raw_answers(app: &App, answered: &[Answered], held: &[String], now: i64) -> Vec<evidence::New> {
    let one = |answer: &Answered| {
        let raw = answer.raw.as_ref().filter(|_| held.contains(&answer.submission.id))?;
        let request_id = raw.header("request-id").or_else(|| raw.header("paypal-debug-id"));
        let body = raw.body.get(..LONGEST_KEPT).unwrap_or(&raw.body);
        Some(evidence::New {
            id: payout::ids::encode(payout::ids::fresh(now, app.clock.in_turn())),
            submission: answer.submission.id.clone(),
            at: now,
            status: i64::from(raw.status),
            request_id: request_id.map(str::to_owned),
            // PostgreSQL does not accept NUL in text.
            body: String::from_utf8_lossy(body).replace('\0', ""),
        })
    };
    answered.iter().filter_map(one).collect()
}

/// What an answer means for the vendor as a whole: pause, hold, alarm.
async fn apply_to_vendor(work: &Work, answer: &Answered) -> Result<()> {
    let (vendor, judged) = (answer.submission.vendor, &answer.judgment);
    if judged.pause {
        connections::pause(&work.app, vendor, &judged.detail).await?;
    }
    if let Some(until) = judged.hold_until {
        work.reach.hold(vendor, Calls::Money, until, work.app.clock.now());
    }
    if judged.alarm {
        tracing::error!(
            key = answer.submission.key,
            why = judged.why,
            detail = judged.detail,
            "a vendor's answer cannot be taken at its word; nothing is failed, it is being looked up"
        );
        metrics::counter!("bursar_alarms_total").increment(1);
    }
    Ok(())
}

/// A vendor that accepted something accepts our credentials again.
async fn resume_paused(work: &Work, answered: &[Answered]) -> Result<()> {
    let mut db = work.app.store.read().await?;
    let paused = store::vendors::facts(&mut db).await?.rejected;
    drop(db);
    for vendor in paused {
        let accepted = |one: &&Answered| {
            one.submission.vendor == vendor && matches!(one.judgment.verdict, Verdict::Accepted(_))
        };
        if answered.iter().any(|one| accepted(&one)) {
            connections::resume(&work.app, vendor, "dispatch").await?;
        }
    }
    Ok(())
}

fn outcome(answer: &Answered, now: i64) -> submissions::Outcome {
    let Answered { submission, judgment: judged, sent_at, first_at, .. } = answer;
    // A request that needs review may have been executed as well.
    let doubtful =
        matches!(judged.verdict, Verdict::Again { doubtful: true, .. } | Verdict::Look(_) | Verdict::Review);
    let doubtful =
        doubtful && !(judged.verdict == Verdict::Review && payout::planted::on("review_is_no_doubt"));
    let was_sent = *sent_at > 0;
    let doubts = if judged.clean { 0 } else { submission.doubts + i64::from(was_sent && doubtful) };
    let (state, next_at, vendor_id) = match &judged.verdict {
        Verdict::Accepted(id) => (SubmissionState::Accepted, now, Some(id.clone())),
        Verdict::Refused(_) | Verdict::RefusedFor(..) | Verdict::Stopped(_) => {
            (SubmissionState::Refused, now, None)
        }
        Verdict::Again { at, .. } if doubts > 0 => (SubmissionState::Unknown, *at, None),
        Verdict::Again { at, .. } => (SubmissionState::Intended, *at, None),
        Verdict::Look(at) => (SubmissionState::Looking, *at, None),
        Verdict::Review => (SubmissionState::Review, now, None),
    };
    let ended = !matches!(judged.verdict, Verdict::Again { .. } | Verdict::Look(_));
    submissions::Outcome {
        id: submission.id.clone(),
        fence: submission.fence,
        state,
        next_at,
        last: (judged.why.clone(), judged.detail.clone()),
        vendor_id,
        counts: [
            submission.tries + i64::from(was_sent),
            doubts,
            judged.same_errors,
            judged.refusals,
            judged.looks,
        ],
        looked_at: judged.looked_at,
        sent: match was_sent {
            // The earlier of the committed time and the one implied by the answer.
            true => {
                (Some(submission.first_sent_at.map_or(*first_at, |at| at.min(*first_at))), Some(*sent_at))
            }
            // An unused key does not age while its request waits for a look-up.
            false if judged.clean || (doubts == 0 && submission.last_sent_at.is_none()) => {
                (None, submission.last_sent_at)
            }
            false => (submission.first_sent_at, submission.last_sent_at),
        },
        ended_at: ended.then_some(now),
    }
}

/// The facts an answer means for the attempts of its submission.
async fn consequences(
    tx: &mut Tx,
    app: &App,
    answer: &Answered,
    carried: &[&Attempt],
    now: i64,
) -> Result<Vec<Observation>> {
    let detail = format!("{}: {}", answer.judgment.why, answer.judgment.detail);
    let tell = |attempt: &Attempt, fact, vendor_id: Option<&str>| Observation {
        transaction: attempt.transaction,
        attempt: attempt.id,
        fact,
        vendor_id: vendor_id.map(str::to_owned),
        submission: None,
        source: "answer",
        detail: Some(detail.clone()),
        event_id: None,
    };
    let all = |fact: &dyn Fn(Leg) -> Fact| carried.iter().map(|one| tell(one, fact(one.leg), None)).collect();
    Ok(match &answer.judgment.verdict {
        Verdict::Accepted(id) => {
            if answer.submission.vendor == Vendor::PayPal {
                events::unpark(tx, std::slice::from_ref(id)).await?;
            }
            let accepted = |one: &&Attempt| {
                let fact = answer.fact.clone().unwrap_or_else(|| verdict::accepted_fact(one.leg));
                tell(one, fact, has_an_id_of_its_own(one.leg).then_some(id.as_str()))
            };
            carried.iter().map(accepted).collect()
        }
        Verdict::Refused(reason) => all(&|leg| verdict::refused_fact(leg, reason)),
        Verdict::RefusedFor(places, reason) => {
            let ids = item_ids(&answer.submission);
            let bad: Vec<&str> = places.iter().filter_map(|at| ids.get(*at)).map(String::as_str).collect();
            let (refused, others): (Vec<&Attempt>, Vec<&Attempt>) =
                carried.iter().copied().partition(|one| bad.contains(&one.transaction.to_string().as_str()));
            let mut observations: Vec<Observation> =
                refused.iter().map(|one| tell(one, Fact::Refused(one.leg, reason.clone()), None)).collect();
            observations.extend(send_others_again(tx, app, &answer.submission, &others, now).await?);
            observations
        }
        Verdict::Stopped(closed) => {
            let (mut observations, others) = at_closed_gates(carried, closed, &tell);
            observations.extend(send_others_again(tx, app, &answer.submission, &others, now).await?);
            observations
        }
        Verdict::Again { doubtful: true, .. } | Verdict::Look(_) => all(&Fact::Unknown),
        Verdict::Again { doubtful: false, .. } => Vec::new(),
        Verdict::Review => all(&Fact::Review),
    })
}

/// The facts for attempts with closed gates in a batch that was never sent, and the attempts without one.
fn at_closed_gates<'a>(
    carried: &[&'a Attempt],
    closed: &[(TransactionId, BeforeSend)],
    tell: &dyn Fn(&Attempt, Fact, Option<&str>) -> Observation,
) -> (Vec<Observation>, Vec<&'a Attempt>) {
    let (mut observations, mut others) = (Vec::new(), Vec::new());
    for one in carried {
        match closed.iter().find(|(of, _)| *of == one.transaction).map(|(_, gate)| *gate) {
            Some(BeforeSend::Stop(code)) => {
                let sentence = Some(format!("nothing was sent: {}", code.message()));
                let fact = Fact::Refused(one.leg, Reason::new(code.as_str(), ""));
                observations.push(Observation { detail: sentence, ..tell(one, fact, None) });
            }
            Some(BeforeSend::Wait(code)) => {
                let sentence = Some(format!("nothing was sent, it waits: {}", code.message()));
                observations
                    .push(Observation { detail: sentence, ..tell(one, Fact::Withheld(one.leg), None) });
            }
            Some(BeforeSend::Open) | None => others.push(*one),
        }
    }
    (observations, others)
}

/// Whether the id of an accepted submission is the attempt's object: a PayPal batch carries many items, and a
/// cancellation creates no object.
fn has_an_id_of_its_own(leg: Leg) -> bool {
    match leg {
        Leg::Transfer | Leg::Payout | Leg::Reversal => true,
        Leg::Item | Leg::Cancel => false,
    }
}

/// One bad item makes PayPal refuse the whole batch. The good ones are sent again in a new submission with the next key
/// number.
async fn send_others_again(
    tx: &mut Tx,
    app: &App,
    refused: &Submission,
    others: &[&Attempt],
    now: i64,
) -> Result<Vec<Observation>> {
    if others.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<TransactionId> = others.iter().map(|one| one.transaction).collect();
    let mut found = transactions::several(tx, &ids).await?;
    found.sort_by_key(|one| one.id);
    let Some(first) = found.first() else { return Ok(Vec::new()) };
    // Read now: the vendor account may have been identified since the refused submission was leased.
    let (currency, account) = (first.terms.net.currency, first.vendor_account.clone());
    let key = chunks::next_key(&refused.key);
    let of: Vec<&transactions::Transaction> = found.iter().collect();
    let request = chunks::batch_request(&key, currency, &of)
        .map_err(|bad| OpsError::Internal(store::StoreError::Corrupt(bad.0)))?;
    let submission = new_submission(app, &request, refused.batch, account, now);
    let moved = others.iter().map(|one| Observation {
        transaction: one.transaction,
        attempt: one.id,
        fact: Fact::Sent(one.leg),
        vendor_id: None,
        submission: Some(submission.id.clone()),
        source: "request",
        detail: None,
        event_id: None,
    });
    let moved = moved.collect();
    // Read after the fences were checked: if the database was restored in between, this is still the earlier epoch.
    let epoch = put_back::progress(tx).await?.epoch;
    submissions::insert(tx, vec![submission], epoch, now).await?;
    Ok(moved)
}

/// Looks up submissions to a vendor without a conclusive answer. Returns how many look-ups it recorded.
pub(super) async fn look(work: &Work, vendor: Vendor, now: i64) -> PassResult {
    let app = &work.app;
    let most = work.reach.capacity(vendor, Calls::Reads, now, AT_ONCE);
    if most == 0 {
        return Ok(0);
    }
    let until = now + LEASE_US;
    let leased = transact!(app, |tx| { Ok(submissions::lease(tx, vendor, true, now, until, most).await?) })?;
    let leases = Leases::of(&leased, until);
    let looks = futures::stream::iter(leased).map(|submission| look_for(work, submission));
    record_as_they_come(work, &leases, looks.buffer_unordered(work.concurrency(LOOKS_AT_ONCE))).await
}

async fn look_for(work: &Work, submission: Submission) -> Answered {
    let (judged, fact) = super::look_through::look_at_stripe(work, &submission).await;
    Answered { fact, ..Answered::unsent(submission, judged, Vec::new()) }
}

/// Records all answers of a pass at its end.
async fn record_all(work: &Work, answered: Vec<Answered>) -> PassResult {
    if work.crashes_now(CrashPoint::BetweenSendAndRecord) {
        return Ok(0);
    }
    let done = answered.len();
    record_answers(work, answered).await?;
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::work::verdict::tests::submission;

    /// PayPal answers the first recorded try that it already has the batch: a restored database does not know the
    /// earlier tries. The batch may be paid, so no gate may ever fail it.
    #[test]
    fn what_a_person_must_find_out_about_is_a_doubt_when_it_was_sent() {
        let of = submission();
        let review = |sent_at| Answered {
            sent_at,
            first_at: sent_at,
            ..Answered::unsent(of.clone(), Judgment::review(&of, "PayPal has it"), Vec::new())
        };
        for (sent_at, doubts) in [(7, 1), (0, 0)] {
            let outcome = outcome(&review(sent_at), 9);
            assert_eq!((outcome.state, outcome.counts[1]), (SubmissionState::Review, doubts));
        }
    }
}
