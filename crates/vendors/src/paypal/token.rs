//! The access token: fetched when needed, kept until shortly before it ends, fetched by one caller at a time.
//!
//! The clock is an argument, given once when the client is made.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use tokio::sync::Mutex;
use url::Url;

use crate::http::{HeaderName, HeaderValue, Http, Method, Request};
use crate::{BadRequest, ReadError, classify, lenient};

/// Microseconds UTC.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// A token is renewed this long before PayPal would refuse it, so that it does not end on the way there.
const MARGIN_S: i64 = 120;
/// How long a token is taken to last whose lifetime cannot be read.
const SHORT_S: i64 = 600;

/// One application's credentials and the token they last gave.
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
    /// A lifetime that cannot be read is taken for a short one: a token that ends early is fetched again.
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

    /// The authorization header for a call. A header that PayPal has just refused is given as `refused`; it
    /// is replaced once, whoever of many callers comes first.
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
