//! Both vendors alone, in real time, on a port of 127.0.0.1 (the first argument, or a free one). Prints the
//! address.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use simulator::{Clock, Options, Simulator};

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let port = std::env::args().nth(1).unwrap_or_else(|| "0".to_owned());
    let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    announce(listener.local_addr()?);
    let simulator = Simulator::new(Options::new(wall_clock()));
    let running = tokio::spawn(simulator.clone().run());
    let served = simulator.serve(listener).await;
    running.abort();
    served
}

#[allow(clippy::print_stdout, reason = "the address is what a script that starts this waits for")]
fn announce(address: std::net::SocketAddr) {
    println!("http://{address}");
}

#[allow(clippy::disallowed_methods, reason = "this program is the one place here that may read the time")]
fn wall_clock() -> Clock {
    Arc::new(|| {
        let passed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(passed.as_micros()).unwrap_or_default()
    })
}
