//! Transfers from our balance to a connected one, and their reversals.
//!
//! A transfer has no status and cannot fail later: it exists, or the call failed. Whether its money reached the
//! partner's bank is a matter for [`super::payout`].

use std::collections::BTreeMap;

use ::payout::money::{Money, VendorAmount};
use serde::Deserialize;

use super::{ConnectedAccount, Expect, form, is_id, money_of, null_is_empty, units};
use crate::classify;
use crate::http::Answer;
use crate::request::is_plain_id;
use crate::{BadRequest, MoneyKind, MoneyRequest, Outcome, lenient};

/// An instruction to transfer money to a connected account.
#[derive(Clone, Debug)]
pub struct TransferOrder<'a> {
    /// The submission's idempotency key.
    pub key: &'a str,
    /// Our transaction id; becomes the `transfer_group`, by which the transfer is looked up.
    pub transaction: &'a str,
    /// Our attempt id; becomes `metadata[attempt]`.
    pub attempt: &'a str,
    /// The receiving connected account.
    pub destination: &'a ConnectedAccount,
    /// The amount in Stripe's units.
    pub amount: VendorAmount,
    /// A description for the partner; may be empty.
    pub description: &'a str,
}

/// An instruction to reverse a transfer, fully or in part.
#[derive(Clone, Debug)]
pub struct ReversalOrder<'a> {
    /// The submission's idempotency key.
    pub key: &'a str,
    /// Our transaction id; becomes `metadata[transaction]`.
    pub transaction: &'a str,
    /// Our attempt id; becomes `metadata[attempt]`.
    pub attempt: &'a str,
    /// The id of the transfer (`tr_…`).
    pub transfer: &'a str,
    /// The amount in Stripe's units. Always sent: Stripe's default is everything that is left.
    pub amount: VendorAmount,
}

/// A transfer as Stripe reports it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Transfer {
    /// `tr_…`
    pub id: String,
    /// The amount in Stripe's units.
    #[serde(rename = "amount")]
    pub amount_units: i64,
    /// How much of it has been reversed, in Stripe's units.
    #[serde(rename = "amount_reversed", default)]
    pub amount_reversed_units: i64,
    /// Whether it was fully reversed.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub reversed: bool,
    /// The currency code, in lower case.
    pub currency: String,
    /// The connected account (`acct_…`).
    pub destination: String,
    /// The payment on the connected account (`py_…`), by which its balance transactions refer to the transfer.
    #[serde(default, deserialize_with = "lenient::text")]
    pub destination_payment: Option<String>,
    /// The transfer group: our transaction id.
    #[serde(default, deserialize_with = "lenient::text")]
    pub transfer_group: Option<String>,
    /// The metadata we wrote on it.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub metadata: BTreeMap<String, String>,
    /// The creation time, in Unix seconds.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub created: i64,
    /// Whether it moves real money.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub livemode: bool,
}

impl Transfer {
    /// The amount in our minor units; `None` if the currency is unknown or the amount is not a whole number of them.
    #[must_use]
    pub fn money(&self) -> Option<Money> {
        money_of(self.amount_units, &self.currency)
    }

    /// How much of it was reversed, in our minor units; `None` if nothing was.
    #[must_use]
    pub fn come_back(&self) -> Option<Money> {
        let back = self.amount_reversed_units.min(self.amount_units);
        (0 < back).then(|| money_of(back, &self.currency)).flatten()
    }
}

/// A reversal as Stripe reports it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Reversal {
    /// `trr_…`
    pub id: String,
    /// The amount in Stripe's units.
    #[serde(rename = "amount")]
    pub amount_units: i64,
    /// The currency code, in lower case.
    pub currency: String,
    /// The id of the reversed transfer (`tr_…`).
    pub transfer: String,
    /// The refund on the connected account (`pyr_…`), by which its balance transactions refer to the reversal.
    #[serde(default, deserialize_with = "lenient::text")]
    pub destination_payment_refund: Option<String>,
    /// The metadata we wrote on it.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub metadata: BTreeMap<String, String>,
}

/// Builds `POST /v1/transfers`.
///
/// # Errors
/// [`BadRequest`] if the amount is not positive or the key is invalid.
pub fn request(order: &TransferOrder<'_>) -> Result<MoneyRequest, BadRequest> {
    let amount = units(order.amount)?;
    let currency = order.amount.currency.code().to_ascii_lowercase();
    let mut fields = vec![
        ("amount", amount.as_str()),
        ("currency", &currency),
        ("destination", order.destination.as_str()),
        ("transfer_group", order.transaction),
    ];
    if !order.description.is_empty() {
        fields.push(("description", order.description));
    }
    fields.push(("metadata[transaction]", order.transaction));
    fields.push(("metadata[attempt]", order.attempt));
    MoneyRequest::from_stored(
        MoneyKind::Transfer,
        "/v1/transfers".into(),
        None,
        order.key.into(),
        form(&fields),
    )
}

/// Builds `POST /v1/transfers/{id}/reversals`.
///
/// # Errors
/// [`BadRequest`] if the transfer's id or the key is invalid, or the amount is not positive.
pub fn reversal_request(order: &ReversalOrder<'_>) -> Result<MoneyRequest, BadRequest> {
    if !order.transfer.starts_with("tr_") || !is_plain_id(order.transfer) {
        return Err(BadRequest(format!("{:?} is not the id of a transfer", order.transfer)));
    }
    let amount = units(order.amount)?;
    let fields = [
        ("amount", amount.as_str()),
        ("metadata[transaction]", order.transaction),
        ("metadata[attempt]", order.attempt),
        // Stripe takes no currency here; ours is kept in the metadata, so that the stored bytes alone say what the
        // answer must echo.
        ("metadata[currency]", order.amount.currency.code()),
    ];
    MoneyRequest::from_stored(
        MoneyKind::Reversal,
        format!("/v1/transfers/{}/reversals", order.transfer),
        None,
        order.key.into(),
        form(&fields),
    )
}

/// Classifies the answer to [`request`].
#[must_use]
pub fn read(answer: &Answer, expect: &Expect) -> Outcome<Transfer> {
    classify::stripe(answer, |body| {
        let transfer: Transfer = classify::json(body)?;
        is_id(&transfer.id, "tr_")?;
        expect.compare(transfer.amount_units, &transfer.currency, Some(&transfer.destination))?;
        Ok(transfer)
    })
}

/// Classifies the answer to [`reversal_request`].
#[must_use]
pub fn read_reversal(answer: &Answer, expect: &Expect) -> Outcome<Reversal> {
    classify::stripe(answer, |body| {
        let reversal: Reversal = classify::json(body)?;
        is_id(&reversal.id, "trr_")?;
        expect.compare(reversal.amount_units, &reversal.currency, Some(&reversal.transfer))?;
        Ok(reversal)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transfer_is_money_of_its_currency_and_of_none_we_do_not_know() {
        let of = |currency: &str| -> Transfer {
            let body = serde_json::json!({ "id": "tr_1", "amount": 5000, "currency": currency, "destination": "acct_1" });
            serde_json::from_value(body).unwrap()
        };
        assert_eq!(of("usd").money().map(|money| money.minor), Some(5000));
        assert_eq!(of("zzz").money(), None);
    }
}
