//! An example file of each kind, ready to import as it is. The four belong together: the rewards refer to these activities
//! and these partners. Every name says that it is an example.

use std::collections::HashMap;

use super::layout::columns;
use crate::store::imports::ImportKind;

/// The example of a kind, with all its columns.
pub fn example(what: ImportKind) -> String {
    let columns = columns(what);
    let mut text = columns.join(",");
    text.push('\n');
    for row in rows(what) {
        let values: HashMap<&str, &str> = row.iter().copied().collect();
        let fields: Vec<&str> =
            columns.iter().map(|column| values.get(column).copied().unwrap_or_default()).collect();
        text.push_str(&fields.join(","));
        text.push('\n');
    }
    text
}

/// The rows' values by column; unnamed columns stay empty. No value needs quoting.
fn rows(what: ImportKind) -> &'static [&'static [(&'static str, &'static str)]] {
    match what {
        ImportKind::Accounts => &[
            &[("external_id", "example-north"), ("name", "Example North Ltd"), ("country", "GB")],
            &[
                ("external_id", "example-south"),
                ("name", "Example South Inc"),
                ("country", "US"),
                ("owner_email", "owner@example.com"),
            ],
        ],
        ImportKind::Partners => &[
            &[
                ("external_id", "example-ana"),
                ("account", "example-north"),
                ("name", "Ana Example"),
                ("email", "ana@example.com"),
                ("country", "GB"),
                ("language", "en"),
            ],
            &[
                ("external_id", "example-bo"),
                ("account", "example-south"),
                ("name", "Bo Example"),
                ("email", "bo@example.com"),
                ("country", "US"),
                ("language", "es"),
            ],
        ],
        ImportKind::Activities => &[
            &[
                ("external_id", "example-deal"),
                ("program", "Example program"),
                ("program_type", "cash"),
                ("name", "Example: closed deal"),
                ("default_value", "100.00"),
                ("default_currency", "USD"),
            ],
            &[
                ("external_id", "example-course"),
                ("program", "Example program"),
                ("program_type", "cash"),
                ("name", "Example: passed course"),
            ],
        ],
        ImportKind::Rewards => &[
            &[("external_id", "example-1"), ("activity", "example-deal"), ("owner", "example-ana")],
            &[
                ("external_id", "example-2"),
                ("activity", "example-course"),
                ("owner", "example-bo"),
                ("value", "1234.50"),
                ("currency", "EUR"),
            ],
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_names_its_columns_only_and_fills_in_what_must_be() {
        for what in ImportKind::ALL {
            for row in rows(what) {
                let named: Vec<&str> = row.iter().map(|(column, _)| *column).collect();
                assert!(named.iter().all(|column| columns(what).contains(column)), "{named:?}");
                assert!(row.iter().all(|(_, value)| !value.contains([',', '"', '\n'])), "{row:?}");
            }
        }
    }
}
