//! The load: ready-made requests over kept-alive connections, as little work per request as possible, since it shares
//! the processors with what it measures.
//!
//! What is deliberately not here: HTTP in general. An answer is a status, headers and a body of the length they tell,
//! which is what axum answers these requests with.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::task::JoinSet;

use crate::{Failure, meter};

/// A request's bytes.
pub fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut text = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str(&format!("content-length: {}\r\n\r\n", body.len()));
    let mut bytes = text.into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// Open connections, which are driven from a runtime of their own.
pub struct Load {
    on: Handle,
    connections: Vec<Connection>,
}

impl Load {
    /// Connects. That is no part of any measurement: vendors keep their connections.
    ///
    /// # Errors
    /// When nobody listens there.
    pub async fn open(on: &Handle, to: SocketAddr, connections: usize) -> Result<Self, Failure> {
        let connecting = on.spawn(async move {
            let mut open = Vec::with_capacity(connections);
            for _ in 0..connections {
                open.push(Connection::open(to).await?);
            }
            Ok::<_, Failure>(open)
        });
        Ok(Self { on: on.clone(), connections: connecting.await?? })
    }

    /// Sends every request once; how long each took, in microseconds.
    ///
    /// # Errors
    /// When an answer is not a 2xx, or a connection breaks.
    pub async fn drive(self, requests: &Arc<Vec<Vec<u8>>>) -> Result<Vec<u64>, Failure> {
        let next = Arc::new(AtomicUsize::new(0));
        let mut tasks = JoinSet::new();
        for connection in self.connections {
            tasks.spawn_on(one_connection(connection, requests.clone(), next.clone()), &self.on);
        }
        let mut took = Vec::with_capacity(requests.len());
        while let Some(done) = tasks.join_next().await {
            took.extend(done??);
        }
        Ok(took)
    }
}

async fn one_connection(
    mut connection: Connection,
    requests: Arc<Vec<Vec<u8>>>,
    next: Arc<AtomicUsize>,
) -> Result<Vec<u64>, Failure> {
    let mut took = Vec::new();
    while let Some(request) = requests.get(next.fetch_add(1, Ordering::Relaxed)) {
        let began = meter::now_us();
        let (status, body) = connection.exchange(request).await?;
        took.push(meter::now_us() - began);
        if !(200..300).contains(&status) {
            return Err(format!("answered {status}: {}", String::from_utf8_lossy(&body)).into());
        }
    }
    Ok(took)
}

/// One connection, kept alive.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    /// Connects.
    pub async fn open(to: SocketAddr) -> Result<Self, Failure> {
        let stream = TcpStream::connect(to).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(16_384) })
    }

    /// Sends a request and reads its whole answer: status and body.
    pub async fn exchange(&mut self, request: &[u8]) -> Result<(u16, Vec<u8>), Failure> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        loop {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err("the connection was closed before the answer".into());
            }
            if let Some((status, body)) = whole(&self.buffer)? {
                return Ok((status, body.to_vec()));
            }
        }
    }
}

/// The status and body of an answer, once all of it is there.
fn whole(bytes: &[u8]) -> Result<Option<(u16, &[u8])>, Failure> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let head = std::str::from_utf8(&bytes[..end])?;
    let status = head.get(9..12).ok_or("an answer without a status")?.parse()?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>())
    });
    let length = length.ok_or("an answer that does not tell its length")??;
    Ok(bytes.get(end + 4..end + 4 + length).map(|body| (status, body)))
}
