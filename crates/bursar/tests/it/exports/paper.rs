//! Statements as PDF: their contents, that the same data gives the same bytes, and who may see them.

use std::process::Command;

use axum::http::StatusCode;
use bursar::ops::company::{self, Company};
use bursar::ops::tax;
use payout::access::Role;

use crate::pages::Browser;
use crate::scenarios::Stage;

/// The text of a PDF, if `pdftotext` is installed.
pub fn words(pdf: &[u8]) -> Option<String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("statement.pdf");
    std::fs::write(&path, pdf).unwrap();
    let read = Command::new("pdftotext").arg("-layout").arg(&path).arg("-").output().ok()?;
    Some(String::from_utf8_lossy(&read.stdout).into_owned())
}

#[tokio::test]
async fn a_statement_lists_the_year_and_is_their_own() {
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
        None => crate::need::skip_or_fail("pdf", "there is no pdftotext"),
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

/// Payer, payee, then each payment with its rewards, and the totals: in this order also for screen readers, and in the
/// partner's language.
#[tokio::test]
async fn a_statement_says_who_pays_and_what_for_in_the_partners_language() {
    let mut stage = Stage::open("exports_paper_words", 39).await;
    let played = "partner ana paypal ana@example.com\nreward R1 ana 1250.00 approved\nreward R2 ana 70.00 approved\n\
                  batch B1 R1 R2\npay B1\ntick dispatch\nlater 2 seconds\ndeliver\ntick intake\ntick settle\n\
                  expect all success\n";
    let outcome = stage.play("paper words", played).await;
    let world = &stage.world;
    let company = |before: Company| Company {
        name: "Nordwind Handels GmbH".to_owned(),
        address: "Hafenstraße 4\n20457 Hamburg".to_owned(),
        support: "partner@nordwind.example".to_owned(),
        ..before
    };
    company::save(&world.app, &world.actor, company).await.unwrap();
    let mut ana = Browser::of_partner(world, Role::Partner, "ana").await;
    let csrf = ana.read("/portal").await.hidden("csrf");
    ana.post("/portal/language", &[("csrf", &csrf), ("language", "de"), ("back", "/portal")]).await;
    let (status, paper) = ana.bytes("/portal/statements/2026.pdf").await;
    assert_eq!(status, StatusCode::OK);
    let order = [
        "Nordwind Handels GmbH",
        "Hafenstraße 4",
        "20457 Hamburg",
        "Aufstellung der Zahlungen 2026",
        "1. Januar bis 31. Dezember 2026 (UTC)",
        "1.320,00 USD",
        "PT-000001",
        "1.320,00 USD",
        "Erfolgreich",
        "RW-00000",
        "1.250,00",
        "RW-00000",
        "70,00",
        "Summe USD: 1.320,00 in 1 Zahlung.",
        "Schreiben Sie an partner@nordwind.example",
        "Seite 1 von 1",
    ];
    match words(&paper) {
        None => crate::need::skip_or_fail("pdf", "there is no pdftotext"),
        Some(words) => says_in_order(&words, &order),
    }
    stage.close(outcome).await;
}

fn says_in_order(words: &str, order: &[&str]) {
    let mut rest = words;
    for text in order {
        let at = rest.find(text).unwrap_or_else(|| panic!("no {text:?} after what came before, in\n{words}"));
        rest = &rest[at + text.len()..];
    }
}

/// The same payment was made outside and by the vendor: the payee has both, so both are on the statement, in the portal and
/// in the tax figures. If the vendor's is returned, one remains.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_tells_what_was_paid_outside_and_by_the_vendor() {
    let mut stage = Stage::open("exports_both", 38).await;
    let played = crate::paid_twice::play(&mut stage, crate::paid_twice::BY_CHEQUE_TOO).await;
    let mut staff = Browser::of(&stage.world, Role::Auditor, "pat").await;
    let mut ana = Browser::of_partner(&stage.world, Role::Partner, "ana").await;
    let both = ["Total USD: 40.00 in 2 payments", "outside: CHEQUE-7", "Paid outside", "PayPal a", "Success"];
    told(&stage, &mut staff, &mut ana, &both, 4_000).await;
    crate::paid_twice::tell_all(&stage, &payout::transaction::Fact::ItemReversed).await;
    told(&stage, &mut staff, &mut ana, &["Total USD: 20.00 in 1 payment", "outside: CHEQUE-7"], 2_000).await;
    stage.close(played).await;
}

/// Checks the text of the statement and the sum in the portal and the tax figures.
async fn told(stage: &Stage, staff: &mut Browser, partner: &mut Browser, said: &[&str], minor: i128) {
    let (_, paper) = staff.bytes("/payees/ana/statements/2026.pdf").await;
    match words(&paper) {
        None => crate::need::skip_or_fail("pdf", "there is no pdftotext"),
        Some(words) => said.iter().for_each(|text| assert!(words.contains(text), "no {text:?} in\n{words}")),
    }
    let sum = format!("{}.00", minor / 100);
    for path in ["/portal/statements/2026", "/portal"] {
        let page = partner.read(path).await;
        assert!(page.words().contains(&sum), "{path}: no {sum} in {}", page.words());
    }
    let mut db = stage.world.app.store.read().await.unwrap();
    let year = tax::year_view(&mut db, stage.payee("ana"), 2026).await.unwrap();
    assert_eq!(year.totals.iter().map(|total| total.net().minor).sum::<i128>(), minor);
}
