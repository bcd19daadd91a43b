//! Restores in the middle of a scenario: the scenario is generated as usual, then random moments are chosen at which
//! the database is saved and later restored. From there on people only make true statements, resolve found payments,
//! and leave safe mode when allowed. Uses a random stream of its own, so that scenarios without a restore stay the
//! same. Not here: what people do in detail (`stage::found`).

use std::collections::BTreeSet;

use crate::chance::Chance;

/// One scenario in this many has a restore.
const ONE_IN: u64 = 5;
const WHICH: u64 = 4;
/// The most history that is lost, in hours: PayPal reports at most 30 days of what it was sent.
const MOST_HOURS: u64 = 8 * 24;
/// Separates this random stream from the scenario's.
const APART: u64 = 0x9d5c_0f3b_71e4_2a86;

/// Adds a restore to a scenario.
pub struct PutBack {
    chance: Chance,
    batches: usize,
    /// The payees that can be resolved.
    names: Vec<String>,
}

impl PutBack {
    /// The restore for this seed, if it has one.
    pub fn of(seed: u64) -> Option<Self> {
        let chance = Chance::new(seed ^ APART);
        (seed % ONE_IN == WHICH).then(|| Self { chance, batches: 0, names: Vec::new() })
    }

    /// Adds the restore to the scenario `text`, whose first `first` lines are setup.
    pub fn tell(&mut self, text: &str, first: usize) -> String {
        // Information from a lost event is gone for good, so in these scenarios people only make true statements.
        let text: Vec<String> = text.lines().map(truly).collect();
        let lines: Vec<&str> = text.iter().map(String::as_str).collect();
        let (saved, lost) = self.moments(&lines, first);
        self.names =
            lines[..saved].iter().filter_map(|line| line.strip_prefix("partner ")).filter_map(name).collect();
        let mut scenario: Vec<String> = lines[..saved].iter().map(|line| (*line).to_owned()).collect();
        let company = if self.chance.one_in(4) { None } else { Some(self.company(&mut scenario)) };
        scenario.push("save".to_owned());
        if let Some(company) = &company {
            if company.bad {
                scenario.push("live 20 minutes".to_owned());
            }
            self.they_go_on(company, false, &mut scenario);
        }
        if company.is_none() || self.chance.one_in(3) {
            scenario.extend(lines[saved..lost].iter().map(|line| (*line).to_owned()));
        }
        let moved = last_changes(&scenario);
        scenario.push("put-back".to_owned());
        // As in docs/operating.md: set destinations again, which also holds the payee for payments found there.
        scenario.extend(moved);
        // Credentials saved in the lost period are saved again.
        for vendor in ["stripe", "paypal"] {
            let saved_anew = format!("maybe reconnect {vendor}");
            if lines[saved..lost].contains(&saved_anew.as_str()) {
                scenario.push(saved_anew);
            }
        }
        if let Some(company) = &company {
            self.a_vendor_is_away(&mut scenario);
            if company.bad {
                scenario.push(format!("maybe mend {}", company.names[0]));
            }
            self.people_look(&mut scenario);
            self.they_go_on(company, true, &mut scenario);
        }
        let mut until = if self.chance.one_in(2) { 0 } else { self.chance.below(12) };
        for line in &lines[lost..] {
            if until == 0 {
                self.people_look(&mut scenario);
                until = 6 + self.chance.below(12);
            }
            until -= 1;
            scenario.extend(afterwards(line));
        }
        scenario.join("\n") + "\n"
    }

    /// Chooses when to save and when to restore, with a payment to someone in between if one of the tries finds that.
    fn moments(&mut self, lines: &[&str], first: usize) -> (usize, usize) {
        let rest = lines.len().saturating_sub(first).max(1);
        let mut drawn = (lines.len(), lines.len());
        for _ in 0..8 {
            let saved = (first + self.chance.below(rest * 2 / 3 + 1)).min(lines.len());
            let most = 3 + self.chance.below(24);
            let mut hours = 0;
            let short = |line: &&&str| {
                hours += lasts(line);
                hours <= MOST_HOURS
            };
            let lost = saved + lines[saved..].iter().take(most).take_while(short).count();
            drawn = (saved, lost);
            let pays = |line: &&str| line.starts_with("try pay") || line.starts_with("together pay");
            if lines[saved..lost].iter().any(pays) && lost - saved > 2 {
                break;
            }
        }
        drawn
    }

    /// Someone checks the status and does what they are allowed to.
    fn people_look(&mut self, scenario: &mut Vec<String>) {
        self.time_passes(scenario);
        if !self.chance.one_in(3) {
            scenario.push("heal".to_owned());
            scenario.push("live 20 minutes".to_owned());
        }
        if !self.chance.one_in(4) {
            scenario.push("maybe settle-found".to_owned());
        }
        scenario.push("maybe safe-mode off".to_owned());
        if !self.names.is_empty() && self.chance.one_in(2) {
            let name = self.names[self.chance.below(self.names.len())].clone();
            scenario.push(format!("try settle {name} truly"));
            scenario.push(format!("try settle {name} truly by other"));
        }
        if !self.chance.one_in(3) {
            scenario.push("maybe settle-found".to_owned());
        }
        if self.chance.one_in(2) {
            self.everything_is_paid(scenario);
            self.time_passes(scenario);
        }
    }

    fn time_passes(&mut self, scenario: &mut Vec<String>) {
        let spans = ["2 seconds", "2 minutes", "10 minutes", "40 minutes", "5 hours", "26 hours", "3 days"];
        scenario.push(format!("live {}", spans[self.chance.below(spans.len())]));
    }

    fn everything_is_paid(&mut self, scenario: &mut Vec<String>) {
        let number = self.batches;
        self.batches += 1;
        self.is_paid(&format!("P{number}"), "all", scenario);
    }

    /// Ends all faults, and people resolve everything.
    pub fn heal(&mut self) -> String {
        let mut scenario: Vec<String> =
            ["heal", "healed", "fees shown", "items shown", "lists shown"].map(str::to_owned).to_vec();
        for name in &self.names {
            scenario
                .extend(["hold {} off", "mend {}", "give-access {}"].map(|line| line.replace("{}", name)));
        }
        for vendor in ["stripe", "paypal"] {
            scenario.push(format!("balance {vendor} 100000000.00"));
            scenario.push(format!("maybe reconnect {vendor}"));
        }
        scenario.push("safe-mode off within 20 days".to_owned());
        scenario.push("settle-found".to_owned());
        scenario.push("live 20 days".to_owned());
        scenario.push("settle-all".to_owned());
        for name in self.names.clone() {
            let what = ["resubmit", "resubmit", "return", "return"][self.chance.below(4)];
            scenario.push(format!("try {what} {name}"));
        }
        scenario.push("live 2 days".to_owned());
        scenario.push("settle-all".to_owned());
        self.everything_is_paid(&mut scenario);
        scenario.push("live 32 days".to_owned());
        scenario.join("\n") + "\n"
    }
}

/// The payees around a restore, and their payouts.
struct Company {
    names: Vec<String>,
    payouts: usize,
    /// PayPal will refuse their batch because of the first payee.
    bad: bool,
}

/// The possible outcomes of a payment to them, by vendor.
const STRIPE: [&str; 6] = [
    "acct_",
    "acct_",
    "acct_sim_closed_",
    "acct_sim_closed_",
    "acct_sim_slow_",
    "acct_sim_paid_then_failed_",
];
const PAYPAL: [&str; 7] = ["", "", "", "sim-refused-", "sim-blocked-", "sim-denied-", "sim-unclaimed-"];

/// The payees with much activity around the save.
impl PutBack {
    /// They are paid once or twice, possibly with faults.
    fn company(&mut self, scenario: &mut Vec<String>) -> Company {
        scenario.push("heal".to_owned());
        if self.chance.one_in(4) {
            return self.one_bad_item(scenario);
        }
        let vendor = ["stripe", "paypal"][self.chance.below(2)];
        let names: Vec<String> = (0..1 + self.chance.below(3)).map(|number| format!("q{number}")).collect();
        for name in &names {
            let to = match vendor {
                "stripe" => format!("{}{name}", STRIPE[self.chance.below(STRIPE.len())]),
                _ => format!("{}{name}@example.com", PAYPAL[self.chance.below(PAYPAL.len())]),
            };
            scenario.push(format!("partner {name} {vendor} {to}"));
        }
        self.names.extend(names.iter().cloned());
        let payouts = 1 + self.chance.below(2);
        for payout in 0..payouts {
            for name in &names {
                scenario.push(format!("maybe reward Q{payout}{name} {name} 25.00 USD approved"));
            }
        }
        let ahead = ["60", "90", "120"][self.chance.below(3)];
        let wrong = self.chance.one_in(3);
        if wrong {
            scenario.push(format!("clock 1 ahead {ahead}"));
        }
        if self.chance.one_in(2) {
            let faults = [
                "answer lost",
                "429 retry-after 600",
                "refuse connection",
                "503",
                "stored 500",
                "executed 500",
            ];
            let call =
                if vendor == "paypal" { "batch" } else { ["transfer", "payout"][self.chance.below(2)] };
            scenario.push(format!("vendor {vendor} {} on {call}", faults[self.chance.below(faults.len())]));
        }
        // The last payout may happen only in the lost period.
        let promised = payouts - self.chance.below(2);
        for payout in 0..promised {
            let of = names.iter().map(|name| format!("Q{payout}{name}")).collect::<Vec<_>>().join(" ");
            self.is_paid(&format!("Q{payout}"), &of, scenario);
        }
        match self.chance.below(6) {
            0 | 1 => {}
            2 => scenario.push("tick dispatch".to_owned()),
            _ => self.time_passes(scenario),
        }
        if self.chance.one_in(4) {
            let name = &names[self.chance.below(names.len())];
            scenario.push(format!("try return {name}"));
        }
        if wrong {
            scenario.push(format!("clock 1 ahead -{ahead}"));
        }
        Company { names, payouts, bad: false }
    }

    /// PayPal refuses their batch because of one payee and pays the others under another key. The restored database
    /// knows only the first key, which would pay them again as soon as PayPal accepts it.
    fn one_bad_item(&mut self, scenario: &mut Vec<String>) -> Company {
        let names: Vec<String> = (0..2 + self.chance.below(2)).map(|number| format!("q{number}")).collect();
        for (number, name) in names.iter().enumerate() {
            let bad = if number == 0 { "sim-refused-" } else { "" };
            scenario.push(format!("partner {name} paypal {bad}{name}@example.com"));
            scenario.push(format!("maybe reward Q0{name} {name} 25.00 USD approved"));
        }
        self.names.extend(names.iter().cloned());
        scenario.push("vendor paypal 429 retry-after 600 on batch".to_owned());
        let of = names.iter().map(|name| format!("Q0{name}")).collect::<Vec<_>>().join(" ");
        self.is_paid("Q0", &of, scenario);
        scenario.push("tick dispatch".to_owned());
        Company { names, payouts: 1, bad: true }
    }

    /// Random actions of people and vendors on them; `truth` after the restore.
    fn they_go_on(&mut self, company: &Company, truth: bool, scenario: &mut Vec<String>) {
        for _ in 0..1 + self.chance.below(6) {
            let name = company.names[self.chance.below(company.names.len())].clone();
            let payout = self.chance.below(company.payouts);
            let of = format!("{name}@Q{payout}");
            match self.chance.below(if truth { 14 } else { 16 }) {
                0 | 1 => scenario.push(format!("try resubmit {of}")),
                2 | 3 => scenario.push(format!("maybe mend {name}")),
                4 => scenario.push(format!("try return {of}")),
                5 => scenario.push(format!("try refresh {of}")),
                6 | 7 => {
                    scenario.push(format!("try settle {of} truly"));
                    scenario.push(format!("try settle {of} truly by other"));
                }
                8 => scenario.push(format!("maybe reverse {of}")),
                9 => scenario.push(format!("try cancel {of}")),
                10 => scenario.push(format!("maybe hold {name} {}", ["on", "off"][self.chance.below(2)])),
                11 | 12 => self.everything_is_paid(scenario),
                13 => scenario.push("tick dispatch".to_owned()),
                14 => {
                    // A shared destination, which someone confirms.
                    scenario.push(format!("try change {name} paypal q0@example.com"));
                    scenario.push(format!("maybe clear {name}"));
                    scenario.push("live 73 hours".to_owned());
                }
                _ => scenario.push(format!("try change {name} stripe acct_{name}_new")),
            }
            if self.chance.one_in(2) {
                self.time_passes(scenario);
            }
        }
        if self.chance.one_in(2) {
            self.everything_is_paid(scenario);
        }
        if self.chance.one_in(2) {
            self.time_passes(scenario);
        }
    }

    /// A vendor is down, so that safe mode lasts longer than Stripe keeps idempotency keys.
    fn a_vendor_is_away(&mut self, scenario: &mut Vec<String>) {
        if self.chance.one_in(2) {
            return;
        }
        let vendor = ["stripe", "paypal"][self.chance.below(2)];
        scenario.push(format!("vendor {vendor} 503 on any times 100000"));
        scenario.push(format!("live {} hours", 2 + self.chance.below(30)));
        scenario.push("heal".to_owned());
    }

    fn is_paid(&mut self, payout: &str, of: &str, scenario: &mut Vec<String>) {
        scenario.push(format!("maybe batch {payout} {of}"));
        scenario.push(format!("try release {payout}"));
        scenario.push(format!("try pay {payout}"));
        scenario.push(format!("try delete {payout}"));
    }
}

/// The name at the start of a line.
fn name(line: &str) -> Option<String> {
    line.split_whitespace().next().map(str::to_owned)
}

/// Each payee's last change of destination since the save.
fn last_changes(scenario: &[String]) -> Vec<String> {
    let lost = scenario.iter().rev().take_while(|line| *line != "save");
    let mut seen = BTreeSet::new();
    let mut changes: Vec<String> = lost
        .filter(|line| line.strip_prefix("try change ").and_then(name).is_some_and(|who| seen.insert(who)))
        .cloned()
        .collect();
    changes.reverse();
    changes
}

/// How many hours a line lasts.
fn lasts(line: &str) -> u64 {
    let words: Vec<&str> = line.split_whitespace().collect();
    let ["live" | "later", count, unit] = words.as_slice() else { return 0 };
    let count = count.parse::<u64>().unwrap_or(0);
    match unit.trim_end_matches('s') {
        "hour" => count,
        "day" => 24 * count,
        _ => 0,
    }
}

/// Replaces a statement about a payment with a true one.
fn truly(line: &str) -> String {
    let words: Vec<&str> = line.split_whitespace().collect();
    match words.as_slice() {
        ["try", "settle", who, .., "by", "other"] => format!("try settle {who} truly by other"),
        ["try", "settle", who, ..] => format!("try settle {who} truly"),
        _ => line.to_owned(),
    }
}

/// Adapts a line for after the restore: what it names may be gone, and what it expects may be unknown.
fn afterwards(line: &str) -> Option<String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    match words.as_slice() {
        ["agrees", ..] => None,
        [
            "partner" | "reward" | "hold" | "mend" | "write-over" | "give-access" | "disconnect" | "daily"
            | "switch" | "safe-mode",
            ..,
        ] => Some(format!("maybe {line}")),
        _ => Some(line.to_owned()),
    }
}
