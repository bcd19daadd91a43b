//! The PayPal client: each call is one request and one answer, with two exceptions: a rejected token is renewed once
//! and the same bytes are sent again, and a batch is read to its last page.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::de::{DeserializeOwned, IgnoredAny};
use url::Url;

use super::batch::{self, Batch, BatchAccepted, Item, ItemAnswer, PageBody};
use super::event::{self, Event, EventsBody};
use super::report::{self, BalancesBody, TransactionsBody};
use super::token::{Clock, Tokens};
use super::webhook::{NewWebhook, Webhook, WebhookBody, WebhooksBody, names, replace};
use crate::http::{
    Answer, HeaderName, HeaderValue, Http, LastAnswer, Method, Received, Request, TOTAL_TIMEOUT,
};
use crate::{
    BadRequest, Doubt, MoneyKind, MoneyRequest, MovementPage, Outcome, ReadError, ReportedBalance,
    UnknownCause, classify,
};

/// PayPal's maximum page size.
const PAGE_SIZE: usize = 1_000;

/// The page size for listing events, and the maximum number of pages read.
const EVENTS_AT_ONCE: usize = 300;
const MOST_PAGES: usize = 1_000;

/// PayPal with one application's credentials. Clones share connections and token. `Debug` shows no secret.
#[derive(Clone)]
pub struct PayPal {
    http: Http,
    base: Url,
    tokens: Tokens,
    kept: Option<LastAnswer>,
}

impl std::fmt::Debug for PayPal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PayPal({})", self.base)
    }
}

impl PayPal {
    /// A client for the API at `base` (`https://api-m.paypal.com`, or a stand-in). `clock` (microseconds UTC) decides
    /// when a token has expired.
    ///
    /// # Errors
    /// [`BadRequest`] if the credentials cannot be sent in a header.
    pub fn new(
        http: Http,
        base: Url,
        client_id: &str,
        client_secret: &str,
        clock: Clock,
    ) -> Result<Self, BadRequest> {
        Ok(Self { http, base, tokens: Tokens::new(client_id, client_secret, clock)?, kept: None })
    }

    /// The same client, storing the answers to money requests in `kept`.
    #[must_use]
    pub fn keeping(&self, kept: &LastAnswer) -> Self {
        Self { kept: Some(kept.clone()), ..self.clone() }
    }

    async fn exchange_money(&self, request: &MoneyRequest) -> Result<Answer, ReadError> {
        let mut url = self.base.clone();
        url.set_path(request.path());
        // Token and request together get one request's timeout, because the caller holds a lease meanwhile.
        let posted = AtomicBool::new(false);
        let exchange = self.exchange_noting(Method::POST, &url, Some(request.key()), request.body(), &posted);
        let answer = match tokio::time::timeout(TOTAL_TIMEOUT, exchange).await {
            Ok(answer) => answer?,
            Err(_) if posted.load(Ordering::Acquire) => {
                Answer::Lost("there was no answer in 20 seconds, the token's time included".to_owned())
            }
            Err(_) => {
                return Err(ReadError::Unreachable("there was no access token in 20 seconds".to_owned()));
            }
        };
        if let Some(kept) = &self.kept {
            kept.keep(&answer);
        }
        Ok(answer)
    }

    /// Sends a batch and classifies the answer.
    pub async fn send_batch(&self, request: &MoneyRequest) -> Outcome<BatchAccepted> {
        if request.kind() != MoneyKind::Batch {
            let detail = format!("{request:?} is not a batch");
            return Outcome::Unknown(Doubt::new(UnknownCause::NotSent, detail));
        }
        match self.exchange_money(request).await {
            Ok(answer) => batch::read(&answer, request),
            Err(error) => Outcome::Unknown(without_token(error)),
        }
    }

    /// The complete request with this authorization.
    ///
    /// # Errors
    /// None in practice: the parts of a [`MoneyRequest`] were checked when it was built.
    pub fn money(base: &Url, request: &MoneyRequest, bearer: HeaderValue) -> Result<Request, BadRequest> {
        let mut url = base.clone();
        url.set_path(request.path());
        wire(Method::POST, &url, bearer, Some(request.key()), request.body())
    }

    /// A batch with all items from all pages.
    ///
    /// # Errors
    /// A [`ReadError`]; `Unreadable` if the pages do not add up to what PayPal reports.
    pub async fn batch(&self, payout_batch_id: &str) -> Result<Batch, ReadError> {
        let (mut items, mut unread): (Vec<Item>, usize) = (Vec::new(), 0);
        let mut seen = HashSet::new();
        for page in 1.. {
            let (number, size) = (page.to_string(), PAGE_SIZE.to_string());
            let query = [("page", &*number), ("page_size", &*size), ("total_required", "true")];
            let body: PageBody = self.get(&["payments", "payouts", payout_batch_id], &query).await?;
            let full = body.items.read.len() + body.items.unread == PAGE_SIZE;
            let before = items.len() + unread;
            unread += body.items.unread;
            for item in body.items.read {
                if seen.insert(item.payout_item_id.clone()) {
                    items.push(item);
                }
            }
            let more = body.total_pages.map_or(full, |pages| page < pages);
            if payout::planted::on("first_page_only") {
                return Ok(body.batch_header.with(items, unread));
            }
            if more && items.len() + unread > before {
                continue;
            }
            return match body.total_items {
                Some(total) if total != items.len() + unread => {
                    let detail =
                        format!("batch {payout_batch_id}: {} of {total} items", items.len() + unread);
                    Err(ReadError::Unreadable(detail))
                }
                Some(_) | None => Ok(body.batch_header.with(items, unread)),
            };
        }
        Err(ReadError::Unreadable(format!("batch {payout_batch_id} has no end")))
    }

    /// Reads one item.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn item(&self, payout_item_id: &str) -> Result<Item, ReadError> {
        self.get::<ItemAnswer>(&["payments", "payouts-item", payout_item_id], &[]).await.map(Item::from)
    }

    /// A page of what changed our balance between two times (microseconds UTC, at most 31 days apart). Requires the
    /// application permission *Transaction search*; without it PayPal returns 403.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn movements(
        &self,
        from: i64,
        until: i64,
        page: Option<&str>,
    ) -> Result<MovementPage, ReadError> {
        let (from, until) = (report::written(from), report::written(until));
        let page = page.unwrap_or("1");
        let query = [
            ("start_date", from.as_str()),
            ("end_date", &until),
            ("fields", "transaction_info"),
            ("balance_affecting_records_only", "Y"),
            ("page_size", report::PAGE_SIZE),
            ("page", page),
        ];
        self.get::<TransactionsBody>(&["reporting", "transactions"], &query).await?.page(page)
    }

    /// Our balance at a time (microseconds UTC), in every currency Bursar knows.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn balances(&self, as_of: i64) -> Result<Vec<ReportedBalance>, ReadError> {
        let as_of = report::written(as_of);
        let query = [("as_of_time", as_of.as_str()), ("currency_code", "ALL")];
        Ok(self.get::<BalancesBody>(&["reporting", "balances"], &query).await?.into_balances())
    }

    /// Cancels an unclaimed item. The money is back only once the item, read afterwards, has status RETURNED.
    pub async fn send_cancel(&self, request: &MoneyRequest) -> Outcome<Item> {
        if request.kind() != MoneyKind::Cancel {
            let detail = format!("{request:?} is not a cancellation");
            return Outcome::Unknown(Doubt::new(UnknownCause::NotSent, detail));
        }
        match self.exchange_money(request).await {
            Ok(answer) => batch::read_cancel(&answer, request),
            Err(error) => Outcome::Unknown(without_token(error)),
        }
    }

    /// Lists the webhooks; also verifies the credentials, because it requests a token if none is cached.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn webhooks(&self) -> Result<Vec<Webhook>, ReadError> {
        let body: WebhooksBody = self.get(&["notifications", "webhooks"], &[]).await?;
        Ok(body.webhooks.into_iter().map(Webhook::from).collect())
    }

    /// Events about this application's batches since a time (RFC 3339; PayPal keeps 30 days): finds batches that a
    /// restored database does not know.
    ///
    /// # Errors
    /// [`ReadError`]; `Unreadable` if the list does not end.
    pub async fn batch_events_since(&self, start_time: &str) -> Result<Vec<Event>, ReadError> {
        let mut found = Vec::new();
        for kind in ["PROCESSING", "SUCCESS", "DENIED"] {
            found.extend(self.events_since(&format!("PAYMENT.PAYOUTSBATCH.{kind}"), start_time).await?);
        }
        Ok(found)
    }

    /// The list is not paged, so each request ends at the oldest event of the previous one.
    async fn events_since(&self, kind: &str, start_time: &str) -> Result<Vec<Event>, ReadError> {
        let (mut found, mut seen, mut end): (Vec<Event>, HashSet<String>, Option<String>) =
            (Vec::new(), HashSet::new(), None);
        let size = EVENTS_AT_ONCE.to_string();
        for _ in 0..MOST_PAGES {
            let mut query =
                vec![("page_size", size.as_str()), ("event_type", kind), ("start_time", start_time)];
            query.extend(end.as_deref().map(|end| ("end_time", end)));
            let body: EventsBody = self.get(&["notifications", "webhooks-events"], &query).await?;
            let (listed, before) = (body.events.len(), seen.len());
            let oldest = body.events.iter().filter_map(|one| one.create_time.clone()).min();
            let told = body.events.into_iter().map(event::envelope);
            found.extend(told.filter(|one| seen.insert(one.id.clone())));
            if listed < EVENTS_AT_ONCE {
                return Ok(found);
            }
            // More events at the same time than fit a page: going further back would skip some of them.
            if seen.len() == before || oldest.is_none() || oldest == end {
                break;
            }
            end = oldest;
        }
        Err(ReadError::Unreadable("the list of events has no end".to_owned()))
    }

    /// Registers a webhook, or adopts the one already registered for this URL, and returns its id.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn create_webhook(&self, url: &str, events: &[&str]) -> Result<String, ReadError> {
        let new = NewWebhook { url, event_types: names(events) };
        match self.write::<WebhookBody>(Method::POST, &["notifications", "webhooks"], &new).await {
            Ok(body) => Ok(Webhook::from(body).id),
            Err(ReadError::Refused { code, message, status }) if code == "WEBHOOK_URL_ALREADY_EXISTS" => {
                let Some(known) = self.webhooks().await?.into_iter().find(|known| known.url == url) else {
                    return Err(ReadError::Refused { code, message, status });
                };
                if !known.missing(events).is_empty() {
                    self.update_webhook(&known.id, url, events).await?;
                }
                Ok(known.id)
            }
            Err(error) => Err(error),
        }
    }

    /// Changes a webhook's URL and event types.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn update_webhook(&self, id: &str, url: &str, events: &[&str]) -> Result<(), ReadError> {
        let steps = (replace("/url", url), replace("/event_types", names(events)));
        let _: IgnoredAny = self.write(Method::PATCH, &["notifications", "webhooks", id], &steps).await?;
        Ok(())
    }

    /// Deletes a webhook.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn delete_webhook(&self, id: &str) -> Result<(), ReadError> {
        let url = self.url(&["notifications", "webhooks", id], &[]);
        let answer = self.exchange(Method::DELETE, &url, None, b"").await?;
        let _: IgnoredAny = classify::paypal_read(&answer)?;
        Ok(())
    }

    async fn get<T: DeserializeOwned>(&self, path: &[&str], query: &[(&str, &str)]) -> Result<T, ReadError> {
        let answer = self.exchange(Method::GET, &self.url(path, query), None, b"").await?;
        classify::paypal_read(&answer)
    }

    async fn write<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &[&str],
        body: &impl serde::Serialize,
    ) -> Result<T, ReadError> {
        let body = serde_json::to_vec(body).map_err(|error| ReadError::Unreachable(error.to_string()))?;
        let answer = self.exchange(method, &self.url(path, &[]), None, &body).await?;
        classify::paypal_read(&answer)
    }

    /// Sends with a token. A 401 means nothing was executed, so the same bytes are sent once more with a new token.
    async fn exchange(
        &self,
        method: Method,
        url: &Url,
        key: Option<&str>,
        body: &[u8],
    ) -> Result<Answer, ReadError> {
        self.exchange_noting(method, url, key, body, &AtomicBool::new(false)).await
    }

    /// Like `exchange`; `posted` is set before the first byte of the request may be sent, and cleared by an answer that
    /// says it was not executed.
    async fn exchange_noting(
        &self,
        method: Method,
        url: &Url,
        key: Option<&str>,
        body: &[u8],
        posted: &AtomicBool,
    ) -> Result<Answer, ReadError> {
        let bearer = self.tokens.bearer(&self.http, &self.base, None).await?;
        let first = wire(method.clone(), url, bearer.clone(), key, body)?;
        posted.store(true, Ordering::Release);
        let answer = self.http.send(first).await;
        let Answer::Got(Received { status: 401, .. }) = answer else {
            return Ok(answer);
        };
        posted.store(false, Ordering::Release);
        let renewed = self.tokens.bearer(&self.http, &self.base, Some(&bearer)).await?;
        posted.store(true, Ordering::Release);
        Ok(self.http.send(wire(method, url, renewed, key, body)?).await)
    }

    /// Ids become path segments, so that an id with a slash cannot address another resource.
    fn url(&self, path: &[&str], query: &[(&str, &str)]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.clear().push("v1").extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }
}

fn wire(
    method: Method,
    url: &Url,
    bearer: HeaderValue,
    key: Option<&str>,
    body: &[u8],
) -> Result<Request, BadRequest> {
    let mut headers = vec![
        (HeaderName::from_static("authorization"), bearer),
        (HeaderName::from_static("content-type"), HeaderValue::from_static("application/json")),
    ];
    if let Some(key) = key {
        let key = HeaderValue::from_str(key)
            .map_err(|_| BadRequest(format!("{key:?} cannot be sent as a request id")))?;
        headers.push((HeaderName::from_static("paypal-request-id"), key));
    }
    Ok(Request { method, url: url.clone(), headers, body: body.to_vec() })
}

/// A missing token means that the request was never sent.
fn without_token(error: ReadError) -> Doubt {
    let detail = format!("no access token: {error}");
    match error {
        ReadError::Credentials(_) => Doubt::new(UnknownCause::Credentials, detail),
        ReadError::RateLimited { retry_after_s } => {
            Doubt { retry_after_s, ..Doubt::new(UnknownCause::RateLimited, detail) }
        }
        ReadError::Missing
        | ReadError::Refused { .. }
        | ReadError::Unreachable(_)
        | ReadError::Unreadable(_) => Doubt::new(UnknownCause::NotSent, detail),
    }
}
