//! The page of a payment whose record cannot be read: whom it pays, how much, and who must act. Not here: the page of any
//! other payment.

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
use crate::web::kit::format::{self, BlockerSummary, Cash, When, summarize};
use crate::web::kit::history;
use crate::web::kit::layout::{Flash, Frame, MenuItem, PageContext};
use crate::web::kit::problem::Problem;

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
    whys: Vec<BlockerSummary>,
    /// Who has investigated it, if anyone.
    looked: Option<String>,
    /// Who has stated that they did, while another person is needed, and from when on they can confirm it alone.
    asked: Option<(String, When)>,
    /// Whether this person may state that they investigated it, because it may hold its payee.
    may_look: bool,
    /// Whether this person may make it hold its payee again.
    may_hold: bool,
}

/// The page with what is known about the payment.
///
/// # Errors
/// If there is no such payment, or the database fails.
pub(super) async fn show(
    db: &mut Db,
    context: &PageContext,
    (number, now): (&str, i64),
    blockers: &[Blocker],
) -> Result<Response, Problem> {
    let of = transactions::as_text(db, number).await?.ok_or_else(Problem::missing)?;
    let payee = match Payee::parse(&of.payee) {
        Some(payee) => {
            let named = payees::names(db, &[payee]).await?.remove(&payee);
            named.map(|named| (format::address(payee), named.name))
        }
        None => None,
    };
    let looked = match past::looked_at(db, of.number).await? {
        Some(id) => Some(named(db, id).await?),
        None => None,
    };
    let asked = match looked::asked(db, &of, &context.actor.id.to_string(), now).await? {
        Some((id, from)) if looked.is_none() => Some((named(db, id).await?, When(from))),
        Some(_) | None => None,
    };
    let administers = context.may(Permission::Administer);
    let currency = Currency::parse(&of.currency).ok();
    let number = format!("PT-{:06}", of.number);
    let page = UnreadablePage {
        frame: context.frame(number.clone(), MenuItem::Dashboard),
        number,
        payee,
        net: currency
            .zip(of.net_minor.parse().ok())
            .map(|(currency, minor)| Cash(Money::new(minor, currency))),
        pressed: of.created_at.map(When),
        of,
        whys: summarize(blockers),
        may_look: looked.is_none() && administers,
        may_hold: (looked.is_some() || asked.is_some()) && administers,
        asked,
        looked,
    };
    Ok((StatusCode::CONFLICT, context.show(&page)?).into_response())
}

/// A person's display name; their ID if they have none.
async fn named(db: &mut Db, id: String) -> Result<String, Problem> {
    Ok(history::names(db, std::iter::once(id.as_str())).await?.remove(&id).unwrap_or(id))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NoteForm {
    #[serde(default)]
    note: String,
}

/// An administrator confirms that they have investigated.
pub(super) async fn say_looked(
    State(app): State<App>,
    context: PageContext,
    Path(number): Path<String>,
    Form(sent): Form<NoteForm>,
) -> Result<Response, Problem> {
    let flash = match looked::say(&app, &context.actor, &number, &sent.note).await {
        Ok(()) => Flash::good("Recorded. This payment no longer holds its payee."),
        Err(error) => Flash::refused(error)?,
    };
    Ok(flash.on(&format!("/transactions/{number}")))
}

/// An administrator states that another one's statement is wrong.
pub(super) async fn hold_again(
    State(app): State<App>,
    context: PageContext,
    Path(number): Path<String>,
) -> Result<Response, Problem> {
    let flash = match looked::hold_again(&app, &context.actor, &number).await {
        Ok(()) => Flash::good("This payment holds its payee again, until 30 days after it."),
        Err(error) => Flash::refused(error)?,
    };
    Ok(flash.on(&format!("/transactions/{number}")))
}
