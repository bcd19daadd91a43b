//! What became of payments: the list with its views, newest first. One payment is in `transaction`.

use std::collections::HashMap;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;

use payout::access::Permission;
use payout::ids::BatchId;
use payout::ledger::Payee;
use payout::money::Vendor;
use payout::reason::explain;
use payout::transaction::{State as Stands, Status};

use super::frame::{Frame, Place, Visit};
use super::words::{Cash, Chip, When, detail, status_chip};
use crate::app::App;
use crate::store::transactions::{self, Filter, Transaction};
use crate::store::{Db, StoreError, batches, payees};
use crate::web::fault::Fault;
use crate::web::form::{ListQuery, sealed};
use crate::web::{Need, Route, get};

/// The rows of the route table.
#[must_use]
pub fn routes() -> Vec<Route> {
    vec![get("/transactions", Need::May(Permission::Read), list)]
}

/// Without an end for this long, a payment is stuck.
const STUCK_US: i64 = 3 * 86_400_000_000;

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Ask {
    status: Option<String>,
    vendor: Option<String>,
    /// A batch's number.
    batch: Option<String>,
    /// A payee: an id of ours or the caller's.
    payee: Option<String>,
    /// Failed, come back, unclaimed, on hold, or with a person.
    needs_attention: Option<bool>,
    /// Without an end for three days.
    stuck: Option<bool>,
    /// Not ended yet.
    under_way: Option<bool>,
}

impl Ask {
    fn query(&self) -> url::form_urlencoded::Serializer<'static, String> {
        let mut text = url::form_urlencoded::Serializer::new(String::new());
        let words = [
            ("status", &self.status),
            ("vendor", &self.vendor),
            ("batch", &self.batch),
            ("payee", &self.payee),
        ];
        for (name, value) in words {
            if let Some(value) = value {
                text.append_pair(name, value);
            }
        }
        let ticks =
            [("needs_attention", self.needs_attention), ("stuck", self.stuck), ("under_way", self.under_way)];
        for (name, _) in ticks.into_iter().filter(|(_, tick)| *tick == Some(true)) {
            text.append_pair(name, "true");
        }
        text
    }

    /// What it means to the database, or what cannot be read.
    async fn filter(&self, db: &mut Db, now: i64) -> Result<Result<Filter, String>, Fault> {
        let mut filter = Filter::default();
        if self.needs_attention == Some(true) {
            filter = needing_attention();
        }
        if self.stuck == Some(true) || self.under_way == Some(true) {
            filter.states = Some(Stands::ALL.iter().copied().filter(|state| !state.settled()).collect());
            filter.open = true;
            filter.unmoved_since = self.stuck.and_then(|stuck| stuck.then_some(now - STUCK_US));
        }
        if let Some(word) = &self.status {
            let Some(status) = Status::parse(word) else {
                return Ok(Err(format!("There is no status “{word}”.")));
            };
            filter.states = Some(Stands::of(status).collect());
        }
        if let Some(word) = &self.vendor {
            let Some(vendor) = Vendor::parse(word) else {
                return Ok(Err(format!("There is no vendor “{word}”.")));
            };
            filter.vendor = Some(vendor);
        }
        if let Some(number) = &self.batch {
            match batches::find(db, number).await {
                Ok(batch) => filter.batch = Some(batch.id),
                Err(StoreError::Missing) => return Ok(Err(format!("There is no batch “{number}”."))),
                Err(error) => return Err(error.into()),
            }
        }
        if let Some(id) = &self.payee {
            let Some(payee) = payees::find(db, id).await? else {
                return Ok(Err(format!("There is no partner or account “{id}”.")));
            };
            filter.payees = Some(vec![payee.to_string()]);
        }
        Ok(Ok(filter))
    }
}

/// What somebody must look at: failed, come back, unclaimed, on hold, or not to be found out by Bursar itself.
#[must_use]
pub fn needing_attention() -> Filter {
    let needs = |state: &Stands| {
        matches!(state.status(), Status::Failed | Status::PayoutFailed)
            || matches!(state, Stands::Unclaimed | Stands::OnHold | Stands::Review | Stands::PayoutReview)
    };
    Filter {
        states: Some(Stands::ALL.iter().copied().filter(needs).collect()),
        open: true,
        ..Filter::default()
    }
}

/// A payment as a row.
pub struct Row {
    /// Its number.
    pub number: String,
    /// Who receives.
    pub payee: String,
    /// What the vendor was told to pay.
    pub net: Cash,
    /// Through whom.
    pub vendor: &'static str,
    /// Where to, masked.
    pub destination: String,
    /// The batch's number.
    pub batch: String,
    /// How it stands.
    pub chip: Chip,
    /// The finer word, and why.
    pub aside: String,
    /// Since when.
    pub since: When,
}

/// Payments as rows, with the names of their payees and batches.
///
/// # Errors
/// When the database does not answer.
pub async fn rows(db: &mut Db, found: Vec<Transaction>) -> Result<Vec<Row>, Fault> {
    let of: Vec<Payee> = found.iter().map(|transaction| transaction.terms.payee).collect();
    let names = payees::names(db, &of).await?;
    let mut numbers: HashMap<BatchId, String> = HashMap::new();
    for transaction in &found {
        if !numbers.contains_key(&transaction.batch) {
            let batch = batches::find(db, &transaction.batch.to_string()).await?;
            numbers.insert(batch.id, batch.number);
        }
    }
    let row = |transaction: Transaction| Row {
        number: transaction.label(),
        payee: names.get(&transaction.terms.payee).map(|named| named.name.clone()).unwrap_or_default(),
        net: Cash(transaction.terms.net),
        vendor: transaction.terms.vendor.label(),
        destination: transaction.destination.masked(),
        batch: numbers.get(&transaction.batch).cloned().unwrap_or_default(),
        chip: status_chip(transaction.state.status()),
        aside: aside(&transaction),
        since: When(transaction.state_at),
    };
    Ok(found.into_iter().map(row).collect())
}

/// What stands beside a status: the finer word, what it waits for, why it failed, and how it was closed.
fn aside(transaction: &Transaction) -> String {
    let mut words: Vec<String> = Vec::new();
    words.extend(detail(transaction.state).map(|detail| format!("{}.", super::words::plain(detail))));
    let code =
        transaction.reason.as_ref().map(|reason| reason.code.as_str()).or(transaction.waiting.as_deref());
    if let Some(code) = code {
        let said = transaction.reason.as_ref().map_or("", |reason| reason.message.as_str());
        words.push(explain(code).message.unwrap_or(if said.is_empty() { code } else { said }).to_owned());
    }
    if transaction.released_at.is_some() {
        words.push("Its rewards are back in the pool.".to_owned());
    } else if transaction.outside.is_some() {
        words.push("Marked as paid outside.".to_owned());
    }
    words.join(" ")
}

#[derive(Template)]
#[template(path = "transactions.html")]
struct ListPage {
    frame: Frame,
    ask: Ask,
    /// The views: words, address, whether it is this one.
    views: Vec<(&'static str, &'static str, bool)>,
    statuses: Vec<(&'static str, &'static str)>,
    problem: Option<String>,
    rows: Vec<Row>,
    next: Option<String>,
    narrowed: bool,
}

impl ListPage {
    fn is_status(&self, status: &str) -> bool {
        self.ask.status.as_deref() == Some(status)
    }

    fn is_vendor(&self, vendor: &Vendor) -> bool {
        self.ask.vendor.as_deref() == Some(vendor.as_str())
    }
}

async fn list(
    State(app): State<App>,
    visit: Visit,
    ListQuery(ask, paging): ListQuery<Ask>,
) -> Result<Response, Fault> {
    let mut db = app.store.read().await?;
    let after = paging.after_parts::<1>()?.map(|[id]| id);
    let (found, problem) = match ask.filter(&mut db, app.clock.now()).await? {
        Ok(filter) => {
            let filter = Filter { after, ..filter };
            (transactions::list(&mut db, &filter, paging.limit + 1).await?, None)
        }
        Err(problem) => (Vec::new(), Some(problem)),
    };
    let limit = usize::try_from(paging.limit).unwrap_or(usize::MAX);
    let more = found.len() > limit;
    let found: Vec<Transaction> = found.into_iter().take(limit).collect();
    let next = found.last().filter(|_| more).map(|last| {
        let place = sealed(&[&last.id.to_string()]);
        format!("/transactions?{}", ask.query().append_pair("after", &place).finish())
    });
    let here = ask.query().finish();
    let view = |words, address: &'static str| {
        let query = address.split_once('?').map_or("", |(_, query)| query);
        (words, address, query == here)
    };
    let page = ListPage {
        frame: visit.frame("Payments", Place::Transactions),
        views: vec![
            view("All", "/transactions"),
            view("Needs attention", "/transactions?needs_attention=true"),
            view("Under way", "/transactions?under_way=true"),
            view("Stuck", "/transactions?stuck=true"),
        ],
        statuses: Status::ALL.iter().map(|status| (status.as_str(), status.label())).collect(),
        problem,
        rows: rows(&mut db, found).await?,
        next,
        narrowed: !here.is_empty(),
        ask,
    };
    visit.show(&page)
}
