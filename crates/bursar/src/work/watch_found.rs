//! How payments that were found after the database was put back stand at their vendors: asked about until their money has come
//! back or can hardly come back any more, also when somebody has settled one by their word, because its rewards may have been
//! voided then. What is deliberately not here: finding them (`search`), and what people say of them (`ops::safe_mode`).

use payout::money::Vendor;
use payout::transaction::Fact;
use vendors::ReadError;
use vendors::paypal::batch as paypal_batch;
use vendors::stripe::{ConnectedAccount, payout as bank};

use super::shown::not_connected;
use super::{Done, Work, search};
use crate::ops::reconciliation as verbs;
use crate::ops::{Result, safe_mode};
use crate::store::found::{self, Stands, ToAsk};

/// How many are asked about in one pass.
const AT_ONCE: i64 = 50;

/// How one stands and the vendor's word for it, where it is a word that is known.
type Said = std::result::Result<Option<(Stands, String)>, ReadError>;

/// One pass; answers how many were asked about.
///
/// # Errors
/// When the database does not answer.
pub(super) async fn once(work: &Work, now: i64) -> Done {
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
        safe_mode::note_stands(&work.app, &told).await?;
    }
    Ok(told.len())
}

/// An item of PayPal's; by what payment it was paid is noted as well.
async fn item(work: &Work, of: &ToAsk) -> Result<Said> {
    let Some(paypal) = work.clients.paypal().await? else { return Ok(Err(not_connected())) };
    let item = match work.ask(Vendor::PayPal, paypal.client.item(&of.object)).await {
        Ok(item) => item,
        Err(error) => return Ok(Err(error)),
    };
    let stands = paypal_batch::item_fact(&item).map(|fact| match (&fact, search::is_out(&fact)) {
        (Fact::ItemPaid, _) => Stands::Paid,
        (_, true) => Stands::Waits,
        (_, false) => Stands::CameBack,
    });
    if let Some(paid) = item.transaction_id {
        verbs::note_references(&work.app, &[(item.payout_item_id, paid)]).await?;
    }
    Ok(Ok(stands.map(|stands| (stands, item.status))))
}

/// A transfer or a bank payout of Stripe's.
async fn object(work: &Work, of: &ToAsk) -> Result<Said> {
    let Some(stripe) = work.clients.stripe().await? else { return Ok(Err(not_connected())) };
    let asked = async {
        if of.object.starts_with("tr_") {
            let transfer = stripe.client.transfer(&of.object).await?;
            return Ok(Some(match transfer.amount_reversed_units < transfer.amount_units {
                true => (Stands::Paid, "that the transfer stands".to_owned()),
                false => (Stands::CameBack, "that the transfer was reversed".to_owned()),
            }));
        }
        let Some(account) = ConnectedAccount::parse(&of.destination) else { return Ok(None) };
        let payout = stripe.client.payout(&account, &of.object).await?;
        let stands = bank::fact(&payout).map(|fact| match (&fact, fact == Fact::PayoutMade) {
            (Fact::PayoutPaid, _) => Stands::Paid,
            (_, true) => Stands::Waits,
            (_, false) => Stands::CameBack,
        });
        Ok(stands.map(|stands| (stands, payout.status)))
    };
    Ok(work.ask(Vendor::Stripe, asked).await)
}
