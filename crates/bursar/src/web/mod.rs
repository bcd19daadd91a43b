//! The web interface: one route table, in which every route names who may call it, and the router built from it.
//!
//! A request passes [`guard::handle`] (authentication, request id, headers, error bodies), then its route's
//! [`guard::run_route`] (authorization, CSRF token, idempotency key), then its handler, which awaits one verb. Each folder is
//! a feature, with its pages, templates and API side by side; `kit` is what they are built from. Not here: rules and SQL.

mod audit;
mod dashboard;
mod exports;
mod guard;
mod health;
mod help;
mod home;
mod imports;
pub mod kit;
mod notices;
mod payees;
mod payments;
mod payouts;
mod portal;
mod programs;
pub mod reconciliation;
mod rewards;
mod safe_mode;
mod search;
mod settings;
#[cfg(feature = "demo")]
mod styleguide;
mod users;
mod webhooks;

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use tower_http::catch_panic::CatchPanicLayer;

use crate::work::Work;
use crate::work_limit::WorkLimit;
use guard::{RouteGuard, handle, run_route};
use kit::denied::Denials;
use kit::event_writer::Intake;
use kit::login_limit::LoginLimiter;
use kit::problem::Problem;
use kit::refused::{Answers, Refusals};
use kit::request_limit::Requests;
pub use kit::route::{Access, Route};
use kit::route::{Shared, Web};
use kit::{layout, openapi};

/// Every route: signing in, pages, the API, vendors' webhooks, health.
pub fn table() -> Vec<Route> {
    [
        users::routes(),
        layout::routes(),
        home::routes(),
        help::routes(),
        portal::routes(),
        rewards::routes(),
        payouts::routes(),
        dashboard::routes(),
        payments::routes(),
        payees::routes(),
        imports::routes(),
        settings::routes(),
        notices::routes(),
        reconciliation::routes(),
        audit::routes(),
        programs::routes(),
        search::routes(),
        exports::routes(),
        safe_mode::routes(),
        #[cfg(feature = "demo")]
        styleguide::routes(),
        webhooks::routes(),
        health::routes(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The complete router: what `serve` listens with and tests drive.
pub fn router(work: Work) -> Router {
    router_of(work, table(), openapi::docs())
}

/// The webhook routes only: a simulation creates this router a hundred times a second.
pub fn webhook_router(work: Work) -> Router {
    router_of(work, webhooks::routes(), Router::new())
}

fn router_of(work: Work, routes: Vec<Route>, docs: Router<Web>) -> Router {
    let app = work.app.clone();
    let intake = match work.is_sequential() {
        true => Intake::in_turn(app.clone()),
        false => Intake::start(app.clone()),
    };
    let description = openapi::describe(&routes, &app.base_url).into();
    let requests = Requests::of(app.config.requests_per_minute);
    let web = Web::of(Shared {
        app,
        work,
        intake,
        tries: LoginLimiter::default(),
        requests,
        refusals: Refusals::default(),
        denials: Denials::default(),
        answers: Answers::default(),
        heavy: Arc::new(WorkLimit::new(HEAVY_AT_ONCE, HEAVY_WAITING)),
        description,
    });
    let mut router = Router::new();
    for route in routes {
        let (need, scope, body_limit) = (route.access, route.scope(), route.body_limit);
        let (takes_file, heavy, proved) = (route.takes_file, route.heavy, route.step_up);
        let guard = RouteGuard {
            web: web.clone(),
            access: need,
            scope,
            body_limit,
            takes_file,
            heavy,
            step_up: proved,
        };
        router = router.route(route.path, route.handler.route_layer(from_fn_with_state(guard, run_route)));
    }
    router
        .merge(docs)
        .fallback(async || Problem::missing())
        .with_state(web.clone())
        .layer(CatchPanicLayer::new())
        .layer(from_fn_with_state(web, handle))
}

/// How many heavy requests run at once, and how many may wait.
const HEAVY_AT_ONCE: usize = 4;
const HEAVY_WAITING: usize = 16;
