//! What a payout of the automatic schedule can cover, and that an unresponsive vendor changes nothing.

use super::schedule::covers;
use super::*;

#[test]
fn one_payout_of_the_schedule_covers_no_more_than_its_amount() {
    let shown = r#"{"id": "po_1", "amount": 15000, "currency": "usd", "automatic": true}"#;
    let swept: bank::Payout = serde_json::from_str(shown).unwrap();
    let usd = |minor| Money { minor, currency: payout::money::Currency::parse("USD").unwrap() };
    assert!(covers(&swept, 0, usd(15_000)));
    assert!(covers(&swept, 7_500, usd(7_500)), "one of two");
    assert!(!covers(&swept, 7_501, usd(7_500)), "it has settled another already");
    assert!(!covers(&swept, 15_000, usd(7_500)));
    let euro = Money { minor: 100, currency: payout::money::Currency::parse("EUR").unwrap() };
    assert!(!covers(&swept, 0, euro));
}

#[test]
fn a_vendor_that_does_not_answer_changes_nothing() {
    let refused = unreachable(&ReadError::Unreachable("503".to_owned()));
    let OpsError::Unreachable(refusal) = refused else { panic!("{refused:?}") };
    assert!(refusal.sentence.contains("nothing was recorded and nothing has changed. Try again"));
}
