//! Statements as PDF: what they say, that the same data makes the same bytes, and whose they are.

use std::process::Command;

use axum::http::StatusCode;
use payout::access::Role;

use crate::pages::Browser;
use crate::scenarios::Stage;

/// The words of a PDF, where the machine has what reads them.
fn words(pdf: &[u8]) -> Option<String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("statement.pdf");
    std::fs::write(&path, pdf).unwrap();
    let read = Command::new("pdftotext").arg("-layout").arg(&path).arg("-").output().ok()?;
    Some(String::from_utf8_lossy(&read.stdout).into_owned())
}

#[tokio::test]
async fn a_statement_lists_the_year_and_is_his_own() {
    let mut stage = Stage::open("exports_paper", 37).await;
    let played = "partner ana paypal ana@example.com\npartner bo stripe acct_bo\nreward R1 ana 120.00 approved\n\
                  reward R3 bo 75.50 approved\nbatch B1 R1 R3\npay B1\ntick dispatch\nlater 2 seconds\ndeliver\n\
                  tick intake\ntick settle\nexpect all success\n";
    let outcome = stage.play("paper", played).await;
    let world = &stage.world;
    let mut staff = Browser::of(world, Role::Auditor, "pat").await;
    let (status, one) = staff.bytes("/payees/ana/statements/2026.pdf").await;
    assert_eq!(status, StatusCode::OK);
    assert!(one.starts_with(b"%PDF-"));
    let (_, again) = staff.bytes("/payees/ana/statements/2026.pdf").await;
    assert!(one == again, "the same data makes the same bytes");
    assert!(
        one.windows(15).any(|bytes| bytes == b"/StructTreeRoot"),
        "it has a structure that can be read aloud"
    );
    match words(&one) {
        None => crate::need::absent("pdf", "there is no pdftotext"),
        Some(words) => {
            for text in [
                "Statement of payments 2026",
                "ana",
                "120.00 USD",
                "Success",
                "Total USD: 120.00 in 1 payment",
            ] {
                assert!(words.contains(text), "no {text:?} in\n{words}");
            }
            assert!(!words.contains("75.50") && !words.contains("ana@example.com"), "{words}");
        }
    }
    for wrong in ["2026", "26.pdf", "abcd.pdf", "2026.csv"] {
        let path = format!("/payees/ana/statements/{wrong}");
        assert_eq!(staff.bytes(&path).await.0, StatusCode::NOT_FOUND, "{wrong}");
    }
    let mut bo = Browser::of_partner(world, Role::Partner, "bo").await;
    let (status, his) = bo.bytes("/portal/statements/2026.pdf").await;
    assert_eq!(status, StatusCode::OK);
    if let Some(words) = words(&his) {
        assert!(words.contains("75.50") && !words.contains("120.00"), "{words}");
    }
    assert_eq!(bo.bytes("/payees/ana/statements/2026.pdf").await.0, StatusCode::NOT_FOUND);
    stage.close(outcome).await;
}
