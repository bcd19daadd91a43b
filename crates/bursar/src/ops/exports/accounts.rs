//! The names of the ledger accounts in the operator's accounting program. This is a setting of its own, because bookkeepers
//! change it and it moves no money.

use payout::Refusal;
use serde_json::json;

use crate::app::{Actor, App};
use crate::documents::journal::Names;
use crate::ops::Result;
use crate::ops::settings::stale;
use crate::store::{self, Db, StoreError, audit};
use crate::transact;

const NAME: &str = "journal_accounts";
/// None of the accounting programs accepts longer names.
const MOST_CHARACTERS: usize = 100;

pub async fn names(db: &mut Db) -> store::Result<Names> {
    Ok(read(db).await?.0)
}

/// The stored names, and their version (0 before they are first saved). A ledger account without a name gets the default
/// one.
pub async fn read(db: &mut Db) -> store::Result<(Names, i64)> {
    let Some((text, version)) = store::settings::get(db, NAME).await? else {
        return Ok((Names::default(), 0));
    };
    let kept: Names = serde_json::from_str(&text)
        .map_err(|error| StoreError::Corrupt(format!("names of accounts: {error}")))?;
    let mut names = Names { xero_tax_rate: kept.xero_tax_rate, ..Names::default() };
    names.accounts.extend(kept.accounts);
    Ok((names, version))
}

/// Saves the names over the version that the caller saw.
///
/// # Errors
/// The account whose name is invalid, or `precondition_failed` if somebody else saved in the meantime.
pub async fn save(app: &App, actor: &Actor, seen: i64, names: &Names) -> Result<()> {
    let known = Names::known();
    for (key, what, _) in &known {
        let name = names.accounts.get(key).map_or("", |name| name.trim());
        check(what, name)?;
    }
    check("Tax rate for Xero", names.xero_tax_rate.trim())?;
    let trimmed =
        known.iter().filter_map(|(key, ..)| Some((key.clone(), names.accounts.get(key)?.trim().to_owned())));
    let after = Names { accounts: trimmed.collect(), xero_tax_rate: names.xero_tax_rate.trim().to_owned() };
    let now = app.clock.now();
    transact!(app, |tx| {
        let (before, version) = read(tx).await?;
        let text = serde_json::to_string(&after).unwrap_or_default();
        if version != seen || !store::settings::put(tx, NAME, &text, version, now).await? {
            return Err(stale());
        }
        let detail = json!({"before": before, "after": after}).to_string();
        let (actor, subject) = (actor.id.to_string(), "settings:journal".to_owned());
        tx.audit(audit::Entry { at: now, actor, action: "settings_changed", subject, detail });
        Ok(())
    })
}

fn check(what: &str, name: &str) -> std::result::Result<(), Refusal> {
    if name.is_empty() {
        return Err(Refusal::new("missing", format!("{what}: give the account a name.")).at("accounts"));
    }
    if name.chars().count() > MOST_CHARACTERS || name.chars().any(char::is_control) {
        let message = format!("{what}: a name is one line of at most {MOST_CHARACTERS} characters.");
        return Err(Refusal::new("invalid", message).at("accounts"));
    }
    Ok(())
}
