//! Rewards: the unit that is paid at most once, and what people may do to one before it is paid.
//!
//! Not here: whether it can be *paid* ([`crate::eligibility`]). Being in a batch or a payment is an input, not decided
//! here.

use crate::Refusal;
use crate::spelling::spelled;

spelled! {
    /// The decision about a reward. In a payout, paid and expired are derived, see [`Placement`].
    RewardStatus {
        /// Entered; nobody has looked at it yet.
        Submitted = "submitted",
        /// Under review, or its value was changed after approval.
        InReview = "in_review",
        /// Approved for payment.
        Approved = "approved",
        /// Rejected; the reason is kept.
        Rejected = "rejected",
        /// Voided after approval; the reason is kept.
        Void = "void",
    }
}

spelled! {
    /// The status shown to people.
    Shown {
        /// See [`RewardStatus::Submitted`].
        Submitted = "submitted",
        /// See [`RewardStatus::InReview`].
        InReview = "in_review",
        /// See [`RewardStatus::Approved`].
        Approved = "approved",
        /// See [`RewardStatus::Rejected`].
        Rejected = "rejected",
        /// See [`RewardStatus::Void`].
        Void = "void",
        /// In a batch, or in a payment that has not succeeded.
        InPayout = "in_payout",
        /// Its payment succeeded, or it was marked as paid outside.
        Paid = "paid",
        /// Approved, but it expired before it was in a batch.
        Expired = "expired",
    }
}

impl Shown {
    /// The name shown on pages.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Submitted => "Submitted",
            Self::InReview => "In Review",
            Self::Approved => "Approved",
            Self::Rejected => "Rejected",
            Self::Void => "Void",
            Self::InPayout => "In payout",
            Self::Paid => "Paid",
            Self::Expired => "Expired",
        }
    }
}

spelled! {
    /// The kind of reward: money, or points that are never paid out.
    RewardType {
        /// A reward in money.
        Cash = "cash",
        /// A reward in points.
        Points = "points",
    }
}

impl RewardType {
    /// The name shown on pages.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Cash => "Cash Reward",
            Self::Points => "Points Reward",
        }
    }
}

spelled! {
    /// Who is paid for a cash reward.
    PaymentType {
        /// The partner is paid.
        Individual = "individual",
        /// Their company is paid, together with its other users' rewards.
        Organization = "organization",
    }
}

impl PaymentType {
    /// The name shown on pages.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Individual => "Individual",
            Self::Organization => "Organization",
        }
    }
}

spelled! {
    /// Whether a reward adds to what a payee is owed or subtracts from it. Its value is positive either way.
    Entry {
        /// Adds to what is owed.
        Earned = "earned",
        /// Earned wrongly and already paid: subtracted from the next claim.
        Clawback = "clawback",
    }
}

/// How far a reward has got on its way to being paid.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Placement<Batch> {
    /// In no batch.
    Free,
    /// In a draft batch.
    InBatch(Batch),
    /// In a payment that has not succeeded.
    InFlight,
    /// Paid, at this time (microseconds UTC).
    Paid(i64),
}

/// The facts that decide about the commands below.
#[derive(Clone, Copy, Debug)]
pub struct Standing {
    /// The current decision.
    pub status: RewardStatus,
    /// It is in a batch, in flight or paid.
    pub placed: bool,
    /// It has been approved at some time.
    pub ever_approved: bool,
    /// The actor is the reward's owner.
    pub asked_by_owner: bool,
    /// The vendor reports that a payment covering it was made after all, and nobody has settled that yet.
    pub contradicted: bool,
}

/// The status shown to people for a stored status and placement.
#[must_use]
pub fn shown<Batch>(
    status: RewardStatus,
    placement: &Placement<Batch>,
    expires_at: Option<i64>,
    now: i64,
) -> Shown {
    match (status, placement) {
        (_, Placement::Paid(_)) => Shown::Paid,
        (_, Placement::InBatch(_) | Placement::InFlight) => Shown::InPayout,
        (RewardStatus::Approved, Placement::Free) if expires_at.is_some_and(|end| end <= now) => {
            Shown::Expired
        }
        (RewardStatus::Approved, Placement::Free) => Shown::Approved,
        (RewardStatus::Submitted, Placement::Free) => Shown::Submitted,
        (RewardStatus::InReview, Placement::Free) => Shown::InReview,
        (RewardStatus::Rejected, Placement::Free) => Shown::Rejected,
        (RewardStatus::Void, Placement::Free) => Shown::Void,
    }
}

/// Approves a reward. Returns the next status.
///
/// # Errors
/// `not_pending` unless it is submitted or in review; `own_reward` for its owner.
pub fn approve(standing: Standing) -> Result<RewardStatus, Refusal> {
    decidable(standing, "approved")?;
    if standing.asked_by_owner {
        return Err(Refusal::new(
            "own_reward",
            "Nobody can approve their own reward. Ask another reviewer to approve it.",
        ));
    }
    Ok(RewardStatus::Approved)
}

/// Rejects a reward with a reason. Returns the next status.
///
/// # Errors
/// `not_pending` unless it is submitted or in review; `reason_required` without a reason.
pub fn reject(standing: Standing, reason: &str) -> Result<RewardStatus, Refusal> {
    decidable(standing, "rejected")?;
    with_reason(reason, "reject")?;
    Ok(RewardStatus::Rejected)
}

/// Takes a reward into review. Returns the next status.
///
/// # Errors
/// `not_pending` unless it is submitted or in review.
pub fn review(standing: Standing) -> Result<RewardStatus, Refusal> {
    decidable(standing, "taken into review")?;
    Ok(RewardStatus::InReview)
}

/// Voids a reward with a reason. Returns the next status.
///
/// # Errors
/// `reward_in_payout` while it is in a batch, in flight or paid; `payment_contradicted`; `already_void`;
/// `reason_required`.
pub fn void(standing: Standing, reason: &str) -> Result<RewardStatus, Refusal> {
    untouched(standing, "voided")?;
    settled(standing, "voided")?;
    if standing.status == RewardStatus::Void {
        return Err(Refusal::new("already_void", "This reward is already void."));
    }
    with_reason(reason, "void")?;
    Ok(RewardStatus::Void)
}

/// The next status after its value is changed: an approved reward must be reviewed again.
///
/// # Errors
/// `reward_in_payout` while it is in a batch, in flight or paid; `payment_contradicted`; `reward_closed` after it was
/// rejected or voided.
pub fn edit_value(standing: Standing) -> Result<RewardStatus, Refusal> {
    untouched(standing, "edited")?;
    settled(standing, "edited")?;
    match standing.status {
        RewardStatus::Submitted => Ok(RewardStatus::Submitted),
        RewardStatus::InReview | RewardStatus::Approved => Ok(RewardStatus::InReview),
        RewardStatus::Rejected | RewardStatus::Void => Err(Refusal::new(
            "reward_closed",
            "A rejected or void reward cannot be edited. Enter a new reward instead.",
        )),
    }
}

/// Checks whether a reward may be deleted.
///
/// # Errors
/// `reward_in_payout`, or `was_approved` if it was ever approved: then it is voided instead, so that the ledger keeps
/// the reason.
pub fn delete(standing: Standing) -> Result<(), Refusal> {
    untouched(standing, "deleted")?;
    if standing.ever_approved {
        return Err(Refusal::new(
            "was_approved",
            "This reward was approved once, so it stays in the books. Void it with a reason instead.",
        ));
    }
    Ok(())
}

/// How long a bulk decision can be undone, in microseconds.
pub const UNDO_US: i64 = 10 * 60 * 1_000_000;

/// Checks whether a bulk decision may be undone.
///
/// # Errors
/// `already_undone`, or `too_late` after [`UNDO_US`].
pub fn undo(decided_at: i64, undone: bool, now: i64) -> Result<(), Refusal> {
    if undone {
        return Err(Refusal::new("already_undone", "This decision was already undone."));
    }
    if now > decided_at.saturating_add(UNDO_US) {
        return Err(Refusal::new(
            "too_late",
            "More than ten minutes have passed, so this decision can no longer be undone. Edit, void or decide single rewards instead.",
        ));
    }
    Ok(())
}

/// Checks whether undoing may restore a reward's previous status. `unchanged`: it is still at the version the decision
/// left.
///
/// # Errors
/// `reward_in_payout` if it is in a batch, in flight or paid; `changed_since` if anything about it was changed.
pub fn check_restorable(placed: bool, unchanged: bool) -> Result<(), Refusal> {
    if placed {
        return Err(Refusal::new(
            "reward_in_payout",
            "It has been added to a payout since, so its decision cannot be undone. Take it out of the batch first.",
        ));
    }
    if !unchanged {
        return Err(Refusal::new(
            "changed_since",
            "Somebody has changed it since, so its decision cannot be undone.",
        ));
    }
    Ok(())
}

fn decidable(standing: Standing, what: &str) -> Result<(), Refusal> {
    if matches!(standing.status, RewardStatus::Submitted | RewardStatus::InReview) && !standing.placed {
        return Ok(());
    }
    Err(Refusal::new(
        "not_pending",
        format!(
            "Only a reward that is Submitted or In Review can be {what}; this one is {}.",
            standing.status.as_str()
        ),
    ))
}

fn untouched(standing: Standing, what: &str) -> Result<(), Refusal> {
    if !standing.placed {
        return Ok(());
    }
    Err(Refusal::new(
        "reward_in_payout",
        format!(
            "This reward is in a payout or paid, so it cannot be {what}. Take it out of the batch first; once paid, enter a clawback."
        ),
    ))
}

fn settled(standing: Standing, what: &str) -> Result<(), Refusal> {
    if !standing.contradicted {
        return Ok(());
    }
    Err(Refusal::new(
        "payment_contradicted",
        format!(
            "The vendor says that a payment of this reward was made after all, so it cannot be {what} yet. Settle that payment by hand first; then the reward is either paid or free."
        ),
    ))
}

fn with_reason(reason: &str, what: &str) -> Result<(), Refusal> {
    if reason.trim().is_empty() {
        Err(Refusal::new(
            "reason_required",
            format!("Give a reason to {what} this reward; it is stored with the reward."),
        )
        .at("reason"))
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code<T>(answer: Result<T, Refusal>) -> Option<&'static str> {
        answer.err().map(|refusal| refusal.code)
    }

    const GOOD: Standing = Standing {
        status: RewardStatus::Submitted,
        placed: false,
        ever_approved: false,
        asked_by_owner: false,
        contradicted: false,
    };

    fn word(answer: Result<RewardStatus, Refusal>) -> &'static str {
        answer.map_or_else(|refusal| refusal.code, RewardStatus::as_str)
    }

    /// The result of each command in each status, or the code of its refusal.
    fn print(standing: Standing) -> String {
        let mut table = String::new();
        for status in RewardStatus::ALL {
            let at = Standing { status: *status, ..standing };
            let deleted = code(delete(at)).unwrap_or("deleted");
            let next = [
                word(approve(at)),
                word(reject(at, "no receipt")),
                word(review(at)),
                word(void(at, "entered twice")),
                word(edit_value(at)),
                deleted,
            ];
            table +=
                &format!("{:<10} {}\n", status.as_str(), next.map(|word| format!("{word:<21}")).concat());
        }
        let lines: Vec<&str> = table.lines().map(str::trim_end).collect();
        lines.join("\n")
    }

    #[test]
    fn what_may_be_done_to_a_reward() {
        // The columns: approve, reject, review, void, edit the value, delete.
        insta::assert_snapshot!(print(GOOD), @r"
        submitted  approved             rejected             in_review            void                 submitted            deleted
        in_review  approved             rejected             in_review            void                 in_review            deleted
        approved   not_pending          not_pending          not_pending          void                 in_review            deleted
        rejected   not_pending          not_pending          not_pending          void                 reward_closed        deleted
        void       not_pending          not_pending          not_pending          already_void         reward_closed        deleted
        ");
    }

    #[test]
    fn what_may_be_done_to_a_reward_that_was_approved_once() {
        insta::assert_snapshot!(print(Standing { ever_approved: true, ..GOOD }), @r"
        submitted  approved             rejected             in_review            void                 submitted            was_approved
        in_review  approved             rejected             in_review            void                 in_review            was_approved
        approved   not_pending          not_pending          not_pending          void                 in_review            was_approved
        rejected   not_pending          not_pending          not_pending          void                 reward_closed        was_approved
        void       not_pending          not_pending          not_pending          already_void         reward_closed        was_approved
        ");
    }

    #[test]
    fn nothing_is_done_to_a_reward_in_a_payout() {
        insta::assert_snapshot!(print(Standing { placed: true, ..GOOD }), @r"
        submitted  not_pending          not_pending          not_pending          reward_in_payout     reward_in_payout     reward_in_payout
        in_review  not_pending          not_pending          not_pending          reward_in_payout     reward_in_payout     reward_in_payout
        approved   not_pending          not_pending          not_pending          reward_in_payout     reward_in_payout     reward_in_payout
        rejected   not_pending          not_pending          not_pending          reward_in_payout     reward_in_payout     reward_in_payout
        void       not_pending          not_pending          not_pending          reward_in_payout     reward_in_payout     reward_in_payout
        ");
    }

    #[test]
    fn what_its_vendor_contradicts_keeps_its_value() {
        insta::assert_snapshot!(print(Standing { contradicted: true, ..GOOD }), @r"
        submitted  approved             rejected             in_review            payment_contradicted payment_contradicted deleted
        in_review  approved             rejected             in_review            payment_contradicted payment_contradicted deleted
        approved   not_pending          not_pending          not_pending          payment_contradicted payment_contradicted deleted
        rejected   not_pending          not_pending          not_pending          payment_contradicted payment_contradicted deleted
        void       not_pending          not_pending          not_pending          payment_contradicted payment_contradicted deleted
        ");
    }

    #[test]
    fn nobody_approves_their_own_reward() {
        insta::assert_snapshot!(print(Standing { asked_by_owner: true, ..GOOD }), @r"
        submitted  own_reward           rejected             in_review            void                 submitted            deleted
        in_review  own_reward           rejected             in_review            void                 in_review            deleted
        approved   not_pending          not_pending          not_pending          void                 in_review            deleted
        rejected   not_pending          not_pending          not_pending          void                 reward_closed        deleted
        void       not_pending          not_pending          not_pending          already_void         reward_closed        deleted
        ");
    }

    #[test]
    fn a_reason_is_kept_with_what_is_not_paid() {
        let approved = Standing { status: RewardStatus::Approved, ..GOOD };
        for reason in ["", "  ", "\n\t"] {
            for answer in [reject(GOOD, reason), void(approved, reason)] {
                let refusal = answer.unwrap_err();
                assert_eq!((refusal.code, refusal.field), ("reason_required", Some("reason")), "{reason:?}");
            }
        }
    }

    #[test]
    fn what_people_see_of_a_reward() {
        let (free, paid) = (Placement::<u8>::Free, Placement::Paid(3));
        let rows = [
            (RewardStatus::Submitted, free, Some(5), 9, Shown::Submitted),
            (RewardStatus::InReview, free, None, 9, Shown::InReview),
            (RewardStatus::Rejected, free, None, 9, Shown::Rejected),
            (RewardStatus::Void, free, None, 9, Shown::Void),
            (RewardStatus::Approved, free, None, 9, Shown::Approved),
            (RewardStatus::Approved, free, Some(10), 9, Shown::Approved),
            (RewardStatus::Approved, free, Some(9), 9, Shown::Expired),
            (RewardStatus::Approved, Placement::InBatch(1), Some(5), 9, Shown::InPayout),
            (RewardStatus::Approved, Placement::InFlight, None, 9, Shown::InPayout),
            (RewardStatus::Approved, paid, Some(5), 9, Shown::Paid),
            (RewardStatus::Void, paid, None, 9, Shown::Paid),
        ];
        for (status, placement, expires_at, now, expected) in rows {
            assert_eq!(shown(status, &placement, expires_at, now), expected, "{status:?} {placement:?}");
        }
    }

    #[test]
    fn a_decision_about_many_is_taken_back_once_and_within_ten_minutes() {
        let ten_minutes = 600_000_000;
        assert_eq!(code(undo(1_000, false, 999 + ten_minutes)), None);
        assert_eq!(code(undo(1_000, false, 1_000 + ten_minutes)), None);
        assert_eq!(code(undo(1_000, false, 1_001 + ten_minutes)), Some("too_late"));
        assert_eq!(code(undo(1_000, true, 1_001)), Some("already_undone"));
        assert_eq!(code(check_restorable(false, true)), None);
        assert_eq!(code(check_restorable(false, false)), Some("changed_since"));
        assert_eq!(
            code(check_restorable(true, false)),
            Some("reward_in_payout"),
            "what is being paid is told first"
        );
    }
}
