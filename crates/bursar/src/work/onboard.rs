//! Onboards a payee at Stripe: creates the connected account, links to Stripe's hosted onboarding with a one-time link,
//! and re-reads the account when the browser returns. The return itself proves nothing; Stripe's account state does.
//! Not here: what is stored (`ops::onboarding`, `ops::payees`), before or after each call.

use payout::Refusal;
use payout::ledger::Payee;
use payout::money::Vendor;
use payout::payee::Destination;
use url::Url;
use vendors::ReadError;
use vendors::stripe::account::NewAccount;
use vendors::stripe::{ConnectedAccount, Stripe};

use super::Work;
use super::connect::{self, account as read_account, standing, vendor_error};
use crate::app::Actor;
use crate::ops::onboarding::{self as verbs, Particulars};
use crate::ops::payees::{self as payee_verbs, DestinationStatus};
use crate::ops::{OpsError, Result};
use crate::store;
use crate::store::onboarding::Intended;

/// How long the same request under the same key is certain to create only one account. Stripe keeps keys for a day.
const KEY_LASTS_US: i64 = 20 * 3_600_000_000;

/// A partner's browser on its way to Stripe and back.
pub struct OnboardingTrip<'a> {
    pub actor: &'a Actor,
    /// The hash of their session, to which the return link is bound.
    pub session_hash: &'a str,
    pub payee: Payee,
    /// Our page that they start from and return to.
    pub page: String,
}

/// The state of an account as read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FoundAccount {
    /// Stripe's form is completely filled in.
    pub submitted: bool,
    /// Whether Stripe would pay it.
    pub standing: DestinationStatus,
    /// It is the payee's destination.
    pub in_use: bool,
}

/// Creates the payee's connected account unless there is one, and returns the URL of Stripe's onboarding pages, which
/// works once and for a few minutes.
///
/// # Errors
/// Stripe's message if it refuses; [`OpsError::Unreachable`] if it does not answer: a retry then resumes where this
/// stopped.
pub async fn begin(work: &Work, journey: &OnboardingTrip<'_>, country: &str, email: &str) -> Result<String> {
    let stripe = client(work).await?;
    let ours = stripe.platform_country().await.map_err(|error| unread(&error))?;
    let service_agreement = if ours.as_deref() == Some(country) { "full" } else { "recipient" };
    let particulars = Particulars { country: country.to_owned(), email: email.to_owned(), service_agreement };
    let intended = verbs::intend(&work.app, journey.actor, journey.payee, &particulars).await?;
    let account = match &intended.account {
        Some(account) => ConnectedAccount::parse(account),
        None => Some(make(work, &stripe, journey, &intended).await?),
    };
    let account = account.ok_or_else(|| unread(&ReadError::Missing))?;
    match link(work, &stripe, journey, (&account, work.app.clock.now())).await {
        Err(LinkError::Stripe(error @ (ReadError::Missing | ReadError::Refused { .. }))) => {
            let why = error.to_string();
            verbs::refused(&work.app, journey.actor, journey.payee, intended.number, &why).await?;
            Err(unread(&error))
        }
        Err(LinkError::Stripe(error)) => Err(unread(&error)),
        Err(LinkError::Ours(error)) => Err(error),
        Ok(url) => Ok(url),
    }
}

/// The URL of Stripe's pages for the account a payee is already paid to, however it was connected, so that they can
/// correct what their bank refused. Creates no account.
///
/// # Errors
/// Same as [`begin`]; a refusal if Stripe does not open that account from here.
pub async fn account_url(work: &Work, journey: &OnboardingTrip<'_>) -> Result<String> {
    let mut db = work.app.store.read().await?;
    verbs::check_choice(&mut db, journey.actor, payout::money::Vendor::Stripe).await?;
    let profile = store::payees::profile_of(&mut db, journey.payee).await?;
    drop(db);
    let account = profile.and_then(|profile| ConnectedAccount::parse(profile.destination.address()));
    let account = account.ok_or_else(|| unread(&ReadError::Missing))?;
    let stripe = client(work).await?;
    link(work, &stripe, journey, (&account, work.app.clock.now())).await.map_err(|error| match error {
        LinkError::Stripe(ReadError::Missing | ReadError::Refused { .. }) => {
            let message = "Stripe does not open this account from here. Sign in at stripe.com with the login of that \
                        account and correct the bank account there.";
            Refusal::new("stripe_opens_elsewhere", message).into()
        }
        LinkError::Stripe(error) => unread(&error),
        LinkError::Ours(error) => error,
    })
}

async fn client(work: &Work) -> Result<Stripe> {
    let connected = work.clients.stripe().await?;
    connected.map(|connected| connected.client).ok_or_else(|| {
        let message = "Stripe is not connected at the moment. Nothing was changed.";
        Refusal::new("vendor_not_connected", message).into()
    })
}

fn unread(error: &ReadError) -> OpsError {
    vendor_error("stripe_account", payout::money::Vendor::Stripe, error)
}

async fn make(
    work: &Work,
    stripe: &Stripe,
    journey: &OnboardingTrip<'_>,
    intended: &Intended,
) -> Result<ConnectedAccount> {
    let payee = journey.payee.to_string();
    if let Some(account) = made_before(work, stripe, journey, intended).await? {
        let made = Destination::stripe(account.as_str())?;
        verbs::made(&work.app, journey.actor, journey.payee, intended.number, &made).await?;
        return Ok(account);
    }
    let new = NewAccount {
        key: &intended.key,
        payee: &payee,
        country: &intended.country,
        email: &intended.email,
        business_type: &intended.business_type,
        recipient: intended.service_agreement == "recipient",
    };
    match stripe.create_account(&new).await {
        Ok(account) => {
            let made = Destination::stripe(account.as_str())?;
            verbs::made(&work.app, journey.actor, journey.payee, intended.number, &made).await?;
            Ok(account)
        }
        Err(error @ ReadError::Refused { .. }) => {
            let why = error.to_string();
            verbs::refused(&work.app, journey.actor, journey.payee, intended.number, &why).await?;
            Err(unread(&error))
        }
        Err(error) => Err(unread(&error)),
    }
}

/// The account Stripe created although its answer was lost, once the key is too old for a retry: Stripe forgets keys
/// after a day, and the same request would then create a second account.
async fn made_before(
    work: &Work,
    stripe: &Stripe,
    journey: &OnboardingTrip<'_>,
    intended: &Intended,
) -> Result<Option<ConnectedAccount>> {
    if work.app.clock.now() - intended.intended_at < KEY_LASTS_US {
        return Ok(None);
    }
    // Search from a day earlier, because the clocks may differ; the payee's previous accounts are known.
    let since = intended.intended_at / 1_000_000 - 86_400;
    let made =
        stripe.accounts_made_for(&journey.payee.to_string(), since).await.map_err(|error| unread(&error))?;
    let known = store::onboarding::accounts_of(&mut work.app.store.read().await?, journey.payee).await?;
    Ok(made.into_iter().rfind(|account| !known.iter().any(|known| known == account.as_str())))
}

enum LinkError {
    Stripe(ReadError),
    Ours(OpsError),
}

/// A new link, whose return URLs are ours and carry a `state` that is valid once, for this session and payee.
async fn link(
    work: &Work,
    stripe: &Stripe,
    journey: &OnboardingTrip<'_>,
    (account, opened_at): (&ConnectedAccount, i64),
) -> std::result::Result<String, LinkError> {
    let way = (account.as_str(), opened_at);
    let opened = verbs::open_state(&work.app, journey.session_hash, journey.payee, way).await;
    let state = opened.map_err(LinkError::Ours)?;
    let back = |way: &str| format!("{}{}/stripe/{way}?state={state}", work.app.base_url, journey.page);
    let link = stripe.account_link(account, &back("again"), &back("return")).await;
    let url = link.map_err(LinkError::Stripe)?.url;
    let parsed = Url::parse(&url).ok();
    if parsed.as_ref().is_some_and(|url| is_stripes(url, work.app.config.stand_in(Vendor::Stripe))) {
        return Ok(url);
    }
    let host = parsed.as_ref().and_then(|url| url.host_str()).unwrap_or("no address");
    tracing::error!(host, "Stripe's API names a page that is not Stripe's, and nobody was sent there");
    let noted = verbs::not_led(&work.app, journey.actor, journey.payee, host).await;
    noted.map_err(LinkError::Ours)?;
    Err(LinkError::Ours(elsewhere().into()))
}

fn elsewhere() -> Refusal {
    let message = "The address that Stripe gave for its pages is not one of Stripe’s, so you were not sent there. Where you are paid has not changed. Tell whoever runs this.";
    Refusal::new("stripe_link_elsewhere", message)
}

/// Whether a URL is one of Stripe's own pages, or of the configured stand-in: a browser is sent nowhere else, whatever
/// the API returned.
fn is_stripes(url: &Url, stand_in: Option<&str>) -> bool {
    if let Some(base) = stand_in.and_then(|base| Url::parse(base).ok()) {
        return url.origin() == base.origin();
    }
    let is_its = |host: &str| host == "stripe.com" || host.ends_with(".stripe.com");
    url.scheme() == "https"
        && url.host_str().is_some_and(is_its)
        && url.port().is_none()
        && url.username().is_empty()
        && url.password().is_none()
}

/// The browser returns because its link was used or expired: creates a new link if the `state` is valid.
///
/// # Errors
/// Same as [`begin`]; [`OpsError::Refused`] for a `state` that is not valid for this session.
pub async fn again(work: &Work, journey: &OnboardingTrip<'_>, state: &str) -> Result<String> {
    let (account, opened_at) = used(work, journey, state).await?;
    let mut db = work.app.store.read().await?;
    verbs::check_choice(&mut db, journey.actor, payout::money::Vendor::Stripe).await?;
    drop(db);
    let stripe = client(work).await?;
    link(work, &stripe, journey, (&account, opened_at)).await.map_err(|error| match error {
        LinkError::Stripe(error) => unread(&error),
        LinkError::Ours(error) => error,
    })
}

/// The browser returns from the form, finished or not: re-reads the account and makes it the payee's destination if
/// they have no other, or if Stripe would pay to it now. A destination chosen after the link was opened stays.
///
/// # Errors
/// [`OpsError::Refused`] for a `state` that is not valid for this session; [`OpsError::Unreachable`].
pub async fn returned(work: &Work, journey: &OnboardingTrip<'_>, state: &str) -> Result<FoundAccount> {
    let (account, opened_at) = used(work, journey, state).await?;
    let profile = store::payees::profile_of(&mut work.app.store.read().await?, journey.payee).await?;
    let chosen_at = profile.map(|profile| profile.changed_at.unwrap_or(profile.set_at));
    let adopt = chosen_at.is_none_or(|at| at <= opened_at);
    settle(work, journey.actor, journey.payee, &account, adopt).await
}

/// The account a `state` is about, and when it was opened.
async fn used(work: &Work, journey: &OnboardingTrip<'_>, state: &str) -> Result<(ConnectedAccount, i64)> {
    let way = verbs::use_state(&work.app, journey.session_hash, journey.payee, state).await?;
    let read = |(account, opened_at): (String, i64)| Some((ConnectedAccount::parse(&account)?, opened_at));
    way.and_then(read).ok_or_else(|| {
        let message = "This way back was used already, is too old, or is another's. Nothing was changed.";
        Refusal::new("state_refused", message).into()
    })
}

/// Reads the payee's connected account; `None` if none was created. With `adopt` it may become their destination, as in
/// [`returned`].
///
/// # Errors
/// [`OpsError::Unreachable`] if Stripe does not answer.
pub async fn look(work: &Work, actor: &Actor, payee: Payee, adopt: bool) -> Result<Option<FoundAccount>> {
    let newest = store::onboarding::newest(&mut work.app.store.read().await?, payee).await?;
    let made = newest.filter(|one| one.refused_at.is_none()).and_then(|one| one.account);
    match made.as_deref().and_then(ConnectedAccount::parse) {
        Some(account) => settle(work, actor, payee, &account, adopt).await.map(Some),
        None => Ok(None),
    }
}

async fn settle(
    work: &Work,
    actor: &Actor,
    payee: Payee,
    account: &ConnectedAccount,
    adopt: bool,
) -> Result<FoundAccount> {
    let (stripe, asked_at) = (client(work).await?, work.app.clock.now());
    let state = read_account(&stripe, account.as_str()).await.map_err(|error| unread(&error))?;
    let (submitted, standing) = (state.details_submitted, standing(&state));
    let destination = Destination::stripe(account.as_str())?;
    let profile = store::payees::profile_of(&mut work.app.store.read().await?, payee).await?;
    let payable = matches!(standing, DestinationStatus::Payable(_));
    let in_use = profile.as_ref().is_some_and(|profile| profile.destination == destination);
    if in_use {
        let vendor = destination.vendor();
        payee_verbs::note_standing(&work.app, vendor, destination.address(), &standing, asked_at).await?;
    } else if adopt && (payable || (submitted && profile.is_none())) {
        connect::set_profile(work, actor, payee, destination).await?;
        return Ok(FoundAccount { submitted, standing, in_use: true });
    }
    Ok(FoundAccount { submitted, standing, in_use })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_is_sent_to_stripe_and_nowhere_else() {
        let of = |url: &str, stand_in: Option<&str>| is_stripes(&Url::parse(url).unwrap(), stand_in);
        for fine in
            ["https://connect.stripe.com/setup/e/acct_1/x", "https://stripe.com/x", "https://A.STRIPE.com/"]
        {
            assert!(of(fine, None), "{fine}");
        }
        for strange in [
            "http://connect.stripe.com/x",
            "https://stripe.com.evil.example/x",
            "https://evilstripe.com/x",
            "https://stripe.com@evil.example/x",
            "https://x@stripe.com/",
            "https://stripe.com:8443/",
            "javascript:alert(1)",
            "data:text/html,x",
        ] {
            assert!(!of(strange, None), "{strange}");
        }
        let stand_in = Some("http://127.0.0.1:12111");
        assert!(of("http://127.0.0.1:12111/_sim/onboard/x", stand_in));
        assert!(!of("http://127.0.0.1:12112/_sim/onboard/x", stand_in));
        assert!(!of("https://connect.stripe.com/x", stand_in), "a rehearsal leads nobody to the real one");
    }
}
