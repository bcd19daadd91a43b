//! Replacing a vendor's live connection by one of another account or mode, or removing it: it says through whose account
//! everything is paid, and which answers count, so it takes two administrators, or one and a day. Not here: new credentials of
//! the same account, which must work at once because the old ones may have leaked (`ops::vendors`).

use payout::Refusal;
use payout::money::Vendor;

use super::{Phase, Rule, WeakeningRequest, by_people, forget_where, not_yet_in};
use crate::app::{Actor, App};
use crate::ops::Result;
use crate::store::{Tx, people, transactions};

const VENDOR_CONNECTION: Rule = Rule {
    kept: "vendor_connection_other",
    action: "vendor_other_account_asked",
    subject: "settings:vendors",
    stays: "The connection to the vendor stays as it is for now",
    field: "account",
    label: "",
    agree: ("saves credentials of the same account, or removes it as well", "does it again"),
    told_elsewhere: true,
};

/// A change of a vendor's live connection: its account and mode before and after, without anything secret.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionChange<'a> {
    pub vendor: Vendor,
    pub was: &'a str,
    /// `None` if it is removed.
    pub is: Option<&'a str>,
}

/// Why the change is not made yet: no other administrator has made the same, and this person did so less than a day ago.
/// Before the first payment nothing is protected. The operator's own keys may do what their role allows.
///
/// # Errors
/// `person_needed` for any other key.
pub async fn connection(
    tx: &mut Tx,
    app: &App,
    actor: &Actor,
    change: ConnectionChange<'_>,
    phase: Phase,
) -> Result<Option<Refusal>> {
    let ConnectionChange { vendor, was, is } = change;
    by_people(tx, actor, "replace a vendor's live connection by one of another account").await?;
    if people::how_key_was_made(tx, actor.id).await?.is_some() || !transactions::any(tx).await? {
        return Ok(None);
    }
    let labels = vec![format!("{}: {was} → {}", vendor.label(), is.unwrap_or("not connected"))];
    let fields = vec![VENDOR_CONNECTION.field];
    let change = format!("{} {was} → {}", vendor.as_str(), is.unwrap_or_default());
    let wish = WeakeningRequest { rule: &VENDOR_CONNECTION, fields, labels, change };
    not_yet_in(tx, app, actor, &wish, phase).await
}

/// Withdraws the requests about a vendor's connection, because somebody has saved it as it should be.
pub async fn forget_of_vendor(tx: &mut Tx, vendor: Vendor, now: i64) -> Result<bool> {
    let of = format!("{} ", vendor.as_str());
    forget_where(tx, &VENDOR_CONNECTION, now, |change| change.starts_with(&of)).await
}
