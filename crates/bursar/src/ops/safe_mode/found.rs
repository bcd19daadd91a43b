//! Found payments: those that the vendors have and this database does not, because it was restored. Shows whom each may
//! have paid and which of their rewards can still be paid, and settles it. A settled one holds nobody, so those rewards can
//! be paid; whoever settles it has checked each of them.
//!
//! Not here: finding them (`work::search`), and settling one with the payment here that it names (`ops::by_hand`).

use payout::Refusal;
use payout::ledger::Payee;
use payout::reward::RewardStatus;
use sha2::{Digest as _, Sha256};

use super::note;
use crate::app::{Actor, App};
use crate::ops::{OpsError, Result};
use crate::store::found::{self, Unpaid, VendorStatus};
use crate::store::put_back::{self, FoundRow, Open};
use crate::store::{self, Db, payees};
use crate::transact;

/// The most rewards that are listed; the rest are counted.
const NAMED: usize = 50;
/// How long a found payment is polled after somebody settled it: PayPal returns unclaimed payments after 30 days, and a
/// bank may return a payout.
const WATCHED_US: i64 = 40 * 86_400_000_000;

/// The steps to settle a found payment, in order.
pub const STEPS: [&str; 6] = [
    "While safe mode is on, put payees who were put on hold after the backup on hold again, and change destinations again that were changed: when safe mode ends, queued payments go to the destinations in this database.",
    "End safe mode.",
    "Enter again what was entered after the backup: imports, rewards and clawbacks, what was voided or rejected, and what was paid outside Bursar.",
    "For a Stripe transfer, check in Stripe whether a payout of that account took it to the bank. If not, the money is in the payee's Stripe balance, and Bursar has no record of it: reverse the transfer in Stripe's dashboard, leave its rewards, and settle it. The rewards are then paid again, once.",
    "For every other payment, find the rewards that it paid and void them, or reject those that are not approved yet, with that reason; and void the clawbacks that it deducted. A payment that came back paid nothing: leave its rewards.",
    "Only then settle it. If you settle it earlier, its rewards can be paid a second time. Bursar asks its vendor about it for 40 more days: if its money comes back, it is listed again.",
];

/// The steps as one text.
pub fn steps() -> String {
    let numbered = STEPS.iter().enumerate().map(|(place, step)| format!("{}. {step}", place + 1));
    format!("In this order: {}", numbered.collect::<Vec<_>>().join(" "))
}

/// A found payment, for display.
#[derive(Clone, Debug)]
pub struct FoundPayment {
    pub listed: FoundRow,
    /// The payees it may have paid, with their names.
    pub payees: Vec<(Payee, String)>,
    /// Their rewards that can still be paid; empty if it is settled, or names a payment here.
    pub unpaid: Vec<Unpaid>,
}

impl FoundPayment {
    /// The statement that whoever settles it must confirm: that it paid none of these rewards, or who was paid if the payee
    /// is unknown. It changes whenever the facts do.
    pub fn none_of(&self) -> Option<String> {
        let asked = !self.unpaid.is_empty() || self.holds_nobody();
        asked.then(|| none_of(&self.listed, &self.unpaid))
    }

    /// Whether it is open, and its destination belongs to no known payee.
    pub fn holds_nobody(&self) -> bool {
        self.payees.is_empty() && self.listed.settled.is_none() && self.listed.payment.is_none()
    }

    /// What to find out about one that holds nobody.
    pub fn whom(&self) -> String {
        format!(
            "No payee here has had the destination {}, so nobody is on hold for it. Find out who was paid. If they were entered after the backup, enter them again with that destination instead of settling this, which puts them on hold. If they are here under another destination, put them on hold first.",
            self.listed.found.destination
        )
    }

    /// Its status at the vendor, if known.
    pub fn stands(&self) -> Option<String> {
        let (of, vendor) = (&self.listed.found, self.listed.found.vendor.label());
        let (stands, word) = self.listed.stands.as_ref()?;
        let parked = of.object_id.starts_with("po_");
        let message = match stands {
            VendorStatus::Waits => "It has not reached the payee yet, and may come back.",
            VendorStatus::Paid => "It has not come back.",
            VendorStatus::Lies => {
                "The payee does not have it: the money is in their Stripe balance, and Bursar has no record of it, unless a payout of Stripe's own schedule took it to the bank. Check that first. If none did, reverse the transfer in Stripe's dashboard: its rewards are owed."
            }
            VendorStatus::CameBack if parked => {
                "Its money is back in the payee's Stripe balance, and Bursar has no record of it: reverse its transfer in Stripe's dashboard. Its rewards are owed."
            }
            VendorStatus::CameBack => {
                "Its money came back, so it paid nothing, and its rewards are owed unless they were paid since."
            }
        };
        let before = self.listed.settled_before.as_ref().map(|(by, note)| {
            format!(
                " {by} had settled it before (“{note}”): enter the rewards again that were voided for it and not paid since."
            )
        });
        Some(format!("{vendor} says {word}. {message}{}", before.unwrap_or_default()))
    }

    /// The names of the payees it may have paid; empty if none is known.
    pub fn names(&self) -> String {
        self.payees.iter().map(|(_, name)| name.as_str()).collect::<Vec<_>>().join(", ")
    }
}

fn none_of(of: &FoundRow, unpaid: &[Unpaid]) -> String {
    let stands = of.stands.as_ref().map_or("", |(stands, _)| stands.as_str());
    let mut hash = Sha256::new_with_prefix(format!("{} {stands}\n", of.found.object_id));
    for one in unpaid {
        hash.update(format!("{} {} {}\n", one.number, one.value.minor, one.value.currency.code()));
    }
    hash.finalize().iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}

impl Unpaid {
    /// The displayed number of the reward.
    pub fn label(&self) -> String {
        format!("RW-{:06}", self.number)
    }

    /// Its status, to follow number and value.
    pub fn says(&self) -> String {
        if self.clawback {
            return "is a clawback, and is deducted from their next claim: void it if this payment already deducted it"
                .to_owned();
        }
        match (self.status, self.payment, &self.draft) {
            (RewardStatus::Approved, Some(payment), _) => format!(
                "is in PT-{payment:06}, which can be sent or resent once this is settled: return that payment to the pool before you void the reward"
            ),
            (RewardStatus::Approved, None, Some(draft)) => {
                format!("is in the draft {draft}, which can be paid once this is settled")
            }
            (RewardStatus::Approved, None, None) => {
                "is approved, and can be paid once this is settled".to_owned()
            }
            (
                RewardStatus::Submitted
                | RewardStatus::InReview
                | RewardStatus::Rejected
                | RewardStatus::Void,
                _,
                _,
            ) => "can be paid once it is approved".to_owned(),
        }
    }
}

/// What the open found payments hold: the payees by name, the payments, and that some hold nobody; `None` if none is open.
/// Shared by `bursar doctor`, `bursar safe-mode` and the page.
pub async fn held(db: &mut Db, open: &Open) -> store::Result<Option<String>> {
    if open.found == 0 {
        return Ok(None);
    }
    let mut messages = vec![match open.found {
        1 => "The vendors have 1 payment that is missing here or differs.".to_owned(),
        many => format!("The vendors have {many} payments that are missing here or differ."),
    }];
    let held: Vec<Payee> = put_back::held(db).await?.into_iter().collect();
    let mut names: Vec<String> = payees::names(db, &held).await?.into_values().map(|one| one.name).collect();
    names.sort_unstable();
    let more = names.len().saturating_sub(NAMED);
    names.truncate(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    messages.push(match names.is_empty() {
        true => "No payee is on hold for it.".to_owned(),
        false => {
            let settled = if open.found == 1 { "it is" } else { "each is" };
            format!("On hold until {settled} settled: {}{more}.", names.join(", "))
        }
    });
    messages.extend(match open.naming {
        ..=0 => None,
        1 => Some("1 of them names a payment in this database; that payment is held.".to_owned()),
        many => Some(format!("{many} of them name payments in this database; those payments are held.")),
    });
    messages.extend(match open.strangers {
        ..=0 => None,
        1 => Some("For 1 of them nobody is on hold: find out who was paid.".to_owned()),
        many => Some(format!("For {many} of them nobody is on hold: find out who was paid.")),
    });
    Ok(Some(messages.join(" ")))
}

/// Rewards by number and value, up to the limit.
fn named(unpaid: &[Unpaid]) -> String {
    let one = |one: &Unpaid| {
        let clawback = if one.clawback { "clawback of " } else { "" };
        format!("{} ({clawback}{})", one.label(), one.value)
    };
    let first: Vec<String> = unpaid.iter().take(NAMED).map(one).collect();
    match unpaid.len().saturating_sub(NAMED) {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}

/// The found payments, open ones first, up to `limit`.
pub async fn list(db: &mut Db, limit: i64) -> store::Result<Vec<FoundPayment>> {
    let mut all = Vec::new();
    for listed in put_back::list_found(db, limit).await? {
        all.push(shown(db, listed).await?);
    }
    Ok(all)
}

/// A found payment that has not been settled.
pub async fn open_one(db: &mut Db, object: &str) -> store::Result<Option<FoundPayment>> {
    match put_back::open_one(db, object).await? {
        Some(listed) => Ok(Some(shown(db, listed).await?)),
        None => Ok(None),
    }
}

async fn shown(db: &mut Db, listed: FoundRow) -> store::Result<FoundPayment> {
    let of = &listed.found;
    let found = found::payees_of(db, of.vendor, &of.object_id).await?;
    let names = payees::names(db, &found).await?;
    let called = found.iter().filter_map(|payee| Some((*payee, names.get(payee)?.name.clone()))).collect();
    let unpaid = match (&listed.settled, listed.payment) {
        (None, None) => found::rewards(db, &found, of.amount).await?,
        (Some(_), _) | (None, Some(_)) => Vec::new(),
    };
    Ok(FoundPayment { payees: called, unpaid, listed })
}

/// A statement about a found payment.
#[derive(Clone, Copy, Debug)]
pub struct SettlementNote<'a> {
    /// What was done about it, in their words.
    pub note: &'a str,
    /// The confirmed [`FoundPayment::none_of`], as they saw it: that it paid none of the payable rewards, or that its
    /// money came back; or, if the payee is unknown, that whoever it paid is on hold, or that it was not ours.
    pub none_of: Option<&'a str>,
}

/// An administrator says what was done about a found payment: its rewards were voided, marked as paid outside, or it was
/// not ours. From then on it holds nobody. Returns a sentence that explains the effect.
///
/// # Errors
/// [`OpsError::Refused`] without a note; [`OpsError::Conflict`] `settle_the_payment` if it names a payment here that holds
/// its rewards, `unpaid_rewards` if payable rewards remain that nobody has confirmed as not paid by it, `nobody_held` if
/// nobody has confirmed that the unknown payee is on hold, and `still_asking` while its payees' other payments are being
/// polled; [`OpsError::Missing`] if no such payment is open.
pub async fn settle_found(
    app: &App,
    actor: &Actor,
    object_id: &str,
    said: SettlementNote<'_>,
) -> Result<String> {
    let words = said.note.trim();
    if words.is_empty() {
        let sentence =
            "Write what was done about it, such as which rewards were voided. Nothing was changed.";
        return Err(OpsError::Refused(Refusal::new("note_required", sentence).at("note")));
    }
    let message = transact!(app, |tx| {
        let now = app.clock.now();
        found::hold(tx, object_id).await?;
        // Checked before the rewards are read, so that answers arriving in between show in them.
        if let Some(shown) = open_one(tx, object_id).await? {
            still_asked(tx, &shown).await?;
        }
        // Settling by statement would let that payment be sent, or its rewards be paid, again.
        if let Some(number) = put_back::names_open(tx, object_id).await? {
            let sentence = format!(
                "This belongs to PT-{number:06}, which is in this database. Settle that payment by hand: as made under this id, or as not made if the vendor shows that no money moved. Nothing was changed."
            );
            return Err(OpsError::Conflict(Refusal::new("settle_the_payment", sentence)));
        }
        // Anything entered after this read counts as entered after the settlement.
        let Some(shown) = open_one(tx, object_id).await? else { return Err(OpsError::Missing) };
        let asked = shown.none_of();
        if asked.is_some() && asked.as_deref() != said.none_of.map(str::trim) {
            return Err(not_asked(&shown, said.none_of.is_some()));
        }
        if put_back::settle_found(tx, object_id, &actor.name, words, now).await? == 0 {
            return Err(OpsError::Missing);
        }
        if !matches!(shown.listed.stands, Some((VendorStatus::CameBack, _))) {
            found::watch(tx, object_id, now.saturating_add(WATCHED_US)).await?;
        }
        let numbers: Vec<String> = shown.unpaid.iter().map(Unpaid::label).collect();
        let detail = serde_json::json!({ "object": object_id, "note": words, "did_not_pay": numbers });
        note(tx, &actor.id.to_string(), "unknown_payment_settled", &detail, now);
        what_it_means(tx, &shown).await
    })?;
    // Send what has been waiting for this.
    app.nudge.dispatch.notify();
    app.nudge.notify_watchers();
    Ok(message)
}

/// Refuses while the payees' other payments are being polled. One of them may have come back in the missing time, and this
/// payment may have replaced it; until the vendor answers, nobody knows which rewards are payable.
async fn still_asked(db: &mut Db, shown: &FoundPayment) -> Result<()> {
    let payees: Vec<Payee> = shown.payees.iter().map(|(payee, _)| *payee).collect();
    let open = put_back::still_asked(db, &payees).await?;
    if open.is_empty() {
        return Ok(());
    }
    let labels: Vec<String> = open.iter().take(NAMED).map(|number| format!("PT-{number:06}")).collect();
    let sentence = format!(
        "Bursar is still asking the vendor whether the money of these payments to {} has come back since the backup: {}. Try again in a few minutes. Nothing was changed.",
        shown.names(),
        labels.join(", ")
    );
    Err(OpsError::Conflict(Refusal::new("still_asking", sentence)))
}

fn not_asked(shown: &FoundPayment, of_others: bool) -> OpsError {
    let changed = if of_others { "This has changed since you looked. " } else { "" };
    let (code, sentence) = match shown.holds_nobody() {
        true => (
            "nobody_held",
            format!(
                "{} If they are on hold, or it paid none of your payees, confirm that too. Nothing was changed.",
                shown.whom()
            ),
        ),
        false => (
            "unpaid_rewards",
            format!(
                "These rewards of {} can be paid once this is settled, or once they are approved: {}. If this payment paid one of them, void or reject that one first, or it would be paid a second time. If it paid none of them, or its money came back, confirm that too. Nothing was changed.",
                shown.names(),
                named(&shown.unpaid)
            ),
        ),
    };
    OpsError::Conflict(Refusal::new(code, format!("{changed}{sentence}")).at("none_of"))
}

/// Records the status of found payments as reported by the vendor. One that was settled by statement and has come back is
/// reopened and alerted on, because its rewards may have been voided.
pub async fn record_statuses(app: &App, statuses: &[(String, Option<(VendorStatus, String)>)]) -> Result<()> {
    let opened = transact!(app, |tx| {
        let (now, mut opened) = (app.clock.now(), Vec::new());
        for (object, says) in statuses {
            let says = says.as_ref().map(|(stands, word)| (*stands, word.as_str()));
            if found::record_vendor_status(tx, object, says, now).await? {
                let detail =
                    serde_json::json!({ "object": object, "vendor_says": says.map(|(_, word)| word) });
                note(tx, "reconcile", "unknown_payment_came_back", &detail, now);
                opened.push(object.clone());
            }
        }
        Ok(opened)
    })?;
    if !opened.is_empty() {
        metrics::counter!("bursar_alarms_total").increment(1);
        tracing::error!(
            ?opened,
            "the money of payments that were settled on the Safe mode page came back; they are listed there again"
        );
        app.nudge.notify_watchers();
    }
    Ok(())
}

/// The effect of settling a found payment, in words.
async fn what_it_means(db: &mut Db, shown: &FoundPayment) -> Result<String> {
    let (mut free, mut sentences) = (Vec::new(), Vec::new());
    for (payee, name) in &shown.payees {
        match found::holding(db, *payee).await?.first() {
            None => free.push((*payee, name.as_str())),
            Some(other) => {
                let other = format!("{} {}", other.vendor.label(), other.object);
                sentences.push(format!("{name} stays on hold, for {other}."));
            }
        }
    }
    let names: Vec<&str> = free.iter().map(|(_, name)| *name).collect();
    sentences.insert(
        0,
        match names.is_empty() {
            true => "It is settled.".to_owned(),
            false => format!("It is settled, and no longer holds {}.", names.join(", ")),
        },
    );
    let payable = |one: &&Unpaid| free.iter().any(|(payee, _)| *payee == one.payee);
    let payable: Vec<Unpaid> = shown.unpaid.iter().filter(payable).cloned().collect();
    if !payable.is_empty() {
        sentences.push(format!("This no longer blocks these: {}. They can be paid once they are approved and nothing else blocks their payee.", named(&payable)));
    } else if !free.is_empty() {
        sentences.push("It held no unpaid reward.".to_owned());
    }
    let payees: Vec<Payee> = free.iter().map(|(payee, _)| *payee).collect();
    let stopped = found::stopped(db, &payees).await?;
    if !stopped.is_empty() {
        let labels: Vec<String> = stopped.iter().map(|number| format!("PT-{number:06}")).collect();
        sentences.push(format!(
            "Stopped because the payee was on hold, and not sent: {}. Resubmit each, or return it to the pool.",
            labels.join(", ")
        ));
    }
    Ok(sentences.join(" "))
}
