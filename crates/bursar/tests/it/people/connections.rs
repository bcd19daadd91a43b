//! A vendor's live connection says through whose account everything is paid: another account takes two administrators, or one
//! and a day, and all of them hear of every change.

use bursar::app::Actor;
use bursar::ops::people::team::{self, TeamMember};
use bursar::ops::people::{self, NewKey};
use bursar::ops::vendors::{self, Credentials, Proof};
use bursar::ops::{OpsError, notices};
use bursar::store;
use bursar::store::mails::{self, Filter};
use payout::access::Role;
use payout::money::Vendor;
use payout::notice::Notice;
use payout::scope::Scopes;

use crate::scenarios::Stage;
use crate::world::DAY;

async fn saves(stage: &Stage, who: &Actor, key: &str, account: &str) -> Result<(), OpsError> {
    let credentials =
        Credentials::Stripe { secret_key: format!("sk_secret_{key}"), platform: None, connect: None };
    let mode = if account.ends_with("/live") { "live" } else { "test" };
    let proof = Proof { mode, account: account.to_owned(), same_as_before: false };
    vendors::save(&stage.world.app, who, &credentials, &proof).await
}

fn waits(done: &Result<(), OpsError>) -> bool {
    matches!(done, Err(OpsError::Conflict(why)) if why.code == "second_person_needed")
}

/// The subject and text of each mail about a vendor's connection, oldest first.
async fn told(stage: &Stage) -> Vec<(String, String)> {
    let app = &stage.world.app;
    notices::expand(app, app.clock.now()).await.unwrap();
    let filter = Filter { notice: Some(Notice::VendorConnectionChanged), ..Filter::default() };
    let mut found = mails::list(&mut app.store.read().await.unwrap(), &filter, 100).await.unwrap();
    found.reverse();
    found.into_iter().map(|mail| (mail.title, mail.body)).collect()
}

async fn administrator(stage: &Stage) -> Actor {
    let pat = &stage.world.actor;
    let (email, name) = ("ada@example.com".to_owned(), "Ada".to_owned());
    let new = TeamMember { email, name: name.clone(), role: Role::Admin };
    let made = team::invite(&stage.world.app, pat, &new).await.unwrap();
    stage.world.pass(DAY + 1);
    Actor { id: made.person, name, role: Role::Admin, ..pat.clone() }
}

#[tokio::test]
async fn another_account_of_a_vendor_takes_two_administrators_and_all_hear_of_it() {
    let mut stage = Stage::open("connections", 621).await;
    let (pat, kim) = (stage.world.actor.clone(), stage.world.other.clone());
    let ada = administrator(&stage).await;
    // Nothing was ever paid: during setup the account may be corrected, and a test connection may always be left.
    saves(&stage, &pat, "0", "acct_0/live").await.unwrap();
    saves(&stage, &pat, "1", "acct_1/live").await.unwrap();
    for line in
        ["partner ana paypal ana@example.com", "reward R1 ana 10.00 approved", "batch B1 R1", "pay B1"]
    {
        stage.one(line).await.unwrap();
    }
    stage.one("live 1 minute").await.unwrap();
    let before = told(&stage).await;
    // A leaked key is replaced at once.
    saves(&stage, &pat, "2", "acct_1/live").await.unwrap();
    let after = told(&stage).await;
    assert_eq!(after.len(), before.len() + 1, "{after:?}");
    let (title, body) = after.last().unwrap();
    assert!(title.ends_with("saved other credentials for Stripe"), "{title}");
    for part in ["acct_1/live, …et_1", "acct_1/live, …et_2"] {
        assert!(body.contains(part), "{body}");
    }
    // Another account, or leaving live, takes another person who wants exactly the same.
    for (who, account) in
        [(&pat, "acct_9/live"), (&pat, "acct_9/live"), (&kim, "acct_8/live"), (&kim, "acct_1/test")]
    {
        let done = saves(&stage, who, "9", account).await;
        assert!(waits(&done), "{account}: {done:?}");
    }
    let kept =
        store::settings::get(&mut stage.world.app.store.read().await.unwrap(), "vendor_connection_other")
            .await;
    let kept = kept.unwrap().unwrap().0;
    assert!(kept.contains("acct_9/live") && !kept.contains("sk_secret"), "{kept}");
    saves(&stage, &kim, "9", "acct_9/live").await.unwrap();
    // Saving what is connected withdraws what was asked for.
    assert!(waits(&saves(&stage, &pat, "7", "acct_7/live").await));
    saves(&stage, &kim, "9b", "acct_9/live").await.unwrap();
    stage.world.pass(DAY);
    assert!(waits(&saves(&stage, &pat, "7", "acct_7/live").await));
    stage.world.pass(DAY);
    saves(&stage, &pat, "7", "acct_7/live").await.unwrap();
    // So does removing it.
    let removes = async |who: &Actor| vendors::remove(&stage.world.app, who, Vendor::Stripe).await;
    assert!(waits(&removes(&pat).await));
    removes(&ada).await.unwrap();
    let (title, body) = told(&stage).await.pop().unwrap();
    assert!(
        title == "Ada removed the connection to Stripe" && body.contains("acct_7/live"),
        "{title} {body}"
    );
    assert!(told(&stage).await.iter().all(|(title, body)| !format!("{title}{body}").contains("sk_secret")));
    stage.close(Ok(())).await;
}

/// A key that a person made replaces no live connection; the operator's own may, as it may anything.
#[tokio::test]
async fn a_key_leads_to_no_other_account() {
    let mut stage = Stage::open("connections_key", 622).await;
    let (pat, ada) = (stage.world.actor.clone(), administrator(&stage).await);
    saves(&stage, &pat, "1", "acct_1/live").await.unwrap();
    for line in
        ["partner ana paypal ana@example.com", "reward R1 ana 10.00 approved", "batch B1 R1", "pay B1"]
    {
        stage.one(line).await.unwrap();
    }
    stage.one("live 1 minute").await.unwrap();
    let of = async |by: &str| {
        let new = NewKey::of("nightly", Role::Admin, Scopes::kept("read,write"));
        let key = people::make_key(&stage.world.app, by, &new).await.unwrap();
        people::by_key(&stage.world.app, &key, None).await.unwrap().actor().unwrap()
    };
    let done = saves(&stage, &of(&ada.id.to_string()).await, "2", "acct_2/live").await;
    assert!(matches!(&done, Err(OpsError::Refused(why)) if why.code == "person_needed"), "{done:?}");
    saves(&stage, &of(people::OPERATOR).await, "2", "acct_2/live").await.unwrap();
    stage.close(Ok(())).await;
}
