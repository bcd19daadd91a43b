//! Who entered the destinations that a draft would be the first to pay. With the two-person rule none of them can release it:
//! otherwise one person could say where the money goes and let it go there. Not here: whoever changed the draft itself.

use std::collections::{BTreeMap, BTreeSet};

use payout::ids::BatchId;
use payout::ledger::Payee;

use crate::ops::settings;
use crate::store::payees::{self, UnprovenEntry};
use crate::store::{self, Db, people};

/// How many payees a sentence names.
const NAMED: usize = 3;

/// The destinations in a draft that staff entered and that no payment has reached yet; none while the two-person rule is off.
pub async fn unproven(db: &mut Db, id: BatchId) -> store::Result<Vec<UnprovenEntry>> {
    if !settings::load(db).await?.two_person_release {
        return Ok(Vec::new());
    }
    payees::unproven_entries(db, id).await
}

/// Why somebody cannot release a draft because of a destination that they entered, in a sentence.
pub(super) async fn own_entry(
    db: &mut Db,
    id: BatchId,
    who: &str,
    now: i64,
) -> store::Result<Option<String>> {
    let entries = unproven(db, id).await?;
    if entries.is_empty() {
        return Ok(None);
    }
    let me = people::behind(db, who, now).await?;
    // Whoever stood behind an entry may in turn be a key, or a login whose link somebody was shown since.
    let mut mine: BTreeSet<String> = [who.to_owned(), me.clone()].into();
    let others: BTreeSet<&String> = entries.iter().map(|entry| &entry.entered_by).collect();
    for other in others {
        if people::behind(db, other, now).await? == me {
            mine.insert(other.clone());
        }
    }
    let own = |entry: &&UnprovenEntry| mine.contains(&entry.entered_by) || entry.actor == who;
    let found: Vec<&UnprovenEntry> = entries.iter().filter(own).collect();
    if found.is_empty() {
        return Ok(None);
    }
    let payees: Vec<Payee> = found.iter().map(|entry| entry.payee).collect();
    let names: BTreeMap<Payee, String> =
        payees::names(db, &payees).await?.into_iter().map(|(payee, named)| (payee, named.name)).collect();
    let name = |payee: &Payee| names.get(payee).cloned().unwrap_or_else(|| payee.to_string());
    let mut told: Vec<String> = payees.iter().take(NAMED).map(name).collect();
    if payees.len() > NAMED {
        told.push(format!("{} more", payees.len() - NAMED));
    }
    let whom = match told.split_last() {
        Some((last, [])) => format!("{last} is"),
        Some((last, first)) => format!("{} and {last} are", first.join(", ")),
        None => return Ok(None),
    };
    let by = match found.iter().all(|entry| entry.actor == who) {
        true => "You",
        false => "You, your API key, or a login whose link you were shown,",
    };
    Ok(Some(format!("{by} entered where {whom} paid. Somebody else must release this payout.")))
}
