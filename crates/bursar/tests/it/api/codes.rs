//! The error code reference: each code appears once, and every error links to its entry.

use axum::body::Body;
use axum::http::Request;
use bursar::web::kit::codes;
use serde_json::{Value, json};

use super::TestApp;

async fn page(house: &TestApp) -> super::Answer {
    house.send(Request::get(codes::PATH).body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn the_page_of_the_codes_is_open_and_has_each_of_them_once() {
    let house = TestApp::open("codes_page").await;
    let answer = page(&house).await;
    assert_eq!(answer.status, 200);
    assert!(answer.header("content-type").starts_with("text/html"));
    let text = answer.body.as_str().unwrap();
    assert!(!text.contains("<script"), "it is read without one");
    for code in codes::all() {
        assert_eq!(text.matches(&format!(" id=\"{code}\"")).count(), 1, "{code}");
    }
    for group in codes::groups() {
        assert_eq!(text.matches(&format!(" id=\"{}\"", group.id)).count(), 1, "{}", group.id);
        assert!(text.contains(&format!("href=\"#{}\"", group.id)), "{} is not in the contents", group.id);
    }
    let reference = house.send(Request::get("/api/v1/openapi.json").body(Body::empty()).unwrap()).await.ok();
    assert!(reference["info"]["description"].as_str().unwrap().contains(codes::PATH));
    let code = &reference["components"]["schemas"]["Problem"]["properties"]["code"];
    assert!(code["description"].as_str().unwrap().contains(codes::PATH), "{code}");
    assert!(code["enum"].is_null(), "the list grows with each version: {code}");
}

#[tokio::test]
async fn the_codes_are_filtered_by_a_form() {
    let house = TestApp::open("codes_filtered").await;
    let ask = async |q: &str| {
        let request = Request::get(format!("{}?q={q}", codes::PATH)).body(Body::empty()).unwrap();
        house.send(request).await.body.as_str().unwrap().to_owned()
    };
    let some = ask("cooling-off").await;
    assert!(some.contains("id=\"profile_changed_recently\"") && !some.contains("id=\"permission_denied\""));
    assert!(
        some.contains("value=\"cooling-off\"") && some.contains(&format!("href=\"{}\"", codes::PATH)),
        "{some}"
    );
    let none = ask("%3Cno+such%3E").await;
    assert!(none.contains("No code contains “&#60;no such&#62;”."), "{none}");
}

#[tokio::test]
async fn an_error_leads_to_its_code() {
    let house = TestApp::open("codes_led_to").await;
    house.seed_data().await;
    let text = page(&house).await;
    let text = text.body.as_str().unwrap();
    let reward = json!({"external_id": "R-1", "activity": "deal", "owner": "nobody", "value": {"points": 1}});
    let answers = [
        house.call_as("", "GET", "/rewards", Value::Null, &[]).await,
        house.get("/nothing/here").await,
        house.get("/rewards?viev=all").await,
        house.call("POST", "/accounts", Value::Null).await,
        house.call("POST", "/rewards", reward).await,
        house.call("POST", "/batches", json!({"all_eligible": true})).await,
    ];
    for answer in answers.iter().filter(|answer| !answer.status.is_success()) {
        let (address, anchor) = answer.body["type"].as_str().unwrap().split_once('#').unwrap();
        assert_eq!(address, format!("http://127.0.0.1:8080{}", codes::PATH));
        assert_eq!(anchor, answer.code());
        assert!(text.contains(&format!(" id=\"{anchor}\"")), "{anchor}");
    }
    assert!(answers.iter().filter(|answer| !answer.status.is_success()).count() > 4);
}
