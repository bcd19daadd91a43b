//! Notices: every occasion on which somebody is notified, and who.
//!
//! Not here: addresses, texts and mails. Role holders are looked up when a notice is expanded into mails, so that it
//! goes to whoever holds the role then.

use crate::spelling::spelled;

spelled! {
    /// Who receives a notice.
    Audience {
        /// The partner it concerns; for an account, its partner administrators.
        Partner = "partner",
        /// Only the addresses the notice itself names.
        Named = "named",
        /// Our colleague who looks after the partner's account.
        AccountOwner = "account_owner",
        /// The internal recipients in the settings.
        Internal = "internal",
        /// Everybody who may prepare batches.
        Preparers = "preparers",
        /// Everybody who may pay batches.
        Payers = "payers",
        /// The administrators.
        Admins = "admins",
        /// Everybody who may read the activity log.
        Auditors = "auditors",
        /// Whoever prepared this batch and whoever pressed Pay.
        BatchPeople = "batch_people",
    }
}

impl Audience {
    /// Whether it gets the text for partners; our own people get another one.
    #[must_use]
    pub fn is_partner(self) -> bool {
        matches!(self, Self::Partner | Self::Named)
    }

    /// The name shown to people.
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
            /// An occasion for a notification.
            Notice { $($(#[$doc])* $variant = $name),+ }
        }

        impl Notice {
            /// The audiences that receive it.
            #[must_use]
            pub fn audience(self) -> &'static [Audience] {
                match self { $(Self::$variant => &[$(Audience::$audience),+]),+ }
            }

            /// The name shown to people.
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
    /// The payment failed; nothing was paid.
    PaymentFailed = "payment_failed", [Partner, AccountOwner, Internal], "Payment failed";
    /// The money came back, or the bank refused it.
    PaymentReturned = "payment_returned", [Partner, AccountOwner, Internal], "Payment came back";
    /// The payee has to accept the payment.
    PaymentUnclaimed = "payment_unclaimed", [Partner, AccountOwner, Internal], "Payment not accepted yet";
    /// A person has to find out the outcome.
    PaymentNeedsReview = "payment_needs_review", [Admins], "Payment needs review";
    /// A payee set a destination for the first time.
    ProfileCompleted = "payout_profile_completed", [Partner, Named, Internal], "Payout profile completed";
    /// A payee's destination changed: the old and the new address are notified.
    ProfileChanged = "payout_profile_changed", [Partner, Named, Internal], "Payout profile changed";
    /// A partner has another mail address: the old one is told.
    PartnerAddressChanged = "partner_address_changed", [Named, Internal], "Partner's address changed";
    /// An address is asked to confirm that it is the payee's.
    ProfileConfirm = "payout_profile_confirm", [Named], "Confirm a payout address";
    /// A partner is invited to the portal.
    PortalInvitation = "portal_invitation", [Named], "Invitation to the portal";
    /// A colleague is invited to sign in.
    LoginInvitation = "login_invitation", [Named], "Invitation of a colleague";
    /// Somebody was shown a link that signs in as somebody else.
    LoginLinkShown = "login_link_shown", [Admins], "Login link shown";
    /// Somebody forgot their password.
    PasswordForgotten = "password_forgotten", [Named], "Forgotten password";
    /// Somebody's own login changed: its password or its second factor.
    LoginChanged = "login_changed", [Named], "Login changed";
    /// Somebody signed in to a login in a browser that was not used for it before.
    LoginNewBrowser = "login_new_browser", [Named], "Sign-in from a new browser";
    /// Many wrong passwords were entered for a login.
    LoginAttacked = "login_attacked", [Named, Admins], "Many wrong passwords for a login";
    /// Somebody else removed a person's second factor.
    SecondFactorReset = "second_factor_reset", [Admins], "Second factor taken away";
    /// Somebody signed in with the identity provider for the first time: their login was linked to their identity
    /// there.
    LoginLinked = "login_linked", [Named], "Login linked to the provider";
    /// The identity provider linked or created a login, or changed or removed its role.
    LoginByProvider = "login_by_provider", [Admins, Named], "Login changed by the provider";
    /// A login that moves money or administers got another role, or was disabled or enabled.
    RightsChanged = "rights_changed", [Admins, Named], "Rights of a login changed";
    /// Somebody weakened a safeguard, or wants to.
    SafeguardLowered = "safeguard_lowered", [Admins, Named], "Safeguard lowered";
    /// Somebody created an API key.
    ApiKeyMade = "api_key_made", [Admins], "API key made";
    /// An API key in use expires soon.
    ApiKeyEnds = "api_key_ends", [Admins], "API key ends soon";
    /// Somebody saved, replaced or removed a vendor's credentials.
    VendorConnectionChanged = "vendor_connection_changed", [Admins, Named], "Vendor connection changed";
    /// The master key was changed on the machine.
    MasterKeyChanged = "master_key_changed", [Admins], "Master key changed";
    /// Another person has to release a batch.
    ReleaseRequested = "batch_release_requested", [Payers], "Release requested";
    /// The last payment of a batch has ended.
    BatchFinal = "batch_final", [BatchPeople], "Payout finished";
    /// Payments are blocked until a tax report is on file.
    TaxReportNeeded = "tax_report_needed", [Partner], "Tax report needed";
    /// The tax report on file expires soon.
    TaxReportExpiring = "tax_report_expiring", [Partner], "Tax report expires soon";
    /// Reminds the partner of what is missing for payment.
    Reminder = "reminder", [Partner], "Reminder of what is missing";
    /// A partner requests their payout.
    PayoutRequested = "payout_requested", [Preparers], "Payout requested";
    /// A vendor rejects our credentials.
    CredentialsRejected = "vendor_credentials_rejected", [Admins], "Vendor credentials rejected";
    /// A vendor's webhooks are not arriving.
    WebhooksSilent = "webhooks_silent", [Admins], "Webhooks are silent";
    /// Payments have waited for their vendor too long.
    PaymentsStuck = "payments_stuck", [Admins], "Payments are stuck";
    /// An invariant is violated.
    BooksDoNotBalance = "books_do_not_balance", [Admins, Auditors], "Something that must hold does not";
    /// The vendor's movements and the ledger differ.
    ReconciliationOpen = "reconciliation_open", [Admins, Auditors], "Vendor and books differ";
    /// The signed head of the activity log.
    LogSigned = "activity_log_signed", [Auditors], "Activity log signed";
}

impl Notice {
    /// Whether several of them about one partner are combined into one mail, at most one per hour.
    #[must_use]
    pub fn is_collected(self) -> bool {
        matches!(self, Self::RewardApproved | Self::RewardRejected)
    }

    /// Whether administrators cannot reword it. These mails warn of somebody gaining power or weakening a safeguard, so
    /// whoever does it must not choose how the others are told.
    #[must_use]
    pub fn is_fixed(self) -> bool {
        matches!(
            self,
            Self::LoginNewBrowser
                | Self::LoginAttacked
                | Self::RightsChanged
                | Self::SafeguardLowered
                | Self::VendorConnectionChanged
                | Self::MasterKeyChanged
                | Self::LoginLinkShown
                | Self::LoginByProvider
                | Self::SecondFactorReset
                | Self::ApiKeyMade
        )
    }

    /// Whether it contains a link that only its recipient may follow.
    #[must_use]
    pub fn carries_secret(self) -> bool {
        matches!(
            self,
            Self::ProfileConfirm | Self::PortalInvitation | Self::LoginInvitation | Self::PasswordForgotten
        )
    }
}
