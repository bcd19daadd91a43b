//! The payee facts for the gates, and what an administrator sets for payees: destination and standing. Tax reports are in
//! `ops::tax`.

use payout::Refusal;
use payout::access::Role;
use payout::eligibility::{Blocker, PayeeStanding};
use payout::ledger::Payee;
use payout::money::{Currency, Vendor};
use payout::notice::Notice;
use payout::payee::Destination;
use serde_json::json;

use super::gates::Gates;
use super::people::not_counted;
use super::{OpsError, Result, settings};
use crate::app::{Actor, App};
use crate::store::payees::{self, DestinationChange, Profile};
use crate::store::people::{self, Counts};
use crate::store::programs::{self, RecordRef};
use crate::store::{self, Db, Tx, audit, former_emails};
use crate::transact;

pub use crate::store::payees::facts;

/// The payee with this id, ours or external; `None` if there is none.
///
/// # Errors
/// [`OpsError::Conflict`] `ambiguous_payee` if both a partner and an account have this external id, so that an action never
/// hits the wrong one.
pub async fn named(db: &mut Db, name: &str) -> Result<Option<Payee>> {
    one_of(name, payees::named(db, name).await?)
}

/// The only payee among those found.
///
/// # Errors
/// As [`named`].
pub fn one_of(name: &str, found: Vec<Payee>) -> Result<Option<Payee>> {
    match found.as_slice() {
        [] => Ok(None),
        [payee] => Ok(Some(*payee)),
        several @ [_, ..] => {
            let kind = |payee: &Payee| match payee {
                Payee::Partner(id) => format!("the partner {id}"),
                Payee::Account(id) => format!("the account {id}"),
            };
            let ids: Vec<String> = several.iter().map(kind).collect();
            let message = format!(
                "The external id {name:?} is used by {}. Nothing was done. Use the Bursar id of the one you mean.",
                ids.join(" and of ")
            );
            Err(OpsError::Conflict(Refusal::new("ambiguous_payee", message)))
        }
    }
}

/// The vendor's view of a destination.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DestinationStatus {
    /// Payments are possible now; in these currencies, if the vendor lists them.
    Payable(Option<Vec<Currency>>),
    NotYet(String),
}

impl DestinationStatus {
    fn why_not(&self) -> Option<&str> {
        match self {
            Self::Payable(_) => None,
            Self::NotYet(why) => Some(why),
        }
    }

    fn currencies(&self) -> Option<&[Currency]> {
        match self {
            Self::Payable(currencies) => currencies.as_deref(),
            Self::NotYet(_) => None,
        }
    }

    /// Whether a profile already has this status.
    fn is_known(&self, profile: &Profile) -> bool {
        let payable = matches!(self, Self::Payable(_)) == profile.payable_at.is_some();
        payable
            && self.why_not() == profile.not_payable_why.as_deref()
            && self.currencies() == profile.currencies.as_deref()
    }
}

/// Sets a payee's destination. A change is recorded in their history, masked; it is announced to the old and the new
/// address, and starts the cooling-off period; a first destination does so only soon after the partner's mail address was
/// changed. A connected account can belong to one payee
/// only. A PayPal address shared with another payee blocks both until a second person has cleared it ([`clear_shared`]).
///
/// # Errors
/// [`OpsError::Missing`] if there is no such payee; [`OpsError::Refused`] for another payee's connected account.
pub async fn set_profile(
    app: &App,
    actor: &Actor,
    payee: Payee,
    destination: Destination,
    standing: DestinationStatus,
) -> Result<Profile> {
    let profile = transact!(app, |tx| {
        let now = app.clock.now();
        if !payees::lock(tx, payee).await? {
            return Err(OpsError::Missing);
        }
        payees::lock_destination(tx, &destination).await?;
        let before = payees::profile_of(tx, payee).await?;
        let others = payees::profiles_at(tx, destination.vendor(), destination.address()).await?;
        if destination.vendor() == Vendor::Stripe && others.iter().any(|other| other.payee != payee) {
            return Err(linked_already());
        }
        // Whoever has just given a partner another address may be a thief of the first destination as well.
        let moved = match &before {
            Some(before) => before.destination != destination,
            None => has_other_address(tx, payee, now).await?,
        };
        let profile = Profile {
            payee,
            payable_at: standing.why_not().is_none().then_some(now),
            not_payable_why: standing.why_not().map(str::to_owned),
            currencies: standing.currencies().map(<[Currency]>::to_vec),
            set_at: before.as_ref().map_or(now, |before| before.set_at),
            changed_at: if moved { Some(now) } else { before.as_ref().and_then(|before| before.changed_at) },
            checked_at: Some(now),
            shared: false,
            destination: destination.clone(),
        };
        payees::put_profile(tx, &profile).await?;
        if profile.payable_at.is_none() {
            payees::ask_again(tx, destination.vendor(), destination.address(), now).await?;
        }
        match &before {
            Some(before) if !moved => {
                if !standing.is_known(before) {
                    note_checked(tx, now, &actor.id.to_string(), payee, &standing);
                }
            }
            Some(_) | None => note_moved(tx, app, actor, before.as_ref(), &profile).await?,
        }
        let shared = !payees::sharing(tx, payee).await?.is_empty();
        Ok(Profile { shared, ..profile })
    })?;
    app.nudge.settle.notify();
    Ok(profile)
}

/// Whether a partner's mail address was changed within the cooling-off; for an account, that of a partner in charge of it.
async fn has_other_address(tx: &mut Tx, payee: Payee, now: i64) -> Result<bool> {
    // A partner who is the payee is locked already.
    if let Payee::Account(account) = payee {
        former_emails::lock_in_charge(tx, account).await?;
    }
    let since = now - settings::load(tx).await?.cooling_off_us();
    Ok(!former_emails::of(tx, payee, since).await?.is_empty())
}

fn linked_already() -> OpsError {
    let message = "This Stripe account is already linked to another payee, and an account can belong to only one. Nothing was \
                changed; check the id, or give the other payee another destination first.";
    Refusal::new("stripe_account_in_use", message).at("stripe_account").into()
}

/// Records a new destination: history, audit entry, and the notice to the old and the new address.
async fn note_moved(
    tx: &mut Tx,
    app: &App,
    actor: &Actor,
    before: Option<&Profile>,
    profile: &Profile,
) -> Result<()> {
    let (now, payee) = (app.clock.now(), profile.payee);
    // Masked so that they differ: two equal masks would suggest that nothing changed.
    let masks = before.map(|before| before.destination.masked_beside(&profile.destination));
    let (old, new) = match masks {
        Some((old, new)) => (Some(old), new),
        None => (None, profile.destination.masked()),
    };
    let id = format!("chg_{}", payout::ids::encode(payout::ids::fresh(now, app.clock.in_turn())));
    let by_partner = matches!(actor.role, Role::Partner | Role::PartnerAdmin);
    // The newest entry decides who may release, whichever node's clock it was made by.
    let newest = payees::changes(tx, payee, 1).await?.first().map(|newest| newest.at);
    let change = DestinationChange {
        at: newest.map_or(now, |at| now.max(at.saturating_add(1))),
        actor: actor.id.to_string(),
        entered_by: entered_by(tx, actor, by_partner, now).await?,
        came_from: Some(actor.came_from.clone()).filter(|from| !from.is_empty()),
        old: old.clone(),
        new: new.clone(),
    };
    payees::note_change(tx, &id, payee, &change).await?;
    let both = before.map(|before| &before.destination).into_iter().chain([&profile.destination]);
    let to: Vec<&str> = both.filter(|one| one.vendor() == Vendor::PayPal).map(Destination::address).collect();
    let notice = if before.is_some() { Notice::ProfileChanged } else { Notice::ProfileCompleted };
    let by = (!by_partner).then(|| actor.id.to_string());
    let detail = json!({ "old": old, "new": new, "to": to, "by_partner": by_partner, "by": by }).to_string();
    let told = (!payout::planted::on("change_untold")).then(|| (notice, payee.to_string(), detail));
    store::outbox::write(tx, &app.clock, now, told).await?;
    let sharing: Vec<String> = payees::sharing(tx, payee).await?.iter().map(ToString::to_string).collect();
    let shared_with = (!sharing.is_empty()).then(|| sharing.join(" "));
    let detail = json!({ "old": old, "new": new, "from": change.came_from, "shared_with": shared_with });
    note(tx, now, &change.actor, notice.as_str(), payee, &detail);
    Ok(())
}

/// Who stands behind an entry that is not the payee's own. Whoever was just shown the link of a partner's login could have
/// used it, so they stand behind its entries.
async fn entered_by(tx: &mut Tx, actor: &Actor, by_partner: bool, now: i64) -> Result<Option<String>> {
    let me = actor.id.to_string();
    let behind = people::behind(tx, &me, now).await?;
    Ok((!by_partner || behind != me).then_some(behind))
}

/// A second person confirms that this payee may share a destination with others. Unblocks the payee, and every other one
/// that was blocked only by this.
///
/// # Errors
/// [`OpsError::Conflict`] if there is nothing to clear; [`OpsError::Refused`] for whoever entered one of the destinations,
/// or without a reason.
pub async fn clear_shared(app: &App, actor: &Actor, payee: Payee, reason: &str) -> Result<Profile> {
    let reason =
        required_reason(reason, "Write how you made sure that both payees rightly have this destination.")?;
    let profile = transact!(app, |tx| {
        let now = app.clock.now();
        if !payees::lock(tx, payee).await? {
            return Err(OpsError::Missing);
        }
        let others = payees::sharing(tx, payee).await?;
        let profile = payees::profile_of(tx, payee).await?;
        let Some(profile) = profile.filter(|_| !others.is_empty()) else {
            let message = "No other payee shares this destination uncleared, so there is nothing to clear.";
            return Err(OpsError::Conflict(Refusal::new("not_shared", message)));
        };
        let me = actor.id.to_string();
        // An API key may clear with any role that permits it: clearing alone moves no money.
        let counts = people::counts(tx, &me, now).await?;
        if let Some(why) = not_counted(counts).filter(|_| counts != Counts::KeyMayNot) {
            return Err(Refusal::new("second_person_needed", format!("Nothing was changed. {why}")).into());
        }
        let behind = people::behind(tx, &me, now).await?;
        for one in others.iter().copied().chain([payee]) {
            let newest = payees::changes(tx, one, 1).await?;
            let Some(newest) = newest.first() else { continue };
            if newest.actor == me || people::behind(tx, &newest.actor, now).await? == behind {
                let message =
                    "You entered this destination for one of the payees, so somebody else must clear it.";
                return Err(Refusal::new("own_entry", message).into());
            }
        }
        let fingerprint = profile.destination.fingerprint();
        for other in &others {
            payees::clear_shared(tx, (payee, *other), &fingerprint, (now, &me), reason).await?;
            let detail = |with: Payee| json!({ "with": with.to_string(), "reason": reason });
            note(tx, now, &me, "shared_destination_cleared", payee, &detail(*other));
            note(tx, now, &me, "shared_destination_cleared", *other, &detail(payee));
        }
        Ok(Profile { shared: false, ..profile })
    })?;
    app.nudge.dispatch.notify();
    Ok(profile)
}

/// How often a destination that its vendor would not pay is checked again without an event.
const UNPAYABLE_AGAIN_US: i64 = 86_400_000_000;

/// Records the vendor's current view of a destination on every profile that uses it, and in the audit trail if it has
/// changed. An answer older than the stored one changes nothing.
pub async fn note_standing(
    app: &App,
    vendor: Vendor,
    address: &str,
    standing: &DestinationStatus,
    asked_at: i64,
) -> Result<()> {
    transact!(app, |tx| {
        let now = app.clock.now();
        let before = payees::profiles_at(tx, vendor, address).await?;
        let said = payees::DestinationAnswer {
            why_not: standing.why_not(),
            currencies: standing.currencies(),
            asked_at,
            again_at: now + UNPAYABLE_AGAIN_US,
        };
        if payees::note_standing(tx, vendor, address, &said, now).await? == 0 {
            return Ok(());
        }
        for profile in before.iter().filter(|before| !standing.is_known(before)) {
            note_checked(tx, now, "connect", profile.payee, standing);
        }
        Ok(())
    })
}

fn note_checked(tx: &mut Tx, now: i64, actor: &str, payee: Payee, standing: &DestinationStatus) {
    let currencies = standing.currencies().map(|list| {
        let codes: Vec<&str> = list.iter().map(|currency| currency.code()).collect();
        // An account that accepts every currency would fill the page.
        if codes.len() > 12 { format!("{} currencies", codes.len()) } else { codes.join(" ") }
    });
    let payable = if standing.why_not().is_none() { "yes" } else { "no" };
    let detail = json!({ "payable": payable, "why_not": standing.why_not(), "currencies": currencies });
    note(tx, now, actor, "payout_profile_checked", payee, &detail);
}

/// Changes the standing of a partner or account (active, on hold, closed), with a reason, which is stored as the note on
/// the payee and never shown to partners.
///
/// # Errors
/// [`OpsError::Refused`] without a reason; [`OpsError::Missing`] if there is no such payee.
pub async fn set_standing(
    app: &App,
    actor: &Actor,
    payee: Payee,
    standing: PayeeStanding,
    reason: &str,
) -> Result<()> {
    let reason =
        required_reason(reason, "Write why; the next person who looks at this payee will want to know.")?;
    transact!(app, |tx| {
        let now = app.clock.now();
        if !payees::lock(tx, payee).await? {
            return Err(OpsError::Missing);
        }
        let before = standing_of(tx, payee).await?.ok_or(OpsError::Missing)?;
        let after = (standing, Some(reason.to_owned()));
        note_standing_of(tx, now, actor, payee, Some(before), after).await
    })?;
    app.nudge.dispatch.notify();
    Ok(())
}

/// A payee's standing and the note with its reason.
type StandingAndReason = (PayeeStanding, Option<String>);

async fn standing_of(tx: &mut Tx, payee: Payee) -> Result<Option<StandingAndReason>> {
    let id = payee.to_string();
    Ok(match payee {
        Payee::Partner(_) => {
            programs::partner(tx, RecordRef::Either(&id)).await?.map(|found| (found.standing, found.note))
        }
        Payee::Account(_) => {
            programs::account(tx, RecordRef::Either(&id)).await?.map(|found| (found.standing, found.note))
        }
    })
}

/// Saves a new standing or note of a payee that is locked in `tx`, with an audit row. For a changed standing the note is
/// its reason.
pub(super) async fn note_standing_of(
    tx: &mut Tx,
    now: i64,
    actor: &Actor,
    payee: Payee,
    before: Option<StandingAndReason>,
    (standing, reason): StandingAndReason,
) -> Result<()> {
    let (old, old_reason) = before.unwrap_or((PayeeStanding::Active, None));
    if (old, &old_reason) == (standing, &reason) {
        return Ok(());
    }
    if old != standing {
        let message = "Write why in the note; the next person who looks at this payee will want to know.";
        if reason.as_deref().is_none_or(|reason| reason.trim().is_empty()) {
            return Err(Refusal::new("missing", message).at("note").into());
        }
    }
    payees::set_standing(tx, payee, standing, reason.as_deref(), now).await?;
    let detail = json!({ "old": old.as_str(), "new": standing.as_str(), "reason": reason });
    note(tx, now, &actor.id.to_string(), "payee_standing_changed", payee, &detail);
    Ok(())
}

/// Every gate of a payee that is closed now, regardless of the amount.
pub async fn blockers(db: &mut Db, payee: Payee, now: i64) -> Result<Vec<Blocker>> {
    let gates = Gates::read(db, [payee]).await?;
    Ok(gates.payee(payee, now))
}

/// The reason, trimmed; refused if empty or too long.
pub(super) fn required_reason<'a>(reason: &'a str, ask: &str) -> Result<&'a str> {
    match reason.trim() {
        "" => Err(Refusal::new("missing", ask).at("reason").into()),
        long if long.chars().count() > 500 => {
            Err(Refusal::new("too_long", "A reason can have at most 500 characters.").at("reason").into())
        }
        reason => Ok(reason),
    }
}

pub(super) fn note(
    tx: &mut Tx,
    at: i64,
    actor: &str,
    action: &'static str,
    payee: Payee,
    detail: &serde_json::Value,
) {
    let (actor, subject) = (actor.to_owned(), payee.to_string());
    tx.audit(audit::Entry { at, actor, action, subject, detail: detail.to_string() });
}
