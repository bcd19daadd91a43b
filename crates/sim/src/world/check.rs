//! External consistency checks: our database against the vendors' own books.
//!
//! No status is trusted because we wrote it. A transaction's state is compared with the money the simulator moved for
//! it, and the ledger with both.

use std::collections::{BTreeMap, HashMap, HashSet};

use bursar::ops::verify;
use bursar::store::transactions::{self, Filter, Transaction};
use bursar::store::{Db, events, ledger, rewards, submissions};
use payout::ids::{RewardId, TransactionId};
use payout::money::{Currency, Money, Vendor, from_units};
use payout::transaction::{Leg, State};
use simulator::{Books, TransferLine};
use sqlx::{AnyConnection, AssertSqlSafe, Connection as _, Executor as _, Row as _, SqlSafeStr as _};

use super::World;

/// All violations. Empty whenever no request is in progress.
pub async fn violations(world: &World) -> Vec<String> {
    let books = world.simulator.books();
    let mut db = world.app.store.read().await.unwrap();
    let all = transactions::list(&mut db, &Filter::default(), i64::from(i32::MAX)).await.unwrap();
    let mut violations = Vec::new();
    let committed = keys(&world.app.config.database_url).await;
    let mut ids: HashSet<String> = all.iter().map(|one| one.id.to_string()).collect();
    ids.extend(found_at_vendors(&world.app.config.database_url).await);
    let lost = world.memory.lost();
    ids.extend(lost.over(&books));
    of_the_vendors(&books, &ids, (&committed, lost.at), &mut violations);
    of_the_ledger(&mut db, &mut violations).await;
    let posted = Posted::read(&world.app.config.database_url).await;
    let mut flows: HashMap<TransactionId, Flow> =
        all.iter().map(|one| (one.id, Flow::of(one, &books))).collect();
    if lost.at != 0 {
        let attempts =
            transactions::attempts(&mut db, &all.iter().map(|one| one.id).collect::<Vec<_>>()).await;
        let carried: HashSet<String> =
            attempts.unwrap().into_iter().filter_map(|one| one.vendor_id).collect();
        for one in &all {
            if let Some(flow) = flows.get_mut(&one.id) {
                flow.forget_unseen_fees(one, &books, &carried, -posted.of("vendor_balance:", one.id));
            }
        }
    }
    for transaction in &all {
        of_one(transaction, &flows[&transaction.id], &posted, &books, &mut violations);
        let twice = books.paid_beside_the_schedule(&transaction.id.to_string(), world.memory.latitude());
        if let Some((swept, ours)) = twice {
            violations.push(format!("I01: {} was paid by {swept} and by {ours}", transaction.label()));
        }
    }
    of_the_rewards(&mut db, &all, &flows, &mut violations).await;
    violations
}

/// The names of the notices written about a subject.
pub async fn notices(world: &World, subject: &str) -> Vec<String> {
    let mut database = AnyConnection::connect(&world.app.config.database_url).await.unwrap();
    let sql = format!("SELECT notice FROM outbox WHERE subject = '{subject}' ORDER BY created_at, id");
    let rows = database.fetch_all(AssertSqlSafe(sql).into_sql_str()).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

/// Unfinished work; none once everything has healed. What waits for a person counts as finished.
pub async fn unfinished(world: &World) -> Vec<String> {
    let mut db = world.app.store.read().await.unwrap();
    let all = transactions::list(&mut db, &Filter::default(), i64::from(i32::MAX)).await.unwrap();
    let mut violations = Vec::new();
    for one in all {
        let with_a_person = matches!(one.state, State::Review | State::PayoutReview);
        if !one.state.settled() && !with_a_person {
            violations.push(format!("{} is left {}", one.label(), one.state.as_str()));
        }
    }
    for (state, count) in submissions::open(&mut db).await.unwrap() {
        violations.push(format!("{count} submissions are left {state}"));
    }
    for leg in Leg::ALL {
        let queued = transactions::queued(&mut db, leg, i64::MAX, 1_000).await.unwrap();
        violations.extend(
            queued.iter().map(|one| format!("a {} of {} is left queued", one.leg.as_str(), one.transaction)),
        );
    }
    let (waiting, linked, _) = events::backlog(&mut db).await.unwrap();
    if (waiting, linked) != (0, 0) {
        violations.push(format!("{waiting} events are left unread and {linked} unapplied"));
    }
    violations
}

/// The number of events parked for an unknown object.
pub async fn parked(world: &World) -> i64 {
    let mut db = world.app.store.read().await.unwrap();
    events::backlog(&mut db).await.unwrap().2
}

/// The actual movements for a transaction in the vendor's books, in our minor units.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Flow {
    pub left: i64,
    pub back: i64,
    pub arrived: i64,
    /// The vendor's fee for it.
    pub fee: i64,
}

impl Flow {
    pub fn of(transaction: &Transaction, books: &Books) -> Self {
        let terms = &transaction.terms;
        let read = |units: i64| from_units(terms.vendor, units, terms.net.currency).unwrap().minor;
        let id = transaction.id.to_string();
        let mut flow = Self::default();
        for one in books.flows(&id) {
            let other_vendor = one.vendor != played(terms.vendor);
            let other_currency = !one.currency.eq_ignore_ascii_case(terms.net.currency.code());
            assert!(!other_vendor && !other_currency, "{id} moved elsewhere: {one:?}");
            flow.left += read(one.left_minor);
            flow.back += read(one.returned_minor);
            flow.arrived += read(one.arrived_minor);
        }
        let items = books.items.iter().filter(|item| item.sender_item_id.as_deref() == Some(id.as_str()));
        flow.fee = items.map(|item| read(item.fee)).sum();
        flow
    }

    /// What has left our balance, net of returns.
    pub fn gone(&self) -> i64 {
        self.left - self.back
    }

    /// After a restore, an item whose place another took may belong to no attempt. The ledger lacks its fee unless it
    /// was seen anyway; reconciliation reports it as money the ledger does not include.
    fn forget_unseen_fees(
        &mut self,
        of: &Transaction,
        books: &Books,
        carried: &HashSet<String>,
        booked: i64,
    ) {
        if booked == self.gone() + self.fee {
            return;
        }
        let id = of.id.to_string();
        let items = books.items.iter().filter(|item| item.sender_item_id.as_deref() == Some(id.as_str()));
        let unseen = items.filter(|item| !carried.contains(&item.id)).map(|item| item.fee);
        self.fee -= unseen
            .map(|fee| from_units(of.terms.vendor, fee, of.terms.net.currency).unwrap().minor)
            .sum::<i64>();
    }
}

fn played(vendor: Vendor) -> simulator::Vendor {
    match vendor {
        Vendor::Stripe => simulator::Vendor::Stripe,
        Vendor::PayPal => simulator::Vendor::PayPal,
    }
}

/// Every committed idempotency key.
async fn keys(database_url: &str) -> HashSet<String> {
    let mut database = AnyConnection::connect(database_url).await.unwrap();
    let rows =
        database.fetch_all(AssertSqlSafe("SELECT key FROM submission".to_owned()).into_sql_str()).await;
    rows.unwrap().iter().map(|row| row.get(0)).collect()
}

/// Our ids on payments found at the vendors after a restore.
async fn found_at_vendors(database_url: &str) -> Vec<String> {
    let mut database = AnyConnection::connect(database_url).await.unwrap();
    let rows =
        database.fetch_all(AssertSqlSafe("SELECT our_id FROM found_payment".to_owned()).into_sql_str()).await;
    rows.unwrap().iter().map(|row| row.get(0)).collect()
}

fn of_the_vendors(
    books: &Books,
    ids: &HashSet<String>,
    (committed, put_back_at): (&HashSet<String>, i64),
    told: &mut Vec<String>,
) {
    // A request from before the restore is looked up by its key rather than sent again.
    let (mut before, mut since) = (books.clone(), books.clone());
    before.requests.retain(|request| request.at <= put_back_at);
    since.requests.retain(|request| request.at > put_back_at);
    for key in before.clashing_keys().into_iter().chain(since.clashing_keys()) {
        told.push(format!("I08: two different requests arrived under the key {key}"));
    }
    for (vendor, currency, off) in books.imbalances() {
        told.push(format!("the simulator made or lost {off} {currency} at {vendor:?}"));
    }
    for payout in books.payouts.iter().filter(|payout| payout.account.is_none()) {
        told.push(format!("{} paid {} {} to our own bank", payout.id, payout.amount, payout.currency));
    }
    // Intentions from before the restore were lost with it.
    for request in books.requests.iter().filter(|request| request.at > put_back_at) {
        if request.key.as_ref().is_none_or(|key| !committed.contains(key)) {
            told.push(format!(
                "I09: a request without a committed intention: {:?} {}",
                request.key, request.path
            ));
        }
    }
    let known = |id: Option<&str>| id.is_some_and(|id| ids.contains(id));
    // A transfer with neither key nor group was made by a person at the vendor.
    let of_a_program = |line: &&TransferLine| line.key.is_some() || line.transfer_group.is_some();
    let transfers = books.transfers.iter().filter(of_a_program);
    for line in transfers.filter(|line| !known(line.transfer_group.as_deref())) {
        told.push(format!("I03: the transfer {} belongs to no transaction", line.id));
    }
    for line in &books.payouts {
        let swept = !line.settles.is_empty() && line.settles.iter().all(|group| known(Some(group)));
        if !swept && !known(line.metadata.get("transaction").map(String::as_str)) {
            told.push(format!("I03: the payout {} belongs to no transaction", line.id));
        }
    }
    for line in books.items.iter().filter(|line| !known(line.sender_item_id.as_deref())) {
        told.push(format!("I03: the item {} belongs to no transaction", line.id));
    }
}

async fn of_the_ledger(db: &mut Db, violations: &mut Vec<String>) {
    let mut sums: BTreeMap<String, i128> = BTreeMap::new();
    for (_, currency, minor) in ledger::balances(db).await.unwrap() {
        *sums.entry(currency).or_default() += minor;
    }
    for (currency, sum) in sums.into_iter().filter(|(_, sum)| *sum != 0) {
        violations.push(format!("I05: the ledger sums to {sum} {currency}"));
    }
    for invariant in verify::all(db).await.unwrap().iter().filter(|invariant| !invariant.holds()) {
        violations.push(format!("{}: {}: {:?}", invariant.id, invariant.says, invariant.violations));
    }
}

/// Each transaction's postings on the accounts for money at a vendor.
struct Posted(HashMap<(&'static str, String), i64>);

impl Posted {
    async fn read(database_url: &str) -> Self {
        let sql = "SELECT j.subject, p.account, CAST(SUM(p.amount_minor) AS BIGINT) \
                   FROM posting p JOIN journal j ON j.id = p.journal_id GROUP BY j.subject, p.account";
        let mut database = AnyConnection::connect(database_url).await.unwrap();
        let mut sums = HashMap::new();
        for row in database.fetch_all(AssertSqlSafe(sql.to_owned()).into_sql_str()).await.unwrap() {
            let (subject, account): (String, String) = (row.get(0), row.get(1));
            let kinds = ["vendor_balance:", "in_flight:", "returned:", "partly_reversed:"];
            if let Some(kind) = kinds.into_iter().find(|kind| account.starts_with(kind)) {
                *sums.entry((kind, subject)).or_default() += row.get::<i64, _>(2);
            }
        }
        database.close().await.unwrap();
        Self(sums)
    }

    fn of(&self, account: &'static str, id: TransactionId) -> i64 {
        self.0.get(&(account, id.to_string())).copied().unwrap_or(0)
    }
}

/// Where a transaction's money must be, according to its state.
struct Place {
    /// The allowed amounts gone from our balance.
    gone: Vec<i64>,
    /// The allowed amounts with the partner.
    arrived: Vec<i64>,
    /// The amount in flight in our ledger.
    in_flight: i64,
    /// The amount held in the connected balance in our ledger.
    returned: i64,
    /// Whether our ledger records that it left.
    posted: bool,
}

/// `left` is less than the net amount while a partial reversal is unresolved.
fn place(of: &Transaction, left: i64, gone: i64) -> Place {
    let (net, amount) = (of.terms.net.minor, of.terms.amount.minor);
    let place = |gone: &[i64], arrived: &[i64], posted| Place {
        gone: gone.to_vec(),
        arrived: arrived.to_vec(),
        in_flight: 0,
        returned: 0,
        posted,
    };
    match of.state {
        // Undecided or not reported yet: the vendor may be further along than we know.
        State::Queued => Place { in_flight: -amount, ..place(&[0], &[0], false) },
        State::Sending
        | State::Unknown
        | State::Review
        | State::Processing
        | State::OnHold
        | State::Unclaimed => Place { in_flight: -amount, ..place(&[0, net], &[0, net], false) },
        State::Transferred => place(&[net], &[0], true),
        State::PayoutReview => place(&[0, left], &[0, net], true),
        State::PayoutSending | State::PayoutUnknown | State::InTransit => place(&[left], &[0, net], true),
        State::Success => place(&[left], &[net], true),
        State::Failed | State::Recalled | State::Returned | State::Blocked | State::Refunded => {
            place(&[0], &[0], false)
        }
        // Reversed at Stripe after the bank paid, so that the payee's balance is short.
        State::Reversed if of.terms.vendor == Vendor::Stripe => place(&[0], &[0, net], false),
        State::Reversed => place(&[0], &[0], false),
        // The transfer may still be reversed, fully if it was paid otherwise, or partly; our balance shows how much.
        State::WrittenOff => place(&[gone], &[0], true),
        State::PayoutFailed | State::PayoutCanceled => {
            // A schedule set at Stripe may have paid it out.
            Place { returned: net, ..place(&[0, left], &[0, net], true) }
        }
        State::Recalling => Place { returned: net, ..place(&[0, net], &[0], true) },
    }
}

/// Checks that a transaction's state, the ledger and the vendor's movements agree.
fn of_one(of: &Transaction, flow: &Flow, posted: &Posted, books: &Books, violations: &mut Vec<String>) {
    let (net, part) = (of.terms.net.minor, -posted.of("partly_reversed:", of.id));
    let place = place(of, net - part, flow.gone());
    let mut tell = |what: String| {
        violations.push(format!("{} {} ({} {}): {what}", of.label(), of.id, of.terms.net, of.state.as_str()));
    };
    // A contradicted payment differs from the vendor by definition, and people are told.
    let apart = !place.gone.contains(&flow.gone()) || !place.arrived.contains(&flow.arrived);
    // A bank's result is unknown after the account's owner revoked our access.
    let unseen = books.ends_unseen(&of.id.to_string());
    if apart && of.contradicted_at.is_none() && !unseen {
        tell(format!("I01, I14: at the vendor {flow:?}"));
    }
    let on_balance = posted.of("vendor_balance:", of.id);
    let gone_by_the_books = match (of.state, place.posted) {
        (State::WrittenOff, _) => flow.gone(),
        (_, true) => net - part,
        (_, false) => 0,
    };
    // PayPal keeps its fee when money is returned, and reports it only for items whose end we have heard of.
    let fee = if of.state.settled() && of.contradicted_at.is_none() {
        flow.fee
    } else {
        -on_balance - gone_by_the_books
    };
    if on_balance != -(gone_by_the_books + fee) || (fee != 0 && fee != flow.fee) {
        tell(format!("I04: our books say {on_balance} left the balance, the vendor's {flow:?}"));
    }
    let in_flight = posted.of("in_flight:", of.id);
    if in_flight != place.in_flight {
        tell(format!("I04: our books hold {in_flight} in flight"));
    }
    let returned = posted.of("returned:", of.id);
    if returned != place.returned {
        tell(format!("I04: our books hold {returned} as returned"));
    }
    let movements = movements(of, books);
    let wrong = movements.iter().filter(|one| !one.right);
    wrong.for_each(|one| tell(format!("I02: {} has another amount or destination", one.id)));
    let at_rest: Vec<&Movement> = movements.iter().filter(|one| one.last && one.at_partner).collect();
    if at_rest.len() > 1 || (of.state == State::Success && at_rest.len() != 1 && !unseen) {
        tell(format!("I02: paid {} times: {:?}", at_rest.len(), movements));
    }
    if movements.iter().filter(|one| !one.last && one.standing).count() > 1 {
        tell(format!("two transfers stand: {movements:?}"));
    }
}

/// A movement that a vendor made for a transaction.
#[derive(Debug)]
struct Movement {
    id: String,
    /// The leg that reaches the partner.
    last: bool,
    /// It has not been reversed.
    standing: bool,
    /// The money is with the partner.
    at_partner: bool,
    /// Amount and destination match the payment.
    right: bool,
}

fn movements(of: &Transaction, books: &Books) -> Vec<Movement> {
    let id = of.id.to_string();
    let units = of.terms.net.at(of.terms.vendor).unwrap().units;
    let to = of.destination.address();
    let right = |amount: i64, destination: Option<&str>| amount == units && destination == Some(to);
    let transfers = books.transfers.iter().filter(|line| line.transfer_group.as_deref() == Some(&id));
    let mut found: Vec<Movement> = transfers
        .map(|line| Movement {
            id: line.id.clone(),
            last: false,
            standing: line.amount_reversed < line.amount,
            at_partner: false,
            right: right(line.amount, Some(&line.destination)),
        })
        .collect();
    let payouts = books.payouts.iter().filter(|line| line.metadata.get("transaction") == Some(&id));
    found.extend(payouts.map(|line| Movement {
        id: line.id.clone(),
        last: true,
        standing: !matches!(line.status.as_str(), "failed" | "canceled"),
        at_partner: line.status == "paid",
        right: right(line.amount, line.account.as_deref()),
    }));
    // If our own payout paid it, no scheduled payout did.
    let brought = found.iter().any(|one| one.last && one.at_partner);
    let swept = |line: &&simulator::PayoutLine| !brought && line.settles.contains(&id);
    // A payout cannot bring more than what was left of the transfer.
    let transfers = books.transfers.iter().filter(|line| line.transfer_group.as_deref() == Some(&id));
    let left = transfers.map(|line| line.amount - line.amount_reversed).max().unwrap_or(units).min(units);
    found.extend(books.payouts.iter().filter(swept).map(|line| Movement {
        id: line.id.clone(),
        last: true,
        standing: !matches!(line.status.as_str(), "failed" | "canceled"),
        at_partner: line.status == "paid",
        right: line.amount >= left && line.account.as_deref() == Some(to),
    }));
    let items = books.items.iter().filter(|line| line.sender_item_id.as_deref() == Some(&id));
    found.extend(items.map(|line| Movement {
        id: line.id.clone(),
        last: true,
        standing: line.left && !matches!(line.status.as_str(), "RETURNED" | "REFUNDED" | "REVERSED"),
        at_partner: line.status == "SUCCESS",
        right: right(line.amount, Some(&line.receiver)),
    }));
    found
}

/// Each reward was paid at most once and is in at most one live transaction.
async fn of_the_rewards(
    db: &mut Db,
    all: &[Transaction],
    flows: &HashMap<TransactionId, Flow>,
    told: &mut Vec<String>,
) {
    let mut covering: HashMap<RewardId, Vec<&Transaction>> = HashMap::new();
    for transaction in all {
        for covered in transactions::covered(db, transaction.id).await.unwrap() {
            covering.entry(RewardId::parse(&covered.id).unwrap()).or_default().push(transaction);
        }
    }
    let ids: Vec<RewardId> = covering.keys().copied().collect();
    for reward in rewards::named(db, &ids).await.unwrap() {
        let by = &covering[&reward.entered.id];
        let live: Vec<&&Transaction> = by.iter().filter(|one| !one.closed()).collect();
        if live.len() > 1 {
            told.push(format!("I06: {} is in {} live transactions", reward.number(), live.len()));
        }
        if by.iter().filter(|one| flows[&one.id].gone() > 0).count() > 1 {
            told.push(format!("I01: {} was paid twice", reward.number()));
        }
        let joined = reward.transaction.map(|(id, _)| id);
        if live.first().is_some_and(|one| joined != Some(one.id)) {
            told.push(format!("I06: {} does not name its live transaction", reward.number()));
        }
        let paid = by.iter().any(|one| one.state == State::Success || one.outside.is_some());
        if paid != reward.paid_at.is_some() {
            told.push(format!("I06: {} says paid: {}, its transactions say {paid}", reward.number(), !paid));
        }
    }
}

/// Parses an amount as people write it: `120.00 USD`, or without a currency for dollars.
pub fn money(text: &str, currency: &str) -> Result<Money, String> {
    let currency = Currency::parse(currency).map_err(|error| error.sentence().to_owned())?;
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text),
    };
    let zero = digits.chars().all(|digit| matches!(digit, '0' | '.'));
    let minor = match zero {
        true => 0,
        false => Money::parse(digits, currency).map_err(|error| error.sentence().to_owned())?.minor,
    };
    Ok(Money::new(sign * minor, currency))
}
