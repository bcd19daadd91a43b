//! Vendors' behavior in a scenario: faults, balances, and events that must not be believed.

use bursar::ops::brake;
use bursar::ops::safe_mode::{self, Vouched};
use bursar::ops::vendors::Credentials;
use bursar::store::aside;
use bursar::store::events::{self, New};
use bursar::store::meta;
use bursar::store::sealed::Column;
use bursar::store::transactions::{self, Transaction};
use bursar::store::vendors as connections;
use bursar::transact;
use bursar::work::connect;
use hmac::{Hmac, KeyInit as _, Mac as _};
use payout::money::{Money, Vendor};
use payout::payee::Destination;
use payout::transaction::Leg;
use serde_json::{Value, json};
use sha2::Sha256;
use simulator::{Call, Delivery, Fault, FaultKind};

use super::Outcome;
use super::cast::{Cast, odd};
use super::plot::span;
use crate::world::{SECOND, World, check};

pub async fn line(world: &World, cast: &Cast, first: &str, rest: &[&str]) -> Outcome {
    match (first, rest) {
        ("vendor", [whom, fault @ ..]) => plant(world, whose(world, cast, whom).await?, fault)?,
        ("balance", [vendor, value, currency @ ..]) => {
            let currency = currency.first().copied().unwrap_or("USD");
            let vendor = named(vendor)?;
            world.simulator.set_balance(vendor, currency, units(vendor, check::money(value, currency)?));
        }
        ("mend", [who]) => world.simulator.mend(destination(world, cast, who).await?.address()),
        ("drain", [who]) => world.simulator.drain(destination(world, cast, who).await?.address(), "USD"),
        ("reverse" | "reverse-payout", [who, what @ ..]) => {
            let transaction = cast.transaction(world, who).await?;
            reversed(world, &transaction, first, what)?;
        }
        ("keys", ["forgotten"]) => world.simulator.forget_keys(),
        ("fees" | "items" | "lists" | "pages", [how]) => shown(world, first, how)?,
        ("set-aside", [who]) => set_aside(world, cast, who).await?,
        ("close-bank", [who, currency]) => {
            world.simulator.close_bank(destination(world, cast, who).await?.address(), currency);
        }
        ("disconnect", [who]) => world.simulator.disconnect(destination(world, cast, who).await?.address()),
        ("give-access", [who]) => world.simulator.give_access(destination(world, cast, who).await?.address()),
        ("daily", [who]) => world.simulator.pay_daily(destination(world, cast, who).await?.address()),
        ("write-over", [who]) => {
            world.simulator.write_over(destination(world, cast, who).await?.address(), "attempt");
        }
        ("heal", []) => world.simulator.heal(),
        ("clock", ["ahead", seconds]) => ahead(world, seconds)?,
        ("clock", [worker, "ahead", seconds]) => {
            let worker: usize = worker.parse().map_err(|_| "whose clock?")?;
            let seconds: i64 = seconds.parse().map_err(|_| "by how many seconds?")?;
            if !world.move_clock(worker.saturating_sub(1), seconds * SECOND) {
                return Err("it has no clock of its own".to_owned());
            }
        }
        ("safe-mode", [state]) => safe_mode(world, *state == "on").await?,
        ("brake", [state]) => brake(world, *state == "on").await?,
        ("forget", ["accounts"]) => world.forget_accounts().await,
        ("forget", ["token"]) => world.simulator.forget_token(),
        ("reconnect", ["stripe"]) => {
            connect::stripe(&world.works[0], &world.actor, "sk_test_sim", "test").await.map_err(odd)?;
        }
        ("reconnect", ["paypal"]) => {
            let (work, actor) = (&world.works[0], &world.actor);
            connect::paypal(work, actor, "sim_client", "sim_secret", "sandbox").await.map_err(odd)?;
        }
        ("reconnect", [vendor, "other-account"]) => {
            return to_other_account(world, vendor).await.map_err(odd);
        }
        ("switch", [vendor, "other-account"]) => return switch(world, vendor).await,
        ("webhook", [who, "again"]) => {
            let transaction = cast.transaction(world, who).await?;
            return again(world, &transaction).await;
        }
        ("webhook", [who, claim, wrong @ ..]) => {
            let transaction = cast.transaction(world, who).await?;
            return made_by_hand(world, &transaction, claim, &wrong.join(" ")).await;
        }
        _ => return Err("this line cannot be read".to_owned()),
    }
    Ok(())
}

/// Reverses a payment's transfer or bank payout in Stripe's dashboard.
fn reversed(world: &World, of: &Transaction, word: &str, what: &[&str]) -> Outcome {
    let (id, stripe) = (of.id.to_string(), simulator::Vendor::Stripe);
    let done = match (word, what) {
        ("reverse-payout", _) => world.simulator.reverse_payout(&id),
        (_, ["first"]) => world.simulator.reverse_first(&id),
        (_, [value, ..]) => {
            let part = units(stripe, check::money(value, of.terms.net.currency.code())?);
            world.simulator.reverse(&id, Some(part))
        }
        (_, []) => world.simulator.reverse(&id, None),
    };
    if done { Ok(()) } else { Err("there is nothing of it to reverse".to_owned()) }
}

/// Sets how much of their data the vendors show.
fn shown(world: &World, what: &str, how: &str) -> Outcome {
    let vendors = &world.simulator;
    match what {
        "fees" => vendors.hide_fees(how == "hidden"),
        "items" => vendors.list_items_late(how == "late"),
        "lists" => vendors.lists_behind(if how == "late" { 60 * SECOND } else { 0 }),
        _ if how == "whole" => vendors.longest_page(usize::MAX),
        _ => vendors.longest_page(how.parse().map_err(|_| "how long?")?),
    }
    Ok(())
}

/// Our clock runs this many seconds ahead of the vendors', implemented by moving theirs back.
fn ahead(world: &World, seconds: &str) -> Outcome {
    let seconds: i64 = seconds.parse().map_err(|_| "by how many seconds?")?;
    world.simulator.move_ahead(-seconds * SECOND);
    Ok(())
}

/// Saves credentials of another vendor account, as an administrator would.
pub async fn to_other_account(world: &World, vendor: &str) -> bursar::ops::Result<()> {
    world.other_account();
    let (work, actor) = (&world.works[0], &world.actor);
    match vendor {
        "stripe" => connect::stripe(work, actor, "sk_test_other", "test").await,
        _ => connect::paypal(work, actor, "other_client", "other_secret", "sandbox").await,
    }
}

/// Replaces the credentials in the database with another account's, bypassing the checks made when saving, as in a
/// hand-assembled database.
async fn switch(world: &World, vendor: &str) -> Outcome {
    world.other_account();
    let (credentials, account) = match vendor {
        "stripe" => {
            let secret_key = "sk_test_other".to_owned();
            (Credentials::Stripe { secret_key, platform: None, connect: None }, "acct_other_platform/test")
        }
        _ => {
            let (client_id, client_secret) = ("other_client".to_owned(), "other_secret".to_owned());
            (Credentials::PayPal { client_id, client_secret, webhook_id: None }, "other_client/sandbox")
        }
    };
    let plain = serde_json::to_string(&credentials).map_err(|error| error.to_string())?;
    let vendor = credentials.vendor();
    let sealed =
        world.app.master_key.seal(&world.app.clock, &Column::Connection.place(vendor.as_str()), &plain);
    let mut db = world.app.store.read().await.unwrap();
    let before = connections::all(&mut db).await.unwrap().into_iter().find(|one| one.vendor == vendor);
    drop(db);
    let before = before.ok_or("the vendor is not connected")?;
    let after = connections::Connection { sealed, account: Some(account.to_owned()), ..before };
    let put: bursar::ops::Result<()> = transact!(world.app, |tx| { Ok(connections::put(tx, &after).await?) });
    put.map_err(odd)
}

/// As after a pass that failed on a queued payment's record.
async fn set_aside(world: &World, cast: &Cast, who: &str) -> Outcome {
    let transaction = cast.transaction(world, who).await?;
    let set: bursar::ops::Result<()> = transact!(world.app, |tx| {
        let now = world.now();
        for attempt in transactions::attempts(tx, &[transaction.id]).await? {
            aside::attempt(tx, &attempt.id.to_string(), "for a test", now + 3_600 * SECOND, now).await?;
        }
        Ok(())
    });
    set.map_err(odd)
}

/// As after a check found a violated invariant, or after an administrator released the brake.
async fn brake(world: &World, on: bool) -> Outcome {
    if !on {
        return brake::release(&world.app, &world.actor, "looked").await.map_err(odd);
    }
    let broken =
        json!([{ "id": "I05", "says": "every journal sums to zero in every currency", "what": "jrn_1" }]);
    let state = json!({ "at": world.now(), "broken": broken }).to_string();
    let set: bursar::ops::Result<()> =
        transact!(world.app, |tx| { Ok(meta::set(tx, "brake", &state).await?) });
    set.map_err(odd)
}

/// A person turns safe mode on or off.
pub async fn safe_mode(world: &World, on: bool) -> Outcome {
    let switched = match on {
        true => safe_mode::switch_on(&world.app, &world.actor, None, "").await,
        false => safe_mode::leave(&world.app, &world.actor, Vouched { compared: &[], reentered: true }).await,
    };
    switched.map_err(odd)?;
    world.memory.safe_mode(world.vendors_now(), on);
    Ok(())
}

/// Leaving safe mode must be refused with this code.
pub async fn refuse_to_leave(world: &World, code: &str) -> Outcome {
    match safe_mode(world, false).await {
        Ok(()) => Err("it was done".to_owned()),
        Err(message) if message.contains(code) => Ok(()),
        Err(message) => Err(message),
    }
}

pub fn named(vendor: &str) -> Result<simulator::Vendor, String> {
    match vendor {
        "stripe" => Ok(simulator::Vendor::Stripe),
        "paypal" => Ok(simulator::Vendor::PayPal),
        _ => Err(format!("{vendor} is no vendor")),
    }
}

/// An amount in a vendor's own minor units.
pub fn units(vendor: simulator::Vendor, money: Money) -> i64 {
    let vendor = match vendor {
        simulator::Vendor::Stripe => Vendor::Stripe,
        simulator::Vendor::PayPal => Vendor::PayPal,
    };
    if money.minor == 0 { 0 } else { money.at(vendor).map_or(0, |amount| amount.units) }
}

/// The named vendor, or the one a payee is paid through.
async fn whose(world: &World, cast: &Cast, whom: &str) -> Result<simulator::Vendor, String> {
    if let Ok(vendor) = named(whom) {
        return Ok(vendor);
    }
    named(destination(world, cast, whom).await?.vendor().as_str())
}

async fn destination(world: &World, cast: &Cast, whom: &str) -> Result<Destination, String> {
    let payee = cast.payee(whom)?;
    let mut db = world.app.store.read().await.unwrap();
    let profile = bursar::store::payees::profile_of(&mut db, payee).await.unwrap();
    Ok(profile.ok_or(format!("{whom} has no profile"))?.destination)
}

/// Parses `answer lost on payout after 1 times 2`.
fn plant(world: &World, vendor: simulator::Vendor, words: &[&str]) -> Outcome {
    let known = ["on", "after", "times"];
    let end = words.iter().position(|word| known.contains(word)).unwrap_or(words.len());
    let (what, how) = words.split_at(end);
    let kind = kind(what)?;
    let webhook = what.first() == Some(&"webhook");
    let first = if vendor == simulator::Vendor::Stripe { Call::Transfer } else { Call::Batch };
    let (mut call, mut skip, mut times) = (if webhook { Call::Webhook } else { first }, 0, 1);
    for pair in how.chunks(2) {
        match pair {
            ["on", name] => {
                let named = serde_json::from_value(json!(name));
                call = named.map_err(|_| format!("there is no call {name}"))?;
            }
            ["after", count] => skip = count.parse().map_err(|_| "after how many?")?,
            ["times", count] => times = count.parse().map_err(|_| "how often?")?,
            _ => return Err("this fault cannot be read".to_owned()),
        }
    }
    world.simulator.plant(Fault { vendor, call, kind, skip, times });
    Ok(())
}

fn kind(what: &[&str]) -> Result<FaultKind, String> {
    let number = |text: &str| text.parse::<u64>().map_err(|_| format!("{text} is no number"));
    Ok(match what {
        ["answer", "lost"] => FaultKind::AnswerLost,
        ["cut", "in", "body"] => FaultKind::CutInBody,
        ["refuse", "connection"] => FaultKind::RefuseConnection,
        ["stored", "500"] => FaultKind::Stored500,
        ["executed", "500"] => FaultKind::Executed500,
        ["503"] => FaultKind::Status503,
        ["429", "retry-after", seconds] => FaultKind::RateLimited { retry_after_s: number(seconds)? },
        ["lock", "timeout"] => FaultKind::LockTimeout,
        ["in", "use"] => FaultKind::InUse409,
        ["401"] => FaultKind::Unauthorized401,
        ["html"] => FaultKind::Html200,
        ["other", "amount"] => FaultKind::OtherAmount,
        ["repeated"] => FaultKind::Repeated,
        ["other", "status"] => FaultKind::OtherStatus,
        ["slow", millis] => FaultKind::SlowDrip { millis: number(millis)? },
        ["webhook", "lost"] => FaultKind::Lost,
        ["webhook", "doubled"] => FaultKind::Doubled,
        ["webhook", "reordered"] => FaultKind::Reordered,
        ["webhook", "early"] => FaultKind::Early,
        ["webhook", "forged"] => FaultKind::Forged,
        ["webhook", "late", count, unit] => FaultKind::Late { micros: span(count, unit)? },
        _ => return Err(format!("there is no fault {}", what.join(" "))),
    })
}

/// Redelivers the last event about a transaction, byte for byte.
async fn again(world: &World, about: &Transaction) -> Outcome {
    let id = about.id.to_string();
    let received = world.received();
    let names_it = |delivery: &&Delivery| String::from_utf8_lossy(&delivery.body).contains(&id);
    let last = received.iter().rfind(names_it).ok_or("nothing was delivered about it")?;
    match world.post(last).await {
        200 => Ok(()),
        status => Err(format!("it was answered {status}")),
    }
}

/// An event that claims something about a payment, valid except for the named defect. The claim may be false.
async fn made_by_hand(world: &World, about: &Transaction, claim: &str, wrong: &str) -> Outcome {
    let mut db = world.app.store.read().await.unwrap();
    let attempts = transactions::attempts(&mut db, &[about.id]).await.unwrap();
    let leg = if about.terms.vendor == Vendor::Stripe { Leg::Payout } else { Leg::Item };
    let number = wrong.strip_prefix("of ").and_then(|number| number.parse::<i64>().ok());
    let of_leg = attempts.into_iter().filter(|one| one.leg == leg);
    let newest =
        of_leg.filter(|one| number.is_none_or(|number| one.number == number)).max_by_key(|one| one.number);
    drop(db);
    let ours = about.id.to_string();
    let unknown = || {
        let items = world.simulator.books().items;
        items.into_iter().find(|item| item.sender_item_id.as_deref() == Some(&ours)).map(|item| item.id)
    };
    let object = newest.and_then(|one| one.vendor_id).or_else(unknown);
    let keyless = wrong == "keyless";
    if keyless && about.terms.vendor == Vendor::PayPal {
        return Err("PayPal signs with no secret of ours".to_owned());
    }
    let object = object.or(keyless.then(|| "po_unknown".to_owned()));
    let object = object.ok_or("the vendor has nothing of it yet")?;
    match about.terms.vendor {
        Vendor::Stripe => by_stripe(world, about, &object, claim, wrong).await,
        Vendor::PayPal => by_paypal(world, about, &object, claim).await,
    }
}

async fn by_stripe(world: &World, about: &Transaction, payout: &str, claim: &str, wrong: &str) -> Outcome {
    let account = if wrong == "other account" { "acct_other" } else { about.destination.address() };
    let object = if wrong == "unknown object" { "po_unknown" } else { payout };
    let units = about.terms.net.at(Vendor::Stripe).map_or(0, |amount| amount.units);
    let event = json!({
        "id": format!("evt_hand_{}", world.app.clock.random()),
        "object": "event",
        "api_version": "2026-05-27.dahlia",
        "created": world.now() / SECOND,
        "type": format!("payout.{claim}"),
        "livemode": wrong == "live mode",
        "account": account,
        "data": {"object": {"id": object, "object": "payout", "amount": units, "status": claim}},
    });
    let body = event.to_string();
    let age = if wrong == "stale" { 301 } else { 0 };
    let time = world.now() / SECOND - age;
    let secret = match wrong {
        "unsigned" => "whsec_guessed".to_owned(),
        "keyless" => String::new(),
        _ => connect_secret(world).await?,
    };
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).map_err(|error| error.to_string())?;
    mac.update(format!("{time}.{body}").as_bytes());
    let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    let delivery = Delivery {
        id: 0,
        vendor: simulator::Vendor::Stripe,
        url: format!("{}/webhooks/stripe-connect", world.app.base_url),
        headers: vec![("stripe-signature".to_owned(), format!("t={time},v1={hex}"))],
        body: body.into_bytes(),
        event_type: format!("payout.{claim}"),
        event_id: String::new(),
        object_id: object.to_owned(),
    };
    let forged = matches!(wrong, "unsigned" | "stale" | "keyless");
    match world.post(&delivery).await {
        200 if forged => {
            world.memory.saw(format!("I18: an event that is {wrong} was taken"));
            Ok(())
        }
        200 => Ok(()),
        400 if forged => Ok(()),
        // Without a known secret no event is accepted.
        503 if wrong == "keyless" => Ok(()),
        status => Err(format!("it was answered {status}")),
    }
}

async fn connect_secret(world: &World) -> Result<String, String> {
    let mut db = world.app.store.read().await.unwrap();
    let all = connections::all(&mut db).await.unwrap();
    let opened = all.iter().filter_map(|one| Credentials::open(&world.app.master_key, one));
    let secrets = opened.filter_map(|one| match one {
        Credentials::Stripe { connect, .. } => connect.map(|(_, secret)| secret),
        Credentials::PayPal { .. } => None,
    });
    secrets.last().ok_or_else(|| "Stripe is not connected".to_owned())
}

/// PayPal's events can be signed only with the simulator's key, so this one is stored as if verified.
async fn by_paypal(world: &World, about: &Transaction, item: &str, claim: &str) -> Outcome {
    let books = world.simulator.books();
    let line = books.items.iter().find(|line| line.id == item).ok_or("PayPal has no such item")?;
    let event_id = format!("WH-HAND-{}", world.app.clock.random());
    let event_type = format!("PAYMENT.PAYOUTS-ITEM.{}", claim.to_uppercase());
    let body: Value = json!({
        "id": event_id,
        "event_version": "1.0",
        "create_time": bursar::clock::rfc3339(world.now()),
        "resource_type": "payouts_item",
        "event_type": event_type,
        "resource": {
            "payout_item_id": item,
            "payout_batch_id": line.batch,
            "sender_batch_id": books.batches.iter().find(|batch| batch.id == line.batch)
                .and_then(|batch| batch.sender_batch_id.clone()),
            "transaction_status": claim.to_uppercase(),
            "payout_item": {"sender_item_id": about.id.to_string(), "receiver": line.receiver},
        },
    });
    let new = New {
        id: format!("evt_{}", payout::ids::encode(world.app.clock.random())),
        vendor: Vendor::PayPal,
        endpoint: "paypal",
        event_id,
        event_type,
        account: None,
        object_id: Some(line.batch.clone()),
        body: body.to_string(),
        headers: "{}".to_owned(),
        received_at: world.now(),
    };
    let stored: bursar::ops::Result<u64> =
        transact!(world.app, |tx| { Ok(events::store(tx, std::slice::from_ref(&new)).await?) });
    stored.map(|_| ()).map_err(odd)
}
