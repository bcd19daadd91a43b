//! Tax reports and annual reporting: which form fits whom, which tax numbers are possible, how long a form is valid,
//! and from which annual total a payee is reported. Not here: tax advice. The rules follow the instructions for the
//! forms W-9, W-8BEN and W-8BEN-E of the US Internal Revenue Service.

use crate::Refusal;
use crate::ledger::Payee;
use crate::money::{Currency, Money, Sum};
use crate::spelling::spelled;

spelled! {
    /// An IRS form on which a payee states their tax status.
    Form {
        /// For US persons, individuals or entities.
        W9 = "w9",
        /// For individuals who are not US persons.
        W8Ben = "w8ben",
        /// For companies, partnerships, trusts and other entities that are not US persons.
        W8BenE = "w8bene",
    }
}

impl Form {
    /// The form for the answers to two questions: are they a US person, and are they an entity?
    #[must_use]
    pub fn for_answers(us_person: bool, entity: bool) -> Self {
        match (us_person, entity) {
            (true, _) => Self::W9,
            (false, false) => Self::W8Ben,
            (false, true) => Self::W8BenE,
        }
    }

    /// The name the IRS uses.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::W9 => "W-9",
            Self::W8Ben => "W-8BEN",
            Self::W8BenE => "W-8BEN-E",
        }
    }

    /// Whether it is the right form for a payee: a W-9 is for the United States, a W-8 for everywhere else, and a
    /// W-8BEN only for individuals. If the country is unknown, any country fits. US territories count as the United
    /// States for a W-9, but their companies may be foreign for a W-8.
    #[must_use]
    pub fn fits(self, payee: Payee, country: Option<&str>) -> bool {
        let inside = country.map(|country| country == "US");
        match self {
            Self::W9 => country.is_none_or(|country| country == "US" || TERRITORIES.contains(&country)),
            Self::W8Ben => inside != Some(true) && matches!(payee, Payee::Partner(_)),
            Self::W8BenE => inside != Some(true),
        }
    }

    /// The last day it is valid, `YYYY-MM-DD`: for a W-8 the end of the third calendar year after it was signed; `None`
    /// for a W-9, which does not expire, and for an invalid date.
    #[must_use]
    pub fn last_day(self, signed_on: &str) -> Option<String> {
        let (year, ..) = day(signed_on)?;
        match self {
            Self::W9 => None,
            Self::W8Ben | Self::W8BenE => Some(format!("{:04}-12-31", year + 3)),
        }
    }
}

/// The forms are newer than this; an earlier date is a typo.
const EARLIEST_SIGNATURE: &str = "1970-01-01";

/// Puerto Rico, Guam, US Virgin Islands, American Samoa, Northern Mariana Islands, US Minor Outlying Islands.
const TERRITORIES: [&str; 6] = ["PR", "GU", "VI", "AS", "MP", "UM"];
/// The maximum lengths of the name and of a foreign tax number, in characters.
const MOST_NAME: usize = 200;
const MOST_FOREIGN_TIN: usize = 50;

/// A tax report as entered.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// The IRS form.
    pub form: Form,
    /// The name on the form.
    pub name: &'a str,
    /// The signature date, `YYYY-MM-DD`.
    pub signed_on: &'a str,
    /// The tax number: a US number on a W-9, free text otherwise.
    pub tin: Option<&'a str>,
    /// Whether the certification was ticked; `None` if whoever enters it has the signed form.
    pub certified: Option<bool>,
}

impl Entry<'_> {
    /// Checks whether it can be filed for a payee in this country. `today` is the latest date anywhere on Earth,
    /// `YYYY-MM-DD`.
    ///
    /// # Errors
    /// A [`Refusal`] for the first invalid field, with a sentence.
    pub fn check(&self, payee: Payee, country: Option<&str>, today: &str) -> Result<(), Refusal> {
        let refuse = |field, code, sentence: String| Err(Refusal::new(code, sentence).at(field));
        if !self.form.fits(payee, country) {
            return refuse("form", "wrong_form", wrong_form(self.form, country));
        }
        let name = self.name.trim();
        if name.is_empty() || name.chars().count() > MOST_NAME || name.contains(char::is_control) {
            let message = format!("Write the name as it is on the form, at most {MOST_NAME} characters.");
            return refuse("name", "missing", message);
        }
        if day(self.signed_on).is_none() {
            let message = "Write the date of the signature like 2026-01-31.".to_owned();
            return refuse("signed_on", "invalid_date", message);
        }
        if self.signed_on < EARLIEST_SIGNATURE {
            let message = format!("The form cannot have been signed on {}; check the year.", self.signed_on);
            return refuse("signed_on", "invalid_date", message);
        }
        if self.signed_on > today {
            let message = format!("{} is in the future; write the date the form was signed.", self.signed_on);
            return refuse("signed_on", "date_in_future", message);
        }
        if self.certified == Some(false) {
            let message = "Confirm that the form is certified under penalties of perjury; it is not valid without that.";
            return refuse("certified", "not_certified", message.to_owned());
        }
        self.check_tin()
    }

    fn check_tin(&self) -> Result<(), Refusal> {
        let message = match (self.form, self.tin) {
            (Form::W9, None) => Some("A W-9 needs the payee's tax number.".to_owned()),
            (Form::W9, Some(tin)) => wrong_us_tin(tin),
            (Form::W8Ben | Form::W8BenE, None) => None,
            (Form::W8Ben | Form::W8BenE, Some(tin)) => {
                let fits = tin.chars().count() <= MOST_FOREIGN_TIN && !tin.contains(char::is_control);
                (!fits).then(|| format!("A foreign tax number has at most {MOST_FOREIGN_TIN} characters."))
            }
        };
        let code = if self.form == Form::W9 { "invalid_tin" } else { "too_long" };
        message.map_or(Ok(()), |sentence| Err(Refusal::new(code, sentence).at("tin")))
    }
}

fn wrong_form(form: Form, country: Option<&str>) -> String {
    match (form, country) {
        (Form::W9, country) => format!(
            "A W-9 is for payees in the United States, and this one's country is {}. File a W-8BEN for a person or a \
             W-8BEN-E for a company, or correct the country first.",
            country.unwrap_or("another")
        ),
        (Form::W8Ben | Form::W8BenE, Some("US")) => format!(
            "A {} is for payees outside the United States, and this one's country is US. File a W-9, or correct the \
             country first.",
            form.label()
        ),
        (Form::W8Ben | Form::W8BenE, _) => {
            "A W-8BEN is for a person, and this payee is a company. File a W-8BEN-E.".to_owned()
        }
    }
}

/// Why these digits cannot be an SSN, EIN or ITIN; `None` if they can. Dashes are allowed where those numbers have
/// them. Without dashes, an EIN cannot be told from a person's number, so a number is accepted if it can be either.
/// Areas 000 and 666 were never issued to persons, nor 9xx except for the groups of the ITIN.
fn wrong_us_tin(tin: &str) -> Option<String> {
    let describe = |sentence: &str| Some(sentence.to_owned());
    let figures: String = tin.chars().filter(|letter| *letter != '-').collect();
    if !figures.bytes().all(|byte| byte.is_ascii_digit()) {
        return describe(
            "A US tax number has only digits, optionally with dashes like 123-45-6789 or 12-3456789.",
        );
    }
    if figures.len() != 9 {
        return Some(format!("A US tax number has nine digits; this one has {}.", figures.len()));
    }
    if figures == "000000000" {
        return describe("A US tax number is never all zeros.");
    }
    let dashes: Vec<usize> = tin.match_indices('-').map(|(at, _)| at).collect();
    match dashes.as_slice() {
        [2] if figures.starts_with("00") => return describe("No EIN begins with 00."),
        [2] => return None,
        [] if is_employers(&figures) => return None,
        [] | [3, 6] => {}
        _ => return describe("The dashes of a US tax number are placed like 123-45-6789 or 12-3456789."),
    }
    let (area, rest) = figures.split_at(3);
    let (group, serial) = rest.split_at(2);
    if matches!(area, "000" | "666") {
        let number = if dashes.is_empty() { "US tax number" } else { "social security number" };
        return Some(format!("No {number} begins with {area}."));
    }
    let group_number: u32 = group.parse().unwrap_or(0);
    if area.starts_with('9') && !matches!(group_number, 50..=65 | 70..=88 | 90..=92 | 94..=99) {
        return Some(format!(
            "A person's number that begins with 9 is an ITIN, whose fourth and fifth digits are 50 to 65, 70 to 88, 90 to 92 \
             or 94 to 99; these are {group}. An EIN is written like 12-3456789."
        ));
    }
    if !dashes.is_empty() && (group == "00" || serial == "0000") {
        return describe("A social security number cannot have only zeros between its dashes or at its end.");
    }
    None
}

/// Whether nine digits can be an EIN: the first two are a prefix the IRS has assigned.
fn is_employers(figures: &str) -> bool {
    let prefix: u32 = figures.get(..2).and_then(|prefix| prefix.parse().ok()).unwrap_or(0);
    matches!(
        prefix,
        1..=6 | 10..=16 | 20..=27 | 30..=48 | 50..=68 | 71..=77 | 80..=88 | 90..=95 | 98..=99
    )
}

/// Enough of a tax number to recognize it: `…` and its last four characters, but never more than half.
#[must_use]
pub fn masked(tin: &str) -> String {
    let letters: Vec<char> = tin.chars().filter(|letter| *letter != '-').collect();
    let shown = 4.min(letters.len() / 2);
    let tail: String = letters.iter().skip(letters.len() - shown).collect();
    format!("…{tail}")
}

/// The last year with a known legal reporting threshold; the operator sets later ones.
pub const LAST_KNOWN_YEAR: i32 = 2026;

/// The annual total from which a payee is reported: 600 USD up to 2025, 2,000 USD for 2026 (26 U.S.C. § 6041(a), as
/// amended for payments after 2025), then what the operator has set, or the last known one.
#[must_use]
pub fn threshold(year: i32, set: &[(i32, Money)]) -> Money {
    let usd = |minor| Money::new(minor, Currency::USD);
    if year < LAST_KNOWN_YEAR {
        return usd(60_000);
    }
    let rows = set.iter().filter(|(of, _)| *of > LAST_KNOWN_YEAR && *of <= year);
    rows.max_by_key(|(of, _)| *of).map_or(usd(200_000), |(_, money)| *money)
}

/// Whether a payment takes a year's total across the threshold: below it before, and not afterwards.
#[must_use]
pub fn crosses(paid_so_far: Sum, adds: Money, line: Money) -> bool {
    let line_minor = i128::from(line.minor);
    let same = paid_so_far.currency == line.currency && adds.currency == line.currency;
    same && paid_so_far.minor < line_minor && paid_so_far.minor + i128::from(adds.minor) >= line_minor
}

/// Year, month and day of a valid date written `YYYY-MM-DD`.
fn day(text: &str) -> Option<(i32, u32, u32)> {
    let shape = text.len() == 10
        && text.bytes().enumerate().all(|(at, byte)| match at {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        });
    if !shape {
        return None;
    }
    let (year, month, date) =
        (text.get(..4)?.parse().ok()?, text.get(5..7)?.parse().ok()?, text.get(8..)?.parse().ok()?);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => return None,
    };
    (year > 0 && (1..=days).contains(&date)).then_some((year, month, date))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{AccountId, PartnerId};
    use proptest::prelude::*;

    fn person() -> Payee {
        Payee::Partner(PartnerId::fresh(0, 1))
    }

    fn company() -> Payee {
        Payee::Account(AccountId::fresh(0, 1))
    }

    const GOOD: Entry<'_> = Entry {
        form: Form::W9,
        name: "Ana Lima",
        signed_on: "2026-03-01",
        tin: Some("123-45-6789"),
        certified: Some(true),
    };

    #[test]
    fn every_bad_entry_has_its_sentence() {
        let foreign = Entry { form: Form::W8Ben, tin: None, ..GOOD };
        let (most, long) = ("1".repeat(50), "1".repeat(51));
        let (name, long_name) = ("é".repeat(200), "é".repeat(201));
        let rows = [
            (Entry { name: " ", ..GOOD }, Some("US"), "name", "missing", "as it is on the form"),
            (Entry { name: &long_name, ..GOOD }, Some("US"), "name", "missing", "at most 200"),
            (Entry { name: "Ana\nLima", ..GOOD }, Some("US"), "name", "missing", "as it is on the form"),
            (
                Entry { signed_on: "2026-02-30", ..GOOD },
                Some("US"),
                "signed_on",
                "invalid_date",
                "like 2026-01-31",
            ),
            (
                Entry { signed_on: "2026-03-03", ..GOOD },
                Some("US"),
                "signed_on",
                "date_in_future",
                "is in the future",
            ),
            (
                Entry { signed_on: "0026-03-01", ..GOOD },
                Some("US"),
                "signed_on",
                "invalid_date",
                "check the year",
            ),
            (
                Entry { signed_on: "1969-12-31", ..GOOD },
                Some("US"),
                "signed_on",
                "invalid_date",
                "check the year",
            ),
            (Entry { certified: Some(false), ..GOOD }, Some("US"), "certified", "not_certified", "perjury"),
            (GOOD, Some("DE"), "form", "wrong_form", "country is DE"),
            (foreign, Some("US"), "form", "wrong_form", "File a W-9"),
            (Entry { tin: None, ..GOOD }, Some("US"), "tin", "invalid_tin", "needs the payee's tax number"),
            (Entry { tin: Some("1234"), ..GOOD }, Some("US"), "tin", "invalid_tin", "has 4"),
            (Entry { tin: Some(&long), ..foreign }, Some("DE"), "tin", "too_long", "at most 50"),
            (Entry { tin: Some("1\t2"), ..foreign }, Some("DE"), "tin", "too_long", "at most 50"),
        ];
        for (entry, country, field, code, because) in rows {
            let refusal = entry.check(person(), country, "2026-03-02").unwrap_err();
            assert_eq!((refusal.field, refusal.code), (Some(field), code), "{entry:?}");
            assert!(refusal.sentence.contains(because), "{}", refusal.sentence);
        }
        for (entry, country) in [
            (GOOD, Some("US")),
            (GOOD, Some("PR")),
            (GOOD, None),
            (Entry { certified: None, ..GOOD }, Some("US")),
            (Entry { name: &name, ..GOOD }, Some("US")),
            (Entry { signed_on: "1970-01-01", ..GOOD }, Some("US")),
            (Entry { signed_on: "2026-03-02", ..GOOD }, Some("US")),
            (Entry { tin: Some(&most), ..foreign }, Some("DE")),
            (foreign, Some("DE")),
            (foreign, None),
            (Entry { tin: Some("DE 12/345"), ..foreign }, Some("DE")),
        ] {
            assert_eq!(entry.check(person(), country, "2026-03-02"), Ok(()), "{entry:?} {country:?}");
        }
        let refusal = foreign.check(company(), Some("DE"), "2026-03-02").unwrap_err();
        assert!(refusal.sentence.contains("W-8BEN-E"), "{}", refusal.sentence);
    }

    #[test]
    fn a_form_is_for_a_country_and_a_kind_of_payee() {
        let rows = [
            (Form::W9, person(), Some("US"), true),
            (Form::W9, person(), Some("PR"), true),
            (Form::W9, company(), Some("DE"), false),
            (Form::W9, person(), None, true),
            (Form::W8Ben, person(), Some("DE"), true),
            (Form::W8Ben, person(), Some("US"), false),
            (Form::W8Ben, company(), Some("DE"), false),
            (Form::W8Ben, company(), None, false),
            (Form::W8BenE, company(), Some("DE"), true),
            (Form::W8BenE, company(), Some("PR"), true),
            (Form::W8BenE, company(), Some("US"), false),
        ];
        for (form, payee, country, fits) in rows {
            assert_eq!(form.fits(payee, country), fits, "{form:?} {country:?}");
        }
    }

    #[test]
    fn which_numbers_the_united_states_could_have_given_out() {
        for good in [
            "123-45-6789",
            "123456789",
            "12-3456789",
            "912-50-1234",
            "999-99-1234",
            "123-45-6700",
            "911234567",
            "980123456",
            "901234567",
            "991234567",
            "666123456",
        ] {
            assert_eq!(wrong_us_tin(good), None, "{good}");
        }
        for (bad, because) in [
            ("", "has 0"),
            ("12345678", "has 8"),
            ("1234567890", "has 10"),
            ("12345678a", "only digits"),
            ("١٢٣٤٥٦٧٨٩", "only digits"),
            ("000000000", "all zeros"),
            ("000-12-3456", "begins with 000"),
            ("666-12-3456", "begins with 666"),
            ("912-49-1234", "these are 49"),
            ("912-66-1234", "these are 66"),
            ("912-89-1234", "these are 89"),
            ("960931234", "these are 93"),
            ("123-00-1234", "only zeros"),
            ("123-45-0000", "only zeros"),
            ("1-23456789", "dashes"),
            ("00-3456789", "begins with 00"),
        ] {
            let message = wrong_us_tin(bad).unwrap_or_default();
            assert!(message.contains(because), "{bad}: {message}");
        }
    }

    #[test]
    fn the_form_follows_from_two_answers_and_holds_its_years() {
        assert_eq!(Form::for_answers(true, true), Form::W9);
        assert_eq!(Form::for_answers(false, false), Form::W8Ben);
        assert_eq!(Form::for_answers(false, true), Form::W8BenE);
        assert_eq!(Form::W8Ben.last_day("2023-05-01").as_deref(), Some("2026-12-31"));
        assert_eq!(Form::W8BenE.last_day("2024-12-31").as_deref(), Some("2027-12-31"));
        assert_eq!(Form::W9.last_day("2023-05-01"), None);
        assert_eq!(Form::W8Ben.last_day("2023-13-01"), None, "not a date");
    }

    #[test]
    fn the_line_of_each_year_and_who_crosses_it() {
        let usd = |minor| Money::new(minor, Currency::USD);
        let set = [(2025, usd(1)), (2026, usd(2)), (2027, usd(210_000)), (2029, usd(220_000))];
        let lines: Vec<i64> = (2024..=2030).map(|year| threshold(year, &set).minor).collect();
        assert_eq!(lines, [60_000, 60_000, 200_000, 210_000, 210_000, 220_000, 220_000]);
        assert_eq!(threshold(2028, &[]), usd(200_000));
        let line = usd(200_000);
        for (before, adds, expected) in
            [(199_999, 1, true), (0, 200_000, true), (0, 199_999, false), (200_000, 5, false)]
        {
            assert_eq!(crosses(usd(before).into(), usd(adds), line), expected, "{before} + {adds}");
        }
        let eur = |minor| Money::new(minor, Currency::parse("EUR").unwrap());
        assert!(crosses(eur(0).into(), eur(900_000), eur(200_000)));
        for (before, adds) in [(usd(0), eur(900_000)), (eur(0), usd(900_000)), (eur(0), eur(900_000))] {
            assert!(!crosses(before.into(), adds, line), "nothing is converted: {before} + {adds}");
        }
    }

    #[test]
    fn only_dates_of_the_calendar_are_dates() {
        for (text, date) in [
            ("2026-01-31", (2026, 1, 31)),
            ("2026-03-31", (2026, 3, 31)),
            ("2026-04-30", (2026, 4, 30)),
            ("2026-12-31", (2026, 12, 31)),
            ("2026-02-28", (2026, 2, 28)),
            ("2024-02-29", (2024, 2, 29)),
            ("2000-02-29", (2000, 2, 29)),
            ("0001-01-01", (1, 1, 1)),
        ] {
            assert_eq!(day(text), Some(date), "{text}");
        }
        for text in [
            "2026-02-29",
            "1900-02-29",
            "2100-02-29",
            "2024-02-30",
            "2026-04-31",
            "2026-06-31",
            "2026-09-31",
            "2026-11-31",
            "2026-01-32",
            "2026-01-00",
            "2026-00-01",
            "2026-13-01",
            "0000-01-01",
            "2026-1-1",
            "26-01-01",
            "2026-01-011",
            "2026/01/01",
            "2026-01/01",
            "20260-1-01",
            "+026-01-01",
            "-026-01-01",
            "2026-01-0a",
            "",
            "2026-01-1é",
        ] {
            assert_eq!(day(text), None, "{text}");
        }
    }

    #[test]
    fn a_mask_never_shows_more_than_half() {
        for (tin, mask) in
            [("123-45-6789", "…6789"), ("12-3456789", "…6789"), ("12345", "…45"), ("7", "…"), ("", "…")]
        {
            assert_eq!(masked(tin), mask);
        }
    }

    proptest! {
        #[test]
        fn a_persons_number_is_taken_with_and_without_dashes(
            area in 1u32..900, group in 1u32..100, serial in 1u32..10_000,
        ) {
            let (plain, dashed) =
                (format!("{area:03}{group:02}{serial:04}"), format!("{area:03}-{group:02}-{serial:04}"));
            // Without dashes, 666 can be the start of an EIN.
            prop_assert_eq!(wrong_us_tin(&plain), None);
            prop_assert_eq!(wrong_us_tin(&dashed).is_none(), area != 666);
        }

        #[test]
        fn an_itin_is_known_by_its_group(area in 900u32..1000, group in 0u32..100, serial in 1u32..10_000) {
            let given = [50..=65, 70..=88, 90..=92, 94..=99].iter().any(|groups| groups.contains(&group));
            let dashed = format!("{area:03}-{group:02}-{serial:04}");
            prop_assert_eq!(wrong_us_tin(&dashed).is_none(), given);
        }

        #[test]
        fn only_nine_figures_pass(text in "[0-9]{0,14}") {
            prop_assert!(text.len() == 9 || wrong_us_tin(&text).is_some());
        }

        #[test]
        fn no_text_breaks_the_check_or_shows_whole_in_its_mask(text in ".{0,60}") {
            let _ = wrong_us_tin(&text);
            let mask = masked(&text);
            prop_assert!(mask.chars().count() <= 5);
            prop_assert!(mask.chars().count() - 1 <= text.chars().count() / 2);
        }
    }
}
