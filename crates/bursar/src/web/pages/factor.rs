//! The second factor of whoever is signed in, partner or not: setting it up, recovery codes, turning it off; and the form
//! that asks for a code when somebody signs in. What is deliberately not here: codes at the proof before something that
//! matters (`proof`, `portal::entry`), and taking somebody else's away (`people`).

use askama::Template;
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use super::frame::{Told, assets_version, html};
use super::portal::entry::{asked, spoken};
use super::portal::words::{Language, Words};
use super::qr::Qr;
use crate::app::App;
use crate::clock;
use crate::ops::OpsError;
use crate::ops::people::factor::{self, Confirmed, Setup, Standing};
use crate::ops::people::{self, Finished, Proof, Session, Shown};
use crate::web::fault::Fault;
use crate::web::form::{Form, Query};
use crate::web::session::{self, Device, SignedIn, is_fresh, is_ours, prove_first, too_many};
use crate::web::tries::Wait;
use crate::web::{ComesFrom, Need, NotKept, Route, Web, get, post};

/// The rows of the route table.
#[must_use]
pub fn routes() -> Vec<Route> {
    vec![
        get(PAGE, Need::Login, show),
        post("/factor/begin", Need::Login, begin),
        get(NEW, Need::Login, scan),
        post(NEW, Need::Login, confirm),
        post("/factor/codes", Need::Login, new_codes),
        post("/factor/off", Need::Login, turn_off),
        get(CODE, Need::Open, code_form),
        post(CODE, Need::Open, code),
    ]
}

const PAGE: &str = "/factor";
const NEW: &str = "/factor/new";
const CODE: &str = "/login/code";

/// Whether a page is on the way to a second factor: what somebody may reach who needs one and has none yet.
#[must_use]
pub fn is_on_the_way(path: &str) -> bool {
    path == PAGE || path.starts_with("/factor/") || matches!(path, "/logout" | "/prove" | "/password")
}

/// Where whoever must set one up goes.
#[must_use]
pub fn set_it_up() -> Response {
    Redirect::to(PAGE).into_response()
}

/// What the page shows.
enum Shows {
    /// How it stands.
    Standing(Standing),
    /// What is to be scanned.
    Setup(Setup, Option<Qr>),
    /// Recovery codes, this once.
    Codes(Vec<String>),
}

#[derive(Template)]
#[template(path = "portal/factor.html")]
struct FactorPage {
    title: &'static str,
    language: Language,
    t: &'static Words,
    version: &'static str,
    csrf: String,
    home: &'static str,
    /// The page about one's own login.
    own: &'static str,
    shows: Shows,
    why: Option<&'static str>,
}

impl FactorPage {
    /// How it stands, in a sentence.
    fn since(&self, standing: &Standing) -> String {
        let day = standing.since.map(clock::date).unwrap_or_default();
        self.t.factor_since.replace("{day}", &day).replace("{count}", &standing.codes_left.to_string())
    }
}

/// The page about one's own login.
fn own_page(session: &Session) -> &'static str {
    if session.actor.role.is_partners() { "/portal/account" } else { "/me" }
}

async fn page(
    app: &App,
    session: &Session,
    shows: Shows,
    why: Option<fn(&Words) -> &'static str>,
) -> Result<Response, Fault> {
    let language = spoken(app, &session.actor).await?;
    let t = language.words();
    let title = match &shows {
        Shows::Standing(_) | Shows::Setup(..) => t.factor,
        Shows::Codes(_) => t.factor_codes,
    };
    let page = FactorPage {
        title,
        language,
        t,
        version: assets_version(),
        csrf: session.csrf.clone(),
        home: if session.actor.role.is_partners() { "/portal" } else { "/" },
        own: own_page(session),
        shows,
        why: why.map(|why| why(t)),
    };
    let status = if page.why.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    // Nothing that is shown this once may be kept under a form's one-time key.
    Ok((status, Extension(NotKept), html(&page)?).into_response())
}

/// Whether they have not just proved who they are. Whoever finds a browser open must not put their own app in the place of its
/// owner's.
fn is_stale(app: &App, session: &Session) -> bool {
    !is_fresh(session, app.clock.now())
}

async fn show(State(app): State<App>, SignedIn(session): SignedIn) -> Result<Response, Fault> {
    if is_stale(&app, &session) {
        return Ok(prove_first(PAGE));
    }
    standing_page(&app, &session, None).await
}

async fn standing_page(
    app: &App,
    session: &Session,
    why: Option<fn(&Words) -> &'static str>,
) -> Result<Response, Fault> {
    let mut db = app.store.read().await?;
    let standing = factor::standing(app, &mut db, session.actor.id, session.actor.role).await?;
    drop(db);
    page(app, session, Shows::Standing(standing), why).await
}

/// The password and a code, without which a second factor that counts is not touched.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Again {
    #[serde(default)]
    password: String,
    #[serde(default)]
    code: String,
}

/// What to answer in the place of what was wanted. Whoever has a factor shows it and the password in the same form, however
/// fresh their session is: a copy of it must not replace what keeps it out.
async fn refused(web: &Web, session: &Session, sent: Again) -> Result<Option<Response>, Fault> {
    let app = &web.app;
    if !session.has_factor {
        return Ok(is_stale(app, session).then(|| prove_first(PAGE)));
    }
    if let Err(wait) = web.tries.prove(&session.id, app.clock.now()) {
        let page = standing_page(app, session, Some(|t| t.login_slow)).await?;
        return Ok(Some(too_many(page, wait)));
    }
    let shown = Shown { password: sent.password, code: sent.code };
    let why: fn(&Words) -> &'static str = match people::prove(app, session, &shown).await? {
        Proof::Right => return Ok(None),
        Proof::WrongPassword => |t| t.password_wrong,
        Proof::WrongCode => |t| t.factor_wrong,
        Proof::UsedCode => |t| t.factor_used,
    };
    standing_page(app, session, Some(why)).await.map(Some)
}

async fn begin(
    State(web): State<Web>,
    SignedIn(session): SignedIn,
    Form(sent): Form<Again>,
) -> Result<Response, Fault> {
    if let Some(instead) = refused(&web, &session, sent).await? {
        return Ok(instead);
    }
    factor::begin(&web.app, &session).await?;
    Ok(Redirect::to(NEW).into_response())
}

async fn scan(State(app): State<App>, SignedIn(session): SignedIn) -> Result<Response, Fault> {
    if is_stale(&app, &session) {
        return Ok(prove_first(NEW));
    }
    setup_page(&app, &session, None).await
}

async fn setup_page(
    app: &App,
    session: &Session,
    why: Option<fn(&Words) -> &'static str>,
) -> Result<Response, Fault> {
    match factor::begun(app, session).await? {
        Some(setup) => {
            let qr = Qr::of(&setup.uri);
            page(app, session, Shows::Setup(setup, qr), why).await
        }
        None => standing_page(app, session, why).await,
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Code {
    #[serde(default)]
    code: String,
}

async fn confirm(
    State(web): State<Web>,
    SignedIn(session): SignedIn,
    Form(sent): Form<Code>,
) -> Result<Response, Fault> {
    let app = &web.app;
    if is_stale(app, &session) {
        return Ok(prove_first(NEW));
    }
    if let Err(wait) = web.tries.prove(&session.id, app.clock.now()) {
        let page = setup_page(app, &session, Some(|t| t.login_slow)).await?;
        return Ok(too_many(page, wait));
    }
    match factor::confirm(app, &session, &sent.code).await? {
        Confirmed::Done(codes) => page(app, &session, Shows::Codes(codes), None).await,
        Confirmed::Wrong => setup_page(app, &session, Some(|t| t.factor_wrong)).await,
        Confirmed::Gone => standing_page(app, &session, Some(|t| t.factor_gone)).await,
    }
}

async fn new_codes(
    State(web): State<Web>,
    SignedIn(session): SignedIn,
    Form(sent): Form<Again>,
) -> Result<Response, Fault> {
    if let Some(instead) = refused(&web, &session, sent).await? {
        return Ok(instead);
    }
    let app = &web.app;
    match factor::new_codes(app, &session).await {
        Ok(codes) => page(app, &session, Shows::Codes(codes), None).await,
        Err(OpsError::Refused(_)) => standing_page(app, &session, Some(|t| t.factor_none)).await,
        Err(error) => Err(error.into()),
    }
}

async fn turn_off(
    State(web): State<Web>,
    SignedIn(session): SignedIn,
    Form(sent): Form<Again>,
) -> Result<Response, Fault> {
    if let Some(instead) = refused(&web, &session, sent).await? {
        return Ok(instead);
    }
    let app = &web.app;
    let t = spoken(app, &session.actor).await?.words();
    match factor::turn_off(app, &session).await {
        Ok(()) => Ok(Told::good(t.factor_is_off).on(own_page(&session))),
        Err(OpsError::Refused(_)) => standing_page(app, &session, Some(|t| t.factor_required)).await,
        Err(error) => Err(error.into()),
    }
}

#[derive(Template)]
#[template(path = "portal/code.html")]
struct CodePage {
    title: &'static str,
    language: Language,
    t: &'static Words,
    version: &'static str,
    home: &'static str,
    next: String,
    /// It took too long, or was never begun.
    over: bool,
    why: Option<&'static str>,
}

#[derive(Deserialize)]
struct Ask {
    next: Option<String>,
}

/// The form for the code of somebody who has come half way, or the way back to the beginning.
async fn code_page(
    app: &App,
    headers: &HeaderMap,
    next: Option<String>,
    why: Option<fn(&Words) -> &'static str>,
) -> Result<Response, Fault> {
    let person = match session::half_way(headers) {
        Some(half) => people::half_way(app, half).await?,
        None => None,
    };
    let next = next.filter(|next| is_ours(next));
    let partner = match &person {
        Some(person) => person.role.is_partners(),
        None => next.as_deref().is_some_and(session::is_portal),
    };
    let language = match &person {
        Some(person) => spoken(app, &people::actor(person)).await?,
        None if partner => asked(headers),
        None => Language::English,
    };
    let t = language.words();
    let over = person.is_none();
    let page = CodePage {
        title: t.code,
        language,
        t,
        version: assets_version(),
        home: if partner { session::PORTAL_LOGIN } else { "/login" },
        next: next.unwrap_or_default(),
        over,
        why: why.filter(|_| !over).map(|why| why(t)),
    };
    let status = match (over, page.why.is_some()) {
        (true, _) => StatusCode::GONE,
        (false, true) => StatusCode::UNPROCESSABLE_ENTITY,
        (false, false) => StatusCode::OK,
    };
    Ok((status, html(&page)?).into_response())
}

async fn code_form(
    State(app): State<App>,
    headers: HeaderMap,
    Query(ask): Query<Ask>,
) -> Result<Response, Fault> {
    code_page(&app, &headers, ask.next, None).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CodeSent {
    #[serde(default)]
    code: String,
    next: Option<String>,
}

async fn code(
    State(web): State<Web>,
    Extension(from): Extension<ComesFrom>,
    headers: HeaderMap,
    Device(browser): Device,
    Form(sent): Form<CodeSent>,
) -> Result<Response, Fault> {
    let app = &web.app;
    let half = session::half_way(&headers).unwrap_or_default();
    let Some(person) = people::half_way(app, half).await? else {
        return code_page(app, &headers, sent.next, None).await;
    };
    let email = person.email.clone().unwrap_or_default();
    let known = session::is_known_by_code(app, &headers, &email);
    let tried = web.tries.code(&person.id.to_string(), from.0, known, app.clock.now());
    if let Err(wait @ Wait(_)) = tried {
        let page = code_page(app, &headers, sent.next, Some(|t| t.login_slow)).await?;
        return Ok(too_many(page, wait));
    }
    match people::finish(app, half, &sent.code, &browser).await? {
        Finished::In(token) => Ok(session::whole_way(app, &headers, &email, &token, sent.next.as_deref())),
        Finished::Wrong => code_page(app, &headers, sent.next, Some(|t| t.factor_wrong)).await,
        Finished::Used => code_page(app, &headers, sent.next, Some(|t| t.factor_used)).await,
        Finished::Over => code_page(app, &headers, sent.next, None).await,
    }
}
