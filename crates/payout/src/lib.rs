//! The rules of paying partners. Not here: IO, the clock, randomness, serialization, async. Times are microseconds UTC
//! and, like ids, are arguments; that is why every rule can be tested with a table.

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

/// Why a command is not carried out; safe to show to the caller.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// The stable snake_case code.
    pub code: &'static str,
    /// What is wrong and what to do about it, as a sentence.
    pub sentence: String,
    /// The field it is about, if any.
    pub field: Option<&'static str>,
}

impl Refusal {
    /// A refusal of the command as a whole.
    #[must_use]
    pub fn new(code: &'static str, sentence: impl Into<String>) -> Self {
        Self { code, sentence: sentence.into(), field: None }
    }

    /// Sets the field.
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
