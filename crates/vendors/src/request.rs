//! A money request as it is stored before it is sent: everything but the credentials.
//!
//! The value is the same whether just built or loaded from the database, and one function validates both. Each vendor's
//! module decides what is in the body.

use std::fmt;

/// The money-moving endpoint a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MoneyKind {
    /// Stripe: platform balance to connected balance, `POST /v1/transfers`.
    Transfer,
    /// Stripe: connected balance to its bank, `POST /v1/payouts` as the connected account.
    Payout,
    /// Stripe: connected balance back to the platform, `POST /v1/transfers/{id}/reversals`.
    Reversal,
    /// PayPal: many items together, `POST /v1/payments/payouts`.
    Batch,
    /// PayPal: cancels an unclaimed item, `POST /v1/payments/payouts-item/{id}/cancel`.
    Cancel,
}

impl MoneyKind {
    /// All kinds of money request.
    pub const ALL: [Self; 5] = [Self::Transfer, Self::Payout, Self::Reversal, Self::Batch, Self::Cancel];

    /// The spelling in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Transfer => "transfer",
            Self::Payout => "payout",
            Self::Reversal => "reversal",
            Self::Batch => "batch",
            Self::Cancel => "cancel",
        }
    }

    /// Parses the spelling of [`MoneyKind::as_str`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }

    fn owns(self, path: &str) -> bool {
        match self {
            Self::Transfer => path == "/v1/transfers",
            Self::Payout => path == "/v1/payouts",
            Self::Reversal => path
                .strip_prefix("/v1/transfers/")
                .and_then(|rest| rest.strip_suffix("/reversals"))
                .is_some_and(is_plain_id),
            Self::Batch => path == "/v1/payments/payouts",
            Self::Cancel => path
                .strip_prefix("/v1/payments/payouts-item/")
                .and_then(|rest| rest.strip_suffix("/cancel"))
                .is_some_and(is_plain_id),
        }
    }
}

/// A request that cannot be built because it could not be sent safely, with a sentence that says why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadRequest(pub String);

impl fmt::Display for BadRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadRequest {}

/// An idempotent money request: committed before it is sent, and sent byte for byte as committed.
#[derive(Clone, PartialEq, Eq)]
pub struct MoneyRequest {
    kind: MoneyKind,
    path: String,
    account: Option<String>,
    key: String,
    body: Vec<u8>,
}

impl MoneyRequest {
    /// Rebuilds a request from its stored parts.
    ///
    /// # Errors
    /// [`BadRequest`] if the parts do not belong together. In particular, a payout needs a connected account, because
    /// without one Stripe would pay the platform's own bank, and no other kind may act as an account.
    pub fn from_stored(
        kind: MoneyKind,
        path: String,
        account: Option<String>,
        key: String,
        body: Vec<u8>,
    ) -> Result<Self, BadRequest> {
        let bad = |what: &str| Err(BadRequest(format!("{} request {key:?}: {what}", kind.as_str())));
        if !kind.owns(&path) {
            return bad("its path is not that of its kind");
        }
        if key.is_empty() || key.len() > 255 || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return bad("a key is 1 to 255 visible ASCII characters");
        }
        if body.is_empty() != (kind == MoneyKind::Cancel) {
            return bad("every request but a cancellation has a body");
        }
        match (kind, account.as_deref()) {
            (MoneyKind::Payout, Some(id)) if !id.starts_with("acct_") || !is_plain_id(id) => {
                bad("its connected account must begin with acct_")
            }
            (MoneyKind::Payout, None) => bad("without a connected account it would pay our own bank"),
            (MoneyKind::Transfer | MoneyKind::Reversal | MoneyKind::Batch | MoneyKind::Cancel, Some(_)) => {
                bad("only a payout acts as a connected account")
            }
            (MoneyKind::Payout, Some(_))
            | (MoneyKind::Transfer | MoneyKind::Reversal | MoneyKind::Batch | MoneyKind::Cancel, None) => {
                Ok(Self { kind, path, account, key, body })
            }
        }
    }

    /// The kind of money request.
    #[must_use]
    pub fn kind(&self) -> MoneyKind {
        self.kind
    }

    /// The path below the vendor's base URL.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The connected account a Stripe payout acts as (`acct_…`); `None` for every other kind.
    #[must_use]
    pub fn account(&self) -> Option<&str> {
        self.account.as_deref()
    }

    /// The idempotency key; for PayPal also the `sender_batch_id` in the body.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The exact bytes: a form for Stripe, JSON for PayPal.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.body
    }
}

impl fmt::Debug for MoneyRequest {
    /// Omits the body, which contains payees' addresses.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MoneyRequest({} {} {} bytes)", self.kind.as_str(), self.key, self.body.len())
    }
}

/// Whether a vendor's id can be part of a path or a header unchanged.
pub(crate) fn is_plain_id(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 255
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(
        kind: MoneyKind,
        path: &str,
        account: Option<&str>,
        key: &str,
        body: &[u8],
    ) -> Result<(), String> {
        let account = account.map(String::from);
        MoneyRequest::from_stored(kind, path.into(), account, key.into(), body.into())
            .map(|request| assert_eq!((request.kind(), request.path(), request.key()), (kind, path, key)))
            .map_err(|bad| bad.to_string())
    }

    #[test]
    fn a_request_goes_where_its_kind_goes_and_nowhere_else() {
        use MoneyKind::{Batch, Cancel, Payout, Reversal, Transfer};
        let paths = [
            (Transfer, "/v1/transfers"),
            (Payout, "/v1/payouts"),
            (Reversal, "/v1/transfers/tr_1-A/reversals"),
            (Batch, "/v1/payments/payouts"),
            (Cancel, "/v1/payments/payouts-item/I1/cancel"),
        ];
        for kind in MoneyKind::ALL {
            let (account, body): (_, &[u8]) =
                (if kind == Payout { Some("acct_1") } else { None }, if kind == Cancel { b"" } else { b"x" });
            for (of, path) in paths {
                let told = stored(kind, path, account, "k", body);
                let wrong = format!("{} request \"k\": its path is not that of its kind", kind.as_str());
                assert_eq!(told, if kind == of { Ok(()) } else { Err(wrong) }, "{path}");
            }
        }
        for path in ["/v1/transfers//reversals", "/v1/transfers/a/b/reversals", "/v1/transfers/../reversals"]
        {
            assert!(stored(Reversal, path, None, "k", b"x").is_err(), "{path}");
        }
    }

    #[test]
    fn only_a_payout_acts_as_an_account_and_none_goes_without_one() {
        let payout = |account| stored(MoneyKind::Payout, "/v1/payouts", account, "k", b"x");
        let no_account = "without a connected account it would pay our own bank";
        let no_id = "its connected account must begin with acct_";
        let (most, more) = (format!("acct_{}", "1".repeat(250)), format!("acct_{}", "1".repeat(251)));
        for (account, because) in [
            (Some("acct_1A_-z"), ""),
            (Some(&*most), ""),
            (Some(&*more), no_id),
            (Some("acct_1 2"), no_id),
            (Some("acct_é"), no_id),
            (Some("ca_1"), no_id),
            (Some(""), no_id),
            (None, no_account),
        ] {
            let message = payout(account).err().unwrap_or_default();
            assert_eq!(message.is_empty(), because.is_empty(), "{account:?}: {message}");
            assert!(message.ends_with(because), "{account:?}: {message}");
        }
        let message = stored(MoneyKind::Transfer, "/v1/transfers", Some("acct_1"), "k", b"x").unwrap_err();
        assert!(message.ends_with("only a payout acts as a connected account"), "{message}");
    }

    #[test]
    fn a_key_can_stand_in_a_header_and_a_body_is_there() {
        let transfer = |key: &str, body: &[u8]| stored(MoneyKind::Transfer, "/v1/transfers", None, key, body);
        let (most, more) = ("k".repeat(255), "k".repeat(256));
        for key in ["tr:ptx_1:1", &most] {
            assert_eq!(transfer(key, b"x"), Ok(()), "{key}");
        }
        for key in ["", &more, "a b", "a\nb", "ké"] {
            let message = transfer(key, b"x").unwrap_err();
            assert!(message.ends_with("a key is 1 to 255 visible ASCII characters"), "{message}");
        }
        let bodiless = "every request but a cancellation has a body";
        assert!(transfer("k", b"").unwrap_err().ends_with(bodiless));
        let cancel = "/v1/payments/payouts-item/I1/cancel";
        assert!(stored(MoneyKind::Cancel, cancel, None, "k", b"x").unwrap_err().ends_with(bodiless));
    }

    #[test]
    fn what_is_logged_of_a_request_holds_no_payee() {
        let body = b"receiver=ana@example.com".to_vec();
        let request =
            MoneyRequest::from_stored(MoneyKind::Transfer, "/v1/transfers".into(), None, "tr:1".into(), body);
        let request = request.unwrap();
        assert_eq!(format!("{request:?}"), "MoneyRequest(transfer tr:1 24 bytes)");
        assert_eq!((request.account(), request.body()), (None, &b"receiver=ana@example.com"[..]));
    }

    #[test]
    fn every_kind_reads_back() {
        for kind in MoneyKind::ALL {
            assert_eq!(MoneyKind::parse(kind.as_str()), Some(kind));
        }
        assert_eq!(MoneyKind::parse("refund"), None);
    }
}
