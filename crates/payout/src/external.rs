//! The external ids callers give to their objects (rewards, partners, accounts, programs, activities), normalized: two
//! ids that read the same are the same id, whatever their source. A reward entered twice under ids only a machine can
//! tell apart would be paid twice.
//!
//! Blanks at both ends are trimmed, inner blanks become single ordinary spaces, accents are composed, hyphens are
//! unified, and `="00123"`, which keeps spreadsheets from changing an id, becomes `00123`. Invisible characters
//! (controls, zero-width characters, direction marks) are refused by name when an id is entered, and dropped when it is
//! only looked up. Not here: the maximum length, and look-alike letters and capitals, which people can see.

use unicode_normalization::UnicodeNormalization as _;

use crate::Refusal;
use crate::ids::{AccountId, ActivityId, PartnerId, ProgramId, RewardId};

/// The normal form of an id that is being entered.
///
/// # Errors
/// `invalid` with the name and position of an invisible character; `reserved_id` for an id that looks like one of ours.
pub fn entered(text: &str) -> Result<String, Refusal> {
    let normal = referred(text)?;
    if is_ours(&normal) || is_given_by_us(&normal) {
        let message = "This looks like one of Bursar's own ids, so it could mean two things. Use the id from your own system.";
        return Err(Refusal::new("reserved_id", message));
    }
    Ok(normal)
}

/// The normal form of an id that refers to an existing object.
///
/// # Errors
/// `invalid`, as for [`entered`].
pub fn referred(text: &str) -> Result<String, Refusal> {
    let text = bare(text);
    if let Some((place, sign)) = (1_usize..).zip(text.chars()).find(|(_, letter)| is_unseen(*letter)) {
        let message = format!(
            "Character {place} of this id is {}, which is invisible. Delete it, or type the id again.",
            name(sign)
        );
        return Err(Refusal::new("invalid", message));
    }
    Ok(folded(text))
}

/// The normal form of an id in a file, where a spreadsheet may have turned it into a number and dropped its last
/// digits.
///
/// # Errors
/// `invalid`, as for [`referred`]; `scientific_notation` for `9.78E+11`.
pub fn in_file(text: &str) -> Result<String, Refusal> {
    let normal = referred(text)?;
    if is_scientific(&normal) {
        let message = format!(
            "{normal} is what a spreadsheet turned a long number into: its last digits are lost. Format the column as text, enter the id again and save the file."
        );
        return Err(Refusal::new("scientific_notation", message));
    }
    Ok(normal)
}

/// The normal form of an id that is only looked up: invalid characters are dropped.
#[must_use]
pub fn folded(text: &str) -> String {
    let seen: String = text.chars().filter(|letter| !is_unseen(*letter)).collect();
    let mut normal = String::with_capacity(text.len());
    for letter in bare(&seen).nfc() {
        match letter {
            blank if is_blank(blank) => {
                if !normal.is_empty() && !normal.ends_with(' ') {
                    normal.push(' ');
                }
            }
            // Both look like a hyphen.
            '\u{2010}' | '\u{2011}' => normal.push('-'),
            letter => normal.push(letter),
        }
    }
    normal.truncate(normal.trim_end_matches(' ').len());
    normal
}

/// Whether it has the form of one of our ids, which always resolve to our own object.
#[must_use]
pub fn is_ours(text: &str) -> bool {
    RewardId::parse(text).is_some()
        || PartnerId::parse(text).is_some()
        || AccountId::parse(text).is_some()
        || ProgramId::parse(text).is_some()
        || ActivityId::parse(text).is_some()
}

/// The prefix of external ids Bursar assigns to objects nobody entered, such as clawbacks.
const GIVEN: &str = "bursar:";

/// The external id of the `time`th clawback of the reward with this number.
#[must_use]
pub fn of_clawback(reward: &str, time: i64) -> String {
    format!("{GIVEN}clawback:{reward}-{time}")
}

/// The external id of the reward that owes a clawback's amount again, by the clawback's number.
#[must_use]
pub fn of_owed_again(clawback: &str) -> String {
    format!("{GIVEN}owed-again:{clawback}")
}

/// Whether it begins with the prefix of ids Bursar assigns, ignoring case.
fn is_given_by_us(normal: &str) -> bool {
    normal.get(..GIVEN.len()).is_some_and(|start| start.eq_ignore_ascii_case(GIVEN))
}

/// Trims blanks and unwraps `="…"`.
fn bare(text: &str) -> &str {
    let text = text.trim_matches(is_blank);
    let inner = text.strip_prefix("=\"").and_then(|rest| rest.strip_suffix('"'));
    inner.filter(|inner| !inner.contains('"')).map_or(text, |inner| inner.trim_matches(is_blank))
}

/// Characters that show as a gap. Zero-width characters and line ends count as invisible instead.
fn is_blank(letter: char) -> bool {
    matches!(
        letter,
        ' ' | '\u{a0}' | '\u{1680}' | '\u{2000}'
            ..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}' | '\u{2800}'
    )
}

/// Invisible characters, and characters that change how the following text is displayed.
fn is_unseen(letter: char) -> bool {
    letter.is_control()
        || matches!(
            letter,
            '\u{ad}'
                | '\u{34f}'
                | '\u{61c}'
                | '\u{115f}'
                | '\u{1160}'
                | '\u{17b4}'
                | '\u{17b5}'
                | '\u{180b}'..='\u{180f}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{3164}'
                | '\u{fe00}'..='\u{fe0f}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{fff0}'..='\u{fffb}'
                | '\u{1bca0}'..='\u{1bca3}'
                | '\u{1d173}'..='\u{1d17a}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}

/// A text without invisible characters.
#[must_use]
pub fn without_unseen(text: &str) -> String {
    text.chars().filter(|letter| !is_unseen(*letter)).collect()
}

/// The name of an invisible character.
fn name(sign: char) -> String {
    let known = match sign {
        '\t' => "a tab",
        '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}' => "a line break",
        '\u{ad}' => "a soft hyphen",
        '\u{200b}' => "a zero-width space",
        '\u{200c}' => "a zero-width non-joiner",
        '\u{200d}' => "a zero-width joiner",
        '\u{2060}' => "a word joiner",
        '\u{feff}' => "a byte-order mark",
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
            "a text direction mark"
        }
        control if control.is_control() => "a control character",
        _ => "an invisible character",
    };
    format!("{known} (U+{:04X})", u32::from(sign))
}

/// Matches `9.78E+11` and `9,78E+11`: how spreadsheets display and save a number that is too long for its cell.
fn is_scientific(text: &str) -> bool {
    let Some((number, exponent)) = text.split_once("E+").or_else(|| text.split_once("e+")) else {
        return false;
    };
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, rest) = match number.split_once(['.', ',']) {
        Some((whole, rest)) => (whole, Some(rest)),
        None => (number, None),
    };
    digits(exponent) && exponent.len() <= 3 && whole.len() == 1 && digits(whole) && rest.is_none_or(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_reads_the_same_is_the_same() {
        for (text, normal) in [
            ("INV-88", "INV-88"),
            (" INV-88\u{a0}", "INV-88"),
            ("\u{3000}INV-88 \u{2003}", "INV-88"),
            ("INV\u{2011}88", "INV-88"),
            ("INV\u{2010}88", "INV-88"),
            ("a\u{a0} \u{3000}b", "a b"),
            ("=\"00123\"", "00123"),
            (" =\" 00123\" ", "00123"),
            ("=\"a\"b\"", "=\"a\"b\""),
            ("e\u{301}", "\u{e9}"),
            ("\u{2003}\u{a0}", ""),
            ("株式 会社", "株式 会社"),
            ("🧾-1", "🧾-1"),
        ] {
            assert_eq!(referred(text).as_deref(), Ok(normal), "{text:?}");
            assert_eq!(folded(text), normal, "{text:?}");
            assert_eq!(folded(&folded(text)), normal, "a normal form is its own: {text:?}");
        }
    }

    #[test]
    fn a_sign_that_nobody_sees_is_refused_by_name() {
        for (sign, words) in [
            ('\u{200b}', "zero-width space (U+200B)"),
            ('\u{200c}', "zero-width non-joiner (U+200C)"),
            ('\u{200d}', "zero-width joiner (U+200D)"),
            ('\u{2060}', "word joiner (U+2060)"),
            ('\u{2028}', "a line break (U+2028)"),
            ('\u{85}', "a line break (U+0085)"),
            ('\u{feff}', "byte-order mark (U+FEFF)"),
            ('\u{202e}', "text direction mark (U+202E)"),
            ('\u{2066}', "text direction mark (U+2066)"),
            ('\u{ad}', "soft hyphen (U+00AD)"),
            ('\t', "a tab (U+0009)"),
            ('\n', "a line break (U+000A)"),
            ('\u{7}', "a control character (U+0007)"),
            ('\u{e0041}', "an invisible character (U+E0041)"),
            ('\u{fe0f}', "an invisible character (U+FE0F)"),
        ] {
            for text in [format!("{sign}INV-88"), format!("INV-{sign}88"), format!("INV-88{sign}")] {
                let refusal = entered(&text).unwrap_err();
                assert_eq!(refusal.code, "invalid");
                assert!(refusal.sentence.contains(words), "{}", refusal.sentence);
                assert_eq!(folded(&text), "INV-88", "{text:?}");
            }
        }
    }

    #[test]
    fn what_a_spreadsheet_made_of_a_number_is_refused_in_files() {
        for text in ["9.78E+11", "9,78E+11", "1E+15", "9.78E+011"] {
            assert_eq!(in_file(text).unwrap_err().code, "scientific_notation", "{text}");
            assert!(entered(text).is_ok(), "a program writes what it means: {text}");
        }
        for text in [
            "12E4",
            "1E5",
            "E+11",
            ".5E+11",
            "A1E+11",
            "AE+11",
            "9.78E+",
            "9.E+11",
            "9.7xE+11",
            "9.78E+x",
            "9.78E+0011",
            "10.2E+3",
            "978000000000",
        ] {
            assert!(in_file(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn an_id_of_ours_is_nobody_elses() {
        for ours in [
            RewardId::fresh(0, 1).to_string(),
            PartnerId::fresh(0, 1).to_string(),
            AccountId::fresh(0, 1).to_string(),
            ProgramId::fresh(0, 1).to_string(),
            ActivityId::fresh(0, 1).to_string(),
            of_clawback("RW-000001", 1),
            of_owed_again("RW-000002"),
        ] {
            assert_eq!(entered(&ours).map_err(|refusal| refusal.code), Err("reserved_id"), "{ours}");
            assert_eq!(referred(&ours).as_deref(), Ok(ours.as_str()));
        }
        assert!(entered("ptn_1001").is_ok() && entered("acc_1").is_ok());
        let clawback = of_clawback("RW-000001", 1);
        for text in [clawback.as_str(), " bursar:x", "BURSAR:clawback:RW-000001-1", "Bursar\u{a0}:x"] {
            let refused = entered(text).map_err(|refusal| refusal.code);
            assert_eq!(refused.is_err(), !text.contains('\u{a0}'), "{text:?}: {refused:?}");
        }
        assert!(entered("clawback-RW-000001-1").is_ok() && entered("bursar-1").is_ok());
        assert_eq!(referred(&clawback).as_deref(), Ok(clawback.as_str()));
    }
}
