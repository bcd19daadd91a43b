//! Resolves an account or partner named in a filter: by id, by external id, or by a unique name. What is deliberately not
//! here: choosing among several candidates; the page asks.

use payout::Refusal;
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

/// The caller's id of the account that a form means: an id, a name that only one has, or both as lists offer them. What
/// means nobody comes back as it was typed, for whoever looks it up to refuse.
pub async fn account_id(db: &mut Db, text: &str) -> Result<Result<String, Refusal>, Fault> {
    for id in [Some(text), offered(text)].into_iter().flatten() {
        if let Some(found) = programs::account(db, Named::Either(id)).await? {
            return Ok(Ok(found.external_id));
        }
    }
    let found = programs::accounts(db, &called(text)).await?.into_iter().map(|one| one.external_id);
    Ok(only(text, "account", found.collect()))
}

/// The caller's id of the partner that a form means, as of an account.
pub async fn partner_id(db: &mut Db, text: &str) -> Result<Result<String, Refusal>, Fault> {
    for id in [Some(text), offered(text)].into_iter().flatten() {
        if let Some(found) = programs::partner(db, Named::Either(id)).await? {
            return Ok(Ok(found.external_id));
        }
    }
    let found = programs::partners(db, &called(text)).await?.into_iter().map(|one| one.external_id);
    Ok(only(text, "owner", found.collect()))
}

/// How a list offers what can be meant.
pub fn offer(name: &str, external_id: &str) -> String {
    format!("{name} ({external_id})")
}

fn offered(text: &str) -> Option<&str> {
    text.trim_end().strip_suffix(')')?.rsplit_once(" (").map(|(_, id)| id)
}

fn called(text: &str) -> Filter {
    let limit = i64::try_from(MOST_OFFERED).unwrap_or(i64::MAX);
    Filter { name: Some(text.to_owned()), limit, ..Filter::default() }
}

fn only(text: &str, field: &'static str, mut found: Vec<String>) -> Result<String, Refusal> {
    match found.len() {
        0 | 1 => Ok(found.pop().unwrap_or_else(|| text.to_owned())),
        _ => {
            let ids = found.join(", ");
            let told = format!(
                "Several are called “{text}”. Write the external id of the one that is meant: {ids}."
            );
            Err(Refusal::new("ambiguous_name", told).at(field))
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_list_offers_is_read_back() {
        for (text, id) in [
            ("Ana Lima (ana)", Some("ana")),
            ("Nord (North) (A-2) ", Some("A-2")),
            ("ana", None),
            ("(ana)", None),
        ] {
            assert_eq!(offered(text), id, "{text}");
        }
        assert_eq!(offered(&offer("Ana Lima", "ana")), Some("ana"));
        assert!(only("Ana", "owner", vec!["a".to_owned(), "b".to_owned()]).is_err());
        assert_eq!(only("Ana", "owner", Vec::new()).unwrap(), "Ana");
    }
}
