//! What is exported, and how that is stored while the export runs in the background. Every filter field of a list is named
//! here: code with a new field does not compile until the field is stored too, so an export is never silently wider than
//! the list it was requested from.

use payout::ids::{AccountId, BatchId, PartnerId};
use payout::money::Vendor;
use payout::reward::{PaymentType, RewardType, Shown};
use payout::transaction::State;
use serde_json::{Value, json};

use crate::documents::journal::Layout;
use crate::documents::{Format, Heading, Kind, columns};
use crate::store::audit::Filter as AuditFilter;
use crate::store::journal::Filter as JournalFilter;
use crate::store::rewards::{Filter as RewardFilter, Sort, View, Visible};
use crate::store::scope::Scope as Whose;
use crate::store::transactions::Filter as TransactionFilter;

#[derive(Clone, Debug)]
pub enum Scope {
    /// Rewards, in the order of the list.
    Rewards {
        filter: Box<RewardFilter>,
        /// Only rewards that pass every gate, or only those that do not.
        eligible: Option<bool>,
        sort: Sort,
        descending: bool,
    },
    Transactions(Box<TransactionFilter>),
    /// What each payee earned and was paid in a tax year.
    Earnings {
        year: i32,
        whose: Whose,
    },
    Journal {
        filter: JournalFilter,
        layout: Layout,
        /// One entry per day and currency instead of one per journal.
        by_day: bool,
    },
    /// The activity log, newest first.
    Audit(Box<AuditFilter>),
}

/// An export as somebody requested it.
#[derive(Clone, Debug)]
pub struct ExportRequest {
    pub scope: Scope,
    pub format: Format,
    /// Starts a CSV file with the byte-order mark by which Excel recognizes UTF-8.
    pub marked: bool,
    pub columns: Vec<String>,
    /// The filters in words, for people.
    pub filter_summary: String,
}

impl Scope {
    pub fn kind(&self) -> Kind {
        match self {
            Self::Rewards { .. } => Kind::Rewards,
            Self::Transactions(_) => Kind::Transactions,
            Self::Earnings { .. } => Kind::Earnings,
            Self::Journal { .. } => Kind::Journal,
            Self::Audit(_) => Kind::Audit,
        }
    }

    pub fn headings(&self) -> Vec<Heading> {
        match self {
            Self::Journal { layout, .. } => layout.headings().to_vec(),
            Self::Rewards { .. } | Self::Transactions(_) | Self::Earnings { .. } | Self::Audit(_) => {
                columns::headings(self.kind())
            }
        }
    }

    /// Whether the columns are dictated by an accounting program and cannot be chosen.
    pub fn is_fixed(&self) -> bool {
        matches!(self, Self::Journal { layout, .. } if *layout != Layout::Generic)
    }

    /// The base of the file name.
    pub fn word(&self) -> String {
        match self {
            Self::Journal { layout, .. } => format!("journal-{}", layout.as_str()),
            Self::Rewards { .. } | Self::Transactions(_) | Self::Earnings { .. } | Self::Audit(_) => {
                self.kind().as_str().to_owned()
            }
        }
    }
}

impl ExportRequest {
    /// The column headings, in the order of the file.
    pub fn heads(&self) -> Vec<Heading> {
        let all = self.scope.headings();
        let find = |name: &String| all.iter().find(|heading| heading.name == name.as_str()).copied();
        if self.scope.is_fixed() { all } else { self.columns.iter().filter_map(find).collect() }
    }

    pub fn json(&self) -> Value {
        let scope = match &self.scope {
            Scope::Rewards { filter, eligible, sort, descending } => {
                let mut kept = rewards(filter);
                kept["eligible"] = json!(eligible);
                kept["sort"] = json!(sort_word(*sort));
                kept["descending"] = json!(descending);
                kept
            }
            Scope::Transactions(filter) => transactions(filter),
            Scope::Earnings { year, whose } => json!({"year": year, "whose": people(whose)}),
            Scope::Journal { filter: JournalFilter { from, before, currency }, layout, by_day } => json!({
                "from": from, "before": before, "currency": currency, "layout": layout.as_str(), "by_day": by_day,
            }),
            Scope::Audit(filter) => audit(filter),
        };
        json!({
            "of": self.scope.kind().as_str(),
            "scope": scope,
            "format": self.format.as_str(),
            "marked": self.marked,
            "columns": self.columns,
            "told": self.filter_summary,
        })
    }

    /// Parses [`ExportRequest::json`]; `None` if this program cannot have written it.
    pub fn read(kept: &Value) -> Option<Self> {
        let scope = &kept["scope"];
        let scope = match Kind::parse(kept["of"].as_str()?)? {
            Kind::Rewards => Scope::Rewards {
                filter: Box::new(read_rewards(scope)?),
                eligible: scope["eligible"].as_bool(),
                sort: [Sort::CreatedAt, Sort::Number, Sort::Value]
                    .into_iter()
                    .find(|sort| Some(sort_word(*sort)) == scope["sort"].as_str())?,
                descending: scope["descending"].as_bool()?,
            },
            Kind::Transactions => Scope::Transactions(Box::new(read_transactions(scope)?)),
            Kind::Earnings => Scope::Earnings {
                year: i32::try_from(scope["year"].as_i64()?).ok()?,
                whose: read_people(&scope["whose"])?,
            },
            Kind::Journal => Scope::Journal {
                filter: JournalFilter {
                    from: scope["from"].as_i64(),
                    before: scope["before"].as_i64(),
                    currency: text(&scope["currency"]),
                },
                layout: Layout::parse(scope["layout"].as_str()?)?,
                by_day: scope["by_day"].as_bool()?,
            },
            Kind::Audit => Scope::Audit(Box::new(read_audit(scope))),
        };
        Some(Self {
            scope,
            format: Format::parse(kept["format"].as_str()?)?,
            marked: kept["marked"].as_bool()?,
            columns: words(&kept["columns"])?,
            filter_summary: text(&kept["told"])?,
        })
    }
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn words(value: &Value) -> Option<Vec<String>> {
    value.as_array()?.iter().map(text).collect()
}

/// Parses every string of a list; `None` if one of them is invalid.
fn each<T>(value: &Value, parse: impl Fn(&str) -> Option<T>) -> Option<Vec<T>> {
    value.as_array()?.iter().map(|word| parse(word.as_str()?)).collect()
}

/// Parses an optional string. The outer `None` means that it is present but invalid.
fn maybe<T>(value: &Value, parse: impl Fn(&str) -> Option<T>) -> Option<Option<T>> {
    value.as_str().map_or(Some(None), |word| parse(word).map(Some))
}

fn sort_word(sort: Sort) -> &'static str {
    match sort {
        Sort::CreatedAt => "created_at",
        Sort::Number => "number",
        Sort::Value => "value",
    }
}

const VIEWS: [(View, &str); 7] = [
    (View::Pending, "pending"),
    (View::All, "all"),
    (View::Pool, "pool"),
    (View::InPayout, "in_payout"),
    (View::Paid, "paid"),
    (View::Rejected, "rejected"),
    (View::Expiring, "expiring"),
];

fn rewards(filter: &RewardFilter) -> Value {
    let RewardFilter {
        view,
        visible,
        statuses,
        owner,
        account,
        program,
        activity,
        batch,
        reward_type,
        payment_type,
        currency,
        value_min,
        value_max,
        created_from,
        created_before,
        expires_from,
        expires_before,
        decided_from,
        decided_before,
        q,
    } = filter;
    let (sees, whose) = match visible {
        Visible::All => ("all", None),
        Visible::Of(partner) => ("own", Some(partner.to_string())),
        Visible::CompanyOf(partner) => ("company", Some(partner.to_string())),
    };
    json!({
        "view": VIEWS.iter().find(|(known, _)| known == view).map(|(_, word)| word),
        "sees": sees,
        "whose": whose,
        "statuses": statuses.iter().map(|status| status.as_str()).collect::<Vec<_>>(),
        "owner": owner,
        "account": account,
        "program": program,
        "activity": activity,
        "batch": batch,
        "reward_type": reward_type.map(RewardType::as_str),
        "payment_type": payment_type.map(PaymentType::as_str),
        "currency": currency,
        "value_min": value_min,
        "value_max": value_max,
        "created_from": created_from,
        "created_before": created_before,
        "expires_from": expires_from,
        "expires_before": expires_before,
        "decided_from": decided_from,
        "decided_before": decided_before,
        "q": q,
    })
}

fn read_rewards(kept: &Value) -> Option<RewardFilter> {
    let whose = || PartnerId::parse(kept["whose"].as_str()?);
    Some(RewardFilter {
        view: VIEWS.iter().find(|(_, word)| Some(*word) == kept["view"].as_str())?.0,
        visible: match kept["sees"].as_str()? {
            "all" => Visible::All,
            "own" => Visible::Of(whose()?),
            "company" => Visible::CompanyOf(whose()?),
            _ => return None,
        },
        statuses: each(&kept["statuses"], Shown::parse)?,
        owner: text(&kept["owner"]),
        account: text(&kept["account"]),
        program: text(&kept["program"]),
        activity: text(&kept["activity"]),
        batch: text(&kept["batch"]),
        reward_type: maybe(&kept["reward_type"], RewardType::parse)?,
        payment_type: maybe(&kept["payment_type"], PaymentType::parse)?,
        currency: text(&kept["currency"]),
        value_min: kept["value_min"].as_i64(),
        value_max: kept["value_max"].as_i64(),
        created_from: kept["created_from"].as_i64(),
        created_before: kept["created_before"].as_i64(),
        expires_from: kept["expires_from"].as_i64(),
        expires_before: kept["expires_before"].as_i64(),
        decided_from: kept["decided_from"].as_i64(),
        decided_before: kept["decided_before"].as_i64(),
        q: text(&kept["q"]),
    })
}

fn audit(filter: &AuditFilter) -> Value {
    // The page position is not a filter.
    let AuditFilter { actors, action, subject, from, to, before: _ } = filter;
    json!({"actors": actors, "action": action, "subject": subject, "from": from, "to": to})
}

fn read_audit(kept: &Value) -> AuditFilter {
    AuditFilter {
        actors: words(&kept["actors"]),
        action: text(&kept["action"]),
        subject: text(&kept["subject"]),
        from: kept["from"].as_i64(),
        to: kept["to"].as_i64(),
        before: None,
    }
}

fn people(whose: &Whose) -> Value {
    let Whose { own, payment_type, account, partner } = whose;
    json!({
        "own": own,
        "payment_type": payment_type.map(PaymentType::as_str),
        "account": account.map(|account| account.to_string()),
        "partner": partner.map(|partner| partner.to_string()),
    })
}

fn read_people(kept: &Value) -> Option<Whose> {
    Some(Whose {
        own: words(&kept["own"]),
        payment_type: maybe(&kept["payment_type"], PaymentType::parse)?,
        account: maybe(&kept["account"], AccountId::parse)?,
        partner: maybe(&kept["partner"], PartnerId::parse)?,
    })
}

fn transactions(filter: &TransactionFilter) -> Value {
    let TransactionFilter {
        states,
        or_contradicted,
        vendor,
        payees,
        scope,
        reason,
        after_success,
        batch,
        from,
        to,
        unmoved_since,
        open,
        outside,
        // The page position is not a filter.
        after: _,
    } = filter;
    let words = |states: &Option<Vec<State>>| {
        states.as_ref().map(|states| states.iter().map(|state| state.as_str()).collect::<Vec<_>>())
    };
    json!({
        "states": words(states),
        "or_contradicted": words(or_contradicted),
        "vendor": vendor.map(Vendor::as_str),
        "payees": payees,
        "whose": people(scope),
        "reason": reason,
        "after_success": after_success,
        "batch": batch.map(|batch| batch.to_string()),
        "from": from,
        "to": to,
        "unmoved_since": unmoved_since,
        "open": open,
        "outside": outside,
    })
}

fn read_transactions(kept: &Value) -> Option<TransactionFilter> {
    let states = |kept: &Value| match kept.is_null() {
        true => Some(None),
        false => each(kept, State::parse).map(Some),
    };
    Some(TransactionFilter {
        states: states(&kept["states"])?,
        or_contradicted: states(&kept["or_contradicted"])?,
        vendor: maybe(&kept["vendor"], Vendor::parse)?,
        payees: words(&kept["payees"]),
        scope: read_people(&kept["whose"])?,
        reason: text(&kept["reason"]),
        after_success: kept["after_success"].as_bool()?,
        batch: maybe(&kept["batch"], BatchId::parse)?,
        from: kept["from"].as_i64(),
        to: kept["to"].as_i64(),
        unmoved_since: kept["unmoved_since"].as_i64(),
        open: kept["open"].as_bool()?,
        outside: kept["outside"].as_bool(),
        after: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(scope: Scope) -> ExportRequest {
        let columns = vec!["number".to_owned()];
        ExportRequest {
            scope,
            format: Format::Xlsx,
            marked: true,
            columns,
            filter_summary: "all of them".to_owned(),
        }
    }

    #[test]
    fn what_is_asked_comes_back_as_it_was_kept() {
        let reward = RewardFilter {
            view: View::Pool,
            statuses: vec![Shown::Approved, Shown::Paid],
            owner: Some("ana".to_owned()),
            reward_type: Some(RewardType::Cash),
            currency: Some("USD".to_owned()),
            value_min: Some(1),
            q: Some("RW-1".to_owned()),
            ..RewardFilter::default()
        };
        let whose =
            Whose { payment_type: Some(PaymentType::Individual), own: Some(Vec::new()), ..Whose::default() };
        let payment = TransactionFilter {
            states: Some(State::ALL.iter().copied().take(3).collect()),
            or_contradicted: Some(vec![State::Success]),
            vendor: Some(Vendor::PayPal),
            payees: Some(Vec::new()),
            scope: whose.clone(),
            reason: Some("blocked".to_owned()),
            open: true,
            outside: Some(false),
            ..TransactionFilter::default()
        };
        let scopes = [
            Scope::Rewards {
                filter: Box::new(reward),
                eligible: Some(false),
                sort: Sort::Value,
                descending: true,
            },
            Scope::Transactions(Box::new(payment)),
            Scope::Earnings { year: 2026, whose },
            Scope::Journal {
                filter: JournalFilter { from: Some(1), before: None, currency: Some("JPY".to_owned()) },
                layout: Layout::Xero,
                by_day: true,
            },
            Scope::Audit(Box::default()),
        ];
        for scope in scopes {
            let asked = asked(scope);
            let kept = asked.json();
            assert_eq!(format!("{:?}", ExportRequest::read(&kept).unwrap()), format!("{asked:?}"));
        }
        let mut wrong = asked(Scope::Audit(Box::default())).json();
        wrong["of"] = json!("secrets");
        assert!(ExportRequest::read(&wrong).is_none());
    }
}
