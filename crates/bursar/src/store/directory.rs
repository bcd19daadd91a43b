//! The payee list: partners or companies by name, each with what decides whether they can be paid.

use std::collections::{BTreeMap, HashMap};

use payout::eligibility::PayeeStanding;
use payout::external;
use payout::ledger::Payee;
use payout::money::{Currency, Sum, Vendor};
use payout::tax::Form;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::{Db, Result, Value, Where, search, sums, word};

/// A row of the payee list.
#[derive(Clone, Debug)]
pub struct PayeeRow {
    pub payee: Payee,
    /// The caller's own id.
    pub external_id: String,
    pub name: String,
    /// The company's id and name; for a company, its own.
    pub account: (String, String),
    pub country: Option<String>,
    /// As on the payee's page: the strictest of their own standing, their company's, and any other hold.
    pub standing: PayeeStanding,
    /// A hold that nobody set by hand.
    pub held_by: Option<HeldBy>,
    /// The vendor and masked destination, if chosen.
    pub destination: Option<(Vendor, String)>,
    /// Whether the vendor would pay to it.
    pub payable: bool,
    /// Another payee has the same destination, and nobody has cleared it.
    pub shared: bool,
    /// The tax form on file, and its expiry.
    pub tax: Option<(Form, Option<i64>)>,
    pub created_at: i64,
}

/// A hold on a payee that nobody set by hand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HeldBy {
    Company,
    /// A payment found at a vendor after the database was restored.
    Found,
    /// A destination shared with another payee.
    Shared,
}

/// The state of a payout profile.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ProfileState {
    Missing,
    /// The vendor would not pay to it yet.
    NotReady,
    /// Shared with another payee and not cleared.
    Shared,
    Ready,
}

/// The state of a tax report.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TaxState {
    Missing,
    Expired,
    /// On file and not expired.
    OnFile,
}

/// The sort order; ties are broken by id.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Sort {
    /// By name, A to Z.
    #[default]
    Name,
    /// By name, Z to A.
    NameBack,
    Newest,
    Oldest,
}

/// The filter of the payee list.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub companies: bool,
    /// The start of a word in the name, of the caller's id or of the partner's email address.
    pub q: Option<String>,
    /// The country code; empty for no country.
    pub country: Option<String>,
    /// Paid through this vendor.
    pub vendor: Option<Vendor>,
    /// In this company: our id or the caller's.
    pub account: Option<String>,
    /// The effective standing, as in [`PayeeRow::standing`].
    pub standing: Option<PayeeStanding>,
    /// The state of the payout profile.
    pub profile: Option<ProfileState>,
    /// The state of the tax report at `now`.
    pub tax: Option<TaxState>,
    pub sort: Sort,
    /// The page cursor: name or creation time, and id.
    pub after: Option<(String, String)>,
    /// Microseconds UTC.
    pub now: i64,
}

/// The filter's conditions on each row.
fn narrowed(filter: &Filter) -> Where {
    let mut conditions = Where::default();
    if let Some(q) = &filter.q {
        let (from, to) = search::range(q, filter.companies).unwrap_or_default();
        let begins =
            "p.id IN (SELECT w.subject FROM search_word w WHERE w.beginning >= ? AND w.beginning < ?)";
        conditions.and(begins, [from.into(), to.into()]);
    }
    match filter.country.as_deref() {
        None => {}
        Some("") => conditions.and("p.country IS NULL", []),
        Some(country) => conditions.and("p.country = ?", [country.into()]),
    }
    if let Some(vendor) = filter.vendor {
        conditions.and("f.vendor = ?", [vendor.as_str().into()]);
    }
    if let Some(account) = filter.account.as_deref() {
        match external::is_ours(account) {
            true => conditions.and("a.id = ?", [account.into()]),
            false => conditions.and("a.external_id = ?", [external::folded(account).into()]),
        }
    }
    match filter.standing {
        None => {}
        Some(PayeeStanding::Active) => {
            conditions.and("p.standing = 'active' AND a.standing = 'active'", []);
            conditions.and("p.id NOT IN (SELECT h.payee FROM held_payee h)", []);
            conditions.and("NOT EXISTS (SELECT 1 FROM shared_unseen u WHERE u.payee = p.id)", []);
        }
        Some(PayeeStanding::OnHold) => {
            conditions.and("p.standing <> 'closed' AND a.standing <> 'closed'", []);
            let held = "(p.standing = 'on_hold' OR a.standing = 'on_hold' OR p.id IN (SELECT h.payee FROM held_payee h) \
                        OR p.id IN (SELECT u.payee FROM shared_unseen u))";
            conditions.and(held, []);
        }
        Some(PayeeStanding::Closed) => conditions.and("(p.standing = 'closed' OR a.standing = 'closed')", []),
    }
    match filter.profile {
        None => {}
        Some(ProfileState::Missing) => conditions.and("f.payee IS NULL", []),
        Some(ProfileState::NotReady) => conditions.and("f.payee IS NOT NULL AND f.payable_at IS NULL", []),
        Some(ProfileState::Shared) => conditions.and("p.id IN (SELECT u.payee FROM shared_unseen u)", []),
        Some(ProfileState::Ready) => {
            conditions.and("f.payable_at IS NOT NULL", []);
            conditions.and("NOT EXISTS (SELECT 1 FROM shared_unseen u WHERE u.payee = p.id)", []);
        }
    }
    match filter.tax {
        None => {}
        Some(TaxState::Missing) => conditions.and("t.payee IS NULL", []),
        Some(TaxState::Expired) => conditions.and("t.expires_at <= ?", [filter.now.into()]),
        Some(TaxState::OnFile) => {
            let holds = "t.payee IS NOT NULL AND (t.expires_at IS NULL OR t.expires_at > ?)";
            conditions.and(holds, [filter.now.into()]);
        }
    }
    if let Some((place, id)) = &filter.after {
        let (text, number) = (Value::from(place.as_str()), Value::from(place.parse::<i64>().unwrap_or(0)));
        let id = Value::from(id.as_str());
        match filter.sort {
            Sort::Name => conditions.and("(p.name, p.id) > (?, ?)", [text, id]),
            Sort::NameBack => conditions.and("(p.name, p.id) < (?, ?)", [text, id]),
            Sort::Newest => conditions.and("(p.created_at, p.id) < (?, ?)", [number, id]),
            Sort::Oldest => conditions.and("(p.created_at, p.id) > (?, ?)", [number, id]),
        }
    }
    conditions
}

/// Payees in the requested order.
pub async fn list(db: &mut Db, filter: &Filter, limit: i64) -> Result<Vec<PayeeRow>> {
    let conditions = narrowed(filter);
    // Join a company to itself so that both lists share one query text.
    let whose = match filter.companies {
        true => "account p JOIN account a ON a.id = p.id",
        false => "partner p JOIN account a ON a.id = p.account_id",
    };
    let order = match filter.sort {
        Sort::Name => "p.name, p.id",
        Sort::NameBack => "p.name DESC, p.id DESC",
        Sort::Newest => "p.created_at DESC, p.id DESC",
        Sort::Oldest => "p.created_at, p.id",
    };
    let sql = format!(
        "SELECT p.id, p.external_id, p.name, a.id, a.name, p.country, p.standing, a.standing, f.vendor, \
         f.masked, f.payable_at, \
         (SELECT COUNT(*) FROM shared_unseen u WHERE u.payee = p.id), t.form, t.expires_at, p.created_at, \
         (SELECT COUNT(*) FROM held_payee h WHERE h.payee = p.id) \
         FROM {whose} \
         LEFT JOIN payout_profile f ON f.payee = p.id LEFT JOIN tax_report t ON t.payee = p.id {{where}} \
         ORDER BY {order} LIMIT {limit}"
    );
    db.all(conditions.query(&sql)).await?.iter().map(listed).collect()
}

/// How many payees match the filter regardless of the page, counted up to `limit`.
pub async fn count(db: &mut Db, filter: &Filter, limit: i64) -> Result<i64> {
    let filter = Filter { after: None, ..filter.clone() };
    let whose = match filter.companies {
        true => "account p JOIN account a ON a.id = p.id",
        false => "partner p JOIN account a ON a.id = p.account_id",
    };
    let sql = format!(
        "SELECT COUNT(*) FROM (SELECT p.id FROM {whose} LEFT JOIN payout_profile f ON f.payee = p.id \
         LEFT JOIN tax_report t ON t.payee = p.id {{where}} LIMIT {limit}) counted"
    );
    Ok(db.one(narrowed(&filter).query(&sql)).await?.try_get(0)?)
}

/// The countries of partners (or accounts), found by skipping through the index.
pub async fn countries(db: &mut Db, companies: bool) -> Result<Vec<String>> {
    let partners = "WITH RECURSIVE one (country) AS (SELECT MIN(country) FROM partner UNION ALL \
                    SELECT (SELECT MIN(p.country) FROM partner p WHERE p.country > o.country) FROM one o \
                    WHERE o.country IS NOT NULL) SELECT country FROM one WHERE country IS NOT NULL";
    let accounts = "WITH RECURSIVE one (country) AS (SELECT MIN(country) FROM account UNION ALL \
                    SELECT (SELECT MIN(a.country) FROM account a WHERE a.country > o.country) FROM one o \
                    WHERE o.country IS NOT NULL) SELECT country FROM one WHERE country IS NOT NULL";
    let rows = db.all(sqlx::query(if companies { accounts } else { partners })).await?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// What these payees are owed by currency: approved and not paid, also in a batch or in a payment that has not arrived. Each
/// part is read through an index of its own, so that what was paid long ago costs nothing.
pub async fn owed(db: &mut Db, payees: &[Payee], now: i64) -> Result<HashMap<Payee, Vec<Sum>>> {
    let ids = || payees.iter().map(|payee| Value::from(payee.to_string()));
    let (mut free, mut placed, mut sent) = (Where::default(), Where::default(), Where::default());
    free.among("payee", ids());
    free.and("status = 'approved' AND batch_id IS NULL AND transaction_id IS NULL AND paid_at IS NULL", []);
    free.and("currency IS NOT NULL AND (expires_at IS NULL OR expires_at > ?)", [now.into()]);
    placed.among("payee", ids());
    let open =
        "batch_id IN (SELECT b.id FROM batch b WHERE b.deleted_at IS NULL AND b.pay_pressed_at IS NULL)";
    placed.and(open, []);
    placed.and("currency IS NOT NULL", []);
    sent.among("payee", ids());
    sent.and("state NOT IN ('success', 'written_off')", []);
    sent.and("released_at IS NULL AND outside_at IS NULL", []);
    let of_rewards = "SELECT payee, currency, {sum(CASE WHEN entry = 'clawback' THEN -value_minor ELSE value_minor END)} \
                      FROM reward {where} GROUP BY payee, currency";
    let of_payments = "SELECT payee, currency, {sum(amount_minor)} FROM payout_transaction {where} \
                       GROUP BY payee, currency";
    let mut found: HashMap<Payee, BTreeMap<Currency, i128>> = HashMap::new();
    for (conditions, sql) in [(free, of_rewards), (placed, of_rewards), (sent, of_payments)] {
        for row in db.all(conditions.query(sql)).await? {
            let (id, code): (String, String) = (row.try_get(0)?, row.try_get(1)?);
            let currency = word(Currency::parse(&code).ok(), &code)?;
            let of = found.entry(word(Payee::parse(&id), &id)?).or_default();
            *of.entry(currency).or_default() += sums::read(&row, 2)?;
        }
    }
    let some = |of: BTreeMap<Currency, i128>| {
        let sums = of.into_iter().map(|(currency, minor)| Sum::new(minor, currency));
        sums.filter(|sum| sum.minor != 0).collect()
    };
    Ok(found.into_iter().map(|(payee, of)| (payee, some(of))).collect())
}

fn listed(row: &AnyRow) -> Result<PayeeRow> {
    let text = |column: usize| row.try_get::<String, _>(column);
    let maybe = |column: usize| row.try_get::<Option<String>, _>(column);
    let standing = |column| -> Result<PayeeStanding> {
        let word_of = text(column)?;
        word(PayeeStanding::parse(&word_of), &word_of)
    };
    let id = text(0)?;
    let vendor = maybe(8)?.map(|vendor| word(Vendor::parse(&vendor), &vendor)).transpose()?;
    let form = maybe(12)?.map(|form| word(Form::parse(&form), &form)).transpose()?;
    let expires_at: Option<i64> = row.try_get(13)?;
    let (own, company) = (standing(6)?, standing(7)?);
    let (shared, found) = (row.try_get::<i64, _>(11)? > 0, row.try_get::<i64, _>(15)? > 0);
    let written = own.max(company);
    let held = if shared || found { PayeeStanding::OnHold } else { PayeeStanding::Active };
    let held_by = match written {
        PayeeStanding::Active if found => Some(HeldBy::Found),
        PayeeStanding::Active if shared => Some(HeldBy::Shared),
        PayeeStanding::OnHold | PayeeStanding::Closed if company > own => Some(HeldBy::Company),
        PayeeStanding::Active | PayeeStanding::OnHold | PayeeStanding::Closed => None,
    };
    Ok(PayeeRow {
        payee: word(Payee::parse(&id), &id)?,
        external_id: text(1)?,
        name: text(2)?,
        account: (text(3)?, text(4)?),
        country: maybe(5)?,
        standing: written.max(held),
        held_by,
        destination: vendor.zip(maybe(9)?),
        payable: row.try_get::<Option<i64>, _>(10)?.is_some(),
        shared,
        tax: form.map(|form| (form, expires_at)),
        created_at: row.try_get(14)?,
    })
}
