//! Looking for what got no believable answer: lists and objects at the vendor, never a second request.
//!
//! Only Stripe is looked through. At PayPal sending the same bytes again is the look, and `send` does that.

use payout::eligibility::Code;
use payout::money::Vendor;
use payout::transaction::Fact;
use vendors::stripe::{ConnectedAccount, Expect, Stripe, payout as bank};
use vendors::{MoneyKind, MoneyRequest, ReadError};

use super::verdict::{self, Judged};
use super::{Done, Work, send};
use crate::ops::{safe_mode, vendors as connections};
use crate::store::submissions::Submission;
use crate::store::transactions;

const DAY_US: i64 = 86_400_000_000;

/// One pass: looks for the submissions that are due to be looked for.
///
/// # Errors
/// When the database does not answer.
pub async fn once(work: &Work, now: i64) -> Done {
    let mut db = work.app.store.read().await?;
    let safe = safe_mode::on(&mut db).await?;
    drop(db);
    if safe {
        return Ok(0);
    }
    let mut looked = 0;
    for vendor in Vendor::ALL {
        looked += send::look(work, vendor, now).await?;
    }
    Ok(looked)
}

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
    let since = match since(work, of, now).await {
        Ok(since) => since,
        Err(error) => {
            tracing::warn!(?error, "the payment of what is looked for could not be read");
            return unsure();
        }
    };
    let looking = async {
        match request.kind() {
            MoneyKind::Transfer => transfer(&stripe.client, of, &request, &expect).await,
            MoneyKind::Payout => payout(&stripe.client, of, since, &request, &expect).await,
            MoneyKind::Reversal => reversal(&stripe.client, &request, &expect).await,
            MoneyKind::Batch | MoneyKind::Cancel => {
                Ok(Found::Unclear("a PayPal request at Stripe".to_owned()))
            }
        }
    };
    match work.ask(Vendor::Stripe, looking).await {
        Ok(Found::There(id, fact)) => (Judged::accepted(of, &id, "found"), fact),
        // By a clock that is wrong, keys are of another age and lists begin elsewhere.
        Ok(Found::Absent)
            if work.clients.skew().too_much(of.vendor.as_str())
                && !payout::planted::on("looks_a_minute_back") =>
        {
            unsure()
        }
        Ok(Found::Absent) => (verdict::stripe_absent(of, now), None),
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

/// From when on payouts are looked through, in seconds: a day before the payment was promised. Ours is known by our key and
/// our attempt; the time only keeps the list short, so it need not be near.
async fn since(work: &Work, of: &Submission, now: i64) -> crate::ops::Result<i64> {
    if payout::planted::on("looks_a_minute_back") {
        return Ok(of.first_sent_at.unwrap_or(of.created_at) / 1_000_000 - 60);
    }
    let mut db = work.app.store.read().await?;
    let attempts = transactions::attempts_of_submissions(&mut db, std::slice::from_ref(&of.id)).await?;
    let ids: Vec<_> = attempts.iter().map(|attempt| attempt.transaction).collect();
    let promised = transactions::several(&mut db, &ids).await?.into_iter().map(|one| one.created_at).min();
    Ok((promised.unwrap_or(of.created_at).min(of.created_at).min(now) - DAY_US) / 1_000_000)
}

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
    expect: &Expect,
) -> Result<Found, ReadError> {
    let (transaction, attempt) = (field(request, "transfer_group"), field(request, "metadata[attempt]"));
    let group = stripe.transfers_by_group(&transaction).await?;
    let mut ours = group.into_iter().filter(|made| made.metadata.get("attempt") == Some(&attempt));
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
    expect: &Expect,
) -> Result<Found, ReadError> {
    let attempt = field(request, "metadata[attempt]");
    let Some(account) = request.account().and_then(ConnectedAccount::parse) else {
        return Ok(Found::Unclear("the payout names no account".to_owned()));
    };
    let all = stripe.payouts_since(&account, since).await?;
    let mut ours = all.into_iter().filter(|made| {
        made.metadata.get("attempt") == Some(&attempt)
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
    let named = events.iter().find(|event| event.idempotency_key.as_deref() == Some(request.key()));
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

/// A field of a request's stored form.
pub(super) fn field(request: &MoneyRequest, name: &str) -> String {
    url::form_urlencoded::parse(request.body())
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default()
}
