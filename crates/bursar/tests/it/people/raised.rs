//! A role that pays, releases or administers: giving it to an existing login takes two administrators, or one and a day.
//! Taking it away works at once.

use bursar::app::Actor;
use bursar::ops::OpsError;
use bursar::ops::people::team::{self, TeamMember};
use payout::access::Role;
use payout::ids::PersonId;
use payout::notice::Notice;

use crate::pages::Browser;
use crate::scenarios::Stage;
use crate::world::{DAY, SECOND};

const MINUTE: i64 = 60 * SECOND;

async fn paid(name: &str) -> Stage {
    let mut stage = Stage::open(name, 623).await;
    for line in
        ["partner ana paypal ana@example.com", "reward R1 ana 10.00 approved", "batch B1 R1", "pay B1"]
    {
        stage.one(line).await.unwrap();
    }
    stage.one("live 1 minute").await.unwrap();
    stage
}

async fn login(stage: &Stage, role: Role) -> PersonId {
    let (email, name) = (format!("{}@example.com", role.as_str()), "Lee".to_owned());
    let new = TeamMember { email, name, role };
    let made = team::invite(&stage.world.app, &stage.world.other, &new).await.unwrap();
    stage.world.pass(30 * DAY);
    made.person
}

async fn gives(stage: &Stage, who: &Actor, of: PersonId, role: Role) -> Result<(), OpsError> {
    team::change_role(&stage.world.app, who, of, role).await
}

fn waits(done: &Result<(), OpsError>) -> bool {
    matches!(done, Err(OpsError::Conflict(why)) if why.code == "second_person_needed")
}

#[tokio::test]
async fn rights_are_given_by_two_and_taken_by_one() {
    let stage = paid("raised").await;
    let (pat, kim) = (stage.world.actor.clone(), stage.world.other.clone());
    // The last one who can sign in keeps their role.
    login(&stage, Role::Admin).await;
    let lee = login(&stage, Role::Preparer).await;
    // A role that neither pays nor administers is given at once.
    gives(&stage, &pat, lee, Role::ProgramManager).await.unwrap();
    for (who, role) in [(&pat, Role::Payer), (&pat, Role::Payer), (&kim, Role::Admin)] {
        let done = gives(&stage, who, lee, role).await;
        assert!(waits(&done), "{done:?}");
    }
    gives(&stage, &kim, lee, Role::Payer).await.unwrap();
    // What was asked about the role before is over, and more rights take two again.
    assert!(waits(&gives(&stage, &pat, lee, Role::Admin).await));
    stage.world.pass(DAY);
    gives(&stage, &pat, lee, Role::Admin).await.unwrap();
    gives(&stage, &pat, lee, Role::Payer).await.unwrap();
    gives(&stage, &pat, lee, Role::Preparer).await.unwrap();
    // Choosing the role they have withdraws a request.
    assert!(waits(&gives(&stage, &pat, lee, Role::Payer).await));
    gives(&stage, &kim, lee, Role::Preparer).await.unwrap();
    stage.world.pass(DAY);
    assert!(waits(&gives(&stage, &pat, lee, Role::Payer).await));
    let mut db = stage.world.app.store.read().await.unwrap();
    let asked = bursar::store::outbox::about(&mut db, "settings:roles").await.unwrap();
    drop(db);
    assert!(
        asked.iter().all(|one| one.notice == Notice::SafeguardLowered && one.detail.contains("Lee")),
        "{asked:?}"
    );
    assert_eq!(asked.len(), 5, "each request is told, and what is done is told as a change of rights");
    stage.close(Ok(())).await;
}

#[tokio::test]
async fn a_login_with_rights_is_enabled_by_two() {
    let stage = paid("raised_enabled").await;
    let (app, pat, kim) = (&stage.world.app, stage.world.actor.clone(), stage.world.other.clone());
    let (lee, auditor) = (login(&stage, Role::Payer).await, login(&stage, Role::Auditor).await);
    // One that was disabled by mistake is enabled again at once.
    team::disable(app, &pat, lee).await.unwrap();
    stage.world.pass(14 * MINUTE);
    team::enable(app, &pat, lee).await.unwrap();
    for one in [lee, auditor] {
        team::disable(app, &pat, one).await.unwrap();
    }
    stage.world.pass(15 * MINUTE);
    team::enable(app, &pat, auditor).await.unwrap();
    assert!(waits(&team::enable(app, &pat, lee).await));
    // While they are disabled, a role is given to them by two as well.
    assert!(waits(&gives(&stage, &pat, lee, Role::Admin).await));
    team::enable(app, &kim, lee).await.unwrap();
    // Enabling one who is enabled asks for nothing.
    team::enable(app, &pat, lee).await.unwrap();
    stage.close(Ok(())).await;
}

#[tokio::test]
async fn the_page_says_that_another_administrator_is_needed() {
    let stage = paid("raised_page").await;
    let mut pat = Browser::of(&stage.world, Role::Admin, "pat").await;
    Browser::of(&stage.world, Role::Auditor, "lee").await;
    let page = format!("/people/{}", super::id_of(&mut pat, "lee").await);
    let csrf = pat.read(&page).await.hidden("csrf");
    let fields = [("csrf", csrf.as_str()), ("role", "admin")];
    pat.post_on(&format!("{page}/role"), &fields)
        .await
        .says("as soon as another administrator does the same");
    stage.close(Ok(())).await;
}
