//! Outgoing mail: leasing what is due, recording the mail server's answers, and people's actions on it.

use payout::Refusal;
use payout::notice::Notice;
use serde_json::{Value, json};

use crate::app::{Actor, App};
use crate::mail::{Broken, Language, Template};
use crate::ops::notices::secret::{self, SecretLink};
use crate::ops::{OpsError, Result};
use crate::store::mails::{self, Mail, MailState};
use crate::store::{Tx, audit, secret_links};
use crate::transact;

/// How long a mail is leased for. A delivery is given up long before (`work::mailer::LONGEST`); the rest is for a database
/// that keeps this node waiting meanwhile.
pub const LEASE_US: i64 = 240 * 1_000_000;
/// At most this many mails end unsent in one transaction.
const MOST_ENDED: usize = 100;
/// Older mails are no longer sent: they would arrive as outdated news.
const TOO_OLD_US: i64 = 3 * 86_400_000_000;
const MINUTE_US: i64 = 60 * 1_000_000;
/// The answer where the link of a mail does not open.
const SHUT: &str = "The key file of this machine does not have the master key that the link of this mail is encrypted with. Put the right key file back, or send a new link.";
/// The longest retry interval, in minutes.
const LONGEST_WAIT_MINUTES: i64 = 6 * 60;

/// The result of a delivery attempt.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DeliveryOutcome {
    /// The mail server accepted it.
    Taken(String),
    /// A temporary failure: the server was unreachable, asked to retry, or rejected us rather than the address.
    Later(String),
    /// It did not respond in time, and may have the mail.
    Unknown(String),
    /// It will never take this mail.
    Refused(String),
    /// The address permanently does not exist.
    NoSuchAddress(String),
}

/// Leases the next mail to send; `None` if none is due. Mails that are too old, or whose address is suppressed, end here.
pub async fn lease(app: &App, now: i64) -> Result<Option<Mail>> {
    if !mails::anything_due(&mut app.store.read().await?, now).await? {
        return Ok(None);
    }
    transact!(app, |tx| {
        for _ in 0..MOST_ENDED {
            let Some(mut mail) = mails::lease(tx, now, now + LEASE_US).await? else { break };
            if let Some(suppression) = mails::suppression(tx, &mail.recipient).await? {
                mails::note(tx, &mail, MailState::Suppressed, now, &suppression.why, now).await?;
            } else if mail.created_at + TOO_OLD_US < now {
                let last = mail
                    .answer
                    .clone()
                    .unwrap_or_else(|| "It could not be sent within three days.".to_owned());
                let end = if mail.tries > 1 { MailState::Failed } else { MailState::Lapsed };
                mails::note(tx, &mail, end, now, &last, now).await?;
                end_link(tx, &mail).await?;
            } else {
                match secret::of_mail(tx, app, &mail).await? {
                    None => return Ok(Some(mail)),
                    Some(SecretLink::Is(link)) => {
                        mail.body = secret::with_link(&mail.body, &link);
                        return Ok(Some(mail));
                    }
                    Some(SecretLink::Over) => {
                        mails::note(tx, &mail, MailState::Lapsed, now, "Its link has expired.", now).await?;
                    }
                    // Another node may have the key.
                    Some(SecretLink::Shut) => {
                        let next = now + wait_us(mail.tries);
                        mails::note(tx, &mail, MailState::Waiting, next, SHUT, now).await?;
                    }
                }
            }
        }
        Ok(None)
    })
}

/// Records the mail server's answer. Temporary failures are retried after one minute, two, four and so on, for three days.
pub async fn note(app: &App, mail: &Mail, posted: &DeliveryOutcome, now: i64) -> Result<()> {
    transact!(app, |tx| {
        let (state, next_at, answer) = match posted {
            DeliveryOutcome::Taken(answer) => (MailState::Sent, now, answer),
            DeliveryOutcome::Later(answer) => (MailState::Waiting, now + wait_us(mail.tries), answer),
            // The server may have taken it, so it is sent again only a few times.
            DeliveryOutcome::Unknown(answer) => {
                (MailState::Waiting, now + wait_us(mail.tries).max(60 * MINUTE_US), answer)
            }
            DeliveryOutcome::Refused(answer) | DeliveryOutcome::NoSuchAddress(answer) => {
                (MailState::Failed, now, answer)
            }
        };
        if !mails::note(tx, mail, state, next_at, answer, now).await? {
            return Ok(());
        }
        if matches!(posted, DeliveryOutcome::NoSuchAddress(_)) {
            mails::suppress(tx, &mail.recipient, answer, &mail.id, now).await?;
        }
        if state == MailState::Sent && mail.notice.carries_secret() {
            // From the stored text, not from the one that was sent: that has the link.
            let stored = mails::find(tx, &mail.id).await?;
            mails::put_body(tx, &mail.id, &without_links(&stored.body)).await?;
            end_link(tx, mail).await?;
        }
        Ok(())
    })
}

/// Deletes the link of a mail that will not be sent again.
async fn end_link(tx: &mut Tx, mail: &Mail) -> Result<()> {
    if let Some(id) = mail.outbox_id.as_deref().filter(|_| mail.notice.carries_secret()) {
        secret_links::end(tx, id).await?;
    }
    Ok(())
}

fn wait_us(tries: i64) -> i64 {
    // After ten doublings the maximum is reached anyway, and a shift of 63 would be negative.
    let doublings = (tries - 1).clamp(0, 10);
    MINUTE_US.saturating_mul((1 << doublings).min(LONGEST_WAIT_MINUTES))
}

/// Removes the links from a text: those that only the recipient may follow are neither kept nor shown to anybody else.
pub fn without_links(body: &str) -> String {
    let line = |line: &str| match line.starts_with("> ").then(|| line.split_once(" | ")).flatten() {
        Some((words, _)) => format!("{} (only the receiver sees the link)", &words[2..]),
        None => line.to_owned(),
    };
    body.lines().map(line).collect::<Vec<_>>().join("\n")
}

/// The secret link of a mail that cannot be sent because there is no mail server, for an administrator to pass on to its
/// recipient. It lets anybody sign in as that person, so who viewed it, and from where, goes into the audit trail.
///
/// # Errors
/// [`OpsError::Refused`] if there is a mail server, and for a mail without such a link.
pub async fn hand_on(app: &App, actor: &Actor, id: &str) -> Result<String> {
    if app.config.smtp_url.is_some() {
        let message = "A mail server delivers this mail, so only its receiver may see its link. Give them a new link instead.";
        return Err(Refusal::new("mail_is_carried", message).into());
    }
    transact!(app, |tx| {
        let mail = mails::find(tx, id).await?;
        let button = |line: &str| Some(line.strip_prefix("> ")?.split_once(" | ")?.1.trim().to_owned());
        let own = mail.body.lines().find_map(button).filter(|_| mail.notice.carries_secret());
        let no_link = |message: &str| OpsError::from(Refusal::new("no_link", message));
        let link = match (own, secret::of_mail(tx, app, &mail).await?) {
            (None, _) => Err(no_link("This mail has no link that only its receiver may see.")),
            (Some(link), None) | (Some(_), Some(SecretLink::Is(link))) => Ok(link),
            (Some(_), Some(SecretLink::Over)) => {
                Err(no_link("The link of this mail has expired. Give them a new link instead."))
            }
            (Some(_), Some(SecretLink::Shut)) => Err(no_link(SHUT)),
        }?;
        tx.audit(audit::Entry {
            at: app.clock.now(),
            actor: actor.id.to_string(),
            action: "mail_link_shown",
            subject: mail.id,
            detail: json!({ "notice": mail.notice.as_str(), "recipient": mail.recipient, "from": actor.came_from })
                .to_string(),
        });
        Ok(link)
    })
}

/// Resends a mail that failed for good.
///
/// # Errors
/// [`OpsError::Refused`] while its address is suppressed, or if it did not fail.
pub async fn again(app: &App, actor: &Actor, id: &str) -> Result<()> {
    transact!(app, |tx| {
        let now = app.clock.now();
        let mail = mails::find(tx, id).await?;
        if mails::suppression(tx, &mail.recipient).await?.is_some() {
            let message = "This address is suppressed. Lift the suppression first.";
            return Err(Refusal::new("address_suppressed", message).into());
        }
        if mail.created_at + TOO_OLD_US < now {
            let message =
                "This mail is older than three days, so its news is out of date. It stays here to be read.";
            return Err(Refusal::new("mail_too_old", message).into());
        }
        if !mails::wait_again(tx, id, now).await? {
            let message = "This mail has not failed: it was sent, or will be.";
            return Err(Refusal::new("mail_not_given_up", message).into());
        }
        let (actor, subject) = (actor.id.to_string(), mail.id);
        tx.audit(audit::Entry {
            at: now,
            actor,
            action: "mail_sent_again",
            subject,
            detail: "{}".to_owned(),
        });
        Ok(())
    })?;
    app.nudge.notify.notify();
    Ok(())
}

/// Lifts the suppression of an address that a mail server had rejected permanently.
///
/// # Errors
/// [`OpsError::Missing`] if the address is not suppressed.
pub async fn lift(app: &App, actor: &Actor, address: &str) -> Result<()> {
    transact!(app, |tx| {
        if !mails::lift(tx, address).await? {
            return Err(OpsError::Missing);
        }
        tx.audit(audit::Entry {
            at: app.clock.now(),
            actor: actor.id.to_string(),
            action: "suppression_lifted",
            subject: "mail".to_owned(),
            detail: json!({"address": address.to_lowercase()}).to_string(),
        });
        Ok(())
    })
}

/// The address for the person's own test mails.
pub async fn own_address(app: &App, actor: &Actor) -> Result<Option<String>> {
    let reader = mails::person(&mut app.store.read().await?, &actor.id.to_string()).await?;
    Ok(reader.map(|reader| reader.address))
}

/// Sends the actor a template filled with `values`, saved or not, to preview what a partner would get.
///
/// # Errors
/// [`OpsError::Refused`] if the template is invalid, or they have no address.
pub async fn test(
    app: &App,
    actor: &Actor,
    (notice, language): (Notice, Language),
    template: &Template,
    values: &Value,
) -> Result<Mail> {
    let broken = |broken: Broken| Refusal::new("template_broken", broken.sentence(notice)).at(broken.field);
    template.check(notice).map_err(broken)?;
    let rendered = template.render(language, values).map_err(broken)?;
    let mail = transact!(app, |tx| {
        let now = app.clock.now();
        let reader = mails::person(tx, &actor.id.to_string()).await?;
        let message = "Your account has no e-mail address.";
        let reader = reader.ok_or_else(|| Refusal::new("no_address", message))?;
        let mail = Mail {
            id: format!("mail_{}", payout::ids::encode(payout::ids::fresh(now, app.clock.in_turn()))),
            outbox_id: None,
            notice,
            about: "test".to_owned(),
            recipient: reader.address.to_lowercase(),
            recipient_name: reader.name,
            language: language.as_str().to_owned(),
            title: format!("Test: {}", rendered.subject),
            body: rendered.body.clone(),
            template_version: 0,
            state: MailState::Waiting,
            created_at: now,
            next_at: now,
            fence: 0,
            tries: 0,
            answer: None,
            sent_at: None,
        };
        mails::insert(tx, vec![mail.clone()]).await?;
        Ok(mail)
    })?;
    app.nudge.notify.notify();
    Ok(mail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_end() {
        let minutes = |tries| wait_us(tries) / MINUTE_US;
        assert_eq!([1, 2, 3, 9, 10, 64, 500].map(minutes), [1, 2, 4, 256, 360, 360, 360]);
    }

    #[test]
    fn a_link_is_taken_out() {
        let body = "Hello,\n\n> Confirm | https://bursar.example/confirm/secret\n\nBye";
        let message = without_links(body);
        assert!(
            !message.contains("secret") && message.contains("Confirm (only the receiver sees the link)"),
            "{message}"
        );
    }
}
