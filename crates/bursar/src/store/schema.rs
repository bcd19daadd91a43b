//! Schema migrations: one sequence shared by both databases, and a folder per database for what only that one supports
//! (its triggers). Not here: queries, which are in the modules that use them.

use std::collections::BTreeMap;

use sqlx::migrate::{MigrateError, Migration, Migrator};
use sqlx::{AnyConnection, Executor as _, Row as _};

use super::rights::{NEEDED, Right};
use super::{Engine, StoreError};

/// Runs pending migrations. Not every PostgreSQL-compatible database has advisory locks, so the migrations table's key
/// serializes concurrent runs.
///
/// A role without tables of its own may not even run `CREATE TABLE IF NOT EXISTS`, so on PostgreSQL nothing runs if
/// nothing is pending.
pub(super) async fn bring_up_to_date(
    connection: &mut AnyConnection,
    engine: Engine,
) -> Result<(), StoreError> {
    if engine == Engine::Postgres && is_up_to_date(connection).await.unwrap_or(false) {
        return may_do_all(connection).await;
    }
    let mut migrator = Migrator::with_migrations(migrations(engine));
    migrator.set_locking(false);
    match migrator.run(&mut *connection).await {
        Ok(()) => Ok(()),
        Err(MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _))
            if is_forbidden(&error) =>
        {
            Err(StoreError::Conflict(not_by_this_role(connection).await))
        }
        Err(error) => Err(StoreError::Conflict(error.to_string())),
    }
}

/// Whether exactly our migrations have run.
async fn is_up_to_date(connection: &mut AnyConnection) -> sqlx::Result<bool> {
    let asked = "SELECT version, checksum, CAST(success AS INTEGER) FROM _sqlx_migrations ORDER BY version";
    let ran = connection.fetch_all(asked).await?;
    let mut ours = migrations(Engine::Postgres);
    ours.sort_by_key(|migration| migration.version);
    for (row, migration) in ran.iter().zip(&ours) {
        let (version, checksum, success): (i64, Vec<u8>, i32) =
            (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        if version != migration.version || checksum != migration.checksum.as_ref() || success == 0 {
            return Ok(false);
        }
    }
    Ok(ran.len() == ours.len())
}

/// Whether the error is a missing privilege.
fn is_forbidden(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(|told| told.code()).as_deref() == Some("42501")
}

const ROLES: &str = "deploy/postgres-roles.sql";

/// Explains why this role cannot run migrations, and which role can.
async fn not_by_this_role(connection: &mut AnyConnection) -> String {
    let role = role(connection).await;
    let newest = newest(Engine::Postgres);
    let asked = "SELECT CAST(COALESCE(MAX(version), 0) AS BIGINT) FROM _sqlx_migrations";
    let there = connection.fetch_one(asked).await.and_then(|row| row.try_get::<i64, _>(0));
    let message = match there {
        Ok(there) if there > newest => {
            return format!(
                "the tables are of schema {there}, and this version knows only {newest}. Install the version that was here before, or a newer one"
            );
        }
        Ok(there) => format!("the tables are of schema {there}, and this version needs {newest}"),
        Err(_) => format!("there are no tables that {role} may read"),
    };
    format!(
        "{message}; {role} may not make or change any. Back up, run `bursar migrate` with the address of the role that owns the tables, then {ROLES}, and start again"
    )
}

async fn role(connection: &mut AnyConnection) -> String {
    let asked = "SELECT CAST(rolname AS TEXT) FROM pg_catalog.pg_roles WHERE rolname = current_user";
    let told = connection.fetch_one(asked).await;
    told.and_then(|row| row.try_get(0)).unwrap_or_else(|_| "this role".to_owned())
}

/// New tables belong to their owner only, and new statements may need further privileges. Missing ones are reported at
/// startup, not on payday.
async fn may_do_all(connection: &mut AnyConnection) -> Result<(), StoreError> {
    let asked = "SELECT CAST(relname AS TEXT), CAST(has_table_privilege(oid, 'SELECT') AS INTEGER), \
                 CAST(has_table_privilege(oid, 'INSERT') AS INTEGER), CAST(has_table_privilege(oid, 'UPDATE') AS INTEGER), \
                 CAST(has_table_privilege(oid, 'DELETE') AS INTEGER) FROM pg_catalog.pg_class WHERE relkind IN ('r', 'v') \
                 AND relnamespace = (SELECT relnamespace FROM pg_catalog.pg_class WHERE oid = to_regclass('_sqlx_migrations')) \
                 ORDER BY relname";
    let all = migrations(Engine::Postgres);
    let is_ours = |name: &str| {
        let made = ["TABLE", "VIEW"].map(|what| format!("CREATE {what} {name} "));
        all.iter().any(|migration| made.iter().any(|made| migration.sql.as_str().contains(made)))
    };
    let mut lacking: BTreeMap<Right, Vec<String>> = BTreeMap::new();
    for row in connection.fetch_all(asked).await? {
        let name: String = row.try_get(0)?;
        if !is_ours(&name) {
            continue;
        }
        let rights = [Right::Select, Right::Insert, Right::Update, Right::Delete];
        for (place, right) in rights.into_iter().enumerate() {
            let needed = right == Right::Select
                || NEEDED
                    .iter()
                    .any(|(of, tables)| *of == right && tables.split(' ').any(|table| table == name));
            if needed && row.try_get::<i32, _>(place + 1)? == 0 {
                lacking.entry(right).or_default().push(name.clone());
            }
        }
    }
    if lacking.is_empty() {
        return Ok(());
    }
    let told =
        lacking.iter().map(|(right, tables)| format!("may not {} {}", right.told(), tables.join(", ")));
    let (role, missing_rights) = (role(connection).await, told.collect::<Vec<_>>().join("; "));
    Err(StoreError::Conflict(format!(
        "{role} {missing_rights}. Run {ROLES} as the owner of the tables or a superuser, and start again"
    )))
}

/// The newest migration for a database, ignoring those of the other one.
pub(super) fn newest(engine: Engine) -> i64 {
    migrations(engine).iter().map(|migration| migration.version).max().unwrap_or(0)
}

/// The shared migrations and those of one database, by number; the two folders never reuse a number.
fn migrations(engine: Engine) -> Vec<Migration> {
    let both = sqlx::migrate!("src/store/migrations");
    let own = match engine {
        Engine::Sqlite => sqlx::migrate!("src/store/migrations/sqlite"),
        Engine::Postgres => sqlx::migrate!("src/store/migrations/postgres"),
    };
    both.migrations.iter().chain(own.migrations.iter()).cloned().collect()
}
