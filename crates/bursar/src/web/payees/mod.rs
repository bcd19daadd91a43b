//! Partners and accounts: standing, destination, tax report, statements. Not here: deciding and writing (`ops`).

mod api;
mod api_catalogue;
mod api_invitations;
mod edit;
mod forms;
mod invite;
mod list;
mod show;
mod statement;

use crate::web::kit::route::Route;
pub use list::{profile_chip, standing_chip};
pub use statement::{answer as statement, year as statement_year};

pub fn routes() -> Vec<Route> {
    [
        list::routes(),
        show::routes(),
        forms::routes(),
        edit::routes(),
        invite::routes(),
        statement::routes(),
        api_catalogue::routes(),
        api_invitations::routes(),
        api::routes(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
