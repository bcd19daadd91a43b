//! Files that come in: uploading one, what it would do, what became of it.
//! What is deliberately not here: deciding and writing (`ops`).

mod api;
mod list;
mod show;

use crate::web::kit::route::Route;

/// The rows of the route table.
pub fn routes() -> Vec<Route> {
    [list::routes(), show::routes(), api::routes()].into_iter().flatten().collect()
}
