//! What weakens a safeguard, setting by setting, and how requests are stored.

use super::*;
use crate::ops::settings::{Amount, TaxThreshold};
use serde_json::json;

/// Every setting that protects, each made weaker and stronger.
#[test]
fn what_weakens_a_safeguard_is_known() {
    let amount = |value: &str| json!([{ "value": value, "currency": "USD" }]);
    let one = |value: &str| vec![Amount { value: value.to_owned(), currency: "USD".to_owned() }];
    let limits = |value: &str| {
        let payment = json!([{ "vendor": "stripe", "value": value, "currency": "USD" }]);
        json!({
            "per_reward": amount(value), "per_payment": payment, "per_batch": amount(value),
            "per_day": amount(value), "per_person_per_day": amount(value),
        })
    };
    let base = Document {
        vendors: vec!["stripe".to_owned()],
        two_person_release: true,
        us_tax_tracking: true,
        limits: limits("100.00"),
        typed_total_above: one("50.00"),
        internal_recipients: vec!["ops@example.com".to_owned()],
        ..Document::default()
    };
    let only = |name: &str, value: &str| {
        let mut limits = base.limits.clone();
        limits[name] = with(&limits[name], value);
        limits
    };
    let threshold =
        vec![TaxThreshold { year: 2027, value: "9999.00".to_owned(), currency: "USD".to_owned() }];
    let rows: Vec<(Document, Option<&str>)> = vec![
        (base.clone(), None),
        (Document { enabled: true, ..base.clone() }, Some("enabled")),
        (
            Document { vendors: vec!["stripe".to_owned(), "paypal".to_owned()], ..base.clone() },
            Some("vendors"),
        ),
        (Document { vendors: Vec::new(), ..base.clone() }, None),
        (Document { profile_roles: vec!["partner".to_owned()], ..base.clone() }, None),
        (Document { tax_thresholds: threshold, ..base.clone() }, Some("tax_thresholds")),
        (Document { fees_paid_by: "partner".to_owned(), ..base.clone() }, None),
        (Document { cooling_off_hours: 100, ..base.clone() }, None),
        (Document { cooling_off_hours: 71, ..base.clone() }, Some("cooling_off_hours")),
        (Document { two_person_release: false, ..base.clone() }, Some("two_person_release")),
        (Document { us_tax_tracking: false, ..base.clone() }, Some("us_tax_tracking")),
        (Document { typed_total_above: one("49.00"), ..base.clone() }, None),
        (Document { typed_total_above: one("51.00"), ..base.clone() }, Some("typed_total_above")),
        (Document { typed_total_above: Vec::new(), ..base.clone() }, Some("typed_total_above")),
        (Document { internal_recipients: Vec::new(), ..base.clone() }, Some("internal_recipients")),
        (Document { limits: limits("99.00"), ..base.clone() }, None),
        (Document { limits: only("per_reward", "101.00"), ..base.clone() }, Some("limits.per_reward")),
        (Document { limits: only("per_payment", "101.00"), ..base.clone() }, Some("limits.per_payment")),
        (Document { limits: only("per_batch", "101.00"), ..base.clone() }, Some("limits.per_batch")),
        (Document { limits: only("per_day", "101.00"), ..base.clone() }, Some("limits.per_day")),
        (
            Document { limits: only("per_person_per_day", "101.00"), ..base.clone() },
            Some("limits.per_person_per_day"),
        ),
        (Document { limits: only("per_day", ""), ..base.clone() }, Some("limits.per_day")),
    ];
    let was = base.rules().unwrap();
    for (after, field) in rows {
        let is = after.rules().unwrap();
        assert_eq!(weakened((&base, Some(&was)), (&after, &is)).first().copied(), field, "{after:?}");
        // If the current rules cannot parse the old document, every changed value counts.
        let unread = weakened((&base, None), (&after, &is));
        assert_eq!(unread.is_empty(), changed(&base, &after).is_empty(), "{after:?}");
        assert!(field.is_none_or(|field| unread.contains(&field)), "{after:?}");
    }
}

#[test]
fn what_was_asked_for_while_there_was_one_request_at_a_time_is_still_read() {
    let one = r#"{"by":"per_1","person":"per_1","at":5,"change":"x"}"#;
    for (kept, count) in
        [(one.to_owned(), 1), (format!("[{one},{one}]"), 2), ("null".to_owned(), 0), (String::new(), 0)]
    {
        assert_eq!(waiting(&kept, &SAFEGUARDS, 6).len(), count, "{kept}");
    }
    assert_eq!(waiting(one, &TWO_PERSONS, 6)[0].fields, ["two_person_release"]);
    assert_eq!(waiting(one, &SAFEGUARDS, 5 + FORGOTTEN_AFTER_US).len(), 0);
}

#[test]
fn the_order_of_a_list_is_no_change() {
    let limits = |all: Value| Document { limits: json!({ "per_day": all }), ..Document::default() };
    let (usd, eur) =
        (json!({ "value": "1.00", "currency": "USD" }), json!({ "value": "2.00", "currency": "EUR" }));
    let (one, other) = (limits(json!([usd, eur])), limits(json!([eur, usd])));
    assert_eq!(changed(&one, &other).len(), 0);
    assert_eq!(changed(&limits(json!([])), &Document::default()).len(), 0);
    assert_eq!(changed(&one, &Document::default()).len(), 1);
}

/// The same list with another value; an empty list if the value is empty.
fn with(list: &serde_json::Value, value: &str) -> serde_json::Value {
    if value.is_empty() {
        return json!([]);
    }
    let mut other = list.clone();
    other[0]["value"] = json!(value);
    other
}
