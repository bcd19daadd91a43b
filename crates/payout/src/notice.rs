//! The notices: every occasion on which somebody is told something, and who hears of it.
//!
//! What is deliberately not here: addresses, words and mails. Who holds a role is asked of the database when a notice is
//! turned into mails, so that it goes to whoever holds it then.

use crate::spelling::spelled;

spelled! {
    /// Who hears of it.
    Audience {
        /// The partner it concerns; for an account, whoever administers it in the portal.
        Partner = "partner",
        /// The addresses that the notice itself names, and nobody else.
        Named = "named",
        /// Our person who looks after the partner's account.
        AccountOwner = "account_owner",
        /// The internal recipients of the settings.
        Internal = "internal",
        /// Whoever may prepare batches.
        Preparers = "preparers",
        /// Whoever may pay them.
        Payers = "payers",
        /// The administrators.
        Admins = "admins",
        /// Whoever may read the activity log.
        Auditors = "auditors",
        /// Whoever formed this batch, and whoever pressed Pay.
        BatchPeople = "batch_people",
    }
}

impl Audience {
    /// Partners read one text, people on our side another.
    #[must_use]
    pub fn is_partner(self) -> bool {
        matches!(self, Self::Partner | Self::Named)
    }

    /// For people.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Partner => "the partner",
            Self::Named => "the addresses it is about",
            Self::AccountOwner => "the account's owner",
            Self::Internal => "the internal recipients",
            Self::Preparers => "those who prepare payouts",
            Self::Payers => "those who pay",
            Self::Admins => "the administrators",
            Self::Auditors => "the auditors",
            Self::BatchPeople => "whoever prepared and whoever paid it",
        }
    }
}

macro_rules! notices {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, [$($audience:ident),+], $label:literal;)+) => {
        spelled! {
            /// Something somebody must be told.
            Notice { $($(#[$doc])* $variant = $name),+ }
        }

        impl Notice {
            /// Who hears of it.
            #[must_use]
            pub fn audience(self) -> &'static [Audience] {
                match self { $(Self::$variant => &[$(Audience::$audience),+]),+ }
            }

            /// For people.
            #[must_use]
            pub fn label(self) -> &'static str {
                match self { $(Self::$variant => $label),+ }
            }
        }
    };
}

notices! {
    /// A reward was approved.
    RewardApproved = "reward_approved", [Partner], "Reward approved";
    /// A reward was rejected.
    RewardRejected = "reward_rejected", [Partner], "Reward rejected";
    /// The payment is on its way.
    PaymentOnItsWay = "payment_on_its_way", [Partner], "Payment on its way";
    /// The payment is confirmed.
    PaymentPaid = "payment_paid", [Partner], "Payment made";
    /// Nothing was paid.
    PaymentFailed = "payment_failed", [Partner, AccountOwner, Internal], "Payment failed";
    /// The money came back, or the bank refused it.
    PaymentReturned = "payment_returned", [Partner, AccountOwner, Internal], "Payment came back";
    /// The payee must accept it.
    PaymentUnclaimed = "payment_unclaimed", [Partner, AccountOwner, Internal], "Payment not accepted yet";
    /// A person must find out.
    PaymentNeedsReview = "payment_needs_review", [Admins], "Payment needs review";
    /// A payee has said for the first time where they are paid.
    ProfileCompleted = "payout_profile_completed", [Partner, Internal], "Payout profile completed";
    /// A payee's destination was changed: the old and the new address hear of it.
    ProfileChanged = "payout_profile_changed", [Partner, Named, Internal], "Payout profile changed";
    /// An address is asked whether it is the payee's.
    ProfileConfirm = "payout_profile_confirm", [Named], "Confirm a payout address";
    /// A partner is invited to the portal.
    PortalInvitation = "portal_invitation", [Named], "Invitation to the portal";
    /// A colleague is invited to sign in.
    LoginInvitation = "login_invitation", [Named], "Invitation of a colleague";
    /// Somebody was shown a link with which they could sign in as somebody else.
    LoginLinkShown = "login_link_shown", [Admins], "Login link shown";
    /// Somebody has forgotten their password.
    PasswordForgotten = "password_forgotten", [Named], "Forgotten password";
    /// Somebody's own login was changed: its password or its second factor.
    LoginChanged = "login_changed", [Named], "Login changed";
    /// Somebody's second factor was taken away by somebody else.
    SecondFactorReset = "second_factor_reset", [Admins], "Second factor taken away";
    /// Somebody signed in with the provider for the first time: their login was linked to who they are there.
    LoginLinked = "login_linked", [Named], "Login linked to the provider";
    /// The provider that people sign in with has linked a login, made one, or given it another role or none.
    LoginByProvider = "login_by_provider", [Admins, Named], "Login changed by the provider";
    /// Somebody who moves money or lets people in has another role, was shut out or may sign in again.
    RightsChanged = "rights_changed", [Admins, Named], "Rights of a login changed";
    /// Somebody weakened a safeguard, or wants to.
    SafeguardLowered = "safeguard_lowered", [Admins, Named], "Safeguard lowered";
    /// Somebody made an API key.
    ApiKeyMade = "api_key_made", [Admins], "API key made";
    /// An API key that is in use ends soon.
    ApiKeyEnds = "api_key_ends", [Admins], "API key ends soon";
    /// The master key was changed at the machine.
    MasterKeyChanged = "master_key_changed", [Admins], "Master key changed";
    /// Another person is asked to release a batch.
    ReleaseRequested = "batch_release_requested", [Payers], "Release requested";
    /// The last payment of a batch has ended.
    BatchFinal = "batch_final", [BatchPeople], "Payout finished";
    /// Nothing can be paid without a tax report.
    TaxReportNeeded = "tax_report_needed", [Partner], "Tax report needed";
    /// The tax report on file ends soon.
    TaxReportExpiring = "tax_report_expiring", [Partner], "Tax report expires soon";
    /// What the partner must do to be paid.
    Reminder = "reminder", [Partner], "Reminder of what is missing";
    /// A partner asks for their money.
    PayoutRequested = "payout_requested", [Preparers], "Payout requested";
    /// A vendor refuses our credentials.
    CredentialsRejected = "vendor_credentials_rejected", [Admins], "Vendor credentials rejected";
    /// A vendor's webhooks do not arrive.
    WebhooksSilent = "webhooks_silent", [Admins], "Webhooks are silent";
    /// Payments wait for their vendor for too long.
    PaymentsStuck = "payments_stuck", [Admins], "Payments are stuck";
    /// Something that must always hold does not.
    BooksDoNotBalance = "books_do_not_balance", [Admins, Auditors], "Something that must hold does not";
    /// What a vendor says has moved and what the books say are not the same.
    ReconciliationOpen = "reconciliation_open", [Admins, Auditors], "Vendor and books differ";
    /// How far the activity log reaches, signed.
    LogSigned = "activity_log_signed", [Auditors], "Activity log signed";
}

impl Notice {
    /// Several of them about one partner go as one mail, at most one an hour.
    #[must_use]
    pub fn is_collected(self) -> bool {
        matches!(self, Self::RewardApproved | Self::RewardRejected)
    }

    /// It is always told in Bursar's own words: whoever weakens a safeguard, or shuts colleagues out, must not choose how
    /// others are told.
    #[must_use]
    pub fn is_fixed(self) -> bool {
        matches!(self, Self::RightsChanged | Self::SafeguardLowered | Self::MasterKeyChanged)
    }

    /// It carries a link that only its receiver may follow.
    #[must_use]
    pub fn carries_secret(self) -> bool {
        matches!(
            self,
            Self::ProfileConfirm | Self::PortalInvitation | Self::LoginInvitation | Self::PasswordForgotten
        )
    }
}
