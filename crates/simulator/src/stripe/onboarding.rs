//! Hosted onboarding: links that work once and for five minutes, and a one-page form behind them. Finishing it
//! completes the account; leaving it leaves the account incomplete. Both redirect back.
//!
//! Not here: what Stripe really asks, and how long its review takes.

use serde_json::json;

use super::{Call, Outcome, account};
use crate::SECOND;
use crate::world::World;

/// How long a link works, in seconds.
const LINK_S: i64 = 300;

/// A link that was issued.
#[derive(Debug)]
pub(crate) struct Link {
    token: String,
    account: String,
    return_url: Option<String>,
    refresh_url: Option<String>,
    expires_at: i64,
    opened: bool,
    left: bool,
}

pub(crate) enum Step {
    /// Show the form of this account.
    Form {
        account: String,
    },
    To(String),
    /// The account's form is done, and there is no return URL.
    Done,
    /// The link is unknown or used, and there is no return URL.
    Gone,
}

pub(crate) fn link(world: &mut World, call: &Call<'_>) -> Outcome {
    let id = call.form.required("account")?.to_owned();
    call.form.required("type")?;
    account::read(world, call, &id)?;
    let token = world.ids.stripe("link");
    let base = world.stripe.pages_at.as_deref().unwrap_or(&call.base);
    let url = format!("{base}/_sim/onboard/{token}");
    let expires_at = call.now + LINK_S * SECOND;
    world.stripe.links.push(Link {
        token,
        account: id,
        return_url: call.form.text("return_url"),
        refresh_url: call.form.text("refresh_url"),
        expires_at,
        opened: false,
        left: false,
    });
    let (created, expires_at) = (call.now / SECOND, expires_at / SECOND);
    Ok(json!({"object": "account_link", "created": created, "expires_at": expires_at, "url": url}))
}

/// Opens a link: the first time it shows the form, later it redirects for a fresh link.
pub(crate) fn open(world: &mut World, token: &str, now: i64) -> Step {
    let Some(link) = world.stripe.links.iter_mut().find(|link| link.token == token) else {
        return Step::Gone;
    };
    if link.opened || now >= link.expires_at {
        return link.refresh_url.clone().map_or(Step::Gone, Step::To);
    }
    link.opened = true;
    Step::Form { account: link.account.clone() }
}

/// Leaves the form, finished or not.
pub(crate) fn leave(world: &mut World, token: &str, finished: bool, now: i64) -> Step {
    let Some(link) = world.stripe.links.iter_mut().find(|link| link.token == token) else {
        return Step::Gone;
    };
    if !link.opened || link.left {
        return link.refresh_url.clone().map_or(Step::Gone, Step::To);
    }
    link.left = true;
    let (id, back) = (link.account.clone(), link.return_url.clone());
    if finished {
        account::complete(world, &id, now);
    } else {
        account::begin(world, &id, now);
    }
    back.map_or(Step::Done, Step::To)
}

pub(crate) fn form(account: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><title>Onboarding</title>\
         <style>body{{font:1rem/1.5 system-ui,sans-serif;max-width:30rem;margin:3rem auto;padding:0 1rem}}\
         button{{font:inherit;padding:.5rem 1rem;margin:.3rem .5rem .3rem 0}}</style></head><body>\
         <h1>Set up {account}</h1><p>This plays the vendor&#39;s hosted onboarding. Nothing is asked here.</p>\
         <form method=\"post\"><button name=\"action\" value=\"finish\">Finish</button>\
         <button name=\"action\" value=\"leave\">Leave half way</button></form></body></html>"
    )
}
