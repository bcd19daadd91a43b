//! The filters of `/api/v1/rewards` and of exports, in a query string and in the body of a bulk decision. Not here: the
//! page's filters (`filter`).

use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use payout::money::{Currency, Money};
use payout::reward::{PaymentType, RewardType, Shown};

use crate::app::Actor;
use crate::ops::import::points;
use crate::ops::partners::visible;
use crate::store::rewards::{Filter, Sort, View, Window};
use crate::web::kit::form::Paging;
use crate::web::kit::json::{expiry, moment, money_error};
use crate::web::kit::problem::{FieldError, Problem};
use crate::web::kit::shapes;

/// The filters of a list of rewards.
#[derive(Clone, Debug, Default, Deserialize, IntoParams, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RewardFilter {
    #[schema(value_type = Option<ViewName>)]
    #[param(value_type = Option<ViewName>, inline)]
    pub view: Option<String>,
    /// One status, or several separated by commas
    #[schema(value_type = Option<shapes::RewardStatuses>)]
    #[param(value_type = Option<shapes::RewardStatuses>, inline)]
    pub status: Option<String>,
    /// The partner, by ID or external ID
    pub owner: Option<String>,
    /// The account, by ID or external ID
    pub account: Option<String>,
    /// The program, by ID or external ID
    pub program: Option<String>,
    /// The activity, by ID or external ID
    pub activity: Option<String>,
    /// The batch, by id or number
    pub batch: Option<String>,
    #[schema(value_type = Option<shapes::RewardType>)]
    #[param(value_type = Option<shapes::RewardType>, inline)]
    pub r#type: Option<String>,
    #[schema(value_type = Option<shapes::PaymentType>)]
    #[param(value_type = Option<shapes::PaymentType>, inline)]
    pub payment_type: Option<String>,
    /// Three capital letters
    #[schema(value_type = Option<shapes::CurrencyCode>)]
    #[param(value_type = Option<shapes::CurrencyCode>, inline)]
    pub currency: Option<String>,
    /// At least this value: a decimal, which needs `currency`, or points with `type=points`
    #[schema(value_type = Option<shapes::DecimalAmount>)]
    #[param(value_type = Option<shapes::DecimalAmount>, inline)]
    pub value_min: Option<String>,
    /// At most this value
    #[schema(value_type = Option<shapes::DecimalAmount>)]
    #[param(value_type = Option<shapes::DecimalAmount>, inline)]
    pub value_max: Option<String>,
    /// A date, or an RFC 3339 timestamp
    #[schema(value_type = Option<shapes::DayOrMoment>)]
    #[param(value_type = Option<shapes::DayOrMoment>, inline)]
    pub created_from: Option<String>,
    /// A date, including the whole day, or an RFC 3339 timestamp
    #[schema(value_type = Option<shapes::DayOrMoment>)]
    #[param(value_type = Option<shapes::DayOrMoment>, inline)]
    pub created_to: Option<String>,
    /// A date, or an RFC 3339 timestamp
    #[schema(value_type = Option<shapes::DayOrMoment>)]
    #[param(value_type = Option<shapes::DayOrMoment>, inline)]
    pub expires_from: Option<String>,
    /// A date, including the whole day, or an RFC 3339 timestamp
    #[schema(value_type = Option<shapes::DayOrMoment>)]
    #[param(value_type = Option<shapes::DayOrMoment>, inline)]
    pub expires_to: Option<String>,
    /// When it was approved, rejected or voided: a date, or an RFC 3339 timestamp
    #[schema(value_type = Option<shapes::DayOrMoment>)]
    #[param(value_type = Option<shapes::DayOrMoment>, inline)]
    pub decided_from: Option<String>,
    /// A date, including the whole day, or an RFC 3339 timestamp
    #[schema(value_type = Option<shapes::DayOrMoment>)]
    #[param(value_type = Option<shapes::DayOrMoment>, inline)]
    pub decided_to: Option<String>,
    /// A number or external id
    pub q: Option<String>,
}

/// The views, by query value: which rewards, and whether only those that pass every gate, or do not.
const VIEWS: [(&str, View, Option<bool>); 8] = [
    ("pending", View::Pending, None),
    ("all", View::All, None),
    ("eligible", View::Pool, Some(true)),
    ("not_eligible", View::Pool, Some(false)),
    ("in_payout", View::InPayout, None),
    ("paid", View::Paid, None),
    ("rejected", View::Rejected, None),
    ("expiring", View::Expiring, None),
];

/// The sort orders, by query value, and whether each is descending.
const SORTS: [(&str, Sort, bool); 6] = [
    ("-created_at", Sort::CreatedAt, true),
    ("created_at", Sort::CreatedAt, false),
    ("number", Sort::Number, false),
    ("-number", Sort::Number, true),
    ("value", Sort::Value, false),
    ("-value", Sort::Value, true),
];

shapes::shapes! {
    ViewName, "Which rewards: one of the lists that there are on the page." => shapes::one_of(VIEWS.iter().map(|it| it.0));
    SortName, "By what, and with a minus from the most on; `-created_at` when not named." => shapes::one_of(SORTS.iter().map(|it| it.0));
}

/// The sort order of a list of rewards, for the API description.
#[derive(IntoParams)]
#[allow(dead_code, reason = "it is read by the description only; the list takes the word from its paging")]
pub struct RewardSort {
    /// `-created_at` (the default), `created_at`, `number`, `-number`, `value` or `-value`
    #[param(value_type = Option<SortName>, inline)]
    sort: Option<String>,
}

/// The rows of the list that a page shows.
///
/// # Errors
/// An unknown sort order, or an `after` of another sort order.
pub fn window(paging: &Paging) -> Result<Window, Problem> {
    let word = sort_word(paging);
    let known = || unknown("sort", &SORTS.map(|it| it.0).join(", "));
    let (_, sort, descending) = SORTS.into_iter().find(|it| it.0 == word).ok_or_else(known)?;
    let after = match paging.after_parts::<3>()? {
        None => None,
        Some([of, key, id]) => {
            let stale =
                || field("after", "invalid", "This page belongs to another sort; begin without `after`.");
            Some((key.parse().ok().filter(|_| of == word).ok_or_else(stale)?, id))
        }
    };
    Ok(Window { sort, descending, after, limit: paging.limit })
}

/// The query value of the sort order; newest first by default.
pub fn sort_word(paging: &Paging) -> &str {
    paging.sort.as_deref().unwrap_or("-created_at")
}

impl RewardFilter {
    /// The filter, and whether only rewards that pass every gate (or do not) are wanted.
    ///
    /// # Errors
    /// The first invalid parameter.
    pub fn read(&self, actor: &Actor) -> Result<(Filter, Option<bool>), Problem> {
        let (view, eligible) = view(self.view.as_deref())?;
        let filter = Filter {
            view,
            visible: visible(actor),
            statuses: statuses(self.status.as_deref())?,
            owner: self.owner.clone(),
            account: self.account.clone(),
            program: self.program.clone(),
            activity: self.activity.clone(),
            batch: self.batch.clone(),
            reward_type: spelled("type", self.r#type.as_deref(), RewardType::parse, "cash, points")?,
            payment_type: spelled(
                "payment_type",
                self.payment_type.as_deref(),
                PaymentType::parse,
                "individual, organization",
            )?,
            currency: self.currency()?.map(|currency| currency.code().to_owned()),
            value_min: self.value("value_min", self.value_min.as_deref())?,
            value_max: self.value("value_max", self.value_max.as_deref())?,
            created_from: from("/created_from", self.created_from.as_deref())?,
            created_before: before("/created_to", self.created_to.as_deref())?,
            // An expiry is stored as the end of its last day.
            expires_from: from("/expires_from", self.expires_from.as_deref())?.map(|at| at + 1),
            expires_before: before("/expires_to", self.expires_to.as_deref())?.map(|at| at + 1),
            decided_from: from("/decided_from", self.decided_from.as_deref())?,
            decided_before: before("/decided_to", self.decided_to.as_deref())?,
            q: self.q.as_deref().map(str::trim).filter(|q| !q.is_empty()).map(str::to_owned),
        };
        Ok((filter, eligible))
    }

    fn currency(&self) -> Result<Option<Currency>, Problem> {
        let parse = |code: &str| {
            Currency::parse(code).map_err(|error| Problem::field(money_error("/currency".to_owned(), error)))
        };
        self.currency.as_deref().map(parse).transpose()
    }

    /// A bound in minor units of the currency, or in points. Without either it counts in hundredths.
    fn value(&self, name: &str, text: Option<&str>) -> Result<Option<i64>, Problem> {
        let Some(text) = text else { return Ok(None) };
        if text.bytes().all(|digit| digit == b'0') {
            return Ok(Some(0));
        }
        let minor = match (self.r#type.as_deref(), self.currency()?) {
            (Some("points"), _) => points(text),
            (_, Some(currency)) => Money::parse(text, currency).map(|money| money.minor),
            (_, None) => {
                Currency::parse("USD").and_then(|usd| Money::parse(text, usd)).map(|money| money.minor)
            }
        };
        minor.map(Some).map_err(|error| Problem::field(money_error(format!("/{name}"), error)))
    }
}

fn from(pointer: &str, at: Option<&str>) -> Result<Option<i64>, Problem> {
    at.map(|at| moment(at, pointer)).transpose().map_err(Problem::field)
}

fn before(pointer: &str, at: Option<&str>) -> Result<Option<i64>, Problem> {
    at.map(|at| expiry(at, pointer)).transpose().map_err(Problem::field)
}

fn view(word: Option<&str>) -> Result<(View, Option<bool>), Problem> {
    let word = word.unwrap_or("all");
    let known = || unknown("view", &VIEWS.map(|it| it.0).join(", "));
    let (_, view, eligible) = VIEWS.into_iter().find(|it| it.0 == word).ok_or_else(known)?;
    Ok((view, eligible))
}

fn statuses(words: Option<&str>) -> Result<Vec<Shown>, Problem> {
    let known = || unknown("status", &Shown::ALL.iter().map(|it| it.as_str()).collect::<Vec<_>>().join(", "));
    words
        .into_iter()
        .flat_map(|words| words.split(','))
        .map(|word| Shown::parse(word).ok_or_else(known))
        .collect()
}

fn spelled<T>(
    name: &str,
    word: Option<&str>,
    parse: fn(&str) -> Option<T>,
    known: &str,
) -> Result<Option<T>, Problem> {
    word.map(|word| parse(word).ok_or_else(|| unknown(name, known))).transpose()
}

fn unknown(name: &str, known: &str) -> Problem {
    field(name, "unknown_value", &format!("This is not one of: {known}."))
}

fn field(name: &str, code: &'static str, detail: &str) -> Problem {
    Problem::field(FieldError { pointer: format!("/{name}"), code, detail: detail.to_owned() })
}
