//! Scenarios: money flows written as plain text files and run through the real verbs, loops and webhook routes against
//! the simulated vendors, on a clock that only the scenario advances.
//!
//! A file is a list of lines `word argument …`; a `#` starts a comment. Amounts without a currency are in USD. Names
//! (`ana`, `R1`, `B1`) belong to the scenario.
//!
//! # Setup
//!
//! | line | does |
//! | --- | --- |
//! | `settings fees partner` | sets who bears the vendor's fee; `settings fee paypal USD 200 maximum 20.00` sets the fee (in hundredths of a percent; `fixed`, `minimum`, `monthly`); also `cooling-off 0` (hours), `two-person on`, `payouts off`, `tax on`, `vendors paypal`, `threshold 50.00 USD`, `limit per-day 100.00 USD` (`per-batch`, `per-person-per-day`, `per-payment paypal 10.00 USD`, `per-reward 500.00 USD`) |
//! | `account acme paypal pay@acme.example` | creates a company, with an optional destination |
//! | `partner ana stripe acct_ana of acme from DE` | creates a partner in the same way; `of` and `from` are optional |
//! | `change ana paypal new@example.com` | an administrator changes the destination |
//! | `hold ana on` / `off`, `close ana` | puts the partner on hold, ends the hold, or closes them |
//! | `tax ana w9 2026-01-31` | files a tax report signed on that day |
//! | `reward R1 ana 120.00 EUR approved organization` | creates a reward; `approved` approves it, `organization` pays the company; also `points`, `held` (for five days), `expiring` (in two days) |
//! | `approve R1`, `clawback C1 R1 20.00` | approves it later; claws back part of a paid one |
//! | `crowd 2500 paypal 10.00` | creates this many partners with one approved reward each |
//! | `balance stripe 0.00 EUR` | sets our balance at a vendor |
//! | `safe-mode on` | a person stops everything; `off` resumes |
//! | `save`, `put-back` | saves a copy of the database, and later restores it by hand: what happened in between is lost here and nowhere else; if anything was sent in between, that must be noticed and safe mode must start |
//! | `settle-found` | people resolve the payments found at the vendors, each according to what happened to its money, and void the rewards it paid; in safe mode only those that hold nobody. `settle-all`: also everything in review |
//! | `safe-mode off within 20 days` | the same every few hours until the program allows leaving safe mode, which must happen within that time |
//! | `brake on` | as after a check found the ledger broken; `brake off`: an administrator has released it |
//! | `workers 2` | the number of workers; lines that name none use the first |
//! | `processes 3 seed 17` | the first line of a generated scenario: this many processes on one database, each with its own clock, and no network |
//!
//! # What people do
//!
//! `batch B1 R1 R2` (or `all` payable rewards) · `add B1 R3` · `take B1 R3` · `look B1` (remembers what is shown) ·
//! `pay B1` (or `pay B1 as seen`: what the last look showed) · `release B1` (by the other person) · `delete B1` ·
//! `clear B1` (of every blocked claim) · `override B1 ana` (its threshold) · `ask B1` (for the release) ·
//! `resubmit ana` · `clear ana` (the other person clears the shared destination; `clear ana myself`: the person who
//! entered it does) · `settle ana made` (as the vendor's object for them; `made as bo`: as its object for bo;
//! `made first`: as its first item or transfer for them; `made by-schedule`: as the payout that Stripe's own schedule
//! made from their balance) / `settle ana not-made` (after asking the vendor) / `settle ana truly` (as whatever the
//! vendor has, or as not made) · `parked bo reversed` (or `written_off`, `paid_otherwise REF-1 2026-03-02`: what
//! happened to the money in their balance) · `by other` at the end of these two: the other person confirms
//! (`by own-key`, `by others-key`: an API key created by the first or the other person; also for `release`) ·
//! `return ana` (to the pool) · `cancel ana` (recalls an unclaimed payment) · `outside ana REF-1 2026-03-02` ·
//! `refresh ana` · `call-settled ana` (an administrator states that what was found for them after a restore is
//! resolved) · `void R1` · `edit R1 30.00` (a new value; `approve R1` approves it again) ·
//! `refuse not_terminal resubmit ana` (a command that must be refused with this code) · `try resubmit ana` (it may be
//! refused or have no target) · `race pay B1 | delete B1` (concurrently, and exactly one may succeed).
//!
//! # What vendors do
//!
//! `vendor WHOM FAULT [on CALL] [after N] [times N]`: WHOM is a vendor or a payee paid through it; FAULT is
//! `answer lost`, `cut in body`, `stored 500`, `executed 500`, `503`, `429 retry-after 60`, `lock timeout`, `in use`,
//! `401`, `html`, `other amount`, `repeated`, `refuse connection`, `slow 800` (milliseconds), or `webhook lost`,
//! `doubled`, `reordered`, `early`, `late 2 hours`, `forged`; CALL is `transfer`, `payout`, `reversal`, `batch`,
//! `cancel`, `token`, `read` or `any`, by default the vendor's first money call. `heal` (removes all faults) ·
//! `mend ana` (their bank details are fixed) · `drain bo` (their Stripe balance is spent) · `reverse bo`,
//! `reverse bo 20.00` or `reverse bo first` (of several): their transfer is reversed in Stripe's dashboard, fully or
//! partly · `reverse-payout bo` (their bank payout is reversed in the dashboard: the bank returns the money a while
//! later) · `daily bo` (their Stripe account gets the daily payout schedule, which sweeps it at midnight) ·
//! `fees hidden` / `shown` (whether PayPal reports its fees) · `close-bank bo EUR` (they remove that bank account) ·
//! `disconnect bo` (they revoke our access to their Stripe account) · `give-access bo` (they restore it) ·
//! `write-over bo` (they remove our metadata from their payouts) · `clock ahead 120` (ours runs this many more seconds
//! ahead of theirs; `-120` undoes it) · `forget token` · `keys forgotten` (both vendors forget all idempotency keys,
//! sooner than documented) · `forget accounts` (as in a database of an earlier version) · `items late` / `shown`
//! (whether PayPal lists only half of a batch until it is done) · `lists late` / `shown` (whether Stripe's lists omit
//! what is less than a minute old) · `pages 1` / `whole` (the page size limit of lists) · `set-aside ana` (a pass
//! failed on the payment's record) · `reconnect stripe` (credentials are saved again; `other-account`: those of another
//! account) · `switch stripe other-account` (the same directly in the database, without any check) · `deliver` (posts
//! due webhooks) · `webhook ana again` (redelivers the last event about them, the same bytes) · `webhook ana paid` (a
//! hand-made event with that claim; with `unsigned`, `keyless`, `stale`, `other account`, `live mode` or
//! `unknown object` as its defect; `of 1` names the first attempt's object).
//!
//! # Reconciliation
//!
//! `pull` (reads the vendors' balance transactions and reconciles them) · `lie ana left-out` (the vendor's list omits
//! their movements; or `amount 1.00`, `fee 0.30`: each amount or fee is this much larger; `truth` ends it) ·
//! `dashboard-transfer bo 25.00` (someone sends them money in Stripe's dashboard) · `explain ana asked Stripe` (someone
//! explains the difference; `nobody` if it is about no payment of ours). `day stripe ties` holds if today does
//! (`explained`, `waits`, `does_not_tie`; `day stripe 2026-03-02 ties` for another day), and `case ana fee_differs` if
//! exactly these cases are open for the newest payment, `case nobody extra_at_vendor` for no payment of ours; without
//! names, none.
//!
//! # Time and the loops
//!
//! `later 3 days` · `tick dispatch` (or `intake`, `settle`, `reconcile`, `notify`, `all` that move money; `by 2` names
//! the worker, `together` runs all workers concurrently): a second passes, then the loop runs until nothing is due ·
//! `live 10 minutes` (or `past midnight`, when schedules pay out): time passes in growing steps, webhooks are delivered
//! and every loop runs · `die between commit and send` (or `send and record`, `lease and begin`, `begin and send`): the
//! first worker's process dies at that point of its next tick and is replaced · `start dispatch by 2`, `asked` (waits
//! until a vendor received a request since) or `rest 300` (real milliseconds), `finish`: a loop that runs while other
//! lines are executed · `quiet 2 minutes` (every loop runs each ten seconds for this long, and no vendor is asked about
//! anything of ours).
//!
//! `together SIDE | SIDE turns 17` (a second passes, then all sides run step by step in an order seeded by the number;
//! a step ends where a transaction begins or is committed, and on both sides of a vendor call). A SIDE is a command,
//! `loops`, `loop dispatch`, `deliver` or `wake`; `on 2` after it names the process; then `dies 5` (the process dies at
//! its fifth point), `sleeps 5` (it stalls there until `wake`) or `errs 9` (its ninth statement fails) · `healed` (all
//! stalled work is finished, and every clock is right again) · `clock 2 ahead 90` (the clock of one process) ·
//! `maybe reverse bo` (a line that may have no target).
//!
//! # Expectations
//!
//! | line | holds if |
//! | --- | --- |
//! | `expect ana success` | the newest transaction has this status and no detail |
//! | `expect ana failed reason account_closed` | … and this reason; a detail follows the status: `expect ana pending_processing unclaimed` |
//! | `expect ana pending waiting profile_changed_recently` | … and waits at this gate |
//! | `expect B1 paid`, `expect R1 in_payout`, `expect all success` | a batch, a reward, every transaction |
//! | `blocked R1 profile_missing below_threshold` | exactly these gates are closed for a reward, or for a batch with its claims; without names, none |
//! | `skipped ana profile_missing` | the skipped claims, newest first, with their reasons |
//! | `why bo waiting_for_funds` | exactly these codes say why the newest transaction is not paid; without names, none |
//! | `tally success=2499 failed=1` | this many transactions have each status, and none has another |
//! | `attempts ana transfer=1 payout=2` | this many attempts exist for each leg |
//! | `requests ana 2 executed 1` | this many payment requests reached the vendor, and this many were executed |
//! | `sent ana 120.00` / `arrived ana 120.00` | by the vendor's books: gone from our balance; with the payee |
//! | `books payable(ana) 0.00 in_flight 0.00` | our ledger, debit positive; a currency other than USD comes first |
//! | `vendor-balance stripe 880.00` | our balance in the vendor's books |
//! | `profile ana ready` | the payout profile: `ready`, `shared`, or `not-ready` and words of the reason |
//! | `changes ana 2` | the destination was set this many times, including the first |
//! | `told ana payout_profile_changed 2` | this many notices of that name were written about them |
//! | `year ana 2026 paypal 120.00` | what they were paid in a year through a vendor or `outside`, net of returns |
//! | `nothing-asked other-account` | no payment request has reached the other account of either vendor |
//! | `events parked 1` | this many events are for unknown objects |
//! | `mailed ana payment_paid`, `unmailed ana payment_failed` | these mails about the newest transaction were written, or none of them |
//! | `announced batch_final`, `unannounced payments_stuck` | these notices were sent, or none of them |
//! | `agrees ana` | our view of the newest transaction matches the vendor's books right now |
//! | `unfinished` | something is left to do at the end, and the scenario expects it |
//!
//! `ana/EUR` is the transaction in that currency, `ana@B1` that of that batch. After the last line everything must be
//! finished, and `world::check` compares our database with the vendors' books.
//!
//! Not here: pages and the API, which have their own tests.

mod cast;
mod commands;
mod expect;
mod found;
mod plot;
mod put_back;
mod quick;
mod reconciling;
mod together;
mod vendor;

pub use found::say_of_found;

use std::collections::BTreeMap;

use crate::invariants;
use crate::outside::Outside;
use crate::turns::Side;
use crate::world::database::Database;
use crate::world::{World, check};
use cast::Cast;

/// The result of a line: nothing, or what is wrong.
pub type Outcome = Result<(), String>;

pub struct Stage {
    pub world: World,
    cast: Cast,
    /// Loops that were started and have not finished.
    running: Vec<tokio::task::JoinHandle<()>>,
    /// The vendors' request count when the loop was started.
    asked: u64,
    /// The number of parked events the scenario expects.
    parked: i64,
    /// The scenario expects unfinished work at the end.
    unfinished: bool,
    /// Sides that are stalled until woken, by worker.
    asleep: BTreeMap<usize, Vec<Side>>,
    /// When the database was saved, how many destinations were known, and the names at that time.
    saved: Option<(i64, usize, Cast)>,
    /// Found payments resolved while their rewards could not be voided, and the payees on hold until they are.
    owed: Vec<(String, Vec<payout::ledger::Payee>)>,
    /// The commands run, and their results.
    pub log: Vec<String>,
    /// In a simulation: direct access to the database.
    outside: Option<Outside>,
}

impl Stage {
    /// An empty stage. `seed` determines every id.
    pub async fn open(name: &str, seed: u64) -> Self {
        Self::on(World::open(name, seed).await)
    }

    /// The same, at the current time of the machine's clock.
    pub async fn open_now(name: &str, seed: u64) -> Self {
        Self::on(World::open_at(name, seed, &[], bursar::clock::Clock::system().now()).await)
    }

    /// An empty stage in simulation mode.
    pub async fn swift(name: &str, seed: u64) -> Self {
        let world = World::swift(name, seed).await;
        let outside = Outside::of(&world.database_url).await;
        Self { outside: Some(outside), ..Self::on(world) }
    }

    /// The stage a text needs: simulation mode if the simulation wrote it.
    pub async fn for_text(name: &str, text: &str) -> Self {
        match written_by(text) {
            Some(seed) => Self::swift(name, seed).await,
            None => Self::open(name, 1).await,
        }
    }

    /// An empty stage in an existing world.
    pub fn on(world: World) -> Self {
        Self {
            world,
            cast: Cast::default(),
            running: Vec::new(),
            asked: 0,
            parked: 0,
            unfinished: false,
            asleep: BTreeMap::new(),
            saved: None,
            owed: Vec::new(),
            log: Vec::new(),
            outside: None,
        }
    }

    /// Every payment with its timeline, and the vendors' view of it.
    pub async fn plot(&self) -> String {
        plot::of(&self.world).await
    }

    /// Ends a scenario; a failure is reported with the plot so far.
    pub async fn close(mut self, outcome: Outcome) {
        self.asleep.clear();
        if let Some(outside) = self.outside.take() {
            outside.close().await;
        }
        let message = match outcome {
            Ok(()) => None,
            Err(message) => Some(message + &plot::of(&self.world).await),
        };
        self.world.close().await;
        if let Some(message) = message {
            panic!("{message}");
        }
    }

    /// Stops every process, changes the database, and starts them again. Returns whether they noticed that it is older
    /// than they knew it.
    pub async fn restart(&mut self, meanwhile: impl AsyncFnOnce(&Database)) -> bool {
        let outside = self.outside.take();
        let looked = outside.is_some();
        if let Some(outside) = outside {
            outside.close().await;
        }
        let older = self.world.restart(meanwhile).await;
        if looked {
            self.outside = Some(Outside::of(&self.world.database_url).await);
        }
        older
    }

    /// Makes its processes keep a mark beside a key from now on.
    pub async fn remember(&mut self) {
        self.world.remember();
        self.restart(async |_| ()).await;
    }

    /// Runs every line, then checks everything from outside.
    pub async fn play(&mut self, name: &str, text: &str) -> Outcome {
        self.lines(name, text).await?;
        self.world.chain().await;
        let mut violations = check::violations(&self.world).await;
        if !self.unfinished {
            violations.extend(check::unfinished(&self.world).await);
        }
        let parked = check::parked(&self.world).await;
        // Randomly parked events need no explanation.
        if parked != self.parked && self.outside.is_none() {
            violations.push(format!("{parked} events are parked, {} were expected", self.parked));
        }
        violations.extend(self.world.memory.told());
        if let Some(outside) = &self.outside {
            violations.extend(invariants::broken(outside, &self.world).await);
        }
        if violations.is_empty() {
            Ok(())
        } else {
            Err(format!("\n{name}, at the end:\n  {}\n", violations.join("\n  ")))
        }
    }

    async fn lines(&mut self, name: &str, text: &str) -> Outcome {
        for (number, line) in (1..).zip(text.lines()) {
            let words: Vec<&str> = line.split('#').next().unwrap_or("").split_whitespace().collect();
            if let Some((first, rest)) = words.split_first() {
                self.log.push(format!("{} {}", self.world.now(), line.trim()));
                self.rouse_for(first, rest).await;
                let done = self.line(first, rest).await;
                done.map_err(|told| format!("\n{name}:{number}: {}\n  {told}\n", line.trim()))?;
            }
        }
        Ok(())
    }

    pub async fn one(&mut self, line: &str) -> Outcome {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (first, rest) = words.split_first().ok_or("an empty line")?;
        self.line(first, rest).await.map_err(|told| format!("{line}: {told}"))
    }

    /// The payee with this name.
    pub fn payee(&self, name: &str) -> payout::ledger::Payee {
        self.cast.payee(name).unwrap()
    }

    /// The batch with this name.
    pub fn batch(&self, name: &str) -> payout::ids::BatchId {
        self.cast.batch(name).unwrap()
    }

    /// The reward with this name.
    pub fn reward(&self, name: &str) -> payout::ids::RewardId {
        self.cast.reward_ids(&[name]).unwrap()[0]
    }

    /// The public number of a reward, a batch, or a payee's newest payment.
    pub async fn number(&self, name: &str) -> Result<String, String> {
        let mut db = self.world.app.store.read().await.unwrap();
        if let Some(id) = self.cast.rewards.get(name) {
            let found = bursar::store::rewards::find(&mut db, &id.to_string()).await.unwrap();
            return Ok(found.ok_or("it is gone")?.number());
        }
        if let Some(id) = self.cast.batches.get(name) {
            return Ok(bursar::store::batches::find(&mut db, &id.to_string()).await.unwrap().number);
        }
        drop(db);
        Ok(self.cast.transaction(&self.world, name).await?.label())
    }

    /// Runs a line that may have no target yet, or may be refused.
    async fn maybe(&mut self, first: &str, rest: &[&str]) -> Outcome {
        match Box::pin(self.line(first, rest)).await {
            Err(message) if message.contains("Internal") => Err(message),
            Err(message) => {
                self.log.push(format!("  {message}"));
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    async fn line(&mut self, first: &str, rest: &[&str]) -> Outcome {
        if let ("maybe", [first, rest @ ..]) = (first, rest) {
            return self.maybe(first, rest).await;
        }
        if commands::is_one(first) {
            return commands::run(&self.world, &mut self.cast, first, rest)
                .await
                .map_err(|no| no.to_string());
        }
        match (first, rest) {
            ("refuse", [code, "reconnect", vendor, "other-account"]) => {
                let done = vendor::to_other_account(&self.world, vendor).await;
                commands::refused(code, done.map_err(commands::No::Refused))
            }
            ("refuse", [code, "safe-mode", "off"]) => vendor::refuse_to_leave(&self.world, code).await,
            ("refuse", [code, command, of @ ..]) => {
                commands::refuse(&self.world, &mut self.cast, code, command, of).await
            }
            // Changing a destination asks the vendor, who may be down.
            ("try", ["change", of @ ..]) => {
                let _ = self.cast.set_up(&self.world, "change", of).await;
                Ok(())
            }
            ("try", [command, of @ ..]) => {
                let message = commands::attempt(&self.world, &mut self.cast, command, of).await?;
                self.log.push(format!("  {message}"));
                Ok(())
            }
            ("race", sides) => commands::race(&self.world, &mut self.cast, sides).await,
            (
                "settings" | "account" | "partner" | "change" | "hold" | "close" | "tax" | "reward"
                | "clawback" | "approve" | "crowd",
                _,
            ) => self.cast.set_up(&self.world, first, rest).await,
            ("save" | "put-back" | "settle-found" | "settle-all", [])
            | ("safe-mode", ["off", "within", ..]) => Box::pin(self.copied(first, rest)).await,
            (
                "vendor" | "heal" | "balance" | "mend" | "drain" | "reverse" | "reverse-payout" | "keys"
                | "daily" | "close-bank" | "disconnect" | "give-access" | "write-over" | "fees" | "items"
                | "lists" | "pages" | "set-aside" | "forget" | "reconnect" | "switch" | "webhook"
                | "safe-mode" | "brake" | "clock",
                _,
            ) => vendor::line(&self.world, &self.cast, first, rest).await,
            (
                "processes" | "workers" | "later" | "tick" | "deliver" | "live" | "die" | "start" | "asked"
                | "rest" | "quiet" | "finish" | "together",
                _,
            ) => self.time(first, rest).await,
            ("pull" | "lie" | "dashboard-transfer" | "day" | "case" | "explain", _) => {
                reconciling::line(&self.world, &self.cast, first, rest).await
            }
            ("events", ["parked", count]) => {
                self.parked = count.parse().map_err(|_| "how many?")?;
                Ok(())
            }
            ("nothing-asked", ["other-account"]) => {
                let asked = self.world.other_account().books().requests.len();
                if asked == 0 { Ok(()) } else { Err(format!("{asked} requests for money reached it")) }
            }
            ("healed", []) => {
                self.healed().await;
                Ok(())
            }
            ("unfinished", []) => {
                self.unfinished = true;
                Ok(())
            }
            _ => expect::line(&self.world, &self.cast, first, rest).await,
        }
    }
}

/// The seed of a text that the simulation wrote.
pub fn written_by(text: &str) -> Option<u64> {
    text.lines().find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["processes", _, "seed", seed] => seed.parse().ok(),
            _ => None,
        }
    })
}
