//! Payouts from a connected balance to its bank, always made as the connected account.
//!
//! `paid` means expected at the bank and may still become `failed`; the order of facts is judged by the rules, not
//! here.

use std::collections::BTreeMap;

use ::payout::money::{Money, VendorAmount};
use ::payout::transaction::{Fact, Reason};
use serde::Deserialize;

use super::{ConnectedAccount, Expect, form, is_id, money_of, null_is_empty, units};
use crate::classify;
use crate::http::Answer;
use crate::{BadRequest, MoneyKind, MoneyRequest, Outcome, lenient};

/// Stripe has not yet reported everything an automatic payout took.
pub const IN_PROGRESS: &str = "in_progress";

/// An instruction to pay out a connected balance to its bank.
#[derive(Clone, Debug)]
pub struct PayoutOrder<'a> {
    /// The submission's idempotency key.
    pub key: &'a str,
    /// Our transaction id; becomes `metadata[transaction]`.
    pub transaction: &'a str,
    /// Our attempt id; becomes `metadata[attempt]`, by which the payout is looked up.
    pub attempt: &'a str,
    /// The account whose balance is paid out; required.
    pub account: &'a ConnectedAccount,
    /// The amount in Stripe's units.
    pub amount: VendorAmount,
    /// The text on the bank statement, truncated to Stripe's 22 characters. May be empty.
    pub statement_descriptor: &'a str,
}

/// A payout as Stripe reports it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Payout {
    /// `po_…`
    pub id: String,
    /// The amount in Stripe's units.
    #[serde(rename = "amount")]
    pub amount_units: i64,
    /// The currency code, in lower case.
    pub currency: String,
    /// Stripe's status, unchanged; [`fact`] knows five of them.
    #[serde(default, deserialize_with = "lenient::word")]
    pub status: String,
    /// Whether Stripe's automatic schedule made it, rather than us.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub automatic: bool,
    /// Whether Stripe has reported what an automatic payout took; only [`IN_PROGRESS`] matters here.
    #[serde(default, deserialize_with = "lenient::word")]
    pub reconciliation_status: String,
    /// The metadata we wrote on it.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub metadata: BTreeMap<String, String>,
    /// The creation time, in Unix seconds.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub created: i64,
    /// When it is expected at the bank, in Unix seconds.
    #[serde(default, deserialize_with = "lenient::maybe")]
    pub arrival_date: Option<i64>,
    /// The bank account or card (`ba_…`, `card_…`), if Stripe names it.
    #[serde(default, deserialize_with = "lenient::text")]
    pub destination: Option<String>,
    /// Why it failed, as Stripe's code.
    #[serde(default, deserialize_with = "lenient::text")]
    pub failure_code: Option<String>,
    /// Why it failed, as Stripe's message.
    #[serde(default, deserialize_with = "lenient::text")]
    pub failure_message: Option<String>,
    /// Whether it moves real money.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub livemode: bool,
    /// The payout (`po_…`) that reverses this one, if somebody had it reversed.
    #[serde(default, deserialize_with = "lenient::text")]
    pub reversed_by: Option<String>,
    /// The payout this one reverses: it pays nobody.
    #[serde(default, deserialize_with = "lenient::text")]
    pub original_payout: Option<String>,
    /// Whether the reversing payout has completed: the money is in the connected balance again. Stripe keeps reporting
    /// the reversed payout as `paid`, so this comes from the reversing one.
    #[serde(skip)]
    pub fetched_back: bool,
}

/// Whether a reversing payout has completed. Until the bank has returned it, the money is in no balance.
#[must_use]
pub fn has_fetched(reversing: &Payout) -> bool {
    reversing.status == "paid"
}

/// The reason of a payout that was reversed.
#[must_use]
pub fn fetched_back() -> Reason {
    Reason::new("payout_reversed", "The payout was reversed, and the bank gave the money back.")
}

impl Payout {
    /// The amount in our minor units; `None` if the currency is unknown or the amount is not a whole number of them.
    #[must_use]
    pub fn money(&self) -> Option<Money> {
        money_of(self.amount_units, &self.currency)
    }
}

/// Builds `POST /v1/payouts` with `Stripe-Account`.
///
/// # Errors
/// [`BadRequest`] if the amount is not positive or the key is invalid.
pub fn request(order: &PayoutOrder<'_>) -> Result<MoneyRequest, BadRequest> {
    let amount = units(order.amount)?;
    let currency = order.amount.currency.code().to_ascii_lowercase();
    let descriptor: String = order.statement_descriptor.chars().take(22).collect();
    let mut fields = vec![("amount", amount.as_str()), ("currency", &currency)];
    if !descriptor.is_empty() {
        fields.push(("statement_descriptor", &descriptor));
    }
    fields.push(("metadata[transaction]", order.transaction));
    fields.push(("metadata[attempt]", order.attempt));
    MoneyRequest::from_stored(
        MoneyKind::Payout,
        "/v1/payouts".into(),
        Some(order.account.as_str().into()),
        order.key.into(),
        form(&fields),
    )
}

/// Classifies the answer to [`request`]. Stripe chooses the bank account, so no destination is compared.
#[must_use]
pub fn read(answer: &Answer, expect: &Expect) -> Outcome<Payout> {
    classify::stripe(answer, |body| {
        let payout: Payout = classify::json(body)?;
        is_id(&payout.id, "po_")?;
        expect.compare(payout.amount_units, &payout.currency, None)?;
        Ok(payout)
    })
}

/// The fact a fetched payout reports; `None` for a status we do not know, and for a payout that reverses another.
#[must_use]
pub fn fact(payout: &Payout) -> Option<Fact> {
    let reason = |instead: &str| {
        Reason::new(
            payout.failure_code.clone().unwrap_or_else(|| instead.into()),
            payout.failure_message.clone().unwrap_or_default(),
        )
    };
    match payout.status.as_str() {
        _ if payout.original_payout.is_some() => None,
        "paid" if payout.fetched_back => Some(Fact::PayoutFailed(fetched_back())),
        "pending" | "in_transit" => Some(Fact::PayoutMade),
        "paid" => Some(Fact::PayoutPaid),
        "failed" => Some(Fact::PayoutFailed(reason("failed"))),
        "canceled" => Some(Fact::PayoutCanceled(reason("canceled"))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(status: &str) -> Payout {
        let body = serde_json::json!({ "id": "po_1", "amount": 5000, "currency": "usd", "status": status });
        serde_json::from_value(body).unwrap()
    }

    #[test]
    fn a_payout_is_fetched_back_once_the_one_that_fetches_it_is_paid() {
        assert!(has_fetched(&read("paid")));
        for status in ["pending", "in_transit", "failed", "canceled", ""] {
            assert!(!has_fetched(&read(status)), "{status}");
        }
        let mut back = read("paid");
        assert_eq!(fact(&back), Some(Fact::PayoutPaid));
        back.fetched_back = true;
        let Some(Fact::PayoutFailed(why)) = fact(&back) else { panic!("{:?}", fact(&back)) };
        assert_eq!(why.code, "payout_reversed");
        assert!(why.message.contains("gave the money back"), "{why:?}");
        // A reversing payout says nothing about a payment of ours.
        let mut fetching = read("paid");
        fetching.original_payout = Some("po_0".to_owned());
        assert_eq!(fact(&fetching), None);
    }
}
