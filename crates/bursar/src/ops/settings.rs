//! The payout settings, stored as one JSON document. The rules use a part of it ([`Settings`]); the rest is for other
//! features.

pub(super) mod lowering;

use payout::Refusal;
use payout::batch::FeesPaidBy;
use payout::fee;
use payout::money::{Currency, Money, Vendor};
use payout::settings::{Limits, Settings};
use payout::tax::LAST_KNOWN_YEAR;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{OpsError, Result};
use crate::app::{Actor, App};
use crate::store::{self, Db, StoreError, audit};
use crate::transact;

const NAME: &str = "payout";
/// A month is the longest sensible wait after a destination has changed.
const MOST_COOLING_OFF_HOURS: u32 = 24 * 31;

/// An amount as entered or returned.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Amount {
    /// A decimal.
    pub value: String,
    /// Three capital letters.
    pub currency: String,
}

/// The maximum of a single payment through one vendor.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VendorAmount {
    /// `stripe` or `paypal`.
    pub vendor: String,
    /// A decimal.
    pub value: String,
    /// Three capital letters.
    pub currency: String,
}

/// A vendor's fees for a payment in one currency.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = FeeTable)]
pub struct FeeTable {
    /// `stripe` or `paypal`.
    pub vendor: String,
    /// Three capital letters.
    pub currency: String,
    /// The percentage in basis points: 200 is 2 %.
    #[serde(default)]
    pub basis_points: u32,
    /// The fixed fee per payment, a decimal.
    #[serde(default)]
    pub fixed: Option<String>,
    /// The minimum fee per payment, a decimal.
    #[serde(default)]
    pub minimum: Option<String>,
    /// The maximum fee per payment, a decimal.
    #[serde(default)]
    pub maximum: Option<String>,
    /// The fee per month for each payee that is paid, a decimal.
    #[serde(default)]
    pub monthly: Option<String>,
}

/// The operator's limits; a limit that is not listed does not apply.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PayoutLimits)]
pub struct LimitsDocument {
    /// The maximum value of one reward, per currency; a currency that is not listed has its default maximum.
    #[serde(default)]
    pub per_reward: Vec<Amount>,
    /// The maximum of one payment, per vendor and currency.
    #[serde(default)]
    pub per_payment: Vec<VendorAmount>,
    /// The maximum of one payout, per currency.
    #[serde(default)]
    pub per_batch: Vec<Amount>,
    /// The maximum paid on a day (UTC), per currency.
    #[serde(default)]
    pub per_day: Vec<Amount>,
    /// The maximum paid by one person on a day (UTC), per currency.
    #[serde(default)]
    pub per_person_per_day: Vec<Amount>,
}

/// The yearly total from which a payee's payments are reported to the tax office.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TaxThreshold {
    /// The first calendar year it applies to; it also applies to later years until another is set.
    pub year: i32,
    /// A decimal.
    pub value: String,
    /// `USD`.
    pub currency: String,
}

/// The settings as stored and as returned by the API.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Document {
    /// Whether the payout module is on.
    pub enabled: bool,
    /// The vendors a payee may choose: `stripe`, `paypal`.
    pub vendors: Vec<String>,
    /// Whether payees must have a tax report.
    pub us_tax_tracking: bool,
    /// Whether another person must release a batch.
    pub two_person_release: bool,
    /// `company` or `partner`.
    pub fees_paid_by: String,
    /// The vendors' fees, one table per vendor and currency.
    #[serde(default)]
    pub fees: Vec<FeeTable>,
    /// How long payments to a changed destination wait.
    pub cooling_off_hours: u32,
    /// The minimum payout, one per currency; smaller claims are not paid.
    pub earning_thresholds: Vec<Amount>,
    /// The tax reporting thresholds of years after 2026, the last built-in one.
    #[serde(default)]
    pub tax_thresholds: Vec<TaxThreshold>,
    /// The operator's limits on what is paid at once, in a payout, and on a day.
    #[schema(value_type = LimitsDocument)]
    pub limits: Value,
    /// One per currency: whoever pays a larger payout on a page must type its total.
    #[serde(default)]
    pub typed_total_above: Vec<Amount>,
    /// The first day of the fiscal year, `MM-DD`.
    pub fiscal_year_start: String,
    /// Addresses that get notices, in addition to the people concerned.
    pub internal_recipients: Vec<String>,
    /// The partner roles that may set up a payout profile.
    pub profile_roles: Vec<String>,
}

impl Default for Document {
    fn default() -> Self {
        let rules = Settings::default();
        Self {
            enabled: rules.enabled,
            vendors: Vec::new(),
            us_tax_tracking: rules.us_tax_tracking,
            two_person_release: rules.two_person_release,
            fees_paid_by: rules.fees_paid_by.as_str().to_owned(),
            fees: Vec::new(),
            cooling_off_hours: rules.cooling_off_hours,
            earning_thresholds: Vec::new(),
            tax_thresholds: Vec::new(),
            limits: json!({}),
            typed_total_above: Vec::new(),
            fiscal_year_start: "01-01".to_owned(),
            internal_recipients: Vec::new(),
            profile_roles: vec!["partner".to_owned(), "partner_admin".to_owned()],
        }
    }
}

/// The settings in force.
pub async fn load(db: &mut Db) -> store::Result<Settings> {
    let (document, _) = read(db).await?;
    document.rules().map_err(|refusal| StoreError::Corrupt(format!("payout settings: {}", refusal.sentence)))
}

/// The settings as stored, and their version (0 before they are first saved).
pub async fn read(db: &mut Db) -> store::Result<(Document, i64)> {
    match store::settings::get(db, NAME).await? {
        None => Ok((Document::default(), 0)),
        Some((text, version)) => {
            let document = serde_json::from_str(&text);
            Ok((document.map_err(|error| StoreError::Corrupt(format!("payout settings: {error}")))?, version))
        }
    }
}

/// Changes the settings: `change` maps the current ones to the new ones. `expected` is the version the caller saw, if
/// given.
///
/// # Errors
/// `precondition_failed` if they have changed since; a refusal that names the invalid field; `second_person_needed` if one
/// person would weaken a safeguard within a day; `person_needed` if an API key would.
pub async fn save(
    app: &App,
    actor: &Actor,
    expected: Option<i64>,
    change: impl Fn(Document) -> std::result::Result<Document, Refusal> + Send + Sync,
) -> Result<(Document, i64)> {
    let now = app.clock.now();
    let saved = transact!(app, |tx| {
        let (before, version) = read(tx).await?;
        if expected.is_some_and(|expected| expected != version) {
            return Err(stale());
        }
        let after = change(before.clone())?;
        let rules = after.rules()?;
        let turns_on = after.enabled && !before.enabled;
        let connected = store::vendors::facts(tx).await?.connected;
        if turns_on && !rules.vendors.iter().any(|vendor| connected.contains(vendor)) {
            let message = "Connect Stripe or PayPal first: none of the selected payout methods is connected, so nobody could be paid.";
            return Err(Refusal::new("vendor_not_connected", message).at("vendors").into());
        }
        // An existing state is no reason to refuse another change; its claims are blocked until a table is entered.
        if lacks_fees(&rules) && !before.rules().is_ok_and(|before| lacks_fees(&before)) {
            let message = "Enter PayPal's fees before partners bear them: without a table Bursar does not know what to deduct from a payment.";
            return Err(Refusal::new("fee_table_missing", message).at("fees").into());
        }
        let after = after.written_out()?;
        // A safeguard that the current rules cannot parse still protects.
        let was = before.rules().ok();
        let (was, is) = ((&before, was.as_ref()), (&after, &rules));
        lowering::not_by_key(tx, actor, was, is).await?;
        if let Some(refusal) = lowering::payout_settings(tx, app, actor, was, is).await? {
            return Ok(Err(refusal));
        }
        let text = serde_json::to_string(&after).unwrap_or_default();
        if !store::settings::put(tx, NAME, &text, version, now).await? {
            return Err(stale());
        }
        tx.audit(audit::Entry {
            at: now,
            actor: actor.id.to_string(),
            action: "settings_changed",
            subject: "settings:payout".to_owned(),
            detail: json!({"before": before, "after": after}).to_string(),
        });
        Ok(Ok((after, version + 1)))
    })?;
    let saved = saved.map_err(OpsError::Conflict)?;
    app.nudge.dispatch.notify();
    Ok(saved)
}

/// Whether payees bear PayPal's fee, but there is no PayPal fee table in any currency.
fn lacks_fees(rules: &Settings) -> bool {
    let told = rules.fees.iter().any(|table| table.vendor == Vendor::PayPal);
    rules.fees_paid_by == FeesPaidBy::Partner && rules.vendors.contains(&Vendor::PayPal) && !told
}

/// Someone else changed it since it was read.
pub fn stale() -> OpsError {
    OpsError::Conflict(Refusal::new(
        "precondition_failed",
        "This was changed since you read it, so nothing was done. Look again, then retry.",
    ))
}

impl Document {
    /// The part of the settings that the rules use.
    ///
    /// # Errors
    /// The first invalid field.
    pub fn rules(&self) -> std::result::Result<Settings, Refusal> {
        let refuse = |field, code, told: &str| Refusal::new(code, told).at(field);
        let unknown_vendor = || refuse("vendors", "unknown_value", "A vendor must be stripe or paypal.");
        let vendors: Option<Vec<Vendor>> = self.vendors.iter().map(|name| Vendor::parse(name)).collect();
        let mut vendors = vendors.ok_or_else(unknown_vendor)?;
        vendors.sort_unstable();
        vendors.dedup();
        if self.enabled && vendors.is_empty() {
            return Err(refuse("vendors", "payout_method_required", "Payout method must be selected"));
        }
        if self.cooling_off_hours > MOST_COOLING_OFF_HOURS {
            let message = "The cooling-off can be at most 744 hours (31 days); 0 switches it off.";
            return Err(refuse("cooling_off_hours", "too_large", message));
        }
        self.check_the_rest()?;
        let fees = FeesPaidBy::parse(&self.fees_paid_by);
        let message = "The fees must be paid by company or partner.";
        Ok(Settings {
            enabled: self.enabled,
            vendors,
            us_tax_tracking: self.us_tax_tracking,
            two_person_release: self.two_person_release,
            fees_paid_by: fees.ok_or_else(|| refuse("fees_paid_by", "unknown_value", message))?,
            fees: self.fee_tables()?,
            cooling_off_hours: self.cooling_off_hours,
            earning_thresholds: self.thresholds()?,
            tax_thresholds: self.tax_lines()?,
            vendor_maximums: self.maximums()?,
            reward_maximums: self.reward_maximums()?,
            limits: self.sum_limits()?,
            typed_total_above: self.typed_totals()?,
        })
    }

    fn typed_totals(&self) -> std::result::Result<Vec<Money>, Refusal> {
        let message = "Each currency can have only one total to be typed.";
        one_per_currency(&self.typed_total_above, "typed_total_above", message)
    }

    fn check_the_rest(&self) -> std::result::Result<(), Refusal> {
        let refuse = |field, code, told: &str| Err(Refusal::new(code, told).at(field));
        let day = format!("2024-{}", self.fiscal_year_start);
        if self.fiscal_year_start.len() != 5 || crate::clock::start_of_date(&day).is_none() {
            let message = match self.fiscal_year_start.as_str() {
                "02-30" | "02-31" => "February has no such day. Choose one from 1 to 29.",
                "04-31" | "06-31" | "09-31" | "11-31" => "This month has 30 days. Choose one from 1 to 30.",
                _ => "Write the month and day the year begins, like 04-01.",
            };
            return refuse("fiscal_year_start", "invalid", message);
        }
        if self.internal_recipients.iter().any(|address| !is_address(address)) {
            return refuse(
                "internal_recipients",
                "invalid_email",
                "Each recipient must be one e-mail address.",
            );
        }
        if self.profile_roles.iter().any(|role| role != "partner" && role != "partner_admin") {
            return refuse("profile_roles", "unknown_value", "The roles must be partner or partner_admin.");
        }
        Ok(())
    }

    fn thresholds(&self) -> std::result::Result<Vec<Money>, Refusal> {
        let message = "Each currency can have only one threshold.";
        one_per_currency(&self.earning_thresholds, "earning_thresholds", message)
    }

    fn tax_lines(&self) -> std::result::Result<Vec<(i32, Money)>, Refusal> {
        let refuse = |code, told: &str| Err(Refusal::new(code, told).at("tax_thresholds"));
        let mut lines: Vec<(i32, Money)> = Vec::new();
        for one in &self.tax_thresholds {
            let amount = Amount { value: one.value.clone(), currency: one.currency.clone() };
            let line = money(&amount, "tax_thresholds")?;
            if line.currency != Currency::USD {
                return refuse(
                    "unknown_currency",
                    "Tax reporting thresholds must be in USD; nothing is converted.",
                );
            }
            if !(LAST_KNOWN_YEAR + 1..=9999).contains(&one.year) {
                let message = "The thresholds to 2026 are built in (600 USD to 2025, 2,000 USD for 2026); set those of later years.";
                return refuse("invalid_year", message);
            }
            if lines.iter().any(|(year, _)| *year == one.year) {
                return refuse("duplicate_year", "Each year can have only one tax reporting threshold.");
            }
            lines.push((one.year, line));
        }
        Ok(lines)
    }

    fn maximums(&self) -> std::result::Result<Vec<(Vendor, Money)>, Refusal> {
        let field = "limits.per_payment";
        let mut maximums: Vec<(Vendor, Money)> = Vec::new();
        for most in self.written_limits()?.per_payment {
            let unknown = || Refusal::new("unknown_value", "A vendor must be stripe or paypal.").at(field);
            let vendor = Vendor::parse(&most.vendor).ok_or_else(unknown)?;
            let money = money(&Amount { value: most.value, currency: most.currency }, field)?;
            if maximums.iter().any(|(of, known)| *of == vendor && known.currency == money.currency) {
                let message = "Each vendor and currency can have only one limit per payment.";
                return Err(Refusal::new("duplicate_currency", message).at(field));
            }
            maximums.push((vendor, money));
        }
        Ok(maximums)
    }

    fn reward_maximums(&self) -> std::result::Result<Vec<Money>, Refusal> {
        let message = "Each currency can have only one such limit.";
        one_per_currency(&self.written_limits()?.per_reward, "limits.per_reward", message)
    }

    fn fee_tables(&self) -> std::result::Result<Vec<fee::Table>, Refusal> {
        let mut tables: Vec<fee::Table> = Vec::new();
        for written in &self.fees {
            let table = fee_table(written)?;
            if tables.iter().any(|known| (known.vendor, known.currency) == (table.vendor, table.currency)) {
                let message = "Each vendor and currency can have only one fee table.";
                return Err(Refusal::new("duplicate_currency", message).at("fees"));
            }
            tables.push(table);
        }
        Ok(tables)
    }

    fn sum_limits(&self) -> std::result::Result<Limits, Refusal> {
        let written = self.written_limits()?;
        let message = "Each currency can have only one such limit.";
        Ok(Limits {
            per_batch: one_per_currency(&written.per_batch, "limits.per_batch", message)?,
            per_day: one_per_currency(&written.per_day, "limits.per_day", message)?,
            per_person_per_day: one_per_currency(
                &written.per_person_per_day,
                "limits.per_person_per_day",
                message,
            )?,
        })
    }

    /// The parsed limits; an empty list means none.
    ///
    /// # Errors
    /// The first list that cannot be read.
    pub fn written_limits(&self) -> std::result::Result<LimitsDocument, Refusal> {
        let wrong = |field, told: String| Refusal::new("invalid", told).at(field);
        let Some(lists) = self.limits.as_object() else {
            let none = self.limits.is_null() || self.limits.as_array().is_some_and(Vec::is_empty);
            let message = "Write the limits as an object with the lists per_reward, per_payment, per_batch, per_day, per_person_per_day.";
            return if none {
                Ok(LimitsDocument::default())
            } else {
                Err(wrong("limits", message.to_owned()))
            };
        };
        for (name, list) in lists {
            let (field, form) = match name.as_str() {
                "per_reward" => ("limits.per_reward", "{\"value\",\"currency\"}"),
                "per_payment" => ("limits.per_payment", "{\"vendor\",\"value\",\"currency\"}"),
                "per_batch" => ("limits.per_batch", "{\"value\",\"currency\"}"),
                "per_day" => ("limits.per_day", "{\"value\",\"currency\"}"),
                "per_person_per_day" => ("limits.per_person_per_day", "{\"value\",\"currency\"}"),
                unknown => {
                    let message = format!(
                        "There is no limit called {unknown}; the limits are per_reward, per_payment, per_batch, per_day and per_person_per_day."
                    );
                    return Err(wrong("limits", message));
                }
            };
            let readable = match field {
                "limits.per_payment" => serde_json::from_value::<Vec<VendorAmount>>(list.clone()).is_ok(),
                _ => serde_json::from_value::<Vec<Amount>>(list.clone()).is_ok(),
            };
            if !readable {
                return Err(wrong(field, format!("{name} is a list of {form}, the value a text.")));
            }
        }
        serde_json::from_value(self.limits.clone())
            .map_err(|error| wrong("limits", format!("The limits cannot be read: {error}.")))
    }

    /// Normalizes every amount to the number of digits that all responses use.
    fn written_out(mut self) -> std::result::Result<Self, Refusal> {
        self.earning_thresholds = self.thresholds()?.into_iter().map(Amount::from).collect();
        self.typed_total_above = self.typed_totals()?.into_iter().map(Amount::from).collect();
        self.fees = self.fee_tables()?.into_iter().map(FeeTable::from).collect();
        let (maximums, sums) = (self.maximums()?, self.sum_limits()?);
        let rewards = self.reward_maximums()?;
        let written = |list: Vec<Money>| list.into_iter().map(Amount::from).collect::<Vec<_>>();
        let limits = LimitsDocument {
            per_reward: written(rewards),
            per_payment: maximums.into_iter().map(VendorAmount::from).collect(),
            per_batch: written(sums.per_batch),
            per_day: written(sums.per_day),
            per_person_per_day: written(sums.per_person_per_day),
        };
        self.limits = if limits == LimitsDocument::default() { json!({}) } else { json!(limits) };
        self.vendors.sort_unstable();
        self.vendors.dedup();
        Ok(self)
    }
}

impl From<Money> for Amount {
    fn from(money: Money) -> Self {
        Self { value: money.decimal(), currency: money.currency.code().to_owned() }
    }
}

impl From<(Vendor, Money)> for VendorAmount {
    fn from((vendor, money): (Vendor, Money)) -> Self {
        let Amount { value, currency } = money.into();
        Self { vendor: vendor.as_str().to_owned(), value, currency }
    }
}

impl From<fee::Table> for FeeTable {
    fn from(table: fee::Table) -> Self {
        let decimal = |minor| Money::new(minor, table.currency).decimal();
        let some = |minor: i64| (minor > 0).then(|| decimal(minor));
        Self {
            vendor: table.vendor.as_str().to_owned(),
            currency: table.currency.code().to_owned(),
            basis_points: table.basis_points,
            fixed: some(table.fixed),
            minimum: table.least.map(decimal),
            maximum: table.most.map(decimal),
            monthly: some(table.monthly),
        }
    }
}

fn fee_table(written: &FeeTable) -> std::result::Result<fee::Table, Refusal> {
    let refuse = |code, told: &str| Err(Refusal::new(code, told).at("fees"));
    let Some(vendor) = Vendor::parse(&written.vendor) else {
        return refuse("unknown_value", "A vendor must be stripe or paypal.");
    };
    let sum = |value: &Option<String>| {
        let amount = |value: &String| Amount { value: value.clone(), currency: written.currency.clone() };
        value.as_ref().map(|value| sum_or_nothing(&amount(value))).transpose()
    };
    let currency = Currency::parse(&written.currency);
    let currency = currency.map_err(|error| Refusal::new(error.code(), error.sentence()).at("fees"))?;
    let (least, most) = (sum(&written.minimum)?, sum(&written.maximum)?);
    if written.basis_points > fee::MOST_BASIS_POINTS {
        return refuse("too_large", "A fee can be at most 100 % of a payment.");
    }
    if least.zip(most).is_some_and(|(least, most)| least > most) {
        return refuse("invalid", "A fee's minimum cannot be above its maximum.");
    }
    let (fixed, monthly) = (sum(&written.fixed)?.unwrap_or(0), sum(&written.monthly)?.unwrap_or(0));
    Ok(fee::Table { vendor, currency, basis_points: written.basis_points, fixed, least, most, monthly })
}

/// The amount in minor units; may be zero.
fn sum_or_nothing(amount: &Amount) -> std::result::Result<i64, Refusal> {
    let currency = Currency::parse(&amount.currency);
    let money = currency.and_then(|currency| Money::parse_or_nothing(&amount.value, currency));
    money.map(|money| money.minor).map_err(|error| Refusal::new(error.code(), error.sentence()).at("fees"))
}

fn one_per_currency(
    amounts: &[Amount],
    field: &'static str,
    told: &str,
) -> std::result::Result<Vec<Money>, Refusal> {
    let mut found: Vec<Money> = Vec::new();
    for amount in amounts {
        let money = money(amount, field)?;
        if found.iter().any(|known| known.currency == money.currency) {
            return Err(Refusal::new("duplicate_currency", told).at(field));
        }
        found.push(money);
    }
    Ok(found)
}

fn money(amount: &Amount, field: &'static str) -> std::result::Result<Money, Refusal> {
    let currency = Currency::parse(&amount.currency);
    let money = currency.and_then(|currency| Money::parse(&amount.value, currency));
    money.map_err(|error| Refusal::new(error.code(), error.sentence()).at(field))
}

/// Looks like one bare e-mail address that a mail can be sent to; whether it exists, only a mail finds out.
pub fn is_address(text: &str) -> bool {
    payout::address::mailable(text).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fee(vendor: &str, currency: &str) -> FeeTable {
        FeeTable {
            vendor: vendor.to_owned(),
            currency: currency.to_owned(),
            basis_points: 200,
            fixed: None,
            minimum: None,
            maximum: None,
            monthly: None,
        }
    }

    #[test]
    fn a_vendor_that_takes_nothing_is_said_to() {
        for zero in ["0", "0.00", "00"] {
            let free = FeeTable {
                basis_points: 0,
                fixed: Some(zero.into()),
                minimum: Some(zero.into()),
                maximum: Some(zero.into()),
                monthly: Some(zero.into()),
                ..fee("paypal", "USD")
            };
            let document = Document { fees: vec![free], ..Document::default() }.written_out().unwrap();
            let rules = document.rules().unwrap();
            let table = rules.fee_table(Vendor::PayPal, Currency::USD).unwrap();
            assert_eq!(
                (table.fixed, table.least, table.most, table.monthly),
                (0, Some(0), Some(0), 0),
                "{zero}"
            );
            assert_eq!(table.of(Money::new(10_000, Currency::USD), true).minor, 0);
        }
        let wrong = FeeTable { fixed: Some("-1".into()), ..fee("paypal", "USD") };
        assert!(Document { fees: vec![wrong], ..Document::default() }.written_out().is_err());
    }

    #[test]
    fn a_fee_table_reaches_the_rules_and_is_written_out() {
        let written =
            FeeTable { fixed: Some("0.5".into()), maximum: Some("20".into()), ..fee("paypal", "EUR") };
        let document = Document { fees: vec![written], ..Document::default() }.written_out().unwrap();
        assert_eq!(document.fees[0].fixed.as_deref(), Some("0.50"));
        let rules = document.rules().unwrap();
        let eur = Currency::parse("EUR").unwrap();
        let table = rules.fee_table(Vendor::PayPal, eur).unwrap();
        assert_eq!((table.basis_points, table.fixed, table.most), (200, 50, Some(2_000)));
        assert!(rules.fee_table(Vendor::Stripe, eur).is_none());
    }

    #[test]
    fn what_cannot_be_is_named() {
        type Corruption = fn(&mut Document);
        let rows: [(Corruption, &str); 21] = [
            (|it| it.enabled = true, "vendors"),
            (|it| it.vendors = vec!["bank".into()], "vendors"),
            (|it| it.cooling_off_hours = 10_000, "cooling_off_hours"),
            (|it| it.fees_paid_by = "nobody".into(), "fees_paid_by"),
            (|it| it.fiscal_year_start = "13-01".into(), "fiscal_year_start"),
            (|it| it.internal_recipients = vec!["a".into()], "internal_recipients"),
            (
                |it| it.internal_recipients = vec!["a@example.com\r\nBcc: b@example.com".into()],
                "internal_recipients",
            ),
            (|it| it.limits = json!({"per_payment": [1]}), "limits.per_payment"),
            (|it| it.limits = json!({"per_week": []}), "limits"),
            (
                |it| it.limits = json!({"per_reward": [{"value": "0", "currency": "USD"}]}),
                "limits.per_reward",
            ),
            (|it| it.fees = vec![FeeTable { basis_points: 10_001, ..fee("paypal", "USD") }], "fees"),
            (|it| it.fees = vec![fee("bank", "USD")], "fees"),
            (|it| it.fees = vec![fee("paypal", "XXX")], "fees"),
            (|it| it.fees = vec![fee("paypal", "USD"), fee("paypal", "USD")], "fees"),
            (
                |it| {
                    let (minimum, maximum) = (Some("2.00".to_owned()), Some("1.00".to_owned()));
                    it.fees = vec![FeeTable { minimum, maximum, ..fee("paypal", "USD") }];
                },
                "fees",
            ),
            (|it| it.limits = json!([1]), "limits"),
            (
                |it| it.typed_total_above = vec![Amount { value: "-1".into(), currency: "USD".into() }],
                "typed_total_above",
            ),
            (|it| it.limits = json!({"per_day": [{"value": 5, "currency": "USD"}]}), "limits.per_day"),
            (|it| it.limits = json!({"per_batch": [{"value": "-5", "currency": "USD"}]}), "limits.per_batch"),
            (
                |it| {
                    let usd = json!({"value": "5", "currency": "USD"});
                    it.limits = json!({"per_person_per_day": [usd, usd]});
                },
                "limits.per_person_per_day",
            ),
            (
                |it| it.earning_thresholds = vec![Amount { value: "1.234".into(), currency: "USD".into() }],
                "earning_thresholds",
            ),
        ];
        for (spoil, field) in rows {
            let mut document = Document::default();
            spoil(&mut document);
            assert_eq!(document.rules().unwrap_err().field, Some(field));
        }
        assert_eq!(Document::default().rules(), Ok(Settings::default()));
    }

    #[test]
    fn a_limit_per_payment_reaches_the_rules() {
        let limits = json!({"per_payment": [{"vendor": "paypal", "value": "500.00", "currency": "EUR"}]});
        let rules = Document { limits, ..Document::default() }.rules().unwrap();
        let eur = Currency::parse("EUR").unwrap();
        assert_eq!(rules.maximum(Vendor::PayPal, eur), Some(Money::new(50_000, eur)));
    }
}
