//! Read models of what payees earned and were paid in a calendar year, by payee and currency. A single payee's payments
//! are in `tax`; these are the lists of all payees.

use std::collections::BTreeMap;

use payout::ledger::Payee;
use payout::money::{Currency, Sum};
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::moved::Back;
use super::scope::Scope;
use super::tax::{self, Span, Total};
use super::{Db, MOST_VALUES, Result, Value, Where, sums, word};

/// One payee's year in one currency.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Earning {
    pub payee: Payee,
    /// Rewards approved, by approval date, net of clawbacks.
    pub earned: Sum,
    /// Payments by vendor; payments outside have none.
    pub totals: Vec<Total>,
}

impl Earning {
    fn nothing(payee: Payee, currency: Currency) -> Self {
        Self { payee, earned: Sum::nothing(currency), totals: Vec::new() }
    }

    fn sum(&self, of: impl Fn(&Total) -> i128) -> Sum {
        Sum::new(self.totals.iter().map(of).sum(), self.earned.currency)
    }

    /// What left us for them, by the date it left.
    pub fn paid(&self) -> Sum {
        self.sum(|total| total.paid.minor)
    }

    /// What they did not keep of it, by the date it was returned, refused or written off.
    pub fn back(&self) -> Back {
        let mut back = Back::nothing(self.earned.currency);
        self.totals.iter().for_each(|total| back.add(&total.back));
        back
    }

    /// What has left us but has not reached their bank; part of what was not returned.
    pub fn to_bank(&self) -> Sum {
        self.sum(|total| total.to_bank.minor)
    }

    pub fn net(&self) -> Sum {
        self.sum(|total| total.net().minor)
    }
}

fn payee(row: &AnyRow, column: usize) -> Result<Payee> {
    let id: String = row.try_get(column)?;
    word(Payee::parse(&id), &id)
}

fn currency(row: &AnyRow, column: usize) -> Result<Currency> {
    let code: String = row.try_get(column)?;
    word(Currency::parse(&code).ok(), &code)
}

/// Whether a page starts at the first of its order or, turned around, at the last.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    Usual,
    Turned,
}

/// A page of payees by name with any earnings or payments in the year. `after` is the name and id of the previous
/// page's last row.
pub async fn by_name(
    db: &mut Db,
    scope: &Scope,
    span: &Span,
    way: Way,
    after: Option<&(String, String)>,
    limit: i64,
) -> Result<Vec<(Payee, String)>> {
    let mut conditions = Where::beside([
        span.moments.0.into(),
        span.moments.1.into(),
        span.days.0.as_str().into(),
        span.days.1.as_str().into(),
    ]);
    scope.narrow(&mut conditions);
    if let Some((name, id)) = after {
        let place = [name.as_str().into(), id.as_str().into()];
        match way {
            Way::Usual => conditions.and("(name, payee) > (?, ?)", place),
            Way::Turned => conditions.and("(name, payee) < (?, ?)", place),
        }
    }
    let in_the_year = "(EXISTS (SELECT 1 FROM reward r WHERE r.payee = n.payee AND r.status = 'approved' \
                       AND r.currency IS NOT NULL AND r.decided_at >= $1 AND r.decided_at < $2) \
                       OR EXISTS (SELECT 1 FROM payout_transaction t JOIN journal j ON j.subject = t.id \
                       WHERE t.payee = n.payee AND {moved} \
                       AND j.at >= $1 AND j.at < $2) \
                       OR EXISTS (SELECT 1 FROM payout_transaction t WHERE t.payee = n.payee \
                       AND t.outside_on >= $3 AND t.outside_on <= $4))";
    conditions.and(in_the_year, []);
    let order = match way {
        Way::Usual => "name, payee",
        Way::Turned => "name DESC, payee DESC",
    };
    let sql = format!(
        "SELECT payee, name FROM (SELECT id AS payee, name FROM partner UNION ALL SELECT id, name FROM account) n \
         {{where}} ORDER BY {order} LIMIT {limit}"
    );
    let read = |row: &AnyRow| Ok((payee(row, 0)?, row.try_get(1)?));
    db.all(conditions.query(&sql)).await?.iter().map(read).collect()
}

/// The cursor of a page sorted by net: the currency, net and payee of its last row.
pub type NetPlace = (String, i128, String);

/// A page of payees paid in the year by net, highest first within each currency or, turned around, lowest first.
pub async fn by_net(
    db: &mut Db,
    scope: &Scope,
    span: &Span,
    way: Way,
    after: Option<&NetPlace>,
    limit: i64,
) -> Result<Vec<(Payee, Sum)>> {
    let mut conditions = Where::beside([
        span.moments.0.into(),
        span.moments.1.into(),
        span.days.0.as_str().into(),
        span.days.1.as_str().into(),
    ]);
    scope.narrow(&mut conditions);
    if let Some((code, net, id)) = after {
        let further = match way {
            Way::Usual => {
                "(currency > ? OR (currency = ? AND ((net_high, net_low) < (?, ?) \
                 OR (net_high = ? AND net_low = ? AND payee > ?))))"
            }
            Way::Turned => {
                "(currency > ? OR (currency = ? AND ((net_high, net_low) > (?, ?) \
                 OR (net_high = ? AND net_low = ? AND payee > ?))))"
            }
        };
        let (code, (high, low)) = (|| Value::from(code.as_str()), sums::split(*net));
        let net = [high.into(), low.into(), high.into(), low.into()];
        conditions.and(further, [code(), code()].into_iter().chain(net).chain([id.as_str().into()]));
    }
    let order = match way {
        Way::Usual => "currency, net_high DESC, net_low DESC, payee",
        Way::Turned => "currency, net_high, net_low, payee",
    };
    let sql = format!(
        "SELECT payee, currency, net_high, net_low FROM (SELECT payee, currency, {{sum(minor) AS net}} FROM (\
         SELECT t.payee AS payee, p.currency AS currency, -p.amount_minor AS minor FROM journal j \
         JOIN posting p ON p.journal_id = j.id JOIN payout_transaction t ON t.id = j.subject \
         WHERE {{moved}} AND j.at >= $1 AND j.at < $2 AND {{ours}} \
         UNION ALL SELECT payee, currency, CASE WHEN otherwise_at IS NULL THEN amount_minor ELSE net_minor END \
         FROM payout_transaction \
         WHERE outside_on >= $3 AND outside_on <= $4) moved GROUP BY payee, currency) sums \
         {{where}} ORDER BY {order} LIMIT {limit}"
    );
    let read = |row: &AnyRow| Ok((payee(row, 0)?, Sum::new(sums::read(row, 2)?, currency(row, 1)?)));
    db.all(conditions.query(&sql)).await?.iter().map(read).collect()
}

/// What these payees earned and were paid in the year, by payee, then currency.
pub async fn of(db: &mut Db, payees: &[Payee], span: &Span) -> Result<BTreeMap<(Payee, Currency), Earning>> {
    let mut found: BTreeMap<(Payee, Currency), Earning> = BTreeMap::new();
    for some in payees.chunks(MOST_VALUES) {
        let mut conditions = Where::default();
        conditions.among("payee", some.iter().map(|payee| Value::from(payee.to_string())));
        approved_in(&mut conditions, span);
        let sql = "SELECT payee, currency, \
                   {sum(CASE WHEN entry = 'clawback' THEN -value_minor ELSE value_minor END)} \
                   FROM reward {where} GROUP BY payee, currency";
        for row in db.all(conditions.query(sql)).await? {
            let (payee, currency) = (payee(&row, 0)?, currency(&row, 1)?);
            let earning = Earning::nothing(payee, currency);
            let earned = Sum::new(sums::read(&row, 2)?, currency);
            found.insert((payee, currency), Earning { earned, ..earning });
        }
    }
    for total in tax::totals(db, payees, span).await? {
        let (payee, currency) = (total.payee, total.paid.currency);
        let earning = found.entry((payee, currency)).or_insert_with(|| Earning::nothing(payee, currency));
        earning.totals.push(total);
    }
    Ok(found)
}

/// Total earnings in scope in the year, by currency.
pub async fn earned(db: &mut Db, scope: &Scope, span: &Span) -> Result<Vec<Sum>> {
    let mut conditions = Where::default();
    approved_in(&mut conditions, span);
    scope.narrow(&mut conditions);
    let sql = "SELECT currency, \
               {sum(CASE WHEN entry = 'clawback' THEN -value_minor ELSE value_minor END)} \
               FROM reward {where} GROUP BY currency ORDER BY currency";
    let read = |row: &AnyRow| Ok(Sum::new(sums::read(row, 1)?, currency(row, 0)?));
    db.all(conditions.query(sql)).await?.iter().map(read).collect()
}

fn approved_in(conditions: &mut Where, span: &Span) {
    conditions.and("status = 'approved' AND currency IS NOT NULL", []);
    let values = [span.moments.0.into(), span.moments.1.into()];
    conditions.and("decided_at >= ? AND decided_at < ?", values);
}

/// When the first payment was made; earlier years have nothing to show.
pub async fn first_payment(db: &mut Db) -> Result<Option<i64>> {
    let sql = "SELECT MIN(created_at) FROM payout_transaction";
    Ok(db.one(sqlx::query(sql)).await?.try_get(0)?)
}
