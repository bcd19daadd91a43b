//! A batch after Pay: its claims are its transactions, and some of those may need a person. Not here: a batch that is
//! still being prepared.

use payout::batch;
use payout::eligibility::{Blocker, Code, Who};
use payout::ledger::Payee;
use payout::money::Money;
use payout::transaction::State;

use super::totals;
use super::view::{BatchView, ClaimView};
use crate::ops::{Result, views};
use crate::store::batches::{self, Batch};
use crate::store::transactions::{self, Transaction};
use crate::store::{self, Db, payees};

/// A batch that was paid: its claims are its transactions.
pub(super) async fn view(db: &mut Db, batch: Batch) -> Result<BatchView> {
    let (mut found, unreadable) = transactions::of_batch(db, batch.id).await?;
    found.sort_by_key(|transaction| (transaction.terms.payee, transaction.terms.amount.currency));
    let of: Vec<Payee> = found.iter().map(|transaction| transaction.terms.payee).collect();
    let names = payees::names(db, &of).await?;
    let counts = batches::reward_counts(db, batch.id).await?;
    let states: Vec<(State, bool)> =
        found.iter().map(|transaction| (transaction.state, transaction.outside.is_some())).collect();
    let overrides = store::claims::overrides(db, &[batch.id]).await?;
    let overridden =
        |payee, total| overrides.iter().find(|one| one.payee == payee && one.total == total).cloned();
    let claims: Vec<ClaimView> = found
        .into_iter()
        .map(|transaction| ClaimView {
            payee: transaction.terms.payee,
            named: names.get(&transaction.terms.payee).cloned(),
            total: transaction.terms.amount,
            beyond: None,
            fee: transaction.fee,
            monthly: Money::new(0, transaction.fee.currency),
            net: transaction.terms.net,
            rewards: Vec::new(),
            reward_count: counts.get(&transaction.id).copied().unwrap_or(0),
            destination: Some(transaction.destination),
            blockers: Vec::new(),
            overridden: overridden(transaction.terms.payee, transaction.terms.amount),
            crossing: None,
        })
        .collect();
    Ok(BatchView {
        status: batch::status_after_pay(states),
        totals: totals(&claims),
        digest: batch.digest.clone().unwrap_or_default(),
        blockers: vec![after_pay(db, &batch, &unreadable).await?],
        unreadable,
        batch,
        claims,
    })
}

/// At most this many payments that need a person are named.
const NAMED: usize = 5;

/// A blocker that says the batch was paid, and which of its payments need a person, if any.
async fn after_pay(db: &mut Db, batch: &Batch, unreadable: &[String]) -> Result<Blocker> {
    let blocker = Blocker::new(Code::AlreadyPaying, batch.id).called(Some(batch.number.clone()));
    let filter = transactions::Filter { batch: Some(batch.id), ..views::needing_attention() };
    let found = transactions::list(db, &filter, i64::from(i32::MAX)).await?;
    let describe = |one: &Transaction| match one.contradicted_at {
        Some(_) => format!("{} (contradicted by its vendor)", one.label()),
        None => format!("{} ({})", one.label(), one.state.status().label()),
    };
    let mut labels: Vec<String> = found.iter().map(describe).collect();
    labels.extend(unreadable.iter().map(|number| format!("{number} (its record cannot be read)")));
    if labels.is_empty() {
        return Ok(blocker);
    }
    let count = match labels.len() {
        1 => "1 of its payments needs attention".to_owned(),
        many => format!("{many} of its payments need attention"),
    };
    let more = labels.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    labels.truncate(NAMED);
    let note = format!("{count}: {}{more}.", labels.join(", "));
    let remedy = "Open each of these payments: its page says why and what can be done.";
    Ok(blocker.noting(Some(note)).acting(Who::Payer, remedy))
}
