//! Imports: uploading a file, what it would do, and its result.
//! What is deliberately not here: deciding and writing (`ops`).

mod api;
mod list;
mod show;

use crate::web::kit::route::Route;

/// The rows of the route table.
pub fn routes() -> Vec<Route> {
    [list::routes(), show::routes(), api::routes()].into_iter().flatten().collect()
}
