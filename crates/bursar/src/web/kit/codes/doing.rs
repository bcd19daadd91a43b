//! Codes about the operation: rewards, payees, payouts, payments, settings and vendors. Not here: codes about the request
//! itself (`requests`), and those documented in `payout`.

use super::{CodeGroup, Row};

pub(super) const PAYMENTS: &str = "about-payments";

pub(super) const AREAS: &[CodeGroup] = &[
    CodeGroup {
        id: "about-rewards",
        title: "Rewards, programs and activities",
        lead: "Nothing was entered or changed; in a file or a bulk decision, only the item with the code is refused.",
        rows: rows! {
            unknown_activity
                "No activity has this external id. A reward does not accept Bursar ids here.",
                "",
                "Enter the activity first, or correct the id.";
            unknown_partner
                "No partner that this key may see has this external id. A reward does not accept Bursar ids here.",
                "",
                "Enter the partner first, or correct the id.";
            unknown_account
                "No account that this key may see has this id.",
                "",
                "Enter the account first, or correct the id.";
            unknown_program
                "No program has this id.",
                "",
                "Enter the program first, or correct the id.";
            activity_inactive
                "The activity is not active, so it earns nothing.",
                "",
                "Activate it, or name another one.";
            type_conflict
                "The program already has rewards, so its type cannot change; in a file, the program with this name has the other type.",
                "",
                "Create another program, or correct the type.";
            not_cash
                "It gives points, and the value is money.",
                "",
                "Give the value as points, without a currency.";
            not_points
                "It gives money, and the value is points.",
                "",
                "Give the value with its currency.";
            above_reward_max
                "The value exceeds the limit for one reward; the detail gives the limit.",
                "Nothing was entered: such values are usually order numbers.",
                "Check the value. If it is right, an administrator can raise the limit in Payout Settings.";
            currency_changed
                "A reward keeps its currency, and a clawback is in the one that was paid.",
                "",
                "Before the reward is paid, void it and enter another one in the other currency. Give a clawback in the currency that was paid.";
            not_pending
                "The reward is no longer submitted or in review, so it cannot be decided again.",
                "",
                "Read the reward: it may already be decided as you wanted. Void an approved one with a reason.";
            own_reward
                "Nobody can approve their own reward.",
                "",
                "Ask another reviewer.";
            reward_closed
                "A rejected or void reward cannot be edited.",
                "",
                "Enter a new reward.";
            reward_in_payout
                "The reward is in a payout or paid, so it cannot be edited, voided or deleted.",
                "It has been paid, or is in a draft or a payment that may still pay it with its current value.",
                "Take it out of a draft first; return the rewards of a failed payment to the pool. Once it is paid, enter a clawback.";
            already_void
                "The reward is already void.",
                "",
                "Nothing to do.";
            was_approved
                "The reward was approved once, so it stays in the books and cannot be deleted.",
                "",
                "Void it with a reason.";
            clawback
                "A clawback cannot be edited.",
                "It is deducted from the payee's next claim unchanged.",
                "Void it with a reason, and enter another one.";
            not_paid
                "Only a paid reward can be clawed back, and a clawback cannot.",
                "Nothing is taken back.",
                "Reject, edit or void a reward that is not paid.";
            record_unreadable
                "In skipped[] of a bulk decision: the reward's record cannot be read, so it was not decided.",
                "It is not paid while it cannot be read. The others were decided.",
                "Ask Bursar's operator to check its log and have the record fixed.";
        },
    },
    CodeGroup {
        id: "about-payees",
        title: "Partners, accounts and where they are paid",
        lead: "Nothing was changed: every payee keeps their destination.",
        rows: rows! {
            invalid_country
                "No country has this code.",
                "",
                "Write the two capital letters of ISO 3166, like DE.";
            invalid_email
                "No mail can be sent to this address.",
                "",
                "Write one e-mail address, like ana@example.com.";
            email_taken
                "Somebody else signs in with the partner's address, so the partner was not invited.",
                "",
                "Give the partner an address of their own first.";
            login_disabled
                "The partner's login is disabled, so no link is created for it.",
                "",
                "Ask an administrator whether to enable the login again.";
            invalid_stripe_account
                "This is not a Stripe account id.",
                "",
                "Write the id that begins with acct_.";
            stripe_account_in_use
                "The Stripe account already belongs to another payee, and an account can belong to only one.",
                "",
                "Compare the id. If it is right, give the other payee another destination first.";
            invalid_paypal_email
                "This is not one plain e-mail address that PayPal can pay to; the detail says why.",
                "",
                "Write only the payee's PayPal address, without a name.";
            one_destination
                "The request has both a Stripe account and a PayPal address.",
                "",
                "Send only the chosen vendor's.";
            not_shared
                "No other payee shares this destination uncleared.",
                "",
                "Nothing to do.";
            own_entry
                "The person who entered a shared destination for one of its payees cannot clear it.",
                "The payees stay on hold and are not paid until somebody else has cleared it.",
                "Ask somebody else to check the destination and clear it.";
            unknown_form
                "There is no such tax form here.",
                "",
                "Write w9, w8ben or w8bene.";
            wrong_form
                "The tax form does not fit the payee's country, or a person's form was filed for a company.",
                "The payee is not paid while a tax report is required and the right one is missing.",
                "File the form that the detail names, or correct the country first.";
            not_certified
                "The tax form is marked as not certified, and it is not valid without that.",
                "",
                "Leave certified out if you have the signed form; otherwise have the payee certify it.";
            date_in_future
                "The date of the signature is in the future.",
                "",
                "Write the day on which the form was signed.";
            invalid_tin
                "This is not a valid US tax number, or a W-9 has none; the detail says why.",
                "",
                "Compare it with the form. Dashes are placed like 123-45-6789 or 12-3456789.";
        },
    },
    CodeGroup {
        id: "about-payouts",
        title: "Drafts, releases and Pay",
        lead: "Nothing was sent. A payout is paid as a whole, as it was shown, or not at all.",
        rows: rows! {
            blocked
                "At least one gate is closed.",
                "Nothing was done for any of the named items.",
                "blockers[] lists every closed gate, who must act and what to do. The blockers are explained below.";
            unknown_reward
                "A named reward does not exist.",
                "Nothing was added, not even the others.",
                "Correct the id.";
            batch_changed
                "The payout is not what was shown: its digest or totals have changed.",
                "Nothing was paid or released.",
                "difference says what changed. Read the payout again, check it, and send its new digest and totals.";
            batch_deleted
                "The payout was deleted.",
                "Its rewards are back in the pool.",
                "Create another one.";
            clawback_stays
                "A clawback is deducted from its payee's claim as long as rewards of that claim are in the payout.",
                "Nothing was taken out: the payee would be paid more than they are owed.",
                "Take out the whole claim.";
            unknown_claim
                "The payout has no claim of this payee in this currency.",
                "",
                "Compare the payee and the currency with the payout's claims.";
            unknown_payee
                "No partner and no account has this id.",
                "",
                "Correct the id.";
            not_below_threshold
                "The claim is not under its threshold, so there is nothing to override.",
                "",
                "Nothing to do: the threshold does not stop it.";
        },
    },
    CodeGroup {
        id: PAYMENTS,
        title: "Payments",
        lead: "The payment was not changed, unless the code says otherwise. Do not pay it another way until it is clear where its money is.",
        rows: rows! {
            vendor_unreachable
                "Bursar must ask the vendor first, and the vendor did not answer or did not return everything.",
                "Nothing was changed. Until the vendor answers, it is not known where the money is.",
                "Try again later. GET /settings/vendors shows the state of the connection.";
            not_looked_through
                "The database was restored after Pay was pressed for this payment, and Bursar has not searched Stripe for it since, or Stripe has a record of it that is missing here.",
                "It may be paid already.",
                "Bursar searches by itself. Wait until that is done; safe mode lists what was found.";
            not_this_payment
                "The named object does not exist at the vendor, moved no money, is about something else, or belongs to another payment.",
                "",
                "Compare the id with the vendor's page: its account, amount, currency and receiver must match this payment.";
            settle_the_transfer
                "Stripe has a transfer for this payment that is missing here, and the bank payout was paid from it.",
                "Bursar has recorded that the bank payout was made, which holds the payment; nothing was settled.",
                "First settle the transfer, as made under the id in the detail; then settle this.";
            contradicted
                "If a reward is named: it is now in another payment, which may still pay it.",
                "Bursar has recorded that this payment paid it, which stops the other one if it has not been sent.",
                "First do what the detail says about the other payment.";
            paid_again
                "A reward that this payment released was paid again, or is in another payment.",
                "The payee may have the money twice.",
                "If they have this money as well, settle it as written off, and claw the reward back once it is paid.";
            reward_changed
                "A reward that this payment released was voided or changed in value, so this payment cannot count as having paid it.",
                "",
                "Settle the money as written off. If the payee has it, enter what they owe yourself.";
            transfer_stands
                "Stripe shows that the transfer was not reversed, or not completely.",
                "The money is still in the payee's account.",
                "Reverse it at Stripe, or return the payment to the pool, which asks Stripe to reverse it.";
            reversal_refused
                "Stripe refused to reverse the transfer; the detail gives its reason.",
                "The rewards stay with this payment. If Stripe reports insufficient funds, the payee may already have the money.",
                "Check in Stripe where the money is before you pay again; then resubmit the payment, settle it with the payee, or try again once Stripe's reason no longer applies.";
            cancel_refused
                "PayPal did not cancel the unclaimed payment; the detail has its code.",
                "It may have been claimed; then it is paid.",
                "Read the payment again.";
        },
    },
    CodeGroup {
        id: "about-settings",
        title: "Settings, vendors, mails and reconciliation",
        lead: "Nothing was saved.",
        rows: rows! {
            payout_method_required
                "Payouts are on, and no vendor is selected.",
                "",
                "Name stripe, paypal or both in vendors.";
            duplicate_currency
                "A list of amounts, limits or fees has the same currency twice, or the same vendor and currency.",
                "",
                "Remove one of the two.";
            duplicate_year
                "Two thresholds for tax reports are for the same year.",
                "",
                "Remove one of the two.";
            invalid_year
                "The threshold of this year is built in, or this is not a year.",
                "",
                "Set those of the years after 2026.";
            wrong_mode
                "The key's mode is not the one that was named.",
                "In test mode no money moves, whatever the payments say.",
                "Name the key's mode, or send a key of the other mode.";
            vendor_refused
                "The vendor refused the request, or does not know what was named; the detail gives its reason.",
                "",
                "Resolve it with the vendor, then save again.";
            vendor_in_use
                "Payments through this vendor are under way, are watched after their success, were settled as not made in the last 30 days, or hold money there.",
                "Without the connection Bursar could not ask the vendor how they end.",
                "Keep the connection until they have ended. To stop paying through the vendor, remove it from vendors.";
            account_not_searched
                "The database was restored, and the connected account has not been searched yet for payments that are missing here.",
                "Payments made from it since would be made again.",
                "Bursar searches it by itself within minutes. If that fails, an administrator compares its payments by hand, confirms that in safe mode, and saves again.";
            template_broken
                "The text of a mail cannot be used; the detail names the line and what is wrong.",
                "Mails keep their previous text.",
                "Correct it. A GET on the same address lists the variables it may use.";
            template_fixed
                "This mail always has Bursar's own text, so that a person who weakens a safeguard cannot choose how others are told.",
                "Nothing was saved.",
                "Leave it as it is.";
            nothing_to_explain
                "Both sides agree by now, one may still be late, or somebody has explained it.",
                "",
                "Read the day again.";
        },
    },
    CodeGroup {
        id: "about-webhooks",
        title: "Webhooks",
        lead: "What Bursar answers to vendors. Bursar also polls the vendors, so payments settle without webhooks too, only later.",
        rows: rows! {
            bad_signature
                "The delivery's signature is not valid, so it may not be from the vendor.",
                "It was not stored and changes nothing.",
                "If the vendor did send it, save its credentials in Payout Settings again, which registers the webhook again.";
            webhook_not_configured
                "Bursar has no secret for this vendor's webhooks, so it refuses its deliveries.",
                "Nothing is lost: the vendor redelivers them.",
                "Connect the vendor in Payout Settings.";
        },
    },
];

/// The meaning of a blocker's code as the code of a whole response, in addition to its meaning as a blocker.
pub(super) const OF_BLOCKERS: &[Row] = rows! {
    already_paying
        "the payout has been paid, so it is no longer a draft.",
        "It is not paid twice.",
        "Read its payments.";
    fee_table_missing
        "partners are to bear PayPal's fee, but it has no fee table.",
        "The settings were not saved.",
        "Send fees with a table for paypal too.";
    other_vendor_account
        "the credentials belong to another account than open, parked or watched payments, or Bursar cannot prove that they do not.",
        "They were not saved: open payments would be sent a second time.",
        "Save credentials of the account that those are paid from, and connect the other one when they have ended.";
    payment_contradicted
        "the reward cannot be edited or voided yet.",
        "",
        "Settle the payment by hand first.";
    permission_denied
        "the key's role or scopes do not allow this call; the detail names the scope.",
        "Nothing was done.",
        "Ask an administrator for a key that allows it.";
    reward_in_batch
        "a reward of the payment to be settled is now in a draft.",
        "Nothing was settled: it would be paid twice.",
        "Take the reward out of the draft first.";
    reward_not_cash
        "points cannot be clawed back.",
        "",
        "";
    total_too_large
        "the payout would total more than can be paid at once.",
        "Nothing was added.",
        "Add fewer rewards, and check whether one of their values is a mistake.";
    unknown_at_vendor
        "the payment cannot be returned to the pool, marked as paid outside or resubmitted until what was found for it is settled.",
        "It may be paid already.",
        "";
    vendor_credentials_rejected
        "the vendor does not accept these credentials, so they were not saved; the detail gives its reason.",
        "",
        "";
    vendor_not_connected
        "payouts cannot be turned on while none of the selected vendors is connected.",
        "",
        "";
};
