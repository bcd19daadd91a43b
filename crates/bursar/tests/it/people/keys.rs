//! API keys as administrators manage them on the pages and the command line: notices about each, a reminder before one in
//! use expires, and their options.

use bursar::ops::people::{self, MachineUser, NewKey};
use bursar::store::mails::{self, Filter};
use payout::access::Role;
use payout::notice::Notice;
use payout::scope::Scopes;

use crate::pages::Browser;
use crate::world::{DAY, Loop, World};

/// The mail subjects of a notice, newest first.
async fn subjects(world: &World, notice: Notice) -> Vec<String> {
    while world.tick(0, Loop::Notify).await > 0 {}
    let filter = Filter { notice: Some(notice), ..Filter::default() };
    let mut db = world.app.store.read().await.unwrap();
    mails::list(&mut db, &filter, 50).await.unwrap().into_iter().map(|mail| mail.title).collect()
}

#[tokio::test]
async fn a_new_key_is_told_to_every_administrator() {
    let world = World::open("keys_told", 171).await;
    let mut pat = Browser::of(&world, Role::Admin, "pat").await;
    Browser::of(&world, Role::Admin, "kim").await;
    Browser::of(&world, Role::Payer, "lee").await;
    let csrf = pat.read("/keys/new").await.hidden("csrf");
    let fields = [("csrf", csrf.as_str()), ("name", "CRM"), ("role", "payer"), ("scope", "pay")];
    pat.post("/keys/new", &fields).await.says("it is kept only as a hash");
    assert_eq!(subjects(&world, Notice::ApiKeyMade).await, ["pat created the API key CRM"; 2]);
    world.pass(super::MINUTE);
    let new = NewKey::of("nightly", Role::Auditor, Scopes::kept("read"));
    people::create_key_at_the_machine(&world.app, &new, MachineUser("anna (user id 1000)")).await.unwrap();
    let lines = subjects(&world, Notice::ApiKeyMade).await;
    assert_eq!(lines[..2], ["anna (user id 1000) at the command line created the API key nightly"; 2]);
    world.close().await;
}

#[tokio::test]
async fn a_key_in_use_is_told_of_once_a_week_before_it_ends() {
    let world = World::open("keys_ending", 172).await;
    let mut pat = Browser::of(&world, Role::Admin, "pat").await;
    let csrf = pat.read("/keys/new").await.hidden("csrf");
    let make = async |pat: &mut Browser, name: &str| {
        let fields = [
            ("csrf", csrf.as_str()),
            ("name", name),
            ("role", "auditor"),
            ("scope", "read"),
            ("ends", "30d"),
        ];
        let made = pat.post("/keys/new", &fields).await;
        format!("brs_{}", made.body.split("brs_").nth(1).unwrap().split('<').next().unwrap())
    };
    let (used, _unused) = (make(&mut pat, "CRM").await, make(&mut pat, "Forgotten").await);
    world.pass(10 * DAY);
    super::answer_to(&world, &used, "GET", "/api/v1/rewards").await;
    // It is recorded asynchronously, so it may appear a moment later.
    let hash = bursar::secrets::token_hash(&used);
    for _ in 0..200 {
        let mut db = world.app.store.read().await.unwrap();
        let key = bursar::store::people::by_key_hash(&mut db, &hash).await.unwrap().unwrap();
        if key.person.last_seen_at.is_some() {
            break;
        }
        drop(db);
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    assert!(subjects(&world, Notice::ApiKeyEnds).await.is_empty());
    world.pass(13 * DAY + 1);
    let ends = bursar::clock::date(world.now() + 7 * DAY - 2);
    let subject = format!("The API key CRM expires on {ends}");
    for _ in 0..2 {
        assert_eq!(subjects(&world, Notice::ApiKeyEnds).await, std::slice::from_ref(&subject));
        world.pass(DAY);
    }
    world.pass(6 * DAY);
    let answer = super::answer_to(&world, &used, "GET", "/api/v1/rewards").await;
    assert_eq!(answer.as_u16(), 401);
    pat = Browser::of(&world, Role::Admin, "kim").await;
    pat.read("/keys").await.says("Ended");
    world.close().await;
}

#[tokio::test]
async fn what_can_be_chosen_for_a_key() {
    let world = World::open("keys_chosen", 173).await;
    let mut pat = Browser::of(&world, Role::Admin, "pat").await;
    let page = pat.read("/keys/new").await;
    assert!(page.body.contains("<code>rewards:write</code>: enter, decide and import rewards"));
    assert!(page.body.contains("<option value=\"90d\" selected>"), "ninety days unless chosen");
    let csrf = page.hidden("csrf");
    let with = |fields: &[(&'static str, &'static str)]| {
        let mut all = vec![("csrf", csrf.as_str()), ("name", "CRM"), ("role", "preparer")];
        all.extend(fields.iter().copied());
        all
    };
    let rows: [(&[(&str, &str)], &str); 6] = [
        (&[("scope", "read"), ("scope", "pay")], "The scope pay is of no use to the role preparer."),
        (&[("scope", "everything")], "Choose among the scopes of this page."),
        (&[("scope", "read"), ("ends", "2020-01-01")], "That day is over."),
        (&[("scope", "read"), ("ends", "soon")], "Write when the key ends as days like 90d"),
        (&[("scope", "read"), ("addresses", "here")], "is not an address such as 127.0.0.1 or 10.0.0.0/8."),
        (&[("scope", "read"), ("addresses", "0.0.0.0/0")], "holds most of the addresses there are."),
    ];
    for (fields, message) in rows {
        let sent = pat.post("/keys/new", &with(fields)).await;
        assert_eq!(sent.status, 422, "{fields:?}");
        sent.says(message);
    }
    let fields = with(&[
        ("scope", "read"),
        ("scope", "batches:prepare"),
        ("ends", "never"),
        ("addresses", "203.0.113.7\n10.0.0.0/8"),
    ]);
    pat.post("/keys/new", &fields).await.says("The key is ready.");
    let list = pat.read("/keys").await;
    list.says("read, batches:prepare 203.0.113.7/32, 10.0.0.0/8 Never Never");
    let id = list.body.split("/keys/per_").nth(1).unwrap().split('/').next().unwrap().to_owned();
    let path = format!("/keys/per_{id}/addresses");
    assert!(pat.read(&path).await.body.contains("203.0.113.7/32\n10.0.0.0/8</textarea>"));
    let sent = pat.post(&path, &[("csrf", &csrf), ("addresses", "here")]).await;
    assert_eq!(sent.status, 422);
    sent.says("is not an address");
    pat.post_on(&path, &[("csrf", &csrf), ("addresses", "")]).await.says("It applies from the next call.");
    pat.read("/keys").await.says("read, batches:prepare Anywhere");
    let usual = with(&[("scope", "read")]);
    pat.post("/keys/new", &usual).await.says("The key is ready.");
    let at = bursar::web::kit::format::When(world.now() + 90 * DAY).to_string();
    assert!(pat.read("/keys").await.body.contains(&at), "ninety days");
    world.close().await;
}

#[tokio::test]
async fn the_rule_about_addresses_is_switched_on_and_off_on_the_page() {
    let world = World::open("keys_rule", 174).await;
    let mut pat = Browser::of(&world, Role::Admin, "pat").await;
    let mut kim = Browser::of(&world, Role::Admin, "kim").await;
    let csrf = pat.read("/keys").await.hidden("csrf");
    let new = NewKey::of("nightly", Role::Payer, Scopes::kept("read,write"));
    let key = people::create_key(&world.app, &new).await.unwrap();
    let on = [("csrf", csrf.as_str()), ("addresses", "required")];
    pat.post_on("/keys/rules", &on).await.says("would stop at once: nightly.");
    let id = people::by_key(&world.app, &key, None).await.unwrap().actor().unwrap().id;
    pat.post_on(&format!("/keys/{id}/revoke"), &on[..1]).await.says("The key is revoked.");
    pat.post_on("/keys/rules", &on).await.says("now work only from their allowed addresses.");
    let make = [on[0], ("name", "CRM"), ("role", "payer"), ("scope", "pay")];
    pat.post("/keys/new", &make).await.says("names here the addresses it is taken from");
    pat.post_on("/keys/rules", &on[..1]).await.says("Addresses stay required for now");
    let word = kim.read("/keys").await.hidden("csrf");
    kim.post_on("/keys/rules", &[("csrf", &word)]).await.says("are now optional for every key.");
    pat.post("/keys/new", &make).await.says("The key is ready.");
    world.close().await;
}

#[tokio::test]
async fn whoever_shuts_an_administrator_out_is_told_which_keys_end() {
    let world = World::open("keys_orphans", 175).await;
    let mut pat = Browser::of(&world, Role::Admin, "pat").await;
    let mut kim = Browser::of(&world, Role::Admin, "kim").await;
    let csrf = kim.read("/keys/new").await.hidden("csrf");
    let fields = [("csrf", csrf.as_str()), ("name", "CRM"), ("role", "auditor"), ("scope", "read")];
    kim.post("/keys/new", &fields).await.says("The key is ready.");
    let id = super::id_of(&mut pat, "kim").await;
    let word = pat.read("/keys").await.hidden("csrf");
    let message = "The API keys they made have ended with it: CRM.";
    let role = [("csrf", word.as_str()), ("role", "auditor")];
    pat.post_on(&format!("/people/{id}/role"), &role).await.says(message);
    pat.read("/keys").await.says("by kim Ended with its creator");
    pat.post_on(&format!("/people/{id}/disable"), &role[..1]).await.says(message);
    world.close().await;
}

/// A key from the command line has no expiry and no allowlist unless given; invalid options are reported.
#[test]
fn the_command_line_makes_keys_that_end_and_name_addresses() {
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &str| {
        let mut program = std::process::Command::new(env!("CARGO_BIN_EXE_bursar"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("BURSAR_")) {
            program.env_remove(name);
        }
        let output = program.current_dir(folder.path()).args(arguments.split(' ')).output().unwrap();
        let outputs = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
        (output.status.code(), outputs.concat())
    };
    assert_eq!(run("init").0, Some(0));
    let create = |more: &str| run(format!("api-key create --role payer --name k {more}").trim());
    let rows = [
        ("", 0, "brs_"),
        ("--scopes read,write,release --expires 90d --cidr 203.0.113.0/24,10.0.0.0/8", 0, "brs_"),
        ("--scopes read,pay --expires 2099-12-31 --cidr 203.0.113.7 --cidr 2001:db8::/32", 0, "brs_"),
        ("--scopes read,all", 1, "there is no scope \"all\"; there are read, write, rewards:write,"),
        ("--scopes settings", 1, "The scope settings is of no use to the role payer."),
        ("--expires 2020-01-01", 1, "That day is over."),
        ("--expires soon", 1, "Write when the key ends as days like 90d"),
        ("--cidr here", 1, "is not an address"),
    ];
    for (more, code, message) in rows {
        let (left, said) = create(more);
        assert!(left == Some(code) && said.contains(message), "{more}: {left:?} {said}");
    }
}
