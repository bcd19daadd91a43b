//! What a vendor would refuse for its shape is refused before it is sent, and what just fits is sent. Not here: what
//! the requests look like, which the fixtures show.

use ::payout::money::{Currency, Money, Vendor, VendorAmount};
use vendors::paypal::batch::{self, BatchOrder, ItemOrder, MAX_ITEMS};
use vendors::stripe::{ConnectedAccount, payout as bank, transfer};
use vendors::{BadRequest, MoneyRequest};

fn cents(units: i64, vendor: Vendor) -> VendorAmount {
    VendorAmount { units, ..Money::new(1, Currency::USD).at(vendor).unwrap() }
}

fn item<'a>(transaction: &'a str, receiver: &'a str, units: i64) -> ItemOrder<'a> {
    ItemOrder { transaction, receiver, amount: cents(units, Vendor::PayPal), note: "" }
}

fn batch_of(key: &str, items: &[ItemOrder<'_>]) -> Result<MoneyRequest, BadRequest> {
    batch::request(&BatchOrder { key, currency: Currency::USD, items, subject: "Paid" })
}

fn refused(request: Result<MoneyRequest, BadRequest>) -> String {
    request.err().map_or(String::new(), |bad| bad.0)
}

#[test]
fn a_batch_holds_so_many_items() {
    let one = item("ptx_1", "ana@example.com", 1);
    for (count, fits) in [(0, false), (1, true), (MAX_ITEMS, true), (MAX_ITEMS + 1, false)] {
        let told = refused(batch_of("pb:1", &vec![one.clone(); count]));
        let expected =
            if fits { String::new() } else { format!("a PayPal batch holds 1 to 15000 items, not {count}") };
        assert_eq!(told, expected);
    }
}

#[test]
fn a_batch_and_its_items_have_ids_that_fit() {
    let items = [item("ptx_1", "ana@example.com", 1)];
    assert_eq!(refused(batch_of(&"k".repeat(255), &items)), "");
    assert!(refused(batch_of(&"k".repeat(256), &items)).contains("a key is 1 to 255"));
    assert!(refused(batch_of(&"k".repeat(257), &items)).ends_with("is too long for a batch"));
    let (most, more) = ("t".repeat(63), "t".repeat(64));
    for (transaction, fits) in [("", false), (&*most, true), (&*more, false)] {
        let told = refused(batch_of("pb:1", &[item(transaction, "ana@example.com", 1)]));
        assert_eq!(told.is_empty(), fits, "{told}");
        assert!(fits || told.ends_with("has an id that is not 1 to 63 bytes long"), "{told}");
    }
}

#[test]
fn an_item_has_an_amount_in_the_currency_of_its_batch_and_a_receiver() {
    for (units, fits) in [(-1, false), (0, false), (1, true)] {
        let told = refused(batch_of("pb:1", &[item("ptx_1", "ana@example.com", units)]));
        assert_eq!(told.is_empty(), fits, "{units}: {told}");
    }
    let yen = Money::new(500, Currency::parse("JPY").unwrap()).at(Vendor::PayPal).unwrap();
    let foreign = ItemOrder { amount: yen, ..item("ptx_1", "ana@example.com", 1) };
    assert_eq!(refused(batch_of("pb:1", &[foreign])), "the PayPal item of ptx_1 is in JPY, its batch in USD");
    let (most, more) = (format!("a@{}", "b".repeat(125)), format!("a@{}", "b".repeat(126)));
    for (receiver, fits) in
        [("a@b", true), (&*most, true), (&*more, false), ("a@", false), ("abc", false), ("a b@c", false)]
    {
        let told = refused(batch_of("pb:1", &[item("ptx_1", receiver, 1)]));
        assert_eq!(told.is_empty(), fits, "{receiver}: {told}");
        assert!(fits || told.contains("no mail address of at most 127 bytes"), "{told}");
    }
}

#[test]
fn nothing_is_moved_at_stripe_where_there_is_nothing_to_move() {
    let account = &ConnectedAccount::parse("acct_9").unwrap();
    for (units, fits) in [(-1, false), (0, false), (1, true)] {
        let amount = cents(units, Vendor::Stripe);
        let (key, transaction, attempt) = ("k", "ptx_1", "atm_1");
        let made = [
            transfer::request(&transfer::TransferOrder {
                key,
                transaction,
                attempt,
                destination: account,
                amount,
                description: "",
            }),
            bank::request(&bank::PayoutOrder {
                key,
                transaction,
                attempt,
                account,
                amount,
                statement_descriptor: "",
            }),
            transfer::reversal_request(&transfer::ReversalOrder {
                key,
                transaction,
                attempt,
                transfer: "tr_1",
                amount,
            }),
        ];
        for request in made {
            let told = refused(request);
            let expected =
                if fits { String::new() } else { format!("an amount of {units} units cannot be moved") };
            assert_eq!(told, expected);
        }
    }
}

#[test]
fn only_a_transfer_is_reversed() {
    let amount = cents(1, Vendor::Stripe);
    for (transfer, fits) in [("tr_1", true), ("po_1", false), ("tr_1/../x", false), ("", false)] {
        let order = transfer::ReversalOrder { key: "k", transaction: "t", attempt: "a", transfer, amount };
        let told = refused(transfer::reversal_request(&order));
        assert_eq!(told.is_empty(), fits, "{transfer}: {told}");
    }
}
