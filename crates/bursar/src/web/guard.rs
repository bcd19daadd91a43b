//! The middleware before and after every handler: authentication, authorization, CSRF, idempotency keys, and logging of
//! responses. Not here: what each route requires (the route table).

use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use jiff::tz::TimeZone;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use tracing::Instrument as _;

use payout::access::Role;
use payout::eligibility::{Blocker, Code};
use payout::ids::PersonId;
use payout::scope::{Scope, Scopes};

use super::{health, users};
use crate::app::{Actor, App};
use crate::ops::denials::{self, Denial};
use crate::ops::idempotency::{self, HeldKey, KeyOutcome, RENEWED_EACH, Reply};
use crate::ops::people::{self, Session};
use crate::ops::settings;
use crate::origin;
use crate::web::kit::client::{self, ClientNetwork, Network};
use crate::web::kit::extract::{self, BodyLimit, Tree, buffered};
use crate::web::kit::form::{NotKept, PostedForm, form_expired};
use crate::web::kit::layout::PageContext;
use crate::web::kit::problem::{Problem, RequestContext};
use crate::web::kit::route::{Access, Web, is_page};
use crate::web::kit::{denied, error_page, format, headers, refused, session, upload};
use crate::work_limit::Busy;

/// The outermost middleware: sees every request first and every response last.
pub(super) async fn handle(State(web): State<Web>, mut request: Request, next: Next) -> Response {
    let app = &web.app;
    let began = app.clock.now();
    let path = request.uri().path().to_owned();
    let mut context = RequestContext {
        json: !is_page(&path),
        writes: !request.method().is_safe(),
        instance: path.clone(),
        request_id: format!("req_{}", payout::ids::encode(payout::ids::fresh(began, app.clock.in_turn()))),
        base_url: app.base_url.clone(),
        csrf: None,
    };
    // Log the route's template, never the path: a one-time login link is a secret.
    let route = request.extensions().get::<MatchedPath>().map_or("(none)", MatchedPath::as_str).to_owned();
    let mut asked =
        RequestLog { method: method_name(request.method()), route, ..RequestLog::from(app, &request) };
    headers::open_cookies(app, request.headers_mut());
    let mark = session::BrowserMark::sent_with(app, request.headers());
    request.extensions_mut().insert(mark.clone());
    let known = match METHODS.contains(&request.method().as_str()) {
        false => Err(not_implemented()),
        true => recognize(&web, &path, asked.network, &mut request, began).await,
    };
    let session = request.extensions().get::<Session>().cloned();
    asked.who = request.extensions().get::<Actor>().map(|actor| actor.id);
    let stored = headers::may_be_stored(&path);
    context.csrf = session.as_ref().filter(|_| !stored).map(|session| session.csrf.clone());
    request.extensions_mut().insert(context.clone());
    let known = known.and_then(|()| within_bounds(&web, &request, began));
    let response = match known {
        // No identifier contains NUL, and PostgreSQL rejects it.
        Ok(()) if path.contains("%00") => Problem::missing().into_response(),
        Ok(()) => {
            let zone = zone_of(&request);
            // Log entries about a failure carry the request id that people are shown.
            let span = tracing::info_span!("request", id = context.request_id);
            let answer = origin::of_request(asked.address.clone(), next.run(request));
            format::in_zone(zone, began, answer).instrument(span).await
        }
        Err(fault) => fault.into_response(),
    };
    let framed = !context.json && !stored && error_page::has_menu(&response);
    let page_context = if framed { visit(app, session.as_ref()).await } else { None };
    let mut response = error_page::render(response, &context, page_context.as_ref());
    mark.keep(&mut response);
    if let Some(token) = session.as_ref().and_then(Session::renewed) {
        session::renew(&mut response, token);
    }
    headers::close_cookies(app, response.headers_mut());
    headers::add(app, response.headers_mut(), &path, &context.request_id);
    let denial = log(&web, asked, &context.request_id, &mut response, began);
    if let Some(denial) = denial {
        note(&web, denial).await;
    }
    response
}

/// The context for an error page with the menu, if one of our own people is signed in: partners have their own portal.
async fn visit(app: &App, session: Option<&Session>) -> Option<PageContext> {
    let ours = |session: &&Session| !matches!(session.actor.role, Role::Partner | Role::PartnerAdmin);
    PageContext::of(app, session.filter(ours)?.clone(), None).await.ok()
}

/// Who made a request and for what, for the log.
#[derive(Default)]
struct RequestLog {
    method: &'static str,
    /// The route's template, never the path.
    route: String,
    /// The login or the API key.
    who: Option<PersonId>,
    from: String,
    /// The address alone; empty if unknown.
    address: String,
    network: Option<Network>,
    /// It came with an API key.
    sent_key: bool,
}

impl RequestLog {
    fn from(app: &App, request: &Request) -> Self {
        let trusted = &app.config.trusted_proxies;
        let address = client::address(request, trusted).map(|from| from.to_string());
        let from = address.clone().unwrap_or_else(|| "unknown".to_owned());
        let sent_key = session::sent_key(request.headers()).is_some();
        let (address, network) = (address.unwrap_or_default(), client::network(request, trusted));
        Self { from, address, network, sent_key, ..Self::default() }
    }
}

/// Logs the response, and a refusal's code. Never logs the query, headers or the request body. Returns what goes into the
/// audit trail.
fn log(
    web: &Web,
    asked: RequestLog,
    request_id: &str,
    response: &mut Response,
    began: i64,
) -> Option<Denial> {
    let now = web.app.clock.now();
    let (status, took_us) = (response.status().as_u16(), now - began);
    let RequestLog { method, route, who, from, network, sent_key, .. } = asked;
    let named = |who: Option<PersonId>| who.map_or_else(|| "nobody".to_owned(), |who| who.to_string());
    if let Some(left_out) = web.answers.left_out(now) {
        tracing::info!(left_out, "so many more were answered within a second");
    }
    if web.answers.has_line(who, now) {
        tracing::info!(method, route, status, who = named(who), from, took_us, request_id, "answered");
    }
    health::count(method, &route, status, took_us);
    for (code, left_out) in web.refusals.left_out(now) {
        tracing::warn!(code, left_out, "so many more were refused within a minute");
    }
    let refused = refused::take(response)?;
    let who = who.or(refused.key);
    let has_line = match who {
        Some(who) => web.refusals.has_line(&refused.code, &who, true, now),
        None => web.refusals.has_line(&refused.code, &network, false, now),
    };
    if has_line {
        tracing::warn!(
            code = refused.code,
            who = named(who),
            from,
            method,
            route,
            status,
            request_id,
            "refused"
        );
    }
    let action = denied::kind(response.status(), &refused.code, sent_key)?;
    // One party often has all networks of an IPv6 site.
    let left_out = match (who, network.and_then(Network::site)) {
        (Some(who), _) => web.denials.has_row(action, &who, true, now),
        (None, Some(site)) => web.denials.has_row(action, &site, false, now),
        (None, None) => web.denials.has_row(action, &network, false, now),
    }?;
    let (route, code) = (format!("{method} {route}"), refused.code);
    Some(Denial { action, who, from, route, code, left_out: left_out.own, others_left_out: left_out.others })
}

/// Writes a denied request into the audit trail, after it was answered.
async fn note(web: &Web, denial: Denial) {
    let app = web.app.clone();
    let write = async move {
        if let Err(error) = denials::note(&app, &denial).await {
            tracing::warn!(?error, "a denied request could not be noted");
        }
    };
    // Simulations run in order.
    if web.work.is_sequential() {
        write.await;
    } else {
        tokio::spawn(write);
    }
}

/// The rate limit for authenticated requests. Signing out is never limited, and static assets do not count.
fn within_bounds(web: &Web, request: &Request, now: i64) -> Result<(), Problem> {
    let Some(actor) = request.extensions().get::<Actor>() else { return Ok(()) };
    let path = request.uri().path();
    if path == "/logout" || path.starts_with("/assets/") {
        return Ok(());
    }
    let session = request.extensions().get::<Session>().map(|session| session.id.as_str());
    let within = web.requests.ask(&actor.id.to_string(), session, now);
    within.map_err(|wait| Problem::too_many_requests(wait, session.is_none()))
}

/// The methods of HTTP. For one of these, an address responds with the methods it allows; anything else is not a method.
const METHODS: [&str; 10] =
    ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "QUERY"];

/// The method in metrics and logs if no route has it: anybody can invent one, of any length.
const OTHER_METHOD: &str = "other";

/// A method's name from a fixed list.
fn method_name(method: &Method) -> &'static str {
    const ANSWERED: [Method; 6] =
        [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
    const NAMES: [&str; 6] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];
    let found = ANSWERED.iter().zip(NAMES).find(|(known, _)| *known == method);
    found.map_or(OTHER_METHOD, |(_, name)| name)
}

fn not_implemented() -> Problem {
    let message = "Bursar answers to GET, HEAD, POST, PUT, PATCH and DELETE only. Nothing was done.";
    Problem::new(StatusCode::NOT_IMPLEMENTED, "method_not_implemented", message)
}

/// The time zone preference of the session.
fn zone_of(request: &Request) -> TimeZone {
    let chosen =
        request.extensions().get::<Session>().and_then(|session| session.preferences.zone.as_deref());
    chosen.and_then(|name| TimeZone::get(name).ok()).unwrap_or(TimeZone::UTC)
}

/// Authenticates the request. An unknown key is rate-limited before it is looked up.
async fn recognize(
    web: &Web,
    path: &str,
    network: Option<Network>,
    request: &mut Request,
    now: i64,
) -> Result<(), Problem> {
    let key = session::sent_key(request.headers()).filter(|_| is_below_api(path)).map(str::to_owned);
    let Some(key) = key else { return identify(&web.app, path, request).await };
    web.requests.check_unknown_key(&key, network, now).map_err(Problem::slow_down)?;
    let known = identify(&web.app, path, request).await;
    // Only a key that does not exist is forgotten, not one that met an error on our side.
    let unknown = known.as_ref().is_err_and(|fault| fault.details().status == StatusCode::UNAUTHORIZED);
    if known.is_ok() || unknown {
        web.requests.seen(&key, known.is_ok(), now);
    }
    known
}

/// Whether a path requires an API key.
fn is_below_api(path: &str) -> bool {
    let below_api = path == "/api/v1" || path.starts_with("/api/v1/");
    below_api && path != "/api/v1/openapi.json" && path != "/api/v1/docs"
}

/// The API requires a key before anything else, whether or not the path exists, so that existing paths cannot be told apart
/// from outside.
async fn identify(app: &App, path: &str, request: &mut Request) -> Result<(), Problem> {
    if is_below_api(path) {
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
    // An open page reconnects to its event stream by itself; that is not activity of a person.
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

/// The per-route middleware's configuration.
#[derive(Clone)]
pub(super) struct RouteGuard {
    pub web: Web,
    pub access: Access,
    pub scope: Scope,
    pub body_limit: usize,
    pub takes_file: bool,
    pub heavy: bool,
    pub step_up: Option<&'static str>,
}

/// Handles a POST in its own task: if the client disconnects and retries with the same key, it gets the first result
/// instead of aborting it.
pub(super) async fn run_route(State(guard): State<RouteGuard>, request: Request, next: Next) -> Response {
    // Simulations run in order, and there a client is only cut off when its process dies.
    if request.method() != Method::POST || guard.web.work.is_sequential() {
        return pass(guard, request, next).await;
    }
    match origin::spawn(pass(guard, request, next)).await {
        Ok(answer) => answer,
        Err(broken) => Problem::internal(&broken).into_response(),
    }
}

async fn pass(guard: RouteGuard, request: Request, next: Next) -> Response {
    // Only an authenticated request waits for capacity, before its body is read.
    let _permit = if guard.heavy && request.extensions().get::<Actor>().is_some() {
        match guard.web.heavy.take().await {
            Ok(turn) => Some(turn),
            Err(Busy) => {
                let message = "Others read or write large files at this moment, so this was not begun. Try again in a minute.";
                let busy = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "over_capacity", message);
                return busy.retry_after(30).into_response();
            }
        }
    } else {
        None
    };
    match authorize(&guard, request).await {
        Ok((request, None)) => next.run(request).await,
        Ok((request, Some(mark))) => {
            let scene = request.extensions().get::<RequestContext>().cloned();
            let app = &guard.web.app;
            let answer = idempotency::running(app, &mark, RENEWED_EACH, next.run(request)).await;
            settle(app, &mark, scene.as_ref(), answer).await
        }
        Err(instead) => *instead,
    }
}

/// Authorizes a request: permission, CSRF token, step-up and idempotency key. `Err` has the response to send instead.
async fn authorize(
    guard: &RouteGuard,
    mut request: Request,
) -> Result<(Request, Option<HeldKey>), Box<Response>> {
    let refuse = |fault: Problem| Box::new(fault.into_response());
    let page = is_page(request.uri().path());
    let actor = request.extensions().get::<Actor>().cloned();
    if guard.access != Access::Open {
        let Some(actor) = &actor else { return Err(Box::new(sign_in_first(&request, page))) };
        permit(guard, actor, &request).map_err(refuse)?;
        if let Some(session) = request.extensions().get::<Session>().filter(|_| page)
            && !users::is_on_the_way(request.uri().path())
            && people::factor::must_set_up(&guard.web.app, session)
                .await
                .map_err(|error| refuse(error.into()))?
        {
            return Err(Box::new(users::set_it_up()));
        }
    }
    if page {
        let path = request.uri().path().to_owned();
        payouts_are_on(&guard.web.app, &path).await.map_err(refuse)?;
    }
    request.extensions_mut().insert(BodyLimit(guard.body_limit));
    if request.method() != Method::POST {
        return Ok((request, None));
    }
    if page && guard.access == Access::Open {
        // Limit strangers before reading their request body.
        let from = ClientNetwork(client::network(&request, &guard.web.app.config.trusted_proxies));
        let (tries, now) = (&guard.web.tries, guard.web.app.clock.now());
        tries.check_network(from.0, now).map_err(|wait| refuse(Problem::slow_down(wait)))?;
        request.extensions_mut().insert(from);
    }
    let (request, key) = match (page, guard.step_up) {
        (true, Some(deed)) => {
            let (request, sent) = users::take_proof(request).await.map_err(refuse)?;
            let (request, key) = open_form(request, guard).await.map_err(refuse)?;
            let asked = users::ProofAsked::of(&request, deed);
            users::ask_for_proof(&guard.web, &asked, sent).await?;
            (request, key)
        }
        (true, None) => open_form(request, guard).await.map_err(refuse)?,
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
    take_key(&guard.web.app, request, &actor, &key, &hash).await
}

/// Pages that exist only while payouts are turned on. The API stays available, so that clients can follow payments in
/// progress.
const OF_PAYOUTS: [&str; 3] = ["/claims", "/transactions", "/dashboard"];

async fn payouts_are_on(app: &App, path: &str) -> Result<(), Problem> {
    let below =
        |root: &str| path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    if !OF_PAYOUTS.iter().any(|root| below(root)) {
        return Ok(());
    }
    if settings::load(&mut app.store.read().await?).await?.enabled {
        return Ok(());
    }
    let code = Code::ModuleDisabled;
    let sentence = format!("{} {}", code.message(), code.remedy());
    Err(Problem::new(StatusCode::NOT_FOUND, code.as_str(), sentence))
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

/// Checks role and scopes. For a partner, a single record they may not see looks as if it did not exist.
fn permit(guard: &RouteGuard, actor: &Actor, request: &Request) -> Result<(), Problem> {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    if !guard.access.admits(actor.role) {
        let partner = matches!(actor.role, Role::Partner | Role::PartnerAdmin);
        let template = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
        return Err(if partner && reads && template.contains('{') {
            Problem::missing().hiding()
        } else {
            forbidden(actor)
        });
    }
    match request.extensions().get::<Scopes>() {
        Some(scopes) if scopes.open(guard.scope) => Ok(()),
        Some(_) => Err(out_of_scope(guard.scope, actor)),
        None if reads || actor.may_write => Ok(()),
        None => Err(forbidden(actor)),
    }
}

fn out_of_scope(scope: Scope, actor: &Actor) -> Problem {
    let needed = match scope {
        Scope::Read | Scope::Write => format!("the scope {}", scope.as_str()),
        Scope::RewardsWrite
        | Scope::PayeesWrite
        | Scope::BatchesPrepare
        | Scope::Pay
        | Scope::Release
        | Scope::Settings => format!("the scope {} or write", scope.as_str()),
    };
    let message =
        format!("For this an API key needs {needed}, which this one does not have. Ask an administrator.");
    Problem::new(StatusCode::FORBIDDEN, "permission_denied", message)
        .blocked_by(vec![Blocker::new(Code::PermissionDenied, actor.id)])
}

fn forbidden(actor: &Actor) -> Problem {
    Problem::forbidden().blocked_by(vec![Blocker::new(Code::PermissionDenied, actor.id)])
}

/// Parses a page's form and checks its CSRF token; also takes out its one-time key.
async fn open_form(
    mut request: Request,
    guard: &RouteGuard,
) -> Result<(Request, Option<(String, String)>), Problem> {
    let kind = extract::content_type(request.headers());
    let with_file = guard.takes_file && kind == upload::KIND;
    if kind != "application/x-www-form-urlencoded" && !kind.is_empty() && !with_file {
        let message = "Send this as a form.";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", message));
    }
    // Public forms, such as signing in, belong to no session and need no CSRF token.
    let session = request.extensions().get::<Session>().filter(|_| guard.access != Access::Open).cloned();
    if headers::from_elsewhere(&guard.web.app, request.headers()) {
        return Err(from_elsewhere(&guard.web.app.base_url));
    }
    let known = |word: &str| {
        let ours = |session: &Session| session.csrf.as_bytes().ct_eq(word.as_bytes()).into();
        session.as_ref().is_none_or(ours)
    };
    let (mut tree, hash) = if with_file {
        let sent = upload::read(&mut request, guard.body_limit, known).await?;
        let hash = request_hash(&request, &sent.digest);
        request.extensions_mut().insert(sent.file);
        (sent.fields, hash)
    } else {
        let (same, bytes) = buffered(request).await?;
        request = same;
        (Tree::from_pairs(&bytes).map_err(Problem::field)?, request_hash(&request, &bytes))
    };
    let word = tree.take_param("csrf").unwrap_or_default();
    let once = tree.take_param("once");
    if !known(&word) {
        return Err(form_expired());
    }
    if once.as_ref().is_some_and(|once| once.len() > MOST_KEY_BYTES) {
        let message =
            "The form's one-time key is longer than any of ours, so nothing was done. Load the page again.";
        return Err(Problem::bad_request("idempotency_key_invalid", message));
    }
    request.extensions_mut().insert(PostedForm(tree));
    Ok((request, once.map(|once| (format!("form:{once}"), hash))))
}

fn from_elsewhere(base_url: &str) -> Problem {
    let message = format!(
        "Your browser says that this form comes from another site, so nothing was done. Open Bursar at {base_url} and repeat it there. If you did, BURSAR_BASE_URL does not name the address people use."
    );
    Problem::new(StatusCode::FORBIDDEN, "form_from_elsewhere", message)
}

/// The longest idempotency key, in bytes.
const MOST_KEY_BYTES: usize = 255;

fn readable_key(value: &HeaderValue) -> Result<String, Problem> {
    let fits = |key: &&str| (1..=MOST_KEY_BYTES).contains(&key.len()) && !key.starts_with("form:");
    let key = value.to_str().ok().filter(fits);
    key.map(str::to_owned).ok_or_else(|| {
        let message = "An Idempotency-Key is 1 to 255 visible ASCII characters.";
        Problem::bad_request("idempotency_key_invalid", message)
    })
}

/// A hash that identifies a request: method, address with query, and body.
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
) -> Result<(Request, Option<HeldKey>), Box<Response>> {
    let refuse = |status, code: &str, told: &str| {
        Err(Box::new(Problem::new(status, code, told).retry_after(1).into_response()))
    };
    match idempotency::begin(app, &actor.id.to_string(), key, hash).await {
        Ok(KeyOutcome::First(mark)) => {
            request.extensions_mut().insert(mark.clone());
            Ok((request, Some(mark)))
        }
        Ok(KeyOutcome::Answered(reply)) => {
            let mut response = reply.into_response();
            response.headers_mut().insert("idempotent-replayed", HeaderValue::from_static("true"));
            Err(Box::new(response))
        }
        Ok(KeyOutcome::Reused) => refuse(
            StatusCode::UNPROCESSABLE_ENTITY,
            "idempotency_key_reused",
            "This Idempotency-Key was used for another request. Nothing was done; send a new key.",
        ),
        Ok(KeyOutcome::Running) => refuse(
            StatusCode::CONFLICT,
            "idempotency_key_in_use",
            "The first request with this Idempotency-Key still runs. Ask again in a moment for its answer.",
        ),
        Err(error) => Err(Box::new(Problem::from(error).into_response())),
    }
}

/// The longest refusal that is stored under a key.
const MOST_KEPT_BYTES: usize = 256 << 10;

/// Stores the response under its key, unless a retry may get a different one.
async fn settle(app: &App, mark: &HeldKey, scene: Option<&RequestContext>, response: Response) -> Response {
    let in_use =
        response.extensions().get::<Problem>().is_some_and(|told| told.code() == "idempotency_key_in_use");
    let not_kept = response.extensions().get::<NotKept>().is_some();
    let response = match scene {
        Some(scene) => error_page::render(response, scene, None),
        None => response,
    };
    let status = response.status();
    let (parts, body) = response.into_parts();
    let Ok(bytes) = axum::body::to_bytes(body, usize::MAX).await else {
        return Problem::internal(&"an answer broke off").into_response();
    };
    let reply = Reply::of(&parts.headers, status, &bytes);
    // A refusal changed nothing, so a retry can compute a long response again.
    let too_long = bytes.len() > MOST_KEPT_BYTES && status.is_client_error();
    let may_differ = status.is_server_error() || status == StatusCode::UNAUTHORIZED || in_use;
    let kept = match may_differ || not_kept || too_long {
        true => idempotency::forget(app, mark).await,
        false => idempotency::keep(app, mark, &reply).await,
    };
    if let Err(error) = kept {
        // An effect and its response were committed together; only a refusal is lost.
        tracing::warn!(?error, "the answer of a refused request could not be kept");
    }
    Response::from_parts(parts, Body::from(bytes))
}
