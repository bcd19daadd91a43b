//! Entering single rewards by hand. After an error the input is kept and the error shown. Not here: files (`imports`).

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use payout::Refusal;
use payout::access::Permission;
use payout::money::{Currency, Money, MoneyError};
use payout::reward::PaymentType;

use crate::app::App;
use crate::ops::OpsError;
use crate::ops::company;
use crate::ops::import;
use crate::ops::rewards::{self as verbs, Draft, expiry_of};
use crate::store::Db;
use crate::store::programs::{self, Filter as Catalogue, RecordRef, RewardValue};
use crate::web::kit::form::Form;
use crate::web::kit::layout::{Flash, Frame, MenuItem, PageContext};
use crate::web::kit::problem::Problem;
use crate::web::kit::resolve::{self, offer};
use crate::web::kit::route::{Access, Route, get, post};

pub fn routes() -> Vec<Route> {
    let reviews = Access::May(Permission::Review);
    vec![get("/rewards/new", reviews, new_form), post("/rewards/new", reviews, new)]
}

#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct FormInput {
    external_id: Option<String>,
    activity: Option<String>,
    owner: Option<String>,
    value: Option<String>,
    currency: Option<String>,
    payment_type: Option<String>,
    form_reference: Option<String>,
    earned_on: Option<String>,
    expires_on: Option<String>,
    note: Option<String>,
}

struct Activity {
    external_id: String,
    words: String,
    chosen: bool,
}

#[derive(Template)]
#[template(path = "rewards/new.html")]
struct NewPage {
    frame: Frame,
    typed: FormInput,
    wrong: Option<Refusal>,
    activities: Vec<Activity>,
    /// The partners suggested while one is typed.
    partners: Vec<String>,
    many_partners: bool,
    /// The company's usual currency, as an example.
    usual: String,
}

impl NewPage {
    /// The error of a field.
    fn at(&self, field: &str) -> Option<&str> {
        let wrong = self.wrong.as_ref()?;
        (wrong.field == Some(field)).then_some(wrong.sentence.as_str())
    }

    /// The currencies to choose from.
    fn codes(&self) -> Vec<&'static str> {
        let open = Currency::all().filter(|currency| currency.ended().is_none());
        open.map(Currency::code).collect()
    }

    fn organization(&self) -> bool {
        self.typed.payment_type.as_deref() == Some(PaymentType::Organization.as_str())
    }
}

async fn new_form(State(app): State<App>, context: PageContext) -> Result<Response, Problem> {
    let chance = payout::ids::encode(app.clock.random());
    let external_id = Some(format!("hand-{}", chance.get(16..).unwrap_or(&chance)));
    // The activity may have its own currency, so none is prefilled: a value without one is refused, never guessed.
    let typed = FormInput { external_id, ..FormInput::default() };
    new_page(&mut app.store.read().await?, &context, typed, None).await
}

async fn new_page(
    db: &mut Db,
    context: &PageContext,
    typed: FormInput,
    wrong: Option<Refusal>,
) -> Result<Response, Problem> {
    let some = Catalogue { limit: 500, ..Catalogue::default() };
    let activities = programs::activities(db, &some).await?.into_iter();
    let activities = activities.filter(|one| one.inactive_at.is_none()).map(|one| Activity {
        chosen: typed.activity.as_deref() == Some(one.external_id.as_str()),
        words: match one.worth {
            Some(RewardValue::Cash(money)) => format!("{} ({money})", one.name),
            Some(RewardValue::Points(points)) => format!("{} ({points} points)", one.name),
            None => one.name,
        },
        external_id: one.external_id,
    });
    let partners = programs::partners(db, &Catalogue { limit: 201, ..Catalogue::default() }).await?;
    let usual = Some(company::read(db).await?.currency).filter(|code| !code.is_empty());
    let page = NewPage {
        usual: usual.unwrap_or_else(|| "USD".to_owned()),
        frame: context.frame("New reward", MenuItem::Rewards),
        activities: activities.collect(),
        many_partners: partners.len() > 200,
        partners: partners.into_iter().take(200).map(|one| offer(&one.name, &one.external_id)).collect(),
        typed,
        wrong,
    };
    let status = if page.wrong.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    Ok((status, context.show(&page)?).into_response())
}

async fn new(
    State(app): State<App>,
    context: PageContext,
    Form(typed): Form<FormInput>,
) -> Result<Response, Problem> {
    let mut db = app.store.read().await?;
    let draft = match draft(&mut db, &typed).await? {
        Ok(draft) => draft,
        Err(refusal) => return new_page(&mut db, &context, typed, Some(refusal)).await,
    };
    match verbs::create(&app, &context.actor, &draft, None).await {
        Ok(created) => {
            let number = created.reward.number();
            let flash = match created.existed {
                true => {
                    Flash::warn(format!("{number} already exists with the same content. Nothing was added."))
                }
                false => Flash::good(format!("{number} is entered and waits for review.")),
            };
            Ok(flash.on(&format!("/rewards/{number}")))
        }
        Err(OpsError::Refused(refusal) | OpsError::Conflict(refusal)) => {
            new_page(&mut db, &context, typed, Some(refusal)).await
        }
        Err(error) => Err(error.into()),
    }
}

/// The reward described by the input.
async fn draft(db: &mut Db, typed: &FormInput) -> Result<Result<Draft, Refusal>, Problem> {
    let id = typed.activity.clone().unwrap_or_default();
    let activity = programs::activity(db, RecordRef::External(&id)).await?;
    let Some(activity) = activity else {
        return Ok(Err(Refusal::new("missing", "Choose what earned the reward.").at("activity")));
    };
    let money = |error: MoneyError, field| Refusal::new(error.code(), error.sentence()).at(field);
    let worth = match (&typed.value, activity.reward_type) {
        (None, _) => Ok(None),
        (Some(value), payout::reward::RewardType::Points) => import::points(value)
            .map(|points| Some(RewardValue::Points(points)))
            .map_err(|error| money(error, "value")),
        (Some(value), payout::reward::RewardType::Cash) => {
            let code = typed.currency.clone().unwrap_or_default();
            let currency = Currency::parse(&code).map_err(|error| money(error, "currency"));
            currency.and_then(|currency| {
                let money_read = Money::parse(value, currency);
                money_read.map(|read| Some(RewardValue::Cash(read))).map_err(|error| money(error, "value"))
            })
        }
    };
    let owner = resolve::partner_id(db, typed.owner.as_deref().unwrap_or_default()).await?;
    let expires_at = typed.expires_on.as_deref().map(expiry_of).transpose().map(Option::flatten);
    let (worth, expires_at, owner) = match (worth, expires_at, owner) {
        (Ok(worth), Ok(expires_at), Ok(owner)) => (worth, expires_at, owner),
        (Err(refusal), ..) | (_, Err(refusal), _) | (.., Err(refusal)) => return Ok(Err(refusal)),
    };
    Ok(Ok(Draft {
        external_id: typed.external_id.clone().unwrap_or_default(),
        activity: id,
        owner,
        worth,
        payment_type: typed.payment_type.as_deref().and_then(PaymentType::parse),
        form_reference: typed.form_reference.clone(),
        form_data: None,
        note: typed.note.clone(),
        earned_on: typed.earned_on.clone(),
        expires_at,
    }))
}
