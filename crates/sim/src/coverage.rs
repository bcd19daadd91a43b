//! Coverage of the law of a payment: the rows reached, by state, fact and leg, as logged by the program under the
//! target `law`. Not here: what each row says, which `cargo test -p payout --test law` prints.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Mutex, PoisonError};

use payout::transaction::State;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Metadata, Subscriber};

static REACHED: Mutex<BTreeMap<[String; 3], u64>> = Mutex::new(BTreeMap::new());

/// The number of fact and leg pairs: seven facts with any of five legs, and twenty with one.
const FACTS: usize = 7 * 5 + 20;

/// Subscribes to the `law` log target only.
struct Listener;

#[derive(Default)]
struct Row {
    state: String,
    fact: String,
    leg: String,
}

impl Visit for Row {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "state" => value.clone_into(&mut self.state),
            "fact" => value.clone_into(&mut self.fact),
            "leg" => value.clone_into(&mut self.leg),
            _ => {}
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn Debug) {}
}

impl Subscriber for Listener {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if metadata.target() == "law" { Interest::always() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "law"
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut row = Row::default();
        event.record(&mut row);
        let key = [row.state, row.leg, row.fact];
        *REACHED.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default() += 1;
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// Starts counting, for the whole process.
pub fn begin() {
    let _ = tracing::subscriber::set_global_default(Listener);
}

/// Every row that was reached, with its count.
pub fn reached() -> BTreeMap<[String; 3], u64> {
    REACHED.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// The number of rows, including unreachable ones.
pub fn rows() -> usize {
    State::ALL.len() * FACTS
}
