//! Looks up requests without a conclusive answer: reads lists and objects at the vendor, never sends a second request.
//!
//! Only Stripe is searched. At PayPal the look-up is to send the same bytes again, which `send` does.

use std::collections::HashSet;

use payout::deadline;
use payout::eligibility::Code;
use payout::money::Vendor;
use payout::transaction::{Fact, Leg};
use vendors::stripe::payout::Payout;
use vendors::stripe::transfer::Transfer;
use vendors::stripe::{ConnectedAccount, Expect, Stripe, payout as bank};
use vendors::{MoneyKind, MoneyRequest, ReadError};

use super::answer::LookupOutcome;
use super::prove::{LookupDepth, MoneyLocation};
use super::submission::field;
use super::verdict::{self, Judgment, Verdict};
use super::{Work, prove, settle, unknown_objects};
use crate::ops::record::PAID_OUT;
use crate::ops::vendors as connections;
use crate::store::submissions::{self, Submission};
use crate::store::transactions;

/// What a look at Stripe says about a submission: found, not found, or not determinable.
pub(super) async fn look_at_stripe(work: &Work, of: &Submission) -> (Judgment, Option<Fact>) {
    let (now, longest) = (work.app.clock.now(), work.app.config.longest_wait_us());
    let unsure = || (verdict::not_looked(of, now, longest), None);
    if of.vendor != Vendor::Stripe {
        return (Judgment::review(of, "PayPal cannot be searched by our key"), None);
    }
    let Ok(Some(stripe)) = work.clients.stripe().await else { return unsure() };
    if !stripe.is_of(of.vendor_account.as_deref()) {
        // Another account does not have it, which would look as if it had never been made.
        let (code, (judged, _)) = (Code::OtherVendorAccount, unsure());
        return (
            Judgment { why: code.as_str().to_owned(), detail: code.message().to_owned(), ..judged },
            None,
        );
    }
    let Some((request, expect)) = stored(of) else {
        return (Judgment::review(of, "the stored request cannot be parsed"), None);
    };
    let since = since(work, of, now).await.inspect_err(|error| {
        tracing::warn!(?error, "the payment of what is looked for could not be read");
    });
    let Ok(since) = since else { return unsure() };
    let Some(known) = known_after_restore(work, of).await else { return unsure() };
    let lost_payout = known.is_some() && request.kind() == MoneyKind::Payout;
    if lost_payout && !transfer_is_known(work, of).await {
        return unsure();
    }
    let looking = async {
        match request.kind() {
            MoneyKind::Transfer => transfer(&stripe.client, of, &request, (&expect, &known)).await,
            MoneyKind::Payout => payout(&stripe.client, of, since, &request, (&expect, &known)).await,
            MoneyKind::Reversal => reversal(&stripe.client, &request, &expect).await,
            MoneyKind::Batch | MoneyKind::Cancel => {
                Ok(LookupResult::Unclear("a PayPal request at Stripe".to_owned()))
            }
        }
    };
    let found = match work.ask(Vendor::Stripe, looking).await {
        Ok(LookupResult::Absent) if lost_payout => swept_away(work, of).await,
        found => found,
    };
    match found {
        Ok(LookupResult::There(id, fact)) => (Judgment::accepted(of, &id, "found"), fact),
        // If our clock is wrong, the age of a key and the start of a list are wrong too.
        Ok(LookupResult::Absent)
            if work.clients.skew().too_much(of.vendor.as_str())
                && !payout::planted::on("looks_a_minute_back") =>
        {
            unsure()
        }
        Ok(LookupResult::Absent) => absent(work, of, now).await.unwrap_or_else(unsure),
        Ok(LookupResult::Unclear(why)) => (Judgment::review(of, why), None),
        Err(ReadError::Credentials(why)) => {
            // Keep the submission's last message: it may become the reason it ends with.
            if let Err(error) = connections::pause(&work.app, Vendor::Stripe, &why).await {
                tracing::error!(?error, "a vendor that refuses our credentials could not be paused");
            }
            unsure()
        }
        Err(error @ (ReadError::Missing | ReadError::Refused { .. } | ReadError::Unreadable(_))) => {
            (verdict::looked_in_vain(of, &error, now, longest), None)
        }
        Err(ReadError::RateLimited { .. } | ReadError::Unreachable(_)) => unsure(),
    }
}

/// After a restore, the objects known here of the same payment. A payment begun by a lost database carries attempt ids this
/// one never had, so these objects belong to other attempts. `None` if they cannot be read.
async fn known_after_restore(work: &Work, of: &Submission) -> Option<KnownIds> {
    if of.last.as_ref().is_none_or(|(why, _)| why != submissions::PUT_BACK) {
        return Some(None);
    }
    match objects_of(work, of).await {
        Ok(known) => Some(Some(known)),
        Err(error) => {
            tracing::warn!(?error, "the payment of what is looked for could not be read");
            None
        }
    }
}

/// The start of the payout list to search, as a Unix second: as far before the payment was created as in any other
/// look. Ours is identified by key and attempt; the start only keeps the list short, so it can be generous.
async fn since(work: &Work, of: &Submission, now: i64) -> crate::ops::Result<i64> {
    if payout::planted::on("looks_a_minute_back") {
        return Ok(of.first_sent_at.unwrap_or(of.created_at) / 1_000_000 - 60);
    }
    let mut db = work.app.store.read().await?;
    let attempts = transactions::attempts_of_submissions(&mut db, std::slice::from_ref(&of.id)).await?;
    let ids: Vec<_> = attempts.iter().map(|attempt| attempt.transaction).collect();
    let promised = transactions::several(&mut db, &ids).await?.into_iter().map(|one| one.created_at).min();
    Ok((promised.unwrap_or(of.created_at).min(of.created_at).min(now) / 1_000_000)
        - unknown_objects::EARLIER_S)
}

/// Whether Stripe has reported the state of a bank payout's transfer. A lost database may have reversed it: that is
/// recorded before the bank payout can be sent, and a gate then closes.
async fn transfer_is_known(work: &Work, of: &Submission) -> bool {
    let asked = async {
        let mut db = work.app.store.read().await?;
        let attempts = transactions::attempts_of_submissions(&mut db, std::slice::from_ref(&of.id)).await?;
        drop(db);
        let mut looked = LookupOutcome::Through;
        for attempt in attempts {
            looked = looked.max(settle::look(work, attempt.transaction).await?);
        }
        Ok::<_, crate::ops::OpsError>(looked)
    };
    match asked.await {
        Ok(looked) => looked != LookupOutcome::NotAnswered,
        Err(error) => {
            tracing::warn!(?error, "the transfer of a bank payout could not be asked about");
            false
        }
    }
}

/// Stripe has no such object. If a bank payout was not resent because Stripe's automatic schedule had taken its money,
/// it counts as paid by that payout once it is certain that ours was not made. `None` while that is undetermined.
async fn absent(work: &Work, of: &Submission, now: i64) -> Option<(Judgment, Option<Fact>)> {
    let judged = verdict::stripe_absent(of, now);
    if judged.stopped_by() != Some(PAID_OUT) || !matches!(judged.verdict, Verdict::Refused(_)) {
        return Some((judged, None));
    }
    match swept_away(work, of).await {
        Ok(LookupResult::There(id, fact)) => Some((Judgment::accepted(of, &id, "found"), fact)),
        Ok(LookupResult::Absent | LookupResult::Unclear(_)) => Some((judged, None)),
        // Stripe reports it within hours. If it stays hidden longer, the transfer is asked about instead.
        Err(_) if of.looked_at.is_some_and(|first| now.saturating_sub(first) < deadline::UNSEEN_US) => None,
        Err(_) => Some((judged, None)),
    }
}

/// In the lost time, Stripe's automatic schedule may have paid out the money of a bank payout; the lost database took
/// that event.
async fn swept_away(work: &Work, of: &Submission) -> Result<LookupResult, ReadError> {
    let swept = async {
        let mut db = work.app.store.read().await?;
        let attempts = transactions::attempts_of_submissions(&mut db, std::slice::from_ref(&of.id)).await?;
        drop(db);
        match attempts.first() {
            Some(attempt) => {
                prove::lies(work, attempt.transaction, LookupDepth::PayoutsOfLookedThrough).await
            }
            None => Ok(Ok(MoneyLocation::There)),
        }
    };
    match swept.await {
        Ok(Ok(MoneyLocation::PaidOut(id, fact))) => Ok(LookupResult::There(id, Some(fact))),
        Ok(Ok(MoneyLocation::There | MoneyLocation::CameBack)) => Ok(LookupResult::Absent),
        Ok(Ok(MoneyLocation::NotReported(why))) => Err(why),
        Ok(Err(error)) => Err(error),
        Err(error) => Err(ReadError::Unreachable(format!("{error:?}"))),
    }
}

/// The vendor's objects known for attempts of the same payment.
async fn objects_of(work: &Work, of: &Submission) -> crate::ops::Result<HashSet<String>> {
    let mut db = work.app.store.read().await?;
    let carried = transactions::attempts_of_submissions(&mut db, std::slice::from_ref(&of.id)).await?;
    let ids: Vec<_> = carried.iter().map(|attempt| attempt.transaction).collect();
    let attempts = transactions::attempts(&mut db, &ids).await?;
    Ok(attempts.into_iter().filter_map(|attempt| attempt.vendor_id).collect())
}

/// After a restore: the objects known for the same payment.
type KnownIds = Option<HashSet<String>>;

fn stored(of: &Submission) -> Option<(MoneyRequest, Expect)> {
    let kind = MoneyKind::parse(&of.kind)?;
    let body = of.body.clone().into_bytes();
    let request =
        MoneyRequest::from_stored(kind, of.path.clone(), of.account.clone(), of.key.clone(), body).ok()?;
    let expect = Expect::of(&request).ok()?;
    Some((request, expect))
}

enum LookupResult {
    /// It was made, under this id, with the fact it reports.
    There(String, Option<Fact>),
    /// Stripe has no such object.
    Absent,
    /// There is something that is not clearly ours alone.
    Unclear(String),
}

/// Finds a transfer by its transfer group, which is our transaction; ours is the one with our attempt in its metadata.
/// The payee cannot write that: the transfer belongs to our account.
async fn transfer(
    stripe: &Stripe,
    of: &Submission,
    request: &MoneyRequest,
    (expect, known): (&Expect, &KnownIds),
) -> Result<LookupResult, ReadError> {
    let (transaction, attempt) = (field(request, "transfer_group"), field(request, "metadata[attempt]"));
    let group = stripe.transfers_by_group(&transaction).await?;
    let forgotten = |made: &Transfer| {
        let stands = made.amount_reversed_units < made.amount_units;
        stands && known.as_ref().is_some_and(|known| !known.contains(&made.id))
    };
    let is_ours = |made: &Transfer| made.metadata.get("attempt") == Some(&attempt) || forgotten(made);
    let mut ours = group.into_iter().filter(is_ours);
    let Some(made) = ours.next() else { return Ok(LookupResult::Absent) };
    if ours.next().is_some() {
        return Ok(LookupResult::Unclear(format!(
            "Stripe has more than one transfer with the key {}",
            of.key
        )));
    }
    let same = made.amount_units == expect.amount_units
        && made.currency.eq_ignore_ascii_case(&expect.currency)
        && Some(&made.destination) == expect.destination.as_ref();
    if same {
        Ok(LookupResult::There(made.id, None))
    } else {
        Ok(LookupResult::Unclear(format!(
            "the transfer {} has another amount, currency or destination",
            made.id
        )))
    }
}

/// Finds a bank payout. It is on the payee's own account, where they can write metadata too, so ours must carry our
/// attempt, match what we sent, and have a `payout.created` event that names our key.
async fn payout(
    stripe: &Stripe,
    of: &Submission,
    since: i64,
    request: &MoneyRequest,
    (expect, known): (&Expect, &KnownIds),
) -> Result<LookupResult, ReadError> {
    let (transaction, attempt) =
        (field(request, "metadata[transaction]"), field(request, "metadata[attempt]"));
    let Some(account) = request.account().and_then(ConnectedAccount::parse) else {
        return Ok(LookupResult::Unclear("the payout names no account".to_owned()));
    };
    let all = stripe.payouts_since(&account, since).await?;
    let forgotten = |made: &Payout| {
        let over = matches!(bank::fact(made), Some(Fact::PayoutFailed(_) | Fact::PayoutCanceled(_)));
        made.metadata.get("transaction") == Some(&transaction)
            && !over
            && known.as_ref().is_some_and(|known| !known.contains(&made.id))
    };
    let mut ours = all.into_iter().filter(|made| {
        (made.metadata.get("attempt") == Some(&attempt) || forgotten(made))
            && made.amount_units == expect.amount_units
            && made.currency.eq_ignore_ascii_case(&expect.currency)
            && !made.automatic
    });
    let (made, another) = (ours.next(), ours.next());
    if another.is_some() {
        let key = &of.key;
        return Ok(LookupResult::Unclear(format!(
            "{account} has more than one payout that matches the one with key {key}"
        )));
    }
    let events = stripe.payout_created_events(&account, since).await?;
    // A lost database may have made more attempts: its key has another number.
    let any_number = format!("{}:{transaction}:", Leg::Payout.key_prefix());
    let is_ours = |key: &str| key == request.key() || (known.is_some() && key.starts_with(&any_number));
    let fits = |id: Option<&String>| made.as_ref().is_none_or(|made| id == Some(&made.id));
    let mut ours = events.iter().filter(|event| event.idempotency_key.as_deref().is_some_and(is_ours));
    let named = match known {
        Some(known) => ours.find(|event| {
            let id = event.object_id.as_ref();
            fits(id) && id.is_none_or(|id| !known.contains(id))
        }),
        None => ours.next(),
    };
    let named = named.map(|event| event.object_id.as_deref().unwrap_or("without an id"));
    Ok(match (made, named) {
        (None, None) => LookupResult::Absent,
        (Some(made), Some(id)) if made.id == id => {
            let fact = bank::fact(&made);
            LookupResult::There(made.id, fact)
        }
        (Some(made), _) => LookupResult::Unclear(format!(
            "the payout {} looks like ours, but no event names our key",
            made.id
        )),
        // The payee can overwrite the metadata of payouts on their own account, but not the events.
        (None, Some(id)) => LookupResult::Unclear(format!(
            "an event names our key for the payout {id}, which does not match ours"
        )),
    })
}

async fn reversal(
    stripe: &Stripe,
    request: &MoneyRequest,
    expect: &Expect,
) -> Result<LookupResult, ReadError> {
    let attempt = field(request, "metadata[attempt]");
    let Some(transfer) = &expect.destination else {
        return Ok(LookupResult::Unclear("no transfer is named".to_owned()));
    };
    let all = stripe.reversals(transfer).await?;
    let ours = all.into_iter().find(|made| made.metadata.get("attempt") == Some(&attempt));
    Ok(ours.map_or(LookupResult::Absent, |made| LookupResult::There(made.id, None)))
}
