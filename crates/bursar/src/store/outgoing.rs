//! What is sent, or sent again under its key, once nothing is stopped: payments, bank payouts of money that is at Stripe
//! already, and what asks money back. What is deliberately not here: whether a gate keeps it waiting, which is asked before
//! each sending.

use payout::money::{Currency, Money, Sum};
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::{Db, Result, Value, Where, readable, sums, word};

/// What of a payment waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    /// All of it, or the answer to its first request.
    Out,
    /// Its money is at Stripe, and its way to the bank is what waits.
    Bank,
    /// Somebody has asked for it back: out of the payee's balance at Stripe, or as an unclaimed payment at PayPal.
    Back,
}

/// Payments in one currency that wait alike.
#[derive(Clone, Copy, Debug)]
pub struct Waiting {
    pub way: Way,
    pub count: i64,
    pub net: Sum,
}

/// What waits to be sent, or asked back, or has had no answer, by way and currency. What the vendor contradicts is not sent.
pub async fn waiting(db: &mut Db) -> Result<Vec<Waiting>> {
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
                "bank" => Way::Bank,
                "back" => Way::Back,
                _ => Way::Out,
            };
            Ok(Waiting { way, count: row.try_get(2)?, net })
        })
        .collect()
}

/// Money that is on its way, or may be, from a connected balance to the bank.
pub struct UnderWay {
    pub account: String,
    /// How much, of all payouts in this currency.
    pub net: Money,
}

/// What payouts that are committed but not known to be made take from these accounts' balances. One that waits for a person
/// without a request, or that Stripe is known to have made, takes nothing more. What cannot be read is left out and told of
/// in the log: it must not keep every other payout from the bank.
pub async fn under_way(db: &mut Db, accounts: &[&str]) -> Result<Vec<UnderWay>> {
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
        Ok::<_, super::StoreError>(UnderWay { account: row.try_get(0)?, net })
    };
    readable(db.all(conditions.query(sql)).await?.iter().map(read))
}
