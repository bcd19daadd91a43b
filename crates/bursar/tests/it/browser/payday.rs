//! A payday in a real browser, from pending rewards to a failed payment that is fixed and resubmitted: by mouse, without
//! JavaScript, and by keyboard alone. Also two people working on the same data at once.

use bursar::ops::batches::{self, Selection};
use bursar::ops::pay::{self, Balances, ConfirmedTotals};
use bursar::ops::payees;
use bursar::ops::people::{self, NewPerson};
use bursar::store::batches::PoolFilter;
use bursar::store::transactions::{self, Filter};
use bursar::work::connect;
use payout::access::Role;
use payout::payee::Destination;
use payout::transaction::State;

use super::driver::Driven;
use crate::pages::seed_data;
use crate::world::{SECOND, World, check};

/// A destination with a closed bank account; `mend` reopens it.
const CLOSED: &str = "acct_sim_closed_cy";

/// The input method a person uses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Hand {
    Mouse,
    MouseWithoutScripts,
    Keyboard,
}

/// A person working in a browser.
struct Clerk {
    browser: Driven,
    hand: Hand,
}

impl Clerk {
    /// Signs in through a link as a payer who may also review.
    async fn sit_down(world: &World, chromium: &str, hand: Hand, name: &str) -> Option<Self> {
        let browser = Driven::open(chromium, 1280).await?;
        if hand == Hand::MouseWithoutScripts {
            browser.without_scripts().await;
        }
        let new = NewPerson {
            email: format!("{name}@example.com"),
            name: name.to_owned(),
            role: Role::Admin,
            partner: None,
            password: Some("a long password 1".to_owned()),
        };
        browser.go(&people::add(&world.app, &new).await.unwrap()).await;
        browser.press("Sign in").await;
        browser.says("Waiting for you").await;
        browser.go(&format!("{}/rewards", world.app.base_url)).await;
        browser.says("Pending Rewards").await;
        Some(Self { browser, hand })
    }

    async fn press(&self, words: &str) {
        match self.hand {
            Hand::Mouse | Hand::MouseWithoutScripts => self.browser.press(words).await,
            Hand::Keyboard => self.browser.press_by_key(words).await,
        }
    }

    async fn tick(&self, words: &str) {
        match self.hand {
            Hand::Mouse | Hand::MouseWithoutScripts => self.browser.tick(words).await,
            Hand::Keyboard => self.browser.tick_by_key(words).await,
        }
    }

    async fn sees(&self, text: &str) {
        self.browser.says(text).await;
    }

    /// Waits for text on the live page, which updates itself if scripts run and is reloaded otherwise.
    async fn watches_until(&self, world: &World, text: &str) {
        world.app.nudge.notify_watchers();
        if self.hand == Hand::MouseWithoutScripts {
            self.browser.go(&self.browser.at().await).await;
        }
        self.sees(text).await;
    }
}

/// Runs the loops and vendors until a payment has had time to end.
async fn time_passes(world: &World) {
    for _ in 0..8 {
        world.tick_all(0).await;
        world.deliver().await;
        world.pass(10 * SECOND);
    }
}

/// Sets Cy's destination to a closed bank account.
async fn pay_cy_to_a_closed_account(world: &World) {
    let cy = payees::named(&mut world.app.store.read().await.unwrap(), "cy").await.unwrap().unwrap();
    let closed = Destination::stripe(CLOSED).unwrap();
    connect::set_profile(&world.works[0], &world.actor, cy, closed).await.unwrap();
}

/// Pays everything that passes every gate; Cy's payment fails.
pub async fn pay_whatever_can_be_paid(world: &World) {
    let (app, actor) = (&world.app, &world.actor);
    pay_cy_to_a_closed_account(world).await;
    let everything = Selection::AllEligible(PoolFilter::default());
    let view = batches::form(app, actor, &everything, true, None).await.unwrap();
    let seen = ConfirmedTotals { digest: view.digest, totals: view.totals };
    pay::pay(app, actor, view.batch.id, &seen, &Balances::default(), None).await.unwrap();
    time_passes(world).await;
}

/// Approves three rewards, adds them to a batch and presses Pay.
async fn pay_three(clerk: &Clerk) {
    for number in ["RW-000001", "RW-000002", "RW-000003"] {
        clerk.tick(&format!("Select {number}")).await;
    }
    clerk.press("Approve selected").await;
    clerk.sees("3 rewards approved.").await;
    clerk.press("Review Claims").await;
    clerk.press("Add all 3 eligible rewards").await;
    clerk.sees("PB-2026-0001 now holds 3 rewards in 3 claims.").await;
    clerk.press("Pay").await;
    clerk.sees("3 payments for 3 rewards. Nothing is sent until you press Pay.").await;
    clerk.tick("I have checked").await;
    clerk.press("Pay 601.50 USD").await;
    clerk.sees("0 of 3 payments succeeded, 3 in progress.").await;
}

async fn pay_day(hand: Hand, name: &str, seed: u64) {
    let Some(chromium) = super::known() else { return };
    let world = World::open(name, seed).await;
    seed_data(&world).await;
    pay_cy_to_a_closed_account(&world).await;
    let Some(clerk) = Clerk::sit_down(&world, chromium, hand, "pat").await else {
        return world.close().await;
    };
    pay_three(&clerk).await;
    time_passes(&world).await;
    clerk.watches_until(&world, "All 3 payments have ended: 2 succeeded, 1 did not.").await;

    let failed = Filter { states: Some(vec![State::PayoutFailed]), ..Filter::default() };
    let failed = transactions::list(&mut world.app.store.read().await.unwrap(), &failed, 2).await.unwrap();
    assert_eq!(failed.len(), 1);
    clerk.press(&failed[0].label()).await;
    clerk.sees("The payout to the bank failed.").await;
    clerk.sees("account_closed").await;
    world.simulator.mend(CLOSED);
    time_passes(&world).await;
    let (net, to) = (failed[0].terms.net, failed[0].destination.masked());
    clerk.tick("I have checked the payee, the amount and why it failed").await;
    clerk.press(&format!("Resubmit {net} to {to}")).await;
    clerk.sees("Payout Ready").await;
    time_passes(&world).await;
    clerk.watches_until(&world, "The payment is complete.").await;
    clerk.press("PB-2026-0001").await;
    clerk.watches_until(&world, "All 3 payments succeeded.").await;
    assert_eq!(check::violations(&world).await, Vec::<String>::new());
    clerk.browser.close().await;
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pay_day_by_mouse() {
    pay_day(Hand::Mouse, "payday_mouse", 81).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pay_day_without_javascript() {
    pay_day(Hand::MouseWithoutScripts, "payday_plain", 82).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pay_day_by_keyboard_alone() {
    pay_day(Hand::Keyboard, "payday_keys", 83).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_people_pay_at_once() {
    let Some(chromium) = super::known() else { return };
    let world = World::open("payday_two", 84).await;
    seed_data(&world).await;
    pay_cy_to_a_closed_account(&world).await;
    let Some(pat) = Clerk::sit_down(&world, chromium, Hand::Mouse, "pat").await else {
        return world.close().await;
    };
    let kim = Clerk::sit_down(&world, chromium, Hand::Mouse, "kim").await.unwrap();
    // Both see the same list; the second decision is told what the first one has done.
    pat.tick("Select RW-000001").await;
    pat.tick("Select RW-000002").await;
    pat.sees("2 selected · 301.00 USD").await;
    kim.tick("Select RW-000001").await;
    kim.tick("Select RW-000003").await;
    pat.press("Approve selected").await;
    pat.sees("2 rewards approved.").await;
    kim.press("Approve selected").await;
    kim.sees("1 reward approved. 1 was skipped").await;

    // Both see the same payout; the second to press Pay is told that it was paid, and nothing is paid twice.
    let at = |path: &str| format!("{}{path}", world.app.base_url);
    pat.browser.go(&at("/claims")).await;
    pat.press("Add all 3 eligible rewards").await;
    pat.sees("PB-2026-0001 now holds 3 rewards").await;
    for clerk in [&pat, &kim] {
        clerk.browser.go(&at("/claims/PB-2026-0001/pay")).await;
        clerk.tick("I have checked").await;
    }
    kim.press("Pay 601.50 USD").await;
    kim.sees("0 of 3 payments succeeded, 3 in progress.").await;
    pat.press("Pay 601.50 USD").await;
    pat.sees("This batch has already been paid.").await;
    time_passes(&world).await;
    let all =
        transactions::list(&mut world.app.store.read().await.unwrap(), &Filter::default(), 9).await.unwrap();
    assert_eq!(all.len(), 3);
    assert_eq!(check::violations(&world).await, Vec::<String>::new());
    pat.browser.close().await;
    kim.browser.close().await;
    world.close().await;
}
