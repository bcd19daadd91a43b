//! Search: each kind of record is found, a number leads straight to its page, and no one sees more than their role allows.

use axum::http::StatusCode;
use bursar::ops::batches::{self, Selection};
use bursar::ops::pay::{self, Balances, ConfirmedTotals};
use bursar::ops::settings::Document;
use bursar::store::batches::PoolFilter;
use bursar::store::transactions::{self, Filter};
use payout::access::Role;

use crate::pages::{Browser, approve_all, seed_data};
use crate::world::{SECOND, World};

/// Pays everything that can be paid.
async fn pay_all(world: &World) {
    let choose = Selection::AllEligible(PoolFilter::default());
    let view = batches::form(&world.app, &world.actor, &choose, false, None).await.unwrap();
    let seen = ConfirmedTotals { digest: view.digest.clone(), totals: view.totals.clone() };
    pay::pay(&world.app, &world.actor, view.batch.id, &seen, &Balances::default(), None).await.unwrap();
    for _ in 0..3 {
        world.tick_all(0).await;
        world.pass(2 * SECOND);
        world.deliver().await;
    }
    world.tick_all(0).await;
}

#[tokio::test]
async fn everything_is_found_by_what_people_have_at_hand() {
    let world = World::open("search_all", 181).await;
    seed_data(&world).await;
    approve_all(&world).await;
    let mut payer = Browser::of(&world, Role::Payer, "pat").await;
    pay_all(&world).await;
    let straight = [
        ("RW-000003", "/rewards/RW-000003"),
        ("rw-3", "/rewards/RW-000003"),
        ("rw3", "/rewards/RW-000003"),
        ("pb-2026-0001", "/claims/PB-2026-0001"),
        ("%23PB-2026-1", "/claims/PB-2026-0001"),
        ("PT+2", "/transactions/PT-000002"),
    ];
    for (typed, to) in straight {
        let found = payer.get(&format!("/search?q={typed}")).await;
        assert_eq!((found.status, found.to.as_str()), (StatusCode::SEE_OTHER, to), "{typed}");
    }
    payer.read("/search?q=RW-999999").await.says("Nothing was found for “RW-999999”.");
    payer.read("/search?q=R-7").await.says("Rewards 1 What Value Status Created RW-000007");
    payer
        .read("/search?q=%20LIM%20")
        .await
        .says("Partners 1 What Owed Status Ana Lima ana · ana@example.com – Ready");
    payer.read("/search?q=ana+li").await.says("Ana Lima");
    payer.read("/search?q=ana@exa").await.says("Ana Lima");
    payer.read("/search?q=example.com").await.says("Partners 3");
    payer.read("/search?q=acm").await.says("Accounts 1 What Owed Status Acme &#38; Sons A-1 – Not chosen");
    payer.read("/search?q=cme").await.says("Nothing was found");
    payer.read("/search").await.says("What can be searched");

    let some =
        transactions::list(&mut world.app.store.read().await.unwrap(), &Filter::default(), 1).await.unwrap();
    let Some(one) = some.first() else { panic!("nothing was paid") };
    let attempts =
        transactions::attempts(&mut world.app.store.read().await.unwrap(), &[one.id]).await.unwrap();
    let vendor_id = attempts.iter().find_map(|attempt| attempt.vendor_id.clone()).unwrap();
    payer.read(&format!("/search?q={vendor_id}")).await.says(&one.label());
    let found = payer.get(&format!("/search?q={}", one.id)).await;
    assert_eq!(found.to, format!("/transactions/{}", one.label()));

    // A partner's id that looks like one of our numbers without its hyphen is found as well.
    let renamed = "UPDATE partner SET external_id = 'RW3' WHERE external_id = 'ana'".to_owned();
    crate::world::run(&world.app.config.database_url, renamed).await;
    payer.read("/search?q=RW3").await.says("Ana Lima");

    // While payouts are off, search results do not link to hidden pages.
    world.set(|it| Document { enabled: false, ..it }).await;
    payer.read("/search?q=PB-2026-0001").await.says("Nothing was found");
    world.close().await;
}

#[tokio::test]
async fn search_follows_a_new_name_and_is_not_for_partners() {
    let world = World::open("search_walls", 182).await;
    seed_data(&world).await;
    let mut pat = Browser::of(&world, Role::Admin, "pat").await;
    let cy = pat.read("/search?q=cy").await.body;
    let id = cy.split("href=\"/partners/").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let form = pat.read(&format!("/partners/{id}/edit")).await;
    world.pass(1);
    let fields = [
        ("csrf", form.hidden("csrf")),
        ("seen", form.hidden("seen")),
        ("name", "Zoë Ångström".to_owned()),
        ("email", "zoe@example.com".to_owned()),
        ("account", "A-1".to_owned()),
    ];
    let fields = fields.each_ref().map(|(name, value)| (*name, value.as_str()));
    pat.post_on(&format!("/partners/{id}/edit"), &fields).await.says("Zoë Ångström is saved.");
    pat.read("/search?q=angst").await.says("Zoë Ångström");
    pat.read("/search?q=ZOE").await.says("Zoë Ångström");
    pat.read("/search?q=ray").await.says("Nothing was found");
    for role in [Role::Partner, Role::PartnerAdmin] {
        let mut ana =
            Browser::of_partner(&world, role, if role == Role::Partner { "ana" } else { "bo" }).await;
        assert_eq!(ana.get("/search?q=bo").await.status, StatusCode::FORBIDDEN, "{role:?}");
    }
    let person = super::id_of(&mut pat, "pat").await;
    let mut kim = Browser::of(&world, Role::Auditor, "kim").await;
    kim.read(&format!("/search?q={person}")).await.says("Nothing was found");
    assert_eq!(pat.get(&format!("/search?q={person}")).await.to, format!("/people/{person}"));
    world.close().await;
}
