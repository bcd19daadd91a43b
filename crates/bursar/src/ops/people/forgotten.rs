//! Forgotten passwords: mails a one-time link for choosing a new one. The response never reveals whether an address has a
//! login. Not here: the rate limit (`web::kit::login_limit`), and choosing the password (`ops::invitations`), which works as
//! for an invitation.

use payout::notice::Notice;
use serde_json::json;

use super::note;
use crate::app::App;
use crate::ops::Result;
use crate::ops::notices::secret;
use crate::secrets::token_hash;
use crate::store::people::{self, LinkFor};
use crate::transact;

/// How long the link works; short, because the person is waiting for it.
const PASSWORD_LINK_US: i64 = 3_600_000_000;

/// Mails a link to the login with this address, if there is one; older links stop working.
pub async fn ask(app: &App, email: &str) -> Result<()> {
    let found = people::by_email(&mut app.store.read().await?, &email.trim().to_lowercase()).await?;
    let Some(person) = found.filter(|person| person.disabled_at.is_none()) else { return Ok(()) };
    let (now, token, id) = (app.clock.now(), app.clock.secret(), person.id);
    transact!(app, |tx| {
        people::drop_password_links(tx, id).await?;
        people::add_link(tx, &token_hash(&token), (id, LinkFor::Password), now + PASSWORD_LINK_US).await?;
        let about = person.partner.map_or_else(|| id.to_string(), |partner| partner.to_string());
        let link = format!("{}/password/new/{token}", app.base_url);
        let (to, until) = (person.email.as_deref().unwrap_or_default(), now + PASSWORD_LINK_US);
        secret::write(tx, app, (Notice::PasswordForgotten, about), to, (&link, until)).await?;
        note(tx, now, &id.to_string(), "password_link_asked", id, json!({}));
        Ok(())
    })?;
    app.nudge.notify.notify();
    Ok(())
}
