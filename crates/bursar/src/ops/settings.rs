//! The payout settings (being written).

use payout::settings::Settings;

use crate::store::{self, Db};

/// The settings in force.
///
/// # Errors
/// When the database does not answer.
pub async fn load(_db: &mut Db) -> store::Result<Settings> {
    Ok(Settings::default())
}
