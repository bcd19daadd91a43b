//! A long, mixed run of both vendors: whatever is requested and whatever fails, no money is created or lost.

use simulator::{Call, Fault, FaultKind, Holder, Vendor};

use crate::play::{DAY, HOUR, Play};

const SCENES: [&str; 14] = [
    "good",
    "closed",
    "no_account",
    "restricted",
    "paid_then_failed",
    "slow",
    "unclaimed",
    "unclaimed_then_returned",
    "held",
    "blocked",
    "refunded",
    "denied",
    "limit",
    "refused",
];
const FAULTS: [FaultKind; 6] = [
    FaultKind::AnswerLost,
    FaultKind::Executed500,
    FaultKind::Stored500,
    FaultKind::CutInBody,
    FaultKind::RefuseConnection,
    FaultKind::OtherAmount,
];

#[tokio::test]
async fn forty_five_mixed_days() {
    let play = Play::start().await;
    play.register_webhooks("http://127.0.0.1:9").await;
    for round in 0..120_usize {
        let scene = SCENES[round % SCENES.len()];
        let (vendor, call) = match round % 3 {
            0 => (Vendor::Stripe, Call::Transfer),
            1 => (Vendor::Stripe, Call::Payout),
            _ => (Vendor::PayPal, Call::Batch),
        };
        let kind = FAULTS[round % FAULTS.len()].clone();
        if round % 2 == 0 {
            play.simulator.plant(Fault { vendor, call, kind, skip: 0, times: 1 });
        }
        one_round(&play, round, scene).await;
        play.later(HOUR * 9);
        play.take_webhooks();
        assert_eq!(play.simulator.books().imbalances(), [], "round {round}, {scene}");
    }
    play.later(45 * DAY);
    let books = play.simulator.books();
    let moved = [books.transfers.len(), books.payouts.len(), books.reversals.len(), books.items.len()];
    assert!(moved[0] > 80 && moved[1] > 60 && moved[2] > 5 && moved[3] > 150, "much has moved: {moved:?}");
    let settled = ["SUCCESS", "FAILED", "RETURNED", "BLOCKED", "REFUNDED", "REVERSED"];
    assert!(books.items.iter().all(|item| settled.contains(&item.status.as_str())), "every item ends");
    let ended = ["paid", "failed", "canceled"];
    assert!(books.payouts.iter().all(|payout| ended.contains(&payout.status.as_str())), "every payout ends");
    assert_eq!(books.clashing_keys(), Vec::<String>::new());
    nothing_is_held(&play).await;
}

/// Requests one payment at each vendor, twice with the same keys, and sometimes takes it back.
async fn one_round(play: &Play, round: usize, scene: &str) {
    let account = format!("acct_sim_{scene}_{}", round % 5);
    let (group, amount) = (format!("ptx_{round}"), (100 + round * 7).to_string());
    let form = [("amount", amount.as_str()), ("currency", "usd"), ("destination", account.as_str())];
    let transfer = format!("tr:{group}:1");
    let payout = format!("po:{group}:1");
    for _ in 0..2 {
        let _ = play.try_post("/v1/transfers", &form, &[("idempotency-key", &transfer)]).await;
        let headers = [("idempotency-key", payout.as_str()), ("stripe-account", account.as_str())];
        let _ = play.try_post("/v1/payouts", &form[..2], &headers).await;
        let receiver = format!("sim-{scene}-{}@example.com", round % 5);
        let body =
            crate::play::batch_body(&group, &[(&receiver, "12.34", &group), ("a@example.com", "1.00", "a")]);
        let _ = play.try_paypal("POST", "/v1/payments/payouts", Some(&body)).await;
    }
    let books = play.simulator.books();
    if let (4, Some(last)) = (round % 5, books.transfers.last()) {
        play.post(&format!("/v1/transfers/{}/reversals", last.id), &[("amount", "50")], &[]).await;
    }
    if let (3, Some(item)) = (round % 5, books.items.iter().find(|item| item.status == "UNCLAIMED")) {
        play.paypal("POST", &format!("/v1/payments/payouts-item/{}/cancel", item.id), None).await;
    }
    if round % 7 == 6 {
        play.simulator.mend(&account);
        play.simulator.mend(&format!("sim-{scene}-1@example.com"));
    }
}

/// At the end the whole PayPal balance can be spent, to the last cent.
async fn nothing_is_held(play: &Play) {
    play.simulator.set_balance(Vendor::PayPal, "USD", 1020);
    let item = play.settled_item("last", "ana@example.com", "10.00").await;
    assert_eq!(item["transaction_status"], "SUCCESS");
    assert_eq!(play.simulator.books().balance(Vendor::PayPal, &Holder::Ours, "USD"), 0);
}
