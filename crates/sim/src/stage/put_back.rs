//! A database that is saved, goes on, and is put back as it was: by hand, while every process is down, as an administrator
//! would who knows nothing of Bursar. What was lost with it is remembered here, for whoever looks from outside at the end.
//! What is deliberately not here: the copies themselves (`world::database`), and what people do afterwards (`found`).

use std::collections::BTreeSet;

use bursar::ops::safe_mode;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe, Connection as _, Executor as _, Row as _, SqlSafeStr as _};

use super::plot::span;
use super::{Outcome, Stage};
use crate::world::memory::Lost;

/// What a copy is called.
const COPY: &str = "saved";

impl Stage {
    /// A line about the copy, or about what people do when it was put back.
    pub(super) async fn copied(&mut self, first: &str, rest: &[&str]) -> Outcome {
        match (first, rest) {
            ("save", _) => self.save().await,
            ("put-back", _) => self.put_back().await,
            (_, ["off", "within", count, unit]) => self.leave_within(span(count, unit)?).await,
            ("settle-all", _) => self.settle_all().await,
            _ => self.settle_found().await,
        }
    }

    /// Keeps what the database holds. From here on its processes remember beside a key how far it has come.
    async fn save(&mut self) -> Outcome {
        self.rouse(|_| true).await;
        // What it is known by is in it before it is copied.
        self.remember().await;
        self.restart(async |database| database.save(COPY).await).await;
        let aims = self.world.memory.aims().len();
        self.saved = Some((self.world.vendors_now(), aims, self.cast.clone()));
        Ok(())
    }

    /// Puts it back. Where anything was sent that it does not know of, it must be noticed. Whoever slept dies in their sleep,
    /// and what was entered since is nobody's name any more.
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

    /// The rows of a statement with two columns of text.
    async fn pairs(&self, sql: &str) -> Result<Vec<(String, String)>, String> {
        let url = self.world.app.config.database_url.clone();
        let mut database = AnyConnection::connect(&url).await.map_err(|error| error.to_string())?;
        let rows = database.fetch_all(AssertSqlSafe(sql.to_owned()).into_sql_str()).await;
        let rows = rows.map_err(|error| error.to_string())?;
        database.close().await.map_err(|error| error.to_string())?;
        Ok(rows.iter().map(|row: &AnyRow| (row.get(0), row.get(1))).collect())
    }
}
