//! What the owner of a login is mailed about others: a sign-in from a new browser, and many wrong passwords.

use bursar::ops::people::{self, NewPerson, forgotten, team};
use bursar::store::mails::{self, Filter, Mail};
use payout::access::Role;
use payout::ids::PersonId;
use payout::notice::Notice;
use serde_json::{Value, json};

use super::id_of;
use crate::pages::{Browser, PASSWORD};
use crate::world::{DAY, Loop, SECOND, World};

/// The details of all notices of this kind, oldest first.
async fn details(world: &World, notice: Notice) -> Vec<Value> {
    let mut database = crate::nodes::beside(world).await;
    let of = format!("FROM outbox WHERE notice = '{}'", notice.as_str());
    let count = format!("SELECT CAST(COUNT(*) AS TEXT) {of}");
    let many: usize = crate::nodes::text(&mut database, &count).await.parse().unwrap();
    let mut found = Vec::new();
    for place in 0..many {
        let one = format!("SELECT detail {of} ORDER BY id LIMIT 1 OFFSET {place}");
        found.push(serde_json::from_str(&crate::nodes::text(&mut database, &one).await).unwrap());
    }
    found
}

async fn new_browsers(world: &World) -> usize {
    details(world, Notice::LoginNewBrowser).await.len()
}

async fn signs_in(browser: &mut Browser, name: &str) {
    let email = format!("{name}@example.com");
    let fields = [("email", email.as_str()), ("password", PASSWORD), ("next", "/me")];
    assert_eq!(browser.post("/login", &fields).await.to, "/me");
}

/// The mails of a notice, by recipient.
async fn mailed(world: &World, notice: Notice) -> Vec<Mail> {
    while world.tick(0, Loop::Notify).await > 0 {}
    let mut db = world.app.store.read().await.unwrap();
    let filter = Filter { notice: Some(notice), ..Filter::default() };
    let mut found = mails::list(&mut db, &filter, 100).await.unwrap();
    found.sort_by(|one, other| one.recipient.cmp(&other.recipient));
    found
}

#[tokio::test]
async fn a_sign_in_from_a_new_browser_is_told_to_its_owner() {
    let world = World::open("owners_browser", 185).await;
    let mut kim = Browser::of(&world, Role::Payer, "kim").await;
    assert_eq!(new_browsers(&world).await, 0, "the first sign-in of a login is no news");
    signs_in(&mut kim, "kim").await;
    assert_eq!(new_browsers(&world).await, 0, "the same browser");
    let mut elsewhere = Browser::new(&world);
    signs_in(&mut elsewhere, "kim").await;
    let told = details(&world, Notice::LoginNewBrowser).await;
    assert_eq!((told.len(), told[0]["to"].as_str()), (1, Some("kim@example.com")));
    let mails = mailed(&world, Notice::LoginNewBrowser).await;
    assert_eq!(mails.len(), 1);
    assert!(mails[0].body.contains("= When | 2 Mar 2026"), "{}", mails[0].body);
    assert!(mails[0].body.contains("end this session"), "{}", mails[0].body);
    signs_in(&mut elsewhere, "kim").await;
    assert_eq!(new_browsers(&world).await, 1, "known now");
    world.pass(89 * DAY);
    signs_in(&mut kim, "kim").await;
    assert_eq!(new_browsers(&world).await, 1);
    world.pass(2 * DAY);
    signs_in(&mut elsewhere, "kim").await;
    assert_eq!(new_browsers(&world).await, 2, "91 days later it is new again");
    // The browser is known for each login by itself, and the table does not tell who shares one.
    let pat = NewPerson {
        email: "pat@example.com".to_owned(),
        name: "pat".to_owned(),
        role: Role::Admin,
        partner: None,
        password: Some(PASSWORD.to_owned()),
    };
    people::add(&world.app, &pat).await.unwrap();
    let mark = kim.kept("bursar_browser").to_owned();
    assert_eq!(mark.len(), 52);
    signs_in(&mut kim, "pat").await;
    assert_eq!(kim.kept("bursar_browser"), mark, "one mark for a browser");
    signs_in(&mut elsewhere, "pat").await;
    assert_eq!(new_browsers(&world).await, 3);
    let mut database = crate::nodes::beside(&world).await;
    let distinct = "SELECT CAST(COUNT(*) AS TEXT) || ' ' || CAST(COUNT(DISTINCT browser_hash) AS TEXT) || ' ' || \
                    CAST(COUNT(CASE WHEN browser_hash = 'MARK' THEN 1 END) AS TEXT) FROM login_browser";
    let counts = crate::nodes::text(&mut database, &distinct.replace("MARK", &mark)).await;
    assert_eq!(counts, "4 4 0");
    world.close().await;
}

#[tokio::test]
async fn a_sign_in_by_a_link_is_told_too() {
    let world = World::open("owners_link", 186).await;
    let mut kim = Browser::of(&world, Role::Payer, "kim").await;
    for (browser, told) in [(&mut kim, 0), (&mut Browser::new(&world), 1)] {
        let link = people::link_for(&world.app, "kim@example.com").await.unwrap();
        let path = link.strip_prefix(&world.app.base_url).unwrap().to_owned();
        assert_eq!(browser.post(&path, &[]).await.to, "/");
        assert_eq!(new_browsers(&world).await, told);
    }
    world.close().await;
}

#[tokio::test]
async fn a_browser_whose_session_was_ended_elsewhere_is_new_again() {
    let world = World::open("owners_ended", 187).await;
    let mut kim = Browser::of(&world, Role::Payer, "kim").await;
    let mut thief = Browser::new(&world);
    signs_in(&mut thief, "kim").await;
    let page = kim.read("/me").await;
    let fields = [("csrf", page.hidden("csrf")), ("one", page.hidden("one"))];
    let fields = fields.each_ref().map(|(name, value)| (*name, value.as_str()));
    kim.post_on("/me/sessions", &fields).await.says("Signed out there.");
    signs_in(&mut thief, "kim").await;
    assert_eq!(new_browsers(&world).await, 2);
    let new = "seven green lanterns";
    let change = [fields[0], ("current", PASSWORD), ("password", new), ("again", new)];
    assert_eq!(kim.post("/password", &change).await.to, "/");
    for (browser, told) in [(&mut kim, 2), (&mut thief, 3)] {
        let fields = [("email", "kim@example.com"), ("password", new), ("next", "/me")];
        assert_eq!(browser.post("/login", &fields).await.to, "/me");
        assert_eq!(new_browsers(&world).await, told);
    }
    world.close().await;
}

/// Sessions are taken from somebody at many places; each makes the browsers new again.
#[tokio::test]
async fn whatever_ends_sessions_makes_their_browsers_new_again() {
    let world = World::open("owners_taken", 191).await;
    let mut pat = Browser::of(&world, Role::Admin, "pat").await;
    let _kim = Browser::of(&world, Role::Payer, "kim").await;
    let id = id_of(&mut pat, "kim").await;
    let person = PersonId::parse(&id).unwrap();
    let mut thief = Browser::new(&world);
    signs_in(&mut thief, "kim").await;
    assert_eq!(new_browsers(&world).await, 1);
    team::end_sessions(&world.app, &world.actor, person).await.unwrap();
    signs_in(&mut thief, "kim").await;
    assert_eq!(new_browsers(&world).await, 2, "an administrator ended all sessions");
    team::disable(&world.app, &world.actor, person).await.unwrap();
    team::enable(&world.app, &world.actor, person).await.unwrap();
    signs_in(&mut thief, "kim").await;
    assert_eq!(new_browsers(&world).await, 3, "the login was disabled for a while");
    world.pass(2 * DAY);
    forgotten::ask(&world.app, "kim@example.com").await.unwrap();
    let path = super::secret_links(&world, "password_forgotten").await.pop().unwrap();
    let new = "seven green lanterns";
    let mut kim = Browser::new(&world);
    assert_eq!(kim.post(&path, &[("password", new), ("again", new)]).await.to, "/");
    let told = new_browsers(&world).await;
    let fields = [("email", "kim@example.com"), ("password", new), ("next", "/me")];
    assert_eq!(thief.post("/login", &fields).await.to, "/me");
    assert_eq!(new_browsers(&world).await, told + 1, "a forgotten password was replaced");
    let csrf = thief.read("/me").await.hidden("csrf");
    thief.post("/logout", &[("csrf", &csrf)]).await;
    assert_eq!(thief.post("/login", &fields).await.to, "/me");
    assert_eq!(new_browsers(&world).await, told + 1, "whoever signs out stays known there");
    world.close().await;
}

/// Whoever has the password could otherwise hide another mail among these.
#[tokio::test]
async fn new_browsers_are_told_five_times_a_day() {
    let world = World::open("owners_flood", 192).await;
    let _kim = Browser::of(&world, Role::Payer, "kim").await;
    for _ in 0..7 {
        signs_in(&mut Browser::new(&world), "kim").await;
    }
    let told = details(&world, Notice::LoginNewBrowser).await;
    let last: Vec<bool> = told.iter().map(|one| one["last"].as_bool().unwrap()).collect();
    assert_eq!(last, [false, false, false, false, true]);
    world.pass(DAY);
    signs_in(&mut Browser::new(&world), "kim").await;
    assert_eq!(new_browsers(&world).await, 6);
    world.close().await;
}

/// A login from before browsers were remembered, which nobody has used since.
#[tokio::test]
async fn the_first_sign_in_to_an_old_login_is_told() {
    let world = World::open("owners_old", 193).await;
    let _kim = Browser::of(&world, Role::Payer, "kim").await;
    crate::world::run(&world.app.config.database_url, "DELETE FROM login_browser".to_owned()).await;
    signs_in(&mut Browser::new(&world), "kim").await;
    assert_eq!(new_browsers(&world).await, 1);
    world.close().await;
}

/// Enters a wrong password for an address `times` times.
async fn guess(world: &World, email: &str, times: usize) {
    let mut stranger = Browser::new(world);
    for _ in 0..times {
        let sent = stranger.post("/login", &[("email", email), ("password", "not the password")]).await;
        assert_eq!(sent.to, "/login?why=wrong");
    }
}

/// Waits until this many wrong tries of a login are remembered: they are counted after the answer.
async fn counted(world: &World, id: &str, many: usize) {
    let mut database = crate::nodes::beside(world).await;
    let sql = format!("SELECT COALESCE(MAX(tries), '[]') FROM login_tries WHERE person_id = '{id}'");
    let mut kept = String::new();
    for _ in 0..400 {
        kept = crate::nodes::text(&mut database, &sql).await;
        let found: Vec<(i64, String, String)> = serde_json::from_str(&kept).unwrap();
        if found.len() == many {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    panic!("{many} wrong tries were never counted: {kept}");
}

async fn attacks(world: &World, many: usize) -> Vec<Value> {
    let mut found = Vec::new();
    for _ in 0..400 {
        found = details(world, Notice::LoginAttacked).await;
        if found.len() == many {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    assert_eq!(found.len(), many, "{found:?}");
    found
}

#[tokio::test]
async fn ten_wrong_passwords_in_a_day_are_told_to_owner_and_administrators_once_a_day() {
    let world = World::open("owners_attacked", 188).await;
    let mut pat = Browser::of(&world, Role::Admin, "pat").await;
    let _kim = Browser::of(&world, Role::Payer, "kim").await;
    let id = id_of(&mut pat, "kim").await;
    guess(&world, "kim@example.com", 1).await;
    counted(&world, &id, 1).await;
    world.pass(DAY + SECOND);
    guess(&world, "kim@example.com", 9).await;
    counted(&world, &id, 9).await;
    guess(&world, "nobody@example.com", 12).await;
    attacks(&world, 0).await;
    guess(&world, "kim@example.com", 1).await;
    let told = attacks(&world, 1).await;
    assert_eq!((&told[0]["to"], &told[0]["in_session"]), (&json!("kim@example.com"), &json!(false)));
    let mails = mailed(&world, Notice::LoginAttacked).await;
    let to: Vec<&str> = mails.iter().map(|mail| mail.recipient.as_str()).collect();
    assert_eq!(to, ["kim@example.com", "pat@example.com"]);
    assert!(mails[0].title.contains("wrong passwords for your login"), "{}", mails[0].title);
    assert!(mails[0].body.contains("set up a second factor"), "{}", mails[0].body);
    assert!(!mails[0].body.contains("signed in to it"), "{}", mails[0].body);
    assert!(mails[1].title.contains("wrong passwords for the login of kim"), "{}", mails[1].title);
    assert!(
        !mails[1].body.contains("block these addresses"),
        "they came from this machine: {}",
        mails[1].body
    );
    assert!(mails[1].body.contains(&format!("/people/{id}")), "{}", mails[1].body);
    guess(&world, "kim@example.com", 5).await;
    world.pass(DAY);
    guess(&world, "kim@example.com", 9).await;
    counted(&world, &id, 9).await;
    attacks(&world, 1).await;
    guess(&world, "kim@example.com", 1).await;
    attacks(&world, 2).await;
    world.chain().await;
    let mut auditor = Browser::of(&world, Role::Auditor, "aud").await;
    auditor.read("/activity?action=login_attacked").await.says("Many wrong passwords");
    world.close().await;
}

#[tokio::test]
async fn wrong_proofs_of_somebody_signed_in_are_counted_too() {
    let world = World::open("owners_proof", 189).await;
    let mut kim = Browser::of(&world, Role::Payer, "kim").await;
    let csrf = kim.read("/me").await.hidden("csrf");
    for many in 1..=10 {
        attacks(&world, 0).await;
        let wrong = [("csrf", csrf.as_str()), ("password", "not the password"), ("next", "/me")];
        assert!(kim.post("/prove", &wrong).await.to.starts_with("/prove?why=wrong"), "{many}");
    }
    let told = attacks(&world, 1).await;
    assert_eq!(told[0]["in_session"], true);
    let mails = mailed(&world, Notice::LoginAttacked).await;
    assert!(mails[0].body.contains("signed in to it"), "{}", mails[0].body);
    assert!(mails[0].body.contains("Sign out everywhere else"), "{}", mails[0].body);
    assert!(!mails[0].body.contains("set up a second factor"), "{}", mails[0].body);
    world.close().await;
}

/// Administrators hear of guesses at any number of staff logins, and of none at partners': those could bury the others.
#[tokio::test]
async fn guesses_at_partners_do_not_bury_those_at_staff() {
    let world = World::open("owners_many", 190).await;
    for name in ["pat", "kim"] {
        Browser::of(&world, if name == "pat" { Role::Admin } else { Role::Payer }, name).await;
    }
    crate::pages::seed_data(&world).await;
    let ana = NewPerson {
        email: "ana-herself@example.com".to_owned(),
        name: "ana".to_owned(),
        role: Role::Partner,
        partner: Some("ana".to_owned()),
        password: Some(PASSWORD.to_owned()),
    };
    people::add(&world.app, &ana).await.unwrap();
    for other in 0..50 {
        let told =
            format!("INSERT INTO notice_told VALUES ('login_attacked', 'other {other}', {})", world.now());
        crate::world::run(&world.app.config.database_url, told).await;
    }
    guess(&world, "ana-herself@example.com", 10).await;
    attacks(&world, 1).await;
    guess(&world, "kim@example.com", 10).await;
    attacks(&world, 2).await;
    let mails = mailed(&world, Notice::LoginAttacked).await;
    let to: Vec<&str> = mails.iter().map(|mail| mail.recipient.as_str()).collect();
    assert_eq!(to, ["ana-herself@example.com", "kim@example.com", "pat@example.com"]);
    assert!(mails[2].title.contains("kim"), "{}", mails[2].title);
    world.close().await;
}
