//! Asks for the password again before sensitive actions. If the last step-up was more than ten minutes ago, a page asks
//! for it before the action; that page's form carries the original input along, so nothing is lost and nothing is done
//! before. A passkey can replace the password; it signs the action, so the page describes the action in words. Not here:
//! which forms require it (`Route::step_up`), and the portal's pages, which redirect to `/prove` and back.

use askama::Template;
use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};

use super::passkey_button::Button;
use crate::app::App;
use crate::ops::people::passkeys::{self, SignedAction};
use crate::ops::people::provider::links;
use crate::ops::people::{self, Credentials, Session, StepUpOutcome};
use crate::web::kit::extract::buffered;
use crate::web::kit::layout::{assets_version, html};
use crate::web::kit::problem::Problem;
use crate::web::kit::route::Web;
use crate::web::kit::session::{again_at_provider, is_fresh, too_many};
use crate::web::portal::{Language, Words};
use crate::webauthn;

/// The fields of the password, the second factor's code, and the passkey that replaces both. They are removed from a form
/// before anything else reads or stores it.
const PASSWORD: &str = "password";
const CODE: &str = "factor_code";
const PASSKEY: &str = "passkey";
const OF_THE_PROOF: [&str; 3] = [PASSWORD, CODE, PASSKEY];

pub enum Evidence {
    /// Their password, and a code if they have a second factor.
    Words(Credentials),
    /// A passkey; `None` if its data cannot be parsed.
    Passkey(Option<webauthn::Assertion>),
}

impl Evidence {
    /// The evidence in a form.
    pub fn of(password: String, code: String, passkey: Option<&str>) -> Self {
        match passkey.filter(|passkey| !passkey.is_empty()) {
            Some(passkey) => Self::Passkey(webauthn::read(passkey)),
            None => Self::Words(Credentials { password, code }),
        }
    }

    /// Verifies the evidence for this action.
    pub async fn check(
        &self,
        app: &App,
        session: &Session,
        deed: &SignedAction,
    ) -> Result<StepUpOutcome, Problem> {
        match self {
            Self::Words(shown) => Ok(people::step_up(app, session, shown).await?),
            Self::Passkey(Some(shown)) => Ok(passkeys::step_up(app, session, deed, shown).await?),
            Self::Passkey(None) => Ok(StepUpOutcome::WrongPasskey),
        }
    }
}

/// The action of continuing to a page that requires a step-up.
pub fn to_go_on(next: &str) -> SignedAction {
    SignedAction::of("/prove", [("next", next)])
}

/// The name of the identity provider, if somebody can step up with it, and the address that leads there and then to `next`.
pub async fn by_provider(
    app: &App,
    session: &Session,
    next: &str,
) -> Result<Option<(String, String)>, Problem> {
    let Some(name) = app.config.oidc.called() else { return Ok(None) };
    let can = links::can_prove(app, session.actor.id).await?;
    Ok(can.then(|| (name, again_at_provider(next))))
}

pub struct StepUpForm {
    fields: Vec<(String, String)>,
    /// The password and code, or the passkey, if the form has them.
    shown: Option<Evidence>,
}

/// The requested action: by whom, where, and what it does.
pub struct StepUpRequest {
    session: Option<Session>,
    path: String,
    /// Whether it has no query string; the step-up page's form has none.
    whole: bool,
    action: &'static str,
}

impl StepUpRequest {
    /// The action requested by a request.
    pub fn of(request: &Request, deed: &'static str) -> Self {
        let session = request.extensions().get::<Session>().cloned();
        let whole = request.uri().query().is_none();
        Self { session, path: request.uri().path().to_owned(), whole, action: deed }
    }
}

#[derive(Template)]
#[template(path = "users/step_up.html")]
struct StepUpPage {
    version: &'static str,
    csrf: String,
    deed: &'static str,
    path: String,
    /// The page with the original form, or its parent.
    back: String,
    fields: Vec<(String, String)>,
    has_password: bool,
    has_factor: bool,
    has_app: bool,
    passkey: Option<Button>,
    /// If they can step up with their identity provider: its name, and the address.
    provider: Option<(String, String)>,
    why: Option<&'static str>,
    /// The texts about passkeys, in their language.
    t: &'static Words,
}

/// Removes the credentials from a form, so that nothing stored of the form contains them.
///
/// # Errors
/// If the form cannot be parsed.
pub async fn take(request: Request) -> Result<(Request, StepUpForm), Problem> {
    let (request, bytes) = buffered(request).await?;
    let pairs = url::form_urlencoded::parse(&bytes).into_owned();
    let (taken, fields): (Vec<_>, Vec<_>) =
        pairs.partition(|(name, _)| OF_THE_PROOF.contains(&name.as_str()));
    let first = |of: &str| taken.iter().find(|(name, _)| name == of).map(|(_, value)| value.clone());
    let passkey = first(PASSKEY).filter(|passkey| !passkey.is_empty());
    let shown = match (first(PASSWORD), passkey) {
        (None, None) => None,
        (password, passkey) => {
            let (password, code) = (password.unwrap_or_default(), first(CODE).unwrap_or_default());
            Some(Evidence::of(password, code, passkey.as_deref()))
        }
    };
    let sent = StepUpForm { fields, shown };
    if sent.shown.is_none() && taken.is_empty() {
        return Ok((request, sent));
    }
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    form.extend_pairs(&sent.fields);
    let (mut parts, _) = request.into_parts();
    parts.headers.remove(axum::http::header::CONTENT_LENGTH);
    Ok((Request::from_parts(parts, Body::from(form.finish())), sent))
}

/// Lets the request through if the person has just stepped up, or does so with this form.
///
/// # Errors
/// The step-up page, if they have not; nothing was done then.
pub async fn ask(web: &Web, of: &StepUpRequest, sent: StepUpForm) -> Result<(), Box<Response>> {
    let Some(session) = &of.session else { return Ok(()) };
    if is_fresh(session, web.app.clock.now()) {
        return Ok(());
    }
    let refuse = |fault: Problem| Box::new(fault.into_response());
    let deed =
        SignedAction::of(&of.path, sent.fields.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    let t = Language::English.words();
    let (mut why, mut slow) = (None, None);
    if let Some(shown) = &sent.shown {
        let here = web.tries.check_step_up(&session.id, web.app.clock.now());
        match web.tried(here).await.map_err(refuse)? {
            Err(wait) => {
                (why, slow) = (Some("Too many tries. Wait a minute, then try again."), Some(wait));
            }
            // The query string would not be covered by the signature.
            Ok(()) if !of.whole && matches!(shown, Evidence::Passkey(_)) => why = Some(t.passkey_wrong),
            Ok(()) => match shown.check(&web.app, session, &deed).await {
                Ok(StepUpOutcome::Right) => return Ok(()),
                Ok(StepUpOutcome::WrongPassword) => why = Some("This is not your password. Try again."),
                Ok(StepUpOutcome::WrongCode) => {
                    why = Some("This code is not right. Enter the code that your app shows now.")
                }
                Ok(StepUpOutcome::UsedCode) => {
                    why = Some("This code was used already. Wait for the next code in your app.");
                }
                Ok(StepUpOutcome::WrongPasskey) => why = Some(t.passkey_wrong),
                Ok(StepUpOutcome::Unreadable) => why = Some(t.factor_unreadable),
                Err(fault) => return Err(refuse(fault)),
            },
        }
    }
    let has_password = people::has_password(&web.app, session.actor.id).await;
    let back = of.path.rsplit_once('/').map_or("/", |(above, _)| above).to_owned();
    let provider = by_provider(&web.app, session, &back).await;
    let page = StepUpPage {
        version: assets_version(),
        csrf: session.csrf.clone(),
        deed: of.action,
        provider: provider.map_err(refuse)?,
        back,
        path: of.path.clone(),
        fields: sent.fields,
        has_password: has_password.map_err(|error| refuse(error.into()))?,
        has_factor: session.has_factor(),
        has_app: session.has_app,
        passkey: Button::to_prove(&web.app, session, &deed),
        why,
        t,
    };
    let page = html(&page).unwrap_or_else(IntoResponse::into_response);
    Err(Box::new(match slow {
        Some(wait) => too_many(page, wait),
        None => page,
    }))
}
