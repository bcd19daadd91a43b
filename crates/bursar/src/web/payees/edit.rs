//! Creating and editing partners and accounts by hand. Their standing and destination are changed on their own page.

use axum::extract::{Path, State};
use axum::response::Response;
use serde::Deserialize;

use payout::Refusal;
use payout::access::Permission;
use payout::eligibility::PayeeStanding;
use payout::ids::AccountId;

use crate::app::App;
use crate::mail::Language;
use crate::ops::partners as verbs;
use crate::store::Db;
use crate::store::programs::{self, Account, Partner, RecordRef};
use crate::web::kit::form::{Form, Query};
use crate::web::kit::layout::{MenuItem, PageContext};
use crate::web::kit::problem::Problem;
use crate::web::kit::record_form::{
    self, Field, RecordForm, by_hand, country, given, must_be_as_seen, must_be_new,
};
use crate::web::kit::resolve;
use crate::web::kit::route::{Access, Route, get, post};

pub fn routes() -> Vec<Route> {
    let manages = Access::May(Permission::ManagePartners);
    vec![
        get("/partners/new", manages, new_partner_form),
        post("/partners/new", manages, new_partner),
        get("/partners/{id}/edit", manages, partner_form),
        post("/partners/{id}/edit", manages, edit_partner).step_up("Save this partner"),
        get("/accounts/new", manages, new_account_form),
        post("/accounts/new", manages, new_account),
        get("/accounts/{id}/edit", manages, account_form),
        post("/accounts/{id}/edit", manages, edit_account),
    ]
}

/// How many accounts to offer in the field.
const OFFERED: i64 = 200;
const EXTERNAL_ID: &str = "Your own id; files and the API know it by this.";

#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct PartnerTyped {
    external_id: Option<String>,
    name: Option<String>,
    email: Option<String>,
    account: Option<String>,
    country: Option<String>,
    language: Option<String>,
    seen: Option<i64>,
}

impl PartnerTyped {
    fn of(partner: &Partner) -> Self {
        Self {
            external_id: Some(partner.external_id.clone()),
            name: Some(partner.name.clone()),
            email: Some(partner.email.clone()),
            account: Some(partner.account.1.clone()),
            country: partner.country.clone(),
            language: partner.language.clone(),
            seen: Some(partner.updated_at),
        }
    }

    fn fields(&self, accounts: &[(String, String)]) -> Vec<Field> {
        let spoken = Language::ALL.iter().map(|one| (one.as_str().to_owned(), one.label().to_owned()));
        let mut fields = vec![
            Field::line("name", "Name", &self.name, "").needed(),
            Field::line("email", "E-mail", &self.email, "Notices go there.").of_kind("email").needed(),
            Field::among("account", "Account", &self.account, "Their company: its name or id.", accounts)
                .needed(),
            Field::country(&self.country),
            Field::select("language", "Language of notices", "English", &self.language, spoken),
        ];
        if self.seen.is_none() {
            fields.push(Field::line("external_id", "External id", &self.external_id, EXTERNAL_ID).needed());
        }
        fields
    }

    fn sheet(&self, title: String, back: (String, String), accounts: &[(String, String)]) -> RecordForm {
        RecordForm { title, place: MenuItem::Partners, back, fields: self.fields(accounts), seen: self.seen }
    }

    /// The same, with the account resolved to its ID.
    async fn meant(self, db: &mut Db) -> Result<(Self, Option<Refusal>), Problem> {
        let Some(text) = given(&self.account) else { return Ok((self, None)) };
        Ok(match resolve::account_id(db, &text).await? {
            Ok(id) => (Self { account: Some(id), ..self }, None),
            Err(refusal) => (self, Some(refusal)),
        })
    }

    /// The input merged into the existing record.
    fn over(&self, before: Partner) -> Partner {
        Partner {
            name: given(&self.name).unwrap_or_default(),
            email: given(&self.email).unwrap_or_default(),
            account: (before.account.0, given(&self.account).unwrap_or_default()),
            country: country(&self.country),
            language: given(&self.language),
            ..before
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewParams {
    /// The account of the new partner, by external id.
    account: Option<String>,
}

/// The accounts that are offered: the caller's id and the name of each.
async fn offered(db: &mut Db) -> Result<Vec<(String, String)>, Problem> {
    let some = programs::Filter { limit: OFFERED, ..programs::Filter::default() };
    let found = programs::accounts(db, &some).await?;
    Ok(found.into_iter().map(|one| (one.external_id, one.name)).collect())
}

async fn new_partner_sheet(app: &App, typed: &PartnerTyped) -> Result<RecordForm, Problem> {
    let back = ("/partners".to_owned(), "Partners".to_owned());
    Ok(typed.sheet("New partner".to_owned(), back, &offered(&mut app.store.read().await?).await?))
}

async fn new_partner_form(
    State(app): State<App>,
    context: PageContext,
    Query(within): Query<NewParams>,
) -> Result<Response, Problem> {
    let typed =
        PartnerTyped { external_id: by_hand(&app.clock), account: within.account, ..PartnerTyped::default() };
    record_form::show(&context, new_partner_sheet(&app, &typed).await?)
}

async fn new_partner(
    State(app): State<App>,
    context: PageContext,
    Form(typed): Form<PartnerTyped>,
) -> Result<Response, Problem> {
    let typed = PartnerTyped { seen: None, ..typed };
    let (typed, unclear) = typed.meant(&mut app.store.read().await?).await?;
    if let Some(refusal) = unclear {
        return record_form::again(&context, new_partner_sheet(&app, &typed).await?, &[], refusal.into());
    }
    let (now, external_id) = (app.clock.now(), given(&typed.external_id).unwrap_or_default());
    let saved = verbs::save_partner(&app, &context.actor, &external_id, |before, fresh| {
        must_be_new(before.as_ref(), "a partner")?;
        Ok(typed.over(Partner {
            id: fresh,
            external_id: external_id.clone(),
            // The verb finds it by the external id in the form.
            account: (AccountId::fresh(0, 0), String::new()),
            name: String::new(),
            email: String::new(),
            country: None,
            language: None,
            standing: PayeeStanding::Active,
            note: None,
            created_at: now,
            updated_at: now,
        }))
    });
    match saved.await {
        Ok((partner, new)) => {
            Ok(record_form::saved(&partner.name, new, &format!("/partners/{}", partner.id)))
        }
        Err(error) => record_form::again(&context, new_partner_sheet(&app, &typed).await?, &[], error),
    }
}

fn partner_sheet(typed: &PartnerTyped, partner: &Partner, accounts: &[(String, String)]) -> RecordForm {
    let back = (format!("/partners/{}", partner.id), partner.name.clone());
    typed.sheet(format!("Edit {}", partner.name), back, accounts)
}

async fn partner(app: &App, id: &str) -> Result<Partner, Problem> {
    programs::partner(&mut app.store.read().await?, RecordRef::Either(id)).await?.ok_or_else(Problem::missing)
}

async fn partner_form(
    State(app): State<App>,
    context: PageContext,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let found = partner(&app, &id).await?;
    let accounts = offered(&mut app.store.read().await?).await?;
    record_form::show(&context, partner_sheet(&PartnerTyped::of(&found), &found, &accounts))
}

async fn edit_partner(
    State(app): State<App>,
    context: PageContext,
    Path(id): Path<String>,
    Form(typed): Form<PartnerTyped>,
) -> Result<Response, Problem> {
    let found = partner(&app, &id).await?;
    let ours = found.id.to_string();
    let (typed, unclear) = typed.meant(&mut app.store.read().await?).await?;
    let accounts = offered(&mut app.store.read().await?).await?;
    if let Some(refusal) = unclear {
        return record_form::again(&context, partner_sheet(&typed, &found, &accounts), &[], refusal.into());
    }
    let saved = verbs::save_partner(&app, &context.actor, &ours, |before, _| {
        Ok(typed.over(must_be_as_seen(before, |partner| partner.updated_at, typed.seen)?))
    });
    match saved.await {
        Ok((partner, new)) => {
            Ok(record_form::saved(&partner.name, new, &format!("/partners/{}", partner.id)))
        }
        Err(error) => {
            let now = partner(&app, &id).await?;
            let typed = PartnerTyped { seen: Some(now.updated_at), ..typed };
            let current = PartnerTyped::of(&now).fields(&accounts);
            record_form::again(&context, partner_sheet(&typed, &now, &accounts), &current, error)
        }
    }
}

#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct AccountTyped {
    external_id: Option<String>,
    name: Option<String>,
    country: Option<String>,
    owner_email: Option<String>,
    seen: Option<i64>,
}

impl AccountTyped {
    fn of(account: &Account) -> Self {
        Self {
            external_id: Some(account.external_id.clone()),
            name: Some(account.name.clone()),
            country: account.country.clone(),
            owner_email: account.owner_email.clone(),
            seen: Some(account.updated_at),
        }
    }

    fn fields(&self) -> Vec<Field> {
        let owner = "Your colleague who manages this account. Notified when a payment fails.";
        let mut fields = vec![
            Field::line("name", "Name", &self.name, "").needed(),
            Field::country(&self.country),
            Field::line("owner_email", "Account owner (e-mail)", &self.owner_email, owner).of_kind("email"),
        ];
        if self.seen.is_none() {
            fields.push(Field::line("external_id", "External id", &self.external_id, EXTERNAL_ID).needed());
        }
        fields
    }

    fn sheet(&self, title: String, back: (String, String)) -> RecordForm {
        RecordForm { title, place: MenuItem::Partners, back, fields: self.fields(), seen: self.seen }
    }

    fn over(&self, before: Account) -> Account {
        Account {
            name: given(&self.name).unwrap_or_default(),
            country: country(&self.country),
            owner_email: given(&self.owner_email),
            ..before
        }
    }
}

fn new_account_sheet(typed: &AccountTyped) -> RecordForm {
    let back = ("/partners?kind=companies".to_owned(), "Accounts".to_owned());
    typed.sheet("New account".to_owned(), back)
}

async fn new_account_form(State(app): State<App>, context: PageContext) -> Result<Response, Problem> {
    let typed = AccountTyped { external_id: by_hand(&app.clock), ..AccountTyped::default() };
    record_form::show(&context, new_account_sheet(&typed))
}

async fn new_account(
    State(app): State<App>,
    context: PageContext,
    Form(typed): Form<AccountTyped>,
) -> Result<Response, Problem> {
    let typed = AccountTyped { seen: None, ..typed };
    let (now, external_id) = (app.clock.now(), given(&typed.external_id).unwrap_or_default());
    let saved = verbs::save_account(&app, &context.actor, &external_id, |before, fresh| {
        must_be_new(before.as_ref(), "an account")?;
        Ok(typed.over(Account {
            id: fresh,
            external_id: external_id.clone(),
            name: String::new(),
            country: None,
            owner_email: None,
            standing: PayeeStanding::Active,
            note: None,
            created_at: now,
            updated_at: now,
        }))
    });
    match saved.await {
        Ok((account, new)) => {
            Ok(record_form::saved(&account.name, new, &format!("/accounts/{}", account.id)))
        }
        Err(error) => record_form::again(&context, new_account_sheet(&typed), &[], error),
    }
}

fn account_sheet(typed: &AccountTyped, account: &Account) -> RecordForm {
    let back = (format!("/accounts/{}", account.id), account.name.clone());
    typed.sheet(format!("Edit {}", account.name), back)
}

async fn account(app: &App, id: &str) -> Result<Account, Problem> {
    programs::account(&mut app.store.read().await?, RecordRef::Either(id)).await?.ok_or_else(Problem::missing)
}

async fn account_form(
    State(app): State<App>,
    context: PageContext,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let found = account(&app, &id).await?;
    record_form::show(&context, account_sheet(&AccountTyped::of(&found), &found))
}

async fn edit_account(
    State(app): State<App>,
    context: PageContext,
    Path(id): Path<String>,
    Form(typed): Form<AccountTyped>,
) -> Result<Response, Problem> {
    let found = account(&app, &id).await?;
    let ours = found.id.to_string();
    let saved = verbs::save_account(&app, &context.actor, &ours, |before, _| {
        Ok(typed.over(must_be_as_seen(before, |account| account.updated_at, typed.seen)?))
    });
    match saved.await {
        Ok((account, new)) => {
            Ok(record_form::saved(&account.name, new, &format!("/accounts/{}", account.id)))
        }
        Err(error) => {
            let now = account(&app, &id).await?;
            let typed = AccountTyped { seen: Some(now.updated_at), ..typed };
            record_form::again(&context, account_sheet(&typed, &now), &AccountTyped::of(&now).fields(), error)
        }
    }
}
