//! Whose payments and money an actor may see. Not here: who may call at all (the route table).

use payout::access::Role;
use payout::ledger::Payee;
use payout::reward::PaymentType;

use super::problem::{FieldError, Problem};
use crate::app::Actor;
use crate::store::programs::{self, RecordRef};
use crate::store::scope::Scope;
use crate::store::{Db, payees};

/// Whose payments an actor may see: everybody's (`None`), or their own and, for a partner administrator, their account's.
pub async fn own_payees(db: &mut Db, actor: &Actor) -> Result<Option<Vec<String>>, Problem> {
    match actor.role {
        Role::Partner | Role::PartnerAdmin => {
            let Some(partner) = actor.partner else { return Ok(Some(Vec::new())) };
            let whole_account = actor.role == Role::PartnerAdmin;
            Ok(Some(payees::of_partner(db, partner, whole_account).await?))
        }
        Role::Admin | Role::ProgramManager | Role::Preparer | Role::Payer | Role::Auditor => Ok(None),
    }
}

/// The error for an invalid parameter.
pub fn wrong(name: &str, code: &'static str, detail: &str) -> Problem {
    Problem::field(FieldError { pointer: format!("/{name}"), code, detail: detail.to_owned() })
}

/// Resolves whose money is requested. An account or partner that the actor may not see is answered like one that does not
/// exist.
///
/// # Errors
/// The first invalid parameter.
pub async fn scope(
    db: &mut Db,
    actor: &Actor,
    payment_type: Option<&str>,
    account: Option<&str>,
    partner: Option<&str>,
) -> Result<Scope, Problem> {
    let own = own_payees(db, actor).await?;
    let hidden = |payee: Payee| own.as_ref().is_some_and(|own| !own.contains(&payee.to_string()));
    let mut scope = Scope::default();
    if let Some(word) = payment_type {
        let unknown =
            || wrong("payment_type", "unknown_value", "This is not one of: individual, organization.");
        scope.payment_type = Some(PaymentType::parse(word).ok_or_else(unknown)?);
    }
    if let Some(id) = account {
        match programs::account(db, RecordRef::Either(id)).await?.map(|account| account.id) {
            Some(id) if !hidden(Payee::Account(id)) => scope.account = Some(id),
            Some(_) | None => {
                return Err(wrong("account", "unknown_account", "No account has this id."));
            }
        }
    }
    if let Some(id) = partner {
        match programs::partner(db, RecordRef::Either(id)).await?.map(|partner| partner.id) {
            Some(id) if !hidden(Payee::Partner(id)) => scope.partner = Some(id),
            Some(_) | None => {
                return Err(wrong("partner", "unknown_partner", "No partner has this id."));
            }
        }
    }
    scope.own = own;
    Ok(scope)
}
