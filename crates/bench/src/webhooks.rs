//! Webhook intake: how many validly signed events per second are stored before they are acknowledged, compared with a
//! server that only checks the signatures.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::{Json, Router};
use bursar::clock::Clock;
use tokio::net::TcpListener;

use crate::load::Load;
use crate::meter::{Measured, Meter};
use crate::report::{self, Row};
use crate::world::{self, World};
use crate::{Failure, Sizes, Threads, event};

const PATH: &str = "/webhooks/stripe-connect";
const CONNECTIONS: [usize; 3] = [16, 64, 256];

/// Measures floor and intake alternately, so that a busy period of the machine affects both.
pub async fn measure(world: &World, threads: &Threads, sizes: Sizes) -> Result<(), Failure> {
    let secret = world.stripe_secret().await?;
    let floor_at = serve_floor(&secret).await?;
    let mut made = 0;
    for connections in CONNECTIONS {
        let (mut floors, mut intakes) = (Vec::new(), Vec::new());
        let (commits, stored) = counted(world).await?;
        for _ in 0..sizes.rounds {
            let now = world.app.clock.now();
            let requests = Arc::new(event::requests(PATH, &secret, made, sizes.events, now)?);
            made += sizes.events;
            floors.push(drive(None, threads, floor_at, &requests, connections).await?);
            intakes.push(drive(world.server, threads, world.web_at, &requests, connections).await?);
        }
        let (commits_after, stored_after) = counted(world).await?;
        let (floor, intake) = (middle(floors), middle(intakes));
        let name = format!("HTTP and HMAC alone, {connections} connections");
        report::row(&Row { name: &name, measured: &floor, floor: None, step: "request" });
        let name = format!("webhook intake, {connections} connections");
        report::row(&Row { name: &name, measured: &intake, floor: Some(&floor), step: "request" });
        let (commits, stored) = (commits_after - commits, stored_after - stored);
        report::bound(&intake, &format!("{} events share a commit", stored / commits.max(1)));
    }
    Ok(())
}

async fn counted(world: &World) -> Result<(u64, u64), Failure> {
    let commits = world.counted("bursar_event_commits_total").await?;
    Ok((commits, world.counted("bursar_events_stored_total").await?))
}

async fn drive(
    server: Option<u32>,
    threads: &Threads,
    to: SocketAddr,
    requests: &Arc<Vec<Vec<u8>>>,
    connections: usize,
) -> Result<Measured, Failure> {
    let load = Load::open(threads.client.handle(), to, connections).await?;
    let meter = Meter::start(server);
    let took = load.drive(requests).await?;
    Ok(meter.stop(requests.len(), took))
}

/// The median round, by rate.
fn middle(mut rounds: Vec<Measured>) -> Measured {
    rounds.sort_by_key(Measured::rate);
    rounds.swap_remove(rounds.len() / 2)
}

/// The same kind of server, which answers as soon as the signature is valid.
async fn serve_floor(secret: &str) -> Result<SocketAddr, Failure> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let state = (Arc::<str>::from(secret), Clock::system());
    world::serve(listener, Router::new().route(PATH, axum::routing::post(verify)).with_state(state));
    Ok(address)
}

async fn verify(
    State((secret, clock)): State<(Arc<str>, Clock)>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<[&'static str; 1]>, StatusCode> {
    let sent = headers.get("stripe-signature").and_then(|value| value.to_str().ok()).unwrap_or("");
    let verified = vendors::signature::stripe(&[&secret], sent, &body, clock.now());
    verified.map(|()| Json(["received"])).map_err(|_| StatusCode::BAD_REQUEST)
}
