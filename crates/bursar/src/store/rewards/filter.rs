//! What is asked of a list of rewards: which list, whose, narrowed by what, sorted how. What is deliberately not here: the
//! conditions that this becomes (`terms`), and reading a page (`list`).

use payout::ids::PartnerId;
use payout::reward::{PaymentType, RewardType, Shown};

/// What somebody may see of rewards.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Visible {
    #[default]
    All,
    Of(PartnerId),
    /// Those of their whole company.
    CompanyOf(PartnerId),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum View {
    Pending,
    All,
    /// Approved cash in no batch and no payment. Which of it passes every gate is not for SQL to say.
    Pool,
    /// In a batch or a payment, not paid.
    InPayout,
    /// Paid.
    Paid,
    Rejected,
    /// Approved, and expiring within 30 days.
    Expiring,
}

/// How a list is sorted; the id decides among equals.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sort {
    /// By the time of entry.
    CreatedAt,
    Number,
    /// By value, minor units of whatever currency.
    Value,
}

/// What narrows a list. References are our ids or the caller's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Filter {
    pub view: View,
    /// What whoever asks may see.
    pub visible: Visible,
    /// Any of these, as people see them.
    pub statuses: Vec<Shown>,
    /// The partner who earned it.
    pub owner: Option<String>,
    pub account: Option<String>,
    pub program: Option<String>,
    pub activity: Option<String>,
    /// The batch, by id or number.
    pub batch: Option<String>,
    pub reward_type: Option<RewardType>,
    /// Who is paid.
    pub payment_type: Option<PaymentType>,
    pub currency: Option<String>,
    /// At least so many minor units.
    pub value_min: Option<i64>,
    pub value_max: Option<i64>,
    pub created_from: Option<i64>,
    pub created_before: Option<i64>,
    pub expires_from: Option<i64>,
    pub expires_before: Option<i64>,
    /// Approved, rejected or voided at or after.
    pub decided_from: Option<i64>,
    /// Approved, rejected or voided before.
    pub decided_before: Option<i64>,
    /// A number, or the caller's id.
    pub q: Option<String>,
}

impl Default for Filter {
    fn default() -> Self {
        Self {
            view: View::All,
            visible: Visible::All,
            statuses: Vec::new(),
            owner: None,
            account: None,
            program: None,
            activity: None,
            batch: None,
            reward_type: None,
            payment_type: None,
            currency: None,
            value_min: None,
            value_max: None,
            created_from: None,
            created_before: None,
            expires_from: None,
            expires_before: None,
            decided_from: None,
            decided_before: None,
            q: None,
        }
    }
}
