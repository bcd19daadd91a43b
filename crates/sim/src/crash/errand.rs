//! The workload: payees are added, rewards imported and approved, two batches paid while the vendors misbehave, and
//! failed, returned and unclaimed payments followed up. Every call is idempotent, and the final state does not depend
//! on when a process dies. Not here: what must hold afterwards (`judge`).

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use simulator::{Call, Fault, FaultKind, Vendor};

use super::client::Client;
use super::judge;
use super::place::Place;
use crate::world::SECOND;

/// Payees with their destinations and first amounts.
const PAYEES: [(&str, &str, &str); 9] = [
    ("ana", "ana@example.com", "10.00"),
    ("bo", "acct_bo", "21.50"),
    ("cy", "acct_sim_closed_cy", "32.00"),
    ("di", "sim-no_account-di@example.com", "43.00"),
    ("ed", "sim-refunded-ed@example.com", "54.00"),
    ("flo", "acct_sim_paid_then_failed_flo", "65.00"),
    ("gus", "acct_sim_denied_gus", "76.00"),
    ("hal", "sim-unclaimed-hal@example.com", "87.00"),
    ("ida", "acct_ida", "98.00"),
];

/// How often to check a condition, at what interval, and after how many checks to advance time.
const LOOKS: u32 = 1_200;
const EACH: Duration = Duration::from_millis(50);
const STEP: u32 = 60;

type Done<T> = Result<T, String>;

/// Runs the whole workload; returns the final state as reported by the API.
pub async fn run(place: &Place, client: &Client) -> Done<String> {
    let rewards = enter(client).await?;
    let first = pay(place, client, "first", misbehave).await?;
    let mut stand = Stand { place, client, batch: first };
    stand.until(&[("ana", "success"), ("bo", "success"), ("cy", "payout_failed"), ("di", "failed")]).await?;
    stand.until(&[("ed", ""), ("flo", ""), ("gus", "failed"), ("hal", "pending_processing")]).await?;
    mend(place, &stand).await?;
    edit(client, &rewards).await?;
    eligible(place, client, &["R-cy", "R-gus", "R-hal", "R-ida", "N-bo", "N-ana"]).await?;
    let second = pay(place, client, "second", |_| {}).await?;
    stand.batch = second;
    let all = ["ana", "bo", "cy", "gus", "hal", "ida"].map(|who| (who, "success"));
    stand.until(&all).await?;
    for path in ["/exports/rewards?format=csv", "/exports/journal?format=csv", "/ledger/balances", "/verify"]
    {
        client.get(path).await?;
    }
    // Changes without an event are found by polling.
    for _ in 0..2 {
        judge::settled(place).await?;
        place.pass(90 * SECOND);
    }
    judge::settled(place).await?;
    table(client).await
}

/// Adds payees with approved, unpaid rewards; returns the rewards' ids.
async fn enter(client: &Client) -> Done<BTreeMap<String, String>> {
    let put = async |path: &str, body: Value| client.yes("PUT", path, &body, "").await;
    put("/accounts/acme", json!({ "name": "Acme" })).await?;
    put("/programs/growth", json!({ "name": "Growth", "type": "cash" })).await?;
    put("/activities/deal", json!({ "name": "Deal", "program": "growth" })).await?;
    let mut ids = BTreeMap::new();
    for (who, place, value) in PAYEES {
        let email = format!("{who}@partners.example.com");
        put(&format!("/partners/{who}"), json!({ "name": who, "email": email, "account": "acme" })).await?;
        let profile = match place.starts_with("acct_") {
            true => json!({ "vendor": "stripe", "stripe_account": place }),
            false => json!({ "vendor": "paypal", "paypal_email": place }),
        };
        put(&format!("/payees/{who}/payout-profile"), profile).await?;
        let reward = new_reward(&format!("R-{who}"), who, value);
        let made = client.yes("POST", "/rewards", &reward, &format!("reward-{who}")).await?;
        ids.insert(format!("R-{who}"), text(&made, "id"));
    }
    let file = "external_id,activity,owner,value,currency\nI-1,deal,ana,1.10,USD\nI-2,deal,bo,2.20,USD\nI-3,deal,ana,3.30,EUR\n";
    let report = client.yes("POST", "/rewards/import", &Value::String(file.to_owned()), "import").await?;
    if report["accepted"] != 3 && report["duplicates"] != 3 {
        return Err(format!("the import: {report}"));
    }
    let listed = client.get("/rewards?view=all&limit=200").await?;
    for row in rows(&listed) {
        ids.insert(text(row, "external_id"), text(row, "id"));
    }
    let all: Vec<&String> = ids.values().collect();
    let bulk = json!({ "action": "approve", "ids": all });
    client.yes("POST", "/rewards/bulk", &bulk, "approve").await?;
    put("/partners/ida", json!({ "standing": "on_hold", "note": "a question about the invoice" })).await?;
    Ok(ids)
}

/// Plants the faults of both vendors.
fn misbehave(place: &Place) {
    let plant = |vendor, call, kind, skip, times| {
        place.simulator.plant(Fault { vendor, call, kind, skip, times });
    };
    plant(Vendor::Stripe, Call::Transfer, FaultKind::AnswerLost, 1, 1);
    plant(Vendor::Stripe, Call::Payout, FaultKind::Status503, 0, 1);
    plant(Vendor::PayPal, Call::Batch, FaultKind::AnswerLost, 0, 1);
    plant(Vendor::Stripe, Call::Webhook, FaultKind::Lost, 2, 3);
    plant(Vendor::Stripe, Call::Webhook, FaultKind::Doubled, 0, 6);
    plant(Vendor::PayPal, Call::Webhook, FaultKind::Lost, 1, 2);
}

/// Forms a batch of everything payable and pays exactly what it shows; returns the batch.
async fn pay(place: &Place, client: &Client, key: &str, before: impl Fn(&Place)) -> Done<String> {
    let all = json!({ "all_eligible": true });
    let formed = client.yes("POST", "/batches", &all, &format!("form-{key}")).await?;
    let path = format!("/batches/{}", text(&formed, "id"));
    let shown = client.get(&path).await?;
    let exactly = json!({ "digest": shown["digest"], "totals": shown["totals"] });
    before(place);
    client.yes("POST", &format!("{path}/pay"), &exactly, &format!("pay-{key}")).await?;
    Ok(text(&formed, "id"))
}

/// Follows up failed and returned payments until they can be paid again or are closed.
async fn mend(place: &Place, stand: &Stand<'_>) -> Done<()> {
    let act = async |who: &str, deed: &str, body: Value| {
        let path = format!("/transactions/{}/{deed}", stand.id(who).await?);
        stand.client.yes("POST", &path, &body, &format!("{deed}-{who}")).await.map(|_| ())
    };
    for (who, address, _) in PAYEES.iter().filter(|(who, _, _)| ["cy", "di", "gus"].contains(who)) {
        place.simulator.mend(address);
        match *who {
            "di" => act(who, "resubmit", json!({})).await?,
            _ => act(who, "return-to-pool", json!({})).await?,
        }
    }
    act("hal", "cancel-unclaimed", json!({})).await?;
    stand.until(&[("hal", "payout_failed"), ("di", "success")]).await?;
    place.simulator.mend("sim-unclaimed-hal@example.com");
    act("hal", "return-to-pool", json!({})).await?;
    // Both were paid, and the money was returned later.
    place.pass(15 * SECOND);
    stand.until(&[("ed", "payout_failed"), ("flo", "payout_failed")]).await?;
    act("ed", "mark-paid-outside", json!({ "reference": "a cheque", "paid_on": "2026-01-15" })).await?;
    place.simulator.mend("acct_sim_paid_then_failed_flo");
    act("flo", "resubmit", json!({})).await?;
    stand.until(&[("flo", "success")]).await?;
    stand.released(&["cy", "gus", "hal"]).await
}

/// Changes rewards after the first payment: one partly clawed back, one new, one void; a draft is deleted.
async fn edit(client: &Client, rewards: &BTreeMap<String, String>) -> Done<()> {
    let post = async |path: &str, body: Value, key: &str| client.yes("POST", path, &body, key).await;
    let again = json!({ "standing": "active", "note": "the question is answered" });
    client.yes("PUT", "/partners/ida", &again, "").await?;
    let worth = json!({ "value": "5.00", "currency": "USD" });
    let back = json!({ "value": worth, "reason": "the customer sent it back" });
    let paid = rewards.get("R-bo").ok_or("R-bo is not there")?;
    post(&format!("/rewards/{paid}/clawback"), back, "clawback").await?;
    let mut new = BTreeMap::new();
    for (name, who) in [("N-bo", "bo"), ("N-ana", "ana"), ("N-void", "ana")] {
        let made = post("/rewards", new_reward(name, who, "12.00"), name).await?;
        new.insert(name, text(&made, "id"));
    }
    for name in ["N-bo", "N-ana", "N-void"] {
        post(&format!("/rewards/{}/approve", new[name]), json!({}), &format!("approve-{name}")).await?;
    }
    let why = json!({ "reason": "entered twice" });
    post(&format!("/rewards/{}/void", new["N-void"]), why, "void").await?;
    let draft = post("/batches", json!({ "rewards": [new["N-ana"]] }), "form-deleted").await?;
    let path = format!("/batches/{}", text(&draft, "id"));
    client.ask("DELETE", &path, &Value::Null, "").await?;
    match client.get(&path).await?["status"].as_str() {
        Some("deleted") => Ok(()),
        other => Err(format!("the draft was deleted and is {other:?}")),
    }
}

fn new_reward(name: &str, owner: &str, value: &str) -> Value {
    let worth = json!({ "value": value, "currency": "USD" });
    json!({ "external_id": name, "activity": "deal", "owner": owner, "value": worth })
}

/// The payments of a batch, as reported by the API.
struct Stand<'a> {
    place: &'a Place,
    client: &'a Client,
    batch: String,
}

impl Stand<'_> {
    async fn rows(&self) -> Done<Vec<Value>> {
        let path = format!("/transactions?batch={}&limit=200", self.batch);
        Ok(rows(&self.client.get(&path).await?).to_vec())
    }

    async fn id(&self, who: &str) -> Done<String> {
        let all = self.rows().await?;
        let found = all.iter().find(|row| row["payee"]["external_id"] == who);
        found.map(|row| text(row, "id")).ok_or_else(|| format!("{who} has no payment in {}", self.batch))
    }

    /// Waits until each payee's payment has this status; an empty status means any in which money has left.
    async fn until(&self, wanted: &[(&str, &str)]) -> Done<()> {
        let so = async || {
            let all = self.rows().await?;
            if self.place.has_wrong_clock() && self.send_again(&all).await? {
                return Ok(false);
            }
            let stands = |(who, status): &(&str, &str)| {
                let of = all.iter().filter(|row| row["payee"]["external_id"] == *who);
                let of: Vec<&str> = of.map(|row| row["status"].as_str().unwrap_or_default()).collect();
                let left = |is: &&str| matches!(*is, "success" | "payout_failed");
                !of.is_empty() && of.iter().all(|is| if status.is_empty() { left(is) } else { is == status })
            };
            Ok(wanted.iter().all(stands))
        };
        match wait(self.place, 130 * SECOND, so).await? {
            true => Ok(()),
            false => Err(format!("never {wanted:?}; it is\n{}", told(&self.rows().await?))),
        }
    }

    /// Resubmits what the vendor never received, as its page says. A request in doubt that was first sent by a clock far
    /// ahead is never repeated, because the age of its key is unknown: it is looked up, and fails if the vendor has
    /// nothing. Returns whether any was resubmitted.
    async fn send_again(&self, all: &[Value]) -> Done<bool> {
        let lost = all.iter().filter(|row| row["reason"]["code"] == "not_found_at_vendor");
        let lost: Vec<String> = lost.map(|row| text(row, "id")).collect();
        for id in &lost {
            let path = format!("/transactions/{id}/resubmit");
            self.client.yes("POST", &path, &json!({}), &format!("again-{id}")).await?;
        }
        Ok(!lost.is_empty())
    }

    /// Waits until these payees' rewards are released.
    async fn released(&self, wanted: &[&str]) -> Done<()> {
        let so = async || {
            let all = self.rows().await?;
            let of = |who: &str| all.iter().find(|row| row["payee"]["external_id"] == who);
            Ok(wanted.iter().all(|who| of(who).is_some_and(|row| row["released_at"].is_string())))
        };
        match wait(self.place, 130 * SECOND, so).await? {
            true => Ok(()),
            false => Err(format!("the rewards of {wanted:?} are never free")),
        }
    }
}

/// Waits until these rewards are payable: after a lost event, an account's stored status may be outdated.
async fn eligible(place: &Place, client: &Client, wanted: &[&str]) -> Done<()> {
    let missing = async || {
        let listed = client.get("/rewards?view=eligible&limit=200").await?;
        let there: Vec<String> = rows(&listed).iter().map(|row| text(row, "external_id")).collect();
        Ok::<_, String>(wanted.iter().filter(|one| !there.iter().any(|other| other == *one)).count())
    };
    match wait(place, 3_600 * SECOND, async || Ok(missing().await? == 0)).await? {
        true => Ok(()),
        false => Err(format!("{} of {wanted:?} may never be paid", missing().await?)),
    }
}

/// Waits for a condition. Advances time by `step_us` every few seconds, to shorten waits of minutes or hours.
async fn wait(place: &Place, step_us: i64, mut so: impl AsyncFnMut() -> Done<bool>) -> Done<bool> {
    for look in 1..=LOOKS {
        if so().await? {
            return Ok(true);
        }
        tokio::time::sleep(EACH).await;
        if look % STEP == 0 {
            place.pass(step_us);
        }
    }
    Ok(false)
}

/// Rewards and payments, one per line, without anything that differs between runs.
async fn table(client: &Client) -> Done<String> {
    let rewards = client.get("/rewards?view=all&limit=200").await?;
    let mut lines: Vec<String> = rows(&rewards)
        .iter()
        .map(|row| format!("reward {} {} {}", text(row, "external_id"), row["value"], text(row, "status")))
        .collect();
    lines.extend(told(rows(&client.get("/transactions?limit=200").await?)).lines().map(str::to_owned));
    lines.sort();
    Ok(lines.join("\n"))
}

fn told(payments: &[Value]) -> String {
    let line = |row: &Value| {
        let amount = format!("{} {}", text(&row["amount"], "value"), text(&row["amount"], "currency"));
        let who = text(&row["payee"], "external_id");
        let reason = text(&row["reason"], "code");
        format!("payment {who} {amount} {} {} {reason}", text(row, "status"), text(row, "detail"))
    };
    payments.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn rows(listed: &Value) -> &[Value] {
    listed["data"].as_array().map_or(&[], Vec::as_slice)
}

fn text(row: &Value, name: &str) -> String {
    row[name].as_str().unwrap_or_default().to_owned()
}
