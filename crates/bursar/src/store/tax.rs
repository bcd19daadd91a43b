//! Filed tax reports, and payees' payments in a year. `payout::tax` decides what may be filed.

use std::collections::BTreeMap;

use payout::ledger::Payee;
use payout::money::{Currency, Money, Sum, Vendor};
use payout::tax::Form;
use payout::transaction::State;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::moved::Back;
use super::{Db, MOST_VALUES, Result, Tx, Value, Where, sums, word};

/// A filed tax report; the tax number is sealed.
#[derive(Clone, Debug)]
pub struct Filed {
    pub payee: Payee,
    pub form: Form,
    pub name: String,
    /// When it was signed, `YYYY-MM-DD`.
    pub signed_on: String,
    pub sealed_tin: Option<String>,
    pub masked_tin: Option<String>,
    pub expires_at: Option<i64>,
    /// When and by whom it was filed.
    pub filed: (i64, String),
}

/// Writes a tax report, replacing the previous one.
pub async fn put(tx: &mut Tx, tax: &Filed) -> Result<()> {
    let sql = "INSERT INTO tax_report (payee, form, name, signed_on, sealed_tin, masked_tin, expires_at, \
               filed_at, filed_by) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) \
               ON CONFLICT (payee) DO UPDATE SET form = excluded.form, name = excluded.name, \
               signed_on = excluded.signed_on, sealed_tin = excluded.sealed_tin, \
               masked_tin = excluded.masked_tin, expires_at = excluded.expires_at, \
               filed_at = excluded.filed_at, filed_by = excluded.filed_by";
    let query = sqlx::query(sql).bind(tax.payee.to_string()).bind(tax.form.as_str()).bind(tax.name.clone());
    let query = query.bind(tax.signed_on.clone()).bind(tax.sealed_tin.clone()).bind(tax.masked_tin.clone());
    tx.run(query.bind(tax.expires_at).bind(tax.filed.0).bind(tax.filed.1.clone())).await?;
    Ok(())
}

/// A payee's tax report, if one is on file.
pub async fn of(db: &mut Db, payee: Payee) -> Result<Option<Filed>> {
    let sql = "SELECT form, name, signed_on, sealed_tin, masked_tin, expires_at, filed_at, filed_by \
               FROM tax_report WHERE payee = $1";
    let Some(row) = db.optional(sqlx::query(sql).bind(payee.to_string())).await? else { return Ok(None) };
    let form: String = row.try_get(0)?;
    Ok(Some(Filed {
        payee,
        form: word(Form::parse(&form), &form)?,
        name: row.try_get(1)?,
        signed_on: row.try_get(2)?,
        sealed_tin: row.try_get(3)?,
        masked_tin: row.try_get(4)?,
        expires_at: row.try_get(5)?,
        filed: (row.try_get(6)?, row.try_get(7)?),
    }))
}

/// The most recently filed sealed tax numbers, each with its payee.
pub async fn newest_sealed(db: &mut Db, most: i64) -> Result<Vec<(Payee, String)>> {
    let sql = "SELECT payee, sealed_tin FROM tax_report WHERE sealed_tin IS NOT NULL \
               ORDER BY filed_at DESC LIMIT $1";
    let rows = db.all(sqlx::query(sql).bind(most)).await?;
    let read = |row: &AnyRow| {
        let payee: String = row.try_get(0)?;
        Ok((word(Payee::parse(&payee), &payee)?, row.try_get(1)?))
    };
    rows.iter().map(read).collect()
}

/// A payee's payments in a period, in one currency, through one vendor or outside.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Total {
    pub payee: Payee,
    /// The vendor; `None` for payments made outside Bursar.
    pub vendor: Option<Vendor>,
    /// What left us for them, by the date it left.
    pub paid: Sum,
    /// What they did not keep of it, by the date it was returned, refused or written off.
    pub back: Back,
    /// What has left us but is not at their bank yet, as of now.
    pub to_bank: Sum,
}

impl Total {
    /// What they kept, including what is on its way to their bank.
    pub fn net(&self) -> Sum {
        Sum::new(self.paid.minor - self.back.total().minor, self.paid.currency)
    }
}

/// A period: its bounds as moments, and its first and last day.
#[derive(Clone, Debug)]
pub struct Span {
    /// Microseconds UTC; the end is excluded.
    pub moments: (i64, i64),
    /// `YYYY-MM-DD`; both days are included.
    pub days: (String, String),
}

/// Payments to payees: by payee, then vendor and currency. Computed from the ledger, not from transactions: money
/// counts from the moment it left our balance and stops counting when it is returned or held at the vendor. Payments
/// marked as paid outside count on the date given. Money in a payee's vendor balance that was settled as paid otherwise
/// counts as paid through the vendor, on the date given.
pub async fn totals(db: &mut Db, payees: &[Payee], span: &Span) -> Result<Vec<Total>> {
    // Fees are not the payee's, and money held in their balance after a bank refusal is ours.
    let sql = "SELECT t.payee, t.vendor, p.currency, \
               {sum({left_us})}, {back} \
               FROM payout_transaction t JOIN journal j ON j.subject = t.id \
               JOIN posting p ON p.journal_id = j.id {where} GROUP BY t.payee, t.vendor, p.currency";
    let outside = "SELECT t.payee, '', t.currency, {sum(t.amount_minor)}, \
                   CAST(0 AS BIGINT), CAST(0 AS BIGINT), CAST(0 AS BIGINT), CAST(0 AS BIGINT), \
                   CAST(0 AS BIGINT), CAST(0 AS BIGINT) \
                   FROM payout_transaction t {where} GROUP BY t.payee, t.currency";
    let settled = "SELECT t.payee, t.vendor, t.currency, {sum(t.net_minor)} \
                   FROM payout_transaction t {where} GROUP BY t.payee, t.vendor, t.currency";
    let mut found: BTreeMap<PaymentRoute, Total> = BTreeMap::new();
    for some in payees.chunks(MOST_VALUES - 10) {
        let ids = || some.iter().map(|payee| Value::from(payee.to_string()));
        let mut moved = Where::default();
        moved.among("t.payee", ids());
        moved.and(
            "{moved} AND j.at >= ? AND j.at < ?",
            [Value::from(span.moments.0), Value::from(span.moments.1)],
        );
        moved.and("{ours}", []);
        let marked = |as_what: &str| {
            let mut marked = Where::default();
            marked.among("t.payee", ids());
            let days = [Value::from(span.days.0.as_str()), Value::from(span.days.1.as_str())];
            marked.and("t.outside_on >= ? AND t.outside_on <= ?", days);
            marked.and(as_what, []);
            marked
        };
        let mut rows = db.all(moved.query(sql)).await?;
        rows.extend(db.all(marked("t.otherwise_at IS NULL").query(outside)).await?);
        for row in rows {
            let (of, paid) = paid(&row)?;
            let back = Back::read(&row, 5, paid.currency)?;
            found.insert(of, Total { paid, back, ..nothing(of) });
        }
        let mut going = Where::default();
        going.among("t.payee", ids());
        going.among(
            "t.state",
            State::ALL.iter().filter(|one| one.to_bank()).map(|one| Value::from(one.as_str())),
        );
        let moments = [Value::from(span.moments.0), Value::from(span.moments.1)];
        going.and("t.left_at >= ? AND t.left_at < ?", moments);
        for row in db.all(going.query(settled)).await? {
            let (of, going) = paid(&row)?;
            found.entry(of).or_insert_with(|| nothing(of)).to_bank = going;
        }
        for row in db.all(marked("t.otherwise_at IS NOT NULL").query(settled)).await? {
            let (of, lay) = paid(&row)?;
            let total = found.entry(of).or_insert_with(|| nothing(of));
            total.back.in_balances.minor -= lay.minor;
        }
    }
    Ok(found.into_values().collect())
}

/// A payment sent in one year whose money counts in another, because only then was it known to have left.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CountedLater {
    pub number: i64,
    /// The amount the vendor was instructed to pay.
    pub net: Money,
    pub sent_at: i64,
    /// When its money was posted as gone, which is when it counts.
    pub counted_at: i64,
}

/// A payee's payments that were sent in the period or counted in it, but not both.
pub async fn late(db: &mut Db, payee: Payee, span: &Span) -> Result<Vec<CountedLater>> {
    let (first, after) = span.moments;
    let mut conditions = Where::default();
    conditions.and("t.payee = ? AND t.left_at IS NOT NULL", [Value::from(payee.to_string())]);
    conditions.and("a.leg IN ('transfer', 'item') AND a.state IN ('accepted', 'succeeded', 'returned')", []);
    conditions.and(
        "a.first_sent_at < t.left_at AND a.first_sent_at < ? AND t.left_at >= ?",
        [Value::from(after), Value::from(first)],
    );
    conditions.and("(a.first_sent_at < ? OR t.left_at >= ?)", [Value::from(first), Value::from(after)]);
    let sql = "SELECT t.number, t.currency, t.net_minor, MAX(a.first_sent_at), t.left_at \
               FROM payout_transaction t JOIN attempt a ON a.transaction_id = t.id {where} \
               GROUP BY t.number, t.currency, t.net_minor, t.left_at ORDER BY t.number";
    let read = |row: &AnyRow| {
        let code: String = row.try_get(1)?;
        let currency = word(Currency::parse(&code).ok(), &code)?;
        let net = Money::new(row.try_get(2)?, currency);
        Ok(CountedLater {
            number: row.try_get(0)?,
            net,
            sent_at: row.try_get(3)?,
            counted_at: row.try_get(4)?,
        })
    };
    db.all(conditions.query(sql)).await?.iter().map(read).collect()
}

/// The payee, vendor and currency of a total.
type PaymentRoute = (Payee, Option<Vendor>, Currency);

fn nothing((payee, vendor, currency): PaymentRoute) -> Total {
    let (paid, to_bank) = (Sum::nothing(currency), Sum::nothing(currency));
    Total { payee, vendor, paid, back: Back::nothing(currency), to_bank }
}

/// The row's payee, vendor and currency, and its sum.
fn paid(row: &AnyRow) -> Result<(PaymentRoute, Sum)> {
    let (payee, vendor, code): (String, String, String) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    let currency = word(Currency::parse(&code).ok(), &code)?;
    let vendor = match vendor.as_str() {
        "" => None,
        named => Some(word(Vendor::parse(named), named)?),
    };
    let payee = word(Payee::parse(&payee), &payee)?;
    Ok(((payee, vendor, currency), Sum::new(sums::read(row, 3)?, currency)))
}
