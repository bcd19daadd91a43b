//! Clawbacks as shown on related pages: the payment that was paid twice, the payee whose next claim is reduced, the
//! reward that is clawed back. Not here: entering one (`rewards::show`).

use payout::money::Sum;
use payout::reward::RewardStatus;

use super::format::{Cash, Summed, When};
use crate::store::clawbacks::Clawback;

/// A clawback, as a table row.
pub struct ClawbackRow {
    pub number: String,
    /// The number of the reward that it claws back.
    pub of: String,
    pub value: Summed,
    pub how: String,
    /// The number of the payment that it was or will be deducted from.
    pub payment: Option<String>,
    /// When it was deducted from a payment.
    pub at: Option<When>,
    pub why: String,
}

impl ClawbackRow {
    pub fn of(one: Clawback) -> Self {
        let how = match (one.status, one.taken_at, one.payment, &one.draft) {
            (RewardStatus::Void, ..) => "voided, so nothing is subtracted".to_owned(),
            (_, Some(_), ..) => "subtracted from a payment".to_owned(),
            (_, None, Some(_), _) => "will be subtracted from the payment it is in".to_owned(),
            (_, None, None, Some(draft)) => {
                format!("will be subtracted from {draft}, which is being prepared")
            }
            (_, None, None, None) => {
                format!("will be subtracted from the payee's next claim in {}", one.value.currency)
            }
        };
        Self {
            number: format!("RW-{:06}", one.number),
            of: format!("RW-{:06}", one.of),
            value: Cash(Sum::new(-i128::from(one.value.minor), one.value.currency)),
            how,
            payment: one.payment.map(|number| format!("PT-{number:06}")),
            at: one.taken_at.map(When),
            why: one.reason.unwrap_or_default(),
        }
    }
}
