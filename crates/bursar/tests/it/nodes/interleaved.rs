//! Every verb against every other on the same record, on PostgreSQL, where both can write at once: the first is stopped
//! before each of its statements in turn, and the second runs there. The result must equal running them one after the
//! other, in either order; no change may be lost. Not here: verbs that wait for a vendor, whose races are in `scenarios`.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bursar::app::{Actor, App};
use bursar::ops::batches::{self, Selection};
use bursar::ops::import;
use bursar::ops::payees::{self, DestinationStatus};
use bursar::ops::rewards::{self, Draft, Edit, Verdict};
use bursar::ops::tax::{self, TaxEntry};
use bursar::ops::{partners, programs};
use bursar::store::programs::{Account, Activity, Partner, Program, RewardValue};
use bursar::store::step::StepGate;
use futures::StreamExt as _;
use payout::eligibility::PayeeStanding;
use payout::ids::{AccountId, BatchId, ProgramId, RewardId};
use payout::ledger::Payee;
use payout::money::{Currency, Money, Vendor};
use payout::payee::Destination;
use payout::reward::RewardType;
use sqlx::{AnyPool, AssertSqlSafe, Row as _};

use crate::need;
use crate::world::World;

/// How many pairs run concurrently.
const AT_ONCE: usize = 8;
/// A verb that has not finished after this long is waiting for the other.
const WAITS: Duration = Duration::from_millis(40);

type Outcome = bursar::ops::Result<()>;
type Doing = Pin<Box<dyn Future<Output = Outcome> + Send>>;
/// A verb on the record with this name.
type Deed = (&'static str, fn(App, Actor, String) -> Doing);

macro_rules! deed {
    ($name:literal, |$app:ident, $actor:ident, $of:ident| $body:expr) => {
        ($name, |$app, $actor, $of| {
            Box::pin(async move {
                $body;
                Ok(())
            })
        })
    };
}

/// A kind of record: how to create one, the verbs on it, and a query for its complete state by name.
struct Kind {
    make: fn(App, Actor, String) -> Doing,
    told: &'static str,
    deeds: Vec<Deed>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_two_verbs_undo_each_other() {
    if need::postgres().is_none() {
        return;
    }
    let world = World::open("interleaved", 1).await;
    furnish(&world.app, &world.actor).await.unwrap();
    let pool = AnyPool::connect(&world.app.config.database_url).await.unwrap();
    let number = AtomicUsize::new(0);
    let mut messages = Vec::new();
    for kind in [partner(), destination(), account(), program(), activity(), reward(), batch()] {
        let stage = Play { app: &world.app, actor: &world.actor, pool: &pool, kind: &kind, number: &number };
        messages.extend(stage.every_pair().await);
    }
    pool.close().await;
    world.close().await;
    assert!(messages.is_empty(), "\n{}", messages.join("\n"));
}

struct Play<'a> {
    app: &'a App,
    actor: &'a Actor,
    pool: &'a AnyPool,
    kind: &'a Kind,
    number: &'a AtomicUsize,
}

/// Whether each verb succeeded, and the final state.
type End = (bool, bool, String);

impl Play<'_> {
    async fn every_pair(&self) -> Vec<String> {
        let deeds = &self.kind.deeds;
        let pairs = deeds.iter().flat_map(|one| deeds.iter().map(move |other| (one, other)));
        let tries = pairs.map(|(one, other)| self.pair(one, other));
        futures::stream::iter(tries).buffer_unordered(AT_ONCE).concat().await
    }

    /// Final states that no serial order of the two verbs can produce.
    async fn pair(&self, one: &Deed, other: &Deed) -> Vec<String> {
        let mut fair = BTreeSet::new();
        fair.insert(self.in_turn(one, other).await);
        let (second, first, message) = self.in_turn(other, one).await;
        fair.insert((first, second, message));
        // One of them may be refused instead, and then must have had no effect.
        for (deed, done) in [(one, (true, false)), (other, (false, true))] {
            let of = self.fresh().await;
            self.run(deed, &of).await.unwrap();
            fair.insert((done.0, done.1, self.tell(&of).await));
        }
        let mut wrong = Vec::new();
        for statements in 0..100 {
            let Some(end) = self.interleaved(one, other, statements).await else { break };
            if !fair.contains(&end) {
                let of = format!("{} stopped after {statements} statements, then {}", one.0, other.0);
                wrong.push(format!("{of}: {end:?}, and in turn {fair:?}"));
            }
        }
        wrong
    }

    async fn fresh(&self) -> String {
        let name = format!("x{:05}", self.number.fetch_add(1, Ordering::Relaxed));
        (self.kind.make)(self.app.clone(), self.actor.clone(), name.clone()).await.unwrap();
        name
    }

    fn run(&self, deed: &Deed, of: &str) -> Doing {
        (deed.1)(self.app.clone(), self.actor.clone(), of.to_owned())
    }

    #[allow(
        clippy::disallowed_methods,
        reason = "what verbs have written is read beside the program, not through it"
    )]
    async fn tell(&self, of: &str) -> String {
        let row = sqlx::query(AssertSqlSafe(self.kind.told.replace("{of}", of))).fetch_one(self.pool).await;
        row.unwrap().get::<Option<String>, _>(0).unwrap_or_default().replace(of, "it")
    }

    async fn in_turn(&self, one: &Deed, other: &Deed) -> End {
        let of = self.fresh().await;
        let (first, second) = (self.run(one, &of).await, self.run(other, &of).await);
        (first.is_ok(), second.is_ok(), self.tell(&of).await)
    }

    /// Stops the first verb after some statements and runs the second; `None` if the first had already finished.
    async fn interleaved(&self, one: &Deed, other: &Deed, statements: usize) -> Option<End> {
        let of = self.fresh().await;
        let walk = Arc::new(StepGate::default());
        walk.allow(statements);
        let mut first = tokio::spawn(Arc::clone(&walk).lead(self.run(one, &of)));
        tokio::select! {
            biased;
            done = &mut first => {
                done.unwrap().unwrap();
                return None;
            }
            () = walk.stopped() => {}
        }
        let mut second = tokio::spawn(self.run(other, &of));
        let early = tokio::time::timeout(WAITS, &mut second).await.ok();
        walk.allow(100_000);
        let first = first.await.unwrap();
        let second = match early {
            Some(done) => done.unwrap(),
            None => second.await.unwrap(),
        };
        Some((first.is_ok(), second.is_ok(), self.tell(&of).await))
    }
}

fn usd(minor: i64) -> Money {
    Money::new(minor, Currency::parse("USD").unwrap())
}

/// The records that all kinds depend on.
async fn furnish(app: &App, actor: &Actor) -> Outcome {
    save_account(app, actor, "company", |it| it).await?;
    save_program(app, actor, "deals", |it| it).await?;
    save_activity(app, actor, "deal", |it| it).await?;
    save_partner(app, actor, "owner", |it| it).await
}

async fn save_account(app: &App, actor: &Actor, name: &str, change: fn(Account) -> Account) -> Outcome {
    let saved = partners::save_account(app, actor, name, |before, id| {
        Ok(change(before.unwrap_or_else(|| Account {
            id,
            external_id: name.to_owned(),
            name: "A".to_owned(),
            country: None,
            owner_email: None,
            standing: PayeeStanding::Active,
            note: None,
            created_at: 1,
            updated_at: 1,
        })))
    });
    saved.await.map(|_| ())
}

async fn save_partner(app: &App, actor: &Actor, name: &str, change: fn(Partner) -> Partner) -> Outcome {
    let saved = partners::save_partner(app, actor, name, |before, id| {
        Ok(change(before.unwrap_or_else(|| Partner {
            id,
            external_id: name.to_owned(),
            account: (AccountId::fresh(0, 0), "company".to_owned()),
            name: "A".to_owned(),
            email: "a@example.com".to_owned(),
            country: None,
            language: None,
            standing: PayeeStanding::Active,
            note: None,
            created_at: 1,
            updated_at: 1,
        })))
    });
    saved.await.map(|_| ())
}

async fn save_program(app: &App, actor: &Actor, name: &str, change: fn(Program) -> Program) -> Outcome {
    let saved = programs::save_program(app, actor, name, |before, id| {
        Ok(change(before.unwrap_or_else(|| Program {
            id,
            external_id: name.to_owned(),
            name: "A".to_owned(),
            reward_type: RewardType::Cash,
            manager_email: None,
            hold_days: 0,
            created_at: 1,
            updated_at: 1,
        })))
    });
    saved.await.map(|_| ())
}

async fn save_activity(app: &App, actor: &Actor, name: &str, change: fn(Activity) -> Activity) -> Outcome {
    let saved = programs::save_activity(app, actor, name, |before, id| {
        Ok(change(before.unwrap_or_else(|| Activity {
            id,
            external_id: name.to_owned(),
            program: (ProgramId::fresh(0, 0), "deals".to_owned()),
            reward_type: RewardType::Cash,
            hold_days: 0,
            name: "A".to_owned(),
            worth: None,
            inactive_at: None,
            created_at: 1,
            updated_at: 1,
        })))
    });
    saved.await.map(|_| ())
}

async fn payee(app: &App, name: &str) -> Payee {
    bursar::ops::payees::named(&mut app.store.read().await.unwrap(), name).await.unwrap().unwrap()
}

async fn pay_to(app: &App, actor: &Actor, name: &str, address: &str) -> Outcome {
    let destination = Destination::at(Vendor::PayPal, address).unwrap();
    let of = payee(app, name).await;
    payees::set_profile(app, actor, of, destination, DestinationStatus::Payable(None)).await.map(|_| ())
}

fn partner() -> Kind {
    Kind {
        make: |app, actor, of| {
            Box::pin(async move {
                save_partner(&app, &actor, &of, |it| it).await?;
                pay_to(&app, &actor, &of, &format!("{of}@example.com")).await
            })
        },
        told: "SELECT concat_ws('|', p.name, p.country, p.language, p.standing, p.note, f.address, f.changed_at IS NULL, \
               t.name, (SELECT COUNT(*) FROM profile_change c WHERE c.payee = p.id), \
               (SELECT string_agg(a.new_masked, ',' ORDER BY a.new_masked) FROM profile_change a WHERE a.payee = p.id)) \
               FROM partner p LEFT JOIN payout_profile f ON f.payee = p.id LEFT JOIN tax_report t ON t.payee = p.id \
               WHERE p.external_id = '{of}'",
        deeds: vec![
            deed!("hold", |app, actor, of| payees::set_standing(
                &app,
                &actor,
                payee(&app, &of).await,
                PayeeStanding::OnHold,
                "a bank called"
            )
            .await?),
            deed!("close", |app, actor, of| payees::set_standing(
                &app,
                &actor,
                payee(&app, &of).await,
                PayeeStanding::Closed,
                "left us"
            )
            .await?),
            deed!("save the country", |app, actor, of| save_partner(&app, &actor, &of, |it| Partner {
                country: Some("FR".to_owned()),
                ..it
            })
            .await?),
            deed!("save with a hold", |app, actor, of| save_partner(&app, &actor, &of, |it| Partner {
                standing: PayeeStanding::OnHold,
                note: Some("by file".to_owned()),
                ..it
            })
            .await?),
            deed!("choose a language", |app, actor, of| {
                if let Payee::Partner(id) = payee(&app, &of).await {
                    partners::choose_language(&app, &actor, id, "de").await?;
                }
            }),
            deed!("import", |app, actor, of| {
                let file = format!("external_id,account,name,email\n{of},company,Imported,a@example.com\n");
                import::partners(&app, &actor, file.as_bytes(), false, None).await?;
            }),
            deed!("move", |app, actor, of| pay_to(&app, &actor, &of, &format!("{of}-moved@example.com"))
                .await?),
            deed!("file a tax report", |app, actor, of| {
                let entry = TaxEntry {
                    form: "w9".to_owned(),
                    signed_on: "2026-01-31".to_owned(),
                    tin: Some("123-45-6789".to_owned()),
                    name: "On the form".to_owned(),
                    certified: None,
                };
                tax::file(&app, &actor, payee(&app, &of).await, &entry).await?;
            }),
        ],
    }
}

async fn link(app: &App, actor: &Actor, name: &str, account: &str) -> Outcome {
    let destination = Destination::at(Vendor::Stripe, account).unwrap();
    let of = payee(app, name).await;
    payees::set_profile(app, actor, of, destination, DestinationStatus::Payable(None)).await.map(|_| ())
}

/// One Stripe account given to two partners: only one of them gets it.
fn destination() -> Kind {
    Kind {
        make: |app, actor, of| {
            Box::pin(async move {
                save_partner(&app, &actor, &format!("{of}-a"), |it| it).await?;
                save_partner(&app, &actor, &format!("{of}-b"), |it| it).await?;
                pay_to(&app, &actor, &format!("{of}-a"), &format!("{of}-a@example.com")).await
            })
        },
        told: "SELECT string_agg(concat_ws('|', p.external_id, f.address), ';' ORDER BY p.external_id) FROM partner p \
               LEFT JOIN payout_profile f ON f.payee = p.id WHERE p.external_id IN ('{of}-a', '{of}-b')",
        deeds: vec![
            deed!("link the first", |app, actor, of| {
                link(&app, &actor, &format!("{of}-a"), &format!("acct_{of}")).await?;
            }),
            deed!("link the second", |app, actor, of| {
                link(&app, &actor, &format!("{of}-b"), &format!("acct_{of}")).await?;
            }),
            deed!("pay the first elsewhere", |app, actor, of| {
                pay_to(&app, &actor, &format!("{of}-a"), &format!("{of}-moved@example.com")).await?;
            }),
        ],
    }
}

fn account() -> Kind {
    Kind {
        make: |app, actor, of| Box::pin(async move { save_account(&app, &actor, &of, |it| it).await }),
        told: "SELECT concat_ws('|', name, country, owner_email, standing, note) FROM account WHERE external_id = '{of}'",
        deeds: vec![
            deed!("hold", |app, actor, of| payees::set_standing(
                &app,
                &actor,
                payee(&app, &of).await,
                PayeeStanding::OnHold,
                "a bank called"
            )
            .await?),
            deed!("save the country", |app, actor, of| save_account(&app, &actor, &of, |it| Account {
                country: Some("FR".to_owned()),
                ..it
            })
            .await?),
            deed!("save the owner", |app, actor, of| save_account(&app, &actor, &of, |it| Account {
                owner_email: Some("pat@example.com".to_owned()),
                ..it
            })
            .await?),
            deed!("import", |app, actor, of| {
                let file = format!("external_id,name\n{of},Imported\n");
                import::accounts(&app, &actor, file.as_bytes(), false, None).await?;
            }),
        ],
    }
}

fn program() -> Kind {
    Kind {
        make: |app, actor, of| Box::pin(async move { save_program(&app, &actor, &of, |it| it).await }),
        told: "SELECT concat_ws('|', name, manager_email, hold_days) FROM program WHERE external_id = '{of}'",
        deeds: vec![
            deed!("save the name", |app, actor, of| save_program(&app, &actor, &of, |it| Program {
                name: "Renamed".to_owned(),
                ..it
            })
            .await?),
            deed!("save the hold", |app, actor, of| save_program(&app, &actor, &of, |it| Program {
                hold_days: 9,
                ..it
            })
            .await?),
            deed!("save the manager", |app, actor, of| save_program(&app, &actor, &of, |it| Program {
                manager_email: Some("pat@example.com".to_owned()),
                ..it
            })
            .await?),
        ],
    }
}

fn activity() -> Kind {
    Kind {
        make: |app, actor, of| Box::pin(async move { save_activity(&app, &actor, &of, |it| it).await }),
        told: "SELECT concat_ws('|', name, value_minor, inactive_at) FROM activity WHERE external_id = '{of}'",
        deeds: vec![
            deed!("save the name", |app, actor, of| save_activity(&app, &actor, &of, |it| Activity {
                name: "Renamed".to_owned(),
                ..it
            })
            .await?),
            deed!("save the value", |app, actor, of| save_activity(&app, &actor, &of, |it| Activity {
                worth: Some(RewardValue::Cash(usd(500))),
                ..it
            })
            .await?),
            deed!("end it", |app, actor, of| save_activity(&app, &actor, &of, |it| Activity {
                inactive_at: Some(7),
                ..it
            })
            .await?),
            deed!("import", |app, actor, of| {
                let file = format!("external_id,program,name\n{of},deals,Imported\n");
                import::activities(&app, &actor, file.as_bytes(), false, None).await?;
            }),
        ],
    }
}

async fn enter(app: &App, actor: &Actor, name: &str) -> Outcome {
    let draft = Draft {
        external_id: name.to_owned(),
        activity: "deal".to_owned(),
        owner: "owner".to_owned(),
        worth: Some(RewardValue::Cash(usd(1_000))),
        ..Draft::default()
    };
    rewards::create(app, actor, &draft, None).await.map(|_| ())
}

async fn decide(app: &App, actor: &Actor, name: &str, verdict: Verdict) -> Outcome {
    rewards::decide(app, actor, name, None, &verdict, None).await.map(|_| ())
}

fn reward() -> Kind {
    Kind {
        make: |app, actor, of| Box::pin(async move { enter(&app, &actor, &of).await }),
        told: "SELECT concat_ws('|', r.status, r.value_minor, r.note, r.reason, r.batch_id IS NULL, \
               (SELECT SUM(p.amount_minor) FROM journal j JOIN posting p ON p.journal_id = j.id \
               WHERE j.subject = r.id AND p.account = 'reward_expense')) FROM (SELECT 1) one \
               LEFT JOIN reward r ON r.external_id = '{of}'",
        deeds: vec![
            deed!("approve", |app, actor, of| decide(&app, &actor, &of, Verdict::Approve).await?),
            deed!("reject", |app, actor, of| decide(
                &app,
                &actor,
                &of,
                Verdict::Reject { reason: "no such deal".to_owned(), shown: false }
            )
            .await?),
            deed!("void", |app, actor, of| decide(
                &app,
                &actor,
                &of,
                Verdict::Void { reason: "twice".to_owned(), shown: false }
            )
            .await?),
            deed!("edit the value", |app, actor, of| {
                let edit = Edit { worth: Some(RewardValue::Cash(usd(2_000))), ..Edit::default() };
                rewards::edit(&app, &actor, &of, None, &edit).await?;
            }),
            deed!("edit the note", |app, actor, of| {
                let edit = Edit { note: Some(Some("seen".to_owned())), ..Edit::default() };
                rewards::edit(&app, &actor, &of, None, &edit).await?;
            }),
            deed!("delete", |app, actor, of| rewards::delete(&app, &actor, &of, None).await?),
        ],
    }
}

async fn reward_id(app: &App, name: &str) -> RewardId {
    let found = bursar::store::rewards::find(&mut app.store.read().await.unwrap(), name).await.unwrap();
    found.unwrap().entered.id
}

/// The batch that contains, or contained, the first reward of a name: it is stored in the note of the second.
async fn batch_of(app: &App, name: &str) -> BatchId {
    let second =
        bursar::store::rewards::find(&mut app.store.read().await.unwrap(), &format!("{name}-b")).await;
    BatchId::parse(&second.unwrap().unwrap().entered.note.unwrap()).unwrap()
}

fn batch() -> Kind {
    Kind {
        make: |app, actor, of| {
            Box::pin(async move {
                for end in ["a", "b"] {
                    enter(&app, &actor, &format!("{of}-{end}")).await?;
                }
                decide(&app, &actor, &format!("{of}-a"), Verdict::Approve).await?;
                let choose = Selection::Named(vec![reward_id(&app, &format!("{of}-a")).await]);
                let formed = batches::form(&app, &actor, &choose, true, None).await?;
                let edit = Edit { note: Some(Some(formed.batch.id.to_string())), ..Edit::default() };
                rewards::edit(&app, &actor, &format!("{of}-b"), None, &edit).await?;
                decide(&app, &actor, &format!("{of}-b"), Verdict::Approve).await
            })
        },
        told: "SELECT string_agg(concat_ws('|', r.external_id, r.batch_id IS NULL, r.status, b.deleted_at, \
               b.release_asked_at), ';' ORDER BY r.external_id) FROM reward r \
               JOIN reward second ON second.external_id = '{of}-b' LEFT JOIN batch b ON b.id = second.note \
               WHERE r.external_id IN ('{of}-a', '{of}-b')",
        deeds: vec![
            deed!("add", |app, actor, of| {
                let choose = Selection::Named(vec![reward_id(&app, &format!("{of}-b")).await]);
                batches::add(&app, &actor, batch_of(&app, &of).await, &choose, None).await?;
            }),
            deed!("take out", |app, actor, of| {
                let rewards = [reward_id(&app, &format!("{of}-a")).await];
                batches::remove(&app, &actor, batch_of(&app, &of).await, &rewards, None).await?;
            }),
            deed!("ask for the release", |app, actor, of| {
                batches::ask_release(&app, &actor, batch_of(&app, &of).await).await?;
            }),
            deed!("delete", |app, actor, of| {
                batches::delete(&app, &actor, batch_of(&app, &of).await).await?;
            }),
            deed!("void what could be added", |app, actor, of| decide(
                &app,
                &actor,
                &format!("{of}-b"),
                Verdict::Void { reason: "twice".to_owned(), shown: false }
            )
            .await?),
        ],
    }
}
