//! The rewards list and its actions: saved views, columns, bulk decisions and undo, two people editing one reward. Not
//! here: the effect of a decision on one reward (`pages`).

use std::collections::BTreeSet;

use axum::http::StatusCode;
use bursar::ops::OpsError;
use bursar::ops::batches::{self, Selection};
use bursar::ops::import;
use bursar::ops::rewards::{self as verbs, RewardSelection, UNIT, Verdict, decide_and_keep};
use bursar::store::batches::PoolFilter;
use bursar::store::rewards::{self, Filter, Reward, Sort, View, Window};
use bursar::store::{decisions, ledger};
use payout::access::Role;
use payout::ids::RewardId;
use payout::money::Currency;
use payout::reward::{PaymentType, RewardType, Shown};

use super::{Browser, seed_data};
use crate::world::{SECOND, World};

async fn all(world: &World) -> Vec<Reward> {
    let window = Window { sort: Sort::Number, descending: false, after: None, limit: 200 };
    let mut db = world.app.store.read().await.unwrap();
    rewards::list(&mut db, &Filter::default(), &window, world.now()).await.unwrap().rewards
}

async fn owed(world: &World) -> i128 {
    let balances = ledger::balances(&mut world.app.store.read().await.unwrap()).await.unwrap();
    balances.iter().filter(|(account, ..)| account.starts_with("payable:")).map(|(_, _, minor)| minor).sum()
}

#[tokio::test]
async fn every_list_holds_what_its_filter_says_in_the_order_of_its_sort() {
    let world = World::open("lists_filters", 31).await;
    seed_data(&world).await;
    let ids: Vec<RewardId> = all(&world).await.iter().map(|reward| reward.entered.id).collect();
    let decide = async |verdict: Verdict, some: &[RewardId]| {
        let which = RewardSelection::Ids(some.to_vec());
        verbs::decide_many(&world.app, &world.actor, &which, &verdict, None).await.unwrap();
    };
    decide(Verdict::Approve, &ids[..6]).await;
    world.pass(SECOND);
    decide(Verdict::Reject { reason: "twice".to_owned(), shown: false }, &ids[6..8]).await;
    let choose = Selection::AllEligible(PoolFilter { payee: None, ..PoolFilter::default() });
    batches::form(&world.app, &world.actor, &choose, false, None).await.unwrap();

    let usd = Currency::parse("USD").unwrap().code().to_owned();
    let base = Filter::default();
    let filters = [
        base.clone(),
        Filter { view: View::Pending, ..base.clone() },
        Filter { view: View::InPayout, ..base.clone() },
        Filter { view: View::Pool, ..base.clone() },
        Filter { view: View::Rejected, ..base.clone() },
        Filter { view: View::Expiring, ..base.clone() },
        Filter { view: View::Paid, ..base.clone() },
        Filter { owner: Some("ana".to_owned()), ..base.clone() },
        Filter { account: Some("A-1".to_owned()), view: View::Pending, ..base.clone() },
        Filter { activity: Some("deal".to_owned()), currency: Some(usd.clone()), ..base.clone() },
        Filter { value_min: Some(20_050), value_max: Some(60_050), currency: Some(usd), ..base.clone() },
        Filter { reward_type: Some(RewardType::Points), ..base.clone() },
        Filter { reward_type: Some(RewardType::Cash), ..base.clone() },
        Filter { payment_type: Some(PaymentType::Individual), ..base.clone() },
        Filter { statuses: vec![Shown::Rejected, Shown::InPayout], ..base.clone() },
        Filter { statuses: vec![Shown::Approved], ..base.clone() },
        Filter { statuses: vec![Shown::Submitted], owner: Some("bo".to_owned()), ..base.clone() },
        Filter { decided_from: Some(world.now()), ..base.clone() },
        Filter { created_before: Some(world.now()), program: Some("Growth".to_owned()), ..base.clone() },
        Filter { batch: Some("PB-2026-0001".to_owned()), ..base.clone() },
        Filter { q: Some("RW-000003".to_owned()), ..base.clone() },
        Filter { q: Some("R-4".to_owned()), ..base },
    ];
    let everything = all(&world).await;
    let mut db = world.app.store.read().await.unwrap();
    for filter in &filters {
        let briefs = rewards::briefs_of(&mut db, filter, world.now()).await.unwrap();
        let wanted: BTreeSet<RewardId> = briefs.readable.iter().map(|brief| brief.id).collect();
        for sort in [Sort::CreatedAt, Sort::Number, Sort::Value] {
            for descending in [true, false] {
                let mut expected: Vec<_> = everything
                    .iter()
                    .filter(|reward| wanted.contains(&reward.entered.id))
                    .map(|reward| (sort.key(reward), reward.entered.id))
                    .collect();
                expected.sort_unstable();
                if descending {
                    expected.reverse();
                }
                let mut window = Window { sort, descending, after: None, limit: 3 };
                let mut found = Vec::new();
                loop {
                    let page = rewards::list(&mut db, filter, &window, world.now()).await.unwrap();
                    found.extend(page.rewards.iter().map(|reward| (sort.key(reward), reward.entered.id)));
                    window.after = page.next;
                    if window.after.is_none() {
                        break;
                    }
                }
                assert_eq!(found, expected, "{filter:?} {sort:?} {descending}");
            }
        }
    }
    drop(db);
    world.close().await;
}

#[tokio::test]
async fn a_view_is_kept_under_a_name_for_oneself_or_for_all() {
    let world = World::open("lists_views", 32).await;
    seed_data(&world).await;
    let mut pat = Browser::of(&world, Role::ProgramManager, "pat").await;
    let list = pat.read("/rewards?view=all&currency=USD&sort=-value&columns=value&columns=currency").await;
    list.says("Actions Number Value ↓ Currency");
    assert!(!list.body.contains("data-l=\"Activity\""), "only what was chosen");
    let csrf = list.hidden("csrf");
    let query = list.hidden("query");
    let fields = [("csrf", csrf.as_str()), ("query", &query), ("name", " "), ("shared", "yes")];
    pat.post_on("/rewards/views", &fields).await.says("Give the view a name of at most 60 characters.");
    let fields = [("csrf", csrf.as_str()), ("query", &query), ("name", "Large <b> deals"), ("shared", "yes")];
    let saved = pat.post_on("/rewards/views", &fields).await;
    saved.says("View saved as “Large <b> deals”.".replace('<', "&#60;").replace('>', "&#62;").as_str());
    saved.says("10 rewards");

    let mut kim = Browser::of(&world, Role::Auditor, "kim").await;
    let other = kim.read("/rewards").await;
    assert!(other.body.contains("<optgroup label=\"Shared views\">"), "{}", other.body);
    let id = other.body.split("value=\"sv_").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let sent = kim.get(&format!("/rewards?view=sv_{id}")).await;
    assert_eq!(sent.status, StatusCode::SEE_OTHER);
    let opened = kim.read(&sent.to).await;
    opened.says("Number Value ↓ Currency");
    opened.says("Currency: USD");
    let theirs = opened.hidden("csrf");
    let delete = format!("/rewards/views/sv_{id}/delete");
    let refused = kim.post_on(&delete, &[("csrf", &theirs)]).await;
    refused.says("Only the person who saved a view, or an administrator, can delete it.");
    let rename = [("csrf", theirs.as_str()), ("name", "Mine now")];
    let refused = kim.post_on(&format!("/rewards/views/sv_{id}"), &rename).await;
    refused.says("Only the person who saved a view can rename it.");

    let rename = [("csrf", csrf.as_str()), ("name", "Large")];
    pat.post_on(&format!("/rewards/views/sv_{id}"), &rename).await.says("“Large” is saved.");
    assert_eq!(
        kim.get(&format!("/rewards?view=sv_{id}")).await.status,
        StatusCode::NOT_FOUND,
        "not shared now"
    );
    pat.post_on(&delete, &[("csrf", &csrf)]).await.says("No saved views yet.");
    world.close().await;
}

#[tokio::test]
async fn undo_is_off_when_everything_was_changed_since() {
    let world = World::open("lists_no_undo", 34).await;
    seed_data(&world).await;
    let mut pat = Browser::of(&world, Role::ProgramManager, "pat").await;
    let csrf = pat.read("/rewards").await.hidden("csrf");
    let mut db = world.app.store.read().await.unwrap();
    let found = bursar::store::rewards::find(&mut db, "RW-000002").await.unwrap().unwrap();
    drop(db);
    let id = found.entered.id.to_string();
    let decide = [("csrf", csrf.as_str()), ("action", "approve"), ("id", &id)];
    let decided = pat.post("/rewards/decide", &decide).await.to;
    pat.read(&decided).await.says("If any of them is in a payout, nothing is undone.");
    let edit = [("csrf", csrf.as_str()), ("amount", "1.00"), ("version", "2")];
    pat.post_on("/rewards/RW-000002/edit", &edit).await.says("waits for approval again");
    pat.read(&decided).await.says("Everything in it has been changed since.");
    world.close().await;
}

#[tokio::test]
async fn many_are_decided_about_with_a_result_for_each_and_taken_back() {
    let world = World::open("lists_undo", 33).await;
    seed_data(&world).await;
    let mut pat = Browser::of(&world, Role::ProgramManager, "pat").await;
    let list = pat.read("/rewards").await;
    let (csrf, ids) = (list.hidden("csrf"), list.all_hidden("id"));
    let fields = [("csrf", csrf.as_str()), ("action", "reject"), ("reason", "twice"), ("id", &ids[0])];
    pat.post_on("/rewards/decide", &fields).await.says("1 reward rejected.");
    let mut fields = vec![("csrf", csrf.as_str()), ("once", "a"), ("action", "approve")];
    fields.extend(ids.iter().map(|id| ("id", id.as_str())));
    let first = pat.post("/rewards/decide", &fields).await;
    let again = pat.post("/rewards/decide", &fields).await;
    assert_eq!(first.to, again.to, "pressed twice it acts once");
    let page = pat.read(&first.to).await;
    page.says("11 rewards approved. 1 was skipped:");
    page.says("Skipped: it is no longer Submitted or In Review.");
    assert!(owed(&world).await < 0);

    // One is edited afterwards and stays as it is.
    let edit = [("csrf", csrf.as_str()), ("amount", "1.00"), ("version", "2")];
    pat.post_on("/rewards/RW-000002/edit", &edit).await.says("waits for approval again");
    let page = pat.read(&first.to).await;
    page.says("Cannot be undone: Somebody has changed it since, so its decision cannot be undone.");
    let undone = pat.post_on(&format!("{}/undo", first.to), &[("csrf", &csrf)]).await;
    undone.says("Undone: 10 rewards are back as before. 1 was changed since");
    undone.says("Undone: Submitted again");
    assert_eq!(owed(&world).await, 0, "nothing is owed any more");
    let twice = pat.post_on(&format!("{}/undo", first.to), &[("csrf", &csrf)]).await;
    twice.says("This decision was already undone.");
    let statuses: Vec<Shown> = all(&world).await.iter().map(|reward| reward.shown(world.now())).collect();
    let count = |wanted| statuses.iter().filter(|status| **status == wanted).count();
    assert_eq!((count(Shown::Submitted), count(Shown::InReview), count(Shown::Rejected)), (10, 1, 1));
    // A reward that was ever approved remains in the books, so it cannot be deleted.
    pat.read("/rewards/RW-000003/delete").await.says("was approved once");
    world.close().await;
}

#[tokio::test]
async fn what_is_in_a_payout_or_old_is_not_taken_back() {
    let world = World::open("lists_undo_late", 34).await;
    seed_data(&world).await;
    let approve = async |which: RewardSelection| {
        let decided = decide_and_keep(&world.app, &world.actor, &which, &Verdict::Approve, "", None).await;
        format!("/rewards/decisions/{}", decided.unwrap().id)
    };
    let here = approve(RewardSelection::All(Box::default(), 12)).await;
    let mut pat = Browser::of(&world, Role::Admin, "pat").await;
    let csrf = pat.read("/claims").await.hidden("csrf");
    pat.post_on("/claims/add", &[("csrf", &csrf), ("all", "yes")]).await;
    let before = owed(&world).await;
    let refused = pat.post_on(&format!("{here}/undo"), &[("csrf", &csrf)]).await;
    refused.says("in a payout since, so nothing can be undone.");
    assert!(!refused.words().contains("Cannot be undone"), "the reason is said once, beside the button");
    assert!(!refused.body.contains(&format!("{here}/undo")), "{}", refused.body);
    refused.says("12 rewards approved.");
    assert!(refused.body.contains("<ul class=\"sums change\">"), "what was decided in all");
    assert_eq!(owed(&world).await, before);
    pat.post_on("/claims/PB-2026-0001/delete", &[("csrf", &csrf)]).await;
    // That changed them, so only those that were never in a batch could go back.
    world.pass(601 * SECOND);
    let late = pat.post_on(&format!("{here}/undo"), &[("csrf", &csrf)]).await;
    late.says("More than ten minutes have passed, so this decision can no longer be undone.");
    assert_eq!(owed(&world).await, before);
    world.close().await;
}

#[tokio::test]
async fn two_who_take_back_the_same_decision_do_it_once() {
    let world = World::open("lists_undo_twice", 35).await;
    seed_data(&world).await;
    let which = RewardSelection::All(Box::default(), 12);
    let kept = decide_and_keep(&world.app, &world.actor, &which, &Verdict::Approve, "", None).await.unwrap();
    let choose = Selection::AllEligible(PoolFilter::default());
    let (one, other, formed) = tokio::join!(
        verbs::undo(&world.app, &world.actor, &kept.id),
        verbs::undo(&world.app, &world.other, &kept.id),
        batches::form(&world.app, &world.actor, &choose, false, None),
    );
    let undone = [one.is_ok(), other.is_ok()].into_iter().filter(|done| *done).count();
    assert!(undone <= 1, "{one:?} {other:?}");
    let batched = formed.is_ok_and(|view| !view.claims.is_empty());
    assert!(undone == 1 || batched, "either the payout or the undoing was first: {one:?} {other:?}");
    assert_eq!(owed(&world).await == 0, undone == 1);
    world.close().await;
}

#[tokio::test]
async fn more_than_a_list_counts_are_confirmed_first() {
    let world = World::open("lists_all", 36).await;
    seed_data(&world).await;
    let mut pat = Browser::of(&world, Role::ProgramManager, "pat").await;
    let csrf = pat.read("/rewards").await.hidden("csrf");
    let fields = [("csrf", csrf.as_str()), ("action", "approve"), ("all", "yes"), ("back", "currency=USD")];
    let page = pat.post("/rewards/decide", &fields).await;
    assert_eq!(page.status, StatusCode::OK);
    page.says("Approve all 10 rewards?");
    let expected = page.hidden("expected_count");
    let sure = [&fields[..], &[("expected_count", expected.as_str())]].concat();
    pat.post_on("/rewards/decide", &sure).await.says("10 rewards approved.");
    world.close().await;
}

#[tokio::test]
async fn two_at_one_reward_see_both_and_lose_nothing() {
    let world = World::open("lists_conflict", 37).await;
    seed_data(&world).await;
    let mut pat = Browser::of(&world, Role::ProgramManager, "pat").await;
    let mut kim = Browser::of(&world, Role::ProgramManager, "kim").await;
    let (mine, theirs) =
        (pat.read("/rewards/RW-000001/edit").await, kim.read("/rewards/RW-000001/edit").await);
    let (csrf, word) = (mine.hidden("csrf"), theirs.hidden("csrf"));
    let version = mine.hidden("version");
    let fields = [("csrf", word.as_str()), ("amount", "90.00"), ("note", "by phone"), ("version", &version)];
    kim.post_on("/rewards/RW-000001/edit", &fields).await.says("RW-000001 is changed.");
    let fields = [("csrf", csrf.as_str()), ("amount", "95.00"), ("note", "as agreed"), ("version", &version)];
    let clash = pat.post("/rewards/RW-000001/edit", &fields).await;
    assert_eq!(clash.status, StatusCode::CONFLICT);
    clash.says("by kim");
    clash.says("Value 95.00 90.00 differs");
    clash.says("Note as agreed by phone differs");
    let again = [
        ("csrf", csrf.as_str()),
        ("amount", &clash.hidden("amount")),
        ("note", &clash.hidden("note")),
        ("version", &clash.hidden("version")),
    ];
    pat.post_on("/rewards/RW-000001/edit", &again).await.says("as agreed");

    let version = pat.read("/rewards/RW-000001").await.hidden("version");
    let fields = [("csrf", word.as_str()), ("version", &version), ("action", "approve")];
    kim.post_on("/rewards/RW-000001/decide", &fields).await.says("RW-000001 is approved.");
    let reject =
        [("csrf", csrf.as_str()), ("version", &version), ("action", "reject"), ("reason", "not closed")];
    let clash = pat.post("/rewards/RW-000001/decide", &reject).await;
    assert_eq!(clash.status, StatusCode::CONFLICT);
    clash.says("Status Rejected Approved differs");
    clash.says("Reason not closed");
    clash.says("Only a reward that is Submitted or In Review can be rejected");

    let wrong = [("csrf", csrf.as_str()), ("amount", "much"), ("note", "a long remark"), ("version", "9")];
    let page = pat.post("/rewards/RW-000001/edit", &wrong).await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(
        page.body.contains("a long remark") && page.body.contains("value=\"much\""),
        "what was typed is there"
    );
    world.close().await;
}

#[tokio::test]
async fn a_list_of_fifty_with_every_column_is_small() {
    let world = World::open("lists_size", 38).await;
    seed_data(&world).await;
    let mut rewards = String::from("external_id,activity,owner,value,currency,expires_on\n");
    (100..160).for_each(|number| {
        rewards += &format!("a-longer-external-id-{number},deal,ana,{number}.00,USD,2027-01-01\n")
    });
    import::rewards(&world.app, &world.actor, rewards.as_bytes(), false, None).await.unwrap();
    let which = RewardSelection::All(Box::default(), 72);
    decide_and_keep(&world.app, &world.actor, &which, &Verdict::Approve, "", None).await.unwrap();
    let mut pat = Browser::of(&world, Role::Admin, "pat").await;
    let names = "owner,type,value,program,activity,status,created,account,payment_type,currency,expires,decided,external_id,batch";
    for path in ["/rewards?view=all".to_owned(), format!("/rewards?view=all&columns={names}&sort=-value")] {
        let page = pat.read(&path).await;
        assert_eq!(page.all_hidden("id").len(), 50);
        assert!(page.body.len() <= 100 * 1024, "{path} has {} bytes", page.body.len());
    }
    pat.read("/rewards?columns=colour").await.says("There is no column “colour”.");
    approve_nothing(&world).await;
    world.close().await;
}

/// A second approval of everything has no effect, and the result says so for each.
async fn approve_nothing(world: &World) {
    let which = RewardSelection::All(Box::default(), 72);
    let done = verbs::decide_many(&world.app, &world.actor, &which, &Verdict::Approve, None).await.unwrap();
    assert_eq!((done.done.len(), done.skipped.len()), (0, 72));
}

/// A decision on more rewards than one database transaction should hold is still one decision: recorded, counted and undone
/// as a whole. Rewards changed between two chunks are skipped and named.
#[tokio::test]
async fn a_decision_about_very_many_is_made_in_units() {
    let world = World::open("lists_units", 37).await;
    seed_data(&world).await;
    let mut file = String::from("external_id,activity,owner,value,currency\n");
    let many = UNIT + 300;
    for number in 0..many {
        file += &format!("M-{number},deal,ana,1.00,USD\n");
    }
    let report = import::rewards(&world.app, &world.actor, file.as_bytes(), false, None).await.unwrap();
    assert_eq!(report.rejected, []);
    let all = i64::try_from(many + 12).unwrap();
    for wrong in [all - 1, all + 1] {
        let which = RewardSelection::All(Box::default(), wrong);
        let refused = decide_and_keep(&world.app, &world.actor, &which, &Verdict::Approve, "", None).await;
        assert!(
            matches!(&refused, Err(OpsError::Conflict(why)) if why.code == "count_changed"),
            "{refused:?}"
        );
    }
    assert_eq!(owed(&world).await, 0);
    let which = RewardSelection::All(Box::default(), all);
    let kept = decide_and_keep(&world.app, &world.actor, &which, &Verdict::Approve, "", None).await.unwrap();
    let mut db = world.app.store.read().await.unwrap();
    let decision = decisions::find(&mut db, &kept.id).await.unwrap();
    assert_eq!((decision.done, decision.skipped), (all, 0));
    let read = decisions::kept(&mut db, &kept.id, decisions::DecidedFilter::Done(None), None).await.unwrap();
    assert_eq!(read.len(), many + 12);
    drop(db);
    assert_ne!(owed(&world).await, 0);
    let undone = verbs::undo(&world.app, &world.actor, &kept.id).await.unwrap();
    assert_eq!((undone.restored, undone.left), (many + 12, 0));
    assert_eq!(owed(&world).await, 0);
    let done = verbs::decide_many(&world.app, &world.actor, &which, &Verdict::Approve, None).await.unwrap();
    assert_eq!((done.done.len(), done.skipped.len()), (many + 12, 0));
    world.close().await;
}
