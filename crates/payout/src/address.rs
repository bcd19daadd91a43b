//! E-mail addresses of people, as mails are sent to them: one rule for everybody who is written to. What is deliberately
//! not here: where money goes (`payee`), which is stricter, and whether anybody is there, which only a mail finds out.

use crate::domain;

/// The longest address that mail servers take, in bytes.
const MOST: usize = 254;
/// The longest name before the @.
const MOST_NAME: usize = 64;

/// The address as every mail server takes it, its domain in ASCII; `None` when no mail could ever reach it.
#[must_use]
pub fn mailable(text: &str) -> Option<String> {
    let (name, host) = text.split_once('@')?;
    let plain = |letter: char| letter.is_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(letter);
    let dots = name.starts_with('.') || name.ends_with('.') || name.contains("..");
    let is_name = (1..=MOST_NAME).contains(&name.len()) && name.chars().all(plain) && !dots;
    let address = format!("{name}@{}", domain::in_ascii(host)?);
    (is_name && address.len() <= MOST).then_some(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_mailed_is_written_in_ascii_behind_the_at() {
        for (text, address) in [
            ("ana@example.com", Some("ana@example.com")),
            ("O'Neil+x@example.com", Some("O'Neil+x@example.com")),
            ("ana@bücher.example", Some("ana@xn--bcher-kva.example")),
            ("admin@localhost", Some("admin@localhost")),
            ("ana@partner..example", None),
            (".ana@partner.example", None),
            ("ana.@partner.example", None),
            ("a..b@partner.example", None),
            ("ana@-bad-.example", None),
            ("ana@", None),
            ("@example.com", None),
            ("a@b@c.de", None),
            ("Ana <ana@example.com>", None),
            ("a b@c.de", None),
            ("a@b.cd,d@e.fg", None),
            ("a@b.cd\r\nBcc: d@e.fg", None),
            ("\"a b\"@c.de", None),
        ] {
            assert_eq!(mailable(text).as_deref(), address, "{text:?}");
        }
        let name = |length: usize| format!("{}@example.com", "a".repeat(length));
        assert!(mailable(&name(64)).is_some());
        assert_eq!(mailable(&name(65)), None);
        let host = |length: usize| {
            format!("ana@{}.{}.{}.{}", "b".repeat(60), "c".repeat(60), "d".repeat(60), "e".repeat(length))
        };
        assert_eq!(mailable(&host(60)).map(|address| address.len()), Some(247));
        let longest = format!("{}@{}", "n".repeat(10), &host(60)[4..]);
        assert_eq!(mailable(&longest).map(|address| address.len()), Some(254));
        assert_eq!(mailable(&format!("n{longest}")), None, "more than mail servers take");
    }
}
