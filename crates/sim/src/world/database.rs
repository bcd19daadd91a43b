//! A database for a test: a temporary SQLite file, or a database of its own on the PostgreSQL that `BURSAR_TEST_POSTGRES`
//! names (`BURSAR_TEST_DATABASE=sqlite` keeps to SQLite all the same). The tables are made once and copied for every test,
//! because to make them takes longer than most tests do. What is deliberately not here: what a test writes into it.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock};

use bursar::store::Store;
use sqlx::{AnyConnection, AssertSqlSafe, Connection as _, Executor as _, SqlSafeStr as _};
use tempfile::TempDir;
use tokio::sync::OnceCell;

/// It is gone when this is dropped, also when the test has failed.
pub struct Database {
    pub url: String,
    /// For whatever else the test keeps in a file.
    pub folder: TempDir,
    /// On PostgreSQL: the server, and what the database is called there.
    on_server: Option<(String, String)>,
    /// What was saved of it, on PostgreSQL.
    saved: Mutex<Vec<String>>,
}

impl Database {
    /// One with every table and nothing in it.
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

    /// Where the file of a SQLite database is.
    pub fn file(&self) -> PathBuf {
        self.folder.path().join("bursar.db")
    }

    /// Keeps what the database holds now. Nobody may be connected to it.
    pub async fn save(&self, copy: &str) {
        let Some((server, name)) = &self.on_server else {
            std::fs::copy(self.file(), self.folder.path().join(copy)).unwrap();
            return;
        };
        let copy = format!("{name}_{copy}");
        // What was saved before gives way to it.
        run(server, format!("DROP DATABASE IF EXISTS {copy} WITH (FORCE)")).await;
        run(server, format!("CREATE DATABASE {copy} TEMPLATE {name}")).await;
        self.saved.lock().unwrap().push(copy);
    }

    /// Puts back what was saved, as an administrator would who knows nothing of Bursar. Nobody may be connected to it.
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
        // A runtime of its own, because the one of the test may be ending.
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            for name in saved.iter().chain([&name]) {
                runtime.block_on(run(&server, format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")));
            }
        });
        // What could not be dropped is dropped by the next run of the same name, or by hand.
        let _ = dropping.join();
    }
}

/// Runs a statement past the program.
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

/// From here on databases are made on this PostgreSQL server, or as SQLite files where there is none, whatever the
/// environment says.
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

/// The address of another database of the same server.
fn called(server: &str, name: &str) -> String {
    let mut url = url::Url::parse(server).unwrap();
    url.set_path(name);
    url.to_string()
}

/// The bytes of a SQLite file that has every table.
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

/// The name of a database on the server that has every table. It stays there for the next run; it is named after the
/// migrations, so that another state of the program makes another.
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
            // Another process was quicker.
            run(server, format!("DROP DATABASE {made}")).await;
        }
        name
    });
    made.await
}

/// What every migration says, in a number.
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
