//! The vocabulary to draw from: destination scenes, vendor faults, webhook faults. Not here: how often each is drawn.

/// Outcomes scripted by a destination's name.
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

/// Faults of a single request.
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

/// The affected requests at each vendor.
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
