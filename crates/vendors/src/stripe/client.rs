//! The Stripe client: each call is one request and one answer, except lists, which are read to their end.

use std::collections::HashMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use url::Url;

use super::account::{AccountBody, AccountLink, ExternalAccount, NewAccount};
use super::balance::{Balance, BalanceBody, BalanceTransaction, MovementsBody};
use super::event::{Event, EventBody};
use super::payout::{self, Payout};
use super::transfer::{self, Reversal, Transfer};
use super::webhook::{NewWebhookEndpoint, WebhookEndpoint};
use super::{ConnectedAccount, ConnectedAccountState, Expect, VERSION, form};
use crate::classify;
use crate::http::{Answer, HeaderName, HeaderValue, Http, LastAnswer, Method, Request};
use crate::{
    BadRequest, Doubt, Identity, MoneyKind, MoneyRequest, MovementPage, Outcome, ReadError, UnknownCause,
};

/// The maximum number of pages, of a hundred each; a longer list is assumed to loop.
const MAX_PAGES: usize = 1_000;

/// Stripe with one platform account's key. Clones share the connections. `Debug` does not show the key.
#[derive(Clone)]
pub struct Stripe {
    http: Http,
    base: Url,
    authorization: HeaderValue,
    kept: Option<LastAnswer>,
}

impl std::fmt::Debug for Stripe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Stripe({})", self.base)
    }
}

/// A page of a list. Both fields are required: an answer without them is not an empty list.
#[derive(Deserialize)]
struct Page<T> {
    data: Vec<T>,
    has_more: bool,
}

/// A connected account as listed.
#[derive(Deserialize)]
struct AccountMade {
    id: String,
    #[serde(default)]
    metadata: HashMap<String, String>,
}

/// The mode of the key with which the balance was read.
#[derive(Deserialize)]
struct Mode {
    livemode: bool,
}

/// Objects whose id is the cursor of a list.
trait Listed {
    fn id(&self) -> &str;
}

macro_rules! listed {
    ($($object:ty),+) => { $(impl Listed for $object { fn id(&self) -> &str { &self.id } })+ };
}
listed!(
    Transfer,
    Reversal,
    Payout,
    EventBody,
    ExternalAccount,
    BalanceTransaction,
    WebhookEndpoint,
    AccountMade
);

impl Stripe {
    /// A client for the API at `base` (`https://api.stripe.com`, or a stand-in) with a platform's secret key.
    ///
    /// # Errors
    /// [`BadRequest`] if the key cannot be sent in a header.
    pub fn new(http: Http, base: Url, secret_key: &str) -> Result<Self, BadRequest> {
        let mut authorization = HeaderValue::from_str(&format!("Bearer {secret_key}"))
            .map_err(|_| BadRequest("the Stripe secret key holds characters that no key has".into()))?;
        authorization.set_sensitive(true);
        Ok(Self { http, base, authorization, kept: None })
    }

    /// The same client, storing the answers to money requests in `kept`.
    #[must_use]
    pub fn keeping(&self, kept: &LastAnswer) -> Self {
        Self { kept: Some(kept.clone()), ..self.clone() }
    }

    async fn send(&self, wire: Request) -> Answer {
        let answer = self.http.send(wire).await;
        if let Some(kept) = &self.kept {
            kept.keep(&answer);
        }
        answer
    }

    /// Sends a transfer and classifies the answer.
    pub async fn send_transfer(&self, request: &MoneyRequest) -> Outcome<Transfer> {
        match self.prepare(request, MoneyKind::Transfer) {
            Ok((wire, expect)) => transfer::read(&self.send(wire).await, &expect),
            Err(bad) => Outcome::Unknown(Doubt::new(UnknownCause::NotSent, bad.0)),
        }
    }

    /// Sends a bank payout as its connected account and classifies the answer.
    pub async fn send_payout(&self, request: &MoneyRequest) -> Outcome<Payout> {
        match self.prepare(request, MoneyKind::Payout) {
            Ok((wire, expect)) => payout::read(&self.send(wire).await, &expect),
            Err(bad) => Outcome::Unknown(Doubt::new(UnknownCause::NotSent, bad.0)),
        }
    }

    /// Sends the reversal of a transfer and classifies the answer.
    pub async fn send_reversal(&self, request: &MoneyRequest) -> Outcome<Reversal> {
        match self.prepare(request, MoneyKind::Reversal) {
            Ok((wire, expect)) => transfer::read_reversal(&self.send(wire).await, &expect),
            Err(bad) => Outcome::Unknown(Doubt::new(UnknownCause::NotSent, bad.0)),
        }
    }

    /// Reads one transfer (`tr_…`).
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn transfer(&self, id: &str) -> Result<Transfer, ReadError> {
        self.get(&["transfers", id], &[], None).await
    }

    /// All transfers in a `transfer_group`, which is our transaction: the look-up after a lost answer.
    ///
    /// # Errors
    /// [`ReadError`]; an empty list is a valid answer.
    pub async fn transfers_by_group(&self, group: &str) -> Result<Vec<Transfer>, ReadError> {
        let mut found: Vec<Transfer> = self.list(&["transfers"], &[("transfer_group", group)], None).await?;
        found.retain(|transfer| transfer.transfer_group.as_deref() == Some(group));
        Ok(found)
    }

    /// All transfers created at or after this Unix second, which a restored database may not know.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn transfers_since(&self, created_gte_unix: i64) -> Result<Vec<Transfer>, ReadError> {
        let since = created_gte_unix.to_string();
        self.list(&["transfers"], &[("created[gte]", &since)], None).await
    }

    /// The reversals of a transfer: the look-up after a lost answer to [`Stripe::send_reversal`].
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn reversals(&self, transfer: &str) -> Result<Vec<Reversal>, ReadError> {
        self.list(&["transfers", transfer, "reversals"], &[], None).await
    }

    /// Reads one payout (`po_…`) of a connected account; if it was reversed, also whether the money has come back.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn payout(&self, account: &ConnectedAccount, id: &str) -> Result<Payout, ReadError> {
        let mut found: Payout = self.get(&["payouts", id], &[], Some(account)).await?;
        if let Some(reversing) = &found.reversed_by {
            let reversing: Payout = self.get(&["payouts", reversing], &[], Some(account)).await?;
            found.fetched_back = payout::has_fetched(&reversing);
        }
        Ok(found)
    }

    /// All payouts of a connected account created at or after this Unix second, with whether reversed ones have come
    /// back. Payouts that reverse others are omitted: they pay nobody.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn payouts_since(
        &self,
        account: &ConnectedAccount,
        created_gte_unix: i64,
    ) -> Result<Vec<Payout>, ReadError> {
        let since = created_gte_unix.to_string();
        let mut all: Vec<Payout> =
            self.list(&["payouts"], &[("created[gte]", &since)], Some(account)).await?;
        let reversing = |one: &Payout| Some((one.id.clone(), payout::has_fetched(one)));
        let fetching = all.iter().filter(|one| one.original_payout.is_some());
        let fetched: HashMap<String, bool> = fetching.filter_map(reversing).collect();
        for one in all.iter_mut().filter(|one| one.reversed_by.is_some()) {
            let by = one.reversed_by.clone().unwrap_or_default();
            one.fetched_back = match fetched.get(&by) {
                Some(fetched) => *fetched,
                None => {
                    let by: Payout = self.get(&["payouts", &by], &[], Some(account)).await?;
                    payout::has_fetched(&by)
                }
            };
        }
        all.retain(|one| one.original_payout.is_none());
        Ok(all)
    }

    /// An account's `payout.created` events since a Unix second. Their idempotency key proves which payout is ours.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn payout_created_events(
        &self,
        account: &ConnectedAccount,
        since_unix: i64,
    ) -> Result<Vec<Event>, ReadError> {
        self.events_since(Some(account), &["payout.created"], since_unix).await
    }

    /// Events of at most 20 types since a Unix second, for finding lost deliveries (Stripe keeps 30 days). Without an
    /// account, the platform's own events.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn events_since(
        &self,
        account: Option<&ConnectedAccount>,
        types: &[&str],
        since_unix: i64,
    ) -> Result<Vec<Event>, ReadError> {
        let since = since_unix.to_string();
        let names: Vec<String> = (0..types.len()).map(|at| format!("types[{at}]")).collect();
        let mut query: Vec<(&str, &str)> =
            names.iter().map(String::as_str).zip(types.iter().copied()).collect();
        query.push(("created[gte]", &since));
        let found: Vec<EventBody> = self.list(&["events"], &query, account).await?;
        Ok(found.into_iter().map(EventBody::event).collect())
    }

    /// Reads the state of a connected account.
    ///
    /// # Errors
    /// [`ReadError`]; `Missing` or `Refused` for an account that is not connected to this platform.
    pub async fn account(&self, id: &ConnectedAccount) -> Result<ConnectedAccountState, ReadError> {
        let mut body: AccountBody = self.get(&["accounts", id.as_str()], &[], None).await?;
        let external = match body.external_accounts.take() {
            Some(some) if some.has_more => {
                self.list(&["accounts", id.as_str(), "external_accounts"], &[], None).await?
            }
            Some(all) => all.data,
            None => Vec::new(),
        };
        Ok(body.state(&external))
    }

    /// Sets an account to the manual payout schedule, so that Stripe never pays out a transfer by itself.
    ///
    /// # Errors
    /// [`ReadError`]; `Unreadable` if Stripe accepts but does not report `manual`.
    pub async fn set_manual_schedule(&self, account: &ConnectedAccount) -> Result<(), ReadError> {
        let body = form(&[("payments[payouts][schedule][interval]", "manual")]);
        let answer: serde_json::Value = self.post(&["balance_settings"], body, Some(account), None).await?;
        match answer.pointer("/payments/payouts/schedule/interval").and_then(serde_json::Value::as_str) {
            Some("manual") => Ok(()),
            other => Err(ReadError::Unreadable(format!("the payout schedule of {account} is {other:?}"))),
        }
    }

    /// The balance of the platform, or of a connected account.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn balance(&self, account: Option<&ConnectedAccount>) -> Result<Balance, ReadError> {
        self.get::<BalanceBody>(&["balance"], &[], account).await.map(Balance::from)
    }

    /// The balance transactions an automatic payout covers.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn balance_transactions_of_payout(
        &self,
        account: &ConnectedAccount,
        payout: &str,
    ) -> Result<Vec<BalanceTransaction>, ReadError> {
        self.list(&["balance_transactions"], &[("payout", payout)], Some(account)).await
    }

    /// A page of the platform's balance transactions from a Unix second on, newest first, at most `most` (1 to 100);
    /// optionally before another Unix second, and after the `next` of an earlier page.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn movements(
        &self,
        from_unix: i64,
        before_unix: Option<i64>,
        after: Option<&str>,
        most: usize,
    ) -> Result<MovementPage, ReadError> {
        let (from, before) = (from_unix.to_string(), before_unix.map(|at| at.to_string()));
        let most = most.clamp(1, 100).to_string();
        let mut query = vec![("created[gte]", from.as_str()), ("limit", &most), ("expand[0]", "data.source")];
        query.extend(before.as_deref().map(|before| ("created[lt]", before)));
        query.extend(after.map(|after| ("starting_after", after)));
        self.get::<MovementsBody>(&["balance_transactions"], &query, None).await?.page()
    }

    /// Creates a connected account for a partner.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn create_account(&self, new: &NewAccount<'_>) -> Result<ConnectedAccount, ReadError> {
        let body: Named = self.post(&["accounts"], new.form(), None, Some(new.key)).await?;
        ConnectedAccount::parse(&body.id)
            .ok_or_else(|| ReadError::Unreadable(format!("{:?} is not the id of an account", body.id)))
    }

    /// The connected accounts created at or after this Unix second for this payee, newest first: the look-up after a
    /// lost answer to [`Stripe::create_account`]. The payee is in metadata only the platform can write.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn accounts_made_for(
        &self,
        payee: &str,
        created_gte_unix: i64,
    ) -> Result<Vec<ConnectedAccount>, ReadError> {
        let since = created_gte_unix.to_string();
        let made: Vec<AccountMade> = self.list(&["accounts"], &[("created[gte]", &since)], None).await?;
        let theirs = made.into_iter().filter(|one| one.metadata.get("payee").is_some_and(|of| of == payee));
        Ok(theirs.filter_map(|one| ConnectedAccount::parse(&one.id)).collect())
    }

    /// The account the key belongs to: the platform's own, and whether it moves real money.
    ///
    /// # Errors
    /// [`ReadError`]; `Unreadable` if Stripe does not return an account id.
    pub async fn identity(&self) -> Result<Identity, ReadError> {
        let named: Named = self.get(&["account"], &[], None).await?;
        let Some(account) = ConnectedAccount::parse(&named.id) else {
            return Err(ReadError::Unreadable(format!("{:?} is not the id of an account", named.id)));
        };
        let mode: Mode = self.get(&["balance"], &[], None).await?;
        Ok(Identity { account: account.as_str().to_owned(), live: mode.livemode })
    }

    /// The two-letter country code of the platform's own account, in capitals. Accounts in other countries need the
    /// recipient agreement.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn platform_country(&self) -> Result<Option<String>, ReadError> {
        let mut body: AccountBody = self.get(&["account"], &[], None).await?;
        body.external_accounts = None;
        Ok(body.state(&[]).country)
    }

    /// Creates a new link to Stripe's hosted onboarding.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn account_link(
        &self,
        account: &ConnectedAccount,
        refresh_url: &str,
        return_url: &str,
    ) -> Result<AccountLink, ReadError> {
        let body = form(&[
            ("account", account.as_str()),
            ("type", "account_onboarding"),
            ("refresh_url", refresh_url),
            ("return_url", return_url),
        ]);
        self.post(&["account_links"], body, None, None).await
    }

    /// All webhook endpoints of the platform.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn webhook_endpoints(&self) -> Result<Vec<WebhookEndpoint>, ReadError> {
        self.list(&["webhook_endpoints"], &[], None).await
    }

    /// Registers an endpoint for connected accounts' events (`connect`) or the platform's own, and marks it in its
    /// metadata.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn create_webhook_endpoint(
        &self,
        url: &str,
        connect: bool,
        events: &[&str],
    ) -> Result<NewWebhookEndpoint, ReadError> {
        let (flag, mark) = if connect { ("true", "connect") } else { ("false", "platform") };
        let head = [
            ("url", url),
            ("connect", flag),
            ("api_version", VERSION),
            ("description", "Bursar payouts"),
            ("metadata[bursar]", mark),
        ];
        self.post(&["webhook_endpoints"], with_events(&head, events), None, None).await
    }

    /// Changes an endpoint's URL and event types, and enables it.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn update_webhook_endpoint(
        &self,
        id: &str,
        url: &str,
        events: &[&str],
    ) -> Result<WebhookEndpoint, ReadError> {
        let body = with_events(&[("url", url), ("disabled", "false")], events);
        self.post(&["webhook_endpoints", id], body, None, None).await
    }

    /// Deletes an endpoint.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn delete_webhook_endpoint(&self, id: &str) -> Result<(), ReadError> {
        let url = self.url(&["webhook_endpoints", id], &[]);
        let _: serde::de::IgnoredAny =
            self.ask(self.request(Method::DELETE, url, None, None, Vec::new())).await?;
        Ok(())
    }

    fn prepare(&self, request: &MoneyRequest, kind: MoneyKind) -> Result<(Request, Expect), BadRequest> {
        if request.kind() != kind {
            return Err(BadRequest(format!("{request:?} is not a {}", kind.as_str())));
        }
        Ok((self.money(request)?, Expect::of(request)?))
    }

    /// The complete request as it is sent.
    ///
    /// # Errors
    /// None in practice: the parts of a [`MoneyRequest`] were checked when it was built.
    pub fn money(&self, request: &MoneyRequest) -> Result<Request, BadRequest> {
        let mut url = self.base.clone();
        url.set_path(request.path());
        let body = request.body().to_vec();
        self.request(Method::POST, url, request.account(), Some(request.key()), body)
    }

    async fn get<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
        account: Option<&ConnectedAccount>,
    ) -> Result<T, ReadError> {
        let account = account.map(ConnectedAccount::as_str);
        self.ask(self.request(Method::GET, self.url(path, query), account, None, Vec::new())).await
    }

    async fn list<T: DeserializeOwned + Listed>(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
        account: Option<&ConnectedAccount>,
    ) -> Result<Vec<T>, ReadError> {
        let mut all: Vec<T> = Vec::new();
        for _ in 0..MAX_PAGES {
            let last = all.last().map(|object| object.id().to_owned());
            let mut query = query.to_vec();
            query.push(("limit", "100"));
            if let Some(last) = &last {
                query.push(("starting_after", last));
            }
            let page: Page<T> = self.get(path, &query, account).await?;
            if !page.has_more || ::payout::planted::on("first_page_only") {
                all.extend(page.data);
                return Ok(all);
            }
            if page.data.is_empty() {
                break;
            }
            all.extend(page.data);
        }
        Err(ReadError::Unreadable(format!("/v1/{} has no end", path.join("/"))))
    }

    async fn post<T: DeserializeOwned>(
        &self,
        path: &[&str],
        body: Vec<u8>,
        account: Option<&ConnectedAccount>,
        key: Option<&str>,
    ) -> Result<T, ReadError> {
        let account = account.map(ConnectedAccount::as_str);
        self.ask(self.request(Method::POST, self.url(path, &[]), account, key, body)).await
    }

    async fn ask<T: DeserializeOwned>(&self, request: Result<Request, BadRequest>) -> Result<T, ReadError> {
        classify::stripe_read(&self.http.send(request?).await)
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

    fn request(
        &self,
        method: Method,
        url: Url,
        account: Option<&str>,
        key: Option<&str>,
        body: Vec<u8>,
    ) -> Result<Request, BadRequest> {
        let mut headers = vec![
            (HeaderName::from_static("authorization"), self.authorization.clone()),
            (HeaderName::from_static("stripe-version"), HeaderValue::from_static(VERSION)),
        ];
        if !body.is_empty() {
            let form = HeaderValue::from_static("application/x-www-form-urlencoded");
            headers.push((HeaderName::from_static("content-type"), form));
        }
        for (name, value) in [("stripe-account", account), ("idempotency-key", key)] {
            if let Some(value) = value {
                let value = HeaderValue::from_str(value)
                    .map_err(|_| BadRequest(format!("{value:?} cannot be sent as {name}")))?;
                headers.push((HeaderName::from_static(name), value));
            }
        }
        Ok(Request { method, url, headers, body })
    }
}

#[derive(Deserialize)]
struct Named {
    id: String,
}

/// Arrays are sent with indexes, as Stripe's own libraries do.
fn with_events(head: &[(&str, &str)], events: &[&str]) -> Vec<u8> {
    let names: Vec<String> = (0..events.len()).map(|at| format!("enabled_events[{at}]")).collect();
    let listed = names.iter().map(String::as_str).zip(events.iter().copied());
    let fields: Vec<(&str, &str)> = head.iter().copied().chain(listed).collect();
    form(&fields)
}
