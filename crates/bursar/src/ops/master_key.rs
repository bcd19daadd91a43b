//! Whether a master key is the one this database was sealed with. Under another one the vendors' credentials and the tax
//! numbers would be lost to the program, and new ones would be sealed so that the right key no longer opens them: so it
//! does not start. What is deliberately not here: the key's file (`secrets`), and what is sealed.

use super::Result;
use super::tax::sealed_as;
use crate::clock::Clock;
use crate::secrets::MasterKey;
use crate::store::{Store, meta, tax, vendors};

/// The name of the check in `meta`, and what it is sealed for.
const CHECK: &str = "key_check";
/// How many tax numbers are tried where there is no check yet.
const TRIED: i64 = 20;

/// What the database says about the key it was sealed with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Asks {
    /// Nothing is sealed yet: any key will do.
    Nothing,
    /// This opens under the right key.
    Check(String),
    /// The database is from before there was a check: at least one of these opens, each for its row.
    OneOf(Vec<(String, String)>),
}

impl Asks {
    /// Whether this key is the one.
    pub fn opens_with(&self, key: &MasterKey) -> bool {
        match self {
            Self::Nothing => true,
            Self::Check(sealed) => key.open(CHECK, sealed).is_some(),
            Self::OneOf(sealed) => sealed.iter().any(|(row, sealed)| key.open(row, sealed).is_some()),
        }
    }
}

/// Asks the database about its key.
pub async fn asks(store: &Store) -> Result<Asks> {
    let mut db = store.read().await?;
    if let Some(check) = meta::get(&mut db, CHECK).await? {
        return Ok(Asks::Check(check));
    }
    let connections = vendors::all(&mut db).await?.into_iter();
    let mut sealed: Vec<_> = connections.map(|one| (one.vendor.as_str().to_owned(), one.sealed)).collect();
    let numbers = tax::newest_sealed(&mut db, TRIED).await?.into_iter();
    sealed.extend(numbers.map(|(payee, number)| (sealed_as(payee), number)));
    Ok(if sealed.is_empty() { Asks::Nothing } else { Asks::OneOf(sealed) })
}

/// Notes which key the database is sealed with, unless it is noted; answers whether what is noted opens with this one. Of
/// two that start at the same moment with different keys, one is told no.
pub async fn note(store: &Store, clock: &Clock, key: &MasterKey) -> Result<bool> {
    let mut tx = store.begin().await?;
    tx.named(crate::this_function!());
    let check = key.seal(clock, CHECK, CHECK);
    let kept = meta::keep_first(&mut tx, CHECK, &check).await?;
    tx.commit().await?;
    Ok(key.open(CHECK, &kept).is_some())
}

/// Takes this key from now on, because the one before is lost: what that one sealed cannot be read any more.
pub async fn replace(store: &Store, clock: &Clock, key: &MasterKey) -> Result<()> {
    let mut tx = store.begin().await?;
    tx.named(crate::this_function!());
    meta::set(&mut tx, CHECK, &key.seal(clock, CHECK, CHECK)).await?;
    Ok(tx.commit().await?)
}
