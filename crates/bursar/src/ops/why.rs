//! Why something is not paid, by number, id or external id: a reward, a batch, a payment or a payee. For a payment also
//! its status, the reason, and the options. All interfaces for our own people use this for payments. Not here: the gates
//! (`payout::eligibility`), the meaning of a vendor's code (`payout::reason`), and the options (`payout::remedy`).

use std::collections::BTreeMap;

use payout::Refusal;
use payout::eligibility::{Blocker, Code, Scope, Who};
use payout::ids::{BatchId, RewardId, TransactionId};
use payout::law;
use payout::ledger::Payee;
use payout::money::{Currency, Sum, Vendor};
use payout::transaction::State;

use super::batches;
use super::placed::{elsewhere, in_flight, moved_on, payment, reason, reason_now};
use super::{OpsError, Result, contradiction_text, payees, rewards, safe_mode, transactions as verbs, views};
use crate::ops::batches::view::BatchView;
use crate::store;
use crate::store::batches::PoolFilter;
use crate::store::rewards::{Elsewhere, Reward};
use crate::store::transactions::{self, Transaction};
use crate::store::{Db, contradictions, put_back};

/// Why something is not paid.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// The closed gates; for a payment, the one it waits at or was stopped by.
    pub blockers: Vec<Blocker>,
    /// The payment in question, or the one that the reward is in.
    pub payment: Option<Box<Transaction>>,
    /// The gates that would refuse a resubmit of that payment now; empty if it cannot be resubmitted.
    pub closed: Vec<Blocker>,
    /// Whether the question was about the payment itself; then the blockers are its reason.
    pub of_payment: bool,
    /// What stops the payment in any state.
    pub stopped: Vec<Blocker>,
    /// If no gate is closed: what comes next, and who does it.
    pub next: Option<(Who, String)>,
    /// Who has recorded an opinion about the payment that waits for a second person.
    pub said_by: Option<String>,
    /// The vendor's contradictions, one sentence per attempt.
    pub against: Vec<String>,
}

impl Explanation {
    fn gates(blockers: Vec<Blocker>) -> Self {
        let (closed, stopped) = (Vec::new(), Vec::new());
        let against = Vec::new();
        Self {
            blockers,
            payment: None,
            closed,
            of_payment: false,
            stopped,
            next: None,
            said_by: None,
            against,
        }
    }

    /// Sets what comes next, unless a gate is closed.
    fn then(self, who: Who, what: impl Into<String>) -> Self {
        let next = self.blockers.is_empty().then(|| (who, what.into()));
        Self { next, ..self }
    }
}

/// Everything that blocks it. A name in the form of our own numbers or ids is one of those; anything else is the external
/// id of a reward, a partner or an account.
///
/// # Errors
/// [`OpsError::Missing`] if there is no such thing; [`OpsError::Conflict`] if a name is ambiguous.
pub async fn find(db: &mut Db, name: &str, now: i64) -> Result<Explanation> {
    let name = name.trim();
    if is_number(name, "RW-", 1) || RewardId::parse(name).is_some() {
        let reward = store::rewards::find(db, name).await?.ok_or(OpsError::Missing)?;
        return of_reward(db, &reward, now).await;
    }
    if is_number(name, "PB-", 2) || BatchId::parse(name).is_some() {
        return Ok(of_batch(&batches::view(db, name, now).await?));
    }
    if is_number(name, "PT-", 1) || TransactionId::parse(name).is_some() {
        return match payment(db, name).await {
            Err(OpsError::Blocked(unreadable)) => Ok(Explanation::gates(unreadable)),
            found => of_transaction(db, found?, now).await,
        };
    }
    // A name in the form of our payee ids is that payee, even if a reward has it as its external id.
    let reward = match Payee::parse(name) {
        Some(_) => None,
        None => store::rewards::find_external(db, name).await?,
    };
    match (payees::named(db, name).await?, reward) {
        (Some(payee), None) => {
            let found = of_payee(db, payee, now).await?;
            let (who, next) = found.next();
            Ok(Explanation::gates(found.blockers).then(who, next))
        }
        (None, Some(reward)) => of_reward(db, &reward, now).await,
        (None, None) => Err(OpsError::Missing),
        (Some(payee), Some(reward)) => {
            let message = format!(
                "{name:?} is your id for both the payee {payee} and the reward {}. Ask for one of these.",
                reward.number()
            );
            Err(OpsError::Conflict(Refusal::new("ambiguous_name", message)))
        }
    }
}

/// Whether a name has the form of a displayed number: the prefix, and `groups` groups of digits.
fn is_number(name: &str, prefix: &str, groups: usize) -> bool {
    name.strip_prefix(prefix).is_some_and(|rest| {
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        rest.split('-').count() == groups && rest.split('-').all(digits)
    })
}

async fn of_reward(db: &mut Db, reward: &Reward, now: i64) -> Result<Explanation> {
    let blockers = rewards::blockers(db, reward, now).await?;
    let Some((id, _)) = &reward.transaction else {
        return Ok(Explanation::gates(blockers).then(Who::Preparer, NEXT_PAYOUT));
    };
    let payment = match payment(db, &id.to_string()).await {
        Err(OpsError::Blocked(unreadable)) => return Ok(Explanation::gates([blockers, unreadable].concat())),
        found => found?,
    };
    let closed = closed_to_resubmit(db, &payment, now).await?;
    let stopped = stopped(db, &payment).await?;
    let said_by = contradictions::opinion(db, payment.id).await?.map(|one| one.asked_name);
    let against = contradiction_text::sentences(db, &payment).await?;
    Ok(Explanation {
        blockers,
        payment: Some(Box::new(payment)),
        closed,
        of_payment: false,
        stopped,
        next: None,
        said_by,
        against,
    })
}

/// What comes next for a reward in the pool that passes every gate.
const NEXT_PAYOUT: &str = "It can be in the next payout: a preparer adds it under Review Claims.";

fn of_batch(view: &BatchView) -> Explanation {
    let next = format!("{} waits for a payer to press Pay.", view.batch.number);
    Explanation::gates(view.all_blockers()).then(Who::Payer, next)
}

/// A payee's status: every closed gate, and what is waiting.
#[derive(Clone, Debug)]
pub struct OfPayee {
    /// The closed gates, those of all payouts first, without duplicates.
    pub blockers: Vec<Blocker>,
    /// How many of their approved rewards are in no payment: in the pool, or in a draft.
    pub waiting: usize,
    /// The totals of these, by currency.
    pub sums: Vec<Sum>,
    /// How many of them are in the pool.
    pub in_pool: usize,
    /// How many clawbacks their next claims will subtract. `sums` already subtracts them.
    pub taken_back: usize,
}

impl OfPayee {
    /// If no gate is closed: what comes next, and who does it.
    pub fn next(&self) -> (Who, String) {
        match self.in_pool {
            0 => (Who::Nobody, "They have no reward to be paid.".to_owned()),
            1 => (Who::Preparer, format!("1 reward. {NEXT_PAYOUT}")),
            many => {
                let message = "They can be in the next payout: a preparer adds them under Review Claims.";
                (Who::Preparer, format!("{many} rewards. {message}"))
            }
        }
    }
}

/// At most this many places of one payee's rewards are listed.
const PLACES: i64 = 20;

/// A payee's status, with all their unpaid rewards.
pub async fn of_payee(db: &mut Db, payee: Payee, now: i64) -> Result<OfPayee> {
    let general = batches::closed_for_all(db).await?;
    let general = general.into_iter().map(|code| Blocker::new(code, payee)).collect();
    let mut blockers = safe_mode::with_cause(db, general).await?;
    blockers.extend(payees::blockers(db, payee, now).await?);
    let of_payee = PoolFilter { payee: Some(payee.to_string()), ..PoolFilter::default() };
    let (open, closed) = batches::pool_blockers(db, &of_payee, now).await?;
    let all = || open.iter().chain(closed.iter().map(|(candidate, _)| candidate));
    // Clawbacks are not waiting: the next claim subtracts them.
    let in_pool = all().filter(|one| !one.takes_off()).count();
    let taken_back = all().filter(|one| one.takes_off()).count();
    let mut sums: BTreeMap<Currency, i128> = BTreeMap::new();
    for adds in all().filter_map(|one| one.adds) {
        *sums.entry(adds.currency).or_default() += i128::from(adds.minor);
    }
    for (reward, gates) in closed {
        for gate in gates {
            // A gate of the payee blocks each of their rewards; list it once.
            let known = blockers.iter().any(|one| (one.code, &one.subject) == (gate.code, &gate.subject));
            let number = (gate.code.scope() == Scope::Reward).then(|| format!("RW-{:06}", reward.number));
            blockers.extend((!known).then(|| gate.called(number)));
        }
    }
    let mut waiting = in_pool;
    for (_, count, sum) in store::portal::in_preparation(db, &[payee]).await? {
        waiting += usize::try_from(count).unwrap_or(0);
        *sums.entry(sum.currency).or_default() += sum.minor;
    }
    for place in store::rewards::elsewhere(db, payee, PLACES).await? {
        blockers.push(placed(db, payee, &place).await?);
    }
    blockers.extend(contradicted_of(db, payee).await?);
    let sums = sums.into_iter().map(|(currency, minor)| Sum::new(minor, currency)).collect();
    Ok(OfPayee { blockers, waiting, sums, in_pool, taken_back })
}

/// The payee's payments that their vendor contradicts, in any state.
async fn contradicted_of(db: &mut Db, payee: Payee) -> Result<Vec<Blocker>> {
    let filter = transactions::Filter { payees: Some(vec![payee.to_string()]), ..views::contradicted() };
    let found = transactions::list(db, &filter, PLACES).await?;
    let told = |payment: Transaction| {
        let note = format!("It is {}, which is {}.", payment.label(), payment.state.status().label());
        Blocker::new(Code::PaymentContradicted, payment.id).called(Some(payment.label())).noting(Some(note))
    };
    Ok(found.into_iter().map(told).collect())
}

/// Why rewards outside the pool are not paid: not approved, in a draft, or in a payment.
async fn placed(db: &mut Db, payee: Payee, place: &Elsewhere) -> Result<Blocker> {
    let called = match place.count {
        1 => format!("RW-{:06}", place.first),
        many => format!("RW-{:06} and {} more", place.first, many - 1),
    };
    let blocker = |code| Blocker::new(code, payee).called(Some(called.clone()));
    match (place.transaction, place.batch) {
        (Some(id), _) => match payment(db, &id.to_string()).await {
            Ok(payment) => {
                let elsewhere = moved_on(db, &payment).await?;
                Ok(in_flight(blocker(Code::RewardInFlight), &payment, elsewhere))
            }
            Err(OpsError::Blocked(unreadable)) => {
                Ok(unreadable.into_iter().next().unwrap_or_else(|| blocker(Code::SetAside)))
            }
            Err(error) => Err(error),
        },
        (None, Some(batch)) => rewards::in_draft(db, blocker(Code::RewardInBatch), batch).await,
        (None, None) => Ok(blocker(Code::RewardNotApproved).noting(Some(format!("It concerns {called}.")))),
    }
}

/// What stops a payment in any state: found payments for it after a restore and, if it is about to be sent, what stops
/// every payment now. Leaves out what is already its reason for waiting.
pub async fn stopped(db: &mut Db, payment: &Transaction) -> store::Result<Vec<Blocker>> {
    let mut codes = Vec::new();
    if put_back::any_found(db, Some(payment.id)).await? {
        codes.push(Code::UnknownAtVendor);
    }
    if matches!(payment.state, State::Queued | State::Transferred) && !payment.closed() {
        let all = batches::closed_for_all(db).await?.into_iter();
        codes.extend(all.filter(|code| matches!(code, Code::SafeMode | Code::BooksDoNotBalance)));
    }
    let own_code = reason(payment).map(|reason| reason.code);
    codes.retain(|code| own_code.as_deref() != Some(code.as_str()));
    let blocker = |code| Blocker::new(code, payment.id).called(Some(payment.label()));
    safe_mode::with_cause(db, codes.into_iter().map(blocker).collect()).await
}

async fn of_transaction(db: &mut Db, payment: Transaction, now: i64) -> Result<Explanation> {
    let contradicted = payment.contradicted_at.map(|_| Code::PaymentContradicted);
    let closed = closed_to_resubmit(db, &payment, now).await?;
    let reason = reason_now(&payment, elsewhere(&closed));
    // Do not repeat a contradiction that is also the reason for waiting.
    let code = reason
        .as_ref()
        .and_then(|reason| Code::parse(&reason.code))
        .filter(|code| Some(*code) != contradicted);
    let blocker = |code| Blocker::new(code, payment.terms.payee).noting(note(&payment, code));
    let code = code.zip(reason).map(|(code, reason)| blocker(code).acting(reason.who, reason.remedy));
    let blockers = contradicted.into_iter().map(blocker).chain(code).collect();
    let stopped = stopped(db, &payment).await?;
    let said_by = contradictions::opinion(db, payment.id).await?.map(|one| one.asked_name);
    let against = contradiction_text::sentences(db, &payment).await?;
    Ok(Explanation {
        blockers,
        payment: Some(Box::new(payment)),
        closed,
        of_payment: true,
        stopped,
        next: None,
        said_by,
        against,
    })
}

/// An additional sentence for the gate that a payment waits at, if any.
pub fn note(payment: &Transaction, code: Code) -> Option<String> {
    let since = || format!("It has been there since {}.", crate::clock::human(payment.state_at));
    (code == Code::WaitingForFunds).then(since)
}

/// The gates that would refuse a resubmit now; empty if the payment cannot be resubmitted at all, which its choices show.
pub async fn closed_to_resubmit(db: &mut Db, payment: &Transaction, now: i64) -> store::Result<Vec<Blocker>> {
    let may = law::resubmit(payment.state, &payment.terms).is_ok();
    if !may || payment.closed() || payment.contradicted_at.is_some() {
        return Ok(Vec::new());
    }
    verbs::closed_gates(db, payment, now).await
}

/// Whether a resubmit may pass the closed gates: pressing Resubmit refreshes only Stripe's facts about the payee's account.
pub fn may_open(payment: &Transaction, closed: &[Blocker]) -> bool {
    let asked = |code| matches!(code, Code::ProfileIncomplete | Code::CurrencyUnsupported);
    closed.iter().all(|gate| payment.terms.vendor == Vendor::Stripe && asked(gate.code))
}
