//! Generates a random scenario: payees and vendors, what people do, faults, process crashes, and a final healing phase
//! in which vendors and people behave. The same seed produces the same text. Not here: what must hold afterwards
//! (`invariants`).

use crate::chance::Chance;

mod dramas;
mod put_back;
mod words;

use put_back::PutBack;
use words::{CALLS, FAULTS, NEWS, SCENES};

#[derive(Clone, Copy, Debug)]
pub struct Taste {
    /// The maximum number of processes.
    pub processes: usize,
}

pub struct Author {
    chance: Chance,
    seed: u64,
    text: String,
    taste: Taste,
    processes: usize,
    /// The number of partners at the start.
    partners: usize,
    /// The names of all payees.
    names: Vec<String>,
    rewards: usize,
    batches: usize,
    /// The number of faults and disturbances.
    trouble: usize,
}

impl Author {
    /// An author for this seed.
    pub fn new(seed: u64, taste: Taste) -> Self {
        let mut chance = Chance::new(seed);
        // Most scenarios are short, because short ones run fast and their failures are easy to understand.
        let (partners, trouble) = match chance.below(20) {
            0 => (12, 60),
            1..=5 => (6, 28),
            _ => (4, 14),
        };
        let processes = 1 + chance.below(taste.processes.max(1));
        let text = String::new();
        let names = Vec::new();
        Self { chance, seed, text, taste, processes, partners, names, rewards: 0, batches: 0, trouble }
    }

    fn line(&mut self, line: impl AsRef<str>) {
        self.text += line.as_ref();
        self.text.push('\n');
    }

    fn below(&mut self, limit: usize) -> usize {
        self.chance.below(limit)
    }

    fn of<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.chance.below(of.len())]
    }

    pub fn write(mut self) -> String {
        let (processes, seed) = (self.processes.min(self.taste.processes.max(1)), self.seed);
        self.line(format!("processes {processes} seed {seed}"));
        self.cast();
        for _ in 0..self.partners + 1 {
            self.reward();
        }
        let first = self.text.lines().count();
        if self.chance.one_in(2) {
            self.trouble_at_a_vendor();
        }
        self.batch();
        let told = (!self.chance.one_in(3)).then(|| self.below(self.trouble));
        for at in 0..self.trouble {
            if Some(at) == told {
                self.drama();
            }
            self.something_happens();
            self.time_passes();
        }
        match PutBack::of(seed) {
            None => {
                self.heal();
                self.text
            }
            Some(mut put_back) => put_back.tell(&self.text, first) + &put_back.heal(),
        }
    }

    fn cast(&mut self) {
        if self.chance.one_in(4) {
            // The cap is below the vendor's fee for larger payments, so expected and actual fees sometimes differ.
            self.line("settings fee paypal USD 200 maximum 1.00");
            self.line("settings fees partner");
        }
        if self.chance.one_in(5) {
            self.line("settings two-person on");
        }
        if self.chance.one_in(5) {
            self.line("settings cooling-off 0");
        }
        if self.chance.one_in(5) {
            let most = 1 + self.below(3);
            self.line(format!("pages {most}"));
        }
        for _ in 0..self.partners {
            let scene = if self.chance.one_in(2) { Some(self.of(&SCENES)) } else { None };
            let vendor = self.of(&["stripe", "paypal"]);
            self.joins(vendor, scene);
        }
    }

    /// Adds a payee at this vendor; returns their name.
    fn joins(&mut self, vendor: &str, scene: Option<&str>) -> String {
        let name = format!("p{}", self.names.len());
        let at = match (vendor, scene) {
            ("stripe", Some(scene)) => format!("acct_sim_{scene}_{name}"),
            ("stripe", None) => format!("acct_{name}"),
            (_, Some(scene)) => format!("sim-{scene}-{name}@example.com"),
            (_, None) => format!("{name}@example.com"),
        };
        self.line(format!("partner {name} {vendor} {at}"));
        self.names.push(name.clone());
        name
    }

    fn partner(&mut self) -> String {
        let at = self.chance.below(self.names.len());
        self.names[at].clone()
    }

    fn process(&mut self) -> usize {
        1 + self.chance.below(self.processes)
    }

    fn reward(&mut self) {
        let owner = self.partner();
        // Some are large and some are equal, because equal amounts can be mistaken for each other.
        let value = match self.below(8) {
            0 => 66_000 + self.below(200_000),
            1 | 2 => 2_500,
            _ => 100 + self.below(20_000),
        };
        let worth = match self.below(6) {
            0 => format!("{value} JPY"),
            1 => format!("{}.{:02} EUR", value / 100, value % 100),
            _ => format!("{}.{:02} USD", value / 100, value % 100),
        };
        let approved = if self.chance.one_in(12) { "" } else { " approved" };
        self.earned(&owner, &format!("{worth}{approved}"));
    }

    /// Adds a reward; returns its name.
    fn earned(&mut self, owner: &str, worth: &str) -> String {
        let name = format!("R{}", self.rewards);
        self.rewards += 1;
        self.line(format!("reward {name} {owner} {worth}"));
        name
    }

    /// Adds a batch, and what people do with it concurrently.
    fn batch(&mut self) {
        let number = self.batches;
        self.batches += 1;
        self.line(format!("maybe batch B{number} all"));
        if self.chance.one_in(6) {
            let reward = self.below(self.rewards);
            self.line(format!("maybe look B{number}"));
            self.line(format!("maybe take B{number} R{reward}"));
            self.line(format!("try pay B{number} as seen"));
        }
        self.line(format!("maybe ask B{number}"));
        match self.below(3) {
            0 => self.line(format!("try release B{number} by actor")),
            1 => self.line(format!("try release B{number}")),
            _ => {}
        }
        if self.chance.one_in(3) {
            let (one, other, who) = (self.process(), self.process(), self.partner());
            let beside = match self.below(6) {
                0 => format!("pay B{number} on {other}"),
                1 => format!("delete B{number} on {other}"),
                2 => format!("hold {who} on on {other}"),
                3 => format!("take B{number} R{} on {other}", self.below(self.rewards)),
                4 => format!("pay B{number} by other on {other} | delete B{number}"),
                _ => format!("loops on {other}"),
            };
            let turns = self.below(1_000_000);
            let fate = self.fate();
            self.line(format!("together pay B{number} on {one}{fate} | {beside} turns {turns}"));
        }
        self.line(format!("try pay B{number}"));
        // Release what could not be paid, for the next batch.
        self.line(format!("try delete B{number}"));
        if self.chance.one_in(6) {
            let vendor = self.of(&["stripe", "paypal"]);
            self.line(format!("balance {vendor} 150.00"));
            self.together();
            self.line(format!("balance {vendor} 1000000.00"));
        }
    }

    fn something_happens(&mut self) {
        let who = self.partner();
        match self.below(40) {
            0..=1 => (0..3).for_each(|_| self.reward()),
            2..=5 => {
                self.reward();
                self.batch();
            }
            6..=13 => self.trouble_at_a_vendor(),
            14..=20 => self.together(),
            21..=24 => self.somebody_acts(&who),
            25..=27 => self.at_the_vendor(&who),
            28..=29 => self.resubmissions(),
            30 => {
                let (process, seconds) = (self.process(), self.of(&["45", "90", "-50", "-100", "20"]));
                self.line(format!("clock {process} ahead {seconds}"));
            }
            31 => {
                let process = self.process();
                let turns = self.below(1_000_000);
                self.line(format!("together wake on {process} | loops on {process} turns {turns}"));
            }
            32 => self.line("forget token"),
            33..=34 => {
                let claim = self.of(&["paid", "failed", "success", "returned", "canceled"]);
                let wrong = self.of(&[
                    "unsigned",
                    "keyless",
                    "stale",
                    "other account",
                    "live mode",
                    "unknown object",
                    "",
                ]);
                self.line(format!("maybe webhook {who} {claim} {wrong}"));
            }
            35 => {
                let what = self.of(&["webhook {} again", "set-aside {}"]).replace("{}", &who);
                self.line(format!("maybe {what}"));
            }
            36 => {
                let point =
                    self.of(&["commit and send", "send and record", "lease and begin", "begin and send"]);
                self.line(format!("die between {point}"));
            }
            _ => self.together(),
        }
    }

    fn fate(&mut self) -> String {
        match self.below(8) {
            0..=2 => format!(" dies {}", 1 + self.below(24)),
            3 => format!(" sleeps {}", 1 + self.below(24)),
            4 => format!(" errs {}", 1 + self.below(60)),
            _ => String::new(),
        }
    }

    /// Runs the loops of one or two processes concurrently, and possibly a person's command.
    fn together(&mut self) {
        let mut sides = Vec::new();
        for _ in 0..1 + self.below(self.processes.min(2)) {
            let process = self.process();
            let what = match self.below(5) {
                0 => "loop dispatch",
                1 => "deliver",
                _ => "loops",
            };
            // Storing an event takes few statements.
            let fate = match (what, self.below(4)) {
                ("deliver", 0) => format!(" errs {}", 1 + self.below(10)),
                _ => self.fate(),
            };
            sides.push(format!("{what} on {process}{fate}"));
        }
        if self.chance.one_in(3) {
            let who = self.partner();
            let what =
                self.of(&["hold {} on", "resubmit {}", "return {}", "refresh {}", "cancel {}", "deliver"]);
            sides.push(what.replace("{}", &who));
        }
        let turns = self.below(1_000_000);
        self.line(format!("together {} turns {turns}", sides.join(" | ")));
    }

    fn trouble_at_a_vendor(&mut self) {
        let (vendor, times) = (self.of(&["stripe", "paypal"]), 1 + self.below(4));
        if self.chance.one_in(3) {
            let news = self.of(&NEWS);
            return self.line(format!("vendor {vendor} {news} times {times}"));
        }
        if self.chance.one_in(10) {
            return self.line(format!("vendor {vendor} 503 on any times {}", 10 * times));
        }
        let call = match vendor {
            "stripe" => self.of(CALLS[0]),
            _ => self.of(CALLS[1]),
        };
        let (fault, after) = (self.of(&FAULTS), self.below(2));
        self.line(format!("vendor {vendor} {fault} on {call} after {after} times {times}"));
    }

    fn somebody_acts(&mut self, who: &str) {
        let other = self.of(&["", " by other"]);
        let line = match self.below(12) {
            0 => format!("try return {who}"),
            1 => format!("try refresh {who}"),
            2 => format!("hold {who} {}", self.of(&["on", "off", "off"])),
            3 => format!("try outside {who} CHEQUE 2026-03-02"),
            4 => format!("try change {who} paypal {who}-{}@example.com", self.below(9)),
            5 => format!("try change {who} stripe acct_{who}_{}", self.below(9)),
            6 => format!("try cancel {who}"),
            7 => format!("try settle {who} made{}", self.of(&["", " by other", " as p0", " as p1"])),
            8 => format!("try settle {who} not-made{other}"),
            9 => format!("try parked {who} {}{other}", self.of(&["reversed", "written_off"])),
            10 => format!("maybe approve R{}", self.below(self.rewards)),
            _ => format!("maybe clawback C{} R{} 1.00", self.below(1_000_000), self.below(self.rewards)),
        };
        self.line(line);
    }

    /// Actions people take at the vendor rather than in Bursar.
    fn at_the_vendor(&mut self, who: &str) {
        let line = match self.below(12) {
            0 | 1 => format!("maybe reverse {who}"),
            2 => format!("maybe reverse {who} 0.50"),
            3 => format!("maybe drain {who}"),
            4 => format!("maybe daily {who}"),
            5 => format!("maybe disconnect {who}"),
            6 => format!("maybe close-bank {who} USD"),
            7 => format!("write-over {who}"),
            8 => format!("give-access {who}"),
            9 => format!("items {}", self.of(&["late", "shown"])),
            _ => format!("mend {who}"),
        };
        self.line(line);
    }

    fn resubmissions(&mut self) {
        for _ in 0..3 {
            let who = self.partner();
            self.line(format!("try resubmit {who}"));
        }
    }

    fn time_passes(&mut self) {
        let process = self.process();
        match self.below(9) {
            0 => self.line("later 1 second"),
            1 => self.line("later 40 seconds"),
            2 => {
                let minutes = 1 + self.below(30);
                self.line(format!("live {minutes} minutes"));
            }
            3 => {
                let hours = 1 + self.below(30);
                self.line(format!("live {hours} hours"));
            }
            4 => self.line("deliver"),
            5 => {
                let days = 1 + self.below(4);
                self.line(format!("live {days} days"));
            }
            6 => self.line(format!("tick all by {process}")),
            _ => self.line(format!("tick dispatch by {process}")),
        }
    }

    /// Ends all faults, and people fix what failed.
    fn heal(&mut self) {
        self.line("heal");
        self.line("healed");
        for what in ["safe-mode off", "fees shown", "items shown", "lists shown"] {
            self.line(what);
        }
        for name in self.names.clone() {
            self.line(format!("hold {name} off"));
            self.line(format!("mend {name}"));
        }
        for vendor in ["stripe", "paypal"] {
            self.line(format!("balance {vendor} 100000000.00"));
            self.line(format!("maybe reconnect {vendor}"));
        }
        self.line("live 20 days");
        for name in self.names.clone() {
            let what = self.of(&["resubmit", "resubmit", "return", "outside"]);
            let proof = if what == "outside" { " CHEQUE 2026-03-02" } else { "" };
            self.line(format!("try settle {name} made"));
            self.line(format!("try settle {name} not-made"));
            self.line(format!("try settle {name} not-made by other"));
            self.line(format!("try {what} {name}{proof}"));
        }
        self.line("live 32 days");
    }
}
