//! Walks `tests/fixtures/<vendor>/<case>/`: from each instruction the request, from each answer the outcome.
//!
//! A case without its own instruction uses the vendor's `instruction.json`. With `BURSAR_FIXTURES=write`, requests and
//! outcomes are written instead of compared; review the diff before committing it.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use payout::money::{Currency, Money, Vendor, VendorAmount};
use serde::Deserialize;
use vendors::http::{Answer, HeaderName, HeaderValue, Received, Request};
use vendors::stripe::{ConnectedAccount, Expect, Stripe, payout as stripe_payout, transfer};
use vendors::{MoneyKind, MoneyRequest, Outcome, paypal};

#[derive(Deserialize)]
struct Instruction {
    kind: String,
    key: String,
    currency: String,
    #[serde(default)]
    transaction: String,
    #[serde(default)]
    attempt: String,
    #[serde(default)]
    destination: String,
    #[serde(default)]
    account: String,
    #[serde(default)]
    transfer: String,
    #[serde(default)]
    amount: String,
    #[serde(default)]
    text: String,
    #[serde(default)]
    items: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    transaction: String,
    receiver: String,
    amount: String,
    note: String,
}

#[test]
fn every_case_translates_as_written() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let mut failures = String::new();
    let mut cases = 0;
    for vendor in ["stripe", "paypal", "paypal_cancel"] {
        let mut folders: Vec<PathBuf> = fs::read_dir(root.join(vendor))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.is_dir())
            .collect();
        folders.sort();
        for folder in folders {
            cases += 1;
            check_case(&folder, &mut failures);
        }
    }
    assert!(cases >= 100, "only {cases} cases were found");
    assert!(failures.is_empty(), "{failures}");
}

fn check_case(folder: &Path, failures: &mut String) {
    let own = folder.join("instruction.json");
    let from = if own.exists() { own } else { folder.with_file_name("instruction.json") };
    let instruction: Instruction = serde_json::from_slice(&fs::read(from).unwrap()).unwrap();
    let request = request(&instruction);
    let stored = MoneyRequest::from_stored(
        request.kind(),
        request.path().into(),
        request.account().map(String::from),
        request.key().into(),
        request.body().to_vec(),
    );
    assert_eq!(stored.as_ref(), Ok(&request), "a request survives being stored");
    if folder.join("request.txt").exists() || folder.join("instruction.json").exists() {
        compare(&folder.join("request.txt"), &wire(&request), failures);
    }
    let answer = parse_answer(&fs::read_to_string(folder.join("answer.txt")).unwrap());
    compare(&folder.join("outcome.txt"), &outcome(&request, &answer), failures);
}

fn compare(path: &Path, seen: &str, failures: &mut String) {
    if std::env::var("BURSAR_FIXTURES").is_ok_and(|word| word == "write") {
        fs::write(path, seen).unwrap();
    } else if fs::read_to_string(path).unwrap_or_default() != seen {
        write!(failures, "\n{}:\n{seen}", path.display()).unwrap();
    }
}

fn amount(text: &str, currency: Currency, vendor: Vendor) -> VendorAmount {
    Money::parse(text, currency).unwrap().at(vendor).unwrap()
}

fn request(order: &Instruction) -> MoneyRequest {
    let currency = Currency::parse(&order.currency).unwrap();
    let (key, transaction, attempt) = (&*order.key, &*order.transaction, &*order.attempt);
    let stripe = || amount(&order.amount, currency, Vendor::Stripe);
    let account = |text: &str| ConnectedAccount::parse(text).unwrap();
    let built = match MoneyKind::parse(&order.kind).unwrap() {
        MoneyKind::Transfer => transfer::request(&transfer::TransferOrder {
            key,
            transaction,
            attempt,
            destination: &account(&order.destination),
            amount: stripe(),
            description: &order.text,
        }),
        MoneyKind::Payout => stripe_payout::request(&stripe_payout::PayoutOrder {
            key,
            transaction,
            attempt,
            account: &account(&order.account),
            amount: stripe(),
            statement_descriptor: &order.text,
        }),
        MoneyKind::Reversal => transfer::reversal_request(&transfer::ReversalOrder {
            key,
            transaction,
            attempt,
            transfer: &order.transfer,
            amount: stripe(),
        }),
        MoneyKind::Cancel => paypal::batch::cancel_request(key, &order.destination),
        MoneyKind::Batch => {
            let items: Vec<paypal::batch::ItemOrder<'_>> = order
                .items
                .iter()
                .map(|item| paypal::batch::ItemOrder {
                    transaction: &item.transaction,
                    receiver: &item.receiver,
                    amount: amount(&item.amount, currency, Vendor::PayPal),
                    note: &item.note,
                })
                .collect();
            let subject = &order.text;
            paypal::batch::request(&paypal::batch::BatchOrder { key, currency, items: &items, subject })
        }
    };
    built.unwrap()
}

/// The request as sent, with credentials hidden.
fn wire(request: &MoneyRequest) -> String {
    let base = "https://vendor.example".parse().unwrap();
    let out: Request = if matches!(request.kind(), MoneyKind::Batch | MoneyKind::Cancel) {
        paypal::PayPal::money(&base, request, HeaderValue::from_static("Bearer token")).unwrap()
    } else {
        let http = vendors::http::Http::new().unwrap();
        Stripe::new(http, base, "sk_test_1").unwrap().money(request).unwrap()
    };
    let mut text = format!("{} {}\n", out.method, out.url.path());
    for (name, value) in &out.headers {
        let hidden = *name == "authorization";
        writeln!(text, "{name}: {}", if hidden { "(hidden)" } else { value.to_str().unwrap() }).unwrap();
    }
    write!(text, "\n{}\n", String::from_utf8(out.body).unwrap()).unwrap();
    text
}

fn parse_answer(text: &str) -> Answer {
    if let Some(detail) = text.strip_prefix("not sent: ") {
        return Answer::NotSent(detail.trim_end().into());
    }
    if let Some(detail) = text.strip_prefix("lost: ") {
        return Answer::Lost(detail.trim_end().into());
    }
    let (head, body) = text.split_once("\n\n").unwrap_or((text.trim_end(), ""));
    let mut lines = head.lines();
    let status = lines.next().unwrap().strip_prefix("HTTP ").unwrap().parse().unwrap();
    let headers = lines
        .map(|line| {
            let (name, value) = line.split_once(": ").unwrap();
            (name.parse::<HeaderName>().unwrap(), value.parse::<HeaderValue>().unwrap())
        })
        .collect();
    Answer::Got(Received { status, headers, body: body.trim_end().as_bytes().to_vec() })
}

fn outcome(request: &MoneyRequest, answer: &Answer) -> String {
    let expect = || Expect::of(request).unwrap();
    told(match request.kind() {
        MoneyKind::Transfer => transfer::read(answer, &expect()).map(|object| object.id),
        MoneyKind::Payout => stripe_payout::read(answer, &expect()).map(|object| object.id),
        MoneyKind::Reversal => transfer::read_reversal(answer, &expect()).map(|object| object.id),
        MoneyKind::Cancel => paypal::batch::read_cancel(answer, request)
            .map(|item| format!("{} {}", item.payout_item_id, item.status)),
        MoneyKind::Batch => paypal::batch::read(answer, request).map(|accepted| match accepted {
            paypal::batch::BatchAccepted::Created { payout_batch_id, status } => {
                format!("created {payout_batch_id} {status}")
            }
            paypal::batch::BatchAccepted::Duplicate { payout_batch_id } => {
                format!("duplicate {}", payout_batch_id.as_deref().unwrap_or("(no link)"))
            }
        }),
    })
}

fn told(outcome: Outcome<String>) -> String {
    let mut text = String::new();
    let request_id = match outcome {
        Outcome::Accepted(what) => {
            writeln!(text, "accepted {what}").unwrap();
            None
        }
        Outcome::Rejected(rejection) => {
            let (code, status, message) = (rejection.code, rejection.status, rejection.message);
            writeln!(text, "rejected {code}\nstatus: {status}\nmessage: {message}").unwrap();
            if !rejection.items.is_empty() {
                let items: Vec<String> = rejection.items.iter().map(usize::to_string).collect();
                writeln!(text, "items: {}", items.join(", ")).unwrap();
            }
            if rejection.may_be_duplicate {
                writeln!(text, "may be a duplicate").unwrap();
            }
            rejection.request_id
        }
        Outcome::Unknown(doubt) => {
            let executed = if doubt.why.may_have_executed() { "maybe" } else { "no" };
            writeln!(text, "unknown {}\nexecuted: {executed}", doubt.why.as_str()).unwrap();
            if let Some(seconds) = doubt.retry_after_s {
                writeln!(text, "retry after: {seconds} s").unwrap();
            }
            doubt.request_id
        }
    };
    if let Some(id) = request_id {
        writeln!(text, "request: {id}").unwrap();
    }
    text
}

/// Whatever a proxy, a gateway or a failing vendor returns, only a definite refusal in the vendor's own words counts as
/// one.
#[test]
fn no_status_alone_accepts_or_rejects() {
    let vendor_words =
        |status: u16| matches!(status, 400 | 402 | 404..=407 | 410..=423 | 426..=428 | 430..=499);
    let stripe_error =
        r#"{"error":{"type":"invalid_request_error","code":"parameter_missing","message":"m"}}"#;
    let paypal_error = r#"{"name":"VALIDATION_ERROR","message":"m"}"#;
    let load = |vendor: &str| -> MoneyRequest {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(vendor);
        request(&serde_json::from_slice(&fs::read(path.join("instruction.json")).unwrap()).unwrap())
    };
    for (request, error) in [(load("stripe"), stripe_error), (load("paypal"), paypal_error)] {
        for status in 100..=999 {
            for body in ["", "null", "[]", "{}", "<html></html>", "{\"error\":null}", "{\"error\":{}}", error]
            {
                let answer = parse_answer(&format!("HTTP {status}\n\n{body}"));
                let told = outcome(&request, &answer);
                let definite = vendor_words(status) && body == error;
                let wanted = if definite { "rejected" } else { "unknown" };
                assert!(told.starts_with(wanted), "{status} {body}: {told}");
            }
        }
    }
}
