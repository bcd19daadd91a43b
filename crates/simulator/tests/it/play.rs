//! A running pair of vendors, a manual clock, and shortcuts for requests. On drop, checks the invariant of every test: no
//! money was created or lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use serde_json::{Value, json};
use simulator::{Delivery, Options, Simulator, Vendor};

pub const SECOND: i64 = 1_000_000;
pub const HOUR: i64 = 3600 * SECOND;
pub const DAY: i64 = 24 * HOUR;
/// 2026-03-02 08:00 UTC.
pub const START: i64 = 1_772_438_400 * SECOND;

pub struct Play {
    pub simulator: Simulator,
    pub base: String,
    now: Arc<AtomicI64>,
    client: reqwest::Client,
    /// The token, and when it was fetched.
    token: tokio::sync::Mutex<Option<(String, i64)>>,
    server: tokio::task::JoinHandle<()>,
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub body: Value,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub fn text(&self, pointer: &str) -> &str {
        self.body.pointer(pointer).and_then(Value::as_str).unwrap_or("")
    }
}

impl Play {
    pub async fn start() -> Play {
        Play::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut Options)) -> Play {
        let now = Arc::new(AtomicI64::new(START));
        let read = Arc::clone(&now);
        let mut options = Options::new(Arc::new(move || read.load(Ordering::SeqCst)));
        change(&mut options);
        let simulator = Simulator::new(options);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let served = simulator.clone();
        let server = tokio::spawn(async move { served.serve(listener).await.unwrap() });
        Play { simulator, base, now, client: client(), token: tokio::sync::Mutex::new(None), server }
    }

    pub fn now(&self) -> i64 {
        self.now.load(Ordering::SeqCst)
    }

    /// Advances the clock and processes what is due.
    pub fn later(&self, micros: i64) {
        self.now.fetch_add(micros, Ordering::SeqCst);
        self.simulator.advance(self.now());
    }

    pub async fn post(&self, path: &str, form: &[(&str, &str)], headers: &[(&str, &str)]) -> Answer {
        self.try_post(path, form, headers).await.unwrap()
    }

    /// A Stripe POST; `Err` if the connection broke.
    pub async fn try_post(
        &self,
        path: &str,
        form: &[(&str, &str)],
        headers: &[(&str, &str)],
    ) -> Result<Answer, reqwest::Error> {
        let request = self.client.post(format!("{}{path}", self.base)).bearer_auth("sk_test_sim").form(form);
        send(with_headers(request, headers)).await
    }

    pub async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        let request = self.client.get(format!("{}{path}", self.base)).bearer_auth("sk_test_sim");
        send(with_headers(request, headers)).await.unwrap()
    }

    pub async fn delete(&self, path: &str) -> Answer {
        let request = self.client.delete(format!("{}{path}", self.base)).bearer_auth("sk_test_sim");
        send(request).await.unwrap()
    }

    /// A transfer of `amount` in `usd` for the transaction `group`.
    pub async fn transfer(&self, account: &str, amount: &str, group: &str, key: &str) -> Answer {
        let form = [
            ("amount", amount),
            ("currency", "usd"),
            ("destination", account),
            ("transfer_group", group),
            ("metadata[transaction]", group),
        ];
        self.post("/v1/transfers", &form, &[("idempotency-key", key)]).await
    }

    pub async fn payout(&self, account: &str, amount: &str, group: &str, key: &str) -> Answer {
        let form = [("amount", amount), ("currency", "usd"), ("metadata[transaction]", group)];
        self.post("/v1/payouts", &form, &[("idempotency-key", key), ("stripe-account", account)]).await
    }

    /// A transfer followed by a payout.
    pub async fn pay(&self, account: &str, amount: &str, group: &str) -> String {
        let transfer = self.transfer(account, amount, group, &format!("tr:{group}:1")).await;
        assert_eq!(transfer.status, 200, "{transfer:?}");
        let payout = self.payout(account, amount, group, &format!("po:{group}:1")).await;
        assert_eq!(payout.status, 200, "{payout:?}");
        payout.text("/id").to_owned()
    }

    /// A PayPal call, with a token that is fetched once.
    pub async fn paypal(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        self.try_paypal(method, path, body).await.unwrap()
    }

    pub async fn try_paypal(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer, reqwest::Error> {
        let mut token = self.token.lock().await;
        let kept = token.take().filter(|(_, at)| self.now() - at < 9 * HOUR);
        let fresh = async || (self.fetch_token().await.text("/access_token").to_owned(), self.now());
        let kept = if let Some(kept) = kept { kept } else { fresh().await };
        let url = format!("{}{path}", self.base);
        let mut request = self.client.request(method.parse().unwrap(), url).bearer_auth(&kept.0);
        *token = Some(kept);
        if let Some(body) = body {
            request = request.json(body);
        }
        send(request).await
    }

    pub async fn fetch_token(&self) -> Answer {
        let request = self.client.post(format!("{}/v1/oauth2/token", self.base));
        let request = request.basic_auth("sim_client", Some("sim_secret"));
        send(request.form(&[("grant_type", "client_credentials")])).await.unwrap()
    }

    pub async fn batch(&self, id: &str, items: &[(&str, &str, &str)]) -> Answer {
        self.paypal("POST", "/v1/payments/payouts", Some(&batch_body(id, items))).await
    }

    /// Creates a batch of one item and lets it settle; returns the item as PayPal then shows it.
    pub async fn settled_item(&self, id: &str, receiver: &str, value: &str) -> Value {
        let batch = self.batch(id, &[(receiver, value, id)]).await;
        assert_eq!(batch.status, 201, "{batch:?}");
        self.later(SECOND);
        let path = format!("/v1/payments/payouts/{}", batch.text("/batch_header/payout_batch_id"));
        self.paypal("GET", &path, None).await.body["items"][0].clone()
    }

    pub async fn item(&self, id: &str) -> Answer {
        self.paypal("GET", &format!("/v1/payments/payouts-item/{id}"), None).await
    }

    /// Registers an endpoint of each kind at Stripe and one at PayPal; nothing listens there.
    pub async fn register_webhooks(&self, url: &str) -> Registered {
        let endpoint = async |connect: &str| {
            let address = format!("{url}/{connect}");
            let form = [("url", address.as_str()), ("enabled_events[0]", "*"), ("connect", connect)];
            self.post("/v1/webhook_endpoints", &form, &[]).await.text("/secret").to_owned()
        };
        let (platform_secret, connect_secret) = (endpoint("false").await, endpoint("true").await);
        let body = json!({"url": format!("{url}/paypal"), "event_types": [{"name": "*"}]});
        let webhook = self.paypal("POST", "/v1/notifications/webhooks", Some(&body)).await;
        assert_eq!(webhook.status, 201);
        Registered { platform_secret, connect_secret, webhook_id: webhook.text("/id").to_owned() }
    }

    /// Marks every due webhook as delivered.
    pub fn take_webhooks(&self) -> Vec<Delivery> {
        let due = self.simulator.due_webhooks(self.now());
        for delivery in &due {
            self.simulator.delivered(delivery.id, 200, self.now());
        }
        due
    }

    /// (left, returned, arrived) for one transaction.
    pub fn flow(&self, vendor: Vendor, transaction: &str) -> (i64, i64, i64) {
        let flows = self.simulator.books().flows(transaction);
        let flow = flows.iter().find(|flow| flow.vendor == vendor);
        flow.map_or((0, 0, 0), |flow| (flow.left_minor, flow.returned_minor, flow.arrived_minor))
    }
}

pub struct Registered {
    pub platform_secret: String,
    pub connect_secret: String,
    pub webhook_id: String,
}

impl Drop for Play {
    fn drop(&mut self) {
        self.server.abort();
        if !std::thread::panicking() {
            assert_eq!(self.simulator.books().imbalances(), [], "money was made or lost");
        }
    }
}

/// (receiver, value, sender_item_id) in USD.
pub fn batch_body(id: &str, items: &[(&str, &str, &str)]) -> Value {
    let items: Vec<Value> = items
        .iter()
        .map(|(receiver, value, item)| {
            let amount = json!({"value": value, "currency": "USD"});
            json!({"recipient_type": "EMAIL", "receiver": receiver, "amount": amount, "sender_item_id": item})
        })
        .collect();
    let header = json!({"sender_batch_id": id, "email_subject": "You have a payout"});
    json!({"sender_batch_header": header, "items": items})
}

#[allow(clippy::disallowed_methods, reason = "the tests are the payer here")]
pub fn client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    // No connection is reused, so that one broken on purpose does not affect the next request.
    reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).build().unwrap()
}

fn with_headers(mut request: reqwest::RequestBuilder, headers: &[(&str, &str)]) -> reqwest::RequestBuilder {
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request
}

async fn send(request: reqwest::RequestBuilder) -> Result<Answer, reqwest::Error> {
    let answer = request.send().await?;
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    let bytes = answer.bytes().await?;
    Ok(Answer { status, headers, body: serde_json::from_slice(&bytes).unwrap_or_default() })
}
