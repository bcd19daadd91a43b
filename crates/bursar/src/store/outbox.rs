//! Mails to be sent, written in the same transaction as the change they tell of.

use payout::notice::Notice;

use super::{Result, Rows, Tx};
use crate::clock::Clock;

/// Writes notices: what happened, the id of what it happened to, and particulars as JSON.
///
/// # Errors
/// When the database does not answer.
pub async fn write(
    tx: &mut Tx,
    clock: &Clock,
    now: i64,
    notices: impl IntoIterator<Item = (Notice, String, String)>,
) -> Result<()> {
    let mut rows = Rows::default();
    for (notice, subject, detail) in notices {
        let id = format!("msg_{}", payout::ids::encode(payout::ids::fresh(now, clock.chance())));
        rows.push([id.into(), notice.as_str().into(), subject.into(), detail.into(), now.into()]);
    }
    tx.bulk("INSERT INTO outbox (id, notice, subject, detail, created_at) VALUES {rows}", &[], rows).await?;
    Ok(())
}
