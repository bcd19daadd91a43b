//! The languages mails are written in, and the built-in templates of each, read from a text file per language.

use std::collections::HashMap;
use std::sync::LazyLock;

use payout::eligibility::Who;
use payout::money::Vendor;
use payout::notice::Notice;
use payout::reason::explain;

use super::template::Template;

/// A language of mails.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Language {
    /// English.
    En,
    /// German.
    De,
    /// French.
    Fr,
    /// Spanish.
    Es,
    /// Japanese.
    Ja,
    /// English with every letter changed, for tests: what is not changed was never meant to be translated.
    Pseudo,
}

impl Language {
    /// Those a partner may have.
    pub const ALL: [Self; 5] = [Self::En, Self::De, Self::Fr, Self::Es, Self::Ja];

    /// The spelling in the database and the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::De => "de",
            Self::Fr => "fr",
            Self::Es => "es",
            Self::Ja => "ja",
            Self::Pseudo => "qps",
        }
    }

    /// Reads [`Language::as_str`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().chain([Self::Pseudo]).find(|language| language.as_str() == text)
    }

    /// The one to write somebody in whose language is written like this (`de`, `de-AT`, `pt_BR`); English when we do not
    /// have it.
    #[must_use]
    pub fn of(written: Option<&str>) -> Self {
        let first = written.and_then(|text| text.split(['-', '_']).next()).unwrap_or("");
        Self::parse(&first.to_lowercase()).unwrap_or(Self::En)
    }

    /// Its own name.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::En => "English",
            Self::De => "Deutsch",
            Self::Fr => "Français",
            Self::Es => "Español",
            Self::Ja => "日本語",
            Self::Pseudo => "Pseudo",
        }
    }

    /// The template that comes with Bursar.
    #[must_use]
    pub fn built_in(self, notice: Notice) -> Template {
        let section = self.section(notice.as_str());
        let (subject, body) = section.split_once('\n').unwrap_or((section, ""));
        let subject = subject.strip_prefix("Subject: ").unwrap_or(subject);
        self.told(Template { subject: subject.to_owned(), body: body.trim().to_owned() })
    }

    /// The words a mail begins with, as a template of `name`.
    pub(super) fn greeting(self) -> Template {
        self.told(Template { subject: self.section("greeting").trim().to_owned(), body: String::new() })
    }

    /// The words at the foot of every mail.
    pub(super) fn footer(self) -> String {
        self.told(Template { subject: self.section("footer").trim().to_owned(), body: String::new() }).subject
    }

    /// Why a payment did not arrive and what its receiver can do, in his words.
    #[must_use]
    pub fn cause(self, cause: Cause) -> (String, String) {
        let mut lines = self.section("causes").lines().map(|line| line.splitn(3, " | "));
        let found = lines.find_map(|mut parts| (parts.next() == Some(cause.as_str())).then_some(parts));
        let mut words = found.into_iter().flatten().map(|words| match self {
            Self::Pseudo => pseudo(words),
            Self::En | Self::De | Self::Fr | Self::Es | Self::Ja => words.to_owned(),
        });
        (words.next().unwrap_or_default(), words.next().unwrap_or_default())
    }

    fn section(self, name: &str) -> &'static str {
        static ALL: LazyLock<HashMap<(&str, &str), &'static str>> = LazyLock::new(|| {
            let files = Language::ALL.map(|language| (language.as_str(), language.file()));
            let sections = files.into_iter().flat_map(|(language, file)| {
                let parts = file.split("\n== ").skip(1).filter_map(|part| part.split_once('\n'));
                parts.map(move |(name, text)| ((language, name), text.trim()))
            });
            sections.collect()
        });
        let language = if self == Self::Pseudo { Self::En } else { self };
        ALL.get(&(language.as_str(), name)).copied().unwrap_or_default()
    }

    fn file(self) -> &'static str {
        match self {
            Self::En | Self::Pseudo => include_str!("words/en.txt"),
            Self::De => include_str!("words/de.txt"),
            Self::Fr => include_str!("words/fr.txt"),
            Self::Es => include_str!("words/es.txt"),
            Self::Ja => include_str!("words/ja.txt"),
        }
    }

    fn told(self, template: Template) -> Template {
        match self {
            Self::Pseudo => Template { subject: pseudo(&template.subject), body: pseudo(&template.body) },
            Self::En | Self::De | Self::Fr | Self::Es | Self::Ja => template,
        }
    }
}

macro_rules! causes {
    ($($(#[$doc:meta])* $variant:ident = $text:literal: $($code:literal)|*;)+) => {
        /// Why a payment did not arrive, as its receiver must hear it: what we tell our own people is no use to him.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum Cause { $($(#[$doc])* $variant),+ }

        impl Cause {
            /// Every cause.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }

            fn listed(code: &str) -> Option<Self> {
                match code { $($($code)|* => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}

causes! {
    /// The bank account is closed.
    AccountClosed = "account_closed": "account_closed" | "bank_account_unusable";
    /// The account's number is wrong.
    WrongNumber = "wrong_number": "no_account" | "invalid_account_number" | "invalid_account_number_length"
        | "incorrect_account_type";
    /// The bank takes no money on it.
    BankRefuses = "bank_refuses": "account_frozen" | "bank_account_restricted" | "debit_not_authorized"
        | "bank_ownership_changed";
    /// The holder is another.
    WrongHolder = "wrong_holder": "incorrect_account_holder_name" | "incorrect_account_holder_address"
        | "incorrect_account_holder_tax_id" | "incorrect_account_holder_details";
    /// The currency is another.
    WrongCurrency = "wrong_currency": "invalid_currency" | "unsupported_card";
    /// Stripe is not satisfied yet.
    AccountUnfinished = "account_unfinished": "insufficient_capabilities_for_transfer" | "transfers_not_allowed"
        | "payouts_not_allowed" | "capability_not_active" | "account_invalid" | "resource_missing";
    /// PayPal knows no confirmed account.
    Unregistered = "unregistered": "RECEIVER_UNREGISTERED" | "RECEIVER_UNCONFIRMED" | "returned";
    /// PayPal cannot pay the account.
    ReceiverCannot = "receiver_cannot": "RECEIVER_ACCOUNT_LOCKED" | "RECEIVER_REFUSED";
    /// It is for us to settle.
    Ours = "ours": "needs_review";
}

impl Cause {
    /// What a reason's code means for the receiver. What only we can settle is no business of his.
    #[must_use]
    pub fn of(code: &str, vendor: Vendor) -> Self {
        let his = || match (explain(code).who, vendor) {
            (Who::Partner, Vendor::Stripe) => Self::AccountUnfinished,
            (Who::Partner, Vendor::PayPal) => Self::ReceiverCannot,
            (Who::Preparer | Who::Payer | Who::Admin | Who::Vendor | Who::Nobody, _) => Self::Ours,
        };
        Self::listed(code).unwrap_or_else(his)
    }
}

/// English with other letters, in brackets line by line; what stands in braces and what marks a line stays.
fn pseudo(text: &str) -> String {
    text.lines().map(pseudo_line).collect::<Vec<_>>().join("\n")
}

fn pseudo_line(line: &str) -> String {
    let marked = ["- ", "= ", "> "].into_iter().find(|mark| line.starts_with(mark)).unwrap_or("");
    let rest = &line[marked.len()..];
    let statement = rest.starts_with("{%") && rest.find("%}") == Some(rest.len().saturating_sub(2));
    if rest.is_empty() || statement {
        return line.to_owned();
    }
    match rest.split_once(" | ").filter(|_| matches!(marked, "= " | "> ")) {
        Some((words, value)) => format!("{marked}⟦{}⟧ | {value}", other_letters(words)),
        None => format!("{marked}⟦{}⟧", other_letters(rest)),
    }
}

/// The words with other letters; what stands in braces stays.
fn other_letters(mut rest: &str) -> String {
    let mut told = String::new();
    while let Some(at) = rest.find(['{', '}']) {
        let closing = if rest[at..].starts_with("{{") { "}}" } else { "%}" };
        let end = rest[at..].find(closing).map_or(rest.len(), |end| at + end + 2);
        told.extend(rest[..at].chars().map(changed));
        told.push_str(&rest[at..end]);
        rest = &rest[end..];
    }
    told.extend(rest.chars().map(changed));
    told
}

fn changed(letter: char) -> char {
    let (plain, other) = ("aceinouyACEINOUY", "áçéíñóúýÁÇÉÍÑÓÚÝ");
    plain.find(letter).and_then(|at| other.chars().nth(at)).unwrap_or(letter)
}
