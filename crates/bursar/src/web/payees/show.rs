//! One payee, a partner or a company: standing, destination and its history, tax report, payments of a year, and every
//! reason why they cannot be paid now. Not here: the forms (`forms`).

use askama::Template;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use payout::access::Permission;
use payout::eligibility::{Code, PayeeStanding};
use payout::ledger::Payee;
use payout::money::Vendor;

use super::list::{profile_chip, standing_chip, tax_chip};
use crate::app::App;
use crate::clock;
use crate::ops::tax::{self as taxes, YearView};
use crate::ops::{settings, why};
use crate::store::directory::{ProfileState, TaxState};
use crate::store::found::{self, Holds};
use crate::store::payees::{self, Profile};
use crate::store::programs::{self, RecordRef};
use crate::store::tax::{CountedLater, Filed};
use crate::store::transactions::Filter;
use crate::store::{self, Db, clawbacks};
use crate::web::kit::clawbacks::ClawbackRow;
use crate::web::kit::form::Query;
use crate::web::kit::format::{
    BlockerSummary, Cash, Chip, ReturnedTotals, Summed, When, address, how_many, summarize_by_subject, when,
};
use crate::web::kit::history::{self, Line};
use crate::web::kit::layout::{Frame, MenuItem, PageContext};
use crate::web::kit::problem::Problem;
use crate::web::kit::route::{Access, Route, get};
use crate::web::payments;

pub fn routes() -> Vec<Route> {
    let reads = Access::May(Permission::Read);
    vec![get("/partners/{id}", reads, partner), get("/accounts/{id}", reads, account)]
}

/// How many changes, payments and audit rows the page shows.
const SHOWN: i64 = 10;

struct Person {
    name: String,
    external_id: String,
    country: Option<String>,
    email: Option<String>,
    language: Option<String>,
    /// A partner's company: its id and name.
    company: Option<(String, String)>,
    of_company: PayeeStanding,
    own: PayeeStanding,
    note: Option<String>,
    is_company: bool,
}

struct ProfilePart {
    vendor: &'static str,
    masked: String,
    chip: Chip,
    why_not: Option<String>,
    warning: Option<String>,
    currencies: Option<String>,
    set: When,
    changed: Option<When>,
    waits_until: Option<When>,
    checked: Option<When>,
    /// The other payees with the same destination: names and addresses.
    shared_with: Vec<(String, String)>,
}

/// A change of the destination.
struct DestinationChangeRow {
    at: When,
    who: String,
    came_from: String,
    old: Option<String>,
    new: String,
}

struct TaxPart {
    form: &'static str,
    chip: Chip,
    name: String,
    signed_on: String,
    tin: Option<String>,
    last_day: Option<String>,
    filed: When,
    by: String,
    /// Whether it is a form for payees of another country.
    misfit: bool,
}

/// A year's payments: by whom, paid, returned, net, and the part of that which is not yet at the bank.
type YearRow = (&'static str, Summed, ReturnedTotals, Summed, Option<Summed>);

struct YearPart {
    year: i32,
    rows: Vec<YearRow>,
    reportable: Summed,
    line: Cash,
    over: bool,
    others: Vec<i32>,
    /// Payments counted in another year than they were sent in: number, amount, sent, counted.
    late: Vec<(String, Cash, When, When)>,
}

/// The input of a refused form.
#[derive(Clone, Default)]
pub struct FormInput {
    /// `stripe` or `paypal`.
    pub vendor: String,
    pub address: String,
    /// The name on the tax form.
    pub name: String,
    pub signed_on: String,
    /// The error shown at the top of the page.
    pub wrong: Option<String>,
    /// The form that stays open: `profile` or `tax`.
    pub open: &'static str,
}

/// A claim that a payout left out.
struct SkippedClaimRow {
    batch: String,
    at: When,
    total: Cash,
    whys: Vec<&'static str>,
}

#[derive(Template)]
#[template(path = "payees/show.html")]
struct PayeePage {
    frame: Frame,
    id: String,
    person: Person,
    standing: Chip,
    /// Found payments: those that a vendor has and this database does not, because it was restored.
    found: Vec<Holds>,
    /// Why they cannot be paid now, and how much is waiting.
    whys: Vec<BlockerSummary>,
    /// Whether everything unpaid is in a draft or a payment.
    under_way: bool,
    /// What comes next, if nothing is blocked.
    next: String,
    waiting: String,
    sums: Vec<Summed>,
    /// Clawbacks still to be deducted from their claims.
    taken: Vec<ClawbackRow>,
    profile: Option<ProfilePart>,
    changes: Vec<DestinationChangeRow>,
    tax: Option<TaxPart>,
    year: YearPart,
    tracking: bool,
    payments: Vec<payments::Row>,
    passed: Vec<SkippedClaimRow>,
    history: Vec<Line>,
    typed: FormInput,
    today: String,
    may_manage: bool,
    may_reveal: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ShowParams {
    /// The calendar year of the totals.
    year: Option<String>,
}

async fn partner(
    State(app): State<App>,
    context: PageContext,
    Path(id): Path<String>,
    Query(params): Query<ShowParams>,
) -> Result<Response, Problem> {
    let mut db = app.store.read().await?;
    let found = programs::partner(&mut db, RecordRef::Either(&id)).await?.ok_or_else(Problem::missing)?;
    show(&mut db, &app, &context, Payee::Partner(found.id), params.year.as_deref(), FormInput::default())
        .await
}

async fn account(
    State(app): State<App>,
    context: PageContext,
    Path(id): Path<String>,
    Query(params): Query<ShowParams>,
) -> Result<Response, Problem> {
    let mut db = app.store.read().await?;
    let found = programs::account(&mut db, RecordRef::Either(&id)).await?.ok_or_else(Problem::missing)?;
    show(&mut db, &app, &context, Payee::Account(found.id), params.year.as_deref(), FormInput::default())
        .await
}

/// The page of a payee, with the input of a refused form.
///
/// # Errors
/// If there is no such payee or year.
pub async fn show(
    db: &mut Db,
    app: &App,
    context: &PageContext,
    payee: Payee,
    year: Option<&str>,
    typed: FormInput,
) -> Result<Response, Problem> {
    let now = app.clock.now();
    let person = person(db, payee).await?;
    let facts = payees::facts(db, &[payee]).await?.remove(&payee).ok_or_else(Problem::missing)?;
    let rules = settings::load(db).await?;
    let why = why::of_payee(db, payee, now).await?;
    let filter = Filter { payees: Some(vec![payee.to_string()]), ..Filter::default() };
    let payments = store::transactions::list(db, &filter, SHOWN).await?;
    let profile = payees::profile_of(db, payee).await?;
    let filed = store::tax::of(db, payee).await?;
    let year = taxes::year_view(db, payee, taxes::requested_year(year, now)?).await?;
    let late = match taxes::year(year.year) {
        Some(span) => store::tax::late(db, payee, &span).await?,
        None => Vec::new(),
    };
    let status = if typed.wrong.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let page = PayeePage {
        frame: context.frame(person.name.clone(), MenuItem::Partners),
        id: payee.to_string(),
        standing: standing_chip(facts.standing),
        found: found::holding(db, payee).await?,
        next: why.next().1,
        under_way: why
            .blockers
            .iter()
            .all(|one| matches!(one.code, Code::RewardInBatch | Code::RewardInFlight)),
        whys: summarize_by_subject(&why.blockers),
        waiting: match why.taken_back {
            0 => how_many(why.waiting, "approved reward waits", "approved rewards wait"),
            taken => format!(
                "{}, less {},",
                how_many(why.waiting, "approved reward waits", "approved rewards wait"),
                how_many(taken, "clawback", "clawbacks"),
            ),
        },
        sums: why.sums.into_iter().map(Cash).collect(),
        taken: clawbacks::open_of(db, payee).await?.into_iter().map(ClawbackRow::of).collect(),
        profile: match &profile {
            Some(profile) => Some(profile_part(db, profile, rules.cooling_off_us(), now).await?),
            None => None,
        },
        changes: changes(db, payee).await?,
        tax: match filed {
            Some(filed) => Some(tax_part(db, filed, person.country.as_deref(), now).await?),
            None => None,
        },
        year: year_part(&year, taxes::year_of(now), late),
        tracking: rules.us_tax_tracking,
        payments: payments::rows(db, payments).await?,
        passed: passed(db, payee).await?,
        history: history::of(db, &payee.to_string(), SHOWN).await?,
        typed,
        today: clock::date(now),
        may_manage: context.may(Permission::ManagePartners),
        may_reveal: context.may(Permission::Administer),
        person,
    };
    Ok((status, context.show(&page)?).into_response())
}

async fn person(db: &mut Db, payee: Payee) -> Result<Person, Problem> {
    let id = payee.to_string();
    match payee {
        Payee::Partner(_) => {
            let found = programs::partner(db, RecordRef::Either(&id)).await?.ok_or_else(Problem::missing)?;
            let of = found.account.0.to_string();
            let company =
                programs::account(db, RecordRef::Either(&of)).await?.ok_or_else(Problem::missing)?;
            Ok(Person {
                name: found.name,
                external_id: found.external_id,
                country: found.country,
                email: Some(found.email),
                language: found.language,
                of_company: company.standing,
                company: Some((of, company.name)),
                own: found.standing,
                note: found.note,
                is_company: false,
            })
        }
        Payee::Account(_) => {
            let found = programs::account(db, RecordRef::Either(&id)).await?.ok_or_else(Problem::missing)?;
            Ok(Person {
                name: found.name,
                external_id: found.external_id,
                country: found.country,
                email: found.owner_email,
                language: None,
                company: None,
                of_company: PayeeStanding::Active,
                own: found.standing,
                note: found.note,
                is_company: true,
            })
        }
    }
}

async fn profile_part(
    db: &mut Db,
    profile: &Profile,
    cooling_off_us: i64,
    now: i64,
) -> Result<ProfilePart, Problem> {
    let state = match (profile.shared, profile.payable_at) {
        (true, _) => ProfileState::Shared,
        (false, Some(_)) => ProfileState::Ready,
        (false, None) => ProfileState::NotReady,
    };
    let sharing = payees::sharing(db, profile.payee).await?;
    let names = payees::names(db, &sharing).await?;
    let named =
        |payee: &Payee| (names.get(payee).map(|one| one.name.clone()).unwrap_or_default(), address(*payee));
    let until = profile.changed_at.map(|at| at.saturating_add(cooling_off_us));
    let currencies = profile.currencies.as_ref().map(|list| match list.len() {
        0 => "no bank account in any currency".to_owned(),
        1..=12 => list.iter().map(|one| one.code()).collect::<Vec<_>>().join(", "),
        many => format!("{many} currencies"),
    });
    Ok(ProfilePart {
        vendor: profile.destination.vendor().label(),
        masked: profile.destination.masked(),
        chip: profile_chip(state),
        why_not: profile.not_payable_why.clone(),
        warning: profile.destination.warning(),
        currencies,
        set: When(profile.set_at),
        changed: when(profile.changed_at),
        waits_until: when(until.filter(|until| now < *until)),
        checked: when(profile.checked_at),
        shared_with: sharing.iter().map(named).collect(),
    })
}

async fn changes(db: &mut Db, payee: Payee) -> Result<Vec<DestinationChangeRow>, Problem> {
    let found = payees::changes(db, payee, SHOWN).await?;
    let names = history::names(db, found.iter().map(|change| change.actor.as_str())).await?;
    let moved = |change: payees::DestinationChange| DestinationChangeRow {
        at: When(change.at),
        who: names.get(&change.actor).cloned().unwrap_or_default(),
        came_from: change.came_from.unwrap_or_else(|| "an unknown place".to_owned()),
        old: change.old,
        new: change.new,
    };
    Ok(found.into_iter().map(moved).collect())
}

/// The payouts that left them out, newest first.
async fn passed(db: &mut Db, payee: Payee) -> Result<Vec<SkippedClaimRow>, Problem> {
    let found = store::claims::skipped_of(db, payee, None, SHOWN).await?;
    let line = |one: store::claims::Skipped| SkippedClaimRow {
        batch: one.number,
        at: When(one.at),
        total: Cash(one.total),
        whys: one.codes.into_iter().map(Code::message).collect(),
    };
    Ok(found.into_iter().map(line).collect())
}

async fn tax_part(db: &mut Db, filed: Filed, country: Option<&str>, now: i64) -> Result<TaxPart, Problem> {
    let expired = filed.expires_at.is_some_and(|end| end <= now);
    let by = history::names(db, std::iter::once(filed.filed.1.as_str())).await?;
    Ok(TaxPart {
        form: filed.form.label(),
        chip: tax_chip(if expired { TaxState::Expired } else { TaxState::OnFile }),
        name: filed.name,
        signed_on: filed.signed_on,
        tin: filed.masked_tin,
        last_day: filed.expires_at.map(|end| clock::date(end - 1)),
        filed: When(filed.filed.0),
        by: by.get(&filed.filed.1).cloned().unwrap_or_default(),
        misfit: !filed.form.fits(filed.payee, country),
    })
}

fn year_part(view: &YearView, this_year: i32, late: Vec<CountedLater>) -> YearPart {
    let row = |total: &store::tax::Total| {
        let way = total.vendor.map_or("Outside Bursar", Vendor::label);
        let going = Some(total.to_bank).filter(|sum| sum.minor != 0).map(Cash);
        (way, Cash(total.paid), ReturnedTotals::of(total.back), Cash(total.net()), going)
    };
    YearPart {
        year: view.year,
        rows: view.totals.iter().map(row).collect(),
        reportable: Cash(view.reportable),
        line: Cash(view.line),
        over: view.over(),
        late: late
            .into_iter()
            .map(|one| {
                (format!("PT-{:06}", one.number), Cash(one.net), When(one.sent_at), When(one.counted_at))
            })
            .collect(),
        others: (this_year - 2..=this_year).rev().filter(|year| *year != view.year).collect(),
    }
}

impl PayeePage {
    fn path(&self) -> String {
        let kind = if self.person.is_company { "accounts" } else { "partners" };
        format!("/{kind}/{}", self.id)
    }

    fn vendor_typed(&self, vendor: &Vendor) -> bool {
        self.typed.vendor == vendor.as_str()
    }

    /// The other standings they can be given: form value, button label, button style.
    fn standing_actions(&self) -> Vec<(&'static str, &'static str, &'static str)> {
        let all = [
            ("active", "Take off hold", "first"),
            ("on_hold", "Put on hold", ""),
            ("closed", "Close", "bad"),
        ];
        let opening = ("active", "Open again", "first");
        let others = all.into_iter().filter(|(word, ..)| *word != self.person.own.as_str());
        let closed = self.person.own == PayeeStanding::Closed;
        others.map(|deed| if closed && deed.0 == "active" { opening } else { deed }).collect()
    }

    fn company_words(&self) -> &'static str {
        match self.person.of_company {
            PayeeStanding::Active => "active",
            PayeeStanding::OnHold => "on hold",
            PayeeStanding::Closed => "closed",
        }
    }

    /// Their company, if its standing holds them, too.
    fn by_company(&self) -> Option<&(String, String)> {
        self.person.company.as_ref().filter(|_| self.person.of_company != PayeeStanding::Active)
    }

    fn shared(&self) -> bool {
        self.profile.as_ref().is_some_and(|profile| !profile.shared_with.is_empty())
    }
}
