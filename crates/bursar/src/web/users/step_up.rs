//! Asking for the password again before something that matters. Whoever proved longer ago than ten minutes who they are meets
//! a page that asks for it in the place of what they wanted to do; what they typed comes along in that page's form, so
//! nothing is lost and nothing is done before. A passkey does in the place of the password; it signs what is done by it, so the
//! page says that in words. What is deliberately not here: which forms ask (`Route::proved`), and the partners' own pages,
//! which lead to `/prove` and back.

use askama::Template;
use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};

use super::passkey_button::Button;
use crate::app::App;
use crate::ops::people::passkeys::{self, Deed};
use crate::ops::people::provider::links;
use crate::ops::people::{self, Proof, Session, Shown};
use crate::web::kit::extract::buffered;
use crate::web::kit::layout::{assets_version, html};
use crate::web::kit::problem::Fault;
use crate::web::kit::route::Web;
use crate::web::kit::session::{again_at_provider, is_fresh, too_many};
use crate::web::portal::{Language, Words};
use crate::webauthn;

/// The fields of the password, of the second factor's code, and of the passkey in the place of both. They are taken out of a
/// form before anything else reads or keeps it.
const PASSWORD: &str = "password";
const CODE: &str = "factor_code";
const PASSKEY: &str = "passkey";
const OF_THE_PROOF: [&str; 3] = [PASSWORD, CODE, PASSKEY];

pub enum Evidence {
    /// Their password, and a code where they have a second factor.
    Words(Shown),
    /// A passkey; nothing when what was sent cannot be read.
    Passkey(Option<webauthn::Shown>),
}

impl Evidence {
    /// What a form holds of it.
    pub fn of(password: String, code: String, passkey: Option<&str>) -> Self {
        match passkey.filter(|passkey| !passkey.is_empty()) {
            Some(passkey) => Self::Passkey(webauthn::read(passkey)),
            None => Self::Words(Shown { password, code }),
        }
    }

    /// Whether it proves for this deed who they are.
    pub async fn prove(&self, app: &App, session: &Session, deed: &Deed) -> Result<Proof, Fault> {
        match self {
            Self::Words(shown) => Ok(people::prove(app, session, shown).await?),
            Self::Passkey(Some(shown)) => Ok(passkeys::prove(app, session, deed, shown).await?),
            Self::Passkey(None) => Ok(Proof::WrongPasskey),
        }
    }
}

/// Going on to a page that asks for a proof.
pub fn to_go_on(next: &str) -> Deed {
    Deed::of("/prove", [("next", next)])
}

/// The name of the provider where somebody can prove who they are, and the address that leads there and then to `next`.
pub async fn by_provider(
    app: &App,
    session: &Session,
    next: &str,
) -> Result<Option<(String, String)>, Fault> {
    let Some(name) = app.config.oidc.called() else { return Ok(None) };
    let can = links::can_prove(app, session.actor.id).await?;
    Ok(can.then(|| (name, again_at_provider(next))))
}

pub struct Sent {
    fields: Vec<(String, String)>,
    /// The password and the code, or the passkey, where the form has them.
    shown: Option<Evidence>,
}

/// What is asked for: by whom, where, and what it does.
pub struct Asked {
    session: Option<Session>,
    path: String,
    /// It has no query, as the form of the proof's page has none.
    whole: bool,
    deed: &'static str,
}

impl Asked {
    /// What a request asks for.
    pub fn of(request: &Request, deed: &'static str) -> Self {
        let session = request.extensions().get::<Session>().cloned();
        let whole = request.uri().query().is_none();
        Self { session, path: request.uri().path().to_owned(), whole, deed }
    }
}

#[derive(Template)]
#[template(path = "users/step_up.html")]
struct ProofPage {
    version: &'static str,
    csrf: String,
    deed: &'static str,
    path: String,
    /// The page that the form stands on, or the one above it.
    back: String,
    fields: Vec<(String, String)>,
    has_password: bool,
    has_factor: bool,
    has_app: bool,
    passkey: Option<Button>,
    /// They can prove it at the provider they sign in with: its name, and the address that leads there.
    provider: Option<(String, String)>,
    why: Option<&'static str>,
    /// What is said of passkeys.
    t: &'static Words,
}

/// Takes the password out of a form, so that nothing that is kept of the form can tell it.
///
/// # Errors
/// When the form cannot be read.
pub async fn take(request: Request) -> Result<(Request, Sent), Fault> {
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
    let sent = Sent { fields, shown };
    if sent.shown.is_none() && taken.is_empty() {
        return Ok((request, sent));
    }
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    form.extend_pairs(&sent.fields);
    let (mut parts, _) = request.into_parts();
    parts.headers.remove(axum::http::header::CONTENT_LENGTH);
    Ok((Request::from_parts(parts, Body::from(form.finish())), sent))
}

/// Lets through whoever has just proved who they are, or proves it with this form.
///
/// # Errors
/// The page that asks for the password, when they have not; nothing was done then.
pub async fn ask(web: &Web, of: &Asked, sent: Sent) -> Result<(), Box<Response>> {
    let Some(session) = &of.session else { return Ok(()) };
    if is_fresh(session, web.app.clock.now()) {
        return Ok(());
    }
    let refuse = |fault: Fault| Box::new(fault.into_response());
    let deed = Deed::of(&of.path, sent.fields.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    let t = Language::English.words();
    let (mut why, mut slow) = (None, None);
    if let Some(shown) = &sent.shown {
        match web.tries.prove(&session.id, web.app.clock.now()) {
            Err(wait) => {
                (why, slow) = (Some("Too many tries. Wait a minute, then try again."), Some(wait));
            }
            // A query would not be a part of what is signed.
            Ok(()) if !of.whole && matches!(shown, Evidence::Passkey(_)) => why = Some(t.passkey_wrong),
            Ok(()) => match shown.prove(&web.app, session, &deed).await {
                Ok(Proof::Right) => return Ok(()),
                Ok(Proof::WrongPassword) => why = Some("This is not your password. Try again."),
                Ok(Proof::WrongCode) => {
                    why = Some("This code is not right. Write the one that your app shows now.")
                }
                Ok(Proof::UsedCode) => {
                    why = Some("This code was used already. Wait until your app shows the next one.");
                }
                Ok(Proof::WrongPasskey) => why = Some(t.passkey_wrong),
                Ok(Proof::Unreadable) => why = Some(t.factor_unreadable),
                Err(fault) => return Err(refuse(fault)),
            },
        }
    }
    let has_password = people::has_password(&web.app, session.actor.id).await;
    let back = of.path.rsplit_once('/').map_or("/", |(above, _)| above).to_owned();
    let provider = by_provider(&web.app, session, &back).await;
    let page = ProofPage {
        version: assets_version(),
        csrf: session.csrf.clone(),
        deed: of.deed,
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
