//! Payments after Pay: the list, one payment, its evidence, and actions on it. Not here: deciding and writing (`ops`).

mod api;
mod api_filter;
mod bulk;
mod evidence;
mod list;
mod show;

use crate::web::kit::route::Route;
pub use api_filter::PaymentFilter;
pub use list::{Row, filter, heads, rows};

pub fn routes() -> Vec<Route> {
    [list::routes(), bulk::routes(), show::routes(), evidence::routes(), api::routes()]
        .into_iter()
        .flatten()
        .collect()
}
