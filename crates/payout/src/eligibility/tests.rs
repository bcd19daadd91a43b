//! The gates, individually and combined. Not here: their messages, which `tests/printed.rs` prints.

use super::*;
use crate::ids::PartnerId;
use crate::settings::Limits;

fn eur(minor: i64) -> Money {
    Money::new(minor, Currency::parse("EUR").unwrap())
}

fn good_payee() -> (PayeeFacts, Settings, VendorFacts) {
    let facts = PayeeFacts {
        payee: Payee::Partner(PartnerId::fresh(0, 1)),
        standing: PayeeStanding::Active,
        note: None,
        country: Some("DE".into()),
        profile: Some(ProfileFacts {
            vendor: Vendor::PayPal,
            payable: true,
            why_not: None,
            changed_at: None,
            fingerprint: "f".into(),
            currencies: None,
        }),
        tax: TaxReport::Missing,
    };
    let settings = Settings { enabled: true, vendors: vec![Vendor::PayPal], ..Settings::default() };
    (facts, settings, VendorFacts { connected: vec![Vendor::PayPal], rejected: vec![] })
}

#[test]
fn a_reward_tells_all_its_gates() {
    let good = RewardFacts {
        status: RewardStatus::Approved,
        reward_type: RewardType::Cash,
        expires_at: Some(10),
        held_until: Some(5),
        placement: Placement::Free,
        contradicted: false,
    };
    let batch = BatchId::fresh(0, 1);
    let rows: [(RewardFacts, i64, &[Code]); 10] = [
        (good, 6, &[]),
        (good, 5, &[]),
        (RewardFacts { expires_at: None, held_until: None, ..good }, 99, &[]),
        (RewardFacts { placement: Placement::Paid(3), ..good }, 99, &[Code::RewardPaid]),
        (RewardFacts { contradicted: true, ..good }, 6, &[Code::PaymentContradicted]),
        (good, 10, &[Code::RewardExpired]),
        (good, 4, &[Code::RewardInHoldPeriod]),
        (RewardFacts { placement: Placement::InBatch(batch), ..good }, 99, &[]),
        (
            RewardFacts { placement: Placement::InBatch(BatchId::fresh(0, 2)), ..good },
            99,
            &[Code::RewardInBatch],
        ),
        (
            RewardFacts {
                status: RewardStatus::Submitted,
                reward_type: RewardType::Points,
                placement: Placement::InFlight,
                ..good
            },
            4,
            &[Code::RewardNotCash, Code::RewardNotApproved, Code::RewardInFlight, Code::RewardInHoldPeriod],
        ),
    ];
    for (facts, now, expected) in rows {
        assert_eq!(reward(&facts, Some(batch), now), expected, "{facts:?} at {now}");
    }
}

#[test]
fn a_payee_tells_all_its_gates() {
    let (good, settings, vendors) = good_payee();
    assert_eq!(payee(&good, &settings, &vendors, 0), []);
    let strict = Settings { us_tax_tracking: true, vendors: vec![], ..settings.clone() };
    let changed =
        good.profile.clone().map(|profile| ProfileFacts { payable: false, changed_at: Some(0), ..profile });
    let bad = PayeeFacts { standing: PayeeStanding::OnHold, profile: changed, ..good.clone() };
    assert_eq!(
        payee(&bad, &strict, &vendors, 71 * 3_600_000_000),
        [
            Code::PartnerOnHold,
            Code::ProfileIncomplete,
            Code::VendorNotConnected,
            Code::ProfileChangedRecently,
            Code::TaxReportMissing
        ]
    );
    let unfit = PayeeFacts { tax: TaxReport::Unfit, ..good.clone() };
    let tracking = Settings { us_tax_tracking: true, ..settings };
    assert_eq!(payee(&unfit, &tracking, &vendors, 0), [Code::TaxReportMissing]);
    let expired = PayeeFacts { tax: TaxReport::Until(Some(5)), profile: None, ..good };
    assert_eq!(payee(&expired, &strict, &vendors, 5), [Code::ProfileMissing, Code::TaxReportExpired]);
    for (tax, now) in [(TaxReport::Until(Some(5)), 4), (TaxReport::Until(None), i64::MAX)] {
        let on_file = PayeeFacts { tax, ..unfit.clone() };
        assert_eq!(payee(&on_file, &tracking, &vendors, now), [], "{tax:?}");
    }
    let closed = PayeeFacts { standing: PayeeStanding::Closed, ..unfit };
    assert_eq!(
        payee(&closed, &Settings { us_tax_tracking: false, ..tracking }, &vendors, 0),
        [Code::PartnerClosed]
    );
}

#[test]
fn a_payees_vendor_is_selected_and_connected_and_takes_our_credentials() {
    let (good, settings, _) = good_payee();
    let (paypal, stripe) = (vec![Vendor::PayPal], vec![Vendor::Stripe]);
    type Row<'a> = (&'a [Vendor], &'a [Vendor], &'a [Vendor], &'a [Code]);
    let rows: [Row<'_>; 6] = [
        (&paypal, &paypal, &[], &[]),
        (&paypal, &paypal, &stripe, &[]),
        (&paypal, &paypal, &paypal, &[Code::VendorCredentialsRejected]),
        (&paypal, &stripe, &[], &[Code::VendorNotConnected]),
        (&stripe, &paypal, &[], &[Code::VendorNotConnected]),
        (&[], &[], &paypal, &[Code::VendorNotConnected]),
    ];
    for (selected, connected, rejected, expected) in rows {
        let settings = Settings { vendors: selected.to_vec(), ..settings.clone() };
        let vendors = VendorFacts { connected: connected.to_vec(), rejected: rejected.to_vec() };
        assert_eq!(payee(&good, &settings, &vendors, 0), expected, "{selected:?} {vendors:?}");
    }
}

#[test]
fn a_changed_destination_waits_out_its_cooling_off_and_not_a_moment_longer() {
    let (mut facts, settings, vendors) = good_payee();
    let hours = |hours: i64| hours * 3_600_000_000;
    facts.profile.as_mut().unwrap().changed_at = Some(hours(1));
    let waits = |cooling_off_hours, now| {
        let settings = Settings { cooling_off_hours, ..settings.clone() };
        !payee(&facts, &settings, &vendors, now).is_empty()
    };
    assert!(waits(72, hours(1)) && waits(72, hours(73) - 1));
    assert!(!waits(72, hours(73)) && !waits(72, hours(74)));
    assert!(!waits(0, hours(1)), "the operator has switched the wait off");
}

#[test]
fn an_amount_tells_all_its_gates() {
    let (good, mut settings, _) = good_payee();
    settings.earning_thresholds = vec![eur(5_000)];
    settings.vendor_maximums = vec![(Vendor::PayPal, eur(10_000))];
    let brl = Money::new(500, Currency::parse("BRL").unwrap());
    let huf = Money::new(150_050, Currency::parse("HUF").unwrap());
    let isk = Money::new(700, Currency::parse("ISK").unwrap());
    let bgn = Money::new(700, Currency::parse("BGN").unwrap());
    let rows: [(Money, &[Code]); 11] = [
        (eur(5_000), &[]),
        (eur(4_999), &[Code::BelowThreshold]),
        (eur(1), &[Code::BelowThreshold]),
        (eur(0), &[Code::NetNotPositive]),
        (eur(-1), &[Code::NetNotPositive]),
        (eur(10_000), &[]),
        (eur(10_001), &[Code::AboveVendorMax]),
        (brl, &[Code::CountryUnsupported]),
        (huf, &[Code::AmountNotPayable]),
        (isk, &[Code::CurrencyUnsupported]),
        (bgn, &[Code::CurrencyUnsupported]),
    ];
    for (money, expected) in rows {
        assert_eq!(amount(&good, &settings, money, money), expected, "{money}");
    }
    let unknown = PayeeFacts { profile: None, ..good };
    assert_eq!(amount(&unknown, &settings, isk, isk), [], "no vendor is chosen yet");
}

#[test]
fn what_a_payees_account_and_country_can_take() {
    let (good, settings, _) = good_payee();
    let cny = Money::new(500, Currency::parse("CNY").unwrap());
    let at = |vendor, country: &str, currencies: Option<Vec<Currency>>, money| {
        let profile = good.profile.clone().map(|profile| ProfileFacts { vendor, currencies, ..profile });
        amount(
            &PayeeFacts { country: Some(country.into()), profile, ..good.clone() },
            &settings,
            money,
            money,
        )
    };
    assert_eq!(at(Vendor::PayPal, "CN", None, cny), []);
    assert_eq!(at(Vendor::PayPal, "DE", None, cny), [Code::CountryUnsupported]);
    assert_eq!(at(Vendor::Stripe, "DE", None, cny), [], "the rule is PayPal's");
    let has = Some(vec![eur(0).currency]);
    assert_eq!(at(Vendor::Stripe, "DE", has.clone(), eur(500)), []);
    assert_eq!(at(Vendor::Stripe, "DE", has.clone(), cny), [Code::CurrencyUnsupported]);
    // Stripe still accepts the lev, in which nobody can have an account any more: reported once, whatever the account
    // has.
    let bgn = Money::new(500, Currency::parse("BGN").unwrap());
    for currencies in [None, Some(vec![bgn.currency]), has] {
        assert_eq!(at(Vendor::Stripe, "BG", currencies, bgn), [Code::CurrencyUnsupported]);
    }
}

#[test]
fn a_payee_bears_a_fee_only_where_it_is_known() {
    let (good, settings, _) = good_payee();
    let borne_by = |fees_paid_by| Settings { fees_paid_by, ..settings.clone() };
    let partner = borne_by(crate::batch::FeesPaidBy::Partner);
    let codes = |settings: &Settings| amount(&good, settings, eur(500), eur(500));
    assert_eq!(codes(&borne_by(crate::batch::FeesPaidBy::Company)), []);
    assert_eq!(codes(&partner), [Code::FeeTableMissing]);
    let message = note(Code::FeeTableMissing, &good, &partner, eur(500), eur(500));
    assert_eq!(message.as_deref(), Some("Missing: PayPal's fee in EUR."));
}

#[test]
fn who_must_act_is_the_codes_unless_more_is_known() {
    let plain = Blocker::new(Code::MoneyMissing, "PT-1");
    assert_eq!((plain.who(), plain.remedy()), (Who::Payer, Code::MoneyMissing.remedy()));
    assert_eq!((plain.subject.as_str(), plain.message()), ("PT-1", Code::MoneyMissing.message().into()));
    let known = plain.noting(Some("It went to po_1.".into())).acting(Who::Admin, "Ask Stripe.");
    assert_eq!((known.who(), known.remedy()), (Who::Admin, "Ask Stripe."));
    assert!(known.message().ends_with(" It went to po_1."), "{}", known.message());
}

#[test]
fn what_is_known_stands_behind_the_words() {
    let (mut facts, mut settings, _) = good_payee();
    facts.standing = PayeeStanding::OnHold;
    facts.note = Some("a dispute about May. ".into());
    settings.earning_thresholds = vec![eur(5_000)];
    settings.vendor_maximums = vec![(Vendor::PayPal, eur(900))];
    facts.profile.as_mut().unwrap().why_not = Some("the address is not confirmed.".into());
    let describe = |code| {
        let note = note(code, &facts, &settings, eur(1_000), eur(980));
        Blocker::new(code, "x").noting(note).message()
    };
    assert_eq!(describe(Code::PartnerOnHold), "The payee is on hold. Note: a dispute about May.");
    assert_eq!(
        describe(Code::BelowThreshold),
        "The payee's total is under the earning threshold. It is 10.00 EUR; the threshold is 50.00 EUR."
    );
    assert_eq!(
        describe(Code::AboveVendorMax),
        "The payment is over the maximum set for this vendor and currency. It is 9.80 EUR; the maximum is 9.00 EUR."
    );
    assert_eq!(
        describe(Code::ProfileIncomplete),
        "The vendor says that the payee's payout profile is not ready to be paid to. PayPal: the address is not confirmed."
    );
    assert_eq!(describe(Code::ProfileMissing), Code::ProfileMissing.message());
    for (note, standing) in [(None, PayeeStanding::Closed), (Some(" "), PayeeStanding::OnHold)] {
        let silent = PayeeFacts { note: note.map(String::from), standing, ..facts.clone() };
        assert_eq!(note_on_payee(Code::PartnerOnHold, &silent), None, "{note:?}");
    }
}

#[test]
fn a_limit_is_reached_exactly_and_never_passed() {
    let usd = |minor| Money::new(minor, Currency::parse("USD").unwrap());
    let limits =
        Limits { per_batch: vec![eur(100)], per_day: vec![eur(200)], per_person_per_day: vec![usd(50)] };
    let settings = Settings { limits, ..Settings::default() };
    let spending = |batch: Money, day: Money, person: Vec<Money>| Spending {
        batch: vec![batch.into()],
        day: vec![day.into()],
        person: person.into_iter().map(Sum::from).collect(),
        ..Spending::default()
    };
    let by_key = |key: Money| Spending {
        key: vec![key.into()],
        key_limits: vec![eur(70)],
        ..spending(eur(100), eur(200), vec![])
    };
    let rows: [(Spending, usize); 8] = [
        (by_key(eur(70)), 0),
        (by_key(eur(71)), 1),
        (by_key(usd(1)), 1),
        (spending(eur(100), eur(200), vec![usd(50)]), 0),
        (spending(eur(101), eur(200), vec![usd(50)]), 1),
        (spending(eur(101), eur(201), vec![usd(51)]), 3),
        (spending(usd(101), usd(201), vec![eur(51)]), 0),
        (spending(eur(1), eur(1), vec![]), 0),
    ];
    for (spending, over) in rows {
        assert_eq!(over_limits(&settings, &spending).len(), over, "{spending:?}");
    }
    assert_eq!(
        over_limits(&settings, &spending(eur(101), eur(101), vec![])),
        ["This payout totals 1.01 EUR; the limit per payout is 1.00 EUR."]
    );
}

#[test]
fn what_waits_and_what_stops_before_a_send() {
    use BeforeSend::{Open, Stop, Wait};
    let rows: [(&[Code], bool, bool, BeforeSend); 7] = [
        (&[], true, false, Open),
        (&[Code::ModuleDisabled], true, false, Stop(Code::ModuleDisabled)),
        (&[], false, false, Stop(Code::DestinationChanged)),
        (&[Code::ProfileChangedRecently], false, false, Wait(Code::ProfileChangedRecently)),
        (&[Code::VendorCredentialsRejected], true, false, Wait(Code::VendorCredentialsRejected)),
        (&[Code::ProfileChangedRecently, Code::PartnerOnHold], true, false, Stop(Code::PartnerOnHold)),
        (&[Code::PartnerOnHold], true, true, Wait(Code::SafeMode)),
    ];
    for (codes, same, safe, expected) in rows {
        assert_eq!(before_send(codes, same, safe), expected, "{codes:?}");
    }
    let waits: Vec<&str> =
        Code::ALL.iter().filter(|code| may_wait(**code)).map(|code| code.as_str()).collect();
    assert_eq!(
        waits,
        [
            "vendor_credentials_rejected",
            "other_vendor_account",
            "safe_mode",
            "books_do_not_balance",
            "unknown_at_vendor",
            "profile_changed_recently",
        ]
    );
}
