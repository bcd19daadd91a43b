//! Search for our own people: rewards, payouts and payments by number and by vendor ids; partners and accounts by the start
//! of a word in their name, external id or address. A number leads directly to its page.

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use payout::access::Permission;
use payout::eligibility::{PayeeFacts, PayeeStanding};
use payout::ids::{AccountId, BatchId, PartnerId, PersonId, ProgramId, RewardId, TransactionId};
use payout::ledger::Payee;

use crate::app::App;
use crate::store::directory::ProfileState;
use crate::store::programs::{self, RecordRef, RewardValue};
use crate::store::rewards::{self, Reward};
use crate::store::transactions::{self, Transaction};
use crate::store::{self, Db, StoreError, batches, directory, exports, payees, search};
use crate::web::kit::form::Query;
use crate::web::kit::format::{self, Cash, Chip, ShortTime, Summed, Value, reward_chip, status_chip};
use crate::web::kit::layout::{Frame, MenuItem, PageContext};
use crate::web::kit::problem::Problem;
use crate::web::kit::route::{Access, Route, get};
use crate::web::payees::{profile_chip, standing_chip};

pub fn routes() -> Vec<Route> {
    vec![get("/search", Access::May(Permission::Read), show)]
}

/// How many results of each kind are shown.
const SHOWN: usize = 20;
/// A longer query is neither a name nor a number.
const MOST_LETTERS: usize = 200;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SearchParams {
    q: Option<String>,
}

/// A result, with what is known of it at a glance.
struct Hit {
    address: String,
    name: String,
    aside: String,
    worth: Option<Value>,
    /// What a payee is owed.
    owed: Vec<Summed>,
    chip: Option<Chip>,
    day: Option<ShortTime>,
}

/// The results of one kind.
struct Group {
    words: &'static str,
    /// The heads of the amount, the state and the day; no head where the results have no day.
    heads: [&'static str; 3],
    hits: Vec<Hit>,
    /// Whether there are more than shown.
    more: bool,
}

impl Group {
    fn of(words: &'static str, heads: [&'static str; 3], mut hits: Vec<Hit>) -> Self {
        let more = hits.len() > SHOWN;
        hits.truncate(SHOWN);
        Self { words, heads, hits, more }
    }

    fn count(&self) -> String {
        if self.more { format!("the first {SHOWN}") } else { self.hits.len().to_string() }
    }
}

#[derive(Template)]
#[template(path = "search/page.html")]
struct SearchPage {
    frame: Frame,
    q: String,
    groups: Vec<Group>,
}

async fn show(
    State(app): State<App>,
    context: PageContext,
    Query(params): Query<SearchParams>,
) -> Result<Response, Problem> {
    let q: String = params.q.unwrap_or_default().trim().chars().take(MOST_LETTERS).collect();
    let frame = context.frame("Search", MenuItem::Elsewhere);
    let (mut db, now) = (app.store.read().await?, app.clock.now());
    if let Some(address) = straight(&mut db, &context, frame.pays, &q).await? {
        return Ok(Redirect::to(&address).into_response());
    }
    let mut groups = Vec::new();
    if !q.is_empty() {
        if frame.pays {
            let heads = ["Amount", "Status", "Since"];
            groups.push(Group::of("Payments", heads, payments(&mut db, &q).await?));
        }
        let heads = ["Value", "Status", "Created"];
        groups.push(Group::of("Rewards", heads, of_rewards(&mut db, &q, now).await?));
        let (paid_to, mut of_partners, mut of_accounts) =
            (search::paid_to(&mut db, &q, 5).await?, Vec::new(), Vec::new());
        for payee in paid_to {
            match payee {
                Payee::Partner(_) => of_partners.push(payee),
                Payee::Account(_) => of_accounts.push(payee),
            }
        }
        of_partners.extend(search::payees(&mut db, &q, false, SHOWN + 1).await?);
        of_accounts.extend(search::payees(&mut db, &q, true, SHOWN + 1).await?);
        let heads = ["Owed", "Status", ""];
        groups.push(Group::of("Partners", heads, of_payees(&mut db, of_partners, now).await?));
        groups.push(Group::of("Accounts", heads, of_payees(&mut db, of_accounts, now).await?));
        groups.retain(|group| !group.hits.is_empty());
    }
    context.show(&SearchPage { frame, q, groups })
}

/// The page of a number or id of ours, if it exists.
async fn straight(
    db: &mut Db,
    context: &PageContext,
    pays: bool,
    q: &str,
) -> Result<Option<String>, Problem> {
    let spelled_out = q.contains(['-', '#']);
    let upper = number(q).unwrap_or_else(|| q.to_uppercase());
    // Without its hyphen, a number may be the external id of a partner or an account: then show all that is found.
    if !spelled_out && upper != q.to_uppercase() {
        let reference = RecordRef::Either(q);
        if programs::partner(db, reference).await?.is_some()
            || programs::account(db, reference).await?.is_some()
        {
            return Ok(None);
        }
    }
    if upper.starts_with("RW-") || RewardId::parse(q).is_some() {
        let id = if upper.starts_with("RW-") { upper.as_str() } else { q };
        let found = rewards::find(db, id).await?;
        // An external id may look like one of our numbers: then show both.
        let other = rewards::find_external(db, q).await?;
        let alone =
            other.is_none_or(|other| found.as_ref().is_some_and(|it| it.entered.id == other.entered.id));
        return Ok(found.filter(|_| alone).map(|reward| format!("/rewards/{}", reward.number())));
    }
    if pays && (upper.starts_with("PT-") || TransactionId::parse(q).is_some()) {
        let id = if upper.starts_with("PT-") { upper.as_str() } else { q };
        let found = there(transactions::find(db, id).await)?;
        return Ok(found.map(|transaction| format!("/transactions/{}", transaction.label())));
    }
    if pays && (upper.starts_with("PB-") || BatchId::parse(q).is_some()) {
        let id = if upper.starts_with("PB-") { upper.as_str() } else { q };
        let found = there(batches::find(db, id).await)?;
        return Ok(found.map(|batch| format!("/claims/{}", batch.number)));
    }
    if let Some(number) = upper.strip_prefix("EX-").and_then(|digits| digits.parse().ok()) {
        let found = there(exports::find(db, number).await)?;
        return Ok(found.map(|run| format!("/exports/{}", run.label())));
    }
    if PartnerId::parse(q).is_some() {
        let found = programs::partner(db, RecordRef::Either(q)).await?;
        return Ok(found.map(|partner| format!("/partners/{}", partner.id)));
    }
    if AccountId::parse(q).is_some() {
        let found = programs::account(db, RecordRef::Either(q)).await?;
        return Ok(found.map(|account| format!("/accounts/{}", account.id)));
    }
    if ProgramId::parse(q).is_some() {
        let found = programs::program(db, RecordRef::Either(q)).await?;
        return Ok(found.map(|program| format!("/programs/{}", program.id)));
    }
    if let Some(id) = PersonId::parse(q).filter(|_| context.may(Permission::Administer)) {
        return Ok(Some(format!("/people/{id}")));
    }
    Ok(None)
}

/// One of our numbers as we write it, however it was typed: `rw231`, `PT 977`, `#pb-2026-42`.
fn number(q: &str) -> Option<String> {
    let typed: String = q.to_uppercase().chars().filter(|letter| !letter.is_whitespace()).collect();
    let typed = typed.trim_start_matches('#');
    let (kind, rest) =
        typed.split_at_checked(2).filter(|(kind, _)| ["RW", "PT", "PB", "EX"].contains(kind))?;
    let rest = rest.strip_prefix('-').unwrap_or(rest);
    if kind != "PB" {
        return digits(rest).map(|digits| format!("{kind}-{digits:0>6}"));
    }
    let (year, number) = rest.split_once('-')?;
    let (year, number) = (digits(year)?, digits(number)?);
    Some(format!("PB-{year}-{number:0>4}"))
}

fn there<T>(found: store::Result<T>) -> Result<Option<T>, Problem> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(StoreError::Missing) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// A query of digits only may be the digits of any number.
fn digits(q: &str) -> Option<&str> {
    (!q.is_empty() && q.len() <= 12 && q.bytes().all(|letter| letter.is_ascii_digit())).then_some(q)
}

/// Payments by the digits of their number, and by any vendor id of theirs.
async fn payments(db: &mut Db, q: &str) -> Result<Vec<Hit>, Problem> {
    let mut found: Vec<Transaction> = Vec::new();
    if let Some(digits) = digits(q) {
        found.extend(there(transactions::find(db, &format!("PT-{digits}")).await)?);
    }
    let limit = i64::try_from(SHOWN + 1).unwrap_or(i64::MAX);
    for id in search::transactions(db, q, limit).await? {
        found.push(transactions::find(db, &id.to_string()).await?);
    }
    let of: Vec<Payee> = found.iter().map(|transaction| transaction.terms.payee).collect();
    let names = payees::names(db, &of).await?;
    let hit = |transaction: Transaction| Hit {
        address: format!("/transactions/{}", transaction.label()),
        name: transaction.label(),
        aside: names.get(&transaction.terms.payee).map(|named| named.name.clone()).unwrap_or_default(),
        worth: Some(Value(RewardValue::Cash(transaction.terms.net))),
        owed: Vec::new(),
        chip: Some(status_chip(transaction.state.status())),
        day: Some(ShortTime(transaction.state_at)),
    };
    Ok(found.into_iter().map(hit).collect())
}

/// Rewards by the digits of their number, and by external id.
async fn of_rewards(db: &mut Db, q: &str, now: i64) -> Result<Vec<Hit>, Problem> {
    let mut found: Vec<Reward> = Vec::new();
    if let Some(digits) = digits(q) {
        found.extend(rewards::find(db, &format!("RW-{digits}")).await?);
    }
    if let Some(number) = number(q).filter(|number| number.starts_with("RW-")) {
        found.extend(rewards::find(db, &number).await?);
    }
    let external = rewards::find_external(db, q).await?;
    found.extend(external.filter(|one| found.iter().all(|known| known.entered.id != one.entered.id)));
    let hit = |reward: Reward| Hit {
        address: format!("/rewards/{}", reward.number()),
        name: reward.number(),
        aside: format!("{} · {} · {}", reward.owner.name, reward.activity.name, reward.entered.external_id),
        worth: Some(Value(reward.entered.worth)),
        owed: Vec::new(),
        chip: Some(reward_chip(reward.shown(now))),
        day: Some(ShortTime(reward.entered.created_at)),
    };
    Ok(found.into_iter().map(hit).collect())
}

async fn of_payees(db: &mut Db, mut found: Vec<Payee>, now: i64) -> Result<Vec<Hit>, Problem> {
    let mut known = Vec::new();
    found.retain(|payee| {
        let new = !known.contains(payee);
        known.push(*payee);
        new
    });
    let mut names = payees::names(db, &found).await?;
    let facts = payees::facts(db, &found).await?;
    let mut owed = directory::owed(db, &found, now).await?;
    let hit = |payee: Payee| {
        let named = names.remove(&payee)?;
        // An account's address is that of its owner on our side, so it was not matched.
        let email = named.email.filter(|_| matches!(payee, Payee::Partner(_)));
        let aside = [Some(named.external_id), email].into_iter().flatten();
        Some(Hit {
            address: format::address(payee),
            name: named.name,
            aside: aside.collect::<Vec<_>>().join(" · "),
            worth: None,
            owed: owed.remove(&payee).unwrap_or_default().into_iter().map(Cash).collect(),
            chip: facts.get(&payee).map(chip),
            day: None,
        })
    };
    Ok(found.into_iter().filter_map(hit).collect())
}

/// Whether a payee can be paid: their standing or, if that is as it should be, their payout profile.
fn chip(facts: &PayeeFacts) -> Chip {
    match (facts.standing, &facts.profile) {
        (PayeeStanding::Active, None) => profile_chip(ProfileState::Missing),
        (PayeeStanding::Active, Some(profile)) if profile.payable => profile_chip(ProfileState::Ready),
        (PayeeStanding::Active, Some(_)) => profile_chip(ProfileState::NotReady),
        (held @ (PayeeStanding::OnHold | PayeeStanding::Closed), _) => standing_chip(held),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_known_however_it_is_typed() {
        for (typed, meant) in [
            ("RW-000231", "RW-000231"),
            ("rw231", "RW-000231"),
            ("pt 977", "PT-000977"),
            ("#PT-977", "PT-000977"),
            ("pb-2026-42", "PB-2026-0042"),
            ("ex12", "EX-000012"),
        ] {
            assert_eq!(number(typed).as_deref(), Some(meant), "{typed}");
        }
        for typed in ["", "rw", "R-7", "rw-2x", "PB-42", "pt-", "é", "ptn_1"] {
            assert_eq!(number(typed), None, "{typed}");
        }
    }
}
