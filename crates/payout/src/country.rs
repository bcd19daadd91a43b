//! Countries as two-letter ISO 3166-1 codes. Not here: what depends on the country, such as tax forms (`tax`) and
//! currencies (`money`).

/// The assigned codes, plus XK, which is commonly used for Kosovo.
#[rustfmt::skip]
const COUNTRIES: &str = "\
    AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ \
    CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR \
    GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP \
    KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT \
    MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW \
    SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ \
    UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS XK YE YT ZA ZM ZW";

/// Whether `code` is a country code.
#[must_use]
pub fn is_known(code: &str) -> bool {
    code.len() == 2 && COUNTRIES.split_whitespace().any(|known| known == code)
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
        assert_eq!(COUNTRIES.split_whitespace().count(), 250);
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
            let (told, today) = former(code).unwrap();
            assert!(told.contains(was) && !is_known(code), "{code}: {told}");
            assert!(today.split([' ', ',']).any(is_known), "{code}: {today}");
        }
        assert_eq!(former("DE"), None);
    }
}
