//! One person alone cannot weaken a safeguard: it takes two administrators, or one who repeats the request after a day, and
//! all administrators are notified. An API key other than the operator's own cannot weaken one at all. Not here:
//! strengthening one, which any administrator may do at once.

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
use crate::store::{Db, Tx, audit, mails, outbox, people, settings, transactions};

/// A safeguard that takes two people to turn off.
pub struct Rule {
    /// The settings key that stores the pending request.
    kept: &'static str,
    /// The audit action of the request.
    action: &'static str,
    /// The settings it belongs to.
    subject: &'static str,
    /// The start of the refusal: what stays as it is for now.
    stays: &'static str,
    /// The field of the refusal.
    field: &'static str,
    /// Its name in the mail to administrators.
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
/// The other safeguards among the payout settings.
const SAFEGUARDS: Rule = Rule {
    kept: "safeguards_lower",
    action: "safeguards_lower_asked",
    subject: "settings:payout",
    stays: "What would weaken a safeguard is not saved yet",
    field: "",
    label: "",
};
/// A second factor is required at sign-in.
pub const SECOND_FACTOR: Rule = Rule {
    kept: "second_factor_off",
    action: "second_factor_off_asked",
    subject: "settings:sign_in",
    stays: "The second factor stays required for now",
    field: "second_factor",
    label: "The second factor at sign-in",
};
/// API keys that may pay or administer must have an address list.
pub const KEY_ADDRESSES: Rule = Rule {
    kept: "key_addresses_off",
    action: "key_addresses_off_asked",
    subject: "settings:api_keys",
    stays: "Addresses stay required for now",
    field: "addresses",
    label: "The addresses of API keys",
};
/// A payment with an unreadable record holds its payee.
const UNREADABLE_HOLD: Rule = Rule {
    kept: "unreadable_holds_off",
    action: "unreadable_payment_look_asked",
    subject: "settings:unreadable_payments",
    stays: "This payment holds its payee for now",
    field: "note",
    label: "",
};
/// After this time the same person may confirm alone: the other administrators have had a day to notice.
const ALONE_AFTER_US: i64 = 24 * 3_600_000_000;
/// A request older than this has expired.
const FORGOTTEN_AFTER_US: i64 = 7 * 24 * 3_600_000_000;

/// The maximum number of pending requests per person; a further one replaces their oldest.
const MOST_OF_ONE: usize = 10;
/// For this long, whoever tightened a limit may undo it as a mistake.
const PUT_BACK_US: i64 = 15 * 60_000_000;
/// The settings key that stores who recently tightened which limit.
const TIGHTENED: &str = "safeguards_tightened";

#[derive(Clone, Serialize, Deserialize)]
struct PendingRequest {
    by: String,
    person: String,
    at: i64,
    /// A digest of the requested change, if the rule covers several settings.
    #[serde(default)]
    change: String,
    /// The settings it is about; empty if an earlier version stored it.
    #[serde(default)]
    fields: Vec<String>,
}

/// A limit that someone recently tightened.
#[derive(Serialize, Deserialize)]
struct Tightened {
    field: String,
    was: Value,
    is: Value,
    by: String,
    at: i64,
}

/// A request to weaken a safeguard.
struct WeakeningRequest<'a> {
    rule: &'a Rule,
    /// The settings that would be weakened; a refusal names the first.
    fields: Vec<&'static str>,
    /// The same for people, with the old and new values.
    labels: Vec<String>,
    /// A digest of the old and new values of these settings, so that a confirmation covers exactly this change.
    change: String,
}

impl WeakeningRequest<'_> {
    /// The payment it is about, if it is about one.
    fn payment(&self) -> Option<&str> {
        (self.rule.kept == UNREADABLE_HOLD.kept).then_some(self.change.as_str())
    }
}

/// Payout settings as stored, and as parsed by the rules.
pub type Before<'a> = (&'a Document, Option<&'a Settings>);
pub type After<'a> = (&'a Document, &'a Settings);

/// Why payout settings that weaken a safeguard are not saved yet: no one else has saved the same, and this person did so less
/// than a day ago. Until the first payment, only the two-person rule is protected, because limits may still be corrected
/// during setup. The operator's own keys may do what their role allows. If the current rules cannot parse `before`, every
/// changed value counts as weaker.
pub async fn payout_settings(
    tx: &mut Tx,
    app: &App,
    actor: &Actor,
    before: Before<'_>,
    after: After<'_>,
) -> Result<Option<Refusal>> {
    let weaker = weakened(before, after);
    let changed = changed(before.0, after.0);
    let guarded: Vec<Change> = changed.iter().filter(|one| weaker.contains(&one.field)).cloned().collect();
    let guarded: Vec<Change> = guarded.into_iter().filter(|one| is_guarded(one.field)).collect();
    let silenced = weaker.contains(&"internal_recipients");
    let refused = if guarded.is_empty() {
        // Recipients who are removed would not notice.
        if silenced {
            let labels = vec![SILENCED.to_owned()];
            let fields = vec!["internal_recipients"];
            let wish = WeakeningRequest { rule: &SAFEGUARDS, fields, labels, change: String::new() };
            notify_administrators(tx, app, actor, &wish, None).await?;
        }
        None
    } else {
        let wish = wish(&guarded, silenced);
        let refused = weaken(tx, app, actor, &guarded, &wish).await?;
        match before.1 {
            Some(_) => refused,
            None => refused
                .map(|refusal| Refusal { sentence: format!("{} {UNREAD}", refusal.sentence), ..refusal }),
        }
    };
    if refused.is_none() {
        note_tightened(tx, app, actor, &changed, &guarded).await?;
        // A program with a key issued on the pages withdraws no requests.
        if is_operators_own(tx, actor).await? {
            let same = json!(before.0) == json!(after.0);
            forget(tx, app, actor, (&changed, same), &guarded).await?;
        }
    }
    Ok(refused)
}

/// The way out of stored settings that stop everything until a day is over.
const UNREAD: &str = "This version cannot read the settings as they are stored, so every value that changes counts as weaker. If that cannot wait, save them with a key from `bursar api-key create --role admin` on the machine.";
const SILENCED: &str = "Internal recipients of notices";

/// The request of someone who makes these changes.
fn wish(guarded: &[Change], silenced: bool) -> WeakeningRequest<'static> {
    let fields: Vec<&'static str> = guarded.iter().map(|one| one.field).collect();
    let describe = |one: &Change| {
        format!("{}: {} → {}", label(one.field), describe_value(&one.was), describe_value(&one.is))
    };
    let mut labels: Vec<String> = guarded.iter().map(describe).collect();
    labels.extend(silenced.then(|| SILENCED.to_owned()));
    if fields == [TWO_PERSONS.field] {
        return WeakeningRequest { rule: &TWO_PERSONS, fields, labels, change: String::new() };
    }
    let values: Vec<_> = guarded.iter().map(|one| (one.field, &one.was, &one.is)).collect();
    let change = token_hash(&json!(values).to_string());
    WeakeningRequest { rule: &SAFEGUARDS, fields, labels, change }
}

/// Allows the change, or returns why not yet.
async fn weaken(
    tx: &mut Tx,
    app: &App,
    actor: &Actor,
    guarded: &[Change],
    wish: &WeakeningRequest<'_>,
) -> Result<Option<Refusal>> {
    let has_rule = wish.fields.contains(&TWO_PERSONS.field);
    let by_key = people::how_key_was_made(tx, actor.id).await?.is_some();
    if !has_rule && (by_key || !transactions::any(tx).await?) {
        notify_administrators(tx, app, actor, wish, None).await?;
        return Ok(None);
    }
    if is_slip(tx, app, actor, guarded).await? {
        tx.audit(audit::Entry {
            at: app.clock.now(),
            actor: actor.id.to_string(),
            action: "safeguards_put_back",
            subject: wish.rule.subject.to_owned(),
            detail: json!({ "fields": wish.labels }).to_string(),
        });
        notify_administrators(tx, app, actor, wish, None).await?;
        return Ok(None);
    }
    not_yet_of(tx, app, actor, wish).await
}

/// Whether this person recently tightened all of these limits, now restores their previous values, and no one has changed
/// them since.
async fn is_slip(tx: &mut Tx, app: &App, actor: &Actor, guarded: &[Change]) -> Result<bool> {
    let (tightened, _) = tightened(tx, app.clock.now()).await?;
    let by = actor.id.to_string();
    let undoes = |change: &Change, slip: &Tightened| {
        slip.field == change.field && slip.by == by && slip.is == change.was && slip.was == change.is
    };
    Ok(guarded.iter().all(|change| tightened.iter().any(|slip| undoes(change, slip))))
}

/// The recently tightened limits, and the version of the stored list.
async fn tightened(tx: &mut Tx, now: i64) -> Result<(Vec<Tightened>, i64)> {
    let (kept, version) = settings::get(tx, TIGHTENED).await?.unwrap_or_default();
    let mut all: Vec<Tightened> = serde_json::from_str(&kept).unwrap_or_default();
    all.retain(|one| (0..PUT_BACK_US).contains(&(now - one.at)));
    Ok((all, version))
}

/// Records which limits were tightened, and by whom. A limit changed in any other way can no longer be undone as a mistake.
async fn note_tightened(
    tx: &mut Tx,
    app: &App,
    actor: &Actor,
    changed: &[Change],
    weaker: &[Change],
) -> Result<()> {
    let limits: Vec<&Change> = changed.iter().filter(|one| is_limit(one.field)).collect();
    if limits.is_empty() {
        return Ok(());
    }
    let now = app.clock.now();
    let (mut all, version) = tightened(tx, now).await?;
    all.retain(|one| limits.iter().all(|changed| changed.field != one.field));
    let stricter = limits.into_iter().filter(|one| weaker.iter().all(|weaker| weaker.field != one.field));
    all.extend(stricter.map(|one| Tightened {
        field: one.field.to_owned(),
        was: one.was.clone(),
        is: one.is.clone(),
        by: actor.id.to_string(),
        at: now,
    }));
    let text = serde_json::to_string(&all).unwrap_or_default();
    match settings::put(tx, TIGHTENED, &text, version, now).await? {
        true => Ok(()),
        false => Err(super::stale()),
    }
}

/// Withdraws pending requests after a save: those about a setting that changed; and, if nothing was weakened, also those by
/// others, or all of them if nothing changed at all. A person's request stays while they save something else, and every
/// request stays while something else is weakened.
async fn forget(
    tx: &mut Tx,
    app: &App,
    actor: &Actor,
    (changed, same): (&[Change], bool),
    weaker: &[Change],
) -> Result<()> {
    let (now, by) = (app.clock.now(), actor.id.to_string());
    let touched = |one: &PendingRequest| {
        one.fields.is_empty() || changed.iter().any(|change| one.fields.iter().any(|of| of == change.field))
    };
    for rule in [&TWO_PERSONS, &SAFEGUARDS] {
        let (kept, version) = settings::get(tx, rule.kept).await?.unwrap_or_default();
        let all = waiting(&kept, rule, now);
        let stays = |one: &&PendingRequest| !touched(one) && (!weaker.is_empty() || (one.by == by && !same));
        let stay: Vec<PendingRequest> = all.iter().filter(stays).cloned().collect();
        if stay.len() < all.len() {
            keep(tx, rule, &stay, version, now).await?;
        }
    }
    Ok(())
}

/// The pending requests for a rule that have not expired.
fn waiting(kept: &str, rule: &Rule, now: i64) -> Vec<PendingRequest> {
    let all = match serde_json::from_str::<Value>(kept).unwrap_or_default() {
        Value::Array(all) => all,
        // Stored by an earlier version, which allowed only one at a time.
        one @ (Value::Object(_) | Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => {
            vec![one]
        }
    };
    let mut all: Vec<PendingRequest> =
        all.into_iter().filter_map(|one| serde_json::from_value(one).ok()).collect();
    all.retain(|one| now - one.at < FORGOTTEN_AFTER_US);
    for one in all.iter_mut().filter(|one| one.fields.is_empty() && !rule.field.is_empty()) {
        one.fields = vec![rule.field.to_owned()];
    }
    all
}

/// A setting with a changed value.
#[derive(Clone, Debug)]
struct Change {
    field: &'static str,
    was: Value,
    is: Value,
}

/// The settings that can be weakened, as paths in the document.
const FIELDS: [&str; 14] = [
    "enabled",
    "vendors",
    "profile_roles",
    "tax_thresholds",
    "two_person_release",
    "us_tax_tracking",
    "cooling_off_hours",
    "limits.per_reward",
    "limits.per_payment",
    "limits.per_batch",
    "limits.per_day",
    "limits.per_person_per_day",
    "typed_total_above",
    "internal_recipients",
];

/// The settings that changed, by their stored values. The order of a list does not matter, and an empty list equals a missing
/// one.
fn changed(before: &Document, after: &Document) -> Vec<Change> {
    let (was, is) = (json!(before), json!(after));
    let at = |of: &Value, field: &str| {
        let mut found = field.split('.').fold(of.clone(), |of, part| of[part].clone());
        if let Value::Array(all) = &mut found {
            all.sort_by_key(Value::to_string);
            if all.is_empty() {
                return Value::Null;
            }
        }
        found
    };
    let all = FIELDS.into_iter().map(|field| Change { field, was: at(&was, field), is: at(&is, field) });
    all.filter(|one| one.was != one.is).collect()
}

/// Whether it is a number, which could be mistyped, rather than a switch.
fn is_limit(field: &str) -> bool {
    field.starts_with("limits.") || ["cooling_off_hours", "typed_total_above"].contains(&field)
}

/// Whether weakening it takes two administrators. The rest is everyday work, such as enabling a vendor or changing
/// recipients.
fn is_guarded(field: &str) -> bool {
    let named = ["two_person_release", "us_tax_tracking", "cooling_off_hours", "typed_total_above"];
    field.starts_with("limits.") || named.contains(&field)
}

/// A setting's value for people: amounts with currencies and vendors, a number, on or off.
fn describe_value(value: &Value) -> String {
    match value {
        Value::Bool(on) => if *on { "on" } else { "off" }.to_owned(),
        Value::Array(all) if !all.is_empty() => all.iter().map(describe_value).collect::<Vec<_>>().join(", "),
        Value::Object(of) => {
            let parts = ["vendor", "value", "currency"].map(|part| of.get(part).and_then(Value::as_str));
            parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
        }
        Value::Null | Value::Array(_) => "none".to_owned(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
    }
}

/// The name of a setting for people.
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

/// Why the rule stays on for now: no second administrator has requested the same change, and the first did less than a day
/// ago. Records the request.
///
/// `change` describes the change: agreeing to one does not cover another.
pub async fn not_yet(
    tx: &mut Tx,
    app: &App,
    actor: &Actor,
    rule: &Rule,
    change: &str,
) -> Result<Option<Refusal>> {
    let labels = vec![rule.label.to_owned()];
    let wish = WeakeningRequest { rule, fields: vec![rule.field], labels, change: change.to_owned() };
    not_yet_of(tx, app, actor, &wish).await
}

/// Why a payment with an unreadable record still holds its payee: no one else has stated that they investigated it, and this
/// person did so less than a day ago. Otherwise one person's word could pay the same money twice.
pub async fn not_yet_of_payment(
    tx: &mut Tx,
    app: &App,
    actor: &Actor,
    number: &str,
) -> Result<Option<Refusal>> {
    let labels = vec![format!("{number}, whose record cannot be read, holds its payee: on → off")];
    let (rule, fields) = (&UNREADABLE_HOLD, vec![UNREADABLE_HOLD.field]);
    not_yet_of(tx, app, actor, &WeakeningRequest { rule, fields, labels, change: number.to_owned() }).await
}

/// Who stated that they investigated this payment, and from when on they can end its hold alone. `None` if their statement
/// does not count for another administrator, who would then be the first. The `reader` always sees their own.
pub async fn asked_of_payment(
    db: &mut Db,
    number: &str,
    reader: &str,
    now: i64,
) -> Result<Option<(String, i64)>> {
    let (kept, _) = settings::get(db, UNREADABLE_HOLD.kept).await?.unwrap_or_default();
    let found = waiting(&kept, &UNREADABLE_HOLD, now).into_iter().find(|one| one.change == number);
    let Some(first) = found else { return Ok(None) };
    let is_meant = first.by == reader || is_first(db, &first, now).await?;
    Ok(is_meant.then_some((first.by, first.at + ALONE_AFTER_US)))
}

/// Whether a request counts when another administrator asks for the same: whoever made it still administers, and counts as a
/// person of their own.
async fn is_first(db: &mut Db, asked: &PendingRequest, now: i64) -> Result<bool> {
    let counts = people::counts(db, &asked.by, now).await? == people::Counts::Yes;
    Ok(counts && people::may_still(db, &asked.by, Permission::Administer, now).await?)
}

/// Withdraws that statement; returns whether there was one.
pub async fn forget_of_payment(tx: &mut Tx, number: &str, now: i64) -> Result<bool> {
    let rule = &UNREADABLE_HOLD;
    let (kept, version) = settings::get(tx, rule.kept).await?.unwrap_or_default();
    let mut all = waiting(&kept, rule, now);
    let before = all.len();
    all.retain(|one| one.change != number);
    if all.len() == before {
        return Ok(false);
    }
    keep(tx, rule, &all, version, now).await?;
    Ok(true)
}

async fn not_yet_of(
    tx: &mut Tx,
    app: &App,
    actor: &Actor,
    wish: &WeakeningRequest<'_>,
) -> Result<Option<Refusal>> {
    let (rule, now) = (wish.rule, app.clock.now());
    let by = actor.id.to_string();
    let person = people::behind(tx, &by, now).await?;
    let (kept, version) = settings::get(tx, rule.kept).await?.unwrap_or_default();
    let mut others = waiting(&kept, rule, now);
    let same = others.iter().position(|one| one.change == wish.change);
    let mut asked = same.map(|place| others.remove(place));
    if let Some(first) = asked.as_ref().filter(|first| first.by != by)
        && !is_first(tx, first, now).await?
    {
        asked = None;
    }
    let counts = people::counts(tx, &by, now).await?;
    let first = match asked {
        Some(asked) => {
            let behind = people::behind(tx, &asked.by, now).await?;
            let other =
                counts == people::Counts::Yes && asked.by != by && asked.person != person && behind != person;
            let alone = asked.by == by && now - asked.at >= ALONE_AFTER_US;
            if other || alone {
                keep(tx, rule, &others, version, now).await?;
                notify_administrators(tx, app, actor, wish, None).await?;
                return Ok(None);
            }
            asked
        }
        None => {
            let fields = wish.fields.iter().map(|field| (*field).to_owned()).collect();
            let asked =
                PendingRequest { by: by.clone(), person, at: now, change: wish.change.clone(), fields };
            let own = others.iter().filter(|one| one.by == by).count();
            // Requests about payments are bounded by the payments.
            if wish.payment().is_none()
                && own >= MOST_OF_ONE
                && let Some(oldest) = others.iter().position(|one| one.by == by)
            {
                others.remove(oldest);
            }
            others.push(asked.clone());
            keep(tx, rule, &others, version, now).await?;
            tx.audit(audit::Entry {
                at: now,
                actor: by.clone(),
                action: rule.action,
                subject: rule.subject.to_owned(),
                detail: json!({ "fields": wish.labels }).to_string(),
            });
            notify_administrators(tx, app, actor, wish, Some(now + ALONE_AFTER_US)).await?;
            asked
        }
    };
    let not_counted = match counts {
        people::Counts::From(from) if first.by != by => {
            format!(" You count as a second person from {} on.", clock::human(from))
        }
        people::Counts::From(_) | people::Counts::Yes | people::Counts::KeyMayNot => String::new(),
    };
    let sentence = format!(
        "{}, and nothing was changed. It is written down that it is wanted: it is done as soon as another administrator saves the same, or when whoever asked first saves it again after {}. Your own API keys do not count as a second person.{not_counted}",
        rule.stays,
        clock::human(first.at + ALONE_AFTER_US)
    );
    Ok(Some(
        Refusal::new("second_person_needed", sentence).at(wish.fields.first().copied().unwrap_or(rule.field)),
    ))
}

async fn keep(tx: &mut Tx, rule: &Rule, all: &[PendingRequest], version: i64, now: i64) -> Result<()> {
    let text = serde_json::to_string(all).unwrap_or_default();
    match settings::put(tx, rule.kept, &text, version, now).await? {
        true => Ok(()),
        false => Err(super::stale()),
    }
}

/// Notifies every administrator: `from` is when one person may do it alone; `None` if it is done. Administrators are looked
/// up now and again when the mail is rendered, so one who is disabled in between is still notified.
async fn notify_administrators(
    tx: &mut Tx,
    app: &App,
    actor: &Actor,
    wish: &WeakeningRequest<'_>,
    from: Option<i64>,
) -> Result<()> {
    let (to, what) = (mails::administrators(tx).await?, wish.labels.join(", "));
    let (from, payment) = (from.map(clock::human), wish.payment());
    let detail = json!({ "to": to, "by": actor.name, "what": what, "from": from, "payment": payment });
    let notice = (Notice::SafeguardLowered, wish.rule.subject.to_owned(), detail.to_string());
    outbox::write(tx, &app.clock, app.clock.now(), [notice]).await?;
    Ok(())
}

/// Withdraws a pending request to weaken a safeguard.
pub async fn withdraw_request(tx: &mut Tx, now: i64, rule: &Rule) -> Result<()> {
    let (kept, version) = settings::get(tx, rule.kept).await?.unwrap_or_default();
    if version > 0 && kept != "null" && !settings::put(tx, rule.kept, "null", version, now).await? {
        return Err(super::stale());
    }
    Ok(())
}

/// Refuses to let an API key weaken a safeguard, so that a stolen key cannot remove what would stop its user. A
/// command-line key with the scope `write` is the operator's own and may do what its role allows.
///
/// # Errors
/// `person_needed` for such a key, when `after` protects less than `before`.
pub async fn not_by_key(tx: &mut Tx, actor: &Actor, before: Before<'_>, after: After<'_>) -> Result<()> {
    let Some(field) = weakened(before, after).into_iter().next() else { return Ok(()) };
    if is_operators_own(tx, actor).await? {
        return Ok(());
    }
    let sentence = format!(
        "This would weaken a safeguard ({field}), which this API key may not do, so nothing was changed. An administrator does it on the page Settings."
    );
    Err(Refusal::new("person_needed", sentence).into())
}

/// Whether the actor is a person, or a command-line key with the scope `write`: the operator's own, which may do what its
/// role allows.
pub async fn is_operators_own(tx: &mut Tx, actor: &Actor) -> Result<bool> {
    let made = people::how_key_was_made(tx, actor.id).await?;
    Ok(made.is_none_or(|(scopes, by_somebody)| !by_somebody && Scopes::kept(&scopes).has(Scope::Write)))
}

/// Refuses API keys other than the operator's own for actions whose effect would outlast a stolen key, or hide its use.
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
fn weakened(before: Before<'_>, after: After<'_>) -> Vec<&'static str> {
    let ((old, was), (new, is)) = (before, after);
    let is_new = |new: &[String], old: &[String]| new.iter().any(|one| !old.contains(one));
    let silenced = is_new(&old.internal_recipients, &new.internal_recipients);
    let Some(was) = was else {
        let all = changed(old, new).into_iter().map(|one| one.field);
        // Who receives mails can be read in any case.
        return all.filter(|field| *field != "internal_recipients" || silenced).collect();
    };
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
        // Recipients who are removed would not notice.
        ("internal_recipients", silenced),
    ];
    all.into_iter().filter(|(_, weaker)| *weaker).map(|(field, _)| field).collect()
}

/// Whether a limit was removed or raised.
fn is_raised(before: &[Money], after: &[Money]) -> bool {
    before.iter().any(|most| {
        let now = after.iter().find(|now| now.currency == most.currency);
        now.is_none_or(|now| now.minor > most.minor)
    })
}

/// Whether the maximum per reward was raised; a currency that is not listed has its default maximum.
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
            assert_eq!(weakened((&base, Some(&was)), (&after, &is)).first().copied(), field, "{after:?}");
            // If the current rules cannot parse the old document, every changed value counts.
            let unread = weakened((&base, None), (&after, &is));
            assert_eq!(unread.is_empty(), changed(&base, &after).is_empty(), "{after:?}");
            assert!(field.is_none_or(|field| unread.contains(&field)), "{after:?}");
        }
    }

    #[test]
    fn what_was_asked_for_while_there_was_one_request_at_a_time_is_still_read() {
        let one = r#"{"by":"per_1","person":"per_1","at":5,"change":"x"}"#;
        for (kept, count) in
            [(one.to_owned(), 1), (format!("[{one},{one}]"), 2), ("null".to_owned(), 0), (String::new(), 0)]
        {
            assert_eq!(waiting(&kept, &SAFEGUARDS, 6).len(), count, "{kept}");
        }
        assert_eq!(waiting(one, &TWO_PERSONS, 6)[0].fields, ["two_person_release"]);
        assert_eq!(waiting(one, &SAFEGUARDS, 5 + FORGOTTEN_AFTER_US).len(), 0);
    }

    #[test]
    fn the_order_of_a_list_is_no_change() {
        let limits = |all: Value| Document { limits: json!({ "per_day": all }), ..Document::default() };
        let (usd, eur) =
            (json!({ "value": "1.00", "currency": "USD" }), json!({ "value": "2.00", "currency": "EUR" }));
        let (one, other) = (limits(json!([usd, eur])), limits(json!([eur, usd])));
        assert_eq!(changed(&one, &other).len(), 0);
        assert_eq!(changed(&limits(json!([])), &Document::default()).len(), 0);
        assert_eq!(changed(&one, &Document::default()).len(), 1);
    }

    /// The same list with another value; an empty list if the value is empty.
    fn with(list: &serde_json::Value, value: &str) -> serde_json::Value {
        if value.is_empty() {
            return json!([]);
        }
        let mut other = list.clone();
        other[0]["value"] = json!(value);
        other
    }
}
