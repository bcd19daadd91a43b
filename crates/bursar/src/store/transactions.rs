//! Transactions and their attempts, read and written in sets, because answers and facts arrive in sets.

mod as_text;
mod asking;
mod fees;
mod filter;

use std::collections::{BTreeMap, HashMap};

pub use as_text::{AsText, as_text};
pub use asking::{
    LookupUpdate, Unshown, ask_now, lease_to_ask, lying_at, note_asked, note_shown, payouts_of_others,
    with_settled_payouts,
};
pub use fees::fees_taken;
pub use filter::{Filter, Order, Place, Sort};
use filter::{beyond, narrowed};
use payout::ids::{AttemptId, BatchId, TransactionId};
use payout::law::{self, NotNow};
use payout::ledger::Payee;
use payout::money::{Currency, Money, Vendor};
use payout::payee::Destination;
use payout::transaction::{AttemptState, Leg, Reason, State, Terms};
use sqlx::Row as _;
use sqlx::any::AnyRow;

pub use super::timeline::{Line, ReadLine, timeline, write_timeline};
use super::{Db, MOST_VALUES, Result, Rows, Tx, Value, Where, put_back, word};

/// A transaction as it is stored.
#[derive(Clone, Debug)]
pub struct Transaction {
    /// Its id.
    pub id: TransactionId,
    /// `PT-000977` without its prefix.
    pub number: i64,
    /// The batch it was paid in.
    pub batch: BatchId,
    pub terms: Terms,
    /// The fee expected at Pay.
    pub fee: Money,
    /// The destination frozen at Pay.
    pub destination: Destination,
    /// The fingerprint of the frozen destination.
    pub fingerprint: String,
    pub state: State,
    /// The reason for the state, if any.
    pub reason: Option<Reason>,
    /// The gate that keeps it from being sent, if any.
    pub waiting: Option<String>,
    pub created_at: i64,
    /// When it entered this state.
    pub state_at: i64,
    /// When to ask the vendor again.
    pub ask_at: Option<i64>,
    /// When the vendor was last asked, and its answer.
    pub asked: Option<(i64, String)>,
    /// When its money left us, if it did.
    pub left_at: Option<i64>,
    /// When it succeeded or failed.
    pub settled_at: Option<i64>,
    /// When its rewards were released to the pool.
    pub released_at: Option<i64>,
    /// When it was marked as paid outside, for which date and with which reference.
    pub outside: Option<(i64, String, String)>,
    /// When two people settled the money in the payee's balance as paid otherwise; it then counts as paid with that
    /// money.
    pub otherwise_at: Option<i64>,
    /// When the vendor contradicted a final state here.
    pub contradicted_at: Option<i64>,
    pub version: i64,
    /// The vendor account it is paid from, if known.
    pub vendor_account: Option<String>,
    /// `live`, `test` or `sandbox`, if known.
    pub mode: Option<String>,
    /// Since when the vendor, when asked, shows nothing of it.
    pub unseen_since: Option<i64>,
    /// Since when the vendor reports its transfer as reversed without showing what took the money.
    pub reversal_seen_at: Option<i64>,
    /// When an event or a person last requested a look-up, or when that is to be repeated.
    pub hinted_at: Option<i64>,
    /// It needs a decision, and people alone called one of its attempts not made: however it ended since, that attempt
    /// may have been made.
    pub called_not_made: bool,
}

impl Transaction {
    /// Its place in a list in this order.
    pub fn place(&self, sort: Sort) -> Place {
        let key = match sort {
            Sort::Number => self.number,
            Sort::Amount => self.terms.net.minor,
            Sort::Since => self.state_at,
        };
        Place { currency: self.terms.net.currency.code().to_owned(), key, id: self.id.to_string() }
    }

    /// Whether its rewards were released or paid outside, so that no more commands apply.
    pub fn closed(&self) -> bool {
        self.closed_as().is_some()
    }

    /// Why no more commands apply, if none do.
    pub fn closed_as(&self) -> Option<NotNow> {
        match (&self.outside, self.released_at) {
            (Some(_), _) => Some(NotNow::PaidOutside),
            (None, Some(_)) => Some(NotNow::Closed),
            (None, None) => None,
        }
    }

    /// What the payee receives: the full amount if paid outside, otherwise what the vendor is instructed to pay.
    pub fn given(&self) -> Money {
        match (&self.outside, self.otherwise_at) {
            (Some(_), None) => self.terms.amount,
            (Some(_) | None, _) => self.terms.net,
        }
    }

    pub fn label(&self) -> String {
        format!("PT-{:06}", self.number)
    }
}

const COLUMNS: &str = "id, number, batch_id, payee, vendor, destination, currency, amount_minor, fee_minor, \
                       net_minor, state, reason_code, reason_message, waiting_code, created_at, state_at, ask_at, \
                       asked_at, asked_what, left_at, settled_at, released_at, outside_at, outside_on, \
                       outside_reference, contradicted_at, version, vendor_account, mode, fingerprint, \
                       unseen_since, otherwise_at, reversal_seen_at, hinted_at, \
                       CAST(CASE WHEN state IN ('failed', 'payout_failed', 'payout_canceled', 'returned', 'blocked', \
                       'refunded', 'reversed', 'recalled') AND EXISTS (SELECT 1 FROM attempt a \
                       WHERE a.transaction_id = payout_transaction.id AND a.leg NOT IN ('reversal', 'cancel') AND a.state = 'failed' \
                       AND a.reason_code = 'not_made') THEN 1 ELSE 0 END AS BIGINT)";

fn transaction(row: &AnyRow) -> Result<Transaction> {
    let text = |column: usize| row.try_get::<String, _>(column);
    let maybe = |column: usize| row.try_get::<Option<String>, _>(column);
    let date = |column: usize| row.try_get::<Option<i64>, _>(column);
    let (id, batch, payee, vendor, code, state) =
        (text(0)?, text(2)?, text(3)?, text(4)?, text(6)?, text(10)?);
    let vendor = word(Vendor::parse(&vendor), &vendor)?;
    let currency = word(Currency::parse(&code).ok(), &code)?;
    let money = |column: usize| Ok::<_, sqlx::Error>(Money::new(row.try_get(column)?, currency));
    Ok(Transaction {
        id: word(TransactionId::parse(&id), &id)?,
        number: row.try_get(1)?,
        batch: word(BatchId::parse(&batch), &batch)?,
        terms: Terms {
            payee: word(Payee::parse(&payee), &payee)?,
            vendor,
            amount: money(7)?,
            net: money(9)?,
        },
        fee: money(8)?,
        destination: Destination::stored(vendor, &text(5)?),
        fingerprint: text(29)?,
        state: word(State::parse(&state), &state)?,
        reason: maybe(11)?
            .map(|code| Ok::<_, sqlx::Error>(Reason::new(code, maybe(12)?.unwrap_or_default())))
            .transpose()?,
        waiting: maybe(13)?,
        created_at: row.try_get(14)?,
        state_at: row.try_get(15)?,
        ask_at: date(16)?,
        asked: date(17)?.map(|at| Ok::<_, sqlx::Error>((at, maybe(18)?.unwrap_or_default()))).transpose()?,
        left_at: date(19)?,
        settled_at: date(20)?,
        released_at: date(21)?,
        outside: date(22)?.zip(maybe(23)?).zip(maybe(24)?).map(|((at, on), reference)| (at, on, reference)),
        contradicted_at: date(25)?,
        version: row.try_get(26)?,
        vendor_account: row.try_get(27)?,
        mode: row.try_get(28)?,
        unseen_since: date(30)?,
        otherwise_at: date(31)?,
        reversal_seen_at: date(32)?,
        hinted_at: date(33)?,
        called_not_made: row.try_get::<i64, _>(34)? == 1,
    })
}

/// One try of one leg.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// Its id.
    pub id: AttemptId,
    pub transaction: TransactionId,
    pub leg: Leg,
    /// From 1, for each leg.
    pub number: i64,
    pub state: AttemptState,
    /// The submission that carries it, if it was sent.
    pub submission: Option<String>,
    /// The vendor's id of it: `tr_…`, `po_…`, `trr_…`, a payout item id.
    pub vendor_id: Option<String>,
    pub reason_code: Option<String>,
    /// When its first byte may have been sent.
    pub first_sent_at: Option<i64>,
    pub ended_at: Option<i64>,
    /// The vendor fee posted for it.
    pub fee_minor: i64,
    /// The amount posted as returned by a partial reversal.
    pub reversed_minor: i64,
    /// When the vendor contradicted its outcome, until someone resolves it.
    pub contradicted_at: Option<i64>,
}

impl Attempt {
    /// A new attempt, the `number`th of its leg.
    pub fn new(id: AttemptId, transaction: TransactionId, (leg, number): (Leg, i64)) -> Self {
        Self {
            id,
            transaction,
            leg,
            number,
            state: AttemptState::Queued,
            submission: None,
            vendor_id: None,
            reason_code: None,
            first_sent_at: None,
            ended_at: None,
            fee_minor: 0,
            reversed_minor: 0,
            contradicted_at: None,
        }
    }
}

const ATTEMPT: &str = "SELECT id, transaction_id, leg, number, state, submission_id, vendor_id, reason_code, \
                       first_sent_at, ended_at, fee_minor, reversed_minor, contradicted_at FROM attempt";

fn attempt(row: &AnyRow) -> Result<Attempt> {
    let text = |column: usize| row.try_get::<String, _>(column);
    let (id, transaction, leg, state) = (text(0)?, text(1)?, text(2)?, text(4)?);
    Ok(Attempt {
        id: word(AttemptId::parse(&id), &id)?,
        transaction: word(TransactionId::parse(&transaction), &transaction)?,
        leg: word(Leg::parse(&leg), &leg)?,
        number: row.try_get(3)?,
        state: word(AttemptState::parse(&state), &state)?,
        submission: row.try_get(5)?,
        vendor_id: row.try_get(6)?,
        reason_code: row.try_get(7)?,
        first_sent_at: row.try_get(8)?,
        ended_at: row.try_get(9)?,
        fee_minor: row.try_get(10)?,
        reversed_minor: row.try_get(11)?,
        contradicted_at: row.try_get(12)?,
    })
}

/// A transaction by id or number (`PT-000977`).
///
/// # Errors
/// [`super::StoreError::Missing`] if there is none.
pub async fn find(db: &mut Db, id_or_number: &str) -> Result<Transaction> {
    let number = id_or_number.strip_prefix("PT-").and_then(|digits| digits.parse::<i64>().ok());
    let mut conditions = Where::default();
    conditions.and("(id = ? OR number = ?)", [Value::from(id_or_number), Value::from(number)]);
    transaction(
        &db.one(conditions.query(&format!("SELECT {COLUMNS} FROM payout_transaction {{where}}"))).await?,
    )
}

/// Whether there is any transaction.
pub async fn any(db: &mut Db) -> Result<bool> {
    Ok(db.optional(sqlx::query("SELECT id FROM payout_transaction LIMIT 1")).await?.is_some())
}

/// Transactions, newest first. Unreadable ones are logged and left out, because one must not hide the rest, and later
/// ones take their place: callers treat a short page as the last.
pub async fn list(db: &mut Db, filter: &Filter, limit: i64) -> Result<Vec<Transaction>> {
    let (mut found, mut filter) = (Vec::new(), filter.clone());
    loop {
        let limit = limit - i64::try_from(found.len()).unwrap_or(limit);
        let sql =
            format!("SELECT {COLUMNS} FROM payout_transaction {{where}} ORDER BY id DESC LIMIT {limit}");
        let rows = db.all(narrowed(&filter).query(&sql)).await?;
        let Some(last) = readable(&rows, limit, &mut found)? else { return Ok(found) };
        filter.after = Some(last.try_get(0)?);
    }
}

/// The same in any order.
pub async fn sorted(db: &mut Db, filter: &Filter, order: &Order, limit: i64) -> Result<Vec<Transaction>> {
    let (mut found, mut order) = (Vec::new(), order.clone());
    let by = match (order.sort, order.descending) {
        (Sort::Number, true) => "number DESC",
        (Sort::Number, false) => "number",
        (Sort::Amount, true) => "currency, net_minor DESC, id DESC",
        (Sort::Amount, false) => "currency, net_minor, id",
        (Sort::Since, true) => "state_at DESC, id DESC",
        (Sort::Since, false) => "state_at, id",
    };
    loop {
        let limit = limit - i64::try_from(found.len()).unwrap_or(limit);
        let sql = format!("SELECT {COLUMNS} FROM payout_transaction {{where}} ORDER BY {by} LIMIT {limit}");
        let rows = db.all(beyond(filter, &order).query(&sql)).await?;
        let Some(last) = readable(&rows, limit, &mut found)? else { return Ok(found) };
        let key = match order.sort {
            Sort::Number => last.try_get("number")?,
            Sort::Amount => last.try_get("net_minor")?,
            Sort::Since => last.try_get("state_at")?,
        };
        order.after = Some(Place { currency: last.try_get("currency")?, key, id: last.try_get("id")? });
    }
}

/// Adds the readable ones of these rows. Returns the last row if others must take the place of unreadable ones.
fn readable<'a>(rows: &'a [AnyRow], limit: i64, found: &mut Vec<Transaction>) -> Result<Option<&'a AnyRow>> {
    let (full, mut left_out) = (i64::try_from(rows.len()) == Ok(limit), false);
    for row in rows {
        match transaction(row) {
            Err(error) if error.about_a_row() => {
                let id: Option<String> = row.try_get(0).ok();
                tracing::error!(id, %error, "the record of a payment cannot be read; it is left out of a list");
                left_out = true;
            }
            read => found.push(read?),
        }
    }
    Ok(rows.last().filter(|_| left_out && full))
}

/// A batch's transactions, and the numbers of unreadable ones, which are missing from its lists and sums.
pub async fn of_batch(db: &mut Db, batch: BatchId) -> Result<(Vec<Transaction>, Vec<String>)> {
    let filter = Filter { batch: Some(batch), ..Default::default() };
    let sql = format!("SELECT {COLUMNS} FROM payout_transaction {{where}} ORDER BY number");
    let (mut found, mut unreadable) = (Vec::new(), Vec::new());
    for row in &db.all(narrowed(&filter).query(&sql)).await? {
        match transaction(row) {
            Err(error) if error.about_a_row() => {
                let number = row.try_get::<i64, _>(1);
                unreadable.push(number.map_or("PT-?".to_owned(), |number| format!("PT-{number:06}")));
            }
            read => found.push(read?),
        }
    }
    Ok((found, unreadable))
}

/// The numbers of the first transactions with an unknown state, vendor or currency.
pub async fn unreadable_anywhere(db: &mut Db, limit: i64) -> Result<Vec<String>> {
    let states: Vec<Value> = State::ALL.iter().map(|state| state.as_str().into()).collect();
    let vendors: Vec<Value> = Vendor::ALL.iter().map(|vendor| vendor.as_str().into()).collect();
    let currencies: Vec<Value> = Currency::all().map(|one| one.code().into()).collect();
    let not_in = |column: &str, of: &[Value]| format!("{column} NOT IN ({})", vec!["?"; of.len()].join(", "));
    let sql =
        [not_in("state", &states), not_in("vendor", &vendors), not_in("currency", &currencies)].join(" OR ");
    let mut conditions = Where::default();
    conditions.and(&format!("({sql})"), states.into_iter().chain(vendors).chain(currencies));
    let sql = format!("SELECT number FROM payout_transaction {{where}} ORDER BY number LIMIT {limit}");
    let read = |row: &AnyRow| Ok(format!("PT-{:06}", row.try_get::<i64, _>(0)?));
    db.all(conditions.query(&sql)).await?.iter().map(read).collect()
}

/// The public numbers of at most `limit` transactions, oldest first, including unreadable ones.
pub async fn labels(db: &mut Db, filter: &Filter, limit: i64) -> Result<Vec<String>> {
    let sql = format!("SELECT number FROM payout_transaction {{where}} ORDER BY number LIMIT {limit}");
    let read = |row: &AnyRow| Ok(format!("PT-{:06}", row.try_get::<i64, _>(0)?));
    db.all(narrowed(filter).query(&sql)).await?.iter().map(read).collect()
}

/// How many transactions match, counted up to `limit`.
pub async fn count(db: &mut Db, filter: &Filter, limit: i64) -> Result<i64> {
    let sql =
        format!("SELECT COUNT(*) FROM (SELECT id FROM payout_transaction {{where}} LIMIT {limit}) counted");
    Ok(db.one(narrowed(filter).query(&sql)).await?.try_get(0)?)
}

/// Several transactions by id, in any order; missing ones are left out.
pub async fn several(db: &mut Db, ids: &[TransactionId]) -> Result<Vec<Transaction>> {
    let mut found = Vec::new();
    for some in ids.chunks(MOST_VALUES) {
        let mut conditions = Where::default();
        conditions.among("id", some.iter().map(|id| Value::from(id.to_string())));
        let rows = db
            .all(conditions.query(&format!("SELECT {COLUMNS} FROM payout_transaction {{where}} ORDER BY id")))
            .await?;
        for row in &rows {
            found.push(transaction(row)?);
        }
    }
    Ok(found)
}

/// Locks several transactions and reads their current state: a second writer waits, then sees what the first one wrote.
pub async fn lock(tx: &mut Tx, ids: &[TransactionId]) -> Result<HashMap<TransactionId, Transaction>> {
    let mut sorted: Vec<String> = ids.iter().map(ToString::to_string).collect();
    sorted.sort();
    sorted.dedup();
    let mut found = HashMap::new();
    for some in sorted.chunks(MOST_VALUES) {
        let mut conditions = Where::default();
        conditions.among("id", some.iter().map(|id| Value::from(id.as_str())));
        let sql =
            format!("UPDATE payout_transaction SET version = version + 1 {{where}} RETURNING {COLUMNS}");
        for row in tx.all(conditions.query(&sql)).await? {
            let transaction = transaction(&row)?;
            found.insert(transaction.id, transaction);
        }
    }
    Ok(found)
}

/// The attempts of several transactions, by leg and number.
pub async fn attempts(db: &mut Db, transactions: &[TransactionId]) -> Result<Vec<Attempt>> {
    let mut found = Vec::new();
    for some in transactions.chunks(MOST_VALUES) {
        let mut conditions = Where::default();
        conditions.among("transaction_id", some.iter().map(|id| Value::from(id.to_string())));
        let rows = db
            .all(conditions.query(&format!("{ATTEMPT} {{where}} ORDER BY created_at, leg, number")))
            .await?;
        for row in &rows {
            found.push(attempt(row)?);
        }
    }
    Ok(found)
}

/// The attempts in these submissions.
pub async fn attempts_of_submissions(db: &mut Db, submissions: &[String]) -> Result<Vec<Attempt>> {
    let mut found = Vec::new();
    for some in submissions.chunks(MOST_VALUES) {
        let mut conditions = Where::default();
        conditions.among("submission_id", some.iter().map(|id| Value::from(id.as_str())));
        let rows = db.all(conditions.query(&format!("{ATTEMPT} {{where}} ORDER BY id"))).await?;
        for row in &rows {
            found.push(attempt(row)?);
        }
    }
    Ok(found)
}

/// Due queued attempts of one leg, oldest first.
pub async fn queued(db: &mut Db, leg: Leg, now: i64, limit: i64) -> Result<Vec<Attempt>> {
    let mut conditions = Where::default();
    conditions.and("state = 'queued' AND next_at <= ?", [Value::from(now)]);
    conditions.and("leg = ?", [Value::from(leg.as_str())]);
    let query = conditions.query(&format!("{ATTEMPT} {{where}} ORDER BY next_at, id LIMIT {limit}"));
    db.all(query).await?.iter().map(attempt).collect()
}

/// The ids of what [`queued`] reads, for when reading it fails.
pub async fn queued_ids(db: &mut Db, leg: Leg, now: i64, limit: i64) -> Result<Vec<String>> {
    let mut conditions = Where::default();
    conditions.and("state = 'queued' AND next_at <= ?", [Value::from(now)]);
    conditions.and("leg = ?", [Value::from(leg.as_str())]);
    let query =
        conditions.query(&format!("SELECT id FROM attempt {{where}} ORDER BY next_at, id LIMIT {limit}"));
    db.all(query).await?.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// Attempts by id as stored text, in any order.
pub async fn attempts_named(db: &mut Db, ids: &[String]) -> Result<Vec<Attempt>> {
    let mut found = Vec::new();
    for some in ids.chunks(MOST_VALUES) {
        let mut conditions = Where::default();
        conditions.among("id", some.iter().map(|id| Value::from(id.as_str())));
        for row in &db.all(conditions.query(&format!("{ATTEMPT} {{where}}"))).await? {
            found.push(attempt(row)?);
        }
    }
    Ok(found)
}

/// Postpones queued attempts until `next_at`.
pub async fn let_wait(
    tx: &mut Tx,
    rows: &[(AttemptId, TransactionId, Option<&str>)],
    next_at: i64,
) -> Result<()> {
    let mut transactions = Rows::default();
    for (_, transaction, code) in rows {
        transactions.push([transaction.to_string().into(), code.map(str::to_owned).into()]);
    }
    let sql = "UPDATE attempt SET next_at = $1 WHERE state = 'queued' AND id IN ({ids})";
    tx.among(sql, &[next_at.into()], rows.iter().map(|(attempt, ..)| attempt.to_string())).await?;
    let sql = "WITH v (id, code) AS (VALUES {rows}) \
               UPDATE payout_transaction SET waiting_code = v.code FROM v WHERE payout_transaction.id = v.id";
    tx.bulk(sql, &[], transactions).await?;
    Ok(())
}

/// Postpones these transactions' queued attempts until `next_at`.
pub async fn postpone(tx: &mut Tx, transactions: &[TransactionId], next_at: i64) -> Result<()> {
    let sql = "UPDATE attempt SET next_at = $1 WHERE state = 'queued' AND transaction_id IN ({ids})";
    tx.among(sql, &[next_at.into()], transactions.iter().map(ToString::to_string)).await?;
    Ok(())
}

/// A new transaction, as Pay writes it.
pub struct New<'a> {
    /// Its id.
    pub id: TransactionId,
    pub number: i64,
    pub terms: Terms,
    pub fee: Money,
    /// The part of the fee that the vendor charges once a month per payee.
    pub monthly: Money,
    pub destination: &'a Destination,
    pub attempt: AttemptId,
}

/// Inserts a batch's transactions and their first attempts.
pub async fn insert(tx: &mut Tx, batch: BatchId, new: &[New<'_>], now: i64) -> Result<()> {
    let epoch = put_back::progress(tx).await?.epoch;
    let (mut transactions, mut attempts) = (Rows::default(), Rows::default());
    for one in new {
        transactions.push([
            one.id.to_string().into(),
            one.number.into(),
            batch.to_string().into(),
            one.terms.payee.to_string().into(),
            one.terms.vendor.as_str().into(),
            one.destination.address().into(),
            one.destination.fingerprint().into(),
            one.destination.masked().into(),
            one.terms.amount.currency.code().into(),
            one.terms.amount.minor.into(),
            one.fee.minor.into(),
            one.monthly.minor.into(),
            one.terms.net.minor.into(),
            State::Queued.as_str().into(),
            now.into(),
            now.into(),
            0.into(),
            1.into(),
            epoch.into(),
        ]);
        let leg = Leg::first(one.terms.vendor);
        attempts.push(new_attempt(one.attempt, one.id, leg, 1, now));
    }
    let sql = "INSERT INTO payout_transaction (id, number, batch_id, payee, vendor, destination, fingerprint, \
               masked, currency, amount_minor, fee_minor, monthly_fee_minor, net_minor, state, created_at, \
               state_at, ask_lease_until, version, promised_epoch) VALUES {rows}";
    tx.bulk(sql, &[], transactions).await?;
    insert_attempts(tx, attempts).await
}

/// The row of a new attempt.
pub fn new_attempt(id: AttemptId, transaction: TransactionId, leg: Leg, number: i64, now: i64) -> [Value; 7] {
    [
        id.to_string().into(),
        transaction.to_string().into(),
        leg.as_str().into(),
        number.into(),
        AttemptState::Queued.as_str().into(),
        now.into(),
        now.into(),
    ]
}

/// Inserts rows made by [`new_attempt`].
///
/// # Errors
/// [`super::StoreError::Conflict`] if a leg already has a live attempt.
pub async fn insert_attempts(tx: &mut Tx, rows: Rows) -> Result<()> {
    let sql =
        "INSERT INTO attempt (id, transaction_id, leg, number, state, next_at, created_at) VALUES {rows}";
    tx.bulk(sql, &[], rows).await?;
    Ok(())
}

/// The changes of a step to a transaction.
pub struct Change {
    pub id: TransactionId,
    pub state: State,
    pub state_at: i64,
    pub reason: Option<Reason>,
    /// When it was settled, if it is.
    pub settled_at: Option<i64>,
    /// When its money left, if it did.
    pub left_at: Option<i64>,
    /// When to ask the vendor next.
    pub ask_at: Option<i64>,
    /// When the vendor contradicted it.
    pub contradicted_at: Option<i64>,
}

/// Writes steps' changes to locked transactions.
pub async fn write(tx: &mut Tx, changes: &[Change]) -> Result<()> {
    let mut rows = Rows::default();
    for change in changes {
        let (code, message) = match &change.reason {
            Some(reason) => (Some(reason.code.clone()), Some(reason.message.clone())),
            None => (None, None),
        };
        rows.push([
            change.id.to_string().into(),
            change.state.as_str().into(),
            change.state_at.into(),
            code.into(),
            message.into(),
            change.settled_at.into(),
            change.left_at.into(),
            change.ask_at.into(),
            change.contradicted_at.into(),
        ]);
    }
    // A look-up that an event or a person requested stays due even after the payment has ended.
    let sql = "WITH v (id, state, state_at, code, message, settled_at, left_at, ask_at, contradicted_at) \
               AS (VALUES {rows}) \
               UPDATE payout_transaction SET state = v.state, state_at = v.state_at, reason_code = v.code, \
               reason_message = v.message, settled_at = v.settled_at, left_at = v.left_at, ask_at = COALESCE(v.ask_at, \
               CASE WHEN hinted_at IS NOT NULL AND v.state IN ('failed', 'recalled', 'returned', 'blocked', 'refunded', \
               'reversed') THEN payout_transaction.ask_at END), \
               contradicted_at = v.contradicted_at, waiting_code = NULL \
               FROM v WHERE payout_transaction.id = v.id";
    tx.bulk(sql, &[], rows).await?;
    Ok(())
}

/// The changes of a step to an attempt.
pub struct AttemptChange {
    pub id: AttemptId,
    pub state: AttemptState,
    /// The vendor's id, once known.
    pub vendor_id: Option<String>,
    /// The submission that carries it.
    pub submission: Option<String>,
    pub reason_code: Option<String>,
    /// When its first byte may have been sent.
    pub first_sent_at: Option<i64>,
    pub ended_at: Option<i64>,
    /// The vendor fee posted for it.
    pub fee_minor: i64,
    /// The amount posted as returned by a partial reversal.
    pub reversed_minor: i64,
    /// When the vendor contradicted its outcome, until someone resolves it.
    pub contradicted_at: Option<i64>,
}

/// Writes steps' changes to attempts.
pub async fn write_attempts(tx: &mut Tx, changes: &[AttemptChange]) -> Result<()> {
    let mut rows = Rows::default();
    for change in changes {
        rows.push([
            change.id.to_string().into(),
            change.state.as_str().into(),
            change.vendor_id.clone().into(),
            change.submission.clone().into(),
            change.reason_code.clone().into(),
            change.first_sent_at.into(),
            change.ended_at.into(),
            change.fee_minor.into(),
            change.reversed_minor.into(),
            change.contradicted_at.into(),
        ]);
    }
    let sql = "WITH v (id, state, vendor_id, submission_id, reason_code, first_sent_at, ended_at, fee_minor, \
               reversed_minor, contradicted_at) AS (VALUES {rows}) \
               UPDATE attempt SET state = v.state, vendor_id = v.vendor_id, submission_id = v.submission_id, \
               reason_code = v.reason_code, first_sent_at = v.first_sent_at, ended_at = v.ended_at, \
               fee_minor = v.fee_minor, reversed_minor = v.reversed_minor, contradicted_at = v.contradicted_at \
               FROM v WHERE attempt.id = v.id";
    tx.bulk(sql, &[], rows).await?;
    Ok(())
}

/// Sets the paid date of successful transactions' rewards, and clears it if the money is returned.
pub async fn date_rewards(tx: &mut Tx, transactions: &[(TransactionId, Option<i64>)]) -> Result<()> {
    let mut rows = Rows::default();
    for (id, paid_at) in transactions {
        rows.push([id.to_string().into(), (*paid_at).into()]);
    }
    let sql = "WITH v (id, paid_at) AS (VALUES {rows}) \
               UPDATE reward SET paid_at = v.paid_at, version = version + 1 \
               FROM v WHERE reward.transaction_id = v.id";
    tx.bulk(sql, &[], rows).await?;
    Ok(())
}

/// Releases the rewards of a dead transaction to the pool; returns how many. Keeps a requested look-up due.
pub async fn release(tx: &mut Tx, id: TransactionId, now: i64) -> Result<u64> {
    let sql = "UPDATE payout_transaction SET released_at = $2, \
               ask_at = CASE WHEN state = 'written_off' OR hinted_at IS NOT NULL THEN ask_at END \
               WHERE id = $1 AND released_at IS NULL AND outside_at IS NULL";
    if tx.run(sqlx::query(sql).bind(id.to_string()).bind(now)).await? == 0 {
        return Ok(0);
    }
    let sql = "UPDATE reward SET batch_id = NULL, transaction_id = NULL, paid_at = NULL, version = version + 1 \
               WHERE transaction_id = $1";
    tx.run(sqlx::query(sql).bind(id.to_string())).await
}

/// How a payment was made that its vendor did not execute.
#[derive(Clone, Copy, Debug)]
pub struct PaidOutside<'a> {
    pub on: &'a str,
    /// The first moment of that date.
    pub at: i64,
    /// The reference that proves it.
    pub reference: &'a str,
    /// Paid with the money that was in the payee's vendor balance.
    pub otherwise: bool,
}

/// Closes a dead transaction as paid outside. Keeps a requested look-up due.
pub async fn close_outside(tx: &mut Tx, id: TransactionId, paid: &PaidOutside<'_>, now: i64) -> Result<()> {
    let sql = "UPDATE payout_transaction SET outside_at = $2, outside_on = $3, outside_reference = $4, \
               otherwise_at = $5, \
               ask_at = CASE WHEN state = 'written_off' OR hinted_at IS NOT NULL THEN ask_at END \
               WHERE id = $1 AND released_at IS NULL AND outside_at IS NULL";
    let query = sqlx::query(sql).bind(id.to_string()).bind(now).bind(paid.on.to_owned());
    let query = query.bind(paid.reference.to_owned()).bind(paid.otherwise.then_some(now));
    if tx.run(query).await? == 1 {
        date_rewards(tx, &[(id, Some(paid.at))]).await?;
    }
    Ok(())
}

/// A reward that a transaction covers.
#[derive(Clone, Debug)]
pub struct CoveredReward {
    /// Our id.
    pub id: String,
    pub number: i64,
    /// Its share of the payment, in minor units.
    pub amount_minor: i64,
}

/// The rewards a transaction covers, as they were at Pay.
pub async fn covered(db: &mut Db, id: TransactionId) -> Result<Vec<CoveredReward>> {
    let sql = "SELECT r.id, r.number, tr.amount_minor FROM transaction_reward tr \
               JOIN reward r ON r.id = tr.reward_id WHERE tr.transaction_id = $1 ORDER BY r.number";
    let read = |row: &AnyRow| {
        Ok(CoveredReward { id: row.try_get(0)?, number: row.try_get(1)?, amount_minor: row.try_get(2)? })
    };
    db.all(sqlx::query(sql).bind(id.to_string())).await?.iter().map(read).collect()
}

/// A reward that a transaction covers, as shown on statements.
#[derive(Clone, Debug)]
pub struct Named {
    pub number: i64,
    pub activity: String,
    pub owner: (Payee, String),
    /// Its share of the payment, in minor units; negative for a clawback.
    pub amount_minor: i64,
}

/// The rewards that these transactions cover, as they were at Pay, ordered by number.
pub async fn covered_by(db: &mut Db, ids: &[TransactionId]) -> Result<BTreeMap<TransactionId, Vec<Named>>> {
    let sql = "SELECT tr.transaction_id, r.number, a.name, r.owner_id, p.name, tr.amount_minor \
               FROM transaction_reward tr JOIN reward r ON r.id = tr.reward_id \
               JOIN activity a ON a.id = r.activity_id JOIN partner p ON p.id = r.owner_id {where} ORDER BY r.number";
    let mut found = BTreeMap::<TransactionId, Vec<Named>>::new();
    for some in ids.chunks(MOST_VALUES) {
        let mut conditions = Where::default();
        conditions.among("tr.transaction_id", some.iter().map(|id| Value::from(id.to_string())));
        for row in db.all(conditions.query(sql)).await? {
            let (id, owner): (String, String) = (row.try_get(0)?, row.try_get(3)?);
            let owner = (word(Payee::parse(&owner), &owner)?, row.try_get(4)?);
            let named = Named {
                number: row.try_get(1)?,
                activity: row.try_get(2)?,
                owner,
                amount_minor: row.try_get(5)?,
            };
            found.entry(word(TransactionId::parse(&id), &id)?).or_default().push(named);
        }
    }
    Ok(found)
}

/// The command a person may still give, for pages: whether the law allows a resubmission now.
pub fn may_resubmit(transaction: &Transaction) -> bool {
    !transaction.closed() && law::resubmit(transaction.state, &transaction.terms).is_ok()
}
