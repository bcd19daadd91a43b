//! What the operator has decided for the whole installation.

use crate::batch::FeesPaidBy;
use crate::fee;
use crate::money::{Currency, Money, Sum, Vendor};

/// The payout settings. [`Settings::default`] is what a new installation has: off.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// The payout module is on.
    pub enabled: bool,
    /// The vendors a payee may choose.
    pub vendors: Vec<Vendor>,
    /// Payees must have a tax report.
    pub us_tax_tracking: bool,
    /// Whoever prepared a batch may not be the one who releases it.
    pub two_person_release: bool,
    /// Who bears the vendor's fee.
    pub fees_paid_by: FeesPaidBy,
    /// What the vendors take, one table per vendor and currency.
    pub fees: Vec<fee::Table>,
    /// How long a changed destination waits before it is paid, in hours; 0 switches the wait off.
    pub cooling_off_hours: u32,
    /// Below these, one per currency, nothing is paid.
    pub earning_thresholds: Vec<Money>,
    /// The tax reporting thresholds of the years that the law had not named, in US dollars.
    pub tax_thresholds: Vec<(i32, Money)>,
    /// The most a single payment may be, per vendor and currency.
    pub vendor_maximums: Vec<(Vendor, Money)>,
    /// The most that one reward may be worth, one per currency; another currency has its usual most.
    pub reward_maximums: Vec<Money>,
    /// The most that several payments may come to.
    pub limits: Limits,
    /// A payout's total above these, one per currency, is typed by whoever pays it on a page.
    pub typed_total_above: Vec<Money>,
}

/// The most that payments may come to together, one per currency in each list; a currency that is not named has no
/// limit. What counts is what the vendors are told to pay.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Limits {
    /// Of one batch.
    pub per_batch: Vec<Money>,
    /// Of every batch that is paid on one day, UTC.
    pub per_day: Vec<Money>,
    /// Of every batch that one person pays on one day, UTC.
    pub per_person_per_day: Vec<Money>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            enabled: false,
            vendors: Vec::new(),
            us_tax_tracking: false,
            two_person_release: false,
            fees_paid_by: FeesPaidBy::Company,
            fees: Vec::new(),
            cooling_off_hours: 72,
            earning_thresholds: Vec::new(),
            tax_thresholds: Vec::new(),
            vendor_maximums: Vec::new(),
            reward_maximums: Vec::new(),
            limits: Limits::default(),
            typed_total_above: Vec::new(),
        }
    }
}

impl Settings {
    /// The wait after a changed destination, in microseconds.
    #[must_use]
    pub fn cooling_off_us(&self) -> i64 {
        i64::from(self.cooling_off_hours) * 3_600_000_000
    }

    /// The threshold of a currency.
    #[must_use]
    pub fn threshold(&self, currency: Currency) -> Option<Money> {
        self.earning_thresholds.iter().copied().find(|money| money.currency == currency)
    }

    /// Whether whoever pays this total on a page types it.
    #[must_use]
    pub fn is_typed(&self, total: Sum) -> bool {
        let mut rows = self.typed_total_above.iter();
        rows.any(|above| above.currency == total.currency && total.minor > i128::from(above.minor))
    }

    /// What the vendor takes for a payment in this currency, if somebody has entered it.
    #[must_use]
    pub fn fee_table(&self, vendor: Vendor, currency: Currency) -> Option<&fee::Table> {
        self.fees.iter().find(|table| (table.vendor, table.currency) == (vendor, currency))
    }

    /// The payee bears what the vendor takes, and nobody has entered what that is.
    #[must_use]
    pub fn lacks_fee_table(&self, vendor: Vendor, currency: Currency) -> bool {
        fee::is_missing(self.fee_table(vendor, currency), vendor, self.fees_paid_by)
    }

    /// The most that one reward in this currency may be worth.
    #[must_use]
    pub fn most_per_reward(&self, currency: Currency) -> Money {
        let set = self.reward_maximums.iter().copied().find(|money| money.currency == currency);
        set.unwrap_or_else(|| Money::new(currency.usual_most_minor(), currency))
    }

    /// The most a payment in this currency may be through this vendor.
    #[must_use]
    pub fn maximum(&self, vendor: Vendor, currency: Currency) -> Option<Money> {
        let mut rows = self.vendor_maximums.iter();
        rows.find(|(of, money)| *of == vendor && money.currency == currency).map(|(_, money)| *money)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn money(minor: i64, code: &str) -> Money {
        Money::new(minor, Currency::parse(code).unwrap())
    }

    #[test]
    fn a_new_installation_pays_nothing_and_waits_three_days() {
        let new = Settings::default();
        assert!(!new.enabled && new.vendors.is_empty());
        assert_eq!(new.cooling_off_us(), 3 * 86_400_000_000);
        assert_eq!(Settings { cooling_off_hours: 0, ..new }.cooling_off_us(), 0);
    }

    #[test]
    fn each_currency_has_its_own_figures() {
        let (eur, usd) = (money(0, "EUR").currency, Currency::USD);
        let settings = Settings {
            earning_thresholds: vec![money(100, "EUR")],
            reward_maximums: vec![money(200, "EUR")],
            vendor_maximums: vec![(Vendor::PayPal, money(300, "EUR")), (Vendor::Stripe, money(400, "USD"))],
            typed_total_above: vec![money(500, "EUR")],
            ..Settings::default()
        };
        assert_eq!((settings.threshold(eur), settings.threshold(usd)), (Some(money(100, "EUR")), None));
        assert_eq!(settings.most_per_reward(eur), money(200, "EUR"));
        assert_eq!(settings.most_per_reward(usd), money(usd.usual_most_minor(), "USD"));
        assert_eq!(settings.maximum(Vendor::PayPal, eur), Some(money(300, "EUR")));
        assert_eq!(settings.maximum(Vendor::Stripe, usd), Some(money(400, "USD")));
        assert_eq!(settings.maximum(Vendor::PayPal, usd), None);
        assert_eq!(settings.maximum(Vendor::Stripe, eur), None);
        for (total, typed) in [
            (money(500, "EUR"), false),
            (money(501, "EUR"), true),
            (money(499, "EUR"), false),
            (money(501, "USD"), false),
        ] {
            assert_eq!(settings.is_typed(total.into()), typed, "{total}");
        }
    }

    #[test]
    fn a_fee_table_is_one_vendors_in_one_currency() {
        let table = |vendor, code| fee::Table {
            vendor,
            currency: money(0, code).currency,
            basis_points: 200,
            fixed: 0,
            least: None,
            most: None,
            monthly: 0,
        };
        let fees =
            vec![table(Vendor::Stripe, "EUR"), table(Vendor::PayPal, "EUR"), table(Vendor::PayPal, "USD")];
        let settings = Settings { fees, fees_paid_by: FeesPaidBy::Partner, ..Settings::default() };
        let (eur, gbp) = (money(0, "EUR").currency, money(0, "GBP").currency);
        assert_eq!(settings.fee_table(Vendor::PayPal, eur), Some(&table(Vendor::PayPal, "EUR")));
        assert_eq!(settings.fee_table(Vendor::Stripe, Currency::USD), None);
        assert!(settings.lacks_fee_table(Vendor::PayPal, gbp));
        assert!(!settings.lacks_fee_table(Vendor::PayPal, eur));
    }
}
