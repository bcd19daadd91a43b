//! What would be sent, or resent under its key, if nothing were paused: payments, bank payouts of money already at
//! Stripe, and requests for money back. Not here: gates, which are checked before each send.

use payout::money::{Currency, Money, Sum};
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::{Db, Result, Value, Where, readable, sums, word};

/// The part of a payment that is waiting.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flow {
    /// All of it, or the answer to its first request.
    Out,
    /// The money is at Stripe; its bank payout is waiting.
    Bank,
    /// A recall: from the payee's Stripe balance, or of an unclaimed PayPal payment.
    Back,
}

/// Waiting payments of one kind and currency.
#[derive(Clone, Copy, Debug)]
pub struct WaitingTotal {
    pub way: Flow,
    pub count: i64,
    pub net: Sum,
}

/// Payments and recalls waiting to be sent or answered, by kind and currency. Payments that the vendor contradicts are
/// not sent.
pub async fn waiting(db: &mut Db) -> Result<Vec<WaitingTotal>> {
    let mut conditions = Where::default();
    let asked_back = "EXISTS (SELECT 1 FROM attempt a WHERE a.transaction_id = payout_transaction.id AND a.leg = 'cancel' \
                      AND a.state IN ('queued', 'sending', 'unknown'))";
    conditions.and(
        &format!(
            "(state IN ('queued', 'sending', 'unknown', 'transferred', 'payout_sending', 'payout_unknown', 'recalling') \
             OR (state = 'unclaimed' AND {asked_back}))"
        ),
        [],
    );
    conditions.and("released_at IS NULL AND outside_at IS NULL AND contradicted_at IS NULL", []);
    let sql = "SELECT CASE WHEN state IN ('transferred', 'payout_sending', 'payout_unknown') THEN 'bank' \
               WHEN state IN ('recalling', 'unclaimed') THEN 'back' ELSE 'out' END AS way, \
               currency, COUNT(*), {sum(net_minor)} FROM payout_transaction {where} GROUP BY way, currency ORDER BY way, currency";
    let rows = db.all(conditions.query(sql)).await?;
    rows.iter()
        .map(|row| {
            let (way, code): (String, String) = (row.try_get(0)?, row.try_get(1)?);
            let currency = word(Currency::parse(&code).ok(), &code)?;
            let net = Sum::new(sums::read(row, 3)?, currency);
            let way = match way.as_str() {
                "bank" => Flow::Bank,
                "back" => Flow::Back,
                _ => Flow::Out,
            };
            Ok(WaitingTotal { way, count: row.try_get(2)?, net })
        })
        .collect()
}

/// Money that is, or may be, moving from a connected account's balance to the bank.
pub struct InTransit {
    pub account: String,
    /// The total of all payouts in this currency.
    pub net: Money,
}

/// The amounts that committed but unconfirmed bank payouts will take from these accounts' balances. Excludes a payout
/// in review that has no request or that Stripe is known to have made. Unreadable records are logged and left out,
/// because they must not block all other payouts.
pub async fn under_way(db: &mut Db, accounts: &[&str]) -> Result<Vec<InTransit>> {
    let mut conditions = Where::default();
    conditions.among("destination", accounts.iter().map(|account| Value::from(*account)));
    conditions.and("state IN ('payout_sending', 'payout_unknown', 'payout_review')", []);
    let may_be_made = "EXISTS (SELECT 1 FROM attempt a WHERE a.transaction_id = payout_transaction.id AND a.leg = 'payout' \
                       AND a.state NOT IN ('failed', 'returned') AND a.submission_id IS NOT NULL \
                       AND a.vendor_id IS NULL)";
    conditions.and(&format!("(state <> 'payout_review' OR {may_be_made})"), []);
    let sql = "SELECT destination, currency, {sum(net_minor)} FROM payout_transaction {where} \
               GROUP BY destination, currency";
    let read = |row: &AnyRow| {
        let code: String = row.try_get(1)?;
        let currency = word(Currency::parse(&code).ok(), &code)?;
        let net = Money::new(i64::try_from(sums::read(row, 2)?).unwrap_or(i64::MAX), currency);
        Ok::<_, super::StoreError>(InTransit { account: row.try_get(0)?, net })
    };
    readable(db.all(conditions.query(sql)).await?.iter().map(read))
}
