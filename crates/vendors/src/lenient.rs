//! Lenient parsing of what surrounds the money in a vendor's answer: a field that is null, absent or of an unexpected
//! type becomes empty without affecting others. One odd item of a batch must not keep a thousand from settling.
//!
//! Not here: amounts, currencies and our own ids. Those are parsed strictly, and what cannot be parsed matches no
//! request.

use serde::de::{Deserialize, DeserializeOwned, Deserializer, Error};
use serde_json::Value;
use serde_json::value::RawValue;

/// The value, or `None` if it has another type. Parsed from the raw bytes: a JSON tree would cost several times as much
/// for each of a batch's thousand items.
pub(crate) fn maybe<'de, D: Deserializer<'de>, T: DeserializeOwned>(from: D) -> Result<Option<T>, D::Error> {
    read(&Box::<RawValue>::deserialize(from)?)
}

/// The written value, or `None` if it has another type. Invalid JSON is an error for everything around it. If direct
/// parsing fails, a JSON tree is tried: there a key may occur twice, and the second one counts.
pub(crate) fn read<T: DeserializeOwned, E: Error>(written: &RawValue) -> Result<Option<T>, E> {
    if let Ok(value) = serde_json::from_str(written.get()) {
        return Ok(Some(value));
    }
    let tree: Value = serde_json::from_str(written.get()).map_err(E::custom)?;
    Ok(serde_json::from_value(tree).ok())
}

/// The value, or the default if it cannot be parsed.
pub(crate) fn or_default<'de, D: Deserializer<'de>, T: DeserializeOwned + Default>(
    from: D,
) -> Result<T, D::Error> {
    Ok(maybe(from)?.unwrap_or_default())
}

/// A string, or a number as written; `None` for anything else.
pub(crate) fn text<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    Ok(match Value::deserialize(from)? {
        Value::String(text) => Some(text),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    })
}

/// Like [`text`], but empty instead of `None`.
pub(crate) fn word<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    Ok(text(from)?.unwrap_or_default())
}

/// The list elements that can be parsed. Only for lists whose missing elements prove nothing.
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
