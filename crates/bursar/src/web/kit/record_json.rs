//! Shared by the APIs of accounts, partners, programs and activities. Not here: the fields of each, and the form of a
//! page (`kit::record_form`).

use axum::http::StatusCode;

use payout::Refusal;

use super::form::Paging;
use super::problem::Problem;
use crate::store::programs::Filter;

/// A field that a new record requires.
pub fn required<T>(value: Option<T>, before: Option<T>, field: &'static str) -> Result<T, Refusal> {
    value.or(before).ok_or_else(|| Refusal::new("missing", "This is required.").at(field))
}

/// 201 for a new record, 200 for a changed one.
pub fn saved(new: bool) -> StatusCode {
    if new { StatusCode::CREATED } else { StatusCode::OK }
}

/// The store's filter for a page of a list.
pub fn filter(paging: &Paging) -> Result<Filter, Problem> {
    let after = paging.after_parts::<1>()?.map(|[id]| id);
    Ok(Filter { after, limit: paging.limit + 1, ..Filter::default() })
}
