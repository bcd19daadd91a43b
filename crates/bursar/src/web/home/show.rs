//! Home, the start page of our own people: the setup steps until they are done, then the tasks waiting for this person, each
//! with the page to do it on. Not here: which tasks are whose (`ops::home`). Partners have their own home page.

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use payout::access::{Permission, allows};
use payout::money::Vendor;

use super::trial;
use crate::app::App;
use crate::ops::checks::{Finding, Severity};
use crate::ops::home::{self, Home, Step};
use crate::store::home::{MOST, RewardTotals};
use crate::store::vendors::Connection;
use crate::web::kit::form::Form;
use crate::web::kit::format::{Cash, Chip, ShortTime, Summed, count};
use crate::web::kit::layout::{Flash, Frame, MenuItem, PageContext};
use crate::web::kit::problem::Problem;
use crate::web::kit::route::{Access, Route, get, post};

pub fn routes() -> Vec<Route> {
    vec![get("/", Access::Login, show), post("/home/steps", Access::May(Permission::Administer), steps)]
}

/// A setup step and where to do it.
struct SetupStep {
    words: &'static str,
    told: &'static str,
    done: bool,
    /// The page to do it on, if the person may, and the link's text.
    at: Option<(&'static str, &'static str)>,
    /// An alternative link, to a file.
    or: Option<(&'static str, &'static str)>,
    /// It can be tried in test mode, where no real money moves.
    trial: bool,
}

struct Task {
    /// The count; empty if there is only one.
    count: String,
    words: String,
    sums: Vec<Summed>,
    points: Option<String>,
    aside: String,
    address: String,
    press: &'static str,
    /// Whether it is the first task.
    first: bool,
}

/// A vendor and its status.
struct Line {
    label: &'static str,
    chip: Chip,
    event: Option<ShortTime>,
    told: &'static str,
}

#[derive(Template)]
#[template(path = "home/show.html")]
struct HomePage {
    frame: Frame,
    todos: Vec<SetupStep>,
    done: usize,
    /// Whether anyone has been paid already; then tasks come before remaining setup steps.
    begun: bool,
    tasks: Vec<Task>,
    vendors: Vec<Line>,
    findings: Vec<(Chip, Finding)>,
    may_administer: bool,
    pays: bool,
}

async fn show(State(app): State<App>, context: PageContext) -> Result<Response, Problem> {
    if !context.may(Permission::Read) {
        return Ok(Redirect::to("/portal").into_response());
    }
    let home = home::home(&app, &mut app.store.read().await?, &context.actor).await?;
    let tries =
        context.pays && context.may(Permission::Administer) && home.vendors.iter().any(trial::is_test);
    let todos: Vec<SetupStep> =
        home.steps.iter().map(|(step, done)| todo(*step, *done, tries, &context)).collect();
    let frame = context.frame("Home", MenuItem::Home);
    let page = HomePage {
        begun: home.steps.iter().any(|(step, done)| *step == Step::Payout && *done),
        done: todos.iter().filter(|todo| todo.done).count(),
        todos,
        tasks: tasks(&home),
        vendors: home.vendors.iter().map(line).collect(),
        findings: home.findings.into_iter().map(finding).collect(),
        may_administer: context.may(Permission::Administer),
        pays: frame.pays,
        frame,
    };
    context.show(&page)
}

fn todo(step: Step, done: bool, tries: bool, context: &PageContext) -> SetupStep {
    let (address, press, or) = match step {
        Step::Company => ("/settings/company", "Name it", None),
        Step::Vendor => ("/settings/payouts", "Connect a vendor", None),
        Step::Webhooks => ("/settings/payouts#stripe", "See what arrives", None),
        Step::Programs => {
            ("/programs/new", "Add a program", Some(("/imports/new?what=activities", "Import a file")))
        }
        Step::Partners => {
            ("/partners/new", "Add a partner", Some(("/imports/new?what=partners", "Import a file")))
        }
        Step::Rewards => ("/rewards/new", "Add a reward", Some(("/rewards/import", "Import a file"))),
        Step::Mail => ("/outbox", "Open the Outbox", None),
        Step::Payout if context.pays => ("/claims", "Review claims", None),
        Step::Payout => ("/settings/payouts", "Switch payouts on", None),
    };
    let may = allows(context.actor.role, step.needs());
    SetupStep {
        words: step.words(),
        told: step.description(),
        done,
        at: (may && !done).then_some((address, press)),
        or: or.filter(|_| may && !done),
        trial: tries && !done && step == Step::Payout,
    }
}

/// The tasks about started payouts, which come first.
fn of_payouts(home: &Home) -> Vec<Task> {
    let mut tasks = Vec::new();
    if let Some(batch) = &home.to_release {
        tasks.push(Task {
            words: format!("Payout {} waits for your release", batch.number),
            aside: "Prepared by somebody else; your release is asked for.".to_owned(),
            address: format!("/claims/{}/pay", batch.number),
            press: "Look at it",
            ..Task::of(0)
        });
    }
    let (attention, by_hand) = home.attention;
    if attention > 0 {
        tasks.push(Task {
            words: plural(attention, "payment needs attention", "payments need attention"),
            aside: match by_hand {
                0 => {
                    "Failed, returned, unclaimed, on hold, or disputed by the vendor. Each says what can be done."
                        .to_owned()
                }
                1 => "One must be settled by hand: the vendor does not say how it ended.".to_owned(),
                _ => format!("{} must be settled by hand: the vendor does not say how they ended.", count(by_hand)),
            },
            address: "/dashboard/transactions?needs_attention=true".to_owned(),
            press: "See them",
            ..Task::of(attention)
        });
    }
    if let (differences @ 1.., oldest) = &home.differences {
        tasks.push(Task {
            words: plural(*differences, "difference with a vendor", "differences with the vendors"),
            aside: oldest.as_ref().map_or_else(String::new, |day| {
                format!("The vendor's account and the books disagree. The oldest is of {day}.")
            }),
            address: "/reconciliation".to_owned(),
            press: "Look at them",
            ..Task::of(*differences)
        });
    }
    tasks
}

/// The tasks for this person, most important first.
fn tasks(home: &Home) -> Vec<Task> {
    let mut tasks = of_payouts(home);
    if let Some(heap) = home.to_review.as_ref().filter(|heap| heap.count > 0) {
        let words = plural(heap.count, "reward to review", "rewards to review");
        tasks.push(Task { words, address: "/rewards".to_owned(), press: "Review", ..Task::holding(heap) });
    }
    if let Some((batch, heap)) = &home.draft {
        tasks.push(Task {
            count: String::new(),
            words: format!("Payout {} is being prepared", batch.number),
            aside: pluralize(heap.count, "reward is in it.", "rewards are in it."),
            address: "/claims".to_owned(),
            press: "Review claims",
            ..Task::holding(heap)
        });
    }
    if let Some(heap) = home.to_add.as_ref().filter(|heap| heap.count > 0) {
        tasks.push(Task {
            words: plural(heap.count, "approved reward in no payout", "approved rewards in no payout"),
            address: "/claims#add".to_owned(),
            press: if home.draft.is_some() { "Add them" } else { "Prepare a payout" },
            ..Task::holding(heap)
        });
    }
    if home.unready > 0 {
        tasks.push(Task {
            words: plural(home.unready, "payee is not ready to be paid", "payees are not ready to be paid"),
            aside: "They have approved rewards, and lack a payout method or tax form that can be used."
                .to_owned(),
            address: "/rewards?view=not_eligible".to_owned(),
            press: "See who",
            ..Task::of(home.unready)
        });
    }
    if let Some(first) = tasks.first_mut() {
        first.first = true;
    }
    tasks
}

impl Task {
    fn of(number: i64) -> Self {
        let count = match number {
            0 => String::new(),
            number if number > MOST => format!("{}+", count(MOST)),
            number => count(number),
        };
        Self {
            count,
            words: String::new(),
            sums: Vec::new(),
            points: None,
            aside: String::new(),
            address: String::new(),
            press: "",
            first: false,
        }
    }

    fn holding(heap: &RewardTotals) -> Self {
        let points =
            (heap.points != 0).then(|| i64::try_from(heap.points).map_or_else(|_| "many".to_owned(), count));
        match heap.is_cut() {
            // A partial sum would be mistaken for the total.
            true => Self::of(heap.count),
            false => Self {
                sums: heap.sums.iter().map(|sum| Cash(*sum)).collect(),
                points,
                ..Self::of(heap.count)
            },
        }
    }
}

fn plural(number: i64, one: &str, more: &str) -> String {
    if number == 1 { one.to_owned() } else { more.to_owned() }
}

fn pluralize(number: i64, one: &str, more: &str) -> String {
    format!("{} {}", count(number), if number == 1 { one } else { more })
}

fn line(connection: &Connection) -> Line {
    let label = Vendor::label(connection.vendor);
    let event = connection.last_event_at.map(ShortTime);
    match (connection.rejected_at, event) {
        (Some(_), event) => Line {
            label,
            chip: Chip { tone: "bad", words: "Refused, paused" },
            event,
            told: "It refuses the credentials, so its payments wait. Save working ones.",
        },
        (None, None) => Line {
            label,
            chip: Chip { tone: "warn", words: "No webhook yet" },
            event,
            told: "Connected; nothing has arrived.",
        },
        (None, event) => Line { label, chip: Chip { tone: "fine", words: "Connected" }, event, told: "" },
    }
}

/// A finding without the backticks that mark commands in terminal output.
fn finding(one: Finding) -> (Chip, Finding) {
    let plain = |text: String| text.replace('`', "");
    (weight_chip(one.weight), Finding { what: plain(one.what), remedy: plain(one.remedy), ..one })
}

fn weight_chip(weight: Severity) -> Chip {
    match weight {
        Severity::Urgent => Chip { tone: "bad", words: "Urgent" },
        Severity::Act => Chip { tone: "warn", words: "To do" },
        Severity::Know => Chip { tone: "", words: "Note" },
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ShowParams {
    show: Option<String>,
}

/// Hides the list of first steps, or shows it again.
async fn steps(
    State(app): State<App>,
    context: PageContext,
    Form(sent): Form<ShowParams>,
) -> Result<Response, Problem> {
    let flash = match home::hide_steps(&app, &context.actor, sent.show.is_none()).await {
        Ok(()) if sent.show.is_some() => Flash::good("The first steps are shown again, until they are done."),
        Ok(()) => Flash::good("The first steps are hidden. Company settings show them again."),
        Err(error) => Flash::refused(error)?,
    };
    Ok(flash.on("/"))
}
