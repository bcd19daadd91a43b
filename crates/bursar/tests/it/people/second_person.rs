//! Who counts as another person: not an API key of one's own, not a colleague whom one has just invited oneself, and not oneself a
//! moment later with the rule switched off.

use bursar::app::Actor;
use bursar::ops::people::team::{self, Colleague};
use bursar::ops::settings::{self, Document};
use bursar::ops::{OpsError, batches};
use payout::access::Role;
use payout::eligibility::Code;

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
    let new = Colleague { email: email.to_owned(), name: "Kim".to_owned(), role: Role::Payer };
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
    // Whom somebody else has invited is somebody else.
    let theirs = invited(&stage, &kim, "theirs@example.com").await;
    releases(&stage, &theirs).await.unwrap();
    // A day later the first one is a person of their own, until somebody is shown another link of theirs.
    stage.world.pass(DAY + 1);
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
    releases(&stage, &theirs).await.unwrap();
    team::shut_out(&stage.world.app, &pat, theirs.id).await.unwrap();
    stage.one("refuse release_needs_other_person pay B1").await.unwrap();
    team::let_in(&stage.world.app, &pat, theirs.id).await.unwrap();
    team::change_role(&stage.world.app, &pat, theirs.id, Role::Preparer).await.unwrap();
    stage.one("refuse release_needs_other_person pay B1").await.unwrap();
    team::change_role(&stage.world.app, &pat, theirs.id, Role::Payer).await.unwrap();
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
        // Switched on again, it takes two again.
        let on = |it: Document| Ok(Document { two_person_release: true, ..it });
        settings::save(&stage.world.app, &pat, None, on).await.unwrap();
        let done = switch_off(&stage, &pat).await;
        assert!(is_written_down(&done), "{done:?}");
        stage.close(Ok(())).await;
    }
}
