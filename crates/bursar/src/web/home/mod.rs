//! Home, and the first-run setup page. Not here: deciding and writing (`ops`).

mod show;
mod trial;
mod welcome;

use crate::web::kit::route::Route;
pub use welcome::PAGE as WELCOME;

pub fn routes() -> Vec<Route> {
    [show::routes(), trial::routes(), welcome::routes()].into_iter().flatten().collect()
}
