//! One pass over everything to look up at the vendors: always, requests that got no answer; after a restore, also
//! payments the database does not know. Not here: the searches themselves (`look_through`, `search`, `recheck`).

use payout::money::Vendor;

use crate::work::{PassResult, Work, recheck, search, send, watch_found};

/// One pass: looks up submissions that are due, also in safe mode, and in safe mode also what the database does not
/// know.
pub async fn once(work: &Work, now: i64) -> PassResult {
    let mut looked = search::once(work, now).await? + recheck::once(work, now).await?;
    looked += watch_found::once(work, now).await?;
    for vendor in Vendor::ALL {
        looked += send::look(work, vendor, now).await?;
    }
    Ok(looked)
}
