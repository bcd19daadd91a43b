//! The query string of the rewards list: view, filters, sort order. An invalid filter is not guessed at: the page says so
//! and shows no rows.

use serde::Deserialize;

use payout::money::{Currency, Money};
use payout::reward::{PaymentType, RewardType, Shown};

use crate::clock;
use crate::ops::rewards::{self as verbs, PoolPage};
use crate::store::Db;
use crate::store::programs::{self, Filter as Catalogue, RecordRef};
use crate::store::rewards::{self, Filter, Sort, View, Window};
use crate::web::kit::problem::Problem;

/// The views, with their labels.
pub const VIEWS: [(&str, &str); 8] = [
    ("pending", "Pending Rewards"),
    ("all", "All Rewards"),
    ("eligible", "Approved – eligible"),
    ("not_eligible", "Approved – not eligible yet"),
    ("in_payout", "In a payout"),
    ("paid", "Paid"),
    ("rejected", "Rejected"),
    ("expiring", "Expiring in 30 days"),
];

const DAY_US: i64 = 86_400_000_000;

/// The query string of the list.
#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FilterParams {
    view: Option<String>,
    /// The sort order, with `-` for descending.
    pub sort: Option<String>,
    /// A number, or an external id.
    pub q: Option<String>,
    /// The owner: an id, or a name.
    pub owner: Option<String>,
    /// Their company: an id, or a name.
    pub account: Option<String>,
    /// The program: an id, or a name.
    pub program: Option<String>,
    /// The activity: an id, or a name.
    pub activity: Option<String>,
    /// `cash` or `points`.
    #[serde(rename = "type")]
    pub reward_type: Option<String>,
    /// `individual` or `organization`.
    pub payment_type: Option<String>,
    /// Three capital letters.
    pub currency: Option<String>,
    /// The minimum value, in that currency.
    pub value_min: Option<String>,
    /// The maximum value, in that currency.
    pub value_max: Option<String>,
    /// The statuses as shown to people.
    pub status: Vec<String>,
    /// Created on this day or later.
    pub created_from: Option<String>,
    /// Created on this day or earlier.
    pub created_to: Option<String>,
    /// Expiring at the end of this day or later.
    pub expires_from: Option<String>,
    /// Expiring at the end of this day or earlier.
    pub expires_to: Option<String>,
    /// Approved, rejected or voided on this day or later.
    pub decided_from: Option<String>,
    /// Approved, rejected or voided on this day or earlier.
    pub decided_to: Option<String>,
    /// The batch's number.
    pub batch: Option<String>,
    /// The columns to show.
    pub columns: Vec<String>,
    /// The saved view this is.
    pub saved: Option<String>,
}

/// The parameters that affect only how the list looks, not what is in it.
const LOOKS: [&str; 4] = ["view", "sort", "columns", "saved"];

/// The resolved query string.
#[derive(Default)]
pub struct ResolvedFilter {
    /// The filter for the database.
    pub filter: Filter,
    /// The active filters in words, each with the address that removes it.
    pub on: Vec<(String, String)>,
    /// The invalid parameters.
    pub problems: Vec<String>,
    /// Candidates for an ambiguous name, each with its address.
    pub candidates: Vec<(String, String)>,
}

/// A page of the list.
pub async fn listed(
    db: &mut Db,
    params: &FilterParams,
    filter: &Filter,
    window: &Window,
    now: i64,
) -> Result<PoolPage, Problem> {
    if let Some(eligible) = params.eligible() {
        return Ok(verbs::pool(db, filter, window, eligible, now).await?);
    }
    let listed = rewards::list(db, filter, window, now).await?;
    let rows = listed.rewards.into_iter().map(|reward| (reward, Vec::new())).collect();
    Ok(PoolPage { rows, next: listed.next, looked_at: listed.looked_at })
}

/// A sort order by its name, and whether it is descending.
fn ordered(order: &str) -> (Option<Sort>, bool) {
    let (name, descending) = order.strip_prefix('-').map_or((order, false), |name| (name, true));
    let sort = match name {
        "number" => Some(Sort::Number),
        "value" => Some(Sort::Value),
        "created_at" => Some(Sort::CreatedAt),
        _ => None,
    };
    (sort, descending)
}

impl FilterParams {
    /// The view: name and label.
    pub fn view(&self) -> (&'static str, &'static str) {
        let asked = self.view.as_deref().unwrap_or("pending");
        VIEWS.into_iter().find(|(view, _)| *view == asked).unwrap_or(VIEWS[0])
    }

    /// The sort order as it is asked for, with `-` for descending.
    pub fn order(&self) -> &str {
        self.sort.as_deref().unwrap_or("-created_at")
    }

    /// The sort order, and whether it is descending.
    pub fn sort(&self) -> (Sort, bool) {
        let (sort, descending) = ordered(self.order());
        (sort.unwrap_or(Sort::CreatedAt), descending || sort.is_none())
    }

    /// The message about a sort order that does not exist.
    pub fn unknown_order(&self) -> Option<String> {
        let (sort, _) = ordered(self.order());
        sort.is_none().then(|| format!("There is no sort order “{}”.", self.order()))
    }

    /// Whether only eligible, or only ineligible, rewards are requested; `None` for other views.
    pub fn eligible(&self) -> Option<bool> {
        match self.view().0 {
            "eligible" => Some(true),
            "not_eligible" => Some(false),
            _ => None,
        }
    }

    /// The address without any filter.
    pub fn cleared(&self) -> String {
        let filters = self.pairs().into_iter().filter(|(name, _)| !LOOKS.contains(name));
        let filters: Vec<(&str, &str)> = filters.map(|(name, _)| (name, "")).collect();
        self.address(&filters)
    }

    /// Whether any filter is active.
    pub fn is_narrowed(&self) -> bool {
        self.pairs().iter().any(|(name, _)| !LOOKS.contains(name))
    }

    /// How many filters are active.
    pub fn filters(&self) -> usize {
        self.pairs().iter().filter(|(name, _)| !LOOKS.contains(name)).count()
    }

    /// The hidden fields that keep the other parameters when a form of the list is submitted.
    pub fn besides(&self, names: &[&str]) -> Vec<(&'static str, &str)> {
        let pairs = self.pairs().into_iter();
        pairs.filter(|(name, _)| *name != "saved" && !names.contains(name)).collect()
    }

    /// The parameters about the list's look only, for a form that sets all others.
    pub fn looks(&self) -> Vec<(&'static str, &str)> {
        let pairs = self.pairs().into_iter();
        pairs.filter(|(name, _)| LOOKS.contains(name) && !["saved", "view"].contains(name)).collect()
    }

    /// The saved view requested in place of a built-in one.
    pub fn opens(&self) -> Option<&str> {
        self.view.as_deref().filter(|view| view.starts_with("sv_"))
    }

    /// All parameters, by name.
    fn pairs(&self) -> Vec<(&'static str, &str)> {
        let single = [
            ("view", &self.view),
            ("q", &self.q),
            ("owner", &self.owner),
            ("account", &self.account),
            ("program", &self.program),
            ("activity", &self.activity),
            ("type", &self.reward_type),
            ("payment_type", &self.payment_type),
            ("currency", &self.currency),
            ("value_min", &self.value_min),
            ("value_max", &self.value_max),
            ("created_from", &self.created_from),
            ("created_to", &self.created_to),
            ("expires_from", &self.expires_from),
            ("expires_to", &self.expires_to),
            ("decided_from", &self.decided_from),
            ("decided_to", &self.decided_to),
            ("batch", &self.batch),
            ("sort", &self.sort),
            ("saved", &self.saved),
        ];
        let single = single.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?)));
        let several = self.status.iter().map(|status| ("status", status.as_str()));
        let columns = self.columns.iter().map(|column| ("columns", column.as_str()));
        single.chain(several).chain(columns).collect()
    }

    /// The query string with some parameters replaced; an empty value removes a parameter. The result is no longer the
    /// saved view, unless only the page differs.
    pub fn query(&self, otherwise: &[(&str, &str)]) -> String {
        self.query_without(otherwise, None)
    }

    fn query_without(&self, otherwise: &[(&str, &str)], without: Option<(&str, &str)>) -> String {
        let turned = without.is_none() && otherwise.iter().all(|(name, _)| *name == "after");
        let mut text = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in self.pairs() {
            let said = otherwise.iter().any(|(other, _)| *other == name) || without == Some((name, value));
            if !said && (turned || name != "saved") {
                text.append_pair(name, value);
            }
        }
        for (name, value) in otherwise.iter().filter(|(_, value)| !value.is_empty()) {
            text.append_pair(name, value);
        }
        // A query string may contain commas unescaped, which shortens the column list in every row's link.
        text.finish().replace("%2C", ",")
    }

    /// The query string to save in a view: everything but the view's own id.
    pub fn kept(&self) -> String {
        self.query(&[("saved", "")])
    }

    /// The list's address with some parameters replaced.
    pub fn address(&self, otherwise: &[(&str, &str)]) -> String {
        format!("/rewards?{}", self.query(otherwise))
    }

    /// Resolves the query string for the database.
    pub async fn resolve(&self, db: &mut Db) -> Result<ResolvedFilter, Problem> {
        let mut narrowed = ResolvedFilter::default();
        narrowed.filter.view = match self.view().0 {
            "pending" => View::Pending,
            "eligible" | "not_eligible" => View::Pool,
            "in_payout" => View::InPayout,
            "paid" => View::Paid,
            "rejected" => View::Rejected,
            "expiring" => View::Expiring,
            _ => View::All,
        };
        narrowed.filter.q.clone_from(&self.q);
        narrowed.filter.batch.clone_from(&self.batch);
        self.read_words(&mut narrowed);
        self.read_values(&mut narrowed);
        self.read_dates(&mut narrowed);
        narrowed.filter.owner = self.find(db, &mut narrowed, FilterSubject::Owner).await?;
        narrowed.filter.account = self.find(db, &mut narrowed, FilterSubject::Account).await?;
        narrowed.filter.program = self.find(db, &mut narrowed, FilterSubject::Program).await?;
        narrowed.filter.activity = self.find(db, &mut narrowed, FilterSubject::Activity).await?;
        for (name, value) in self.pairs().into_iter().filter(|(name, _)| !LOOKS.contains(name)) {
            let words = format!("{}: {}", label(name), in_words(name, value));
            let address = format!("/rewards?{}", self.query_without(&[], Some((name, value))));
            narrowed.on.push((words, address));
        }
        Ok(narrowed)
    }

    fn read_words(&self, narrowed: &mut ResolvedFilter) {
        fn known<T>(
            narrowed: &mut ResolvedFilter,
            what: &str,
            word: Option<&String>,
            parse: fn(&str) -> Option<T>,
        ) -> Option<T> {
            let word = word?;
            let parsed = parse(word);
            if parsed.is_none() {
                narrowed.problems.push(format!("There is no {what} “{word}”."));
            }
            parsed
        }
        narrowed.filter.reward_type =
            known(narrowed, "reward type", self.reward_type.as_ref(), RewardType::parse);
        narrowed.filter.payment_type =
            known(narrowed, "payment type", self.payment_type.as_ref(), PaymentType::parse);
        for status in &self.status {
            let status = known(narrowed, "status", Some(status), Shown::parse);
            narrowed.filter.statuses.extend(status);
        }
        let currency = |code: &str| Currency::parse(code).ok();
        narrowed.filter.currency = known(narrowed, "currency", self.currency.as_ref(), currency)
            .map(|currency| currency.code().to_owned());
    }

    fn read_values(&self, narrowed: &mut ResolvedFilter) {
        if self.value_min.is_none() && self.value_max.is_none() {
            return;
        }
        let currency = self.currency.as_deref().and_then(|code| Currency::parse(code).ok());
        let Some(currency) = currency else {
            let message = "Name the currency beside a value: amounts are not compared across currencies.";
            return narrowed.problems.push(message.to_owned());
        };
        let mut minor = |text: &Option<String>| {
            let text = text.as_deref()?;
            match Money::parse(text, currency) {
                Ok(money) => Some(money.minor),
                Err(error) => {
                    narrowed.problems.push(format!("“{text}”: {}", error.sentence()));
                    None
                }
            }
        };
        let (least, most) = (minor(&self.value_min), minor(&self.value_max));
        (narrowed.filter.value_min, narrowed.filter.value_max) = (least, most);
    }

    fn read_dates(&self, narrowed: &mut ResolvedFilter) {
        let mut day = |text: &Option<String>| {
            let text = text.as_deref()?;
            let usual = format!("“{text}” is not a date; write it like 2026-07-19.");
            clock::day(text, &usual).map_err(|told| narrowed.problems.push(told)).ok()
        };
        let created = (day(&self.created_from), day(&self.created_to));
        let expires = (day(&self.expires_from), day(&self.expires_to));
        let decided = (day(&self.decided_from), day(&self.decided_to));
        let filter = &mut narrowed.filter;
        let end = |day: Option<i64>| day.map(|start| start + DAY_US);
        (filter.created_from, filter.created_before) = (created.0, end(created.1));
        // An expiry is stored as the start of the next day.
        (filter.expires_from, filter.expires_before) =
            (expires.0.map(|at| at + 1), end(expires.1).map(|at| at + 1));
        (filter.decided_from, filter.decided_before) = (decided.0, end(decided.1));
    }

    /// Finds a record by id, or by a unique name.
    async fn find(
        &self,
        db: &mut Db,
        narrowed: &mut ResolvedFilter,
        thing: FilterSubject,
    ) -> Result<Option<String>, Problem> {
        let (name, what) = thing.names();
        let asked = self.pairs().into_iter().find(|(other, _)| *other == name);
        let Some(text) = asked.map(|(_, value)| value.to_owned()) else { return Ok(None) };
        if thing.is_known(db, &text).await? {
            return Ok(Some(text));
        }
        // A full name is found by an index; a partial one needs a scan.
        let exactly = Catalogue { name: Some(text.clone()), limit: 11, ..Catalogue::default() };
        let mut found = thing.all(db, &exactly).await?;
        if found.is_empty() {
            let part = Catalogue { q: Some(text), limit: 11, ..Catalogue::default() };
            found = thing.all(db, &part).await?;
        }
        Ok(self.resolve_name(narrowed, name, what, found))
    }

    fn resolve_name(
        &self,
        narrowed: &mut ResolvedFilter,
        name: &str,
        what: &str,
        found: Vec<(String, String, String)>,
    ) -> Option<String> {
        let asked = self.pairs().into_iter().find(|(other, _)| *other == name).map_or("", |(_, value)| value);
        match found.as_slice() {
            [(id, ..)] => Some(id.clone()),
            [] => {
                narrowed.problems.push(format!("No {what} has the id or the name “{asked}”."));
                None
            }
            several => {
                narrowed.problems.push(format!("Several {what}s match “{asked}”. Which one?"));
                for (_, words, external_id) in several.iter().take(10) {
                    let address = self.address(&[(name, external_id)]);
                    narrowed.candidates.push((format!("{words} ({external_id})"), address));
                }
                None
            }
        }
    }
}

/// A record type that rewards can be filtered by.
#[derive(Clone, Copy)]
enum FilterSubject {
    Owner,
    Account,
    Program,
    Activity,
}

impl FilterSubject {
    /// The query parameter, and the label.
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Owner => ("owner", "partner"),
            Self::Account => ("account", "account"),
            Self::Program => ("program", "program"),
            Self::Activity => ("activity", "reward activity"),
        }
    }

    async fn is_known(self, db: &mut Db, id: &str) -> Result<bool, Problem> {
        Ok(match self {
            Self::Owner => programs::partner(db, RecordRef::Either(id)).await?.is_some(),
            Self::Account => programs::account(db, RecordRef::Either(id)).await?.is_some(),
            Self::Program => programs::program(db, RecordRef::Either(id)).await?.is_some(),
            Self::Activity => programs::activity(db, RecordRef::Either(id)).await?.is_some(),
        })
    }

    /// The id, name and external id of each match.
    async fn all(self, db: &mut Db, filter: &Catalogue) -> Result<Vec<(String, String, String)>, Problem> {
        macro_rules! of {
            ($found:expr) => {
                $found.into_iter().map(|one| (one.id.to_string(), one.name, one.external_id)).collect()
            };
        }
        Ok(match self {
            Self::Owner => of!(programs::partners(db, filter).await?),
            Self::Account => of!(programs::accounts(db, filter).await?),
            Self::Program => of!(programs::programs(db, filter).await?),
            Self::Activity => of!(programs::activities(db, filter).await?),
        })
    }
}

/// The value of a filter, in words.
fn in_words(name: &str, value: &str) -> String {
    let words = match name {
        "type" => RewardType::parse(value).map(RewardType::label),
        "payment_type" => PaymentType::parse(value).map(PaymentType::label),
        "status" => Shown::parse(value).map(Shown::label),
        _ => None,
    };
    words.unwrap_or(value).to_owned()
}

fn label(name: &str) -> &'static str {
    match name {
        "q" => "Number or id",
        "owner" => "Owner",
        "account" => "Account",
        "program" => "Program",
        "activity" => "Reward Activity",
        "type" => "Reward Type",
        "payment_type" => "Payment Type",
        "currency" => "Currency",
        "value_min" => "Value from",
        "value_max" => "Value to",
        "created_from" => "Created from",
        "created_to" => "Created to",
        "expires_from" => "Expires from",
        "expires_to" => "Expires to",
        "decided_from" => "Decided from",
        "decided_to" => "Decided to",
        "status" => "Status",
        "batch" => "Batch",
        _ => "Filter",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_says_again_what_was_asked_and_what_is_asked_otherwise() {
        let params = FilterParams {
            view: Some("all".to_owned()),
            owner: Some("Ana & Bo".to_owned()),
            status: vec!["paid".to_owned(), "approved".to_owned()],
            ..FilterParams::default()
        };
        assert_eq!(params.query(&[]), "view=all&owner=Ana+%26+Bo&status=paid&status=approved");
        assert_eq!(
            params.address(&[("sort", "-value"), ("owner", ""), ("status", "")]),
            "/rewards?view=all&sort=-value"
        );
        assert!(params.is_narrowed() && !FilterParams::default().is_narrowed());
    }

    #[test]
    fn a_value_needs_its_currency() {
        let mut narrowed = ResolvedFilter::default();
        let params = FilterParams { value_min: Some("10".to_owned()), ..FilterParams::default() };
        params.read_values(&mut narrowed);
        assert_eq!((narrowed.problems.len(), narrowed.filter.value_min), (1, None));
        let mut narrowed = ResolvedFilter::default();
        FilterParams { currency: Some("JPY".to_owned()), ..params }.read_values(&mut narrowed);
        assert_eq!((narrowed.problems.len(), narrowed.filter.value_min), (0, Some(10)));
    }
}
