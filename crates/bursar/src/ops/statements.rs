//! A payee's yearly statement: which payments it lists, and the file. Every download is logged. Not here: its layout
//! (`documents::statement`).

use payout::ids::TransactionId;
use payout::ledger::Payee;
use payout::transaction::Status;
use serde_json::json;

use super::{OpsError, Result, company, tax};
use crate::app::{Actor, App};
use crate::clock::date;
use crate::documents::paper::Payer;
use crate::documents::statement::{Payment, Reward, Statement, pdf};
use crate::documents::words::Words;
use crate::mail::Language;
use crate::store::tax::Span;
use crate::store::transactions::{self, Filter, Named, Transaction};
use crate::store::{Db, StoreError, audit};
use crate::transact;

/// How many payments are read at a time.
const AT_ONCE: i64 = 1_000;

/// The recipient of a statement.
#[derive(Clone, Debug)]
pub struct Receiver {
    pub payees: Vec<Payee>,
    pub name: String,
    /// Their company, unless the recipient is the company.
    pub company: Option<String>,
    /// As their partner's language is written.
    pub language: Option<String>,
}

/// The statement of a year as a PDF.
///
/// # Errors
/// [`OpsError::Missing`] for a year outside the calendar.
pub async fn of_year(app: &App, actor: &Actor, receiver: Receiver, year: i32) -> Result<Vec<u8>> {
    let now = app.clock.now();
    let span = tax::year(year).ok_or(OpsError::Missing)?;
    let mut db = app.store.read().await?;
    let found = payments(&mut db, &receiver.payees, &span).await?;
    let of: Vec<TransactionId> = found.iter().map(|one| one.id).collect();
    let mut rewards = transactions::covered_by(&mut db, &of).await?;
    let ours = company::read(&mut db).await?;
    drop(db);
    let ids: Vec<String> = receiver.payees.iter().map(ToString::to_string).collect();
    let language = Language::of(receiver.language.as_deref());
    let words = Words::of(language);
    let statement = Statement {
        language,
        payer: Payer { name: ours.name, address: ours.address, support: ours.support },
        payee: receiver.name,
        company: receiver.company,
        year,
        as_of: date(now),
        payments: found
            .iter()
            // A payment made twice is listed twice, its rewards once.
            .map(|one| payment(one, words, &rewards.remove(&one.id).unwrap_or_default()))
            .collect(),
    };
    // Typesetting thousands of lines takes a while, so it runs on a blocking thread.
    let made = tokio::task::spawn_blocking(move || pdf(&statement)).await.map_err(|error| error.to_string());
    let bytes = made
        .and_then(|made| made)
        .map_err(|error| OpsError::Internal(StoreError::Corrupt(format!("a statement: {error}"))))?;
    let detail = json!({"year": year, "payments": found.len()}).to_string();
    transact!(app, |tx| {
        for id in &ids {
            let (actor, subject, detail) = (actor.id.to_string(), id.clone(), detail.clone());
            tx.audit(audit::Entry { at: now, actor, action: "statement_taken", subject, detail });
        }
        Ok(())
    })?;
    Ok(bytes)
}

/// Everything that left us for these payees in a span of time, or was marked as paid outside in it, oldest first.
async fn payments(db: &mut Db, payees: &[Payee], span: &Span) -> Result<Vec<Transaction>> {
    let (from, to) = span.moments;
    let in_it = |one: &Transaction| match &one.outside {
        Some((_, on, _)) => *span.days.0 <= **on && **on <= *span.days.1,
        None => one.left_at.is_some_and(|at| (from..to).contains(&at)),
    };
    let payees = Some(payees.iter().map(ToString::to_string).collect());
    let mut filter = Filter { payees, ..Filter::default() };
    let mut found = Vec::new();
    loop {
        let some = transactions::list(db, &filter, AT_ONCE).await?;
        filter.after = some.last().map(|last| last.id.to_string());
        let more = some.len() as u64 == AT_ONCE.unsigned_abs();
        found.extend(some.into_iter().flat_map(made).filter(in_it));
        if !more {
            break;
        }
    }
    found.sort_by_key(|one| (day_of(one), one.number));
    Ok(found)
}

/// The payments that a transaction represents: one, or two if the vendor paid it as well as somebody outside. The payee has
/// both, whatever is deducted from their next claim for it.
pub fn made(one: Transaction) -> Vec<Transaction> {
    let gone = one.left_at.is_some() && !matches!(one.state.status(), Status::Failed | Status::PayoutFailed);
    if !gone || one.outside.is_none() || one.otherwise_at.is_some() {
        return vec![one];
    }
    let by_vendor = Transaction { outside: None, ..one.clone() };
    vec![one, by_vendor]
}

fn day_of(one: &Transaction) -> String {
    one.outside.as_ref().map_or_else(|| date(one.left_at.unwrap_or(one.created_at)), |(_, on, _)| on.clone())
}

fn payment(one: &Transaction, words: &Words, rewards: &[Named]) -> Payment {
    let status = one.state.status();
    Payment {
        number: one.label(),
        day: day_of(one),
        to: match &one.outside {
            Some((.., reference)) => words.outside_by.replace("{reference}", reference),
            None => format!("{} {}", one.terms.vendor.label(), one.destination.masked()),
        },
        amount: one.terms.amount,
        fee: payout::money::Money::new(
            one.terms.amount.minor.saturating_sub(one.given().minor),
            one.terms.net.currency,
        ),
        net: one.given(),
        status: if one.outside.is_some() { words.outside } else { words.status(status) }.to_owned(),
        counts: one.outside.is_some() || status == Status::Success,
        rewards: listed(one, rewards),
    }
}

/// The most rewards listed per payment; the rest are one row with their count and sum.
const MOST_REWARDS: usize = 200;

fn listed(by: &Transaction, rewards: &[Named]) -> Vec<Reward> {
    let (shown, rest) = rewards.split_at(rewards.len().min(MOST_REWARDS));
    let mut rows: Vec<Reward> = shown.iter().map(|reward| covered(by, reward)).collect();
    if !rest.is_empty() {
        let minor = rest.iter().fold(0_i64, |sum, reward| sum.saturating_add(reward.amount_minor));
        rows.push(Reward {
            number: format!("+ {}", rest.len()),
            activity: String::new(),
            owner: None,
            amount: payout::money::Money::new(minor, by.terms.amount.currency),
        });
    }
    rows
}

fn covered(by: &Transaction, reward: &Named) -> Reward {
    let (owner, name) = &reward.owner;
    Reward {
        number: format!("RW-{:06}", reward.number),
        activity: reward.activity.clone(),
        owner: (*owner != by.terms.payee).then(|| name.clone()),
        amount: payout::money::Money::new(reward.amount_minor, by.terms.amount.currency),
    }
}
