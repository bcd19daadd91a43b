//! Gates: nothing is sent for a deleted batch, to a payee on hold, to a destination that has changed, from a different
//! account than promised, or in safe mode, in which nobody can pay or delete either. Not here: the money that was sent
//! (`money`).

use std::collections::{BTreeMap, BTreeSet};

use simulator::MoneyRequest;

use super::sight::{Payment, Sight, Submission};

pub fn all(sight: &Sight, violations: &mut Vec<String>) {
    let sent = sent(sight);
    i10_nothing_for_the_deleted_or_held(sight, &sent, violations);
    i10_nothing_to_where_somebody_was_paid_before(sight, &sent, violations);
    i10_nothing_from_another_account(sight, violations);
    i30_safe_mode_stops(sight, violations);
}

/// A request that pays, its key, and a payment in it.
type Sent<'a> = (&'a MoneyRequest, &'a str, &'a Payment);

/// Payment requests under known keys. Excludes reversals, which recall our own money whatever the gates say.
fn sent(sight: &Sight) -> Vec<Sent<'_>> {
    let payments: BTreeMap<&str, &Payment> =
        sight.payments.iter().map(|one| (one.id.as_str(), one)).collect();
    let submissions: BTreeMap<&str, &Submission> =
        sight.submissions.iter().map(|one| (one.key.as_str(), one)).collect();
    let mut carried: BTreeMap<&str, Vec<&Payment>> = BTreeMap::new();
    for attempt in &sight.attempts {
        let (Some(submission), Some(payment)) =
            (attempt.submission.as_deref(), payments.get(attempt.payment.as_str()))
        else {
            continue;
        };
        carried.entry(submission).or_default().push(payment);
    }
    let mut sent = Vec::new();
    // Holds set in the lost period are unknown.
    for request in sight.books.requests.iter().filter(|request| !sight.lost.within(request.at)) {
        let Some(key) = request.key.as_deref().filter(|key| !key.starts_with("rv:")) else { continue };
        let Some(submission) = submissions.get(key) else { continue };
        let of_it = carried.get(submission.id.as_str()).into_iter().flatten();
        sent.extend(of_it.map(|payment| (request, key, *payment)));
    }
    sent
}

/// I10: nothing is sent for a deleted batch or a payee on hold.
fn i10_nothing_for_the_deleted_or_held(sight: &Sight, sent: &[Sent<'_>], violations: &mut Vec<String>) {
    let held = holds(sight);
    let deleted: BTreeSet<&str> =
        sight.batches.iter().filter(|one| one.deleted).map(|one| one.id.as_str()).collect();
    for (request, key, payment) in sent {
        if deleted.contains(payment.batch.as_str()) {
            violations.push(format!("I10: {key} was sent for the deleted batch {}", payment.batch));
        }
        let stood = held.get(payment.payee.as_str()).into_iter().flatten();
        for (from, until) in stood {
            if request.at > from + sight.latitude && request.at < *until - sight.latitude {
                violations.push(format!("I10: {key} was sent while {} was on hold", payment.payee));
            }
        }
    }
}

/// The periods in which each payee was on hold, from the audit trail.
fn holds(sight: &Sight) -> BTreeMap<&str, Vec<(i64, i64)>> {
    let mut held: BTreeMap<&str, Vec<(i64, i64)>> = BTreeMap::new();
    for row in sight.trail.iter().filter(|row| row.action == "payee_standing_changed") {
        let stretches = held.entry(&row.subject).or_default();
        let on_hold = row.detail.contains("\"new\":\"on_hold\"");
        match (on_hold, stretches.last_mut()) {
            (true, Some((_, until))) if *until == i64::MAX => {}
            (true, _) => stretches.push((row.at, i64::MAX)),
            (false, Some((_, until))) if *until == i64::MAX => *until = row.at,
            (false, _) => {}
        }
    }
    held
}

/// I10, I24: nothing is sent to a payee's former destination.
fn i10_nothing_to_where_somebody_was_paid_before(
    sight: &Sight,
    sent: &[Sent<'_>],
    violations: &mut Vec<String>,
) {
    for (request, key, payment) in sent {
        let aims = sight.aims.iter().filter(|aim| aim.payee == payment.payee && aim.at <= request.at);
        let aims: Vec<_> = aims.collect();
        let since = request.at - sight.latitude;
        // Any destination that was valid between then and now.
        let stood = |place: usize| aims.get(place + 1).is_none_or(|next| next.at >= since);
        let right =
            aims.iter().enumerate().any(|(place, aim)| stood(place) && aim.address == payment.destination);
        if !aims.is_empty() && !right {
            violations.push(format!(
                "I10: {key} was sent to {}, where {} was paid before",
                payment.destination, payment.payee
            ));
        }
    }
}

/// I10: no payment is requested from a different vendor account than the connected one.
fn i10_nothing_from_another_account(sight: &Sight, violations: &mut Vec<String>) {
    // Requests by a lost database went to the account it knew.
    let elsewhere = sight.elsewhere - sight.lost.elsewhere;
    if elsewhere > 0 {
        violations.push(format!("I10: {elsewhere} requests for money reached another account"));
    }
}

/// I30: in safe mode nothing is sent, and nobody pays, deletes or resolves a payment.
fn i30_safe_mode_stops(sight: &Sight, violations: &mut Vec<String>) {
    let verbs = [
        "batch_paid",
        "batch_deleted",
        "batch_rewards_removed",
        "returned_to_pool",
        "marked_paid_outside",
        "settled_by_hand",
        "parked_money_settled",
        "transaction_moved",
    ];
    for (from, until) in &sight.safe {
        let within = |at: i64| at > from + sight.latitude && at < until - sight.latitude;
        for request in sight.books.requests.iter().filter(|request| within(request.at)) {
            violations.push(format!("I30: {:?} was sent in safe mode", request.key));
        }
        for row in sight.trail.iter().filter(|row| within(row.at) && sight.people.contains(&row.actor)) {
            if verbs.contains(&row.action.as_str()) {
                violations.push(format!("I30: {} of {} in safe mode", row.action, row.subject));
            }
        }
    }
}
