//! What accounts, partners, programs and activities share in the API. What is deliberately not here: the fields of each,
//! and the form of a page (`kit::record_form`).

use axum::http::StatusCode;

use payout::Refusal;

use super::form::Paging;
use super::problem::Fault;
use crate::store::programs::Filter;

/// What a new thing must say.
pub fn required<T>(value: Option<T>, before: Option<T>, field: &'static str) -> Result<T, Refusal> {
    value.or(before).ok_or_else(|| Refusal::new("missing", "This is required.").at(field))
}

/// 201 for what is new, 200 for what was changed.
pub fn saved(new: bool) -> StatusCode {
    if new { StatusCode::CREATED } else { StatusCode::OK }
}

/// A page of a list, as the store is asked for it.
pub fn filter(paging: &Paging) -> Result<Filter, Fault> {
    let after = paging.after_parts::<1>()?.map(|[id]| id);
    Ok(Filter { after, limit: paging.limit + 1, ..Filter::default() })
}
