//! Reading what stands around the money in a vendor's answer: a field that is null, absent or of another kind than the
//! contract says spoils itself and nothing beside it. One odd item of a batch must not keep a thousand from settling.
//!
//! Not here: amounts, currencies and our own ids. Those are read strictly, and what cannot be read equals nothing that was
//! asked for.

use serde::de::{Deserialize, DeserializeOwned, Deserializer, Error};
use serde_json::Value;
use serde_json::value::RawValue;

/// The value, or nothing where it is of another kind. It is found by its bytes and then read: a tree of it would cost several
/// times as much, for each of the thousand items of a batch.
pub(crate) fn maybe<'de, D: Deserializer<'de>, T: DeserializeOwned>(from: D) -> Result<Option<T>, D::Error> {
    read(&Box::<RawValue>::deserialize(from)?)
}

/// The value that is written there, or nothing where it is of another kind. What no JSON can hold spoils everything around it.
/// What cannot be read at once is read by way of a tree: there a name may stand twice, and the second counts.
pub(crate) fn read<T: DeserializeOwned, E: Error>(written: &RawValue) -> Result<Option<T>, E> {
    if let Ok(value) = serde_json::from_str(written.get()) {
        return Ok(Some(value));
    }
    let tree: Value = serde_json::from_str(written.get()).map_err(E::custom)?;
    Ok(serde_json::from_value(tree).ok())
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
    all.iter().filter_map(|one| read(one).transpose()).collect()
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize, PartialEq, Eq, Debug)]
    struct Inner {
        amount: u8,
    }

    #[derive(Deserialize, PartialEq, Eq, Debug)]
    struct Outer {
        #[serde(default, deserialize_with = "maybe")]
        inner: Option<Inner>,
        #[serde(default, deserialize_with = "each")]
        all: Vec<Inner>,
    }

    fn read(text: &str) -> Option<Outer> {
        serde_json::from_str(text).ok()
    }

    fn outer(inner: Option<u8>, all: &[u8]) -> Option<Outer> {
        let of = |amount| Inner { amount };
        Some(Outer { inner: inner.map(of), all: all.iter().copied().map(of).collect() })
    }

    #[test]
    fn what_is_of_another_kind_spoils_itself_and_what_is_no_json_spoils_all() {
        assert_eq!(read(r#"{"inner": {"amount": 1}, "all": [{"amount": 2}, 3]}"#), outer(Some(1), &[2]));
        assert_eq!(read(r#"{"inner": "?", "all": {}}"#), outer(None, &[]));
        assert_eq!(read(r#"{"inner": null, "all": null}"#), outer(None, &[]));
        assert_eq!(
            read(r#"{"inner": {"amount": 1, "amount": 2}}"#),
            outer(Some(2), &[]),
            "the second counts"
        );
        assert_eq!(read(r#"{"inner": {"amount": "\ud800"}}"#), None, "half a letter is no text");
        assert_eq!(read(r#"{"all": [{"amount": 1e999}]}"#), None);
    }
}
