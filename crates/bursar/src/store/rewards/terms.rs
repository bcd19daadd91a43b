//! The terms of a reward filter, each with its SQL condition and the index that serves it. Not here: choosing the term
//! to drive a list (`list` counts the matches of each).

use payout::external;
use payout::ids::PartnerId;
use payout::reward::Shown;

use super::filter::{Filter, Sort, View, Visible};
use crate::store::Where;

const MONTH_US: i64 = 30 * 86_400_000_000;
const FREE: &str = "status = 'approved' AND batch_id IS NULL AND transaction_id IS NULL AND paid_at IS NULL";

/// From this value, and up to but excluding that one.
type Span = (Option<i64>, Option<i64>);

/// One condition of a list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Term {
    Pending,
    /// Approved, in no batch and no payment.
    Free,
    InPayout,
    Paid,
    Rejected,
    Void,
    /// Any of these; no index serves it.
    Statuses(Vec<Shown>),
    Own(PartnerId),
    CompanyOf(PartnerId),
    Owner(String),
    Account(String),
    Program(String),
    Activity(String),
    Batch(String),
    /// `individual`, `organization` or `points`.
    Kind(&'static str),
    Cash,
    Currency(String),
    Values(Span),
    Created(Span),
    Expires(Span),
    Decided(Span),
    /// A number, and an external id.
    Named(Option<i64>, String),
}

/// All terms of a filter.
pub(super) fn terms(filter: &Filter, now: i64) -> Vec<Term> {
    let mut terms = Vec::new();
    let mut add = |term: Term| {
        if !terms.contains(&term) {
            terms.push(term);
        }
    };
    of_view(filter.view, now).into_iter().for_each(&mut add);
    match filter.visible {
        Visible::All => {}
        Visible::Of(partner) => add(Term::Own(partner)),
        Visible::CompanyOf(partner) => add(Term::CompanyOf(partner)),
    }
    of_statuses(&filter.statuses, now).into_iter().for_each(&mut add);
    let references = [
        filter.owner.clone().map(Term::Owner),
        filter.account.clone().map(Term::Account),
        filter.program.clone().map(Term::Program),
        filter.activity.clone().map(Term::Activity),
        filter.batch.clone().map(Term::Batch),
        filter.currency.clone().map(Term::Currency),
        filter.payment_type.map(|kind| Term::Kind(kind.as_str())),
        filter.reward_type.map(|kind| match kind {
            payout::reward::RewardType::Cash => Term::Cash,
            payout::reward::RewardType::Points => Term::Kind("points"),
        }),
        filter.q.as_deref().map(named),
    ];
    references.into_iter().flatten().for_each(&mut add);
    // A decision never predates its reward.
    let created = (filter.created_from, earlier(filter.created_before, filter.decided_before));
    let spans = [
        Term::Values((filter.value_min, filter.value_max.map(|most| most.saturating_add(1)))),
        Term::Created(created),
        Term::Expires((filter.expires_from, filter.expires_before)),
        Term::Decided((filter.decided_from, filter.decided_before)),
    ];
    spans.into_iter().filter(|term| !term.is_open()).for_each(&mut add);
    terms
}

fn earlier(one: Option<i64>, other: Option<i64>) -> Option<i64> {
    one.into_iter().chain(other).min()
}

fn of_view(view: View, now: i64) -> Vec<Term> {
    match view {
        View::All => Vec::new(),
        View::Pending => vec![Term::Pending],
        View::Pool => vec![Term::Free, Term::Cash],
        View::InPayout => vec![Term::InPayout],
        View::Paid => vec![Term::Paid],
        View::Rejected => vec![Term::Rejected],
        View::Expiring => {
            let until = now.saturating_add(MONTH_US);
            vec![Term::Free, Term::Expires((Some(now + 1), Some(until + 1)))]
        }
    }
}

fn of_statuses(statuses: &[Shown], now: i64) -> Vec<Term> {
    match statuses {
        [] => Vec::new(),
        [Shown::Rejected] => vec![Term::Rejected],
        [Shown::Void] => vec![Term::Void],
        [Shown::InPayout] => vec![Term::InPayout],
        [Shown::Paid] => vec![Term::Paid],
        [Shown::Expired] => vec![Term::Free, Term::Expires((None, Some(now + 1)))],
        [Shown::Approved] => vec![Term::Free, Term::Statuses(statuses.to_vec())],
        some if some.iter().all(|one| matches!(one, Shown::Submitted | Shown::InReview)) => {
            vec![Term::Pending, Term::Statuses(some.to_vec())]
        }
        some => vec![Term::Statuses(some.to_vec())],
    }
}

fn named(q: &str) -> Term {
    let number = super::number(&q.to_uppercase()).or_else(|| q.parse().ok());
    Term::Named(number, q.to_owned())
}

impl Term {
    /// Whether it is a range that is open at both ends.
    fn is_open(&self) -> bool {
        matches!(
            self,
            Self::Values((None, None))
                | Self::Created((None, None))
                | Self::Expires((None, None))
                | Self::Decided((None, None))
        )
    }

    /// Whether its index returns rewards in this sort order.
    pub(super) fn walks(&self, sort: Sort) -> bool {
        match (self, sort) {
            (Self::Pending, _) | (Self::Values(_), Sort::Value) => true,
            (
                Self::Named(..)
                | Self::Expires(_)
                | Self::Decided(_)
                | Self::Statuses(_)
                | Self::Cash
                | Self::Values(_),
                _,
            )
            | (_, Sort::Number | Sort::Value) => false,
            (_, Sort::CreatedAt) => true,
        }
    }

    /// The column its index is ordered by; `None` if no index serves it.
    pub(super) fn column(&self) -> Option<Column> {
        match self {
            Self::Statuses(_) | Self::Cash => None,
            Self::Values(_) => Some(Column::Value),
            Self::Expires(_) => Some(Column::Expiry),
            Self::Decided(_) => Some(Column::Decision),
            Self::Pending
            | Self::Free
            | Self::InPayout
            | Self::Paid
            | Self::Rejected
            | Self::Void
            | Self::Own(_)
            | Self::CompanyOf(_)
            | Self::Owner(_)
            | Self::Account(_)
            | Self::Program(_)
            | Self::Activity(_)
            | Self::Batch(_)
            | Self::Kind(_)
            | Self::Currency(_)
            | Self::Created(_)
            | Self::Named(..) => Some(Column::CreatedAt),
        }
    }

    /// Whether it bounds the sort column itself, so that a scan can start and stop at it.
    pub(super) fn bounds(&self, sort: Sort) -> bool {
        matches!((self, sort), (Self::Created(_), Sort::CreatedAt) | (Self::Values(_), Sort::Value))
    }

    /// Whether it usually matches only a small part of all rewards.
    pub(super) fn is_narrow(&self) -> bool {
        !matches!(self, Self::Paid | Self::Created(_) | Self::Values(_) | Self::Kind(_))
    }

    pub(super) fn put(&self, to: &mut Where, now: i64) {
        match self {
            Self::Pending => to.and("status IN ('submitted', 'in_review')", []),
            Self::Free => to.and(FREE, []),
            Self::InPayout => to.and("batch_id IS NOT NULL AND paid_at IS NULL", []),
            Self::Paid => to.and("paid_at IS NOT NULL", []),
            Self::Rejected => to.and("status = 'rejected'", []),
            Self::Void => to.and("status = 'void'", []),
            Self::Statuses(some) => any_of(to, some, now),
            Self::Kind(kind) => to.and("COALESCE(payment_type, reward_type) = ?", [(*kind).into()]),
            Self::Cash => to.and("reward_type = 'cash'", []),
            Self::Currency(code) => to.and("currency = ?", [code.as_str().into()]),
            Self::Values(span) => between(to, "value_minor", *span),
            Self::Created(span) => between(to, "created_at", *span),
            Self::Expires(span) => between(to, "expires_at", *span),
            Self::Decided(span) => between(to, "decided_at", *span),
            Self::Own(_)
            | Self::CompanyOf(_)
            | Self::Owner(_)
            | Self::Account(_)
            | Self::Program(_)
            | Self::Activity(_)
            | Self::Batch(_)
            | Self::Named(..) => self.put_reference(to),
        }
    }

    fn put_reference(&self, to: &mut Where) {
        match self {
            Self::Owner(id) if external::is_ours(id) => to.and("owner_id = ?", [id.as_str().into()]),
            Self::Account(id) if external::is_ours(id) => to.and("account_id = ?", [id.as_str().into()]),
            Self::Program(id) if external::is_ours(id) => to.and("program_id = ?", [id.as_str().into()]),
            Self::Activity(id) if external::is_ours(id) => to.and("activity_id = ?", [id.as_str().into()]),
            Self::Owner(id) => {
                let of = "owner_id = (SELECT id FROM partner WHERE external_id = ?)";
                to.and(of, [external::folded(id).into()]);
            }
            Self::Account(id) => {
                let of = "account_id = (SELECT id FROM account WHERE external_id = ?)";
                to.and(of, [external::folded(id).into()]);
            }
            Self::Program(id) => {
                let of = "program_id = (SELECT id FROM program WHERE external_id = ?)";
                to.and(of, [external::folded(id).into()]);
            }
            Self::Activity(id) => {
                let of = "activity_id = (SELECT id FROM activity WHERE external_id = ?)";
                to.and(of, [external::folded(id).into()]);
            }
            Self::Batch(id) => {
                let of = "batch_id = (SELECT id FROM batch WHERE id = ? OR number = ?)";
                to.and(of, [id.as_str().into(), id.as_str().into()]);
            }
            Self::Own(partner) => to.and("owner_id = ?", [partner.to_string().into()]),
            Self::CompanyOf(partner) => to.and(
                "account_id = (SELECT account_id FROM partner WHERE id = ?)",
                [partner.to_string().into()],
            ),
            Self::Named(Some(number), text) => {
                let either = "(number = ? OR external_id = ?)";
                to.and(either, [(*number).into(), external::folded(text).into()]);
            }
            Self::Named(None, text) => to.and("external_id = ?", [external::folded(text).into()]),
            Self::Pending
            | Self::Free
            | Self::InPayout
            | Self::Paid
            | Self::Rejected
            | Self::Void
            | Self::Statuses(_)
            | Self::Kind(_)
            | Self::Cash
            | Self::Currency(_)
            | Self::Values(_)
            | Self::Created(_)
            | Self::Expires(_)
            | Self::Decided(_) => {}
        }
    }
}

/// The columns that indexes are ordered by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Column {
    CreatedAt,
    Value,
    Expiry,
    Decision,
}

fn between(to: &mut Where, column: &str, (from, before): Span) {
    if let Some(from) = from {
        to.and(&format!("{column} >= ?"), [from.into()]);
    }
    if let Some(before) = before {
        to.and(&format!("{column} < ?"), [before.into()]);
    }
}

fn any_of(to: &mut Where, statuses: &[Shown], now: i64) {
    let any: Vec<&str> = statuses.iter().map(|status| status_condition(*status)).collect();
    let times = any.join(" ").matches('?').count();
    to.and(&format!("({})", any.join(" OR ")), vec![now.into(); times]);
}

/// The stored condition for a display status. Each `?` is now.
fn status_condition(status: Shown) -> &'static str {
    match status {
        Shown::Submitted => "status = 'submitted'",
        Shown::InReview => "status = 'in_review'",
        Shown::Rejected => "status = 'rejected'",
        Shown::Void => "status = 'void'",
        Shown::InPayout => "(batch_id IS NOT NULL AND paid_at IS NULL)",
        Shown::Paid => "paid_at IS NOT NULL",
        Shown::Approved => {
            "(status = 'approved' AND batch_id IS NULL AND transaction_id IS NULL AND paid_at IS NULL \
             AND (expires_at IS NULL OR expires_at > ?))"
        }
        Shown::Expired => {
            "(status = 'approved' AND batch_id IS NULL AND transaction_id IS NULL AND paid_at IS NULL \
             AND expires_at <= ?)"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_told_in_terms_that_indexes_answer() {
        let of = |filter: Filter| terms(&filter, 1_000);
        assert_eq!(of(Filter::default()), []);
        let pending = Filter { view: View::Pending, statuses: vec![Shown::InReview], ..Filter::default() };
        assert_eq!(of(pending), [Term::Pending, Term::Statuses(vec![Shown::InReview])]);
        let expired = Filter { statuses: vec![Shown::Expired], ..Filter::default() };
        assert_eq!(of(expired), [Term::Free, Term::Expires((None, Some(1_001)))]);
        let decided = Filter { decided_before: Some(9), created_before: Some(12), ..Filter::default() };
        assert_eq!(of(decided), [Term::Created((None, Some(9))), Term::Decided((None, Some(9)))]);
        let most = Filter { value_max: Some(5), ..Filter::default() };
        assert_eq!(of(most), [Term::Values((None, Some(6)))], "a bound that people name is included");
    }

    #[test]
    fn only_some_indexes_are_in_the_order_of_a_sort() {
        let owner = Term::Owner("ana".to_owned());
        assert!(owner.walks(Sort::CreatedAt) && !owner.walks(Sort::Value));
        assert!(Term::Pending.walks(Sort::Value) && Term::Pending.walks(Sort::Number));
        assert!(
            Term::Values((None, None)).walks(Sort::Value)
                && !Term::Values((None, None)).walks(Sort::CreatedAt)
        );
        assert!(!Term::Cash.walks(Sort::CreatedAt), "no index tells cash from points");
    }
}
