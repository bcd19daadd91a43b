//! Asking for the password again before something that matters. Whoever proved longer ago than ten minutes who they are meets
//! a page that asks for it in the place of what they wanted to do; what they typed comes along in that page's form, so
//! nothing is lost and nothing is done before. What is deliberately not here: which forms ask (`Route::proved`), and the
//! partners' own pages, which lead to `/prove` and back.

use askama::Template;
use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};

use super::frame::{assets_version, html};
use crate::ops::people::{self, Session, Shown};
use crate::web::fault::Fault;
use crate::web::session::{is_fresh, too_many};
use crate::web::{Web, buffered};

/// The fields of the password and of the second factor's code. They are taken out of a form before anything else reads or keeps
/// it.
const PASSWORD: &str = "password";
const CODE: &str = "factor_code";

/// What a form held.
pub struct Sent {
    fields: Vec<(String, String)>,
    /// The password and the code, where the form has them.
    shown: Option<Shown>,
}

/// What is asked for: by whom, where, and what it does.
pub struct Asked {
    session: Option<Session>,
    path: String,
    deed: &'static str,
}

impl Asked {
    /// What a request asks for.
    #[must_use]
    pub fn of(request: &Request, deed: &'static str) -> Self {
        let session = request.extensions().get::<Session>().cloned();
        Self { session, path: request.uri().path().to_owned(), deed }
    }
}

#[derive(Template)]
#[template(path = "proof.html")]
struct ProofPage {
    version: &'static str,
    deed: &'static str,
    path: String,
    /// The page that the form stands on, or the one above it.
    back: String,
    fields: Vec<(String, String)>,
    has_password: bool,
    has_factor: bool,
    why: Option<&'static str>,
}

/// Takes the password out of a form, so that nothing that is kept of the form can tell it.
///
/// # Errors
/// When the form cannot be read.
pub async fn take(request: Request) -> Result<(Request, Sent), Fault> {
    let (request, bytes) = buffered(request).await?;
    let pairs = url::form_urlencoded::parse(&bytes).into_owned();
    let (taken, fields): (Vec<_>, Vec<_>) = pairs.partition(|(name, _)| name == PASSWORD || name == CODE);
    let first = |of: &str| taken.iter().find(|(name, _)| name == of).map(|(_, value)| value.clone());
    let shown = first(PASSWORD).map(|password| Shown { password, code: first(CODE).unwrap_or_default() });
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
    let (mut why, mut slow) = (None, None);
    if let Some(shown) = &sent.shown {
        match web.tries.prove(&session.id, web.app.clock.now()) {
            Err(wait) => {
                (why, slow) = (Some("Too many tries. Wait a minute, then try again."), Some(wait));
            }
            Ok(()) => match people::prove(&web.app, session, shown).await {
                Ok(people::Proof::Right) => return Ok(()),
                Ok(people::Proof::WrongPassword) => why = Some("This is not your password. Try again."),
                Ok(people::Proof::WrongCode) => {
                    why = Some("This code is not right. Write the one that your app shows now.")
                }
                Ok(people::Proof::UsedCode) => {
                    why = Some("This code was used already. Wait until your app shows the next one.");
                }
                Err(error) => return Err(refuse(error.into())),
            },
        }
    }
    let has_password = people::has_password(&web.app, session.actor.id).await;
    let page = ProofPage {
        version: assets_version(),
        deed: of.deed,
        back: of.path.rsplit_once('/').map_or("/", |(above, _)| above).to_owned(),
        path: of.path.clone(),
        fields: sent.fields,
        has_password: has_password.map_err(|error| refuse(error.into()))?,
        has_factor: session.has_factor,
        why,
    };
    let page = html(&page).unwrap_or_else(IntoResponse::into_response);
    Err(Box::new(match slow {
        Some(wait) => too_many(page, wait),
        None => page,
    }))
}
