//! One person alone cannot weaken a safeguard: it takes two administrators, or one who repeats the request after a day, and
//! all administrators are notified. An API key other than the operator's own cannot weaken one at all. Not here:
//! strengthening one, which any administrator may do at once.

mod connections;
mod roles;
mod unreadable;

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

pub use connections::{ConnectionChange, connection, forget_of_vendor};
pub use roles::{RoleChange, forget_of_person, role};
pub use unreadable::{asked_of_payment, forget_of_payment, not_yet_of_payment};

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
    /// What another administrator does to agree, and whoever asked first a day later.
    agree: (&'static str, &'static str),
    /// Whether another notice tells the administrators when it is done.
    told_elsewhere: bool,
}

const SAVED: (&str, &str) = ("saves the same", "saves it again");

pub const TWO_PERSONS: Rule = Rule {
    kept: "two_person_rule_off",
    action: "two_person_rule_off_asked",
    subject: "settings:payout",
    stays: "The two-person rule stays on for now",
    field: "two_person_release",
    label: "The two-person rule",
    agree: SAVED,
    told_elsewhere: false,
};
/// The other safeguards among the payout settings.
const SAFEGUARDS: Rule = Rule {
    kept: "safeguards_lower",
    action: "safeguards_lower_asked",
    subject: "settings:payout",
    stays: "What would weaken a safeguard is not saved yet",
    field: "",
    label: "",
    agree: SAVED,
    told_elsewhere: false,
};
/// A second factor is required at sign-in.
pub const SECOND_FACTOR: Rule = Rule {
    kept: "second_factor_off",
    action: "second_factor_off_asked",
    subject: "settings:sign_in",
    stays: "The second factor stays required for now",
    field: "second_factor",
    label: "The second factor at sign-in",
    agree: SAVED,
    told_elsewhere: false,
};
/// API keys that may pay or administer must have an address list.
pub const KEY_ADDRESSES: Rule = Rule {
    kept: "key_addresses_off",
    action: "key_addresses_off_asked",
    subject: "settings:api_keys",
    stays: "Addresses stay required for now",
    field: "addresses",
    label: "The addresses of API keys",
    agree: SAVED,
    told_elsewhere: false,
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
        unreadable::is_about_payment(self.rule).then_some(self.change.as_str())
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

/// Whether a request counts when another administrator asks for the same: whoever made it still administers, and counts as a
/// person of their own.
async fn is_first(db: &mut Db, asked: &PendingRequest, now: i64) -> Result<bool> {
    let counts = people::counts(db, &asked.by, now).await? == people::Counts::Yes;
    Ok(counts && people::may_still(db, &asked.by, Permission::Administer, now).await?)
}

/// Whether something is only about to be tried, or done now. A request that is granted is used up when it is done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    Tries,
    Does,
}

async fn not_yet_of(
    tx: &mut Tx,
    app: &App,
    actor: &Actor,
    wish: &WeakeningRequest<'_>,
) -> Result<Option<Refusal>> {
    not_yet_in(tx, app, actor, wish, Phase::Does).await
}

async fn not_yet_in(
    tx: &mut Tx,
    app: &App,
    actor: &Actor,
    wish: &WeakeningRequest<'_>,
    phase: Phase,
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
                if phase == Phase::Does {
                    keep(tx, rule, &others, version, now).await?;
                    notify_done(tx, app, actor, wish).await?;
                }
                return Ok(None);
            }
            asked
        }
        None => ask(tx, app, actor, wish, (person, others, version)).await?,
    };
    let not_counted = match counts {
        people::Counts::From(from) if first.by != by => {
            format!(" You count as a second person from {} on.", clock::human(from))
        }
        people::Counts::From(_) | people::Counts::Yes | people::Counts::KeyMayNot => String::new(),
    };
    let sentence = format!(
        "{}, and nothing was changed. It is written down that it is wanted: it is done as soon as another administrator {}, or when whoever asked first {} after {}. Your own API keys do not count as a second person.{not_counted}",
        rule.stays,
        rule.agree.0,
        rule.agree.1,
        clock::human(first.at + ALONE_AFTER_US)
    );
    Ok(Some(
        Refusal::new("second_person_needed", sentence).at(wish.fields.first().copied().unwrap_or(rule.field)),
    ))
}

/// Records a request beside those that wait, and notifies the administrators.
async fn ask(
    tx: &mut Tx,
    app: &App,
    actor: &Actor,
    wish: &WeakeningRequest<'_>,
    (person, mut others, version): (String, Vec<PendingRequest>, i64),
) -> Result<PendingRequest> {
    let (rule, now, by) = (wish.rule, app.clock.now(), actor.id.to_string());
    let fields = wish.fields.iter().map(|field| (*field).to_owned()).collect();
    let asked = PendingRequest { by: by.clone(), person, at: now, change: wish.change.clone(), fields };
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
        actor: by,
        action: rule.action,
        subject: rule.subject.to_owned(),
        detail: json!({ "fields": wish.labels }).to_string(),
    });
    notify_administrators(tx, app, actor, wish, Some(now + ALONE_AFTER_US)).await?;
    Ok(asked)
}

async fn keep(tx: &mut Tx, rule: &Rule, all: &[PendingRequest], version: i64, now: i64) -> Result<()> {
    let text = serde_json::to_string(all).unwrap_or_default();
    match settings::put(tx, rule.kept, &text, version, now).await? {
        true => Ok(()),
        false => Err(super::stale()),
    }
}

async fn notify_done(tx: &mut Tx, app: &App, actor: &Actor, wish: &WeakeningRequest<'_>) -> Result<()> {
    match wish.rule.told_elsewhere {
        true => Ok(()),
        false => notify_administrators(tx, app, actor, wish, None).await,
    }
}

/// Withdraws the requests whose change is one of these; returns whether there were any.
async fn forget_where(tx: &mut Tx, rule: &Rule, now: i64, is_it: impl Fn(&str) -> bool) -> Result<bool> {
    let (kept, version) = settings::get(tx, rule.kept).await?.unwrap_or_default();
    let mut all = waiting(&kept, rule, now);
    let before = all.len();
    all.retain(|one| !is_it(&one.change));
    if all.len() == before {
        return Ok(false);
    }
    keep(tx, rule, &all, version, now).await?;
    Ok(true)
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
mod tests;
