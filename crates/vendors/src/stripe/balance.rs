//! Balances of the platform or a connected account, and the balance transactions of a payout.

use ::payout::money::{self, Currency, Vendor};
use serde::Deserialize;
use serde_json::Value;

use crate::movement::{self, Movement, MovementPage};
use crate::{ReadError, lenient};

/// An amount of one currency in Stripe's units; may be negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Funds {
    /// The currency.
    pub currency: Currency,
    /// Stripe's units, comparable with [`::payout::money::VendorAmount::units`].
    pub units: i64,
}

/// A balance. Currencies Bursar cannot pay in are omitted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Balance {
    /// Funds that can be used now.
    pub available: Vec<Funds>,
    /// Funds that become available later.
    pub pending: Vec<Funds>,
}

impl Balance {
    /// Stripe's units available now; `None` if the answer does not contain the currency, which means unknown, not zero.
    #[must_use]
    pub fn available_units(&self, currency: Currency) -> Option<i64> {
        self.available.iter().find(|funds| funds.currency == currency).map(|funds| funds.units)
    }

    /// Stripe's units available now or later; `None` if the available funds do not contain the currency.
    #[must_use]
    pub fn held_units(&self, currency: Currency) -> Option<i64> {
        let pending: i64 =
            self.pending.iter().filter(|funds| funds.currency == currency).map(|funds| funds.units).sum();
        self.available_units(currency).map(|available| available.saturating_add(pending))
    }
}

/// One balance transaction.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct BalanceTransaction {
    /// `txn_…`
    pub id: String,
    /// The signed amount, in Stripe's units.
    #[serde(rename = "amount")]
    pub amount_units: i64,
    /// The currency code, in lower case.
    pub currency: String,
    /// Stripe's type, such as `payment` or `payout`.
    #[serde(rename = "type", default, deserialize_with = "lenient::word")]
    pub kind: String,
    /// What caused it: for an incoming transfer, its `destination_payment` (`py_…`).
    #[serde(default, deserialize_with = "lenient::text")]
    pub source: Option<String>,
}

/// A page of the platform's own balance transactions, with their source objects expanded.
#[derive(Deserialize)]
pub(super) struct MovementsBody {
    data: Vec<Value>,
    has_more: bool,
}

#[derive(Deserialize)]
struct Line {
    id: String,
    amount: i64,
    fee: i64,
    net: i64,
    currency: String,
    #[serde(rename = "type")]
    kind: String,
    created: i64,
    #[serde(default, deserialize_with = "lenient::maybe")]
    available_on: Option<i64>,
    #[serde(default)]
    source: Value,
}

impl MovementsBody {
    /// The parsed page. The next one starts after its last line, which must have an id if there are more.
    pub(super) fn page(self) -> Result<MovementPage, ReadError> {
        let id = |line: &Value| line.get("id").and_then(Value::as_str).map(str::to_owned);
        let next = match self.has_more {
            true => Some(
                self.data
                    .last()
                    .and_then(id)
                    .ok_or_else(|| ReadError::Unreadable("a page without an end".to_owned()))?,
            ),
            false => None,
        };
        let all = self.data.len();
        let movements: Vec<Movement> = self.data.iter().filter_map(movement).collect();
        Ok(MovementPage { unread: all - movements.len(), movements, next, whole_until: None })
    }
}

fn movement(line: &Value) -> Option<Movement> {
    let read = Line::deserialize(line).ok()?;
    let currency = movement::currency(&read.currency)?;
    let money = |units| money::from_units(Vendor::Stripe, units, currency).ok();
    let of_source = |name: &str| read.source.get(name).and_then(Value::as_str).map(str::to_owned);
    let source = read.source.as_str().map(str::to_owned).or_else(|| of_source("id"));
    Some(Movement {
        amount: money(read.amount)?,
        fee: money(read.fee)?,
        net: money(read.net)?,
        created_at: read.created.checked_mul(1_000_000)?,
        available_at: read.available_on.and_then(|at| at.checked_mul(1_000_000)),
        object: of_source("transfer").or_else(|| source.clone()),
        names: of_source("transfer_group"),
        source,
        body_hash: movement::hash_of(line),
        id: read.id,
        kind: read.kind,
    })
}

#[derive(Deserialize)]
pub(super) struct BalanceBody {
    #[serde(deserialize_with = "lenient::each")]
    available: Vec<FundsBody>,
    #[serde(default, deserialize_with = "lenient::each")]
    pending: Vec<FundsBody>,
}

#[derive(Deserialize)]
struct FundsBody {
    amount: i64,
    currency: String,
}

impl From<BalanceBody> for Balance {
    fn from(body: BalanceBody) -> Self {
        let known = |all: Vec<FundsBody>| {
            let funds = |body: FundsBody| {
                let currency = Currency::parse(&body.currency.to_ascii_uppercase()).ok()?;
                Some(Funds { currency, units: body.amount })
            };
            all.into_iter().filter_map(funds).collect()
        };
        Self { available: known(body.available), pending: known(body.pending) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_of_one_currency_now_and_later() {
        let of = |code: &str, units| Funds { currency: Currency::parse(code).unwrap(), units };
        let balance = Balance {
            available: vec![of("USD", 100), of("EUR", 7)],
            pending: vec![of("EUR", 1_000), of("USD", 20), of("USD", 3)],
        };
        let held = |code: &str| balance.held_units(Currency::parse(code).unwrap());
        assert_eq!((held("USD"), held("EUR"), held("GBP")), (Some(123), Some(1_007), None));
    }
}
