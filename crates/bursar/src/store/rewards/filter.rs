//! The filter of reward lists: which list, whose rewards, conditions and sort order. Not here: the SQL conditions
//! (`terms`), and reading a page (`list`).

use payout::ids::PartnerId;
use payout::reward::{PaymentType, RewardType, Shown};

/// Which rewards the caller may see.
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
    /// Approved cash rewards in no batch and no payment. SQL does not evaluate the gates.
    Pool,
    /// In a batch or a payment, and not paid.
    InPayout,
    Paid,
    Rejected,
    /// Approved, and expiring within 30 days.
    Expiring,
}

/// The sort order of a list; ties are broken by id.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sort {
    /// By creation time, in microseconds UTC.
    CreatedAt,
    Number,
    /// By value in minor units, whatever the currency.
    Value,
}

/// The conditions of a list. References are our ids or the caller's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Filter {
    pub view: View,
    /// What the caller may see.
    pub visible: Visible,
    /// Any of these display statuses.
    pub statuses: Vec<Shown>,
    pub owner: Option<String>,
    pub account: Option<String>,
    pub program: Option<String>,
    pub activity: Option<String>,
    /// The batch, by id or number.
    pub batch: Option<String>,
    pub reward_type: Option<RewardType>,
    /// Individual or organization.
    pub payment_type: Option<PaymentType>,
    pub currency: Option<String>,
    /// At least this many minor units.
    pub value_min: Option<i64>,
    pub value_max: Option<i64>,
    pub created_from: Option<i64>,
    pub created_before: Option<i64>,
    pub expires_from: Option<i64>,
    pub expires_before: Option<i64>,
    /// Approved, rejected or voided at or after this time.
    pub decided_from: Option<i64>,
    /// Approved, rejected or voided before this time.
    pub decided_before: Option<i64>,
    /// A number or external id.
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
