//! Features of all lists: position and paging links, one row of tools, short dates, and the totals that the script updates
//! when rows are ticked.

use bursar::ops::import;
use payout::access::Role;

use super::{Browser, furnish};
use crate::world::World;

#[tokio::test]
async fn the_tools_of_the_rewards_stand_in_one_row() {
    let world = World::open("lists_tools", 66).await;
    furnish(&world).await;
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
async fn what_cannot_be_edited_or_deleted_does_not_offer_it() {
    let world = World::open("lists_deeds", 67).await;
    furnish(&world).await;
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
    furnish(&world).await;
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
