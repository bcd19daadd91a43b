//! One-time links on their way: sealed in the database until their mail is sent, and gone afterwards.

use bursar::ops::notices::post::{self, DeliveryOutcome};
use bursar::ops::notices::{self, secret};
use bursar::ops::people::forgotten;
use bursar::ops::people::team::{self, TeamMember};
use bursar::store::mails::{Mail, MailState, find};
use payout::access::Role;

use crate::nodes::{beside, text};
use crate::pages::Browser;
use crate::world::{SECOND, World};

const HOUR: i64 = 3_600 * SECOND;

/// Where in the database a text is.
async fn places(world: &World, what: &str) -> String {
    let mut database = beside(world).await;
    let mut found = String::new();
    for (table, column) in [
        ("outbox", "detail"),
        ("mail", "body"),
        ("mail", "title"),
        ("secret_link", "sealed"),
        ("audit", "detail"),
    ] {
        let sql = format!("SELECT CAST(COUNT(*) AS TEXT) FROM {table} WHERE {column} LIKE '%{what}%'");
        if text(&mut database, &sql).await != "0" {
            found += table;
        }
    }
    found
}

async fn sealed(world: &World) -> String {
    text(&mut beside(world).await, "SELECT CAST(COUNT(*) AS TEXT) FROM secret_link").await
}

/// Leases mails until one with a secret comes.
async fn next(world: &World) -> Option<Mail> {
    loop {
        let mail = post::lease(&world.app, world.now()).await.unwrap()?;
        if mail.notice.carries_secret() {
            return Some(mail);
        }
        post::note(&world.app, &mail, &DeliveryOutcome::Taken("250".to_owned()), world.now()).await.unwrap();
    }
}

#[tokio::test]
async fn a_one_time_link_is_sealed_until_it_is_sent() {
    let world = World::open("links_sealed", 195).await;
    let (email, name) = ("kim@example.com".to_owned(), "Kim".to_owned());
    let new = TeamMember { email, name, role: Role::Payer };
    let made = team::invite(&world.app, &world.actor, &new).await.unwrap();
    let token = made.link.rsplit('/').next().unwrap().to_owned();
    assert_eq!((places(&world, &token).await.as_str(), sealed(&world).await.as_str()), ("", "1"));
    while notices::expand(&world.app, world.now()).await.unwrap() > 0 {}
    assert_eq!((places(&world, &token).await.as_str(), sealed(&world).await.as_str()), ("", "1"));
    let mail = next(&world).await.unwrap();
    assert!(mail.body.contains(&format!("| {}", made.link)), "{}", mail.body);
    // A try that fails leaves it sealed, and the next one has it again.
    post::note(&world.app, &mail, &DeliveryOutcome::Later("451".to_owned()), world.now()).await.unwrap();
    assert_eq!((places(&world, &token).await.as_str(), sealed(&world).await.as_str()), ("", "1"));
    world.pass(HOUR);
    let mail = next(&world).await.unwrap();
    assert!(mail.body.contains(&made.link), "{}", mail.body);
    post::note(&world.app, &mail, &DeliveryOutcome::Taken("250".to_owned()), world.now()).await.unwrap();
    assert_eq!((places(&world, &token).await.as_str(), sealed(&world).await.as_str()), ("", "0"));
    let kept = find(&mut world.app.store.read().await.unwrap(), &mail.id).await.unwrap();
    assert!(!kept.body.contains(secret::PLACEHOLDER), "{}", kept.body);
    world.close().await;
}

/// Whoever edits the template could otherwise have the link shown to everybody who reads the outbox.
#[tokio::test]
async fn a_template_with_the_placeholder_as_text_shows_no_link() {
    let world = World::open("links_template", 198).await;
    let _kim = Browser::of(&world, Role::Payer, "kim").await;
    let body = format!(
        "See {}\n\n> Choose | {{{{ link }}}}\n\n> See {} too",
        secret::PLACEHOLDER,
        secret::PLACEHOLDER
    );
    let sql = format!(
        "INSERT INTO notice_template VALUES ('password_forgotten', 'en', 1, 'Password {}', '{body}', {}, 'per_x')",
        secret::PLACEHOLDER,
        world.now()
    );
    crate::world::run(&world.app.config.database_url, sql).await;
    forgotten::ask(&world.app, "kim@example.com").await.unwrap();
    while notices::expand(&world.app, world.now()).await.unwrap() > 0 {}
    let mail = next(&world).await.unwrap();
    let (_, link) = mail.body.split_once("> Choose | ").unwrap();
    let link = link.lines().next().unwrap();
    let token = link.rsplit('/').next().unwrap();
    assert!(link.starts_with(&world.app.base_url), "{}", mail.body);
    assert_eq!(mail.body.matches(token).count(), 1, "{}", mail.body);
    post::note(&world.app, &mail, &DeliveryOutcome::Taken("250".to_owned()), world.now()).await.unwrap();
    assert_eq!(places(&world, token).await, "");
    world.close().await;
}

/// A notice from an earlier version has its link in clear. It is sent like any other, and nothing is left of it.
#[tokio::test]
async fn a_link_from_before_links_were_sealed_is_still_sent() {
    let world = World::open("links_before", 196).await;
    let link = format!("{}/join/OLDTOKEN", world.app.base_url);
    let sql = format!(
        "INSERT INTO outbox (id, notice, subject, detail, created_at, due_at) VALUES ('msg_old', 'login_invitation', \
         'per_old', '{{\"to\":\"kim@example.com\",\"link\":\"{link}\"}}', {}, 0)",
        world.now()
    );
    crate::world::run(&world.app.config.database_url, sql).await;
    while notices::expand(&world.app, world.now()).await.unwrap() > 0 {}
    assert_eq!(places(&world, "OLDTOKEN").await, "mail");
    let mail = next(&world).await.unwrap();
    assert!(mail.body.contains(&link), "{}", mail.body);
    post::note(&world.app, &mail, &DeliveryOutcome::Taken("250".to_owned()), world.now()).await.unwrap();
    assert_eq!(places(&world, "OLDTOKEN").await, "");
    world.close().await;
}

#[tokio::test]
async fn an_expired_link_is_deleted_and_not_sent() {
    let world = World::open("links_expired", 197).await;
    let _kim = Browser::of(&world, Role::Payer, "kim").await;
    forgotten::ask(&world.app, "kim@example.com").await.unwrap();
    while notices::expand(&world.app, world.now()).await.unwrap() > 0 {}
    assert_eq!(sealed(&world).await, "1");
    world.pass(HOUR + SECOND);
    // Whether or not the sweep was there.
    assert_eq!(next(&world).await.map(|mail| mail.id), None);
    bursar::work::sweep::once(&world.works[0], world.now()).await.unwrap();
    assert_eq!(sealed(&world).await, "0");
    assert_eq!(next(&world).await.map(|mail| mail.id), None);
    let mut database = beside(&world).await;
    let state = text(&mut database, "SELECT state FROM mail WHERE notice = 'password_forgotten'").await;
    assert_eq!(MailState::parse(&state), Some(MailState::Lapsed));
    world.close().await;
}
