//! A load balancer for several nodes: each connection goes to the next live node, like a proxy with health checks. Not
//! here: the nodes (`process`).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::leader::Records;

/// A node behind the balancer.
pub struct Node {
    pub address: String,
    /// Its current process id.
    pub pid: Box<dyn Fn() -> u32 + Send + Sync>,
}

/// Accepts connections at an address and forwards them; runs until the handle is aborted.
pub fn stand(address: &str, nodes: Vec<Node>, records: Records) -> JoinHandle<()> {
    let address = address.to_owned();
    let shared = Arc::new((nodes, records, AtomicUsize::new(0)));
    tokio::spawn(async move {
        let listener = TcpListener::bind(&address).await.unwrap();
        while let Ok((mut client, _)) = listener.accept().await {
            let shared = shared.clone();
            tokio::spawn(async move {
                let (nodes, records, turn) = &*shared;
                let first = turn.fetch_add(1, Ordering::Relaxed);
                for place in 0..nodes.len() {
                    let node = &nodes[(first + place) % nodes.len()];
                    if records.is_frozen((node.pid)()) {
                        continue;
                    }
                    if let Ok(mut server) = TcpStream::connect(&node.address).await {
                        let _ = copy_bidirectional(&mut client, &mut server).await;
                        return;
                    }
                }
            });
        }
    })
}
