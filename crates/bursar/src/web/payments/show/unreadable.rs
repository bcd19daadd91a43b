//! The page of a payment whose record cannot be read: whom it is about, how much, and who must act. What is deliberately not
//! here: the page of every other payment.

use askama::Template;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};

use payout::eligibility::Blocker;
use payout::ledger::Payee;
use payout::money::{Currency, Money};

use crate::store::transactions::{self, AsText};
use crate::store::{Db, payees};
use crate::web::kit::format::{self, Cash, When, Why, whys};
use crate::web::kit::layout::{Frame, Place, Visit};
use crate::web::kit::problem::Fault;

#[derive(Template)]
#[template(path = "payments/unreadable.html")]
struct UnreadablePage {
    frame: Frame,
    number: String,
    /// Whom it pays: their page and name, where they are known.
    payee: Option<(String, String)>,
    /// How much, where that can be read.
    net: Option<Cash>,
    of: AsText,
    pressed: Option<When>,
    whys: Vec<Why>,
}

/// What can be told of it.
///
/// # Errors
/// When there is no such payment, or the database does not answer.
pub(super) async fn show(
    db: &mut Db,
    visit: &Visit,
    number: &str,
    blockers: &[Blocker],
) -> Result<Response, Fault> {
    let of = transactions::as_text(db, number).await?.ok_or_else(Fault::missing)?;
    let payee = match Payee::parse(&of.payee) {
        Some(payee) => {
            let named = payees::names(db, &[payee]).await?.remove(&payee);
            named.map(|named| (format::address(payee), named.name))
        }
        None => None,
    };
    let currency = Currency::parse(&of.currency).ok();
    let number = format!("PT-{:06}", of.number);
    let page = UnreadablePage {
        frame: visit.frame(number.clone(), Place::Dashboard),
        number,
        payee,
        net: currency
            .zip(of.net_minor.parse().ok())
            .map(|(currency, minor)| Cash(Money::new(minor, currency))),
        pressed: of.created_at.map(When),
        of,
        whys: whys(blockers),
    };
    Ok((StatusCode::CONFLICT, visit.show(&page)?).into_response())
}
