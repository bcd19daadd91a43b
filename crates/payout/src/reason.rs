//! What a vendor's code means for people: a plain message, who must act, and the remedy.
//!
//! The codes are the vendors' (Stripe: error codes and a payout's `failure_code`; PayPal: `errors.name`) or ours. An
//! unknown code keeps the vendor's words and goes to the payer: it is never hidden.

use crate::eligibility::{Code, Who};
use crate::spelling::spelled;
use crate::transaction::State;

spelled! {
    /// The kind of problem. It determines what can be done about a payment (`remedy`) and what its receiver is told:
    /// what our own people are told would not help them.
    Cause {
        /// The bank account is closed.
        AccountClosed = "account_closed",
        /// The account number is wrong.
        WrongNumber = "wrong_number",
        /// The bank does not accept money on the account.
        BankRefuses = "bank_refuses",
        /// The account holder does not match.
        WrongHolder = "wrong_holder",
        /// The account has another currency.
        WrongCurrency = "wrong_currency",
        /// The bank could not process it this time.
        BankFailed = "bank_failed",
        /// The account has not met Stripe's requirements yet.
        AccountUnfinished = "account_unfinished",
        /// Stripe does not know the account, or it is no longer connected.
        AccountUnknown = "account_unknown",
        /// The amount is too small or too large for a single payment.
        Amount = "amount",
        /// The vendor's daily limit is used up.
        Limit = "limit",
        /// The frozen destination cannot be paid: the address is wrong, or the payee has another one now.
        Destination = "destination",
        /// The receiver returned the payment.
        SentBack = "sent_back",
        /// The vendor took it back from the receiver.
        TakenBack = "taken_back",
        /// PayPal has no confirmed account for the address.
        Unregistered = "unregistered",
        /// PayPal cannot pay the receiver's account.
        ReceiverCannot = "receiver_cannot",
        /// Nobody claimed it; no reason is known.
        NotClaimed = "not_claimed",
        /// The vendor balance did not cover it.
        Funds = "funds",
        /// The vendor is reviewing it.
        Held = "held",
        /// The outcome is not known yet.
        Unclear = "unclear",
        /// We have to resolve it.
        Ours = "ours",
    }
}

impl Cause {
    /// The kind of problem behind a reason's code.
    #[must_use]
    pub fn of(code: &str) -> Self {
        explain(code).cause
    }
}

/// The explanation of a reason, for our own people.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Explanation {
    /// The kind of problem.
    pub cause: Cause,
    /// What happened; `None` if only the vendor's own words are known.
    pub message: Option<&'static str>,
    /// The remedy, as a sentence.
    pub remedy: &'static str,
    /// Who must act on it.
    pub who: Who,
}

const fn told(cause: Cause, message: &'static str, remedy: &'static str, who: Who) -> Explanation {
    Explanation { cause, message: Some(message), remedy, who }
}

const NEW_BANK: &str = "Ask the partner to correct their bank details at Stripe, then resubmit: only the bank payout is made again.";
const NEW_RECEIVER: &str = "Ask the partner to fix their PayPal account, then resubmit. To pay them at another destination, return it to the pool: a payment's own destination never changes.";
const OTHER_ADDRESS: &str = "Ask the partner for the right address and have it entered, then return this payment to the pool and pay its rewards in the next payout: a payment's own destination never changes.";
const OTHER_WAY: &str = "Ask the partner to choose another way to be paid, then return this payment to the pool and pay its rewards in the next payout: a payment's own destination never changes.";
const TOP_UP: &str = "Add money at the vendor, then resubmit.";

/// Explains a reason's code. Unknown codes go to the payer without a message.
#[must_use]
pub fn explain(code: &str) -> Explanation {
    if let Some(blocker) = Code::parse(code) {
        let cause = if blocker == Code::DestinationChanged {
            Cause::Destination
        } else if blocker == Code::SetAside {
            Cause::Unclear
        } else {
            Cause::Ours
        };
        return told(cause, blocker.message(), blocker.remedy(), blocker.who());
    }
    stripe(code).or_else(|| paypal(code)).or_else(|| ours(code)).unwrap_or(Explanation {
        cause: Cause::Ours,
        message: None,
        remedy: "Read what the vendor says, resolve it with the partner or the vendor, then resubmit or return it to the pool.",
        who: Who::Payer,
    })
}

/// Whether its money is in the payee's Stripe balance, on its way to the bank.
fn at_stripe(state: State) -> bool {
    matches!(state, State::Transferred | State::PayoutSending | State::PayoutUnknown | State::PayoutReview)
}

/// Explains the reason of a payment in this state: where the money is determines what can be done.
#[must_use]
pub fn explain_at(code: &str, state: State) -> Explanation {
    let explained = explain(code);
    let parked = matches!(state, State::PayoutFailed | State::PayoutCanceled);
    match explained.cause {
        Cause::Funds if parked => told(
            Cause::Funds,
            "There was not enough available money in the payee's Stripe balance for the payout to their bank.",
            "Wait until the money is available there, then resubmit: only the bank payout is made again.",
            Who::Payer,
        ),
        Cause::Funds if at_stripe(state) => told(
            Cause::Funds,
            "There was not enough available money in the payee's Stripe balance yet for the payout to their bank.",
            "Wait: Stripe makes the money available within a day or two, and Bursar then starts the payout by itself. If it does not, Bursar looks for the money and says so.",
            Who::Vendor,
        ),
        Cause::Amount if parked => Explanation {
            remedy: "Return it to the pool: Stripe is asked to give the transfer back first. Then pay its rewards together with others, or in parts.",
            ..explained
        },
        Cause::Unregistered if state == State::Returned => Explanation {
            remedy: "Ask the partner to open or confirm their PayPal account with this address, then resubmit.",
            ..explained
        },
        Cause::AccountClosed
        | Cause::WrongNumber
        | Cause::BankRefuses
        | Cause::WrongHolder
        | Cause::WrongCurrency
        | Cause::BankFailed
        | Cause::AccountUnfinished
        | Cause::AccountUnknown
        | Cause::Amount
        | Cause::Limit
        | Cause::Destination
        | Cause::SentBack
        | Cause::TakenBack
        | Cause::Unregistered
        | Cause::ReceiverCannot
        | Cause::NotClaimed
        | Cause::Funds
        | Cause::Held
        | Cause::Unclear
        | Cause::Ours => explained,
    }
}

/// Whether a code is only the status of a PayPal item without a reason. It explains nothing, so a previously known
/// reason is better.
#[must_use]
pub fn is_bare_status(code: &str) -> bool {
    matches!(
        code,
        "FAILED"
            | "RETURNED"
            | "BLOCKED"
            | "ONHOLD"
            | "UNCLAIMED"
            | "DENIED"
            | "CANCELED"
            | "REFUNDED"
            | "REVERSED"
    )
}

/// The plain name of a detail Stripe still requires for a connected account (`requirements.currently_due`). An unknown
/// name is returned unchanged.
#[must_use]
pub fn requirement(field: &str) -> &str {
    let last = field.rsplit('.').next().unwrap_or(field);
    let of = |starts: &[&str]| starts.iter().any(|start| field.starts_with(start));
    if field == "external_account" {
        return "a bank account or debit card";
    }
    if of(&["tos_acceptance"]) {
        return "consent to its terms";
    }
    if field.contains("verification") {
        return "a document that proves who it is";
    }
    if field.contains(".dob.") {
        return "a date of birth";
    }
    if field.contains("address") {
        return "an address";
    }
    match last {
        "id_number" | "ssn_last_4" | "tax_id" | "vat_id" | "personal_id_number" => "a tax or identity number",
        "first_name" | "last_name" | "name" => "a name",
        "email" => "an e-mail address",
        "phone" => "a telephone number",
        "mcc" | "url" | "product_description" => "what the business does",
        "owners_provided" | "directors_provided" | "executives_provided" => {
            "the people who own or lead the company"
        }
        _ if of(&["representative", "owners", "directors", "executives", "relationship", "person_"]) => {
            "details of the people who own or lead the company"
        }
        _ if of(&["company", "business_profile", "business_type"]) => "details of the company",
        _ => field,
    }
}

/// The plain meaning of Stripe's reason for restricting a connected account (`requirements.disabled_reason`). An
/// unknown code is returned unchanged.
#[must_use]
pub fn restriction(code: &str) -> &str {
    match code {
        "requirements.past_due" => "details that Stripe asked for are missing",
        "requirements.pending_verification" => "Stripe is checking the details; no action is needed",
        "action_required.requested_capabilities" => "the form at Stripe is not finished",
        "under_review" | "listed" => "Stripe is reviewing the account",
        "platform_paused" => "we paused payments to this account",
        "other" => "Stripe restricts the account",
        _ if code.starts_with("rejected.") => "Stripe has refused the account",
        _ => code,
    }
}

fn stripe(code: &str) -> Option<Explanation> {
    bank(code).or_else(|| account(code))
}

/// What the payee's bank reports about a payout.
fn bank(code: &str) -> Option<Explanation> {
    let partner = |cause, message, remedy| told(cause, message, remedy, Who::Partner);
    Some(match code {
        "account_closed" => partner(Cause::AccountClosed, "The partner's bank account is closed.", NEW_BANK),
        "no_account"
        | "invalid_account_number"
        | "invalid_account_number_length"
        | "incorrect_account_type"
        | "bank_ownership_changed" => {
            partner(Cause::WrongNumber, "The bank does not recognize the partner's account number.", NEW_BANK)
        }
        "account_frozen"
        | "bank_account_restricted"
        | "bank_account_unusable"
        | "debit_not_authorized"
        | "unsupported_card"
        | "declined" => {
            partner(Cause::BankRefuses, "The partner's bank does not accept money on this account.", NEW_BANK)
        }
        "incorrect_account_holder_name"
        | "incorrect_account_holder_address"
        | "incorrect_account_holder_tax_id"
        | "incorrect_account_holder_details" => partner(
            Cause::WrongHolder,
            "The account holder's name or details do not match the bank's records.",
            NEW_BANK,
        ),
        "invalid_currency" => {
            partner(Cause::WrongCurrency, "The partner's bank does not accept this currency.", NEW_BANK)
        }
        "payout_reversed" => told(
            Cause::TakenBack,
            "The bank payout was reversed at Stripe, and the partner's bank gave the money back.",
            "Find out who reversed it, and why, before anything is sent again: the money is in the partner's Stripe balance.",
            Who::Payer,
        ),
        "could_not_process" => told(
            Cause::BankFailed,
            "The bank could not process the payout.",
            "Resubmit; if it fails again, ask the partner to talk to their bank.",
            Who::Payer,
        ),
        _ => return None,
    })
}

/// What Stripe itself reports about a transfer or a payout.
fn account(code: &str) -> Option<Explanation> {
    let partner = |cause, message, remedy| told(cause, message, remedy, Who::Partner);
    Some(match code {
        "insufficient_funds" | "balance_insufficient" => told(
            Cause::Funds,
            "There was not enough available money at Stripe for this payment.",
            TOP_UP,
            Who::Payer,
        ),
        "insufficient_capabilities_for_transfer"
        | "transfers_not_allowed"
        | "payouts_not_allowed"
        | "capability_not_active" => partner(
            Cause::AccountUnfinished,
            "Stripe does not yet allow payments to this account.",
            "Ask the partner to finish what Stripe asks of them, then resubmit.",
        ),
        "account_invalid" | "resource_missing" => partner(
            Cause::AccountUnknown,
            "Stripe does not know this account, or it is no longer connected to us.",
            "Ask the partner to connect their account again, then resubmit.",
        ),
        "amount_too_small" => told(
            Cause::Amount,
            "The amount is below Stripe's minimum payout in this currency. Nothing is wrong with the partner's bank.",
            "Return it to the pool and pay it together with other rewards.",
            Who::Payer,
        ),
        // Stripe limits the total paid out per day, whatever the amount of this payout (its list of error codes).
        "payouts_limit_exceeded" => told(
            Cause::Limit,
            "Stripe's daily payout limit is used up. Nothing is wrong with the amount or the partner's bank.",
            "Resubmit tomorrow; if it happens again, ask Stripe to raise the limit.",
            Who::Payer,
        ),
        "amount_too_large" => told(
            Cause::Amount,
            "The amount is above Stripe's maximum for a single payout. Nothing is wrong with the partner's bank.",
            "Return it to the pool and pay it in parts.",
            Who::Payer,
        ),
        _ => return None,
    })
}

fn paypal(code: &str) -> Option<Explanation> {
    receiver(code).or_else(|| sender(code)).or_else(|| status(code))
}

/// What PayPal reports about the receiver.
fn receiver(code: &str) -> Option<Explanation> {
    Some(match code {
        "RECEIVER_UNREGISTERED" | "RECEIVER_UNCONFIRMED" => told(
            Cause::Unregistered,
            "The address has no confirmed PayPal account.",
            "Ask the partner to open or confirm their PayPal account with this address.",
            Who::Partner,
        ),
        "RECEIVER_ACCOUNT_LOCKED" | "RECEIVER_ACCOUNT_LIMITATION" | "UNVERIFIED_RECIPIENT_NOT_SUPPORTED" => {
            told(Cause::ReceiverCannot, "PayPal cannot pay this receiver.", NEW_RECEIVER, Who::Partner)
        }
        "RECEIVER_REFUSED" | "REFUSED_RECEIVER_REFUSED" => {
            told(Cause::ReceiverCannot, "The receiver refused the payment.", NEW_RECEIVER, Who::Partner)
        }
        "RECEIVING_LIMIT_EXCEEDED" => told(
            Cause::ReceiverCannot,
            "The receiver's PayPal account has reached its receiving limit.",
            NEW_RECEIVER,
            Who::Partner,
        ),
        "CURRENCY_NOT_SUPPORTED_FOR_RECEIVER" | "CURRENCY_COMPLIANCE" => told(
            Cause::ReceiverCannot,
            "The receiver's PayPal account does not accept this currency.",
            NEW_RECEIVER,
            Who::Partner,
        ),
        "RECEIVER_COUNTRY_NOT_ALLOWED"
        | "RECEIVER_STATE_RESTRICTED"
        | "RECEIVER_YOUTH_ACCOUNT"
        | "CLOSED_MARKET"
        | "GAMER_FAILED_COUNTRY_OF_RESIDENCE_CHECK" => told(
            Cause::Destination,
            "PayPal does not pay to any account of this country or kind.",
            OTHER_WAY,
            Who::Partner,
        ),
        "INVALID_EMAIL" | "INVALID_EMAIL_ID" => told(
            Cause::Destination,
            "PayPal says that it cannot pay to this address.",
            OTHER_ADDRESS,
            Who::Partner,
        ),
        "SELF_PAY_NOT_ALLOWED" => told(
            Cause::Destination,
            "This is the address of our own PayPal account, which cannot pay itself.",
            OTHER_ADDRESS,
            Who::Partner,
        ),
        _ => return None,
    })
}

/// What PayPal reports about our own account and about the payment itself.
fn sender(code: &str) -> Option<Explanation> {
    Some(match code {
        "INSUFFICIENT_FUNDS" | "NEGATIVE_BALANCE" | "NON_HOLDING_CURRENCY" => told(
            Cause::Funds,
            "Our PayPal balance did not cover this payment; nothing moved.",
            TOP_UP,
            Who::Payer,
        ),
        "SENDER_ACCOUNT_LOCKED"
        | "SENDER_ACCOUNT_UNVERIFIED"
        | "SENDER_STATE_RESTRICTED"
        | "ACCOUNT_RESTRICTED"
        | "ACCOUNT_UNCONFIRMED_EMAIL"
        | "USER_COUNTRY_NOT_ALLOWED"
        | "USER_FUNDING_SOURCE_INELIGIBLE"
        | "REFUSED_ACCESS_DENIED"
        | "REFUSED_ACTION_DENIED"
        | "APPROVER_DENIED" => told(
            Cause::Ours,
            "PayPal does not let our account make this payment.",
            "Resolve it with PayPal, then resubmit.",
            Who::Admin,
        ),
        "SPENDING_LIMIT_EXCEEDED" | "POS_LIMIT_EXCEEDED" | "TRANSACTION_LIMIT_EXCEEDED" => told(
            Cause::Ours,
            "The payment exceeds a limit of our PayPal account.",
            "Raise the limit at PayPal, then resubmit, or return it to the pool and pay it in parts.",
            Who::Payer,
        ),
        "RISK_DECLINE" | "REGULATORY_BLOCKED" | "TRANSACTION_DECLINED_BY_TRAVEL_RULE" => told(
            Cause::Ours,
            "PayPal declined the payment for risk or regulatory reasons.",
            "Talk to PayPal and the partner before you pay another way.",
            Who::Admin,
        ),
        "INTERNAL_ERROR" | "UNDEFINED" => {
            told(Cause::Ours, "PayPal had an internal error; nothing moved.", "Resubmit.", Who::Payer)
        }
        _ => return None,
    })
}

/// What a PayPal item's status means when it is all we have as a reason.
fn status(code: &str) -> Option<Explanation> {
    Some(match code {
        "UNCLAIMED" => told(
            Cause::NotClaimed,
            "The receiver has not claimed the money yet, and PayPal does not say why.",
            "Ask the partner to open or confirm their PayPal account with this address.",
            Who::Partner,
        ),
        "RETURNED" => {
            told(Cause::NotClaimed, "The money was not claimed and came back.", NEW_RECEIVER, Who::Partner)
        }
        "REFUNDED" => told(
            Cause::SentBack,
            "The receiver sent the money back to us.",
            "Ask the partner why, then resubmit or return it to the pool.",
            Who::Payer,
        ),
        "REVERSED" => told(
            Cause::TakenBack,
            "The vendor took the money back from the receiver and gave no reason.",
            "Ask the vendor why before paying again, then resubmit or return it to the pool.",
            Who::Admin,
        ),
        "BLOCKED" | "DENIED" => told(
            Cause::Ours,
            "PayPal stopped the payment and does not say why.",
            "Ask PayPal, then resubmit or return it to the pool.",
            Who::Admin,
        ),
        "ONHOLD" => told(
            Cause::Held,
            "PayPal is reviewing the payment and does not say why.",
            "Wait; ask PayPal if it takes too long.",
            Who::Vendor,
        ),
        "FAILED" => told(
            Cause::Ours,
            "PayPal did not make the payment and does not say why; nothing moved.",
            "Ask PayPal, then resubmit or return it to the pool.",
            Who::Payer,
        ),
        "CANCELED" => told(
            Cause::Ours,
            "The payment was canceled at PayPal; nothing moved.",
            "Resubmit if it should still be paid.",
            Who::Payer,
        ),
        _ => return None,
    })
}

fn ours(code: &str) -> Option<Explanation> {
    let unclear = |message, remedy| told(Cause::Unclear, message, remedy, Who::Payer);
    let told = |message, remedy| told(Cause::Ours, message, remedy, Who::Payer);
    Some(match code {
        "not_found_at_vendor" => told(
            "The vendor gave no answer, and two later look-ups found no such payment there: nothing moved.",
            "Resubmit.",
        ),
        "not_made" => told(
            "People here settled it as not made. Its timeline says who, and whether the vendor's records could be searched for it.",
            "Resubmit it, or return its rewards to the pool.",
        ),
        "not_shown_by_vendor" => unclear(
            "The vendor once had this payment, but has not shown it for two days.",
            "Find out from the vendor or the payee whether it was paid, then settle it by hand.",
        ),
        "vendor_not_understood" => unclear(
            "For two days Bursar could not tell from what the vendor returned what happened to this payment: it cannot be read, or shows another amount, currency or destination.",
            "Ask the vendor whether it was paid. Refresh makes Bursar ask once more; if that does not help, settle it by hand.",
        ),
        "funds_refused" => unclear(
            "Stripe shows the money as available in the payee's Stripe balance, but has refused for two days to pay it out to their bank.",
            "Ask Stripe why: an account may have to keep a minimum balance. Then settle it by hand as not made, and resubmit it or return it to the pool.",
        ),
        "transfer_reversed_partly" => unclear(
            "Part of the transfer was reversed at Stripe, so the payee's balance holds less than this payment.",
            "Reverse the rest at Stripe as well, then settle it by hand as not made; or have two people settle it.",
        ),
        "asked_back_before_restore" => told(
            "Its transfer was being reversed when the database was restored, and Bursar does not repeat that request by itself.",
            "Return it to the pool once more: Bursar first checks everything that Stripe has for it.",
        ),
        "batch_denied" => told(
            "PayPal denied the whole batch; nothing moved.",
            "Check our PayPal balance and account, then resubmit.",
        ),
        "batch_canceled" => {
            told("The batch was canceled at PayPal; nothing moved.", "Resubmit if it should still be paid.")
        }
        "payout_not_begun" => told(
            "The money is in the payee's Stripe balance, and no bank payout has been started.",
            "Resubmit: only the bank payout is made.",
        ),
        "not_paid_out" => told(
            "The payout to the bank was not made, and Stripe gave no reason.",
            "Look at the payout in Stripe, then resubmit: only the bank payout is made again.",
        ),
        "returned" => return status("RETURNED"),
        "needs_review" => unclear(
            "Bursar cannot find out by itself whether the vendor made this payment.",
            "Look for the payment at the vendor by its key, or ask the vendor, then settle it by hand.",
        ),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every known vendor code: the kind of problem, and who must act. `crates/bursar/tests/it/said.rs` prints the
    /// sentences.
    #[test]
    #[rustfmt::skip]
    fn what_each_code_means_and_who_must_act() {
        let rows: &[(Cause, Who, &[&str])] = &[
            (Cause::AccountClosed, Who::Partner, &["account_closed"]),
            (Cause::WrongNumber, Who::Partner, &[
                "no_account", "invalid_account_number", "invalid_account_number_length", "incorrect_account_type",
                "bank_ownership_changed",
            ]),
            (Cause::BankRefuses, Who::Partner, &[
                "account_frozen", "bank_account_restricted", "bank_account_unusable", "debit_not_authorized",
                "unsupported_card", "declined",
            ]),
            (Cause::WrongHolder, Who::Partner, &[
                "incorrect_account_holder_name", "incorrect_account_holder_address",
                "incorrect_account_holder_tax_id", "incorrect_account_holder_details",
            ]),
            (Cause::WrongCurrency, Who::Partner, &["invalid_currency"]),
            (Cause::BankFailed, Who::Payer, &["could_not_process"]),
            (Cause::AccountUnfinished, Who::Partner, &[
                "insufficient_capabilities_for_transfer", "transfers_not_allowed", "payouts_not_allowed",
                "capability_not_active",
            ]),
            (Cause::AccountUnknown, Who::Partner, &["account_invalid", "resource_missing"]),
            (Cause::Amount, Who::Payer, &["amount_too_small", "amount_too_large"]),
            (Cause::Limit, Who::Payer, &["payouts_limit_exceeded"]),
            (Cause::Destination, Who::Partner, &[
                "RECEIVER_COUNTRY_NOT_ALLOWED", "RECEIVER_STATE_RESTRICTED", "RECEIVER_YOUTH_ACCOUNT", "CLOSED_MARKET",
                "GAMER_FAILED_COUNTRY_OF_RESIDENCE_CHECK", "INVALID_EMAIL", "INVALID_EMAIL_ID", "SELF_PAY_NOT_ALLOWED",
            ]),
            (Cause::Destination, Who::Payer, &["destination_changed"]),
            (Cause::SentBack, Who::Payer, &["REFUNDED"]),
            (Cause::TakenBack, Who::Admin, &["REVERSED"]),
            (Cause::Unregistered, Who::Partner, &["RECEIVER_UNREGISTERED", "RECEIVER_UNCONFIRMED"]),
            (Cause::ReceiverCannot, Who::Partner, &[
                "RECEIVER_ACCOUNT_LOCKED", "RECEIVER_ACCOUNT_LIMITATION", "UNVERIFIED_RECIPIENT_NOT_SUPPORTED",
                "RECEIVER_REFUSED", "REFUSED_RECEIVER_REFUSED", "RECEIVING_LIMIT_EXCEEDED",
                "CURRENCY_NOT_SUPPORTED_FOR_RECEIVER", "CURRENCY_COMPLIANCE",
            ]),
            (Cause::NotClaimed, Who::Partner, &["UNCLAIMED", "RETURNED", "returned"]),
            (Cause::Funds, Who::Payer, &[
                "insufficient_funds", "balance_insufficient", "INSUFFICIENT_FUNDS", "NEGATIVE_BALANCE",
                "NON_HOLDING_CURRENCY",
            ]),
            (Cause::Held, Who::Vendor, &["ONHOLD"]),
            (Cause::Unclear, Who::Payer, &[
                "not_shown_by_vendor", "vendor_not_understood", "funds_refused", "transfer_reversed_partly",
                "needs_review",
            ]),
            (Cause::Unclear, Who::Admin, &["set_aside"]),
            (Cause::Ours, Who::Admin, &[
                "SENDER_ACCOUNT_LOCKED", "SENDER_ACCOUNT_UNVERIFIED", "SENDER_STATE_RESTRICTED", "ACCOUNT_RESTRICTED",
                "ACCOUNT_UNCONFIRMED_EMAIL", "USER_COUNTRY_NOT_ALLOWED", "USER_FUNDING_SOURCE_INELIGIBLE",
                "REFUSED_ACCESS_DENIED", "REFUSED_ACTION_DENIED", "APPROVER_DENIED", "RISK_DECLINE",
                "REGULATORY_BLOCKED", "TRANSACTION_DECLINED_BY_TRAVEL_RULE", "BLOCKED", "DENIED", "partner_on_hold",
            ]),
            (Cause::Ours, Who::Payer, &[
                "SPENDING_LIMIT_EXCEEDED", "POS_LIMIT_EXCEEDED", "TRANSACTION_LIMIT_EXCEEDED", "INTERNAL_ERROR",
                "UNDEFINED", "FAILED", "CANCELED", "not_found_at_vendor", "not_made", "batch_denied",
                "batch_canceled", "not_paid_out", "payout_not_begun", "asked_back_before_restore",
            ]),
        ];
        for (cause, who, codes) in rows {
            for code in *codes {
                let explained = explain(code);
                assert_eq!((explained.cause, explained.who), (*cause, *who), "{code}");
                assert!(explained.message.is_some_and(|message| message.ends_with('.')), "{code}");
            }
        }
    }

    #[test]
    fn a_word_that_is_not_known_goes_to_the_payer_in_the_vendors_own_words() {
        let explained = explain("a_code_of_tomorrow");
        assert_eq!((explained.message, explained.who), (None, Who::Payer));
    }

    /// The remedy depends on where the money is.
    #[test]
    fn where_the_money_lies_changes_what_is_to_be_done() {
        let rows = [
            ("balance_insufficient", State::Failed, "Add money at the vendor"),
            ("balance_insufficient", State::Transferred, "Wait: Stripe makes the money available"),
            ("balance_insufficient", State::PayoutFailed, "only the bank payout is made again"),
            ("balance_insufficient", State::PayoutCanceled, "only the bank payout is made again"),
            ("amount_too_large", State::Failed, "pay it in parts"),
            ("amount_too_large", State::PayoutFailed, "asked to give the transfer back first"),
            (
                "RECEIVER_UNREGISTERED",
                State::Unclaimed,
                "open or confirm their PayPal account with this address.",
            ),
            ("RECEIVER_UNREGISTERED", State::Returned, "with this address, then resubmit."),
        ];
        for (code, state, remedy) in rows {
            let message = explain_at(code, state).remedy;
            assert!(message.ends_with(remedy) || message.contains(remedy), "{code} at {state:?}: {message}");
        }
        let unclaimed = explain_at("RECEIVER_UNREGISTERED", State::Unclaimed).remedy;
        assert!(!unclaimed.contains("resubmit"), "it may still be claimed: {unclaimed}");
    }

    #[test]
    fn a_bare_status_is_no_reason() {
        let bare = [
            "FAILED",
            "RETURNED",
            "BLOCKED",
            "ONHOLD",
            "UNCLAIMED",
            "DENIED",
            "CANCELED",
            "REFUNDED",
            "REVERSED",
        ];
        assert!(bare.into_iter().all(is_bare_status));
        assert!(!is_bare_status("RECEIVER_UNREGISTERED") && !is_bare_status("account_closed"));
    }

    #[test]
    fn what_stripe_still_needs_is_said_in_words() {
        let leads = "details of the people who own or lead the company";
        let lead = "the people who own or lead the company";
        let rows = [
            ("external_account", "a bank account or debit card"),
            ("tos_acceptance.date", "consent to its terms"),
            ("individual.verification.document", "a document that proves who it is"),
            ("individual.dob.year", "a date of birth"),
            ("individual.address.city", "an address"),
            ("individual.id_number", "a tax or identity number"),
            ("individual.ssn_last_4", "a tax or identity number"),
            ("company.tax_id", "a tax or identity number"),
            ("individual.first_name", "a name"),
            ("company.name", "a name"),
            ("individual.email", "an e-mail address"),
            ("company.phone", "a telephone number"),
            ("business_profile.mcc", "what the business does"),
            ("company.owners_provided", lead),
            ("representative.relationship.title", leads),
            ("person_1N.relationship.owner", leads),
            ("company.structure", "details of the company"),
            ("business_type", "details of the company"),
            ("a.field.of_tomorrow", "a.field.of_tomorrow"),
        ];
        for (field, words) in rows {
            assert_eq!(requirement(field), words, "{field}");
        }
        let rows = [
            ("requirements.past_due", "details that Stripe asked for are missing"),
            ("requirements.pending_verification", "Stripe is checking the details; no action is needed"),
            ("action_required.requested_capabilities", "the form at Stripe is not finished"),
            ("under_review", "Stripe is reviewing the account"),
            ("listed", "Stripe is reviewing the account"),
            ("platform_paused", "we paused payments to this account"),
            ("other", "Stripe restricts the account"),
            ("rejected.fraud", "Stripe has refused the account"),
            ("a_reason_of_tomorrow", "a_reason_of_tomorrow"),
        ];
        for (code, words) in rows {
            assert_eq!(restriction(code), words, "{code}");
        }
    }
}
