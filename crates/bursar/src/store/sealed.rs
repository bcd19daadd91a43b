//! Every column with values sealed by the master key, and what each value is bound to. Not here: sealing and opening
//! (`secrets`), the check value that identifies the database's key (`meta`), and the meaning of each value.

use sqlx::Row as _;

use super::{Db, Result, Tx};
use crate::secrets::{HEAD_LENGTH, SealedAt};

/// A column of sealed values.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Column {
    /// A vendor's credentials, by vendor.
    Connection,
    /// A tax number, by payee.
    TaxNumber,
    /// An authenticator app's secret, by person.
    Factor,
    /// An authenticator secret being set up, by person.
    FactorBegun,
    /// The provider's claims about a pending login, by the hash of its token.
    HalfLogin,
    /// The one-time link of a mail that is not sent yet, by its notice.
    SecretLink,
    /// A retired or lost master key, by its id.
    RetiredKey,
}

impl Column {
    pub const ALL: [Self; 7] = [
        Self::Connection,
        Self::TaxNumber,
        Self::Factor,
        Self::FactorBegun,
        Self::HalfLogin,
        Self::SecretLink,
        Self::RetiredKey,
    ];

    /// The table and the column name.
    pub fn name(self) -> (&'static str, &'static str) {
        match self {
            Self::Connection => ("vendor_connection", "sealed"),
            Self::TaxNumber => ("tax_report", "sealed_tin"),
            Self::Factor => ("factor", "sealed"),
            Self::FactorBegun => ("factor_begun", "sealed"),
            Self::HalfLogin => ("half_login", "provided"),
            Self::SecretLink => ("secret_link", "sealed"),
            Self::RetiredKey => ("retired_key", "sealed"),
        }
    }

    /// The place a row's value is bound to. Values from before they named their key have a weaker binding.
    pub fn place(self, row: &str) -> SealedAt {
        let (table, column) = self.name();
        let place = SealedAt::stored(table, column, row);
        match self {
            Self::Connection => place.once(row),
            Self::TaxNumber => place.once(format!("tin:{row}")),
            Self::Factor | Self::FactorBegun => place.once(format!("second factor of {row}")),
            Self::HalfLogin => place.once(format!("what the provider signed for {row}")),
            Self::SecretLink | Self::RetiredKey => place,
        }
    }

    /// What its values are called where people read of them: one, and several.
    pub fn label(self) -> (&'static str, &'static str) {
        match self {
            Self::Connection => ("vendor connection", "vendor connections"),
            Self::TaxNumber => ("tax number", "tax numbers"),
            Self::Factor => ("authenticator secret", "authenticator secrets"),
            Self::FactorBegun => ("authenticator being set up", "authenticators being set up"),
            Self::HalfLogin => ("pending sign-in", "pending sign-ins"),
            Self::SecretLink => ("link of an unsent mail", "links of unsent mails"),
            Self::RetiredKey => ("earlier master key", "earlier master keys"),
        }
    }

    /// Whether its rows belong to people, whose rows are locked while these change.
    pub fn is_of_people(self) -> bool {
        matches!(self, Self::Factor | Self::FactorBegun)
    }

    /// Whether its values are needed for minutes only and can be recreated by starting over.
    pub fn is_passing(self) -> bool {
        matches!(self, Self::FactorBegun | Self::HalfLogin)
    }
}

/// A column's values that do not begin with this header, after a row, in row order: row and value.
pub async fn others(
    db: &mut Db,
    column: Column,
    head: &str,
    after: &str,
    most: i64,
) -> Result<Vec<(String, String)>> {
    debug_assert_eq!(head.len(), HEAD_LENGTH, "the statements below cut off as much");
    let sql = match column {
        Column::Connection => {
            "SELECT vendor, sealed FROM vendor_connection WHERE vendor > $1 \
             AND substr(sealed, 1, 20) <> $2 ORDER BY vendor LIMIT $3"
        }
        Column::TaxNumber => {
            "SELECT payee, sealed_tin FROM tax_report WHERE payee > $1 \
             AND substr(sealed_tin, 1, 20) <> $2 ORDER BY payee LIMIT $3"
        }
        Column::Factor => {
            "SELECT person_id, sealed FROM factor WHERE person_id > $1 \
             AND substr(sealed, 1, 20) <> $2 ORDER BY person_id LIMIT $3"
        }
        Column::FactorBegun => {
            "SELECT person_id, sealed FROM factor_begun WHERE person_id > $1 \
             AND substr(sealed, 1, 20) <> $2 ORDER BY person_id LIMIT $3"
        }
        Column::HalfLogin => {
            "SELECT token_hash, provided FROM half_login WHERE token_hash > $1 \
             AND substr(provided, 1, 20) <> $2 ORDER BY token_hash LIMIT $3"
        }
        Column::SecretLink => {
            "SELECT outbox_id, sealed FROM secret_link WHERE outbox_id > $1 \
             AND substr(sealed, 1, 20) <> $2 ORDER BY outbox_id LIMIT $3"
        }
        Column::RetiredKey => {
            "SELECT id, sealed FROM retired_key WHERE id > $1 \
             AND substr(sealed, 1, 20) <> $2 ORDER BY id LIMIT $3"
        }
    };
    let query = sqlx::query(sql).bind(after.to_owned()).bind(head.to_owned()).bind(most);
    db.all(query).await?.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

/// Replaces a value if it is still as read; returns whether it was.
pub async fn exchange(tx: &mut Tx, column: Column, row: &str, read: &str, value: &str) -> Result<bool> {
    let sql = match column {
        Column::Connection => "UPDATE vendor_connection SET sealed = $3 WHERE vendor = $1 AND sealed = $2",
        Column::TaxNumber => "UPDATE tax_report SET sealed_tin = $3 WHERE payee = $1 AND sealed_tin = $2",
        Column::Factor => "UPDATE factor SET sealed = $3 WHERE person_id = $1 AND sealed = $2",
        Column::FactorBegun => "UPDATE factor_begun SET sealed = $3 WHERE person_id = $1 AND sealed = $2",
        Column::HalfLogin => "UPDATE half_login SET provided = $3 WHERE token_hash = $1 AND provided = $2",
        Column::SecretLink => "UPDATE secret_link SET sealed = $3 WHERE outbox_id = $1 AND sealed = $2",
        Column::RetiredKey => "UPDATE retired_key SET sealed = $3 WHERE id = $1 AND sealed = $2",
    };
    let query = sqlx::query(sql).bind(row.to_owned()).bind(read.to_owned()).bind(value.to_owned());
    Ok(tx.run(query).await? == 1)
}

/// A key that no longer seals new values.
pub struct Retired {
    pub id: String,
    /// The key itself, sealed with the one that seals.
    pub sealed: String,
    /// When its successor took over.
    pub at: i64,
    /// How many rows the activity log had then.
    pub log_rows: Option<i64>,
}

/// Stores a retired key, sealed with the current one. If it was retired before, the log size of that time is kept.
pub async fn retire(tx: &mut Tx, key: &Retired) -> Result<()> {
    let sql = "INSERT INTO retired_key (id, sealed, retired_at, log_rows) VALUES ($1, $2, $3, $4) \
               ON CONFLICT (id) DO UPDATE SET sealed = excluded.sealed, \
               log_rows = COALESCE(retired_key.log_rows, excluded.log_rows)";
    let query = sqlx::query(sql).bind(key.id.clone()).bind(key.sealed.clone());
    tx.run(query.bind(key.at).bind(key.log_rows)).await?;
    Ok(())
}

/// The retired keys, newest first.
pub async fn retired(db: &mut Db) -> Result<Vec<Retired>> {
    let sql = "SELECT id, sealed, retired_at, log_rows FROM retired_key ORDER BY retired_at DESC, id";
    let read = |row: &sqlx::any::AnyRow| {
        let (id, sealed, at) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        Ok(Retired { id, sealed, at, log_rows: row.try_get(3)? })
    };
    db.all(sqlx::query(sql)).await?.iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_statements_cut_off_what_a_head_is_long() {
        assert_eq!(HEAD_LENGTH, 20);
        assert_eq!(crate::secrets::OneKey::new([7; 32]).head().len(), HEAD_LENGTH);
    }
}
