//! Exports made in the background: by several workers, one of which dies.

use bursar::documents::Format;
use bursar::ops::exports::{self, ExportRequest, KEPT_DAYS, Scope};
use bursar::ops::import;
use bursar::store::exports::{Run, State, find};
use bursar::store::rewards::{Filter, Sort};
use bursar::store::scope::Scope as Whose;
use bursar::work::exports::once;
use payout::access::Role;

use crate::pages::{Browser, seed_data};
use crate::world::{DAY, SECOND, World};

/// More rows than two chunks hold.
const MANY: usize = 4_200;

fn asked(format: Format) -> ExportRequest {
    let filter = Box::new(Filter::default());
    let scope = Scope::Rewards { filter, eligible: None, sort: Sort::Number, descending: false };
    let columns = ["number", "owner", "value", "currency"].map(str::to_owned).to_vec();
    ExportRequest { scope, format, marked: false, columns, filter_summary: "All".to_owned() }
}

async fn file(world: &World, run: &Run) -> Vec<u8> {
    let mut bytes = Vec::new();
    for place in 0.. {
        let Some(part) = exports::part(&world.app, run, place).await.unwrap() else { break };
        bytes.extend(part);
    }
    bytes
}

async fn now(world: &World, run: &Run) -> Run {
    find(&mut world.app.store.read().await.unwrap(), run.number).await.unwrap()
}

#[tokio::test]
async fn an_export_goes_on_when_its_worker_dies() {
    let mut world = World::open("exports_large", 35).await;
    seed_data(&world).await;
    let mut rewards = String::from("external_id,activity,owner,value,currency\n");
    (0..MANY).for_each(|number| rewards += &format!("L-{number},deal,ana,{}.00,USD\n", number + 1));
    import::rewards(&world.app, &world.actor, rewards.as_bytes(), false, None).await.unwrap();
    world.employ(2).await;
    for format in [Format::Csv, Format::Xlsx] {
        let asked = asked(format);
        let all = MANY as i64 + 12;
        let run = exports::queue(&world.app, &world.actor, &asked, all, None).await.unwrap();
        let (whole, rows) = exports::whole(&world.app, &asked, run.created_at).await.unwrap();
        assert_eq!(rows, all);

        assert_eq!(once(&world.works[0], world.now()).await.unwrap(), 1);
        let slept = exports::lease(&world.app, world.now()).await.unwrap().unwrap();
        assert_eq!((slept.rows_done, slept.state), (2_000, State::Gathering));
        assert_eq!(once(&world.works[1], world.now()).await.unwrap(), 0, "it is leased");
        world.pass(121 * SECOND);
        while once(&world.works[1], world.now()).await.unwrap() > 0 {}
        let late = exports::step(&world.app, &slept, world.now()).await;
        assert!(late.is_err(), "whoever slept through his lease writes nothing");

        let done = now(&world, &run).await;
        assert_eq!((done.state, done.rows_done), (State::Ready, all));
        let kept = file(&world, &done).await;
        assert_eq!(kept.len() as i64, done.bytes);
        assert!(kept == whole, "{format:?}: made in pieces it is the same as made at once");
    }
    world.pass((KEPT_DAYS + 1) * DAY);
    assert_eq!(once(&world.works[0], world.now()).await.unwrap(), 2, "two files are thrown away");
    let mut browser = Browser::of(&world, Role::Payer, "pat").await;
    let page = browser.read("/exports/EX-000001").await;
    page.says("No longer kept");
    assert_eq!(browser.get("/exports/EX-000001/file").await.status, 404);
    world.close().await;
}

#[tokio::test]
async fn a_large_one_is_watched_and_a_broken_one_is_given_up() {
    let world = World::open("exports_broken", 36).await;
    seed_data(&world).await;
    let wrong = Scope::Earnings { year: -4, whose: Whose::default() };
    let asked = ExportRequest { scope: wrong, columns: vec!["net".to_owned()], ..asked(Format::Csv) };
    let run = exports::queue(&world.app, &world.actor, &asked, 9_000, None).await.unwrap();
    let mut browser = Browser::of(&world, Role::Payer, "pat").await;
    let page = browser.read("/exports/EX-000001").await;
    page.says("In progress");
    page.says("0 of 9,000 rows collected.");
    assert!(page.body.contains("data-live=\"/exports/EX-000001/events?seen=0\""));
    assert_eq!(once(&world.works[0], world.now()).await.unwrap(), 1);
    let failed = now(&world, &run).await;
    assert!(failed.state == State::Failed && failed.failed.is_some());
    browser.read("/exports/EX-000001").await.says("Failed");
    world.close().await;
}
