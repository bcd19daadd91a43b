//! Payments that failed, came back or are waiting to be claimed: which need action by the partner, and which by us. Shared by
//! the home page and the payout profile, so that they agree with the payment's page.

use std::collections::HashMap;

use payout::eligibility::Who;
use payout::ledger::Payee;
use payout::money::Vendor;
use payout::payee::Destination;
use payout::reason::{Cause, explain_at};
use payout::transaction::{State as Stands, Status};

use super::layout::{OnBehalfOf, PartnerContext};
use crate::ops::views;
use crate::store::transactions::{self, Transaction};
use crate::store::{Db, Result, payees};

/// The most payments listed among the tasks.
const MOST_PAYMENTS: i64 = 20;

/// A payment that needs action by the partner.
pub struct ActionRequired {
    pub payment: Transaction,
    pub whose: OnBehalfOf,
    pub message: String,
    /// What the partner should do.
    pub remedy: String,
    /// Whether it must be fixed in the Stripe account that it was paid to.
    pub at_stripe: bool,
}

impl ActionRequired {
    /// Names the account, if the parked money determines which one must be fixed.
    pub fn account_sentence(&self, context: &PartnerContext) -> Option<String> {
        let parked = matches!(self.payment.state, Stands::PayoutFailed | Stands::PayoutCanceled);
        let describe = || context.t().mend_told.replace("{account}", &self.payment.destination.masked());
        (self.at_stripe && parked).then(describe)
    }
}

/// The payments that need action by the partner, and those that failed or came back and need our decision.
pub async fn of_payments(
    db: &mut Db,
    context: &PartnerContext,
) -> Result<(Vec<ActionRequired>, Vec<Transaction>)> {
    let payees = context.payees();
    let of: Vec<Payee> = payees.iter().map(|(_, payee)| *payee).collect();
    let mut filter = views::needing_attention();
    filter.payees = Some(of.iter().map(ToString::to_string).collect());
    let found = transactions::list(db, &filter, MOST_PAYMENTS).await?;
    let profiles = payees::profiles_of(db, &of).await?;
    let now: HashMap<Payee, Destination> =
        profiles.into_iter().map(|(payee, profile)| (payee, profile.destination)).collect();
    let (mut asking, mut ours) = (Vec::new(), Vec::new());
    for one in found {
        let failed = matches!(one.state.status(), Status::Failed | Status::PayoutFailed);
        match asks(context, &one, &now) {
            Some((whose, code)) => {
                let (message, remedy) = context.language.reason(&code);
                let at_stripe =
                    one.terms.vendor == Vendor::Stripe && Cause::of(&code) != Cause::AccountUnknown;
                asking.push(ActionRequired { payment: one, whose, message, remedy, at_stripe });
            }
            None if failed => ours.push(one),
            None => {}
        }
    }
    Ok((asking, ours))
}

/// Who must act on a payment, and the reason code.
fn asks(
    context: &PartnerContext,
    one: &Transaction,
    now: &HashMap<Payee, Destination>,
) -> Option<(OnBehalfOf, String)> {
    let code =
        one.reason.as_ref().map(|reason| reason.code.as_str()).or_else(|| default_reason(one.state))?;
    let (whose, payee) = context.payees().into_iter().find(|(_, payee)| *payee == one.terms.payee)?;
    let answered = moved_on(one, now.get(&payee)) && one.state != Stands::Unclaimed;
    let theirs = explain_at(code, one.state).who == Who::Partner && !answered;
    theirs.then(|| (whose, code.to_owned()))
}

/// Whether the destination has changed since the payment, so that the rest is up to us.
pub fn moved_on(one: &Transaction, now: Option<&Destination>) -> bool {
    now.is_some_and(|now| now.fingerprint() != one.destination.fingerprint())
}

/// The default reason of a state, if the vendor gave none.
fn default_reason(state: Stands) -> Option<&'static str> {
    match state {
        Stands::Unclaimed => Some("UNCLAIMED"),
        Stands::Returned => Some("RETURNED"),
        Stands::Queued
        | Stands::Sending
        | Stands::Unknown
        | Stands::Review
        | Stands::Processing
        | Stands::OnHold
        | Stands::Transferred
        | Stands::PayoutSending
        | Stands::PayoutUnknown
        | Stands::PayoutReview
        | Stands::InTransit
        | Stands::Success
        | Stands::Failed
        | Stands::PayoutFailed
        | Stands::PayoutCanceled
        | Stands::Recalling
        | Stands::Recalled
        | Stands::Blocked
        | Stands::Refunded
        | Stands::Reversed
        | Stands::WrittenOff => None,
    }
}
