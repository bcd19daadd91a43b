//! Countries as two-letter ISO 3166-1 codes. Not here: what depends on the country, such as tax forms (`tax`) and
//! currencies (`money`).

/// The assigned codes, one per line with the English name, plus XK, which is in general use for Kosovo. Names here and in the
/// portal follow Unicode CLDR (<https://cldr.unicode.org>, Unicode License v3).
const COUNTRIES: &str = include_str!("countries.txt");

/// Every country, code and English name, sorted by code.
pub fn all() -> impl Iterator<Item = (&'static str, &'static str)> {
    COUNTRIES.lines().filter_map(|line| line.split_once(' '))
}

/// Whether `code` is a country code.
#[must_use]
pub fn is_known(code: &str) -> bool {
    name(code).is_some()
}

/// A country's English name.
#[must_use]
pub fn name(code: &str) -> Option<&'static str> {
    all().find(|(known, _)| *known == code).map(|(_, name)| name)
}

/// Every country, code and English name, sorted by name. Å sorts as A.
#[must_use]
pub fn by_name() -> Vec<(&'static str, &'static str)> {
    let mut all: Vec<_> = all().collect();
    all.sort_by_key(|(_, name)| name.replace('Å', "A"));
    all
}

/// The correct code for a common mistake.
#[must_use]
pub fn meant(code: &str) -> Option<&'static str> {
    match code {
        "UK" | "EN" => Some("GB"),
        "EL" => Some("GR"),
        _ => None,
    }
}

/// For a withdrawn code: the country's name and its successor codes.
#[must_use]
pub fn former(code: &str) -> Option<(&'static str, &'static str)> {
    Some(match code {
        "YU" => ("Yugoslavia", "RS, ME, HR, SI, BA, MK or XK"),
        "CS" => ("Serbia and Montenegro, and before that Czechoslovakia", "RS, ME, CZ or SK"),
        "AN" => ("the Netherlands Antilles", "CW, SX or BQ"),
        "SU" => ("the Soviet Union", "RU or that of another of its successors"),
        "DD" => ("East Germany", "DE"),
        "ZR" => ("Zaire", "CD"),
        "TP" => ("East Timor", "TL"),
        "BU" => ("Burma", "MM"),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_assigned_codes_are_countries() {
        assert_eq!(all().count(), 250);
        assert!(all().all(|(code, name)| code.len() == 2 && name.len() > 3), "each has a name");
        assert_eq!(name("CI"), Some("Côte d’Ivoire"));
        assert!(["US", "DE", "GB", "XK", "JP"].into_iter().all(is_known));
        for code in ["UK", "EN", "ZZ", "XX", "EU", "AN", "YU", "us", "", "USA", " U", "S "] {
            assert!(!is_known(code), "{code:?}");
        }
    }

    #[test]
    fn what_people_write_instead_leads_to_codes_of_today() {
        for (written, code) in [("UK", Some("GB")), ("EN", Some("GB")), ("EL", Some("GR")), ("DE", None)] {
            assert_eq!(meant(written), code, "{written}");
        }
        for (code, was) in [
            ("YU", "Yugoslavia"),
            ("CS", "Serbia and Montenegro"),
            ("AN", "Netherlands Antilles"),
            ("SU", "Soviet Union"),
            ("DD", "East Germany"),
            ("ZR", "Zaire"),
            ("TP", "East Timor"),
            ("BU", "Burma"),
        ] {
            let (message, today) = former(code).unwrap();
            assert!(message.contains(was) && !is_known(code), "{code}: {message}");
            assert!(today.split([' ', ',']).any(is_known), "{code}: {today}");
        }
        assert_eq!(former("DE"), None);
    }
}
