//! Wrong turns that are taken on purpose, one at a time, to prove that the simulation can see each of them. They exist with
//! the feature `planted` only, which no program that is shipped is built with (`bursar` refuses to); without it each is a
//! constant `false`. What is deliberately not here: the wrong turns, which stand where the right ones do.

/// Every wrong turn, and what it is.
pub const ALL: &[(&str, &str)] = &[
    ("time_out_is_failure", "a request without an answer is taken for refused"),
    ("new_key_after_unknown", "what is sent again goes under another key"),
    ("no_number_in_the_key", "every attempt of a transfer has the first one's key"),
    ("freed_on_unknown", "the rewards of a payment in doubt are free"),
    ("no_event_dedupe", "the same event is stored once for each delivery"),
    ("older_over_newer", "what PayPal said earlier is believed over what it said later"),
    ("paid_is_final", "a bank payout that was paid and fails later stays paid"),
    ("unclaimed_is_failed", "what nobody has claimed yet is taken for failed"),
    ("resubmit_transfers_again", "a bank payout that failed is sent again with another transfer"),
    ("no_index_of_live_attempts", "the database lets a leg have two live attempts"),
    ("no_fence", "whoever slept through a lease records over whoever took it up"),
    ("digest_ignored", "Pay does not ask whether the batch is what was shown"),
    ("preparer_releases", "whoever prepared a batch may release it"),
    ("books_after_the_change", "the entry in the books is lost now and then, as between two transactions"),
    ("trail_after_the_change", "the row of the trail is lost now and then, as between two transactions"),
    ("rounded_amounts", "amounts above 65.536 lose their last bit, as in a short floating-point number"),
    ("changed_destination_sent", "a changed destination stops nothing that is queued"),
    ("signature_not_checked", "a signature of Stripe is not compared"),
    ("doubt_opens_gates", "what may have been sent before is sent again whatever the gates say"),
    ("freed_though_contradicted", "rewards are free though a vendor says that they were paid"),
    ("any_object_settles", "any object of the right amount settles a payment by hand"),
    ("reversals_unseen", "a transfer is never looked at again once it was made"),
    ("late_fee_unbooked", "a fee that is told after the payment is not booked"),
    ("absent_at_once", "what one look does not find was not made"),
    ("gone_is_silence", "what a vendor no longer shows is asked for for ever"),
    ("lost_news_lost", "nobody asks for what no event has told"),
];

/// Whether this program can take them at all.
pub const COMPILED: bool = cfg!(feature = "planted");

#[cfg(feature = "planted")]
static CHOSEN: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(usize::MAX);

/// From here on this wrong turn is taken; none for a name that is not among [`ALL`].
#[cfg(feature = "planted")]
pub fn choose(name: &str) {
    let place = ALL.iter().position(|(known, _)| *known == name).unwrap_or(usize::MAX);
    CHOSEN.store(place, std::sync::atomic::Ordering::SeqCst);
}

/// Whether this wrong turn is to be taken.
#[cfg(feature = "planted")]
#[must_use]
pub fn on(name: &str) -> bool {
    let chosen = CHOSEN.load(std::sync::atomic::Ordering::Relaxed);
    ALL.get(chosen).is_some_and(|(known, _)| *known == name)
}

/// Without the feature no wrong turn is ever taken.
#[cfg(not(feature = "planted"))]
pub fn choose(_name: &str) {}

/// Without the feature no wrong turn is ever taken.
#[cfg(not(feature = "planted"))]
#[must_use]
pub const fn on(_name: &str) -> bool {
    false
}
