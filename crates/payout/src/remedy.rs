//! What can be done about a payment in its state: the options in plain words, the usual one first, each with who does
//! it. Not here: why it is in that state (`reason`), and what an action does (`law`).

use crate::eligibility::Who;
use crate::money::Vendor;
use crate::reason::Cause;
use crate::spelling::spelled;
use crate::transaction::State;

spelled! {
    /// The action an option asks for.
    Deed {
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
    pub deed: Deed,
    /// The text for people, one or two sentences.
    pub words: &'static str,
    /// Who does it.
    pub who: Who,
}

const fn choice(deed: Deed, who: Who, words: &'static str) -> Choice {
    Choice { deed, words, who }
}

const ASK_NOW: Choice = choice(
    Deed::Refresh,
    Who::Payer,
    "Refresh asks the vendor now. Bursar also asks by itself, whether webhooks arrive or not.",
);
const OUTSIDE: Choice = choice(
    Deed::MarkPaidOutside,
    Who::Payer,
    "If the payee was paid some other way, mark it as paid outside with that payment's reference.",
);
const OTHER_DESTINATION: Choice = choice(
    Deed::ReturnToPool,
    Who::Payer,
    "If the payee is to be paid elsewhere, return it to the pool and pay its rewards in the next payout: a payment goes only where it was promised to go.",
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
        Deed::Outside,
        Who::Payer,
        "Compare the vendor's own page with the timeline below before anything else: it may have been paid after all.",
    ),
    choice(
        Deed::SettleByHand,
        Who::Payer,
        "If the vendor did pay it, settle it by hand as made, under the id that the vendor gives it.",
    ),
    choice(
        Deed::SettleByHand,
        Who::Payer,
        "If it did not, or took it back, settle it by hand as not made; then it can be resubmitted or returned to the pool. Where the vendor cannot be looked through for it, this takes two people.",
    ),
    choice(
        Deed::SettleByHand,
        Who::Payer,
        "If Stripe has a transfer of it beside a later one: while its money lies in the payee's Stripe balance, reverse it at Stripe and settle it as not made. If it has gone from there, two people settle it as made, and it comes off the payee's next claim.",
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
        Deed::ReturnToPool,
        Who::Payer,
        "Return it to the pool and pay its rewards in the next payout: the payee has another destination now, and a payment goes only where it was promised to go. What lies in a Stripe balance is asked back first.",
    ),
    OUTSIDE,
];

/// The options for a payment whose record cannot be processed.
#[must_use]
pub fn set_aside() -> &'static [Choice] {
    const {
        &[choice(
            Deed::Wait,
            Who::Admin,
            "Have whoever looks after Bursar put the record right; it says here what is wrong with it. It is tried again every hour, and nothing more is sent for it meanwhile.",
        )]
    }
}

const QUEUED: &[Choice] = &[choice(
    Deed::Wait,
    Who::Nobody,
    "Wait: it is sent within seconds, or as soon as the gate above opens.",
)];

const SENDING: &[Choice] = &[choice(Deed::Wait, Who::Nobody, "Wait: the request is on its way."), ASK_NOW];

const PROCESSING: &[Choice] = &[choice(Deed::Wait, Who::Vendor, "Wait: PayPal is working on it."), ASK_NOW];

const IN_TRANSIT: &[Choice] =
    &[choice(Deed::Wait, Who::Vendor, "Wait: the bank payout takes some business days."), ASK_NOW];

const TRANSFERRED: &[Choice] = &[choice(
    Deed::Wait,
    Who::Vendor,
    "Wait: the bank payout is made as soon as Stripe makes the money available, which can take a day.",
)];

const ON_HOLD: &[Choice] = &[
    choice(Deed::Wait, Who::Vendor, "Wait: PayPal reviews it, and may ask the partner or us for something."),
    ASK_NOW,
];

const SUCCESS: &[Choice] = &[choice(
    Deed::Wait,
    Who::Nobody,
    "Nothing: it is paid. It can still come back for some days; Bursar keeps looking and tells you.",
)];

const RECALLING: &[Choice] = &[choice(
    Deed::Wait,
    Who::Vendor,
    "Wait: Stripe is asked to give the transfer back; its rewards are free when it has.",
)];

const RECALLED: &[Choice] = &[choice(
    Deed::Outside,
    Who::Preparer,
    "The money is back with us and its rewards are in the pool: pay them in another payout.",
)];

const UNKNOWN: &[Choice] = &[
    choice(
        Deed::Wait,
        Who::Nobody,
        "Wait: Bursar asks again under the same key, which cannot pay twice, until it knows. Do not pay it another way meanwhile.",
    ),
    ASK_NOW,
];

const REVIEW: &[Choice] = &[
    choice(
        Deed::Outside,
        Who::Payer,
        "Look for the payment at the vendor by the key of its last attempt; ask the vendor where that is not enough.",
    ),
    choice(
        Deed::SettleByHand,
        Who::Payer,
        "Settle it by hand with what you found. If it was made, its object is read at the vendor before anything is recorded; if it was not, the vendor is asked first, and where it cannot be looked through for this payment it takes two people.",
    ),
    choice(Deed::Refresh, Who::Payer, "Refresh lets Bursar look for it once more."),
];

const UNCLAIMED: &[Choice] = &[
    choice(
        Deed::Outside,
        Who::Partner,
        "Ask the partner to open or confirm their PayPal account with exactly this address: then the money is theirs at once.",
    ),
    choice(Deed::Wait, Who::Vendor, "Wait: what nobody claims comes back by itself after 30 days."),
    choice(
        Deed::CancelUnclaimed,
        Who::Payer,
        "If the address is wrong, cancel it at PayPal: another address in the payee's profile does not redirect it. Only when PayPal says that the money is back can it be paid again.",
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
        Deed::ReturnToPool,
        Who::Payer,
        "Have the right destination entered, return this payment to the pool and pay its rewards in the next payout: a payment goes only where it was promised to go.",
    ),
    choice(
        Deed::Resubmit,
        Who::Payer,
        "Resubmit only if the destination it was promised to is right after all: nothing was paid, and the new attempt has a new key.",
    ),
    OUTSIDE,
];

const OTHER_AMOUNT: &[Choice] = &[
    choice(
        Deed::ReturnToPool,
        Who::Payer,
        "Return it to the pool and pay its rewards with others, or apart from others, so that the vendor pays the amount.",
    ),
    choice(
        Deed::Resubmit,
        Who::Payer,
        "Resubmit only if the vendor pays this amount now: nothing was paid, and the new attempt has a new key.",
    ),
    OUTSIDE,
];

const FAILED: &[Choice] = &[
    choice(
        Deed::Resubmit,
        Who::Payer,
        "Put right what the reason names, then resubmit: nothing was paid, and the new attempt has a new key.",
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
        Deed::Resubmit,
        Who::Payer,
        "Look at the vendor once more, then resubmit. People have called it not made: if the vendor made it after all, this pays it a second time. Bursar looks as well, where the vendor can be looked through, and stops if it finds it.",
    ),
    choice(
        Deed::ReturnToPool,
        Who::Payer,
        "If the payee is to be paid elsewhere, return it to the pool and pay its rewards in the next payout. The same look comes before that.",
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
    Deed::Resubmit,
    Who::Payer,
    "Then resubmit: only the bank payout is made again, never a second transfer.",
);
const GIVE_BACK: Choice = choice(
    Deed::ReturnToPool,
    Who::Payer,
    "If they are to be paid some other way, return it to the pool: Stripe is asked to give the transfer back first.",
);

const SETTLE_PARKED: Choice = choice(
    Deed::SettleParked,
    Who::Payer,
    "If Stripe can neither pay it out nor give it back, because the balance was spent or the account is closed to us, two people settle it with evidence.",
);

const BANK_REFUSED: &[Choice] = &[
    choice(
        Deed::Outside,
        Who::Partner,
        "Ask the partner to correct their bank details at Stripe. The money lies in their Stripe balance and is not lost.",
    ),
    THEN_RESUBMIT,
    GIVE_BACK,
    SETTLE_PARKED,
];

const BANK_FAILED: &[Choice] = &[
    choice(
        Deed::Resubmit,
        Who::Payer,
        "Resubmit: only the bank payout is made again. If it fails again, ask the partner to talk to their bank.",
    ),
    GIVE_BACK,
    SETTLE_PARKED,
];

const ACCOUNT_UNFINISHED: &[Choice] = &[
    choice(
        Deed::Outside,
        Who::Partner,
        "Ask the partner to finish what Stripe asks of them. The money lies in their Stripe balance and is not lost.",
    ),
    THEN_RESUBMIT,
    GIVE_BACK,
    SETTLE_PARKED,
];

const ACCOUNT_UNKNOWN: &[Choice] = &[
    choice(
        Deed::Outside,
        Who::Partner,
        "Ask the partner to connect their account again. The money lies in its Stripe balance; Stripe can say what became of it.",
    ),
    THEN_RESUBMIT,
    GIVE_BACK,
    SETTLE_PARKED,
];

const AMOUNT: &[Choice] = &[
    choice(
        Deed::ReturnToPool,
        Who::Payer,
        "Return it to the pool and pay its rewards with others, or apart from others, so that Stripe pays the amount. Stripe is asked to give the transfer back first.",
    ),
    choice(
        Deed::Resubmit,
        Who::Payer,
        "Resubmit only if Stripe pays this amount now: only the bank payout is made again.",
    ),
    SETTLE_PARKED,
];

const LIMIT: &[Choice] = &[
    choice(
        Deed::Resubmit,
        Who::Payer,
        "Resubmit tomorrow, when Stripe counts anew: only the bank payout is made again. If it happens again, ask Stripe to raise the limit.",
    ),
    GIVE_BACK,
    SETTLE_PARKED,
];

const FUNDS: &[Choice] = &[
    choice(
        Deed::Resubmit,
        Who::Payer,
        "Resubmit once the money is available in the payee's Stripe balance: only the bank payout is made again.",
    ),
    GIVE_BACK,
    SETTLE_PARKED,
];

const NOT_PAID_OUT: &[Choice] = &[
    choice(
        Deed::Outside,
        Who::Payer,
        "Settle what the reason names, with Stripe or the partner. The money lies in the payee's Stripe balance and is not lost.",
    ),
    THEN_RESUBMIT,
    GIVE_BACK,
    SETTLE_PARKED,
];

const CANCELED: &[Choice] = &[
    choice(
        Deed::Resubmit,
        Who::Payer,
        "If it should be paid, resubmit: the money lies in the payee's Stripe balance, and only the bank payout is made again.",
    ),
    choice(
        Deed::ReturnToPool,
        Who::Payer,
        "If it should not, return it to the pool: Stripe is asked to give the transfer back first.",
    ),
    SETTLE_PARKED,
];

const RETURNED: &[Choice] = &[
    choice(
        Deed::Outside,
        Who::Partner,
        "Ask the partner to open or confirm their PayPal account with this address, or to give another destination.",
    ),
    choice(Deed::Resubmit, Who::Payer, "If they keep this address, resubmit: a new attempt with a new key."),
    OTHER_DESTINATION,
    OUTSIDE,
];

const BLOCKED: &[Choice] = &[
    choice(
        Deed::Outside,
        Who::Admin,
        "Ask PayPal why it stopped the payment, before paying this payee any other way.",
    ),
    OTHER_DESTINATION,
    choice(Deed::Resubmit, Who::Payer, "If PayPal says that nothing stands in the way any more, resubmit."),
    OUTSIDE,
];

const REFUNDED: &[Choice] = &[
    choice(Deed::Outside, Who::Payer, "Ask the partner why they sent the money back."),
    OTHER_DESTINATION,
    choice(Deed::Resubmit, Who::Payer, "If they want it after all at the same address, resubmit."),
    OUTSIDE,
];

const REVERSED: &[Choice] = &[
    choice(Deed::Outside, Who::Admin, "Ask the vendor why the money was taken back from the partner."),
    OTHER_DESTINATION,
    choice(
        Deed::Resubmit,
        Who::Payer,
        "If the vendor says that nothing stands in the way any more, resubmit.",
    ),
    OUTSIDE,
];

const WRITTEN_OFF: &[Choice] = &[
    choice(
        Deed::ReturnToPool,
        Who::Payer,
        "Return it to the pool: the payee is still owed, and its rewards are paid by a new payment.",
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
        let deeds = |vendor| contradicted(vendor).iter().map(|choice| choice.deed).collect::<Vec<_>>();
        let three = [Deed::Outside, Deed::SettleByHand, Deed::SettleByHand];
        assert_eq!(deeds(Vendor::PayPal), three);
        assert_eq!(deeds(Vendor::Stripe), [&three[..], &[Deed::SettleByHand]].concat());
        assert!(contradicted(Vendor::PayPal).iter().all(|choice| !choice.words.contains("Stripe")));
        assert!(contradicted(Vendor::Stripe).iter().all(|choice| choice.who == Who::Payer));
        let amount = Money::new(100, Currency::USD);
        let payee = Payee::Partner(PartnerId::fresh(0, 1));
        let terms = Terms { payee, vendor: Vendor::PayPal, amount, net: amount };
        for choice in not_made() {
            assert!(!choice.words.contains("nothing was paid"), "only people say so");
        }
        let offered: Vec<Deed> = not_made().iter().map(|choice| choice.deed).collect();
        assert_eq!(offered, [Deed::Resubmit, Deed::ReturnToPool, Deed::MarkPaidOutside]);
        assert!(law::resubmit(State::Failed, &terms).is_ok() && law::return_to_pool(State::Failed).is_ok());
        assert!(law::mark_paid_outside(State::Failed, &terms).is_ok());
        let aside: Vec<(Deed, Who)> = set_aside().iter().map(|choice| (choice.deed, choice.who)).collect();
        assert_eq!(aside, [(Deed::Wait, Who::Admin)]);
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
            let offers = |deed| choices(state, cause).iter().any(|choice| choice.deed == deed);
            assert!(!choices(state, cause).is_empty(), "{state:?}");
            let pay_elsewhere = cause == Some(Cause::Amount);
            let bank = choices(state, cause).iter().any(|choice| choice.words.contains("bank details"));
            assert!(!(pay_elsewhere && bank), "nothing is wrong with the bank: {state:?}");
            // Its rewards were freed at the same time, so it is closed.
            if state != State::Recalled {
                assert_eq!(offers(Deed::Resubmit), law::resubmit(state, &terms).is_ok(), "{state:?}");
                assert_eq!(offers(Deed::ReturnToPool), law::return_to_pool(state).is_ok(), "{state:?}");
                let outside = law::mark_paid_outside(state, &terms).is_ok();
                assert_eq!(offers(Deed::MarkPaidOutside), outside, "{state:?}");
            }
            let waits_for_a_person = matches!(state, State::Review | State::PayoutReview);
            assert_eq!(offers(Deed::SettleByHand), waits_for_a_person, "{state:?}");
            assert_eq!(offers(Deed::CancelUnclaimed), state == State::Unclaimed, "{state:?}");
            let parked = law::settle_parked(state, &terms, law::Parked::GivenUp).is_ok();
            assert_eq!(offers(Deed::SettleParked), parked, "{state:?}");
        }
    }
}
