//! The privileges that the server's PostgreSQL role needs besides reading every table. `deploy/postgres-roles.sql` grants
//! them; a test keeps the two in agreement. Not here: who is checked, and when (`schema`).

/// A privilege, and the tables it is needed on, separated by spaces.
pub type Needed = (Right, &'static str);

/// A privilege of a role on a table.
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

    /// What the role cannot do, in words that precede table names.
    pub fn told(self) -> &'static str {
        match self {
            Self::Select => "read",
            Self::Insert => "add to",
            Self::Update => "change",
            Self::Delete => "take from",
        }
    }
}

/// Append-only tables: insert, no update, no delete.
const APPEND_ONLY: &str = "audit batch_hand external_id_review found_payee journal mail_try notice_template posting \
     profile_change shared_destination timeline transaction_reward";

/// Insert and delete, no update.
const INSERT_DELETE: &str = "audit_waiting batch_shown came_back export_part import_file mail_suppression passkey_challenge \
     search_word second_opinion";

/// Insert and update, no delete.
const INSERT_UPDATE: &str = "account activity asked attempt batch connected_account counter decision decision_reward \
     export_run found_payment import_header import_run login_tries mail named_object notice_told outbox partner \
     payout_profile payout_request payout_transaction person preference program reconciliation_case \
     retired_key second_payment set_aside setting skipped_claim submission tax_report \
     threshold_override vendor_answer vendor_day vendor_event vendor_movement vendor_pull";

/// Tables with insert, update and delete.
const READ_WRITE: &str = "address_confirmation former_email factor factor_begun half_login idempotency import_refused login_browser login_bucket \
     login_identity login_link meta node onboarding_state passkey recovery_code reward saved_view secret_link session \
     vendor_connection";

/// The privileges needed besides reading.
pub const NEEDED: [Needed; 8] = [
    (Right::Insert, APPEND_ONLY),
    (Right::Insert, INSERT_DELETE),
    (Right::Insert, INSERT_UPDATE),
    (Right::Insert, READ_WRITE),
    (Right::Update, INSERT_UPDATE),
    (Right::Update, READ_WRITE),
    (Right::Delete, INSERT_DELETE),
    (Right::Delete, READ_WRITE),
];
