//! Many wrong passwords or codes for one login: its owner and the administrators are mailed, once a day for each login. Only
//! logins that exist are counted, and a wrong password is counted after it was answered. Not here: slowing guesses down
//! (`web::kit::login_limit`).

use std::net::IpAddr;

use payout::notice::Notice;
use serde_json::json;

use super::{STRANGER, note, owner};
use crate::app::App;
use crate::clock;
use crate::ops::Result;
use crate::store::people::Person;
use crate::store::{Tx, login_tries, outbox};

/// This many within a day are reported.
const MANY: usize = 10;
const DAY_US: i64 = 86_400_000_000;
/// Administrators are mailed about at most this many logins a day, because anybody can guess at any number of logins. Owners
/// are always mailed.
const MOST_MAILED: i64 = 20;

/// Counts a wrong password or code of a person locked by this transaction. `origin` begins with the address it came from.
pub(super) async fn count(tx: &mut Tx, app: &App, person: &Person, origin: &str, now: i64) -> Result<()> {
    let kept = login_tries::of(tx, person.id).await?;
    let mut tries: Vec<(i64, String)> =
        kept.and_then(|kept| serde_json::from_str(&kept).ok()).unwrap_or_default();
    tries.retain(|(at, _)| *at > now - DAY_US);
    tries.push((now, address_in(origin)));
    let older = tries.len().saturating_sub(MANY);
    tries.drain(..older);
    login_tries::put(tx, person.id, &json!(tries).to_string()).await?;
    let Some(email) = person.email.as_ref().filter(|_| tries.len() == MANY) else { return Ok(()) };
    let (notice, id) = (Notice::LoginAttacked, person.id.to_string());
    if !outbox::may_send(tx, notice.as_str(), &id, now, now - DAY_US).await? {
        return Ok(());
    }
    let mut from: Vec<&str> = tries.iter().map(|(_, from)| from.as_str()).collect();
    from.retain(|from| !from.is_empty());
    from.sort_unstable();
    from.dedup();
    note(tx, now, STRANGER, "login_attacked", person.id, json!({ "tries": MANY, "from": from }));
    let mailed = outbox::sent_since(tx, notice.as_str(), now - DAY_US).await?;
    let (about, link) = owner::page_of(app, person);
    let detail = json!({
        "to": email, "link": link, "person": id, "whose": person.name, "address": email, "at": clock::human(now),
        "from": from.join(", "), "last": mailed == MOST_MAILED, "only_named": mailed > MOST_MAILED,
    });
    outbox::write(tx, &app.clock, now, [(notice, about, detail.to_string())]).await?;
    Ok(())
}

/// The address that an origin begins with; empty if it is unknown. Whatever follows may be forged.
fn address_in(origin: &str) -> String {
    let first = origin.split(',').next().unwrap_or_default();
    first.trim().parse::<IpAddr>().map(|from| from.to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_real_address_is_repeated() {
        assert_eq!(address_in("203.0.113.9, for 10.0.0.1, Firefox"), "203.0.113.9");
        assert_eq!(address_in("2001:db8::7"), "2001:db8::7");
        for unknown in ["", "an unknown address, Firefox", "https://evil.example, 203.0.113.9"] {
            assert_eq!(address_in(unknown), "", "{unknown}");
        }
    }
}
