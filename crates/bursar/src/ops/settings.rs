//! The payout settings: what the operator has decided, kept as one JSON document. The rules see the part of it that is
//! theirs ([`Settings`]); the rest is kept for the features that will read it.

use payout::Refusal;
use payout::batch::FeesPaidBy;
use payout::money::{Currency, Money, Vendor};
use payout::settings::Settings;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{OpsError, Result};
use crate::app::{Actor, App};
use crate::store::{self, Db, StoreError, audit};
use crate::transact;

const NAME: &str = "payout";
/// A month is the longest wait after a changed destination that makes sense.
const MOST_COOLING_OFF_HOURS: u32 = 24 * 31;

/// An amount as it is written.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Amount {
    /// A decimal.
    pub value: String,
    /// Three capital letters.
    pub currency: String,
}

/// The settings as they are kept and answered.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Document {
    /// The payout module is on.
    pub enabled: bool,
    /// The vendors a payee may choose: `stripe`, `paypal`.
    pub vendors: Vec<String>,
    /// Payees must have a tax report.
    pub us_tax_tracking: bool,
    /// Another person must release a batch.
    pub two_person_release: bool,
    /// `company` or `partner`.
    pub fees_paid_by: String,
    /// How long a changed destination waits.
    pub cooling_off_hours: u32,
    /// Below these, one per currency, nothing is paid.
    pub earning_thresholds: Vec<Amount>,
    /// Limits of the operator. `per_payment` holds `{"vendor","value","currency"}`: the most of one payment.
    #[schema(value_type = Object)]
    pub limits: Value,
    /// The first day of the fiscal year, `MM-DD`.
    pub fiscal_year_start: String,
    /// Who is told of what happens, beside those it concerns.
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
            cooling_off_hours: rules.cooling_off_hours,
            earning_thresholds: Vec::new(),
            limits: json!({}),
            fiscal_year_start: "01-01".to_owned(),
            internal_recipients: Vec::new(),
            profile_roles: vec!["partner".to_owned(), "partner_admin".to_owned()],
        }
    }
}

/// The settings in force.
///
/// # Errors
/// When the database does not answer.
pub async fn load(db: &mut Db) -> store::Result<Settings> {
    let (document, _) = read(db).await?;
    document.rules().map_err(|refusal| StoreError::Corrupt(format!("payout settings: {}", refusal.sentence)))
}

/// The settings as they are kept, and their version (0 before they are first saved).
///
/// # Errors
/// When the database does not answer.
pub async fn read(db: &mut Db) -> store::Result<(Document, i64)> {
    match store::settings::get(db, NAME).await? {
        None => Ok((Document::default(), 0)),
        Some((text, version)) => {
            let document = serde_json::from_str(&text);
            Ok((document.map_err(|error| StoreError::Corrupt(format!("payout settings: {error}")))?, version))
        }
    }
}

/// Changes the settings: `change` is given how they are and says how they will be. `expected` is the version that
/// whoever asks has seen, if he says so.
///
/// # Errors
/// `precondition_failed` when they were changed since; a refusal that names the field when a value cannot be.
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
        after.rules()?;
        let after = after.written_out()?;
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
        Ok((after, version + 1))
    })?;
    app.nudge.dispatch.notify_one();
    Ok(saved)
}

/// Somebody else changed it since it was read.
#[must_use]
pub fn stale() -> OpsError {
    OpsError::Conflict(Refusal::new(
        "precondition_failed",
        "This was changed since you read it, so nothing was done. Look again, then repeat it.",
    ))
}

impl Document {
    /// The part that the rules read.
    ///
    /// # Errors
    /// The first field that cannot be.
    pub fn rules(&self) -> std::result::Result<Settings, Refusal> {
        let refuse = |field, code, told: &str| Refusal::new(code, told).at(field);
        let unknown_vendor = || refuse("vendors", "unknown_value", "A vendor is stripe or paypal.");
        let vendors: Option<Vec<Vendor>> = self.vendors.iter().map(|name| Vendor::parse(name)).collect();
        let mut vendors = vendors.ok_or_else(unknown_vendor)?;
        vendors.sort_unstable();
        vendors.dedup();
        if self.enabled && vendors.is_empty() {
            return Err(refuse("vendors", "payout_method_required", "Payout method must be selected"));
        }
        if self.cooling_off_hours > MOST_COOLING_OFF_HOURS {
            let told = "The cooling-off lasts at most 744 hours, which is 31 days; 0 switches it off.";
            return Err(refuse("cooling_off_hours", "too_large", told));
        }
        self.check_the_rest()?;
        let fees = FeesPaidBy::parse(&self.fees_paid_by);
        let told = "The fees are paid by company or partner.";
        Ok(Settings {
            enabled: self.enabled,
            vendors,
            us_tax_tracking: self.us_tax_tracking,
            two_person_release: self.two_person_release,
            fees_paid_by: fees.ok_or_else(|| refuse("fees_paid_by", "unknown_value", told))?,
            cooling_off_hours: self.cooling_off_hours,
            earning_thresholds: self.thresholds()?,
            vendor_maximums: self.maximums()?,
        })
    }

    fn check_the_rest(&self) -> std::result::Result<(), Refusal> {
        let refuse = |field, code, told: &str| Err(Refusal::new(code, told).at(field));
        let day = format!("2024-{}", self.fiscal_year_start);
        if self.fiscal_year_start.len() != 5 || crate::clock::start_of_date(&day).is_none() {
            return refuse(
                "fiscal_year_start",
                "invalid",
                "Write the month and day the year begins, like 04-01.",
            );
        }
        if self.internal_recipients.iter().any(|address| !is_address(address)) {
            return refuse("internal_recipients", "invalid_email", "Each recipient is one e-mail address.");
        }
        if self.profile_roles.iter().any(|role| role != "partner" && role != "partner_admin") {
            return refuse("profile_roles", "unknown_value", "The roles are partner and partner_admin.");
        }
        if !self.limits.is_object() && !self.limits.is_array() {
            return refuse("limits", "wrong_type", "Write the limits as an object.");
        }
        Ok(())
    }

    fn thresholds(&self) -> std::result::Result<Vec<Money>, Refusal> {
        let mut thresholds: Vec<Money> = Vec::new();
        for amount in &self.earning_thresholds {
            let money = money(amount, "earning_thresholds")?;
            if thresholds.iter().any(|known| known.currency == money.currency) {
                let told = "There is one threshold for each currency.";
                return Err(Refusal::new("duplicate_currency", told).at("earning_thresholds"));
            }
            thresholds.push(money);
        }
        Ok(thresholds)
    }

    fn maximums(&self) -> std::result::Result<Vec<(Vendor, Money)>, Refusal> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Most {
            vendor: String,
            value: String,
            currency: String,
        }
        let wrong = |told: &str| Refusal::new("invalid", told).at("limits");
        let Some(list) = self.limits.get("per_payment") else { return Ok(Vec::new()) };
        let list: Vec<Most> = serde_json::from_value(list.clone())
            .map_err(|_| wrong("per_payment is a list of {\"vendor\",\"value\",\"currency\"}."))?;
        list.into_iter()
            .map(|most| {
                let vendor =
                    Vendor::parse(&most.vendor).ok_or_else(|| wrong("A vendor is stripe or paypal."))?;
                Ok((vendor, money(&Amount { value: most.value, currency: most.currency }, "limits")?))
            })
            .collect()
    }

    /// The same with every amount's digits written out, as all answers print them.
    fn written_out(mut self) -> std::result::Result<Self, Refusal> {
        let thresholds = self.thresholds()?;
        self.earning_thresholds = thresholds
            .into_iter()
            .map(|money| Amount { value: money.decimal(), currency: money.currency.code().to_owned() })
            .collect();
        self.vendors.sort_unstable();
        self.vendors.dedup();
        Ok(self)
    }
}

fn money(amount: &Amount, field: &'static str) -> std::result::Result<Money, Refusal> {
    let currency = Currency::parse(&amount.currency);
    let money = currency.and_then(|currency| Money::parse(&amount.value, currency));
    money.map_err(|error| Refusal::new(error.code(), error.sentence()).at(field))
}

/// Looks like one bare e-mail address; whether it exists, only a mail finds out.
#[must_use]
pub fn is_address(text: &str) -> bool {
    let strange =
        |letter: char| letter.is_whitespace() || letter.is_control() || "<>,;:\"()[]\\".contains(letter);
    let parts = text.split_once('@');
    text.len() <= 254
        && !text.contains(strange)
        && parts.is_some_and(|(name, host)| !name.is_empty() && !host.is_empty() && !host.contains('@'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_is_named() {
        type Spoil = fn(&mut Document);
        let rows: [(Spoil, &str); 8] = [
            (|it| it.enabled = true, "vendors"),
            (|it| it.vendors = vec!["bank".into()], "vendors"),
            (|it| it.cooling_off_hours = 10_000, "cooling_off_hours"),
            (|it| it.fees_paid_by = "nobody".into(), "fees_paid_by"),
            (|it| it.fiscal_year_start = "13-01".into(), "fiscal_year_start"),
            (|it| it.internal_recipients = vec!["a".into()], "internal_recipients"),
            (|it| it.limits = json!({"per_payment": [1]}), "limits"),
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
