//! An honest API client: it retries with the same body under the same idempotency key until it is answered, and accepts
//! nothing else as an answer. Not here: what it requests (`errand`).

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bursar::clock::Clock;
use serde_json::Value;
use url::Url;
use vendors::http::{Answer, HeaderName, HeaderValue, Http, Method, Request};

use super::place::Place;

const PATIENCE_US: i64 = 90_000_000;
/// The timeout per request: a frozen node must not delay the client when another could answer.
const WAIT: Duration = Duration::from_secs(12);

/// A client with an API key.
pub struct Client {
    http: Http,
    base_url: String,
    key: String,
    clock: Clock,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    longest_away_us: i64,
    last: String,
    /// Answers that report an internal error.
    faults: Vec<String>,
}

impl Client {
    /// A client of a place's processes.
    pub fn of(place: &Place) -> Self {
        Self::at(&place.base_url, &place.api_key)
    }

    pub fn at(base_url: &str, key: &str) -> Self {
        Self {
            http: Http::new().unwrap(),
            base_url: base_url.to_owned(),
            key: key.to_owned(),
            clock: Clock::system(),
            seen: Mutex::default(),
        }
    }

    /// The longest time without a usable answer, in microseconds.
    pub fn longest_away_us(&self) -> i64 {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).longest_away_us
    }

    /// The last request and its result.
    pub fn last(&self) -> String {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).last.clone()
    }

    /// The answers that reported an internal error.
    pub fn faults(&self) -> Vec<String> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).faults.clone()
    }

    /// Retries until answered; returns the body of a successful answer.
    pub async fn yes(&self, method: &str, path: &str, body: &Value, key: &str) -> Result<Value, String> {
        let (status, answer) = self.ask(method, path, body, key).await?;
        match status {
            200..300 => Ok(answer),
            _ => Err(format!("{method} {path} was answered {status}: {answer}")),
        }
    }

    pub async fn get(&self, path: &str) -> Result<Value, String> {
        self.yes("GET", path, &Value::Null, "").await
    }

    /// Retries until answered. An empty key means none.
    pub async fn ask(
        &self,
        method: &str,
        path: &str,
        body: &Value,
        key: &str,
    ) -> Result<(u16, Value), String> {
        let began = self.clock.now();
        loop {
            let request = self.http.send(self.request(method, path, body, key));
            let late = |_| Answer::Lost(format!("no answer within {WAIT:?}"));
            let answer = tokio::time::timeout(WAIT, request).await.unwrap_or_else(late);
            let away_us = self.clock.now() - began;
            let message = match answer {
                Answer::Got(got) => {
                    let text = String::from_utf8_lossy(&got.body).into_owned();
                    let read = serde_json::from_str(&text).unwrap_or(Value::String(text));
                    let running = got.status == 409 && read["code"] == "idempotency_key_in_use";
                    let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
                    if got.status == 500 {
                        seen.faults.push(format!("{method} {path} was answered 500: {read}"));
                    }
                    if !running && !matches!(got.status, 429 | 500..600) {
                        seen.longest_away_us = seen.longest_away_us.max(away_us);
                        seen.last = format!("{method} {path}: {}", got.status);
                        return Ok((got.status, read));
                    }
                    format!("{} {read}", got.status)
                }
                Answer::NotSent(why) | Answer::Lost(why) => why,
            };
            self.seen.lock().unwrap_or_else(PoisonError::into_inner).last =
                format!("{method} {path}: {message}");
            if away_us > PATIENCE_US {
                return Err(format!(
                    "{method} {path} is not answered for {} s: {message}",
                    away_us / 1_000_000
                ));
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    }

    fn request(&self, method: &str, path: &str, body: &Value, key: &str) -> Request {
        let mut headers = vec![header("authorization", &format!("Bearer {}", self.key))];
        if !key.is_empty() {
            headers.push(header("idempotency-key", key));
        }
        let body = match body {
            Value::Null => Vec::new(),
            Value::String(file) => {
                headers.push(header("content-type", "text/csv"));
                file.clone().into_bytes()
            }
            Value::Object(_) | Value::Array(_) | Value::Bool(_) | Value::Number(_) => {
                headers.push(header("content-type", "application/json"));
                body.to_string().into_bytes()
            }
        };
        let url = Url::parse(&format!("{}/api/v1{path}", self.base_url)).unwrap();
        Request { method: Method::from_bytes(method.as_bytes()).unwrap(), url, headers, body }
    }
}

fn header(name: &'static str, value: &str) -> (HeaderName, HeaderValue) {
    (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
}
