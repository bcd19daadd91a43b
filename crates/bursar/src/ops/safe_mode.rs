//! Safe mode: the database is older than the payments made since (a restored backup), so nothing is sent, paid or
//! deleted until Bursar has compared itself with the vendors.

use crate::store::{self, Db, meta};

/// Whether it is on.
///
/// # Errors
/// When the database does not answer.
pub async fn on(db: &mut Db) -> store::Result<bool> {
    Ok(meta::get(db, "safe_mode").await?.is_some())
}
