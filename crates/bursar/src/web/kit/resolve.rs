//! Whom a filter means that names an account or a partner: by our id, by the caller's, or by a name that only one has.
//! What is deliberately not here: choosing among several; the page asks which.

use payout::ids::{AccountId, PartnerId};

use super::problem::Fault;
use crate::store::Db;
use crate::store::programs::{self, Filter, Named};

/// So many are offered where a name may mean several.
const MOST_OFFERED: usize = 10;

pub enum Meant<T> {
    /// This one, and what they are called.
    One(T, String),
    Nobody,
    /// One of these: what each is called, and the caller's id of it.
    Several(Vec<(String, String)>),
}

/// The account that is meant.
pub async fn account(db: &mut Db, text: &str) -> Result<Meant<AccountId>, Fault> {
    if let Some(found) = programs::account(db, Named::Either(text)).await? {
        return Ok(Meant::One(found.id, found.name));
    }
    let found = programs::accounts(db, &by_name(text)).await?;
    Ok(among(found.into_iter().map(|one| (one.id, one.name, one.external_id)).collect()))
}

/// The partner that is meant.
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
