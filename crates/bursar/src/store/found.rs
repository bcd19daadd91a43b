//! Found payments and payees: whom each may have paid, what holds a payee, which of their rewards are still payable and
//! would therefore be paid twice, and each payment's current status at its vendor. Not here: the found payments
//! themselves (`put_back`), and how people resolve them (`ops::safe_mode`).

use payout::ledger::Payee;
use payout::money::{Currency, Money, Vendor};
use payout::reward::RewardStatus;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::{Db, MOST_VALUES, Result, Tx, Value, Where, word};

/// How often to ask about payments that are still pending. Completed ones can still be returned and are asked about
/// daily.
const HOUR_US: i64 = 3_600_000_000;
const DAY_US: i64 = 24 * HOUR_US;

/// The status of a found payment at its vendor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum VendorStatus {
    /// In flight, on hold or unclaimed: it may still arrive or be returned.
    Waits,
    /// Completed, and not returned since.
    Paid,
    /// The money is in the payee's Stripe balance, with no bank payout of ours taking it from there.
    Lies,
    /// The money was returned or never left.
    CameBack,
}

impl VendorStatus {
    const ALL: [Self; 4] = [Self::Waits, Self::Paid, Self::Lies, Self::CameBack];

    /// The spelling in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waits => "waits",
            Self::Paid => "paid",
            Self::Lies => "lies",
            Self::CameBack => "came_back",
        }
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == text)
    }
}

/// A found payment due for a look-up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ToAsk {
    pub vendor: Vendor,
    /// The vendor's id of it.
    pub object: String,
    /// The recipient: a Stripe account or a PayPal address.
    pub destination: String,
    /// Our id that the payment carries.
    pub our_id: String,
    /// The vendor account it was found in.
    pub account: Option<String>,
    /// When it was made, or when it was found if the vendor does not say.
    pub made_at: i64,
}

/// Those due for a look-up, least recently asked first: all unresolved ones, and for a while those that someone
/// resolved by their own word, until the money is returned.
pub async fn to_ask(db: &mut Db, now: i64, limit: i64) -> Result<Vec<ToAsk>> {
    let sql = "SELECT vendor, object_id, destination, our_id, vendor_account, COALESCE(made_at, found_at) \
               FROM found_payment \
               WHERE (settled_at IS NULL OR watched_until > $1) AND COALESCE(standing, '') <> 'came_back' \
               AND COALESCE(asked_at, 0) <= CASE WHEN standing = 'paid' THEN CAST($2 AS BIGINT) ELSE CAST($3 AS BIGINT) END \
               ORDER BY COALESCE(asked_at, 0), object_id LIMIT $4";
    let read = |row: &AnyRow| {
        let vendor: String = row.try_get(0)?;
        Ok(ToAsk {
            vendor: word(Vendor::parse(&vendor), &vendor)?,
            object: row.try_get(1)?,
            destination: row.try_get(2)?,
            our_id: row.try_get(3)?,
            account: row.try_get(4)?,
            made_at: row.try_get(5)?,
        })
    };
    let query = sqlx::query(sql).bind(now).bind(now - DAY_US).bind(now - HOUR_US).bind(limit);
    db.all(query).await?.iter().map(read).collect()
}

/// Records a look-up of a found payment; `says` is its status and the vendor's term for it, if the answer had one.
/// Reopens a payment that was resolved by someone's word if its money has come back to us or to the payee's Stripe
/// balance. Returns whether it did.
pub async fn record_vendor_status(
    tx: &mut Tx,
    object: &str,
    says: Option<(VendorStatus, &str)>,
    now: i64,
) -> Result<bool> {
    let asked = "UPDATE found_payment SET asked_at = $2 WHERE object_id = $1";
    tx.run(sqlx::query(asked).bind(object.to_owned()).bind(now)).await?;
    let Some((stands, word)) = says else { return Ok(false) };
    let mut opened = 0;
    if matches!(stands, VendorStatus::Lies | VendorStatus::CameBack) {
        let open = "UPDATE found_payment SET settled_at = NULL, watched_until = NULL WHERE object_id = $1 \
                    AND settled_at IS NOT NULL AND watched_until IS NOT NULL \
                    AND COALESCE(standing, '') NOT IN ('lies', 'came_back')";
        opened = tx.run(sqlx::query(open).bind(object.to_owned())).await?;
    }
    let sql = "UPDATE found_payment SET standing = $2, vendor_says = $3 WHERE object_id = $1";
    let query = sqlx::query(sql).bind(object.to_owned()).bind(stands.as_str()).bind(word.to_owned());
    tx.run(query).await?;
    Ok(opened > 0)
}

/// Locks a found payment until the transaction ends, so that resolving it and recording its status see each other's
/// changes.
pub async fn hold(tx: &mut Tx, object: &str) -> Result<()> {
    let sql = "UPDATE found_payment SET asked_at = asked_at WHERE object_id = $1";
    tx.run(sqlx::query(sql).bind(object.to_owned())).await?;
    Ok(())
}

/// Keeps asking about a payment resolved by someone's word until then.
pub async fn watch(tx: &mut Tx, object: &str, until: i64) -> Result<()> {
    let sql = "UPDATE found_payment SET watched_until = $2 WHERE object_id = $1";
    tx.run(sqlx::query(sql).bind(object.to_owned()).bind(until)).await?;
    Ok(())
}

/// A cash reward that is not paid, rejected or void, and is in no payment or in one that is waiting, in doubt or failed;
/// or a clawback not deducted yet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unpaid {
    pub number: i64,
    pub payee: Payee,
    pub value: Money,
    /// It is deducted from the payee's next claim.
    pub clawback: bool,
    pub status: RewardStatus,
    /// The number of the draft it is in.
    pub draft: Option<String>,
    /// The number of the payment it is in, which is waiting or has failed.
    pub payment: Option<i64>,
}

/// Whom a found payment may have paid: the payees recorded when it was found, and those now paid at its destination.
pub async fn payees_of(db: &mut Db, vendor: Vendor, object: &str) -> Result<Vec<Payee>> {
    let sql = "SELECT p.payee FROM found_payee p WHERE p.vendor = $1 AND p.object_id = $2 \
               UNION SELECT f.payee FROM found_payment x CROSS JOIN payout_profile f \
               WHERE x.vendor = $1 AND x.object_id = $2 AND f.vendor = x.vendor AND f.address = x.destination";
    let read = |row: &AnyRow| {
        let payee: String = row.try_get(0)?;
        word(Payee::parse(&payee), &payee)
    };
    let query = sqlx::query(sql).bind(vendor.as_str()).bind(object.to_owned());
    db.all(query).await?.iter().map(read).collect()
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Holds {
    pub vendor: Vendor,
    /// The vendor's id of it.
    pub object: String,
    pub amount: Money,
}

/// The unresolved found payments that hold a payee.
pub async fn holding(db: &mut Db, payee: Payee) -> Result<Vec<Holds>> {
    let sql = "SELECT x.vendor, x.object_id, x.amount_minor, x.currency FROM found_payment x WHERE x.settled_at IS NULL \
               AND (EXISTS (SELECT 1 FROM found_payee p WHERE p.vendor = x.vendor AND p.object_id = x.object_id \
               AND p.payee = $1) OR EXISTS (SELECT 1 FROM payout_profile f WHERE f.vendor = x.vendor \
               AND f.address = x.destination AND f.payee = $1)) \
               AND NOT EXISTS (SELECT 1 FROM payout_transaction t WHERE t.id = x.our_id \
               AND t.released_at IS NULL AND t.outside_at IS NULL) ORDER BY x.found_at, x.object_id";
    let read = |row: &AnyRow| {
        let (vendor, code): (String, String) = (row.try_get(0)?, row.try_get(3)?);
        let currency = word(Currency::parse(&code).ok(), &code)?;
        Ok(Holds {
            vendor: word(Vendor::parse(&vendor), &vendor)?,
            object: row.try_get(1)?,
            amount: Money::new(row.try_get(2)?, currency),
        })
    };
    db.all(sqlx::query(sql).bind(payee.to_string())).await?.iter().map(read).collect()
}

/// These payees' rewards in a currency that are still payable: exact matches of `like` first, then by number.
pub async fn rewards(db: &mut Db, payees: &[Payee], like: Money) -> Result<Vec<Unpaid>> {
    let mut found = Vec::new();
    for some in payees.chunks(MOST_VALUES) {
        let mut conditions = Where::default();
        conditions.among("r.payee", some.iter().map(|payee| Value::from(payee.to_string())));
        conditions.and("r.currency = ?", [like.currency.code().into()]);
        conditions.and("r.reward_type = 'cash'", []);
        conditions.and("r.status IN ('submitted', 'in_review', 'approved')", []);
        conditions.and("r.paid_at IS NULL", []);
        // Failed payments can be resent; waiting or unknown ones proceed by themselves or by a Refresh.
        conditions.and(
            "(r.transaction_id IS NULL OR t.state IN ('queued', 'sending', 'unknown', 'review', 'transferred', \
             'payout_sending', 'payout_unknown', 'payout_review', 'failed', 'returned', 'blocked', 'refunded', \
             'reversed', 'payout_failed', 'payout_canceled'))",
            [],
        );
        let sql = "SELECT r.number, r.payee, r.value_minor, r.currency, r.status, b.number, t.number, \
                   CAST(CASE WHEN r.entry = 'clawback' THEN 1 ELSE 0 END AS BIGINT) FROM reward r \
                   LEFT JOIN batch b ON b.id = r.batch_id LEFT JOIN payout_transaction t ON t.id = r.transaction_id \
                   {where} ORDER BY r.number";
        for row in db.all(conditions.query(sql)).await? {
            found.push(read(&row)?);
        }
    }
    found.sort_by_key(|one| (one.clawback || one.value != like, one.number));
    Ok(found)
}

fn read(row: &AnyRow) -> Result<Unpaid> {
    let (payee, code, status): (String, String, String) = (row.try_get(1)?, row.try_get(3)?, row.try_get(4)?);
    Ok(Unpaid {
        number: row.try_get(0)?,
        payee: word(Payee::parse(&payee), &payee)?,
        value: Money::new(row.try_get(2)?, word(Currency::parse(&code).ok(), &code)?),
        status: word(RewardStatus::parse(&status), &status)?,
        draft: row.try_get(5)?,
        payment: row.try_get(6)?,
        clawback: row.try_get::<i64, _>(7)? != 0,
    })
}

/// The numbers of these payees' payments that a hold stopped before sending and nobody has followed up.
pub async fn stopped(db: &mut Db, payees: &[Payee]) -> Result<Vec<i64>> {
    let mut found = Vec::new();
    for some in payees.chunks(MOST_VALUES) {
        let mut conditions = Where::default();
        conditions.among("payee", some.iter().map(|payee| Value::from(payee.to_string())));
        conditions.and("state IN ('failed', 'payout_failed') AND reason_code = 'partner_on_hold'", []);
        conditions.and("released_at IS NULL AND outside_at IS NULL", []);
        for row in
            db.all(conditions.query("SELECT number FROM payout_transaction {where} ORDER BY number")).await?
        {
            found.push(row.try_get(0)?);
        }
    }
    Ok(found)
}
