//! A partner's own login: password, sessions, language.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;

use super::PARTNERS;
use super::layout::{Frame, MenuItem, PartnerContext, moment};
use super::words::Language;
use crate::app::App;
use crate::ops::{OpsError, partners};
use crate::store::people as stored;
use crate::web::kit::form::Form;
use crate::web::kit::layout::Flash;
use crate::web::kit::problem::Problem;
use crate::web::kit::route::{Route, Web, get, post};
use crate::web::kit::session::prove_first;
use crate::web::users::{self, Button, Changed, EndSessionForm, Passwords, change_password, to_change};

pub fn routes() -> Vec<Route> {
    vec![
        get(PAGE, PARTNERS, show),
        post(PASSWORD, PARTNERS, password),
        post("/portal/account/sessions", PARTNERS, end_sessions),
        post("/portal/language", PARTNERS, language),
    ]
}

const PAGE: &str = "/portal/account";
const PASSWORD: &str = "/portal/account/password";

struct Device {
    id: String,
    device: String,
    since: String,
    here: bool,
}

#[derive(Template)]
#[template(path = "portal/account.html")]
struct OwnPage {
    frame: Frame,
    email: String,
    has_password: bool,
    has_factor: bool,
    has_app: bool,
    passkey: Option<Button>,
    sessions: Vec<Device>,
}

async fn show(State(app): State<App>, context: PartnerContext) -> Result<Response, Problem> {
    let t = context.t();
    let mut db = app.store.read().await?;
    let me = stored::by_id(&mut db, context.actor().id).await?;
    let device = |one: users::Device| Device {
        device: one.name.unwrap_or_else(|| t.unknown_device.to_owned()),
        since: match &one.address {
            Some(address) => t.since.replace("{address}", address),
            None => t.since_somewhere.to_owned(),
        }
        .replace("{moment}", &moment(one.since))
        .replace("{seen}", &moment(one.seen)),
        here: one.here,
        id: one.id,
    };
    let sessions = users::devices(&mut db, &context.session, app.clock.now()).await?;
    let page = OwnPage {
        frame: context.frame(t.account, MenuItem::Own),
        email: me.as_ref().and_then(|me| me.email.clone()).unwrap_or_default(),
        has_password: me.is_some_and(|me| me.password_hash.is_some()),
        has_factor: context.session.has_factor(),
        has_app: context.session.has_app,
        passkey: Button::to_prove(&app, &context.session, &to_change(PASSWORD)),
        sessions: sessions.into_iter().map(device).collect(),
    };
    context.show(&page)
}

async fn password(
    State(web): State<Web>,
    context: PartnerContext,
    Form(sent): Form<Passwords>,
) -> Result<Response, Problem> {
    let t = context.t();
    let flash = match change_password(&web, &context.session, PASSWORD, &sent).await? {
        Changed::Done => Flash::good(t.password_changed),
        Changed::Slow => Flash::bad(t.login_slow),
        Changed::WrongCode => Flash::bad(t.factor_wrong),
        Changed::UsedCode => Flash::bad(t.factor_used),
        Changed::WrongPasskey => Flash::bad(t.passkey_wrong),
        Changed::Unreadable => Flash::bad(t.factor_unreadable),
        Changed::Wrong => Flash::bad(t.password_wrong),
        Changed::NotTheSame => Flash::bad(t.not_the_same),
        Changed::ProveFirst => return Ok(prove_first(PAGE)),
        Changed::Refused(OpsError::Refused(refusal)) => Flash::bad(t.password_refused(refusal.code)),
        Changed::Refused(error) => return Err(error.into()),
    };
    Ok(flash.on(PAGE))
}

async fn end_sessions(
    State(app): State<App>,
    context: PartnerContext,
    Form(sent): Form<EndSessionForm>,
) -> Result<Response, Problem> {
    let message = match users::end_session(&app, &context.session, &sent).await? {
        None => context.t().signed_out_elsewhere,
        Some(_) => context.t().signed_out_there,
    };
    Ok(Flash::good(message).on(PAGE))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LanguageForm {
    #[serde(default)]
    language: String,
    /// The page to return to.
    #[serde(default)]
    back: String,
}

async fn language(
    State(app): State<App>,
    context: PartnerContext,
    Form(sent): Form<LanguageForm>,
) -> Result<Response, Problem> {
    let Some(language) = Language::parse(&sent.language) else { return Err(Problem::missing()) };
    partners::choose_language(&app, context.actor(), context.partner.id, language.code()).await?;
    let places = context.frame("", MenuItem::Home).menu();
    let back = places.into_iter().map(|(_, address, _)| address).find(|address| *address == sent.back);
    Ok(Flash::good(language.words().language_saved).on(back.unwrap_or("/portal")))
}
