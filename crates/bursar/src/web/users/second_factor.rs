//! The second factor of the signed-in person, partner or not: setting up an app, adding and removing passkeys, recovery
//! codes, turning it off; and the form for the second factor at sign-in. Not here: the step-up before sensitive actions
//! (`step_up`, `portal::sign_in`), and removing somebody else's factor (`show`).

use askama::Template;
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use super::passkey_button::{Button, written};
use super::provider;
use super::qr::Qr;
use super::step_up::{Evidence, by_provider};
use crate::app::App;
use crate::clock;
use crate::ops::OpsError;
use crate::ops::people::browsers::browser_in_words;
use crate::ops::people::factor::{self, Confirmed, FactorStatus, Setup};
use crate::ops::people::passkeys::{self, Added, Passkey, SignedAction};
use crate::ops::people::{self, SecondFactor, SecondFactorOutcome, Session, StepUpOutcome};
use crate::web::kit::client::ClientNetwork;
use crate::web::kit::form::{Form, NotKept, Query};
use crate::web::kit::layout::{Flash, assets_version, html};
use crate::web::kit::login_limit::Wait;
use crate::web::kit::problem::Problem;
use crate::web::kit::route::{Access, Route, Web, get, post};
use crate::web::kit::session::{self, Device, SignedIn, is_fresh, is_ours, just_came, prove_first, too_many};
use crate::web::portal::{Language, Words, requested_language, spoken};
use crate::webauthn;

pub fn routes() -> Vec<Route> {
    vec![
        get(PAGE, Access::Login, show),
        post(BEGIN.path, Access::Login, begin),
        get(NEW, Access::Login, scan),
        post(NEW, Access::Login, confirm),
        post(CODES.path, Access::Login, new_codes),
        post(OFF.path, Access::Login, turn_off),
        post(REMOVE_APP.path, Access::Login, remove_app),
        post(ADD.path, Access::Login, begin_passkey),
        get(NEW_PASSKEY, Access::Login, new_passkey),
        post(NEW_PASSKEY, Access::Login, add_passkey),
        post(REMOVE.path, Access::Login, remove_passkey),
        get(CODE, Access::Open, code_form),
        post(CODE, Access::Open, code),
    ]
}

const PAGE: &str = "/factor";
const NEW: &str = "/factor/new";
const NEW_PASSKEY: &str = "/factor/passkeys/new";
const CODE: &str = "/login/code";

/// A change of a second factor: its form's target, and what it does in words.
#[derive(Clone, Copy)]
struct Change {
    path: &'static str,
    /// The text depends on whether there is an app already.
    told: fn(&Words, bool) -> &'static str,
}

const BEGIN: Change =
    Change { path: "/factor/begin", told: |t, app| if app { t.factor_renew } else { t.factor_begin } };
const CODES: Change = Change { path: "/factor/codes", told: |t, _| t.factor_codes_new };
const OFF: Change = Change { path: "/factor/off", told: |t, _| t.factor_off };
const REMOVE_APP: Change = Change { path: "/factor/app/remove", told: |t, _| t.factor_app_remove };
const ADD: Change = Change { path: "/factor/passkeys", told: |t, _| t.passkey_add };
const REMOVE: Change = Change { path: "/factor/passkeys/remove", told: |t, _| t.passkey_remove };

/// Whether a page may be reached by somebody who must set up a second factor first.
pub fn is_on_the_way(path: &str) -> bool {
    path == PAGE
        || path.starts_with("/factor/")
        || matches!(path, "/logout" | "/prove" | "/password" | "/welcome")
}

/// Redirects somebody who must set one up.
pub fn set_it_up() -> Response {
    Redirect::to(PAGE).into_response()
}

enum FactorScreen {
    Standing(FactorStatus),
    /// The secret of a new app, to be scanned.
    Setup(Setup, Option<Qr>),
    Codes(Vec<String>),
    /// A step-up is needed before this change.
    Again(Again),
    /// A passkey is being created: the request for the browser, and the suggested name.
    Passkey(String, String),
}

/// A change that waits for a step-up.
struct Again {
    path: &'static str,
    /// What it does, in words.
    told: String,
    /// The other fields of the form.
    fields: Vec<(&'static str, String)>,
    has_app: bool,
    has_factor: bool,
    passkey: Option<Button>,
    /// If they have no password: where to choose one first, as link text and address.
    first: Option<(String, String)>,
}

#[derive(Template)]
#[template(path = "users/second_factor.html")]
struct FactorPage {
    title: &'static str,
    language: Language,
    t: &'static Words,
    version: &'static str,
    csrf: String,
    home: &'static str,
    /// The page about the person's own login.
    own: &'static str,
    shows: FactorScreen,
    /// The address people use, if passkeys do not work there.
    not_here: Option<String>,
    why: Option<&'static str>,
}

impl FactorPage {
    /// Since when there is an app, in a sentence.
    fn since(&self, since: &i64) -> String {
        self.t.factor_since.replace("{day}", &clock::date(*since))
    }

    /// The number of recovery codes left, in a sentence.
    fn codes_left(&self, standing: &FactorStatus) -> String {
        self.t.codes_left.replace("{count}", &standing.codes_left.to_string())
    }

    /// When a passkey was added and last used, in a sentence.
    fn of_passkey(&self, one: &Passkey) -> String {
        let day = clock::date(one.made_at);
        match one.used_at {
            Some(used) => self.t.passkey_made.replace("{day}", &day).replace("{used}", &clock::date(used)),
            None => self.t.passkey_unused.replace("{day}", &day),
        }
    }

    /// Why passkeys cannot be used here.
    fn passkeys_unavailable(&self, address: &str) -> String {
        self.t.passkeys_not_here.replace("{address}", address)
    }
}

/// The page about the person's own login.
fn own_page(session: &Session) -> &'static str {
    if session.actor.role.is_partners() { "/portal/account" } else { "/me" }
}

async fn page(
    app: &App,
    session: &Session,
    shows: FactorScreen,
    why: Option<fn(&Words) -> &'static str>,
) -> Result<Response, Problem> {
    let language = spoken(app, &session.actor).await?;
    let t = language.words();
    let title = match &shows {
        FactorScreen::Standing(_) | FactorScreen::Setup(..) => t.factor,
        FactorScreen::Codes(_) => t.factor_codes,
        FactorScreen::Again(_) => t.prove,
        FactorScreen::Passkey(..) => t.passkey_new,
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
        not_here: (!passkeys::is_here(app)).then(|| app.base_url.clone()),
        why: why.map(|why| why(t)),
    };
    let status = if page.why.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    // What is shown once must not be stored under a form's one-time key.
    Ok((status, Extension(NotKept), html(&page)?).into_response())
}

/// Whether they may not even set up their first app: they have neither just stepped up nor just come through the provider
/// without a password to ask for.
async fn is_too_stale(app: &App, session: &Session) -> Result<bool, Problem> {
    if !is_stale(app, session) {
        return Ok(false);
    }
    Ok(!just_came(session, app.clock.now()) || people::has_password(app, session.actor.id).await?)
}

/// Whether they have not just stepped up. Somebody who finds an open browser must not replace the owner's app with theirs.
fn is_stale(app: &App, session: &Session) -> bool {
    !is_fresh(session, app.clock.now())
}

async fn show(State(app): State<App>, SignedIn(session): SignedIn) -> Result<Response, Problem> {
    if is_too_stale(&app, &session).await? {
        return Ok(prove_first(PAGE));
    }
    standing_page(&app, &session, None).await
}

async fn standing_page(
    app: &App,
    session: &Session,
    why: Option<fn(&Words) -> &'static str>,
) -> Result<Response, Problem> {
    let mut db = app.store.read().await?;
    let standing = factor::standing(app, &mut db, session.actor.id, session.actor.role).await?;
    drop(db);
    page(app, session, FactorScreen::Standing(standing), why).await
}

/// The form of a change: the password and a code, or a passkey; required for any change to an active second factor.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FactorForm {
    #[serde(default)]
    password: String,
    #[serde(default)]
    code: String,
    passkey: Option<String>,
    /// Which passkey, if one is removed.
    id: Option<String>,
}

/// The response if a change is not allowed yet. Somebody with a factor must confirm each change, however fresh their
/// session: a copy of the session must not replace the factor that keeps it out. A passkey signs the change itself.
async fn refused(
    web: &Web,
    session: &Session,
    change: Change,
    sent: FactorForm,
) -> Result<Option<Response>, Problem> {
    let app = &web.app;
    // A passkey allows sign-in on its own, so a copied fresh session must not create one; an app still needs the password.
    let has_password = people::has_password(app, session.actor.id).await?;
    let lasts = change.path == ADD.path && passkeys::is_here(app) && has_password;
    if !session.has_factor() && !lasts {
        let stale = match change.path == BEGIN.path {
            true => is_too_stale(app, session).await?,
            false => is_stale(app, session),
        };
        return Ok(stale.then(|| prove_first(PAGE)));
    }
    let message = in_words(app, session, change, sent.id.as_deref()).await?;
    let fields: Vec<(&'static str, String)> = sent.id.into_iter().map(|id| ("id", id)).collect();
    let deed = SignedAction::of(change.path, fields.iter().map(|(name, value)| (*name, value.as_str())));
    let shown = Evidence::of(sent.password, sent.code, sent.passkey.as_deref());
    let again = FactorScreen::Again(Again {
        path: change.path,
        told: message,
        fields,
        has_app: session.has_app,
        has_factor: session.has_factor(),
        passkey: Button::to_prove(app, session, &deed),
        first: if has_password { None } else { Some(password_first(app, session).await?) },
    });
    if !has_password && !matches!(&shown, Evidence::Passkey(_)) {
        return page(app, session, again, None).await.map(Some);
    }
    if matches!(&shown, Evidence::Words(words) if words.password.is_empty() && words.code.is_empty()) {
        return page(app, session, again, None).await.map(Some);
    }
    if let Err(wait) = web.tried(web.tries.check_step_up(&session.id, app.clock.now())).await? {
        let page = page(app, session, again, Some(|t| t.login_slow)).await?;
        return Ok(Some(too_many(page, wait)));
    }
    let why: fn(&Words) -> &'static str = match shown.check(app, session, &deed).await? {
        StepUpOutcome::Right => return Ok(None),
        StepUpOutcome::WrongPassword => |t| t.password_wrong,
        StepUpOutcome::WrongCode => |t| t.factor_wrong,
        StepUpOutcome::UsedCode => |t| t.factor_used,
        StepUpOutcome::WrongPasskey => |t| t.passkey_wrong,
        StepUpOutcome::Unreadable => |t| t.factor_unreadable,
    };
    page(app, session, again, Some(why)).await.map(Some)
}

/// The way to a password for somebody without one, because a change needs it beside the code. Without a recent step-up they
/// do that first, with their identity provider if possible.
async fn password_first(app: &App, session: &Session) -> Result<(String, String), Problem> {
    const PASSWORD: &str = "/password";
    let t = spoken(app, &session.actor).await?.words();
    if is_stale(app, session)
        && let Some((name, at)) = by_provider(app, session, PASSWORD).await?
    {
        return Ok((t.again_at_provider.replace("{provider}", &name), at));
    }
    let at = if is_stale(app, session) { "/prove?next=%2Fpassword" } else { PASSWORD };
    Ok((t.again_choose.to_owned(), at.to_owned()))
}

/// A change in words, with the name of the passkey concerned.
async fn in_words(app: &App, session: &Session, change: Change, id: Option<&str>) -> Result<String, Problem> {
    let message = (change.told)(spoken(app, &session.actor).await?.words(), session.has_app);
    let Some(id) = id else { return Ok(message.to_owned()) };
    let known = passkeys::of(&mut app.store.read().await?, session.actor.id).await?;
    let named = known.into_iter().find(|known| known.id == id);
    Ok(named.map_or_else(|| message.to_owned(), |named| format!("{message}: {}", named.name)))
}

async fn begin(
    State(web): State<Web>,
    SignedIn(session): SignedIn,
    Form(sent): Form<FactorForm>,
) -> Result<Response, Problem> {
    if let Some(instead) = refused(&web, &session, BEGIN, sent).await? {
        return Ok(instead);
    }
    factor::begin(&web.app, &session).await?;
    Ok(Redirect::to(NEW).into_response())
}

async fn scan(State(app): State<App>, SignedIn(session): SignedIn) -> Result<Response, Problem> {
    if is_too_stale(&app, &session).await? {
        return Ok(prove_first(NEW));
    }
    setup_page(&app, &session, None).await
}

async fn setup_page(
    app: &App,
    session: &Session,
    why: Option<fn(&Words) -> &'static str>,
) -> Result<Response, Problem> {
    match factor::pending_setup(app, session).await? {
        Some(setup) => {
            let qr = Qr::of(&setup.uri);
            page(app, session, FactorScreen::Setup(setup, qr), why).await
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
) -> Result<Response, Problem> {
    let app = &web.app;
    if is_too_stale(app, &session).await? {
        return Ok(prove_first(NEW));
    }
    if let Err(wait) = web.tried(web.tries.check_step_up(&session.id, app.clock.now())).await? {
        let page = setup_page(app, &session, Some(|t| t.login_slow)).await?;
        return Ok(too_many(page, wait));
    }
    match factor::confirm(app, &session, &sent.code, !is_stale(app, &session)).await? {
        Confirmed::Done(codes) => page(app, &session, FactorScreen::Codes(codes), None).await,
        Confirmed::Wrong => setup_page(app, &session, Some(|t| t.factor_wrong)).await,
        Confirmed::Gone => standing_page(app, &session, Some(|t| t.factor_gone)).await,
    }
}

async fn new_codes(
    State(web): State<Web>,
    SignedIn(session): SignedIn,
    Form(sent): Form<FactorForm>,
) -> Result<Response, Problem> {
    if let Some(instead) = refused(&web, &session, CODES, sent).await? {
        return Ok(instead);
    }
    let app = &web.app;
    match factor::new_codes(app, &session).await {
        Ok(codes) => page(app, &session, FactorScreen::Codes(codes), None).await,
        Err(OpsError::Refused(_)) => standing_page(app, &session, Some(|t| t.factor_none)).await,
        Err(error) => Err(error.into()),
    }
}

async fn turn_off(
    State(web): State<Web>,
    SignedIn(session): SignedIn,
    Form(sent): Form<FactorForm>,
) -> Result<Response, Problem> {
    if let Some(instead) = refused(&web, &session, OFF, sent).await? {
        return Ok(instead);
    }
    let app = &web.app;
    let t = spoken(app, &session.actor).await?.words();
    match factor::turn_off(app, &session).await {
        Ok(()) => Ok(Flash::good(t.factor_is_off).on(own_page(&session))),
        Err(OpsError::Refused(_)) => standing_page(app, &session, Some(|t| t.factor_required)).await,
        Err(error) => Err(error.into()),
    }
}

async fn remove_app(
    State(web): State<Web>,
    SignedIn(session): SignedIn,
    Form(sent): Form<FactorForm>,
) -> Result<Response, Problem> {
    if let Some(instead) = refused(&web, &session, REMOVE_APP, sent).await? {
        return Ok(instead);
    }
    let app = &web.app;
    match factor::remove_app(app, &session).await {
        Ok(()) => {
            let t = spoken(app, &session.actor).await?.words();
            Ok(Flash::good(t.factor_app_removed).on(own_page(&session)))
        }
        Err(OpsError::Refused(_)) => standing_page(app, &session, Some(|t| t.factor_app_needed)).await,
        Err(error) => Err(error.into()),
    }
}

async fn begin_passkey(
    State(web): State<Web>,
    SignedIn(session): SignedIn,
    Form(sent): Form<FactorForm>,
) -> Result<Response, Problem> {
    if let Some(instead) = refused(&web, &session, ADD, sent).await? {
        return Ok(instead);
    }
    match passkeys::begin(&web.app, &session).await {
        Ok(()) => Ok(Redirect::to(NEW_PASSKEY).into_response()),
        Err(OpsError::Refused(why)) if why.code == "too_many_passkeys" => {
            standing_page(&web.app, &session, Some(|t| t.passkey_most)).await
        }
        Err(error) => Err(error.into()),
    }
}

async fn new_passkey(
    State(app): State<App>,
    SignedIn(session): SignedIn,
    Device(device): Device,
) -> Result<Response, Problem> {
    if is_stale(&app, &session) {
        return Ok(prove_first(PAGE));
    }
    match passkeys::pending_registration(&app, &session).await? {
        Some(asked) => {
            let name = browser_in_words(&device.agent).unwrap_or_default();
            page(&app, &session, FactorScreen::Passkey(written(asked), name), None).await
        }
        None => Ok(Redirect::to(PAGE).into_response()),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Making {
    #[serde(default)]
    name: String,
    #[serde(default)]
    passkey: String,
}

async fn add_passkey(
    State(app): State<App>,
    SignedIn(session): SignedIn,
    Form(sent): Form<Making>,
) -> Result<Response, Problem> {
    if is_stale(&app, &session) {
        return Ok(prove_first(PAGE));
    }
    let Some(made) = webauthn::read(&sent.passkey) else {
        return standing_page(&app, &session, Some(|t| t.passkey_failed)).await;
    };
    match passkeys::add(&app, &session, &sent.name, &made).await? {
        Added::Done(codes) if codes.is_empty() => {
            let t = spoken(&app, &session.actor).await?.words();
            Ok(Flash::good(t.passkey_added).on(own_page(&session)))
        }
        Added::Done(codes) => page(&app, &session, FactorScreen::Codes(codes), None).await,
        Added::Refused => standing_page(&app, &session, Some(|t| t.passkey_wrong)).await,
        Added::Gone => standing_page(&app, &session, Some(|t| t.passkey_gone)).await,
    }
}

async fn remove_passkey(
    State(web): State<Web>,
    SignedIn(session): SignedIn,
    Form(sent): Form<FactorForm>,
) -> Result<Response, Problem> {
    let (app, id) = (&web.app, sent.id.clone().unwrap_or_default());
    if let Some(instead) = refused(&web, &session, REMOVE, sent).await? {
        return Ok(instead);
    }
    match passkeys::remove(app, &session, &id).await {
        Ok(()) => {
            let t = spoken(app, &session.actor).await?.words();
            Ok(Flash::good(t.passkey_removed).on(own_page(&session)))
        }
        Err(OpsError::Refused(_)) => standing_page(app, &session, Some(|t| t.passkey_last)).await,
        Err(error) => Err(error.into()),
    }
}

#[derive(Template)]
#[template(path = "users/code.html")]
struct CodePage {
    title: &'static str,
    language: Language,
    t: &'static Words,
    version: &'static str,
    home: &'static str,
    next: String,
    has_app: bool,
    passkey: Option<Button>,
    /// It took too long, or was never started.
    over: bool,
    why: Option<&'static str>,
}

#[derive(Deserialize)]
struct CodeParams {
    next: Option<String>,
}

/// The form for the second factor of a halfway sign-in, or the way back to the start.
pub async fn code_page(
    app: &App,
    headers: &HeaderMap,
    next: Option<String>,
    why: Option<fn(&Words) -> &'static str>,
) -> Result<Response, Problem> {
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
        None if partner => requested_language(headers),
        None => Language::English,
    };
    let t = language.words();
    let over = person.is_none();
    let (mut has_app, mut passkey) = (true, None);
    if let Some(person) = &person {
        let standing = factor::standing(app, &mut app.store.read().await?, person.id, person.role).await?;
        let can = passkeys::is_here(app) && !standing.passkeys.is_empty();
        (has_app, passkey) = (standing.since.is_some(), can.then(Button::second));
    }
    let page = CodePage {
        title: if passkey.is_some() { t.prove } else { t.code },
        language,
        t,
        version: assets_version(),
        home: if partner { session::PORTAL_LOGIN } else { "/login" },
        next: next.unwrap_or_default(),
        has_app,
        passkey,
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

/// The same after too many attempts.
pub async fn slow_code(
    app: &App,
    headers: &HeaderMap,
    next: Option<String>,
    wait: Wait,
) -> Result<Response, Problem> {
    Ok(too_many(code_page(app, headers, next, Some(|t| t.login_slow)).await?, wait))
}

async fn code_form(
    State(app): State<App>,
    headers: HeaderMap,
    Query(params): Query<CodeParams>,
) -> Result<Response, Problem> {
    code_page(&app, &headers, params.next, None).await
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
    Extension(from): Extension<ClientNetwork>,
    headers: HeaderMap,
    Device(browser): Device,
    Form(sent): Form<CodeSent>,
) -> Result<Response, Problem> {
    let app = &web.app;
    let half = session::half_way(&headers).unwrap_or_default();
    let Some(person) = people::half_way(app, half).await? else {
        return code_page(app, &headers, sent.next, None).await;
    };
    let email = person.email.clone().unwrap_or_default();
    let known = session::is_known_by_code(app, &headers, &email);
    let tried = web.tries.code(&person.id.to_string(), from.0, known, app.clock.now());
    if let Err(wait) = web.tried(tried).await? {
        return slow_code(app, &headers, sent.next, wait).await;
    }
    match people::finish(app, half, SecondFactor::Code(&sent.code), &browser).await? {
        SecondFactorOutcome::In(token) => {
            Ok(session::whole_way(app, &headers, &email, &token, sent.next.as_deref()))
        }
        SecondFactorOutcome::Wrong | SecondFactorOutcome::WrongPasskey => {
            code_page(app, &headers, sent.next, Some(|t| t.factor_wrong)).await
        }
        SecondFactorOutcome::Used => code_page(app, &headers, sent.next, Some(|t| t.factor_used)).await,
        SecondFactorOutcome::Unreadable => {
            let mut page = code_page(app, &headers, sent.next, Some(|t| t.factor_unreadable)).await?;
            // Nothing is wrong with what they have sent.
            *page.status_mut() = StatusCode::CONFLICT;
            Ok(page)
        }
        SecondFactorOutcome::Elsewhere => Ok(provider::elsewhere()),
        SecondFactorOutcome::Over => code_page(app, &headers, sent.next, None).await,
    }
}
