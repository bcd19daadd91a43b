//! The Transactions tab of the dashboard: the list of payments with its views and sort orders. One payment is in `show`.

use std::collections::HashMap;

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use payout::access::Permission;
use payout::ids::BatchId;
use payout::law;
use payout::ledger::Payee;
use payout::money::Vendor;
use payout::reason::explain_at;
use payout::transaction::{State as Stands, Status};

use crate::app::App;
use crate::ops::{OpsError, payees as payee_verbs, views};
use crate::store::transactions::{self, Filter, Order, Place, Sort, Transaction};
use crate::store::{Db, StoreError, batches, payees};
use crate::web::dashboard::{Choice, FilterParams, ResolvedFilter, Shared, Tab, choices};
use crate::web::kit::form::{ListQuery, Pager, Paging, encode_cursor};
use crate::web::kit::format::{Cash, Chip, ShortTime, address, detail, payment_chip};
use crate::web::kit::layout::{Frame, MenuItem, PageContext};
use crate::web::kit::problem::Problem;
use crate::web::kit::route::{Access, Route, get};
use crate::web::kit::sort::{First, Head};

pub fn routes() -> Vec<Route> {
    vec![get(Tab::Transactions.path(), Access::May(Permission::Read), list)]
}

/// No count goes higher than this, and no longer list is sorted by what has no index.
const MOST_COUNTED: i64 = 999;

/// The sort orders: query parameter, and what is sorted by it.
const SORTS: [(&str, Sort); 3] = [(NEWEST, Sort::Number), ("amount", Sort::Amount), ("since", Sort::Since)];
/// The order of a list that is not sorted otherwise, when it is descending.
const NEWEST: &str = "number";

/// The views: query parameter and label.
const VIEWS: [(&str, &str); 5] = [
    ("", "All"),
    ("needs_attention", "Needs attention"),
    ("stuck", "Stuck"),
    ("after_success", "Returned after success"),
    ("under_way", "In progress"),
];

fn view(name: &str, now: i64) -> Filter {
    match name {
        "needs_attention" => views::needing_attention(),
        "stuck" => views::stuck(now),
        "after_success" => views::after_success(),
        "under_way" => views::under_way(),
        _ => Filter::default(),
    }
}

/// The filter of this tab for the database; invalid parameters are reported.
pub async fn filter(
    db: &mut Db,
    params: &FilterParams,
    narrowed: &mut ResolvedFilter,
    now: i64,
) -> Result<Filter, Problem> {
    let mut filter = view(params.view().unwrap_or(""), now);
    (filter.scope, filter.from, filter.to) = (narrowed.scope.clone(), narrowed.range.from, narrowed.range.to);
    let mut note = |name, words: &str| params.note(Tab::Transactions, narrowed, name, words);
    let mut problems = Vec::new();
    if let Some(word) = &params.status {
        match Status::parse(word) {
            Some(status) => {
                views::narrow(&mut filter, |state| state.status() == status);
                note("status", status.label());
            }
            None => problems.push(format!("There is no status “{word}”.")),
        }
    }
    if let Some(word) = &params.vendor {
        filter.vendor = Vendor::parse(word);
        match filter.vendor {
            Some(vendor) => note("vendor", vendor.label()),
            None => problems.push(format!("There is no vendor “{word}”.")),
        }
    }
    if let Some(number) = &params.batch {
        match batches::find(db, number).await {
            Ok(batch) => {
                filter.batch = Some(batch.id);
                note("batch", &batch.number);
            }
            Err(StoreError::Missing) => problems.push(format!("There is no batch “{number}”.")),
            Err(error) => return Err(error.into()),
        }
    }
    if let Some(id) = &params.payee {
        match payee_verbs::named(db, id).await {
            Ok(Some(payee)) => {
                filter.payees = Some(vec![payee.to_string()]);
                let named = payees::names(db, &[payee]).await?.remove(&payee);
                note("payee", named.as_ref().map_or(id.as_str(), |named| &named.name));
            }
            Ok(None) => problems.push(format!("There is no partner or account “{id}”.")),
            Err(OpsError::Conflict(refusal)) => problems.push(refusal.sentence),
            Err(error) => return Err(error.into()),
        }
    }
    if let Some(code) = &params.reason {
        views::because(&mut filter, code);
        note("reason", code);
    }
    narrowed.problems.extend(problems);
    Ok(filter)
}

/// A payment, as a table row.
pub struct Row {
    pub number: String,
    pub payee: String,
    pub payee_page: String,
    /// What the vendor was told to pay.
    pub net: Cash,
    pub vendor: &'static str,
    pub destination: String,
    pub batch: String,
    pub chip: Chip,
    /// The detailed status, and why.
    pub aside: String,
    pub since: ShortTime,
    /// Whether it ended unpaid, and somebody must decide what comes next.
    pub open: bool,
    /// Whether it can be selected for a bulk action.
    pub ticks: bool,
}

/// Payments as rows, with the names of their payees and batches.
pub async fn rows(db: &mut Db, found: Vec<Transaction>) -> Result<Vec<Row>, Problem> {
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
        payee_page: address(transaction.terms.payee),
        net: Cash(transaction.terms.net),
        vendor: transaction.terms.vendor.label(),
        destination: transaction.destination.masked(),
        batch: numbers.get(&transaction.batch).cloned().unwrap_or_default(),
        chip: payment_chip(&transaction),
        aside: aside(&transaction),
        since: ShortTime(transaction.state_at),
        open: is_open(&transaction),
        ticks: false,
    };
    Ok(found.into_iter().map(row).collect())
}

fn is_open(transaction: &Transaction) -> bool {
    let returns = law::return_to_pool(transaction.state).is_ok();
    let sends = law::resubmit(transaction.state, &transaction.terms).is_ok();
    !transaction.closed() && transaction.contradicted_at.is_none() && (returns || sends)
}

/// The heads of a table of payments that is not sorted.
pub fn heads() -> Vec<Head> {
    let plain = ["Number", "Payee", "Amount", "Vendor", "Status", "Since", "Batch"].into_iter();
    plain
        .map(|words| if words == "Amount" { Head::plain(words).right() } else { Head::plain(words) })
        .collect()
}

/// The heads of the list: the number always sorts it, the amount and the time only if the list is short.
fn sorting_heads(params: &FilterParams, short: bool) -> Vec<Head> {
    let head = |words, name: &str| match short || name == NEWEST {
        true => {
            let to = |order: &str| params.address(Tab::Transactions, &[("sort", order)]);
            Head::sorting(words, name, First::Falling, order(params), to)
        }
        false => Head::plain(words),
    };
    vec![
        head("Number", NEWEST),
        Head::plain("Payee"),
        head("Amount", "amount").right(),
        Head::plain("Vendor"),
        Head::plain("Status"),
        head("Since", "since"),
        Head::plain("Batch"),
    ]
}

/// The sort order as it is asked for, with `-` for descending.
fn order(params: &FilterParams) -> &str {
    params.sort.as_deref().unwrap_or("-number")
}

/// The sort order, or what is wrong with it.
fn sorted(params: &FilterParams, short: bool) -> Result<Order, String> {
    let asked = order(params);
    let (name, descending) = asked.strip_prefix('-').map_or((asked, false), |name| (name, true));
    let Some((_, sort)) = SORTS.into_iter().find(|(known, _)| *known == name) else {
        return Err(format!("There is no sort order “{asked}”."));
    };
    if sort != Sort::Number && !short {
        return Err(format!(
            "Only lists of up to {MOST_COUNTED} payments can be sorted like this. Add a filter."
        ));
    }
    Ok(Order { sort, descending, after: None })
}

/// The place where the page before ended, if it was sorted like this.
fn place(params: &FilterParams, paging: &Paging) -> Result<Option<Place>, Problem> {
    let Some([asked, currency, key, id]) = paging.after_parts::<4>()? else { return Ok(None) };
    match key.parse() {
        Ok(key) if asked == order(params) => Ok(Some(Place { currency, key, id })),
        Ok(_) | Err(_) => Err(paging.elsewhere()),
    }
}

/// The text beside a status: the detail, what it waits for, why it failed, and how it was closed.
fn aside(transaction: &Transaction) -> String {
    let mut words: Vec<String> = Vec::new();
    if transaction.contradicted_at.is_some() {
        words.push("The vendor disagrees. Someone must look into it.".to_owned());
    }
    words.extend(
        detail(transaction.state).map(|detail| format!("{}.", crate::web::kit::format::plain(detail))),
    );
    let code =
        transaction.reason.as_ref().map(|reason| reason.code.as_str()).or(transaction.waiting.as_deref());
    if let Some(code) = code {
        let said = transaction.reason.as_ref().map_or("", |reason| reason.message.as_str());
        let explained = explain_at(code, transaction.state).message;
        words.push(explained.unwrap_or(if said.is_empty() { code } else { said }).to_owned());
    }
    if transaction.state == Stands::WrittenOff && transaction.outside.is_none() {
        words.push("The money in the payee's Stripe balance was written off.".to_owned());
    }
    if transaction.released_at.is_some() {
        words.push("Its rewards went back to the pool.".to_owned());
    } else if transaction.outside.is_some() {
        words.push("Marked as paid outside.".to_owned());
    }
    words.join(" ")
}

#[derive(Template)]
#[template(path = "payments/list.html")]
struct ListPage {
    frame: Frame,
    shared: Shared,
    /// The views: address, label, whether it is the current one.
    views: Vec<(String, String, bool)>,
    statuses: Vec<Choice>,
    vendors: Vec<Choice>,
    heads: Vec<Head>,
    rows: Vec<Row>,
    turn: Pager,
    narrowed: bool,
    ticks: bool,
    /// The query string of this list, to return to.
    back: String,
}

async fn list(
    State(app): State<App>,
    context: PageContext,
    ListQuery(mut params, paging): ListQuery<FilterParams>,
) -> Result<Response, Problem> {
    params.sort.clone_from(&paging.sort);
    let mut db = app.store.read().await?;
    let now = app.clock.now();
    let mut narrowed = params.resolve(&mut db, Tab::Transactions, now).await?;
    let filter = filter(&mut db, &params, &mut narrowed, now).await?;
    let after = place(&params, &paging)?;
    let many = match narrowed.problems.is_empty() {
        true => transactions::count(&mut db, &filter, MOST_COUNTED + 1).await?,
        false => 0,
    };
    let (found, next) = match sorted(&params, many <= MOST_COUNTED) {
        Ok(order) if narrowed.problems.is_empty() => {
            found(&mut db, &params, &filter, &Order { after, ..order }, paging.limit).await?
        }
        Ok(_) => (Vec::new(), None),
        Err(problem) => {
            narrowed.problems.push(problem);
            let newest = params.address(Tab::Transactions, &[("sort", "")]);
            narrowed.candidates.push(("Newest first".to_owned(), newest));
            (Vec::new(), None)
        }
    };
    let statuses = Status::ALL.iter().map(|status| (status.as_str(), status.label()));
    let vendors = Vendor::ALL.into_iter().map(|vendor| (vendor.as_str(), vendor.label()));
    let mut rows = rows(&mut db, found).await?;
    if context.may(Permission::Pay) {
        rows.iter_mut().for_each(|row| row.ticks = row.open);
    }
    let page = ListPage {
        ticks: rows.iter().any(|row| row.ticks),
        turn: paging.turn(rows.len(), next.as_deref(), Some(&counted_up(many))),
        heads: sorting_heads(&params, many <= MOST_COUNTED),
        back: params.query(Tab::Transactions, &[]),
        frame: context.frame("Transactions", MenuItem::Dashboard),
        views: counted(&mut db, &params, &narrowed, now).await?,
        statuses: choices(statuses, params.status.as_deref()),
        vendors: choices(vendors, params.vendor.as_deref()),
        rows,
        narrowed: !params.query(Tab::Transactions, &[("sort", "")]).is_empty(),
        shared: Shared::of(Tab::Transactions, params, narrowed),
    };
    context.show(&page)
}

/// The payments of a page, and the cursor of the next one.
async fn found(
    db: &mut Db,
    params: &FilterParams,
    filter: &Filter,
    by: &Order,
    limit: i64,
) -> Result<(Vec<Transaction>, Option<String>), Problem> {
    let mut found = transactions::sorted(db, filter, by, limit + 1).await?;
    let most = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = found.len() > most;
    found.truncate(most);
    let next = found.last().filter(|_| more).map(|last| {
        let Place { currency, key, id } = last.place(by.sort);
        encode_cursor(&[order(params), &currency, &key.to_string(), &id])
    });
    Ok((found, next))
}

/// A count that may have stopped at the maximum.
fn counted_up(many: i64) -> String {
    let more = if many > MOST_COUNTED { "+" } else { "" };
    format!("{}{more}", many.min(MOST_COUNTED))
}

/// The views with the active filters, and how many of those payments need attention.
async fn counted(
    db: &mut Db,
    params: &FilterParams,
    narrowed: &ResolvedFilter,
    now: i64,
) -> Result<Vec<(String, String, bool)>, Problem> {
    let mut all = Vec::new();
    for (name, words) in VIEWS {
        let mut words = words.to_owned();
        if matches!(name, "needs_attention" | "stuck") {
            let (scope, range) = (narrowed.scope.clone(), narrowed.range);
            let filter = Filter { scope, from: range.from, to: range.to, ..view(name, now) };
            let many = transactions::count(db, &filter, MOST_COUNTED + 1).await?;
            words = format!("{words} ({})", counted_up(many));
        }
        let mut otherwise: Vec<(&str, &str)> = VIEWS.iter().skip(1).map(|(view, _)| (*view, "")).collect();
        otherwise.retain(|(view, _)| *view != name);
        if !name.is_empty() {
            otherwise.push((name, "true"));
        }
        all.push((params.address(Tab::Transactions, &otherwise), words, params.view().unwrap_or("") == name));
    }
    Ok(all)
}
