//! Second payments: what a payee was paid twice is deducted from their next claim by a clawback, which is withdrawn if
//! the second payment comes back. The books show a second payment as owed by the payee as soon as it is known, so this
//! clawback books nothing. Not here: proving a second payment (`by_hand`), and clawbacks that people enter (`rewards`).

use payout::external;
use payout::ids::{RewardId, TransactionId};
use payout::ledger::{Journal, Payee};
use payout::money::Money;
use payout::reward::{Entry, RewardStatus};
use serde_json::json;

use super::rewards::{changed_meanwhile, clawback, owed};
use super::{OpsError, Result};
use crate::app::{Actor, App};
use crate::store::batches;
use crate::store::contradictions::RewardLocation;
use crate::store::ledger;
use crate::store::rewards::{self, Decision, Entered, Reward};
use crate::store::second_payments as kept;
use crate::store::transactions::{self, Transaction};
use crate::store::{self, StoreError, Tx, audit};

/// Whether the second payment may still come back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Reversibility {
    /// It depends on the payment: if that comes back, so does the second payment.
    WithThePayment,
    /// It was another attempt, which is final.
    ForGood,
}

/// Creates clawbacks for what the payee was paid twice, or is no longer owed, minus what has come back.
///
/// # Errors
/// If somebody else changed a reward of the payment at the same moment.
pub(super) async fn claw_back(
    tx: &mut Tx,
    app: &App,
    actor: &Actor,
    of: &Transaction,
    stays: Reversibility,
    lie: &[RewardLocation],
    part_back: Option<Money>,
) -> Result<()> {
    let (now, mut left) = (app.clock.now(), of.terms.amount.minor - part_back.map_or(0, |back| back.minor));
    for covered in transactions::covered(tx, of.id).await? {
        let minor = covered.amount_minor.min(left);
        if minor <= 0 {
            continue;
        }
        left -= minor;
        let paid = rewards::find(tx, &covered.id).await?.ok_or(OpsError::Missing)?;
        let Some((_, value)) = owed(paid.entered.payee, paid.entered.worth) else { continue };
        let value = Money::new(minor, value.currency);
        let (_, times) = rewards::clawed_back(tx, paid.entered.id).await?;
        let mut changed = lie.iter().filter(|one| one.changed && !one.elsewhere);
        let why = match changed.any(|one| one.reward == paid.entered.id) {
            true => "Voided or changed after it was paid",
            false => "Paid twice",
        };
        let reason = format!("{why}: {} paid it after all.", of.label());
        let by = actor.id.to_string();
        let entered = clawback(tx, app, &by, &paid, (value, times), &reason).await?;
        if rewards::insert(tx, std::slice::from_ref(&entered)).await? != 1
            || !rewards::touch(tx, paid.entered.id, paid.version).await?
        {
            return Err(changed_meanwhile());
        }
        if stays == Reversibility::WithThePayment {
            kept::note(tx, entered.id, of.id).await?;
        }
        let detail = json!({"of": paid.entered.id.to_string(), "value_minor": value.minor, "reason": reason});
        note(tx, now, &by, "reward_clawed_back", entered.id, &detail);
    }
    Ok(())
}

/// Withdraws the clawbacks of second payments that came back; amounts already deducted are owed again.
///
/// # Errors
/// Database errors, or if somebody else changed one of the clawbacks at the same moment.
pub(super) async fn came_back(
    tx: &mut Tx,
    app: &App,
    by: &str,
    payments: &[TransactionId],
) -> store::Result<()> {
    for (id, payment) in kept::standing(tx, payments).await? {
        let message = format!("PT-{payment:06} came back, so nothing is deducted for it.");
        withdraw(tx, app, by, id, &message).await?;
        kept::settle(tx, id, app.clock.now()).await?;
    }
    Ok(())
}

async fn withdraw(tx: &mut Tx, app: &App, by: &str, id: RewardId, reason: &str) -> store::Result<()> {
    let now = app.clock.now();
    let mut clawback = find(tx, id).await?;
    if let (None, Some((draft, _))) = (&clawback.transaction, &clawback.batch) {
        let draft = *draft;
        // If the draft was just paid or deleted, the re-read below sees it.
        if batches::take_draft(tx, draft, by, now).await? {
            batches::take_out(tx, draft, &[id]).await?;
            let (actor, subject) = (by.to_owned(), draft.to_string());
            let detail = json!({"rewards": 1, "which": clawback.number()}).to_string();
            tx.audit(audit::Entry { at: now, actor, action: "batch_rewards_removed", subject, detail });
        }
        clawback = find(tx, id).await?;
    }
    let free = clawback.transaction.is_none() && clawback.batch.is_none() && clawback.paid_at.is_none();
    let Some((payee, value)) = owed(clawback.entered.payee, clawback.entered.worth) else { return Ok(()) };
    match (free, clawback.entered.status) {
        (true, RewardStatus::Approved) => {
            let decision = Decision {
                status: RewardStatus::Void,
                reason: Some(reason.to_owned()),
                reason_shown_at: None,
                at: now,
                by: by.to_owned(),
            };
            let one = [(id, clawback.version, None)];
            if rewards::decide(tx, &decision, RewardStatus::Approved, one).await? != 1 {
                return Err(StoreError::Overtaken);
            }
            note(tx, now, by, "reward_voided", id, &json!({"reason": reason}));
            Ok(())
        }
        // Somebody had voided the clawback, and the books had forgiven the second payment. It came back, so nothing was
        // given away.
        (true, RewardStatus::Void) => {
            ledger::write(tx, now, &app.clock, &[(id.to_string(), Journal::unapprove(payee, value))]).await
        }
        // It was already deducted from what the payee was owed.
        (true | false, _) => owe_again(tx, app, by, &clawback, (payee, value), reason).await,
    }
}

async fn find(tx: &mut Tx, id: RewardId) -> store::Result<Reward> {
    rewards::find(tx, &id.to_string()).await?.ok_or(StoreError::Missing)
}

/// Owes the deducted amount again, as a new reward that the payee's next claim pays. The clawback stays in the books like
/// any other.
async fn owe_again(
    tx: &mut Tx,
    app: &App,
    by: &str,
    clawback: &Reward,
    (payee, value): (Payee, Money),
    told: &str,
) -> store::Result<()> {
    let now = app.clock.now();
    let number = store::next_numbers(tx, "reward", 1).await?;
    let again = Entered {
        id: RewardId::fresh(now, app.clock.in_turn()),
        number,
        external_id: external::of_owed_again(&clawback.number()),
        entry: Entry::Earned,
        reason: Some(format!("{told} {} was already deducted, so it is owed again.", clawback.number())),
        form_reference: Some(clawback.entered.id.to_string()),
        created_at: now,
        created_by: by.to_owned(),
        decided_at: Some(now),
        decided_by: Some(by.to_owned()),
        first_approved_at: Some(now),
        ..clawback.entered.clone()
    };
    if rewards::insert(tx, std::slice::from_ref(&again)).await? != 1 {
        return Err(StoreError::Overtaken);
    }
    let entries = [
        (clawback.entered.id.to_string(), Journal::clawback(payee, value)),
        (again.id.to_string(), Journal::approve(payee, value)),
    ];
    ledger::write(tx, now, &app.clock, &entries).await?;
    let detail = json!({"of": clawback.entered.id.to_string(), "value_minor": value.minor, "reason": told});
    note(tx, now, by, "reward_owed_again", again.id, &detail);
    Ok(())
}

fn note(tx: &mut Tx, at: i64, by: &str, action: &'static str, id: RewardId, detail: &serde_json::Value) {
    let (actor, subject) = (by.to_owned(), id.to_string());
    tx.audit(audit::Entry { at, actor, action, subject, detail: detail.to_string() });
}
