//! The dashboard's tabs, as served to a browser without JavaScript.

use axum::http::StatusCode;
use bursar::ops::company::{self, Company};
use bursar::ops::settings::Document;
use payout::access::Role;

use super::furnish;
use crate::pages::{Browser, Page};
use crate::world::{DAY, World};

/// The target of the link with this text.
fn link(page: &Page, words: &str) -> String {
    let anchor = page.body.split("<a ").find(|rest| {
        let text = rest.split_once('>').map_or("", |(_, text)| text);
        text.starts_with(words)
    });
    let anchor = anchor.unwrap_or_else(|| panic!("no link {words:?} in\n{}", page.body));
    let href = anchor.split("href=\"").nth(1).unwrap().split('"').next().unwrap();
    href.replace("&#38;", "&")
}

#[tokio::test]
async fn the_summary_shows_one_currency_in_figures_a_chart_and_its_table() {
    let world = World::open("dashboard_summary", 76).await;
    furnish(&world).await;
    let mut browser = Browser::of(&world, Role::Auditor, "pat").await;
    assert_eq!(browser.get("/dashboard").await.to, "/dashboard/summary");
    let page = browser.read("/dashboard/summary").await;
    page.says("Net 2,200.00 USD 2,270.00 USD paid, 70.00 USD lies in payees' balances");
    page.says("In flight 9.00 USD 1 payment promised: with a vendor or not sent yet");
    page.says("Failed 100.00 USD 2 payments, to be decided about: the list, in all currencies");
    page.says("Waiting 7.00 USD 1 approved reward in no payment yet");
    page.says(
        "2026-04 50.00 USD 0.00 USD 0.00 USD 50.00 USD 2026-03 2,220.00 USD 0.00 USD 70.00 USD 2,150.00 USD",
    );
    page.says("Stripe does not yet allow payments to this account. transfers_not_allowed 1 30.00 USD");
    page.says("Ana Lima 2,150.00 USD Eve Oz 40.00 USD Acme 10.00 USD");
    page.says("From Pay to Success Median time");
    assert!(page.body.contains("<svg class=\"chart\" role=\"img\""), "charts are images");
    page.says("This month so far 50.00 USD , all of last month 2,150.00 USD");
    page.says("May 2025 to Apr 2026; Apr is not over");
    assert_eq!(page.body.matches("<g><title>").count(), 12, "a column for each of twelve months");
    assert!(page.body.contains("<title>2026-03: 2,220.00 paid, 70.00 came back or never arrived</title>"));
    assert!(page.body.contains("<strong class=\"wrong\"><span class=\"m\">100.00"), "failures are not green");
    assert_eq!(page.body.matches("role=\"img\"").count(), page.body.matches("</desc>").count());
    assert_eq!(page.body.matches("<h1").count(), 1);
    assert!(!page.body.contains("style="), "the content security policy refuses it");

    let failed = browser.read(&link(&page, "Stripe does not yet allow")).await;
    failed.says("Reason: transfers_not_allowed");
    failed.says("Bo Ek 30.00 USD");
    assert!(!failed.words().contains("Cem Ray"));
    browser.read(&link(&page, "the list, in all currencies")).await.says("Cem Ray 70.00 USD");
    browser.read(&link(&page, "All that is under way")).await.says("Dee Ray 9.00 USD");
    browser.read(&link(&page, "Eve Oz")).await.says("Eve Oz");
    world.close().await;
}

#[tokio::test]
async fn the_summary_switches_its_currency_and_says_the_period_before() {
    let world = World::open("dashboard_switch", 81).await;
    furnish(&world).await;
    let mut browser = Browser::of(&world, Role::Auditor, "pat").await;
    let page = browser.read("/dashboard/summary").await;
    assert!(!page.words().contains("500 JPY"), "one currency at a time, the most used first");
    page.says("USD 2 to be decided about");
    let yen = browser.read(&link(&page, "JPY")).await;
    yen.says("Net 500 JPY 500 JPY paid");
    yen.says("Dee Ray 500 JPY");
    assert!(!yen.words().contains("2,200.00"));
    assert!(yen.body.contains("name=\"currency\" value=\"JPY\""), "the filters keep it");
    company::save(&world.app, &world.actor, |it| Company { currency: "EUR".to_owned(), ..it }).await.unwrap();
    browser.read("/dashboard/summary").await.says("Net 20.00 EUR");

    let april = browser.read("/dashboard/summary?range=this_month&currency=usd").await;
    april.says("The same days of the period before, as this one is not over: 2026-03-01 to 2026-03-06");
    april.says("Net 50.00 USD 50.00 USD paid Before: 2,150.00 USD");
    assert_eq!(april.words().matches("Before: ").count(), 1, "what stands is known only as it is now");
    april.says("May 2025 to Apr 2026, also before the days that are chosen; Apr is not over");
    assert!(april.body.contains("2026-03: 2,220.00 paid"), "the months before stand beside it");
    let march = browser.read("/dashboard/summary?range=last_month&currency=USD").await;
    assert_eq!(link(&march, "EUR"), "/dashboard/summary?range=last_month&currency=EUR");
    let own = browser.read("/dashboard/summary?from=2026-04-03&to=2026-04-30&currency=USD").await;
    own.says("as this one is not over: 2026-03-06 to 2026-03-09");
    let early = browser.read("/dashboard/summary?from=2026-03-01&to=2026-03-04&currency=USD").await;
    early.says("The period before: 2026-02-25 to 2026-02-28");
    early.says("Apr 2025 to Mar 2026, also before the days that are chosen; Mar only to 2026-03-04");
    early.says("2026-03 2,220.00 USD 0.00 USD 2,220.00 USD");
    let later = browser.read("/dashboard/summary?from=2026-05-01&to=2026-05-31&currency=USD").await;
    assert!(!later.words().contains("period before"), "it has not begun");
    browser.read("/dashboard/summary?currency=XXQ").await.says("There is no currency “XXQ”.");
    browser.read("/dashboard/earnings?currency=USD").await.says("Currency is not a filter of Earnings.");
    world.close().await;
}

#[tokio::test]
async fn filters_travel_between_the_tabs_that_have_them() {
    let world = World::open("dashboard_tabs", 77).await;
    furnish(&world).await;
    world.set(|it| Document { fiscal_year_start: "04-06".to_owned(), ..it }).await;
    let mut browser = Browser::of(&world, Role::Auditor, "pat").await;
    let asked = "/dashboard/transactions?account=acme&range=last_fiscal_year&status=failed";
    let list = browser.read(asked).await;
    list.says("Account: Acme");
    list.says("Date Range: Last fiscal year, 2025-04-06 to 2026-04-05");
    list.says("Status: Failed");
    list.says("Bo Ek 30.00 USD");
    assert_eq!(link(&list, "Summary"), "/dashboard/summary?account=acme&range=last_fiscal_year");
    assert_eq!(link(&list, "Earnings"), "/dashboard/earnings?account=acme");
    let summary = browser.read(&link(&list, "Summary")).await;
    summary.says("Net 2,110.00 USD");
    assert!(!summary.words().contains("2026-04 "), "April is in another fiscal year");
    let earnings = browser.read("/dashboard/earnings?account=A-1&year=2026").await;
    assert_eq!(link(&earnings, "Summary"), "/dashboard/summary?account=A-1");
    browser.read("/dashboard/summary?range=this_fiscal_year").await.says("Net 50.00 USD");
    browser.read("/dashboard/summary?range=this_quarter&partner=Ana+Lima").await.says("Net 50.00 USD");
    browser.read("/dashboard/summary?range=this_month").await.says("2026-04-01 to 2026-04-30");
    browser.read("/dashboard/summary?range=last_month").await.says("Net 2,150.00 USD");
    let own =
        browser.read("/dashboard/summary?from=2026-03-01&to=2026-03-31&payment_type=organization").await;
    own.says("Net 10.00 USD");
    own.says("Payment Type: Organization");
    // The form that adds dates keeps the named range beside them.
    let typed = browser.read("/dashboard/summary?range=this_month&from=2026-03-01&to=2026-03-31").await;
    typed.says("Date Range: 2026-03-01 to 2026-03-31");
    assert_eq!(link(&typed, "Transactions"), "/dashboard/transactions?from=2026-03-01&to=2026-03-31");
    assert!(typed.body.contains("value=\"custom\" selected"), "the list of ranges says so too");

    for (query, because) in [
        ("summary?account=nobody", "No account has the id or the name “nobody”."),
        ("summary?partner=ray", "Several partners match “ray”. Which one? Cem Ray (cem) Dee Ray (dee)"),
        ("summary?range=last_week", "There is no date range “last_week”."),
        ("summary?from=soon", "“soon” is not a date; write it like 2026-07-19."),
        ("summary?from=2026-04-01&to=2026-03-01", "The range ends before it begins."),
        ("summary?year=2026", "Earning Year is not a filter of Summary."),
        ("summary?status=failed", "Status is not a filter of Summary."),
        ("earnings?range=this_month", "Date Range is not a filter of Earnings."),
        ("earnings?year=26", "Write the year with four figures"),
        ("transactions?status=lost", "There is no status “lost”."),
        ("transactions?batch=PB-1", "There is no batch “PB-1”."),
    ] {
        let page = browser.read(&format!("/dashboard/{query}")).await;
        page.says(because);
        page.says("Fix the filter to see results.");
        assert!(!page.words().contains("Ana Lima"), "{query} guesses");
    }
    assert_eq!(browser.get("/dashboard/summary?acount=A-1").await.status, StatusCode::BAD_REQUEST);
    world.close().await;
}

#[tokio::test]
async fn payments_have_their_views_and_their_old_address() {
    let world = World::open("dashboard_payments", 78).await;
    furnish(&world).await;
    let mut browser = Browser::of(&world, Role::Payer, "pat").await;
    let moved = browser.get("/transactions?needs_attention=true&vendor=stripe").await;
    assert_eq!(moved.status, StatusCode::PERMANENT_REDIRECT);
    assert_eq!(moved.to, "/dashboard/transactions?needs_attention=true&vendor=stripe");
    let attention = browser.read(&moved.to).await;
    attention.says("Needs attention (2)");
    attention.says("Stuck (0)");
    attention.says("Bo Ek 30.00 USD");
    assert_eq!(link(&attention, "Stuck"), "/dashboard/transactions?vendor=stripe&stuck=true");
    let after = browser.read("/dashboard/transactions?after_success=true").await;
    after.says("Cem Ray 70.00 USD");
    assert!(!after.words().contains("Bo Ek"), "his never succeeded");
    world.pass(4 * DAY);
    let mut browser = Browser::of(&world, Role::Payer, "kim").await;
    let stuck = browser.read("/dashboard/transactions?stuck=true&partner=dee").await;
    stuck.says("Stuck (1)");
    stuck.says("Dee Ray 9.00 USD");
    let mut numbers = Vec::new();
    let mut path = "/dashboard/transactions?payment_type=individual&limit=3".to_owned();
    loop {
        let page = browser.read(&path).await;
        numbers.extend(page.body.split("href=\"/transactions/PT-").skip(1).map(|rest| rest[..6].to_owned()));
        if !page.body.contains("rel=\"next\"") {
            break;
        }
        path = link(&page, "Next page");
    }
    assert_eq!(numbers[..2], ["000009", "000008"], "the newest first");
    numbers.sort_unstable();
    let each_once = [1, 2, 3, 4, 5, 6, 8, 9].map(|number: u32| format!("{number:06}"));
    assert_eq!(numbers, each_once, "the company's, which is the seventh, is not among them");
    world.close().await;
}

#[tokio::test]
async fn earnings_are_sorted_paged_and_held_against_the_threshold() {
    let world = World::open("dashboard_years", 79).await;
    furnish(&world).await;
    let mut browser = Browser::of(&world, Role::Auditor, "pat").await;
    let page = browser.read("/dashboard/earnings").await;
    page.says("A net of 2,000.00 USD or more is reported for 2026.");
    page.says("USD 2,316.00 USD 2,270.00 USD 0.00 USD 70.00 USD in the balance at Stripe – 2,200.00 USD");
    page.says("Ana Lima ana 2,150.00 USD 2,150.00 USD 0.00 USD 2,150.00 USD PayPal 2,150.00 USD None Over");
    page.says("Cem Ray cem 70.00 USD 70.00 USD 0.00 USD 70.00 USD in the balance at Stripe 0.00 USD Stripe 0.00 USD None Under");
    page.says("Dee Ray dee 500 JPY 500 JPY 0 JPY 500 JPY PayPal 500 JPY None Not in USD");
    let net = browser.read(&link(&page, "Net")).await;
    net.says("Who was paid nothing in 2026 stands only in the list by name.");
    let rows = net.words();
    assert!(rows.find("Eve Oz").unwrap() < rows.find("Acme A-1").unwrap(), "more before less");
    assert!(!rows.contains("Bo Ek"));
    let first = browser.read("/dashboard/earnings?limit=2&account=A-2").await;
    first.says("Dee Ray");
    assert!(!first.words().contains("Eve Oz"));
    let second = browser.read(&link(&first, "Next page")).await;
    second.says("Eve Oz");
    second.says("4–4 of 4 Previous page");
    assert_eq!(link(&second, "Previous page"), "/dashboard/earnings?limit=2&account=A-2");
    browser.read("/dashboard/earnings?year=2025").await.says("Nobody earned or was paid anything here.");
    browser.read(&link(&page, "Ana Lima")).await.says("Paid in 2026");
    let mut ana = Browser::of(&world, Role::PartnerAdmin, "ana-for-all").await;
    for tab in ["summary", "transactions", "earnings"] {
        let status = ana.get(&format!("/dashboard/{tab}")).await.status;
        assert_eq!(status, StatusCode::FORBIDDEN, "{tab} is ours; his numbers are in his portal");
    }
    world.set(|it| Document { enabled: false, ..it }).await;
    assert_eq!(browser.get("/dashboard/summary").await.status, StatusCode::NOT_FOUND);
    world.close().await;
}
