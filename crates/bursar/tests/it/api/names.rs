//! IDs that look the same are the same ID everywhere: API, files and page forms. Invisible characters are rejected by name,
//! so nothing is found, created or paid twice because of them.

use axum::body::Body;
use axum::http::Request;
use bursar::ops::import;
use bursar::ops::people;
use serde_json::{Value, json};

use super::{Answer, TestApp};

/// Characters that look like a space or another character: normalized.
const FOLDED: [&str; 9] = [
    "INV-88 ",
    " INV-88",
    "INV-88\u{a0}",
    "\u{3000}INV-88",
    "INV-88\u{2003}",
    "INV-88\u{202f}",
    "INV\u{2011}88",
    "INV\u{2010}88",
    "=\"INV-88\"",
];

/// Invisible characters with their names: rejected.
const REFUSED: [(&str, &str); 12] = [
    ("INV-88\u{200b}", "a zero-width space (U+200B)"),
    ("\u{200b}INV-88", "a zero-width space (U+200B)"),
    ("INV-\u{200d}88", "a zero-width joiner (U+200D)"),
    ("INV-\u{200c}88", "a zero-width non-joiner (U+200C)"),
    ("INV-88\u{feff}", "a byte-order mark (U+FEFF)"),
    ("INV-88\u{2060}", "a word joiner (U+2060)"),
    ("INV\u{ad}-88", "a soft hyphen (U+00AD)"),
    ("\u{202e}INV-88", "a text direction mark (U+202E)"),
    ("INV-88\u{200f}", "a text direction mark (U+200F)"),
    ("\u{2067}INV-88", "a text direction mark (U+2067)"),
    ("INV-88\u{fe0f}", "an invisible character (U+FE0F)"),
    ("INV-88\u{7f}", "a control character (U+007F)"),
];

fn reward(external_id: &str, activity: &str, owner: &str) -> Value {
    json!({"external_id": external_id, "activity": activity, "owner": owner,
        "value": {"value": "50.00", "currency": "EUR"}})
}

/// Percent-encodes a path segment or query value.
fn escaped(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[track_caller]
fn names_the_sign(answer: &Answer, words: &str) {
    answer.refused(422, "invalid");
    let message = answer.body["detail"].as_str().unwrap();
    assert!(message.contains(words), "{message}");
}

#[tokio::test]
async fn a_reward_is_entered_once_however_its_id_is_written() {
    let house = TestApp::open("names_rewards").await;
    house.seed_data().await;
    let first = house.call("POST", "/rewards", reward("INV-88", "deal", "ana")).await.ok();
    for text in FOLDED {
        let again = house.call("POST", "/rewards", reward(text, "deal", "ana")).await;
        assert_eq!(again.status, 200, "{text:?}: {:#}", again.body);
        assert_eq!(again.body["id"], first["id"], "{text:?}");
        let found = house.get(&format!("/rewards/{}", escaped(text))).await.ok();
        assert_eq!(found["id"], first["id"], "{text:?}");
        let listed = house.get(&format!("/rewards?view=all&q={}", escaped(text))).await.ok();
        assert_eq!(listed["data"].as_array().unwrap().len(), 1, "{text:?}");
    }
    for (text, words) in REFUSED {
        names_the_sign(&house.call("POST", "/rewards", reward(text, "deal", "ana")).await, words);
    }
    // References are normalized the same way, so equal content is one reward.
    let again = house.call("POST", "/rewards", reward("INV-88", "deal\u{a0}", " ana")).await;
    assert_eq!((again.status.as_u16(), &again.body["id"]), (200, &first["id"]));
    names_the_sign(
        &house.call("POST", "/rewards", reward("INV-89", "deal", "ana\u{200b}")).await,
        "a zero-width space (U+200B)",
    );
    assert_eq!(house.get("/rewards?view=all").await.ok()["data"].as_array().unwrap().len(), 1);
    for filter in ["owner=%20ana", "account=acme%C2%A0", "activity=deal%E3%80%80", "program=growth%20"] {
        let listed = house.get(&format!("/rewards?view=all&{filter}")).await.ok();
        assert_eq!(listed["data"].as_array().unwrap().len(), 1, "{filter}");
    }
}

#[tokio::test]
async fn a_number_of_ours_is_never_somebody_elses_id() {
    let house = TestApp::open("names_numbers").await;
    house.seed_data().await;
    let first = house.call("POST", "/rewards", reward("RW-000002", "deal", "ana")).await.ok();
    let second = house.call("POST", "/rewards", reward("B", "deal", "ben")).await.ok();
    assert_eq!((&first["number"], &second["number"]), (&json!("RW-000001"), &json!("RW-000002")));
    let found = house.get("/rewards/RW-000002").await.ok();
    assert_eq!(found["id"], second["id"], "the number, not the other's external id");
    house.call("POST", "/rewards/RW-000002/approve", json!({})).await.ok();
    assert_eq!(
        house.get(&format!("/rewards/{}", first["id"].as_str().unwrap())).await.ok()["status"],
        "submitted"
    );
    let again = house.call("POST", "/rewards", reward("RW-000002", "deal", "ana")).await;
    assert_eq!(again.body["id"], first["id"], "as an external id it is the first one's");
    let ours = second["id"].as_str().unwrap();
    house.call("POST", "/rewards", reward(ours, "deal", "ana")).await.refused(422, "reserved_id");
}

#[tokio::test]
async fn partners_accounts_programs_and_activities_have_one_id_each() {
    let house = TestApp::open("names_catalogue").await;
    house.seed_data().await;
    let cases = [
        ("accounts", json!({"name": "Spacy"})),
        ("partners", json!({"name": "Spacy", "email": "spacy@example.com", "account": "acme"})),
        ("programs", json!({"name": "Spacy", "type": "cash"})),
        ("activities", json!({"name": "Spacy", "program": "growth"})),
    ];
    for (kind, body) in cases {
        let first = house.call("PUT", &format!("/{kind}/INV-88"), body.clone()).await;
        assert_eq!(first.status, 201, "{:#}", first.body);
        for text in FOLDED {
            let again = house.call("PUT", &format!("/{kind}/{}", escaped(text)), body.clone()).await;
            assert_eq!(again.status, 200, "{kind} {text:?}: {:#}", again.body);
            assert_eq!(
                (&again.body["id"], &again.body["external_id"]),
                (&first.body["id"], &json!("INV-88"))
            );
        }
        for (text, words) in REFUSED {
            names_the_sign(
                &house.call("PUT", &format!("/{kind}/{}", escaped(text)), body.clone()).await,
                words,
            );
        }
        // Our own ID updates the record and creates nothing with that name.
        let ours = first.body["id"].as_str().unwrap();
        let renamed = house.call("PUT", &format!("/{kind}/{ours}"), json!({"name": "Other"})).await;
        assert_eq!((renamed.status.as_u16(), &renamed.body["external_id"]), (200, &json!("INV-88")));
    }
    let of_space = json!({"name": "Di", "email": "di@example.com", "account": "acme\u{a0}"});
    assert_eq!(house.call("PUT", "/partners/di", of_space).await.ok()["account"], "acme");
}

async fn send(house: &TestApp, file: &str) -> Answer {
    let request = Request::post("/api/v1/rewards/import")
        .header("authorization", format!("Bearer {}", house.admin))
        .header("content-type", "text/csv")
        .header("idempotency-key", format!("file-{}", file.len()))
        .body(Body::from(file.to_owned()))
        .unwrap();
    house.send(request).await
}

#[tokio::test]
async fn a_name_that_nobody_can_read_is_none() {
    let house = TestApp::open("names_blank").await;
    house.seed_data().await;
    let operator = people::by_key(&house.app, &house.admin, None).await.unwrap().actor().unwrap();
    for (at, name) in [" ", "\u{a0}", "\u{200b}", "\u{3164}"].into_iter().enumerate() {
        let answer = house.call("PUT", &format!("/accounts/blank-{at}"), json!({"name": name})).await;
        answer.refused(422, "missing");
        let file = format!("external_id,name\nblank-{at},{name}\n");
        let (report, _) =
            import::accounts(&house.app, &operator, file.as_bytes(), false, None).await.unwrap();
        let told: Vec<(&str, &str)> = report.rejected.iter().map(|row| (row.column, row.code)).collect();
        assert_eq!((report.accepted, told), (0, vec![("name", "missing")]), "{name:?}");
    }
}

#[tokio::test]
async fn a_file_names_what_is_there_and_what_cannot_be_read() {
    let house = TestApp::open("names_files").await;
    house.seed_data().await;
    house.call("POST", "/rewards", reward("INV-88", "deal", "ana")).await.ok();
    let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    let rows = |some: &mut dyn Iterator<Item = String>| {
        let rows: String = some.map(|id| format!("{},deal, ana ,50.00,EUR\n", quoted(&id))).collect();
        format!("external_id,activity,owner,value,currency\n{rows}")
    };
    let file = rows(&mut FOLDED.iter().map(|text| (*text).to_owned()));
    let report = send(&house, &file).await.ok();
    assert_eq!((&report["accepted"], &report["duplicates"]), (&json!(0), &json!(FOLDED.len())), "{report:#}");
    let file = rows(&mut REFUSED.iter().map(|(text, _)| (*text).to_owned()));
    let report = send(&house, &file).await.ok();
    assert_eq!((&report["accepted"], &report["duplicates"]), (&json!(0), &json!(0)));
    for (at, (_, words)) in REFUSED.iter().enumerate() {
        let row = &report["rejected"][at];
        assert_eq!(
            (&row["line"], &row["column"], &row["code"]),
            (&json!(at + 2), &json!("external_id"), &json!("invalid"))
        );
        assert!(row["detail"].as_str().unwrap().contains(words), "{row}");
    }
    let file =
        rows(&mut ["9.78E+11", "9,78E+11", "=\"00123\"", "00123"].iter().map(|text| (*text).to_owned()));
    let report = send(&house, &file).await.ok();
    assert_eq!((&report["accepted"], &report["duplicates"]), (&json!(1), &json!(1)), "{report:#}");
    for row in report["rejected"].as_array().unwrap() {
        assert_eq!(row["code"], "scientific_notation", "{row}");
    }
    house.get("/rewards/00123").await.ok();
}
