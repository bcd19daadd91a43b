//! The verbs: every change that people or vendors cause. Each loads, decides with `payout` and records, in one database
//! transaction of its own. Not here: calls to vendors (`work`), and permissions (`web` checks the permission in its route
//! table before it calls a verb).

mod asking;
mod audit;
pub mod backups;
pub mod batches;
pub mod brake;
pub mod by_hand;
pub mod checks;
pub mod claims;
mod clawbacks;
pub mod company;
pub mod contradiction_text;
pub mod dashboard;
pub mod dates;
pub mod denials;
pub mod epoch;
pub mod evidence;
pub mod exports;
pub(crate) mod gates;
pub mod home;
pub mod idempotency;
pub mod import;
pub mod invitations;
pub mod key_rotation;
pub mod limits;
pub mod log_signature;
pub mod looked;
pub mod master_key;
pub mod nodes;
pub mod notices;
pub mod onboarding;
pub mod partners;
pub mod pay;
pub mod payees;
pub mod people;
pub mod placed;
pub mod preferences;
pub mod programs;
pub mod reconciliation;
pub mod record;
pub mod requests;
pub mod rewards;
pub mod safe_mode;
pub mod saved_views;
mod second_payments;
pub mod settings;
pub mod shown_draft;
mod skipped;
pub mod statements;
pub mod tax;
pub mod trail;
pub mod transactions;
pub mod unusual;
pub mod vendors;
pub mod verify;
pub mod views;
pub mod why;

use payout::Refusal;
use payout::eligibility::Blocker;

use crate::store::StoreError;

/// Why a verb was not carried out. Nothing was changed.
#[derive(Debug)]
pub enum OpsError {
    /// The rules forbid it.
    Refused(Refusal),
    /// Gates are closed; lists all of them.
    Blocked(Vec<Blocker>),
    /// It does not exist, or not for this actor.
    Missing,
    /// Somebody else changed it first: read it again, then retry.
    Conflict(Refusal),
    /// A vendor that had to be asked first does not respond.
    Unreachable(Refusal),
    /// An internal error, ours or the database's; logged, never shown.
    Internal(StoreError),
}

/// The result of a verb.
pub type Result<T> = std::result::Result<T, OpsError>;

impl From<StoreError> for OpsError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Missing => Self::Missing,
            StoreError::Conflict(_) => {
                tracing::info!(%error, "a write met a rule of the database");
                Self::Conflict(Refusal::new(
                    "changed_meanwhile",
                    "Somebody else changed this at the same time, so nothing was done. Look again, then retry.",
                ))
            }
            StoreError::Corrupt(_) | StoreError::Overtaken | StoreError::Db(_) => Self::Internal(error),
        }
    }
}

impl From<Refusal> for OpsError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// Runs a block in a database transaction `$tx` and commits it. Retries the whole block if the database aborts it because
/// of another transaction. The block ends in `Ok(value)` and may use `?`; an error rolls everything back.
///
/// A macro rather than a function with a closure, because a future that borrows the transaction must stay `Send`.
#[macro_export]
macro_rules! transact {
    ($app:expr, |$tx:ident| $body:block) => {{
        let mut tries = 0;
        loop {
            let outcome: $crate::ops::Result<_> = async {
                let mut transaction = $app.store.begin().await?;
                transaction.named($crate::this_function!());
                let value = {
                    let $tx = &mut transaction;
                    let value: $crate::ops::Result<_> = async { $body }.await;
                    value?
                };
                transaction.commit().await?;
                Ok(value)
            }
            .await;
            match outcome {
                Err($crate::ops::OpsError::Internal(error)) if tries < error.tries() => {
                    tries += 1;
                    // Random jitter, so that two transactions that aborted each other do not collide again.
                    let wait_ms = (5_u64 << tries) + $app.clock.random() as u64 % (5_u64 << tries);
                    tokio::time::sleep(std::time::Duration::from_millis(wait_ms)).await;
                }
                outcome => break outcome,
            }
        }
    }};
}
