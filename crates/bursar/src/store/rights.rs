//! What the role that serves must be allowed on PostgreSQL, beside reading every table: `deploy/postgres-roles.sql` grants
//! it, and a test holds the two together. What is deliberately not here: who is asked, and when (`schema`).

/// A right, and the tables that it is needed on, with a space between.
pub type Needed = (Right, &'static str);

/// What a role may be allowed to do with a table.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Right {
    Select,
    Insert,
    Update,
    Delete,
}

impl Right {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Select => "SELECT",
            Self::Insert => "INSERT",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
        }
    }

    /// For people: what a role may not do, before the names of tables.
    pub fn told(self) -> &'static str {
        match self {
            Self::Select => "read",
            Self::Insert => "add to",
            Self::Update => "change",
            Self::Delete => "take from",
        }
    }
}

/// What is added to, never changed and never taken away.
const KEPT: &str = "audit batch_hand external_id_review found_payee journal mail_try notice_template posting \
     profile_change shared_destination timeline transaction_reward";

/// What is added and taken away.
const PASSING: &str = "audit_waiting batch_shown came_back export_part import_file mail_suppression passkey_challenge \
     search_word second_opinion";

/// What is changed, and never taken away.
const CHANGING: &str = "account activity asked attempt batch connected_account counter decision decision_reward \
     export_run found_payment import_header import_run mail named_object notice_told outbox partner \
     payout_profile payout_request payout_transaction person preference program reconciliation_case \
     retired_key second_payment set_aside setting skipped_claim submission tax_report \
     threshold_override vendor_answer vendor_day vendor_event vendor_movement vendor_pull";

/// What is changed and taken away.
const FREE: &str = "address_confirmation factor factor_begun half_login idempotency import_refused login_identity \
     login_link meta node onboarding_state passkey recovery_code reward saved_view session \
     vendor_connection";

/// What is needed beside reading.
pub const NEEDED: [Needed; 8] = [
    (Right::Insert, KEPT),
    (Right::Insert, PASSING),
    (Right::Insert, CHANGING),
    (Right::Insert, FREE),
    (Right::Update, CHANGING),
    (Right::Update, FREE),
    (Right::Delete, PASSING),
    (Right::Delete, FREE),
];
