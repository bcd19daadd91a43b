//! Single sign-on with a company's identity provider: the redirect there, and mapping the person who comes back to a login.
//! An identity is its issuer and subject; the first time, it is linked to the login with the same address, which the provider
//! must have verified. Nothing the provider signed takes effect before our second factor, if there is one. Not here: the
//! protocol and its checks (`work::provider`), what takes effect after sign-in (`settle`), unlinking (`links`), and partners,
//! who do not use single sign-on.

pub mod links;
pub(super) mod settle;

use payout::access::Role;
use payout::ids::PersonId;
use serde::{Deserialize, Serialize};

use super::browsers::Browser;
use super::sessions::{By, SignInProgress, enter as enter_by};
use crate::app::App;
use crate::config::Oidc;
use crate::ops::Result;
use crate::secrets::{SealedAt, token_hash};
use crate::store::people::{self, Person};
use crate::store::{Db, identities, used_login_states};
use crate::transact;

use settle::Provided;

/// How long we accept the redirect back.
const REDIRECT_VALID_US: i64 = 10 * 60 * 1_000_000;

/// The values sent to the provider with a redirect.
pub struct AuthorizationRequest {
    /// The `state` parameter; comes back in the URL.
    pub state: String,
    /// The `nonce`; comes back in the ID token.
    pub nonce: String,
    /// The PKCE verifier: proves that the code was issued to us.
    pub verifier: String,
}

impl AuthorizationRequest {
    pub fn fresh(app: &App) -> Self {
        let secret = || app.clock.secret();
        Self { state: secret(), nonce: secret(), verifier: secret() }
    }
}

/// What the browser stores, sealed, until it comes back.
#[derive(Serialize, Deserialize)]
pub struct PendingSignIn {
    /// Must match the ID token.
    pub nonce: String,
    pub verifier: String,
    /// The page that they requested first.
    pub next: String,
    /// Whether this is a step-up.
    pub again: bool,
    /// Who is signed in here; no one else may come back.
    pub whose: Option<String>,
    /// The redirect back is accepted until then.
    until: i64,
}

/// The sealed state for a browser about to be redirected to the provider. Stores nothing in the database, because anyone may
/// ask. `again` asks for re-authentication.
pub fn visit(
    app: &App,
    sent: &AuthorizationRequest,
    next: &str,
    again: bool,
    whose: Option<PersonId>,
) -> String {
    let visit = PendingSignIn {
        nonce: sent.nonce.clone(),
        verifier: sent.verifier.clone(),
        next: next.to_owned(),
        again,
        whose: whose.map(|id| id.to_string()),
        until: app.clock.now() + REDIRECT_VALID_US,
    };
    let text = serde_json::to_string(&visit).unwrap_or_default();
    app.master_key.seal(&app.clock, &place(&token_hash(&sent.state)), &text)
}

/// The state of a returning browser, once; `None` if it does not match or has expired.
pub async fn back(app: &App, state: &str, kept: &str) -> Result<Option<PendingSignIn>> {
    let (state, now) = (token_hash(state), app.clock.now());
    let text = app.master_key.open(&place(&state), kept);
    let visit: Option<PendingSignIn> = text.and_then(|text| serde_json::from_str(&text).ok());
    let Some(visit) = visit.filter(|visit| visit.until > now) else { return Ok(None) };
    let first = transact!(app, |tx| { Ok(used_login_states::first(tx, &state, now, visit.until).await?) })?;
    Ok(Some(visit).filter(|_| first))
}

/// Browsers keep this for minutes only, so there are no values from before sealed values named their key.
fn place(state_hash: &str) -> SealedAt {
    SealedAt::kept_by_browser("visit of the provider", state_hash)
}

/// The claims that the provider signed.
#[derive(Clone, Debug, Default)]
pub struct IdentityClaims {
    pub issuer: String,
    /// The subject: their permanent id at the provider.
    pub subject: String,
    pub email: Option<String>,
    /// Whether the provider has verified the address.
    pub email_is_verified: bool,
    pub name: Option<String>,
    /// The values of the role claim.
    pub roles: Vec<String>,
    /// A required claim that does not hold.
    pub lacks: Option<String>,
    /// When they authenticated at the provider, if given.
    pub proved_at: Option<i64>,
}

/// Why a person authenticated by the provider is not signed in here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SignInRefusal {
    /// No login is linked to them, and the provider gave no verified address.
    Unverified,
    /// No login here has their address.
    Unknown,
    /// The login here has been disabled.
    ShutOut,
    /// The login is a partner's.
    Partners,
    /// The login with their address is linked to another account at the provider.
    Taken,
    /// They were unlinked from their login here.
    Unlinked,
    /// No value of their role claim maps to a role here.
    NoRole,
    /// A required claim does not hold.
    NotOfUs,
    /// Someone else came back from a step-up.
    Other,
    /// The login changed during the sign-in.
    Over,
}

/// Signs in the person the provider authenticated, or only halfway, as with a password. `whose` is the person who must come
/// back from a step-up.
pub async fn enter(
    app: &App,
    shown: &IdentityClaims,
    browser: &Browser,
    whose: Option<&str>,
) -> Result<std::result::Result<SignInProgress, SignInRefusal>> {
    if let Some(claim) = &shown.lacks {
        settle::not_of_us(app, shown, claim).await?;
        app.nudge.notify.notify();
        return Ok(Err(SignInRefusal::NotOfUs));
    }
    let role = match role_of(&app.config.oidc, &shown.roles) {
        Ok(role) => role,
        Err(why) => {
            settle::without_role(app, shown).await?;
            app.nudge.notify.notify();
            return Ok(Err(why));
        }
    };
    let provided = Provided::of(shown, role, app.clock.now());
    let found = match find(&mut app.store.read().await?, shown).await? {
        Ok(found) => found,
        Err(why) => return Ok(Err(why)),
    };
    if whose.is_some() && found.as_ref().map(|person| person.id.to_string()).as_deref() != whose {
        return Ok(Err(SignInRefusal::Other));
    }
    let person = match (found, role.filter(|_| app.config.oidc.make_logins)) {
        (Some(person), _) => person,
        (None, None) => return Ok(Err(SignInRefusal::Unknown)),
        (None, Some(role)) => match settle::make(app, shown, &provided, role).await? {
            Some(made) => made,
            // Another sign-in created the login first, most likely their own in another window; use that one.
            None => match find(&mut app.store.read().await?, shown).await? {
                Ok(found) => match found {
                    Some(found) => found,
                    None => return Ok(Err(SignInRefusal::Over)),
                },
                Err(why) => return Ok(Err(why)),
            },
        },
    };
    let mut entered = enter_by(app, &person, browser, By::Provider(&provided)).await?;
    if entered.is_none() {
        // Something has changed since the lookup, and they may have been linked; look again.
        match find(&mut app.store.read().await?, shown).await? {
            Ok(Some(again)) if again.id == person.id => {
                entered = enter_by(app, &again, browser, By::Provider(&provided)).await?;
            }
            Ok(_) => {}
            Err(why) => return Ok(Err(why)),
        }
    }
    app.nudge.notify.notify();
    Ok(entered.ok_or(SignInRefusal::Over))
}

/// The role for the claim's values: the first mapping that matches; `None` if roles are not managed by the provider.
fn role_of(oidc: &Oidc, values: &[String]) -> std::result::Result<Option<Role>, SignInRefusal> {
    if oidc.role_claim.is_none() {
        return Ok(None);
    }
    let mapped = oidc.roles.iter().find(|mapped| values.contains(&mapped.value));
    mapped.map(|mapped| Some(mapped.role)).ok_or(SignInRefusal::NoRole)
}

/// The login of an identity: the one it is linked to, or the one with its address, to which it may be linked; `None` if
/// there is none and one may be created.
async fn find(
    db: &mut Db,
    shown: &IdentityClaims,
) -> Result<std::result::Result<Option<Person>, SignInRefusal>> {
    match find_now(db, shown).await? {
        // Another window of theirs may have linked them between the two queries; look again.
        Err(SignInRefusal::Taken | SignInRefusal::Unlinked) => find_now(db, shown).await,
        found => Ok(found),
    }
}

async fn find_now(
    db: &mut Db,
    shown: &IdentityClaims,
) -> Result<std::result::Result<Option<Person>, SignInRefusal>> {
    if shown.subject.chars().any(char::is_control) {
        return Ok(Err(SignInRefusal::Unverified));
    }
    if let Some(known) = identities::known(db, &shown.issuer, &shown.subject).await? {
        if known.unlinked_at.is_some() && known.allowed_at.is_none() {
            return Ok(Err(SignInRefusal::Unlinked));
        }
        let person = match people::by_id(db, known.person).await?.ok_or(SignInRefusal::ShutOut).and_then(ours)
        {
            Ok(person) => person,
            Err(why) => return Ok(Err(why)),
        };
        let is_taken = known.unlinked_at.is_some() && of_issuer(db, &person, &shown.issuer).await?.0;
        return Ok(if is_taken { Err(SignInRefusal::Taken) } else { Ok(Some(person)) });
    }
    let Some(email) = address(shown) else { return Ok(Err(SignInRefusal::Unverified)) };
    let Some(person) = people::by_email(db, &email).await? else { return Ok(Ok(None)) };
    let person = match ours(person) {
        Ok(person) => person,
        Err(why) => return Ok(Err(why)),
    };
    // Several accounts at the provider may use the same address. Once one was unlinked, an administrator must say which one
    // may be linked.
    Ok(match of_issuer(db, &person, &shown.issuer).await? {
        (true, _) => Err(SignInRefusal::Taken),
        (false, true) => Err(SignInRefusal::Unlinked),
        (false, false) => Ok(Some(person)),
    })
}

/// Whether a person is linked to an account of this issuer, and whether one was unlinked.
async fn of_issuer(db: &mut Db, person: &Person, issuer: &str) -> Result<(bool, bool)> {
    let all = identities::of(db, person.id).await?;
    let any = |was: bool| all.iter().any(|one| one.issuer == issuer && one.unlinked_at.is_some() == was);
    Ok((any(false), any(true)))
}

/// The address for linking: verified and ASCII only, because lowercasing other letters may produce someone else's address.
fn address(shown: &IdentityClaims) -> Option<String> {
    let email = shown.email.as_deref().map(str::trim).filter(|email| email.is_ascii())?;
    let email = email.to_ascii_lowercase();
    (shown.email_is_verified && crate::ops::settings::is_address(&email)).then_some(email)
}

/// Accepts only one of our own people whose login is enabled.
fn ours(person: Person) -> std::result::Result<Person, SignInRefusal> {
    if person.role.is_partners() || person.kind != "person" {
        return Err(SignInRefusal::Partners);
    }
    if person.disabled_at.is_some() { Err(SignInRefusal::ShutOut) } else { Ok(person) }
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
        assert_eq!(of(&["Finance", ""]), Err(SignInRefusal::NoRole));
        assert_eq!(of(&[]), Err(SignInRefusal::NoRole));
        assert_eq!(role_of(&Oidc::default(), &["it".to_owned()]), Ok(None));
    }

    #[test]
    fn only_an_address_in_ascii_is_somebodys() {
        let of = |email: &str, verified: bool| {
            address(&IdentityClaims {
                email: Some(email.to_owned()),
                email_is_verified: verified,
                ..IdentityClaims::default()
            })
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
