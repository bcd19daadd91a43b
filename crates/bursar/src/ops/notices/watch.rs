//! What nobody does and somebody must still hear of: payments that stand as they do for longer than their state may last
//! (`payout::deadline`), a vendor whose webhooks do not arrive, tax reports that are missing or about to end, API keys that
//! are in use and about to end, batches that have ended, what does not tie between a vendor and the books. Each is told at
//! most once a day, however many processes look.

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
/// Without a webhook for so long after something was sent, a vendor is silent.
const SILENT_US: i64 = 6 * HOUR_US;
/// So long before its end a partner hears of their tax report.
const BEFORE_THE_END_US: i64 = 30 * DAY_US;
/// So long a partner is not asked again for their tax report.
const ASKED_US: i64 = 30 * DAY_US;
/// So long before its end administrators hear of an API key.
const KEY_ENDS_US: i64 = 7 * DAY_US;
/// A key that was not used for so long is not in use, and may end unseen.
const KEY_USED_US: i64 = 30 * DAY_US;
/// What was set aside is tried again every hour; what was not since then has gone on.
const SET_ASIDE_US: i64 = 2 * HOUR_US;
/// The most payments, payees or batches told of in one look.
const AT_ONCE: i64 = 500;
/// So many are named in a mail.
const SHOWN: usize = 20;

/// Looks, unless somebody has within ten minutes; how many notices were written.
pub async fn look(app: &App, now: i64) -> Result<usize> {
    let last = outbox::last_told(&mut app.store.read().await?, "watch", "").await?;
    if last.is_some_and(|last| last + LOOKS_US > now) {
        return Ok(0);
    }
    transact!(app, |tx| {
        if !outbox::may_tell(tx, "watch", "", now, now - LOOKS_US).await? {
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

/// What stands as it does for longer than its state may last.
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
    if !ids.is_empty() && outbox::may_tell(tx, notice.as_str(), "", now, now - DAY_US).await? {
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
        if outbox::may_tell(tx, notice.as_str(), about, now, now - DAY_US).await? {
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
        // Told once for each end, so never again about this one.
        if outbox::may_tell(tx, notice.as_str(), &about, now, i64::MIN).await? {
            let detail = json!({"form": form_label(&form), "expires": date(ends - 1)});
            notices.push((notice, payee, detail.to_string()));
        }
    }
    for payee in looks::tax_missing(tx, now, AT_ONCE).await? {
        let notice = Notice::TaxReportNeeded;
        if outbox::may_tell(tx, notice.as_str(), &payee, now, now - ASKED_US).await? {
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

/// A program that stops on the day its key ends is found too late: each end of a key that is in use is told once.
async fn keys_ending(tx: &mut Tx, notices: &mut Notices, now: i64) -> store::Result<()> {
    for key in looks::keys_ending(tx, now, now + KEY_ENDS_US, now - KEY_USED_US, AT_ONCE).await? {
        let (notice, about) = (Notice::ApiKeyEnds, format!("{} {}", key.id, key.ends_at));
        if outbox::may_tell(tx, notice.as_str(), &about, now, i64::MIN).await? {
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

/// Two payments that end at the same moment may each see the other under way, so a batch's end is also looked for.
async fn ended_batches(tx: &mut Tx, notices: &mut Notices, now: i64) -> store::Result<()> {
    for batch in looks::ended_batches(tx, AT_ONCE).await? {
        if outbox::may_tell(tx, Notice::BatchFinal.as_str(), &batch, now, i64::MIN).await? {
            notices.push((Notice::BatchFinal, batch, "{}".to_owned()));
        }
    }
    Ok(())
}

/// What does not tie between a vendor and the books is told once, all of a look in one mail.
async fn untied(tx: &mut Tx, notices: &mut Notices, now: i64) -> store::Result<()> {
    let notice = Notice::ReconciliationOpen;
    let mut new = Vec::new();
    for (case, about) in reconciliation::untold_tasks(tx, notice.as_str(), AT_ONCE).await? {
        if outbox::may_tell(tx, notice.as_str(), &about, now, i64::MIN).await? {
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
