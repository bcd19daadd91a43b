//! The layout of every page: the menu, the signed-in person, and the flash message of the last form, shown once on the
//! next page. Not here: the pages.

use std::sync::LazyLock;

use askama::Template;
use axum::extract::{FromRef, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Redirect, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use payout::access::{Permission, allows};
use payout::eligibility::Scope;
use payout::transaction::Status;

use super::format;
use super::problem::Problem;
use super::route::{Access, Route, get};
use super::session::unauthenticated;
use crate::app::{Actor, App};
use crate::ops::home::{self, Badges};
use crate::ops::people::Session;
use crate::ops::{OpsError, brake, safe_mode, settings};
use crate::store::preferences::{Preferences, Theme};
use crate::store::put_back;

const COOKIE: &str = "bursar_told";
/// Cookies hold about four thousand bytes; base64 takes a third more.
const MOST_FLASH_BYTES: usize = 2_600;

/// A page's place in the menu.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MenuItem {
    Home,
    /// The page that links to the others.
    RewardSettings,
    Rewards,
    Claims,
    /// Payments, their status and totals.
    Dashboard,
    PayoutSettings,
    Outbox,
    /// Everyone who can be paid.
    Partners,
    /// Files of rewards, partners, accounts and activities.
    Imports,
    Programs,
    Activity,
    /// Everyone who signs in, and API keys.
    People,
    /// The vendors' movements of our balance, compared with the books.
    Reconciliation,
    Exports,
    /// A page that is not in the menu.
    Elsewhere,
}

pub struct Entry {
    pub words: &'static str,
    pub address: &'static str,
    /// Whether it is the current page.
    pub here: bool,
    /// The number of items waiting there, and its label.
    pub badge: Option<(String, &'static str)>,
}

impl Entry {
    /// Adds a badge with the number of waiting items, if any.
    fn waiting(mut self, number: i64, words: &'static str) -> Self {
        let most = home::MOST_ON_A_BADGE;
        let label = if number > most { format!("{most}+") } else { number.to_string() };
        self.badge = (number > 0).then_some((label, words));
        self
    }
}

/// The layout of one page.
pub struct Frame {
    pub title: String,
    /// The names of the signed-in person and their role.
    pub me: (String, &'static str),
    /// The CSRF token of the session's forms.
    pub csrf: String,
    /// The flash message of the last form.
    pub told: Option<Flash>,
    /// `light` or `dark`; empty to follow the system.
    pub theme: &'static str,
    pub shortcuts: bool,
    pub pays: bool,
    /// Whether safe mode is on: nothing is sent.
    pub safe_mode: bool,
    /// Whether there are unsettled found payments: those the vendors have and this database does not.
    pub found: bool,
    /// If a violated invariant has stopped payments: whether this person may see which.
    pub braked: Option<bool>,
    /// The entry of the home page.
    pub home: Option<Entry>,
    pub rewards: Vec<Entry>,
    /// The heading entry of those.
    pub reward_settings: Entry,
    pub others: Vec<Entry>,
    /// The page's place in the menu.
    pub place: MenuItem,
}

impl Frame {
    /// The statuses of a payment and their meanings.
    pub fn statuses(&self) -> Vec<(format::Chip, &'static str)> {
        Status::ALL.iter().map(|status| (format::status_chip(*status), status.meaning())).collect()
    }

    /// The flash message, if it belongs to this part of the page.
    pub fn flash_in(&self, place: &str) -> Option<&Flash> {
        self.told.as_ref().filter(|told| !place.is_empty() && told.place == place)
    }

    /// The name of the reader's time zone.
    pub fn zone(&self) -> String {
        format::zone_name()
    }

    /// The version of our assets, so that browsers may cache each version forever.
    pub fn assets(&self) -> &'static str {
        assets_version()
    }

    /// The section of the help page for the current page.
    pub fn help(&self) -> &'static str {
        match self.place {
            MenuItem::RewardSettings | MenuItem::Rewards | MenuItem::Imports | MenuItem::Programs => {
                "/help#rewards"
            }
            MenuItem::Claims => "/help#pay",
            MenuItem::Dashboard => "/help#statuses",
            MenuItem::PayoutSettings => "/help#vendors",
            MenuItem::Partners => "/help#partners",
            MenuItem::Reconciliation => "/help#stuck",
            MenuItem::Home
            | MenuItem::Outbox
            | MenuItem::Activity
            | MenuItem::People
            | MenuItem::Exports
            | MenuItem::Elsewhere => "/help",
        }
    }

    /// The badge of a menu entry.
    pub fn waiting(&self, address: &str) -> Option<&(String, &'static str)> {
        self.rewards.iter().find(|line| line.address == address)?.badge.as_ref()
    }

    /// The keyboard shortcuts, as in the script, and their labels.
    pub fn keys(&self) -> [(&'static str, &'static str); 11] {
        [
            ("/", "Search"),
            ("?", "These keys"),
            ("g h", "Go Home"),
            ("g r", "Go to the Reward List"),
            ("g c", "Go to Review Claims"),
            ("g d", "Go to Payout Dashboard"),
            ("g p", "Go to Partners"),
            ("g s", "Go to Payout Settings"),
            ("j k", "The next or the previous row; Enter opens it"),
            ("x", "Tick the row; with Shift and a click, all rows between"),
            ("e", "Edit the row"),
        ]
    }
}

/// The flash message: the result of a form.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub struct Flash {
    /// How it looks: `good`, `bad`, `warn` or `note`.
    pub tone: String,
    pub words: String,
    /// The details, one by one.
    pub items: Vec<String>,
    /// The part of the page that shows it; empty for the top.
    #[serde(default)]
    pub place: String,
}

impl Flash {
    fn of(tone: &str, words: String) -> Self {
        Self { tone: tone.to_owned(), words, items: Vec::new(), place: String::new() }
    }

    pub fn good(words: impl Into<String>) -> Self {
        Self::of("good", words.into())
    }

    /// Shows the message in a part of the page, which must support it.
    pub fn within(mut self, place: &str) -> Self {
        place.clone_into(&mut self.place);
        self
    }

    pub fn bad(words: impl Into<String>) -> Self {
        Self::of("bad", words.into())
    }

    /// It was done only partly.
    pub fn warn(words: impl Into<String>) -> Self {
        Self::of("warn", words.into())
    }

    pub fn listing(mut self, items: impl IntoIterator<Item = String>) -> Self {
        self.items.extend(items);
        self
    }

    /// The message for a refusal.
    ///
    /// # Errors
    /// The error, if it is an internal one and not a refusal.
    pub fn refused(error: OpsError) -> Result<Self, Problem> {
        match error {
            OpsError::Refused(refusal) | OpsError::Conflict(refusal) | OpsError::Unreachable(refusal) => {
                Ok(Self::bad(refusal.sentence))
            }
            OpsError::Blocked(blockers) => {
                let mut items: Vec<String> = blockers
                    .iter()
                    .map(|blocker| {
                        let about = blocker.called.as_ref().filter(|_| blocker.code.scope() != Scope::Batch);
                        let about = about.map(|name| format!("{name}: ")).unwrap_or_default();
                        format!("{about}{} {}", blocker.message(), blocker.remedy())
                    })
                    .collect();
                items.dedup();
                Ok(Self::bad("At least one gate is closed, so nothing was done.").listing(items))
            }
            OpsError::Missing | OpsError::Internal(_) => Err(error.into()),
        }
    }

    /// Redirects to a page, which shows the message.
    pub fn on(self, address: &str) -> Response {
        let json = serde_json::to_string(&self.fitting()).unwrap_or_default();
        let value = URL_SAFE_NO_PAD.encode(json);
        let mut response = Redirect::to(address).into_response();
        set_cookie(&mut response, &format!("{COOKIE}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age=60"));
        response
    }

    /// Drops the details that do not fit in a cookie.
    fn fitting(mut self) -> Self {
        let mut room = MOST_FLASH_BYTES.saturating_sub(self.words.len());
        let fits = |item: &&String| {
            let takes = item.len() + 3;
            let fits = takes <= room;
            room = room.saturating_sub(takes);
            fits
        };
        let fitting = self.items.iter().take_while(fits).count();
        if fitting < self.items.len() {
            self.items.truncate(fitting);
            self.items.push("…".to_owned());
        }
        self
    }

    fn read(headers: &HeaderMap) -> Option<Self> {
        let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut pairs =
            cookies.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
        let (_, value) = pairs.find(|(name, _)| *name == COOKIE)?;
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(value).ok()?).ok()
    }
}

fn set_cookie(response: &mut Response, cookie: &str) {
    if let Ok(value) = HeaderValue::from_str(cookie) {
        response.headers_mut().append(header::SET_COOKIE, value);
    }
}

pub struct PageContext {
    pub actor: Actor,
    csrf: String,
    flash: Option<Flash>,
    preferences: Preferences,
    /// Whether payouts are turned on; if not, their pages are hidden.
    pub pays: bool,
    safe_mode: bool,
    found: bool,
    braked: bool,
    badges: Badges,
}

impl<S: Sync> FromRequestParts<S> for PageContext
where
    App: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let session = parts.extensions.get::<Session>().ok_or_else(unauthenticated)?.clone();
        Self::of(&App::from_ref(state), session, Flash::read(&parts.headers)).await
    }
}

impl PageContext {
    /// The page context of this session's person.
    pub async fn of(app: &App, session: Session, told: Option<Flash>) -> Result<Self, Problem> {
        let mut db = app.store.read().await?;
        let rules = settings::load(&mut db).await?;
        let safe_mode = safe_mode::on(&mut db).await?;
        let found = put_back::any_found(&mut db, None).await?;
        let braked = brake::on(&mut db).await?;
        // Badges are optional: a page must not fail because they cannot be computed.
        let badges =
            home::badges(&mut db, &session.actor, &rules, app.clock.now()).await.unwrap_or_else(|error| {
                tracing::error!(?error, "what the menu counts cannot be read; it counts nothing");
                home::Badges::default()
            });
        let (actor, csrf) = (session.actor, session.csrf);
        let (pays, preferences) = (rules.enabled, session.preferences);
        Ok(Self { actor, csrf, flash: told, preferences, pays, safe_mode, found, braked, badges })
    }

    pub fn may(&self, permission: Permission) -> bool {
        allows(self.actor.role, permission)
    }

    /// The layout of a page at this place of the menu.
    pub fn frame(&self, title: impl Into<String>, place: MenuItem) -> Frame {
        let entry = |words, address, of| Entry { words, address, here: of == place, badge: None };
        let (reads, waits) = (self.may(Permission::Read), self.badges);
        let mut rewards = vec![
            entry("Reward List", "/rewards", MenuItem::Rewards).waiting(waits.to_review, "to review"),
            entry("Review Claims", "/claims", MenuItem::Claims).waiting(waits.to_release, "to release"),
            entry("Payout Dashboard", "/dashboard/summary", MenuItem::Dashboard)
                .waiting(waits.attention, "need attention"),
            entry("Payout Settings", "/settings/payouts", MenuItem::PayoutSettings),
            entry("Outbox", "/outbox", MenuItem::Outbox),
        ];
        rewards.retain(|line| self.pays || !matches!(line.address, "/claims" | "/dashboard/summary"));
        let audits = self.may(Permission::Audit);
        let activity = audits.then(|| entry("Activity", "/activity", MenuItem::Activity));
        let imports = LOOKS.admits(self.actor.role);
        let imports = imports.then(|| entry("Imports", "/imports", MenuItem::Imports));
        let partners = reads.then(|| entry("Partners", "/partners", MenuItem::Partners));
        let programs = reads.then(|| entry("Programs", "/programs", MenuItem::Programs));
        let administers = self.may(Permission::Administer);
        let people = administers.then(|| entry("People and keys", "/people", MenuItem::People));
        let reconciliation = reads && self.pays;
        let reconciliation =
            reconciliation.then(|| entry("Reconciliation", "/reconciliation", MenuItem::Reconciliation));
        let reconciliation = reconciliation.map(|line| line.waiting(waits.differences, "to explain"));
        let exports = reads.then(|| entry("Exports", "/exports", MenuItem::Exports));
        Frame {
            title: title.into(),
            me: (self.actor.name.clone(), self.actor.role.label()),
            csrf: self.csrf.clone(),
            told: self.flash.clone(),
            theme: match self.preferences.theme {
                Theme::System => "",
                chosen @ (Theme::Light | Theme::Dark) => chosen.as_str(),
            },
            shortcuts: self.preferences.shortcuts_off_at.is_none(),
            home: reads.then(|| entry("Home", "/", MenuItem::Home)),
            rewards: if reads { rewards } else { Vec::new() },
            pays: self.pays,
            safe_mode: self.safe_mode && reads,
            found: self.found && !self.safe_mode && reads,
            braked: (self.braked && reads).then_some(audits),
            reward_settings: entry("Rewards", "/rewards/settings", MenuItem::RewardSettings),
            others: [partners, programs, imports, reconciliation, exports, activity, people]
                .into_iter()
                .flatten()
                .collect(),
            place,
        }
    }

    pub fn preferences(&self) -> &Preferences {
        &self.preferences
    }

    /// The flash message, if it has not been shown yet.
    pub fn take_flash(&self) -> Option<Flash> {
        self.flash.clone()
    }

    /// Sets the message for a page that shows its own form again after a refusal.
    pub fn telling(mut self, flash: Flash) -> Self {
        self.flash = Some(flash);
        self
    }

    /// Renders the page and clears the flash cookie.
    ///
    /// # Errors
    /// If a template fails to render, which would be our bug.
    pub fn show(&self, page: &impl Template) -> Result<Response, Problem> {
        let mut response = html(page)?;
        if self.flash.is_some() {
            set_cookie(&mut response, &format!("{COOKIE}=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0"));
        }
        Ok(response)
    }
}

pub fn html(page: &impl Template) -> Result<Response, Problem> {
    let text = page.render().map_err(|error| Problem::internal(&error))?;
    Ok(([(header::CONTENT_TYPE, "text/html; charset=utf-8")], text).into_response())
}

pub const CSS: &str = include_str!("../../../assets/app.css");
/// The script that every page loads.
pub const JS: &str = include_str!("../../../assets/app.js");
pub const MARK: &str = include_str!("../../../assets/mark.svg");

/// The version of our assets: a hash of their content.
pub fn assets_version() -> &'static str {
    static VERSION: LazyLock<String> = LazyLock::new(|| {
        let hash = Sha256::digest([CSS, JS, MARK].concat());
        hash.iter().take(6).map(|byte| format!("{byte:02x}")).collect()
    });
    &VERSION
}

/// An asset of ours, cacheable forever because its URL contains the version.
fn asset(text: &'static str, kind: &'static str) -> Response {
    let kept = "public, max-age=31536000, immutable";
    ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, kept)], text).into_response()
}

/// The routes of the assets that every page loads.
pub fn routes() -> Vec<Route> {
    let css = async || asset(CSS, "text/css; charset=utf-8");
    let js = async || asset(JS, "text/javascript; charset=utf-8");
    let mark = async || asset(MARK, "image/svg+xml; charset=utf-8");
    vec![
        get("/assets/app.css", Access::Open, css),
        get("/assets/app.js", Access::Open, js),
        get("/assets/mark.svg", Access::Open, mark),
    ]
}

/// Who may view imports of any kind.
pub const LOOKS: Access =
    Access::MayAny(&[Permission::Review, Permission::ManagePartners, Permission::Audit]);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_fits_into_a_cookie_and_is_read_back() {
        let items = (0..2_000).map(|number| format!("RW-{number:06} is not pending"));
        let response = Flash::warn("2,000 were skipped.").listing(items).on("/rewards");
        let cookie = response.headers()[header::SET_COOKIE].to_str().unwrap();
        assert!(cookie.len() < 4_000, "{}", cookie.len());
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, cookie.split(';').next().unwrap().parse().unwrap());
        let flash = Flash::read(&headers).unwrap();
        assert_eq!(flash.words, "2,000 were skipped.");
        assert_eq!(flash.items.last().map(String::as_str), Some("…"));
        assert!(flash.items.len() > 20);
    }

    #[test]
    fn a_small_budget_is_kept() {
        // Including comments; browsers cache it for a year.
        assert!(CSS.len() <= 40 * 1024, "{}", CSS.len());
        assert!(JS.len() <= 20 * 1024, "{}", JS.len());
    }
}
