//! Numbers and dates of a sheet, as people see them. A sheet stores floating-point numbers; they are rounded to the 15
//! digits that a spreadsheet shows, as text, and never calculated with.

use jiff::Span;
use jiff::civil::{Date, date};

use super::CellFault;

/// How a number is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Style {
    Number,
    Percent,
    /// With leading zeros, to this many digits.
    Padded(usize),
    /// With text that belongs to it, or in thousands: not as it is stored.
    Otherwise,
    Date,
    /// A day with a time.
    Moment,
    Time,
}

/// How many significant digits a spreadsheet shows and keeps.
const DIGITS: usize = 15;
/// The most leading zeros that are written.
const WIDEST: usize = 64;
/// The last day that a spreadsheet knows, 9999-12-31.
const LAST_DAY: i64 = 2_958_465;
/// Numbers nearer to zero are written with an exponent.
const SMALLEST: i32 = -15;
const SECONDS: u128 = 86_400;

impl Style {
    /// The style of a number format: its number, and its code unless it is a built-in one.
    pub(super) fn of(id: u32, code: Option<&str>) -> Self {
        match (code, id) {
            (Some(code), _) => Self::of_code(code),
            (None, 9 | 10) => Self::Percent,
            (None, 14..=17 | 27..=31 | 36 | 50..=54 | 57..=58) => Self::Date,
            (None, 22) => Self::Moment,
            (None, 18..=21 | 32..=35 | 45..=47 | 55..=56) => Self::Time,
            (None, _) => Self::Number,
        }
    }

    fn of_code(code: &str) -> Self {
        let (placeholders, has_text) = placeholders(code);
        let has = |letters: &[char]| placeholders.contains(letters);
        match (has(&['y', 'd']), has(&['h', 's'])) {
            (true, true) => Self::Moment,
            (true, false) => Self::Date,
            (false, true) => Self::Time,
            // Without hours or seconds, this is the month.
            (false, false) if has(&['m']) => Self::Date,
            (false, false) if has(&['%']) => Self::Percent,
            // A comma after the last digit divides by a thousand.
            (false, false) if placeholders.trim_end_matches(|sign| !"0#?,".contains(sign)).ends_with(',') => {
                Self::Otherwise
            }
            // Text beside an amount is its currency or unit; beside a whole number it belongs to an id.
            (false, false) if has_text && !placeholders.contains(['.', ',']) => Self::Otherwise,
            (false, false) => match placeholders.len() {
                zeros if zeros > 1 && placeholders.chars().all(|sign| sign == '0') => {
                    Self::Padded(zeros.min(WIDEST))
                }
                _ => Self::Number,
            },
        }
    }
}

/// The first section of a format code, without colors, currencies and literal text, and whether it had text with letters,
/// digits, dashes or slashes.
fn placeholders(code: &str) -> (String, bool) {
    let (mut plain, mut text) = (String::new(), String::new());
    let mut letters = code.chars();
    while let Some(letter) = letters.next() {
        match letter {
            ';' => break,
            '"' => text.extend(letters.by_ref().take_while(|inner| *inner != '"')),
            '\\' => text.extend(letters.next()),
            '_' | '*' => {
                letters.next();
            }
            '-' | '/' | '(' => text.push(letter),
            '[' => {
                let inner: String = letters.by_ref().take_while(|inner| *inner != ']').collect();
                let inner = inner.to_ascii_lowercase();
                // Elapsed time, such as [h]:mm.
                if !inner.is_empty() && inner.chars().all(|unit| matches!(unit, 'h' | 'm' | 's')) {
                    plain.push('h');
                }
            }
            letter => plain.push(letter.to_ascii_lowercase()),
        }
    }
    let has_text = text.contains(|letter: char| letter.is_alphanumeric() || "-/(".contains(letter));
    if plain == "general" { (String::new(), has_text) } else { (plain, has_text) }
}

/// A number in 15 significant digits: `0.digits` times ten to the power of `point`.
#[derive(PartialEq, Eq, Debug)]
struct Decimal {
    negative: bool,
    /// Without zeros at the end; "0" for zero.
    digits: String,
    point: i32,
}

impl Decimal {
    fn parse(stored: &str) -> Option<Self> {
        let stored = stored.trim();
        let unsigned = stored.strip_prefix(['-', '+']).unwrap_or(stored);
        let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
        let (whole, rest) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all = format!("{whole}{rest}");
        if all.is_empty() || !all.bytes().all(|sign| sign.is_ascii_digit()) {
            return None;
        }
        let exponent: i16 = exponent.parse().ok()?;
        let digits = all.trim_start_matches('0');
        let zeros = i32::try_from(all.len() - digits.len()).ok()?;
        let point = i32::try_from(whole.len()).ok()?.checked_sub(zeros)?.checked_add(exponent.into())?;
        let (digits, carried) = rounded(digits)?;
        match digits.trim_end_matches('0') {
            "" => Some(Self { negative: false, digits: "0".to_owned(), point: 1 }),
            digits => Some(Self {
                negative: stored.starts_with('-'),
                digits: digits.to_owned(),
                point: point.checked_add(carried)?,
            }),
        }
    }

    fn keeps_all_digits(&self) -> bool {
        usize::try_from(self.point).unwrap_or_default() <= DIGITS
    }

    /// The digits before and after the decimal point.
    fn parts(&self) -> (String, String) {
        let digits = &self.digits;
        match usize::try_from(self.point) {
            Ok(point) if point >= digits.len() => {
                (format!("{digits}{}", "0".repeat(point - digits.len())), String::new())
            }
            Ok(point) if point > 0 => {
                let (whole, rest) = digits.split_at(point);
                (whole.to_owned(), rest.to_owned())
            }
            Ok(_) | Err(_) => {
                let zeros = usize::try_from(self.point.unsigned_abs()).unwrap_or_default();
                ("0".to_owned(), format!("{}{digits}", "0".repeat(zeros)))
            }
        }
    }

    /// With an exponent, as a spreadsheet writes what has no room.
    fn short(&self) -> String {
        let (first, rest) = self.digits.split_at(1);
        let sign = if self.negative { "-" } else { "" };
        let mark = if rest.is_empty() { "" } else { "." };
        format!("{sign}{first}{mark}{rest}E{:+}", self.point - 1)
    }

    fn plain(&self, width: usize) -> String {
        if self.point < SMALLEST {
            return self.short();
        }
        let sign = if self.negative { "-" } else { "" };
        match self.parts() {
            (whole, rest) if rest.is_empty() => format!("{sign}{whole:0>width$}"),
            (whole, rest) => format!("{sign}{whole}.{rest}"),
        }
    }
}

/// Digits rounded to 15, and by how many places the decimal point moves.
fn rounded(digits: &str) -> Option<(String, i32)> {
    let (Some(kept), Some(next)) = (digits.get(..DIGITS), digits.as_bytes().get(DIGITS)) else {
        return Some((digits.to_owned(), 0));
    };
    if *next < b'5' {
        return Some((kept.to_owned(), 0));
    }
    let up = (kept.parse::<u64>().ok()? + 1).to_string();
    let carried = i32::from(up.len() > DIGITS);
    Some((up, carried))
}

/// A stored number as people see it.
pub(super) fn shown(stored: &str, style: Style, from_1904: bool) -> String {
    let Some(decimal) = Decimal::parse(stored) else { return CellFault::DigitsLost.field(stored.trim()) };
    if !decimal.keeps_all_digits() {
        return CellFault::DigitsLost.field(&decimal.short());
    }
    let as_date = match style {
        Style::Date => day_and_time(&decimal, from_1904).map(|(day, _)| day),
        Style::Moment => day_and_time(&decimal, from_1904).map(|(day, seconds)| match seconds {
            0 => day,
            seconds => format!("{day} {}", time(seconds)),
        }),
        Style::Time => seconds_of(&decimal).filter(|(days, _)| *days == 0).map(|(_, seconds)| time(seconds)),
        Style::Otherwise => return CellFault::ShownOtherwise.field(&decimal.plain(0)),
        Style::Number | Style::Percent | Style::Padded(_) => None,
    };
    match (as_date, style) {
        (Some(date), _) => date,
        (None, Style::Percent) if decimal.digits != "0" => {
            format!("{}%", Decimal { point: decimal.point + 2, ..decimal }.plain(0))
        }
        (None, Style::Percent) => "0%".to_owned(),
        (None, Style::Padded(width)) => decimal.plain(width),
        // A day that no calendar has is left for the column to refuse.
        (None, Style::Number | Style::Date | Style::Moment | Style::Time | Style::Otherwise) => {
            decimal.plain(0)
        }
    }
}

fn time(seconds: i64) -> String {
    format!("{:02}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60)
}

/// The whole days of a number, and the seconds of the day after them.
fn seconds_of(decimal: &Decimal) -> Option<(i64, i64)> {
    if decimal.negative {
        return None;
    }
    if decimal.point < SMALLEST {
        return Some((0, 0));
    }
    let (whole, rest) = decimal.parts();
    let days: i64 = whole.parse().ok()?;
    // More digits are less than a second.
    let rest: String = rest.chars().take(DIGITS).collect();
    let part: u128 = if rest.is_empty() { 0 } else { rest.parse().ok()? };
    let unit = 10_u128.pow(u32::try_from(rest.len()).ok()?);
    let seconds = (part * SECONDS * 2 + unit) / (unit * 2);
    match seconds {
        SECONDS => Some((days.checked_add(1)?, 0)),
        seconds => Some((days, i64::try_from(seconds).ok()?)),
    }
}

fn day_and_time(decimal: &Decimal, from_1904: bool) -> Option<(String, i64)> {
    let (days, seconds) = seconds_of(decimal)?;
    let start: Date = match days {
        0.. if from_1904 => date(1904, 1, 1),
        // The system of 1900 has a 29 February 1900, day 60, which never was.
        1..=59 => date(1899, 12, 31),
        61.. => date(1899, 12, 30),
        _ => return None,
    };
    if days > LAST_DAY {
        return None;
    }
    let day = start.checked_add(Span::new().try_days(days).ok()?).ok()?;
    Some((day.to_string(), seconds))
}

/// A day that is stored as text, with or without a time.
pub(super) fn iso(stored: &str) -> String {
    let stored = stored.trim().trim_end_matches('Z');
    match stored.split_once('T') {
        Some((day, time)) if time.chars().all(|sign| matches!(sign, '0' | ':' | '.')) => day.to_owned(),
        Some((day, time)) => format!("{day} {time}"),
        None => stored.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_what_people_see() {
        for (stored, expected) in [
            ("1234.5", "1234.5"),
            ("1234.4999999999998", "1234.5"),
            ("0.30000000000000004", "0.3"),
            ("1.1000000000000001", "1.1"),
            ("-5", "-5"),
            ("0", "0"),
            ("-0", "0"),
            ("1E3", "1000"),
            ("123456789012345", "123456789012345"),
            ("1.23456789012345E+14", "123456789012345"),
            ("4.0000000000000001E-3", "0.004"),
            ("5.5511151231257827E-17", "5.55111512312578E-17"),
        ] {
            assert_eq!(shown(stored, Style::Number, false), expected, "{stored}");
        }
        for lost in ["1234567890123456", "-1E15", "999999999999999.9", "1e999", "NaN", "x"] {
            let field = shown(lost, Style::Number, false);
            assert_eq!(CellFault::of(&field).map(|(fault, _)| fault), Some(CellFault::DigitsLost), "{lost}");
        }
        assert_eq!(shown("0.125", Style::Percent, false), "12.5%");
        assert_eq!(shown("1", Style::Percent, false), "100%");
        assert_eq!(shown("0", Style::Percent, false), "0%");
        assert_eq!(shown("42", Style::Padded(5), false), "00042");
    }

    #[test]
    fn days_are_those_of_either_calendar() {
        for (stored, style, from_1904, expected) in [
            ("46270", Style::Date, false, "2026-09-05"),
            ("44808", Style::Date, true, "2026-09-05"),
            ("1", Style::Date, false, "1900-01-01"),
            ("59", Style::Date, false, "1900-02-28"),
            ("61", Style::Date, false, "1900-03-01"),
            ("0", Style::Date, true, "1904-01-01"),
            ("2958465", Style::Date, false, "9999-12-31"),
            ("46270.5", Style::Date, false, "2026-09-05"),
            ("46270.5", Style::Moment, false, "2026-09-05 12:00:00"),
            ("46270", Style::Moment, false, "2026-09-05"),
            ("46269.999999999", Style::Moment, false, "2026-09-05"),
            ("0.75", Style::Time, false, "18:00:00"),
            // No day of any calendar.
            ("60", Style::Date, false, "60"),
            ("0", Style::Date, false, "0"),
            ("-1", Style::Date, false, "-1"),
            ("2958466", Style::Date, false, "2958466"),
        ] {
            assert_eq!(shown(stored, style, from_1904), expected, "{stored} {style:?} {from_1904}");
        }
        assert_eq!(iso("2026-09-05T00:00:00Z"), "2026-09-05");
        assert_eq!(iso("2026-09-05T09:30:00"), "2026-09-05 09:30:00");
    }

    #[test]
    fn a_format_says_whether_a_number_is_a_day() {
        for (code, expected) in [
            ("General", Style::Number),
            ("#,##0.00", Style::Number),
            ("\"Day\" 0", Style::Otherwise),
            ("\"INV-\"0000", Style::Otherwise),
            ("000\\-00\\-0000", Style::Otherwise),
            ("000-000", Style::Otherwise),
            ("#,##0,", Style::Otherwise),
            ("0.0,,\" M\"", Style::Otherwise),
            ("#,##0.00\\ \"EUR\"", Style::Number),
            ("\"$\"#,##0", Style::Number),
            ("\"$\"0", Style::Number),
            ("_-* #,##0.00_-", Style::Number),
            ("[$USD] #,##0.00", Style::Number),
            ("0.00;[Red]-0.00", Style::Number),
            ("0\\d", Style::Otherwise),
            ("yyyy\\-mm\\-dd", Style::Date),
            ("[$-409]d-mmm-yy;@", Style::Date),
            ("mmm", Style::Date),
            ("dd.mm.yyyy hh:mm", Style::Moment),
            ("h:mm AM/PM", Style::Time),
            ("[h]:mm", Style::Time),
            ("0.0%", Style::Percent),
            ("00000", Style::Padded(5)),
        ] {
            assert_eq!(Style::of(164, Some(code)), expected, "{code}");
        }
        assert_eq!((Style::of(14, None), Style::of(2, None)), (Style::Date, Style::Number));
    }
}
