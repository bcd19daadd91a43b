//! One-time links on their way to a mail. They are sealed with the master key, and put into the mail when it is sent, so
//! nobody can follow a link that they read in the database or in a backup. Not here: the tokens in them, of which only
//! hashes are stored (`store::people`, `store::onboarding`).

use payout::notice::Notice;
use serde_json::json;

use crate::app::App;
use crate::ops::{Result, master_key};
use crate::store::mails::Mail;
use crate::store::sealed::Column;
use crate::store::{self, Db, Tx, outbox, secret_links};

/// Stands for the link in a stored mail.
pub const PLACEHOLDER: &str = "https://link-of-this-mail.invalid/";

/// Writes a notice with a one-time link to its recipient's address. The link can be used until `until`.
pub(in crate::ops) async fn write(
    tx: &mut Tx,
    app: &App,
    (notice, about): (Notice, String),
    to: &str,
    (link, until): (&str, i64),
) -> Result<()> {
    debug_assert!(notice.carries_secret(), "the mail of another notice would show it");
    let now = app.clock.now();
    let detail = json!({ "to": to }).to_string();
    let id = outbox::write_one(tx, &app.clock, now, (notice, about, detail)).await?;
    let sealed = master_key::seal(tx, app, &Column::SecretLink.place(&id), link).await?;
    secret_links::put(tx, &id, &sealed, until).await?;
    Ok(())
}

/// What a mail's link is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SecretLink {
    Is(String),
    /// It has expired, or was sent.
    Over,
    /// It does not open with the keys that are here.
    Shut,
}

/// The link of a notice.
pub async fn of(db: &mut Db, app: &App, outbox_id: &str) -> store::Result<SecretLink> {
    let Some(sealed) = secret_links::of(db, outbox_id, app.clock.now()).await? else {
        return Ok(SecretLink::Over);
    };
    let opened = app.master_key.open(&Column::SecretLink.place(outbox_id), &sealed);
    Ok(opened.map_or(SecretLink::Shut, SecretLink::Is))
}

/// A mail's text with its link, which stands only where a button leads: elsewhere the placeholder is text that somebody wrote
/// into a template.
pub(super) fn with_link(body: &str, link: &str) -> String {
    let line = |line: &str| match line.strip_prefix("> ").and_then(|line| line.split_once(" | ")) {
        Some((words, address)) if address.trim() == PLACEHOLDER => format!("> {words} | {link}"),
        Some(_) | None => line.to_owned(),
    };
    body.lines().map(line).collect::<Vec<_>>().join("\n")
}

/// The link of a mail; `None` if its text already has what it needs. A mail from before links were sealed has its own.
pub(super) async fn of_mail(db: &mut Db, app: &App, mail: &Mail) -> store::Result<Option<SecretLink>> {
    match &mail.outbox_id {
        Some(id) if mail.body.contains(PLACEHOLDER) => of(db, app, id).await.map(Some),
        Some(_) | None => Ok(None),
    }
}
