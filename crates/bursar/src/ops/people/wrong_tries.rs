//! Many wrong passwords for one login: its owner is mailed, and for staff the administrators too, once a day for each login.
//! Administrators are not mailed about partners: anybody can guess at any number of them, and those mails would bury others.
//! Only logins that exist are counted, and a wrong password at sign-in is counted after it was answered. Not here: wrong
//! codes, after which the password is known (`factor::take` has their owner mailed), and slowing guesses down
//! (`web::kit::login_limit`).

use std::net::IpAddr;

use payout::notice::Notice;
use serde_json::json;

use super::{STRANGER, note, owner};
use crate::app::App;
use crate::clock;
use crate::config::Range;
use crate::ops::Result;
use crate::origin::address_of;
use crate::store::people::Person;
use crate::store::{Tx, login_tries, outbox};

/// This many within a day are reported.
const MANY: usize = 10;
const DAY_US: i64 = 86_400_000_000;

/// Where a wrong password was entered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Try {
    AtSignIn,
    /// At a step-up: by the owner, or by somebody who has one of their sessions.
    InSession,
}

impl Try {
    const fn as_str(self) -> &'static str {
        match self {
            Self::AtSignIn => "sign_in",
            Self::InSession => "session",
        }
    }
}

/// Counts a wrong password of a person locked by this transaction. `origin` begins with the address it came from.
pub(super) async fn count(
    tx: &mut Tx,
    app: &App,
    person: &Person,
    (at, origin): (Try, &str),
    now: i64,
) -> Result<()> {
    let kept = login_tries::of(tx, person.id).await?;
    let mut tries: Vec<(i64, String, String)> =
        kept.and_then(|kept| serde_json::from_str(&kept).ok()).unwrap_or_default();
    // Those from the future are from before the clock was put back.
    tries.retain(|(at, ..)| (0..DAY_US).contains(&(now - at)));
    let address = address_of(origin).map(|address| address.to_string()).unwrap_or_default();
    tries.push((now, at.as_str().to_owned(), address));
    let older = tries.len().saturating_sub(MANY);
    tries.drain(..older);
    login_tries::put(tx, person.id, &json!(tries).to_string()).await?;
    let Some(email) = person.email.as_ref().filter(|_| tries.len() == MANY) else { return Ok(()) };
    let (notice, id) = (Notice::LoginAttacked, person.id.to_string());
    if !outbox::may_send(tx, notice.as_str(), &id, now, now - DAY_US).await? {
        return Ok(());
    }
    let in_session = tries.iter().any(|(_, at, _)| at == Try::InSession.as_str());
    let mut from: Vec<&str> = tries.iter().map(|(.., from)| from.as_str()).collect();
    from.retain(|from| !from.is_empty());
    from.sort_unstable();
    from.dedup();
    let by = match at {
        Try::AtSignIn => STRANGER,
        Try::InSession => id.as_str(),
    };
    let told = json!({ "tries": MANY, "in_session": in_session, "from": from });
    note(tx, now, by, "login_attacked", person.id, told);
    from.retain(|from| is_outside(from, &app.config.trusted_proxies));
    let (about, link) = owner::page_of(app, person);
    let detail = json!({
        "to": email, "link": link, "person": id, "whose": person.name, "address": email, "at": clock::human(now),
        "from": from.join(", "), "in_session": in_session,
    });
    outbox::write(tx, &app.clock, now, [(notice, about, detail.to_string())]).await?;
    Ok(())
}

/// Whether an address can be blocked in front of Bursar: not one of this machine, of a private network or of a proxy, behind
/// which everybody comes.
fn is_outside(address: &str, proxies: &[Range]) -> bool {
    let Ok(address) = address.parse::<IpAddr>() else { return false };
    let is_inside = match address {
        IpAddr::V4(address) => {
            address.is_loopback()
                || address.is_private()
                || address.is_link_local()
                || address.is_unspecified()
        }
        IpAddr::V6(address) => {
            address.is_loopback()
                || address.is_unique_local()
                || address.is_unicast_link_local()
                || address.is_unspecified()
        }
    };
    !is_inside && !proxies.iter().any(|proxy| proxy.holds(address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_told_to_block_a_proxy() {
        let proxies: Vec<Range> = vec!["198.51.100.0/24".parse().unwrap()];
        for (address, is) in [
            ("203.0.113.9", true),
            ("2001:db8::7", true),
            ("198.51.100.7", false),
            ("127.0.0.1", false),
            ("10.1.2.3", false),
            ("192.168.0.1", false),
            ("::1", false),
            ("fd00::1", false),
            ("", false),
        ] {
            assert_eq!(is_outside(address, &proxies), is, "{address}");
        }
    }
}
