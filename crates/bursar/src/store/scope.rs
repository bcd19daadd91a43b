//! Whose payments and rewards are looked at: what the filters of the dashboard and of the payments have in common. What
//! is deliberately not here: when. A date means something else of a payment than of a reward.

use payout::ids::{AccountId, PartnerId};
use payout::reward::PaymentType;

use super::{Value, Where};

/// Everybody's, unless something narrows it. What narrows it holds all at once.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    /// Only what is paid to these: what whoever asks may see.
    pub own: Option<Vec<String>>,
    /// To individuals, or to organizations.
    pub payment_type: Option<PaymentType>,
    /// To this company and to its users.
    pub account: Option<AccountId>,
    pub partner: Option<PartnerId>,
}

impl Scope {
    pub fn is_everybody(&self) -> bool {
        self.own.is_none() && self.payment_type.is_none() && self.account.is_none() && self.partner.is_none()
    }

    /// Narrows a list that has one column `payee`.
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
