//! The page of a payment whose record cannot be read: whom it pays, how much, and who must act. What is deliberately not
//! here: the page of any other payment.

use askama::Template;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};

use payout::access::Permission;
use payout::eligibility::Blocker;
use payout::ledger::Payee;
use payout::money::{Currency, Money};
use serde::Deserialize;

use crate::app::App;
use crate::ops::looked;
use crate::store::transactions::{self, AsText};
use crate::store::{Db, past, payees};
use crate::web::kit::form::Form;
use crate::web::kit::format::{self, Cash, When, Why, whys};
use crate::web::kit::history;
use crate::web::kit::layout::{Frame, Place, Told, Visit};
use crate::web::kit::problem::Fault;

#[derive(Template)]
#[template(path = "payments/unreadable.html")]
struct UnreadablePage {
    frame: Frame,
    number: String,
    /// The payee: page and name, if known.
    payee: Option<(String, String)>,
    /// The net amount, if it can be read.
    net: Option<Cash>,
    of: AsText,
    pressed: Option<When>,
    whys: Vec<Why>,
    /// Who has investigated it, if somebody has.
    looked: Option<String>,
    /// Whether it may hold its payee, and this person may confirm that they have investigated.
    may_look: bool,
}

/// The page with what is known about the payment.
///
/// # Errors
/// If there is no such payment, or the database fails.
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
    let looked = match past::looked_at(db, of.number).await? {
        Some(id) => history::names(db, std::iter::once(id.as_str())).await?.remove(&id).or(Some(id)),
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
        may_look: looked.is_none() && visit.may(Permission::Administer),
        looked,
    };
    Ok((StatusCode::CONFLICT, visit.show(&page)?).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Looked {
    #[serde(default)]
    note: String,
}

/// An administrator confirms that they have investigated.
pub(super) async fn say_looked(
    State(app): State<App>,
    visit: Visit,
    Path(number): Path<String>,
    Form(sent): Form<Looked>,
) -> Result<Response, Fault> {
    let told = match looked::say(&app, &visit.actor, &number, &sent.note).await {
        Ok(()) => Told::good("Recorded. This payment no longer holds its payee."),
        Err(error) => Told::refused(error)?,
    };
    Ok(told.on(&format!("/transactions/{number}")))
}
