//! A payment with everything that is known here about it, and what its vendor can show about an attempt's money. Not here:
//! asking the vendor (`shown`, `bank_payouts`), and what its answers settle (`prove`).

use std::collections::HashSet;

use payout::ids::TransactionId;
use payout::transaction::{AttemptState, Leg, State};
use vendors::ReadError;

use super::unknown_objects;
use crate::ops::{Result, by_hand};
use crate::store::submissions::{self, Submission};
use crate::store::transactions::{self, Attempt, Transaction};
use crate::store::{Db, put_back};

/// What is known here about a payment whose outcome a person reports.
pub(super) struct Case {
    pub(super) transaction: Transaction,
    pub(super) attempts: Vec<Attempt>,
    pub(super) carriers: Vec<Submission>,
    /// Something of it was found after a restore.
    pub(super) found: bool,
    /// Bank payouts to the same account known to belong to other payments.
    pub(super) other_payouts: HashSet<String>,
}

impl Case {
    pub(super) async fn read(db: &mut Db, id: TransactionId) -> Result<Self> {
        let transaction = transactions::find(db, &id.to_string()).await?;
        let attempts = transactions::attempts(db, &[id]).await?;
        let carriers: Vec<String> = attempts.iter().filter_map(|one| one.submission.clone()).collect();
        let carriers = submissions::several(db, &carriers).await?;
        let found = put_back::any_found(db, Some(id)).await?;
        let beside = transactions::payouts_of_others(db, &[id]).await?.remove(&id).unwrap_or_default();
        Ok(Self { transaction, attempts, carriers, found, other_payouts: beside })
    }

    pub(super) fn carrier(&self, of: &Attempt) -> Option<&Submission> {
        self.carriers.iter().find(|one| Some(&one.id) == of.submission.as_ref())
    }

    /// The start of the payout list to search, as a Unix second.
    pub(super) fn since(&self) -> i64 {
        unknown_objects::since(&self.transaction)
    }

    /// The transfer a reversal is about: its request names it.
    pub(super) fn reversed(&self, of: &Attempt) -> Option<&str> {
        let path = self.carrier(of)?.path.as_str();
        path.split('/').find(|part| part.starts_with("tr_"))
    }

    /// Whether an object of this payment was made by an attempt of a lost database: it carries an attempt id that no
    /// attempt here has, and no attempt here is known to have the object.
    pub(super) fn is_lost(&self, object: &str, mark: Option<&String>) -> bool {
        let has =
            |one: &Attempt| mark == Some(&one.id.to_string()) || one.vendor_id.as_deref() == Some(object);
        mark.is_some() && !self.attempts.iter().any(has)
    }

    /// The transfer of a contradicted payment whose money should be in the payee's balance.
    pub(super) fn lying(&self) -> Option<&Attempt> {
        let of = &self.transaction;
        let lies = matches!(
            of.state,
            State::PayoutFailed | State::PayoutCanceled | State::Recalling | State::WrittenOff
        );
        let lies = lies && of.contradicted_at.is_some() && of.otherwise_at.is_none();
        self.attempts.iter().find(|one| lies && one.leg == Leg::Transfer && !one.state.ended())
    }

    /// The attempts *not made* is about: those waiting for a person, or else those the vendor may contradict.
    pub(super) fn open(&self) -> Vec<&Attempt> {
        let waiting = self.waiting();
        if waiting.is_empty() { self.may_be_contradicted() } else { waiting }
    }

    pub(super) fn waiting(&self) -> Vec<&Attempt> {
        self.attempts.iter().filter(|one| one.state == AttemptState::Review).collect()
    }

    /// Attempts the vendor contradicts, except those people have settled as duplicate payments, which need nothing
    /// more. For an attempt that has not ended, the vendor may have a second object besides the recorded one.
    pub(super) fn may_be_contradicted(&self) -> Vec<&Attempt> {
        let counted = |one: &Attempt| one.state == AttemptState::Failed && one.reason_code.is_none();
        let asked = |one: &&Attempt| match one.state.ended() {
            true => !counted(one),
            false => one.contradicted_at.is_some(),
        };
        let contradicted = self.transaction.contradicted_at.is_some();
        self.attempts.iter().filter(|one| contradicted && asked(one)).collect()
    }

    /// The attempts an object may belong to, those waiting for a person first. A person may report that an attempt
    /// which ended here as not made was made after all, whether or not the vendor reports it and whatever else of the
    /// payment is open. An object found after a restore may belong to the newest attempt of its leg: one that had ended
    /// was made after all, and one that has an object is paid twice if both stand.
    pub(super) fn may_be_made(&self) -> Vec<&Attempt> {
        let newest = |one: &Attempt| {
            let mut of_leg = self.attempts.iter().filter(|other| other.leg == one.leg);
            of_leg.all(|other| other.number <= one.number)
        };
        let may = |one: &&Attempt| {
            let has_an_end = one.state.ended() || one.vendor_id.is_some();
            by_hand::may_have_been_made(one) || (self.found && has_an_end && newest(one))
        };
        let (mut all, others) = (self.waiting(), self.attempts.iter().filter(may));
        for one in self.may_be_contradicted().into_iter().chain(others) {
            if all.iter().all(|known| known.id != one.id) {
                all.push(one);
            }
        }
        all
    }
}

/// What the vendor shows about an attempt's money.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum ShownMoney {
    /// It is out, or may be: the vendor's id for it.
    It(String),
    /// The vendor shows that there is none.
    Nothing,
    NotSaid,
}

impl ShownMoney {
    pub(super) fn of(out: Option<&str>) -> Self {
        out.map_or(Self::Nothing, |id| Self::It(id.to_owned()))
    }
}

pub(super) type ShownResult = std::result::Result<ShownMoney, ReadError>;

/// Whether an object is different from the one recorded for an attempt. An ended attempt has none.
pub(super) fn is_other(attempt: &Attempt, object: &str) -> bool {
    attempt.state.ended()
        || attempt.state == AttemptState::Review
        || attempt.vendor_id.as_deref() != Some(object)
}
