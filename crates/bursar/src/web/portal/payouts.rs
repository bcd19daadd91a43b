//! Payments to a partner or, for a partner administrator, to anyone in their company: the list, and a payment's page with
//! status, reason, covered rewards, and when the vendor was last asked and what it said.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use serde::Deserialize;

use payout::eligibility::{Code, Who};
use payout::ids::RewardId;
use payout::ledger::Payee;
use payout::money::{Money, Vendor};
use payout::reason::explain_at;
use payout::transaction::Status;

use super::blockers::Reason;
use super::layout::{Frame, MenuItem, OnBehalfOf, PartnerContext, day, moment};
use super::words::Amount;
use super::{PARTNERS, failed, years};
use crate::app::App;
use crate::store::transactions::{self, Filter, Transaction};
use crate::store::{Db, StoreError, payees, rewards};
use crate::web::kit::form::{ListQuery, encode_cursor};
use crate::web::kit::format::{Chip, status_chip};
use crate::web::kit::problem::Problem;
use crate::web::kit::route::{Route, get};

pub fn routes() -> Vec<Route> {
    vec![get("/portal/payouts", PARTNERS, list), get("/portal/payouts/{number}", PARTNERS, show)]
}

/// A payment, as a table row.
pub struct Row {
    /// `PT-000977`.
    pub number: String,
    pub day: String,
    /// The amount sent to the vendor.
    pub amount: Amount,
    pub chip: Chip,
    pub told: &'static str,
    /// Whether the status chip needs no further explanation.
    pub plain: bool,
    pub vendor: &'static str,
    pub destination: String,
    /// The payee, if it is not the partner.
    pub payee: Option<String>,
}

impl Row {
    /// A payment in the partner's language.
    pub fn of(context: &PartnerContext, one: &Transaction, name: Option<&str>) -> Self {
        let t = context.t();
        let status = one.state.status();
        let own = one.terms.payee == Payee::Partner(context.partner.id);
        // Texts that say *your* do not fit a colleague's payment.
        let theirs = is_a_colleagues(context, one);
        Self {
            number: one.label(),
            day: day(one.created_at),
            amount: context.cash(one.given()),
            chip: Chip { words: t.status(status), ..status_chip(status) },
            told: match (theirs, one.closed()) {
                (true, _) => "",
                (false, true) => t.is_closed,
                (false, false) => t.meaning(one.state),
            },
            plain: theirs || (status == Status::Success && !one.closed()),
            vendor: one.terms.vendor.label(),
            destination: one.destination.masked(),
            payee: name.filter(|_| !own).map(str::to_owned),
        }
    }
}

/// Whether a payment arrived, by its vendor or another way. Only then is there anything to state.
pub fn was_paid(one: &Transaction) -> bool {
    one.outside.is_some() || one.state.status() == Status::Success
}

/// Whether a payment goes to somebody else in the company the partner administers.
fn is_a_colleagues(context: &PartnerContext, one: &Transaction) -> bool {
    !context.payees().iter().any(|(_, payee)| *payee == one.terms.payee)
}

/// The newest payments to some payees.
pub async fn newest(
    db: &mut Db,
    context: &PartnerContext,
    of: &[String],
    after: Option<String>,
    limit: i64,
) -> Result<Vec<Row>, Problem> {
    let filter = Filter { payees: Some(of.to_vec()), after, ..Filter::default() };
    let found = transactions::list(db, &filter, limit).await?;
    let ids: Vec<Payee> = found.iter().map(|one| one.terms.payee).collect();
    let names = payees::names(db, &ids).await?;
    let name = |one: &Transaction| names.get(&one.terms.payee).map(|named| named.name.clone());
    Ok(found.iter().map(|one| Row::of(context, one, name(one).as_deref())).collect())
}

/// The payees whose payments the partner may see.
pub async fn looked_after(db: &mut Db, context: &PartnerContext) -> Result<Vec<String>, Problem> {
    Ok(payees::of_partner(db, context.partner.id, context.administers()).await?)
}

#[derive(Template)]
#[template(path = "portal/payouts.html")]
struct PayoutsPage {
    frame: Frame,
    under: String,
    /// For a partner administrator: the addresses of their own and the company's payments, and of colleagues' payments, and
    /// whether the latter are shown.
    tabs: Option<(String, String, bool)>,
    rows: Vec<Row>,
    years: Vec<(String, String, bool)>,
    /// The years for which there are statements.
    statements: Vec<String>,
    next: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListParams {
    of: Option<String>,
    /// The calendar year to show; all years if `None`.
    year: Option<String>,
}

async fn list(
    State(app): State<App>,
    context: PartnerContext,
    ListQuery(params, paging): ListQuery<ListParams>,
) -> Result<Response, Problem> {
    let mut db = app.store.read().await?;
    let own: Vec<String> = context.payees().iter().map(|(_, payee)| payee.to_string()).collect();
    let others = context.administers() && params.of.as_deref() == Some("others");
    let theirs = if others {
        let all = looked_after(&mut db, &context).await?;
        all.into_iter().filter(|one| !own.contains(one)).collect()
    } else {
        own
    };
    let after = paging.after_parts::<1>()?.map(|[id]| id);
    let year = years::named(params.year.as_deref())?;
    let span = year.as_ref().map(|(_, from, to)| (*from, *to));
    let (from, to) = (span.map(|(from, _)| from), span.map(|(_, to)| to));
    let filter = Filter { payees: Some(theirs), after, from, to, ..Filter::default() };
    let mut found = transactions::list(&mut db, &filter, paging.limit + 1).await?;
    let limit = usize::try_from(paging.limit).unwrap_or(usize::MAX);
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| more);
    let next = next.map(|last| {
        let of = if others { "of=others&" } else { "" };
        let year = year.as_ref().map(|(year, ..)| format!("year={year}&")).unwrap_or_default();
        format!("/portal/payouts?{of}{year}after={}", encode_cursor(&[&last.id.to_string()]))
    });
    let ids: Vec<Payee> = found.iter().map(|one| one.terms.payee).collect();
    let names = payees::names(&mut db, &ids).await?;
    let name = |one: &Transaction| names.get(&one.terms.payee).map(|named| named.name.clone());
    let now = app.clock.now();
    let here = if others { "/portal/payouts?of=others" } else { "/portal/payouts" };
    let t = context.t();
    let named = |words: &str| words.replace("{company}", &context.account.name);
    let page = PayoutsPage {
        under: match (context.administers(), others) {
            (false, _) => t.payouts_under.to_owned(),
            (true, false) => named(t.payouts_own),
            (true, true) => named(t.payouts_others),
        },
        tabs: context.administers().then(|| (named(t.tab_own), named(t.tab_others), others)),
        frame: context.frame(context.t().payouts, MenuItem::Payouts),
        rows: found.iter().map(|one| Row::of(&context, one, name(one).as_deref())).collect(),
        years: years::year_links(&context, now, here, year.as_ref().map(|(year, ..)| year.as_str())),
        // Statements cover only their own payments.
        statements: if others { Vec::new() } else { years::known(&context, now) },
        next,
    };
    context.show(&page)
}

/// A payment by its number, if the partner may see it.
///
/// # Errors
/// 404 for anything else.
pub async fn one_of_theirs(
    db: &mut Db,
    context: &PartnerContext,
    number: &str,
) -> Result<Transaction, Problem> {
    let found = match transactions::find(db, number).await {
        Ok(found) => found,
        Err(StoreError::Missing) => return Err(Problem::missing()),
        Err(error) => return Err(error.into()),
    };
    let theirs = looked_after(db, context).await?;
    if theirs.contains(&found.terms.payee.to_string()) { Ok(found) } else { Err(Problem::missing()) }
}

/// A reward that a payment covers.
pub struct Line {
    /// `RW-000231`.
    pub number: String,
    pub activity: String,
    pub owner: String,
    pub amount: Amount,
}

pub async fn covered(db: &mut Db, context: &PartnerContext, of: &Transaction) -> Result<Vec<Line>, Problem> {
    let rows = transactions::covered(db, of.id).await?;
    let ids: Vec<RewardId> = rows.iter().filter_map(|row| RewardId::parse(&row.id)).collect();
    let named = rewards::named(db, &ids).await?;
    let line = |row: &transactions::CoveredReward| {
        let reward = named.iter().find(|reward| reward.entered.number == row.number);
        Line {
            number: format!("RW-{:06}", row.number),
            activity: reward.map(|reward| reward.activity.name.clone()).unwrap_or_default(),
            owner: reward.map(|reward| reward.owner.name.clone()).unwrap_or_default(),
            amount: context.cash(Money::new(row.amount_minor, of.terms.amount.currency)),
        }
    };
    Ok(rows.iter().map(line).collect())
}

/// The gross amount and the fee, if the payee bears the fee.
pub fn fee(context: &PartnerContext, of: &Transaction) -> Option<(Amount, Amount)> {
    (of.given() != of.terms.amount).then(|| (context.cash(of.terms.amount), context.cash(of.fee)))
}

/// Why a payment is in its state.
struct StatusReason {
    /// Of a colleague's payment: who is addressed by it.
    told: Option<String>,
    message: String,
    remedy: String,
    who: String,
}

/// The reason in the words of the payee. `name` is theirs if the payment is a colleague's.
fn why(
    context: &PartnerContext,
    of: &Transaction,
    (moved_on, name): (bool, Option<&str>),
) -> Option<StatusReason> {
    let t = context.t();
    let code = of.reason.as_ref().map(|reason| reason.code.clone()).or_else(|| of.waiting.clone())?;
    let whose = if of.terms.payee == Payee::Partner(context.partner.id) {
        OnBehalfOf::Me
    } else {
        OnBehalfOf::Company
    };
    if moved_on && explain_at(&code, of.state).who == Who::Partner {
        // They have changed their destination since, so the rest is up to us.
        let (message, remedy) = context.language.blocker(Code::DestinationChanged);
        let who = Reason::who(Who::Payer, whose, t).to_owned();
        let told = name.map(|name| t.told_them.replace("{name}", name));
        return Some(StatusReason { told, message, remedy, who });
    }
    let (message, remedy) = context.language.reason(&code);
    let who = explain_at(&code, of.state).who;
    Some(StatusReason {
        told: name.map(|name| t.told_them.replace("{name}", name)),
        message,
        remedy,
        who: match name.filter(|_| who == Who::Partner) {
            Some(name) => t.who_them.replace("{name}", name),
            None => Reason::who(who, whose, t).to_owned(),
        },
    })
}

/// The vendor's status word from the recorded answer; the rest of it is in English and for our own people.
fn word_of(said: &str, vendor: Vendor) -> Option<&str> {
    let word = said.strip_prefix(vendor.label())?.strip_prefix(" says ")?;
    (!word.contains(' ')).then_some(word)
}

#[derive(Template)]
#[template(path = "portal/payout.html")]
struct PayoutPage {
    frame: Frame,
    row: Row,
    reason: Option<StatusReason>,
    /// Whether there is a statement of it.
    paid: bool,
    /// When the vendor was last asked, and its status word, if it gave one.
    asked: Option<(String, Option<String>)>,
    ask_at: Option<String>,
    fee: Option<(Amount, Amount)>,
    arrived: Option<String>,
    outside: Option<(String, String)>,
    covered: Vec<Line>,
}

async fn show(
    State(app): State<App>,
    context: PartnerContext,
    Path(number): Path<String>,
) -> Result<Response, Problem> {
    let mut db = app.store.read().await?;
    let one = one_of_theirs(&mut db, &context, &number).await?;
    let names = payees::names(&mut db, &[one.terms.payee]).await?;
    let name = names.get(&one.terms.payee).map(|named| named.name.as_str());
    let profile = payees::profile_of(&mut db, one.terms.payee).await?;
    let moved_on = failed::moved_on(&one, profile.as_ref().map(|profile| &profile.destination));
    let under_way = !one.state.settled() && !one.closed();
    let succeeded = one.state.status() == Status::Success;
    let page = PayoutPage {
        frame: context.frame(one.label(), MenuItem::Payouts),
        row: Row::of(&context, &one, name),
        reason: why(&context, &one, (moved_on, name.filter(|_| is_a_colleagues(&context, &one))))
            .filter(|_| !one.closed() && !succeeded),
        paid: was_paid(&one),
        asked: one.asked.clone().filter(|_| under_way).map(|(at, said)| {
            let word = word_of(&said, one.terms.vendor).map(str::to_owned);
            (moment(at), word)
        }),
        ask_at: one.ask_at.filter(|_| under_way).map(moment),
        fee: fee(&context, &one),
        arrived: one.settled_at.filter(|_| succeeded).map(day),
        outside: one.outside.clone().map(|(_, on, reference)| (on, reference)),
        covered: covered(&mut db, &context, &one).await?,
    };
    context.show(&page)
}
