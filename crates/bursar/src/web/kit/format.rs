//! How a thing is written on a page: times with their zone, money with its digits grouped, statuses with a colour that
//! never stands alone, and why something cannot be done. What is deliberately not here: sentences that a rule owns;
//! those come from `payout`.

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
use crate::store::programs::Worth;
use crate::store::transactions::Transaction;

tokio::task_local! {
    /// The zone of whoever reads. The gate sets it around every request, so that no page can forget it.
    static ZONE: TimeZone;
    static NOW: i64;
}

/// Answers a request with every [`When`] of it told in this zone, as somebody reads it now.
pub async fn in_zone<T>(zone: TimeZone, now: i64, answer: impl Future<Output = T>) -> T {
    ZONE.scope(zone, NOW.scope(now, answer)).await
}

/// A moment in the reader's zone: `23 Nov 2026, 06:20 CET`, which a narrow column may break only behind the date. UTC with its
/// seconds is at hand: pointing at it tells it, and a program reads it.
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

/// The same for a row of a list: `23 Nov, 06:20` in the year in which it is read, `23 Nov 2025, 06:20` otherwise. The zone is
/// named in the layout, on paper too.
#[derive(Clone, Copy)]
pub struct Lately(pub i64);

impl HtmlSafe for Lately {}

impl fmt::Display for Lately {
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

/// The name of the zone that times are told in.
pub fn zone_name() -> String {
    let name = |zone: &TimeZone| zone.iana_name().unwrap_or("UTC").replace('_', " ");
    ZONE.try_with(name).unwrap_or_else(|_| "UTC".to_owned())
}

/// The moment, where there is one.
pub fn when(at: Option<i64>) -> Option<When> {
    at.map(When)
}

/// An amount: its digits in groups, its currency behind it.
#[derive(Clone, Copy)]
pub struct Cash<T = Money>(pub T);

impl<T: Copy + Into<Sum>> Cash<T> {
    /// What it adds to the sum of what is ticked.
    pub fn adds(&self) -> Adds {
        let sum: Sum = self.0.into();
        Adds { minor: sum.minor, unit: sum.currency.code(), digits: sum.currency.digits() }
    }
}

/// What a ticked row adds to the sum that the script tells beside the buttons: attributes of its box.
pub struct Adds {
    minor: i128,
    unit: &'static str,
    digits: u32,
}

impl HtmlSafe for Adds {}

impl fmt::Display for Adds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            " data-minor=\"{}\" data-unit=\"{}\" data-digits=\"{}\"",
            self.minor, self.unit, self.digits
        )
    }
}

/// A sum of amounts, written as one amount is.
pub type Summed = Cash<Sum>;

impl<T: Copy + Into<Sum>> HtmlSafe for Cash<T> {}

impl<T: Copy + Into<Sum>> fmt::Display for Cash<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sum: Sum = self.0.into();
        let (amount, currency) = (grouped(&sum.decimal()), sum.currency);
        write!(f, "<span class=\"m\">{amount} <small>{currency}</small></span>")
    }
}

/// An amount in digits alone, for where its currency stands already.
pub fn bare(amount: impl Into<Sum>) -> String {
    grouped(&amount.into().decimal())
}

/// What a reward is worth: money or points.
#[derive(Clone, Copy)]
pub struct Value(pub Worth);

impl Value {
    /// What it adds to the sum of what is ticked; a clawback takes off.
    pub fn adds(&self, clawback: &bool) -> Adds {
        let adds = match self.0 {
            Worth::Cash(money) => Cash(money).adds(),
            Worth::Points(points) => Adds { minor: i128::from(points), unit: "points", digits: 0 },
        };
        if *clawback { Adds { minor: -adds.minor, ..adds } } else { adds }
    }
}

impl HtmlSafe for Value {}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Worth::Cash(money) => Cash(money).fmt(f),
            Worth::Points(points) => {
                write!(f, "<span class=\"m\">{} <small>points</small></span>", count(points))
            }
        }
    }
}

/// A whole number with its digits in groups.
pub fn count(number: i64) -> String {
    grouped(&number.to_string())
}

/// How many there are: `1 reward`, `2 rewards`.
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

/// A status as it is shown: its words, and a colour beside them.
#[derive(Clone, Copy)]
pub struct Chip {
    /// `good`, `bad`, `warn`, `wait` or nothing.
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

/// The chip of a payment: its status, or that it was paid by other means than the vendor's.
pub fn payment_chip(transaction: &Transaction) -> Chip {
    match transaction.outside {
        Some(_) => Chip { tone: "good", words: label_of(transaction) },
        // What only a person can move on must not look like what moves by itself.
        None if transaction.state.detail() == Some(Detail::NeedsReview) => {
            Chip { tone: "bad", ..status_chip(transaction.state.status()) }
        }
        None => status_chip(transaction.state.status()),
    }
}

/// The word for how a payment stands: its status, or that its payee was paid in another way.
pub fn label_of(transaction: &Transaction) -> &'static str {
    match (transaction.otherwise_at, &transaction.outside) {
        (Some(_), _) => "Paid otherwise",
        (None, Some(_)) => "Paid outside",
        (None, None) => transaction.state.status().label(),
    }
}

/// The finer word of a payment, which says nothing of one whose payee was paid in another way.
pub fn detail_of(transaction: &Transaction) -> Option<&'static str> {
    detail(transaction.state).filter(|_| transaction.outside.is_none())
}

/// What of the money that left us did not stay with payees; two of the three are told only where there is something.
pub struct ToldBack {
    pub to_us: Summed,
    /// Lies in payees' balances at the vendor.
    pub in_balances: Option<Summed>,
    pub given_up: Option<Summed>,
}

impl ToldBack {
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

/// The finer word beside a status.
pub fn detail(state: State) -> Option<&'static str> {
    state.detail().map(|detail| match detail {
        Detail::OutcomeUnknown => "outcome not known yet",
        Detail::Unclaimed => "not claimed yet",
        Detail::OnHold => "on hold at the vendor",
        Detail::Returned => "returned",
        Detail::Reversed => "taken back",
        Detail::Refunded => "sent back",
        Detail::Canceled => "canceled",
        Detail::NeedsReview => "a person must look",
    })
}

/// What a payment stands for that was paid out of the money that lay in the payee's balance.
const PAID_OTHERWISE: &str = "The payment is complete: two people confirmed that the payee has the money from their Stripe balance, or was paid another way instead.";

/// What a payment stands for that somebody made in another way.
const PAID_OUTSIDE: &str =
    "The vendor did not make this payment; somebody here marked the payee as paid another way.";

/// How a payment stands and what that means for the money.
pub fn meaning_of(transaction: &Transaction) -> &'static str {
    match (transaction.otherwise_at, &transaction.outside) {
        (Some(_), _) => PAID_OTHERWISE,
        (None, Some(_)) => PAID_OUTSIDE,
        (None, None) => by_people(transaction).unwrap_or_else(|| meaning(transaction.state)),
    }
}

/// The same where it stands so by the word of people and not of the vendor, or without a bank payout that was tried.
fn by_people(transaction: &Transaction) -> Option<&'static str> {
    let reason = transaction.reason.as_ref().map(|reason| reason.code.as_str());
    match (transaction.state, reason) {
        (State::Failed, Some("not_made")) => Some(
            "People here settled it as not made, so in the books the money is ours and the rewards are owed. The timeline says who did. If it turns out that the vendor made it, settle it by hand as made.",
        ),
        (State::PayoutFailed, Some("not_made")) => Some(
            "People here settled the bank payout as not made. In the books the money is in the payee's Stripe balance; the rewards are still owed.",
        ),
        (State::PayoutFailed, None) => Some(
            "Stripe made the transfer, so the money is in the payee's Stripe balance. It has not been paid out to their bank yet; the rewards are still owed.",
        ),
        (_, _) => None,
    }
}

/// What a state means for the money.
pub fn meaning(state: State) -> &'static str {
    match state {
        State::Queued => {
            "Pay was pressed and the payment is queued. Nothing has been sent to the vendor yet."
        }
        State::Sending => "The payment is being sent to the vendor; Bursar is waiting for its answer.",
        State::Unknown => {
            "The vendor gave no answer, or an error. It is not known whether it has the payment. Bursar retries with the same key, which cannot pay twice."
        }
        State::Review | State::PayoutReview => {
            "Bursar cannot find out by itself how this ended. Nothing more is sent until a person has checked at the vendor."
        }
        State::Processing => "PayPal has the payment and is working on it.",
        State::OnHold => "PayPal is reviewing the payment. Nothing can be done here until it decides.",
        State::Unclaimed => {
            "PayPal waits up to 30 days for the receiver to claim the money; if unclaimed, it comes back by itself."
        }
        State::Transferred => {
            "The money is in the payee's Stripe balance. The payout to their bank has not been started yet."
        }
        State::PayoutSending => {
            "The money is in the payee's Stripe balance; the payout to their bank is being started."
        }
        State::PayoutUnknown => {
            "The money is in the payee's Stripe balance, and Stripe gave no clear answer about the payout to their bank. Bursar retries with the same key."
        }
        State::InTransit => "Stripe is paying the money out to the payee's bank.",
        State::Success => {
            "The payment is complete. For some days it can still come back: a bank may return it, and PayPal may reverse it."
        }
        State::Failed => "Nothing was paid. The money is in our balance, and the rewards are still owed.",
        State::PayoutFailed => {
            "The payout to the bank failed. The money is still in the payee's Stripe balance; the rewards are still owed."
        }
        State::PayoutCanceled => {
            "The payout to the bank was canceled. The money is still in the payee's Stripe balance; the rewards are still owed."
        }
        State::Recalling => {
            "Bursar is asking Stripe to reverse the transfer, which brings the money back from the payee's Stripe balance."
        }
        State::Recalled => "The money is back in our balance.",
        State::Returned => "The money was not claimed and came back to us. The rewards are still owed.",
        State::Blocked => "PayPal stopped the payment and did not pay it. The rewards are still owed.",
        State::Refunded => "The receiver sent the money back to us. The rewards are still owed.",
        State::Reversed => "The vendor took the money back. The rewards are still owed.",
        State::WrittenOff => {
            "Two people confirmed that the money in the payee's Stripe balance is lost: it does not come back to us. The rewards are still owed."
        }
    }
}

/// One reason why something cannot be paid, told once for all that it concerns.
pub struct Why {
    /// What stands in the way.
    pub message: String,
    pub who: &'static str,
    pub remedy: &'static str,
    /// How many things it concerns.
    pub times: usize,
    /// Whom it concerns, with their pages, where that is told: the first of them.
    pub of: Vec<(String, String)>,
}

/// So many are named beside a reason.
const NAMED: usize = 5;

impl Why {
    /// The reason behind a code.
    pub fn of(code: Code) -> Self {
        Self {
            message: code.message().to_owned(),
            who: code.who().label(),
            remedy: code.remedy(),
            times: 1,
            of: Vec::new(),
        }
    }

    /// How many more it concerns than are named.
    pub fn more(&self) -> usize {
        self.times.saturating_sub(self.of.len())
    }

    /// The same with all that is known of the one thing it is about.
    pub fn told(blocker: &Blocker) -> Self {
        let (who, remedy) = (blocker.who().label(), blocker.remedy());
        Self { message: blocker.message(), who, remedy, times: 1, of: Vec::new() }
    }
}

/// Every reason, told once with how often it applies, the batch's own first and then in the order of their first mention.
/// What is known beside a code's words is told where it is the same for all that it concerns.
pub fn whys<'a>(blockers: impl IntoIterator<Item = &'a Blocker>) -> Vec<Why> {
    let mut found: Vec<(&Blocker, usize, bool)> = Vec::new();
    for blocker in blockers {
        // A limit is told in each of its senses, and each payout and payment that rewards are in; another note is the
        // particulars of one payee.
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
        if same { Why { times, ..Why::told(blocker) } } else { Why { times, ..Why::of(blocker.code) } }
    };
    found.into_iter().map(why).collect()
}

/// The same, each with whom it concerns.
pub fn whys_of<'a>(blockers: impl IntoIterator<Item = &'a Blocker> + Clone) -> Vec<Why> {
    let mut told = whys(blockers.clone());
    for why in &mut told {
        // The same words stand for the same gate.
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
    told
}

/// What a name in history means: `batch_paid` as "Batch paid".
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
        let told: Vec<_> = whys(&blockers).into_iter().map(|why| (why.message, why.times)).collect();
        let words = |code: Code, times| (code.message().to_owned(), times);
        let expected = [words(Code::ProfileMissing, 2), words(Code::ModuleDisabled, 1)];
        assert_eq!(told, expected);
    }

    #[test]
    fn a_list_tells_the_year_only_where_it_is_another() {
        let at = crate::clock::start_of_date("2026-01-01").unwrap() - 3_600_000_000;
        let read = |zone: TimeZone, now: &str| {
            let now = crate::clock::start_of_date(now).unwrap();
            ZONE.sync_scope(zone, || NOW.sync_scope(now, || Lately(at).to_string()))
        };
        assert!(read(TimeZone::UTC, "2025-12-31").ends_with(">31\u{a0}Dec,\u{a0}23:00</time>"));
        assert!(read(TimeZone::UTC, "2026-01-02").ends_with(">31\u{a0}Dec\u{a0}2025, 23:00</time>"));
        assert!(
            Lately(at).to_string().ends_with(">31\u{a0}Dec\u{a0}2025, 23:00</time>"),
            "read at no known time"
        );
        let tokyo = TimeZone::get("Asia/Tokyo").unwrap();
        let told = read(tokyo, "2026-01-02");
        assert!(told.ends_with(">1\u{a0}Jan,\u{a0}08:00</time>"), "{told}");
        assert!(told.contains("title=\"31 Dec 2025, 23:00:00 UTC\""), "{told}");
    }

    #[test]
    fn what_is_ticked_is_summed_in_whole_minor_units() {
        let eur = Money::new(64_109, Currency::parse("EUR").unwrap());
        let told = " data-minor=\"64109\" data-unit=\"EUR\" data-digits=\"2\"";
        assert_eq!(Cash(eur).adds().to_string(), told);
        assert_eq!(Value(Worth::Cash(eur)).adds(&true).to_string(), told.replace("64109", "-64109"));
        let points = " data-minor=\"350\" data-unit=\"points\" data-digits=\"0\"";
        assert_eq!(Value(Worth::Points(350)).adds(&false).to_string(), points);
    }

    #[test]
    fn a_moment_names_its_zone() {
        let at = crate::clock::start_of_date("2026-11-23").unwrap() + 5 * 3_600_000_000;
        assert!(When(at).to_string().ends_with(">23\u{a0}Nov\u{a0}2026, 05:00\u{a0}UTC</time>"));
        let told = ZONE.sync_scope(TimeZone::get("Asia/Tokyo").unwrap(), || When(at).to_string());
        let utc = "title=\"23 Nov 2026, 05:00:00 UTC\"";
        assert!(
            told.ends_with(">23\u{a0}Nov\u{a0}2026, 14:00\u{a0}JST</time>") && told.contains(utc),
            "{told}"
        );
    }
}
