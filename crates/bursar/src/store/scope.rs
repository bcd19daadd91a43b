//! The payees whose payments and rewards are shown: the filter shared by the dashboard and the payment list. Not here:
//! the period, because a date means something different for a payment than for a reward.

use payout::ids::{AccountId, PartnerId};
use payout::reward::PaymentType;

use super::{Value, Where};

/// Everyone, unless narrowed. All conditions apply together.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    /// Only these payees: what the caller may see.
    pub own: Option<Vec<String>>,
    /// To individuals, or to organizations.
    pub payment_type: Option<PaymentType>,
    /// To this company and its partners.
    pub account: Option<AccountId>,
    pub partner: Option<PartnerId>,
}

impl Scope {
    pub fn is_everybody(&self) -> bool {
        self.own.is_none() && self.payment_type.is_none() && self.account.is_none() && self.partner.is_none()
    }

    /// Narrows a query that has a single column named `payee`.
    pub(super) fn narrow(&self, conditions: &mut Where) {
        if let Some(own) = &self.own {
            conditions.among("payee", own.iter().map(|payee| Value::from(payee.as_str())));
        }
        if let Some(payment_type) = self.payment_type {
            let ids = match payment_type {
                PaymentType::Individual => "ptn_%",
                PaymentType::Organization => "acc_%",
            };
            conditions.and("payee LIKE ?", [ids.into()]);
        }
        if let Some(account) = self.account {
            let id = || Value::from(account.to_string());
            let sql = "payee IN (SELECT id FROM partner WHERE account_id = ? \
                       UNION ALL SELECT id FROM account WHERE id = ?)";
            conditions.and(sql, [id(), id()]);
        }
        if let Some(partner) = self.partner {
            conditions.and("payee = ?", [partner.to_string().into()]);
        }
    }
}
