//! A request to a vendor, before and after it is sent: the queued payments it is built from, and its result. Not here:
//! building its bytes (`chunks`), sending it (`send`).

use std::collections::BTreeMap;

use vendors::http::Received;
use vendors::paypal::batch as paypal_batch;
use vendors::{MoneyKind, MoneyRequest};

use payout::eligibility::Code;
use payout::ids::{AttemptId, BatchId, TransactionId};
use payout::money::Vendor;
use payout::transaction::Fact;

use crate::app::App;
use crate::ops::record::Observation;
use crate::store::submissions::{New, Submission};
use crate::store::transactions::{Attempt, Transaction};
use crate::work::unfunded::Refusals;
use crate::work::verdict::{self, Judgment};

/// The result of one submission: the vendor's answer, or a decision made before sending.
pub(super) struct Answered {
    pub(super) submission: Submission,
    pub(super) judgment: Judgment,
    /// A fact the accepted object already reports, as for a payout that was paid at once.
    pub(super) fact: Option<Fact>,
    pub(super) sent_at: i64,
    /// `sent_at` by the vendor's clock if ours is known to be ahead: the age of its key counts from here.
    pub(super) first_at: i64,
    /// The raw answer, if there is one.
    pub(super) raw: Option<Received>,
    /// The gates its payments wait for.
    pub(super) waits: Vec<(TransactionId, Code)>,
}

impl Answered {
    /// Not sent, because the vendor has already paid it another way: what its object reports.
    pub(super) fn found(submission: Submission, judged: Judgment, fact: Fact) -> Self {
        Self { fact: Some(fact), ..Self::unsent(submission, judged, Vec::new()) }
    }

    /// Decided without sending.
    pub(super) fn unsent(
        submission: Submission,
        judged: Judgment,
        waits: Vec<(TransactionId, Code)>,
    ) -> Self {
        Self { submission, judgment: judged, fact: None, sent_at: 0, first_at: 0, raw: None, waits }
    }
}

/// Nothing was sent and nothing learned; keep the last message.
pub(super) fn unsent(submission: Submission, again: i64) -> Answered {
    let (why, detail) = submission.last.clone().unwrap_or_default();
    let judged = Judgment { why, detail, ..verdict::waits(&submission, again) };
    Answered::unsent(submission, judged, Vec::new())
}

/// Our transactions in the order of the items in a PayPal batch's stored bytes.
pub(super) fn item_ids(submission: &Submission) -> Vec<String> {
    vendors::paypal::batch::sender_item_ids(submission.body.as_bytes())
}

/// Whether every item of a batch names a payment of ours. An item that does not could be any of them, so a payment
/// missing from the list is not known to be absent.
pub(super) fn names_ours(batch: &paypal_batch::Batch) -> bool {
    let ours = |name: Option<&str>| name.and_then(TransactionId::parse).is_some();
    batch.items.iter().all(|item| ours(item.sender_item_id.as_deref()))
}

/// Builds a submission to be committed.
pub(super) fn new_submission(
    app: &App,
    request: &MoneyRequest,
    batch: BatchId,
    vendor_account: Option<String>,
    now: i64,
) -> New {
    New {
        id: format!("sub_{}", payout::ids::encode(payout::ids::fresh(now, app.clock.in_turn()))),
        key: request.key().to_owned(),
        vendor: match request.kind() {
            MoneyKind::Batch | MoneyKind::Cancel => Vendor::PayPal,
            MoneyKind::Transfer | MoneyKind::Payout | MoneyKind::Reversal => Vendor::Stripe,
        },
        kind: request.kind().as_str(),
        path: request.path().to_owned(),
        account: request.account().map(str::to_owned),
        // Both vendors' bodies are ASCII: a form, or JSON that escapes the rest.
        body: String::from_utf8_lossy(request.body()).into_owned(),
        batch,
        vendor_account,
        looks: false,
    }
}

/// Whether the money of an item is out, or may be.
pub(super) fn is_out(said: &Fact) -> bool {
    matches!(said, Fact::ItemPending | Fact::ItemPaid | Fact::ItemOnHold(_) | Fact::ItemUnclaimed(_))
}

/// A queued attempt that may be sent, with what is needed to build its request.
pub(super) struct Ready {
    pub(super) attempt: Attempt,
    pub(super) transaction: Transaction,
    /// The object to take back: the transfer of a reversal, the item of a cancellation.
    pub(super) back: Option<Back>,
    /// Look it up before sending: it was promised before the database was restored.
    pub(super) looks: bool,
    /// How often Stripe has refused its bank payout because the balance does not cover it.
    pub(super) refusals: Option<Refusals>,
}

impl Ready {
    /// How long its bank payout has waited. A payout refused for lack of funds does not restart the wait.
    pub(super) fn waited_us(&self, now: i64) -> i64 {
        let since = self.refusals.map_or(self.transaction.state_at, |refusals| refusals.since);
        now.saturating_sub(since.min(self.transaction.state_at))
    }
}

/// The object to take back.
#[derive(Clone)]
pub(super) struct Back {
    /// The vendor's id for it.
    pub(super) object: String,
    /// How much of it has already been taken back.
    pub(super) part_minor: i64,
}

/// A waiting attempt, its transaction, and the gate it waits for.
pub(super) type WaitingAttempt = (AttemptId, TransactionId, Option<&'static str>);

/// The decisions about queued attempts, before anything is written.
#[derive(Default)]
pub(super) struct QueueDecision {
    pub(super) ready: Vec<Ready>,
    /// Only looked up for now, whatever the gates say and whether or not it is funded.
    pub(super) looked_for: Vec<Ready>,
    pub(super) stopped: Vec<(Attempt, Code)>,
    pub(super) settled: Vec<(Attempt, Observation)>,
    pub(super) waiting: BTreeMap<i64, Vec<WaitingAttempt>>,
    /// How often a connected account's balance had been allocated when it was read.
    pub(super) shares: BTreeMap<String, i64>,
    /// Payments whose balance Stripe does not show, and those for which it shows it again.
    pub(super) unseen: Vec<TransactionId>,
    pub(super) shown: Vec<TransactionId>,
    /// Payments whose transfer was reversed: they are polled.
    pub(super) came_back: Vec<TransactionId>,
    /// The database epoch the decisions are based on.
    pub(super) epoch: i64,
    /// When reading the data for them began.
    pub(super) decided_at: i64,
}

/// A field of a request's stored form body.
pub(super) fn field(request: &MoneyRequest, name: &str) -> String {
    url::form_urlencoded::parse(request.body())
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default()
}
