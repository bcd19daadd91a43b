//! The addresses that partners had in the last 90 days. Not here: who is mailed there (`ops::notices`), and which
//! destinations wait because of them (`ops::payees`).

use payout::ids::{AccountId, PartnerId};
use payout::ledger::Payee;
use sqlx::Row as _;

use super::{Db, Result, Rows, Tx};

/// How long they are kept.
pub const KEPT_US: i64 = 90 * 86_400_000_000;

/// Whether any have been kept for too long.
pub async fn any_too_old(db: &mut Db, now: i64) -> Result<bool> {
    let sql = "SELECT 1 FROM former_email WHERE until_at < $1 LIMIT 1";
    Ok(db.optional(sqlx::query(sql).bind(now - KEPT_US)).await?.is_some())
}

/// Deletes those that have been kept for too long.
pub async fn delete_too_old(tx: &mut Tx, now: i64) -> Result<u64> {
    tx.run(sqlx::query("DELETE FROM former_email WHERE until_at < $1").bind(now - KEPT_US)).await
}

/// Stores the previous addresses of partners.
pub async fn note(tx: &mut Tx, had: &[(PartnerId, String)], now: i64) -> Result<()> {
    let mut rows = Rows::default();
    for (partner, email) in had {
        rows.push([partner.to_string().into(), email.as_str().into(), now.into()]);
    }
    let sql = "INSERT INTO former_email (partner_id, email, until_at) VALUES {rows} \
               ON CONFLICT (partner_id, email) DO UPDATE SET until_at = excluded.until_at";
    tx.bulk(sql, &[], rows).await.map(drop)
}

/// The partners who are told of what happens to an account `$1`: those who administer it in the portal, and every partner
/// of one that nobody administers. A disabled administrator's addresses count too, because disabling them must not hide them.
const IN_CHARGE: &str = "p.account_id = $1 AND (EXISTS (SELECT 1 FROM person s WHERE s.partner_id = p.id \
                         AND s.role = 'partner_admin' AND s.kind = 'person') OR NOT EXISTS (SELECT 1 FROM person s \
                         JOIN partner o ON o.id = s.partner_id WHERE o.account_id = $1 AND s.role = 'partner_admin' \
                         AND s.kind = 'person' AND s.disabled_at IS NULL))";

/// The addresses that a payee had until after `since`, the latest first; for an account, those of the partners in charge.
pub async fn of(db: &mut Db, payee: Payee, since: i64) -> Result<Vec<String>> {
    let sql = match payee {
        Payee::Partner(_) => {
            "SELECT email FROM former_email WHERE partner_id = $1 AND until_at > $2 ORDER BY until_at DESC, email"
                .to_owned()
        }
        Payee::Account(_) => format!(
            "SELECT f.email FROM former_email f JOIN partner p ON p.id = f.partner_id WHERE f.until_at > $2 AND {IN_CHARGE} \
             GROUP BY f.email ORDER BY MAX(f.until_at) DESC, f.email"
        ),
    };
    let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(payee.to_string()).bind(since);
    db.all(query).await?.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// Locks the partners in charge of an account until the transaction ends, so that nobody gives one of them another address
/// in the meantime.
pub async fn lock_in_charge(tx: &mut Tx, account: AccountId) -> Result<()> {
    let sql = format!(
        "UPDATE partner SET updated_at = updated_at WHERE id IN (SELECT p.id FROM partner p WHERE {IN_CHARGE})"
    );
    tx.run(sqlx::query(sqlx::AssertSqlSafe(sql)).bind(account.to_string())).await?;
    Ok(())
}
