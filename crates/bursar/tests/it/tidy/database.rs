//! Where SQL may appear, what it must never do, and what columns are allowed.

use sha2::{Digest as _, Sha256};

use super::{Breach, Rule};
use crate::source::{self, Source};

pub const RULES: &[Rule] = &[
    Rule {
        name: "SQL lives in bursar::store",
        why: "one room for all of it is what lets one test prepare every statement on both databases",
        broken: sql_outside_store,
        bad: &[
            ("crates/bursar/src/ops/pay.rs", "let q = \"SELECT id FROM reward\";"),
            ("crates/bursar/src/web/list.rs", "let q = \"\\\n   DELETE FROM reward\";"),
            ("crates/simulator/src/lib.rs", "let q = r#\"WITH v AS (SELECT 1) UPDATE reward\"#;"),
        ],
        good: &[
            ("crates/bursar/src/store/rewards.rs", "let q = \"SELECT id FROM reward\";"),
            (
                "crates/bursar/src/ops/pay.rs",
                "// SELECT is not here\nlet told = \"Select a reward, then UPDATE it\";",
            ),
        ],
    },
    Rule {
        name: "posting, journal and audit are only ever added to",
        why: "what was written about money stays written: a mistake is mended by another entry",
        broken: rewrites_history,
        bad: &[
            ("crates/bursar/src/store/ledger.rs", "\"UPDATE posting SET amount_minor = 0\""),
            ("crates/bursar/src/store/audit.rs", "\"delete \\\n  from audit WHERE seq = 1\""),
            (
                "crates/bursar/src/store/ledger.rs",
                "\"INSERT INTO journal (id) VALUES ($1) ON CONFLICT (id) DO UPDATE SET at = 1\"",
            ),
            ("crates/bursar/src/store/migrations/0002_more.sql", "DROP TABLE posting;"),
        ],
        good: &[(
            "crates/bursar/src/store/audit.rs",
            "\"INSERT INTO audit (seq) VALUES ($1)\"; \"UPDATE audit_cursor SET x = 1\"",
        )],
    },
    Rule {
        name: "columns are TEXT or BIGINT",
        why: "both databases and the driver agree on these two and on nothing else: no booleans, no decimals, no dates",
        broken: column_types,
        bad: &[
            (
                "crates/bursar/src/store/migrations/0002_more.sql",
                "CREATE TABLE t (\n  id TEXT PRIMARY KEY,\n  paid BOOLEAN\n);",
            ),
            (
                "crates/bursar/src/store/migrations/0002_more.sql",
                "ALTER TABLE t ADD COLUMN amount NUMERIC(10, 2);",
            ),
            ("crates/bursar/src/store/migrations/0002_more.sql", "CREATE TABLE t (id TEXT, paid_at TEXT);"),
        ],
        good: &[(
            "crates/bursar/src/store/migrations/0002_more.sql",
            "-- a BOOLEAN would not do\nCREATE TABLE t (id TEXT, paid_at BIGINT, UNIQUE (id, paid_at), PRIMARY KEY (id));\n\
             CREATE INDEX t_by_id ON t (id) WHERE paid_at IS NULL;",
        )],
    },
    Rule {
        name: "no flags in the database",
        why: "a nullable …_at says that it happened and when; a flag forgets the half that is asked for later",
        broken: flags,
        bad: &[
            ("crates/bursar/src/store/migrations/0002_more.sql", "CREATE TABLE t (id TEXT, is_paid BIGINT);"),
            ("crates/bursar/src/store/migrations/0002_more.sql", "ALTER TABLE t ADD COLUMN active BIGINT;"),
        ],
        good: &[(
            "crates/bursar/src/store/migrations/0002_more.sql",
            "CREATE TABLE t (island TEXT, inactive_at BIGINT);",
        )],
    },
];

/// The benchmark queries PostgreSQL about its processes, which is not the store's job; the simulation reads the database
/// independently of the program it checks.
fn sql_outside_store(file: &Source) -> Vec<Breach> {
    let allowed = ["crates/bursar/src/store/", "crates/bench/", "crates/sim/"];
    let elsewhere = file.path.contains("/src/") && !allowed.iter().any(|room| file.path.starts_with(room));
    if !elsewhere || !file.path.ends_with(".rs") {
        return Vec::new();
    }
    let literals = file.literals().into_iter().filter(|literal| is_statement(&literal.value));
    literals.map(|literal| (literal.line, literal.value.chars().take(60).collect())).collect()
}

/// Whether a literal is a whole SQL statement: it starts with its verb, in capitals.
pub fn is_statement(text: &str) -> bool {
    let verbs = ["SELECT ", "INSERT INTO ", "UPDATE ", "DELETE FROM ", "WITH "];
    let text = squeezed(text);
    let capitals = text.split(' ').nth(1).is_some_and(|word| !word.is_empty());
    verbs.iter().any(|verb| text.starts_with(verb)) && capitals
}

/// The text with each run of whitespace replaced by one space.
fn squeezed(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn rewrites_history(file: &Source) -> Vec<Breach> {
    if !file.path.contains("/src/") {
        return Vec::new();
    }
    let statements: Vec<(usize, String)> = match file.path.rsplit_once('.') {
        Some((_, "rs")) => file.literals().into_iter().map(|literal| (literal.line, literal.value)).collect(),
        Some((_, "sql")) => vec![(1, without_comments(&file.text))],
        Some(_) | None => Vec::new(),
    };
    statements
        .into_iter()
        .filter(|(_, text)| changes_history(text))
        .map(|(line, text)| (line, squeezed(&text)))
        .collect()
}

fn changes_history(statement: &str) -> bool {
    let text = format!("{} ", squeezed(statement).to_lowercase().replace(['(', ';', ','], " "));
    ["posting", "journal", "audit"].iter().any(|table| {
        let verbs = ["update", "delete from", "drop table", "truncate", "truncate table", "alter table"];
        let upsert = text.contains(&format!("insert into {table} ")) && text.contains("do update");
        upsert || verbs.iter().any(|verb| text.contains(&format!("{verb} {table} ")))
    })
}

/// A column of a table, as created by a migration.
pub struct Column {
    /// The line its statement starts on.
    line: usize,
    /// The name of the table.
    pub table: String,
    /// The name of the column.
    pub name: String,
    /// Its type, as written in the migration.
    pub kind: String,
}

fn column_types(file: &Source) -> Vec<Breach> {
    let told = |column: Column| (column.line, format!("{} {}", column.name, column.kind));
    let wrong = |column: &Column| {
        let when = column.name.ends_with("_at")
            || column.name.ends_with("_until")
            || column.name.ends_with("_minor");
        !matches!(column.kind.as_str(), "TEXT" | "BIGINT") || (when && column.kind != "BIGINT")
    };
    columns(file).into_iter().filter(wrong).map(told).collect()
}

fn flags(file: &Source) -> Vec<Breach> {
    let flag = |column: &Column| {
        let name = column.name.as_str();
        let begins = ["is_", "has_", "can_", "was_"].iter().any(|start| name.starts_with(start));
        begins
            || name.ends_with("_flag")
            || matches!(name, "active" | "enabled" | "disabled" | "deleted" | "paid")
    };
    columns(file).into_iter().filter(flag).map(|column| (column.line, column.name)).collect()
}

/// The columns a migration creates; none from any other file.
pub fn columns(file: &Source) -> Vec<Column> {
    if !file.path.contains("/migrations/") || !file.path.ends_with(".sql") {
        return Vec::new();
    }
    let text = without_comments(&file.text);
    let mut found = Vec::new();
    let mut line = 1;
    for statement in text.split(';') {
        let leading = statement.len() - statement.trim_start().len();
        let first = line + statement[..leading].matches('\n').count();
        line += statement.matches('\n').count();
        let words = squeezed(statement);
        let table = words.split(' ').nth(2).unwrap_or_default();
        if words.starts_with("CREATE TABLE") {
            let inside = statement.split_once('(').map_or("", |(_, rest)| rest);
            let inside = inside.rsplit_once(')').map_or(inside, |(inside, _)| inside);
            found.extend(
                at_top_level(inside).iter().filter_map(|definition| column(first, table, definition)),
            );
        } else if let Some((_, definition)) = words.split_once(" ADD COLUMN ") {
            found.extend(column(first, table, definition));
        }
    }
    found
}

fn column(line: usize, table: &str, definition: &str) -> Option<Column> {
    let mut words = definition.split_whitespace();
    let name = words.next()?.to_owned();
    if matches!(name.as_str(), "PRIMARY" | "UNIQUE" | "FOREIGN" | "CHECK" | "CONSTRAINT") {
        return None;
    }
    Some(Column {
        line,
        table: table.to_owned(),
        name,
        kind: words.next().unwrap_or("without a type").to_owned(),
    })
}

/// Splits at commas outside parentheses.
pub fn at_top_level(text: &str) -> Vec<String> {
    let mut depth = 0;
    let mut parts = vec![String::new()];
    for character in text.chars() {
        depth += i32::from(character == '(') - i32::from(character == ')');
        match (character, parts.last_mut()) {
            (',', _) if depth == 0 => parts.push(String::new()),
            (_, Some(last)) => last.push(character),
            (_, None) => {}
        }
    }
    parts
}

fn without_comments(sql: &str) -> String {
    sql.lines().map(|line| line.split("--").next().unwrap_or_default().to_owned() + "\n").collect()
}

/// Errors in the list of shipped migrations. `list` has a `# version` line per release and a line `sha256  name` per
/// migration, as printed by `sha256sum`.
fn shipped(list: &str, changelog: &str, migrations: &[Source]) -> Vec<String> {
    let mut wrong = Vec::new();
    for release in changelog.lines().filter_map(|line| line.strip_prefix("## ")) {
        let version = release.split_whitespace().next().unwrap_or_default();
        if version != "Unreleased" && !list.lines().any(|line| line.trim() == format!("# {version}")) {
            wrong.push(format!(
                "{version} is released, and the list does not say which migrations went with it"
            ));
        }
    }
    for (hash, name) in list.lines().filter_map(|line| line.split_once("  ")) {
        let file = migrations.iter().find(|file| file.path.ends_with(&format!("/{name}")));
        let found = file.map(|file| {
            let bytes = Sha256::digest(file.text.as_bytes());
            bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>()
        });
        if found.as_deref() != Some(hash) {
            wrong.push(format!("{name} has shipped and is not what it was: write a new migration instead"));
        }
    }
    wrong
}

#[test]
fn a_migration_that_shipped_is_never_edited() {
    let list = source::file("crates/bursar/src/store/migrations/shipped.txt")
        .map_or_else(String::new, |file| file.text);
    let changelog = source::file("CHANGELOG.md").map_or_else(String::new, |file| file.text);
    let migrations = source::files(&[".sql"]);
    assert_eq!(
        shipped(&list, &changelog, &migrations),
        [""; 0],
        "a database that ran it would refuse to start"
    );

    let path = "crates/bursar/src/store/migrations/0001_a.sql";
    let one = [Source::new(path, "CREATE TABLE a (id TEXT);\n")];
    let hash = "b0ac23ad2b4cd4e8ae5c9ddc3a9dc2a4";
    assert_eq!(shipped("", "## Unreleased\n", &one).len(), 0);
    assert_eq!(shipped("", "## 1.0.0 (2026-01-01)\n", &one).len(), 1, "a release without its list");
    assert_eq!(
        shipped(&format!("# 1.0.0\n{hash}  0001_a.sql"), "## 1.0.0\n", &one).len(),
        1,
        "an edited file"
    );
    assert_eq!(shipped(&format!("{hash}  0002_b.sql"), "", &one).len(), 1, "a file that is gone");
}
