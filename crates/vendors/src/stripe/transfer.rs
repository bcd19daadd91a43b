//! Transfers, from our balance to a connected one, and their reversals.
//!
//! A transfer has no status and no later failure: it exists, or the call failed. Whether its money reached
//! the partner's bank is the business of [`super::payout`].

use std::collections::BTreeMap;

use ::payout::money::{Money, VendorAmount};
use serde::Deserialize;

use super::{ConnectedAccount, Expect, form, is_id, money_of, null_is_empty, units};
use crate::classify;
use crate::http::Answer;
use crate::request::is_plain_id;
use crate::{BadRequest, MoneyKind, MoneyRequest, Outcome, lenient};

/// An instruction to move money to a connected account.
#[derive(Clone, Debug)]
pub struct TransferOrder<'a> {
    /// The submission's key.
    pub key: &'a str,
    /// Our transaction; becomes the `transfer_group` by which the transfer is looked up.
    pub transaction: &'a str,
    /// Our attempt; becomes `metadata[attempt]`.
    pub attempt: &'a str,
    /// Who receives.
    pub destination: &'a ConnectedAccount,
    /// How much, in Stripe's units.
    pub amount: VendorAmount,
    /// What the partner reads beside it; may be empty.
    pub description: &'a str,
}

/// An instruction to take a transfer back, wholly or in part.
#[derive(Clone, Debug)]
pub struct ReversalOrder<'a> {
    /// The submission's key.
    pub key: &'a str,
    /// Our transaction; becomes `metadata[transaction]`.
    pub transaction: &'a str,
    /// Our attempt; becomes `metadata[attempt]`.
    pub attempt: &'a str,
    /// The transfer (`tr_…`).
    pub transfer: &'a str,
    /// How much, in Stripe's units. Always sent: Stripe's default is "all that is left".
    pub amount: VendorAmount,
}

/// A transfer as Stripe has it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Transfer {
    /// `tr_…`
    pub id: String,
    /// Stripe's units.
    #[serde(rename = "amount")]
    pub amount_units: i64,
    /// What has been reversed of it, in Stripe's units.
    #[serde(rename = "amount_reversed", default)]
    pub amount_reversed_units: i64,
    /// Wholly reversed.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub reversed: bool,
    /// Lower case.
    pub currency: String,
    /// The connected account (`acct_…`).
    pub destination: String,
    /// The payment that the connected account sees (`py_…`), by which its balance transactions name it.
    #[serde(default, deserialize_with = "lenient::text")]
    pub destination_payment: Option<String>,
    /// Our transaction.
    #[serde(default, deserialize_with = "lenient::text")]
    pub transfer_group: Option<String>,
    /// What we wrote on it.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub metadata: BTreeMap<String, String>,
    /// Unix seconds.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub created: i64,
    /// Real money.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub livemode: bool,
}

impl Transfer {
    /// The amount in our minor units; `None` when the currency is none we know or the fraction cannot be
    /// told.
    #[must_use]
    pub fn money(&self) -> Option<Money> {
        money_of(self.amount_units, &self.currency)
    }

    /// What of it was reversed, in our minor units, where anything was.
    #[must_use]
    pub fn come_back(&self) -> Option<Money> {
        let back = self.amount_reversed_units.min(self.amount_units);
        (0 < back).then(|| money_of(back, &self.currency)).flatten()
    }
}

/// A reversal as Stripe has it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Reversal {
    /// `trr_…`
    pub id: String,
    /// Stripe's units.
    #[serde(rename = "amount")]
    pub amount_units: i64,
    /// Lower case.
    pub currency: String,
    /// The transfer that was reversed (`tr_…`).
    pub transfer: String,
    /// The refund that the connected account sees (`pyr_…`), by which its balance transactions name it.
    #[serde(default, deserialize_with = "lenient::text")]
    pub destination_payment_refund: Option<String>,
    /// What we wrote on it.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub metadata: BTreeMap<String, String>,
}

/// `POST /v1/transfers`.
///
/// # Errors
/// [`BadRequest`] when the amount is not positive or the key cannot be one.
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

/// `POST /v1/transfers/{id}/reversals`.
///
/// # Errors
/// [`BadRequest`] when the transfer's id is none, the amount is not positive or the key cannot be one.
pub fn reversal_request(order: &ReversalOrder<'_>) -> Result<MoneyRequest, BadRequest> {
    if !order.transfer.starts_with("tr_") || !is_plain_id(order.transfer) {
        return Err(BadRequest(format!("{:?} is not the id of a transfer", order.transfer)));
    }
    let amount = units(order.amount)?;
    let fields = [
        ("amount", amount.as_str()),
        ("metadata[transaction]", order.transaction),
        ("metadata[attempt]", order.attempt),
        // Stripe takes no currency here; ours is kept in the body's metadata so that the stored bytes alone
        // say what the answer must echo.
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

/// Reads the answer to [`request`].
#[must_use]
pub fn read(answer: &Answer, expect: &Expect) -> Outcome<Transfer> {
    classify::stripe(answer, |body| {
        let transfer: Transfer = classify::json(body)?;
        is_id(&transfer.id, "tr_")?;
        expect.compare(transfer.amount_units, &transfer.currency, Some(&transfer.destination))?;
        Ok(transfer)
    })
}

/// Reads the answer to [`reversal_request`].
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
