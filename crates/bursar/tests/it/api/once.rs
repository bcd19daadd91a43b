//! Idempotency keys and entity tags.

use axum::body::Body;
use axum::http::Request;
use bursar::ops::idempotency::{self, Idempotency, KeyOutcome, Reply};
use bursar::ops::people::{self, NewKey};
use payout::access::Role;
use serde_json::{Value, json};
use sqlx::Connection as _;
use tower::ServiceExt as _;

use super::{TestApp, all_scopes};
use crate::nodes::{beside, run};
use crate::scenarios::Stage;

fn reward(id: &str) -> Value {
    json!({"external_id": id, "activity": "deal", "owner": "ana", "value": {"value": "10", "currency": "EUR"}})
}

#[tokio::test]
async fn the_same_key_answers_the_same_again() {
    let house = TestApp::open("keys").await;
    house.seed_data().await;
    let key: &[(&str, &str)] = &[("idempotency-key", "k1")];
    let post = async |body: Value| house.call_as(&house.admin, "POST", "/rewards", body, key).await;
    let first = post(reward("R1")).await;
    let again = post(reward("R1")).await;
    assert_eq!((first.status.as_u16(), again.status.as_u16()), (201, 201));
    assert_eq!(first.body, again.body);
    assert_eq!((first.header("idempotent-replayed"), again.header("idempotent-replayed")), ("", "true"));
    post(reward("R2")).await.refused(422, "idempotency_key_reused");
    let refused: &[(&str, &str)] = &[("idempotency-key", "k2")];
    let path = "/rewards/nobody/approve";
    let first = house.call_as(&house.admin, "POST", path, Value::Null, refused).await;
    let again = house.call_as(&house.admin, "POST", path, Value::Null, refused).await;
    assert_eq!((first.status.as_u16(), again.header("idempotent-replayed")), (404, "true"));
    assert_eq!(first.body, again.body, "a refusal is answered again as well");
    house.pass_days(31);
    assert_eq!(idempotency::delete_expired(&house.app, house.app.clock.now()).await.unwrap(), 2);
    assert_eq!(
        idempotency::delete_expired(&house.app, house.app.clock.now()).await.unwrap(),
        0,
        "once an hour is enough"
    );
    assert_eq!(post(reward("R1")).await.status, 200, "after 30 days the key is new; the reward exists");
}

#[tokio::test]
async fn what_was_answered_in_the_end_is_answered_again() {
    let house = TestApp::open("in_the_end").await;
    let begin = async || idempotency::begin(&house.app, "per_1", "k", "h").await.unwrap();
    let KeyOutcome::First(mark) = begin().await else { panic!("a new key is free") };
    let short = |(): &()| Reply { status: 202, content_type: "t".into(), body: "not known yet".into() };
    let mut tx = house.app.store.begin().await.unwrap();
    idempotency::finish(&mut tx, Some(&Idempotency::new(mark.clone(), short)), &()).await.unwrap();
    tx.commit().await.unwrap();
    let KeyOutcome::Answered(reply) = begin().await else {
        panic!("the effect and its answer are there together")
    };
    assert_eq!(reply.status, 202);
    let whole = Reply { status: 409, content_type: "t".into(), body: "the vendor refused".into() };
    idempotency::keep(&house.app, &mark, &whole).await.unwrap();
    assert!(matches!(begin().await, KeyOutcome::Answered(reply) if reply == whole));
}

#[tokio::test]
async fn a_running_key_is_in_use_until_its_lease_runs_out() {
    let house = TestApp::open("lease").await;
    let begin = async || idempotency::begin(&house.app, "per_1", "k", "h").await.unwrap();
    let KeyOutcome::First(dead) = begin().await else { panic!("a new key is free") };
    assert!(matches!(begin().await, KeyOutcome::Running));
    house.clock.pass(31_000_000);
    assert!(matches!(begin().await, KeyOutcome::First(_)), "taken over from a process that died");
    idempotency::forget(&house.app, &dead).await.unwrap();
    assert!(matches!(begin().await, KeyOutcome::Running), "the one that died holds it no more");
}

#[tokio::test]
async fn a_file_needs_a_key() {
    let house = TestApp::open("file_key").await;
    let request = Request::builder()
        .method("POST")
        .uri("/api/v1/rewards/import")
        .header("authorization", format!("Bearer {}", house.admin))
        .header("content-type", "text/csv")
        .body(Body::from("external_id,activity,owner,value,currency\n"));
    house.send(request.unwrap()).await.refused(400, "idempotency_key_required");
}

#[tokio::test]
async fn a_stale_tag_gets_the_newer_object() {
    let house = TestApp::open("tags").await;
    house.seed_data().await;
    house.reward("R1", "ana", "10").await;
    let tag = house.get("/rewards/R1").await.header("etag").to_owned();
    let edit = async |tag: &str, value: &str| {
        let body = json!({"value": {"value": value, "currency": "EUR"}});
        house.call_as(&house.admin, "PATCH", "/rewards/R1", body, &[("if-match", tag)]).await
    };
    let edited = edit(&tag, "11").await;
    assert_eq!(edited.status, 200);
    let stale = edit(&tag, "12").await;
    stale.refused(412, "precondition_failed");
    assert_eq!(stale.body["current"]["value"]["value"], "11.00");
    assert_eq!(edit(edited.header("etag"), "12").await.status, 200);
    assert_eq!(edit("\"nonsense\"", "13").await.status, 412);

    let settings = house.get("/settings/payout").await;
    assert_eq!(settings.body["cooling_off_hours"], 72);
    let tag = settings.header("etag").to_owned();
    let put = async |body: Value, tag: &str| {
        house.call_as(&house.admin, "PUT", "/settings/payout", body, &[("if-match", tag)]).await
    };
    assert_eq!(put(json!({"cooling_off_hours": 0}), &tag).await.ok()["cooling_off_hours"], 0);
    put(json!({"cooling_off_hours": 1}), &tag).await.refused(412, "precondition_failed");
    let refused = house.call("PUT", "/settings/payout", json!({"enabled": true})).await;
    refused.refused(422, "payout_method_required");
    assert_eq!(refused.body["errors"][0]["detail"], "Payout method must be selected");
    let nobody = json!({"enabled": true, "vendors": ["paypal", "stripe"]});
    let refused = house.call("PUT", "/settings/payout", nobody).await;
    refused.refused(422, "vendor_not_connected");
    let thresholds =
        json!({"vendors": ["paypal", "stripe"], "earning_thresholds": [{"value": "50", "currency": "EUR"}]});
    let saved = house.call("PUT", "/settings/payout", thresholds).await.ok();
    assert_eq!(saved["earning_thresholds"], json!([{"value": "50.00", "currency": "EUR"}]));
    assert_eq!(saved["cooling_off_hours"], 0, "what is not named keeps its value");
}

/// Whoever changes a draft with the tag of an earlier version is refused and gets the present one.
#[tokio::test]
async fn a_draft_is_changed_only_as_it_was_seen() {
    let house = TestApp::open("draft_tags").await;
    house.seed_data().await;
    let mut ids = Vec::new();
    for name in ["R1", "R2"] {
        ids.push(house.reward(name, "ana", "10").await["id"].clone());
        house.call("POST", &format!("/rewards/{name}/approve"), Value::Null).await.ok();
    }
    let formed = house.call("POST", "/batches", json!({"rewards": [ids[0]]})).await;
    let path = format!("/batches/{}", formed.body["id"].as_str().unwrap());
    let (rewards, seen) = (format!("{path}/rewards"), formed.header("etag").to_owned());
    let ask = async |method: &str, path: &str, body: Value, tag: &str| {
        house.call_as(&house.admin, method, path, body, &[("if-match", tag)]).await
    };
    let added = ask("POST", &rewards, json!({"rewards": [ids[1]]}), &seen).await;
    assert_eq!(added.status, 200, "{:#}", added.body);
    let now = added.header("etag").to_owned();
    assert_ne!(seen, now);
    let skipped = json!({"payee": "ana", "currency": "EUR", "reason": "they asked for it"});
    let blocked = format!("{path}/remove-blocked");
    for (method, path, body) in [
        ("POST", rewards.as_str(), json!({"rewards": [ids[1]]})),
        ("DELETE", &rewards, json!({"rewards": [ids[1]]})),
        ("POST", &blocked, Value::Null),
        ("POST", &format!("{path}/override-threshold"), skipped),
        ("POST", &format!("{path}/release"), json!({"digest": added.body["digest"]})),
        ("DELETE", &path, Value::Null),
    ] {
        let stale = ask(method, path, body, &seen).await;
        stale.refused(412, "precondition_failed");
        assert_eq!(stale.body["current"]["digest"], added.body["digest"], "{method} {path}");
    }
    assert_eq!(house.get(&path).await.header("etag"), now, "nothing was changed");
    assert_eq!(ask("DELETE", &path, Value::Null, &now).await.status, 200);
}

/// A database in which every key named `taken-…` belongs to another request before its own verb ends, as if its lease had
/// run out on the way.
struct TakenOver {
    stage: Stage,
    pat: String,
    kim: String,
    count: u32,
}

impl TakenOver {
    async fn open(name: &str) -> Self {
        let stage = Stage::open(name, 502).await;
        let mut database = beside(&stage.world).await;
        let whole: &[&str] = match stage.world.app.store.engine_name() {
            "postgres" => &[
                "CREATE FUNCTION taken_over() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
                 IF NEW.key LIKE 'taken-%' THEN NEW.fence := NEW.fence + 1; END IF; RETURN NEW; END $$",
                "CREATE TRIGGER taken_over BEFORE INSERT ON idempotency FOR EACH ROW EXECUTE FUNCTION taken_over()",
            ],
            _ => {
                &["CREATE TRIGGER taken_over AFTER INSERT ON idempotency WHEN NEW.key LIKE 'taken-%' BEGIN \
                    UPDATE idempotency SET fence = fence + 1 WHERE person_id = NEW.person_id AND key = NEW.key; END"]
            }
        };
        for one in whole {
            run(&mut database, one).await.unwrap();
        }
        database.close().await.unwrap();
        let key = async |by: &str| {
            let new = NewKey::of("k", Role::Admin, all_scopes(Role::Admin));
            people::make_key(&stage.world.app, by, &new).await.unwrap()
        };
        let (pat, kim) =
            (key(&stage.world.actor.id.to_string()).await, key(&stage.world.other.id.to_string()).await);
        Self { stage, pat, kim, count: 0 }
    }

    async fn play(&mut self, story: &str) {
        for line in story.lines().map(str::trim).filter(|line| !line.is_empty()) {
            self.stage.one(line).await.unwrap_or_else(|why| panic!("{line}: {why}"));
        }
    }

    async fn send(&self, by: &str, path: &str, once: &str, body: &str) -> (u16, Value) {
        let kind = if body.starts_with('{') { "application/json" } else { "text/csv" };
        let mut request = Request::post(format!("/api/v1{path}"))
            .header("authorization", format!("Bearer {by}"))
            .header("idempotency-key", once);
        if !body.is_empty() {
            request = request.header("content-type", kind);
        }
        let router = bursar::web::router(self.stage.world.works[0].clone());
        let answer = router.oneshot(request.body(Body::from(body.to_owned())).unwrap()).await.unwrap();
        let status = answer.status().as_u16();
        let bytes = axum::body::to_bytes(answer.into_body(), 1 << 22).await.unwrap();
        (status, serde_json::from_slice(&bytes).unwrap())
    }

    /// Asks with a key that another request takes over, which must change nothing, and then with one of its own.
    async fn twice(&mut self, by: &str, path: &str, body: impl ToString, status: u16) -> Value {
        self.count += 1;
        let body = body.to_string();
        let (refused, why) = self.send(by, path, &format!("taken-{}", self.count), &body).await;
        assert_eq!((refused, why["code"].as_str()), (409, Some("idempotency_key_in_use")), "{path} {why:#}");
        let (done, answer) = self.send(by, path, &format!("own-{}", self.count), &body).await;
        assert_eq!(done, status, "{path} {answer:#}");
        answer
    }

    async fn payment(&mut self, whom: &str, deed: &str) -> String {
        format!("/transactions/{}/{deed}", self.stage.number(whom).await.unwrap())
    }
}

/// A verb stores its answer in its own database transaction. So whoever has lost their key to a retry while they ran changes
/// nothing, and a process that dies after the change leaves the answer to it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_has_lost_their_key_to_a_retry_changes_nothing() {
    let mut house = TakenOver::open("taken_over").await;
    let (pat, kim) = (house.pat.clone(), house.kim.clone());
    house
        .play(
            "settings cooling-off 0
            partner ana paypal ana@example.com
            partner bo stripe acct_sim_closed_bo
            partner cy paypal sim-unclaimed-cy@example.com
            partner di paypal sim-closed-di@example.com
            partner ed paypal sim-closed-ed@example.com
            partner fay stripe acct_sim_closed_fay
            reward R1 ana 10.00 approved
            reward R2 bo 10.00 approved
            reward R3 cy 10.00 approved
            reward R4 di 10.00 approved
            reward R5 ed 10.00 approved
            reward R6 fay 10.00 approved
            settings two-person on",
        )
        .await;
    // Rewards.
    let reward = |id: &str| json!({"external_id": id, "activity": "scenario", "owner": "ana", "value": {"value": "5", "currency": "USD"}});
    house.twice(&pat, "/rewards", reward("N1"), 201).await;
    let other = house.twice(&pat, "/rewards", reward("N2"), 201).await;
    house.twice(&kim, "/rewards/N1/approve", json!({}), 200).await;
    house.twice(&kim, "/rewards/N1/void", json!({"reason": "entered twice"}), 200).await;
    let bulk = json!({"action": "reject", "ids": [other["id"]], "reason": "not earned"});
    house.twice(&kim, "/rewards/bulk", bulk, 200).await;
    let file = "external_id,activity,owner,value,currency\nN3,scenario,ana,1.00,USD\n";
    let report = house.twice(&pat, "/rewards/import", file, 200).await;
    assert_eq!(report["accepted"], 1, "{report:#}");
    // Batches.
    let id = |house: &TakenOver, name: &str| house.stage.reward(name).to_string();
    let formed = house.twice(&pat, "/batches", json!({"rewards": [id(&house, "R1")]}), 201).await;
    let batch = format!("/batches/{}", formed["id"].as_str().unwrap());
    let others: Vec<String> = ["R2", "R3", "R4", "R5", "R6"].iter().map(|name| id(&house, name)).collect();
    let added = house.twice(&pat, &format!("{batch}/rewards"), json!({"rewards": others}), 200).await;
    let seen = json!({"digest": added["digest"]});
    let released = house.twice(&kim, &format!("{batch}/release"), seen, 200).await;
    let seen = json!({"digest": released["digest"], "totals": released["totals"]});
    house.twice(&pat, &format!("{batch}/pay"), seen, 202).await;
    house.play("live 10 seconds").await;
    // Payments.
    let path = house.payment("bo", "settle-parked").await;
    let lost = json!({"outcome": "written_off", "note": "Stripe says that it is spent"});
    house.twice(&pat, &path, &lost, 202).await;
    house.twice(&kim, &path, &lost, 200).await;
    let path = house.payment("cy", "cancel-unclaimed").await;
    house.twice(&pat, &path, "", 202).await;
    house.play("live 1 minute").await;
    house.stage.close(Ok(())).await;
}
