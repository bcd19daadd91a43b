//! Life by chance: one seed draws who is paid through whom, what goes wrong, when processes die and when everything
//! heals; forty-five days pass; then our database and the vendors' books must agree, and everything must have ended.
//!
//! A seed draws a *scenario*, line by line, and it is played like those that people write. A seed that fails prints its
//! scenario, which can be saved, shortened and kept. `BURSAR_TEST_SEEDS=100..200` plays other seeds than the usual few.
//! What is deliberately not here: the rules that must hold (`world::check`), and the language (`scenarios`).

use std::collections::BTreeMap;
use std::ops::Range;

use bursar::store::transactions::{self, Filter};

use crate::scenarios::Stage;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_life_ends_well() {
    for seed in seeds() {
        let text = Author::new(seed).write();
        let mut stage = Stage::open(&format!("sim_{seed}"), seed).await;
        let outcome = stage.play(&format!("seed {seed}"), &text).await;
        let outcome = outcome.and(crate::scenarios::balanced(&stage).await);
        println!("seed {seed}: {}", summary(&stage).await);
        stage.close(outcome.map_err(|told| format!("seed {seed} fails:\n\n{text}\n{told}"))).await;
    }
}

fn seeds() -> Range<u64> {
    let asked = std::env::var("BURSAR_TEST_SEEDS").ok();
    let bounds = asked.as_deref().and_then(|asked| asked.split_once(".."));
    let number = |text: &str| text.parse::<u64>().ok();
    bounds.and_then(|(from, to)| Some(number(from)?..number(to)?)).unwrap_or(0..4)
}

/// How much happened in a life, for whoever wants to know whether it was one.
async fn summary(stage: &Stage) -> String {
    let mut db = stage.world.app.store.read().await.unwrap();
    let all = transactions::list(&mut db, &Filter::default(), i64::from(i32::MAX)).await.unwrap();
    let mut states: BTreeMap<&str, usize> = BTreeMap::new();
    all.iter().for_each(|one| *states.entry(one.state.as_str()).or_default() += 1);
    let books = stage.world.simulator.books();
    let done = books.requests.iter().filter(|request| request.executed).count();
    format!("{} payments {states:?}; {} requests, {done} carried out", all.len(), books.requests.len())
}

/// Who is paid.
const PARTNERS: usize = 14;
/// How many days the trouble lasts, and how many times something happens in them.
const TROUBLE: usize = 80;

const SCENES: [&str; 12] = [
    "closed",
    "no_account",
    "paid_then_failed",
    "slow",
    "unclaimed",
    "unclaimed_then_returned",
    "held",
    "blocked",
    "refunded",
    "limit",
    "refused",
    "denied",
];

const FAULTS: [&str; 12] = [
    "answer lost",
    "answer lost",
    "cut in body",
    "stored 500",
    "executed 500",
    "503",
    "429 retry-after 40",
    "lock timeout",
    "in use",
    "401",
    "html",
    "other amount",
];

const NEWS: [&str; 6] = [
    "webhook lost",
    "webhook doubled",
    "webhook reordered",
    "webhook early",
    "webhook forged",
    "webhook late 26 hours",
];

/// Writes a scenario by chance: the same seed, the same text.
struct Author {
    state: u64,
    text: String,
    rewards: usize,
    batches: usize,
}

impl Author {
    fn new(seed: u64) -> Self {
        Self { state: seed, text: String::new(), rewards: 0, batches: 0 }
    }

    /// SplitMix64: small, and good enough to be unlike itself.
    fn draw(&mut self, below: usize) -> usize {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) % below as u64) as usize
    }

    fn one_of<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.draw(of.len())]
    }

    fn line(&mut self, line: impl AsRef<str>) {
        self.text += line.as_ref();
        self.text.push('\n');
    }

    fn write(mut self) -> String {
        self.cast();
        for _ in 0..10 {
            self.reward();
        }
        self.batch();
        for _ in 0..TROUBLE {
            self.something_happens();
            self.time_passes();
        }
        self.heal();
        self.text
    }

    fn cast(&mut self) {
        self.line("workers 2");
        if self.draw(3) == 0 {
            // The cap is under what the vendor takes of the larger payments, so what it really took differs at times.
            self.line("settings fee paypal USD 200 maximum 1.00");
            self.line("settings fees partner");
        }
        for number in 0..PARTNERS {
            let name = format!("p{number}");
            let scene = if self.draw(2) == 0 { Some(self.one_of(&SCENES)) } else { None };
            let at = match (self.draw(2), scene) {
                (0, Some(scene)) => format!("stripe acct_sim_{scene}_{name}"),
                (0, None) => format!("stripe acct_{name}"),
                (_, Some(scene)) => format!("paypal sim-{scene}-{name}@example.com"),
                (_, None) => format!("paypal {name}@example.com"),
            };
            self.line(format!("partner {name} {at}"));
        }
    }

    fn partner(&mut self) -> String {
        format!("p{}", self.draw(PARTNERS))
    }

    fn reward(&mut self) {
        let (number, owner) = (self.rewards, self.partner());
        self.rewards += 1;
        let value = 100 + self.draw(20_000);
        let worth = match self.draw(6) {
            0 => format!("{value} JPY"),
            1 => format!("{}.{:02} EUR", value / 100, value % 100),
            _ => format!("{}.{:02} USD", value / 100, value % 100),
        };
        self.line(format!("reward R{number} {owner} {worth} approved"));
    }

    fn batch(&mut self) {
        let number = self.batches;
        self.batches += 1;
        self.line(format!("batch B{number} all"));
        if self.draw(10) == 0 {
            self.line(format!("race pay B{number} | delete B{number}"));
        }
        self.line(format!("try pay B{number}"));
        // What could not be paid goes back, for the next batch.
        self.line(format!("try delete B{number}"));
        if self.draw(5) == 0 {
            let vendor = self.one_of(&["stripe", "paypal"]);
            self.line(format!("balance {vendor} 150.00"));
            self.line("tick dispatch together");
            self.line(format!("balance {vendor} 1000000.00"));
        }
    }

    fn something_happens(&mut self) {
        let who = self.partner();
        let times = 1 + self.draw(4);
        let line = match self.draw(32) {
            0..=2 => return (0..4).for_each(|_| self.reward()),
            3..=5 => return self.batch(),
            6..=12 => return self.fault(times),
            13..=15 => {
                let (vendor, news) = (self.one_of(&["stripe", "paypal"]), self.one_of(&NEWS));
                format!("vendor {vendor} {news} times {times}")
            }
            16 => {
                let vendor = self.one_of(&["stripe", "paypal"]);
                format!("vendor {vendor} 503 on any times {}", 10 * times)
            }
            17..=18 => {
                let point = self.one_of(&["commit and send", "send and record"]);
                format!("die between {point}")
            }
            19..=21 => return self.resubmissions(),
            22 => format!("try return {who}"),
            23 => format!("try refresh {who}"),
            24 => {
                let state = self.one_of(&["on", "off", "off"]);
                format!("hold {who} {state}")
            }
            25 => format!("mend {who}"),
            26 => "forget token".to_owned(),
            27 => format!("try outside {who} CHEQUE 2026-03-03"),
            28 => format!("try change {who} paypal {who}-{times}@example.com"),
            _ => "tick dispatch together".to_owned(),
        };
        self.line(line);
    }

    fn fault(&mut self, times: usize) {
        let vendor = self.one_of(&["stripe", "paypal"]);
        let call = match vendor {
            "stripe" => self.one_of(&["transfer", "transfer", "payout", "payout", "reversal", "read", "any"]),
            _ => self.one_of(&["batch", "batch", "batch", "read", "token", "any"]),
        };
        let (fault, after) = (self.one_of(&FAULTS), self.draw(2));
        self.line(format!("vendor {vendor} {fault} on {call} after {after} times {times}"));
    }

    fn resubmissions(&mut self) {
        for _ in 0..5 {
            let who = self.partner();
            self.line(format!("try resubmit {who}"));
        }
    }

    fn time_passes(&mut self) {
        let worker = 1 + self.draw(2);
        match self.draw(8) {
            0 => self.line("later 1 second"),
            1 => self.line("later 40 seconds"),
            2 => {
                let minutes = 1 + self.draw(30);
                self.line(format!("live {minutes} minutes"));
            }
            3 => {
                let hours = 1 + self.draw(12);
                self.line(format!("live {hours} hours"));
            }
            4 => self.line("deliver"),
            5 => self.line("tick all together"),
            6 => self.line(format!("tick all by {worker}")),
            _ => self.line(format!("tick dispatch by {worker}")),
        }
    }

    /// Everything is well again, and people take care of what failed.
    fn heal(&mut self) {
        self.line("heal");
        for number in 0..PARTNERS {
            self.line(format!("hold p{number} off"));
            self.line(format!("mend p{number}"));
        }
        for vendor in ["stripe", "paypal"] {
            self.line(format!("balance {vendor} 100000000.00"));
            self.line(format!("reconnect {vendor}"));
        }
        self.line("live 32 days");
        for number in 0..PARTNERS {
            let what = self.one_of(&["resubmit", "resubmit", "return", "outside"]);
            let proof = if what == "outside" { " CHEQUE 2026-04-20" } else { "" };
            self.line(format!("try {what} p{number}{proof}"));
        }
        self.line("live 5 days");
    }
}
