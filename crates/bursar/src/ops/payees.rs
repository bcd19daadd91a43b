//! What is known of payees, for the gates; and what an administrator enters about them.

use payout::Refusal;
use payout::ledger::Payee;
use payout::money::{Currency, Vendor};
use payout::notice::Notice;
use payout::payee::Destination;

use super::{OpsError, Result};
use crate::app::{Actor, App};
use crate::clock;
use crate::store::payees::{self, Profile, Tax};
use crate::store::{self, audit};
use crate::transact;

pub use crate::store::payees::facts;

/// What the vendor says of a destination.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Standing {
    /// It would pay to it now; in these currencies, where it says so.
    Payable(Option<Vec<Currency>>),
    /// Not yet, and why.
    NotYet(String),
}

/// Sets where a payee is paid. A change of destination is noted in his history, masked, and starts the cooling-off; a
/// first one does not.
///
/// # Errors
/// [`OpsError::Missing`] when there is no such payee.
pub async fn set_profile(
    app: &App,
    actor: &Actor,
    payee: Payee,
    destination: Destination,
    standing: Standing,
) -> Result<Profile> {
    let profile = transact!(app, |tx| {
        let now = app.clock.now();
        if !payees::names(tx, &[payee]).await?.contains_key(&payee) {
            return Err(OpsError::Missing);
        }
        let before = payees::profile_of(tx, payee).await?;
        let moved = before.as_ref().is_some_and(|before| before.destination != destination);
        let (why_not, currencies) = match standing.clone() {
            Standing::Payable(currencies) => (None, currencies),
            Standing::NotYet(why) => (Some(why), None),
        };
        let profile = Profile {
            payee,
            payable_at: why_not.is_none().then_some(now),
            not_payable_why: why_not,
            currencies,
            set_at: before.as_ref().map_or(now, |before| before.set_at),
            changed_at: if moved { Some(now) } else { before.as_ref().and_then(|before| before.changed_at) },
            checked_at: Some(now),
            destination: destination.clone(),
        };
        payees::put_profile(tx, &profile).await?;
        if profile.payable_at.is_none() {
            payees::ask_again(tx, destination.vendor(), destination.address(), now).await?;
        }
        if moved || before.is_none() {
            let old = before.map(|before| before.destination.masked());
            let id = format!("chg_{}", payout::ids::encode(payout::ids::fresh(now, app.clock.chance())));
            let masked = (old.clone(), destination.masked());
            payees::note_change(tx, &id, payee, now, &actor.id.to_string(), masked).await?;
            let detail = serde_json::json!({ "old": old, "new": destination.masked() }).to_string();
            let notice = if moved { Notice::ProfileChanged } else { Notice::ProfileCompleted };
            store::outbox::write(tx, &app.clock, now, [(notice, payee.to_string(), detail.clone())]).await?;
            let (actor, subject) = (actor.id.to_string(), payee.to_string());
            tx.audit(audit::Entry { at: now, actor, action: notice.as_str(), subject, detail });
        }
        Ok(profile)
    })?;
    app.nudge.settle.notify_one();
    Ok(profile)
}

/// What the vendor says of a destination now, noted on every profile that uses it.
///
/// # Errors
/// When the database does not answer.
pub async fn note_standing(app: &App, vendor: Vendor, address: &str, standing: &Standing) -> Result<()> {
    let (why, currencies) = match standing {
        Standing::Payable(currencies) => (None, currencies.as_deref()),
        Standing::NotYet(why) => (Some(why.as_str()), None),
    };
    transact!(app, |tx| {
        payees::note_standing(tx, vendor, address, why, currencies, app.clock.now()).await?;
        Ok(())
    })
}

/// A tax report as it is entered.
#[derive(Clone, Debug)]
pub struct TaxEntry {
    /// `w9`, `w8ben` or `w8bene`.
    pub form: String,
    /// `YYYY-MM-DD`.
    pub signed_on: String,
    /// The tax number; of the United States for a W-9, free text otherwise.
    pub tin: Option<String>,
    /// The name on the form.
    pub name: String,
}

/// Files a payee's tax report; the number is kept encrypted and answered masked. A W-8 ends with the third calendar
/// year after it was signed; one that is out of date already is kept and shows as expired.
///
/// # Errors
/// [`OpsError::Refused`] naming the field that does not fit.
pub async fn file_tax_report(app: &App, actor: &Actor, payee: Payee, entry: &TaxEntry) -> Result<Tax> {
    let refuse = |field, code, sentence: &str| Err(OpsError::from(Refusal::new(code, sentence).at(field)));
    if !matches!(entry.form.as_str(), "w9" | "w8ben" | "w8bene") {
        return refuse("form", "unknown_form", "The form is w9, w8ben or w8bene.");
    }
    if entry.name.trim().is_empty() || entry.name.len() > 200 {
        return refuse("name", "missing", "Write the name as it stands on the form, at most 200 bytes.");
    }
    if clock::start_of_date(&entry.signed_on).is_none() {
        return refuse("signed_on", "invalid_date", "Write the date of the signature like 2026-01-31.");
    }
    if entry.form == "w9" && !entry.tin.as_deref().is_some_and(us_tin) {
        return refuse(
            "tin",
            "invalid_tin",
            "A W-9 needs a tax number of nine figures that the United States could have given out.",
        );
    }
    if entry.tin.as_ref().is_some_and(|tin| tin.len() > 50) {
        return refuse("tin", "too_long", "A tax number has at most 50 characters.");
    }
    transact!(app, |tx| {
        let now = app.clock.now();
        if !payees::names(tx, &[payee]).await?.contains_key(&payee) {
            return Err(OpsError::Missing);
        }
        let context = format!("tin:{payee}");
        let tax = Tax {
            payee,
            form: entry.form.clone(),
            name: entry.name.clone(),
            signed_on: entry.signed_on.clone(),
            sealed_tin: entry.tin.as_ref().map(|tin| app.master_key.seal(&app.clock, &context, tin)),
            masked_tin: entry.tin.as_deref().map(masked),
            expires_at: expiry(&entry.form, &entry.signed_on),
            filed: (now, actor.id.to_string()),
        };
        payees::put_tax(tx, &tax).await?;
        let detail = serde_json::json!({ "form": tax.form, "signed_on": tax.signed_on }).to_string();
        let (actor, subject) = (actor.id.to_string(), payee.to_string());
        tx.audit(audit::Entry { at: now, actor, action: "tax_report_filed", subject, detail });
        Ok(tax)
    })
}

/// A W-8 holds until the end of the third calendar year after the one it was signed in; a W-9 for good.
fn expiry(form: &str, signed_on: &str) -> Option<i64> {
    let year: i32 = signed_on.get(..4)?.parse().ok()?;
    (form != "w9").then(|| clock::start_of_date(&format!("{:04}-01-01", year + 4)))?
}

fn masked(tin: &str) -> String {
    let tail: Vec<char> = tin.chars().rev().take(4).collect();
    format!("…{}", tail.into_iter().rev().collect::<String>())
}

/// Nine figures, dashes allowed, that can be a social security, employer or individual taxpayer number: the areas 000 and
/// 666 and the group and serial of zeros were never given out, and 9xx only in the groups of the ITIN.
fn us_tin(tin: &str) -> bool {
    let figures: String = tin.chars().filter(|c| *c != '-').collect();
    if figures.len() != 9 || !figures.bytes().all(|byte| byte.is_ascii_digit()) || figures == "000000000" {
        return false;
    }
    let dashes: Vec<usize> = tin.match_indices('-').map(|(at, _)| at).collect();
    let as_employer = dashes == [2];
    if !(dashes.is_empty() || as_employer || dashes == [3, 6]) {
        return false;
    }
    if as_employer {
        return !figures.starts_with("00");
    }
    let group: u32 = figures.get(3..5).and_then(|group| group.parse().ok()).unwrap_or(0);
    match figures.get(..3) {
        Some("000" | "666") => false,
        Some(area) if area.starts_with('9') => {
            matches!(group, 50..=65 | 70..=88 | 90..=92 | 94..=99)
        }
        Some(_) => true,
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_numbers_the_united_states_could_have_given_out() {
        for good in ["123-45-6789", "123456789", "12-3456789", "912-50-1234", "999-99-1234"] {
            assert!(us_tin(good), "{good}");
        }
        for bad in [
            "",
            "12345678",
            "1234567890",
            "12345678a",
            "000000000",
            "000-12-3456",
            "666-12-3456",
            "912-66-1234",
            "912-93-1234",
            "1-23456789",
            "00-3456789",
        ] {
            assert!(!us_tin(bad), "{bad}");
        }
    }

    #[test]
    fn a_w8_ends_with_the_third_year_after_its_signature() {
        assert_eq!(expiry("w8ben", "2023-05-01"), clock::start_of_date("2027-01-01"));
        assert_eq!(expiry("w9", "2023-05-01"), None);
    }
}
