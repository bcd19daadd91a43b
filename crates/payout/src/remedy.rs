//! What can be done about a payment in its state: the options in plain words, the usual one first, each with who does
//! it. Not here: why it is in that state (`reason`), and what an action does (`law`).

use crate::eligibility::Who;
use crate::money::Vendor;
use crate::reason::Cause;
use crate::spelling::spelled;
use crate::transaction::State;

spelled! {
    /// The action an option asks for.
    Action {
        /// Nothing: it continues by itself.
        Wait = "wait",
        /// Ask the vendor now.
        Refresh = "refresh",
        /// Something outside Bursar, with the partner or the vendor.
        Outside = "outside",
        /// Resubmit the failed payment.
        Resubmit = "resubmit",
        /// Free the rewards for another payout.
        ReturnToPool = "return_to_pool",
        /// Close it because the payee was paid another way.
        MarkPaidOutside = "mark_paid_outside",
        /// Record what was found at the vendor.
        SettleByHand = "settle_by_hand",
        /// Cancel an unclaimed PayPal item.
        CancelUnclaimed = "cancel_unclaimed",
        /// Two people settle money in a payee's balance.
        SettleParked = "settle_parked",
    }
}

/// An option for a payment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Choice {
    /// The action it asks for.
    pub action: Action,
    /// The text for people, one or two sentences.
    pub words: &'static str,
    /// Who does it.
    pub who: Who,
}

const fn choice(deed: Action, who: Who, words: &'static str) -> Choice {
    Choice { action: deed, words, who }
}

const ASK_NOW: Choice = choice(
    Action::Refresh,
    Who::Payer,
    "Refresh asks the vendor now. Bursar also polls by itself, whether webhooks arrive or not.",
);
const OUTSIDE: Choice = choice(
    Action::MarkPaidOutside,
    Who::Payer,
    "If the payee was paid another way, mark it as paid outside with that payment's reference.",
);
const OTHER_DESTINATION: Choice = choice(
    Action::ReturnToPool,
    Who::Payer,
    "To pay the payee at another destination, return it to the pool and pay its rewards in the next payout: a payment's own destination never changes.",
);

/// The options for a payment in this state, the usual one first. `cause` is the kind of problem, if known.
#[must_use]
pub fn choices(state: State, cause: Option<Cause>) -> &'static [Choice] {
    match state {
        State::Queued => QUEUED,
        State::Sending | State::PayoutSending => SENDING,
        State::Processing => PROCESSING,
        State::InTransit => IN_TRANSIT,
        State::Transferred => TRANSFERRED,
        State::Unknown | State::PayoutUnknown => UNKNOWN,
        State::Review | State::PayoutReview => REVIEW,
        State::OnHold => ON_HOLD,
        State::Unclaimed => UNCLAIMED,
        State::Success => SUCCESS,
        State::Failed => failed(cause),
        State::PayoutFailed => payout_failed(cause),
        State::PayoutCanceled => CANCELED,
        State::Recalling => RECALLING,
        State::Recalled => RECALLED,
        State::Returned => RETURNED,
        State::Blocked => BLOCKED,
        State::Refunded => REFUNDED,
        State::Reversed => REVERSED,
        State::WrittenOff => WRITTEN_OFF,
    }
}

/// The options if the vendor contradicts a final state, whatever it is. The last one, for a second transfer, is only
/// for Stripe.
#[must_use]
pub fn contradicted(vendor: Vendor) -> &'static [Choice] {
    match vendor {
        Vendor::Stripe => CONTRADICTED,
        Vendor::PayPal => CONTRADICTED.split_last().map_or(&[], |(_, others)| others),
    }
}

const CONTRADICTED: &[Choice] = &[
    choice(
        Action::Outside,
        Who::Payer,
        "First compare the vendor's own page with the timeline below: it may have been paid after all.",
    ),
    choice(
        Action::SettleByHand,
        Who::Payer,
        "If the vendor did pay it, settle it by hand as made, with the vendor's id for it.",
    ),
    choice(
        Action::SettleByHand,
        Who::Payer,
        "If the vendor did not pay it, or took the money back, settle it by hand as not made; then it can be resubmitted or returned to the pool. If the vendor's records cannot be searched for it, this takes two people.",
    ),
    choice(
        Action::SettleByHand,
        Who::Payer,
        "If Stripe shows an earlier transfer besides a later one: while its money is in the payee's Stripe balance, reverse it at Stripe and settle it as not made. Once the money has left there, two people settle it as made, and it is deducted from the payee's next claim.",
    ),
];

/// The options if the payee has chosen another destination since: the partner has done their part, but the payment
/// keeps its frozen destination.
#[must_use]
pub fn elsewhere() -> &'static [Choice] {
    MOVED_ON
}

const MOVED_ON: &[Choice] = &[
    choice(
        Action::ReturnToPool,
        Who::Payer,
        "Return it to the pool and pay its rewards in the next payout: the payee has another destination now, and a payment's own destination never changes. If the money is in a Stripe balance, Bursar asks Stripe to reverse the transfer first; if Stripe refuses, its rewards stay.",
    ),
    OUTSIDE,
];

/// The options for a payment whose record cannot be processed.
#[must_use]
pub fn set_aside() -> &'static [Choice] {
    const {
        &[choice(
            Action::Wait,
            Who::Admin,
            "Have the record fixed by the person who operates Bursar; what is wrong with it is shown here. Bursar retries it every hour and sends nothing more for it meanwhile.",
        )]
    }
}

const QUEUED: &[Choice] =
    &[choice(Action::Wait, Who::Nobody, "Wait: it is sent within seconds, or once the gate above opens.")];

const SENDING: &[Choice] = &[choice(Action::Wait, Who::Nobody, "Wait: the request is on its way."), ASK_NOW];

const PROCESSING: &[Choice] = &[choice(Action::Wait, Who::Vendor, "Wait: PayPal is working on it."), ASK_NOW];

const IN_TRANSIT: &[Choice] =
    &[choice(Action::Wait, Who::Vendor, "Wait: the bank payout takes some business days."), ASK_NOW];

const TRANSFERRED: &[Choice] = &[choice(
    Action::Wait,
    Who::Vendor,
    "Wait: the bank payout is made as soon as Stripe makes the money available, which can take a day.",
)];

const ON_HOLD: &[Choice] = &[
    choice(
        Action::Wait,
        Who::Vendor,
        "Wait: PayPal is reviewing it, and may ask the partner or us for something.",
    ),
    ASK_NOW,
];

const SUCCESS: &[Choice] = &[choice(
    Action::Wait,
    Who::Nobody,
    "Nothing: it is paid. The money can still come back for some days; Bursar keeps checking and tells you.",
)];

const RECALLING: &[Choice] = &[choice(
    Action::Wait,
    Who::Vendor,
    "Wait: Bursar is asking Stripe to reverse the transfer; its rewards are free once Stripe has done so.",
)];

const RECALLED: &[Choice] = &[choice(
    Action::Outside,
    Who::Preparer,
    "The money is back in our balance and its rewards are in the pool: pay them in another payout.",
)];

const UNKNOWN: &[Choice] = &[
    choice(
        Action::Wait,
        Who::Nobody,
        "Wait: Bursar retries with the same idempotency key, which cannot pay twice, until it knows the outcome. Do not pay it another way meanwhile.",
    ),
    ASK_NOW,
];

const REVIEW: &[Choice] = &[
    choice(
        Action::Outside,
        Who::Payer,
        "Look for the payment at the vendor by the key of its last attempt; if that is not enough, ask the vendor.",
    ),
    choice(
        Action::SettleByHand,
        Who::Payer,
        "Settle it by hand with what you found. If it was made, Bursar reads its object at the vendor before it records anything. If it was not, Bursar asks the vendor first; if the vendor's records cannot be searched for this payment, it takes two people.",
    ),
    choice(Action::Refresh, Who::Payer, "Refresh makes Bursar look for it once more."),
];

const UNCLAIMED: &[Choice] = &[
    choice(
        Action::Outside,
        Who::Partner,
        "Ask the partner to open or confirm their PayPal account with exactly this address: then they have the money at once.",
    ),
    choice(Action::Wait, Who::Vendor, "Wait: unclaimed money comes back by itself after 30 days."),
    choice(
        Action::CancelUnclaimed,
        Who::Payer,
        "If the address is wrong, cancel it at PayPal: changing the address in the payee's profile does not redirect it. It can be paid again only once PayPal says that the money is back.",
    ),
    ASK_NOW,
];

/// Refused before any money moved: most of these can be fixed and resubmitted; some would only be refused again.
fn failed(cause: Option<Cause>) -> &'static [Choice] {
    match cause {
        Some(Cause::Destination) => ELSEWHERE,
        Some(Cause::Amount) => OTHER_AMOUNT,
        Some(
            Cause::AccountClosed
            | Cause::WrongNumber
            | Cause::BankRefuses
            | Cause::WrongHolder
            | Cause::WrongCurrency
            | Cause::BankFailed
            | Cause::AccountUnfinished
            | Cause::AccountUnknown
            | Cause::Limit
            | Cause::SentBack
            | Cause::TakenBack
            | Cause::Unregistered
            | Cause::ReceiverCannot
            | Cause::NotClaimed
            | Cause::Funds
            | Cause::Held
            | Cause::Unclear
            | Cause::Ours,
        )
        | None => FAILED,
    }
}

const ELSEWHERE: &[Choice] = &[
    choice(
        Action::ReturnToPool,
        Who::Payer,
        "Have the right destination entered, return this payment to the pool and pay its rewards in the next payout: a payment's own destination never changes.",
    ),
    choice(
        Action::Resubmit,
        Who::Payer,
        "Resubmit only if this payment's destination is right after all: nothing was paid, and the new attempt has a new key.",
    ),
    OUTSIDE,
];

const OTHER_AMOUNT: &[Choice] = &[
    choice(
        Action::ReturnToPool,
        Who::Payer,
        "Return it to the pool and pay its rewards together with others, or in parts, so that the vendor accepts the amount.",
    ),
    choice(
        Action::Resubmit,
        Who::Payer,
        "Resubmit only if the vendor now accepts this amount: nothing was paid, and the new attempt has a new key.",
    ),
    OUTSIDE,
];

const FAILED: &[Choice] = &[
    choice(
        Action::Resubmit,
        Who::Payer,
        "Fix what the reason names, then resubmit: nothing was paid, and the new attempt has a new key.",
    ),
    OTHER_DESTINATION,
    OUTSIDE,
];

/// The options for a payment people reported as not made: the vendor may have made it anyway.
#[must_use]
pub fn not_made() -> &'static [Choice] {
    NOT_MADE
}

const NOT_MADE: &[Choice] = &[
    choice(
        Action::Resubmit,
        Who::Payer,
        "Check at the vendor once more, then resubmit. People here settled it as not made: if the vendor made it after all, this pays it a second time. Bursar checks too, if the vendor's records can be searched, and stops if it finds the payment.",
    ),
    choice(
        Action::ReturnToPool,
        Who::Payer,
        "To pay the payee at another destination, return it to the pool and pay its rewards in the next payout. Bursar makes the same check first.",
    ),
    OUTSIDE,
];

/// The options for a failed bank payout depend on the cause: not every failure is the bank's.
fn payout_failed(cause: Option<Cause>) -> &'static [Choice] {
    match cause {
        Some(
            Cause::AccountClosed
            | Cause::WrongNumber
            | Cause::BankRefuses
            | Cause::WrongHolder
            | Cause::WrongCurrency,
        ) => BANK_REFUSED,
        Some(Cause::BankFailed) => BANK_FAILED,
        Some(Cause::AccountUnfinished) => ACCOUNT_UNFINISHED,
        Some(Cause::AccountUnknown) => ACCOUNT_UNKNOWN,
        Some(Cause::Amount) => AMOUNT,
        Some(Cause::Limit) => LIMIT,
        Some(Cause::Funds) => FUNDS,
        Some(
            Cause::Destination
            | Cause::SentBack
            | Cause::TakenBack
            | Cause::Unregistered
            | Cause::ReceiverCannot
            | Cause::NotClaimed
            | Cause::Held
            | Cause::Unclear
            | Cause::Ours,
        )
        | None => NOT_PAID_OUT,
    }
}

const THEN_RESUBMIT: Choice = choice(
    Action::Resubmit,
    Who::Payer,
    "Then resubmit: only the bank payout is made again, never a second transfer.",
);
const GIVE_BACK: Choice = choice(
    Action::ReturnToPool,
    Who::Payer,
    "To pay them another way, return it to the pool: Stripe is asked to give the transfer back first.",
);

const SETTLE_PARKED: Choice = choice(
    Action::SettleParked,
    Who::Payer,
    "If Stripe can neither pay it out nor give it back, because the balance was spent or we no longer have access to the account, two people settle it with evidence.",
);

const BANK_REFUSED: &[Choice] = &[
    choice(
        Action::Outside,
        Who::Partner,
        "Ask the partner to correct their bank details at Stripe. The money is still in their Stripe balance.",
    ),
    THEN_RESUBMIT,
    GIVE_BACK,
    SETTLE_PARKED,
];

const BANK_FAILED: &[Choice] = &[
    choice(
        Action::Resubmit,
        Who::Payer,
        "Resubmit: only the bank payout is made again. If it fails again, ask the partner to talk to their bank.",
    ),
    GIVE_BACK,
    SETTLE_PARKED,
];

const ACCOUNT_UNFINISHED: &[Choice] = &[
    choice(
        Action::Outside,
        Who::Partner,
        "Ask the partner to finish what Stripe asks of them. The money is still in their Stripe balance.",
    ),
    THEN_RESUBMIT,
    GIVE_BACK,
    SETTLE_PARKED,
];

const ACCOUNT_UNKNOWN: &[Choice] = &[
    choice(
        Action::Outside,
        Who::Partner,
        "Ask the partner to connect their account again. The money is in its Stripe balance; Stripe can say what happened to it.",
    ),
    THEN_RESUBMIT,
    GIVE_BACK,
    SETTLE_PARKED,
];

const AMOUNT: &[Choice] = &[
    choice(
        Action::ReturnToPool,
        Who::Payer,
        "Return it to the pool and pay its rewards together with others, or in parts, so that Stripe accepts the amount. Stripe is asked to give the transfer back first.",
    ),
    choice(
        Action::Resubmit,
        Who::Payer,
        "Resubmit only if Stripe now accepts this amount: only the bank payout is made again.",
    ),
    SETTLE_PARKED,
];

const LIMIT: &[Choice] = &[
    choice(
        Action::Resubmit,
        Who::Payer,
        "Resubmit tomorrow, when Stripe's daily limit resets: only the bank payout is made again. If it happens again, ask Stripe to raise the limit.",
    ),
    GIVE_BACK,
    SETTLE_PARKED,
];

const FUNDS: &[Choice] = &[
    choice(
        Action::Resubmit,
        Who::Payer,
        "Resubmit once the money is available in the payee's Stripe balance: only the bank payout is made again.",
    ),
    GIVE_BACK,
    SETTLE_PARKED,
];

const NOT_PAID_OUT: &[Choice] = &[
    choice(
        Action::Outside,
        Who::Payer,
        "Resolve what the reason names with Stripe or the partner. The money is still in the payee's Stripe balance.",
    ),
    THEN_RESUBMIT,
    GIVE_BACK,
    SETTLE_PARKED,
];

const CANCELED: &[Choice] = &[
    choice(
        Action::Resubmit,
        Who::Payer,
        "If it should be paid, resubmit: the money is still in the payee's Stripe balance, and only the bank payout is made again.",
    ),
    choice(
        Action::ReturnToPool,
        Who::Payer,
        "If it should not, return it to the pool: Stripe is asked to give the transfer back first.",
    ),
    SETTLE_PARKED,
];

const RETURNED: &[Choice] = &[
    choice(
        Action::Outside,
        Who::Partner,
        "Ask the partner to open or confirm their PayPal account with this address, or to give another destination.",
    ),
    choice(
        Action::Resubmit,
        Who::Payer,
        "If they keep this address, resubmit: a new attempt with a new key.",
    ),
    OTHER_DESTINATION,
    OUTSIDE,
];

const BLOCKED: &[Choice] = &[
    choice(
        Action::Outside,
        Who::Admin,
        "Ask PayPal why it stopped the payment before you pay this payee any other way.",
    ),
    OTHER_DESTINATION,
    choice(Action::Resubmit, Who::Payer, "If PayPal says that nothing blocks it any more, resubmit."),
    OUTSIDE,
];

const REFUNDED: &[Choice] = &[
    choice(Action::Outside, Who::Payer, "Ask the partner why they sent the money back."),
    OTHER_DESTINATION,
    choice(Action::Resubmit, Who::Payer, "If they want it at the same address after all, resubmit."),
    OUTSIDE,
];

const REVERSED: &[Choice] = &[
    choice(Action::Outside, Who::Admin, "Ask the vendor why the money was taken back from the partner."),
    OTHER_DESTINATION,
    choice(Action::Resubmit, Who::Payer, "If the vendor says that nothing blocks it any more, resubmit."),
    OUTSIDE,
];

const WRITTEN_OFF: &[Choice] = &[
    choice(
        Action::ReturnToPool,
        Who::Payer,
        "Return it to the pool: the payee is still owed the money, and a new payment pays its rewards.",
    ),
    OUTSIDE,
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::PartnerId;
    use crate::law;
    use crate::ledger::Payee;
    use crate::money::{Currency, Money};
    use crate::transaction::Terms;

    /// A contradiction is settled by hand and in no other way; a record that cannot be processed is for the
    /// administrator.
    #[test]
    fn what_stands_beside_the_states_has_its_own_options() {
        let deeds = |vendor| contradicted(vendor).iter().map(|choice| choice.action).collect::<Vec<_>>();
        let three = [Action::Outside, Action::SettleByHand, Action::SettleByHand];
        assert_eq!(deeds(Vendor::PayPal), three);
        assert_eq!(deeds(Vendor::Stripe), [&three[..], &[Action::SettleByHand]].concat());
        assert!(contradicted(Vendor::PayPal).iter().all(|choice| !choice.words.contains("Stripe")));
        assert!(contradicted(Vendor::Stripe).iter().all(|choice| choice.who == Who::Payer));
        let amount = Money::new(100, Currency::USD);
        let payee = Payee::Partner(PartnerId::fresh(0, 1));
        let terms = Terms { payee, vendor: Vendor::PayPal, amount, net: amount };
        for choice in not_made() {
            assert!(!choice.words.contains("nothing was paid"), "only people say so");
        }
        let offered: Vec<Action> = not_made().iter().map(|choice| choice.action).collect();
        assert_eq!(offered, [Action::Resubmit, Action::ReturnToPool, Action::MarkPaidOutside]);
        assert!(law::resubmit(State::Failed, &terms).is_ok() && law::return_to_pool(State::Failed).is_ok());
        assert!(law::mark_paid_outside(State::Failed, &terms).is_ok());
        let aside: Vec<(Action, Who)> =
            set_aside().iter().map(|choice| (choice.action, choice.who)).collect();
        assert_eq!(aside, [(Action::Wait, Who::Admin)]);
    }

    /// The table offers exactly what the law allows.
    #[test]
    fn what_is_offered_is_what_the_law_allows() {
        let amount = Money::new(100, Currency::USD);
        let payee = Payee::Partner(PartnerId::fresh(0, 1));
        let causes = Cause::ALL.iter().copied().map(Some).chain([None]);
        let every = causes.flat_map(|cause| State::ALL.iter().map(move |state| (*state, cause)));
        for (state, cause) in every {
            let terms = Terms { payee, vendor: Vendor::PayPal, amount, net: amount };
            let offers = |deed| choices(state, cause).iter().any(|choice| choice.action == deed);
            assert!(!choices(state, cause).is_empty(), "{state:?}");
            let pay_elsewhere = cause == Some(Cause::Amount);
            let bank = choices(state, cause).iter().any(|choice| choice.words.contains("bank details"));
            assert!(!(pay_elsewhere && bank), "nothing is wrong with the bank: {state:?}");
            // Its rewards were freed at the same time, so it is closed.
            if state != State::Recalled {
                assert_eq!(offers(Action::Resubmit), law::resubmit(state, &terms).is_ok(), "{state:?}");
                assert_eq!(offers(Action::ReturnToPool), law::return_to_pool(state).is_ok(), "{state:?}");
                let outside = law::mark_paid_outside(state, &terms).is_ok();
                assert_eq!(offers(Action::MarkPaidOutside), outside, "{state:?}");
            }
            let waits_for_a_person = matches!(state, State::Review | State::PayoutReview);
            assert_eq!(offers(Action::SettleByHand), waits_for_a_person, "{state:?}");
            assert_eq!(offers(Action::CancelUnclaimed), state == State::Unclaimed, "{state:?}");
            let parked = law::settle_parked(state, &terms, law::Parked::GivenUp).is_ok();
            assert_eq!(offers(Action::SettleParked), parked, "{state:?}");
        }
    }
}
