//! The load generator: prepared requests over keep-alive connections, with as little work per request as possible,
//! because it shares the processors with the system under test.
//!
//! Not here: general HTTP. An answer is a status, headers and a body with a content length, which is how axum answers
//! these requests.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::task::JoinSet;

use crate::{Failure, meter};

/// The bytes of a request.
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

/// Open connections, driven from a runtime of their own.
pub struct Load {
    on: Handle,
    connections: Vec<Connection>,
}

impl Load {
    /// Connects. Not part of any measurement, because vendors keep their connections open.
    ///
    /// # Errors
    /// Nothing listens at the address.
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

    /// Sends every request once; returns how long each took, in microseconds.
    ///
    /// # Errors
    /// An answer is not 2xx, or a connection breaks.
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
        let answer = connection.ask(request).await?;
        took.push(meter::now_us() - began);
        if !(200..300).contains(&answer.status) {
            return Err(
                format!("answered {}: {}", answer.status, String::from_utf8_lossy(&answer.body)).into()
            );
        }
    }
    Ok(took)
}

pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    pub async fn open(to: SocketAddr) -> Result<Self, Failure> {
        let stream = TcpStream::connect(to).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(16_384) })
    }

    /// Sends a request and reads its whole answer.
    pub async fn ask(&mut self, request: &[u8]) -> Result<Answer, Failure> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        loop {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err("the connection was closed before the answer".into());
            }
            if let Some(answer) = whole(&self.buffer)? {
                return Ok(answer);
            }
        }
    }
}

pub struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
    head: String,
}

impl Answer {
    /// The values of all headers with this name.
    pub fn headers<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(':'));
        lines.filter(move |(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }
}

/// The answer, if it has arrived completely.
fn whole(bytes: &[u8]) -> Result<Option<Answer>, Failure> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let head = std::str::from_utf8(&bytes[..end])?.to_owned();
    let status = head.get(9..12).ok_or("an answer without a status")?.parse()?;
    let mut answer = Answer { status, body: Vec::new(), head };
    let told = answer.headers("content-length").next().map(str::parse);
    let length: usize = told.ok_or("an answer that does not tell its length")??;
    let Some(body) = bytes.get(end + 4..end + 4 + length) else { return Ok(None) };
    answer.body = body.to_vec();
    Ok(Some(answer))
}
