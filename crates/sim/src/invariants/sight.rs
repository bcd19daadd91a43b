//! The data that is checked: the database's rows as they are, and the vendors' books. Not here: what must hold.

use std::collections::{BTreeMap, BTreeSet};

use simulator::Books;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::flows::Flow;
use crate::outside::Outside;
use crate::world::World;
use crate::world::memory::{Aim, Lost};

pub struct Payment {
    pub id: String,
    pub number: i64,
    pub batch: String,
    pub payee: String,
    pub vendor: String,
    pub destination: String,
    pub currency: String,
    pub amount: i64,
    pub net: i64,
    pub state: String,
    pub contradicted: bool,
    pub released: bool,
    pub outside: bool,
}

/// One try of a leg.
pub struct Attempt {
    pub id: String,
    pub payment: String,
    pub leg: String,
    pub number: i64,
    pub state: String,
    pub vendor_id: Option<String>,
    pub submission: Option<String>,
    pub created_at: i64,
    pub ended_at: Option<i64>,
    /// The part of its transfer posted as returned.
    pub reversed: i64,
}

/// A request as it was committed.
pub struct Submission {
    pub id: String,
    pub key: String,
    pub state: String,
    pub body: String,
    pub created_at: i64,
}

pub struct Reward {
    pub id: String,
    pub number: i64,
    pub value: i64,
    pub entry: String,
    pub batch: Option<String>,
    pub payment: Option<String>,
    pub paid: bool,
    pub payee: Option<String>,
    pub currency: Option<String>,
    pub approved_at: Option<i64>,
}

pub struct Batch {
    pub id: String,
    pub number: String,
    pub deleted: bool,
    pub paid: bool,
    pub paid_by: Option<String>,
    pub released_by: Option<String>,
}

/// A row of the audit trail.
pub struct Trail {
    pub seq: i64,
    pub at: i64,
    pub actor: String,
    pub action: String,
    pub subject: String,
    pub detail: String,
    pub previous: String,
    pub hash: String,
}

/// Everything that the invariants check.
pub struct Sight {
    pub payments: Vec<Payment>,
    pub attempts: Vec<Attempt>,
    pub submissions: Vec<Submission>,
    pub rewards: Vec<Reward>,
    pub batches: Vec<Batch>,
    pub covered: Vec<(String, String, i64)>,
    /// Journal, movement, subject, account, currency, amount.
    pub postings: Vec<[String; 5]>,
    pub amounts: Vec<i64>,
    pub trail: Vec<Trail>,
    pub notices: BTreeSet<(String, String)>,
    pub told: BTreeMap<(String, String), i64>,
    pub events: BTreeSet<(String, String)>,
    /// Payment, event, effect, and count.
    pub effects: Vec<(String, String, String, i64)>,
    /// Batch, and a person who took part in forming it.
    pub hands: BTreeSet<(String, String)>,
    /// Payee, and number of destination changes after the first.
    pub changes: BTreeMap<String, i64>,
    pub two_persons: bool,
    /// The database itself enforces one live attempt per leg.
    pub one_live_is_kept: bool,
    /// Every text shown to people or programs.
    pub texts: Vec<String>,
    /// Non-integer types found in money columns; only SQLite would allow them.
    pub not_whole: Vec<String>,
    /// Events that are stored more than once.
    pub twice: Vec<(String, String, i64)>,
    pub settings: serde_json::Value,
    /// Destinations, and from when on each was used.
    pub aims: Vec<Aim>,
    /// The periods in which safe mode was on.
    pub safe: Vec<(i64, i64)>,
    /// How long after its decision a request may reach a vendor.
    pub latitude: i64,
    /// The people who act in this run.
    pub people: Vec<String>,
    /// The number of payment requests that reached another vendor account.
    pub elsewhere: usize,
    /// Our ids on payments found at the vendors after a restore.
    pub found: BTreeSet<String>,
    pub lost: Lost,
    pub books: Books,
    pub flows: BTreeMap<String, Flow>,
}

fn text(row: &AnyRow, at: usize) -> String {
    row.get(at)
}

fn maybe(row: &AnyRow, at: usize) -> Option<String> {
    row.get(at)
}

fn number(row: &AnyRow, at: usize) -> i64 {
    row.get(at)
}

fn dated(row: &AnyRow, at: usize) -> bool {
    row.get::<Option<i64>, _>(at).is_some()
}

/// What is known besides the database: the vendors' books, and what was done to the program and its clocks.
pub struct Known {
    pub books: Books,
    /// `sqlite` or `postgres`.
    pub engine: &'static str,
    /// Destinations, and from when on each was used.
    pub aims: Vec<Aim>,
    /// The periods in which safe mode was on.
    pub safe: Vec<(i64, i64)>,
    /// How long after its decision a request may reach a vendor, in microseconds.
    pub latitude: i64,
    /// The people who act in this run.
    pub people: Vec<String>,
    /// The number of payment requests that reached another vendor account.
    pub elsewhere: usize,
    /// What was lost in the restore.
    pub lost: Lost,
}

impl Known {
    pub fn of(world: &World) -> Self {
        Self {
            books: world.simulator.books(),
            engine: world.app.store.engine_name(),
            aims: world.memory.aims(),
            safe: world.memory.safe(),
            latitude: world.memory.latitude(),
            people: [&world.actor, &world.other].map(|one| one.id.to_string()).to_vec(),
            elsewhere: world.asked_elsewhere(),
            lost: world.memory.lost(),
        }
    }
}

impl Sight {
    /// Everything as it is now.
    pub async fn of(outside: &Outside, known: Known) -> Self {
        let Known { books, engine, aims, safe, latitude, people, elsewhere, lost } = known;
        let payments = payments(outside).await;
        let flows = payments.iter().map(|one| (one.id.clone(), Flow::of(one, &books))).collect();
        let (postings, amounts) = postings(outside).await;
        let notices = outside.rows("SELECT notice, subject, COUNT(*) FROM outbox GROUP BY notice, subject");
        let told: BTreeMap<(String, String), i64> =
            notices.await.iter().map(|row| ((text(row, 0), text(row, 1)), number(row, 2))).collect();
        let settings = outside.rows("SELECT value FROM setting WHERE name = 'payout'").await;
        let settings = settings.first().and_then(|row| serde_json::from_str(&text(row, 0)).ok());
        let settings: serde_json::Value = settings.unwrap_or_default();
        Self {
            attempts: attempts(outside).await,
            submissions: submissions(outside).await,
            rewards: rewards(outside).await,
            batches: batches(outside).await,
            covered: covered(outside).await,
            postings,
            amounts,
            trail: trail(outside).await,
            notices: told.keys().cloned().collect(),
            told,
            events: pairs(outside, "SELECT vendor, event_id FROM vendor_event").await,
            effects: effects(outside).await,
            hands: pairs(outside, "SELECT batch_id, person FROM batch_hand").await,
            changes: changes(outside).await,
            two_persons: settings["two_person_release"] == true,
            settings,
            twice: twice(outside).await,
            aims,
            safe,
            latitude,
            people,
            elsewhere,
            one_live_is_kept: one_live_is_kept(outside, engine).await,
            texts: texts(outside).await,
            not_whole: not_whole(outside, engine).await,
            found: found(outside).await,
            lost,
            payments,
            books,
            flows,
        }
    }

    /// A payment's total on ledger accounts with this prefix, in its own currency.
    pub fn booked(&self, payment: &str, account: &str) -> i64 {
        let rows = self.postings.iter().zip(&self.amounts);
        rows.filter(|(row, _)| row[2] == payment && row[3].starts_with(account))
            .map(|(_, minor)| *minor)
            .sum()
    }
}

async fn payments(outside: &Outside) -> Vec<Payment> {
    let sql = "SELECT id, number, batch_id, payee, vendor, destination, currency, amount_minor, net_minor, state, \
               contradicted_at, released_at, outside_at FROM payout_transaction ORDER BY number";
    let read = |row: &AnyRow| Payment {
        id: text(row, 0),
        number: number(row, 1),
        batch: text(row, 2),
        payee: text(row, 3),
        vendor: text(row, 4),
        destination: text(row, 5),
        currency: text(row, 6),
        amount: number(row, 7),
        net: number(row, 8),
        state: text(row, 9),
        contradicted: dated(row, 10),
        released: dated(row, 11),
        outside: dated(row, 12),
    };
    outside.rows(sql).await.iter().map(read).collect()
}

async fn attempts(outside: &Outside) -> Vec<Attempt> {
    let sql = "SELECT id, transaction_id, leg, number, state, vendor_id, submission_id, created_at, ended_at, \
               reversed_minor FROM attempt ORDER BY transaction_id, leg, number";
    let read = |row: &AnyRow| Attempt {
        id: text(row, 0),
        payment: text(row, 1),
        leg: text(row, 2),
        number: number(row, 3),
        state: text(row, 4),
        vendor_id: maybe(row, 5),
        submission: maybe(row, 6),
        created_at: number(row, 7),
        ended_at: row.get(8),
        reversed: number(row, 9),
    };
    outside.rows(sql).await.iter().map(read).collect()
}

async fn submissions(outside: &Outside) -> Vec<Submission> {
    let sql = "SELECT id, key, state, body, created_at FROM submission ORDER BY id";
    let read = |row: &AnyRow| Submission {
        id: text(row, 0),
        key: text(row, 1),
        state: text(row, 2),
        body: text(row, 3),
        created_at: number(row, 4),
    };
    outside.rows(sql).await.iter().map(read).collect()
}

async fn rewards(outside: &Outside) -> Vec<Reward> {
    let sql = "SELECT id, number, value_minor, entry, batch_id, transaction_id, paid_at, payee, currency, \
               CASE WHEN status = 'approved' THEN first_approved_at END FROM reward ORDER BY number";
    let read = |row: &AnyRow| Reward {
        id: text(row, 0),
        number: number(row, 1),
        value: number(row, 2),
        entry: text(row, 3),
        batch: maybe(row, 4),
        payment: maybe(row, 5),
        paid: dated(row, 6),
        payee: maybe(row, 7),
        currency: maybe(row, 8),
        approved_at: row.get(9),
    };
    outside.rows(sql).await.iter().map(read).collect()
}

async fn batches(outside: &Outside) -> Vec<Batch> {
    let sql =
        "SELECT id, number, deleted_at, pay_pressed_at, pay_pressed_by, released_by FROM batch ORDER BY id";
    let read = |row: &AnyRow| Batch {
        id: text(row, 0),
        number: text(row, 1),
        deleted: dated(row, 2),
        paid: dated(row, 3),
        paid_by: maybe(row, 4),
        released_by: maybe(row, 5),
    };
    outside.rows(sql).await.iter().map(read).collect()
}

async fn covered(outside: &Outside) -> Vec<(String, String, i64)> {
    let sql = "SELECT transaction_id, reward_id, amount_minor FROM transaction_reward ORDER BY 1, 2";
    outside.rows(sql).await.iter().map(|row| (text(row, 0), text(row, 1), number(row, 2))).collect()
}

async fn found(outside: &Outside) -> BTreeSet<String> {
    outside.rows("SELECT our_id FROM found_payment").await.iter().map(|row| text(row, 0)).collect()
}

async fn postings(outside: &Outside) -> (Vec<[String; 5]>, Vec<i64>) {
    let sql = "SELECT j.id, j.movement, j.subject, p.account, p.currency, p.amount_minor \
               FROM posting p JOIN journal j ON j.id = p.journal_id ORDER BY j.id, p.line";
    let rows = outside.rows(sql).await;
    let words = rows.iter().map(|row| [0, 1, 2, 3, 4].map(|at| text(row, at))).collect();
    (words, rows.iter().map(|row| number(row, 5)).collect())
}

async fn trail(outside: &Outside) -> Vec<Trail> {
    let sql = "SELECT seq, at, actor, action, subject, detail, previous_hash, hash FROM audit ORDER BY seq";
    let read = |row: &AnyRow| Trail {
        seq: number(row, 0),
        at: number(row, 1),
        actor: text(row, 2),
        action: text(row, 3),
        subject: text(row, 4),
        detail: text(row, 5),
        previous: text(row, 6),
        hash: text(row, 7),
    };
    outside.rows(sql).await.iter().map(read).collect()
}

async fn pairs(outside: &Outside, sql: &str) -> BTreeSet<(String, String)> {
    outside.rows(sql).await.iter().map(|row| (text(row, 0), text(row, 1))).collect()
}

async fn twice(outside: &Outside) -> Vec<(String, String, i64)> {
    let sql = "SELECT vendor, event_id, COUNT(*) FROM vendor_event GROUP BY vendor, event_id \
               HAVING COUNT(*) > 1 ORDER BY 1, 2";
    outside.rows(sql).await.iter().map(|row| (text(row, 0), text(row, 1), number(row, 2))).collect()
}

async fn effects(outside: &Outside) -> Vec<(String, String, String, i64)> {
    let sql = "SELECT transaction_id, event_id, effect, COUNT(*) FROM timeline WHERE event_id IS NOT NULL \
               GROUP BY transaction_id, event_id, effect ORDER BY 1, 2, 3";
    let read = |row: &AnyRow| (text(row, 0), text(row, 1), text(row, 2), number(row, 3));
    outside.rows(sql).await.iter().map(read).collect()
}

async fn changes(outside: &Outside) -> BTreeMap<String, i64> {
    let sql = "SELECT payee, COUNT(*) FROM profile_change WHERE old_masked IS NOT NULL GROUP BY payee";
    outside.rows(sql).await.iter().map(|row| (text(row, 0), number(row, 1))).collect()
}

async fn texts(outside: &Outside) -> Vec<String> {
    let sql = "SELECT detail FROM outbox UNION ALL SELECT detail FROM audit \
               UNION ALL SELECT COALESCE(detail, '') FROM timeline UNION ALL SELECT COALESCE(last_detail, '') FROM submission";
    outside.rows(sql).await.iter().map(|row| text(row, 0)).collect()
}

async fn one_live_is_kept(outside: &Outside, engine: &str) -> bool {
    let sql = match engine {
        "sqlite" => "SELECT name FROM sqlite_master WHERE name = 'attempt_live'",
        _ => "SELECT CAST(indexname AS TEXT) FROM pg_indexes WHERE indexname = 'attempt_live'",
    };
    !outside.rows(sql).await.is_empty()
}

async fn not_whole(outside: &Outside, engine: &str) -> Vec<String> {
    if engine != "sqlite" {
        return Vec::new();
    }
    let mut found = Vec::new();
    for (table, column) in [
        ("reward", "value_minor"),
        ("payout_transaction", "amount_minor"),
        ("payout_transaction", "net_minor"),
        ("payout_transaction", "fee_minor"),
        ("transaction_reward", "amount_minor"),
        ("posting", "amount_minor"),
    ] {
        let sql =
            format!("SELECT DISTINCT typeof({column}) FROM {table} WHERE typeof({column}) <> 'integer'");
        found
            .extend(outside.rows(&sql).await.iter().map(|row| format!("{table}.{column}: {}", text(row, 0))));
    }
    found
}
