//! A route: its address, who may call it, and its middleware. Also the state that handlers share. Not here: the route
//! table itself (`web`), and enforcing access (`web::guard`).

use std::ops::Deref;
use std::sync::Arc;

use axum::extract::FromRef;
use axum::handler::Handler;
use axum::http::Method;
use axum::routing::MethodRouter;
use utoipa::ToSchema;
use utoipa::openapi::RefOr;
use utoipa::openapi::path::Parameter;
use utoipa::openapi::schema::{Ref, Schema};

use payout::access::{Permission, Role, allows};
use payout::scope::Scope;

use super::denied::Denials;
use super::event_writer::Intake;
use super::extract;
use super::login_limit::{Allowed, LoginLimiter, Wait};
use super::problem::Problem;
use super::refused::{Answers, Refusals};
use super::request_limit::Requests;
use crate::app::App;
use crate::ops::people::shared_limits;
use crate::store::login_buckets::Rule;
use crate::work::Work;
use crate::work_limit::WorkLimit;

/// The state that handlers share. Most take `State<App>`. Cheap to clone: every layer clones it for every request.
#[derive(Clone)]
pub struct Web(Arc<Shared>);

/// What [`Web`] derefs to.
pub struct Shared {
    /// The program.
    pub app: App,
    /// The vendors' clients, for look-ups around a verb.
    pub work: Work,
    /// The channel to the event writer.
    pub intake: Intake,
    /// Rate limits for password attempts.
    pub tries: LoginLimiter,
    /// Rate limits for authenticated requests.
    pub requests: Requests,
    /// Recent refusals, for the log.
    pub refusals: Refusals,
    /// Recent refusals, for the audit trail.
    pub denials: Denials,
    /// Recent responses, for the log.
    pub answers: Answers,
    /// The limit on concurrent expensive work.
    pub heavy: Arc<WorkLimit>,
    /// The API description, generated once from the route table.
    pub description: Arc<str>,
}

impl Web {
    /// Whether an attempt is allowed: by this process, and then by all nodes together.
    ///
    /// # Errors
    /// If the database does not answer. The inner error is how long to wait.
    pub async fn tried(&self, here: Result<Allowed, Wait>) -> Result<Result<(), Wait>, Problem> {
        let allowed = match here {
            Ok(allowed) => allowed,
            Err(wait) => return Ok(Err(wait)),
        };
        let rule = Rule { at_once: allowed.rule.at_once, then_every_us: allowed.rule.then_every_us };
        let wait = shared_limits::take(&self.app, &allowed.of, rule).await?;
        Ok(wait.map_or(Ok(()), |seconds| Err(Wait(seconds))))
    }

    /// Wraps the shared state.
    pub fn of(shared: Shared) -> Self {
        Self(Arc::new(shared))
    }
}

impl Deref for Web {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl FromRef<Web> for App {
    fn from_ref(web: &Web) -> Self {
        web.app.clone()
    }
}

impl FromRef<Web> for Work {
    fn from_ref(web: &Web) -> Self {
        web.work.clone()
    }
}

/// Who may call a route.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// Open to anyone, signed in or not.
    Open,
    /// Anyone with a session or an API key.
    Login,
    /// Anyone who has the permission.
    May(Permission),
    /// Anyone who has one of the permissions.
    MayAny(&'static [Permission]),
    /// Anyone who has the permission, and partners for their own records: the handler shows them nothing else.
    MayOrOwn(Permission),
}

impl Access {
    /// Whether a role may call the route.
    pub fn admits(self, role: Role) -> bool {
        match self {
            Self::Open | Self::Login => true,
            Self::May(permission) => allows(role, permission),
            Self::MayAny(permissions) => permissions.iter().any(|permission| allows(role, *permission)),
            Self::MayOrOwn(permission) => allows(role, permission) || allows(role, Permission::ReadOwn),
        }
    }
}

/// A row of the route table.
pub struct Route {
    /// The method.
    pub method: Method,
    /// The whole path, in axum's syntax.
    pub path: &'static str,
    /// Who may call it.
    pub access: Access,
    /// The largest body, in bytes.
    pub body_limit: usize,
    /// Whether its form may have a file.
    pub takes_file: bool,
    /// Its API description; pages have none.
    pub doc: ApiDoc,
    /// Whether it takes much memory or time, so that only a limited number run at once.
    pub heavy: bool,
    /// If it requires a step-up: what it does, in a few words.
    pub step_up: Option<&'static str>,
    scope: Option<Scope>,
    /// The handler.
    pub(in crate::web) handler: MethodRouter<Web>,
}

macro_rules! verbs {
    ($($name:ident = $method:ident),+) => {$(
        /// A route with this method.
        pub fn $name<H: Handler<T, Web>, T: 'static>(path: &'static str, access: Access, handler: H) -> Route {
            let handler = axum::routing::$name(handler);
            let doc = ApiDoc::default();
            let (method, body_limit) = (Method::$method, usual_limit(path, access));
            Route {
                method,
                path,
                access,
                body_limit,
                takes_file: false,
                doc,
                heavy: false,
                step_up: None,
                scope: None,
                handler,
            }
        }
    )+};
}

/// The default body limit: forms are small, and smallest for unauthenticated clients.
fn usual_limit(path: &str, need: Access) -> usize {
    match (is_page(path), need == Access::Open) {
        (false, _) => extract::BODY_LIMIT,
        (true, false) => extract::FORM_LIMIT,
        (true, true) => extract::OPEN_FORM_LIMIT,
    }
}

verbs!(get = GET, post = POST, put = PUT, patch = PATCH, delete = DELETE);

impl Route {
    /// Sets a larger body limit.
    pub fn up_to(mut self, bytes: usize) -> Self {
        self.body_limit = bytes;
        self
    }

    /// Accepts a form with a file.
    pub fn with_file(mut self) -> Self {
        self.takes_file = true;
        self
    }

    /// Marks a route that takes much memory or time: a large file in or out.
    pub fn heavy(mut self) -> Self {
        self.heavy = true;
        self
    }

    /// Requires a step-up: for a form that moves money, changes where it goes or grants access. Asks for the password again
    /// if the last one is no longer fresh. `action` says what the form does, like *Pay this payout*. An API key has no
    /// password and needs no step-up.
    pub fn step_up(mut self, action: &'static str) -> Self {
        self.step_up = Some(action);
        self
    }
}

impl Route {
    /// Requires another scope of API keys than the default one of its permission.
    pub fn opened_by(mut self, scope: Scope) -> Self {
        self.scope = Some(scope);
        self
    }

    /// The narrowest scope with which an API key may call it: `read` for a GET, otherwise the scope of its permission, so
    /// that a new route cannot be without one. `write` includes all of those.
    pub fn scope(&self) -> Scope {
        if self.method == Method::GET {
            return Scope::Read;
        }
        self.scope.unwrap_or_else(|| match self.access {
            Access::May(permission) | Access::MayOrOwn(permission) => Scope::of(permission),
            Access::Open | Access::Login | Access::MayAny(_) => Scope::Write,
        })
    }
}

/// Whether a path is a page for people; everything else is for programs.
pub fn is_page(path: &str) -> bool {
    let first = path.split('/').nth(1).unwrap_or("");
    !matches!(first, "api" | "webhooks" | "healthz" | "readyz" | "metrics")
}

/// A route's API description.
#[derive(Default)]
pub struct ApiDoc {
    pub(super) summary: &'static str,
    pub(super) query: Vec<Parameter>,
    pub(super) takes: Option<(&'static str, RefOr<Schema>)>,
    /// Another content type it takes instead.
    pub(super) takes_also: Option<(&'static str, RefOr<Schema>)>,
    pub(super) answers: Vec<(u16, Option<RefOr<Schema>>)>,
    pub(super) schemas: Vec<(String, RefOr<Schema>)>,
    pub(super) needs_key: bool,
    pub(super) names: Vec<(&'static str, RefOr<Schema>)>,
    pub(super) headers: Vec<Parameter>,
    pub(super) tagged: bool,
    pub(super) takes_tag: bool,
    pub(super) asks_vendor: bool,
}

impl ApiDoc {
    /// The summary, a sentence; empty if the route is not part of the API.
    pub fn summary(&self) -> &'static str {
        self.summary
    }

    pub(super) fn refer<T: ToSchema>(&mut self) -> RefOr<Schema> {
        T::schemas(&mut self.schemas);
        // Pages of different types have the same name, so inline them.
        if std::any::type_name::<T>().contains('<') {
            return T::schema();
        }
        self.schemas.push((T::name().into_owned(), T::schema()));
        Ref::from_schema_name(T::name()).into()
    }
}
