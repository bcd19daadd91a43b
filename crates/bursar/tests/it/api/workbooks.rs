//! Excel workbooks as people have them: by the API and as the command line reads them, the same rows as in CSV.

use axum::body::Body;
use axum::http::Request;
use bursar::ops::import::{self, Report};
use rust_xlsxwriter::{ExcelDateTime, Format, Formula, Workbook, Worksheet};
use serde_json::{Value, json};

use super::imports::{import, operator};
use super::{Answer, TestApp};

const XLSX: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";

async fn send(house: &TestApp, key: &str, query: &str, kind: &str, file: &[u8]) -> Answer {
    let request = Request::builder()
        .method("POST")
        .uri(format!("/api/v1/rewards/import{query}"))
        .header("authorization", format!("Bearer {}", house.admin))
        .header("content-type", kind)
        .header("idempotency-key", key)
        .body(Body::from(file.to_vec()));
    house.send(request.unwrap()).await
}

fn write(sheet: &mut Worksheet, row: u32, fields: &[&str]) {
    for (column, field) in (0_u16..).zip(fields) {
        sheet.write_string(row, column, *field).unwrap();
    }
}

/// A workbook as finance keeps it: a cover, then rewards with real numbers, days and formulas, and rows that are wrong.
pub fn rewards() -> Vec<u8> {
    let mut book = Workbook::new();
    write(book.add_worksheet().set_name("Read me").unwrap(), 0, &["Rewards to pay"]);
    let draft = book.add_worksheet().set_name("Draft").unwrap();
    draft.set_hidden(true);
    (0..3).for_each(|row| write(draft, row, &["hidden"]));
    let sheet = book.add_worksheet().set_name("Q3").unwrap();
    write(sheet, 1, &["external_id", "activity", "owner", "value", "currency", "earned_on", "note"]);
    let day = Format::new().set_num_format("d mmm yyyy");
    let row = |sheet: &mut Worksheet, row: u32, id: &str| {
        write(sheet, row, &[id, "deal", "ana", "", "EUR", "", "over\ntwo, lines"]);
        let earned = ExcelDateTime::from_ymd(2026, 2, 5).unwrap();
        sheet.write_datetime_with_format(row, 5, &earned, &day).unwrap();
    };
    row(sheet, 2, "");
    // An id and an amount that are numbers.
    sheet.write_number(2, 0, 123_456_789_012_345_f64).unwrap().write_number(2, 3, 1234.5).unwrap();
    // Row 4 is empty.
    row(sheet, 4, "X-2");
    sheet.write_formula(4, 3, Formula::new("=1.1*3").set_result("3.3000000000000003")).unwrap();
    row(sheet, 5, "X-3");
    sheet.write_formula(5, 3, Formula::new("=NA()").set_result("#N/A")).unwrap();
    row(sheet, 6, "");
    sheet.write_number(6, 0, 1_234_567_890_123_456_f64).unwrap().write_number(6, 3, 5).unwrap();
    book.save_to_buffer().unwrap()
}

fn refused(report: &Value) -> Vec<String> {
    let rows = report["rejected"].as_array().unwrap().iter();
    let text = |row: &Value, name: &str| row[name].as_str().unwrap().to_owned();
    rows.map(|row| {
        format!("{} {} {} {}", row["line"], text(row, "column"), text(row, "code"), text(row, "value"))
    })
    .collect()
}

#[tokio::test]
async fn a_workbook_sent_as_itself_or_as_csv_is_imported() {
    let house = TestApp::open("workbook").await;
    house.seed_data().await;
    let file = rewards();
    let preview = send(&house, "p", "?dry_run=true", XLSX, &file).await.ok();
    // Case 13: a workbook in place of a CSV.
    let report = send(&house, "k", "", "text/csv", &file).await.ok();
    assert_eq!(preview, report);
    assert_eq!(
        refused(&report),
        ["6 value error_in_cell #N/A", "7 external_id digits_lost 1.23456789012346E+15"]
    );
    assert_eq!(
        (&report["accepted"], &report["sheet"]),
        (&json!(2), &json!({"name": "Q3", "others": ["Read me"]}))
    );
    assert_eq!(report["lines"], json!({"total": 7, "header": 1, "blank": 2, "continued": 0}));
    let found = house.get("/rewards?q=123456789012345").await.ok();
    let reward = &found["data"][0];
    assert_eq!(reward["external_id"], "123456789012345");
    assert_eq!(reward["value"], json!({"value": "1234.50", "currency": "EUR"}));
    assert!(reward["earned_on"].as_str().unwrap().starts_with("2026-02-05"), "{reward:#}");
    assert_eq!(house.get("/rewards?q=X-2").await.ok()["data"][0]["value"]["value"], "3.30");
    let again = send(&house, "again", "", XLSX, &file).await.ok();
    assert_eq!((&again["accepted"], &again["duplicates"]), (&json!(0), &json!(2)));
    send(&house, "other", "", "application/octet-stream", &file).await.refused(415, "unsupported_media_type");
    send(&house, "cut", "", XLSX, &file[..file.len() - 9]).await.refused(422, "workbook_unreadable");
    let csv = import(
        &house,
        "csv",
        "?dry_run=true",
        "external_id,activity,owner,value,currency\nC,deal,ana,1,EUR\n",
    );
    assert_eq!(csv.await.ok()["sheet"], Value::Null);
}

#[tokio::test]
async fn all_kinds_of_files_may_be_workbooks() {
    let house = TestApp::open("workbook_kinds").await;
    house.seed_data().await;
    let (app, actor) = (&house.app, operator(&house));
    let file = |rows: &[&[&str]]| {
        let mut book = Workbook::new();
        let sheet = book.add_worksheet();
        (0_u32..).zip(rows).for_each(|(row, fields)| write(sheet, row, fields));
        book.save_to_buffer().unwrap()
    };
    let accepted = |report: &Report| {
        assert_eq!(report.rejected, []);
        report.accepted
    };
    let accounts = file(&[&["external_id", "name"], &["W-1", "Bolt, \"GmbH\""]]);
    let (report, _) = import::accounts(app, &actor, &accounts, false, None).await.unwrap();
    assert_eq!(accepted(&report), 1);
    let partners =
        file(&[&["external_id", "account", "name", "email"], &["WP-1", "W-1", "Ana", "w@example.com"]]);
    let (report, _) = import::partners(app, &actor, &partners, false, None).await.unwrap();
    assert_eq!(accepted(&report), 1);
    let activities = file(&[&["external_id", "program", "name"], &["WA-1", "Growth", "Quiz"]]);
    let report = import::activities(app, &actor, &activities, false, None).await.unwrap();
    assert_eq!(accepted(&report), 1);
    // What the header lacks is said as for any file.
    let wrong = file(&[&["external_id", "title"], &["W-2", "x"]]);
    let error = import::accounts(app, &actor, &wrong, false, None).await.unwrap_err();
    assert!(format!("{error:?}").contains("unknown column"), "{error:?}");
}
