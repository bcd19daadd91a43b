//! Plants secrets and searches for them everywhere they must not be: a tax ID, the vendors' secrets, a payee's PayPal
//! address. They enter through their normal forms; then mails, logs, pages, the audit trail, error responses and the raw
//! database file are searched.

use std::io::{Cursor, Write};
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::{Body, to_bytes};
use axum::http::Request;
use bursar::documents::journal::Layout;
use bursar::documents::{Kind, columns};
use bursar::mail::{Language, Parts};
use bursar::ops::payees::{self, set_standing};
use bursar::ops::people::{self, NewKey};
use bursar::ops::rewards::{RewardSelection, Verdict, decide_many};
use bursar::store::mails::{self, Filter};
use calamine::{Reader, Xlsx};
use payout::access::Role;
use payout::eligibility::PayeeStanding;
use payout::scope::Scopes;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::exports;
use crate::pages::paying::{evidence, pay, prepare};
use crate::pages::{Browser, seed_data};
use crate::world::{DAY, Loop, World};

const TIN: &str = "912-55-4321";
const STRIPE_KEY: &str = "sk_test_canary0123456789abcdef";
const PAYPAL_SECRET: &str = "canary_secret_0123456789abcdef";
const PAYPAL_ADDRESS: &str = "canary.payee@hidden.example";

/// A writer for the log of this test.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// All searched content with its origin.
#[derive(Default)]
struct Seen(Vec<(String, Vec<u8>)>);

impl Seen {
    fn note(&mut self, place: impl Into<String>, text: impl Into<Vec<u8>>) {
        self.0.push((place.into(), text.into()));
    }

    /// The places that contain a planted secret; for digits, also without dashes.
    fn holding(&self, planted: &[&str]) -> Vec<String> {
        let mut words: Vec<String> = planted.iter().map(|word| (*word).to_owned()).collect();
        words.extend(planted.iter().map(|word| word.replace('-', "")));
        let holds =
            |text: &[u8], word: &str| text.windows(word.len()).any(|window| window == word.as_bytes());
        let found = self.0.iter().flat_map(|(place, text)| {
            words.iter().filter(|word| holds(text, word)).map(move |word| format!("{place} holds {word}"))
        });
        found.collect()
    }
}

async fn call(world: &World, key: &str, method: &str, path: &str, body: &Value) -> String {
    let request = Request::builder()
        .method(method)
        .uri(format!("/api/v1{path}"))
        .header("authorization", format!("Bearer {key}"))
        .header("content-type", "application/json")
        .body(if body.is_null() { Body::empty() } else { Body::from(body.to_string()) })
        .unwrap();
    let answer = bursar::web::router(world.works[0].clone()).oneshot(request).await.unwrap();
    let status = answer.status();
    let bytes = to_bytes(answer.into_body(), 1 << 24).await.unwrap();
    format!("{status} {}", String::from_utf8_lossy(&bytes))
}

/// Enters the secrets, and records the responses to valid and invalid ones.
async fn plant(world: &World, key: &str, browser: &mut Browser, seen: &mut Seen) {
    let tax = |tin: &str| json!({"form": "w9", "name": "Ana Lima", "signed_on": "2026-01-31", "tin": tin});
    let address = json!({"vendor": "paypal", "paypal_email": PAYPAL_ADDRESS});
    let twice = json!({"vendor": "paypal", "paypal_email": format!("{PAYPAL_ADDRESS},x@example.com")});
    let stripe = json!({"secret_key": STRIPE_KEY, "mode": "test"});
    let paypal = json!({"client_id": "sim_client", "client_secret": PAYPAL_SECRET, "mode": "sandbox"});
    let calls = [
        ("PUT", "/payees/ana/tax-report", tax(TIN), "200"),
        ("PUT", "/payees/ana/tax-report", tax(&format!("{TIN}0")), "422"),
        ("PUT", "/payees/ana/payout-profile", address, "200"),
        ("PUT", "/payees/ana/payout-profile", twice, "422"),
        ("PUT", "/settings/vendors/stripe", stripe, ""),
        ("PUT", "/settings/vendors/paypal", paypal, ""),
    ];
    for (method, path, body, status) in calls {
        let answer = call(world, key, method, path, &body).await;
        assert!(answer.starts_with(status), "{path}: {answer}");
        // An address may be shown to the person who enters it; the other secrets are never shown.
        let place = format!("the answer of {path}");
        if !path.ends_with("payout-profile") {
            seen.note(place, answer);
        }
    }
    let csrf = browser.read("/settings/payouts").await.hidden("csrf");
    let wrong = [("csrf", csrf.as_str()), ("secret_key", STRIPE_KEY), ("mode", "test")];
    let page = browser.post("/settings/vendors/stripe", &wrong).await;
    assert!(page.body.contains("does not accept these credentials"), "{}", page.body);
    seen.note("what the form of Stripe told", page.body);
}

/// Every export with all columns, as text, plus the rows of the spreadsheets and the PDF statement.
async fn take_everything(world: &World, key: &str, browser: &mut Browser, seen: &mut Seen) {
    for kind in Kind::ALL {
        let columns: Vec<&str> = columns::headings(kind).iter().map(|head| head.name).collect();
        let path = format!("/exports/{}?columns={}", kind.as_str(), columns.join(","));
        let csv = call(world, key, "GET", &path, &Value::Null).await;
        assert!(csv.starts_with("200"), "{path}: {csv}");
        seen.note(format!("the export {path}"), csv);
        let sheet = exports::get(world, key, &format!("{path}&format=xlsx")).await;
        let mut book: Xlsx<_> = calamine::open_workbook_from_rs(Cursor::new(sheet.body)).unwrap();
        let cells = book.worksheet_range(kind.label()).unwrap();
        let text: Vec<String> = cells.cells().map(|(.., cell)| cell.to_string()).collect();
        seen.note(format!("the spreadsheet {path}"), text.join("\n"));
    }
    for layout in Layout::ALL {
        let path = format!("/exports/journal?layout={}", layout.as_str());
        seen.note(format!("the export {path}"), call(world, key, "GET", &path, &Value::Null).await);
    }
    let (status, paper) = browser.bytes("/payees/ana/statements/2026.pdf").await;
    assert_eq!(status, 200);
    seen.note("the statement", paper);
}

async fn look_at_pages(browser: &mut Browser, seen: &mut Seen) {
    for path in [
        "/claims",
        "/dashboard/transactions",
        "/activity",
        "/settings/payouts",
        "/outbox",
        "/settings/notices",
        "/rewards",
        "/partners",
        "/people",
        "/people?of=partners",
        "/keys",
        "/programs",
        "/search?q=ana",
    ] {
        seen.note(format!("the page {path}"), browser.read(path).await.body);
    }
}

async fn look_at_payments(auditor: &mut Browser, seen: &mut Seen) {
    let mut opened = 0;
    for number in ["PT-000001", "PT-000002", "PT-000003"] {
        for (path, page) in evidence(auditor, number).await {
            seen.note(format!("the page {path}"), page.body);
            opened += 1;
        }
        let page = auditor.read(&format!("/transactions/{number}")).await;
        seen.note(format!("the page of {number}"), page.body);
    }
    assert!(opened > 6, "{opened}");
}

fn look_at_what_is_stored(world: &World) {
    // A destination must be stored to be paid; the others are stored encrypted only.
    if let Some(file) = world.app.config.database_url.strip_prefix("sqlite://") {
        let mut stored = Seen::default();
        for name in [file.to_owned(), format!("{file}-wal")] {
            stored.note(name.clone(), std::fs::read(&name).unwrap_or_default());
        }
        let leaks = stored.holding(&[TIN, STRIPE_KEY, PAYPAL_SECRET]);
        assert!(leaks.is_empty(), "{leaks:#?}");
    }
}

/// Staff notes about a payee are internal: a partner who reads one would be warned of an investigation.
const NOTE: &str = "suspected fraud, police case 4711";

#[tokio::test]
async fn no_partner_reads_what_we_noted() {
    let world = World::open("canary_note", 78).await;
    seed_data(&world).await;
    let which = RewardSelection::All(Box::default(), 12);
    decide_many(&world.app, &world.actor, &which, &Verdict::Approve, None).await.unwrap();
    let key = |role, partner: Option<&str>| {
        let partner = partner.map(str::to_owned);
        NewKey { partner, ..NewKey::of("k", role, Scopes::kept("read,write")) }
    };
    let ours = people::create_key(&world.app, &key(Role::Admin, None)).await.unwrap();
    let mut ids: Vec<String> = (1..=12).map(|number| format!("RW-{number:06}")).collect();
    for name in ["ana", "bo", "A-1"] {
        let payee = payees::named(&mut world.app.store.read().await.unwrap(), name).await.unwrap().unwrap();
        set_standing(&world.app, &world.actor, payee, PayeeStanding::OnHold, NOTE).await.unwrap();
        ids.extend([name.to_owned(), payee.to_string()]);
    }
    let mut seen = Seen::default();
    let reads = bursar::web::table().into_iter().filter(|route| {
        route.method == "GET"
            && matches!(route.access, bursar::web::Access::MayOrOwn(_) | bursar::web::Access::Login)
    });
    let reads: Vec<&str> = reads.filter_map(|route| route.path.strip_prefix("/api/v1")).collect();
    let mut told = 0;
    for role in [Role::Partner, Role::PartnerAdmin] {
        let theirs = people::create_key(&world.app, &key(role, Some("ana"))).await.unwrap();
        for path in &reads {
            for id in if path.contains('{') { ids.as_slice() } else { &ids[..1] } {
                let path = path.replace("{id}", id);
                let answer = call(&world, &theirs, "GET", &path, &Value::Null).await;
                told += usize::from(answer.contains("partner_on_hold"));
                seen.note(format!("{role:?} {path}"), answer);
            }
        }
        let mut browser = Browser::of(&world, role, role.as_str()).await;
        for path in ["/portal", "/portal/rewards", "/portal/payouts", "/portal/profile", "/portal/profile/me"]
        {
            seen.note(format!("{role:?} {path}"), browser.get(path).await.body);
        }
    }
    assert!(told > 2, "partners are told that they are on hold");
    let inside = call(&world, &ours, "GET", "/payees/ana", &Value::Null).await;
    assert!(inside.contains(NOTE), "our own people read why: {inside}");
    let leaks = seen.holding(&[NOTE, "4711"]);
    assert!(leaks.is_empty(), "{leaks:#?}");
    world.close().await;
}

#[tokio::test]
async fn nothing_planted_comes_out() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    // Keeps a second dispatcher alive. With only one subscriber, a callsite first hit by another test on a thread without
    // one would be cached as disabled for everyone.
    let _another = tracing::Dispatch::new(tracing_subscriber::registry());
    let guard = tracing::subscriber::set_default(subscriber);
    let world = World::open("canary", 77).await;
    seed_data(&world).await;
    let new = NewKey::of("k", Role::Admin, Scopes::kept("read,write"));
    let key = people::create_key(&world.app, &new).await.unwrap();
    let mut browser = Browser::of(&world, Role::Admin, "pat").await;
    let mut seen = Seen::default();
    plant(&world, &key, &mut browser, &mut seen).await;

    let which = RewardSelection::All(Box::default(), 12);
    decide_many(&world.app, &world.actor, &which, &Verdict::Approve, None).await.unwrap();
    world.tick_all(0).await;
    world.tick(0, Loop::Notify).await;
    look_at_pages(&mut browser, &mut seen).await;
    world.pass(4 * DAY);
    let mut auditor = Browser::of(&world, Role::Admin, "kim").await;
    let path = prepare(&mut auditor).await;
    pay(&world, &mut auditor, &path).await;
    look_at_payments(&mut auditor, &mut seen).await;
    for path in [
        "/audit",
        "/outbox",
        "/partners",
        "/dashboard/transactions",
        "/settings/payout",
        "/settings/vendors",
        "/rewards",
    ] {
        seen.note(format!("the answer of {path}"), call(&world, &key, "GET", path, &Value::Null).await);
    }
    take_everything(&world, &key, &mut auditor, &mut seen).await;
    let all = mails::list(&mut world.app.store.read().await.unwrap(), &Filter::default(), 500).await.unwrap();
    assert!(
        all.iter().any(|mail| mail.notice == payout::notice::Notice::ProfileChanged),
        "the change was mailed"
    );
    for mail in all {
        let parts = Parts::of(Language::En, &mail.title, &mail.body, &world.app.base_url);
        seen.note(format!("the mail {}", mail.notice.as_str()), parts.text + &parts.html);
    }
    drop(guard);
    seen.note("the log", log.0.lock().unwrap_or_else(PoisonError::into_inner).clone());
    let empty: Vec<&String> =
        seen.0.iter().filter(|(_, text)| text.is_empty()).map(|(place, _)| place).collect();
    assert!(empty.is_empty(), "was not looked at: {empty:?}");
    let leaks = seen.holding(&[TIN, STRIPE_KEY, PAYPAL_SECRET, PAYPAL_ADDRESS]);
    assert!(leaks.is_empty(), "{leaks:#?}");

    look_at_what_is_stored(&world);
    world.close().await;
}
