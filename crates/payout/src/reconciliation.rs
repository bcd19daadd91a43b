//! Reconciliation: what a vendor's own statement of our balance means, and how it is compared with our ledger.
//! [`KINDS`] maps each kind of vendor movement to a part of a payment; [`judge`] compares the movements of a payment
//! with its postings; [`chain`] compares each day's movements with the vendor's reported balance.
//!
//! Not here: reading either side, and storing the results.

use crate::ledger::Movement;
use crate::money::Vendor;
use crate::spelling::spelled;

/// How long a posting may lack its movement, or the other way round, before anybody is alerted: one may follow a day
/// later.
pub const GRACE_US: i64 = 86_400_000_000;

spelled! {
    /// A part of a payment that is compared with its postings separately.
    Aspect {
        /// The payment's money: what left, and what came back.
        Money = "money",
        /// The vendor's fee.
        Fee = "fee",
        /// Not about a payment: the vendor's balance at the end of a day.
        Balance = "balance",
    }
}

spelled! {
    /// What a vendor movement is to a payment.
    Part {
        /// Its money left our balance.
        Left = "left",
        /// Its money came back to our balance.
        CameBack = "came_back",
        /// The vendor's fee for it.
        Fee = "fee",
        /// Other activity on the same account.
        NotOurs = "not_ours",
    }
}

impl Part {
    /// Which postings it is compared with; `None` for other activity.
    #[must_use]
    pub fn aspect(self) -> Option<Aspect> {
        match self {
            Self::Left | Self::CameBack => Some(Aspect::Money),
            Self::Fee => Some(Aspect::Fee),
            Self::NotOurs => None,
        }
    }
}

/// A kind of vendor movement.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Kind {
    /// The vendor that uses it.
    pub vendor: Vendor,
    /// The vendor's own type or code.
    pub word: &'static str,
    /// What it is to a payment.
    pub part: Part,
    /// The name shown to people.
    pub label: &'static str,
}

macro_rules! kinds {
    ($($vendor:ident $word:literal $part:ident $label:literal;)+) => {
        /// All known kinds of vendor movement: Stripe's by `type`, PayPal's by event code. Anything else is other
        /// activity: shown, counted in the balance, and no cause for alarm.
        pub const KINDS: &[Kind] = &[
            $(Kind { vendor: Vendor::$vendor, word: $word, part: Part::$part, label: $label },)+
        ];
    };
}

kinds! {
    Stripe "transfer" Left "transfer to a connected account";
    Stripe "transfer_refund" CameBack "transfer reversed";
    Stripe "transfer_cancel" CameBack "transfer canceled";
    Stripe "transfer_failure" CameBack "transfer failed";
    Stripe "topup" NotOurs "top-up";
    Stripe "topup_reversal" NotOurs "top-up reversed";
    Stripe "charge" NotOurs "card payment received";
    Stripe "payment" NotOurs "payment received";
    Stripe "refund" NotOurs "card payment refunded";
    Stripe "payment_refund" NotOurs "payment refunded";
    Stripe "payout" NotOurs "payout to your own bank";
    Stripe "payout_cancel" NotOurs "payout to your own bank canceled";
    Stripe "payout_failure" NotOurs "payout to your own bank failed";
    Stripe "application_fee" NotOurs "application fee received";
    Stripe "application_fee_refund" NotOurs "application fee refunded";
    Stripe "stripe_fee" NotOurs "Stripe's bill";
    Stripe "network_cost" NotOurs "network cost";
    Stripe "adjustment" NotOurs "adjustment";
    Stripe "contribution" NotOurs "contribution";
    Stripe "reserve_transaction" NotOurs "reserve";
    PayPal "T0001" Left "payout";
    PayPal "T0104" Fee "payout fee";
    PayPal "T1114" CameBack "payout returned";
    PayPal "T1115" CameBack "payout refunded by the receiver";
    PayPal "T0006" NotOurs "checkout payment received";
    PayPal "T0300" NotOurs "money from a bank";
    PayPal "T0400" NotOurs "money to a bank";
    PayPal "T0200" NotOurs "currency conversion";
    PayPal "T1503" NotOurs "hold";
    PayPal "T1105" NotOurs "hold released";
}

/// The kind for a vendor's type or code; other activity if it is unknown.
#[must_use]
pub fn kind(vendor: Vendor, word: &str) -> Kind {
    let known = KINDS.iter().find(|kind| kind.vendor == vendor && kind.word == word).copied();
    known.unwrap_or(Kind { vendor, word: "", part: Part::NotOurs, label: "other business" })
}

/// A vendor's types or codes that stand for a part of a payment.
pub fn ours(vendor: Vendor) -> impl Iterator<Item = &'static str> {
    KINDS.iter().filter(move |kind| kind.vendor == vendor && kind.part != Part::NotOurs).map(|kind| kind.word)
}

/// Which movements a posting on a vendor's balance is compared with.
#[must_use]
pub fn aspect_of(movement: Movement) -> Aspect {
    match movement {
        Movement::Fee => Aspect::Fee,
        Movement::Approve
        | Movement::Unapprove
        | Movement::Reserve
        | Movement::Void
        | Movement::Post
        | Movement::Park
        | Movement::Unpark
        | Movement::Recall
        | Movement::Reverse
        | Movement::Outside
        | Movement::Clawback
        | Movement::WriteOff
        | Movement::PartReversed => Aspect::Money,
    }
}

spelled! {
    /// The result of comparing vendor movements with postings.
    Standing {
        /// Both sides agree.
        Ties = "ties",
        /// One side may be late.
        Waits = "waits",
        /// The ledger has a posting the vendor does not show.
        Missing = "missing_at_vendor",
        /// The vendor shows a movement of no payment of ours.
        Extra = "extra_at_vendor",
        /// Both sides show it, with different amounts.
        Amount = "amount_differs",
        /// The fees differ, or one side has none.
        Fee = "fee_differs",
        /// The vendor moved money of one of our payments, and the ledger does not have it.
        Status = "status_differs",
        /// The vendor's balance does not match its movements.
        Balance = "balance_differs",
    }
}

impl Standing {
    /// Whether a person must look.
    #[must_use]
    pub fn alarms(self) -> bool {
        !matches!(self, Self::Ties | Self::Waits)
    }

    /// A short label, for lists.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Ties => "Ties",
            Self::Waits => "Waits",
            Self::Missing => "Missing at the vendor",
            Self::Extra => "Not known here",
            Self::Amount => "Amounts differ",
            Self::Fee => "Fees differ",
            Self::Status => "Not in the books",
            Self::Balance => "Balance differs",
        }
    }

    /// What happened and what it means for the money, as a sentence. `vendor` is the vendor's label; `until` is when
    /// the wait ends (microseconds UTC), if it ends by time.
    #[must_use]
    pub fn message(self, vendor: &str, until: Option<i64>) -> String {
        match self {
            Self::Ties => format!("{vendor} and the books agree."),
            Self::Waits if until.is_none() => format!(
                "The payment has not ended, so the books do not count its movements yet. This waits until the payment \
                 ends{}.",
                if vendor == Vendor::PayPal.label() {
                    "; PayPal holds unclaimed money for up to 30 days"
                } else {
                    ""
                }
            ),
            Self::Waits => format!(
                "One side does not show it yet. That is normal for a day; Bursar compares {vendor} and the books again by \
                 itself."
            ),
            Self::Missing => format!(
                "The books hold a money movement that {vendor} does not show. Either {vendor} reports it late, or the money \
                 did not move as the books say, and the balance is not what the books expect."
            ),
            Self::Extra => format!(
                "{vendor} moved money of this account for no payment that this database knows, and the books do not count \
                 it. If the database was restored from a backup, it may be a payment that Bursar made after the backup; \
                 otherwise somebody, or another program, moved it with this account."
            ),
            Self::Amount => format!(
                "{vendor} moved a different amount than the books hold. The difference is in the balance but not in the books."
            ),
            Self::Fee => format!(
                "The fee that {vendor} took is not the fee in the books. The difference is in the balance but not in the books."
            ),
            Self::Status => format!(
                "{vendor} moved money for this payment, and the books do not show it. The payment may have been paid, \
                 reversed or returned without Bursar being told."
            ),
            Self::Balance => format!(
                "{vendor}'s balance for the day does not match the total of its own list of movements. A movement is missing \
                 from the list, or is counted on another day."
            ),
        }
    }

    /// The remedy, as a sentence; `vendor` is the vendor's label.
    #[must_use]
    pub fn remedy(self, vendor: &str) -> String {
        match self {
            Self::Ties | Self::Waits => "Nothing to do.".to_owned(),
            Self::Missing | Self::Balance => format!(
                "Look again. If the difference stays, look for the movement in {vendor}'s dashboard and write down what you \
                 found."
            ),
            Self::Extra => format!(
                "First check whether the page Safe mode lists it: then it is our payment to one of our payees, and is \
                 settled there. For any other, find out in {vendor}'s dashboard who moved it, and have it sent back if it \
                 was a mistake. Write down who explained it and why."
            ),
            Self::Amount | Self::Fee => format!(
                "Compare the object in {vendor}'s dashboard with the payment. Have your accountants book the difference and \
                 write down the reason."
            ),
            Self::Status => {
                "Look again: Bursar asks about the payment at once. If the difference stays, open the payment and settle it \
                 there, or write down what you found."
                    .to_owned()
            }
        }
    }
}

/// A vendor movement or a posting, as far as it is compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Line {
    /// The change of our balance in minor units: the amount, or for a fee its negative.
    pub minor: i64,
    /// When it happened (microseconds UTC).
    pub at: i64,
}

/// Whether movements and postings belong to a payment, and whether it has ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PaymentPhase {
    /// No payment of ours. `late`: the vendor's movement does not name what it belongs to, and we may still learn it.
    Nobody {
        /// Whether we may still learn it.
        late: bool,
    },
    /// A payment that has ended.
    Ended,
    /// An open payment: the vendor may have moved money the ledger counts only once it is claimed or known.
    Open,
}

/// The result of a comparison.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Verdict {
    /// Matching movements and postings by index, each at most once.
    pub pairs: Vec<(usize, usize)>,
    /// The result for what is unmatched.
    pub standing: Standing,
    /// The sum of the unmatched movements, in minor units.
    pub moved_minor: i128,
    /// The sum of the unmatched postings, in minor units.
    pub posted_minor: i128,
    /// The time of the oldest unmatched item (microseconds UTC); `None` if there is none.
    pub since: Option<i64>,
    /// How long the unmatched items may wait (microseconds UTC); `None` if that does not end by time.
    pub waits_until: Option<i64>,
}

/// Compares the vendor's movements of one payment, in one currency and one aspect, with our postings. Equal amounts
/// match, oldest first. What is unmatched on both sides may still add up: a transfer can come back in parts that are
/// posted at once, and an unclaimed item leaves and comes back without being posted. Items before `begun` are ignored:
/// nothing was read then.
#[must_use]
pub fn judge(
    aspect: Aspect,
    lines: &[Line],
    postings: &[Line],
    of: PaymentPhase,
    (begun, now): (i64, i64),
) -> Verdict {
    let pairs = pairs(lines, postings);
    let left = |all: &[Line], taken: &dyn Fn(usize) -> bool| -> Vec<Line> {
        let rest = all.iter().enumerate().filter(|(place, line)| !taken(*place) && line.at >= begun);
        rest.map(|(_, line)| *line).collect()
    };
    let moved = left(lines, &|place| pairs.iter().any(|(line, _)| *line == place));
    let posted = left(postings, &|place| pairs.iter().any(|(_, posting)| *posting == place));
    let sum = |rest: &[Line]| rest.iter().map(|line| i128::from(line.minor)).sum::<i128>();
    let (moved_minor, posted_minor) = (sum(&moved), sum(&posted));
    let times = || moved.iter().chain(&posted).map(|line| line.at);
    let until = times().max().map(|at| at.saturating_add(GRACE_US));
    let (standing, waits_until) = match (moved_minor == posted_minor, alarm(aspect, &moved, &posted, of)) {
        (true, _) => (Standing::Ties, None),
        (false, (_, Patience::ForEver)) => (Standing::Waits, None),
        (false, (_, Patience::Grace)) if until.is_some_and(|until| now < until) => (Standing::Waits, until),
        (false, (standing, Patience::Grace | Patience::None)) => (standing, None),
    };
    Verdict { pairs, standing, moved_minor, posted_minor, since: times().min(), waits_until }
}

/// How long to wait before alerting anybody.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Patience {
    None,
    Grace,
    ForEver,
}

/// The result for what is unmatched, and how soon it applies.
fn alarm(aspect: Aspect, moved: &[Line], posted: &[Line], of: PaymentPhase) -> (Standing, Patience) {
    let fee = aspect == Aspect::Fee;
    match (moved, posted, of) {
        (_, [], PaymentPhase::Nobody { late: false }) => (Standing::Extra, Patience::None),
        (_, [], PaymentPhase::Nobody { late: true }) => (Standing::Extra, Patience::Grace),
        (_, _, PaymentPhase::Open) => (Standing::Waits, Patience::ForEver),
        // One against one, in the same direction: no reason to wait.
        ([line], [posting], _) if line.minor.signum() == posting.minor.signum() => {
            (if fee { Standing::Fee } else { Standing::Amount }, Patience::None)
        }
        (_, _, _) if fee => (Standing::Fee, Patience::Grace),
        ([], _, _) => (Standing::Missing, Patience::Grace),
        (_, [], _) => (Standing::Status, Patience::Grace),
        (_, _, _) => (Standing::Amount, Patience::Grace),
    }
}

fn pairs(lines: &[Line], postings: &[Line]) -> Vec<(usize, usize)> {
    let by_age = |all: &[Line]| {
        let mut places: Vec<usize> = (0..all.len()).collect();
        places.sort_by_key(|place| all[*place].at);
        places
    };
    let (mut pairs, mut free) = (Vec::new(), by_age(postings));
    for line in by_age(lines) {
        let same = free.iter().position(|posting| postings[*posting].minor == lines[line].minor);
        if let Some(place) = same {
            pairs.push((line, free.remove(place)));
        }
    }
    pairs
}

/// A day of one account and currency.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Day {
    /// The sum of its movements, in minor units.
    pub moved_minor: i128,
    /// The opening balance in minor units, from the first balance the vendor reported that day.
    pub opened_minor: Option<i128>,
    /// The closing balance in minor units, from the last balance the vendor reported that day.
    pub told_minor: Option<i128>,
}

/// A day with its opening and closing balance.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Closed {
    /// The opening balance in minor units; `None` while no balance was ever reported.
    pub opening_minor: Option<i128>,
    /// The closing balance in minor units: as reported, otherwise opening plus movements.
    pub closing_minor: Option<i128>,
    /// How much the reported balance exceeds opening plus movements, in minor units.
    pub difference_minor: i128,
}

/// Checks opening balance plus movements of each day against its closing balance, oldest first. A difference affects
/// only its own day: the next one starts from the reported balance. `before` is the balance before the first day, if
/// known.
#[must_use]
pub fn chain(before: Option<i128>, days: &[Day]) -> Vec<Closed> {
    let mut known = before.or_else(|| backwards(days));
    let mut closed = Vec::with_capacity(days.len());
    for day in days {
        let opening_minor = known.or(day.opened_minor);
        let expected = opening_minor.map(|opening| opening + day.moved_minor);
        let difference_minor = match (day.told_minor, expected) {
            (Some(told), Some(expected)) => told - expected,
            (Some(_), None) | (None, _) => 0,
        };
        let closing_minor = day.told_minor.or(expected);
        closed.push(Closed { opening_minor, closing_minor, difference_minor });
        known = closing_minor;
    }
    closed
}

/// The balance before the first day, computed back from the first reported one.
fn backwards(days: &[Day]) -> Option<i128> {
    let first = days.iter().position(|day| day.opened_minor.or(day.told_minor).is_some())?;
    let before: i128 = days[..first].iter().map(|day| day.moved_minor).sum();
    let of_it = |told: i128| told - days[first].moved_minor;
    days[first].opened_minor.or(days[first].told_minor.map(of_it)).map(|opened| opened - before)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000_000;

    fn line(minor: i64, hour: i64) -> Line {
        Line { minor, at: hour * HOUR }
    }

    fn standing(aspect: Aspect, lines: &[Line], postings: &[Line], of: PaymentPhase, hour: i64) -> Standing {
        judge(aspect, lines, postings, of, (0, hour * HOUR)).standing
    }

    #[test]
    fn what_has_no_end_yet_does_not_wait_for_a_day() {
        let describe = |until| Standing::Waits.message("PayPal", until);
        assert!(describe(Some(1)).contains("normal for a day") && !describe(None).contains("day:"));
        assert!(describe(None).contains("up to 30 days"));
        assert!(!Standing::Waits.message("Stripe", None).contains("PayPal"));
    }

    #[test]
    fn every_word_is_there_once() {
        for (place, kind) in KINDS.iter().enumerate() {
            let again =
                KINDS[place + 1..].iter().any(|one| (one.vendor, one.word) == (kind.vendor, kind.word));
            assert!(!again, "{} stands there twice", kind.word);
        }
        assert_eq!(kind(Vendor::Stripe, "climate_order_purchase").part, Part::NotOurs);
        assert_eq!(kind(Vendor::PayPal, "transfer").part, Part::NotOurs, "another vendor's word");
        assert_eq!(ours(Vendor::PayPal).collect::<Vec<_>>(), ["T0001", "T0104", "T1114", "T1115"]);
    }

    #[test]
    fn how_both_sides_stand() {
        let (out, back) = (line(-100, 1), line(100, 2));
        let (nobody, late) = (PaymentPhase::Nobody { late: false }, PaymentPhase::Nobody { late: true });
        let money = Aspect::Money;
        type Row<'a> = (&'a str, Aspect, &'a [Line], &'a [Line], PaymentPhase, i64, Standing);
        let rows: &[Row<'_>] = &[
            ("both", money, &[out], &[out], PaymentPhase::Ended, 2, Standing::Ties),
            ("the posting is of the same day", money, &[], &[out], PaymentPhase::Ended, 24, Standing::Waits),
            ("the posting is a day old", money, &[], &[out], PaymentPhase::Ended, 25, Standing::Missing),
            ("made by hand", money, &[out], &[], nobody, 1, Standing::Extra),
            ("made by hand, perhaps", money, &[out], &[], late, 1, Standing::Waits),
            ("made by hand, certainly", money, &[out], &[], late, 25, Standing::Extra),
            ("not claimed yet", money, &[out], &[], PaymentPhase::Open, 900, Standing::Waits),
            ("not claimed and returned", money, &[out, back], &[], PaymentPhase::Ended, 900, Standing::Ties),
            ("reversed, not heard of", money, &[out, back], &[out], PaymentPhase::Ended, 25, Standing::Waits),
            (
                "reversed, never heard of",
                money,
                &[out, back],
                &[out],
                PaymentPhase::Ended,
                26,
                Standing::Status,
            ),
            ("another amount", money, &[line(-90, 1)], &[out], PaymentPhase::Ended, 1, Standing::Amount),
            (
                "the other way round, perhaps two things",
                money,
                &[back],
                &[out],
                PaymentPhase::Ended,
                25,
                Standing::Waits,
            ),
            ("the other way round", money, &[back], &[out], PaymentPhase::Ended, 26, Standing::Amount),
            (
                "in two parts",
                money,
                &[out, line(20, 2), line(80, 3)],
                &[out, back],
                PaymentPhase::Ended,
                3,
                Standing::Ties,
            ),
            (
                "another fee",
                Aspect::Fee,
                &[line(-3, 1)],
                &[line(-2, 1)],
                PaymentPhase::Ended,
                1,
                Standing::Fee,
            ),
            ("no fee here", Aspect::Fee, &[line(-3, 1)], &[], PaymentPhase::Ended, 2, Standing::Waits),
            ("never a fee here", Aspect::Fee, &[line(-3, 1)], &[], PaymentPhase::Ended, 25, Standing::Fee),
            (
                "a fee corrected",
                Aspect::Fee,
                &[line(-2, 1)],
                &[line(-3, 1), line(1, 2)],
                PaymentPhase::Ended,
                3,
                Standing::Ties,
            ),
        ];
        for (what, aspect, lines, postings, of, hour, expected) in rows {
            assert_eq!(standing(*aspect, lines, postings, *of, *hour), *expected, "{what}");
        }
    }

    #[test]
    fn what_is_from_before_is_held_against_nobody() {
        let (old, new) = (line(-100, 1), line(100, 30));
        let after = |begun: i64| {
            judge(Aspect::Money, &[new], &[old, new], PaymentPhase::Ended, (begun * HOUR, 90 * HOUR))
        };
        assert_eq!(after(0).standing, Standing::Missing);
        assert_eq!(after(2).standing, Standing::Ties);
        assert_eq!(after(2).pairs, [(0, 1)]);
    }

    #[test]
    fn equal_amounts_are_paired_once_each() {
        let (lines, postings) = ([line(-5, 2), line(-5, 1)], [line(-5, 1), line(-5, 3), line(-5, 4)]);
        let verdict = judge(Aspect::Money, &lines, &postings, PaymentPhase::Ended, (0, 9 * HOUR));
        assert_eq!(verdict.pairs, [(1, 0), (0, 1)]);
        assert_eq!((verdict.moved_minor, verdict.posted_minor, verdict.since), (0, -5, Some(4 * HOUR)));
    }

    #[test]
    fn a_day_is_off_by_itself() {
        let day = |moved_minor, told_minor| Day { moved_minor, told_minor, opened_minor: None };
        let days = [day(-10, None), day(-20, Some(70)), day(5, Some(74)), day(-4, None), day(0, Some(70))];
        let closed = chain(None, &days);
        let told: Vec<_> =
            closed.iter().map(|one| (one.opening_minor, one.closing_minor, one.difference_minor)).collect();
        assert_eq!(
            told,
            [
                (Some(100), Some(90), 0),
                (Some(90), Some(70), 0),
                (Some(70), Some(74), -1),
                (Some(74), Some(70), 0),
                (Some(70), Some(70), 0),
            ]
        );
        // A difference on the very first day, after a balance was reported earlier that day.
        let first = [day(-10, None), Day { opened_minor: Some(90), ..day(-20, Some(69)) }];
        let told: Vec<_> =
            chain(None, &first).iter().map(|one| (one.opening_minor, one.difference_minor)).collect();
        assert_eq!(told, [(Some(100), 0), (Some(90), -1)]);
        assert_eq!(chain(None, &[day(3, None)])[0].closing_minor, None);
        assert_eq!(chain(Some(7), &[day(3, None)])[0].closing_minor, Some(10));
    }
}
