//! Notifications: checks the alerts, expands notices into mails, and sends what is due.
//!
//! Without a mail server, mails stay in the outbox, where people can read them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::StreamExt as _;

use super::mailer::Mailer;
use super::{PassResult, Work};
use crate::app::App;
use crate::ops::notices::post::DeliveryOutcome;
use crate::ops::notices::{self, post, watch};
use crate::store::mails::Mail;

/// How many mails one pass sends, and how many concurrently.
const AT_ONCE: i64 = 40;
const SIDE_BY_SIDE: usize = 4;

pub async fn once(work: &Work, now: i64) -> PassResult {
    let app = &work.app;
    let mut done = watch::look(app, now).await?;
    done += notices::expand(app, now).await?;
    let Some(mailer) = &work.mailer else { return Ok(done) };
    let due = post::lease(app, now, AT_ONCE).await?;
    done += due.len();
    let silent = Arc::new(AtomicBool::new(false));
    let sent = futures::stream::iter(due).map(|mail| one(app.clone(), mailer.clone(), silent.clone(), mail));
    let noted: Vec<_> = sent.buffer_unordered(work.concurrency(SIDE_BY_SIDE)).collect().await;
    noted.into_iter().collect::<crate::ops::Result<Vec<()>>>()?;
    Ok(done)
}

/// Sends one mail and records the result. Once the server was `silent` in this pass, the remaining mails are postponed
/// without trying: their timeouts, one after another, would outlast their leases.
async fn one(app: App, mailer: Mailer, silent: Arc<AtomicBool>, mail: Mail) -> crate::ops::Result<()> {
    let posted = match silent.load(Ordering::Relaxed) {
        true => {
            DeliveryOutcome::Later("The mail server did not answer about another mail just now.".to_owned())
        }
        false => mailer.send(&mail).await,
    };
    if matches!(posted, DeliveryOutcome::Unknown(_)) {
        silent.store(true, Ordering::Relaxed);
    }
    if let DeliveryOutcome::Later(why) | DeliveryOutcome::Unknown(why) = &posted {
        tracing::warn!(
            mail = mail.id,
            tries = mail.tries,
            why,
            "a mail could not be sent now; it is tried again"
        );
    }
    post::note(&app, &mail, &posted, app.clock.now()).await
}
