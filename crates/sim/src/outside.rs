//! Direct access to the database, bypassing the program: read with this crate's own SQL, so that the code under test
//! takes no part in checking. Not here: what must hold (`invariants`).

use sqlx::any::{AnyPoolOptions, AnyRow};
use sqlx::{AnyPool, AssertSqlSafe, Executor as _, Row as _, SqlSafeStr as _};

/// A read connection to the database.
pub struct Outside {
    pool: AnyPool,
}

/// When each loop next has something due, in the order of `Loop::ALL`: events to process, payments to ask about,
/// requests to send, requests to look up.
const NEXT_DUE: &str = "SELECT \
    (SELECT MIN(received_at) FROM vendor_event \
        WHERE linked_at IS NULL AND parked_at IS NULL AND applied_at IS NULL), \
    (SELECT MIN(at) FROM ( \
        SELECT MIN(CASE WHEN ask_at > ask_lease_until THEN ask_at ELSE ask_lease_until END) AS at \
            FROM payout_transaction WHERE ask_at IS NOT NULL \
        UNION ALL SELECT MIN(check_at) FROM payout_profile WHERE check_at IS NOT NULL \
        UNION ALL SELECT MIN(look_at) FROM named_object WHERE look_at IS NOT NULL \
        UNION ALL SELECT MIN(retry_at) FROM vendor_connection WHERE rejected_at IS NOT NULL) AS asked), \
    (SELECT MIN(at) FROM ( \
        SELECT MIN(next_at) AS at FROM attempt WHERE state = 'queued' \
        UNION ALL SELECT MIN(CASE WHEN next_at > lease_until THEN next_at ELSE lease_until END) \
            FROM submission WHERE state IN ('intended', 'unknown')) AS sent), \
    (SELECT MIN(CASE WHEN next_at > lease_until THEN next_at ELSE lease_until END) \
        FROM submission WHERE state = 'looking')";

impl Outside {
    /// Opens a connection to this database.
    pub async fn of(url: &str) -> Self {
        Self {
            pool: AnyPoolOptions::new()
                .max_connections(1)
                .test_before_acquire(false)
                .connect(url)
                .await
                .unwrap(),
        }
    }

    pub async fn rows(&self, sql: &str) -> Vec<AnyRow> {
        let sql = AssertSqlSafe(sql.to_owned()).into_sql_str();
        self.pool
            .fetch_all(sql)
            .await
            .unwrap_or_else(|error| panic!("the database cannot be looked at: {error}"))
    }

    /// A query's rows as text, with as many columns as the list names.
    pub async fn texts(&self, sql: &str, columns: &str) -> Vec<String> {
        let count = columns.split(',').count();
        let cell = |row: &AnyRow, at: usize| match row.try_get::<Option<String>, _>(at) {
            Ok(text) => text.unwrap_or_default(),
            Err(_) => {
                row.try_get::<Option<i64>, _>(at).ok().flatten().map_or(String::new(), |it| it.to_string())
            }
        };
        let rows = self.rows(sql).await;
        rows.iter().map(|row| (0..count).map(|at| cell(row, at)).collect::<Vec<_>>().join("|")).collect()
    }

    /// When each loop next has something due (microseconds); `None` if nothing is.
    pub async fn next_due(&self) -> [Option<i64>; 4] {
        let rows = self.rows(NEXT_DUE).await;
        rows.first().map(|row| [0, 1, 2, 3].map(|at| row.get(at))).unwrap_or_default()
    }

    pub async fn close(self) {
        self.pool.close().await;
    }
}
