//! Balances, the platform's or a connected account's, and the entries that one payout swept up.

use ::payout::money::Currency;
use serde::Deserialize;

use crate::lenient;

/// An amount of one currency in Stripe's units; may be negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Funds {
    /// The currency.
    pub currency: Currency,
    /// Stripe's units, to be compared with [`::payout::money::VendorAmount::units`].
    pub units: i64,
}

/// A balance. Currencies that Bursar cannot pay in are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Balance {
    /// May be moved now.
    pub available: Vec<Funds>,
    /// Becomes available later.
    pub pending: Vec<Funds>,
}

impl Balance {
    /// Units that may be moved now; `None` when the answer does not name the currency, which means unknown,
    /// not zero.
    #[must_use]
    pub fn available_units(&self, currency: Currency) -> Option<i64> {
        self.available.iter().find(|funds| funds.currency == currency).map(|funds| funds.units)
    }

    /// Units that are there, to be moved now or later; `None` when the answer does not name the currency.
    #[must_use]
    pub fn held_units(&self, currency: Currency) -> Option<i64> {
        let pending: i64 =
            self.pending.iter().filter(|funds| funds.currency == currency).map(|funds| funds.units).sum();
        self.available_units(currency).map(|available| available.saturating_add(pending))
    }
}

/// One entry of a balance.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct BalanceTransaction {
    /// `txn_…`
    pub id: String,
    /// Stripe's units, signed.
    #[serde(rename = "amount")]
    pub amount_units: i64,
    /// Lower case.
    pub currency: String,
    /// `payment`, `payout`, …
    #[serde(rename = "type", default, deserialize_with = "lenient::word")]
    pub kind: String,
    /// What caused it: for a transfer that came in, its `destination_payment` (`py_…`).
    #[serde(default, deserialize_with = "lenient::text")]
    pub source: Option<String>,
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
