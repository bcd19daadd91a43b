//! The columns of each export: name, label and value, in one table shared by CSV, spreadsheets and the column chooser.
//! Never included: secrets, tax numbers, form data of rewards, and unmasked destinations.

use payout::ledger::Payee;
use payout::money::{Sum, Vendor};
use payout::reason::explain_at;
use payout::reward::Entry;

use super::{Cell, Heading, Kind};
use crate::store::audit;
use crate::store::moved::Back;
use crate::store::payees::PayeeIdentity;
use crate::store::programs::RewardValue;
use crate::store::rewards::Reward;
use crate::store::transactions::Transaction;

/// A column for rows of one kind.
struct Column<R: 'static> {
    heading: Heading,
    read: fn(&R) -> Cell,
}

const fn usual<R>(name: &'static str, words: &'static str, read: fn(&R) -> Cell) -> Column<R> {
    Column { heading: Heading { name, words, usual: true }, read }
}

const fn rare<R>(name: &'static str, words: &'static str, read: fn(&R) -> Cell) -> Column<R> {
    Column { heading: Heading { name, words, usual: false }, read }
}

/// A reward as a row of an export.
pub struct RewardRow {
    pub reward: Reward,
    /// Its blockers in words, if requested.
    pub blockers: String,
    /// The time its status is computed for.
    pub now: i64,
}

/// A payment as a row of an export.
pub struct TransactionRow {
    pub transaction: Transaction,
    pub named: Option<PayeeIdentity>,
    pub batch: String,
    /// The vendor's fee in minor units, if reported.
    pub fee_taken: Option<i128>,
}

/// A payee's year in one currency, as a row of an export.
pub struct EarningsRow {
    pub year: i32,
    pub payee: Payee,
    pub named: Option<PayeeIdentity>,
    /// Rewards approved for them in that year.
    pub earned: Sum,
    /// Money that left us for them.
    pub paid: Sum,
    /// The part of it that they did not keep.
    pub back: Back,
    pub net: Sum,
    /// The part that is not at their bank yet.
    pub to_bank: Sum,
    /// The amounts they kept through Stripe, through PayPal, and outside Bursar.
    pub by: [Sum; 3],
    /// The state of their tax report.
    pub report: String,
    /// `over` or `under` the reporting threshold; empty for currencies that have none.
    pub line: &'static str,
}

const REWARDS: &[Column<RewardRow>] = &[
    usual("number", "Number", |row| Cell::text(row.reward.number())),
    usual("owner", "Owner", |row| Cell::text(row.reward.owner.name.as_str())),
    usual("account", "Account", |row| Cell::text(row.reward.account.name.as_str())),
    usual("reward_type", "Reward Type", |row| Cell::text(row.reward.entered.reward_type.label())),
    usual("value", "Value", |row| match row.reward.entered.worth {
        RewardValue::Cash(money) => Cell::Amount(money.into()),
        RewardValue::Points(points) => Cell::Count(points),
    }),
    usual("currency", "Currency", |row| match row.reward.entered.worth {
        RewardValue::Cash(money) => Cell::text(money.currency.code()),
        RewardValue::Points(_) => Cell::Empty,
    }),
    usual("entry", "Kind", |row| {
        Cell::text(if row.reward.entered.entry == Entry::Clawback { "Clawback" } else { "Reward" })
    }),
    usual("program", "Program", |row| Cell::text(row.reward.program.name.as_str())),
    usual("activity", "Reward Activity", |row| Cell::text(row.reward.activity.name.as_str())),
    usual("status", "Status", |row| Cell::text(row.reward.shown(row.now).label())),
    usual("reason", "Reason", |row| Cell::maybe(row.reward.entered.reason.as_ref())),
    usual("created_at", "Created On", |row| Cell::Moment(row.reward.entered.created_at)),
    usual("decided_at", "Approval/Rejection Date", |row| Cell::at(row.reward.entered.decided_at)),
    usual("expires_at", "Expiration Date", |row| Cell::at(row.reward.entered.expires_at)),
    usual("paid_at", "Reimbursement Date", |row| Cell::at(row.reward.paid_at)),
    usual("transaction", "Payment", |row| {
        Cell::text(
            row.reward.transaction.as_ref().map_or_else(String::new, |(_, number)| format!("PT-{number:06}")),
        )
    }),
    rare("batch", "Batch", |row| Cell::maybe(row.reward.batch.as_ref().map(|(_, number)| number))),
    rare("payment_type", "Payment Type", |row| {
        Cell::text(row.reward.entered.payment_type.map_or("", payout::reward::PaymentType::label))
    }),
    rare("why_not_payable", "Why it cannot be paid yet", |row| Cell::text(row.blockers.as_str())),
    rare("earned_on", "Earned On", |row| row.reward.entered.earned_on.clone().map_or(Cell::Empty, Cell::Day)),
    rare("external_id", "Your id", |row| Cell::text(row.reward.entered.external_id.as_str())),
    rare("owner_id", "Your id of the owner", |row| Cell::text(row.reward.owner.external_id.as_str())),
    rare("account_id", "Your id of the account", |row| Cell::text(row.reward.account.external_id.as_str())),
    rare("program_id", "Your id of the program", |row| Cell::text(row.reward.program.external_id.as_str())),
    rare("activity_id", "Your id of the activity", |row| {
        Cell::text(row.reward.activity.external_id.as_str())
    }),
    rare("form_reference", "Form reference", |row| Cell::maybe(row.reward.entered.form_reference.as_ref())),
    rare("note", "Note", |row| Cell::maybe(row.reward.entered.note.as_ref())),
];

const TRANSACTIONS: &[Column<TransactionRow>] = &[
    usual("number", "Number", |row| Cell::text(row.transaction.label())),
    usual("batch", "Batch", |row| Cell::text(row.batch.as_str())),
    usual("payee", "Payee", |row| Cell::maybe(row.named.as_ref().map(|named| &named.name))),
    usual("payment_type", "Payment Type", |row| {
        Cell::text(match row.transaction.terms.payee {
            Payee::Partner(_) => "Individual",
            Payee::Account(_) => "Organization",
        })
    }),
    usual("vendor", "Vendor", |row| Cell::text(row.transaction.terms.vendor.label())),
    usual("destination", "Destination (masked)", |row| Cell::text(row.transaction.destination.masked())),
    usual("amount", "Amount", |row| Cell::Amount(row.transaction.terms.amount.into())),
    usual("fee", "Fee, expected", |row| Cell::Amount(row.transaction.fee.into())),
    usual("net", "Net", |row| Cell::Amount(row.transaction.terms.net.into())),
    usual("currency", "Currency", |row| Cell::text(row.transaction.terms.amount.currency.code())),
    usual("status", "Status", |row| Cell::text(row.transaction.state.status().label())),
    usual("reason", "Reason", reason),
    usual("created_at", "Pay pressed", |row| Cell::Moment(row.transaction.created_at)),
    usual("status_since", "Status since", |row| Cell::Moment(row.transaction.state_at)),
    usual("left_at", "Money left", |row| Cell::at(row.transaction.left_at)),
    usual("settled_at", "Settled", |row| Cell::at(row.transaction.settled_at)),
    rare("detail", "Finer status", |row| {
        Cell::text(row.transaction.state.detail().map_or("", payout::transaction::Detail::as_str))
    }),
    rare("reason_code", "Reason code", |row| {
        Cell::text(row.transaction.reason.as_ref().map_or("", |reason| reason.code.as_str()))
    }),
    rare("payee_id", "Your id of the payee", |row| {
        Cell::maybe(row.named.as_ref().map(|named| &named.external_id))
    }),
    rare("mode", "Mode at the vendor", |row| Cell::maybe(row.transaction.mode.as_ref())),
    rare("released_at", "Rewards back in the pool", |row| Cell::at(row.transaction.released_at)),
    rare("paid_outside_on", "Paid outside on", |row| {
        row.transaction.outside.as_ref().map_or(Cell::Empty, |(_, on, _)| Cell::Day(on.clone()))
    }),
    rare("outside_reference", "Reference of the payment outside", |row| {
        Cell::maybe(row.transaction.outside.as_ref().map(|(.., reference)| reference))
    }),
    usual("fee_taken", "Fee, taken", |row| match row.fee_taken {
        Some(minor) => Cell::Amount(Sum::new(minor, row.transaction.terms.amount.currency)),
        None => Cell::Empty,
    }),
];

const EARNINGS: &[Column<EarningsRow>] = &[
    usual("year", "Tax year", |row| Cell::Count(i64::from(row.year))),
    usual("payee", "Payee", |row| Cell::maybe(row.named.as_ref().map(|named| &named.name))),
    usual("payment_type", "Payment Type", |row| {
        Cell::text(match row.payee {
            Payee::Partner(_) => "Individual",
            Payee::Account(_) => "Organization",
        })
    }),
    usual("currency", "Currency", |row| Cell::text(row.net.currency.code())),
    usual("earned", "Earned", |row| Cell::Amount(row.earned)),
    usual("paid", "Paid", |row| Cell::Amount(row.paid)),
    usual("returned_to_us", "Came back to us", |row| Cell::Amount(row.back.to_us)),
    usual("in_payees_balances", "Lies in the payee's balance", |row| Cell::Amount(row.back.in_balances)),
    usual("given_up", "Given up", |row| Cell::Amount(row.back.given_up)),
    usual("net", "Net", |row| Cell::Amount(row.net)),
    usual("to_bank", "Of net, not at the bank yet", |row| Cell::Amount(row.to_bank)),
    usual("net_stripe", "Net through Stripe", |row| Cell::Amount(row.by[0])),
    usual("net_paypal", "Net through PayPal", |row| Cell::Amount(row.by[1])),
    usual("net_outside", "Paid outside Bursar", |row| Cell::Amount(row.by[2])),
    usual("tax_report", "Tax report", |row| Cell::text(row.report.as_str())),
    usual("threshold", "Reporting threshold", |row| Cell::text(row.line)),
    rare("returned", "Came back, lies in the balance or was given up", |row| Cell::Amount(row.back.total())),
    rare("payee_id", "Your id of the payee", |row| {
        Cell::maybe(row.named.as_ref().map(|named| &named.external_id))
    }),
    rare("country", "Country", |row| {
        Cell::maybe(row.named.as_ref().and_then(|named| named.country.as_ref()))
    }),
];

const AUDIT: &[Column<audit::Row>] = &[
    usual("seq", "Number", |row| Cell::Count(row.seq)),
    usual("at", "When", |row| Cell::Moment(row.at)),
    usual("actor", "Who", |row| Cell::text(row.actor.as_str())),
    usual("action", "What", |row| Cell::text(row.action.as_str())),
    usual("subject", "To what", |row| Cell::text(row.subject.as_str())),
    usual("detail", "Detail", |row| Cell::text(row.detail.as_str())),
    rare("previous_hash", "Hash of the row before", |row| Cell::text(row.previous_hash.as_str())),
    rare("hash", "Hash", |row| Cell::text(row.hash.as_str())),
];

/// The reason in words. A vendor's message may contain the address it could not pay to, so that is masked.
fn reason(row: &TransactionRow) -> Cell {
    let transaction = &row.transaction;
    let code = transaction.reason.as_ref().map(|reason| reason.code.as_str());
    let Some(code) = code.or(transaction.waiting.as_deref()) else { return Cell::Empty };
    let said = transaction.reason.as_ref().map_or("", |reason| reason.message.as_str());
    let explained = explain_at(code, transaction.state).message;
    let words = explained.unwrap_or(if said.is_empty() { code } else { said });
    Cell::text(words.replace(transaction.destination.address(), &transaction.destination.masked()))
}

/// The index of a vendor's share in [`EarningsRow::by`].
pub fn share(vendor: Option<Vendor>) -> usize {
    match vendor {
        Some(Vendor::Stripe) => 0,
        Some(Vendor::PayPal) => 1,
        None => 2,
    }
}

/// The columns of a kind, in order. The journal's depend on its layout, see [`super::journal`].
pub fn headings(kind: Kind) -> Vec<Heading> {
    fn of<R>(columns: &[Column<R>]) -> Vec<Heading> {
        columns.iter().map(|column| column.heading).collect()
    }
    match kind {
        Kind::Rewards => of(REWARDS),
        Kind::Transactions => of(TRANSACTIONS),
        Kind::Earnings => of(EARNINGS),
        Kind::Journal => super::journal::GENERIC.to_vec(),
        Kind::Audit => of(AUDIT),
    }
}

fn cells<R>(columns: &[Column<R>], row: &R, chosen: &[String]) -> Vec<Cell> {
    let column = |name: &String| columns.iter().find(|column| column.heading.name == name.as_str());
    chosen.iter().map(|name| column(name).map_or(Cell::Empty, |column| (column.read)(row))).collect()
}

/// The chosen columns of a reward.
pub fn reward(row: &RewardRow, chosen: &[String]) -> Vec<Cell> {
    cells(REWARDS, row, chosen)
}

/// The chosen columns of a payment.
pub fn transaction(row: &TransactionRow, chosen: &[String]) -> Vec<Cell> {
    cells(TRANSACTIONS, row, chosen)
}

/// The chosen columns of a payee's year.
pub fn earnings(row: &EarningsRow, chosen: &[String]) -> Vec<Cell> {
    cells(EARNINGS, row, chosen)
}

/// The chosen columns of a row of the activity log.
pub fn audit(row: &audit::Row, chosen: &[String]) -> Vec<Cell> {
    cells(AUDIT, row, chosen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_has_a_name_of_its_own() {
        for kind in Kind::ALL {
            let mut names: Vec<&str> = headings(kind).iter().map(|heading| heading.name).collect();
            let count = names.len();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), count, "{kind:?}");
            assert!(headings(kind).iter().any(|heading| heading.usual), "{kind:?}");
        }
    }
}
