//! The gates as users see them: limits that hold however many people press Pay at once, and the same text in every
//! interface.

use axum::body::Body;
use axum::http::Request;
use bursar::app::Actor;
use bursar::cli::why::lines;
use bursar::mail::{Language, partner_text};
use bursar::ops::batches::{self, Selection};
use bursar::ops::pay::{self, Balances, ConfirmedTotals};
use bursar::ops::people::{self, NewKey, keys};
use bursar::ops::settings::Document;
use bursar::ops::{OpsError, limits, why};
use bursar::store::batches::PoolFilter;
use bursar::store::mails::{self, Filter};
use payout::access::Role;
use payout::eligibility::{Blocker, Code, Scope, Who};
use payout::ids::{BatchId, RewardId};
use payout::money::{Currency, Sum};
use payout::notice::Notice;
use payout::scope::Scopes;
use serde_json::json;
use tower::ServiceExt as _;

use crate::pages::Browser;
use crate::scenarios::Stage;
use crate::world::{Loop, World};

const CROWD: usize = 50;

/// Fifty payouts of 10 USD, each to another payee.
async fn fifty(stage: &mut Stage) -> Vec<(BatchId, ConfirmedTotals)> {
    stage.play("fifty", &format!("crowd {CROWD} paypal 10.00")).await.unwrap();
    let (app, actor) = (&stage.world.app, &stage.world.actor);
    let mut db = app.store.read().await.unwrap();
    let (open, _) = batches::pool_blockers(&mut db, &PoolFilter::default(), app.clock.now()).await.unwrap();
    drop(db);
    let mut formed = Vec::new();
    for reward in open {
        let one: Vec<RewardId> = vec![reward.id];
        let view = batches::form(app, actor, &Selection::Named(one), true, None).await.unwrap();
        formed.push((view.batch.id, ConfirmedTotals { digest: view.digest, totals: view.totals }));
    }
    formed
}

/// Presses Pay for all of them at once; returns how many were paid.
async fn race(world: &World, batches: Vec<(BatchId, ConfirmedTotals)>, who: &[&Actor]) -> usize {
    let mut pressing = tokio::task::JoinSet::new();
    for (place, (id, seen)) in batches.into_iter().enumerate() {
        let (app, actor) = (world.app.clone(), who[place % who.len()].clone());
        pressing.spawn(async move { pay::pay(&app, &actor, id, &seen, &Balances::default(), None).await });
    }
    let mut paid = 0;
    while let Some(done) = pressing.join_next().await {
        match done.unwrap() {
            Ok(_) => paid += 1,
            Err(OpsError::Blocked(blockers)) => {
                assert!(blockers.iter().all(|one| one.code == Code::OverLimit), "{blockers:?}");
            }
            Err(error) => panic!("{error:?}"),
        }
    }
    paid
}

/// The amount paid today; checks that another cent would exceed the limit.
async fn spent_today(world: &World) -> i64 {
    let (usd, now) = (Currency::parse("USD").unwrap(), world.now());
    let mut db = world.app.store.read().await.unwrap();
    let counter = format!("paid:{}:{usd}", bursar::clock::date(now));
    let counted = bursar::store::counted(&mut db, &counter).await.unwrap();
    let rules = bursar::ops::settings::load(&mut db).await.unwrap();
    let cent = [Sum::new(1, usd)];
    let closed = limits::closed(&mut db, &rules, BatchId::fresh(0, 1), &cent, None, now).await.unwrap();
    assert_eq!(closed.len(), 1, "another cent is over the limit");
    counted
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn fifty_pays_at_once_stay_within_the_day() {
    let mut stage = Stage::open("gates_day", 1).await;
    let batches = fifty(&mut stage).await;
    let limit = json!({"per_day": [{"value": "230.00", "currency": "USD"}]});
    stage.world.set(move |it| Document { limits: limit.clone(), ..it }).await;
    let world = &stage.world;
    assert_eq!(race(world, batches, &[&world.actor, &world.other]).await, 23);
    assert_eq!(spent_today(world).await, 23_000);
    stage.close(Ok(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_one_person_may_pay_leaves_the_other_their_own() {
    let mut stage = Stage::open("gates_person", 2).await;
    let batches = fifty(&mut stage).await;
    let limit = json!({"per_person_per_day": [{"value": "70.00", "currency": "USD"}]});
    stage.world.set(move |it| Document { limits: limit.clone(), ..it }).await;
    let world = &stage.world;
    assert_eq!(race(world, batches, &[&world.actor, &world.other]).await, 14);
    stage.close(Ok(())).await;
}

/// A key pays within its own limits only, and in no other currency, whatever the installation allows.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_api_key_pays_within_its_own_limits() {
    let mut stage = Stage::open("gates_key", 3).await;
    let batches = fifty(&mut stage).await;
    let world = &stage.world;
    let key = async |limits: &str| {
        let day_limits = keys::day_limits(limits).unwrap();
        let new = NewKey { day_limits, ..NewKey::of("k", Role::Payer, Scopes::kept("pay")) };
        let key = keys::create_key(&world.app, &new).await.unwrap();
        keys::by_key(&world.app, &key, None).await.unwrap().actor().unwrap()
    };
    let (small, euros, free) = (key("50.00 USD, 9 EUR").await, key("9000 EUR").await, key("").await);
    assert_eq!(race(world, batches[..20].to_vec(), &[&euros]).await, 0);
    assert_eq!(race(world, batches[..20].to_vec(), &[&small, &small]).await, 5);
    assert_eq!(race(world, batches[20..].to_vec(), &[&free]).await, 30);
    for (wrong, why) in
        [("50", "is not an amount"), ("0 USD", "is not an amount"), ("1 USD,2 USD", "two limits")]
    {
        let refused = keys::day_limits(wrong).unwrap_err();
        assert!(refused.field == Some("day_limits") && refused.sentence.contains(why), "{refused:?}");
    }
    stage.close(Ok(())).await;
}

/// One gate in `gates.txt`.
struct Gate {
    code: Code,
    /// The subject: a reward, a batch, or a payee's payment.
    name: String,
    closing: Vec<String>,
    remedy: Vec<String>,
}

impl Gate {
    /// The partner whose rewards it concerns.
    fn partner(&self) -> &str {
        let line = self.closing.iter().find_map(|line| line.strip_prefix("partner ")).unwrap();
        line.split_whitespace().next().unwrap()
    }
}

fn every_gate() -> Vec<Gate> {
    let mut gates: Vec<Gate> = Vec::new();
    let mut opening = false;
    for line in include_str!("gates.txt").lines().map(str::trim) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            [] => {}
            [first, ..] if first.starts_with('#') => {}
            ["gate", code, name] => {
                let code = Code::parse(code).unwrap_or_else(|| panic!("{code} is no code"));
                let name = (*name).to_owned();
                gates.push(Gate { code, name, closing: Vec::new(), remedy: Vec::new() });
                opening = false;
            }
            ["remedy"] => opening = true,
            _ => {
                let gate = gates.last_mut().unwrap();
                if opening { &mut gate.remedy } else { &mut gate.closing }.push(line.to_owned());
            }
        }
    }
    gates
}

/// An interface, and where it shows gates of this subject.
#[derive(Clone, Copy, Debug)]
enum Face {
    Page,
    Api,
    CommandLine,
    Portal,
    Mail,
}

impl Face {
    const ALL: [Self; 5] = [Self::Page, Self::Api, Self::CommandLine, Self::Portal, Self::Mail];

    /// Whether this interface shows the gate: a partner sees what blocks their own rewards, and reminders only contain what
    /// they can act on.
    fn tells(self, gate: &Gate) -> bool {
        let own = gate.name.starts_with('R') && gate.code.scope() == Scope::Claim;
        match self {
            Self::Page | Self::Api | Self::CommandLine => true,
            Self::Portal => own || gate.code == Code::RewardInHoldPeriod,
            Self::Mail => own && gate.code.who() == Who::Partner,
        }
    }

    /// The texts this interface uses for a gate: partners are addressed directly, staff read about them.
    fn words(self, code: Code) -> [&'static str; 2] {
        match self {
            // The page of a paid reward names its payment instead, which says the same and more.
            Self::Page if code == Code::RewardPaid => ["Paid by PT-", "Claw back"],
            Self::Page | Self::Api | Self::CommandLine => [code.message(), code.remedy()],
            Self::Portal | Self::Mail => {
                let text = partner_text::gate(Language::En, code);
                [text.message, text.remedy]
            }
        }
    }

    /// The text this interface shows for a subject, by its number.
    async fn says(self, stage: &Stage, gate: &Gate, number: &str) -> String {
        let world = &stage.world;
        match (self, number.get(..2)) {
            (Self::Page, kind) => {
                // Someone who may release it is told so, in different words.
                let may = gate.code == Code::ReleaseNeedsOtherPerson;
                let role = if may { Role::Preparer } else { Role::Admin };
                let mut browser = Browser::of(world, role, "reader").await;
                let address = match kind {
                    Some("RW") => format!("/rewards/{number}"),
                    Some("PT") => format!("/transactions/{number}"),
                    _ if gate.code == Code::AlreadyPaying => return pressed_twice(world, number).await,
                    _ => format!("/claims/{number}"),
                };
                plain(&browser.get(&address).await.words())
            }
            (Self::Api, kind) => {
                let address = match kind {
                    Some("RW") => format!("/rewards/{number}/eligibility"),
                    Some("PT") => format!("/transactions/{number}"),
                    _ => format!("/batches/{number}"),
                };
                api(world, Role::Admin, &address).await
            }
            (Self::CommandLine, _) => {
                let mut db = world.app.store.read().await.unwrap();
                let mut found = why::find(&mut db, number, world.now()).await.unwrap();
                // The command line does not call vendors, so blockers that only a vendor knows are missing there.
                if gate.code == Code::VendorBalanceLow {
                    found.blockers.push(Blocker::new(gate.code, number));
                }
                lines(&found).join(" ")
            }
            (Self::Portal, _) => {
                let mut browser = Browser::of_partner(world, Role::Partner, gate.partner()).await;
                plain(&browser.read("/portal/rewards").await.words())
            }
            (Self::Mail, _) => {
                let mut browser = Browser::of(world, Role::Admin, "reminds").await;
                let csrf = browser.read("/claims").await.hidden("csrf");
                browser.post_on("/claims/remind", &[("csrf", &csrf)]).await;
                world.tick(0, Loop::Notify).await;
                let filter = Filter { notice: Some(Notice::Reminder), ..Filter::default() };
                let mails =
                    mails::list(&mut world.app.store.read().await.unwrap(), &filter, 10).await.unwrap();
                mails.into_iter().map(|mail| mail.body).collect::<Vec<_>>().join(" ")
            }
        }
    }
}

/// The text as displayed, with HTML entities decoded.
fn plain(words: &str) -> String {
    words.replace("&#39;", "'").replace("&#34;", "\"")
}

async fn api(world: &World, role: Role, address: &str) -> String {
    let new = NewKey::of("k", role, Scopes::kept("read,write"));
    let key = people::create_key(&world.app, &new).await.unwrap();
    let request = Request::get(format!("/api/v1{address}")).header("authorization", format!("Bearer {key}"));
    let router = bursar::web::router(world.works[0].clone());
    let answer = router.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let bytes = axum::body::to_bytes(answer.into_body(), 1 << 20).await.unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A paid batch shows its progress on its page; pressing Pay again shows the same text.
async fn pressed_twice(world: &World, number: &str) -> String {
    let mut browser = Browser::of(world, Role::Payer, "twice").await;
    let path = format!("/claims/{number}/pay");
    let csrf = browser.read("/rewards").await.hidden("csrf");
    let fields = [("csrf", csrf.as_str()), ("digest", "sha256:0"), ("checked", "yes")];
    plain(&browser.post(&path, &fields).await.words())
}

/// Every blocker code is raised, reads the same in every interface, and is gone after its remedy.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_gate_says_the_same_everywhere_and_opens_by_its_remedy() {
    let gates = every_gate();
    let shown: Vec<Code> = gates.iter().map(|gate| gate.code).collect();
    let missing: Vec<&Code> = Code::ALL.iter().filter(|code| !shown.contains(code)).collect();
    // The first two apply only before a payment is sent, never before Pay: scenarios `reversed_while_…` and `put_back_…`.
    let elsewhere = [&Code::TransferReversed, &Code::UnknownAtVendor, &Code::PermissionDenied];
    assert_eq!(missing, elsewhere, "the last is a person's, below");
    let mut failed = Vec::new();
    for (seed, gate) in (1..).zip(&gates) {
        let mut stage = Stage::open(&format!("gate_{}", gate.code.as_str()), seed).await;
        failed.extend(walk(&mut stage, gate).await.err().map(|why| format!("{}: {why}", gate.code.as_str())));
        stage.close(Ok(())).await;
    }
    assert!(failed.is_empty(), "\n{}", failed.join("\n"));
}

async fn walk(stage: &mut Stage, gate: &Gate) -> Result<(), String> {
    for line in &gate.closing {
        stage.one(line).await?;
    }
    let number = stage.number(&gate.name).await?;
    for face in Face::ALL.into_iter().filter(|face| face.tells(gate)) {
        let says = face.says(stage, gate, &number).await;
        // When the module is off, its pages show this instead of their content.
        for words in face.words(gate.code) {
            if !says.contains(words) {
                return Err(format!("{face:?} does not say {words:?}:\n{says}"));
            }
        }
    }
    if gate.remedy.is_empty() {
        return Ok(());
    }
    for line in &gate.remedy {
        stage.one(line).await?;
    }
    let number = stage.number(&gate.name).await?;
    let says = Face::Api.says(stage, gate, &number).await;
    if says.contains(&format!("\"{}\"", gate.code.as_str())) {
        return Err(format!("the remedy does not open it:\n{says}"));
    }
    Ok(())
}

#[tokio::test]
async fn whoever_may_not_is_told_so_as_of_any_other_gate() {
    let mut stage = Stage::open("gate_permission_denied", 99).await;
    let lines = ["partner ana paypal ana@example.com", "reward R1 ana 10.00 approved", "batch B1 R1"];
    for line in lines {
        stage.one(line).await.unwrap();
    }
    let code = Code::PermissionDenied;
    let mut browser = Browser::of(&stage.world, Role::Preparer, "reader").await;
    let number = stage.number("B1").await.unwrap();
    let page = browser.read(&format!("/claims/{number}/pay")).await;
    page.says(code.message());
    page.says(code.remedy());
    let answer = api(&stage.world, Role::Preparer, "/audit").await;
    assert!(answer.contains(code.message()) && answer.contains("\"scope\":\"person\""), "{answer}");
    stage.close(Ok(())).await;
}
