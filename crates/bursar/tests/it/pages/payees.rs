//! The payee pages: the list, a payee with everything that blocks their payments, and the forms on their page.

use axum::http::StatusCode;
use bursar::ops::settings::Document;
use payout::access::Role;

use super::{Browser, approve_all, seed_data};
use crate::world::World;

/// The URL of a payee's page, as linked from the list.
pub(super) async fn page_of(browser: &mut Browser, list: &str, name: &str) -> String {
    let list = browser.read(list).await;
    let row = list.body.split("class=\"who line\"").find(|row| row.contains(&format!(">{name}</a>")));
    let href = row.unwrap_or_else(|| panic!("no {name} in\n{}", list.body)).split("href=\"").nth(1).unwrap();
    href.split('"').next().unwrap().to_owned()
}

#[tokio::test]
async fn the_list_is_searched_filtered_and_turned() {
    let world = World::open("pages_partners", 21).await;
    seed_data(&world).await;
    let mut browser = Browser::of(&world, Role::Auditor, "pat").await;
    let all = browser.read("/partners").await;
    all.says("Name ↑ Account Country Paid through Owed Payout profile Tax report Standing");
    all.says("Ana Lima ana Acme &#38; Sons US PayPal a…@example.com – Ready None Active");
    all.says("Cy Ray cy Acme &#38; Sons US – – Not chosen None Active");
    let missing = browser.read("/partners?profile=missing").await;
    missing.says("Cy Ray");
    assert!(!missing.words().contains("Ana Lima"));
    browser.read("/partners?q=aNA").await.says("Ana Lima");
    browser.read("/partners?tax=on_file&standing=on_hold").await.says("No partner matches.");
    browser.read("/partners?standing=sad").await.says("There is no filter value “sad”.");
    browser.read("/partners?kind=companies").await.says("Acme &#38; Sons A-1 US – – Not chosen None Active");
    let first = browser.read("/partners?limit=2").await;
    assert!(!first.words().contains("Cy Ray"));
    let next = first.body.split("href=\"").find(|rest| rest.contains("rel=\"next\"")).unwrap();
    let next = next.split('"').next().unwrap().replace("&#38;", "&");
    let second = browser.read(&next).await;
    second.says("Cy Ray");
    second.says("3–3 of 3 Previous page");
    first.says("1–2 of 3 Next page");
    world.close().await;
}

#[tokio::test]
async fn a_payee_is_told_whole_and_their_forms_say_what_is_wrong() {
    let world = World::open("pages_payee", 22).await;
    seed_data(&world).await;
    approve_all(&world).await;
    let mut browser = Browser::of(&world, Role::Admin, "pat").await;
    let cy = page_of(&mut browser, "/partners", "Cy Ray").await;
    let id = cy.rsplit('/').next().unwrap().to_owned();
    let page = browser.read(&cy).await;
    page.says("Payout status Not payable now");
    page.says("The payee has not chosen how to be paid.");
    page.says("approved rewards wait to be paid:");
    let csrf = page.hidden("csrf");
    let form = |path: &str| format!("/payees/{id}/{path}");

    let bad = [("csrf", csrf.as_str()), ("vendor", "paypal"), ("address", "Cy <cy@example.com>")];
    let refused = browser.post(&form("payout-profile"), &bad).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    refused.says("Write the address alone, without the name");
    assert!(refused.body.contains("value=\"Cy &#60;cy@example.com&#62;\""), "what was typed stays");
    let good = [("csrf", csrf.as_str()), ("vendor", "paypal"), ("address", "cy@example.com")];
    let set = browser.post_on(&form("payout-profile"), &good).await;
    set.says("This payee is now paid at c…@example.com.");
    set.says("Payout status Ready to be paid");
    set.says("c…@example.com by pat");
    let other = [("csrf", csrf.as_str()), ("vendor", "paypal"), ("address", "cy.ray@example.com")];
    let changed = browser.post_on(&form("payout-profile"), &other).await;
    changed.says("cy@example.com → cy.…@example.com by pat");
    changed.says("Cooling off until");
    changed.says("is still in its cooling-off");

    let hold = [("csrf", csrf.as_str()), ("standing", "on_hold"), ("reason", "their bank called")];
    let held = browser.post_on(&form("standing"), &hold).await;
    held.says("Standing changed.");
    held.says("their bank called");
    held.says("The payee is on hold. Note: their bank called. An administrator must act.");
    let silent = browser.post(&form("standing"), &[("csrf", &csrf), ("standing", "active")]).await;
    silent.says("Write why; the next person who looks at this payee will want to know.");
    let off = [("csrf", csrf.as_str()), ("standing", "active"), ("reason", "settled")];
    browser.post_on(&form("standing"), &off).await.says("Standing Active");
    let mut auditor = Browser::of(&world, Role::Auditor, "reader").await;
    let read = auditor.read(&cy).await;
    read.says("Your role does not manage partners.");
    assert_eq!(auditor.post(&form("standing"), &off).await.status, StatusCode::FORBIDDEN);
    assert_eq!(browser.get("/partners/nobody-at-all").await.status, StatusCode::NOT_FOUND);
    world.close().await;
}

#[tokio::test]
async fn a_shared_destination_is_cleared_by_somebody_else() {
    let world = World::open("pages_shared", 23).await;
    seed_data(&world).await;
    let mut browser = Browser::of(&world, Role::Admin, "pat").await;
    let cy = page_of(&mut browser, "/partners", "Cy Ray").await;
    let id = cy.rsplit('/').next().unwrap().to_owned();
    let csrf = browser.read(&cy).await.hidden("csrf");
    let same = [("csrf", csrf.as_str()), ("vendor", "paypal"), ("address", "ana@example.com")];
    let set = browser.post_on(&format!("/payees/{id}/payout-profile"), &same).await;
    set.says("Another payee has the same address, so both are on hold");
    set.says("This destination also belongs to Ana Lima");
    set.says("The payee is on hold. Note: another payee has the same destination");
    browser.read("/partners?profile=shared").await.says("Ana Lima");
    let held = browser.read("/partners?standing=on_hold").await;
    held.says("Ana Lima");
    held.says("On hold by a shared destination");
    assert!(!browser.read("/partners?standing=active").await.words().contains("Ana Lima"), "she is not paid");
    let path = format!("/payees/{id}/payout-profile/clear");
    let mine = [("csrf", csrf.as_str()), ("reason", "married")];
    browser.post(&path, &mine).await.says("You entered this destination for one of the payees");
    let mut second = Browser::of(&world, Role::ProgramManager, "kim").await;
    let theirs = second.read(&cy).await.hidden("csrf");
    let theirs = [("csrf", theirs.as_str()), ("reason", "married")];
    second.post_on(&path, &theirs).await.says("The shared destination is cleared.");
    second.read("/partners?profile=shared").await.says("No partner matches.");
    world.close().await;
}

#[tokio::test]
async fn a_tax_report_is_filed_by_questions_and_its_number_shown_once() {
    let world = World::open("pages_tax", 24).await;
    seed_data(&world).await;
    let mut browser = Browser::of(&world, Role::Admin, "pat").await;
    let ana = page_of(&mut browser, "/partners", "Ana Lima").await;
    let id = ana.rsplit('/').next().unwrap().to_owned();
    let csrf = browser.read(&ana).await.hidden("csrf");
    let report = |us_person: &'static str, tin: &'static str, certified: bool| {
        let all = [
            ("csrf", csrf.as_str()),
            ("us_person", us_person),
            ("entity", "no"),
            ("name", "Ana Lima"),
            ("signed_on", "2026-03-01"),
            ("tin", tin),
            ("certified", "yes"),
        ];
        all[..if certified { 7 } else { 6 }].to_vec()
    };
    let path = format!("/payees/{id}/tax-report");
    for (us_person, tin, certified, because) in [
        ("yes", "666-12-3456", true, "No social security number begins with 666."),
        ("yes", "123-45-6789", false, "certified under penalties of perjury"),
        ("no", "", true, "File a W-9"),
    ] {
        let refused = browser.post(&path, &report(us_person, tin, certified)).await;
        refused.says(because);
        assert!(refused.body.contains("value=\"2026-03-01\""), "what was typed stays");
        assert!(tin.is_empty() || !refused.body.contains(tin), "a tax number does not come back");
    }
    let filed = browser.post_on(&path, &report("yes", "123-45-6789", true)).await;
    filed.says("The W-9 is on file.");
    filed.says("Tax number …6789");
    assert!(!filed.body.contains("45-6789"));

    let reveal = format!("{path}/reveal");
    let unsure = [("csrf", csrf.as_str()), ("reason", "a question")];
    browser.post_on(&reveal, &unsure).await.says("The number was not shown.");
    let sure = [unsure[0], unsure[1], ("confirmed", "yes")];
    let shown = browser.post(&reveal, &sure).await;
    assert_eq!(shown.status, StatusCode::OK);
    shown.says("123-45-6789");
    browser.read(&ana).await.says("Tax number shown by pat");
    let mut manager = Browser::of(&world, Role::ProgramManager, "kim").await;
    manager.read(&ana).await.says("Show full number An administrator can.");
    let theirs = manager.read(&ana).await.hidden("csrf");
    let refused = manager.post(&reveal, &[("csrf", &theirs), ("reason", "x"), ("confirmed", "yes")]).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    world.close().await;
}

#[tokio::test]
async fn who_crosses_the_tax_line_is_said_before_pay() {
    let world = World::open("pages_crossing", 25).await;
    seed_data(&world).await;
    approve_all(&world).await;
    let mut browser = Browser::of(&world, Role::Payer, "pat").await;
    let csrf = browser.read("/claims").await.hidden("csrf");
    let added = browser.post_on("/claims/add", &[("csrf", &csrf), ("all", "yes")]).await;
    assert!(!added.words().contains("Over the tax reporting line"), "US Tax Tracking is off");
    world.set(|it| Document { us_tax_tracking: true, ..it }).await;
    // Bo has: 2,202.00 together, over the 2,000 for 2026. Ana has 1,801.50.
    for page in ["/claims", "/claims/PB-2026-0001/pay"] {
        let shown = browser.read(page).await;
        shown.says("Over the tax reporting line");
        shown.says("Bo &#60;b&#62; Ek 0.00 USD 2,202.00 USD 2,000.00 USD");
        let lines = shown.words().matches("2,000.00 USD").count();
        assert_eq!(lines, 1, "only Bo");
    }
    world.close().await;
}
