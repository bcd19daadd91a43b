//! Reading what stands around the money in a vendor's answer: a field that is null, absent or of another kind than the
//! contract says spoils itself and nothing beside it. One odd item of a batch must not keep a thousand from settling.
//!
//! Not here: amounts, currencies and our own ids. Those are read strictly, and what cannot be read equals nothing that was
//! asked for.

use serde::de::{Deserialize, DeserializeOwned, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

/// The value, or nothing where it cannot be read. It is found by its bytes and then read: a tree of it would cost several times
/// as much, for each of the thousand items of a batch.
pub(crate) fn maybe<'de, D: Deserializer<'de>, T: DeserializeOwned>(from: D) -> Result<Option<T>, D::Error> {
    Ok(serde_json::from_str(Box::<RawValue>::deserialize(from)?.get()).ok())
}

/// The value, or what stands for none where it cannot be read.
pub(crate) fn or_default<'de, D: Deserializer<'de>, T: DeserializeOwned + Default>(
    from: D,
) -> Result<T, D::Error> {
    Ok(maybe(from)?.unwrap_or_default())
}

/// A text, or a number as it is written; nothing for anything else.
pub(crate) fn text<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    Ok(match Value::deserialize(from)? {
        Value::String(text) => Some(text),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    })
}

/// As [`text`], empty where there is none.
pub(crate) fn word<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    Ok(text(from)?.unwrap_or_default())
}

/// The elements of a list that can be read. Only for lists that prove nothing by what is absent from them.
pub(crate) fn each<'de, D: Deserializer<'de>, T: DeserializeOwned>(from: D) -> Result<Vec<T>, D::Error> {
    let all: Vec<Box<RawValue>> = or_default(from)?;
    Ok(all.iter().filter_map(|one| serde_json::from_str(one.get()).ok()).collect())
}
