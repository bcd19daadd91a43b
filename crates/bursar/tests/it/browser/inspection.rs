//! Inspects every page of the route table: axe finds no accessibility problem, in light and dark, on a small phone and on a
//! desktop; nothing is wider than the screen; and a screenshot of each is kept. A route with a path parameter that is not
//! filled in here fails the test, so no page is forgotten.

use std::collections::BTreeMap;
use std::path::PathBuf;

use bursar::ops::batches::{self, Selection};
use bursar::ops::evidence;
use bursar::ops::import;
use bursar::ops::people::team::{self, TeamMember};
use bursar::ops::people::{self, NewKey, NewPerson};
use bursar::ops::rewards::{RewardSelection, Verdict, decide_and_keep};
use bursar::store::batches::PoolFilter;
use bursar::store::events;
use bursar::store::mails;
use bursar::store::reconciliation::days;
use bursar::store::rewards::{Filter, View};
use bursar::store::transactions;
use bursar::web::kit::codes;
use bursar::web::{Access, Route, table};
use bursar::work::{movements, notify};
use payout::access::{Permission, Role};
use payout::scope::Scopes;
use serde_json::{Value, json};

use super::driver::Driven;
use crate::need;
use crate::pages::{PASSWORD, approve_all, seed_data};
use crate::world::{SECOND, World};

/// Routes that are not pages, with the reason.
const NO_PAGES: [(&str, &str); 23] = [
    ("/assets/", "what pages load"),
    ("/login/{token}", "a link that works once; it is followed here"),
    ("/claims/{number}/events", "a stream"),
    ("/exports/{number}/events", "a stream"),
    ("/exports/{number}/file", "a file to keep"),
    ("/payees/{id}/statements/{file}", "a file to keep"),
    ("/imports/{number}/events", "a stream"),
    ("/imports/{number}/refused.csv", "a file to mend"),
    ("/imports/example/{what}", "a file to write over"),
    ("/reconciliation/days.csv", "a file to keep"),
    ("/reconciliation/movements.csv", "a file to keep"),
    ("/rewards/import", "leads to the import of rewards"),
    ("/outbox/{mail}/html", "a mail, shown in a frame of its own"),
    ("/settings/notices/{notice}/{language}/preview", "a mail, shown in a frame of its own"),
    ("/join/{token}", "a link that works once; the tests of people follow it"),
    ("/password/new/{token}", "a link that works once; the tests of people follow it"),
    ("/portal/join/{token}", "a link that works once; the portal's tests follow it"),
    ("/portal/confirm/{token}", "a link that works once; the portal's tests follow it"),
    ("/portal/profile/{whose}/stripe/return", "the way back from the vendor"),
    ("/portal/profile/{whose}/stripe/again", "the way back from the vendor"),
    ("/healthz", "for machines"),
    ("/readyz", "for machines"),
    ("/metrics", "for machines"),
];

/// Width in CSS pixels, dark or light, and the axe rules to run. All rules run at both widths; rules about colors and sizes
/// run in every look, because nothing else differs between dark and light.
const LOOKS: [(u32, bool, &str); 4] = [
    (1280, false, EVERYTHING),
    (1280, true, COLOURS_AND_SIZES),
    (320, true, EVERYTHING),
    (320, false, COLOURS_AND_SIZES),
];
pub const EVERYTHING: &str =
    "{type: 'tag', values: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']}";
const COLOURS_AND_SIZES: &str = "{type: 'rule', values: ['color-contrast', 'target-size', 'link-in-text-block', 'scrollable-region-focusable']}";

/// URLs of the pages in the route table, for staff and for partners.
fn addresses(fill: &BTreeMap<&str, String>) -> (Vec<String>, Vec<String>) {
    let is_page = |route: &Route| {
        route.method == "GET"
            && !route.path.starts_with("/api/")
            && !NO_PAGES
                .iter()
                .any(|(path, _)| route.path == *path || (path.ends_with('/') && route.path.starts_with(path)))
    };
    let (mut staff, mut partners) = (Vec::new(), Vec::new());
    for route in table().into_iter().filter(is_page) {
        let address = fill.get(route.path).cloned().unwrap_or_else(|| {
            assert!(!route.path.contains('{'), "say in `fill` which {} is looked at", route.path);
            route.path.to_owned()
        });
        match route.access {
            Access::May(Permission::ReadOwn) => partners.push(address),
            Access::Open | Access::Login | Access::May(_) | Access::MayAny(_) | Access::MayOrOwn(_) => {
                staff.push(address)
            }
        }
    }
    (staff, partners)
}

/// Creates data to display: three payments of which one failed, a draft, mails.
async fn fill(world: &World) -> BTreeMap<&'static str, String> {
    seed_data(world).await;
    approve_all(world).await;
    super::payday::pay_whatever_can_be_paid(world).await;
    let (app, actor) = (&world.app, &world.actor);
    let more = "external_id,activity,owner,value,currency\nR-20,deal,ana,20,USD\nR-21,deal,bo,21,EUR\n";
    import::rewards(app, actor, more.as_bytes(), false, None).await.unwrap();
    let which = RewardSelection::All(Box::new(Filter { view: View::Pending, ..Filter::default() }), 2);
    let decided = decide_and_keep(app, actor, &which, &Verdict::Approve, "", None).await.unwrap();
    batches::form(app, actor, &Selection::AllEligible(PoolFilter::default()), true, None).await.unwrap();
    while notify::once(&world.works[0], world.now()).await.unwrap() > 0 {}
    crate::exports::take_the_books(world).await;
    let mails = mails::list(&mut world.app.store.read().await.unwrap(), &mails::Filter::default(), 1).await;
    let mail = mails.unwrap().first().map(|mail| mail.id.clone()).unwrap();
    crate::pages::imports::leave_some(world).await;
    let (person, key) = somebody_and_a_key(world).await;
    BTreeMap::from([
        ("/imports/{number}", "/imports/IM-000001".to_owned()),
        ("/imports/{number}/columns", "/imports/IM-000002/columns".to_owned()),
        ("/rewards/{number}", "/rewards/RW-000001".to_owned()),
        ("/rewards/{number}/edit", "/rewards/RW-000002/edit".to_owned()),
        ("/rewards/{number}/delete", "/rewards/RW-000002/delete".to_owned()),
        ("/rewards/decisions/{id}", format!("/rewards/decisions/{}", decided.id)),
        ("/claims/{number}", "/claims/PB-2026-0002".to_owned()),
        ("/claims/{number}/delete", "/claims/PB-2026-0002/delete".to_owned()),
        ("/claims/{number}/pay", "/claims/PB-2026-0002/pay".to_owned()),
        ("/transactions/{number}", "/transactions/PT-000004".to_owned()),
        ("/reconciliation/day", off_day(world).await),
        ("/transactions/{number}/evidence/{row}", first_evidence(world, "PT-000004").await),
        ("/partners/{id}", "/partners/ana".to_owned()),
        ("/partners/{id}/edit", "/partners/ana/edit".to_owned()),
        ("/partners/{id}/invite", "/partners/ana/invite".to_owned()),
        ("/accounts/{id}", "/accounts/A-1".to_owned()),
        ("/exports/{number}", "/exports/EX-000001".to_owned()),
        ("/accounts/{id}/edit", "/accounts/A-1/edit".to_owned()),
        ("/programs/{id}", "/programs/Growth".to_owned()),
        ("/programs/{id}/edit", "/programs/Growth/edit".to_owned()),
        ("/activities/{id}/edit", "/activities/deal/edit".to_owned()),
        ("/people/{id}", format!("/people/{person}")),
        ("/keys/{id}/revoke", format!("/keys/{key}/revoke")),
        ("/keys/{id}/addresses", format!("/keys/{key}/addresses")),
        ("/settings/notices/{notice}/{language}", "/settings/notices/reward_approved/de".to_owned()),
        ("/outbox/{mail}", format!("/outbox/{mail}")),
        ("/events/{event}", first_event(world).await),
        ("/portal/payouts/{number}", "/portal/payouts/PT-000004".to_owned()),
        ("/portal/payouts/{number}/statement", "/portal/payouts/PT-000002/statement".to_owned()),
        ("/portal/statements/{year}", "/portal/statements/2026".to_owned()),
        ("/portal/profile/{whose}", "/portal/profile/me".to_owned()),
        ("/portal/tax/{whose}", "/portal/tax/company".to_owned()),
    ])
}

/// The page of the newest vendor event.
async fn first_event(world: &World) -> String {
    let mut db = world.app.store.read().await.unwrap();
    let found = events::newest(&mut db, &events::Filter::default(), None, 1).await.unwrap();
    format!("/events/{}", found.first().unwrap().id)
}

/// A Stripe day on which somebody moved money by hand.
async fn off_day(world: &World) -> String {
    world.simulator.send_in_dashboard("acct_bo", "USD", 2_500);
    movements::all(&world.works[0], None).await.unwrap();
    let mut db = world.app.store.read().await.unwrap();
    let filter = days::Filter { open: true, ..days::Filter::default() };
    let key = days::page(&mut db, &filter, None, 1).await.unwrap().remove(0);
    let (day, account, currency) = (key.day, key.of.name.replace('/', "%2F"), key.currency);
    let vendor = key.of.vendor.as_str();
    format!("/reconciliation/day?day={day}&vendor={vendor}&currency={currency}&account={account}")
}

/// The IDs of a colleague and an API key.
async fn somebody_and_a_key(world: &World) -> (String, String) {
    let kim =
        TeamMember { email: "kim@example.com".to_owned(), name: "Kim Oh".to_owned(), role: Role::Payer };
    let kim = team::invite(&world.app, &world.actor, &kim).await.unwrap();
    let new = NewKey::of("CRM", Role::Auditor, Scopes::kept("read"));
    let key = people::create_key(&world.app, &new).await.unwrap();
    let key = people::by_key(&world.app, &key, None).await.unwrap().actor().unwrap();
    (kim.person.to_string(), key.id.to_string())
}

/// The first evidence row of a payment with raw text.
async fn first_evidence(world: &World, number: &str) -> String {
    let mut db = world.app.store.read().await.unwrap();
    let transaction = transactions::find(&mut db, number).await.unwrap();
    let rows = evidence::of(&mut db, &transaction).await.unwrap();
    format!("/transactions/{number}/evidence/{}", rows.iter().find(|row| row.raw).unwrap().id)
}

/// The axe script; `None` after reporting that it is missing.
pub fn axe() -> Option<String> {
    let named = std::env::var("BURSAR_TEST_AXE").ok().filter(|path| !path.is_empty());
    let script = named.map(PathBuf::from).and_then(|path| std::fs::read_to_string(path).ok());
    if script.is_none() {
        need::skip_or_fail("axe", "BURSAR_TEST_AXE does not name axe-core's axe.min.js");
    }
    script
}

/// Problems of the current page in this look.
pub async fn wrong(browser: &Driven, width: u32, asked: Option<&str>) -> Vec<String> {
    let mut messages = Vec::new();
    let wide = browser.ask("return document.documentElement.scrollWidth").await;
    if wide.as_u64().unwrap() > u64::from(width) {
        messages.push(format!("it is {wide} wide"));
    }
    let heads = browser.ask("return document.querySelectorAll('h1').length").await;
    if heads != 1 {
        messages.push(format!("it has {heads} first headings"));
    }
    let elsewhere = "return performance.getEntriesByType('resource').map((one) => one.name)\
                     .filter((name) => !name.startsWith(location.origin) && !name.startsWith('data:'))";
    let loaded = browser.ask(elsewhere).await;
    if loaded != json!([]) {
        messages.push(format!("it loads {loaded}"));
    }
    if let Some(rules) = asked {
        let report = ".then((found) => done(found.violations.flatMap((one) => one.nodes.slice(0, 2)\
                   .map((node) => `${one.id}: ${node.html.slice(0, 160)} ${node.any[0]?.message ?? ''}`))))";
        let found = browser.await_answer(&format!("axe.run({{runOnly: {rules}}}){report}")).await;
        messages.extend(found.as_array().unwrap().iter().filter_map(Value::as_str).map(str::to_owned));
    }
    messages
}

async fn inspect(world: &World, browser: &Driven, addresses: &[String], with_axe: bool) -> Vec<String> {
    let mut messages = Vec::new();
    for address in addresses {
        browser.look(1280, false).await;
        browser.go(&format!("{}{address}", world.app.base_url)).await;
        for (width, dark, rules) in LOOKS {
            browser.look(width, dark).await;
            let look = format!("{width}{}", if dark { "-dark" } else { "" });
            let wrong = wrong(browser, width, with_axe.then_some(rules)).await;
            messages.extend(wrong.into_iter().map(|wrong| format!("{address} ({look}): {wrong}")));
            let name = address.trim_start_matches('/').replace(['/', '?', '&', '='], "-");
            browser.picture(&format!("{}-{look}", if name.is_empty() { "home" } else { &name })).await;
        }
    }
    messages
}

async fn sign_in(world: &World, browser: &Driven, role: Role, partner: Option<&str>) {
    let new = NewPerson {
        email: format!("{}@example.com", role.as_str()),
        name: "Pat Person".to_owned(),
        role,
        partner: partner.map(str::to_owned),
        password: Some(PASSWORD.to_owned()),
    };
    browser.go(&people::add(&world.app, &new).await.unwrap()).await;
    browser.press("Sign in").await;
    browser.says(if partner.is_some() { "Hello" } else { "Waiting for you" }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_kept_out_of_any_page() {
    let Some(chromium) = super::known() else { return };
    let script = axe();
    let world = World::open("browser_all", 85).await;
    let fill = fill(&world).await;
    world.pass(SECOND);
    let (mut staff, partners) = addresses(&fill);
    // Linked from the API reference, but not in the route table.
    staff.push(codes::PATH.to_owned());
    assert!(staff.len() > 20 && partners.len() > 5, "{staff:?} {partners:?}");
    let mut messages = Vec::new();
    for (role, partner, addresses) in
        [(Role::Admin, None, staff), (Role::PartnerAdmin, Some("ana"), partners)]
    {
        let Some(browser) = Driven::open(chromium, 1280).await else { return world.close().await };
        if let Some(script) = &script {
            browser.devtools("Page.addScriptToEvaluateOnNewDocument", json!({"source": script})).await;
        }
        sign_in(&world, &browser, role, partner).await;
        // The QR code is shown only during setup.
        browser.go(&format!("{}/factor", world.app.base_url)).await;
        browser.press("Set it up").await;
        browser.says("Scan this picture").await;
        messages.extend(inspect(&world, &browser, &addresses, script.is_some()).await);
        browser.close().await;
    }
    assert!(messages.is_empty(), "\n{}", messages.join("\n"));
    world.close().await;
}
