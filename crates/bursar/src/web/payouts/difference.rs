//! The JSON of what has changed since it was shown, in `409 batch_changed`.

use payout::ledger::Payee;
use payout::money::{Money, Vendor};
use serde_json::{Value, json};

use crate::ops::shown_draft::{Difference, Item, MovedClaim, OfPayee};
use crate::web::kit::json::MoneyJson;

/// The problem's member `difference`.
pub(super) fn json(of: &Difference) -> Value {
    json!({
        "forgotten": of.forgotten,
        "rewards_added": of.rewards_added.iter().map(reward).collect::<Vec<_>>(),
        "rewards_removed": of.rewards_removed.iter().map(reward).collect::<Vec<_>>(),
        "payees": of.payees.iter().map(claim).collect::<Vec<_>>(),
        "destinations": of.destinations.iter().map(destination).collect::<Vec<_>>(),
        "totals": of.totals.iter().map(|(currency, was, now)| json!({
            "currency": currency.code(), "was": amount(*was), "now": amount(*now),
        })).collect::<Vec<_>>(),
    })
}

fn amount<T: Into<MoneyJson>>(amount: Option<T>) -> Value {
    amount.map_or(Value::Null, |amount| json!(amount.into()))
}

fn payee(payee: Payee, name: Option<&String>) -> Value {
    json!({ "id": payee.to_string(), "name": name })
}

fn reward(item: &Item) -> Value {
    json!({
        "id": item.id.to_string(), "number": item.number, "payee": payee(item.payee, item.name.as_ref()),
        "value": MoneyJson::from(item.adds),
    })
}

fn claim(of: &OfPayee) -> Value {
    let change = match (of.was, of.now) {
        (None, _) => "added",
        (_, None) => "removed",
        (Some(was), Some(now)) if was == now => "override",
        (Some(_), Some(_)) => "amount",
    };
    let amounts = |of: Option<(Money, Money)>| {
        of.map(|(total, net)| json!({ "total": MoneyJson::from(total), "net": MoneyJson::from(net) }))
    };
    json!({
        "payee": payee(of.payee, of.name.as_ref()), "change": change, "was": amounts(of.was), "now": amounts(of.now),
        "override_changed": of.overridden,
    })
}

fn destination(of: &MovedClaim) -> Value {
    let place = |of: &Option<(Vendor, String)>| {
        of.as_ref().map(|(vendor, masked)| json!({ "vendor": vendor.as_str(), "destination": masked }))
    };
    json!({ "payee": payee(of.payee, of.name.as_ref()), "was": place(&of.was), "now": place(&of.now) })
}
