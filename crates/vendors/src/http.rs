//! The only code that accesses the network: one request out, one [`Answer`] in.
//!
//! Sets timeouts (5 s to connect, 20 s in total) and body limits, and distinguishes "not sent" from "lost". Not here:
//! what an answer means ([`crate::Outcome`]), retries, redirects (never followed) and cookies.
//!
//! No request is sent twice in a way that matters. Retries are disabled in `reqwest`; its connection pool moves a
//! request to another connection only if the chosen one died before a byte was written. Even then the bytes and the key
//! are the same.

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
/// Shorter than the idle timeout of any vendor's front end, so that we are the ones to close idle connections.
const IDLE_TIMEOUT: Duration = Duration::from_secs(20);
/// The maximum response size, in bytes.
pub const MAX_BODY_BYTES: usize = 8 << 20;
/// The maximum size of a certificate file, in bytes.
pub const MAX_CERTIFICATE_BYTES: usize = 64 << 10;

/// A connection pool with its limits. Clones share it.
#[derive(Clone)]
pub struct Http {
    way: Transport,
    certificates: Certificates,
    watch: Option<Watch>,
    on_call: Option<OnCall>,
}

#[derive(Clone)]
enum Transport {
    Network(reqwest::Client),
    Played(Arc<dyn Wire>),
}

/// Replaces the network when a vendor is simulated in this process.
pub trait Wire: Send + Sync {
    /// Delivers a request and returns the answer.
    fn carry(&self, request: Request) -> Pin<Box<dyn Future<Output = Answer> + Send + '_>>;
}

/// Called with our request time, our response time (microseconds UTC) and the response's `Date`.
pub type OnDate = Arc<dyn Fn(i64, i64, &str) + Send + Sync>;

/// Measures clock differences: for every response with a `Date`, gets our time (microseconds UTC) when the request
/// started and when the response head arrived, and the `Date` header as text.
#[derive(Clone)]
pub struct Watch {
    /// Our clock, in microseconds UTC.
    pub clock: Arc<dyn Fn() -> i64 + Send + Sync>,
    /// Called for every response with a `Date`.
    pub on_date: OnDate,
}

/// A point in a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Moment {
    /// Before any byte is written.
    Before,
    /// After the answer was read or lost, before the caller gets it.
    After,
}

/// Called at each point of every network call; may end the process there, for crash tests.
pub type OnCall = Arc<dyn Fn(Moment, &Method, &Url) + Send + Sync>;

/// One complete request, with credentials. `Debug` shows neither headers nor body.
pub struct Request {
    /// GET, POST, PATCH or DELETE.
    pub method: Method,
    /// The full URL.
    pub url: Url,
    /// The headers, including credentials.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The body; empty if there is none.
    pub body: Vec<u8>,
}

/// The result of a request.
#[derive(Clone, Debug)]
pub enum Answer {
    /// No byte of the request was written: connection refused, DNS or TLS failure.
    NotSent(String),
    /// Some or all of the request was written, and no complete answer arrived.
    Lost(String),
    /// A complete answer.
    Got(Received),
}

/// Keeps the last answer to a money request as evidence of what a vendor said. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct LastAnswer(Arc<Mutex<Option<Received>>>);

impl LastAnswer {
    /// Stores an answer, if there is one.
    pub(crate) fn keep(&self, answer: &Answer) {
        if let Answer::Got(received) = answer {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(received.clone());
        }
    }

    /// Takes the stored answer.
    #[must_use]
    pub fn take(&self) -> Option<Received> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// A complete response.
#[derive(Clone, Debug)]
pub struct Received {
    /// The HTTP status code.
    pub status: u16,
    /// The response headers.
    pub headers: HeaderMap,
    /// The complete body.
    pub body: Vec<u8>,
}

impl Received {
    /// The first header with this name, if it is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

impl Http {
    /// A pool that trusts the public certificate authorities compiled into the program.
    ///
    /// # Errors
    /// If TLS cannot be set up; nothing is contacted here.
    pub fn new() -> Result<Self, String> {
        let roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        // The crypto provider is passed here rather than installed process-wide: two parts of a program that both
        // install one would fail in surprising ways.
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
        Ok(Self::by(Transport::Network(client)))
    }

    /// A client that sends every request through `wire` instead of the network.
    #[must_use]
    pub fn over(wire: Arc<dyn Wire>) -> Self {
        Self::by(Transport::Played(wire))
    }

    fn by(way: Transport) -> Self {
        Self { way, watch: None, on_call: None, certificates: Certificates::default() }
    }

    /// Sets a callback for every network call.
    #[must_use]
    pub fn telling(self, tell: OnCall) -> Self {
        Self { on_call: Some(tell), ..self }
    }

    /// Sets a callback for clock measurements.
    #[must_use]
    pub fn watched(self, watch: Watch) -> Self {
        Self { watch: Some(watch), ..self }
    }

    /// Sends one request and waits for its complete answer.
    pub async fn send(&self, request: Request) -> Answer {
        self.exchange(request, MAX_BODY_BYTES).await
    }

    pub(crate) async fn exchange(&self, request: Request, limit: usize) -> Answer {
        let asked_at = self.watch.as_ref().map(|watch| (watch.clock)());
        let client = match &self.way {
            Transport::Network(client) => client,
            Transport::Played(wire) => {
                let answer = wire.carry(request).await;
                if let Answer::Got(received) = &answer {
                    self.tell_date(asked_at, &received.headers);
                }
                return answer;
            }
        };
        let (method, url) = (request.method.clone(), request.url.clone());
        let tell = |moment| self.on_call.iter().for_each(|tell| tell(moment, &method, &url));
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
            (watch.on_date)(asked_at, (watch.clock)(), date);
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

/// An error with its causes, because `reqwest` shows only the outermost one.
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
