//! The ledger for accounting programs: balanced entries of debits and credits, in the import formats of QuickBooks
//! Online, Xero and NetSuite, and in a format of our own. Amounts are the ledger's, unrounded.
//!
//! Every entry has one currency; a journal in two currencies would become two entries. All payables are one account,
//! with the payee as the name. Not here: exchange rates, tax, and charts of accounts; the operator configures account
//! names ([`Names`]).

use std::collections::BTreeMap;

use payout::money::{Currency, Sum, Vendor};
use serde::{Deserialize, Serialize};

use super::{Cell, Heading};
use crate::clock::date;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Layout {
    /// Any program: every column there is.
    Generic,
    /// QuickBooks Online, *Import data, Journal entries*.
    QuickBooks,
    Xero,
    /// NetSuite, *Import CSV records, Journal entry*.
    NetSuite,
}

impl Layout {
    /// All layouts, in the order pages offer them.
    pub const ALL: [Self; 4] = [Self::Generic, Self::QuickBooks, Self::Xero, Self::NetSuite];

    /// The spelling in the database, the API and URLs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Generic => "generic",
            Self::QuickBooks => "quickbooks",
            Self::Xero => "xero",
            Self::NetSuite => "netsuite",
        }
    }

    /// Parses [`Layout::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|layout| layout.as_str() == text)
    }

    pub fn label(self) -> &'static str {
        match self {
            Self::Generic => "Generic",
            Self::QuickBooks => "QuickBooks Online",
            Self::Xero => "Xero",
            Self::NetSuite => "NetSuite",
        }
    }

    pub fn headings(self) -> &'static [Heading] {
        match self {
            Self::Generic => &GENERIC,
            Self::QuickBooks => &QUICKBOOKS,
            Self::Xero => &XERO,
            Self::NetSuite => &NETSUITE,
        }
    }
}

const fn column(name: &'static str, words: &'static str) -> Heading {
    Heading { name, words, usual: true }
}

const fn named(name: &'static str) -> Heading {
    Heading { name, words: name, usual: true }
}

/// The columns of our own format.
pub const GENERIC: [Heading; 12] = [
    column("entry", "Entry"),
    column("date", "Date"),
    column("account", "Account"),
    column("name", "Payee"),
    column("debit", "Debit"),
    column("credit", "Credit"),
    column("currency", "Currency"),
    column("movement", "Movement"),
    column("about", "About"),
    column("ledger_account", "Account in Bursar"),
    Heading { name: "payee_id", words: "Your id of the payee", usual: false },
    Heading { name: "at", words: "Time", usual: false },
];
const QUICKBOOKS: [Heading; 9] = [
    named("JournalNo"),
    named("JournalDate"),
    named("Currency"),
    named("Memo"),
    named("AccountName"),
    named("Debits"),
    named("Credits"),
    named("Description"),
    named("Name"),
];
/// The length limit of a journal number in QuickBooks Online.
const QUICKBOOKS_MOST: usize = 21;
const XERO: [Heading; 8] = [
    named("*Narration"),
    named("*Date"),
    named("Description"),
    named("*AccountCode"),
    named("*TaxRate"),
    named("*Amount"),
    named("TrackingName1"),
    named("TrackingOption1"),
];
const NETSUITE: [Heading; 8] = [
    named("External ID"),
    named("Date"),
    named("Currency"),
    named("Account"),
    named("Debit"),
    named("Credit"),
    named("Memo"),
    named("Name"),
];

/// The ledger accounts' names in the operator's accounting program.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Names {
    /// By ledger account; `payable` stands for all payees' accounts.
    pub accounts: BTreeMap<String, String>,
    /// The tax rate for every line, which Xero requires.
    pub xero_tax_rate: String,
}

impl Default for Names {
    fn default() -> Self {
        let accounts = Self::known().into_iter().map(|(key, _, usual)| (key, usual)).collect();
        Self { accounts, xero_tax_rate: "Tax Exempt".to_owned() }
    }
}

impl Names {
    /// The available accounts: ledger name, description, and default name.
    pub fn known() -> Vec<(String, String, String)> {
        let mut known = vec![
            row("reward_expense", "What rewards have cost (expense)", "Partner Rewards"),
            row("payable", "What is owed to payees (accounts payable)", "Partner Rewards Payable"),
        ];
        for vendor in Vendor::ALL {
            let (word, label) = (vendor.as_str(), vendor.label());
            known.extend([
                row(
                    &format!("in_flight:{word}"),
                    &format!("Promised through {label}, not known to have left (clearing)"),
                    &format!("{label} Payouts in Flight"),
                ),
                row(
                    &format!("vendor_balance:{word}"),
                    &format!("Our balance at {label} (cash)"),
                    &format!("{label} Balance"),
                ),
                row(
                    &format!("vendor_fees:{word}"),
                    &format!("Fees that {label} took (expense)"),
                    &format!("{label} Fees"),
                ),
                row(
                    &format!("fee_variance:{word}"),
                    &format!("Fees taken off payees, less what {label} took (difference)"),
                    &format!("{label} Fee Variance"),
                ),
                row(
                    &format!("returned:{word}"),
                    &format!("Our money in payees' balances at {label} (receivable)"),
                    &format!("{label} Returned Payouts"),
                ),
            ]);
        }
        let stripe = Vendor::Stripe;
        let (word, label) = (stripe.as_str(), stripe.label());
        known.extend([
            row(
                &format!("written_off:{word}"),
                &format!("Given up in payees' balances at {label} (loss)"),
                &format!("{label} Payouts Written Off"),
            ),
            row(
                &format!("partly_reversed:{word}"),
                &format!("Part of a payment that {label} sent back, before the payment ended (clearing)"),
                &format!("{label} Payouts Partly Reversed"),
            ),
        ]);
        known.push(row("paid_outside", "Paid outside Bursar (cash elsewhere)", "Paid outside Bursar"));
        known
    }

    /// The configured name of a ledger account.
    pub fn of<'a>(&'a self, ledger_account: &'a str) -> &'a str {
        let key = if ledger_account.starts_with("payable:") { "payable" } else { ledger_account };
        self.accounts.get(key).map_or(key, String::as_str)
    }
}

fn row(key: &str, what: &str, usual: &str) -> (String, String, String) {
    (key.to_owned(), what.to_owned(), usual.to_owned())
}

/// A line of an entry, with everything that any layout shows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Line {
    /// The entry's id: shared by all its lines, unique, and the same in every export.
    pub entry: String,
    /// When it was posted; for a daily total, the start of the day.
    pub at: i64,
    /// Why the money moved; empty for a daily total.
    pub movement: String,
    /// The number of its reward or payment; empty for a daily total.
    pub about: String,
    /// The account's name in the ledger.
    pub ledger_account: String,
    /// The payee: name and external id.
    pub payee: Option<(String, String)>,
    pub money: Sum,
}

impl Line {
    fn sided(&self) -> (Cell, Cell) {
        let amount = |minor| Cell::Amount(Sum::new(minor, self.money.currency));
        match self.money.minor {
            minor if minor < 0 => (Cell::Empty, amount(-minor)),
            minor => (amount(minor), Cell::Empty),
        }
    }

    fn memo(&self) -> String {
        let parts = [word(&self.movement), self.about.as_str()];
        let text = parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ");
        if text.is_empty() { format!("Bursar, sums of {}", date(self.at)) } else { format!("Bursar: {text}") }
    }

    /// The entry id shortened for QuickBooks. Its end is the random part, so it stays unique.
    fn number(&self) -> &str {
        let over = self.entry.len().saturating_sub(QUICKBOOKS_MOST);
        self.entry.get(over..).unwrap_or(&self.entry)
    }

    fn name(&self) -> Cell {
        self.payee.as_ref().map_or(Cell::Empty, |(name, _)| Cell::text(name.as_str()))
    }

    /// The line as a row of a file.
    pub fn cells(&self, layout: Layout, names: &Names, chosen: &[String]) -> Vec<Cell> {
        let (debit, credit) = self.sided();
        let account = Cell::text(names.of(&self.ledger_account));
        let currency = Cell::text(self.money.currency.code());
        match layout {
            Layout::Generic => chosen.iter().map(|name| self.generic(name, names)).collect(),
            Layout::QuickBooks => vec![
                Cell::text(self.number()),
                Cell::text(by_slashes(self.at, true)),
                currency,
                Cell::text(self.memo()),
                account,
                debit,
                credit,
                Cell::text(self.memo()),
                self.name(),
            ],
            // Xero merges lines with the same narration and date into one journal, so the narration includes the entry
            // id.
            Layout::Xero => vec![
                Cell::text(format!("{} ({}, {})", self.memo(), self.entry, self.money.currency)),
                Cell::text(by_slashes(self.at, false)),
                self.payee
                    .as_ref()
                    .map_or_else(|| Cell::text(self.memo()), |(name, _)| Cell::text(name.as_str())),
                account,
                Cell::text(names.xero_tax_rate.as_str()),
                Cell::Amount(self.money),
                Cell::Empty,
                Cell::Empty,
            ],
            Layout::NetSuite => vec![
                Cell::text(self.entry.as_str()),
                Cell::text(by_slashes(self.at, true)),
                currency,
                account,
                debit,
                credit,
                Cell::text(self.memo()),
                self.name(),
            ],
        }
    }

    fn generic(&self, column: &str, names: &Names) -> Cell {
        let (debit, credit) = self.sided();
        match column {
            "entry" => Cell::text(self.entry.as_str()),
            "date" => Cell::Day(date(self.at)),
            "account" => Cell::text(names.of(&self.ledger_account)),
            "name" => self.name(),
            "debit" => debit,
            "credit" => credit,
            "currency" => Cell::text(self.money.currency.code()),
            "movement" => Cell::text(word(&self.movement)),
            "about" => Cell::text(self.about.as_str()),
            "ledger_account" => Cell::text(self.ledger_account.as_str()),
            "payee_id" => self.payee.as_ref().map_or(Cell::Empty, |(_, id)| Cell::text(id.as_str())),
            "at" => Cell::Moment(self.at),
            _ => Cell::Empty,
        }
    }
}

/// The id of a journal's entry in one currency.
pub fn entry_of(journal: &str, currency: Currency) -> String {
    format!("{}-{currency}", journal.trim_start_matches("jrn_"))
}

/// The id of a day's entry in one currency.
pub fn entry_of_day(at: i64, currency: Currency) -> String {
    format!("BURSAR-{}-{currency}", date(at))
}

/// `MM/DD/YYYY`, or `DD/MM/YYYY`.
fn by_slashes(at: i64, month_first: bool) -> String {
    let day = date(at);
    let mut parts = day.split('-');
    let mut next = || parts.next().unwrap_or_default();
    let (year, month, day) = (next(), next(), next());
    if month_first { format!("{month}/{day}/{year}") } else { format!("{day}/{month}/{year}") }
}

fn word(movement: &str) -> &str {
    match movement {
        "approve" => "Reward approved",
        "unapprove" => "Approval taken back",
        "reserve" => "Payment promised",
        "void" => "Payment not made",
        "post" => "Payment left",
        "fee" => "Vendor fee",
        "park" => "Payment waits at the vendor",
        "unpark" => "Payment sent once more",
        "recall" => "Waiting money called back",
        "reverse" => "Payment came back",
        "outside" => "Paid outside",
        "clawback" => "Clawback",
        "write_off" => "Waiting money given up",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(minor: i64) -> Line {
        Line {
            entry: "01ABC-USD".to_owned(),
            at: 1_772_445_600_000_000,
            movement: "approve".to_owned(),
            about: "RW-000001".to_owned(),
            ledger_account: "payable:ptn_1".to_owned(),
            payee: Some(("Ana Lima".to_owned(), "ana".to_owned())),
            money: Sum::new(minor.into(), Currency::USD),
        }
    }

    fn told(layout: Layout, minor: i64) -> String {
        let names = Names::default();
        let rows = [line(minor).cells(layout, &names, &["entry".to_owned(), "credit".to_owned()])];
        String::from_utf8(super::super::csv::written(&rows)).unwrap().trim_end().to_owned()
    }

    #[test]
    fn every_program_gets_its_own_shape() {
        assert_eq!(
            told(Layout::QuickBooks, -42_000),
            "01ABC-USD,03/02/2026,USD,Bursar: Reward approved RW-000001,Partner Rewards Payable,,420.00,\
             Bursar: Reward approved RW-000001,Ana Lima"
        );
        assert_eq!(
            told(Layout::Xero, -42_000),
            "\"Bursar: Reward approved RW-000001 (01ABC-USD, USD)\",02/03/2026,Ana Lima,Partner Rewards Payable,\
             Tax Exempt,-420.00,,"
        );
        assert_eq!(
            told(Layout::NetSuite, 42_000),
            "01ABC-USD,03/02/2026,USD,Partner Rewards Payable,420.00,,Bursar: Reward approved RW-000001,Ana Lima"
        );
        assert_eq!(told(Layout::Generic, -42_000), "01ABC-USD,420.00");
        for layout in Layout::ALL.into_iter().filter(|layout| *layout != Layout::Generic) {
            assert_eq!(line(1).cells(layout, &Names::default(), &[]).len(), layout.headings().len());
        }
    }
}
