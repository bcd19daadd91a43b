//! Accepting connections: so many at a time, each with a bounded time for what comes before a body. A stranger who opens
//! many and says nothing holds none of them for long. What is deliberately not here: how long a body may take
//! (`web::strict`), and what is answered.

use std::net::SocketAddr;
use std::sync::Arc;
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

/// What a connection may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// How many are open at once; the next ones wait to be accepted.
    pub connections: usize,
    /// How long a request's line and headers may take, and how long a connection may be idle.
    pub header: Duration,
    /// The most bytes of a request's line and headers.
    pub header_bytes: usize,
    /// How long open requests may go on after the stop was asked for.
    pub stop: Duration,
}

impl Bounds {
    pub(super) const USUAL: Self = Self {
        connections: 2_048,
        header: Duration::from_secs(30),
        header_bytes: 64 << 10,
        stop: Duration::from_secs(4),
    };
}

/// Serves until `stop`; then open requests get a while, because a live page would never end by itself.
pub(super) async fn serve(
    listener: TcpListener,
    router: Router,
    bounds: Bounds,
    stop: impl Future<Output = ()>,
) -> std::io::Result<()> {
    let room = Arc::new(Semaphore::new(bounds.connections));
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
                // Out of files, most likely: the next one would fail at once, and so on.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        // An answer is small and is waited for; without this it may be held back for the next one.
        let _ = stream.set_nodelay(true);
        let Ok(router) = connecting.call(peer).await;
        let answer = service_fn(move |request: Request<Incoming>| router.clone().oneshot(request));
        let connection = graceful.watch(http1.serve_connection(TokioIo::new(stream), answer));
        tokio::spawn(async move {
            // Whoever breaks off, or says nothing for too long, is not worth a line.
            let _ = connection.await;
            drop(place);
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
        let router = Router::new().route("/", axum::routing::get(async || "here"));
        let (stop, stopped) = tokio::sync::oneshot::channel();
        tokio::spawn(serve(listener, router, bounds, async {
            let _ = stopped.await;
        }));
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
        // Without a bound this would not end.
        tokio::time::timeout(Duration::from_secs(20), slow.read_to_end(&mut rest)).await.unwrap().unwrap();
        assert!(!String::from_utf8_lossy(&rest).contains("200 OK"));

        let mut stream = TcpStream::connect(address).await.unwrap();
        assert!(ask(&mut stream, WHOLE).await.contains("here"));
        let mut stream = TcpStream::connect(address).await.unwrap();
        let long = format!("GET / HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n", "x".repeat(bounds.header_bytes));
        assert!(!ask(&mut stream, &long).await.contains("200 OK"));
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
    async fn a_stop_ends_idle_connections_at_once() {
        let (address, stop) = listening(Bounds::USUAL).await;
        let mut idle = TcpStream::connect(address).await.unwrap();
        assert!(ask(&mut idle, WHOLE).await.contains("here"));
        stop.send(()).unwrap();
        let mut rest = Vec::new();
        tokio::time::timeout(Duration::from_secs(3), idle.read_to_end(&mut rest)).await.unwrap().unwrap();
    }
}
