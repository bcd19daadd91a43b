//! A partner's mail address becomes another one: the old one hears of it, and of a destination that is entered afterwards.

use bursar::ops::invitations;
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

/// An account's money follows what the partners in charge of it say, so their addresses count like a partner's own.
#[tokio::test]
async fn the_old_addresses_of_those_who_administer_an_account_hear_where_its_money_goes() {
    let mut stage = Stage::open("old_address_account", 420).await;
    play(&mut stage, "partner ana paypal ana@example.com\npartner bo paypal bo@example.com").await;
    let program = Program::of(&stage.world, Role::Admin, None).await;
    let put = async |path: &str, body| {
        let (status, answer) = program.ask("PUT", path, body).await;
        assert!(status < 300, "{answer:#}");
        answer
    };
    let told = async |notice: Notice, payee: Payee| {
        stage.world.tick(0, Loop::Notify).await;
        let filter = Filter { notice: Some(notice), ..Filter::default() };
        let found = mails::list(&mut stage.world.app.store.read().await.unwrap(), &filter, 50).await.unwrap();
        let found = found.into_iter().filter(|mail| mail.about == payee.to_string());
        let mut to: Vec<String> = found.map(|mail| mail.recipient).collect();
        to.sort();
        to
    };
    let ana = program.get("/partners/ana").await;
    let account = ana["account"].as_str().unwrap().to_owned();
    let payee = program.get(&format!("/accounts/{account}")).await;
    let payee = Payee::parse(payee["id"].as_str().unwrap()).unwrap();
    let changed_at = async || {
        let profile =
            payees::profile_of(&mut stage.world.app.store.read().await.unwrap(), payee).await.unwrap();
        profile.unwrap().changed_at
    };
    let to = async |address: &str| {
        let path = format!("/payees/{account}/payout-profile");
        put(&path, json!({ "vendor": "paypal", "paypal_email": address })).await
    };
    invitations::invite(&stage.world.app, &stage.world.actor, "ana", Role::PartnerAdmin).await.unwrap();
    // Another partner of the company has no say in where its money goes.
    put("/partners/bo", json!({ "email": "bos.new@example.org" })).await;
    put("/partners/ana", json!({ "email": "thief@example.org" })).await;
    to("money@example.org").await;
    let old = ana["email"].as_str().unwrap().to_lowercase();
    assert_eq!(told(Notice::ProfileCompleted, payee).await, [old.as_str(), "thief@example.org"]);
    assert_eq!(changed_at().await, Some(stage.world.now()), "it waits like one that was changed");
    to("elsewhere@example.org").await;
    let changed = told(Notice::ProfileChanged, payee).await;
    for address in [old.as_str(), "thief@example.org", "money@example.org", "elsewhere@example.org"] {
        assert!(changed.contains(&address.to_owned()), "{address} is not among {changed:?}");
    }
    stage.close(Ok(())).await;
}
