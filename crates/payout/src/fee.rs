//! What vendors take for a payment: the tables that an operator has entered, what the vendors publish, and what a payment is
//! expected to cost. An estimate is frozen at Pay. What a vendor really took is told by the vendor afterwards, and is not
//! here.

use crate::batch::FeesPaidBy;
use crate::money::{Currency, Money, Vendor};

/// What a vendor takes for one payment in one currency: a part of the amount and a fixed sum, together at least `least` and
/// at most `most`; and what it takes once a month for each payee that is paid.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Table {
    /// Who takes it.
    pub vendor: Vendor,
    /// In which currency.
    pub currency: Currency,
    /// The part of the amount, in hundredths of a percent: 200 is 2 %.
    pub basis_points: u32,
    /// The fixed sum, in minor units.
    pub fixed: i64,
    /// The least of one payment, in minor units.
    pub least: Option<i64>,
    /// The most of one payment, in minor units.
    pub most: Option<i64>,
    /// For a payee's first payment of a month (UTC), beside the fee of the payment, in minor units. Stripe bills it for each
    /// connected account that is paid in the month.
    pub monthly: i64,
}

/// The whole amount.
pub const MOST_BASIS_POINTS: u32 = 10_000;

impl Table {
    /// What a payment of `amount` costs, up to the next unit that the vendor counts.
    #[must_use]
    pub fn of(&self, amount: Money, first_of_month: bool) -> Money {
        let part = i128::from(amount.minor.max(0)) * i128::from(self.basis_points);
        let part = part.div_euclid(10_000) + i128::from(part.rem_euclid(10_000) > 0);
        let fee = part + i128::from(self.fixed);
        let fee = self.least.map_or(fee, |least| fee.max(i128::from(least)));
        let most = self.most.filter(|_| !crate::planted::on("cap_forgotten"));
        let fee = most.map_or(fee, |most| fee.min(i128::from(most)));
        let fee = fee + i128::from(if first_of_month { self.monthly } else { 0 });
        let unit = smallest_unit(self.vendor, amount.currency);
        let whole = fee.div_euclid(unit) + i128::from(fee.rem_euclid(unit) > 0);
        Money::new(i64::try_from(whole * unit).unwrap_or(i64::MAX), amount.currency)
    }
}

/// The smallest sum that the vendor can count in this currency, in our minor units.
fn smallest_unit(vendor: Vendor, currency: Currency) -> i128 {
    let theirs = Money::new(0, currency).at(vendor).map_or(currency.digits(), |zero| zero.digits);
    10i128.pow(currency.digits().saturating_sub(theirs))
}

/// What a vendor publishes about its fees, as far as it is known here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Published {
    /// Whose.
    pub vendor: Vendor,
    /// What it says.
    pub says: &'static str,
    /// Where it is said.
    pub source: &'static str,
    /// When that was read, in words.
    pub read_on: &'static str,
}

/// PayPal's usual part of an item, in hundredths of a percent (PayPal Payouts, fees). PayPal caps it by currency; the caps are
/// not known here, so this is the most that an item can cost and never what a payee's payment is lowered by.
pub const PAYPAL_USUAL_BASIS_POINTS: u32 = 200;

/// What the vendors publish, for whoever enters a table. There is none that could be taken over unread: PayPal's caps and
/// Stripe's prices differ by country and by contract.
pub const PUBLISHED: [Published; 2] = [
    Published {
        vendor: Vendor::PayPal,
        says: "Typically 2 % of each payment, capped; the cap depends on the currency and is not known to Bursar.",
        source: "developer.paypal.com/docs/payouts/standard/reference/fees",
        read_on: "November 2026",
    },
    Published {
        vendor: Vendor::PayPal,
        says: "0.25 USD for each payment through the API within the United States.",
        source: "developer.paypal.com/docs/payouts/standard/reference/fees",
        read_on: "November 2026",
    },
];

/// What a payment is expected to cost. With no table, PayPal's usual part stands for the company's own expectation; Stripe
/// bills its fees apart, so nothing is expected of a payment.
#[must_use]
pub fn expected(table: Option<&Table>, vendor: Vendor, amount: Money, first_of_month: bool) -> Money {
    let usual = Table {
        vendor,
        currency: amount.currency,
        basis_points: if vendor == Vendor::PayPal { PAYPAL_USUAL_BASIS_POINTS } else { 0 },
        fixed: 0,
        least: None,
        most: None,
        monthly: 0,
    };
    table.unwrap_or(&usual).of(amount, first_of_month)
}

/// Whether a payment cannot be made because nobody knows what to take off it: the payee bears the fee, and there is no table
/// for it. Stripe bills apart, so without a table nothing is taken off.
#[must_use]
pub fn is_missing(table: Option<&Table>, vendor: Vendor, borne_by: FeesPaidBy) -> bool {
    table.is_none() && vendor == Vendor::PayPal && borne_by == FeesPaidBy::Partner
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(vendor: Vendor, code: &str) -> Table {
        let currency = Currency::parse(code).unwrap();
        Table { vendor, currency, basis_points: 200, fixed: 0, least: None, most: None, monthly: 0 }
    }

    #[test]
    fn a_fee_is_rounded_up_to_what_the_vendor_counts() {
        let rows = [
            ("USD", 10_000, 200),
            ("USD", 101, 3),
            ("JPY", 500, 10),
            ("JPY", 501, 11),
            ("HUF", 150_000, 3_000),
            ("HUF", 12_300, 300),
        ];
        for (code, minor, fee) in rows {
            let amount = Money::new(minor, Currency::parse(code).unwrap());
            assert_eq!(expected(None, Vendor::PayPal, amount, false).minor, fee, "{amount}");
            assert_eq!(expected(None, Vendor::Stripe, amount, true).minor, 0, "{amount}");
        }
    }

    #[test]
    fn a_table_has_a_part_a_fixed_sum_and_bounds() {
        let capped = Table { most: Some(2_000), ..table(Vendor::PayPal, "USD") };
        let flat = Table { basis_points: 0, fixed: 25, ..capped };
        let bank = Table {
            basis_points: 25,
            fixed: 25,
            least: Some(50),
            monthly: 200,
            ..table(Vendor::Stripe, "USD")
        };
        let rows = [
            (capped, 1_000_000, false, 2_000),
            (capped, 99_999, false, 2_000),
            (capped, 50_000, false, 1_000),
            (flat, 1_000_000, false, 25),
            (bank, 1_000, false, 50),
            (bank, 1_000, true, 250),
            (bank, 100_000, false, 275),
            (capped, i64::MAX, false, 2_000),
            (table(Vendor::PayPal, "USD"), -5, false, 0),
        ];
        for (table, minor, first, fee) in rows {
            let amount = Money::new(minor, Currency::USD);
            assert_eq!(table.of(amount, first).minor, fee, "{amount} by {table:?}");
        }
    }

    #[test]
    fn only_what_a_payee_bears_needs_a_table() {
        let one = table(Vendor::PayPal, "USD");
        assert!(is_missing(None, Vendor::PayPal, FeesPaidBy::Partner));
        assert!(!is_missing(Some(&one), Vendor::PayPal, FeesPaidBy::Partner));
        assert!(!is_missing(None, Vendor::PayPal, FeesPaidBy::Company));
        assert!(!is_missing(None, Vendor::Stripe, FeesPaidBy::Partner));
    }
}
