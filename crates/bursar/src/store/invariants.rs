//! Invariants checked in the database: each query returns the rows that violate one, and must return none.

use sqlx::{AssertSqlSafe, Row as _};

use super::{Db, MOST_VALUES, Result, Value, Where, expanded};

/// A rule checked by one query.
pub struct Rule {
    /// The invariant's number in the payment protocol.
    pub id: &'static str,
    pub says: &'static str,
    /// It concerns money: while it is violated, nothing is sent.
    pub stops: bool,
    /// Selects violations. `{PAYMENTS}` stands for the payments to check: all of them, or some.
    breaks: &'static str,
    /// Counts how many objects were checked.
    counts: &'static str,
}

/// The rules that the database alone can check. Sums use a wider type than the columns, so that no amount overflows
/// one. Tests compare the vendors' own books from outside.
pub const RULES: &[Rule] = &[
    Rule {
        id: "I01",
        says: "a reward is paid exactly when its payment has succeeded or was made in another way",
        stops: true,
        breaks: "SELECT r.id FROM {PAYMENTS} t JOIN reward r ON r.transaction_id = t.id \
                 WHERE (r.paid_at IS NOT NULL AND t.state <> 'success' AND t.outside_at IS NULL) \
                 OR (r.paid_at IS NULL AND (t.state = 'success' OR t.outside_at IS NOT NULL))",
        counts: "SELECT COUNT(*) FROM reward WHERE transaction_id IS NOT NULL",
    },
    Rule {
        id: "I01",
        says: "what is paid was paid by a payment",
        stops: true,
        breaks: "SELECT id FROM reward WHERE paid_at IS NOT NULL AND transaction_id IS NULL",
        counts: "SELECT COUNT(*) FROM reward WHERE paid_at IS NOT NULL",
    },
    Rule {
        id: "I02",
        says: "each success has exactly one movement out of our balance, of its net amount and currency",
        stops: true,
        breaks: "SELECT id FROM (SELECT id, {sum(minor) AS off} FROM (\
                 SELECT t.id AS id, t.net_minor AS minor FROM {PAYMENTS} t WHERE t.state = 'success' \
                 UNION ALL SELECT t.id, p.amount_minor FROM {PAYMENTS} t \
                 JOIN journal j ON j.subject = t.id JOIN posting p ON p.journal_id = j.id \
                 WHERE t.state = 'success' AND j.movement IN ('post', 'reverse', 'recall') \
                 AND j.id NOT LIKE '%_beside_post' \
                 AND p.account = 'vendor_balance:' || t.vendor AND p.currency = t.currency) both_sides \
                 GROUP BY id) sums WHERE off_high <> 0 OR off_low <> 0",
        counts: "SELECT COUNT(*) FROM payout_transaction WHERE state = 'success'",
    },
    Rule {
        id: "I03",
        says: "what a vendor made belongs to one payment",
        stops: true,
        breaks: "SELECT vendor_id FROM attempt WHERE vendor_id IS NOT NULL AND leg IN ('transfer', 'reversal', 'item') \
                 GROUP BY vendor_id HAVING COUNT(DISTINCT transaction_id) > 1",
        counts: "SELECT COUNT(*) FROM attempt WHERE vendor_id IS NOT NULL AND leg IN ('transfer', 'reversal', 'item')",
    },
    Rule {
        id: "I04",
        says: "what is in flight is exactly what unsettled payments have promised",
        stops: true,
        breaks: "SELECT account || ' ' || currency FROM (SELECT account, currency, {sum(minor) AS off} FROM (\
                 SELECT p.account AS account, p.currency AS currency, p.amount_minor AS minor FROM posting p \
                 WHERE p.account LIKE 'in_flight:%' \
                 UNION ALL SELECT 'in_flight:' || t.vendor, t.currency, t.amount_minor FROM payout_transaction t \
                 WHERE t.state IN ('queued', 'sending', 'unknown', 'review', 'processing', 'on_hold', 'unclaimed')\
                 ) both_sides GROUP BY account, currency) sums WHERE off_high <> 0 OR off_low <> 0",
        counts: "SELECT COUNT(DISTINCT account || currency) FROM posting WHERE account LIKE 'in_flight:%'",
    },
    Rule {
        id: "I04",
        says: "what lies in payees' balances is exactly what refused bank payouts left there",
        stops: true,
        breaks: "SELECT account || ' ' || currency FROM (SELECT account, currency, {sum(minor) AS off} FROM (\
                 SELECT p.account AS account, p.currency AS currency, p.amount_minor AS minor FROM posting p \
                 WHERE p.account LIKE 'returned:%' \
                 UNION ALL SELECT 'returned:' || t.vendor, t.currency, -t.net_minor FROM payout_transaction t \
                 WHERE t.state IN ('payout_failed', 'payout_canceled', 'recalling')\
                 ) both_sides GROUP BY account, currency) sums WHERE off_high <> 0 OR off_low <> 0",
        counts: "SELECT COUNT(DISTINCT account || currency) FROM posting WHERE account LIKE 'returned:%'",
    },
    Rule {
        id: "I04",
        says: "of each payment just what it promises is in flight, and just what its bank refused lies in its payee's balance",
        stops: true,
        breaks: "SELECT DISTINCT id FROM (SELECT id, lies, {sum(minor) AS off} FROM (\
                 SELECT t.id AS id, CASE WHEN p.account LIKE 'in_flight:%' THEN 'in flight' ELSE 'parked' END AS lies, \
                 p.amount_minor AS minor FROM {PAYMENTS} t JOIN journal j ON j.subject = t.id \
                 JOIN posting p ON p.journal_id = j.id WHERE p.account LIKE 'in_flight:%' OR p.account LIKE 'returned:%' \
                 UNION ALL SELECT t.id, 'in flight', t.amount_minor FROM {PAYMENTS} t \
                 WHERE t.state IN ('queued', 'sending', 'unknown', 'review', 'processing', 'on_hold', 'unclaimed') \
                 UNION ALL SELECT t.id, 'parked', -t.net_minor FROM {PAYMENTS} t \
                 WHERE t.state IN ('payout_failed', 'payout_canceled', 'recalling')\
                 ) both_sides GROUP BY id, lies) sums WHERE off_high <> 0 OR off_low <> 0",
        counts: "SELECT COUNT(*) FROM payout_transaction",
    },
    Rule {
        id: "I04",
        // A second payment counts again, and the books show it as owed by the payee: an extra attempt, rewards paid
        // again, or paid both by the vendor and outside. Its clawback posts nothing by itself, but forgiving it does.
        // If the second payment is returned, the clawback is void and nothing is posted.
        says: "each payee is owed exactly what was approved and is neither promised nor paid",
        stops: true,
        breaks: "SELECT payee || ' ' || currency FROM (SELECT payee, currency, {sum(minor) AS off} FROM (\
                 SELECT r.payee AS payee, r.currency AS currency, \
                 CASE WHEN r.entry = 'clawback' THEN -r.value_minor ELSE r.value_minor END AS minor \
                 FROM reward r WHERE r.status = 'approved' AND r.payee IS NOT NULL AND r.currency IS NOT NULL \
                 UNION ALL SELECT r.payee, r.currency, r.value_minor FROM reward r WHERE r.entry = 'clawback' \
                 AND r.status = 'approved' \
                 AND NOT EXISTS (SELECT 1 FROM journal j WHERE j.subject = r.id AND j.movement = 'clawback') \
                 UNION ALL SELECT r.payee, p.currency, -p.amount_minor FROM reward r \
                 JOIN journal j ON j.subject = r.id JOIN posting p ON p.journal_id = j.id \
                 WHERE r.entry = 'clawback' AND j.movement IN ('approve', 'unapprove') AND p.account LIKE 'payable:%' \
                 AND NOT EXISTS (SELECT 1 FROM journal k WHERE k.subject = r.id AND k.movement = 'clawback') \
                 UNION ALL SELECT t.payee, t.currency, -t.amount_minor FROM payout_transaction t \
                 WHERE t.state NOT IN ('failed', 'payout_failed', 'payout_canceled', \
                 'recalling', 'recalled', 'returned', 'blocked', 'refunded', 'reversed', 'written_off') \
                 UNION ALL SELECT t.payee, t.currency, -t.amount_minor FROM payout_transaction t \
                 WHERE t.outside_at IS NOT NULL \
                 UNION ALL SELECT SUBSTR(p.account, 9), p.currency, -p.amount_minor FROM journal j \
                 JOIN posting p ON p.journal_id = j.id \
                 WHERE j.id LIKE '%_beside_post' AND p.account LIKE 'payable:%' \
                 UNION ALL SELECT t.payee, t.currency, -t.amount_minor FROM journal j \
                 JOIN payout_transaction t ON t.id = j.subject WHERE j.id LIKE '%_in_place_outside' \
                 OR (j.movement = 'outside' AND t.outside_at IS NULL) \
                 UNION ALL SELECT SUBSTR(p.account, 9), p.currency, p.amount_minor FROM posting p \
                 WHERE p.account LIKE 'payable:%') both_sides GROUP BY payee, currency) sums \
                 WHERE (off_high <> 0 OR off_low <> 0) AND NOT EXISTS (SELECT 1 FROM payout_transaction t \
                 WHERE t.payee = sums.payee AND t.contradicted_at IS NOT NULL)",
        counts: "SELECT COUNT(DISTINCT account || currency) FROM posting WHERE account LIKE 'payable:%'",
    },
    Rule {
        id: "I05",
        says: "every journal sums to zero in every currency",
        stops: true,
        breaks: "SELECT DISTINCT journal_id FROM (SELECT journal_id, currency, {sum(amount_minor) AS off} FROM posting \
                 GROUP BY journal_id, currency) sums WHERE off_high <> 0 OR off_low <> 0",
        counts: "SELECT COUNT(*) FROM journal",
    },
    Rule {
        id: "I06",
        says: "a payment's amount is the sum of its rewards",
        stops: true,
        breaks: "SELECT id FROM (SELECT id, {sum(minor) AS off} FROM (\
                 SELECT t.id AS id, -t.amount_minor AS minor FROM {PAYMENTS} t \
                 UNION ALL SELECT tr.transaction_id, tr.amount_minor FROM {PAYMENTS} t \
                 JOIN transaction_reward tr ON tr.transaction_id = t.id) both_sides \
                 GROUP BY id) sums WHERE off_high <> 0 OR off_low <> 0",
        counts: "SELECT COUNT(*) FROM payout_transaction",
    },
    Rule {
        id: "I06",
        says: "a reward is in at most one live payment, and only together with its batch",
        stops: true,
        breaks: "SELECT tr.reward_id FROM transaction_reward tr JOIN payout_transaction t ON t.id = tr.transaction_id \
                 WHERE t.released_at IS NULL GROUP BY tr.reward_id HAVING COUNT(*) > 1 \
                 UNION SELECT r.id FROM reward r LEFT JOIN batch b ON b.id = r.batch_id \
                 WHERE b.deleted_at IS NOT NULL OR (b.pay_pressed_at IS NOT NULL AND r.transaction_id IS NULL) \
                 OR (r.transaction_id IS NOT NULL AND b.pay_pressed_at IS NULL)",
        counts: "SELECT COUNT(*) FROM reward",
    },
    Rule {
        id: "I06",
        says: "a reward in a payment is approved, and worth what the payment pays for it",
        stops: true,
        breaks: "SELECT r.id FROM transaction_reward tr JOIN reward r \
                 ON r.id = tr.reward_id AND r.transaction_id = tr.transaction_id \
                 WHERE r.status <> 'approved' OR tr.amount_minor <> \
                 CASE WHEN r.entry = 'clawback' THEN -r.value_minor ELSE r.value_minor END",
        counts: "SELECT COUNT(*) FROM reward WHERE transaction_id IS NOT NULL",
    },
    Rule {
        id: "I07",
        says: "one attempt of a leg may hold money, and every later one follows a definite end of the one before",
        stops: true,
        breaks: "SELECT a.transaction_id FROM {PAYMENTS} t JOIN attempt a ON a.transaction_id = t.id \
                 WHERE a.state NOT IN ('failed', 'returned') GROUP BY a.transaction_id, a.leg HAVING COUNT(*) > 1 \
                 UNION SELECT a.transaction_id FROM {PAYMENTS} t JOIN attempt a ON a.transaction_id = t.id \
                 JOIN attempt b ON b.transaction_id = a.transaction_id \
                 AND b.leg = a.leg AND b.number = a.number + 1 WHERE a.ended_at IS NULL",
        counts: "SELECT COUNT(*) FROM attempt",
    },
    Rule {
        id: "I09",
        says: "nothing is sent without a committed intention",
        stops: true,
        breaks: "SELECT id FROM attempt WHERE first_sent_at IS NOT NULL AND submission_id IS NULL",
        counts: "SELECT COUNT(*) FROM attempt WHERE first_sent_at IS NOT NULL",
    },
    Rule {
        id: "I16",
        says: "a deleted batch has no payments and holds no rewards",
        stops: false,
        breaks: "SELECT b.id FROM batch b WHERE b.deleted_at IS NOT NULL AND (\
                 EXISTS (SELECT 1 FROM payout_transaction t WHERE t.batch_id = b.id) \
                 OR EXISTS (SELECT 1 FROM reward r WHERE r.batch_id = b.id))",
        counts: "SELECT COUNT(*) FROM batch WHERE deleted_at IS NOT NULL",
    },
    Rule {
        id: "I19",
        says: "an event acts at most once",
        stops: false,
        breaks: "SELECT event_id FROM timeline WHERE event_id IS NOT NULL \
                 GROUP BY transaction_id, event_id, effect HAVING COUNT(*) > 1",
        counts: "SELECT COUNT(*) FROM vendor_event",
    },
    Rule {
        id: "I21",
        says: "whoever released a payout had no hand in it",
        stops: false,
        breaks: "SELECT b.number FROM batch b JOIN batch_hand h ON h.batch_id = b.id AND h.person = b.released_by \
                 WHERE b.released_at IS NOT NULL AND COALESCE(b.early_release_at, 0) <> b.released_at",
        counts: "SELECT COUNT(*) FROM batch WHERE released_at IS NOT NULL",
    },
    Rule {
        id: "I27",
        says: "what waits for a person says so: a submission under review has its payment under review",
        stops: false,
        breaks: "SELECT s.key FROM submission s JOIN attempt a ON a.submission_id = s.id \
                 WHERE s.state = 'needs_review' AND a.state IN ('queued', 'sending', 'unknown')",
        counts: "SELECT COUNT(*) FROM submission WHERE state = 'needs_review'",
    },
];

/// A rule's violations, and how many objects were checked.
pub async fn check(db: &mut Db, rule: &Rule) -> Result<(Vec<String>, i64)> {
    let sql = expanded(&rule.breaks.replace(HOLE, PAYMENTS));
    let rows = db.all(sqlx::query(AssertSqlSafe(sql))).await?;
    let broken = rows.iter().map(|row| Ok(row.try_get(0)?)).collect::<Result<_>>()?;
    Ok((broken, db.one(sqlx::query(rule.counts)).await?.try_get(0)?))
}

/// The replacement for `{PAYMENTS}` when every payment is checked.
const PAYMENTS: &str = "payout_transaction";
const HOLE: &str = "{PAYMENTS}";

impl Rule {
    /// Whether the rule can be checked for some payments only.
    pub fn is_of_payments(&self) -> bool {
        self.breaks.contains(HOLE)
    }
}

/// A rule's violations among some payments; none if it is not about payments.
pub async fn check_some(db: &mut Db, rule: &Rule, payments: &[String]) -> Result<Vec<String>> {
    let mut broken = Vec::new();
    for some in payments.chunks(MOST_VALUES).filter(|_| rule.is_of_payments()) {
        let mut conditions = Where::default();
        conditions.among("id", some.iter().map(|id| Value::from(id.as_str())));
        let sql = rule.breaks.replace(HOLE, "(SELECT * FROM payout_transaction {where})");
        for row in db.all(conditions.query(&sql)).await? {
            broken.push(row.try_get(0)?);
        }
    }
    Ok(broken)
}

/// The payments of these batches.
pub async fn payments_of(db: &mut Db, batches: &[String]) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for some in batches.chunks(MOST_VALUES) {
        let mut conditions = Where::default();
        conditions.among("batch_id", some.iter().map(|id| Value::from(id.as_str())));
        for row in db.all(conditions.query("SELECT id FROM payout_transaction {where}")).await? {
            found.push(row.try_get(0)?);
        }
    }
    Ok(found)
}
