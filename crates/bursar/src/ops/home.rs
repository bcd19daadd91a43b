//! Tasks and who must do them: for Home, the badges of the menu, and the setup steps of a new installation. Each role
//! sees its own work. Not here: problems with the installation (`checks`), and the pages.

use payout::access::{Permission, allows};
use payout::settings::Settings;
use payout::transaction::State;

use super::batches::not_the_other;
use super::checks::{self, Finding, Installation};
use super::company::{self, Company};
use super::{settings, views};
use crate::app::{Actor, App};
use crate::store::batches::{self, Batch};
use crate::store::home::{self as store, Milestones, RewardGroup, RewardTotals};
use crate::store::transactions;
use crate::store::vendors::{self, Connection};
use crate::store::{self as all, Db, copy, reconciliation};

const DAY_US: i64 = 86_400_000_000;
/// The age at which a backup counts as old.
const BACKUP_US: i64 = 2 * DAY_US;
/// The highest number a badge shows.
pub const MOST_ON_A_BADGE: i64 = 99;

/// The counts beside the menu's entries; zero if they are not for this person's role.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Badges {
    pub to_review: i64,
    /// Payouts waiting for a release that this person may give.
    pub to_release: i64,
    pub attention: i64,
    /// Unexplained differences with the vendors.
    pub differences: i64,
}

/// The counts for the menu: one bounded query each, and none that is not for the person's role.
pub async fn badges(db: &mut Db, actor: &Actor, rules: &Settings, now: i64) -> all::Result<Badges> {
    let may = |permission| allows(actor.role, permission);
    let mut badges = Badges::default();
    if may(Permission::Review) {
        badges.to_review = store::pending_up_to(db, MOST_ON_A_BADGE + 1).await?;
    }
    if may(Permission::Pay) && rules.enabled {
        badges.to_release = i64::from(to_release(db, actor, rules, now).await?.is_some());
        badges.attention = transactions::count(db, &views::needing_attention(), MOST_ON_A_BADGE + 1).await?;
        badges.differences = reconciliation::tasks(db).await?.0;
    }
    Ok(badges)
}

/// The payout that this person is asked to release, if they may: they must not have changed it.
async fn to_release(db: &mut Db, actor: &Actor, rules: &Settings, now: i64) -> all::Result<Option<Batch>> {
    if !rules.two_person_release {
        return Ok(None);
    }
    let asked = |batch: &Batch| batch.release_asked_at.is_some() && batch.released.is_none();
    let Some(draft) = batches::open_draft(db).await?.filter(asked) else { return Ok(None) };
    Ok(not_the_other(db, draft.id, &actor.id.to_string(), now).await?.is_none().then_some(draft))
}

/// A setup step, with its title, reason and required permission.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    Company,
    /// Connect a vendor and turn payouts on.
    Vendor,
    Webhooks,
    Programs,
    Partners,
    Rewards,
    Mail,
    Payout,
}

impl Step {
    /// Every step, in the recommended order.
    pub const ALL: [Self; 8] = [
        Self::Company,
        Self::Vendor,
        Self::Webhooks,
        Self::Programs,
        Self::Partners,
        Self::Rewards,
        Self::Mail,
        Self::Payout,
    ];

    pub fn words(self) -> &'static str {
        match self {
            Self::Company => "Name your company",
            Self::Vendor => "Connect Stripe or PayPal",
            Self::Webhooks => "Receive a webhook",
            Self::Programs => "Add programs and activities",
            Self::Partners => "Add partners",
            Self::Rewards => "Add rewards",
            Self::Mail => "Set up e-mail",
            Self::Payout => "Make the first payout",
        }
    }

    /// Why the step matters, or what to do.
    pub fn description(self) -> &'static str {
        match self {
            Self::Company => "Partners see the name and the support address on their pages.",
            Self::Vendor => "Save the credentials, then select the vendor and switch payouts on.",
            Self::Webhooks => {
                "The vendor tells Bursar at once how a payment ended. Without webhooks Bursar polls, which takes longer."
            }
            Self::Programs => {
                "An activity is what earns a reward, such as a closed deal. It belongs to a program."
            }
            Self::Partners => "Enter them one by one, or import a CSV file.",
            Self::Rewards => {
                "Enter one, import a CSV file, or send them through the API. They wait for review."
            }
            Self::Mail => {
                "Set BURSAR_SMTP_URL and restart, so that partners and colleagues get their mail. Until then it stays in the Outbox."
            }
            Self::Payout => {
                "Approve rewards, add them under Review Claims, and press Pay. Start with a small one."
            }
        }
    }

    /// The permission needed for the step.
    pub fn needs(self) -> Permission {
        match self {
            Self::Company | Self::Vendor | Self::Webhooks | Self::Mail => Permission::Administer,
            Self::Programs | Self::Partners => Permission::ManagePartners,
            Self::Rewards => Permission::Review,
            Self::Payout => Permission::Pay,
        }
    }

    fn is_done(self, of: &Installation, facts: &Facts) -> bool {
        match self {
            Self::Company => !facts.company.name.is_empty(),
            Self::Vendor => facts.enabled && !facts.connections.is_empty(),
            Self::Webhooks => facts.connections.iter().any(|one| one.last_event_at.is_some()),
            Self::Programs => facts.milestones.activities,
            Self::Partners => facts.milestones.partners,
            Self::Rewards => facts.milestones.rewards,
            Self::Mail => of.mails,
            Self::Payout => facts.milestones.payments,
        }
    }
}

struct Facts {
    company: Company,
    enabled: bool,
    connections: Vec<Connection>,
    milestones: Milestones,
}

/// Everything on Home; what is not for the person's role is left out.
#[derive(Debug, Default)]
pub struct Home {
    /// The steps and whether each is done; empty if none is left that this person may take, or somebody hid the list.
    pub steps: Vec<(Step, bool)>,
    pub to_review: Option<RewardTotals>,
    /// The draft payout, with its count and totals.
    pub draft: Option<(Batch, RewardTotals)>,
    /// Approved rewards in no payout.
    pub to_add: Option<RewardTotals>,
    /// The payout that this person is asked to release.
    pub to_release: Option<Batch>,
    /// Payments that need attention, and how many of them need a person.
    pub attention: (i64, i64),
    /// Payees with approved rewards who are missing something.
    pub unready: i64,
    /// The number of open differences with the vendors, and the day of the oldest.
    pub differences: (i64, Option<String>),
    pub vendors: Vec<Connection>,
    /// Problems with the installation, most urgent first.
    pub findings: Vec<Finding>,
}

/// Findings that the page already shows elsewhere, in its own words.
const SHOWN_ELSEWHERE: [&str; 8] = [
    "no_vendor",
    "no_mail_server",
    "safe_mode",
    "payments_stopped",
    "payments_unknown",
    "payments_contradicted",
    "payments_need_review",
    "differences_open",
];

/// What Home shows to this person.
pub async fn home(app: &App, db: &mut Db, actor: &Actor) -> all::Result<Home> {
    let now = app.clock.now();
    let may = |permission| allows(actor.role, permission);
    let rules = settings::load(db).await?;
    let connections = vendors::all(db).await?;
    let known = Installation {
        now,
        mails: app.config.smtp_url.is_some(),
        file: copy::file_of(&app.config.database_url).is_some(),
        backup_us: BACKUP_US,
    };
    let mut home =
        Home { steps: steps(db, actor, &known, rules.enabled, &connections).await?, ..Home::default() };
    if may(Permission::Review) {
        home.to_review = Some(store::heap(db, RewardGroup::Pending, now).await?);
    }
    if may(Permission::Prepare) && rules.enabled {
        if let Some(draft) = batches::open_draft(db).await? {
            let heap = store::heap(db, RewardGroup::Of(draft.id), now).await?;
            home.draft = Some((draft, heap));
        }
        home.to_add = Some(store::heap(db, RewardGroup::Free, now).await?);
    }
    if may(Permission::Pay) && rules.enabled {
        home.to_release = to_release(db, actor, &rules, now).await?;
        home.attention = attention(db).await?;
        home.differences = reconciliation::tasks(db).await?;
    }
    if rules.enabled && (may(Permission::Prepare) || may(Permission::ManagePartners)) {
        home.unready = store::unready(db, rules.us_tax_tracking, now).await?;
    }
    if may(Permission::Administer) || may(Permission::Audit) {
        home.findings = checks::of_database(db, &known).await?;
        home.findings.extend(app.master_key.is_not_in_file().then(checks::key_away));
        home.findings.retain(|one| !SHOWN_ELSEWHERE.contains(&one.code));
        home.findings.sort_by_key(|one| one.weight);
    }
    home.vendors = connections;
    Ok(home)
}

async fn attention(db: &mut Db) -> all::Result<(i64, i64)> {
    let mut by_hand = views::needing_attention();
    let all = transactions::count(db, &by_hand, store::MOST + 1).await?;
    views::narrow(&mut by_hand, |state| matches!(state, State::Review | State::PayoutReview));
    let by_hand = match all {
        0 => 0,
        _ => transactions::count(db, &by_hand, store::MOST + 1).await?,
    };
    Ok((all, by_hand))
}

/// The setup steps, while one is left that this person may take.
async fn steps(
    db: &mut Db,
    actor: &Actor,
    known: &Installation,
    enabled: bool,
    connections: &[Connection],
) -> all::Result<Vec<(Step, bool)>> {
    let company = company::read(db).await?;
    if company.steps_hidden_at.is_some() {
        return Ok(Vec::new());
    }
    let facts = Facts {
        company,
        enabled,
        connections: connections.to_vec(),
        milestones: store::milestones(db).await?,
    };
    let steps: Vec<_> = Step::ALL.iter().map(|step| (*step, step.is_done(known, &facts))).collect();
    let left = steps.iter().any(|(step, done)| !done && allows(actor.role, step.needs()));
    Ok(if left { steps } else { Vec::new() })
}

/// Hides the list of first steps on Home for everybody, or shows it again.
pub async fn hide_steps(app: &App, actor: &Actor, hidden: bool) -> super::Result<()> {
    let now = app.clock.now();
    company::save(app, actor, |before| Company { steps_hidden_at: hidden.then_some(now), ..before }).await?;
    Ok(())
}
