//! Gate and failure texts in English.

use payout::eligibility::Code;
use payout::reason::Cause;

use super::{PartnerText, text};

#[rustfmt::skip]
pub fn gate(code: Code) -> PartnerText {
    match code {
        Code::BatchEmpty | Code::ReleaseNeedsOtherPerson | Code::OverLimit | Code::AlreadyPaying | Code::PermissionDenied =>
            text("We are still preparing this payout.", "You do not need to do anything."),
        Code::ModuleDisabled | Code::SafeMode | Code::BooksDoNotBalance =>
            text("Payouts are paused at the moment.", "You do not need to do anything. What you have earned stays yours."),
        Code::VendorNotConnected =>
            text("We cannot pay through this payment service at the moment.", "You do not need to do anything. You can also choose the other one under “How I am paid”."),
        Code::VendorCredentialsRejected | Code::OtherVendorAccount | Code::VendorBalanceLow | Code::TransferReversed
        | Code::UnknownAtVendor =>
            text("The payment is waiting for us to fix something at the payment service.", "You do not need to do anything. We are looking into it."),
        Code::ProfileMissing =>
            text("You have not chosen how to be paid yet.", "Please choose it under “How I am paid”."),
        Code::ProfileIncomplete =>
            text("The payment service cannot pay to this account yet.", "Please complete the missing steps under “How I am paid”."),
        Code::ProfileChangedRecently =>
            text("Your payout destination was changed recently. For your safety, the payment waits a few days.", "If you made this change, you do not need to do anything."),
        Code::DestinationChanged =>
            text("Your payout destination was changed after this payment was prepared.", "You do not need to do anything. We will check it and prepare the payment again."),
        Code::TaxReportMissing =>
            text("Your tax form is missing.", "Please fill it in under “Tax report”."),
        Code::TaxReportExpired =>
            text("Your tax form is out of date.", "Please fill in a new one under “Tax report”."),
        Code::BelowThreshold =>
            text("It is less than the minimum payout.", "You do not need to do anything. It is paid once you have reached the minimum."),
        Code::AboveVendorMax | Code::AmountNotPayable =>
            text("The payment service cannot pay this exact amount.", "You do not need to do anything. We will split it or combine it with other rewards."),
        Code::CurrencyUnsupported =>
            text("This currency cannot be paid to the account you gave.", "Please add a bank account in this currency, or choose another way to be paid."),
        Code::CountryUnsupported =>
            text("The payment service pays this currency only within its own country.", "Please choose another way to be paid."),
        Code::NetNotPositive =>
            text("After clawbacks and fees, nothing is left to pay.", "You do not need to do anything. It is offset by what you earn next."),
        Code::ClawbackLeftOut =>
            text("An earlier clawback is being added to your next payment.", "You do not need to do anything. We are fixing it."),
        Code::TotalTooLarge =>
            text("Your payment is larger than we can pay at once.", "You do not need to do anything. We are looking into it."),
        Code::FeeTableMissing =>
            text("We have not yet entered the payment service's fees for this currency.", "You do not need to do anything. We are fixing it."),
        Code::PartnerOnHold =>
            text("Payouts to you are on hold while we check something.", "You do not need to do anything. If you have questions, ask your partner program team."),
        Code::PartnerClosed =>
            text("You are no longer listed as a partner here.", "Please ask your partner program team."),
        Code::RewardNotApproved =>
            text("It has not been approved yet.", "You do not need to do anything. We are reviewing it."),
        Code::RewardExpired =>
            text("It expired before it was paid.", "Please ask your partner program team."),
        Code::RewardInHoldPeriod =>
            text("It is still in its program's waiting period.", "You do not need to do anything. It can be paid when the waiting period is over."),
        Code::RewardNotCash =>
            text("Points are not paid out.", "There is nothing to do."),
        Code::RewardInBatch =>
            text("It is in a payout that is being prepared.", "You do not need to do anything."),
        Code::RewardInFlight =>
            text("It is already in a payment.", "See its status under “Payouts”."),
        Code::RewardPaid =>
            text("It has been paid.", "There is nothing to do."),
        Code::PaymentContradicted =>
            text("We are checking with the payment service how an earlier payment for this ended.", "You do not need to do anything. We are looking into it."),
        Code::WaitingForFunds =>
            text("The money is at the payment service but not available there yet.", "You do not need to do anything. It will go to your bank automatically."),
        Code::MoneyMissing =>
            text("We are checking with the payment service where the money is.", "You do not need to do anything. We are looking into it."),
        Code::SetAside =>
            text("We are fixing the record of this payment.", "You do not need to do anything. We are looking into it."),
    }
}

#[rustfmt::skip]
pub fn cause(cause: Cause) -> PartnerText {
    match cause {
        Cause::AccountClosed =>
            text("Your bank account is closed.", "Please add a bank account that is open."),
        Cause::WrongNumber =>
            text("Your bank does not know the account number we were given.", "Please check your bank details and correct them."),
        Cause::BankRefuses =>
            text("Your bank does not accept payments to this account.", "Please contact your bank, or add another bank account."),
        Cause::WrongHolder =>
            text("The account holder's name or details do not match your bank's records.", "Please correct the account holder's name and details."),
        Cause::WrongCurrency =>
            text("Your bank account does not accept this currency.", "Please add a bank account in this currency."),
        Cause::AccountUnfinished =>
            text("Your Stripe account cannot receive payments yet.", "Please complete the steps that Stripe asks for."),
        Cause::Unregistered =>
            text("This address has no confirmed PayPal account.", "Please open a PayPal account with exactly this address, or confirm the one you have. If the address is wrong, add another one under “How I am paid”. This payment is not sent there, but once it comes back to us, we pay you there."),
        Cause::ReceiverCannot =>
            text("PayPal cannot pay to your account.", "Please fix the problem with your PayPal account, or choose another destination."),
        Cause::Funds | Cause::Ours =>
            text("The payment could not be made.", "You do not need to do anything. We are looking into it."),
        Cause::BankFailed =>
            text("Your bank could not process the payment.", "You do not need to do anything. We will try again. If it fails again, please contact your bank."),
        Cause::AccountUnknown =>
            text("Stripe no longer knows your account, or it is no longer connected to us.", "Please connect it again under “How I am paid”."),
        Cause::Amount =>
            text("The payment service cannot pay out this exact amount. Your bank account is fine.", "You do not need to do anything. We will combine it with other rewards or split it."),
        Cause::NotClaimed =>
            text("The payment was not claimed at PayPal.", "Please open a PayPal account with exactly this address, or confirm the one you have. If the address is wrong, add another one under “How I am paid”. This payment is not sent there, but once it comes back to us, we pay you there."),
        Cause::Destination =>
            text("PayPal cannot pay to the address you gave.", "Please add another address, or choose another way to be paid, under “How I am paid”. We will then pay you there."),
        Cause::Limit =>
            text("The payment service has reached its limit for today.", "You do not need to do anything. We will try again."),
        Cause::SentBack =>
            text("This payment was sent back to us from your account.", "If you did not intend this, please tell your partner program team."),
        Cause::TakenBack =>
            text("The payment service took this payment back from your account.", "Please ask it why. We are looking into it too."),
        Cause::Held =>
            text("PayPal is still checking this payment.", "You do not need to do anything unless PayPal asks you to."),
        Cause::Unclear => gate(Code::MoneyMissing),
    }
}
