//! Money: whole minor units of a currency, read and written as decimals without ever using floats.
//!
//! Bursar keeps amounts with ISO 4217 digits. Vendors count differently (two digits for ISK at Stripe, none for HUF at
//! PayPal), so [`Money::at`] translates and refuses what the vendor cannot pay. There is no currency conversion, here
//! or elsewhere.

use std::fmt;

mod entered;

pub use entered::MoneyError;
use entered::parse_minor;

/// Currencies a reward may have, with their ISO 4217 digits. Metals, funds, test codes and "no currency" are excluded
/// on purpose: nobody can be paid in them.
#[rustfmt::skip]
const CURRENCIES: &[(&str, u32)] = &[
    ("AED", 2), ("AFN", 2), ("ALL", 2), ("AMD", 2), ("ANG", 2), ("AOA", 2), ("ARS", 2), ("AUD", 2),
    ("AWG", 2), ("AZN", 2), ("BAM", 2), ("BBD", 2), ("BDT", 2), ("BGN", 2), ("BHD", 3), ("BIF", 0),
    ("BMD", 2), ("BND", 2), ("BOB", 2), ("BRL", 2), ("BSD", 2), ("BTN", 2), ("BWP", 2), ("BYN", 2),
    ("BZD", 2), ("CAD", 2), ("CDF", 2), ("CHF", 2), ("CLP", 0), ("CNY", 2), ("COP", 2), ("CRC", 2),
    ("CUP", 2), ("CVE", 2), ("CZK", 2), ("DJF", 0), ("DKK", 2), ("DOP", 2), ("DZD", 2), ("EGP", 2),
    ("ERN", 2), ("ETB", 2), ("EUR", 2), ("FJD", 2), ("FKP", 2), ("GBP", 2), ("GEL", 2), ("GHS", 2),
    ("GIP", 2), ("GMD", 2), ("GNF", 0), ("GTQ", 2), ("GYD", 2), ("HKD", 2), ("HNL", 2), ("HTG", 2),
    ("HUF", 2), ("IDR", 2), ("ILS", 2), ("INR", 2), ("IQD", 3), ("IRR", 2), ("ISK", 0), ("JMD", 2),
    ("JOD", 3), ("JPY", 0), ("KES", 2), ("KGS", 2), ("KHR", 2), ("KMF", 0), ("KPW", 2), ("KRW", 0),
    ("KWD", 3), ("KYD", 2), ("KZT", 2), ("LAK", 2), ("LBP", 2), ("LKR", 2), ("LRD", 2), ("LSL", 2),
    ("LYD", 3), ("MAD", 2), ("MDL", 2), ("MGA", 2), ("MKD", 2), ("MMK", 2), ("MNT", 2), ("MOP", 2),
    ("MRU", 2), ("MUR", 2), ("MVR", 2), ("MWK", 2), ("MXN", 2), ("MYR", 2), ("MZN", 2), ("NAD", 2),
    ("NGN", 2), ("NIO", 2), ("NOK", 2), ("NPR", 2), ("NZD", 2), ("OMR", 3), ("PAB", 2), ("PEN", 2),
    ("PGK", 2), ("PHP", 2), ("PKR", 2), ("PLN", 2), ("PYG", 0), ("QAR", 2), ("RON", 2), ("RSD", 2),
    ("RUB", 2), ("RWF", 0), ("SAR", 2), ("SBD", 2), ("SCR", 2), ("SDG", 2), ("SEK", 2), ("SGD", 2),
    ("SHP", 2), ("SLE", 2), ("SOS", 2), ("SRD", 2), ("SSP", 2), ("STN", 2), ("SVC", 2), ("SYP", 2),
    ("SZL", 2), ("THB", 2), ("TJS", 2), ("TMT", 2), ("TND", 3), ("TOP", 2), ("TRY", 2), ("TTD", 2),
    ("TWD", 2), ("TZS", 2), ("UAH", 2), ("UGX", 0), ("USD", 2), ("UYU", 2), ("UZS", 2), ("VES", 2),
    ("VND", 0), ("VUV", 0), ("WST", 2), ("XAF", 0), ("XCD", 2), ("XCG", 2), ("XOF", 0), ("XPF", 0),
    ("YER", 2), ("ZAR", 2), ("ZMW", 2), ("ZWG", 2),
];

/// Stripe counts these in whole units (Stripe documentation, zero-decimal currencies). UGX is listed there too, but
/// Stripe's special rule for UGX applies: two digits that must be zero.
const STRIPE_WHOLE: &[&str] = &[
    "BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "VND", "VUV", "XAF", "XOF", "XPF",
];
/// Two digits at Stripe, with payouts in whole units only: ISK and UGX because ISO gives them no digits, HUF and TWD
/// because Stripe pays them out whole.
const STRIPE_HUNDREDS: &[&str] = &["ISK", "UGX", "HUF", "TWD"];
/// Three digits at Stripe, the last of which must be zero.
const STRIPE_THOUSANDTHS: &[&str] = &["BHD", "JOD", "KWD", "OMR", "TND"];
/// Currencies PayPal Payouts can pay (PayPal documentation). BRL, CNY and MYR only reach payees in that country.
const PAYPAL: &[&str] = &[
    "AUD", "BRL", "CAD", "CNY", "CZK", "DKK", "EUR", "GBP", "HKD", "HUF", "ILS", "JPY", "MXN", "MYR", "NOK",
    "NZD", "PHP", "PLN", "SEK", "SGD", "CHF", "THB", "TWD", "USD",
];
/// PayPal takes these without decimals: "500", never "500.00".
const PAYPAL_WHOLE: &[&str] = &["HUF", "JPY", "TWD"];

/// Currencies with roughly a hundred units or more to the US dollar: a large amount in them has more digits.
const SMALL_UNITS: &[&str] = &[
    "AFN", "ALL", "AMD", "AOA", "ARS", "BDT", "BIF", "CDF", "CLP", "COP", "CRC", "CVE", "DJF", "DZD", "ETB",
    "GNF", "GYD", "HTG", "HUF", "IDR", "IQD", "IRR", "ISK", "JMD", "JPY", "KES", "KHR", "KMF", "KPW", "KRW",
    "KZT", "LAK", "LBP", "LKR", "LRD", "MGA", "MMK", "MNT", "MWK", "NGN", "NPR", "PKR", "PYG", "RSD", "RWF",
    "SDG", "SOS", "SSP", "SYP", "TZS", "UGX", "UZS", "VES", "VND", "VUV", "XAF", "XOF", "XPF", "YER",
];

/// Currencies that have ended, and what to write instead. Those also in [`CURRENCIES`] ended after rewards could be
/// entered in them: existing rewards stay readable, but no new one is entered.
const ENDED: &[(&str, &str)] = &[
    ("ANG", "The Antillean guilder (ANG) ended on 30 June 2025; enter the amount in XCG, its successor."),
    ("BGN", "The Bulgarian lev (BGN) ended on 31 December 2025; enter the amount in EUR, its successor."),
    ("BYR", "The old Belarusian rouble (BYR) is no longer in use; enter the amount in BYN, its successor."),
    ("CUC", "The convertible peso (CUC) is no longer in use; enter the amount in CUP, its successor."),
    ("HRK", "The Croatian kuna (HRK) is no longer in use; enter the amount in EUR, its successor."),
    ("LTL", "The Lithuanian litas (LTL) is no longer in use; enter the amount in EUR, its successor."),
    ("LVL", "The Latvian lats (LVL) is no longer in use; enter the amount in EUR, its successor."),
    ("MRO", "The old ouguiya (MRO) is no longer in use; enter the amount in MRU, its successor."),
    ("SLL", "The old leone (SLL) is no longer in use; enter the amount in SLE, its successor."),
    ("STD", "The old dobra (STD) is no longer in use; enter the amount in STN, its successor."),
    ("VED", "VED is a second code for the bolivar, in which nobody is paid; enter the amount in VES."),
    ("VEF", "The old bolivar (VEF) is no longer in use; enter the amount in VES, its successor."),
    ("ZMK", "The old kwacha (ZMK) is no longer in use; enter the amount in ZMW, its successor."),
    ("ZWL", "The Zimbabwean dollar (ZWL) is no longer in use; enter the amount in ZWG, its successor."),
];

fn ended(code: &str) -> Option<&'static str> {
    ENDED.iter().find(|(ended, _)| ended.eq_ignore_ascii_case(code)).map(|(_, told)| *told)
}

/// A currency from [`CURRENCIES`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Currency(u16);

impl Currency {
    /// The US dollar, the currency of tax thresholds.
    pub const USD: Self = {
        let mut at = 0u16;
        while !matches!(CURRENCIES[at as usize].0.as_bytes(), b"USD") {
            at += 1;
        }
        Self(at)
    };

    /// Parses an ISO 4217 code: three letters without spaces. Lower case is accepted, because vendors and pay files
    /// write it.
    ///
    /// # Errors
    /// [`MoneyError::Ended`] for a currency that has ended; [`MoneyError::UnknownCurrency`] for anything else.
    pub fn parse(code: &str) -> Result<Self, MoneyError> {
        let search = |code: &str| CURRENCIES.binary_search_by_key(&code, |(known, _)| known);
        let place = search(code).or_else(|_| search(&code.to_ascii_uppercase()));
        let unknown = || ended(code).map_or(MoneyError::UnknownCurrency, MoneyError::Ended);
        place.ok().and_then(|at| u16::try_from(at).ok()).map(Self).ok_or_else(unknown)
    }

    /// The three upper-case letters.
    #[must_use]
    pub fn code(self) -> &'static str {
        CURRENCIES[usize::from(self.0)].0
    }

    /// What to write instead, if the currency has ended: no new reward may use it.
    #[must_use]
    pub fn ended(self) -> Option<&'static str> {
        ended(self.code())
    }

    /// The number of digits after the decimal point (ISO 4217): 0, 2 or 3.
    #[must_use]
    pub fn digits(self) -> u32 {
        CURRENCIES[usize::from(self.0)].1
    }

    /// The default maximum value of one reward, in minor units: ten million units, or a hundred billion where a unit is
    /// worth about a cent or less. Far above any reward, but well below an order number mistaken for a value.
    #[must_use]
    pub fn usual_most_minor(self) -> i64 {
        let units = if SMALL_UNITS.contains(&self.code()) { 100_000_000_000 } else { 10_000_000 };
        units * 10i64.pow(self.digits())
    }

    /// All currencies a reward may have, by code.
    pub fn all() -> impl Iterator<Item = Self> {
        (0u16..).map(Self).take(CURRENCIES.len())
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// An amount of one currency in minor units. Amounts of two currencies cannot be added: [`Money::plus`] returns `None`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Money {
    /// Minor units with the currency's ISO digits; may be negative in the ledger, never in user input.
    pub minor: i64,
    /// The currency.
    pub currency: Currency,
}

impl Money {
    /// The largest amount a person may enter: far above any payout, far below where a sum could overflow.
    pub const MAX_MINOR: i64 = 9_000_000_000_000_000;

    /// An amount from its minor units.
    #[must_use]
    pub const fn new(minor: i64, currency: Currency) -> Self {
        Self { minor, currency }
    }

    /// Parses a positive decimal, such as `420.00` or `420` for a currency with two digits.
    ///
    /// # Errors
    /// The first [`MoneyError`] that applies; [`MoneyError::Zero`] for zero.
    pub fn parse(text: &str, currency: Currency) -> Result<Self, MoneyError> {
        let money = Self::parse_or_nothing(text, currency)?;
        if money.minor == 0 { Err(MoneyError::Zero) } else { Ok(money) }
    }

    /// Parses a decimal that may be zero, such as a fee a vendor does not charge.
    ///
    /// # Errors
    /// The first [`MoneyError`] that applies.
    pub fn parse_or_nothing(text: &str, currency: Currency) -> Result<Self, MoneyError> {
        Ok(Self { minor: parse_minor(text, currency.digits())?, currency })
    }

    /// The sum, or `None` if the currencies differ or it overflows.
    #[must_use]
    pub fn plus(self, other: Self) -> Option<Self> {
        (self.currency == other.currency)
            .then(|| self.minor.checked_add(other.minor))
            .flatten()
            .map(|minor| Self { minor, ..self })
    }

    /// The decimal with all the currency's digits: `420.00`, `-3`, `1.234`.
    #[must_use]
    pub fn decimal(self) -> String {
        decimal(i128::from(self.minor), self.currency.digits())
    }

    /// The amount in the units `vendor` counts in.
    ///
    /// # Errors
    /// [`NotPayable`] if the vendor does not have the currency or cannot pay that fraction. Never rounds.
    pub fn at(self, vendor: Vendor) -> Result<VendorAmount, NotPayable> {
        let rule = vendor_rule(vendor, self.currency)?;
        let ours = self.currency.digits();
        let rounded = crate::planted::on("rounded_amounts");
        let minor = if rounded { without_the_last_bit(self.minor) } else { self.minor };
        let scale = 10i64.pow(rule.digits.abs_diff(ours));
        let units = if rule.digits >= ours {
            minor.checked_mul(scale).ok_or(NotPayable::Amount)?
        } else if minor % scale == 0 {
            minor / scale
        } else {
            return Err(NotPayable::Amount);
        };
        if units % rule.multiple_of == 0 {
            Ok(VendorAmount { units, digits: rule.digits, currency: self.currency })
        } else {
            Err(NotPayable::Amount)
        }
    }
}

/// A planted bug for tests: a large amount as a short floating-point number would hold it.
fn without_the_last_bit(minor: i64) -> i64 {
    if minor > 65_535 { minor & !1 } else { minor }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.decimal(), self.currency)
    }
}

impl fmt::Debug for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A sum of amounts of one currency, wider than [`Money`] so that it cannot overflow: a total shown is exact. Money
/// only moves as [`Money`].
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sum {
    /// Minor units with the currency's ISO digits.
    pub minor: i128,
    /// The currency.
    pub currency: Currency,
}

impl Sum {
    /// A sum from its minor units.
    #[must_use]
    pub const fn new(minor: i128, currency: Currency) -> Self {
        Self { minor, currency }
    }

    /// Zero in this currency.
    #[must_use]
    pub const fn nothing(currency: Currency) -> Self {
        Self::new(0, currency)
    }

    /// The sum as an amount; `None` if it does not fit.
    #[must_use]
    pub fn money(self) -> Option<Money> {
        i64::try_from(self.minor).ok().map(|minor| Money::new(minor, self.currency))
    }

    /// The decimal with all the currency's digits, as in [`Money::decimal`].
    #[must_use]
    pub fn decimal(self) -> String {
        decimal(self.minor, self.currency.digits())
    }
}

impl From<Money> for Sum {
    fn from(money: Money) -> Self {
        Self::new(i128::from(money.minor), money.currency)
    }
}

impl fmt::Display for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.decimal(), self.currency)
    }
}

impl fmt::Debug for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A payment vendor.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Vendor {
    /// Stripe Connect: a transfer to the connected account, then a payout to its bank.
    Stripe,
    /// PayPal Payouts: an item of a batch.
    PayPal,
}

impl Vendor {
    /// Both, in the order pages show them.
    pub const ALL: [Self; 2] = [Self::Stripe, Self::PayPal];

    /// The spelling in the database, the API and URLs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stripe => "stripe",
            Self::PayPal => "paypal",
        }
    }

    /// Parses the spelling of [`Vendor::as_str`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|vendor| vendor.as_str() == text)
    }

    /// The name shown to people.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Stripe => "Stripe",
            Self::PayPal => "PayPal",
        }
    }
}

/// An amount in a vendor's units: whole `units` with `digits` decimals.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct VendorAmount {
    /// The vendor's own minor units. Sent to Stripe as this number.
    pub units: i64,
    /// How many of the digits are decimals.
    pub digits: u32,
    /// The currency.
    pub currency: Currency,
}

impl VendorAmount {
    /// The decimal with exactly the vendor's digits. Sent to PayPal as this text.
    #[must_use]
    pub fn decimal(self) -> String {
        decimal(i128::from(self.units), self.digits)
    }
}

/// Why a vendor cannot pay an amount.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NotPayable {
    /// The vendor does not support the currency.
    Currency,
    /// The vendor supports the currency, but not this fraction of it.
    Amount,
}

/// Converts an amount in the vendor's own minor units, as Stripe sends it.
///
/// # Errors
/// [`NotPayable`] if the vendor does not support the currency, or the amount is not a whole number of our minor units.
pub fn from_units(vendor: Vendor, units: i64, currency: Currency) -> Result<Money, NotPayable> {
    let theirs = vendor_rule(vendor, currency)?.digits;
    let ours = currency.digits();
    let scale = 10i64.pow(theirs.abs_diff(ours));
    let minor = if ours >= theirs {
        units.checked_mul(scale).ok_or(NotPayable::Amount)?
    } else if units % scale == 0 {
        units / scale
    } else {
        return Err(NotPayable::Amount);
    };
    Ok(Money { minor, currency })
}

/// Parses a decimal from a vendor, such as PayPal: any number of trailing zeros, and zero is allowed ("0.0").
///
/// # Errors
/// A [`MoneyError`] if it is not a decimal of this currency.
pub fn from_vendor_decimal(text: &str, currency: Currency) -> Result<Money, MoneyError> {
    let trimmed = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text };
    Ok(Money { minor: parse_minor(trimmed, currency.digits())?, currency })
}

struct VendorRule {
    digits: u32,
    multiple_of: i64,
}

fn vendor_rule(vendor: Vendor, currency: Currency) -> Result<VendorRule, NotPayable> {
    let code = currency.code();
    match vendor {
        Vendor::Stripe if STRIPE_WHOLE.contains(&code) => Ok(VendorRule { digits: 0, multiple_of: 1 }),
        Vendor::Stripe if STRIPE_HUNDREDS.contains(&code) => Ok(VendorRule { digits: 2, multiple_of: 100 }),
        Vendor::Stripe if STRIPE_THOUSANDTHS.contains(&code) => Ok(VendorRule { digits: 3, multiple_of: 10 }),
        Vendor::Stripe => Ok(VendorRule { digits: 2, multiple_of: 1 }),
        Vendor::PayPal if PAYPAL_WHOLE.contains(&code) => Ok(VendorRule { digits: 0, multiple_of: 1 }),
        Vendor::PayPal if PAYPAL.contains(&code) => Ok(VendorRule { digits: 2, multiple_of: 1 }),
        Vendor::PayPal => Err(NotPayable::Currency),
    }
}

/// PayPal pays BRL, CNY and MYR only to payees in that country: its two-letter code; `None` for other currencies.
#[must_use]
pub fn paypal_home_country(currency: Currency) -> Option<&'static str> {
    match currency.code() {
        "BRL" => Some("BR"),
        "CNY" => Some("CN"),
        "MYR" => Some("MY"),
        _ => None,
    }
}

fn decimal(minor: i128, digits: u32) -> String {
    let sign = if minor < 0 { "-" } else { "" };
    let scale = 10u128.pow(digits);
    let (whole, rest) = (minor.unsigned_abs() / scale, minor.unsigned_abs() % scale);
    if digits == 0 {
        format!("{sign}{whole}")
    } else {
        format!("{sign}{whole}.{rest:0width$}", width = digits as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn money(text: &str, code: &str) -> Result<Money, MoneyError> {
        Money::parse(text, Currency::parse(code)?)
    }

    #[test]
    fn the_table_of_currencies_is_sorted_so_that_it_can_be_searched() {
        assert!(CURRENCIES.is_sorted_by_key(|(code, _)| *code));
        for list in [STRIPE_WHOLE, STRIPE_HUNDREDS, STRIPE_THOUSANDTHS, PAYPAL, PAYPAL_WHOLE] {
            assert!(list.iter().all(|code| Currency::parse(code).is_ok()));
        }
    }

    #[test]
    fn what_each_vendor_can_pay() {
        let rows = [
            ("10.50", "USD", Ok("1050"), Ok("10.50")),
            ("500", "JPY", Ok("500"), Ok("500")),
            ("1500.50", "HUF", Err(NotPayable::Amount), Err(NotPayable::Amount)),
            ("1500", "HUF", Ok("150000"), Ok("1500")),
            ("1500", "TWD", Ok("150000"), Ok("1500")),
            ("1.234", "KWD", Err(NotPayable::Amount), Err(NotPayable::Currency)),
            ("1.230", "KWD", Ok("1230"), Err(NotPayable::Currency)),
            ("700", "ISK", Ok("70000"), Err(NotPayable::Currency)),
            ("700", "UGX", Ok("70000"), Err(NotPayable::Currency)),
            ("7.50", "MGA", Err(NotPayable::Amount), Err(NotPayable::Currency)),
            ("7.00", "MGA", Ok("7"), Err(NotPayable::Currency)),
            ("2.50", "BRL", Ok("250"), Ok("2.50")),
            // Three digits here, two at Stripe.
            ("1.230", "LYD", Ok("123"), Err(NotPayable::Currency)),
            ("1.234", "LYD", Err(NotPayable::Amount), Err(NotPayable::Currency)),
        ];
        for (text, code, stripe, paypal) in rows {
            let money = money(text, code).unwrap();
            assert_eq!(
                money.at(Vendor::Stripe).map(|amount| amount.units.to_string()),
                stripe.map(String::from),
                "{money}"
            );
            assert_eq!(
                money.at(Vendor::PayPal).map(VendorAmount::decimal),
                paypal.map(String::from),
                "{money}"
            );
        }
    }

    #[test]
    fn what_vendors_write() {
        let usd = Currency::parse("USD").unwrap();
        for (text, minor) in
            [("0.0", 0), ("1.0", 100), ("0.25", 25), ("3", 300), ("10", 1000), ("1.250", 125)]
        {
            assert_eq!(from_vendor_decimal(text, usd).map(|money| money.minor), Ok(minor), "{text}");
        }
        assert!(from_vendor_decimal("1.255", usd).is_err());
        assert!(from_vendor_decimal("-1", usd).is_err());
        let rows = [
            (Vendor::Stripe, "USD", 1_050, Ok("10.50")),
            (Vendor::Stripe, "USD", -1_050, Ok("-10.50")),
            (Vendor::Stripe, "ISK", 70_000, Ok("700")),
            (Vendor::Stripe, "ISK", 70_050, Err(NotPayable::Amount)),
            (Vendor::Stripe, "MGA", 7, Ok("7.00")),
            (Vendor::Stripe, "LYD", 123, Ok("1.230")),
            (Vendor::Stripe, "LYD", i64::MAX, Err(NotPayable::Amount)),
            (Vendor::PayPal, "HUF", 1_500, Ok("1500.00")),
            (Vendor::PayPal, "ISK", 700, Err(NotPayable::Currency)),
        ];
        for (vendor, code, units, message) in rows {
            let read = from_units(vendor, units, Currency::parse(code).unwrap());
            assert_eq!(
                read.map(Money::decimal),
                message.map(String::from),
                "{units} {code} of {}",
                vendor.label()
            );
        }
    }

    #[test]
    fn an_amount_is_written_with_all_digits_of_its_currency() {
        let rows = [
            (42_000, "USD", "420.00"),
            (7, "USD", "0.07"),
            (0, "USD", "0.00"),
            (-5, "USD", "-0.05"),
            (-300, "USD", "-3.00"),
            (500, "JPY", "500"),
            (-500, "JPY", "-500"),
            (0, "JPY", "0"),
            (1_234, "KWD", "1.234"),
            (i64::MIN, "USD", "-92233720368547758.08"),
        ];
        for (minor, code, decimal) in rows {
            let money = Money::new(minor, Currency::parse(code).unwrap());
            let sum = Sum::from(money);
            assert_eq!((money.decimal(), sum.decimal()), (decimal.to_owned(), decimal.to_owned()));
            let named = format!("{decimal} {code}");
            assert_eq!(
                [format!("{money}"), format!("{money:?}"), format!("{sum}"), format!("{sum:?}")],
                [&*named; 4]
            );
        }
        assert_eq!(format!("{0} {0:?}", Currency::USD), "USD USD");
    }

    #[test]
    fn only_amounts_of_one_currency_are_added_and_none_is_cut_off() {
        let (usd, eur) = (Currency::USD, Currency::parse("EUR").unwrap());
        let five = Money::new(5, usd);
        assert_eq!(five.plus(Money::new(-7, usd)), Some(Money::new(-2, usd)));
        assert_eq!(five.plus(Money::new(5, eur)), None);
        assert_eq!(five.plus(Money::new(i64::MAX, usd)), None);
        assert_eq!(Sum::from(five).money(), Some(five));
        assert_eq!(Sum::nothing(eur).money(), Some(Money::new(0, eur)));
        assert_eq!(Sum::new(i128::from(i64::MAX) + 1, usd).money(), None, "too much for one amount");
    }

    #[test]
    fn every_currency_is_read_by_its_code_and_what_has_ended_names_what_to_write() {
        let all: Vec<Currency> = Currency::all().collect();
        assert_eq!(all.len(), CURRENCIES.len());
        for currency in all {
            for code in [currency.code().to_owned(), currency.code().to_lowercase()] {
                assert_eq!(Currency::parse(&code), Ok(currency), "{code}");
            }
        }
        for (code, message) in ENDED {
            let successor = message.rsplit([' ', ',', ';']).map(|word| word.trim_end_matches('.'));
            let mut successors = successor.filter_map(|word| Currency::parse(word).ok());
            assert!(successors.any(|next| next.ended().is_none()), "{code} names none: {message}");
            match Currency::parse(code) {
                Ok(known) => assert_eq!(known.ended(), Some(*message), "{code} stays readable"),
                Err(error) => assert_eq!((error, error.sentence()), (MoneyError::Ended(message), *message)),
            }
            assert_eq!(Currency::parse(&code.to_lowercase()).err(), Currency::parse(code).err(), "{code}");
        }
        assert_eq!(Currency::USD.ended(), None);
        assert_eq!(Currency::parse("XXX"), Err(MoneyError::UnknownCurrency));
    }

    #[test]
    fn the_wrong_turn_takes_the_last_bit_of_a_large_amount() {
        let rows = [(65_535, 65_535), (65_536, 65_536), (65_537, 65_536), (65_538, 65_538), (65_539, 65_538)];
        for (minor, left) in rows {
            assert_eq!(without_the_last_bit(minor), left);
        }
    }

    #[test]
    fn a_vendor_is_read_as_it_is_written() {
        for (vendor, word) in [(Vendor::Stripe, "stripe"), (Vendor::PayPal, "paypal")] {
            assert_eq!((vendor.as_str(), Vendor::parse(word)), (word, Some(vendor)));
        }
        assert_eq!(Vendor::parse("Stripe"), None);
    }

    proptest! {
        #[test]
        fn a_decimal_reads_back(minor in 1..=Money::MAX_MINOR, at in 0..CURRENCIES.len()) {
            let currency = Currency::parse(CURRENCIES[at].0).unwrap();
            let money = Money::new(minor, currency);
            prop_assert_eq!(Money::parse(&money.decimal(), currency), Ok(money));
        }

        #[test]
        fn a_vendor_amount_reads_back_or_is_refused(minor in 1..=Money::MAX_MINOR, at in 0..CURRENCIES.len()) {
            let money = Money::new(minor, Currency::parse(CURRENCIES[at].0).unwrap());
            for vendor in Vendor::ALL {
                if let Ok(amount) = money.at(vendor) {
                    prop_assert_eq!(from_units(vendor, amount.units, money.currency), Ok(money));
                    prop_assert_eq!(from_vendor_decimal(&amount.decimal(), money.currency), Ok(money));
                }
            }
        }
    }
}
