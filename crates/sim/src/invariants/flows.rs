//! What really moved for a payment, by the vendors' books. The currencies that are drawn have the same minor units at both
//! vendors as here, so amounts are compared as they stand. What is deliberately not here: what the program says of it.

use simulator::Books;

use super::sight::Payment;

/// One movement to or towards a partner.
pub struct Movement {
    pub id: String,
    pub amount: i64,
    pub currency: String,
    pub destination: String,
    /// Its money lies with the partner.
    pub arrived: bool,
}

#[derive(Default)]
pub struct Flow {
    pub left: i64,
    pub back: i64,
    pub arrived: i64,
    /// What the vendor took for itself.
    pub fees: i64,
    /// What of it went elsewhere than to that vendor.
    pub elsewhere: bool,
    pub movements: Vec<Movement>,
}

impl Flow {
    /// What is gone from our balance.
    pub fn gone(&self) -> i64 {
        self.left - self.back
    }

    /// What the books of both vendors hold of a payment.
    pub fn of(payment: &Payment, books: &Books) -> Self {
        let mut flow = Self::default();
        let ours = |named: Option<&str>| named == Some(payment.id.as_str());
        let named =
            |line: &&simulator::PayoutLine| ours(line.metadata.get("transaction").map(String::as_str));
        for line in books.payouts.iter().filter(named) {
            let paid = line.status == "paid";
            flow.elsewhere |= payment.vendor != "stripe" || line.account.is_none();
            flow.arrived += if paid { line.amount } else { 0 };
            flow.movements.push(Movement {
                id: line.id.clone(),
                amount: line.amount,
                currency: line.currency.clone(),
                destination: line.account.clone().unwrap_or_default(),
                arrived: paid,
            });
        }
        // What our own payout has brought there, no payout of Stripe's schedule has.
        let brought = flow.arrived > 0;
        for line in books.transfers.iter().filter(|line| ours(line.transfer_group.as_deref())) {
            flow.elsewhere |= payment.vendor != "stripe";
            flow.left += line.amount;
            flow.back += line.amount_reversed;
            let swept = !brought
                && books.payouts.iter().any(|payout| {
                    payout.status == "paid" && payout.settles.iter().any(|group| ours(Some(group.as_str())))
                });
            flow.arrived += if swept { line.amount } else { 0 };
            flow.movements.push(Movement {
                id: line.id.clone(),
                amount: line.amount,
                currency: line.currency.clone(),
                destination: line.destination.clone(),
                arrived: swept,
            });
        }
        for line in books.items.iter().filter(|line| ours(line.sender_item_id.as_deref())) {
            flow.elsewhere |= payment.vendor != "paypal";
            let back = matches!(line.status.as_str(), "RETURNED" | "REFUNDED" | "REVERSED");
            let arrived = line.left && line.status == "SUCCESS";
            flow.left += if line.left { line.amount } else { 0 };
            flow.back += if line.left && back { line.amount } else { 0 };
            flow.arrived += if arrived { line.amount } else { 0 };
            flow.fees += line.fee;
            flow.movements.push(Movement {
                id: line.id.clone(),
                amount: line.amount,
                currency: line.currency.clone(),
                destination: line.receiver.clone(),
                arrived,
            });
        }
        flow
    }
}
