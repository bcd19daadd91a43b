//! A real process that is killed for real: `bursar serve` on a database of its own, with both vendors beside it, does an
//! errand for an honest client; at a named point it is ended by SIGKILL, started again, and when everything has settled the
//! vendors' books and the database are looked at from outside. What is deliberately not here: which points, and how many at a
//! time (`bursar-sim crash`).

pub mod balancer;
pub mod client;
pub mod errand;
pub mod judge;
pub mod leader;
pub mod place;
pub mod process;
pub mod trouble;

use std::any::Any;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use balancer::Node;
use client::Client;
use leader::Strike;
use place::Place;
use process::{Keeper, Recipe};
use tokio::task::JoinHandle;

/// How long one errand may take with all that befalls it.
const PATIENCE: Duration = Duration::from_secs(240);

/// What an errand is done with, and what befalls it.
#[derive(Clone)]
pub struct Plan {
    pub strikes: Vec<Strike>,
    /// So many processes serve the database.
    pub nodes: usize,
    /// More variables of their environment.
    pub variables: Vec<(String, String)>,
    /// The machine itself is in trouble: a process may end by itself, and 500 is an answer.
    pub may_end: bool,
    /// Clocks are so wrong that vendors' events look too old.
    pub old_events: bool,
    /// The wrong turn that the program takes.
    pub planted: Option<&'static str>,
    /// Everything lies below this folder, where one is named.
    pub folder: Option<PathBuf>,
    /// Kept for as long as the plan is.
    pub kept: Option<Arc<dyn Any + Send + Sync>>,
}

impl Plan {
    /// These strikes, on so many nodes.
    pub fn of(strikes: Vec<Strike>, nodes: usize) -> Self {
        let (variables, may_end, old_events, planted) = (Vec::new(), false, false, None);
        Self { strikes, nodes, variables, may_end, old_events, planted, folder: None, kept: None }
    }
}

/// What came of an errand.
pub struct Came {
    /// What was wrong; nothing, where all is well.
    pub told: Vec<String>,
    /// How often the process came to each point, in all its lives.
    pub passed: BTreeMap<String, u32>,
    /// The strikes that befell it.
    pub struck: Vec<String>,
    /// What there was in the end: rewards and payments, as the API tells of them.
    pub end: String,
    /// The longest time for which the client got no answer that it could use, in microseconds.
    pub away_us: i64,
    /// The last of the process's log.
    pub log: String,
}

/// Does the errand as planned; `expected` is how it ends when nothing befalls it.
pub async fn once(number: u64, binary: &Path, plan: &Plan, expected: Option<&str>) -> Came {
    let place = Place::open(number, plan).await;
    let start = |node| Keeper::start(&place, Recipe::of(&place, binary, node, plan));
    let keepers: Vec<Keeper> = (0..plan.nodes).map(start).collect();
    let balancer = (plan.nodes > 1).then(|| before(&place, &keepers));
    let client = Client::of(&place);
    let done = tokio::time::timeout(PATIENCE, errand::run(&place, &client)).await;
    let (mut told, mut end) = (Vec::new(), String::new());
    match done {
        Ok(Ok(table)) => end = table,
        Ok(Err(why)) => told.push(format!("the errand: {why}")),
        Err(_) => told.push(format!("the errand was not done in {PATIENCE:?}; last: {}", client.last())),
    }
    let struck = place.leader.struck();
    for keeper in keepers {
        told.extend(keeper.stop().await);
    }
    if let Some(balancer) = balancer {
        balancer.abort();
    }
    if !plan.may_end {
        told.extend(client.faults());
    }
    if told.is_empty() {
        told.extend(judge::commands(&place, binary).await);
        let broken = judge::broken(&place).await;
        let old_events = plan.old_events || place.leapt();
        told.extend(broken.into_iter().filter(|one| !(old_events && one.starts_with(GENUINE))));
    }
    if let Some(expected) = expected.filter(|expected| told.is_empty() && *expected != end) {
        told.push(format!("another end than without a crash:\n{}", judge::difference(expected, &end)));
    }
    let passed = place.leader.passed();
    let (log, away_us) = (place.log_tail(), client.longest_away_us());
    place.close().await;
    Came { told, passed, struck, end, away_us, log }
}

/// What is said of an event that was refused though it was genuine.
const GENUINE: &str = "I17: the genuine event";

/// A balancer before the nodes.
fn before(place: &Place, keepers: &[Keeper]) -> JoinHandle<()> {
    let nodes = place.listen.iter().zip(keepers);
    let nodes = nodes.map(|(address, keeper)| Node { address: address.clone(), pid: keeper.pid() });
    let address = place.base_url.trim_start_matches("http://");
    balancer::stand(address, nodes.collect(), place.leader.records())
}
