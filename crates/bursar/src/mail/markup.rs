//! The markup of rendered templates, and the two parts of a mail made from it.
//!
//! | lines of a block | become |
//! | --- | --- |
//! | `- words` | a list |
//! | `= label \| value` | a table of facts |
//! | `> words \| address` | a button; only for a URL of our own |
//! | anything else | a paragraph |
//!
//! Blank lines separate blocks. The HTML is generated with MJML, for wide support across mail clients.

use super::language::Language;

/// The two parts of a mail.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Parts {
    pub text: String,
    /// A complete HTML document without scripts, images or external resources.
    pub html: String,
}

enum Block<'a> {
    Paragraph(String),
    List(Vec<&'a str>),
    Facts(Vec<(&'a str, &'a str)>),
    Button(&'a str, &'a str),
}

impl Parts {
    /// Builds the parts of a mail from its subject and markup. `ours` is the prefix of our own URLs.
    pub fn of(language: Language, subject: &str, body: &str, ours: &str) -> Self {
        let blocks = blocks(body, ours);
        let footer = language.footer();
        Self { text: text(&blocks, &footer), html: html(&blocks, language, subject, &footer) }
    }
}

/// Parses the markup. A line that does not fit its marker becomes a paragraph: an ugly mail is better than a lost one.
fn blocks<'a>(body: &'a str, ours: &str) -> Vec<Block<'a>> {
    let mut blocks = Vec::new();
    for part in body.split("\n\n") {
        let lines: Vec<&str> = part.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let all = |mark: &str| !lines.is_empty() && lines.iter().all(|line| line.starts_with(mark));
        if lines.is_empty() {
            continue;
        }
        if all("- ") {
            blocks.push(Block::List(lines.iter().map(|line| line[2..].trim()).collect()));
        } else if all("= ") {
            let facts = lines.iter().map(|line| line[2..].split_once(" | ").unwrap_or((&line[2..], "")));
            blocks.push(Block::Facts(facts.map(|(label, value)| (label.trim(), value.trim())).collect()));
        } else if let ([line], true) = (lines.as_slice(), all("> "))
            && let Some((words, address)) = line[2..].split_once(" | ")
            && is_ours(address, ours)
        {
            blocks.push(Block::Button(words.trim(), address));
        } else {
            blocks.push(Block::Paragraph(lines.join(" ")));
        }
    }
    blocks
}

/// A button may only link to us; otherwise a value that resembles one could be used to phish in our name.
fn is_ours(address: &str, ours: &str) -> bool {
    let rest = address.strip_prefix(ours);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        && !address.contains(char::is_whitespace)
}

fn text(blocks: &[Block<'_>], footer: &str) -> String {
    let mut parts: Vec<String> = Vec::new();
    for block in blocks {
        parts.push(match block {
            Block::Paragraph(words) => words.clone(),
            Block::List(lines) => lines.iter().map(|line| format!("- {line}")).collect::<Vec<_>>().join("\n"),
            Block::Facts(facts) => {
                facts.iter().map(|(label, value)| format!("{label}: {value}")).collect::<Vec<_>>().join("\n")
            }
            Block::Button(words, address) => format!("{words}:\n{address}"),
        });
    }
    parts.push(format!("-- \n{footer}"));
    parts.join("\n\n") + "\n"
}

fn html(blocks: &[Block<'_>], language: Language, subject: &str, footer: &str) -> String {
    let body: String = blocks.iter().map(mjml_of).collect();
    let mjml = format!(
        r##"<mjml lang="{}"><mj-head><mj-title>{}</mj-title><mj-attributes>
<mj-all font-family="Helvetica, Arial, sans-serif" />
<mj-text font-size="15px" line-height="1.5" color="#1c2430" padding="8px 24px" />
<mj-table font-size="15px" line-height="1.5" color="#1c2430" padding="8px 24px" />
<mj-button background-color="#1f4b99" color="#ffffff" font-size="15px" border-radius="6px" align="left" padding="16px 24px" />
</mj-attributes></mj-head><mj-body background-color="#f3f5f8">
<mj-section padding="24px 0 8px"><mj-column><mj-text font-size="13px" color="#5a6676">Bursar</mj-text></mj-column></mj-section>
<mj-section background-color="#ffffff" border-radius="8px" padding="16px 0"><mj-column>{body}</mj-column></mj-section>
<mj-section padding="8px 0 24px"><mj-column><mj-text font-size="13px" color="#5a6676">{}</mj-text></mj-column></mj-section>
</mj-body></mjml>"##,
        language.as_str(),
        escaped(subject),
        escaped(footer),
    );
    let rendered = mrml::parse(&mjml).map_err(|error| error.to_string()).and_then(|parsed| {
        parsed
            .element
            .render(&mrml::prelude::render::RenderOptions::default())
            .map_err(|error| error.to_string())
    });
    rendered.unwrap_or_else(|error| {
        // The input is ours and escaped, so this should not happen; if it does, the text must still arrive.
        tracing::error!(error, "a mail's layout could not be made; its text is sent");
        format!(
            "<!doctype html><title>{}</title><pre>{}</pre>",
            escaped(subject),
            escaped(&text(blocks, footer))
        )
    })
}

fn mjml_of(block: &Block<'_>) -> String {
    match block {
        Block::Paragraph(words) => format!("<mj-text>{}</mj-text>", escaped(words)),
        Block::List(lines) => {
            let items: String = lines.iter().map(|line| format!("<li>{}</li>", escaped(line))).collect();
            format!("<mj-text><ul style=\"margin:0;padding-left:20px\">{items}</ul></mj-text>")
        }
        Block::Facts(facts) => {
            let cell = "style=\"padding:4px 16px 4px 0;vertical-align:top\"";
            let rows: String = facts
                .iter()
                .map(|(label, value)| {
                    format!(
                        "<tr><td {cell}>{}</td><td {cell}><b>{}</b></td></tr>",
                        escaped(label),
                        escaped(value)
                    )
                })
                .collect();
            format!("<mj-table>{rows}</mj-table>")
        }
        Block::Button(words, address) => {
            format!("<mj-button href=\"{}\">{}</mj-button>", escaped(address), escaped(words))
        }
    }
}

fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            letter => html.push(letter),
        }
    }
    html
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: &str = "https://bursar.example";

    #[test]
    fn markup_becomes_both_parts() {
        let body = "Hello <b>,\n\n- one\n- two & three\n\n= Amount | 1.00 USD\n= To | a|b\n\n> Look | https://bursar.example/x?a=1&b=2";
        let parts = Parts::of(Language::En, "A \"subject\"", body, OURS);
        assert_eq!(
            parts.text,
            "Hello <b>,\n\n- one\n- two & three\n\nAmount: 1.00 USD\nTo: a|b\n\nLook:\nhttps://bursar.example/x?a=1&b=2\n\n\
             -- \nThis is an automated message. Replies are not monitored.\n"
        );
        for expected in
            ["Hello &lt;b&gt;,", "<li>two &amp; three</li>", "href=\"https://bursar.example/x?a=1&amp;b=2\""]
        {
            assert!(parts.html.contains(expected), "{expected} is not in\n{}", parts.html);
        }
        for absent in ["<b>,", "<script", "src=", "@import"] {
            assert!(!parts.html.contains(absent), "{absent} is in\n{}", parts.html);
        }
    }

    #[test]
    fn a_button_leads_to_us_or_nowhere() {
        for elsewhere in
            ["https://evil.example/", "https://bursar.example.evil.example/", "javascript:alert(1)"]
        {
            let parts = Parts::of(Language::En, "", &format!("> Click | {elsewhere}"), OURS);
            assert!(!parts.html.contains("href="), "{}", parts.html);
        }
    }
}
