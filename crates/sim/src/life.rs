//! One simulated run: the scenario for a seed, run on a stage of its own, with its result. Not here: how many are run,
//! and where (`main`).

use std::any::Any;
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;

use bursar::store::transactions::{self, Filter};
use futures::FutureExt as _;
use sha2::{Digest as _, Sha256};

use crate::author::{Author, Taste};
use crate::outside::Outside;
use crate::stage::Stage;

/// The result of a run.
pub struct Life {
    pub text: String,
    /// What was wrong; `None` if nothing was.
    pub failure: Option<String>,
    /// The commands, their results, and the final contents of the database and the vendors' books: identical for the
    /// same seed, byte for byte.
    pub log: String,
    /// The number of payments by state.
    pub states: BTreeMap<String, usize>,
}

/// Runs the scenario of a seed.
pub async fn of_seed(seed: u64, taste: Taste) -> Life {
    of_text(seed, Author::new(seed, taste).write()).await
}

pub async fn of_text(seed: u64, text: String) -> Life {
    let mut stage = Stage::swift(&format!("life_{seed}"), seed).await;
    let name = format!("seed {seed}");
    let failure = match AssertUnwindSafe(stage.play(&name, &text)).catch_unwind().await {
        Ok(outcome) => outcome.err(),
        Err(panic) => Some(format!("\n{name} panicked:\n  {}\n", words_of(panic.as_ref()))),
    };
    let failure = match failure {
        Some(message) => Some(message + &stage.plot().await),
        None => None,
    };
    let states = states(&stage).await;
    let mut log = std::mem::take(&mut stage.log);
    log.extend(end(&stage).await);
    stage.close(Ok(())).await;
    Life { text, failure, log: log.join("\n"), states }
}

fn words_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("without words").to_owned()
}

async fn states(stage: &Stage) -> BTreeMap<String, usize> {
    let mut db = stage.world.app.store.read().await.unwrap();
    let all = transactions::list(&mut db, &Filter::default(), i64::from(i32::MAX)).await.unwrap();
    let mut states = BTreeMap::new();
    all.iter().for_each(|one| *states.entry(one.state.as_str().to_owned()).or_default() += 1);
    states
}

/// The final state: payment requests and webhooks as they arrived, and a hash of every table.
async fn end(stage: &Stage) -> Vec<String> {
    let books = stage.world.simulator.books();
    let mut log = Vec::new();
    for one in &books.requests {
        log.push(format!("request {} {:?} {:?} executed={}", one.at, one.key, one.path, one.executed));
    }
    for one in &books.webhooks {
        log.push(format!("webhook {} {} {} answered {}", one.at, one.event_type, one.event_id, one.answered));
    }
    let outside = Outside::of(&stage.world.database_url).await;
    for (table, columns, order) in TABLES {
        let rows = outside.texts(&format!("SELECT {columns} FROM {table} ORDER BY {order}"), columns).await;
        let mut hash = Sha256::new();
        rows.iter().for_each(|row| hash.update(row));
        let short: String = hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        log.push(format!("table {table} {} rows {short}", rows.len()));
    }
    outside.close().await;
    log
}

/// What must be equal in two runs of one seed: table, columns, order.
const TABLES: [(&str, &str, &str); 11] = [
    ("reward", "id, status, batch_id, transaction_id, paid_at, version", "id"),
    ("batch", "id, number, pay_pressed_at, deleted_at, digest", "id"),
    (
        "payout_transaction",
        "id, number, state, state_at, reason_code, ask_at, contradicted_at, released_at",
        "id",
    ),
    ("attempt", "id, leg, number, state, vendor_id, submission_id", "id"),
    ("submission", "id, key, body, state, fence, tries, doubts, looks", "id"),
    ("vendor_event", "id, event_id, event_type, effect, applied_at, parked_at", "id"),
    ("timeline", "id, at, source, effect, detail", "id"),
    ("journal", "id, movement, subject, at", "id"),
    ("posting", "journal_id, line, account, currency, amount_minor", "journal_id, line"),
    ("audit", "seq, at, actor, action, subject, hash", "seq"),
    ("outbox", "id, notice, subject, created_at", "id"),
];
