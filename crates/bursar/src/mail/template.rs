//! Templates that administrators can edit: subject and body in minijinja, limited to the variables of their notice. No
//! loader, include, import, macro or file access; the only filters are `join` and `length`; and source length, running
//! time and output size are bounded.

use std::collections::BTreeSet;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior, Value as Jinja, filters};
use payout::notice::Notice;
use serde_json::{Value, json};

use super::language::Language;
use super::variables::{sample, variables};

/// The instruction limit of one rendering, in minijinja's fuel units.
const FUEL: u64 = 50_000;
/// The longest subject and body in bytes, as source.
const MOST_WRITTEN: (usize, usize) = (500, 10_000);
/// The longest subject and body in bytes, as rendered.
const MOST_RENDERED: (usize, usize) = (500, 50_000);
/// The statements allowed between `{%` and `%}`. Without `set`, no value can grow from step to step.
const STATEMENTS: [&str; 6] = ["if", "elif", "else", "endif", "for", "endfor"];

/// A subject and body as source.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Template {
    pub subject: String,
    /// The markup (see `markup`) with minijinja in it.
    pub body: String,
}

/// A subject and body as rendered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rendered {
    pub subject: String,
    pub body: String,
}

/// Why a template cannot be used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Broken {
    /// `subject` or `body`.
    pub field: &'static str,
    /// The line, from 1, if known.
    pub line: Option<usize>,
    pub what: String,
}

impl Broken {
    fn of(field: &'static str, line: Option<usize>, what: impl Into<String>) -> Self {
        Self { field, line, what: what.into() }
    }

    /// A message for the author, with what they may use instead.
    pub fn sentence(&self, notice: Notice) -> String {
        let place = match self.line {
            Some(line) if self.field == "body" => format!("Line {line} of the body"),
            Some(_) | None => format!("The {}", self.field),
        };
        let names: Vec<&str> = variables(notice).iter().map(|variable| variable.name).collect();
        format!("{place}: {}. It may use {}.", self.what.trim_end_matches('.'), names.join(", "))
    }
}

impl Template {
    /// Checks a template for a notice: not too long, only allowed names, and renders for every reader.
    ///
    /// # Errors
    /// What is wrong, and on which line.
    pub fn check(&self, notice: Notice) -> Result<(), Broken> {
        let fields = [("subject", &self.subject, MOST_WRITTEN.0), ("body", &self.body, MOST_WRITTEN.1)];
        for (field, source, most) in fields {
            if source.trim().is_empty() {
                return Err(Broken::of(field, None, "it is empty"));
            }
            if source.len() > most {
                return Err(Broken::of(field, None, format!("it is longer than {most} bytes")));
            }
        }
        if self.subject.contains(char::is_control) {
            return Err(Broken::of("subject", None, "it is one line without control characters"));
        }
        for (field, source, _) in fields {
            names_only_what_it_may(notice, field, source)?;
        }
        for for_partner in [true, false] {
            let mut facts = sample(notice);
            if facts.get("for_partner").is_some() {
                facts["for_partner"] = json!(for_partner);
            }
            self.fill(notice, Language::En, &facts)?;
        }
        Ok(())
    }

    /// Renders a template for a notice. If its link signs the reader in, the link may appear only as a button's target,
    /// because only there is it hidden from others who see the mail. Rendering with a different link must give the same
    /// result except for that link, so no part of it can leak another way.
    ///
    /// # Errors
    /// As [`Template::render`], and if the link appears elsewhere.
    pub fn fill(&self, notice: Notice, language: Language, facts: &Value) -> Result<Rendered, Broken> {
        let rendered = self.render(language, facts)?;
        let Some(link) = facts[LINK].as_str().filter(|_| notice.carries_secret()) else {
            return Ok(rendered);
        };
        self.keeps_the_link()?;
        let other: String = link.chars().map(|letter| if letter == 'x' { 'y' } else { 'x' }).collect();
        let mut otherwise = facts.clone();
        otherwise[LINK] = json!(other);
        let (subject, lines) = with_bare_buttons(&rendered, link);
        let (other_subject, other_lines) = with_bare_buttons(&self.render(language, &otherwise)?, &other);
        if subject != other_subject {
            return Err(Broken::of("subject", None, LINK_ELSEWHERE));
        }
        if lines != other_lines {
            return Err(Broken::of("body", None, LINK_ELSEWHERE));
        }
        Ok(rendered)
    }

    /// Whether the link is used only as a button's target, as far as the source shows.
    fn keeps_the_link(&self) -> Result<(), Broken> {
        let environment = environment();
        let buttons_aside: Vec<String> = self.body.lines().map(without_its_address).collect();
        let body = buttons_aside.join("\n");
        for (field, source) in [("subject", &self.subject), ("body", &body)] {
            let template = environment.template_from_str(source).map_err(|error| broken(field, &error))?;
            if template.undeclared_variables(false).contains(LINK) {
                let line = source.lines().position(|line| line.contains(LINK)).map(|line| line + 1);
                return Err(Broken::of(field, line, LINK_ELSEWHERE));
            }
        }
        Ok(())
    }

    /// Renders a template. `facts` is an object of the notice's variables; `greeting` is added here.
    ///
    /// # Errors
    /// The template uses an undefined name, runs too long or writes too much.
    pub fn render(&self, language: Language, facts: &Value) -> Result<Rendered, Broken> {
        let mut facts = plain(facts.clone());
        let greeting = evaluated("subject", &language.greeting().subject, &facts, MOST_RENDERED.0)?;
        facts["greeting"] = json!(greeting);
        let subject = evaluated("subject", &self.subject, &facts, MOST_RENDERED.0)?;
        let subject = subject.split_whitespace().collect::<Vec<_>>().join(" ");
        let body = evaluated("body", &self.body, &facts, MOST_RENDERED.1)?;
        Ok(Rendered { subject, body: body.trim().to_owned() })
    }
}

/// The variable that may be a secret.
const LINK: &str = "link";
const LINK_ELSEWHERE: &str = "`link` opens the reader's login, so it may stand only where a button leads, on a line of its own like `> Choose a password | {{ link }}`, and never in the subject";

/// A mail with the link removed from button targets; elsewhere the link is kept.
fn with_bare_buttons(rendered: &Rendered, link: &str) -> (String, Vec<String>) {
    let bare = |line: &str| match line.strip_prefix("> ").and_then(|line| line.split_once(" | ")) {
        Some((words, address)) if address.trim() == link => format!("> {words} | "),
        Some(_) | None => line.to_owned(),
    };
    (rendered.subject.clone(), rendered.body.lines().map(bare).collect())
}

/// A button line without its target, if that is exactly the link; any other line unchanged.
fn without_its_address(line: &str) -> String {
    let parts = line.strip_prefix("> ").and_then(|rest| rest.split_once(" | "));
    let address = parts.and_then(|(_, address)| address.trim().strip_prefix("{{")?.strip_suffix("}}"));
    match (parts, address.map(str::trim)) {
        (Some((words, _)), Some(LINK)) => format!("> {words} | "),
        (Some(_) | None, _) => line.to_owned(),
    }
}

fn environment() -> Environment<'static> {
    let mut environment = Environment::empty();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    environment.set_recursion_limit(20);
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
    if let Ok(syntax) = syntax {
        environment.set_syntax(syntax);
    }
    environment.add_filter("join", filters::join);
    environment.add_filter("length", filters::length);
    environment
}

fn names_only_what_it_may(notice: Notice, field: &'static str, source: &str) -> Result<(), Broken> {
    let environment = environment();
    let template = environment.template_from_str(source).map_err(|error| broken(field, &error))?;
    let mut rest = source;
    while let Some(at) = rest.find("{%") {
        let word: String = rest[at + 2..]
            .trim_start_matches(['-', '+'])
            .trim_start()
            .chars()
            .take_while(|letter| letter.is_ascii_alphabetic())
            .collect();
        if !STATEMENTS.contains(&word.as_str()) {
            let line = source[..source.len() - rest.len() + at].matches('\n').count() + 1;
            return Err(Broken::of(field, Some(line), format!("`{word}` cannot be used; if and for can")));
        }
        rest = &rest[at + 2..];
    }
    let known: BTreeSet<&str> = variables(notice).iter().map(|variable| variable.name).collect();
    let mut unknown: Vec<String> = template.undeclared_variables(false).into_iter().collect();
    unknown.retain(|name| !known.contains(name.as_str()) && name != "loop");
    unknown.sort();
    match unknown.first() {
        None => Ok(()),
        Some(name) => {
            let line = source.lines().position(|line| line.contains(name.as_str())).map(|line| line + 1);
            Err(Broken::of(field, line, format!("there is no `{name}` in this notice")))
        }
    }
}

fn evaluated(field: &'static str, source: &str, facts: &Value, most: usize) -> Result<String, Broken> {
    let environment = environment();
    let template = environment.template_from_str(source).map_err(|error| broken(field, &error))?;
    let mut written = Bounded { bytes: Vec::new(), most };
    let rendered = template.render_captured_to(Jinja::from(Serde(facts)), &mut written);
    match rendered {
        Err(_) if written.bytes.len() >= most => {
            Err(Broken::of(field, None, format!("it writes more than {most} bytes")))
        }
        Err(error) => Err(broken(field, &error)),
        Ok(_) => Ok(String::from_utf8_lossy(&written.bytes).into_owned()),
    }
}

/// A write buffer with a size limit.
struct Bounded {
    bytes: Vec<u8>,
    most: usize,
}

impl std::io::Write for Bounded {
    fn write(&mut self, more: &[u8]) -> std::io::Result<usize> {
        if self.bytes.len() + more.len() > self.most {
            self.bytes.resize(self.most, b' ');
            return Err(std::io::Error::other("too long"));
        }
        self.bytes.extend_from_slice(more);
        Ok(more.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn broken(field: &'static str, error: &Error) -> Broken {
    let what = match (error.kind(), error.detail()) {
        (ErrorKind::OutOfFuel, _) => "it runs too long".to_owned(),
        (_, Some(detail)) => detail.to_owned(),
        (kind, None) => kind.to_string(),
    };
    Broken::of(field, error.line(), what)
}

/// The facts with each text on one line and without leading markers: a value is text, never markup.
fn plain(facts: Value) -> Value {
    match facts {
        Value::String(text) => {
            let text: String =
                text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
            let text =
                text.trim_start_matches(|letter: char| letter.is_whitespace() || "-=>|".contains(letter));
            Value::String(text.trim_end().to_owned())
        }
        Value::Array(values) => Value::Array(values.into_iter().map(plain).collect()),
        Value::Object(fields) => {
            Value::Object(fields.into_iter().map(|(name, value)| (name, plain(value))).collect())
        }
        value @ (Value::Null | Value::Bool(_) | Value::Number(_)) => value,
    }
}
