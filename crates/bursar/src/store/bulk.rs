//! Many rows in one statement: what makes forming a batch and recording an answer set-based on both engines.
//!
//! Rows travel as one JSON value, which both engines unfold by the same words. A parameter for each value would be a
//! different statement for each number of rows, to be read and planned anew each time; and SQLite finds each numbered
//! parameter by walking all of them.

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

/// Rows of values, all of one width and of one kind in each column.
#[derive(Default)]
pub struct Rows {
    /// The columns into which each row is unfolded.
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

    /// The columns of all rows, unfolded from the parameter `mark` stands for; and what is bound to it.
    pub(super) fn unfolded(&self, mark: &str) -> (String, Value) {
        (unfolded(&self.columns, mark), object(&self.rows))
    }

    /// The same as as many statements as it takes, in each of which the rows take the place of `hole`.
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

/// `WHERE true` because SQLite would take the `ON CONFLICT` that may follow for part of a join.
fn unfolded(columns: &str, mark: &str) -> String {
    format!("SELECT {columns} FROM jsonb_each(jsonb(CAST({mark} AS TEXT))) WHERE true")
}

fn column((place, value): (usize, &Value)) -> String {
    match value {
        Value::Text(_) => format!("value ->> {place}"),
        Value::Int(_) => format!("CAST(value ->> {place} AS BIGINT)"),
    }
}

/// A NUL is text for SQLite and an error for PostgreSQL, which would then refuse the whole set for it. It says nothing to
/// anybody, so it is left out of both.
fn json(value: Value) -> serde_json::Value {
    match value {
        Value::Text(Some(text)) if text.contains('\0') => text.replace('\0', "").into(),
        Value::Text(text) => text.into(),
        Value::Int(number) => number.into(),
    }
}

/// `{"0":["a",1],"1":["b",null]}`: an object, because PostgreSQL's `jsonb_each` takes no arrays.
fn object(rows: &[String]) -> Value {
    let members: Vec<String> =
        rows.iter().enumerate().map(|(place, row)| format!("\"{place}\":{row}")).collect();
    Value::from(format!("{{{}}}", members.join(",")))
}

/// How many rows one statement takes: enough for its own cost to vanish, few enough to be held in memory twice.
pub(super) const MOST_VALUES: usize = 1_000;

impl Tx {
    /// Runs `sql` with `VALUES {rows}` replaced by the rows, in as many statements as it takes; answers how many rows
    /// they touched. `sql` may name fixed values as `$1…`, given in `fixed`.
    ///
    /// # Errors
    /// When the database refuses any of it.
    pub async fn bulk(&mut self, sql: &str, fixed: &[Value], rows: Rows) -> Result<u64> {
        let mut touched = 0;
        for query in rows.statements(sql, "VALUES {rows}", fixed) {
            touched += self.run(query).await?;
        }
        Ok(touched)
    }

    /// The same for a statement that ends in `RETURNING`; answers the rows it returns.
    ///
    /// # Errors
    /// When the database refuses any of it.
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

    /// Runs `sql` with `{ids}` replaced by the ids, in as many statements as it takes; answers how many rows they
    /// touched. `sql` may name fixed values as `$1…`, given in `fixed`.
    ///
    /// # Errors
    /// When the database refuses any of it.
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

    /// The same for a statement that ends in `RETURNING`; answers the rows it returns.
    ///
    /// # Errors
    /// When the database refuses any of it.
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
