//! Codes about the operation: rewards, payees, payouts, payments, settings and vendors. What is deliberately not here:
//! codes about the request itself (`requests`), and those documented in `payout`.

use super::{Area, Row};

pub(super) const PAYMENTS: &str = "about-payments";

pub(super) const AREAS: &[Area] = &[
    Area {
        id: "about-rewards",
        title: "Rewards, programs and activities",
        lead: "Nothing was entered or changed; of a file or a bulk decision, only what the code stands at is refused.",
        rows: rows! {
            unknown_activity
                "No activity has this external id. In a reward ids of ours are not taken.",
                "",
                "Enter the activity first, or correct the id.";
            unknown_partner
                "No partner has this external id, or none that this key may see. In a reward ids of ours are not taken.",
                "",
                "Enter the partner first, or correct the id.";
            unknown_account
                "No account has this id, or none that this key may see.",
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
                "The program has rewards already, so it stays one of cash or of points; in a file, the program of this name has the other type.",
                "",
                "Make another program, or correct the type.";
            not_cash
                "It gives points, and the value is money.",
                "",
                "Give the value as points, without a currency.";
            not_points
                "It gives money, and the value is points.",
                "",
                "Give the value with its currency.";
            above_reward_max
                "The value is more than one reward may be worth here; the detail says how much that is.",
                "Nothing was entered: values like this are mostly order numbers.",
                "Look whether the value is right. If it is, an administrator raises the limit in Payout Settings.";
            currency_changed
                "A reward keeps its currency, and a clawback is in the one that was paid.",
                "",
                "Before it is paid, void the reward and enter another one in the other currency. A clawback is given in the currency that was paid.";
            not_pending
                "The reward is not submitted or in review any more, so it is not decided again.",
                "",
                "Read the reward: it may have been decided as you wanted. Void an approved one with a reason.";
            own_reward
                "Nobody approves a reward of their own.",
                "",
                "Ask another reviewer.";
            reward_closed
                "A rejected or void reward is kept as it was.",
                "",
                "Enter a new reward.";
            reward_in_payout
                "The reward is in a payout or paid, so it is not edited, voided or deleted.",
                "It has been paid, or stands in a draft or a payment that may still pay it, with the value that it has.",
                "Take it out of a draft first; return the rewards of a failed payment to the pool. Once it is paid, enter a clawback.";
            already_void
                "The reward is void already.",
                "",
                "Nothing to do.";
            was_approved
                "The reward was approved once, so it stays in the books and is not deleted.",
                "",
                "Void it with a reason.";
            clawback
                "A clawback is not edited.",
                "It comes off the payee's next claim as it stands.",
                "Void it with a reason, and enter another one.";
            not_paid
                "Only a paid reward is clawed back, and no clawback is.",
                "Nothing is taken back.",
                "Reject, edit or void a reward that is not paid.";
            record_unreadable
                "In skipped[] of a bulk decision: the record of the reward cannot be read, so nothing was decided about it.",
                "It is not paid as long as nobody can read it. The others were decided.",
                "Ask whoever runs Bursar to look into its log and have the record put right.";
        },
    },
    Area {
        id: "about-payees",
        title: "Partners, accounts and where they are paid",
        lead: "Nothing was changed: whoever was paid somewhere before is paid there still.",
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
                "Somebody else signs in with the partner's address, so they are not invited.",
                "",
                "Give the partner an address of their own first.";
            login_disabled
                "The partner's login was shut out, so no link is made for it.",
                "",
                "Ask an administrator whether the login may be let in again.";
            invalid_stripe_account
                "This is no id of a Stripe account.",
                "",
                "Write the id that begins with acct_.";
            stripe_account_in_use
                "The Stripe account is another payee's already, and one account belongs to one payee.",
                "",
                "Compare the id. If it is right, give the other payee another destination first.";
            invalid_paypal_email
                "This is not one plain e-mail address that PayPal can pay to; the detail says why.",
                "",
                "Write the address that the payee has at PayPal, alone and without a name.";
            one_destination
                "A Stripe account and a PayPal address were both named.",
                "",
                "Name the one of the chosen vendor.";
            not_shared
                "No other payee has this destination without having been looked at.",
                "",
                "Nothing to do.";
            own_entry
                "Whoever entered a shared destination for one of its payees does not clear it.",
                "The payees stay on hold, and are not paid until somebody has looked.",
                "Ask somebody else to look at the destination and to clear it.";
            unknown_form
                "There is no such tax form here.",
                "",
                "Write w9, w8ben or w8bene.";
            wrong_form
                "The tax form does not fit the payee's country, or a person's form was filed for a company.",
                "The payee is not paid as long as a tax report is needed and the one that fits is missing.",
                "File the form that the detail names, or correct the country first.";
            not_certified
                "The tax form is said not to be certified, and without that it is no form.",
                "",
                "Leave certified out where the signed form lies before you; otherwise have the payee certify it.";
            date_in_future
                "The day of the signature has not come yet.",
                "",
                "Write the day on which the form was signed.";
            invalid_tin
                "This cannot be a tax number of the United States, or a W-9 has none; the detail says why.",
                "",
                "Compare it with the form. Dashes stand like 123-45-6789 or 12-3456789.";
        },
    },
    Area {
        id: "about-payouts",
        title: "Payouts that are prepared, and Pay",
        lead: "Nothing was sent. A payout is paid whole, as it was shown, or not at all.",
        rows: rows! {
            blocked
                "Something stands in the way.",
                "Nothing was done, for none of what was named.",
                "blockers[] names everything that does, who must act and what to do. The blockers are told below.";
            unknown_reward
                "A reward that was named is not there.",
                "Nothing was added, nor any of the others.",
                "Correct the id.";
            batch_changed
                "The payout is not what was shown: its digest or totals are other ones.",
                "Nothing was paid or released.",
                "difference says what changed. Read the payout again, look at it, and send its new digest and totals.";
            batch_deleted
                "The payout was deleted.",
                "Its rewards are back in the pool.",
                "Form another one.";
            clawback_stays
                "A clawback comes off its payee's claim as long as rewards of that claim are in the payout.",
                "Nothing was taken out: the payee would be paid more than they are owed.",
                "Take out the whole claim.";
            unknown_claim
                "The payout holds no claim of this payee in this currency.",
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
    Area {
        id: PAYMENTS,
        title: "Payments",
        lead: "Nothing of the payment was changed, unless it is said below. Do not pay it another way before it is clear where its money is.",
        rows: rows! {
            vendor_unreachable
                "The vendor must be asked first, and it did not answer, or did not show all that it was asked for.",
                "Nothing was changed. Where the money is, is not known as long as it has not answered.",
                "Try again in a while. GET /settings/vendors says how the connection stands.";
            not_looked_through
                "The database was put back after this payment was promised, and Stripe has not been looked through for it since, or has something of it that is not known here.",
                "It may be paid already.",
                "It is looked through by itself. Wait until that is done; safe mode lists what was found.";
            not_this_payment
                "What was named is not at the vendor, moved no money, is about something else, or belongs to another payment.",
                "",
                "Compare the id with the vendor's page: account, amount, currency and receiver must be those of this payment.";
            settle_the_transfer
                "Stripe has a transfer of this payment that is not known here, which the bank payout was paid out of.",
                "That the bank payout was made is on record and holds the payment; nothing was settled.",
                "Settle the transfer first, as made under the id in the detail; then this.";
            contradicted
                "Where a reward is named: it is by now in another payment, which may pay yet.",
                "That this one was paid is on record, and stops the other one where it was not sent.",
                "Read which payment the detail names, and settle what it says first.";
            paid_again
                "A reward that this payment gave back was paid again since, or is in another payment.",
                "The payee may have the money twice.",
                "If they have this money as well, settle it as written off, and claw the reward back once it is paid.";
            reward_changed
                "A reward that this payment gave back was voided or is worth something else since, so this payment cannot count as having paid it.",
                "",
                "Settle the money as written off. If the payee has it, enter what they owe by yourself.";
            transfer_stands
                "Stripe was asked, and shows that the transfer stands, or a part of it, so it was not reversed.",
                "The money is with the payee's account still.",
                "Reverse it at Stripe, or return the payment to the pool, which asks Stripe to.";
            reversal_refused
                "Stripe refused to give the transfer back; the detail has its words.",
                "The rewards stay with this payment. Where Stripe says that funds are lacking, the payee may have the money already.",
                "Look in Stripe where the money is before you pay again; then resubmit the payment, settle it with the payee, or try again once Stripe's reason is gone.";
            cancel_refused
                "PayPal did not give back what nobody had claimed; the detail has its code.",
                "It may have been claimed, and then it is paid.",
                "Read the payment again.";
        },
    },
    Area {
        id: "about-settings",
        title: "Settings, vendors, mails and reconciliation",
        lead: "Nothing was saved.",
        rows: rows! {
            payout_method_required
                "Payouts are on, and no vendor is selected.",
                "",
                "Name stripe, paypal or both in vendors.";
            duplicate_currency
                "A list of amounts, limits or fees names a currency twice, or a vendor and its currency.",
                "",
                "Leave one of the two.";
            duplicate_year
                "Two thresholds for tax reports are of one year.",
                "",
                "Leave one of the two.";
            invalid_year
                "The threshold of this year is built in, or this is no year.",
                "",
                "Set those of the years after 2026.";
            wrong_mode
                "The key is of the other mode than the one that was named.",
                "In test mode no money moves, whatever the payments say.",
                "Name the mode that the key has, or send the key of the other mode.";
            vendor_refused
                "The vendor refused what was asked of it, or does not know what was named; the detail has its words.",
                "",
                "Settle with the vendor what it says, then save again.";
            vendor_in_use
                "Payments through this vendor are under way, are watched after their success, were called not made in the last 30 days, or hold money there.",
                "Without the connection nobody could ask the vendor how they end.",
                "Leave the connection until they are over. To stop paying through the vendor, take it out of vendors.";
            account_not_searched
                "The database was put back, and the connected account was not searched yet for payments that are missing here.",
                "What was paid from it since would be paid again.",
                "It is searched by itself within minutes. Where that fails, an administrator compares its payments by hand, says so in safe mode, and saves again.";
            template_broken
                "The text of a mail cannot be used; the detail names the line and what is wrong.",
                "Mails go on as they were.",
                "Correct it. GET at the same address answers the variables that it may use.";
            template_fixed
                "This mail is always sent in Bursar's own words, so that whoever weakens a safeguard cannot choose how others are told.",
                "Nothing was saved.",
                "Leave it as it is.";
            nothing_to_explain
                "Both sides say the same by now, one may be late yet, or somebody has explained it.",
                "",
                "Read the day again.";
        },
    },
    Area {
        id: "about-webhooks",
        title: "Webhooks",
        lead: "What vendors are answered. Bursar asks the vendor itself for what it told, so payments settle without webhooks as well, only later.",
        rows: rows! {
            bad_signature
                "The signature of a delivery does not fit, so nobody can say that it is the vendor's.",
                "It was not stored and moves nothing.",
                "If the vendor did send it, save its credentials in Payout Settings again, which registers the webhook anew.";
            webhook_not_configured
                "There is no secret for this vendor's webhooks, so its deliveries are not taken.",
                "Nothing is lost: the vendor sends them again.",
                "Connect the vendor in Payout Settings.";
        },
    },
];

/// The meaning of a blocker's code as the code of a whole response, in addition to its meaning as a blocker.
pub(super) const OF_BLOCKERS: &[Row] = rows! {
    already_paying
        "the payout is no draft any more, because it has been paid.",
        "It is not paid twice.",
        "Read its payments.";
    fee_table_missing
        "partners are to bear PayPal's fee, and no table says what it takes.",
        "The settings were not saved.",
        "Send fees with a table for paypal as well.";
    other_vendor_account
        "the credentials are another account's than open, parked or watched payments belong to, or it cannot be proved that they are not.",
        "They were not saved: what is open would be sent a second time.",
        "Save credentials of the account that those were paid from, and connect the other one when they are over.";
    payment_contradicted
        "the reward cannot be edited or voided yet.",
        "",
        "Settle the payment by hand first.";
    permission_denied
        "the role of the key does not allow this call, or none of its scopes opens it; the detail names the scope.",
        "Nothing was done.",
        "Ask an administrator for a key that may.";
    reward_in_batch
        "a reward of the payment that is to be settled is in a draft by now.",
        "Nothing was settled: it would be paid twice.",
        "Take the reward out of the draft first.";
    reward_not_cash
        "points are not clawed back.",
        "",
        "";
    total_too_large
        "the payout would come to more than can be paid at once.",
        "Nothing was added.",
        "Add fewer rewards, and look whether one of their values is a mistake.";
    unknown_at_vendor
        "the payment cannot be returned to the pool, marked as paid outside or resubmitted until what was found of it is settled.",
        "It may be paid already.",
        "";
    vendor_credentials_rejected
        "the vendor does not accept the credentials that were sent, so they were not saved; the detail has its words.",
        "",
        "";
    vendor_not_connected
        "payouts cannot be turned on while none of the selected vendors is connected.",
        "",
        "";
};
