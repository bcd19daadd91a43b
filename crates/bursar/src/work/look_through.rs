//! Looking for what got no believable answer: lists and objects at the vendor, never a second request.
//!
//! Only Stripe is looked through. At PayPal sending the same bytes again is the look, and `send` does that.

use std::collections::HashSet;

use payout::deadline;
use payout::eligibility::Code;
use payout::money::Vendor;
use payout::transaction::{Fact, Leg};
use vendors::stripe::payout::Payout;
use vendors::stripe::transfer::Transfer;
use vendors::stripe::{ConnectedAccount, Expect, Stripe, payout as bank};
use vendors::{MoneyKind, MoneyRequest, ReadError};

use super::answer::Looked;
use super::prove::{Asks, Lies};
use super::submission::field;
use super::verdict::{self, Judged, Verdict};
use super::{Work, beside, prove, settle};
use crate::ops::record::PAID_OUT;
use crate::ops::vendors as connections;
use crate::store::submissions::{self, Submission};
use crate::store::transactions;

/// What a look through Stripe says of a submission: there, not there, or not to be found out.
pub(super) async fn look_at_stripe(work: &Work, of: &Submission) -> (Judged, Option<Fact>) {
    let (now, longest) = (work.app.clock.now(), work.app.config.longest_wait_us());
    let unsure = || (verdict::not_looked(of, now, longest), None);
    if of.vendor != Vendor::Stripe {
        return (Judged::review(of, "PayPal cannot be looked through by our key"), None);
    }
    let Ok(Some(stripe)) = work.clients.stripe().await else { return unsure() };
    if !stripe.is_of(of.vendor_account.as_deref()) {
        // Another account has nothing of it, which would be taken for never made.
        let (code, (judged, _)) = (Code::OtherVendorAccount, unsure());
        return (Judged { why: code.as_str().to_owned(), detail: code.message().to_owned(), ..judged }, None);
    }
    let Some((request, expect)) = stored(of) else {
        return (Judged::review(of, "the stored request cannot be read back"), None);
    };
    let since = since(work, of, now).await.inspect_err(|error| {
        tracing::warn!(?error, "the payment of what is looked for could not be read");
    });
    let Ok(since) = since else { return unsure() };
    // What a lost database has begun carries attempts that this one never had; what is known here is another attempt's.
    let known = match of.last.as_ref().is_some_and(|(why, _)| why == submissions::PUT_BACK) {
        true => match objects_of(work, of).await {
            Ok(known) => Some(known),
            Err(error) => {
                tracing::warn!(?error, "the payment of what is looked for could not be read");
                return unsure();
            }
        },
        false => None,
    };
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
                Ok(Found::Unclear("a PayPal request at Stripe".to_owned()))
            }
        }
    };
    let found = match work.ask(Vendor::Stripe, looking).await {
        Ok(Found::Absent) if lost_payout => swept_away(work, of).await,
        found => found,
    };
    match found {
        Ok(Found::There(id, fact)) => (Judged::accepted(of, &id, "found"), fact),
        // By a clock that is wrong, keys are of another age and lists begin elsewhere.
        Ok(Found::Absent)
            if work.clients.skew().too_much(of.vendor.as_str())
                && !payout::planted::on("looks_a_minute_back") =>
        {
            unsure()
        }
        Ok(Found::Absent) => absent(work, of, now).await.unwrap_or_else(unsure),
        Ok(Found::Unclear(why)) => (Judged::review(of, why), None),
        Err(ReadError::Credentials(why)) => {
            // What was said last of the submission stays said: it may be what ends it.
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

/// From when on payouts are looked through, in seconds: so long before the payment was promised as in any other look. Ours is
/// known by our key and our attempt; the time only keeps the list short, so it need not be near.
async fn since(work: &Work, of: &Submission, now: i64) -> crate::ops::Result<i64> {
    if payout::planted::on("looks_a_minute_back") {
        return Ok(of.first_sent_at.unwrap_or(of.created_at) / 1_000_000 - 60);
    }
    let mut db = work.app.store.read().await?;
    let attempts = transactions::attempts_of_submissions(&mut db, std::slice::from_ref(&of.id)).await?;
    let ids: Vec<_> = attempts.iter().map(|attempt| attempt.transaction).collect();
    let promised = transactions::several(&mut db, &ids).await?.into_iter().map(|one| one.created_at).min();
    Ok((promised.unwrap_or(of.created_at).min(of.created_at).min(now) / 1_000_000) - beside::EARLIER_S)
}

/// Whether Stripe has said how the transfer of a bank payout stands. A lost database may have taken it back: that is recorded
/// before its bank payout can be sent, whose gate then closes.
async fn transfer_is_known(work: &Work, of: &Submission) -> bool {
    let asked = async {
        let mut db = work.app.store.read().await?;
        let attempts = transactions::attempts_of_submissions(&mut db, std::slice::from_ref(&of.id)).await?;
        drop(db);
        let mut looked = Looked::Through;
        for attempt in attempts {
            looked = looked.max(settle::look(work, attempt.transaction).await?);
        }
        Ok::<_, crate::ops::OpsError>(looked)
    };
    match asked.await {
        Ok(looked) => looked != Looked::NotAnswered,
        Err(error) => {
            tracing::warn!(?error, "the transfer of a bank payout could not be asked about");
            false
        }
    }
}

/// Stripe has nothing of it. A bank payout that was not sent once more, because a payout of Stripe's own had taken its money,
/// was paid by that one, once it is known that nothing of ours was made. `None` while that is not told.
async fn absent(work: &Work, of: &Submission, now: i64) -> Option<(Judged, Option<Fact>)> {
    let judged = verdict::stripe_absent(of, now);
    if judged.stopped_by() != Some(PAID_OUT) || !matches!(judged.verdict, Verdict::Refused(_)) {
        return Some((judged, None));
    }
    match swept_away(work, of).await {
        Ok(Found::There(id, fact)) => Some((Judged::accepted(of, &id, "found"), fact)),
        Ok(Found::Absent | Found::Unclear(_)) => Some((judged, None)),
        // Stripe tells it within hours. What it hides for longer is asked of the transfer from then on.
        Err(_) if of.looked_at.is_some_and(|first| now.saturating_sub(first) < deadline::UNSEEN_US) => None,
        Err(_) => Some((judged, None)),
    }
}

/// Stripe's own schedule may have paid out in the time that is lost what a bank payout should pay; the event of that was
/// taken by the lost database.
async fn swept_away(work: &Work, of: &Submission) -> Result<Found, ReadError> {
    let swept = async {
        let mut db = work.app.store.read().await?;
        let attempts = transactions::attempts_of_submissions(&mut db, std::slice::from_ref(&of.id)).await?;
        drop(db);
        match attempts.first() {
            Some(attempt) => prove::lies(work, attempt.transaction, Asks::PayoutsOfLookedThrough).await,
            None => Ok(Ok(Lies::There)),
        }
    };
    match swept.await {
        Ok(Ok(Lies::PaidOut(id, fact))) => Ok(Found::There(id, Some(fact))),
        Ok(Ok(Lies::There | Lies::CameBack)) => Ok(Found::Absent),
        Ok(Ok(Lies::NotTold(why))) => Err(why),
        Ok(Err(error)) => Err(error),
        Err(error) => Err(ReadError::Unreachable(format!("{error:?}"))),
    }
}

/// The vendor's objects that attempts of the same payment are known to have.
async fn objects_of(work: &Work, of: &Submission) -> crate::ops::Result<HashSet<String>> {
    let mut db = work.app.store.read().await?;
    let carried = transactions::attempts_of_submissions(&mut db, std::slice::from_ref(&of.id)).await?;
    let ids: Vec<_> = carried.iter().map(|attempt| attempt.transaction).collect();
    let attempts = transactions::attempts(&mut db, &ids).await?;
    Ok(attempts.into_iter().filter_map(|attempt| attempt.vendor_id).collect())
}

/// What is known of the objects of the same payment, where the database was put back.
type Known = Option<HashSet<String>>;

fn stored(of: &Submission) -> Option<(MoneyRequest, Expect)> {
    let kind = MoneyKind::parse(&of.kind)?;
    let body = of.body.clone().into_bytes();
    let request =
        MoneyRequest::from_stored(kind, of.path.clone(), of.account.clone(), of.key.clone(), body).ok()?;
    let expect = Expect::of(&request).ok()?;
    Some((request, expect))
}

enum Found {
    /// It was made, under this id; what it says of itself.
    There(String, Option<Fact>),
    /// Stripe has nothing like it.
    Absent,
    /// Something is there that is not clearly ours alone.
    Unclear(String),
}

/// A transfer is found by its group, which is our transaction; ours is the one with our attempt on it. The payee cannot
/// write on it: it belongs to our own account.
async fn transfer(
    stripe: &Stripe,
    of: &Submission,
    request: &MoneyRequest,
    (expect, known): (&Expect, &Known),
) -> Result<Found, ReadError> {
    let (transaction, attempt) = (field(request, "transfer_group"), field(request, "metadata[attempt]"));
    let group = stripe.transfers_by_group(&transaction).await?;
    let forgotten = |made: &Transfer| {
        let stands = made.amount_reversed_units < made.amount_units;
        stands && known.as_ref().is_some_and(|known| !known.contains(&made.id))
    };
    let is_ours = |made: &Transfer| made.metadata.get("attempt") == Some(&attempt) || forgotten(made);
    let mut ours = group.into_iter().filter(is_ours);
    let Some(made) = ours.next() else { return Ok(Found::Absent) };
    if ours.next().is_some() {
        return Ok(Found::Unclear(format!("Stripe has more than one transfer for the key {}", of.key)));
    }
    let same = made.amount_units == expect.amount_units
        && made.currency.eq_ignore_ascii_case(&expect.currency)
        && Some(&made.destination) == expect.destination.as_ref();
    if same {
        Ok(Found::There(made.id, None))
    } else {
        Ok(Found::Unclear(format!("the transfer {} has another amount, currency or destination", made.id)))
    }
}

/// A payout lies on the payee's own account, where they can write metadata too. Ours is the one that carries our attempt
/// and agrees with what we sent, and whose `payout.created` event names our key.
async fn payout(
    stripe: &Stripe,
    of: &Submission,
    since: i64,
    request: &MoneyRequest,
    (expect, known): (&Expect, &Known),
) -> Result<Found, ReadError> {
    let (transaction, attempt) =
        (field(request, "metadata[transaction]"), field(request, "metadata[attempt]"));
    let Some(account) = request.account().and_then(ConnectedAccount::parse) else {
        return Ok(Found::Unclear("the payout names no account".to_owned()));
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
        return Ok(Found::Unclear(format!("{account} has more than one payout like the one under {key}")));
    }
    let events = stripe.payout_created_events(&account, since).await?;
    // A lost database may have tried more often: its key has another number.
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
        (None, None) => Found::Absent,
        (Some(made), Some(id)) if made.id == id => {
            let fact = bank::fact(&made);
            Found::There(made.id, fact)
        }
        (Some(made), _) => {
            Found::Unclear(format!("the payout {} looks like ours, but no event names our key", made.id))
        }
        // The payee can write over the metadata of their own account's payouts; they cannot write our events.
        (None, Some(id)) => Found::Unclear(format!(
            "an event names our key for the payout {id}, which does not look like ours"
        )),
    })
}

async fn reversal(stripe: &Stripe, request: &MoneyRequest, expect: &Expect) -> Result<Found, ReadError> {
    let attempt = field(request, "metadata[attempt]");
    let Some(transfer) = &expect.destination else {
        return Ok(Found::Unclear("no transfer is named".to_owned()));
    };
    let all = stripe.reversals(transfer).await?;
    let ours = all.into_iter().find(|made| made.metadata.get("attempt") == Some(&attempt));
    Ok(ours.map_or(Found::Absent, |made| Found::There(made.id, None)))
}
