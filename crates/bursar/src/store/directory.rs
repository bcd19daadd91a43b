//! The list of payees: partners or companies by name, each with what decides whether he can be paid.

use payout::eligibility::PayeeStanding;
use payout::ledger::Payee;
use payout::money::Vendor;
use payout::tax::Form;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::{Db, Result, Value, Where, word};

/// A payee as a line of the list.
#[derive(Clone, Debug)]
pub struct Listed {
    /// Who.
    pub payee: Payee,
    /// The caller's own id.
    pub external_id: String,
    /// The name.
    pub name: String,
    /// The company's id and name; a company's own.
    pub account: (String, String),
    /// Two letters.
    pub country: Option<String>,
    /// The stricter of his own standing and his company's.
    pub standing: PayeeStanding,
    /// The vendor and the masked destination, if he has chosen.
    pub destination: Option<(Vendor, String)>,
    /// The vendor would pay to it.
    pub payable: bool,
    /// Another payee has the same destination, and nobody has said that this is right.
    pub shared: bool,
    /// The tax form on file, and until when it holds.
    pub tax: Option<(Form, Option<i64>)>,
}

/// How a payout profile stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ProfileState {
    /// Nothing chosen.
    Missing,
    /// The vendor would not pay to it yet.
    NotReady,
    /// Shared with another payee, and not looked at.
    Shared,
    /// Ready.
    Ready,
}

/// How a tax report stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TaxState {
    /// None on file.
    Missing,
    /// Out of date.
    Expired,
    /// On file and in date.
    OnFile,
}

/// What the list is narrowed to.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Companies rather than partners.
    pub companies: bool,
    /// The name, the caller's id or the partner's address contains this.
    pub q: Option<String>,
    /// Of this company: our id or the caller's.
    pub account: Option<String>,
    /// Their own standing.
    pub standing: Option<PayeeStanding>,
    /// How the payout profile stands.
    pub profile: Option<ProfileState>,
    /// How the tax report stands at `now`.
    pub tax: Option<TaxState>,
    /// After this name and id.
    pub after: Option<(String, String)>,
    /// Microseconds UTC.
    pub now: i64,
}

/// Payees by name.
///
/// # Errors
/// When the database does not answer.
pub async fn list(db: &mut Db, filter: &Filter, limit: i64) -> Result<Vec<Listed>> {
    let mut conditions = Where::default();
    if let Some(q) = &filter.q {
        let like = Value::from(format!("%{}%", q.to_lowercase().replace(['%', '_', '\\'], "")));
        let any = "(lower(p.name) LIKE ? OR lower(p.external_id) LIKE ?)";
        conditions.and(any, [like.clone(), like]);
    }
    if let Some(account) = filter.account.as_deref() {
        conditions.and("(a.id = ? OR a.external_id = ?)", [account.into(), account.into()]);
    }
    if let Some(standing) = filter.standing {
        conditions.and("p.standing = ?", [standing.as_str().into()]);
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
    if let Some((name, id)) = &filter.after {
        conditions.and("(p.name, p.id) > (?, ?)", [name.as_str().into(), id.as_str().into()]);
    }
    // A company stands beside itself, so that both lists are one text.
    let whose = match filter.companies {
        true => "account p JOIN account a ON a.id = p.id",
        false => "partner p JOIN account a ON a.id = p.account_id",
    };
    let sql = format!(
        "SELECT p.id, p.external_id, p.name, a.id, a.name, p.country, p.standing, a.standing, f.vendor, \
         f.masked, f.payable_at, \
         (SELECT COUNT(*) FROM shared_unseen u WHERE u.payee = p.id), t.form, t.expires_at FROM {whose} \
         LEFT JOIN payout_profile f ON f.payee = p.id LEFT JOIN tax_report t ON t.payee = p.id {{where}} \
         ORDER BY p.name, p.id LIMIT {limit}"
    );
    db.all(conditions.query(&sql)).await?.iter().map(listed).collect()
}

fn listed(row: &AnyRow) -> Result<Listed> {
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
    Ok(Listed {
        payee: word(Payee::parse(&id), &id)?,
        external_id: text(1)?,
        name: text(2)?,
        account: (text(3)?, text(4)?),
        country: maybe(5)?,
        standing: standing(6)?.max(standing(7)?),
        destination: vendor.zip(maybe(9)?),
        payable: row.try_get::<Option<i64>, _>(10)?.is_some(),
        shared: row.try_get::<i64, _>(11)? > 0,
        tax: form.map(|form| (form, expires_at)),
    })
}
