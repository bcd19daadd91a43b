//! Payouts, from a connected balance to its bank, always made as the connected account.
//!
//! `paid` means expected at the bank and may still become `failed`; the order of facts is for the rules to
//! judge, not for this module.

use std::collections::BTreeMap;

use ::payout::money::{Money, VendorAmount};
use ::payout::transaction::{Fact, Reason};
use serde::Deserialize;

use super::{ConnectedAccount, Expect, form, is_id, money_of, null_is_empty, units};
use crate::classify;
use crate::http::Answer;
use crate::{BadRequest, MoneyKind, MoneyRequest, Outcome, lenient};

/// Stripe has not told yet everything that an automatic payout took.
pub const IN_PROGRESS: &str = "in_progress";

/// An instruction to pay a connected balance out to its bank.
#[derive(Clone, Debug)]
pub struct PayoutOrder<'a> {
    /// The submission's key.
    pub key: &'a str,
    /// Our transaction; becomes `metadata[transaction]`.
    pub transaction: &'a str,
    /// Our attempt; becomes `metadata[attempt]`, by which the payout is looked up.
    pub attempt: &'a str,
    /// Whose balance. There is no order without one.
    pub account: &'a ConnectedAccount,
    /// How much, in Stripe's units.
    pub amount: VendorAmount,
    /// What the bank statement shows; Stripe takes 22 characters, the rest is cut off. May be empty.
    pub statement_descriptor: &'a str,
}

/// A payout as Stripe has it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Payout {
    /// `po_…`
    pub id: String,
    /// Stripe's units.
    #[serde(rename = "amount")]
    pub amount_units: i64,
    /// Lower case.
    pub currency: String,
    /// Stripe's word, unchanged; [`fact`] knows five of them.
    #[serde(default, deserialize_with = "lenient::word")]
    pub status: String,
    /// Made by Stripe's own schedule instead of by us.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub automatic: bool,
    /// How far Stripe is with telling what an automatic one took; [`IN_PROGRESS`] is the only word of use here.
    #[serde(default, deserialize_with = "lenient::word")]
    pub reconciliation_status: String,
    /// What we wrote on it.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub metadata: BTreeMap<String, String>,
    /// Unix seconds.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub created: i64,
    /// When the bank is expected to have it, Unix seconds.
    #[serde(default, deserialize_with = "lenient::maybe")]
    pub arrival_date: Option<i64>,
    /// The bank account or card (`ba_…`, `card_…`), when Stripe names it.
    #[serde(default, deserialize_with = "lenient::text")]
    pub destination: Option<String>,
    /// Why it failed, Stripe's code.
    #[serde(default, deserialize_with = "lenient::text")]
    pub failure_code: Option<String>,
    /// Why it failed, Stripe's words.
    #[serde(default, deserialize_with = "lenient::text")]
    pub failure_message: Option<String>,
    /// Real money.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub livemode: bool,
    /// The payout (`po_…`) that fetches this one back from the bank, where somebody has had it reversed.
    #[serde(default, deserialize_with = "lenient::text")]
    pub reversed_by: Option<String>,
    /// The payout that this one fetches back: it pays nobody.
    #[serde(default, deserialize_with = "lenient::text")]
    pub original_payout: Option<String>,
    /// The payout that fetches this one back has done so: the money is in the connected balance again. Stripe goes on to call
    /// the reversed one `paid`, so this is read off the other.
    #[serde(skip)]
    pub fetched_back: bool,
}

/// Whether a payout that fetches another back has done so. Before the bank has given it, the money is in no balance.
#[must_use]
pub fn has_fetched(reversing: &Payout) -> bool {
    reversing.status == "paid"
}

/// Why a payout is over that was fetched back.
#[must_use]
pub fn fetched_back() -> Reason {
    Reason::new("payout_reversed", "The payout was reversed, and the bank gave the money back.")
}

impl Payout {
    /// The amount in our minor units; `None` when the currency is none we know or the fraction cannot be
    /// told.
    #[must_use]
    pub fn money(&self) -> Option<Money> {
        money_of(self.amount_units, &self.currency)
    }
}

/// `POST /v1/payouts` with `Stripe-Account`.
///
/// # Errors
/// [`BadRequest`] when the amount is not positive or the key cannot be one.
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

/// Reads the answer to [`request`]. The bank account is Stripe's own choice, so no destination is compared.
#[must_use]
pub fn read(answer: &Answer, expect: &Expect) -> Outcome<Payout> {
    classify::stripe(answer, |body| {
        let payout: Payout = classify::json(body)?;
        is_id(&payout.id, "po_")?;
        expect.compare(payout.amount_units, &payout.currency, None)?;
        Ok(payout)
    })
}

/// What a fetched payout says. A status that Stripe invents later says nothing, nor does one that fetches another back.
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
        // The one that fetches says nothing of a payment of ours.
        let mut fetching = read("paid");
        fetching.original_payout = Some("po_0".to_owned());
        assert_eq!(fact(&fetching), None);
    }
}
