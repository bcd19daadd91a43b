//! Features of all lists: position and paging links, one row of tools, short dates, and the totals that the script updates
//! when rows are ticked.

use bursar::ops::import;
use payout::access::Role;

use super::{Browser, seed_data};
use crate::world::World;

#[tokio::test]
async fn the_tools_of_the_rewards_stand_in_one_row() {
    let world = World::open("lists_tools", 66).await;
    seed_data(&world).await;
    let mut pat = Browser::of(&world, Role::Admin, "pat").await;
    let page = pat.read("/rewards?view=all&currency=usd&sort=-value").await;
    assert_eq!(page.body.matches("<details name=\"bar\">").count(), 3, "filters, columns, saving");
    page.says("Currency: usd ✕ , remove this filter Clear all");
    assert!(page.body.contains("href=\"/rewards?view=all&#38;sort=-value\">Clear all</a>"), "{}", page.body);
    assert!(!pat.read("/rewards?view=all").await.words().contains("Clear all"), "nothing to clear");
    assert!(page.body.contains("data-minor=\"100050\" data-unit=\"USD\" data-digits=\"2\""));
    // The tooltip has the year and time zone; the layout shows the zone.
    let day = page.body.split("<time datetime=\"").nth(1).unwrap();
    let (exact, shown) = (day.split("title=\"").nth(1).unwrap(), day.split('>').nth(1).unwrap());
    assert!(exact.split('"').next().unwrap().ends_with(" UTC"), "{exact}");
    assert!(!shown.split('<').next().unwrap().contains("20"), "{shown}");
    page.says("Times: UTC");
    world.close().await;
}

#[tokio::test]
async fn filters_are_added_one_at_a_time_and_taken_away_again() {
    let world = World::open("lists_facets", 69).await;
    seed_data(&world).await;
    let mut pat = Browser::of(&world, Role::Admin, "pat").await;
    let link = |page: &super::Page, words: &str| {
        let found = page.body.split("<a ").find(|rest| rest.contains(&format!(">{words}</a>")));
        let found = found.unwrap_or_else(|| panic!("no {words} in {}", page.body));
        found.split("href=\"").nth(1).unwrap().split('"').next().unwrap().replace("&#38;", "&")
    };
    let page = pat.read("/rewards?view=all&owner=ana").await;
    page.says("Add Filters Status");
    page.says("All filters");
    let since = link(&page, "Last month");
    assert_eq!(since, "/rewards?view=all&owner=ana&created_from=2026-02-01&created_to=2026-02-28", "added");
    let narrowed = pat.read(&format!("{since}&q=R-1")).await;
    narrowed.says("Owner: ana ✕");
    narrowed.says("Created from: 2026-02-01 ✕");
    // The form of the filters also sends the current parameters that it has no field for.
    let typed = narrowed.body.split("<form").find(|form| form.contains("class=\"facets\"")).unwrap();
    assert!(typed.contains("type=\"hidden\" name=\"q\" value=\"R-1\""), "{typed}");
    assert!(typed.contains("name=\"owner\" type=\"text\" value=\"ana\"") && typed.contains("name=\"batch\""));
    assert!(typed.contains("<option value=\"points\">Points Reward</option>"));
    assert!(!typed.contains("type=\"hidden\" name=\"owner\""), "once");

    let partners = pat.read("/partners").await;
    let american = link(&partners, "United States");
    assert_eq!(american, "/partners?country=US");
    let american = pat.read(&american).await;
    american.says("Country: United States ✕");
    assert_eq!(link(&american, "Active"), "/partners?country=US&standing=active");

    let events = pat.read("/events?q=payout").await;
    assert_eq!(link(&events, "PayPal"), "/events?q=payout&vendor=paypal");
    pat.read("/events?q=payout&vendor=paypal")
        .await
        .says("Vendor: PayPal ✕ , remove this filter Event: payout ✕");

    let payments = pat.read("/dashboard/transactions?partner=ana").await;
    let failed = link(&payments, "Failed");
    assert_eq!(failed, "/dashboard/transactions?partner=ana&status=failed");
    pat.read(&failed).await.says("Partner User: Ana Lima ✕ , remove this filter Status: Failed ✕");
    assert_eq!(link(&payments, "This month"), "/dashboard/transactions?partner=ana&range=this_month");
    world.close().await;
}

#[tokio::test]
async fn what_has_the_same_time_stands_in_its_order_and_a_mail_has_one_state() {
    let world = World::open("lists_order", 71).await;
    seed_data(&world).await;
    super::approve_all(&world).await;
    crate::portal::pay_all(&world).await;
    let mut pat = Browser::of(&world, Role::Admin, "pat").await;
    let list = pat.read("/dashboard/transactions").await;
    let numbers: Vec<&str> =
        list.body.split("href=\"/transactions/PT-").skip(1).map(|rest| &rest[..6]).collect();
    assert!(numbers.len() > 1 && numbers.is_sorted_by(|one, next| one > next), "newest first: {numbers:?}");
    let story = pat.read("/transactions/PT-000001").await.words();
    let place = |words: &str| story.find(words).unwrap_or_else(|| panic!("no {words} in {story}"));
    assert!(place("Pay was pressed") < place("Recorded, to be sent"), "{story}");
    let entered = pat.read("/rewards/RW-000001").await.words();
    let place = |words: &str| entered.find(words).unwrap_or_else(|| panic!("no {words} in {entered}"));
    assert!(place("Put into payment") < place("Reward approved"), "newest first: {entered}");
    assert!(place("Reward approved") < place("Reward entered"), "{entered}");

    while bursar::work::notify::once(&world.works[0], world.now()).await.unwrap() > 0 {}
    let outbox = pat.read("/outbox").await;
    outbox.says("Not sent");
    let mail = outbox.body.split("href=\"/outbox/mail_").nth(1).unwrap().split('"').next().unwrap();
    pat.read(&format!("/outbox/mail_{mail}")).await.says("Not sent");

    let events = pat.read("/events").await;
    let event = events.body.split("href=\"/events/").nth(1).unwrap().split('"').next().unwrap();
    pat.read(&format!("/events/{event}")).await.says("Result");
    world.close().await;
}

#[tokio::test]
async fn what_went_wrong_is_told_beside_the_menu_of_whoever_is_signed_in() {
    let world = World::open("lists_faults", 70).await;
    seed_data(&world).await;
    let mut pat = Browser::of(&world, Role::Auditor, "pat").await;
    let gone = pat.get("/rewards/RW-999999").await;
    assert_eq!(gone.status, axum::http::StatusCode::NOT_FOUND);
    gone.says("Not found");
    gone.says("Check the address, or search for its number or name.");
    gone.says("Reward List");
    assert_eq!(gone.body.matches("<h1").count(), 1);
    let closed = pat.get("/people").await;
    assert_eq!(closed.status, axum::http::StatusCode::FORBIDDEN);
    closed.says("Reward List");
    assert!(!closed.body.contains("href=\"/people\""), "the menu is their own");
    let mut ana = Browser::of(&world, Role::Partner, "ana-herself").await;
    let theirs = ana.get("/portal/payouts/PT-000009").await;
    assert!(!theirs.words().contains("Reward List"), "partners have a portal of their own");
    assert!(!theirs.words().contains("search for its number"), "and nothing to search in");
    // A response that may be cached contains nothing about the user, not even a 404.
    let stored = pat.get("/assets/nothing.css").await;
    assert_eq!(stored.status, axum::http::StatusCode::NOT_FOUND);
    stored.says("Not found");
    assert!(!stored.words().contains("Reward List") && !stored.body.contains("csrf"), "{}", stored.body);
    let mut nobody = Browser::new(&world);
    let nowhere = nobody.get("/nowhere").await;
    nowhere.says("Check the address.");
    assert!(!nowhere.words().contains("Reward List") && !nowhere.words().contains("administrator"));
    world.close().await;
}

#[tokio::test]
async fn what_cannot_be_edited_or_deleted_does_not_offer_it() {
    let world = World::open("lists_deeds", 67).await;
    seed_data(&world).await;
    super::approve_all(&world).await;
    let mut pat = Browser::of(&world, Role::Admin, "pat").await;
    let csrf = pat.read("/claims").await.hidden("csrf");
    pat.post_on("/claims/add", &[("csrf", &csrf), ("all", "yes")]).await;
    let placed = pat.read("/rewards?view=in_payout").await;
    assert!(!placed.body.contains(">Delete</a>") && placed.body.contains(">Open</a>"), "{}", placed.body);
    world.close().await;
}

#[tokio::test]
async fn a_long_list_is_turned_on_and_back() {
    let world = World::open("lists_turned", 68).await;
    seed_data(&world).await;
    let mut rows = String::from("external_id,activity,owner,value,currency\n");
    (100..260).for_each(|number| rows += &format!("R-{number},deal,ana,{number}.00,USD\n"));
    import::rewards(&world.app, &world.actor, rows.as_bytes(), false, None).await.unwrap();
    let mut pat = Browser::of(&world, Role::Admin, "pat").await;
    let link = |page: &super::Page, rel: &str| {
        let found = page.body.split("<a ").find(|rest| rest.contains(&format!("rel=\"{rel}\""))).unwrap();
        found.split("href=\"").nth(1).unwrap().split('"').next().unwrap().replace("&#38;", "&")
    };
    let first = pat.read("/rewards?view=all").await;
    first.says("1–50 of 172 rewards");
    let second = pat.read(&link(&first, "next")).await;
    second.says("51–100 of 172 Previous page Next page");
    let third = pat.read(&link(&second, "next")).await;
    third.says("101–150 of 172 First page Previous page Next page");
    let back = pat.read(&link(&third, "prev")).await;
    assert_eq!(back.words(), second.words(), "the same page again");
    let last = pat.read(&link(&third, "next")).await;
    last.says("151–172 of 172 First page Previous page");
    assert_eq!(pat.read(&link(&back, "prev")).await.words(), first.words());
    world.close().await;
}
