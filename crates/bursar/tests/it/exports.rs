//! Exports: amounts are numbers and text is no formula, the books balance in every layout, a large export survives the
//! death of its worker, and each export is logged. Not here: planted secrets, which `canary` searches for.

mod large;
mod paper;

use std::collections::BTreeMap;
use std::io::Cursor;

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use bursar::documents::Format;
use bursar::documents::journal::Layout;
use bursar::ops::exports::{self, ExportRequest, Scope};
use bursar::ops::import;
use bursar::ops::people::{self, NewKey};
use bursar::store::journal::Filter as JournalFilter;
use bursar::store::{audit, rewards};
use calamine::{Data, Reader, Xlsx};
use payout::access::Role;
use payout::scope::Scopes;
use tower::ServiceExt as _;

use crate::pages::{Browser, approve_all, seed_data};
use crate::scenarios::Stage;
use crate::world::World;

/// A response from the API.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    /// The rows, parsed again and keyed by column name.
    fn rows(&self) -> Vec<BTreeMap<String, String>> {
        assert_eq!(self.status, StatusCode::OK, "{}", String::from_utf8_lossy(&self.body));
        table(&self.body)
    }
}

fn table(csv: &[u8]) -> Vec<BTreeMap<String, String>> {
    let mut reader = ::csv::Reader::from_reader(csv);
    let names = reader.headers().unwrap().clone();
    let row = |row: ::csv::StringRecord| {
        let pairs = names.iter().zip(row.iter());
        pairs.map(|(name, cell)| (name.to_owned(), cell.to_owned())).collect()
    };
    reader.records().map(|record| row(record.unwrap())).collect()
}

/// An API key of this role.
pub async fn key(world: &World, role: Role) -> String {
    let partner = matches!(role, Role::Partner | Role::PartnerAdmin).then(|| "ana".to_owned());
    let name = format!("key of {}", role.as_str());
    let new = NewKey { partner, ..NewKey::of(&name, role, Scopes::kept("read")) };
    people::create_key(&world.app, &new).await.unwrap()
}

/// Sends a GET to the API.
pub async fn get(world: &World, key: &str, path: &str) -> Answer {
    let request = Request::get(format!("/api/v1{path}")).header("authorization", format!("Bearer {key}"));
    let request = request.body(Body::empty()).unwrap();
    let answer = bursar::web::router(world.works[0].clone()).oneshot(request).await.unwrap();
    let (status, headers) = (answer.status(), answer.headers().clone());
    let body = to_bytes(answer.into_body(), 1 << 26).await.unwrap().to_vec();
    Answer { status, headers, body }
}

/// Exports the books, so that there is an export to display.
pub async fn take_the_books(world: &World) {
    exports::order(&world.app, &world.actor, &books(Layout::Generic, false), None).await.unwrap();
}

/// Entries that do not balance, in every layout. Every scenario checks this at its end.
pub async fn unbalanced(world: &World) -> Vec<String> {
    let mut differences = Vec::new();
    for layout in Layout::ALL {
        for by_day in [false, true] {
            let asked = books(layout, by_day);
            let (bytes, _) = exports::whole(&world.app, &asked, world.now()).await.unwrap();
            for (entry, sum) in sums(layout, &table(&bytes)).into_iter().filter(|(_, sum)| *sum != 0) {
                differences.push(format!("{} by day {by_day}: {entry} sums to {sum}", layout.as_str()));
            }
        }
    }
    differences
}

fn books(layout: Layout, by_day: bool) -> ExportRequest {
    let scope = Scope::Journal { filter: JournalFilter::default(), layout, by_day };
    let columns = scope.headings().iter().map(|head| head.name.to_owned()).collect();
    ExportRequest { scope, format: Format::Csv, marked: false, columns, filter_summary: "All".to_owned() }
}

/// Debits minus credits per entry and currency, in minor units: every amount has all digits of its currency.
fn sums(layout: Layout, rows: &[BTreeMap<String, String>]) -> BTreeMap<String, i64> {
    let minor = |text: &str| match text {
        "" => 0,
        digits => digits.replace('.', "").parse::<i64>().unwrap(),
    };
    let mut sums = BTreeMap::new();
    for row in rows {
        // QuickBooks Online limits the length.
        assert!(row.get("JournalNo").is_none_or(|number| (1..=21).contains(&number.len())), "{row:?}");
        let (entry, amount) = match layout {
            Layout::Generic => (
                format!("{} {}", row["entry"], row["currency"]),
                minor(&row["debit"]) - minor(&row["credit"]),
            ),
            Layout::QuickBooks => (
                format!("{} {}", row["JournalNo"], row["Currency"]),
                minor(&row["Debits"]) - minor(&row["Credits"]),
            ),
            Layout::Xero => (format!("{} {}", row["*Narration"], row["*Date"]), minor(&row["*Amount"])),
            Layout::NetSuite => (
                format!("{} {}", row["External ID"], row["Currency"]),
                minor(&row["Debit"]) - minor(&row["Credit"]),
            ),
        };
        *sums.entry(entry).or_default() += amount;
    }
    sums
}

#[tokio::test]
async fn amounts_are_numbers_and_words_are_no_formulas() {
    let world = World::open("exports_lists", 31).await;
    seed_data(&world).await;
    let evil = "external_id,account,name,email,country,language\nevil,A-1,\"=HYPERLINK(\"\"http://x\"\")\",e@example.com,US,en\n";
    import::partners(&world.app, &world.actor, evil.as_bytes(), false, None).await.unwrap();
    let reward = "external_id,activity,owner,value,currency,note\nR-90,deal,evil,420.00,USD,@SUM(A1)\n";
    import::rewards(&world.app, &world.actor, reward.as_bytes(), false, None).await.unwrap();
    let key = key(&world, Role::Preparer).await;

    let all = get(&world, &key, "/exports/rewards").await;
    assert_eq!(all.headers["content-type"], "text/csv; charset=utf-8");
    let name = all.headers["content-disposition"].to_str().unwrap();
    assert!(name.starts_with("attachment; filename=\"bursar-rewards-2026-03-02-ex-"), "{name}");
    assert!(name.ends_with(".csv\""), "{name}");
    let rows = all.rows();
    assert_eq!(rows.len(), 13);
    let yen = rows.iter().find(|row| row["currency"] == "JPY").unwrap();
    assert_eq!(yen["value"], "7500");
    let points = rows.iter().find(|row| row["reward_type"] == "Points Reward").unwrap();
    assert_eq!((points["value"].as_str(), points["currency"].as_str()), ("350", ""));

    let evil =
        get(&world, &key, "/exports/rewards?owner=evil&columns=owner,value,note,created_at&bom=true").await;
    assert!(evil.text().starts_with("\u{feff}owner,value,note,created_at\r\n"), "{}", evil.text());
    let line = evil.text().lines().nth(1).unwrap().to_owned();
    assert!(line.starts_with("\"'=HYPERLINK(\"\"http://x\"\")\",420.00,'@SUM(A1),2026-03-02T09:"), "{line}");

    let sheet = get(&world, &key, "/exports/rewards?format=xlsx&q=R-90").await;
    assert!(sheet.headers["content-type"].to_str().unwrap().contains("spreadsheetml"));
    let mut book: Xlsx<_> = calamine::open_workbook_from_rs(Cursor::new(sheet.body)).unwrap();
    let range = book.worksheet_range("Rewards").unwrap();
    let heads: Vec<String> = range.rows().next().unwrap().iter().map(ToString::to_string).collect();
    let at = |name: &str| heads.iter().position(|head| head == name).unwrap();
    let row = range.rows().nth(1).unwrap();
    assert_eq!(row[at("Value")], Data::Float(420.0), "an amount is a number");
    assert_eq!(row[at("Owner")], Data::String("=HYPERLINK(\"http://x\")".to_owned()), "and words are words");
    assert!(
        matches!(row[at("Created On")], Data::DateTime(_)),
        "a moment is a date: {:?}",
        row[at("Created On")]
    );
    assert!(row[at("Number")].to_string().starts_with("RW-"));

    for (path, code) in [
        ("/exports/rewards?columns=number,secret", "There is no column “secret”"),
        ("/exports/rewards?format=pdf", "Write csv or xlsx."),
        ("/exports/rewards?statuss=paid", "unknown_field"),
        ("/exports/journal?layout=xero&format=xlsx", "Accounting programs import this as CSV"),
        ("/exports/journal?from=2026-03-02&to=2026-03-01", "The last day is before the first."),
    ] {
        let refused = get(&world, &key, path).await;
        assert!(
            refused.status.is_client_error() && refused.text().contains(code),
            "{path}: {}",
            refused.text()
        );
    }
    world.close().await;
}

#[tokio::test]
async fn the_books_balance_in_every_shape_and_the_payments_are_masked() {
    let mut stage = Stage::open("exports_books", 32).await;
    let played = "partner ana paypal ana@example.com\npartner bo stripe acct_bo\nreward R1 ana 120.00 approved\n\
                  reward R2 ana 30.00 approved\nreward R3 bo 75.50 approved\nbatch B1 R1 R2 R3\npay B1\n\
                  tick dispatch\nlater 2 seconds\ndeliver\ntick intake\ntick settle\nexpect all success\n";
    let outcome = stage.play("exports", played).await;
    let world = &stage.world;
    let key = key(world, Role::Auditor).await;
    for layout in Layout::ALL {
        let path = format!("/exports/journal?layout={}", layout.as_str());
        let rows = get(world, &key, &path).await.rows();
        let sums = sums(layout, &rows);
        assert!(sums.len() > 5 && sums.values().all(|sum| *sum == 0), "{layout:?}: {sums:?}");
        let days = get(world, &key, &format!("{path}&group=day")).await.rows();
        assert!(days.len() < rows.len() && !days.is_empty());
        // The number of lines is logged with each file.
        let filter = JournalFilter::default();
        let scope = |by_day| Scope::Journal { filter: filter.clone(), layout, by_day };
        let mut db = world.app.store.read().await.unwrap();
        for (by_day, lines) in [(true, days.len()), (false, rows.len())] {
            let counted = exports::count(&mut db, &scope(by_day), world.now()).await.unwrap();
            assert_eq!(usize::try_from(counted).unwrap(), lines, "{layout:?} by day: {by_day}");
        }
    }
    let rows = get(world, &key, "/exports/journal").await.rows();
    let owed: Vec<_> = rows.iter().filter(|row| row["account"] == "Partner Rewards Payable").collect();
    assert!(owed.iter().all(|row| !row["name"].is_empty()), "what is owed bears the payee's name");
    assert!(
        rows.iter().any(|row| row["about"].starts_with("PT-"))
            && rows.iter().any(|row| row["about"].starts_with("RW-"))
    );
    assert!(get(world, &key, "/exports/journal?from=2030-01-01").await.rows().is_empty());

    let payments = get(world, &key, "/exports/transactions?status=success").await;
    let rows = payments.rows();
    assert_eq!(rows.len(), 2);
    let ana = rows.iter().find(|row| row["vendor"] == "PayPal").unwrap();
    assert_eq!((ana["amount"].as_str(), ana["status"].as_str()), ("150.00", "Success"));
    assert!(!payments.text().contains("ana@example.com"), "destinations are masked");
    let head = payments.text().lines().next().unwrap().trim_end().to_owned();
    assert!(head.contains(",fee,") && head.ends_with(",fee_taken"), "{head}");
    let stripe = rows.iter().find(|row| row["vendor"] == "Stripe").unwrap();
    assert!(!ana["fee_taken"].is_empty() && stripe["fee_taken"].is_empty(), "{ana:?} {stripe:?}");
    let earned = get(world, &key, "/exports/earnings?year=2026").await.rows();
    assert_eq!(earned.len(), 2);
    assert!(earned.iter().any(|row| row["net"] == "150.00" && row["net_paypal"] == "150.00"), "{earned:?}");
    assert!(unbalanced(world).await.is_empty());
    stage.close(outcome).await;
}

#[tokio::test]
async fn who_may_take_what_and_that_he_took_it() {
    let world = World::open("exports_doors", 33).await;
    seed_data(&world).await;
    approve_all(&world).await;
    for role in Role::ALL {
        let key = key(&world, *role).await;
        let reads = !matches!(role, Role::Partner | Role::PartnerAdmin);
        let audits = matches!(role, Role::Admin | Role::Auditor);
        for (of, may) in [
            ("rewards", reads),
            ("transactions", reads),
            ("earnings", reads),
            ("journal", reads),
            ("audit", audits),
        ] {
            let answer = get(&world, &key, &format!("/exports/{of}")).await;
            assert_eq!(answer.status == StatusCode::OK, may, "{role:?} {of}: {}", answer.status);
        }
    }
    let mut browser = Browser::of(&world, Role::ProgramManager, "pat").await;
    let form = browser.read("/exports/new?of=rewards&view=all&owner=ana").await;
    form.says("Filters All Rewards, Owner: ana");
    let sent = |column| {
        let mut fields = vec![("csrf", form.hidden("csrf")), ("once", form.hidden("once"))];
        fields.extend([("of", form.hidden("of")), ("query", form.hidden("query"))]);
        fields.extend([("format", "csv".to_owned()), ("column", column)]);
        fields
    };
    let fields = sent("number".to_owned());
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let made = browser.post("/exports", &fields).await;
    assert!(made.to.starts_with("/exports/EX-") && made.to.ends_with("/file"), "{}", made.to);
    let twice = browser.post("/exports", &fields).await;
    assert_eq!(twice.to, made.to, "pressed twice, made once");
    let file = browser.read(&made.to).await;
    let owned = rewards::Filter { owner: Some("ana".to_owned()), ..rewards::Filter::default() };
    let count =
        rewards::count(&mut world.app.store.read().await.unwrap(), &owned, world.now()).await.unwrap();
    assert_eq!(file.body.lines().count() as i64, count + 1, "{}", file.body);
    let list = browser.read("/exports").await;
    list.says("All Rewards, Owner: ana");
    assert!(!list.words().contains("Activity log"), "which is not for him");
    assert_eq!(browser.get("/exports/new?of=audit").await.status, StatusCode::FORBIDDEN);
    let none: Vec<_> =
        fields.iter().copied().filter(|(name, _)| !["column", "once"].contains(name)).collect();
    browser.post_on("/exports", &none).await.says("Choose at least one column.");

    while bursar::ops::trail::chain(&world.app).await.unwrap() > 0 {}
    let trail = audit::rows(&mut world.app.store.read().await.unwrap(), 0, 1_000).await.unwrap();
    let actions: Vec<&str> =
        trail.iter().map(|row| row.action.as_str()).filter(|action| action.starts_with("export_")).collect();
    assert_eq!(actions.iter().filter(|action| **action == "export_sent").count(), 22);
    assert_eq!(actions[22..], ["export_made", "export_downloaded"]);
    let made = trail.iter().find(|row| row.action == "export_made").unwrap();
    assert!(
        made.detail.contains("All Rewards, Owner: ana") && made.detail.contains("\"number\""),
        "{}",
        made.detail
    );
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn yes_and_no_are_said_plainly() {
    let world = World::open("exports_yes", 313).await;
    let key = key(&world, Role::Admin).await;
    for of in ["rewards", "transactions", "earnings", "journal", "audit"] {
        for (word, status) in [("true", 200), ("no", 200), ("AAA", 422), ("2", 422)] {
            let answer = get(&world, &key, &format!("/exports/{of}?bom={word}")).await;
            assert_eq!(answer.status.as_u16(), status, "{of} {word}: {}", answer.text());
        }
    }
    world.close().await;
}

#[tokio::test]
async fn accounts_are_named_by_an_administrator() {
    let world = World::open("exports_accounts", 34).await;
    seed_data(&world).await;
    approve_all(&world).await;
    let mut browser = Browser::of(&world, Role::Admin, "pat").await;
    let page = browser.read("/settings/journal").await;
    let (csrf, version) = (page.hidden("csrf"), page.hidden("version"));
    let keys = page.all_hidden("key");
    let mut fields = vec![("csrf", csrf.as_str()), ("version", version.as_str()), ("tax_rate", "No VAT")];
    for key in &keys {
        fields.extend([("key", key.as_str()), ("name", if key == "payable" { "2100" } else { "Other" })]);
    }
    browser.post_on("/settings/journal", &fields).await.says("The names are saved.");
    browser.post_on("/settings/journal", &fields).await.says("This was changed since you read it");
    let key = key(&world, Role::Payer).await;
    let rows = get(&world, &key, "/exports/journal?layout=xero").await.rows();
    assert!(rows.iter().any(|row| row["*AccountCode"] == "2100"), "{rows:?}");
    assert!(rows.iter().all(|row| row["*TaxRate"] == "No VAT"));
    let mut payer = Browser::of(&world, Role::Payer, "kim").await;
    payer.read("/settings/journal").await.says("Save An administrator can.");
    world.close().await;
}
