//! PayPal's reports: every movement of our balance, and the balance at a given time.
//!
//! Not here: moving money (`settle`). PayPal's real reports lag up to three hours; these do not, unless a test omits a
//! line. Types follow PayPal's event codes: `T0001` a payout, `T0104` its fee, `T1114` money returned unclaimed or
//! reversed, `T1115` money the receiver sent back, `T0300` and `T0400` money from and to a bank. Holds change no
//! balance and are not listed.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::batch::decimal;
use super::{Call, Outcome, Refusal};
use crate::faults::Lie;
use crate::world::World;
use crate::{DAY, SECOND};

/// The longest date range PayPal searches, in days.
const MOST_DAYS: i64 = 31;
const MOST_PER_PAGE: usize = 500;

/// A change of our balance.
#[derive(Debug)]
pub(super) struct Movement {
    id: String,
    code: &'static str,
    /// The payout it belongs to.
    reference: Option<String>,
    /// The sender's item id.
    about: Option<String>,
    currency: String,
    amount: i64,
    at: i64,
}

/// Writes the movements of an item.
pub(super) struct Line<'a> {
    /// PayPal's payment id.
    pub(super) paid_as: &'a str,
    pub(super) about: Option<&'a str>,
    pub(super) currency: &'a str,
    pub(super) at: i64,
    pub(super) into: &'a mut Vec<Movement>,
}

impl Line<'_> {
    /// The payment itself has its own id; later movements get sequential ids rather than random ones.
    pub(super) fn write(&mut self, code: &'static str, amount: i64) {
        if amount == 0 {
            return;
        }
        let first = code == "T0001";
        self.into.push(Movement {
            id: if first { self.paid_as.to_owned() } else { counted(self.into) },
            code,
            reference: (!first).then(|| self.paid_as.to_owned()),
            about: self.about.map(str::to_owned),
            currency: self.currency.to_owned(),
            amount,
            at: self.at,
        });
    }
}

impl Movement {
    /// Money that comes from a bank, or goes there.
    pub(super) fn outside(into: &mut Vec<Movement>, currency: &str, amount: i64, at: i64) {
        if amount == 0 {
            return;
        }
        let code = if amount > 0 { "T0300" } else { "T0400" };
        let (id, currency) = (counted(into), currency.to_owned());
        into.push(Movement { id, code, reference: None, about: None, currency, amount, at });
    }

    fn show(&self, lie: Option<Lie>) -> Value {
        let more = if let Some(Lie::Amount(more)) = lie { more } else { 0 };
        let money = |minor| json!({"currency_code": self.currency, "value": decimal(minor, &self.currency)});
        let mut body = json!({
            "transaction_id": self.id,
            "transaction_event_code": self.code,
            "transaction_initiation_date": written(self.at),
            "transaction_updated_date": written(self.at),
            "transaction_amount": money(self.amount + more),
            "transaction_status": "S",
        });
        if let Some(Lie::Fee(more)) = lie {
            body["fee_amount"] = money(-more);
        }
        if let Some(reference) = &self.reference {
            body["paypal_reference_id"] = Value::from(reference.as_str());
            body["paypal_reference_id_type"] = Value::from("TXN");
        }
        json!({"transaction_info": body})
    }
}

/// `GET /v1/reporting/transactions`: the movements between two times, oldest first.
pub(super) fn transactions(world: &World, call: &Call<'_>) -> Outcome {
    let (from, until) = (moment(call, "start_date")?, moment(call, "end_date")?);
    if until < from || until - from > MOST_DAYS * DAY {
        let issue = "Date range is greater than 31 days, or ends before it begins.";
        return Err(Refusal::invalid(&[("end_date".to_owned(), issue)]));
    }
    let size = call.number("page_size", 100, MOST_PER_PAGE)?;
    let page = call.number("page", 1, 10_000)?;
    let currency = call.query.get("transaction_currency");
    let values: Vec<Value> = world
        .paypal
        .movements
        .iter()
        .filter(|one| one.at / SECOND * SECOND >= from && one.at / SECOND * SECOND <= until)
        .filter(|one| currency.is_none_or(|currency| *currency == one.currency))
        .filter_map(|one| match world.lie_about(one.about.as_deref()) {
            Some(Lie::LeftOut) => None,
            lie => Some(one.show(lie)),
        })
        .collect();
    let total = values.len();
    let shown: Vec<Value> = values.into_iter().skip((page - 1) * size).take(size).collect();
    let link = call.link("/v1/reporting/transactions", "self", "GET");
    Ok((
        200,
        json!({
            "transaction_details": shown,
            "account_number": world.options.paypal_client_id,
            "start_date": written(from),
            "end_date": written(until),
            "last_refreshed_datetime": written(call.now),
            "page": page,
            "total_items": total,
            "total_pages": total.div_ceil(size),
            "links": [link],
        }),
    ))
}

/// `GET /v1/reporting/balances`: the balance at a time, to the end of its second.
pub(super) fn balances(world: &World, call: &Call<'_>) -> Outcome {
    let as_of = match call.query.contains_key("as_of_time") {
        true => moment(call, "as_of_time")?,
        false => call.now,
    };
    let mut sums: BTreeMap<&str, i64> = BTreeMap::new();
    for one in world.paypal.movements.iter().filter(|one| one.at / SECOND <= as_of / SECOND) {
        *sums.entry(one.currency.as_str()).or_default() += one.amount;
    }
    let known: BTreeSet<&str> = sums.keys().copied().collect();
    let balances: Vec<Value> = known
        .into_iter()
        .map(|currency| {
            let money = json!({"currency_code": currency, "value": decimal(sums[currency], currency)});
            json!({"currency": currency, "total_balance": money, "available_balance": money})
        })
        .collect();
    let (as_of_time, refreshed) = (written(as_of), written(call.now));
    let id = &world.options.paypal_client_id;
    Ok((
        200,
        json!({"balances": balances, "account_id": id, "as_of_time": as_of_time, "last_refresh_time": refreshed}),
    ))
}

/// The next sequential id.
fn counted(of: &[Movement]) -> String {
    format!("M{:016}", of.len())
}

fn moment(call: &Call<'_>, name: &'static str) -> Result<i64, Refusal> {
    let read = call.query.get(name).and_then(|text| text.parse::<jiff::Timestamp>().ok());
    let issue = "Value must be an Internet date and time.";
    read.map(jiff::Timestamp::as_microsecond).ok_or_else(|| Refusal::invalid(&[(name.to_owned(), issue)]))
}

/// A time as reports write it: to the second, with an offset without a colon.
fn written(at: i64) -> String {
    jiff::Timestamp::from_microsecond(at)
        .map(|moment| moment.strftime("%Y-%m-%dT%H:%M:%S+0000").to_string())
        .unwrap_or_default()
}
