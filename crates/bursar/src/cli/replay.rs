//! `replay`: recomputes a payment's status step by step from the stored raw messages, and shows where it differs from
//! the stored status. Read-only; contacts no vendor.

use clap::Args;

use super::{Failure, Outcome, open, output, unknown};
use crate::clock;
use crate::config::Config;
use crate::work::replay::{self, Replay};

#[derive(Args)]
pub(super) struct Options {
    /// PT-000977, or its id
    payment: String,
    #[command(flatten)]
    config: Config,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(options: Options) -> Outcome {
    let app = open(options.config).await?;
    let mut db = app.store.read().await?;
    let none =
        format!("No payment is called {:?}. Give its number, like PT-000977, or its id.", options.payment);
    let found = replay::of(&mut db, &options.payment).await.map_err(|error| unknown(error, &none));
    drop(db);
    app.store.close().await;
    let found = found?;
    if options.json {
        as_json(&found)
    } else {
        print_replay(&found)
    }
    match found.is_wrong() {
        false => Ok(()),
        true => Err(Failure(format!(
            "{} is stored as {}, but replaying its stored evidence leads to {}. Do not pay its rewards until somebody has checked at the vendor.",
            found.stored.label(),
            found.stored.state.as_str(),
            found.derived.as_str()
        ))),
    }
}

fn as_json(found: &Replay) {
    let steps: Vec<serde_json::Value> = found
        .steps
        .iter()
        .map(|one| {
            serde_json::json!({ "at": clock::rfc3339(one.at), "source": one.source, "what": one.what,
                "fact": one.fact, "state": one.state.as_str() })
        })
        .collect();
    output::json(&serde_json::json!({ "number": found.stored.label(), "id": found.stored.id.to_string(),
        "stored": found.stored.state.as_str(), "derived": found.derived.as_str(), "agrees": found.agrees(),
        "told_without_bytes": found.unkept, "steps": steps }));
}

fn print_replay(found: &Replay) {
    for one in &found.steps {
        let fact = one.fact.map(|fact| format!(" → {fact}")).unwrap_or_default();
        output::print_line(&format!(
            "{}  {:8} {}{fact}; {}",
            clock::human(one.at),
            one.source,
            one.what,
            one.state.as_str()
        ));
    }
    let (stored, derived) = (found.stored.state.as_str(), found.derived.as_str());
    if found.agrees() {
        return output::print_line(&format!(
            "{} is {stored}, as its stored evidence says.",
            found.stored.label()
        ));
    }
    output::print_line(&format!(
        "{} is stored as {stored}; its stored evidence leads to {derived}.",
        found.stored.label()
    ));
    if !found.unkept.is_empty() {
        output::print_line("These were reported, and their bytes are no longer kept:");
        found.unkept.iter().for_each(|one| output::print_line(&format!("  {one}")));
    }
}
