//! A partner's mail address becomes another one: the old one hears of it, and of a destination that is entered afterwards.

use bursar::store::mails::{self, Filter};
use bursar::store::payees;
use payout::access::Role;
use payout::ledger::Payee;
use payout::notice::Notice;
use serde_json::json;

use super::{Program, play};
use crate::scenarios::Stage;
use crate::world::Loop;

#[tokio::test]
async fn the_old_address_of_a_partner_hears_where_their_money_goes() {
    let mut stage = Stage::open("old_address", 419).await;
    play(&mut stage, "partner ana paypal ana@example.com").await;
    let program = Program::of(&stage.world, Role::Admin, None).await;
    let put = async |path: &str, body| {
        let (status, answer) = program.ask("PUT", path, body).await;
        assert!(status < 300, "{answer:#}");
        answer
    };
    let told = async |notice: Notice| {
        stage.world.tick(0, Loop::Notify).await;
        let filter = Filter { notice: Some(notice), ..Filter::default() };
        let found = mails::list(&mut stage.world.app.store.read().await.unwrap(), &filter, 50).await.unwrap();
        let mut to: Vec<String> = found.into_iter().map(|mail| mail.recipient).collect();
        to.sort();
        to
    };
    let ana = program.get("/partners/ana").await;
    let old = ana["email"].as_str().unwrap().to_lowercase();
    put("/partners/bo", json!({ "account": ana["account"], "name": "Bo", "email": "bo@example.com" })).await;
    put("/partners/bo", json!({ "email": "BO@example.com" })).await;
    assert!(told(Notice::PartnerAddressChanged).await.is_empty(), "it is the same");

    for who in ["ana", "bo"] {
        put(&format!("/partners/{who}"), json!({ "email": format!("thief-{who}@example.org") })).await;
    }
    let mut expected = vec![old.clone(), "bo@example.com".to_owned()];
    expected.sort();
    assert_eq!(told(Notice::PartnerAddressChanged).await, expected);

    for who in ["ana", "bo"] {
        let address = json!({ "vendor": "paypal", "paypal_email": format!("money-{who}@example.org") });
        put(&format!("/payees/{who}/payout-profile"), address).await;
    }
    let changed = told(Notice::ProfileChanged).await;
    assert!(changed.contains(&old) && changed.contains(&"thief-ana@example.org".to_owned()), "{changed:?}");
    let completed = told(Notice::ProfileCompleted).await;
    assert_eq!(completed, [old.as_str(), "bo@example.com", "thief-bo@example.org"], "hers is from before");
    // A first destination waits as long as one that was changed.
    let bo = program.get("/partners/bo").await;
    let bo = Payee::parse(bo["id"].as_str().unwrap()).unwrap();
    let profile = payees::profile_of(&mut stage.world.app.store.read().await.unwrap(), bo).await.unwrap();
    assert_eq!(profile.unwrap().changed_at, Some(stage.world.now()));
    stage.close(Ok(())).await;
}
