//! Every page component on one page of the demonstration, for people who build pages, and for checking that components are
//! readable in light, dark, print and high contrast. Not available elsewhere.

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use payout::access::Permission;
use payout::batch::BatchStatus;
use payout::eligibility::Code;
use payout::money::{Currency, Money};
use payout::reward::Shown;
use payout::transaction::Status;

use crate::app::App;
use crate::web::kit::form::Pager;
use crate::web::kit::format::{BlockerSummary, Cash, Chip, When, batch_chip, reward_chip, status_chip};
use crate::web::kit::layout::{Frame, MenuItem, PageContext};
use crate::web::kit::problem::Problem;
use crate::web::kit::route::{Access, Route, get};
use crate::web::kit::sort::{First, Head};

pub fn routes() -> Vec<Route> {
    vec![get("/styleguide", Access::May(Permission::Read), show)]
}

struct Choice {
    value: &'static str,
    words: &'static str,
    chosen: bool,
}

#[derive(Template)]
#[template(path = "styleguide/page.html")]
struct StyleguidePage {
    frame: Frame,
    colours: [&'static str; 21],
    statuses: Vec<(&'static str, Vec<Chip>)>,
    /// The heads of a table that can be sorted.
    heads: [Head; 3],
    amounts: Vec<Cash>,
    now: When,
    whys: Vec<BlockerSummary>,
    choices: Vec<Choice>,
    tabs: Vec<(&'static str, &'static str, bool)>,
    on: Vec<(&'static str, &'static str)>,
    turn: Pager,
}

const COLOURS: [&str; 21] = [
    "paper",
    "sheet",
    "sunk",
    "line",
    "line-soft",
    "line-strong",
    "ink",
    "soft",
    "accent",
    "accent-deep",
    "accent-wash",
    "on-accent",
    "brand",
    "good",
    "good-wash",
    "bad",
    "bad-wash",
    "warn",
    "warn-wash",
    "wait",
    "wait-wash",
];

async fn show(State(app): State<App>, context: PageContext) -> Result<Response, Problem> {
    if !app.config.demonstrates {
        return Err(Problem::missing());
    }
    let amount = |minor, code| Currency::parse(code).ok().map(|currency| Cash(Money::new(minor, currency)));
    let choice = |value, words, chosen| Choice { value, words, chosen };
    let to = |order: &str| format!("#{order}");
    let page = StyleguidePage {
        frame: context.frame("Parts of pages", MenuItem::Elsewhere),
        colours: COLOURS,
        statuses: vec![
            ("Rewards", Shown::ALL.iter().map(|status| reward_chip(*status)).collect()),
            ("Payments", Status::ALL.iter().map(|status| status_chip(*status)).collect()),
            ("Batches", BatchStatus::ALL.iter().map(|status| batch_chip(*status)).collect()),
        ],
        heads: [
            Head::sorting("Number", "number", First::Falling, "-number", to),
            Head::plain("Owner"),
            Head::sorting("Value", "value", First::Falling, "-number", to).right(),
        ],
        amounts: [(123_456_750, "USD"), (-99_900, "EUR"), (1_500, "JPY"), (1_234, "KWD")]
            .into_iter()
            .filter_map(|(minor, code)| amount(minor, code))
            .collect(),
        now: When(app.clock.now()),
        whys: [Code::ProfileMissing, Code::BelowThreshold, Code::VendorBalanceLow]
            .map(BlockerSummary::of)
            .into(),
        choices: vec![choice("stripe", "Stripe", false), choice("paypal", "PayPal", true)],
        tabs: vec![("#tabs", "Summary", true), ("#tabs", "Transactions", false)],
        on: vec![("Currency: USD", "#filters"), ("Status: Approved", "#filters")],
        turn: Pager {
            told: "51–100 of 220".to_owned(),
            first: Some("#pages".to_owned()),
            before: Some("#pages".to_owned()),
            next: Some("#pages".to_owned()),
        },
    };
    context.show(&page)
}
