//! Tax reports: filing them, revealing their numbers to somebody who gives a reason, and the total of a year's payments.
//! Not here: the rules for forms and numbers (`payout::tax`).

use payout::Refusal;
use payout::ledger::Payee;
use payout::money::{Currency, Money, Sum};
use payout::tax::{self as rules, Entry, Form};
use serde_json::json;

use super::payees::{note, required_reason};
use super::settings::lowering;
use super::{OpsError, Result, master_key, settings};
use crate::app::{Actor, App};
use crate::clock;
use crate::store::sealed::Column;
use crate::store::tax::{self, Filed, Span, Total};
use crate::store::{Db, StoreError, payees};
use crate::transact;

/// How long before UTC the next day begins somewhere on earth.
const EARLIEST_ZONE_US: i64 = 14 * 3_600_000_000;

/// A tax report as it is entered.
#[derive(Clone, Debug)]
pub struct TaxEntry {
    /// `w9`, `w8ben` or `w8bene`.
    pub form: String,
    /// `YYYY-MM-DD`.
    pub signed_on: String,
    /// The tax number; of the United States for a W-9, free text otherwise.
    pub tin: Option<String>,
    /// The name on the form.
    pub name: String,
    /// Whether the certification was ticked; `None` if whoever enters it has the signed form itself.
    pub certified: Option<bool>,
}

/// Files a payee's tax report; the number is stored encrypted and returned masked. An expired report is stored and shown as
/// expired.
///
/// # Errors
/// [`OpsError::Refused`] naming the invalid field; [`OpsError::Missing`] if there is no such payee.
pub async fn file(app: &App, actor: &Actor, payee: Payee, entry: &TaxEntry) -> Result<Filed> {
    let message = "The form is w9, w8ben or w8bene.";
    let form = Form::parse(&entry.form).ok_or_else(|| Refusal::new("unknown_form", message).at("form"))?;
    let tin = entry.tin.as_deref().map(str::trim).filter(|tin| !tin.is_empty());
    let (name, signed_on) = (entry.name.trim(), entry.signed_on.as_str());
    transact!(app, |tx| {
        let now = app.clock.now();
        payees::lock(tx, payee).await?;
        let named = payees::names(tx, &[payee]).await?.remove(&payee).ok_or(OpsError::Missing)?;
        let today = clock::date(now + EARLIEST_ZONE_US);
        let judged = Entry { form, name, signed_on, tin, certified: entry.certified };
        judged.check(payee, named.country.as_deref(), &today)?;
        let place = Column::TaxNumber.place(&payee.to_string());
        let sealed_tin = match tin {
            Some(tin) => Some(master_key::seal(tx, app, &place, tin).await?),
            None => None,
        };
        let filed = Filed {
            payee,
            form,
            name: name.to_owned(),
            signed_on: signed_on.to_owned(),
            sealed_tin,
            masked_tin: tin.map(rules::masked),
            expires_at: form.last_day(signed_on).and_then(|day| end_of(&day)),
            filed: (now, actor.id.to_string()),
        };
        tax::put(tx, &filed).await?;
        let detail = json!({ "form": form.as_str(), "signed_on": filed.signed_on, "from": actor.came_from });
        note(tx, now, &actor.id.to_string(), "tax_report_filed", payee, &detail);
        Ok(filed)
    })
}

/// The end of a day.
fn end_of(day: &str) -> Option<i64> {
    clock::start_of_date(day).map(|start| start + 86_400_000_000)
}

/// The full tax number, for somebody who gives a reason. The access and its reason go into the audit trail.
///
/// # Errors
/// [`OpsError::Missing`] if no number is on file; [`OpsError::Refused`] without a reason.
pub async fn reveal(app: &App, actor: &Actor, payee: Payee, reason: &str) -> Result<String> {
    let reason = required_reason(reason, "Say why you must see the number; it is kept beside your name.")?;
    transact!(app, |tx| {
        lowering::by_people(tx, actor, "see whole tax numbers").await?;
        let filed = tax::of(tx, payee).await?.ok_or(OpsError::Missing)?;
        let sealed = filed.sealed_tin.ok_or(OpsError::Missing)?;
        let opened = app.master_key.open(&Column::TaxNumber.place(&payee.to_string()), &sealed);
        let message = "a tax number does not open with this master key";
        let tin = opened.ok_or_else(|| OpsError::Internal(StoreError::Corrupt(message.to_owned())))?;
        let detail = json!({ "form": filed.form.as_str(), "reason": reason, "from": actor.came_from });
        note(tx, app.clock.now(), &actor.id.to_string(), "tax_number_revealed", payee, &detail);
        Ok(tin)
    })
}

/// A calendar year in UTC, as payments are dated.
pub fn year(year: i32) -> Option<Span> {
    let (first, last) = (format!("{year:04}-01-01"), format!("{year:04}-12-31"));
    Some(Span { moments: (clock::start_of_date(&first)?, end_of(&last)?), days: (first, last) })
}

/// The calendar year of a moment.
pub fn year_of(now: i64) -> i32 {
    clock::date(now).get(..4).and_then(|year| year.parse().ok()).unwrap_or(1970)
}

/// The requested year, or the current one.
///
/// # Errors
/// If it is not a year of four digits.
pub fn requested_year(year: Option<&str>, now: i64) -> std::result::Result<i32, Refusal> {
    let Some(year) = year else { return Ok(year_of(now)) };
    let message = "Write the year with four figures, like 2026.";
    let read = year.parse().ok().filter(|year| (1970..=9999).contains(year));
    read.ok_or_else(|| Refusal::new("invalid", message).at("year"))
}

/// What a payee was paid in a year, and the reporting threshold.
#[derive(Clone, Debug)]
pub struct YearView {
    pub year: i32,
    pub totals: Vec<Total>,
    /// What stayed with them in US dollars; nothing is converted.
    pub reportable: Sum,
    /// The tax reporting threshold of the year.
    pub line: Money,
}

impl YearView {
    pub fn over(&self) -> bool {
        self.reportable.minor >= i128::from(self.line.minor)
    }
}

/// A payee's payments of a year.
///
/// # Errors
/// [`OpsError::Missing`] if the calendar has no such year; otherwise if the database does not answer.
pub async fn year_view(db: &mut Db, payee: Payee, of: i32) -> Result<YearView> {
    let span = year(of).ok_or(OpsError::Missing)?;
    let totals = tax::totals(db, &[payee], &span).await?;
    let rules = settings::load(db).await?;
    let line = rules::threshold(of, &rules.tax_thresholds);
    let reportable = Sum::new(totals.iter().map(usd).sum(), Currency::USD);
    Ok(YearView { year: of, totals, reportable, line })
}

pub(super) fn usd(total: &Total) -> i128 {
    if total.paid.currency == Currency::USD { total.net().minor } else { 0 }
}

/// A payee whose year a batch takes over the reporting threshold.
#[derive(Clone, Copy, Debug)]
pub struct ThresholdCrossing {
    pub payee: Payee,
    /// What they have been paid this year.
    pub so_far: Sum,
    /// What the batch pays them.
    pub adds: Money,
    pub line: Money,
}
