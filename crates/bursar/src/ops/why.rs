//! Why something is not paid, by the number that people see or its id: a reward, a batch, a payment, a payee; and of a
//! payment, how it stands, why, and what can be done about it. Every face for our own people tells a payment from here.
//! What is deliberately not here: the gates (`payout::eligibility`), what a vendor's code means (`payout::reason`), and
//! the options (`payout::remedy`).

use payout::eligibility::{Blocker, Code, Who};
use payout::reason::{Cause, explain};
use payout::remedy::{self, Choice};
use payout::transaction::State;

use super::batches::{self, Gates};
use super::{OpsError, Result, payees, rewards};
use crate::store::transactions::{self, Transaction};
use crate::store::{self, Db};

/// What stands between something and being paid.
#[derive(Clone, Debug)]
pub struct Why {
    /// The gates that are closed. Of a payment, the one it waits at or was stopped by.
    pub blockers: Vec<Blocker>,
    /// The payment that is asked about, or that the reward is in.
    pub payment: Option<Box<Transaction>>,
}

/// Everything that stands in the way.
///
/// # Errors
/// [`OpsError::Missing`] when there is no such thing.
pub async fn find(db: &mut Db, name: &str, now: i64) -> Result<Why> {
    let gates = |blockers| Why { blockers, payment: None };
    match name.get(..3) {
        Some("RW-" | "rwd") => {
            let reward = store::rewards::find(db, name).await?.ok_or(OpsError::Missing)?;
            let blockers = rewards::blockers(db, &reward, now).await?;
            let payment = match &reward.transaction {
                Some((id, _)) => Some(Box::new(transactions::find(db, &id.to_string()).await?)),
                None => None,
            };
            Ok(Why { blockers, payment })
        }
        Some("PB-" | "bat") => Ok(gates(batches::view(db, name, now).await?.all_blockers())),
        Some("PT-" | "ptx") => {
            let transaction = transactions::find(db, name).await?;
            let contradicted = transaction.contradicted_at.map(|_| Code::PaymentContradicted);
            let code = reason(&transaction).and_then(|reason| Code::parse(&reason.code));
            let note = (code == Some(Code::WaitingForFunds))
                .then(|| format!("It has been there since {}.", crate::clock::rfc3339(transaction.state_at)));
            let blocker = |code| Blocker::new(code, transaction.terms.payee).noting(note.clone());
            let blockers = contradicted.into_iter().chain(code).map(blocker).collect();
            Ok(Why { blockers, payment: Some(Box::new(transaction)) })
        }
        Some(_) | None => {
            let payee = payees::named(db, name).await?.ok_or(OpsError::Missing)?;
            Ok(gates(Gates::read(db, [payee]).await?.payee(payee, now)))
        }
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
    let explained = explain(&code);
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
        (false, None) => remedy::choices(transaction.state, cause),
    }
}
