//! When something can be paid: every gate, with its message, who must act, and the remedy.
//!
//! These functions return *all* blockers that apply, not just the first, and pages, API and command line show the same
//! list. They run for lists, when a reward is added to a batch, inside Pay, and again right before each send. Not here:
//! loading the facts, which are arguments.

use std::fmt;

use crate::ids::BatchId;
use crate::ledger::Payee;
use crate::money::{Currency, Money, NotPayable, Sum, Vendor, paypal_home_country};
use crate::reward::{Placement, RewardStatus, RewardType};
use crate::settings::Settings;
use crate::spelling::spelled;

spelled! {
    /// What a blocker is about.
    Scope {
        /// The whole batch.
        Batch = "batch",
        /// One payee's claim in one currency.
        Claim = "claim",
        /// One reward.
        Reward = "reward",
        /// The person asking.
        Person = "person",
    }
}

spelled! {
    /// Who must act.
    Who {
        /// The partner.
        Partner = "partner",
        /// A preparer of batches.
        Preparer = "preparer",
        /// A preparer of batches.
        Payer = "payer",
        /// A payer of batches.
        Admin = "admin",
        /// An administrator.
        Vendor = "vendor",
        /// Nobody: it passes with time, or never.
        Nobody = "nobody",
    }
}

impl Who {
    /// The label shown to people.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Partner => "The partner must act",
            Self::Preparer => "The preparer must act",
            Self::Payer => "The payer must act",
            Self::Admin => "An administrator must act",
            Self::Vendor => "The vendor must act",
            Self::Nobody => "Nobody needs to act",
        }
    }
}

macro_rules! blockers {
    ($($(#[$doc:meta])* $variant:ident = $code:literal, $scope:ident, $who:ident, $message:literal, $remedy:literal;)+) => {
        spelled! {
            /// Why something cannot be paid. The codes are the same in API, pages, command line and mails.
            Code { $($(#[$doc])* $variant = $code),+ }
        }

        impl Code {
            /// The kind of subject it is about.
            #[must_use]
            pub fn scope(self) -> Scope {
                match self { $(Self::$variant => Scope::$scope),+ }
            }

            /// Who must act.
            #[must_use]
            pub fn who(self) -> Who {
                match self { $(Self::$variant => Who::$who),+ }
            }

            /// What blocks it, for people.
            #[must_use]
            pub fn message(self) -> &'static str {
                match self { $(Self::$variant => $message),+ }
            }

            /// The remedy, for people.
            #[must_use]
            pub fn remedy(self) -> &'static str {
                match self { $(Self::$variant => $remedy),+ }
            }
        }
    };
}

blockers! {
    /// The batch is empty.
    BatchEmpty = "batch_empty", Batch, Preparer,
        "The batch holds no rewards.", "Add approved rewards to the batch.";
    /// Payouts are switched off.
    ModuleDisabled = "module_disabled", Batch, Admin,
        "Payouts are switched off.", "Switch payouts on in Payout Settings.";
    /// The vendor has no credentials, or is not selected.
    VendorNotConnected = "vendor_not_connected", Claim, Admin,
        "The payee's vendor is not connected.", "Select and connect the vendor in Payout Settings, or change the payee's vendor.";
    /// The vendor refused our credentials.
    VendorCredentialsRejected = "vendor_credentials_rejected", Claim, Admin,
        "The vendor refuses our credentials, so payments to it are paused. Nothing has failed.",
        "Save working credentials in Payout Settings; payments then continue by themselves.";
    /// The payment was promised from another vendor account than the connected one.
    OtherVendorAccount = "other_vendor_account", Claim, Admin,
        "The payment belongs to another account at the vendor than the one connected now, or Bursar cannot tell which account is connected. Nothing is sent, because it could be paid twice. Nothing has failed.",
        "In Payout Settings, save credentials of the account it was to be paid from; the payment then continues by itself.";
    /// The vendor balance does not cover the batch.
    VendorBalanceLow = "vendor_balance_low", Batch, Payer,
        "The balance at the vendor does not cover the batch and its fees.", "Add money at the vendor, or take claims out of the batch.";
    /// The two-person rule requires a release.
    ReleaseNeedsOtherPerson = "release_needs_other_person", Batch, Payer,
        "Another person must release this batch before it is paid.", "Ask a payer who neither prepared nor changed the batch to release it; a release is valid for a day.";
    /// One of the operator's limits would be exceeded.
    OverLimit = "over_limit", Batch, Payer,
        "Paying this would exceed a limit set in Payout Settings.", "Take claims out of the batch, or ask an administrator about the limit.";
    /// Pay was pressed earlier.
    AlreadyPaying = "already_paying", Batch, Nobody,
        "This batch has already been paid.", "Nothing to do: follow its payments.";
    /// Safe mode is on, as after a restore.
    SafeMode = "safe_mode", Batch, Admin,
        "Safe mode is on: nothing is sent, and nobody can change a payment or decide on a reward.",
        "Open Safe mode: it says why it is on and what keeps it on. An administrator ends it there.";
    /// An invariant of the ledger is violated (the brake).
    BooksDoNotBalance = "books_do_not_balance", Batch, Admin,
        "A money rule is broken, so nothing is sent until an administrator has looked into it. Nothing has failed.",
        "See which rule is broken under Activity log, What must hold. Find out why, then let payments go on there.";
    /// The transfer behind a bank payout was reversed.
    TransferReversed = "transfer_reversed", Claim, Payer,
        "The payment's transfer was reversed at Stripe, wholly or in part, so a bank payout would take another payment's money.",
        "If the whole transfer came back, the payment ends by itself and its rewards are free. If only part of it did, settle it by hand as not made, then return it to the pool: the rest of the transfer is brought back, and a new payment pays its rewards.";
    /// After a restore, the vendor has a payment of the same rewards.
    UnknownAtVendor = "unknown_at_vendor", Claim, Admin,
        "The vendor has a record of this payment that Bursar lacks, because the database was restored. Nothing more is sent for it until somebody has settled what was found.",
        "Open Safe mode, which lists what was found, and settle the payment by hand: as made under that id, or as not made if the vendor shows that no money moved.";
    /// The payee has no payout profile.
    ProfileMissing = "profile_missing", Claim, Partner,
        "The payee has not chosen how to be paid.", "Ask the partner to set up a payout profile, or enter it for them.";
    /// The vendor would not pay to the profile yet.
    ProfileIncomplete = "profile_incomplete", Claim, Partner,
        "The vendor says that the payee's payout profile is not ready to be paid to.", "Ask the partner to finish what the vendor asks of them.";
    /// The destination is in its cooling-off period.
    ProfileChangedRecently = "profile_changed_recently", Claim, Nobody,
        "The payee's destination was changed recently and is still in its cooling-off.", "Wait until the cooling-off is over.";
    /// The destination is not the one Pay froze.
    DestinationChanged = "destination_changed", Claim, Payer,
        "The payee's destination is not the one this was approved for.", "Check the new destination with the payee, then return the payment to the pool and pay its rewards in the next payout.";
    /// No tax form that fits is on file.
    TaxReportMissing = "tax_report_missing", Claim, Partner,
        "The payee's tax report is not on file.", "Ask the partner for the tax form that fits their country.";
    /// The tax form on file has expired.
    TaxReportExpired = "tax_report_expired", Claim, Partner,
        "The payee's tax report is out of date.", "Ask the partner for a new tax form.";
    /// The total is under the earning threshold.
    BelowThreshold = "below_threshold", Claim, Nobody,
        "The payee's total is under the earning threshold.", "Wait until more rewards are approved.";
    /// The payment exceeds the maximum for a single payment.
    AboveVendorMax = "above_vendor_max", Claim, Admin,
        "The payment is over the maximum set for this vendor and currency.", "Take rewards out of the claim, or raise the maximum in Payout Settings.";
    /// The vendor cannot pay this currency to the payee.
    CurrencyUnsupported = "currency_unsupported", Claim, Partner,
        "The vendor cannot pay this currency to the payee.", "Ask the payee to add a bank account in this currency or to choose the other vendor.";
    /// The vendor does not pay this currency in the payee's country.
    CountryUnsupported = "country_unsupported", Claim, Partner,
        "The vendor pays this currency only to payees of its own country.", "Ask the payee to choose the other vendor.";
    /// The vendor cannot pay this fraction of the currency.
    AmountNotPayable = "amount_not_payable", Claim, Preparer,
        "The vendor cannot pay this fraction of the currency.", "Change the rewards so that they add up to an amount the vendor can pay.";
    /// Clawbacks and fees leave nothing to pay.
    NetNotPositive = "net_not_positive", Claim, Nobody,
        "Nothing is left to pay after clawbacks and fees.", "Wait until the payee has earned more.";
    /// A clawback of the payee is missing from the claim.
    ClawbackLeftOut = "clawback_left_out", Claim, Preparer,
        "The payee has a clawback in this currency that is not in the claim.", "Add it to the batch: add any reward of the payee, or the clawback itself.";
    /// The total exceeds what a single payment can be.
    TotalTooLarge = "total_too_large", Claim, Preparer,
        "The claim's total is more than a single payment can hold.", "Take rewards out of it, and check whether one of their values is a mistake.";
    /// The vendor's fee for this currency is not configured.
    FeeTableMissing = "fee_table_missing", Claim, Admin,
        "The payee bears the vendor's fee, and nobody has entered the vendor's fee for this currency.",
        "Enter the vendor's fee in Payout Settings under Fees, or let the company bear the fees.";
    /// The payee is on hold.
    PartnerOnHold = "partner_on_hold", Claim, Admin,
        "The payee is on hold.", "Read the note on the payee's page, or the flag on their destination there, and lift it once the matter is settled.";
    /// The payee is closed.
    PartnerClosed = "partner_closed", Claim, Admin,
        "The payee is closed.", "Open the payee again, or void the reward with a reason.";
    /// The reward is not approved.
    RewardNotApproved = "reward_not_approved", Reward, Admin,
        "The reward is not approved.", "A program manager or an administrator approves it under Rewards.";
    /// The reward has expired.
    RewardExpired = "reward_expired", Reward, Admin,
        "The reward expired before it was in a batch.",
        "If it should still be paid, a program manager or an administrator changes its expiry and approves it again.";
    /// The program's hold period has not ended.
    RewardInHoldPeriod = "reward_in_hold_period", Reward, Nobody,
        "The reward is still in its program's hold period.", "Wait until the hold period is over.";
    /// Points are not paid out.
    RewardNotCash = "reward_not_cash", Reward, Nobody,
        "Points are not paid out.", "Nothing to do.";
    /// The reward is in another batch.
    RewardInBatch = "reward_in_batch", Reward, Payer,
        "The reward is already in a payout.", "It is paid when that payout is paid. To pay it in another payout, take it out of that one first.";
    /// The reward is in a payment.
    RewardInFlight = "reward_in_flight", Reward, Nobody,
        "The reward is already in a payment.", "Open that payment to see its status.";
    /// The reward was paid.
    RewardPaid = "reward_paid", Reward, Nobody,
        "The reward has been paid.", "Nothing to do.";
    /// The vendor reports that an earlier payment of the reward was made after all.
    PaymentContradicted = "payment_contradicted", Reward, Payer,
        "The vendor and the books disagree about a payment of this reward, so money may have moved that the books do not show. Paying the reward again could pay it twice.",
        "Open that payment and settle it by hand, as made or as not made. If nothing there needs you, the vendor has only just reported it and Bursar is checking, which takes minutes, at most two days.";
    /// The transfer is made, but the money is not available yet.
    WaitingForFunds = "waiting_for_funds", Claim, Vendor,
        "The money is in the payee's Stripe balance and is not available yet, so the bank payout has not been started.",
        "Wait: Stripe makes it available within a day or two. If it does not, Bursar looks for the money and says so.";
    /// The transfer is made, but the money is missing.
    MoneyMissing = "money_missing", Claim, Payer,
        "The money was transferred to the payee's Stripe balance and is no longer there, and no known payout took it.",
        "Look at the payee's account in Stripe: find out where the money went, then settle the payment by hand.";
    /// The payment's record cannot be processed.
    SetAside = "set_aside", Claim, Admin,
        "Bursar cannot process the record of this payment, so it was set aside: nothing more is sent for it until the record is fixed. Other payments go on.",
        "Check the log for what is wrong with the record and have it fixed; Bursar retries it every hour.";
    /// The actor's role does not allow it.
    PermissionDenied = "permission_denied", Person, Admin,
        "Your role does not allow this.", "Ask an administrator.";
}

/// One blocker, for one subject.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Blocker {
    /// Why it is blocked.
    pub code: Code,
    /// The id of the subject: a reward, a payee, a batch, a person.
    pub subject: String,
    /// The subject's name for people, if known: the payee's name, the batch's number.
    pub called: Option<String>,
    /// More detail, as a sentence for internal users, such as the note on a payee's hold. Partners see only the code's
    /// message.
    pub note: Option<String>,
    /// Who must act and the remedy, if they differ from the code's.
    pub act: Option<(Who, &'static str)>,
}

impl Blocker {
    /// A blocker for `subject`.
    #[must_use]
    pub fn new(code: Code, subject: impl fmt::Display) -> Self {
        Self { code, subject: subject.to_string(), called: None, note: None, act: None }
    }

    /// Sets the subject's name for people.
    #[must_use]
    pub fn called(self, called: Option<String>) -> Self {
        Self { called, ..self }
    }

    /// Sets the note.
    #[must_use]
    pub fn noting(self, note: Option<String>) -> Self {
        Self { note, ..self }
    }

    /// Overrides who must act and the remedy.
    #[must_use]
    pub fn acting(self, who: Who, remedy: &'static str) -> Self {
        Self { act: Some((who, remedy)), ..self }
    }

    /// Who must act.
    #[must_use]
    pub fn who(&self) -> Who {
        self.act.map_or(self.code.who(), |(who, _)| who)
    }

    /// The remedy.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        self.act.map_or(self.code.remedy(), |(_, remedy)| remedy)
    }

    /// The code's message, followed by the note.
    #[must_use]
    pub fn message(&self) -> String {
        match &self.note {
            None => self.code.message().to_owned(),
            Some(note) => format!("{} {note}", self.code.message()),
        }
    }
}

/// The facts about a reward.
#[derive(Clone, Copy, Debug)]
pub struct RewardFacts {
    /// Its status.
    pub status: RewardStatus,
    /// Money or points.
    pub reward_type: RewardType,
    /// Not payable from this time on, unless it is in a batch by then (microseconds UTC).
    pub expires_at: Option<i64>,
    /// Not payable before this time (microseconds UTC).
    pub held_until: Option<i64>,
    /// Where it is: free, in a batch, in a payment, or paid.
    pub placement: Placement<BatchId>,
    /// The vendor contradicts an earlier payment of it, and nobody has settled that.
    pub contradicted: bool,
}

/// Every gate of the reward itself that is closed. Being in the batch `for_batch` is not an obstacle.
#[must_use]
pub fn reward(facts: &RewardFacts, for_batch: Option<BatchId>, now: i64) -> Vec<Code> {
    let mut codes = Vec::new();
    if facts.reward_type == RewardType::Points {
        codes.push(Code::RewardNotCash);
    }
    if facts.status != RewardStatus::Approved {
        codes.push(Code::RewardNotApproved);
    }
    match facts.placement {
        Placement::Free if facts.expires_at.is_some_and(|end| end <= now) => codes.push(Code::RewardExpired),
        Placement::Free => {}
        Placement::InBatch(batch) if Some(batch) == for_batch => {}
        Placement::InBatch(_) => codes.push(Code::RewardInBatch),
        Placement::InFlight => codes.push(Code::RewardInFlight),
        Placement::Paid(_) => codes.push(Code::RewardPaid),
    }
    if facts.held_until.is_some_and(|end| now < end) {
        codes.push(Code::RewardInHoldPeriod);
    }
    if facts.contradicted {
        codes.extend((!crate::planted::on("freed_though_contradicted")).then_some(Code::PaymentContradicted));
    }
    codes
}

spelled! {
    /// Whether we do business with a partner or account.
    PayeeStanding {
        /// Active: payments are allowed.
        Active = "active",
        /// On hold; a note says why.
        OnHold = "on_hold",
        /// Closed for good.
        Closed = "closed",
    }
}

/// The facts about a payee's payout profile.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProfileFacts {
    /// The chosen vendor.
    pub vendor: Vendor,
    /// Whether the vendor would pay to it now.
    pub payable: bool,
    /// Why it would not, in the vendor's words.
    pub why_not: Option<String>,
    /// When the destination last *changed* (microseconds UTC); `None` if it is the first.
    pub changed_at: Option<i64>,
    /// The destination's fingerprint.
    pub fingerprint: String,
    /// The currencies it has bank accounts in, if the vendor reports them (Stripe).
    pub currencies: Option<Vec<Currency>>,
}

/// The state of a payee's tax report.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TaxReport {
    /// None is on file.
    Missing,
    /// The form on file is not the one for this payee's country or kind.
    Unfit,
    /// On file until this time (microseconds UTC), or indefinitely.
    Until(Option<i64>),
}

/// The facts about a payee.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PayeeFacts {
    /// The payee.
    pub payee: Payee,
    /// Whether we do business with them; for an employee, the stricter of their own standing and their company's.
    pub standing: PayeeStanding,
    /// The note from when the payee was put on hold or closed.
    pub note: Option<String>,
    /// Their two-letter country code, if known.
    pub country: Option<String>,
    /// Their payout profile, if there is one.
    pub profile: Option<ProfileFacts>,
    /// Their tax report.
    pub tax: TaxReport,
}

/// The facts about the vendors.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct VendorFacts {
    /// Vendors with saved credentials.
    pub connected: Vec<Vendor>,
    /// Vendors that rejected them and are paused.
    pub rejected: Vec<Vendor>,
}

/// Every closed gate of the payee, regardless of the amount.
#[must_use]
pub fn payee(facts: &PayeeFacts, settings: &Settings, vendors: &VendorFacts, now: i64) -> Vec<Code> {
    let mut codes = Vec::new();
    match facts.standing {
        PayeeStanding::Active => {}
        PayeeStanding::OnHold => codes.push(Code::PartnerOnHold),
        PayeeStanding::Closed => codes.push(Code::PartnerClosed),
    }
    match &facts.profile {
        None => codes.push(Code::ProfileMissing),
        Some(profile) => {
            if !profile.payable {
                codes.push(Code::ProfileIncomplete);
            }
            if !settings.vendors.contains(&profile.vendor) || !vendors.connected.contains(&profile.vendor) {
                codes.push(Code::VendorNotConnected);
            } else if vendors.rejected.contains(&profile.vendor) {
                codes.push(Code::VendorCredentialsRejected);
            }
            if profile.changed_at.is_some_and(|at| now < at.saturating_add(settings.cooling_off_us())) {
                codes.push(Code::ProfileChangedRecently);
            }
        }
    }
    if settings.us_tax_tracking {
        match facts.tax {
            TaxReport::Missing | TaxReport::Unfit => codes.push(Code::TaxReportMissing),
            TaxReport::Until(Some(end)) if end <= now => codes.push(Code::TaxReportExpired),
            TaxReport::Until(_) => {}
        }
    }
    codes
}

/// Every closed gate of this amount: `total` is the claim's total, `net` what the vendor would be told to pay.
#[must_use]
pub fn amount(facts: &PayeeFacts, settings: &Settings, total: Money, net: Money) -> Vec<Code> {
    let mut codes = Vec::new();
    if net.minor <= 0 {
        codes.push(Code::NetNotPositive);
    } else if settings.threshold(total.currency).is_some_and(|least| total.minor < least.minor) {
        codes.push(Code::BelowThreshold);
    }
    let Some(profile) = &facts.profile else { return codes };
    let vendor_amount = net.at(profile.vendor);
    // No vendor pays a currency that has ended, whatever its documentation says.
    let ended = net.currency.ended().is_some();
    let no_account = profile.currencies.as_ref().is_some_and(|has| !has.contains(&net.currency));
    if ended || no_account || vendor_amount == Err(NotPayable::Currency) {
        codes.push(Code::CurrencyUnsupported);
    }
    if vendor_amount == Err(NotPayable::Amount) {
        codes.push(Code::AmountNotPayable);
    }
    let home = paypal_home_country(net.currency).filter(|_| profile.vendor == Vendor::PayPal);
    if home.is_some_and(|home| facts.country.as_deref() != Some(home)) {
        codes.push(Code::CountryUnsupported);
    }
    if settings.maximum(profile.vendor, net.currency).is_some_and(|most| net.minor > most.minor) {
        codes.push(Code::AboveVendorMax);
    }
    if settings.lacks_fee_table(profile.vendor, net.currency) {
        codes.push(Code::FeeTableMissing);
    }
    codes
}

/// More detail on a code, as a sentence for internal users; `None` if there is none.
#[must_use]
pub fn note(code: Code, facts: &PayeeFacts, settings: &Settings, total: Money, net: Money) -> Option<String> {
    let profile = facts.profile.as_ref();
    if code == Code::BelowThreshold {
        let least = settings.threshold(total.currency);
        return least.map(|least| format!("It is {total}; the threshold is {least}."));
    }
    if code == Code::AboveVendorMax {
        let most = profile.and_then(|profile| settings.maximum(profile.vendor, net.currency));
        return most.map(|most| format!("It is {net}; the maximum is {most}."));
    }
    if code == Code::FeeTableMissing {
        let vendor = profile.map(|profile| profile.vendor.label());
        return vendor.map(|vendor| format!("Missing: {vendor}'s fee in {}.", net.currency));
    }
    note_on_payee(code, facts)
}

/// Same as [`note`], for a gate of the payee that does not depend on the amount.
#[must_use]
pub fn note_on_payee(code: Code, facts: &PayeeFacts) -> Option<String> {
    let profile = facts.profile.as_ref();
    if matches!(code, Code::PartnerOnHold | Code::PartnerClosed) {
        let own_note = facts.note.as_deref().map(str::trim).filter(|note| !note.is_empty());
        return own_note.map(|note| format!("Note: {}.", note.trim_end_matches('.')));
    }
    if code == Code::ProfileIncomplete {
        let told = profile.and_then(|profile| Some((profile.vendor, profile.why_not.as_deref()?)));
        return told.map(|(vendor, why)| format!("{}: {}.", vendor.label(), why.trim_end_matches('.')));
    }
    None
}

/// What paying a batch would use of the operator's limits: the amounts vendors would be told to pay, one sum per
/// currency.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Spending {
    /// The sums of the batch.
    pub batch: Vec<Sum>,
    /// The sums of everything paid today (UTC), including the batch.
    pub day: Vec<Sum>,
    /// The sums this person has paid today (UTC), including the batch; empty if no person is asked about.
    pub person: Vec<Sum>,
    /// The sums this API key has paid today (UTC), including the batch; empty unless a key with limits of its own pays.
    pub key: Vec<Sum>,
    /// The key's own limits per day (UTC). It cannot pay at all in a currency without one.
    pub key_limits: Vec<Money>,
}

/// The limits that paying a batch would exceed, one sentence each. The maximum for a single payment is a gate of the
/// claim, [`Code::AboveVendorMax`].
#[must_use]
pub fn over_limits(settings: &Settings, spending: &Spending) -> Vec<String> {
    let limits = &settings.limits;
    let rows = [
        (&limits.per_batch, &spending.batch, "This payout totals", "per payout"),
        (&limits.per_day, &spending.day, "With it, today's payments (UTC) total", "per day"),
        (
            &limits.per_person_per_day,
            &spending.person,
            "With it, your payments today (UTC) total",
            "per person and day",
        ),
    ];
    let mut messages = Vec::new();
    for (limits, sums, what, which) in rows {
        for sum in sums {
            let limit = limits.iter().find(|limit| limit.currency == sum.currency);
            if let Some(limit) = limit.filter(|limit| i128::from(limit.minor) < sum.minor) {
                messages.push(format!("{what} {sum}; the limit {which} is {limit}."));
            }
        }
    }
    messages.extend(spending.key.iter().filter_map(|sum| over_key_limit(&spending.key_limits, *sum)));
    messages
}

/// Unlike the installation's limits, a key's name what it may do: a currency that is not listed is not allowed.
fn over_key_limit(limits: &[Money], sum: Sum) -> Option<String> {
    match limits.iter().find(|limit| limit.currency == sum.currency) {
        Some(limit) if i128::from(limit.minor) >= sum.minor => None,
        Some(limit) => Some(format!(
            "With it, this API key's payments today (UTC) total {sum}; the key's own limit per day is {limit}."
        )),
        None => Some(format!("This API key has no limit for {}, so it cannot pay in it.", sum.currency)),
    }
}

/// What a gate that closed between Pay and sending leads to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BeforeSend {
    /// Send.
    Open,
    /// Stay pending and show why: it passes with time, or when somebody fixes it.
    Wait(Code),
    /// End the attempt; nothing was sent.
    Stop(Code),
}

/// The check right before a submission is sent: `codes` are the closed gates, and the destination must still be the one
/// frozen at Pay. A payment waits for a destination's cooling-off, a paused or different vendor account, the brake, an
/// unknown payment at the vendor, and safe mode; every other closed gate stops it.
#[must_use]
pub fn before_send(codes: &[Code], destination_is_frozen_one: bool, safe_mode: bool) -> BeforeSend {
    if safe_mode {
        return BeforeSend::Wait(Code::SafeMode);
    }
    if let Some(stop) = codes.iter().copied().find(|code| !may_wait(*code)) {
        return BeforeSend::Stop(stop);
    }
    if let Some(wait) = codes.first() {
        return BeforeSend::Wait(*wait);
    }
    if destination_is_frozen_one { BeforeSend::Open } else { BeforeSend::Stop(Code::DestinationChanged) }
}

fn may_wait(code: Code) -> bool {
    matches!(
        code,
        Code::ProfileChangedRecently
            | Code::VendorCredentialsRejected
            | Code::OtherVendorAccount
            | Code::BooksDoNotBalance
            | Code::UnknownAtVendor
            | Code::SafeMode
    )
}

#[cfg(test)]
mod tests;
