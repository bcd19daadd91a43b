//! The possible actions on one payment, or why they are not possible: the buttons of its page. Not here: carrying them
//! out.

use payout::access::Permission;
use payout::eligibility::Blocker;
use payout::law::{self, NotNow, Parked, Release};
use payout::transaction::{AttemptState, State as Stands};

use crate::app::App;
use crate::ops::by_hand as by_hand_verbs;
use crate::ops::safe_mode;
use crate::ops::transactions as verbs;
use crate::ops::why;
use crate::store::Db;
use crate::store::transactions::{Attempt, Transaction};
use crate::web::kit::format::in_words;
use crate::web::kit::layout::PageContext;
use crate::web::kit::problem::Problem;

/// An action, or why it is not possible.
pub(super) struct Action {
    pub(super) path: &'static str,
    pub(super) words: &'static str,
    pub(super) told: &'static str,
    pub(super) why_not: Option<String>,
    pub(super) once: String,
    /// For an action that moves money: the confirmation to tick, and the button's label with the amount.
    pub(super) sure: Option<(String, String)>,
}

/// What prevents a person from changing any payment.
#[derive(Clone, Copy)]
pub struct ActionsBlocked {
    /// Whether their role does not allow it.
    role: bool,
    safe_mode: bool,
}

impl ActionsBlocked {
    pub async fn of(db: &mut Db, context: &PageContext) -> Result<Self, Problem> {
        Ok(Self { role: !context.may(Permission::Pay), safe_mode: safe_mode::on(db).await? })
    }

    fn why_not(self) -> Option<String> {
        match (self.role, self.safe_mode) {
            (true, _) => Some("Your role does not allow this. A payer or an administrator can.".to_owned()),
            (false, true) => {
                let message = "Safe mode is on. Payments cannot be changed until an administrator ends it.";
                Some(message.to_owned())
            }
            (false, false) => None,
        }
    }
}

/// Why a payment cannot be resubmitted, or its rewards returned to the pool, now.
pub async fn refused_now(
    db: &mut Db,
    app: &App,
    held: ActionsBlocked,
    transaction: &Transaction,
    resubmits: bool,
) -> Result<Option<String>, Problem> {
    let closed = why::closed_to_resubmit(db, transaction, app.clock.now()).await?;
    let [_, resubmit, return_to_pool, _] = actions(app, held, transaction, &closed);
    let deed = if resubmits { resubmit } else { return_to_pool };
    let gate = closed.first().filter(|_| resubmits && !why::may_open(transaction, &closed));
    Ok(gate.map(Blocker::message).or(deed.why_not))
}

/// The actions according to the law: refresh, resubmit, return to pool, mark as paid outside.
pub(super) fn actions(
    app: &App,
    held: ActionsBlocked,
    transaction: &Transaction,
    closed: &[Blocker],
) -> [Action; 4] {
    let why_not = |refused: Option<NotNow>| match (held.why_not(), transaction.closed_as(), refused) {
        (Some(held), _, _) => Some(held),
        (None, Some(why), _) => Some(why.sentence().to_owned()),
        (None, None, _) if transaction.contradicted_at.is_some() => {
            Some(NotNow::Contradicted.sentence().to_owned())
        }
        (None, None, refused) => refused.map(|why| why.sentence().to_owned()),
    };
    let refresh_why_not = ActionsBlocked { safe_mode: false, ..held }.why_not();
    let once = || app.clock.secret();
    let deed = |path, words, told, why_not| Action { path, words, told, why_not, once: once(), sure: None };
    let (state, terms) = (transaction.state, &transaction.terms);
    let release = law::return_to_pool(state);
    let returning = match &release {
        Ok(Release::AfterReversal(_)) => {
            "Bursar asks Stripe to reverse the transfer first. Its rewards return to the pool once Stripe has; if Stripe refuses, they stay."
        }
        Ok(Release::Now) | Err(_) => "Its rewards can then be added to another payout.",
    };
    let shut = !why::may_open(transaction, closed);
    let first = || shut.then(|| "Not possible now:".to_owned());
    // The rewards of a closed payment are elsewhere, but its money may still be parked in the payee's balance.
    let fetches = held.why_not().is_none() && transaction.contradicted_at.is_none();
    let return_why_not = match &release {
        Ok(Release::AfterReversal(_)) if transaction.closed() && fetches => None,
        Ok(_) => why_not(None),
        Err(why) => why_not(Some(*why)),
    };
    let (sure_to_send, sure_to_return) = sure(transaction);
    [
        deed("refresh", "Refresh", "Checks the status with the vendor now.", refresh_why_not),
        Action {
            sure: Some(sure_to_send),
            ..deed(
                "resubmit",
                "Resubmit",
                "Retries the failed step as a new attempt with a new idempotency key.",
                why_not(law::resubmit(state, terms).err()).or_else(first),
            )
        },
        Action {
            sure: Some(sure_to_return),
            ..deed("return-to-pool", "Return to pool", returning, return_why_not)
        },
        deed(
            "mark-paid-outside",
            "Mark as paid outside",
            "Closes this payment because the payee was paid in another way.",
            why_not(law::mark_paid_outside(state, terms).err()),
        ),
    ]
}

/// The confirmations before a payment is resubmitted or its rewards are released, and the buttons with the amount.
fn sure(of: &Transaction) -> ((String, String), (String, String)) {
    let (net, vendor) = (in_words(of.terms.net), of.terms.vendor.label());
    let looked = match (of.called_not_made, of.state) {
        (true, Stands::PayoutFailed) => {
            format!("I have checked at {vendor} again: it did not pay this out to the bank")
        }
        (true, _) => format!("I have checked at {vendor} again: it did not make this payment"),
        (false, _) => "I have checked the payee, the amount and why it failed".to_owned(),
    };
    let to = of.destination.masked();
    let send = format!("Resubmit {net} to {to}");
    let back = match of.called_not_made {
        true => looked.clone(),
        false => "I have checked that its rewards should be paid in another payout".to_owned(),
    };
    ((looked, send), (back, format!("Return {net} to the pool")))
}

/// Why none of the actions is possible, if the reason is the same.
pub(super) fn shared_reason(deeds: [&Action; 3]) -> Option<String> {
    let why = deeds[0].why_not.as_ref()?;
    deeds.iter().all(|deed| deed.why_not.as_ref() == Some(why)).then(|| why.clone())
}

/// Canceling, shown only while the payment is unclaimed.
pub(super) fn cancel(
    app: &App,
    held: ActionsBlocked,
    transaction: &Transaction,
    attempts: &[Attempt],
) -> Option<Action> {
    let under_way =
        attempts.iter().any(verbs::canceling).then(|| NotNow::CancelUnderWay.sentence().to_owned());
    (transaction.state == Stands::Unclaimed).then(|| Action {
        path: "cancel-unclaimed",
        words: "Cancel at PayPal",
        told: "Asks PayPal to cancel the payment and return the money. It stays unclaimed here until PayPal confirms. Then you can resubmit it or return it to the pool. If the receiver claims it first, it is paid.",
        why_not: held.why_not().or(under_way),
        once: app.clock.secret(),
        sure: None,
    })
}

/// Manual settlement, shown only if something needs review, people may have been wrong, or a found payment belongs to it.
pub(super) fn by_hand(
    app: &App,
    held: ActionsBlocked,
    transaction: &Transaction,
    (attempts, found): (&[Attempt], bool),
) -> Option<Action> {
    let waits_for_somebody = attempts.iter().any(|one| one.state == AttemptState::Review);
    let waits = waits_for_somebody || attempts.iter().any(by_hand_verbs::may_have_been_made);
    (waits || found || transaction.contradicted_at.is_some()).then(|| Action {
        path: "settle-by-hand",
        words: "Settle by hand",
        told: if !waits_for_somebody { SAID_OTHERWISE } else { "Bursar cannot determine how this payment ended. Record what you found at the vendor. If it was made, Bursar reads its object there before it records anything. If it was not, Bursar asks the vendor first, where the vendor can be searched for this payment; where it cannot (the payee revoked our access to their account, or PayPal never returned the id of the batch), your word counts, and a second person is needed. A second person is also needed if the two-person rule is on." },
        why_not: held.why_not(),
        once: app.clock.secret(),
        sure: None,
    })
}

/// The explanation of manual settlement for a payment whose outcome is not in doubt.
const SAID_OTHERWISE: &str = "Use this if the vendor shows something different from what is recorded here: for example, a payment that was settled as not made but was made after all, or a vendor payment that this database does not know. Record what you found at the vendor. If it was made, Bursar reads its object there before it records anything. If it was not, Bursar asks the vendor first, where the vendor can be searched; where it cannot, your word counts, and a second person is needed.";

/// Settling parked money, shown only if there is some.
pub(super) fn parked(app: &App, held: ActionsBlocked, transaction: &Transaction) -> Option<Action> {
    let lies = law::settle_parked(transaction.state, &transaction.terms, Parked::GivenUp).is_ok();
    let contradicted = transaction.contradicted_at.map(|_| NotNow::Contradicted.sentence().to_owned());
    let why_not = held.why_not().or(contradicted);
    lies.then(|| Action {
        path: "settle-parked",
        words: "Settle the money in the payee's balance",
        told: "For money that Stripe can neither pay out nor return. It takes two people: nothing changes until a second person records the same.",
        why_not,
        once: app.clock.secret(),
        sure: None,
    })
}
