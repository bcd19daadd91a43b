//! Exports: starting one, past exports, and the API. Not here: deciding and writing (`ops`).

mod api;
mod journal_accounts;
mod list;
mod new;
mod query;

use crate::web::kit::route::Route;

pub fn routes() -> Vec<Route> {
    [list::routes(), new::routes(), journal_accounts::routes(), api::routes()].into_iter().flatten().collect()
}
