//! Help: what the statuses mean, and what to do about common symptoms. The same texts appear where they apply; this page
//! collects them. Not here: installing and running the program (`docs`).

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use payout::access::Permission;
use payout::reward::Shown;

use crate::app::App;
use crate::web::kit::format::{Chip, reward_chip};
use crate::web::kit::layout::{Frame, MenuItem, PageContext};
use crate::web::kit::problem::Problem;
use crate::web::kit::route::{Access, Route, get};
use crate::work::ask::NEEDED;

pub fn routes() -> Vec<Route> {
    vec![get("/help", Access::May(Permission::Read), show)]
}

#[derive(Template)]
#[template(path = "help/page.html")]
struct HelpPage {
    frame: Frame,
    rewards: Vec<(Chip, &'static str)>,
    /// The webhook events we need: from where, and which.
    events: [(String, &'static [&'static str]); 3],
}

/// The meaning of a reward's status.
fn meaning(status: Shown) -> &'static str {
    match status {
        Shown::Submitted => "Waiting for review.",
        Shown::InReview => "Review has begun.",
        Shown::Approved => "Can be added to a payout when every gate is open. Its page lists the gates.",
        Shown::Rejected => "Not paid. The reason is on its page.",
        Shown::InPayout => "In a payout that is being prepared or paid.",
        Shown::Paid => "Paid. Its page links to the payment.",
        Shown::Expired => "Expired before it was added to a payout.",
        Shown::Void => "Approved earlier, then voided with a reason.",
    }
}

async fn show(State(app): State<App>, context: PageContext) -> Result<Response, Problem> {
    let at = |path: &str| format!("{}{path}", app.base_url);
    let page = HelpPage {
        frame: context.frame("Help", MenuItem::Elsewhere),
        rewards: Shown::ALL.iter().map(|status| (reward_chip(*status), meaning(*status))).collect(),
        events: NEEDED.map(|(path, names)| (at(path), names)),
    };
    context.show(&page)
}
