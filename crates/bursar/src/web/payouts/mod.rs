//! Payouts: preparing a batch, paying it, and following its progress. Not here: deciding and writing (`ops`).

mod api;
mod api_skipped;
mod candidates;
mod difference;
mod draft;
mod edit;
mod pay;
mod progress;

use crate::web::kit::route::Route;
pub use draft::payee_kind;

pub fn routes() -> Vec<Route> {
    [draft::routes(), edit::routes(), pay::routes(), progress::routes(), api_skipped::routes(), api::routes()]
        .into_iter()
        .flatten()
        .collect()
}
