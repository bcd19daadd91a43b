//! Webhooks: the endpoints, and the list of received events. Not here: deciding and writing (`ops`).

mod list;
mod receive;

use crate::web::kit::route::Route;

pub fn routes() -> Vec<Route> {
    [list::routes(), receive::routes()].into_iter().flatten().collect()
}
