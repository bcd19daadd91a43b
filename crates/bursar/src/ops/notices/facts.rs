//! Reads from the database what a notice's template is filled with, when the notice is expanded: the values of its
//! variables, and who it concerns. No secrets are read, so none can leak: destinations are masked, and of tax reports only
//! the form and its expiry are read.

use std::collections::BTreeSet;

use payout::batch::status_after_pay;
use payout::direction::isolated;
use payout::eligibility::Code;
use payout::ids::{PersonId, RewardId, TransactionId};
use payout::ledger::Payee;
use payout::money::{Money, Sum, Vendor};
use payout::notice::Notice;
use payout::reason::explain_at;
use payout::transaction::{State, Status};
use serde_json::{Map, Value, json};

use super::{secret, store_error};
use crate::clock::date;
use crate::mail::Language;
use crate::ops::{batches as verbs, settings};
use crate::store::batches::{self, PoolFilter};
use crate::store::outbox::OutboxNotice;
use crate::store::programs::RewardValue;
use crate::store::rewards::{self, Reward};
use crate::store::transactions::{self, Transaction};
use crate::store::{self, Db, StoreError, former_emails, mails, payees, people, vendors};

/// How many rows of a list a mail shows.
const SHOWN: usize = 20;

/// The data for one notice.
pub struct Facts {
    /// The id of its subject.
    pub about: String,
    pub payee: Option<Payee>,
    /// The addresses that the notice names.
    pub to: Vec<String>,
    /// Nobody but those it names is mailed.
    pub only_named: bool,
    /// The ids of the people it names.
    pub people: Vec<String>,
    /// The payment it is about.
    pub payment: Option<TransactionId>,
    /// The values that are the same for every reader.
    values: Map<String, Value>,
    /// Why a payment did not arrive.
    reason: Option<(String, State)>,
    /// The gates that block a payee.
    gates: Vec<Code>,
    /// The page with details, for partners and for our own people.
    links: (String, String),
}

impl Facts {
    /// The variables as one reader sees them.
    pub fn seen_by(&self, name: &str, partner: bool, language: Language) -> Value {
        let mut values = self.values.clone();
        values.iter_mut().for_each(|(name, value)| write_amounts(name, value, language));
        values.insert("name".to_owned(), json!(isolated(name)));
        values.insert("greeting".to_owned(), json!(""));
        values.insert("for_partner".to_owned(), json!(partner));
        let (of_partner, of_ours) = &self.links;
        values.insert("link".to_owned(), json!(if partner { of_partner } else { of_ours }));
        if let Some(paid) = values.get("payee").cloned() {
            // For somebody who administers a company's account, name the company: the money is not theirs.
            let company = partner && matches!(self.payee, Some(Payee::Account(_)));
            values.insert("company".to_owned(), if company { paid } else { json!("") });
        }
        if partner && values.contains_key("changed_by") {
            values.insert("changed_by".to_owned(), json!(""));
        }
        // The vendor's message is English; other languages get the translated reason only.
        if partner && language != Language::En && values.contains_key("said") {
            values.insert("said".to_owned(), json!(""));
        }
        if !self.gates.is_empty() {
            let blocker = |code: &Code| {
                let (message, remedy) = match partner {
                    true => language.blocker(*code),
                    false => (code.message().to_owned(), code.remedy().to_owned()),
                };
                json!({"code": code.as_str(), "message": message, "remedy": remedy})
            };
            values.insert("blockers".to_owned(), self.gates.iter().map(blocker).collect());
        }
        if let Some((code, state)) = &self.reason {
            let (reason, remedy) = match partner {
                true => language.reason(code),
                false => {
                    let explained = explain_at(code, *state);
                    let said = values.get("said").and_then(Value::as_str).unwrap_or_default();
                    let reason = explained.message.unwrap_or(if said.is_empty() { code } else { said });
                    (reason.to_owned(), explained.remedy.to_owned())
                }
            };
            values.insert("reason".to_owned(), json!(reason));
            values.insert("remedy".to_owned(), json!(remedy));
        }
        Value::Object(values)
    }
}

/// Formats every amount for the reader's language: a payment's, those in lists, and those in their rows.
fn write_amounts(name: &str, value: &mut Value, language: Language) {
    match value {
        Value::String(text) if matches!(name, "amount" | "fee" | "value" | "totals" | "waiting") => {
            *text = language.amount(text);
        }
        Value::Array(rows) => rows.iter_mut().for_each(|row| write_amounts(name, row, language)),
        Value::Object(row) => row.iter_mut().for_each(|(name, value)| write_amounts(name, value, language)),
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Reads the data of notices that are sent together.
///
/// # Errors
/// [`StoreError::Missing`] if their subject is gone; otherwise database errors.
pub async fn read(db: &mut Db, together: &[OutboxNotice], base_url: &str, now: i64) -> store::Result<Facts> {
    let first = together.first().ok_or(StoreError::Missing)?;
    let detail: Value = serde_json::from_str(&first.detail).unwrap_or(Value::Null);
    let mut facts = Facts {
        about: first.about.clone(),
        payee: None,
        to: texts(&detail["to"]),
        only_named: false,
        people: Vec::new(),
        payment: None,
        values: Map::new(),
        reason: None,
        gates: Vec::new(),
        links: (format!("{base_url}/portal"), base_url.to_owned()),
    };
    match first.notice {
        Notice::RewardApproved | Notice::RewardRejected => {
            of_rewards(&mut facts, db, together, base_url).await?;
        }
        Notice::PaymentOnItsWay
        | Notice::PaymentPaid
        | Notice::PaymentFailed
        | Notice::PaymentReturned
        | Notice::PaymentUnclaimed
        | Notice::PaymentNeedsReview => of_transaction(&mut facts, db, first, base_url, now).await?,
        Notice::ProfileCompleted | Notice::ProfileChanged | Notice::PartnerAddressChanged => {
            of_profile(&mut facts, db, first, &detail, base_url).await?;
        }
        Notice::ProfileConfirm
        | Notice::PortalInvitation
        | Notice::LoginInvitation
        | Notice::PasswordForgotten => {
            facts.payee = Payee::parse(&first.about);
            // A notice from before links were sealed has its own.
            let own = text(&detail, "link");
            facts.links.0 = if own.is_empty() { secret::PLACEHOLDER.to_owned() } else { own };
        }
        Notice::TaxReportNeeded | Notice::TaxReportExpiring | Notice::Reminder | Notice::PayoutRequested => {
            of_payee(&mut facts, db, first, &detail, base_url, now).await?
        }
        Notice::LoginLinkShown | Notice::SecondFactorReset => {
            of_login(&mut facts, first, &detail, base_url);
        }
        Notice::LoginLinked | Notice::LoginByProvider => of_provider(&mut facts, first, &detail, base_url),
        Notice::RightsChanged => of_rights(&mut facts, first, &detail, base_url),
        Notice::SafeguardLowered => of_safeguard(&mut facts, first, &detail, base_url),
        Notice::ApiKeyMade | Notice::ApiKeyEnds => of_key(&mut facts, first, &detail, base_url),
        Notice::VendorConnectionChanged => of_connection(&mut facts, first, &detail, base_url)?,
        Notice::MasterKeyChanged => of_master_key(&mut facts, first, &detail, base_url),
        Notice::LoginChanged | Notice::LoginNewBrowser => of_own_login(&mut facts, first, &detail),
        Notice::LoginAttacked => of_attack(&mut facts, first, &detail, base_url),
        Notice::ReleaseRequested => of_release(&mut facts, db, first, base_url, now).await?,
        Notice::BatchFinal => of_ended_batch(&mut facts, db, first, base_url).await?,
        Notice::CredentialsRejected | Notice::WebhooksSilent => {
            of_vendor(&mut facts, db, first, &detail, base_url).await?;
        }
        Notice::PaymentsStuck => of_payments(&mut facts, db, &detail, base_url).await?,
        Notice::ReconciliationOpen => {
            facts.links.1 = format!("{base_url}/reconciliation");
            put(&mut facts, detail);
        }
        Notice::BooksDoNotBalance | Notice::LogSigned => {
            facts.links.1 = format!("{base_url}/activity/books");
            put(&mut facts, detail);
        }
    }
    Ok(facts)
}

/// A single text or an array of them, as a list.
fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Array(values) => values.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => Vec::new(),
    }
}

fn put(facts: &mut Facts, values: Value) {
    if let Value::Object(values) = values {
        facts.values.extend(values);
    }
}

async fn of_rewards(
    facts: &mut Facts,
    db: &mut Db,
    together: &[OutboxNotice],
    base: &str,
) -> store::Result<()> {
    // A reward that was approved, edited and approved again is listed once.
    let ids: BTreeSet<RewardId> = together.iter().filter_map(|told| RewardId::parse(&told.about)).collect();
    let shown: Vec<RewardId> = ids.iter().copied().take(SHOWN).collect();
    let mut found = rewards::named(db, &shown).await?;
    found.sort_by_key(|reward| reward.entered.number);
    let owner = found.first().ok_or(StoreError::Missing)?.owner.id;
    facts.payee = Some(Payee::Partner(owner));
    if ids.len() > 1 {
        facts.about = owner.to_string();
    }
    facts.links.1 = format!("{base}/rewards");
    put(
        facts,
        json!({
            "rewards": found.iter().map(|reward| row(reward, None)).collect::<Vec<_>>(),
            "count": ids.len(), "more": ids.len().saturating_sub(SHOWN),
        }),
    );
    Ok(())
}

/// A reward in a list; `adds` is its contribution, in a payment.
fn row(reward: &Reward, adds: Option<Money>) -> Value {
    let worth = match reward.entered.worth {
        RewardValue::Cash(money) => money.to_string(),
        RewardValue::Points(points) => format!("{points} points"),
    };
    let reason = reward.entered.reason.as_deref().filter(|_| reward.reason_shown_at.is_some());
    json!({
        "number": reward.number(), "program": isolated(&reward.program.name),
        "activity": isolated(&reward.activity.name),
        "value": adds.map_or(worth, |money| money.to_string()), "reason": reason.unwrap_or_default(),
    })
}

async fn of_transaction(
    facts: &mut Facts,
    db: &mut Db,
    notice: &OutboxNotice,
    base: &str,
    now: i64,
) -> store::Result<()> {
    let transaction = transactions::find(db, &notice.about).await?;
    let terms = transaction.terms;
    let covered = transactions::covered(db, transaction.id).await?;
    let shown: Vec<RewardId> = covered.iter().take(SHOWN).filter_map(|it| RewardId::parse(&it.id)).collect();
    let mut rows = rewards::named(db, &shown).await?;
    rows.sort_by_key(|reward| reward.entered.number);
    let adds = |reward: &Reward| {
        let of = covered.iter().find(|it| it.number == reward.entered.number)?;
        Some(Money::new(of.amount_minor, terms.amount.currency))
    };
    let rows: Vec<Value> = rows.iter().map(|reward| row(reward, adds(reward))).collect();
    let fee = terms.amount != terms.net;
    let said = transaction.reason.as_ref().map(|reason| reason.message.clone()).unwrap_or_default();
    facts.payee = Some(terms.payee);
    facts.payment = Some(transaction.id);
    facts.links.1 = format!("{base}/transactions/{}", transaction.label());
    facts.reason = Some((code(&transaction), transaction.state));
    let values = json!({
        "payee": name(db, terms.payee).await?,
        "payment": transaction.label(),
        "batch": batches::find(db, &transaction.batch.to_string()).await?.number,
        "amount": terms.net.to_string(),
        "fee": if fee { transaction.fee.to_string() } else { String::new() },
        "vendor": terms.vendor.label(),
        "destination": transaction.destination.masked(),
        "date": date(transaction.settled_at.unwrap_or(now)),
        "said": said,
        "parked": parked(transaction.state),
        "rewards": rows, "count": covered.len(), "more": covered.len().saturating_sub(SHOWN),
    });
    put(facts, values);
    Ok(())
}

/// Whether the money of a payment that did not arrive is in the payee's balance at the vendor, not with us.
fn parked(state: State) -> bool {
    matches!(state, State::PayoutFailed | State::PayoutCanceled)
}

/// The reason code of a payment's state. If the vendor gave none, it is derived from the state.
fn code(transaction: &Transaction) -> String {
    let unsaid = match (&transaction.reason, transaction.state) {
        (Some(reason), _) => return reason.code.clone(),
        (None, State::Refunded) => "REFUNDED",
        (None, State::Reversed) => "REVERSED",
        (None, state) if parked(state) => "not_paid_out",
        (None, state) if state.status() == Status::PayoutFailed => "returned",
        (None, _) => "needs_review",
    };
    unsaid.to_owned()
}

async fn name(db: &mut Db, payee: Payee) -> store::Result<String> {
    let mut names = payees::names(db, &[payee]).await?;
    Ok(isolated(&names.remove(&payee).ok_or(StoreError::Missing)?.name).into_owned())
}

fn text(detail: &Value, field: &str) -> String {
    detail[field].as_str().unwrap_or_default().to_owned()
}

/// The payee's name; also sets the link to their page for our own people.
async fn concern(
    facts: &mut Facts,
    db: &mut Db,
    notice: &OutboxNotice,
    base: &str,
) -> store::Result<(Payee, String)> {
    let payee = Payee::parse(&notice.about).ok_or(StoreError::Missing)?;
    facts.payee = Some(payee);
    facts.links.1 = format!("{base}/partners/{payee}");
    Ok((payee, name(db, payee).await?))
}

async fn of_profile(
    facts: &mut Facts,
    db: &mut Db,
    notice: &OutboxNotice,
    detail: &Value,
    base: &str,
) -> store::Result<()> {
    let (payee, name) = concern(facts, db, notice, base).await?;
    let contact = mails::account_owner(db, payee).await?.unwrap_or_default();
    if notice.notice == Notice::PartnerAddressChanged {
        let new = text(detail, "new");
        // No contact: whoever changed the address may have changed the account's owner before.
        put(facts, json!({ "payee": name, "new": new, "date": date(notice.at), "contact": "" }));
        return Ok(());
    }
    let profile = payees::profile_of(db, payee).await?;
    let vendor = profile.map(|profile| profile.destination.vendor().label()).unwrap_or_default();
    let by = match PersonId::parse(&text(detail, "by")) {
        Some(id) => people::by_id(db, id).await?.map(|person| person.name),
        None => None,
    };
    if notice.notice == Notice::ProfileCompleted {
        facts.to.clear();
    }
    facts.to.extend(former_emails::of(db, payee, notice.at - former_emails::KEPT_US).await?);
    let wait_hours = match notice.notice == Notice::ProfileChanged {
        true => settings::load(db).await?.cooling_off_hours,
        false => 0,
    };
    let values = json!({
        "payee": name, "vendor": vendor, "old": text(detail, "old"), "new": text(detail, "new"),
        "date": date(notice.at), "wait_days": wait_hours.div_ceil(24),
        "by_partner": detail["by_partner"].as_bool().unwrap_or(false),
        "changed_by": by.unwrap_or_default(), "contact": contact,
    });
    put(facts, values);
    Ok(())
}

async fn of_payee(
    facts: &mut Facts,
    db: &mut Db,
    notice: &OutboxNotice,
    detail: &Value,
    base: &str,
    now: i64,
) -> store::Result<()> {
    let (payee, name) = concern(facts, db, notice, base).await?;
    if notice.notice == Notice::PayoutRequested {
        facts.links.1 = format!("{base}/claims");
    }
    facts.gates = texts(&detail["blockers"]).iter().filter_map(|code| Code::parse(code)).collect();
    let values = json!({
        "payee": name, "form": text(detail, "form"), "expires": text(detail, "expires"),
        "waiting": waiting(db, payee, now).await?, "blockers": [],
    });
    put(facts, values);
    Ok(())
}

/// What is approved and not paid, one total per currency.
async fn waiting(db: &mut Db, payee: Payee, now: i64) -> store::Result<Vec<String>> {
    let filter = PoolFilter { payee: Some(payee.to_string()), ..PoolFilter::default() };
    let (open, blocked) = verbs::pool_blockers(db, &filter, now).await.map_err(store_error)?;
    let all = open.into_iter().chain(blocked.into_iter().map(|(candidate, _)| candidate));
    Ok(totals(all.filter_map(|candidate| candidate.adds)))
}

/// The formatted totals by currency.
fn totals(amounts: impl IntoIterator<Item = impl Into<Sum>>) -> Vec<String> {
    let mut sums: Vec<Sum> = Vec::new();
    for adds in amounts.into_iter().map(Into::into) {
        match sums.iter_mut().find(|sum| sum.currency == adds.currency) {
            Some(sum) => sum.minor += adds.minor,
            None => sums.push(adds),
        }
    }
    sums.sort_by_key(|sum| sum.currency);
    sums.into_iter().map(|sum| sum.to_string()).collect()
}

async fn of_release(
    facts: &mut Facts,
    db: &mut Db,
    notice: &OutboxNotice,
    base: &str,
    now: i64,
) -> store::Result<()> {
    let view = verbs::view(db, &notice.about, now).await.map_err(store_error)?;
    let asked_by = match PersonId::parse(&view.batch.changed.0) {
        Some(id) => people::by_id(db, id).await?.map(|person| person.name),
        None => None,
    };
    facts.links.1 = format!("{base}/claims/{}", view.batch.number);
    let values = json!({
        "batch": view.batch.number, "asked_by": asked_by.unwrap_or_else(|| "Somebody".to_owned()),
        "claims": view.claims.len(), "totals": totals(view.totals),
    });
    put(facts, values);
    Ok(())
}

async fn of_ended_batch(
    facts: &mut Facts,
    db: &mut Db,
    notice: &OutboxNotice,
    base: &str,
) -> store::Result<()> {
    let batch = batches::find(db, &notice.about).await?;
    facts.people = std::iter::once(batch.created.0).chain(batch.paid.map(|(by, _)| by)).collect();
    facts.links.1 = format!("{base}/claims/{}/pay", batch.number);
    let states = batches::states(db, batch.id).await?;
    let count = |status| {
        let of = states.iter().filter(|(state, outside, _)| !outside && state.status() == status);
        of.map(|(.., count)| count).sum::<i64>()
    };
    let sums = batches::sums(db, batch.id).await?;
    let paid = sums.into_iter().filter(|(state, _)| state.status() == Status::Success).map(|(_, sum)| sum);
    let values = json!({
        "batch": batch.number,
        "status": status_after_pay(states.iter().map(|(state, outside, _)| (*state, *outside))).label(),
        "paid": count(Status::Success), "failed": count(Status::Failed), "returned": count(Status::PayoutFailed),
        "outside": states.iter().filter(|(_, outside, _)| *outside).map(|(.., count)| count).sum::<i64>(),
        "totals": totals(paid),
    });
    put(facts, values);
    Ok(())
}

/// A login whose one-time link was shown to someone else. The names were recorded at that time.
fn of_login(facts: &mut Facts, notice: &OutboxNotice, detail: &Value, base: &str) {
    facts.links.1 = format!("{base}/people/{}", notice.about);
    let values = json!({
        "by": isolated(&text(detail, "by")), "whose": isolated(&text(detail, "whose")),
        "address": text(detail, "address"), "role": text(detail, "role"), "date": date(notice.at),
    });
    put(facts, values);
}

/// What the identity provider has changed about a login.
fn of_provider(facts: &mut Facts, notice: &OutboxNotice, detail: &Value, base: &str) {
    of_login(facts, notice, detail, base);
    facts.links.0 = match notice.notice == Notice::LoginLinked {
        true => text(detail, "link"),
        false => format!("{base}/me"),
    };
    let values = json!({
        "what": text(detail, "what"), "provider": text(detail, "provider"), "old": text(detail, "old"),
        "keys": text(detail, "keys"), "waits": detail["waits"].as_bool().unwrap_or_default(),
        "claim": text(detail, "claim"), "last": detail["last"].as_bool().unwrap_or_default(),
    });
    put(facts, values);
}

/// What happened to a login, for its owner.
fn of_own_login(facts: &mut Facts, notice: &OutboxNotice, detail: &Value) {
    facts.payee = Payee::parse(&notice.about);
    facts.links.0 = text(detail, "link");
    if notice.notice == Notice::LoginNewBrowser {
        let told = ["at", "browser", "from"].map(|name| (name.to_owned(), json!(text(detail, name))));
        facts.values.extend(told);
        put(facts, json!({ "last": detail["last"].as_bool().unwrap_or_default() }));
        return;
    }
    let by = isolated(&text(detail, "by")).into_owned();
    let passkeys = isolated(&text(detail, "passkeys")).into_owned();
    let what = text(detail, "what");
    put(facts, json!({ "what": what, "by": by, "passkeys": passkeys, "date": date(notice.at) }));
}

fn of_attack(facts: &mut Facts, notice: &OutboxNotice, detail: &Value, base: &str) {
    facts.payee = Payee::parse(&notice.about);
    facts.only_named = facts.payee.is_some();
    facts.links = (text(detail, "link"), format!("{base}/people/{}", text(detail, "person")));
    let whose = isolated(&text(detail, "whose")).into_owned();
    put(
        facts,
        json!({
            "whose": whose, "address": detail["address"], "at": detail["at"], "from": detail["from"],
            "in_session": detail["in_session"],
        }),
    );
}

/// A change to a login that can move money or administer. The person concerned reads it too, and is not a partner.
fn of_rights(facts: &mut Facts, notice: &OutboxNotice, detail: &Value, base: &str) {
    of_login(facts, notice, detail, base);
    facts.links.0 = format!("{base}/me");
    put(
        facts,
        json!({ "what": text(detail, "what"), "old": text(detail, "old"), "from": text(detail, "from") }),
    );
}

fn of_safeguard(facts: &mut Facts, notice: &OutboxNotice, detail: &Value, base: &str) {
    let page = format!("{base}/activity");
    // Someone who has ceased to be an administrator since is not a partner either.
    facts.links = (page.clone(), page);
    let payment = text(detail, "payment");
    if !payment.is_empty() {
        facts.links.1 = format!("{base}/transactions/{payment}");
    }
    let by = isolated(&text(detail, "by")).into_owned();
    let (what, from) = (text(detail, "what"), text(detail, "from"));
    put(facts, json!({ "by": by, "what": what, "from": from, "payment": payment, "date": date(notice.at) }));
}

/// An API key that is new or expires soon. The names of the key and its creator are user input.
fn of_key(facts: &mut Facts, notice: &OutboxNotice, detail: &Value, base: &str) {
    facts.links.1 = format!("{base}/keys");
    let values = json!({
        "by": isolated(&text(detail, "by")), "key": isolated(&text(detail, "key")), "hint": text(detail, "hint"),
        "role": text(detail, "role"), "may": text(detail, "may"), "addresses": text(detail, "addresses"),
        "ends": text(detail, "ends"), "used": text(detail, "used"), "date": date(notice.at),
    });
    put(facts, values);
}

/// A vendor's connection that was saved, replaced or removed. Its account and mode were recorded at that time.
fn of_connection(facts: &mut Facts, notice: &OutboxNotice, detail: &Value, base: &str) -> store::Result<()> {
    let vendor = Vendor::parse(&notice.about).ok_or(StoreError::Missing)?;
    let page = format!("{base}/settings/payouts");
    // Someone who has ceased to be an administrator since is not a partner either.
    facts.links = (page.clone(), page);
    let by = isolated(&text(detail, "by")).into_owned();
    let (old, new) = (text(detail, "old"), text(detail, "new"));
    put(
        facts,
        json!({ "by": by, "vendor": vendor.label(), "old": old, "new": new, "date": date(notice.at) }),
    );
    Ok(())
}

fn of_master_key(facts: &mut Facts, told: &OutboxNotice, detail: &Value, base: &str) {
    facts.links.1 = format!("{base}/activity");
    let (by, key, old) = (text(detail, "by"), text(detail, "key"), text(detail, "old"));
    let lost = text(detail, "lost");
    put(facts, json!({ "by": isolated(&by), "key": key, "old": old, "lost": lost, "date": date(told.at) }));
}

async fn of_vendor(
    facts: &mut Facts,
    db: &mut Db,
    notice: &OutboxNotice,
    detail: &Value,
    base: &str,
) -> store::Result<()> {
    let vendor = Vendor::parse(&notice.about).ok_or(StoreError::Missing)?;
    facts.links.1 = format!("{base}/settings/payouts");
    let all = vendors::all(db).await?;
    let last = all.iter().find(|connection| connection.vendor == vendor).and_then(|it| it.last_event_at);
    let values = json!({
        "vendor": vendor.label(), "why": text(detail, "why"), "date": date(notice.at),
        "since": text(detail, "since"), "last_event": last.map(date).unwrap_or_default(),
    });
    put(facts, values);
    Ok(())
}

async fn of_payments(facts: &mut Facts, db: &mut Db, detail: &Value, base: &str) -> store::Result<()> {
    let ids = texts(&detail["transactions"]);
    facts.links.1 = format!("{base}/dashboard/transactions?stuck=true");
    let mut rows = Vec::new();
    for id in ids.iter().take(SHOWN) {
        let transaction = match transactions::find(db, id).await {
            // The notice may be about just this: the payment's record cannot be read.
            Err(error) if error.about_a_row() => {
                rows.push(json!({
                    "number": id, "payee": "its record cannot be read", "amount": "", "vendor": "", "since": "",
                }));
                continue;
            }
            read => read?,
        };
        rows.push(json!({
            "number": transaction.label(), "payee": name(db, transaction.terms.payee).await?,
            "amount": transaction.terms.net.to_string(), "vendor": transaction.terms.vendor.label(),
            "since": date(transaction.state_at),
        }));
    }
    put(facts, json!({"payments": rows, "count": ids.len(), "more": ids.len().saturating_sub(SHOWN)}));
    Ok(())
}
