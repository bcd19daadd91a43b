//! API keys: creating, checking and revoking them. A key is shown once, may expire, may be limited to some addresses, and
//! stops working when its creator may no longer create keys. Not here: what each scope allows (the route table), and which
//! settings a key cannot change (`ops::settings::lowering`).

use std::net::IpAddr;

use payout::Refusal;
use payout::access::{Permission, Role, allows};
use payout::ids::PersonId;
use payout::money::{Currency, Money};
use payout::notice::Notice;
use payout::scope::Scopes;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::logins::{MachineUser, partner_of};
use super::team::delay_second_person;
use super::{OPERATOR, actor, note};
use crate::app::{Actor, App};
use crate::clock;
use crate::config::Range;
use crate::ops::dates::end_of_date;
use crate::ops::settings::{lowering, stale};
use crate::ops::{OpsError, Result};
use crate::secrets::token_hash;
use crate::store::people::{self, Key, KeyMark, Person};
use crate::store::roster::Listed;
use crate::store::{self, Db, Tx, audit};
use crate::transact;

/// How many of a key's last letters are stored, to tell keys apart.
const HINT: usize = 4;
/// The preset lifetime of a key created on a page.
pub const USUAL_DAYS: u32 = 90;
/// The longest lifetime that can be given in days: ten years.
const MOST_DAYS: u32 = 3_653;
/// The most addresses or networks that a key can be limited to.
const MOST_ADDRESSES: usize = 50;
const DAY_US: i64 = 86_400_000_000;
/// A key's last use is recorded at most this often.
const USED_US: i64 = 5 * 60 * 1_000_000;
/// The same when the address has changed.
const USED_ELSEWHERE_US: i64 = 60 * 1_000_000;

/// The result of authenticating an API key.
#[derive(Clone, Debug)]
pub enum KeyLookup {
    /// Accepted: the key as an actor, and its scopes.
    In(Actor, Scopes),
    /// There is no such key, or it was revoked.
    Unknown(Option<PersonId>),
    /// The key expired at this moment.
    Ended(PersonId, i64),
    /// The person who created it may no longer create keys.
    MakerGone(PersonId),
    /// It may not be used from the address it came from, as far as that is known.
    FromElsewhere(PersonId, Option<IpAddr>),
    /// It may pay or administer and has no address list, which is not allowed here.
    NoAddresses(PersonId),
}

impl KeyLookup {
    /// The actor, if the key was accepted.
    pub fn actor(self) -> Option<Actor> {
        match self {
            Self::In(actor, _) => Some(actor),
            Self::Unknown(_)
            | Self::Ended(..)
            | Self::MakerGone(_)
            | Self::FromElsewhere(..)
            | Self::NoAddresses(_) => None,
        }
    }
}

/// Authenticates an API key sent from this address.
pub async fn by_key(app: &App, key: &str, from: Option<IpAddr>) -> Result<KeyLookup> {
    let found = people::by_key_hash(&mut app.store.read().await?, &token_hash(key)).await?;
    let Some(found) = found else { return Ok(KeyLookup::Unknown(None)) };
    let (now, id) = (app.clock.now(), found.person.id);
    if found.person.disabled_at.is_some() {
        return Ok(KeyLookup::Unknown(Some(id)));
    }
    if let Some(at) = found.ends_at.filter(|at| *at <= now) {
        return Ok(KeyLookup::Ended(id, at));
    }
    if is_orphan(found.maker) {
        return Ok(KeyLookup::MakerGone(id));
    }
    let scopes = Scopes::kept(&found.person.scopes);
    if found.networks.is_empty() {
        if scopes.pay_or_administer(found.person.role) && rules(found.rules.as_deref()).addresses_required {
            return Ok(KeyLookup::NoAddresses(id));
        }
    } else if !from.is_some_and(|from| is_within(&found.networks, from)) {
        return Ok(KeyLookup::FromElsewhere(id, from));
    }
    note_used(app, &found, from, now);
    Ok(KeyLookup::In(actor(&found.person), scopes))
}

/// Whether the creator of a key may no longer create keys: they are disabled, or no longer an administrator.
fn is_orphan(maker: Option<(Role, Option<i64>)>) -> bool {
    maker.is_some_and(|(role, out)| out.is_some() || !allows(role, Permission::Administer))
}

fn is_within(networks: &str, from: IpAddr) -> bool {
    networks.split(',').filter_map(|range| range.parse::<Range>().ok()).any(|range| range.holds(from))
}

/// Records that a key was used and from where, at most every few minutes, in the background.
fn note_used(app: &App, key: &Key, from: Option<IpAddr>, now: i64) {
    let from = from.map(|from| from.to_string());
    let moved = from.is_some() && from != key.seen_from;
    let before = now - if moved { USED_ELSEWHERE_US } else { USED_US };
    if key.person.last_seen_at.is_some_and(|at| at >= before) {
        return;
    }
    let (app, id) = (app.clone(), key.person.id);
    tokio::spawn(async move {
        let noted =
            transact!(app, |tx| { Ok(people::key_used(tx, id, from.as_deref(), now, before).await?) });
        if let Err(error) = noted {
            tracing::info!(?error, "it could not be noted when an API key was last used");
        }
    });
}

/// Whether a key works, for lists.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeyStatus {
    Works,
    /// Its expiry date has passed.
    Ended,
    /// Its creator may no longer create keys.
    MakerGone,
    Revoked,
}

impl KeyStatus {
    /// Whether a listed key works now.
    pub fn of(key: &Listed, now: i64) -> Self {
        if key.disabled_at.is_some() {
            Self::Revoked
        } else if key.ends_at.is_some_and(|at| at <= now) {
            Self::Ended
        } else if is_orphan(key.maker) {
            Self::MakerGone
        } else {
            Self::Works
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Works => "works",
            Self::Ended => "ended",
            Self::MakerGone => "maker_gone",
            Self::Revoked => "revoked",
        }
    }
}

/// An API key to create.
#[derive(Clone, Debug)]
pub struct NewKey {
    /// The name shown in history.
    pub name: String,
    pub role: Role,
    /// The partner it acts for, by the caller's ID for them; required for the partner roles, not allowed for others.
    pub partner: Option<String>,
    pub scopes: Scopes,
    /// When it expires; never if `None`.
    pub ends_at: Option<i64>,
    /// The addresses that it may be used from; any if empty.
    pub addresses: Vec<Range>,
    /// What it may pay per day (UTC), one amount a currency, and in no other currency; without limits of its own if empty.
    pub day_limits: Vec<Money>,
}

impl NewKey {
    /// A key that never expires, may be used from any address and has no limits of its own.
    pub fn of(name: &str, role: Role, scopes: Scopes) -> Self {
        let (addresses, day_limits) = (Vec::new(), Vec::new());
        Self { name: name.to_owned(), role, partner: None, scopes, ends_at: None, addresses, day_limits }
    }
}

/// When a key expires: a number of days like `90d`, its last day like 2027-01-31, or `never`.
///
/// # Errors
/// If it is none of these, or in the past.
pub fn end(typed: &str, now: i64) -> std::result::Result<Option<i64>, Refusal> {
    let typed = typed.trim();
    if typed == "never" {
        return Ok(None);
    }
    let refuse = |code, told: &str| Refusal::new(code, told).at("ends");
    let days = typed.strip_suffix('d').unwrap_or(typed).parse::<u32>();
    let at = match days {
        Ok(days) if (1..=MOST_DAYS).contains(&days) => now + i64::from(days) * DAY_US,
        Ok(_) => {
            return Err(refuse("invalid", "A key ends after 1 to 3653 days, which is ten years, or never."));
        }
        Err(_) => end_of_date(typed).map_err(|_| {
            refuse(
                "invalid_date",
                "Write when the key ends as days like 90d, as its last day like 2027-01-31, or never.",
            )
        })?,
    };
    if at <= now {
        return Err(refuse("in_the_past", "That day is over. Write one that is to come."));
    }
    Ok(Some(at))
}

/// The addresses a key is allowed from, separated by commas or blanks.
///
/// # Errors
/// If one is not an address or network, or is too wide to belong to one party.
pub fn addresses(typed: &str) -> std::result::Result<Vec<Range>, Refusal> {
    let refuse = |told: String| Refusal::new("invalid_address", told).at("addresses");
    let mut all: Vec<Range> = Vec::new();
    for word in typed.split([',', ' ', '\t', '\r', '\n']).filter(|word| !word.is_empty()) {
        let range: Range = word.parse().map_err(|told: String| refuse(format!("{told}.")))?;
        if range.is_wide() {
            let message = "{} holds most of the addresses there are. Name the networks that the program really calls from.";
            return Err(refuse(message.replace("{}", word)));
        }
        if !all.contains(&range) {
            all.push(range);
        }
    }
    if all.len() > MOST_ADDRESSES {
        return Err(refuse(format!("A key has at most {MOST_ADDRESSES} addresses or networks.")));
    }
    Ok(all)
}

fn joined<T: ToString>(all: &[T]) -> Option<String> {
    let all: Vec<String> = all.iter().map(ToString::to_string).collect();
    (!all.is_empty()).then(|| all.join(","))
}

/// What a key may pay per day: amounts with their currencies like `5000.00 EUR`, separated by commas or line ends.
///
/// # Errors
/// If one is not an amount above zero, or two are in one currency.
pub fn day_limits(typed: &str) -> std::result::Result<Vec<Money>, Refusal> {
    let refuse = |told: String| Refusal::new("invalid", told).at("day_limits");
    let mut all: Vec<Money> = Vec::new();
    for one in typed.split([',', '\n', '\r']).map(str::trim).filter(|one| !one.is_empty()) {
        let Some(limit) = limit(one) else {
            return Err(refuse(format!("{one:?} is not an amount and a currency like 5000.00 EUR.")));
        };
        if all.iter().any(|other| other.currency == limit.currency) {
            return Err(refuse(format!("There are two limits in {}. Write one.", limit.currency)));
        }
        all.push(limit);
    }
    Ok(all)
}

fn limit(text: &str) -> Option<Money> {
    let (amount, currency) = text.split_once(' ')?;
    Money::parse(amount, Currency::parse(currency.trim()).ok()?).ok()
}

/// The limits as stored. One that cannot be read allows nothing in its currency.
pub fn kept_limits(kept: &str) -> Vec<Money> {
    kept.split(',').filter_map(limit).collect()
}

/// Creates an API key for the demonstration and returns it. Nobody is notified.
///
/// # Errors
/// As [`make_key`].
pub async fn create_key(app: &App, new: &NewKey) -> Result<String> {
    make(app, OPERATOR, new, None).await
}

/// The same, with the operating-system user in the audit trail and a notice to administrators. If there is an administrator,
/// a key that may release does not count as a second person for a day.
pub async fn create_key_at_the_machine(app: &App, new: &NewKey, by: MachineUser<'_>) -> Result<String> {
    make(app, OPERATOR, new, Some(by)).await
}

/// Creates an API key and returns it; only its hash is stored, so it cannot be shown again. `by` is who creates it. Every
/// administrator is notified.
///
/// # Errors
/// If it has no name, the role does not fit the partner or the scopes, or it needs an address list and has none.
pub async fn make_key(app: &App, by: &str, new: &NewKey) -> Result<String> {
    make(app, by, new, None).await
}

async fn make(app: &App, by: &str, new: &NewKey, user: Option<MachineUser<'_>>) -> Result<String> {
    let name = new.name.trim();
    if name.is_empty() || name.chars().count() > 100 {
        let message = "Name the key after what uses it, in at most 100 letters.";
        return Err(Refusal::new("missing", message).at("name").into());
    }
    new.scopes.fit(new.role)?;
    let now = app.clock.now();
    let id = PersonId::fresh(now, app.clock.in_turn());
    let key = format!("brs_{}", app.clock.secret());
    let hint = key.get(key.len().saturating_sub(HINT)..).unwrap_or_default().to_owned();
    transact!(app, |tx| {
        let person = Person {
            id,
            kind: "api_key".to_owned(),
            name: name.to_owned(),
            email: None,
            role: new.role,
            scopes: new.scopes.text(),
            partner: partner_of(tx, new.role, new.partner.as_deref()).await?,
            password_hash: None,
            disabled_at: None,
            last_seen_at: None,
        };
        must_have_addresses(tx, new.scopes, new.role, &new.addresses).await?;
        let (networks, day_limits) = (joined(&new.addresses), joined(&new.day_limits));
        let (hash, ends_at) = (token_hash(&key), new.ends_at);
        let mark = KeyMark { hash, hint: hint.clone(), ends_at, networks, day_limits };
        people::insert(tx, &person, Some(&mark), by, now).await?;
        // The person at the command line may have prepared what the key would release, so give others a day to notice.
        let counts_from = match user.is_some() && people::has_administrator(tx).await? {
            true => delay_second_person(tx, id, new.role, now).await?,
            false => None,
        };
        let mut detail = json!({ "role": new.role.as_str(), "scopes": person.scopes });
        detail["system_user"] = json!(user.map(|user| user.0));
        if let Some(from) = counts_from {
            detail["counts_from"] = json!(clock::human(from));
        }
        if let Some(at) = new.ends_at {
            detail["ends"] = json!(clock::human(at));
        }
        if let Some(networks) = &mark.networks {
            detail["addresses"] = json!(networks);
        }
        if let Some(limits) = &mark.day_limits {
            detail["day_limits"] = json!(limits);
        }
        note(tx, now, by, "api_key_created", id, detail);
        notify_administrators(tx, app, &person, &mark, (by, user), now).await
    })?;
    app.nudge.notify.notify();
    Ok(key)
}

/// Notifies every administrator of a new key, so that no one with a stolen password can create one unnoticed.
async fn notify_administrators(
    tx: &mut Tx,
    app: &App,
    key: &Person,
    mark: &KeyMark,
    (by, user): (&str, Option<MachineUser<'_>>),
    now: i64,
) -> Result<()> {
    let maker = match PersonId::parse(by) {
        Some(id) => people::by_id(tx, id).await?.map(|maker| maker.name),
        None => user.map(|user| format!("{} at the command line", user.0)),
    };
    let Some(maker) = maker else { return Ok(()) };
    let detail = json!({
        "by": maker, "key": key.name, "hint": mark.hint, "role": key.role.label(),
        "may": key.scopes.replace(',', ", "), "ends": mark.ends_at.map(|at| clock::date(at - 1)),
        "addresses": mark.networks.as_ref().map(|all| all.replace(',', ", ")),
    });
    let notice = (Notice::ApiKeyMade, key.id.to_string(), detail.to_string());
    store::outbox::write(tx, &app.clock, now, [notice]).await?;
    Ok(())
}

/// Revokes an API key permanently: it is rejected from the next call on.
///
/// # Errors
/// [`OpsError::Missing`] if there is no such key.
pub async fn revoke(app: &App, by: &Actor, id: PersonId) -> Result<()> {
    let now = app.clock.now();
    transact!(app, |tx| {
        let key = key_of(tx, id).await?;
        if people::disable(tx, key.id, now).await? == 1 {
            note(tx, now, &by.id.to_string(), "api_key_revoked", key.id, json!({}));
        }
        Ok(())
    })
}

/// Changes the addresses that a key may be used from; any if empty.
///
/// # Errors
/// [`OpsError::Missing`] if there is no such key; a refusal if it must have an address list, or is revoked.
pub async fn change_addresses(app: &App, by: &Actor, id: PersonId, to: &[Range]) -> Result<()> {
    let now = app.clock.now();
    transact!(app, |tx| {
        let key = key_of(tx, id).await?;
        if key.disabled_at.is_some() {
            return Err(Refusal::new("revoked", "This key is revoked, so nothing was changed.").into());
        }
        must_have_addresses(tx, Scopes::kept(&key.scopes), key.role, to).await?;
        let after = joined(to).unwrap_or_default();
        people::set_networks(tx, id, &after).await?;
        let detail = json!({ "addresses": after, "from": by.came_from });
        note(tx, now, &by.id.to_string(), "api_key_addresses_changed", id, detail);
        Ok(())
    })
}

async fn key_of(tx: &mut Tx, id: PersonId) -> Result<Person> {
    people::hold(tx, id).await?.filter(|one| one.kind == "api_key").ok_or(OpsError::Missing)
}

/// The policy for API keys.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Rules {
    /// Keys that pay or administer must have an address list.
    addresses_required: bool,
}

/// The name of the setting; the SQL query for a key reads it too.
const RULES: &str = "api_keys";

fn rules(kept: Option<&str>) -> Rules {
    kept.and_then(|kept| serde_json::from_str(kept).ok()).unwrap_or_default()
}

/// Whether keys that may pay or administer must have an address list.
pub async fn addresses_required(db: &mut Db) -> Result<bool> {
    let kept = store::settings::get(db, RULES).await?;
    Ok(rules(kept.as_ref().map(|(kept, _)| kept.as_str())).addresses_required)
}

async fn must_have_addresses(db: &mut Db, scopes: Scopes, role: Role, addresses: &[Range]) -> Result<()> {
    if !addresses.is_empty() || !scopes.pay_or_administer(role) || !addresses_required(db).await? {
        return Ok(());
    }
    let message = "A key that pays or administers names here the addresses it is taken from. Name at least one, like 203.0.113.7 or 203.0.113.0/24.";
    Err(Refusal::new("addresses_required", message).at("addresses").into())
}

/// Sets whether keys that may pay or administer must have an address list. Relaxing it takes two administrators, or one and
/// a day's wait.
///
/// # Errors
/// A refusal that names the keys that would stop working; `second_person_needed` while another administrator is needed.
pub async fn require_addresses(app: &App, by: &Actor, required: bool) -> Result<()> {
    let now = app.clock.now();
    let saved = transact!(app, |tx| {
        let (kept, version) = store::settings::get(tx, RULES).await?.unwrap_or_default();
        let before = rules(Some(&kept)).addresses_required;
        if before == required {
            // Saving the current value withdraws a pending request to change it.
            lowering::withdraw_request(tx, now, &lowering::KEY_ADDRESSES).await?;
            return Ok(Ok(()));
        }
        if required {
            none_would_stop(tx).await?;
        } else if let Some(refusal) = lowering::not_yet(tx, app, by, &lowering::KEY_ADDRESSES, "").await? {
            return Ok(Err(refusal));
        }
        let text = serde_json::to_string(&Rules { addresses_required: required }).unwrap_or_default();
        if !store::settings::put(tx, RULES, &text, version, now).await? {
            return Err(stale());
        }
        tx.audit(audit::Entry {
            at: now,
            actor: by.id.to_string(),
            action: "settings_changed",
            subject: "settings:api_keys".to_owned(),
            detail: json!({ "before": before, "after": required }).to_string(),
        });
        Ok(Ok(()))
    })?;
    saved.map_err(OpsError::Conflict)
}

/// Refuses while keys would stop working, so that programs do not fail without warning.
async fn none_would_stop(db: &mut Db) -> Result<()> {
    let all = people::keys_and_networks(db).await?.into_iter();
    let stops = all.filter(|(_, role, scopes, networks)| {
        networks.is_empty() && Scopes::kept(scopes).pay_or_administer(*role)
    });
    let names: Vec<String> = stops.map(|(name, ..)| name).collect();
    if names.is_empty() {
        return Ok(());
    }
    let message = format!(
        "These keys pay or administer and name no addresses, so they would stop at once: {}. Name their addresses or revoke them first; nothing was changed.",
        names.join(", ")
    );
    Err(Refusal::new("addresses_missing", message).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_days_a_day_or_never() {
        let now = clock::start_of_date("2026-03-02").unwrap() + 9 * 3_600_000_000;
        let day = |typed: &str| end(typed, now).map(|at| at.map(clock::date));
        assert_eq!(end("90d", now).unwrap(), Some(now + 90 * DAY_US));
        assert_eq!(end(" 1 ", now).unwrap(), Some(now + DAY_US));
        assert_eq!(day("never").unwrap(), None);
        // The last day is included.
        assert_eq!(day("2027-01-31").unwrap().as_deref(), Some("2027-02-01"));
        assert_eq!(day("2026-03-02").unwrap().as_deref(), Some("2026-03-03"));
        let rows = [("", "invalid_date"), ("soon", "invalid_date"), ("0d", "invalid"), ("4000d", "invalid")];
        for (typed, code) in rows.into_iter().chain([("2026-03-01", "in_the_past"), ("-5", "invalid_date")]) {
            let refused = day(typed).unwrap_err();
            assert_eq!((refused.code, refused.field), (code, Some("ends")), "{typed:?}");
        }
    }

    #[test]
    fn addresses_are_read_from_a_list() {
        let read = |typed: &str| addresses(typed).map(|all| joined(&all).unwrap_or_default());
        assert_eq!(read("").unwrap(), "");
        let lines = "203.0.113.7, 10.0.0.0/8\n2001:db8::/48 203.0.113.7";
        assert_eq!(read(lines).unwrap(), "203.0.113.7/32,10.0.0.0/8,2001:db8::/48");
        for typed in ["0.0.0.0/0", "::/0", "here", "10.0.0.0/33", "10.0.0.1;10.0.0.2"] {
            assert_eq!(read(typed).unwrap_err().code, "invalid_address", "{typed}");
        }
        let many: Vec<String> = (0..=MOST_ADDRESSES).map(|last| format!("10.0.0.{last}")).collect();
        assert_eq!(read(&many.join(",")).unwrap_err().code, "invalid_address");
        assert!(is_within("203.0.113.7/32,10.0.0.0/8", "10.9.9.9".parse().unwrap()));
        assert!(!is_within("203.0.113.7/32", "203.0.113.8".parse().unwrap()));
    }

    #[test]
    fn a_key_ends_with_its_maker() {
        assert!(!is_orphan(None), "the command line is always there");
        assert!(!is_orphan(Some((Role::Admin, None))));
        assert!(is_orphan(Some((Role::Admin, Some(1)))));
        for role in Role::ALL.iter().filter(|role| **role != Role::Admin) {
            assert!(is_orphan(Some((*role, None))), "{role:?}");
        }
    }
}
