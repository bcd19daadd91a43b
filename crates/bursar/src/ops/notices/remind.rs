//! Reminds partners of what they must do to be paid, at most once every three days each.

use std::collections::BTreeMap;

use payout::eligibility::{Code, Who};
use payout::ledger::Payee;
use payout::notice::Notice;
use serde_json::json;

use crate::app::{Actor, App};
use crate::ops::{Result, batches};
use crate::store::batches::PoolFilter;
use crate::store::{audit, outbox};
use crate::transact;

const THREE_DAYS_US: i64 = 3 * 86_400_000_000;

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Reminded {
    pub told: usize,
    /// Payees who were reminded within the last three days, and were skipped.
    pub lately: usize,
}

/// Reminds payees (all, or `only` one) whose approved rewards wait for something that only the payee can do.
pub async fn remind(app: &App, actor: &Actor, only: Option<Payee>) -> Result<Reminded> {
    let reminded = transact!(app, |tx| {
        let now = app.clock.now();
        let filter = PoolFilter { payee: only.map(|payee| payee.to_string()), ..PoolFilter::default() };
        let (_, blocked) = batches::pool_blockers(tx, &filter, now).await?;
        let mut waiting: BTreeMap<Payee, Vec<Code>> = BTreeMap::new();
        for (candidate, blockers) in blocked {
            let Some(payee) = candidate.payee else { continue };
            let theirs =
                blockers.iter().map(|blocker| blocker.code).filter(|code| code.who() == Who::Partner);
            for code in theirs {
                let codes = waiting.entry(payee).or_default();
                if !codes.contains(&code) {
                    codes.push(code);
                }
            }
        }
        let mut reminded = Reminded::default();
        let mut notices = Vec::new();
        for (payee, codes) in waiting {
            let about = payee.to_string();
            if !outbox::may_send(tx, Notice::Reminder.as_str(), &about, now, now - THREE_DAYS_US).await? {
                reminded.lately += 1;
                continue;
            }
            let codes: Vec<&str> = codes.into_iter().map(Code::as_str).collect();
            notices.push((Notice::Reminder, about, json!({ "blockers": codes }).to_string()));
        }
        reminded.told = notices.len();
        outbox::write(tx, &app.clock, now, notices).await?;
        if reminded.told > 0 {
            tx.audit(audit::Entry {
                at: now,
                actor: actor.id.to_string(),
                action: "partners_reminded",
                subject: "claims".to_owned(),
                detail: json!({"told": reminded.told, "lately": reminded.lately}).to_string(),
            });
        }
        Ok(reminded)
    })?;
    app.nudge.notify.notify();
    Ok(reminded)
}
