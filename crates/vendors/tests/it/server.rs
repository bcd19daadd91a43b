//! A minimal fake vendor: it logs requests and returns canned answers.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use url::Url;

/// One request as received.
#[derive(Clone, Debug)]
pub struct Asked {
    pub method: String,
    pub path: String,
    pub query: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Asked {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| &**value)
    }
}

/// The reaction to a request.
pub enum Reply {
    /// A complete answer; the connection stays open.
    Whole(u16, String),
    /// These bytes, then the connection is closed.
    Bytes(Vec<u8>),
}

/// The requests received so far.
pub type Log = Arc<Mutex<Vec<Asked>>>;

/// Starts a server; it lives as long as the runtime.
pub async fn start(reply: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> (Url, Log) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    let log = Log::default();
    let (reply, kept) = (Arc::new(reply), Arc::clone(&log));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (reply, log) = (Arc::clone(&reply), Arc::clone(&kept));
            tokio::spawn(async move { converse(stream, &*reply, &log).await });
        }
    });
    (base, log)
}

async fn converse(mut stream: TcpStream, reply: &(impl Fn(&Asked) -> Reply + ?Sized), log: &Log) {
    let mut bytes = Vec::new();
    while let Some(asked) = read(&mut stream, &mut bytes).await {
        log.lock().unwrap().push(asked.clone());
        match reply(&asked) {
            Reply::Whole(status, body) => {
                let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n", body.len());
                stream.write_all(head.as_bytes()).await.unwrap();
                stream.write_all(body.as_bytes()).await.unwrap();
            }
            Reply::Bytes(bytes) => {
                stream.write_all(&bytes).await.ok();
                return;
            }
        }
    }
}

async fn read(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> Option<Asked> {
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(bytes).await.unwrap_or(0) == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes.drain(..end + 4).collect()).unwrap();
    let mut lines = head.trim_end().lines();
    let mut first = lines.next().unwrap().split(' ');
    let (method, target) = (first.next().unwrap().to_owned(), first.next().unwrap());
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length: usize = length.map_or(0, |(_, value)| value.parse().unwrap());
    while bytes.len() < length {
        if stream.read_buf(bytes).await.unwrap() == 0 {
            return None;
        }
    }
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let (path, query) = (path.to_owned(), query.to_owned());
    Some(Asked { method, path, query, headers, body: bytes.drain(..length).collect() })
}
