//! The rules of paying partners. What is deliberately not here: IO, the clock, chance, serialisation, async. Times are
//! microseconds UTC and come in as arguments, as do ids; that absence is what lets every rule be proven by a table.

pub mod access;
pub mod address;
pub mod batch;
pub mod country;
pub mod deadline;
pub mod direction;
mod domain;
pub mod eligibility;
pub mod external;
pub mod fee;
pub mod ids;
pub mod law;
pub mod ledger;
pub mod money;
pub mod notice;
pub mod payee;
pub mod planted;
pub mod reason;
pub mod reconciliation;
pub mod remedy;
pub mod reward;
pub mod scope;
pub mod settings;
mod spelling;
pub mod tax;
pub mod transaction;
pub mod unusual;

/// Why something that was asked is not done: safe to show to whoever asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// Stable, snake_case.
    pub code: &'static str,
    /// What is wrong and what to do about it.
    pub sentence: String,
    /// The field it is about, if it is about one.
    pub field: Option<&'static str>,
}

impl Refusal {
    /// A refusal about the whole of what was asked.
    #[must_use]
    pub fn new(code: &'static str, sentence: impl Into<String>) -> Self {
        Self { code, sentence: sentence.into(), field: None }
    }

    /// The same, about one field.
    #[must_use]
    pub fn at(self, field: &'static str) -> Self {
        Self { field: Some(field), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_about_the_whole_or_about_one_field() {
        let whole = Refusal::new("missing", "Write an amount.");
        assert_eq!((whole.code, whole.sentence.as_str(), whole.field), ("missing", "Write an amount.", None));
        assert_eq!(whole.clone().at("amount"), Refusal { field: Some("amount"), ..whole });
    }
}
