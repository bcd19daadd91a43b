//! Polls payments found after a restore at their vendors until their money has come back or can hardly come back any
//! more, even if somebody has settled one on their word, because its rewards may have been voided then. Not here:
//! finding them (`search`), and people's statements about them (`ops::safe_mode`).

use payout::money::Vendor;
use payout::transaction::Fact;
use vendors::ReadError;
use vendors::paypal::batch as paypal_batch;
use vendors::stripe::{ConnectedAccount, Stripe, payout as bank};

use super::shown::{not_connected, of_another_account};
use super::submission;
use super::{PassResult, Work, unknown_objects};
use crate::ops::reconciliation as verbs;
use crate::ops::{Result, safe_mode};
use crate::store::found::{self, ToAsk, VendorStatus};

/// How many are polled in one pass.
const AT_ONCE: i64 = 50;

/// The state of a found payment and the vendor's status, if the status is known.
type FoundStatus = std::result::Result<Option<(VendorStatus, String)>, ReadError>;

/// One pass. Returns how many were polled.
pub(super) async fn once(work: &Work, now: i64) -> PassResult {
    let due = found::to_ask(&mut work.app.store.read().await?, now, AT_ONCE).await?;
    let mut told = Vec::new();
    for one in due {
        let said = match one.vendor {
            Vendor::PayPal => item(work, &one).await?,
            Vendor::Stripe => object(work, &one).await?,
        };
        let said = said.unwrap_or_else(|error| {
            tracing::warn!(%error, object = one.object, "a payment that was found could not be looked at");
            None
        });
        told.push((one.object, said));
    }
    if !told.is_empty() {
        safe_mode::record_statuses(&work.app, &told).await?;
    }
    Ok(told.len())
}

/// Reads a PayPal item; also records the id of the payment that paid it.
async fn item(work: &Work, of: &ToAsk) -> Result<FoundStatus> {
    let Some(paypal) = work.clients.paypal().await? else { return Ok(Err(not_connected())) };
    if !paypal.may_have(of.account.as_deref()) {
        return Ok(Err(of_another_account()));
    }
    let item = match work.ask(Vendor::PayPal, paypal.client.item(&of.object)).await {
        Ok(item) => item,
        Err(error) => return Ok(Err(error)),
    };
    let stands = paypal_batch::item_fact(&item).map(|fact| match (&fact, submission::is_out(&fact)) {
        (Fact::ItemPaid, _) => VendorStatus::Paid,
        (_, true) => VendorStatus::Waits,
        (_, false) => VendorStatus::CameBack,
    });
    if let Some(paid) = item.transaction_id {
        verbs::note_references(&work.app, &[(item.payout_item_id, paid)]).await?;
    }
    Ok(Ok(stands.map(|stands| (stands, item.status))))
}

/// Reads a Stripe transfer or bank payout.
async fn object(work: &Work, of: &ToAsk) -> Result<FoundStatus> {
    let Some(stripe) = work.clients.stripe().await? else { return Ok(Err(not_connected())) };
    if !stripe.may_have(of.account.as_deref()) {
        return Ok(Err(of_another_account()));
    }
    let Some(account) = ConnectedAccount::parse(&of.destination) else { return Ok(Ok(None)) };
    let asked = async {
        if of.object.starts_with("tr_") {
            return transfer(&stripe.client, &account, of).await;
        }
        let payout = stripe.client.payout(&account, &of.object).await?;
        Ok(stands(&payout).map(|stands| (stands, payout.status)))
    };
    Ok(work.ask(Vendor::Stripe, asked).await)
}

/// A transfer has reached the payee once a bank payout of ours has taken it from their Stripe balance.
async fn transfer(stripe: &Stripe, account: &ConnectedAccount, of: &ToAsk) -> FoundStatus {
    let transfer = stripe.transfer(&of.object).await?;
    if transfer.amount_reversed_units >= transfer.amount_units {
        return Ok(Some((VendorStatus::CameBack, "that the transfer was reversed".to_owned())));
    }
    let since = of.made_at / 1_000_000 - unknown_objects::EARLIER_S;
    let named = unknown_objects::named_payouts(stripe, account, (&of.our_id, since)).await?;
    let all = stripe.payouts_since(account, since).await?;
    let ours = all.iter().filter(|one| {
        named.contains(&one.id) || (!one.automatic && one.metadata.get("transaction") == Some(&of.our_id))
    });
    let told: Vec<(VendorStatus, &str)> =
        ours.filter_map(|one| Some((stands(one)?, one.id.as_str()))).collect();
    for (sought, says) in
        [(VendorStatus::Paid, "is paid"), (VendorStatus::Waits, "is on its way to the bank")]
    {
        if let Some((_, id)) = told.iter().find(|(stands, _)| *stands == sought) {
            return Ok(Some((sought, format!("that its bank payout {id} {says}"))));
        }
    }
    if let Some((_, id)) = told.first() {
        return Ok(Some((VendorStatus::Lies, format!("that its bank payout {id} came back"))));
    }
    // Any other payout may have taken it: an automatic one, a manual one, or ours with overwritten metadata. Only
    // people can find out which.
    let perhaps = |one: &&bank::Payout| {
        let over = matches!(stands(one), Some(VendorStatus::CameBack));
        let of_another = one.metadata.get("transaction").is_some_and(|other| *other != of.our_id);
        !over && (one.automatic || !of_another) && one.created >= transfer.created
    };
    let lies = all.iter().find(perhaps).is_none();
    Ok(lies.then(|| {
        (VendorStatus::Lies, "that the transfer was not reversed, and shows no bank payout of it".to_owned())
    }))
}

/// The state of a bank payout, if its status is known.
fn stands(payout: &bank::Payout) -> Option<VendorStatus> {
    bank::fact(payout).map(|fact| match (&fact, fact == Fact::PayoutMade) {
        (Fact::PayoutPaid, _) => VendorStatus::Paid,
        (_, true) => VendorStatus::Waits,
        (_, false) => VendorStatus::CameBack,
    })
}
