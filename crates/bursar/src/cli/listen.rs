//! Accepting connections: at most so many in total and per network, with timeouts for receiving headers and for sending
//! an answer. A client that opens many connections and then sends or reads nothing holds each only briefly, and never
//! all of them. Not here: the time limit for bodies (`web::kit::extract`), and the answers.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tower::{Service as _, ServiceExt as _};

use super::timed_stream::TimedStream;
use crate::config::Range;
use crate::web::kit::client::Network;

/// Limits that apply to all connections.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// How many may be open at once; further ones wait to be accepted.
    pub connections: usize,
    /// How many one network may have; further ones are closed at once.
    pub of_a_network: usize,
    /// How long a client may read nothing of what it is sent.
    pub unread: Duration,
    /// How long the request line and headers may take, and how long a connection may be idle.
    pub header: Duration,
    /// The most bytes in a request's line and headers.
    pub header_bytes: usize,
    /// How long open requests may continue after a stop is requested.
    pub stop: Duration,
}

impl Bounds {
    pub(super) const USUAL: Self = Self {
        connections: 2_048,
        of_a_network: 512,
        unread: Duration::from_secs(30),
        header: Duration::from_secs(30),
        header_bytes: 64 << 10,
        stop: Duration::from_secs(4),
    };
}

/// Counts the connections of each network.
#[derive(Clone, Default)]
struct ConnectionCounts(Arc<Mutex<HashMap<Network, usize>>>);

/// A counted connection; dropping it frees its place.
struct ConnectionPermit(ConnectionCounts, Option<Network>);

impl ConnectionCounts {
    /// A place for a connection from this address; `None` if its network is at the limit. Private addresses and
    /// configured proxies stand for many clients and are not counted.
    fn take(&self, from: IpAddr, proxies: &[Range], most: usize) -> Option<ConnectionPermit> {
        if is_private(from) || proxies.iter().any(|range| range.holds(from)) {
            return Some(ConnectionPermit(self.clone(), None));
        }
        let network = Network::of(from);
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(network).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        Some(ConnectionPermit(self.clone(), Some(network)))
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        let Some(network) = self.1 else { return };
        let mut counts = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&network) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&network);
            }
        }
    }
}

fn is_private(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => address.is_loopback() || address.is_private() || address.is_link_local(),
        IpAddr::V6(address) => {
            address.is_loopback() || address.is_unique_local() || address.is_unicast_link_local()
        }
    }
}

/// Serves until `stop`, then gives open requests some time, because a live page never ends by itself. `proxies` are
/// those the operator configured.
pub(super) async fn serve(
    listener: TcpListener,
    router: Router,
    bounds: Bounds,
    proxies: &[Range],
    stop: impl Future<Output = ()>,
) -> std::io::Result<()> {
    let (room, shares) = (Arc::new(Semaphore::new(bounds.connections)), ConnectionCounts::default());
    let graceful = GracefulShutdown::new();
    let mut connecting = router.into_make_service_with_connect_info::<SocketAddr>();
    let mut http1 = http1::Builder::new();
    http1.timer(TokioTimer::new()).header_read_timeout(bounds.header).max_header_size(bounds.header_bytes);
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = async {
            let place = room.clone().acquire_owned().await;
            (listener.accept().await, place)
        };
        let (accepted, place) = tokio::select! {
            accepted = accepted => accepted,
            () = &mut stop => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                // Most likely out of file descriptors; retrying immediately would fail again.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let Some(share) = shares.take(peer.ip(), proxies, bounds.of_a_network) else { continue };
        // Answers are small; without this the kernel may delay them.
        let _ = stream.set_nodelay(true);
        let Ok(router) = connecting.call(peer).await;
        let answer = service_fn(move |request: Request<Incoming>| router.clone().oneshot(request));
        let connection =
            http1.serve_connection(TokioIo::new(TimedStream::new(stream, bounds.unread)), answer);
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            // A client that disconnects or times out is not worth logging.
            let _ = connection.await;
            drop((place, share));
        });
    }
    drop(listener);
    tokio::select! {
        () = graceful.shutdown() => {}
        () = tokio::time::sleep(bounds.stop) => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;

    async fn listening(bounds: Bounds) -> (SocketAddr, tokio::sync::oneshot::Sender<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new()
            .route("/", axum::routing::get(async || "here"))
            .route("/echo", axum::routing::post(async |body: String| body))
            .route("/large", axum::routing::get(async || "x".repeat(64 << 20)));
        let (stop, stopped) = tokio::sync::oneshot::channel();
        tokio::spawn(async move {
            let stopped = async {
                let _ = stopped.await;
            };
            serve(listener, router, bounds, &[], stopped).await
        });
        (address, stop)
    }

    async fn ask(stream: &mut TcpStream, request: &str) -> String {
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = vec![0; 4_096];
        let read = stream.read(&mut answer).await.unwrap_or(0);
        String::from_utf8_lossy(&answer[..read]).into_owned()
    }

    const WHOLE: &str = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";

    #[tokio::test]
    async fn a_header_has_an_end_in_time_and_in_bytes() {
        let bounds = Bounds { header: Duration::from_millis(300), ..Bounds::USUAL };
        let (address, _stop) = listening(bounds).await;
        let mut slow = TcpStream::connect(address).await.unwrap();
        slow.write_all(b"GET / HTTP/1.1\r\nho").await.unwrap();
        let mut rest = Vec::new();
        // Without the limit this would never end.
        tokio::time::timeout(Duration::from_secs(20), slow.read_to_end(&mut rest)).await.unwrap().unwrap();
        assert!(!String::from_utf8_lossy(&rest).contains("200 OK"));

        let mut stream = TcpStream::connect(address).await.unwrap();
        assert!(ask(&mut stream, WHOLE).await.contains("here"));
        let mut stream = TcpStream::connect(address).await.unwrap();
        let long = format!("GET / HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n", "x".repeat(bounds.header_bytes));
        assert!(!ask(&mut stream, &long).await.contains("200 OK"));
    }

    /// Two lengths for one body enable request smuggling. Chunked encoding wins regardless of header order, and
    /// contradictory lengths are rejected.
    #[tokio::test]
    async fn a_body_has_one_length() {
        let (address, _stop) = listening(Bounds::USUAL).await;
        let asked = async |headers: &str, body: &str| {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let request =
                format!("POST /echo HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}\r\n{body}");
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await.unwrap();
            String::from_utf8_lossy(&answer).into_owned()
        };
        let chunked = "3\r\nabc\r\n0\r\n\r\n";
        for headers in [
            "transfer-encoding: chunked\r\ncontent-length: 4\r\n",
            "content-length: 4\r\ntransfer-encoding: chunked\r\n",
        ] {
            let answer = asked(headers, chunked).await;
            assert!(
                answer.starts_with("HTTP/1.1 400") || answer.ends_with("\r\n\r\nabc"),
                "{headers}: {answer}"
            );
            assert_eq!(
                answer.matches("HTTP/1.1").count(),
                1,
                "nothing is taken for another request: {answer}"
            );
        }
        for headers in [
            "content-length: 3\r\ncontent-length: 4\r\n",
            "content-length: 3, 4\r\n",
            "content-length: +3\r\n",
            "transfer-encoding: chunked, identity\r\n",
        ] {
            assert!(asked(headers, chunked).await.starts_with("HTTP/1.1 400"), "{headers}");
        }
    }

    #[tokio::test]
    async fn so_many_connections_and_the_next_one_waits() {
        let bounds = Bounds { connections: 2, ..Bounds::USUAL };
        let (address, _stop) = listening(bounds).await;
        let mut first = TcpStream::connect(address).await.unwrap();
        let mut second = TcpStream::connect(address).await.unwrap();
        assert!(
            ask(&mut first, WHOLE).await.contains("here") && ask(&mut second, WHOLE).await.contains("here")
        );
        let mut third = TcpStream::connect(address).await.unwrap();
        let asked = tokio::time::timeout(Duration::from_millis(300), ask(&mut third, WHOLE)).await;
        assert!(asked.is_err(), "it is not accepted yet");
        drop(first);
        let mut answer = vec![0; 4_096];
        let read =
            tokio::time::timeout(Duration::from_secs(20), third.read(&mut answer)).await.unwrap().unwrap();
        assert!(String::from_utf8_lossy(&answer[..read]).contains("here"));
    }

    #[tokio::test]
    async fn whoever_asks_and_reads_nothing_holds_no_connection() {
        let bounds = Bounds { connections: 1, unread: Duration::from_millis(300), ..Bounds::USUAL };
        let (address, _stop) = listening(bounds).await;
        let mut unread = TcpStream::connect(address).await.unwrap();
        unread.write_all(b"GET /large HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let mut next = TcpStream::connect(address).await.unwrap();
        let answer = tokio::time::timeout(Duration::from_secs(20), ask(&mut next, WHOLE)).await.unwrap();
        assert!(answer.contains("here"), "{answer}");
        drop(unread);
    }

    #[test]
    fn one_network_never_has_every_connection() {
        let (shares, proxies) = (ConnectionCounts::default(), ["198.51.100.7".parse().unwrap()]);
        let take = |from: &str| shares.take(from.parse().unwrap(), &proxies, 2);
        let first = take("203.0.113.1").unwrap();
        let _second = take("203.0.113.2").unwrap();
        assert!(take("203.0.113.3").is_none(), "its network has its two");
        let _others = [take("203.0.112.1").unwrap(), take("2001:db8::1").unwrap()];
        drop(first);
        assert!(take("203.0.113.3").is_some());
        for many in ["127.0.0.1", "::1", "::ffff:10.0.0.1", "172.17.0.1", "198.51.100.7"] {
            let held: Vec<ConnectionPermit> = (0..5).map(|_| take(many).expect(many)).collect();
            assert_eq!(held.len(), 5);
        }
        assert_eq!(shares.0.lock().unwrap().len(), 3);
    }

    #[tokio::test]
    async fn a_stop_ends_idle_connections_at_once() {
        let (address, stop) = listening(Bounds::USUAL).await;
        let mut idle = TcpStream::connect(address).await.unwrap();
        assert!(ask(&mut idle, WHOLE).await.contains("here"));
        stop.send(()).unwrap();
        let mut rest = Vec::new();
        tokio::time::timeout(Duration::from_secs(3), idle.read_to_end(&mut rest)).await.unwrap().unwrap();
    }
}
