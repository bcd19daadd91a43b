//! The faces: one route table, in which every route names who may call it, and the doors before it.
//!
//! A request passes [`gate`] (who is it, request id, headers, words for faults), then its own route's [`enter`] (may they,
//! the form's word, the one-time key), then its handler, which awaits one verb. What is deliberately not here: rules and
//! SQL.

pub mod api;
pub mod client;
pub mod exported;
pub mod fault;
pub mod form;
mod headers;
pub mod health;
pub mod openapi;
pub mod pages;
mod provider;
pub mod session;
pub mod strict;
pub mod tries;
mod upload;
pub mod webhooks;

use std::ops::Deref;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{FromRef, MatchedPath, Request, State};
use axum::handler::Handler;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::MethodRouter;
use jiff::tz::TimeZone;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use tower_http::catch_panic::CatchPanicLayer;

use payout::access::{Permission, Role, allows};
use payout::eligibility::{Blocker, Code};
use payout::scope::{Scope, Scopes};
use tracing::Instrument as _;

use crate::app::{Actor, App};
use crate::ops::idempotency::{self, Begun, Mark, RENEWED_EACH, Reply};
use crate::ops::people::{self, Session};
use crate::ops::settings;
use crate::turns::{Busy, Turns};
use crate::work::Work;
use fault::{Fault, Scene};
use form::Posted;
use pages::proof;
use strict::{BodyLimit, Tree};
use tries::Tries;

/// What handlers share. Most take `State<App>`. Cheap to clone: every layer of every request does.
#[derive(Clone)]
pub struct Web(Arc<Shared>);

/// What [`Web`] derefs to.
pub struct Shared {
    /// The program.
    pub app: App,
    /// The vendors' clients, for look-ups beside a verb.
    pub work: Work,
    /// The way to the writer of events.
    pub intake: webhooks::Intake,
    /// What slows down guessing of passwords.
    pub tries: Tries,
    /// Whose turn it is to do what is heavy.
    pub heavy: Arc<Turns>,
    /// The description of the API, made once from the route table.
    pub description: Arc<str>,
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
pub enum Need {
    /// Anybody.
    Open,
    /// Anybody who has signed in or sent a key.
    Login,
    /// Whoever has the permission.
    May(Permission),
    /// Whoever has one of the permissions.
    MayAny(&'static [Permission]),
    /// Whoever has the permission, and partners for what is their own: the handler shows them nothing else.
    MayOrOwn(Permission),
}

impl Need {
    /// Whether a role may call.
    #[must_use]
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
    /// The whole path, as axum writes it.
    pub path: &'static str,
    /// Who may call it.
    pub need: Need,
    /// The most bytes of its body.
    pub body_limit: usize,
    /// Its form may come with a file.
    pub takes_file: bool,
    /// How the API's description tells it; pages are not described.
    pub told: openapi::Told,
    /// It takes much memory or time, so only so many run at once.
    pub heavy: bool,
    /// What it does in a few words, where whoever does it must have proved just now who they are.
    pub proved: Option<&'static str>,
    scope: Option<Scope>,
    handler: MethodRouter<Web>,
}

macro_rules! verbs {
    ($($name:ident = $method:ident),+) => {$(
        /// A row of the route table for this method.
        pub fn $name<H: Handler<T, Web>, T: 'static>(path: &'static str, need: Need, handler: H) -> Route {
            let handler = axum::routing::$name(handler);
            let told = openapi::Told::default();
            let (method, body_limit) = (Method::$method, usual_limit(path, need));
            Route { method, path, need, body_limit, takes_file: false, told, heavy: false, proved: None, scope: None, handler }
        }
    )+};
}

/// How large a body is where the route does not say: forms are small, and smallest where nobody has signed in.
fn usual_limit(path: &str, need: Need) -> usize {
    match (is_page(path), need == Need::Open) {
        (false, _) => strict::BODY_LIMIT,
        (true, false) => strict::FORM_LIMIT,
        (true, true) => strict::OPEN_FORM_LIMIT,
    }
}

verbs!(get = GET, post = POST, put = PUT, patch = PATCH, delete = DELETE);

impl Route {
    /// The same, taking larger bodies.
    #[must_use]
    pub fn up_to(mut self, bytes: usize) -> Self {
        self.body_limit = bytes;
        self
    }

    /// The same, taking a form that comes with a file.
    #[must_use]
    pub fn with_file(mut self) -> Self {
        self.takes_file = true;
        self
    }

    /// The same, for what takes much memory or time: a large file in or out.
    #[must_use]
    pub fn heavy(mut self) -> Self {
        self.heavy = true;
        self
    }

    /// The same, for a form that moves money, says where it goes or lets somebody in: it asks for the password again when the
    /// last proof is no longer fresh.
    /// `deed` says what it does, like *Pay this payout*. An API key has no password and needs no step-up.
    #[must_use]
    pub fn proved(mut self, deed: &'static str) -> Self {
        self.proved = Some(deed);
        self
    }
}

impl Route {
    /// The same, where an API key needs another scope than the usual one of its permission.
    #[must_use]
    pub fn opened_by(mut self, scope: Scope) -> Self {
        self.scope = Some(scope);
        self
    }

    /// The narrowest scope with which an API key may call it: what reads asks for `read`, what changes something for the scope
    /// of its permission, so that a new route cannot be without one. `write` opens all of those.
    #[must_use]
    pub fn scope(&self) -> Scope {
        if self.method == Method::GET {
            return Scope::Read;
        }
        self.scope.unwrap_or_else(|| match self.need {
            Need::May(permission) | Need::MayOrOwn(permission) => Scope::of(permission),
            Need::Open | Need::Login | Need::MayAny(_) => Scope::Write,
        })
    }
}

/// Every route there is. Signing in, pages, the API, vendors' webhooks, health.
#[must_use]
pub fn table() -> Vec<Route> {
    let mut routes = session::routes();
    routes.extend(provider::routes());
    routes.extend(pages::routes());
    routes.extend(api::routes());
    routes.extend(webhooks::routes());
    routes.extend(health::routes());
    routes
}

/// The whole of the web: what `serve` listens with and tests drive.
pub fn router(work: Work) -> Router {
    router_of(work, table(), openapi::docs())
}

/// The vendors' doors alone: what a simulation makes anew a hundred times a second.
pub fn webhook_router(work: Work) -> Router {
    router_of(work, webhooks::routes(), Router::new())
}

fn router_of(work: Work, routes: Vec<Route>, docs: Router<Web>) -> Router {
    let app = work.app.clone();
    let intake = match work.in_turn() {
        true => webhooks::Intake::in_turn(app.clone()),
        false => webhooks::Intake::start(app.clone()),
    };
    let description = openapi::describe(&routes, &app.base_url).into();
    let web = Web(Arc::new(Shared {
        app,
        work,
        intake,
        tries: Tries::default(),
        heavy: Arc::new(Turns::new(HEAVY_AT_ONCE, HEAVY_WAITING)),
        description,
    }));
    let mut router = Router::new();
    for route in routes {
        let (need, scope, body_limit) = (route.need, route.scope(), route.body_limit);
        let (takes_file, heavy, proved) = (route.takes_file, route.heavy, route.proved);
        let door = Door { web: web.clone(), need, scope, body_limit, takes_file, heavy, proved };
        router = router.route(route.path, route.handler.route_layer(from_fn_with_state(door, enter)));
    }
    router
        .merge(docs)
        .fallback(async || Fault::missing())
        .with_state(web.clone())
        .layer(CatchPanicLayer::new())
        .layer(from_fn_with_state(web, gate))
}

/// Every request comes through here first and every answer last.
async fn gate(State(web): State<Web>, mut request: Request, next: Next) -> Response {
    let app = &web.app;
    let began = app.clock.now();
    let path = request.uri().path().to_owned();
    let scene = Scene {
        json: !is_page(&path),
        instance: path.clone(),
        request_id: format!("req_{}", payout::ids::encode(payout::ids::fresh(began, app.clock.chance()))),
        base_url: app.base_url.clone(),
    };
    request.extensions_mut().insert(scene.clone());
    // The template of the path, never the path: a one-time login link is a secret.
    let route = request.extensions().get::<MatchedPath>().map_or("(none)", MatchedPath::as_str).to_owned();
    let method = method_name(request.method());
    headers::open_cookies(app, request.headers_mut());
    let known = match method {
        OTHER_METHOD => Err(not_implemented()),
        _ => identify(app, &path, &mut request).await,
    };
    let session = request.extensions().get::<Session>().cloned();
    let response = match known {
        // No name holds NUL, and PostgreSQL does not take it.
        Ok(()) if path.contains("%00") => Fault::missing().into_response(),
        Ok(()) => {
            let zone = zone_of(&request);
            // What is logged of a failure names the request that people are shown.
            let span = tracing::info_span!("request", id = scene.request_id);
            pages::in_zone(zone, began, next.run(request)).instrument(span).await
        }
        Err(fault) => fault.into_response(),
    };
    let mut response = fault::render(response, &scene);
    if let Some(token) = session.as_ref().and_then(Session::renewed) {
        session::renew(&mut response, token);
    }
    headers::close_cookies(app, response.headers_mut());
    headers::add(app, response.headers_mut(), &path, &scene.request_id);
    let (status, took_us) = (response.status().as_u16(), app.clock.now() - began);
    tracing::info!(method, route, status, took_us, request_id = scene.request_id, "answered");
    health::count(method, &route, status, took_us);
    response
}

/// What counts and logs call every method that no route has: anybody can make one up, of any length.
const OTHER_METHOD: &str = "other";

/// A method by its name, from a closed list.
fn method_name(method: &Method) -> &'static str {
    const ANSWERED: [Method; 6] =
        [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
    const NAMES: [&str; 6] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];
    let found = ANSWERED.iter().zip(NAMES).find(|(known, _)| *known == method);
    found.map_or(OTHER_METHOD, |(_, name)| name)
}

fn not_implemented() -> Fault {
    let told = "Bursar answers to GET, HEAD, POST, PUT, PATCH and DELETE only. Nothing was done.";
    Fault::new(StatusCode::NOT_IMPLEMENTED, "method_not_implemented", told)
}

/// The zone that whoever is signed in reads times in.
fn zone_of(request: &Request) -> TimeZone {
    let chosen =
        request.extensions().get::<Session>().and_then(|session| session.preferences.zone.as_deref());
    chosen.and_then(|name| TimeZone::get(name).ok()).unwrap_or(TimeZone::UTC)
}

/// Pages are for people; everything else is for programs.
fn is_page(path: &str) -> bool {
    let first = path.split('/').nth(1).unwrap_or("");
    !matches!(first, "api" | "webhooks" | "healthz" | "readyz" | "metrics")
}

/// The API asks for a key before anything else, known address or not, so that nobody can tell them apart from outside.
async fn identify(app: &App, path: &str, request: &mut Request) -> Result<(), Fault> {
    let below_api = path == "/api/v1" || path.starts_with("/api/v1/");
    if below_api && path != "/api/v1/openapi.json" && path != "/api/v1/docs" {
        let address = client::certain(request, &app.config.trusted_proxies);
        let (mut actor, scopes) = session::by_api_key(app, request.headers(), address).await?;
        let from = session::came_from(request, &app.config.trusted_proxies);
        actor.came_from = format!("API key {} at {from}", actor.name);
        request.extensions_mut().insert(actor);
        request.extensions_mut().insert(scopes);
        return Ok(());
    }
    if !is_page(path) {
        return Ok(());
    }
    let from = client::address(request, &app.config.trusted_proxies);
    let from = from.map(|from| from.to_string()).unwrap_or_default();
    // A page that is left open asks for its events by itself: nobody is there for that.
    let streams = path != "/events" && path.ends_with("/events");
    let person = (!streams).then_some(from.as_str());
    let found = session::by_cookie(app, request.headers(), person).await?;
    request.extensions_mut().insert(session::Address(from));
    if let Some(mut session) = found {
        session.actor.came_from = session::came_from(request, &app.config.trusted_proxies);
        request.extensions_mut().insert(session.actor.clone());
        request.extensions_mut().insert(session);
    }
    Ok(())
}

/// What stands before a route's handler.
#[derive(Clone)]
struct Door {
    web: Web,
    need: Need,
    scope: Scope,
    body_limit: usize,
    takes_file: bool,
    heavy: bool,
    proved: Option<&'static str>,
}

/// The network that whoever has not signed in comes from; an extension of the forms anybody may send.
#[derive(Clone, Copy, Debug)]
pub struct ComesFrom(pub Option<client::Network>);

/// How many heavy requests run at once, and how many may wait.
const HEAVY_AT_ONCE: usize = 4;
const HEAVY_WAITING: usize = 16;

/// What is asked for by POST is done in a task of its own: whoever asked may hang up and ask again with the same key, and
/// finds what the first time led to instead of cutting it off.
async fn enter(State(door): State<Door>, request: Request, next: Next) -> Response {
    // In a simulation one thing follows another, and whoever asks is cut off only where their process dies.
    if request.method() != Method::POST || door.web.work.in_turn() {
        return pass(door, request, next).await;
    }
    match tokio::spawn(pass(door, request, next).in_current_span()).await {
        Ok(answer) => answer,
        Err(broken) => Fault::internal(&broken).into_response(),
    }
}

async fn pass(door: Door, request: Request, next: Next) -> Response {
    // Only whoever may come in at all waits for a turn, and before what they send is read.
    let _turn = if door.heavy && request.extensions().get::<Actor>().is_some() {
        match door.web.heavy.take().await {
            Ok(turn) => Some(turn),
            Err(Busy) => {
                let told = "Others read or write large files at this moment, so this was not begun. Try again in a minute.";
                let busy = Fault::new(StatusCode::SERVICE_UNAVAILABLE, "over_capacity", told);
                return busy.retry_after(30).into_response();
            }
        }
    } else {
        None
    };
    match admit(&door, request).await {
        Ok((request, None)) => next.run(request).await,
        Ok((request, Some(mark))) => {
            let scene = request.extensions().get::<Scene>().cloned();
            let app = &door.web.app;
            let answer = idempotency::running(app, &mark, RENEWED_EACH, next.run(request)).await;
            settle(app, &mark, scene.as_ref(), answer).await
        }
        Err(instead) => *instead,
    }
}

/// May they, and have they said so? Answers what to say instead when not.
async fn admit(door: &Door, mut request: Request) -> Result<(Request, Option<Mark>), Box<Response>> {
    let refuse = |fault: Fault| Box::new(fault.into_response());
    let page = is_page(request.uri().path());
    let actor = request.extensions().get::<Actor>().cloned();
    if door.need != Need::Open {
        let Some(actor) = &actor else { return Err(Box::new(sign_in_first(&request, page))) };
        permit(door, actor, &request).map_err(refuse)?;
        if let Some(session) = request.extensions().get::<Session>().filter(|_| page)
            && !pages::factor::is_on_the_way(request.uri().path())
            && people::factor::must_set_up(&door.web.app, session)
                .await
                .map_err(|error| refuse(error.into()))?
        {
            return Err(Box::new(pages::factor::set_it_up()));
        }
    }
    if page {
        let path = request.uri().path().to_owned();
        payouts_are_on(&door.web.app, &path).await.map_err(refuse)?;
    }
    request.extensions_mut().insert(BodyLimit(door.body_limit));
    if request.method() != Method::POST {
        return Ok((request, None));
    }
    if page && door.need == Need::Open {
        // Before a byte of what a stranger sends is read.
        let from = ComesFrom(client::network(&request, &door.web.app.config.trusted_proxies));
        let (tries, now) = (&door.web.tries, door.web.app.clock.now());
        tries.knock(from.0, now).map_err(|wait| refuse(Fault::slow_down(wait)))?;
        request.extensions_mut().insert(from);
    }
    let (request, key) = match (page, door.proved) {
        (true, Some(deed)) => {
            let (request, sent) = proof::take(request).await.map_err(refuse)?;
            let (request, key) = open_form(request, door).await.map_err(refuse)?;
            let asked = proof::Asked::of(&request, deed);
            proof::ask(&door.web, &asked, sent).await?;
            (request, key)
        }
        (true, None) => open_form(request, door).await.map_err(refuse)?,
        (false, _) => match request.headers().get("idempotency-key").cloned() {
            Some(key) => {
                let key = readable_key(&key).map_err(refuse)?;
                let (request, bytes) = buffered(request).await.map_err(refuse)?;
                let hash = request_hash(&request, &bytes);
                (request, Some((key, hash)))
            }
            None => (request, None),
        },
    };
    let (Some((key, hash)), Some(actor)) = (key, actor) else { return Ok((request, None)) };
    take_key(&door.web.app, request, &actor, &key, &hash).await
}

/// The pages that are there only while payouts are switched on. The API stays: whoever follows a payment that is under
/// way must not lose sight of it.
const OF_PAYOUTS: [&str; 3] = ["/claims", "/transactions", "/dashboard"];

async fn payouts_are_on(app: &App, path: &str) -> Result<(), Fault> {
    let below =
        |root: &str| path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    if !OF_PAYOUTS.iter().any(|root| below(root)) {
        return Ok(());
    }
    if settings::load(&mut app.store.read().await?).await?.enabled {
        return Ok(());
    }
    let code = Code::ModuleDisabled;
    let told = format!("{} {}", code.message(), code.remedy());
    Err(Fault::new(StatusCode::NOT_FOUND, code.as_str(), told))
}

fn sign_in_first(request: &Request, page: bool) -> Response {
    if !page {
        return session::unauthenticated().into_response();
    }
    let wanted = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let wanted = if request.method() == Method::GET { wanted } else { "/" };
    let portal = session::is_portal(request.uri().path());
    let wanted = if portal && wanted == "/" { "/portal" } else { wanted };
    let next: String = url::form_urlencoded::byte_serialize(wanted.as_bytes()).collect();
    let page = if portal { session::PORTAL_LOGIN } else { "/login" };
    Redirect::to(&format!("{page}?next={next}")).into_response()
}

/// Role and scopes. A partner is told of a single thing that is not for them as if it did not exist.
fn permit(door: &Door, actor: &Actor, request: &Request) -> Result<(), Fault> {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    if !door.need.admits(actor.role) {
        let partner = matches!(actor.role, Role::Partner | Role::PartnerAdmin);
        let template = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
        return Err(if partner && reads && template.contains('{') {
            Fault::missing()
        } else {
            forbidden(actor)
        });
    }
    match request.extensions().get::<Scopes>() {
        Some(scopes) if scopes.open(door.scope) => Ok(()),
        Some(_) => Err(out_of_scope(door.scope, actor)),
        None if reads || actor.may_write => Ok(()),
        None => Err(forbidden(actor)),
    }
}

fn out_of_scope(scope: Scope, actor: &Actor) -> Fault {
    let needed = match scope {
        Scope::Read | Scope::Write => format!("the scope {}", scope.as_str()),
        Scope::RewardsWrite
        | Scope::PayeesWrite
        | Scope::BatchesPrepare
        | Scope::Pay
        | Scope::Release
        | Scope::Settings => format!("the scope {} or write", scope.as_str()),
    };
    let told =
        format!("For this an API key needs {needed}, which this one does not have. Ask an administrator.");
    Fault::new(StatusCode::FORBIDDEN, "permission_denied", told)
        .blocked_by(vec![Blocker::new(Code::PermissionDenied, actor.id)])
}

fn forbidden(actor: &Actor) -> Fault {
    tracing::warn!(actor = %actor.id, from = actor.came_from, "somebody asked for what their role does not allow");
    Fault::forbidden().blocked_by(vec![Blocker::new(Code::PermissionDenied, actor.id)])
}

async fn buffered(request: Request) -> Result<(Request, Bytes), Fault> {
    let (parts, body) = request.into_parts();
    let bytes = strict::body(Request::from_parts(parts.clone(), body)).await?;
    Ok((Request::from_parts(parts, Body::from(bytes.clone())), bytes))
}

/// A page's form: its session's word must be in it. Its one-time key is taken out with it.
async fn open_form(mut request: Request, door: &Door) -> Result<(Request, Option<(String, String)>), Fault> {
    let kind = strict::content_type(request.headers());
    let with_file = door.takes_file && kind == upload::KIND;
    if kind != "application/x-www-form-urlencoded" && !kind.is_empty() && !with_file {
        let told = "Send this as a form.";
        return Err(Fault::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", told));
    }
    // What anybody may post, signing in, acts for no session and so needs no word of one.
    let session = request.extensions().get::<Session>().filter(|_| door.need != Need::Open).cloned();
    if headers::from_elsewhere(&door.web.app, request.headers()) {
        return Err(from_elsewhere(&door.web.app.base_url));
    }
    let known = |word: &str| {
        let ours = |session: &Session| session.csrf.as_bytes().ct_eq(word.as_bytes()).into();
        session.as_ref().is_none_or(ours)
    };
    let (mut tree, hash) = if with_file {
        let sent = upload::read(&mut request, door.body_limit, known).await?;
        let hash = request_hash(&request, &sent.said);
        request.extensions_mut().insert(sent.file);
        (sent.fields, hash)
    } else {
        let (same, bytes) = buffered(request).await?;
        request = same;
        (Tree::from_pairs(&bytes).map_err(Fault::field)?, request_hash(&request, &bytes))
    };
    let word = tree.take_word("csrf").unwrap_or_default();
    let once = tree.take_word("once");
    if !known(&word) {
        return Err(form_expired());
    }
    if once.as_ref().is_some_and(|once| once.len() > MOST_KEY_BYTES) {
        let told =
            "The form's one-time key is longer than any of ours, so nothing was done. Load the page again.";
        return Err(Fault::bad_request("idempotency_key_invalid", told));
    }
    request.extensions_mut().insert(Posted(tree));
    Ok((request, once.map(|once| (format!("form:{once}"), hash))))
}

fn from_elsewhere(base_url: &str) -> Fault {
    let told = format!(
        "Your browser says that this form comes from another site, so nothing was done. Open Bursar at {base_url} and repeat it there. If you did, BURSAR_BASE_URL does not name the address people use."
    );
    Fault::new(StatusCode::FORBIDDEN, "form_from_elsewhere", told)
}

fn form_expired() -> Fault {
    let told = "This form is not from your session, so nothing was done. Go back, load the page again and repeat it.";
    Fault::new(StatusCode::FORBIDDEN, "form_expired", told)
}

/// The longest key under which a request acts once.
const MOST_KEY_BYTES: usize = 255;

fn readable_key(value: &HeaderValue) -> Result<String, Fault> {
    let fits = |key: &&str| (1..=MOST_KEY_BYTES).contains(&key.len()) && !key.starts_with("form:");
    let key = value.to_str().ok().filter(fits);
    key.map(str::to_owned).ok_or_else(|| {
        let told = "An Idempotency-Key is 1 to 255 visible ASCII characters.";
        Fault::bad_request("idempotency_key_invalid", told)
    })
}

/// What makes two requests the same: method, address with its query, and body.
fn request_hash(request: &Request, body: &[u8]) -> String {
    let address = request.uri().path_and_query().map_or("", |path| path.as_str());
    let mut hash = Sha256::new();
    hash.update(format!("{} {address}\n", request.method()));
    hash.update(body);
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn take_key(
    app: &App,
    mut request: Request,
    actor: &Actor,
    key: &str,
    hash: &str,
) -> Result<(Request, Option<Mark>), Box<Response>> {
    let refuse = |status, code: &str, told: &str| {
        Err(Box::new(Fault::new(status, code, told).retry_after(1).into_response()))
    };
    match idempotency::begin(app, &actor.id.to_string(), key, hash).await {
        Ok(Begun::First(mark)) => {
            request.extensions_mut().insert(mark.clone());
            Ok((request, Some(mark)))
        }
        Ok(Begun::Answered(reply)) => {
            let mut response = reply.into_response();
            response.headers_mut().insert("idempotent-replayed", HeaderValue::from_static("true"));
            Err(Box::new(response))
        }
        Ok(Begun::Reused) => refuse(
            StatusCode::UNPROCESSABLE_ENTITY,
            "idempotency_key_reused",
            "This Idempotency-Key was used for another request. Nothing was done; send a new key.",
        ),
        Ok(Begun::Running) => refuse(
            StatusCode::CONFLICT,
            "idempotency_key_in_use",
            "The first request with this Idempotency-Key still runs. Ask again in a moment for its answer.",
        ),
        Err(error) => Err(Box::new(Fault::from(error).into_response())),
    }
}

/// The longest refusal that is kept under a key.
const MOST_KEPT_BYTES: usize = 256 << 10;

/// On an answer that is not kept: it holds a secret, which would lie in the database, or says only what would be done.
#[derive(Clone, Copy, Debug)]
pub struct NotKept;

/// Keeps the answer under its key, unless it may be another one next time.
async fn settle(app: &App, mark: &Mark, scene: Option<&Scene>, response: Response) -> Response {
    let in_use =
        response.extensions().get::<Fault>().is_some_and(|told| told.code() == "idempotency_key_in_use");
    let not_kept = response.extensions().get::<NotKept>().is_some();
    let response = match scene {
        Some(scene) => fault::render(response, scene),
        None => response,
    };
    let status = response.status();
    let (parts, body) = response.into_parts();
    let Ok(bytes) = axum::body::to_bytes(body, usize::MAX).await else {
        return Fault::internal(&"an answer broke off").into_response();
    };
    let reply = Reply::of(&parts.headers, status, &bytes);
    // Nothing was done when it was refused, so asking again may find out again what a long answer said.
    let too_long = bytes.len() > MOST_KEPT_BYTES && status.is_client_error();
    let may_differ = status.is_server_error() || status == StatusCode::UNAUTHORIZED || in_use;
    let kept = match may_differ || not_kept || too_long {
        true => idempotency::forget(app, mark).await,
        false => idempotency::keep(app, mark, &reply).await,
    };
    if let Err(error) = kept {
        // The effect and its answer, where there was one, were committed together; only a refusal goes unrecorded.
        tracing::warn!(?error, "the answer of a refused request could not be kept");
    }
    Response::from_parts(parts, Body::from(bytes))
}

impl Reply {
    fn of(headers: &HeaderMap, status: StatusCode, body: &[u8]) -> Self {
        let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok()).unwrap_or("");
        let (content_type, body) = match text(header::LOCATION) {
            "" => (text(header::CONTENT_TYPE).to_owned(), String::from_utf8_lossy(body).into_owned()),
            location if status.is_redirection() => ("location".to_owned(), location.to_owned()),
            _ => (text(header::CONTENT_TYPE).to_owned(), String::from_utf8_lossy(body).into_owned()),
        };
        Self { status: status.as_u16(), content_type, body }
    }

    /// An answer in JSON.
    #[must_use]
    pub fn json(status: StatusCode, body: &impl serde::Serialize) -> Self {
        let body = serde_json::to_string(body).unwrap_or_default();
        Self { status: status.as_u16(), content_type: "application/json".to_owned(), body }
    }

    /// A page to go to after a form was done.
    #[must_use]
    pub fn see_other(location: impl Into<String>) -> Self {
        Self { status: 303, content_type: "location".to_owned(), body: location.into() }
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::OK);
        if self.content_type == "location" {
            return (status, [(header::LOCATION, self.body)]).into_response();
        }
        (status, [(header::CONTENT_TYPE, self.content_type)], self.body).into_response()
    }
}
