//! Audit rows for requests that were denied: who, from where and why. Not here: how many of them get a row
//! (`web::kit::denied`), and failed sign-ins (`people`), which are all recorded.

use payout::ids::PersonId;
use serde_json::json;

use super::Result;
use super::people::STRANGER;
use crate::app::App;
use crate::store::audit;
use crate::transact;

/// A denied request, and how many like it had no row of their own.
#[derive(Clone, Debug)]
pub struct Denial {
    /// `permission_denied`, `api_key_refused` or `rate_limited`.
    pub action: &'static str,
    /// The login or API key, if known.
    pub who: Option<PersonId>,
    pub from: String,
    /// Its method and the template of its route, never the path.
    pub route: String,
    /// The code it was refused with.
    pub code: String,
    /// How many of this client were left out before it.
    pub left_out: u64,
    /// How many of others, who had no row because there were too many.
    pub others_left_out: u64,
}

/// Records a denied request in a transaction of its own.
pub async fn note(app: &App, denial: &Denial) -> Result<()> {
    let who = denial.who.map_or_else(|| STRANGER.to_owned(), |who| who.to_string());
    let mut detail = json!({ "from": denial.from, "route": denial.route, "code": denial.code });
    for (name, count) in [("left_out", denial.left_out), ("others_left_out", denial.others_left_out)] {
        if count > 0 {
            detail[name] = json!(count);
        }
    }
    let (at, detail) = (app.clock.now(), detail.to_string());
    transact!(app, |tx| {
        let (actor, subject, detail) = (who.clone(), who.clone(), detail.clone());
        tx.audit(audit::Entry { at, actor, action: denial.action, subject, detail });
        Ok(())
    })
}
