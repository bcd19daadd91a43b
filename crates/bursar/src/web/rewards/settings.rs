//! Reward Settings: where rewards are reviewed, paid and set up, each with what is there now. Not here: the rewards list
//! (`list`), and the settings themselves.

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use payout::access::Permission;

use crate::app::App;
use crate::ops::{company, settings};
use crate::store::home::{self, RewardGroup, RewardTotals};
use crate::store::programs::{self, Filter as Catalogue};
use crate::store::{batches, templates, vendors};
use crate::web::kit::format::{Cash, Summed, count, how_many};
use crate::web::kit::layout::{Frame, MenuItem, PageContext};
use crate::web::kit::problem::Problem;
use crate::web::kit::route::{Access, Route, get};

/// Programs and activities are counted this far.
const COUNTED: usize = 100;
/// A longer list of currencies is left to the card's own page.
const SUMS: usize = 3;

pub fn routes() -> Vec<Route> {
    vec![get("/rewards/settings", Access::May(Permission::Read), show)]
}

/// The open batch: its number, how many rewards it holds, and their sums.
struct Draft {
    number: String,
    rewards: String,
    sums: Vec<Summed>,
}

#[derive(Template)]
#[template(path = "rewards/settings.html")]
struct SettingsPage {
    frame: Frame,
    /// What waits for a decision, and what is approved and in no payout yet.
    pending: RewardTotals,
    free: RewardTotals,
    draft: Option<Draft>,
    /// How many payees with approved rewards cannot be paid yet.
    unready: i64,
    programs: String,
    activities: String,
    /// How many notices have a template that was changed.
    changed: usize,
    /// The names of the connected vendors.
    vendors: Vec<&'static str>,
    company: String,
}

impl SettingsPage {
    fn many(&self, totals: &RewardTotals) -> String {
        many(totals)
    }

    fn sums(&self, totals: &RewardTotals) -> Vec<Summed> {
        sums(totals)
    }

    fn unready(&self) -> String {
        let cut = if self.unready > home::MOST { "more than " } else { "" };
        format!("{cut}{}", count(self.unready.min(home::MOST)))
    }
}

fn many(totals: &RewardTotals) -> String {
    let cut = if totals.is_cut() { "more than " } else { "" };
    let shown = totals.count.min(home::MOST);
    format!("{cut}{}", how_many(usize::try_from(shown).unwrap_or(0), "reward", "rewards"))
}

fn sums(totals: &RewardTotals) -> Vec<Summed> {
    totals.sums.iter().take(SUMS).map(|sum| Cash(*sum)).collect()
}

/// A number of records, as far as they are counted.
fn counted(found: usize, one: &str, more: &str) -> String {
    match found > COUNTED {
        true => format!("more than {COUNTED} {more}"),
        false => how_many(found, one, more),
    }
}

async fn show(State(app): State<App>, context: PageContext) -> Result<Response, Problem> {
    let (mut db, now) = (app.store.read().await?, app.clock.now());
    let frame = context.frame("Reward Settings", MenuItem::RewardSettings);
    let draft = match batches::open_draft(&mut db).await?.filter(|_| frame.pays) {
        None => None,
        Some(batch) => {
            let held = home::heap(&mut db, RewardGroup::Of(batch.id), now).await?;
            Some(Draft { number: batch.number, rewards: many(&held), sums: sums(&held) })
        }
    };
    let tax = settings::load(&mut db).await?.us_tax_tracking;
    let all = Catalogue { limit: i64::try_from(COUNTED + 1).unwrap_or(i64::MAX), ..Catalogue::default() };
    let programs = programs::programs(&mut db, &all).await?.len();
    let activities = programs::activities(&mut db, &all).await?.len();
    let mut changed = templates::edited(&mut db).await?;
    changed.dedup_by(|one, other| one.0 == other.0);
    context.show(&SettingsPage {
        pending: home::heap(&mut db, RewardGroup::Pending, now).await?,
        free: home::heap(&mut db, RewardGroup::Free, now).await?,
        draft,
        unready: if frame.pays { home::unready(&mut db, tax, now).await? } else { 0 },
        programs: counted(programs, "program", "programs"),
        activities: counted(activities, "activity", "activities"),
        changed: changed.len(),
        vendors: vendors::all(&mut db).await?.into_iter().map(|one| one.vendor.label()).collect(),
        company: company::read(&mut db).await?.name,
        frame,
    })
}
