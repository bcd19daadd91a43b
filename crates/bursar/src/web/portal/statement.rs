//! Statements to print or save: of one payment, or of all payments in a year. Not here: certificates for tax authorities, as
//! every statement says.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};

use payout::money::{Currency, Sum};
use payout::transaction::Status;

use super::PARTNERS;
use super::layout::{Frame, MenuItem, PartnerContext, day};
use super::payouts::{Line, covered, fee, one_of_theirs, was_paid};
use super::words::Amount;
use super::years::span;
use crate::app::App;
use crate::ops::statements::{self, Receiver};
use crate::store::transactions::{self, Filter, Transaction};
use crate::store::{Db, payees};
use crate::web::kit::problem::Problem;
use crate::web::kit::route::{Route, get};
use crate::web::payees as staff;

pub fn routes() -> Vec<Route> {
    vec![
        get("/portal/payouts/{number}/statement", PARTNERS, one).heavy(),
        get("/portal/statements/{year}", PARTNERS, of_year).heavy(),
    ]
}

/// The most payments on a statement; no one is paid more than once a day.
const MOST: i64 = 1_000;

/// A payment on a statement.
struct Part {
    title: String,
    status: String,
    day: String,
    to: String,
    fee: Option<(Amount, Amount)>,
    amount: Amount,
    covered: Vec<Line>,
}

#[derive(Template)]
#[template(path = "portal/statement.html")]
struct StatementPage {
    frame: Frame,
    today: String,
    receiver: String,
    company: String,
    parts: Vec<Part>,
    totals: Vec<Amount>,
}

async fn part(db: &mut Db, context: &PartnerContext, of: &Transaction) -> Result<Part, Problem> {
    let t = context.t();
    let outside = of.outside.as_ref().map(|(_, on, reference)| (on.clone(), reference.clone()));
    let status = match &outside {
        Some((_, reference)) => format!("{} ({reference})", t.paid_outside),
        None => t.status(of.state.status()).to_owned(),
    };
    Ok(Part {
        title: of.label(),
        status,
        day: outside.map_or_else(|| day(of.settled_at.unwrap_or(of.created_at)), |(on, _)| on),
        to: format!("{} {}", of.terms.vendor.label(), of.destination.masked()),
        fee: fee(context, of),
        amount: context.cash(of.given()),
        covered: covered(db, context, of).await?,
    })
}

async fn one(
    State(app): State<App>,
    context: PartnerContext,
    Path(number): Path<String>,
) -> Result<Response, Problem> {
    let mut db = app.store.read().await?;
    let found = one_of_theirs(&mut db, &context, &number).await?;
    // Nothing was paid, so there is nothing to state: its own page says what happened.
    if !was_paid(&found) {
        return Ok(Redirect::to(&format!("/portal/payouts/{}", found.label())).into_response());
    }
    let names = payees::names(&mut db, &[found.terms.payee]).await?;
    let receiver = names.get(&found.terms.payee).map(|named| named.name.clone()).unwrap_or_default();
    let frame = context.frame(format!("{} {}", context.t().statement, found.label()), MenuItem::Payouts);
    let mut parts = Vec::new();
    for one in statements::made(found) {
        parts.push(part(&mut db, &context, &one).await?);
    }
    let page = StatementPage {
        frame,
        today: day(app.clock.now()),
        company: company(&context, &receiver),
        receiver,
        parts,
        totals: Vec::new(),
    };
    context.show(&page)
}

/// The yearly statement as a PDF, for themselves and the payees they administer.
async fn on_paper(app: &App, context: &PartnerContext, file: &str) -> Result<Response, Problem> {
    let year = staff::statement_year(file)?;
    let names: Vec<String> = context.payees().iter().map(|(whose, _)| context.named(*whose)).collect();
    let receiver = names.join(", ");
    let receiver = Receiver {
        payees: context.payees().into_iter().map(|(_, payee)| payee).collect(),
        company: Some(company(context, &receiver)).filter(|company| !company.is_empty()),
        name: receiver,
        language: context.partner.language.clone(),
    };
    Ok(staff::statement(statements::of_year(app, context.actor(), receiver, year).await?, year))
}

async fn of_year(
    State(app): State<App>,
    context: PartnerContext,
    Path(year): Path<String>,
) -> Result<Response, Problem> {
    if year.ends_with(".pdf") {
        return on_paper(&app, &context, &year).await;
    }
    if year.len() != 4 || !year.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Problem::missing());
    }
    let mut db = app.store.read().await?;
    let theirs: Vec<String> = context.payees().iter().map(|(_, payee)| payee.to_string()).collect();
    let filter = Filter { payees: Some(theirs), ..Filter::default() };
    let (from, to) = span(&year);
    let in_year = |one: &Transaction| match &one.outside {
        Some((_, on, _)) => on.starts_with(&year),
        None => {
            let left = one.left_at.is_some_and(|at| (from..to).contains(&at));
            left && one.state.status() == Status::Success
        }
    };
    let all = transactions::list(&mut db, &filter, MOST).await?.into_iter().rev();
    let found: Vec<Transaction> = all.flat_map(statements::made).filter(in_year).collect();
    let (mut parts, mut totals) = (Vec::new(), BTreeMap::<Currency, i128>::new());
    for one in &found {
        parts.push(part(&mut db, &context, one).await?);
        let given = one.given();
        *totals.entry(given.currency).or_default() += i128::from(given.minor);
    }
    let names: Vec<String> = context.payees().iter().map(|(whose, _)| context.named(*whose)).collect();
    let receiver = names.join(", ");
    let page = StatementPage {
        frame: context.frame(context.t().statement_of.replace("{year}", &year), MenuItem::Payouts),
        today: day(app.clock.now()),
        company: company(&context, &receiver),
        receiver,
        parts,
        totals: totals.into_iter().map(|(currency, minor)| context.cash(Sum::new(minor, currency))).collect(),
    };
    context.show(&page)
}

/// The company, unless it is the recipient.
fn company(context: &PartnerContext, receiver: &str) -> String {
    if receiver.contains(&context.account.name) { String::new() } else { context.account.name.clone() }
}
