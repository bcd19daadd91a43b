//! Prepares every SQL statement of `bursar::store` on SQLite and on PostgreSQL, so that no database sees a statement for the
//! first time on a payday.
//!
//! Statements are found in the source text: every string literal that starts with a verb in capitals. Placeholders in
//! incomplete statements are filled the way the store fills them:
//!
//! | placeholder | is filled with |
//! | --- | --- |
//! | `{where}` | nothing; then each condition given to a `Where` in the same file must fit at least one such statement |
//! | `VALUES {rows}` | rows expanded from one parameter, matching the column list before it in width and types |
//! | `{name}` | each string that a `const` of the file or a `let` of the function binds to the name, in turn |
//! | `{ids}`, `{columns}` and `{mark}` | one column expanded from one parameter |
//! | `{limit}` | 1 |
//! | `{sum(…)}` and the terms of `store::moved` | the result of `store::expanded` |
//!
//! Any other placeholder fails the test: a statement that exists only at run time cannot be checked earlier. Statements
//! that name `sqlite_…` are prepared on SQLite only, and those that name `pg_…` on PostgreSQL only. Not checked here: what
//! a function adds to a statement passed to it, the types bound at run time, and whether a statement is correct.

use std::collections::BTreeMap;

use bursar::store::Store;
use sqlx::{AnyConnection, AssertSqlSafe, Connection as _, Executor as _, Row as _, SqlSafeStr as _, SqlStr};

use crate::need;
use crate::source::{self, Source};
use crate::tidy::database::{Column, at_top_level, columns, is_statement};

#[tokio::test]
async fn every_statement_is_prepared_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/sql.db", folder.path().display());
    Store::open(&url).await.unwrap().close().await;
    prepare_all(&url).await;
}

#[tokio::test]
async fn every_statement_is_prepared_on_postgres() {
    let Some(server) = need::postgres() else { return };
    sqlx::any::install_default_drivers();
    let schema = format!("it_sql_{}", std::process::id());
    let mut admin = AnyConnection::connect(&server).await.unwrap();
    admin.execute(text(&format!("CREATE SCHEMA {schema}"))).await.unwrap();
    let url = format!("{server}?options[search_path]={schema}");
    Store::open(&url).await.unwrap().close().await;
    prepare_all(&url).await;
    admin.execute(text(&format!("DROP SCHEMA {schema} CASCADE"))).await.unwrap();
}

/// A full table scan is slow on a large table, and one in the path of every payment makes a payday of ten thousand take
/// hours. Every scan is listed here, so that a new one is noticed; statements narrowed by a `Where` are not checked. SQLite
/// has no statistics here and orders joins by guesswork; `CROSS JOIN` fixes the order.
#[tokio::test]
async fn what_reads_a_whole_table_is_known() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/plans.db", folder.path().display());
    Store::open(&url).await.unwrap().close().await;
    let mut database = AnyConnection::connect(&url).await.unwrap();
    let store = Written::read(&source::files(&[".rs", ".sql"]));
    let mut told = std::collections::BTreeSet::new();
    for statement in store.statements.iter().filter(|one| !one.text.contains("{where}")) {
        let Ok(sql) = store.filled(statement, "") else { continue };
        let plan = database.fetch_all(text(&format!("EXPLAIN QUERY PLAN {sql}"))).await.unwrap_or_default();
        for step in plan.iter().map(|row| row.get::<String, _>(3)).filter(|step| step.starts_with("SCAN ")) {
            // Rows passed as one JSON value, results of a subquery, and no rows at all.
            if ["jsonb_each", "CONSTANT", "(subquery", "v"]
                .iter()
                .any(|small| step[5..].split(' ').next() == Some(*small))
            {
                continue;
            }
            let words: String =
                sql.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(90).collect();
            let file = statement.file.trim_start_matches("crates/bursar/src/store/");
            told.insert(format!("{file}: {step}: {words}"));
        }
    }
    let messages: Vec<String> = told.into_iter().collect();
    insta::assert_snapshot!(messages.join("\n"));
}

async fn prepare_all(url: &str) {
    let mut database = AnyConnection::connect(url).await.unwrap();
    let store = Written::read(&source::files(&[".rs", ".sql"]));
    assert!(store.statements.len() > 10, "the statements of the store were not found");
    let mut messages = Vec::new();
    let sqlite = url.starts_with("sqlite:");
    let elsewhere = if sqlite { "pg_" } else { "sqlite_" };
    for statement in store.statements.iter().filter(|statement| !statement.text.contains(elsewhere)) {
        match store.filled(statement, "") {
            Ok(sql) => {
                messages.extend(refusal(&mut database, &sql).await.map(|why| statement.tell(&sql, &why)))
            }
            Err(hole) => messages
                .push(statement.tell(&statement.text, &format!("nothing is known to fill {hole} with"))),
        }
    }
    for condition in &store.conditions {
        if let Some(whys) = no_list_for(condition, &store, &mut database).await {
            messages.push(condition.tell(&condition.text, &format!("fits no list: {whys:?}")));
        }
    }
    assert!(messages.is_empty(), "\n{}", messages.join("\n"));
}

/// Why no list accepts a condition: the lists of its file, or all lists if its file has none.
async fn no_list_for(
    condition: &Piece,
    store: &Written,
    database: &mut AnyConnection,
) -> Option<Vec<String>> {
    let lists = store.statements.iter().filter(|statement| statement.text.contains("{where}"));
    let (near, far): (Vec<&Piece>, Vec<&Piece>) = lists.partition(|list| list.file == condition.file);
    let mut whys = Vec::new();
    for list in if near.is_empty() { far } else { near } {
        // The statement's own parameters come before those of its conditions.
        let condition = numbered(&condition.text, highest_parameter(&list.text));
        let sql = store.filled(list, &format!("WHERE {condition}")).unwrap_or_default();
        whys.push(refusal(database, &sql).await?);
    }
    Some(whys)
}

/// The error with which the database rejects a statement.
async fn refusal(database: &mut AnyConnection, sql: &str) -> Option<String> {
    database.prepare(text(sql)).await.err().map(|error| error.to_string())
}

fn text(sql: &str) -> SqlStr {
    AssertSqlSafe(sql.to_owned()).into_sql_str()
}

/// All SQL in the store's source.
pub struct Written {
    pub statements: Vec<Piece>,
    conditions: Vec<Piece>,
    columns: Vec<Column>,
}

/// A statement or condition as written in the source.
#[derive(Clone)]
pub struct Piece {
    file: String,
    line: usize,
    pub text: String,
}

/// The strings a name may stand for, by the function that binds it; a constant applies to the whole file.
#[derive(Default)]
struct Names {
    values: BTreeMap<(Option<usize>, String), Vec<String>>,
    /// The number of literals per binding, by its start.
    had: BTreeMap<usize, usize>,
}

impl Written {
    pub fn read(files: &[Source]) -> Self {
        let columns = files.iter().flat_map(columns).collect();
        let mut written = Self { statements: Vec::new(), conditions: Vec::new(), columns };
        let in_store = |path: &str| path.starts_with("crates/bursar/src/store/") && path.ends_with(".rs");
        for file in files.iter().filter(|file| in_store(&file.path)) {
            written.read_file(file);
        }
        written
    }

    fn read_file(&mut self, file: &Source) {
        let code = file.code();
        let mut names = Names::default();
        let mut literals = Vec::new();
        for literal in file.literals() {
            let text = literal.value.replace("{{", "{").replace("}}", "}");
            names.note(&code, literal.at, &text);
            literals.push((literal.at, Piece { file: file.path.clone(), line: literal.line, text }));
        }
        for (at, piece) in literals {
            let before = code[..at].trim_end();
            let texts = names.expand(&piece.text, function_at(&code, at));
            if before.ends_with(".among(") && !is_statement(&piece.text) {
                self.conditions.push(Piece {
                    text: format!("{} IN ({})", piece.text, unfolded("value ->> 0", 1).replace("$1", "?")),
                    ..piece
                });
            } else if before.ends_with(".and(") || names.is_condition(&code, at) {
                self.conditions.extend(texts.into_iter().map(|text| Piece { text, ..piece.clone() }));
            } else {
                let statements = texts.into_iter().filter(|text| is_statement(text));
                self.statements.extend(statements.map(|text| Piece { text, ..piece.clone() }));
            }
        }
    }

    /// The complete statement, or the placeholder that cannot be filled.
    pub fn filled(&self, statement: &Piece, conditions: &str) -> Result<String, String> {
        let mut sql = statement.text.replace("{where}", conditions).replace("{limit}", "1");
        sql = sql.replace("{columns}", "value ->> 0").replace("{mark}", "$1");
        sql = sql.replace("{ids}", &unfolded("value ->> 0", highest_parameter(&sql) + 1));
        if let Some((before, after)) = sql.split_once("VALUES {rows}") {
            sql = format!("{before}{}{after}", self.rows(before, after));
        }
        sql = bursar::store::expanded(&sql);
        match sql.split_once('{') {
            Some((_, rest)) => Err(format!("{{{}}}", rest.split('}').next().unwrap_or_default())),
            None => Ok(sql),
        }
    }

    /// The rows of `… v (a, b) AS (VALUES {rows}` or `INSERT INTO t (a, b) VALUES {rows}`.
    fn rows(&self, before: &str, after: &str) -> String {
        let parameter = highest_parameter(before).max(highest_parameter(after)) + 1;
        let list = before.rsplit_once(')').map_or("", |(list, _)| list);
        let list = list.rsplit_once('(').map_or("", |(_, list)| list);
        let columns = at_top_level(list).into_iter().enumerate().map(|(place, name)| {
            match self.is_number(&format!("{before}{after}"), name.trim()) {
                true => format!("CAST(value ->> {place} AS BIGINT)"),
                false => format!("value ->> {place}"),
            }
        });
        unfolded(&columns.collect::<Vec<_>>().join(", "), parameter)
    }

    /// Whether a column in a VALUES row is numeric: by the tables named in the statement, else by its name.
    fn is_number(&self, statement: &str, name: &str) -> bool {
        let named = |table: &str| source::names(statement).any(|(_, word)| word == table);
        let known = self.columns.iter().find(|column| column.name == name && named(&column.table));
        let by_name = || {
            ["_minor", "_at", "_until", "_us", "number", "count"].iter().any(|ending| name.ends_with(ending))
        };
        known.map_or_else(by_name, |column| column.kind == "BIGINT")
    }
}

impl Names {
    fn note(&mut self, code: &str, at: usize, text: &str) {
        let Some(bound) = bound_to(code[..at].trim_end()) else { return };
        let had = self.had.entry(bound.at).or_default();
        let name = bound.names[*had % bound.names.len()].clone();
        *had += 1;
        let place = function_at(code, at).filter(|_| !bound.constant);
        self.values.entry((place, name)).or_default().push(text.to_owned());
    }

    /// Whether the literal is bound to a name that its function passes to a `Where`: `let sql = "…"; list.and(sql, …)`.
    fn is_condition(&self, code: &str, at: usize) -> bool {
        let Some(bound) = bound_to(code[..at].trim_end()) else { return false };
        let function = code[at..].split("fn ").next().unwrap_or_default();
        bound.names.iter().any(|name| function.contains(&format!(".and({name},")))
    }

    /// The text with each known `{name}` of a function replaced, in all combinations.
    fn expand(&self, text: &str, function: Option<usize>) -> Vec<String> {
        let known = |hole: &str| {
            let of = |place| self.values.get(&(place, hole.to_owned()));
            of(function)
                .or_else(|| of(None))
                .filter(|_| !["where", "rows", "ids", "limit", "columns", "mark"].contains(&hole))
        };
        let mut holes = text.split('{').skip(1).filter_map(|rest| rest.split_once('}').map(|(hole, _)| hole));
        let Some((hole, values)) = holes.find_map(|hole| Some((format!("{{{hole}}}"), known(hole)?))) else {
            return vec![text.to_owned()];
        };
        let values = values.iter().filter(|value| !value.contains(&hole));
        values.flat_map(|value| self.expand(&text.replace(&hole, value), function)).collect()
    }
}

/// The start of the function that contains this position.
fn function_at(code: &str, at: usize) -> Option<usize> {
    code[..at].rfind("fn ")
}

/// The binding of a literal.
struct Bound {
    /// Start of the binding in the code.
    at: usize,
    constant: bool,
    /// One name, or those of a tuple, filled by its literals in turn.
    names: Vec<String>,
}

/// Reads backwards to find a literal's binding: `const NAME: &str = "…"`, `let name = if … { "…" }`, `let (one, other) =
/// match … { … => ("…", "…") }`.
fn bound_to(before: &str) -> Option<Bound> {
    let begin = before.rfind(';').map_or(0, |at| at + 1);
    let last = |word: &str| before[begin..].rfind(word).map(|at| begin + at);
    let at = last("let ").or_else(|| last("const "))?;
    let constant = before[at..].starts_with("const ");
    let pattern = before[at..].split(['=', ':']).next().unwrap_or_default();
    let names = source::names(pattern).map(|(_, name)| name.to_owned());
    let names: Vec<String> = names.filter(|name| !["let", "const", "mut"].contains(&name.as_str())).collect();
    (!names.is_empty()).then_some(Bound { at, constant, names })
}

impl Piece {
    pub fn tell(&self, sql: &str, why: &str) -> String {
        format!(
            "{}:{}: {why}\n    {}",
            self.file,
            self.line,
            sql.split_whitespace().collect::<Vec<_>>().join(" ")
        )
    }
}

/// Rows as the store expands them.
fn unfolded(columns: &str, parameter: usize) -> String {
    format!("SELECT {columns} FROM jsonb_each(jsonb(CAST(${parameter} AS TEXT))) WHERE true")
}

/// The highest `$n` in a statement; 0 if it has none.
pub fn highest_parameter(sql: &str) -> usize {
    let digits = |rest: &str| rest.chars().take_while(char::is_ascii_digit).collect::<String>();
    sql.split('$').skip(1).filter_map(|rest| digits(rest).parse().ok()).max().unwrap_or(0)
}

/// A condition with its placeholders numbered from `taken` + 1.
fn numbered(condition: &str, taken: usize) -> String {
    let mut parts = condition.split('?');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.enumerate().fold(first, |text, (place, part)| format!("{text}${}{part}", taken + place + 1))
}

#[test]
fn a_statement_is_found_and_its_holes_are_filled() {
    let rust = r#"
const LIST: &str = "SELECT id, \
                    paid_at FROM t";
fn f() {
    let one = format!("{LIST} {{where}} LIMIT {limit}");
    conditions.and("paid_at > ? OR id = ?", []);
    let two = "UPDATE t SET id = $1 FROM v"; // "SELECT nothing"
    let three = "WITH v (id, paid_at) AS (VALUES {rows}) UPDATE t SET id = v.id FROM v WHERE t.id = $2";
    let (order, more) = match newest { true => ("id DESC", ""), false => ("id", ", paid_at") };
    let four = format!("SELECT id{more} FROM t ORDER BY {order}");
    let sql = "paid_at IS NULL";
    conditions.and(sql, []);
}
fn g(sql: &str) {
    let five = format!("SELECT {what}");
    let tail = format!("{sql} ORDER BY id");
}"#;
    let sql = "CREATE TABLE t (id TEXT, paid_at BIGINT);";
    let written = Written::read(&[
        Source::new("crates/bursar/src/store/t.rs", rust),
        Source::new("crates/bursar/src/store/migrations/1_t.sql", sql),
    ]);
    let filled: Vec<_> =
        written.statements.iter().map(|statement| written.filled(statement, "WHERE 1 = 1")).collect();
    let expected = [
        Ok("SELECT id, paid_at FROM t"),
        Ok("SELECT id, paid_at FROM t WHERE 1 = 1 LIMIT 1"),
        Ok("UPDATE t SET id = $1 FROM v"),
        Ok("WITH v (id, paid_at) AS (SELECT value ->> 0, CAST(value ->> 1 AS BIGINT) \
            FROM jsonb_each(jsonb(CAST($3 AS TEXT))) WHERE true) \
            UPDATE t SET id = v.id FROM v WHERE t.id = $2"),
        Ok("SELECT id FROM t ORDER BY id DESC"),
        Ok("SELECT id FROM t ORDER BY id"),
        Ok("SELECT id, paid_at FROM t ORDER BY id DESC"),
        Ok("SELECT id, paid_at FROM t ORDER BY id"),
        Err("{what}"),
    ];
    assert_eq!(filled, expected.map(|one| one.map(str::to_owned).map_err(str::to_owned)));
    let conditions: Vec<String> =
        written.conditions.iter().map(|condition| numbered(&condition.text, 0)).collect();
    assert_eq!(conditions, ["paid_at > $1 OR id = $2", "paid_at IS NULL"]);
}
