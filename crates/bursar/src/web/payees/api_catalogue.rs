//! `/accounts` and `/partners`.

use axum::Json as JsonAnswer;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use payout::Refusal;
use payout::access::{Permission, Role};
use payout::eligibility::PayeeStanding;
use payout::ids::PartnerId;

use crate::app::{Actor, App};
use crate::clock::rfc3339;
use crate::ops::partners;
use crate::store::programs::{self, Account, Filter, Partner, RecordRef};
use crate::web::kit::extract::{Change, Json};
use crate::web::kit::form::{ListQuery, encode_cursor};
use crate::web::kit::json::Page;
use crate::web::kit::problem::Problem;
use crate::web::kit::record_json::{filter, required, saved};
use crate::web::kit::route::{Access, Route, get, put};
use crate::web::kit::session::CurrentActor;
use crate::web::kit::shapes;

const READ: Access = Access::MayOrOwn(Permission::Read);
const WRITE: Access = Access::May(Permission::ManagePartners);

pub fn routes() -> Vec<Route> {
    vec![
        get("/api/v1/accounts", READ, accounts)
            .says("Accounts")
            .filters::<AccountFilter>()
            .by_pages()
            .answers_page::<AccountJson>(),
        get("/api/v1/accounts/{id}", READ, account)
            .says("One account, by its id or yours")
            .answers::<AccountJson>(200),
        put("/api/v1/accounts/{id}", WRITE, put_account)
            .says("Enter or change the account you know by this id")
            .takes::<AccountChange>()
            .answers::<AccountJson>(200)
            .answers::<AccountJson>(201),
        get("/api/v1/partners", READ, list_partners)
            .says("Partners")
            .filters::<PartnerFilter>()
            .by_pages()
            .answers_page::<PartnerJson>(),
        get("/api/v1/partners/{id}", READ, partner)
            .says("One partner, by their id or yours")
            .answers::<PartnerJson>(200),
        put("/api/v1/partners/{id}", WRITE, put_partner)
            .says("Enter or change the partner you know by this id")
            .takes::<PartnerChange>()
            .answers::<PartnerJson>(200)
            .answers::<PartnerJson>(201),
    ]
}

#[derive(Serialize, ToSchema)]
#[schema(as = Account)]
struct AccountJson {
    id: String,
    external_id: String,
    name: String,
    country: Option<String>,
    owner_email: Option<String>,
    #[schema(value_type = shapes::PayeeStanding)]
    standing: &'static str,
    note: Option<String>,
    created_at: String,
    updated_at: String,
}

impl From<Account> for AccountJson {
    fn from(account: Account) -> Self {
        Self {
            id: account.id.to_string(),
            external_id: account.external_id,
            name: account.name,
            country: account.country,
            owner_email: account.owner_email,
            standing: account.standing.as_str(),
            note: account.note,
            created_at: rfc3339(account.created_at),
            updated_at: rfc3339(account.updated_at),
        }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = Partner)]
struct PartnerJson {
    id: String,
    external_id: String,
    /// The external id of their account.
    account: String,
    account_id: String,
    name: String,
    email: String,
    country: Option<String>,
    language: Option<String>,
    #[schema(value_type = shapes::PayeeStanding)]
    standing: &'static str,
    note: Option<String>,
    created_at: String,
    updated_at: String,
}

impl From<Partner> for PartnerJson {
    fn from(partner: Partner) -> Self {
        Self {
            id: partner.id.to_string(),
            external_id: partner.external_id,
            account: partner.account.1,
            account_id: partner.account.0.to_string(),
            name: partner.name,
            email: partner.email,
            country: partner.country,
            language: partner.language,
            standing: partner.standing.as_str(),
            note: partner.note,
            created_at: rfc3339(partner.created_at),
            updated_at: rfc3339(partner.updated_at),
        }
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "Acme", "country": "DE", "owner_email": "owner@example.com"}))]
struct AccountChange {
    #[schema(min_length = 1, max_length = 200)]
    name: Option<String>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    country: Change<String>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    owner_email: Change<String>,
    #[schema(value_type = Option<shapes::PayeeStanding>)]
    standing: Option<String>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    note: Change<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "Ana Lima", "email": "ana@example.com", "account": "acme"}))]
struct PartnerChange {
    #[schema(min_length = 1, max_length = 200)]
    name: Option<String>,
    #[schema(min_length = 3)]
    email: Option<String>,
    /// The external id of their account.
    #[schema(value_type = Option<shapes::ExternalId>)]
    account: Option<String>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    country: Change<String>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    language: Change<String>,
    #[schema(value_type = Option<shapes::PayeeStanding>)]
    standing: Option<String>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    note: Change<String>,
}

async fn put_account(
    State(app): State<App>,
    CurrentActor(actor): CurrentActor,
    Path(external_id): Path<String>,
    Json(change): Json<AccountChange>,
) -> Result<(StatusCode, JsonAnswer<AccountJson>), Problem> {
    let (account, new) = partners::save_account(&app, &actor, &external_id, |before, fresh| {
        let now = app.clock.now();
        let old = before.as_ref();
        Ok(Account {
            id: old.map_or(fresh, |old| old.id),
            external_id: external_id.clone(),
            name: required(change.name.clone(), old.map(|old| old.name.clone()), "name")?,
            country: change.country.clone().over(old.and_then(|old| old.country.clone())),
            owner_email: change.owner_email.clone().over(old.and_then(|old| old.owner_email.clone())),
            standing: standing(change.standing.as_deref(), old.map(|old| old.standing), &change.note)?,
            note: change.note.clone().over(old.and_then(|old| old.note.clone())),
            created_at: old.map_or(now, |old| old.created_at),
            updated_at: now,
        })
    })
    .await?;
    Ok((saved(new), JsonAnswer(account.into())))
}

async fn put_partner(
    State(app): State<App>,
    CurrentActor(actor): CurrentActor,
    Path(external_id): Path<String>,
    Json(change): Json<PartnerChange>,
) -> Result<(StatusCode, JsonAnswer<PartnerJson>), Problem> {
    let (partner, new) = partners::save_partner(&app, &actor, &external_id, |before, fresh| {
        let now = app.clock.now();
        let old = before.as_ref();
        let account = required(change.account.clone(), old.map(|old| old.account.1.clone()), "account")?;
        Ok(Partner {
            id: old.map_or(fresh, |old| old.id),
            external_id: external_id.clone(),
            account: (payout::ids::AccountId::fresh(0, 0), account),
            name: required(change.name.clone(), old.map(|old| old.name.clone()), "name")?,
            email: required(change.email.clone(), old.map(|old| old.email.clone()), "email")?,
            country: change.country.clone().over(old.and_then(|old| old.country.clone())),
            language: change.language.clone().over(old.and_then(|old| old.language.clone())),
            standing: standing(change.standing.as_deref(), old.map(|old| old.standing), &change.note)?,
            note: change.note.clone().over(old.and_then(|old| old.note.clone())),
            created_at: old.map_or(now, |old| old.created_at),
            updated_at: now,
        })
    })
    .await?;
    Ok((saved(new), JsonAnswer(partner.into())))
}

/// A new standing needs a note in the same request: the previous note does not explain it.
fn standing(
    word: Option<&str>,
    before: Option<PayeeStanding>,
    note: &Change<String>,
) -> Result<PayeeStanding, Refusal> {
    let before = before.unwrap_or(PayeeStanding::Active);
    let Some(word) = word else { return Ok(before) };
    let standing = partners::standing(word)?;
    if standing != before && !matches!(note, Change::Set(_)) {
        let message = "Another standing needs its reason: give it as note. Nothing was changed.";
        return Err(Refusal::new("missing", message).at("note"));
    }
    Ok(standing)
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct AccountFilter {
    /// Text contained in the name or external id
    q: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct PartnerFilter {
    /// Text contained in the name, external id or address
    q: Option<String>,
    /// The account they belong to
    account: Option<String>,
}

/// The partner whose records alone may be seen, if the actor is a partner.
fn own(actor: &Actor) -> Option<PartnerId> {
    match actor.role {
        Role::Partner | Role::PartnerAdmin => Some(actor.partner.unwrap_or(PartnerId::fresh(0, 0))),
        Role::Admin | Role::ProgramManager | Role::Preparer | Role::Payer | Role::Auditor => None,
    }
}

/// An account as the actor may see it: our notes are not for partners.
fn account_for(actor: &Actor, account: Account) -> AccountJson {
    let note = account.note.clone().filter(|_| own(actor).is_none());
    AccountJson { note, ..account.into() }
}

/// A partner as the actor may see them: our notes are not for partners.
fn partner_for(actor: &Actor, partner: Partner) -> PartnerJson {
    let note = partner.note.clone().filter(|_| own(actor).is_none());
    PartnerJson { note, ..partner.into() }
}

async fn accounts(
    State(app): State<App>,
    CurrentActor(actor): CurrentActor,
    ListQuery(wanted, paging): ListQuery<AccountFilter>,
) -> Result<JsonAnswer<Page<AccountJson>>, Problem> {
    let filter = Filter { q: wanted.q, own: own(&actor), ..filter(&paging)? };
    let rows = programs::accounts(&mut app.store.read().await?, &filter).await?;
    let json = |row| account_for(&actor, row);
    Ok(JsonAnswer(Page::of(rows, paging.limit, |row| encode_cursor(&[&row.id.to_string()]), json)))
}

async fn account(
    State(app): State<App>,
    CurrentActor(actor): CurrentActor,
    Path(id): Path<String>,
) -> Result<JsonAnswer<AccountJson>, Problem> {
    let mut db = app.store.read().await?;
    let found = programs::account(&mut db, RecordRef::Either(&id)).await?.ok_or_else(Problem::missing)?;
    if let Some(partner) = own(&actor) {
        let partner = programs::partner(&mut db, RecordRef::Either(&partner.to_string())).await?;
        if partner.is_none_or(|partner| partner.account.0 != found.id) {
            return Err(Problem::missing());
        }
    }
    Ok(JsonAnswer(account_for(&actor, found)))
}

async fn list_partners(
    State(app): State<App>,
    CurrentActor(actor): CurrentActor,
    ListQuery(wanted, paging): ListQuery<PartnerFilter>,
) -> Result<JsonAnswer<Page<PartnerJson>>, Problem> {
    let mut db = app.store.read().await?;
    let mut filter = Filter { q: wanted.q, account: wanted.account, own: own(&actor), ..filter(&paging)? };
    if let Some(company) = company(&mut db, &actor).await? {
        // Their own company only: naming another one returns nobody, rather than ignoring the filter.
        let named = match filter.account.take() {
            Some(named) => {
                programs::account(&mut db, RecordRef::Either(&named)).await?.map(|it| it.id.to_string())
            }
            None => Some(company.clone()),
        };
        if named.as_ref() != Some(&company) {
            return Ok(JsonAnswer(Page::of(
                Vec::new(),
                paging.limit,
                |_: &Partner| String::new(),
                |row| partner_for(&actor, row),
            )));
        }
        filter.own = None;
        filter.account = Some(company);
    }
    let rows = programs::partners(&mut db, &filter).await?;
    Ok(JsonAnswer(Page::of(
        rows,
        paging.limit,
        |row| encode_cursor(&[&row.id.to_string()]),
        |row| partner_for(&actor, row),
    )))
}

async fn partner(
    State(app): State<App>,
    CurrentActor(actor): CurrentActor,
    Path(id): Path<String>,
) -> Result<JsonAnswer<PartnerJson>, Problem> {
    let mut db = app.store.read().await?;
    let found = programs::partner(&mut db, RecordRef::Either(&id)).await?.ok_or_else(Problem::missing)?;
    let company = company(&mut db, &actor).await?;
    let visible = match (own(&actor), company) {
        (None, _) => true,
        (Some(_), Some(company)) => found.account.0.to_string() == company,
        (Some(partner), None) => found.id == partner,
    };
    if visible { Ok(JsonAnswer(partner_for(&actor, found))) } else { Err(Problem::missing()) }
}

/// The company that a partner administrator sees.
async fn company(db: &mut crate::store::Db, actor: &Actor) -> Result<Option<String>, Problem> {
    match (actor.role, actor.partner) {
        (Role::PartnerAdmin, Some(partner)) => {
            let partner = programs::partner(db, RecordRef::Either(&partner.to_string())).await?;
            Ok(partner.map(|partner| partner.account.0.to_string()))
        }
        _ => Ok(None),
    }
}
