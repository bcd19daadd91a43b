//! Pay: a commitment to a snapshot. One database transaction verifies that nothing has changed since it was shown, checks
//! every gate again, and writes the transactions, their first attempts and the ledger entries. Nothing is sent here:
//! `work::dispatch` sends what is committed.

use std::collections::BTreeMap;

use payout::eligibility::{Blocker, Code};
use payout::ids::{AttemptId, BatchId, TransactionId};
use payout::money::{Currency, Money, Sum, Vendor};
use payout::transaction::Terms;

use super::audit::batch_changed;
use super::batches::{no_draft, view_draft};
use super::idempotency::{self, Idempotency};
use super::{OpsError, Result, batches as prepare, claims, limits, settings, unusual};
use crate::app::{Actor, App};
use crate::ops::batches::view::{self, BatchView};
use crate::store::transactions::{Line, New};
use crate::store::{self, Tx, audit, batches, transactions};
use crate::transact;

/// The vendor balances, read just before Pay, and how much of them is committed to unsent payments. A missing currency is
/// unknown, which warns but does not block.
#[derive(Clone, Debug, Default)]
pub struct Balances {
    /// As reported by the vendors.
    pub reported: Vec<(Vendor, Money)>,
    /// Needed by earlier payments that the vendor does not have, or may not have, yet.
    pub committed: Vec<(Vendor, Sum)>,
    /// When the vendors were asked; payments sent after that may not be reflected in their answers.
    pub read_at: i64,
}

/// A vendor and currency whose balance does not cover the claims and their fees.
#[derive(Clone, Copy, Debug)]
pub struct Shortfall {
    pub vendor: Vendor,
    /// The total of the claims and their fees.
    pub needed: Sum,
    pub has: Money,
    /// How much of the balance is already committed.
    pub committed: Sum,
}

impl Balances {
    /// The balance in this currency, if the vendor reported it.
    pub fn of(&self, vendor: Vendor, currency: Currency) -> Option<Money> {
        let mut rows = self.reported.iter();
        rows.find(|(at, money)| *at == vendor && money.currency == currency).map(|(_, money)| *money)
    }

    /// How much of the balance is committed to unsent payments.
    pub fn committed(&self, vendor: Vendor, currency: Currency) -> Sum {
        let mut rows = self.committed.iter();
        let found = rows.find(|(at, sum)| *at == vendor && sum.currency == currency);
        found.map_or(Sum::nothing(currency), |(_, sum)| *sum)
    }

    /// Where the balance does not cover the claims and their fees on top of what is already committed.
    pub fn short(&self, view: &BatchView) -> Vec<Shortfall> {
        let mut needs: BTreeMap<(Vendor, Currency), i128> = BTreeMap::new();
        for claim in &view.claims {
            let Some(vendor) = claim.vendor() else { continue };
            let needed = i128::from(claim.net.minor) + i128::from(claim.fee.minor);
            *needs.entry((vendor, claim.net.currency)).or_default() += needed;
        }
        let short = |((vendor, currency), minor): ((Vendor, Currency), i128)| {
            let (has, promised) = (self.of(vendor, currency)?, self.committed(vendor, currency));
            let lacking = i128::from(has.minor) < promised.minor + minor;
            lacking.then_some(Shortfall {
                vendor,
                needed: Sum::new(minor, currency),
                has,
                committed: promised,
            })
        };
        needs.into_iter().filter_map(short).collect()
    }

    /// Blockers for balances that do not cover the batch. An unknown balance does not block.
    pub fn blockers(&self, view: &BatchView) -> Vec<Blocker> {
        let told = |Shortfall { vendor, needed, has, committed: promised }: Shortfall| {
            let of_it = match promised.minor {
                0 => String::new(),
                _ => format!(", of which {promised} is committed to payments that have not been sent yet"),
            };
            let note =
                format!("{} has {has} available{of_it}; {needed} is needed with fees.", vendor.label());
            Blocker::new(Code::VendorBalanceLow, view.batch.id).noting(Some(note))
        };
        self.short(view).into_iter().map(told).collect()
    }
}

/// What the person who pressed Pay was shown.
#[derive(Clone, Debug)]
pub struct ConfirmedTotals {
    pub digest: String,
    /// The totals, in any order.
    pub totals: Vec<Sum>,
}

#[derive(Clone, Debug)]
pub struct Paid {
    pub batch: BatchView,
    /// The number of transactions written.
    pub transactions: usize,
}

/// Pays a batch exactly as shown, or not at all.
///
/// # Errors
/// [`OpsError::Conflict`] with the differences if the batch has changed, was paid or was deleted; [`OpsError::Blocked`]
/// with every closed gate.
pub async fn pay(
    app: &App,
    actor: &Actor,
    id: BatchId,
    seen: &ConfirmedTotals,
    balances: &Balances,
    once: Option<&Idempotency<Paid>>,
) -> Result<Paid> {
    let paid = transact!(app, |tx| {
        let paid = pay_in(tx, app, actor, id, seen, balances).await?;
        idempotency::finish(tx, once, &paid).await?;
        Ok(paid)
    });
    if let Err(OpsError::Blocked(_)) = &paid {
        claims::note_stopped(app, id).await?;
    }
    let paid = paid?;
    app.nudge.dispatch.notify();
    app.nudge.notify_watchers();
    Ok(paid)
}

async fn pay_in(
    tx: &mut Tx,
    app: &App,
    actor: &Actor,
    id: BatchId,
    seen: &ConfirmedTotals,
    balances: &Balances,
) -> Result<Paid> {
    let now = app.clock.now();
    let locked = batches::lock_draft(tx, id).await?;
    let draft = batches::find(tx, &id.to_string()).await?;
    if !locked {
        return Err(no_draft(&draft));
    }
    // Serialize Pays: fees, the remaining balance and the daily limits depend on what other Pays have committed, so read
    // none of it before this lock is held.
    batches::lock_pays(tx).await?;
    let view = view_draft(tx, draft, now).await?;
    same_as_seen(&view, seen)?;
    let mut blockers = view.all_blockers();
    blockers.extend(balances.blockers(&view));
    if !blockers.is_empty() {
        return Err(OpsError::Blocked(blockers));
    }
    let rules = settings::load(tx).await?;
    let payer = limits::Payer::of(tx, actor, now).await?;
    limits::take_up(tx, &rules, id, &view::sums(&view.claims), &payer, now).await?;
    // Another Pay may have committed or sent some of the balance since it was read.
    let promised = batches::committed(tx, balances.read_at).await?;
    let short = Balances { committed: promised, ..balances.clone() }.blockers(&view);
    if !short.is_empty() {
        return Err(OpsError::Blocked(short));
    }
    // Read this before the batch becomes part of the payment history.
    let noticed = noticed(tx, &view, now).await?;
    let written = write(tx, app, actor, &view, now).await?;
    if !batches::mark_paid(tx, id, &actor.id.to_string(), &view.digest, now).await? {
        return Err(no_draft(&view.batch));
    }
    store::shown::forget(tx, id).await?;
    let detail = serde_json::json!({ "digest": view.digest, "transactions": written, "unusual": noticed });
    let detail = detail.to_string();
    let (actor, subject) = (actor.id.to_string(), id.to_string());
    tx.audit(audit::Entry { at: now, actor, action: "batch_paid", subject, detail });
    if !store::vendors::bind_batch(tx, id).await? {
        return Err(batch_changed(
            "The connection to a vendor of this payout was removed at the same time, so nothing was paid. Connect the vendor, then look at the payout again.",
        ));
    }
    let batch = prepare::view(tx, &id.to_string(), now).await?;
    Ok(Paid { batch, transactions: written })
}

/// The warnings shown at Pay, for the audit row: claims that differ from what their payees were paid before, and those that
/// take their payees over the tax reporting threshold.
async fn noticed(tx: &mut Tx, view: &BatchView, now: i64) -> Result<serde_json::Value> {
    let mut noticed = unusual::kept(&unusual::of(tx, view, now).await?);
    let crossings = view::crossings(tx, view, now).await?;
    if !crossings.is_empty() {
        let shown: Vec<String> =
            crossings.iter().take(unusual::SHOWN).map(|one| one.payee.to_string()).collect();
        noticed["crosses_tax_line"] = serde_json::json!({ "count": crossings.len(), "shown": shown });
    }
    Ok(noticed)
}

/// The digest covers everything; the totals are compared as well to describe the difference.
fn same_as_seen(view: &BatchView, seen: &ConfirmedTotals) -> Result<()> {
    let mut theirs = seen.totals.clone();
    theirs.sort_by_key(|sum| sum.currency);
    let tell = |totals: &[Sum]| match totals.is_empty() {
        true => "nothing".to_owned(),
        false => totals.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    };
    if theirs != view.totals && !payout::planted::on("digest_ignored") {
        return Err(batch_changed(format!(
            "The batch was changed after it was shown: you saw {}, it is now {}. Nothing was paid. Look at it again, then pay.",
            tell(&theirs),
            tell(&view.totals)
        )));
    }
    if seen.digest != view.digest && !payout::planted::on("digest_ignored") {
        return Err(batch_changed(
            "The totals are the same, but a reward, a payee or a destination in the batch was changed after it was shown. Nothing was paid. Look at it again, then pay.",
        ));
    }
    Ok(())
}

/// Writes the transactions, their first attempts, the rewards' assignments and the ledger entries.
async fn write(tx: &mut Tx, app: &App, actor: &Actor, view: &BatchView, now: i64) -> Result<usize> {
    let count = i64::try_from(view.claims.len()).unwrap_or(i64::MAX);
    let first = store::next_numbers(tx, "transaction", count).await?;
    let (mut new, mut journals, mut lines, mut joined) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (number, claim) in (first..).zip(&view.claims) {
        let Some(destination) = &claim.destination else { continue };
        let vendor = destination.vendor();
        let terms = Terms { payee: claim.payee, vendor, amount: claim.total, net: claim.net };
        let id = TransactionId::fresh(now, app.clock.in_turn());
        let attempt = AttemptId::fresh(now, app.clock.in_turn());
        joined.extend(claim.rewards.iter().map(|(reward, _, minor)| (*reward, id, *minor)));
        journals.push((id.to_string(), Some(attempt.to_string()), terms.reserve()));
        lines.push(Line {
            transaction: id,
            at: now,
            source: "person",
            effect: "pay_pressed".to_owned(),
            detail: Some(format!("{} by {}", view.batch.number, actor.name)),
            event_id: None,
        });
        let (fee, monthly) = (claim.fee, claim.monthly);
        new.push(New { id, number, terms, fee, monthly, destination, attempt });
    }
    transactions::insert(tx, view.batch.id, &new, now).await?;
    if batches::join_transactions(tx, view.batch.id, &joined).await? != joined.len() as u64 {
        return Err(batch_changed(
            "A reward of the batch was changed at the same time, so nothing was paid. Look at it again.",
        ));
    }
    store::ledger::write_once(tx, now, &app.clock, &journals).await?;
    transactions::write_timeline(tx, &lines, payout::ids::fresh(now, app.clock.in_turn())).await?;
    Ok(new.len())
}
