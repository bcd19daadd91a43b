//! Settings: the payout settings, the vendor connections, the company. Not here: deciding and writing (`ops`).

mod api;
mod api_vendors;
mod company;
mod connected;
mod connections;
mod payout;

use crate::web::kit::route::Route;
pub use company::currencies;

pub fn routes() -> Vec<Route> {
    [company::routes(), payout::routes(), connections::routes(), api::routes(), api_vendors::routes()]
        .into_iter()
        .flatten()
        .collect()
}
