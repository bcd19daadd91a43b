//! Denial-of-service resistance of a running Bursar: attackers send requests that once cost it minutes or leaked
//! memory, while an honest user signs in, does a step-up and pays. The program runs as a separate process, so that its
//! memory can be measured; everything stays on loopback and is limited in number and time.
//!
//! Not here: the defenses, which have tests of their own. This measures their combined effect and reports it in the
//! exit code.

mod attacks;
mod target;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bursar::cli::output;

use crate::load::{Connection, request};
use crate::visitor::Visitor;
use crate::{Failure, meter};
use attacks::Attack;
use target::Target;

/// The most a liveness answer may take for 99 of 100 requests.
const MOST_P99_US: u64 = 50_000;
/// The most additional memory that may remain in use after the attacks.
const MOST_KEPT_KIB: u64 = 10 * 1_024;
/// The interval between liveness requests.
const EACH: Duration = Duration::from_millis(20);
/// The wait before measuring memory, so that temporary allocations are freed.
const REST: Duration = Duration::from_secs(8);
/// The warm-up rounds before memory is measured: by then the one-time allocations of any program exist, including 19
/// MiB per hashing thread. A leak would grow in every round.
const BEFORE: usize = 2;

/// Starts the program, runs every attack, and reports the results.
///
/// # Errors
/// The program does not start, or did not withstand an attack.
pub async fn measure(program: &str, lasts: Duration) -> Result<(), Failure> {
    let target = Target::start(program).await?;
    let mut known = Visitor::new(target.at, &target.email, &target.password);
    output::print_line(&format!(
        "{:<34} {:>8} {:>9} {:>9} {:>9} {:>9}  {}",
        "strangers send", "times", "p50 ms", "p99 ms", "most ms", "MiB", "meanwhile"
    ));
    let mut wrong = Vec::new();
    let mut calm = None;
    for round in 0..=BEFORE {
        for (place, attack) in Attack::ALL.into_iter().enumerate() {
            // Respect the sign-in limit: during warm-up, sign in once per round.
            let signs_in = round == BEFORE || place == 0;
            let seen = during(&target, (&mut known, signs_in), attack, lasts).await?;
            if round == BEFORE {
                seen.tell(attack);
                wrong.extend(seen.wrong(attack));
            }
        }
        tokio::time::sleep(REST).await;
        let held = target.memory_kib()?;
        match calm {
            None if round + 1 < BEFORE => {}
            None => calm = Some(held),
            Some(before) => {
                output::print_line(&format!(
                    "memory held before {} MiB, afterwards {} MiB",
                    before / 1_024,
                    held / 1_024
                ));
                if held > before + MOST_KEPT_KIB {
                    wrong.push(format!("{} MiB more are held than before", (held - before) / 1_024));
                }
            }
        }
    }
    target.stop()?;
    match wrong.is_empty() {
        true => Ok(()),
        false => Err(format!("what did not hold:\n  {}", wrong.join("\n  ")).into()),
    }
}

/// What was observed during one attack.
struct Seen {
    times: usize,
    answers_us: Vec<u64>,
    memory_kib: u64,
    visitor: Result<(), Failure>,
}

impl Seen {
    fn percentile_us(&self, percent: usize) -> u64 {
        let last = self.answers_us.len().saturating_sub(1);
        self.answers_us.get(last * percent / 100).copied().unwrap_or(u64::MAX)
    }

    fn tell(&self, attack: Attack) {
        let ms = |us: u64| format!("{}.{}", us / 1_000, us % 1_000 / 100);
        let visitor = match &self.visitor {
            Ok(()) => "signed in, proved it, paid".to_owned(),
            Err(why) => why.to_string(),
        };
        output::print_line(&format!(
            "{:<34} {:>8} {:>9} {:>9} {:>9} {:>9}  {visitor}",
            attack.name(),
            self.times,
            ms(self.percentile_us(50)),
            ms(self.percentile_us(99)),
            ms(self.percentile_us(100)),
            self.memory_kib / 1_024,
        ));
    }

    fn wrong(&self, attack: Attack) -> Vec<String> {
        let slow = self.percentile_us(99) > MOST_P99_US;
        let slow = slow.then(|| format!("{}: slower than {} ms", attack.name(), MOST_P99_US / 1_000));
        let kept_out = self.visitor.as_ref().err().map(|why| format!("{}: {why}", attack.name()));
        slow.into_iter().chain(kept_out).collect()
    }
}

async fn during(
    target: &Target,
    (known, signs_in): (&mut Visitor, bool),
    attack: Attack,
    lasts: Duration,
) -> Result<Seen, Failure> {
    let number = target.payout().await?;
    let over = Arc::new(AtomicBool::new(false));
    let strangers = tokio::spawn(attack.carry_out(target.at, target.email.clone(), over.clone()));
    let asking = tokio::spawn(ask(target.at, over.clone()));
    tokio::time::sleep(lasts / 4).await;
    let visitor = visit(known, signs_in, &number).await;
    tokio::time::sleep(lasts * 3 / 4).await;
    let memory_kib = target.memory_kib()?;
    over.store(true, Ordering::Relaxed);
    let times = strangers.await??;
    let mut answers_us = asking.await??;
    answers_us.sort_unstable();
    Ok(Seen { times, answers_us, memory_kib, visitor })
}

/// An honest user's actions, in a browser that has signed in before.
async fn visit(known: &mut Visitor, signs_in: bool, number: &str) -> Result<(), Failure> {
    if signs_in {
        known.sign_in().await?;
    }
    known.prove().await?;
    known.pay(number).await
}

/// Requests liveness repeatedly; returns how long each answer took.
async fn ask(at: std::net::SocketAddr, over: Arc<AtomicBool>) -> Result<Vec<u64>, Failure> {
    let alive = request("GET", "/healthz", &[], b"");
    let mut took = Vec::new();
    while !over.load(Ordering::Relaxed) {
        let began = meter::now_us();
        let answer = Connection::open(at).await?.ask(&alive).await?;
        if answer.status != 200 {
            return Err(format!("/healthz was answered {}", answer.status).into());
        }
        took.push(meter::now_us() - began);
        tokio::time::sleep(EACH).await;
    }
    Ok(took)
}
