//! The log, on standard error, so that standard output contains results only. It quotes others verbatim, and nothing
//! they send may end a line or move a terminal's cursor, so in the text format every unprintable character is escaped
//! here, whoever logs it. Not here: what is logged.

use std::io::{self, IsTerminal as _, Write};

use tracing_subscriber::EnvFilter;

use super::output;

/// Starts logging for the lifetime of the process.
pub(super) fn begin(filter: &str, format: &str) {
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("info"));
    // A full disk or a missing log collector loses lines; without this the library would panic.
    let logs = tracing_subscriber::fmt().with_env_filter(filter).log_internal_errors(false);
    let begun = if format == "json" {
        // The JSON format escapes by itself.
        logs.with_writer(io::stderr).with_ansi(false).json().try_init()
    } else {
        let colours = io::stderr().is_terminal();
        let written = move || OneLine { to: io::stderr(), colours };
        logs.with_writer(written).with_ansi(colours).compact().try_init()
    };
    if begun.is_err() {
        output::complain("the log was set up before");
    }
}

/// Writes each log record as a single line.
struct OneLine<W> {
    to: W,
    /// Pass color escape sequences through; they change only how a line looks.
    colours: bool,
}

impl<W: Write> Write for OneLine<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.to.write_all(escaped(&String::from_utf8_lossy(line), self.colours).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// Escapes everything that ends a line, moves the cursor or changes text direction, except the final newline.
fn escaped(line: &str, colours: bool) -> String {
    let (line, end) = line.strip_suffix('\n').map_or((line, ""), |line| (line, "\n"));
    let mut rest = line;
    let mut out = String::with_capacity(line.len() + 1);
    while let Some(letter) = rest.chars().next() {
        let colour = if colours { colour_of(rest) } else { 0 };
        if colour > 0 {
            out.push_str(&rest[..colour]);
            rest = &rest[colour..];
            continue;
        }
        match is_read(letter) {
            true => out.push(letter),
            false => out.extend(letter.escape_default()),
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
    !letter.is_control() && !turns
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

    /// How an error with this text appears in the log.
    fn logged(words: &str, colours: bool) -> String {
        let kept = Kept::default();
        let to = kept.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(move || OneLine { to: to.clone(), colours })
            .with_ansi(colours)
            .compact()
            .finish();
        let _another = tracing::Dispatch::new(tracing_subscriber::registry());
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!(error = %words, "a vendor said {words}");
            tracing::info!("the next line");
        });
        let bytes = kept.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn what_somebody_says_is_no_line_of_its_own() {
        let forged = "no\r\n2026-03-02T09:00:00Z  INFO bursar: paid\u{85}x\u{2028}y\u{1b}[2J\u{202e}\u{7}";
        for colours in [false, true] {
            let log = logged(forged, colours);
            assert_eq!(log.lines().count(), 2, "{log}");
            assert!(log.ends_with('\n'));
            assert!(log.contains("no\\r\\n2026") || log.contains("no\\\\r\\\\n2026"), "{log}");
            for sign in ['\r', '\u{85}', '\u{2028}', '\u{202e}', '\u{7}'] {
                assert!(!log.contains(sign), "{sign:?} {log}");
            }
            assert!(!log.contains("\u{1b}[2J"), "{log}");
        }
        let fine = logged("fine", true);
        assert!(
            fine.contains("\u{1b}[") && !fine.contains("\\u{1b}"),
            "colours pass where there are some: {fine}"
        );
        assert!(!logged("\u{1b}[31mred", false).contains('\u{1b}'));
    }

    #[test]
    fn what_is_written_to_be_read_stays_as_it_is() {
        let line = "Zoë paid 12 € to 山田 “now”\n";
        assert_eq!(escaped(line, false), line);
        assert_eq!(escaped("a\nb\n", false), "a\\nb\n");
        assert_eq!(escaped("\u{1b}[31mred\u{1b}[0m\u{1b}[", true), "\u{1b}[31mred\u{1b}[0m\\u{1b}[");
        assert_eq!(escaped("\u{1b}[8mhidden", true), "\\u{1b}[8mhidden");
    }
}
