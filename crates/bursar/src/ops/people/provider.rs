//! Signing in with the provider of one's own company: who was sent there, and who they are here when they come back. An
//! identity is its issuer and subject; the first time, it is linked to the login of the same address, which the provider must
//! have verified. Nothing that it signed counts before a second factor of ours was shown, where there is one. What is
//! deliberately not here: asking the provider and believing what it signed (`work::provider`), what counts once somebody is in
//! (`settle`), taking a link away again (`links`), and partners, who sign in with what they have here.

pub mod links;
pub(super) mod settle;

use payout::access::Role;
use payout::ids::PersonId;
use serde::{Deserialize, Serialize};

use super::sessions::{Browser, By, Entered, enter as enter_by};
use crate::app::App;
use crate::config::Oidc;
use crate::ops::Result;
use crate::secrets::{Place, token_hash};
use crate::store::people::{self, Person};
use crate::store::{Db, came_back, identities};
use crate::transact;

use settle::Provided;

/// How long somebody may take to come back.
const VISIT_US: i64 = 10 * 60 * 1_000_000;

/// What somebody is sent to the provider with.
pub struct Sent {
    /// Comes back in the address.
    pub state: String,
    /// Comes back in what the provider signs.
    pub nonce: String,
    /// Proves to the provider that it is we who were sent the code.
    pub verifier: String,
}

impl Sent {
    pub fn fresh(app: &App) -> Self {
        let secret = || app.clock.secret();
        Self { state: secret(), nonce: secret(), verifier: secret() }
    }
}

/// What their own browser keeps until they come back, sealed.
#[derive(Serialize, Deserialize)]
pub struct Visit {
    /// Must be in what the provider signs.
    pub nonce: String,
    pub verifier: String,
    /// Where they wanted to go.
    pub next: String,
    /// They were to prove there once more who they are.
    pub again: bool,
    /// Who they are here, where they were signed in: nobody else may come back.
    pub whose: Option<String>,
    /// Until when they may come back.
    until: i64,
}

/// What a browser keeps that is about to be sent to the provider; nothing is written here, since anybody may ask for it.
/// `again` is asked of whoever is to prove once more who they are.
pub fn visit(app: &App, sent: &Sent, next: &str, again: bool, whose: Option<PersonId>) -> String {
    let visit = Visit {
        nonce: sent.nonce.clone(),
        verifier: sent.verifier.clone(),
        next: next.to_owned(),
        again,
        whose: whose.map(|id| id.to_string()),
        until: app.clock.now() + VISIT_US,
    };
    let text = serde_json::to_string(&visit).unwrap_or_default();
    app.master_key.seal(&app.clock, &place(&token_hash(&sent.state)), &text)
}

/// What a browser has kept that comes back, once; nothing for one that was sent with something else, or too long ago.
pub async fn back(app: &App, state: &str, kept: &str) -> Result<Option<Visit>> {
    let (state, now) = (token_hash(state), app.clock.now());
    let text = app.master_key.open(&place(&state), kept);
    let visit: Option<Visit> = text.and_then(|text| serde_json::from_str(&text).ok());
    let Some(visit) = visit.filter(|visit| visit.until > now) else { return Ok(None) };
    let first = transact!(app, |tx| { Ok(came_back::first(tx, &state, now, visit.until).await?) })?;
    Ok(Some(visit).filter(|_| first))
}

/// A browser keeps it for minutes, so nothing from before values named their key is left.
fn place(state_hash: &str) -> Place {
    Place::kept_by_browser("visit of the provider", state_hash)
}

/// What the provider has signed about somebody.
#[derive(Clone, Debug, Default)]
pub struct Shown {
    /// The provider.
    pub issuer: String,
    /// Who they are there, for ever.
    pub subject: String,
    /// Their address, where it has one.
    pub email: Option<String>,
    /// It has verified that the address is theirs.
    pub email_is_verified: bool,
    /// Their name, where it has one.
    pub name: Option<String>,
    /// The values of the claim that says what they may do.
    pub roles: Vec<String>,
    /// Something that is required of everybody does not hold for them.
    pub lacks: Option<String>,
    /// When they proved there who they are, where it says so.
    pub proved_at: Option<i64>,
}

/// Why somebody whom the provider knows does not come in here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Why {
    /// No login is linked to them, and their address is not verified there, or there is none.
    Unverified,
    /// No login here has their address.
    Unknown,
    /// The login is shut out.
    ShutOut,
    /// The login is a partner's.
    Partners,
    /// The login of their address belongs to somebody else there.
    Taken,
    /// They were unlinked from their login here.
    Unlinked,
    /// The provider names nothing that stands for a role here.
    NoRole,
    /// A claim that must hold of everybody does not.
    NotOfUs,
    /// Somebody else was to prove who they are.
    Other,
    /// It was changed while they came in.
    Over,
}

/// Lets in whoever the provider has signed for, or half way in as with a password. `whose` is who was to prove once more who
/// they are.
pub async fn enter(
    app: &App,
    shown: &Shown,
    browser: &Browser,
    whose: Option<&str>,
) -> Result<std::result::Result<Entered, Why>> {
    if let Some(claim) = &shown.lacks {
        settle::not_of_us(app, shown, claim).await?;
        app.nudge.notify.ring();
        return Ok(Err(Why::NotOfUs));
    }
    let role = match role_of(&app.config.oidc, &shown.roles) {
        Ok(role) => role,
        Err(why) => {
            settle::without_role(app, shown).await?;
            app.nudge.notify.ring();
            return Ok(Err(why));
        }
    };
    let provided = Provided::of(shown, role, app.clock.now());
    let found = match find(&mut app.store.read().await?, shown).await? {
        Ok(found) => found,
        Err(why) => return Ok(Err(why)),
    };
    if whose.is_some() && found.as_ref().map(|person| person.id.to_string()).as_deref() != whose {
        return Ok(Err(Why::Other));
    }
    let person = match (found, role.filter(|_| app.config.oidc.make_logins)) {
        (Some(person), _) => person,
        (None, None) => return Ok(Err(Why::Unknown)),
        (None, Some(role)) => match settle::make(app, shown, &provided, role).await? {
            Some(made) => made,
            // Somebody was quicker, most likely they themselves in another window: then there they are.
            None => match find(&mut app.store.read().await?, shown).await? {
                Ok(found) => match found {
                    Some(found) => found,
                    None => return Ok(Err(Why::Over)),
                },
                Err(why) => return Ok(Err(why)),
            },
        },
    };
    let mut entered = enter_by(app, &person, browser, By::Provider(&provided)).await?;
    if entered.is_none() {
        // Something was changed since they were looked for; perhaps they were linked meanwhile, and come in by that.
        match find(&mut app.store.read().await?, shown).await? {
            Ok(Some(again)) if again.id == person.id => {
                entered = enter_by(app, &again, browser, By::Provider(&provided)).await?;
            }
            Ok(_) => {}
            Err(why) => return Ok(Err(why)),
        }
    }
    app.nudge.notify.ring();
    Ok(entered.ok_or(Why::Over))
}

/// The role that the provider's words stand for: the first of the mapping that fits; none where roles are given here.
fn role_of(oidc: &Oidc, values: &[String]) -> std::result::Result<Option<Role>, Why> {
    if oidc.role_claim.is_none() {
        return Ok(None);
    }
    let mapped = oidc.roles.iter().find(|mapped| values.contains(&mapped.value));
    mapped.map(|mapped| Some(mapped.role)).ok_or(Why::NoRole)
}

/// The login of an identity: the one it is linked to, or the one of its address, which it may be linked to; nothing where there
/// is none and one may be made.
async fn find(db: &mut Db, shown: &Shown) -> Result<std::result::Result<Option<Person>, Why>> {
    match find_now(db, shown).await? {
        // Between two statements they may have been linked themselves, by another window of theirs: asked again, it is known.
        Err(Why::Taken | Why::Unlinked) => find_now(db, shown).await,
        found => Ok(found),
    }
}

async fn find_now(db: &mut Db, shown: &Shown) -> Result<std::result::Result<Option<Person>, Why>> {
    if shown.subject.chars().any(char::is_control) {
        return Ok(Err(Why::Unverified));
    }
    if let Some(known) = identities::known(db, &shown.issuer, &shown.subject).await? {
        if known.unlinked_at.is_some() && known.allowed_at.is_none() {
            return Ok(Err(Why::Unlinked));
        }
        let person = match people::by_id(db, known.person).await?.ok_or(Why::ShutOut).and_then(ours) {
            Ok(person) => person,
            Err(why) => return Ok(Err(why)),
        };
        let is_taken = known.unlinked_at.is_some() && of_issuer(db, &person, &shown.issuer).await?.0;
        return Ok(if is_taken { Err(Why::Taken) } else { Ok(Some(person)) });
    }
    let Some(email) = address(shown) else { return Ok(Err(Why::Unverified)) };
    let Some(person) = people::by_email(db, &email).await? else { return Ok(Ok(None)) };
    let person = match ours(person) {
        Ok(person) => person,
        Err(why) => return Ok(Err(why)),
    };
    // Whoever has one account there with somebody's address may have another: after one was unlinked, somebody says which it
    // is.
    Ok(match of_issuer(db, &person, &shown.issuer).await? {
        (true, _) => Err(Why::Taken),
        (false, true) => Err(Why::Unlinked),
        (false, false) => Ok(Some(person)),
    })
}

/// Whether somebody is linked to an account at this provider, and whether one was taken away from them.
async fn of_issuer(db: &mut Db, person: &Person, issuer: &str) -> Result<(bool, bool)> {
    let all = identities::of(db, person.id).await?;
    let any = |was: bool| all.iter().any(|one| one.issuer == issuer && one.unlinked_at.is_some() == was);
    Ok((any(false), any(true)))
}

/// The address by which somebody may be linked: verified, and in ASCII, since other letters become those of somebody else's
/// address when they are made small.
fn address(shown: &Shown) -> Option<String> {
    let email = shown.email.as_deref().map(str::trim).filter(|email| email.is_ascii())?;
    let email = email.to_ascii_lowercase();
    (shown.email_is_verified && crate::ops::settings::is_address(&email)).then_some(email)
}

/// Somebody of ours who may come in.
fn ours(person: Person) -> std::result::Result<Person, Why> {
    if person.role.is_partners() || person.kind != "person" {
        return Err(Why::Partners);
    }
    if person.disabled_at.is_some() { Err(Why::ShutOut) } else { Ok(person) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_word_that_fits_says_the_role() {
        let roles = ["it=admin", "finance=payer"].map(|text| text.parse().unwrap());
        let oidc = Oidc { role_claim: Some("groups".to_owned()), roles: roles.to_vec(), ..Oidc::default() };
        let of = |values: &[&str]| {
            let values: Vec<String> = values.iter().map(|value| (*value).to_owned()).collect();
            role_of(&oidc, &values)
        };
        assert_eq!(of(&["finance"]), Ok(Some(Role::Payer)));
        assert_eq!(of(&["finance", "it"]), Ok(Some(Role::Admin)));
        assert_eq!(of(&["Finance", ""]), Err(Why::NoRole));
        assert_eq!(of(&[]), Err(Why::NoRole));
        assert_eq!(role_of(&Oidc::default(), &["it".to_owned()]), Ok(None));
    }

    #[test]
    fn only_an_address_in_ascii_is_somebodys() {
        let of = |email: &str, verified: bool| {
            address(&Shown { email: Some(email.to_owned()), email_is_verified: verified, ..Shown::default() })
        };
        assert_eq!(of(" Kim@Example.com", true).as_deref(), Some("kim@example.com"));
        assert_eq!(of("kim@example.com", false), None);
        for other in
            ["\u{212a}im@example.com", "kım@example.com", "kim@bücher.example", "kim", "kim\0@example.com"]
        {
            assert_eq!(of(other, true), None, "{other}");
        }
    }
}
