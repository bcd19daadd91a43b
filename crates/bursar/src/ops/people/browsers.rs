//! The browsers in which a login has signed in: its owner is mailed about a new one. A browser is recognized by a random
//! cookie; only a hash of it is stored, and a different one for each login. Not here: the cookie (`web::kit::session`), and
//! which browsers may keep trying passwords while others guess (`web::kit::login_limit`).

use payout::ids::PersonId;
use payout::notice::Notice;
use serde_json::json;

use super::owner;
use crate::app::App;
use crate::clock;
use crate::ops::Result;
use crate::secrets::token_hash;
use crate::store::people::Person;
use crate::store::{Tx, browsers, outbox};

/// The browser of a request: its user agent and address.
#[derive(Clone, Debug, Default)]
pub struct Browser {
    pub agent: String,
    /// The address it comes from, if known.
    pub address: String,
    /// The random value of its cookie; empty if it has none.
    pub mark: String,
}

/// A browser that has not signed in for this long is new again.
const REMEMBERED_US: i64 = 90 * 86_400_000_000;
/// How many browsers of one login are remembered.
const MOST: i64 = 20;
const DAY_US: i64 = 86_400_000_000;
/// An owner is mailed at most this often in a day, so that nobody who has the password can bury other mails.
const MOST_MAILED: usize = 5;

/// Records where a person signs in, and mails them if the browser is new; they are locked by this transaction. Returns the
/// browser's hash. The first sign-in of a login is no news.
pub(super) async fn arrived(
    tx: &mut Tx,
    app: &App,
    person: &Person,
    browser: &Browser,
) -> Result<Option<String>> {
    let now = app.clock.now();
    let hash = (!browser.mark.is_empty()).then(|| hash_of(person.id, &browser.mark));
    let known = browsers::of(tx, person.id).await?;
    let is_known = known.iter().any(|(known, at)| Some(known) == hash.as_ref() && *at > now - REMEMBERED_US);
    if person.last_seen_at.is_some() && !is_known {
        notify_owner(tx, app, person, browser, now).await?;
    }
    if let Some(hash) = &hash {
        browsers::note(tx, person.id, hash, now, MOST).await?;
    }
    Ok(hash)
}

/// The hash of a browser's cookie. It contains the login, so that the table does not show who shares a browser.
fn hash_of(person: PersonId, mark: &str) -> String {
    token_hash(&format!("browser of {person}: {mark}"))
}

async fn notify_owner(tx: &mut Tx, app: &App, person: &Person, browser: &Browser, now: i64) -> Result<()> {
    let Some(email) = &person.email else { return Ok(()) };
    let notice = Notice::LoginNewBrowser;
    let mut free = None;
    for place in 1..=MOST_MAILED {
        let of = format!("{} {place}", person.id);
        if outbox::may_send(tx, notice.as_str(), &of, now, now - DAY_US).await? {
            free = Some(place);
            break;
        }
    }
    let Some(place) = free else { return Ok(()) };
    let (about, link) = owner::page_of(app, person);
    let detail = json!({
        "to": email, "link": link, "at": clock::human(now), "from": browser.address,
        "browser": browser_in_words(&browser.agent).unwrap_or_default(), "last": place == MOST_MAILED,
    });
    outbox::write(tx, &app.clock, now, [(notice, about, detail.to_string())]).await?;
    Ok(())
}

/// The browser and system of a user agent, in two words.
pub fn browser_in_words(agent: &str) -> Option<String> {
    let first = |names: &[(&str, &'static str)]| {
        names.iter().find(|(mark, _)| agent.contains(mark)).map(|(_, name)| *name)
    };
    // The order matters: most browsers also claim to be those below them.
    let name =
        first(&[("Edg/", "Edge"), ("Firefox/", "Firefox"), ("Chrome/", "Chrome"), ("Safari/", "Safari")]);
    let system = first(&[
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Android", "Android"),
        ("Windows", "Windows"),
        ("Mac OS", "macOS"),
        ("Linux", "Linux"),
    ]);
    match (name, system) {
        (Some(name), Some(system)) => Some(format!("{name}, {system}")),
        (Some(one), None) | (None, Some(one)) => Some(one.to_owned()),
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_is_named_in_two_words() {
        let chrome = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0 Safari/537.36";
        assert_eq!(browser_in_words(chrome).as_deref(), Some("Chrome, Linux"));
        assert_eq!(browser_in_words("curl/8"), None);
    }
}
