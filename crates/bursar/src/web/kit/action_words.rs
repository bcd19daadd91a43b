//! What the audit trail's short names of actions mean, for people. What is deliberately not here: the particulars of a row
//! (`change_summary`).

use super::format::plain;

/// What was done. A name that says it already is only spelled as words.
pub fn done(action: &str) -> String {
    known(action).map_or_else(|| plain(action), str::to_owned)
}

fn known(action: &str) -> Option<&'static str> {
    Some(match action {
        "account_saved" => "Account saved",
        "activity_saved" => "Reward activity saved",
        "api_key_addresses_changed" => "API key: allowed addresses changed",
        "api_key_addresses_required" => "API keys must name their addresses",
        "api_key_created" => "API key created",
        "api_key_ended" => "API key ended",
        "api_key_maker_gone" => "API key ended: its maker is gone",
        "api_key_revoked" => "API key revoked",
        "batch_blocked_removed" => "Blocked rewards taken out of the payout",
        "batch_canceled" => "The vendor canceled the payout",
        "batch_denied" => "The vendor refused the payout",
        "batch_paid" => "Pay was pressed",
        "batch_release_asked" => "Release of the payout was requested",
        "batch_released" => "Payout released",
        "batch_deleted" => "Payout deleted",
        "batch_rewards_added" => "Rewards added to the payout",
        "batch_rewards_removed" => "Rewards taken out of the payout",
        "books_looked_at" => "A broken rule was reviewed, and payments go on",
        "brake_known" => "A broken rule is known and no longer stops payments",
        "brake_walked" => "All rules were checked",
        "decision_undone" => "Bulk decision undone",
        "evidence_read" => "Raw message opened",
        "export_begun" => "Export started",
        "export_made" => "Export ready",
        "import_uploaded" => "File uploaded",
        "login_disabled" => "Sign-in disabled",
        "login_link_allowed" => "Sign-in link allowed",
        "login_link_made" => "Sign-in link created",
        "login_linked" => "Sign-in linked",
        "login_unlinked" => "Sign-in unlinked",
        "key_addresses_off" => "API keys no longer need to name their addresses",
        "key_addresses_off_asked" => "Asked to let API keys go without addresses",
        "mail_link_shown" => "The secret link of a mail was shown",
        "mail_sent_again" => "Mail queued again",
        "master_key_changed" => "Master key changed",
        "master_keys_retired" => "Old master keys retired",
        "marked_paid_outside" => "Marked as paid outside",
        "parked_money_settled" => "Money in the payee's balance settled",
        "payout_profile_checked" => "Payout profile checked with the vendor",
        "proved_again" => "Confirmed it was them",
        "reconciliation_explained" => "Difference explained",
        "reconciliation_looked_again" => "Day compared again",
        "reconciliation_taken" => "Difference assigned",
        "refresh_asked" => "Refreshed by hand",
        "returned_to_pool" => "Rewards returned to the pool",
        "reward_clawed_back" => "Reward clawed back",
        "reward_decision_undone" => "Decision undone",
        "reward_owed_again" => "Reward owed again",
        "reward_taken_into_review" => "Reward moved to In Review",
        "safe_mode_entered" => "Safe mode switched on",
        "safe_mode_left" => "Safe mode ended",
        "role_raise_asked" => "Asked to give a login more rights",
        "safeguards_lower_asked" => "Asked to lower a safeguard",
        "safeguards_put_back" => "Safeguard put back",
        "second_factor_off_asked" => "Asked to switch off the second factor",
        "shared_destination_cleared" => "Shared destination cleared",
        "statement_taken" => "Statement downloaded",
        "suppression_lifted" => "Suppressed address allowed again",
        "tax_number_revealed" => "Tax number shown",
        "threshold_overridden" => "Payout threshold overridden",
        "transaction_moved" => "Payment changed",
        "two_person_rule_off_asked" => "Asked to switch off the two-person rule",
        "unknown_payment_came_back" => "Unknown payment came back",
        "unknown_payment_settled" => "Unknown payment settled",
        "unknown_payments_found" => "Unknown payments found",
        "unreadable_payment_look_asked" => "Asked to look at an unreadable payment",
        "vendor_other_account_asked" => "Asked to connect another vendor account",
        _ => return tried(action),
    })
}

/// What somebody tried in vain.
fn tried(action: &str) -> Option<&'static str> {
    Some(match action {
        "api_key_refused" => "API key refused",
        "login_attacked" => "Many wrong passwords",
        "permission_denied" => "Refused: not permitted",
        "rate_limited" => "Refused: too many requests",
        _ => return None,
    })
}

/// What happened to a payment.
pub fn happened(fact: &str) -> String {
    known_fact(fact).map_or_else(|| plain(fact), str::to_owned)
}

fn known_fact(fact: &str) -> Option<&'static str> {
    Some(match fact {
        "sent" => "Sent to the vendor",
        "outcome_unknown" => "The vendor gave no clear answer",
        "needs_review" => "A person must look",
        "refused" => "Refused or never made, and no money moved",
        "withheld" => "Held back until its gates are open",
        "unfunded" => "The bank payout waits for the money",
        "transfer_made" => "The money is in the payee's Stripe balance",
        "payout_made" => "The payout to the bank has started",
        "payout_paid" => "Paid out to the bank",
        "payout_failed" => "The bank payout failed",
        "payout_canceled" => "The bank payout was canceled",
        "reversal_made" => "The transfer was reversed",
        "item_pending" => "PayPal is processing it",
        "item_paid" => "PayPal paid the receiver",
        "item_failed" => "PayPal did not pay it",
        "item_unclaimed" => "Not claimed yet",
        "item_on_hold" => "PayPal is reviewing it",
        "item_returned" => "The money came back",
        "item_blocked" => "PayPal stopped it",
        "item_refunded" => "The receiver sent the money back",
        "item_reversed" => "PayPal took the money back",
        "cancel_made" => "PayPal canceled it",
        "fee_known" => "The vendor's fee is known",
        "transfer_reversed" => "The transfer was reversed",
        "transfer_reversed_partly" => "Part of the transfer was reversed",
        "part_back" => "Part of the transfer came back",
        "found_after_all" => "It was made after all",
        "corrected" => "Corrected to what the vendor shows",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::{done, happened};

    #[test]
    fn no_action_is_told_in_the_words_of_programs() {
        assert_eq!(done("api_key_created"), "API key created");
        assert_eq!(done("reward_approved"), "Reward approved");
        assert_eq!(happened("payout_failed"), "The bank payout failed");
        assert_eq!(happened("something_new"), "Something new");
    }
}
