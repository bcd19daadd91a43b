//! The vendor clients, created from the encrypted credentials and re-created when those change.

use std::collections::HashMap;
use std::sync::Arc;

use payout::money::Vendor;
use tokio::sync::Mutex;
use url::Url;
use vendors::http::{Http, Method, Moment};
use vendors::paypal::PayPal;
use vendors::stripe::Stripe;

use super::skew::Skew;
use crate::app::App;
use crate::config::{PAYPAL_API, PAYPAL_SANDBOX_API, STRIPE_API};
use crate::ops::master_key;
use crate::ops::vendors::{self as connections, Credentials};
use crate::points::{self, PointSide};
use crate::store;
use crate::store::vendors::Connection;

#[derive(Clone, Debug)]
pub struct Connected<C> {
    pub client: C,
    /// The vendor account the credentials belong to, once it is known.
    pub account: Option<String>,
}

impl<C> Connected<C> {
    /// Whether this is certainly the account an object is bound to.
    pub fn is_of(&self, bound: Option<&str>) -> bool {
        if payout::planted::on("any_account") {
            return true;
        }
        bound.is_some() && self.account.as_deref() == bound
    }

    /// Whether an object may be looked up here. One bound to another account may not: this account does not have it.
    pub fn may_have(&self, bound: Option<&str>) -> bool {
        bound.is_none() || self.is_of(bound)
    }
}

#[derive(Clone)]
pub struct Clients {
    app: App,
    http: Http,
    skew: Skew,
    made: Arc<Mutex<HashMap<Vendor, (String, Made)>>>,
}

#[derive(Clone)]
pub(super) enum Made {
    Stripe(Stripe),
    PayPal(PayPal),
}

/// The base URL of a vendor's API.
///
/// # Errors
/// If the configured base is anything but scheme, host and port.
pub fn base(app: &App, vendor: Vendor, mode: &str) -> Result<Url, String> {
    let own = match vendor {
        Vendor::Stripe => STRIPE_API,
        Vendor::PayPal if mode == "live" => PAYPAL_API,
        Vendor::PayPal => PAYPAL_SANDBOX_API,
    };
    let text = app.config.api_base(vendor).unwrap_or(own);
    let url = Url::parse(text).map_err(|error| format!("{text} is not an address: {error}"))?;
    let bare = matches!(url.path(), "" | "/") && url.query().is_none() && url.has_host();
    let web = matches!(url.scheme(), "http" | "https");
    if bare && web { Ok(url) } else { Err(format!("{text} must be scheme://host:port and nothing more")) }
}

/// The error if a connection was saved against a stand-in and none is configured here: the real vendor would get
/// credentials that are not meant for it.
pub fn without_its_stand_in(app: &App, connection: &Connection) -> Option<String> {
    let vendor = connection.vendor;
    let saved = Credentials::stand_in(&app.master_key, connection)?;
    app.config.stand_in(vendor).is_none().then(|| {
        let label = vendor.label();
        let name = vendor.as_str().to_uppercase();
        format!(
            "The credentials of {label} were saved while a simulator for it ran at {saved}, and BURSAR_{name}_API_BASE is not set here. Bursar does not use them with {label} itself: set it as for `bursar serve`, or save real credentials of {label}."
        )
    })
}

/// Each vendor call is a crash point.
fn at_point(moment: Moment, method: &Method, url: &Url) {
    let side = match moment {
        Moment::Before => PointSide::Before,
        Moment::After => PointSide::After,
    };
    points::pass_call(side, method.as_str(), url.path());
}

impl Clients {
    /// Creates the clients with their own connection pool.
    ///
    /// # Errors
    /// If TLS cannot be set up.
    pub fn new(app: App) -> Result<Self, String> {
        let http = Http::new()?;
        Ok(Self::over(app, if cfg!(debug_assertions) { http.telling(Arc::new(at_point)) } else { http }))
    }

    /// Creates the clients over the given HTTP client.
    pub fn over(app: App, http: Http) -> Self {
        Self { app, http, skew: Skew::default(), made: Arc::default() }
    }

    /// How far our clock is off from the vendors' clocks.
    pub fn skew(&self) -> &Skew {
        &self.skew
    }

    /// The HTTP client, tracking this vendor's clock.
    fn watched(&self, vendor: Vendor) -> Http {
        self.http.clone().watched(self.skew.watch(&self.app.clock, vendor.as_str()))
    }

    /// The HTTP client for fetching PayPal's certificates.
    pub fn http(&self) -> &Http {
        &self.http
    }

    /// Stripe, if it is connected and its credentials can be decrypted.
    pub async fn stripe(&self) -> store::Result<Option<Connected<Stripe>>> {
        match self.get(Vendor::Stripe).await? {
            Some((Made::Stripe(client), account)) => Ok(Some(Connected { client, account })),
            Some((Made::PayPal(_), _)) | None => Ok(None),
        }
    }

    /// PayPal, if it is connected and its credentials can be decrypted.
    pub async fn paypal(&self) -> store::Result<Option<Connected<PayPal>>> {
        match self.get(Vendor::PayPal).await? {
            Some((Made::PayPal(client), account)) => Ok(Some(Connected { client, account })),
            Some((Made::Stripe(_), _)) | None => Ok(None),
        }
    }

    async fn get(&self, vendor: Vendor) -> store::Result<Option<(Made, Option<String>)>> {
        let mut db = self.app.store.read().await?;
        let all = store::vendors::all(&mut db).await?;
        drop(db);
        let Some(connection) = all.into_iter().find(|connection| connection.vendor == vendor) else {
            return Ok(None);
        };
        let client = match self.client(&connection).await {
            Ok(client) => client,
            Err(why) => {
                self.cannot_be_made(&connection, &why).await;
                return Ok(None);
            }
        };
        Ok(Some((client, connection.account)))
    }

    /// The client for a connection, or why its credentials cannot be used.
    pub(super) async fn client(&self, connection: &Connection) -> Result<Made, String> {
        let mut made = self.made.lock().await;
        if let Some((sealed, client)) = made.get(&connection.vendor)
            && *sealed == connection.sealed
        {
            return Ok(client.clone());
        }
        let client = self.make(connection)?;
        made.insert(connection.vendor, (connection.sealed.clone(), client.clone()));
        Ok(client)
    }

    /// Handles credentials that cannot be decrypted like credentials the vendor rejects: pauses the vendor and notifies
    /// somebody; nothing else stops.
    async fn cannot_be_made(&self, connection: &Connection, why: &str) {
        // A machine that lacks the new key must not pause the vendor for machines that have it.
        if !self.has_the_key().await {
            return;
        }
        let now = self.app.clock.now();
        if connection.rejected_at.is_some() && connection.retry_at.is_some_and(|at| at > now) {
            return;
        }
        if let Err(error) = connections::pause(&self.app, connection.vendor, why).await {
            tracing::error!(?error, "a vendor whose credentials do not open could not be paused");
        }
    }

    async fn has_the_key(&self) -> bool {
        let key = &self.app.master_key;
        let followed = async { master_key::follow(&mut self.app.store.read().await?, key).await };
        followed.await.is_ok() && !key.is_key_missing()
    }

    fn make(&self, connection: &Connection) -> Result<Made, String> {
        if let Some(why) = without_its_stand_in(&self.app, connection) {
            return Err(why);
        }
        let opened = Credentials::open(&self.app.master_key, connection)
            .ok_or("the vendor's credentials cannot be decrypted with this master key; save them again")?;
        match opened {
            Credentials::Stripe { secret_key, .. } => Ok(Made::Stripe(self.new_stripe(&secret_key)?)),
            Credentials::PayPal { client_id, client_secret, .. } => {
                Ok(Made::PayPal(self.new_paypal(&client_id, &client_secret, &connection.mode)?))
            }
        }
    }

    /// Creates a Stripe client for a key that is not saved yet.
    ///
    /// # Errors
    /// If the base URL or the key cannot be used.
    pub fn new_stripe(&self, secret_key: &str) -> Result<Stripe, String> {
        let base = base(&self.app, Vendor::Stripe, "")?;
        Stripe::new(self.watched(Vendor::Stripe), base, secret_key).map_err(|bad| bad.0)
    }

    /// Creates a PayPal client for credentials that are not saved yet.
    ///
    /// # Errors
    /// If the base URL or the credentials cannot be used.
    pub fn new_paypal(&self, client_id: &str, client_secret: &str, mode: &str) -> Result<PayPal, String> {
        let base = base(&self.app, Vendor::PayPal, mode)?;
        let clock = self.app.clock.clone();
        let now: Arc<dyn Fn() -> i64 + Send + Sync> = Arc::new(move || clock.now());
        PayPal::new(self.watched(Vendor::PayPal), base, client_id, client_secret, now).map_err(|bad| bad.0)
    }
}
