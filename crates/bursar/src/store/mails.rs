//! Mails: one per notice and reader, with its delivery status; suppressed addresses; and who receives a payee's mail.

use payout::access::{Permission, Role, allows};
use payout::ids::TransactionId;
use payout::ledger::Payee;
use payout::notice::{Audience, Notice};
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::{Db, Result, Rows, Tx, Value, Where, word};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MailState {
    Waiting,
    /// Accepted by the mail server.
    Sent,
    /// Given up; it will not be retried.
    Failed,
    Suppressed,
    /// It waited so long that its content is outdated.
    Lapsed,
}

impl MailState {
    pub const ALL: [Self; 5] = [Self::Waiting, Self::Sent, Self::Failed, Self::Suppressed, Self::Lapsed];

    /// The spelling in the database and the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Sent => "sent",
            Self::Failed => "failed",
            Self::Suppressed => "suppressed",
            Self::Lapsed => "lapsed",
        }
    }

    /// Parses [`MailState::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }

    pub fn label(self) -> &'static str {
        match self {
            Self::Waiting => "Waiting",
            Self::Sent => "Sent",
            Self::Failed => "Failed",
            Self::Suppressed => "Suppressed",
            Self::Lapsed => "Too old to send",
        }
    }
}

/// A mail as stored for one reader.
#[derive(Clone, Debug)]
pub struct Mail {
    /// Its id, `mail_…`.
    pub id: String,
    /// The outbox notice; `None` for a test.
    pub outbox_id: Option<String>,
    pub notice: Notice,
    /// The id of its subject.
    pub about: String,
    pub recipient: String,
    /// The reader's name; empty if unknown.
    pub recipient_name: String,
    /// The language it is written in.
    pub language: String,
    pub title: String,
    /// The text, in mail markup.
    pub body: String,
    /// The version of the template; 0 is the built-in one.
    pub template_version: i64,
    pub state: MailState,
    pub created_at: i64,
    /// When to try it next.
    pub next_at: i64,
    /// Incremented with every lease; fences off a worker whose lease has expired.
    pub fence: i64,
    pub tries: i64,
    /// The mail server's last reply.
    pub answer: Option<String>,
    /// When the mail server accepted it.
    pub sent_at: Option<i64>,
}

impl Mail {
    /// The address for display. An address that came with the notice itself is a payout destination and is masked.
    pub fn shown_recipient(&self) -> String {
        let named = self.notice.audience().contains(&Audience::Named) && self.recipient_name.is_empty();
        match self.recipient.split_once('@').filter(|_| named) {
            Some((name, host)) => format!("{}…@{host}", name.chars().take(1).collect::<String>()),
            None => self.recipient.clone(),
        }
    }
}

const COLUMNS: &str = "id, outbox_id, notice, about, recipient, recipient_name, language, title, body, \
                       template_version, state, created_at, next_at, fence, tries, answer, sent_at";

fn mail(row: &AnyRow) -> Result<Mail> {
    let (notice, state): (String, String) = (row.try_get(2)?, row.try_get(10)?);
    Ok(Mail {
        id: row.try_get(0)?,
        outbox_id: row.try_get(1)?,
        notice: word(Notice::parse(&notice), &notice)?,
        about: row.try_get(3)?,
        recipient: row.try_get(4)?,
        recipient_name: row.try_get(5)?,
        language: row.try_get(6)?,
        title: row.try_get(7)?,
        body: row.try_get(8)?,
        template_version: row.try_get(9)?,
        state: word(MailState::parse(&state), &state)?,
        created_at: row.try_get(11)?,
        next_at: row.try_get(12)?,
        fence: row.try_get(13)?,
        tries: row.try_get(14)?,
        answer: row.try_get(15)?,
        sent_at: row.try_get(16)?,
    })
}

/// Inserts mails; an existing mail for the same notice and recipient is kept.
pub async fn insert(tx: &mut Tx, mails: Vec<Mail>) -> Result<u64> {
    let mut rows = Rows::default();
    for mail in mails {
        rows.push([
            mail.id.into(),
            mail.outbox_id.into(),
            mail.notice.as_str().into(),
            mail.about.into(),
            mail.recipient.into(),
            mail.recipient_name.into(),
            mail.language.into(),
            mail.title.into(),
            mail.body.into(),
            mail.template_version.into(),
            mail.state.as_str().into(),
            mail.created_at.into(),
            mail.next_at.into(),
            0.into(),
            0.into(),
            0.into(),
            mail.answer.into(),
        ]);
    }
    let sql = "INSERT INTO mail (id, outbox_id, notice, about, recipient, recipient_name, language, title, body, \
               template_version, state, created_at, next_at, lease_until, fence, tries, answer) \
               VALUES {rows} ON CONFLICT (outbox_id, recipient) DO NOTHING";
    tx.bulk(sql, &[], rows).await
}

/// Whether a mail is due.
pub async fn anything_due(db: &mut Db, now: i64) -> Result<bool> {
    let sql = "SELECT id FROM mail WHERE state = 'waiting' AND next_at <= $1 AND lease_until <= $1 LIMIT 1";
    Ok(db.optional(sqlx::query(sql).bind(now)).await?.is_some())
}

/// Leases the mail that is due first, so that no two workers send the same one at once. On PostgreSQL also `None` if another
/// node has just leased it.
pub async fn lease(tx: &mut Tx, now: i64, until: i64) -> Result<Option<Mail>> {
    let sql = format!(
        "UPDATE mail SET lease_until = $2, lease_node = $3, fence = fence + 1, tries = tries + 1 WHERE id IN (SELECT id FROM mail \
         WHERE state = 'waiting' AND next_at <= $1 AND lease_until <= $1 ORDER BY next_at, id LIMIT 1) \
         AND state = 'waiting' AND lease_until <= $1 RETURNING {COLUMNS}"
    );
    let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(now).bind(until).bind(tx.node.clone());
    tx.optional(query).await?.as_ref().map(mail).transpose()
}

/// Records the result of an attempt; `false` if another worker has leased the mail since.
pub async fn note(
    tx: &mut Tx,
    mail: &Mail,
    state: MailState,
    next_at: i64,
    answer: &str,
    now: i64,
) -> Result<bool> {
    let sql = "UPDATE mail SET state = $3, next_at = $4, lease_until = 0, answer = $5, sent_at = $6 \
               WHERE id = $1 AND fence = $2 AND state = 'waiting'";
    let sent = (state == MailState::Sent).then_some(now);
    let query = sqlx::query(sql).bind(mail.id.clone()).bind(mail.fence).bind(state.as_str()).bind(next_at);
    if tx.run(query.bind(answer.to_owned()).bind(sent)).await? == 0 {
        return Ok(false);
    }
    let sql =
        "INSERT INTO mail_try (mail_id, number, at, answer) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING";
    let query = sqlx::query(sql).bind(mail.id.clone()).bind(mail.fence).bind(now).bind(answer.to_owned());
    tx.run(query).await?;
    Ok(true)
}

/// Replaces the text of a mail.
pub async fn put_body(tx: &mut Tx, id: &str, body: &str) -> Result<u64> {
    let sql = "UPDATE mail SET body = $2 WHERE id = $1";
    tx.run(sqlx::query(sql).bind(id.to_owned()).bind(body.to_owned())).await
}

/// Queues a given-up mail again; `false` if it was not given up.
pub async fn wait_again(tx: &mut Tx, id: &str, now: i64) -> Result<bool> {
    let sql = "UPDATE mail SET state = 'waiting', next_at = $2, lease_until = 0, tries = 0 \
               WHERE id = $1 AND state IN ('failed', 'suppressed', 'lapsed')";
    Ok(tx.run(sqlx::query(sql).bind(id.to_owned()).bind(now)).await? == 1)
}

/// The filter of the mail list.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub notice: Option<Notice>,
    pub recipient: Option<String>,
    pub state: Option<MailState>,
    pub about: Option<String>,
    /// Only those after this id, newest first.
    pub after: Option<String>,
}

pub async fn list(db: &mut Db, filter: &Filter, limit: i64) -> Result<Vec<Mail>> {
    let mut conditions = Where::default();
    let words = [
        ("notice = ?", filter.notice.map(Notice::as_str)),
        ("recipient = ?", filter.recipient.as_deref()),
        ("state = ?", filter.state.map(MailState::as_str)),
        ("about = ?", filter.about.as_deref()),
        ("id < ?", filter.after.as_deref()),
    ];
    for (condition, value) in words {
        if let Some(value) = value {
            conditions.and(condition, [Value::from(value)]);
        }
    }
    let sql = format!("SELECT {COLUMNS} FROM mail {{where}} ORDER BY id DESC LIMIT {limit}");
    db.all(conditions.query(&sql)).await?.iter().map(mail).collect()
}

/// A mail by its id.
///
/// # Errors
/// [`super::StoreError::Missing`] if there is none.
pub async fn find(db: &mut Db, id: &str) -> Result<Mail> {
    let mut conditions = Where::default();
    conditions.and("id = ?", [Value::from(id)]);
    mail(&db.one(conditions.query(&format!("SELECT {COLUMNS} FROM mail {{where}}"))).await?)
}

/// When a mail of this notice was last addressed to this recipient.
pub async fn last_to(db: &mut Db, recipient: &str, notice: Notice) -> Result<Option<i64>> {
    let sql =
        "SELECT created_at FROM mail WHERE recipient = $1 AND notice = $2 ORDER BY created_at DESC LIMIT 1";
    let row = db.optional(sqlx::query(sql).bind(recipient.to_owned()).bind(notice.as_str())).await?;
    row.map(|row| Ok(row.try_get(0)?)).transpose()
}

/// The attempts to send a mail, oldest first: time and server reply.
pub async fn tries(db: &mut Db, id: &str) -> Result<Vec<(i64, String)>> {
    let sql = "SELECT at, answer FROM mail_try WHERE mail_id = $1 ORDER BY number";
    let rows = db.all(sqlx::query(sql).bind(id.to_owned())).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

/// How many mails are waiting, and how many failed.
pub async fn backlog(db: &mut Db) -> Result<(i64, i64)> {
    let sql = "SELECT CAST(COALESCE(SUM(CASE WHEN state = 'waiting' THEN 1 ELSE 0 END), 0) AS BIGINT), \
               CAST(COALESCE(SUM(CASE WHEN state = 'failed' THEN 1 ELSE 0 END), 0) AS BIGINT) \
               FROM mail WHERE state IN ('waiting', 'failed')";
    let row = db.one(sqlx::query(sql)).await?;
    Ok((row.try_get(0)?, row.try_get(1)?))
}

/// An address that mail is no longer sent to.
#[derive(Clone, Debug)]
pub struct Suppression {
    /// The address in lower case.
    pub address: String,
    /// What the mail server replied.
    pub why: String,
    pub at: i64,
}

/// The suppression of an address, if any.
pub async fn suppression(db: &mut Db, address: &str) -> Result<Option<Suppression>> {
    let sql = "SELECT address, why, at FROM mail_suppression WHERE address = $1";
    db.optional(sqlx::query(sql).bind(address.to_lowercase())).await?.as_ref().map(suppressed).transpose()
}

/// Every suppressed address, newest first.
pub async fn suppressions(db: &mut Db, limit: i64) -> Result<Vec<Suppression>> {
    let sql = "SELECT address, why, at FROM mail_suppression ORDER BY at DESC, address LIMIT $1";
    db.all(sqlx::query(sql).bind(limit)).await?.iter().map(suppressed).collect()
}

fn suppressed(row: &AnyRow) -> Result<Suppression> {
    Ok(Suppression { address: row.try_get(0)?, why: row.try_get(1)?, at: row.try_get(2)? })
}

/// Stops sending to an address.
pub async fn suppress(tx: &mut Tx, address: &str, why: &str, mail: &str, now: i64) -> Result<u64> {
    let sql = "INSERT INTO mail_suppression (address, why, mail_id, at) VALUES ($1, $2, $3, $4) \
               ON CONFLICT (address) DO NOTHING";
    let query = sqlx::query(sql).bind(address.to_lowercase()).bind(why.to_owned()).bind(mail.to_owned());
    tx.run(query.bind(now)).await
}

/// Lifts a suppression; `false` if there was none.
pub async fn lift(tx: &mut Tx, address: &str) -> Result<bool> {
    let sql = "DELETE FROM mail_suppression WHERE address = $1";
    Ok(tx.run(sqlx::query(sql).bind(address.to_lowercase())).await? == 1)
}

/// A recipient, with name and language.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reader {
    pub address: String,
    /// The name; empty if unknown.
    pub name: String,
    /// The language; unknown for staff.
    pub language: Option<String>,
}

fn reader(row: &AnyRow) -> Result<Reader> {
    Ok(Reader { address: row.try_get(0)?, name: row.try_get(1)?, language: row.try_get(2)? })
}

/// Who receives mail about a payee: for a partner, that partner; for an account, its portal administrators, or all its
/// active partners if it has none.
pub async fn partners_of(db: &mut Db, payee: Payee) -> Result<Vec<Reader>> {
    let found = in_charge_of(db, payee).await?;
    if !found.is_empty() {
        return Ok(found);
    }
    let sql =
        "SELECT email, name, language FROM partner WHERE account_id = $1 AND standing = 'active' ORDER BY id";
    db.all(sqlx::query(sql).bind(payee.to_string())).await?.iter().map(reader).collect()
}

/// Who receives mail about a payment: the same as for its payee, except that for an account without an administrator
/// only partners with rewards in the payment do. The others must not learn the amount.
pub async fn partners_of_payment(db: &mut Db, payee: Payee, payment: TransactionId) -> Result<Vec<Reader>> {
    let found = in_charge_of(db, payee).await?;
    if !found.is_empty() {
        return Ok(found);
    }
    let sql = "SELECT email, name, language FROM partner WHERE standing = 'active' AND id IN (\
               SELECT r.owner_id FROM transaction_reward t JOIN reward r ON r.id = t.reward_id \
               WHERE t.transaction_id = $1) ORDER BY id";
    db.all(sqlx::query(sql).bind(payment.to_string())).await?.iter().map(reader).collect()
}

/// The partner itself, or the portal administrators of an account.
async fn in_charge_of(db: &mut Db, payee: Payee) -> Result<Vec<Reader>> {
    let sql = match payee {
        Payee::Partner(_) => "SELECT email, name, language FROM partner WHERE id = $1",
        Payee::Account(_) => {
            "SELECT p.email, p.name, p.language FROM person s JOIN partner p ON p.id = s.partner_id \
             WHERE p.account_id = $1 AND s.role = 'partner_admin' AND s.kind = 'person' \
             AND s.disabled_at IS NULL ORDER BY p.id"
        }
    };
    db.all(sqlx::query(sql).bind(payee.to_string())).await?.iter().map(reader).collect()
}

/// The email address of the staff member who manages a payee's account.
pub async fn account_owner(db: &mut Db, payee: Payee) -> Result<Option<String>> {
    let sql = match payee {
        Payee::Partner(_) => {
            "SELECT a.owner_email FROM partner p JOIN account a ON a.id = p.account_id WHERE p.id = $1"
        }
        Payee::Account(_) => "SELECT owner_email FROM account WHERE id = $1",
    };
    let row = db.optional(sqlx::query(sql).bind(payee.to_string())).await?;
    Ok(row.map(|row| row.try_get::<Option<String>, _>(0)).transpose()?.flatten())
}

/// People of these roles who can sign in.
pub async fn people_of(db: &mut Db, roles: &[Role]) -> Result<Vec<Reader>> {
    let mut conditions = Where::default();
    conditions.and("kind = 'person' AND disabled_at IS NULL AND email IS NOT NULL", []);
    conditions.among("role", roles.iter().map(|role| Value::from(role.as_str())));
    let sql = "SELECT email, name FROM person {where} ORDER BY id";
    let named = |row: &AnyRow| Ok(Reader { address: row.try_get(0)?, name: row.try_get(1)?, language: None });
    db.all(conditions.query(sql)).await?.iter().map(named).collect()
}

/// The addresses of those who administer now.
pub async fn administrators(db: &mut Db) -> Result<Vec<String>> {
    let administers = Role::ALL.iter().copied().filter(|role| allows(*role, Permission::Administer));
    let found = people_of(db, &administers.collect::<Vec<_>>()).await?;
    Ok(found.into_iter().map(|reader| reader.address).collect())
}

/// One person, if they can sign in.
pub async fn person(db: &mut Db, id: &str) -> Result<Option<Reader>> {
    let sql = "SELECT email, name FROM person WHERE id = $1 AND kind = 'person' AND disabled_at IS NULL \
               AND email IS NOT NULL";
    let row = db.optional(sqlx::query(sql).bind(id.to_owned())).await?;
    let named = |row: AnyRow| Ok(Reader { address: row.try_get(0)?, name: row.try_get(1)?, language: None });
    row.map(named).transpose()
}
