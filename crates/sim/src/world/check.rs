//! What must hold, seen from outside: our database against the vendors' own books.
//!
//! Nothing here believes a status because we wrote it. What a transaction says is held against the money that the
//! simulator moved for it; what the ledger says against both.

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

/// Everything that does not hold. Empty at every moment at which no request is under way.
pub async fn violations(world: &World) -> Vec<String> {
    let books = world.simulator.books();
    let mut db = world.app.store.read().await.unwrap();
    let all = transactions::list(&mut db, &Filter::default(), i64::from(i32::MAX)).await.unwrap();
    let mut told = Vec::new();
    let committed = keys(&world.app.config.database_url).await;
    let mut ids: HashSet<String> = all.iter().map(|one| one.id.to_string()).collect();
    ids.extend(found_at_vendors(&world.app.config.database_url).await);
    let lost = world.memory.lost();
    ids.extend(lost.over(&books));
    of_the_vendors(&books, &ids, (&committed, lost.at), &mut told);
    of_the_ledger(&mut db, &mut told).await;
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
        of_one(transaction, &flows[&transaction.id], &posted, &books, &mut told);
        let twice = books.paid_beside_the_schedule(&transaction.id.to_string(), world.memory.latitude());
        if let Some((swept, ours)) = twice {
            told.push(format!("I01: {} was paid by {swept} and by {ours}", transaction.label()));
        }
    }
    of_the_rewards(&mut db, &all, &flows, &mut told).await;
    told
}

/// The names of the notices that were written about somebody.
pub async fn notices(world: &World, subject: &str) -> Vec<String> {
    let mut database = AnyConnection::connect(&world.app.config.database_url).await.unwrap();
    let sql = format!("SELECT notice FROM outbox WHERE subject = '{subject}' ORDER BY created_at, id");
    let rows = database.fetch_all(AssertSqlSafe(sql).into_sql_str()).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

/// What is not finished: nothing, once everything has healed. What waits for a person is finished.
pub async fn unfinished(world: &World) -> Vec<String> {
    let mut db = world.app.store.read().await.unwrap();
    let all = transactions::list(&mut db, &Filter::default(), i64::from(i32::MAX)).await.unwrap();
    let mut told = Vec::new();
    for one in all {
        let with_a_person = matches!(one.state, State::Review | State::PayoutReview);
        if !one.state.settled() && !with_a_person {
            told.push(format!("{} is left {}", one.label(), one.state.as_str()));
        }
    }
    for (state, count) in submissions::open(&mut db).await.unwrap() {
        told.push(format!("{count} submissions are left {state}"));
    }
    for leg in Leg::ALL {
        let queued = transactions::queued(&mut db, leg, i64::MAX, 1_000).await.unwrap();
        told.extend(
            queued.iter().map(|one| format!("a {} of {} is left queued", one.leg.as_str(), one.transaction)),
        );
    }
    let (waiting, linked, _) = events::backlog(&mut db).await.unwrap();
    if (waiting, linked) != (0, 0) {
        told.push(format!("{waiting} events are left unread and {linked} unapplied"));
    }
    told
}

/// How many events are parked, for an object that we do not know.
pub async fn parked(world: &World) -> i64 {
    let mut db = world.app.store.read().await.unwrap();
    events::backlog(&mut db).await.unwrap().2
}

/// What really moved for a transaction, as the vendor has written it down; minor units of our currency.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Flow {
    pub left: i64,
    pub back: i64,
    pub arrived: i64,
    /// What the vendor took for it.
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

    /// What is gone from our balance.
    pub fn gone(&self) -> i64 {
        self.left - self.back
    }

    /// Where the database was put back, an item that an earlier one took the place of may be carried by no attempt. No books
    /// hold its fee, unless they have seen it all the same; reconciliation shows it as money that they do not count.
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

/// The vendors' books by themselves, and what they hold that we do not know of.
/// Every key that was committed.
async fn keys(database_url: &str) -> HashSet<String> {
    let mut database = AnyConnection::connect(database_url).await.unwrap();
    let rows =
        database.fetch_all(AssertSqlSafe("SELECT key FROM submission".to_owned()).into_sql_str()).await;
    rows.unwrap().iter().map(|row| row.get(0)).collect()
}

/// The payments that were found at the vendors after the database was put back: noted by the id that they carry.
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
    // What was asked for before the database was put back is looked up by its key, not asked for once more.
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
    // What was intended before the database was put back is lost with it.
    for request in books.requests.iter().filter(|request| request.at > put_back_at) {
        if request.key.as_ref().is_none_or(|key| !committed.contains(key)) {
            told.push(format!(
                "I09: a request without a committed intention: {:?} {}",
                request.key, request.path
            ));
        }
    }
    let known = |id: Option<&str>| id.is_some_and(|id| ids.contains(id));
    // What has neither our key nor our group was made at the vendor, by a person.
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

async fn of_the_ledger(db: &mut Db, told: &mut Vec<String>) {
    let mut sums: BTreeMap<String, i128> = BTreeMap::new();
    for (_, currency, minor) in ledger::balances(db).await.unwrap() {
        *sums.entry(currency).or_default() += minor;
    }
    for (currency, sum) in sums.into_iter().filter(|(_, sum)| *sum != 0) {
        told.push(format!("I05: the ledger sums to {sum} {currency}"));
    }
    for invariant in verify::all(db).await.unwrap().iter().filter(|invariant| !invariant.holds()) {
        told.push(format!("{}: {}: {:?}", invariant.id, invariant.says, invariant.violations));
    }
}

/// What our ledger says of each transaction on the accounts that stand for money at a vendor.
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

/// Where the money of a transaction must be, by what we say of it.
struct Place {
    /// Gone from our balance: one of these.
    gone: Vec<i64>,
    /// With the partner: one of these.
    arrived: Vec<i64>,
    /// What our books show as in flight.
    in_flight: i64,
    /// What our books show as lying in the connected balance.
    returned: i64,
    /// Our books know that it has left.
    posted: bool,
}

/// `part` is gone where somebody has reversed some of the transfer and nobody has settled that yet.
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
        // Not decided, or not heard of yet: the vendor may be further than we know.
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
        // What somebody took back from Stripe after the bank had paid: the payee's balance is short of it.
        State::Reversed if of.terms.vendor == Vendor::Stripe => place(&[0], &[0, net], false),
        State::Reversed => place(&[0], &[0], false),
        // The transfer may be reversed yet, wholly where it was paid otherwise, or in part; our balance tells how much.
        State::WrittenOff => place(&[gone], &[0], true),
        State::PayoutFailed | State::PayoutCanceled => {
            // A schedule that somebody has set at Stripe may have paid it out.
            Place { returned: net, ..place(&[0, left], &[0, net], true) }
        }
        State::Recalling => Place { returned: net, ..place(&[0, net], &[0], true) },
    }
}

/// One transaction: its state, the ledger and the vendor's movements say the same.
fn of_one(of: &Transaction, flow: &Flow, posted: &Posted, books: &Books, told: &mut Vec<String>) {
    let (net, part) = (of.terms.net.minor, -posted.of("partly_reversed:", of.id));
    let place = place(of, net - part, flow.gone());
    let mut tell = |what: String| {
        told.push(format!("{} {} ({} {}): {what}", of.label(), of.id, of.terms.net, of.state.as_str()));
    };
    // Of a contradicted payment the vendor says something else than its state, and people are told so.
    let apart = !place.gone.contains(&flow.gone()) || !place.arrived.contains(&flow.arrived);
    // Nor is anything known of what a bank does once the owner of the account has taken back our access to it.
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
    // PayPal keeps its fee when the money comes back, and tells it only of items whose end we have heard.
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

/// One movement that a vendor made for a transaction.
#[derive(Debug)]
struct Movement {
    id: String,
    /// The leg that reaches the partner, not the one before it.
    last: bool,
    /// It has not been taken back.
    standing: bool,
    /// Its money lies with the partner.
    at_partner: bool,
    /// Amount and destination are those promised.
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
    // What a payout of ours has brought there, none of Stripe's schedule has.
    let brought = found.iter().any(|one| one.last && one.at_partner);
    let swept = |line: &&simulator::PayoutLine| !brought && line.settles.contains(&id);
    // Nor can it bring more than was left of the transfer.
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

/// Each reward was paid at most once, and is in at most one live transaction.
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

/// An amount as people write it: `120.00 USD`, or without the currency where it is dollars.
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
