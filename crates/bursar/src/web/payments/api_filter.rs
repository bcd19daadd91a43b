//! The filters of `/api/v1/transactions` and of exports. Not here: the page's filters, which are the dashboard's
//! (`dashboard::FilterParams`) and are parsed in `list`.

use serde::Deserialize;
use utoipa::IntoParams;

use payout::ids::BatchId;
use payout::money::Vendor;
use payout::reward::PaymentType;
use payout::transaction::Status;

use crate::clock::day;
use crate::ops::payees as payee_verbs;
use crate::ops::views;
use crate::store::programs::{self, RecordRef};
use crate::store::transactions::Filter;
use crate::store::{Db, StoreError, batches, payees};
use crate::web::kit::problem::{FieldError, Problem};
use crate::web::kit::shapes;

/// The filters of a list of transactions.
#[derive(Deserialize, IntoParams, Default)]
#[serde(deny_unknown_fields)]
pub struct PaymentFilter {
    /// One of the six statuses.
    #[param(value_type = Option<shapes::TransactionStatus>, inline)]
    status: Option<String>,
    #[param(value_type = Option<shapes::VendorName>, inline)]
    vendor: Option<String>,
    /// A partner or account, by ID or external ID.
    payee: Option<String>,
    /// An account and its users.
    account: Option<String>,
    /// Only payments to this partner.
    partner: Option<String>,
    #[param(value_type = Option<shapes::PaymentType>, inline)]
    payment_type: Option<String>,
    /// A batch, by id or number.
    batch: Option<String>,
    /// Failed, returned, unclaimed, or in review.
    needs_attention: Option<bool>,
    /// Without an end for three days.
    stuck: Option<bool>,
    /// Returned after it had succeeded.
    after_success: Option<bool>,
    /// Not ended yet.
    under_way: Option<bool>,
    /// The reason code of a failed payment.
    reason: Option<String>,
    /// From this UTC date.
    #[param(value_type = Option<shapes::Day>, inline)]
    from: Option<String>,
    /// Up to and including this UTC date.
    #[param(value_type = Option<shapes::Day>, inline)]
    to: Option<String>,
}

impl PaymentFilter {
    /// The resolved filter, limited to the payments of `own` if given.
    ///
    /// # Errors
    /// The first invalid parameter.
    pub async fn read(&self, db: &mut Db, own: Option<&[String]>, now: i64) -> Result<Filter, Problem> {
        let mut filter = match self {
            PaymentFilter { needs_attention: Some(true), .. } => views::needing_attention(),
            PaymentFilter { stuck: Some(true), .. } => views::stuck(now),
            PaymentFilter { after_success: Some(true), .. } => views::after_success(),
            PaymentFilter { under_way: Some(true), .. } => views::under_way(),
            PaymentFilter { .. } => Filter::default(),
        };
        if let Some(status) = &self.status {
            let status = Status::parse(status)
                .ok_or_else(|| bad("/status", "unknown_status", "There is no such status."))?;
            views::narrow(&mut filter, |state| state.status() == status);
        }
        if let Some(code) = &self.reason {
            views::because(&mut filter, code);
        }
        if let Some(vendor) = &self.vendor {
            filter.vendor =
                Some(Vendor::parse(vendor).ok_or_else(|| {
                    bad("/vendor", "unknown_vendor", "The vendor must be stripe or paypal.")
                })?);
        }
        if let Some(kind) = &self.payment_type {
            let message = "The payment type is individual or organization.";
            let unknown = || bad("/payment_type", "unknown_payment_type", message);
            filter.scope.payment_type = Some(PaymentType::parse(kind).ok_or_else(unknown)?);
        }
        if let Some(batch) = &self.batch {
            filter.batch = Some(batch_of(db, batch, own.is_none()).await?);
        }
        for (pointer, text, end) in [("/from", &self.from, false), ("/to", &self.to, true)] {
            let Some(text) = text else { continue };
            let day = day(text, "Write the date like 2026-01-31.")
                .map_err(|told| bad(pointer, "invalid_date", &told))?;
            if end { filter.to = Some(day + 86_400_000_000) } else { filter.from = Some(day) }
        }
        if let Some(payee) = &self.payee {
            let mut found = payees::named(db, payee).await?;
            // Ignore others with the same external id, whom a partner may not see.
            found.retain(|payee| own.is_none_or(|own| own.contains(&payee.to_string())));
            let found = payee_verbs::one_of(payee, found)?;
            filter.payees = Some(found.map(|payee| payee.to_string()).into_iter().collect());
        }
        // An unknown account or partner gives an empty list, not an error.
        if let Some(account) = &self.account {
            match programs::account(db, RecordRef::Either(account)).await? {
                Some(account) => filter.scope.account = Some(account.id),
                None => filter.payees = Some(Vec::new()),
            }
        }
        if let Some(partner) = &self.partner {
            match programs::partner(db, RecordRef::Either(partner)).await? {
                Some(partner) => filter.scope.partner = Some(partner.id),
                None => filter.payees = Some(Vec::new()),
            }
        }
        Ok(filter)
    }
}

/// The batch with this id or, for those who see all, this number: partners must not probe for numbers. An unknown id
/// matches no payments.
async fn batch_of(db: &mut Db, named: &str, all: bool) -> Result<BatchId, Problem> {
    let unknown = || bad("/batch", "invalid_id", "There is no batch with this id or number.");
    if let Some(id) = BatchId::parse(named) {
        return Ok(id);
    }
    if !all {
        return Err(unknown());
    }
    match batches::find(db, named).await {
        Ok(batch) => Ok(batch.id),
        Err(StoreError::Missing) => Err(unknown()),
        Err(error) => Err(error.into()),
    }
}

fn bad(pointer: &str, code: &'static str, detail: &str) -> Problem {
    Problem::field(FieldError { pointer: pointer.to_owned(), code, detail: detail.to_owned() })
}
