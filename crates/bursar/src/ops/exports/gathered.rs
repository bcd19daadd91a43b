//! Gathered rows of an export, and the encoding of the position where the next ones begin. Not here: gathering them
//! (`rows`, `earnings`).

use serde_json::json;

use crate::documents::Cell;

/// How many rows are gathered at a time.
pub const AT_ONCE: i64 = 2_000;

/// Some rows, and where the next begin; `None` after the last.
#[derive(Debug)]
pub struct RowPage {
    /// The cells of the chosen columns.
    pub rows: Vec<Vec<Cell>>,
    /// What to ask for next.
    pub next: Option<String>,
}

/// Encodes a position in a list as text.
pub(super) fn place(number: i64, id: &str) -> String {
    json!([number, id]).to_string()
}
