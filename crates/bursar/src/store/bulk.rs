//! Many rows in one statement: what makes forming a batch and recording an answer set-based on both engines.

use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;

use super::{Query, Result, Tx, bind_all};

/// A value to bind; `None` is NULL.
#[derive(Clone, Debug)]
pub enum Value {
    /// A TEXT column.
    Text(Option<String>),
    /// A BIGINT column.
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

/// Rows of values, all of one width.
#[derive(Default)]
pub struct Rows {
    rows: Vec<Vec<Value>>,
}

impl Rows {
    /// Adds a row.
    pub fn push<const N: usize>(&mut self, row: [Value; N]) {
        self.rows.push(row.into());
    }

    /// Nothing was added.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

/// PostgreSQL takes 65,535 values in a statement and SQLite 32,766. SQLite finds each numbered parameter by walking all
/// of them, so that a statement costs the square of its values: many small ones are several times faster than few large.
pub(super) const MOST_VALUES: usize = 600;

impl Tx {
    /// Runs `sql` with `{rows}` replaced by as many rows as fit, as often as needed; answers how many rows it touched.
    /// `sql` may name fixed values before the rows as `$1…`, given in `fixed`.
    ///
    /// # Errors
    /// When the database refuses any of it.
    pub async fn bulk(&mut self, sql: &str, fixed: &[Value], rows: Rows) -> Result<u64> {
        let mut touched = 0;
        for query in statements(sql, fixed, rows) {
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
        for query in statements(sql, fixed, rows) {
            returned.extend(self.all(query).await?);
        }
        Ok(returned)
    }
}

/// As many statements as it takes, each made when it is run.
fn statements<'a>(sql: &'a str, fixed: &'a [Value], rows: Rows) -> impl Iterator<Item = Query> + 'a {
    let width = rows.rows.first().map_or(1, Vec::len);
    let fit = (MOST_VALUES / width).max(1);
    let mut rest = rows.rows;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let later = rest.split_off(rest.len().min(fit));
        let some = std::mem::replace(&mut rest, later);
        let text = sql.replace("{rows}", &marks(&some, fixed.len()));
        let values = fixed.iter().cloned().chain(some.into_iter().flatten());
        Some(bind_all(sqlx::query(AssertSqlSafe(text)), values))
    })
}

impl Tx {
    /// Runs `sql` with `{ids}` replaced by as many ids as fit, as often as needed; answers how many rows it touched.
    /// `sql` may name fixed values before the ids as `$1…`, given in `fixed`.
    ///
    /// A plain list, because PostgreSQL looks ids of a list up by hash or index whatever it believes about the table; a
    /// VALUES list it joins, and where a table was filled a moment ago it joins the wrong way round.
    ///
    /// # Errors
    /// When the database refuses any of it.
    pub async fn among(
        &mut self,
        sql: &str,
        fixed: &[Value],
        ids: impl IntoIterator<Item = String>,
    ) -> Result<u64> {
        let ids: Vec<String> = ids.into_iter().collect();
        let mut touched = 0;
        for some in ids.chunks(MOST_VALUES) {
            let marks: Vec<String> =
                (1..=some.len()).map(|number| format!("${}", number + fixed.len())).collect();
            let text = sql.replace("{ids}", &marks.join(", "));
            let values = fixed.iter().cloned().chain(some.iter().map(|id| Value::from(id.as_str())));
            touched += self.run(bind_all(sqlx::query(AssertSqlSafe(text)), values)).await?;
        }
        Ok(touched)
    }
}

/// `($1, CAST($2 AS BIGINT)), …`: PostgreSQL takes an uncast value in a VALUES list for text.
fn marks(rows: &[Vec<Value>], already: usize) -> String {
    let mut text = String::new();
    let mut number = already;
    for row in rows {
        text.push_str(if text.is_empty() { "(" } else { ", (" });
        for (place, value) in row.iter().enumerate() {
            number += 1;
            text.push_str(if place == 0 { "" } else { ", " });
            match value {
                Value::Text(_) => text.push_str(&format!("CAST(${number} AS TEXT)")),
                Value::Int(_) => text.push_str(&format!("CAST(${number} AS BIGINT)")),
            }
        }
        text.push(')');
    }
    text
}
