//! Warnings about unusual payments, judged by the payee's payment history, for whoever presses Pay. They never block.
//! Not here: the tax reporting threshold (`tax`), and reading the history.

use crate::ids::RewardId;
use crate::money::{Money, Sum};
use crate::spelling::spelled;
use crate::transaction::State;

/// An average needs at least this many payments to be meaningful.
const ENOUGH: i64 = 3;
/// A payment of more than this many times the average is far above it.
const TIMES: i64 = 3;
/// The average covers the payments of this many days.
pub const AVERAGE_DAYS: i64 = 365;
/// The same amount within this many days may be a duplicate.
pub const DUPLICATE_DAYS: i64 = 30;

spelled! {
    /// A kind of warning, in display order.
    Kind {
        /// The same amount recently went to the same payee.
        NearDuplicate = "near_duplicate",
        /// A reward in it was in an earlier payment that did not simply fail.
        PaidBefore = "paid_before",
        /// The destination differs from that of the payee's last payment.
        DestinationChanged = "destination_changed",
        /// Earlier payments to this destination did not stay there.
        NoneStayed = "none_stayed",
        /// No payment to this destination has ever been made.
        FirstPayment = "first_payment",
        /// The amount is far above the payee's average.
        FarAboveAverage = "far_above_average",
    }
}

impl Kind {
    /// The heading for a list of such warnings.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::NearDuplicate => "Same amount as a recent payment",
            Self::DestinationChanged => "Destination changed since the last payment",
            Self::PaidBefore => "Rewards that were in an earlier payment",
            Self::NoneStayed => "No payment has stayed at this destination yet",
            Self::FirstPayment => "First payment to this destination",
            Self::FarAboveAverage => "Far above the payee's average",
        }
    }

    /// The rule behind the warning, for people.
    #[must_use]
    pub fn rule(self) -> &'static str {
        match self {
            Self::NearDuplicate => {
                "The payee was paid, or is being paid, exactly this amount in this currency within the last 30 days."
            }
            Self::DestinationChanged => {
                "The payee's last completed payment went to a different account or address."
            }
            Self::PaidBefore => {
                "One of its rewards was in an earlier payment whose money came back or did not arrive, or that people settled as not made; that payment has released the reward."
            }
            Self::NoneStayed => {
                "An earlier payment to this account or address came back or did not arrive, and none has completed."
            }
            Self::FirstPayment => "No payment to this account or address has ever completed.",
            Self::FarAboveAverage => {
                "More than three times the average of the payee's completed payments in this currency in the last 12 months, of which there are at least three."
            }
        }
    }
}

/// A warning, with the facts it is based on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Finding {
    /// The same amount was paid recently.
    NearDuplicate {
        /// The number of the earlier payment.
        number: String,
        /// When Pay was pressed for it (microseconds UTC).
        at: i64,
    },
    /// The last payment had another destination.
    DestinationChanged {
        /// The masked destination of the last payment.
        before: String,
        /// When Pay was pressed for it (microseconds UTC).
        at: i64,
    },
    /// Rewards in it were in an earlier payment.
    PaidBefore {
        /// The number of the earlier payment.
        number: String,
        /// The numbers of the first few rewards.
        rewards: Vec<String>,
        /// How many more rewards there are.
        more: usize,
        /// The earlier payment's status, for people.
        ended: String,
        /// It may have been made anyway.
        unproven: bool,
        /// When Pay was pressed for it (microseconds UTC).
        at: i64,
    },
    /// Earlier payments to this destination did not stay there.
    NoneStayed {
        /// The number of the latest such payment.
        number: String,
        /// When Pay was pressed for it (microseconds UTC).
        at: i64,
    },
    /// Nothing has been paid to this destination yet.
    FirstPayment,
    /// The amount is far above the payee's average.
    FarAboveAverage {
        /// The average, rounded down to whole minor units.
        average: Sum,
        /// How many payments the average covers.
        payments: i64,
    },
}

impl Finding {
    /// The kind of warning.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::NearDuplicate { .. } => Kind::NearDuplicate,
            Self::DestinationChanged { .. } => Kind::DestinationChanged,
            Self::PaidBefore { .. } => Kind::PaidBefore,
            Self::NoneStayed { .. } => Kind::NoneStayed,
            Self::FirstPayment => Kind::FirstPayment,
            Self::FarAboveAverage { .. } => Kind::FarAboveAverage,
        }
    }

    /// Why it is unusual, as a sentence; the time of the earlier payment is shown separately.
    #[must_use]
    pub fn sentence(&self) -> String {
        match self {
            Self::NearDuplicate { number, .. } => format!("{number} was for the same amount."),
            Self::DestinationChanged { before, .. } => format!("The last payment went to {before}."),
            Self::PaidBefore { number, rewards, more, ended, unproven, .. } => {
                let were = if rewards.len() + more == 1 { "was" } else { "were" };
                let more = if *more > 0 { format!(" and {more} more") } else { String::new() };
                let rewards = rewards.join(", ");
                let message = format!("{rewards}{more} {were} in {number} before, which ended as {ended}.");
                match unproven {
                    true => format!(
                        "{message} That it was not paid rests on people's word, or on a look-up that found nothing: check at the vendor once more."
                    ),
                    false => message,
                }
            }
            Self::NoneStayed { number, .. } => {
                format!(
                    "{number} went there and came back or did not arrive, and no payment to it has completed."
                )
            }
            Self::FirstPayment => "Nothing has been paid to this destination yet.".to_owned(),
            Self::FarAboveAverage { average, payments } => {
                format!("{payments} payments in the last 12 months averaged {average}.")
            }
        }
    }

    /// When Pay was pressed for the earlier payment it refers to, if there is one (microseconds UTC).
    #[must_use]
    pub fn at(&self) -> Option<i64> {
        match self {
            Self::NearDuplicate { at, .. }
            | Self::DestinationChanged { at, .. }
            | Self::PaidBefore { at, .. }
            | Self::NoneStayed { at, .. } => Some(*at),
            Self::FirstPayment | Self::FarAboveAverage { .. } => None,
        }
    }
}

/// A destination with completed payments of a payee.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PaidTo {
    /// The destination's fingerprint.
    pub fingerprint: String,
    /// The masked destination.
    pub masked: String,
    /// When Pay was pressed for the latest of them (microseconds UTC).
    pub last_at: i64,
}

/// A payment of the last [`DUPLICATE_DAYS`] that has reached its payee or still may.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Recent {
    /// The payment's number.
    pub number: String,
    /// The amount it pays.
    pub amount: Money,
    /// When Pay was pressed (microseconds UTC).
    pub at: i64,
}

/// An earlier payment to a destination that did not stay there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CameBack {
    /// The destination's fingerprint.
    pub fingerprint: String,
    /// The number of the latest such payment.
    pub number: String,
    /// When Pay was pressed for it (microseconds UTC).
    pub at: i64,
}

/// An earlier payment that contained a reward and has released it again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Before {
    /// The id of the reward.
    pub reward: RewardId,
    /// The number of the reward.
    pub reward_number: i64,
    /// The number of the payment.
    pub payment: i64,
    /// How the payment ended.
    pub state: State,
    /// No vendor answer proves that it was not made: people reported it so, or two looks did not find it.
    pub unproven: bool,
    /// When Pay was pressed for it (microseconds UTC).
    pub at: i64,
}

/// How many rewards of an earlier payment are named.
const NAMED: usize = 5;

/// The earlier payments that contained these rewards, newest first.
#[must_use]
pub fn paid_before(before: &[Before]) -> Vec<Finding> {
    let mut payments: Vec<&Before> = before.iter().collect();
    payments.sort_by_key(|one| (std::cmp::Reverse(one.payment), one.reward_number));
    payments
        .chunk_by(|one, other| one.payment == other.payment)
        .filter_map(|of_one| {
            let first = of_one.first()?;
            let status = first.state.status().label();
            Some(Finding::PaidBefore {
                number: format!("PT-{:06}", first.payment),
                rewards: of_one
                    .iter()
                    .take(NAMED)
                    .map(|one| format!("RW-{:06}", one.reward_number))
                    .collect(),
                more: of_one.len().saturating_sub(NAMED),
                ended: first
                    .state
                    .detail()
                    .map_or_else(|| status.to_owned(), |detail| format!("{status} ({})", detail.as_str())),
                unproven: first.unproven,
                at: first.at,
            })
        })
        .collect()
}

/// A payee's payment history.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Past {
    /// The destinations of completed payments.
    pub destinations: Vec<PaidTo>,
    /// Payments that did not stay at their destination.
    pub came_back: Vec<CameBack>,
    /// The payments of the last [`DUPLICATE_DAYS`].
    pub recent: Vec<Recent>,
    /// Completed payments of the last [`AVERAGE_DAYS`], per currency: their number and their sum.
    pub completed: Vec<(i64, Sum)>,
}

/// All warnings about paying `amount` to the destination with this fingerprint, in the order of [`Kind`].
#[must_use]
pub fn findings(amount: Money, fingerprint: &str, past: &Past) -> Vec<Finding> {
    let same = past.recent.iter().filter(|one| one.amount == amount).max_by_key(|one| one.at);
    let duplicate = same.map(|one| Finding::NearDuplicate { number: one.number.clone(), at: one.at });
    let last = past.destinations.iter().max_by_key(|one| one.last_at);
    let moved = last.filter(|last| last.fingerprint != fingerprint);
    let moved =
        moved.map(|last| Finding::DestinationChanged { before: last.masked.clone(), at: last.last_at });
    let known = past.destinations.iter().any(|one| one.fingerprint == fingerprint);
    let back = past.came_back.iter().filter(|one| one.fingerprint == fingerprint).max_by_key(|one| one.at);
    let first = (!known).then(|| match back {
        Some(back) => Finding::NoneStayed { number: back.number.clone(), at: back.at },
        None => Finding::FirstPayment,
    });
    let mut found: Vec<Finding> = duplicate.into_iter().chain(moved).chain(first).collect();
    found.extend(far_above(amount, past));
    found
}

/// Compares without division: `amount > 3 × sum ÷ payments`.
fn far_above(amount: Money, past: &Past) -> Option<Finding> {
    let (payments, sum) = past.completed.iter().copied().find(|(_, sum)| sum.currency == amount.currency)?;
    let far = i128::from(amount.minor) * i128::from(payments) > i128::from(TIMES) * sum.minor;
    (payments >= ENOUGH && far).then(|| Finding::FarAboveAverage {
        average: Sum::new(sum.minor.checked_div(i128::from(payments)).unwrap_or(0), sum.currency),
        payments,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::money::Currency;

    fn usd(minor: i64) -> Money {
        Money::new(minor, Currency::USD)
    }

    fn eur(minor: i64) -> Money {
        Money::new(minor, Currency::parse("EUR").unwrap())
    }

    fn to(fingerprint: &str, last_at: i64) -> PaidTo {
        PaidTo { fingerprint: fingerprint.into(), masked: format!("…{fingerprint}"), last_at }
    }

    fn recent(number: &str, amount: Money, at: i64) -> Recent {
        Recent { number: number.into(), amount, at }
    }

    fn came_back(fingerprint: &str, number: &str, at: i64) -> CameBack {
        CameBack { fingerprint: fingerprint.into(), number: number.into(), at }
    }

    #[test]
    fn the_earlier_payments_of_rewards_are_told_once_each() {
        let before = |number, payment, state| Before {
            reward: RewardId::fresh(0, 1),
            reward_number: number,
            payment,
            state,
            unproven: state == State::Failed,
            at: payment,
        };
        let mut all: Vec<Before> = (1..=7).map(|number| before(number, 4, State::Refunded)).collect();
        all.extend([before(3, 9, State::PayoutFailed), before(2, 8, State::Failed)]);
        let messages: Vec<String> = paid_before(&all).iter().map(Finding::sentence).collect();
        assert_eq!(
            messages,
            [
                "RW-000003 was in PT-000009 before, which ended as Payout Failed.",
                "RW-000002 was in PT-000008 before, which ended as Failed. That it was not paid rests on people's word, or on a \
                 look-up that found nothing: check at the vendor once more.",
                "RW-000001, RW-000002, RW-000003, RW-000004, RW-000005 and 2 more were in PT-000004 before, \
                 which ended as Payout Failed (refunded).",
            ]
        );
        assert_eq!(paid_before(&[]), []);
    }

    #[test]
    fn what_is_unusual_and_what_is_not() {
        let usual = Past {
            destinations: vec![to("a", 5), to("b", 9)],
            recent: vec![recent("PT-1", usd(100), 3), recent("PT-2", usd(100), 7)],
            completed: vec![(3, usd(300).into()), (2, eur(2).into())],
            came_back: vec![came_back("a", "PT-3", 2)],
        };
        let back =
            Past { came_back: vec![came_back("c", "PT-3", 2), came_back("c", "PT-4", 4)], ..Past::default() };
        let none_stayed = Finding::NoneStayed { number: "PT-4".into(), at: 4 };
        let duplicate = || Finding::NearDuplicate { number: "PT-2".into(), at: 7 };
        let moved = || Finding::DestinationChanged { before: "…b".into(), at: 9 };
        let far = |minor, payments| Finding::FarAboveAverage { average: usd(minor).into(), payments };
        let rows: [(&str, Money, &str, Past, Vec<Finding>); 11] = [
            ("the usual", usd(101), "b", usual.clone(), vec![]),
            ("the newest of the same amount", usd(100), "b", usual.clone(), vec![duplicate()]),
            ("the same figure of another currency", eur(100), "b", usual.clone(), vec![]),
            ("back to where it went once", usd(101), "a", usual.clone(), vec![moved()]),
            ("to a new place", usd(101), "c", usual.clone(), vec![moved(), Finding::FirstPayment]),
            ("nobody was paid before", usd(101), "c", Past::default(), vec![Finding::FirstPayment]),
            ("what went there came back", usd(101), "c", back, vec![none_stayed]),
            ("exactly three times", usd(300), "b", usual.clone(), vec![]),
            ("a little more", usd(301), "b", usual.clone(), vec![far(100, 3)]),
            ("two payments are no average", eur(1_000), "b", usual.clone(), vec![]),
            (
                "an average between two minor units",
                usd(11),
                "b",
                Past { completed: vec![(3, usd(10).into())], recent: vec![], ..usual.clone() },
                vec![far(3, 3)],
            ),
        ];
        for (what, amount, fingerprint, past, expected) in rows {
            assert_eq!(findings(amount, fingerprint, &past), expected, "{what}");
        }
    }

    #[test]
    fn a_finding_says_what_it_is_measured_by() {
        let average = Sum::from(usd(100));
        let rows = [
            (
                Finding::NearDuplicate { number: "PT-2".into(), at: 7 },
                Kind::NearDuplicate,
                Some(7),
                "PT-2 was for the same amount.",
            ),
            (
                Finding::DestinationChanged { before: "a…@b.cd".into(), at: 9 },
                Kind::DestinationChanged,
                Some(9),
                "The last payment went to a…@b.cd.",
            ),
            (
                Finding::FirstPayment,
                Kind::FirstPayment,
                None,
                "Nothing has been paid to this destination yet.",
            ),
            (
                Finding::FarAboveAverage { average, payments: 3 },
                Kind::FarAboveAverage,
                None,
                "3 payments in the last 12 months averaged 1.00 USD.",
            ),
        ];
        for (finding, kind, at, sentence) in rows {
            assert_eq!((finding.kind(), finding.at(), finding.sentence().as_str()), (kind, at, sentence));
        }
    }

    #[test]
    fn the_largest_amounts_are_compared_without_overflow() {
        let past = Past { completed: vec![(i64::MAX, usd(i64::MAX).into())], ..Past::default() };
        assert_eq!(findings(usd(i64::MAX), "a", &past).len(), 2);
    }
}
