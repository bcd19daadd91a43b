//! Sending: from queued attempts to recorded answers at vendors that answer immediately, compared with the same number
//! of bare POSTs over as many connections.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use bursar::store::transactions::{self, Filter};
use bursar::work::dispatch;
use payout::money::Vendor;
use payout::transaction::State;

use crate::load::{self, Connection, Load};
use crate::meter::{self, Measured, Meter};
use crate::report::{self, Row};
use crate::world::{self, World, failed};
use crate::{Failure, Threads};

/// As many concurrent requests as the program sends.
const CONNECTIONS: usize = 30;
/// As many items as the program puts in a PayPal batch.
const ITEMS: usize = 1_000;

/// The vendors the payments go through.
#[derive(Clone, Copy)]
pub enum Through {
    Both,
    Stripe,
    PayPal,
}

impl Through {
    pub fn label(self) -> &'static str {
        match self {
            Self::Both => "Stripe and PayPal",
            Self::Stripe => "Stripe alone",
            Self::PayPal => "PayPal alone",
        }
    }

    /// The vendor, if there is only one.
    pub fn only(self) -> Option<Vendor> {
        match self {
            Self::Both => None,
            Self::Stripe => Some(Vendor::Stripe),
            Self::PayPal => Some(Vendor::PayPal),
        }
    }

    fn payments(self, all: usize) -> (usize, usize) {
        match self {
            Self::Both => (all - all / 2, all / 2),
            Self::Stripe => (all, 0),
            Self::PayPal => (0, all),
        }
    }
}

/// Measures the floor, then sends what is queued.
pub async fn measure(
    world: &World,
    threads: &Threads,
    through: Through,
    payments: usize,
) -> Result<(), Failure> {
    let floor = bare(threads, through, payments).await?;
    let name = format!("bare POSTs, {}", through.label());
    report::row(&Row { name: &name, measured: &floor, floor: None, step: "POST" });

    let (before, meter) = (sent(world).await?, world.meter());
    let mut steps = Vec::new();
    loop {
        let began = meter::now_us();
        if pass(world).await? == 0 {
            break;
        }
        steps.push(meter::now_us() - began);
    }
    let measured = meter.stop(payments, steps);
    let done = sent(world).await? - before;
    if done != payments {
        return Err(format!("{done} of {payments} payments were sent").into());
    }
    let name = format!("sending {payments}, {}", through.label());
    report::row(&Row { name: &name, measured: &measured, floor: Some(&floor), step: "pass" });
    report::bound(&measured, &format!("{} passes", measured.steps_us.len()));
    Ok(())
}

/// One pass of each sending loop, concurrently as in production.
async fn pass(world: &World) -> Result<usize, Failure> {
    let (work, now) = (&world.work, world.app.clock.now());
    let stripe = dispatch::once(work, Vendor::Stripe, now);
    let paypal = dispatch::once(work, Vendor::PayPal, now);
    let (stripe, paypal, funds) =
        tokio::try_join!(stripe, paypal, dispatch::funds(work, now)).map_err(failed)?;
    Ok(stripe + paypal + funds)
}

/// The number of payments in flight or settled.
async fn sent(world: &World) -> Result<usize, Failure> {
    let states = vec![State::InTransit, State::Processing, State::Success];
    let filter = Filter { states: Some(states), ..Filter::default() };
    let mut db = world.app.store.read().await?;
    Ok(transactions::list(&mut db, &filter, i64::from(i32::MAX)).await?.len())
}

/// Sends prepared requests for the same transfers, payouts and batches to fresh vendors.
async fn bare(threads: &Threads, through: Through, payments: usize) -> Result<Measured, Failure> {
    let (_simulator, vendors_at) = world::vendors(threads, &Arc::new(AtomicI64::new(0))).await?;
    let (stripe, paypal) = through.payments(payments);
    let transfers: Vec<Vec<u8>> = (0..stripe).map(transfer).collect();
    let mut payouts: Vec<Vec<u8>> = (0..stripe).map(bank_payout).collect();
    let token = token(vendors_at).await?;
    let batches: Vec<usize> = (0..paypal).step_by(ITEMS).collect();
    payouts.extend(batches.iter().map(|first| batch(*first, (paypal - first).min(ITEMS), &token)));
    let on = threads.client.handle();
    let loads =
        [Load::open(on, vendors_at, CONNECTIONS).await?, Load::open(on, vendors_at, CONNECTIONS).await?];
    let meter = Meter::start(None);
    let mut took = Vec::new();
    for (load, requests) in loads.into_iter().zip([transfers, payouts]) {
        took.extend(load.drive(&Arc::new(requests)).await?);
    }
    Ok(meter.stop(payments, took))
}

fn stripe_post(path: &str, key: &str, account: Option<&str>, body: &str) -> Vec<u8> {
    let mut headers = vec![
        ("authorization", "Bearer sk_test_sim"),
        ("content-type", "application/x-www-form-urlencoded"),
        ("idempotency-key", key),
    ];
    headers.extend(account.map(|account| ("stripe-account", account)));
    load::request("POST", path, &headers, body.as_bytes())
}

fn transfer(place: usize) -> Vec<u8> {
    let body = format!(
        "amount=42000&currency=usd&destination=acct_bench{place:05}&transfer_group=ptx_{place:026}\
         &metadata%5Battempt%5D=atm_{place:026}&metadata%5Btransaction%5D=ptx_{place:026}&description=PT-{place:06}"
    );
    stripe_post("/v1/transfers", &format!("tr:{place}:1"), None, &body)
}

fn bank_payout(place: usize) -> Vec<u8> {
    let body = format!(
        "amount=42000&currency=usd&metadata%5Battempt%5D=atm_{place:026}\
         &metadata%5Btransaction%5D=ptx_{place:026}&statement_descriptor=PT-{place:06}"
    );
    stripe_post("/v1/payouts", &format!("po:{place}:1"), Some(&format!("acct_bench{place:05}")), &body)
}

fn batch(first: usize, count: usize, token: &str) -> Vec<u8> {
    let item = |place: usize| {
        format!(
            r#"{{"recipient_type":"EMAIL","receiver":"partner{place:05}@bench.example","amount":{{"value":"420.00","currency":"USD"}},"sender_item_id":"ptx_{place:026}","note":"PT-{place:06}"}}"#
        )
    };
    let items: Vec<String> = (first..first + count).map(item).collect();
    let body = format!(
        r#"{{"sender_batch_header":{{"sender_batch_id":"pb:{first}:1","email_subject":"You have a payout"}},"items":[{}]}}"#,
        items.join(",")
    );
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    load::request("POST", "/v1/payments/payouts", &headers, body.as_bytes())
}

/// A PayPal access token for the simulated application.
async fn token(vendors_at: SocketAddr) -> Result<String, Failure> {
    let headers = [
        ("authorization", "Basic c2ltX2NsaWVudDpzaW1fc2VjcmV0"),
        ("content-type", "application/x-www-form-urlencoded"),
    ];
    let request = load::request("POST", "/v1/oauth2/token", &headers, b"grant_type=client_credentials");
    let body = Connection::open(vendors_at).await?.ask(&request).await?.body;
    let text = String::from_utf8(body)?;
    let token = text.split_once(r#""access_token":""#).and_then(|(_, rest)| rest.split_once('"'));
    Ok(token.ok_or("PayPal's token could not be read")?.0.to_owned())
}
