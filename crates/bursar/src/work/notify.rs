//! Notifications: checks the alerts, expands notices into mails, and sends what is due.
//!
//! Without a mail server, mails stay in the outbox, where people can read them.

use futures::StreamExt as _;

use super::mailer::Mailer;
use super::{Done, Work};
use crate::app::App;
use crate::ops::notices::{self, post, watch};
use crate::store::mails::Mail;

/// How many mails one pass sends, and how many concurrently.
const AT_ONCE: i64 = 40;
const SIDE_BY_SIDE: usize = 4;

pub async fn once(work: &Work, now: i64) -> Done {
    let app = &work.app;
    let mut done = watch::look(app, now).await?;
    done += notices::expand(app, now).await?;
    let Some(mailer) = &work.mailer else { return Ok(done) };
    let due = post::lease(app, now, AT_ONCE).await?;
    done += due.len();
    let sent = futures::stream::iter(due).map(|mail| one(app.clone(), mailer.clone(), mail));
    let noted: Vec<_> = sent.buffer_unordered(work.side_by_side(SIDE_BY_SIDE)).collect().await;
    noted.into_iter().collect::<crate::ops::Result<Vec<()>>>()?;
    Ok(done)
}

async fn one(app: App, mailer: Mailer, mail: Mail) -> crate::ops::Result<()> {
    let posted = mailer.send(&mail).await;
    if let post::Posted::Later(why) = &posted {
        tracing::warn!(
            mail = mail.id,
            tries = mail.tries,
            why,
            "a mail could not be sent now; it is tried again"
        );
    }
    post::note(&app, &mail, &posted, app.clock.now()).await
}
