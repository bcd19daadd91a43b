//! The filter of transaction lists and its SQL conditions. Not here: the predefined views (`ops::views`).

use payout::ids::BatchId;
use payout::money::Vendor;
use payout::transaction::State;

use super::super::scope::Scope;
use super::super::{Value, Where};

/// The sort order of a page of transactions; ties are broken by id.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sort {
    /// By number, the order in which they were made.
    Number,
    /// By what the vendor was told to pay, within each currency. No index has this order, so the list must be short.
    Amount,
    /// By the time since when they are in their state. No index has this order, so the list must be short.
    Since,
}

/// Where a page of transactions ended: a row's currency, the value of the sort order, and the id.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Place {
    pub currency: String,
    pub key: i64,
    pub id: String,
}

/// The sort order of a page, and where the page before it ended.
#[derive(Clone, Debug)]
pub struct Order {
    pub sort: Sort,
    pub descending: bool,
    pub after: Option<Place>,
}

/// The filter of a transaction list.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// In one of these states.
    pub states: Option<Vec<State>>,
    /// Or in one of these, if the vendor contradicts it.
    pub or_contradicted: Option<Vec<State>>,
    pub vendor: Option<Vendor>,
    /// To one of these payees.
    pub payees: Option<Vec<String>>,
    /// Further limits on the payee.
    pub scope: Scope,
    /// Failed for this reason: its code, or the state if the vendor gave none.
    pub reason: Option<String>,
    /// Returned after it had succeeded.
    pub after_success: bool,
    pub batch: Option<BatchId>,
    /// Pay was pressed at or after this time.
    pub from: Option<i64>,
    pub to: Option<i64>,
    /// In its current state since before this time.
    pub unmoved_since: Option<i64>,
    /// Only those that are not closed.
    pub open: bool,
    /// Only those whose payee was paid in another way, or only the others.
    pub outside: Option<bool>,
    /// Only those after this id, newest first.
    pub after: Option<String>,
}

/// The filter's conditions, and those of the rows after a place.
pub(super) fn beyond(filter: &Filter, order: &Order) -> Where {
    let mut conditions = narrowed(filter);
    let Some(Place { currency, key, id }) = &order.after else { return conditions };
    let (key, pair) = (Value::from(*key), [Value::from(*key), Value::from(id.as_str())]);
    let code = || Value::from(currency.as_str());
    let within = [code(), code()].into_iter().chain(pair.clone());
    match (order.sort, order.descending) {
        (Sort::Number, true) => conditions.and("number < ?", [key]),
        (Sort::Number, false) => conditions.and("number > ?", [key]),
        (Sort::Amount, true) => {
            conditions.and("(currency > ? OR (currency = ? AND (net_minor, id) < (?, ?)))", within);
        }
        (Sort::Amount, false) => {
            conditions.and("(currency > ? OR (currency = ? AND (net_minor, id) > (?, ?)))", within);
        }
        (Sort::Since, true) => conditions.and("(state_at, id) < (?, ?)", pair),
        (Sort::Since, false) => conditions.and("(state_at, id) > (?, ?)", pair),
    }
    conditions
}

pub(super) fn narrowed(filter: &Filter) -> Where {
    let mut conditions = Where::default();
    let words = |states: &[State]| states.iter().map(|state| Value::from(state.as_str())).collect::<Vec<_>>();
    match (&filter.states, &filter.or_contradicted) {
        (Some(states), Some(others)) => {
            let any = others.len() == State::ALL.len();
            let (states, others) = (words(states), words(others));
            // An empty list becomes a state that does not exist.
            let marks =
                |values: &[Value]| ["''"].into_iter().chain(values.iter().map(|_| "?")).collect::<Vec<_>>();
            let all = format!("state IN ({})", marks(&states).join(", "));
            // Listing all states would make SQLite scan every payment by state instead of the few contradicted ones.
            match any {
                true => conditions.and(&format!("({all} OR contradicted_at IS NOT NULL)"), states),
                false => {
                    let of = format!("state IN ({})", marks(&others).join(", "));
                    let sql = format!("({all} OR (contradicted_at IS NOT NULL AND {of}))");
                    conditions.and(&sql, states.into_iter().chain(others));
                }
            }
        }
        (Some(states), None) => conditions.among("state", words(states)),
        (None, _) => {}
    }
    if let Some(payees) = &filter.payees {
        conditions.among("payee", payees.iter().map(|payee| Value::from(payee.as_str())));
    }
    filter.scope.narrow(&mut conditions);
    if let Some(vendor) = filter.vendor {
        conditions.and("vendor = ?", [Value::from(vendor.as_str())]);
    }
    if let Some(batch) = filter.batch {
        conditions.and("batch_id = ?", [Value::from(batch.to_string())]);
    }
    if let Some(code) = &filter.reason {
        conditions.and("COALESCE(reason_code, state) = ?", [Value::from(code.as_str())]);
    }
    if filter.after_success {
        let succeeded = "EXISTS (SELECT 1 FROM timeline l WHERE l.transaction_id = payout_transaction.id \
                         AND l.effect IN ('payout_paid', 'item_paid'))";
        conditions.and(succeeded, []);
    }
    let moments = [
        ("created_at >= ?", filter.from),
        ("created_at < ?", filter.to),
        ("state_at < ?", filter.unmoved_since),
    ];
    for (condition, moment) in moments {
        if let Some(moment) = moment {
            conditions.and(condition, [Value::from(moment)]);
        }
    }
    if filter.open {
        // A closed payment that the vendor contradicts, or whose money was found in a payee's balance, is still open
        // work.
        conditions.and(
            "(released_at IS NULL AND outside_at IS NULL OR contradicted_at IS NOT NULL \
             OR state IN ('payout_failed', 'payout_canceled'))",
            [],
        );
    }
    match filter.outside {
        Some(true) => conditions.and("outside_at IS NOT NULL", []),
        Some(false) => conditions.and("outside_at IS NULL", []),
        None => {}
    }
    if let Some(after) = &filter.after {
        conditions.and("id < ?", [Value::from(after.as_str())]);
    }
    conditions
}
