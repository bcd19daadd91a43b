//! Why something is not paid, by the number that people see or its id: a reward, a batch, a payment, a payee. What is
//! deliberately not here: the gates (`payout::eligibility`), and what a vendor's code means (`payout::reason`).

use payout::eligibility::{Blocker, Code};

use super::batches::{self, Gates};
use super::{OpsError, Result, rewards};
use crate::store::{self, Db, payees, transactions};

/// Everything that stands in the way. A payment that was sent answers with the gate that it waits at or was stopped by,
/// if it was one.
///
/// # Errors
/// [`OpsError::Missing`] when there is no such thing.
pub async fn blockers(db: &mut Db, name: &str, now: i64) -> Result<Vec<Blocker>> {
    match name.get(..3) {
        Some("RW-" | "rwd") => {
            let reward = store::rewards::find(db, name).await?.ok_or(OpsError::Missing)?;
            Ok(rewards::blockers(db, &reward, now).await?)
        }
        Some("PB-" | "bat") => Ok(batches::view(db, name, now).await?.all_blockers()),
        Some("PT-" | "ptx") => {
            let transaction = transactions::find(db, name).await?;
            let code = transaction.reason.map(|reason| reason.code).or(transaction.waiting);
            let code = code.and_then(|code| Code::parse(&code));
            Ok(code.map(|code| Blocker::new(code, transaction.terms.payee)).into_iter().collect())
        }
        Some(_) | None => {
            let payee = payees::find(db, name).await?.ok_or(OpsError::Missing)?;
            Ok(Gates::read(db, [payee]).await?.payee(payee, now))
        }
    }
}
