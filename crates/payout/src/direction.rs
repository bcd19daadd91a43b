//! Right-to-left names: displayed as they are, without affecting the text around them. Not here: pages, where the
//! browser does this (`app.css`, `<bdi>`).

use std::borrow::Cow;

/// Whether a text contains bidirectional control characters. No name needs them: letters have an inherent direction.
#[must_use]
pub fn has_controls(text: &str) -> bool {
    text.contains(is_control)
}

fn is_control(letter: char) -> bool {
    matches!(letter, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A name for plain text: without bidirectional controls, and wrapped in isolates if it contains right-to-left letters.
#[must_use]
pub fn isolated(name: &str) -> Cow<'_, str> {
    let clean: Cow<'_, str> = match has_controls(name) {
        true => Cow::Owned(name.chars().filter(|letter| !is_control(*letter)).collect()),
        false => Cow::Borrowed(name),
    };
    match clean.contains(runs_left) {
        true => Cow::Owned(format!("\u{2068}{clean}\u{2069}")),
        false => clean,
    }
}

/// Letters of Hebrew, Arabic and the other right-to-left blocks.
fn runs_left(letter: char) -> bool {
    matches!(
        letter,
        '\u{590}'..='\u{8ff}'
            | '\u{fb1d}'..='\u{fdff}'
            | '\u{fe70}'..='\u{fefc}'
            | '\u{10800}'..='\u{10fff}'
            | '\u{1e800}'..='\u{1efff}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_keeps_its_direction_to_itself() {
        for (name, shown) in [
            ("Ana Lima", "Ana Lima"),
            ("Ana\u{202e}", "Ana"),
            ("\u{2067}Ana\u{2069}", "Ana"),
            ("דנה", "\u{2068}דנה\u{2069}"),
            ("ليلى\u{200f}", "\u{2068}ليلى\u{2069}"),
            ("ana \u{fb1d}", "\u{2068}ana \u{fb1d}\u{2069}"),
        ] {
            assert_eq!(isolated(name), shown, "{name:?}");
        }
        assert!(has_controls("Ana\u{202e}") && !has_controls("דנה"));
    }
}
