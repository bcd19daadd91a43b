//! Formatting for pages: times in the reader's zone, grouped amounts, status chips whose color never stands alone, and
//! reasons why something cannot be done. Not here: sentences that a rule owns; those come from `payout`.

use std::fmt;

use askama::filters::HtmlSafe;
use jiff::tz::TimeZone;

use payout::batch::BatchStatus;
use payout::eligibility::{Blocker, Code, Scope};
use payout::ids::RewardId;
use payout::ledger::Payee;
use payout::money::{Money, Sum};
use payout::reward::Shown;
use payout::transaction::{Detail, State, Status};

use crate::store::moved::Back;
use crate::store::programs::RewardValue;
use crate::store::transactions::Transaction;

tokio::task_local! {
    /// The reader's time zone. The guard sets it around every request, so that no page can forget it.
    static ZONE: TimeZone;
    static NOW: i64;
}

/// Runs a request with every [`When`] in it formatted in this zone, as of `now`.
pub async fn in_zone<T>(zone: TimeZone, now: i64, answer: impl Future<Output = T>) -> T {
    ZONE.scope(zone, NOW.scope(now, answer)).await
}

/// A time in the reader's zone: `23 Nov 2026, 06:20 CET`, which a narrow column may break only after the date. Carries UTC
/// with seconds as a tooltip and as a machine-readable attribute.
#[derive(Clone, Copy)]
pub struct When(pub i64);

impl HtmlSafe for When {}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let told = jiff::Timestamp::from_microsecond(self.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        let zone = ZONE.try_with(Clone::clone).unwrap_or(TimeZone::UTC);
        let here = told.to_zoned(zone.clone());
        let here = here.strftime("%-d\u{a0}%b\u{a0}%Y, %H:%M\u{a0}%Z");
        write_time(f, told, &here)
    }
}

fn write_time(f: &mut fmt::Formatter<'_>, at: jiff::Timestamp, here: &impl fmt::Display) -> fmt::Result {
    let (utc, exact) = (crate::clock::rfc3339(at.as_microsecond()), at.strftime("%-d %b %Y, %H:%M:%S UTC"));
    write!(f, "<time datetime=\"{utc}\" title=\"{exact}\">{here}</time>")
}

/// The short form for table rows: `23 Nov, 06:20` in the current year, `23 Nov 2025, 06:20` otherwise. The layout names the
/// zone, also when printed.
#[derive(Clone, Copy)]
pub struct ShortTime(pub i64);

impl HtmlSafe for ShortTime {}

impl fmt::Display for ShortTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let moment = |at| jiff::Timestamp::from_microsecond(at).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        let zone = ZONE.try_with(Clone::clone).unwrap_or(TimeZone::UTC);
        let here = moment(self.0).to_zoned(zone.clone());
        let read = NOW.try_with(|now| moment(*now).to_zoned(zone).year()).ok();
        let form = match read {
            Some(year) if year == here.year() => "%-d\u{a0}%b,\u{a0}%H:%M",
            Some(_) | None => "%-d\u{a0}%b\u{a0}%Y, %H:%M",
        };
        write_time(f, moment(self.0), &here.strftime(form))
    }
}

/// The name of the reader's time zone.
pub fn zone_name() -> String {
    let name = |zone: &TimeZone| zone.iana_name().unwrap_or("UTC").replace('_', " ");
    ZONE.try_with(name).unwrap_or_else(|_| "UTC".to_owned())
}

/// The formatted time, if there is one.
pub fn when(at: Option<i64>) -> Option<When> {
    at.map(When)
}

/// An amount with grouped digits, followed by its currency.
#[derive(Clone, Copy)]
pub struct Cash<T = Money>(pub T);

impl<T: Copy + Into<Sum>> Cash<T> {
    /// What it adds to the total of the selected rows.
    pub fn adds(&self) -> SelectionAmount {
        let sum: Sum = self.0.into();
        SelectionAmount { minor: sum.minor, unit: sum.currency.code(), digits: sum.currency.digits() }
    }
}

/// What a selected row adds to the total that the script shows beside the buttons: attributes of its checkbox.
pub struct SelectionAmount {
    minor: i128,
    unit: &'static str,
    digits: u32,
}

impl HtmlSafe for SelectionAmount {}

impl fmt::Display for SelectionAmount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            " data-minor=\"{}\" data-unit=\"{}\" data-digits=\"{}\"",
            self.minor, self.unit, self.digits
        )
    }
}

/// A total, formatted like an amount.
pub type Summed = Cash<Sum>;

impl<T: Copy + Into<Sum>> HtmlSafe for Cash<T> {}

impl<T: Copy + Into<Sum>> fmt::Display for Cash<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sum: Sum = self.0.into();
        let (amount, currency) = (grouped(&sum.decimal()), sum.currency);
        write!(f, "<span class=\"m\">{amount} <small>{currency}</small></span>")
    }
}

/// An amount without its currency.
pub fn bare(amount: impl Into<Sum>) -> String {
    grouped(&amount.into().decimal())
}

/// An amount in a sentence or on a button: `1,501.50 USD`.
pub fn in_words(amount: impl Into<Sum>) -> String {
    let amount: Sum = amount.into();
    format!("{} {}", bare(amount), amount.currency)
}

/// The value of a reward: money or points.
#[derive(Clone, Copy)]
pub struct Value(pub RewardValue);

impl Value {
    /// What it adds to the total of the selected rows; a clawback subtracts.
    pub fn adds(&self, clawback: &bool) -> SelectionAmount {
        let adds = match self.0 {
            RewardValue::Cash(money) => Cash(money).adds(),
            RewardValue::Points(points) => {
                SelectionAmount { minor: i128::from(points), unit: "points", digits: 0 }
            }
        };
        if *clawback { SelectionAmount { minor: -adds.minor, ..adds } } else { adds }
    }
}

impl HtmlSafe for Value {}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            RewardValue::Cash(money) => Cash(money).fmt(f),
            RewardValue::Points(points) => {
                write!(f, "<span class=\"m\">{} <small>points</small></span>", count(points))
            }
        }
    }
}

/// A whole number with grouped digits.
pub fn count(number: i64) -> String {
    grouped(&number.to_string())
}

/// A count with its noun: `1 reward`, `2 rewards`.
pub fn how_many(number: usize, one: &str, more: &str) -> String {
    let word = if number == 1 { one } else { more };
    format!("{} {word}", grouped(&number.to_string()))
}

/// `-1234567.50` as `−1,234,567.50`.
fn grouped(decimal: &str) -> String {
    let (sign, digits) = decimal.strip_prefix('-').map_or(("", decimal), |rest| ("−", rest));
    let (whole, rest) = digits.split_at(digits.find('.').unwrap_or(digits.len()));
    let mut text = String::with_capacity(decimal.len() + 6);
    text.push_str(sign);
    for (place, digit) in whole.chars().enumerate() {
        if place > 0 && (whole.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text + rest
}

/// A status as shown: a label with a color.
#[derive(Clone, Copy)]
pub struct Chip {
    /// `good`, `bad`, `warn`, `wait` or empty.
    pub tone: &'static str,
    pub words: &'static str,
}

impl HtmlSafe for Chip {}

impl fmt::Display for Chip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<span class=\"chip {}\">{}</span>", self.tone, self.words)
    }
}

/// The chip of a reward's status.
pub fn reward_chip(status: Shown) -> Chip {
    let tone = match status {
        Shown::Submitted => "",
        Shown::InReview | Shown::InPayout => "wait",
        Shown::Approved => "fine",
        Shown::Paid => "good",
        Shown::Rejected | Shown::Void => "bad",
        Shown::Expired => "warn",
    };
    Chip { tone, words: status.label() }
}

/// The chip of a transaction's status.
pub fn status_chip(status: Status) -> Chip {
    let tone = match status {
        Status::Pending => "",
        Status::PendingProcessing | Status::PayoutReady => "wait",
        Status::Success => "good",
        Status::Failed | Status::PayoutFailed => "bad",
    };
    Chip { tone, words: status.label() }
}

/// The chip of a payment: its status, or that it was paid by other means.
pub fn payment_chip(transaction: &Transaction) -> Chip {
    match transaction.outside {
        Some(_) => Chip { tone: "good", words: label_of(transaction) },
        // What needs a person must not look like what resolves by itself.
        None if transaction.state.detail() == Some(Detail::NeedsReview) => {
            Chip { tone: "bad", ..status_chip(transaction.state.status()) }
        }
        None => status_chip(transaction.state.status()),
    }
}

/// A payment's label: its status, or that its payee was paid by other means.
pub fn label_of(transaction: &Transaction) -> &'static str {
    match (transaction.otherwise_at, &transaction.outside) {
        (Some(_), _) => "Paid otherwise",
        (None, Some(_)) => "Paid outside",
        (None, None) => transaction.state.status().label(),
    }
}

/// The detailed status of a payment; `None` if its payee was paid by other means.
pub fn detail_of(transaction: &Transaction) -> Option<&'static str> {
    detail(transaction.state).filter(|_| transaction.outside.is_none())
}

/// The money that left us and did not stay with payees; two of the three parts are shown only if not zero.
pub struct ReturnedTotals {
    pub to_us: Summed,
    /// In payees' balances at the vendor.
    pub in_balances: Option<Summed>,
    pub given_up: Option<Summed>,
}

impl ReturnedTotals {
    pub fn of(back: Back) -> Self {
        let some = |sum: Sum| (sum.minor != 0).then_some(Cash(sum));
        Self { to_us: Cash(back.to_us), in_balances: some(back.in_balances), given_up: some(back.given_up) }
    }
}

/// The chip of a batch's status.
pub fn batch_chip(status: BatchStatus) -> Chip {
    let tone = match status {
        BatchStatus::Draft => "",
        BatchStatus::AwaitingRelease | BatchStatus::PartlyPaid => "warn",
        BatchStatus::Paying => "wait",
        BatchStatus::Paid => "good",
        BatchStatus::Failed | BatchStatus::Deleted => "bad",
    };
    Chip { tone, words: status.label() }
}

/// The detail shown beside a status.
pub fn detail(state: State) -> Option<&'static str> {
    state.detail().map(|detail| match detail {
        Detail::OutcomeUnknown => "outcome not known yet",
        Detail::Unclaimed => "unclaimed",
        Detail::OnHold => "on hold at the vendor",
        Detail::Returned => "returned",
        Detail::Reversed => "taken back",
        Detail::Refunded => "sent back",
        Detail::Canceled => "canceled",
        Detail::NeedsReview => "needs review",
    })
}

/// The meaning of a payment settled with the money in the payee's balance.
const PAID_OTHERWISE: &str = "The payment is complete. The payee has the money from their Stripe balance, or was paid by other means instead. Two people confirmed this.";

/// The meaning of a payment that was made outside Bursar.
const PAID_OUTSIDE: &str =
    "The vendor did not make this payment. The payee was paid outside Bursar, as recorded here.";

/// The meaning of a payment's state for the money.
pub fn meaning_of(transaction: &Transaction) -> &'static str {
    match (transaction.otherwise_at, &transaction.outside) {
        (Some(_), _) => PAID_OTHERWISE,
        (None, Some(_)) => PAID_OUTSIDE,
        (None, None) => by_people(transaction).unwrap_or_else(|| meaning(transaction.state)),
    }
}

/// The meaning if people set the state rather than the vendor, or if no bank payout was attempted.
fn by_people(transaction: &Transaction) -> Option<&'static str> {
    let reason = transaction.reason.as_ref().map(|reason| reason.code.as_str());
    match (transaction.state, reason) {
        (State::Failed, Some("not_made")) => Some(
            "This payment was settled by hand as not made, so the books count the money as ours and the rewards as owed. The timeline shows who did this. If the vendor did make it, settle it by hand as made.",
        ),
        (State::PayoutFailed, Some("not_made")) => Some(
            "The payout to the bank was settled by hand as not made. The books count the money as being in the payee's Stripe balance. The rewards are still owed.",
        ),
        (State::PayoutFailed, None) => Some(
            "Stripe made the transfer, so the money is in the payee's Stripe balance. It has not been paid out to their bank yet. The rewards are still owed.",
        ),
        (_, _) => None,
    }
}

/// What a state means for the money.
pub fn meaning(state: State) -> &'static str {
    match state {
        State::Queued => "The payment is queued. Nothing has been sent to the vendor yet.",
        State::Sending => "The payment is being sent to the vendor. Waiting for its answer.",
        State::Unknown => {
            "The vendor gave no clear answer: it did not respond, or returned an error. Bursar does not know yet whether the vendor has the payment. It retries with the same idempotency key, which cannot pay twice."
        }
        State::Review | State::PayoutReview => {
            "Bursar cannot determine how this payment ended. Nothing more is sent until someone checks at the vendor."
        }
        State::Processing => "PayPal is processing the payment.",
        State::OnHold => "PayPal is reviewing the payment. Nothing can be done here until it decides.",
        State::Unclaimed => {
            "PayPal is waiting up to 30 days for the receiver to accept the money. If it stays unclaimed, it comes back automatically."
        }
        State::Transferred => {
            "The money is in the payee's Stripe balance. The payout to their bank has not been started yet."
        }
        State::PayoutSending => {
            "The money is in the payee's Stripe balance. The payout to their bank is being started."
        }
        State::PayoutUnknown => {
            "The money is in the payee's Stripe balance, and Stripe gave no clear answer about the payout to their bank. Bursar retries with the same idempotency key."
        }
        State::InTransit => "Stripe is paying the money out to the payee's bank.",
        State::Success => {
            "The payment is complete. It can still come back for some days: a bank may return it, and PayPal may reverse it."
        }
        State::Failed => {
            "Nothing was paid. The money is still in our balance, and the rewards are still owed."
        }
        State::PayoutFailed => {
            "The payout to the bank failed. The money is in the payee's Stripe balance. The rewards are still owed."
        }
        State::PayoutCanceled => {
            "The payout to the bank was canceled. The money is in the payee's Stripe balance. The rewards are still owed."
        }
        State::Recalling => "The transfer to the payee's Stripe balance is being reversed.",
        State::Recalled => "The money is back in our balance.",
        State::Returned => {
            "The receiver did not accept the money, and it came back to us. The rewards are still owed."
        }
        State::Blocked => "PayPal stopped the payment and did not pay it. The rewards are still owed.",
        State::Refunded => "The receiver sent the money back to us. The rewards are still owed.",
        State::Reversed => "The vendor took the money back. The rewards are still owed.",
        State::WrittenOff => {
            "Two people confirmed that the money in the payee's Stripe balance is lost and does not come back to us. The rewards are still owed."
        }
    }
}

/// One reason why something cannot be paid, combined for everything it applies to.
pub struct BlockerSummary {
    pub message: String,
    pub who: &'static str,
    pub remedy: &'static str,
    /// Whether it stops nothing: the reward is on its way already, and nobody has to act.
    pub going: bool,
    /// How many things it applies to.
    pub times: usize,
    /// The first payees or rewards it applies to, with their pages, if listed.
    pub of: Vec<(String, String)>,
}

/// How many are named beside a reason.
const NAMED: usize = 5;

impl BlockerSummary {
    /// The reason for a code.
    pub fn of(code: Code) -> Self {
        Self {
            message: code.message().to_owned(),
            who: code.who().label(),
            remedy: code.remedy(),
            going: is_on_its_way(code),
            times: 1,
            of: Vec::new(),
        }
    }

    /// How many more it applies to than are named.
    pub fn more(&self) -> usize {
        self.times.saturating_sub(self.of.len())
    }

    /// The reason for one blocker, with its details.
    pub fn with_details(blocker: &Blocker) -> Self {
        let (who, remedy) = (blocker.who().label(), blocker.remedy());
        // A failed payment says who must act; then the reward is not on its way.
        let going = is_on_its_way(blocker.code) && blocker.act.is_none();
        Self { message: blocker.message(), who, remedy, going, times: 1, of: Vec::new() }
    }
}

/// A reward in a draft is not: somebody has to pay it.
fn is_on_its_way(code: Code) -> bool {
    code == Code::RewardInFlight
}

/// All reasons, each once with its count: the batch's own first, then in order of first appearance. A note is shown if it
/// is the same for everything the reason applies to.
pub fn summarize<'a>(blockers: impl IntoIterator<Item = &'a Blocker>) -> Vec<BlockerSummary> {
    let mut found: Vec<(&Blocker, usize, bool)> = Vec::new();
    for blocker in blockers {
        // Limits, and the payouts and payments that rewards are in, are listed one by one; any other note is about one
        // payee.
        let one_by_one = matches!(
            blocker.code,
            Code::OverLimit | Code::VendorBalanceLow | Code::RewardInBatch | Code::RewardInFlight
        );
        let alike =
            |known: &Blocker| known.code == blocker.code && (!one_by_one || known.note == blocker.note);
        match found.iter_mut().find(|(known, ..)| alike(known)) {
            Some((known, times, same)) => {
                *times += 1;
                *same &= known.note == blocker.note && known.act == blocker.act;
            }
            None => found.push((blocker, 1, true)),
        }
    }
    let why = |(blocker, times, same): (&Blocker, usize, bool)| {
        if same {
            BlockerSummary { times, ..BlockerSummary::with_details(blocker) }
        } else {
            BlockerSummary { times, ..BlockerSummary::of(blocker.code) }
        }
    };
    found.into_iter().map(why).collect()
}

/// The same, each with what it applies to.
pub fn summarize_by_subject<'a>(
    blockers: impl IntoIterator<Item = &'a Blocker> + Clone,
) -> Vec<BlockerSummary> {
    let mut summaries = summarize(blockers.clone());
    for why in &mut summaries {
        // The same message means the same gate.
        let it = |blocker: &&Blocker| why.message.starts_with(blocker.code.message());
        let mut of: Vec<(String, String)> = Vec::new();
        for blocker in blockers.clone().into_iter().filter(it) {
            let page = match (Payee::parse(&blocker.subject), RewardId::parse(&blocker.subject)) {
                (Some(payee), _) if blocker.code.scope() == Scope::Claim => address(payee),
                (None, Some(reward)) => format!("/rewards/{reward}"),
                (Some(_), _) | (None, None) => continue,
            };
            of.extend(blocker.called.clone().map(|name| (name, page)));
        }
        of.dedup();
        of.truncate(NAMED);
        why.of = of;
    }
    summaries
}

/// An action name in words: `batch_paid` as "Batch paid".
pub fn plain(action: &str) -> String {
    let text = action.replace('_', " ");
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// The page of a payee.
pub fn address(payee: Payee) -> String {
    match payee {
        Payee::Partner(id) => format!("/partners/{id}"),
        Payee::Account(id) => format!("/accounts/{id}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use payout::money::Currency;

    #[test]
    fn amounts_are_grouped_and_keep_every_digit() {
        let cash = |minor, code| Cash(Money::new(minor, Currency::parse(code).unwrap())).to_string();
        let written = |amount: &str, code| format!("<span class=\"m\">{amount} <small>{code}</small></span>");
        assert_eq!(cash(123_456_750, "USD"), written("1,234,567.50", "USD"));
        assert_eq!(cash(-99_900, "EUR"), written("−999.00", "EUR"));
        assert_eq!(cash(1_500, "JPY"), written("1,500", "JPY"));
        assert_eq!(cash(1_234, "KWD"), written("1.234", "KWD"));
    }

    #[test]
    fn the_same_reason_is_told_once_with_how_often() {
        let blockers = [
            Blocker::new(Code::ProfileMissing, "a"),
            Blocker::new(Code::ProfileMissing, "b"),
            Blocker::new(Code::ModuleDisabled, "c"),
        ];
        let told: Vec<_> = summarize(&blockers).into_iter().map(|why| (why.message, why.times)).collect();
        let words = |code: Code, times| (code.message().to_owned(), times);
        let expected = [words(Code::ProfileMissing, 2), words(Code::ModuleDisabled, 1)];
        assert_eq!(told, expected);
    }

    #[test]
    fn a_list_tells_the_year_only_where_it_is_another() {
        let at = crate::clock::start_of_date("2026-01-01").unwrap() - 3_600_000_000;
        let read = |zone: TimeZone, now: &str| {
            let now = crate::clock::start_of_date(now).unwrap();
            ZONE.sync_scope(zone, || NOW.sync_scope(now, || ShortTime(at).to_string()))
        };
        assert!(read(TimeZone::UTC, "2025-12-31").ends_with(">31\u{a0}Dec,\u{a0}23:00</time>"));
        assert!(read(TimeZone::UTC, "2026-01-02").ends_with(">31\u{a0}Dec\u{a0}2025, 23:00</time>"));
        assert!(
            ShortTime(at).to_string().ends_with(">31\u{a0}Dec\u{a0}2025, 23:00</time>"),
            "read at no known time"
        );
        let tokyo = TimeZone::get("Asia/Tokyo").unwrap();
        let message = read(tokyo, "2026-01-02");
        assert!(message.ends_with(">1\u{a0}Jan,\u{a0}08:00</time>"), "{message}");
        assert!(message.contains("title=\"31 Dec 2025, 23:00:00 UTC\""), "{message}");
    }

    #[test]
    fn what_is_ticked_is_summed_in_whole_minor_units() {
        let eur = Money::new(64_109, Currency::parse("EUR").unwrap());
        let message = " data-minor=\"64109\" data-unit=\"EUR\" data-digits=\"2\"";
        assert_eq!(Cash(eur).adds().to_string(), message);
        assert_eq!(Value(RewardValue::Cash(eur)).adds(&true).to_string(), message.replace("64109", "-64109"));
        let points = " data-minor=\"350\" data-unit=\"points\" data-digits=\"0\"";
        assert_eq!(Value(RewardValue::Points(350)).adds(&false).to_string(), points);
    }

    #[test]
    fn a_moment_names_its_zone() {
        let at = crate::clock::start_of_date("2026-11-23").unwrap() + 5 * 3_600_000_000;
        assert!(When(at).to_string().ends_with(">23\u{a0}Nov\u{a0}2026, 05:00\u{a0}UTC</time>"));
        let message = ZONE.sync_scope(TimeZone::get("Asia/Tokyo").unwrap(), || When(at).to_string());
        let utc = "title=\"23 Nov 2026, 05:00:00 UTC\"";
        assert!(
            message.ends_with(">23\u{a0}Nov\u{a0}2026, 14:00\u{a0}JST</time>") && message.contains(utc),
            "{message}"
        );
    }
}
