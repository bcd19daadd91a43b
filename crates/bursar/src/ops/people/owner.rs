//! Where the owner of a login manages it: what mails to them are about, and where they lead. Not here: the mails.

use crate::app::App;
use crate::store::people::Person;

/// The subject of a notice to the owner of a login, and the page where they manage it.
pub(super) fn page_of(app: &App, whose: &Person) -> (String, String) {
    let (about, page) = match whose.partner {
        Some(partner) => (partner.to_string(), "/portal/account"),
        None => (whose.id.to_string(), "/me"),
    };
    (about, format!("{}{page}", app.base_url))
}
