//! Checks the vendor connections live for `bursar doctor`: whether the credentials work, whether webhooks are
//! registered, and how far our clock is off. Changes nothing. Not here: what the database knows about them
//! (`ops::checks`).

use payout::money::Vendor;

use super::{Work, ask, clients};
use crate::ops::Result;
use crate::ops::checks::{Finding, Severity};
use crate::store;

/// Report a clock that is off by more than this.
const SKEW_US: i64 = 30_000_000;

pub async fn vendors(work: &Work) -> Result<Vec<Finding>> {
    let all = store::vendors::all(&mut work.app.store.read().await?).await?;
    let mut found = Vec::new();
    for one in all {
        let vendor = one.vendor;
        if let Some(why) = clients::without_its_stand_in(&work.app, &one) {
            found.push(no_stand_in(why));
            continue;
        }
        let opens = match vendor {
            Vendor::Stripe => work.clients.stripe().await?.is_some(),
            Vendor::PayPal => work.clients.paypal().await?.is_some(),
        };
        if !opens {
            found.push(sealed_credentials(vendor));
            continue;
        }
        match ask::hooks(work, vendor).await {
            None => found.push(away(vendor)),
            Some(hooks) => {
                let wrong = hooks.iter().filter(|hook| !hook.works || !hook.missing.is_empty()).count();
                found.extend((wrong > 0 || hooks.is_empty()).then(|| unregistered(vendor)));
            }
        }
        let skew = work.clients.skew().of(vendor.as_str()).unwrap_or(0);
        found.extend((skew.abs() > SKEW_US).then(|| wrong_clock(vendor, skew)));
    }
    Ok(found)
}

fn no_stand_in(why: String) -> Finding {
    // What is installed on a server has no simulator.
    let remedy = match cfg!(feature = "demo") {
        true => "`bursar simulator` prints the lines to set in every terminal of a rehearsal.",
        false => {
            "Set BURSAR_STRIPE_API_BASE and BURSAR_PAYPAL_API_BASE as in the rehearsal, or save credentials of the vendor's own under Payout Settings."
        }
    };
    Finding::new(Severity::Urgent, "stand_in_missing", why, remedy)
}

fn sealed_credentials(vendor: Vendor) -> Finding {
    Finding::new(
        Severity::Urgent,
        "credentials_sealed",
        format!(
            "The credentials of {} cannot be decrypted with the key, so its payments wait.",
            vendor.label()
        ),
        "Put the right key file in place, or save the credentials again in Payout Settings.",
    )
}

fn away(vendor: Vendor) -> Finding {
    Finding::new(
        Severity::Urgent,
        "vendor_away",
        format!(
            "{} does not answer, or refuses the credentials. Nothing has failed; payments wait.",
            vendor.label()
        ),
        "Check that this machine can reach the vendor (proxy, firewall) and that the credentials are still valid there.",
    )
}

fn unregistered(vendor: Vendor) -> Finding {
    Finding::new(
        Severity::Act,
        "webhooks_unregistered",
        format!(
            "Not all webhooks of {} are registered under BURSAR_BASE_URL. Payments still settle, but later.",
            vendor.label()
        ),
        "Save the vendor's credentials again in Payout Settings, which registers them.",
    )
}

fn wrong_clock(vendor: Vendor, skew: i64) -> Finding {
    let seconds = skew / 1_000_000;
    let how = if skew > 0 { "ahead of" } else { "behind" };
    Finding::new(
        Severity::Urgent,
        "clock_wrong",
        format!(
            "This machine's clock is {} s {how} that of {}. Above 60 s Bursar records nothing as not found, and payments in doubt wait.",
            seconds.abs(),
            vendor.label()
        ),
        "Synchronize the clock (NTP).",
    )
}
