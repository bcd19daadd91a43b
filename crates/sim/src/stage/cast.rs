//! The payees, rewards and batches named in a scenario, and how they are created.

use std::collections::HashMap;

use bursar::ops::OpsError;
use bursar::ops::pay::ConfirmedTotals;
use bursar::ops::payees;
use bursar::ops::rewards::{self as reward_verbs, Draft, RewardSelection, Verdict};
use bursar::ops::settings::{Amount, Document, FeeTable};
use bursar::ops::tax::{self, TaxEntry};
use bursar::store::payees::Profile;
use bursar::store::programs::{self, Account, Activity, Partner, Program, RewardValue};
use bursar::store::rewards::{Filter, View};
use bursar::store::transactions::{self, Transaction};
use bursar::store::{self};
use bursar::transact;
use bursar::work::connect;
use payout::eligibility::PayeeStanding;
use payout::ids::{AccountId, ActivityId, BatchId, PartnerId, ProgramId, RewardId};
use payout::ledger::Payee;
use payout::money::Vendor;
use payout::payee::Destination;
use payout::reward::{PaymentType, RewardType};
use serde_json::json;

use super::Outcome;
use crate::world::{DAY, World, check};

const PROGRAM: &str = "scenario";
const COMPANY: &str = "company";

/// The names used in a scenario.
#[derive(Clone, Default)]
pub struct Cast {
    pub payees: HashMap<String, Payee>,
    pub rewards: HashMap<String, RewardId>,
    pub batches: HashMap<String, BatchId>,
    /// What the last look at a batch showed.
    pub seen: HashMap<BatchId, ConfirmedTotals>,
}

/// Describes a result a verb should not have returned.
pub fn odd(error: OpsError) -> String {
    format!("{error:?}")
}

impl Cast {
    pub async fn set_up(&mut self, world: &World, first: &str, rest: &[&str]) -> Outcome {
        match (first, rest) {
            ("settings", [name, value @ ..]) => settings(world, name, value).await,
            ("account", [name, at @ ..]) => self.account(world, name, at).await,
            ("partner", [name, about @ ..]) => self.partner(world, name, about).await,
            ("change", [who, vendor, address]) => {
                let payee = self.payee(who)?;
                self.profile(world, payee, vendor, address).await
            }
            ("hold", [who, state]) => {
                let standing = if *state == "on" { PayeeStanding::OnHold } else { PayeeStanding::Active };
                self.standing(world, who, standing).await
            }
            ("close", [who]) => self.standing(world, who, PayeeStanding::Closed).await,
            ("tax", [who, form, signed_on]) => self.tax(world, who, form, signed_on).await,
            ("clawback", [name, of, value]) => self.clawback(world, name, of, value).await,
            ("approve", [name]) => self.decide(world, name).await,
            ("reward", [name, owner, value, about @ ..]) => {
                self.reward(world, name, owner, value, about).await
            }
            ("crowd", [count, vendor, value]) => self.crowd(world, count, vendor, value).await,
            _ => Err("this line cannot be read".to_owned()),
        }
    }

    pub fn payee(&self, name: &str) -> Result<Payee, String> {
        self.payees.get(name).copied().ok_or_else(|| format!("nobody is called {name}"))
    }

    pub fn batch(&self, name: &str) -> Result<BatchId, String> {
        self.batches.get(name).copied().ok_or_else(|| format!("no batch is called {name}"))
    }

    pub fn reward_ids(&self, names: &[&str]) -> Result<Vec<RewardId>, String> {
        let find =
            |name: &&str| self.rewards.get(*name).copied().ok_or(format!("no reward is called {name}"));
        names.iter().map(find).collect()
    }

    /// The newest transaction of `ana`, of `ana/EUR`, of `ana@B1`.
    pub async fn transaction(&self, world: &World, who: &str) -> Result<Transaction, String> {
        let (who, batch) = who.split_once('@').map_or((who, None), |(who, batch)| (who, Some(batch)));
        let (who, currency) = who.split_once('/').map_or((who, None), |(who, code)| (who, Some(code)));
        let filter = transactions::Filter {
            payees: Some(vec![self.payee(who)?.to_string()]),
            batch: batch.map(|batch| self.batch(batch)).transpose()?,
            ..Default::default()
        };
        let mut db = world.app.store.read().await.unwrap();
        let found = transactions::list(&mut db, &filter, 1_000).await.unwrap();
        let wanted = |one: &Transaction| currency.is_none_or(|code| one.terms.net.currency.code() == code);
        let newest = found.into_iter().filter(wanted).max_by_key(|one| one.number);
        newest.ok_or_else(|| format!("{who} has no such transaction"))
    }

    async fn account(&mut self, world: &World, name: &str, at: &[&str]) -> Outcome {
        let account = account(world, name);
        let payee = Payee::Account(account.id);
        let saved: bursar::ops::Result<()> = transact!(world.app, |tx| {
            Ok(programs::save_accounts(tx, std::slice::from_ref(&account)).await?)
        });
        saved.map_err(odd)?;
        self.payees.insert(name.to_owned(), payee);
        match at {
            [] => Ok(()),
            [vendor, address] => self.profile(world, payee, vendor, address).await,
            _ => Err("an account is paid to one destination".to_owned()),
        }
    }

    async fn partner(&mut self, world: &World, name: &str, about: &[&str]) -> Outcome {
        let word = |word: &str| {
            let place = about.iter().position(|one| *one == word)?;
            about.get(place + 1).copied()
        };
        let company = word("of").unwrap_or(COMPANY);
        let account = self.company(world, company).await?;
        let partner = Partner {
            country: word("from").map(str::to_owned),
            ..partner(world, name, (account, company.to_owned()))
        };
        let payee = Payee::Partner(partner.id);
        save_partner(world, partner).await?;
        self.payees.insert(name.to_owned(), payee);
        match about {
            [vendor @ ("stripe" | "paypal"), address, ..] => {
                self.profile(world, payee, vendor, address).await
            }
            _ => Ok(()),
        }
    }

    /// A company by name, created when first named.
    async fn company(&mut self, world: &World, name: &str) -> Result<AccountId, String> {
        if !self.payees.contains_key(name) {
            self.account(world, name, &[]).await?;
        }
        match self.payee(name)? {
            Payee::Account(id) => Ok(id),
            Payee::Partner(_) => Err(format!("{name} is a partner")),
        }
    }

    async fn profile(&self, world: &World, payee: Payee, vendor: &str, address: &str) -> Outcome {
        let destination = destination(vendor, address)?;
        let address = destination.address().to_owned();
        let set = connect::set_profile(&world.works[0], &world.actor, payee, destination).await;
        set.map_err(odd)?;
        world.memory.aimed(world.vendors_now(), payee.to_string(), address);
        Ok(())
    }

    async fn standing(&self, world: &World, who: &str, standing: PayeeStanding) -> Outcome {
        let set = payees::set_standing(
            &world.app,
            &world.actor,
            self.payee(who)?,
            standing,
            "we are talking about May",
        );
        set.await.map_err(odd)
    }

    async fn tax(&self, world: &World, who: &str, form: &str, signed_on: &str) -> Outcome {
        let entry = TaxEntry {
            form: form.to_owned(),
            signed_on: signed_on.to_owned(),
            tin: Some("123-45-6789".to_owned()),
            name: who.to_owned(),
            certified: None,
        };
        let filed = tax::file(&world.app, &world.actor, self.payee(who)?, &entry).await;
        filed.map(|_| ()).map_err(odd)
    }

    /// Claws back a paid reward; the clawback is approved at once.
    async fn clawback(&mut self, world: &World, name: &str, of: &str, value: &str) -> Outcome {
        let of = self.reward_ids(&[of])?[0].to_string();
        let money = check::money(value, "USD")?;
        let made = reward_verbs::claw_back(&world.app, &world.actor, &of, money, "sent back", None).await;
        self.rewards.insert(name.to_owned(), made.map_err(odd)?.reward.entered.id);
        Ok(())
    }

    async fn decide(&self, world: &World, name: &str) -> Outcome {
        let id = self.reward_ids(&[name])?[0].to_string();
        let decided =
            reward_verbs::decide(&world.app, &world.actor, &id, None, &Verdict::Approve, None).await;
        decided.map(|_| ()).map_err(odd)
    }

    async fn reward(
        &mut self,
        world: &World,
        name: &str,
        owner: &str,
        value: &str,
        about: &[&str],
    ) -> Outcome {
        let (currency, about) = match about.split_first() {
            Some((code, about)) if code.chars().all(char::is_uppercase) => (*code, about),
            Some(_) | None => ("USD", about),
        };
        if about.iter().any(|word| !["approved", "organization", "points", "held", "expiring"].contains(word))
        {
            return Err(
                "a reward is approved, organization, points, held, expiring, or none of it".to_owned()
            );
        }
        let (organization, points) = (about.contains(&"organization"), about.contains(&"points"));
        let activity = match (points, about.contains(&"held")) {
            (true, _) => activity_of(world, "academy", RewardType::Points, 0).await?,
            (false, true) => activity_of(world, "slow", RewardType::Cash, 5).await?,
            (false, false) => activity(world).await?,
        };
        let draft = Draft {
            external_id: name.to_owned(),
            activity: activity.external_id,
            owner: owner.to_owned(),
            worth: Some(match points {
                true => RewardValue::Points(value.parse().map_err(|_| "how many points?")?),
                false => RewardValue::Cash(check::money(value, currency)?),
            }),
            payment_type: organization.then_some(PaymentType::Organization),
            expires_at: about.contains(&"expiring").then(|| world.now() + 2 * DAY),
            ..Draft::default()
        };
        let created = reward_verbs::create(&world.app, &world.actor, &draft, None).await.map_err(odd)?;
        let id = created.reward.entered.id;
        self.rewards.insert(name.to_owned(), id);
        if about.contains(&"approved") {
            let id = id.to_string();
            let decided =
                reward_verbs::decide(&world.app, &world.actor, &id, None, &Verdict::Approve, None).await;
            decided.map_err(odd)?;
        }
        Ok(())
    }

    /// Created in bulk, because thousands of single inserts would take longer than paying them.
    async fn crowd(&mut self, world: &World, count: &str, vendor: &str, value: &str) -> Outcome {
        let count: usize = count.parse().map_err(|_| "how many?")?;
        let worth = RewardValue::Cash(check::money(value, "USD")?);
        let account = self.company(world, COMPANY).await?;
        let activity = activity(world).await?;
        let (mut partners, mut profiles, mut entered) = (Vec::new(), Vec::new(), Vec::new());
        for number in 1..=count {
            let name = format!("crowd{number:05}");
            let address =
                if vendor == "stripe" { format!("acct_{name}") } else { format!("{name}@example.com") };
            let partner = partner(world, &name, (account, COMPANY.to_owned()));
            profiles.push(profile(world, Payee::Partner(partner.id), destination(vendor, &address)?));
            let draft = Draft {
                external_id: name.clone(),
                activity: PROGRAM.to_owned(),
                owner: name,
                worth: Some(worth),
                ..Draft::default()
            };
            let by = world.actor.id.to_string();
            let mut reward = draft.settle(&activity, &partner, &world.app, &by).map_err(|no| no.sentence)?;
            reward.number = 100_000 + number as i64;
            partners.push(partner);
            entered.push(reward);
        }
        let saved: bursar::ops::Result<()> = transact!(world.app, |tx| {
            programs::save_partners(tx, &partners).await?;
            for profile in &profiles {
                store::payees::put_profile(tx, profile).await?;
            }
            store::rewards::insert(tx, &entered).await?;
            Ok(())
        });
        saved.map_err(odd)?;
        let filter = Filter { view: View::Pending, ..Filter::default() };
        let which = RewardSelection::All(Box::new(filter), count as i64);
        let (app, actor) = (&world.app, &world.actor);
        reward_verbs::decide_many(app, actor, &which, &Verdict::Approve, None).await.map_err(odd)?;
        Ok(())
    }
}

async fn settings(world: &World, name: &str, value: &[&str]) -> Outcome {
    let change: Box<dyn Fn(Document) -> Document + Send + Sync> = match (name, value) {
        ("fees", [who]) => {
            let who = (*who).to_owned();
            Box::new(move |it| Document { fees_paid_by: who.clone(), ..it })
        }
        ("fee", [vendor, currency, basis_points, about @ ..]) => {
            let basis_points = basis_points.parse().map_err(|_| "how many hundredths of a percent?")?;
            let describe = |word: &str| {
                let place = about.iter().position(|one| *one == word)?;
                about.get(place + 1).map(|value| (*value).to_owned())
            };
            let table = FeeTable {
                vendor: (*vendor).to_owned(),
                currency: (*currency).to_owned(),
                basis_points,
                fixed: describe("fixed"),
                minimum: describe("minimum"),
                maximum: describe("maximum"),
                monthly: describe("monthly"),
            };
            Box::new(move |it| {
                let mut fees = it.fees.clone();
                fees.retain(|one| (&one.vendor, &one.currency) != (&table.vendor, &table.currency));
                fees.push(table.clone());
                Document { fees, ..it }
            })
        }
        ("cooling-off", [hours]) => {
            let hours = hours.parse().map_err(|_| "how many hours?")?;
            Box::new(move |it| Document { cooling_off_hours: hours, ..it })
        }
        ("two-person", [state]) => {
            let on = *state == "on";
            Box::new(move |it| Document { two_person_release: on, ..it })
        }
        ("payouts", [state]) => {
            let on = *state == "on";
            Box::new(move |it| Document { enabled: on, ..it })
        }
        ("tax", [state]) => {
            let on = *state == "on";
            Box::new(move |it| Document { us_tax_tracking: on, ..it })
        }
        ("vendors", names) => {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            Box::new(move |it| Document { vendors: names.clone(), ..it })
        }
        ("threshold", [value, currency]) => {
            let least = Amount { value: (*value).to_owned(), currency: (*currency).to_owned() };
            Box::new(move |it| Document { earning_thresholds: vec![least.clone()], ..it })
        }
        ("limit", [name, about @ ..]) => {
            let row = match about {
                [value, currency] => json!({"value": value, "currency": currency}),
                [vendor, value, currency] => json!({"vendor": vendor, "value": value, "currency": currency}),
                _ => return Err("a limit is a value and a currency".to_owned()),
            };
            let name = name.replace('-', "_");
            Box::new(move |it| {
                let mut limits = it.limits.clone();
                limits[&name] = json!([row]);
                Document { limits, ..it }
            })
        }
        _ => return Err("there is no such setting".to_owned()),
    };
    world.set(change).await;
    Ok(())
}

fn destination(vendor: &str, address: &str) -> Result<Destination, String> {
    let vendor = Vendor::parse(vendor).ok_or(format!("{vendor} is no vendor"))?;
    Destination::at(vendor, address).map_err(|refusal| refusal.sentence)
}

fn account(world: &World, name: &str) -> Account {
    let now = world.now();
    Account {
        id: AccountId::fresh(now, world.app.clock.random()),
        external_id: name.to_owned(),
        name: name.to_owned(),
        country: None,
        owner_email: None,
        standing: PayeeStanding::Active,
        note: None,
        created_at: now,
        updated_at: now,
    }
}

fn partner(world: &World, name: &str, account: (AccountId, String)) -> Partner {
    let now = world.now();
    Partner {
        id: PartnerId::fresh(now, world.app.clock.random()),
        external_id: name.to_owned(),
        account,
        name: name.to_owned(),
        email: format!("{name}@partners.example"),
        country: None,
        language: None,
        standing: PayeeStanding::Active,
        note: None,
        created_at: now,
        updated_at: now,
    }
}

async fn save_partner(world: &World, partner: Partner) -> Outcome {
    let saved: bursar::ops::Result<()> =
        transact!(world.app, |tx| { Ok(programs::save_partners(tx, std::slice::from_ref(&partner)).await?) });
    saved.map_err(odd)
}

fn profile(world: &World, payee: Payee, destination: Destination) -> Profile {
    let now = world.now();
    Profile {
        payee,
        payable_at: Some(now),
        not_payable_why: None,
        currencies: None,
        set_at: now,
        changed_at: None,
        checked_at: Some(now),
        shared: false,
        destination,
    }
}

/// The activity that earns all cash rewards here.
async fn activity(world: &World) -> Result<Activity, String> {
    activity_of(world, PROGRAM, RewardType::Cash, 0).await
}

async fn activity_of(
    world: &World,
    name: &str,
    reward_type: RewardType,
    hold_days: i64,
) -> Result<Activity, String> {
    let mut db = world.app.store.read().await.unwrap();
    let known = programs::activity(&mut db, programs::RecordRef::External(name)).await.unwrap();
    drop(db);
    if let Some(known) = known {
        return Ok(known);
    }
    let now = world.now();
    let program = Program {
        id: ProgramId::fresh(now, world.app.clock.random()),
        external_id: name.to_owned(),
        name: name.to_owned(),
        reward_type,
        manager_email: None,
        hold_days,
        created_at: now,
        updated_at: now,
    };
    let activity = Activity {
        id: ActivityId::fresh(now, world.app.clock.random()),
        external_id: name.to_owned(),
        program: (program.id, name.to_owned()),
        reward_type,
        hold_days,
        name: name.to_owned(),
        worth: None,
        inactive_at: None,
        created_at: now,
        updated_at: now,
    };
    let saved: bursar::ops::Result<()> = transact!(world.app, |tx| {
        programs::save_program(tx, &program).await?;
        programs::save_activity(tx, &activity).await?;
        Ok(())
    });
    saved.map_err(odd)?;
    Ok(activity)
}
