//! Payments: attempts, state transitions and final states. Not here: money (`money`) and gates (`gates`).

use std::collections::BTreeMap;

use super::sight::{Attempt, Sight};

pub fn all(sight: &Sight, violations: &mut Vec<String>) {
    i07_one_live_attempt_of_a_leg(sight, violations);
    i12_only_legal_ways(sight, violations);
    i16_deleted_batches_are_empty(sight, violations);
    i27_everything_ends_or_waits_for_a_person(sight, violations);
}

/// Whether an attempt ended with no money in it.
fn over(of: &Attempt) -> bool {
    matches!(of.state.as_str(), "failed" | "returned")
}

/// I07: one live attempt per leg; every later one follows a definite end of the previous.
fn i07_one_live_attempt_of_a_leg(sight: &Sight, violations: &mut Vec<String>) {
    if !sight.one_live_is_kept {
        violations.push("I07: the database does not keep a leg from having two live attempts".to_owned());
    }
    let mut legs: BTreeMap<(&str, &str), Vec<&Attempt>> = BTreeMap::new();
    for attempt in &sight.attempts {
        legs.entry((&attempt.payment, &attempt.leg)).or_default().push(attempt);
    }
    for ((payment, leg), attempts) in legs {
        let live = attempts.iter().filter(|one| !over(one)).count();
        if live > 1 {
            violations.push(format!("I07: {payment} has {live} live attempts of its {leg}"));
        }
        for pair in attempts.windows(2) {
            let (before, after) = (pair[0], pair[1]);
            if after.number != before.number + 1 {
                violations
                    .push(format!("I07: {payment} has a {leg} {} after {}", after.number, before.number));
            }
            if before.ended_at.is_none() && !live_again(before) {
                violations.push(format!(
                    "I07: {payment} has a {leg} {} though {} has not ended",
                    after.number, before.id
                ));
            }
        }
    }
}

/// Proven to have been executed after all.
fn live_again(of: &Attempt) -> bool {
    !over(of)
}

/// The first leg's states, in the only order in which they can follow each other.
const FIRST: [&str; 7] = ["queued", "sending", "unknown", "review", "processing", "on_hold", "unclaimed"];
/// The same for the bank payout.
const PAYOUT: [&str; 5] = ["transferred", "payout_sending", "payout_unknown", "payout_review", "in_transit"];

/// I12: only legal state transitions, according to the audit trail.
fn i12_only_legal_ways(sight: &Sight, violations: &mut Vec<String>) {
    let mut stands: BTreeMap<&str, String> =
        sight.payments.iter().map(|one| (one.id.as_str(), "queued".to_owned())).collect();
    for row in sight.trail.iter().filter(|row| row.action == "transaction_moved") {
        let Ok(detail) = serde_json::from_str::<serde_json::Value>(&row.detail) else { continue };
        let (Some(state), Some(fact)) = (detail["state"].as_str(), detail["fact"].as_str()) else { continue };
        let Some(before) = stands.get_mut(row.subject.as_str()) else { continue };
        if !legal(before, state, fact) {
            violations.push(format!("I12: {} went from {before} to {state} by {fact}", row.subject));
        }
        state.clone_into(before);
    }
    for one in &sight.payments {
        if stands[one.id.as_str()] != one.state {
            violations.push(format!(
                "I22: {} stands at {}, the trail says {}",
                one.id,
                one.state,
                stands[one.id.as_str()]
            ));
        }
    }
}

fn legal(from: &str, to: &str, by: &str) -> bool {
    if from == to || by == "corrected" {
        return true;
    }
    let place = |list: &[&str], state: &str| list.iter().position(|one| *one == state);
    let first = place(&FIRST, from);
    let payout = place(&PAYOUT, from);
    match (to, first, payout) {
        // If the vendor no longer shows it or its answer is unusable, it goes to a person from any state.
        ("review", Some(_), _) | ("payout_review", _, Some(_))
            if matches!(by, "out_of_sight" | "not_understood") =>
        {
            true
        }
        ("queued", _, _) if from == "sending" => by == "withheld",
        // A person resends it, after a definite end.
        ("queued", _, _) => {
            matches!(from, "failed" | "returned" | "blocked" | "refunded" | "reversed" | "recalled")
        }
        ("failed", Some(at), _) => at < 6 || by == "item_failed",
        ("transferred", Some(at), _) => at < 4,
        ("transferred", _, Some(_)) => by == "unfunded",
        ("transferred", _, _) => matches!(from, "payout_failed" | "payout_canceled"),
        // Stripe's own schedule paid out the money held there.
        ("in_transit" | "success", _, _) if by == "swept" => {
            matches!(from, "payout_failed" | "payout_canceled" | "recalling")
        }
        ("success", first, payout) => first.is_some() || payout.is_some(),
        ("payout_failed" | "payout_canceled", _, payout) => {
            payout.is_some() || from == "success" || from == "recalling"
        }
        ("recalling", _, _) => matches!(from, "payout_failed" | "payout_canceled"),
        ("recalled", _, _) => {
            matches!(from, "recalling" | "payout_failed" | "payout_canceled" | "transferred" | "written_off")
        }
        ("returned" | "blocked" | "refunded" | "reversed", first, _) => first.is_some() || from == "success",
        ("written_off", _, _) => {
            matches!(from, "payout_failed" | "payout_canceled" | "payout_review" | "transferred")
        }
        (to, Some(at), _) if place(&FIRST, to).is_some() => place(&FIRST, to).is_some_and(|next| next > at),
        (to, _, Some(at)) if place(&PAYOUT, to).is_some() => place(&PAYOUT, to).is_some_and(|next| next > at),
        _ => false,
    }
}

/// I16: a deleted batch has no payments, holds no rewards and was never paid.
fn i16_deleted_batches_are_empty(sight: &Sight, violations: &mut Vec<String>) {
    for batch in sight.batches.iter().filter(|batch| batch.deleted) {
        let payments = sight.payments.iter().filter(|one| one.batch == batch.id).count();
        let rewards = sight.rewards.iter().filter(|one| one.batch.as_ref() == Some(&batch.id)).count();
        if batch.paid || payments > 0 || rewards > 0 {
            violations.push(format!(
                "I16: {} is deleted, and has {payments} payments and {rewards} rewards",
                batch.number
            ));
        }
    }
}

/// I27: after healing everything has ended, or waits for a person who has been notified.
fn i27_everything_ends_or_waits_for_a_person(sight: &Sight, violations: &mut Vec<String>) {
    let ended = [
        "success",
        "failed",
        "payout_failed",
        "payout_canceled",
        "recalled",
        "returned",
        "blocked",
        "refunded",
        "reversed",
        "written_off",
        "review",
        "payout_review",
    ];
    for one in &sight.payments {
        if !ended.contains(&one.state.as_str()) {
            violations.push(format!("I27: {} is left {}", one.id, one.state));
        }
        let asks = one.contradicted || matches!(one.state.as_str(), "review" | "payout_review");
        let task = ("payment_needs_review".to_owned(), one.id.clone());
        if asks && !sight.notices.contains(&task) {
            violations.push(format!("I27: {} waits for a person, and nobody was told", one.id));
        }
    }
    let open = |state: &str| matches!(state, "intended" | "unknown" | "looking");
    for one in sight.submissions.iter().filter(|one| open(&one.state)) {
        violations.push(format!("I27: the request {} of {} is left {}", one.key, one.created_at, one.state));
    }
    for one in sight.attempts.iter().filter(|one| one.state == "queued") {
        violations
            .push(format!("I27: a {} of {} is left to be sent ({})", one.leg, one.payment, one.created_at));
    }
}
