//! Rows of an export that were gathered, and how the place is written down at which the next begin. What is deliberately not
//! here: gathering them (`rows`, `earnings`).

use serde_json::json;

use crate::documents::Cell;

/// So many rows are gathered at once.
pub const AT_ONCE: i64 = 2_000;

/// Some rows, and where the next begin; `None` after the last.
#[derive(Debug)]
pub struct Gathered {
    /// The cells of the chosen columns.
    pub rows: Vec<Vec<Cell>>,
    /// What to ask for next.
    pub next: Option<String>,
}

/// Writes a place down.
pub(super) fn place(number: i64, id: &str) -> String {
    json!([number, id]).to_string()
}
