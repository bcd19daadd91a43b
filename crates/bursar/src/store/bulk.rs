//! Many rows in one statement, which makes forming a batch and recording answers set-based on both engines.
//!
//! Rows travel as one JSON value that both engines unfold with the same SQL. One parameter per value would produce a
//! different statement for each row count, to be parsed and planned again each time, and SQLite looks up each numbered
//! parameter by scanning all of them.

use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;

use super::{Query, Result, Tx, bind_all};

/// A value to bind; `None` is NULL.
#[derive(Clone, Debug)]
pub enum Value {
    Text(Option<String>),
    Int(Option<i64>),
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(Some(value))
    }
}

impl From<Option<i64>> for Value {
    fn from(value: Option<i64>) -> Self {
        Self::Int(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(Some(value.to_owned()))
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::Text(Some(value))
    }
}

impl From<Option<String>> for Value {
    fn from(value: Option<String>) -> Self {
        Self::Text(value)
    }
}

/// Rows of values with the same width and column types.
#[derive(Default)]
pub struct Rows {
    /// The columns each row unfolds into.
    columns: String,
    /// The rows as JSON arrays.
    rows: Vec<String>,
}

impl Rows {
    pub fn push<const N: usize>(&mut self, row: [Value; N]) {
        if self.is_empty() {
            self.columns = row.iter().enumerate().map(column).collect::<Vec<_>>().join(", ");
        }
        self.rows.push(serde_json::Value::Array(row.into_iter().map(json).collect()).to_string());
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The SQL that unfolds all rows from the parameter `mark`, and the value to bind to it.
    pub(super) fn unfolded(&self, mark: &str) -> (String, Value) {
        (unfolded(&self.columns, mark), object(&self.rows))
    }

    /// The same, split into as many statements as needed; in each, the rows replace `hole`.
    fn statements<'a>(
        &'a self,
        sql: &str,
        hole: &str,
        fixed: &'a [Value],
    ) -> impl Iterator<Item = Query> + 'a {
        let text = sql.replace(hole, &unfolded(&self.columns, &format!("${}", fixed.len() + 1)));
        self.rows.chunks(MOST_VALUES).map(move |some| {
            let values = fixed.iter().cloned().chain([object(some)]);
            bind_all(sqlx::query(AssertSqlSafe(text.clone())), values)
        })
    }
}

impl<const N: usize> FromIterator<[Value; N]> for Rows {
    fn from_iter<T: IntoIterator<Item = [Value; N]>>(iter: T) -> Self {
        let mut rows = Self::default();
        iter.into_iter().for_each(|row| rows.push(row));
        rows
    }
}

/// `WHERE true`, because otherwise SQLite parses a following `ON CONFLICT` as part of a join.
fn unfolded(columns: &str, mark: &str) -> String {
    format!("SELECT {columns} FROM jsonb_each(jsonb(CAST({mark} AS TEXT))) WHERE true")
}

fn column((place, value): (usize, &Value)) -> String {
    match value {
        Value::Text(_) => format!("value ->> {place}"),
        Value::Int(_) => format!("CAST(value ->> {place} AS BIGINT)"),
    }
}

/// Strip NUL characters: SQLite accepts them in text, but PostgreSQL would reject the whole set.
fn json(value: Value) -> serde_json::Value {
    match value {
        Value::Text(Some(text)) if text.contains('\0') => text.replace('\0', "").into(),
        Value::Text(text) => text.into(),
        Value::Int(number) => number.into(),
    }
}

/// `{"0":["a",1],"1":["b",null]}`: an object, because PostgreSQL's `jsonb_each` does not take arrays.
fn object(rows: &[String]) -> Value {
    let members: Vec<String> =
        rows.iter().enumerate().map(|(place, row)| format!("\"{place}\":{row}")).collect();
    Value::from(format!("{{{}}}", members.join(",")))
}

/// The rows per statement: enough to amortize its cost, few enough to hold in memory twice.
pub(super) const MOST_VALUES: usize = 1_000;

impl Tx {
    /// Runs `sql` with `VALUES {rows}` replaced by the rows, in as many statements as needed; returns how many rows
    /// were affected. `fixed` holds the values of `$1…` in `sql`.
    ///
    /// # Errors
    /// The database rejects a statement; earlier ones are rolled back with the transaction.
    pub async fn bulk(&mut self, sql: &str, fixed: &[Value], rows: Rows) -> Result<u64> {
        let mut touched = 0;
        for query in rows.statements(sql, "VALUES {rows}", fixed) {
            touched += self.run(query).await?;
        }
        Ok(touched)
    }

    /// The same for a statement that ends in `RETURNING`; returns its rows.
    ///
    /// # Errors
    /// The database rejects a statement.
    pub(super) async fn bulk_returning(
        &mut self,
        sql: &str,
        fixed: &[Value],
        rows: Rows,
    ) -> Result<Vec<AnyRow>> {
        let mut returned = Vec::new();
        for query in rows.statements(sql, "VALUES {rows}", fixed) {
            returned.extend(self.all(query).await?);
        }
        Ok(returned)
    }

    /// Runs `sql` with `{ids}` replaced by the ids, in as many statements as needed; returns how many rows were
    /// affected. `fixed` holds the values of `$1…` in `sql`.
    ///
    /// # Errors
    /// The database rejects a statement.
    pub async fn among(
        &mut self,
        sql: &str,
        fixed: &[Value],
        ids: impl IntoIterator<Item = String>,
    ) -> Result<u64> {
        let rows: Rows = ids.into_iter().map(|id| [id.into()]).collect();
        let mut touched = 0;
        for query in rows.statements(sql, "{ids}", fixed) {
            touched += self.run(query).await?;
        }
        Ok(touched)
    }

    /// The same for a statement that ends in `RETURNING`; returns its rows.
    ///
    /// # Errors
    /// The database rejects a statement.
    pub(super) async fn among_returning(
        &mut self,
        sql: &str,
        fixed: &[Value],
        ids: impl IntoIterator<Item = String>,
    ) -> Result<Vec<AnyRow>> {
        let rows: Rows = ids.into_iter().map(|id| [id.into()]).collect();
        let mut returned = Vec::new();
        for query in rows.statements(sql, "{ids}", fixed) {
            returned.extend(self.all(query).await?);
        }
        Ok(returned)
    }
}
