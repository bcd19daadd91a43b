//! The partner portal, with its own sign-in and design, in the partner's language: earnings and their status, what blocks
//! them, the partner's tasks; payout profile, tax report, statements. One file per page. Not here: any other partner's data.
//! Addresses contain no payee IDs, only *me* and *company*, and numbers are looked up among the partner's own records.

mod account;
mod blockers;
mod countries;
mod failed;
mod home;
mod layout;
mod payouts;
mod profile;
mod rewards;
mod sign_in;
mod statement;
mod steps;
mod tax;
mod words;
mod years;

use payout::access::Permission;

use crate::web::kit::route::{Access, Route};
pub use sign_in::{login_again, login_by_link, prove_again, requested_language, spoken};
pub use words::{Language, Words};

const PARTNERS: Access = Access::May(Permission::ReadOwn);

pub fn routes() -> Vec<Route> {
    let pages = [
        sign_in::routes(),
        home::routes(),
        rewards::routes(),
        payouts::routes(),
        statement::routes(),
        profile::routes(),
        tax::routes(),
        account::routes(),
    ];
    pages.into_iter().flatten().collect()
}
