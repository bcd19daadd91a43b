//! The words that are drawn: scenes of destinations, faults of vendors, what becomes of webhooks. What is deliberately not
//! here: how often each is drawn.

/// What a destination's name makes of a payment to it.
pub const SCENES: [&str; 12] = [
    "closed",
    "no_account",
    "paid_then_failed",
    "slow",
    "unclaimed",
    "unclaimed_then_returned",
    "held",
    "blocked",
    "refunded",
    "limit",
    "refused",
    "denied",
];

/// What goes wrong with a request.
pub const FAULTS: [&str; 16] = [
    "answer lost",
    "answer lost",
    "cut in body",
    "refuse connection",
    "stored 500",
    "executed 500",
    "503",
    "429 retry-after 40",
    "lock timeout",
    "in use",
    "401",
    "html",
    "other amount",
    "other status",
    "repeated",
    "executed 500",
];

/// Which requests of each vendor.
pub const CALLS: [&[&str]; 2] = [
    &["transfer", "transfer", "payout", "payout", "reversal", "read", "any"],
    &["batch", "batch", "batch", "cancel", "read", "token", "any"],
];

pub const NEWS: [&str; 6] = [
    "webhook lost",
    "webhook doubled",
    "webhook reordered",
    "webhook early",
    "webhook forged",
    "webhook late 26 hours",
];
