//! Figures that people rely on: sums larger than a column, money out and money back, committed balances, and who edited a
//! payout.

mod figures;

use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use bursar::app::Actor;
use bursar::ops::batches::{self, Draft, Selection};
use bursar::ops::people::{self, NewKey};
use bursar::ops::{OpsError, dashboard, tax};
use bursar::store::dashboard::Range;
use bursar::store::{scope::Scope, tax as store};
use payout::access::Role;
use payout::eligibility::Code;
use payout::ids::PersonId;
use payout::scope::Scopes;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::api::TestApp;
use crate::scenarios::Stage;

/// The sum of 2,300 order numbers entered as values: more cents than fit in 64 bits.
const HUGE: &str = "94839506149643850.00";

async fn import(house: &TestApp, query: &str, key: &str, file: &str) -> Value {
    let request = Request::post(format!("/api/v1/rewards/import{query}"))
        .header("authorization", format!("Bearer {}", house.admin))
        .header("content-type", "text/csv")
        .header("idempotency-key", key)
        .body(Body::from(file.to_owned()));
    house.send(request.unwrap()).await.ok()
}

fn order_numbers() -> String {
    let rows = (0..2_300u64).map(|row| format!("O-{row},deal,ana,{}.00,USD\n", 41_234_567_890_000 + row));
    "external_id,activity,owner,value,currency\n".to_owned() + &rows.collect::<String>()
}

/// Raises the limit to its maximum, as before limits existed.
async fn without_limits(house: &TestApp) {
    let most = json!({"limits": {"per_reward": [{"value": "90000000000000.00", "currency": "USD"}]}});
    house.call("PUT", "/settings/payout", most).await.ok();
}

async fn approve_all(house: &TestApp) {
    let all = json!({"action": "approve", "filter": {"view": "pending"}, "expected_count": 2_300});
    let done = house.call("POST", "/rewards/bulk", all).await.ok();
    assert_eq!(done["done"].as_array().map(Vec::len), Some(2_300));
}

#[tokio::test]
async fn sums_wider_than_a_column_are_told_whole_on_every_page() {
    let house = TestApp::open("books_huge").await;
    house.seed_data().await;
    without_limits(&house).await;
    let file = order_numbers();
    let preview = import(&house, "?dry_run=true", "k1", &file).await;
    assert_eq!(preview["totals"], json!([{"value": HUGE, "currency": "USD"}]));
    import(&house, "", "k2", &file).await;
    approve_all(&house).await;

    let summary = house.get("/dashboard/summary").await.ok();
    let usd = summary["totals"].as_array().unwrap().iter().find(|row| row["currency"] == "USD").unwrap();
    assert_eq!(usd["waiting"]["amount"]["value"], HUGE);
    let earnings = house.get("/dashboard/earnings?year=2026").await.ok();
    assert_eq!(earnings["totals"][0]["earned"]["value"], HUGE, "{:#}", earnings["totals"]);
    assert_eq!(earnings["data"][0]["earned"]["value"], HUGE);
    house.get("/dashboard/earnings?year=2026&sort=-net").await.ok();
    assert_eq!(house.balance("reward_expense").await, HUGE);
    let by_day = house.get("/exports/journal?format=csv&group=day").await;
    assert!(by_day.body.as_str().unwrap_or_default().contains(HUGE), "{} {:?}", by_day.status, by_day.body);
    let verified = house.get("/verify").await.ok();
    let rules = verified.as_array().or(verified["data"].as_array()).unwrap();
    assert!(rules.iter().all(|rule| rule["holds"] == true), "{rules:#?}");

    // None of it can be added to a payout, and the error names the sum.
    let all = json!({"all_eligible": true});
    let formed = house.call("POST", "/batches", all).await.ok();
    assert_eq!(formed["claims"], json!([]));
    let one = house.get("/rewards?view=all&limit=200").await.ok();
    let ids: Vec<&Value> = one["data"].as_array().unwrap().iter().map(|reward| &reward["id"]).collect();
    let refused = house.call("POST", "/batches", json!({"rewards": ids})).await;
    refused.refused(422, "total_too_large");
    assert!(refused.body["detail"].as_str().unwrap().contains("nothing was added"), "{:#}", refused.body);
}

#[tokio::test]
async fn a_reward_is_worth_no_more_than_the_operator_says() {
    let house = TestApp::open("books_most").await;
    house.seed_data().await;
    let reward = |id: &str, value: &str, currency: &str| json!({"external_id": id, "activity": "deal", "owner": "ana", "value": {"value": value, "currency": currency}});
    let enter = async |id: &str, value: &str, currency: &str| {
        house.call("POST", "/rewards", reward(id, value, currency)).await
    };
    enter("R1", "10000000.00", "USD").await.ok();
    let refused = enter("R2", "10000000.01", "USD").await;
    refused.refused(422, "above_reward_max");
    assert!(refused.body.to_string().contains("which is 10000000.00 USD"), "{:#}", refused.body);
    enter("R3", "100000000000", "JPY").await.ok();
    enter("R4", "100000000001", "JPY").await.refused(422, "above_reward_max");
    let limits = json!({"limits": {"per_reward": [{"value": "500", "currency": "USD"}]}});
    let saved = house.call("PUT", "/settings/payout", limits).await.ok();
    assert_eq!(saved["limits"]["per_reward"], json!([{"value": "500.00", "currency": "USD"}]));
    enter("R5", "500.01", "USD").await.refused(422, "above_reward_max");
    // Existing rewards stay, whatever the limit is now.
    assert_eq!(enter("R1", "10000000.00", "USD").await.status, StatusCode::OK);
    let small = enter("R6", "5.00", "USD").await.ok();
    let path = format!("/rewards/{}", small["id"].as_str().unwrap());
    let edited = house.call("PATCH", &path, json!({"value": {"value": "501", "currency": "USD"}})).await;
    edited.refused(422, "above_reward_max");
    let file = "external_id,activity,owner,value,currency\nF-1,deal,ana,41234567890000,USD\nF-2,deal,ana,20,USD\nF-3,deal,ana,7,EUR\n";
    let report = import(&house, "", "k1", file).await;
    assert_eq!((&report["accepted"], &report["rejected"][0]["line"]), (&json!(2), &json!(2)));
    assert_eq!(report["rejected"][0]["code"], "above_reward_max");
    let totals = json!([{"value": "7.00", "currency": "EUR"}, {"value": "20.00", "currency": "USD"}]);
    assert_eq!(report["totals"], totals);
}

#[tokio::test]
async fn partners_bear_a_fee_only_where_a_table_says_what_it_is() {
    let house = TestApp::open("books_fees").await;
    let put = async |change: Value| house.call("PUT", "/settings/payout", change).await;
    put(json!({"vendors": ["paypal"]})).await.ok();
    put(json!({"fees_paid_by": "partner"})).await.refused(422, "fee_table_missing");
    let table = json!({"vendor": "paypal", "currency": "USD", "basis_points": 200, "maximum": "20"});
    let saved = put(json!({"fees_paid_by": "partner", "fees": [table]})).await.ok();
    let shown = json!({"vendor": "paypal", "currency": "USD", "basis_points": 200, "fixed": null, "minimum": null,
        "maximum": "20.00", "monthly": null});
    assert_eq!(saved["fees"], json!([shown]));
    put(json!({"fees": []})).await.refused(422, "fee_table_missing");
    put(json!({"fees": [{"vendor": "paypal", "currency": "USD", "percent": 2}]}))
        .await
        .refused(400, "unknown_field");
    let wrong = json!({"vendor": "paypal", "currency": "USD", "minimum": "3", "maximum": "2"});
    put(json!({"fees": [wrong]})).await.refused(422, "invalid");
    assert_eq!(put(json!({"fees_paid_by": "company", "fees": []})).await.ok()["fees"], json!([]));
}

/// A transfer is made once, however often its bank payout is retried: that amount left us, and money rejected by the bank
/// counts as returned until it is paid out again.
#[tokio::test]
async fn what_left_us_is_what_the_journal_says() {
    let mut stage = Stage::open("books_read_model", 5).await;
    let told = async |stage: &Stage| {
        let mut db = stage.world.app.store.read().await.unwrap();
        let summary = dashboard::summary(&mut db, &Scope::default(), Range::default(), stage.world.now())
            .await
            .unwrap();
        let year = dashboard::year_totals(&mut db, &Scope::default(), 2026).await.unwrap();
        let payee = stage.payee("bo");
        let span = tax::year(2026).unwrap();
        let of_tax = store::totals(&mut db, &[payee], &span).await.unwrap();
        let card =
            summary.cards.first().map(|card| (card.paid.minor, card.back.total().minor, card.net().minor));
        let year = year.first().map(|sum| (sum.paid.minor, sum.back.total().minor, sum.net().minor));
        let of_tax = of_tax.first().map(|one| (one.paid.minor, one.back.total().minor, one.net().minor));
        assert_eq!(card, year, "the card and the year");
        assert_eq!(card, of_tax, "the card and the tax figures");
        card
    };
    let lines =
        ["partner bo stripe acct_sim_closed_bo", "reward R1 bo 420.00 EUR approved", "batch B1 R1", "pay B1"];
    for line in lines.into_iter().chain(["live 1 minute", "expect bo payout_failed"]) {
        stage.one(line).await.unwrap();
    }
    assert_eq!(told(&stage).await, Some((42_000, 42_000, 0)), "it lies refused at the vendor");
    let again = ["mend bo", "live 1 minute", "resubmit bo", "close-bank bo EUR", "live 1 minute"];
    for line in again.into_iter().chain(["expect bo payout_failed"]) {
        stage.one(line).await.unwrap();
    }
    assert_eq!(told(&stage).await, Some((42_000, 42_000, 0)), "it has left us once");
    for line in ["mend bo", "live 1 minute", "resubmit bo", "live 1 minute", "expect bo success"] {
        stage.one(line).await.unwrap();
    }
    assert_eq!(told(&stage).await, Some((42_000, 0, 42_000)), "and nothing has come back");
    stage.close(Ok(())).await;
}

/// Nobody who edited a payout can release it, however many people edited it since.
#[tokio::test]
async fn nobody_releases_what_they_had_a_hand_in() {
    let mut stage = Stage::open("books_hands", 6).await;
    let lines =
        ["settings two-person on", "partner ana paypal ana@example.com", "reward R1 ana 10.00 approved"];
    for line in lines.into_iter().chain(["reward R2 ana 20.00 approved", "batch B1 R1"]) {
        stage.one(line).await.unwrap();
    }
    let app = stage.world.app.clone();
    let person = |name: &str, chance| Actor {
        id: PersonId::fresh(app.clock.now(), chance),
        name: name.to_owned(),
        ..stage.world.actor.clone()
    };
    let (adds, asks, looks) = (person("Adds", 1), person("Asks", 2), person("Looks", 3));
    let (batch, second) = (stage.batch("B1"), stage.reward("R2"));
    batches::add(&app, &adds, batch, &Selection::Named(vec![second]), None).await.unwrap();
    batches::ask_release(&app, &asks, batch).await.unwrap();
    // The first person makes the last change; earlier editors remain barred too.
    batches::remove(&app, &stage.world.actor, batch, &[second], None).await.unwrap();
    let mut db = app.store.read().await.unwrap();
    let digest = batches::view(&mut db, &batch.to_string(), app.clock.now()).await.unwrap().digest;
    drop(db);
    for hand in [&stage.world.actor, &adds, &asks] {
        match batches::release(&app, hand, Draft::from(batch), &digest, None).await {
            Err(OpsError::Blocked(why)) => assert_eq!(why[0].code, Code::ReleaseNeedsOtherPerson),
            other => panic!("{} released it: {other:?}", hand.name),
        }
    }
    batches::release(&app, &looks, Draft::from(batch), &digest, None).await.unwrap();
    stage.one("delete B1").await.unwrap();
    stage.close(Ok(())).await;
}

/// Every response about a draft checks the balance, not only the one for the draft itself.
#[tokio::test]
async fn every_answer_about_a_draft_asks_the_balance() {
    let mut stage = Stage::open("books_balance", 7).await;
    let lines = ["balance stripe 50.00 USD", "partner bo stripe acct_bo", "reward R1 bo 40.00 approved"];
    for line in lines.into_iter().chain(["reward R2 bo 30.00 approved"]) {
        stage.one(line).await.unwrap();
    }
    let new = NewKey::of("k", Role::Admin, Scopes::kept("read,write"));
    let key = people::create_key(&stage.world.app, &new).await.unwrap();
    let router = bursar::web::router(stage.world.works[0].clone());
    let ask = async |method: &str, path: &str, idempotent: Option<&str>, body: Value| {
        let mut request = Request::builder().method(method).uri(format!("/api/v1{path}"));
        request = request
            .header("authorization", format!("Bearer {key}"))
            .header("content-type", "application/json");
        if let Some(word) = idempotent {
            request = request.header("idempotency-key", word);
        }
        let answer =
            router.clone().oneshot(request.body(Body::from(body.to_string())).unwrap()).await.unwrap();
        let body = to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        serde_json::from_slice::<Value>(&body).unwrap()
    };
    let codes = |batch: &Value| -> Vec<String> {
        let blockers = batch["blockers"].as_array().unwrap_or_else(|| panic!("{batch:#}"));
        blockers.iter().map(|one| one["code"].as_str().unwrap().to_owned()).collect()
    };
    let (first, second) = (stage.reward("R1").to_string(), stage.reward("R2").to_string());
    let formed = ask("POST", "/batches", Some("k1"), json!({"rewards": [first]})).await;
    assert_eq!(codes(&formed), [""; 0]);
    let path = format!("/batches/{}/rewards", formed["id"].as_str().unwrap());
    let added = ask("POST", &path, Some("k2"), json!({"rewards": [second]})).await;
    assert_eq!(codes(&added), ["vendor_balance_low"]);
    let again = ask("POST", &path, Some("k2"), json!({"rewards": [second]})).await;
    assert_eq!(again, added, "the same answer again");
    let less = ask("DELETE", &path, None, json!({"rewards": [second]})).await;
    assert_eq!(codes(&less), [""; 0]);
    stage.close(Ok(())).await;
}
