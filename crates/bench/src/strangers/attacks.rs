//! The attacks, each of which once stopped the program or filled its memory.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::Failure;
use crate::load::{Connection, request};

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
/// A form with this many distinct fields is 560 KB.
const FIELDS: usize = 40_000;
/// The most requests of each kind in one round.
const FORMS: usize = 40;
const METHODS: usize = 6_000;
const ADDRESSES: usize = 120;
const ADDRESS_BYTES: usize = 1_000_000;
const POSTS: usize = 200;
const HALF_OPEN: usize = 50;
/// Ten wrong passwords per second.
const WRONG_EACH: Duration = Duration::from_millis(100);
const PAUSE: Duration = Duration::from_millis(20);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Attack {
    /// Two large forms at a time.
    Forms,
    /// Requests with unknown HTTP methods.
    Methods,
    /// Sign-ins with one-megabyte email addresses.
    Addresses,
    /// Wrong passwords for the honest user's login.
    WrongPasswords,
    /// Connections that send half a request and then nothing.
    HalfOpen,
    /// Webhook events without a signature.
    Unsigned,
}

impl Attack {
    pub const ALL: [Self; 6] =
        [Self::Forms, Self::Methods, Self::Addresses, Self::WrongPasswords, Self::HalfOpen, Self::Unsigned];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Forms => "forms of 560 KB, two at a time",
            Self::Methods => "made-up methods",
            Self::Addresses => "sign-ins with addresses of 1 MB",
            Self::WrongPasswords => "wrong passwords, 10 a second",
            Self::HalfOpen => "half a request, and wait",
            Self::Unsigned => "events that nobody signed",
        }
    }

    /// Runs the attack until it is stopped or complete; returns how often it was repeated.
    pub async fn carry_out(
        self,
        at: SocketAddr,
        login: String,
        over: Arc<AtomicBool>,
    ) -> Result<usize, Failure> {
        match self {
            Self::Forms => {
                let form = large_form();
                let (one, other) = tokio::join!(
                    send(at, FORMS / 2, &over, Duration::ZERO, |_| form.clone()),
                    send(at, FORMS / 2, &over, Duration::ZERO, |_| form.clone()),
                );
                Ok(one? + other?)
            }
            Self::Methods => {
                let made_up = |number| request(&format!("MADEUP{number}"), "/login", &[], b"");
                send(at, METHODS, &over, Duration::ZERO, made_up).await
            }
            Self::Addresses => send(at, ADDRESSES, &over, PAUSE, long_address).await,
            Self::WrongPasswords => {
                let body = |number| format!("email={login}&password=wrong+guess+number+{number}");
                let guess = |number| request("POST", "/login", &[FORM], body(number).as_bytes());
                send(at, usize::MAX, &over, WRONG_EACH, guess).await
            }
            Self::HalfOpen => half_open(at, &over).await,
            Self::Unsigned => send(at, POSTS, &over, PAUSE, unsigned).await,
        }
    }
}

/// Sends requests one after another; rejections and closed connections are expected.
async fn send(
    at: SocketAddr,
    most: usize,
    over: &AtomicBool,
    pause: Duration,
    bytes: impl Fn(usize) -> Vec<u8>,
) -> Result<usize, Failure> {
    let mut open = None;
    let mut sent = 0;
    while sent < most && !over.load(Ordering::Relaxed) {
        let mut connection = match open.take() {
            Some(open) => open,
            None => Connection::open(at).await?,
        };
        if connection.ask(&bytes(sent)).await.is_ok() {
            open = Some(connection);
        }
        sent += 1;
        tokio::time::sleep(pause).await;
    }
    while !over.load(Ordering::Relaxed) {
        tokio::time::sleep(PAUSE).await;
    }
    Ok(sent)
}

fn large_form() -> Vec<u8> {
    let fields: Vec<String> = (0..FIELDS).map(|number| format!("field{number:06}=1")).collect();
    request("POST", "/login", &[FORM], fields.join("&").as_bytes())
}

fn long_address(number: usize) -> Vec<u8> {
    let body = format!("email={number}{}&password=x", "a".repeat(ADDRESS_BYTES));
    request("POST", "/login", &[FORM], body.as_bytes())
}

fn unsigned(number: usize) -> Vec<u8> {
    let body = format!("{{\"id\":\"evt_{number}\",\"event_type\":\"PAYMENT.PAYOUTS-ITEM.SUCCEEDED\"}}");
    let path = ["/webhooks/stripe", "/webhooks/stripe-connect", "/webhooks/paypal"][number % 3];
    let id = format!("made-up-{number}");
    let headers = [
        ("content-type", "application/json"),
        ("stripe-signature", "t=1,v1=00"),
        ("paypal-transmission-id", &*id),
        ("paypal-transmission-time", "2026-01-01T00:00:00Z"),
        ("paypal-transmission-sig", "AAAA"),
        ("paypal-auth-algo", "SHA256withRSA"),
        ("paypal-cert-url", "https://api.paypal.com/v1/notifications/certs/CERT-1"),
    ];
    request("POST", path, &headers, body.as_bytes())
}

async fn half_open(at: SocketAddr, over: &AtomicBool) -> Result<usize, Failure> {
    let mut held = Vec::with_capacity(HALF_OPEN);
    while held.len() < HALF_OPEN {
        let mut stream = TcpStream::connect(at).await?;
        stream.write_all(b"POST /login HTTP/1.1\r\nhost: localhost\r\ncontent-le").await?;
        held.push(stream);
    }
    while !over.load(Ordering::Relaxed) {
        tokio::time::sleep(PAUSE).await;
    }
    Ok(held.len())
}
