//! A database that is saved, goes on, and is put back as it was: by hand, while every process is down, as an administrator
//! would who knows nothing of Bursar. What was lost with it is remembered here, for whoever looks from outside at the end.
//! What is deliberately not here: the copies themselves (`world::database`).

use sqlx::{AnyConnection, AssertSqlSafe, Connection as _, Executor as _, Row as _, SqlSafeStr as _};

use super::{Outcome, Stage};
use crate::world::memory::Lost;

/// What a copy is called.
const COPY: &str = "saved";

impl Stage {
    /// A line about the copy.
    pub(super) async fn copied(&mut self, word: &str) -> Outcome {
        if word == "save" { self.save().await } else { self.put_back().await }
    }

    /// Keeps what the database holds. From here on its processes remember beside a key how far it has come.
    async fn save(&mut self) -> Outcome {
        // What it is known by is in it before it is copied.
        self.remember().await;
        self.restart(async |database| database.save(COPY).await).await;
        Ok(())
    }

    /// Puts it back. It must be noticed.
    async fn put_back(&mut self) -> Outcome {
        let url = self.world.app.config.database_url.clone();
        let mut database = AnyConnection::connect(&url).await.map_err(|error| error.to_string())?;
        let sql = "SELECT transaction_id, reward_id FROM transaction_reward ORDER BY 1, 2".to_owned();
        let rows = database.fetch_all(AssertSqlSafe(sql).into_sql_str()).await;
        let rows = rows.map_err(|error| error.to_string())?;
        let covered = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
        database.close().await.map_err(|error| error.to_string())?;
        let (at, elsewhere) = (self.world.vendors_now(), self.world.asked_elsewhere());
        self.world.memory.went_back(Lost { at, covered, elsewhere });
        let noticed = self.restart(async |database| database.put_back(COPY).await).await;
        if !noticed {
            return Err("nobody has noticed that the database was put back".to_owned());
        }
        self.world.memory.safe_mode(at, true);
        Ok(())
    }
}
