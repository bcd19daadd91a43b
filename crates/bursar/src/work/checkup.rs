//! What the vendors say of their connections when they are asked now: whether the credentials are good, whether webhooks are
//! registered, and by how much our clock is wrong. For `bursar doctor`; nothing is changed. What is deliberately not here:
//! what the database knows of them (`ops::checks`).

use payout::money::Vendor;

use super::{Work, ask, clients};
use crate::ops::Result;
use crate::ops::checks::{Finding, Weight};
use crate::store;

/// So far a clock may be wrong before somebody should look.
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
            found.push(sealed(vendor));
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
    Finding::new(Weight::Urgent, "stand_in_missing", why, remedy)
}

fn sealed(vendor: Vendor) -> Finding {
    Finding::new(
        Weight::Urgent,
        "credentials_sealed",
        format!("The credentials of {} do not open with the key, so its payments wait.", vendor.label()),
        "Put the right key file in place, or save the credentials again under Payout Settings.",
    )
}

fn away(vendor: Vendor) -> Finding {
    Finding::new(
        Weight::Urgent,
        "vendor_away",
        format!(
            "{} does not answer, or refuses the credentials. Nothing has failed; payments wait.",
            vendor.label()
        ),
        "Look whether this machine reaches the vendor (a proxy, a firewall), and whether the credentials are still good there.",
    )
}

fn unregistered(vendor: Vendor) -> Finding {
    Finding::new(
        Weight::Act,
        "webhooks_unregistered",
        format!(
            "The webhooks of {} are not all registered below BURSAR_BASE_URL. Payments still settle, but later.",
            vendor.label()
        ),
        "Save the vendor's credentials again under Payout Settings; that registers them.",
    )
}

fn wrong_clock(vendor: Vendor, skew: i64) -> Finding {
    let seconds = skew / 1_000_000;
    let how = if skew > 0 { "ahead of" } else { "behind" };
    Finding::new(
        Weight::Urgent,
        "clock_wrong",
        format!(
            "This machine's clock is {} s {how} that of {}. Over 60 s nothing is called not found, and payments in doubt wait.",
            seconds.abs(),
            vendor.label()
        ),
        "Set the clock right (NTP).",
    )
}
