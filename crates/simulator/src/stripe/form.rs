//! Stripe's request bodies: `application/x-www-form-urlencoded` with brackets, and query strings in the same format.
//!
//! Not here: validating parameters; each call reads the ones it knows.

use std::collections::BTreeMap;

use super::refusal::Refusal;
use crate::SECOND;
use crate::table::Window;

/// Parameters by full bracketed name, in order of arrival.
#[derive(Debug, Default)]
pub(crate) struct Form {
    pairs: Vec<(String, String)>,
}

impl Form {
    pub(crate) fn read(query: &str, body: &[u8]) -> Form {
        let pairs = url::form_urlencoded::parse(query.as_bytes()).chain(url::form_urlencoded::parse(body));
        Form { pairs: pairs.map(|(name, value)| (name.into_owned(), value.into_owned())).collect() }
    }

    /// The value of exactly this name, including brackets; the last one if repeated.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.pairs.iter().rev().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self, name: &str) -> Option<String> {
        self.get(name).filter(|value| !value.is_empty()).map(str::to_owned)
    }

    pub(crate) fn flag(&self, name: &str) -> bool {
        self.get(name) == Some("true")
    }

    pub(crate) fn required(&self, name: &'static str) -> Result<&str, Refusal> {
        let missing =
            || Refusal::parameter("parameter_missing", name, &format!("Missing required param: {name}."));
        self.get(name).filter(|value| !value.is_empty()).ok_or_else(missing)
    }

    pub(crate) fn integer(&self, name: &'static str) -> Result<Option<i64>, Refusal> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
        match value.parse() {
            Ok(number) if digits => Ok(Some(number)),
            _ => Err(Refusal::parameter(
                "parameter_invalid_integer",
                name,
                &format!("Invalid integer: {value}"),
            )),
        }
    }

    /// `name[]` and `name[0]`, `name[1]`…
    pub(crate) fn list(&self, name: &str) -> Vec<String> {
        self.inside(name).map(|(_, value)| value.to_owned()).collect()
    }

    /// Applies `metadata[k]=v` to existing metadata: an empty value removes its key, an empty `metadata` removes all.
    pub(crate) fn metadata(
        &self,
        current: &BTreeMap<String, String>,
    ) -> Result<BTreeMap<String, String>, Refusal> {
        let mut metadata = if self.get("metadata") == Some("") { BTreeMap::new() } else { current.clone() };
        for (key, value) in self.inside("metadata") {
            if key.len() > 40 || value.len() > 500 {
                let message = "Metadata keys have at most 40 characters, values at most 500.";
                return Err(Refusal::parameter("parameter_invalid_string_length", "metadata", message));
            }
            if value.is_empty() {
                metadata.remove(key);
            } else {
                metadata.insert(key.to_owned(), value.to_owned());
            }
        }
        if metadata.len() > 50 {
            let message = "Metadata can have at most 50 keys.";
            return Err(Refusal::parameter("parameter_invalid_string_length", "metadata", message));
        }
        Ok(metadata)
    }

    /// Rejects the first parameter whose outermost name is not known; `expand` always is.
    pub(crate) fn only(&self, known: &[&str]) -> Result<(), Refusal> {
        for (name, _) in &self.pairs {
            let outer = name.split('[').next().unwrap_or_default();
            if outer != "expand" && !known.contains(&outer) {
                let message = format!("Received unknown parameter: {name}");
                return Err(Refusal::parameter("parameter_unknown", name, &message));
            }
        }
        Ok(())
    }

    /// The paging of a list call, including `created[…]` if given.
    pub(crate) fn window(&self) -> Result<Window, Refusal> {
        let limit = self.integer("limit")?.unwrap_or(10);
        if !(1..=100).contains(&limit) {
            let message = "Limit must be from 1 to 100.";
            return Err(Refusal::parameter("parameter_invalid_integer", "limit", message));
        }
        let micros = |name: &'static str, add: i64| {
            Ok(self.integer(name)?.map(|seconds: i64| seconds.saturating_add(add).saturating_mul(SECOND)))
        };
        let equal = "created";
        let from = [micros("created[gte]", 0)?, micros("created[gt]", 1)?, micros(equal, 0)?];
        let until = [micros("created[lt]", 0)?, micros("created[lte]", 1)?, micros(equal, 1)?];
        Ok(Window {
            limit: usize::try_from(limit).unwrap_or(10),
            after: self.text("starting_after"),
            before: self.text("ending_before"),
            from: from.into_iter().flatten().max(),
            until: until.into_iter().flatten().min(),
        })
    }

    /// Equal for equal parameters in any order.
    pub(crate) fn fingerprint(&self) -> String {
        let mut sorted: Vec<String> =
            self.pairs.iter().map(|(name, value)| format!("{name}\u{1}{value}")).collect();
        sorted.sort_unstable();
        sorted.join("\u{2}")
    }

    fn inside<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.pairs.iter().filter_map(move |(given, value)| {
            let key = given.strip_prefix(name)?.strip_prefix('[')?.strip_suffix(']')?;
            Some((key, value.as_str()))
        })
    }
}
