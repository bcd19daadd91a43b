//! Imports: uploading a file, what it would do, and its result. Not here: deciding and writing (`ops`).

mod api;
mod list;
mod show;

use crate::web::kit::route::Route;

pub fn routes() -> Vec<Route> {
    [list::routes(), show::routes(), api::routes()].into_iter().flatten().collect()
}
