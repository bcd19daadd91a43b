//! An in-process replacement for the network: the program's vendor requests go to the simulator, and vendors'
//! deliveries go to the program's routes. Not here: their answers.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Body;
use axum::http::Request as Post;
use simulator::{Delivery, InProcessRequest, Simulator};
use tower::ServiceExt as _;
use vendors::http::{Answer, HeaderMap, HeaderName, HeaderValue, Http, Received, Request};

use crate::turns;

pub const VENDORS: &str = "http://vendors.test";
pub const OURS: &str = "http://bursar.test";

/// The connection in both directions.
pub struct Wire {
    simulator: Simulator,
    /// The router that receives early deliveries before a request is answered.
    router: Mutex<Option<Router>>,
}

impl Wire {
    /// A connection to these vendors.
    pub fn new(simulator: Simulator) -> Self {
        Self { simulator, router: Mutex::default() }
    }

    /// The same as an HTTP client.
    pub fn http(self: &Arc<Self>) -> Http {
        let wire: Arc<dyn vendors::http::Wire> = Arc::<Self>::clone(self);
        Http::over(wire)
    }

    /// Sets the router that the vendors deliver to.
    pub fn deliver_to(&self, router: Router) {
        *self.router.lock().unwrap_or_else(PoisonError::into_inner) = Some(router);
    }

    async fn ask(&self, request: Request) -> Answer {
        let mut headers: HeaderMap = request.headers.into_iter().collect();
        if let Some(host) = VENDORS.strip_prefix("http://") {
            headers.insert("host", HeaderValue::from_static(host));
        }
        let told = self.simulator.carry(InProcessRequest {
            method: request.method.as_str().to_owned(),
            path: request.url.path().to_owned(),
            query: request.url.query().unwrap_or_default().to_owned(),
            headers,
            body: request.body,
        });
        let router = self.router.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(router) = router {
            for delivery in told.early {
                // Possibly to another process, so it must not share the caller's fate.
                let (id, router) = (delivery.id, router.clone());
                let posted = tokio::spawn(async move { post(router, OURS, &delivery).await });
                self.simulator.delivered(id, posted.await.unwrap_or(0), self.simulator.time());
            }
        }
        if !told.whole {
            return Answer::Lost("the connection was closed before the whole answer was there".to_owned());
        }
        let read = |(name, value): (&'static str, String)| {
            Some((HeaderName::from_static(name), HeaderValue::from_str(&value).ok()?))
        };
        let headers = told.headers.into_iter().filter_map(read).collect();
        Answer::Got(Received { status: told.status, headers, body: told.body })
    }
}

impl vendors::http::Wire for Wire {
    fn carry(&self, request: Request) -> Pin<Box<dyn Future<Output = Answer> + Send + '_>> {
        Box::pin(async move {
            turns::point().await;
            let answer = self.ask(request).await;
            turns::point().await;
            answer
        })
    }
}

/// Posts a delivery to its route; returns the status.
pub async fn post(router: Router, base: &str, delivery: &Delivery) -> u16 {
    let path = delivery.url.strip_prefix(base).unwrap_or(&delivery.url);
    let mut request = Post::post(path);
    for (name, value) in &delivery.headers {
        request = request.header(name, value);
    }
    let request = request.body(Body::from(delivery.body.clone())).unwrap();
    router.oneshot(request).await.unwrap().status().as_u16()
}
