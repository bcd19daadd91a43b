//! Parsing amounts that people enter, and the errors for text that is not one. Not here: how we and the vendors write
//! amounts, and what a vendor can pay ([`super`]).

use super::Money;

/// Why a text is not an amount. The code is stable and is shown next to the field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MoneyError {
    /// Not a currency that rewards can be paid in.
    UnknownCurrency,
    /// A currency that has ended, with what to write instead.
    Ended(&'static str),
    /// The text is empty.
    Empty,
    /// A plus or minus sign: amounts are unsigned; deductions are a kind of reward, not a negative number.
    Signed,
    /// Something other than digits and one decimal point, or a point without digits on both sides.
    NotANumber,
    /// A thousands separator or a decimal comma.
    ThousandsMark,
    /// A blank or an invisible character before or after the number.
    Blank,
    /// A number with a currency symbol or letters next to it.
    WithCurrency,
    /// A number in exponent notation.
    Exponent,
    /// More decimals than the currency has.
    TooManyDigits,
    /// Above [`Money::MAX_MINOR`], about nine quadrillion minor units.
    TooLarge,
    /// Zero where a positive amount is required.
    Zero,
}

impl MoneyError {
    /// The stable snake_case code of the error.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::UnknownCurrency | Self::Ended(_) => "unknown_currency",
            Self::Empty => "missing",
            Self::Signed => "signed_amount",
            Self::NotANumber => "not_a_number",
            Self::ThousandsMark => "thousands_mark",
            Self::Blank => "blank_in_amount",
            Self::WithCurrency => "currency_in_amount",
            Self::Exponent => "exponent",
            Self::TooManyDigits => "too_many_digits",
            Self::TooLarge => "too_large",
            Self::Zero => "not_positive",
        }
    }

    /// What is wrong and what to write instead, as a sentence for people.
    #[must_use]
    pub fn sentence(self) -> &'static str {
        match self {
            Self::UnknownCurrency => {
                "Rewards cannot be paid in this currency; write its three letters, like USD, without spaces."
            }
            Self::Ended(message) => message,
            Self::Empty => "The amount is missing; write it like 420.00.",
            Self::Signed => {
                "An amount has no sign; write it like 420.00. To take money back, enter a clawback on the paid reward."
            }
            Self::NotANumber => {
                "This is not an amount; write digits and at most one decimal point, like 420.00."
            }
            Self::ThousandsMark => {
                "Write the amount without thousands separators and with a decimal point, like 1000.50."
            }
            Self::Blank => {
                "There is a space or an invisible character before or after the amount; remove it and write digits only, like 420.00."
            }
            Self::WithCurrency => {
                "Write the number alone, like 420.00, without a currency symbol or code; the currency has its own field."
            }
            Self::Exponent => "Write the amount in full, without an exponent, like 1000.00.",
            Self::TooManyDigits => "The amount has more decimals than its currency allows.",
            Self::TooLarge => "The amount is larger than Bursar can handle.",
            Self::Zero => "The amount must be greater than zero.",
        }
    }
}

/// The minor units of an unsigned decimal, for a currency with `digits` decimals.
pub(super) fn parse_minor(text: &str, digits: u32) -> Result<i64, MoneyError> {
    if text.is_empty() {
        return Err(MoneyError::Empty);
    }
    if text.starts_with(['-', '+', '\u{2212}']) {
        return Err(MoneyError::Signed);
    }
    if let Some(error) = beside_the_number(text) {
        return Err(error);
    }
    if text.contains([',', '\'', ' ', '_', '\u{a0}', '\u{202f}']) || text.matches('.').count() > 1 {
        return Err(MoneyError::ThousandsMark);
    }
    let (whole, fraction) = text.split_once('.').map_or((text, None), |(whole, rest)| (whole, Some(rest)));
    if let Some((mantissa, _)) = text.split_once(['e', 'E'])
        && mantissa.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
    {
        return Err(MoneyError::Exponent);
    }
    let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !all_digits(whole) || !fraction.is_none_or(all_digits) {
        return Err(MoneyError::NotANumber);
    }
    let fraction = fraction.unwrap_or("");
    let missing = (digits as usize).checked_sub(fraction.len()).ok_or(MoneyError::TooManyDigits)?;
    let mut figures = whole.bytes().chain(fraction.bytes()).chain(std::iter::repeat_n(b'0', missing));
    figures
        .try_fold(0i64, |sum, figure| sum.checked_mul(10)?.checked_add(i64::from(figure - b'0')))
        .filter(|minor| *minor <= Money::MAX_MINOR)
        .ok_or(MoneyError::TooLarge)
}

/// The error for text before or after a number that is not part of it.
fn beside_the_number(text: &str) -> Option<MoneyError> {
    let number = text.trim_matches(|letter: char| !letter.is_ascii_digit() && letter != '.');
    let in_number = |letter: char| {
        letter.is_ascii_digit() || matches!(letter, '.' | ',' | '\'' | ' ' | '\u{a0}' | '\u{202f}')
    };
    if number.len() == text.len() || number.is_empty() || !number.chars().all(in_number) {
        return None;
    }
    let beside = || text.chars().filter(|letter| !number.contains(*letter));
    // Zero-width characters and the byte-order mark are invisible.
    let blank = |letter: char| {
        letter.is_whitespace() || matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}')
    };
    let names_currency = |letter: char| {
        letter.is_alphabetic() || matches!(letter, '$' | '£' | '¥' | '¢' | '\u{20a0}'..='\u{20cf}')
    };
    if beside().all(blank) {
        return Some(MoneyError::Blank);
    }
    beside().all(|letter| blank(letter) || names_currency(letter)).then_some(MoneyError::WithCurrency)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::money::Currency;
    use proptest::prelude::*;

    fn money(text: &str, code: &str) -> Result<Money, MoneyError> {
        Money::parse(text, Currency::parse(code)?)
    }

    #[test]
    fn what_people_write() {
        let rows = [
            ("420.00", "USD", Ok(42_000)),
            ("420", "USD", Ok(42_000)),
            ("420.5", "USD", Ok(42_050)),
            ("500", "JPY", Ok(500)),
            ("1.234", "KWD", Ok(1_234)),
            ("1500.50", "HUF", Ok(150_050)),
            ("90000000000000.00", "USD", Ok(Money::MAX_MINOR)),
            ("90000000000000.01", "USD", Err(MoneyError::TooLarge)),
            ("1234567890123456789012345678901234567890", "USD", Err(MoneyError::TooLarge)),
            ("12.345", "USD", Err(MoneyError::TooManyDigits)),
            ("500.0", "JPY", Err(MoneyError::TooManyDigits)),
            ("0", "USD", Err(MoneyError::Zero)),
            ("0.00", "USD", Err(MoneyError::Zero)),
            ("-5.00", "USD", Err(MoneyError::Signed)),
            ("+5.00", "USD", Err(MoneyError::Signed)),
            ("1.000,50", "EUR", Err(MoneyError::ThousandsMark)),
            ("1,000.50", "EUR", Err(MoneyError::ThousandsMark)),
            ("1 000", "EUR", Err(MoneyError::ThousandsMark)),
            ("1.000.000", "EUR", Err(MoneyError::ThousandsMark)),
            ("1e3", "USD", Err(MoneyError::Exponent)),
            ("1.5E3", "USD", Err(MoneyError::Exponent)),
            ("1e", "USD", Err(MoneyError::WithCurrency)),
            ("1e3e", "USD", Err(MoneyError::Exponent)),
            ("12abce3", "USD", Err(MoneyError::NotANumber)),
            (".5", "USD", Err(MoneyError::NotANumber)),
            ("1.", "USD", Err(MoneyError::NotANumber)),
            ("abc", "USD", Err(MoneyError::NotANumber)),
            ("٣", "USD", Err(MoneyError::NotANumber)),
            ("0x10", "USD", Err(MoneyError::NotANumber)),
            ("NaN", "USD", Err(MoneyError::NotANumber)),
            ("", "USD", Err(MoneyError::Empty)),
            ("31.90 €", "EUR", Err(MoneyError::WithCurrency)),
            ("420.00 USD", "USD", Err(MoneyError::WithCurrency)),
            ("$1,200.00", "USD", Err(MoneyError::WithCurrency)),
            (" 420.00", "USD", Err(MoneyError::Blank)),
            ("420.00\u{a0}", "USD", Err(MoneyError::Blank)),
            ("420.00\u{200b}", "USD", Err(MoneyError::Blank)),
            ("\u{feff}420.00\u{200b} ", "USD", Err(MoneyError::Blank)),
            (" ", "USD", Err(MoneyError::ThousandsMark)),
            ("$ 420", "USD", Err(MoneyError::WithCurrency)),
            ("USD\u{a0}1'200", "USD", Err(MoneyError::WithCurrency)),
            ("€5", "EUR", Err(MoneyError::WithCurrency)),
            ("5€€", "EUR", Err(MoneyError::WithCurrency)),
            ("5 (USD)", "USD", Err(MoneyError::ThousandsMark)),
            ("#5", "USD", Err(MoneyError::NotANumber)),
            ("$1_000", "USD", Err(MoneyError::ThousandsMark)),
            ("$", "USD", Err(MoneyError::NotANumber)),
            (".", "USD", Err(MoneyError::NotANumber)),
            ("(420.00)", "USD", Err(MoneyError::NotANumber)),
            ("1,234.56", "USD", Err(MoneyError::ThousandsMark)),
            ("1", "usd", Ok(100)),
            ("1", "Jpy", Ok(1)),
            ("1", "usd ", Err(MoneyError::UnknownCurrency)),
            ("1", "XXX", Err(MoneyError::UnknownCurrency)),
            ("1", "XTS", Err(MoneyError::UnknownCurrency)),
            ("1", "XAU", Err(MoneyError::UnknownCurrency)),
            ("1", "CHE", Err(MoneyError::UnknownCurrency)),
        ];
        for (text, code, expected) in rows {
            assert_eq!(money(text, code).map(|money| money.minor), expected, "{text} {code}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused_without_panic(text in "\\PC*") {
            let _ = money(&text, "USD");
        }
    }
}
