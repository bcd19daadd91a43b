//! Mail delivery: a real mail server on loopback accepts, rejects or defers mails.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use axum::http::StatusCode;
use bursar::mail::Language;
use bursar::mail::partner_text::gate as told_to_partners;
use bursar::ops::notices;
use bursar::ops::people::{self, NewPerson};
use bursar::ops::rewards::{RewardSelection, Verdict, decide_many};
use bursar::store::mails::{self, Filter, Mail, MailState};
use bursar::store::outbox;
use bursar::work::notify;
use futures::StreamExt as _;
use payout::access::Role;
use payout::notice::Notice;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::need;
use crate::pages::{Browser, seed_data};
use crate::world::{Loop, SECOND, World};

/// Python's aiosmtpd in a separate process.
pub struct MailServer {
    python: String,
    folder: tempfile::TempDir,
    child: Child,
    _input: ChildStdin,
    pub url: String,
}

impl MailServer {
    /// Starts one; `None` after reporting that the test is skipped.
    pub fn start() -> Option<Self> {
        let python = std::env::var("BURSAR_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
        let has = Command::new(&python).args(["-c", "import aiosmtpd"]).stderr(Stdio::null()).status();
        if !has.is_ok_and(|status| status.success()) {
            need::skip_or_fail("smtp", "this Python has no aiosmtpd; BURSAR_TEST_PYTHON names another");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let mut child = Command::new(&python)
            .arg(script("server.py"))
            .arg(folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut port = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut port).unwrap();
        let input = child.stdin.take().unwrap();
        let url = format!("smtp://127.0.0.1:{}", port.trim());
        Some(Self { python, folder, child, _input: input, url })
    }

    /// The accepted mails, parsed by a third-party library.
    pub fn taken(&self) -> Vec<Taken> {
        let output =
            Command::new(&self.python).arg(script("read.py")).arg(self.folder.path()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let all: Value = serde_json::from_slice(&output.stdout).unwrap();
        all.as_array().unwrap().iter().cloned().map(Taken).collect()
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn script(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/it/mails").join(name)
}

/// A mail as the server received it.
pub struct Taken(Value);

impl Taken {
    fn all(&self, name: &str) -> Vec<&str> {
        let headers = self.0["headers"].as_array().unwrap().iter();
        let of = headers.filter(|header| header[0].as_str().unwrap().eq_ignore_ascii_case(name));
        of.map(|header| header[1].as_str().unwrap()).collect()
    }

    /// The value of a header that occurs exactly once.
    pub fn header(&self, name: &str) -> &str {
        let all = self.all(name);
        assert_eq!(all.len(), 1, "{name}: {all:?}");
        all[0]
    }

    pub fn text(&self) -> &str {
        self.0["parts"]["text/plain"].as_str().unwrap()
    }

    pub fn html(&self) -> &str {
        self.0["parts"]["text/html"].as_str().unwrap()
    }
}

/// A world with a mail server and the partners of the page tests.
async fn mailing(name: &str, server: &MailServer) -> World {
    let world =
        World::open_with(name, 7, &[("smtp-url", &server.url), ("mail-from", "Pay <pay@example.com>")]).await;
    seed_data(&world).await;
    world
}

async fn all_mails(world: &World) -> Vec<Mail> {
    let mut found =
        mails::list(&mut world.app.store.read().await.unwrap(), &Filter::default(), 500).await.unwrap();
    found.reverse();
    found
}

/// The notices and their recipients, in order of writing.
fn told(mails: &[Mail]) -> Vec<String> {
    let mut messages: Vec<String> = mails
        .iter()
        .map(|mail| {
            format!("{} {} {} {}", mail.recipient, mail.notice.as_str(), mail.language, mail.state.as_str())
        })
        .collect();
    messages.sort();
    messages
}

async fn address(world: &World, partner: &str, email: &str, language: &str) {
    let csv = format!(
        "external_id,account,name,email,country,language\n{partner},A-1,{partner},{email},US,{language}\n"
    );
    let report =
        bursar::ops::import::partners(&world.app, &world.actor, csv.as_bytes(), false, None).await.unwrap();
    assert_eq!(report.0.rejected, []);
}

async fn approve(world: &World, count: i64) {
    let which = RewardSelection::All(Box::default(), count);
    decide_many(&world.app, &world.actor, &which, &Verdict::Approve, None).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_arrives_whole() {
    let Some(server) = MailServer::start() else { return };
    let world = mailing("mail_arrives", &server).await;
    world.tick(0, Loop::Notify).await;
    address(&world, "ana", "ana@example.com", "de").await;
    address(&world, "bo", "bo@example.com", "ja-JP").await;
    let before = server.taken().len();
    approve(&world, 12).await;
    world.tick(0, Loop::Notify).await;
    let taken = server.taken().split_off(before);
    // Twelve decisions about three partners make three mails.
    assert_eq!(taken.len(), 3);
    let to = |address: &str| taken.iter().find(|mail| mail.header("To").contains(address)).unwrap();
    let ana = to("ana@example.com");
    assert_eq!(ana.header("From"), "Pay <pay@example.com>");
    assert_eq!(ana.header("Auto-Submitted"), "auto-generated");
    assert_eq!(ana.header("Subject"), "4 Ihrer Prämien wurden genehmigt");
    assert!(
        ana.header("Content-Type").starts_with("multipart/alternative"),
        "{}",
        ana.header("Content-Type")
    );
    assert!(ana.text().starts_with("Guten Tag ana,") && ana.text().contains("7.500 JPY"), "{}", ana.text());
    assert!(ana.html().contains("<li>RW-") && !ana.html().contains("<script"));
    assert!(to("bo@example.com").header("Subject").contains("報酬が承認されました"));
    assert!(to("cy@example.com").header("Subject").contains("of your rewards were approved"));
    let kept = all_mails(&world).await;
    let ids: Vec<String> = kept.iter().map(|mail| format!("<{}@127.0.0.1>", mail.id)).collect();
    for mail in server.taken() {
        assert!(ids.contains(&mail.header("Message-ID").to_owned()));
        assert!(mail.all("Bcc").is_empty() && mail.all("Cc").is_empty());
    }
    assert!(kept.iter().all(|mail| mail.state == MailState::Sent), "{:?}", told(&kept));
    assert_eq!(world.tick(0, Loop::Notify).await, 0, "nothing is sent twice");
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_mail_server_refuses() {
    let Some(server) = MailServer::start() else { return };
    let world = mailing("mail_refused", &server).await;
    world.tick(0, Loop::Notify).await;
    for (partner, name) in [("ana", "nobody"), ("bo", "later"), ("cy", "policy")] {
        address(&world, partner, &format!("{name}@example.com"), "en").await;
    }
    approve(&world, 12).await;
    world.tick(0, Loop::Notify).await;
    let state = async |name: &str| {
        let all = all_mails(&world).await;
        all.into_iter().rev().find(|mail| mail.recipient == format!("{name}@example.com")).unwrap()
    };
    let nobody = state("nobody").await;
    assert_eq!((nobody.state, nobody.tries), (MailState::Failed, 1));
    assert!(nobody.answer.as_deref().unwrap().contains("There is no such user"), "{:?}", nobody.answer);
    assert_eq!(
        (state("later").await.state, state("policy").await.state),
        (MailState::Waiting, MailState::Waiting)
    );
    world.pass(61 * SECOND);
    world.tick(0, Loop::Notify).await;
    assert_eq!((state("later").await.state, state("later").await.tries), (MailState::Sent, 2));
    assert_eq!(
        state("policy").await.state,
        MailState::Waiting,
        "a refusal of us is not held against an address"
    );

    // The next mail to that address is not even tried until someone lifts the suppression on the page.
    world.pass(3_700 * SECOND);
    let notice = |about: &str| (Notice::TaxReportNeeded, about.to_owned(), "{}".to_owned());
    let ana =
        bursar::ops::payees::named(&mut world.app.store.read().await.unwrap(), "ana").await.unwrap().unwrap();
    write(&world, vec![notice(&ana.to_string())]).await;
    world.tick(0, Loop::Notify).await;
    let suppressed = state("nobody").await;
    assert_eq!((suppressed.notice, suppressed.state), (Notice::TaxReportNeeded, MailState::Suppressed));
    let mut browser = Browser::of(&world, Role::Admin, "pat").await;
    crate::people::factor::set_up(&world, &mut browser).await;
    let page = browser.read(&format!("/outbox/{}", suppressed.id)).await;
    page.says("This address is suppressed");
    page.says("There is no such user here");
    let csrf = page.hidden("csrf");
    let lifted = browser.post_on("/outbox/lift", &[("csrf", &csrf), ("address", "nobody@example.com")]).await;
    lifted.says("The suppression of nobody@example.com is lifted.");
    let again = browser.post_on(&format!("/outbox/{}/again", suppressed.id), &[("csrf", &csrf)]).await;
    again.says("The mail is queued again.");
    assert_eq!(state("nobody").await.state, MailState::Waiting);

    // After three days delivery is abandoned, and an old unsent mail is not sent as news.
    world.pass(4 * 86_400 * SECOND);
    world.tick(0, Loop::Notify).await;
    assert_eq!(state("policy").await.state, MailState::Failed);
    assert_eq!(state("nobody").await.state, MailState::Lapsed);
    world.close().await;
}

async fn write(world: &World, all: Vec<(Notice, String, String)>) {
    let mut tx = world.app.store.begin().await.unwrap();
    outbox::write(&mut tx, &world.app.clock, world.now(), all).await.unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_server_that_is_away_loses_nothing() {
    let world = World::open_with("mail_away", 8, &[("smtp-url", "smtp://127.0.0.1:9")]).await;
    seed_data(&world).await;
    world.tick(0, Loop::Notify).await;
    let all = all_mails(&world).await;
    assert!(!all.is_empty() && all.iter().all(|mail| mail.state == MailState::Waiting && mail.tries == 1));
    assert!(all[0].next_at > world.now());
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_workers_send_each_mail_once() {
    let Some(server) = MailServer::start() else { return };
    let mut world = mailing("mail_two", &server).await;
    world.employ(2).await;
    approve(&world, 12).await;
    let now = world.now();
    for _ in 0..4 {
        let (one, two) = tokio::join!(notify::once(&world.works[0], now), notify::once(&world.works[1], now));
        one.unwrap();
        two.unwrap();
    }
    let mut ids: Vec<String> =
        server.taken().iter().map(|mail| mail.header("Message-ID").to_owned()).collect();
    let all = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!((all, ids.len()), (all_mails(&world).await.len(), all));
    world.close().await;
}

/// A mail server that takes 15 seconds of the world's clock over each mail, and notes the id of each it takes.
async fn slow_session(connection: TcpStream, world: &World, taken: &Mutex<Vec<String>>) {
    let (reading, mut writing) = connection.into_split();
    let mut lines = tokio::io::BufReader::new(reading).lines();
    writing.write_all(b"220 slow.example.com\r\n").await.unwrap();
    let mut in_text = false;
    while let Ok(Some(line)) = lines.next_line().await {
        let answer = match line.as_str() {
            "." => {
                in_text = false;
                tokio::time::sleep(Duration::from_millis(20)).await;
                world.pass(15 * SECOND);
                "250 taken"
            }
            line if in_text => {
                let id = line.strip_prefix("Message-ID: ").map(str::to_owned);
                taken.lock().unwrap().extend(id);
                continue;
            }
            "DATA" => {
                in_text = true;
                "354 go on"
            }
            _ => "250 OK",
        };
        if writing.write_all(format!("{answer}\r\n").as_bytes()).await.is_err() {
            return;
        }
    }
}

/// A pass over many mails takes longer than a mail is leased for, and meanwhile another node sends too.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_mail_server_gets_each_mail_once() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("smtp://{}", listener.local_addr().unwrap());
    let mut world = World::open_with("mail_slow", 7, &[("smtp-url", &url)]).await;
    world.employ(2).await;
    let now = world.now();
    let waiting = |number: usize| Mail {
        id: format!("mail_{number:02}"),
        outbox_id: None,
        notice: Notice::LoginChanged,
        about: String::new(),
        recipient: format!("ana{number}@example.com"),
        recipient_name: "Ana".to_owned(),
        language: "en".to_owned(),
        title: "Hello".to_owned(),
        body: "Hello".to_owned(),
        template_version: 0,
        state: MailState::Waiting,
        created_at: now,
        next_at: now,
        fence: 0,
        tries: 0,
        answer: None,
        sent_at: None,
    };
    let mut tx = world.app.store.begin().await.unwrap();
    mails::insert(&mut tx, (0..16).map(waiting).collect()).await.unwrap();
    tx.commit().await.unwrap();

    let taken = Mutex::new(Vec::new());
    let node = async |number: usize| {
        while all_mails(&world).await.iter().any(|mail| mail.state == MailState::Waiting) {
            notify::once(&world.works[number], world.now()).await.unwrap();
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let connections = futures::stream::unfold(listener, |listener| async {
        let connection = listener.accept().await.unwrap().0;
        Some((connection, listener))
    });
    tokio::select! {
        _ = async { tokio::join!(node(0), node(1)) } => {}
        () = connections.for_each_concurrent(None, |connection| slow_session(connection, &world, &taken)) => {}
    }
    let all = all_mails(&world).await;
    let mut ids = taken.lock().unwrap().clone();
    let count = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!((count, ids.len()), (all.len(), all.len()), "each mail was sent once: {ids:?}");
    assert!(all.iter().all(|mail| mail.state == MailState::Sent && mail.tries == 1), "{all:?}");
    world.close().await;
}

#[tokio::test]
async fn decisions_are_collected_for_an_hour() {
    let world = World::open("mail_digest", 3).await;
    seed_data(&world).await;
    world.tick(0, Loop::Notify).await;
    let mut browser = Browser::of(&world, Role::ProgramManager, "rev").await;
    let ids = browser.read("/rewards?view=pending&owner=ana").await.all_hidden("id");
    let csrf = browser.read("/rewards").await.hidden("csrf");
    let count = async || {
        let all = all_mails(&world).await;
        all.iter().filter(|mail| mail.notice == Notice::RewardApproved).count()
    };
    for (place, id) in ids.iter().enumerate() {
        browser.post(&format!("/rewards/{id}/decide"), &[("csrf", &csrf), ("action", "approve")]).await;
        world.pass(60 * SECOND);
        world.tick(0, Loop::Notify).await;
        assert_eq!(count().await, 1, "after {}", place + 1);
    }
    assert!(ids.len() > 2);
    world.pass(3_600 * SECOND);
    world.tick(0, Loop::Notify).await;
    assert_eq!(count().await, 2);
    let last = all_mails(&world).await.pop().unwrap();
    assert_eq!(last.title, format!("{} of your rewards were approved", ids.len() - 1));
    world.close().await;
}

#[tokio::test]
async fn a_template_that_fails_when_it_is_needed_does_not_hold_up_the_mail() {
    let world = World::open("mail_fallback", 4).await;
    seed_data(&world).await;
    world.tick(0, Loop::Notify).await;
    let mut browser = Browser::of(&world, Role::Admin, "pat").await;
    let path = "/settings/notices/reward_approved/en";
    let page = browser.read(path).await;
    page.says("built-in");
    let csrf = page.hidden("csrf");
    let version = page.hidden("version");
    let fields = |body| {
        [("csrf", csrf.as_str()), ("version", version.as_str()), ("subject", "S {{ count }}"), ("body", body)]
    };
    let broken = browser.post(path, &fields("one\n{{ tin }}")).await;
    assert_eq!(broken.status, StatusCode::UNPROCESSABLE_ENTITY);
    broken.says(
        "Line 2 of the body: there is no `tin` in this notice. It may use greeting, name, link, rewards",
    );
    broken.says("Nothing was saved.");
    // The preview example has two rewards, so this can be saved; Cy's mail about one reward still uses the built-in
    // template.
    let saved = browser
        .post_on(path, &fields("{{ rewards[0].number }} {{ rewards[1].number }}\n\n> Go | {{ link }}"))
        .await;
    saved.says("Version 1 is saved and in force.");
    let stale = browser.post_on(path, &fields("x")).await;
    stale.says("This was changed since you read it");
    let ids = browser.read("/rewards?view=pending&owner=cy").await.all_hidden("id");
    browser.post(&format!("/rewards/{}/decide", ids[0]), &[("csrf", &csrf), ("action", "approve")]).await;
    world.pass(SECOND);
    world.tick(0, Loop::Notify).await;
    let mail = all_mails(&world).await.pop().unwrap();
    assert_eq!((mail.recipient.as_str(), mail.template_version), ("cy@example.com", 0));
    assert!(mail.title.contains("was approved"), "{}", mail.title);
    let more = [("csrf", csrf.as_str()), ("action", "approve"), ("id", &ids[1]), ("id", &ids[2])];
    browser.post_on("/rewards/decide", &more).await;
    for _ in 0..3 {
        world.pass(1_240 * SECOND);
        crate::people::sessions::used(&world, &mut browser, path).await;
    }
    let proof = [("csrf", csrf.as_str()), ("password", crate::pages::PASSWORD), ("next", path)];
    assert_eq!(browser.post("/prove", &proof).await.to, path);
    world.tick(0, Loop::Notify).await;
    let mail = all_mails(&world).await.pop().unwrap();
    assert_eq!((mail.title.as_str(), mail.template_version), ("S 2", 1));

    let preview = browser.post(&format!("{path}/preview"), &fields("Hi\n\n> Go | {{ link }}")).await;
    assert!(preview.body.contains("href=\"http://127.0.0.1"), "{}", preview.body);
    let test = browser.post_on(&format!("{path}/test"), &fields("Hi {{ name }}")).await;
    test.says("stays in the outbox");
    let restored = browser.post_on(&format!("{path}/restore"), &[("csrf", &csrf)]).await;
    restored.says("The built-in template is in force again.");
    restored.says("Version 2 built-in");
    browser.read(&format!("{path}?version=1")).await.says("rewards[1].number");
    browser
        .read("/settings/notices")
        .await
        .says("Payment failed the partner, the account&#39;s owner, the internal recipients");
    world.close().await;
}

/// The recipients of every kind of notice.
#[tokio::test]
async fn who_is_told_what() {
    let world = World::open("mail_who", 5).await;
    seed_data(&world).await;
    world
        .set(|it| bursar::ops::settings::Document {
            internal_recipients: vec!["finance@example.com".to_owned()],
            ..it
        })
        .await;
    let app = &world.app;
    for (name, role) in [
        ("admin", Role::Admin),
        ("payer", Role::Payer),
        ("preparer", Role::Preparer),
        ("auditor", Role::Auditor),
    ] {
        let new = NewPerson {
            email: format!("{name}@ours.example"),
            name: name.to_owned(),
            role,
            partner: None,
            password: None,
        };
        people::add(app, &new).await.unwrap();
    }
    approve(&world, 12).await;
    let mut payer = Browser::of(&world, Role::Payer, "pat").await;
    let page = payer.read("/claims").await;
    let csrf = page.hidden("csrf");
    payer.post_on("/claims/add", &[("csrf", &csrf), ("all", "yes")]).await;
    let batch =
        bursar::store::batches::find(&mut app.store.read().await.unwrap(), "PB-2026-0001").await.unwrap();
    while notices::expand(app, world.now()).await.unwrap() > 0 {}
    world.pass(SECOND);
    let payee = bursar::ops::payees::named(&mut app.store.read().await.unwrap(), "ana")
        .await
        .unwrap()
        .unwrap()
        .to_string();
    let before = all_mails(&world).await.len();
    let mut all = Vec::new();
    for notice in Notice::ALL {
        let named = r#"{"to":["old@example.com","new@example.com"],"old":"o…@example.com","new":"n…@example.com","link":"http://127.0.0.1/x"}"#;
        let about = match notice.as_str().split('_').next() {
            Some("payout" | "tax" | "reminder") => payee.clone(),
            Some("batch") => batch.id.to_string(),
            Some("vendor" | "webhooks") => "stripe".to_owned(),
            Some("payments") => "payments".to_owned(),
            Some(_) | None => continue,
        };
        all.push((*notice, about, named.to_owned()));
    }
    write(&world, all).await;
    while notices::expand(app, world.now()).await.unwrap() > 0 {}
    let mails = all_mails(&world).await.split_off(before);
    let line = |mail: &Mail| format!("{} → {}", mail.notice.as_str(), mail.recipient);
    let mut who: Vec<String> = mails.iter().map(line).collect();
    who.sort();
    insta::assert_snapshot!(who.join("\n"));
    for mail in &mails {
        let parts =
            bursar::mail::Parts::of(bursar::mail::Language::En, &mail.title, &mail.body, &app.base_url);
        assert!(!parts.text.contains("old@example.com") && !parts.text.contains("{{"), "{}", parts.text);
    }
    world.close().await;
}

#[tokio::test]
async fn partners_are_reminded_at_most_once_in_three_days() {
    let world = World::open("mail_remind", 6).await;
    seed_data(&world).await;
    approve(&world, 12).await;
    let mut browser = Browser::of(&world, Role::Preparer, "prep").await;
    let csrf = browser.read("/claims").await.hidden("csrf");
    let mut remind = async || browser.post_on("/claims/remind", &[("csrf", &csrf)]).await;
    remind().await.says("1 payee reminded.");
    remind().await.says("0 payees reminded; 1 payee had a reminder within the last three days.");
    let mut db = world.app.store.read().await.unwrap();
    let trail = bursar::store::audit::list(&mut db, &Default::default(), 50).await.unwrap();
    drop(db);
    let reminded = trail.iter().filter(|one| one.action == "partners_reminded").count();
    assert_eq!(reminded, 1, "a press that reminded nobody is no deed");
    world.tick(0, Loop::Notify).await;
    let reminders = async || {
        let all = all_mails(&world).await;
        all.into_iter().filter(|mail| mail.notice == Notice::Reminder).collect::<Vec<Mail>>()
    };
    let mails = reminders().await;
    assert_eq!(mails.len(), 1);
    assert_eq!(mails[0].recipient, "cy@example.com");
    let words = told_to_partners(Language::En, payout::eligibility::Code::ProfileMissing);
    assert!(
        mails[0].body.contains(words.message) && mails[0].body.contains(words.remedy),
        "{}",
        mails[0].body
    );
    assert!(mails[0].body.contains(" USD"), "{}", mails[0].body);
    world.pass(3 * 86_400 * SECOND + SECOND);
    world.tick(0, Loop::Notify).await;
    assert_eq!(reminders().await.len(), 1, "nobody is reminded by itself");
    world.close().await;
}
