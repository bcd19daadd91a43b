//! Money that did not stay with payees, distinguished in all reports; and what `verify` reports about inconsistent books.
//! Not here: the files that contain these figures (`exports`).

use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use bursar::app::Actor;
use bursar::ops::batches::{self, Draft};
use bursar::ops::people::{self, NewKey};
use bursar::ops::{dashboard, tax, verify};
use bursar::store::dashboard::Range;
use bursar::store::moved::Back;
use bursar::store::{self, ledger, scope::Scope, tax as totals};
use payout::access::Role;
use payout::ids::PersonId;
use payout::money::{Money, Vendor};
use payout::scope::Scopes;
use payout::transaction::Terms;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::pages::Browser;
use crate::scenarios::Stage;

async fn play(stage: &mut Stage, lines: &[&str]) {
    for line in lines {
        stage.one(line).await.unwrap();
    }
}

/// Calls the API as an administrator.
async fn ask(stage: &Stage, key: &str, method: &str, path: &str, body: Option<Value>) -> (StatusCode, Value) {
    let request = Request::builder()
        .method(method)
        .uri(format!("/api/v1{path}"))
        .header("authorization", format!("Bearer {key}"))
        .header("content-type", "application/json")
        .header("idempotency-key", path);
    let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
    let router = bursar::web::router(stage.world.works[0].clone());
    let answer = router.oneshot(request.body(body).unwrap()).await.unwrap();
    let (parts, body) = answer.into_parts();
    let bytes = to_bytes(body, 1 << 20).await.unwrap();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    (parts.status, serde_json::from_slice(&bytes).unwrap_or(Value::String(text)))
}

async fn key(stage: &Stage) -> String {
    let new = NewKey::of("k", Role::Admin, Scopes::kept("read,write"));
    people::create_key(&stage.world.app, &new).await.unwrap()
}

/// Returned to us, in payees' balances, written off.
fn three(back: Back) -> [i128; 3] {
    [back.to_us.minor, back.in_balances.minor, back.given_up.minor]
}

/// The totals, and one payee's year: paid, the three parts of returned, paid outside, net.
async fn told(stage: &Stage, who: &str) -> (i128, [i128; 3], i128, i128, [i128; 3]) {
    let mut db = stage.world.app.store.read().await.unwrap();
    let (scope, range) = (Scope::default(), Range::default());
    let summary = dashboard::summary(&mut db, &scope, range, stage.world.now()).await.unwrap();
    let year = dashboard::year_totals(&mut db, &scope, 2026).await.unwrap();
    let span = tax::year(2026).unwrap();
    let of = totals::totals(&mut db, &[stage.payee(who)], &span).await.unwrap();
    let (card, year, one) = (summary.cards[0], year[0], of[0]);
    assert_eq!((card.paid, card.back, card.outside), (year.paid, year.back, year.outside), "card and year");
    (card.paid.minor, three(card.back), card.outside.minor, card.net().minor, three(one.back))
}

#[tokio::test]
async fn where_money_lies_is_told_in_three() {
    let mut stage = Stage::open("books_three", 11).await;
    for (who, minor) in [("ed", 40), ("bo", 75), ("cy", 20), ("di", 30)] {
        play(&mut stage, &[&format!("partner {who} stripe acct_sim_closed_{who}")]).await;
        play(&mut stage, &[&format!("reward R_{who} {who} {minor}.00 approved")]).await;
    }
    play(&mut stage, &["partner fi stripe acct_fi", "reward R_fi fi 5.00 approved"]).await;
    play(&mut stage, &["batch B1 R_ed R_bo R_cy R_di R_fi", "pay B1", "live 1 minute"]).await;
    assert_eq!(told(&stage, "bo").await, (17_000, [0, 16_500, 0], 0, 500, [0, 7_500, 0]));
    play(&mut stage, &["return ed", "live 1 minute", "drain bo", "drain cy"]).await;
    for by in ["", " by other"] {
        play(&mut stage, &[&format!("parked bo paid_otherwise THEIR-PAYOUT 2026-03-02{by}")]).await;
        play(&mut stage, &[&format!("parked cy written_off{by}")]).await;
    }
    // Money paid otherwise is paid: it left us with the transfer, and is neither a loss nor counted again.
    assert_eq!(told(&stage, "bo").await, (17_000, [4_000, 3_000, 2_000], 0, 8_000, [0, 0, 0]));
    assert_eq!(told(&stage, "cy").await.4, [0, 0, 2_000]);

    let key = key(&stage).await;
    let shown = json!({"paid": "170.00", "returned": "90.00", "returned_to_us": "40.00", "in_payees_balances": "30.00",
        "given_up": "20.00", "paid_outside": "0.00", "net": "80.00"});
    let shown = shown.as_object().unwrap();
    for path in ["/dashboard/summary", "/dashboard/earnings?year=2026"] {
        let (_, body) = ask(&stage, &key, "GET", path, None).await;
        for (name, value) in shown {
            assert_eq!(body["totals"][0][name]["value"], *value, "{path} {name}: {:#}", body["totals"]);
        }
    }
    let (_, earnings) = ask(&stage, &key, "GET", "/dashboard/earnings?year=2026&sort=-net", None).await;
    let first = &earnings["data"][0];
    assert_eq!((&first["net"]["value"], &first["returned"]["value"]), (&json!("75.00"), &json!("0.00")));
    let columns = "payee,returned,returned_to_us,in_payees_balances,given_up,net,net_stripe,net_outside";
    let file = format!("/exports/earnings?format=csv&year=2026&columns={columns}");
    let (status, file) = ask(&stage, &key, "GET", &file, None).await;
    let file = file.as_str().unwrap_or_default().to_owned();
    assert_eq!(status, StatusCode::OK, "{file}");
    assert!(file.contains(",0.00,0.00,0.00,0.00,75.00,75.00,0.00"), "{file}");
    assert!(file.contains(",20.00,0.00,0.00,20.00,0.00,0.00,0.00"), "{file}");

    let mut browser = Browser::of(&stage.world, Role::Admin, "Ada").await;
    let page = browser.read("/dashboard/summary").await;
    for words in ["came back to us", "lies in payees' balances", "was given up"] {
        page.says(words);
    }
    browser.read("/dashboard/earnings?year=2026").await.says("given up");
    let mut db = stage.world.app.store.read().await.unwrap();
    for (who, says, never) in
        [("bo", "Paid otherwise", "The money came back"), ("cy", "Written off", "Paid otherwise")]
    {
        let filter = store::transactions::Filter {
            payees: Some(vec![stage.payee(who).to_string()]),
            ..Default::default()
        };
        let of = store::transactions::list(&mut db, &filter, 2).await.unwrap().remove(0);
        let page = browser.read(&format!("/transactions/{}", of.label())).await;
        page.says(says);
        assert!(!page.words().contains(never), "{who}: {}", page.words());
        assert_eq!(page.words().contains("does not come back to us"), who == "cy", "{}", page.words());
    }
    drop(db);
    stage.close(Ok(())).await;
}

/// For one transfer whose bank payout failed twice, the portal and the statement match the journal.
#[tokio::test]
async fn the_portal_says_what_the_journal_says() {
    let mut stage = Stage::open("books_portal", 12).await;
    let lines =
        ["partner bo stripe acct_sim_closed_bo", "reward R1 bo 420.00 EUR approved", "batch B1 R1", "pay B1"];
    play(&mut stage, &lines).await;
    play(&mut stage, &["live 1 minute", "mend bo", "live 1 minute", "resubmit bo", "close-bank bo EUR"])
        .await;
    play(&mut stage, &["live 1 minute", "expect bo payout_failed"]).await;
    let mut browser = Browser::of_partner(&stage.world, Role::Partner, "bo").await;
    let purse = |page: &crate::pages::Page| page.words().matches("420.00").count();
    let home = browser.read("/portal").await;
    let failed = purse(&home);
    assert!(failed > 0, "{}", home.words());
    assert_eq!(told_eur(&stage).await, (42_000, [0, 42_000, 0]));
    play(&mut stage, &["mend bo", "live 1 minute", "resubmit bo", "live 1 minute", "expect bo success"])
        .await;
    assert_eq!(told_eur(&stage).await, (42_000, [0, 0, 0]));
    let home = browser.read("/portal").await;
    assert!(!home.words().contains("840.00") && !home.words().contains("1,260.00"), "{}", home.words());
    let statement = browser.read("/portal/statements/2026").await;
    assert!(statement.words().contains("420.00"), "{}", statement.words());
    stage.close(Ok(())).await;
}

async fn told_eur(stage: &Stage) -> (i128, [i128; 3]) {
    let (paid, back, ..) = told(stage, "bo").await;
    (paid, back)
}

/// If partners pay the fee and a failed payment is paid outside, the payee got the full amount: no fee was deducted.
#[tokio::test]
async fn what_was_paid_outside_is_told_whole_where_partners_bear_the_fee() {
    let mut stage = Stage::open("books_outside", 20).await;
    play(&mut stage, &["settings fee paypal USD 200", "settings fees partner"]).await;
    play(&mut stage, &["partner ana paypal sim-closed-ana@example.com", "reward R1 ana 100.00 approved"])
        .await;
    play(&mut stage, &["batch B1 R1", "pay B1", "live 10 seconds", "expect ana failed"]).await;
    play(&mut stage, &["outside ana CHEQUE-7 2026-01-03", "expect R1 paid", "books payable(ana) 0.00"]).await;
    assert_eq!(told(&stage, "ana").await, (0, [0, 0, 0], 10_000, 10_000, [0, 0, 0]));
    let mut db = stage.world.app.store.read().await.unwrap();
    let year = tax::year_view(&mut db, stage.payee("ana"), 2026).await.unwrap();
    assert_eq!((year.totals.len(), year.totals[0].vendor, year.reportable.minor), (1, None, 10_000));
    let filter = store::transactions::Filter {
        payees: Some(vec![stage.payee("ana").to_string()]),
        ..Default::default()
    };
    let of = store::transactions::list(&mut db, &filter, 2).await.unwrap().remove(0);
    assert_eq!((of.terms.net.minor, of.given().minor), (9_800, 10_000));
    drop(db);
    let mut browser = Browser::of_partner(&stage.world, Role::Partner, "ana").await;
    for path in ["/portal", "/portal/payouts", "/portal/statements/2026"] {
        let page = browser.read(path).await;
        assert!(page.words().contains("100.00"), "{path}: {}", page.words());
        assert!(!page.words().contains("98.00"), "{path}: {}", page.words());
    }
    let key = key(&stage).await;
    let (_, earnings) = ask(&stage, &key, "GET", "/dashboard/earnings?year=2026&sort=-net", None).await;
    assert_eq!(earnings["data"][0]["net"]["value"], json!("100.00"), "{earnings:#}");
    stage.close(Ok(())).await;
}

/// Sums larger than a column are reported like any other, and a violated rule is named instead of causing an error.
#[tokio::test]
async fn verify_counts_wider_than_a_column() {
    let mut stage = Stage::open("books_wide", 13).await;
    play(&mut stage, &["partner bo stripe acct_bo"]).await;
    let app = stage.world.app.clone();
    let mut tx = app.store.begin().await.unwrap();
    let amount = Money::new(i64::MAX, payout::money::Currency::USD);
    let terms = Terms { payee: stage.payee("bo"), vendor: Vendor::Stripe, amount, net: amount };
    let entries: Vec<_> = (0..3).map(|place| (format!("ptx_{place}"), terms.reserve())).collect();
    ledger::write(&mut tx, app.clock.now(), &app.clock, &entries).await.unwrap();
    let found = verify::all(&mut tx).await.unwrap();
    let broken: Vec<(&str, &[String])> =
        found.iter().filter(|one| !one.holds()).map(|one| (one.id, one.violations.as_slice())).collect();
    let payable = format!("{} USD", stage.payee("bo"));
    assert_eq!(broken, [("I04", &["in_flight:stripe USD".to_owned()][..]), ("I04", &[payable][..])]);
    for _ in 0..3 {
        store::count_up(&mut tx, "paid:2026-01-01:USD", i64::MAX - 7).await.unwrap();
    }
    assert_eq!(store::counted(&mut tx, "paid:2026-01-01:USD").await.unwrap(), i64::MAX);
    drop(tx);
    stage.close(Ok(())).await;
}

/// On a day with more payments than a column can count, Pay stops at a limit, or at nothing if there is none.
#[tokio::test]
async fn a_day_beyond_a_column_is_over_every_limit() {
    let mut stage = Stage::open("books_day", 14).await;
    play(&mut stage, &["partner bo stripe acct_bo", "reward R1 bo 10.00 approved", "batch B1 R1"]).await;
    let app = stage.world.app.clone();
    let mut tx = app.store.begin().await.unwrap();
    let day = bursar::clock::date(app.clock.now());
    store::count_up(&mut tx, &format!("paid:{day}:USD"), i64::MAX - 5).await.unwrap();
    tx.commit().await.unwrap();
    let lines = ["settings limit per-day 100.00 USD", "refuse over_limit pay B1"];
    play(&mut stage, &lines).await;
    play(&mut stage, &["later 1 day", "pay B1", "live 1 minute", "expect bo success"]).await;
    stage.close(Ok(())).await;
}

/// A person who released a payout they edited is named.
#[tokio::test]
async fn verify_names_a_release_by_a_hand_of_its_own() {
    let mut stage = Stage::open("books_release", 15).await;
    play(&mut stage, &["settings two-person on", "partner bo stripe acct_bo"]).await;
    play(&mut stage, &["reward R1 bo 10.00 approved", "batch B1 R1"]).await;
    let app = stage.world.app.clone();
    let looks = Actor {
        id: PersonId::fresh(app.clock.now(), 3),
        name: "Looks".to_owned(),
        ..stage.world.actor.clone()
    };
    let batch = stage.batch("B1");
    let mut db = app.store.read().await.unwrap();
    let view = batches::view(&mut db, &batch.to_string(), app.clock.now()).await.unwrap();
    drop(db);
    let (digest, number) = (view.digest, view.batch.number);
    batches::release(&app, &looks, Draft::from(batch), &digest, None).await.unwrap();
    let rule = async |tx: &mut store::Tx| {
        let found = verify::all(tx).await.unwrap();
        let rule = found.into_iter().find(|one| one.id == "I21").unwrap();
        (rule.checked, rule.violations)
    };
    let mut tx = app.store.begin().await.unwrap();
    assert_eq!(rule(&mut tx).await, (1, Vec::new()));
    store::batches::mark_release_asked(&mut tx, batch, &looks.id.to_string(), app.clock.now()).await.unwrap();
    assert_eq!(rule(&mut tx).await, (1, vec![number]));
    drop(tx);
    play(&mut stage, &["delete B1"]).await;
    stage.close(Ok(())).await;
}

/// The number of a withdrawn clawback is never reused.
#[tokio::test]
async fn a_clawback_after_one_that_was_taken_back_has_an_id_of_its_own() {
    let mut stage = Stage::open("books_claws", 16).await;
    play(&mut stage, &["partner ana paypal ana@example.com", "reward R1 ana 50.00 approved"]).await;
    play(&mut stage, &["batch B1 R1", "pay B1", "live 1 minute", "clawback C1 R1 20.00"]).await;
    let (key, first) = (key(&stage).await, stage.reward("C1"));
    let reason = json!({"reason": "It was right after all."});
    let (status, body) = ask(&stage, &key, "POST", &format!("/rewards/{first}/void"), Some(reason)).await;
    assert_eq!(status, StatusCode::OK, "{body:#}");
    play(&mut stage, &["clawback C2 R1 50.00"]).await;
    let (_, body) = ask(&stage, &key, "GET", &format!("/rewards/{}", stage.reward("C2")), None).await;
    assert_eq!(body["external_id"], "bursar:clawback:RW-000001-2", "{body:#}");
    let taken = json!({"external_id": "bursar:clawback:RW-000001-3", "activity": "deal", "owner": "ana"});
    let (status, body) = ask(&stage, &key, "POST", "/rewards", Some(taken)).await;
    assert_eq!(
        (status, &body["code"]),
        (StatusCode::UNPROCESSABLE_ENTITY, &json!("reserved_id")),
        "{body:#}"
    );
    stage.close(Ok(())).await;
}

/// A paid payout with an unreadable payment reports the others and names that one.
#[tokio::test]
#[allow(
    clippy::disallowed_methods,
    reason = "a record that cannot be read is written beside the program, not through it"
)]
async fn a_paid_payout_names_what_cannot_be_read() {
    let mut stage = Stage::open("books_unread", 18).await;
    play(&mut stage, &["partner bo stripe acct_bo", "partner cy stripe acct_cy"]).await;
    play(&mut stage, &["reward R1 bo 10.00 approved", "reward R2 cy 20.00 approved", "batch B1 R1 R2"]).await;
    play(&mut stage, &["pay B1", "live 1 minute"]).await;
    let (key, number) = (key(&stage).await, stage.number("cy").await.unwrap());
    let pool = sqlx::AnyPool::connect(&stage.world.app.config.database_url).await.unwrap();
    let write = async |currency: &str| {
        let sql = "UPDATE payout_transaction SET currency = $1 WHERE number = $2";
        let query = sqlx::query(sql).bind(currency.to_owned()).bind(number[3..].parse::<i64>().unwrap());
        query.execute(&pool).await.unwrap();
    };
    write("???").await;
    let (_, batch) = ask(&stage, &key, "GET", &format!("/batches/{}", stage.batch("B1")), None).await;
    assert_eq!(batch["unreadable"], json!([number]), "{batch:#}");
    assert_eq!(batch["totals"], json!([{"value": "10.00", "currency": "USD"}]));
    let mut browser = Browser::of(&stage.world, Role::Admin, "Ada").await;
    let batch = batch["number"].as_str().unwrap();
    let page = browser.read(&format!("/claims/{batch}/pay")).await;
    page.says(&format!("The record of {number} cannot be read"));
    browser.read("/claims").await;
    write("USD").await;
    pool.close().await;
    stage.close(Ok(())).await;
}

/// The Pay page shows the payees, deductions and destinations.
#[tokio::test]
async fn the_pay_page_lists_who_is_paid() {
    let mut stage = Stage::open("books_payees", 19).await;
    play(&mut stage, &["partner ana paypal ana@example.com", "partner bo stripe acct_bo"]).await;
    play(&mut stage, &["reward R1 ana 50.00 approved", "batch B1 R1", "pay B1", "live 1 minute"]).await;
    play(&mut stage, &["clawback C1 R1 15.00", "reward R2 ana 60.00 approved"]).await;
    play(&mut stage, &["reward R3 bo 20.00 EUR approved", "reward R4 bo 7.00 approved", "batch B2 R2 R3 R4"])
        .await;
    let mut db = stage.world.app.store.read().await.unwrap();
    let batch = batches::view(&mut db, &stage.batch("B2").to_string(), stage.world.now()).await.unwrap();
    drop(db);
    let mut browser = Browser::of(&stage.world, Role::Admin, "Ada").await;
    let page = browser.read(&format!("/claims/{}/pay", batch.batch.number)).await;
    let list = page.body.split("id=\"payees\"").nth(1).unwrap_or_else(|| panic!("{}", page.body));
    let list = list.split("</section>").next().unwrap();
    let euros = list.find("Who is paid in EUR").unwrap();
    let dollars = list.find("Who is paid in USD").unwrap();
    assert!(euros < dollars, "by currency");
    let dollars = &list[dollars..];
    assert!(
        dollars.find("60.00").unwrap() < dollars.find("7.00 ").unwrap_or(usize::MAX),
        "the largest first"
    );
    for words in ["−15.00", "45.00", "PayPal a", "Stripe ", "Billed separately", "Total for 2 payees"] {
        assert!(dollars.contains(words), "{words}: {dollars}");
    }
    assert!(!list[..euros].contains("Clawbacks"), "only where there are any");
    // One payee has one sum, listed once.
    assert!(list[..euros].contains("Pay 1 payee · "), "{list}");
    assert!(!list.contains("Total for 1 payee") && !list.contains("All 1 in"), "{list}");
    play(&mut stage, &["pay B2", "live 1 minute"]).await;
    stage.close(Ok(())).await;
}

/// Discontinued currencies, impossible years and malformed lines are rejected by name everywhere.
#[tokio::test]
async fn ended_currencies_odd_years_and_broken_lines_are_refused_by_name() {
    let house = crate::api::TestApp::open("books_ended").await;
    house.seed_data().await;
    for (code, successor) in [("BGN", "EUR"), ("ANG", "XCG"), ("HRK", "EUR"), ("VED", "VES"), ("ZWL", "ZWG")]
    {
        let value = json!({"value": "5", "currency": code});
        let reward = json!({"external_id": code, "activity": "deal", "owner": "ana", "value": value});
        let refused = house.call("POST", "/rewards", reward).await;
        refused.refused(422, "unknown_currency");
        assert!(refused.body.to_string().contains(successor), "{:#}", refused.body);
    }
    for path in [
        "/dashboard/summary?from=0026-01-01",
        "/transactions?from=20260-01-01",
        "/rewards?created_to=0026-01-01",
    ] {
        let refused = house.get(path).await;
        assert_eq!(refused.code(), "invalid_date", "{path}: {:#}", refused.body);
        assert!(refused.body.to_string().contains("between 1970 and 2199"), "{path}: {:#}", refused.body);
    }
    let tax = json!({"form": "w9", "signed_on": "0026-01-01", "tin": "123-45-6789", "name": "Ana"});
    let refused = house.call("PUT", "/payees/ana/tax-report", tax).await;
    refused.refused(422, "invalid_date");
    assert!(refused.body.to_string().contains("check the year"), "{:#}", refused.body);
    for name in ["Two\nlines", "A\u{2028}B", &"n".repeat(201)] {
        house.call("PUT", "/partners/ana", json!({"name": name})).await.refused(422, "invalid");
        house.call("PUT", "/accounts/acme", json!({"name": name})).await.refused(422, "invalid");
    }
    house.call("PUT", "/partners/ana", json!({"name": "n".repeat(200)})).await.ok();
}
