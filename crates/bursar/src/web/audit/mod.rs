//! The activity log, the books and the invariants. Not here: deciding and writing (`ops`).

mod activity;
mod api;

use crate::web::kit::route::Route;
pub use activity::ListParams;

pub fn routes() -> Vec<Route> {
    [activity::routes(), api::routes()].into_iter().flatten().collect()
}
