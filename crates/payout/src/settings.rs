//! The operator's settings for the whole installation.

use crate::batch::FeesPaidBy;
use crate::fee;
use crate::money::{Currency, Money, Sum, Vendor};

/// The payout settings. [`Settings::default`] is a new installation: payouts are off.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// Whether payouts are switched on.
    pub enabled: bool,
    /// The vendors a payee may choose.
    pub vendors: Vec<Vendor>,
    /// Whether payees must have a tax report.
    pub us_tax_tracking: bool,
    /// Whether a batch must be released by somebody other than its preparer.
    pub two_person_release: bool,
    /// Who bears the vendor's fee.
    pub fees_paid_by: FeesPaidBy,
    /// The vendors' fees, one table per vendor and currency.
    pub fees: Vec<fee::Table>,
    /// The cooling-off period after a destination change, in hours; 0 disables it.
    pub cooling_off_hours: u32,
    /// Earning thresholds, one per currency: smaller totals are not paid.
    pub earning_thresholds: Vec<Money>,
    /// Tax reporting thresholds in US dollars, for years whose legal threshold was not known yet.
    pub tax_thresholds: Vec<(i32, Money)>,
    /// The maximum for a single payment, per vendor and currency.
    pub vendor_maximums: Vec<(Vendor, Money)>,
    /// The maximum value of one reward, one per currency; other currencies have a default maximum.
    pub reward_maximums: Vec<Money>,
    /// Limits on the sum of several payments.
    pub limits: Limits,
    /// Totals, one per currency, above which whoever pays on a page must type the payout's total.
    pub typed_total_above: Vec<Money>,
}

/// Limits on sums of payments, one per currency in each list; a currency that is not listed has no limit. The amounts
/// the vendors are told to pay count.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Limits {
    /// The limit for one batch.
    pub per_batch: Vec<Money>,
    /// The limit for all batches paid on one day (UTC).
    pub per_day: Vec<Money>,
    /// The limit for all batches one person pays on one day (UTC).
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
    /// The cooling-off period, in microseconds.
    #[must_use]
    pub fn cooling_off_us(&self) -> i64 {
        i64::from(self.cooling_off_hours) * 3_600_000_000
    }

    /// The earning threshold of a currency, if one is set.
    #[must_use]
    pub fn threshold(&self, currency: Currency) -> Option<Money> {
        self.earning_thresholds.iter().copied().find(|money| money.currency == currency)
    }

    /// Whether this total must be typed by whoever pays it on a page.
    #[must_use]
    pub fn is_typed(&self, total: Sum) -> bool {
        let mut rows = self.typed_total_above.iter();
        rows.any(|above| above.currency == total.currency && total.minor > i128::from(above.minor))
    }

    /// The vendor's fee table for this currency, if one is entered.
    #[must_use]
    pub fn fee_table(&self, vendor: Vendor, currency: Currency) -> Option<&fee::Table> {
        self.fees.iter().find(|table| (table.vendor, table.currency) == (vendor, currency))
    }

    /// Whether the payee bears the vendor's fee and no table for it is entered.
    #[must_use]
    pub fn lacks_fee_table(&self, vendor: Vendor, currency: Currency) -> bool {
        fee::is_missing(self.fee_table(vendor, currency), vendor, self.fees_paid_by)
    }

    /// The maximum value of one reward in this currency.
    #[must_use]
    pub fn most_per_reward(&self, currency: Currency) -> Money {
        let set = self.reward_maximums.iter().copied().find(|money| money.currency == currency);
        set.unwrap_or_else(|| Money::new(currency.usual_most_minor(), currency))
    }

    /// The maximum for a single payment through this vendor in this currency, if one is set.
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
