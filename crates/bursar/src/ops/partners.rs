//! Accounts and partners, created and changed under the caller's external ids.

use payout::Refusal;
use payout::country;
use payout::eligibility::PayeeStanding;
use payout::external;
use payout::ids::{AccountId, PartnerId};
use payout::ledger::Payee;
use payout::notice::Notice;
use serde_json::json;

use super::settings::is_address;
use super::{OpsError, Result, payees};
use crate::app::{Actor, App};
use crate::store::programs::{self, Account, Partner, RecordRef};
use crate::store::rewards::Visible;
use crate::store::{self, Tx, audit, former_emails};
use crate::transact;

/// Which rewards and partners an actor may see.
pub fn visible(actor: &Actor) -> Visible {
    use payout::access::Role;
    match (actor.role, actor.partner) {
        (Role::PartnerAdmin, Some(partner)) => Visible::CompanyOf(partner),
        (Role::Partner, Some(partner)) => Visible::Of(partner),
        // A partner role without a partner sees nothing: no partner has this id.
        (Role::Partner | Role::PartnerAdmin, None) => Visible::Of(PartnerId::fresh(0, 0)),
        (Role::Admin | Role::ProgramManager | Role::Preparer | Role::Payer | Role::Auditor, _) => {
            Visible::All
        }
    }
}

/// Creates or changes the account with external id `name`, or changes the one with that id of ours. `change` maps the
/// current account, if any, to the new one. Returns whether it was created.
///
/// # Errors
/// The first invalid field.
pub async fn save_account(
    app: &App,
    actor: &Actor,
    name: &str,
    change: impl Fn(Option<Account>, AccountId) -> std::result::Result<Account, Refusal> + Send + Sync,
) -> Result<(Account, bool)> {
    let name = saved_as(name)?;
    let now = app.clock.now();
    let fresh = AccountId::fresh(now, app.clock.in_turn());
    let saved = transact!(app, |tx| {
        let found = programs::account(tx, RecordRef::Either(&name)).await?;
        new_or_known(&name, found.is_some())?;
        let known_as = found.map_or_else(|| name.clone(), |found| found.external_id);
        programs::lock_accounts(tx, &[known_as]).await?;
        let before = programs::account(tx, RecordRef::Either(&name)).await?;
        let mut after = change(before.clone(), fresh)?;
        after.external_id = before.as_ref().map_or_else(|| name.clone(), |before| before.external_id.clone());
        // Validate changed fields only: old values may predate a rule.
        if before.as_ref().is_none_or(|before| before.name != after.name) {
            filled(&after.name, "name")?;
        }
        if before.as_ref().is_none_or(|before| before.country != after.country) {
            check_country(after.country.as_deref())?;
        }
        if before.as_ref().is_none_or(|before| before.owner_email != after.owner_email) {
            check_email(after.owner_email.as_deref(), "owner_email")?;
        }
        after.updated_at = now;
        programs::save_accounts(tx, std::slice::from_ref(&after)).await?;
        let told = |it: &Account| json!({"name": it.name, "country": it.country, "owner": it.owner_email});
        let before_told = before.as_ref().map_or_else(|| json!({}), told);
        let detail = json!({"external_id": after.external_id, "before": before_told, "after": told(&after)});
        note(tx, now, actor, "account_saved", &after.id.to_string(), &detail);
        let was = before.as_ref().map(|before| (before.standing, before.note.clone()));
        let is = (after.standing, after.note.clone());
        payees::note_standing_of(tx, now, actor, Payee::Account(after.id), was, is).await?;
        Ok((after, before.is_none()))
    })?;
    app.nudge.dispatch.notify();
    Ok(saved)
}

/// Creates or changes the partner with external id `name`, or changes the one with that id of ours. `change` maps the
/// current partner, if any, to the new one, whose account is given by external id. Returns whether it was created.
///
/// # Errors
/// The first invalid field.
pub async fn save_partner(
    app: &App,
    actor: &Actor,
    name: &str,
    change: impl Fn(Option<Partner>, PartnerId) -> std::result::Result<Partner, Refusal> + Send + Sync,
) -> Result<(Partner, bool)> {
    let name = saved_as(name)?;
    let now = app.clock.now();
    let fresh = PartnerId::fresh(now, app.clock.in_turn());
    let saved = transact!(app, |tx| {
        let found = programs::partner(tx, RecordRef::Either(&name)).await?;
        new_or_known(&name, found.is_some())?;
        let known_as = found.map_or_else(|| name.clone(), |found| found.external_id);
        programs::lock_partners(tx, &[known_as]).await?;
        let before = programs::partner(tx, RecordRef::Either(&name)).await?;
        let mut after = change(before.clone(), fresh)?;
        after.external_id = before.as_ref().map_or_else(|| name.clone(), |before| before.external_id.clone());
        after.account = match before.as_ref().filter(|before| before.account.1 == after.account.1) {
            // Keep the same account, and not another with a similar external id.
            Some(before) => before.account.clone(),
            None => {
                let named = referred(&after.account.1, "account")?;
                let found = programs::account(tx, RecordRef::Either(&named)).await?;
                let message = "There is no account with this external id.";
                let found = found.ok_or_else(|| Refusal::new("unknown_account", message).at("account"))?;
                (found.id, found.external_id)
            }
        };
        check_partner(before.as_ref(), &after)?;
        after.updated_at = now;
        programs::save_partners(tx, std::slice::from_ref(&after)).await?;
        // The audit trail is permanent and the address is personal data, so record only enough to see that it changed.
        let told = |it: &Partner| {
            json!({"name": it.name, "email": masked(&it.email), "account": it.account.1, "country": it.country,
                   "language": it.language})
        };
        let before_told = before.as_ref().map_or_else(|| json!({}), told);
        let detail = json!({"external_id": after.external_id, "before": before_told, "after": told(&after)});
        note(tx, now, actor, "partner_saved", &after.id.to_string(), &detail);
        note_addresses(tx, app, before.iter().map(|before| (before, &after))).await?;
        let was = before.as_ref().map(|before| (before.standing, before.note.clone()));
        let is = (after.standing, after.note.clone());
        payees::note_standing_of(tx, now, actor, Payee::Partner(after.id), was, is).await?;
        Ok((after, before.is_none()))
    })?;
    app.nudge.dispatch.notify();
    Ok(saved)
}

/// Tells the old address of each partner that now has another one. Otherwise somebody who can edit partners could become one
/// without a trace, and then change where their money goes.
pub(super) async fn note_addresses<'a>(
    tx: &mut Tx,
    app: &App,
    saved: impl Iterator<Item = (&'a Partner, &'a Partner)>,
) -> Result<()> {
    let now = app.clock.now();
    let is_other = |before: &str, after: &str| {
        !before.is_empty() && before.trim().to_lowercase() != after.trim().to_lowercase()
    };
    let moved: Vec<_> = saved.filter(|(before, after)| is_other(&before.email, &after.email)).collect();
    if moved.is_empty() {
        return Ok(());
    }
    let had: Vec<_> =
        moved.iter().map(|(before, after)| (after.id, before.email.trim().to_lowercase())).collect();
    former_emails::note(tx, &had, now).await?;
    let notices = moved.iter().map(|(before, after)| {
        let detail = json!({ "to": before.email.trim(), "new": masked(&after.email) });
        (Notice::PartnerAddressChanged, after.id.to_string(), detail.to_string())
    });
    Ok(store::outbox::write(tx, &app.clock, now, notices.collect::<Vec<_>>()).await?)
}

/// Saves the language that a partner has chosen.
///
/// # Errors
/// [`OpsError::Missing`] if there is no such partner.
pub async fn choose_language(app: &App, actor: &Actor, partner: PartnerId, code: &str) -> Result<()> {
    let now = app.clock.now();
    transact!(app, |tx| {
        if store::payees::set_language(tx, partner, code, now).await? == 0 {
            return Err(OpsError::Missing);
        }
        note(tx, now, actor, "language_chosen", &partner.to_string(), &json!({ "language": code }));
        Ok(())
    })
}

/// A masked address that only its owner recognizes: `a…@example.com`.
fn masked(address: &str) -> String {
    let (name, host) = address.split_once('@').unwrap_or((address, ""));
    format!("{}…@{host}", name.chars().take(1).collect::<String>())
}

/// Parses a standing.
///
/// # Errors
/// If it is not one of `active`, `on_hold`, `closed`.
pub fn standing(word: &str) -> std::result::Result<PayeeStanding, Refusal> {
    let message = "The standing must be active, on_hold or closed.";
    PayeeStanding::parse(word).ok_or_else(|| Refusal::new("unknown_value", message).at("standing"))
}

/// The id for saving a record: an id of ours, which only matches an existing record, or an external id in its normal form.
///
/// # Errors
/// If it is neither: too long, or with invisible characters.
pub fn saved_as(name: &str) -> std::result::Result<String, Refusal> {
    let normal = referred(name, "external_id")?;
    if normal.is_empty() || normal.len() > 200 {
        return Err(Refusal::new("invalid", "An external id must have 1 to 200 bytes.").at("external_id"));
    }
    Ok(normal)
}

/// The normal form of a reference to an existing record.
///
/// # Errors
/// At the field, if it contains invisible characters.
pub fn referred(name: &str, field: &'static str) -> std::result::Result<String, Refusal> {
    external::referred(name).map_err(|refusal| refusal.at(field))
}

/// Refuses to create a record under an id of our own format.
pub(super) fn new_or_known(name: &str, known: bool) -> Result<()> {
    if known || !external::is_ours(name) { Ok(()) } else { Err(OpsError::Missing) }
}

/// Validates changed fields only: old values may predate a rule.
fn check_partner(before: Option<&Partner>, after: &Partner) -> std::result::Result<(), Refusal> {
    if before.is_none_or(|before| before.name != after.name) {
        filled(&after.name, "name")?;
    }
    if before.is_none_or(|before| before.email != after.email) {
        filled(&after.email, "email")?;
        check_email(Some(&after.email), "email")?;
    }
    if before.is_none_or(|before| before.country != after.country) {
        check_country(after.country.as_deref())?;
    }
    Ok(())
}

/// The error for a name that would change the direction of surrounding text.
pub(super) const NO_DIRECTION: &str = "This name contains an invisible character that changes the text direction. Type the name again; right-to-left letters need no such character.";

pub(super) fn filled(text: &str, field: &'static str) -> std::result::Result<(), Refusal> {
    // A field of blanks and invisible characters counts as empty.
    if external::folded(text).is_empty() {
        return Err(Refusal::new("missing", "This is required.").at(field));
    }
    if payout::direction::has_controls(text) {
        return Err(Refusal::new("invalid", NO_DIRECTION).at(field));
    }
    match unfit(text) {
        Some(message) => Err(Refusal::new("invalid", message).at(field)),
        None => Ok(()),
    }
}

/// The most characters in a name.
const MOST_OF_A_NAME: usize = 200;

/// Why a text does not fit on one line of a list, mail or file.
pub(super) fn unfit(text: &str) -> Option<&'static str> {
    if text.chars().any(|letter| letter.is_control() || matches!(letter, '\u{2028}' | '\u{2029}')) {
        return Some("This contains a line break or control character; write it on one line.");
    }
    (text.chars().count() > MOST_OF_A_NAME).then_some("This is longer than 200 characters; shorten it.")
}

pub(super) fn check_email(address: Option<&str>, field: &'static str) -> std::result::Result<(), Refusal> {
    match address {
        Some(address) if !is_address(address) => Err(Refusal::new(
            "invalid_email",
            "No mail can be sent to this; write one e-mail address like ana@example.com.",
        )
        .at(field)),
        Some(_) | None => Ok(()),
    }
}

fn check_country(code: Option<&str>) -> std::result::Result<(), Refusal> {
    match code {
        Some(code) if !is_country(code) => Err(wrong_country(code)),
        Some(_) | None => Ok(()),
    }
}

/// Whether a code is an assigned ISO 3166 country code of two capital letters.
pub fn is_country(code: &str) -> bool {
    country::is_known(code)
}

/// The refusal of an unknown country code.
pub fn wrong_country(code: &str) -> Refusal {
    let upper = code.trim().to_uppercase();
    let message = match (country::meant(&upper), country::former(&upper)) {
        (Some(meant), _) => format!("{code} is not a country code; write {meant}."),
        (None, Some((was, now))) => {
            format!("{code} was the code of {was}, which no longer exists; write {now}.")
        }
        (None, None) if country::is_known(&upper) => {
            format!("Write the country code in capital letters: {upper}.")
        }
        (None, None) if upper == "EU" => {
            "EU is the European Union, not a country; write the country's code, like DE.".to_owned()
        }
        (None, None) => format!(
            "No country has the code {code:?}. Write the country's two-letter ISO 3166 code, like DE; leave it empty if the country is not known."
        ),
    };
    Refusal::new("invalid_country", message).at("country")
}

pub(super) fn note(
    tx: &mut Tx,
    at: i64,
    actor: &Actor,
    action: &'static str,
    subject: &str,
    detail: &serde_json::Value,
) {
    let (actor, subject) = (actor.id.to_string(), subject.to_owned());
    tx.audit(audit::Entry { at, actor, action, subject, detail: detail.to_string() });
}
