//! The forms that change the batch being prepared: adding, removing, asking for a release, releasing, and Delete Payout.
//! Each awaits one verb and redirects to Review Claims, which shows the result.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use payout::access::Permission;
use payout::ids::{BatchId, RewardId};
use payout::ledger::Payee;
use payout::money::Currency;

use super::candidates::PoolParams;
use crate::app::App;
use crate::ops::batches as verbs;
use crate::ops::batches::Selection;
use crate::ops::batches::view::BatchView;
use crate::ops::claims;
use crate::ops::notices::{self, remind::Reminded};
use crate::store::batches;
use crate::web::kit::form::Form;
use crate::web::kit::format::{Cash, Summed, how_many};
use crate::web::kit::layout::{Flash, Frame, MenuItem, PageContext};
use crate::web::kit::problem::Problem;
use crate::web::kit::route::{Access, Route, get, post};

pub fn routes() -> Vec<Route> {
    let (prepares, pays) = (Access::May(Permission::Prepare), Access::May(Permission::Pay));
    vec![
        post("/claims/add", prepares, add),
        post("/claims/remind", prepares, remind),
        post("/claims/{number}/remove", prepares, remove),
        post("/claims/{number}/remove-blocked", prepares, remove_blocked),
        get("/claims/{number}/delete", prepares, delete_form),
        post("/claims/{number}/delete", prepares, delete),
        post("/claims/{number}/ask-release", prepares, ask_release),
        post("/claims/{number}/release", pays, release).step_up("Release this payout"),
        post("/claims/{number}/override", prepares, override_threshold),
    ]
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Added {
    #[serde(default)]
    id: Vec<String>,
    all: Option<String>,
    owner: Option<String>,
    account: Option<String>,
    program: Option<String>,
    activity: Option<String>,
    payment_type: Option<String>,
    currency: Option<String>,
}

impl Added {
    /// The filters of the list that the form belongs to.
    fn pool_params(&self) -> PoolParams {
        PoolParams {
            owner: self.owner.clone(),
            account: self.account.clone(),
            program: self.program.clone(),
            activity: self.activity.clone(),
            payment_type: self.payment_type.clone(),
            currency: self.currency.clone(),
            ..PoolParams::default()
        }
    }
}

async fn add(
    State(app): State<App>,
    context: PageContext,
    Form(sent): Form<Added>,
) -> Result<Response, Problem> {
    let ids: Vec<RewardId> = sent.id.iter().filter_map(|id| RewardId::parse(id)).collect();
    let back = sent.pool_params().address("/claims", &[]);
    let choose = match sent.all {
        Some(_) => {
            let (filter, problems) = sent.pool_params().read(&mut app.store.read().await?).await?;
            if !problems.is_empty() {
                return Ok(Flash::bad("Nothing was added.").listing(problems).on(&back));
            }
            Selection::AllEligible(filter)
        }
        None if ids.is_empty() => {
            return Ok(Flash::bad("Select at least one reward. Nothing was added.").on(&back));
        }
        None => Selection::Named(ids),
    };
    let flash = match verbs::form(&app, &context.actor, &choose, false, None).await {
        Ok(view) => Flash::good(format!("{} now holds {}.", view.batch.number, held(&view))),
        Err(error) => Flash::refused(error)?,
    };
    Ok(flash.on(&back))
}

/// Payees who were reminded recently are skipped, and the page says so.
async fn remind(State(app): State<App>, context: PageContext) -> Result<Response, Problem> {
    let flash = match notices::remind::remind(&app, &context.actor, None).await {
        Ok(Reminded { told: 0, lately: 0 }) => {
            Flash::bad("No reward is waiting for its payee, so nobody was reminded.")
        }
        Ok(Reminded { told, lately }) => {
            let payees = |count| how_many(count, "payee", "payees");
            let words = match lately {
                0 => format!("{} reminded.", payees(told)),
                _ => format!(
                    "{} reminded; {} had a reminder within the last three days.",
                    payees(told),
                    payees(lately)
                ),
            };
            if told > 0 { Flash::good(words) } else { Flash::warn(words) }
        }
        Err(error) => Flash::refused(error)?,
    };
    Ok(flash.on("/claims"))
}

fn held(view: &BatchView) -> String {
    let rewards: usize = view.claims.iter().map(|claim| claim.reward_count).sum();
    let claims = how_many(view.claims.len(), "claim", "claims");
    format!("{} in {claims}", how_many(rewards, "reward", "rewards"))
}

async fn id_of(app: &App, number: &str) -> Result<BatchId, Problem> {
    Ok(batches::find(&mut app.store.read().await?, number).await?.id)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Removed {
    #[serde(default)]
    id: Vec<String>,
    /// A whole claim: its payee and currency.
    claim: Option<String>,
}

async fn remove(
    State(app): State<App>,
    context: PageContext,
    Path(number): Path<String>,
    Form(sent): Form<Removed>,
) -> Result<Response, Problem> {
    let back = format!("/claims/{number}");
    let view = verbs::view(&mut app.store.read().await?, &number, app.clock.now()).await?;
    let rewards: Vec<RewardId> = match &sent.claim {
        Some(key) => {
            let mut claims = view.claims.iter();
            let claim = claims.find(|claim| format!("{} {}", claim.payee, claim.total.currency) == *key);
            claim.map(|claim| claim.rewards.iter().map(|(id, ..)| *id).collect()).unwrap_or_default()
        }
        None => sent.id.iter().filter_map(|id| RewardId::parse(id)).collect(),
    };
    if rewards.is_empty() {
        return Ok(Flash::bad("Select at least one reward. Nothing was removed.").on(&back));
    }
    let flash = match verbs::remove(&app, &context.actor, view.batch.id, &rewards, None).await {
        Ok(_) => {
            let words = how_many(rewards.len(), "reward is", "rewards are");
            Flash::good(format!("{words} removed from {number} and back in the pool."))
        }
        Err(error) => Flash::refused(error)?,
    };
    Ok(flash.on(&back))
}

async fn remove_blocked(
    State(app): State<App>,
    context: PageContext,
    Path(number): Path<String>,
) -> Result<Response, Problem> {
    let id = id_of(&app, &number).await?;
    let flash = match verbs::remove_blocked(&app, &context.actor, id, None).await {
        Ok(view) => Flash::good(format!(
            "All blocked claims are removed. {number} now holds {}. Their rewards are back in the pool.",
            held(&view)
        )),
        Err(error) => Flash::refused(error)?,
    };
    Ok(flash.on(&format!("/claims/{number}")))
}

#[derive(Template)]
#[template(path = "payouts/delete.html")]
struct DeletePage {
    frame: Frame,
    number: String,
    told: String,
    totals: Vec<Summed>,
}

async fn delete_form(
    State(app): State<App>,
    context: PageContext,
    Path(number): Path<String>,
) -> Result<Response, Problem> {
    let view = verbs::view(&mut app.store.read().await?, &number, app.clock.now()).await?;
    if !super::draft::is_draft(view.status) {
        return Ok(Redirect::to(&format!("/claims/{number}/pay")).into_response());
    }
    context.show(&DeletePage {
        frame: context.frame(format!("Delete {number}"), MenuItem::Claims),
        told: held(&view),
        totals: view.totals.iter().copied().map(Cash).collect(),
        number,
    })
}

async fn delete(
    State(app): State<App>,
    context: PageContext,
    Path(number): Path<String>,
) -> Result<Response, Problem> {
    let id = id_of(&app, &number).await?;
    match verbs::delete(&app, &context.actor, id).await {
        Ok(freed) => {
            let freed = how_many(usize::try_from(freed).unwrap_or(usize::MAX), "reward is", "rewards are");
            Ok(Flash::good(format!("{number} is deleted; {freed} back in the pool.")).on("/claims"))
        }
        Err(error) => Ok(Flash::refused(error)?.on(&format!("/claims/{number}"))),
    }
}

async fn ask_release(
    State(app): State<App>,
    context: PageContext,
    Path(number): Path<String>,
) -> Result<Response, Problem> {
    let id = id_of(&app, &number).await?;
    let flash = match verbs::ask_release(&app, &context.actor, id).await {
        Ok(()) => Flash::good(format!("The payers were asked to release {number}.")),
        Err(error) => Flash::refused(error)?,
    };
    Ok(flash.on(&format!("/claims/{number}")))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Released {
    digest: String,
    /// Whether they ticked that they have checked what they release.
    checked: Option<String>,
}

async fn release(
    State(app): State<App>,
    context: PageContext,
    Path(number): Path<String>,
    Form(sent): Form<Released>,
) -> Result<Response, Problem> {
    if sent.checked.is_none() {
        let message = "Confirm first that you have checked the payees and totals. Nothing was released.";
        return Ok(Flash::bad(message).on(&format!("/claims/{number}/pay")));
    }
    let id = id_of(&app, &number).await?;
    let flash = match verbs::release(&app, &context.actor, id, &sent.digest, None).await {
        Ok(view) => match view.all_blockers().is_empty() {
            true => {
                Flash::good(format!("{number} is released and can be paid. Any change voids the release."))
            }
            false => Flash::warn(format!(
                "{number} is released as shown. It cannot be paid yet. The reasons are listed below."
            )),
        },
        Err(error) => Flash::refused(error)?,
    };
    Ok(flash.on(&format!("/claims/{number}")))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Overridden {
    claim: String,
    reason: Option<String>,
}

async fn override_threshold(
    State(app): State<App>,
    context: PageContext,
    Path(number): Path<String>,
    Form(sent): Form<Overridden>,
) -> Result<Response, Problem> {
    let id = id_of(&app, &number).await?;
    let parts = sent.claim.split_once(' ');
    let of = parts.and_then(|(payee, code)| Some((Payee::parse(payee)?, Currency::parse(code).ok()?)));
    let of = of.ok_or_else(Problem::missing)?;
    let reason = sent.reason.unwrap_or_default();
    let flash = match claims::override_threshold(&app, &context.actor, id, of, &reason, None).await {
        Ok(_) => Flash::good(
            "The claim can be paid with this total although it is under its threshold. The reason is kept.",
        ),
        Err(error) => Flash::refused(error)?,
    };
    Ok(flash.on(&format!("/claims/{number}")))
}
