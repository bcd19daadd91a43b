//! The roles of `deploy/postgres-roles.sql`, created by that file on PostgreSQL: the serving role works through a day,
//! lacks no grant and has none too many, and the reporting role cannot read secrets.

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Command, Output};

use bursar::store::rights::NEEDED;
use bursar_sim::world::database::Database;
use payout::access::Role;
use sqlx::{AnyConnection, AssertSqlSafe, Connection as _, Executor as _, Row as _, SqlSafeStr as _};

use crate::need;
use crate::pages::{Browser, PASSWORD};
use crate::scenarios::Stage;
use crate::service::{Started, bursar};
use crate::source;
use crate::sql::{Written, highest_parameter};
use crate::world::World;

const FILE: &str = include_str!("../../../../deploy/postgres-roles.sql");

/// The three roles of one test, dropped at its end. Declared before the database, so that it is dropped first.
struct Roles {
    server: String,
    owner: String,
    serve: String,
    report: String,
}

impl Roles {
    fn of(server: &str, test: &str) -> Self {
        let named = |what: &str| format!("it_{test}_{}_{what}", std::process::id());
        Self {
            server: server.to_owned(),
            owner: named("owner"),
            serve: named("serve"),
            report: named("report"),
        }
    }

    /// The file with this test's role names, because roles are shared by the whole server.
    fn file(&self) -> String {
        FILE.replace("bursar_serve", &self.serve).replace("bursar_report", &self.report)
    }

    /// A database whose tables the program created as the owner, and in which the file was run.
    async fn prepare(&self, name: &str) -> Database {
        let database = Database::empty(name).await;
        let mut admin = connect(&database.url).await;
        let (owner, named) = (&self.owner, url::Url::parse(&database.url).unwrap());
        run(&mut admin, &format!("CREATE ROLE {owner} LOGIN")).await.unwrap();
        run(&mut admin, &format!("ALTER DATABASE {} OWNER TO {owner}", named.path().trim_start_matches('/')))
            .await
            .unwrap();
        let too_early = run(&mut admin, &self.file()).await.unwrap_err();
        assert!(too_early.contains("run \"bursar migrate\" first"), "{too_early}");
        run(&mut admin, "ROLLBACK").await.unwrap();
        self.give_password(&mut admin, owner).await;
        done(&command(&["migrate"], &self.address(&database.url, owner)));
        // Once the roles exist, the owner may run it as well.
        run(&mut admin, &self.file()).await.unwrap();
        run(&mut connect(&self.address(&database.url, owner)).await, &self.file()).await.unwrap();
        for role in [&self.serve, &self.report] {
            self.give_password(&mut admin, role).await;
        }
        database
    }

    /// A server that requires a password of the administrator requires one of every role.
    async fn give_password(&self, admin: &mut AnyConnection, role: &str) {
        let server = url::Url::parse(&self.server).unwrap();
        if let Some(password) = server.password() {
            run(admin, &format!("ALTER ROLE {role} PASSWORD '{password}'")).await.unwrap();
        }
    }

    /// The URL of a database for one of them.
    fn address(&self, database: &str, role: &str) -> String {
        let mut url = url::Url::parse(database).unwrap();
        url.set_username(role).unwrap();
        url.to_string()
    }
}

impl Drop for Roles {
    fn drop(&mut self) {
        let (server, roles) =
            (self.server.clone(), [&self.serve, &self.report, &self.owner].map(String::clone));
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let mut admin = connect(&server).await;
                for role in roles {
                    let _ = run(&mut admin, &format!("DROP ROLE IF EXISTS {role}")).await;
                }
            });
        });
        let _ = dropping.join();
    }
}

async fn connect(url: &str) -> AnyConnection {
    sqlx::any::install_default_drivers();
    AnyConnection::connect(url).await.unwrap()
}

async fn run(database: &mut AnyConnection, sql: &str) -> Result<(), String> {
    let sql = AssertSqlSafe(sql.to_owned()).into_sql_str();
    database.execute(sql).await.map(|_| ()).map_err(|error| error.to_string())
}

async fn rows(database: &mut AnyConnection, sql: &str) -> Vec<Vec<String>> {
    let sql = AssertSqlSafe(sql.to_owned()).into_sql_str();
    let rows = database.fetch_all(sql).await.unwrap();
    rows.iter().map(|row| (0..row.len()).map(|at| row.get::<String, _>(at)).collect()).collect()
}

/// Runs the program with its own key.
fn command(arguments: &[&str], address: &str) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let mut command = bursar(folder.path());
    keyed(&mut command, folder.path());
    command.args(arguments).env("BURSAR_DATABASE_URL", address).output().unwrap()
}

/// Gives a command the test worlds' key: thirty-two times the byte 7.
fn keyed(command: &mut Command, folder: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt as _;
    let key = folder.join("bursar.key");
    std::fs::write(&key, "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=\n").unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    command.env("BURSAR_MASTER_KEY_FILE", key);
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.clone(), output.stderr.clone()].concat()).into_owned()
}

fn done(output: &Output) {
    assert!(output.status.success(), "{}", told(output));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_is_lived_by_the_role_that_serves() {
    let Some(server) = need::postgres() else { return };
    let roles = Roles::of(&server, "day");
    let mut database = roles.prepare("roles_day").await;
    let address = roles.address(&database.url, &roles.serve);
    database.url.clone_from(&address);
    let mut stage = Stage::on(World::open_on(77, database).await);
    let day = "partner ana paypal ana@example.com\npartner bo stripe acct_bo\nreward R1 ana 120.00\nreward R2 bo 50.00\n\
               approve R1\napprove R2\nbatch B1 R1 R2\npay B1\nlive 1 minute\nexpect ana success\nexpect bo success\n";
    let played = stage.play("a day", day).await;
    let mut kim = Browser::of(&stage.world, Role::Admin, "kim").await;
    kim.read("/rewards?view=all").await.says("RW-000001");
    let mut elsewhere = Browser::new(&stage.world);
    let fields = [("email", "kim@example.com"), ("password", PASSWORD)];
    assert_eq!(elsewhere.post("/login", &fields).await.to, "/");
    elsewhere.read("/activity").await;

    for arguments in [&["audit", "verify"][..], &["verify"], &["init"], &["migrate"]] {
        let output = command(arguments, &address);
        assert!(output.status.success(), "{arguments:?}: {}", told(&output));
    }
    let output = command(&["backup", "now.backup"], &address);
    assert!(output.status.success() && told(&output).contains("pg_dump"), "{}", told(&output));

    let mut serve = connect(&address).await;
    for table in ["audit", "journal", "posting", "timeline", "transaction_reward", "mail_try"] {
        for sql in [format!("DELETE FROM {table}"), format!("TRUNCATE {table}")] {
            let refused = run(&mut serve, &sql).await.unwrap_err();
            assert!(refused.contains("permission denied"), "{sql}: {refused}");
        }
    }
    for sql in [
        "UPDATE audit SET actor = 'nobody'",
        "UPDATE posting SET amount_minor = 0",
        "UPDATE timeline SET at = 0",
        "DELETE FROM payout_transaction",
        "DELETE FROM person",
        "DROP TABLE reward",
        "ALTER TABLE audit DISABLE TRIGGER ALL",
        "CREATE TABLE mine (id TEXT)",
        "CREATE TEMPORARY TABLE mine (id TEXT)",
    ] {
        let refused = run(&mut serve, sql).await.unwrap_err();
        let told = ["permission denied", "must be owner"].iter().any(|told| refused.contains(told));
        assert!(told, "{sql}: {refused}");
    }

    stage.close(played).await;
}

/// The real `serve` as the serving role: normally, after an upgrade, and with a new table.
#[tokio::test(flavor = "multi_thread")]
async fn it_starts_as_the_role_that_serves_or_says_what_is_missing() {
    let Some(server) = need::postgres() else { return };
    let roles = Roles::of(&server, "start");
    let database = roles.prepare("roles_start").await;
    let address = roles.address(&database.url, &roles.serve);
    let mut owner = connect(&database.url).await;
    let begin = || {
        let folder = tempfile::tempdir().unwrap();
        let mut command = bursar(folder.path());
        keyed(&mut command, folder.path());
        command.args(["serve", "--listen=127.0.0.1:0"]).env("BURSAR_DATABASE_URL", &address);
        (folder, command)
    };
    let (folder, command) = begin();
    let started = Started::of(command, &folder.path().join("notify"), &[]);
    started.hears("READY=1");
    started.stop();

    let newest = "version = (SELECT MAX(version) FROM _sqlx_migrations)";
    run(&mut owner, "CREATE TABLE kept AS SELECT * FROM _sqlx_migrations").await.unwrap();
    run(&mut owner, &format!("DELETE FROM _sqlx_migrations WHERE {newest}")).await.unwrap();
    let (_folder, mut command) = begin();
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
    for word in ["this version needs", "bursar migrate", "postgres-roles.sql", &roles.serve] {
        assert!(told(&output).contains(word), "{word}: {}", told(&output));
    }
    run(&mut owner, "INSERT INTO _sqlx_migrations SELECT * FROM kept ON CONFLICT DO NOTHING").await.unwrap();

    run(&mut owner, &format!("REVOKE ALL ON timeline FROM {}", roles.serve)).await.unwrap();
    let (_folder, mut command) = begin();
    let output = command.output().unwrap();
    let hidden = format!(
        "{} may not read timeline; may not add to timeline. Run deploy/postgres-roles.sql",
        roles.serve
    );
    assert!(output.status.code() == Some(1) && told(&output).contains(&hidden), "{}", told(&output));
    // All privileges, not only reading: a statement that lacks one would fail on payday.
    run(&mut owner, &roles.file()).await.unwrap();
    for right in ["INSERT", "UPDATE"] {
        run(&mut owner, &format!("REVOKE {right} ON payout_transaction FROM {}", roles.serve)).await.unwrap();
    }
    run(&mut owner, &format!("REVOKE DELETE ON session FROM {}", roles.serve)).await.unwrap();
    let (_folder, mut command) = begin();
    let output = command.output().unwrap();
    let lacks = "may not add to payout_transaction; may not change payout_transaction; may not take from session. Run";
    assert!(output.status.code() == Some(1) && told(&output).contains(lacks), "{}", told(&output));
    // Tables of others, such as this test's own, are not tables that Bursar needs.
    run(&mut owner, &roles.file()).await.unwrap();
    done(&self::command(&["verify"], &address));
}

/// The privileges checked at startup are those the file grants, table by table.
#[test]
fn what_is_asked_for_at_the_start_is_what_the_file_grants() {
    let lines = FILE.lines().map(|line| line.split("--").next().unwrap()).collect::<Vec<_>>().join(" ");
    let mut granted = BTreeSet::new();
    for statement in lines.split(';').filter(|one| one.trim_end().ends_with("TO bursar_serve")) {
        let (_, grant) = statement.split_once("GRANT ").unwrap();
        let (rights, on) = grant.split_once(" ON ").unwrap();
        let tables = on.trim_end().trim_end_matches("TO bursar_serve");
        if tables.starts_with("SEQUENCE") {
            continue;
        }
        for right in rights.split(',').map(str::trim).filter(|right| *right != "SELECT") {
            granted.extend(tables.split(',').map(|table| (right.to_owned(), table.trim().to_owned())));
        }
    }
    let needed = NEEDED.iter().flat_map(|(right, tables)| {
        tables.split(' ').map(|table| (right.as_str().to_owned(), table.to_owned()))
    });
    assert_eq!(granted, needed.collect::<BTreeSet<_>>());
}

/// The serving role can run every statement of the store, every privilege is needed by one of them, and every table is
/// listed.
#[tokio::test]
async fn the_role_that_serves_may_do_what_the_program_does_and_no_more() {
    let Some(server) = need::postgres() else { return };
    let roles = Roles::of(&server, "least");
    let database = roles.prepare("roles_least").await;
    let mut serve = connect(&roles.address(&database.url, &roles.serve)).await;
    run(&mut serve, "SET plan_cache_mode = force_generic_plan").await.unwrap();
    let written = Written::read(&source::files(&[".rs", ".sql"]));
    let (mut refused, mut needed) = (Vec::new(), BTreeMap::<String, BTreeSet<&'static str>>::new());
    for statement in written.statements.iter().filter(|one| !one.text.contains("sqlite_")) {
        let Ok(sql) = written.filled(statement, "") else { continue };
        match plan(&mut serve, &sql).await {
            Ok(lines) => note(&lines, &mut needed),
            Err(why) => refused.push(statement.tell(&sql, &why)),
        }
    }
    assert!(
        refused.is_empty(),
        "the role that serves may not do what the program does:\n{}",
        refused.join("\n")
    );
    let tables = "SELECT CAST(relname AS TEXT), CAST(relkind AS TEXT) FROM pg_class \
                  WHERE relkind IN ('r', 'v') AND relnamespace = to_regnamespace('public') ORDER BY relname";
    for table in rows(&mut serve, tables).await {
        let (name, mut has) = (&table[0], BTreeSet::new());
        for right in ["SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE"] {
            let asked = format!("SELECT CAST(has_table_privilege('{name}', '{right}') AS TEXT)");
            if rows(&mut serve, &asked).await[0][0] == "true" {
                has.insert(right);
            }
        }
        let mut needs = needed.remove(name).unwrap_or_default();
        needs.insert("SELECT");
        assert_eq!(has, needs, "{name}: what deploy/postgres-roles.sql grants, and what the statements need");
    }
    assert!(needed.is_empty(), "{needed:?}");
    // What pg_dump reads besides the tables.
    let sequences = "SELECT CAST(relname AS TEXT) FROM pg_class WHERE relnamespace = to_regnamespace('public') \
                     AND CASE WHEN relkind = 'S' THEN NOT has_sequence_privilege(oid, 'SELECT') ELSE false END";
    assert!(
        rows(&mut serve, sequences).await.is_empty(),
        "a dump by the role that serves needs every sequence"
    );
}

/// The plan of a statement, which PostgreSQL shows only to roles that may run it.
async fn plan(database: &mut AnyConnection, sql: &str) -> Result<Vec<String>, String> {
    run(database, &format!("PREPARE one AS {sql}")).await?;
    let nothing = vec!["NULL"; highest_parameter(sql)].join(", ");
    let given = if nothing.is_empty() { String::new() } else { format!("({nothing})") };
    let asked = AssertSqlSafe(format!("EXPLAIN EXECUTE one{given}")).into_sql_str();
    let rows = database.fetch_all(asked).await.map_err(|error| error.to_string());
    run(database, "DEALLOCATE one").await?;
    Ok(rows?.iter().map(|row| row.get::<String, _>(0)).collect())
}

/// Adds the changes in a plan, by table.
fn note(plan: &[String], needed: &mut BTreeMap<String, BTreeSet<&'static str>>) {
    let mut last = String::new();
    for line in plan.iter().map(|line| line.trim_start_matches([' ', '-', '>'])) {
        for (words, right) in [("Insert on ", "INSERT"), ("Update on ", "UPDATE"), ("Delete on ", "DELETE")] {
            if let Some(rest) = line.strip_prefix(words) {
                last = rest.split(' ').next().unwrap_or_default().to_owned();
                needed.entry(last.clone()).or_default().insert(right);
            }
        }
        if line == "Conflict Resolution: UPDATE" {
            needed.entry(last.clone()).or_default().insert("UPDATE");
        }
    }
}

/// Parts of column names for credentials, payment addresses, or text sent to people.
const SECRET: &[&str] = &[
    "hash",
    "sealed",
    "token",
    "csrf",
    "password",
    "secret",
    "body",
    "header",
    "nonce",
    "challenge",
    "public_key",
    "credential",
    "destination",
    "fingerprint",
    "address",
    "sample",
    "device",
    "recipient",
    "form_data",
    "sealed_tin",
    "key_hint",
    "networks",
];

/// Hash chains and checksums open nothing, and a recipient's name is no address.
const NO_SECRET: &[&str] =
    &["audit.previous_hash", "audit.hash", "mail.recipient_name", "_sqlx_migrations.checksum"];

#[tokio::test]
async fn the_role_that_reports_reads_no_secret_and_changes_nothing() {
    let Some(server) = need::postgres() else { return };
    let roles = Roles::of(&server, "told");
    let database = roles.prepare("roles_told").await;
    let mut report = connect(&roles.address(&database.url, &roles.report)).await;
    let columns = "SELECT CAST(c.relname AS TEXT), CAST(a.attname AS TEXT), CAST(has_column_privilege(c.oid, a.attnum, 'SELECT') AS TEXT), \
                   CAST(has_any_column_privilege(c.oid, 'INSERT, UPDATE') OR has_table_privilege(c.oid, 'DELETE, TRUNCATE') AS TEXT) \
                   FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
                   WHERE c.relkind IN ('r', 'v') AND c.relnamespace = to_regnamespace('public')";
    let all = rows(&mut report, columns).await;
    let mut read = BTreeSet::new();
    for one in &all {
        let column = format!("{}.{}", one[0], one[1]);
        assert_eq!(one[3], "false", "{column} may be changed");
        if one[2] == "true" {
            let secret = SECRET.iter().any(|word| one[1].contains(word));
            assert!(!secret || NO_SECRET.contains(&column.as_str()), "{column} may be read");
            read.insert(one[0].as_str());
        }
    }
    for useful in ["reward", "payout_transaction", "posting", "journal", "audit", "batch", "partner"] {
        assert!(read.contains(useful), "{useful} may not be read");
    }
    for never in [
        "session",
        "login_link",
        "half_login",
        "secret_link",
        "recovery_code",
        "factor",
        "factor_begun",
        "passkey",
        "passkey_challenge",
        "login_identity",
        "onboarding_state",
        "idempotency",
        "meta",
        "setting",
        "address_confirmation",
        "came_back",
        "export_part",
        "import_file",
        "import_refused",
    ] {
        assert!(all.iter().any(|one| one[0] == never) && !read.contains(never), "{never} may be read");
    }
    for sql in
        ["SELECT password_hash FROM person", "SELECT sealed FROM vendor_connection", "SELECT * FROM session"]
    {
        let refused = run(&mut report, sql).await.unwrap_err();
        assert!(refused.contains("permission denied"), "{sql}: {refused}");
    }
    run(&mut report, "SELECT currency, SUM(net_minor) FROM payout_transaction GROUP BY currency")
        .await
        .unwrap();
    assert!(run(&mut report, "CREATE TABLE mine (id TEXT)").await.is_err());
}
