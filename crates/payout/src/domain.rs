//! Host names in email addresses, normalized so that look-alikes are distinguishable. Not here: whether a domain
//! exists.

/// The domain in lower-case ASCII, in punycode (`xn--…`) if it has other letters; `None` if it is not a valid domain
/// (UTS #46, with the length limits of DNS).
pub(crate) fn in_ascii(host: &str) -> Option<String> {
    let host = idna::domain_to_ascii(host).ok()?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(plain)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    (host.len() <= 253 && host.split('.').all(label)).then_some(host)
}

/// The domain decoded from punycode.
pub(crate) fn in_letters(host: &str) -> String {
    idna::domain_to_unicode(host).0
}

/// The first label of an ASCII domain that mixes several scripts, which no legitimate name does.
pub(crate) fn mixed_label(host: &str) -> Option<&str> {
    host.split('.').find(|label| label.starts_with("xn--") && alphabets(&in_letters(label)) > 1)
}

/// How many scripts a word uses; digits and marks belong to all of them.
fn alphabets(word: &str) -> usize {
    let mut found: Vec<u32> = word.chars().filter(|letter| letter.is_alphabetic()).map(alphabet).collect();
    found.sort_unstable();
    found.dedup();
    // Chinese, Japanese and Korean mix several scripts, and are used with Latin letters.
    if found.contains(&EAST_ASIAN) {
        found.retain(|one| *one != LATIN);
    }
    found.len()
}

const LATIN: u32 = 0;
const EAST_ASIAN: u32 = 3;

/// A number for a letter's script: fixed for scripts that are confused with each other, otherwise its block of 128.
fn alphabet(letter: char) -> u32 {
    match u32::from(letter) {
        0x0000..=0x024F | 0x1E00..=0x1EFF | 0x2C60..=0x2C7F | 0xA720..=0xA7FF | 0xAB30..=0xAB6F => LATIN,
        0x0370..=0x03FF | 0x1F00..=0x1FFF => 1,
        0x0400..=0x052F | 0x1C80..=0x1C8F | 0x2DE0..=0x2DFF | 0xA640..=0xA69F => 2,
        0x1100..=0x11FF | 0x2E80..=0xA4CF | 0xAC00..=0xD7FF | 0xF900..=0xFAFF | 0x20000..=0x3FFFF => {
            EAST_ASIAN
        }
        other => 4 + other / 128,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alphabets_are_told_apart() {
        for (word, many) in [
            ("bücher", 1),
            ("москва", 1),
            ("p\u{430}ypal", 2),
            ("g\u{3bf}\u{3bf}gle", 2),
            ("日本語", 1),
            ("ソニーtv", 1),
            ("한국", 1),
            ("a-1", 1),
            ("1-2", 0),
            // Scripts distinguished only by their blocks.
            ("שלום", 1),
            ("שלוםسلام", 2),
            ("დედა", 1),
            ("დедა", 2),
            ("日本я", 2),
        ] {
            assert_eq!(alphabets(word), many, "{word}");
        }
    }

    #[test]
    fn what_cannot_be_a_domain() {
        for bad in ["", ".", "a..b", "-a.b", "a-.b", "a_b.c", "a b.c", &"a".repeat(64)] {
            assert_eq!(in_ascii(bad), None, "{bad}");
        }
        assert_eq!(in_ascii("Bücher.Example").as_deref(), Some("xn--bcher-kva.example"));
        let of_length = |length: usize| {
            let labels = ["a".repeat(61), "b".repeat(62), "c".repeat(63), "d".repeat(length - 189)];
            labels.join(".")
        };
        assert_eq!(in_ascii(&of_length(252)).map(|host| host.len()), Some(252));
        assert_eq!(in_ascii(&of_length(253)), None, "a label of 64");
        let longest = format!("{}.e", of_length(251));
        assert_eq!((longest.len(), in_ascii(&longest).is_some()), (253, true));
        assert_eq!(in_ascii(&format!("{longest}e")), None, "longer than DNS takes");
    }

    #[test]
    fn only_a_label_of_several_alphabets_is_named() {
        let host = in_ascii("москва.p\u{430}ypal.com").unwrap();
        assert_eq!(mixed_label(&host), Some("xn--pypal-4ve"));
        for host in ["москва.example", "bücher.example", "日本語.example", "example.com"] {
            let host = in_ascii(host).unwrap();
            assert_eq!(mixed_label(&host), None, "{host}");
        }
        assert_eq!(in_letters("xn--bcher-kva.example"), "bücher.example");
    }
}
