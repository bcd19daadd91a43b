//! Reconciliation beyond the scenarios: pages of lines with the same second, reads interrupted anywhere, two processes
//! reading at once, and its pages, API and command.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use bursar::ops::people::{self, NewKey};
use bursar::ops::reconciliation as verbs;
use bursar::store::reconciliation::days::{self, Filter, Key, Lines};
use bursar::store::step::StepGate;
use bursar::work::movements;
use payout::access::Role;
use payout::money::Vendor;
use payout::scope::Scopes;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::nodes::{beside, text};
use crate::pages::Browser;
use crate::scenarios::Stage;
use crate::world::{World, run};

const MANY: usize = 250;

/// Payments through Stripe, all made within one second.
async fn many(name: &str) -> Stage {
    let mut stage = Stage::open(name, 1).await;
    let crowd = format!("crowd {MANY} stripe 10.00");
    for line in [&*crowd, "batch B1 all", "pay B1", "live 10 seconds", "expect all success"] {
        stage.one(line).await.unwrap();
    }
    stage
}

/// The only day at a vendor, in US dollars.
async fn day(world: &World, vendor: Vendor) -> verbs::DayView {
    let mut db = world.app.store.read().await.unwrap();
    let filter = Filter { vendor: Some(vendor), ..Filter::default() };
    let days = verbs::list(&mut db, &filter, None, 100).await.unwrap();
    let of_dollars = |day: &verbs::DayView| day.key.currency == "USD";
    days.into_iter().find(of_dollars).unwrap()
}

async fn lines(world: &World, key: &Key, which: Lines) -> Vec<days::Line> {
    let mut db = world.app.store.read().await.unwrap();
    days::lines(&mut db, key, which, None, 10_000).await.unwrap()
}

/// Every payment has one line, every line one posting, and the day ties.
async fn all_is_there(world: &World) {
    let day = day(world, Vendor::Stripe).await;
    assert_eq!(day.standing(), verbs::DayStanding::Ties, "{:?}", day.cases);
    assert_eq!(day.closed.difference_minor, 0);
    let ours = lines(world, &day.key, Lines::Ours).await;
    assert_eq!(ours.len(), MANY);
    let postings: std::collections::BTreeSet<_> = ours.iter().map(|line| line.journal.clone()).collect();
    assert_eq!(postings.len(), MANY, "each is another posting");
    assert!(ours.iter().all(|line| line.journal.is_some() && line.tied_at.is_some()));
    assert!(lines(world, &day.key, Lines::Untied).await.is_empty());
}

fn questions(world: &World) -> u64 {
    world.simulator.books().questions.get("stripe /v1/balance_transactions").copied().unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_of_lines_of_one_second_lose_none() {
    let mut stage = many("pages_of_one_second").await;
    let world = &stage.world;
    movements::all(&world.works[0], None).await.unwrap();
    let (ours, first) = {
        let day = day(world, Vendor::Stripe).await;
        (lines(world, &day.key, Lines::Ours).await, questions(world))
    };
    let seconds: std::collections::BTreeSet<i64> = ours.iter().map(|line| line.created_at).collect();
    assert!(seconds.len() < 4, "many lie in one second: {seconds:?}");
    assert!(first > 3, "they fill several pages: {first}");
    all_is_there(world).await;
    stage.one("later 2 hours").await.unwrap();
    movements::all(&stage.world.works[0], None).await.unwrap();
    all_is_there(&stage.world).await;
    stage.close(Ok(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reading_that_is_stopped_anywhere_goes_on() {
    let mut stage = many("a_reading_is_stopped").await;
    let mut stopped = 0;
    for statements in [0, 1, 2, 3, 4, 5, 7, 9, 11, 13, 16, 20] {
        let walk = Arc::new(StepGate::default());
        walk.allow(statements);
        let work = stage.world.works[0].clone();
        let now = stage.world.now();
        let reading =
            Arc::clone(&walk).lead(async move { movements::once(&work, Vendor::Stripe, now).await });
        tokio::select! {
            _ = reading => {}
            () = walk.stopped() => stopped += 1,
        }
        // The lease of the dead process has expired.
        stage.one("later 61 seconds").await.unwrap();
    }
    assert!(stopped > 5, "it was stopped {stopped} times");
    movements::all(&stage.world.works[0], None).await.unwrap();
    all_is_there(&stage.world).await;
    stage.close(Ok(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_processes_one_reads() {
    let mut stage = many("two_processes_read").await;
    stage.one("workers 2").await.unwrap();
    let world = &stage.world;
    let (one, other) = (world.works[0].clone(), world.works[1].clone());
    let now = world.now();
    let (one, other) = tokio::join!(
        tokio::spawn(async move { movements::once(&one, Vendor::Stripe, now).await.unwrap() }),
        tokio::spawn(async move { movements::once(&other, Vendor::Stripe, now).await.unwrap() }),
    );
    assert_eq!(one.unwrap() + other.unwrap(), 1, "one has read, the other had nothing to do");
    assert_eq!(questions(world), 4, "three pages, and the newest line once more");
    all_is_there(world).await;
    stage.close(Ok(())).await;
}

/// A day that does not tie: someone moved money in Stripe's dashboard.
async fn off(name: &str) -> Stage {
    let mut stage = Stage::open(name, 1).await;
    for line in [
        "partner ana paypal ana@example.com",
        "partner bo stripe acct_bo",
        "reward R1 ana 120.00 approved",
        "reward R2 bo 75.50 approved",
        "batch B1 all",
        "pay B1",
        "live 10 seconds",
        "dashboard-transfer bo 25.00",
        "later 1 minute",
        "pull",
    ] {
        stage.one(line).await.unwrap();
    }
    stage
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_api_tells_each_day_and_takes_an_explanation() {
    let stage = off("reconciliation_api").await;
    let world = &stage.world;
    let (payer, auditor) = (key(world, Role::Payer).await, key(world, Role::Auditor).await);
    let list = call(world, &auditor, "GET", "", Value::Null).await.1;
    let days = list["data"].as_array().unwrap();
    let of = |vendor: &str| {
        let day = days.iter().find(|day| day["vendor"] == vendor && day["currency"] == "USD");
        day.unwrap_or_else(|| panic!("no day of {vendor}: {list:#}")).clone()
    };
    let (stripe, paypal) = (of("stripe"), of("paypal"));
    assert_eq!((&paypal["status"], &paypal["difference"]), (&json!("ties"), &json!("0.00")), "{paypal:#}");
    assert_eq!(paypal["unmatched"], json!([]));
    assert_eq!((&stripe["status"], &stripe["difference"]), (&json!("does_not_tie"), &json!("0.00")));
    let case = &stripe["unmatched"][0];
    assert_eq!(case["code"], "extra_at_vendor");
    assert_eq!((&case["at_vendor"], &case["in_books"]), (&json!("-25.00"), &json!("0.00")));
    let of_paypal = call(world, &auditor, "GET", "?vendor=paypal&currency=USD", Value::Null).await.1;
    assert_eq!(of_paypal["data"].as_array().unwrap().len(), 1);
    let open = call(world, &auditor, "GET", "?status=open", Value::Null).await.1;
    assert_eq!(open["data"].as_array().unwrap().len(), 1);
    assert_eq!(call(world, &auditor, "GET", "?vendor=visa", Value::Null).await.0, 422);
    let explain = format!("/{}/explain", case["id"].as_str().unwrap());
    let reason = json!({"reason": "Kim sent it, ticket 17"});
    assert_eq!(call(world, &auditor, "POST", &explain, reason.clone()).await.0, 403);
    assert_eq!(
        call(world, &payer, "POST", &explain, json!({"reason": " "})).await.1["code"],
        "reason_required"
    );
    let (status, said) = call(world, &payer, "POST", &explain, reason.clone()).await;
    assert_eq!((status.as_u16(), &said["explained"]["reason"]), (200, &reason["reason"]), "{said:#}");
    let again = call(world, &payer, "POST", &explain, reason).await;
    assert_eq!((again.0.as_u16(), &again.1["code"]), (409, &json!("nothing_to_explain")));
    let look = format!("/{}/look-again", case["id"].as_str().unwrap());
    assert_eq!(call(world, &payer, "POST", &look, Value::Null).await.0, 200);
    let after = call(world, &auditor, "GET", "?vendor=stripe&currency=USD", Value::Null).await.1;
    assert_eq!(after["data"][0]["status"], "explained", "{after:#}");
    stage.close(Ok(())).await;
}

async fn key(world: &World, role: Role) -> String {
    let name = role.as_str().to_owned();
    let new = NewKey::of(&name, role, Scopes::kept("read,write"));
    people::create_key(&world.app, &new).await.unwrap()
}

async fn call(world: &World, key: &str, method: &str, path: &str, body: Value) -> (StatusCode, Value) {
    let request = Request::builder().method(method).uri(format!("/api/v1/reconciliation{path}"));
    let request = request.header("authorization", format!("Bearer {key}"));
    let request = request.header("content-type", "application/json");
    let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
    let answer = world.router(0).oneshot(request.body(body).unwrap()).await.unwrap();
    let status = answer.status();
    let bytes = axum::body::to_bytes(answer.into_body(), usize::MAX).await.unwrap();
    (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_leads_from_the_days_to_what_does_not_tie() {
    let stage = off("reconciliation_page").await;
    let world = &stage.world;
    let mut browser = Browser::of(world, Role::Payer, "pam").await;
    browser.get("/dashboard/summary").await.says("1 difference between the vendors and the books");
    let list = browser.get("/reconciliation").await;
    list.says("Does not tie 1 to review");
    let address =
        list.body.split("href=\"/reconciliation/day?").skip(1).map(|rest| rest.split('"').next().unwrap());
    let address = address.map(|query| query.replace("&amp;", "&").replace("&#38;", "&"));
    let address =
        address.into_iter().find(|query| query.contains("stripe") && query.contains("USD")).unwrap();
    let address = format!("/reconciliation/day?{address}");
    let day = browser.get(&address).await;
    day.says("Stripe moved money of this account for no payment that this database knows");
    day.says("transfer to a connected account");
    day.says("top-up");
    let file = browser.get(&address.replace("/day?", "/movements.csv?")).await;
    assert!(file.body.contains(",transfer,transfer to a connected account,"), "{}", file.body);
    assert!(file.body.contains(",does_not_tie\r\n") && file.body.contains(",not_ours\r\n"), "{}", file.body);
    let days = browser.get("/reconciliation/days.csv?vendor=stripe&status=open").await;
    assert!(days.body.contains(",0.00,-25.00,does_not_tie,"), "{}", days.body);
    assert!(!days.body.contains("paypal"), "{}", days.body);
    let (csrf, action) = (day.hidden("csrf"), action(&day.body, "/explain"));
    let redirect = browser.post(&action, &[("csrf", &csrf), ("reason", "Kim sent it, ticket 17")]).await;
    let after = browser.get(&redirect.to).await;
    after.says("Kim sent it, ticket 17");
    after.says("The explanation is saved.");
    // It is explained, and the books still lack it.
    let list = browser.get("/reconciliation?vendor=stripe").await;
    list.says("Explained 1 explained");
    assert!(!list.words().contains("USD Ties"), "{}", list.words());
    let days = browser.get("/reconciliation/days.csv?vendor=stripe").await;
    assert!(days.body.contains(",0.00,-25.00,explained,"), "{}", days.body);
    let auditor = Browser::of(world, Role::Auditor, "ann").await.get(&address).await;
    assert!(!auditor.body.contains("/explain"), "an auditor only looks");
    stage.close(Ok(())).await;
}

/// The action of the first form with this ending.
fn action(body: &str, ending: &str) -> String {
    let forms = body.split("action=\"").skip(1).map(|rest| rest.split('"').next().unwrap());
    forms.into_iter().find(|address| address.ends_with(ending)).unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_reads_and_ends_badly_when_a_day_does_not_tie() {
    let mut stage = Stage::open_now("reconcile_command", 1).await;
    for line in [
        "partner bo stripe acct_bo",
        "reward R1 bo 75.50 approved",
        "batch B1 all",
        "pay B1",
        "live 10 seconds",
        "expect bo success",
    ] {
        stage.one(line).await.unwrap();
    }
    let (status, table) = reconcile(&stage.world).await;
    assert!(status && table.contains("ties"), "{table}");
    stage.one("dashboard-transfer bo 25.00").await.unwrap();
    let (status, table) = reconcile(&stage.world).await;
    assert!(!status && table.contains("does not tie"), "{table}");
    assert!(table.contains("Difference") && table.contains("-25.00"), "{table}");
    assert!(table.contains("for no payment that this database knows"), "{table}");
    // Open differences remain after their day is no longer displayed.
    let url = stage.world.database_url.clone();
    for older in ["vendor_movement SET created_at = created_at", "vendor_pull SET begun_at = begun_at"] {
        crate::world::run(&url, format!("UPDATE {older} - 864000000000")).await;
    }
    let (status, table) = reconcile(&stage.world).await;
    assert!(!status && table.contains("1 difference of a day not shown here is open, from 20"), "{table}");
    let message = command(&stage.world, &["doctor"]).await.1;
    assert!(
        message.contains("1 difference between your balance at the vendors and the books needs a person"),
        "{message}"
    );
    stage.close(Ok(())).await;
}

async fn reconcile(world: &World) -> (bool, String) {
    command(world, &["reconcile", "--since", "48h"]).await
}

/// Runs the real program on a world's database and vendors.
pub async fn command(world: &World, arguments: &[&str]) -> (bool, String) {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("bursar.key");
    // The test worlds' key: thirty-two times the byte 7.
    std::fs::write(&key, "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=\n").unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    let config = &world.app.config;
    let mut command = Command::new(env!("CARGO_BIN_EXE_bursar"));
    command.args(arguments);
    command.env("BURSAR_DATABASE_URL", &config.database_url).env("BURSAR_MASTER_KEY_FILE", &key);
    command.env("BURSAR_STRIPE_API_BASE", config.stripe_api_base.as_deref().unwrap());
    command.env("BURSAR_PAYPAL_API_BASE", config.paypal_api_base.as_deref().unwrap());
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

/// The responsible people are notified of each difference once, however long it stays open and however often it is
/// compared.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_difference_is_told_once() {
    let mut stage = Stage::open("told_of_differences", 1).await;
    let play = async |stage: &mut Stage, story: &[&str]| {
        for line in story {
            stage.one(line).await.unwrap();
        }
        let mut database = beside(&stage.world).await;
        let message = "SELECT COALESCE(MAX(detail), '') FROM outbox WHERE notice = 'reconciliation_open'";
        let many = "SELECT CAST(COUNT(*) AS TEXT) FROM outbox WHERE notice = 'reconciliation_open'";
        (text(&mut database, many).await, text(&mut database, message).await)
    };
    let begin = [
        "partner bo stripe acct_bo",
        "partner cy stripe acct_cy",
        "reward R1 bo 75.50 approved",
        "reward R2 cy 10.00 approved",
        "batch B1 all",
        "pay B1",
        "live 10 seconds",
        "lie bo amount 1.00",
        "pull",
        "tick notify",
    ];
    let (many, message) = play(&mut stage, &begin).await;
    assert_eq!(many, "1");
    let report: Value = serde_json::from_str(&message).unwrap();
    let case = json!({
        "vendor": "Stripe", "day": "2026-03-02", "what": "Amounts differ", "moved": "-74.50 USD", "booked": "-75.50 USD",
    });
    assert!(report["cases"].as_array().unwrap().contains(&case), "{report}");
    let before = report["count"].as_i64().unwrap();
    let again = ["later 11 minutes", "pull", "tick notify", "later 2 days", "pull", "tick notify"];
    let (many, _) = play(&mut stage, &again).await;
    assert_eq!(many, "1", "what stays open is not told again; before: {before}");
    let (many, _) =
        play(&mut stage, &["lie cy amount 2.00", "pull", "later 11 minutes", "tick notify"]).await;
    assert_eq!(many, "2", "what is new is told");
    let other =
        ["explain bo a fee of before", "lie bo amount 1.50", "pull", "later 11 minutes", "tick notify"];
    let (many, _) = play(&mut stage, &other).await;
    assert_eq!(many, "3", "what was explained and has become another difference is told");
    stage.close(Ok(())).await;
}

/// An explanation entered during a comparison is kept, whatever point the comparison has reached.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_explained_while_it_is_compared_stays_explained() {
    let mut stage = Stage::open("explained_beside", 1).await;
    for line in [
        "partner bo stripe acct_bo",
        "reward R1 bo 75.50 approved",
        "batch B1 all",
        "pay B1",
        "live 10 seconds",
        "lie bo amount 1.00",
        "pull",
    ] {
        stage.one(line).await.unwrap();
    }
    let (app, actor) = (stage.world.app.clone(), stage.world.actor.clone());
    let case = day(&stage.world, Vendor::Stripe).await.cases.remove(0);
    let id = case.id.clone();
    let forget = format!(
        "UPDATE reconciliation_case SET explained_at = NULL, explained_by = NULL, explained_name = NULL, \
         explanation = NULL WHERE id = '{id}'"
    );
    let message =
        format!("SELECT COALESCE(explanation, 'nothing') FROM reconciliation_case WHERE id = '{id}'");
    let mut stops = 0;
    loop {
        run(&app.config.database_url, forget.clone()).await;
        stage.one("later 2 hours").await.unwrap();
        let pull = verbs::begin(&app, &case.of, stage.world.now()).await.unwrap().unwrap();
        let walk = Arc::new(StepGate::default());
        walk.allow(stops);
        let comparing = {
            let (walk, app, pull) = (Arc::clone(&walk), app.clone(), pull.clone());
            tokio::spawn(walk.lead(async move { verbs::compare(&app, &pull).await }))
        };
        let stopped = tokio::time::timeout(Duration::from_secs(2), walk.stopped()).await.is_ok();
        let explaining = {
            let (app, actor, id) = (app.clone(), actor.clone(), id.clone());
            tokio::spawn(
                async move { verbs::explain(&app, &actor, &id, "a fee of before").await.map(|_| ()) },
            )
        };
        tokio::time::sleep(Duration::from_millis(40)).await;
        walk.allow(1_000);
        comparing.await.unwrap().unwrap();
        explaining.await.unwrap().unwrap();
        verbs::end(&app, &pull).await.unwrap();
        let mut database = beside(&stage.world).await;
        assert_eq!(text(&mut database, &message).await, "a fee of before", "after {stops} statements");
        if !stopped {
            break;
        }
        stops += 1;
    }
    assert!(stops > 5, "it was stopped {stops} times");
    stage.close(Ok(())).await;
}
