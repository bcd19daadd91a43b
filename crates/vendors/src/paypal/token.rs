//! The access token: requested when needed, cached until shortly before it expires, by one caller at a time.
//!
//! The clock is an argument of the client's constructor.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use tokio::sync::Mutex;
use url::Url;

use crate::http::{HeaderName, HeaderValue, Http, Method, Request};
use crate::{BadRequest, ReadError, classify, lenient};

/// Returns the current time in microseconds UTC.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// Renew this long before expiry, so that a token does not expire in flight.
const MARGIN_S: i64 = 120;
/// The assumed lifetime of a token whose lifetime cannot be parsed.
const SHORT_S: i64 = 600;

/// One application's credentials and its current token.
#[derive(Clone)]
pub(super) struct Tokens {
    basic: HeaderValue,
    clock: Clock,
    current: Arc<Mutex<Option<Token>>>,
}

struct Token {
    bearer: HeaderValue,
    renew_at: i64,
}

#[derive(Deserialize)]
struct TokenBody {
    access_token: String,
    /// An unparsable lifetime is assumed to be short: a token that expires early is requested again.
    #[serde(default, deserialize_with = "lenient::maybe")]
    expires_in: Option<i64>,
}

impl Tokens {
    pub(super) fn new(client_id: &str, client_secret: &str, clock: Clock) -> Result<Self, BadRequest> {
        let basic = STANDARD.encode(format!("{client_id}:{client_secret}"));
        let mut basic = HeaderValue::from_str(&format!("Basic {basic}"))
            .map_err(|_| BadRequest("the PayPal credentials cannot be sent".into()))?;
        basic.set_sensitive(true);
        Ok(Self { basic, clock, current: Arc::default() })
    }

    /// The authorization header for a call. `refused` is a header PayPal has just rejected; it is renewed once, by the
    /// first of many callers.
    pub(super) async fn bearer(
        &self,
        http: &Http,
        base: &Url,
        refused: Option<&HeaderValue>,
    ) -> Result<HeaderValue, ReadError> {
        let mut current = self.current.lock().await;
        if let Some(token) = current.as_ref()
            && token.renew_at > (self.clock)()
            && refused != Some(&token.bearer)
        {
            return Ok(token.bearer.clone());
        }
        let token = self.fetch(http, base).await?;
        let bearer = token.bearer.clone();
        *current = Some(token);
        Ok(bearer)
    }

    async fn fetch(&self, http: &Http, base: &Url) -> Result<Token, ReadError> {
        let asked_at = (self.clock)();
        let mut url = base.clone();
        url.set_path("/v1/oauth2/token");
        let form = HeaderValue::from_static("application/x-www-form-urlencoded");
        let headers = vec![
            (HeaderName::from_static("authorization"), self.basic.clone()),
            (HeaderName::from_static("content-type"), form),
        ];
        let body = b"grant_type=client_credentials".to_vec();
        let answer = http.send(Request { method: Method::POST, url, headers, body }).await;
        let body: TokenBody = classify::paypal_read(&answer)?;
        let mut bearer = HeaderValue::from_str(&format!("Bearer {}", body.access_token))
            .map_err(|_| ReadError::Unreadable("the access token cannot be sent".into()))?;
        bearer.set_sensitive(true);
        let lasts_s = body.expires_in.unwrap_or(SHORT_S).clamp(0, 86_400) - MARGIN_S;
        Ok(Token { bearer, renew_at: asked_at + lasts_s.max(0) * 1_000_000 })
    }
}
