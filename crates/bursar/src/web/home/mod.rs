//! Home, and the page behind the first link of all.
//! What is deliberately not here: deciding and writing (`ops`).

mod show;
mod trial;
mod welcome;

use crate::web::kit::route::Route;
pub use welcome::PAGE as WELCOME;

/// The rows of the route table.
pub fn routes() -> Vec<Route> {
    [show::routes(), trial::routes(), welcome::routes()].into_iter().flatten().collect()
}
