//! People's commands in a scenario: each is one verb, called as a page or the API would call it.

use bursar::app::{Actor, App};
use bursar::ops::batches::Selection;
use bursar::ops::by_hand::{self, Finding, ParkedFinding};
use bursar::ops::pay::ConfirmedTotals;
use bursar::ops::people::{self, NewKey};
use bursar::ops::rewards::{self, Edit, Verdict};
use bursar::ops::{OpsError, batches, claims, pay, payees, transactions};
use bursar::store::batches::PoolFilter;
use bursar::store::programs::RewardValue;
use bursar::store::put_back;
use bursar::work::{Work, ask};
use payout::access::Role;
use payout::eligibility::PayeeStanding;
use payout::ids::{BatchId, RewardId, TransactionId};
use payout::law::Parked;
use payout::ledger::Payee;
use payout::money::Currency;
use payout::scope::Scopes;
use payout::transaction::State;
use simulator::Simulator;

use super::Outcome;
use super::cast::Cast;
use super::found::say_of_found;
use crate::world::{World, check};

const COMMANDS: [&str; 20] = [
    "batch",
    "add",
    "take",
    "look",
    "pay",
    "release",
    "delete",
    "clear",
    "override",
    "ask",
    "resubmit",
    "return",
    "outside",
    "refresh",
    "settle",
    "cancel",
    "parked",
    "void",
    "edit",
    "call-settled",
];

/// Whether a line is a command.
pub fn is_one(word: &str) -> bool {
    COMMANDS.contains(&word)
}

/// Why a command had no effect.
pub enum No {
    Refused(OpsError),
    /// The line cannot be parsed.
    Unreadable(String),
}

impl std::fmt::Display for No {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Refused(error) => write!(f, "refused: {error:?}"),
            Self::Unreadable(what) => f.write_str(what),
        }
    }
}

impl From<OpsError> for No {
    fn from(error: OpsError) -> Self {
        Self::Refused(error)
    }
}

impl From<String> for No {
    fn from(what: String) -> Self {
        Self::Unreadable(what)
    }
}

impl No {
    /// The error codes a program would see.
    fn codes(&self) -> Vec<&str> {
        match self {
            Self::Refused(
                OpsError::Refused(refusal) | OpsError::Conflict(refusal) | OpsError::Unreachable(refusal),
            ) => vec![refusal.code],
            Self::Refused(OpsError::Blocked(blockers)) => {
                blockers.iter().map(|blocker| blocker.code.as_str()).collect()
            }
            Self::Refused(OpsError::Missing) => vec!["missing"],
            Self::Refused(OpsError::Internal(_)) | Self::Unreadable(_) => Vec::new(),
        }
    }
}

/// A command that must be refused with this code.
pub async fn refuse(world: &World, cast: &mut Cast, code: &str, command: &str, of: &[&str]) -> Outcome {
    refused(code, run(world, cast, command, of).await)
}

/// Requires that a command was refused with this code.
pub fn refused(code: &str, done: Result<(), No>) -> Outcome {
    match done {
        Ok(()) => Err("it was done".to_owned()),
        Err(no) if no.codes().contains(&code) => Ok(()),
        Err(no) => Err(no.to_string()),
    }
}

/// Runs a command that may be refused or have no target; returns the result.
pub async fn attempt(world: &World, cast: &mut Cast, command: &str, of: &[&str]) -> Result<String, String> {
    match run(world, cast, command, of).await {
        Err(No::Refused(OpsError::Internal(error))) => Err(error.to_string()),
        done => Ok(told(done)),
    }
}

/// Two concurrent commands; exactly one may succeed.
pub async fn race(world: &World, cast: &mut Cast, sides: &[&str]) -> Outcome {
    let mut sides = sides.split(|word| *word == "|");
    let (Some([one, one_of @ ..]), Some([other, other_of @ ..])) = (sides.next(), sides.next()) else {
        return Err("a race has two sides".to_owned());
    };
    let (one, other) = (bound(world, cast, one, one_of).await?, bound(world, cast, other, other_of).await?);
    let desk = Desk::at(world, 0);
    let (first, second) = tokio::join!(act(&desk, one), act(&desk, other));
    match (first, second) {
        (Ok(()), Err(no)) | (Err(no), Ok(())) if !no.codes().is_empty() => Ok(()),
        (first, second) => {
            let tell = |side: Result<(), No>| side.err().map_or("done".to_owned(), |no| no.to_string());
            Err(format!("one: {}; the other: {}", tell(first), tell(second)))
        }
    }
}

/// The context a command runs in: the actors and one process of the program.
#[derive(Clone)]
pub struct Desk {
    app: App,
    work: Work,
    actor: Actor,
    other: Actor,
    simulator: Simulator,
}

impl Desk {
    /// The context of this process.
    pub fn at(world: &World, worker: usize) -> Self {
        let work = world.works.get(worker).unwrap_or(&world.works[0]).clone();
        Self {
            app: work.app.clone(),
            work,
            actor: world.actor.clone(),
            other: world.other.clone(),
            simulator: world.simulator.clone(),
        }
    }

    async fn person(&self, by: By) -> Result<Actor, No> {
        let owner = match by {
            By::Actor => return Ok(self.actor.clone()),
            By::Other => return Ok(self.other.clone()),
            By::OwnKey => &self.actor,
            By::OthersKey => &self.other,
        };
        let new = NewKey::of("nightly", Role::Admin, Scopes::kept("read,write,release"));
        let key = people::make_key(&self.app, &owner.id.to_string(), &new).await?;
        let found = people::by_key(&self.app, &key, None).await?;
        Ok(found.actor().ok_or_else(|| "the key opens nothing".to_owned())?)
    }
}

/// Runs a command as one of several sides; returns a short result.
pub async fn side(
    world: &World,
    cast: &Cast,
    worker: usize,
    command: &str,
    of: &[&str],
) -> Result<impl Future<Output = String> + Send + 'static, String> {
    let (bound, desk) = (bound(world, cast, command, of).await?, Desk::at(world, worker));
    Ok(async move { told(act(&desk, bound).await) })
}

/// A short description of a command's result.
fn told(done: Result<(), No>) -> String {
    match done {
        Ok(()) => "done".to_owned(),
        Err(No::Refused(OpsError::Internal(error))) => format!("failed: {error}"),
        Err(no) if no.codes().is_empty() => no.to_string(),
        Err(no) => format!("refused: {}", no.codes().join(" ")),
    }
}

pub async fn run(world: &World, cast: &mut Cast, command: &str, of: &[&str]) -> Result<(), No> {
    let (app, actor) = (&world.app, &world.actor);
    match (command, of) {
        ("batch", [name, rewards @ ..]) => {
            let choose = choice(cast, rewards)?;
            let formed = batches::form(app, actor, &choose, true, None).await?;
            cast.batches.insert((*name).to_owned(), formed.batch.id);
            Ok(())
        }
        ("add", [name, rewards @ ..]) => {
            let choose = choice(cast, rewards)?;
            Ok(batches::add(app, actor, cast.batch(name)?, &choose, None).await.map(|_| ())?)
        }
        ("take", [name, rewards @ ..]) => {
            let rewards = cast.reward_ids(rewards)?;
            Ok(batches::remove(app, actor, cast.batch(name)?, &rewards, None).await.map(|_| ())?)
        }
        ("clear", [who, by @ ..]) if cast.payees.contains_key(*who) => {
            let by = if *by == ["myself"] { actor } else { &world.other };
            payees::clear_shared(app, by, cast.payee(who)?, "asked them both").await?;
            Ok(())
        }
        ("clear", [name]) => {
            Ok(batches::remove_blocked(app, actor, cast.batch(name)?, None).await.map(|_| ())?)
        }
        ("void", [name]) => {
            let id = cast.reward_ids(&[name])?[0].to_string();
            let verdict = Verdict::Void { reason: "entered wrongly".to_owned(), shown: false };
            Ok(rewards::decide(app, actor, &id, None, &verdict, None).await.map(|_| ())?)
        }
        ("edit", [name, value]) => {
            let id = cast.reward_ids(&[name])?[0].to_string();
            let worth = Some(RewardValue::Cash(check::money(value, "USD")?));
            let edit = Edit { worth, ..Edit::default() };
            Ok(rewards::edit(app, actor, &id, None, &edit).await.map(|_| ())?)
        }
        ("override", [name, who, why @ ..]) => {
            let (id, payee) = (cast.batch(name)?, cast.payee(who)?);
            let usd = Currency::parse("USD").map_err(|error| error.sentence().to_owned())?;
            let of = (payee, usd);
            Ok(claims::override_threshold(app, actor, id, of, &why.join(" "), None).await.map(|_| ())?)
        }
        ("ask", [name]) => Ok(batches::ask_release(app, actor, cast.batch(name)?).await?),
        ("pay", [name, "as", "seen"]) => {
            let id = cast.batch(name)?;
            let now = shown(world, id).await?;
            let seen = cast.seen.get(&id).cloned().ok_or("nobody has looked".to_owned())?;
            let stale = (&seen.digest, &seen.totals) != (&now.digest, &now.totals);
            act(&Desk::at(world, 0), Bound::Pay(id, seen)).await?;
            match stale {
                true => Err(No::Refused(changed_unseen())),
                false => Ok(()),
            }
        }
        ("look", [name]) => {
            let id = cast.batch(name)?;
            cast.seen.insert(id, shown(world, id).await?);
            Ok(())
        }
        _ => act(&Desk::at(world, 0), bound(world, cast, command, of).await?).await,
    }
}

/// I10: Pay applies only to what was shown.
fn changed_unseen() -> OpsError {
    let message = "I10: a batch was paid that is not what was shown";
    OpsError::Internal(bursar::store::StoreError::Corrupt(message.to_owned()))
}

fn choice(cast: &Cast, rewards: &[&str]) -> Result<Selection, String> {
    match rewards {
        ["all"] => Ok(Selection::AllEligible(PoolFilter::default())),
        named => Ok(Selection::Named(cast.reward_ids(named)?)),
    }
}

async fn shown(world: &World, id: BatchId) -> Result<ConfirmedTotals, No> {
    let mut db = world.app.store.read().await.map_err(OpsError::from)?;
    let view = batches::view(&mut db, &id.to_string(), world.now()).await?;
    Ok(ConfirmedTotals { digest: view.digest, totals: view.totals })
}

/// A command with resolved names, so that two can run concurrently.
enum Bound {
    Pay(BatchId, ConfirmedTotals),
    Release(BatchId, ConfirmedTotals, By),
    Delete(BatchId),
    Resubmit(TransactionId),
    Return(TransactionId),
    Cancel(TransactionId),
    Outside(TransactionId, String, String),
    CallSettled(TransactionId),
    Refresh(TransactionId),
    /// As made by this vendor object; as not made without one.
    Settle(TransactionId, Option<Made>, By),
    Parked(TransactionId, ParkedFinding, By),
    Hold(Payee, PayeeStanding),
    Add(BatchId, Vec<RewardId>),
    Take(BatchId, Vec<RewardId>),
}

/// Which vendor object a payment is said to be made by.
enum Made {
    /// The vendor's object for that transaction.
    As(TransactionId),
    /// The first transfer for that transaction.
    First(TransactionId),
    /// The newest payout that Stripe's schedule made from their balance.
    BySchedule,
    /// Whatever the vendor has; not made if it has nothing.
    Truly,
}

#[derive(Clone, Copy)]
enum By {
    Actor,
    Other,
    /// An API key that belongs to them.
    OwnKey,
    OthersKey,
}

async fn bound(world: &World, cast: &Cast, command: &str, of: &[&str]) -> Result<Bound, String> {
    let about = async |who: &str| cast.transaction(world, who).await.map(|one| one.id);
    let seen = async |id: BatchId| shown(world, id).await.map_err(|no| no.to_string());
    let (of, by) = match of {
        [of @ .., "by", "other"] => (of, By::Other),
        [of @ .., "by", "own-key"] => (of, By::OwnKey),
        [of @ .., "by", "others-key"] => (of, By::OthersKey),
        of => (of, By::Actor),
    };
    Ok(match (command, of) {
        ("pay", [name]) => {
            let id = cast.batch(name)?;
            Bound::Pay(id, seen(id).await?)
        }
        ("pay", [name, "as", "seen"]) => {
            let id = cast.batch(name)?;
            Bound::Pay(id, cast.seen.get(&id).cloned().ok_or("nobody has looked")?)
        }
        ("release", [name, "by", "actor"]) => {
            let id = cast.batch(name)?;
            Bound::Release(id, seen(id).await?, By::Actor)
        }
        ("release", [name]) => {
            let id = cast.batch(name)?;
            let by = if matches!(by, By::Actor) { By::Other } else { by };
            Bound::Release(id, seen(id).await?, by)
        }
        ("delete", [name]) => Bound::Delete(cast.batch(name)?),
        ("hold", [who, state]) => {
            let standing = if *state == "on" { PayeeStanding::OnHold } else { PayeeStanding::Active };
            Bound::Hold(cast.payee(who)?, standing)
        }
        ("add", [name, rewards @ ..]) => Bound::Add(cast.batch(name)?, cast.reward_ids(rewards)?),
        ("take", [name, rewards @ ..]) => Bound::Take(cast.batch(name)?, cast.reward_ids(rewards)?),
        ("resubmit", [who]) => Bound::Resubmit(about(who).await?),
        ("cancel", [who]) => Bound::Cancel(about(who).await?),
        ("return", [who]) => Bound::Return(about(who).await?),
        ("outside", [who, reference, on]) => {
            Bound::Outside(about(who).await?, (*reference).to_owned(), (*on).to_owned())
        }
        ("refresh", [who]) => Bound::Refresh(about(who).await?),
        ("call-settled", [who]) => Bound::CallSettled(about(who).await?),
        ("settle", [who, "not-made"]) => Bound::Settle(about(who).await?, None, by),
        ("settle", [who, "made"]) => Bound::Settle(about(who).await?, Some(Made::As(about(who).await?)), by),
        ("settle", [who, "truly"]) => Bound::Settle(about(who).await?, Some(Made::Truly), by),
        ("settle", [who, "made", "first"]) => {
            Bound::Settle(about(who).await?, Some(Made::First(about(who).await?)), by)
        }
        ("settle", [who, "made", "by-schedule"]) => {
            Bound::Settle(about(who).await?, Some(Made::BySchedule), by)
        }
        ("settle", [who, "made", "as", other]) => {
            Bound::Settle(about(who).await?, Some(Made::As(about(other).await?)), by)
        }
        ("parked", [who, how, rest @ ..]) => {
            let how = Parked::parse(how).ok_or("there is no such end of parked money")?;
            let (reference, paid_on) = match rest {
                [reference, on] => ((*reference).to_owned(), (*on).to_owned()),
                _ => (String::new(), String::new()),
            };
            let found = ParkedFinding { how, reference, paid_on, note: "asked Stripe".to_owned() };
            Bound::Parked(about(who).await?, found, by)
        }
        _ => return Err(format!("{command} cannot be done like this")),
    })
}

async fn act(desk: &Desk, command: Bound) -> Result<(), No> {
    let Desk { app, work, actor, .. } = desk;
    match command {
        Bound::Pay(id, seen) => {
            let balances = ask::balances(work).await;
            pay::pay(app, actor, id, &seen, &balances, None).await?;
        }
        Bound::Release(id, seen, by) => {
            batches::release(app, &desk.person(by).await?, id, &seen.digest, None).await?;
        }
        Bound::Delete(id) => {
            batches::delete(app, actor, id).await?;
        }
        Bound::Hold(payee, standing) => {
            payees::set_standing(app, actor, payee, standing, "we are talking about May").await?;
        }
        Bound::Add(id, rewards) => {
            batches::add(app, actor, id, &Selection::Named(rewards), None).await?;
        }
        Bound::Take(id, rewards) => {
            batches::remove(app, actor, id, &rewards, None).await?;
        }
        Bound::Resubmit(id) => {
            ask::before_resubmit(work, id).await?;
            transactions::resubmit(app, actor, id, None).await?;
        }
        Bound::Cancel(id) => {
            transactions::cancel_unclaimed(app, actor, id, None).await?;
        }
        Bound::Return(id) => {
            let before = ask::before_return(work, id).await?;
            if before.state == State::Recalled && before.released_at.is_some() {
                return Ok(());
            }
            transactions::return_to_pool(app, actor, id, None).await?;
        }
        Bound::Outside(id, reference, on) => {
            ask::before_outside(work, id).await?;
            transactions::mark_paid_outside(app, actor, id, &reference, &on, None).await?;
        }
        Bound::Refresh(id) => {
            ask::refresh(work, actor, id).await?;
        }
        Bound::CallSettled(id) => {
            let mut db = app.store.read().await.map_err(OpsError::from)?;
            let found = put_back::open_of(&mut db, id).await.map_err(OpsError::from)?;
            drop(db);
            for object in found {
                say_of_found(app, actor, &object, "none of ours").await?;
            }
        }
        Bound::Settle(id, finding, by) => {
            let finding = match finding {
                None => ask::not_made(work, id).await?,
                Some(Made::Truly) => truth(desk, id).await?,
                Some(Made::As(of)) => ask::found(work, id, &object_of(&desk.simulator, of)).await?,
                Some(Made::First(of)) => ask::found(work, id, &first_object(&desk.simulator, of)).await?,
                Some(Made::BySchedule) => ask::found(work, id, &swept_from(&desk.simulator, id)).await?,
            };
            let who = desk.person(by).await?;
            by_hand::settle_by_hand(app, &who, id, &finding, "asked the vendor", None).await?;
        }
        Bound::Parked(id, found, by) => {
            ask::parked(work, id, found.how).await?;
            by_hand::settle_parked(app, &desk.person(by).await?, id, &found, None).await?;
        }
    }
    Ok(())
}

/// Resolves a payment according to what the vendor has; returns the result.
pub async fn settle_truly(world: &World, id: TransactionId, other: bool) -> Result<String, String> {
    let by = if other { By::Other } else { By::Actor };
    match act(&Desk::at(world, 0), Bound::Settle(id, Some(Made::Truly), by)).await {
        Err(No::Refused(OpsError::Internal(error))) => Err(error.to_string()),
        done => Ok(told(done)),
    }
}

/// The truthful finding of someone who looked at the vendor's dashboard: the first object the program accepts, or not
/// made.
async fn truth(desk: &Desk, id: TransactionId) -> Result<Finding, No> {
    let mut refused = None;
    for object in objects_of(&desk.simulator, id) {
        match ask::found(&desk.work, id, &object).await {
            Ok(found) => return Ok(found),
            Err(error) => refused = Some(error),
        }
    }
    match (ask::not_made(&desk.work, id).await, refused) {
        (Ok(finding), _) => Ok(finding),
        (Err(_), Some(error)) | (Err(error), None) => Err(error.into()),
    }
}

/// All vendor objects for a payment through which money left, those not returned first.
fn objects_of(simulator: &Simulator, transaction: TransactionId) -> Vec<String> {
    let (books, of) = (simulator.books(), transaction.to_string());
    let items = books.items.iter().filter(|line| line.sender_item_id.as_deref() == Some(&of));
    let items = items.filter(|line| !matches!(line.status.as_str(), "FAILED" | "BLOCKED" | "DENIED"));
    let back = |status: &str| matches!(status, "RETURNED" | "REFUNDED" | "REVERSED");
    let items = items.map(|line| (back(&line.status), line.id.clone()));
    let payouts = books
        .payouts
        .iter()
        .rev()
        .filter(|line| line.metadata.get("transaction") == Some(&of) || line.settles.contains(&of));
    let payouts = payouts.filter(|line| !matches!(line.status.as_str(), "failed" | "canceled"));
    let payouts = payouts.map(|line| (false, line.id.clone()));
    let transfers = books.transfers.iter().rev().filter(|line| line.transfer_group.as_deref() == Some(&of));
    let transfers = transfers.map(|line| (line.amount_reversed >= line.amount, line.id.clone()));
    let mut all: Vec<(bool, String)> = items.chain(payouts).chain(transfers).collect();
    all.sort_by_key(|(back, _)| *back);
    all.into_iter().map(|(_, id)| id).collect()
}

/// The newest payout by Stripe's schedule from the account of a payment's transfer.
fn swept_from(simulator: &Simulator, transaction: TransactionId) -> String {
    let (books, of) = (simulator.books(), transaction.to_string());
    let to = books.transfers.into_iter().rfind(|line| line.transfer_group.as_deref() == Some(&of));
    let to = to.map(|line| line.destination);
    let swept = books.payouts.into_iter().rfind(|line| line.automatic && line.account == to);
    swept.map_or(of, |line| line.id)
}

fn first_object(simulator: &Simulator, transaction: TransactionId) -> String {
    let books = simulator.books();
    let of = transaction.to_string();
    let item = books.items.into_iter().find(|item| item.sender_item_id.as_deref() == Some(&of));
    let transfer = books.transfers.into_iter().find(|line| line.transfer_group.as_deref() == Some(&of));
    item.map(|one| one.id).or(transfer.map(|one| one.id)).unwrap_or(of)
}

/// What a person would read in the vendor's dashboard: the newest item or bank payout, otherwise the newest transfer.
fn object_of(simulator: &Simulator, transaction: TransactionId) -> String {
    let books = simulator.books();
    let of = transaction.to_string();
    let item = books.items.into_iter().rfind(|item| item.sender_item_id.as_deref() == Some(&of));
    let payout = books.payouts.into_iter().rfind(|line| line.metadata.get("transaction") == Some(&of));
    let transfer = books.transfers.into_iter().rfind(|line| line.transfer_group.as_deref() == Some(&of));
    let found = item.map(|one| one.id).or(payout.map(|one| one.id)).or(transfer.map(|one| one.id));
    found.unwrap_or(of)
}
