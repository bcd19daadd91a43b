//! Bulk actions on payments: resubmitting failed ones, or returning their rewards to the pool. Each payment is handled
//! separately, exactly as on its own page ([`super::show`]), and each result is shown. Submitting twice is harmless: a
//! payment already in progress or closed is refused.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;

use payout::access::Permission;
use payout::money::{Currency, Sum};

use super::show;
use crate::store::{payees, transactions};
use crate::web::kit::form::Form;
use crate::web::kit::format::{Cash, Chip, how_many};
use crate::web::kit::layout::{Flash, Frame, MenuItem, PageContext};
use crate::web::kit::problem::Problem;
use crate::web::kit::route::{Access, Route, Web, post};

/// Vendors are asked about each payment; after this long the remaining payments are reported as not done.
const LONGEST_US: i64 = 15_000_000;

pub fn routes() -> Vec<Route> {
    vec![
        post("/dashboard/transactions/decide", Access::May(Permission::Pay), decide)
            .step_up("Resubmit these payments or return them to the pool"),
    ]
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BulkForm {
    action: String,
    #[serde(default)]
    id: Vec<String>,
    /// The query string of the list, for the way back.
    back: Option<String>,
    /// Whether they ticked that they have checked what it does.
    checked: Option<String>,
}

/// The result for one payment.
struct Row {
    number: String,
    chip: Chip,
    words: String,
    items: Vec<String>,
}

#[derive(Template)]
#[template(path = "payments/bulk_result.html")]
struct Page {
    frame: Frame,
    title: &'static str,
    list: String,
    tone: &'static str,
    told: String,
    rows: Vec<Row>,
}

/// The payment may have been made anyway, so it is not handled in bulk.
const LOOK_FIRST: &str =
    "This payment was settled as not made. Check at the vendor again, then use its own page.";

/// A selected payment, before anything is done.
struct SelectedRow {
    number: String,
    payee: String,
    amount: Cash,
    vendor: &'static str,
    destination: String,
    /// Why it would be refused; such a payment is left out.
    why_not: Option<String>,
}

#[derive(Template)]
#[template(path = "payments/bulk.html")]
struct AskPage {
    frame: Frame,
    title: &'static str,
    told: &'static str,
    list: String,
    back: String,
    action: String,
    rows: Vec<SelectedRow>,
    /// The button's label with number and amount; `None` if none can be done.
    press: Option<String>,
}

/// The confirmation page: which payments, to whom, and the total. Nothing is done yet.
async fn ask(web: &Web, context: &PageContext, sent: BulkForm, list: String) -> Result<Response, Problem> {
    let resubmits = sent.action == "resubmit";
    let mut db = web.app.store.read().await?;
    let held = show::ActionsBlocked::of(&mut db, context).await?;
    let (mut rows, mut sums, mut many) = (Vec::new(), BTreeMap::<Currency, i128>::new(), 0);
    for number in &sent.id {
        let one = transactions::find(&mut db, number).await?;
        let names = payees::names(&mut db, &[one.terms.payee]).await?;
        let refused = show::refused_now(&mut db, &web.app, held, &one, resubmits).await?;
        let why_not = refused.or_else(|| one.called_not_made.then(|| LOOK_FIRST.to_owned()));
        if why_not.is_none() {
            many += 1;
            *sums.entry(one.terms.net.currency).or_default() += i128::from(one.terms.net.minor);
        }
        rows.push(SelectedRow {
            number: one.label(),
            payee: names.get(&one.terms.payee).map(|named| named.name.clone()).unwrap_or_default(),
            amount: Cash(one.terms.net),
            vendor: one.terms.vendor.label(),
            destination: one.destination.masked(),
            why_not,
        });
    }
    let sums = sums.into_iter().map(|(currency, minor)| Sum::new(minor, currency).to_string());
    let sums = sums.collect::<Vec<_>>().join(" + ");
    let payments = how_many(many, "payment", "payments");
    let (title, message, press) = match resubmits {
        true => (
            "Resubmit these payments?",
            "Each is sent again as a new attempt with a new idempotency key.",
            format!("Resubmit {payments}, {sums}"),
        ),
        false => (
            "Return these payments to the pool?",
            "Their rewards can then be added to another payout. If the money is in a payee's Stripe balance, Bursar asks Stripe to reverse the transfer first. If Stripe refuses, that payment's rewards stay.",
            format!("Return {payments} to the pool, {sums}"),
        ),
    };
    context.show(&AskPage {
        frame: context.frame(title, MenuItem::Dashboard),
        title,
        told: message,
        list,
        back: sent.back.unwrap_or_default(),
        action: sent.action,
        rows,
        press: (many > 0).then_some(press),
    })
}

async fn decide(
    State(web): State<Web>,
    context: PageContext,
    Form(sent): Form<BulkForm>,
) -> Result<Response, Problem> {
    let list = format!("/dashboard/transactions?{}", sent.back.as_deref().unwrap_or_default());
    let (resubmits, title) = match sent.action.as_str() {
        "resubmit" => (true, "Resubmitted"),
        "return" => (false, "Returned to the pool"),
        _ => return Ok(Flash::bad("Choose an action. Nothing was done.").on(&list)),
    };
    if sent.id.is_empty() {
        return Ok(Flash::bad("Select at least one payment. Nothing was done.").on(&list));
    }
    if sent.checked.is_none() {
        return ask(&web, &context, sent, list).await;
    }
    let begun = web.app.clock.now();
    let (mut rows, mut done) = (Vec::new(), 0);
    for number in sent.id {
        let flash = match web.app.clock.now() - begun > LONGEST_US {
            true => {
                Ok(Flash::warn("There was no time left for this payment. Nothing was done. Select it again."))
            }
            false => one_of_many(&web, &context, &number, resubmits).await,
        };
        // Report the others anyway.
        let flash = flash.unwrap_or_else(|fault| {
            tracing::error!(?fault, number, "one of several payments could not be worked on");
            Flash::bad("It could not be processed. Open it to check its status before you try again.")
        });
        let chip = match flash.tone.as_str() {
            "good" => Chip { tone: "good", words: "Done" },
            "warn" => Chip { tone: "warn", words: "Not finished" },
            _ => Chip { tone: "bad", words: "Not done" },
        };
        done += usize::from(flash.tone == "good");
        rows.push(Row { number, chip, words: flash.words, items: flash.items });
    }
    let many = how_many(rows.len(), "payment", "payments");
    let what = if resubmits { "sent again" } else { "returned to the pool" };
    context.show(&Page {
        frame: context.frame(title, MenuItem::Dashboard),
        title,
        list,
        tone: if done == rows.len() { "good" } else { "warn" },
        told: format!("{done} of {many} {what}."),
        rows,
    })
}

async fn one_of_many(
    web: &Web,
    context: &PageContext,
    number: &str,
    resubmits: bool,
) -> Result<Flash, Problem> {
    let mut db = web.app.store.read().await?;
    let one = transactions::find(&mut db, number).await?;
    drop(db);
    match resubmits {
        _ if one.called_not_made && !one.closed() => Ok(Flash::bad(LOOK_FIRST)),
        true => show::sent_again(web, context, number, None).await,
        false => show::taken_back(web, context, number, None).await,
    }
}
