//! A database of an earlier version with payments in every state: after the migrations nothing is lost, every invariant
//! holds, and every page opens. `tests/fixtures/make-cec7e3b.sh` created it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bursar::ops::{trail, verify, why};
use bursar::store::transactions::{self, Filter};
use payout::access::Role;
use payout::transaction::State;
use sqlx::migrate::Migrator;
use sqlx::{AnyConnection, AssertSqlSafe, Connection as _, Executor as _, Row as _, SqlSafeStr as _};

use crate::pages::Browser;
use crate::world::{DAY, World};

/// The last migration of that version.
const LAST: i64 = 16;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

/// Creates the tables of that version and fills them.
pub async fn load(url: &str) {
    sqlx::any::install_default_drivers();
    let url = if url.starts_with("sqlite") { format!("{url}?mode=rwc") } else { url.to_owned() };
    let mut database = AnyConnection::connect(&url).await.unwrap();
    let all = Migrator::new(folder().join("../../src/store/migrations")).await.unwrap();
    let then = all.iter().filter(|migration| migration.version <= LAST).cloned();
    let mut migrator = Migrator::with_migrations(then.collect());
    migrator.set_locking(false);
    migrator.run(&mut database).await.unwrap();
    let rows = std::fs::read_to_string(folder().join("cec7e3b.rows")).unwrap();
    database.execute(AssertSqlSafe(rows).into_sql_str()).await.unwrap();
    database.close().await.unwrap();
}

/// The row count of each table, and the sum of its money columns.
async fn summed(url: &str) -> BTreeMap<String, (i64, i64)> {
    let money = [
        ("posting", "amount_minor"),
        ("reward", "value_minor"),
        ("payout_transaction", "amount_minor + net_minor + fee_minor"),
        ("transaction_reward", "amount_minor"),
        ("threshold_override", "total_minor"),
    ];
    let rows = std::fs::read_to_string(folder().join("cec7e3b.rows")).unwrap();
    let tables = rows.lines().filter_map(|line| line.strip_prefix("INSERT INTO ")?.split(' ').next());
    let mut database = AnyConnection::connect(url).await.unwrap();
    let mut found = BTreeMap::new();
    for table in tables {
        let amount = money.iter().find(|(of, _)| *of == table).map_or("0", |(_, amount)| amount);
        let sql = format!("SELECT COUNT(*), CAST(COALESCE(SUM({amount}), 0) AS BIGINT) FROM {table}");
        let row = database.fetch_one(AssertSqlSafe(sql).into_sql_str()).await.unwrap();
        found.insert(table.to_owned(), (row.get(0), row.get(1)));
    }
    database.close().await.unwrap();
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_of_an_earlier_version_loses_nothing() {
    let mut before = BTreeMap::new();
    let world = World::open_kept("earlier", async |url: &str| {
        load(url).await;
        before = summed(url).await;
    })
    .await;
    world.pass(200 * DAY);
    let url = world.app.config.database_url.clone();
    let after = summed(&url).await;
    for (table, then) in &before {
        // Migrations may add rows derived from old ones; none may be lost, and no amount may differ.
        let now = after[table];
        assert!(now.0 >= then.0, "{table} had {then:?} and has {now:?}");
        assert_eq!(now.1, then.1, "the money of {table}");
    }
    let mut db = world.app.store.read().await.unwrap();
    for invariant in verify::all(&mut db).await.unwrap() {
        assert!(invariant.holds(), "{invariant:?}");
    }
    let all = transactions::list(&mut db, &Filter::default(), 1_000).await.unwrap();
    // No payment of that version can have been written off.
    for state in State::ALL.iter().filter(|state| **state != State::WrittenOff) {
        assert!(all.iter().any(|one| one.state == *state), "no payment is {}", state.as_str());
    }
    for one in &all {
        why::find(&mut db, &one.label(), world.now()).await.unwrap();
    }
    drop(db);
    let mut reader = Browser::of(&world, Role::Admin, "reader").await;
    for path in [
        "/rewards",
        "/claims",
        "/partners",
        "/imports",
        "/activity",
        "/dashboard/transactions",
        "/settings/payouts",
    ] {
        assert!(reader.get(path).await.status.is_success(), "{path}");
    }
    for one in &all {
        reader.read(&format!("/transactions/{}", one.label())).await.says(&one.label());
    }
    // New rows are chained to the old ones.
    while trail::chain(&world.app).await.unwrap() > 0 {}
    let chain = verify::chain(&mut world.app.store.read().await.unwrap()).await.unwrap();
    assert!(chain.holds() && chain.checked > before["audit"].0, "{chain:?}");
    world.close().await;
}
