//! The clients against the simulated vendors: complete payments, every planted fault, and deliveries with verified
//! signatures.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use payout::money::{Currency, Money, Vendor, VendorAmount};
use payout::transaction::{Fact, Reason};
use simulator::{Call, Fault, FaultKind, Options, Simulator};
use url::Url;
use vendors::http::Http;
use vendors::paypal::batch::{self, BatchAccepted, BatchOrder, ItemOrder};
use vendors::paypal::{self, PayPal};
use vendors::signature::paypal::{PaypalHeaders, Roots, cert_url, verify};
use vendors::stripe::payout::{self as bank, PayoutOrder};
use vendors::stripe::transfer::{self, ReversalOrder, TransferOrder};
use vendors::stripe::{self, ConnectedAccount, Stripe};
use vendors::{MoneyRequest, Outcome, ReadError, UnknownCause, signature};

const START: i64 = 1_790_000_000_000_000;

struct Stage {
    simulator: Simulator,
    base: Url,
    stripe: Stripe,
    paypal: PayPal,
    now: Arc<AtomicI64>,
}

impl Stage {
    async fn set() -> Self {
        let now = Arc::new(AtomicI64::new(START));
        let read = Arc::clone(&now);
        let clock: simulator::Clock = Arc::new(move || read.load(Ordering::SeqCst));
        let simulator = Simulator::new(Options::new(Arc::clone(&clock)));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base: Url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let serving = simulator.clone();
        tokio::spawn(async move { serving.serve(listener).await });
        let http = Http::new().unwrap();
        let stripe = Stripe::new(http.clone(), base.clone(), "sk_test_sim").unwrap();
        let paypal = PayPal::new(http, base.clone(), "sim_client", "sim_secret", clock).unwrap();
        Self { simulator, base, stripe, paypal, now }
    }

    fn pass(&self, seconds: i64) -> i64 {
        let now = self.now.fetch_add(seconds * 1_000_000, Ordering::SeqCst) + seconds * 1_000_000;
        self.simulator.advance(now);
        now
    }

    fn plant(&self, vendor: simulator::Vendor, call: Call, kind: FaultKind, times: u32) {
        self.simulator.plant(Fault { vendor, call, kind, skip: 0, times });
    }
}

fn amount(text: &str, vendor: Vendor) -> VendorAmount {
    Money::parse(text, Currency::parse("USD").unwrap()).unwrap().at(vendor).unwrap()
}

fn account(text: &str) -> ConnectedAccount {
    ConnectedAccount::parse(text).unwrap()
}

fn a_transfer(transaction: &str, attempt: &str, to: &str) -> MoneyRequest {
    transfer::request(&TransferOrder {
        key: &format!("tr:{transaction}:{attempt}"),
        transaction,
        attempt,
        destination: &account(to),
        amount: amount("120.00", Vendor::Stripe),
        description: "Rewards",
    })
    .unwrap()
}

fn a_payout(transaction: &str, attempt: &str, from: &str) -> MoneyRequest {
    bank::request(&PayoutOrder {
        key: &format!("po:{transaction}:{attempt}"),
        transaction,
        attempt,
        account: &account(from),
        amount: amount("120.00", Vendor::Stripe),
        statement_descriptor: "REWARDS",
    })
    .unwrap()
}

fn a_batch(key: &str, receivers: &[&str]) -> MoneyRequest {
    let names: Vec<String> = (0..receivers.len()).map(|at| format!("ptx_{key}_{at}")).collect();
    let items: Vec<ItemOrder<'_>> = names
        .iter()
        .zip(receivers)
        .map(|(transaction, receiver)| ItemOrder {
            transaction,
            receiver,
            amount: amount("3.50", Vendor::PayPal),
            note: "Thank you.",
        })
        .collect();
    let currency = Currency::parse("USD").unwrap();
    batch::request(&BatchOrder { key, currency, items: &items, subject: "You are being paid" }).unwrap()
}

fn accepted<T: std::fmt::Debug>(outcome: Outcome<T>) -> T {
    match outcome {
        Outcome::Accepted(object) => object,
        Outcome::Rejected(_) | Outcome::Unknown(_) => panic!("{outcome:?}"),
    }
}

fn refusal<T: std::fmt::Debug>(outcome: Outcome<T>) -> vendors::Rejection {
    match outcome {
        Outcome::Rejected(rejection) => rejection,
        Outcome::Accepted(_) | Outcome::Unknown(_) => panic!("{outcome:?}"),
    }
}

fn doubt<T: std::fmt::Debug>(outcome: Outcome<T>) -> vendors::Doubt {
    match outcome {
        Outcome::Unknown(doubt) => doubt,
        Outcome::Accepted(_) | Outcome::Rejected(_) => panic!("{outcome:?}"),
    }
}

fn created(outcome: Outcome<BatchAccepted>) -> String {
    match accepted(outcome) {
        BatchAccepted::Created { payout_batch_id, .. } => payout_batch_id,
        BatchAccepted::Duplicate { .. } => panic!("a duplicate"),
    }
}

#[tokio::test]
async fn a_partner_is_paid_through_stripe() {
    let stage = Stage::set().await;
    let (stripe, partner) = (&stage.stripe, account("acct_9"));
    let usd = Currency::parse("USD").unwrap();
    assert!(stripe.account(&partner).await.unwrap().pays(usd));
    stripe.set_manual_schedule(&partner).await.unwrap();
    let made = accepted(stripe.send_transfer(&a_transfer("ptx_1", "1", "acct_9")).await);
    assert_eq!(stripe.transfers_by_group("ptx_1").await.unwrap(), [stripe.transfer(&made.id).await.unwrap()]);
    assert_eq!(stripe.balance(Some(&partner)).await.unwrap().available_units(usd), Some(12_000));
    let out = accepted(stripe.send_payout(&a_payout("ptx_1", "1", "acct_9")).await);
    assert_eq!(bank::fact(&out), Some(Fact::PayoutMade));
    stage.pass(5);
    let fetched = stripe.payout(&partner, &out.id).await.unwrap();
    assert_eq!(bank::fact(&fetched), Some(Fact::PayoutPaid));
    assert_eq!(fetched.money(), Money::parse("120.00", usd).ok());
    let since = START / 1_000_000;
    assert_eq!(stripe.payouts_since(&partner, since).await.unwrap(), [fetched]);
    let events = stripe.payout_created_events(&partner, since).await.unwrap();
    assert_eq!(events[0].object_id.as_deref(), Some(&*out.id));
    assert_eq!(events[0].idempotency_key.as_deref(), Some("po:ptx_1:1"));
    assert_eq!(events[0].account.as_deref(), Some("acct_9"));
}

#[tokio::test]
async fn a_refused_bank_payout_leaves_the_transfer_to_be_reversed() {
    let stage = Stage::set().await;
    let (stripe, partner) = (&stage.stripe, account("acct_sim_closed_1"));
    let made = accepted(stripe.send_transfer(&a_transfer("ptx_1", "1", "acct_sim_closed_1")).await);
    let out = accepted(stripe.send_payout(&a_payout("ptx_1", "1", "acct_sim_closed_1")).await);
    stage.pass(5);
    let failed = stripe.payout(&partner, &out.id).await.unwrap();
    assert!(
        matches!(bank::fact(&failed), Some(Fact::PayoutFailed(Reason { code, .. })) if code == "account_closed")
    );
    assert!(
        !stripe.account(&partner).await.unwrap().pays(Currency::parse("USD").unwrap()),
        "the bank is off"
    );
    let reversal = transfer::reversal_request(&ReversalOrder {
        key: "rv:ptx_1:1",
        transaction: "ptx_1",
        attempt: "1",
        transfer: &made.id,
        amount: amount("120.00", Vendor::Stripe),
    })
    .unwrap();
    let back = accepted(stripe.send_reversal(&reversal).await);
    assert_eq!(stripe.reversals(&made.id).await.unwrap()[0].id, back.id);
    assert!(stripe.transfer(&made.id).await.unwrap().reversed);
}

#[tokio::test]
async fn refusals_keep_the_vendors_own_codes() {
    let stage = Stage::set().await;
    for (to, code, status) in [
        ("acct_sim_restricted_1", "insufficient_capabilities_for_transfer", 400),
        ("acct_sim_denied_1", "transfers_not_allowed", 403),
        ("acct_sim_refused_1", "account_invalid", 403),
    ] {
        let refused = refusal(stage.stripe.send_transfer(&a_transfer("ptx_1", to, to)).await);
        assert_eq!((&*refused.code, refused.status), (code, status), "{refused:?}");
        assert!(refused.request_id.is_some());
    }
    stage.simulator.set_balance(simulator::Vendor::Stripe, "usd", 11_999);
    let poor = refusal(stage.stripe.send_transfer(&a_transfer("ptx_1", "9", "acct_9")).await);
    assert_eq!(poor.code, "balance_insufficient");
    let request =
        a_batch("pb:bat_1:0:1", &["ana@example.com", "sim-refused-1@example.com", "bo@example.com"]);
    let refused = refusal(stage.paypal.send_batch(&request).await);
    assert_eq!((&*refused.code, &*refused.items), ("VALIDATION_ERROR", &[1][..]), "{refused:?}");
}

#[tokio::test]
async fn each_stripe_fault_is_the_right_doubt_and_the_same_key_moves_money_once() {
    use FaultKind as F;
    let stage = Stage::set().await;
    let faults = [
        (F::AnswerLost, UnknownCause::NoAnswer),
        (F::CutInBody, UnknownCause::NoAnswer),
        (F::RefuseConnection, UnknownCause::NoAnswer),
        (F::Status503, UnknownCause::ServerError),
        (F::RateLimited { retry_after_s: 3 }, UnknownCause::RateLimited),
        (F::LockTimeout, UnknownCause::LockTimeout),
        (F::InUse409, UnknownCause::InUse),
        (F::Unauthorized401, UnknownCause::Credentials),
        (F::Html200, UnknownCause::Unreadable),
        (F::OtherAmount, UnknownCause::Mismatch),
    ];
    for (number, (kind, why)) in faults.into_iter().enumerate() {
        let group = format!("ptx_{number}");
        let request = a_transfer(&group, "1", "acct_9");
        stage.plant(simulator::Vendor::Stripe, Call::Transfer, kind.clone(), 1);
        let doubt = doubt(stage.stripe.send_transfer(&request).await);
        assert_eq!(doubt.why, why, "{kind:?}: {doubt:?}");
        let wait = matches!(kind, F::RateLimited { .. }).then_some(3);
        assert!(wait.is_none() || doubt.retry_after_s == wait, "{doubt:?}");
        let made = accepted(stage.stripe.send_transfer(&request).await);
        let found = stage.stripe.transfers_by_group(&group).await.unwrap();
        assert_eq!(found.iter().map(|found| &found.id).collect::<Vec<_>>(), [&made.id], "{kind:?}");
    }
    assert_eq!(stage.simulator.books().clashing_keys(), Vec::<String>::new());
}

#[tokio::test]
async fn a_stored_500_is_told_from_a_passing_one() {
    let stage = Stage::set().await;
    for (kind, group, moved) in [(FaultKind::Stored500, "ptx_1", 0), (FaultKind::Executed500, "ptx_2", 1)] {
        let request = a_transfer(group, "1", "acct_9");
        stage.plant(simulator::Vendor::Stripe, Call::Transfer, kind, 1);
        assert_eq!(doubt(stage.stripe.send_transfer(&request).await).why, UnknownCause::ServerError);
        assert_eq!(doubt(stage.stripe.send_transfer(&request).await).why, UnknownCause::StoredServerError);
        assert_eq!(stage.stripe.transfers_by_group(group).await.unwrap().len(), moved);
    }
    let mine = a_transfer("ptx_3", "1", "acct_9");
    accepted(stage.stripe.send_transfer(&mine).await);
    let other = a_transfer("ptx_3", "1", "acct_8");
    assert_eq!(doubt(stage.stripe.send_transfer(&other).await).why, UnknownCause::KeyClash);
}

#[tokio::test]
async fn partners_are_paid_through_paypal_and_only_items_decide() {
    let stage = Stage::set().await;
    let receivers = [
        "ana@example.com",
        "sim-unclaimed-1@example.com",
        "sim-closed-1@example.com",
        "sim-held-1@example.com",
        "sim-blocked-1@example.com",
    ];
    let request = a_batch("pb:bat_1:0:1", &receivers);
    let id = created(stage.paypal.send_batch(&request).await);
    stage.pass(5);
    let read = stage.paypal.batch(&id).await.unwrap();
    assert_eq!((&*read.status, read.sender_batch_id.as_deref()), ("SUCCESS", Some("pb:bat_1:0:1")));
    let facts: Vec<Option<Fact>> = read.items.iter().map(|item| batch::fact_in(&read, item)).collect();
    assert!(facts[0] == Some(Fact::ItemPaid) && batch::item_fee(&read.items[0]).is_some(), "{facts:?}");
    assert!(matches!(facts[1], Some(Fact::ItemUnclaimed(_))), "{facts:?}");
    assert!(matches!(facts[2], Some(Fact::ItemFailed(_))), "{facts:?}");
    assert!(matches!(facts[3], Some(Fact::ItemOnHold(_))), "{facts:?}");
    assert!(matches!(facts[4], Some(Fact::ItemBlocked(_))), "{facts:?}");
    for (at, item) in read.items.iter().enumerate() {
        assert_eq!(item.sender_item_id.as_deref(), Some(&*format!("ptx_pb:bat_1:0:1_{at}")));
        assert_eq!(item.receiver.as_deref(), Some(receivers[at]));
        assert_eq!(item.amount, Money::parse("3.50", Currency::parse("USD").unwrap()).ok());
        assert_eq!(&stage.paypal.item(&item.payout_item_id).await.unwrap().status, &item.status);
    }
    let returned = accepted(stage.paypal.send_cancel(&cancel(&read.items[1].payout_item_id)).await);
    assert!(matches!(batch::item_fact(&returned), Some(Fact::ItemReturned(_))), "{returned:?}");
    let paid = refusal(stage.paypal.send_cancel(&cancel(&read.items[0].payout_item_id)).await);
    assert_eq!(paid.code, "ITEM_INCORRECT_STATUS");
    assert_eq!(stage.paypal.item("NOSUCHITEM").await, Err(ReadError::Missing));
}

#[tokio::test]
async fn each_paypal_fault_is_the_right_doubt_and_the_same_bytes_pay_once() {
    use FaultKind as F;
    let stage = Stage::set().await;
    let faults = [
        (F::AnswerLost, UnknownCause::NoAnswer),
        (F::CutInBody, UnknownCause::NoAnswer),
        (F::RefuseConnection, UnknownCause::NoAnswer),
        (F::Stored500, UnknownCause::ServerError),
        (F::Executed500, UnknownCause::ServerError),
        (F::Status503, UnknownCause::ServerError),
        (F::RateLimited { retry_after_s: 3 }, UnknownCause::RateLimited),
        (F::InUse409, UnknownCause::InUse),
        (F::Html200, UnknownCause::Unreadable),
    ];
    for (number, (kind, why)) in faults.into_iter().enumerate() {
        let request = a_batch(&format!("pb:bat_{number}:0:1"), &["ana@example.com"]);
        stage.plant(simulator::Vendor::PayPal, Call::Batch, kind.clone(), 1);
        let doubt = doubt(stage.paypal.send_batch(&request).await);
        assert_eq!(doubt.why, why, "{kind:?}: {doubt:?}");
        let id = match accepted(stage.paypal.send_batch(&request).await) {
            BatchAccepted::Created { payout_batch_id, .. } => payout_batch_id,
            BatchAccepted::Duplicate { payout_batch_id } => payout_batch_id.unwrap(),
        };
        let adopted = stage.paypal.batch(&id).await.unwrap();
        assert_eq!(adopted.sender_batch_id.as_deref(), Some(request.key()), "{kind:?}");
    }
    stage.plant(simulator::Vendor::PayPal, Call::Batch, F::Unauthorized401, 1);
    created(stage.paypal.send_batch(&a_batch("pb:bat_a:0:1", &["ana@example.com"])).await);
    stage.plant(simulator::Vendor::PayPal, Call::Batch, F::Unauthorized401, 2);
    let refused = doubt(stage.paypal.send_batch(&a_batch("pb:bat_b:0:1", &["ana@example.com"])).await);
    assert_eq!(refused.why, UnknownCause::Credentials, "only one renewal");
    stage.simulator.forget_token();
    created(stage.paypal.send_batch(&a_batch("pb:bat_b:0:1", &["ana@example.com"])).await);
    let books = stage.simulator.books();
    assert_eq!(books.clashing_keys(), Vec::<String>::new());
    assert!(books.batches.len() == 11, "{}", books.batches.len());
}

#[tokio::test]
async fn a_denied_batch_pays_nobody() {
    let stage = Stage::set().await;
    let request = a_batch("pb:bat_1:0:1", &["ana@example.com", "sim-denied-1@example.com"]);
    let id = created(stage.paypal.send_batch(&request).await);
    stage.pass(5);
    let read = stage.paypal.batch(&id).await.unwrap();
    assert_eq!(read.status, "DENIED");
    assert!(batch::batch_refusal(&read).is_some());
    for item in &read.items {
        assert!(matches!(batch::fact_in(&read, item), Some(Fact::ItemFailed(_))), "{item:?}");
    }
}

#[tokio::test]
async fn stripe_deliveries_verify_and_name_what_to_fetch() {
    let stage = Stage::set().await;
    let hook = "http://127.0.0.1:9/webhooks/stripe-connect";
    let made = stage.stripe.create_webhook_endpoint(hook, true, stripe::NEEDED_EVENTS_CONNECT).await.unwrap();
    let known = stage.stripe.webhook_endpoints().await.unwrap();
    assert_eq!(known.len(), 1);
    assert_eq!(known[0].metadata.get("bursar").map(String::as_str), Some("connect"));
    assert!(known[0].missing(stripe::NEEDED_EVENTS_CONNECT).is_empty());
    accepted(stage.stripe.send_transfer(&a_transfer("ptx_1", "1", "acct_9")).await);
    let out = accepted(stage.stripe.send_payout(&a_payout("ptx_1", "1", "acct_9")).await);
    let now = stage.pass(5);
    let due = stage.simulator.due_webhooks(now);
    assert!(due.iter().any(|delivery| delivery.event_type == "payout.paid"), "{due:?}");
    for delivery in &due {
        let header = |name: &str| find(&delivery.headers, name).unwrap();
        let check =
            |secret: &str, body: &[u8]| signature::stripe(&[secret], header("stripe-signature"), body, now);
        assert_eq!(check(&made.secret, &delivery.body), Ok(()));
        assert!(check("whsec_other", &delivery.body).is_err());
        assert!(check(&made.secret, &delivery.body[1..]).is_err());
        let event = stripe::event::parse(&delivery.body).unwrap();
        assert_eq!((&*event.id, &*event.event_type), (&*delivery.event_id, &*delivery.event_type));
        if event.object == "payout" {
            assert_eq!((event.object_id, event.account), (Some(out.id.clone()), Some("acct_9".into())));
        }
    }
    stage.stripe.update_webhook_endpoint(&made.id, hook, &["payout.paid"]).await.unwrap();
    stage.stripe.delete_webhook_endpoint(&made.id).await.unwrap();
    assert_eq!(stage.stripe.webhook_endpoints().await, Ok(Vec::new()));
}

#[tokio::test]
async fn paypal_deliveries_verify_with_the_served_certificate() {
    let stage = Stage::set().await;
    let hook = "https://us.example/webhooks/paypal";
    let webhook = stage.paypal.create_webhook(hook, paypal::NEEDED_EVENTS).await.unwrap();
    assert_eq!(
        stage.paypal.create_webhook(hook, paypal::NEEDED_EVENTS).await,
        Ok(webhook.clone()),
        "adopted"
    );
    created(stage.paypal.send_batch(&a_batch("pb:bat_1:0:1", &["ana@example.com"])).await);
    let now = stage.pass(5);
    let roots = Roots::for_base(&stage.base, Some(stage.simulator.ca_pem().as_bytes())).unwrap();
    let public = Roots::for_base(&stage.base, None).unwrap();
    let http = Http::new().unwrap();
    let due = stage.simulator.due_webhooks(now);
    assert!(due.iter().any(|delivery| delivery.event_type == "PAYMENT.PAYOUTS-ITEM.SUCCEEDED"), "{due:?}");
    for delivery in &due {
        let headers = PaypalHeaders::find(|name| find(&delivery.headers, name)).unwrap();
        let pem =
            http.fetch_certificate(&cert_url(headers.cert_url, &stage.base).unwrap(), now).await.unwrap();
        let check =
            |body: &[u8], webhook: &str, roots: &Roots| verify(&headers, body, webhook, &pem, roots, now);
        assert_eq!(check(&delivery.body, &webhook, &roots), Ok(()));
        assert!(check(&delivery.body[1..], &webhook, &roots).is_err());
        assert!(check(&delivery.body, "OTHER", &roots).is_err());
        assert!(check(&delivery.body, &webhook, &public).is_err());
        assert_eq!(paypal::event::parse(&delivery.body).unwrap().id, delivery.event_id);
    }
    stage.paypal.delete_webhook(&webhook).await.unwrap();
    assert_eq!(stage.paypal.webhooks().await, Ok(Vec::new()));
}

fn find<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| &**value)
}

/// A cancellation request for an item.
fn cancel(item: &str) -> vendors::MoneyRequest {
    vendors::paypal::batch::cancel_request("ca:one:1", item).unwrap()
}

#[tokio::test]
async fn stripe_tells_each_change_of_our_balance_with_what_it_belongs_to() {
    let stage = Stage::set().await;
    let (stripe, simulator) = (&stage.stripe, &stage.simulator);
    let made = accepted(stripe.send_transfer(&a_transfer("ptx_1", "1", "acct_9")).await);
    assert!(simulator.reverse("ptx_1", Some(2_000)));
    stage.pass(1);
    simulator.set_balance(simulator::Vendor::Stripe, "usd", 700);
    assert!(simulator.send_in_dashboard("acct_9", "USD", 300));
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let page = stripe.movements(0, None, after.as_deref(), 2).await.unwrap();
        assert!(page.movements.len() <= 2 && page.unread == 0);
        all.extend(page.movements);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let ids: std::collections::BTreeSet<&str> = all.iter().map(|one| one.id.as_str()).collect();
    assert_eq!(ids.len(), all.len(), "each is told once");
    let usd: Vec<_> = all.iter().filter(|one| one.net.currency.code() == "USD").collect();
    let told: Vec<_> =
        usd.iter().map(|one| (one.kind.as_str(), one.net.minor, one.names.as_deref())).collect();
    // Newest first: a manual transfer, money to the bank, the reversed part, the transfer, the opening balance.
    assert_eq!(told[0], ("transfer", -300, None));
    assert_eq!((told[1].0, told[2]), ("payout", ("transfer_refund", 2_000, None)));
    assert_eq!((told[3], told[4].0), (("transfer", -12_000, Some("ptx_1")), "topup"));
    assert_eq!(usd[2].object.as_deref(), Some(&*made.id), "a reversal names its transfer");
    assert_ne!(usd[2].source, usd[2].object);
    let sum: i64 = usd.iter().map(|one| one.net.minor).sum();
    let balance = stripe.balance(None).await.unwrap().held_units(Currency::parse("USD").unwrap());
    assert_eq!(Some(sum), balance, "they come to what lies there");
    let before = stripe.movements(0, Some(START / 1_000_000 + 1), None, 100).await.unwrap();
    assert!(before.movements.iter().all(|one| one.created_at == START), "only those of the first second");
}

#[tokio::test]
async fn paypal_reports_payments_fees_and_what_came_back() {
    let stage = Stage::set().await;
    let (paypal, simulator) = (&stage.paypal, &stage.simulator);
    let batch = created(
        paypal.send_batch(&a_batch("pb:1", &["ana@example.com", "sim-refunded-bo@example.com"])).await,
    );
    stage.pass(5);
    let now = stage.pass(4 * 86_400);
    let items = paypal.batch(&batch).await.unwrap().items;
    let paid_as: Vec<&str> = items.iter().map(|item| item.transaction_id.as_deref().unwrap()).collect();
    let page = paypal.movements(START, now, None).await.unwrap();
    assert_eq!((page.unread, page.next.as_deref(), page.whole_until), (0, None, Some(now)));
    let of = |paid: &str| {
        let lines = page.movements.iter().filter(|one| one.object.as_deref() == Some(paid));
        lines.map(|one| (one.kind.as_str(), one.net.minor)).collect::<Vec<_>>()
    };
    let item = |place: usize| (items[place].amount.unwrap().minor, items[place].fee.unwrap().minor);
    let ((ana, ana_fee), (bo, bo_fee)) = (item(0), item(1));
    assert_eq!(of(paid_as[0]), [("T0001", -ana), ("T0104", -ana_fee)]);
    assert_eq!(of(paid_as[1]), [("T0001", -bo), ("T0104", -bo_fee), ("T1115", bo)]);
    let sum: i64 =
        page.movements.iter().filter(|one| one.net.currency.code() == "USD").map(|one| one.net.minor).sum();
    let told = paypal.balances(now).await.unwrap();
    let usd = told.iter().find(|one| one.money.currency.code() == "USD").unwrap();
    assert_eq!((usd.money.minor, usd.as_of), (sum, Some(now)));
    let before = paypal.balances(START + 86_400_000_000).await.unwrap();
    let then = before.iter().find(|one| one.money.currency.code() == "USD").unwrap();
    assert_eq!(then.money.minor, sum - bo, "the refund came later");
    let too_far = paypal.movements(START, START + 32 * 86_400_000_000, None).await;
    assert!(matches!(too_far, Err(ReadError::Refused { status: 400, .. })), "{too_far:?}");
    simulator.lie_about("ptx_pb:1_0", Some(simulator::Lie::LeftOut));
    let less = paypal.movements(START, now, None).await.unwrap();
    assert_eq!(less.movements.len(), page.movements.len() - 2);
}
