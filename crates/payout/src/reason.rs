//! What a vendor's code means for the person who reads it: plain words, who must act, and the remedy.
//!
//! The codes are the vendors' own (Stripe: error codes and a payout's `failure_code`; PayPal: `errors.name`) or ours. A
//! code that is not listed keeps the vendor's words and is sent to the payer: an unknown word is never hidden.

use crate::eligibility::{Code, Who};

/// A reason as it is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Explanation {
    /// What happened; `None` when only the vendor's own words are known.
    pub message: Option<&'static str>,
    /// What to do.
    pub remedy: &'static str,
    /// Who must do it.
    pub who: Who,
}

const fn told(message: &'static str, remedy: &'static str, who: Who) -> Explanation {
    Explanation { message: Some(message), remedy, who }
}

const NEW_BANK: &str = "Ask the partner to correct his bank details at Stripe, then resubmit: only the bank payout is made again.";
const NEW_RECEIVER: &str = "Ask the partner to put his PayPal account right, then resubmit. If he is to be paid elsewhere, return it to the pool: a payment goes only where it was promised to go.";
const TOP_UP: &str = "Add money at the vendor, then resubmit.";

/// Explains a reason's code.
#[must_use]
pub fn explain(code: &str) -> Explanation {
    if let Some(blocker) = Code::parse(code) {
        return told(blocker.message(), blocker.remedy(), blocker.who());
    }
    stripe(code).or_else(|| paypal(code)).or_else(|| ours(code)).unwrap_or(Explanation {
        message: None,
        remedy: "Read the vendor's words, settle it with the partner or the vendor, then resubmit or return it to the pool.",
        who: Who::Payer,
    })
}

/// What Stripe's name for a detail of a connected account that it still needs means (`requirements.currently_due`).
/// A name that is not known is shown as it is.
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

/// What Stripe's reason for restricting a connected account means (`requirements.disabled_reason`).
#[must_use]
pub fn restriction(code: &str) -> &str {
    match code {
        "requirements.past_due" => "details that Stripe asked for are missing",
        "requirements.pending_verification" => {
            "Stripe is checking the details; nothing need be done meanwhile"
        }
        "action_required.requested_capabilities" => "the form at Stripe is not finished",
        "under_review" | "listed" => "Stripe is looking at the account",
        "platform_paused" => "payments to this account were paused by us",
        "other" => "Stripe restricts the account",
        _ if code.starts_with("rejected.") => "Stripe has refused the account",
        _ => code,
    }
}

fn stripe(code: &str) -> Option<Explanation> {
    Some(match code {
        "account_closed" | "bank_account_unusable" => {
            told("The partner's bank account is closed.", NEW_BANK, Who::Partner)
        }
        "no_account"
        | "invalid_account_number"
        | "invalid_account_number_length"
        | "incorrect_account_type" => {
            told("The bank does not know the partner's account number.", NEW_BANK, Who::Partner)
        }
        "account_frozen" | "bank_account_restricted" | "debit_not_authorized" | "bank_ownership_changed" => {
            told("The partner's bank does not accept money on this account.", NEW_BANK, Who::Partner)
        }
        "incorrect_account_holder_name"
        | "incorrect_account_holder_address"
        | "incorrect_account_holder_tax_id"
        | "incorrect_account_holder_details" => told(
            "The name or details of the account's holder do not match the bank's.",
            NEW_BANK,
            Who::Partner,
        ),
        "invalid_currency" | "unsupported_card" => {
            told("The partner's bank does not accept this currency.", NEW_BANK, Who::Partner)
        }
        "could_not_process" | "declined" => told(
            "The bank could not process the payout.",
            "Resubmit; if it fails again, ask the partner to talk to his bank.",
            Who::Payer,
        ),
        "insufficient_funds" | "balance_insufficient" => {
            told("There was not enough available money for this payment; nothing moved.", TOP_UP, Who::Payer)
        }
        "insufficient_capabilities_for_transfer"
        | "transfers_not_allowed"
        | "payouts_not_allowed"
        | "capability_not_active" => told(
            "Stripe does not yet allow payments to this account.",
            "Ask the partner to finish what Stripe asks of him, then resubmit.",
            Who::Partner,
        ),
        "account_invalid" | "resource_missing" => told(
            "Stripe does not know this account, or it is no longer connected to us.",
            "Ask the partner to connect his account again, then resubmit.",
            Who::Partner,
        ),
        "amount_too_small" | "amount_too_large" | "payouts_limit_exceeded" => told(
            "Stripe does not pay this amount.",
            "Return it to the pool and pay it together with, or apart from, other rewards.",
            Who::Preparer,
        ),
        _ => return None,
    })
}

fn paypal(code: &str) -> Option<Explanation> {
    Some(match code {
        "RECEIVER_UNREGISTERED" | "RECEIVER_UNCONFIRMED" => told(
            "The address has no confirmed PayPal account yet; PayPal holds the money for up to 30 days.",
            "Ask the partner to open or confirm his PayPal account with this address.",
            Who::Partner,
        ),
        "RECEIVER_ACCOUNT_LOCKED"
        | "RECEIVER_ACCOUNT_LIMITATION"
        | "RECEIVER_REFUSED"
        | "REFUSED_RECEIVER_REFUSED"
        | "RECEIVER_COUNTRY_NOT_ALLOWED"
        | "RECEIVER_STATE_RESTRICTED"
        | "RECEIVER_YOUTH_ACCOUNT"
        | "RECEIVING_LIMIT_EXCEEDED"
        | "UNVERIFIED_RECIPIENT_NOT_SUPPORTED"
        | "INVALID_EMAIL"
        | "INVALID_EMAIL_ID"
        | "CLOSED_MARKET"
        | "CURRENCY_NOT_SUPPORTED_FOR_RECEIVER"
        | "CURRENCY_COMPLIANCE"
        | "SELF_PAY_NOT_ALLOWED"
        | "GAMER_FAILED_COUNTRY_OF_RESIDENCE_CHECK" => {
            told("PayPal cannot pay this receiver.", NEW_RECEIVER, Who::Partner)
        }
        "INSUFFICIENT_FUNDS" | "NEGATIVE_BALANCE" | "NON_HOLDING_CURRENCY" => {
            told("Our PayPal balance did not cover this payment; nothing moved.", TOP_UP, Who::Payer)
        }
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
            "PayPal does not let our account make this payment.",
            "Settle it with PayPal, then resubmit.",
            Who::Admin,
        ),
        "SPENDING_LIMIT_EXCEEDED" | "POS_LIMIT_EXCEEDED" | "TRANSACTION_LIMIT_EXCEEDED" => told(
            "The payment is over a limit of our PayPal account.",
            "Raise the limit at PayPal, then resubmit, or return it to the pool and pay it in parts.",
            Who::Payer,
        ),
        "RISK_DECLINE" | "REGULATORY_BLOCKED" | "TRANSACTION_DECLINED_BY_TRAVEL_RULE" => told(
            "PayPal declined the payment for reasons of risk or law.",
            "Talk to PayPal and the partner before paying another way.",
            Who::Admin,
        ),
        "INTERNAL_ERROR" | "UNDEFINED" => {
            told("PayPal failed inside; nothing moved.", "Resubmit.", Who::Payer)
        }
        _ => return None,
    })
}

fn ours(code: &str) -> Option<Explanation> {
    Some(match code {
        "not_found_at_vendor" => told(
            "The vendor gave no answer, and two later looks found no such payment there: nothing moved.",
            "Resubmit.",
            Who::Payer,
        ),
        "not_made" => told(
            "A person found out from the vendor that this was not carried out.",
            "Resubmit it, or return its rewards to the pool.",
            Who::Payer,
        ),
        "batch_denied" => told(
            "PayPal denied the whole batch; nothing moved.",
            "Check our PayPal balance and account, then resubmit.",
            Who::Payer,
        ),
        "batch_canceled" => told(
            "The batch was canceled at PayPal; nothing moved.",
            "Resubmit if it should still be paid.",
            Who::Payer,
        ),
        "returned" => told("The money was not claimed and came back.", NEW_RECEIVER, Who::Partner),
        "needs_review" => told(
            "Bursar cannot find out by itself whether the vendor carried this out.",
            "Look for the payment at the vendor by its key, ask the vendor where that is not enough, then settle it by hand.",
            Who::Payer,
        ),
        _ => return None,
    })
}
