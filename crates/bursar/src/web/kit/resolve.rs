//! Resolves an account or partner named in a filter: by id, by external id, or by a unique name. What is deliberately not
//! here: choosing among several candidates; the page asks.

use payout::ids::{AccountId, PartnerId};

use super::problem::Fault;
use crate::store::Db;
use crate::store::programs::{self, Filter, Named};

/// At most this many candidates are offered for an ambiguous name.
const MOST_OFFERED: usize = 10;

pub enum Meant<T> {
    /// The match and its name.
    One(T, String),
    Nobody,
    /// The candidates: name and external id.
    Several(Vec<(String, String)>),
}

pub async fn account(db: &mut Db, text: &str) -> Result<Meant<AccountId>, Fault> {
    if let Some(found) = programs::account(db, Named::Either(text)).await? {
        return Ok(Meant::One(found.id, found.name));
    }
    let found = programs::accounts(db, &by_name(text)).await?;
    Ok(among(found.into_iter().map(|one| (one.id, one.name, one.external_id)).collect()))
}

pub async fn partner(db: &mut Db, text: &str) -> Result<Meant<PartnerId>, Fault> {
    if let Some(found) = programs::partner(db, Named::Either(text)).await? {
        return Ok(Meant::One(found.id, found.name));
    }
    let found = programs::partners(db, &by_name(text)).await?;
    Ok(among(found.into_iter().map(|one| (one.id, one.name, one.external_id)).collect()))
}

fn by_name(text: &str) -> Filter {
    let limit = i64::try_from(MOST_OFFERED).unwrap_or(i64::MAX);
    Filter { q: Some(text.to_owned()), limit, ..Filter::default() }
}

fn among<T>(mut found: Vec<(T, String, String)>) -> Meant<T> {
    found.sort_by(|(_, one, _), (_, other, _)| one.cmp(other));
    match found.len() {
        0 | 1 => found.pop().map_or(Meant::Nobody, |(id, name, _)| Meant::One(id, name)),
        _ => Meant::Several(found.into_iter().map(|(_, name, external_id)| (name, external_id)).collect()),
    }
}
