//! The inputs of the payee and claim gates, read once for a set of payees. The gates themselves are in
//! `payout::eligibility`.

use std::collections::{BTreeSet, HashMap, HashSet};

use payout::batch;
use payout::eligibility::{self, Blocker, Code, PayeeFacts, ProfileFacts, RewardFacts, VendorFacts, Who};
use payout::fee;
use payout::ids::{BatchId, RewardId, TransactionId};
use payout::ledger::Payee;
use payout::money::{Money, Vendor};
use payout::payee::Destination;
use payout::settings::Settings;
use payout::transaction::State;

use super::{brake, settings};
use crate::clock;
use crate::store::claims::{self, Override};
use crate::store::transactions::Transaction;
use crate::store::{self, Db, contradictions, past, payees, put_back, vendors};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Amounts {
    /// The expected fee of the payment.
    pub(crate) fee: Money,
    /// The part of `fee` that the vendor charges once a month per payee.
    pub(crate) monthly: Money,
    /// What the vendor would be told to pay.
    pub(crate) net: Money,
}

/// The inputs of a batch's gates.
pub(crate) struct Gates {
    pub(super) settings: Settings,
    vendors: VendorFacts,
    payees: HashMap<Payee, PayeeFacts>,
    profiles: HashMap<Payee, Destination>,
    overrides: Vec<Override>,
    /// Payees whose payments have already borne a vendor's monthly fee this month. A vendor charges it once per payee, in
    /// however many currencies they are paid.
    billed_this_month: HashSet<(Payee, Vendor)>,
    /// Payees with an earlier payment that cannot be read, and its number: paying them now may be a second payment.
    unread: HashMap<Payee, String>,
    /// Payments of rewards that this or another payment may already have paid.
    contradicted: HashSet<TransactionId>,
    /// Payments of which a vendor has something that is not known here, since the database was restored.
    unknown: HashSet<TransactionId>,
    /// Payees that such a payment may have paid.
    found: HashSet<Payee>,
    /// The brake: nothing is sent until somebody has looked at the books.
    braked: bool,
}

impl Gates {
    pub(crate) async fn read(db: &mut Db, of: impl IntoIterator<Item = Payee>) -> store::Result<Self> {
        let of: Vec<Payee> = of.into_iter().collect::<BTreeSet<_>>().into_iter().collect();
        let profiles = payees::profiles_of(db, &of).await?;
        Ok(Self {
            settings: settings::load(db).await?,
            vendors: vendors::facts(db).await?,
            payees: payees::facts_beside(db, &of, &profiles).await?,
            profiles: profiles.into_iter().map(|(payee, profile)| (payee, profile.destination)).collect(),
            overrides: Vec::new(),
            billed_this_month: HashSet::new(),
            unread: HashMap::new(),
            contradicted: contradictions::payments(db).await?,
            unknown: put_back::found_of(db).await?,
            found: put_back::held(db).await?,
            braked: brake::on(db).await?,
        })
    }

    /// Loads the overrides of these batches, too.
    pub(crate) async fn within(mut self, db: &mut Db, batches: &[BatchId]) -> store::Result<Self> {
        let batches: Vec<BatchId> = batches.iter().copied().collect::<BTreeSet<_>>().into_iter().collect();
        self.overrides = claims::overrides(db, &batches).await?;
        Ok(self)
    }

    /// The expected fee of a total, and what the vendor would be told to pay.
    pub(crate) fn amounts(&self, payee: Payee, total: Money) -> Amounts {
        let nothing = Money::new(0, total.currency);
        let free = Amounts { fee: nothing, monthly: nothing, net: total };
        let Some(vendor) = self.profiles.get(&payee).map(Destination::vendor) else { return free };
        let table = self.settings.fee_table(vendor, total.currency);
        if fee::is_missing(table, vendor, self.settings.fees_paid_by) {
            return free;
        }
        let first = !self.billed_this_month.contains(&(payee, vendor));
        let fee = fee::expected(table, vendor, total, first);
        let monthly = table.filter(|_| first).map_or(0, |table| table.monthly);
        let net = batch::net(total, fee, self.settings.fees_paid_by);
        Amounts { fee, monthly: Money::new(monthly, total.currency), net }
    }

    /// Records the monthly fee that `claim` bears, so that another claim of the same payee in the same payout does not bear
    /// it again.
    pub(super) fn beside(&mut self, payee: Payee, claim: Amounts) {
        let vendor = self.profiles.get(&payee).map(Destination::vendor);
        if let Some(vendor) = vendor.filter(|_| claim.monthly.minor > 0) {
            self.billed_this_month.insert((payee, vendor));
        }
    }

    /// Loads two more facts: the payees whose earlier payments cannot be read and, if a vendor charges a monthly fee, the
    /// payees it has charged since the month began.
    pub(crate) async fn in_month_of(mut self, db: &mut Db, now: i64) -> store::Result<Self> {
        let of: Vec<Payee> = self.payees.keys().copied().collect();
        self.unread = past::unread(db, &of, now).await?;
        if self.settings.fees.iter().any(|table| table.monthly > 0) {
            self.billed_this_month = past::billed_since(db, &of, start_of_month(now)).await?;
        }
        Ok(self)
    }

    /// The override that lets a claim of exactly this total be paid below the threshold, if there is one.
    pub(super) fn override_of(&self, batch: BatchId, payee: Payee, total: Money) -> Option<&Override> {
        let mut rows = self.overrides.iter();
        rows.find(|one| one.batch == batch && one.payee == payee && one.total == total)
    }

    fn claim_codes(&self, of: (Payee, Money, Money), overridden: bool, now: i64) -> Vec<Code> {
        let (payee, total, net) = of;
        let Some(facts) = self.payees.get(&payee) else { return vec![Code::PartnerClosed] };
        let mut codes = eligibility::payee(facts, &self.settings, &self.vendors, now);
        let of_amount = eligibility::amount(facts, &self.settings, total, net);
        codes.extend(of_amount.into_iter().filter(|code| !(overridden && *code == Code::BelowThreshold)));
        codes.dedup();
        codes
    }

    /// Every gate that blocks a payee from `total`, of which the vendor would be told to pay `net`.
    pub(crate) fn claim(
        &self,
        payee: Payee,
        total: Money,
        net: Money,
        overridden: bool,
        now: i64,
    ) -> Vec<Blocker> {
        let codes = self.claim_codes((payee, total, net), overridden, now);
        let blocker = |code| {
            let facts = self.payees.get(&payee);
            let note = facts.and_then(|facts| eligibility::note(code, facts, &self.settings, total, net));
            self.held_by_found(
                Blocker::new(code, payee).noting(note.or_else(|| self.cooling_until(code, payee))),
                payee,
            )
        };
        codes.into_iter().map(blocker).chain(self.held_by_unread(payee)).collect()
    }

    /// An unreadable payment may have been for the same rewards, so a person must look before its payee is paid again.
    fn held_by_unread(&self, payee: Payee) -> Option<Blocker> {
        let number = self.unread.get(&payee)?;
        let note = format!(
            "The record of their payment {number} cannot be read, so Bursar cannot tell whether this would pay the same thing twice."
        );
        Some(Blocker::new(Code::PartnerOnHold, payee).noting(Some(note)).acting(Who::Admin, MEND_RECORD))
    }

    /// Every gate of a payment that is about to be sent, except those of the vendor's credentials.
    pub(crate) fn before_send(&self, transaction: &Transaction, now: i64) -> Vec<Code> {
        let terms = &transaction.terms;
        let frozen = transaction.destination.fingerprint();
        // The limits of another destination do not apply: this payment never goes there.
        let mut codes = match self.profile(terms.payee).is_some_and(|profile| profile.fingerprint == frozen) {
            true => {
                let overridden = self.override_of(transaction.batch, terms.payee, terms.amount).is_some();
                self.claim_codes((terms.payee, terms.amount, terms.net), overridden, now)
            }
            false => self.payee_codes(terms.payee, now),
        };
        // The fee was frozen at Pay, so the current fee tables do not matter.
        codes.retain(|code| !matches!(code, Code::VendorCredentialsRejected | Code::FeeTableMissing));
        let held = !payout::planted::on("freed_though_contradicted");
        if held && self.contradicted.contains(&transaction.id) {
            codes.insert(0, Code::PaymentContradicted);
        }
        let gate = !payout::planted::on("found_is_no_gate");
        if gate && self.unknown.contains(&transaction.id) {
            codes.insert(0, Code::UnknownAtVendor);
        }
        if self.braked {
            codes.insert(0, Code::BooksDoNotBalance);
        }
        if !self.settings.enabled {
            codes.insert(0, Code::ModuleDisabled);
        }
        codes
    }

    /// As [`Gates::before_send`], plus a check of the frozen destination, with details for people.
    pub(crate) fn blockers_before_send(&self, transaction: &Transaction, now: i64) -> Vec<Blocker> {
        let terms = &transaction.terms;
        let mut codes = self.before_send(transaction, now);
        let frozen = transaction.destination.fingerprint();
        if self.profile(terms.payee).is_some_and(|profile| profile.fingerprint != frozen) {
            codes.push(Code::DestinationChanged);
        }
        let facts = self.payees.get(&terms.payee);
        let note = |code| {
            let known = |facts| eligibility::note(code, facts, &self.settings, terms.amount, terms.net);
            facts.and_then(known).or_else(|| self.cooling_until(code, terms.payee))
        };
        let parked = matches!(transaction.state, State::PayoutFailed | State::PayoutCanceled);
        let blocker = |code| {
            let blocker = Blocker::new(code, terms.payee).noting(note(code));
            let blocker = self.held_by_found(blocker, terms.payee);
            match (code, parked) {
                // The money is already at Stripe, so switching the vendor does not help.
                (Code::CurrencyUnsupported, true) => blocker.acting(Who::Partner, ADD_BANK),
                (_, _) => blocker,
            }
        };
        codes.into_iter().map(blocker).collect()
    }

    /// When the cooling-off period ends, as a note for that blocker.
    fn cooling_until(&self, code: Code, payee: Payee) -> Option<String> {
        let changed = self.profile(payee)?.changed_at.filter(|_| code == Code::ProfileChangedRecently)?;
        Some(ends(changed.saturating_add(self.settings.cooling_off_us())))
    }

    /// Where a payee is paid.
    pub(super) fn destination(&self, payee: Payee) -> Option<&Destination> {
        self.profiles.get(&payee)
    }

    /// The facts about one payee's profile.
    pub(crate) fn profile(&self, payee: Payee) -> Option<&ProfileFacts> {
        self.payees.get(&payee).and_then(|facts| facts.profile.as_ref())
    }

    /// Every gate that blocks a payee, regardless of the amount.
    pub(crate) fn payee(&self, payee: Payee, now: i64) -> Vec<Blocker> {
        let facts = self.payees.get(&payee);
        let note = |code| {
            let known = facts.and_then(|facts| eligibility::note_on_payee(code, facts));
            known.or_else(|| self.cooling_until(code, payee))
        };
        let codes = self.payee_codes(payee, now).into_iter();
        let blocker = |code| self.held_by_found(Blocker::new(code, payee).noting(note(code)), payee);
        codes.map(blocker).collect()
    }

    /// A hold caused by a found payment has its own remedy: it cannot be lifted on the payee's page.
    fn held_by_found(&self, blocker: Blocker, payee: Payee) -> Blocker {
        match blocker.code == Code::PartnerOnHold && self.found.contains(&payee) {
            true => blocker.acting(Who::Admin, SETTLE_FOUND),
            false => blocker,
        }
    }

    /// The payee's own gates, regardless of the amount.
    pub(crate) fn payee_codes(&self, payee: Payee, now: i64) -> Vec<Code> {
        match self.payees.get(&payee) {
            Some(facts) => eligibility::payee(facts, &self.settings, &self.vendors, now),
            None => vec![Code::PartnerClosed],
        }
    }
}

const SETTLE_FOUND: &str = "On the Safe mode page, settle what the vendor has paid and this database does not have: that ends this hold. If the note names another reason for the hold, clear that too.";
const MEND_RECORD: &str = "Look at the vendor what became of that payment. If this is not for the same, two administrators say on that payment's page that they looked, or one twice, a day apart, which ends this hold; or have its record put right (the log says what is wrong with it). Payments to everybody else go on, and this hold ends by itself 30 days after that payment.";
const ADD_BANK: &str =
    "Ask the payee to add a bank account in this currency at Stripe, where this payment's money is.";

/// A blocker of a single reward, with the end of its hold period.
pub(crate) fn of_reward(code: Code, reward: RewardId, facts: &RewardFacts) -> Blocker {
    let until = facts.held_until.filter(|_| code == Code::RewardInHoldPeriod);
    Blocker::new(code, reward).noting(until.map(ends))
}

fn ends(at: i64) -> String {
    format!("It ends on {}.", clock::human(at))
}

/// The start of the month, UTC, that contains this time.
fn start_of_month(now: i64) -> i64 {
    let day = clock::date(now);
    clock::start_of_date(&format!("{}-01", day.get(..7).unwrap_or_default())).unwrap_or(now)
}
