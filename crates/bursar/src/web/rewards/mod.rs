//! Rewards: the list with its filters and columns, a single reward, bulk decisions, and the API. Not here: deciding and
//! writing (`ops`).

mod api;
mod api_filter;
mod bulk_review;
mod columns;
mod edit_conflict;
mod filter;
mod json;
mod list;
mod new;
mod saved_views;
mod settings;
mod show;

use crate::web::kit::route::Route;
pub use api_filter::RewardFilter;
pub use filter::FilterParams;

pub fn routes() -> Vec<Route> {
    [
        list::routes(),
        settings::routes(),
        bulk_review::routes(),
        saved_views::routes(),
        new::routes(),
        show::routes(),
        api::routes(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
