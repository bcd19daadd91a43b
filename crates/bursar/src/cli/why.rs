//! `why`: what stands between a reward, a payout, a payment or a payee and being paid, in the words of every other face.

use clap::Args;
use payout::eligibility::Blocker;
use serde_json::{Value, json};

use super::{Outcome, open, output, words};
use crate::config::Config;
use crate::ops::why;
use crate::web::fault;

#[derive(Args)]
pub(super) struct Options {
    /// RW-000123, PB-2026-0042, PT-000977, or the id of a partner or account
    name: String,
    #[command(flatten)]
    config: Config,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(options: Options) -> Outcome {
    let app = open(options.config, None).await?;
    let mut db = app.store.read().await?;
    let found = why::blockers(&mut db, &options.name, app.clock.now()).await;
    drop(db);
    app.store.close().await;
    let found = found.map_err(words)?;
    match options.json {
        true => output::json(&as_json(&found)),
        false => lines(&found).iter().for_each(|line| output::say(line)),
    }
    Ok(())
}

/// What is printed for people.
#[must_use]
pub fn lines(blockers: &[Blocker]) -> Vec<String> {
    if blockers.is_empty() {
        return vec!["Nothing stands in the way.".to_owned()];
    }
    let told = |blocker: &Blocker| {
        let code = blocker.code;
        let act = format!("    {}. {}", code.who().label(), code.remedy());
        [format!("{}  [{}, {}]", blocker.message(), code.as_str(), blocker.subject), act]
    };
    blockers.iter().flat_map(told).collect()
}

/// What is printed for programs: as `GET /rewards/{id}/eligibility` answers.
#[must_use]
pub fn as_json(blockers: &[Blocker]) -> Value {
    let rows: Vec<Value> = blockers.iter().map(fault::blocker).collect();
    json!({ "eligible": blockers.is_empty(), "blockers": rows })
}
