//! `why`: what keeps a reward, payout, payment or payee from being paid, in the same words as everywhere else.

use clap::Args;
use payout::eligibility::{Blocker, Code, Who};
use payout::remedy::Choice;
use serde_json::{Value, json};

use super::{Failure, Outcome, open, output, words};
use crate::config::Config;
use crate::ops::OpsError;
use crate::ops::placed;
use crate::ops::why::{self, Explanation};
use crate::store::transactions::Transaction;
use crate::web::kit::format::{detail_of, label_of, meaning_of};
use crate::web::kit::problem;

#[derive(Args)]
pub(super) struct Options {
    /// RW-000123, PB-2026-0042, PT-000977, an id of ours, or your own id of a reward, partner or account
    name: String,
    #[command(flatten)]
    config: Config,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(options: Options) -> Outcome {
    let app = open(options.config).await?;
    let mut db = app.store.read().await?;
    let found = why::find(&mut db, &options.name, app.clock.now()).await;
    drop(db);
    app.store.close().await;
    let found = match found {
        Err(OpsError::Missing) => return Err(Failure(nothing(&options.name))),
        found => found.map_err(words)?,
    };
    match options.json {
        true => output::json(&as_json(&found)),
        false => lines(&found).iter().for_each(|line| output::print_line(line)),
    }
    Ok(())
}

fn nothing(name: &str) -> String {
    format!(
        "No reward, payout, payment, partner or account is called {name:?}. Give its number, like \
         RW-000123, PB-2026-0042 or PT-000977, or your own id of a reward, a partner or an account."
    )
}

/// The text output for people.
pub fn lines(why: &Explanation) -> Vec<String> {
    // For a payment, its blockers appear with its status.
    let blockers = why.blockers.iter().filter(|_| !why.of_payment);
    let mut lines: Vec<String> = blockers.chain(&why.stopped).flat_map(row).collect();
    lines.extend(why.payment.iter().flat_map(|payment| of_payment(payment, &why.against, moved(why))));
    lines.extend(why.said_by.iter().map(|name| {
        format!(
            "    {name} has recorded what happened to it. That takes effect when another person confirms it on its page."
        )
    }));
    if !why.closed.is_empty() {
        lines.push("    Resubmit would be refused now:".to_owned());
        lines.extend(why.closed.iter().flat_map(row).map(|line| format!("    {line}")));
    }
    if lines.is_empty() {
        let next = why.next.as_ref().map(|(_, next)| format!(" {next}")).unwrap_or_default();
        lines.push(format!("Nothing stands in the way.{next}"));
        let who = why.next.as_ref().map(|(who, _)| *who).filter(|who| *who != Who::Nobody);
        lines.extend(who.map(|who| format!("    {}.", who.label())));
    }
    lines
}

/// Whether the payment's payee has a different destination by now.
fn moved(why: &Explanation) -> bool {
    placed::elsewhere(&why.closed)
}

/// A gate, who must act about it and how.
fn row(blocker: &Blocker) -> [String; 2] {
    let about = blocker.called.as_deref().unwrap_or(&blocker.subject);
    let named = format!("{}  [{}, {about}]", blocker.message(), blocker.code.as_str());
    [named, format!("    {}. {}", blocker.who().label(), blocker.remedy())]
}

/// A payment's status, its reason, and the available remedies.
fn of_payment(payment: &Transaction, against: &[String], elsewhere: bool) -> Vec<String> {
    let status = label_of(payment);
    let detail = detail_of(payment).map(|detail| format!(", {detail}")).unwrap_or_default();
    let mut lines = vec![
        format!(
            "{}  {status}{detail}: {} through {}",
            payment.label(),
            payment.terms.net,
            payment.terms.vendor.label()
        ),
        format!("    {}", meaning_of(payment)),
    ];
    lines.extend(payment.closed_as().map(|why| format!("    {}", why.sentence())));
    if payment.contradicted_at.is_some() {
        let vendor = payment.terms.vendor.label();
        lines.push(format!(
            "    {vendor} says something different from what is recorded here. A person must look."
        ));
    }
    lines.extend(against.iter().map(|sentence| format!("    {sentence}")));
    if let Some(reason) = placed::reason_now(payment, elsewhere) {
        let note = Code::parse(&reason.code).and_then(|code| why::note(payment, code));
        let note = note.map(|note| format!(" {note}")).unwrap_or_default();
        lines.push(format!("    {}{note}  [{}]", reason.message, reason.code));
        lines.extend(reason.said.map(|said| format!("    The vendor's own words: {said}")));
        lines.push(format!("    {}. {}", reason.who.label(), reason.remedy));
    }
    let choices = placed::choices_now(payment, elsewhere).iter();
    lines.extend(choices.map(|choice| format!("    - {} ({})", choice.words, choice.who.label())));
    lines
}

/// The JSON output: as `GET /rewards/{id}/eligibility`, plus the payment, if it is about one, and the gates that would
/// refuse to resubmit it.
pub fn as_json(why: &Explanation) -> Value {
    let rows: Vec<Value> = why.blockers.iter().map(problem::blocker).collect();
    let payment = why.payment.as_deref().map(|payment| {
        let elsewhere = moved(why);
        let choices = placed::choices_now(payment, elsewhere).iter();
        let choice = |choice: &Choice| {
            json!({ "deed": choice.action.as_str(), "words": choice.words, "who": choice.who.as_str() })
        };
        let reason = placed::reason_now(payment, elsewhere).map(|reason| {
            json!({
                "code": reason.code, "message": reason.message, "remedy": reason.remedy,
                "who": reason.who.as_str(), "vendor_message": reason.said,
            })
        });
        json!({
            "id": payment.id.to_string(), "number": payment.label(),
            "status": payment.state.status().as_str(), "label": label_of(payment),
            "detail": payment.state.detail().map(|detail| detail.as_str()),
            "meaning": meaning_of(payment), "reason": reason,
            "choices": choices.map(choice).collect::<Vec<_>>(),
            "contradicted": why.against.iter().filter(|_| payment.contradicted_at.is_some()).collect::<Vec<_>>(),
            "named_by_events": why.against.iter().filter(|_| payment.contradicted_at.is_none()).collect::<Vec<_>>(),
        })
    });
    let eligible = why.blockers.is_empty() && why.payment.is_none();
    let closed: Vec<Value> = why.closed.iter().map(problem::blocker).collect();
    let next = why.next.as_ref().map(|(who, words)| json!({ "who": who.as_str(), "words": words }));
    // For anything but a payment, the closed gates are what stops it.
    let stopped = if why.payment.is_some() { &why.stopped } else { &why.blockers };
    let stopped: Vec<Value> = stopped.iter().map(problem::blocker).collect();
    json!({
        "eligible": eligible, "blockers": rows, "payment": payment, "resubmit_blockers": closed,
        "stopped_by": stopped, "next": next,
    })
}
