//! People: who may release, the contents of the audit trail, and who was notified of what. Not here: what people see of
//! each other, which the web tests cover.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

use super::sight::Sight;

pub fn all(sight: &Sight, violations: &mut Vec<String>) {
    i21_who_releases_did_not_prepare(sight, violations);
    i22_the_trail_is_whole(sight, violations);
    i24_a_changed_destination_is_told(sight, violations);
    i25_no_secret_is_told(sight, violations);
    i26_each_end_is_told(sight, violations);
}

/// I21: where the two-person rule applies, the releaser is not the preparer.
fn i21_who_releases_did_not_prepare(sight: &Sight, violations: &mut Vec<String>) {
    for batch in sight.batches.iter().filter(|batch| sight.two_persons && batch.paid) {
        match &batch.released_by {
            None => violations.push(format!("I21: {} was paid without a release", batch.number)),
            Some(by) if sight.hands.contains(&(batch.id.clone(), by.clone())) => {
                violations.push(format!("I21: {} was released by {by}, who prepared it", batch.number));
            }
            Some(_) => {}
        }
        if batch.paid_by.is_none() {
            violations.push(format!("I21: nobody is known to have paid {}", batch.number));
        }
    }
}

/// I22: the audit chain verifies, and everything that happened to batches is in it.
fn i22_the_trail_is_whole(sight: &Sight, violations: &mut Vec<String>) {
    let mut previous = sight.trail.first().map_or(String::new(), |row| row.previous.clone());
    for (expected, row) in (1..).zip(&sight.trail) {
        let mut hash = Sha256::new();
        hash.update(format!("{}\n{}\n{}\n", row.previous, row.seq, row.at));
        for part in [&row.actor, &row.action, &row.subject, &row.detail] {
            hash.update(format!("{}:{part}\n", part.len()));
        }
        let hash: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        if row.seq != expected || row.previous != previous || row.hash != hash {
            violations.push(format!("I22: row {} of the trail does not follow", row.seq));
        }
        previous.clone_from(&row.hash);
    }
    let mut noted: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for row in &sight.trail {
        *noted.entry((&row.action, &row.subject)).or_default() += 1;
    }
    for batch in &sight.batches {
        for (happened, action) in [(batch.paid, "batch_paid"), (batch.deleted, "batch_deleted")] {
            let times = noted.get(&(action, batch.id.as_str())).copied().unwrap_or(0);
            if (times > 0) != happened {
                violations.push(format!("I22: the trail holds {action} of {} {times} times", batch.number));
            }
        }
    }
}

/// I24: a changed destination triggers a notice.
fn i24_a_changed_destination_is_told(sight: &Sight, violations: &mut Vec<String>) {
    for (payee, times) in &sight.changes {
        let key = ("payout_profile_changed".to_owned(), payee.clone());
        let noticed = sight.told.get(&key).copied().unwrap_or(0);
        if noticed < *times {
            violations.push(format!(
                "I24: {payee} changed where they are paid {times} times and was told {noticed} times"
            ));
        }
    }
}

const SECRETS: [&str; 3] = ["sk_test_sim", "sim_secret", "whsec_"];

/// I25: no secret appears in notices or in stored vendor answers.
fn i25_no_secret_is_told(sight: &Sight, violations: &mut Vec<String>) {
    for secret in SECRETS {
        if sight.texts.iter().any(|text| text.contains(secret)) {
            violations.push(format!("I25: a secret that begins with {secret} stands where people read"));
        }
    }
}

/// I26: each payment's final state triggers a notice.
fn i26_each_end_is_told(sight: &Sight, violations: &mut Vec<String>) {
    for one in &sight.payments {
        let notice = match one.state.as_str() {
            "success" => "payment_paid",
            "failed" => "payment_failed",
            "payout_failed" | "payout_canceled" | "returned" | "blocked" | "refunded" => "payment_returned",
            "review" | "payout_review" => "payment_needs_review",
            _ => continue,
        };
        if !sight.notices.contains(&(notice.to_owned(), one.id.clone())) {
            violations.push(format!("I26: {} is {} and {notice} was never told", one.id, one.state));
        }
    }
}
