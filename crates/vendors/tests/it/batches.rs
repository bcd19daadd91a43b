//! Whether a batch PayPal has under our key is the one we sent. Not here: what its items report (`recorded`), and that
//! a batch adds up over its pages (`client`).

use ::payout::money::{Currency, Money, Vendor};
use ::payout::transaction::Fact;
use vendors::http::{Answer, Received};
use vendors::paypal::batch::{self, Batch, BatchOrder, Item, ItemOrder, difference};
use vendors::{MoneyRequest, Outcome, paypal};

fn usd(minor: i64) -> Money {
    Money::new(minor, Currency::USD)
}

fn sent() -> MoneyRequest {
    let item = |transaction, receiver, minor| ItemOrder {
        transaction,
        receiver,
        amount: usd(minor).at(Vendor::PayPal).unwrap(),
        note: "",
    };
    let items = [item("ptx_1", "ana@example.com", 500), item("ptx_2", "bo@example.com", 700)];
    batch::request(&BatchOrder { key: "pb:1", currency: Currency::USD, items: &items, subject: "" }).unwrap()
}

fn held(transaction: &str, receiver: Option<&str>, amount: Option<Money>) -> Item {
    Item {
        payout_item_id: format!("I-{transaction}"),
        payout_batch_id: Some("B1".into()),
        sender_batch_id: None,
        transaction_id: None,
        sender_item_id: Some(transaction.into()),
        status: "PENDING".into(),
        amount,
        fee: None,
        receiver: receiver.map(String::from),
        error: None,
        time_processed: None,
    }
}

#[test]
fn a_batch_is_ours_when_it_is_what_we_sent_item_for_item() {
    let one = || held("ptx_1", Some("ana@example.com"), Some(usd(500)));
    let two = || held("ptx_2", Some("bo@example.com"), Some(usd(700)));
    let batch = |key: Option<&str>, unread, items: &[Item]| Batch {
        payout_batch_id: "B1".into(),
        sender_batch_id: key.map(String::from),
        status: "PENDING".into(),
        error: None,
        items: items.to_vec(),
        unread,
        total: None,
    };
    let same = [
        batch(Some("pb:1"), 0, &[one(), two()]),
        batch(None, 0, &[one(), two()]),
        batch(Some("pb:1"), 0, &[two(), one()]),
        batch(Some("pb:1"), 0, &[held("ptx_1", Some("Ana@Example.com"), Some(usd(500))), two()]),
        batch(Some("pb:1"), 0, &[held("ptx_1", None, Some(usd(500))), two()]),
    ];
    for batch in same {
        assert_eq!(difference(&sent(), &batch), None, "{batch:?}");
    }
    let yen = Money::new(500, Currency::parse("JPY").unwrap());
    let other = [
        (batch(Some("pb:2"), 0, &[one(), two()]), "it belongs to the key pb:2"),
        (batch(Some("pb:1"), 1, &[one()]), "1 of its items cannot be read"),
        (batch(Some("pb:1"), 0, &[one()]), "we sent 2 items, it holds 1"),
        (batch(Some("pb:1"), 0, &[one(), two(), two()]), "we sent 2 items, it holds 3"),
        (batch(Some("pb:1"), 0, &[one(), one()]), "it does not hold ptx_2"),
        (
            batch(Some("pb:1"), 0, &[one(), held("ptx_2", Some("bo@example.com"), Some(usd(701)))]),
            "ptx_2 has another amount",
        ),
        (
            batch(Some("pb:1"), 0, &[held("ptx_1", Some("ana@example.com"), Some(yen)), two()]),
            "ptx_1 has another amount",
        ),
        (
            batch(Some("pb:1"), 0, &[held("ptx_1", Some("ana@example.com"), None), two()]),
            "ptx_1 has another amount",
        ),
        (
            batch(Some("pb:1"), 0, &[one(), held("ptx_2", Some("eve@example.com"), Some(usd(700)))]),
            "ptx_2 has another receiver",
        ),
    ];
    for (batch, told) in other {
        assert_eq!(difference(&sent(), &batch).as_deref(), Some(told));
    }
    let unreadable = batch::cancel_request("ca:1", "I1").unwrap();
    let told = difference(&unreadable, &batch(Some("pb:1"), 0, &[one(), two()]));
    assert_eq!(told.as_deref(), Some("what we sent cannot be read back"));
}

/// The payments in a stored batch, in order; empty if the bytes are not ours.
#[test]
fn a_stored_batch_names_its_payments() {
    assert_eq!(batch::sender_item_ids(sent().body()), ["ptx_1", "ptx_2"]);
    assert!(batch::sender_item_ids(b"{}").is_empty() && batch::sender_item_ids(b"").is_empty());
}

/// PayPal keeps its fee once the money has reached the receiver; before that, the figure is only an estimate.
#[test]
fn a_fee_is_taken_when_the_money_has_arrived() {
    let fee = |status: &str| {
        let item = Item { status: status.into(), fee: Some(usd(25)), ..held("ptx_1", None, None) };
        batch::item_fee(&item)
    };
    for (status, taken) in [
        ("SUCCESS", true),
        ("REFUNDED", true),
        ("REVERSED", true),
        ("PENDING", false),
        ("UNCLAIMED", false),
        ("RETURNED", false),
        ("FAILED", false),
    ] {
        assert_eq!(fee(status), taken.then(|| usd(25)), "{status}");
    }
}

/// A refusal names items by index; an index we did not send is ignored.
#[test]
fn a_refusal_is_about_items_that_we_sent() {
    let items_of = |fields: &[&str]| {
        let details: Vec<String> =
            fields.iter().map(|field| format!(r#"{{"field":"{field}","issue":"no"}}"#)).collect();
        let body =
            format!(r#"{{"name":"VALIDATION_ERROR","message":"m","details":[{}]}}"#, details.join(","));
        let answer =
            Answer::Got(Received { status: 400, headers: Default::default(), body: body.into_bytes() });
        match batch::read(&answer, &sent()) {
            Outcome::Rejected(rejection) => rejection.items,
            other @ (Outcome::Accepted(_) | Outcome::Unknown(_)) => panic!("{other:?}"),
        }
    };
    assert_eq!(items_of(&["/items/1/receiver", "/items/0/amount", "/items/1/amount"]), [0, 1]);
    assert_eq!(items_of(&["/items/1/receiver", "/items/2/receiver", "/items/9/receiver"]), [1]);
    assert!(items_of(&["/items/2/receiver"]).is_empty());
}

/// Only a refused batch determines an item's fact, and only for an item without a final status.
#[test]
fn a_batch_speaks_for_its_items_only_where_it_was_refused() {
    let told = |batch_status: &str, item_status: &str, error: Option<(&str, &str)>| {
        let error =
            error.map(|(name, message)| batch::ItemError { name: name.into(), message: message.into() });
        let item = Item { status: item_status.into(), error, ..held("ptx_1", None, None) };
        let batch = Batch {
            payout_batch_id: "B1".into(),
            sender_batch_id: None,
            status: batch_status.into(),
            error: None,
            items: vec![item.clone()],
            unread: 0,
            total: None,
        };
        batch::fact_in(&batch, &item)
    };
    let code = |fact: Option<Fact>| match fact {
        Some(fact @ Fact::ItemFailed(_)) => fact.reason().map(|reason| reason.code.clone()),
        Some(_) | None => None,
    };
    assert_eq!(told("PENDING", "PENDING", None), Some(Fact::ItemPending));
    assert_eq!(told("PROCESSING", "", None), None);
    assert_eq!(told("DENIED", "SUCCESS", None), Some(Fact::ItemPaid));
    assert_eq!(code(told("DENIED", "PENDING", None)).as_deref(), Some("DENIED"));
    assert_eq!(code(told("CANCELED", "", None)).as_deref(), Some("CANCELED"));
    assert_eq!(
        code(told("DENIED", "", Some(("RECEIVER_UNCONFIRMED", "w")))).as_deref(),
        Some("RECEIVER_UNCONFIRMED")
    );
    assert_eq!(code(told("DENIED", "", Some(("", "only words")))).as_deref(), Some("DENIED"));
}

#[test]
fn an_items_error_is_there_where_it_says_something() {
    let error = |errors: &str| {
        let event = format!(r#"{{"resource":{{"payout_item_id":"I1","errors":{errors}}}}}"#);
        paypal::event::item(event.as_bytes()).unwrap().error.map(|error| (error.name, error.message))
    };
    let both = |name: &str, message: &str| Some((name.to_owned(), message.to_owned()));
    assert_eq!(error(r#"{"name":"A","message":"B"}"#), both("A", "B"));
    assert_eq!(error(r#"{"name":"A"}"#), both("A", ""));
    assert_eq!(error(r#"{"message":"B"}"#), both("", "B"));
    assert_eq!(error(r#"[{"name":"A"}]"#), both("A", ""));
    for nothing in ["{}", "[]", "null", "7", r#"{"name":"","message":""}"#] {
        assert_eq!(error(nothing), None, "{nothing}");
    }
}
