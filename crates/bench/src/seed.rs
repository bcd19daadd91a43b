//! A database as after years of use: a million rewards of ten thousand partners, inserted in bulk rather than through
//! the verbs, which would take an hour. For viewing and measuring lists; its ledger is empty, so nothing can be paid
//! and `verify` would fail.

use sqlx::{AnyConnection, AssertSqlSafe, Connection as _, Executor as _, SqlSafeStr as _};

use bursar::store::Store;

use crate::Failure;
use crate::meter;
use crate::report;

/// The rewards inserted per SQL statement.
const AT_ONCE: usize = 50_000;
/// How many partners own them.
pub const PARTNERS: usize = 10_000;
const ACCOUNTS: usize = 1_000;
const ACTIVITIES: usize = 60;
const BATCHES: usize = 50;
/// When the first reward was created, and the period over which all are spread.
const FIRST_US: i64 = 1_700_000_000_000_000;
const SPAN_US: i64 = 95_000_000_000_000;

/// An id of a kind: any 26 digits are valid.
pub fn id(kind: &str, place: usize) -> String {
    format!("{kind}_{place:026}")
}

/// When a reward was created, microseconds UTC.
pub fn created_at(place: usize, rewards: usize) -> i64 {
    let place = i64::try_from(place).unwrap_or(0);
    FIRST_US + place * (SPAN_US / i64::try_from(rewards).unwrap_or(1).max(1))
}

/// The same id as an SQL expression.
fn sql_id(kind: &str, place: &str) -> String {
    let text = format!("'00000000000000000000000000' || CAST({place} AS TEXT)");
    format!("'{kind}_' || substr({text}, length({text}) - 25)")
}

/// Fills a database that has tables but no data.
///
/// # Errors
/// The database reports an error, or is not empty.
pub async fn fill(url: &str, rewards: usize) -> Result<(), Failure> {
    Store::open(url).await?.close().await;
    let mut to = AnyConnection::connect(url).await?;
    let began = meter::now_us();
    for statement in catalogue().into_iter().chain(numbers(rewards)) {
        run(&mut to, statement).await?;
    }
    for first in (1..=rewards).step_by(AT_ONCE) {
        run(&mut to, some(first, (first + AT_ONCE - 1).min(rewards), rewards)).await?;
    }
    if !url.starts_with("sqlite:") {
        // Autovacuum would do this soon after so many inserts.
        for table in ["reward", "partner", "payout_profile"] {
            run(&mut to, format!("VACUUM ANALYZE {table}")).await?;
        }
    }
    to.close().await?;
    let took = report::seconds(meter::now_us() - began);
    report::aside(&format!("beforehand: {rewards} rewards written in {took}"));
    Ok(())
}

async fn run(to: &mut AnyConnection, sql: String) -> Result<(), Failure> {
    to.execute(AssertSqlSafe(sql).into_sql_str()).await?;
    Ok(())
}

fn counting(to: usize) -> String {
    format!("WITH RECURSIVE n (i) AS (SELECT CAST(1 AS BIGINT) UNION ALL SELECT i + 1 FROM n WHERE i < {to})")
}

/// Companies, partners with payout profiles for four out of five, programs with three activities each, and batches.
fn catalogue() -> Vec<String> {
    let (account, partner) = (sql_id("acc", "i"), sql_id("ptn", "i"));
    let of_account = sql_id("acc", &format!("(1 + i % {ACCOUNTS})"));
    let (program, activity) = (sql_id("prg", "i"), sql_id("act", "i"));
    let of_program = sql_id("prg", "(1 + (i - 1) / 3)");
    let batch = sql_id("bat", "i");
    let programs = ACTIVITIES / 3;
    vec![
        format!(
            "INSERT INTO account (id, external_id, name, country, standing, created_at, updated_at) {} \
             SELECT {account}, 'company-' || CAST(i AS TEXT), 'Company ' || CAST(i AS TEXT), 'US', 'active', 1, 1 FROM n",
            counting(ACCOUNTS)
        ),
        format!(
            "INSERT INTO partner (id, external_id, account_id, name, email, country, standing, created_at, updated_at) {} \
             SELECT {partner}, 'partner-' || CAST(i AS TEXT), {of_account}, 'Partner ' || CAST(i AS TEXT), \
             'partner' || CAST(i AS TEXT) || '@bench.example', 'US', 'active', 1, 1 FROM n",
            counting(PARTNERS)
        ),
        format!(
            "INSERT INTO payout_profile (payee, vendor, address, fingerprint, masked, payable_at, set_at) {} \
             SELECT {partner}, 'paypal', 'partner' || CAST(i AS TEXT) || '@bench.example', 'f' || CAST(i AS TEXT), \
             'p…@bench.example', 1, 1 FROM n WHERE i % 5 > 0",
            counting(PARTNERS)
        ),
        format!(
            "INSERT INTO program (id, external_id, name, reward_type, hold_days, created_at, updated_at) {} \
             SELECT {program}, 'program-' || CAST(i AS TEXT), 'Program ' || CAST(i AS TEXT), \
             CASE WHEN i = {programs} THEN 'points' ELSE 'cash' END, 0, 1, 1 FROM n",
            counting(programs)
        ),
        format!(
            "INSERT INTO activity (id, external_id, program_id, name, created_at, updated_at) {} \
             SELECT {activity}, 'activity-' || CAST(i AS TEXT), {of_program}, 'Activity ' || CAST(i AS TEXT), 1, 1 FROM n",
            counting(ACTIVITIES)
        ),
        format!(
            "INSERT INTO batch (id, number, created_by, created_at, changed_by, changed_at, version) {} \
             SELECT {batch}, 'PB-2025-' || CAST(i AS TEXT), 'bench', i, 'bench', i, 1 FROM n",
            counting(BATCHES)
        ),
    ]
}

fn numbers(rewards: usize) -> Vec<String> {
    vec![format!("INSERT INTO counter (name, value) VALUES ('reward', {rewards})")]
}

/// The rewards in a number range. The newest 2% are pending; slightly older ones are approved or in a payout; of all
/// before that, 95% are paid and the rest rejected or void.
fn some(first: usize, last: usize, of: usize) -> String {
    let (pending, approved, placed) = (of - of / 50, of - of / 14, of - of / 10);
    let step = SPAN_US / i64::try_from(of).unwrap_or(1).max(1);
    let owner = format!("(1 + i * 31 % {PARTNERS})");
    let account = format!("(1 + {owner} % {ACCOUNTS})");
    let activity = format!("(1 + i * 17 % {ACTIVITIES})");
    let points = format!("{activity} > {ACTIVITIES} - 3");
    let (id, owner_id, account_id) = (sql_id("rwd", "i"), sql_id("ptn", &owner), sql_id("acc", &account));
    let (activity_id, program_id) =
        (sql_id("act", &activity), sql_id("prg", &format!("(1 + ({activity} - 1) / 3)")));
    let batch_id = sql_id("bat", &format!("(1 + i * {BATCHES} / {})", of + 1));
    format!(
        "INSERT INTO reward (id, number, external_id, content_hash, program_id, activity_id, owner_id, account_id, \
         reward_type, payment_type, payee, entry, value_minor, currency, status, reason, expires_at, held_until, \
         created_at, created_by, decided_at, decided_by, first_approved_at, batch_id, paid_at, version) \
         WITH RECURSIVE n (i) AS (SELECT CAST({first} AS BIGINT) UNION ALL SELECT i + 1 FROM n WHERE i < {last}) \
         SELECT {id}, i, 'deal-' || CAST(i AS TEXT), '', {program_id}, {activity_id}, {owner_id}, {account_id}, \
         CASE WHEN {points} THEN 'points' ELSE 'cash' END, \
         CASE WHEN {points} THEN NULL WHEN i % 10 = 3 THEN 'organization' ELSE 'individual' END, \
         CASE WHEN {points} THEN NULL WHEN i % 10 = 3 THEN {account_id} ELSE {owner_id} END, 'earned', \
         1000 + i * 7919 % 250000, \
         CASE WHEN {points} THEN NULL WHEN i % 1000 = 7 THEN 'JPY' WHEN i % 5 = 1 THEN 'EUR' ELSE 'USD' END, \
         CASE WHEN i > {pending} THEN CASE WHEN i % 3 = 0 THEN 'in_review' ELSE 'submitted' END \
         WHEN i <= {placed} AND i % 20 = 7 THEN CASE WHEN i % 400 = 7 THEN 'void' ELSE 'rejected' END \
         ELSE 'approved' END, \
         CASE WHEN i <= {placed} AND i % 20 = 7 THEN 'Sent twice' ELSE NULL END, \
         CASE WHEN i % 4 = 1 THEN {FIRST_US} + i * {step} + 31536000000000 ELSE NULL END, {FIRST_US} + i * {step}, \
         {FIRST_US} + i * {step}, 'bench', \
         CASE WHEN i > {pending} THEN NULL ELSE {FIRST_US} + i * {step} + 172800000000 END, \
         CASE WHEN i > {pending} THEN NULL ELSE 'bench' END, \
         CASE WHEN i > {pending} OR (i <= {placed} AND i % 20 = 7) THEN NULL ELSE {FIRST_US} + i * {step} + 172800000000 END, \
         CASE WHEN i > {approved} OR i % 20 = 7 THEN NULL ELSE {batch_id} END, \
         CASE WHEN i > {placed} OR i % 20 = 7 THEN NULL ELSE {FIRST_US} + i * {step} + 604800000000 END, 1 FROM n"
    )
}
