//! Payout setup in progress: connected accounts being created at Stripe, one-time return links from its pages, and
//! unconfirmed PayPal addresses. Secrets are stored as hashes only.

use payout::ids::{AccountId, PersonId};
use payout::ledger::Payee;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::{Db, Result, Tx, word};

/// A connected account, created or about to be.
#[derive(Clone, Debug)]
pub struct Intended {
    /// Its number among the payee's accounts, from 1.
    pub number: i64,
    /// The idempotency key of the request to Stripe.
    pub key: String,
    pub country: String,
    pub email: String,
    /// `individual` or `company`.
    pub business_type: String,
    /// `full` or `recipient`.
    pub service_agreement: String,
    /// `acct_…`, once it is created.
    pub account: Option<String>,
    /// When Stripe refused to create it or said that it is no longer ours.
    pub refused_at: Option<i64>,
    /// When it was recorded, before the request to Stripe.
    pub intended_at: i64,
}

/// The newest connected account of a payee, created or not.
pub async fn newest(db: &mut Db, payee: Payee) -> Result<Option<Intended>> {
    let sql = "SELECT number, key, country, email, business_type, service_agreement, account, refused_at, \
               intended_at FROM connected_account WHERE payee = $1 ORDER BY number DESC LIMIT 1";
    let row = db.optional(sqlx::query(sql).bind(payee.to_string())).await?;
    row.map(|row| {
        Ok(Intended {
            number: row.try_get(0)?,
            key: row.try_get(1)?,
            country: row.try_get(2)?,
            email: row.try_get(3)?,
            business_type: row.try_get(4)?,
            service_agreement: row.try_get(5)?,
            account: row.try_get(6)?,
            refused_at: row.try_get(7)?,
            intended_at: row.try_get(8)?,
        })
    })
    .transpose()
}

/// Records an account about to be created; `false` if another was recorded at the same moment.
pub async fn intend(tx: &mut Tx, payee: Payee, new: &Intended, by: &str) -> Result<bool> {
    let sql = "INSERT INTO connected_account (payee, number, key, country, email, business_type, \
               service_agreement, intended_at, intended_by) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) \
               ON CONFLICT DO NOTHING";
    let query = sqlx::query(sql).bind(payee.to_string()).bind(new.number).bind(new.key.clone());
    let query = query.bind(new.country.clone()).bind(new.email.clone()).bind(new.business_type.clone());
    let query = query.bind(new.service_agreement.clone()).bind(new.intended_at).bind(by.to_owned());
    Ok(tx.run(query).await? == 1)
}

/// The connected accounts a payee has or had.
pub async fn accounts_of(db: &mut Db, payee: Payee) -> Result<Vec<String>> {
    let sql = "SELECT account FROM connected_account WHERE payee = $1 AND account IS NOT NULL";
    let rows = db.all(sqlx::query(sql).bind(payee.to_string())).await?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// Records the account Stripe created.
pub async fn made(tx: &mut Tx, payee: Payee, number: i64, account: &str, now: i64) -> Result<u64> {
    let sql = "UPDATE connected_account SET account = $3, made_at = $4 \
               WHERE payee = $1 AND number = $2 AND account IS NULL";
    let query = sqlx::query(sql).bind(payee.to_string()).bind(number);
    tx.run(query.bind(account.to_owned()).bind(now)).await
}

/// Records that Stripe refused the account, so that the next attempt creates a different one.
pub async fn refused(tx: &mut Tx, payee: Payee, number: i64, why: &str, now: i64) -> Result<u64> {
    let sql =
        "UPDATE connected_account SET refused_at = $3, refused_why = $4 WHERE payee = $1 AND number = $2";
    let query = sqlx::query(sql).bind(payee.to_string()).bind(number);
    tx.run(query.bind(now).bind(why.to_owned())).await
}

/// Records a return link from Stripe's pages, for one session and one payee.
pub async fn open_state(
    tx: &mut Tx,
    state_hash: &str,
    session_hash: &str,
    payee: Payee,
    account: &str,
    (now, expires_at): (i64, i64),
) -> Result<()> {
    tx.run(sqlx::query("DELETE FROM onboarding_state WHERE expires_at < $1").bind(now)).await?;
    let sql = "INSERT INTO onboarding_state (state_hash, session_hash, payee, account, expires_at) \
               VALUES ($1, $2, $3, $4, $5)";
    let query = sqlx::query(sql).bind(state_hash.to_owned()).bind(session_hash.to_owned());
    tx.run(query.bind(payee.to_string()).bind(account.to_owned()).bind(expires_at)).await?;
    Ok(())
}

/// Consumes a return link; returns its account and expiry. `None` if it is unknown, used, expired, or for another
/// session or payee.
pub async fn use_state(
    tx: &mut Tx,
    state_hash: &str,
    session_hash: &str,
    payee: Payee,
    now: i64,
) -> Result<Option<(String, i64)>> {
    let sql = "UPDATE onboarding_state SET used_at = $4 WHERE state_hash = $1 AND session_hash = $2 \
               AND payee = $3 AND used_at IS NULL AND expires_at > $4 RETURNING account, expires_at";
    let query = sqlx::query(sql).bind(state_hash.to_owned()).bind(session_hash.to_owned());
    let row = tx.optional(query.bind(payee.to_string()).bind(now)).await?;
    row.map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).transpose()
}

/// A PayPal address waiting for confirmation.
#[derive(Clone, Debug)]
pub struct Unconfirmed {
    pub payee: Payee,
    pub address: String,
    pub person: PersonId,
    pub expires_at: i64,
}

fn unconfirmed(row: &AnyRow) -> Result<Unconfirmed> {
    let (payee, person): (String, String) = (row.try_get(0)?, row.try_get(2)?);
    Ok(Unconfirmed {
        payee: word(Payee::parse(&payee), &payee)?,
        address: row.try_get(1)?,
        person: word(PersonId::parse(&person), &person)?,
        expires_at: row.try_get(3)?,
    })
}

/// Records an address to confirm, replacing the payee's pending one.
pub async fn ask_to_confirm(tx: &mut Tx, token_hash: &str, new: &Unconfirmed, now: i64) -> Result<()> {
    let sql = "DELETE FROM address_confirmation WHERE payee = $1 AND used_at IS NULL";
    tx.run(sqlx::query(sql).bind(new.payee.to_string())).await?;
    let sql = "INSERT INTO address_confirmation (token_hash, payee, address, person_id, created_at, expires_at) \
               VALUES ($1, $2, $3, $4, $5, $6)";
    let query = sqlx::query(sql).bind(token_hash.to_owned()).bind(new.payee.to_string());
    let query = query.bind(new.address.clone()).bind(new.person.to_string());
    tx.run(query.bind(now).bind(new.expires_at)).await?;
    Ok(())
}

/// The pending confirmation for this token.
pub async fn to_confirm(db: &mut Db, token_hash: &str, now: i64) -> Result<Option<Unconfirmed>> {
    let sql = "SELECT payee, address, person_id, expires_at FROM address_confirmation \
               WHERE token_hash = $1 AND used_at IS NULL AND expires_at > $2";
    let row = db.optional(sqlx::query(sql).bind(token_hash.to_owned()).bind(now)).await?;
    row.as_ref().map(unconfirmed).transpose()
}

/// A payee's pending confirmation, if any.
pub async fn waiting(db: &mut Db, payee: Payee, now: i64) -> Result<Option<Unconfirmed>> {
    let sql = "SELECT payee, address, person_id, expires_at FROM address_confirmation \
               WHERE payee = $1 AND used_at IS NULL AND expires_at > $2 ORDER BY created_at DESC LIMIT 1";
    let row = db.optional(sqlx::query(sql).bind(payee.to_string()).bind(now)).await?;
    row.as_ref().map(unconfirmed).transpose()
}

/// Consumes a confirmation; returns the confirmed address.
pub async fn confirm(tx: &mut Tx, token_hash: &str, now: i64) -> Result<Option<Unconfirmed>> {
    let sql = "UPDATE address_confirmation SET used_at = $2 WHERE token_hash = $1 AND used_at IS NULL \
               AND expires_at > $2 RETURNING payee, address, person_id, expires_at";
    let row = tx.optional(sqlx::query(sql).bind(token_hash.to_owned()).bind(now)).await?;
    row.as_ref().map(unconfirmed).transpose()
}

/// The names of an account's portal administrators.
pub async fn administrators(db: &mut Db, account: AccountId) -> Result<Vec<String>> {
    let sql = "SELECT p.name FROM person p JOIN partner t ON t.id = p.partner_id WHERE t.account_id = $1 \
               AND p.role = 'partner_admin' AND p.kind = 'person' AND p.disabled_at IS NULL ORDER BY p.name LIMIT 5";
    let rows = db.all(sqlx::query(sql).bind(account.to_string())).await?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}
