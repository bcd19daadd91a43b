//! Notices: their templates, and the outbox. Not here: deciding and writing (`ops`).

mod api;
mod outbox;
mod templates;

use crate::web::kit::route::Route;
pub use outbox::Row;

pub fn routes() -> Vec<Route> {
    [templates::routes(), outbox::routes(), api::routes()].into_iter().flatten().collect()
}
