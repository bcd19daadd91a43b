//! Connected accounts: created on first sight or by a call, with a bank account in every currency.
//!
//! Not here: identity, persons, documents. An account created by a call is complete once its hosted onboarding is
//! finished (`stripe::onboarding`).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::balance::Purse;
use super::event::{Cause, emit};
use super::refusal::Refusal;
use super::{Call, Outcome, PLATFORM, list_of};
use crate::SECOND;
use crate::scene::Scene;
use crate::world::World;

/// Every currency Stripe pays out.
#[rustfmt::skip]
pub(crate) const CURRENCIES: [&str; 135] = [
    "usd", "aed", "afn", "all", "amd", "ang", "aoa", "ars", "aud", "awg", "azn", "bam", "bbd",
    "bdt", "bgn", "bhd", "bif", "bmd", "bnd", "bob", "brl", "bsd", "bwp", "byn", "bzd", "cad",
    "cdf", "chf", "clp", "cny", "cop", "crc", "cve", "czk", "djf", "dkk", "dop", "dzd", "egp",
    "etb", "eur", "fjd", "fkp", "gbp", "gel", "gip", "gmd", "gnf", "gtq", "gyd", "hkd", "hnl",
    "htg", "huf", "idr", "ils", "inr", "isk", "jmd", "jod", "jpy", "kes", "kgs", "khr", "kmf",
    "krw", "kwd", "kyd", "kzt", "lak", "lbp", "lkr", "lrd", "lsl", "mad", "mdl", "mga", "mkd",
    "mmk", "mnt", "mop", "mur", "mvr", "mwk", "mxn", "myr", "mzn", "nad", "ngn", "nio", "nok",
    "npr", "nzd", "omr", "pab", "pen", "pgk", "php", "pkr", "pln", "pyg", "qar", "ron", "rsd",
    "rub", "rwf", "sar", "sbd", "scr", "sek", "sgd", "shp", "sos", "srd", "std", "szl", "thb",
    "tjs", "tnd", "top", "try", "ttd", "twd", "tzs", "uah", "ugx", "uyu", "uzs", "vnd", "vuv",
    "wst", "xaf", "xcd", "xof", "xpf",
];

/// A connected account, or the platform's own.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) id: String,
    pub(crate) purses: BTreeMap<String, Purse>,
    /// The currencies whose bank account was disabled after a failure.
    pub(crate) errored: BTreeSet<String>,
    /// The currencies whose bank account the owner removed.
    closed: BTreeSet<&'static str>,
    /// The payout schedule; Stripe's default is daily.
    pub(crate) interval: String,
    pub(crate) deleted: bool,
    submitted: bool,
    begun: bool,
    mended: bool,
    scene: Option<Scene>,
    country: String,
    email: Option<String>,
    business_type: Option<String>,
    metadata: BTreeMap<String, String>,
    created_at: i64,
}

/// The bank account for one currency.
pub(crate) fn bank_id(account: &str, currency: &str) -> String {
    format!("ba_{currency}{}", account.trim_start_matches("acct_"))
}

impl Account {
    pub(crate) fn new(id: &str, now: i64) -> Self {
        Account {
            id: id.to_owned(),
            purses: BTreeMap::new(),
            errored: BTreeSet::new(),
            closed: BTreeSet::new(),
            interval: "daily".to_owned(),
            deleted: false,
            submitted: true,
            begun: false,
            mended: false,
            scene: Scene::of_account(id),
            country: "US".to_owned(),
            email: None,
            business_type: Some("individual".to_owned()),
            metadata: BTreeMap::new(),
            created_at: now,
        }
    }

    /// The scene, unless it has ended.
    pub(crate) fn scene(&self) -> Option<Scene> {
        self.scene.filter(|_| !self.mended)
    }

    pub(crate) fn payouts_enabled(&self) -> bool {
        self.submitted && self.scene() != Some(Scene::Restricted)
    }

    fn show(&self) -> Value {
        let enabled = self.payouts_enabled();
        let due = match (enabled, self.submitted, self.begun) {
            (true, _, _) => json!([]),
            (false, true, _) => json!(["individual.verification.document"]),
            (false, false, true) => json!(["external_account", "individual.verification.document"]),
            (false, false, false) => {
                json!([
                    "external_account",
                    "individual.first_name",
                    "individual.dob.day",
                    "tos_acceptance.date"
                ])
            }
        };
        let disabled = (!enabled).then_some("requirements.past_due");
        json!({
            "id": self.id,
            "object": "account",
            "business_profile": {"mcc": null, "name": null, "url": null},
            "business_type": self.business_type,
            "capabilities": {"transfers": if enabled { "active" } else { "inactive" }},
            "charges_enabled": enabled,
            "controller": {
                "type": "application",
                "is_controller": true,
                "fees": {"payer": "application"},
                "losses": {"payments": "application"},
                "requirement_collection": "stripe",
                "stripe_dashboard": {"type": "express"},
            },
            "country": self.country,
            "created": self.created_at / SECOND,
            "default_currency": "usd",
            "details_submitted": self.submitted,
            "email": self.email,
            "external_accounts": list_of(
                &format!("/v1/accounts/{}/external_accounts", self.id),
                self.open_currencies().map(|currency| self.bank(currency)).collect(),
                false,
            ),
            "future_requirements": requirements(&json!([]), None),
            "metadata": self.metadata,
            "payouts_enabled": enabled,
            "requirements": requirements(&due, disabled),
            "settings": {
                "branding": {"icon": null, "logo": null, "primary_color": null, "secondary_color": null},
                "card_payments": {"statement_descriptor_prefix": null},
                "dashboard": {"display_name": null, "timezone": "Etc/UTC"},
                "payments": {"statement_descriptor": null},
                "payouts": {
                    "debit_negative_balances": true,
                    "schedule": {"delay_days": 2, "interval": self.interval},
                    "statement_descriptor": null,
                },
            },
            "tos_acceptance": {"date": self.created_at / SECOND},
            "type": "express",
        })
    }

    fn open_currencies(&self) -> impl Iterator<Item = &'static str> + '_ {
        CURRENCIES.into_iter().filter(|currency| !self.closed.contains(currency))
    }

    /// Few fields, because an account shows one of these per currency.
    fn bank(&self, currency: &str) -> Value {
        json!({
            "id": bank_id(&self.id, currency),
            "object": "bank_account",
            "account": self.id,
            "bank_name": "STRIPE TEST BANK",
            "country": self.country,
            "currency": currency,
            "default_for_currency": true,
            "last4": "6789",
            "status": if self.errored.contains(currency) { "errored" } else { "new" },
        })
    }

    fn capability(&self) -> Value {
        let enabled = self.payouts_enabled();
        json!({
            "id": "transfers",
            "object": "capability",
            "account": self.id,
            "requested": true,
            "requested_at": self.created_at / SECOND,
            "requirements": requirements(&json!([]), None),
            "status": if enabled { "active" } else { "inactive" },
        })
    }
}

pub(crate) fn create(world: &mut World, call: &Call<'_>) -> Outcome {
    let id = world.ids.stripe("acct");
    let mut account = Account::new(&id, call.now);
    account.submitted = false;
    change(&mut account, call)?;
    let shown = account.show();
    world.stripe.accounts.insert(id.clone(), account);
    emit(world, &Cause::of(call), Some(&id), "account.updated", &id, &shown, Some(json!({})));
    Ok(shown)
}

/// The account the key belongs to, under its configured id.
pub(crate) fn read_own(world: &mut World, call: &Call<'_>) -> Outcome {
    let mut shown = read(world, call, call.account.unwrap_or(PLATFORM))?;
    if call.account.is_none() {
        shown["id"] = Value::from(world.options.stripe_account.as_str());
    }
    Ok(shown)
}

pub(crate) fn read(world: &mut World, call: &Call<'_>, id: &str) -> Outcome {
    known(world, call, id).map(|account| account.show())
}

/// Pages by account id; the vendor's order by creation is not reproduced, because ids need no index.
pub(crate) fn list(world: &World, call: &Call<'_>) -> Outcome {
    let window = call.form.window()?;
    let after = window.after.unwrap_or_default();
    let accounts = world
        .stripe
        .accounts
        .range::<String, _>((std::ops::Bound::Excluded(after), std::ops::Bound::Unbounded));
    let mut rows: Vec<Value> = accounts
        .filter(|(id, account)| id.as_str() != PLATFORM && !account.deleted)
        .filter(|(_, account)| window.from.is_none_or(|from| account.created_at >= from))
        .take(window.limit + 1)
        .map(|(_, account)| account.show())
        .collect();
    let more = rows.len() > window.limit;
    rows.truncate(window.limit);
    Ok(list_of("/v1/accounts", rows, more))
}

pub(crate) fn update(world: &mut World, call: &Call<'_>, id: &str) -> Outcome {
    let account = known(world, call, id)?;
    let before = json!({"metadata": account.metadata});
    change(account, call)?;
    let shown = account.show();
    plan_sweeps(world, id, call.now);
    emit(world, &Cause::of(call), Some(id), "account.updated", id, &shown, Some(before));
    Ok(shown)
}

pub(crate) fn delete(world: &mut World, call: &Call<'_>, id: &str) -> Outcome {
    let account = known(world, call, id)?;
    if account.purses.values().any(|purse| purse.available + purse.pending != 0) {
        let message = "Only accounts without a balance can be deleted.";
        return Err(Refusal::new(400, Some("account_invalid"), message));
    }
    account.deleted = true;
    Ok(json!({"id": id, "object": "account", "deleted": true}))
}

pub(crate) fn capabilities(world: &mut World, call: &Call<'_>, id: &str) -> Outcome {
    let capability = known(world, call, id)?.capability();
    Ok(list_of(&format!("/v1/accounts/{id}/capabilities"), vec![capability], false))
}

pub(crate) fn capability(world: &mut World, call: &Call<'_>, id: &str) -> Outcome {
    known(world, call, id).map(|account| account.capability())
}

pub(crate) fn external_accounts(world: &mut World, call: &Call<'_>, id: &str) -> Outcome {
    let window = call.form.window()?;
    let account = known(world, call, id)?;
    let after = window.after.as_deref();
    let banks = account.open_currencies().map(|currency| (bank_id(id, currency), currency));
    let mut left = banks.skip_while(|(bank, _)| after.is_some_and(|after| bank != after)).peekable();
    if after.is_some() {
        left.next();
    }
    let rows: Vec<Value> =
        left.by_ref().take(window.limit).map(|(_, currency)| account.bank(currency)).collect();
    let more = left.peek().is_some();
    Ok(list_of(&format!("/v1/accounts/{id}/external_accounts"), rows, more))
}

/// Records that someone started an account's onboarding and left it.
pub(crate) fn begin(world: &mut World, id: &str, now: i64) {
    let Some(account) = world.stripe.account(id, now) else { return };
    if account.submitted || std::mem::replace(&mut account.begun, true) {
        return;
    }
    let shown = account.show();
    let before = Some(json!({"requirements": {}}));
    emit(world, &Cause::itself(now), Some(id), "account.updated", id, &shown, before);
}

pub(crate) fn complete(world: &mut World, id: &str, now: i64) {
    let Some(account) = world.stripe.account(id, now) else { return };
    if !std::mem::replace(&mut account.submitted, true) {
        announce_enabled(world, id, now);
    }
}

/// Ends the account's scene; its bank accounts work again.
pub(crate) fn mend(world: &mut World, id: &str, now: i64) {
    let Some(account) = world.stripe.account(id, now) else { return };
    let was_restricted = account.scene() == Some(Scene::Restricted);
    account.mended = true;
    let errored = std::mem::take(&mut account.errored);
    let closed = std::mem::take(&mut account.closed);
    for currency in errored {
        announce_bank(world, id, &currency, "updated", "errored", now);
    }
    for currency in closed {
        announce_bank(world, id, currency, "created", "new", now);
    }
    if was_restricted {
        announce_enabled(world, id, now);
    }
    let waiting: Vec<String> = world.stripe.waiting_payouts(id);
    for payout in waiting {
        for step in [super::payout::Step::Leave, super::payout::Step::Arrive] {
            world.agenda.write(now, crate::world::Due::Payout { id: payout.clone(), step });
        }
    }
}

/// After a failed payout the bank account is disabled until its details are replaced.
pub(crate) fn switch_off_bank(world: &mut World, id: &str, currency: &str, at: i64) {
    let Some(account) = world.stripe.accounts.get_mut(id) else { return };
    if account.errored.insert(currency.to_owned()) {
        announce_bank(world, id, currency, "updated", "new", at);
    }
}

/// Sets the calling account's payout schedule.
pub(crate) fn set_interval(world: &mut World, call: &Call<'_>, interval: &str) -> Result<(), Refusal> {
    let id = call.account.unwrap_or(PLATFORM);
    let account = known(world, call, id)?;
    account.interval = checked_interval(interval)?;
    plan_sweeps(world, id, call.now);
    Ok(())
}

/// Puts a connected account back on the daily schedule, as its owner could at Stripe.
pub(crate) fn pay_daily(world: &mut World, id: &str, now: i64) {
    if let Some(account) = world.stripe.account(id, now) {
        account.interval = "daily".to_owned();
    }
    plan_sweeps(world, id, now);
}

fn plan_sweeps(world: &mut World, id: &str, now: i64) {
    let purses = world.stripe.accounts.get(id).map(|account| account.purses.clone());
    let holding = purses.into_iter().flatten().filter(|(_, purse)| purse.available + purse.pending > 0);
    for (currency, _) in holding {
        super::payout::plan_sweep(world, id, &currency, now);
    }
}

/// The owner removes their bank account for a currency.
pub(crate) fn close_bank(world: &mut World, id: &str, currency: &str, now: i64) {
    let Some(account) = world.stripe.account(id, now) else { return };
    let Some(currency) = CURRENCIES.into_iter().find(|known| *known == currency) else { return };
    if account.closed.insert(currency) {
        announce_bank(world, id, currency, "deleted", "new", now);
    }
}

/// The owner revokes the platform's access: to us the account no longer exists.
pub(crate) fn disconnect(world: &mut World, id: &str, now: i64) {
    let Some(account) = world.stripe.account(id, now) else { return };
    account.deleted = true;
    super::payout::lose_sight(world, id, now);
    let application = json!({"id": "ca_sim", "object": "application", "name": "Bursar"});
    let event = "account.application.deauthorized";
    emit(world, &Cause::itself(now), Some(id), event, "ca_sim", &application, None);
}

/// The owner restores the platform's access, with the account unchanged.
pub(crate) fn give_access(world: &mut World, id: &str, now: i64) {
    if let Some(account) = world.stripe.accounts.get_mut(id) {
        account.deleted = false;
    }
    announce_enabled(world, id, now);
}

fn announce_bank(world: &mut World, id: &str, currency: &str, what: &str, before: &str, now: i64) {
    let Some(account) = world.stripe.accounts.get(id) else { return };
    let (bank, before) = (account.bank(currency), json!({"status": before}));
    let (cause, event) = (Cause::itself(now), format!("account.external_account.{what}"));
    let connected = (id != PLATFORM).then_some(id);
    emit(world, &cause, connected, &event, &bank_id(id, currency), &bank, Some(before));
}

fn announce_enabled(world: &mut World, id: &str, now: i64) {
    let Some(account) = world.stripe.accounts.get(id) else { return };
    let (shown, capability) = (account.show(), account.capability());
    let cause = Cause::itself(now);
    let before = Some(json!({"payouts_enabled": false}));
    emit(world, &cause, Some(id), "account.updated", id, &shown, before);
    let before = Some(json!({"status": "inactive"}));
    emit(world, &cause, Some(id), "capability.updated", id, &capability, before);
}

fn known<'a>(world: &'a mut World, call: &Call<'_>, id: &str) -> Result<&'a mut Account, Refusal> {
    world.stripe.account(id, call.now).ok_or_else(|| Refusal::missing("account", id))
}

fn change(account: &mut Account, call: &Call<'_>) -> Result<(), Refusal> {
    let form = &call.form;
    account.metadata = form.metadata(&account.metadata)?;
    if let Some(interval) = form.get("settings[payouts][schedule][interval]") {
        account.interval = checked_interval(interval)?;
    }
    account.email = form.text("email").or(account.email.take());
    account.business_type = form.text("business_type").or(account.business_type.take());
    if let Some(country) = form.text("country") {
        account.country = country;
    }
    Ok(())
}

fn checked_interval(interval: &str) -> Result<String, Refusal> {
    if ["manual", "daily", "weekly", "monthly"].contains(&interval) {
        return Ok(interval.to_owned());
    }
    let message = format!("Invalid interval: {interval}");
    Err(Refusal::parameter("parameter_invalid_string", "interval", &message))
}

fn requirements(due: &Value, disabled: Option<&str>) -> Value {
    json!({
        "alternatives": [],
        "current_deadline": null,
        "currently_due": due,
        "disabled_reason": disabled,
        "errors": [],
        "eventually_due": due,
        "past_due": due,
        "pending_verification": [],
    })
}
