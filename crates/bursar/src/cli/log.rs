//! The log, on standard error, so that standard output has only results. Log lines quote untrusted text, which must not break
//! a line, move the terminal's cursor or change the text direction. So unprintable characters are escaped here, just before
//! writing, whatever logs them, in the text format and in JSON. Not here: what is logged.

use std::io::{self, IsTerminal as _, Write};

use tracing_subscriber::EnvFilter;

use super::output;

/// Starts logging for the lifetime of the process.
pub(super) fn begin(filter: &str, format: &str) {
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("info"));
    // A full disk or a missing log collector loses lines; without this the library would panic.
    let logs = tracing_subscriber::fmt().with_env_filter(filter).log_internal_errors(false);
    let begun = if format == "json" {
        let written = || OneLine { to: io::stderr(), signs: Signs::Json };
        logs.with_writer(written).with_ansi(false).json().try_init()
    } else {
        let colours = io::stderr().is_terminal();
        let signs = if colours { Signs::Coloured } else { Signs::Plain };
        let written = move || OneLine { to: io::stderr(), signs };
        logs.with_writer(written).with_ansi(colours).compact().try_init()
    };
    if begun.is_err() {
        output::complain("the log was set up before");
    }
}

/// Writes each log record as a single line.
struct OneLine<W> {
    to: W,
    signs: Signs,
}

/// How unprintable characters are handled.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Signs {
    Plain,
    /// Color sequences pass: they change only the appearance of a line.
    Coloured,
    /// JSON has escaped some of them, and writes the rest unchanged inside its strings.
    Json,
}

impl<W: Write> Write for OneLine<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.to.write_all(escaped(&String::from_utf8_lossy(line), self.signs).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// Escapes everything that breaks a line, moves the cursor or changes the text direction, except the final newline.
fn escaped(line: &str, signs: Signs) -> String {
    let (line, end) = line.strip_suffix('\n').map_or((line, ""), |line| (line, "\n"));
    let mut rest = line;
    let mut out = String::with_capacity(line.len() + 1);
    while let Some(letter) = rest.chars().next() {
        let colour = if signs == Signs::Coloured { colour_of(rest) } else { 0 };
        if colour > 0 {
            out.push_str(&rest[..colour]);
            rest = &rest[colour..];
            continue;
        }
        match (is_read(letter), signs) {
            (true, _) => out.push(letter),
            (false, Signs::Plain | Signs::Coloured) => out.extend(letter.escape_default()),
            (false, Signs::Json) => {
                let units = &mut [0; 2];
                out.extend(letter.encode_utf16(units).iter().map(|unit| format!("\\u{unit:04x}")));
            }
        }
        rest = &rest[letter.len_utf8()..];
    }
    out + end
}

fn is_read(letter: char) -> bool {
    // Line and paragraph separators, and direction marks.
    let turns = matches!(letter, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{061c}')
        || ('\u{202a}'..='\u{202e}').contains(&letter)
        || ('\u{2066}'..='\u{2069}').contains(&letter);
    // Zero-width characters that join nothing, and tag characters.
    let unseen = matches!(letter, '\u{ad}' | '\u{180e}' | '\u{200b}' | '\u{feff}')
        || ('\u{2060}'..='\u{2064}').contains(&letter)
        || ('\u{206a}'..='\u{206f}').contains(&letter)
        || ('\u{fff9}'..='\u{fffb}').contains(&letter)
        || ('\u{e0000}'..='\u{e007f}').contains(&letter);
    !letter.is_control() && !turns && !unseen
}

/// The length of a color escape sequence at the start of a text: `ESC [`, numbers, `m`. Only the ones this log writes
/// itself are allowed: none that hides text.
fn colour_of(text: &str) -> usize {
    let Some(rest) = text.strip_prefix("\u{1b}[") else { return 0 };
    let digits = rest.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b';').count();
    let is_ours = |number: &str| matches!(number.parse::<u8>(), Ok(0..=3 | 31..=36));
    let ours = rest[..digits].split(';').all(is_ours);
    if ours && rest[digits..].starts_with('m') { 2 + digits + 1 } else { 0 }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// The log output for an error with this text.
    fn logged(words: &str, signs: Signs) -> String {
        let kept = Kept::default();
        let to = kept.clone();
        let writer = move || OneLine { to: to.clone(), signs };
        let logs = tracing_subscriber::fmt().with_ansi(signs == Signs::Coloured).with_writer(writer);
        let subscriber: tracing::Dispatch = match signs {
            Signs::Json => logs.json().finish().into(),
            Signs::Plain | Signs::Coloured => logs.compact().finish().into(),
        };
        let _another = tracing::Dispatch::new(tracing_subscriber::registry());
        tracing::dispatcher::with_default(&subscriber, || {
            tracing::warn!(error = %words, "a vendor said {words}");
            tracing::info!("the next line");
        });
        let bytes = kept.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn what_somebody_says_is_no_line_of_its_own() {
        let forged = "no\r\n2026-03-02T09:00:00Z  INFO bursar: paid\u{85}x\u{2028}y\u{1b}[2J\u{202e}\u{7}";
        for signs in [Signs::Plain, Signs::Coloured] {
            let log = logged(forged, signs);
            assert_eq!(log.lines().count(), 2, "{log}");
            assert!(log.ends_with('\n'));
            assert!(log.contains("no\\r\\n2026") || log.contains("no\\\\r\\\\n2026"), "{log}");
            for sign in ['\r', '\u{85}', '\u{2028}', '\u{202e}', '\u{7}'] {
                assert!(!log.contains(sign), "{sign:?} {log}");
            }
            assert!(!log.contains("\u{1b}[2J"), "{log}");
        }
        let fine = logged("fine", Signs::Coloured);
        assert!(
            fine.contains("\u{1b}[") && !fine.contains("\\u{1b}"),
            "colours pass where there are some: {fine}"
        );
        assert!(!logged("\u{1b}[31mred", Signs::Plain).contains('\u{1b}'));
    }

    /// JSON lines are safe on a terminal, and a program that parses them gets the original text.
    #[test]
    fn what_is_written_for_programs_moves_no_terminal_either() {
        let forged = "no\n\u{85}\u{9b}2J\u{202e}\u{2028}\u{200b}\u{feff}\u{e0041}\u{7f}Zoë";
        let log = logged(forged, Signs::Json);
        assert_eq!(log.lines().count(), 2, "{log}");
        assert!(log.chars().all(|letter| letter == '\n' || is_read(letter)), "{log:?}");
        assert!(log.contains("\\u0085\\u009b2J\\u202e") && log.contains("\\udb40\\udc41"), "{log}");
        let first: serde_json::Value = serde_json::from_str(log.lines().next().unwrap()).unwrap();
        assert_eq!(first["fields"]["error"], forged, "nothing of it is lost");
    }

    #[test]
    fn what_is_written_to_be_read_stays_as_it_is() {
        let line = "Zoë paid 12 € to 山田 “now”\n";
        assert_eq!(escaped(line, Signs::Plain), line);
        assert_eq!(escaped("a\nb\n", Signs::Plain), "a\\nb\n");
        let coloured = |line: &str| escaped(line, Signs::Coloured);
        assert_eq!(coloured("\u{1b}[31mred\u{1b}[0m\u{1b}["), "\u{1b}[31mred\u{1b}[0m\\u{1b}[");
        assert_eq!(coloured("\u{1b}[8mhidden"), "\\u{1b}[8mhidden");
    }
}
