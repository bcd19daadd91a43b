//! PayPal's certificates, fetched once and cached. Anybody can put a certificate URL in a header, so requests to PayPal
//! on behalf of strangers are bounded: one fetch at a time per host, few new URLs per minute, and no immediate retry
//! after a failure. Not here: whether a URL may be fetched at all ([`crate::signature::paypal::cert_url`]), and what a
//! certificate proves.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Semaphore;
use url::Url;

use crate::http::{Answer, Http, MAX_CERTIFICATE_BYTES, Method, Received, Request};

/// PayPal uses a handful; a full cache is emptied, because only a stranger could have filled it.
const MAX_KEPT: usize = 64;
/// The maximum number of new URLs fetched per minute.
const NEW_A_MINUTE: usize = 10;
/// The maximum number of deliveries waiting for one host.
const MAX_WAITING: usize = 16;
const MINUTE_US: i64 = 60_000_000;

/// Why a certificate is not available.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoCertificate {
    /// The fetch failed, with the reason.
    Failed(String),
    /// Too many were requested; the vendor may deliver again.
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

/// The cache. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Certificates(Arc<Mutex<CertificateCache>>);

#[derive(Default)]
struct CertificateCache {
    files: HashMap<Url, Arc<[u8]>>,
    /// Failed URLs: until when not to retry, and why.
    failed: HashMap<Url, (i64, String)>,
    /// When new URLs were fetched.
    fetched_at: VecDeque<i64>,
    hosts: HashMap<String, Host>,
}

/// The queue for one host.
#[derive(Clone)]
struct Host {
    waiting: Arc<Semaphore>,
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl CertificateCache {
    /// The cached result for a URL, if it is still valid.
    fn known(&self, url: &Url, now: i64) -> Option<Result<Arc<[u8]>, NoCertificate>> {
        if let Some(file) = self.files.get(url) {
            return Some(Ok(Arc::clone(file)));
        }
        let (until, why) = self.failed.get(url)?;
        (now < *until).then(|| Err(NoCertificate::Failed(why.clone())))
    }

    /// Whether another new URL may be fetched now; counts it if so.
    fn may_ask(&mut self, now: i64) -> bool {
        self.fetched_at.retain(|at| now - at < MINUTE_US);
        self.failed.retain(|_, (until, _)| now < *until);
        let may = self.fetched_at.len() < NEW_A_MINUTE;
        if may {
            self.fetched_at.push_back(now);
        }
        may
    }

    fn host(&mut self, url: &Url) -> Host {
        let new = || Host { waiting: Arc::new(Semaphore::new(MAX_WAITING)), turn: Arc::default() };
        self.hosts.entry(url.host_str().unwrap_or_default().to_owned()).or_insert_with(new).clone()
    }
}

impl Certificates {
    fn kept(&self) -> MutexGuard<'_, CertificateCache> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Http {
    /// The certificate file at a URL allowed by [`crate::signature::paypal::cert_url`], at `now` in microseconds UTC.
    /// Files are cached by URL: PayPal never changes one.
    ///
    /// # Errors
    /// [`NoCertificate::Failed`] if the status is not 200 or the file is longer than [`MAX_CERTIFICATE_BYTES`];
    /// [`NoCertificate::Later`] if too many were requested.
    pub async fn fetch_certificate(&self, url: &Url, now: i64) -> Result<Arc<[u8]>, NoCertificate> {
        let certificates = self.certificates();
        if let Some(known) = certificates.kept().known(url, now) {
            return known;
        }
        let host = certificates.kept().host(url);
        let _waiting = host.waiting.try_acquire().map_err(|_| NoCertificate::Later)?;
        let _permit = host.turn.lock().await;
        {
            let mut kept = certificates.kept();
            // Another task may have fetched it while this one waited.
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
        let mut kept = CertificateCache::default();
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
