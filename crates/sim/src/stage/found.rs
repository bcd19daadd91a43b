//! What an administrator does after a restore: each found payment is resolved according to what happened to its money,
//! and its rewards are voided if it was paid. They know what the lost database paid with it, from statements and mails.
//! All statements are true, and what cannot be known yet waits. Not here: the restore itself (`put_back`).

use std::collections::BTreeSet;

use bursar::app::{Actor, App};
use bursar::ops::rewards::Verdict;
use bursar::ops::safe_mode::SettlementNote;
use bursar::ops::{self, batches, payees, rewards, safe_mode, transactions as verbs};
use bursar::store::put_back::{self, Found};
use bursar::store::rewards as kept;
use bursar::store::transactions::{self, Filter};
use bursar::work::ask;
use payout::eligibility::PayeeStanding;
use payout::ids::RewardId;
use payout::ledger::Payee;
use payout::reward::RewardStatus;
use payout::transaction::State;

use super::{Outcome, Stage, cast, commands, vendor};
use crate::world::SECOND;

/// How long people wait before they try again to leave safe mode.
const AGAIN: i64 = 6 * 3_600 * SECOND;

/// The note they write when they resolve something.
const WORDS: &str = "asked the vendor, and looked at the mails and statements of that time";

/// Resolves a found payment by a person's statement, after checking every reward that becomes payable: it paid none of
/// them.
///
/// # Errors
/// As [`safe_mode::settle_found`].
pub async fn say_of_found(app: &App, actor: &Actor, object: &str, note: &str) -> ops::Result<String> {
    let mut db = app.store.read().await?;
    let none_of = safe_mode::open_one(&mut db, object).await?.and_then(|one| one.none_of());
    drop(db);
    safe_mode::settle_found(app, actor, object, SettlementNote { note, none_of: none_of.as_deref() }).await
}

/// What happened to a payment's money, according to the vendor.
enum Became {
    /// None of it is out.
    Back,
    /// In flight, or unknown so far.
    UnderWay,
    /// It is in the payee's Stripe balance, and nothing takes it out.
    Lies,
    Paid,
}

impl Stage {
    /// Leaves safe mode as soon as the program allows it, within this time.
    pub(super) async fn leave_within(&mut self, us: i64) -> Outcome {
        let end = self.world.vendors_now() + us;
        loop {
            self.settle_found().await?;
            match vendor::safe_mode(&self.world, false).await {
                Ok(()) => return Ok(()),
                Err(message) if self.world.vendors_now() >= end => {
                    return Err(format!("safe mode cannot be left: {message}"));
                }
                Err(message) if message.contains("Internal") => return Err(message),
                Err(message) => {
                    let refused = message.contains("save them again");
                    self.log.push(format!("  {message}"));
                    if refused {
                        self.save_credentials_again().await;
                    }
                }
            }
            self.live(AGAIN).await?;
        }
    }

    /// Retries saving credentials that were refused because the account had not been searched yet.
    async fn save_credentials_again(&mut self) {
        for vendor in ["stripe", "paypal"] {
            let saved = vendor::line(&self.world, &self.cast, "reconnect", &[vendor]).await;
            self.log.push(format!("  the credentials of {vendor} are saved again: {saved:?}"));
        }
    }

    /// Resolves found payments. In safe mode only those that hold nobody: their payees are put on hold until the
    /// rewards can be voided after safe mode.
    pub(super) async fn settle_found(&mut self) -> Outcome {
        let mut db = self.world.app.store.read().await.unwrap();
        let safe = safe_mode::on(&mut db).await.map_err(|error| error.to_string())?;
        let open = put_back::list_found(&mut db, 10_000).await.map_err(|error| error.to_string())?;
        drop(db);
        let open: Vec<Found> =
            open.into_iter().filter(|one| one.settled.is_none()).map(|one| one.found).collect();
        if !safe {
            for (of, payees) in std::mem::take(&mut self.owed) {
                self.void_rewards_of(&of).await?;
                for payee in payees {
                    self.hold(payee, PayeeStanding::Active).await?;
                }
            }
        }
        let strangers = if safe { self.strangers().await } else { BTreeSet::new() };
        for one in open {
            if safe && !strangers.contains(&one.object_id) || self.is_open_here(&one.our_id).await {
                continue;
            }
            let mut became = self.became_of(&one.our_id);
            if matches!(became, Became::Lies) && self.world.simulator.reverse(&one.our_id, None) {
                became = self.became_of(&one.our_id);
            }
            let settled = match became {
                Became::UnderWay | Became::Lies => false,
                Became::Back => true,
                Became::Paid if safe => {
                    let payees = self.payees_of(&one.our_id).await;
                    for payee in &payees {
                        self.hold(*payee, PayeeStanding::OnHold).await?;
                    }
                    self.owed.push((one.our_id.clone(), payees));
                    true
                }
                Became::Paid => self.void_rewards_of(&one.our_id).await?,
            };
            if settled {
                let (app, actor) = (&self.world.app, &self.world.actor);
                let done = say_of_found(app, actor, &one.object_id, WORDS).await;
                self.log.push(format!("  {} of {} is settled: {done:?}", one.object_id, one.our_id));
            }
        }
        Ok(())
    }

    /// The same, plus everything in review or contradicted by a vendor.
    pub(super) async fn settle_all(&mut self) -> Outcome {
        let mut db = self.world.app.store.read().await.unwrap();
        let all = transactions::list(&mut db, &Filter::default(), i64::from(i32::MAX)).await.unwrap();
        let found = put_back::found_of(&mut db).await.map_err(|error| error.to_string())?;
        drop(db);
        let open = all.into_iter().filter(|one| {
            let waits = matches!(one.state, State::Review | State::PayoutReview);
            waits || one.contradicted_at.is_some() || (found.contains(&one.id) && !one.closed())
        });
        for one in open {
            for other in [false, true] {
                let message = commands::settle_truly(&self.world, one.id, other).await?;
                self.log.push(format!("  {} is settled: {message}", one.label()));
            }
        }
        self.settle_found().await
    }

    /// Whether a payment with this id is open here; its findings are resolved with it.
    async fn is_open_here(&self, id: &str) -> bool {
        let mut db = self.world.app.store.read().await.unwrap();
        let all = transactions::list(&mut db, &Filter::default(), i64::from(i32::MAX)).await.unwrap();
        all.iter().any(|one| one.id.to_string() == id && !one.closed())
    }

    fn became_of(&self, id: &str) -> Became {
        let books = self.world.simulator.books();
        let flows = books.flows(id);
        let gone: i64 = flows.iter().map(|flow| flow.left_minor - flow.returned_minor).sum();
        let waits = books.items.iter().any(|item| {
            item.sender_item_id.as_deref() == Some(id) && matches!(item.status.as_str(), "PENDING" | "ONHOLD")
        });
        if waits {
            return Became::UnderWay;
        }
        if gone <= 0 {
            return Became::Back;
        }
        if flows.iter().any(|flow| flow.arrived_minor > 0) {
            return Became::Paid;
        }
        let of_it = |line: &&simulator::PayoutLine| {
            line.metadata.get("transaction").is_some_and(|of| of == id)
                || line.settles.iter().any(|of| of == id)
        };
        let on_its_way = books.payouts.iter().filter(of_it);
        let mut on_its_way =
            on_its_way.filter(|line| matches!(line.status.as_str(), "pending" | "in_transit"));
        let at_stripe = books.transfers.iter().any(|line| line.transfer_group.as_deref() == Some(id));
        match at_stripe && on_its_way.next().is_none() {
            true => Became::Lies,
            false => Became::UnderWay,
        }
    }

    /// Voids the rewards of a payment, if they exist here; returns whether all are void.
    async fn void_rewards_of(&mut self, id: &str) -> Result<bool, String> {
        let mut all = true;
        for (_, reward) in self.world.memory.lost().covered.iter().filter(|(of, _)| of == id) {
            all &= self.void_reward(reward).await?;
        }
        Ok(all)
    }

    async fn void_reward(&self, id: &str) -> Result<bool, String> {
        let (world, actor) = (&self.world, &self.world.actor);
        let find = async || {
            let mut db = world.app.store.read().await.unwrap();
            kept::find(&mut db, id).await.unwrap()
        };
        let Some(reward) = find().await else { return Ok(true) };
        if reward.entered.status == RewardStatus::Void {
            return Ok(true);
        }
        if let Some((payment, _)) = reward.transaction {
            // Release a failed payment's rewards first.
            let work = &world.works[0];
            if ask::before_return(work, payment).await.is_ok_and(|before| before.released_at.is_none()) {
                drop(verbs::return_to_pool(&world.app, actor, payment, None).await);
            }
        }
        let Some(reward) = find().await else { return Ok(true) };
        let id: RewardId = reward.entered.id;
        if let (Some((batch, _)), None) = (&reward.batch, &reward.transaction) {
            drop(batches::remove(&world.app, actor, *batch, &[id], None).await);
        }
        let verdict =
            Verdict::Void { reason: "paid before the database was put back".to_owned(), shown: false };
        match rewards::decide(&world.app, actor, &id.to_string(), None, &verdict, None).await {
            Ok(_) => Ok(true),
            Err(bursar::ops::OpsError::Internal(error)) => Err(error.to_string()),
            Err(_) => Ok(false),
        }
    }

    /// The payees of a lost payment who exist here.
    async fn payees_of(&self, id: &str) -> Vec<Payee> {
        let lost = self.world.memory.lost();
        let mut db = self.world.app.store.read().await.unwrap();
        let mut found = Vec::new();
        for (_, payee) in lost.payees.iter().filter(|(of, _)| of == id) {
            let Some(payee) = Payee::parse(payee) else { continue };
            if bursar::store::payees::profile_of(&mut db, payee).await.unwrap().is_some() {
                found.push(payee);
            }
        }
        found
    }

    async fn hold(&self, payee: Payee, standing: PayeeStanding) -> Outcome {
        let (app, actor) = (&self.world.app, &self.world.actor);
        payees::set_standing(app, actor, payee, standing, WORDS).await.map_err(cast::odd)
    }

    /// Found payments that hold nobody, because nobody here uses their destination.
    async fn strangers(&self) -> BTreeSet<String> {
        let sql = "SELECT x.object_id FROM found_payment x WHERE x.settled_at IS NULL AND NOT EXISTS (SELECT 1 \
                   FROM found_payee p WHERE p.vendor = x.vendor AND p.object_id = x.object_id)";
        match &self.outside {
            Some(outside) => outside.texts(sql, "object_id").await.into_iter().collect(),
            None => BTreeSet::new(),
        }
    }
}
