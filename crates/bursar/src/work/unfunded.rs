//! Bank payouts Stripe refuses because the payee's balance does not cover them. Usually the money was spent between the
//! read and the payout, and the next read shows that. But if an account must keep a minimum balance, Stripe shows the
//! money as available every time and refuses every payout: such a payment is retried with increasing delays and then
//! goes to a person.
//!
//! Not here: what a refusal does to a payment (`law`), and looking for missing money (`scheduled_payouts`).

use payout::deadline;
use payout::transaction::{AttemptState, Fact, Leg};

use crate::ops::record::Observation;
use crate::store::transactions::{self, Attempt};
use crate::store::{Result, Tx};

/// Stripe's error code for a bank payout the connected balance does not cover right now.
pub(super) const CODE: &str = "balance_insufficient";
/// The maximum wait between two tries.
const LONGEST_US: i64 = 6 * 3_600_000_000;

/// The consecutive refusals since the last payout of a payment that ended in another way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Refusals {
    times: u32,
    /// When the first one was sent.
    pub(super) since: i64,
    /// When the last one was sent.
    last: i64,
}

impl Refusals {
    /// The refusals among a payment's attempts, if its newest payouts ended that way.
    pub(super) fn among<'a>(attempts: impl IntoIterator<Item = &'a Attempt>) -> Option<Self> {
        let payouts = attempts.into_iter().filter(|one| one.leg == Leg::Payout);
        let mut ended: Vec<&Attempt> = payouts.filter(|one| one.state != AttemptState::Queued).collect();
        ended.sort_by_key(|one| std::cmp::Reverse(one.number));
        let refused = |one: &&&Attempt| {
            one.state == AttemptState::Failed
                && one.reason_code.as_deref() == Some(CODE)
                && one.vendor_id.is_none()
        };
        let run: Vec<i64> =
            ended.iter().take_while(refused).filter_map(|one| one.first_sent_at.or(one.ended_at)).collect();
        let (since, last) = (*run.last()?, *run.first()?);
        Some(Self { times: u32::try_from(run.len()).unwrap_or(u32::MAX), since, last })
    }

    /// When to try the next payout: the wait doubles each time.
    pub(super) fn next_at(self, now: i64, first_wait_us: i64) -> i64 {
        let doubled = 1_i64.checked_shl(self.times.saturating_sub(1).min(32)).unwrap_or(i64::MAX);
        now.saturating_add(first_wait_us.saturating_mul(doubled).min(LONGEST_US.max(first_wait_us)))
    }

    /// Whether this has gone on so long that a person must find out why. Measured from the first refusal to the last:
    /// after a single one, nobody may have tried since.
    pub(super) fn for_long(self) -> bool {
        self.times > 1 && self.last.saturating_sub(self.since) >= deadline::MISSING_US
    }
}

/// Postpones the next payout of payments that were just refused, doubling the wait each time.
pub(super) async fn put_off(
    tx: &mut Tx,
    observations: &[Observation],
    now: i64,
    first_wait_us: i64,
) -> Result<()> {
    let refused = observations.iter().filter(|one| matches!(one.fact, Fact::Unfunded(_)));
    for of in refused.map(|one| one.transaction) {
        let refusals = Refusals::among(&transactions::attempts(tx, &[of]).await?);
        let next_at = refusals.map_or(now + first_wait_us, |refusals| refusals.next_at(now, first_wait_us));
        transactions::postpone(tx, &[of], next_at).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use payout::ids::{AttemptId, TransactionId};

    fn payout(number: i64, state: AttemptState, reason: Option<&str>) -> Attempt {
        Attempt {
            id: AttemptId::fresh(0, 1),
            transaction: TransactionId::fresh(0, 1),
            leg: Leg::Payout,
            number,
            state,
            submission: None,
            vendor_id: None,
            reason_code: reason.map(str::to_owned),
            first_sent_at: Some(number * 1_000),
            ended_at: None,
            fee_minor: 0,
            reversed_minor: 0,
            contradicted_at: None,
        }
    }

    #[test]
    fn refusals_count_since_the_last_payout_that_ended_otherwise() {
        let refused = |number| payout(number, AttemptState::Failed, Some(CODE));
        let queued = |number| payout(number, AttemptState::Queued, None);
        let of = |attempts: &[Attempt]| Refusals::among(attempts).map(|one| (one.times, one.since));
        assert_eq!(of(&[queued(1)]), None);
        assert_eq!(of(&[refused(1), queued(2)]), Some((1, 1_000)));
        let closed = payout(2, AttemptState::Failed, Some("account_closed"));
        assert_eq!(of(&[refused(1), closed, refused(3), refused(4), queued(5)]), Some((2, 3_000)));
        let not_made = payout(2, AttemptState::Failed, Some("not_made"));
        assert_eq!(of(&[refused(1), not_made, queued(3)]), None, "a person has found out why");
    }

    #[test]
    fn a_payout_that_is_refused_again_and_again_is_tried_a_few_times() {
        let (minute, mut now, mut times) = (60_000_000, 0, 0);
        loop {
            times += 1;
            let refused = Refusals { times, since: 0, last: now };
            if refused.for_long() {
                break;
            }
            now = refused.next_at(now, minute);
        }
        assert!((10..20).contains(&times), "{times}");
    }

    #[test]
    fn one_refusal_is_no_refusal_each_time_however_long_ago() {
        let long = deadline::MISSING_US;
        assert!(!Refusals { times: 1, since: 0, last: 0 }.for_long());
        assert!(!Refusals { times: 2, since: 0, last: long - 1 }.for_long());
        assert!(Refusals { times: 2, since: 0, last: long }.for_long());
    }
}
