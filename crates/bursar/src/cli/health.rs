//! `health`: asks a running Bursar whether it is ready. For containers and services without another HTTP client.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use clap::Args;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{Failure, Outcome, output};

/// The timeout for the answer.
const WITHIN: Duration = Duration::from_secs(5);
/// The size limit of an answer.
const MOST_BYTES: u64 = 64 << 10;

const QUESTION: &[u8] = b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

#[derive(Args)]
pub(super) struct Options {
    /// The address Bursar listens on
    #[arg(long, env = "BURSAR_LISTEN", default_value = "127.0.0.1:8080")]
    listen: String,
}

pub(super) async fn run(options: Options) -> Outcome {
    let address = reached(&options.listen);
    let asked = tokio::time::timeout(WITHIN, asked(&address)).await;
    let answer = match asked {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => return Err(Failure(format!("Bursar does not answer at {address}: {error}."))),
        Err(_) => {
            let message = format!("Bursar has not answered at {address} within {} s.", WITHIN.as_secs());
            return Err(Failure(message));
        }
    };
    check_ready(&answer).map_err(Failure)?;
    output::print_line("ready");
    Ok(())
}

/// The address to connect to: loopback if it listens on all addresses.
fn reached(listen: &str) -> String {
    match listen.parse::<SocketAddr>() {
        Ok(SocketAddr::V4(address)) if address.ip().is_unspecified() => {
            SocketAddr::from((Ipv4Addr::LOCALHOST, address.port())).to_string()
        }
        Ok(SocketAddr::V6(address)) if address.ip().is_unspecified() => {
            SocketAddr::from((Ipv6Addr::LOCALHOST, address.port())).to_string()
        }
        Ok(_) | Err(_) => listen.to_owned(),
    }
}

async fn asked(address: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(QUESTION).await?;
    let mut answer = Vec::new();
    stream.take(MOST_BYTES).read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// Whether it is ready, and if not, why.
fn check_ready(answer: &str) -> Result<(), String> {
    match answer.split_whitespace().nth(1) {
        Some("200") => Ok(()),
        Some(status) => {
            let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
            let problem = serde_json::from_str::<serde_json::Value>(body).ok();
            let detail = problem.as_ref().and_then(|problem| problem["detail"].as_str());
            Err(detail.map_or_else(|| format!("Bursar answered {status}."), str::to_owned))
        }
        None => Err("The server that answers there is not Bursar.".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::{check_ready, reached};

    #[test]
    fn what_listens_everywhere_is_reached_here() {
        let rows = [
            ("0.0.0.0:8080", "127.0.0.1:8080"),
            ("[::]:8080", "[::1]:8080"),
            ("10.0.0.7:80", "10.0.0.7:80"),
            ("localhost:8080", "localhost:8080"),
        ];
        for (listen, address) in rows {
            assert_eq!(reached(listen), address);
        }
    }

    #[test]
    fn an_answer_is_ready_or_says_why_not() {
        assert_eq!(check_ready("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nready"), Ok(()));
        let away = "HTTP/1.1 503 Service Unavailable\r\n\r\n{\"detail\":\"The database does not answer.\"}";
        assert_eq!(check_ready(away), Err("The database does not answer.".to_owned()));
        assert_eq!(
            check_ready("HTTP/1.1 502 Bad Gateway\r\n\r\n<p>"),
            Err("Bursar answered 502.".to_owned())
        );
        assert_eq!(check_ready(""), Err("The server that answers there is not Bursar.".to_owned()));
    }
}
