//! Rewards from creation to the pool: values, decisions, edits, lists, and visibility.

use axum::body::Body;
use axum::http::Request;
use bursar::ops::people;
use payout::access::Role;
use serde_json::{Value, json};

use super::TestApp;

#[tokio::test]
async fn the_catalogue_keeps_what_is_not_named() {
    let house = TestApp::open("catalogue").await;
    house.seed_data().await;
    let changed = house.call("PUT", "/accounts/bolt", json!({"owner_email": "o@example.com"})).await;
    assert_eq!(changed.status, 200);
    assert_eq!(changed.body["country"], "DE");
    let cleared = house.call("PUT", "/accounts/bolt", json!({"country": null})).await.ok();
    assert_eq!((&cleared["country"], &cleared["name"]), (&Value::Null, &json!("Bolt")));
    let id = cleared["id"].as_str().unwrap();
    assert_eq!(house.get(&format!("/accounts/{id}")).await.ok()["external_id"], "bolt");
    let refusals = [
        ("/accounts/bolt", json!({"country": "Germany"}), "invalid_country"),
        ("/partners/ana", json!({"email": "nonsense"}), "invalid_email"),
        ("/partners/ana", json!({"account": "nobody"}), "unknown_account"),
        ("/programs/growth", json!({"type": "gold"}), "unknown_value"),
        ("/activities/course", json!({"value": {"value": "1", "currency": "EUR"}}), "not_cash"),
        ("/activities/deal", json!({"value": {"points": 5}}), "not_points"),
    ];
    for (path, body, code) in refusals {
        house.call("PUT", path, body).await.refused(422, code);
    }
    let page = house.get("/partners?limit=2").await.ok();
    let next = page["next"].as_str().unwrap();
    let rest = house.get(&format!("/partners?limit=2&after={next}")).await.ok();
    assert_eq!((page["has_more"].as_bool(), rest["has_more"].as_bool()), (Some(true), Some(false)));
    assert_eq!(rest["data"][0]["external_id"], "cem");
    assert_eq!(house.get("/partners?account=acme").await.ok()["data"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_reward_is_entered_once() {
    let house = TestApp::open("entry").await;
    house.seed_data().await;
    let body = json!({"external_id": "R1", "activity": "cert", "owner": "ana", "payment_type": "organization",
        "form_data": {"deal": "D-1"}, "earned_on": "2026-03-01", "expires_on": "2026-12-31"});
    let first = house.call("POST", "/rewards", body.clone()).await;
    assert_eq!(first.status, 201);
    assert_eq!(first.body["value"], json!({"value": "150.00", "currency": "USD"}));
    assert_eq!(first.body["number"], "RW-000001");
    assert_eq!((&first.body["owner"], &first.body["payee"]["external_id"]), (&json!("ana"), &json!("acme")));
    assert_eq!(
        (&first.body["status"], &first.body["expires_on"]),
        (&json!("submitted"), &json!("2026-12-31"))
    );
    assert_eq!(first.body["expires_at"], "2027-01-01T00:00:00.000000Z");
    let again = house.call("POST", "/rewards", body.clone()).await;
    assert_eq!((again.status.as_u16(), &again.body["id"]), (200, &first.body["id"]));
    let mut other = body;
    other["note"] = json!("other");
    house.call("POST", "/rewards", other).await.refused(409, "external_id_conflict");
    let points = json!({"external_id": "R2", "activity": "course", "owner": "ana"});
    let points = house.call("POST", "/rewards", points).await.ok();
    assert_eq!((&points["value"], &points["payment_type"]), (&json!({"points": 350}), &Value::Null));
}

#[tokio::test]
async fn only_an_amount_is_an_amount() {
    let house = TestApp::open("amounts").await;
    house.seed_data().await;
    let euro = |value: Value| json!({"value": value, "currency": "EUR"});
    let rows = [
        (euro(json!("-5.00")), "signed_amount"),
        (euro(json!("0")), "not_positive"),
        (euro(json!("1.234")), "too_many_digits"),
        (euro(json!("1e3")), "exponent"),
        (euro(json!("1,000.00")), "thousands_mark"),
        (euro(json!(".5")), "not_a_number"),
        (euro(json!("1.")), "not_a_number"),
        (euro(json!("1234567890123456789012345678901234567890")), "too_large"),
        (euro(json!(10)), "wrong_type"),
        (euro(json!(10.5)), "wrong_type"),
        (euro(json!(true)), "wrong_type"),
        (euro(json!(["10"])), "wrong_type"),
        (json!({"value": "10", "currency": "XXX"}), "unknown_currency"),
        (json!({"value": "10", "currency": "euro"}), "unknown_currency"),
        (json!({"value": "10"}), "missing"),
        (json!({"points": 10}), "not_points"),
        (json!("10"), "wrong_type"),
    ];
    for (value, code) in rows {
        let body = json!({"external_id": "R1", "activity": "deal", "owner": "ana", "value": value});
        let answer = house.call("POST", "/rewards", body).await;
        answer.refused(422, code);
        assert!(answer.body["errors"][0]["pointer"].as_str().unwrap().starts_with("/value"), "{code}");
    }
    assert_eq!(house.get("/rewards").await.ok()["data"], json!([]), "nothing was entered");
}

#[tokio::test]
async fn decisions_follow_the_rules_and_move_the_books() {
    let house = TestApp::open("decisions").await;
    house.seed_data().await;
    let reward = house.reward("R1", "ana", "120.00").await;
    let payable = format!("payable:{}", reward["owner_id"].as_str().unwrap());
    let decide =
        async |what: &str, body: Value| house.call("POST", &format!("/rewards/R1/{what}"), body).await;
    decide("reject", json!({})).await.refused(422, "reason_required");
    assert_eq!(decide("review", Value::Null).await.ok()["status"], "in_review");
    assert_eq!(decide("approve", json!({})).await.ok()["status"], "approved");
    assert_eq!(house.balance(&payable).await, "-120.00");
    decide("approve", json!({})).await.refused(409, "not_pending");
    house.call("DELETE", "/rewards/R1", Value::Null).await.refused(409, "was_approved");
    let edit = json!({"value": {"value": "100", "currency": "EUR"}});
    let edited = house.call("PATCH", "/rewards/R1", edit).await.ok();
    assert_eq!((&edited["status"], &edited["value"]["value"]), (&json!("in_review"), &json!("100.00")));
    assert_eq!(house.balance(&payable).await, "0.00");
    decide("approve", json!({})).await.ok();
    assert_eq!(house.balance(&payable).await, "-100.00");
    let void = decide("void", json!({"reason": "entered twice", "show_reason_to_partner": true})).await.ok();
    assert_eq!((&void["status"], &void["show_reason_to_partner"]), (&json!("void"), &json!(true)));
    assert_eq!(house.balance(&payable).await, "0.00");
    house.reward("R2", "ana", "1.00").await;
    assert_eq!(house.call("DELETE", "/rewards/R2", Value::Null).await.status, 204);
    house.get("/rewards/R2").await.refused(404, "not_found");
    house.reward("R3", "ana", "1.00").await;
    let other = json!({"value": {"value": "1", "currency": "USD"}});
    house.call("PATCH", "/rewards/R3", other).await.refused(422, "currency_changed");
    house
        .call(
            "POST",
            "/rewards/R3/clawback",
            json!({"value": {"value": "1", "currency": "EUR"}, "reason": "x"}),
        )
        .await
        .refused(409, "not_paid");
}

#[tokio::test]
async fn many_are_decided_at_once() {
    let house = TestApp::open("bulk").await;
    house.seed_data().await;
    let mut ids = Vec::new();
    for number in 0..5 {
        ids.push(house.reward(&format!("R{number}"), "ana", "10.00").await["id"].clone());
    }
    house.call("POST", "/rewards/R0/approve", Value::Null).await.ok();
    let body = json!({"action": "approve", "ids": [ids[0], ids[1]]});
    let done = house.call("POST", "/rewards/bulk", body).await.ok();
    assert_eq!(done["done"], json!([ids[1]]));
    assert_eq!(done["skipped"], json!([{"id": ids[0], "code": "not_pending"}]));
    let all =
        |count: i64| json!({"action": "approve", "filter": {"view": "pending"}, "expected_count": count});
    house.call("POST", "/rewards/bulk", all(4)).await.refused(409, "count_changed");
    assert_eq!(house.call("POST", "/rewards/bulk", all(3)).await.ok()["done"].as_array().unwrap().len(), 3);
    let rejecting = json!({"action": "reject", "ids": [ids[0]]});
    house.call("POST", "/rewards/bulk", rejecting).await.refused(422, "reason_required");
    assert_eq!(house.balance("reward_expense").await, "50.00");
    let trail = house.get("/audit?limit=200").await.ok();
    let approvals = trail["data"].as_array().unwrap().iter().filter(|row| row["action"] == "reward_approved");
    assert_eq!(approvals.count(), 5, "each has its row");
}

#[tokio::test]
async fn a_reward_tells_all_that_stands_in_its_way() {
    let house = TestApp::open("gates").await;
    house.seed_data().await;
    let codes = async |id: &str| {
        let answer = house.get(&format!("/rewards/{id}/eligibility")).await.ok();
        let blockers = answer["blockers"].as_array().unwrap().clone();
        assert_eq!(answer["eligible"], blockers.is_empty());
        // Payouts are off in this installation: the first blocker of every unpaid cash reward.
        let codes = blockers.iter().map(|blocker| blocker["code"].as_str().unwrap().to_owned());
        codes.filter(|code| code != "module_disabled").collect::<Vec<_>>()
    };
    house.reward("R1", "ana", "10.00").await;
    assert_eq!(codes("R1").await, ["reward_not_approved", "profile_missing"]);
    house.call("PUT", "/programs/growth", json!({"hold_days": 2})).await.ok();
    house.call("PUT", "/partners/ana", json!({"standing": "on_hold", "note": "audit"})).await.ok();
    house.call("POST", "/rewards/R1/approve", Value::Null).await.ok();
    assert_eq!(codes("R1").await, ["reward_in_hold_period", "partner_on_hold", "profile_missing"]);
    house.pass_days(3);
    house.call("PATCH", "/rewards/R1", json!({"expires_on": "2026-03-04"})).await.ok();
    assert_eq!(codes("R1").await, ["reward_expired", "partner_on_hold", "profile_missing"]);
    assert_eq!(house.get("/rewards/R1").await.ok()["status"], "expired");
    let none = house.get("/rewards?view=eligible").await.ok();
    let not_yet = house.get("/rewards?view=not_eligible").await.ok();
    assert_eq!((none["data"].as_array().unwrap().len(), not_yet["data"].as_array().unwrap().len()), (0, 1));
}

#[tokio::test]
async fn lists_page_by_key_in_every_sort() {
    let house = TestApp::open("lists").await;
    house.seed_data().await;
    for number in 0..7 {
        let value = format!("{}.00", (number * 5) % 7 + 1);
        house.reward(&format!("R{number}"), if number % 2 == 0 { "ana" } else { "cem" }, &value).await;
    }
    for sort in ["-created_at", "created_at", "number", "-number", "value", "-value"] {
        let whole = house.get(&format!("/rewards?sort={sort}")).await.ok()["data"].clone();
        let (mut paged, mut after) = (Vec::new(), String::new());
        loop {
            let page = house.get(&format!("/rewards?sort={sort}&limit=2{after}")).await.ok();
            paged.extend(page["data"].as_array().unwrap().clone());
            let Some(next) = page["next"].as_str() else { break };
            after = format!("&after={next}");
        }
        assert_eq!(whole, json!(paged), "{sort}");
        let text = if sort.contains("value") { "/value/value" } else { "/number" };
        let mut keys: Vec<_> = paged.iter().map(|row| row.pointer(text).unwrap().as_str().unwrap()).collect();
        if sort.starts_with('-') {
            keys.reverse();
        }
        assert!(keys.is_sorted(), "{sort} {keys:?}");
    }
    let count = async |query: &str| {
        house.get(&format!("/rewards?{query}")).await.ok()["data"].as_array().unwrap().len()
    };
    let rows = [
        ("owner=ana", 4),
        ("account=bolt", 3),
        ("program=academy", 0),
        ("activity=deal&type=cash", 7),
        ("currency=EUR&value_min=3&value_max=5", 3),
        ("created_from=2026-03-02&created_to=2026-03-02", 7),
        ("created_from=2026-03-03", 0),
        ("q=RW-000003", 1),
        ("q=R3", 1),
        ("view=pending&status=submitted,in_review", 7),
        ("view=paid", 0),
        ("status=approved", 0),
        ("owner=", 7),
    ];
    for (query, expected) in rows {
        assert_eq!(count(query).await, expected, "{query}");
    }
    let number = house.get("/rewards?sort=number&limit=1").await.ok()["next"].as_str().unwrap().to_owned();
    house.get(&format!("/rewards?sort=value&after={number}")).await.refused(422, "invalid");
}

#[tokio::test]
async fn a_partner_sees_only_what_is_their_own() {
    let house = TestApp::open("own").await;
    house.seed_data().await;
    for (id, owner) in [("A", "ana"), ("B", "ben"), ("C", "cem")] {
        house.reward(id, owner, "10.00").await;
    }
    let seen = async |key: &str, path: &str, field: &str| {
        let rows = house.call_as(key, "GET", path, Value::Null, &[]).await.ok()["data"].clone();
        let mut names: Vec<String> =
            rows.as_array().unwrap().iter().map(|row| row[field].as_str().unwrap().to_owned()).collect();
        names.sort();
        names.join(" ")
    };
    let (own, company) =
        (house.key(Role::Partner, Some("ana")).await, house.key(Role::PartnerAdmin, Some("ana")).await);
    for (path, own_sees, company_sees) in
        [("/rewards", "A", "A B"), ("/partners", "ana", "ana ben"), ("/accounts", "acme", "acme")]
    {
        assert_eq!(seen(&own, path, "external_id").await, own_sees, "{path}");
        assert_eq!(seen(&company, path, "external_id").await, company_sees, "{path}");
    }
    for (key, path, status) in [
        (&own, "/rewards/A", 200),
        (&own, "/rewards/B", 404),
        (&company, "/rewards/B", 200),
        (&company, "/rewards/C", 404),
        (&company, "/rewards/C/eligibility", 404),
        (&own, "/partners/ben", 404),
        (&company, "/partners/ben", 200),
        (&own, "/accounts/bolt", 404),
        (&own, "/accounts/acme", 200),
        (&own, "/batches/none", 404),
    ] {
        assert_eq!(house.call_as(key, "GET", path, Value::Null, &[]).await.status, status, "{path}");
    }
    house
        .call_as(&own, "POST", "/rewards/A/approve", Value::Null, &[])
        .await
        .refused(403, "permission_denied");
}

/// The hold period counts from the date entered with the reward. Reviewers see if that date has already used it up.
#[tokio::test]
async fn a_hold_that_was_over_by_its_date_is_told_to_whoever_decides() {
    let house = TestApp::open("hold_over").await;
    house.seed_data().await;
    let enter = async |external_id: &str, activity: &str, earned_on: Value| {
        let value = json!({"value": "5.00", "currency": "EUR"});
        let mut body =
            json!({"external_id": external_id, "activity": activity, "owner": "ana", "value": value});
        body["earned_on"] = earned_on;
        house.call("POST", "/rewards", body).await.ok()
    };
    let without = enter("h0", "deal", json!("1990-01-01")).await;
    assert_eq!(without["hold_over_at_entry"], false, "there is no hold");
    let program = json!({"name": "Held", "type": "cash", "hold_days": 14});
    house.call("PUT", "/programs/held", program).await.ok();
    house.call("PUT", "/activities/held-deal", json!({"name": "Held deal", "program": "held"})).await.ok();
    for (id, earned_on, over) in
        [("h1", json!(null), false), ("h2", json!("2026-03-01"), false), ("h3", json!("1990-01-01"), true)]
    {
        let reward = enter(id, "held-deal", earned_on).await;
        assert_eq!(reward["hold_over_at_entry"], over, "{reward:#}");
        let again = house.get(&format!("/rewards/{}", reward["number"].as_str().unwrap())).await.ok();
        assert_eq!(again["hold_over_at_entry"], over);
    }
    // The review list shows it next to the status.
    let new = people::NewPerson {
        email: "pat@example.com".to_owned(),
        name: "Pat".to_owned(),
        role: Role::ProgramManager,
        partner: None,
        password: None,
    };
    let link = people::add(&house.app, &new).await.unwrap();
    let path = link.strip_prefix(&house.app.base_url).unwrap().to_owned();
    let form = "application/x-www-form-urlencoded";
    let entered =
        house.send(Request::post(&path).header("content-type", form).body(Body::empty()).unwrap()).await;
    let cookie = entered.header("set-cookie").split(';').next().unwrap().to_owned();
    let look = Request::get("/rewards?view=pending").header("cookie", cookie).body(Body::empty()).unwrap();
    let list = house.send(look).await.body.as_str().unwrap().to_owned();
    assert_eq!(list.matches("Its hold period was already over when it was entered").count(), 1, "{list}");
    // If the hold was still running at entry, it ends normally, which is not flagged.
    house.pass_days(30);
    assert_eq!(house.get("/rewards/h2").await.ok()["hold_over_at_entry"], false);
}
