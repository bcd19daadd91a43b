//! Connected accounts: who they are, and whether Stripe would pay them.
//!
//! Only the account itself decides whether it is payable; there is no table of countries here or elsewhere.

use std::fmt;

use ::payout::money::Currency;
use serde::Deserialize;

use crate::lenient;
use crate::request::is_plain_id;

/// The id of a connected account. A payout cannot be built without one.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ConnectedAccount(String);

impl ConnectedAccount {
    /// Parses `acct_…`; `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let plain = text.strip_prefix("acct_").is_some_and(|rest| !rest.is_empty()) && is_plain_id(text);
        plain.then(|| Self(text.into()))
    }

    /// The id as Stripe writes it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ConnectedAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ConnectedAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The state of a connected account. It is payable in a currency if transfers are active, payouts are enabled, and it
/// has a usable external account in that currency ([`ConnectedAccountState::pays`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectedAccountState {
    /// `acct_…`
    pub id: String,
    /// Whether `capabilities.transfers` is `active`.
    pub transfers_active: bool,
    /// Whether Stripe may pay out its balance.
    pub payouts_enabled: bool,
    /// Whether the partner completed the onboarding form.
    pub details_submitted: bool,
    /// The currencies of its usable bank accounts and cards, without duplicates.
    pub currencies: Vec<Currency>,
    /// Why Stripe restricts it, as Stripe's own code.
    pub disabled_reason: Option<String>,
    /// What Stripe still requires, by Stripe's field names.
    pub currently_due: Vec<String>,
    /// The two-letter country code, in capitals.
    pub country: Option<String>,
    /// `manual`, `daily`, `weekly` or `monthly`. On any but `manual`, Stripe would pay out our transfers by itself.
    pub schedule_interval: Option<String>,
}

impl ConnectedAccountState {
    /// Whether Stripe would pay it in this currency now.
    #[must_use]
    pub fn pays(&self, currency: Currency) -> bool {
        self.transfers_active && self.payouts_enabled && self.currencies.contains(&currency)
    }
}

/// A partner to onboard at Stripe on Express terms: Stripe collects the requirements, the platform bears fees and
/// losses, and the payout schedule is manual from the start.
#[derive(Clone, Debug)]
pub struct NewAccount<'a> {
    /// The idempotency key of the request.
    pub key: &'a str,
    /// Our payee id; becomes `metadata[payee]`.
    pub payee: &'a str,
    /// The two-letter country code, in capitals.
    pub country: &'a str,
    /// The email address Stripe contacts.
    pub email: &'a str,
    /// `individual` or `company`.
    pub business_type: &'a str,
    /// Whether to use the recipient agreement, which cross-border payouts need and which delays transfers by a day.
    pub recipient: bool,
}

impl NewAccount<'_> {
    pub(super) fn form(&self) -> Vec<u8> {
        let mut fields = vec![
            ("country", self.country),
            ("email", self.email),
            ("business_type", self.business_type),
            ("controller[stripe_dashboard][type]", "express"),
            ("controller[fees][payer]", "application"),
            ("controller[losses][payments]", "application"),
            ("controller[requirement_collection]", "stripe"),
            ("capabilities[transfers][requested]", "true"),
            ("settings[payouts][schedule][interval]", "manual"),
            ("metadata[payee]", self.payee),
        ];
        if self.recipient {
            fields.push(("tos_acceptance[service_agreement]", "recipient"));
        }
        super::form(&fields)
    }
}

/// A link to Stripe's hosted onboarding: single use, valid for minutes, never to be mailed.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct AccountLink {
    /// The URL for the partner's browser.
    pub url: String,
    /// The expiry, in Unix seconds.
    pub expires_at: i64,
}

/// The parts of Stripe's account object that we need.
#[derive(Deserialize)]
pub(super) struct AccountBody {
    id: String,
    #[serde(default, deserialize_with = "lenient::text")]
    country: Option<String>,
    #[serde(default, deserialize_with = "lenient::or_default")]
    payouts_enabled: bool,
    #[serde(default, deserialize_with = "lenient::or_default")]
    details_submitted: bool,
    #[serde(default, deserialize_with = "lenient::maybe")]
    capabilities: Option<Capabilities>,
    #[serde(default, deserialize_with = "lenient::maybe")]
    requirements: Option<Requirements>,
    #[serde(default, deserialize_with = "lenient::maybe")]
    pub(super) external_accounts: Option<ExternalAccounts>,
    #[serde(default, deserialize_with = "lenient::maybe")]
    settings: Option<Settings>,
}

#[derive(Deserialize)]
struct Capabilities {
    #[serde(default, deserialize_with = "lenient::text")]
    transfers: Option<String>,
}

#[derive(Deserialize)]
struct Requirements {
    #[serde(default, deserialize_with = "lenient::text")]
    disabled_reason: Option<String>,
    #[serde(default, deserialize_with = "lenient::each")]
    currently_due: Vec<String>,
}

#[derive(Deserialize)]
pub(super) struct ExternalAccounts {
    #[serde(default, deserialize_with = "lenient::each")]
    pub(super) data: Vec<ExternalAccount>,
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub(super) has_more: bool,
}

/// A bank account or a debit card.
#[derive(Deserialize)]
pub(super) struct ExternalAccount {
    pub(super) id: String,
    #[serde(default, deserialize_with = "lenient::text")]
    currency: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    status: Option<String>,
}

#[derive(Deserialize)]
struct Settings {
    #[serde(default, deserialize_with = "lenient::maybe")]
    payouts: Option<PayoutSettings>,
}

#[derive(Deserialize)]
struct PayoutSettings {
    #[serde(default, deserialize_with = "lenient::maybe")]
    schedule: Option<Schedule>,
}

#[derive(Deserialize)]
struct Schedule {
    #[serde(default, deserialize_with = "lenient::text")]
    interval: Option<String>,
}

impl AccountBody {
    pub(super) fn state(self, external: &[ExternalAccount]) -> ConnectedAccountState {
        let mut currencies: Vec<Currency> = external.iter().filter_map(usable_currency).collect();
        currencies.sort_unstable();
        currencies.dedup();
        let (disabled_reason, currently_due) = self
            .requirements
            .map_or((None, Vec::new()), |needs| (needs.disabled_reason, needs.currently_due));
        let schedule = self.settings.and_then(|settings| settings.payouts?.schedule);
        ConnectedAccountState {
            id: self.id,
            transfers_active: self.capabilities.and_then(|all| all.transfers).as_deref() == Some("active"),
            payouts_enabled: self.payouts_enabled,
            details_submitted: self.details_submitted,
            currencies,
            disabled_reason,
            currently_due,
            country: self.country,
            schedule_interval: schedule.and_then(|schedule| schedule.interval),
        }
    }
}

/// After a failed payout, Stripe disables the bank account (`errored`) until its details are replaced.
fn usable_currency(external: &ExternalAccount) -> Option<Currency> {
    let off = ["errored", "verification_failed", "tokenized_account_number_deactivated"];
    if external.status.as_deref().is_some_and(|status| off.contains(&status)) {
        return None;
    }
    Currency::parse(&external.currency.as_deref()?.to_ascii_uppercase()).ok()
}
