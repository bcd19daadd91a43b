//! Scenarios: the money path told in plain text files, played through the real verbs, loops and webhook routes against
//! the simulated vendors, on a clock that only a scenario moves.
//!
//! A file is a list of lines `word argument …`; what follows a `#` is for the reader. Amounts are in USD where no
//! currency is written. Names (`ana`, `R1`, `B1`) are the scenario's own.
//!
//! # Setting the stage
//!
//! | line | does |
//! | --- | --- |
//! | `settings fees partner` | who pays the vendor's fee, and `settings fee paypal USD 200 maximum 20.00` what it is (in hundredths of a percent; `fixed`, `minimum`, `monthly`); also `cooling-off 0` (hours), `two-person on`, `payouts off`, `tax on`, `vendors paypal`, `threshold 50.00 USD`, `limit per-day 100.00 USD` (`per-batch`, `per-person-per-day`, `per-payment paypal 10.00 USD`, `per-reward 500.00 USD`) |
//! | `account acme paypal pay@acme.example` | a company, with its destination if one is written |
//! | `partner ana stripe acct_ana of acme from DE` | a partner, the same way; `of` and `from` may be left out |
//! | `change ana paypal new@example.com` | an administrator changes the destination |
//! | `hold ana on` / `off`, `close ana` | the partner is put on hold, or taken off it; or closed |
//! | `tax ana w9 2026-01-31` | a tax report, signed on that day |
//! | `reward R1 ana 120.00 EUR approved organization` | a reward; `approved` approves it, `organization` pays the company; `points`, `held` (for five days), `expiring` (in two) |
//! | `approve R1`, `clawback C1 R1 20.00` | approves it later; takes back some of a paid one |
//! | `crowd 2500 paypal 10.00` | so many partners with one approved reward each |
//! | `balance stripe 0.00 EUR` | what we have at a vendor |
//! | `safe-mode on` | a person stops everything; `off` lets it go on |
//! | `save`, `put-back` | keeps a copy of the database, and puts it back later by hand: what happened between is lost here, and nowhere else; where anything was sent meanwhile it must be noticed, and safe mode begins |
//! | `settle-found` | people settle what was found at the vendors since, each by what became of its money: the rewards that it paid are voided. In safe mode only what holds nobody. `settle-all`: and whatever waits for a person |
//! | `safe-mode off within 20 days` | the same every few hours until the program lets them leave safe mode, which it must within that time |
//! | `brake on` | as after a look that found the books broken; `brake off`: an administrator has looked |
//! | `workers 2` | so many workers; the first works where none is named |
//! | `processes 3 seed 17` | the first line of what the simulation wrote: so many processes on one database, each with a clock of its own, and no network |
//!
//! # What people do
//!
//! `batch B1 R1 R2` (or `all` that can be paid) · `add B1 R3` · `take B1 R3` · `look B1` (keeps what is shown) · `pay B1`
//! (or `pay B1 as seen`: what the last look showed) · `release B1` (by the other person) · `delete B1` · `clear B1` (of
//! every blocked claim) · `override B1 ana` (its threshold) · `ask B1` (for the release) · `resubmit ana` · `clear ana`
//! (the other person says that they rightly share their destination; `clear ana myself`: whoever entered it does) ·
//! `settle ana made` (by the object that the vendor has for them; `made as bo`: by what it has for bo; `made first`: by
//! the first item or transfer that it has for them; `made by-schedule`: by what Stripe's own schedule has paid out of
//! their balance) / `settle ana not-made` (the vendor is asked first) / `settle ana truly` (by whatever the vendor has,
//! or as not made) · `parked bo reversed` (or `written_off`, `paid_otherwise REF-1 2026-03-02`: what became of money in
//! their balance) · `by other` at the end of these two: the other person says so (`by own-key`, `by others-key`: an API
//! key that the first or the other person has made; also of `release`) · `return ana` (to the pool) · `cancel ana` (calls
//! back what they have not claimed) · `outside ana REF-1 2026-03-02` · `refresh ana` · `call-settled ana`
//! (an administrator says in words that what was found of them after a restore is settled) · `void R1` · `edit R1 30.00`
//! (another value; it is approved anew with `approve R1`) · `refuse not_terminal resubmit ana` (a command that must be
//! refused, with this code) · `try resubmit ana` (it may be refused, or there may be nothing to do) · `race pay B1 |
//! delete B1` (both at once, and exactly one may succeed).
//!
//! # What vendors do
//!
//! `vendor WHOM FAULT [on CALL] [after N] [times N]`: WHOM is a vendor or somebody who is paid through one; FAULT is
//! `answer lost`, `cut in body`, `stored 500`, `executed 500`, `503`, `429 retry-after 60`, `lock timeout`, `in use`,
//! `401`, `html`, `other amount`, `repeated`, `refuse connection`, `slow 800` (milliseconds), or `webhook lost`, `doubled`,
//! `reordered`, `early`, `late 2 hours`, `forged`; CALL is `transfer`, `payout`, `reversal`, `batch`, `cancel`, `token`,
//! `read` or `any`, and the vendor's first money call where it is not written. `heal` (no fault strikes any more) · `mend
//! ana` (their bank details are right now) · `drain bo` (their Stripe balance is spent) · `reverse bo`, `reverse bo 20.00` or
//! `reverse bo first` (of several: somebody reverses their transfer in Stripe's dashboard, wholly or in part) ·
//! `reverse-payout bo` (somebody has their bank payout reversed there: the bank gives the money back a while later) · `daily
//! bo` (their Stripe account is put on the daily schedule, which sweeps it at midnight) · `fees hidden` / `shown` (whether
//! PayPal tells which fees it takes) · `close-bank bo EUR` (they take that bank account away) · `disconnect bo` (they take
//! back our access to their Stripe account) · `give-access bo` (they give it again) · `write-over bo` (they write over our
//! mark on their payouts) · `clock ahead 120` (ours is ahead of theirs by so many seconds more; `-120` takes it back) ·
//! `forget token` · `keys forgotten` (both vendors have forgotten all keys, sooner than they say) · `forget accounts` (as a
//! database of an earlier version) · `items late` / `shown` (whether PayPal lists only half of a batch until it is through) ·
//! `lists late` / `shown` (whether Stripe's lists leave out what is less than a minute old) · `pages 1` / `whole` (how much
//! is on a page of a list at most) · `set-aside ana` (a pass tripped over the payment's record) · `reconnect stripe`
//! (credentials are saved again; `other-account`: those of another account) · `switch stripe other-account` (the same beneath
//! the program, without any question) · `deliver` (due webhooks are posted) · `webhook ana again` (the last delivery about
//! them, the same bytes) · `webhook ana paid` (a hand-made event that claims it; with `unsigned`, `keyless`, `stale`, `other
//! account`, `live mode`, `unknown object` as what is wrong with it; `of 1` names the first attempt's object) .
//!
//! # Reconciliation
//!
//! `pull` (what the vendors say of our balance is read, and held against the books) · `lie ana left-out` (the vendor's list
//! leaves out what was moved for them; or `amount 1.00`, `fee 0.30`: each line is so much larger, or takes so much more;
//! `truth` ends it) · `dashboard-transfer bo 25.00` (somebody sends them money in Stripe's dashboard) · `explain ana asked
//! Stripe` (somebody notes why it is off; `nobody` where it is no payment of ours). `day stripe ties` holds when the day that
//! is today does (`explained`, `waits`, `does_not_tie`; `day stripe 2026-03-02 ties` of another one), and `case ana
//! fee_differs` when exactly these things are open about the newest payment, `case nobody extra_at_vendor` about no payment of
//! ours; none where none is named.
//!
//! # Time and the loops
//!
//! `later 3 days` · `tick dispatch` (or `intake`, `settle`, `reconcile`, `notify`, `all` that move money; `by 2` names the
//! worker, `together` lets all work at once): a second passes, then the loop works until nothing is due · `live 10 minutes`
//! (or `past midnight`, when schedules pay out): time passes in growing steps, webhooks are delivered and every loop works
//! · `die between commit and send` (or `send and record`, `lease and begin`, `begin and send`): the first worker's process
//! dies at that point of its next tick, and another is started · `start dispatch by 2`, `asked` (waits until a vendor was
//! asked something since) or `rest 300` (real milliseconds), `finish`: a loop that is under way while other lines are
//! played · `quiet 2 minutes` (every loop works each ten seconds for so long, and no vendor is asked about
//! anything of ours).
//!
//! `together SIDE | SIDE turns 17` (a second passes, then all sides take steps in an order that the number draws; a step
//! ends where a transaction begins or is committed, and on both sides of a question to a vendor). A SIDE is a command,
//! `loops`, `loop dispatch`, `deliver` or `wake`; `on 2` after it names the process; then `dies 5` (the process dies at its
//! fifth point), `sleeps 5` (it stands still there until `wake`) or `errs 9` (its ninth statement fails) · `healed`
//! (whoever slept is awake and done, and every clock is right again) · `clock 2 ahead 90` (the clock of one process) ·
//! `maybe reverse bo` (a line that there may be nothing for).
//!
//! # What must be so
//!
//! | line | holds when |
//! | --- | --- |
//! | `expect ana success` | the newest transaction has this status and no detail |
//! | `expect ana failed reason account_closed` | … and this reason; a detail is written after the status: `expect ana pending_processing unclaimed` |
//! | `expect ana pending waiting profile_changed_recently` | … and waits at this gate |
//! | `expect B1 paid`, `expect R1 in_payout`, `expect all success` | a batch, a reward, every transaction |
//! | `blocked R1 profile_missing below_threshold` | exactly these gates are closed for a reward or a batch with its claims; none where none is named |
//! | `skipped ana profile_missing` | the claims that payouts went on without, newest first, with their reasons |
//! | `why bo waiting_for_funds` | exactly these codes say why the newest transaction is not paid; none where none is named |
//! | `tally success=2499 failed=1` | so many transactions have each status, and none another |
//! | `attempts ana transfer=1 payout=2` | so many attempts of each leg |
//! | `requests ana 2 executed 1` | so many requests for the money reached the vendor, and so many were carried out |
//! | `sent ana 120.00` / `arrived ana 120.00` | by the vendor's books: gone from our balance; with them |
//! | `books payable(ana) 0.00 in_flight 0.00` | our ledger, debit positive; the currency first where it is not USD |
//! | `vendor-balance stripe 880.00` | what we have at a vendor, by its books |
//! | `profile ana ready` | the payout profile: `ready`, `shared`, or `not-ready` and words of why |
//! | `changes ana 2` | the destination was set so many times, the first one included |
//! | `told ana payout_profile_changed 2` | so many notices of that name were written about them |
//! | `year ana 2026 paypal 120.00` | what they were paid in a year through a vendor or `outside`, less what came back |
//! | `nothing-asked other-account` | no request for money has reached the other account of either vendor |
//! | `events parked 1` | so many events are for objects that we do not know |
//! | `mailed ana payment_paid`, `unmailed ana payment_failed` | these mails about the newest transaction were written, or none of them |
//! | `announced batch_final`, `unannounced payments_stuck` | these notices were given, or none of them |
//! | `agrees ana` | what we say of the newest transaction is what the vendor's books say at this moment |
//! | `unfinished` | something is left to do at the end, and the scenario has shown what |
//!
//! `ana/EUR` is the transaction in that currency, `ana@B1` that of that batch. After the last line everything must be
//! finished, and `world::check` compares our database with the vendors' books.
//!
//! What is deliberately not here: pages and the API, which have their own tests.

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

/// What a line comes to: nothing, or what is wrong.
pub type Outcome = Result<(), String>;

pub struct Stage {
    pub world: World,
    cast: Cast,
    /// Loops that were started and are not finished.
    running: Vec<tokio::task::JoinHandle<()>>,
    /// How many questions the vendors had been asked when it was begun.
    asked: u64,
    /// How many parked events the scenario has explained.
    parked: i64,
    /// The scenario has said that something is left to do.
    unfinished: bool,
    /// Steps that stand still until they are woken, by worker.
    asleep: BTreeMap<usize, Vec<Side>>,
    /// When the database was saved, where how many were paid, and whom and what it knew.
    saved: Option<(i64, usize, Cast)>,
    /// Found payments that were settled while nothing could be voided, and who is on hold until their rewards are.
    owed: Vec<(String, Vec<payout::ledger::Payee>)>,
    /// What was played and what became of it.
    pub log: Vec<String>,
    /// In a simulation: how the database is looked at past the program.
    outside: Option<Outside>,
}

impl Stage {
    /// An empty stage. `seed` draws every id.
    pub async fn open(name: &str, seed: u64) -> Self {
        Self::on(World::open(name, seed).await)
    }

    /// The same, at this moment of the machine's clock.
    pub async fn open_now(name: &str, seed: u64) -> Self {
        Self::on(World::open_at(name, seed, &[], bursar::clock::Clock::system().now()).await)
    }

    /// An empty stage of the simulation.
    pub async fn swift(name: &str, seed: u64) -> Self {
        let world = World::swift(name, seed).await;
        let outside = Outside::of(&world.database_url).await;
        Self { outside: Some(outside), ..Self::on(world) }
    }

    /// The stage that a text wants: that of the simulation where the simulation wrote it.
    pub async fn for_text(name: &str, text: &str) -> Self {
        match written_by(text) {
            Some(seed) => Self::swift(name, seed).await,
            None => Self::open(name, 1).await,
        }
    }

    /// An empty stage in a world that is there.
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

    /// Every payment with its timeline, and what the vendors have of it.
    pub async fn plot(&self) -> String {
        plot::of(&self.world).await
    }

    /// Ends a scenario; what was wrong is told with the plot so far.
    pub async fn close(mut self, outcome: Outcome) {
        self.asleep.clear();
        if let Some(outside) = self.outside.take() {
            outside.close().await;
        }
        let told = match outcome {
            Ok(()) => None,
            Err(told) => Some(told + &plot::of(&self.world).await),
        };
        self.world.close().await;
        if let Some(told) = told {
            panic!("{told}");
        }
    }

    /// Ends every process and starts it again, with something done to the database meanwhile; whether the processes found
    /// it to be older than they knew it.
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

    /// From now on its processes remember beside a key how far the database has come.
    pub async fn remember(&mut self) {
        self.world.remember();
        self.restart(async |_| ()).await;
    }

    /// Plays every line, then looks at everything from outside.
    pub async fn play(&mut self, name: &str, text: &str) -> Outcome {
        self.lines(name, text).await?;
        self.world.chain().await;
        let mut told = check::violations(&self.world).await;
        if !self.unfinished {
            told.extend(check::unfinished(&self.world).await);
        }
        let parked = check::parked(&self.world).await;
        // What chance has parked is nobody's to explain.
        if parked != self.parked && self.outside.is_none() {
            told.push(format!("{parked} events are parked, {} were expected", self.parked));
        }
        told.extend(self.world.memory.told());
        if let Some(outside) = &self.outside {
            told.extend(invariants::broken(outside, &self.world).await);
        }
        if told.is_empty() {
            Ok(())
        } else {
            Err(format!("\n{name}, at the end:\n  {}\n", told.join("\n  ")))
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

    /// Who a name stands for.
    pub fn payee(&self, name: &str) -> payout::ledger::Payee {
        self.cast.payee(name).unwrap()
    }

    /// The payout of this name.
    pub fn batch(&self, name: &str) -> payout::ids::BatchId {
        self.cast.batch(name).unwrap()
    }

    /// The reward of this name.
    pub fn reward(&self, name: &str) -> payout::ids::RewardId {
        self.cast.reward_ids(&[name]).unwrap()[0]
    }

    /// The number that people see of a reward, a batch, or somebody's newest payment.
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

    /// There may be nothing for it yet, or it may be refused.
    async fn maybe(&mut self, first: &str, rest: &[&str]) -> Outcome {
        match Box::pin(self.line(first, rest)).await {
            Err(told) if told.contains("Internal") => Err(told),
            Err(told) => {
                self.log.push(format!("  {told}"));
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
            // Changing a destination asks the vendor, who may be away.
            ("try", ["change", of @ ..]) => {
                let _ = self.cast.set_up(&self.world, "change", of).await;
                Ok(())
            }
            ("try", [command, of @ ..]) => {
                let told = commands::attempt(&self.world, &mut self.cast, command, of).await?;
                self.log.push(format!("  {told}"));
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
