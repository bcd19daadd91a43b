//! The payout profile: for whom (Individual or Organization), through which vendor, and the destination. A new Stripe
//! destination is set up on Stripe's pages, a PayPal address is confirmed by mail; a change requires a step-up. Not here: the
//! effects of a change (notices, cooling-off), which the verb triggers.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use payout::eligibility::Code;
use payout::ledger::Payee;
use payout::money::Vendor;
use payout::payee::Destination;

use super::countries::Country;
use super::failed::ActionRequired;
use super::layout::{Frame, MenuItem, OnBehalfOf, PartnerContext, day, moment};
use super::words::{Language, Words};
use super::{PARTNERS, countries, failed};
use crate::app::App;
use crate::ops::onboarding::{self, SetupDenial};
use crate::ops::payees::DestinationStatus;
use crate::ops::{OpsError, settings};
use crate::store::payees::Profile;
use crate::store::{self, Db, payees};
use crate::web::kit::form::{Form, Query};
use crate::web::kit::format::Chip;
use crate::web::kit::layout::Flash;
use crate::web::kit::problem::Problem;
use crate::web::kit::route::{Access, Route, Web, get, post};
use crate::web::kit::session::{is_fresh, prove_first};
use crate::work::onboard::{self, FoundAccount, OnboardingTrip};

pub fn routes() -> Vec<Route> {
    vec![
        get("/portal/profile", PARTNERS, choose),
        get("/portal/profile/{whose}", PARTNERS, show),
        post("/portal/profile/{whose}/paypal", PARTNERS, paypal),
        post("/portal/profile/{whose}/stripe", PARTNERS, stripe),
        post("/portal/profile/{whose}/stripe/mend", PARTNERS, mend),
        get("/portal/profile/{whose}/stripe/again", PARTNERS, stripe_again),
        get("/portal/profile/{whose}/stripe/return", PARTNERS, stripe_return),
        post("/portal/profile/{whose}/stripe/check", PARTNERS, stripe_check),
        get("/portal/confirm/{token}", Access::Open, confirm_form),
        post("/portal/confirm/{token}", Access::Open, confirm),
    ]
}

fn page_of(whose: OnBehalfOf) -> String {
    format!("/portal/profile/{}", whose.as_str())
}

/// A payout profile, as its owner sees it.
struct Current {
    vendor: &'static str,
    destination: String,
    chip: Chip,
    why: Option<String>,
    cooling: Option<String>,
}

impl Current {
    fn of(profile: &Profile, cooling_off_us: i64, context: &PartnerContext, now: i64) -> Self {
        let t = context.t();
        let until = profile.changed_at.map(|at| (at, at + cooling_off_us)).filter(|(_, until)| now < *until);
        let cooling =
            until.map(|(at, until)| t.cooling.replace("{day}", &day(at)).replace("{until}", &moment(until)));
        Self {
            vendor: profile.destination.vendor().label(),
            destination: profile.destination.masked(),
            chip: match profile.payable_at {
                Some(_) => Chip { tone: "fine", words: t.ready },
                None => Chip { tone: "warn", words: t.not_ready },
            },
            why: profile.not_payable_why.clone().map(|why| match context.language.reads_english() {
                true => why,
                false => context.language.blocker(Code::ProfileIncomplete).0,
            }),
            cooling,
        }
    }

    /// Marks the profile as not ready if a payment failed and the partner must act, whatever the vendor says.
    fn asked(mut self, context: &PartnerContext, asking: &[ActionRequired]) -> Self {
        if let Some(one) = asking.first() {
            self.chip = Chip { tone: "warn", words: context.t().needs_you };
            let sentence = one.account_sentence(context).unwrap_or_default();
            self.why = Some(format!("{} {} {sentence}", one.message, one.remedy).trim_end().to_owned());
        }
        self
    }
}

/// The payments to a payee that require action on the current destination.
async fn asking(db: &mut Db, context: &PartnerContext, payee: Payee) -> Result<Vec<ActionRequired>, Problem> {
    let (mut asking, _) = failed::of_payments(db, context).await?;
    asking.retain(|one| one.payment.terms.payee == payee);
    Ok(asking)
}

struct Card {
    kind: &'static str,
    name: String,
    address: String,
    current: Option<Current>,
}

#[derive(Template)]
#[template(path = "portal/profiles.html")]
struct ProfilesPage {
    frame: Frame,
    cards: Vec<Card>,
    company: Option<String>,
}

fn kind(whose: OnBehalfOf, t: &Words) -> &'static str {
    match whose {
        OnBehalfOf::Me => t.individual,
        OnBehalfOf::Company => t.organization,
    }
}

/// Who administers the company, for a partner who does not.
async fn who_can(db: &mut Db, context: &PartnerContext) -> Result<String, Problem> {
    let names = store::onboarding::administrators(db, context.account.id).await?;
    Ok(match names.is_empty() {
        true => context.t().company_nobody.to_owned(),
        false => context.t().company_ask.replace("{names}", &names.join(", ")),
    })
}

async fn choose(State(app): State<App>, context: PartnerContext) -> Result<Response, Problem> {
    let (t, now) = (context.t(), app.clock.now());
    let mut db = app.store.read().await?;
    let cooling_off_us = settings::load(&mut db).await?.cooling_off_us();
    let mut cards = Vec::new();
    for (whose, payee) in context.payees() {
        let profile = payees::profile_of(&mut db, payee).await?;
        let asking = asking(&mut db, &context, payee).await?;
        cards.push(Card {
            kind: kind(whose, t),
            name: context.named(whose),
            address: page_of(whose),
            current: profile
                .map(|profile| Current::of(&profile, cooling_off_us, &context, now).asked(&context, &asking)),
        });
    }
    let company = if context.administers() { None } else { Some(who_can(&mut db, &context).await?) };
    context.show(&ProfilesPage { frame: context.frame(t.profile, MenuItem::Profile), cards, company })
}

#[derive(Template)]
#[template(path = "portal/profile.html")]
struct ProfilePage {
    frame: Frame,
    kind: &'static str,
    name: String,
    address: String,
    current: Option<Current>,
    stripe: bool,
    paypal: bool,
    barred: Option<String>,
    /// Whether a connected account was started that is not the payee's destination.
    begun: bool,
    on_stripe: bool,
    /// Whether they are paid to a Stripe account not created here: it must be fixed there, and no second one is created.
    mends: bool,
    country: String,
    countries: Vec<Country>,
    /// What a change brings with it: until when nothing would be sent, and who is told.
    change: String,
    waiting: Option<String>,
    typed: String,
    wrong: Option<String>,
}

/// The input from before the step-up.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RetainedInput {
    paypal_email: Option<String>,
}

async fn show(
    State(app): State<App>,
    context: PartnerContext,
    Path(whose): Path<String>,
    Query(kept): Query<RetainedInput>,
) -> Result<Response, Problem> {
    let (whose, payee) = context.whose(&whose)?;
    page(&app, &context, whose, payee, kept.paypal_email.map(|typed| (typed, None))).await
}

/// The page, with an address that was entered and the refusal, if any.
async fn page(
    app: &App,
    context: &PartnerContext,
    whose: OnBehalfOf,
    payee: Payee,
    typed: Option<(String, Option<String>)>,
) -> Result<Response, Problem> {
    let (t, now) = (context.t(), app.clock.now());
    let mut db = app.store.read().await?;
    let profile = payees::profile_of(&mut db, payee).await?;
    let cooling_off_us = settings::load(&mut db).await?.cooling_off_us();
    let choice = onboarding::choice(&mut db, context.actor().role).await?;
    let offers = |vendor| choice.as_ref().is_ok_and(|vendors| vendors.contains(&vendor));
    let (stripe, paypal) = (offers(Vendor::Stripe), offers(Vendor::PayPal));
    let barred = match &choice {
        Ok(_) => None,
        Err(SetupDenial::Off) => Some(t.barred_off.to_owned()),
        Err(SetupDenial::NoVendor) => Some(t.barred_vendor.to_owned()),
        Err(SetupDenial::Role) => Some(format!("{} {}", t.barred_role, who_can(&mut db, context).await?)),
    };
    let asking = asking(&mut db, context, payee).await?;
    let made = store::onboarding::newest(&mut db, payee).await?;
    let made = made.filter(|one| one.refused_at.is_none()).and_then(|one| one.account);
    let used = profile.as_ref().map(|profile| profile.destination.address());
    let waiting = store::onboarding::waiting(&mut db, payee, now).await?;
    let waiting = waiting.and_then(|one| {
        let masked = Destination::paypal(&one.address).ok()?.masked();
        Some(t.paypal_waiting.replace("{address}", &masked).replace("{until}", &moment(one.expires_at)))
    });
    let (typed, wrong) = typed.unwrap_or_default();
    let country = match whose {
        OnBehalfOf::Me => context.partner.country.clone().or_else(|| context.account.country.clone()),
        OnBehalfOf::Company => context.account.country.clone(),
    };
    let page = ProfilePage {
        kind: kind(whose, t),
        name: context.named(whose),
        address: page_of(whose),
        begun: made.is_some() && made.as_deref() != used,
        on_stripe: made.is_some() && made.as_deref() == used,
        mends: profile.as_ref().is_some_and(|profile| profile.destination.vendor() == Vendor::Stripe)
            && made.as_deref() != used,
        current: profile
            .map(|profile| Current::of(&profile, cooling_off_us, context, now).asked(context, &asking)),
        countries: countries::choices(context.language, country.as_deref().unwrap_or_default()),
        country: country.unwrap_or_default(),
        frame: context.frame(t.profile, MenuItem::Profile),
        stripe,
        paypal,
        barred,
        change: match cooling_off_us {
            0 => t.change_at_once.to_owned(),
            _ => t.change_told.replace("{until}", &moment(now + cooling_off_us)),
        },
        waiting,
        typed,
        wrong,
    };
    context.show(&page)
}

/// Whether a step-up is needed: the payee already has a destination, so this is a change.
async fn needs_step_up(app: &App, context: &PartnerContext, payee: Payee) -> Result<bool, Problem> {
    let profile = payees::profile_of(&mut app.store.read().await?, payee).await?;
    Ok(profile.is_some() && !is_fresh(&context.session, app.clock.now()))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Address {
    #[serde(default)]
    paypal_email: String,
}

async fn paypal(
    State(app): State<App>,
    context: PartnerContext,
    Path(whose): Path<String>,
    Form(sent): Form<Address>,
) -> Result<Response, Problem> {
    let (whose, payee) = context.whose(&whose)?;
    if needs_step_up(&app, &context, payee).await? {
        let mut kept = url::form_urlencoded::Serializer::new(String::new());
        kept.append_pair("paypal_email", &sent.paypal_email);
        return Ok(prove_first(&format!("{}?{}", page_of(whose), kept.finish())));
    }
    match onboarding::enter_address(&app, context.actor(), payee, &sent.paypal_email).await {
        Ok(entered) => {
            let message = context.t().paypal_sent.replace("{address}", &entered.masked());
            Ok(Flash::good(message).on(&page_of(whose)))
        }
        Err(OpsError::Refused(refusal)) if refusal.field == Some("paypal_email") => {
            let wrong = Some(context.of_refusal(&refusal));
            page(&app, &context, whose, payee, Some((sent.paypal_email, wrong))).await
        }
        Err(error) => Ok(context.refused(error)?.on(&page_of(whose))),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Begun {
    #[serde(default)]
    country: String,
}

async fn stripe(
    State(web): State<Web>,
    context: PartnerContext,
    Path(whose): Path<String>,
    Form(sent): Form<Begun>,
) -> Result<Response, Problem> {
    let (whose, payee) = context.whose(&whose)?;
    if needs_step_up(&web.app, &context, payee).await? {
        return Ok(prove_first(&page_of(whose)));
    }
    let country = sent.country.trim().to_ascii_uppercase();
    let begun =
        onboard::begin(&web.work, &onboarding_trip(&context, whose, payee), &country, &context.partner.email)
            .await;
    away(&context, begun, whose)
}

/// Redirects to the payee's current account at Stripe, to fix it there.
async fn mend(
    State(web): State<Web>,
    context: PartnerContext,
    Path(whose): Path<String>,
    Form(EmptyForm {}): Form<EmptyForm>,
) -> Result<Response, Problem> {
    let (whose, payee) = context.whose(&whose)?;
    if needs_step_up(&web.app, &context, payee).await? {
        return Ok(prove_first(&page_of(whose)));
    }
    away(&context, onboard::account_url(&web.work, &onboarding_trip(&context, whose, payee)).await, whose)
}

fn onboarding_trip(context: &PartnerContext, whose: OnBehalfOf, payee: Payee) -> OnboardingTrip<'_> {
    OnboardingTrip { actor: context.actor(), session_hash: &context.session.id, payee, page: page_of(whose) }
}

/// Redirects to Stripe's pages, or back to ours with Stripe's answer.
fn away(
    context: &PartnerContext,
    link: crate::ops::Result<String>,
    whose: OnBehalfOf,
) -> Result<Response, Problem> {
    match link {
        Ok(url) => Ok(Redirect::to(&url).into_response()),
        Err(error) => Ok(context.refused(error)?.on(&page_of(whose))),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Back {
    #[serde(default)]
    state: String,
}

async fn stripe_again(
    State(web): State<Web>,
    context: PartnerContext,
    Path(whose): Path<String>,
    Query(back): Query<Back>,
) -> Result<Response, Problem> {
    let (whose, payee) = context.whose(&whose)?;
    match onboard::again(&web.work, &onboarding_trip(&context, whose, payee), &back.state).await {
        Err(OpsError::Refused(refusal)) if refusal.code == "state_refused" => {
            Ok(refused_way(&context, whose))
        }
        link => away(&context, link, whose),
    }
}

fn refused_way(context: &PartnerContext, whose: OnBehalfOf) -> Response {
    Flash::bad(context.t().state_refused).on(&page_of(whose))
}

async fn stripe_return(
    State(web): State<Web>,
    context: PartnerContext,
    Path(whose): Path<String>,
    Query(back): Query<Back>,
) -> Result<Response, Problem> {
    let (whose, payee) = context.whose(&whose)?;
    match onboard::returned(&web.work, &onboarding_trip(&context, whose, payee), &back.state).await {
        Ok(found) => {
            let from = sent_from(&web.app, payee).await?;
            Ok(account_status(&context, &found, from).on(&page_of(whose)))
        }
        Err(OpsError::Refused(refusal)) if refusal.code == "state_refused" => {
            Ok(refused_way(&context, whose))
        }
        Err(error) => Ok(context.refused(error)?.on(&page_of(whose))),
    }
}

/// When payments to a changed destination begin; `None` if that is now.
async fn sent_from(app: &App, payee: Payee) -> Result<Option<i64>, Problem> {
    let mut db = app.store.read().await?;
    let cooling_off_us = settings::load(&mut db).await?.cooling_off_us();
    let changed = payees::profile_of(&mut db, payee).await?.and_then(|profile| profile.changed_at);
    Ok(changed.map(|at| at + cooling_off_us).filter(|from| app.clock.now() < *from))
}

/// Stripe's status of the account, in words. Outstanding requirements are in English.
fn account_status(context: &PartnerContext, found: &FoundAccount, from: Option<i64>) -> Flash {
    let t = context.t();
    let named = |why: &String| context.language.reads_english().then(|| why.clone());
    match (&found.standing, found.in_use) {
        (DestinationStatus::Payable(_), true) => match from {
            Some(from) => Flash::good(t.stripe_ready_from.replace("{day}", &day(from))),
            None => Flash::good(t.stripe_ready),
        },
        (DestinationStatus::Payable(_), false) => Flash::warn(t.stripe_unused),
        (DestinationStatus::NotYet(why), _) if found.submitted => {
            Flash::warn(t.stripe_checking).listing(named(why))
        }
        (DestinationStatus::NotYet(why), _) => Flash::warn(t.stripe_unfinished).listing(named(why)),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EmptyForm {}

async fn stripe_check(
    State(web): State<Web>,
    context: PartnerContext,
    Path(whose): Path<String>,
    Form(EmptyForm {}): Form<EmptyForm>,
) -> Result<Response, Problem> {
    let (whose, payee) = context.whose(&whose)?;
    if needs_step_up(&web.app, &context, payee).await? {
        return Ok(prove_first(&page_of(whose)));
    }
    let choice = onboarding::choice(&mut web.app.store.read().await?, context.actor().role).await?;
    let adopt = choice.is_ok_and(|vendors| vendors.contains(&Vendor::Stripe));
    let flash = match onboard::look(&web.work, context.actor(), payee, adopt).await {
        Ok(Some(found)) => account_status(&context, &found, sent_from(&web.app, payee).await?),
        Ok(None) => Flash::bad(context.t().profile_none),
        Err(error) => context.refused(error)?,
    };
    Ok(flash.on(&page_of(whose)))
}

#[derive(Template)]
#[template(path = "portal/confirm.html")]
struct ConfirmPage {
    title: &'static str,
    language: Language,
    t: &'static Words,
    version: &'static str,
    /// What is confirmed, in words; `None` if the link is invalid.
    told: Option<String>,
    done: bool,
}

/// Works signed in or not, because the mail may be read on any device. Viewing the page does not use up the link.
async fn confirm_page(app: &App, token: &str) -> Result<ConfirmPage, Problem> {
    let found = onboarding::to_confirm(app, token).await?;
    let mut db = app.store.read().await?;
    let (mut language, mut message) = (Language::English, None);
    if let Some(found) = found {
        let person = store::people::by_id(&mut db, found.person).await?;
        let partner = person.and_then(|person| person.partner).map(|id| id.to_string());
        if let Some(id) = partner {
            let partner = store::programs::partner(&mut db, store::programs::RecordRef::Either(&id)).await?;
            let spoken = partner.and_then(|partner| partner.language);
            language = spoken.as_deref().and_then(Language::parse).unwrap_or(language);
        }
        let names = payees::names(&mut db, &[found.payee]).await?;
        let name = names.get(&found.payee).map(|named| named.name.clone()).unwrap_or_default();
        let words = language.words().confirm_told.replace("{address}", &found.address);
        message = Some(words.replace("{name}", &name));
    }
    let t = language.words();
    let version = crate::web::kit::layout::assets_version();
    Ok(ConfirmPage { title: t.confirm, language, t, version, told: message, done: false })
}

fn answered(page: &ConfirmPage) -> Result<Response, Problem> {
    let good = page.told.is_some() || page.done;
    let status = if good { axum::http::StatusCode::OK } else { axum::http::StatusCode::GONE };
    Ok((status, crate::web::kit::layout::html(page)?).into_response())
}

async fn confirm_form(State(app): State<App>, Path(token): Path<String>) -> Result<Response, Problem> {
    answered(&confirm_page(&app, &token).await?)
}

async fn confirm(State(app): State<App>, Path(token): Path<String>) -> Result<Response, Problem> {
    let mut page = confirm_page(&app, &token).await?;
    page.done = onboarding::confirm(&app, &token).await?.is_some();
    page.told = None;
    answered(&page)
}
