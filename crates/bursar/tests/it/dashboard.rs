//! The dashboard: totals, visibility and filters. The world has payments that succeeded, failed and came back, in three
//! currencies and two months. Not here: how the pages look (`browser`).

mod pages;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use bursar::ops::batches::{self, Selection};
use bursar::ops::pay::{self, Balances, ConfirmedTotals};
use bursar::ops::payees;
use bursar::ops::people::{self, NewKey};
use bursar::ops::rewards::{RewardSelection, Verdict, decide_many};
use bursar::ops::{import, settings};
use bursar::store::batches::PoolFilter;
use bursar::store::ledger;
use bursar::store::transactions::{self, Filter};
use bursar::work::connect;
use payout::access::Role;
use payout::money::Vendor;
use payout::payee::Destination;
use payout::scope::Scopes;
use payout::transaction::State;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::world::{DAY, SECOND, World};

const HEAD: &str = "external_id,activity,owner,value,currency,payment_type\n";

/// In March, Ana, Dee, Eve and the company Acme are paid, Bo's payment fails, and Cem's comes back after it succeeded. In
/// April, Ana is paid again. One payment of Dee's is in flight, and one of Dee's rewards waits.
pub async fn furnish(world: &World) {
    let (app, actor) = (&world.app, &world.actor);
    let accounts = "external_id,name,country\nA-1,Acme,US\nA-2,Bolt,US\n";
    import::accounts(app, actor, accounts.as_bytes(), false, None).await.unwrap();
    let partners = "external_id,account,name,email,country\nana,A-1,Ana Lima,ana@example.com,US\n\
                    bo,A-1,Bo Ek,bo@example.com,US\ncem,A-2,Cem Ray,cem@example.com,US\n\
                    dee,A-2,Dee Ray,dee@example.com,US\neve,A-2,Eve Oz,eve@example.com,US\n";
    import::partners(app, actor, partners.as_bytes(), false, None).await.unwrap();
    let activities = "external_id,program,program_type,name\ndeal,Growth,cash,Closed deal\n";
    import::activities(app, actor, activities.as_bytes(), false, None).await.unwrap();
    for (who, vendor, address) in [
        ("ana", Vendor::PayPal, "ana@example.com"),
        ("bo", Vendor::Stripe, "acct_sim_denied_bo"),
        ("cem", Vendor::Stripe, "acct_sim_paid_then_failed_cem"),
        ("dee", Vendor::PayPal, "dee@example.com"),
        ("eve", Vendor::Stripe, "acct_eve"),
        ("A-1", Vendor::PayPal, "acme@example.com"),
    ] {
        let payee = payees::named(&mut app.store.read().await.unwrap(), who).await.unwrap().unwrap();
        let destination = Destination::at(vendor, address).unwrap();
        connect::set_profile(&world.works[0], actor, payee, destination).await.unwrap();
    }
    approve(
        world,
        "R-1,deal,ana,2100.00,USD,\nR-2,deal,ana,20.00,EUR,\nR-3,deal,bo,30.00,USD,\n\
                    R-4,deal,cem,70.00,USD,\nR-5,deal,dee,500,JPY,\nR-6,deal,eve,40.00,USD,\n\
                    R-7,deal,bo,10.00,USD,organization\n",
    )
    .await;
    pay(world).await;
    live(world).await;
    world.pass(4 * DAY);
    live(world).await;
    world.pass(31 * DAY);
    approve(world, "R-8,deal,ana,50.00,USD,\n").await;
    pay(world).await;
    live(world).await;
    approve(world, "R-9,deal,dee,9.00,USD,\n").await;
    pay(world).await;
    approve(world, "R-10,deal,dee,7.00,USD,\n").await;
}

async fn approve(world: &World, rows: &str) {
    let count = i64::try_from(rows.lines().count()).unwrap();
    let text = format!("{HEAD}{rows}");
    let report = import::rewards(&world.app, &world.actor, text.as_bytes(), false, None).await.unwrap();
    assert_eq!(report.rejected, []);
    let pending =
        bursar::store::rewards::Filter { view: bursar::store::rewards::View::Pending, ..Default::default() };
    let which = RewardSelection::All(Box::new(pending), count);
    let done = decide_many(&world.app, &world.actor, &which, &Verdict::Approve, None).await.unwrap();
    assert_eq!(i64::try_from(done.done.len()).unwrap(), count);
}

async fn pay(world: &World) {
    let choose = Selection::AllEligible(PoolFilter::default());
    let view = batches::form(&world.app, &world.actor, &choose, false, None).await.unwrap();
    let seen = ConfirmedTotals { digest: view.digest.clone(), totals: view.totals.clone() };
    pay::pay(&world.app, &world.actor, view.batch.id, &seen, &Balances::default(), None).await.unwrap();
}

async fn live(world: &World) {
    for _ in 0..6 {
        world.tick_all(0).await;
        world.pass(2 * SECOND);
        world.deliver().await;
    }
    world.tick_all(0).await;
}

/// Calls the API with one key.
struct Api {
    router: Router,
    key: String,
}

impl Api {
    async fn of(world: &World, role: Role, partner: Option<&str>) -> Self {
        let new = NewKey {
            partner: partner.map(str::to_owned),
            ..NewKey::of(&format!("{} {}", role.as_str(), partner.unwrap_or("")), role, Scopes::kept("read"))
        };
        let key = people::create_key(&world.app, &new).await.unwrap();
        Self { router: bursar::web::router(world.works[0].clone()), key }
    }

    async fn answer(&self, path: &str) -> (StatusCode, Value) {
        self.ask(&format!("dashboard/{path}")).await
    }

    /// The payees in a list of transactions, by name.
    async fn payees(&self, query: &str) -> String {
        let (_, body) = self.ask(&format!("transactions?{query}")).await;
        let rows = body["data"].as_array().unwrap_or_else(|| panic!("{query} {body:#}"));
        let mut names: Vec<&str> = rows.iter().map(|row| row["payee"]["name"].as_str().unwrap()).collect();
        names.sort_unstable();
        names.join(", ")
    }

    async fn ask(&self, path: &str) -> (StatusCode, Value) {
        let request = Request::get(format!("/api/v1/{path}"));
        let request = request.header("authorization", format!("Bearer {}", self.key));
        let answer = self.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let status = answer.status();
        let body = to_bytes(answer.into_body(), 1 << 24).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap())
    }

    async fn get(&self, path: &str) -> Value {
        let (status, body) = self.answer(path).await;
        assert_eq!(status, StatusCode::OK, "{path} {body:#}");
        body
    }

    async fn refused(&self, path: &str) -> String {
        let (status, body) = self.answer(path).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{path} {body:#}");
        body["errors"][0]["pointer"].as_str().unwrap().to_owned()
    }

    /// The totals of a currency as texts: paid, returned, failed, in flight, waiting; empty when there are none.
    async fn totals(&self, query: &str, currency: &str) -> Vec<String> {
        let summary = self.get(&format!("summary?{query}")).await;
        let rows = summary["totals"].as_array().unwrap().clone();
        let Some(row) = rows.iter().find(|row| row["currency"] == currency) else { return Vec::new() };
        let text = |value: &Value| value["value"].as_str().unwrap().to_owned();
        let mut amounts = vec![text(&row["paid"]), text(&row["returned"])];
        amounts.extend(["failed", "in_flight", "waiting"].map(|name| text(&row[name]["amount"])));
        amounts
    }
}

#[tokio::test]
async fn the_summary_adds_up_to_the_books() {
    let world = World::open("dashboard_books", 71).await;
    furnish(&world).await;
    let api = Api::of(&world, Role::Auditor, None).await;
    assert_eq!(api.totals("", "USD").await, ["2270.00", "70.00", "100.00", "9.00", "7.00"]);
    assert_eq!(api.totals("", "EUR").await, ["20.00", "0.00", "0.00", "0.00", "0.00"]);
    assert_eq!(api.totals("", "JPY").await, ["500", "0", "0", "0", "0"]);

    let mut db = world.app.store.read().await.unwrap();
    let balances = ledger::balances(&mut db).await.unwrap();
    let scope = bursar::store::scope::Scope::default();
    let found =
        bursar::ops::dashboard::summary(&mut db, &scope, Default::default(), world.now()).await.unwrap();
    for card in &found.cards {
        let code = card.currency().code();
        let sum = |starts: &[&str]| {
            let of = balances.iter().filter(|(account, currency, _)| {
                currency == code && starts.iter().any(|start| account.starts_with(start))
            });
            of.map(|(_, _, minor)| minor).sum::<i128>()
        };
        let left = sum(&["vendor_balance:", "returned:", "vendor_fees:"]);
        assert_eq!(card.paid.minor - card.back.total().minor, -left, "{code} paid");
        assert_eq!(card.outside.minor, -sum(&["paid_outside"]), "{code} outside");
        assert_eq!(card.in_flight.amount.minor, -sum(&["in_flight:"]), "{code} in flight");
        let owed = card.waiting.amount.minor + card.waiting.expired.minor + card.failed.amount.minor;
        assert_eq!(owed, -sum(&["payable:"]), "{code} owed");
    }
    drop(db);
    world.close().await;
}

#[tokio::test]
async fn the_summary_tells_months_reasons_and_who_was_paid_most() {
    let world = World::open("dashboard_parts", 80).await;
    furnish(&world).await;
    let api = Api::of(&world, Role::Auditor, None).await;
    let summary = api.get("summary").await;
    let months: Vec<String> = summary["months"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            let text = |name: &str| one[name]["value"].as_str().unwrap().to_owned();
            format!(
                "{} {} {} {}",
                one["month"].as_str().unwrap(),
                one["currency"].as_str().unwrap(),
                text("paid"),
                text("returned")
            )
        })
        .collect();
    assert_eq!(
        months,
        [
            "2026-03 EUR 20.00 0.00",
            "2026-03 JPY 500 0",
            "2026-03 USD 2220.00 70.00",
            "2026-04 USD 50.00 0.00",
        ]
    );
    let failures: Vec<&Value> = summary["failures"].as_array().unwrap().iter().collect();
    assert_eq!(failures.len(), 2, "{failures:?}");
    let denied = failures.iter().find(|one| one["code"] == "transfers_not_allowed").unwrap();
    assert_eq!((&denied["count"], &denied["amount"]["value"]), (&json!(1), &json!("30.00")));
    assert_eq!(denied["message"], "Stripe does not yet allow payments to this account.");
    let top: Vec<String> = summary["top_payees"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            format!(
                "{} {} {}",
                one["currency"].as_str().unwrap(),
                one["payee"]["name"].as_str().unwrap(),
                one["net"]["value"].as_str().unwrap()
            )
        })
        .collect();
    assert_eq!(
        top,
        [
            "EUR Ana Lima 20.00",
            "JPY Dee Ray 500",
            "USD Ana Lima 2150.00",
            "USD Eve Oz 40.00",
            "USD Acme 10.00"
        ]
    );
    world.close().await;
}

#[tokio::test]
async fn the_median_is_the_middle_payment_of_each_vendor() {
    let world = World::open("dashboard_median", 72).await;
    furnish(&world).await;
    let api = Api::of(&world, Role::Auditor, None).await;
    let mut db = world.app.store.read().await.unwrap();
    let all = transactions::list(&mut db, &Filter::default(), 100).await.unwrap();
    let summary = api.get("summary").await;
    for (vendor, count) in [(Vendor::Stripe, 1), (Vendor::PayPal, 5)] {
        let succeeded = all.iter().filter(|one| one.terms.vendor == vendor && one.state == State::Success);
        let mut took: Vec<i64> = succeeded.map(|one| one.settled_at.unwrap() - one.created_at).collect();
        took.sort_unstable();
        let row = summary["medians"]
            .as_array()
            .unwrap()
            .iter()
            .find(|row| row["vendor"] == vendor.as_str())
            .unwrap();
        assert_eq!(took.len(), count);
        assert_eq!((&row["count"], &row["seconds"]), (&json!(count), &json!(took[count / 2] / SECOND)));
    }
    drop(db);
    world.close().await;
}

#[tokio::test]
async fn filters_narrow_alone_and_together() {
    let world = World::open("dashboard_filters", 73).await;
    furnish(&world).await;
    let api = Api::of(&world, Role::Auditor, None).await;
    for (query, usd) in [
        ("account=A-1", "2160.00 0.00 30.00 0.00 0.00"),
        ("account=A-2", "110.00 70.00 70.00 9.00 7.00"),
        ("partner=ana", "2150.00 0.00 0.00 0.00 0.00"),
        ("payment_type=organization", "10.00 0.00 0.00 0.00 0.00"),
        ("payment_type=individual&account=A-1", "2150.00 0.00 30.00 0.00 0.00"),
        ("from=2026-04-01", "50.00 0.00 0.00 9.00 7.00"),
        ("to=2026-03-02", "2220.00 0.00 100.00 0.00 0.00"),
        ("from=2026-03-03&to=2026-03-31&partner=cem", "0.00 70.00 0.00 0.00 0.00"),
        ("from=2026-03-01&to=2026-03-31&account=A-1", "2110.00 0.00 30.00 0.00 0.00"),
        ("payment_type=organization&account=A-2", ""),
        ("partner=cem&account=A-1", ""),
    ] {
        assert_eq!(api.totals(query, "USD").await.join(" "), usd, "{query}");
    }
    for (query, pointer) in [
        ("summary?account=A-9", "/account"),
        ("summary?account=ana", "/account"),
        ("summary?partner=A-1", "/partner"),
        ("summary?payment_type=both", "/payment_type"),
        ("summary?from=yesterday", "/from"),
        ("summary?from=2026-04-01&to=2026-03-01", "/to"),
        ("earnings?year=26", "/year"),
        ("earnings?sort=size", "/sort"),
    ] {
        assert_eq!(api.refused(query).await, pointer, "{query}");
    }
    assert_eq!(
        api.answer("earnings?from=2026-01-01").await.0,
        StatusCode::BAD_REQUEST,
        "a year has no dates"
    );
    assert_eq!(api.answer("summary?year=2026").await.0, StatusCode::BAD_REQUEST, "dates have no year");
    world.close().await;
}

#[tokio::test]
async fn transactions_are_narrowed_as_the_page_narrows_them() {
    let world = World::open("dashboard_list", 81).await;
    furnish(&world).await;
    let api = Api::of(&world, Role::Auditor, None).await;
    for (query, payees) in [
        ("needs_attention=true", "Bo Ek, Cem Ray"),
        ("after_success=true", "Cem Ray"),
        ("under_way=true", "Dee Ray"),
        ("stuck=true", ""),
        ("reason=transfers_not_allowed", "Bo Ek"),
        ("reason=transfers_not_allowed&status=success", ""),
        ("partner=ana", "Ana Lima, Ana Lima, Ana Lima"),
        ("partner=ana&from=2026-04-01", "Ana Lima"),
        ("partner=nobody", ""),
        ("account=A-2&status=success", "Dee Ray, Eve Oz"),
        ("account=A-1&payment_type=organization", "Acme"),
        ("account=A-1&payee=eve", ""),
    ] {
        assert_eq!(api.payees(query).await, payees, "{query}");
    }
    let company = Api::of(&world, Role::PartnerAdmin, Some("bo")).await;
    assert_eq!(company.payees("needs_attention=true").await, "Bo Ek");
    assert_eq!(company.payees("account=A-2").await, "");
    world.close().await;
}

fn told(rows: &Value) -> Vec<String> {
    let row = |row: &Value| {
        let text = |name: &str| row[name]["value"].as_str().unwrap().to_owned();
        let (name, currency) = (row["payee"]["name"].as_str().unwrap(), row["currency"].as_str().unwrap());
        format!("{name} {currency} {} {} {} {}", text("earned"), text("paid"), text("returned"), text("net"))
    };
    rows["data"].as_array().unwrap().iter().map(row).collect()
}

#[tokio::test]
async fn earnings_by_payee_and_year() {
    let world = World::open("dashboard_earnings", 74).await;
    furnish(&world).await;
    let api = Api::of(&world, Role::Auditor, None).await;
    let all = [
        "Acme USD 10.00 10.00 0.00 10.00",
        "Ana Lima EUR 20.00 20.00 0.00 20.00",
        "Ana Lima USD 2150.00 2150.00 0.00 2150.00",
        "Bo Ek USD 30.00 0.00 0.00 0.00",
        "Cem Ray USD 70.00 70.00 70.00 0.00",
        "Dee Ray JPY 500 500 0 500",
        "Dee Ray USD 16.00 0.00 0.00 0.00",
        "Eve Oz USD 40.00 40.00 0.00 40.00",
    ];
    let year = api.get("earnings").await;
    assert_eq!(told(&year), all);
    assert_eq!((&year["year"], &year["threshold"]["value"]), (&json!(2026), &json!("2000.00")));
    let ana = &year["data"][2];
    assert_eq!((&ana["over_threshold"], &ana["tax_report"]), (&json!(true), &json!("missing")));
    assert_eq!(ana["vendors"], json!([{"vendor": "paypal", "net": {"value": "2150.00", "currency": "USD"}}]));
    assert_eq!(
        (&year["data"][1]["over_threshold"], &year["data"][7]["over_threshold"]),
        (&json!(null), &json!(false))
    );
    let usd = &year["totals"][2];
    assert_eq!(
        json!([usd["earned"]["value"], usd["paid"]["value"], usd["returned"]["value"], usd["net"]["value"]]),
        json!(["2316.00", "2270.00", "70.00", "2200.00"])
    );
    let mut paged = Vec::new();
    let mut query = "earnings?limit=2".to_owned();
    loop {
        let page = api.get(&query).await;
        paged.extend(told(&page));
        let Some(next) = page["next"].as_str() else { break };
        query = format!("earnings?limit=2&after={next}");
    }
    assert_eq!(paged, all, "every payee once, whatever the pages are");

    let by_net = ["Ana Lima EUR", "Dee Ray JPY", "Ana Lima USD", "Eve Oz USD", "Acme USD", "Cem Ray USD"];
    let starts = |rows: &[String]| {
        rows.iter().map(|row| row.splitn(4, ' ').take(3).collect::<Vec<_>>().join(" ")).collect::<Vec<_>>()
    };
    let mut paged = Vec::new();
    let mut query = "earnings?sort=-net&limit=4".to_owned();
    loop {
        let page = api.get(&query).await;
        paged.extend(told(&page));
        let Some(next) = page["next"].as_str() else { break };
        query = format!("earnings?sort=-net&limit=4&after={next}");
    }
    assert!(starts(&paged).iter().zip(by_net).all(|(row, start)| row.starts_with(start)), "{paged:?}");
    assert_eq!(paged.len(), by_net.len());
    assert_eq!(told(&api.get("earnings?year=2025").await), [""; 0]);
    assert_eq!(told(&api.get("earnings?partner=dee&payment_type=individual").await), all[5..7]);
    assert_eq!(told(&api.get("earnings?account=A-1&payment_type=organization").await), all[..1]);
    world.close().await;
}

#[tokio::test]
async fn partners_see_their_own_numbers_only() {
    let world = World::open("dashboard_own", 75).await;
    furnish(&world).await;
    let company = Api::of(&world, Role::PartnerAdmin, Some("bo")).await;
    assert_eq!(company.totals("", "USD").await, ["2160.00", "0.00", "30.00", "0.00", "0.00"]);
    assert_eq!(company.totals("account=A-1&partner=ana", "USD").await[0], "2150.00");
    assert_eq!(company.refused("summary?account=A-2").await, "/account", "as if there were none");
    assert_eq!(company.refused("earnings?partner=dee").await, "/partner");
    let rows = company.get("earnings").await;
    let names: Vec<&str> =
        rows["data"].as_array().unwrap().iter().map(|row| row["payee"]["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["Acme", "Ana Lima", "Ana Lima", "Bo Ek"]);
    assert_eq!(rows["totals"][1]["paid"]["value"], "2160.00");
    let bo = Api::of(&world, Role::Partner, Some("bo")).await;
    assert_eq!(bo.totals("", "USD").await, ["0.00", "0.00", "30.00", "0.00", "0.00"]);
    assert_eq!(bo.refused("summary?account=A-1").await, "/account", "his company's other money is not his");
    world.set(|it| settings::Document { enabled: false, ..it }).await;
    assert_eq!(bo.totals("", "USD").await[2], "30.00", "the API stays when the pages are hidden");
    world.close().await;
}
