//! The one place that reaches the network: one request out, one [`Answer`] in.
//!
//! Time-outs (5 s to connect, 20 s in all), body limits and the line between "not sent" and "lost" are drawn
//! here. Not here: what an answer means ([`crate::Outcome`]), retries, redirects (never followed) and
//! cookies.
//!
//! Nothing is sent twice in a way that matters. Repeating is switched off in `reqwest`; the connection pool
//! below it moves a request to another connection only when the one it had chosen died before a byte of the
//! request was written. And the bytes and the key would be the same.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use url::Url;

use crate::certificates::Certificates;

pub use reqwest::Method;
pub use reqwest::header::HeaderMap;
pub use reqwest::header::{HeaderName, HeaderValue};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
pub(crate) const TOTAL_TIMEOUT: Duration = Duration::from_secs(20);
/// Shorter than the idle time of any vendor's front end, so that it is we who let go of an idle connection.
const IDLE_TIMEOUT: Duration = Duration::from_secs(20);
/// The longest answer that is read, in bytes.
pub const MAX_BODY_BYTES: usize = 8 << 20;
/// The longest certificate file that is read, in bytes.
pub const MAX_CERTIFICATE_BYTES: usize = 64 << 10;

/// A connection pool with its limits. Cloning shares it.
#[derive(Clone)]
pub struct Http {
    way: Way,
    certificates: Certificates,
    watch: Option<Watch>,
    tell: Option<TellCall>,
}

#[derive(Clone)]
enum Way {
    Network(reqwest::Client),
    Played(Arc<dyn Wire>),
}

/// What stands where the network is when a vendor is played in this process.
pub trait Wire: Send + Sync {
    /// Carries one request there and its answer back.
    fn carry(&self, request: Request) -> Pin<Box<dyn Future<Output = Answer> + Send + '_>>;
}

/// Told when we asked, when we were answered, and the `Date` of the answer.
pub type TellDate = Arc<dyn Fn(i64, i64, &str) + Send + Sync>;

/// Whoever compares clocks: told, for every answer with a `Date`, our time (microseconds UTC) when the request was begun
/// and when the answer's head was there, and the `Date` as it was written.
#[derive(Clone)]
pub struct Watch {
    /// Tells our time.
    pub clock: Arc<dyn Fn() -> i64 + Send + Sync>,
    /// Is told.
    pub told: TellDate,
}

/// Where a call stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Moment {
    /// Not a byte of it is written.
    Before,
    /// Its answer is read, or it is lost, and whoever asked does not know it yet.
    After,
}

/// Told of each call over the network, and may end the process there: for whoever proves what comes of that.
pub type TellCall = Arc<dyn Fn(Moment, &Method, &Url) + Send + Sync>;

/// One request, complete with credentials. `Debug` shows neither headers nor body.
pub struct Request {
    /// GET, POST, PATCH or DELETE.
    pub method: Method,
    /// The whole address.
    pub url: Url,
    /// Headers, credentials among them.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The body; empty for none.
    pub body: Vec<u8>,
}

/// What came of a request.
#[derive(Clone, Debug)]
pub enum Answer {
    /// Not a byte of the request was written: refused connection, DNS or TLS failure.
    NotSent(String),
    /// The request, or part of it, was written and no complete answer came back.
    Lost(String),
    /// A complete answer.
    Got(Received),
}

/// Keeps the last answer to a money request, for whoever must be able to show what a vendor said. Cloning shares it.
#[derive(Clone, Debug, Default)]
pub struct Kept(Arc<Mutex<Option<Received>>>);

impl Kept {
    /// Keeps an answer, if there is one.
    pub(crate) fn keep(&self, answer: &Answer) {
        if let Answer::Got(received) = answer {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(received.clone());
        }
    }

    /// What was kept.
    #[must_use]
    pub fn take(&self) -> Option<Received> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// A complete answer.
#[derive(Clone, Debug)]
pub struct Received {
    /// HTTP status.
    pub status: u16,
    /// Headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Vec<u8>,
}

impl Received {
    /// The first header of this name, if it is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

impl Http {
    /// A pool that trusts the public certificate authorities compiled into the program.
    ///
    /// # Errors
    /// When the TLS settings cannot be made; nothing is reached here.
    pub fn new() -> Result<Self, String> {
        let roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        // The provider is named here instead of being installed for the whole process: two parts of a program
        // that both install one would fail at a distance.
        let tls =
            rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_safe_default_protocol_versions()
                .map_err(|error| format!("TLS could not be set up: {error}"))?
                .with_root_certificates(roots)
                .with_no_client_auth();
        #[allow(clippy::disallowed_methods, reason = "this is the one module that may make a network client")]
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TOTAL_TIMEOUT)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .user_agent(concat!("bursar/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| format!("the HTTP client could not be made: {}", whole(&error)))?;
        Ok(Self::by(Way::Network(client)))
    }

    /// Without a network: what is asked of a vendor goes over this.
    #[must_use]
    pub fn over(wire: Arc<dyn Wire>) -> Self {
        Self::by(Way::Played(wire))
    }

    fn by(way: Way) -> Self {
        Self { way, watch: None, tell: None, certificates: Certificates::default() }
    }

    /// The same, with somebody who is told of each call.
    #[must_use]
    pub fn telling(self, tell: TellCall) -> Self {
        Self { tell: Some(tell), ..self }
    }

    /// The same, with somebody who compares clocks.
    #[must_use]
    pub fn watched(self, watch: Watch) -> Self {
        Self { watch: Some(watch), ..self }
    }

    /// Sends one request and waits for its whole answer.
    pub async fn send(&self, request: Request) -> Answer {
        self.exchange(request, MAX_BODY_BYTES).await
    }

    pub(crate) async fn exchange(&self, request: Request, limit: usize) -> Answer {
        let asked_at = self.watch.as_ref().map(|watch| (watch.clock)());
        let client = match &self.way {
            Way::Network(client) => client,
            Way::Played(wire) => {
                let answer = wire.carry(request).await;
                if let Answer::Got(received) = &answer {
                    self.tell_date(asked_at, &received.headers);
                }
                return answer;
            }
        };
        let (method, url) = (request.method.clone(), request.url.clone());
        let tell = |moment| self.tell.iter().for_each(|tell| tell(moment, &method, &url));
        tell(Moment::Before);
        let answer = self.over_the_network(client, request, asked_at, limit).await;
        tell(Moment::After);
        answer
    }

    async fn over_the_network(
        &self,
        client: &reqwest::Client,
        request: Request,
        asked_at: Option<i64>,
        limit: usize,
    ) -> Answer {
        let mut outgoing = client.request(request.method, request.url).body(request.body);
        for (name, value) in request.headers {
            outgoing = outgoing.header(name, value);
        }
        let mut response = match outgoing.send().await {
            Ok(response) => response,
            Err(error) if error.is_connect() || error.is_builder() => return Answer::NotSent(whole(&error)),
            Err(error) => return Answer::Lost(whole(&error)),
        };
        let (status, headers) = (response.status().as_u16(), std::mem::take(response.headers_mut()));
        self.tell_date(asked_at, &headers);
        let mut body = Vec::new();
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) if body.len() + chunk.len() > limit => {
                    return Answer::Lost(format!("a {status} answer of more than {limit} bytes"));
                }
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) => return Answer::Got(Received { status, headers, body }),
                Err(error) => return Answer::Lost(format!("a {status} answer was cut: {}", whole(&error))),
            }
        }
    }

    fn tell_date(&self, asked_at: Option<i64>, headers: &HeaderMap) {
        let date = headers.get(reqwest::header::DATE).and_then(|value| value.to_str().ok());
        if let (Some(watch), Some(asked_at), Some(date)) = (&self.watch, asked_at, date) {
            (watch.told)(asked_at, (watch.clock)(), date);
        }
    }

    pub(crate) fn certificates(&self) -> &Certificates {
        &self.certificates
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.url.path())
    }
}

/// An error with what lies under it, since `reqwest` names only the outermost layer.
fn whole(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}
