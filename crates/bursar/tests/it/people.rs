//! Users and API keys as administered on the pages, the activity log of these changes, search, and the forms for partners
//! and programs. Not here: invitations of partners (`portal`), and the permissions of each API route (`api`).

mod activity;
pub mod authenticator;
mod catalogue;
mod connections;
mod entered;
pub mod factor;
mod forgotten;
mod keys;
mod owners;
mod passkeys;
pub mod provider;
mod raised;
mod search;
mod second_person;
pub mod sessions;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use bursar::ops::notices::secret::{self, SecretLink};
use bursar::ops::people::{self, team};
use bursar::store::mails::{self, Filter};
use payout::access::Role;
use payout::ids::PersonId;
use payout::scope::Scopes;
use tower::ServiceExt as _;

use crate::pages::{Browser, Page};
use crate::world::{DAY, Loop, SECOND, World};

const MINUTE: i64 = 60 * SECOND;

/// The ID of the user with this name on the People page.
async fn id_of(browser: &mut Browser, name: &str) -> String {
    let list = browser.read("/people").await;
    let row = list.body.split("<tr role=\"row\">").skip(1).find(|row| row.contains(&format!(">{name}</a>")));
    row.unwrap_or_else(|| panic!("no {name}"))
        .split("/people/")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap()
        .to_owned()
}

/// The paths of the one-time links in unsent notices of this kind, oldest first.
pub async fn secret_links(world: &World, notice: &str) -> Vec<String> {
    let mut database = crate::nodes::beside(world).await;
    let count = format!("SELECT CAST(COUNT(*) AS TEXT) FROM outbox WHERE notice = '{notice}'");
    let many: usize = crate::nodes::text(&mut database, &count).await.parse().unwrap();
    let (mut db, mut found) = (world.app.store.read().await.unwrap(), Vec::new());
    for place in 0..many {
        let id =
            format!("SELECT id FROM outbox WHERE notice = '{notice}' ORDER BY id LIMIT 1 OFFSET {place}");
        let id = crate::nodes::text(&mut database, &id).await;
        if let SecretLink::Is(link) = secret::of(&mut db, &world.app, &id).await.unwrap() {
            found.push(link.strip_prefix(&world.app.base_url).unwrap().to_owned());
        }
    }
    found
}

fn link_on(page: &Page, door: &str) -> String {
    let rest = page.body.split(door).nth(1).unwrap_or_else(|| panic!("no link in\n{}", page.body));
    format!("{door}{}", rest.split('<').next().unwrap())
}

/// The status of an API response for this key.
async fn answer_to(world: &World, key: &str, method: &str, path: &str) -> StatusCode {
    let request =
        Request::builder().method(method).uri(path).header("authorization", format!("Bearer {key}"));
    let request =
        request.header("content-type", "application/json").body(Body::from("{\"name\":\"Acme\"}")).unwrap();
    bursar::web::router(world.works[0].clone()).oneshot(request).await.unwrap().status()
}

#[tokio::test]
async fn only_an_administrator_runs_people_and_keys() {
    let world = World::open("people_doors", 161).await;
    crate::pages::seed_data(&world).await;
    let mut pat = Browser::of(&world, Role::Admin, "pat").await;
    let id = id_of(&mut pat, "pat").await;
    let reads = ["/people", "/people/new", "/keys", "/keys/new"].map(str::to_owned);
    let writes = ["role", "disable", "enable", "sessions", "link"].map(|deed| format!("/people/{id}/{deed}"));
    for role in Role::ALL.iter().filter(|role| **role != Role::Admin) {
        let mut browser = Browser::of(&world, *role, role.as_str()).await;
        for path in reads.iter().chain([&format!("/people/{id}")]) {
            let status = browser.get(path).await.status;
            assert!(
                status == StatusCode::FORBIDDEN || status == StatusCode::NOT_FOUND,
                "{role:?} {path} {status}"
            );
        }
        let form = if role.is_partners() { "/portal/account" } else { "/me" };
        let csrf = browser.read(form).await.hidden("csrf");
        for path in writes.iter().chain([&"/people/new".to_owned(), &"/keys/new".to_owned()]) {
            let sent = browser.post(path, &[("csrf", &csrf), ("role", "payer")]).await;
            assert_eq!(sent.status, StatusCode::FORBIDDEN, "{role:?} {path}");
        }
    }
    pat.read("/people").await.says("pat pat@example.com Administrator");
    pat.read("/people?of=partners").await.says("Ana Lima");
    pat.read("/people?role=payer").await.says("payer@example.com");
    pat.read("/people?q=nobody").await.says("Nobody matches.");
    pat.read("/people?role=king").await.says("There is no filter value “king”.");
    world.close().await;
}

#[tokio::test]
async fn a_colleague_is_invited_comes_and_is_shut_out() {
    let world = World::open("people_invite", 162).await;
    let mut pat = Browser::of(&world, Role::Admin, "pat").await;
    let csrf = pat.read("/people/new").await.hidden("csrf");
    let form = |name: &'static str, email: &'static str, role: &'static str| {
        [("csrf", csrf.clone()), ("name", name.into()), ("email", email.into()), ("role", role.into())]
    };
    let rows = [
        ("", "kim@example.com", "payer", "Write the name that history will show"),
        ("Kim", "kim", "payer", "No mail can be sent to this; write one e-mail address"),
        ("Kim", "pat@example.com", "payer", "Somebody signs in with this address already."),
        ("Kim", "kim@example.com", "partner", "A partner is invited from their own page."),
        ("Kim", "kim@example.com", "king", "Choose a role."),
    ];
    for (name, email, role, message) in rows {
        let fields = form(name, email, role);
        let refused =
            pat.post("/people/new", &fields.each_ref().map(|(name, value)| (*name, value.as_str()))).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
        refused.says(message);
        assert!(refused.body.contains(&format!("value=\"{email}\"")), "what was typed stays");
    }
    let fields = form("Kim Oh", "Kim@example.com", "payer");
    let made = pat.post("/people/new", &fields.each_ref().map(|(name, value)| (*name, value.as_str()))).await;
    made.says("kim@example.com is invited as payer.");
    let link = link_on(&made, "/join/");
    assert!(!pat.read("/people/new").await.body.contains("/join/"), "the link is shown once");
    assert_eq!(world.tick(0, crate::world::Loop::Notify).await, 2, "they and we are mailed");

    let mut kim = Browser::new(&world);
    assert_eq!(
        kim.get(&link.replace("/join/", "/portal/join/")).await.status,
        StatusCode::GONE,
        "another door"
    );
    kim.read(&link).await.says("Choose a password");
    let both = |one, two| [("password", one), ("again", two)];
    kim.post(&link, &both("a long password 1", "a long password 2")).await.says("are not the same");
    kim.post(&link, &both("short", "short")).await.says("at least twelve characters");
    assert_eq!(kim.post(&link, &both("a long password 1", "a long password 1")).await.to, "/");
    kim.read("/rewards").await.says("Kim Oh Payer");
    assert_eq!(kim.get(&link).await.status, StatusCode::GONE);

    let id = id_of(&mut pat, "Kim Oh").await;
    let page = pat.read(&format!("/people/{id}")).await;
    page.says("An unnamed browser Since");
    let deed = |deed: &str| format!("/people/{id}/{deed}");
    let word = [("csrf", csrf.as_str())];
    pat.post_on(&deed("role"), &[word[0], ("role", "auditor")]).await.says("The role is now auditor.");
    kim.read("/rewards").await.says("Kim Oh Auditor");
    pat.post_on(&deed("role"), &[word[0], ("role", "partner")])
        .await
        .says("A colleague does not become a partner.");
    pat.post_on(&deed("sessions"), &word).await.says("1 session ended.");
    assert!(kim.get("/rewards").await.to.starts_with("/login"));
    let again = pat.post(&deed("link"), &word).await;
    let again = link_on(&again, "/join/");
    pat.post_on(&deed("disable"), &word).await.says("Disabled: signed out everywhere");
    assert_eq!(kim.get(&again).await.status, StatusCode::GONE, "links end too");
    let fields = [("email", "kim@example.com"), ("password", "a long password 1")];
    assert_eq!(kim.post("/login", &fields).await.to, "/login?why=wrong");
    pat.post_on(&deed("link"), &word).await.says("This login is shut out, so no link is made for it.");
    pat.post_on(&deed("enable"), &word).await.says("Enabled, with the same role");
    assert_eq!(kim.post("/login", &fields).await.to, "/");
    let history = pat.read(&format!("/people/{id}")).await;
    for line in ["Role changed by pat", "payer → auditor", "Person disabled by pat", "Person enabled by pat"]
    {
        history.says(line);
    }
    world.close().await;
}

#[tokio::test]
async fn nobody_takes_their_own_role_and_an_administrator_stays() {
    let world = World::open("people_last", 163).await;
    let mut pat = Browser::of(&world, Role::Admin, "pat").await;
    let mut kim = Browser::of(&world, Role::Admin, "kim").await;
    let (mine, theirs) = (id_of(&mut pat, "pat").await, id_of(&mut pat, "kim").await);
    let page = pat.read(&format!("/people/{mine}")).await;
    page.says("You cannot remove your own access.");
    page.says("You cannot give up your own administrator role.");
    let csrf = page.hidden("csrf");
    let to = |role| [("csrf", csrf.as_str()), ("role", role)];
    pat.post_on(&format!("/people/{mine}/role"), &to("payer")).await.says("You cannot give up your own");
    pat.post_on(&format!("/people/{mine}/disable"), &to("")[..1])
        .await
        .says("You cannot remove your own access.");
    pat.post_on(&format!("/people/{theirs}/role"), &to("payer")).await.says("The role is now payer.");
    assert_eq!(kim.get("/people").await.status, StatusCode::FORBIDDEN, "at once");

    // The acting user is no longer an administrator when the request runs: the last one stays.
    let last = PersonId::parse(&mine).unwrap();
    for deed in [
        team::disable(&world.app, &world.actor, last).await,
        team::change_role(&world.app, &world.actor, last, Role::Payer).await,
    ] {
        let Err(bursar::ops::OpsError::Refused(refusal)) = deed else { panic!("the last one went") };
        assert_eq!(refusal.code, "last_admin");
    }
    world.close().await;
}

#[tokio::test]
async fn two_administrators_cannot_take_each_others_role_at_once() {
    let world = World::open("people_race", 164).await;
    let mut pat = Browser::of(&world, Role::Admin, "pat").await;
    Browser::of(&world, Role::Admin, "kim").await;
    let ids = [id_of(&mut pat, "pat").await, id_of(&mut pat, "kim").await];
    let [pat, kim] = ids.map(|id| PersonId::parse(&id).unwrap());
    let acting = |id| bursar::app::Actor { id, ..world.actor.clone() };
    let (one, other) = (acting(pat), acting(kim));
    let (first, second) = tokio::join!(
        team::change_role(&world.app, &one, kim, Role::Payer),
        team::change_role(&world.app, &other, pat, Role::Payer),
    );
    assert_eq!([first, second].iter().filter(|done| done.is_ok()).count(), 1);
    world.close().await;
}

#[tokio::test]
async fn granting_asks_for_the_password_again() {
    let world = World::open("people_fresh", 165).await;
    let mut pat = Browser::of(&world, Role::Admin, "pat").await;
    Browser::of(&world, Role::Payer, "kim").await;
    let id = id_of(&mut pat, "kim").await;
    world.pass(11 * MINUTE);
    for path in ["/people/new", "/keys/new"] {
        let path = path.to_owned();
        let asked = pat.get(&path).await;
        assert_eq!(asked.to, format!("/prove?next={}", path.replace('/', "%2F")));
    }
    let page = pat.read(&format!("/people/{id}")).await;
    page.says("Enter it now");
    let csrf = page.hidden("csrf");
    for (path, back) in [
        (format!("/people/{id}/role"), format!("/people/{id}")),
        (format!("/people/{id}/link"), format!("/people/{id}")),
        ("/people/new".to_owned(), "/people/new".to_owned()),
        ("/keys/new".to_owned(), "/keys/new".to_owned()),
    ] {
        let fields = [("csrf", csrf.as_str()), ("role", "admin")];
        let sent = pat.post(&path, if path.ends_with("link") { &fields[..1] } else { &fields }).await;
        assert_eq!(sent.to, format!("/prove?next={}", back.replace('/', "%2F")), "{path}");
    }
    // Disabling needs no password: whoever notices something wrong can act at once.
    pat.post_on(&format!("/people/{id}/disable"), &[("csrf", &csrf)]).await.says("Disabled");
    let proof = [("csrf", csrf.as_str()), ("password", crate::pages::PASSWORD), ("next", "/people/new")];
    pat.post_on("/prove", &proof).await.says("Invite a colleague");
    world.close().await;
}

#[tokio::test]
async fn a_key_is_shown_once_works_and_is_refused_when_it_is_revoked() {
    let world = World::open("people_keys", 166).await;
    let mut pat = Browser::of(&world, Role::Admin, "pat").await;
    let csrf = pat.read("/keys/new").await.hidden("csrf");
    let base = [("csrf", csrf.as_str()), ("name", "CRM sync"), ("role", "auditor")];
    pat.post("/keys/new", &base).await.says("a key without a scope can do nothing.");
    pat.post("/keys/new", &[base[0], base[2], ("scope", "read")])
        .await
        .says("Name the key after what uses it");
    let partners = [base[0], base[1], ("role", "partner"), ("scope", "read"), ("partner", "nobody")];
    pat.post("/keys/new", &partners).await.says("There is no such partner; enter them first.");
    let made = pat.post("/keys/new", &[&base[..], &[("scope", "read")]].concat()).await;
    made.says("it is kept only as a hash and is never shown again.");
    let key = format!("brs_{}", made.body.split("brs_").nth(1).unwrap().split('<').next().unwrap());
    assert_eq!(answer_to(&world, &key, "GET", "/api/v1/rewards").await, StatusCode::OK);
    assert_eq!(answer_to(&world, &key, "PUT", "/api/v1/accounts/x").await, StatusCode::FORBIDDEN);

    let list = pat.read("/keys").await;
    let end = &key[key.len() - 4..];
    list.says(&format!("CRM sync brs_…{end} Auditor read"));
    list.says("Anywhere");
    list.says("by pat Works");
    assert!(!list.body.contains(&key[4..20]));
    let id = list.body.split("/keys/per_").nth(1).unwrap().split('/').next().unwrap();
    let path = format!("/keys/per_{id}/revoke");
    assert_eq!(
        pat.get(&format!("/people/per_{id}")).await.status,
        StatusCode::NOT_FOUND,
        "a key is no person"
    );
    pat.read(&path).await.says("Revoke CRM sync?");
    pat.post_on(&path, &[("csrf", &csrf)]).await.says("The key is revoked.");
    assert_eq!(answer_to(&world, &key, "GET", "/api/v1/rewards").await, StatusCode::UNAUTHORIZED);
    pat.read("/keys").await.says("No active keys.");
    pat.read("/keys?revoked=yes").await.says("Revoked");
    world.close().await;
}

#[tokio::test]
async fn when_somebody_was_last_here_is_known_to_five_minutes() {
    let world = World::open("people_seen", 167).await;
    let new = people::NewKey::of("k", Role::Admin, Scopes::kept("read,write"));
    let key = people::create_key(&world.app, &new).await.unwrap();
    let seen = async || {
        // It is recorded asynchronously, so it may appear a moment later.
        for _ in 0..100 {
            let hash = bursar::secrets::token_hash(&key);
            let mut db = world.app.store.read().await.unwrap();
            let at = bursar::store::people::by_key_hash(&mut db, &hash).await.unwrap().unwrap();
            let at = at.person.last_seen_at;
            if at.is_some_and(|at| world.now() - at < 5 * MINUTE) {
                return at;
            }
            drop(db);
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        panic!("it was never noted");
    };
    let began = world.now();
    answer_to(&world, &key, "GET", "/api/v1/rewards").await;
    assert_eq!(seen().await, Some(began));
    world.pass(4 * MINUTE);
    answer_to(&world, &key, "GET", "/api/v1/rewards").await;
    assert_eq!(seen().await, Some(began), "no write for each call");
    world.pass(DAY);
    answer_to(&world, &key, "GET", "/api/v1/rewards").await;
    assert_eq!(seen().await, Some(world.now()));
    world.close().await;
}

#[tokio::test]
async fn ones_own_sessions() {
    let world = World::open("people_me", 168).await;
    let mut pat = Browser::of(&world, Role::Payer, "pat").await;
    let mut elsewhere = Browser::new(&world);
    let login = |password| [("email", "pat@example.com"), ("password", password)];
    pat.read("/me").await.says("You are signed in nowhere else.");
    assert_eq!(elsewhere.post("/login", &login(crate::pages::PASSWORD)).await.to, "/");
    let csrf = pat.read("/me").await.hidden("csrf");
    pat.post_on("/me/sessions", &[("csrf", &csrf)]).await.says("Signed out everywhere but here.");
    assert!(elsewhere.get("/rewards").await.to.starts_with("/login"));
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_reads_a_link_that_a_mail_server_carries() {
    for (name, flags, shown) in
        [("links_here", &[][..], true), ("links_mailed", &[("smtp-url", "smtp://127.0.0.1:1")][..], false)]
    {
        let world = World::open_with(name, 164, flags).await;
        let new = team::TeamMember {
            email: "kim@example.com".to_owned(),
            name: "Kim".to_owned(),
            role: Role::Payer,
        };
        team::invite(&world.app, &world.actor, &new).await.unwrap();
        world.tick(0, Loop::Notify).await;
        let mut db = world.app.store.read().await.unwrap();
        let mail = mails::list(&mut db, &Filter::default(), 1).await.unwrap().remove(0);
        drop(db);
        let mut pat = Browser::of(&world, Role::Admin, "pat").await;
        factor::set_up(&world, &mut pat).await;
        for path in [format!("/outbox/{}", mail.id), format!("/outbox/{}/html", mail.id)] {
            assert!(!pat.read(&path).await.body.contains("/join/"), "{name} {path}");
        }
        let csrf = pat.read("/me").await.hidden("csrf");
        let asked = pat.post(&format!("/outbox/{}/link", mail.id), &[("csrf", &csrf)]).await;
        assert_eq!(asked.body.contains("/join/"), shown, "{name}: {}", asked.words());
        let mut db = world.app.store.read().await.unwrap();
        let kept = bursar::store::audit::list(&mut db, &Default::default(), 50).await.unwrap();
        assert_eq!(kept.iter().any(|row| row.action == "mail_link_shown"), shown, "{name}");
        drop(db);
        world.close().await;
    }
}

/// Forms that an administrator or program manager may use without a fresh step-up, and why.
const WITHOUT_A_PROOF: [(&str, &str); 27] = [
    (
        "/welcome",
        "the first administrator has no password yet, and it is there for ten minutes after their link",
    ),
    ("/home/steps", "hides a list"),
    ("/people/new", "asks for it itself, before anything is typed"),
    ("/people/sign-in", "asks for it itself"),
    ("/people/{id}/role", "asks for it itself"),
    ("/people/{id}/enable", "asks for it itself"),
    ("/people/{id}/link", "asks for it itself"),
    ("/people/{id}/factor", "asks for it itself"),
    ("/keys/new", "asks for it itself, before anything is typed"),
    ("/keys/{id}/addresses", "asks for it itself, before anything is typed"),
    ("/keys/rules", "asks for it itself"),
    ("/settings/vendors/stripe", "asks for it itself, so that credentials are in no other page"),
    ("/settings/vendors/paypal", "asks for it itself, so that credentials are in no other page"),
    ("/people/{id}/disable", "takes away: whoever sees something wrong acts at once"),
    ("/people/{id}/sessions", "takes away"),
    ("/keys/{id}/revoke", "takes away"),
    ("/safe-mode/on", "stops payments"),
    ("/safe-mode/settle", "settles what two people or a vendor have said, in the trail"),
    ("/payees/{id}/standing", "a hold is set at once; lifting it needs a reason in the trail"),
    ("/payees/{id}/tax-report", "a tax number would travel through the page of the proof"),
    ("/settings/notices/{notice}/{language}/preview", "saves nothing"),
    ("/settings/notices/{notice}/{language}/test", "mails whoever asks"),
    ("/outbox/{mail}/again", "sends what was decided already"),
    ("/outbox/lift", "lets mails be tried again"),
    ("/partners/new", "enters somebody who has no destination yet"),
    ("/accounts/", "names of companies; nobody is paid by them"),
    ("/programs/", "the catalogue"),
];

#[test]
fn every_form_that_grants_or_says_where_money_goes_asks_for_a_fresh_proof() {
    use bursar::web::Access;
    use payout::access::Permission;
    let guarded = [Access::May(Permission::Administer), Access::May(Permission::ManagePartners)];
    let posts = bursar::web::table().into_iter().filter(|route| route.method == "POST");
    let forms = posts.filter(|route| guarded.contains(&route.access) && !route.path.starts_with("/api/"));
    let known = |path: &str| {
        let known = WITHOUT_A_PROOF.iter();
        path.starts_with("/activities/")
            || known.clone().any(|(of, _)| *of == path || (of.ends_with('/') && path.starts_with(of)))
    };
    let missing: Vec<&str> =
        forms.filter(|route| route.step_up.is_none() && !known(route.path)).map(|route| route.path).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[tokio::test]
async fn a_stale_session_changes_no_safeguard_and_no_destination() {
    let world = World::open("people_stale", 169).await;
    crate::pages::seed_data(&world).await;
    let mut pat = Browser::of(&world, Role::Admin, "pat").await;
    let csrf = pat.read("/me").await.hidden("csrf");
    world.pass(11 * MINUTE);
    let rows: [(&str, &[(&str, &str)]); 5] = [
        ("/settings/payouts", &[("section", "safeguards"), ("cooling_off_hours", "0")]),
        ("/payees/ana/payout-profile", &[("method", "paypal"), ("address", "thief@evil.example")]),
        ("/partners/ana/invite", &[("role", "partner_admin")]),
        ("/partners/ana/edit", &[("email", "thief@evil.example")]),
        ("/settings/notices/reward_approved/en", &[("subject", "x"), ("body", "y")]),
    ];
    for (path, fields) in rows {
        let fields = [&[("csrf", csrf.as_str())][..], fields].concat();
        let asked = pat.post(path, &fields).await;
        asked.says("Is it you?");
        assert_eq!(asked.hidden(fields[1].0), fields[1].1, "what was typed is kept: {path}");
    }
    let key = [("csrf", csrf.as_str()), ("secret_key", "sk_test_planted"), ("mode", "test")];
    let asked = pat.post("/settings/vendors/stripe", &key).await;
    assert_eq!(asked.to, "/prove?next=%2Fsettings%2Fpayouts");
    world.close().await;
}
