//! PayPal's reports: balance changes, and balances at a time. A report lags by up to three hours and says up to when it
//! is complete. Not here: what an event code means to us, and which payment a movement belongs to: a report only has
//! PayPal's ids.

use ::payout::money::{self, Money};
use serde::Deserialize;
use serde_json::Value;

use crate::movement::{self, Movement, MovementPage};
use crate::{ReadError, ReportedBalance, lenient};

/// The maximum page size of a report.
pub(super) const PAGE_SIZE: &str = "500";
/// PayPal's status for what it refused: nothing moved.
const DENIED: &str = "D";

#[derive(Deserialize)]
pub(super) struct TransactionsBody {
    transaction_details: Vec<Value>,
    total_pages: i64,
    #[serde(default, deserialize_with = "lenient::text")]
    last_refreshed_datetime: Option<String>,
}

#[derive(Deserialize)]
struct Line {
    transaction_id: String,
    transaction_event_code: String,
    transaction_initiation_date: String,
    transaction_amount: Amount,
    #[serde(default)]
    fee_amount: Option<Amount>,
    #[serde(default, deserialize_with = "lenient::text")]
    paypal_reference_id: Option<String>,
}

#[derive(Deserialize)]
struct Amount {
    currency_code: String,
    value: String,
}

impl Amount {
    fn money(&self) -> Option<Money> {
        let (sign, digits) = match self.value.strip_prefix('-') {
            Some(digits) => (-1, digits),
            None => (1, self.value.as_str()),
        };
        let money = money::from_vendor_decimal(digits, movement::currency(&self.currency_code)?).ok()?;
        Some(Money::new(sign * money.minor, money.currency))
    }
}

impl TransactionsBody {
    pub(super) fn page(self, page: &str) -> Result<MovementPage, ReadError> {
        let number: i64 = page.parse().map_err(|_| ReadError::Unreadable(format!("{page:?} is no page")))?;
        let all = self.transaction_details.iter().filter_map(|one| one.get("transaction_info"));
        let lines: Vec<&Value> = all.filter(|info| !denied(info)).collect();
        let movements: Vec<Movement> = lines.iter().filter_map(|line| movement(line)).collect();
        Ok(MovementPage {
            unread: lines.len() - movements.len(),
            movements,
            next: (number < self.total_pages).then(|| (number + 1).to_string()),
            whole_until: self.last_refreshed_datetime.as_deref().and_then(moment),
        })
    }
}

fn denied(info: &Value) -> bool {
    info.get("transaction_status").and_then(Value::as_str) == Some(DENIED)
}

fn movement(info: &Value) -> Option<Movement> {
    let read = Line::deserialize(info).ok()?;
    let amount = read.transaction_amount.money()?;
    let nothing = Money::new(0, amount.currency);
    let taken = match &read.fee_amount {
        Some(fee) => fee.money()?,
        None => nothing,
    };
    // PayPal reports a fee it charges as a negative amount.
    let fee = Money::new(-taken.minor, taken.currency);
    Some(Movement {
        net: amount.plus(taken)?,
        amount,
        fee,
        created_at: moment(&read.transaction_initiation_date)?,
        available_at: None,
        object: read.paypal_reference_id.or_else(|| Some(read.transaction_id.clone())),
        source: None,
        names: None,
        body_hash: movement::hash_of(info),
        id: read.transaction_id,
        kind: read.transaction_event_code,
    })
}

#[derive(Deserialize)]
pub(super) struct BalancesBody {
    #[serde(deserialize_with = "lenient::each")]
    balances: Vec<BalanceEntry>,
    #[serde(default, deserialize_with = "lenient::text")]
    as_of_time: Option<String>,
}

#[derive(Deserialize)]
struct BalanceEntry {
    total_balance: Amount,
}

impl BalancesBody {
    pub(super) fn into_balances(self) -> Vec<ReportedBalance> {
        let as_of = self.as_of_time.as_deref().and_then(moment);
        let money = |one: &BalanceEntry| one.total_balance.money();
        self.balances.iter().filter_map(money).map(|money| ReportedBalance { money, as_of }).collect()
    }
}

/// A time in the form PayPal accepts: whole seconds.
pub(super) fn written(at: i64) -> String {
    jiff::Timestamp::from_microsecond(at)
        .map(|moment| moment.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
        .unwrap_or_default()
}

/// Parses a time as PayPal writes it: with `Z`, or with an offset without a colon.
fn moment(text: &str) -> Option<i64> {
    let read = text.parse().or_else(|_| {
        jiff::fmt::strtime::parse("%Y-%m-%dT%H:%M:%S%z", text).and_then(|parsed| parsed.to_timestamp())
    });
    read.ok().map(jiff::Timestamp::as_microsecond)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_as_paypal_writes_them() {
        let at = Some(1_405_051_432_000_000);
        assert_eq!(moment("2014-07-11T04:03:52+0000"), at);
        assert_eq!(moment("2014-07-11T04:03:52Z"), at);
        assert_eq!(moment("2014-07-11T06:03:52+0200"), at);
        assert_eq!(moment("2014-55-11T04:03:52Z"), None);
    }

    #[test]
    fn a_line_is_read_with_its_sign_and_its_fee() {
        let line = serde_json::json!({
            "transaction_id": "5GR74669W57774449", "transaction_event_code": "T0001",
            "transaction_initiation_date": "2026-03-02T09:00:00+0000", "transaction_status": "S",
            "transaction_amount": {"currency_code": "USD", "value": "-10.00"},
            "fee_amount": {"currency_code": "USD", "value": "-0.20"},
        });
        let read = movement(&line).unwrap();
        assert_eq!((read.amount.minor, read.fee.minor, read.net.minor), (-1_000, 20, -1_020));
        assert_eq!(read.object.as_deref(), Some("5GR74669W57774449"));
        let odd = serde_json::json!({ "transaction_id": "X" });
        assert!(movement(&odd).is_none());
    }
}
