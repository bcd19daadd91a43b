//! Gates: nothing is sent for what was deleted, to whom is on hold or is paid elsewhere by now, to another account than was
//! promised, nor in safe mode, in which nobody pays or deletes either. What is deliberately not here: the money that was sent
//! (`money`).

use std::collections::{BTreeMap, BTreeSet};

use simulator::MoneyRequest;

use super::sight::{Payment, Sight, Submission};

pub fn all(sight: &Sight, told: &mut Vec<String>) {
    let sent = sent(sight);
    i10_nothing_for_the_deleted_or_held(sight, &sent, told);
    i10_nothing_to_where_somebody_was_paid_before(sight, &sent, told);
    i10_nothing_from_another_account(sight, told);
    i30_safe_mode_stops(sight, told);
}

/// A request that pays, and a payment that it carried.
type Sent<'a> = (&'a MoneyRequest, &'a str, &'a Payment);

/// What was asked for under keys that we know. What takes our own money back is not among it: that is asked for whatever the
/// gates say.
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
    // Whom a lost database held, nobody knows any more.
    for request in sight.books.requests.iter().filter(|request| !sight.lost.within(request.at)) {
        let Some(key) = request.key.as_deref().filter(|key| !key.starts_with("rv:")) else { continue };
        let Some(submission) = submissions.get(key) else { continue };
        let of_it = carried.get(submission.id.as_str()).into_iter().flatten();
        sent.extend(of_it.map(|payment| (request, key, *payment)));
    }
    sent
}

/// I10: nothing is sent for a deleted batch or a payee on hold.
fn i10_nothing_for_the_deleted_or_held(sight: &Sight, sent: &[Sent<'_>], told: &mut Vec<String>) {
    let held = holds(sight);
    let deleted: BTreeSet<&str> =
        sight.batches.iter().filter(|one| one.deleted).map(|one| one.id.as_str()).collect();
    for (request, key, payment) in sent {
        if deleted.contains(payment.batch.as_str()) {
            told.push(format!("I10: {key} was sent for the deleted batch {}", payment.batch));
        }
        let stood = held.get(payment.payee.as_str()).into_iter().flatten();
        for (from, until) in stood {
            if request.at > from + sight.latitude && request.at < *until - sight.latitude {
                told.push(format!("I10: {key} was sent while {} was on hold", payment.payee));
            }
        }
    }
}

/// From when until when each payee was on hold, by the trail.
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

/// I10, I24: nothing is sent to where somebody was paid before they changed it.
fn i10_nothing_to_where_somebody_was_paid_before(sight: &Sight, sent: &[Sent<'_>], told: &mut Vec<String>) {
    for (request, key, payment) in sent {
        let aims = sight.aims.iter().filter(|aim| aim.payee == payment.payee && aim.at <= request.at);
        let aims: Vec<_> = aims.collect();
        let since = request.at - sight.latitude;
        // Where they were paid at some moment between then and now.
        let stood = |place: usize| aims.get(place + 1).is_none_or(|next| next.at >= since);
        let right =
            aims.iter().enumerate().any(|(place, aim)| stood(place) && aim.address == payment.destination);
        if !aims.is_empty() && !right {
            told.push(format!(
                "I10: {key} was sent to {}, where {} was paid before",
                payment.destination, payment.payee
            ));
        }
    }
}

/// I10: no other account of a vendor is asked for what was promised from the one that was connected.
fn i10_nothing_from_another_account(sight: &Sight, told: &mut Vec<String>) {
    // What a lost database has sent was sent from the account that it knew.
    let elsewhere = sight.elsewhere - sight.lost.elsewhere;
    if elsewhere > 0 {
        told.push(format!("I10: {elsewhere} requests for money reached another account"));
    }
}

/// I30: in safe mode nothing is sent, and nobody pays, deletes or says what became of a payment.
fn i30_safe_mode_stops(sight: &Sight, told: &mut Vec<String>) {
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
            told.push(format!("I30: {:?} was sent in safe mode", request.key));
        }
        for row in sight.trail.iter().filter(|row| within(row.at) && sight.people.contains(&row.actor)) {
            if verbs.contains(&row.action.as_str()) {
                told.push(format!("I30: {} of {} in safe mode", row.action, row.subject));
            }
        }
    }
}
