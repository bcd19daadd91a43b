//! SMTP: the only code that talks to a mail server. A mail becomes a two-part message with its own id, so that a server
//! can recognize a message it receives twice.
//!
//! Not here: when a mail is sent and what the answer leads to (`ops::notices::post`).

use std::time::{Duration, UNIX_EPOCH};

use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message, MultiPart};
use lettre::transport::smtp::PoolConfig;
use lettre::{Address, AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor};

use crate::app::App;
use crate::config::Config;
use crate::mail::{Language, Parts};
use crate::ops::notices::post::Posted;
use crate::store::mails::Mail;

/// The timeout for one SMTP step.
const PATIENCE: Duration = Duration::from_secs(20);

/// The connection to the mail server.
#[derive(Clone)]
pub struct Mailer {
    server: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    host: String,
    base_url: String,
}

impl Mailer {
    /// The configured mail server, if there is one.
    ///
    /// # Errors
    /// A sentence for the operator if `BURSAR_SMTP_URL` or `BURSAR_MAIL_FROM` cannot be used.
    pub fn new(app: &App) -> Result<Option<Self>, String> {
        let Some(url) = &app.config.smtp_url else { return Ok(None) };
        let server = AsyncSmtpTransport::<Tokio1Executor>::from_url(url).map_err(|error| {
            format!("BURSAR_SMTP_URL cannot be used: {error}. Write it like smtps://user:password@mail.example.com")
        })?;
        let server = server.timeout(Some(PATIENCE)).pool_config(PoolConfig::new().max_size(4)).build();
        let host = host(&app.base_url);
        let from = from(&app.config, &host)?;
        Ok(Some(Self { server, from, host, base_url: app.base_url.clone() }))
    }

    /// Sends a mail and returns the server's answer.
    pub async fn send(&self, mail: &Mail) -> Posted {
        let message = match self.message(mail) {
            Ok(message) => message,
            Err(why) => return Posted::Refused(why),
        };
        match self.server.send(message).await {
            Ok(answer) => Posted::Taken(answer.message().collect::<Vec<_>>().join(" ")),
            Err(error) => {
                let said = told(&error);
                match error.status().filter(|_| error.is_permanent()) {
                    Some(code) => refused(&code.to_string(), said),
                    None => Posted::Later(said),
                }
            }
        }
    }

    /// Builds the message. Addresses and header values are lettre's own types, which cannot contain line breaks.
    fn message(&self, mail: &Mail) -> Result<Message, String> {
        let address: Address = mail.recipient.parse().map_err(|error| format!("the address: {error}"))?;
        let name: String = mail.recipient_name.chars().filter(|letter| !letter.is_control()).collect();
        let to = Mailbox::new(Some(name).filter(|name| !name.is_empty()), address);
        let language = Language::of(Some(&mail.language));
        let parts = Parts::of(language, &mail.title, &mail.body, &self.base_url);
        let written = UNIX_EPOCH + Duration::from_micros(mail.created_at.unsigned_abs());
        let by_itself =
            HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".to_owned());
        Message::builder()
            .from(self.from.clone())
            .to(to)
            .subject(mail.title.clone())
            .message_id(Some(format!("<{}@{}>", mail.id, self.host)))
            .date(written)
            .raw_header(by_itself)
            .multipart(MultiPart::alternative_plain_html(parts.text, parts.html))
            .map_err(|error| error.to_string())
    }
}

fn host(base_url: &str) -> String {
    let url = url::Url::parse(base_url).ok();
    url.and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_else(|| "localhost".to_owned())
}

fn from(config: &Config, host: &str) -> Result<Mailbox, String> {
    let written = config.mail_from.clone().unwrap_or_else(|| {
        let numeric = host.starts_with(|letter: char| letter.is_ascii_digit() || letter == '[');
        format!("Bursar <bursar@{}>", if numeric { "localhost" } else { host })
    });
    written.parse().map_err(|error| {
        format!("BURSAR_MAIL_FROM cannot be used: {error}. Write it like Payouts <payouts@example.com>")
    })
}

/// The error with its whole chain of causes.
fn told(error: &lettre::transport::smtp::Error) -> String {
    let mut told = error.to_string();
    let mut behind = std::error::Error::source(error);
    while let Some(source) = behind {
        let words = source.to_string();
        if !told.contains(&words) {
            told = format!("{told}: {words}");
        }
        behind = source.source();
    }
    told.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).take(500).collect()
}

/// What a permanent refusal means. Only a refusal of the address suppresses the address: a server that refuses *us*
/// (our password, sender or policy) refuses every mail, and suppressing every address would be worse than waiting.
/// Codes: RFC 5321 section 4.2.3; enhanced codes `x.y.z`: RFC 3463.
fn refused(code: &str, said: String) -> Posted {
    let says = |enhanced: &str| said.contains(enhanced);
    let us = matches!(code, "530" | "534" | "535" | "538") || says("5.7.") || says("5.1.7") || says("5.1.8");
    if us {
        Posted::Later(said)
    } else if matches!(code, "550" | "551" | "553" | "556") || says("5.1.") || says("5.2.1") {
        Posted::NoSuchAddress(said)
    } else {
        Posted::Refused(said)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_refusal_of_the_address_is_held_against_it() {
        type Means = fn(String) -> Posted;
        let rows: [(&str, &str, Means); 9] = [
            ("550", "no such user", Posted::NoSuchAddress),
            ("550", "5.1.1 unknown", Posted::NoSuchAddress),
            ("553", "not allowed", Posted::NoSuchAddress),
            ("554", "5.1.1 rejected", Posted::NoSuchAddress),
            ("550", "5.7.1 relaying denied", Posted::Later),
            ("550", "5.1.8 bad sender", Posted::Later),
            ("535", "5.7.8 bad credentials", Posted::Later),
            ("552", "too big", Posted::Refused),
            ("554", "no", Posted::Refused),
        ];
        for (code, said, expected) in rows {
            assert_eq!(refused(code, said.to_owned()), expected(said.to_owned()), "{code} {said}");
        }
    }
}
