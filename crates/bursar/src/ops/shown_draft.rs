//! Snapshots of what payers and releasers of a draft were shown, and their differences from the current draft. The digest
//! only tells that something changed; this tells what. Not here: acting on it (`pay`, `batches`).

use std::collections::{BTreeMap, BTreeSet};

use payout::ids::{BatchId, RewardId};
use payout::ledger::Payee;
use payout::money::{Currency, Money, Sum, Vendor};
use payout::payee::Destination;
use serde::{Deserialize, Serialize};

use super::Result;
use super::batches;
use crate::app::App;
use crate::ops::batches::view::{BatchView, ClaimView};
use crate::store::{self, Db, StoreError};
use crate::transact;

/// How many snapshots of one draft are kept.
const MOST: i64 = 20;

/// A snapshot of a draft.
#[derive(Serialize, Deserialize)]
struct ShownDraft {
    claims: Vec<Row>,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Row {
    payee: String,
    name: Option<String>,
    currency: String,
    total: i64,
    net: i64,
    vendor: Option<String>,
    masked: Option<String>,
    fingerprint: Option<String>,
    overridden: Option<String>,
    /// Id, number, what it adds.
    rewards: Vec<(String, i64, i64)>,
}

impl Row {
    fn of(claim: &ClaimView) -> Self {
        let destination = claim.destination.as_ref();
        Self {
            payee: claim.payee.to_string(),
            name: claim.named.as_ref().map(|named| named.name.clone()),
            currency: claim.total.currency.code().to_owned(),
            total: claim.total.minor,
            net: claim.net.minor,
            vendor: claim.vendor().map(|vendor| vendor.as_str().to_owned()),
            masked: destination.map(Destination::masked),
            fingerprint: destination.map(Destination::fingerprint),
            overridden: claim.overridden.as_ref().map(|one| one.reason.clone()),
            rewards: claim
                .rewards
                .iter()
                .map(|(id, number, minor)| (id.to_string(), *number, *minor))
                .collect(),
        }
    }
}

/// Saves a snapshot of a draft, unless it exists. A failure only makes a later refusal less specific, so it is logged and
/// not returned.
pub async fn keep(app: &App, view: &BatchView) {
    if !view.batch.open() {
        return;
    }
    if let Err(error) = kept(app, view).await {
        tracing::warn!(?error, batch = %view.batch.id, "what was shown of a draft could not be stored");
    }
}

async fn kept(app: &App, view: &BatchView) -> Result<()> {
    let (id, digest) = (view.batch.id, view.digest.as_str());
    if store::shown::find(&mut app.store.read().await?, id, digest).await?.is_some() {
        return Ok(());
    }
    let look = ShownDraft { claims: view.claims.iter().map(Row::of).collect() };
    let body = serde_json::to_string(&look).map_err(|error| StoreError::Corrupt(error.to_string()))?;
    transact!(app, |tx| { Ok(store::shown::keep(tx, id, digest, &body, app.clock.now(), MOST).await?) })
}

/// The differences from a snapshot.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Difference {
    /// Whether the snapshot no longer exists; then only the totals are compared.
    pub forgotten: bool,
    pub rewards_added: Vec<Item>,
    /// Rewards that were removed. A reward with a changed value is in both lists.
    pub rewards_removed: Vec<Item>,
    /// Claims that were added, removed or changed in amount.
    pub payees: Vec<OfPayee>,
    /// Claims with a changed destination.
    pub destinations: Vec<MovedClaim>,
    /// Changed totals: currency, what was shown, what it is now.
    pub totals: Vec<(Currency, Option<Sum>, Option<Sum>)>,
}

/// A reward in a draft.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Item {
    /// Its id.
    pub id: RewardId,
    /// `RW-000231`.
    pub number: String,
    pub payee: Payee,
    pub name: Option<String>,
    pub adds: Money,
}

/// A changed claim: total and net, before and now; `None` if there was no such claim.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OfPayee {
    pub payee: Payee,
    pub name: Option<String>,
    /// Total and net as shown.
    pub was: Option<(Money, Money)>,
    pub now: Option<(Money, Money)>,
    /// Whether an override of the threshold was added, removed or changed.
    pub overridden: bool,
}

/// A claim's destination before and now, masked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MovedClaim {
    pub payee: Payee,
    pub name: Option<String>,
    /// Vendor and destination as shown.
    pub was: Option<(Vendor, String)>,
    pub now: Option<(Vendor, String)>,
}

/// The differences between a draft and the snapshot with this digest. `totals` are the ones the caller saw, if sent.
pub async fn difference(
    db: &mut Db,
    id: BatchId,
    digest: &str,
    totals: Option<&[Sum]>,
    now: i64,
) -> Result<Difference> {
    let view = batches::view(db, &id.to_string(), now).await?;
    let look = store::shown::find(db, id, digest).await?;
    let look: Option<ShownDraft> = look
        .map(|body| serde_json::from_str(&body))
        .transpose()
        .map_err(|error| StoreError::Corrupt(format!("what was shown of {id}: {error}")))?;
    let is = ShownDraft { claims: view.claims.iter().map(Row::of).collect() };
    let (was, forgotten) = match look {
        Some(look) => (look, false),
        // Without a snapshot, no differences in rewards and payees are reported.
        None => (ShownDraft { claims: is.claims.clone() }, true),
    };
    let seen: Option<Vec<Sum>> = totals.map(<[Sum]>::to_vec).or_else(|| (!forgotten).then(|| sums(&was)));
    let mut difference = compared(&was, &is);
    difference.forgotten = forgotten;
    difference.totals = seen.map(|seen| others(&seen, &sums(&is))).unwrap_or_default();
    Ok(difference)
}

/// The totals of a snapshot, by currency.
fn sums(look: &ShownDraft) -> Vec<Sum> {
    let mut sums: BTreeMap<Currency, i128> = BTreeMap::new();
    for row in &look.claims {
        if let Ok(currency) = Currency::parse(&row.currency) {
            *sums.entry(currency).or_default() += i128::from(row.total);
        }
    }
    sums.into_iter().map(|(currency, minor)| Sum::new(minor, currency)).collect()
}

fn others(seen: &[Sum], is: &[Sum]) -> Vec<(Currency, Option<Sum>, Option<Sum>)> {
    let of = |all: &[Sum], currency| all.iter().copied().find(|sum| sum.currency == currency);
    let currencies: BTreeSet<Currency> = seen.iter().chain(is).map(|sum| sum.currency).collect();
    let pairs = currencies.into_iter().map(|currency| (currency, of(seen, currency), of(is, currency)));
    pairs.filter(|(_, was, now)| was != now).collect()
}

type Keyed<'a> = BTreeMap<(Payee, Currency), &'a Row>;

fn keyed(look: &ShownDraft) -> Keyed<'_> {
    let key = |row: &Row| Some((Payee::parse(&row.payee)?, Currency::parse(&row.currency).ok()?));
    look.claims.iter().filter_map(|row| Some((key(row)?, row))).collect()
}

fn compared(was: &ShownDraft, is: &ShownDraft) -> Difference {
    let (was, is) = (keyed(was), keyed(is));
    let mut difference = Difference {
        rewards_added: apart(&is, &was),
        rewards_removed: apart(&was, &is),
        ..Difference::default()
    };
    let claims: BTreeSet<(Payee, Currency)> = was.keys().chain(is.keys()).copied().collect();
    for (payee, currency) in claims {
        let (before, after) = (was.get(&(payee, currency)), is.get(&(payee, currency)));
        let name = after.or(before).and_then(|row| row.name.clone());
        let amounts = |row: Option<&&Row>| {
            row.map(|row| (Money::new(row.total, currency), Money::new(row.net, currency)))
        };
        let (amounts_before, amounts_after) = (amounts(before), amounts(after));
        let reason = |row: Option<&&Row>| row.and_then(|row| row.overridden.clone());
        let overridden = before.is_some() && after.is_some() && reason(before) != reason(after);
        if amounts_before != amounts_after || overridden {
            let (was, now) = (amounts_before, amounts_after);
            difference.payees.push(OfPayee { payee, name: name.clone(), was, now, overridden });
        }
        if let (Some(before), Some(after)) = (before, after)
            && (&before.vendor, &before.fingerprint) != (&after.vendor, &after.fingerprint)
        {
            let (was, now) = (place(before), place(after));
            difference.destinations.push(MovedClaim { payee, name, was, now });
        }
    }
    difference
}

fn place(row: &Row) -> Option<(Vendor, String)> {
    Some((Vendor::parse(row.vendor.as_deref()?)?, row.masked.clone()?))
}

/// The rewards of one snapshot that the other does not have with the same value and payee.
fn apart(of: &Keyed<'_>, without: &Keyed<'_>) -> Vec<Item> {
    let other: BTreeSet<(&(Payee, Currency), &str, i64)> = without
        .iter()
        .flat_map(|(key, row)| row.rewards.iter().map(move |(id, _, minor)| (key, id.as_str(), *minor)))
        .collect();
    let item = |key: &(Payee, Currency), row: &Row, (id, number, minor): &(String, i64, i64)| {
        Some(Item {
            id: RewardId::parse(id)?,
            number: format!("RW-{number:06}"),
            payee: key.0,
            name: row.name.clone(),
            adds: Money::new(*minor, key.1),
        })
    };
    let rows = of.iter().flat_map(|(key, row)| row.rewards.iter().map(move |reward| (key, *row, reward)));
    let rows = rows.filter(|(key, _, (id, _, minor))| !other.contains(&(*key, id.as_str(), *minor)));
    rows.filter_map(|(key, row, reward)| item(key, row, reward)).collect()
}
