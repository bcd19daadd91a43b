//! Stripe Connect, API v1: the client and its transport rules (form bodies, bearer key, pinned version).
//!
//! A payment has two movements: [`transfer`] (our balance to the connected one) and [`payout`] (the connected balance
//! to its bank), each with its own idempotency key. Not here: when to send, and what to do about a doubt.

pub mod account;
pub mod balance;
pub mod event;
pub mod payout;
pub mod transfer;
pub mod webhook;

mod client;

use std::collections::BTreeMap;

use ::payout::money::{self, Currency, Money, Vendor, VendorAmount};

use serde::Deserializer;

use crate::classify::InvalidResponse;
use crate::{BadRequest, MoneyKind, MoneyRequest};

pub use account::{ConnectedAccount, ConnectedAccountState};
pub use client::Stripe;
pub use webhook::{NEEDED_EVENTS_CONNECT, NEEDED_EVENTS_PLATFORM};

/// The API version this code was written against, sent with every call so that the account's default never applies.
pub const VERSION: &str = "2026-05-27.dahlia";

/// What an accepted answer must echo; otherwise it is a [`crate::UnknownCause::Mismatch`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expect {
    /// The amount in Stripe's units.
    pub amount_units: i64,
    /// The currency code in lower case, as Stripe writes it.
    pub currency: String,
    /// A transfer's connected account, or a reversal's transfer. `None` for a payout, whose bank account Stripe
    /// chooses.
    pub destination: Option<String>,
}

impl Expect {
    /// Determines from the stored request alone what its answer must echo.
    ///
    /// # Errors
    /// [`BadRequest`] if the body is not one of ours.
    pub fn of(request: &MoneyRequest) -> Result<Self, BadRequest> {
        let bad = || BadRequest(format!("the body of {} is not one of Bursar's", request.key()));
        let text = |name: &str| field(request.body(), name).ok_or_else(bad);
        let amount_units = text("amount")?.parse().map_err(|_| bad())?;
        let (currency, destination) = match request.kind() {
            MoneyKind::Transfer => (text("currency")?, Some(text("destination")?)),
            MoneyKind::Payout => (text("currency")?, None),
            MoneyKind::Reversal => {
                let transfer = request.path().split('/').nth(3).ok_or_else(bad)?;
                (text("metadata[currency]")?, Some(transfer.into()))
            }
            MoneyKind::Batch | MoneyKind::Cancel => return Err(bad()),
        };
        Ok(Self { amount_units, currency, destination })
    }

    fn compare(&self, units: i64, currency: &str, destination: Option<&str>) -> Result<(), InvalidResponse> {
        let same = units == self.amount_units && currency.eq_ignore_ascii_case(&self.currency);
        if same && destination == self.destination.as_deref() {
            return Ok(());
        }
        let of = |place: Option<&str>| place.map(|place| format!(" of {place}")).unwrap_or_default();
        Err(InvalidResponse::Mismatch(format!(
            "asked for {} {}{}, the answer says {units} {currency}{}",
            self.amount_units,
            self.currency,
            of(self.destination.as_deref()),
            of(destination),
        )))
    }
}

/// A form body with its fields in the given order. The order is part of the bytes a key stands for.
fn form(fields: &[(&str, &str)]) -> Vec<u8> {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish().into_bytes()
}

fn field(body: &[u8], name: &str) -> Option<String> {
    url::form_urlencoded::parse(body).find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

fn units(amount: VendorAmount) -> Result<String, BadRequest> {
    if amount.units > 0 {
        Ok(amount.units.to_string())
    } else {
        Err(BadRequest(format!("an amount of {} units cannot be moved", amount.units)))
    }
}

fn is_id(id: &str, prefix: &str) -> Result<(), InvalidResponse> {
    if id.starts_with(prefix) {
        Ok(())
    } else {
        Err(InvalidResponse::Unreadable(format!("the object's id {id:?} does not begin with {prefix}")))
    }
}

fn money_of(units: i64, currency: &str) -> Option<Money> {
    let currency = Currency::parse(&currency.to_ascii_uppercase()).ok()?;
    money::from_units(Vendor::Stripe, units, currency).ok()
}

/// The official documentation allows `metadata: null` on payouts and reversals. Connected users write metadata too;
/// values that are not strings are dropped.
fn null_is_empty<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<String, String>, D::Error> {
    let all: BTreeMap<String, serde_json::Value> = crate::lenient::or_default(from)?;
    let text = |(name, value): (String, serde_json::Value)| Some((name, value.as_str()?.to_owned()));
    Ok(all.into_iter().filter_map(text).collect())
}
