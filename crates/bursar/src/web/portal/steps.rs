//! Setup steps: what a partner needs before they can be paid, what is done, and what comes next. Not here: individual
//! payments that need action (`failed`).

use payout::eligibility::{self, Code, Who};
use payout::ledger::Payee;

use super::blockers::Reason;
use super::layout::{OnBehalfOf, PartnerContext};
use crate::ops::{batches, settings};
use crate::store::portal as store;
use crate::store::{Db, payees, vendors};
use crate::web::kit::problem::Problem;

/// Something that must be done before anything is paid.
pub struct Step {
    pub title: &'static str,
    /// The payee's name, if there is more than one payee.
    pub who: Option<String>,
    /// What is missing, and what to do about it; empty if the step is done.
    pub missing: Vec<(String, String)>,
    /// The page to do it on, and the link's text.
    pub act: Option<(String, &'static str)>,
}

impl Step {
    pub fn done(&self) -> bool {
        self.missing.is_empty()
    }
}

/// The steps for those of the partner's payees that have earnings, and what else blocks payment.
pub async fn steps(
    db: &mut Db,
    context: &PartnerContext,
    now: i64,
) -> Result<(Vec<Step>, Vec<Reason>), Problem> {
    let payees = context.payees();
    let ids: Vec<Payee> = payees.iter().map(|(_, payee)| *payee).collect();
    let earning = store::earning(db, &ids).await?;
    let (rules, vendors) = (settings::load(db).await?, vendors::facts(db).await?);
    let mut facts = payees::facts(db, &ids).await?;
    let general = batches::closed_for_all(db).await?.into_iter();
    let mut stops: Vec<Reason> =
        general.map(|code| Reason::of(code, OnBehalfOf::Me, context, None)).collect();
    let mut steps = vec![Step { title: context.t().step_login, who: None, missing: Vec::new(), act: None }];
    let several = payees.len() > 1;
    for (whose, payee) in payees {
        // A partner who has not earned anything yet sees what is missing too, but not for a company that is never paid.
        if !earning.contains(&payee) && (whose == OnBehalfOf::Company || !earning.is_empty()) {
            continue;
        }
        let Some(facts) = facts.remove(&payee) else { continue };
        let changed_at = facts.profile.as_ref().and_then(|profile| profile.changed_at);
        let (mut profile, mut tax) = (Vec::new(), Vec::new());
        for code in eligibility::payee(&facts, &rules, &vendors, now) {
            let until = changed_at.filter(|_| code == Code::ProfileChangedRecently);
            let reason = Reason::of(code, whose, context, until.map(|at| at + rules.cooling_off_us()));
            match code.who() {
                Who::Partner if is_of_tax(code) => tax.push((reason.message, reason.remedy)),
                Who::Partner => profile.push((reason.message, reason.remedy)),
                Who::Preparer | Who::Payer | Who::Admin | Who::Vendor | Who::Nobody => stops.push(reason),
            }
        }
        let who = several.then(|| context.named(whose));
        steps.extend(of_payee(context, whose, who, profile, rules.us_tax_tracking.then_some(tax)));
    }
    Ok((steps, stops))
}

fn is_of_tax(code: Code) -> bool {
    matches!(code, Code::TaxReportMissing | Code::TaxReportExpired)
}

fn of_payee(
    context: &PartnerContext,
    whose: OnBehalfOf,
    who: Option<String>,
    profile: Vec<(String, String)>,
    tax: Option<Vec<(String, String)>>,
) -> Vec<Step> {
    let t = context.t();
    let step = |title, path: &str, words, missing: Vec<(String, String)>| Step {
        title,
        who: who.clone(),
        act: (!missing.is_empty()).then(|| (format!("{path}/{}", whose.as_str()), words)),
        missing,
    };
    let first = step(t.profile, "/portal/profile", t.act_profile, profile);
    let second = tax.map(|missing| step(t.tax, "/portal/tax", t.act_tax, missing));
    std::iter::once(first).chain(second).collect()
}
