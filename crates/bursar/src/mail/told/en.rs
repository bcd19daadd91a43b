//! Gate and failure texts in English.

use payout::eligibility::Code;
use payout::reason::Cause;

use super::{Told, told};

#[rustfmt::skip]
pub fn gate(code: Code) -> Told {
    match code {
        Code::BatchEmpty | Code::ReleaseNeedsOtherPerson | Code::OverLimit | Code::AlreadyPaying | Code::PermissionDenied =>
            told("We are still preparing this payout.", "You need not do anything."),
        Code::ModuleDisabled | Code::SafeMode | Code::BooksDoNotBalance =>
            told("Payouts are paused at the moment.", "You need not do anything; what you have earned stays yours."),
        Code::VendorNotConnected =>
            told("We cannot pay through this payment service at the moment.", "You need not do anything, or you can choose the other one under “How I am paid”."),
        Code::VendorCredentialsRejected | Code::OtherVendorAccount | Code::VendorBalanceLow | Code::TransferReversed
        | Code::UnknownAtVendor =>
            told("The payment waits for us to put something right at the payment service.", "You need not do anything; we are looking into it."),
        Code::ProfileMissing =>
            told("You have not chosen how to be paid yet.", "Please choose it under “How I am paid”."),
        Code::ProfileIncomplete =>
            told("The payment service cannot pay to this account yet.", "Please finish what it asks of you, under “How I am paid”."),
        Code::ProfileChangedRecently =>
            told("Where this money goes was changed a short time ago. For your safety it waits some days.", "You need not do anything, if it was you who changed it."),
        Code::DestinationChanged =>
            told("Where your money goes was changed after this payment was prepared.", "You need not do anything; we check it and prepare the payment anew."),
        Code::TaxReportMissing =>
            told("Your tax form is missing.", "Please fill it in under “Tax report”."),
        Code::TaxReportExpired =>
            told("Your tax form is out of date.", "Please fill in a new one under “Tax report”."),
        Code::BelowThreshold =>
            told("It is less than what is paid out at the least.", "You need not do anything: it is paid as soon as enough has come together."),
        Code::AboveVendorMax | Code::AmountNotPayable =>
            told("The payment service cannot pay this amount as it is.", "You need not do anything; we divide it or put it together with other rewards."),
        Code::CurrencyUnsupported =>
            told("This currency cannot be paid to the account you gave.", "Please add a bank account in this currency, or choose another way to be paid."),
        Code::CountryUnsupported =>
            told("The payment service pays this currency only within its own country.", "Please choose another way to be paid."),
        Code::NetNotPositive =>
            told("After what was taken back and the fees, nothing is left to pay.", "You need not do anything: it is made up for by what you earn next."),
        Code::ClawbackLeftOut =>
            told("What you owe us from before is being added to your next payment.", "You need not do anything: we are putting it in order."),
        Code::TotalTooLarge =>
            told("Your payment comes to more than we can pay at once.", "You need not do anything: we are looking into it."),
        Code::FeeTableMissing =>
            told("We have not yet entered what the payment service charges in this currency.", "You need not do anything: we are putting it in order."),
        Code::PartnerOnHold =>
            told("Payouts to you are on hold while we check something.", "You need not do anything; in doubt, ask whoever runs your partner program."),
        Code::PartnerClosed =>
            told("You are no longer listed as a partner here.", "Please ask whoever runs your partner program."),
        Code::RewardNotApproved =>
            told("It has not been approved yet.", "You need not do anything; we are reviewing it."),
        Code::RewardExpired =>
            told("It expired before it was paid.", "Please ask whoever runs your partner program."),
        Code::RewardInHoldPeriod =>
            told("It is still in the waiting period of its program.", "You need not do anything: it can be paid when that is over."),
        Code::RewardNotCash =>
            told("Points are not paid out.", "There is nothing to do."),
        Code::RewardInBatch =>
            told("It is in a payout that is being prepared.", "You need not do anything."),
        Code::RewardInFlight =>
            told("It is in a payment already.", "See how that stands under “Payouts”."),
        Code::RewardPaid =>
            told("It has been paid.", "There is nothing to do."),
        Code::PaymentContradicted =>
            told("We are checking with the payment service how an earlier payment of this ended.", "You need not do anything; we are looking into it."),
        Code::WaitingForFunds =>
            told("The money is at the payment service and is not available there yet.", "You need not do anything: it goes on to your bank by itself."),
        Code::MoneyMissing =>
            told("We are finding out with the payment service where the money of this payment is.", "You need not do anything; we are looking into it."),
        Code::SetAside =>
            told("We are putting the record of this payment right.", "You need not do anything; we are looking into it."),
    }
}

#[rustfmt::skip]
pub fn cause(cause: Cause) -> Told {
    match cause {
        Cause::AccountClosed =>
            told("Your bank account is closed.", "Please give the details of a bank account that is open."),
        Cause::WrongNumber =>
            told("Your bank does not know the account number we were given.", "Please check your bank details and correct them."),
        Cause::BankRefuses =>
            told("Your bank does not accept money on this account.", "Please talk to your bank, or give another bank account."),
        Cause::WrongHolder =>
            told("The name or details of the account's holder do not match what your bank has on file.", "Please correct the holder's name and details."),
        Cause::WrongCurrency =>
            told("Your bank account does not accept this currency.", "Please add a bank account in this currency."),
        Cause::AccountUnfinished =>
            told("Your account at Stripe is not ready to be paid to.", "Please finish what Stripe asks of you."),
        Cause::Unregistered =>
            told("This address has no confirmed PayPal account.", "Please open a PayPal account with exactly this address, or confirm the one you have. If the address is wrong, give another one under “How I am paid”: this payment does not go there, but you are paid there once it has come back to us."),
        Cause::ReceiverCannot =>
            told("PayPal cannot pay to your account.", "Please put your PayPal account right, or give another destination."),
        Cause::Funds | Cause::Ours =>
            told("The payment could not be carried out.", "You need not do anything; we are looking into it."),
        Cause::BankFailed =>
            told("Your bank could not process the payment.", "You need not do anything; we try again. If it fails once more, please talk to your bank."),
        Cause::AccountUnknown =>
            told("Stripe does not know your account any more, or it is no longer connected to us.", "Please connect it again under “How I am paid”."),
        Cause::Amount =>
            told("The payment service does not pay out this amount as it is. Nothing is wrong with your bank account.", "You need not do anything; we pay it together with other rewards, or in parts."),
        Cause::NotClaimed =>
            told("The payment was not claimed at PayPal.", "Please open a PayPal account with exactly this address, or confirm the one you have. If the address is wrong, give another one under “How I am paid”: this payment does not go there, but you are paid there once it has come back to us."),
        Cause::Destination =>
            told("PayPal cannot pay to the address you gave.", "Please give another one, or another way to be paid, under “How I am paid”. We then pay you there."),
        Cause::Limit =>
            told("The payment service pays out no more today.", "You need not do anything; we try again."),
        Cause::SentBack =>
            told("This payment was sent back to us from your account.", "If that was not what you wanted, please tell whoever runs your partner program."),
        Cause::TakenBack =>
            told("The payment service took this payment back from your account.", "Please ask it why. We look into it as well."),
        Cause::Held =>
            told("PayPal is still checking this payment.", "You need not do anything, unless PayPal asks you for something."),
        Cause::Unclear => gate(Code::MoneyMissing),
    }
}
