//! The tables and how they came to be: one row of migrations for both databases, and beside it, in a folder of each, what
//! only that one can be told (its triggers). What is deliberately not here: statements; they stand with what they are for.

use sqlx::AnyConnection;
use sqlx::migrate::{MigrateError, Migration, Migrator};

use super::Engine;

/// Brings the tables up to date. Advisory locks are not to be had on every database that speaks like PostgreSQL; the key of
/// the table of migrations serves.
pub(super) async fn bring_up_to_date(
    connection: &mut AnyConnection,
    engine: Engine,
) -> Result<(), MigrateError> {
    let mut migrator = Migrator::with_migrations(migrations(engine));
    migrator.set_locking(false);
    migrator.run(connection).await
}

/// The number of the newest migration of a database. What only the other one can be told counts nothing here.
pub(super) fn newest(engine: Engine) -> i64 {
    migrations(engine).iter().map(|migration| migration.version).max().unwrap_or(0)
}

/// Those of both and those of one, by their numbers: the two folders never use the same.
fn migrations(engine: Engine) -> Vec<Migration> {
    let both = sqlx::migrate!("src/store/migrations");
    let own = match engine {
        Engine::Sqlite => sqlx::migrate!("src/store/migrations/sqlite"),
        Engine::Postgres => sqlx::migrate!("src/store/migrations/postgres"),
    };
    both.migrations.iter().chain(own.migrations.iter()).cloned().collect()
}
