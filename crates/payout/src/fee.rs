//! Vendor fees: the tables the operator entered, the vendors' published fees, and the expected fee of a payment. The
//! estimate is frozen at Pay. Not here: the actual fee, which the vendor reports afterwards.

use crate::batch::FeesPaidBy;
use crate::money::{Currency, Money, Vendor};

/// A vendor's fee for a payment in one currency: a percentage plus a fixed amount, at least `least` and at most `most`;
/// plus a monthly fee per paid payee.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Table {
    /// The vendor that charges it.
    pub vendor: Vendor,
    /// The currency it applies to.
    pub currency: Currency,
    /// The percentage of the amount, in basis points: 200 is 2 %.
    pub basis_points: u32,
    /// The fixed amount, in minor units.
    pub fixed: i64,
    /// The minimum per payment, in minor units.
    pub least: Option<i64>,
    /// The maximum per payment, in minor units.
    pub most: Option<i64>,
    /// Added to a payee's first payment of a month (UTC), in minor units. Stripe charges it for each connected account
    /// paid in the month.
    pub monthly: i64,
}

/// 100 %, in basis points.
pub const MOST_BASIS_POINTS: u32 = 10_000;

impl Table {
    /// The fee for a payment of `amount`, rounded up to the vendor's smallest unit.
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

/// The vendor's smallest unit in this currency, in our minor units.
fn smallest_unit(vendor: Vendor, currency: Currency) -> i128 {
    let theirs = Money::new(0, currency).at(vendor).map_or(currency.digits(), |zero| zero.digits);
    10i128.pow(currency.digits().saturating_sub(theirs))
}

/// A vendor's published fee, as far as we know it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Published {
    /// The vendor it is about.
    pub vendor: Vendor,
    /// What the vendor states.
    pub says: &'static str,
    /// The documentation page, without scheme.
    pub source: &'static str,
    /// When the page was read, in words.
    pub read_on: &'static str,
}

/// PayPal's usual percentage per item, in basis points (PayPal Payouts, fees). PayPal caps it by currency; we do not
/// know the caps, so this is the most an item can cost, and it is never deducted from a payee's payment.
pub const PAYPAL_USUAL_BASIS_POINTS: u32 = 200;

/// The vendors' published fees, for whoever enters a table. None can be applied automatically: PayPal's caps and
/// Stripe's prices depend on country and contract.
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

/// The expected fee of a payment. Without a table, PayPal's usual percentage is the company's expectation; Stripe bills
/// its fees separately, so 0 is expected.
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

/// Whether the fee to deduct is unknown, so the payment cannot be made: the payee bears the fee, and there is no table.
/// Stripe bills separately, so nothing is deducted without a table.
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
