//! The built-in templates of each language, loaded from one text file per language, and a partner's gate and failure
//! texts. Not here: templates written by an administrator (`store::templates`).

use std::collections::HashMap;
use std::sync::LazyLock;

use payout::eligibility::Code;
use payout::notice::Notice;

use super::language::Language;
use super::partner_text::{self, PartnerText};
use super::template::Template;

impl Language {
    /// The template that comes with Bursar.
    pub fn built_in(self, notice: Notice) -> Template {
        let section = self.section(notice.as_str());
        let (subject, body) = section.split_once('\n').unwrap_or((section, ""));
        let subject = subject.strip_prefix("Subject: ").unwrap_or(subject);
        self.told(Template { subject: subject.to_owned(), body: body.trim().to_owned() })
    }

    /// The greeting of a mail, as a template of `name`.
    pub(super) fn greeting(self) -> Template {
        self.told(Template { subject: self.section("greeting").trim().to_owned(), body: String::new() })
    }

    /// The footer of every mail.
    pub(super) fn footer(self) -> String {
        self.told(Template { subject: self.section("footer").trim().to_owned(), body: String::new() }).subject
    }

    /// A gate and what a partner can do about it, in their language.
    pub fn blocker(self, code: Code) -> (String, String) {
        self.in_words(partner_text::gate(self, code))
    }

    /// Why a payment did not arrive, by reason code, and what the payee can do, in their language.
    pub fn reason(self, code: &str) -> (String, String) {
        self.in_words(partner_text::reason(self, code))
    }

    fn in_words(self, words: PartnerText) -> (String, String) {
        match self {
            Self::Pseudo => (pseudo(words.message), pseudo(words.remedy)),
            Self::En | Self::De | Self::Fr | Self::Es | Self::Ja => {
                (words.message.to_owned(), words.remedy.to_owned())
            }
        }
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

/// Pseudo-localized English: changed letters, in brackets line by line; placeholders in braces and line markers are
/// kept.
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

/// Changes the letters of a text, except in braces.
fn other_letters(mut rest: &str) -> String {
    let mut out = String::new();
    while let Some(at) = rest.find(['{', '}']) {
        let closing = if rest[at..].starts_with("{{") { "}}" } else { "%}" };
        let end = rest[at..].find(closing).map_or(rest.len(), |end| at + end + 2);
        out.extend(rest[..at].chars().map(changed));
        out.push_str(&rest[at..end]);
        rest = &rest[end..];
    }
    out.extend(rest.chars().map(changed));
    out
}

fn changed(letter: char) -> char {
    let (plain, other) = ("aceinouyACEINOUY", "áçéíñóúýÁÇÉÍÑÓÚÝ");
    plain.find(letter).and_then(|at| other.chars().nth(at)).unwrap_or(letter)
}
