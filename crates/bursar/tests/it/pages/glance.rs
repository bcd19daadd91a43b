//! What lists and settings show at a glance: sort orders that hold from page to page, what is owed, the figures of Reward
//! Settings, what was chosen the last time, and hints where something is not found.

use axum::http::StatusCode;
use bursar::ops::company::{self, Company};
use bursar::ops::settings::Document;
use payout::access::Role;

use super::{Browser, Page, approve_all, seed_data};
use crate::portal::pay_all;
use crate::world::World;

/// The target of the link whose text begins like this.
fn link(page: &Page, words: &str) -> String {
    let found = page.body.split("<a ").find(|rest| {
        let text = rest.split_once('>').map_or("", |(_, text)| text);
        text.starts_with(words)
    });
    let found = found.unwrap_or_else(|| panic!("no link {words:?} in\n{}", page.body));
    found.split("href=\"").nth(1).unwrap().split('"').next().unwrap().replace("&#38;", "&")
}

/// The link to the next page, if there is one.
fn next(page: &Page) -> Option<String> {
    page.body.contains("rel=\"next\"").then(|| {
        let found = page.body.split("<a ").find(|rest| rest.contains("rel=\"next\"")).unwrap();
        found.split("href=\"").nth(1).unwrap().split('"').next().unwrap().replace("&#38;", "&")
    })
}

/// What stands in the rows of the last table, up to this marker of each row.
fn rows(page: &Page, opening: &str) -> Vec<String> {
    let body = page.body.rsplit_once("<tbody>").map_or("", |(_, body)| body);
    let row = |rest: &str| Page { status: StatusCode::OK, to: String::new(), body: rest.to_owned() }.words();
    body.split(opening).skip(1).map(|rest| row(rest.split("</a>").next().unwrap())).collect()
}

/// The rows of all pages, one page of `limit` after the other.
async fn paged(browser: &mut Browser, address: &str, limit: usize, opening: &str) -> Vec<String> {
    let (mut found, mut address) = (Vec::new(), Some(format!("{address}&limit={limit}")));
    while let Some(at) = address {
        let page = browser.read(&at).await;
        found.extend(rows(&page, opening));
        address = next(&page);
    }
    found
}

#[tokio::test]
async fn a_list_sorted_by_a_head_stays_so_from_page_to_page() {
    let world = World::open("glance_sorts", 171).await;
    seed_data(&world).await;
    approve_all(&world).await;
    pay_all(&world).await;
    let mut pat = Browser::of(&world, Role::Admin, "pat").await;
    let payments = [
        ("/dashboard/transactions?sort=number", vec!["PT-000001", "PT-000002", "PT-000003"]),
        ("/dashboard/transactions?sort=-number", vec!["PT-000003", "PT-000002", "PT-000001"]),
        // Within each currency: yen, then dollars.
        ("/dashboard/transactions?sort=amount", vec!["PT-000001", "PT-000002", "PT-000003"]),
        ("/dashboard/transactions?sort=-amount", vec!["PT-000001", "PT-000003", "PT-000002"]),
    ];
    let opening = "href=\"/transactions/";
    let number = |row: &String| row.split('>').next_back().unwrap_or_default().trim().to_owned();
    for (address, expected) in payments {
        let whole: Vec<String> = rows(&pat.read(address).await, opening).iter().map(number).collect();
        let found: Vec<String> = paged(&mut pat, address, 1, opening).await.iter().map(number).collect();
        let ends =
            |found: &[String]| found.iter().zip(&expected).all(|(found, expected)| found.ends_with(expected));
        assert!(whole.len() == 3 && ends(&whole) && whole == found, "{address}: {whole:?} {found:?}");
    }
    for address in ["/dashboard/transactions?sort=since", "/dashboard/transactions?sort=-since"] {
        let whole = rows(&pat.read(address).await, opening);
        assert_eq!(paged(&mut pat, address, 1, opening).await, whole, "{address}");
    }
    for address in ["/rewards?view=all&sort=value", "/rewards?view=all&sort=-number"] {
        let opening = "class=\"nowrap first\">";
        let whole = rows(&pat.read(address).await, opening);
        assert_eq!(whole.len(), 12);
        assert_eq!(paged(&mut pat, address, 5, opening).await, whole, "{address}");
    }
    let names = |found: Vec<String>| found.into_iter().map(|row| row.trim().to_owned()).collect::<Vec<_>>();
    for (address, opening) in [
        ("/partners?sort=", "class=\"who line\">"),
        ("/dashboard/earnings?sort=", "class=\"who first line\">"),
    ] {
        let up = names(paged(&mut pat, &format!("{address}name"), 1, opening).await);
        let mut down = names(paged(&mut pat, &format!("{address}-name"), 1, opening).await);
        assert!(up.len() > 2 && up.is_sorted(), "{up:?}");
        down.reverse();
        assert_eq!(down, up, "{address}");
    }
    world.close().await;
}

#[tokio::test]
async fn a_head_says_how_the_list_is_sorted_and_leads_to_the_opposite() {
    let world = World::open("glance_heads", 172).await;
    seed_data(&world).await;
    approve_all(&world).await;
    pay_all(&world).await;
    let mut pat = Browser::of(&world, Role::Admin, "pat").await;
    let sorted = |page: &Page| page.body.matches("aria-sort=").count();
    let list = pat.read("/dashboard/transactions").await;
    assert!(
        list.body.contains("aria-sort=\"descending\"><a href=\"/dashboard/transactions?sort=number\">Number")
    );
    assert_eq!(sorted(&list), 1);
    assert_eq!(link(&list, "Amount"), "/dashboard/transactions?sort=-amount", "the largest first");
    let largest = pat.read("/dashboard/transactions?sort=-amount").await;
    assert!(largest.body.contains("class=\"right\" aria-sort=\"descending\"><a href="), "{}", largest.body);
    assert_eq!(link(&largest, "Amount"), "/dashboard/transactions?sort=amount");
    // Filters, views and forms keep the order; other tabs and files have their own.
    assert_eq!(link(&largest, "Failed"), "/dashboard/transactions?sort=-amount&status=failed");
    assert_eq!(link(&largest, "In progress"), "/dashboard/transactions?sort=-amount&under_way=true");
    assert!(largest.all_hidden("sort").len() >= 3, "{:?}", largest.all_hidden("sort"));
    assert_eq!(link(&largest, "Earnings"), "/dashboard/earnings");
    assert!(largest.body.contains("href=\"/exports/new?of=transactions&#38;\">Export"), "{}", largest.body);
    for head in ["Payee", "Vendor", "Status", "Batch"] {
        assert!(largest.body.contains(&format!("<th scope=\"col\">{head}</th>")), "{head} has no order");
    }
    let wrong = pat.read("/dashboard/transactions?sort=size").await;
    wrong.says("There is no sort order “size”.");
    assert_eq!(link(&wrong, "Newest first"), "/dashboard/transactions");
    let of_another = next(&pat.read("/dashboard/transactions?sort=since&limit=1").await).unwrap();
    let of_another = of_another.replace("sort=since", "sort=amount");
    assert_eq!(
        pat.get(&of_another).await.status,
        StatusCode::UNPROCESSABLE_ENTITY,
        "a cursor of its own order"
    );

    let partners = pat.read("/partners?q=a").await;
    assert_eq!(link(&partners, "Name"), "/partners?q=a&sort=-name");
    assert_eq!(link(&partners, "Added"), "/partners?q=a&sort=-created");
    assert!(pat.read("/partners?kind=companies").await.body.contains("aria-sort=\"ascending\">"));
    let earnings = pat.read("/dashboard/earnings?sort=net").await;
    assert_eq!(link(&earnings, "Net"), "/dashboard/earnings?sort=-net");
    assert_eq!(link(&earnings, "Payee"), "/dashboard/earnings?sort=name");
    assert_eq!(link(&earnings, "Transactions"), "/dashboard/transactions");
    pat.read("/rewards?sort=size").await.says("There is no sort order “size”.");
    world.close().await;
}

#[tokio::test]
async fn what_is_owed_stands_beside_each_partner_until_it_is_paid() {
    let world = World::open("glance_owed", 173).await;
    seed_data(&world).await;
    let mut pat = Browser::of(&world, Role::Admin, "pat").await;
    let owed = |page: &Page, name: &str| {
        let row =
            page.body.split("<tr role=\"row\">").find(|row| row.contains(&format!(">{name}</a>"))).unwrap();
        let cell = row.split("data-l=\"Owed\"").nth(1).unwrap().split("</td>").next().unwrap();
        let cell = Page { status: StatusCode::OK, to: String::new(), body: format!("<td {cell}") };
        cell.words()
    };
    let page = pat.read("/partners").await;
    assert_eq!(owed(&page, "Ana Lima"), "–", "nothing is approved");
    approve_all(&world).await;
    let approved = pat.read("/partners").await;
    assert_eq!(owed(&approved, "Ana Lima"), "7,500 JPY 1,801.50 USD");
    assert_eq!(owed(&approved, "Cy Ray"), "1,501.50 USD");
    let csrf = pat.read("/claims").await.hidden("csrf");
    pat.post_on("/claims/add", &[("csrf", &csrf), ("all", "yes")]).await;
    let placed = pat.read("/partners").await;
    assert_eq!(owed(&placed, "Ana Lima"), "7,500 JPY 1,801.50 USD", "also in a batch");
    assert_eq!(owed(&pat.read("/partners?kind=companies").await, "Acme &#38; Sons"), "–");
    pat.read("/search?q=lim").await.says("Ana Lima ana · ana@example.com 7,500 JPY 1,801.50 USD Ready");
    let csrf = pat.read("/claims").await.hidden("csrf");
    pat.post_on("/claims/PB-2026-0001/delete", &[("csrf", &csrf)]).await;
    pay_all(&world).await;
    let paid = pat.read("/partners").await;
    assert_eq!(owed(&paid, "Ana Lima"), "–");
    assert_eq!(owed(&paid, "Cy Ray"), "1,501.50 USD", "they cannot be paid yet");
    world.close().await;
}

#[tokio::test]
async fn each_card_of_the_settings_says_what_is_there() {
    let world = World::open("glance_cards", 174).await;
    seed_data(&world).await;
    let mut pat = Browser::of(&world, Role::Admin, "pat").await;
    let page = pat.read("/rewards/settings").await;
    page.says("12 rewards to review 7,500 JPY 5,505.00 USD");
    page.says("No approved rewards outside payouts");
    page.says("2 programs, 2 activities");
    page.says("All as built in");
    page.says("No profile or tax form is missing");
    approve_all(&world).await;
    let page = pat.read("/rewards/settings").await;
    page.says("11 rewards approved 7,500 JPY 5,505.00 USD");
    page.says("1 with approved rewards cannot be paid yet");
    let csrf = pat.read("/claims").await.hidden("csrf");
    pat.post_on("/claims/add", &[("csrf", &csrf), ("all", "yes")]).await;
    company::save(&world.app, &world.actor, |it| Company { name: "Acme & Sons".to_owned(), ..it })
        .await
        .unwrap();
    let page = pat.read("/rewards/settings").await;
    page.says("PB-2026-0001: 8 rewards 7,500 JPY 4,003.50 USD 3 rewards more approved");
    page.says("Acme &#38; Sons");
    world.set(|it| Document { enabled: false, ..it }).await;
    let off = pat.read("/rewards/settings").await;
    assert!(!off.words().contains("PB-2026-0001") && !off.body.contains("href=\"/partners\"><strong>"));

    // Whoever signs in sees whose pages these are.
    let mut nobody = Browser::new(&world);
    nobody.read("/login").await.says("Acme &#38; Sons Bursar Sign in");
    nobody.read("/portal/login?language=en").await.says("Acme &#38; Sons Partner portal Sign in");
    world.close().await;
}

#[tokio::test]
async fn a_page_that_is_not_there_says_what_addresses_look_like() {
    let world = World::open("glance_lost", 175).await;
    let mut pat = Browser::of(&world, Role::Auditor, "pat").await;
    let lost = pat.get("/reward/231").await;
    assert_eq!(lost.status, StatusCode::NOT_FOUND);
    lost.says(
        "A reward: /rewards/RW-000231 A payment: /transactions/PT-000977 A payout: /claims/PB-2026-0042",
    );
    let mut nobody = Browser::new(&world);
    assert!(
        !nobody.get("/reward/231").await.words().contains("PT-000977"),
        "a stranger is told nothing of it"
    );
    world.close().await;
}

#[tokio::test]
async fn an_export_begins_with_what_was_chosen_the_last_time() {
    let world = World::open("glance_exports", 176).await;
    seed_data(&world).await;
    let mut pat = Browser::of(&world, Role::Admin, "pat").await;
    let first = pat.read("/exports/new?of=rewards&view=all").await;
    assert!(
        first.body.contains("value=\"csv\" checked")
            && !first.body.contains("name=\"bom\" value=\"yes\" checked")
    );
    let (csrf, query) = (first.hidden("csrf"), first.hidden("query"));
    let fields = [
        ("csrf", csrf.as_str()),
        ("of", "rewards"),
        ("query", &query),
        ("format", "xlsx"),
        ("bom", "yes"),
        ("column", "number"),
        ("column", "owner"),
    ];
    let sent = pat.post("/exports", &fields).await;
    assert_eq!(sent.status, StatusCode::SEE_OTHER, "{}", sent.body);
    let again = pat.read("/exports/new?of=rewards&view=pending").await;
    assert!(
        again.body.contains("value=\"xlsx\" checked")
            && again.body.contains("name=\"bom\" value=\"yes\" checked")
    );
    assert_eq!(again.body.matches("name=\"column\"").count(), first.body.matches("name=\"column\"").count());
    let ticked = again
        .body
        .split("name=\"column\" value=\"")
        .skip(1)
        .filter(|rest| rest.split('>').next().unwrap().contains("checked"));
    let ticked: Vec<&str> = ticked.map(|rest| rest.split('"').next().unwrap()).collect();
    assert_eq!(ticked, ["number", "owner"]);
    // Another kind, another person, and an accounting program's file begin as ever.
    let transactions = pat.read("/exports/new?of=transactions").await;
    assert!(transactions.body.contains("value=\"csv\" checked"));
    let mut kim = Browser::of(&world, Role::Auditor, "kim").await;
    assert!(kim.read("/exports/new?of=rewards&view=all").await.body.contains("value=\"csv\" checked"));
    world.close().await;
}

#[tokio::test]
async fn a_month_says_which_days_it_has_and_a_partner_until_when_they_would_wait() {
    let world = World::open("glance_days", 177).await;
    seed_data(&world).await;
    let mut pat = Browser::of(&world, Role::Admin, "pat").await;
    let page = pat.read("/settings/payouts").await;
    let (csrf, seen) = (page.hidden("csrf"), super::seen(&page, "company"));
    let sent = async |pat: &mut Browser, month: &str, day: &str| {
        let fields = [
            ("csrf", csrf.as_str()),
            ("section", "company"),
            ("seen", &seen),
            ("fiscal_month", month),
            ("fiscal_day", day),
            ("internal_recipients", ""),
        ];
        pat.post("/settings/payouts", &fields).await
    };
    sent(&mut pat, "02", "30").await.says("February has no such day. Choose one from 1 to 29.");
    sent(&mut pat, "11", "31").await.says("This month has 30 days. Choose one from 1 to 30.");
    assert!(page.words().contains("Add currency , Earning thresholds"), "each says which list it belongs to");

    let mut ana = Browser::of(&world, Role::Partner, "ana-herself").await;
    let profile = ana.read("/portal/profile/me").await;
    let until = bursar::clock::date(world.now() + 3 * crate::world::DAY);
    profile.says(&format!("If you change it now, nothing is sent before {until}"));
    world.set(|it| Document { cooling_off_hours: 0, ..it }).await;
    ana.read("/portal/profile/me").await.says("We tell the old and the new address of every change.");

    let me = pat.read("/me").await;
    assert!(me.body.contains("<select id=\"theme\" name=\"theme\">"), "{}", me.body);
    world.close().await;
}
