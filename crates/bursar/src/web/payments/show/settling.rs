//! The manual settlement forms of a payment's page, and their messages. Not here: whether it is allowed, and what it
//! takes (`ops::by_hand`).

use axum::extract::{Path, State};
use axum::response::Response;
use serde::Deserialize;

use payout::ids::RewardId;
use payout::law::Parked;
use payout::money::Sum;
use payout::reward::RewardStatus;

use super::{again, id_of};
use crate::app::App;
use crate::ops::by_hand::{self as by_hand_verbs, ParkedFinding, TwoPersonReason};
use crate::store::transactions::{self, Transaction};
use crate::store::{Db, clawbacks, contradictions};
use crate::web::kit::form::{Form, Key};
use crate::web::kit::format::payment_chip;
use crate::web::kit::layout::{Flash, PageContext};
use crate::web::kit::problem::Problem;
use crate::web::kit::route::Web;
use crate::work::ask;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SettleForm {
    outcome: Option<String>,
    vendor_id: Option<String>,
    note: Option<String>,
}

pub(super) async fn settle_by_hand(
    State(web): State<Web>,
    context: PageContext,
    key: Key,
    Path(number): Path<String>,
    Form(sent): Form<SettleForm>,
) -> Result<Response, Problem> {
    let id = id_of(&web.app, &number).await?;
    let page = format!("/transactions/{number}");
    let mut db = web.app.store.read().await?;
    let attempts = transactions::attempts(&mut db, &[id]).await?;
    let with = super::together(&mut db, &attempts).await?;
    drop(db);
    let finding = match (sent.outcome.as_deref(), sent.vendor_id) {
        (Some("made"), Some(vendor_id)) => ask::found(&web.work, id, &vendor_id).await,
        (Some("made"), None) => {
            return Ok(Flash::bad("Enter the vendor's id of the payment. Nothing was changed.").on(&page));
        }
        (Some("not_made"), _) => ask::not_made(&web.work, id).await,
        (Some(_) | None, _) => {
            return Ok(Flash::bad("Choose what you found at the vendor. Nothing was changed.").on(&page));
        }
    };
    let settled = match finding {
        Ok(finding) => {
            let (how, once) = (sent.note.unwrap_or_default(), key.once(again));
            by_hand_verbs::settle_by_hand(&web.app, &context.actor, id, &finding, &how, once.as_ref()).await
        }
        Err(error) => Err(error),
    };
    Ok(settled_flash(&web.app, settled, &with).await?.on(&page))
}

/// The payments that have already been settled together with another one.
async fn ended(db: &mut Db, with: &[String]) -> Result<Vec<String>, Problem> {
    let mut ended = Vec::new();
    for label in with {
        if transactions::find(db, label).await?.state.settled() {
            ended.push(label.clone());
        }
    }
    Ok(ended)
}

/// Why something takes two people, in words.
pub(super) fn takes_two(why: &str) -> &'static str {
    match TwoPersonReason::ALL.iter().find(|one| one.as_str() == why) {
        Some(TwoPersonReason::Rule) => "The two-person rule is on.",
        Some(TwoPersonReason::NotLookedThrough) => {
            "The vendor cannot be searched for this payment, so only people can confirm whether it was made."
        }
        Some(TwoPersonReason::NothingProvesIt) | None => {
            "The vendor shows no proof of this, or not for the whole amount."
        }
    }
}

/// The message: settled, or recorded until a second person confirms.
async fn settled_flash(
    app: &App,
    settled: Result<Transaction, crate::ops::OpsError>,
    with: &[String],
) -> Result<Flash, Problem> {
    let after = match settled {
        Ok(after) => after,
        Err(error) => return Flash::refused(error),
    };
    let waits = contradictions::opinion(&mut app.store.read().await?, after.id).await?;
    Ok(match waits {
        Some(one) => Flash::warn(format!(
            "Recorded. {} Nothing has changed yet. A second person must check at the vendor and record the same here. Your own API keys do not count as a second person.",
            takes_two(&one.why)
        )),
        None => {
            let mut labels = vec![after.label()];
            labels.extend(ended(&mut app.store.read().await?, with).await?);
            let are = if labels.len() == 1 { "is" } else { "are" };
            let taken = taken_for(&mut app.store.read().await?, &after).await?;
            let taken = taken.map(|told| format!(" {told}")).unwrap_or_default();
            Flash::good(format!("{} {are} settled: {}.{taken}", listed(&labels), payment_chip(&after).words))
        }
    })
}

/// A list of numbers for a sentence; long lists are cut with a count of the rest.
fn listed(labels: &[String]) -> String {
    const NAMED: usize = 10;
    match labels {
        [] => String::new(),
        [one] => one.clone(),
        many if many.len() > NAMED => {
            format!("{} and {} more", many[..NAMED].join(", "), many.len() - NAMED)
        }
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// What is deducted from the payee's next claim because of this payment, if anything.
async fn taken_for(db: &mut Db, of: &Transaction) -> Result<Option<String>, Problem> {
    let covered = transactions::covered(db, of.id).await?;
    let ids: Vec<RewardId> = covered.iter().filter_map(|row| RewardId::parse(&row.id)).collect();
    let mut taken = clawbacks::of_rewards(db, ids).await?;
    let because = format!(" {} ", of.label());
    taken.retain(|one| {
        one.status == RewardStatus::Approved && one.reason.as_ref().is_some_and(|why| why.contains(&because))
    });
    let sum: i128 = taken.iter().map(|one| i128::from(one.value.minor)).sum();
    let numbers: Vec<String> = taken.iter().map(|one| format!("RW-{:06}", one.number)).collect();
    let currency = of.terms.amount.currency;
    Ok((sum > 0).then(|| {
        format!(
            "The payee was paid {} more than they are owed. It is subtracted from their next claim in {currency} ({}).",
            Sum::new(sum, currency),
            numbers.join(", ")
        )
    }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ParkedForm {
    outcome: Option<String>,
    reference: Option<String>,
    paid_on: Option<String>,
    note: Option<String>,
}

pub(super) async fn settle_parked(
    State(web): State<Web>,
    context: PageContext,
    key: Key,
    Path(number): Path<String>,
    Form(sent): Form<ParkedForm>,
) -> Result<Response, Problem> {
    let id = id_of(&web.app, &number).await?;
    let page = format!("/transactions/{number}");
    let Some(how) = sent.outcome.as_deref().and_then(Parked::parse) else {
        return Ok(Flash::bad("Choose what happened to the money. Nothing was changed.").on(&page));
    };
    let found = ParkedFinding {
        how,
        reference: sent.reference.unwrap_or_default(),
        paid_on: sent.paid_on.unwrap_or_default(),
        note: sent.note.unwrap_or_default(),
    };
    let settled = match ask::parked(&web.work, id, how).await {
        Ok(()) => {
            let once = key.once(again);
            by_hand_verbs::settle_parked(&web.app, &context.actor, id, &found, once.as_ref()).await
        }
        Err(error) => Err(error),
    };
    Ok(settled_flash(&web.app, settled, &[]).await?.on(&page))
}
