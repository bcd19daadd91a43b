//! Events as Stripe sends them: typical size, unique ids, valid signatures.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::Failure;
use crate::load;

/// POST requests with distinct events about nonexistent payouts, signed at `now` (microseconds UTC).
pub fn requests(
    path: &str,
    secret: &str,
    first: usize,
    count: usize,
    now: i64,
) -> Result<Vec<Vec<u8>>, Failure> {
    let seconds = now / 1_000_000;
    let signed = Hmac::<Sha256>::new_from_slice(secret.as_bytes())?;
    let mut requests = Vec::with_capacity(count);
    for number in first..first + count {
        let body = body(number, seconds);
        let mut signed = signed.clone();
        signed.update(format!("{seconds}.{body}").as_bytes());
        let digest = signed.finalize().into_bytes();
        let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        let signature = format!("t={seconds},v1={digest}");
        let headers = [("content-type", "application/json"), ("stripe-signature", signature.as_str())];
        requests.push(load::request("POST", path, &headers, body.as_bytes()));
    }
    Ok(requests)
}

/// About 1.2 kB, indented as Stripe's are.
fn body(number: usize, seconds: i64) -> String {
    format!(
        r#"{{
  "id": "evt_bench{number:012}",
  "object": "event",
  "account": "acct_bench{account:06}",
  "api_version": "2026-05-27.dahlia",
  "created": {seconds},
  "data": {{
    "object": {{
      "id": "po_bench{number:012}",
      "object": "payout",
      "amount": 42000,
      "application_fee": null,
      "application_fee_amount": null,
      "arrival_date": {seconds},
      "automatic": false,
      "balance_transaction": "txn_bench{number:012}",
      "created": {seconds},
      "currency": "usd",
      "description": null,
      "destination": "ba_bench{account:06}",
      "failure_balance_transaction": null,
      "failure_code": null,
      "failure_message": null,
      "livemode": false,
      "metadata": {{
        "attempt": "atm_00000000000000{number:012}",
        "transaction": "ptx_00000000000000{number:012}"
      }},
      "method": "standard",
      "original_payout": null,
      "reconciliation_status": "not_applicable",
      "reversed_by": null,
      "source_type": "card",
      "statement_descriptor": "PT-{number:06}",
      "status": "paid",
      "type": "bank_account"
    }}
  }},
  "livemode": false,
  "pending_webhooks": 1,
  "request": {{
    "id": null,
    "idempotency_key": null
  }},
  "type": "payout.paid"
}}"#,
        account = number % 10_000,
    )
}
