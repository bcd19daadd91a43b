//! Programs and reward activities. Not here: deciding and writing (`ops`).

mod api;
mod pages;

use crate::web::kit::route::Route;

pub fn routes() -> Vec<Route> {
    [pages::routes(), api::routes()].into_iter().flatten().collect()
}
