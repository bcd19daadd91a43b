//! The pages that move money: warnings about unusual payments, the step-up, and what is recorded of both.

use axum::http::{Method, StatusCode};
use bursar::ops::import;
use bursar::ops::payees;
use bursar::ops::rewards::{RewardSelection, Verdict, decide_many};
use bursar::ops::settings::{Amount, Document};
use bursar::store::audit;
use bursar::store::rewards::{Filter, View};
use bursar::work::connect;
use futures::StreamExt as _;
use payout::access::{Permission, Role};
use payout::payee::Destination;

use super::{Browser, PASSWORD, Page, approve_all, seed_data};
use crate::scenarios::Stage;
use crate::world::{DAY, SECOND, World};

const MINUTE: i64 = 60 * SECOND;

/// The form fields of the Pay page, as a browser would send them.
pub fn promise(page: &Page) -> Vec<(&'static str, String)> {
    let mut fields = vec![("checked", "yes".to_owned())];
    fields.extend(["csrf", "once", "digest"].map(|name| (name, page.hidden(name))));
    fields.extend(page.all_hidden("total").into_iter().map(|total| ("total", total)));
    fields
}

/// The same fields in the form that `post` takes.
pub fn sent<'a>(fields: &'a [(&'static str, String)]) -> Vec<(&'a str, &'a str)> {
    fields.iter().map(|(name, value)| (*name, value.as_str())).collect()
}

/// Adds everything eligible to a payout; returns the URL of its Pay page.
pub async fn prepare(browser: &mut Browser) -> String {
    let csrf = browser.read("/claims").await.hidden("csrf");
    let formed = browser.post_on("/claims/add", &[("csrf", &csrf), ("all", "yes")]).await;
    let number = formed.body.split("PB-2026-").nth(1).unwrap().get(..4).unwrap();
    format!("/claims/PB-2026-{number}/pay")
}

/// Pays it, and lets the vendors finish.
pub async fn pay(world: &World, browser: &mut Browser, path: &str) {
    let mut fields = promise(&browser.read(path).await);
    fields.push(("password", PASSWORD.to_owned()));
    let paid = browser.post(path, &sent(&fields)).await;
    assert_eq!((paid.status, paid.to.as_str()), (StatusCode::SEE_OTHER, path), "{}", paid.body);
    for _ in 0..20 {
        world.tick_all(0).await;
        world.pass(MINUTE);
        world.deliver().await;
    }
    world.tick_all(0).await;
}

/// Approved rewards for Ana, with these amounts.
pub async fn earned(world: &World, name: &str, amounts: &[&str]) {
    let mut file = String::from("external_id,activity,owner,value,currency\n");
    for (place, amount) in amounts.iter().enumerate() {
        file += &format!("{name}-{place},deal,ana,{amount},USD\n");
    }
    let report = import::rewards(&world.app, &world.actor, file.as_bytes(), false, None).await.unwrap();
    assert_eq!(report.accepted, amounts.len() as u64);
    let count = i64::try_from(amounts.len()).unwrap();
    let which = RewardSelection::All(Box::new(Filter { view: View::Pending, ..Filter::default() }), count);
    decide_many(&world.app, &world.actor, &which, &Verdict::Approve, None).await.unwrap();
}

#[test]
fn every_form_that_moves_money_asks_for_a_fresh_proof() {
    let pays = |route: &bursar::web::Route| {
        route.method == Method::POST
            && !route.path.starts_with("/api/")
            && route.access == bursar::web::Access::May(Permission::Pay)
    };
    let without: Vec<&str> = bursar::web::table()
        .iter()
        .filter(|one| pays(one) && one.step_up.is_none())
        .map(|one| one.path)
        .collect();
    let moves_nothing = [
        "/transactions/{number}/refresh",
        "/reconciliation/{case}/look-again",
        "/reconciliation/{case}/explain",
    ];
    assert_eq!(without, moves_nothing, "asking a vendor and writing a note move nothing");
}

#[tokio::test]
async fn paying_asks_for_the_password_again_after_ten_minutes() {
    let world = World::open("pages_step_up", 51).await;
    seed_data(&world).await;
    approve_all(&world).await;
    let mut browser = Browser::of(&world, Role::Payer, "pat").await;
    let path = prepare(&mut browser).await;
    let page = browser.read(&path).await;
    let fields = promise(&page);
    world.pass(10 * MINUTE + SECOND);

    let asked = browser.post(&path, &sent(&fields)).await;
    assert_eq!(asked.status, StatusCode::OK);
    asked.says("Nothing was done yet.");
    for (name, value) in &fields {
        assert!(asked.all_hidden(name).contains(value), "{name} comes along");
    }
    browser.read(&path).await.says("Nothing is sent until you press Pay.");

    let with = |password: &str| [fields.clone(), vec![("password", password.to_owned())]].concat();
    let wrong = browser.post(&path, &sent(&with("not the password at all"))).await;
    wrong.says("This is not your password. Try again.");
    assert!(!wrong.body.contains("not the password at all"));
    let right = browser.post(&path, &sent(&with(PASSWORD))).await;
    assert_eq!((right.status, right.to.as_str()), (StatusCode::SEE_OTHER, path.as_str()));
    // Submitting again gives the same response and pays nothing twice.
    assert_eq!(browser.post(&path, &sent(&with(PASSWORD))).await.to, path);
    browser.read(&path).await.says("Pay was pressed by pat");

    // Input from the rejected form is kept.
    let number = browser.read("/dashboard/transactions").await.body;
    let number = number.split("/transactions/PT-").nth(1).unwrap().get(..6).unwrap().to_owned();
    world.pass(11 * MINUTE);
    let form = format!("/transactions/PT-{number}/mark-paid-outside");
    let csrf = page.hidden("csrf");
    let typed = [("csrf", csrf.as_str()), ("reference", "wire “77”"), ("paid_on", "2026-03-02")];
    let asked = browser.post(&form, &typed).await;
    assert_eq!(asked.hidden("reference"), "wire “77”");
    world.close().await;
}

#[tokio::test]
async fn whoever_has_no_password_chooses_one_while_his_link_is_fresh() {
    let world = World::open("pages_no_password", 52).await;
    seed_data(&world).await;
    approve_all(&world).await;
    let mut browser = Browser::of(&world, Role::Payer, "pat").await;
    bursar::ops::people::reset(&world.app, "pat@example.com", None, bursar::ops::people::MachineUser("root"))
        .await
        .unwrap();
    let link = bursar::ops::people::link_for(&world.app, "pat@example.com").await.unwrap();
    browser.post(link.strip_prefix(&world.app.base_url).unwrap(), &[]).await;
    let path = prepare(&mut browser).await;
    let fields = promise(&browser.read(&path).await);
    world.pass(11 * MINUTE);
    browser.post(&path, &sent(&fields)).await.says("You have no password yet.");
    browser.read("/password").await.says("more than ten minutes ago");
    let chosen = |csrf: &str, again: &str| {
        vec![
            ("csrf", csrf.to_owned()),
            ("password", "another long one".to_owned()),
            ("again", again.to_owned()),
        ]
    };
    let csrf = fields.iter().find(|(name, _)| *name == "csrf").unwrap().1.clone();
    browser
        .post("/password", &sent(&chosen(&csrf, "another long one")))
        .await
        .says("use a new one-time link");

    let link = bursar::ops::people::link_for(&world.app, "pat@example.com").await.unwrap();
    browser.post(link.strip_prefix(&world.app.base_url).unwrap(), &[]).await;
    let csrf = browser.read("/password").await.hidden("csrf");
    browser.post("/password", &sent(&chosen(&csrf, "another long two"))).await.says("not the same");
    let changed = browser.post("/password", &sent(&chosen(&csrf, "another long one"))).await;
    assert_eq!(changed.to, "/");
    world.pass(11 * MINUTE);
    let mut fields = promise(&browser.read(&path).await);
    fields.push(("password", "another long one".to_owned()));
    assert_eq!(browser.post(&path, &sent(&fields)).await.to, path);
    world.close().await;
}

#[tokio::test]
async fn what_is_unusual_is_shown_before_pay_and_kept_with_it() {
    let world = World::open("pages_unusual", 53).await;
    seed_data(&world).await;
    let none = Verdict::Reject { reason: "not these".to_owned(), shown: false };
    decide_many(&world.app, &world.actor, &RewardSelection::All(Box::default(), 12), &none, None)
        .await
        .unwrap();
    let mut browser = Browser::of(&world, Role::Payer, "pat").await;
    for (name, amount) in [("one", "100.00"), ("two", "120.00"), ("three", "140.00")] {
        earned(&world, name, &[amount]).await;
        let path = prepare(&mut browser).await;
        let first = browser.read(&path).await.words().contains("First payment to this destination 1");
        assert_eq!(first, name == "one");
        pay(&world, &mut browser, &path).await;
    }
    world.pass(DAY);
    let mut browser = Browser::of(&world, Role::Payer, "lee").await;
    earned(&world, "same", &["120.00"]).await;
    let path = prepare(&mut browser).await;
    let same = browser.read(&path).await;
    same.says("What is unusual");
    same.says("Same amount as a recent payment 1");
    same.says("PT-000002 was for the same amount.");
    same.says("and looked at what is unusual");
    assert!(!same.words().contains("First payment to this destination"));

    // A new address and a far higher amount than before: payable after the cooling-off, with a warning.
    let csrf = same.hidden("csrf");
    let rewards = browser.read("/claims").await.all_hidden("id");
    browser.post_on(&path.replace("/pay", "/remove"), &[("csrf", &csrf), ("id", &rewards[0])]).await;
    earned(&world, "much", &["400.01"]).await;
    let ana = payees::named(&mut world.app.store.read().await.unwrap(), "ana").await.unwrap().unwrap();
    let moved = Destination::paypal("elsewhere@example.com").unwrap();
    connect::set_profile(&world.works[0], &world.actor, ana, moved).await.unwrap();
    world.pass(4 * DAY);
    browser = Browser::of(&world, Role::Payer, "kim").await;
    let path = prepare(&mut browser).await;
    let page = browser.read(&path).await;
    page.says("Destination changed since the last payment 1");
    page.says("The last payment went to a…@example.com.");
    page.says("First payment to this destination 1");
    page.says("Far above the payee&#39;s average 1");
    page.says("3 payments in the last 12 months averaged 120.00 USD.");
    pay(&world, &mut browser, &path).await;

    let number = path.split('/').nth(2).unwrap();
    let mut db = world.app.store.read().await.unwrap();
    let batch = bursar::store::batches::find(&mut db, number).await.unwrap();
    let kept = audit::newest(&mut db, Some(&batch.id.to_string()), i64::MAX, 50).await.unwrap();
    let kept = kept.iter().find(|row| row.action == "batch_paid").unwrap();
    let detail: serde_json::Value = serde_json::from_str(&kept.detail).unwrap();
    for kind in ["destination_changed", "first_payment", "far_above_average"] {
        assert_eq!(detail["unusual"][kind]["count"], 1, "{detail}");
    }
    drop(db);
    world.close().await;
}

/// The pages with the raw text behind a payment's timeline.
pub async fn evidence(browser: &mut Browser, number: &str) -> Vec<(String, Page)> {
    let page = browser.read(&format!("/transactions/{number}")).await;
    let start = format!("href=\"/transactions/{number}/evidence/");
    let rows: Vec<&str> =
        page.body.split(&start).skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    let mut pages = Vec::new();
    for row in rows {
        let path = format!("/transactions/{number}/evidence/{row}");
        let page = browser.read(&path).await;
        pages.push((path, page));
    }
    pages
}

#[tokio::test]
async fn what_was_sent_and_said_is_read_word_for_word_by_few() {
    let world = World::open("pages_evidence", 54).await;
    seed_data(&world).await;
    approve_all(&world).await;
    let mut payer = Browser::of(&world, Role::Payer, "pat").await;
    let path = prepare(&mut payer).await;
    pay(&world, &mut payer, &path).await;
    let mut auditor = Browser::of(&world, Role::Auditor, "kim").await;
    let pages = evidence(&mut auditor, "PT-000002").await;
    let with = |title: &str| {
        let found = pages.iter().find(|(_, page)| page.body.contains(&format!("<h1>{title}</h1>")));
        found.unwrap_or_else(|| panic!("no {title} among {}", pages.len()))
    };
    let (request, page) = with("Request to PayPal");
    page.says("POST /v1/payments/payouts");
    page.says("(1 item of another payment is not shown)");
    page.says("…@example.com");
    with("Answer of PayPal").1.says("Status 201");
    let (_, webhook) = with("Webhook of PayPal");
    webhook.says("paypal-transmission-sig: (checked on arrival; not shown)");
    for (path, page) in &pages {
        for address in ["ana@example.com", "bo@example.com"] {
            assert!(!page.body.contains(address), "{path} holds {address}");
        }
    }
    auditor.read("/activity").await.says("Raw message opened");

    let seen = payer.read("/transactions/PT-000002").await;
    seen.says("The raw message is kept. Administrators and auditors can open it.");
    assert!(!seen.body.contains("/evidence/"));
    assert_eq!(payer.get(request).await.status, StatusCode::FORBIDDEN);
    let elsewhere = request.replace("PT-000002", "PT-000001");
    assert_eq!(auditor.get(&elsewhere).await.status, StatusCode::NOT_FOUND);
    world.close().await;
}

#[tokio::test]
async fn what_nobody_claims_counts_down_and_is_called_back() {
    let world = World::open("pages_unclaimed", 55).await;
    seed_data(&world).await;
    approve_all(&world).await;
    let bo = payees::named(&mut world.app.store.read().await.unwrap(), "bo").await.unwrap().unwrap();
    let nobody = Destination::paypal("sim-unclaimed-bo@example.com").unwrap();
    connect::set_profile(&world.works[0], &world.actor, bo, nobody).await.unwrap();
    world.pass(4 * DAY);
    let mut browser = Browser::of(&world, Role::Payer, "pat").await;
    let path = prepare(&mut browser).await;
    pay(&world, &mut browser, &path).await;
    let list = browser.read("/dashboard/transactions").await;
    let row = list.body.split("<tr").find(|row| row.contains("Bo ") && row.contains("USD")).unwrap();
    let number = row.split("/transactions/PT-").nth(1).unwrap().get(..6).unwrap().to_owned();
    let page = format!("/transactions/PT-{number}");
    let shown = browser.read(&page).await;
    shown.says("Unclaimed: it comes back automatically on");
    shown.says("( 30 days left )");
    shown.says("Ask the partner to open or confirm their PayPal account with exactly this address");
    world.pass(3 * DAY);
    let mut browser = Browser::of(&world, Role::Payer, "kim").await;
    let shown = browser.read(&page).await;
    shown.says("( 27 days left )");
    let csrf = shown.hidden("csrf");
    let form = format!("{page}/cancel-unclaimed");
    let fields = [("csrf", csrf.as_str())];
    let (answered, ()) = tokio::join!(browser.post(&form, &fields), async {
        // Stands in for the program's loops, which do not run in this test.
        for _ in 0..8 {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            world.tick_all(0).await;
        }
    });
    assert_eq!(answered.to, page);
    let after = browser.read(&page).await;
    after.says("PayPal has returned the money.");
    after.says("with this address, then resubmit");
    let again = browser.post_on(&form, &[("csrf", &csrf)]).await;
    again.says("Only an unclaimed PayPal payment can be canceled.");
    world.close().await;
}

#[tokio::test]
async fn a_large_total_is_typed_before_it_is_paid() {
    let world = World::open("pages_typed_total", 56).await;
    seed_data(&world).await;
    approve_all(&world).await;
    let above =
        |value: &str, currency: &str| Amount { value: value.to_owned(), currency: currency.to_owned() };
    world
        .set(|it| Document { typed_total_above: vec![above("1000", "USD"), above("7500", "JPY")], ..it })
        .await;
    let mut browser = Browser::of(&world, Role::Payer, "pat").await;
    let path = prepare(&mut browser).await;
    let page = browser.read(&path).await;
    page.says("Type the total of the rewards in USD");
    assert!(
        !page.words().contains("Type the total of the rewards in JPY"),
        "exactly the amount is not above it"
    );
    let total = page.all_hidden("total").into_iter().find(|total| total.ends_with("USD")).unwrap();
    let typed = |text: Option<&str>, once: &str| {
        let mut fields = promise(&page);
        fields.retain(|(name, _)| *name != "once");
        fields.push(("once", once.to_owned()));
        fields.extend(text.map(|text| ("typed", text.to_owned())));
        fields
    };
    let none = browser.post_on(&path, &sent(&typed(None, "one"))).await;
    none.says("Type the large totals exactly as shown. Nothing was paid.");
    none.says(&format!("USD: type {total}."));
    let wrong = browser.post_on(&path, &sent(&typed(Some("1.00"), "two"))).await;
    wrong.says(&format!("USD: the total is {total}, which is not what was typed."));
    let right = browser.post(&path, &sent(&typed(Some(&total), "three"))).await;
    assert_eq!(right.to, path);
    browser.read(&path).await.says("Pay was pressed by pat");
    world.close().await;
}

/// The version numbers that a live page's stream sends before it waits for a change; `None` if it ends for good.
pub(super) async fn told(browser: &mut Browser, path: &str, last: Option<&str>) -> Option<Vec<String>> {
    let answer = browser.open(path, last).await;
    if answer.status() == StatusCode::NO_CONTENT {
        return None;
    }
    assert_eq!(answer.status(), StatusCode::OK);
    let mut stream = answer.into_body().into_data_stream();
    let mut text = String::new();
    while let Ok(Some(part)) =
        tokio::time::timeout(std::time::Duration::from_millis(300), stream.next()).await
    {
        text.push_str(&String::from_utf8_lossy(&part.unwrap()));
    }
    Some(text.lines().filter_map(|line| line.strip_prefix("id: ").map(str::to_owned)).collect())
}

#[tokio::test]
async fn a_page_that_was_away_is_told_at_once_what_it_missed() {
    let world = World::open("pages_stream", 57).await;
    seed_data(&world).await;
    approve_all(&world).await;
    let mut browser = Browser::of(&world, Role::Payer, "pat").await;
    let path = prepare(&mut browser).await;
    let promised = promise(&browser.read(&path).await);
    browser.post(&path, &sent(&promised)).await;
    let page = browser.read(&path).await;
    let stream = page.body.split("data-live=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let seen = stream.split("seen=").nth(1).unwrap().to_owned();

    // The page is up to date: the stream sends the same number only.
    assert_eq!(told(&mut browser, &stream, None).await, Some(vec![seen.clone()]));
    world.tick_all(0).await;
    // The page missed a change: the stream sends its number, then the current one.
    let missed = told(&mut browser, &stream, None).await.unwrap();
    assert_eq!((missed.len(), &missed[0]), (2, &seen));
    let now = missed[1].clone();
    assert!(now.parse::<i64>().unwrap() > seen.parse::<i64>().unwrap());
    // A reconnecting browser sends its last number in `Last-Event-ID`.
    assert_eq!(told(&mut browser, &stream, Some(&now)).await, Some(vec![now.clone()]));
    assert_eq!(told(&mut browser, &stream, Some(&seen)).await, Some(vec![seen.clone(), now.clone()]));
    for _ in 0..20 {
        world.pass(MINUTE);
        world.deliver().await;
        world.tick_all(0).await;
    }
    let ended = told(&mut browser, &stream, Some(&now)).await.unwrap();
    assert_eq!(
        told(&mut browser, &stream, ended.last().map(String::as_str)).await,
        None,
        "nothing more comes"
    );
    let page = browser.read(&path).await;
    page.says("succeeded.");
    assert!(!page.body.contains("data-live"), "nothing is under way any more");
    world.close().await;
}

#[tokio::test]
async fn the_pool_is_filtered_and_turned_and_only_what_is_shown_is_added() {
    let world = World::open("pages_pool", 58).await;
    seed_data(&world).await;
    approve_all(&world).await;
    let many: Vec<String> = (0..60).map(|number| format!("{number}.01")).skip(1).collect();
    earned(&world, "many", &many.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let mut browser = Browser::of(&world, Role::Payer, "pat").await;
    let page = browser.read("/claims").await;
    page.says("50 of 67 rewards");
    page.says("Page 1 of 2");
    browser.read("/claims?pool=2").await.says("17 of 67 rewards");
    browser.read("/claims?owner=bo&currency=JPY").await.says("No approved reward can be added now.");
    browser.read("/claims?owner=nobody").await.says("No single partner has the id or the name “nobody”.");
    let bo = browser.read("/claims?owner=Bo").await;
    bo.says("Owner: Bo");
    bo.says("Add all 4 eligible rewards in this filter");
    let csrf = bo.hidden("csrf");
    let fields = [("csrf", csrf.as_str()), ("all", "yes"), ("owner", "Bo")];
    let sent = browser.post("/claims/add", &fields).await;
    assert_eq!(sent.to, "/claims?owner=Bo");
    let added = browser.read(&sent.to).await;
    added.says("now holds 4 rewards in 1 claim.");
    added.says("expected within minutes, if the receiver has a PayPal account");
    world.close().await;
}

/// Someone who may release finds the button next to the details, and it releases exactly what is shown.
#[tokio::test]
async fn the_pay_page_releases_what_it_shows() {
    let mut stage = Stage::open("pages_pay_release", 59).await;
    let story =
        ["settings two-person on", "partner bo stripe acct_bo", "reward R1 bo 10.00 approved", "batch B1 R1"];
    for line in story {
        stage.one(line).await.unwrap();
    }
    let path = format!("/claims/{}", stage.number("B1").await.unwrap());
    let mut auditor = Browser::of(&stage.world, Role::Auditor, "reads").await;
    let mut kim = Browser::of(&stage.world, Role::Payer, "kim").await;
    let seen = kim.read(&format!("{path}/pay")).await;
    assert!(seen.body.contains(&format!("action=\"{path}/release\"")), "{}", seen.body);
    seen.says("Release 10.00 USD");
    seen.says("You can release it, because you neither prepared nor changed it.");
    assert!(
        seen.body.find(">What is paid<").unwrap() < seen.body.find(">Release ").unwrap(),
        "after the figures"
    );
    let theirs = auditor.get(&format!("{path}/pay")).await;
    assert!(!theirs.body.contains(">Release "), "{}", theirs.body);
    let (csrf, digest) = (seen.hidden("csrf"), seen.hidden("digest"));
    let blind = [("csrf", csrf.as_str()), ("digest", digest.as_str())];
    kim.post_on(&format!("{path}/release"), &blind).await.says("Nothing was released.");
    let press = [("csrf", csrf.as_str()), ("digest", digest.as_str()), ("checked", "yes")];
    stage.one("reward R2 bo 5.00 approved").await.unwrap();
    stage.one("add B1 R2").await.unwrap();
    let stale = kim.post(&format!("{path}/release"), &press).await;
    let page = if stale.to.is_empty() { stale } else { kim.read(&stale.to).await };
    assert!(!page.body.contains("released this payout as shown here"), "another one: {}", page.body);
    let seen = kim.read(&format!("{path}/pay")).await;
    let digest = seen.hidden("digest");
    let press = [("csrf", csrf.as_str()), ("digest", digest.as_str()), ("checked", "yes")];
    kim.post_on(&format!("{path}/release"), &press).await.says("Released");
    let after = kim.read(&format!("{path}/pay")).await;
    after.says("kim");
    assert!(!after.body.contains(">Release "), "once is enough: {}", after.body);
    stage.one("pay B1").await.unwrap();
    stage.one("live 1 minute").await.unwrap();
    stage.close(Ok(())).await;
}

/// Several failed payments are returned to the pool at once; each has its own result, and one that succeeded refuses.
#[tokio::test]
async fn several_payments_return_to_the_pool_at_once() {
    let mut stage = Stage::open("pages_return_many", 60).await;
    let story = "partner ana paypal sim-limit-ana@example.com
partner di paypal sim-limit-di@example.com
partner cy stripe acct_cy
reward R1 ana 10.00 approved
reward R2 di 20.00 approved
reward R3 cy 30.00 approved
batch B1 all
pay B1
live 2 days";
    for line in story.lines() {
        stage.one(line).await.unwrap();
    }
    let mut numbers = Vec::new();
    for name in ["ana", "di", "cy"] {
        numbers.push(stage.number(name).await.unwrap());
    }
    let [ana, di, cy] = numbers.as_slice() else { panic!("{numbers:?}") };
    let mut payer = Browser::of(&stage.world, Role::Payer, "payer").await;
    let page = payer.read("/dashboard/transactions").await;
    let csrf = page.body.split("name=\"csrf\" value=\"").nth(1).unwrap().split('"').next().unwrap();
    let here = "/dashboard/transactions/decide";
    let mut fields = vec![("csrf", csrf), ("action", "return"), ("back", "")];
    fields.extend(numbers.iter().map(|number| ("id", number.as_str())));
    payer.post(here, &fields).await.says("Return 2 payments to the pool, 30.00 USD");
    stage.one("expect R1 in_payout").await.unwrap();
    fields.push(("checked", "yes"));
    let done = payer.post(here, &fields).await;
    done.says("2 of 3 payments returned to the pool.");
    done.says(&format!("{ana} Done The rewards of {ana} are back in the pool."));
    done.says(&format!("{di} Done The rewards of {di} are back in the pool."));
    done.says(&format!("{cy} Not done"));
    payer.post(here, &fields).await.says("0 of 3 payments returned to the pool.");
    for line in ["expect R1 approved", "expect R2 approved", "expect R3 paid"] {
        stage.one(line).await.unwrap();
    }
    stage.close(Ok(())).await;
}

#[tokio::test]
async fn what_ends_with_a_payment_that_is_called_not_made_is_named_before() {
    let mut stage = Stage::open("pages_not_made", 60).await;
    let story = "partner ana paypal ana@example.com
        partner cy paypal cy@example.com
        reward R1 ana 20.00 approved
        reward R2 cy 30.00 approved
        batch B1 all
        pay B1
        vendor paypal 503 on batch
        tick dispatch
        hold ana on
        later 1 minute
        tick dispatch";
    for line in story.lines() {
        stage.one(line).await.unwrap();
    }
    let (ana, cy) = (stage.number("ana").await.unwrap(), stage.number("cy").await.unwrap());
    let mut payer = Browser::of(&stage.world, Role::Payer, "pat").await;
    let page = payer.read(&format!("/transactions/{ana}")).await;
    page.says("It went to PayPal in one request with 1 other payment in the same state.");
    let said = page.body.split("It went to PayPal").nth(1).unwrap();
    assert!(said.split("</div>").next().unwrap().contains(&format!("/transactions/{cy}")));
    let batch = stage.number("B1").await.unwrap();
    let live = payer.read(&format!("/claims/{batch}/pay")).await;
    live.says("0 of 2 payments succeeded, 2 need review.");
    live.says("Needs review 2");
    payer.read("/dashboard/summary").await.says("2 payments need a person");
    stage.one("settle ana not-made").await.unwrap();
    let form = payer.read(&format!("/transactions/{ana}")).await;
    let (csrf, once) = (form.hidden("csrf"), form.hidden("once"));
    let fields =
        [("csrf", csrf.as_str()), ("once", &once), ("outcome", "not_made"), ("note", "looked it up")];
    let settled = payer.post_on(&format!("/transactions/{ana}/settle-by-hand"), &fields).await;
    settled.says(&format!("{ana} and {cy} are settled: Failed."));
    settled.says(&format!("settled together with it: {cy}"));
    let page = payer.read(&format!("/transactions/{cy}")).await;
    page.says(&format!("settled together with {ana}"));
    assert!(!page.body.contains("It went to PayPal"), "nothing of it waits any more");
    page.says("Settle by hand");
    stage.close(Ok(())).await;
}

/// An attempt settled as not made is remembered when a later attempt ends differently.
#[tokio::test]
async fn what_was_called_not_made_once_is_looked_at_whatever_has_ended_it_since() {
    let mut stage = Stage::open("pages_not_made_once", 61).await;
    let story = "partner ana paypal ana@example.com
        reward R1 ana 20.00 approved
        batch B1 all
        pay B1
        vendor paypal 503 on batch
        tick dispatch
        hold ana on
        later 1 minute
        tick dispatch
        settle ana not-made
        settle ana not-made by other
        hold ana off
        resubmit ana
        hold ana on
        tick dispatch
        expect ana failed reason partner_on_hold
        hold ana off";
    for line in story.lines() {
        stage.one(line).await.unwrap();
    }
    let number = stage.number("ana").await.unwrap();
    let mut payer = Browser::of(&stage.world, Role::Payer, "pat").await;
    let page = payer.read(&format!("/transactions/{number}")).await;
    page.says("I have checked at PayPal again: it did not make this payment");
    let csrf = page.hidden("csrf");
    for action in ["resubmit", "return"] {
        let fields =
            [("csrf", csrf.as_str()), ("action", action), ("back", ""), ("id", &*number), ("checked", "yes")];
        let refused = payer.post("/dashboard/transactions/decide", &fields).await;
        refused.says("Check at the vendor again, then use its own page.");
    }
    for line in ["return ana", "batch B2 all"] {
        stage.one(line).await.unwrap();
    }
    let pay = payer.read(&format!("/claims/{}/pay", stage.number("B2").await.unwrap())).await;
    pay.says("Rewards that were in an earlier payment");
    pay.says(&format!("was in {number} before"));
    pay.says("That it was not paid rests on people&#39;s word, or on a look-up that found nothing: check at the vendor once more.");
    stage.close(Ok(())).await;
}
