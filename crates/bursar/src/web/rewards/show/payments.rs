//! The payments of a reward: the state of the current one, and the outcome of it and every earlier one as history
//! entries. Not here: the payments themselves (`payments::show`).

use payout::transaction::Status;

use crate::store::rewards::Reward;
use crate::store::transactions::{self, Transaction};
use crate::store::{Db, past};
use crate::web::kit::format::{When, detail, detail_of, label_of};
use crate::web::kit::history::Line;
use crate::web::kit::problem::Problem;

/// The state of the payment a reward is in: the text before and after its number.
pub(super) struct PaymentLink {
    pub(super) before: String,
    pub(super) number: String,
    pub(super) behind: String,
}

impl PaymentLink {
    /// The text before its number, at the beginning of a sentence.
    pub(super) fn beginning(&self) -> String {
        let mut letters = self.before.chars();
        letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
    }
}

/// Every payment that a reward was ever in, oldest first.
pub(super) async fn of(db: &mut Db, reward: &Reward) -> Result<Vec<Transaction>, Problem> {
    let ids = past::payments_of(db, reward.entered.id).await?;
    let mut all = Vec::new();
    for id in ids {
        match transactions::several(db, &[id]).await {
            Ok(one) => all.extend(one),
            // The payment's own page reports its unreadable record; show the reward without it.
            Err(error) if error.about_a_row() => {}
            Err(error) => return Err(error.into()),
        }
    }
    all.sort_by_key(|one| one.number);
    Ok(all)
}

/// The current payment. Says "Paid by" only for a successful one.
pub(super) fn placed(reward: &Reward, payments: &[Transaction], clawback: bool) -> Option<PaymentLink> {
    let (id, number) = reward.transaction?;
    let number = format!("PT-{number:06}");
    let Some(payment) = payments.iter().find(|one| one.id == id) else {
        return Some(PaymentLink { before: "in payment".to_owned(), number, behind: String::new() });
    };
    let (before, behind) = match (&payment.outside, payment.state.status()) {
        (Some((_, on, reference)), _) => {
            let how = if payment.otherwise_at.is_some() { "paid otherwise" } else { "paid outside" };
            (format!("{how} on {on} ({reference}), closing payment"), String::new())
        }
        (None, Status::Success) => {
            ((if clawback { "came off" } else { "paid by" }).to_owned(), String::new())
        }
        (
            None,
            Status::Pending
            | Status::PendingProcessing
            | Status::PayoutReady
            | Status::Failed
            | Status::PayoutFailed,
        ) => {
            let before = if clawback { "comes off payment" } else { "in payment" };
            (before.to_owned(), format!("({})", stands(payment)))
        }
    };
    Some(PaymentLink { before, number, behind })
}

/// The state of a payment, with its detail.
fn stands(payment: &Transaction) -> String {
    let label = label_of(payment);
    detail_of(payment).map_or_else(|| label.to_owned(), |detail| format!("{label}, {detail}"))
}

/// The outcome of each payment, as history entries.
pub(super) fn lines(payments: &[Transaction]) -> Vec<Line> {
    let mut lines = Vec::new();
    for payment in payments {
        let label = payment.label();
        let mut line = |at: i64, what: String, detail: String| {
            lines.push(Line { at: When(at), who: String::new(), what, detail });
        };
        line(payment.created_at, format!("Put into payment {label}"), String::new());
        if let Some(at) = payment.left_at {
            line(at, format!("The money was sent with {label}"), String::new());
        }
        if payment.state.settled() {
            let label_of = payment.state.status().label();
            let ended = detail(payment.state)
                .map_or_else(|| label_of.to_owned(), |detail| format!("{label_of}, {detail}"));
            let why = payment.reason.as_ref().map(|reason| reason.message.clone()).unwrap_or_default();
            line(payment.settled_at.unwrap_or(payment.state_at), format!("{label} ended: {ended}"), why);
        }
        if let Some((at, on, reference)) = &payment.outside {
            let how = if payment.otherwise_at.is_some() { "Paid otherwise" } else { "Paid outside" };
            line(*at, format!("{how} instead of by {label}"), format!("{reference} · {on}"));
        }
        if let Some(at) = payment.released_at {
            line(at, format!("{label} returned it to the pool"), String::new());
        }
    }
    lines
}
