//! Stripe's rules: movements, idempotency, amounts, scenes, lists.

use simulator::{Holder, Vendor};

use crate::play::{DAY, HOUR, Play, SECOND};

#[tokio::test]
async fn a_transfer_and_a_payout_reach_the_bank() {
    let play = Play::start().await;
    let payout = play.pay("acct_ana", "12000", "ptx_1").await;
    let as_ana = [("stripe-account", "acct_ana")];
    let path = format!("/v1/payouts/{payout}");
    assert_eq!(play.get(&path, &as_ana).await.text("/status"), "pending");
    play.later(SECOND / 2);
    assert_eq!(play.get(&path, &as_ana).await.text("/status"), "in_transit");
    play.later(SECOND / 2);
    assert_eq!(play.get(&path, &as_ana).await.text("/status"), "paid");
    assert_eq!(play.get(&path, &[]).await.status, 404, "a payout belongs to its account");
    assert_eq!(play.flow(Vendor::Stripe, "ptx_1"), (12000, 0, 12000));
    let books = play.simulator.books();
    assert_eq!(books.balance(Vendor::Stripe, &Holder::Partner("acct_ana".into()), "usd"), 12000);
    assert!(books.clashing_keys().is_empty());
}

#[tokio::test]
async fn a_key_replays_its_first_answer_for_a_day() {
    let play = Play::start().await;
    let first = play.transfer("acct_ana", "500", "ptx_1", "k").await;
    let again = play.transfer("acct_ana", "500", "ptx_1", "k").await;
    assert_eq!(first.body, again.body);
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(again.header("original-request"), first.header("request-id"));
    assert_eq!(first.header("idempotent-replayed"), "");
    let clash = play.transfer("acct_ana", "501", "ptx_1", "k").await;
    assert_eq!((clash.status, clash.text("/error/type")), (400, "idempotency_error"));
    assert!(clash.text("/error/message").starts_with("Keys for idempotent requests can only be used"));
    let elsewhere = play.payout("acct_ana", "500", "ptx_1", "k").await;
    assert_eq!(elsewhere.status, 200, "keys live per account");
    assert_eq!(play.flow(Vendor::Stripe, "ptx_1").0, 500);
    assert_eq!(play.simulator.books().clashing_keys(), ["k"]);
    play.later(DAY);
    let anew = play.transfer("acct_ana", "500", "ptx_1", "k").await;
    assert_ne!(anew.text("/id"), first.text("/id"), "a key that is a day old executes again");
}

#[tokio::test]
async fn refusals_are_kept_but_failed_checks_are_not() {
    let play = Play::start().await;
    play.simulator.set_balance(Vendor::Stripe, "usd", 100);
    let poor = play.transfer("acct_ana", "500", "ptx_1", "k").await;
    assert_eq!((poor.status, poor.text("/error/code")), (400, "balance_insufficient"));
    play.simulator.set_balance(Vendor::Stripe, "usd", 10_000);
    let kept = play.transfer("acct_ana", "500", "ptx_1", "k").await;
    assert_eq!(kept.text("/error/code"), "balance_insufficient");
    assert_eq!(kept.header("idempotent-replayed"), "true");
    let wrong = play.transfer("acct_ana", "0", "ptx_1", "k2").await;
    assert_eq!(wrong.text("/error/code"), "amount_too_small");
    assert_eq!(play.transfer("acct_ana", "500", "ptx_1", "k2").await.status, 200);
}

#[tokio::test]
async fn amounts_follow_their_currency() {
    let play = Play::start().await;
    let transfer = async |amount: &str, currency: &str| {
        let form = [("amount", amount), ("currency", currency), ("destination", "acct_ana")];
        play.post("/v1/transfers", &form, &[]).await.status
    };
    for (amount, currency, status) in [
        ("1", "jpy", 200),
        ("12345", "isk", 400),
        ("12300", "isk", 200),
        ("150050", "huf", 200),
        ("1234", "kwd", 400),
        ("1230", "kwd", 200),
        ("1.5", "usd", 400),
        ("-5", "usd", 400),
        ("5", "xxx", 400),
        ("5", "USD", 400),
    ] {
        assert_eq!(transfer(amount, currency).await, status, "{amount} {currency}");
    }
    let form = [("amount", "150050"), ("currency", "huf")];
    let payout = play.post("/v1/payouts", &form, &[("stripe-account", "acct_ana")]).await;
    assert_eq!((payout.status, payout.text("/error/param")), (400, "amount"));
    let form =
        [("amount", "5"), ("currency", "usd"), ("destinatoin", "acct_ana"), ("destination", "acct_ana")];
    assert_eq!(play.post("/v1/transfers", &form, &[]).await.text("/error/code"), "parameter_unknown");
}

#[tokio::test]
async fn a_failed_payout_leaves_the_money_in_the_connected_balance() {
    for (scene, code) in [("closed", "account_closed"), ("no_account", "no_account")] {
        let play = Play::start().await;
        let account = format!("acct_sim_{scene}_1");
        let payout = play.pay(&account, "700", "ptx_1").await;
        play.later(SECOND);
        let as_account = [("stripe-account", account.as_str())];
        let failed = play.get(&format!("/v1/payouts/{payout}"), &as_account).await;
        assert_eq!((failed.text("/status"), failed.text("/failure_code")), ("failed", code));
        let balance = play.get("/v1/balance", &as_account).await;
        assert_eq!(balance.body["available"][0]["amount"], 700);
        let refused = play.payout(&account, "700", "ptx_1", "po:2").await;
        assert_eq!(refused.text("/error/code"), "bank_account_unusable");
        play.simulator.mend(&account);
        assert_eq!(play.payout(&account, "700", "ptx_1", "po:3").await.status, 200);
        play.later(SECOND);
        assert_eq!(play.flow(Vendor::Stripe, "ptx_1"), (700, 0, 700));
    }
}

#[tokio::test]
async fn paid_is_not_final() {
    let play = Play::start().await;
    let payout = play.pay("acct_sim_paid_then_failed_1", "700", "ptx_1").await;
    let as_account = [("stripe-account", "acct_sim_paid_then_failed_1")];
    let path = format!("/v1/payouts/{payout}");
    play.later(SECOND);
    assert_eq!(play.get(&path, &as_account).await.text("/status"), "paid");
    play.later(3 * DAY);
    assert_eq!(play.get(&path, &as_account).await.text("/status"), "failed");
    assert_eq!(play.flow(Vendor::Stripe, "ptx_1"), (700, 0, 0));
}

#[tokio::test]
async fn slow_money_is_pending_for_a_day() {
    let play = Play::start().await;
    play.post(
        "/v1/balance_settings",
        &[("payments[payouts][schedule][interval]", "manual")],
        &[("stripe-account", "acct_sim_slow_1")],
    )
    .await;
    play.transfer("acct_sim_slow_1", "700", "ptx_1", "k").await;
    let balance = play.get("/v1/balance", &[("stripe-account", "acct_sim_slow_1")]).await;
    assert_eq!(
        (&balance.body["available"][0]["amount"], &balance.body["pending"][0]["amount"]),
        (&0.into(), &700.into())
    );
    let early = play.payout("acct_sim_slow_1", "700", "ptx_1", "p").await;
    assert_eq!(early.text("/error/code"), "balance_insufficient");
    play.later(DAY);
    assert_eq!(play.payout("acct_sim_slow_1", "700", "ptx_1", "p2").await.status, 200);
    play.later(DAY);
    assert_eq!(play.flow(Vendor::Stripe, "ptx_1"), (700, 0, 0));
    play.later(2 * DAY);
    assert_eq!(play.flow(Vendor::Stripe, "ptx_1"), (700, 0, 700));
}

#[tokio::test]
async fn scenes_that_refuse() {
    let play = Play::start().await;
    for (scene, status, code) in [
        ("restricted", 400, "insufficient_capabilities_for_transfer"),
        ("denied", 403, "transfers_not_allowed"),
        ("refused", 403, "account_invalid"),
    ] {
        let refused = play.transfer(&format!("acct_sim_{scene}_1"), "700", "ptx", scene).await;
        assert_eq!((refused.status, refused.text("/error/code")), (status, code));
    }
    for (scene, status, code) in
        [("blocked", 403, "payouts_not_allowed"), ("limit", 400, "payouts_limit_exceeded")]
    {
        let account = format!("acct_sim_{scene}_1");
        assert_eq!(play.transfer(&account, "700", "ptx", scene).await.status, 200);
        let refused = play.payout(&account, "700", "ptx", scene).await;
        assert_eq!((refused.status, refused.text("/error/code")), (status, code));
    }
    let restricted = play.get("/v1/accounts/acct_sim_restricted_1", &[]).await;
    assert_eq!(restricted.text("/capabilities/transfers"), "inactive");
    assert_eq!(restricted.body["payouts_enabled"], false);
    play.simulator.mend("acct_sim_restricted_1");
    let mended = play.get("/v1/accounts/acct_sim_restricted_1", &[]).await;
    assert_eq!(mended.text("/capabilities/transfers"), "active");
}

#[tokio::test]
async fn pending_payouts_wait_and_can_be_canceled() {
    let play = Play::start().await;
    let waiting = [("unclaimed", 10 * DAY), ("unclaimed_then_returned", 30 * DAY)];
    for (scene, until) in waiting {
        let account = format!("acct_sim_{scene}_1");
        let payout = play.pay(&account, "700", scene).await;
        let as_account = [("stripe-account", account.as_str())];
        let path = format!("/v1/payouts/{payout}");
        play.later(until - SECOND);
        assert_eq!(play.get(&path, &as_account).await.text("/status"), "pending");
        play.later(SECOND);
        assert_eq!(play.get(&path, &as_account).await.text("/status"), "canceled");
    }
    let payout = play.pay("acct_sim_unclaimed_2", "700", "ptx_2").await;
    let cancel = format!("/v1/payouts/{payout}/cancel");
    let as_account = [("stripe-account", "acct_sim_unclaimed_2")];
    assert_eq!(play.post(&cancel, &[], &as_account).await.text("/status"), "canceled");
    assert_eq!(play.post(&cancel, &[], &as_account).await.status, 400);
    let held = play.pay("acct_sim_held_1", "700", "ptx_3").await;
    play.later(3 * DAY + SECOND);
    let as_held = [("stripe-account", "acct_sim_held_1")];
    assert_eq!(play.get(&format!("/v1/payouts/{held}"), &as_held).await.text("/status"), "paid");
}

#[tokio::test]
async fn a_reversal_brings_the_money_back() {
    let play = Play::start().await;
    let transfer = play.transfer("acct_ana", "700", "ptx_1", "k").await;
    let path = format!("/v1/transfers/{}/reversals", transfer.text("/id"));
    let part = play.post(&path, &[("amount", "200")], &[("idempotency-key", "rv:1")]).await;
    assert_eq!((part.status, &part.body["amount"]), (200, &200.into()));
    assert_eq!(play.post(&path, &[("amount", "501")], &[]).await.status, 400);
    assert_eq!(play.post(&path, &[], &[]).await.body["amount"], 500);
    let shown = play.get(&format!("/v1/transfers/{}", transfer.text("/id")), &[]).await;
    assert_eq!((&shown.body["reversed"], &shown.body["amount_reversed"]), (&true.into(), &700.into()));
    assert_eq!(play.flow(Vendor::Stripe, "ptx_1"), (700, 700, 0));
    let gone = play.transfer("acct_bob", "300", "ptx_2", "k2").await;
    play.payout("acct_bob", "300", "ptx_2", "p2").await;
    let path = format!("/v1/transfers/{}/reversals", gone.text("/id"));
    assert_eq!(play.post(&path, &[], &[]).await.text("/error/code"), "balance_insufficient");
}

#[tokio::test]
async fn a_payout_without_an_account_pays_our_own_bank() {
    let play = Play::start().await;
    play.post("/v1/payouts", &[("amount", "900"), ("currency", "usd")], &[]).await;
    play.later(SECOND);
    let books = play.simulator.books();
    assert_eq!(books.balance(Vendor::Stripe, &Holder::OurBank, "usd"), 900);
    assert_eq!(books.payouts[0].account, None);
}

#[tokio::test]
async fn lists_page_newest_first() {
    let play = Play::start().await;
    for n in 0..5 {
        play.transfer("acct_ana", "100", if n == 2 { "other" } else { "group" }, &format!("k{n}")).await;
        play.later(SECOND);
    }
    let ids = |answer: &crate::play::Answer| -> Vec<String> {
        let data = answer.body["data"].as_array().unwrap();
        data.iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect()
    };
    let all = ids(&play.get("/v1/transfers?transfer_group=group", &[]).await);
    assert_eq!(all.len(), 4);
    let first = play.get("/v1/transfers?transfer_group=group&limit=3", &[]).await;
    assert_eq!(first.body["has_more"], true);
    assert_eq!(ids(&first), all[..3]);
    let rest = play.get(&format!("/v1/transfers?transfer_group=group&starting_after={}", all[2]), &[]).await;
    assert_eq!((ids(&rest), &rest.body["has_more"]), (vec![all[3].clone()], &false.into()));
    let back =
        play.get(&format!("/v1/transfers?transfer_group=group&ending_before={}&limit=2", all[3]), &[]).await;
    assert_eq!(ids(&back), all[1..3]);
    let since = (play.now() / SECOND) - 2;
    let recent = play.get(&format!("/v1/transfers?destination=acct_ana&created[gte]={since}"), &[]).await;
    assert_eq!(ids(&recent).len(), 2);
    assert_eq!(play.get("/v1/transfers?limit=101", &[]).await.status, 400);
}

#[tokio::test]
async fn a_daily_account_is_swept_at_midnight() {
    let play = Play::start().await;
    play.transfer("acct_ana", "700", "ptx_1", "k").await;
    play.later(16 * HOUR);
    let as_ana = [("stripe-account", "acct_ana")];
    let payouts = play.get("/v1/payouts", &as_ana).await;
    assert_eq!(
        (&payouts.body["data"][0]["automatic"], &payouts.body["data"][0]["amount"]),
        (&true.into(), &700.into())
    );
    let inside = format!("/v1/balance_transactions?payout={}", payouts.text("/data/0/id"));
    let inside = play.get(&inside, &as_ana).await;
    assert_eq!(inside.text("/data/0/type"), "payout", "its own line");
    assert_eq!(inside.text("/data/0/source"), payouts.text("/data/0/id"));
    assert_eq!(inside.text("/data/1/type"), "payment");
    play.post("/v1/accounts/acct_bob", &[("settings[payouts][schedule][interval]", "manual")], &[]).await;
    play.transfer("acct_bob", "700", "ptx_2", "k2").await;
    play.later(2 * DAY);
    let payouts = play.get("/v1/payouts", &[("stripe-account", "acct_bob")]).await;
    assert_eq!(payouts.body["data"].as_array().unwrap().len(), 0);
}

#[tokio::test]
async fn what_the_schedule_took_and_a_payout_paid_as_well_is_told() {
    let play = Play::start().await;
    play.transfer("acct_ana", "700", "ptx_1", "k").await;
    play.pay("acct_bob", "700", "ptx_3").await;
    play.later(17 * HOUR);
    play.transfer("acct_ana", "700", "ptx_2", "k2").await;
    play.transfer("acct_bob", "700", "ptx_4", "k4").await;
    let ours = play.payout("acct_ana", "700", "ptx_1", "p").await;
    let books = play.simulator.books();
    let twice = |of: &str, apart: i64| books.paid_beside_the_schedule(of, apart).map(|(_, ours)| ours);
    assert_eq!(twice("ptx_1", 0), Some(ours.text("/id")));
    assert_eq!(twice("ptx_1", DAY), None, "whoever was about to pay it could not know");
    assert_eq!(["ptx_2", "ptx_3", "ptx_4"].map(|of| twice(of, 0)), [None; 3]);
}

#[tokio::test]
async fn rate_limits_when_they_are_on() {
    let play = Play::with(|options| options.enforce_rate_limits = true).await;
    let mut refused = 0;
    for n in 0..20 {
        let answer = play.payout("acct_ana", "1", "ptx", &format!("k{n}")).await;
        refused +=
            i32::from(answer.status == 429 && answer.header("stripe-rate-limited-reason") == "endpoint-rate");
    }
    assert_eq!(refused, 5, "15 payouts a second");
    play.later(SECOND);
    assert_ne!(play.payout("acct_ana", "1", "ptx", "k19").await.status, 429, "a 429 is not kept");
}

#[tokio::test]
async fn an_account_is_payable_after_onboarding() {
    let play = Play::start().await;
    let created = play.post("/v1/accounts", &[("country", "DE"), ("metadata[partner_id]", "p1")], &[]).await;
    assert_eq!(created.body["payouts_enabled"], false);
    let id = created.text("/id").to_owned();
    let form = [("account", id.as_str()), ("type", "account_onboarding")];
    let client = crate::play::client();
    let link = play.post("/v1/account_links", &form, &[]).await;
    let leave = async |action: &str| {
        let link = play.post("/v1/account_links", &form, &[]).await;
        let url = link.text("/url");
        assert_eq!(client.get(url).send().await.unwrap().status(), 200);
        assert_eq!(client.get(url).send().await.unwrap().status(), 410, "a link works once");
        let post = client.post(url).header("content-type", "application/x-www-form-urlencoded");
        assert_eq!(post.body(format!("action={action}")).send().await.unwrap().status(), 200);
    };
    leave("leave").await;
    let half = play.get(&format!("/v1/accounts/{id}"), &[]).await;
    assert_eq!(half.body["details_submitted"], false);
    assert_eq!(half.body["requirements"]["currently_due"][0], "external_account");
    play.later(301 * SECOND);
    assert_eq!(client.get(link.text("/url")).send().await.unwrap().status(), 410, "and for five minutes");
    leave("finish").await;
    let account = play.get(&format!("/v1/accounts/{id}"), &[]).await;
    assert_eq!(
        (account.text("/capabilities/transfers"), &account.body["payouts_enabled"]),
        ("active", &true.into())
    );
    assert_eq!(play.get("/v1/account", &[]).await.text("/id"), "acct_platform");
}

#[tokio::test]
async fn the_same_seed_gives_the_same_ids() {
    let ids = async || {
        let play = Play::start().await;
        play.register_webhooks("http://127.0.0.1:9").await;
        let payout = play.pay("acct_ana", "700", "ptx_1").await;
        play.later(SECOND);
        let events: Vec<String> =
            play.take_webhooks().into_iter().map(|delivery| delivery.event_id).collect();
        (payout, events)
    };
    assert_eq!(ids().await, ids().await);
}
