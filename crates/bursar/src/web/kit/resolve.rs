//! Resolves an account or partner named in a filter: by id, by external id, or by a unique name. Not here: choosing among
//! several candidates; the page asks.

use payout::Refusal;
use payout::ids::{AccountId, PartnerId};

use super::problem::Problem;
use crate::store::Db;
use crate::store::programs::{self, Filter, RecordRef};

/// At most this many candidates are offered for an ambiguous name.
const MOST_OFFERED: usize = 10;

pub enum Resolved<T> {
    /// The match and its name.
    One(T, String),
    Nobody,
    /// The candidates: name and external id.
    Several(Vec<(String, String)>),
}

pub async fn account(db: &mut Db, text: &str) -> Result<Resolved<AccountId>, Problem> {
    if let Some(found) = programs::account(db, RecordRef::Either(text)).await? {
        return Ok(Resolved::One(found.id, found.name));
    }
    let found = programs::accounts(db, &by_name(text)).await?;
    Ok(among(found.into_iter().map(|one| (one.id, one.name, one.external_id)).collect()))
}

pub async fn partner(db: &mut Db, text: &str) -> Result<Resolved<PartnerId>, Problem> {
    if let Some(found) = programs::partner(db, RecordRef::Either(text)).await? {
        return Ok(Resolved::One(found.id, found.name));
    }
    let found = programs::partners(db, &by_name(text)).await?;
    Ok(among(found.into_iter().map(|one| (one.id, one.name, one.external_id)).collect()))
}

/// The external ID of the account that a form names: an ID, an entry of the offered list, or a unique name. Text that matches
/// nothing is returned as typed, and refused by whoever looks it up.
pub async fn account_id(db: &mut Db, text: &str) -> Result<Result<String, Refusal>, Problem> {
    if let Some(found) = programs::account(db, RecordRef::Either(text)).await? {
        return Ok(Ok(found.external_id));
    }
    let mut ids = Vec::new();
    for id in offered(text) {
        let found = programs::account(db, RecordRef::External(id)).await?;
        let meant = found.filter(|one| is_offer(text, &one.name, &one.external_id));
        ids.extend(meant.map(|one| one.external_id));
    }
    // A name may equal another account's entry in the list: then it is ambiguous.
    for one in programs::accounts(db, &called(text)).await? {
        if !ids.contains(&one.external_id) {
            ids.push(one.external_id);
        }
    }
    Ok(only(text, "account", ids))
}

/// The external ID of the partner that a form names, resolved as in [`account_id`].
pub async fn partner_id(db: &mut Db, text: &str) -> Result<Result<String, Refusal>, Problem> {
    if let Some(found) = programs::partner(db, RecordRef::Either(text)).await? {
        return Ok(Ok(found.external_id));
    }
    let mut ids = Vec::new();
    for id in offered(text) {
        let found = programs::partner(db, RecordRef::External(id)).await?;
        let meant = found.filter(|one| is_offer(text, &one.name, &one.external_id));
        ids.extend(meant.map(|one| one.external_id));
    }
    // A name may equal another account's entry in the list: then it is ambiguous.
    for one in programs::partners(db, &called(text)).await? {
        if !ids.contains(&one.external_id) {
            ids.push(one.external_id);
        }
    }
    Ok(only(text, "owner", ids))
}

/// The text of an entry in the offered list.
pub fn offer(name: &str, external_id: &str) -> String {
    format!("{name} ({external_id})")
}

/// Whether a text is the list entry for this name and ID. Names may end in parentheses, whose content is not an ID then.
fn is_offer(text: &str, name: &str, external_id: &str) -> bool {
    offer(name, external_id).trim() == text.trim()
}

/// The possible IDs in an entry chosen from a list: names and IDs may contain parentheses.
fn offered(text: &str) -> impl Iterator<Item = &str> {
    let inner = text.trim_end().strip_suffix(')').unwrap_or_default();
    inner.rmatch_indices(" (").filter_map(move |(at, _)| inner.get(at + 2..)).take(MOST_OFFERED)
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
            let message = format!(
                "Several are called “{text}”. Write the external id of the one that is meant: {ids}."
            );
            Err(Refusal::new("ambiguous_name", message).at(field))
        }
    }
}

fn by_name(text: &str) -> Filter {
    let limit = i64::try_from(MOST_OFFERED).unwrap_or(i64::MAX);
    Filter { q: Some(text.to_owned()), limit, ..Filter::default() }
}

fn among<T>(mut found: Vec<(T, String, String)>) -> Resolved<T> {
    found.sort_by(|(_, one, _), (_, other, _)| one.cmp(other));
    match found.len() {
        0 | 1 => found.pop().map_or(Resolved::Nobody, |(id, name, _)| Resolved::One(id, name)),
        _ => Resolved::Several(found.into_iter().map(|(_, name, external_id)| (name, external_id)).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_list_offers_is_read_back() {
        let ids = |text| offered(text).collect::<Vec<_>>();
        for (text, expected) in [
            ("Ana Lima (ana)", vec!["ana"]),
            ("Nord (North) (A-2) ", vec!["A-2", "North) (A-2"]),
            ("Nord (A (B))", vec!["B)", "A (B)"]),
            ("ana", Vec::new()),
            ("(ana)", Vec::new()),
        ] {
            assert_eq!(ids(text), expected, "{text}");
        }
        assert!(is_offer(" Nord (A (B)) ", "Nord", "A (B)"));
        assert!(!is_offer("Acme (EU)", "Europe", "EU"), "a name with brackets is no offer of another");
        assert!(!is_offer("Acme (EU)", "acme", "EU"));
        assert!(only("Ana", "owner", vec!["a".to_owned(), "b".to_owned()]).is_err());
        assert_eq!(only("Ana", "owner", Vec::new()).unwrap(), "Ana");
    }
}
