//! Test databases: a temporary SQLite file, or a database on the PostgreSQL server in `BURSAR_TEST_POSTGRES`
//! (`BURSAR_TEST_DATABASE=sqlite` forces SQLite). Tables are created once and copied for each test, because creating
//! them takes longer than most tests. Not here: a test's data.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock};

use bursar::store::Store;
use sqlx::{AnyConnection, AssertSqlSafe, Connection as _, Executor as _, SqlSafeStr as _};
use tempfile::TempDir;
use tokio::sync::OnceCell;

/// A test database, deleted when dropped, even if the test fails.
pub struct Database {
    pub url: String,
    /// For other files of the test.
    pub folder: TempDir,
    /// On PostgreSQL: the server, and the database's name there.
    on_server: Option<(String, String)>,
    /// The names of saved copies, on PostgreSQL.
    saved: Mutex<Vec<String>>,
}

impl Database {
    /// A database with all tables and no data.
    pub async fn fresh(name: &str) -> Self {
        Self::fresh_in(name, None).await
    }

    /// The same, with its files below this folder.
    pub async fn fresh_in(name: &str, below: Option<&Path>) -> Self {
        let folder = below.map_or_else(tempfile::tempdir, tempfile::tempdir_in).unwrap();
        let Some(server) = server() else {
            let path = folder.path().join("bursar.db");
            std::fs::write(&path, sqlite_template().await).unwrap();
            let url = format!("sqlite://{}", path.display());
            return Self { url, folder, on_server: None, saved: Mutex::default() };
        };
        let template = postgres_template(&server).await;
        Self::on(server, folder, name, &format!("TEMPLATE {template}")).await
    }

    pub async fn empty(name: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let Some(server) = server() else {
            let url = format!("sqlite://{}/bursar.db", folder.path().display());
            return Self { url, folder, on_server: None, saved: Mutex::default() };
        };
        Self::on(server, folder, name, "").await
    }

    /// The path of the SQLite file.
    pub fn file(&self) -> PathBuf {
        self.folder.path().join("bursar.db")
    }

    /// Saves the database's contents. Nobody may be connected to it.
    pub async fn save(&self, copy: &str) {
        let Some((server, name)) = &self.on_server else {
            std::fs::copy(self.file(), self.folder.path().join(copy)).unwrap();
            return;
        };
        let copy = format!("{name}_{copy}");
        // Replaces the previous copy.
        run(server, format!("DROP DATABASE IF EXISTS {copy} WITH (FORCE)")).await;
        run(server, format!("CREATE DATABASE {copy} TEMPLATE {name}")).await;
        self.saved.lock().unwrap().push(copy);
    }

    /// Restores a saved copy, as an administrator who knows nothing about Bursar would. Nobody may be connected to it.
    pub async fn put_back(&self, copy: &str) {
        let Some((server, name)) = &self.on_server else {
            for beside in ["bursar.db-wal", "bursar.db-shm"] {
                let _ = std::fs::remove_file(self.folder.path().join(beside));
            }
            std::fs::copy(self.folder.path().join(copy), self.file()).unwrap();
            return;
        };
        run(server, format!("DROP DATABASE {name} WITH (FORCE)")).await;
        run(server, format!("CREATE DATABASE {name} TEMPLATE {name}_{copy}")).await;
    }

    async fn on(server: String, folder: TempDir, name: &str, made_of: &str) -> Self {
        let name = format!("it_{name}_{}", std::process::id());
        assert!(name.len() <= 63, "PostgreSQL cuts {name} short");
        run(&server, format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await;
        run(&server, format!("CREATE DATABASE {name} {made_of}")).await;
        Self { url: called(&server, &name), folder, on_server: Some((server, name)), saved: Mutex::default() }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let Some((server, name)) = self.on_server.take() else { return };
        let saved = std::mem::take(&mut *self.saved.lock().unwrap());
        // In a runtime of its own, because the test's may be shutting down.
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            for name in saved.iter().chain([&name]) {
                runtime.block_on(run(&server, format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")));
            }
        });
        // What cannot be dropped is dropped by the next run with the same name, or by hand.
        let _ = dropping.join();
    }
}

/// Executes a statement, bypassing the program.
pub async fn run(url: &str, sql: String) {
    attempt(url, sql).await.unwrap();
}

async fn attempt(url: &str, sql: String) -> Result<(), sqlx::Error> {
    sqlx::any::install_default_drivers();
    let mut admin = AnyConnection::connect(url).await?;
    let done = admin.execute(AssertSqlSafe(sql).into_sql_str()).await.map(|_| ());
    admin.close().await?;
    done
}

/// From here on, creates databases on this PostgreSQL server, or as SQLite files if `None`, regardless of the
/// environment.
pub fn on_server(url: Option<String>) {
    let _ = SERVER.set(url);
}

static SERVER: OnceLock<Option<String>> = OnceLock::new();

fn server() -> Option<String> {
    if let Some(chosen) = SERVER.get() {
        return chosen.clone();
    }
    let server = std::env::var("BURSAR_TEST_POSTGRES").ok().filter(|server| !server.is_empty());
    let sqlite = std::env::var("BURSAR_TEST_DATABASE").is_ok_and(|engine| engine == "sqlite");
    server.filter(|_| !sqlite)
}

/// The URL of another database on the same server.
fn called(server: &str, name: &str) -> String {
    let mut url = url::Url::parse(server).unwrap();
    url.set_path(name);
    url.to_string()
}

/// The bytes of a SQLite file with all tables.
async fn sqlite_template() -> &'static [u8] {
    static TEMPLATE: OnceCell<Vec<u8>> = OnceCell::const_new();
    let made = TEMPLATE.get_or_init(async || {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("template.db");
        let store = Store::open(&format!("sqlite://{}", path.display())).await.unwrap();
        store.close().await;
        assert!(!folder.path().join("template.db-wal").exists(), "something of it is still in the log");
        std::fs::read(path).unwrap()
    });
    made.await
}

/// The name of a template database with all tables. It is kept for later runs and named after a hash of the migrations,
/// so that a different version creates its own.
async fn postgres_template(server: &str) -> &'static str {
    static TEMPLATE: OnceCell<String> = OnceCell::const_new();
    let made = TEMPLATE.get_or_init(async || {
        let name = format!("it_template_{:016x}", migrations());
        if attempt(&called(server, &name), "SELECT 1".to_owned()).await.is_ok() {
            return name;
        }
        let made = format!("it_template_{}", std::process::id());
        run(server, format!("DROP DATABASE IF EXISTS {made}")).await;
        run(server, format!("CREATE DATABASE {made}")).await;
        Store::open(&called(server, &made)).await.unwrap().close().await;
        if attempt(server, format!("ALTER DATABASE {made} RENAME TO {name}")).await.is_err() {
            // Another process created it first.
            run(server, format!("DROP DATABASE {made}")).await;
        }
        name
    });
    made.await
}

/// A hash of all migrations.
fn migrations() -> u64 {
    let mut hasher = DefaultHasher::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../bursar/src/store/migrations");
    for folder in [folder.clone(), folder.join("postgres")] {
        let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
        files.sort();
        for file in files.iter().filter(|path| path.extension().is_some_and(|ending| ending == "sql")) {
            (file.file_name(), std::fs::read(file).unwrap()).hash(&mut hasher);
        }
    }
    hasher.finish()
}
