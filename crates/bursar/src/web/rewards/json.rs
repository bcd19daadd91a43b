//! The JSON of a reward in the API.

use serde::Serialize;
use utoipa::ToSchema;

use payout::ledger::Payee;

use crate::clock::{date, rfc3339};
use crate::ops::rewards as verbs;
use crate::store::rewards::Reward;
use crate::web::kit::json::ValueJson;
use crate::web::kit::shapes;

/// A reward. References are external ids, each with our id beside it.
#[derive(Serialize, ToSchema)]
#[schema(as = Reward)]
pub struct RewardJson {
    id: String,
    number: String,
    external_id: String,
    program: String,
    program_id: String,
    program_name: String,
    activity: String,
    activity_id: String,
    activity_name: String,
    owner: String,
    owner_id: String,
    owner_name: String,
    account: String,
    account_id: String,
    account_name: String,
    #[schema(value_type = shapes::RewardType)]
    r#type: &'static str,
    /// `individual` or `organization`; null for points.
    #[schema(value_type = Option<shapes::PaymentType>)]
    payment_type: Option<&'static str>,
    /// The payee; null for points.
    payee: Option<PayeeJson>,
    /// `earned`, or `clawback`: its value is then deducted from the payee's next claim.
    kind: &'static str,
    #[schema(value_type = shapes::MoneyOrPoints)]
    value: ValueJson,
    #[schema(value_type = shapes::RewardStatus)]
    status: &'static str,
    reason: Option<String>,
    show_reason_to_partner: bool,
    form_reference: Option<String>,
    #[schema(value_type = Option<Object>)]
    form_data: Option<serde_json::Value>,
    note: Option<String>,
    earned_on: Option<String>,
    /// Not payable from this time on, unless it is in a batch by then.
    expires_at: Option<String>,
    /// The last day on which it can be added to a batch.
    expires_on: Option<String>,
    /// Not payable before this time.
    held_until: Option<String>,
    /// Whether its hold period, which counts from `earned_on`, was over before it was entered.
    hold_over_at_entry: bool,
    created_at: String,
    created_by: String,
    decided_at: Option<String>,
    decided_by: Option<String>,
    /// The id of the batch it is in.
    batch: Option<String>,
    batch_number: Option<String>,
    /// The id of the payment it is in.
    transaction: Option<String>,
    transaction_number: Option<String>,
    paid_at: Option<String>,
    version: i64,
}

/// The payee.
#[derive(Serialize, ToSchema)]
#[schema(as = RewardPayee)]
struct PayeeJson {
    /// `partner` or `account`.
    r#type: &'static str,
    id: String,
    external_id: String,
    name: String,
}

impl RewardJson {
    /// A reward as of `now`.
    pub fn of(reward: &Reward, now: i64) -> Self {
        let it = &reward.entered;
        Self {
            id: it.id.to_string(),
            number: reward.number(),
            external_id: it.external_id.clone(),
            program: reward.program.external_id.clone(),
            program_id: reward.program.id.to_string(),
            program_name: reward.program.name.clone(),
            activity: reward.activity.external_id.clone(),
            activity_id: reward.activity.id.to_string(),
            activity_name: reward.activity.name.clone(),
            owner: reward.owner.external_id.clone(),
            owner_id: reward.owner.id.to_string(),
            owner_name: reward.owner.name.clone(),
            account: reward.account.external_id.clone(),
            account_id: reward.account.id.to_string(),
            account_name: reward.account.name.clone(),
            r#type: it.reward_type.as_str(),
            payment_type: it.payment_type.map(payout::reward::PaymentType::as_str),
            payee: payee(reward),
            kind: it.entry.as_str(),
            value: it.worth.into(),
            status: reward.shown(now).as_str(),
            reason: it.reason.clone(),
            show_reason_to_partner: reward.reason_shown_at.is_some(),
            form_reference: it.form_reference.clone(),
            form_data: it.form_data.as_deref().and_then(|data| serde_json::from_str(data).ok()),
            note: it.note.clone(),
            earned_on: it.earned_on.clone(),
            expires_at: it.expires_at.map(rfc3339),
            expires_on: it.expires_at.map(|end| date(end - 1)),
            held_until: it.held_until.map(rfc3339),
            hold_over_at_entry: verbs::hold_was_over(it),
            created_at: rfc3339(it.created_at),
            created_by: it.created_by.clone(),
            decided_at: it.decided_at.map(rfc3339),
            decided_by: it.decided_by.clone(),
            batch: reward.batch.as_ref().map(|(id, _)| id.to_string()),
            batch_number: reward.batch.as_ref().map(|(_, number)| number.clone()),
            transaction: reward.transaction.as_ref().map(|(id, _)| id.to_string()),
            transaction_number: reward.transaction.as_ref().map(|(_, number)| format!("PT-{number:06}")),
            paid_at: reward.paid_at.map(rfc3339),
            version: reward.version,
        }
    }
}

impl RewardJson {
    /// The version for a partner: without our notes, and without a reason they may not see.
    pub fn for_partner(mut self) -> Self {
        self.note = None;
        self.created_by = String::new();
        self.decided_by = None;
        self.reason = self.reason.filter(|_| self.show_reason_to_partner);
        self
    }
}

fn payee(reward: &Reward) -> Option<PayeeJson> {
    Some(match reward.entered.payee? {
        Payee::Partner(id) => PayeeJson {
            r#type: "partner",
            id: id.to_string(),
            external_id: reward.owner.external_id.clone(),
            name: reward.owner.name.clone(),
        },
        Payee::Account(id) => PayeeJson {
            r#type: "account",
            id: id.to_string(),
            external_id: reward.account.external_id.clone(),
            name: reward.account.name.clone(),
        },
    })
}
