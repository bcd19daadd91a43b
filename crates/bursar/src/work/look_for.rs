//! One pass over everything that must be looked for at the vendors: requests that got no answer, always; and, where a database
//! was put back, what it does not know of. What is deliberately not here: looking through a vendor (`look_through`, `search`,
//! `relook`).

use payout::money::Vendor;

use crate::work::{Done, Work, relook, search, send, watch_found};

/// One pass: looks for the submissions that are due to be looked for, in safe mode as well, and there also for what the
/// database does not know of.
pub async fn once(work: &Work, now: i64) -> Done {
    let mut looked = search::once(work, now).await? + relook::once(work, now).await?;
    looked += watch_found::once(work, now).await?;
    for vendor in Vendor::ALL {
        looked += send::look(work, vendor, now).await?;
    }
    Ok(looked)
}
