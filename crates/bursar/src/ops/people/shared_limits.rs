//! The limits on tries of a login that all nodes share: on PostgreSQL they are counted in the database. On SQLite there is
//! one process, and its own buckets are enough. Not here: the limits of each process, which come first, so that a flood is
//! refused without a write (`web::kit::login_limit`).

use crate::app::App;
use crate::ops::Result;
use crate::secrets::token_hash;
use crate::store::login_buckets::{self, Rule};
use crate::transact;

const SECOND_US: i64 = 1_000_000;

/// Takes a try of what `of` names; returns how many seconds to wait if there are none left.
pub async fn take(app: &App, of: &str, rule: Rule) -> Result<Option<u32>> {
    if !app.store.may_be_shared() {
        return Ok(None);
    }
    let key_hash = token_hash(&format!("tries of {of}"));
    let wait = transact!(app, |tx| { Ok(login_buckets::take(tx, &key_hash, rule, app.clock.now()).await?) })?;
    Ok(wait.map(|wait_us| u32::try_from(wait_us / SECOND_US + 1).unwrap_or(u32::MAX)))
}
