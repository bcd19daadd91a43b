//! Countries to choose from, by name, sorted as usual in the language.

use payout::country;

use super::words::Language;

/// German, French, Spanish and Japanese names by code; English is in `payout::country`.
const NAMES: &str = include_str!("words/countries.txt");

pub struct Country {
    pub code: &'static str,
    pub name: &'static str,
    pub chosen: bool,
}

/// All countries; `chosen` is the code of the selected one.
pub fn choices(language: Language, chosen: &str) -> Vec<Country> {
    let mut all: Vec<Country> = country::all()
        .map(|(code, english)| Country {
            code,
            name: name(language, code).unwrap_or(english),
            chosen: code == chosen,
        })
        .collect();
    all.sort_by_cached_key(|one| sorted_by(one.name));
    all
}

fn name(language: Language, code: &str) -> Option<&'static str> {
    let place = match language {
        Language::English | Language::Pseudo => return None,
        Language::German => 0,
        Language::French => 1,
        Language::Spanish => 2,
        Language::Japanese => 3,
    };
    let line = NAMES.lines().find(|line| line.split('|').next() == Some(code))?;
    line.split('|').nth(place + 1)
}

/// The sort key: letters with diacritics sort as their base letters.
fn sorted_by(name: &str) -> String {
    let plain = |letter: char| match letter {
        'ä' | 'á' | 'à' | 'â' | 'ã' | 'å' => 'a',
        'é' | 'è' | 'ê' | 'ë' => 'e',
        'í' | 'ì' | 'î' | 'ï' => 'i',
        'ó' | 'ò' | 'ô' | 'ö' | 'õ' => 'o',
        'ú' | 'ù' | 'û' | 'ü' => 'u',
        'ç' => 'c',
        'ñ' => 'n',
        other => other,
    };
    name.to_lowercase().chars().map(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_language_names_every_country_in_its_order() {
        for language in Language::OFFERED {
            let all = choices(language, "DE");
            assert_eq!(all.len(), 250);
            assert!(
                all.iter().all(|one| !one.name.is_empty() && one.name != one.code),
                "{}",
                language.name()
            );
            assert_eq!(all.iter().filter(|one| one.chosen).count(), 1);
        }
        assert_eq!(NAMES.lines().count(), 250);
        let german: Vec<&str> = choices(Language::German, "").iter().map(|one| one.name).collect();
        let place = |name| german.iter().position(|one| *one == name).unwrap();
        assert!(place("Ägypten") < place("Albanien") && place("Österreich") < place("Palau"), "{german:?}");
        assert_eq!(name(Language::Japanese, "DE"), Some("ドイツ"));
    }
}
