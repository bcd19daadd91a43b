//! `verify` and `audit verify`.

use clap::Args;

use super::{Failure, Outcome, open, output};
use crate::config::Config;
use crate::ops::verify::{self, Invariant};
use crate::store::external_ids;

/// So many ids that read alike are named.
const MOST_ALIKE: i64 = 100;

#[derive(Args)]
pub(super) struct Options {
    #[command(flatten)]
    config: Config,
    /// Print the same JSON as the API
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(options: Options) -> Outcome {
    let app = open(options.config, None).await?;
    let mut db = app.store.read().await?;
    let found = verify::all(&mut db).await?;
    let alike = external_ids::collisions(&mut db, MOST_ALIKE).await?;
    drop(db);
    app.store.close().await;
    if !options.json {
        for one in &alike {
            let other = one.other.as_deref().unwrap_or_default();
            output::say(&format!(
                "ids    alike  the external id {:?} of the {} {} reads like that of {other}; look whether both are one",
                one.was, one.kind, one.subject
            ));
        }
    }
    tell(&found, options.json)
}

pub(super) async fn chain(options: Options) -> Outcome {
    let app = open(options.config, None).await?;
    let found = verify::chain(&mut app.store.read().await?).await?;
    app.store.close().await;
    tell(&[found], options.json)
}

/// Prints the invariants; an error when one does not hold.
pub(super) fn tell(found: &[Invariant], json: bool) -> Outcome {
    if json {
        let rows: Vec<serde_json::Value> = found
            .iter()
            .map(|one| serde_json::json!({ "id": one.id, "holds": one.holds(), "checked": one.checked, "says": one.says, "violations": one.violations }))
            .collect();
        output::json(&serde_json::json!(rows));
    } else {
        for one in found {
            let holds = if one.holds() { "holds " } else { "BROKEN" };
            output::say(&format!("{} {holds} {:>8} checked  {}", one.id, one.checked, one.says));
            for violation in &one.violations {
                output::say(&format!("             {violation}"));
            }
        }
    }
    let broken = found.iter().filter(|one| !one.holds()).count();
    if broken == 0 {
        return Ok(());
    }
    Err(Failure(format!(
        "{broken} of {} invariants do not hold; pay nothing until somebody has looked",
        found.len()
    )))
}
