//! Asking for the password again before money moves. Whoever proved longer ago than ten minutes who they are meets a page
//! that asks for it in the place of what they wanted to do; what they typed comes along in that page's form, so nothing is
//! lost and nothing is done before. What is deliberately not here: which forms ask (`Route::proved`), and the partners'
//! own pages, which lead to `/prove` and back.

use askama::Template;
use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};

use super::frame::{assets_version, html};
use crate::ops::people::{self, Session};
use crate::web::fault::Fault;
use crate::web::session::{is_fresh, too_many};
use crate::web::{Web, buffered};

/// The field of the password. It is taken out of a form before anything else reads or keeps it.
const PASSWORD: &str = "password";

/// What a form held.
pub struct Sent {
    fields: Vec<(String, String)>,
    password: Option<String>,
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
    why: Option<&'static str>,
}

/// Takes the password out of a form, so that nothing that is kept of the form can tell it.
///
/// # Errors
/// When the form cannot be read.
pub async fn take(request: Request) -> Result<(Request, Sent), Fault> {
    let (request, bytes) = buffered(request).await?;
    let pairs = url::form_urlencoded::parse(&bytes).into_owned();
    let (passwords, fields): (Vec<_>, Vec<_>) = pairs.partition(|(name, _)| name == PASSWORD);
    let password = passwords.into_iter().next().map(|(_, password)| password);
    let sent = Sent { fields, password };
    if sent.password.is_none() {
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
    if let Some(password) = &sent.password {
        match web.tries.prove(&session.id, web.app.clock.now()) {
            Err(wait) => {
                (why, slow) = (Some("Too many tries. Wait a minute, then try again."), Some(wait));
            }
            Ok(()) => match people::prove(&web.app, session, password).await {
                Ok(true) => return Ok(()),
                Ok(false) => why = Some("This is not your password. Try again."),
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
        why,
    };
    let page = html(&page).unwrap_or_else(IntoResponse::into_response);
    Err(Box::new(match slow {
        Some(wait) => too_many(page, wait),
        None => page,
    }))
}
