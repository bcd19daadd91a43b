//! The codes that `payout::reason` documents, by vendor. Not here: their texts.

#[rustfmt::skip]
pub(super) const CODES: [&str; 91] = [
    "account_closed", "no_account", "invalid_account_number", "invalid_account_number_length",
    "incorrect_account_type", "bank_ownership_changed", "account_frozen", "bank_account_restricted",
    "bank_account_unusable", "debit_not_authorized", "unsupported_card", "declined",
    "incorrect_account_holder_name", "incorrect_account_holder_address", "incorrect_account_holder_tax_id",
    "incorrect_account_holder_details", "invalid_currency", "payout_reversed", "could_not_process",
    "insufficient_funds", "balance_insufficient", "insufficient_capabilities_for_transfer",
    "transfers_not_allowed", "payouts_not_allowed", "capability_not_active", "account_invalid",
    "resource_missing", "amount_too_small", "payouts_limit_exceeded", "amount_too_large",
    "RECEIVER_UNREGISTERED", "RECEIVER_UNCONFIRMED", "RECEIVER_ACCOUNT_LOCKED", "RECEIVER_ACCOUNT_LIMITATION",
    "UNVERIFIED_RECIPIENT_NOT_SUPPORTED", "RECEIVER_REFUSED", "REFUSED_RECEIVER_REFUSED",
    "RECEIVING_LIMIT_EXCEEDED", "CURRENCY_NOT_SUPPORTED_FOR_RECEIVER", "CURRENCY_COMPLIANCE",
    "RECEIVER_COUNTRY_NOT_ALLOWED", "RECEIVER_STATE_RESTRICTED", "RECEIVER_YOUTH_ACCOUNT", "CLOSED_MARKET",
    "GAMER_FAILED_COUNTRY_OF_RESIDENCE_CHECK", "INVALID_EMAIL", "INVALID_EMAIL_ID", "SELF_PAY_NOT_ALLOWED",
    "INSUFFICIENT_FUNDS", "NEGATIVE_BALANCE", "NON_HOLDING_CURRENCY", "SENDER_ACCOUNT_LOCKED",
    "SENDER_ACCOUNT_UNVERIFIED", "SENDER_STATE_RESTRICTED", "ACCOUNT_RESTRICTED", "ACCOUNT_UNCONFIRMED_EMAIL",
    "USER_COUNTRY_NOT_ALLOWED", "USER_FUNDING_SOURCE_INELIGIBLE", "REFUSED_ACCESS_DENIED",
    "REFUSED_ACTION_DENIED", "APPROVER_DENIED", "SPENDING_LIMIT_EXCEEDED", "POS_LIMIT_EXCEEDED",
    "TRANSACTION_LIMIT_EXCEEDED", "RISK_DECLINE", "REGULATORY_BLOCKED", "TRANSACTION_DECLINED_BY_TRAVEL_RULE",
    "INTERNAL_ERROR", "UNDEFINED", "UNCLAIMED", "RETURNED", "REFUNDED", "REVERSED", "BLOCKED", "DENIED",
    "ONHOLD", "FAILED", "CANCELED", "not_found_at_vendor", "not_made", "not_shown_by_vendor",
    "vendor_not_understood", "funds_refused", "transfer_reversed_partly", "asked_back_before_restore",
    "batch_denied", "batch_canceled", "payout_not_begun", "not_paid_out", "returned", "needs_review",
];
