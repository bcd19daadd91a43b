//! Vendor events: stored before they are acknowledged, accepted only if genuine, applied once. Not here: what polling
//! found, which `money` sees in the final state.

use std::collections::BTreeSet;

use super::sight::Sight;

pub fn all(sight: &Sight, violations: &mut Vec<String>) {
    i17_acknowledged_is_stored(sight, violations);
    i17_what_is_genuine_is_taken(sight, violations);
    i18_nothing_forged_is_taken(sight, violations);
    i19_an_event_acts_once(sight, violations);
}

fn taken(status: u16) -> bool {
    (200..300).contains(&status)
}

fn vendor(of: simulator::Vendor) -> &'static str {
    match of {
        simulator::Vendor::Stripe => "stripe",
        simulator::Vendor::PayPal => "paypal",
    }
}

/// I17: every event that was answered 2xx is stored.
fn i17_acknowledged_is_stored(sight: &Sight, violations: &mut Vec<String>) {
    let mut missing = BTreeSet::new();
    for line in sight.books.webhooks.iter().filter(|line| taken(line.answered) && !line.forged) {
        if line.at <= sight.lost.at {
            continue;
        }
        if !sight.events.contains(&(vendor(line.vendor).to_owned(), line.event_id.clone())) {
            missing.insert(&line.event_id);
        }
    }
    violations
        .extend(missing.iter().map(|id| format!("I17: the event {id} was acknowledged and is not stored")));
}

/// I17: no genuine event is rejected; a node that cannot store one says so, and it is redelivered.
fn i17_what_is_genuine_is_taken(sight: &Sight, violations: &mut Vec<String>) {
    let refused = |status: u16| (400..500).contains(&status);
    for line in sight.books.webhooks.iter().filter(|line| !line.forged && refused(line.answered)) {
        violations.push(format!("I17: the genuine event {} was answered {}", line.event_id, line.answered));
    }
}

/// I18: no forged event is accepted.
fn i18_nothing_forged_is_taken(sight: &Sight, violations: &mut Vec<String>) {
    for line in sight.books.webhooks.iter().filter(|line| line.forged && taken(line.answered)) {
        violations.push(format!("I18: the forged event {} was answered {}", line.event_id, line.answered));
    }
}

/// I19: an event is applied at most once.
fn i19_an_event_acts_once(sight: &Sight, violations: &mut Vec<String>) {
    for (payment, event, effect, times) in sight.effects.iter().filter(|row| row.3 > 1) {
        violations.push(format!("I19: {event} led to {effect} of {payment} {times} times"));
    }
    for (vendor, event, times) in &sight.twice {
        violations.push(format!("I19: {event} of {vendor} is stored {times} times"));
    }
}
