//! Text normalization for search: lower case, no accents.

/// Lower case without accents; anything that is neither a letter nor a digit separates words.
pub fn normalize(text: &str) -> String {
    let mut letters = String::new();
    for letter in text.chars().flat_map(char::to_lowercase) {
        match plain(letter) {
            Some(plain) => letters.push_str(plain),
            None if letter.is_alphanumeric() => letters.push(letter),
            None => letters.push(' '),
        }
    }
    letters.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The base letter of an accented Latin letter; an empty string for a combining accent.
fn plain(letter: char) -> Option<&'static str> {
    const PLAIN: [(&str, &str); 21] = [
        ("àáâãäåāăą", "a"),
        ("çćĉċč", "c"),
        ("ďđð", "d"),
        ("èéêëēĕėęě", "e"),
        ("ĝğġģ", "g"),
        ("ĥħ", "h"),
        ("ìíîïĩīĭįı", "i"),
        ("ĵ", "j"),
        ("ķ", "k"),
        ("ĺļľŀł", "l"),
        ("ñńņňŋ", "n"),
        ("òóôõöøōŏő", "o"),
        ("ŕŗř", "r"),
        ("śŝşšș", "s"),
        ("ţťŧț", "t"),
        ("ùúûüũūŭůűų", "u"),
        ("ŵ", "w"),
        ("ýÿŷ", "y"),
        ("źżž", "z"),
        ("æ", "ae"),
        ("œ", "oe"),
    ];
    if letter.is_ascii() {
        return None;
    }
    match letter {
        'ß' => Some("ss"),
        'þ' => Some("th"),
        '\u{300}'..='\u{36f}' => Some(""),
        letter => PLAIN.iter().find(|(accented, _)| accented.contains(letter)).map(|(_, plain)| *plain),
    }
}

#[cfg(test)]
mod tests {
    use super::normalize;

    #[test]
    fn capitals_accents_and_signs_do_not_matter() {
        let rows = [
            ("  Élodie O'Brien-Łoś  & Søn", "elodie o brien los son"),
            ("Cafe\u{301} Straße", "cafe strasse"),
            ("ana@example.com", "ana example com"),
            ("株式会社　東京", "株式会社 東京"),
            ("--", ""),
        ];
        for (text, like) in rows {
            assert_eq!(normalize(text), like, "{text}");
        }
    }
}
