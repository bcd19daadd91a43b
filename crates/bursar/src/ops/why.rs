//! Why something is not paid, by the number that people see, our id or the caller's own: a reward, a batch, a payment, a
//! payee; and of a payment, how it stands, why, and what can be done. Every face for our own people tells a payment from
//! here. What is deliberately not here: the gates (`payout::eligibility`), what a vendor's code means (`payout::reason`), and
//! the options (`payout::remedy`).

use payout::Refusal;
use payout::eligibility::{Blocker, Code, Who};
use payout::ids::{BatchId, RewardId, TransactionId};
use payout::law;
use payout::ledger::Payee;
use payout::money::Vendor;
use payout::reason::{Cause, explain_at};
use payout::remedy::{self, Choice};
use payout::transaction::State;

use super::batches::{self, Gates};
use super::{OpsError, Result, payees, rewards, transactions as verbs};
use crate::store::rewards::Reward;
use crate::store::transactions::{self, Transaction};
use crate::store::{self, Db, StoreError};

/// What stands between something and being paid.
#[derive(Clone, Debug)]
pub struct Why {
    /// The gates that are closed. Of a payment, the one it waits at or was stopped by.
    pub blockers: Vec<Blocker>,
    /// The payment that is asked about, or that the reward is in.
    pub payment: Option<Box<Transaction>>,
    /// The gates at which that payment would be refused if it were resubmitted now; nothing where it cannot be.
    pub closed: Vec<Blocker>,
    /// What was asked about is the payment, and not something in it: its blockers are its reason.
    pub of_payment: bool,
}

impl Why {
    fn gates(blockers: Vec<Blocker>) -> Self {
        Self { blockers, payment: None, closed: Vec::new(), of_payment: false }
    }
}

/// Everything that stands in the way. What has the form of a number or id of ours is one; anything else is the caller's
/// own id of a reward, a partner or an account.
///
/// # Errors
/// [`OpsError::Missing`] when there is no such thing; [`OpsError::Conflict`] when a name means several.
pub async fn find(db: &mut Db, name: &str, now: i64) -> Result<Why> {
    let name = name.trim();
    if is_number(name, "RW-", 1) || RewardId::parse(name).is_some() {
        let reward = store::rewards::find(db, name).await?.ok_or(OpsError::Missing)?;
        return of_reward(db, &reward, now).await;
    }
    if is_number(name, "PB-", 2) || BatchId::parse(name).is_some() {
        return Ok(Why::gates(batches::view(db, name, now).await?.all_blockers()));
    }
    if is_number(name, "PT-", 1) || TransactionId::parse(name).is_some() {
        return match payment(db, name).await {
            Err(OpsError::Blocked(unreadable)) => Ok(Why::gates(unreadable)),
            found => of_transaction(db, found?, now).await,
        };
    }
    // What has the form of a payee's id of ours is that payee, and no reward that a caller calls so.
    let reward = match Payee::parse(name) {
        Some(_) => None,
        None => store::rewards::find_external(db, name).await?,
    };
    match (payees::named(db, name).await?, reward) {
        (Some(payee), None) => Ok(Why::gates(Gates::read(db, [payee]).await?.payee(payee, now))),
        (None, Some(reward)) => of_reward(db, &reward, now).await,
        (None, None) => Err(OpsError::Missing),
        (Some(payee), Some(reward)) => {
            let told = format!(
                "{name:?} is your id of the payee {payee} and of the reward {}. Ask by one of these.",
                reward.number()
            );
            Err(OpsError::Conflict(Refusal::new("ambiguous_name", told)))
        }
    }
}

/// Whether it reads as a number that people see: the prefix, and so many groups of digits.
fn is_number(name: &str, prefix: &str, groups: usize) -> bool {
    name.strip_prefix(prefix).is_some_and(|rest| {
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        rest.split('-').count() == groups && rest.split('-').all(digits)
    })
}

async fn of_reward(db: &mut Db, reward: &Reward, now: i64) -> Result<Why> {
    let blockers = rewards::blockers(db, reward, now).await?;
    let Some((id, _)) = &reward.transaction else { return Ok(Why::gates(blockers)) };
    let payment = match payment(db, &id.to_string()).await {
        Err(OpsError::Blocked(unreadable)) => return Ok(Why::gates([blockers, unreadable].concat())),
        found => found?,
    };
    let closed = closed_to_resubmit(db, &payment, now).await?;
    Ok(Why { blockers, payment: Some(Box::new(payment)), closed, of_payment: false })
}

async fn of_transaction(db: &mut Db, payment: Transaction, now: i64) -> Result<Why> {
    let contradicted = payment.contradicted_at.map(|_| Code::PaymentContradicted);
    let code = reason(&payment).and_then(|reason| Code::parse(&reason.code));
    let blocker = |code| Blocker::new(code, payment.terms.payee).noting(note(&payment, code));
    let blockers = contradicted.into_iter().chain(code).map(blocker).collect();
    let closed = closed_to_resubmit(db, &payment, now).await?;
    Ok(Why { blockers, payment: Some(Box::new(payment)), closed, of_payment: true })
}

/// What is known of a payment beside the words of the gate it waits at: a sentence, or nothing.
#[must_use]
pub fn note(payment: &Transaction, code: Code) -> Option<String> {
    let since = || format!("It has been there since {}.", crate::clock::told(payment.state_at));
    (code == Code::WaitingForFunds).then(since)
}

/// The gates at which a payment would be refused if somebody resubmitted it now; nothing where it cannot be resubmitted
/// at all, which its choices say.
///
/// # Errors
/// When the database does not answer.
pub async fn closed_to_resubmit(db: &mut Db, payment: &Transaction, now: i64) -> store::Result<Vec<Blocker>> {
    let may = law::resubmit(payment.state, &payment.terms).is_ok();
    if !may || payment.closed() || payment.contradicted_at.is_some() {
        return Ok(Vec::new());
    }
    verbs::closed_gates(db, payment, now).await
}

/// Whether resubmitting may pass the gates that are closed to it: nothing but what Stripe says of the payee's account is
/// read anew when somebody presses Resubmit.
#[must_use]
pub fn may_open(payment: &Transaction, closed: &[Blocker]) -> bool {
    let asked = |code| matches!(code, Code::ProfileIncomplete | Code::CurrencyUnsupported);
    closed.iter().all(|gate| payment.terms.vendor == Vendor::Stripe && asked(gate.code))
}

/// What a reward that is in a payment waits for: which payment, how it stands, and who must act about it.
#[must_use]
pub fn in_flight(blocker: Blocker, payment: &Transaction) -> Blocker {
    let told = format!("It is {}, which is {}.", payment.label(), payment.state.status().label());
    let who = reason(payment).map(|reason| reason.who);
    let who = who.or_else(|| choices(payment).first().map(|choice| choice.who));
    let blocker = blocker.noting(Some(told));
    match who.filter(|who| *who != Who::Nobody) {
        Some(who) => blocker.acting(who, "Open that payment: it says why it stands so and what can be done."),
        None => blocker,
    }
}

/// A payment, by the number that people see or its id.
///
/// # Errors
/// [`OpsError::Blocked`] when its record cannot be read: who must act then, and what they must do.
pub async fn payment(db: &mut Db, name: &str) -> Result<Transaction> {
    match transactions::find(db, name).await {
        Err(error @ (StoreError::Corrupt(_) | StoreError::Db(_))) if error.about_a_row() => {
            tracing::error!(payment = name, %error, "the record of a payment cannot be read");
            let told = Some(format!("What is wrong with it: {error}."));
            Err(OpsError::Blocked(vec![Blocker::new(Code::SetAside, name).noting(told)]))
        }
        found => Ok(found?),
    }
}

/// Why a payment stands as it does, or what it waits for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reason {
    /// The vendor's own code unchanged, a gate's, or ours.
    pub code: String,
    /// What happened.
    pub message: String,
    /// The vendor's own words, where it had any.
    pub said: Option<String>,
    /// What to do.
    pub remedy: &'static str,
    /// Who must do it.
    pub who: Who,
}

/// The reason of a payment, if it has one.
#[must_use]
pub fn reason(transaction: &Transaction) -> Option<Reason> {
    let (code, said) = match (&transaction.reason, &transaction.waiting) {
        (Some(reason), _) => (reason.code.clone(), Some(reason.message.clone())),
        (None, waiting) => (waiting.clone()?, None),
    };
    let said = said.filter(|words| !words.is_empty());
    let explained = explain_at(&code, transaction.state);
    let message = explained.message.map(str::to_owned).or_else(|| said.clone());
    let message = message.unwrap_or_else(|| "The vendor gave only this code.".to_owned());
    Some(Reason { code, message, said, remedy: explained.remedy, who: explained.who })
}

/// What can be done about a payment, the usual first. What is closed needs nothing.
#[must_use]
pub fn choices(transaction: &Transaction) -> &'static [Choice] {
    let cause = transaction.reason.as_ref().map(|reason| Cause::of(&reason.code));
    // The rewards of a closed payment are elsewhere; its money may lie in the payee's balance all the same.
    let parked = matches!(transaction.state, State::PayoutFailed | State::PayoutCanceled);
    match (transaction.closed() && !parked, transaction.contradicted_at) {
        (true, None) => &[],
        (_, Some(_)) => remedy::contradicted(),
        (false, None) if transaction.waiting.as_deref() == Some(Code::SetAside.as_str()) => {
            remedy::set_aside()
        }
        (false, None) => remedy::choices(transaction.state, cause),
    }
}
