//! What must always hold, asked of the database: each statement names the rows that break a rule, and there are none.

use sqlx::Row as _;

use super::{Db, Result};

/// A rule that one statement checks.
pub struct Rule {
    /// The invariant's number in the payment protocol.
    pub id: &'static str,
    /// What must hold.
    pub says: &'static str,
    /// Names what breaks it.
    breaks: &'static str,
    /// How many things it was asked of.
    counts: &'static str,
}

/// The rules that the database can tell by itself. The vendors' own books are compared by the tests, from outside.
pub const RULES: &[Rule] = &[
    Rule {
        id: "I02",
        says: "each success has exactly one movement out of our balance, of its net amount and currency",
        breaks: "SELECT t.id FROM payout_transaction t WHERE t.state = 'success' AND t.net_minor <> COALESCE((\
                 SELECT -SUM(p.amount_minor) FROM journal j JOIN posting p ON p.journal_id = j.id \
                 WHERE j.subject = t.id AND j.movement IN ('post', 'reverse', 'recall') \
                 AND p.account = 'vendor_balance:' || t.vendor AND p.currency = t.currency), 0)",
        counts: "SELECT COUNT(*) FROM payout_transaction WHERE state = 'success'",
    },
    Rule {
        id: "I04",
        says: "what is in flight is exactly what unsettled payments have promised",
        breaks: "SELECT account || ' ' || currency FROM (\
                 SELECT p.account, p.currency, SUM(p.amount_minor) AS booked FROM posting p \
                 WHERE p.account LIKE 'in_flight:%' GROUP BY p.account, p.currency) b \
                 WHERE b.booked <> -COALESCE((SELECT SUM(t.amount_minor) FROM payout_transaction t \
                 WHERE 'in_flight:' || t.vendor = b.account AND t.currency = b.currency AND t.state IN \
                 ('queued', 'sending', 'unknown', 'review', 'processing', 'on_hold', 'unclaimed')), 0)",
        counts: "SELECT COUNT(DISTINCT account || currency) FROM posting WHERE account LIKE 'in_flight:%'",
    },
    Rule {
        id: "I05",
        says: "every journal sums to zero in every currency",
        breaks: "SELECT DISTINCT journal_id FROM posting GROUP BY journal_id, currency HAVING SUM(amount_minor) <> 0",
        counts: "SELECT COUNT(*) FROM journal",
    },
    Rule {
        id: "I06",
        says: "a payment's amount is the sum of its rewards",
        breaks: "SELECT t.id FROM payout_transaction t LEFT JOIN transaction_reward tr ON tr.transaction_id = t.id \
                 GROUP BY t.id, t.amount_minor HAVING COALESCE(SUM(tr.amount_minor), 0) <> t.amount_minor",
        counts: "SELECT COUNT(*) FROM payout_transaction",
    },
    Rule {
        id: "I06",
        says: "a reward is in at most one live payment, and only together with its batch",
        breaks: "SELECT tr.reward_id FROM transaction_reward tr JOIN payout_transaction t ON t.id = tr.transaction_id \
                 WHERE t.released_at IS NULL GROUP BY tr.reward_id HAVING COUNT(*) > 1 \
                 UNION SELECT r.id FROM reward r LEFT JOIN batch b ON b.id = r.batch_id \
                 WHERE b.deleted_at IS NOT NULL OR (b.pay_pressed_at IS NOT NULL AND r.transaction_id IS NULL) \
                 OR (r.transaction_id IS NOT NULL AND b.pay_pressed_at IS NULL)",
        counts: "SELECT COUNT(*) FROM reward",
    },
    Rule {
        id: "I07",
        says: "one attempt of a leg may hold money, and every later one follows a definite end of the one before",
        breaks: "SELECT transaction_id FROM attempt WHERE state NOT IN ('failed', 'returned') \
                 GROUP BY transaction_id, leg HAVING COUNT(*) > 1 \
                 UNION SELECT a.transaction_id FROM attempt a JOIN attempt b ON b.transaction_id = a.transaction_id \
                 AND b.leg = a.leg AND b.number = a.number + 1 WHERE a.ended_at IS NULL",
        counts: "SELECT COUNT(*) FROM attempt",
    },
    Rule {
        id: "I09",
        says: "nothing is sent without a committed intention",
        breaks: "SELECT id FROM attempt WHERE first_sent_at IS NOT NULL AND submission_id IS NULL",
        counts: "SELECT COUNT(*) FROM attempt WHERE first_sent_at IS NOT NULL",
    },
    Rule {
        id: "I16",
        says: "a deleted batch has no payments and holds no rewards",
        breaks: "SELECT b.id FROM batch b WHERE b.deleted_at IS NOT NULL AND (\
                 EXISTS (SELECT 1 FROM payout_transaction t WHERE t.batch_id = b.id) \
                 OR EXISTS (SELECT 1 FROM reward r WHERE r.batch_id = b.id))",
        counts: "SELECT COUNT(*) FROM batch WHERE deleted_at IS NOT NULL",
    },
    Rule {
        id: "I19",
        says: "an event acts at most once",
        breaks: "SELECT event_id FROM timeline WHERE event_id IS NOT NULL \
                 GROUP BY transaction_id, event_id, effect HAVING COUNT(*) > 1",
        counts: "SELECT COUNT(*) FROM vendor_event",
    },
    Rule {
        id: "I27",
        says: "what waits for a person says so: a submission under review has its payment under review",
        breaks: "SELECT s.key FROM submission s JOIN attempt a ON a.submission_id = s.id \
                 WHERE s.state = 'needs_review' AND a.state IN ('queued', 'sending', 'unknown')",
        counts: "SELECT COUNT(*) FROM submission WHERE state = 'needs_review'",
    },
];

/// What breaks a rule, and how many things it was asked of.
///
/// # Errors
/// When the database does not answer.
pub async fn check(db: &mut Db, rule: &Rule) -> Result<(Vec<String>, i64)> {
    let rows = db.all(sqlx::query(rule.breaks)).await?;
    let broken = rows.iter().map(|row| Ok(row.try_get(0)?)).collect::<Result<_>>()?;
    Ok((broken, db.one(sqlx::query(rule.counts)).await?.try_get(0)?))
}
