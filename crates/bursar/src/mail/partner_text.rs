//! What keeps a partner from being paid and what they can do about it, in their language; shared by mails and the
//! portal so that they agree. A code without text in any language fails to compile. Not here: the texts for staff
//! (`payout::eligibility`, `payout::reason`).

mod de;
mod en;
mod es;
mod fr;
mod ja;

use payout::eligibility::Code;
use payout::reason::Cause;

use super::Language;

/// A problem, and what the partner can do about it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PartnerText {
    /// What keeps them from being paid.
    pub message: &'static str,
    pub remedy: &'static str,
}

const fn text(message: &'static str, remedy: &'static str) -> PartnerText {
    PartnerText { message, remedy }
}

pub fn gate(language: Language, code: Code) -> PartnerText {
    match language {
        Language::En | Language::Pseudo => en::gate(code),
        Language::De => de::gate(code),
        Language::Fr => fr::gate(code),
        Language::Es => es::gate(code),
        Language::Ja => ja::gate(code),
    }
}

/// Why a payment did not arrive.
pub fn cause(language: Language, cause: Cause) -> PartnerText {
    match language {
        Language::En | Language::Pseudo => en::cause(cause),
        Language::De => de::cause(cause),
        Language::Fr => fr::cause(cause),
        Language::Es => es::cause(cause),
        Language::Ja => ja::cause(cause),
    }
}

/// A payment's reason by code: a gate's or the vendor's.
pub fn reason(language: Language, code: &str) -> PartnerText {
    Code::parse(code).map_or_else(|| cause(language, Cause::of(code)), |code| gate(language, code))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The texts address the reader; none speaks of them in the third person.
    #[test]
    fn every_language_has_words_of_its_own_for_everything() {
        let words = |language| {
            let gates = Code::ALL.iter().map(|code| gate(language, *code));
            let causes = Cause::ALL.iter().map(|one| cause(language, *one));
            gates.chain(causes).collect::<Vec<_>>()
        };
        let english = words(Language::En);
        for one in &english {
            let text = format!("{} {}", one.message, one.remedy).to_lowercase();
            for other in ["the partner", "the payee", " them ", " their ", " they ", "preparer"] {
                assert!(!text.contains(other), "{text}");
            }
        }
        for language in Language::ALL {
            for (one, other) in words(language).iter().zip(&english) {
                assert!(!one.message.is_empty() && !one.remedy.is_empty(), "{other:?} in {language:?}");
                assert!(language == Language::En || one.message != other.message, "{one:?} in {language:?}");
            }
        }
    }
}
