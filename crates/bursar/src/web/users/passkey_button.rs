//! The button that asks for a passkey, and the request for the device as our script reads it. Not here: signing in with
//! one (`passkeys`), adding and removing them (`second_factor`).

use serde::Serialize;

use crate::app::App;
use crate::ops::people::Session;
use crate::ops::people::passkeys::{self, PasskeyRequest, SignedAction};
use crate::webauthn::{self, ALGORITHMS};

/// Where the script gets the challenge: for a step-up, for signing in, and in place of a code.
pub const TO_PROVE: &str = "/passkey";

pub const ALONE: &str = "/login/challenge";

pub const SECOND: &str = "/login/code/challenge";

/// A button for using a passkey in place of a form's inputs.
pub struct Button {
    /// Where the script gets the challenge.
    pub at: &'static str,
    /// What the script sends to get it.
    pub send: String,
}

impl Button {
    /// For signing in with a passkey alone; `None` if passkeys cannot be used.
    pub fn alone(app: &App) -> Option<Self> {
        passkeys::is_here(app).then(|| Self { at: ALONE, send: String::new() })
    }

    /// In place of a code.
    pub fn second() -> Self {
        Self { at: SECOND, send: String::new() }
    }

    /// In place of a password and a code, for one action; `None` if they have no passkey.
    pub fn to_prove(app: &App, session: &Session, deed: &SignedAction) -> Option<Self> {
        let can = session.has_passkey && passkeys::is_here(app);
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.append_pair("csrf", &session.csrf).append_pair("deed", deed.as_str());
        can.then(|| Self { at: TO_PROVE, send: form.finish() })
    }
}

/// The request for the device, as our script reads it.
#[derive(Serialize)]
pub struct PasskeyOptions {
    challenge: String,
    site: String,
    known: Vec<String>,
    algorithms: [i64; 3],
    owner: Option<Owner>,
}

#[derive(Serialize)]
struct Owner {
    id: String,
    email: String,
    name: String,
}

impl From<PasskeyRequest> for PasskeyOptions {
    fn from(asked: PasskeyRequest) -> Self {
        Self {
            challenge: asked.challenge,
            site: asked.site,
            known: asked.known,
            algorithms: ALGORITHMS,
            owner: asked.owner.map(|owner| Owner {
                id: webauthn::text(owner.id.as_bytes()),
                email: owner.email,
                name: owner.name,
            }),
        }
    }
}

/// The request for the device, as JSON for the page.
pub fn written(asked: PasskeyRequest) -> String {
    serde_json::to_string(&PasskeyOptions::from(asked)).unwrap_or_default()
}
