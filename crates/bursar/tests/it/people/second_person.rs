//! Who counts as a second person: not one's own API key, not a colleague one has just invited, and not oneself after
//! turning the rule off.

use bursar::app::{Actor, App};
use bursar::mail::{Language, Template};
use bursar::ops::notices::{self, templates};
use bursar::ops::people::team::{self, TeamMember};
use bursar::ops::people::{self, MachineUser, NewKey, NewPerson};
use bursar::ops::settings::{self, Document};
use bursar::ops::{OpsError, batches};
use bursar::store::{mails, rewards};
use payout::access::Role;
use payout::eligibility::Code;
use payout::ids::RewardId;
use payout::notice::Notice;
use payout::scope::Scopes;

use crate::scenarios::Stage;
use crate::world::DAY;

async fn prepared(name: &str) -> Stage {
    let mut stage = Stage::open(name, 611).await;
    for line in [
        "settings two-person on",
        "partner ana paypal ana@example.com",
        "reward R1 ana 10.00 approved",
        "batch B1 R1",
    ] {
        stage.one(line).await.unwrap();
    }
    stage
}

async fn releases(stage: &Stage, who: &Actor) -> Result<(), OpsError> {
    let (app, batch) = (&stage.world.app, stage.batch("B1"));
    let mut db = app.store.read().await.unwrap();
    let digest = batches::view(&mut db, &batch.to_string(), app.clock.now()).await.unwrap().digest;
    drop(db);
    batches::release(app, who, batch, &digest, None).await.map(drop)
}

fn needs_other(done: &Result<(), OpsError>) -> bool {
    matches!(done, Err(OpsError::Blocked(why)) if why[0].code == Code::ReleaseNeedsOtherPerson)
}

async fn invited(stage: &Stage, by: &Actor, email: &str) -> Actor {
    let new = TeamMember { email: email.to_owned(), name: "Kim".to_owned(), role: Role::Payer };
    let made = team::invite(&stage.world.app, by, &new).await.unwrap();
    Actor { id: made.person, name: "Kim".to_owned(), role: Role::Payer, ..by.clone() }
}

#[tokio::test]
async fn a_colleague_whom_one_has_just_invited_is_no_second_person() {
    let mut stage = prepared("second_invited").await;
    let (pat, kim) = (stage.world.actor.clone(), stage.world.other.clone());
    let own = invited(&stage, &pat, "own@example.com").await;
    let done = releases(&stage, &own).await;
    assert!(needs_other(&done), "{done:?}");
    // Someone invited by another person counts as independent after a day, when everyone could have noticed them.
    let theirs = invited(&stage, &kim, "theirs@example.com").await;
    let done = releases(&stage, &theirs).await;
    assert!(needs_other(&done) && format!("{done:?}").contains("for less than a day"), "{done:?}");
    stage.world.pass(DAY + 1);
    releases(&stage, &theirs).await.unwrap();
    // A day later the first one is independent, until someone is shown another link of theirs.
    releases(&stage, &own).await.unwrap();
    team::fresh_link(&stage.world.app, &pat, own.id).await.unwrap();
    let done = releases(&stage, &own).await;
    assert!(needs_other(&done), "{done:?}");
    stage.one("delete B1").await.unwrap();
    stage.close(Ok(())).await;
}

#[tokio::test]
async fn a_release_ends_with_whoever_gave_it() {
    let mut stage = prepared("second_gone").await;
    let pat = stage.world.actor.clone();
    let theirs = invited(&stage, &stage.world.other.clone(), "theirs@example.com").await;
    stage.world.pass(DAY + 1);
    releases(&stage, &theirs).await.unwrap();
    team::disable(&stage.world.app, &pat, theirs.id).await.unwrap();
    stage.one("refuse release_needs_other_person pay B1").await.unwrap();
    team::enable(&stage.world.app, &pat, theirs.id).await.unwrap();
    team::change_role(&stage.world.app, &pat, theirs.id, Role::Preparer).await.unwrap();
    stage.one("refuse release_needs_other_person pay B1").await.unwrap();
    team::change_role(&stage.world.app, &pat, theirs.id, Role::Payer).await.unwrap();
    for line in ["pay B1", "live 1 minute", "expect ana success"] {
        stage.one(line).await.unwrap();
    }
    stage.close(Ok(())).await;
}

/// Whoever enters a reward sets the date it was earned, and can thereby end its hold. With the two-person rule, someone else
/// must still release the payout; without it, one person may pay anything.
#[tokio::test]
async fn whoever_ends_a_hold_by_the_day_they_enter_pays_nobody_alone() {
    let mut stage = prepared("second_hold").await;
    let (pat, kim) = (stage.world.actor.clone(), stage.world.other.clone());
    let backdated = "UPDATE reward SET earned_on = '1990-01-01', held_until = created_at - 1";
    crate::world::run(&stage.world.app.config.database_url, backdated.to_owned()).await;
    let mut database = crate::nodes::beside(&stage.world).await;
    let id = crate::nodes::text(&mut database, "SELECT id FROM reward").await;
    let mut db = stage.world.app.store.read().await.unwrap();
    let found = rewards::named(&mut db, &[RewardId::parse(&id).unwrap()]).await.unwrap();
    assert!(bursar::ops::rewards::hold_was_over(&found[0].entered));
    drop(db);
    let done = releases(&stage, &pat).await;
    assert!(needs_other(&done), "{done:?}");
    stage.one("refuse release_needs_other_person pay B1").await.unwrap();
    releases(&stage, &kim).await.unwrap();
    for line in ["pay B1", "live 1 minute", "expect ana success"] {
        stage.one(line).await.unwrap();
    }
    stage.close(Ok(())).await;
}

async fn switch_off(stage: &Stage, who: &Actor) -> Result<(), OpsError> {
    let off = |it: Document| Ok(Document { two_person_release: false, ..it });
    settings::save(&stage.world.app, who, None, off).await.map(drop)
}

fn is_written_down(done: &Result<(), OpsError>) -> bool {
    matches!(done, Err(OpsError::Conflict(why)) if why.code == "second_person_needed")
}

#[tokio::test]
async fn the_rule_is_not_switched_off_by_one_person_at_once() {
    for by_another in [true, false] {
        let mut stage = prepared(&format!("second_off_{by_another}")).await;
        let (pat, kim) = (stage.world.actor.clone(), stage.world.other.clone());
        let own = invited(&stage, &pat, "own@example.com").await;
        for who in [&pat, &pat, &own] {
            let done = switch_off(&stage, who).await;
            assert!(is_written_down(&done), "{done:?}");
        }
        stage.one("refuse release_needs_other_person pay B1").await.unwrap();
        if by_another {
            switch_off(&stage, &kim).await.unwrap();
        } else {
            stage.world.pass(DAY);
            switch_off(&stage, &pat).await.unwrap();
        }
        for line in ["pay B1", "live 1 minute", "expect ana success"] {
            stage.one(line).await.unwrap();
        }
        // Once it is on again, it takes two again.
        let on = |it: Document| Ok(Document { two_person_release: true, ..it });
        settings::save(&stage.world.app, &pat, None, on).await.unwrap();
        let done = switch_off(&stage, &pat).await;
        assert!(is_written_down(&done), "{done:?}");
        stage.close(Ok(())).await;
    }
}

async fn batch_limit(stage: &Stage, who: &Actor, value: &str) -> Result<(), OpsError> {
    let limits = serde_json::json!({ "per_batch": [{ "value": value, "currency": "USD" }] });
    let set = |it: Document| Ok(Document { limits: limits.clone(), ..it });
    settings::save(&stage.world.app, who, None, set).await.map(drop)
}

/// The notices to administrators about payout settings: requested or done.
async fn told_of_safeguards(stage: &Stage) -> Vec<&'static str> {
    let mut db = stage.world.app.store.read().await.unwrap();
    let about = bursar::store::outbox::about(&mut db, "settings:payout").await.unwrap();
    let told = about.iter().filter(|one| one.notice == Notice::SafeguardLowered);
    told.map(|one| if one.detail.contains("\"from\":null") { "done" } else { "asked" }).collect()
}

#[tokio::test]
async fn a_safeguard_is_not_weakened_by_one_person_at_once_and_administrators_are_told() {
    let mut stage = Stage::open("second_limits", 612).await;
    let (pat, kim) = (stage.world.actor.clone(), stage.world.other.clone());
    // Nothing was ever paid: during setup a limit may be corrected at once.
    batch_limit(&stage, &pat, "10.00").await.unwrap();
    batch_limit(&stage, &pat, "100.00").await.unwrap();
    for line in
        ["partner ana paypal ana@example.com", "reward R1 ana 10.00 approved", "batch B1 R1", "pay B1"]
    {
        stage.one(line).await.unwrap();
    }
    stage.one("live 1 minute").await.unwrap();
    for (who, value) in [(&pat, "500.00"), (&pat, "500.00"), (&kim, "600.00")] {
        let done = batch_limit(&stage, who, value).await;
        assert!(is_written_down(&done), "{done:?}");
    }
    // A change that another administrator requested may be saved.
    batch_limit(&stage, &pat, "600.00").await.unwrap();
    // A stricter setting takes effect at once, and withdraws a pending request.
    assert!(is_written_down(&batch_limit(&stage, &kim, "650.00").await));
    batch_limit(&stage, &pat, "99.00").await.unwrap();
    assert!(is_written_down(&batch_limit(&stage, &pat, "650.00").await));
    batch_limit(&stage, &kim, "99.00").await.unwrap();
    // A login that one promoted oneself is not independent, and a later tightening is not undone.
    let own = invited(&stage, &pat, "own@example.com").await;
    assert!(is_written_down(&team::change_role(&stage.world.app, &pat, own.id, Role::Admin).await));
    team::change_role(&stage.world.app, &kim, own.id, Role::Admin).await.unwrap();
    let own = Actor { role: Role::Admin, ..own };
    assert!(is_written_down(&batch_limit(&stage, &own, "800.00").await));
    assert!(is_written_down(&batch_limit(&stage, &pat, "800.00").await));
    batch_limit(&stage, &kim, "99.00").await.unwrap();
    // Alone, after a day.
    let done = batch_limit(&stage, &pat, "700.00").await;
    assert!(is_written_down(&done), "{done:?}");
    stage.world.pass(DAY);
    batch_limit(&stage, &pat, "700.00").await.unwrap();
    let outcomes = told_of_safeguards(&stage).await;
    let done = outcomes.iter().filter(|one| **one == "done").count();
    assert_eq!((outcomes.len() - done, done), (7, 3), "{outcomes:?}");
    stage.close(Ok(())).await;
}

async fn cooling_off(stage: &Stage, who: &Actor, hours: u32) -> Result<(), OpsError> {
    let set = |it: Document| Ok(Document { cooling_off_hours: hours, ..it });
    settings::save(&stage.world.app, who, None, set).await.map(drop)
}

/// A company with a limit of 100.00, a cooling-off of 72 hours and a payment, so its safeguards are protected.
async fn paid_once(name: &str) -> (Stage, Actor, Actor) {
    let mut stage = Stage::open(name, 614).await;
    let (pat, kim) = (stage.world.actor.clone(), stage.world.other.clone());
    batch_limit(&stage, &pat, "100.00").await.unwrap();
    cooling_off(&stage, &pat, 72).await.unwrap();
    for line in [
        "partner ana paypal ana@example.com",
        "later 4 days",
        "reward R1 ana 10.00 approved",
        "batch B1 R1",
        "pay B1",
    ] {
        stage.one(line).await.unwrap();
    }
    stage.one("live 1 minute").await.unwrap();
    (stage, pat, kim)
}

#[tokio::test]
async fn requests_about_different_settings_wait_side_by_side() {
    let (stage, pat, kim) = paid_once("second_beside").await;
    assert!(is_written_down(&batch_limit(&stage, &pat, "500.00").await));
    assert!(is_written_down(&cooling_off(&stage, &pat, 71).await));
    assert!(is_written_down(&cooling_off(&stage, &kim, 70).await));
    stage.world.pass(DAY);
    batch_limit(&stage, &pat, "500.00").await.unwrap();
    cooling_off(&stage, &pat, 71).await.unwrap();
    // The request was made for another current value, so it no longer applies.
    assert!(is_written_down(&cooling_off(&stage, &kim, 70).await));
    // Another person's change of the same setting withdraws a request; one's own change of another setting does not.
    assert!(is_written_down(&batch_limit(&stage, &pat, "600.00").await));
    cooling_off(&stage, &kim, 100).await.unwrap();
    stage.world.pass(DAY);
    assert!(is_written_down(&batch_limit(&stage, &pat, "600.00").await));
    cooling_off(&stage, &pat, 200).await.unwrap();
    stage.world.pass(DAY);
    batch_limit(&stage, &pat, "600.00").await.unwrap();
    // Nor can an old request undo a later tightening, whoever made it.
    assert!(is_written_down(&batch_limit(&stage, &pat, "700.00").await));
    batch_limit(&stage, &pat, "50.00").await.unwrap();
    stage.world.pass(DAY);
    assert!(is_written_down(&batch_limit(&stage, &pat, "600.00").await));
    assert!(is_written_down(&batch_limit(&stage, &pat, "700.00").await));
    stage.close(Ok(())).await;
}

const MINUTE: i64 = 60_000_000;

#[tokio::test]
async fn whoever_has_just_mistyped_a_stricter_limit_puts_it_back() {
    let (stage, pat, kim) = paid_once("second_slip").await;
    let told = told_of_safeguards(&stage).await.len();
    batch_limit(&stage, &pat, "10.00").await.unwrap();
    // Not by anyone else, not to another value, and not together with another change.
    assert!(is_written_down(&batch_limit(&stage, &kim, "100.00").await));
    assert!(is_written_down(&batch_limit(&stage, &pat, "100.01").await));
    let limits = serde_json::json!({ "per_batch": [{ "value": "100.00", "currency": "USD" }] });
    let both = |it: Document| Ok(Document { limits: limits.clone(), cooling_off_hours: 71, ..it });
    assert!(is_written_down(&settings::save(&stage.world.app, &pat, None, both).await.map(drop)));
    stage.world.pass(14 * MINUTE);
    batch_limit(&stage, &pat, "100.00").await.unwrap();
    let all = told_of_safeguards(&stage).await;
    assert_eq!((all.len() - told, all.last().copied()), (4, Some("done")), "all administrators hear of it");
    let mut db = stage.world.app.store.read().await.unwrap();
    let filter =
        bursar::store::audit::Filter { subject: Some("settings:payout".to_owned()), ..Default::default() };
    let rows = bursar::store::audit::list(&mut db, &filter, 10).await.unwrap();
    assert!(rows.iter().any(|row| row.action == "safeguards_put_back"), "{rows:?}");
    drop(db);
    // Only once, and only shortly after the mistake.
    assert!(is_written_down(&batch_limit(&stage, &pat, "101.00").await));
    batch_limit(&stage, &pat, "10.00").await.unwrap();
    stage.world.pass(15 * MINUTE);
    assert!(is_written_down(&batch_limit(&stage, &pat, "100.00").await));
    // Not if someone else has changed it in the meantime, even back to the same value.
    batch_limit(&stage, &pat, "9.00").await.unwrap();
    batch_limit(&stage, &kim, "8.00").await.unwrap();
    assert!(is_written_down(&batch_limit(&stage, &pat, "10.00").await));
    batch_limit(&stage, &kim, "9.00").await.unwrap();
    assert!(is_written_down(&batch_limit(&stage, &pat, "10.00").await));
    // The two-person rule is not a value that could be mistyped.
    let on = |it: Document| Ok(Document { two_person_release: true, ..it });
    settings::save(&stage.world.app, &pat, None, on).await.unwrap();
    assert!(is_written_down(&switch_off(&stage, &pat).await));
    stage.close(Ok(())).await;
}

/// After an update the current rules may not parse a stored document; its safeguards are still protected.
#[tokio::test]
async fn what_the_rules_do_not_read_any_more_is_not_weakened_unseen() {
    let (stage, pat, kim) = paid_once("second_unread").await;
    let app = &stage.world.app;
    let (document, version) = settings::read(&mut app.store.read().await.unwrap()).await.unwrap();
    let vendors = [document.vendors.clone(), vec!["wise".to_owned()]].concat();
    let text = serde_json::to_string(&Document { vendors, ..document.clone() }).unwrap();
    let put: bursar::ops::Result<bool> = bursar::transact!(app, |tx| {
        Ok(bursar::store::settings::put(tx, "payout", &text, version, app.clock.now()).await?)
    });
    assert!(put.unwrap());
    let vendors = document.vendors.clone();
    let mended = |it: Document| Ok(Document { vendors: vendors.clone(), ..it });
    let raised = |it: Document| Ok(Document { limits: serde_json::json!({}), ..mended(it)? });
    assert!(is_written_down(&settings::save(app, &pat, None, raised).await.map(drop)));
    let new = NewKey::of("nightly", Role::Admin, Scopes::kept("read,settings"));
    let key = people::make_key(app, &kim.id.to_string(), &new).await.unwrap();
    let key = people::by_key(app, &key, None).await.unwrap().actor().unwrap();
    let by_key = settings::save(app, &key, None, raised).await;
    assert!(matches!(&by_key, Err(OpsError::Refused(why)) if why.code == "person_needed"), "{by_key:?}");
    // One person can fix a value that protects nothing, at once.
    settings::save(app, &pat, None, mended).await.unwrap();
    stage.close(Ok(())).await;
}

/// Everyone notified by mail of a login's rights, with the target of the mail's button.
async fn mailed_of_rights(app: &App, about: &Actor) -> Vec<(String, String)> {
    notices::expand(app, app.clock.now()).await.unwrap();
    let mut db = app.store.read().await.unwrap();
    let filter = mails::Filter { notice: Some(Notice::RightsChanged), ..mails::Filter::default() };
    let found = mails::list(&mut db, &filter, 500).await.unwrap();
    let of = found.into_iter().filter(|mail| mail.about == about.id.to_string());
    let button = |mail: &mails::Mail| {
        let line = mail.body.lines().find(|line| line.starts_with("> ")).unwrap_or_default();
        line.rsplit(" | ").next().unwrap_or_default().replace(&app.base_url, "")
    };
    let mut all: Vec<_> = of.map(|mail| (mail.recipient.clone(), button(&mail))).collect();
    all.sort();
    all
}

fn told(rows: &[(&str, String)]) -> Vec<(String, String)> {
    rows.iter().map(|(to, link)| ((*to).to_owned(), link.clone())).collect()
}

/// All administrators are notified when someone gains or loses the right to pay or administer.
#[tokio::test]
async fn whose_rights_change_hears_of_it_as_all_administrators_do() {
    let stage = Stage::open("second_rights", 613).await;
    let (app, pat) = (stage.world.app.clone(), stage.world.actor.clone());
    // The last one who can sign in keeps their role.
    let stays = invited(&stage, &pat, "stays@example.com").await;
    team::change_role(&app, &pat, stays.id, Role::Admin).await.unwrap();
    let lee = invited(&stage, &pat, "lee@example.com").await;
    let page = format!("/people/{}", lee.id);
    assert_eq!(mailed_of_rights(&app, &lee).await, [], "an invitation is told of by itself");
    team::change_role(&app, &pat, lee.id, Role::Admin).await.unwrap();
    let promoted = told(&[("lee@example.com", page.clone()), ("stays@example.com", page.clone())]);
    assert_eq!(mailed_of_rights(&app, &lee).await, promoted);
    stage.world.pass(1);
    // No mail links to the partner portal; the mail to a disabled person has no link.
    team::change_role(&app, &pat, lee.id, Role::Auditor).await.unwrap();
    let all = mailed_of_rights(&app, &lee).await;
    assert!(all.contains(&("lee@example.com".to_owned(), "/me".to_owned())), "{all:?}");
    team::change_role(&app, &pat, lee.id, Role::ProgramManager).await.unwrap();
    assert_eq!(mailed_of_rights(&app, &lee).await.len(), all.len(), "no such role moves money");
    team::change_role(&app, &pat, lee.id, Role::Payer).await.unwrap();
    team::disable(&app, &pat, lee.id).await.unwrap();
    let all = mailed_of_rights(&app, &lee).await;
    assert_eq!(
        all.iter().filter(|(to, link)| to == "lee@example.com" && link.is_empty()).count(),
        1,
        "{all:?}"
    );
    team::disable(&app, &pat, lee.id).await.unwrap();
    assert_eq!(mailed_of_rights(&app, &lee).await.len(), all.len(), "it is told once");
    // A role change is reported even while the login is disabled: it applies once the login is enabled.
    for role in [Role::Preparer, Role::Payer] {
        team::change_role(&app, &pat, lee.id, role).await.unwrap();
    }
    let before = all.len();
    let all = mailed_of_rights(&app, &lee).await;
    assert_eq!(all.len(), before + 4);
    team::enable(&app, &pat, lee.id).await.unwrap();
    assert_eq!(mailed_of_rights(&app, &lee).await.len(), all.len() + 2);
    // The same on the command line.
    people::disable(&app, "lee@example.com", MachineUser("anna (user id 1000)")).await.unwrap();
    assert_eq!(mailed_of_rights(&app, &lee).await.len(), all.len() + 4);
    // The person who makes the change cannot edit the text of the notice.
    let template = Template { subject: "Nothing".to_owned(), body: "Nothing happened.".to_owned() };
    for notice in [
        Notice::SafeguardLowered,
        Notice::RightsChanged,
        Notice::LoginLinkShown,
        Notice::LoginByProvider,
        Notice::SecondFactorReset,
        Notice::ApiKeyMade,
    ] {
        let saved = templates::save(&app, &pat, (notice, Language::En), Some(&template), None).await;
        assert!(matches!(saved, Err(OpsError::Refused(why)) if why.code == "template_fixed"));
    }
    stage.close(Ok(())).await;
}

/// A login with a newly granted role that can pay counts as a second person after a day, whoever has it.
#[tokio::test]
async fn whoever_may_newly_pay_is_no_second_person_for_a_day() {
    let mut stage = prepared("second_new_role").await;
    let kim = stage.world.other.clone();
    let new =
        TeamMember { email: "lee@example.com".to_owned(), name: "Lee".to_owned(), role: Role::Preparer };
    let made = team::invite(&stage.world.app, &kim, &new).await.unwrap();
    stage.world.pass(30 * DAY);
    team::change_role(&stage.world.app, &kim, made.person, Role::Admin).await.unwrap();
    let lee = Actor { id: made.person, name: "Lee".to_owned(), role: Role::Admin, ..kim.clone() };
    let done = releases(&stage, &lee).await;
    assert!(needs_other(&done), "{done:?}");
    // Nor does a key that they create.
    let key = key_of(&stage, &lee, true).await;
    let done = releases(&stage, &key).await;
    assert!(needs_other(&done), "{done:?}");
    stage.world.pass(DAY);
    releases(&stage, &lee).await.unwrap();
    for line in ["pay B1", "live 1 minute", "expect ana success"] {
        stage.one(line).await.unwrap();
    }
    stage.close(Ok(())).await;
}

/// A login that was disabled for months could otherwise release a payout right after it is enabled.
#[tokio::test]
async fn whoever_is_enabled_again_is_no_second_person_for_a_day() {
    let stage = prepared("second_enabled").await;
    let (app, pat) = (&stage.world.app, &stage.world.actor);
    let new = TeamMember { email: "lee@example.com".to_owned(), name: "Lee".to_owned(), role: Role::Payer };
    let made = team::invite(app, &stage.world.other, &new).await.unwrap();
    stage.world.pass(30 * DAY);
    team::disable(app, pat, made.person).await.unwrap();
    team::enable(app, pat, made.person).await.unwrap();
    let lee = Actor { id: made.person, name: "Lee".to_owned(), role: Role::Payer, ..pat.clone() };
    let done = releases(&stage, &lee).await;
    assert!(needs_other(&done), "{done:?}");
    stage.world.pass(DAY);
    releases(&stage, &lee).await.unwrap();
    stage.close(Ok(())).await;
}

async fn key_of(stage: &Stage, owner: &Actor, may_release: bool) -> Actor {
    let new = NewKey::of(
        "nightly",
        Role::Payer,
        Scopes::kept(if may_release { "read,write,release" } else { "read,write" }),
    );
    let key = people::make_key(&stage.world.app, &owner.id.to_string(), &new).await.unwrap();
    people::by_key(&stage.world.app, &key, None).await.unwrap().actor().unwrap()
}

#[tokio::test]
async fn a_key_releases_with_the_scope_for_it_only() {
    let mut stage = prepared("second_scope").await;
    let kim = stage.world.other.clone();
    let without = key_of(&stage, &kim, false).await;
    let done = releases(&stage, &without).await;
    assert!(needs_other(&done) && format!("{done:?}").contains("scope “release”"), "{done:?}");
    let with = key_of(&stage, &kim, true).await;
    releases(&stage, &with).await.unwrap();
    // A role that cannot pay has nothing to release.
    let new = NewKey::of("nightly", Role::Preparer, Scopes::kept("read,write,release"));
    let refused = people::make_key(&stage.world.app, &kim.id.to_string(), &new).await;
    assert!(matches!(&refused, Err(OpsError::Refused(why)) if why.code == "wrong_scope"), "{refused:?}");
    for line in ["pay B1", "live 1 minute", "expect ana success"] {
        stage.one(line).await.unwrap();
    }
    stage.close(Ok(())).await;
}

#[tokio::test]
async fn what_a_key_has_released_ends_with_it() {
    let mut stage = prepared("second_ended").await;
    let kim = stage.world.other.clone();
    let ends_at = Some(stage.world.now() + DAY / 12);
    let new = NewKey { ends_at, ..NewKey::of("nightly", Role::Payer, Scopes::kept("read,release")) };
    let key = people::make_key(&stage.world.app, &kim.id.to_string(), &new).await.unwrap();
    let key = people::by_key(&stage.world.app, &key, None).await.unwrap().actor().unwrap();
    releases(&stage, &key).await.unwrap();
    for line in ["later 3 hours", "refuse release_needs_other_person pay B1"] {
        stage.one(line).await.unwrap();
    }
    releases(&stage, &kim).await.unwrap();
    stage.one("pay B1").await.unwrap();
    stage.close(Ok(())).await;
}

fn entered(email: &str, role: Role) -> NewPerson {
    let (email, name) = (email.to_owned(), email.to_owned());
    NewPerson { email, name, role, partner: None, password: None }
}

/// A command line user is identified by their operating system account; a login they create is tied to them for a day.
#[tokio::test]
async fn whoever_sits_at_the_machine_is_named_and_makes_no_second_person() {
    let mut stage = prepared("second_machine").await;
    let app = stage.world.app.clone();
    let by = MachineUser("anna (user id 1000)");
    // The first administrator need not wait; administrators are notified of every other one.
    for (email, role) in [("root@example.com", Role::Admin), ("lee@example.com", Role::Payer)] {
        people::add_at_the_machine(&app, &entered(email, role), by).await.unwrap();
    }
    let mut db = app.store.read().await.unwrap();
    let first = bursar::store::people::by_email(&mut db, "root@example.com").await.unwrap().unwrap();
    let lee = bursar::store::people::by_email(&mut db, "lee@example.com").await.unwrap().unwrap();
    let outbox_notices = bursar::store::outbox::about(&mut db, &lee.id.to_string()).await.unwrap();
    assert!(outbox_notices.iter().any(|one| one.notice == Notice::LoginLinkShown), "{outbox_notices:?}");
    assert_eq!(bursar::store::outbox::about(&mut db, &first.id.to_string()).await.unwrap().len(), 0);
    let filter = bursar::store::audit::Filter { subject: Some(lee.id.to_string()), ..Default::default() };
    let rows = bursar::store::audit::list(&mut db, &filter, 10).await.unwrap();
    assert!(rows.iter().any(|row| row.detail.contains("anna (user id 1000)")), "{rows:?}");
    drop(db);
    let second = Actor { id: lee.id, name: lee.name, role: Role::Payer, ..stage.world.other.clone() };
    let done = releases(&stage, &second).await;
    assert!(needs_other(&done), "{done:?}");
    stage.world.pass(DAY + 1);
    releases(&stage, &second).await.unwrap();
    // Printing a link for a login there ties it to that person again, as creating a key does.
    people::reset(&app, "lee@example.com", None, by).await.unwrap();
    let mut db = app.store.read().await.unwrap();
    let behind =
        bursar::store::people::behind(&mut db, &lee.id.to_string(), stage.world.now()).await.unwrap();
    assert_eq!(behind, people::OPERATOR);
    drop(db);
    stage.one("delete B1").await.unwrap();
    stage.close(Ok(())).await;
}

/// Someone who prepared a payout and has the command line could create a key and release with it: for a day the key does not
/// count as a second person, so that others notice it first.
#[tokio::test]
async fn a_key_that_is_made_at_the_machine_waits_for_a_day() {
    let mut stage = prepared("second_machine_key").await;
    let (app, by) = (stage.world.app.clone(), MachineUser("anna (user id 1000)"));
    people::add_at_the_machine(&app, &entered("root@example.com", Role::Admin), by).await.unwrap();
    let new = NewKey::of("nightly", Role::Payer, Scopes::kept("read,write,release"));
    let key = people::create_key_at_the_machine(&app, &new, by).await.unwrap();
    let key = people::by_key(&app, &key, None).await.unwrap().actor().unwrap();
    let done = releases(&stage, &key).await;
    assert!(needs_other(&done) && format!("{done:?}").contains("for less than a day"), "{done:?}");
    let mut db = app.store.read().await.unwrap();
    let filter = bursar::store::audit::Filter { subject: Some(key.id.to_string()), ..Default::default() };
    let rows = bursar::store::audit::list(&mut db, &filter, 10).await.unwrap();
    assert!(
        rows.iter().any(|row| row.detail.contains("anna") && row.detail.contains("counts_from")),
        "{rows:?}"
    );
    drop(db);
    stage.world.pass(DAY + 1);
    releases(&stage, &key).await.unwrap();
    for line in ["pay B1", "live 1 minute", "expect ana success"] {
        stage.one(line).await.unwrap();
    }
    stage.close(Ok(())).await;
}
