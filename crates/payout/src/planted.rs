//! Planted bugs, enabled one at a time to prove that the simulation detects each of them. They exist only in builds
//! with debug assertions, as tests are built, never in a release, where each is a constant `false`. None is active
//! until the simulation chooses one. Not here: the buggy code, which is next to the correct code.

/// Every planted bug, with a description.
pub const ALL: &[(&str, &str)] = &[
    ("time_out_is_failure", "a request without an answer is treated as refused"),
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
    ("acknowledged_unstored", "an event is acknowledged whether or not it could be stored"),
    ("body_believed", "what the body of an event says is taken for so"),
    ("first_page_only", "of a list only the first page is read"),
    ("sends_in_safe_mode", "safe mode stops nothing that is queued"),
    ("verbs_in_safe_mode", "people pay, delete and settle in safe mode as ever"),
    ("signed_after_reading", "what is verified is the body as it would be written again, not its bytes"),
    ("empty_secret", "without a secret events are taken that are signed with an empty one"),
    ("any_account", "what was intended for one account of a vendor is sent to whichever is connected"),
    (
        "looks_a_minute_back",
        "what is lost is looked for from its first sending on, whatever our clock is worth",
    ),
    ("own_keys_unread", "an event that names our own key is laid aside like any other of an unknown object"),
    ("review_is_no_doubt", "what a person must find out about counts as never sent"),
    ("cap_forgotten", "the most that a vendor takes is not asked when a payee bears the fee"),
    ("clawback_left_out", "only the rewards that are named are paid, and no clawback comes off them"),
    ("swept_unseen", "money that Stripe has paid out by itself is waited for"),
    ("schedule_unasked", "a bank payout is sent late, though Stripe's schedule may have paid its money out"),
    ("end_untold", "now and then nobody is told of what became of a payment"),
    ("change_untold", "a payee is not told that where they are paid was changed"),
    ("secret_told", "the trail holds the key of a vendor that was connected"),
    ("half_an_entry", "an entry in the books lacks its last line"),
    ("deleted_though_paid", "a batch that was paid can be deleted"),
    ("found_is_no_gate", "a payment goes out though the vendor has one of it that is not known here"),
    ("found_holds_nobody", "whoever was paid by what is not known here is paid again"),
];

/// Whether this build contains the planted bugs.
pub const COMPILED: bool = cfg!(debug_assertions);

#[cfg(debug_assertions)]
static CHOSEN: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(usize::MAX);

/// Activates this planted bug; none for a name not in [`ALL`].
#[cfg(debug_assertions)]
pub fn choose(name: &str) {
    let place = ALL.iter().position(|(known, _)| *known == name).unwrap_or(usize::MAX);
    CHOSEN.store(place, std::sync::atomic::Ordering::SeqCst);
}

/// Whether this planted bug is active.
#[cfg(debug_assertions)]
#[must_use]
pub fn on(name: &str) -> bool {
    let chosen = CHOSEN.load(std::sync::atomic::Ordering::Relaxed);
    ALL.get(chosen).is_some_and(|(known, _)| *known == name)
}

/// No-op: builds without debug assertions have no planted bugs.
#[cfg(not(debug_assertions))]
pub fn choose(_name: &str) {}

/// Always `false`: builds without debug assertions have no planted bugs.
#[cfg(not(debug_assertions))]
#[must_use]
pub const fn on(_name: &str) -> bool {
    false
}
