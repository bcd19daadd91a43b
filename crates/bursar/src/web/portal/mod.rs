//! The partners' portal: a login and a look of its own, in the partner's language. What they have earned, where it is and
//! why, what they must still do; how they are paid, their tax report, their statements. One file per page below this one. What
//! is deliberately not here: anything of somebody else's. An address holds no id of a payee, only *me* and *company*, and
//! what is looked for by number is looked for among their own.

mod account;
mod blockers;
mod failed;
mod home;
mod layout;
mod payouts;
mod profile;
mod rewards;
mod sign_in;
mod statement;
mod tax;
mod words;

use payout::access::Permission;

use crate::web::kit::route::{Need, Route};
pub use sign_in::{asked, login_again, login_by_link, prove_again, spoken};
pub use words::{Language, Words};

const PARTNERS: Need = Need::May(Permission::ReadOwn);

/// The rows of the route table.
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
