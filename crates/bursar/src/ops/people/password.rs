//! Which passwords are refused, and why: too short, too long, made of words known about their owner, or among the most
//! common. There are deliberately no rules about capitals, digits and symbols: they make passwords harder to remember, not
//! harder to guess.

use payout::Refusal;
use zxcvbn::{Score, zxcvbn};

use crate::store::people::Person;
use crate::store::programs::{self, RecordRef};
use crate::store::{self, Db};

const LEAST: usize = 12;
/// The most characters: more adds no security, and hashing them costs time.
const MOST: usize = 500;
/// Shorter words occur in too many other words to count as known.
const LEAST_OF_A_WORD: usize = 4;

/// Whether a password is acceptable for a person about whom these words are known.
///
/// # Errors
/// The rule that it breaks.
pub fn check(password: &str, known: &[String]) -> Result<(), Refusal> {
    let refuse = |code, told: &'static str| Err(Refusal::new(code, told).at("password"));
    let long = password.chars().count();
    if long < LEAST {
        return refuse("password_too_short", "A password has at least twelve characters.");
    }
    if long > MOST {
        return refuse("password_too_long", "A password has at most 500 characters.");
    }
    let lower = password.to_lowercase();
    if known.iter().any(|word| lower.contains(word.as_str())) {
        let message = "This password holds your name, your address, your company's name or ours, which are tried first. Leave them out.";
        return refuse("password_names_you", message);
    }
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    if zxcvbn(password, &known).score() < Score::Three {
        let message = "This password is among those that are tried first: it is well known, or made by a pattern. Take several words that do not belong together.";
        return refuse("password_common", message);
    }
    Ok(())
}

/// The words that are publicly known about a person: their name, address and company, and the name of this program.
pub async fn known_of(db: &mut Db, base_url: &str, person: &Person) -> store::Result<Vec<String>> {
    let mut texts = vec!["bursar".to_owned(), person.name.clone(), person.email.clone().unwrap_or_default()];
    texts.extend(url::Url::parse(base_url).ok().and_then(|url| url.host_str().map(str::to_owned)));
    if let Some(id) = person.partner
        && let Some(partner) = programs::partner(db, RecordRef::Either(&id.to_string())).await?
        && let Some(account) =
            programs::account(db, RecordRef::Either(&partner.account.0.to_string())).await?
    {
        texts.extend([partner.name.clone(), account.name]);
    }
    Ok(words(&texts))
}

fn words(texts: &[String]) -> Vec<String> {
    let split = texts.iter().flat_map(|text| text.split(|letter: char| !letter.is_alphanumeric()));
    let words = split.filter(|word| word.chars().count() >= LEAST_OF_A_WORD && word.parse::<u64>().is_err());
    words.map(str::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(password: &str) -> Option<&'static str> {
        let texts = ["bursar", "Ana Lima", "ana.lima@example.com", "pay.acme.example", "Acme & Sons"];
        let known = words(&texts.map(str::to_owned));
        check(password, &known).err().map(|refusal| refusal.code)
    }

    #[test]
    fn each_rule_is_named() {
        let rows = [
            ("elevenchars", "password_too_short"),
            ("zwölf ünß ö", "password_too_short"),
            ("password1234", "password_common"),
            ("aaaaaaaaaaaa", "password_common"),
            ("qwertyuiop12", "password_common"),
            ("Password2026!", "password_common"),
            ("letmeinletmein", "password_common"),
            ("123456789012", "password_common"),
            ("my Bursar lantern 7", "password_names_you"),
            ("ana.lima@example.com", "password_names_you"),
            ("green ACME lantern", "password_names_you"),
        ];
        for (password, code) in rows {
            assert_eq!(refused(password), Some(code), "{password}");
        }
        assert_eq!(refused(&"long words ".repeat(46)), Some("password_too_long"));
        for good in [
            "seven green lanterns",
            "ünf grüne Laternen",
            "Ana has no word here",
            "五つの緑の提灯が灯る夜の道",
        ] {
            assert_eq!(refused(good), None, "{good}");
        }
    }

    #[test]
    fn short_words_and_numbers_are_not_held_against_anybody() {
        assert_eq!(words(&["Li Wu".to_owned(), "a@127.0.0.12345".to_owned()]), Vec::<String>::new());
    }
}
