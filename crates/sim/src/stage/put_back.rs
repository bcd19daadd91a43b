//! A database that is saved and later restored by hand while every process is down, by an administrator who knows
//! nothing about Bursar. What was lost is recorded here for the final checks. Not here: the copies themselves
//! (`world::database`), and what people do afterwards (`found`).

use std::collections::BTreeSet;

use bursar::ops::safe_mode;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe, Connection as _, Executor as _, Row as _, SqlSafeStr as _};

use super::plot::span;
use super::{Outcome, Stage};
use crate::world::memory::Lost;

/// The name of the saved copy.
const COPY: &str = "saved";

impl Stage {
    /// Handles the lines about saving, restoring and what follows.
    pub(super) async fn copied(&mut self, first: &str, rest: &[&str]) -> Outcome {
        match (first, rest) {
            ("save", _) => self.save().await,
            ("put-back", _) => self.put_back().await,
            (_, ["off", "within", count, unit]) => self.leave_within(span(count, unit)?).await,
            ("settle-all", _) => self.settle_all().await,
            _ => self.settle_found().await,
        }
    }

    /// Saves the database. From here on its processes keep a mark beside a key.
    async fn save(&mut self) -> Outcome {
        self.rouse(|_| true).await;
        // Start the mark first, so that the copy contains the database's id.
        self.remember().await;
        self.restart(async |database| database.save(COPY).await).await;
        let aims = self.world.memory.aims().len();
        self.saved = Some((self.world.vendors_now(), aims, self.cast.clone()));
        Ok(())
    }

    /// Restores the database. If anything unknown to it was sent, that must be noticed. Stalled processes die, and
    /// names created since become invalid.
    async fn put_back(&mut self) -> Outcome {
        let (since, aims, cast) = self.saved.clone().ok_or("nothing was saved")?;
        let covered =
            self.pairs("SELECT transaction_id, reward_id FROM transaction_reward ORDER BY 1, 2").await?;
        let payees = self.pairs("SELECT id, payee FROM payout_transaction ORDER BY 1").await?;
        self.asleep.clear();
        let (at, elsewhere) = (self.world.vendors_now(), self.world.asked_elsewhere());
        self.world.memory.woke(at, true);
        self.world.memory.went_back(Lost { since, at, covered, payees, elsewhere }, aims);
        let noticed = self.restart(async |database| database.put_back(COPY).await).await;
        self.cast = cast;
        let known: BTreeSet<String> = self
            .pairs("SELECT key, state FROM submission WHERE first_sent_at IS NOT NULL")
            .await?
            .into_iter()
            .map(|(key, _)| key)
            .collect();
        let books = self.world.simulator.books();
        let sent = books.requests.iter().filter(|one| one.at > since).filter_map(|one| one.key.as_ref());
        let missing: Vec<&String> = sent.filter(|key| !known.contains(*key)).collect();
        if !noticed && !missing.is_empty() {
            return Err(format!(
                "nobody has noticed that the database was put back, and {missing:?} are missing"
            ));
        }
        self.log.push(format!("  noticed: {noticed}, {} requests are missing", missing.len()));
        let mut db = self.world.app.store.read().await.unwrap();
        let safe = safe_mode::on(&mut db).await.map_err(|error| error.to_string())?;
        self.world.memory.safe_mode(at, safe);
        Ok(())
    }

    /// The rows of a query with two text columns.
    async fn pairs(&self, sql: &str) -> Result<Vec<(String, String)>, String> {
        let url = self.world.app.config.database_url.clone();
        let mut database = AnyConnection::connect(&url).await.map_err(|error| error.to_string())?;
        let rows = database.fetch_all(AssertSqlSafe(sql.to_owned()).into_sql_str()).await;
        let rows = rows.map_err(|error| error.to_string())?;
        database.close().await.map_err(|error| error.to_string())?;
        Ok(rows.iter().map(|row: &AnyRow| (row.get(0), row.get(1))).collect())
    }
}
