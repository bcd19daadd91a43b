//! Whoever enters where a payee is paid does not release the first payment there: otherwise one person could say where money
//! goes and let it go there.

use bursar::app::Actor;
use bursar::ops::payees::{self, DestinationStatus};
use bursar::ops::people::team::{self, TeamMember};
use bursar::ops::people::{self, NewKey};
use bursar::ops::settings::{self, Document};
use bursar::ops::{OpsError, batches, invitations};
use payout::access::Role;
use payout::eligibility::Code;
use payout::ledger::Payee;
use payout::payee::Destination;
use payout::scope::Scopes;

use crate::pages::Browser;
use crate::scenarios::Stage;
use crate::world::DAY;

async fn prepared(name: &str) -> Stage {
    let mut stage = Stage::open(name, 624).await;
    let no_wait = |it: Document| Ok(Document { cooling_off_hours: 0, ..it });
    settings::save(&stage.world.app, &stage.world.actor, None, no_wait).await.unwrap();
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

async fn ana(stage: &Stage) -> Payee {
    payees::named(&mut stage.world.app.store.read().await.unwrap(), "ana").await.unwrap().unwrap()
}

async fn enters(stage: &Stage, who: &Actor, address: &str) {
    let (to, payable) = (Destination::paypal(address).unwrap(), DestinationStatus::Payable(None));
    payees::set_profile(&stage.world.app, who, ana(stage).await, to, payable).await.unwrap();
    // Two changes within a microsecond have no order.
    stage.world.pass(1);
}

async fn releases(stage: &Stage, who: &Actor, batch: &str) -> Result<(), OpsError> {
    let (app, batch) = (&stage.world.app, stage.batch(batch));
    let mut db = app.store.read().await.unwrap();
    let digest = batches::view(&mut db, &batch.to_string(), app.clock.now()).await.unwrap().digest;
    drop(db);
    batches::release(app, who, batch, &digest, None).await.map(drop)
}

fn is_theirs(done: &Result<(), OpsError>, sentence: &str) -> bool {
    let Err(OpsError::Blocked(why)) = done else { return false };
    why[0].code == Code::ReleaseNeedsOtherPerson && why[0].message().contains(sentence)
}

/// A third person who may release.
async fn lee(stage: &Stage) -> Actor {
    let new = TeamMember { email: "lee@example.com".to_owned(), name: "Lee".to_owned(), role: Role::Payer };
    let made = team::invite(&stage.world.app, &stage.world.other, &new).await.unwrap();
    stage.world.pass(DAY + 1);
    Actor { id: made.person, name: "Lee".to_owned(), role: Role::Payer, ..stage.world.other.clone() }
}

#[tokio::test]
async fn whoever_entered_a_destination_does_not_release_the_first_payment_there() {
    let mut stage = prepared("entered").await;
    let (kim, lee) = (stage.world.other.clone(), lee(&stage).await);
    enters(&stage, &kim, "kims@example.com").await;
    let done = releases(&stage, &kim, "B1").await;
    assert!(
        is_theirs(&done, "You entered where ") && is_theirs(&done, "Somebody else must release"),
        "{done:?}"
    );
    // Nor does a key that they make.
    let new = NewKey::of("nightly", Role::Payer, Scopes::kept("read,write,release"));
    let key = people::make_key(&stage.world.app, &kim.id.to_string(), &new).await.unwrap();
    let key = people::by_key(&stage.world.app, &key, None).await.unwrap().actor().unwrap();
    let done = releases(&stage, &key, "B1").await;
    assert!(is_theirs(&done, "your API key"), "{done:?}");
    releases(&stage, &lee, "B1").await.unwrap();
    for line in ["pay B1", "live 1 minute", "expect ana success"] {
        stage.one(line).await.unwrap();
    }
    // Once a payment has arrived there, the destination is known.
    for line in ["reward R2 ana 11.00 approved", "batch B2 R2"] {
        stage.one(line).await.unwrap();
    }
    releases(&stage, &kim, "B2").await.unwrap();
    for line in ["pay B2", "live 1 minute", "expect ana success"] {
        stage.one(line).await.unwrap();
    }
    // What a key entered was entered by its maker.
    for line in ["reward R3 ana 12.00 approved", "batch B3 R3"] {
        stage.one(line).await.unwrap();
    }
    enters(&stage, &key, "another@example.com").await;
    let done = releases(&stage, &kim, "B3").await;
    assert!(is_theirs(&done, "your API key"), "{done:?}");
    releases(&stage, &lee, "B3").await.unwrap();
    stage.one("pay B3").await.unwrap();
    stage.close(Ok(())).await;
}

/// A release is void at Pay if whoever gave it has entered a destination since, even one that looks the same.
#[tokio::test]
async fn a_release_does_not_cover_what_its_giver_enters_afterwards() {
    let mut stage = prepared("entered_after").await;
    let (kim, lee) = (stage.world.other.clone(), lee(&stage).await);
    releases(&stage, &kim, "B1").await.unwrap();
    for address in ["kims@example.com", "ana@example.com"] {
        enters(&stage, &kim, address).await;
    }
    stage.one("refuse release_needs_other_person pay B1").await.unwrap();
    releases(&stage, &lee, "B1").await.unwrap();
    stage.one("pay B1").await.unwrap();
    stage.close(Ok(())).await;
}

/// What a payee enters themselves is nobody else's entry, unless somebody was just shown a link of their login.
#[tokio::test]
async fn what_payees_enter_is_their_own() {
    let mut stage = prepared("entered_own").await;
    let (app, kim, lee) = (stage.world.app.clone(), stage.world.other.clone(), lee(&stage).await);
    let invited = invitations::invite(&app, &kim, "ana", Role::Partner).await.unwrap();
    let own = Actor { id: invited.person, role: Role::Partner, ..kim.clone() };
    enters(&stage, &own, "within.a.day@example.com").await;
    let done = releases(&stage, &kim, "B1").await;
    assert!(is_theirs(&done, "a login whose link you were shown"), "{done:?}");
    // Also later: what counts is who could have entered it then.
    stage.world.pass(DAY + 1);
    assert!(is_theirs(&releases(&stage, &kim, "B1").await, "a login whose link you were shown"));
    releases(&stage, &lee, "B1").await.unwrap();
    enters(&stage, &own, "within.a.week@example.com").await;
    assert!(is_theirs(&releases(&stage, &kim, "B1").await, "a login whose link you were shown"));
    // Another link, which is shown as well, does not shorten that.
    team::fresh_link(&app, &kim, own.id).await.unwrap();
    stage.world.pass(DAY + 1);
    enters(&stage, &own, "by.another.link@example.com").await;
    assert!(is_theirs(&releases(&stage, &kim, "B1").await, "a login whose link you were shown"));
    stage.world.pass(7 * DAY);
    enters(&stage, &own, "anas.own@example.com").await;
    releases(&stage, &kim, "B1").await.unwrap();
    stage.one("pay B1").await.unwrap();
    stage.close(Ok(())).await;
}

#[tokio::test]
async fn the_pages_list_what_the_releaser_confirms_and_say_why_not() {
    let mut stage = prepared("entered_pages").await;
    let mut lee = Browser::of(&stage.world, Role::Payer, "lee").await;
    lee.read("/claims").await.says("entered by staff or just invited, never paid before");
    let pay = format!("/claims/{}/pay", stage.batch("B1"));
    let page = lee.read(&pay).await;
    page.says("Entered by staff or just invited, never paid before");
    page.says("entered none of its new destinations");
    let mut db = stage.world.app.store.read().await.unwrap();
    let found = bursar::store::people::by_email(&mut db, "lee@example.com").await.unwrap().unwrap();
    drop(db);
    enters(&stage, &people::actor(&found), "lees@example.com").await;
    for address in ["/claims", &pay] {
        let page = lee.read(address).await;
        page.says("You entered where");
        page.says("Somebody else must release this payout.");
        assert!(!page.body.contains(">Release "), "{}", page.body);
    }
    // Without the rule there is nobody to confirm it.
    let off = |it: Document| Ok(Document { two_person_release: false, ..it });
    let kim = stage.world.other.clone();
    for who in [&stage.world.actor, &kim] {
        let _ = settings::save(&stage.world.app, who, None, off).await;
    }
    for address in ["/claims", &pay] {
        assert!(!lee.read(address).await.body.contains("never paid before"), "{address}");
    }
    stage.one("pay B1").await.unwrap();
    stage.close(Ok(())).await;
}
