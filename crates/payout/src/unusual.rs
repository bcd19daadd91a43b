//! What is unusual about a payment, judged by what its payee was paid before: whoever presses Pay looks at it once more.
//! A warning, never a blocker. What is deliberately not here: the tax reporting line (`tax`), and reading the past.

use crate::ids::RewardId;
use crate::money::{Money, Sum};
use crate::spelling::spelled;
use crate::transaction::State;

/// So many payments make an average that says something.
const ENOUGH: i64 = 3;
/// A payment of more than so many times the average is far above it.
const TIMES: i64 = 3;
/// The average is of the payments of so many days.
pub const AVERAGE_DAYS: i64 = 365;
/// The same amount again within so many days may be paid twice by mistake.
pub const DUPLICATE_DAYS: i64 = 30;

spelled! {
    /// A kind of what is unusual, in the order in which it is shown.
    Kind {
        /// The same amount went to the same payee lately.
        NearDuplicate = "near_duplicate",
        /// A reward of it was in an earlier payment that did not simply fail.
        PaidBefore = "paid_before",
        /// The money goes elsewhere than the payee's last payment.
        DestinationChanged = "destination_changed",
        /// What was paid to this destination did not stay.
        NoneStayed = "none_stayed",
        /// Nothing was ever paid to this destination.
        FirstPayment = "first_payment",
        /// Much more than the payee usually gets.
        FarAboveAverage = "far_above_average",
    }
}

impl Kind {
    /// The words above a list of it.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::NearDuplicate => "Same amount as a recent payment",
            Self::DestinationChanged => "Destination changed since the last payment",
            Self::PaidBefore => "Rewards that an earlier payment was for",
            Self::NoneStayed => "Nothing has stayed at this destination yet",
            Self::FirstPayment => "First payment to this destination",
            Self::FarAboveAverage => "Far above the payee's average",
        }
    }

    /// The rule, for whoever asks why something stands in the list.
    #[must_use]
    pub fn rule(self) -> &'static str {
        match self {
            Self::NearDuplicate => {
                "The payee was paid, or is being paid, exactly this amount in this currency within the last 30 days."
            }
            Self::DestinationChanged => {
                "The payee's last completed payment went to another account or address."
            }
            Self::PaidBefore => {
                "A reward of it was in an earlier payment whose money came back or did not arrive, or which people called not made; that payment has given it back."
            }
            Self::NoneStayed => {
                "Payments went to this account or address, and none of them has stayed: each came back, or did not arrive."
            }
            Self::FirstPayment => "No payment to this account or address was ever completed.",
            Self::FarAboveAverage => {
                "More than three times the average of the payee's completed payments in this currency within the last 12 months, of which there are at least three."
            }
        }
    }
}

/// One thing that is unusual, with what it is measured by.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Finding {
    /// The same amount was paid lately.
    NearDuplicate {
        /// The number of that payment.
        number: String,
        /// When Pay was pressed for it.
        at: i64,
    },
    /// The last payment went elsewhere.
    DestinationChanged {
        /// Where it went, masked.
        before: String,
        /// When Pay was pressed for it.
        at: i64,
    },
    /// Rewards of it were in an earlier payment.
    PaidBefore {
        /// The number of that payment.
        number: String,
        /// The numbers of the first of the rewards.
        rewards: Vec<String>,
        /// How many more.
        more: usize,
        /// How it ended, for people.
        ended: String,
        /// It may have been made all the same.
        unproven: bool,
        /// When Pay was pressed for it.
        at: i64,
    },
    /// What was paid to this destination did not stay.
    NoneStayed {
        /// The number of the last such payment.
        number: String,
        /// When Pay was pressed for it.
        at: i64,
    },
    /// Nothing was paid to this destination yet.
    FirstPayment,
    /// Much more than usual.
    FarAboveAverage {
        /// The average, without what is less than a minor unit.
        average: Sum,
        /// Of how many payments.
        payments: i64,
    },
}

impl Finding {
    /// Of which kind it is.
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

    /// Why it is unusual. When the earlier payment was made is told beside it.
    #[must_use]
    pub fn sentence(&self) -> String {
        match self {
            Self::NearDuplicate { number, .. } => format!("{number} was for the same amount."),
            Self::DestinationChanged { before, .. } => format!("The last payment went to {before}."),
            Self::PaidBefore { number, rewards, more, ended, unproven, .. } => {
                let were = if rewards.len() + more == 1 { "was" } else { "were" };
                let more = if *more > 0 { format!(" and {more} more") } else { String::new() };
                let rewards = rewards.join(", ");
                let told = format!("{rewards}{more} {were} in {number} before, which ended as {ended}.");
                match unproven {
                    true => format!(
                        "{told} That it was not paid is what people say, or what nobody found: look at the vendor once more."
                    ),
                    false => told,
                }
            }
            Self::NoneStayed { number, .. } => {
                format!("{number} went there and did not stay, and no other payment has stayed there.")
            }
            Self::FirstPayment => "Nothing was paid to this destination yet.".to_owned(),
            Self::FarAboveAverage { average, payments } => {
                format!("{payments} payments of the last 12 months were {average} on average.")
            }
        }
    }

    /// The moment of the earlier payment it is measured by, where there is one.
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

/// A destination to which payments of a payee were completed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PaidTo {
    /// Its fingerprint.
    pub fingerprint: String,
    /// As people see it.
    pub masked: String,
    /// When Pay was pressed for the last of them.
    pub last_at: i64,
}

/// A payment of the last [`DUPLICATE_DAYS`] that reached its payee or may reach them yet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Recent {
    /// Its number.
    pub number: String,
    /// What it pays.
    pub amount: Money,
    /// When Pay was pressed.
    pub at: i64,
}

/// An earlier payment to a destination that did not stay there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CameBack {
    /// The fingerprint of the destination.
    pub fingerprint: String,
    /// The number of the last of them.
    pub number: String,
    /// When Pay was pressed for it.
    pub at: i64,
}

/// An earlier payment that a reward was in, and which has given it back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Before {
    /// The reward.
    pub reward: RewardId,
    /// Its number.
    pub reward_number: i64,
    /// The number of the payment.
    pub payment: i64,
    /// How it ended.
    pub state: State,
    /// Nothing that the vendor has said proves that it was not made: people have called it so, or two looks did not find it.
    pub unproven: bool,
    /// When Pay was pressed for it.
    pub at: i64,
}

/// So many rewards of an earlier payment are named.
const NAMED: usize = 5;

/// The earlier payments that these rewards were in, the newest first.
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

/// What a payee was paid before.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Past {
    /// Where to.
    pub destinations: Vec<PaidTo>,
    /// Where to, of what did not stay.
    pub came_back: Vec<CameBack>,
    /// Lately.
    pub recent: Vec<Recent>,
    /// In the last [`AVERAGE_DAYS`], per currency: how many completed payments, and their sum.
    pub completed: Vec<(i64, Sum)>,
}

/// Everything that is unusual about paying `amount` to the destination of this fingerprint, in the order of [`Kind`].
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

/// Compared without dividing: `amount > 3 × sum ÷ payments`.
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
        let told: Vec<String> = paid_before(&all).iter().map(Finding::sentence).collect();
        assert_eq!(
            told,
            [
                "RW-000003 was in PT-000009 before, which ended as Payout Failed.",
                "RW-000002 was in PT-000008 before, which ended as Failed. That it was not paid is what people say, or what \
                 nobody found: look at the vendor once more.",
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
            (Finding::FirstPayment, Kind::FirstPayment, None, "Nothing was paid to this destination yet."),
            (
                Finding::FarAboveAverage { average, payments: 3 },
                Kind::FarAboveAverage,
                None,
                "3 payments of the last 12 months were 1.00 USD on average.",
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
