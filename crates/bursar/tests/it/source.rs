//! The project's own files as text, with just enough Rust lexing to tell code from comments and strings. Not here: a
//! parser. A rule that needs one belongs in clippy.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// A source file of the project.
pub struct Source {
    /// Path from the project root, with forward slashes.
    pub path: String,
    /// The content of the file.
    pub text: String,
    stretches: OnceLock<Vec<Stretch>>,
}

/// Start and end in bytes, and the kind.
type Stretch = (usize, usize, Kind);

/// A string literal, with its escapes resolved.
#[derive(Debug, PartialEq, Eq)]
pub struct Literal {
    /// The start in the text, in bytes.
    pub at: usize,
    /// The line it starts on, from 1.
    pub line: usize,
    /// The value of the string.
    pub value: String,
}

/// Every file of the project whose name ends in one of `endings`, by path.
pub fn files(endings: &[&str]) -> Vec<Source> {
    let mut found = Vec::new();
    walk(&root(), endings, &mut found);
    found.sort_by(|one, other| one.path.cmp(&other.path));
    found
}

/// One file of the project, if it is there.
pub fn file(path: &str) -> Option<Source> {
    let text = std::fs::read_to_string(root().join(path)).ok()?;
    Some(Source::new(path, text))
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn walk(folder: &Path, endings: &[&str], found: &mut Vec<Source>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            if !["target", "node_modules", ".git"].contains(&name.as_str()) {
                walk(&path, endings, found);
            }
        } else if endings.iter().any(|ending| name.ends_with(ending)) {
            let text = std::fs::read_to_string(&path).unwrap();
            let path = path.strip_prefix(root()).unwrap().to_string_lossy().replace('\\', "/");
            found.push(Source::new(path, text));
        }
    }
}

/// The kind of a stretch of Rust.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Code,
    Comment,
    String,
}

impl Source {
    /// A file with this path and text.
    pub fn new(path: impl Into<String>, text: impl Into<String>) -> Self {
        Self { path: path.into(), text: text.into(), stretches: OnceLock::new() }
    }

    fn stretches(&self) -> impl Iterator<Item = Stretch> {
        self.stretches.get_or_init(|| stretches(&self.text)).iter().copied()
    }

    /// The text with comments and strings blanked out; lines and columns are unchanged.
    pub fn code(&self) -> String {
        let mut text = String::with_capacity(self.text.len());
        for (start, end, kind) in self.stretches() {
            let keep = |character| kind == Kind::Code || character == '\n';
            let part = self.text[start..end].chars();
            text.extend(part.map(|character| if keep(character) { character } else { ' ' }));
        }
        text
    }

    /// The text without its strings; lines are unchanged, columns are not.
    pub fn without_strings(&self) -> String {
        let mut text = String::with_capacity(self.text.len());
        for (start, end, kind) in self.stretches() {
            let part = &self.text[start..end];
            text.extend(part.chars().filter(|character| kind != Kind::String || *character == '\n'));
        }
        text
    }

    /// All string literals, in source order.
    pub fn literals(&self) -> Vec<Literal> {
        let mut literals = Vec::new();
        for (start, end, kind) in self.stretches() {
            if kind == Kind::String {
                let line = self.text[..start].matches('\n').count() + 1;
                literals.push(Literal { at: start, line, value: resolve(&self.text[start..end]) });
            }
        }
        literals
    }
}

/// Splits Rust into stretches of one kind. A string's stretch includes its quotes and prefix; a character literal is code.
fn stretches(text: &str) -> Vec<Stretch> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let (mut at, mut code_from) = (0, 0);
    while at < bytes.len() {
        let rest = &text[at..];
        let part_of_a_word = at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_');
        let special = if rest.starts_with("//") {
            Some((rest.find('\n').unwrap_or(rest.len()), Kind::Comment))
        } else if rest.starts_with("/*") {
            Some((block_comment(rest), Kind::Comment))
        } else if part_of_a_word && bytes[at] != b'"' {
            None
        } else {
            string(rest).map(|length| (length, Kind::String))
        };
        match special {
            Some((length, kind)) => {
                found.push((code_from, at, Kind::Code));
                found.push((at, at + length, kind));
                at += length;
                code_from = at;
            }
            None => at += character(rest),
        }
    }
    found.push((code_from, text.len(), Kind::Code));
    found
}

/// The length of the block comment at the start of `rest`; block comments nest.
fn block_comment(rest: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        if rest[at..].starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if rest[at..].starts_with("*/") {
            (depth, at) = (depth - 1, at + 2);
        } else {
            at += rest[at..].chars().next().map_or(1, char::len_utf8);
        }
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

/// The length of the string literal at the start of `rest`, including prefix and quotes; `None` if there is none.
fn string(rest: &str) -> Option<usize> {
    let prefix = ["br", "cr", "b", "c", "r", ""].into_iter().find(|prefix| {
        let after = rest.strip_prefix(prefix).unwrap_or("x").trim_start_matches('#');
        after.starts_with('"') && (prefix.ends_with('r') || rest[prefix.len()..].starts_with('"'))
    })?;
    let hashes = rest[prefix.len()..].len() - rest[prefix.len()..].trim_start_matches('#').len();
    let begin = prefix.len() + hashes + 1;
    let inside = &rest[begin..];
    if prefix.ends_with('r') {
        let end = format!("\"{}", "#".repeat(hashes));
        return Some(begin + inside.find(&end).map_or(inside.len(), |at| at + end.len()));
    }
    let mut escaped = false;
    for (at, character) in inside.char_indices() {
        match character {
            '"' if !escaped => return Some(begin + at + 1),
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    Some(rest.len())
}

/// The length of the next token of code: a whole character literal, so that `'"'` opens no string, else one character.
fn character(rest: &str) -> usize {
    let first = rest.chars().next().map_or(1, char::len_utf8);
    let Some(after) = rest.strip_prefix('\'') else { return first };
    if let Some(escape) = after.strip_prefix('\\') {
        return escape.get(1..).and_then(|more| more.find('\'')).map_or(first, |at| at + 4);
    }
    match after.char_indices().nth(1) {
        Some((at, '\'')) => at + 2,
        Some(_) | None => first,
    }
}

/// The value of a literal: quotes and prefix removed, escapes resolved, continued lines joined.
fn resolve(literal: &str) -> String {
    let open = literal.find('"').unwrap_or(0);
    let raw = literal[..open].contains('r');
    let inside = literal[open + 1..].trim_end_matches('#');
    let inside = inside.strip_suffix('"').unwrap_or(inside);
    if raw {
        return inside.to_owned();
    }
    let mut text = String::new();
    let mut characters = inside.chars().peekable();
    while let Some(character) = characters.next() {
        if character != '\\' {
            text.push(character);
            continue;
        }
        match characters.next() {
            Some('n') => text.push('\n'),
            Some('t') => text.push('\t'),
            Some('\n') => while characters.next_if(|next| next.is_whitespace()).is_some() {},
            Some(other) => text.push(other),
            None => {}
        }
    }
    text
}

/// The names in code: words of letters, digits and underscores, with their line.
pub fn names(code: &str) -> impl Iterator<Item = (usize, &str)> {
    code.lines().enumerate().flat_map(|(line, text)| {
        let words = text.split(|character: char| !character.is_alphanumeric() && character != '_');
        words.filter(|word| !word.is_empty()).map(move |word| (line + 1, word))
    })
}

#[test]
fn code_comments_and_strings_are_told_apart() {
    let text = r####"
let a = 'x'; // a "comment"
let b = "a // string \" with 'quotes'"; /* /* nested "x" */ */
let c = r#"raw "inner" \"#; let d = '"'; let e = '\''; fn f<'a>(x: &'a str) {}
let g = "one \
         two";
let h = format!("é{}", b"bytes");
"####;
    let source = Source::new("a.rs", text);
    let values: Vec<String> = source.literals().into_iter().map(|literal| literal.value).collect();
    let expected = [r#"a // string " with 'quotes'"#, r#"raw "inner" \"#, "one two", "é{}", "bytes"];
    assert_eq!(values, expected);
    assert_eq!(source.literals()[2].line, 5);
    let code = source.code();
    assert!(code.contains("fn f<'a>(x: &'a str) {}") && code.contains("let e = '\\''"));
    assert!(!code.contains("comment") && !code.contains("nested") && !code.contains("inner"));
    assert_eq!(code.lines().count(), text.lines().count());
    assert!(source.without_strings().contains("nested") && !source.without_strings().contains("two"));
}
