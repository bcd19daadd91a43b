//! Warnings about unusual claims of a batch, as shown at Pay and stored in Pay's audit row. The rules are in
//! `payout::unusual`.

use std::collections::HashMap;

use payout::ids::RewardId;
use payout::ledger::Payee;
use payout::money::Money;
use payout::unusual::{Before, Finding, Kind, Past, findings, paid_before};
use serde_json::{Value, json};

use super::Result;
use crate::ops::batches::view::{BatchView, ClaimView};
use crate::store::{Db, past};

/// How many warnings of one kind are shown and stored with Pay; the rest are counted.
pub const SHOWN: usize = 50;

/// A warning about one claim.
#[derive(Clone, Debug)]
pub struct Unusual {
    pub payee: Payee,
    pub total: Money,
    pub finding: Finding,
}

/// The warnings about a draft's claims, by kind, largest first. Skips payees without a destination, who are blocked anyway.
pub async fn of(db: &mut Db, view: &BatchView, now: i64) -> Result<Vec<Unusual>> {
    let mut payees: Vec<Payee> = view.claims.iter().map(|claim| claim.payee).collect();
    payees.sort_unstable();
    payees.dedup();
    let past = past::of(db, &payees, now).await?;
    let ids: Vec<RewardId> =
        view.claims.iter().flat_map(|claim| &claim.rewards).map(|(id, ..)| *id).collect();
    let mut before: HashMap<RewardId, Vec<Before>> = HashMap::new();
    for one in past::of_rewards(db, &ids).await? {
        before.entry(one.reward).or_default().push(one);
    }
    let none = Past::default();
    let of_claim = |claim: &ClaimView| {
        let of_rewards = claim.rewards.iter().filter_map(|(id, ..)| before.get(id)).flatten();
        let before: Vec<Before> = of_rewards.cloned().collect();
        let past = past.get(&claim.payee).unwrap_or(&none);
        let to = claim.destination.as_ref().map(|to| to.fingerprint().to_owned());
        let mut found = to.map(|to| findings(claim.total, &to, past)).unwrap_or_default();
        found.extend(paid_before(&before));
        let (payee, total) = (claim.payee, claim.total);
        found.into_iter().map(move |finding| Unusual { payee, total, finding })
    };
    let mut found: Vec<Unusual> = view.claims.iter().flat_map(of_claim).collect();
    found.sort_by_key(|one| (one.finding.kind(), std::cmp::Reverse(one.total.minor)));
    Ok(found)
}

/// What Pay stores: the count of each kind, and the warnings that were shown.
pub fn kept(found: &[Unusual]) -> Value {
    let mut kinds = serde_json::Map::new();
    for kind in Kind::ALL {
        let of_kind: Vec<&Unusual> = found.iter().filter(|one| one.finding.kind() == *kind).collect();
        if of_kind.is_empty() {
            continue;
        }
        let shown = of_kind.iter().take(SHOWN).map(|one| {
            let (payee, total) = (one.payee.to_string(), one.total.to_string());
            json!({ "payee": payee, "total": total, "why": one.finding.sentence() })
        });
        let shown: Vec<Value> = shown.collect();
        kinds.insert(kind.as_str().to_owned(), json!({ "count": of_kind.len(), "shown": shown }));
    }
    Value::Object(kinds)
}
