//! Home, and the first-run setup page.
//! What is deliberately not here: deciding and writing (`ops`).

mod show;
mod welcome;

use crate::web::kit::route::Route;
pub use welcome::PAGE as WELCOME;

pub fn routes() -> Vec<Route> {
    [show::routes(), welcome::routes()].into_iter().flatten().collect()
}
