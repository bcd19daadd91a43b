//! Creating and editing partners, accounts, programs and activities by hand.

use axum::http::StatusCode;
use payout::access::Role;

use crate::pages::{Browser, Page, seed_data};
use crate::world::World;

/// Posts a form with these fields, the CSRF token and the other hidden fields of its page.
async fn send(browser: &mut Browser, page: &Page, path: &str, fields: &[(&str, &str)]) -> Page {
    let hidden = [("csrf", page.all_hidden("csrf")), ("seen", page.all_hidden("seen"))];
    let hidden: Vec<(&str, String)> =
        hidden.iter().filter_map(|(name, all)| Some((*name, all.first()?.clone()))).collect();
    let all: Vec<(&str, &str)> =
        hidden.iter().map(|(name, value)| (*name, value.as_str())).chain(fields.iter().copied()).collect();
    browser.post(path, &all).await
}

#[tokio::test]
async fn a_program_and_its_activity_are_entered_and_changed() {
    let world = World::open("catalogue_programs", 191).await;
    seed_data(&world).await;
    let mut kim = Browser::of(&world, Role::ProgramManager, "kim").await;
    kim.read("/programs").await.says("Growth");
    let form = kim.read("/programs/new").await;
    let rows: [(&[(&str, &str)], &str); 5] = [
        (&[("external_id", "p"), ("name", ""), ("type", "cash"), ("hold_days", "0")], "This is required."),
        (
            &[("external_id", "p"), ("name", "Deals"), ("hold_days", "0")],
            "The program type must be cash or points.",
        ),
        (
            &[("external_id", "p"), ("name", "Deals"), ("type", "cash"), ("hold_days", "x")],
            "as a whole number of days",
        ),
        (
            &[("external_id", "p"), ("name", "Deals"), ("type", "cash"), ("hold_days", "9999")],
            "0 to 3650 days",
        ),
        (
            &[("external_id", "Growth"), ("name", "Deals"), ("type", "cash"), ("hold_days", "0")],
            "There is a program with this external id already.",
        ),
    ];
    for (fields, message) in rows {
        let refused = send(&mut kim, &form, "/programs/new", fields).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{message}");
        refused.says(message);
        assert!(refused.body.contains(&format!("value=\"{}\"", fields[0].1)), "what was typed stays");
    }
    let good = [("external_id", "deals"), ("name", "Deals"), ("type", "cash"), ("hold_days", "30")];
    let made = send(&mut kim, &form, "/programs/new", &good).await;
    assert_eq!(made.status, StatusCode::SEE_OTHER, "{}", made.body);
    let page = kim.read(&made.to).await;
    page.says("Deals is entered.");
    page.says("30 days");
    page.says("No activities yet.");

    let form = kim.read("/activities/new?program=deals").await;
    assert!(form.body.contains("<option value=\"deals\" selected>"), "{}", form.body);
    let activity = |value, currency| {
        [
            ("external_id", "won"),
            ("name", "Deal won"),
            ("program", "deals"),
            ("value", value),
            ("currency", currency),
            ("active", "yes"),
        ]
    };
    send(&mut kim, &form, "/activities/new", &activity("5.005", "USD")).await.says("decimals");
    send(&mut kim, &form, "/activities/new", &activity("5", "")).await.says("This program gives money");
    send(&mut kim, &form, "/activities/new", &activity("5", "XXX")).await.says("currency");
    let made = send(&mut kim, &form, "/activities/new", &activity("420.5", "usd")).await;
    let page = kim.read(&made.to).await;
    page.says("Deal won is entered.");
    page.says("Deal won won 420.50 USD Active");
    let edit = page.body.split("href=\"/activities/act_").nth(1).unwrap().split('"').next().unwrap();
    let edit = format!("/activities/act_{edit}");
    let form = kim.read(&edit).await;
    world.pass(1);
    // Unticked: it is inactive from now on.
    let quiet = [("name", "Deal won"), ("program", "deals"), ("value", ""), ("currency", "")];
    let saved = send(&mut kim, &form, &edit, &quiet).await;
    kim.read(&saved.to).await.says("Deal won won Set per reward Inactive");

    let mut payer = Browser::of(&world, Role::Payer, "pat").await;
    payer.read("/programs").await.says("Deals");
    payer.read(&page_of(&made)).await.says("Your role does not manage programs.");
    for path in ["/programs/new", "/activities/new", "/partners/new", "/accounts/new", edit.as_str()] {
        assert_eq!(payer.get(path).await.status, StatusCode::FORBIDDEN, "{path}");
    }
    world.close().await;
}

fn page_of(made: &Page) -> String {
    made.to.clone()
}

#[tokio::test]
async fn two_who_edit_a_partner_do_not_overwrite_each_other_unseen() {
    let world = World::open("catalogue_partner", 192).await;
    seed_data(&world).await;
    let mut kim = Browser::of(&world, Role::ProgramManager, "kim").await;
    let mut pat = Browser::of(&world, Role::Admin, "pat").await;
    let form = kim.read("/accounts/new").await;
    let fields = [("external_id", "A-2"), ("name", "Nord & Co"), ("country", "de"), ("owner_email", "no")];
    send(&mut kim, &form, "/accounts/new", &fields)
        .await
        .says("No mail can be sent to this; write one e-mail address like ana@example.com.");
    let made = send(&mut kim, &form, "/accounts/new", &fields[..3]).await;
    kim.read(&made.to).await.says("Nord &#38; Co is entered.");

    let form = kim.read("/partners/new?account=A-2").await;
    let fields =
        [("external_id", "dee"), ("name", "Dee Wu"), ("email", "dee@example.com"), ("account", "A-9")];
    send(&mut kim, &form, "/partners/new", &fields).await.says("There is no account with this external id.");
    let fields = [fields[0], fields[1], fields[2], ("account", "A-2"), ("country", "Germany")];
    send(&mut kim, &form, "/partners/new", &fields)
        .await
        .says("Write the country&#39;s two-letter ISO 3166 code, like DE");
    assert!(form.body.contains("<option value=\"DE\">Germany</option>"), "countries by name");
    assert!(
        form.body.contains("value=\"Nord &#38; Co (A-2)\""),
        "the account is offered by name: {}",
        form.body
    );
    // By the text in the list, by name, and by ID.
    for (id, account) in [("d-1", "Nord & Co (A-2)"), ("d-2", "nord & co"), ("dee", "A-2")] {
        let fields = [("external_id", id), fields[1], fields[2], ("account", account), ("country", "DE")];
        let made = send(&mut kim, &form, "/partners/new", &fields).await;
        kim.read(&made.to).await.says("Dee Wu is entered.");
        kim.read(&made.to).await.says("Nord &#38; Co");
    }
    let made = kim.get("/partners/dee").await;
    assert_eq!(made.status, StatusCode::OK);
    let made = Page { to: "/partners/dee".to_owned(), ..made };

    let edit = format!("{}/edit", made.to);
    let (mine, theirs) = (kim.read(&edit).await, pat.read(&edit).await);
    world.pass(1);
    let fields =
        [("name", "Dee Wu-Ray"), ("email", "dee@example.com"), ("account", "A-2"), ("language", "de")];
    let saved = send(&mut pat, &theirs, &edit, &fields).await;
    assert_eq!(saved.status, StatusCode::SEE_OTHER);
    let fields = [("name", "Dee Wu"), ("email", "dee.wu@example.com"), ("account", "A-2")];
    let conflict = send(&mut kim, &mine, &edit, &fields).await;
    assert_eq!(conflict.status, StatusCode::CONFLICT);
    conflict.says("Somebody else changed this since you opened the form");
    conflict.says("Name: Dee Wu-Ray");
    assert!(conflict.body.contains("value=\"dee.wu@example.com\""), "what was typed stays");
    world.pass(1);
    let saved = send(&mut kim, &conflict, &edit, &fields).await;
    assert_eq!(saved.status, StatusCode::SEE_OTHER, "now he knows");
    let mut list = kim.read("/partners?account=A-2&sort=-created&country=none").await;
    list.says("Dee Wu dee Nord &#38; Co");
    list = kim.read("/partners?sort=-name").await;
    let places = ["Dee Wu", "Cy Ray", "Ana Lima"].map(|name| list.body.find(name).unwrap());
    assert!(places.is_sorted(), "{places:?}");
    kim.read("/partners?vendor=stripe").await.says("No partner matches.");
    kim.read("/partners?country=US&vendor=paypal").await.says("Ana Lima");
    kim.read("/partners?sort=size").await.says("There is no sort order “size”.");
    let log = pat.read("/activity?action=partner_saved&actor=operator").await;
    log.says("Nothing like this was done.");
    let log = pat.read("/activity?action=partner_saved").await;
    log.says("name: Dee Wu → Dee Wu-Ray");
    assert!(!log.body.contains("dee@example.com"), "an address is not kept for good");
    world.close().await;
}

#[tokio::test]
async fn a_name_that_ends_in_brackets_is_not_the_id_of_another() {
    let world = World::open("catalogue_brackets", 193).await;
    seed_data(&world).await;
    let mut kim = Browser::of(&world, Role::ProgramManager, "kim").await;
    let form = kim.read("/accounts/new").await;
    for (id, name) in [("EU", "Europe"), ("A-3", "Nord (EU)")] {
        let fields = [("external_id", id), ("name", name), ("country", "DE")];
        let made = send(&mut kim, &form, "/accounts/new", &fields).await;
        assert_eq!(made.status, StatusCode::SEE_OTHER, "{name}");
    }
    for (id, account, name) in [
        ("d-1", "Nord (EU)", "Nord (EU)"),
        ("d-2", "Europe (EU)", "Europe"),
        ("d-3", "Nord (EU) (A-3)", "Nord (EU)"),
    ] {
        let fields =
            [("external_id", id), ("name", "Dee Wu"), ("email", "dee@example.com"), ("account", account)];
        let made = send(&mut kim, &form, "/partners/new", &fields).await;
        assert_eq!(made.status, StatusCode::SEE_OTHER, "{account}");
        kim.read(&made.to).await.says(name);
    }
    world.close().await;
}
