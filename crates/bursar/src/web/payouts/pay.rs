//! Pay: the page that shows exactly what would be paid, and the form that commits to it. The form carries the batch's
//! digest and the totals that were shown, nothing else. If something has changed in the meantime, the same page comes back
//! and says what. After Pay the same address shows the batch's progress (`progress`).

mod entered;
mod payees;

use askama::Template;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use payout::access::Permission;
use payout::eligibility::Code;
use payout::ledger::Payee;
use payout::money::{Currency, Money, Sum, Vendor};
use payout::settings::Settings;
use payout::unusual::Kind;

use super::draft::{
    Row, ThresholdCrossingRow, balances, crossing, is_draft, nets, released, stops, void_since,
};
use super::progress;
use crate::ops::batches as verbs;
use crate::ops::batches::view::{BatchView, ClaimView};
use crate::ops::idempotency::Reply;
use crate::ops::pay::{self, Balances, ConfirmedTotals, Paid};
use crate::ops::shown_draft::{self, Difference, Item, MovedClaim, OfPayee};
use crate::ops::unusual::{self, Unusual};
use crate::ops::{OpsError, settings};
use crate::store::claims::Skipped;
use crate::store::{self, Db};
use crate::web::kit::form::{Form, Key};
use crate::web::kit::format::{BlockerSummary, Cash, Summed, When, how_many, summarize_by_subject};
use crate::web::kit::history;
use crate::web::kit::layout::{Flash, Frame, MenuItem, PageContext};
use crate::web::kit::problem::Problem;
use crate::web::kit::route::{Access, Route, Web, get, post};
use crate::work::ask;

pub fn routes() -> Vec<Route> {
    vec![
        get("/claims/{number}/pay", Access::May(Permission::Read), show),
        post("/claims/{number}/pay", Access::May(Permission::Pay), press).step_up("Pay this payout"),
    ]
}

/// What would be paid through one vendor in one currency.
struct Part {
    vendor: &'static str,
    payments: usize,
    total: Summed,
    fee: Summed,
    net: Summed,
    /// What the vendor takes from our balance: the payments and the fee.
    needed: Summed,
    /// Whether the vendor's fees are known before they are billed.
    fee_known: bool,
    balance: Balance,
    /// How much of the balance is committed to unsent payments.
    promised: Option<Summed>,
}

/// The vendor's balance, as far as known.
enum Balance {
    /// The vendor has no API for it.
    NotTold,
    /// It could not be read.
    Unknown,
    /// It is sufficient: the balance, and what is left afterwards.
    Covers(Cash, Summed),
    /// It is not: the balance, and what is needed.
    Short(Cash, Summed),
}

/// Claims with the same kind of warning.
struct WarningGroup {
    words: &'static str,
    rule: &'static str,
    count: usize,
    rows: Vec<RiskWarning>,
}

/// A warning about one claim.
struct RiskWarning {
    name: String,
    page: String,
    total: Cash,
    why: String,
    at: Option<When>,
}

#[derive(Template)]
#[template(path = "payouts/pay.html")]
struct PayPage {
    frame: Frame,
    number: String,
    told: String,
    parts: Vec<Part>,
    payees: Vec<payees::Group>,
    /// What the vendors are told to pay, by currency: less than the rewards' total if payees bear the fees.
    nets: Vec<Summed>,
    /// The totals as the form sends them back.
    seen: Vec<String>,
    /// The totals that the payer must type.
    to_type: Vec<Sum>,
    digest: String,
    /// Who released its current form, and when; or since when a release is void.
    released: Option<(String, When)>,
    void: Option<When>,
    /// Whether a release is all that is missing, and this person may give it.
    may_release: bool,
    once: String,
    stops: Vec<BlockerSummary>,
    /// Destinations that staff entered and that this payout would be the first to pay.
    entered: entered::Entered,
    /// The warnings about claims, grouped by kind.
    unusual: Vec<WarningGroup>,
    crossing: Vec<ThresholdCrossingRow>,
    blocked: Vec<Row>,
    /// Claims paid below their threshold because of an override.
    overridden: Vec<Row>,
    /// Claims that were removed because they could not be paid: name, total, reasons.
    skipped: Vec<(String, Cash, Vec<BlockerSummary>)>,
    may_prepare: bool,
    fee_note: &'static str,
}

async fn show(
    State(web): State<Web>,
    context: PageContext,
    Path(number): Path<String>,
) -> Result<Response, Problem> {
    let now = web.app.clock.now();
    let mut db = web.app.store.read().await?;
    let batch = crate::store::batches::find(&mut db, &number).await?;
    if !batch.open() {
        return progress::show(&mut db, &context, batch).await;
    }
    let view = verbs::view(&mut db, &number, now).await?;
    drop(db);
    let balances = balances(&web.work, &view).await;
    page(&web, &context, &view, &balances).await
}

/// How many changes of a kind are listed.
const MOST_NAMED: usize = 10;

/// What has changed since it was shown, in sentences.
fn named(of: &Difference) -> Vec<String> {
    let who = |payee: Payee, name: &Option<String>| name.clone().unwrap_or_else(|| payee.to_string());
    let reward = |item: &Item, what: &str| {
        format!("{} of {} ({}) {what}.", item.number, who(item.payee, &item.name), item.adds)
    };
    let added: Vec<String> = of.rewards_added.iter().map(|item| reward(item, "was added")).collect();
    let removed: Vec<String> = of.rewards_removed.iter().map(|item| reward(item, "was removed")).collect();
    let claim = |one: &OfPayee| {
        let name = who(one.payee, &one.name);
        match (one.was, one.now) {
            (Some((was, _)), Some((now, _))) if was != now => {
                format!("{name}: you saw {was}, it is now {now}.")
            }
            (Some((_, was)), Some((_, now))) if was != now => {
                format!("{name}: you saw {was} to be paid, it is now {now}.")
            }
            (Some(_), Some(_)) => format!("{name}: the threshold override was changed."),
            (None, _) => format!("{name} was added to the payout."),
            (_, None) => format!("{name} was removed from the payout."),
        }
    };
    let place = |of: &Option<(Vendor, String)>| {
        of.as_ref().map_or_else(|| "nowhere".to_owned(), |(vendor, at)| format!("{} {at}", vendor.label()))
    };
    let moved = |one: &MovedClaim| {
        let (name, was, now) = (who(one.payee, &one.name), place(&one.was), place(&one.now));
        match was == now {
            true => format!("{name}: the destination changed to another one that is also shown as {now}."),
            false => format!("{name}: the destination changed. You saw {was}, it is now {now}."),
        }
    };
    let claims = of.payees.iter().map(claim).collect();
    let moved = of.destinations.iter().map(moved).collect();
    let mut messages = Vec::new();
    for mut sentences in [moved, claims, added, removed] {
        let more = Vec::len(&sentences).saturating_sub(MOST_NAMED);
        sentences.truncate(MOST_NAMED);
        messages.extend(sentences);
        messages.extend((more > 0).then(|| format!("And {more} more like this.")));
    }
    messages
}

async fn page(
    web: &Web,
    context: &PageContext,
    view: &BatchView,
    balances: &Balances,
) -> Result<Response, Problem> {
    shown_draft::keep(&web.app, view).await;
    let mut db = web.app.store.read().await?;
    let stops = stops(&mut db, context, view, balances, web.app.clock.now()).await?;
    let rewards: usize = view.claims.iter().map(|claim| claim.reward_count).sum();
    let payments = how_many(view.claims.len(), "payment", "payments");
    let blocked = view.claims.iter().filter(|claim| !claim.blockers.is_empty());
    let overridden = view.claims.iter().filter(|claim| claim.overridden.is_some());
    let names = super::draft::names_of_overriders(&mut db, view).await?;
    let (me, now) = (context.actor.id.to_string(), web.app.clock.now());
    let not_the_other = verbs::not_the_other(&mut db, view.batch.id, &me, now).await?;
    let page = PayPage {
        frame: context.frame(format!("Pay {}", view.batch.number), MenuItem::Claims),
        number: view.batch.number.clone(),
        told: format!("{payments} for {}", how_many(rewards, "reward", "rewards")),
        parts: parts(view, balances),
        payees: payees::groups(&view.claims),
        nets: nets(view),
        seen: view.totals.iter().map(ToString::to_string).collect(),
        to_type: to_type(&settings::load(&mut db).await?, &view.totals),
        digest: view.digest.clone(),
        released: released(&mut db, view).await?,
        void: void_since(view),
        may_release: context.may(Permission::Pay)
            && stops.iter().any(|stop| stop.code == Code::ReleaseNeedsOtherPerson)
            && not_the_other.is_none(),
        once: web.app.clock.secret(),
        stops: summarize_by_subject(&stops),
        entered: entered::of(&mut db, view).await?,
        unusual: risk_warnings(&mut db, view, now).await?,
        crossing: crossing(view),
        blocked: blocked.take(50).map(|claim| Row::of(claim, &names)).collect(),
        overridden: overridden.take(50).map(|claim| Row::of(claim, &names)).collect(),
        skipped: skipped(&mut db, view).await?,
        may_prepare: context.may(Permission::Prepare),
        fee_note: fee_note(&mut db).await?,
    };
    context.show(&page)
}

/// The warnings about the claims, by kind.
async fn risk_warnings(db: &mut Db, view: &BatchView, now: i64) -> Result<Vec<WarningGroup>, Problem> {
    let found = unusual::of(db, view, now).await?;
    let name = |payee: Payee| {
        let claim = view.claims.iter().find(|claim| claim.payee == payee);
        claim.and_then(|claim| claim.named.as_ref()).map(|named| named.name.clone()).unwrap_or_default()
    };
    let row = |one: &Unusual| RiskWarning {
        name: name(one.payee),
        page: crate::web::kit::format::address(one.payee),
        total: Cash(one.total),
        why: one.finding.sentence(),
        at: one.finding.at().map(When),
    };
    let alike = |kind: &Kind| {
        let of_kind: Vec<&Unusual> = found.iter().filter(|one| one.finding.kind() == *kind).collect();
        WarningGroup {
            words: kind.label(),
            rule: kind.rule(),
            count: of_kind.len(),
            rows: of_kind.into_iter().take(unusual::SHOWN).map(row).collect(),
        }
    };
    Ok(Kind::ALL.iter().map(alike).filter(|alike| alike.count > 0).collect())
}

/// The claims that the batch left out, without those added again.
async fn skipped(db: &mut Db, view: &BatchView) -> Result<Vec<(String, Cash, Vec<BlockerSummary>)>, Problem> {
    let mut rows = crate::store::claims::skipped_in(db, view.batch.id, 200).await?;
    rows.retain(|row| {
        let again =
            |claim: &ClaimView| (claim.payee, claim.total.currency) == (row.payee, row.total.currency);
        !view.claims.iter().any(again)
    });
    rows.dedup_by_key(|row| (row.payee, row.total.currency));
    let of: Vec<_> = rows.iter().map(|row| row.payee).collect();
    let names = store::payees::names(db, &of).await?;
    let row = |row: Skipped| {
        let name = names.get(&row.payee).map_or_else(String::new, |named| named.name.clone());
        (name, Cash(row.total), row.codes.into_iter().map(BlockerSummary::of).collect())
    };
    Ok(rows.into_iter().take(50).map(row).collect())
}

async fn fee_note(db: &mut Db) -> Result<&'static str, Problem> {
    Ok(match settings::load(db).await?.fees_paid_by {
        payout::batch::FeesPaidBy::Company => "Your company pays the fees. Each payee gets the full amount.",
        payout::batch::FeesPaidBy::Partner => "The payee bears the fee. It is deducted from the payment.",
    })
}

fn parts(view: &BatchView, balances: &Balances) -> Vec<Part> {
    let mut sums: Vec<(Vendor, Currency, usize, [i128; 3])> = Vec::new();
    for claim in &view.claims {
        let Some(vendor) = claim.vendor() else { continue };
        let currency = claim.total.currency;
        let adds = [claim.exact().minor, claim.fee.minor.into(), claim.net.minor.into()];
        match sums.iter_mut().find(|(at, of, ..)| (*at, *of) == (vendor, currency)) {
            Some((.., count, sum)) => {
                *count += 1;
                sum.iter_mut().zip(adds).for_each(|(sum, add)| *sum += add);
            }
            None => sums.push((vendor, currency, 1, adds)),
        }
    }
    sums.sort_by_key(|(vendor, currency, ..)| (*vendor, *currency));
    let short = balances.short(view);
    let part = |(vendor, currency, payments, [total, fee, net]): (Vendor, Currency, usize, [i128; 3])| {
        let sum = |minor| Sum::new(minor, currency);
        let needed = net + fee;
        let lacking = short.iter().find(|one| (one.vendor, one.needed.currency) == (vendor, currency));
        let promised = balances.committed(vendor, currency);
        let balance = match (vendor, balances.of(vendor, currency), lacking) {
            (Vendor::PayPal, None, _) => Balance::NotTold,
            (_, _, Some(short)) => Balance::Short(Cash(short.has), Cash(short.needed)),
            (_, Some(has), None) => {
                let left = i128::from(has.minor) - promised.minor - needed;
                Balance::Covers(Cash(has), Cash(sum(left)))
            }
            (Vendor::Stripe, None, None) => Balance::Unknown,
        };
        // Without a fee table, Stripe's fees are billed separately.
        let fee_known = vendor == Vendor::PayPal || fee > 0;
        let [total, fee, net, needed] = [total, fee, net, needed].map(|minor| Cash(sum(minor)));
        let promised = (promised.minor > 0).then_some(Cash(promised));
        Part { vendor: vendor.label(), payments, total, fee, net, needed, fee_known, balance, promised }
    };
    sums.into_iter().map(part).collect()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PayForm {
    digest: String,
    /// `420.00 USD`, one per currency.
    #[serde(default)]
    total: Vec<String>,
    checked: Option<String>,
    /// The typed totals, one per total that must be typed.
    #[serde(default)]
    typed: Vec<String>,
}

/// Parses the totals that were shown, as the page wrote them.
fn totals(words: &[String]) -> Vec<Sum> {
    let read = |text: &String| {
        let (amount, code) = text.split_once(' ')?;
        let currency = Currency::parse(code).ok()?;
        Money::parse(amount, currency).ok().map(Sum::from)
    };
    words.iter().filter_map(read).collect()
}

/// The totals that the payer must type.
fn to_type(rules: &Settings, totals: &[Sum]) -> Vec<Sum> {
    totals.iter().copied().filter(|total| rules.is_typed(*total)).collect()
}

/// What is wrong with the typed totals, by currency. The amount must equal the total; commas between digits are ignored. If
/// only one total is asked for, its currency may be left out.
fn not_typed(totals: &[Sum], typed: &[String]) -> Vec<String> {
    let means = |text: &String, total: &Sum| {
        let text = text.replace([',', '\u{a0}'], "");
        let (amount, code) = match text.trim().split_once(' ') {
            Some((amount, code)) => (amount, code.trim().to_uppercase()),
            None if totals.len() == 1 => (text.trim(), total.currency.code().to_owned()),
            None => return false,
        };
        code == total.currency.code()
            && Money::parse(amount, total.currency).is_ok_and(|typed| *total == Sum::from(typed))
    };
    let missing = totals.iter().filter(|total| !typed.iter().any(|text| means(text, total)));
    let describe = |total: &Sum| match typed.is_empty() {
        true => format!("{}: type {total}.", total.currency),
        false => format!("{}: the total is {total}, which is not what was typed.", total.currency),
    };
    missing.map(describe).collect()
}

fn paid(paid: &Paid) -> Reply {
    Reply::see_other(format!("/claims/{}/pay", paid.batch.batch.number))
}

async fn press(
    State(web): State<Web>,
    context: PageContext,
    key: Key,
    Path(number): Path<String>,
    Form(sent): Form<PayForm>,
) -> Result<Response, Problem> {
    let here = format!("/claims/{number}/pay");
    if sent.checked.is_none() {
        let message = "Confirm that you have checked the payees and totals. Nothing was paid.";
        return Ok(Flash::bad(message).on(&here));
    }
    let mut db = web.app.store.read().await?;
    let batch = crate::store::batches::find(&mut db, &number).await?;
    let seen = ConfirmedTotals { digest: sent.digest, totals: totals(&sent.total) };
    let wrong = not_typed(&to_type(&settings::load(&mut db).await?, &seen.totals), &sent.typed);
    if batch.open() && !wrong.is_empty() {
        let message = "Type the large totals exactly as shown. Nothing was paid.";
        return Ok(Flash::bad(message).listing(wrong).on(&here));
    }
    drop(db);
    let balances = ask::balances(&web.work).await;
    let once = key.once(paid);
    match pay::pay(&web.app, &context.actor, batch.id, &seen, &balances, once.as_ref()).await {
        Ok(done) => {
            let payments = how_many(done.transactions, "payment is", "payments are");
            let message =
                format!("{number} is being paid: {payments} on the way. This page shows their progress.");
            Ok(Flash::good(message).on(&here))
        }
        Err(error @ (OpsError::Conflict(_) | OpsError::Blocked(_))) => {
            let flash = changed(&web, &number, &seen, Flash::refused(error)?).await?;
            refused(&web, context.telling(flash), &number, &balances).await
        }
        Err(error) => Ok(Flash::refused(error)?.on(&here)),
    }
}

/// What has changed, by currency, and who changed the batch last.
async fn changed(
    web: &Web,
    number: &str,
    seen: &ConfirmedTotals,
    mut flash: Flash,
) -> Result<Flash, Problem> {
    let mut db = web.app.store.read().await?;
    let view = verbs::view(&mut db, number, web.app.clock.now()).await?;
    if !is_draft(view.status) {
        return Ok(flash);
    }
    let mut currencies: Vec<Currency> =
        seen.totals.iter().chain(&view.totals).map(|sum| sum.currency).collect();
    currencies.sort_unstable();
    currencies.dedup();
    let of = |totals: &[Sum], currency| {
        let found = totals.iter().find(|money| money.currency == currency);
        found.map_or_else(|| "nothing".to_owned(), ToString::to_string)
    };
    for currency in currencies {
        let (before, now) = (of(&seen.totals, currency), of(&view.totals, currency));
        if before != now {
            flash.items.push(format!("{currency}: you saw {before}, it is now {now}."));
        }
    }
    if view.digest != seen.digest {
        let now = web.app.clock.now();
        let difference =
            shown_draft::difference(&mut db, view.batch.id, &seen.digest, Some(&seen.totals), now).await?;
        flash.items.extend(named(&difference));
        let (by, at) = &view.batch.changed;
        let names = history::names(&mut db, std::iter::once(by.as_str())).await?;
        let by = names.get(by).map_or("Someone", String::as_str);
        let at = crate::clock::rfc3339(*at);
        flash.items.push(format!(
            "{number} itself was last changed by {by} at {} UTC.",
            at.get(11..16).unwrap_or("")
        ));
    }
    Ok(flash)
}

/// The page in its current state, with the reason why nothing was paid.
async fn refused(
    web: &Web,
    context: PageContext,
    number: &str,
    balances: &Balances,
) -> Result<Response, Problem> {
    let mut db = web.app.store.read().await?;
    let batch = crate::store::batches::find(&mut db, number).await?;
    let page = match batch.open() {
        true => {
            let view = verbs::view(&mut db, number, web.app.clock.now()).await?;
            drop(db);
            page(web, &context, &view, balances).await?
        }
        false => progress::show(&mut db, &context, batch).await?,
    };
    Ok((StatusCode::CONFLICT, page).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typed_total_is_the_total_or_nothing_is_paid() {
        let money = |minor, code| Sum::new(minor, Currency::parse(code).unwrap());
        let (usd, jpy) = (money(1_234_550, "USD"), money(900_000, "JPY"));
        let typed = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        for right in ["12345.50", "12,345.50", "12345.5 usd", " 12,345.50 USD "] {
            assert!(not_typed(&[usd], &typed(&[right])).is_empty(), "{right}");
        }
        for wrong in ["12345", "12345.51", "12345.50 EUR", "", "yes", "1234550", "-12345.50"] {
            assert_eq!(not_typed(&[usd], &typed(&[wrong])).len(), 1, "{wrong}");
        }
        assert_eq!(not_typed(&[usd], &[]), ["USD: type 12345.50 USD."]);
        assert!(not_typed(&[usd, jpy], &typed(&["900000 JPY", "12345.50 USD"])).is_empty());
        assert_eq!(not_typed(&[usd, jpy], &typed(&["900000", "12345.50 USD"])).len(), 1);
        assert!(not_typed(&[], &[]).is_empty());
    }

    #[test]
    fn totals_are_read_as_they_were_written() {
        let money = |minor, code| Sum::new(minor, Currency::parse(code).unwrap());
        let shown = [money(120_000, "USD"), money(1_500, "JPY"), money(1_234, "KWD")];
        let words: Vec<String> = shown.iter().map(ToString::to_string).collect();
        assert_eq!(totals(&words), shown);
        assert_eq!(totals(&["1,200.00 USD".to_owned(), "5".to_owned(), "x USD".to_owned()]), []);
    }
}
