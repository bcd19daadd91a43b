//! People's email addresses for sending mail: one rule for everybody. Not here: PayPal destinations (`payee`), which
//! are stricter, and whether the mailbox exists, which only sending shows.

use crate::domain;

/// The longest address mail servers accept, in bytes.
const MOST: usize = 254;
/// The longest local part, in bytes.
const MOST_NAME: usize = 64;

/// The address in a form every mail server accepts, with an ASCII domain; `None` if no mail could be delivered to it.
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
