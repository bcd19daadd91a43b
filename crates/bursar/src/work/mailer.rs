//! SMTP: the only code that talks to a mail server. A mail becomes a two-part message with its own id, so that a server
//! can recognize a message it receives twice.
//!
//! Not here: when a mail is sent and what the answer leads to (`ops::notices::post`).

use std::time::{Duration, UNIX_EPOCH};

use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message, MultiPart};
use lettre::{Address, AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor};

use crate::app::App;
use crate::config::Config;
use crate::mail::{Language, Parts};
use crate::ops::notices::post::DeliveryOutcome;
use crate::store::mails::Mail;

/// The timeout for connecting to the mail server.
const PATIENCE: Duration = Duration::from_secs(20);
/// The timeout for a whole mail, well below a mail's lease and the time limit of a pass.
pub(super) const LONGEST: Duration = Duration::from_secs(100);

/// The connection to the mail server. Each mail uses a connection of its own, so a late response is never taken for the
/// response to another mail.
#[derive(Clone)]
pub struct Mailer {
    server: AsyncSmtpTransport<Tokio1Executor>,
    longest: Duration,
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
        let server = server.timeout(Some(PATIENCE)).build();
        let host = host(&app.base_url);
        let from = from(&app.config, &host)?;
        Ok(Some(Self { server, longest: LONGEST, from, host, base_url: app.base_url.clone() }))
    }

    /// Sends a mail and returns the server's response. A server that does not respond in time is disconnected.
    pub async fn send(&self, mail: &Mail) -> DeliveryOutcome {
        let message = match self.message(mail) {
            Ok(message) => message,
            Err(why) => return DeliveryOutcome::Refused(why),
        };
        let Ok(answered) = tokio::time::timeout(self.longest, self.server.send(message)).await else {
            return DeliveryOutcome::Unknown(format!(
                "The mail server did not answer within {} seconds; it may have taken the mail all the same.",
                self.longest.as_secs()
            ));
        };
        match answered {
            Ok(answer) => DeliveryOutcome::Taken(answer.message().collect::<Vec<_>>().join(" ")),
            Err(error) => {
                let said = smtp_error(&error);
                match error.status().filter(|_| error.is_permanent()) {
                    Some(code) => refused(&code.to_string(), said),
                    None => DeliveryOutcome::Later(said),
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
fn smtp_error(error: &lettre::transport::smtp::Error) -> String {
    let mut message = error.to_string();
    let mut behind = std::error::Error::source(error);
    while let Some(source) = behind {
        let words = source.to_string();
        if !message.contains(&words) {
            message = format!("{message}: {words}");
        }
        behind = source.source();
    }
    message.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).take(500).collect()
}

/// What a permanent refusal means. Only a refusal of the address suppresses the address: a server that refuses *us*
/// (our password, sender or policy) refuses every mail, and suppressing every address would be worse than waiting.
/// Codes: RFC 5321 section 4.2.3; enhanced codes `x.y.z`: RFC 3463.
fn refused(code: &str, said: String) -> DeliveryOutcome {
    let says = |enhanced: &str| said.contains(enhanced);
    let us = matches!(code, "530" | "534" | "535" | "538") || says("5.7.") || says("5.1.7") || says("5.1.8");
    if us {
        DeliveryOutcome::Later(said)
    } else if matches!(code, "550" | "551" | "553" | "556") || says("5.1.") || says("5.2.1") {
        DeliveryOutcome::NoSuchAddress(said)
    } else {
        DeliveryOutcome::Refused(said)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::store::mails::MailState;

    fn mail() -> Mail {
        Mail {
            id: "mail_1".to_owned(),
            outbox_id: None,
            notice: payout::notice::Notice::LoginChanged,
            about: String::new(),
            recipient: "ana@example.com".to_owned(),
            recipient_name: "Ana".to_owned(),
            language: "en".to_owned(),
            title: "Hello".to_owned(),
            body: "Hello".to_owned(),
            template_version: 0,
            state: MailState::Waiting,
            created_at: 0,
            next_at: 0,
            fence: 0,
            tries: 0,
            answer: None,
            sent_at: None,
        }
    }

    async fn mailer() -> (Mailer, TcpListener) {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = server.local_addr().unwrap().port();
        let transport =
            AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous("127.0.0.1").port(port).build();
        let mailer = Mailer {
            server: transport,
            longest: Duration::from_millis(300),
            from: "Pay <pay@example.com>".parse().unwrap(),
            host: "example.com".to_owned(),
            base_url: "https://example.com".to_owned(),
        };
        (mailer, server)
    }

    /// Reads what the mailer sends until it disconnects.
    async fn until_it_hangs_up(mut from: TcpStream) -> String {
        let mut said = Vec::new();
        let read = tokio::time::timeout(Duration::from_secs(20), from.read_to_end(&mut said)).await;
        assert!(read.is_ok(), "the connection is left open");
        String::from_utf8_lossy(&said).into_owned()
    }

    #[tokio::test]
    async fn a_server_that_stays_silent_is_hung_up_on() {
        // Silent from the start, and after receiving the mail's address.
        for answers in [vec![], vec!["220 mail.example.com", "250 mail.example.com", "250 go on"]] {
            let (mailer, server) = mailer().await;
            let played = tokio::spawn(async move {
                let (mut connection, _) = server.accept().await.unwrap();
                for answer in answers {
                    connection.write_all(format!("{answer}\r\n").as_bytes()).await.unwrap();
                }
                until_it_hangs_up(connection).await
            });
            let posted = mailer.send(&mail()).await;
            assert!(
                matches!(&posted, DeliveryOutcome::Unknown(why) if why.contains("may have taken")),
                "{posted:?}"
            );
            played.await.unwrap();
        }
    }

    #[test]
    fn a_delivery_ends_long_before_its_lease() {
        assert!(i128::from(crate::ops::notices::post::LEASE_US) >= 2 * LONGEST.as_micros() as i128);
    }

    #[tokio::test]
    async fn each_mail_has_a_connection_of_its_own() {
        let (mailer, server) = mailer().await;
        let played = tokio::spawn(async move {
            for _ in 0..2 {
                let (mut connection, _) = server.accept().await.unwrap();
                let answers =
                    ["220 hello", "250 hello", "250 from", "250 to", "354 write", "250 taken", "221 bye"];
                let all: String = answers.iter().map(|answer| format!("{answer}\r\n")).collect();
                connection.write_all(all.as_bytes()).await.unwrap();
                assert!(until_it_hangs_up(connection).await.contains("QUIT"));
            }
        });
        for _ in 0..2 {
            assert_eq!(mailer.send(&mail()).await, DeliveryOutcome::Taken("taken".to_owned()));
        }
        played.await.unwrap();
    }

    #[test]
    fn only_a_refusal_of_the_address_is_held_against_it() {
        type Means = fn(String) -> DeliveryOutcome;
        let rows: [(&str, &str, Means); 9] = [
            ("550", "no such user", DeliveryOutcome::NoSuchAddress),
            ("550", "5.1.1 unknown", DeliveryOutcome::NoSuchAddress),
            ("553", "not allowed", DeliveryOutcome::NoSuchAddress),
            ("554", "5.1.1 rejected", DeliveryOutcome::NoSuchAddress),
            ("550", "5.7.1 relaying denied", DeliveryOutcome::Later),
            ("550", "5.1.8 bad sender", DeliveryOutcome::Later),
            ("535", "5.7.8 bad credentials", DeliveryOutcome::Later),
            ("552", "too big", DeliveryOutcome::Refused),
            ("554", "no", DeliveryOutcome::Refused),
        ];
        for (code, said, expected) in rows {
            assert_eq!(refused(code, said.to_owned()), expected(said.to_owned()), "{code} {said}");
        }
    }
}
