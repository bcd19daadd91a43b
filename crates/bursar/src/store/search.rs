//! Search by prefix: words of partners and accounts, and vendors' ids of payments.
//!
//! A search matches a prefix at the start of any word, so that an index can answer it at any size: `lim` and `ana li`
//! find Ana Lima, `nal` does not. Not here: things with a number or an id of our own, which are looked up in their own
//! modules.

use payout::ids::TransactionId;
use payout::ledger::Payee;
use sqlx::Row as _;

use super::{Db, Result, Rows, Store, Tx, Where, meta, word};
use crate::text::normalize;

/// The longest stored prefix in characters; longer search terms are truncated.
const MOST_LETTERS: usize = 48;
/// The most words of one text that are indexed.
const MOST_WORDS: usize = 6;
/// The version of the key format. Increasing it rebuilds the index.
const WAY: &str = "2";
/// How many to rebuild at once.
const AT_ONCE: usize = 1_000;

/// The index key of a prefix. The first digit is the kind, so that searching a single letter does not scan a hundred
/// thousand partners to find three accounts.
fn key(companies: bool, folded: &str) -> String {
    let mut key = String::from(if companies { "0" } else { "1" });
    let kept = folded.chars().take(MOST_LETTERS).collect::<String>();
    kept.bytes().for_each(|byte| key.push_str(&format!("{byte:02x}")));
    key
}

/// A text's keys, one starting at each of its first words.
fn beginnings(companies: bool, text: &str, most: usize) -> Vec<String> {
    let folded = normalize(text);
    let starts = std::iter::once(0).chain(folded.match_indices(' ').map(|(at, _)| at + 1));
    let parts = starts.take(most).map(|at| &folded[at..]).filter(|part| !part.is_empty());
    parts.map(|part| key(companies, part)).collect()
}

/// The searchable texts of a payee.
pub(super) struct SearchKeys {
    /// A partner's or an account's id.
    pub(super) subject: String,
    pub(super) name: String,
    /// The caller's id.
    pub(super) external_id: String,
    pub(super) email: Option<String>,
}

impl SearchKeys {
    fn keys(&self) -> Vec<String> {
        let companies = self.subject.starts_with("acc_");
        let mut keys = beginnings(companies, &self.name, MOST_WORDS);
        keys.extend(beginnings(companies, &self.external_id, MOST_WORDS));
        if let Some(email) = &self.email {
            keys.extend(beginnings(companies, email, 1));
            // Index the domain from its start only, which finds everyone at a company; its later parts distinguish nobody.
            keys.extend(email.split_once('@').and_then(|(_, house)| beginnings(companies, house, 1).pop()));
        }
        keys.sort_unstable();
        keys.dedup();
        keys
    }
}

/// Replaces the index entries of these payees.
pub(super) async fn write(tx: &mut Tx, all: &[SearchKeys]) -> Result<()> {
    let ids = all.iter().map(|one| one.subject.clone());
    tx.among("DELETE FROM search_word WHERE subject IN ({ids})", &[], ids).await?;
    let mut rows = Rows::default();
    for one in all {
        one.keys().into_iter().for_each(|key| rows.push([key.into(), one.subject.as_str().into()]));
    }
    let sql = "INSERT INTO search_word (beginning, subject) VALUES {rows} ON CONFLICT DO NOTHING";
    tx.bulk(sql, &[], rows).await?;
    Ok(())
}

/// Builds the index if it is missing or in an older format. SQL cannot normalize text the same way on both databases.
pub(super) async fn fill(store: &Store) -> Result<()> {
    let name = "search_way";
    if meta::get(&mut store.read().await?, name).await?.as_deref() == Some(WAY) {
        return Ok(());
    }
    let partners = "SELECT id, name, external_id, email FROM partner WHERE id > $1 ORDER BY id LIMIT $2";
    let accounts = "SELECT id, name, external_id, NULL FROM account WHERE id > $1 ORDER BY id LIMIT $2";
    for sql in [partners, accounts] {
        let mut after = String::new();
        loop {
            let mut tx = store.begin().await?;
            tx.named(crate::this_function!());
            let limit = i64::try_from(AT_ONCE).unwrap_or(i64::MAX);
            let rows = tx.all(sqlx::query(sql).bind(after.clone()).bind(limit)).await?;
            let read = |row: &sqlx::any::AnyRow| -> Result<SearchKeys> {
                let (subject, name) = (row.try_get(0)?, row.try_get(1)?);
                let email = row.try_get::<Option<String>, _>(3)?;
                Ok(SearchKeys { subject, name, external_id: row.try_get(2)?, email })
            };
            let some = rows.iter().map(read).collect::<Result<Vec<_>>>()?;
            write(&mut tx, &some).await?;
            tx.commit().await?;
            match some.last() {
                Some(last) => after.clone_from(&last.subject),
                None => break,
            }
        }
    }
    let mut tx = store.begin().await?;
    tx.named(crate::this_function!());
    meta::set(&mut tx, name, WAY).await?;
    tx.commit().await
}

/// The key range of a prefix, end excluded: `g` sorts after every hexadecimal digit.
pub(super) fn range(text: &str, companies: bool) -> Option<(String, String)> {
    let folded = normalize(text);
    let from = key(companies, &folded);
    let to = format!("{from}g");
    (!folded.is_empty()).then_some((from, to))
}

/// At most `limit` partners (or accounts) with a matching word, shortest match first.
pub async fn payees(db: &mut Db, text: &str, companies: bool, limit: usize) -> Result<Vec<Payee>> {
    let Some((from, to)) = range(text, companies) else { return Ok(Vec::new()) };
    let mut found: Vec<Payee> = Vec::new();
    let (mut from, mut after) = (from, String::new());
    // A payee can match through several words, so filling the limit may take several pages.
    for _ in 0..8 {
        let mut conditions = Where::default();
        conditions.and("w.beginning < ?", [to.as_str().into()]);
        conditions.and("(w.beginning, w.subject) > (?, ?)", [from.as_str().into(), after.as_str().into()]);
        let sql = "SELECT w.beginning, w.subject FROM search_word w {where} ORDER BY w.beginning, w.subject LIMIT 200";
        let rows = db.all(conditions.query(sql)).await?;
        for row in &rows {
            let subject: String = row.try_get(1)?;
            let payee = word(Payee::parse(&subject), &subject)?;
            if !found.contains(&payee) {
                found.push(payee);
            }
            (from, after) = (row.try_get(0)?, subject);
        }
        if rows.len() < 200 || found.len() >= limit {
            break;
        }
    }
    found.truncate(limit);
    Ok(found)
}

/// The payments with this id at the vendor: a transfer, payout, item, batch or event id, or our idempotency key.
pub async fn transactions(db: &mut Db, text: &str, limit: i64) -> Result<Vec<TransactionId>> {
    let sql = "SELECT transaction_id FROM attempt WHERE vendor_id = $1 \
               UNION SELECT a.transaction_id FROM submission s JOIN attempt a ON a.submission_id = s.id \
               WHERE s.vendor_id = $1 OR s.key = $1 \
               UNION SELECT transaction_id FROM vendor_event \
               WHERE vendor IN ('stripe', 'paypal') AND event_id = $1 AND transaction_id IS NOT NULL \
               ORDER BY 1 LIMIT $2";
    let rows = db.all(sqlx::query(sql).bind(text.to_owned()).bind(limit)).await?;
    let read = |row: &sqlx::any::AnyRow| {
        let id: String = row.try_get(0)?;
        word(TransactionId::parse(&id), &id)
    };
    rows.iter().map(read).collect()
}

/// The payees with exactly this destination: a Stripe account or a PayPal address.
pub async fn paid_to(db: &mut Db, address: &str, limit: i64) -> Result<Vec<Payee>> {
    let sql = "SELECT payee FROM payout_profile WHERE address = $1 ORDER BY payee LIMIT $2";
    let rows = db.all(sqlx::query(sql).bind(address.to_owned()).bind(limit)).await?;
    let read = |row: &sqlx::any::AnyRow| {
        let id: String = row.try_get(0)?;
        word(Payee::parse(&id), &id)
    };
    rows.iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_may_begin_at_any_word() {
        let found_by = |text: &str, typed: &str| {
            let (from, to) = range(typed, false).unwrap();
            beginnings(false, text, MOST_WORDS).iter().any(|key| *key >= from && *key < to)
        };
        for typed in ["a", "ana", "Ana L", "lim", "LIMA", "ana-lima"] {
            assert!(found_by("Ana Lima", typed), "{typed}");
        }
        for typed in ["nal", "lima ana", "analima", "ana  limo"] {
            assert!(!found_by("Ana Lima", typed), "{typed}");
        }
        assert!(found_by("\u{682a}\u{5f0f} \u{6771}\u{4eac}", "\u{6771}"));
        assert_eq!(range(" -- ", true), None, "nothing to look for");
        assert_eq!(key(true, &"x".repeat(500)).len(), 2 * MOST_LETTERS + 1);
    }
}
