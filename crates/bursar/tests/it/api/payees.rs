//! Payees over the API: input errors with their messages, what is stored of valid input, and what stays hidden.

use payout::access::Role;
use serde_json::{Value, json};

use super::{Answer, TestApp};

fn pointer(answer: &Answer) -> &str {
    answer.body["errors"][0]["pointer"].as_str().unwrap_or("")
}

fn paypal(address: &str) -> Value {
    json!({"vendor": "paypal", "paypal_email": address})
}

async fn set(house: &TestApp, who: &str, destination: Value) -> Answer {
    house.call("PUT", &format!("/payees/{who}/payout-profile"), destination).await
}

async fn file(house: &TestApp, who: &str, report: Value) -> Answer {
    house.call("PUT", &format!("/payees/{who}/tax-report"), report).await
}

#[tokio::test]
async fn a_bad_destination_gets_its_sentence_and_changes_nothing() {
    let house = TestApp::open("payees_bad_destination").await;
    house.seed_data().await;
    set(&house, "ana", paypal("ana@example.com")).await.ok();
    let audited = house.get("/audit?limit=200").await.ok();
    let long = format!("{}@example.com", "a".repeat(120));
    let rows = [
        ("ana@example.com\nBcc: eve@example.com", "line break"),
        ("ana@example.com, eve@example.com", "several addresses"),
        ("Ana <ana@example.com>", "without the name"),
        (long.as_str(), "at most 127 characters"),
        ("ana@p\u{430}ypal.com", "xn--pypal-4ve"),
        ("\u{430}na@example.com", "\\u{430}na"),
        ("ana", "not an e-mail address"),
    ];
    for (address, because) in rows {
        let answer = set(&house, "ana", paypal(address)).await;
        answer.refused(422, "invalid_paypal_email");
        assert_eq!(pointer(&answer), "/paypal_email");
        assert!(answer.body["detail"].as_str().unwrap().contains(because), "{address}: {:#}", answer.body);
    }
    let wrong = set(&house, "ana", json!({"vendor": "stripe", "stripe_account": "ana"})).await;
    wrong.refused(422, "invalid_stripe_account");
    assert_eq!(pointer(&wrong), "/stripe_account");
    let payee = house.get("/payees/ana").await.ok();
    assert_eq!(payee["payout_profile"]["destination"], "a…@example.com");
    assert_eq!(house.get("/payees/ana/history").await.ok()["data"].as_array().unwrap().len(), 1);
    assert_eq!(house.get("/audit?limit=200").await.ok(), audited);
}

#[tokio::test]
async fn a_domain_in_other_letters_is_taken_and_shown_in_ascii() {
    let house = TestApp::open("payees_punycode").await;
    house.seed_data().await;
    let profile = set(&house, "ana", paypal("ana@bücher.example")).await.ok();
    assert_eq!(profile["destination"], "a…@xn--bcher-kva.example");
    assert!(profile["warning"].as_str().unwrap().contains("bücher.example"), "{profile:#}");
}

#[tokio::test]
async fn a_connected_account_belongs_to_one_payee() {
    let house = TestApp::open("payees_one_account").await;
    house.seed_data().await;
    let account = json!({"vendor": "stripe", "stripe_account": "acct_1"});
    set(&house, "ana", account.clone()).await.ok();
    let refused = set(&house, "ben", account.clone()).await;
    refused.refused(422, "stripe_account_in_use");
    assert_eq!(pointer(&refused), "/stripe_account");
    assert_eq!(house.get("/payees/ben").await.ok()["payout_profile"], Value::Null);
    set(&house, "ana", account.clone()).await.ok();
    set(&house, "ana", paypal("ana@example.com")).await.ok();
    set(&house, "ben", account).await.ok();
    assert_eq!(house.get("/payees/ana/history").await.ok()["data"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn first_profiles_at_the_same_moment_are_taken_one_after_the_other() {
    let house = TestApp::open("payees_at_once").await;
    house.seed_data().await;
    for round in 0..8 {
        let (one, other) =
            (paypal(&format!("a{round}@example.com")), paypal(&format!("b{round}@example.com")));
        let who = ["ana", "ben", "cem", "acme"][round % 4];
        let (first, second) = tokio::join!(set(&house, who, one), set(&house, who, other));
        first.ok();
        second.ok();
    }
    let history = house.get("/payees/ana/history").await.ok();
    let olds: Vec<&Value> = history["data"].as_array().unwrap().iter().map(|row| &row["old"]).collect();
    assert_eq!(olds.iter().filter(|old| old.is_null()).count(), 1, "one of them was the first: {history:#}");
    // Two payees and one connected account: one gets it, the other gets an error.
    let account = json!({"vendor": "stripe", "stripe_account": "acct_1"});
    let (first, second) = tokio::join!(set(&house, "ana", account.clone()), set(&house, "ben", account));
    let statuses = [first.status.as_u16(), second.status.as_u16()];
    assert!(statuses.contains(&200) && (statuses.contains(&422) || statuses.contains(&409)), "{statuses:?}");
}

#[tokio::test]
async fn a_shared_address_waits_for_a_second_person() {
    let house = TestApp::open("payees_shared").await;
    house.seed_data().await;
    set(&house, "ana", paypal("both@example.com")).await.ok();
    let shared = set(&house, "ben", paypal("Both@example.com")).await.ok();
    assert_eq!(shared["shared"], true);
    for who in ["ana", "ben"] {
        let payee = house.get(&format!("/payees/{who}")).await.ok();
        assert_eq!(payee["standing"], "on_hold");
        let codes: Vec<&Value> =
            payee["blockers"].as_array().unwrap().iter().map(|one| &one["code"]).collect();
        assert!(codes.contains(&&json!("partner_on_hold")), "{payee:#}");
    }
    let path = "/payees/ana/payout-profile/clear";
    let why = json!({"reason": "they are married"});
    house.call("POST", path, why.clone()).await.refused(409, "own_entry");
    // A second key of the same person does not count as a second person.
    let own = house.key(Role::ProgramManager, None).await;
    house.call_as(&own, "POST", path, why.clone(), &[]).await.refused(409, "own_entry");
    let second = house.key_of_another(Role::ProgramManager).await;
    let empty = house.call_as(&second, "POST", path, json!({"reason": " "}), &[]).await;
    empty.refused(422, "missing");
    let cleared = house.call_as(&second, "POST", path, why.clone(), &[]).await.ok();
    assert_eq!(cleared["shared"], false);
    assert_eq!(house.get("/payees/ben").await.ok()["standing"], "active");
    house.call_as(&second, "POST", path, why, &[]).await.refused(409, "not_shared");
    let id = house.get("/payees/ben").await.ok()["id"].as_str().unwrap().to_owned();
    let audit = house.get(&format!("/audit?subject={id}")).await.ok().to_string();
    assert!(audit.contains("shared_destination_cleared"), "{audit}");
}

#[tokio::test]
async fn a_bad_tax_report_gets_its_sentence_and_changes_nothing() {
    let house = TestApp::open("payees_bad_tax").await;
    house.seed_data().await;
    for (who, country) in [("ana", "US"), ("ben", "DE")] {
        house.call("PUT", &format!("/partners/{who}"), json!({ "country": country })).await.ok();
    }
    let w9 = |tin: &str| json!({"form": "w9", "name": "Ana", "signed_on": "2026-03-01", "tin": tin});
    let w8 = json!({"form": "w8ben", "name": "Ben", "signed_on": "2026-03-01"});
    for (tin, because) in [
        ("12345678", "has 8"),
        ("1234567890", "has 10"),
        ("12345678a", "only digits"),
        ("000000000", "all zeros"),
        ("000-12-3456", "begins with 000"),
        ("666-12-3456", "begins with 666"),
        ("912-49-1234", "these are 49"),
        ("912-66-1234", "these are 66"),
        ("912-93-1234", "these are 93"),
    ] {
        let answer = file(&house, "ana", w9(tin)).await;
        answer.refused(422, "invalid_tin");
        assert_eq!(pointer(&answer), "/tin");
        assert!(answer.body["detail"].as_str().unwrap().contains(because), "{tin}: {:#}", answer.body);
    }
    let with = |mut report: Value, field: &str, value: Value| {
        report[field] = value;
        report
    };
    let long = json!("1".repeat(51));
    let rows = [
        ("ben", w9("123-45-6789"), "wrong_form", "/form"),
        ("ana", w8.clone(), "wrong_form", "/form"),
        ("ana", with(w9("123-45-6789"), "form", json!("w10")), "unknown_form", "/form"),
        ("ana", with(w9("123-45-6789"), "signed_on", json!("2026-03-05")), "date_in_future", "/signed_on"),
        ("ana", with(w9("123-45-6789"), "certified", json!(false)), "not_certified", "/certified"),
        ("ana", with(w9("123-45-6789"), "name", json!(" ")), "missing", "/name"),
        ("ben", with(w8.clone(), "tin", long), "too_long", "/tin"),
    ];
    for (who, report, code, at) in rows {
        let answer = file(&house, who, report).await;
        answer.refused(422, code);
        assert_eq!(pointer(&answer), at);
    }
    for who in ["ana", "ben"] {
        assert_eq!(house.get(&format!("/payees/{who}")).await.ok()["tax_report"], Value::Null);
    }
    file(&house, "cem", w9("123-45-6789")).await.ok();
    let w8 = file(&house, "ben", with(w8, "tin", json!("12/345/67890"))).await.ok();
    assert_eq!((&w8["tin"], &w8["expires_on"]), (&json!("…7890"), &json!("2029-12-31")));
}

#[tokio::test]
async fn a_form_for_another_country_is_not_the_report_that_is_asked_for() {
    let house = TestApp::open("payees_wrong_form").await;
    house.seed_data().await;
    house.call("PUT", "/settings/payout", json!({"us_tax_tracking": true})).await.ok();
    let report = json!({"form": "w9", "name": "Ana", "signed_on": "2026-03-01", "tin": "123-45-6789"});
    file(&house, "ana", report).await.ok();
    let missing = async || house.get("/payees/ana").await.ok().to_string().contains("tax_report_missing");
    assert!(!missing().await, "her country is not known");
    house.call("PUT", "/partners/ana", json!({"country": "DE"})).await.ok();
    assert!(missing().await, "a W-9 is for payees in the United States");
}

#[tokio::test]
async fn a_tax_number_is_shown_only_to_whoever_says_why() {
    let house = TestApp::open("payees_reveal").await;
    house.seed_data().await;
    let report = json!({"form": "w9", "name": "Ana", "signed_on": "2026-03-01", "tin": "123-45-6789"});
    let filed = file(&house, "ana", report).await.ok();
    assert_eq!(filed["tin"], "…6789");
    let path = "/payees/ana/tax-report/reveal";
    let manager = house.key(Role::ProgramManager, None).await;
    let why = json!({"reason": "a question of the tax office"});
    house.call_as(&manager, "POST", path, why.clone(), &[]).await.refused(403, "permission_denied");
    house.call("POST", path, json!({"reason": ""})).await.refused(422, "missing");
    house.call("POST", "/payees/ben/tax-report/reveal", why.clone()).await.refused(404, "not_found");
    for _ in 0..2 {
        let key = [("idempotency-key", "look-1")];
        let answer = house.call_as(&house.admin, "POST", path, why.clone(), &key).await.ok();
        assert_eq!(answer, json!({"tin": "123-45-6789"}));
    }
    let id = filed["payee"].as_str().unwrap();
    let audit = house.get(&format!("/audit?subject={id}")).await.ok().to_string();
    assert_eq!(
        audit.matches("tax_number_revealed").count(),
        2,
        "an answer with a secret is not kept: {audit}"
    );
    assert!(audit.contains("a question of the tax office"));
    for path in ["/payees/ana", "/payees/ana/history", "/audit?limit=200", "/partners/ana"] {
        let answer = house.get(path).await.ok().to_string();
        assert!(!answer.contains("123-45-6789") && !answer.contains("123456789"), "{path}: {answer}");
    }
}

#[tokio::test]
async fn a_partner_reads_their_own_and_no_address_of_ours() {
    let house = TestApp::open("payees_own").await;
    house.seed_data().await;
    set(&house, "ana", paypal("ana@example.com")).await.ok();
    let ana = house.key(Role::Partner, Some("ana")).await;
    let mine = house.call_as(&ana, "GET", "/payees/ana", Value::Null, &[]).await.ok();
    assert_eq!(mine["payout_profile"]["destination"], "a…@example.com");
    let history = house.call_as(&ana, "GET", "/payees/ana/history", Value::Null, &[]).await.ok();
    assert_eq!(
        (&history["data"][0]["actor"], &history["data"][0]["came_from"]),
        (&Value::Null, &Value::Null)
    );
    for path in ["/payees/ben", "/payees/acme", "/payees/ben/history", "/payees/ben/tax-year"] {
        house.call_as(&ana, "GET", path, Value::Null, &[]).await.refused(404, "not_found");
    }
    let all = house.key(Role::PartnerAdmin, Some("ana")).await;
    house.call_as(&all, "GET", "/payees/acme", Value::Null, &[]).await.ok();
    house.call_as(&all, "GET", "/payees/cem", Value::Null, &[]).await.refused(404, "not_found");
    let ours = house.get("/payees/ana/history").await.ok();
    assert!(ours["data"][0]["came_from"].as_str().unwrap().starts_with("API key admin"), "{ours:#}");
}

#[tokio::test]
async fn the_years_and_their_lines() {
    let house = TestApp::open("payees_years").await;
    house.seed_data().await;
    let line = async |year: i32| {
        let view = house.get(&format!("/payees/ana/tax-year?year={year}")).await.ok();
        view["threshold"]["value"].as_str().unwrap().to_owned()
    };
    assert_eq!((line(2025).await, line(2026).await), ("600.00".to_owned(), "2000.00".to_owned()));
    let set = |year: i32, currency: &str| json!({"tax_thresholds": [{"year": year, "value": "2100", "currency": currency}]});
    for (change, code) in [(set(2026, "USD"), "invalid_year"), (set(2027, "EUR"), "unknown_currency")] {
        let answer = house.call("PUT", "/settings/payout", change).await;
        answer.refused(422, code);
        assert_eq!(pointer(&answer), "/tax_thresholds");
    }
    house.call("PUT", "/settings/payout", set(2027, "USD")).await.ok();
    assert_eq!((line(2026).await, line(2028).await), ("2000.00".to_owned(), "2100.00".to_owned()));
    house.get("/payees/ana/tax-year?year=0").await.refused(422, "invalid");
    let now = house.get("/payees/ana/tax-year").await.ok();
    assert_eq!((&now["year"], &now["over_threshold"]), (&json!(2026), &json!(false)));
}

#[tokio::test]
async fn a_filter_by_another_company_finds_nobody() {
    let house = TestApp::open("partners_filter").await;
    house.seed_data().await;
    let key = house.key(Role::PartnerAdmin, Some("ana")).await;
    let found = async |query: &str| {
        let page = house.call_as(&key, "GET", &format!("/partners{query}"), Value::Null, &[]).await.ok();
        page["data"].as_array().unwrap().len()
    };
    assert_eq!(found("").await, 2);
    assert_eq!(found("?account=acme").await, 2);
    assert_eq!(found("?account=bolt").await, 0, "their own company is not shown for another");
    assert_eq!(found("?account=nobody").await, 0);
}

#[tokio::test]
async fn an_external_id_of_a_partner_and_an_account_means_neither() {
    let house = TestApp::open("payees_ambiguous").await;
    house.seed_data().await;
    house.call("PUT", "/accounts/1001", json!({"name": "Cobalt"})).await.ok();
    let dora = json!({"name": "Dora", "email": "dora@example.com", "account": "acme"});
    let partner = house.call("PUT", "/partners/1001", dora).await.ok()["id"].as_str().unwrap().to_owned();
    let account = house.get("/accounts/1001").await.ok()["id"].as_str().unwrap().to_owned();
    let report = json!({"form": "w9", "name": "Dora", "signed_on": "2026-01-31", "tin": "123-45-6789"});
    for answer in [
        set(&house, "1001", paypal("ap@example.com")).await,
        set(&house, "%201001%C2%A0", paypal("ap@example.com")).await,
        file(&house, "1001", report).await,
        house.get("/payees/1001").await,
        house.get("/payees/1001/history").await,
        house.get("/payees/1001/skipped").await,
        house.get("/transactions?payee=1001").await,
        house.call("POST", "/payees/1001/tax-report/reveal", json!({"reason": "asked"})).await,
    ] {
        answer.refused(409, "ambiguous_payee");
        let message = answer.body["detail"].as_str().unwrap();
        assert!(message.contains(&partner) && message.contains(&account), "{message}");
    }
    // By our IDs, and where the kind is known, each is found; neither was changed.
    for id in [&partner, &account] {
        assert_eq!(house.get(&format!("/payees/{id}")).await.ok()["payout_profile"], Value::Null);
        set(&house, id, paypal(&format!("{id}@example.com"))).await.ok();
    }
    for filter in ["/transactions?account=1001", "/transactions?partner=1001", "/rewards?owner=1001"] {
        house.get(filter).await.ok();
    }
    let own = house.key(Role::Partner, Some("1001")).await;
    let seen = house.call_as(&own, "GET", "/payees/1001", Value::Null, &[]).await.ok();
    assert_eq!(seen["id"], partner.as_str(), "others are nothing to a partner");
    // If a caller's external ID equals one of our IDs, our ID still refers to its own record.
    let shadow = json!({"name": "Eve", "email": "eve@example.com", "account": "acme"});
    house.call("PUT", &format!("/partners/{account}"), shadow).await.refused(404, "not_found");
}

#[tokio::test]
async fn a_partner_is_not_told_who_else_has_their_external_id() {
    let house = TestApp::open("payees_shared_id").await;
    house.seed_data().await;
    let company = house.call("PUT", "/accounts/ana", json!({"name": "Another company"})).await.ok();
    house.get("/transactions?payee=ana").await.refused(409, "ambiguous_payee");
    let key = house.key(Role::Partner, Some("ana")).await;
    for path in
        ["/transactions?payee=ana", &format!("/transactions?payee={}", company["id"].as_str().unwrap())]
    {
        let own = house.call_as(&key, "GET", path, Value::Null, &[]).await.ok();
        assert_eq!(own["data"], json!([]), "{path}");
    }
}
