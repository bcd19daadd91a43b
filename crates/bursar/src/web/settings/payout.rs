//! Payout Settings: the rules of paying, in sections that are saved separately. The vendors' connections are in
//! `connections`.
//!
//! Each section's form carries a hash of the values it was shown with, so two people can save two sections at the same time,
//! and neither silently overwrites the other's change. Rejected input stays in the form.

mod amounts;
mod fees;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use payout::Refusal;
use payout::access::Permission;

use super::connected::{self, Connected, Refused};
use crate::ops::OpsError;
use crate::ops::settings::{self, Amount, Document, FeeTable, LimitsDocument, TaxThreshold, VendorAmount};
use crate::web::kit::form::Form;
use crate::web::kit::layout::{Flash, Frame, MenuItem, PageContext};
use crate::web::kit::problem::Problem;
use crate::web::kit::route::{Access, Route, Web, get, post};

pub fn routes() -> Vec<Route> {
    let administers = Access::May(Permission::Administer);
    vec![
        get("/settings/payouts", Access::May(Permission::Read), show),
        post("/settings/payouts", administers, save).step_up("Save these settings"),
    ]
}

pub(super) const PAGE: &str = "/settings/payouts";

/// A part of the settings that is saved separately.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Section {
    Methods,
    Amounts,
    Fees,
    Limits,
    Safeguards,
    Partners,
    Company,
}

impl Section {
    const ALL: [Self; 7] = [
        Self::Methods,
        Self::Amounts,
        Self::Fees,
        Self::Limits,
        Self::Safeguards,
        Self::Partners,
        Self::Company,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Self::Methods => "methods",
            Self::Amounts => "amounts",
            Self::Fees => "fees",
            Self::Limits => "limits",
            Self::Safeguards => "safeguards",
            Self::Partners => "partners",
            Self::Company => "company",
        }
    }

    fn saved(self) -> &'static str {
        match self {
            Self::Methods => "The payout methods are saved.",
            Self::Amounts => "The thresholds are saved.",
            Self::Fees => "The fees are saved.",
            Self::Limits => "The limits are saved.",
            Self::Safeguards => "The safeguards are saved.",
            Self::Partners => "What partners need is saved.",
            Self::Company => "Year and recipients are saved.",
        }
    }

    /// A hash over the section's values, to detect changes.
    fn tag(self, of: &Document) -> String {
        let values = match self {
            Self::Methods => serde_json::json!([of.enabled, of.vendors]),
            Self::Amounts => serde_json::json!([of.earning_thresholds]),
            Self::Fees => serde_json::json!([of.fees_paid_by, of.fees]),
            Self::Limits => of.limits.clone(),
            Self::Safeguards => {
                serde_json::json!([of.cooling_off_hours, of.two_person_release, of.typed_total_above])
            }
            Self::Partners => {
                let lines: Vec<String> = of.tax_thresholds.iter().map(tax_line).collect();
                serde_json::json!([of.us_tax_tracking, of.profile_roles, lines])
            }
            Self::Company => serde_json::json!([of.fiscal_year_start, of.internal_recipients]),
        };
        let hash = Sha256::digest(values.to_string());
        hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }
}

/// All inputs of the page, as text. A form sends only those of its section.
#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct FormInput {
    section: String,
    seen: String,
    enabled: Option<String>,
    vendor: Vec<String>,
    fees_paid_by: String,
    #[serde(rename = "fee_vendor[]")]
    fee_vendor: Vec<String>,
    #[serde(rename = "fee_currency[]")]
    fee_currency: Vec<String>,
    #[serde(rename = "fee_percent[]")]
    fee_percent: Vec<String>,
    #[serde(rename = "fee_fixed[]")]
    fee_fixed: Vec<String>,
    #[serde(rename = "fee_minimum[]")]
    fee_minimum: Vec<String>,
    #[serde(rename = "fee_maximum[]")]
    fee_maximum: Vec<String>,
    #[serde(rename = "fee_monthly[]")]
    fee_monthly: Vec<String>,
    /// The rows of all amount lists in a section, as parallel columns: list name, vendor or year, amount, currency.
    #[serde(rename = "row_of[]")]
    row_of: Vec<String>,
    #[serde(rename = "row_lead[]")]
    row_lead: Vec<String>,
    #[serde(rename = "row_value[]")]
    row_value: Vec<String>,
    #[serde(rename = "row_currency[]")]
    row_currency: Vec<String>,
    /// The rows to remove, like `per_day:0`.
    row_drop: Vec<String>,
    thresholds: String,
    per_reward: String,
    per_payment: String,
    per_batch: String,
    per_day: String,
    per_person_per_day: String,
    two_person_release: Option<String>,
    cooling_off_hours: String,
    typed_total_above: String,
    us_tax_tracking: Option<String>,
    profile_role: Vec<String>,
    tax_thresholds: String,
    /// Like `04-01`; a form may send the month and the day instead.
    fiscal_year_start: String,
    fiscal_month: Option<String>,
    fiscal_day: Option<String>,
    internal_recipients: String,
}

fn lines(amounts: &[Amount]) -> String {
    let lines = amounts.iter().map(|one| format!("{} {}", one.value, one.currency));
    lines.collect::<Vec<_>>().join("\n")
}

impl FormInput {
    fn of(document: &Document) -> Self {
        let limits = document.written_limits().unwrap_or_default();
        let ticked = |on: bool| on.then(|| "yes".to_owned());
        let most = |one: &VendorAmount| format!("{} {} {}", one.vendor, one.value, one.currency);
        Self {
            section: String::new(),
            seen: String::new(),
            enabled: ticked(document.enabled),
            vendor: document.vendors.clone(),
            fees_paid_by: document.fees_paid_by.clone(),
            fee_vendor: column(&document.fees, |fee| fee.vendor.clone()),
            fee_currency: column(&document.fees, |fee| fee.currency.clone()),
            fee_percent: column(&document.fees, |fee| fees::percent(fee.basis_points)),
            fee_fixed: column(&document.fees, |fee| fee.fixed.clone().unwrap_or_default()),
            fee_minimum: column(&document.fees, |fee| fee.minimum.clone().unwrap_or_default()),
            fee_maximum: column(&document.fees, |fee| fee.maximum.clone().unwrap_or_default()),
            fee_monthly: column(&document.fees, |fee| fee.monthly.clone().unwrap_or_default()),
            row_of: Vec::new(),
            row_lead: Vec::new(),
            row_value: Vec::new(),
            row_currency: Vec::new(),
            row_drop: Vec::new(),
            per_reward: lines(&limits.per_reward),
            thresholds: lines(&document.earning_thresholds),
            per_payment: limits.per_payment.iter().map(most).collect::<Vec<_>>().join("\n"),
            per_batch: lines(&limits.per_batch),
            per_day: lines(&limits.per_day),
            per_person_per_day: lines(&limits.per_person_per_day),
            two_person_release: ticked(document.two_person_release),
            cooling_off_hours: document.cooling_off_hours.to_string(),
            typed_total_above: lines(&document.typed_total_above),
            us_tax_tracking: ticked(document.us_tax_tracking),
            profile_role: document.profile_roles.clone(),
            tax_thresholds: document.tax_thresholds.iter().map(tax_line).collect::<Vec<_>>().join("\n"),
            fiscal_year_start: document.fiscal_year_start.clone(),
            fiscal_month: None,
            fiscal_day: None,
            internal_recipients: document.internal_recipients.join("\n"),
        }
    }

    /// What the page shows: the submitted input in its own section, the current values in the others.
    fn beside(&self, document: &Document, section: Section) -> Self {
        let (mut shown, typed) = (Self::of(document), self.clone());
        (shown.row_of, shown.row_drop) = (typed.row_of, typed.row_drop);
        (shown.row_lead, shown.row_value, shown.row_currency) =
            (typed.row_lead, typed.row_value, typed.row_currency);
        match section {
            Section::Methods => (shown.enabled, shown.vendor) = (typed.enabled, typed.vendor),
            Section::Amounts => shown.thresholds = typed.thresholds,
            Section::Fees => {
                shown.fees_paid_by = typed.fees_paid_by;
                (shown.fee_vendor, shown.fee_currency) = (typed.fee_vendor, typed.fee_currency);
                (shown.fee_percent, shown.fee_fixed) = (typed.fee_percent, typed.fee_fixed);
                (shown.fee_minimum, shown.fee_maximum) = (typed.fee_minimum, typed.fee_maximum);
                shown.fee_monthly = typed.fee_monthly;
            }
            Section::Limits => {
                shown.per_reward = typed.per_reward;
                (shown.per_payment, shown.per_batch) = (typed.per_payment, typed.per_batch);
                (shown.per_day, shown.per_person_per_day) = (typed.per_day, typed.per_person_per_day);
            }
            Section::Safeguards => {
                shown.two_person_release = typed.two_person_release;
                shown.cooling_off_hours = typed.cooling_off_hours;
                shown.typed_total_above = typed.typed_total_above;
            }
            Section::Partners => {
                (shown.us_tax_tracking, shown.profile_role) = (typed.us_tax_tracking, typed.profile_role);
                shown.tax_thresholds = typed.tax_thresholds;
            }
            Section::Company => {
                shown.fiscal_year_start = self.fiscal_year();
                shown.internal_recipients = typed.internal_recipients;
            }
        }
        shown
    }

    /// The month and day on which the fiscal year begins.
    fn fiscal_year(&self) -> String {
        match (&self.fiscal_month, &self.fiscal_day) {
            (Some(month), Some(day)) => format!("{month}-{day}"),
            (_, _) => self.fiscal_year_start.trim().to_owned(),
        }
    }

    fn over(&self, before: Document, section: Section) -> Result<Document, Refusal> {
        Ok(match section {
            Section::Methods => {
                Document { enabled: self.enabled.is_some(), vendors: self.vendor.clone(), ..before }
            }
            Section::Amounts => {
                Document { earning_thresholds: amounts(&self.thresholds, "earning_thresholds")?, ..before }
            }
            Section::Fees => {
                Document { fees_paid_by: self.fees_paid_by.clone(), fees: fees::read(self)?, ..before }
            }
            Section::Limits => {
                let limits = LimitsDocument {
                    per_reward: amounts(&self.per_reward, "limits.per_reward")?,
                    per_payment: vendor_amounts(&self.per_payment)?,
                    per_batch: amounts(&self.per_batch, "limits.per_batch")?,
                    per_day: amounts(&self.per_day, "limits.per_day")?,
                    per_person_per_day: amounts(&self.per_person_per_day, "limits.per_person_per_day")?,
                };
                Document { limits: serde_json::json!(limits), ..before }
            }
            Section::Safeguards => {
                let hours = self.cooling_off_hours.trim().parse().map_err(|_| {
                    let message = "Write the cooling-off in whole hours, like 72; 0 switches it off.";
                    Refusal::new("invalid", message).at("cooling_off_hours")
                })?;
                Document {
                    cooling_off_hours: hours,
                    two_person_release: self.two_person_release.is_some(),
                    typed_total_above: amounts(&self.typed_total_above, "typed_total_above")?,
                    ..before
                }
            }
            Section::Partners => Document {
                us_tax_tracking: self.us_tax_tracking.is_some(),
                profile_roles: self.profile_role.clone(),
                tax_thresholds: tax_lines(&self.tax_thresholds)?,
                ..before
            },
            Section::Company => Document {
                fiscal_year_start: self.fiscal_year(),
                internal_recipients: filled(&self.internal_recipients).map(str::to_owned).collect(),
                ..before
            },
        })
    }
}

fn column(fees: &[FeeTable], of: impl Fn(&FeeTable) -> String) -> Vec<String> {
    fees.iter().map(of).collect()
}

/// The lines that are not blank.
fn filled(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty())
}

fn amounts(text: &str, field: &'static str) -> Result<Vec<Amount>, Refusal> {
    let amount = |line: &str| {
        let message = format!("“{line}” cannot be read. Write an amount and its currency, like 50.00 USD.");
        let mut words = line.split_whitespace();
        match (words.next(), words.next(), words.next()) {
            (Some(value), Some(currency), None) => {
                Ok(Amount { value: value.to_owned(), currency: currency.to_owned() })
            }
            (_, _, _) => Err(Refusal::new("invalid", message).at(field)),
        }
    };
    filled(text).map(amount).collect()
}

fn vendor_amounts(text: &str) -> Result<Vec<VendorAmount>, Refusal> {
    let amount = |line: &str| {
        let message = format!(
            "“{line}” cannot be read. Write a limit with its vendor and currency, like paypal 5000.00 USD."
        );
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            [vendor, value, currency] => Ok(VendorAmount {
                vendor: vendor.to_lowercase(),
                value: (*value).to_owned(),
                currency: (*currency).to_owned(),
            }),
            _ => Err(Refusal::new("invalid", message).at("limits.per_payment")),
        }
    };
    filled(text).map(amount).collect()
}

fn tax_line(one: &TaxThreshold) -> String {
    format!("{} {} {}", one.year, one.value, one.currency)
}

fn tax_lines(text: &str) -> Result<Vec<TaxThreshold>, Refusal> {
    let threshold = |line: &str| {
        let message =
            format!("“{line}” cannot be read. Write a year with its amount, like 2027 2000.00 USD.");
        let mut words = line.split_whitespace();
        let year = words.next().and_then(|year| year.parse().ok());
        match (year, words.next(), words.next(), words.next()) {
            (Some(year), Some(value), Some(currency), None) => {
                Ok(TaxThreshold { year, value: value.to_owned(), currency: currency.to_owned() })
            }
            (_, _, _, _) => Err(Refusal::new("invalid", message).at("tax_thresholds")),
        }
    };
    filled(text).map(threshold).collect()
}

/// A validation error: the message, the field and the section.
#[derive(Clone)]
struct Wrong {
    section: &'static str,
    field: &'static str,
    sentence: String,
}

#[derive(Template)]
#[template(path = "settings/payout.html")]
struct SettingsPage {
    frame: Frame,
    on: bool,
    typed: FormInput,
    tags: Vec<(&'static str, String)>,
    wrong: Option<Wrong>,
    vendors: Vec<Connected>,
    base_url: String,
    may: bool,
}

#[rustfmt::skip]
const MONTHS: [&str; 12] = [
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
];

impl SettingsPage {
    fn fee_rows(&self) -> Vec<fees::Row> {
        fees::rows(&self.typed)
    }

    /// The currencies to choose from.
    fn codes(&self) -> Vec<&'static str> {
        super::currencies("").into_iter().map(|(code, _)| code).collect()
    }

    /// The amounts of a list, followed by an empty row.
    fn rows(&self, list: &str) -> Vec<amounts::Row> {
        amounts::rows(&self.typed, list)
    }

    /// Whether to mark a row as invalid: the incomplete rows, or all rows of the list if every row is complete.
    fn bad_row(&self, field: &str, list: &str, row: &amounts::Row) -> bool {
        let broken = || self.rows(list).iter().any(|one| one.wrong(list).is_some());
        self.bad(field) && (row.wrong(list).is_some() || !broken())
    }

    /// The months to choose from for the fiscal year, and the chosen one.
    fn months(&self) -> Vec<(String, &'static str, bool)> {
        let chosen = self.typed.fiscal_year_start.split('-').next().unwrap_or_default();
        let month = |(place, words): (usize, &'static str)| {
            let value = format!("{:02}", place + 1);
            let here = value == chosen;
            (value, words, here)
        };
        MONTHS.into_iter().enumerate().map(month).collect()
    }

    fn days(&self) -> Vec<(String, bool)> {
        let chosen = self.typed.fiscal_year_start.split('-').nth(1).unwrap_or_default();
        let day = |day: u8| {
            let value = format!("{day:02}");
            let here = value == chosen;
            (value, here)
        };
        (1..=31).map(day).collect()
    }

    fn published(&self) -> &'static [payout::fee::Published] {
        &payout::fee::PUBLISHED
    }

    fn has(&self, vendor: &str) -> bool {
        self.typed.vendor.iter().any(|known| known == vendor)
    }

    fn role(&self, role: &str) -> bool {
        self.typed.profile_role.iter().any(|known| known == role)
    }

    fn tag(&self, section: &str) -> &str {
        self.tags.iter().find(|(of, _)| *of == section).map_or("", |(_, tag)| tag)
    }

    /// The error of a section.
    fn wrong_in(&self, section: &str) -> Option<&str> {
        self.wrong.as_ref().filter(|wrong| wrong.section == section).map(|wrong| wrong.sentence.as_str())
    }

    fn bad(&self, field: &str) -> bool {
        self.wrong.as_ref().is_some_and(|wrong| wrong.field == field)
    }
}

async fn show(State(web): State<Web>, context: PageContext) -> Result<Response, Problem> {
    page(&web, &context, None, None).await
}

/// Renders the page with a refusal from one of the vendors.
pub(super) async fn page_after(
    web: &Web,
    context: &PageContext,
    refused: Refused,
) -> Result<Response, Problem> {
    page(web, context, None, Some(refused)).await
}

async fn page(
    web: &Web,
    context: &PageContext,
    refused: Option<(FormInput, Section, Refusal)>,
    at_vendor: Option<Refused>,
) -> Result<Response, Problem> {
    let (document, _) = settings::read(&mut web.app.store.read().await?).await?;
    let failed = refused.is_some() || at_vendor.is_some();
    let (typed, wrong) = match refused {
        None => (FormInput::of(&document), None),
        Some((typed, section, refusal)) => {
            let sentence = format!("{}. Nothing was saved.", refusal.sentence.trim_end_matches('.'));
            let field = refusal.field.unwrap_or("");
            let wrong = Wrong { section: section.as_str(), field, sentence };
            (typed.beside(&document, section), Some(wrong))
        }
    };
    let page = SettingsPage {
        frame: context.frame("Payout Settings", MenuItem::PayoutSettings),
        on: document.enabled,
        typed,
        tags: Section::ALL.into_iter().map(|section| (section.as_str(), section.tag(&document))).collect(),
        wrong,
        vendors: connected::all(web, at_vendor).await?,
        base_url: web.app.base_url.clone(),
        may: context.may(Permission::Administer),
    };
    let status = if failed { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    Ok((status, context.show(&page)?).into_response())
}

async fn save(
    State(web): State<Web>,
    context: PageContext,
    Form(typed): Form<FormInput>,
) -> Result<Response, Problem> {
    let section = Section::ALL.into_iter().find(|section| section.as_str() == typed.section);
    let section = section.ok_or_else(Problem::missing)?;
    let saved = settings::save(&web.app, &context.actor, None, |before| {
        if typed.seen != section.tag(&before) {
            let message = "Somebody changed this section since you read it. What you typed is still here; look at it again, then save it";
            return Err(Refusal::new("precondition_failed", message));
        }
        amounts::merge_rows(&typed)?.over(before, section)
    });
    match saved.await {
        Ok(_) => {
            let place = section.as_str();
            Ok(Flash::good(section.saved()).within(place).on(&format!("{PAGE}#{place}")))
        }
        Err(OpsError::Refused(refusal) | OpsError::Conflict(refusal)) => {
            page(&web, &context, Some((typed, section, refusal)), None).await
        }
        Err(error) => Ok(Flash::refused(error)?.on(PAGE)),
    }
}
