//! The variables available to each notice's templates, with a description and sample values. A template sees only
//! these: nothing else can get into a mail.

use payout::notice::Notice;
use serde_json::{Value, json};

/// A variable and its description.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Variable {
    /// Its name in the template.
    pub name: &'static str,
    /// Its description, for template authors.
    pub told: &'static str,
}

const fn is(name: &'static str, description: &'static str) -> Variable {
    Variable { name, told: description }
}

const ANY: [Variable; 3] = [
    is("greeting", "the greeting, with the reader's name if it is known"),
    is("name", "the reader's name; empty if unknown"),
    is("link", "the address of the page that the mail is about"),
];
const FOR_PARTNER: Variable =
    is("for_partner", "true in the mail to the partner, false in the mail to your team");
const PAYEE: Variable = is("payee", "the payee's name");
const COMPANY: Variable = is(
    "company",
    "the company's name if a company is paid and a partner is the reader; empty if the partner is paid",
);
const REWARDS: [Variable; 3] = [
    is(
        "rewards",
        "the first twenty rewards; each has number, program, activity, value and reason (empty unless shown)",
    ),
    is("count", "how many there are"),
    is("more", "how many there are beyond the first twenty"),
];
const PAYMENT: [Variable; 14] = [
    FOR_PARTNER,
    PAYEE,
    COMPANY,
    is("payment", "its number, PT-…"),
    is("batch", "the payout's number, PB-…"),
    is("amount", "what is paid, with its currency"),
    is("fee", "the fee deducted; empty if your company pays it"),
    is("vendor", "Stripe or PayPal"),
    is("destination", "where to, masked"),
    is("date", "the day it ended, or today"),
    is("reason", "why, in plain words"),
    is("remedy", "what to do, in plain words"),
    is("parked", "true if the payout to the bank failed and the money is in the payee's Stripe balance"),
    is("said", "the vendor's message; empty if there is none, and for a partner who does not read English"),
];
const PROFILE: [Variable; 11] = [
    FOR_PARTNER,
    PAYEE,
    COMPANY,
    is("vendor", "Stripe or PayPal"),
    is("old", "the previous destination, masked"),
    is("new", "the new destination, masked"),
    is("date", "the day of the change"),
    is("wait_days", "the cooling-off in days; 0 for a first destination"),
    is("by_partner", "true if it was set with a partner's own login"),
    is("changed_by", "who on your team set it; empty in the mail to the partner"),
    is("contact", "the partner's contact: the owner of their account; empty if there is none"),
];
/// For invariants that are violated.
const BROKEN: [Variable; 3] = [
    is("broken", "the first twenty failed checks, one sentence each"),
    is("more", "how many there are beyond the first twenty"),
    is("stopped", "true if nothing is sent until an administrator has reviewed it"),
];
/// For differences between a vendor and the books.
const CASES: [Variable; 3] = [
    is("cases", "the first twenty differences; each has vendor, day, what, moved and booked"),
    is("count", "how many there are"),
    is("more", "how many there are beyond the first twenty"),
];
const TOTALS: Variable = is("totals", "the totals, one per currency");
const WAITING: Variable = is("waiting", "the approved and unpaid amounts, one per currency");

const BATCH_FINAL: [Variable; 7] = [
    is("batch", "the payout's number, PB-…"),
    is("status", "Paid, Partly paid or Failed"),
    is("paid", "how many payments were made"),
    is("failed", "how many failed"),
    is("returned", "how many came back"),
    is("outside", "how many were paid another way"),
    TOTALS,
];

const LINK_SHOWN: [Variable; 5] = [
    is("by", "who was shown the link"),
    is("whose", "the name of the login's owner"),
    is("address", "the address they sign in with"),
    is("role", "their role"),
    is("date", "the day it was shown"),
];
const LOGIN_CHANGED: [Variable; 4] = [
    is(
        "what",
        "password, factor_on, factor_renewed, factor_off, factor_reset, recovery_codes, recovery_used, wrong_codes, \
         passkey_added, passkey_removed, passkey_copied, app_removed or unlinked",
    ),
    is(
        "by",
        "who did it, if it was someone else; for a passkey, its name; for wrong_codes, the provider they came from; otherwise empty",
    ),
    is("passkeys", "for password: the names of the passkeys that still work; otherwise empty"),
    is("date", "the day"),
];
const NEW_BROWSER: [Variable; 4] = [
    is("at", "when"),
    is("browser", "the browser and its system; empty if it does not say"),
    is("from", "the address it came from; empty if unknown"),
    is("last", "true if the owner is mailed about no other sign-in for a day"),
];
const ATTACKED: [Variable; 6] = [
    is(
        "for_partner",
        "true in the mail of whoever signs in with the login, false in that of the administrators",
    ),
    is("whose", "the name of the login's owner"),
    is("address", "the address they sign in with"),
    is("at", "when the tenth wrong password was entered"),
    is("from", "the addresses they came from, without those of proxies and private networks; may be empty"),
    is("in_session", "true if somebody who was signed in entered some of them"),
];
const SAFEGUARD: [Variable; 5] = [
    is("by", "who weakens it"),
    is("what", "the settings, each with what it was and would be"),
    is("from", "when they can do it alone; empty where it is done"),
    is("payment", "the payment that holds its payee, where it is about one; else empty"),
    is("date", "the day"),
];
const RIGHTS: [Variable; 9] = [
    is("for_partner", "true in the mail of whoever it is about, false in that of the administrators"),
    is("what", "role, shut_out or let_in"),
    is("by", "who did it"),
    is("whose", "the name of whoever signs in with the login"),
    is("address", "the address they sign in with"),
    is("role", "their role now"),
    is("old", "of role: the one before; else empty"),
    is("from", "when they count where two persons are needed, if they do newly; else empty"),
    is("date", "the day"),
];
const FACTOR_RESET: [Variable; 5] = [
    is("by", "who removed it"),
    is("whose", "the name of the login's owner"),
    is("address", "the address they sign in with"),
    is("role", "their role"),
    is("date", "the day"),
];
const BY_PROVIDER: [Variable; 11] = [
    is("what", "linked, made, factor, role, no_role or not_of_us"),
    is("provider", "the address of the provider"),
    is("whose", "the name of the login's owner"),
    is("address", "the address they sign in with"),
    is("role", "their role now"),
    is("old", "their previous role; empty if unchanged"),
    is("keys", "the API keys that no longer work because of it; empty if none"),
    is("claim", "for not_of_us: the claim that was not met; otherwise empty"),
    is("last", "for no_role: true if nobody can sign in as an administrator now"),
    is("waits", "true if the login does not count as a second person for a day"),
    is("date", "the day"),
];

const KEY: [Variable; 4] = [
    is("key", "the key's name"),
    is("hint", "its last four letters"),
    is("role", "its role"),
    is("by", "who created it; empty if unknown"),
];
const KEY_MADE: [Variable; 4] = [
    is("may", "its permissions (scopes)"),
    is("addresses", "the allowed addresses; empty for any"),
    is("ends", "its last day; empty if it does not expire"),
    is("date", "the day it was created"),
];
const CONNECTION: [Variable; 5] = [
    is("by", "who saved or removed it"),
    is("vendor", "Stripe or PayPal"),
    is("old", "the account, mode and end of the credential before; empty if there was none"),
    is("new", "the same now; empty if the connection was removed"),
    is("date", "the day"),
];
const MASTER_KEY: [Variable; 5] = [
    is("by", "who changed it: the user of the machine"),
    is("key", "the id of the new key"),
    is("old", "the id of the previous key"),
    is("lost", "\"yes\" if the previous key is lost, else empty"),
    is("date", "the day"),
];
const KEY_ENDS: [Variable; 2] = [is("ends", "its last day"), is("used", "the day it was last used")];

const LOG_SIGNED: [Variable; 3] = [
    is("rows", "how many rows the activity log has"),
    is("signature", "what `bursar audit verify --signed` takes"),
    is("date", "the day"),
];
const ADDRESS: [Variable; 5] = [
    FOR_PARTNER,
    PAYEE,
    is("new", "the new address, masked"),
    is("date", "the day of the change"),
    is("contact", "the partner's contact: the owner of their account; empty if there is none"),
];

/// The variables of a notice's templates.
pub fn variables(notice: Notice) -> Vec<Variable> {
    let own: &[&[Variable]] = match notice {
        Notice::RewardApproved | Notice::RewardRejected => &[&REWARDS],
        Notice::PaymentOnItsWay
        | Notice::PaymentPaid
        | Notice::PaymentFailed
        | Notice::PaymentReturned
        | Notice::PaymentUnclaimed
        | Notice::PaymentNeedsReview => &[&PAYMENT, &REWARDS],
        Notice::ProfileCompleted | Notice::ProfileChanged => &[&PROFILE],
        Notice::PartnerAddressChanged => &[&ADDRESS],
        Notice::ProfileConfirm
        | Notice::PortalInvitation
        | Notice::LoginInvitation
        | Notice::PasswordForgotten => &[],
        Notice::LoginLinkShown => &[&LINK_SHOWN],
        Notice::LoginChanged => &[&LOGIN_CHANGED],
        Notice::LoginNewBrowser => &[&NEW_BROWSER],
        Notice::LoginAttacked => &[&ATTACKED],
        Notice::SecondFactorReset => &[&FACTOR_RESET],
        Notice::LoginLinked => {
            &[&[is("provider", "the address of the provider they signed in with"), is("date", "the day")]]
        }
        Notice::LoginByProvider => &[&BY_PROVIDER],
        Notice::RightsChanged => &[&RIGHTS],
        Notice::SafeguardLowered => &[&SAFEGUARD],
        Notice::ApiKeyMade => &[&KEY, &KEY_MADE],
        Notice::ApiKeyEnds => &[&KEY, &KEY_ENDS],
        Notice::VendorConnectionChanged => &[&CONNECTION],
        Notice::MasterKeyChanged => &[&MASTER_KEY],
        Notice::ReleaseRequested => &[&[
            is("batch", "the payout's number, PB-…"),
            is("asked_by", "who asks"),
            is("claims", "how many claims it has"),
            TOTALS,
        ]],
        Notice::BatchFinal => &[&BATCH_FINAL],
        Notice::TaxReportNeeded => &[&[PAYEE, COMPANY]],
        Notice::TaxReportExpiring => &[&[
            PAYEE,
            COMPANY,
            is("form", "W-9, W-8BEN or W-8BEN-E"),
            is("expires", "the last day it is valid"),
        ]],
        Notice::Reminder => &[&[
            PAYEE,
            COMPANY,
            WAITING,
            is("blockers", "what the partner must do; each has code, message and remedy"),
        ]],
        Notice::PayoutRequested => &[&[PAYEE, WAITING]],
        Notice::CredentialsRejected => &[&[
            is("vendor", "Stripe or PayPal"),
            is("why", "the vendor's message"),
            is("date", "the day it began"),
        ]],
        Notice::WebhooksSilent => &[&[
            is("vendor", "Stripe or PayPal"),
            is("since", "when the oldest payment without a webhook was sent"),
            is("last_event", "when the last webhook arrived; empty if none ever did"),
        ]],
        Notice::PaymentsStuck => &[&[
            is("payments", "the first twenty; each has number, payee, amount, vendor and since"),
            is("count", "how many there are"),
            is("more", "how many there are beyond the first twenty"),
        ]],
        Notice::BooksDoNotBalance => &[&BROKEN],
        Notice::ReconciliationOpen => &[&CASES],
        Notice::LogSigned => &[&LOG_SIGNED],
    };
    ANY.iter().chain(own.iter().copied().flatten()).copied().collect()
}

/// Sample values for checking and previewing a template when there is no real notice yet.
pub fn sample(notice: Notice) -> Value {
    let mut all = json!({
        "name": "Ana Lima", "greeting": "", "link": "https://bursar.example/page", "for_partner": true,
        "payee": "Ana Lima", "company": "", "payment": "PT-000977", "batch": "PB-2026-0042", "amount": "420.00 USD",
        "fee": "1.30 USD", "vendor": "Stripe", "destination": "acct_…7890", "date": "2026-03-02",
        "reason": "The partner's bank account is closed.", "remedy": "Please give the details of an open account.",
        "said": "The bank account has been closed.", "parked": true,
        "rewards": [
            {"number": "RW-000231", "program": "Growth", "activity": "Closed deal", "value": "300.00 USD",
             "reason": "The deal was registered twice."},
            {"number": "RW-000232", "program": "Growth", "activity": "Certificate", "value": "120.00 USD", "reason": ""},
        ],
        "count": 2, "more": 0,
    });
    let mut others = json!({
        "old": "a…@example.com", "new": "acct_…7890", "wait_days": 3, "by_partner": true,
        "changed_by": "Pat Jones", "contact": "owner@example.com",
        "by": "Pat Jones", "whose": "Kim Lee", "address": "kim@example.com", "role": "Payer",
        "provider": "https://login.example.com", "waits": true, "keys": "CRM sync",
        "key": "CRM sync", "hint": "7QX2", "may": "read, rewards:write", "addresses": "203.0.113.0/24",
        "ends": "2026-06-02", "used": "2026-05-25",
        "asked_by": "Pat Jones", "claims": 12, "totals": ["4200.00 USD", "310.50 EUR"],
        "status": "Partly paid", "paid": 11, "failed": 1, "returned": 0, "outside": 0,
        "form": "W-8BEN", "expires": "2026-12-31", "waiting": ["420.00 USD"],
        "blockers": [{"code": "profile_missing", "message": "You have not chosen how to be paid yet.",
                      "remedy": "Please choose it under “How I am paid”."}],
        "why": "Invalid API Key provided", "since": "2026-03-01", "last_event": "2026-02-27",
        "payments": [{"number": "PT-000977", "payee": "Ana Lima", "amount": "420.00 USD", "vendor": "Stripe",
                      "since": "2026-02-27"}],
    });
    let mut picked = serde_json::Map::new();
    for variable in variables(notice) {
        let found = [&mut all, &mut others].into_iter().find_map(|values| values.get_mut(variable.name));
        picked.insert(variable.name.to_owned(), found.map(Value::take).unwrap_or_default());
    }
    if let Value::Object(own) = sample_of(notice) {
        picked.extend(own);
    }
    Value::Object(picked)
}

/// Sample values that are specific to this notice.
fn sample_of(notice: Notice) -> Value {
    if notice == Notice::BooksDoNotBalance {
        let message = "Rule I05 (“every journal sums to zero in every currency”) is broken by jrn_01JQ";
        return json!({ "broken": [message], "stopped": true });
    }
    if notice == Notice::RightsChanged {
        return json!({ "what": "role", "old": "Preparer", "from": "3 Mar 2026, 09:00 UTC" });
    }
    if notice == Notice::LoginNewBrowser {
        return json!({ "at": "3 Mar 2026, 09:00 UTC", "browser": "Firefox, Windows", "from": "203.0.113.9", "last": true });
    }
    if notice == Notice::LoginAttacked {
        return json!({ "at": "3 Mar 2026, 09:00 UTC", "from": "203.0.113.9, 198.51.100.7", "in_session": true });
    }
    if notice == Notice::SafeguardLowered {
        let what = "Maximum per payout: 1000.00 USD → 5000.00 USD, The two-person rule: on → off";
        return json!({ "what": what, "from": "3 Mar 2026, 09:00 UTC", "payment": "" });
    }
    if notice == Notice::PartnerAddressChanged {
        return json!({ "new": "a…@example.org" });
    }
    if notice == Notice::VendorConnectionChanged {
        return json!({ "old": "acct_1PexAbCd/live, …7QX2", "new": "acct_1QmzEfGh/live, …9LK4" });
    }
    if notice == Notice::MasterKeyChanged {
        let by = "anna (user id 1000) at the command line";
        return json!({ "by": by, "key": "5f3a90c2d1e84b76", "old": "c07be41a9d2f6835", "lost": "" });
    }
    if notice == Notice::LoginChanged {
        return json!({ "what": "factor_reset", "passkeys": "" });
    }
    if notice == Notice::LoginByProvider {
        return json!({ "what": "role", "old": "Administrator", "claim": "", "last": false });
    }
    if notice == Notice::LogSigned {
        return json!({ "rows": 1201, "signature": "1201.5f2c….9ab1…" });
    }
    if notice == Notice::ReconciliationOpen {
        let case = json!({"vendor": "PayPal", "day": "2026-03-02", "what": "Fees differ", "moved": "-1.25 USD",
                          "booked": "-1.00 USD"});
        return json!({ "cases": [case], "count": 1 });
    }
    if notice == Notice::PaymentsStuck {
        return json!({ "count": 1 });
    }
    json!({})
}
