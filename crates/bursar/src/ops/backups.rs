//! When the database was last backed up, and putting a restored database into safe mode. Not here: the backup file
//! (`crate::backup`) and where it is stored (`cli`).

use serde::{Deserialize, Serialize};

use super::Result;
use super::safe_mode::{self, SafeModeCause, SafeModeEntry};
use crate::backup::Manifest;
use crate::clock;
use crate::store::{self, Db, Store, meta};

/// The key in `meta` for the last backup.
const LAST: &str = "last_backup";

/// A backup that was taken.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Taken {
    /// When, microseconds UTC.
    pub at: i64,
    pub file: String,
}

/// Records that a backup was taken.
pub async fn note(store: &Store, taken: &Taken) -> Result<()> {
    let text = serde_json::to_string(taken).unwrap_or_default();
    let mut tx = store.begin().await?;
    tx.named(crate::this_function!());
    meta::set(&mut tx, LAST, &text).await?;
    Ok(tx.commit().await?)
}

/// The last backup that was taken with `bursar backup`.
pub async fn last(db: &mut Db) -> store::Result<Option<Taken>> {
    Ok(meta::get(db, LAST).await?.and_then(|text| serde_json::from_str(&text).ok()))
}

/// Puts a database that was restored from a backup into safe mode, before it is served.
pub async fn make_safe(store: &Store, manifest: &Manifest, now: i64) -> Result<()> {
    let says = format!(
        "This database was restored from a backup of {}: payments made since are missing here.",
        clock::human(manifest.made_at)
    );
    let entering = SafeModeEntry {
        why: SafeModeCause::Restored,
        since: Some(manifest.made_at),
        says,
        epoch: manifest.epoch,
    };
    let mut tx = store.begin().await?;
    tx.named(crate::this_function!());
    safe_mode::enter(&mut tx, "operator", &entering, now).await?;
    Ok(tx.commit().await?)
}
