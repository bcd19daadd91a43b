//! The actual money movements of a payment, from the vendors' books. The currencies used have the same minor units at
//! both vendors as here, so amounts compare directly. Not here: what the program reports.

use simulator::Books;

use super::sight::Payment;

/// A movement to or toward a partner.
pub struct Movement {
    pub id: String,
    pub amount: i64,
    pub currency: String,
    pub destination: String,
    /// The money is with the partner.
    pub arrived: bool,
}

#[derive(Default)]
pub struct Flow {
    pub left: i64,
    pub back: i64,
    pub arrived: i64,
    /// The vendor's own fees.
    pub fees: i64,
    /// Part of it went through a different vendor, or to our own bank.
    pub elsewhere: bool,
    pub movements: Vec<Movement>,
}

impl Flow {
    /// What has left our balance, net of returns.
    pub fn gone(&self) -> i64 {
        self.left - self.back
    }

    /// A payment's movements in both vendors' books.
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
        // If our own payout paid it, no scheduled payout did.
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
