//! The evidence of a payment: its timeline, plus events, answers and polls that changed nothing, and notices; and the raw
//! requests and responses, for those who may read them. Every reading is logged. Not here: who may read it
//! (`payout::access`).

mod wording;

use std::collections::HashSet;

use payout::ids::TransactionId;
use serde_json::{Value, json};

use super::{OpsError, Result};
use crate::app::{Actor, App};
use crate::clock;
use crate::store::evidence::{self, Answer, Event, LookupAnswer};
use crate::store::outbox::{self, OutboxNotice};
use crate::store::submissions::{self, Submission};
use crate::store::transactions::{self, ReadLine, Transaction};
use crate::store::{Db, audit};
use crate::transact;

pub use wording::{particulars, vendors_own};

/// A row of the evidence.
#[derive(Clone, Debug)]
pub struct Row {
    /// Identifies the row within its payment.
    pub id: String,
    /// What happened, in short names for programs to compare.
    pub line: ReadLine,
    /// What happened and what it means for the money, for people.
    pub told: String,
    pub particulars: Option<String>,
    /// Whether raw text is available.
    pub raw: bool,
}

impl Row {
    /// Whether it is an entry of the payment's own timeline, not a message, poll or notice that moved nothing.
    pub fn is_story(&self) -> bool {
        !self.line.id.is_empty()
    }
}

/// The raw text behind a row, with sensitive values masked.
#[derive(Clone, Debug)]
pub struct Raw {
    pub title: String,
    pub at: i64,
    /// The parts: a title and its text.
    pub parts: Vec<(&'static str, String)>,
}

/// Everything stored about one payment.
struct File {
    transaction: Transaction,
    lines: Vec<ReadLine>,
    submissions: Vec<Submission>,
    answers: Vec<Answer>,
    events: Vec<Event>,
    lookups: Vec<LookupAnswer>,
    notices: Vec<OutboxNotice>,
}

/// Where a row's raw text comes from.
enum Source<'a> {
    Request(&'a Submission),
    Answer(&'a Answer),
    Event(&'a Event),
}

/// The evidence of a payment, oldest first.
pub async fn of(db: &mut Db, transaction: &Transaction) -> Result<Vec<Row>> {
    let file = read(db, transaction.clone()).await?;
    let row = |(id, line, source): (String, ReadLine, Option<Source<'_>>)| Row {
        id,
        told: wording::happened(&line, transaction.terms.vendor),
        particulars: wording::of_line(&line, transaction.terms.vendor),
        raw: source.is_some(),
        line,
    };
    Ok(file.rows().into_iter().map(row).collect())
}

/// Opens the raw text behind a row, and logs who did.
///
/// # Errors
/// [`OpsError::Missing`] if there is no such row, or it has no raw text.
pub async fn open(app: &App, actor: &Actor, number: &str, row: &str) -> Result<Raw> {
    let mut db = app.store.read().await?;
    let transaction = transactions::find(&mut db, number).await?;
    let id = transaction.id;
    let file = read(&mut db, transaction).await?;
    drop(db);
    let rows = file.rows();
    let found = rows.iter().find(|(id, ..)| id == row).and_then(|(.., source)| source.as_ref());
    let raw = file.raw(found.ok_or(OpsError::Missing)?);
    transact!(app, |tx| {
        tx.audit(audit::Entry {
            at: app.clock.now(),
            actor: actor.id.to_string(),
            action: "evidence_read",
            subject: id.to_string(),
            detail: json!({ "row": row, "what": raw.title, "from": actor.came_from }).to_string(),
        });
        Ok(())
    })?;
    Ok(raw)
}

async fn read(db: &mut Db, transaction: Transaction) -> Result<File> {
    let id = transaction.id;
    let attempts = transactions::attempts(db, &[id]).await?;
    let carriers: HashSet<String> = attempts.into_iter().filter_map(|one| one.submission).collect();
    let carriers: Vec<String> = carriers.into_iter().collect();
    Ok(File {
        transaction,
        lines: transactions::timeline(db, id).await?,
        submissions: submissions::several(db, &carriers).await?,
        answers: evidence::answers(db, &carriers).await?,
        events: evidence::events(db, id).await?,
        lookups: evidence::lookup_answers(db, id).await?,
        notices: outbox::about(db, &id.to_string()).await?,
    })
}

/// Whether the vendor accepted a request with a body that cannot be parsed.
fn is_unreadable(answer: &Answer) -> bool {
    let taken = (200..300).contains(&answer.status) && !answer.body.is_empty();
    taken && serde_json::from_str::<serde_json::Value>(&answer.body).is_err()
}

impl File {
    /// The timeline entries with their raw text, plus the notices and the events, answers and polls that have no entry
    /// because they changed nothing.
    fn rows(&self) -> Vec<(String, ReadLine, Option<Source<'_>>)> {
        let mut told: HashSet<&str> = HashSet::new();
        let mut rows: Vec<(String, ReadLine, Option<Source<'_>>)> = Vec::new();
        for line in &self.lines {
            let source = self.source(line);
            match &source {
                Some(Source::Answer(answer)) => drop(told.insert(&answer.id)),
                Some(Source::Event(event)) => drop(told.insert(&event.id)),
                Some(Source::Request(_)) | None => {}
            }
            rows.push((line.id.clone(), line.clone(), source));
        }
        let silent = |source: &str, at, effect: String, detail: String, event_id| ReadLine {
            id: String::new(),
            at,
            source: source.to_owned(),
            effect,
            detail: Some(detail),
            event_id,
        };
        for event in self.events.iter().filter(|event| !told.contains(event.id.as_str())) {
            let effect = event.effect.clone().unwrap_or_else(|| "waits to be looked at".to_owned());
            let event_id = Some(event.event_id.clone());
            let line = silent("webhook", event.received_at, event.event_type.clone(), effect, event_id);
            rows.push((event.id.clone(), line, Some(Source::Event(event))));
        }
        for answer in self.answers.iter().filter(|answer| !told.contains(answer.id.as_str())) {
            let detail = format!("answered with status {}", answer.status);
            let effect = if is_unreadable(answer) { "unreadable" } else { "changed nothing" };
            let line = silent("answer", answer.at, effect.to_owned(), detail, None);
            rows.push((format!("answer-{}", answer.id), line, Some(Source::Answer(answer))));
        }
        for (place, asked) in self.lookups.iter().enumerate() {
            let detail = match asked.times {
                1 => asked.answer.clone(),
                times => format!("{} ({times} times, last at {})", asked.answer, clock::human(asked.last_at)),
            };
            let line = silent("poll", asked.first_at, "asked".to_owned(), detail, None);
            rows.push((format!("asked-{place}"), line, None));
        }
        for outbox_notice in &self.notices {
            let effect = outbox_notice.notice.as_str().to_owned();
            let line = silent("notice", outbox_notice.at, effect, "the Outbox says to whom".to_owned(), None);
            rows.push((outbox_notice.id.clone(), line, None));
        }
        // Stable: what has the same time stays in the order in which it was recorded.
        rows.sort_by_key(|(_, line, _)| line.at);
        rows
    }

    fn source(&self, line: &ReadLine) -> Option<Source<'_>> {
        match line.source.as_str() {
            "request" => {
                let sent = self.submissions.iter().find(|one| line.detail.as_ref() == Some(&one.key));
                sent.map(Source::Request)
            }
            // The answer is stored shortly before its consequences are recorded.
            "answer" => self.answers.iter().rfind(|one| one.at <= line.at).map(Source::Answer),
            "webhook" => {
                let told = self.events.iter().find(|one| line.event_id.as_ref() == Some(&one.event_id));
                told.map(Source::Event)
            }
            _ => None,
        }
    }

    fn raw(&self, source: &Source<'_>) -> Raw {
        let vendor = self.transaction.terms.vendor.label();
        match source {
            Source::Request(sent) => {
                let mut parts = vec![
                    ("Address", format!("POST {}", masked_words(&sent.path))),
                    ("Idempotency key", sent.key.clone()),
                ];
                parts.extend(sent.account.as_ref().map(|account| ("On behalf of", masked_words(account))));
                parts.push(("Body", self.body(&sent.body)));
                Raw { title: format!("Request to {vendor}"), at: sent.created_at, parts }
            }
            Source::Answer(answer) => {
                let mut parts = vec![("Status", answer.status.to_string())];
                parts.extend(answer.request_id.clone().map(|id| ("The vendor's id of the answer", id)));
                parts.push(("Body", self.kept(&answer.body, answer.body_hash.as_deref())));
                Raw { title: format!("Answer of {vendor}"), at: answer.at, parts }
            }
            Source::Event(event) => {
                let parts = vec![
                    ("Event", format!("{} {}", event.event_type, event.event_id)),
                    ("Headers", headers(&event.headers)),
                    ("Body", self.kept(&event.body, event.body_hash.as_deref())),
                ];
                Raw { title: format!("Webhook of {vendor}"), at: event.received_at, parts }
            }
        }
    }

    /// A body for display, or a note with its hash if it has been deleted.
    fn kept(&self, body: &str, hash: Option<&str>) -> String {
        match hash {
            Some(hash) => format!("(deleted after its retention period; its SHA-256 is {hash})"),
            None => self.body(body),
        }
    }

    /// A body for display: JSON indented, form data line by line. Of a PayPal batch, only this payment's item.
    fn body(&self, body: &str) -> String {
        match serde_json::from_str::<Value>(body) {
            Ok(mut json) => {
                let others = keep_only(&mut json, self.transaction.id);
                mask(&mut json, "");
                let text = serde_json::to_string_pretty(&json).unwrap_or_default();
                match others {
                    0 => text,
                    1 => format!("{text}\n\n(1 item of another payment is not shown)"),
                    others => format!("{text}\n\n({others} items of other payments are not shown)"),
                }
            }
            Err(_) if body.is_empty() => "(none)".to_owned(),
            Err(_) if body.starts_with(['<', '{']) => masked_words(body),
            Err(_) => {
                let pairs = url::form_urlencoded::parse(body.as_bytes());
                let lines = pairs.map(|(name, value)| format!("{name} = {}", masked_words(&value)));
                lines.collect::<Vec<_>>().join("\n")
            }
        }
    }
}

/// Removes the items of other payments; returns how many.
fn keep_only(json: &mut Value, of: TransactionId) -> usize {
    let of = of.to_string();
    let Some(items) = json.get_mut("items").and_then(Value::as_array_mut) else { return 0 };
    let before = items.len();
    items.retain(|item| {
        let id = item.get("sender_item_id").or_else(|| item.pointer("/payout_item/sender_item_id"));
        id.and_then(Value::as_str) == Some(of.as_str())
    });
    before - items.len()
}

/// The headers of a verified webhook, without signatures: those prove nothing to a reader and should not be copied.
fn headers(json: &str) -> String {
    let Ok(Value::Object(headers)) = serde_json::from_str(json) else { return String::new() };
    let lines = headers.iter().map(|(name, value)| match name.contains("sig") {
        true => format!("{name}: (checked on arrival; not shown)"),
        false => format!("{name}: {}", value.as_str().unwrap_or_default()),
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Fields whose values are never shown in full, for either vendor.
const HIDDEN: [&str; 9] = [
    "account_number",
    "routing_number",
    "iban",
    "tax_id",
    "id_number",
    "ssn_last_4",
    "secret",
    "access_token",
    "fingerprint",
];

fn mask(json: &mut Value, name: &str) {
    match json {
        Value::String(text) if HIDDEN.contains(&name) => *text = "…".to_owned(),
        Value::String(text) => *text = masked_words(text),
        Value::Array(list) => list.iter_mut().for_each(|one| mask(one, name)),
        Value::Object(fields) => fields.iter_mut().for_each(|(name, one)| mask(one, name)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Masks e-mail addresses, connected account ids and long numbers in a text so that they can still be recognized.
fn masked_words(text: &str) -> String {
    let is_part = |letter: char| letter.is_alphanumeric() || "@._%+-".contains(letter);
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(begin) = rest.find(is_part) {
        let (before, from) = rest.split_at(begin);
        let (word, after) = from.split_at(from.find(|letter| !is_part(letter)).unwrap_or(from.len()));
        shown.push_str(before);
        shown.push_str(&masked_word(word));
        rest = after;
    }
    shown.push_str(rest);
    shown
}

fn masked_word(word: &str) -> String {
    let tail = || word.chars().skip(word.chars().count().saturating_sub(4)).collect::<String>();
    if let Some((name, host)) = word.split_once('@') {
        return format!("{}…@{host}", name.chars().take(1).collect::<String>());
    }
    if word.starts_with("acct_") && word.len() > 9 {
        return format!("acct_…{}", tail());
    }
    if word.len() >= 12 && word.bytes().all(|byte| byte.is_ascii_digit()) {
        return format!("…{}", tail());
    }
    word.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_must_not_be_shown_is_masked_and_the_rest_is_not() {
        let rows = [
            ("to ana.lima+x@example.com, now", "to a…@example.com, now"),
            ("acct_1NvRk2LkdIwHu7ix", "acct_…u7ix"),
            ("000123456789 and 1772442000", "…6789 and 1772442000"),
            ("po_1abc at 2026-03-02T09:00:00Z", "po_1abc at 2026-03-02T09:00:00Z"),
        ];
        for (text, shown) in rows {
            assert_eq!(masked_words(text), shown);
        }
        let mut json = json!({
            "receiver": "ana@example.com", "account_number": "12345", "list": [{"iban": "DE1"}], "amount": 5
        });
        mask(&mut json, "");
        let shown = json!({
            "receiver": "a…@example.com", "account_number": "…", "list": [{"iban": "…"}], "amount": 5
        });
        assert_eq!(json, shown);
        let kept = headers(r#"{"stripe-signature":"t=1,v1=abc","paypal-transmission-id":"x"}"#);
        assert!(kept.contains("paypal-transmission-id: x") && !kept.contains("v1=abc"), "{kept}");
    }
}
