//! Every line of an import file is accounted for: an unclosed or misplaced quotation mark does not affect other rows,
//! whatever the file contains.

use bursar::ops::import::{self, Report};
use serde_json::{Value, json};

use super::TestApp;
use super::imports::{import, operator};

/// The rejected rows: line, column and code of each.
fn refused(report: &Value) -> Vec<String> {
    let rows = report["rejected"].as_array().unwrap().iter();
    let text = |row: &Value, name: &str| row[name].as_str().unwrap().to_owned();
    rows.map(|row| format!("{} {} {}", row["line"], text(row, "column"), text(row, "code"))).collect()
}

/// Checks that the report's rows are the file's lines without header, blank and continuation lines.
#[track_caller]
fn covers_every_line(report: &Value, file: &str) {
    let number = |value: &Value| value.as_u64().unwrap();
    let lines = &report["lines"];
    let rows = number(&report["accepted"]) + number(&report["duplicates"]) + refused(report).len() as u64;
    let others = ["header", "blank", "continued"].map(|kind| number(&lines[kind])).iter().sum::<u64>();
    assert_eq!(rows + others, number(&lines["total"]), "{report:#}");
    assert_eq!(number(&lines["total"]), file.lines().count() as u64, "{report:#}");
}

const HEADER: &str =
    "external_id,activity,owner,value,currency,payment_type,form_reference,earned_on,expires_on,note";

#[tokio::test]
async fn no_row_disappears_behind_a_quotation_mark() {
    let house = TestApp::open("quotes").await;
    house.seed_data().await;
    let row = |id: u32, owner: &str, note: &str| {
        format!("Q-{id},deal,{owner},{id}.00,EUR,individual,,2026-03-01,,{note}\n")
    };
    let good = |ids: std::ops::Range<u32>| ids.map(|id| row(id, "ben", "ok")).collect::<String>();
    let open = format!("{HEADER}\n{}{}", row(1, "ana", "\"15 inch laptop promo"), good(2..9));
    let middle = format!("{HEADER}\n{}{}", row(11, "\"ana", ""), good(12..19));
    let pair = format!(
        "{HEADER}\n{}{}{}{}",
        row(21, "ana", "\"15 inch"),
        good(22..23),
        row(23, "ana", "17 inch\""),
        good(24..25)
    );
    let inner = format!("{HEADER}\n{}{}", row(31, "ana", "\"says \"yes\" to it\""), good(32..33));
    let spans = format!("{HEADER}\n\n{}{}", row(41, "ana", "\"two\nlines\""), good(42..43));
    for (at, (file, accepted, named)) in [
        (open, 7, &["2 note unclosed_quote"][..]),
        (middle, 7, &["2 owner unclosed_quote"]),
        (pair, 2, &["2 note quote_around_rows", "4 note misplaced_quote"]),
        (inner, 1, &["2 note misplaced_quote"]),
        (spans, 2, &[]),
    ]
    .into_iter()
    .enumerate()
    {
        let preview = import(&house, &format!("p{at}"), "?dry_run=true", file.clone()).await.ok();
        let report = import(&house, &format!("k{at}"), "", file.clone()).await.ok();
        assert_eq!(preview, report);
        assert_eq!(refused(&report), named);
        assert_eq!(report["accepted"], accepted);
        covers_every_line(&report, &file);
    }
    let spans = house.get("/rewards?q=Q-41").await.ok();
    assert_eq!(spans["data"][0]["external_id"], "Q-41");
    import(&house, "h", "", "external_id,\"activity\nQ-1,deal\n").await.refused(422, "unclosed_quote");
}

#[tokio::test]
async fn files_of_the_catalogue_are_read_as_strictly() {
    let house = TestApp::open("quotes_catalogue").await;
    house.seed_data().await;
    let (app, actor) = (&house.app, operator(&house));
    let told = |report: &Report| {
        let rows = report.accepted + report.duplicates + report.rejected.len() as u64;
        assert_eq!(rows, report.lines.rows());
        (report.accepted, report.rejected.iter().map(|row| (row.line, row.code)).collect::<Vec<_>>())
    };
    let file = "external_id,name\nS-1,\"Screens 15\nS-2,Bolt\nS-3,Cube\n";
    let (report, _) = import::accounts(app, &actor, file.as_bytes(), false, None).await.unwrap();
    assert_eq!(told(&report), (2, vec![(2, "unclosed_quote")]));
    let file =
        "external_id,account,name,email\nP-1,S-2,\"Ana \"Q\" B\",a@example.com\nP-2,S-3,Bo,b@example.com\n";
    let (report, _) = import::partners(app, &actor, file.as_bytes(), false, None).await.unwrap();
    assert_eq!(told(&report), (1, vec![(2, "misplaced_quote")]));
    let file = "external_id,program,name\nA-1,Growth,15\" promo\nA-2,Growth,Quiz\n\n";
    let report = import::activities(app, &actor, file.as_bytes(), false, None).await.unwrap();
    assert_eq!(told(&report), (1, vec![(2, "misplaced_quote")]));
    assert_eq!((report.lines.total, report.lines.blank), (4, 1));
}

#[tokio::test]
async fn what_is_no_csv_is_called_what_it_is() {
    let house = TestApp::open("no_csv").await;
    for (at, (file, word)) in [
        (&b"PK\x05\x06"[..], "an empty archive"),
        (b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1", "an old spreadsheet format"),
        (b"%PDF-1.7\n", "a PDF"),
        (b"<!DOCTYPE html><html>", "a web page"),
    ]
    .into_iter()
    .enumerate()
    {
        let answer = import(&house, &format!("k{at}"), "", file.to_vec()).await;
        answer.refused(422, "not_csv");
        assert!(answer.body["detail"].as_str().unwrap().contains(word), "{:#}", answer.body);
    }
}

#[tokio::test]
async fn amounts_and_currencies_are_refused_for_what_is_wrong_with_them() {
    let house = TestApp::open("amounts").await;
    house.seed_data().await;
    let file = format!(
        "{HEADER}\nA-0,deal,ana,\"1,234.56\",USD,,,,,\nA-1,deal,ana,31.90 €,EUR,,,,,\nA-2,deal,ana,420.00 USD,USD,,,,,\n\
         A-3,deal,ana,(420.00),USD,,,,,\nA-4,deal,ana,−420.00,USD,,,,,\nA-5,deal,ana,4.2E2,USD,,,,,\n\
         A-6,deal,ana,420.00,usd,,,,,\n"
    );
    let report = import(&house, "k", "", file.clone()).await.ok();
    let named = [
        "2 value thousands_mark",
        "3 value currency_in_amount",
        "4 value currency_in_amount",
        "5 value not_a_number",
        "6 value signed_amount",
        "7 value exponent",
    ];
    assert_eq!((refused(&report), &report["accepted"]), (named.map(str::to_owned).to_vec(), &json!(1)));
    let rewards = house.get("/rewards?currency=usd").await.ok();
    assert_eq!(rewards["data"][0]["value"], json!({"value": "420.00", "currency": "USD"}));
    let body = json!({"external_id": "A-7", "activity": "deal", "owner": "ana",
        "value": {"value": "420.00\u{a0}", "currency": "eur"}});
    let answer = house.call("POST", "/rewards", body).await;
    assert_eq!(answer.body["errors"][0]["code"], "blank_in_amount", "{:#}", answer.body);
}
