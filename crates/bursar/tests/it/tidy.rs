//! Code rules that clippy cannot check, each with its reason and an example that breaks it.
//!
//! A rule is a function from a file to the lines that break it. Every rule is first run on a bad example: a rule that
//! cannot fail is only a comment. Not here: anything that a rustc or clippy lint, or the absence of a dependency, already
//! enforces.

mod asvs;
mod ceremony;
mod circles;
mod codes;
pub mod database;
mod deploy;
mod files;
mod rooms;
mod words;

use crate::source::{self, Source};

/// One rule with its examples.
pub struct Rule {
    /// The name of the rule.
    pub name: &'static str,
    /// The reason for the rule.
    pub why: &'static str,
    /// Finds the lines of a file that break it, each with a message.
    pub broken: fn(&Source) -> Vec<Breach>,
    /// Files that break it, as path and text.
    pub bad: &'static [(&'static str, &'static str)],
    /// Files that look as if they broke it, but do not.
    pub good: &'static [(&'static str, &'static str)],
}

/// A line number, from 1, and what is wrong there.
pub type Breach = (usize, String);

fn rules() -> impl Iterator<Item = &'static Rule> {
    [
        files::RULES,
        words::RULES,
        ceremony::RULES,
        database::RULES,
        rooms::RULES,
        circles::RULES,
        asvs::RULES,
        deploy::RULES,
        codes::RULES,
    ]
    .into_iter()
    .flatten()
}

const READ: &[&str] = &[
    ".rs",
    ".sql",
    ".html",
    ".txt",
    ".css",
    ".js",
    ".toml",
    ".md",
    "Cargo.lock",
    // The files in deploy/.
    "Containerfile",
    "Caddyfile",
    ".conf",
    ".env",
    ".service",
    ".yaml",
];

#[test]
fn the_house_is_tidy() {
    let files = source::files(READ);
    assert!(files.len() > 50, "the project was not found");
    let mut report = String::new();
    for rule in rules() {
        let breaches: Vec<String> = files
            .iter()
            .flat_map(|file| (rule.broken)(file).into_iter().map(move |breach| (file, breach)))
            .map(|(file, (line, what))| format!("  {}:{line}: {what}\n", file.path))
            .collect();
        if !breaches.is_empty() {
            report += &format!("\n{}: {}\n{}", rule.name, rule.why, breaches.concat());
        }
    }
    assert!(report.is_empty(), "{report}");
}

#[test]
fn every_rule_can_fail() {
    for rule in rules() {
        assert!(!rule.bad.is_empty(), "{} has no bad example", rule.name);
        for (path, text) in rule.bad {
            let file = Source::new(*path, *text);
            assert!(!(rule.broken)(&file).is_empty(), "{} does not see\n{path}\n{text}", rule.name);
        }
        for (path, text) in rule.good {
            let file = Source::new(*path, *text);
            assert_eq!((rule.broken)(&file), [], "{} sees what is not there in\n{path}\n{text}", rule.name);
        }
    }
}
