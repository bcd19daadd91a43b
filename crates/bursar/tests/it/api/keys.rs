//! API keys: the calls each scope allows, from the route table; expiry and the end of the creator's access; IP allowlists;
//! and what no key may do.

use std::fmt::Write as _;

use axum::body::Body;
use axum::http::Request;
use bursar::app::Actor;
use bursar::ops::OpsError;
use bursar::ops::people::team::{self, TeamMember};
use bursar::ops::people::{self, MachineUser, NewKey, NewPerson, keys};
use bursar::web::{Access, table};
use payout::access::Role;
use payout::scope::{Scope, Scopes};
use serde_json::{Value, json};

use super::{Answer, TestApp, from};

const DAY: i64 = 86_400_000_000;

/// A printed table of the scopes for each call, so that new routes are reviewed.
#[test]
fn every_call_and_the_scopes_that_open_it() {
    let mut rows = Vec::new();
    for route in table().into_iter().filter(|route| route.path.starts_with("/api/v1")) {
        let opens = |scope: &&Scope| Scopes::of(&[**scope]).open(route.scope());
        let scopes: Vec<&str> = Scope::ALL.iter().filter(opens).map(|scope| scope.as_str()).collect();
        let roles = Role::ALL.iter().filter(|role| route.access.admits(**role));
        let roles: Vec<&str> = roles.map(|role| role.as_str()).collect();
        assert!(!scopes.is_empty() && route.access != Access::Open, "{} {}", route.method, route.path);
        rows.push(format!(
            "{:<6} {:<58} {:<24} {}",
            route.method.as_str(),
            route.path,
            scopes.join(", "),
            roles.join(", ")
        ));
    }
    rows.sort_by_key(|row| row.split_whitespace().nth(1).map(str::to_owned));
    let mut text = String::new();
    rows.iter().for_each(|row| writeln!(text, "{}", row.trim_end()).unwrap());
    insta::assert_snapshot!(text);
}

async fn made(house: &TestApp, role: Role, scopes: &str) -> String {
    people::create_key(&house.app, &NewKey::of("k", role, Scopes::kept(scopes))).await.unwrap()
}

/// Calls every route with a key of each single scope: exactly the calls in the table are allowed.
#[tokio::test]
async fn a_scope_opens_what_the_table_says_and_nothing_else() {
    let house = TestApp::open("scope_doors").await;
    house.seed_data().await;
    for scope in Scope::ALL.iter().copied() {
        let key = made(&house, Role::Admin, scope.as_str()).await;
        for route in table().into_iter().filter(|route| route.path.starts_with("/api/v1")) {
            let path = route.path.replace("{id}", "nobody").replace("{case}", "nobody");
            let path = path.trim_start_matches("/api/v1");
            let answer = house.call_as(&key, route.method.as_str(), path, Value::Null, &[]).await;
            let refused = answer.code() == "permission_denied";
            let message = format!("{scope:?} {} {path}: {} {}", route.method, answer.status, answer.code());
            assert_eq!(refused, !Scopes::of(&[scope]).open(route.scope()), "{message}");
            assert!(answer.status != 401 && answer.status != 500, "{message}");
        }
    }
    let pays = made(&house, Role::Payer, "pay").await;
    let answer = house.call_as(&pays, "POST", "/batches", json!({"all_eligible": true}), &[]).await;
    answer.refused(403, "permission_denied");
    let message = answer.body["detail"].as_str().unwrap();
    assert!(message.contains("the scope batches:prepare or write"), "{message}");
}

/// The old scopes keep their meaning: `read` allows every read, `write` every write of the role.
#[tokio::test]
async fn read_and_write_mean_what_they_always_meant() {
    for route in table().into_iter().filter(|route| route.path.starts_with("/api/v1")) {
        let reads = route.method == "GET";
        assert_eq!(Scopes::kept("read").open(route.scope()), reads, "{} {}", route.method, route.path);
        assert_eq!(Scopes::kept("write").open(route.scope()), !reads, "{} {}", route.method, route.path);
    }
    // A command-line key with `write` is the operator's own and may change every setting.
    let house = TestApp::open("scope_old").await;
    let safer = json!({"cooling_off_hours": 72, "two_person_release": false});
    house.call("PUT", "/settings/payout", safer).await.ok();
    let less = house.call("PUT", "/settings/payout", json!({"cooling_off_hours": 0})).await.ok();
    assert_eq!(less["cooling_off_hours"], 0);
}

async fn administrator(house: &TestApp, name: &str) -> Actor {
    let email = format!("{name}@example.com");
    let new = NewPerson {
        email: email.clone(),
        name: name.to_owned(),
        role: Role::Admin,
        partner: None,
        password: Some("correct horse battery".to_owned()),
    };
    people::add(&house.app, &new).await.unwrap();
    let mut db = house.app.store.read().await.unwrap();
    let found = bursar::store::people::by_email(&mut db, &email).await.unwrap().unwrap();
    people::actor(&found)
}

/// The listed key with this name.
fn called<'a>(listed: &'a Value, name: &str) -> &'a Value {
    listed["data"].as_array().unwrap().iter().find(|one| one["name"] == name).unwrap()
}

async fn rewards(house: &TestApp, key: &str) -> Answer {
    house.call_as(key, "GET", "/rewards", Value::Null, &[]).await
}

#[tokio::test]
async fn a_key_ends_by_itself_and_says_so() {
    let house = TestApp::open("key_ends").await;
    let now = house.app.clock.now();
    let new = NewKey { ends_at: Some(now + DAY), ..NewKey::of("k", Role::Auditor, Scopes::kept("read")) };
    let key = people::create_key(&house.app, &new).await.unwrap();
    rewards(&house, &key).await.ok();
    house.pass_days(1);
    for path in ["/rewards", "/nothing/here"] {
        let answer = house.call_as(&key, "GET", path, Value::Null, &[]).await;
        answer.refused(401, "api_key_ended");
        assert_eq!(answer.header("content-type"), "application/problem+json");
        assert_eq!(answer.header("www-authenticate"), "Bearer");
        let message = answer.body["detail"].as_str().unwrap();
        assert!(message.starts_with("This API key ended on 3 Mar 2026, 09:00 UTC."), "{message}");
    }
    let listed = house.get("/api-keys").await.ok();
    assert_eq!(called(&listed, "k")["state"], "ended");
    assert_eq!(called(&listed, "k")["ends_at"], "2026-03-03T09:00:00.000000Z");
}

#[tokio::test]
async fn a_key_ends_with_whoever_made_it() {
    let house = TestApp::open("key_maker").await;
    let (pat, kim) = (administrator(&house, "pat").await, administrator(&house, "kim").await);
    let new = NewKey::of("k", Role::Admin, Scopes::kept("read,write"));
    let key = people::make_key(&house.app, &pat.id.to_string(), &new).await.unwrap();
    rewards(&house, &key).await.ok();
    team::change_role(&house.app, &kim, pat.id, Role::Payer).await.unwrap();
    rewards(&house, &key).await.refused(401, "api_key_maker_gone");
    team::change_role(&house.app, &kim, pat.id, Role::Admin).await.unwrap();
    rewards(&house, &key).await.ok();
    team::disable(&house.app, &kim, pat.id).await.unwrap();
    rewards(&house, &key).await.refused(401, "api_key_maker_gone");
    let listed = house.get("/api-keys").await.ok();
    assert_eq!(called(&listed, "k")["state"], "maker_gone");
    // Keys created on the command line stay valid.
    house.get("/rewards").await.ok();
}

#[tokio::test]
async fn a_key_is_taken_from_its_addresses_only() {
    let house = TestApp::open_at("key_cidr", "http://127.0.0.1:8080", &["--trusted-proxies=10.0.0.1"]).await;
    let addresses = keys::addresses("203.0.113.0/24, 2001:db8::/32").unwrap();
    let new = NewKey { addresses, ..NewKey::of("k", Role::Auditor, Scopes::kept("read")) };
    let key = people::create_key(&house.app, &new).await.unwrap();
    let ask = async |peer: &str, passed_on: &str| {
        let request = Request::get("/api/v1/rewards").header("authorization", format!("Bearer {key}"));
        let request = match passed_on {
            "" => request,
            other => request.header("x-forwarded-for", other),
        };
        house.send(from(request.body(Body::empty()).unwrap(), peer)).await
    };
    let rows = [
        ("203.0.113.9", "", true),
        ("::ffff:203.0.113.9", "", true),
        ("2001:db8::7", "", true),
        ("198.51.100.1", "", false),
        ("2001:db9::7", "", false),
        // A forwarded client address counts only if the peer is a trusted proxy.
        ("10.0.0.1", "203.0.113.9", true),
        ("10.0.0.1", "198.51.100.1", false),
        ("10.0.0.1", "203.0.113.9, 198.51.100.1", false),
        ("10.0.0.2", "203.0.113.9", false),
        ("198.51.100.1", "203.0.113.9", false),
    ];
    for (peer, passed_on, taken) in rows {
        let answer = ask(peer, passed_on).await;
        match taken {
            true => assert_eq!(answer.status, 200, "{peer} {passed_on}"),
            false => answer.refused(403, "api_key_address"),
        }
    }
    let told = ask("10.0.0.2", "203.0.113.9").await;
    let message = told.body["detail"].as_str().unwrap();
    assert!(
        message.contains("does not work from 10.0.0.2") && message.contains("BURSAR_TRUSTED_PROXIES"),
        "{message}"
    );
    // An unknown address matches none of them.
    rewards(&house, &key).await.refused(403, "api_key_address");
}

#[tokio::test]
async fn when_and_from_where_a_key_was_used_is_on_the_list() {
    let house = TestApp::open("key_used").await;
    let ask = async |peer: &str| {
        let key = &house.admin;
        let request = Request::get("/api/v1/rewards").header("authorization", format!("Bearer {key}"));
        house.send(from(request.body(Body::empty()).unwrap(), peer)).await.ok();
    };
    let used = async |from: &str| {
        // It is recorded asynchronously, so it may appear a moment later.
        for _ in 0..200 {
            let mut db = house.app.store.read().await.unwrap();
            let hash = bursar::secrets::token_hash(&house.admin);
            let key = bursar::store::people::by_key_hash(&mut db, &hash).await.unwrap().unwrap();
            if key.seen_from.as_deref() == Some(from) {
                return key.person.last_seen_at.unwrap();
            }
            drop(db);
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        panic!("{from} was never noted");
    };
    let began = house.app.clock.now();
    ask("203.0.113.9").await;
    assert_eq!(used("203.0.113.9").await, began);
    // A new address is recorded sooner than a repeated one.
    house.clock.pass(2 * 60 * 1_000_000);
    ask("203.0.113.9").await;
    assert_eq!(used("203.0.113.9").await, began);
    ask("198.51.100.1").await;
    assert_eq!(used("198.51.100.1").await, began + 2 * 60 * 1_000_000);
}

/// A key created on a page, and one with the scope `settings`, cannot weaken safeguards but can strengthen them.
#[tokio::test]
async fn a_safeguard_is_not_weakened_by_a_key() {
    let house = TestApp::open("key_lowers").await;
    let pat = administrator(&house, "pat").await;
    let on_a_page = NewKey::of("page", Role::Admin, Scopes::kept("read,write"));
    let on_a_page = people::make_key(&house.app, &pat.id.to_string(), &on_a_page).await.unwrap();
    let narrow = made(&house, Role::Admin, "read,settings").await;
    let usd = |value: &str| json!([{"value": value, "currency": "USD"}]);
    for key in [&on_a_page, &narrow] {
        let put = async |change: Value| house.call_as(key, "PUT", "/settings/payout", change, &[]).await;
        let safe = json!({
            "cooling_off_hours": 48, "two_person_release": true, "us_tax_tracking": true,
            "limits": {"per_batch": usd("100.00")}, "internal_recipients": ["ops@example.com"],
        });
        house.call("PUT", "/settings/payout", safe).await.ok();
        for (change, field) in [
            (json!({"two_person_release": false}), "two_person_release"),
            (json!({"us_tax_tracking": false}), "us_tax_tracking"),
            (json!({"cooling_off_hours": 47}), "cooling_off_hours"),
            (json!({"limits": {}}), "limits.per_batch"),
            (json!({"limits": {"per_batch": usd("100.01")}}), "limits.per_batch"),
            (json!({"internal_recipients": []}), "internal_recipients"),
        ] {
            let answer = put(change).await;
            answer.refused(403, "person_needed");
            assert!(answer.body["detail"].as_str().unwrap().contains(field), "{:#}", answer.body);
        }
        let safer = json!({"cooling_off_hours": 72, "limits": {"per_batch": usd("99.00")}});
        put(safer).await.ok();
        put(json!({"fiscal_year_start": "04-01"})).await.ok();
    }
    // Anything that would outlive the key, or keep others from being notified, is reserved for people and the operator's
    // own keys.
    let slow = |days: i64| json!({"name": "Slow", "type": "cash", "hold_days": days});
    house.call("PUT", "/accounts/a", json!({"name": "A"})).await.ok();
    house
        .call("PUT", "/partners/p", json!({"name": "P", "email": "p@example.com", "account": "a"}))
        .await
        .ok();
    house.call("PUT", "/programs/slow", slow(30)).await.ok();
    let words = json!({"subject": "Summary", "body": "All is well."});
    for (method, path, body) in [
        ("POST", "/partners/p/invite", json!({"role": "partner"})),
        ("PUT", "/settings/notices/payment_failed/en", words),
        ("PUT", "/programs/slow", slow(29)),
        ("DELETE", "/settings/vendors/paypal", Value::Null),
    ] {
        let once: &[(&str, &str)] = if method == "POST" { &[("idempotency-key", "invite")] } else { &[] };
        house.call_as(&on_a_page, method, path, body, once).await.refused(403, "person_needed");
    }
    house.call_as(&on_a_page, "PUT", "/programs/slow", slow(31), &[]).await.ok();
    // Nor by creating a new program.
    let new = |days: i64| json!({"name": "Fast", "type": "cash", "hold_days": days});
    for days in [0, 30] {
        house
            .call_as(&on_a_page, "PUT", "/programs/fast", new(days), &[])
            .await
            .refused(403, "person_needed");
    }
    house.call_as(&on_a_page, "PUT", "/programs/as_slow", new(31), &[]).await.ok();
    house.call("PUT", "/programs/fast", json!({"name": "Fast", "type": "cash"})).await.ok();
    house.call("PUT", "/activities/deal", json!({"name": "Deal", "program": "slow"})).await.ok();
    let faster = json!({"name": "Deal", "program": "fast"});
    house.call_as(&on_a_page, "PUT", "/activities/deal", faster, &[]).await.refused(403, "person_needed");
    house.call("PUT", "/programs/slow", slow(0)).await.ok();
}

#[tokio::test]
async fn keys_that_pay_or_administer_can_be_made_to_name_addresses() {
    let house = TestApp::open("key_rules").await;
    let (pat, kim) = (administrator(&house, "pat").await, administrator(&house, "kim").await);
    house.clock.pass(2 * DAY);
    let refused = keys::require_addresses(&house.app, &pat, true).await.unwrap_err();
    assert!(matches!(&refused, OpsError::Refused(why) if why.sentence.contains("admin")), "{refused:?}");
    let admin = people::by_key(&house.app, &house.admin, None).await.unwrap().actor().unwrap();
    people::revoke(&house.app, &pat, admin.id).await.unwrap();
    let reads = made(&house, Role::Admin, "read").await;
    keys::require_addresses(&house.app, &pat, true).await.unwrap();
    rewards(&house, &reads).await.ok();
    let mut new = NewKey::of("k", Role::Payer, Scopes::kept("pay"));
    let by = MachineUser("anna (user id 1000)");
    for refused in [
        people::create_key_at_the_machine(&house.app, &new, by).await,
        people::make_key(&house.app, &pat.id.to_string(), &new).await,
    ] {
        assert!(
            matches!(&refused, Err(OpsError::Refused(why)) if why.code == "addresses_required"),
            "{refused:?}"
        );
    }
    new.addresses = keys::addresses("203.0.113.7").unwrap();
    let key = people::make_key(&house.app, &pat.id.to_string(), &new).await.unwrap();
    let id = people::by_key(&house.app, &key, Some("203.0.113.7".parse().unwrap())).await.unwrap();
    let id = id.actor().unwrap().id;
    let taken = keys::change_addresses(&house.app, &pat, id, &[]).await;
    assert!(matches!(&taken, Err(OpsError::Refused(why)) if why.code == "addresses_required"), "{taken:?}");
    // Turning the requirement off takes two people.
    let alone = keys::require_addresses(&house.app, &pat, false).await;
    assert!(
        matches!(&alone, Err(OpsError::Conflict(why)) if why.code == "second_person_needed"),
        "{alone:?}"
    );
    keys::require_addresses(&house.app, &kim, false).await.unwrap();
    keys::change_addresses(&house.app, &pat, id, &[]).await.unwrap();
    let answer = house.call_as(&key, "POST", "/batches/nobody/pay", json!({}), &[]).await;
    assert!(answer.status != 401 && answer.status != 403, "{:#}", answer.body);
}

/// If allowlists are required, a paying key without one is rejected, however it came to exist.
#[tokio::test]
async fn where_addresses_are_required_a_key_without_is_refused() {
    let house = TestApp::open("key_rule_held").await;
    let mut tx = house.app.store.begin().await.unwrap();
    let rule = "{\"addresses_required\":true}";
    assert!(bursar::store::settings::put(&mut tx, "api_keys", rule, 0, 0).await.unwrap());
    tx.commit().await.unwrap();
    house.get("/rewards").await.refused(403, "api_key_addresses_required");
}

#[tokio::test]
async fn keys_are_listed_and_revoked_and_not_made_by_a_key() {
    let house = TestApp::open("key_list").await;
    let key = made(&house, Role::Auditor, "read").await;
    let listed = house.get("/api-keys").await.ok();
    let one = called(&listed, "k");
    assert_eq!(one["scopes"], json!(["read"]));
    assert_eq!((&one["role"], &one["state"]), (&json!("auditor"), &json!("works")));
    assert_eq!((&one["made_by"], &one["last_four"]), (&json!("operator"), &json!(key[key.len() - 4..])));
    assert!(!listed.to_string().contains(&key[4..20]));
    house.call("POST", "/api-keys", json!({"name": "k"})).await.refused(405, "method_not_allowed");
    let path = format!("/api-keys/{}", one["id"].as_str().unwrap());
    assert_eq!(house.call("DELETE", &path, Value::Null).await.status, 204);
    rewards(&house, &key).await.refused(401, "unauthenticated");
    assert_eq!(house.get("/api-keys").await.ok()["data"].as_array().unwrap().len(), 1);
    let all = house.get("/api-keys?revoked=true").await.ok();
    assert_eq!(called(&all, "k")["state"], "revoked");
    house.call("DELETE", "/api-keys/nobody", Value::Null).await.refused(404, "not_found");
    let somebody = administrator(&house, "pat").await;
    let path = format!("/api-keys/{}", somebody.id);
    house.call("DELETE", &path, Value::Null).await.refused(404, "not_found");
    let new = TeamMember { email: "lee@example.com".to_owned(), name: "Lee".to_owned(), role: Role::Auditor };
    team::invite(&house.app, &somebody, &new).await.unwrap();
}
