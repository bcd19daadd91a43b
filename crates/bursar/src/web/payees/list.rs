//! Partners: everyone who can be paid, people and companies, with what determines whether they can. One payee is in `show`.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;

use payout::access::Permission;
use payout::eligibility::PayeeStanding;
use payout::ledger::Payee;
use payout::money::{Sum, Vendor};

use crate::app::App;
use crate::store::directory::{self, Filter, HeldBy, PayeeRow, ProfileState, Sort, TaxState};
use crate::store::programs::{self, RecordRef};
use crate::web::kit::facet::{Facet, Facets, Typed};
use crate::web::kit::form::{ListQuery, Pager, encode_cursor};
use crate::web::kit::format::{Cash, Chip, ShortTime, Summed, address, count};
use crate::web::kit::layout::{Frame, MenuItem, PageContext};
use crate::web::kit::problem::Problem;
use crate::web::kit::route::{Access, Route, get};
use crate::web::kit::sort::{First, Head};

pub fn routes() -> Vec<Route> {
    vec![get("/partners", Access::May(Permission::Read), list)]
}

/// No count goes higher than this.
const MOST_COUNTED: i64 = 10_000;
/// The sums that a row shows; further currencies are counted.
const OWED: usize = 2;

/// The chip of a standing.
pub fn standing_chip(standing: PayeeStanding) -> Chip {
    match standing {
        PayeeStanding::Active => Chip { tone: "fine", words: "Active" },
        PayeeStanding::OnHold => Chip { tone: "warn", words: "On hold" },
        PayeeStanding::Closed => Chip { tone: "bad", words: "Closed" },
    }
}

/// The chip of a payout profile.
pub fn profile_chip(state: ProfileState) -> Chip {
    match state {
        ProfileState::Missing => Chip { tone: "", words: "Not chosen" },
        ProfileState::NotReady => Chip { tone: "warn", words: "Not ready" },
        ProfileState::Shared => Chip { tone: "bad", words: "Shared" },
        ProfileState::Ready => Chip { tone: "fine", words: "Ready" },
    }
}

/// The chip of a tax report.
pub fn tax_chip(state: TaxState) -> Chip {
    match state {
        TaxState::Missing => Chip { tone: "", words: "None" },
        TaxState::Expired => Chip { tone: "warn", words: "Out of date" },
        TaxState::OnFile => Chip { tone: "fine", words: "On file" },
    }
}

/// An option: its value in the query string, and its label.
type Choice = (&'static str, &'static str);

/// A select: its name, label, options, and the selected value.
type Select = (&'static str, &'static str, &'static [Choice], String);

const STANDINGS: [Choice; 3] = [("active", "Active"), ("on_hold", "On hold"), ("closed", "Closed")];
const PROFILES: [Choice; 4] =
    [("missing", "Not chosen"), ("not_ready", "Not ready"), ("shared", "Shared"), ("ready", "Ready")];
const VENDORS: [Choice; 2] = [("stripe", "Stripe"), ("paypal", "PayPal")];
const TAXES: [Choice; 3] = [("missing", "None"), ("expired", "Out of date"), ("on_file", "On file")];

/// The filters and their labels.
const FILTERS: [Choice; 7] = [
    ("q", "Begins with"),
    ("account", "Account"),
    ("country", "Country"),
    ("vendor", "Paid through"),
    ("profile", "Payout profile"),
    ("tax", "Tax report"),
    ("standing", "Standing"),
];

/// The label of an option.
fn label_of<'a>(choices: &[Choice], value: &'a str) -> &'a str {
    choices.iter().find(|(known, _)| *known == value).map_or(value, |(_, words)| *words)
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct ListParams {
    /// `companies` for accounts.
    kind: Option<String>,
    q: Option<String>,
    /// A company, by ID or external ID.
    account: Option<String>,
    standing: Option<String>,
    profile: Option<String>,
    tax: Option<String>,
    /// Two letters, or `none`.
    country: Option<String>,
    vendor: Option<String>,
    #[serde(skip)]
    sort: Option<String>,
}

impl ListParams {
    fn companies(&self) -> bool {
        self.kind.as_deref() == Some("companies")
    }

    /// The sort order as it is asked for, with `-` for descending.
    fn order(&self) -> &str {
        self.sort.as_deref().unwrap_or("name")
    }

    fn sort(&self) -> Result<Sort, String> {
        match self.order() {
            "name" => Ok(Sort::Name),
            "-name" => Ok(Sort::NameBack),
            "-created" => Ok(Sort::Newest),
            "created" => Ok(Sort::Oldest),
            word => Err(format!("There is no sort order “{word}”.")),
        }
    }

    /// The heads of the list: the name and the time of entry each have an index.
    fn heads(&self) -> Vec<Head> {
        let to = |order: &str| self.with("sort", order);
        let account = (!self.companies()).then(|| Head::plain("Account"));
        let first = [Head::sorting("Name", "name", First::Rising, self.order(), to)];
        let rest = [
            Head::plain("Country"),
            Head::plain("Paid through"),
            Head::plain("Owed").right(),
            Head::plain("Payout profile"),
            Head::plain("Tax report"),
            Head::plain("Standing"),
            Head::sorting("Added", "created", First::Falling, self.order(), to),
        ];
        first.into_iter().chain(account).chain(rest).collect()
    }

    fn is_filtered(&self) -> bool {
        let words =
            [&self.q, &self.account, &self.standing, &self.profile, &self.tax, &self.country, &self.vendor];
        words.iter().any(|word| word.is_some())
    }

    fn pairs(&self) -> Vec<(&'static str, &str)> {
        let words = [
            ("kind", &self.kind),
            ("q", &self.q),
            ("account", &self.account),
            ("country", &self.country),
            ("vendor", &self.vendor),
            ("profile", &self.profile),
            ("tax", &self.tax),
            ("standing", &self.standing),
            ("sort", &self.sort),
        ];
        words.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?))).collect()
    }

    /// The hidden fields that keep the other parameters when a form is submitted.
    fn besides(&self, names: &[&str]) -> Vec<(&'static str, &str)> {
        self.pairs().into_iter().filter(|(name, _)| !names.contains(name)).collect()
    }

    /// The address with one filter replaced.
    fn with(&self, name: &str, value: &str) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(self.besides(&[name])).append_pair(name, value);
        format!("/partners?{}", query.finish())
    }

    fn address(&self, without: &[&str]) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(self.besides(without));
        format!("/partners?{}", query.finish()).trim_end_matches('?').to_owned()
    }

    /// The address without any filter.
    fn cleared(&self) -> String {
        self.address(&FILTERS.map(|(name, _)| name))
    }

    /// The active filters, each with the address that removes it.
    fn on(&self, account: Option<&str>) -> Vec<(String, String)> {
        let label = |name: &str| FILTERS.iter().find(|(known, _)| *known == name).map(|(_, words)| *words);
        let on = self.pairs().into_iter().filter_map(|(name, value)| {
            let words = match name {
                "account" => account.unwrap_or(value),
                "country" if value == "none" => "Not known",
                "country" => payout::country::name(value).unwrap_or(value),
                "vendor" => label_of(&VENDORS, value),
                "profile" => label_of(&PROFILES, value),
                "tax" => label_of(&TAXES, value),
                "standing" => label_of(&STANDINGS, value),
                _ => value,
            };
            Some((format!("{}: {words}", label(name)?), self.address(&[name])))
        });
        on.collect()
    }

    /// The filter for the database, or the invalid value.
    fn filter(&self, now: i64, after: Option<(String, String)>) -> Result<Filter, String> {
        let odd = |word: &str| format!("There is no filter value “{word}”.");
        let standing = self.standing.as_deref().map(|word| PayeeStanding::parse(word).ok_or(odd(word)));
        let profile = self.profile.as_deref().map(|word| match word {
            "missing" => Ok(ProfileState::Missing),
            "not_ready" => Ok(ProfileState::NotReady),
            "shared" => Ok(ProfileState::Shared),
            "ready" => Ok(ProfileState::Ready),
            word => Err(odd(word)),
        });
        let tax = self.tax.as_deref().map(|word| match word {
            "missing" => Ok(TaxState::Missing),
            "expired" => Ok(TaxState::Expired),
            "on_file" => Ok(TaxState::OnFile),
            word => Err(odd(word)),
        });
        let vendor = self.vendor.as_deref().map(|word| Vendor::parse(word).ok_or(odd(word)));
        Ok(Filter {
            companies: self.companies(),
            q: self.q.clone(),
            country: self.country.as_deref().map(|word| if word == "none" { "" } else { word }.to_owned()),
            vendor: vendor.transpose()?,
            sort: self.sort()?,
            account: self.account.clone(),
            standing: standing.transpose()?,
            profile: profile.transpose()?,
            tax: tax.transpose()?,
            after,
            now,
        })
    }
}

struct Row {
    address: String,
    name: String,
    external_id: String,
    account: Option<(String, String)>,
    country: String,
    destination: Option<(&'static str, String)>,
    owed: Vec<Summed>,
    /// How many further currencies they are owed.
    further: usize,
    profile: Chip,
    tax: Chip,
    form: &'static str,
    standing: Chip,
    /// What puts them on hold, if there is no note.
    held_by: &'static str,
    entered: ShortTime,
}

impl Row {
    fn of(listed: PayeeRow, owed: &[Sum], now: i64) -> Self {
        let profile = match (&listed.destination, listed.shared, listed.payable) {
            (None, _, _) => ProfileState::Missing,
            (Some(_), true, _) => ProfileState::Shared,
            (Some(_), false, true) => ProfileState::Ready,
            (Some(_), false, false) => ProfileState::NotReady,
        };
        let tax = match listed.tax {
            None => TaxState::Missing,
            Some((_, Some(end))) if end <= now => TaxState::Expired,
            Some(_) => TaxState::OnFile,
        };
        let is_partner = matches!(listed.payee, Payee::Partner(_));
        Self {
            address: address(listed.payee),
            name: listed.name,
            external_id: listed.external_id,
            account: is_partner.then_some(listed.account),
            country: listed.country.unwrap_or_default(),
            destination: listed.destination.map(|(vendor, masked)| (Vendor::label(vendor), masked)),
            owed: owed.iter().take(OWED).map(|sum| Cash(*sum)).collect(),
            further: owed.len().saturating_sub(OWED),
            profile: profile_chip(profile),
            tax: tax_chip(tax),
            form: listed.tax.map_or("", |(form, _)| form.label()),
            standing: standing_chip(listed.standing),
            held_by: match listed.held_by {
                Some(HeldBy::Company) => "their company",
                Some(HeldBy::Found) => "by a payment under Safe mode",
                Some(HeldBy::Shared) => "by a shared destination",
                None => "",
            },
            entered: ShortTime(listed.created_at),
        }
    }
}

impl ListPage {
    fn country(&self, code: &str) -> bool {
        self.ask.country.as_deref() == Some(code)
    }
}

#[derive(Template)]
#[template(path = "payees/list.html")]
struct ListPage {
    frame: Frame,
    ask: ListParams,
    /// The filters, to be added one at a time.
    facets: Facets,
    selects: Vec<Select>,
    countries: Vec<String>,
    on: Vec<(String, String)>,
    may_manage: bool,
    problem: Option<String>,
    heads: Vec<Head>,
    rows: Vec<Row>,
    turn: Pager,
    narrowed: bool,
}

async fn list(
    State(app): State<App>,
    context: PageContext,
    ListQuery(mut params, paging): ListQuery<ListParams>,
) -> Result<Response, Problem> {
    params.sort.clone_from(&paging.sort);
    let now = app.clock.now();
    let after = paging.after_parts::<2>()?.map(|[name, id]| (name, id));
    let mut db = app.store.read().await?;
    let limit = usize::try_from(paging.limit).unwrap_or(usize::MAX);
    let (mut found, of, problem) = match params.filter(now, after) {
        Ok(filter) => {
            let found = directory::list(&mut db, &filter, paging.limit + 1).await?;
            let of = match found.len() > limit {
                true => Some(directory::count(&mut db, &filter, MOST_COUNTED + 1).await?),
                false => None,
            };
            (found, of, None)
        }
        Err(problem) => (Vec::new(), None, Some(problem)),
    };
    let of =
        of.map(
            |all| if all > MOST_COUNTED { format!("more than {}", count(MOST_COUNTED)) } else { count(all) },
        );
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| more).map(|last| {
        let by_age = matches!(params.sort(), Ok(Sort::Newest | Sort::Oldest));
        let place = if by_age { last.created_at.to_string() } else { last.name.clone() };
        encode_cursor(&[&place, &last.payee.to_string()])
    });
    let account = match &params.account {
        Some(id) => programs::account(&mut db, RecordRef::Either(id)).await?.map(|account| account.name),
        None => None,
    };
    let payees: Vec<Payee> = found.iter().map(|listed| listed.payee).collect();
    let owed = directory::owed(&mut db, &payees, now).await?;
    let row = |listed: PayeeRow| {
        let owed = owed.get(&listed.payee).map_or(&[][..], Vec::as_slice);
        Row::of(listed, owed, now)
    };
    let countries = directory::countries(&mut db, params.companies()).await?;
    let page = ListPage {
        frame: context.frame("Partners", MenuItem::Partners),
        facets: facets(&params, &countries),
        countries,
        on: params.on(account.as_deref()),
        may_manage: context.may(Permission::ManagePartners),
        selects: selects(&params),
        problem,
        heads: params.heads(),
        rows: found.into_iter().map(row).collect(),
        turn: paging.turn(payees.len(), next.as_deref(), of.as_deref()),
        narrowed: params.is_filtered(),
        ask: params,
    };
    context.show(&page)
}

fn selects(params: &ListParams) -> Vec<Select> {
    let chosen = |word: &Option<String>| word.clone().unwrap_or_default();
    vec![
        ("vendor", "Paid through", &VENDORS, chosen(&params.vendor)),
        ("profile", "Payout profile", &PROFILES, chosen(&params.profile)),
        ("tax", "Tax report", &TAXES, chosen(&params.tax)),
        ("standing", "Standing", &STANDINGS, chosen(&params.standing)),
    ]
}

/// The filters, to be added one at a time.
fn facets(params: &ListParams, countries: &[String]) -> Facets {
    let link = |name: &str, value: &str, words: &str| (words.to_owned(), params.with(name, value));
    let choices = |(name, words, choices, _): Select| {
        Facet::links(words, choices.iter().map(|(value, words)| link(name, value, words)).collect::<Vec<_>>())
    };
    let mut facets: Vec<Facet> = selects(params).into_iter().map(choices).collect();
    let name = |code: &str| payout::country::name(code).unwrap_or(code).to_owned();
    let known = countries.iter().map(|code| link("country", code, &name(code)));
    facets.push(Facet::links("Country", known.chain([link("country", "none", "Not known")])));
    if !params.companies() {
        let account = vec![Typed::of("account", "Account", "text", &params.account, "External id")];
        facets.push(Facet::typed("Account", account));
    }
    Facets::of(facets, params.besides(&[]))
}
