//! The OpenAPI description is accurate: routes, methods, enum values, and which bodies are rejected.

use std::collections::{BTreeMap, BTreeSet};

use axum::body::Body;
use axum::http::{Method, Request};
use bursar::web::table;
use serde_json::{Value, json};

use super::TestApp;

async fn described(house: &TestApp) -> Value {
    let request = Request::get("/api/v1/openapi.json").body(Body::empty()).unwrap();
    house.send(request).await.ok()
}

/// A path with its parameters filled in with IDs that do not exist.
fn filled(path: &str) -> String {
    let parts: Vec<&str> =
        path.split('/').map(|part| if part.starts_with('{') { "nobody" } else { part }).collect();
    parts.join("/")
}

async fn asked(house: &TestApp, method: &str, path: &str) -> super::Answer {
    let key = format!("Bearer {}", house.admin);
    let request = Request::builder().method(method).uri(path).header("authorization", key);
    house.send(request.body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn a_connection_is_taken_away_by_its_vendors_name() {
    let house = TestApp::open("remove_vendor").await;
    for vendor in ["stripe", "paypal", "nobody"] {
        let answer = house.call("DELETE", &format!("/settings/vendors/{vendor}"), Value::Null).await;
        answer.refused(404, "not_found");
    }
}

#[tokio::test]
async fn every_route_is_described_and_no_other() {
    let house = TestApp::open("described_routes").await;
    let document = described(&house).await;
    let mut told = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        told.extend(item.as_object().unwrap().keys().map(|method| (path.clone(), method.to_uppercase())));
    }
    let programs = ["/api/v1/", "/webhooks/", "/healthz", "/readyz", "/metrics"];
    let routes = table().into_iter().filter(|route| programs.iter().any(|path| route.path.starts_with(path)));
    let routes: BTreeSet<_> = routes.map(|it| (it.path.to_owned(), it.method.to_string())).collect();
    assert_eq!(told, routes);
}

#[tokio::test]
async fn an_address_names_exactly_its_methods() {
    let house = TestApp::open("allow").await;
    let mut methods: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for route in table() {
        let known = methods.entry(route.path.to_owned()).or_default();
        known.insert(route.method.to_string());
        if route.method == Method::GET {
            known.insert("HEAD".to_owned());
        }
    }
    for (path, known) in methods {
        for method in ["OPTIONS", "TRACE", "QUERY", "PATCH", "DELETE", "PUT", "GET", "POST"] {
            if known.contains(method) {
                continue;
            }
            let answer = asked(&house, method, &filled(&path)).await;
            assert_eq!(answer.status, 405, "{method} {path}");
            let allow: BTreeSet<String> =
                answer.header("allow").split(',').map(|it| it.trim().to_owned()).collect();
            assert_eq!(allow, known, "{method} {path}");
            if path.starts_with("/api/") {
                answer.refused(405, "method_not_allowed");
            }
        }
    }
    assert_eq!(asked(&house, "FETCH", "/api/v1/batches").await.status, 501);
    let open = Request::builder().method("OPTIONS").uri("/api/v1/batches").body(Body::empty()).unwrap();
    house.send(open).await.refused(401, "unauthenticated");
}

/// Whether the response rejects this query parameter as meaningless.
fn refuses(answer: &super::Answer, name: &str) -> bool {
    let errors = answer.body["errors"].as_array().cloned().unwrap_or_default();
    errors.iter().any(|error| error["pointer"] == format!("/{name}"))
}

#[tokio::test]
async fn a_query_takes_the_words_that_are_described_and_no_other() {
    let house = TestApp::open("described_words").await;
    house.seed_data().await;
    let document = described(&house).await;
    let mut seen = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        for parameter in item["get"]["parameters"].as_array().into_iter().flatten() {
            assert!(!parameter["schema"].to_string().contains("\"null\""), "{path}: {parameter}");
            let Some(words) = parameter["schema"]["enum"].as_array() else { continue };
            let name = parameter["name"].as_str().unwrap();
            if parameter["in"] != "query" {
                continue;
            }
            for word in words.iter().take(20) {
                let answer = asked(&house, "GET", &format!("{path}?{name}={}", word.as_str().unwrap())).await;
                assert!(!refuses(&answer, name), "{path} {name}={word}: {:#}", answer.body);
                seen += 1;
            }
            let answer = asked(&house, "GET", &format!("{path}?{name}=nonsense")).await;
            assert!(answer.status == 422 && refuses(&answer, name), "{path} {name}: {:#}", answer.body);
            let empty = asked(&house, "GET", &format!("{path}?{name}=")).await;
            assert!(!refuses(&empty, name), "an empty {name} of {path} is not given");
        }
    }
    assert!(seen > 100, "{seen}");
}

/// The JSON Schema validator of a request body.
fn body_of(document: &Value, path: &str, method: &str) -> jsonschema::Validator {
    let body = &document["paths"][path][method]["requestBody"]["content"]["application/json"]["schema"];
    assert!(body.is_object(), "{method} {path} takes no JSON");
    let whole = json!({"allOf": [body], "components": document["components"]});
    jsonschema::validator_for(&whole).unwrap()
}

#[tokio::test]
async fn a_body_that_is_described_as_wrong_is_refused_and_another_is_not() {
    let house = TestApp::open("described_bodies").await;
    house.seed_data().await;
    let document = described(&house).await;
    let usd = |value: &str| json!({"value": value, "currency": "USD"});
    let reward =
        |value: Value| json!({"external_id": "R-9", "activity": "deal", "owner": "ana", "value": value});
    let rows = [
        ("post", "/rewards", reward(usd("12.50")), true),
        ("post", "/rewards", reward(json!({"value": "12.50", "currency": null})), false),
        ("post", "/rewards", reward(json!({"value": "12.50", "currency": "USD", "points": 1})), false),
        ("post", "/rewards", reward(json!({"value": 12, "currency": "USD"})), false),
        ("post", "/rewards", reward(json!({"points": 0})), false),
        ("post", "/rewards", json!({"external_id": "R-8", "activity": "deal"}), false),
        ("put", "/accounts/{id}", json!({"name": "Acme", "country": null}), true),
        ("put", "/accounts/{id}", json!({"name": "Acme", "standing": "asleep"}), false),
        ("put", "/accounts/{id}", json!({"name": ""}), false),
        ("put", "/programs/{id}", json!({"name": "New", "type": "cash"}), true),
        ("put", "/programs/{id}", json!({"name": "New", "type": "gold"}), false),
        ("put", "/programs/{id}", json!({"name": "New", "type": "cash", "hold_days": 3_651}), false),
        ("put", "/settings/payout", json!({"limits": {"per_batch": [usd("5000")]}}), true),
        ("put", "/settings/payout", json!({"limits": {"per_moon": [usd("5000")]}}), false),
        ("put", "/settings/payout", json!({"vendors": ["cash"]}), false),
        ("put", "/settings/payout", json!({"fees_paid_by": "nobody"}), false),
        ("put", "/settings/vendors/stripe", json!({"mode": "test"}), false),
        ("put", "/settings/vendors/stripe", json!({"secret_key": "sk", "mode": "sandbox"}), false),
        ("post", "/rewards/bulk", json!({"action": "void", "ids": []}), false),
        ("post", "/batches", json!({"rewards": ["R-9"]}), false),
        ("post", "/partners/{id}/invite", json!({"role": "admin"}), false),
        ("post", "/partners/{id}/invite", json!({"role": null}), true),
    ];
    for (method, path, body, fits) in rows {
        let whole = format!("/api/v1{path}");
        let validator = body_of(&document, &whole, method);
        assert_eq!(validator.is_valid(&body), fits, "{method} {path} is described otherwise: {body}");
        let named = path.replace("{id}", if path.contains("partners") { "ana" } else { "new-one" });
        let answer = house.call(&method.to_uppercase(), &named, body.clone()).await;
        assert_eq!(answer.status.is_success(), fits, "{method} {path} {body}: {:#}", answer.body);
        if !fits {
            assert!(
                [400, 422].contains(&answer.status.as_u16()),
                "{method} {path} {body}: {}",
                answer.status
            );
        }
    }
}

#[tokio::test]
async fn an_example_is_what_it_is_an_example_of() {
    let house = TestApp::open("described_examples").await;
    let document = described(&house).await;
    let mut examples = 0;
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        let Some(example) = schema.get("example") else { continue };
        let whole = json!({"allOf": [schema], "components": document["components"]});
        let told =
            jsonschema::validator_for(&whole).unwrap().validate(example).map_err(|error| error.to_string());
        assert_eq!(told, Ok(()), "{name}: {example}");
        examples += 1;
    }
    assert!(examples > 8, "{examples}");
}

#[tokio::test]
async fn a_body_that_must_be_there_is_told_so() {
    let house = TestApp::open("described_needed").await;
    house.seed_data().await;
    let document = described(&house).await;
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let body = &operation["requestBody"];
            let sends_json = body["content"]["application/json"].is_object();
            if !sends_json || !path.starts_with("/api/v1/") || path.contains('{') {
                continue;
            }
            let answer = asked(&house, &method.to_uppercase(), path).await;
            let needed = body["required"].as_bool().unwrap_or(false);
            if needed {
                assert!(answer.status.is_client_error(), "{method} {path}: {}", answer.status);
            }
            for status in ["400", "401", "403", "413", "415", "422"] {
                let told = &operation["responses"][status]["$ref"];
                let name = told.as_str().unwrap_or_else(|| panic!("{method} {path} tells of no {status}"));
                let name = name.rsplit('/').next().unwrap();
                let problem =
                    &document["components"]["responses"][name]["content"]["application/problem+json"];
                assert!(problem["schema"].is_object(), "{name}");
            }
        }
    }
}
