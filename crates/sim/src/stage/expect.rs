//! The expectations of a scenario at a given moment.

use std::collections::BTreeMap;

use bursar::ops::{batches, rewards as reward_verbs, tax};
use bursar::store::transactions::{self, Filter, Transaction};
use bursar::store::{claims, ledger, mails, outbox, payees, rewards};
use payout::eligibility::Blocker;
use payout::ledger::Payee;
use payout::money::Vendor;
use payout::notice::Notice;
use payout::transaction::{Leg, Status};
use simulator::Holder;

use super::Outcome;
use super::cast::Cast;
use super::vendor;
use crate::world::{World, check};

pub async fn line(world: &World, cast: &Cast, first: &str, rest: &[&str]) -> Outcome {
    match (first, rest) {
        ("expect", ["all", expected @ ..]) => {
            let all = all(world).await;
            if all.is_empty() {
                return Err("there are no transactions".to_owned());
            }
            all.iter().try_for_each(|one| stands(one, expected))
        }
        ("expect", [name, expected @ ..]) => match (cast.batches.get(*name), cast.rewards.get(*name)) {
            (Some(batch), _) => {
                let mut db = world.app.store.read().await.unwrap();
                let view = bursar::ops::batches::view(&mut db, &batch.to_string(), world.now()).await;
                same(expected, &[view.map_err(|error| format!("{error:?}"))?.status.as_str()])
            }
            (None, Some(reward)) => {
                let mut db = world.app.store.read().await.unwrap();
                let found = rewards::find(&mut db, &reward.to_string()).await.unwrap().ok_or("it is gone")?;
                same(expected, &[found.shown(world.now()).as_str()])
            }
            (None, None) => stands(&cast.transaction(world, name).await?, expected),
        },
        ("blocked", [name, expected @ ..]) => {
            let mut found: Vec<&str> =
                blockers(world, cast, name).await?.iter().map(|one| one.code.as_str()).collect();
            found.dedup();
            same(expected, &found)
        }
        ("why", [who, expected @ ..]) => why(world, cast, who, expected).await,
        ("skipped", [who, expected @ ..]) => {
            let payee = cast.payee(who)?;
            let mut db = world.app.store.read().await.unwrap();
            let rows = claims::skipped_of(&mut db, payee, None, 100).await.unwrap();
            let found: Vec<&str> = rows.iter().flat_map(|row| &row.codes).map(|code| code.as_str()).collect();
            same(expected, &found)
        }
        ("mailed" | "unmailed" | "announced" | "unannounced", _) => announced(world, cast, first, rest).await,
        ("tally", expected) => tally(&all(world).await, expected),
        ("attempts", [who, expected @ ..]) => {
            attempts(world, &cast.transaction(world, who).await?, expected).await
        }
        ("requests", [who, received, "executed", executed]) => {
            let transaction = cast.transaction(world, who).await?;
            requests(world, &transaction, &[received, executed]).await
        }
        ("sent" | "arrived", [who, value, currency @ ..]) => {
            let transaction = cast.transaction(world, who).await?;
            let currency = currency.first().copied().unwrap_or("USD");
            let flow = check::Flow::of(&transaction, &world.simulator.books());
            let found = if first == "sent" { flow.gone() } else { flow.arrived };
            let same_currency = currency == transaction.terms.net.currency.code();
            let as_expected = same_currency && found == check::money(value, currency)?.minor;
            if as_expected { Ok(()) } else { Err(format!("the vendor's books say {flow:?}")) }
        }
        ("agrees", [who]) => agrees(world, cast, who).await,
        ("books", expected) => books(world, cast, expected).await,
        ("vendor-balance", [vendor, value, currency @ ..]) => {
            let (vendor, currency) = (vendor::named(vendor)?, currency.first().copied().unwrap_or("USD"));
            let found = world.simulator.books().balance(vendor, &Holder::Ours, currency);
            let expected = vendor::units(vendor, check::money(value, currency)?);
            if found == expected { Ok(()) } else { Err(format!("it is {found} in minor units")) }
        }
        ("profile" | "changes" | "told" | "year", [who, rest @ ..]) => {
            of_payee(world, cast.payee(who)?, first, rest).await
        }
        _ => Err("this line cannot be read".to_owned()),
    }
}

/// Why a payee's newest payment is not paid.
async fn why(world: &World, cast: &Cast, who: &str, expected: &[&str]) -> Outcome {
    let label = cast.transaction(world, who).await?.label();
    let mut db = world.app.store.read().await.unwrap();
    let why = bursar::ops::why::find(&mut db, &label, world.now()).await;
    let why = why.map_err(|error| format!("{error:?}"))?;
    let found: Vec<&str> = why.blockers.iter().map(|one| one.code.as_str()).collect();
    same(expected, &found)
}

/// Which notices were sent, and which mails about a payment were written.
async fn announced(world: &World, cast: &Cast, first: &str, rest: &[&str]) -> Outcome {
    let wanted = matches!(first, "mailed" | "announced");
    let (who, notices) = match (first, rest) {
        ("mailed" | "unmailed", [who, notices @ ..]) => (Some(*who), notices),
        _ => (None, rest),
    };
    let about = match who {
        Some(who) => Some(cast.transaction(world, who).await?.id.to_string()),
        None => None,
    };
    let mut db = world.app.store.read().await.unwrap();
    for word in notices {
        let notice = Notice::parse(word).ok_or("there is no such notice")?;
        let found = match &about {
            Some(about) => {
                let (notice, about) = (Some(notice), Some(about.clone()));
                let filter = mails::Filter { notice, about, ..mails::Filter::default() };
                !mails::list(&mut db, &filter, 1).await.unwrap().is_empty()
            }
            None => outbox::newest(&mut db, notice).await.unwrap().is_some(),
        };
        if found != wanted {
            return Err(format!("{word} is not {first}"));
        }
    }
    Ok(())
}

/// All blockers of a reward or a batch.
pub async fn blockers(world: &World, cast: &Cast, name: &str) -> Result<Vec<Blocker>, String> {
    let mut db = world.app.store.read().await.unwrap();
    match (cast.batches.get(name), cast.rewards.get(name)) {
        (Some(batch), _) => {
            let view = batches::view(&mut db, &batch.to_string(), world.now()).await;
            Ok(view.map_err(|error| format!("{error:?}"))?.all_blockers())
        }
        (None, Some(reward)) => {
            let found = rewards::find(&mut db, &reward.to_string()).await.unwrap().ok_or("it is gone")?;
            Ok(reward_verbs::blockers(&mut db, &found, world.now()).await.unwrap())
        }
        (None, None) => Err(format!("nothing is called {name}")),
    }
}

/// The expectations about a single payee.
async fn of_payee(world: &World, payee: Payee, first: &str, rest: &[&str]) -> Outcome {
    match (first, rest) {
        ("profile", expected) => profile(world, payee, expected).await,
        ("changes", [count]) => {
            let mut db = world.app.store.read().await.unwrap();
            let changes = payees::changes(&mut db, payee, 100).await.unwrap();
            same(&[count], &[&changes.len().to_string()])
        }
        ("told", [notice, count]) => {
            let found = check::notices(world, &payee.to_string()).await;
            same(&[count], &[&found.iter().filter(|name| name == notice).count().to_string()])
        }
        ("year", [year, way, money @ ..]) => {
            let year = year.parse().map_err(|_| "which year?")?;
            taxed(world, payee, year, way, money).await
        }
        _ => Err("this line cannot be read".to_owned()),
    }
}

/// What a payee was paid in a year through a vendor or `outside`, net of returns.
async fn taxed(world: &World, payee: Payee, year: i32, way: &str, money: &[&str]) -> Outcome {
    let [value, currency @ ..] = money else { return Err("how much?".to_owned()) };
    let currency = currency.first().copied().unwrap_or("USD");
    let mut db = world.app.store.read().await.unwrap();
    let view = tax::year_view(&mut db, payee, year).await.map_err(|error| format!("{error:?}"))?;
    let of_it = view.totals.iter().filter(|total| {
        let vendor = total.vendor.map_or("outside", Vendor::as_str);
        vendor == way && total.paid.currency.code() == currency
    });
    let found: i128 = of_it.map(|total| total.net().minor).sum();
    let right = found == i128::from(check::money(value, currency)?.minor);
    if right { Ok(()) } else { Err(format!("it is {:?}", view.totals)) }
}

async fn profile(world: &World, payee: Payee, expected: &[&str]) -> Outcome {
    let mut db = world.app.store.read().await.unwrap();
    let profile = payees::profile_of(&mut db, payee).await.unwrap().ok_or("there is none")?;
    let why = profile.not_payable_why.unwrap_or_default();
    match expected {
        ["ready"] if why.is_empty() && !profile.shared => Ok(()),
        ["shared"] if profile.shared => Ok(()),
        ["not-ready", words @ ..] if !why.is_empty() && why.contains(&words.join(" ")) => Ok(()),
        _ => Err(format!("shared: {}; not ready because: {why:?}", profile.shared)),
    }
}

async fn all(world: &World) -> Vec<Transaction> {
    let mut db = world.app.store.read().await.unwrap();
    transactions::list(&mut db, &Filter::default(), i64::from(i32::MAX)).await.unwrap()
}

fn same(expected: &[&str], found: &[&str]) -> Outcome {
    if expected == found { Ok(()) } else { Err(format!("it is {}", found.join(" "))) }
}

/// Status and detail must match exactly; reason and gate only if given.
fn stands(transaction: &Transaction, expected: &[&str]) -> Outcome {
    let asked = |word: &str| {
        let place = expected.iter().position(|one| *one == word)?;
        expected.get(place + 1).copied()
    };
    let end = expected.iter().position(|word| ["reason", "waiting"].contains(word)).unwrap_or(expected.len());
    let state = transaction.state;
    let mut found = vec![state.status().as_str()];
    found.extend(state.detail().map(payout::transaction::Detail::as_str));
    let reason = transaction.reason.as_ref().map(|reason| reason.code.as_str());
    let right = found == expected[..end]
        && asked("reason").is_none_or(|code| reason == Some(code))
        && asked("waiting").is_none_or(|code| transaction.waiting.as_deref() == Some(code));
    if right {
        return Ok(());
    }
    let waiting = &transaction.waiting;
    Err(format!("{} is {} (reason {reason:?}, waiting {waiting:?})", transaction.label(), found.join(" ")))
}

/// Parses `success=2 failed=1`.
fn counts(expected: &[&str]) -> Result<BTreeMap<String, usize>, String> {
    let read = |pair: &&str| {
        let (name, count) = pair.split_once('=').ok_or(format!("{pair} is not name=count"))?;
        Ok((name.to_owned(), count.parse().map_err(|_| format!("{count} is no number"))?))
    };
    expected.iter().map(read).collect()
}

fn tally(all: &[Transaction], expected: &[&str]) -> Outcome {
    let mut found: BTreeMap<String, usize> = BTreeMap::new();
    for one in all {
        *found.entry(one.state.status().as_str().to_owned()).or_default() += 1;
    }
    if counts(expected)? == found { Ok(()) } else { Err(format!("it is {found:?}")) }
}

async fn attempts(world: &World, of: &Transaction, expected: &[&str]) -> Outcome {
    let mut db = world.app.store.read().await.unwrap();
    let all = transactions::attempts(&mut db, &[of.id]).await.unwrap();
    let mut found: BTreeMap<String, usize> = BTreeMap::new();
    for leg in Leg::ALL {
        let count = all.iter().filter(|one| one.leg == leg).count();
        if count > 0 {
            found.insert(leg.as_str().to_owned(), count);
        }
    }
    if counts(expected)? == found { Ok(()) } else { Err(format!("there are {found:?}")) }
}

/// The payment requests for a transaction: its own at Stripe, its batch's at PayPal.
async fn requests(world: &World, of: &Transaction, expected: &[&str; 2]) -> Outcome {
    let (own, batch) = (format!(":{}:", of.id), format!("pb:{}:", of.batch));
    let books = world.simulator.books();
    let about = books.requests.iter().filter(|request| {
        let key = request.key.as_deref().unwrap_or("");
        key.contains(&own) || (of.terms.vendor.as_str() == "paypal" && key.starts_with(&batch))
    });
    let (received, executed) =
        about.fold((0, 0), |(all, done), one| (all + 1, done + usize::from(one.executed)));
    same(expected, &[&received.to_string(), &executed.to_string()])
}

/// Parses `EUR payable(ana) 0.00 in_flight 0.00`; an account without a name in parentheses is the sum over all vendors.
async fn books(world: &World, cast: &Cast, expected: &[&str]) -> Outcome {
    let (currency, expected) = match expected.split_first() {
        Some((code, rest)) if code.len() == 3 && code.chars().all(char::is_uppercase) => (*code, rest),
        Some(_) | None => ("USD", expected),
    };
    let mut db = world.app.store.read().await.unwrap();
    let balances = ledger::balances(&mut db).await.unwrap();
    for pair in expected.chunks(2) {
        let [account, value] = pair else { return Err("an amount is missing".to_owned()) };
        let account = match account.strip_suffix(')').and_then(|named| named.split_once('(')) {
            Some((account, name)) => {
                let of = cast.payee(name).map_or(name.to_owned(), |payee| payee.to_string());
                format!("{account}:{of}")
            }
            None => (*account).to_owned(),
        };
        let of_it = |found: &str| found == account || found.split(':').next() == Some(account.as_str());
        let rows = balances.iter().filter(|(found, code, _)| of_it(found) && code == currency);
        let found: i128 = rows.map(|(_, _, minor)| minor).sum();
        if found != i128::from(check::money(value, currency)?.minor) {
            return Err(format!("{account} is {found} in minor units of {currency}"));
        }
    }
    Ok(())
}

/// Our view of a payee's newest payment is correct; trivially so if there is none.
async fn agrees(world: &World, cast: &Cast, who: &str) -> Outcome {
    let Ok(transaction) = cast.transaction(world, who).await else { return Ok(()) };
    let flow = check::Flow::of(&transaction, &world.simulator.books());
    let (state, net) = (transaction.state, transaction.terms.net.minor);
    let arrived = match state.status() {
        Status::Success => Some(net),
        Status::PayoutFailed => Some(0),
        Status::Pending | Status::PendingProcessing | Status::PayoutReady | Status::Failed => None,
    };
    match arrived.is_none_or(|arrived| arrived == flow.arrived) {
        true => Ok(()),
        false => Err(format!("I18: it is {}, and the vendor's books say {flow:?}", state.as_str())),
    }
}
