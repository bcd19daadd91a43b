//! Watches for conditions that no single action triggers: payments that exceed the longest time allowed in their state
//! (`payout::deadline`), a vendor whose webhooks do not arrive, tax reports that are missing or expiring, API keys in use
//! that expire soon, batches that have ended, differences between a vendor and the books. Each is reported at most once a
//! day, however many processes watch.

use std::collections::BTreeMap;

use payout::access::Role;
use payout::deadline;
use payout::notice::Notice;
use payout::transaction::State;
use serde_json::json;

use crate::app::App;
use crate::clock::date;
use crate::ops::reconciliation::known;
use crate::ops::{Result, settings};
use crate::store::reconciliation::{self, Case};
use crate::store::transactions::{self, Filter};
use crate::store::watch as looks;
use crate::store::{self, Tx, aside, outbox, vendors};
use crate::transact;

const HOUR_US: i64 = 3_600_000_000;
const DAY_US: i64 = 24 * HOUR_US;
const LOOKS_US: i64 = 10 * 60 * 1_000_000;
/// A vendor counts as silent after this long without a webhook since something was sent.
const SILENT_US: i64 = 6 * HOUR_US;
/// How long before its expiry a partner is told about their tax report.
const BEFORE_THE_END_US: i64 = 30 * DAY_US;
/// How long before a partner is asked for their tax report again.
const ASKED_US: i64 = 30 * DAY_US;
/// How long before its expiry administrators are told about an API key.
const KEY_ENDS_US: i64 = 7 * DAY_US;
/// A key unused for this long is not in use; its expiry is not reported.
const KEY_USED_US: i64 = 30 * DAY_US;
/// A set-aside record is retried every hour; one not retried for this long has recovered.
const SET_ASIDE_US: i64 = 2 * HOUR_US;
/// The most payments, payees or batches reported in one pass.
const AT_ONCE: i64 = 500;
/// How many are named in a mail.
const SHOWN: usize = 20;

/// Runs a pass, unless one ran within ten minutes; returns the number of notices written.
pub async fn look(app: &App, now: i64) -> Result<usize> {
    let last = outbox::last_sent(&mut app.store.read().await?, "watch", "").await?;
    if last.is_some_and(|last| last + LOOKS_US > now) {
        return Ok(0);
    }
    transact!(app, |tx| {
        if !outbox::may_send(tx, "watch", "", now, now - LOOKS_US).await? {
            return Ok(0);
        }
        let mut notices = Vec::new();
        stuck(tx, &mut notices, now).await?;
        silent(tx, &mut notices, now).await?;
        tax_reports(tx, &mut notices, now).await?;
        keys_ending(tx, &mut notices, now).await?;
        ended_batches(tx, &mut notices, now).await?;
        untied(tx, &mut notices, now).await?;
        let count = notices.len();
        outbox::write(tx, &app.clock, now, notices).await?;
        Ok(count)
    })
}

type Notices = Vec<(Notice, String, String)>;

/// Payments that have been in their state for longer than allowed.
async fn stuck(tx: &mut Tx, notices: &mut Notices, now: i64) -> store::Result<()> {
    let mut by_limit: BTreeMap<i64, Vec<State>> = BTreeMap::new();
    for state in State::ALL {
        if let Some(longest_us) = deadline::limit(*state).longest_us {
            by_limit.entry(longest_us).or_default().push(*state);
        }
    }
    let mut ids = Vec::new();
    for (longest_us, states) in by_limit {
        let filter = Filter {
            states: Some(states),
            open: true,
            unmoved_since: Some(now.saturating_sub(longest_us)),
            ..Filter::default()
        };
        let found = transactions::list(tx, &filter, AT_ONCE).await?;
        ids.extend(found.into_iter().map(|transaction| transaction.id.to_string()));
    }
    ids.extend(aside::since(tx, now - SET_ASIDE_US, AT_ONCE).await?);
    let notice = Notice::PaymentsStuck;
    if !ids.is_empty() && outbox::may_send(tx, notice.as_str(), "", now, now - DAY_US).await? {
        notices.push((notice, "payments".to_owned(), json!({ "transactions": ids }).to_string()));
    }
    Ok(())
}

async fn silent(tx: &mut Tx, notices: &mut Notices, now: i64) -> store::Result<()> {
    let connected = vendors::all(tx).await?;
    for (vendor, since) in looks::unanswered(tx).await? {
        let last = connected.iter().find(|it| it.vendor == vendor).and_then(|it| it.last_event_at);
        if since + SILENT_US > now || last.is_some_and(|last| last >= since) {
            continue;
        }
        let (notice, about) = (Notice::WebhooksSilent, vendor.as_str());
        if outbox::may_send(tx, notice.as_str(), about, now, now - DAY_US).await? {
            notices.push((notice, about.to_owned(), json!({ "since": date(since) }).to_string()));
        }
    }
    Ok(())
}

async fn tax_reports(tx: &mut Tx, notices: &mut Notices, now: i64) -> store::Result<()> {
    if !settings::load(tx).await?.us_tax_tracking {
        return Ok(());
    }
    for (payee, form, ends) in looks::tax_ending(tx, now, now + BEFORE_THE_END_US, AT_ONCE).await? {
        let (notice, about) = (Notice::TaxReportExpiring, format!("{payee} {ends}"));
        // Reported once for each expiry date.
        if outbox::may_send(tx, notice.as_str(), &about, now, i64::MIN).await? {
            let detail = json!({"form": form_label(&form), "expires": date(ends - 1)});
            notices.push((notice, payee, detail.to_string()));
        }
    }
    for payee in looks::tax_missing(tx, now, AT_ONCE).await? {
        let notice = Notice::TaxReportNeeded;
        if outbox::may_send(tx, notice.as_str(), &payee, now, now - ASKED_US).await? {
            notices.push((notice, payee, "{}".to_owned()));
        }
    }
    Ok(())
}

fn form_label(form: &str) -> &str {
    match form {
        "w9" => "W-9",
        "w8ben" => "W-8BEN",
        "w8bene" => "W-8BEN-E",
        other => other,
    }
}

/// Reports API keys in use that expire soon, once for each expiry date: otherwise the outage on that day would be the first
/// notice.
async fn keys_ending(tx: &mut Tx, notices: &mut Notices, now: i64) -> store::Result<()> {
    for key in looks::keys_ending(tx, now, now + KEY_ENDS_US, now - KEY_USED_US, AT_ONCE).await? {
        let (notice, about) = (Notice::ApiKeyEnds, format!("{} {}", key.id, key.ends_at));
        if outbox::may_send(tx, notice.as_str(), &about, now, i64::MIN).await? {
            let detail = json!({
                "key": key.name, "hint": key.hint, "by": key.made_by.unwrap_or_default(),
                "role": Role::parse(&key.role).map_or("", Role::label),
                "ends": date(key.ends_at - 1), "used": date(key.used_at),
            });
            notices.push((notice, key.id, detail.to_string()));
        }
    }
    Ok(())
}

/// Two payments that end at the same moment may each see the other as unfinished, so ended batches are also looked for
/// here.
async fn ended_batches(tx: &mut Tx, notices: &mut Notices, now: i64) -> store::Result<()> {
    for batch in looks::ended_batches(tx, AT_ONCE).await? {
        if outbox::may_send(tx, Notice::BatchFinal.as_str(), &batch, now, i64::MIN).await? {
            notices.push((Notice::BatchFinal, batch, "{}".to_owned()));
        }
    }
    Ok(())
}

/// Reports each difference between a vendor and the books once; one mail for all new ones of a pass.
async fn untied(tx: &mut Tx, notices: &mut Notices, now: i64) -> store::Result<()> {
    let notice = Notice::ReconciliationOpen;
    let mut new = Vec::new();
    for (case, about) in reconciliation::untold_tasks(tx, notice.as_str(), AT_ONCE).await? {
        if outbox::may_send(tx, notice.as_str(), &about, now, i64::MIN).await? {
            new.push(case);
        }
    }
    let more = new.len().saturating_sub(SHOWN);
    let count = new.len();
    new.truncate(SHOWN);
    known::add(tx, &mut new).await?;
    let Some(first) = new.first() else { return Ok(()) };
    let about = first.id.clone();
    let told = |case: &Case| {
        json!({
            "vendor": case.of.vendor.label(), "day": case.day, "what": case.label(),
            "moved": case.moved.to_string(), "booked": case.posted.to_string(),
        })
    };
    let cases: Vec<_> = new.iter().map(told).collect();
    notices.push((notice, about, json!({ "cases": cases, "count": count, "more": more }).to_string()));
    Ok(())
}
