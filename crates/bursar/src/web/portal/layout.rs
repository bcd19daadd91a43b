//! The layout of the portal's pages: the partner, their company and language, and whose money they may see. Not here: the
//! administrators' layout, which looks different on purpose.

use askama::Template;
use axum::extract::{FromRef, FromRequestParts};
use axum::http::request::Parts;
use axum::response::Response;

use payout::Refusal;
use payout::access::Role;
use payout::ledger::Payee;
use payout::money::{Sum, Vendor};

use super::words::{Amount, Language, Words};
use crate::app::{Actor, App};
use crate::clock;
use crate::ops::OpsError;
use crate::ops::company::{self, Company};
use crate::ops::partners;
use crate::ops::people::Session;
use crate::store::programs::{self, Account, Partner, RecordRef};
use crate::store::rewards::Visible;
use crate::web::kit::layout::{Flash, PageContext, assets_version};
use crate::web::kit::problem::Problem;
use crate::web::kit::session::unauthenticated;

/// A page's place in the portal's menu.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MenuItem {
    /// The tasks, and where the money is.
    Home,
    Rewards,
    Payouts,
    Profile,
    Tax,
    Own,
}

/// Who an action is for: the partner, or the company they administer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OnBehalfOf {
    /// The partner: *Individual*.
    Me,
    Company,
}

impl OnBehalfOf {
    /// The spelling used in addresses: `me` or `company`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Me => "me",
            Self::Company => "company",
        }
    }
}

/// The layout of one page.
pub struct Frame {
    pub title: String,
    pub language: Language,
    pub t: &'static Words,
    pub name: String,
    pub company: String,
    /// The CSRF token of the session's forms.
    pub csrf: String,
    /// The flash message of the last form.
    pub told: Option<Flash>,
    /// The operating company, with its support contact; fields may be empty.
    pub ours: Company,
    here: MenuItem,
}

impl Frame {
    /// The version of our assets.
    pub fn assets(&self) -> &'static str {
        assets_version()
    }

    /// The menu: label, address, whether it is the current page.
    pub fn menu(&self) -> [(&'static str, &'static str, bool); 6] {
        let t = self.t;
        [
            (t.home, "/portal", MenuItem::Home),
            (t.rewards, "/portal/rewards", MenuItem::Rewards),
            (t.payouts, "/portal/payouts", MenuItem::Payouts),
            (t.profile, "/portal/profile", MenuItem::Profile),
            (t.tax, "/portal/tax", MenuItem::Tax),
            (t.account, "/portal/account", MenuItem::Own),
        ]
        .map(|(words, address, place)| (words, address, place == self.here))
    }

    /// The address of the current menu item.
    pub fn address(&self) -> &'static str {
        self.menu().into_iter().find(|(.., here)| *here).map_or("/portal", |(_, address, _)| address)
    }

    /// The languages to choose from.
    pub fn languages(&self) -> [Language; 5] {
        Language::OFFERED
    }
}

/// A partner using the portal.
pub struct PartnerContext {
    pub session: Session,
    pub partner: Partner,
    pub account: Account,
    pub language: Language,
    ours: Company,
    visit: PageContext,
}

impl<S: Send + Sync> FromRequestParts<S> for PartnerContext
where
    App: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let context = PageContext::from_request_parts(parts, state).await?;
        let session = parts.extensions.get::<Session>().cloned().ok_or_else(unauthenticated)?;
        let is_partner = matches!(session.actor.role, Role::Partner | Role::PartnerAdmin);
        let id = session.actor.partner.filter(|_| is_partner).ok_or_else(Problem::forbidden)?;
        let mut db = App::from_ref(state).store.read().await?;
        let partner = programs::partner(&mut db, RecordRef::Either(&id.to_string())).await?;
        let partner = partner.ok_or_else(Problem::missing)?;
        let account = programs::account(&mut db, RecordRef::Either(&partner.account.0.to_string())).await?;
        let account = account.ok_or_else(Problem::missing)?;
        let language = partner.language.as_deref().and_then(Language::parse).unwrap_or(Language::English);
        let ours = company::read(&mut db).await?;
        Ok(Self { session, partner, account, language, ours, visit: context })
    }
}

impl PartnerContext {
    pub fn actor(&self) -> &Actor {
        &self.session.actor
    }

    /// The texts in their language.
    pub fn t(&self) -> &'static Words {
        self.language.words()
    }

    /// Whether they administer their company's account.
    pub fn administers(&self) -> bool {
        self.session.actor.role == Role::PartnerAdmin
    }

    /// The payees they act for: themselves and, for a partner administrator, their company.
    pub fn payees(&self) -> Vec<(OnBehalfOf, Payee)> {
        let me = (OnBehalfOf::Me, Payee::Partner(self.partner.id));
        let company = (OnBehalfOf::Company, Payee::Account(self.account.id));
        if self.administers() { vec![me, company] } else { vec![me] }
    }

    /// One of [`PartnerContext::payees`], as named in an address. Any other is not found.
    ///
    /// # Errors
    /// 404.
    pub fn whose(&self, named: &str) -> Result<(OnBehalfOf, Payee), Problem> {
        let mut all = self.payees().into_iter();
        all.find(|(whose, _)| whose.as_str() == named).ok_or_else(Problem::missing)
    }

    /// The display name of a payee.
    pub fn named(&self, whose: OnBehalfOf) -> String {
        match whose {
            OnBehalfOf::Me => self.partner.name.clone(),
            OnBehalfOf::Company => self.account.name.clone(),
        }
    }

    /// Whose rewards they may see.
    pub fn visible(&self) -> Visible {
        partners::visible(self.actor())
    }

    /// A number of rewards, in words.
    pub fn rewards(&self, count: usize) -> String {
        match count {
            1 => self.t().one_reward.to_owned(),
            more => self.t().some_rewards.replace("{count}", &more.to_string()),
        }
    }

    /// The company's name, if the payee is the company.
    pub fn tag(&self, payee: Payee) -> Option<String> {
        matches!(payee, Payee::Account(_)).then(|| self.account.name.clone())
    }

    /// The layout of a page.
    pub fn frame(&self, title: impl Into<String>, here: MenuItem) -> Frame {
        Frame {
            title: title.into(),
            language: self.language,
            t: self.t(),
            name: self.partner.name.clone(),
            company: self.account.name.clone(),
            csrf: self.session.csrf.clone(),
            told: self.visit.take_flash(),
            ours: self.ours.clone(),
            here,
        }
    }

    /// An amount in their language's format.
    pub fn cash(&self, amount: impl Into<Sum>) -> Amount {
        self.language.cash(amount)
    }

    /// Why something was refused, in their language. Refusals of verbs are in English and may quote a vendor, so other
    /// languages get a translated explanation.
    ///
    /// # Errors
    /// The error itself, if it is not a refusal.
    pub fn refused(&self, error: OpsError) -> Result<Flash, Problem> {
        let theirs = match &error {
            OpsError::Refused(refusal) | OpsError::Conflict(refusal) | OpsError::Unreachable(refusal) => {
                self.of_refusal(refusal)
            }
            OpsError::Blocked(_) | OpsError::Missing | OpsError::Internal(_) => self.t().refused.to_owned(),
        };
        let flash = Flash::refused(error)?;
        Ok(if self.language.reads_english() { flash } else { Flash::bad(theirs) })
    }

    /// One refusal, in their language.
    pub fn of_refusal(&self, refusal: &Refusal) -> String {
        let t = self.t();
        if self.language.reads_english() {
            return refusal.sentence.clone();
        }
        let vendor = match refusal.field {
            Some("paypal_email") => Vendor::PayPal.label(),
            _ => Vendor::Stripe.label(),
        };
        match (refusal.code, refusal.field) {
            ("vendor_refused" | "vendor_credentials_rejected", _) => {
                t.vendor_refused.replace("{vendor}", vendor)
            }
            ("stripe_opens_elsewhere", _) => t.mend_refused.to_owned(),
            ("vendor_unreachable", _) => t.vendor_silent.replace("{vendor}", vendor),
            ("vendor_not_offered" | "vendor_not_connected", _) => t.barred_vendor.to_owned(),
            ("password_too_short", _) => t.password_rule.to_owned(),
            (_, Some(_)) => t.check_this.to_owned(),
            (_, None) => t.refused.to_owned(),
        }
    }

    /// Renders the page and clears the flash cookie.
    pub fn show(&self, page: &impl Template) -> Result<Response, Problem> {
        self.visit.show(page)
    }
}

/// A day, the same in every language: `2026-11-23`.
pub fn day(at: i64) -> String {
    clock::date(at)
}

/// A time, the same in every language: `2026-11-23 05:20 UTC`.
pub fn moment(at: i64) -> String {
    let timestamp = clock::rfc3339(at);
    format!("{} {} UTC", timestamp.get(..10).unwrap_or(""), timestamp.get(11..16).unwrap_or(""))
}
