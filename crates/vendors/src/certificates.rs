//! PayPal's certificates, fetched once and kept. Anybody can write the name of one into a header, so what is asked of
//! PayPal for strangers is bounded: one fetch at a time per host, few new names a minute, and what failed is not asked
//! again for a while. What is deliberately not here: whether an address may be fetched from at all
//! ([`crate::signature::paypal::cert_url`]) and what a certificate proves.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Semaphore;
use url::Url;

use crate::http::{Answer, Http, MAX_CERTIFICATE_BYTES, Method, Received, Request};

/// PayPal uses a handful; a full cache is emptied, because only a stranger could have filled it.
const MAX_KEPT: usize = 64;
/// New names that are asked for in a minute.
const NEW_A_MINUTE: usize = 10;
/// Deliveries that may wait for one host at a time.
const MAX_WAITING: usize = 16;
const MINUTE_US: i64 = 60_000_000;

/// Why there is no certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoCertificate {
    /// It was asked for and did not come.
    Failed(String),
    /// Too many were asked for; the delivery may come again.
    Later,
}

impl fmt::Display for NoCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(why) => f.write_str(why),
            Self::Later => f.write_str("too many certificates were asked for; this one is asked for later"),
        }
    }
}

/// What is kept. Cloning shares it.
#[derive(Clone, Default)]
pub(crate) struct Certificates(Arc<Mutex<Kept>>);

#[derive(Default)]
struct Kept {
    files: HashMap<Url, Arc<[u8]>>,
    /// What did not come, why, and until when it is not asked for again.
    failed: HashMap<Url, (i64, String)>,
    /// When new names were asked for.
    asked: VecDeque<i64>,
    hosts: HashMap<String, Host>,
}

/// The way to one host.
#[derive(Clone)]
struct Host {
    waiting: Arc<Semaphore>,
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl Kept {
    /// What is known of an address, when that is enough for an answer.
    fn known(&self, url: &Url, now: i64) -> Option<Result<Arc<[u8]>, NoCertificate>> {
        if let Some(file) = self.files.get(url) {
            return Some(Ok(Arc::clone(file)));
        }
        let (until, why) = self.failed.get(url)?;
        (now < *until).then(|| Err(NoCertificate::Failed(why.clone())))
    }

    /// Whether another new name may be asked for now; notes that it is.
    fn may_ask(&mut self, now: i64) -> bool {
        self.asked.retain(|at| now - at < MINUTE_US);
        self.failed.retain(|_, (until, _)| now < *until);
        let may = self.asked.len() < NEW_A_MINUTE;
        if may {
            self.asked.push_back(now);
        }
        may
    }

    fn host(&mut self, url: &Url) -> Host {
        let new = || Host { waiting: Arc::new(Semaphore::new(MAX_WAITING)), turn: Arc::default() };
        self.hosts.entry(url.host_str().unwrap_or_default().to_owned()).or_insert_with(new).clone()
    }
}

impl Certificates {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Http {
    /// The certificate file at an address that was allowed before (see
    /// [`crate::signature::paypal::cert_url`]), at `now` in microseconds UTC. Files are kept by address: PayPal
    /// never changes one.
    ///
    /// # Errors
    /// [`NoCertificate::Failed`] when there is no 200, or it is longer than [`MAX_CERTIFICATE_BYTES`];
    /// [`NoCertificate::Later`] when too many were asked for.
    pub async fn fetch_certificate(&self, url: &Url, now: i64) -> Result<Arc<[u8]>, NoCertificate> {
        let certificates = self.certificates();
        if let Some(known) = certificates.kept().known(url, now) {
            return known;
        }
        let host = certificates.kept().host(url);
        let _waiting = host.waiting.try_acquire().map_err(|_| NoCertificate::Later)?;
        let _turn = host.turn.lock().await;
        {
            let mut kept = certificates.kept();
            // Whoever waited in front may have asked for the same.
            if let Some(known) = kept.known(url, now) {
                return known;
            }
            if !kept.may_ask(now) {
                return Err(NoCertificate::Later);
            }
        }
        let fetched = self.certificate_file(url).await;
        let mut kept = certificates.kept();
        match fetched {
            Ok(file) => {
                if kept.files.len() >= MAX_KEPT {
                    kept.files.clear();
                }
                kept.files.insert(url.clone(), Arc::clone(&file));
                Ok(file)
            }
            Err(why) => {
                kept.failed.insert(url.clone(), (now + MINUTE_US, why.clone()));
                Err(NoCertificate::Failed(why))
            }
        }
    }

    async fn certificate_file(&self, url: &Url) -> Result<Arc<[u8]>, String> {
        let request =
            Request { method: Method::GET, url: url.clone(), headers: Vec::new(), body: Vec::new() };
        match self.exchange(request, MAX_CERTIFICATE_BYTES).await {
            Answer::Got(Received { status: 200, body, .. }) => Ok(body.into()),
            Answer::Got(received) => Err(format!("{url} answered {}", received.status)),
            Answer::NotSent(detail) | Answer::Lost(detail) => Err(format!("{url}: {detail}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_is_not_asked_for_again_because_another_is() {
        let url = |name: &str| Url::parse(&format!("https://api.paypal.com/{name}")).unwrap();
        let mut kept = Kept::default();
        kept.failed.insert(url("a"), (MINUTE_US, "a answered 404".into()));
        assert!(kept.may_ask(MINUTE_US - 1), "of another name");
        let told = kept.known(&url("a"), MINUTE_US - 1);
        assert_eq!(told, Some(Err(NoCertificate::Failed("a answered 404".into()))));
        assert_eq!(kept.known(&url("a"), MINUTE_US), None, "its minute is over");
        assert!(kept.may_ask(MINUTE_US) && kept.failed.is_empty(), "and it is forgotten");
    }

    #[test]
    fn why_there_is_no_certificate_is_told() {
        let later = "too many certificates were asked for; this one is asked for later";
        assert_eq!(NoCertificate::Later.to_string(), later);
        assert_eq!(NoCertificate::Failed("a answered 404".into()).to_string(), "a answered 404");
    }
}
