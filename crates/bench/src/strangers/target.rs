//! The program under attack: `bursar demo` on temporary data with both vendors simulated, as a separate process.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::Failure;
use crate::load::{Connection, request};

/// The partner to be paid.
const PAYEE: &str = "visited";

/// The running program, stopped when dropped.
pub struct Target {
    pub at: SocketAddr,
    /// The login of an administrator who pays.
    pub email: String,
    pub password: String,
    key: String,
    child: Child,
    payouts: Mutex<usize>,
}

impl Drop for Target {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Target {
    /// Starts it, with a payable partner.
    ///
    /// # Errors
    /// It does not start.
    pub async fn start(program: &str) -> Result<Self, Failure> {
        let mut child = Command::new(program)
            .args(["demo", "--json", "--listen=127.0.0.1:0", "--log=error"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{program} cannot be started: {error}"))?;
        let said = child.stdout.take().ok_or("it says nothing")?;
        let (line, said) = tokio::task::spawn_blocking(move || {
            let (mut line, mut said) = (String::new(), BufReader::new(said));
            said.read_line(&mut line).map(|_| (line, said))
        })
        .await??;
        // Drain its later output, so that the pipe never blocks it.
        std::thread::spawn(move || std::io::copy(&mut said.into_inner(), &mut std::io::sink()));
        let told: Value = serde_json::from_str(&line)?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let target = Self {
            at: text(&told["base_url"]).trim_start_matches("http://").parse()?,
            email: text(&told["emails"]["admin"]),
            password: text(&told["password"]),
            key: text(&told["api_key"]),
            child,
            payouts: Mutex::new(0),
        };
        target.call("PUT", "/accounts/visited-company", &json!({ "name": "Visited" })).await?;
        let name = json!({ "name": "Visited", "email": "visited@example.com", "account": "visited-company" });
        target.call("PUT", &format!("/partners/{PAYEE}"), &name).await?;
        let profile = json!({ "vendor": "paypal", "paypal_email": "visited@example.com" });
        target.call("PUT", &format!("/payees/{PAYEE}/payout-profile"), &profile).await?;
        Ok(target)
    }

    /// Creates a payout of one reward, ready to be paid; returns its number.
    ///
    /// # Errors
    /// It cannot be created.
    pub async fn payout(&self) -> Result<String, Failure> {
        let mut payouts = self.payouts.lock().await;
        *payouts += 1;
        let worth = json!({ "value": "10.00", "currency": "USD" });
        let external_id = format!("visit-{payouts}");
        let reward =
            json!({ "external_id": external_id, "activity": "demo-deal", "owner": PAYEE, "value": worth });
        let made = self.call("POST", "/rewards", &reward).await?;
        let id = made["id"].as_str().ok_or("a reward without an id")?;
        self.call("POST", &format!("/rewards/{id}/approve"), &json!({})).await?;
        let formed = self.call("POST", "/batches", &json!({ "rewards": [id] })).await?;
        Ok(formed["number"].as_str().ok_or("a payout without a number")?.to_owned())
    }

    /// The resident memory of the process.
    ///
    /// # Errors
    /// The process has ended.
    pub fn memory_kib(&self) -> Result<u64, Failure> {
        let number = self.child.id();
        let status = std::fs::read_to_string(format!("/proc/{number}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().next()).ok_or("it tells no memory")?;
        Ok(kib.parse()?)
    }

    /// Stops it.
    ///
    /// # Errors
    /// It had already ended.
    pub fn stop(mut self) -> Result<(), Failure> {
        match self.child.try_wait()? {
            Some(status) => Err(format!("the program ended by itself: {status}").into()),
            None => Ok(()),
        }
    }

    async fn call(&self, method: &str, path: &str, body: &Value) -> Result<Value, Failure> {
        let key = format!("Bearer {}", self.key);
        let headers = [("authorization", &*key), ("content-type", "application/json")];
        let bytes = request(method, &format!("/api/v1{path}"), &headers, body.to_string().as_bytes());
        let answer = Connection::open(self.at).await?.ask(&bytes).await?;
        let told = String::from_utf8_lossy(&answer.body).into_owned();
        match answer.status {
            200..300 => Ok(serde_json::from_str(&told)?),
            status => Err(format!("{method} {path} was answered {status}: {told}").into()),
        }
    }
}
