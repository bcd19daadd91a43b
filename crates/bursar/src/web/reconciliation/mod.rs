//! Reconciliation: each day of each vendor and currency compared with our books. Not here: deciding and writing (`ops`).

mod api;
mod pages;

use crate::web::kit::route::Route;
pub use api::DayJson;

pub fn routes() -> Vec<Route> {
    [pages::routes(), api::routes()].into_iter().flatten().collect()
}
