//! Payees: partners and accounts as recipients, their payout profiles and tax reports.

use payout::eligibility::{PayeeFacts, PayeeStanding, ProfileFacts, TaxReport};
use payout::external;
use payout::ids::{BatchId, PartnerId};
use payout::ledger::Payee;
use payout::money::{Currency, Vendor};
use payout::payee::Destination;
use payout::tax::Form;
use sqlx::Row as _;
use std::collections::HashMap;

use super::{Db, MOST_VALUES, Result, Tx, Value, Where, put_back, word};

/// A payout profile as stored.
#[derive(Clone, Debug)]
pub struct Profile {
    pub payee: Payee,
    pub destination: Destination,
    /// Since when the vendor would pay to it; `None` if it would not.
    pub payable_at: Option<i64>,
    /// Why the vendor would not pay.
    pub not_payable_why: Option<String>,
    /// The currencies it has a bank account in, if the vendor reports them.
    pub currencies: Option<Vec<Currency>>,
    /// When it was first set.
    pub set_at: i64,
    /// When the destination last changed.
    pub changed_at: Option<i64>,
    /// When the vendor was last asked about it.
    pub checked_at: Option<i64>,
    /// Another payee has the same destination, and nobody has cleared it.
    pub shared: bool,
}

fn profiles(conditions: Where) -> super::Query {
    conditions.query(
        "SELECT f.payee, f.vendor, f.address, f.payable_at, f.not_payable_why, f.currencies, f.set_at, \
         f.changed_at, f.checked_at, (SELECT COUNT(*) FROM shared_unseen u WHERE u.payee = f.payee) \
         FROM payout_profile f {where}",
    )
}

fn profile(row: &sqlx::any::AnyRow) -> Result<Profile> {
    let (payee, vendor): (String, String) = (row.try_get(0)?, row.try_get(1)?);
    let address: String = row.try_get(2)?;
    let vendor = word(Vendor::parse(&vendor), &vendor)?;
    let currencies: Option<String> = row.try_get(5)?;
    Ok(Profile {
        payee: word(Payee::parse(&payee), &payee)?,
        destination: Destination::stored(vendor, &address),
        payable_at: row.try_get(3)?,
        not_payable_why: row.try_get(4)?,
        currencies: currencies.map(|list| parse_currencies(&list)),
        set_at: row.try_get(6)?,
        changed_at: row.try_get(7)?,
        checked_at: row.try_get(8)?,
        shared: row.try_get::<i64, _>(9)? > 0,
    })
}

fn parse_currencies(list: &str) -> Vec<Currency> {
    list.split(' ').filter_map(|code| Currency::parse(code).ok()).collect()
}

fn write_currencies(list: &[Currency]) -> String {
    list.iter().map(|currency| currency.code()).collect::<Vec<_>>().join(" ")
}

/// A payee's payout profile, if any.
pub async fn profile_of(db: &mut Db, payee: Payee) -> Result<Option<Profile>> {
    Ok(profiles_of(db, &[payee]).await?.remove(&payee))
}

pub async fn profiles_of(db: &mut Db, payees: &[Payee]) -> Result<HashMap<Payee, Profile>> {
    let mut found = HashMap::new();
    for some in payees.chunks(MOST_VALUES) {
        let mut conditions = Where::default();
        conditions.among("f.payee", some.iter().map(|payee| Value::from(payee.to_string())));
        for row in db.all(profiles(conditions)).await? {
            let profile = profile(&row)?;
            found.insert(profile.payee, profile);
        }
    }
    Ok(found)
}

/// The profiles with this destination: the payees an event concerns, and those who share it.
pub async fn profiles_at(db: &mut Db, vendor: Vendor, address: &str) -> Result<Vec<Profile>> {
    let mut conditions = Where::default();
    conditions.and("f.address = ?", [Value::from(address)]);
    conditions.and("f.vendor = ?", [Value::from(vendor.as_str())]);
    db.all(profiles(conditions)).await?.iter().map(profile).collect()
}

/// Locks a payee, so that concurrent changes to their profile are serialized. Returns whether the payee exists.
pub async fn lock(tx: &mut Tx, payee: Payee) -> Result<bool> {
    let sql = match payee {
        Payee::Partner(_) => "UPDATE partner SET updated_at = updated_at WHERE id = $1",
        Payee::Account(_) => "UPDATE account SET updated_at = updated_at WHERE id = $1",
    };
    Ok(tx.run(sqlx::query(sql).bind(payee.to_string())).await? == 1)
}

/// Locks a destination until the transaction ends, so that of two payees given the same one concurrently, the second
/// sees the first.
pub async fn lock_destination(tx: &mut Tx, destination: &Destination) -> Result<()> {
    super::count_up(tx, &format!("destination:{}", destination.fingerprint()), 1).await.map(drop)
}

/// Sets a payee's standing and note. Nothing else updates these two columns.
pub async fn set_standing(
    tx: &mut Tx,
    payee: Payee,
    standing: PayeeStanding,
    note: Option<&str>,
    now: i64,
) -> Result<u64> {
    let sql = match payee {
        Payee::Partner(_) => "UPDATE partner SET standing = $2, note = $3, updated_at = $4 WHERE id = $1",
        Payee::Account(_) => "UPDATE account SET standing = $2, note = $3, updated_at = $4 WHERE id = $1",
    };
    let query = sqlx::query(sql).bind(payee.to_string()).bind(standing.as_str());
    tx.run(query.bind(note.map(str::to_owned)).bind(now)).await
}

/// Sets a partner's preferred language.
pub async fn set_language(tx: &mut Tx, partner: PartnerId, code: &str, now: i64) -> Result<u64> {
    let sql = "UPDATE partner SET language = $2, updated_at = $3 WHERE id = $1";
    tx.run(sqlx::query(sql).bind(partner.to_string()).bind(code.to_owned()).bind(now)).await
}

/// The payees who share this payee's destination without clearance.
pub async fn sharing(db: &mut Db, payee: Payee) -> Result<Vec<Payee>> {
    let sql = "SELECT other FROM shared_unseen WHERE payee = $1 ORDER BY other";
    let rows = db.all(sqlx::query(sql).bind(payee.to_string())).await?;
    let read = |row: &sqlx::any::AnyRow| {
        let other: String = row.try_get(0)?;
        word(Payee::parse(&other), &other)
    };
    rows.iter().map(read).collect()
}

/// Records a second person's clearance of a destination shared by two payees.
pub async fn clear_shared(
    tx: &mut Tx,
    payees: (Payee, Payee),
    fingerprint: &str,
    by: (i64, &str),
    note: &str,
) -> Result<()> {
    let sql = "INSERT INTO shared_destination (first_payee, second_payee, fingerprint, cleared_at, cleared_by, note) \
               VALUES (CASE WHEN CAST($1 AS TEXT) < CAST($2 AS TEXT) THEN $1 ELSE $2 END, \
               CASE WHEN CAST($1 AS TEXT) < CAST($2 AS TEXT) THEN $2 ELSE $1 END, $3, $4, $5, $6) \
               ON CONFLICT (first_payee, second_payee, fingerprint) DO NOTHING";
    let query = sqlx::query(sql).bind(payees.0.to_string()).bind(payees.1.to_string());
    let query = query.bind(fingerprint.to_owned()).bind(by.0);
    tx.run(query.bind(by.1.to_owned()).bind(note.to_owned())).await?;
    Ok(())
}

/// Writes a profile, replacing the payee's previous one. If a payment found after a restore went to its destination, it
/// holds the payee.
pub async fn put_profile(tx: &mut Tx, profile: &Profile) -> Result<()> {
    let sql = "INSERT INTO payout_profile (payee, vendor, address, fingerprint, masked, payable_at, \
               not_payable_why, currencies, set_at, changed_at, checked_at) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) \
               ON CONFLICT (payee) DO UPDATE SET vendor = excluded.vendor, address = excluded.address, \
               fingerprint = excluded.fingerprint, masked = excluded.masked, payable_at = excluded.payable_at, \
               not_payable_why = excluded.not_payable_why, currencies = excluded.currencies, \
               set_at = excluded.set_at, changed_at = excluded.changed_at, checked_at = excluded.checked_at, \
               check_at = NULL";
    let query = sqlx::query(sql)
        .bind(profile.payee.to_string())
        .bind(profile.destination.vendor().as_str())
        .bind(profile.destination.address().to_owned())
        .bind(profile.destination.fingerprint())
        .bind(profile.destination.masked())
        .bind(profile.payable_at)
        .bind(profile.not_payable_why.clone())
        .bind(profile.currencies.as_deref().map(write_currencies))
        .bind(profile.set_at)
        .bind(profile.changed_at)
        .bind(profile.checked_at);
    tx.run(query).await?;
    let to = &profile.destination;
    super::put_back::note_payee(tx, profile.payee, to.vendor(), to.address()).await
}

/// A change of a payee's destination.
#[derive(Clone, Debug)]
pub struct DestinationChange {
    pub at: i64,
    /// The id of the person who made it.
    pub actor: String,
    /// Who stood behind them then, if it was not the payee.
    pub entered_by: Option<String>,
    /// The origin: a page's address and browser, an API key, or the command line.
    pub came_from: Option<String>,
    /// The previous destination, masked; `None` for the first.
    pub old: Option<String>,
    pub new: String,
}

/// Records a change of destination in the payee's history.
pub async fn note_change(tx: &mut Tx, id: &str, payee: Payee, change: &DestinationChange) -> Result<()> {
    let sql = "INSERT INTO profile_change (id, payee, at, actor, came_from, old_masked, new_masked, entered_by) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    let query = sqlx::query(sql).bind(id.to_owned()).bind(payee.to_string()).bind(change.at);
    let query = query.bind(change.actor.clone()).bind(change.came_from.clone());
    let query = query.bind(change.old.clone()).bind(change.new.clone());
    tx.run(query.bind(change.entered_by.clone())).await?;
    Ok(())
}

/// The changes of a payee's destination, newest first.
pub async fn changes(db: &mut Db, payee: Payee, limit: i64) -> Result<Vec<DestinationChange>> {
    let sql = "SELECT at, actor, came_from, old_masked, new_masked, entered_by FROM profile_change \
               WHERE payee = $1 ORDER BY at DESC, id DESC LIMIT $2";
    let rows = db.all(sqlx::query(sql).bind(payee.to_string()).bind(limit)).await?;
    let read = |row: &sqlx::any::AnyRow| {
        Ok(DestinationChange {
            at: row.try_get(0)?,
            actor: row.try_get(1)?,
            came_from: row.try_get(2)?,
            old: row.try_get(3)?,
            new: row.try_get(4)?,
            entered_by: row.try_get(5)?,
        })
    };
    rows.iter().map(read).collect()
}

/// A destination that staff entered and that no payment has reached yet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UnprovenEntry {
    pub payee: Payee,
    /// The login or API key that entered it.
    pub actor: String,
    /// Who stood behind it then.
    pub entered_by: String,
    pub at: i64,
    pub masked: String,
}

/// The destinations of a draft's payees that staff entered and that no payment to the same payee has reached. A payment in
/// a vendor's test mode proves nothing once the vendor is live.
pub async fn unproven_entries(db: &mut Db, batch: BatchId) -> Result<Vec<UnprovenEntry>> {
    let sql = "SELECT f.payee, c.actor, c.entered_by, c.at, f.masked FROM payout_profile f \
               JOIN profile_change c ON c.id = (SELECT n.id FROM profile_change n WHERE n.payee = f.payee \
               ORDER BY n.at DESC, n.id DESC LIMIT 1) \
               WHERE f.payee IN (SELECT r.payee FROM reward r WHERE r.batch_id = $1) AND c.entered_by IS NOT NULL \
               AND NOT EXISTS (SELECT 1 FROM payout_transaction t LEFT JOIN vendor_connection v ON v.vendor = t.vendor \
               WHERE t.payee = f.payee AND t.vendor = f.vendor AND t.destination = f.address AND t.state = 'success' \
               AND (t.mode IS NULL OR v.mode IS NULL OR t.mode = v.mode)) ORDER BY f.payee";
    let read = |row: &sqlx::any::AnyRow| {
        let payee: String = row.try_get(0)?;
        Ok(UnprovenEntry {
            payee: word(Payee::parse(&payee), &payee)?,
            actor: row.try_get(1)?,
            entered_by: row.try_get(2)?,
            at: row.try_get(3)?,
            masked: row.try_get(4)?,
        })
    };
    db.all(sqlx::query(sql).bind(batch.to_string())).await?.iter().map(read).collect()
}

/// Makes the profiles at this address due to be refreshed from the vendor.
pub async fn ask_again(tx: &mut Tx, vendor: Vendor, address: &str, at: i64) -> Result<u64> {
    let sql = "UPDATE payout_profile SET check_at = $3 WHERE address = $1 AND vendor = $2";
    tx.run(sqlx::query(sql).bind(address.to_owned()).bind(vendor.as_str()).bind(at)).await
}

/// Addresses whose profiles are due for a refresh.
pub async fn to_check(db: &mut Db, vendor: Vendor, now: i64, limit: i64) -> Result<Vec<String>> {
    let sql = "SELECT DISTINCT address FROM payout_profile \
               WHERE check_at IS NOT NULL AND check_at <= $2 AND vendor = $1 LIMIT $3";
    let rows = db.all(sqlx::query(sql).bind(vendor.as_str()).bind(now).bind(limit)).await?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// The account has no bank account in the currency of one of its payee's rewards.
const LACKS: &str = "p.vendor = 'stripe' AND p.payable_at IS NOT NULL AND p.currencies IS NOT NULL AND r.currency IS NOT NULL \
                     AND ' ' || p.currencies || ' ' NOT LIKE '% ' || r.currency || ' %'";

/// Makes accounts due for a refresh if they lack a bank account in a currency their payee is owed and were last read at
/// or before `before`: the payee may have added one, and the vendor's event may have been lost. Returns how many.
pub async fn ask_for_banks(tx: &mut Tx, before: i64, now: i64) -> Result<u64> {
    let sql = format!(
        "UPDATE payout_profile SET check_at = $1 WHERE check_at IS NULL AND (checked_at IS NULL OR checked_at <= $2) \
         AND payee IN (SELECT r.payee FROM reward r JOIN payout_profile p ON p.payee = r.payee \
         WHERE r.status = 'approved' AND r.batch_id IS NULL AND r.transaction_id IS NULL AND r.paid_at IS NULL AND {LACKS})"
    );
    tx.run(sqlx::query(sqlx::AssertSqlSafe(sql)).bind(now).bind(before)).await
}

/// The same for rewards in open drafts: returns addresses, least recently read first.
pub async fn lacking_in_drafts(db: &mut Db, before: i64, limit: i64) -> Result<Vec<String>> {
    let sql = format!(
        "SELECT p.address FROM batch b CROSS JOIN reward r CROSS JOIN payout_profile p \
         WHERE r.batch_id = b.id AND p.payee = r.payee AND b.deleted_at IS NULL AND b.pay_pressed_at IS NULL AND {LACKS} \
         AND (p.checked_at IS NULL OR p.checked_at <= $1) \
         GROUP BY p.address ORDER BY MIN(p.checked_at), p.address LIMIT $2"
    );
    let rows = db.all(sqlx::query(sqlx::AssertSqlSafe(sql)).bind(before).bind(limit)).await?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// Applies a vendor's answer about a destination, asked at `asked_at`, to every profile that uses it. Keeps a newer
/// answer, unless it is dated in the future, which only a wrong clock can have caused, and keeps a refresh requested
/// after the question. A destination that is not payable is read again at `again_at`, with or without an event.
pub async fn note_standing(
    tx: &mut Tx,
    vendor: Vendor,
    address: &str,
    said: &DestinationAnswer<'_>,
    now: i64,
) -> Result<u64> {
    let sql = "UPDATE payout_profile SET checked_at = $6, not_payable_why = $4, currencies = $5, \
               check_at = CASE WHEN check_at > $6 THEN check_at \
               WHEN CAST($4 AS TEXT) IS NOT NULL THEN CAST($7 AS BIGINT) ELSE NULL END, \
               payable_at = CASE WHEN CAST($4 AS TEXT) IS NULL THEN COALESCE(payable_at, $3) ELSE NULL END \
               WHERE address = $1 AND vendor = $2 \
               AND (checked_at IS NULL OR checked_at <= $6 OR checked_at > $3 + 3600000000)";
    let query = sqlx::query(sql).bind(address.to_owned()).bind(vendor.as_str()).bind(now);
    let query = query.bind(said.why_not.map(str::to_owned)).bind(said.currencies.map(write_currencies));
    tx.run(query.bind(said.asked_at).bind(said.again_at)).await
}

/// A vendor's answer about a destination.
pub struct DestinationAnswer<'a> {
    /// Why it would not pay to it; `None` if it would.
    pub why_not: Option<&'a str>,
    /// The currencies it has a bank account in, if the vendor reports them.
    pub currencies: Option<&'a [Currency]>,
    pub asked_at: i64,
    /// When to ask again while it would not pay.
    pub again_at: i64,
}

/// Gate inputs for several payees. Payees that do not exist are left out.
pub async fn facts(db: &mut Db, payees: &[Payee]) -> Result<HashMap<Payee, PayeeFacts>> {
    let profiles = profiles_of(db, payees).await?;
    facts_beside(db, payees, &profiles).await
}

/// The same with profiles that have already been read.
pub async fn facts_beside(
    db: &mut Db,
    payees: &[Payee],
    profiles: &HashMap<Payee, Profile>,
) -> Result<HashMap<Payee, PayeeFacts>> {
    let mut paid_elsewhere = put_back::held(db).await?;
    if payout::planted::on("found_holds_nobody") {
        paid_elsewhere.clear();
    }
    let mut facts = HashMap::new();
    for some in payees.chunks(MOST_VALUES) {
        for (table, partners) in [(PARTNERS, true), (ACCOUNTS, false)] {
            let mut conditions = Where::default();
            let ids = some.iter().filter(|payee| matches!(payee, Payee::Partner(_)) == partners);
            conditions.among("p.id", ids.map(|payee| Value::from(payee.to_string())));
            for row in db.all(conditions.query(table)).await? {
                let id: String = row.try_get(0)?;
                let payee = word(Payee::parse(&id), &id)?;
                let mut one = one_payee(payee, &row, profiles.get(&payee))?;
                if paid_elsewhere.contains(&payee) {
                    hold(&mut one, PAID_ELSEWHERE);
                }
                facts.insert(payee, one);
            }
        }
    }
    Ok(facts)
}

const PARTNERS: &str = "SELECT p.id, p.standing, p.country, t.form, t.expires_at, a.standing, p.note, a.note \
                        FROM partner p JOIN account a ON a.id = p.account_id LEFT JOIN tax_report t ON t.payee = p.id {where}";
const ACCOUNTS: &str = "SELECT p.id, p.standing, p.country, t.form, t.expires_at, p.standing, p.note, p.note \
                        FROM account p LEFT JOIN tax_report t ON t.payee = p.id {where}";

fn one_payee(payee: Payee, row: &sqlx::any::AnyRow, profile: Option<&Profile>) -> Result<PayeeFacts> {
    let standing = |column| -> Result<PayeeStanding> {
        let text: String = row.try_get(column)?;
        word(PayeeStanding::parse(&text), &text)
    };
    let country: Option<String> = row.try_get(2)?;
    let form = row.try_get::<Option<String>, _>(3)?;
    let form = form.map(|form| word(Form::parse(&form), &form)).transpose()?;
    // The stricter of the partner's and the company's standing: active, on hold, closed.
    let (own, company) = (standing(1)?, standing(5)?);
    let shared = profile.is_some_and(|profile| profile.shared);
    let mut facts = PayeeFacts {
        payee,
        standing: own.max(company),
        note: row.try_get(if company > own { 7 } else { 6 })?,
        tax: match form {
            None => TaxReport::Missing,
            Some(form) if !form.fits(payee, country.as_deref()) => TaxReport::Unfit,
            Some(_) => TaxReport::Until(row.try_get(4)?),
        },
        country,
        profile: profile.map(|profile| ProfileFacts {
            vendor: profile.destination.vendor(),
            payable: profile.payable_at.is_some(),
            why_not: profile.not_payable_why.clone(),
            changed_at: profile.changed_at,
            fingerprint: profile.destination.fingerprint(),
            currencies: profile.currencies.clone(),
        }),
    };
    if shared {
        hold(&mut facts, SHARED);
    }
    Ok(facts)
}

/// A destination shared with another payee holds its payee until a second person clears it.
const SHARED: &str = "another payee has the same destination, and a second person must clear it";
const PAID_ELSEWHERE: &str = "the vendor has a payment to this payee that is missing here, because the database was restored; an administrator settles it under Safe mode";

/// Adds a hold that nobody set by hand.
fn hold(facts: &mut PayeeFacts, why: &str) {
    let said = facts.note.take().filter(|_| facts.standing != PayeeStanding::Active).unwrap_or_default();
    let said = said.trim().trim_end_matches('.');
    facts.note = Some(if said.is_empty() { why.to_owned() } else { format!("{said}; {why}") });
    facts.standing = facts.standing.max(PayeeStanding::OnHold);
}

/// A payee for display: external id, name, email address, country.
#[derive(Clone, Debug)]
pub struct PayeeIdentity {
    /// The caller's own id.
    pub external_id: String,
    pub name: String,
    /// The partner's address, or that of the account's owner on our side.
    pub email: Option<String>,
    pub country: Option<String>,
}

/// The names of several payees.
pub async fn names(db: &mut Db, payees: &[Payee]) -> Result<HashMap<Payee, PayeeIdentity>> {
    let mut names = HashMap::new();
    let tables = [
        ("SELECT id, external_id, name, email, country FROM partner {where}", true),
        ("SELECT id, external_id, name, owner_email, country FROM account {where}", false),
    ];
    for some in payees.chunks(MOST_VALUES) {
        for (sql, partners) in tables {
            let mut conditions = Where::default();
            let ids = some.iter().filter(|payee| matches!(payee, Payee::Partner(_)) == partners);
            conditions.among("id", ids.map(|payee| Value::from(payee.to_string())));
            for row in db.all(conditions.query(sql)).await? {
                let id: String = row.try_get(0)?;
                let named = PayeeIdentity {
                    external_id: row.try_get(1)?,
                    name: row.try_get(2)?,
                    email: row.try_get(3)?,
                    country: row.try_get(4)?,
                };
                names.insert(word(Payee::parse(&id), &id)?, named);
            }
        }
    }
    Ok(names)
}

/// The payees a name may refer to: the one with this id of ours, or those with it as external id, which a partner and
/// an account may share.
pub async fn named(db: &mut Db, name: &str) -> Result<Vec<Payee>> {
    let name = external::folded(name);
    let sql = match Payee::parse(&name) {
        Some(Payee::Partner(_)) => "SELECT id FROM partner WHERE id = $1",
        Some(Payee::Account(_)) => "SELECT id FROM account WHERE id = $1",
        None => {
            "SELECT id FROM partner WHERE external_id = $1 UNION ALL SELECT id FROM account WHERE external_id = $1"
        }
    };
    let rows = db.all(sqlx::query(sql).bind(name)).await?;
    let read = |row: &sqlx::any::AnyRow| {
        let id: String = row.try_get(0)?;
        word(Payee::parse(&id), &id)
    };
    rows.iter().map(read).collect()
}

/// Makes every profile of a vendor due for a refresh, because our account there may have changed.
pub async fn ask_all_again(tx: &mut Tx, vendor: Vendor, at: i64) -> Result<u64> {
    let sql = "UPDATE payout_profile SET check_at = $2 WHERE vendor = $1";
    tx.run(sqlx::query(sql).bind(vendor.as_str()).bind(at)).await
}

/// The ids of an account and its partners, as payees.
pub async fn of_account(db: &mut Db, account: payout::ids::AccountId) -> Result<Vec<String>> {
    let sql = "SELECT id FROM partner WHERE account_id = $1 UNION ALL SELECT id FROM account WHERE id = $1";
    let rows = db.all(sqlx::query(sql).bind(account.to_string())).await?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// The payees that a partner may view: themselves, or their whole account with its partners.
pub async fn of_partner(
    db: &mut Db,
    partner: payout::ids::PartnerId,
    whole_account: bool,
) -> Result<Vec<String>> {
    if !whole_account {
        return Ok(vec![partner.to_string()]);
    }
    let sql = "SELECT account_id FROM partner WHERE id = $1";
    let row = db.optional(sqlx::query(sql).bind(partner.to_string())).await?;
    let account: Option<String> = row.map(|row| row.try_get(0)).transpose()?;
    match account.and_then(|id| payout::ids::AccountId::parse(&id)) {
        Some(account) => of_account(db, account).await,
        None => Ok(Vec::new()),
    }
}
