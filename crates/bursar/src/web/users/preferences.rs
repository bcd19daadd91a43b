//! Personal preferences: color theme, time zone and keyboard shortcuts, which do not change content; and sessions. The
//! password is changed in `password`.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;

use payout::access::Permission;

use super::account::{self, EndSessionForm};
use crate::app::App;
use crate::ops::people::provider::links::{self, Identity};
use crate::ops::preferences;
use crate::store::preferences::{Preferences, Theme};
use crate::web::kit::form::Form;
use crate::web::kit::format::{When, when};
use crate::web::kit::layout::{Flash, Frame, MenuItem, PageContext};
use crate::web::kit::problem::Problem;
use crate::web::kit::route::{Access, Route, get, post};
use crate::web::kit::session::SignedIn;

pub fn routes() -> Vec<Route> {
    let reads = Access::May(Permission::Read);
    vec![
        get(PAGE, reads, show),
        post("/me/preferences", reads, prefer),
        post("/me/sessions", reads, end_sessions),
        post("/me/provider", reads, unlink).step_up("Unlink your account at the provider"),
    ]
}

const PAGE: &str = "/me";

/// A session, as shown to our own people.
pub(super) struct Row {
    pub id: String,
    pub name: String,
    pub address: Option<String>,
    pub since: When,
    pub seen: When,
    pub here: bool,
}

impl From<account::Device> for Row {
    fn from(one: account::Device) -> Self {
        Self {
            id: one.id,
            name: one.name.unwrap_or_else(|| "An unnamed browser".to_owned()),
            address: one.address,
            since: When(one.since),
            seen: When(one.seen),
            here: one.here,
        }
    }
}

#[derive(Template)]
#[template(path = "users/preferences.html")]
struct MePage {
    frame: Frame,
    themes: [(&'static str, &'static str, bool); 3],
    zones: Vec<(String, bool)>,
    devices: Vec<Row>,
    has_app: bool,
    has_passkey: bool,
    /// Their current and former accounts at identity providers.
    linked: Vec<LinkedIdentity>,
}

/// A current or former account at an identity provider.
pub(super) struct LinkedIdentity {
    pub issuer: String,
    pub subject: String,
    pub since: When,
    /// Until when, if it was unlinked.
    pub until: Option<When>,
    /// Since when it may be linked again.
    pub allowed: Option<When>,
}

impl From<Identity> for LinkedIdentity {
    fn from(one: Identity) -> Self {
        let (since, until) = (When(one.linked_at), when(one.unlinked_at));
        Self { issuer: one.issuer, subject: one.subject, since, until, allowed: when(one.allowed_at) }
    }
}

async fn show(
    State(app): State<App>,
    SignedIn(session): SignedIn,
    context: PageContext,
) -> Result<Response, Problem> {
    let mut db = app.store.read().await?;
    let devices = account::devices(&mut db, &session, app.clock.now()).await?;
    let linked = links::of(&mut db, session.actor.id).await?;
    drop(db);
    let mine = context.preferences();
    let theme = |theme: Theme| {
        let words = match theme {
            Theme::System => "Same as the system",
            Theme::Light => "Light",
            Theme::Dark => "Dark",
        };
        (theme.as_str(), words, theme == mine.theme)
    };
    let page = MePage {
        frame: context.frame("Preferences", MenuItem::Elsewhere),
        themes: Theme::ALL.map(theme),
        zones: zones(mine.zone.as_deref()),
        has_app: session.has_app,
        has_passkey: session.has_passkey,
        linked: linked.into_iter().map(LinkedIdentity::from).collect(),
        devices: devices.into_iter().map(Row::from).collect(),
    };
    context.show(&page)
}

/// The time zones of places, by name.
pub fn zones(chosen: Option<&str>) -> Vec<(String, bool)> {
    let known = jiff::tz::db().available().map(|name| name.to_string());
    let mut names: Vec<String> = known.filter(|name| is_of_a_place(name)).collect();
    names.sort_unstable();
    names
        .into_iter()
        .map(|name| {
            let here = chosen == Some(name.as_str());
            (name, here)
        })
        .collect()
}

/// `Europe/Berlin`, but not `Etc/GMT+1`, `SystemV/AST4` or `EST5EDT`.
fn is_of_a_place(name: &str) -> bool {
    const CONTINENTS: [&str; 10] = [
        "Africa",
        "America",
        "Antarctica",
        "Arctic",
        "Asia",
        "Atlantic",
        "Australia",
        "Europe",
        "Indian",
        "Pacific",
    ];
    name.split_once('/').is_some_and(|(continent, _)| CONTINENTS.contains(&continent))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PreferencesForm {
    theme: String,
    zone: Option<String>,
    shortcuts: Option<String>,
}

async fn prefer(
    State(app): State<App>,
    context: PageContext,
    Form(sent): Form<PreferencesForm>,
) -> Result<Response, Problem> {
    let off_at = context.preferences().shortcuts_off_at.unwrap_or_else(|| app.clock.now());
    let chosen = Preferences {
        theme: Theme::parse(&sent.theme).unwrap_or_default(),
        zone: sent.zone.filter(|zone| !zone.is_empty()),
        shortcuts_off_at: sent.shortcuts.is_none().then_some(off_at),
    };
    let flash = match preferences::save(&app, &context.actor, &chosen).await {
        Ok(()) => Flash::good("Your preferences are kept."),
        Err(error) => Flash::refused(error)?,
    };
    Ok(flash.on(PAGE))
}

async fn end_sessions(
    State(app): State<App>,
    SignedIn(session): SignedIn,
    Form(sent): Form<EndSessionForm>,
) -> Result<Response, Problem> {
    let flash = match account::end(&app, &session, &sent).await? {
        None => Flash::good("Signed out everywhere but here."),
        Some(true) => Flash::good("Signed out there."),
        Some(false) => Flash::good("That session had ended already."),
    };
    Ok(flash.on(PAGE))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EmptyForm {}

async fn unlink(
    State(app): State<App>,
    SignedIn(session): SignedIn,
    Form(EmptyForm {}): Form<EmptyForm>,
) -> Result<Response, Problem> {
    let flash = match links::unlink_own(&app, &session).await {
        Ok(()) => Flash::good(
            "Unlinked. That account signs in here no more, until an administrator allows it again.",
        ),
        Err(error) => Flash::refused(error)?,
    };
    Ok(flash.on(PAGE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_are_those_of_places() {
        let zones = zones(Some("Europe/Berlin"));
        assert!(zones.contains(&("Europe/Berlin".to_owned(), true)));
        assert!(zones.contains(&("America/Argentina/Ushuaia".to_owned(), false)));
        assert!(!zones.iter().any(|(name, _)| name.starts_with("Etc/") || !name.contains('/')));
    }
}
