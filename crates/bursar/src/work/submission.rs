//! A request to a vendor, before and after it is sent: what is to be paid by it, and what became of each of its payments. What
//! is deliberately not here: building its bytes (`chunks`), sending it (`send`).

use std::collections::BTreeMap;

use vendors::http::Received;
use vendors::paypal::batch as paypal_batch;
use vendors::{MoneyKind, MoneyRequest};

use payout::eligibility::Code;
use payout::ids::{AttemptId, BatchId, TransactionId};
use payout::money::Vendor;
use payout::transaction::Fact;

use crate::app::App;
use crate::ops::record::Heard;
use crate::store::submissions::{New, Submission};
use crate::store::transactions::{Attempt, Transaction};
use crate::work::unfunded::Refusals;
use crate::work::verdict::{self, Judged};

/// What a vendor said to one submission, or what was decided about it before anything was sent.
pub(super) struct Answered {
    pub(super) submission: Submission,
    pub(super) judged: Judged,
    /// What the accepted object says of itself already, for a payout that was paid at once.
    pub(super) fact: Option<Fact>,
    pub(super) sent_at: i64,
    /// The same by the vendor's clock, where ours is known to be ahead of it: how old its key is.
    pub(super) first_at: i64,
    /// The answer as it came, if one did.
    pub(super) raw: Option<Received>,
    /// The gates that its payments wait at.
    pub(super) waits: Vec<(TransactionId, Code)>,
}

impl Answered {
    /// Not sent, because the vendor has paid it in another way: what its object says.
    pub(super) fn found(submission: Submission, judged: Judged, fact: Fact) -> Self {
        Self { fact: Some(fact), ..Self::unsent(submission, judged, Vec::new()) }
    }

    /// Decided, and nothing sent.
    pub(super) fn unsent(submission: Submission, judged: Judged, waits: Vec<(TransactionId, Code)>) -> Self {
        Self { submission, judged, fact: None, sent_at: 0, first_at: 0, raw: None, waits }
    }
}

/// Nothing left us and nothing was learnt; what was said last stays said.
pub(super) fn unsent(submission: Submission, again: i64) -> Answered {
    let (why, detail) = submission.last.clone().unwrap_or_default();
    let judged = Judged { why, detail, ..verdict::waits(&submission, again) };
    Answered::unsent(submission, judged, Vec::new())
}

/// Our transactions in the order in which a PayPal batch's stored bytes name them.
pub(super) fn item_ids(submission: &Submission) -> Vec<String> {
    vendors::paypal::batch::sender_item_ids(submission.body.as_bytes())
}

/// Whether each item of a batch says which payment of ours it is. One that names something else may be any of them, so what is
/// not among the others is not known to be absent.
pub(super) fn names_ours(batch: &paypal_batch::Batch) -> bool {
    let ours = |name: Option<&str>| name.and_then(TransactionId::parse).is_some();
    batch.items.iter().all(|item| ours(item.sender_item_id.as_deref()))
}

/// A submission as it is committed.
pub(super) fn new_submission(
    app: &App,
    request: &MoneyRequest,
    batch: BatchId,
    vendor_account: Option<String>,
    now: i64,
) -> New {
    New {
        id: format!("sub_{}", payout::ids::encode(payout::ids::fresh(now, app.clock.chance()))),
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

/// Whether money of an item is out, or may be.
pub(super) fn is_out(said: &Fact) -> bool {
    matches!(said, Fact::ItemPending | Fact::ItemPaid | Fact::ItemOnHold(_) | Fact::ItemUnclaimed(_))
}

/// A queued attempt that may be sent, with what is needed to build its request.
pub(super) struct Ready {
    pub(super) attempt: Attempt,
    pub(super) transaction: Transaction,
    /// What is to come back, by the vendor's id: the transfer of a reversal, the item of a cancellation.
    pub(super) back: Option<Back>,
    /// It is looked for before it is sent: it was promised before the database was put back.
    pub(super) looks: bool,
    /// How often Stripe has refused its bank payout because the balance does not cover it.
    pub(super) refusals: Option<Refusals>,
}

impl Ready {
    /// For how long its bank payout has waited. A payout that was refused for want of money begins no new wait.
    pub(super) fn waited_us(&self, now: i64) -> i64 {
        let since = self.refusals.map_or(self.transaction.state_at, |refusals| refusals.since);
        now.saturating_sub(since.min(self.transaction.state_at))
    }
}

/// What is to come back.
#[derive(Clone)]
pub(super) struct Back {
    /// The vendor's id of it.
    pub(super) object: String,
    /// What of it somebody has taken back already.
    pub(super) part_minor: i64,
}

/// An attempt that waits, its transaction, and the gate it waits at.
pub(super) type Waiting = (AttemptId, TransactionId, Option<&'static str>);

/// What is decided about queued attempts before anything is written.
#[derive(Default)]
pub(super) struct Sorted {
    pub(super) ready: Vec<Ready>,
    /// What is only looked for now, whatever the gates say and whether or not its money is there.
    pub(super) looked_for: Vec<Ready>,
    pub(super) stopped: Vec<(Attempt, Code)>,
    pub(super) settled: Vec<(Attempt, Heard)>,
    pub(super) waiting: BTreeMap<i64, Vec<Waiting>>,
    /// How often the balance of a connected account had been shared out when it was read.
    pub(super) shares: BTreeMap<String, i64>,
    /// Payments whose balance Stripe does not show, and those of which it shows it again.
    pub(super) unseen: Vec<TransactionId>,
    pub(super) shown: Vec<TransactionId>,
    /// Payments whose transfer came back: they are asked about.
    pub(super) came_back: Vec<TransactionId>,
    /// The epoch of the database that it was decided by.
    pub(super) epoch: i64,
    /// When that was begun to be read.
    pub(super) decided_at: i64,
}

/// A field of a request's stored form.
pub(super) fn field(request: &MoneyRequest, name: &str) -> String {
    url::form_urlencoded::parse(request.body())
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default()
}
