//! Switching the two-person rule off, or no more requiring a second factor, takes two administrators, or one and a day: what
//! keeps one person from paying cannot be taken away by the same one. And an API key that is not the operator's own weakens no
//! safeguard at all. What is deliberately not here: switching one on, which anybody who administers may at once.

use payout::Refusal;
use payout::money::Money;
use payout::scope::{Scope, Scopes};
use payout::settings::Settings;
use serde::{Deserialize, Serialize};

use super::Document;
use crate::app::Actor;
use crate::clock;
use crate::ops::Result;
use crate::store::{Tx, audit, people, settings};

/// What is switched off by two.
pub struct Rule {
    /// Under which name it is kept who asked.
    kept: &'static str,
    /// What the trail calls it that somebody asked.
    action: &'static str,
    /// Which settings it belongs to.
    subject: &'static str,
    /// What stays as it is for now.
    stays: &'static str,
    /// The field of a refusal.
    field: &'static str,
}

pub const TWO_PERSONS: Rule = Rule {
    kept: "two_person_rule_off",
    action: "two_person_rule_off_asked",
    subject: "settings:payout",
    stays: "The two-person rule stays on for now",
    field: "two_person_release",
};
/// That a second factor is required.
pub const SECOND_FACTOR: Rule = Rule {
    kept: "second_factor_off",
    action: "second_factor_off_asked",
    subject: "settings:sign_in",
    stays: "The second factor stays required for now",
    field: "second_factor",
};
/// That API keys which pay or administer are taken from known addresses only.
pub const KEY_ADDRESSES: Rule = Rule {
    kept: "key_addresses_off",
    action: "key_addresses_off_asked",
    subject: "settings:api_keys",
    stays: "Addresses stay required for now",
    field: "addresses",
};
/// After so long the same person may do it alone; who administers has had a day to read of it in the activity log.
const ALONE_AFTER_US: i64 = 24 * 3_600_000_000;
/// What was asked for so long ago is not meant any more.
const FORGOTTEN_AFTER_US: i64 = 7 * 24 * 3_600_000_000;

#[derive(Serialize, Deserialize)]
struct Asked {
    by: String,
    person: String,
    at: i64,
}

/// Why the rule stays on for now: nobody else has asked for the same, and it is no day since this one did. That they ask is
/// written down.
pub async fn not_yet(tx: &mut Tx, actor: &Actor, now: i64, rule: &Rule) -> Result<Option<Refusal>> {
    let by = actor.id.to_string();
    let person = people::behind(tx, &by, now).await?;
    let (kept, version) = settings::get(tx, rule.kept).await?.unwrap_or_default();
    let asked = serde_json::from_str::<Option<Asked>>(&kept).ok().flatten();
    let asked = asked.filter(|asked| now - asked.at < FORGOTTEN_AFTER_US);
    let first = match asked {
        Some(asked) => {
            let behind = people::behind(tx, &asked.by, now).await?;
            let counts = people::counts(tx, &by, now).await? == people::Counts::Yes;
            let other = counts && asked.by != by && asked.person != person && behind != person;
            if other || now - asked.at >= ALONE_AFTER_US {
                settings::put(tx, rule.kept, "null", version, now).await?;
                return Ok(None);
            }
            asked
        }
        None => {
            let asked = Asked { by: by.clone(), person, at: now };
            let text = serde_json::to_string(&asked).unwrap_or_default();
            if !settings::put(tx, rule.kept, &text, version, now).await? {
                return Err(super::stale());
            }
            tx.audit(audit::Entry {
                at: now,
                actor: by,
                action: rule.action,
                subject: rule.subject.to_owned(),
                detail: "{}".to_owned(),
            });
            asked
        }
    };
    let sentence = format!(
        "{}, and nothing was changed. That you want it off is written down: it is off as soon as another administrator saves the same, or when you save it again after {}. Your own API keys do not count as a second person.",
        rule.stays,
        clock::told(first.at + ALONE_AFTER_US)
    );
    Ok(Some(Refusal::new("second_person_needed", sentence).at(rule.field)))
}

/// Forgets that somebody has asked for it.
pub async fn take_back(tx: &mut Tx, now: i64, rule: &Rule) -> Result<()> {
    let (kept, version) = settings::get(tx, rule.kept).await?.unwrap_or_default();
    if version > 0 && kept != "null" && !settings::put(tx, rule.kept, "null", version, now).await? {
        return Err(super::stale());
    }
    Ok(())
}

/// Whoever steals a program's key must not be able to take away first what would stop them. A key of the command line with the
/// scope `write` is the operator's own and does what its role may.
///
/// # Errors
/// `person_needed` for such a key, when `after` protects less than `before`.
pub async fn not_by_key(
    tx: &mut Tx,
    actor: &Actor,
    before: (&Document, &Settings),
    after: (&Document, &Settings),
) -> Result<()> {
    let Some(field) = weakened(before, after) else { return Ok(()) };
    if is_operators_own(tx, actor).await? {
        return Ok(());
    }
    let sentence = format!(
        "This would weaken a safeguard ({field}), which this API key may not do, so nothing was changed. An administrator does it on the page Settings."
    );
    Err(Refusal::new("person_needed", sentence).into())
}

/// Whether somebody acts themselves, or with a key of the command line that has the scope `write`: the operator's own, which
/// does what its role may.
pub async fn is_operators_own(tx: &mut Tx, actor: &Actor) -> Result<bool> {
    let made = people::how_key_was_made(tx, actor.id).await?;
    Ok(made.is_none_or(|(scopes, by_somebody)| !by_somebody && Scopes::kept(&scopes).has(Scope::Write)))
}

/// What would outlive a stolen key, or keep others from hearing of it, is done by people, and by the operator's own keys.
///
/// # Errors
/// `person_needed` for any other key.
pub async fn by_people(tx: &mut Tx, actor: &Actor, what: &str) -> Result<()> {
    if is_operators_own(tx, actor).await? {
        return Ok(());
    }
    let sentence =
        format!("This API key may not {what}, so nothing was done. An administrator does it on the pages.");
    Err(Refusal::new("person_needed", sentence).into())
}

/// The first safeguard that is weaker afterwards, by the name of its setting.
fn weakened(before: (&Document, &Settings), after: (&Document, &Settings)) -> Option<&'static str> {
    let ((old, was), (new, is)) = (before, after);
    let is_new = |new: &[String], old: &[String]| new.iter().any(|one| !old.contains(one));
    let all = [
        ("enabled", !was.enabled && is.enabled),
        ("vendors", is_new(&new.vendors, &old.vendors)),
        ("profile_roles", is_new(&new.profile_roles, &old.profile_roles)),
        ("tax_thresholds", new.tax_thresholds != old.tax_thresholds),
        ("two_person_release", was.two_person_release && !is.two_person_release),
        ("us_tax_tracking", was.us_tax_tracking && !is.us_tax_tracking),
        ("cooling_off_hours", is.cooling_off_hours < was.cooling_off_hours),
        ("limits.per_reward", raised_per_reward(was, is)),
        (
            "limits.per_payment",
            was.vendor_maximums.iter().any(|(vendor, most)| {
                is.maximum(*vendor, most.currency).is_none_or(|now| now.minor > most.minor)
            }),
        ),
        ("limits.per_batch", is_raised(&was.limits.per_batch, &is.limits.per_batch)),
        ("limits.per_day", is_raised(&was.limits.per_day, &is.limits.per_day)),
        (
            "limits.per_person_per_day",
            is_raised(&was.limits.per_person_per_day, &is.limits.per_person_per_day),
        ),
        ("typed_total_above", is_raised(&was.typed_total_above, &is.typed_total_above)),
        // Whoever is told no more does not notice.
        (
            "internal_recipients",
            old.internal_recipients.iter().any(|one| !new.internal_recipients.contains(one)),
        ),
    ];
    all.into_iter().find(|(_, weaker)| *weaker).map(|(field, _)| field)
}

/// A limit is gone, or is higher.
fn is_raised(before: &[Money], after: &[Money]) -> bool {
    before.iter().any(|most| {
        let now = after.iter().find(|now| now.currency == most.currency);
        now.is_none_or(|now| now.minor > most.minor)
    })
}

/// A reward may be worth more than before; a currency that is not named has its usual most.
fn raised_per_reward(before: &Settings, after: &Settings) -> bool {
    let named = before.reward_maximums.iter().chain(&after.reward_maximums).map(|most| most.currency);
    named.into_iter().any(|of| after.most_per_reward(of).minor > before.most_per_reward(of).minor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::settings::{Amount, TaxThreshold};
    use serde_json::json;

    /// Every setting that protects, each made weaker and stronger.
    #[test]
    fn what_weakens_a_safeguard_is_known() {
        let amount = |value: &str| json!([{ "value": value, "currency": "USD" }]);
        let one = |value: &str| vec![Amount { value: value.to_owned(), currency: "USD".to_owned() }];
        let limits = |value: &str| {
            let payment = json!([{ "vendor": "stripe", "value": value, "currency": "USD" }]);
            json!({
                "per_reward": amount(value), "per_payment": payment, "per_batch": amount(value),
                "per_day": amount(value), "per_person_per_day": amount(value),
            })
        };
        let base = Document {
            vendors: vec!["stripe".to_owned()],
            two_person_release: true,
            us_tax_tracking: true,
            limits: limits("100.00"),
            typed_total_above: one("50.00"),
            internal_recipients: vec!["ops@example.com".to_owned()],
            ..Document::default()
        };
        let only = |name: &str, value: &str| {
            let mut limits = base.limits.clone();
            limits[name] = with(&limits[name], value);
            limits
        };
        let threshold =
            vec![TaxThreshold { year: 2027, value: "9999.00".to_owned(), currency: "USD".to_owned() }];
        let rows: Vec<(Document, Option<&str>)> = vec![
            (base.clone(), None),
            (Document { enabled: true, ..base.clone() }, Some("enabled")),
            (
                Document { vendors: vec!["stripe".to_owned(), "paypal".to_owned()], ..base.clone() },
                Some("vendors"),
            ),
            (Document { vendors: Vec::new(), ..base.clone() }, None),
            (Document { profile_roles: vec!["partner".to_owned()], ..base.clone() }, None),
            (Document { tax_thresholds: threshold, ..base.clone() }, Some("tax_thresholds")),
            (Document { fees_paid_by: "partner".to_owned(), ..base.clone() }, None),
            (Document { cooling_off_hours: 100, ..base.clone() }, None),
            (Document { cooling_off_hours: 71, ..base.clone() }, Some("cooling_off_hours")),
            (Document { two_person_release: false, ..base.clone() }, Some("two_person_release")),
            (Document { us_tax_tracking: false, ..base.clone() }, Some("us_tax_tracking")),
            (Document { typed_total_above: one("49.00"), ..base.clone() }, None),
            (Document { typed_total_above: one("51.00"), ..base.clone() }, Some("typed_total_above")),
            (Document { typed_total_above: Vec::new(), ..base.clone() }, Some("typed_total_above")),
            (Document { internal_recipients: Vec::new(), ..base.clone() }, Some("internal_recipients")),
            (Document { limits: limits("99.00"), ..base.clone() }, None),
            (Document { limits: only("per_reward", "101.00"), ..base.clone() }, Some("limits.per_reward")),
            (Document { limits: only("per_payment", "101.00"), ..base.clone() }, Some("limits.per_payment")),
            (Document { limits: only("per_batch", "101.00"), ..base.clone() }, Some("limits.per_batch")),
            (Document { limits: only("per_day", "101.00"), ..base.clone() }, Some("limits.per_day")),
            (
                Document { limits: only("per_person_per_day", "101.00"), ..base.clone() },
                Some("limits.per_person_per_day"),
            ),
            (Document { limits: only("per_day", ""), ..base.clone() }, Some("limits.per_day")),
        ];
        let was = base.rules().unwrap();
        for (after, field) in rows {
            let is = after.rules().unwrap();
            assert_eq!(weakened((&base, &was), (&after, &is)), field, "{after:?}");
        }
    }

    /// The same list with another value; with none where that is empty.
    fn with(list: &serde_json::Value, value: &str) -> serde_json::Value {
        if value.is_empty() {
            return json!([]);
        }
        let mut other = list.clone();
        other[0]["value"] = json!(value);
        other
    }
}
