//! Notifications: checks the alerts, expands notices into mails, and sends what is due.
//!
//! Without a mail server, mails stay in the outbox, where people can read them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::StreamExt as _;

use super::mailer::Mailer;
use super::{PassResult, Work};
use crate::app::App;
use crate::ops::Result;
use crate::ops::notices::post::DeliveryOutcome;
use crate::ops::notices::{self, post, watch};
use crate::store::mails::Mail;

/// How many mails one pass sends, and how many concurrently.
const MOST: usize = 40;
const SIDE_BY_SIDE: usize = 4;
/// A pass starts no delivery after this: with a last one as long as `mailer::LONGEST` it still ends within its limit, and
/// other notices are expanded meanwhile.
const STARTS_WITHIN: Duration = Duration::from_secs(60);

pub async fn once(work: &Work, now: i64) -> PassResult {
    let app = &work.app;
    let mut done = watch::look(app, now).await?;
    done += notices::expand(app, now).await?;
    if let Some(mailer) = &work.mailer {
        done += deliver(work, mailer).await?;
    }
    Ok(done)
}

/// What the deliveries of one pass share.
#[derive(Clone)]
struct Pass {
    app: App,
    mailer: Mailer,
    /// The server has said nothing about some mail. Each of the others would wait as long, so they stay for the next pass.
    silent: Arc<AtomicBool>,
    began: i64,
    started: usize,
}

impl Pass {
    /// Leases the next mail. One is leased right before it is sent, so that no slow server outlasts the lease of a mail that
    /// still waits for its turn: another node would send that one too.
    async fn next(mut self) -> Result<Option<(Mail, Self)>> {
        let now = self.app.clock.now();
        let is_late = u128::try_from(now - self.began).is_ok_and(|us| us > STARTS_WITHIN.as_micros());
        if is_late || self.started == MOST || self.silent.load(Ordering::Relaxed) {
            return Ok(None);
        }
        self.started += 1;
        Ok(post::lease(&self.app, now).await?.map(|mail| (mail, self)))
    }

    /// Sends a mail and records the result.
    async fn send(self, mail: Mail) -> Result<()> {
        let posted = self.mailer.send(&mail).await;
        if matches!(posted, DeliveryOutcome::Unknown(_)) {
            self.silent.store(true, Ordering::Relaxed);
        }
        if let DeliveryOutcome::Later(why) | DeliveryOutcome::Unknown(why) = &posted {
            tracing::warn!(
                mail = mail.id,
                tries = mail.tries,
                why,
                "a mail could not be sent now; it is tried again"
            );
        }
        post::note(&self.app, &mail, &posted, self.app.clock.now()).await
    }
}

/// Sends what is due; returns how many mails that were.
async fn deliver(work: &Work, mailer: &Mailer) -> Result<usize> {
    let (app, silent) = (work.app.clone(), Arc::new(AtomicBool::new(false)));
    let pass = Pass { began: app.clock.now(), app, mailer: mailer.clone(), silent, started: 0 };
    let due = futures::stream::try_unfold(pass.clone(), Pass::next);
    let sent = due.map(move |mail| {
        let pass = pass.clone();
        async move { pass.send(mail?).await }
    });
    let noted: Vec<Result<()>> = sent.buffer_unordered(work.concurrency(SIDE_BY_SIDE)).collect().await;
    let count = noted.len();
    noted.into_iter().collect::<Result<Vec<()>>>()?;
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::work::{PASS, mailer};

    #[test]
    fn a_pass_over_slow_mails_ends_within_its_limit() {
        assert!(STARTS_WITHIN + mailer::LONGEST < PASS);
    }
}
