//! Turns notices into mails: each notice in the outbox is expanded into one mail per current reader, in the same database
//! transaction that marks it as done, so it is delivered at least once and to nobody else.
//!
//! Not here: which notices there are (`payout::notice`), their words (`mail`), and SMTP (`work`).

pub mod facts;
pub mod post;
pub mod remind;
pub mod secret;
pub mod templates;
pub mod watch;

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};

use payout::access::{Permission, Role, allows};
use payout::ids::{PartnerId, RewardId};
use payout::ledger::Payee;
use payout::notice::{Audience, Notice};
use serde_json::Value;

use super::{OpsError, Result, settings};
use crate::app::App;
use crate::mail::{Language, Rendered, Template};
use crate::store::mails::{self, Mail, MailState, Reader};
use crate::store::outbox::{self, OutboxNotice};
use crate::store::{self, Db, StoreError, Tx, rewards};
use crate::transact;
use facts::Facts;

/// How many notices are expanded in one database transaction.
const AT_ONCE: i64 = 50;
const HOUR_US: i64 = 3_600_000_000;

/// Expands due notices into mails; returns how many.
pub async fn expand(app: &App, now: i64) -> Result<usize> {
    if !outbox::anything_due(&mut app.store.read().await?, now).await? {
        return Ok(0);
    }
    transact!(app, |tx| {
        let taken = outbox::take(tx, now, AT_ONCE).await?;
        let owners = owners(tx, &taken).await?;
        let mut press = Press { app, now, templates: HashMap::new() };
        let mut done: HashSet<String> = HashSet::new();
        for outbox_notice in &taken {
            if done.contains(&outbox_notice.id) {
                continue;
            }
            let together = match owners.get(&outbox_notice.id) {
                Some(owner) => collect(tx, outbox_notice, *owner, &taken, &owners, now).await?,
                None => vec![outbox_notice.clone()],
            };
            done.extend(together.iter().map(|one| one.id.clone()));
            if let Err(error) = press.print(tx, &together).await {
                later(tx, &together, error, now).await?;
            }
        }
        Ok(taken.len())
    })
}

/// The owners of the rewards that the collected notices are about, by notice id.
async fn owners(db: &mut Db, taken: &[OutboxNotice]) -> store::Result<HashMap<String, PartnerId>> {
    let collected = taken.iter().filter(|told| told.notice.is_collected());
    let collected: Vec<(&String, RewardId)> =
        collected.filter_map(|told| Some((&told.id, RewardId::parse(&told.about)?))).collect();
    let ids: Vec<RewardId> = collected.iter().map(|(_, reward)| *reward).collect();
    let found = rewards::named(db, &ids).await?;
    let owner: HashMap<RewardId, PartnerId> = found.iter().map(|it| (it.entered.id, it.owner.id)).collect();
    Ok(collected.into_iter().filter_map(|(id, reward)| Some((id.clone(), *owner.get(&reward)?))).collect())
}

/// The notices to send together: all of this kind that wait for the same partner. A partner gets the first at once and
/// further ones at most once an hour; within that hour they are postponed.
async fn collect(
    tx: &mut Tx,
    notice: &OutboxNotice,
    owner: PartnerId,
    taken: &[OutboxNotice],
    owners: &HashMap<String, PartnerId>,
    now: i64,
) -> store::Result<Vec<OutboxNotice>> {
    let same = |other: &&OutboxNotice| other.notice == notice.notice && owners.get(&other.id) == Some(&owner);
    let mut together: Vec<OutboxNotice> = taken.iter().filter(same).cloned().collect();
    let readers = mails::partners_of(tx, Payee::Partner(owner)).await?;
    if let Some(reader) = readers.first()
        && let Some(last) = mails::last_to(tx, &reader.address.to_lowercase(), notice.notice).await?
        && last + HOUR_US > now
    {
        let ids = together.iter().map(|one| one.id.clone()).collect();
        outbox::put_back(tx, ids, last + HOUR_US).await?;
        // Already postponed: clear them, so that this pass skips them.
        together.iter_mut().for_each(|one| one.about.clear());
        return Ok(together);
    }
    together.extend(outbox::take_all_of_owner(tx, notice.notice, &owner.to_string(), now).await?);
    together.sort_by(|one, other| one.id.cmp(&other.id));
    Ok(together)
}

/// Postpones notices whose facts cannot be read, so that they neither block the others nor are lost.
async fn later(tx: &mut Tx, together: &[OutboxNotice], error: StoreError, now: i64) -> store::Result<()> {
    let first = together.first().map(|told| (told.notice.as_str(), told.about.as_str()));
    match error {
        StoreError::Missing => {
            tracing::warn!(?first, "the subject of a notice no longer exists");
            Ok(())
        }
        StoreError::Corrupt(what) => {
            tracing::error!(?first, what, "a notice cannot be sent yet");
            outbox::put_back(tx, together.iter().map(|told| told.id.clone()).collect(), now + HOUR_US)
                .await?;
            Ok(())
        }
        error @ (StoreError::Conflict(_) | StoreError::Overtaken | StoreError::Db(_)) => Err(error),
    }
}

/// A recipient, and whether they read the mail as a partner.
struct Addressed {
    reader: Reader,
    partner: bool,
}

/// Renders mails; each template in force is read once per pass.
struct Press<'a> {
    app: &'a App,
    now: i64,
    templates: HashMap<(Notice, Language), (Template, i64)>,
}

impl Press<'_> {
    /// Writes the mails of notices that are sent together.
    async fn print(&mut self, tx: &mut Tx, together: &[OutboxNotice]) -> store::Result<()> {
        let Some(first) = together.first().filter(|told| !told.about.is_empty()) else { return Ok(()) };
        let facts = facts::read(tx, together, &self.app.base_url, self.now).await?;
        let mut written = Vec::new();
        for addressed in recipients(tx, first, &facts).await? {
            written.push(self.mail(tx, first, &facts, addressed).await?);
        }
        mails::insert(tx, written).await?;
        if first.notice.carries_secret() {
            outbox::forget_detail(tx, &first.id).await?;
        }
        Ok(())
    }

    async fn mail(
        &mut self,
        db: &mut Db,
        notice: &OutboxNotice,
        facts: &Facts,
        to: Addressed,
    ) -> store::Result<Mail> {
        let language = Language::of(to.reader.language.as_deref());
        let values = facts.seen_by(&to.reader.name, to.partner, language);
        let (rendered, template_version) = self.rendered(db, notice.notice, language, &values).await?;
        let address = to.reader.address.to_lowercase();
        let recipient = payout::address::mailable(&address).unwrap_or(address);
        let suppression = mails::suppression(db, &recipient).await?;
        let (state, answer) = match suppression {
            Some(suppression) => (MailState::Suppressed, Some(suppression.why)),
            None if settings::is_address(&recipient) => (MailState::Waiting, None),
            None => (MailState::Failed, Some("This is not an e-mail address.".to_owned())),
        };
        Ok(Mail {
            id: format!(
                "mail_{}",
                payout::ids::encode(payout::ids::fresh(self.now, self.app.clock.in_turn()))
            ),
            outbox_id: Some(notice.id.clone()),
            notice: notice.notice,
            about: facts.about.clone(),
            recipient,
            recipient_name: to.reader.name,
            language: language.as_str().to_owned(),
            title: rendered.subject,
            body: rendered.body,
            template_version,
            state,
            created_at: self.now,
            next_at: self.now,
            fence: 0,
            tries: 0,
            answer,
            sent_at: None,
        })
    }

    /// Renders the template in force, or the built-in one if that fails, so that a broken template never blocks a mail.
    async fn rendered(
        &mut self,
        db: &mut Db,
        notice: Notice,
        language: Language,
        values: &Value,
    ) -> store::Result<(Rendered, i64)> {
        let key = (notice, language);
        let (template, version) = match self.templates.entry(key) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => place.insert(templates::in_force(db, notice, language).await?),
        };
        match template.fill(notice, language, values) {
            Ok(rendered) => return Ok((rendered, *version)),
            Err(broken) => {
                tracing::error!(
                    notice = notice.as_str(),
                    language = language.as_str(),
                    version,
                    broken = broken.sentence(notice),
                    "a template failed; the built-in one is sent"
                );
            }
        }
        let bare = |_| Rendered {
            subject: notice.label().to_owned(),
            body: format!("> {} | {}", notice.label(), values["link"].as_str().unwrap_or_default()),
        };
        Ok((language.built_in(notice).render(language, values).unwrap_or_else(bare), 0))
    }
}

/// Everybody a notice goes to, once each. A partner who is also one of our people reads it as the partner.
async fn recipients(db: &mut Db, notice: &OutboxNotice, facts: &Facts) -> store::Result<Vec<Addressed>> {
    let mut by_address: BTreeMap<String, Addressed> = BTreeMap::new();
    for audience in notice.notice.audience() {
        for reader in readers(db, *audience, facts).await? {
            let partner = audience.is_partner();
            by_address.entry(reader.address.to_lowercase()).or_insert(Addressed { reader, partner });
        }
    }
    Ok(by_address.into_values().collect())
}

async fn readers(db: &mut Db, audience: Audience, facts: &Facts) -> store::Result<Vec<Reader>> {
    let bare = |address: &String| Reader { address: address.clone(), name: String::new(), language: None };
    let may = |permission| Role::ALL.iter().copied().filter(move |role| allows(*role, permission));
    let people = |permission| may(permission).collect::<Vec<Role>>();
    Ok(match audience {
        Audience::Partner => match (facts.payee, facts.payment) {
            (Some(payee), Some(payment)) => mails::partners_of_payment(db, payee, payment).await?,
            (Some(payee), None) => mails::partners_of(db, payee).await?,
            (None, _) => Vec::new(),
        },
        Audience::Named => {
            let language = match facts.payee {
                Some(payee) => mails::partners_of(db, payee).await?.into_iter().find_map(|it| it.language),
                None => None,
            };
            facts.to.iter().map(|to| Reader { language: language.clone(), ..bare(to) }).collect()
        }
        Audience::AccountOwner => match facts.payee {
            Some(payee) => mails::account_owner(db, payee).await?.iter().map(bare).collect(),
            None => Vec::new(),
        },
        Audience::Internal => settings::read(db).await?.0.internal_recipients.iter().map(bare).collect(),
        Audience::Preparers => mails::people_of(db, &people(Permission::Prepare)).await?,
        Audience::Payers => mails::people_of(db, &people(Permission::Pay)).await?,
        Audience::Admins if facts.only_named => Vec::new(),
        Audience::Admins => mails::people_of(db, &people(Permission::Administer)).await?,
        Audience::Auditors => mails::people_of(db, &people(Permission::Audit)).await?,
        Audience::BatchPeople => {
            let mut found = Vec::new();
            for person in &facts.people {
                found.extend(mails::person(db, person).await?);
            }
            found
        }
    })
}

/// Converts a verb's error; a missing row is not an internal fault.
fn store_error(error: OpsError) -> StoreError {
    match error {
        OpsError::Internal(error) => error,
        OpsError::Missing => StoreError::Missing,
        OpsError::Refused(refusal) | OpsError::Conflict(refusal) | OpsError::Unreachable(refusal) => {
            StoreError::Corrupt(refusal.sentence)
        }
        OpsError::Blocked(_) => StoreError::Corrupt("blocked".to_owned()),
    }
}
