//! The faults that can be planted, and when they occur.
//!
//! Not here: how. `door` breaks connections, the vendors return their own errors, `outbox` disrupts deliveries.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Vendor;
use crate::door::Answer;

/// A planted fault. Faults are tried in the order they were planted; the first unused one that matches a call takes
/// effect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    pub vendor: Vendor,
    pub call: Call,
    pub kind: FaultKind,
    /// Let this many matching calls pass first.
    #[serde(default)]
    pub skip: u32,
    /// Then affect this many; one if omitted in the JSON.
    #[serde(default = "once")]
    pub times: u32,
}

/// The calls a fault applies to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Call {
    /// `POST /v1/transfers`.
    Transfer,
    /// `POST /v1/payouts`.
    Payout,
    /// `POST /v1/transfers/{id}/reversals`.
    Reversal,
    /// `POST /v1/payments/payouts`.
    Batch,
    /// `POST /v1/payments/payouts-item/{id}/cancel`.
    Cancel,
    /// `POST /v1/oauth2/token`.
    Token,
    /// Any GET of the vendor's API, except fetching a webhook certificate.
    Read,
    /// Not an API call: a webhook that the vendor is about to send.
    Webhook,
    /// Every API call to the vendor, but no webhook.
    Any,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// Executed; then the connection is closed without an answer.
    AnswerLost,
    /// Executed; headers and half of the body arrive, then the connection is closed.
    CutInBody,
    /// The connection is closed and nothing is executed.
    RefuseConnection,
    /// Nothing is executed; a 500 that Stripe keeps under the key and replays. At PayPal a plain 500.
    Stored500,
    /// Executed, but answered with a 500 (kept under the key at Stripe).
    Executed500,
    /// A 503, nothing executed, nothing kept.
    Status503,
    /// A 429 with `Retry-After`, nothing executed.
    RateLimited {
        /// The value of `Retry-After`.
        retry_after_s: u64,
    },
    /// Stripe's 429 `lock_timeout`, without the header that names a limiter; at PayPal a plain 429.
    LockTimeout,
    /// 409: another request with this key is still running. Nothing executed.
    InUse409,
    /// 401 although the credentials are good. Nothing executed.
    Unauthorized401,
    /// 200 with an unrelated HTML page. Nothing executed.
    Html200,
    /// Executed as requested, but the answer shows another amount (a replay shows the right one).
    OtherAmount,
    /// Executed as requested, but with undocumented statuses in the answer.
    OtherStatus,
    /// Executed, and an intermediary repeats the request: the answer is that of the second one. PayPal says that the
    /// batch exists, without its id; Stripe replays the first answer.
    Repeated,
    /// Executed; the answer arrives slowly over this time.
    SlowDrip {
        /// From the first byte of the body to the last.
        millis: u64,
    },
    /// Webhooks only: never sent or retried.
    Lost,
    /// Webhooks only: the same event is sent twice.
    Doubled,
    /// Webhooks only: held back until the vendor's next one has gone out (at most an hour).
    Reordered,
    /// Webhooks only: posted before the call that caused it is answered. No effect on others.
    Early,
    /// Webhooks only: sent this much later.
    Late { micros: i64 },
    /// Webhooks only: a copy with another status and a wrong signature is sent before the genuine one.
    Forged,
}

/// A false report in a vendor's list of balance transactions for one payment. Balances and objects stay correct.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lie {
    /// They are missing from the list.
    LeftOut,
    /// Each amount is larger by this many minor units.
    Amount(i64),
    /// The fee is larger by this many minor units.
    Fee(i64),
}

/// The planted faults and how often each was used.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    planted: Vec<Fault>,
}

impl Faults {
    pub(crate) fn plant(&mut self, fault: Fault) {
        self.planted.push(fault);
    }

    pub(crate) fn clear(&mut self) {
        self.planted.clear();
    }

    /// The fault that affects this call, if any; counts the call for every fault that matches it up to that one.
    pub(crate) fn strike(&mut self, vendor: Vendor, call: Option<Call>) -> Option<FaultKind> {
        let mut struck = None;
        for fault in &mut self.planted {
            if fault.vendor != vendor || !fault.waits_for(call) {
                continue;
            }
            if fault.skip > 0 {
                fault.skip -= 1;
            } else if fault.times > 0 {
                fault.times -= 1;
                struck = Some(fault.kind.clone());
                break;
            }
        }
        self.planted.retain(|fault| fault.times > 0);
        struck
    }
}

impl Fault {
    fn waits_for(&self, call: Option<Call>) -> bool {
        Some(self.call) == call || (self.call == Call::Any && call != Some(Call::Webhook))
    }
}

fn once() -> u32 {
    1
}

/// Replaces each status in an answer, at any depth, with an undocumented one.
pub(crate) fn echo_other_status(answer: &mut Answer) {
    let Ok(mut body) = serde_json::from_slice::<Value>(&answer.body) else { return };
    rename_statuses(&mut body);
    answer.body = body.to_string().into_bytes();
}

fn rename_statuses(body: &mut Value) {
    match body {
        Value::Object(fields) => {
            for (name, value) in fields {
                if value.is_string() && STATUS_FIELDS.contains(&name.as_str()) {
                    *value = Value::from("beyond_the_documents");
                }
                rename_statuses(value);
            }
        }
        Value::Array(values) => values.iter_mut().for_each(rename_statuses),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

const STATUS_FIELDS: [&str; 3] = ["status", "transaction_status", "batch_status"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_skips_then_strikes_then_is_gone() {
        let mut faults = Faults::default();
        let kind = FaultKind::AnswerLost;
        faults.plant(Fault { vendor: Vendor::Stripe, call: Call::Transfer, kind, skip: 1, times: 2 });
        let hits: Vec<bool> =
            (0..4).map(|_| faults.strike(Vendor::Stripe, Some(Call::Transfer)).is_some()).collect();
        assert_eq!(hits, [false, true, true, false]);
        assert!(faults.strike(Vendor::Stripe, Some(Call::Payout)).is_none());
    }
}
