//! Crash tests with a real process: `bursar serve` on its own database, with both simulated vendors, serves an honest
//! client. At a named point the process is killed with SIGKILL and restarted. Once everything has settled, the vendors'
//! books and the database are checked from outside. Not here: which points, and how many in parallel (`bursar-sim
//! crash`).

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

/// The time limit for one workload, including everything that happens to it.
const PATIENCE: Duration = Duration::from_secs(240);

/// The setup of one workload and its failures.
#[derive(Clone)]
pub struct Plan {
    pub strikes: Vec<Strike>,
    /// The number of processes that serve the database.
    pub nodes: usize,
    /// Additional environment variables for them.
    pub variables: Vec<(String, String)>,
    /// The machine itself fails: a process may exit by itself, and a 500 is acceptable.
    pub may_end: bool,
    /// Clocks are so wrong that vendors' events look too old.
    pub old_events: bool,
    /// The planted fault to enable.
    pub planted: Option<&'static str>,
    /// The parent folder of all files, if set.
    pub folder: Option<PathBuf>,
    /// Kept alive as long as the plan.
    pub kept: Option<Arc<dyn Any + Send + Sync>>,
}

impl Plan {
    /// A plan with these strikes on this many nodes.
    pub fn of(strikes: Vec<Strike>, nodes: usize) -> Self {
        let (variables, may_end, old_events, planted) = (Vec::new(), false, false, None);
        Self { strikes, nodes, variables, may_end, old_events, planted, folder: None, kept: None }
    }
}

/// The result of a workload.
pub struct RunOutcome {
    /// What was wrong; empty if nothing was.
    pub failures: Vec<String>,
    /// How often each point was reached, across restarts.
    pub passed: BTreeMap<String, u32>,
    /// The strikes that actually occurred.
    pub struck: Vec<String>,
    /// The final state of rewards and payments, as reported by the API.
    pub end: String,
    /// The longest time without a usable answer for the client, in microseconds.
    pub away_us: i64,
    /// The end of the process's log.
    pub log: String,
}

/// Runs the workload as planned; `expected` is its final state without any strike.
pub async fn once(number: u64, binary: &Path, plan: &Plan, expected: Option<&str>) -> RunOutcome {
    let place = Place::open(number, plan).await;
    let start = |node| Keeper::start(&place, Recipe::of(&place, binary, node, plan));
    let keepers: Vec<Keeper> = (0..plan.nodes).map(start).collect();
    let balancer = (plan.nodes > 1).then(|| before(&place, &keepers));
    let client = Client::of(&place);
    let done = tokio::time::timeout(PATIENCE, errand::run(&place, &client)).await;
    let (mut failures, mut end) = (Vec::new(), String::new());
    match done {
        Ok(Ok(table)) => end = table,
        Ok(Err(why)) => failures.push(format!("the errand: {why}")),
        Err(_) => failures.push(format!("the errand was not done in {PATIENCE:?}; last: {}", client.last())),
    }
    let struck = place.leader.struck();
    for keeper in keepers {
        failures.extend(keeper.stop().await);
    }
    if let Some(balancer) = balancer {
        balancer.abort();
    }
    if !plan.may_end {
        failures.extend(client.faults());
    }
    if failures.is_empty() {
        failures.extend(judge::commands(&place, binary).await);
        let broken = judge::broken(&place).await;
        let old_events = plan.old_events || place.leapt();
        failures.extend(broken.into_iter().filter(|one| !(old_events && one.starts_with(GENUINE))));
    }
    if let Some(expected) = expected.filter(|expected| failures.is_empty() && *expected != end) {
        failures.push(format!("another end than without a crash:\n{}", judge::difference(expected, &end)));
    }
    let passed = place.leader.passed();
    let (log, away_us) = (place.log_tail(), client.longest_away_us());
    place.close().await;
    RunOutcome { failures, passed, struck, end, away_us, log }
}

/// The violation reported when a genuine event was rejected.
const GENUINE: &str = "I17: the genuine event";

/// A load balancer in front of the nodes.
fn before(place: &Place, keepers: &[Keeper]) -> JoinHandle<()> {
    let nodes = place.listen.iter().zip(keepers);
    let nodes = nodes.map(|(address, keeper)| Node { address: address.clone(), pid: keeper.pid() });
    let address = place.base_url.trim_start_matches("http://");
    balancer::stand(address, nodes.collect(), place.leader.records())
}
