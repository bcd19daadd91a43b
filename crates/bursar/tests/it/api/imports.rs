//! Imports over the API: files rejected as a whole, rows rejected one by one, the same file twice, and the time for a large
//! file.

use axum::body::Body;
use axum::http::Request;
use bursar::app::Actor;
use bursar::ops::import;
use futures::StreamExt as _;
use payout::access::Role;
use payout::ids::PersonId;
use serde_json::{Value, json};

use super::{Answer, TestApp};

pub(super) async fn import(house: &TestApp, key: &str, query: &str, file: impl Into<Body>) -> Answer {
    let request = Request::builder()
        .method("POST")
        .uri(format!("/api/v1/rewards/import{query}"))
        .header("authorization", format!("Bearer {}", house.admin))
        .header("content-type", "text/csv")
        .header("idempotency-key", key)
        .body(file.into());
    house.send(request.unwrap()).await
}

pub(super) fn operator(house: &TestApp) -> Actor {
    Actor {
        id: PersonId::fresh(house.app.clock.now(), 1),
        name: "operator".into(),
        role: Role::Admin,
        partner: None,
        may_write: true,
        came_from: "a test".to_owned(),
    }
}

const MESSY: &str = "\u{feff}owner,external_id,activity,currency,value,payment_type,form_reference,earned_on,expires_on,note\r\n\
ana,R1,deal,EUR,3242.43,individual,OPP-1,2026-02-05,,Q3 push\r\n\
ben,R2,cert,,,organization,OPP-2,2026-02-05,2027-03-31,\r\n\
ana,R3,deal,USD,12.345,,,,,\r\n\
ana,R4,deal,U$D,10.00,,,,,\r\n\
nobody,R5,deal,EUR,1.00,,,,,\r\n\
ana,R6,nothing,EUR,1.00,,,,,\r\n\
ana,R7,deal,EUR,\"1.000,50\",,,,,\r\n\
ana,R8,deal,USD,-5.00,,,,,\r\n\
ana,R9,course,,500,,,,,\"two\r\nlines\"\r\n\
ana,R9,course,,600,,,,,\r\n\
ana,R10,deal,EUR,1.00,,,31.01.2026,,\r\n\
ana,R11,deal,EUR,1.00,,,,2026-02-30,\r\n\
ana,R12,deal,,1.00,,,,,\r\n\
ana,R13,deal,EUR,,,,,,\r\n\
ana,,deal,EUR,1.00,,,,,\r\n\
ana,R14,deal,EUR\r\n\
ana,R15,deal,EUR,1.00,company,,,,\r\n\
ana,R1,deal,EUR,3242.43,individual,OPP-1,2026-02-05,,Q3 push\r\n";

/// A rejected row shows the content of the file, but never a payment destination.
#[tokio::test]
async fn a_refused_row_says_what_the_file_has() {
    let house = TestApp::open("refused_value").await;
    house.seed_data().await;
    let long = "x".repeat(100);
    let file = format!(
        "external_id,activity,owner,value,currency,earned_on\nR1,deal,ana,\"1.000,50\",EUR,\nR2,deal,ana,1.00,EUR,{long}\nR3,deal,ana,,EUR,\n"
    );
    let empty = "external_id,activity,owner,value,currency\nR4,deal,ana,,\n";
    let report = import(&house, "k0", "", empty).await.ok();
    assert_eq!(report["rejected"][0]["column"], "value", "the value is missing first: {report:#}");
    let report = import(&house, "k1", "", file).await.ok();
    let values: Vec<&str> =
        report["rejected"].as_array().unwrap().iter().map(|row| row["value"].as_str().unwrap()).collect();
    assert_eq!(values, ["1.000,50", &format!("{}…", "x".repeat(80)), ""]);
    let accounts = "external_id,name,vendor,destination\nA9,Nine,paypal,not an address\n";
    let (report, _) =
        import::accounts(&house.app, &operator(&house), accounts.as_bytes(), true, None).await.unwrap();
    assert_eq!((report.rejected[0].column, report.rejected[0].value.as_str()), ("destination", ""));
}

/// All errors of a row are reported together, as one row of the report, so it needs only one correction.
#[tokio::test]
async fn every_fault_of_a_row_is_told_with_it() {
    let house = TestApp::open("faults").await;
    house.seed_data().await;
    let file =
        "external_id,activity,owner,value,currency,earned_on\nR1,nothing,nobody,1.2.3,EUR,31.01.2026\n";
    let report = import(&house, "k1", "", file).await.ok();
    let rejected = report["rejected"].as_array().unwrap();
    assert_eq!(rejected.len(), 1, "{report:#}");
    assert_eq!(rejected[0]["column"], "activity");
    let detail = rejected[0]["message"].as_str().or_else(|| rejected[0]["detail"].as_str()).unwrap();
    for sentence in ["Also owner “nobody”: ", "Also value “1.2.3”: ", "Also earned_on “31.01.2026”: "]
    {
        assert!(detail.contains(sentence), "{sentence}: {detail}");
    }
    let report = import(&house, "k2", "", &b"\xff\xfee\0x\0t\0,\0a\0\n\0"[..]).await;
    let sentence = report.body.to_string();
    assert!(sentence.contains("UTF-16") && sentence.contains("CSV UTF-8"), "{sentence}");
}

#[tokio::test]
async fn a_messy_file_gives_its_good_rows_and_names_each_bad_one() {
    let house = TestApp::open("messy").await;
    house.seed_data().await;
    let preview = import(&house, "k0", "?dry_run=true", MESSY).await.ok();
    assert_eq!(house.get("/rewards").await.ok()["data"], json!([]), "a preview enters nothing");
    let report = import(&house, "k1", "", MESSY).await.ok();
    assert_eq!(preview, report);
    let named: Vec<String> = report["rejected"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            let text = |name: &str| row[name].as_str().unwrap().to_owned();
            format!("{} {} {}", row["line"], text("column"), text("code"))
        })
        .collect();
    let expected = [
        "4 value too_many_digits",
        "5 currency unknown_currency",
        "6 owner unknown_partner",
        "7 activity unknown_activity",
        "8 value thousands_mark",
        "9 value signed_amount",
        "12 external_id external_id_conflict",
        "13 earned_on invalid_date",
        "14 expires_on invalid_date",
        "15 currency missing",
        "16 value missing",
        "17 external_id missing",
        "18  wrong_field_count",
        "19 payment_type unknown_value",
    ];
    assert_eq!(named, expected);
    assert_eq!((&report["accepted"], &report["duplicates"]), (&json!(3), &json!(1)));
    let again = import(&house, "k2", "", MESSY).await.ok();
    assert_eq!((&again["accepted"], &again["duplicates"]), (&json!(0), &json!(4)));
    assert_eq!(house.get("/rewards").await.ok()["data"].as_array().unwrap().len(), 3);
    let replayed = import(&house, "k1", "", MESSY).await;
    assert_eq!((replayed.header("idempotent-replayed"), &replayed.body), ("true", &report));
    // A reward created through the API and imported from a file is the same reward.
    let body = json!({"external_id": "R1", "activity": "deal", "owner": "ana", "form_reference": "OPP-1",
        "earned_on": "2026-02-05", "note": "Q3 push", "value": {"value": "3242.43", "currency": "EUR"}});
    assert_eq!(house.call("POST", "/rewards", body).await.status, 200);
}

#[tokio::test]
async fn a_file_that_cannot_be_read_is_refused_as_a_whole() {
    let house = TestApp::open("whole").await;
    house.seed_data().await;
    let rows: [(&[u8], &str); 5] = [
        (b"external_id,activity,owner,value,currency,note\nR1,deal,ana,1,EUR,Caf\xe9\n", "not_utf8"),
        (b"\xff\xfee\0x\0t\0e\0r\0n\0", "not_utf8"),
        (b"external_id,activity,owner,value,currency,colour\n", "unknown_column"),
        (b"external_id,activity,owner,value\n", "missing_column"),
        (b"external_id,activity,owner,value,currency,value\n", "duplicate_column"),
    ];
    for (at, (file, code)) in rows.into_iter().enumerate() {
        import(&house, &format!("k{at}"), "", file.to_vec()).await.refused(422, code);
    }
}

#[tokio::test]
async fn the_catalogue_comes_in_by_files() {
    let house = TestApp::open("files").await;
    let actor = operator(&house);
    let accounts = "external_id,name,country,owner_email,vendor,destination\n\
                    A-1,Acme,DE,o@example.com,stripe,acct_1\nA-2,Bolt,Germany,,,\nA-3,Cube,,,paypal,nonsense\n";
    let (report, connect) =
        import::accounts(&house.app, &actor, accounts.as_bytes(), false, None).await.unwrap();
    assert_eq!((report.accepted, connect.len()), (1, 1));
    let codes: Vec<_> = report.rejected.iter().map(|row| (row.line, row.column, row.code)).collect();
    assert_eq!(codes, [(3, "country", "invalid_country"), (4, "destination", "invalid_paypal_email")]);
    let partners = "external_id,account,name,email,country,language,vendor,destination\n\
                    P-1,A-1,Ana,ana@example.com,DE,de,paypal,ana@example.com\nP-2,A-9,Ben,b@example.com,,,,\n";
    let (report, connect) =
        import::partners(&house.app, &actor, partners.as_bytes(), false, None).await.unwrap();
    assert_eq!((report.accepted, connect.len(), report.rejected[0].code), (1, 1, "unknown_account"));
    let activities = "external_id,program,program_type,name,default_value,default_currency\n\
                      deal,Growth,cash,Deal,,\ncert,Growth,cash,Cert,150.00,USD\ncourse,Academy,points,Course,350,\n";
    for accepted in [3, 0] {
        let report =
            import::activities(&house.app, &actor, activities.as_bytes(), false, None).await.unwrap();
        assert_eq!((report.accepted, report.duplicates), (accepted, 3 - accepted));
    }
    let course = house.get("/activities/course").await.ok();
    assert_eq!((&course["program"], &course["value"]), (&json!("Academy"), &json!({"points": 350})));
}

#[tokio::test]
async fn five_thousand_rows_are_previewed_entered_and_approved_by_the_set() {
    let house = TestApp::open("large").await;
    house.seed_data().await;
    let mut file = "external_id,activity,owner,value,currency\n".to_owned();
    for number in 0..5_000 {
        file.push_str(&format!("L{number},deal,ana,{number}.50,EUR\n"));
    }
    assert_eq!(import(&house, "k", "?dry_run=true", file.clone()).await.ok()["accepted"], 5_000);
    assert_eq!(import(&house, "k2", "", file).await.ok()["accepted"], 5_000);
    let body = json!({"action": "approve", "filter": {"view": "pending"}, "expected_count": 5_000});
    let done = house.call("POST", "/rewards/bulk", body).await.ok();
    assert_eq!((done["done"].as_array().unwrap().len(), &done["skipped"]), (5_000, &json!([])));
    assert_eq!(house.get("/rewards?status=approved&limit=1").await.ok()["data"][0]["status"], "approved");
    assert_ne!(house.get("/rewards?view=pending").await.ok()["data"], Value::Null);
    assert_eq!(house.balance("reward_expense").await, "12500000.00");
}

#[tokio::test]
async fn an_answer_names_the_first_thousand_rows() {
    let house = TestApp::open("import_bounded").await;
    house.seed_data().await;
    let file = format!("external_id,activity,owner,value,currency\n{}", "1\n".repeat(20_000));
    let tried = import(&house, "k", "?dry_run=true", file.clone()).await;
    let said = tried.body.to_string().len();
    assert!(said < 256 << 10, "{said} bytes");
    let tried = tried.ok();
    assert_eq!((&tried["rejected_count"], &tried["accepted"]), (&json!(20_000), &json!(0)));
    assert_eq!(tried["rejected"].as_array().unwrap().len(), 1_000);
    let many = format!("external_id,activity,owner,value,currency\n{}", "1\n".repeat(200_001));
    import(&house, "k2", "", many).await.refused(413, "too_many_rows");
    let again = import(&house, "k", "?dry_run=true", file).await;
    assert_eq!(again.header("idempotent-replayed"), "", "a dry run does nothing that must not be done twice");
}

/// A few large files are processed at a time and a few may wait. Further ones get a `Retry-After` at once, and other
/// requests are answered as usual.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn so_many_files_at_a_time_and_the_next_is_told_to_come_back() {
    let house = TestApp::open("heavy").await;
    house.seed_data().await;
    let mut ends = Vec::new();
    let mut answers: futures::stream::FuturesUnordered<_> = (0..24)
        .map(|number| {
            // An upload that starts and never ends: its request takes a slot, or waits for one.
            let (end, body) = futures::channel::mpsc::unbounded::<Result<Vec<u8>, std::io::Error>>();
            end.unbounded_send(Ok(MESSY.as_bytes().to_vec())).unwrap();
            ends.push(end);
            let house = &house;
            async move {
                import(house, &format!("heavy-{number}"), "?dry_run=true", Body::from_stream(body)).await
            }
        })
        .collect();
    for _ in 0..4 {
        let busy = answers.next().await.unwrap();
        busy.refused(503, "over_capacity");
        assert_eq!(busy.header("retry-after"), "30");
    }
    house.get("/exports/rewards").await.refused(503, "over_capacity");
    assert!(house.get("/rewards").await.status.is_success(), "what is not heavy waits for nobody");
    ends.clear();
    for _ in 0..20 {
        answers.next().await.unwrap().ok();
    }
    assert!(house.get("/exports/rewards").await.status.is_success());
}
