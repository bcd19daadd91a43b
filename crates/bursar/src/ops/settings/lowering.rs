//! What keeps one person from paying as they like cannot be taken away by the same one: to weaken a safeguard takes two
//! administrators, or one and a day, and all of them are told. An API key that is not the operator's own weakens none at all.
//! What is deliberately not here: strengthening one, which anybody who administers may at once.

use payout::Refusal;
use payout::access::Permission;
use payout::money::Money;
use payout::notice::Notice;
use payout::scope::{Scope, Scopes};
use payout::settings::Settings;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Document;
use crate::app::{Actor, App};
use crate::clock;
use crate::ops::Result;
use crate::secrets::token_hash;
use crate::store::{Tx, audit, mails, outbox, people, settings, transactions};

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
    /// What it is called in the mail to administrators.
    label: &'static str,
}

pub const TWO_PERSONS: Rule = Rule {
    kept: "two_person_rule_off",
    action: "two_person_rule_off_asked",
    subject: "settings:payout",
    stays: "The two-person rule stays on for now",
    field: "two_person_release",
    label: "The two-person rule",
};
/// Any other safeguard among the payout settings.
const SAFEGUARDS: Rule = Rule {
    kept: "safeguards_lower",
    action: "safeguards_lower_asked",
    subject: "settings:payout",
    stays: "What would weaken a safeguard is not saved yet",
    field: "",
    label: "",
};
/// That a second factor is required.
pub const SECOND_FACTOR: Rule = Rule {
    kept: "second_factor_off",
    action: "second_factor_off_asked",
    subject: "settings:sign_in",
    stays: "The second factor stays required for now",
    field: "second_factor",
    label: "The second factor at sign-in",
};
/// That API keys which pay or administer are taken from known addresses only.
pub const KEY_ADDRESSES: Rule = Rule {
    kept: "key_addresses_off",
    action: "key_addresses_off_asked",
    subject: "settings:api_keys",
    stays: "Addresses stay required for now",
    field: "addresses",
    label: "The addresses of API keys",
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
    /// A digest of what was to be changed, where the rule is about several settings.
    #[serde(default)]
    change: String,
}

/// What somebody wants to be weaker.
struct Wish<'a> {
    rule: &'a Rule,
    /// The first setting that would be, by its name.
    field: &'static str,
    /// All of them, for people: from what to what.
    labels: Vec<String>,
    /// A digest of the guarded ones with what they are and would be, so that nothing else can go the same way.
    change: String,
}

/// Why payout settings that weaken a safeguard are not saved yet: nobody else has saved the same, and it is no day since this
/// one did. Before anything was ever paid only the two-person rule is guarded so: while a company sets itself up, a limit that
/// was mistyped is no safeguard yet. The operator's own keys do what their role may.
pub async fn payout_settings(
    tx: &mut Tx,
    app: &App,
    actor: &Actor,
    before: (&Document, &Settings),
    after: (&Document, &Settings),
) -> Result<Option<Refusal>> {
    let weaker = weakened(before, after);
    let guarded: Vec<&str> = weaker.iter().copied().filter(|field| is_guarded(field)).collect();
    let refused = match guarded.as_slice() {
        [] => {
            // Whoever is told no more does not notice.
            if weaker.contains(&"internal_recipients") {
                let labels = vec!["Internal recipients of notices".to_owned()];
                let wish =
                    Wish { rule: &SAFEGUARDS, field: "internal_recipients", labels, change: String::new() };
                tell(tx, app, actor, &wish, None).await?;
            }
            None
        }
        ["two_person_release"] => not_yet(tx, app, actor, &TWO_PERSONS, "").await?,
        [first, ..] => {
            let (was, is) = (json!(before.0), json!(after.0));
            let at = |of: &Value, field: &str| field.split('.').fold(of.clone(), |of, part| of[part].clone());
            let values = guarded.iter().map(|field| (*field, at(&was, field), at(&is, field)));
            let values: Vec<(&str, Value, Value)> = values.collect();
            let told = |(field, was, is): &(&str, Value, Value)| {
                format!("{}: {} → {}", label(field), value_told(was), value_told(is))
            };
            let mut labels: Vec<String> = values.iter().map(told).collect();
            if weaker.contains(&"internal_recipients") {
                labels.push("Internal recipients of notices".to_owned());
            }
            let wish = Wish {
                rule: &SAFEGUARDS,
                field: first,
                labels,
                change: token_hash(&json!(values).to_string()),
            };
            let by_key = people::how_key_was_made(tx, actor.id).await?.is_some();
            let free = by_key || !transactions::any(tx).await?;
            if free && !guarded.contains(&"two_person_release") {
                tell(tx, app, actor, &wish, None).await?;
                None
            } else {
                not_yet_of(tx, app, actor, &wish).await?
            }
        }
    };
    // Whoever saves what weakens nothing takes back what somebody has asked for; what is done is asked for no more.
    // A program that somebody gave a key takes nothing back.
    if refused.is_none() && is_operators_own(tx, actor).await? {
        for rule in [&TWO_PERSONS, &SAFEGUARDS] {
            take_back(tx, app.clock.now(), rule).await?;
        }
    }
    Ok(refused)
}

/// What takes two administrators. The rest is everyday work: to take a vendor in, to name other readers of mails.
fn is_guarded(field: &str) -> bool {
    let named = ["two_person_release", "us_tax_tracking", "cooling_off_hours", "typed_total_above"];
    field.starts_with("limits.") || named.contains(&field)
}

/// A setting as people read it: amounts with their currencies and vendors, a number, on or off.
fn value_told(value: &Value) -> String {
    match value {
        Value::Bool(on) => if *on { "on" } else { "off" }.to_owned(),
        Value::Array(all) if !all.is_empty() => all.iter().map(value_told).collect::<Vec<_>>().join(", "),
        Value::Object(of) => {
            let parts = ["vendor", "value", "currency"].map(|part| of.get(part).and_then(Value::as_str));
            parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
        }
        Value::Null | Value::Array(_) => "none".to_owned(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
    }
}

/// What a setting is called where people read of it.
fn label(field: &str) -> &'static str {
    match field {
        "two_person_release" => TWO_PERSONS.label,
        "us_tax_tracking" => "US tax tracking",
        "cooling_off_hours" => "Hours of cooling-off",
        "limits.per_reward" => "Maximum per reward",
        "limits.per_payment" => "Maximum per payment",
        "limits.per_batch" => "Maximum per payout",
        "limits.per_day" => "Maximum per day",
        "limits.per_person_per_day" => "Maximum per person and day",
        _ => "Typing the total above",
    }
}

/// Why the rule stays on for now: nobody else has asked for the same, and it is no day since this one did. That they ask is
/// written down.
///
/// `change` is what it would be: whoever agrees to one thing has not agreed to another.
pub async fn not_yet(
    tx: &mut Tx,
    app: &App,
    actor: &Actor,
    rule: &Rule,
    change: &str,
) -> Result<Option<Refusal>> {
    let labels = vec![rule.label.to_owned()];
    let wish = Wish { rule, field: rule.field, labels, change: change.to_owned() };
    not_yet_of(tx, app, actor, &wish).await
}

async fn not_yet_of(tx: &mut Tx, app: &App, actor: &Actor, wish: &Wish<'_>) -> Result<Option<Refusal>> {
    let (rule, now) = (wish.rule, app.clock.now());
    let by = actor.id.to_string();
    let person = people::behind(tx, &by, now).await?;
    let (kept, version) = settings::get(tx, rule.kept).await?.unwrap_or_default();
    let asked = serde_json::from_str::<Option<Asked>>(&kept).ok().flatten();
    let mut asked = asked.filter(|asked| now - asked.at < FORGOTTEN_AFTER_US && asked.change == wish.change);
    // Whoever is no administrator any more, or does not count as a person of their own yet, is no first one for somebody else.
    if let Some(first) = asked.as_ref().filter(|first| first.by != by) {
        let counts = people::counts(tx, &first.by, now).await? == people::Counts::Yes;
        if !counts || !people::may_still(tx, &first.by, Permission::Administer, now).await? {
            asked = None;
        }
    }
    let counts = people::counts(tx, &by, now).await?;
    let first = match asked {
        Some(asked) => {
            let behind = people::behind(tx, &asked.by, now).await?;
            let other =
                counts == people::Counts::Yes && asked.by != by && asked.person != person && behind != person;
            let alone = asked.by == by && now - asked.at >= ALONE_AFTER_US;
            if other || alone {
                if !settings::put(tx, rule.kept, "null", version, now).await? {
                    return Err(super::stale());
                }
                tell(tx, app, actor, wish, None).await?;
                return Ok(None);
            }
            asked
        }
        None => {
            let asked = Asked { by: by.clone(), person, at: now, change: wish.change.clone() };
            let text = serde_json::to_string(&asked).unwrap_or_default();
            if !settings::put(tx, rule.kept, &text, version, now).await? {
                return Err(super::stale());
            }
            tx.audit(audit::Entry {
                at: now,
                actor: by.clone(),
                action: rule.action,
                subject: rule.subject.to_owned(),
                detail: json!({ "fields": wish.labels }).to_string(),
            });
            tell(tx, app, actor, wish, Some(now + ALONE_AFTER_US)).await?;
            asked
        }
    };
    let not_counted = match counts {
        people::Counts::From(from) if first.by != by => {
            format!(" You count as a second person from {} on.", clock::told(from))
        }
        people::Counts::From(_) | people::Counts::Yes | people::Counts::KeyMayNot => String::new(),
    };
    let sentence = format!(
        "{}, and nothing was changed. It is written down that it is wanted: it is done as soon as another administrator saves the same, or when whoever asked first saves it again after {}. Your own API keys do not count as a second person.{not_counted}",
        rule.stays,
        clock::told(first.at + ALONE_AFTER_US)
    );
    Ok(Some(Refusal::new("second_person_needed", sentence).at(wish.field)))
}

/// Tells every administrator: `from` is when it may be done by one person alone; none where it is done. Who administers is looked
/// up here as well as when the mail is made: whoever is shut out in between hears of it all the same.
async fn tell(tx: &mut Tx, app: &App, actor: &Actor, wish: &Wish<'_>, from: Option<i64>) -> Result<()> {
    let (to, what) = (mails::administrators(tx).await?, wish.labels.join(", "));
    let detail = json!({ "to": to, "by": actor.name, "what": what, "from": from.map(clock::told) });
    let notice = (Notice::SafeguardLowered, wish.rule.subject.to_owned(), detail.to_string());
    outbox::write(tx, &app.clock, app.clock.now(), [notice]).await?;
    Ok(())
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
    let Some(field) = weakened(before, after).into_iter().next() else { return Ok(()) };
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

/// The safeguards that are weaker afterwards, by the names of their settings.
fn weakened(before: (&Document, &Settings), after: (&Document, &Settings)) -> Vec<&'static str> {
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
    all.into_iter().filter(|(_, weaker)| *weaker).map(|(field, _)| field).collect()
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
            assert_eq!(weakened((&base, &was), (&after, &is)).first().copied(), field, "{after:?}");
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
