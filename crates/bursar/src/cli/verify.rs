//! The commands `verify` and `brake`, and `audit` with its subcommands.

use std::path::{Path, PathBuf};

use clap::Args;

use super::{Failure, Outcome, WithJson, open, operator, output, words};
use crate::app::App;
use crate::clock;
use crate::config::Config;
use crate::ops::brake::{self, Broken};
use crate::ops::log_signature::{self, Proof, Signature, Signer, Signers};
use crate::ops::safe_mode;
use crate::ops::verify::{self, Invariant};
use crate::store::{Db, StoreError, external_ids};

/// The most colliding external ids to list.
const MOST_COLLISIONS: i64 = 100;

#[derive(Args)]
pub(super) struct Options {
    #[command(flatten)]
    config: Config,
    /// Print the same JSON as the API
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(options: Options) -> Outcome {
    let app = open(options.config).await?;
    let mut db = app.store.read().await?;
    let found = verify::all(&mut db).await?;
    let stopped = sending_stopped(&mut db).await?;
    let alike = external_ids::collisions(&mut db, MOST_COLLISIONS).await?;
    drop(db);
    app.store.close().await;
    if !options.json {
        for one in &alike {
            let other = one.other.as_deref().unwrap_or_default();
            output::print_line(&format!(
                "ids    alike  the external id {:?} of the {} {} looks like that of {other}; check whether both are the same",
                one.was, one.kind, one.subject
            ));
        }
    }
    let told = print_invariants(&found, options.json);
    match found.iter().any(|one| one.stops && !one.holds()) {
        true => told.map_err(|Failure(broken)| Failure(format!("{broken}. {stopped}"))),
        false => told,
    }
}

/// Whether payments continue despite a violated invariant; this command only reports.
async fn sending_stopped(db: &mut Db) -> Result<&'static str, StoreError> {
    Ok(match (brake::on(db).await?, safe_mode::on(db).await?) {
        (true, _) => "Payments are stopped: see `bursar brake`.",
        (false, true) => "Safe mode is on, so nothing is sent.",
        (false, false) => {
            "Payments still go on: this command only checks, and Bursar stops them by itself when its own daily check finds something that nobody has looked at yet. To stop them now: bursar safe-mode on"
        }
    })
}

#[derive(Args)]
pub(super) struct ChainOptions {
    #[command(flatten)]
    config: Config,
    /// Print the same JSON as the API
    #[arg(long)]
    json: bool,
    /// Compare with the log's end in this signature, from `bursar audit sign` or the daily mail
    #[arg(long, value_name = "SIGNATURE")]
    signed: Option<String>,
    /// Check a proof printed by `bursar audit prove`
    #[arg(long, value_name = "FILE")]
    proof: Option<PathBuf>,
}

pub(super) async fn chain(options: ChainOptions) -> Outcome {
    let signed = match options.signed.as_deref().map(Signature::parse) {
        Some(None) => {
            return Err(Failure(
                "--signed is not a signature: a signature has four parts, ROWS.LAST.ROOT.TAG.".to_owned(),
            ));
        }
        signed => signed.flatten(),
    };
    let app = open(options.config).await?;
    if let Some(file) = options.proof {
        return proof(&app, &file).await;
    }
    let mut db = app.store.read().await?;
    let mut found = verify::chain(&mut db).await?;
    if let Some(signed) = signed {
        found.violations.extend(log_signature::difference(&mut db, &app.master_key, &signed).await?);
    }
    drop(db);
    app.store.close().await;
    print_invariants(&[found], options.json)
}

/// Checks a proof; also against this database, if its log reaches that far.
async fn proof(app: &App, file: &Path) -> Outcome {
    let read = std::fs::read_to_string(file).map_err(|error| error.to_string());
    let read = read.and_then(|text| serde_json::from_str::<Proof>(&text).map_err(|error| error.to_string()));
    let proof = read.map_err(|why| Failure(format!("{} holds no proof: {why}.", file.display())))?;
    let mut db = app.store.read().await?;
    let signers = Signers::of(&mut db, &app.master_key).await?;
    let stands_here = proof.matches_database(&mut db).await?;
    drop(db);
    app.store.close().await;
    if let Some(flaw) = proof.flaw(&signers) {
        return Err(Failure(format!("The proof does not hold: {flaw}.")));
    }
    if stands_here == Some(false) {
        return Err(Failure(format!(
            "The proof and this database differ: row {} of its activity log is another one. One of the two was changed.",
            proof.row
        )));
    }
    output::print_line(&format!("Row {} is in the activity log, unchanged.", proof.row));
    if stands_here.is_none() {
        output::print_line("The log of this database does not reach so far.");
    }
    if let Some(Signer::Before { id, at }) = proof.signer(&signers) {
        output::print_line(&format!(
            "It is signed by the key {id}, which was given up {}. Where somebody else may have that key, go by the database.",
            clock::human(at)
        ));
    }
    Ok(())
}

pub(super) async fn sign(options: WithJson) -> Outcome {
    let app = open(options.config).await?;
    let signature = log_signature::sign(&app).await.map_err(words)?;
    app.store.close().await;
    match options.json {
        true => {
            output::json(&serde_json::json!({ "rows": signature.rows, "signature": signature.to_string() }))
        }
        false => output::print_line(&signature.to_string()),
    }
    Ok(())
}

#[derive(Args)]
pub(super) struct ProveOptions {
    #[command(flatten)]
    config: Config,
    /// The row's number in `bursar audit verify` and the activity log export
    row: i64,
}

pub(super) async fn prove(options: ProveOptions) -> Outcome {
    let app = open(options.config).await?;
    let proof = log_signature::inclusion_proof(&app, options.row).await.map_err(words)?;
    app.store.close().await;
    output::json(&serde_json::json!(proof));
    Ok(())
}

#[derive(Args)]
pub(super) struct BrakeOptions {
    #[command(flatten)]
    config: Config,
    /// Resume payments; the note says what the problem was and why payments may continue
    #[arg(long, value_name = "NOTE")]
    release: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Reports whether something has stopped all payments, and resumes them.
pub(super) async fn brake(options: BrakeOptions) -> Outcome {
    let app = open(options.config).await?;
    if let Some(note) = &options.release {
        brake::release(&app, &operator(), note).await.map_err(words)?;
    }
    let mut db = app.store.read().await?;
    let (state, known) = (brake::state(&mut db).await?, brake::known(&mut db).await?);
    let says = brake::says(&mut db).await?;
    drop(db);
    app.store.close().await;
    if options.json {
        output::json(&serde_json::json!({ "brake": state, "known": known }));
        return Ok(());
    }
    let list = |broken: &[Broken]| {
        broken
            .iter()
            .for_each(|one| output::print_line(&format!("  {}  {}: {}", one.id, one.says, one.what)));
    };
    match &state {
        None => output::print_line(&format!("{says} `bursar verify` checks every rule now.")),
        Some(state) => {
            output::print_line(&format!(
                "Nothing has been sent since {}, because these rules are broken:",
                clock::human(state.at)
            ));
            list(&state.broken);
            output::print_line("Find out why, then run: bursar brake --release \"what it was\"");
        }
    }
    if !known.is_empty() {
        output::print_line(&format!("{}:", brake::KNOWN_SAYS));
        list(&known);
    }
    Ok(())
}

/// Prints the invariants; an error if one is violated.
pub(super) fn print_invariants(found: &[Invariant], json: bool) -> Outcome {
    if json {
        let rows: Vec<serde_json::Value> = found
            .iter()
            .map(|one| serde_json::json!({ "id": one.id, "holds": one.holds(), "checked": one.checked, "says": one.says, "violations": one.violations }))
            .collect();
        output::json(&serde_json::json!(rows));
    } else {
        for one in found {
            let holds = if one.holds() { "holds " } else { "BROKEN" };
            output::print_line(&format!("{} {holds} {:>8} checked  {}", one.id, one.checked, one.says));
            for violation in &one.violations {
                output::print_line(&format!("             {violation}"));
            }
        }
    }
    let broken = found.iter().filter(|one| !one.holds()).count();
    if broken == 0 {
        return Ok(());
    }
    Err(Failure(format!(
        "{broken} of {} invariants are broken; pay nothing until somebody has looked into them",
        found.len()
    )))
}
